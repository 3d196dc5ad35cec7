/* SPDX-License-Identifier: MIT */
/*
 * What viewers say of a key, as Linux' KEY_* (linux/input-event-codes.h): keysyms (RFC 6143, section 7.5.4; X11's keysymdef.h),
 * which are of the viewer's layout, and the scan codes of QEMU's extended key event (rfbproto, "QEMU Extended Key Event
 * Message"), which are of the keyboard, whatever the layout.
 */
#ifndef DISPLAY_KEYMAP_H
#define DISPLAY_KEYMAP_H

#include <stdint.h>

#define KEYMAP_SCANCODES 256

struct keymap {
	uint16_t scancodes[KEYMAP_SCANCODES]; /* KEY_RESERVED: none */
};

void keymap_init(struct keymap *m);
/* Where a US keyboard has it; KEY_RESERVED: nowhere. */
uint16_t keymap_keysym(uint32_t keysym);
/* Set 1, without e0 and with bit 7 in its place. */
uint16_t keymap_scancode(const struct keymap *m, uint32_t code);

#endif
