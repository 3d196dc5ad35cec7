// SPDX-License-Identifier: MIT
// The keyboard behind the real controller, by its ports: IBM PS/2 Hardware Interface Technical Reference,
// "Keyboards (101- and 102-Key)": commands from the system, scan code sets 1 and 2, the buffer's overrun; and the
// controller's translation and pace.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <linux/input-event-codes.h>
#include <string.h>
#include "lib/errcat.h"
#include "tests/unit/fake_board.h"
#include "vmm/dev/dev.h"
#include "vmm/dev/scancode.h"
#include "vmm/x86/map.h"

#define OBF 0x01
#define MS 1000000ull

struct fixture {
	struct fake_board fb;
	struct device *controller, *d;
};

static uint8_t status(struct fixture *f)
{
	return fake_in8(&f->fb, 0x64);
}

static void data(struct fixture *f, uint8_t byte)
{
	fake_out8(&f->fb, 0x60, byte);
}

static void config(struct fixture *f, uint8_t byte)
{
	fake_out8(&f->fb, 0x64, 0x60);
	data(f, byte);
}

static uint8_t answer(struct fixture *f)
{
	assert_true(status(f) & OBF);
	return fake_in8(&f->fb, 0x60);
}

static void expect_nothing(struct fixture *f)
{
	fake_board_advance(&f->fb, 5 * MS);
	assert_int_equal(status(f) & OBF, 0);
}

/* Scan codes, a byte a millisecond */
static void expect(struct fixture *f, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		fake_board_advance(&f->fb, MS);
		assert_int_equal(answer(f), (uint8_t)bytes[i]);
	}
	expect_nothing(f);
}
#define EXPECT(f, s) expect(f, s, sizeof(s) - 1)

static void key(struct fixture *f, uint16_t code, bool down)
{
	input_key(&f->fb.input, code, down);
}

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	fake_board_init(&f.fb, 4096);
	f.controller = fake_board_add(&f.fb, &i8042_class, "i8042", NULL);
	f.d = fake_board_add(&f.fb, &ps2_keyboard_class, "keyboard0", NULL);
	config(&f, 0x25);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fake_board_remove(&f->fb, f->d);
	fake_board_remove(&f->fb, f->controller);
	fake_board_fini(&f->fb);
	return 0;
}

/* "Reset", "Read ID", "Echo", "Set/Reset Status Indicators", "Set Typematic Rate/Delay", "Resend" */
static void commands(void **state)
{
	struct fixture *f = *state;

	data(f, 0xff);
	assert_true(f->fb.irq[MAP_GSI_KBD]);
	assert_int_equal(answer(f), 0xfa);
	assert_int_equal(answer(f), 0xaa);
	assert_false(f->fb.irq[MAP_GSI_KBD]);
	assert_int_equal(f->fb.irq_raised[MAP_GSI_KBD], 2);
	data(f, 0xf2);
	assert_int_equal(answer(f), 0xfa);
	assert_int_equal(answer(f), 0xab);
	assert_int_equal(answer(f), 0x83);
	data(f, 0xfe);
	assert_int_equal(answer(f), 0x83);
	data(f, 0xee);
	assert_int_equal(answer(f), 0xee);
	data(f, 0xed);
	assert_int_equal(answer(f), 0xfa);
	data(f, 0x07);
	assert_int_equal(answer(f), 0xfa);
	data(f, 0xf3);
	assert_int_equal(answer(f), 0xfa);
	data(f, 0x7f);
	assert_int_equal(answer(f), 0xfa);
	data(f, 0xf8); /* "Set All Keys": acknowledged in each set */
	assert_int_equal(answer(f), 0xfa);
	data(f, 0xf1); /* "Invalid commands": Resend */
	assert_int_equal(answer(f), 0xfe);
	data(f, 0x00);
	assert_int_equal(answer(f), 0xfe);
	expect_nothing(f);
}

/* "…another command in the place of the option byte": that one is carried out */
static void command_instead_of_option(void **state)
{
	struct fixture *f = *state;

	data(f, 0xed);
	assert_int_equal(answer(f), 0xfa);
	data(f, 0xee);
	assert_int_equal(answer(f), 0xee);
	data(f, 0x02);
	assert_int_equal(answer(f), 0xfe);
	expect_nothing(f);
}

static void set(struct fixture *f, uint8_t n, uint8_t expected)
{
	data(f, 0xf0);
	assert_int_equal(answer(f), 0xfa);
	data(f, n);
	assert_int_equal(answer(f), expected);
}

