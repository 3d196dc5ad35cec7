// SPDX-License-Identifier: MIT
/*
 * What is typed, on its way to the keyboard: see input.h. A key is passed on when the guest has read the one before,
 * so that its pace is the guest's; a chord is held by guest time. Under machine.lock.
 */
#include "vmm/input.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"
#include "vmm/x86/bios_keys.h"

#define INPUT_MS 1000000ull

static void input_feed(struct input *in);

static void input_held(void *arg)
{
	input_feed(arg);
}

void input_init(struct input *in, struct board *b)
{
	*in = (struct input){ .board = b, .hold = { .fire = input_held, .arg = in } };
}

void input_fini(struct input *in)
{
	free(in->chords);
	in->chords = NULL;
}

void input_reset(struct input *in)
{
	board_timer_cancel(in->board, &in->hold);
	in->nchords = 0;
	in->pressed = in->released = 0;
	in->waits = false;
}

/* --- devices ------------------------------------------------------------------------------------------ */

int input_set_keyboard(struct input *in, const struct input_keyboard *ops, void *dev, struct err *e)
{
	if (in->keyboard)
		return err_set(e, ERR_INVALID, "the machine has a keyboard already");
	if (!in->chords)
		in->chords = calloc(INPUT_CHORDS_MAX, sizeof(*in->chords));
	if (!in->chords)
		return err_ret(e, -ENOMEM, "keyboard");
	in->keyboard = ops;
	in->keyboard_dev = dev;
	return 0;
}

void input_unset_keyboard(struct input *in, const void *dev)
{
	if (in->keyboard_dev != dev)
		return;
	input_reset(in);
	in->keyboard = NULL;
	in->keyboard_dev = NULL;
}

int input_set_mouse(struct input *in, const struct input_mouse *ops, void *dev, struct err *e)
{
	if (in->mouse)
		return err_set(e, ERR_INVALID, "the machine has a mouse already");
	in->mouse = ops;
	in->mouse_dev = dev;
	return 0;
}

void input_unset_mouse(struct input *in, const void *dev)
{
	if (in->mouse_dev != dev)
		return;
	in->mouse = NULL;
	in->mouse_dev = NULL;
}

void input_key(struct input *in, uint16_t key, bool down)
{
	if (in->keyboard)
		in->keyboard->key(in->keyboard_dev, key, down);
}

void input_move(struct input *in, const struct input_pointer *ev)
{
	if (in->mouse)
		in->mouse->move(in->mouse_dev, ev);
}

/* --- what is typed ------------------------------------------------------------------------------------- */

/*
 * Has the BIOS keys enough that its program has not read? When it reads none for long there is no such program, but a system
 * that has left the ring as it was.
 */
static bool input_waits_for_bios(struct input *in)
{
	unsigned int head = 0;
	uint64_t now;

	if (in->pressed || in->released) /* a chord that has begun goes on */
		return false;
	if (bios_keys_waiting(in->board->gmem, &head) < INPUT_BIOS_KEYS) {
		in->waits = false;
		return false;
	}
	now = board_now_ns(in->board);
	if (!in->waits || head != in->head) {
		in->waits = true;
		in->head = head;
		in->since = now;
	}
	if (now - in->since >= INPUT_PATIENCE_MS * INPUT_MS)
		return false;
	board_timer_arm(in->board, &in->hold, now + INPUT_LOOK_MS * INPUT_MS);
	return true;
}

/* One key of the first chord down or up; false: it has to be held first. */
static bool input_step(struct input *in)
{
	const struct input_chord *c = &in->chords[in->first];

	if (in->pressed < c->nkeys) {
		input_key(in, c->keys[in->pressed++], true);
		if (in->pressed < c->nkeys || !c->hold_ms)
			return true;
		board_timer_arm(in->board, &in->hold,
				board_now_ns(in->board) + c->hold_ms * INPUT_MS);
		return false;
	}
	in->released++;
	input_key(in, c->keys[c->nkeys - in->released], false);
	if (in->released == c->nkeys) {
		in->first = (in->first + 1) % INPUT_CHORDS_MAX;
		in->nchords--;
		in->pressed = in->released = 0;
	}
	return true;
}

/* A key that the keyboard does not have leaves it idle, and so does one that goes to the guest at once. */
static void input_feed(struct input *in)
{
	if (in->feeding)
		return;
	in->feeding = true;
	while (in->nchords && !in->hold.armed && in->keyboard->idle(in->keyboard_dev))
		if (input_waits_for_bios(in) || !input_step(in))
			break;
	in->feeding = false;
}

void input_drained(struct input *in)
{
	input_feed(in);
}

int input_type(struct input *in, const struct input_chord *chords, unsigned int n, struct err *e)
{
	if (!in->keyboard) {
		err_set(e, ERR_VM_NO_KEYBOARD, "the VM has no keyboard");
		return err_hint(e, "add a device of type ps2-keyboard to the definition");
	}
	if (n > INPUT_CHORDS_MAX - in->nchords) {
		err_set(e, ERR_BUSY, "the guest has not read the %u keys that wait for it",
			in->nchords);
		return err_hint(e, "at most %d wait: try again when it reads them",
				INPUT_CHORDS_MAX);
	}
	for (unsigned int i = 0; i < n; i++) {
		assert(chords[i].nkeys && chords[i].nkeys <= INPUT_CHORD_MAX);
		in->chords[(in->first + in->nchords++) % INPUT_CHORDS_MAX] = chords[i];
	}
	input_feed(in);
	return 0;
}
