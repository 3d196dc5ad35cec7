/* SPDX-License-Identifier: MIT */
/*
 * Keys and pointers of a machine: from who types (vmctl send-key, a screen's viewer) to the devices that the guest
 * has. Keys are Linux' KEY_* (linux/input-event-codes.h), buttons a bit each. What is typed waits here, and
 * the keyboard takes it as its guest reads: none is lost, unless it is typed by a hand. A BIOS reads for others, and
 * loses what they do not take: so keys wait for those too, but not for ever. Under machine.lock.
 */
#ifndef VMM_INPUT_H
#define VMM_INPUT_H

#include <stdbool.h>
#include <stdint.h>
#include "lib/err.h"
#include "vmm/board.h"

#define INPUT_CHORD_MAX 8     /* keys that are down together */
#define INPUT_CHORDS_MAX 1024 /* that wait */
#define INPUT_HOLD_MAX_MS 10000
#define INPUT_BIOS_KEYS 8	/* that nobody has read: then keys wait; a chord fits besides */
#define INPUT_PATIENCE_MS 30000 /* so long, when none of them is read */
#define INPUT_LOOK_MS 20	/* from look to look */

enum input_button {
	INPUT_LEFT = BIT(0),
	INPUT_RIGHT = BIT(1),
	INPUT_MIDDLE = BIT(2),
	INPUT_SIDE = BIT(3),
	INPUT_EXTRA = BIT(4),
};

struct input_pointer {
	int dx, dy;	 /* right, down */
	int dz;		 /* of the wheel: towards the user */
	uint8_t buttons; /* enum input_button, those that are down now */
};

struct input_keyboard {
	/* A key goes down, again if it is down, or up. One that it does not have is ignored. */
	void (*key)(void *dev, uint16_t key, bool down);
	/* Does it take keys, and has the guest read them all? When that becomes true it calls input_drained. */
	bool (*idle)(void *dev);
};

struct input_mouse {
	void (*move)(void *dev, const struct input_pointer *ev);
};

/* Pressed in their order, held, let go in the other. */
struct input_chord {
	uint16_t keys[INPUT_CHORD_MAX];
	uint8_t nkeys;
	uint16_t hold_ms;
};

/* Embedded in its machine; the devices find it in their board. */
struct input {
	struct board *board; /* borrowed */
	const struct input_keyboard *keyboard;
	void *keyboard_dev; /* borrowed */
	const struct input_mouse *mouse;
	void *mouse_dev; /* borrowed */
	struct input_chord
		*chords; /* owned: a ring of INPUT_CHORDS_MAX, made with the first keyboard */
	unsigned int first, nchords;
	unsigned int pressed, released; /* keys of the first chord */
	struct board_timer hold;
	unsigned int head; /* of the BIOS's ring, if somebody waits for it to move … */
	bool waits;
	uint64_t since; /* … since this time of the board */
	bool feeding;
};

void input_init(struct input *in, struct board *b);
void input_fini(struct input *in);
/* What waits is dropped: the guest that it was for is gone. */
void input_reset(struct input *in);

/* -ERR_INVALID: there is one. */
int input_set_keyboard(struct input *in, const struct input_keyboard *ops, void *dev,
		       struct err *e);
int input_set_mouse(struct input *in, const struct input_mouse *ops, void *dev, struct err *e);
/* One that was not set is fine. */
void input_unset_keyboard(struct input *in, const void *dev);
void input_unset_mouse(struct input *in, const void *dev);
/* By the keyboard: it is idle now. */
void input_drained(struct input *in);

/*
 * All of them or none. -ERR_VM_NO_KEYBOARD; -ERR_BUSY: too many wait that the guest has not read. A chord has 1 to
 * INPUT_CHORD_MAX keys.
 */
int input_type(struct input *in, const struct input_chord *chords, unsigned int n, struct err *e);

/* By a hand: at once, and lost where there is no such device, or it is full. */
void input_key(struct input *in, uint16_t key, bool down);
void input_move(struct input *in, const struct input_pointer *ev);

#endif