/* "Select Alternate Scan Codes" */
static void scan_code_sets(void **state)
{
	struct fixture *f = *state;

	set(f, 0, 0xfa);
	assert_int_equal(answer(f), 2);
	key(f, KEY_A, true);
	key(f, KEY_A, false);
	EXPECT(f, "\x1c\xf0\x1c");
	set(f, 3, 0xfe);
	set(f, 0, 0xfa);
	assert_int_equal(answer(f), 2);
	set(f, 1, 0xfa);
	key(f, KEY_A, true);
	key(f, KEY_A, false);
	key(f, KEY_UP, true);
	key(f, KEY_UP, false);
	EXPECT(f, "\x1e\x9e\xe0\x48\xe0\xc8");
	data(f, 0xf6); /* "Set Default" */
	assert_int_equal(answer(f), 0xfa);
	key(f, KEY_UP, true);
	key(f, KEY_UP, false);
	EXPECT(f, "\xe0\x75\xe0\xf0\x75");
}

/* Set 2 on the wire, set 1 in the buffer: F0h is only half of a byte */
static void translation(void **state)
{
	struct fixture *f = *state;

	config(f, 0x65);
	key(f, KEY_F7, true); /* 83h: the only one that loses its top bit */
	key(f, KEY_F7, false);
	key(f, KEY_RIGHTCTRL, true);
	key(f, KEY_RIGHTCTRL, false);
	EXPECT(f, "\x41\xc1\xe0\x1d\xe0\x9d");
	set(f, 0, 0xfa);
	assert_int_equal(answer(f), 0x41); /* 2, translated */
}

static void print_screen_and_pause(void **state)
{
	struct fixture *f = *state;

	key(f, KEY_SYSRQ, true);
	key(f, KEY_SYSRQ, false);
	EXPECT(f, "\xe0\x12\xe0\x7c\xe0\xf0\x7c\xe0\xf0\x12");
	key(f, KEY_LEFTALT, true);
	key(f, KEY_SYSRQ, true);
	key(f, KEY_SYSRQ, false);
	EXPECT(f, "\x11\x84\xf0\x84");
	key(f, KEY_LEFTALT, false);
	key(f, KEY_RIGHTSHIFT, true);
	key(f, KEY_SYSRQ, true);
	key(f, KEY_RIGHTSHIFT, false);
	EXPECT(f, "\xf0\x11\x59\xe0\x7c\xf0\x59");
	key(f, KEY_PAUSE, true);
	key(f, KEY_PAUSE, false);
	EXPECT(f, "\xe1\x14\x77\xe1\xf0\x14\xf0\x77");
	key(f, KEY_LEFTCTRL, true);
	key(f, KEY_PAUSE, true);
	key(f, KEY_PAUSE, false);
	EXPECT(f, "\x14\xe0\x7e\xe0\xf0\x7e");
	key(f, KEY_LEFTCTRL, false);
	EXPECT(f, "\xf0\x14");
	set(f, 1, 0xfa);
	key(f, KEY_PAUSE, true);
	EXPECT(f, "\xe1\x1d\x45\xe1\x9d\xc5");
}

/* The codes of the main block are Linux' own in set 1: a table against the other */
static void set1_is_linux_own(void **state)
{
	struct scancode_held none = { 0 };
	uint8_t bytes[SCANCODE_MAX];
	unsigned int keys = 0;

	(void)state;
	for (uint16_t k = KEY_ESC; k <= KEY_F12; k++) {
		if (k == 84 || k == KEY_ZENKAKUHANKAKU) /* no such key; sent by no set */
			continue;
		assert_int_equal(scancode_encode(1, k, true, none, bytes), 1);
		assert_int_equal(bytes[0], k);
		assert_int_equal(scancode_encode(1, k, false, none, bytes), 1);
		assert_int_equal(bytes[0], k | 0x80);
		keys++;
	}
	assert_int_equal(keys, 86);
	assert_int_equal(scancode_encode(2, KEY_RESERVED, true, none, bytes), 0);
	assert_int_equal(scancode_encode(2, 0xffff, true, none, bytes), 0);
}

