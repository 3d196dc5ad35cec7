// SPDX-License-Identifier: MIT
// The mouse behind the real controller, by its ports: IBM PS/2 Hardware Interface Technical Reference, "Mouse";
// the wheel and buttons 4 and 5 as Linux' psmouse asks for them.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "lib/errcat.h"
#include "tests/unit/fake_board.h"
#include "vmm/dev/dev.h"
#include "vmm/x86/map.h"

#define OBF 0x01
#define AUX 0x20
#define MS 1000000ull

struct fixture {
	struct fake_board fb;
	struct device *controller, *d;
};

static uint8_t status(struct fixture *f)
{
	return fake_in8(&f->fb, 0x64);
}

static void command(struct fixture *f, uint8_t cmd)
{
	fake_out8(&f->fb, 0x64, cmd);
}

static uint8_t answer(struct fixture *f)
{
	assert_int_equal(status(f) & (OBF | AUX), OBF | AUX);
	assert_true(f->fb.irq[MAP_GSI_AUX]);
	assert_false(f->fb.irq[MAP_GSI_KBD]);
	return fake_in8(&f->fb, 0x60);
}

/* A command to the mouse, and the first byte of its answer */
static uint8_t mouse(struct fixture *f, uint8_t byte)
{
	command(f, 0xd4);
	fake_out8(&f->fb, 0x60, byte);
	return answer(f);
}

static void expect_nothing(struct fixture *f)
{
	fake_board_advance(&f->fb, 20 * MS);
	assert_int_equal(status(f) & OBF, 0);
	assert_false(f->fb.irq[MAP_GSI_AUX]);
}

/* Bytes of packets, which come at most 100 times a second */
static void expect(struct fixture *f, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		fake_board_advance(&f->fb, 10 * MS);
		assert_int_equal(answer(f), (uint8_t)bytes[i]);
	}
	expect_nothing(f);
}
#define EXPECT(f, s) expect(f, s, sizeof(s) - 1)

static void move(struct fixture *f, int dx, int dy, int dz, uint8_t buttons)
{
	input_move(&f->fb.input,
		   &(struct input_pointer){ .dx = dx, .dy = dy, .dz = dz, .buttons = buttons });
}

static void rate(struct fixture *f, uint8_t n)
{
	assert_int_equal(mouse(f, 0xf3), 0xfa);
	assert_int_equal(mouse(f, n), 0xfa);
}

static uint8_t id(struct fixture *f)
{
	assert_int_equal(mouse(f, 0xf2), 0xfa);
	return answer(f);
}

static void wheel(struct fixture *f)
{
	rate(f, 200);
	rate(f, 100);
	rate(f, 80);
}

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	fake_board_init(&f.fb, 4096);
	f.controller = fake_board_add(&f.fb, &i8042_class, "i8042", NULL);
	f.d = fake_board_add(&f.fb, &ps2_mouse_class, "mouse0", NULL);
	command(&f, 0x60);
	fake_out8(&f.fb, 0x60, 0x47); /* both interrupts, both interfaces */
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

/* i8042_check_aux of Linux: the loop, the port's test, the bits of the configuration, an interrupt */
static void is_found(void **state)
{
	struct fixture *f = *state;

	command(f, 0xd3);
	fake_out8(&f->fb, 0x60, 0x5a);
	assert_int_equal(answer(f), 0x5a);
	command(f, 0xa9);
	assert_int_equal(status(f) & (OBF | AUX), OBF);
	assert_int_equal(fake_in8(&f->fb, 0x60), 0x00);
	assert_int_equal(f->fb.irq_raised[MAP_GSI_AUX], 1);
}

/* "Reset", "Read Device Type", "Status Request", "Set Resolution", "Set Sampling Rate", "Resend" */
static void commands(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mouse(f, 0xff), 0xfa);
	assert_int_equal(answer(f), 0xaa);
	assert_int_equal(answer(f), 0x00);
	assert_int_equal(id(f), 0x00);
	assert_int_equal(mouse(f, 0xe8), 0xfa);
	assert_int_equal(mouse(f, 0x03), 0xfa);
	rate(f, 40);
	assert_int_equal(mouse(f, 0xe7), 0xfa);
	assert_int_equal(mouse(f, 0xf4), 0xfa);
	move(f, 0, 0, 0, INPUT_LEFT | INPUT_MIDDLE);
	for (int i = 0; i < 3; i++) {
		fake_board_advance(&f->fb, 30 * MS);
		answer(f);
	}
	assert_int_equal(mouse(f, 0xe9), 0xfa);
	assert_int_equal(answer(f), 0x36); /* enabled, 2:1, left, middle */
	assert_int_equal(answer(f), 3);
	assert_int_equal(answer(f), 40);
	assert_int_equal(mouse(f, 0xfe), 40);
	assert_int_equal(mouse(f, 0xf6), 0xfa);
	assert_int_equal(mouse(f, 0xe9), 0xfa);
	assert_int_equal(answer(f), 0x06);
	assert_int_equal(answer(f), 2);
	assert_int_equal(answer(f), 100);
	expect_nothing(f);
}

