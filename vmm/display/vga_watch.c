// SPDX-License-Identifier: MIT
/*
 * What is new on a screen that somebody looks at: pages that were written by exits are noted here, those that a guest writes
 * in a linear mode by KVM (Linux, Documentation/virt/kvm/api.rst, KVM_GET_DIRTY_LOG), which is asked; registers are compared.
 * Nobody looks: nothing is noted. Under machine.lock.
 */
#include <string.h>

#include "vmm/display/link.h"
#include "vmm/display/vga_impl.h"

_Static_assert(VGA_PAGE == LINK_PAGE, "a page of a frame is one of ours");

static void vga_tell(struct vga *v)
{
	if (!v->watch.changed || v->watch.told)
		return;
	v->watch.told = true;
	v->watch.changed(v->watch.arg);
}

void vga_touch(struct vga *v, uint64_t offset, uint64_t len)
{
	if (!v->watch.changed || !len)
		return;
	for (uint64_t page = offset / VGA_PAGE; page <= (offset + len - 1) / VGA_PAGE; page++)
		v->watch.dirty[page / 64] |= BIT64(page % 64);
	vga_tell(v);
}

/* Indices, latches and the like decide of no picture. */
static void vga_picture_regs(const struct vga_regs *r, struct vga_regs *ret)
{
	memcpy(ret, r,
	       sizeof(*ret)); /* with what lies between the members: two of them are compared */
	ret->seq_index = ret->crtc_index = ret->gc_index = 0;
	ret->attr_index &= VGA_ATTR_ON;
	ret->attr_data = ret->dac_reads = false;
	ret->dac_index = ret->dac_part = ret->feature = 0;
	ret->latch = 0;
	ret->dispi_index = ret->dispi[VGA_DISPI_BANK] = 0;
}

void vga_touch_regs(struct vga *v)
{
	struct vga_regs now;

	if (!v->watch.changed || v->watch.told)
		return;
	vga_picture_regs(&v->regs, &now);
	if (memcmp(&now, &v->watch.shown, sizeof(now)) != 0)
		vga_tell(v);
}

static void vga_log(struct vga *v, bool on)
{
	const struct board *b = v->dev.board;
	const struct region *r = &v->pci.bars[0].region;

	v->watch.logged =
		on && b->ops->mem_log(b->arg, v->vram_slot, r->base, r->size, v->vram, true) >= 0;
	if (!on)
		b->ops->mem_log(b->arg, v->vram_slot, r->base, r->size, v->vram, false);
}

/* What KVM had noted of the slot before went with it. */
void vga_watch_slot(struct vga *v)
{
	v->watch.logged = false;
	vga_touch(v, 0, VGA_VRAM_SIZE);
	if (v->vram_slot >= 0 && v->watch.changed)
		vga_log(v, true);
}

void vga_watch(struct device *d, void (*changed)(void *arg), void *arg)
{
	struct vga *v = container_of(d, struct vga, dev);
	bool was = v->watch.changed;

	v->watch.changed = changed;
	v->watch.arg = arg;
	v->watch.told = false;
	if (v->vram_slot >= 0 && was != (changed != NULL))
		vga_log(v, changed != NULL);
}

bool vga_is_silent(struct device *d)
{
	const struct vga *v = container_of(d, struct vga, dev);

	return v->vram_slot >= 0 && vga_dispi_on(&v->regs);
}

/* Where KVM cannot tell, all of it may be new: who draws it compares. */
static void vga_ask(struct vga *v, uint64_t *dirty)
{
	const struct board *b = v->dev.board;
	uint64_t written[VGA_PAGES / 64] = { 0 };

	if (v->vram_slot < 0)
		return;
	if (!v->watch.logged || b->ops->mem_written(b->arg, v->vram_slot, written) < 0)
		memset(written, 0xff, sizeof(written));
	for (size_t i = 0; i < ARRAY_SIZE(written); i++)
		dirty[i] |= written[i];
}

bool vga_look(struct device *d, bool all, struct link_frame *ret)
{
	struct vga *v = container_of(d, struct vga, dev);
	struct vga_watch *w = &v->watch;
	bool any = all;

	*ret = (struct link_frame){ .type = LINK_FRAME };
	memcpy(ret->dirty, w->dirty, sizeof(ret->dirty));
	memset(w->dirty, 0, sizeof(w->dirty));
	w->told = false;
	vga_ask(v, ret->dirty);
	if (all)
		memset(ret->dirty, 0xff, sizeof(ret->dirty));
	for (size_t i = 0; i < ARRAY_SIZE(ret->dirty); i++)
		any = any || ret->dirty[i];
	vga_picture_regs(&v->regs, &ret->regs);
	any = any || memcmp(&ret->regs, &w->shown, sizeof(w->shown)) != 0;
	w->shown = ret->regs;
	return any;
}

int vga_view_fd(struct device *d)
{
	const struct vga_cfg *cfg = d->cfg;

	return cfg->view_fd;
}