/* No two keys have one code */
static void codes_are_unique(void **state)
{
	struct scancode_held none = { 0 };
	uint8_t seen[2][256] = { { 0 } }, bytes[SCANCODE_MAX];

	(void)state;
	for (uint16_t k = 1; k < 256; k++) {
		unsigned int n = k == KEY_PAUSE || k == KEY_SYSRQ
					 ? 0
					 : scancode_encode(2, k, true, none, bytes);

		if (!n)
			continue;
		assert_int_equal(n, bytes[0] == 0xe0 ? 2 : 1);
		assert_int_equal(seen[n - 1][bytes[n - 1]]++, 0);
	}
}

/* "…a 17th byte: the overrun code takes its place"; keys that come after it are lost */
static void overrun(void **state)
{
	struct fixture *f = *state;

	data(f, 0xf4);
	fake_board_advance(&f->fb, 5 * MS);
	/* one byte is in the controller, 16 in the keyboard */
	for (unsigned int i = 0; i < 30; i++)
		key(f, KEY_A, true);
	assert_int_equal(answer(f), 0xfa); /* of the command: that was first */
	EXPECT(f, "\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x00");
	key(f, KEY_B, true);
	EXPECT(f, "\x32");
	for (unsigned int i = 0; i < 7; i++) /* a sequence comes whole or not at all */
		key(f, KEY_UP, i & 1);
	EXPECT(f, "\xe0\xf0\x75\xe0\x75\xe0\xf0\x75\xe0\x75\xe0\xf0\x75\xe0\x75\x00");
}

/* "Default Disable" stops scanning, "Enable" empties the buffer and goes on */
static void scanning(void **state)
{
	struct fixture *f = *state;

	config(f, 0x35); /* the interface is off: it stays in the keyboard */
	key(f, KEY_A, true);
	expect_nothing(f);
	data(f, 0xf4); /* … until this one; and sending has switched it on */
	assert_int_equal(answer(f), 0xfa);
	expect_nothing(f);
	data(f, 0xf5);
	assert_int_equal(answer(f), 0xfa);
	key(f, KEY_A, true);
	expect_nothing(f);
	data(f, 0xf4);
	assert_int_equal(answer(f), 0xfa);
	key(f, KEY_B, true);
	EXPECT(f, "\x32");
	config(f, 0x35);
	key(f, KEY_C, true);
	expect_nothing(f);
	fake_out8(&f->fb, 0x64, 0xae);
	EXPECT(f, "\x21");
}

/* A handler of an interrupt that hands on to another reads the same code again; then the next byte comes */
static void a_byte_stays_for_a_while(void **state)
{
	struct fixture *f = *state;

	key(f, KEY_A, true);
	key(f, KEY_B, true);
	assert_int_equal(fake_in8(&f->fb, 0x60), 0x1c);
	assert_int_equal(f->fb.irq_raised[MAP_GSI_KBD], 1);
	fake_board_advance(&f->fb, MS / 2);
	assert_int_equal(fake_in8(&f->fb, 0x60), 0x1c);
	assert_int_equal(status(f) & OBF, 0);
	assert_int_equal(f->fb.irq_raised[MAP_GSI_KBD], 1);
	fake_board_advance(&f->fb, MS / 2);
	assert_int_equal(f->fb.irq_raised[MAP_GSI_KBD], 2);
	assert_int_equal(answer(f), 0x32);
	/* an answer does not wait */
	key(f, KEY_C, true);
	data(f, 0xee);
	assert_int_equal(answer(f), 0xee);
	EXPECT(f, "\x21");
}

/* --- what is typed (vmm/input.h) ---------------------------------------------------------------------------- */

static struct input_chord chord(uint16_t a, uint16_t b, uint16_t hold_ms)
{
	return (struct input_chord){ .keys = { a, b }, .nkeys = b ? 2 : 1, .hold_ms = hold_ms };
}

static void typed(void **state)
{
	struct fixture *f = *state;
	struct input_chord c[] = { chord(KEY_LEFTSHIFT, KEY_A, 0), chord(KEY_UP, 0, 0) };

	assert_int_equal(input_type(&f->fb.input, c, 2, NULL), 0);
	EXPECT(f, "\x12\x1c\xf0\x1c\xf0\x12\xe0\x75\xe0\xf0\x75");
	assert_int_equal(f->fb.input.nchords, 0);
	/* many more than the keyboard's buffer has room for: the guest's reads make the pace */
	for (unsigned int i = 0; i < 100; i++)
		assert_int_equal(input_type(&f->fb.input, c, 1, NULL), 0);
	for (unsigned int i = 0; i < 99; i++) {
		static const uint8_t bytes[] = { 0x12, 0x1c, 0xf0, 0x1c, 0xf0, 0x12 };

		for (size_t b = 0; b < sizeof(bytes); b++) {
			fake_board_advance(&f->fb, MS);
			assert_int_equal(answer(f), bytes[b]);
		}
	}
	EXPECT(f, "\x12\x1c\xf0\x1c\xf0\x12");
}

