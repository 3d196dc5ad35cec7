// SPDX-License-Identifier: MIT
// A keyboard of 101 or 102 keys: IBM PS/2 Hardware Interface Technical Reference, "Keyboards (101- and 102-Key)".
// Scan code sets 1 and 2; set 3 is refused, as by keyboards that lack it. It repeats no key by itself: who
// types says that one is down again. A reset of the machine is not a power-on of the keyboard, so that no
// result of a self-test waits in the way of a driver. Under machine.lock.
#include "vmm/dev/dev.h"

#include <linux/input-event-codes.h>
#include <string.h>

#include "vmm/dev/ps2.h"
#include "vmm/dev/scancode.h"
#include "vmm/input.h"

#define PS2_KEYBOARD_FIFO 16 /* and one for the overrun code */
#define PS2_KEYBOARD_SETS 2
#define PS2_KEYBOARD_RATE 0x2b /* 10.9 a second after 500 ms */

enum ps2_keyboard_cmd {
	PS2_KEYBOARD_LEDS = 0xed,
	PS2_KEYBOARD_ECHO = 0xee,
	PS2_KEYBOARD_SET = 0xf0,
	PS2_KEYBOARD_ID = 0xf2,
	PS2_KEYBOARD_TYPEMATIC = 0xf3,
	PS2_KEYBOARD_ENABLE = 0xf4,
	PS2_KEYBOARD_DISABLE = 0xf5,
	PS2_KEYBOARD_DEFAULT = 0xf6,
	PS2_KEYBOARD_ALL_FIRST = 0xf7, /* of all keys, in set 3 */
	PS2_KEYBOARD_ALL_LAST = 0xfa,
	PS2_KEYBOARD_RESEND = 0xfe,
	PS2_KEYBOARD_RESET = 0xff,
};

struct ps2_keyboard {
	struct device dev; /* first */
	struct ps2 ps2;
	uint8_t fifo[PS2_KEYBOARD_FIFO + 1];
	unsigned int first, n;
	bool scanning;
	uint8_t set, leds, rate;
	uint8_t pending; /* command that waits for its byte, or 0 */
	struct {
		bool lshift, rshift, lctrl, rctrl, lalt, ralt;
	} down;
};

static bool ps2_keyboard_idle(void *dev)
{
	struct ps2_keyboard *k = dev;

	return !k->n && k->scanning;
}

static void ps2_keyboard_tell(struct ps2_keyboard *k)
{
	if (k->dev.board->input && ps2_keyboard_idle(k))
		input_drained(k->dev.board->input);
}

/* --- what the system says --------------------------------------------------------------------------- */

static void ps2_keyboard_clear(struct ps2_keyboard *k)
{
	k->n = 0;
}

static void ps2_keyboard_defaults(struct ps2_keyboard *k)
{
	ps2_keyboard_clear(k);
	k->set = 2;
	k->rate = PS2_KEYBOARD_RATE;
	k->pending = 0;
}

static void ps2_keyboard_ack(struct ps2_keyboard *k)
{
	ps2_answer(&k->ps2, PS2_ACK);
}

static void ps2_keyboard_choose(struct ps2_keyboard *k, uint8_t set)
{
	if (set > PS2_KEYBOARD_SETS) {
		ps2_answer(&k->ps2, PS2_RESEND);
		return;
	}
	ps2_keyboard_ack(k);
	if (!set)
		ps2_answer(&k->ps2, k->set);
	else
		k->set = set;
}

/* False: it is a command, which takes the place of the one before. */
static bool ps2_keyboard_argument(struct ps2_keyboard *k, uint8_t byte)
{
	uint8_t cmd = k->pending;

	k->pending = 0;
	if (!cmd || byte & 0x80)
		return false;
	if (cmd == PS2_KEYBOARD_SET) {
		ps2_keyboard_choose(k, byte);
		return true;
	}
	if (cmd == PS2_KEYBOARD_LEDS)
		k->leds = byte & 7;
	else
		k->rate = byte;
	ps2_keyboard_ack(k);
	return true;
}

static void ps2_keyboard_scan(struct ps2_keyboard *k, bool on)
{
	k->scanning = on;
	ps2_keyboard_ack(k);
}

static void ps2_keyboard_command(struct ps2_keyboard *k, uint8_t cmd)
{
	switch (cmd) {
	case PS2_KEYBOARD_ECHO:
		ps2_answer(&k->ps2, PS2_KEYBOARD_ECHO);
		break;
	case PS2_KEYBOARD_LEDS:
	case PS2_KEYBOARD_SET:
	case PS2_KEYBOARD_TYPEMATIC:
		k->pending = cmd;
		ps2_keyboard_ack(k);
		break;
	case PS2_KEYBOARD_ID:
		ps2_keyboard_ack(k);
		ps2_answer(&k->ps2, 0xab);
		ps2_answer(&k->ps2, 0x83);
		break;
	case PS2_KEYBOARD_ENABLE:
		ps2_keyboard_clear(k);
		ps2_keyboard_scan(k, true);
		break;
	case PS2_KEYBOARD_DISABLE:
		ps2_keyboard_defaults(k);
		ps2_keyboard_scan(k, false);
		break;
	case PS2_KEYBOARD_DEFAULT:
		ps2_keyboard_defaults(k);
		ps2_keyboard_ack(k);
		break;
	case PS2_KEYBOARD_RESEND:
		ps2_answer(&k->ps2, k->ps2.last);
		break;
	case PS2_KEYBOARD_RESET:
		ps2_keyboard_defaults(k);
		k->leds = 0;
		ps2_keyboard_scan(k, true);
		ps2_answer(&k->ps2, PS2_TEST_PASSED);
		break;
	default: /* those for all keys are taken in any set, and mean set 3 */
		ps2_answer(&k->ps2, cmd >= PS2_KEYBOARD_ALL_FIRST && cmd <= PS2_KEYBOARD_ALL_LAST
					    ? PS2_ACK
					    : PS2_RESEND);
		break;
	}
}

