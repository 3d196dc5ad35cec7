/* SPDX-License-Identifier: MIT */
/*
 * What a screen shows: pictures and text of the device class vga (vga.c). Control loop.
 *
 *	struct vga_shot *s;
 *	vga_shot_new(device, &s);		under machine.lock: the registers are copied, the memory is not
 *	vga_shot_rows(s, 0, s->height, rgb);	without it: a guest that draws meanwhile spoils its own picture only
 */
#ifndef VMM_DISPLAY_VGA_H
#define VMM_DISPLAY_VGA_H

#include <stdint.h>
#include "lib/json.h"
#include "vmm/device.h"

/* The largest mode; no picture is larger. */
#define VGA_WIDTH_MAX 2560
#define VGA_HEIGHT_MAX 1600
/* More cells than this are not shown, nor told. */
#define VGA_COLUMNS_MAX 160
#define VGA_LINES_MAX 100
#define VGA_RGB 3 /* bytes of a pixel: red, green, blue */

struct vga_shot {
	unsigned int width, height;  /* pixels, within the maximum; never 0 */
	unsigned int columns, lines; /* cells; 0: not a text mode */
	struct vga_view *view;	     /* owned: vga_impl.h */
};

/* d: of vga_class. -ENOMEM */
int vga_shot_new(struct device *d, struct vga_shot **ret);
void vga_shot_free(struct vga_shot *s);
/* Rows [first, first + n) of the picture, within its height, to out: n * width * VGA_RGB bytes. */
void vga_shot_rows(const struct vga_shot *s, unsigned int first, unsigned int n, uint8_t *out);
/* The cells of a text mode: a string each line, blanks at its end left out; NULL in other modes. */
struct json_object *vga_shot_text(const struct vga_shot *s);

/*
 * What is new on the screen, for who looks at it all the time; under machine.lock. changed (any thread, under machine.lock) is
 * called once when something may have changed since the last vga_look, but not for what a guest writes to the memory in a
 * linear mode: KVM notes that, and who wants to know asks. changed NULL: nobody looks any more.
 */
void vga_watch(struct device *d, void (*changed)(void *arg), void *arg);
/* Does the guest write what nobody is told of? */
bool vga_is_silent(struct device *d);
struct link_frame;
/* What is new since the last one: true, and the frame, its type too. all: everything is. */
bool vga_look(struct device *d, bool all, struct link_frame *ret);
/* The memory, read-only, borrowed; -1: it is no file. */
int vga_view_fd(struct device *d);

struct vga_regs;
/* The same of registers and memory that came from elsewhere: of any content, and the memory's size. Borrows vram. -ENOMEM */
int vga_shot_of(const struct vga_regs *r, const uint8_t *vram, struct vga_shot **ret);
/* Where the rows are: of each so many bytes of the memory, a stride apart; false: not like that. */
bool vga_shot_linear(const struct vga_shot *s, uint32_t *ret_start, uint32_t *ret_stride,
		     uint32_t *ret_bytes);

#endif
