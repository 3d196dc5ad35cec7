// SPDX-License-Identifier: MIT
/*
 * BARs of a passed-through function: PCI Local Bus 3.0, section 6.2.5. What the host lets map is the guest's
 * memory while the BAR is decoded there, and the memory of the VM's other devices (peer-to-peer DMA) while its
 * driver is at work; the rest, and all of what is smaller than a page, goes through the
 * device's descriptor. The pages of the MSI-X table and PBA are never mapped: those are msix.c's. From vCPUs,
 * under machine.lock.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmm/vfio/vfio_pci.h"

#define VFIO_PAGE 4096ull
#define VFIO_INFO_MAX (64 * KIB) /* of a region, with its capabilities */

/* --- registers -------------------------------------------------------------------------------------------- */

static bool vfio_part_has(const struct vfio_bar *b, const struct vfio_msix_part *part, uint64_t off)
{
	return part->size && &b->v->bars[part->bar] == b && off >= part->off &&
	       off - part->off < part->size;
}

static uint64_t vfio_bar_fetch(struct vfio_bar *b, uint64_t off, unsigned int size)
{
	struct vfio_pci *v = b->v;
	uint64_t val = 0;

	if (v->asleep || !(b->flags & VFIO_REGION_INFO_FLAG_READ) ||
	    v->sys->pread(v->sys, v->fd, &val, size, b->fd_off + off) != (ssize_t)size)
		return UINT64_MAX;
	return val;
}

/* Table and PBA take 4 and 8 bytes: of a narrower read the others are not looked at. */
static uint64_t vfio_bar_read(void *dev, uint64_t off, unsigned int size)
{
	struct vfio_bar *b = dev;
	const struct vfio_pci *v = b->v;
	unsigned int wide = MAX(size, 4u);
	uint64_t at = align_down(off, wide), val;

	if (vfio_part_has(b, &v->table, off))
		val = msix_table_read(&v->pci, at - v->table.off, wide);
	else if (vfio_part_has(b, &v->pba, off))
		val = msix_pba_read(&v->pci, at - v->pba.off, wide);
	else
		return vfio_bar_fetch(b, off, size);
	return val >> (8 * (off - at));
}

static void vfio_bar_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct vfio_bar *b = dev;
	struct vfio_pci *v = b->v;

	if (vfio_part_has(b, &v->table, off)) {
		if (size >= 4)
			msix_table_write(&v->pci, off - v->table.off, size, val);
	} else if (!vfio_part_has(b, &v->pba, off) && !v->asleep &&
		   b->flags & VFIO_REGION_INFO_FLAG_WRITE) {
		v->sys->pwrite(v->sys, v->fd, &val, size, b->fd_off + off);
	}
}

static const struct region_ops vfio_bar_ops = {
	.read = vfio_bar_read,
	.write = vfio_bar_write,
	.min_size = 1,
	.max_size = 8,
};

/* --- mapped pieces --------------------------------------------------------------------------------------- */

static bool vfio_area_wanted(const struct vfio_pci *v)
{
	/* not earlier than the driver: to map a large BAR takes long, and a kernel that looks for BARs moves them */
	return vfio_dma_shares(v->dev.board) && pci_is_master(&v->pci);
}

static void vfio_area_unshare(struct vfio_bar *b, struct vfio_area *a)
{
	if (a->shared_at)
		vfio_dma_unshare(b->v->dev.board, a->shared_at, a->size);
	a->shared_at = 0;
}

static void vfio_area_share(struct vfio_bar *b, struct vfio_area *a, uint64_t gpa)
{
	struct vfio_pci *v = b->v;
	int r;

	if (a->shared_at)
		return;
	r = vfio_dma_share(v->dev.board, gpa, a->size, a->host);
	if (r >= 0)
		a->shared_at = gpa;
	else /* most devices do not want to */
		log_limited(v->dev.board->log, &v->limit,
			    "device '%s': the VM's other devices do not reach its BAR %u: %s",
			    v->dev.id, (unsigned int)(b - v->bars), strerror(-r));
}

static void vfio_bar_unplace(struct vfio_bar *b)
{
	const struct board *board = b->v->dev.board;

	for (unsigned int i = 0; i < b->nareas; i++) {
		vfio_area_unshare(b, &b->areas[i]);
		if (b->areas[i].slot >= 0)
			board->ops->mem_unmap(board->arg, b->areas[i].slot);
		b->areas[i].slot = -1;
	}
}