/* "…Resend; a second time in a row, Error" */
static void bad_commands(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mouse(f, 0x00), 0xfe);
	assert_int_equal(mouse(f, 0xe1), 0xfc);
	assert_int_equal(mouse(f, 0xe1), 0xfe);
	assert_int_equal(mouse(f, 0xf3), 0xfa);
	assert_int_equal(mouse(f, 33), 0xfe);
	assert_int_equal(mouse(f, 60), 0xfa); /* the argument, at last */
	assert_int_equal(mouse(f, 0xe8), 0xfa);
	assert_int_equal(mouse(f, 4), 0xfe);
	assert_int_equal(mouse(f, 0xf2), 0xfa); /* or another command */
	assert_int_equal(answer(f), 0);
}

static void packets(void **state)
{
	struct fixture *f = *state;

	move(f, 5, 5, 0, INPUT_LEFT); /* nobody has asked yet */
	expect_nothing(f);
	assert_int_equal(mouse(f, 0xf4), 0xfa);
	move(f, 3, -2, 0, INPUT_LEFT);
	EXPECT(f, "\x09\x03\x02"); /* up is positive */
	move(f, -3, 2, 0, INPUT_RIGHT);
	EXPECT(f, "\x3a\xfd\xfe");
	move(f, 300, -300, 0, 0); /* more than one says: two of them, no overflow */
	EXPECT(f, "\x08\xff\xff\x08\x2d\x2d");
	move(f, -300, 0, 0, 0);
	EXPECT(f, "\x18\x01\x00\x18\xd3\x00");
	move(f, 0, 0, 5, 0); /* the wheel of a mouse that has none */
	EXPECT(f, "\x08\x00\x00");
	move(f, 0, 0, 0, 0);
	expect_nothing(f);
}

/* What is not read is added up, but no click is lost; and in the end the buttons are where they are */
static void merged(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mouse(f, 0xf4), 0xfa);
	move(f, 1, 0, 0, 0);
	for (int i = 0; i < 50; i++)
		move(f, 2, 1, 0, 0);
	move(f, 0, 0, 0, INPUT_LEFT);
	move(f, 0, 0, 0, 0);
	EXPECT(f, "\x08\x01\x00\x28\x64\xce\x09\x00\x00\x08\x00\x00");
	for (int i = 0; i < 1000; i++)
		move(f, 1000000, 0, 0, i & 1 ? INPUT_LEFT : 0);
	answer(f);
	assert_int_equal(mouse(f, 0xf4), 0xfa); /* forgets them */
	move(f, 0, 0, 0, INPUT_LEFT);
	for (int i = 0; i < 40; i++)
		move(f, 0, 0, 0, i & 1 ? INPUT_LEFT : 0);
	move(f, 0, 0, 0, INPUT_RIGHT);
	for (int i = 0; i < 48; i++) {
		fake_board_advance(&f->fb, 10 * MS);
		if (!(status(f) & OBF))
			break;
		answer(f);
	}
	assert_int_equal(mouse(f, 0xe9), 0xfa);
	assert_int_equal(answer(f) & 7, 1);
}

/* A packet that a command interrupts is not gone on with */
static void interrupted(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mouse(f, 0xf4), 0xfa);
	move(f, 7, 0, 0, 0);
	assert_int_equal(answer(f), 0x08);
	assert_int_equal(id(f), 0);
	expect_nothing(f);
}

static void sample_rate(void **state)
{
	struct fixture *f = *state;

	rate(f, 10);
	assert_int_equal(mouse(f, 0xf4), 0xfa);
	move(f, 1, 0, 0, 0);
	for (int i = 0; i < 3; i++) {
		answer(f);
		fake_board_advance(&f->fb, MS);
	}
	move(f, 1, 0, 0, 0);
	fake_board_advance(&f->fb, 96 * MS);
	assert_int_equal(status(f) & OBF, 0);
	fake_board_advance(&f->fb, 2 * MS);
	assert_int_equal(answer(f), 0x08);
}

