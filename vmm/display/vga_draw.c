// SPDX-License-Identifier: MIT
/*
 * The picture of a VGA, row by row, from a copy of its registers and from its memory: sections 2.3 (shift modes), 2.4 (palette) and
 * 2.6 (addresses) of the manual named in vga_impl.h. Left out: panning by single pixels (AR13, CR08). The guest may
 * write the memory at any time: nothing that was read of it decides where to read next. Control loop.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/display/vga_impl.h"

/* Of a screen that nobody has set to a mode */
#define VGA_NONE_WIDTH 640
#define VGA_NONE_HEIGHT 400

/* --- colours -------------------------------------------------------------------------------------------- */

unsigned int vga_palette(const struct vga_regs *r, unsigned int color)
{
	unsigned int c = r->attr[color & 0xf] & 0x3f, select = r->attr[VGA_ATTR_SELECT];

	if (r->attr[VGA_ATTR_MODE] & VGA_ATTR_SELECT_54)
		c = (c & 0xf) | (select & 3) << 4;
	return c | (select & 0xc) << 4;
}

static void vga_colors(struct vga_view *w)
{
	bool wide = w->regs.dispi[VGA_DISPI_ENABLE] & VGA_DISPI_DAC8;

	for (unsigned int i = 0; i < ARRAY_SIZE(w->colors); i++)
		for (unsigned int part = 0; part < VGA_RGB; part++) {
			uint8_t val = w->regs.dac[3 * (i & w->regs.dac_mask) + part];

			w->colors[i][part] = wide ? val : (uint8_t)(val << 2 | (val & 0x3f) >> 4);
		}
}

static void vga_put(uint8_t *out, unsigned int x, const uint8_t color[VGA_RGB])
{
	memcpy(out + VGA_RGB * x, color, VGA_RGB);
}

/* The pixel of the four planes at bit 7 - n */
static unsigned int vga_plane_bits(const uint8_t planes[4], unsigned int n)
{
	unsigned int color = 0;

	for (unsigned int p = 0; p < 4; p++)
		color |= (planes[p] >> (7 - n) & 1u) << p;
	return color;
}

static void vga_put16(const struct vga_view *w, uint8_t *out, unsigned int x, unsigned int color)
{
	color &= w->regs.attr[VGA_ATTR_PLANES];
	vga_put(out, x, w->colors[vga_palette(&w->regs, color)]);
}

/* --- VBE -------------------------------------------------------------------------------------------------- */

static uint8_t vga_widen(unsigned int val, unsigned int bits)
{
	val &= (1u << bits) - 1;
	return (uint8_t)(val << (8 - bits) | val >> (2 * bits - 8));
}

static void vga_linear_pixel(const struct vga_view *w, const uint8_t *p, uint8_t *out)
{
	unsigned int val;

	switch (w->linear.depth) {
	case 8:
		memcpy(out, w->colors[*p], VGA_RGB);
		return;
	case 15:
		val = p[0] | (unsigned int)p[1] << 8;
		out[0] = vga_widen(val >> 10, 5);
		out[1] = vga_widen(val >> 5, 5);
		out[2] = vga_widen(val, 5);
		return;
	case 16:
		val = p[0] | (unsigned int)p[1] << 8;
		out[0] = vga_widen(val >> 11, 5);
		out[1] = vga_widen(val >> 5, 6);
		out[2] = vga_widen(val, 5);
		return;
	default: /* blue first; of 32 bits the last byte is nothing */
		out[0] = p[2];
		out[1] = p[1];
		out[2] = p[0];
		return;
	}
}

static void vga_linear_row(const struct vga_shot *s, unsigned int y, uint8_t *out)
{
	const struct vga_view *w = s->view;
	const uint8_t *row = w->vram + w->linear.start + (size_t)y * w->linear.stride;
	unsigned int bytes = (w->linear.depth + 7) / 8;

	for (unsigned int x = 0; x < s->width; x++)
		if (w->linear.depth == 4)
			vga_put(out, x,
				w->colors[vga_palette(&w->regs,
						      vga_plane_bits(row + x / 8 * 4, x % 8))]);
		else
			vga_linear_pixel(w, row + (size_t)x * bytes, out + VGA_RGB * x);
}

/* --- the graphics of a VGA ------------------------------------------------------------------------------------ */

/* The line of the tube from which on the memory is read from its beginning again: CR18, CR07, CR09 */
static unsigned int vga_compare_line(const struct vga_regs *r)
{
	return r->crtc[VGA_CRTC_COMPARE] | (r->crtc[VGA_CRTC_OVERFLOW] & BIT(4)) << 4 |
	       (r->crtc[VGA_CRTC_CELL] & BIT(6)) << 3;
}

/* Where a row begins, in bytes of a plane: CR17 lets lines be kept in two or four banks, as a CGA did. */
static unsigned int vga_row_at(const struct vga_view *w, unsigned int y)
{
	const struct vga_regs *r = &w->regs;
	unsigned int tube = y * w->repeat, split = vga_compare_line(r), at = vga_start(r);
	unsigned int mode = r->crtc[VGA_CRTC_MODE], cell = r->crtc[VGA_CRTC_CELL], scan;

	if (tube > split) {
		tube -= split + 1;
		at = 0;
	}
	scan = tube >> (cell >> 7);
	at += scan / ((cell & 0x1f) + 1) * vga_pitch(r);
	scan %= (cell & 0x1f) + 1;
	if (!(mode & 1)) {
		unsigned int bit = mode & BIT(6) ? 13 : 12;

		at = (at & ~(1u << bit)) | (scan & 1) << bit;
	}
	if (!(mode & 2))
		at = (at & ~BIT(13)) | (scan & 2) << 12;
	return at;
}

