// SPDX-License-Identifier: MIT
/*
 * The registers of the Bochs VBE extension ("DISPI"), revision B0C5h: ports 1CEh and 1CFh, and BAR 2 (vga.c). Source: Bochs'
 * iodev/display/vbe.h and what its drivers (vgabios, Linux's bochs-drm, OVMF's QemuVideoDxe) do. A register keeps what
 * is written; what of it is possible is decided where a mode is looked up, so that no order of writes makes one that
 * reaches beyond the memory. Under machine.lock.
 */
#include <string.h>

#include "vmm/display/vga_impl.h"

#define VGA_DISPI_FIRST 0xb0c0 /* the revisions that a driver may say it knows */
#define VGA_DISPI_LAST 0xb0c5
#define VGA_BANK (64 * KIB)

static unsigned int vga_depth(const struct vga_regs *r)
{
	static const uint8_t depths[] = { 4, 8, 15, 16, 24, 32 };

	for (unsigned int i = 0; i < ARRAY_SIZE(depths); i++)
		if (r->dispi[VGA_DISPI_DEPTH] == depths[i])
			return depths[i];
	return 8;
}

/* Bytes of a line of so many pixels; of all four planes for depth 4 */
static uint32_t vga_stride(unsigned int width, unsigned int depth)
{
	return depth == 4 ? width / 8 * 4 : width * ((depth + 7) / 8);
}

static unsigned int vga_clamp(unsigned int val, unsigned int least, unsigned int most)
{
	return MIN(MAX(val, least), most);
}

/* How wide a line is in memory: never so wide that not one line fits. */
static unsigned int vga_virt_width(const struct vga_regs *r, unsigned int width)
{
	return align_down(vga_clamp(r->dispi[VGA_DISPI_VIRT_WIDTH], width, UINT16_MAX), 8);
}

void vga_dispi_mode(const struct vga_regs *r, struct vga_linear *ret)
{
	unsigned int width = align_down(vga_clamp(r->dispi[VGA_DISPI_WIDTH], 8, VGA_WIDTH_MAX), 8);
	unsigned int depth = vga_depth(r), lines, x, y;
	uint32_t stride = vga_stride(vga_virt_width(r, width), depth);

	lines = (unsigned int)(VGA_VRAM_SIZE / stride);
	*ret = (struct vga_linear){ .width = width, .depth = depth, .stride = stride };
	ret->height = vga_clamp(r->dispi[VGA_DISPI_HEIGHT], 1, MIN(lines, VGA_HEIGHT_MAX));
	x = MIN(r->dispi[VGA_DISPI_X], vga_virt_width(r, width) - width);
	y = MIN(r->dispi[VGA_DISPI_Y], lines - ret->height);
	ret->start =
		y * stride + vga_stride(depth == 4 ? (unsigned int)align_down(x, 8) : x, depth);
}

static uint16_t vga_dispi_most(unsigned int index)
{
	switch (index) {
	case VGA_DISPI_WIDTH:
		return VGA_WIDTH_MAX;
	case VGA_DISPI_HEIGHT:
		return VGA_HEIGHT_MAX;
	default:
		return 32;
	}
}

uint16_t vga_dispi_read(const struct vga_regs *r, unsigned int index)
{
	struct vga_linear mode;

	if (index == VGA_DISPI_MEMORY)
		return VGA_VRAM_SIZE / VGA_BANK;
	if (index >= VGA_DISPI_N)
		return 0;
	if (r->dispi[VGA_DISPI_ENABLE] & VGA_DISPI_GETCAPS && index >= VGA_DISPI_WIDTH &&
	    index <= VGA_DISPI_DEPTH)
		return vga_dispi_most(index);
	if (!vga_dispi_on(r))
		return r->dispi[index];
	vga_dispi_mode(r, &mode);
	if (index == VGA_DISPI_WIDTH)
		return (uint16_t)mode.width;
	if (index == VGA_DISPI_HEIGHT)
		return (uint16_t)mode.height;
	if (index == VGA_DISPI_VIRT_WIDTH)
		return (uint16_t)vga_virt_width(r, mode.width);
	if (index == VGA_DISPI_VIRT_HEIGHT)
		return (uint16_t)MIN(VGA_VRAM_SIZE / mode.stride, (uint64_t)UINT16_MAX);
	return r->dispi[index];
}

static void vga_dispi_enable(struct vga *v, uint16_t val)
{
	struct vga_regs *r = &v->regs;
	bool was = vga_dispi_on(r);
	struct vga_linear mode;

	r->dispi[VGA_DISPI_ENABLE] = val & (VGA_DISPI_ENABLED | VGA_DISPI_GETCAPS | VGA_DISPI_DAC8 |
					    VGA_DISPI_LFB | VGA_DISPI_KEEP);
	r->dispi[VGA_DISPI_BANK] = 0;
	if (was || !vga_dispi_on(r))
		return;
	r->dispi[VGA_DISPI_VIRT_WIDTH] = 0; /* as wide as the picture */
	r->dispi[VGA_DISPI_X] = 0;
	r->dispi[VGA_DISPI_Y] = 0;
	vga_dispi_mode(r, &mode);
	if (!(val & VGA_DISPI_KEEP))
		memset(v->vram, 0, (size_t)mode.height * mode.stride);
	vga_touch(v, 0, VGA_VRAM_SIZE);
}

void vga_dispi_write(struct vga *v, unsigned int index, uint16_t val)
{
	struct vga_regs *r = &v->regs;

	switch (index) {
	case VGA_DISPI_ID:
		if (val >= VGA_DISPI_FIRST && val <= VGA_DISPI_LAST)
			r->dispi[index] = val;
		break;
	case VGA_DISPI_BANK:
		r->dispi[index] = val % (uint16_t)(VGA_VRAM_SIZE / VGA_BANK);
		break;
	case VGA_DISPI_ENABLE:
		vga_dispi_enable(v, val);
		break;
	case VGA_DISPI_WIDTH:
	case VGA_DISPI_HEIGHT:
	case VGA_DISPI_DEPTH:
	case VGA_DISPI_VIRT_WIDTH:
	case VGA_DISPI_X:
	case VGA_DISPI_Y:
		r->dispi[index] = val;
		break;
	default: /* follow from the others, or are not there */
		break;
	}
	vga_touch_regs(v);
}

/*
 * Two ports of 16 bits, one of them at an odd address: a region each. The index has one byte here, which is all that a word
 * written to it reaches; no driver reads it.
 */
static uint64_t vga_dispi_index_read(void *dev, uint64_t off, unsigned int size)
{
	const struct vga *v = dev;

	(void)off;
	(void)size;
	return v->regs.dispi_index;
}

static void vga_dispi_index_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct vga *v = dev;

	(void)off;
	(void)size;
	v->regs.dispi_index = (uint8_t)val;
}

static uint64_t vga_dispi_data_read(void *dev, uint64_t off, unsigned int size)
{
	const struct vga *v = dev;

	(void)off;
	(void)size;
	return vga_dispi_read(&v->regs, v->regs.dispi_index);
}

static void vga_dispi_data_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct vga *v = dev;

	(void)off;
	(void)size;
	vga_dispi_write(v, v->regs.dispi_index, (uint16_t)val);
}

const struct region_ops vga_dispi_index_ops = {
	.read = vga_dispi_index_read,
	.write = vga_dispi_index_write,
	.min_size = 1,
	.max_size = 1,
};

const struct region_ops vga_dispi_data_ops = {
	.read = vga_dispi_data_read,
	.write = vga_dispi_data_write,
	.min_size = 2,
	.max_size = 2,
};
