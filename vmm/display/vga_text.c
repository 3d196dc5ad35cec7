// SPDX-License-Identifier: MIT
/*
 * The text modes of a VGA: cells of a character and its colours in planes 0 and 1, the glyphs in plane 2. Sections 2.2 (SR01, SR03),
 * 2.4 (AR10) and 2.6 (CR09 to CR0F) of the manual named in vga_impl.h. Nothing blinks in a picture: a cursor that is there
 * is seen, and so is text that would blink. Control loop.
 */
#include <string.h>

#include "vmm/display/vga_impl.h"

#define VGA_GLYPH 32 /* bytes of plane 2 for each character */
#define VGA_FONT (256 * VGA_GLYPH)
#define VGA_CURSOR_OFF BIT(5)

/* What the characters of a PC look like: code page 437, and the signs of its control characters */
static const uint16_t vga_cp437[256] = {
	0x0020, 0x263a, 0x263b, 0x2665, 0x2666, 0x2663, 0x2660, 0x2022, 0x25d8, 0x25cb, 0x25d9,
	0x2642, 0x2640, 0x266a, 0x266b, 0x263c, 0x25ba, 0x25c4, 0x2195, 0x203c, 0x00b6, 0x00a7,
	0x25ac, 0x21a8, 0x2191, 0x2193, 0x2192, 0x2190, 0x221f, 0x2194, 0x25b2, 0x25bc, 0x0020,
	0x0021, 0x0022, 0x0023, 0x0024, 0x0025, 0x0026, 0x0027, 0x0028, 0x0029, 0x002a, 0x002b,
	0x002c, 0x002d, 0x002e, 0x002f, 0x0030, 0x0031, 0x0032, 0x0033, 0x0034, 0x0035, 0x0036,
	0x0037, 0x0038, 0x0039, 0x003a, 0x003b, 0x003c, 0x003d, 0x003e, 0x003f, 0x0040, 0x0041,
	0x0042, 0x0043, 0x0044, 0x0045, 0x0046, 0x0047, 0x0048, 0x0049, 0x004a, 0x004b, 0x004c,
	0x004d, 0x004e, 0x004f, 0x0050, 0x0051, 0x0052, 0x0053, 0x0054, 0x0055, 0x0056, 0x0057,
	0x0058, 0x0059, 0x005a, 0x005b, 0x005c, 0x005d, 0x005e, 0x005f, 0x0060, 0x0061, 0x0062,
	0x0063, 0x0064, 0x0065, 0x0066, 0x0067, 0x0068, 0x0069, 0x006a, 0x006b, 0x006c, 0x006d,
	0x006e, 0x006f, 0x0070, 0x0071, 0x0072, 0x0073, 0x0074, 0x0075, 0x0076, 0x0077, 0x0078,
	0x0079, 0x007a, 0x007b, 0x007c, 0x007d, 0x007e, 0x2302, 0x00c7, 0x00fc, 0x00e9, 0x00e2,
	0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8, 0x00ef, 0x00ee, 0x00ec, 0x00c4,
	0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2, 0x00fb, 0x00f9, 0x00ff, 0x00d6,
	0x00dc, 0x00a2, 0x00a3, 0x00a5, 0x20a7, 0x0192, 0x00e1, 0x00ed, 0x00f3, 0x00fa, 0x00f1,
	0x00d1, 0x00aa, 0x00ba, 0x00bf, 0x2310, 0x00ac, 0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb,
	0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563, 0x2551,
	0x2557, 0x255d, 0x255c, 0x255b, 0x2510, 0x2514, 0x2534, 0x252c, 0x251c, 0x2500, 0x253c,
	0x255e, 0x255f, 0x255a, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550, 0x256c, 0x2567, 0x2568,
	0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256b, 0x256a, 0x2518, 0x250c, 0x2588,
	0x2584, 0x258c, 0x2590, 0x2580, 0x03b1, 0x00df, 0x0393, 0x03c0, 0x03a3, 0x03c3, 0x00b5,
	0x03c4, 0x03a6, 0x0398, 0x03a9, 0x03b4, 0x221e, 0x03c6, 0x03b5, 0x2229, 0x2261, 0x00b1,
	0x2265, 0x2264, 0x2320, 0x2321, 0x00f7, 0x2248, 0x00b0, 0x2219, 0x00b7, 0x221a, 0x207f,
	0x00b2, 0x25a0, 0x0020,
};

void vga_text_init(struct vga_shot *s, unsigned int tube_lines)
{
	struct vga_view *w = s->view;
	const struct vga_regs *r = &w->regs;
	unsigned int clock = r->seq[VGA_SEQ_CLOCK];

	w->cell_width = clock & VGA_CLOCK_8DOTS ? 8 : 9;
	if (clock & VGA_CLOCK_HALF)
		w->cell_width = 16;
	w->cell_height = (r->crtc[VGA_CRTC_CELL] & 0x1f) + 1;
	s->columns = MIN(r->crtc[VGA_CRTC_COLUMNS] + 1u, VGA_COLUMNS_MAX);
	s->lines = MIN(MAX(tube_lines / w->cell_height, 1u), VGA_LINES_MAX);
	s->width = s->columns * w->cell_width;
	s->height = s->lines * w->cell_height;
}