/* Two bits a pixel, four of them in planes 0 and 2, four in 1 and 3 */
static unsigned int vga_cga_bits(const uint8_t planes[4], unsigned int n)
{
	unsigned int plane = n / 4, shift = 6 - 2 * (n % 4);

	return (planes[plane] >> shift & 3u) | (planes[plane + 2] >> shift & 3u) << 2;
}

static void vga_graphics_row(const struct vga_shot *s, unsigned int y, uint8_t *out)
{
	const struct vga_view *w = s->view;
	unsigned int shift = w->regs.gc[VGA_GC_MODE] & VGA_MODE_SHIFT, at = vga_row_at(w, y);

	for (unsigned int x = 0; x < s->width; x++)
		if (shift > VGA_MODE_SHIFT_CGA)
			vga_put(out, x, w->colors[vga_planes(w, at + x / 4)[x % 4]]);
		else if (shift)
			vga_put16(w, out, x, vga_cga_bits(vga_planes(w, at + x / 8), x % 8));
		else
			vga_put16(w, out, x, vga_plane_bits(vga_planes(w, at + x / 8), x % 8));
}

/* CR12, with the upper bits in CR07 */
static unsigned int vga_tube_lines(const struct vga_regs *r)
{
	unsigned int over = r->crtc[VGA_CRTC_OVERFLOW];

	return (r->crtc[VGA_CRTC_LINES] | (over & BIT(1)) << 7 | (over & BIT(6)) << 3) + 1u;
}

static void vga_graphics_init(struct vga_shot *s)
{
	struct vga_view *w = s->view;
	const struct vga_regs *r = &w->regs;
	unsigned int cell = r->crtc[VGA_CRTC_CELL];

	s->width = (r->crtc[VGA_CRTC_COLUMNS] + 1u) * 8;
	if ((r->gc[VGA_GC_MODE] & VGA_MODE_SHIFT) > VGA_MODE_SHIFT_CGA)
		s->width /= 2; /* a colour takes two clocks */
	w->repeat = 1u << (cell >> 7);
	if ((r->crtc[VGA_CRTC_MODE] & 3) == 3)
		w->repeat *= (cell & 0x1f) + 1;
	s->height = MAX(vga_tube_lines(r) / w->repeat, 1u);
}

/* --- any mode ------------------------------------------------------------------------------------------------- */

static void vga_shot_mode(struct vga_shot *s)
{
	struct vga_view *w = s->view;
	const struct vga_regs *r = &w->regs;

	w->blank = !(r->attr_index & VGA_ATTR_ON);
	if (vga_dispi_on(r)) {
		vga_dispi_mode(r, &w->linear);
		s->width = w->linear.width;
		s->height = w->linear.height;
		return;
	}
	w->blank = w->blank || r->seq[VGA_SEQ_CLOCK] & VGA_CLOCK_OFF;
	if (!r->crtc[VGA_CRTC_COLUMNS]) {
		w->blank = true;
		s->width = VGA_NONE_WIDTH;
		s->height = VGA_NONE_HEIGHT;
	} else if (r->gc[VGA_GC_MISC] & VGA_MISC_GRAPHICS) {
		vga_graphics_init(s);
	} else {
		vga_text_init(s, vga_tube_lines(r));
	}
}

int vga_shot_of(const struct vga_regs *r, const uint8_t *vram, struct vga_shot **ret)
{
	struct vga_shot *s = calloc(1, sizeof(*s));

	if (s)
		s->view = calloc(1, sizeof(*s->view));
	if (!s || !s->view) {
		free(s);
		return -ENOMEM;
	}
	s->view->vram = vram;
	s->view->regs = *r;
	vga_colors(s->view);
	vga_shot_mode(s);
	*ret = s;
	return 0;
}

int vga_shot_new(struct device *d, struct vga_shot **ret)
{
	const struct vga *v = container_of(d, struct vga, dev);

	return vga_shot_of(&v->regs, v->vram, ret);
}

bool vga_shot_linear(const struct vga_shot *s, uint32_t *ret_start, uint32_t *ret_stride,
		     uint32_t *ret_bytes)
{
	const struct vga_linear *l = &s->view->linear;

	if (!l->width || s->view->blank)
		return false;
	*ret_start = l->start;
	*ret_stride = l->stride;
	*ret_bytes = l->depth == 4 ? l->width / 2 : l->width * ((l->depth + 7) / 8);
	return true;
}

void vga_shot_free(struct vga_shot *s)
{
	if (s)
		free(s->view);
	free(s);
}

void vga_shot_rows(const struct vga_shot *s, unsigned int first, unsigned int n, uint8_t *out)
{
	size_t bytes = (size_t)s->width * VGA_RGB;

	for (unsigned int y = first; y < first + n; y++, out += bytes)
		if (s->view->blank)
			memset(out, 0, bytes);
		else if (s->view->linear.width)
			vga_linear_row(s, y, out);
		else if (s->columns)
			vga_text_row(s, y, out);
		else
			vga_graphics_row(s, y, out);
}
