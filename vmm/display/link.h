/* SPDX-License-Identifier: MIT */
/*
 * Between a monitor and the process that shows its screen to viewers (vmm-display): a SOCK_SEQPACKET socket, a message each.
 * Numbers are the host's. The monitor sends when it is asked, once each time, so that nothing piles up at either end, and
 * the display's process sees of the guest what is here: the screen's memory, read-only, and its registers.
 *
 *	vmm	-> LINK_HELLO	first, with the descriptor of the memory
 *	display	-> LINK_LOOK	somebody looks: a frame is wanted, as soon as there is something new
 *	vmm	-> LINK_FRAME	one for each LOOK
 *	display	-> LINK_REST	nobody does any more: none is wanted
 *	display	-> LINK_KEY, LINK_POINTER	what a viewer's user does
 *
 * Who gets a message that is none of these closes the link. A monitor may be older than the display's process, so that hello
 * says what the other parts look like.
 */
#ifndef VMM_DISPLAY_LINK_H
#define VMM_DISPLAY_LINK_H

#include <stdint.h>
#include "vmm/display/vga_impl.h"

#define LINK_VERSION 1
#define LINK_PAGE 4096 /* bytes of the memory for a bit of a frame's dirty */
#define LINK_PAGES (VGA_VRAM_SIZE / LINK_PAGE)

enum link_type { LINK_HELLO = 1, LINK_FRAME, LINK_LOOK, LINK_REST, LINK_KEY, LINK_POINTER };

struct link_hello {
	uint32_t type, version;
	uint32_t memory;     /* bytes */
	uint32_t frame_size; /* of struct link_frame */
};

struct link_frame {
	uint32_t type;
	uint32_t reserved;
	uint64_t dirty[LINK_PAGES / 64]; /* pages that may be new since the last frame */
	struct vga_regs regs;		 /* vga_picture_regs */
};

struct link_look {
	uint32_t type;
	uint32_t all; /* not 0: the frame is to have everything */
};

struct link_key {
	uint32_t type;
	uint16_t key; /* KEY_* */
	uint16_t down;
};

struct link_pointer {
	uint32_t type;
	uint32_t buttons;   /* enum input_button */
	int32_t dx, dy, dz; /* right, down, towards the user */
};

#define LINK_MOVE_MAX 4096 /* of dx, dy and dz */

/* Any message of the display's process */
union link_asked {
	uint32_t type;
	struct link_look look;
	struct link_key key;
	struct link_pointer pointer;
};

#endif