static void vfio_area_place(struct vfio_bar *b, struct vfio_area *a, uint64_t gpa)
{
	const struct board *board = b->v->dev.board;
	struct err e = { 0 };

	if (a->slot >= 0)
		return;
	a->slot = board->ops->mem_map(board->arg, gpa, a->size, a->host, &e);
	/* it works without, an exit an access */
	if (a->slot < 0)
		log_limited(board->log, &b->v->limit, "device '%s': slow: %s", b->v->dev.id, e.msg);
}

static void vfio_bar_place(struct vfio_bar *b, uint64_t base)
{
	for (unsigned int i = 0; i < b->nareas; i++) {
		struct vfio_area *a = &b->areas[i];

		vfio_area_place(b, a, base + a->off);
		if (vfio_area_wanted(b->v))
			vfio_area_share(b, a, base + a->off);
		else
			vfio_area_unshare(b, a);
	}
}

void vfio_bar_moved(struct pci_dev *p, unsigned int bar, uint64_t old_base, bool old_mapped)
{
	struct vfio_pci *v = vfio_pci_of(p);

	(void)old_base;
	(void)old_mapped;
	if (bar == PCI_ROM)
		return;
	vfio_bar_unplace(&v->bars[bar]);
	if (p->bars[bar].mapped && !v->asleep)
		vfio_bar_place(&v->bars[bar], p->bars[bar].region.base);
}

void vfio_bars_sync(struct vfio_pci *v)
{
	for (unsigned int i = 0; i < PCI_BARS; i++) {
		const struct pci_bar *bar = &v->pci.bars[i];

		if (v->asleep || !bar->mapped)
			vfio_bar_unplace(&v->bars[i]);
		else
			vfio_bar_place(&v->bars[i], bar->region.base);
	}
}

void vfio_bars_master(struct pci_dev *p, bool on)
{
	(void)on;
	vfio_bars_sync(vfio_pci_of(p));
}

/* --- what there is to map ------------------------------------------------------------------------------- */

static int vfio_area_map(struct vfio_bar *b, uint64_t off, uint64_t size, struct err *e)
{
	struct vfio_pci *v = b->v;
	struct vfio_area *a = &b->areas[b->nareas];
	int prot = (b->flags & VFIO_REGION_INFO_FLAG_READ ? PROT_READ : 0) |
		   (b->flags & VFIO_REGION_INFO_FLAG_WRITE ? PROT_WRITE : 0);
	void *host;
	int r;

	if (!size || b->nareas == VFIO_AREAS_MAX)
		return 0; /* what is too much goes through the descriptor */
	r = v->sys->mmap(v->sys, v->fd, size, prot, b->fd_off + off, &host);
	if (r < 0)
		return err_set(e, ERR_VFIO, "cannot map BAR %u of %s: %s",
			       (unsigned int)(b - v->bars), v->door.host, strerror(-r));
	*a = (struct vfio_area){ .off = off, .size = size, .host = host, .slot = -1 };
	b->nareas++;
	return 0;
}

/* [off, end) without the pages of part `index` of the MSI-X structures, and then without those of the next. */
static int vfio_area_cut(struct vfio_bar *b, uint64_t off, uint64_t end, unsigned int index,
			 struct err *e)
{
	const struct vfio_msix_part *parts[] = { &b->v->table, &b->v->pba };
	const struct vfio_msix_part *part;
	uint64_t from, to;
	int r;

	if (off >= end)
		return 0;
	if (index == ARRAY_SIZE(parts))
		return vfio_area_map(b, off, end - off, e);
	part = parts[index];
	if (!part->size || &b->v->bars[part->bar] != b)
		return vfio_area_cut(b, off, end, index + 1, e);
	from = align_down(part->off, VFIO_PAGE);
	to = align_up(part->off + part->size, VFIO_PAGE);
	if (to <= off || from >= end)
		return vfio_area_cut(b, off, end, index + 1, e);
	r = vfio_area_cut(b, off, from, index + 1, e);
	return r < 0 ? r : vfio_area_cut(b, to, end, index + 1, e);
}

static int vfio_area_add(struct vfio_bar *b, uint64_t size, uint64_t off, uint64_t len,
			 struct err *e)
{
	if (!range_fits(off, len, size) || off % VFIO_PAGE)
		return 0;
	return vfio_area_cut(b, off, off + align_down(len, VFIO_PAGE), 0, e);
}

/* The capability in a region's answer, or NULL. */
static const struct vfio_region_info_cap_sparse_mmap *
vfio_region_sparse(const struct vfio_region_info *info)
{
	uint32_t at = info->flags & VFIO_REGION_INFO_FLAG_CAPS ? info->cap_offset : 0;

	for (unsigned int n = 0; n < 16 && at >= sizeof(*info); n++) {
		const struct vfio_info_cap_header *h;

		if (at % 8 || !range_fits(at, sizeof(*h), info->argsz))
			return NULL;
		h = (const void *)((const char *)info + at);
		if (h->id == VFIO_REGION_INFO_CAP_SPARSE_MMAP &&
		    range_fits(at, sizeof(struct vfio_region_info_cap_sparse_mmap), info->argsz))
			return (const void *)h;
		at = h->next;
	}
	return NULL;
}

