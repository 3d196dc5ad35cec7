// SPDX-License-Identifier: MIT
/*
 * See screen.h. Only rows whose pages were written are drawn where that can be told (the linear modes), and only what is then
 * another pixel than before is said to have changed: a guest that writes the same again costs its viewers nothing.
 */
#include "display/screen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/display/vga.h"

#define SCREEN_FIRST_WIDTH 640
#define SCREEN_FIRST_HEIGHT 400

/* Rows that changed and lie below each other are told as one rectangle. */
struct screen_band {
	unsigned int x, y, to_x, to_y; /* to_y 0: none */
	const struct screen_ops *ops;
	void *arg;
};

int screen_init(struct screen *s, const uint8_t *memory)
{
	*s = (struct screen){ .memory = memory,
			      .width = SCREEN_FIRST_WIDTH,
			      .height = SCREEN_FIRST_HEIGHT };
	s->pixels = calloc((size_t)VGA_WIDTH_MAX * VGA_HEIGHT_MAX, SCREEN_PIXEL);
	s->row = calloc(VGA_WIDTH_MAX, VGA_RGB);
	if (s->pixels && s->row)
		return 0;
	screen_fini(s);
	return -ENOMEM;
}

void screen_fini(struct screen *s)
{
	free(s->pixels);
	free(s->row);
	*s = (struct screen){ 0 };
}

static void screen_flush(struct screen_band *b)
{
	if (b->to_y)
		b->ops->changed(b->arg, b->x, b->y, b->to_x, b->to_y);
	b->to_y = 0;
}

static void screen_add(struct screen_band *b, unsigned int y, unsigned int x, unsigned int to_x)
{
	if (b->to_y != y)
		screen_flush(b);
	if (!b->to_y) {
		b->x = x;
		b->to_x = to_x;
		b->y = y;
	}
	b->x = MIN(b->x, x);
	b->to_x = MAX(b->to_x, to_x);
	b->to_y = y + 1;
}

static void screen_row(struct screen *s, const struct vga_shot *shot, unsigned int y,
		       struct screen_band *band)
{
	uint8_t *to = s->pixels + (size_t)y * s->width * SCREEN_PIXEL;
	const uint8_t *from = s->row;
	unsigned int first = s->width, last = 0;

	vga_shot_rows(shot, y, 1, s->row);
	for (unsigned int x = 0; x < s->width; x++, from += VGA_RGB, to += SCREEN_PIXEL) {
		if (!memcmp(to, from, VGA_RGB))
			continue;
		memcpy(to, from, VGA_RGB);
		first = MIN(first, x);
		last = x;
	}
	if (first < s->width)
		screen_add(band, y, first, last + 1);
}

static bool screen_written(const struct link_frame *frame, uint32_t from, uint32_t bytes)
{
	for (uint32_t page = from / LINK_PAGE; page <= (from + bytes - 1) / LINK_PAGE; page++)
		if (frame->dirty[page / 64] & BIT64(page % 64))
			return true;
	return false;
}

static void screen_resize(struct screen *s, const struct vga_shot *shot,
			  const struct screen_ops *ops, void *arg)
{
	s->width = shot->width;
	s->height = shot->height;
	memset(s->pixels, 0, (size_t)s->width * s->height * SCREEN_PIXEL);
	ops->resized(arg, s->width, s->height);
}

int screen_draw(struct screen *s, const struct link_frame *frame, const struct screen_ops *ops,
		void *arg)
{
	struct screen_band band = { .ops = ops, .arg = arg };
	uint32_t start = 0, stride = 0, bytes = 0;
	struct vga_shot *shot;
	bool same, linear;
	int r = vga_shot_of(&frame->regs, s->memory, &shot);

	if (r < 0)
		return r;
	if (shot->width > VGA_WIDTH_MAX || shot->height > VGA_HEIGHT_MAX) {
		vga_shot_free(shot);
		return -EPROTO;
	}
	if (shot->width != s->width || shot->height != s->height)
		screen_resize(s, shot, ops, arg);
	same = !memcmp(&s->regs, &frame->regs, sizeof(s->regs));
	memcpy(&s->regs, &frame->regs, sizeof(s->regs));
	linear = vga_shot_linear(shot, &start, &stride, &bytes);
	for (unsigned int y = 0; y < s->height; y++)
		if (!same || !linear || screen_written(frame, start + y * stride, bytes))
			screen_row(s, shot, y, &band);
	screen_flush(&band);
	vga_shot_free(shot);
	return 0;
}
