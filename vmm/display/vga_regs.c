// SPDX-License-Identifier: MIT
/*
 * The ports of a VGA: sections 2.1 (general), 2.2 (sequencer), 2.3 (graphics controller), 2.4 (attribute controller), 2.5
 * (colour palette) and 2.6 (CRT controller) of the manual named in vga_impl.h. Registers keep what is written and
 * the bits that are there; what they mean is looked up when a picture is drawn. Under machine.lock.
 */
#include <string.h>

#include "vmm/display/vga_impl.h"

/* 70 frames in a second, of 449 lines, of which 400 are shown: the mode of text */
#define VGA_FRAME_NS 14285714ull
#define VGA_FRAME_LINES 449
#define VGA_FRAME_SHOWN 400
#define VGA_STATUS_BLANK BIT(0)
#define VGA_STATUS_RETRACE BIT(3)
#define VGA_SENSE BIT(4)	/* a colour monitor is there */
#define VGA_CRTC_PROTECT BIT(7) /* of the register RETRACE_END: 0 to 7 cannot be written, but … */
#define VGA_CRTC_COMPARE8 BIT(4) /* … this bit of OVERFLOW */

static const uint8_t vga_seq_bits[VGA_SEQ_N] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e };
static const uint8_t vga_gc_bits[VGA_GC_N] = {
	0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff
};

static uint8_t vga_attr_bits(unsigned int index)
{
	static const uint8_t rest[] = { 0xef, 0xff, 0x3f, 0x0f, 0x0f };

	return index < VGA_ATTR_MODE ? 0x3f : rest[index - VGA_ATTR_MODE];
}

void vga_regs_reset(struct vga_regs *r)
{
	*r = (struct vga_regs){ .dac_mask = 0xff };
	r->dispi[VGA_DISPI_ID] = 0xb0c5;
	r->dispi[VGA_DISPI_DEPTH] = 8;
}

/* Time decides, so that a guest that waits for the next retrace gets on. */
static uint8_t vga_status(struct vga *v)
{
	uint64_t at = board_now_ns(v->dev.board) % VGA_FRAME_NS * VGA_FRAME_LINES;
	uint64_t line = at / VGA_FRAME_NS, dot = at % VGA_FRAME_NS;

	v->regs.attr_data = false;
	if (line >= VGA_FRAME_SHOWN)
		return VGA_STATUS_RETRACE | VGA_STATUS_BLANK;
	return dot > VGA_FRAME_NS / 5 * 4 ? VGA_STATUS_BLANK : 0;
}

/* --- colours -------------------------------------------------------------------------------------------- */

static void vga_dac_next(struct vga_regs *r)
{
	if (++r->dac_part < 3)
		return;
	r->dac_part = 0;
	r->dac_index++;
}

static uint8_t vga_dac_read(struct vga_regs *r)
{
	uint8_t val = r->dac[3 * r->dac_index + r->dac_part];

	vga_dac_next(r);
	return val;
}

static void vga_dac_write(struct vga_regs *r, uint8_t val)
{
	uint8_t bits = r->dispi[VGA_DISPI_ENABLE] & VGA_DISPI_DAC8 ? 0xff : 0x3f;

	r->dac[3 * r->dac_index + r->dac_part] = val & bits;
	vga_dac_next(r);
}

static void vga_dac_select(struct vga_regs *r, uint8_t index, bool reads)
{
	r->dac_index = index;
	r->dac_part = 0;
	r->dac_reads = reads;
}

/* --- the CRT controller, where misc has it ---------------------------------------------------------------- */

static uint8_t vga_crtc_read(struct vga *v, unsigned int reg)
{
	const struct vga_regs *r = &v->regs;

	switch (reg) {
	case 4:
		return r->crtc_index;
	case 5:
		return r->crtc_index < VGA_CRTC_N ? r->crtc[r->crtc_index] : 0;
	case 0xa:
		return vga_status(v);
	default:
		return 0xff;
	}
}

static void vga_crtc_set(struct vga_regs *r, uint8_t val)
{
	bool locked = r->crtc[VGA_CRTC_RETRACE_END] & VGA_CRTC_PROTECT;
	uint8_t *reg = &r->crtc[r->crtc_index];

	if (!locked || r->crtc_index > VGA_CRTC_OVERFLOW)
		*reg = val;
	else if (r->crtc_index == VGA_CRTC_OVERFLOW)
		*reg = (uint8_t)((*reg & ~VGA_CRTC_COMPARE8) | (val & VGA_CRTC_COMPARE8));
}

