/* SPDX-License-Identifier: MIT */
/*
 * The picture that viewers get, drawn from what a monitor sends of its screen (vmm/display/link.h). Nothing of that is believed:
 * any registers are ones that can be drawn, and the guest writes to the memory meanwhile. Any thread.
 */
#ifndef DISPLAY_SCREEN_H
#define DISPLAY_SCREEN_H

#include <stdint.h>
#include "vmm/display/link.h"

#define SCREEN_PIXEL 4 /* bytes: red, green, blue, 0 */

struct screen {
	const uint8_t *memory; /* borrowed: VGA_VRAM_SIZE bytes, the guest's */
	uint8_t *pixels;       /* owned: row by row without gaps; the same place for each size */
	uint8_t *row;	       /* owned: one, as it is drawn */
	unsigned int width, height;
	struct vga_regs regs; /* of the last frame */
};

struct screen_ops {
	/* Another size; all of it changes. */
	void (*resized)(void *arg, unsigned int width, unsigned int height);
	/* The rectangle from (x, y) to below (to_x, to_y) is new. */
	void (*changed)(void *arg, unsigned int x, unsigned int y, unsigned int to_x,
			unsigned int to_y);
};

/* Black, 640x400, until the first frame. -ENOMEM */
int screen_init(struct screen *s, const uint8_t *memory);
void screen_fini(struct screen *s);
/* What is new in it. -ENOMEM; -EPROTO: the monitor sends what it cannot have */
int screen_draw(struct screen *s, const struct link_frame *frame, const struct screen_ops *ops,
		void *arg);

#endif