static void held(void **state)
{
	struct fixture *f = *state;
	struct input_chord c[] = { chord(KEY_A, 0, 300), chord(KEY_B, 0, 0) };

	assert_int_equal(input_type(&f->fb.input, c, 2, NULL), 0);
	assert_int_equal(answer(f), 0x1c);
	fake_board_advance(&f->fb, 299 * MS);
	assert_int_equal(status(f) & OBF, 0);
	EXPECT(f, "\xf0\x1c\x32\xf0\x32");
	/* a reset forgets what waits, and what is held */
	assert_int_equal(input_type(&f->fb.input, c, 2, NULL), 0);
	input_reset(&f->fb.input);
	assert_int_equal(answer(f), 0x1c);
	fake_board_advance(&f->fb, 400 * MS);
	expect_nothing(f);
	assert_null(f->fb.timers);
}

/* The BIOS data area's ring of keys: start, end, head, tail */
static void bios_ring(struct fixture *f, uint16_t start, uint16_t end, uint16_t head, uint16_t tail)
{
	const uint16_t pointers[] = { head, tail }, bounds[] = { start, end };

	memcpy(f->fb.mem + 0x41a, pointers, sizeof(pointers));
	memcpy(f->fb.mem + 0x480, bounds, sizeof(bounds));
}

/* A BIOS has taken keys that its program has not read: what is typed waits until it has read one, and goes on at 7. */
static void waits_for_the_bios(void **state)
{
	struct fixture *f = *state;
	struct input_chord c[] = { chord(KEY_LEFTSHIFT, KEY_A, 0), chord(KEY_B, 0, 0) };

	bios_ring(f, 0x1e, 0x3e, 0x38, 0x28); /* 8, around the end */
	assert_int_equal(input_type(&f->fb.input, c, 2, NULL), 0);
	fake_board_advance(&f->fb, 25000 * MS);
	expect_nothing(f);
	bios_ring(f, 0x1e, 0x3e, 0x3a, 0x28);
	fake_board_advance(&f->fb, 20 * MS);
	assert_int_equal(answer(f), 0x12);
	/* a chord goes on, the next one waits */
	bios_ring(f, 0x1e, 0x3e, 0x3a, 0x2a);
	EXPECT(f, "\x1c\xf0\x1c\xf0\x12");
	assert_int_equal(f->fb.input.nchords, 1);
	/* one that is read begins the wait anew … */
	fake_board_advance(&f->fb, 25000 * MS);
	bios_ring(f, 0x1e, 0x3e, 0x3c, 0x2c);
	fake_board_advance(&f->fb, 25000 * MS);
	expect_nothing(f);
	/* … which ends: nobody reads them. Then none waits, until one is read. */
	fake_board_advance(&f->fb, 5050 * MS);
	EXPECT(f, "\x32\xf0\x32");
	assert_int_equal(input_type(&f->fb.input, c, 2, NULL), 0);
	EXPECT(f, "\x12\x1c\xf0\x1c\xf0\x12\x32\xf0\x32");
	bios_ring(f, 0x1e, 0x3e, 0x1e, 0x2e);
	assert_int_equal(input_type(&f->fb.input, c, 1, NULL), 0);
	expect_nothing(f);
	/* a reset forgets the wait with the keys */
	input_reset(&f->fb.input);
	assert_null(f->fb.timers);
	assert_int_equal(input_type(&f->fb.input, c, 1, NULL), 0);
	expect_nothing(f);
}

