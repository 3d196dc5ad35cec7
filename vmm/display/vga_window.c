// SPDX-License-Identifier: MIT
/*
 * The memory of a VGA at A0000h to BFFFFh: a byte of the guest's is up to four of the planes. Sections 2.2 (memory mode), 2.3
 * (graphics controller: write modes 0 to 3, read modes 0 and 1) of the manual named in vga_impl.h; while VBE is on, a window of
 * 64 KiB into the linear memory. Under machine.lock.
 */
#include <string.h>

#include "vmm/display/vga_impl.h"

#define VGA_BANK_SHIFT 16

/* A bit a plane becomes a byte a plane. */
static uint32_t vga_spread(unsigned int bits)
{
	return (bits & 1 ? 0xffu : 0) | (bits & 2 ? 0xff00u : 0) | (bits & 4 ? 0xff0000u : 0) |
	       (bits & 8 ? 0xff000000u : 0);
}

/* The same byte for each plane */
static uint32_t vga_repeat(uint8_t val)
{
	return val * 0x01010101u;
}

/* Where in the display's memory, in bytes of a plane; false: nobody is there. GR06, section 2.3 */
static bool vga_window_at(const struct vga_regs *r, uint64_t off, uint32_t *ret)
{
	static const struct {
		uint32_t from, size;
	} maps[] = { { 0, 0x20000 }, { 0, 0x10000 }, { 0x10000, 0x8000 }, { 0x18000, 0x8000 } };
	unsigned int map = r->gc[VGA_GC_MISC] >> 2 & 3;

	if (vga_dispi_on(r)) {
		*ret = (uint32_t)off | (uint32_t)r->dispi[VGA_DISPI_BANK] << VGA_BANK_SHIFT;
		return off < BIT(VGA_BANK_SHIFT);
	}
	*ret = (uint32_t)off - maps[map].from;
	return r->misc & VGA_MISC_RAM && off >= maps[map].from && *ret < maps[map].size;
}

/* Bytes lie one after the other: mode 13h, and VBE but for its 16 colours */
static bool vga_window_linear(const struct vga_regs *r)
{
	if (vga_dispi_on(r))
		return r->dispi[VGA_DISPI_DEPTH] != 4;
	return r->seq[VGA_SEQ_MEMORY] & VGA_MEMORY_CHAIN4;
}

static uint32_t vga_load(const struct vga *v, uint32_t offset)
{
	uint32_t val;

	memcpy(&val, v->vram + (4 * (uint64_t)offset & (VGA_VRAM_SIZE - 1)), sizeof(val));
	return val;
}

static void vga_store(struct vga *v, uint32_t offset, uint32_t val)
{
	uint64_t at = 4 * (uint64_t)offset & (VGA_VRAM_SIZE - 1);

	memcpy(v->vram + at, &val, sizeof(val));
	vga_touch(v, at, sizeof(val));
}

static void vga_store_byte(struct vga *v, uint32_t at, uint8_t val)
{
	at &= VGA_VRAM_SIZE - 1;
	v->vram[at] = val;
	vga_touch(v, at, 1);
}

/* --- reading -------------------------------------------------------------------------------------------- */

/* Read mode 1: a bit is set where the planes that count have the colour. GR02, GR07 */
static uint8_t vga_compare(const struct vga_regs *r)
{
	uint32_t wrong =
		(r->latch ^ vga_spread(r->gc[VGA_GC_COMPARE])) & vga_spread(r->gc[VGA_GC_CARE]);

	wrong |= wrong >> 16;
	return (uint8_t) ~(wrong | wrong >> 8);
}

static uint64_t vga_window_read(void *dev, uint64_t off, unsigned int size)
{
	struct vga *v = dev;
	struct vga_regs *r = &v->regs;
	unsigned int plane = r->gc[VGA_GC_READ_PLANE] & 3;
	uint32_t at;

	(void)size;
	if (!vga_window_at(r, off, &at))
		return 0xff;
	if (vga_window_linear(r)) {
		r->latch = vga_load(v, at / 4);
		return v->vram[at & (VGA_VRAM_SIZE - 1)];
	}
	if (r->gc[VGA_GC_MODE] & VGA_MODE_ODD_EVEN && !vga_dispi_on(r)) {
		plane = (plane & 2) | (at & 1);
		at /= 2;
	}
	r->latch = vga_load(v, at);
	if (r->gc[VGA_GC_MODE] & VGA_MODE_READ_COMPARE)
		return vga_compare(r);
	return (uint8_t)(r->latch >> 8 * plane);
}

/* --- writing -------------------------------------------------------------------------------------------- */

static uint8_t vga_rotate(const struct vga_regs *r, uint8_t val)
{
	unsigned int n = r->gc[VGA_GC_ROTATE] & 7;

	return (uint8_t)(val >> n | val << (8 - n));
}

/* GR03: how what is written meets what the latches have */
static uint32_t vga_combine(const struct vga_regs *r, uint32_t val)
{
	switch (r->gc[VGA_GC_ROTATE] >> 3) {
	case 1:
		return val & r->latch;
	case 2:
		return val | r->latch;
	case 3:
		return val ^ r->latch;
	default:
		return val;
	}
}

/* What the planes would get: GR05, write modes */
static uint32_t vga_written(const struct vga_regs *r, uint8_t val)
{
	uint32_t set = vga_spread(r->gc[VGA_GC_SET]), enable = vga_spread(r->gc[VGA_GC_SET_ENABLE]);
	uint32_t mask = vga_repeat(r->gc[VGA_GC_MASK]), out;

	switch (r->gc[VGA_GC_MODE] & 3) {
	case 1:
		return r->latch;
	case 2:
		out = vga_combine(r, vga_spread(val));
		break;
	case 3:
		mask &= vga_repeat(vga_rotate(r, val));
		out = set;
		break;
	default:
		out = vga_repeat(vga_rotate(r, val));
		out = vga_combine(r, (out & ~enable) | (set & enable));
		break;
	}
	return (out & mask) | (r->latch & ~mask);
}

static void vga_planar_write(struct vga *v, uint32_t at, uint8_t val)
{
	const struct vga_regs *r = &v->regs;
	uint32_t planes = vga_spread(r->seq[VGA_SEQ_MASK]);

	if (!(r->seq[VGA_SEQ_MEMORY] & VGA_MEMORY_SEQUENTIAL) && !vga_dispi_on(r)) {
		planes &= at & 1 ? vga_spread(0xa) : vga_spread(0x5);
		at /= 2;
	}
	vga_store(v, at, (vga_load(v, at) & ~planes) | (vga_written(r, val) & planes));
}

static void vga_window_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct vga *v = dev;
	const struct vga_regs *r = &v->regs;
	uint32_t at;

	(void)size;
	if (!vga_window_at(r, off, &at))
		return;
	if (!vga_window_linear(r))
		vga_planar_write(v, at, (uint8_t)val);
	else if (vga_dispi_on(r) || r->seq[VGA_SEQ_MASK] & BIT(at & 3))
		vga_store_byte(v, at, (uint8_t)val);
}

const struct region_ops vga_window_ops = {
	.read = vga_window_read,
	.write = vga_window_write,
	.min_size = 1,
	.max_size = 1,
};