static int vfio_bar_areas(struct vfio_bar *b, const struct vfio_region_info *info, struct err *e)
{
	const struct vfio_region_info_cap_sparse_mmap *sparse = vfio_region_sparse(info);
	uint64_t room;
	int r = 0;

	if (!(info->flags & VFIO_REGION_INFO_FLAG_MMAP))
		return 0;
	if (!sparse)
		return vfio_area_add(b, info->size, 0, info->size, e);
	room = info->argsz - (uint64_t)((const char *)sparse->areas - (const char *)info);
	for (uint32_t i = 0; i < MIN(sparse->nr_areas, room / sizeof(sparse->areas[0])) && r >= 0;
	     i++)
		r = vfio_area_add(b, info->size, sparse->areas[i].offset, sparse->areas[i].size, e);
	return r;
}

/* --- making them -------------------------------------------------------------------------------------------- */

/* Its answer may be longer than the struct: asked again with room for it. */
static int vfio_region_ask(struct vfio_pci *v, unsigned int index, struct vfio_region_info **ret,
			   struct err *e)
{
	AUTO_FREE struct vfio_region_info *info = calloc(1, VFIO_INFO_MAX);
	int r = -ENOMEM;

	if (info) {
		info->argsz = sizeof(*info);
		info->index = index;
		r = vfio_ioctl(v, VFIO_DEVICE_GET_REGION_INFO, info);
	}
	if (r >= 0 && info->argsz > sizeof(*info)) {
		info->argsz = (uint32_t)MIN(info->argsz, VFIO_INFO_MAX);
		r = vfio_ioctl(v, VFIO_DEVICE_GET_REGION_INFO, info);
		info->argsz = (uint32_t)MIN(info->argsz, VFIO_INFO_MAX);
	}
	if (r < 0)
		return err_set(e, ERR_VFIO, "no BAR %u of %s: %s", index, v->door.host,
			       strerror(-r));
	*ret = TAKE_PTR(info);
	return 0;
}

static int vfio_bar_init(struct vfio_pci *v, unsigned int index, uint32_t reg, struct err *e)
{
	AUTO_FREE struct vfio_region_info *info = NULL;
	struct vfio_bar *b = &v->bars[index];
	bool io = reg & PCI_BASE_ADDRESS_SPACE_IO;
	bool is64 = !io && (reg & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64;
	int r = vfio_region_ask(v, index, &info, e);

	if (r < 0 || !info)
		return r;
	if (!info->size)
		return 0;
	if (!is_power_of_two(info->size) || (is64 && index == PCI_BARS - 1) ||
	    (io && info->size > 256))
		return err_set(e, ERR_VFIO_DEVICE, "BAR %u of %s: a size of %llu bytes", index,
			       v->door.host, (unsigned long long)info->size);
	b->fd_off = info->offset;
	b->flags = info->flags;
	/* PCI allows I/O BARs of 4 bytes: the guest sees 16, of which the others are not there */
	pci_add_bar(&v->pci, index, MAX(info->size, 16ull), is64, &vfio_bar_ops, b);
	v->pci.bars[index].io = io;
	v->pci.bars[index].prefetch = !io && reg & PCI_BASE_ADDRESS_MEM_PREFETCH;
	r = io ? 0 : vfio_bar_areas(b, info, e);
	return r < 0 ? r : is64;
}

int vfio_bars_init(struct vfio_pci *v, const uint8_t *raw, struct err *e)
{
	for (unsigned int i = 0; i < PCI_BARS; i++)
		v->bars[i].v = v;
	for (unsigned int i = 0; i < PCI_BARS; i++) {
		uint32_t reg;
		int r;

		memcpy(&reg, raw + PCI_BASE_ADDRESS_0 + 4 * i, sizeof(reg));
		r = vfio_bar_init(v, i, reg, e);
		if (r < 0)
			return r;
		i += (unsigned int)r; /* the upper half of a 64-bit one */
	}
	return 0;
}

void vfio_bars_fini(struct vfio_pci *v)
{
	for (unsigned int i = 0; i < PCI_BARS; i++) {
		struct vfio_bar *b = &v->bars[i];

		while (b->nareas) {
			b->nareas--;
			v->sys->munmap(v->sys, b->areas[b->nareas].host, b->areas[b->nareas].size);
		}
	}
}