/* What is no ring keeps nobody waiting. */
static void no_bios(void **state)
{
	static const uint16_t rings[][4] = {
		{ 0, 0, 0, 0 },
		{ 0x3e, 0x1e, 0x20, 0x1e },
		{ 0x1e, 0x3f, 0x3a, 0x38 },
		{ 0x1e, 0x3e, 0x1d, 0x3c },
		{ 0x1e, 0x3e, 0x1f, 0x3c },
		{ 0x1e, 0x3e, 0x1e, 0x3e },
		{ 0x1e, 0x200, 0x1e, 0x3c },
		{ 0x10, 0x3e, 0x1e, 0x3c },
		{ 0x1e, 0x3e, 0x20, 0x2e }, /* 7 keys */
	};
	struct fixture *f = *state;
	struct input_chord c = chord(KEY_A, 0, 0);

	for (size_t i = 0; i < ARRAY_SIZE(rings); i++) {
		bios_ring(f, rings[i][0], rings[i][1], rings[i][2], rings[i][3]);
		assert_int_equal(input_type(&f->fb.input, &c, 1, NULL), 0);
		EXPECT(f, "\x1c\xf0\x1c");
	}
}

/* As many as have room; all or none */
static void too_many(void **state)
{
	struct fixture *f = *state;
	struct input_chord c[INPUT_CHORDS_MAX];
	struct err e;

	for (unsigned int i = 0; i < INPUT_CHORDS_MAX; i++)
		c[i] = chord(KEY_A, 0, 0);
	assert_int_equal(input_type(&f->fb.input, c, INPUT_CHORDS_MAX, NULL), 0);
	assert_int_equal(input_type(&f->fb.input, c, 2, &e), -ERR_BUSY); /* the keyboard has one */
	assert_int_equal(input_type(&f->fb.input, c, 1, NULL), 0);
	assert_int_equal(input_type(&f->fb.input, c, 1, &e), -ERR_BUSY);
	assert_non_null(strstr(e.msg, "1024 keys"));
	f->d->class->reset(f->d);
	input_reset(&f->fb.input);
	assert_int_equal(input_type(&f->fb.input, c, 1, NULL), 0);
}

/* Keys wait for a driver that has stopped the scanning; one that does not exist stops nothing */
static void waits_for_scanning(void **state)
{
	struct fixture *f = *state;
	struct input_chord c[] = { chord(0x2ff, 0, 0), chord(KEY_A, 0, 0) };

	data(f, 0xf5);
	assert_int_equal(answer(f), 0xfa);
	assert_int_equal(input_type(&f->fb.input, c, 2, NULL), 0);
	expect_nothing(f);
	data(f, 0xf4);
	assert_int_equal(answer(f), 0xfa);
	EXPECT(f, "\x1c\xf0\x1c");
}

static void no_keyboard(void **state)
{
	struct fixture *f = *state;
	struct input_chord c = chord(KEY_A, 0, 0);
	struct err e;

	assert_int_equal(fake_board_add_fails(&f->fb, &ps2_keyboard_class, "second", NULL, &e),
			 -ERR_INVALID);
	fake_board_remove(&f->fb, f->d);
	assert_int_equal(input_type(&f->fb.input, &c, 1, &e), -ERR_VM_NO_KEYBOARD);
	key(f, KEY_A, true);
	data(f, 0xf2); /* nobody there */
	assert_int_equal(answer(f), 0xfe);
	f->d = fake_board_add(&f->fb, &ps2_keyboard_class, "keyboard0", NULL);
	key(f, KEY_A, true);
	EXPECT(f, "\x1c");
}

/* Whatever it is told, it stays a keyboard that answers after a reset. */
static void random_bytes(void **state)
{
	struct fixture *f = *state;
	uint32_t seed = 7;

	for (int i = 0; i < 100000; i++) {
		seed = seed * 1664525 + 1013904223;
		switch (seed >> 30) {
		case 0:
			fake_out8(&f->fb, 0x60, (uint8_t)(seed >> 16));
			break;
		case 1:
			fake_in8(&f->fb, 0x60);
			break;
		case 2:
			key(f, (seed >> 16) & 0xff, seed & BIT(29));
			break;
		default:
			fake_board_advance(&f->fb, (seed >> 16) & 0xfffff);
			break;
		}
	}
	f->controller->class->reset(f->controller);
	f->d->class->reset(f->d);
	input_reset(&f->fb.input);
	f->fb.irq_raised[MAP_GSI_KBD] = 0;
	config(f, 0x25);
	commands(state);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(commands),
		T(command_instead_of_option),
		T(scan_code_sets),
		T(translation),
		T(print_screen_and_pause),
		T(set1_is_linux_own),
		T(codes_are_unique),
		T(overrun),
		T(scanning),
		T(a_byte_stays_for_a_while),
		T(typed),
		T(held),
		T(waits_for_the_bios),
		T(no_bios),
		T(too_many),
		T(waits_for_scanning),
		T(no_keyboard),
		T(random_bytes),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