static void ps2_keyboard_receive(struct ps2 *p, uint8_t byte)
{
	struct ps2_keyboard *k = container_of(p, struct ps2_keyboard, ps2);

	if (!ps2_keyboard_argument(k, byte))
		ps2_keyboard_command(k, byte);
	ps2_keyboard_tell(k);
}

/* --- keys ----------------------------------------------------------------------------------------------- */

static int ps2_keyboard_next(struct ps2 *p)
{
	struct ps2_keyboard *k = container_of(p, struct ps2_keyboard, ps2);
	uint8_t byte;

	if (!k->n)
		return -1;
	byte = k->fifo[k->first];
	k->first = (k->first + 1) % sizeof(k->fifo);
	k->n--;
	ps2_keyboard_tell(k);
	return byte;
}

static const struct ps2_ops ps2_keyboard_ops = {
	.receive = ps2_keyboard_receive,
	.next = ps2_keyboard_next,
};

static void ps2_keyboard_push(struct ps2_keyboard *k, uint8_t byte)
{
	k->fifo[(k->first + k->n++) % sizeof(k->fifo)] = byte;
}

/* Whole, or the overrun code once: half of a sequence would be another key. */
static void ps2_keyboard_send(struct ps2_keyboard *k, const uint8_t *bytes, unsigned int n)
{
	if (k->n > PS2_KEYBOARD_FIFO)
		return;
	if (k->n + n > PS2_KEYBOARD_FIFO) {
		ps2_keyboard_push(k, k->set == 1 ? 0xff : 0x00);
		/* nothing more until there is room for something */
		return;
	}
	for (unsigned int i = 0; i < n; i++)
		ps2_keyboard_push(k, bytes[i]);
}

static void ps2_keyboard_note(struct ps2_keyboard *k, uint16_t key, bool down)
{
	const struct {
		uint16_t key;
		bool *down;
	} held[] = {
		{ KEY_LEFTSHIFT, &k->down.lshift }, { KEY_RIGHTSHIFT, &k->down.rshift },
		{ KEY_LEFTCTRL, &k->down.lctrl },   { KEY_RIGHTCTRL, &k->down.rctrl },
		{ KEY_LEFTALT, &k->down.lalt },	    { KEY_RIGHTALT, &k->down.ralt },
	};

	for (size_t i = 0; i < ARRAY_SIZE(held); i++)
		if (held[i].key == key)
			*held[i].down = down;
}

static void ps2_keyboard_key(void *dev, uint16_t key, bool down)
{
	struct ps2_keyboard *k = dev;
	struct scancode_held held = {
		.shift = k->down.lshift || k->down.rshift,
		.ctrl = k->down.lctrl || k->down.rctrl,
		.alt = k->down.lalt || k->down.ralt,
	};
	uint8_t bytes[SCANCODE_MAX];
	unsigned int n = scancode_encode(k->set, key, down, held, bytes);

	ps2_keyboard_note(k, key, down);
	if (!n || !k->scanning)
		return;
	ps2_keyboard_send(k, bytes, n);
	i8042_poke(k->dev.board);
}

static const struct input_keyboard ps2_keyboard_input = {
	.key = ps2_keyboard_key,
	.idle = ps2_keyboard_idle,
};

/* --- life ------------------------------------------------------------------------------------------------ */

static void ps2_keyboard_reset(struct device *d)
{
	struct ps2_keyboard *k = container_of(d, struct ps2_keyboard, dev);

	ps2_clear(&k->ps2);
	ps2_keyboard_defaults(k);
	memset(&k->down, 0, sizeof(k->down));
	k->leds = 0;
	k->scanning = true;
}

static int ps2_keyboard_init(struct device *d, struct err *e)
{
	struct ps2_keyboard *k = container_of(d, struct ps2_keyboard, dev);
	int ret;

	k->ps2.ops = &ps2_keyboard_ops;
	ret = ps2_plug(d->board, PS2_KEYBOARD, &k->ps2, e);
	if (ret >= 0 && d->board->input)
		ret = input_set_keyboard(d->board->input, &ps2_keyboard_input, k, e);
	return ret;
}

static void ps2_keyboard_fini(struct device *d)
{
	struct ps2_keyboard *k = container_of(d, struct ps2_keyboard, dev);

	if (d->board->input)
		input_unset_keyboard(d->board->input, k);
	ps2_unplug(d->board, &k->ps2);
}

const struct device_class ps2_keyboard_class = {
	.type = "ps2-keyboard",
	.size = sizeof(struct ps2_keyboard),
	.init = ps2_keyboard_init,
	.reset = ps2_keyboard_reset,
	.fini = ps2_keyboard_fini,
};