static void vga_crtc_write(struct vga_regs *r, unsigned int reg, uint8_t val)
{
	if (reg == 4)
		r->crtc_index = val;
	else if (reg == 5 && r->crtc_index < VGA_CRTC_N)
		vga_crtc_set(r, val);
	else if (reg == 0xa)
		r->feature = val & 3;
}

/* --- all others -------------------------------------------------------------------------------------------- */

/* The palette can be written while the screen does not have it. */
static void vga_attr_write(struct vga_regs *r, uint8_t val)
{
	unsigned int index = r->attr_index & 0x1f;

	if (!r->attr_data)
		r->attr_index = val & 0x3f;
	else if (index >= VGA_ATTR_MODE ? index < VGA_ATTR_N : !(r->attr_index & VGA_ATTR_ON))
		r->attr[index] = val & vga_attr_bits(index);
	r->attr_data = !r->attr_data;
}

uint8_t vga_port_read(struct vga *v, unsigned int port)
{
	struct vga_regs *r = &v->regs;

	switch (port) {
	case 0x3c0:
		return r->attr_index;
	case 0x3c1:
		return (r->attr_index & 0x1f) < VGA_ATTR_N ? r->attr[r->attr_index & 0x1f] : 0;
	case 0x3c2:
		return VGA_SENSE;
	case 0x3c4:
		return r->seq_index;
	case 0x3c5:
		return r->seq_index < VGA_SEQ_N ? r->seq[r->seq_index] : 0;
	case 0x3c6:
		return r->dac_mask;
	case 0x3c7:
		return r->dac_reads ? 3 : 0;
	case 0x3c8:
		return r->dac_index;
	case 0x3c9:
		return vga_dac_read(r);
	case 0x3ca:
		return r->feature;
	case 0x3cc:
		return r->misc;
	case 0x3ce:
		return r->gc_index;
	case 0x3cf:
		return r->gc_index < VGA_GC_N ? r->gc[r->gc_index] : 0;
	default:
		break;
	}
	if (port >> 4 == (r->misc & VGA_MISC_COLOR ? 0x3d : 0x3b))
		return vga_crtc_read(v, port & 0xf);
	return 0xff;
}

static void vga_port_set(struct vga_regs *r, unsigned int port, uint8_t val)
{
	switch (port) {
	case 0x3c0:
		vga_attr_write(r, val);
		return;
	case 0x3c2:
		r->misc = val & 0xef;
		return;
	case 0x3c4:
		r->seq_index = val;
		return;
	case 0x3c5:
		if (r->seq_index < VGA_SEQ_N)
			r->seq[r->seq_index] = val & vga_seq_bits[r->seq_index];
		return;
	case 0x3c6:
		r->dac_mask = val;
		return;
	case 0x3c7:
		vga_dac_select(r, val, true);
		return;
	case 0x3c8:
		vga_dac_select(r, val, false);
		return;
	case 0x3c9:
		vga_dac_write(r, val);
		return;
	case 0x3ce:
		r->gc_index = val;
		return;
	case 0x3cf:
		if (r->gc_index < VGA_GC_N)
			r->gc[r->gc_index] = val & vga_gc_bits[r->gc_index];
		return;
	default:
		break;
	}
	if (port >> 4 == (r->misc & VGA_MISC_COLOR ? 0x3d : 0x3b))
		vga_crtc_write(r, port & 0xf, val);
}

void vga_port_write(struct vga *v, unsigned int port, uint8_t val)
{
	vga_port_set(&v->regs, port, val);
	vga_touch_regs(v);
}

static uint64_t vga_mono_read(void *dev, uint64_t off, unsigned int size)
{
	(void)size;
	return vga_port_read(dev, 0x3b0 + (unsigned int)off);
}

static void vga_mono_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	(void)size;
	vga_port_write(dev, 0x3b0 + (unsigned int)off, (uint8_t)val);
}

static uint64_t vga_color_read(void *dev, uint64_t off, unsigned int size)
{
	(void)size;
	return vga_port_read(dev, 0x3c0 + (unsigned int)off);
}

static void vga_color_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	(void)size;
	vga_port_write(dev, 0x3c0 + (unsigned int)off, (uint8_t)val);
}

/* A word to an index port is two bytes: the index, then its register. */
const struct region_ops vga_mono_ops = {
	.read = vga_mono_read,
	.write = vga_mono_write,
	.min_size = 1,
	.max_size = 1,
};

const struct region_ops vga_color_ops = {
	.read = vga_color_read,
	.write = vga_color_write,
	.min_size = 1,
	.max_size = 1,
};