static unsigned int vga_cell_at(const struct vga_view *w, unsigned int line, unsigned int column)
{
	return vga_start(&w->regs) + line * vga_pitch(&w->regs) + column;
}

/* SR03: where the glyphs are, in bytes of plane 2; another place for characters whose attribute has bit 3 */
static unsigned int vga_font(const struct vga_regs *r, bool bright)
{
	unsigned int map = r->seq[VGA_SEQ_FONT];

	if (bright)
		map = (map >> 5 & 1) | (map >> 1 & 6);
	else
		map = (map >> 4 & 1) | (map << 1 & 6);
	return map * VGA_FONT;
}

static bool vga_cursor_here(const struct vga_regs *r, unsigned int at, unsigned int row)
{
	unsigned int start = r->crtc[VGA_CRTC_CURSOR_START], end = r->crtc[VGA_CRTC_CURSOR_END];
	unsigned int cursor =
		(unsigned int)r->crtc[VGA_CRTC_CURSOR_HIGH] << 8 | r->crtc[VGA_CRTC_CURSOR_LOW];

	return at == cursor && !(start & VGA_CURSOR_OFF) && row >= (start & 0x1f) &&
	       row <= (end & 0x1f);
}

/* One row of a cell: its dots, the first one in bit 15 */
static unsigned int vga_cell_dots(const struct vga_view *w, const uint8_t *cell, unsigned int at,
				  unsigned int row)
{
	const struct vga_regs *r = &w->regs;
	uint8_t character = cell[0];
	unsigned int font = vga_font(r, cell[1] & 8);
	unsigned int glyph = vga_planes(w, font + character * VGA_GLYPH + row)[2], dots = 0;

	if (vga_cursor_here(r, at, row))
		return 0xffff;
	if (w->cell_width == 16) {
		for (unsigned int i = 0; i < 8; i++)
			dots |= (glyph >> i & 1) * (3u << 2 * i);
		return dots;
	}
	dots = glyph << 8;
	if (r->attr[VGA_ATTR_MODE] & VGA_ATTR_LINES && character >= 0xc0 && character <= 0xdf)
		dots |= (glyph & 1) << 7;
	return dots;
}

void vga_text_row(const struct vga_shot *s, unsigned int y, uint8_t *out)
{
	const struct vga_view *w = s->view;
	const struct vga_regs *r = &w->regs;
	unsigned int line = y / w->cell_height, row = y % w->cell_height;
	unsigned int back_bits = r->attr[VGA_ATTR_MODE] & VGA_ATTR_BLINK ? 7 : 15;

	for (unsigned int column = 0; column < s->columns; column++) {
		unsigned int at = vga_cell_at(w, line, column);
		uint8_t cell[2];
		const uint8_t *fore, *back;
		unsigned int dots;

		memcpy(cell, vga_planes(w, at), sizeof(cell)); /* once: the guest may change it */
		dots = vga_cell_dots(w, cell, at, row);
		fore = w->colors[vga_palette(r, cell[1] & 0xf)];
		back = w->colors[vga_palette(r, cell[1] >> 4 & back_bits)];
		for (unsigned int x = 0; x < w->cell_width; x++, out += VGA_RGB)
			memcpy(out, dots & (0x8000u >> x) ? fore : back, VGA_RGB);
	}
}

/* UTF-8 of a character of vga_cp437: up to three bytes */
static size_t vga_utf8(uint8_t character, char *out)
{
	unsigned int c = vga_cp437[character];

	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	out[0] = (char)(0xe0 | c >> 12);
	out[1] = (char)(0x80 | (c >> 6 & 0x3f));
	out[2] = (char)(0x80 | (c & 0x3f));
	return 3;
}

static struct json_object *vga_text_line(const struct vga_shot *s, unsigned int line)
{
	char text[3 * VGA_COLUMNS_MAX];
	size_t len = 0, end = 0;

	for (unsigned int column = 0; column < s->columns; column++) {
		uint8_t character = *vga_planes(s->view, vga_cell_at(s->view, line, column));

		len += vga_utf8(character, text + len);
		if (vga_cp437[character] != ' ')
			end = len;
	}
	return json_object_new_string_len(text, (int)end);
}

struct json_object *vga_shot_text(const struct vga_shot *s)
{
	struct json_object *lines;

	if (!s->columns || s->view->blank)
		return NULL;
	lines = json_object_new_array();
	for (unsigned int line = 0; line < s->lines; line++)
		json_object_array_add(lines, vga_text_line(s, line));
	return lines;
}