static void wheel_and_buttons(void **state)
{
	struct fixture *f = *state;

	wheel(f);
	assert_int_equal(id(f), 3);
	assert_int_equal(mouse(f, 0xf4), 0xfa);
	rate(f, 100);
	move(f, 1, 0, -1, INPUT_SIDE);
	EXPECT(f, "\x08\x01\x00\xff");
	move(f, 0, 0, 9, 0);
	EXPECT(f, "\x08\x00\x00\x07\x08\x00\x00\x02");
	rate(f, 200);
	rate(f, 200);
	rate(f, 80);
	assert_int_equal(id(f), 4);
	rate(f, 100);
	move(f, 0, 0, -1, INPUT_SIDE);
	EXPECT(f, "\x08\x00\x00\x1f");
	move(f, 0, 0, 0, INPUT_EXTRA | INPUT_LEFT);
	EXPECT(f, "\x09\x00\x00\x20");
	assert_int_equal(mouse(f, 0xff), 0xfa); /* an ordinary one again */
	assert_int_equal(answer(f), 0xaa);
	assert_int_equal(answer(f), 0);
	assert_int_equal(id(f), 0);
	rate(f, 200); /* buttons only with a wheel */
	rate(f, 200);
	rate(f, 80);
	assert_int_equal(id(f), 0);
}

/* "Set Remote Mode", "Read Data": it says nothing by itself */
static void remote(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mouse(f, 0xf0), 0xfa);
	move(f, 4, 0, 0, INPUT_LEFT);
	expect_nothing(f);
	assert_int_equal(mouse(f, 0xeb), 0xfa);
	assert_int_equal(answer(f), 0x09);
	assert_int_equal(answer(f), 4);
	assert_int_equal(answer(f), 0);
	assert_int_equal(mouse(f, 0xeb), 0xfa);
	assert_int_equal(answer(f), 0x09);
	assert_int_equal(answer(f), 0);
	assert_int_equal(answer(f), 0);
	assert_int_equal(mouse(f, 0xe9), 0xfa);
	assert_int_equal(answer(f), 0x44);
}

/* "Set Scaling 2:1" */
static void scaling(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mouse(f, 0xe7), 0xfa);
	assert_int_equal(mouse(f, 0xf4), 0xfa);
	for (int i = 1; i <= 7; i++) {
		static const uint8_t doubled[] = { 0, 1, 1, 3, 6, 9, 12, 14 };

		move(f, i, i, 0, 0);
		fake_board_advance(&f->fb, 10 * MS);
		assert_int_equal(answer(f), 0x28);
		fake_board_advance(&f->fb, 10 * MS);
		assert_int_equal(answer(f), doubled[i]);
		fake_board_advance(&f->fb, 10 * MS);
		assert_int_equal(answer(f), (uint8_t)-doubled[i]);
	}
	move(f, 200, 0, 0, 0);
	EXPECT(f, "\x08\xfe\x00\x08\x92\x00");
}

/* "Set Wrap Mode": an echo of all but two */
static void wrap(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mouse(f, 0xf4), 0xfa);
	assert_int_equal(mouse(f, 0xee), 0xfa);
	move(f, 4, 0, 0, 0);
	assert_int_equal(mouse(f, 0xf2), 0xf2);
	assert_int_equal(mouse(f, 0x55), 0x55);
	assert_int_equal(mouse(f, 0xec), 0xfa);
	expect_nothing(f);
	move(f, 4, 0, 0, 0);
	EXPECT(f, "\x08\x04\x00");
}

/* The interface is off: it keeps what it has */
static void inhibited(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mouse(f, 0xf4), 0xfa);
	command(f, 0xa7);
	move(f, 4, 0, 0, 0);
	expect_nothing(f);
	command(f, 0xa8);
	EXPECT(f, "\x08\x04\x00");
}

static void random_bytes(void **state)
{
	struct fixture *f = *state;
	uint32_t seed = 11;

	for (int i = 0; i < 100000; i++) {
		seed = seed * 1664525 + 1013904223;
		switch (seed >> 30) {
		case 0:
			command(f, 0xd4);
			fake_out8(&f->fb, 0x60, (uint8_t)(seed >> 16));
			break;
		case 1:
			fake_in8(&f->fb, 0x60);
			break;
		case 2:
			move(f, (int)(seed << 4), (int)(seed << 9) >> 16, (int)seed >> 20,
			     (uint8_t)(seed >> 8));
			break;
		default:
			fake_board_advance(&f->fb, (seed >> 8) & 0xfffff);
			break;
		}
	}
	f->controller->class->reset(f->controller);
	f->d->class->reset(f->d);
	assert_null(f->fb.timers);
	command(f, 0x60);
	fake_out8(&f->fb, 0x60, 0x47);
	commands(state);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(is_found),	T(commands),	T(bad_commands),      T(packets), T(merged),
		T(interrupted), T(sample_rate), T(wheel_and_buttons), T(remote),  T(scaling),
		T(wrap),	T(inhibited),	T(random_bytes),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
