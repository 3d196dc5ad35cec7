/* SPDX-License-Identifier: MIT */
/*
 * Scan codes of PC keyboards: IBM PS/2 Hardware Interface Technical Reference, "Keyboards (101- and 102-Key)", sets 1
 * and 2, and how the controller makes the one of the other ("Keyboard Controller", translation). Keys are Linux'
 * KEY_* (linux/input-event-codes.h).
 */
#ifndef VMM_DEV_SCANCODE_H
#define VMM_DEV_SCANCODE_H

#include <stdbool.h>
#include <stdint.h>

#define SCANCODE_MAX 8	    /* bytes of one key going down or up */
#define SCANCODE_BREAK 0xf0 /* of set 2: the key goes up */

/* What holds while the key moves, and changes its codes. */
struct scancode_held {
	bool shift, ctrl, alt;
};

/* How many bytes; 0: no such key, or nothing is sent (Pause has no break code). set: 1 or 2. */
unsigned int scancode_encode(unsigned int set, uint16_t key, bool down, struct scancode_held held,
			     uint8_t ret[SCANCODE_MAX]);

/* A byte of set 2, not SCANCODE_BREAK, as one of set 1's make codes. */
uint8_t scancode_translate(uint8_t byte);

#endif
