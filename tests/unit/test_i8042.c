// SPDX-License-Identifier: MIT
// The keyboard controller against the IBM PC/AT Technical Reference, and as Linux' i8042 driver probes it.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "tests/unit/fake_board.h"
#include "vmm/dev/dev.h"
#include "vmm/x86/map.h"

#define OBF 0x01
#define IBF 0x02
#define AUX_DATA 0x20
#define TIMEOUT 0x40

struct fixture {
	struct fake_board fb;
	struct device *d;
};

static uint8_t status(struct fixture *f)
{
	return fake_in8(&f->fb, 0x64);
}

static void command(struct fixture *f, uint8_t cmd)
{
	assert_false(status(f) & IBF);
	fake_out8(&f->fb, 0x64, cmd);
}

static void data(struct fixture *f, uint8_t byte)
{
	fake_out8(&f->fb, 0x60, byte);
}

static uint8_t answer(struct fixture *f)
{
	assert_true(status(f) & OBF);
	return fake_in8(&f->fb, 0x60);
}

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	fake_board_init(&f.fb, 4096);
	f.d = fake_board_add(&f.fb, &i8042_class, "i8042", NULL);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fake_board_remove(&f->fb, f->d);
	fake_board_fini(&f->fb);
	return 0;
}

static void self_tests(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(status(f), 0x14); /* system flag, not locked, nothing in the buffers */
	command(f, 0xaa);
	assert_int_equal(answer(f), 0x55);
	assert_int_equal(status(f) & OBF, 0);
	command(f, 0xab);
	assert_int_equal(answer(f), 0x00);
	command(f, 0xa9);
	assert_int_equal(answer(f), 0x01);
}

static void config_byte(void **state)
{
	struct fixture *f = *state;

	command(f, 0x60);
	data(f, 0x47);
	command(f, 0x20);
	assert_int_equal(answer(f), 0x47);
	command(f, 0xad);
	command(f, 0x20);
	assert_int_equal(answer(f), 0x57);
	command(f, 0xae);
	command(f, 0xa7);
	command(f, 0x20);
	assert_int_equal(answer(f), 0x67);
	command(f, 0xa8);
	command(f, 0x20);
	assert_int_equal(answer(f), 0x47);
	command(f, 0x7f); /* the last byte of its RAM */
	data(f, 0x99);
	command(f, 0x3f);
	assert_int_equal(answer(f), 0x99);
}

/* The pulse of output port bit 0: how kernels reboot */
static void reset_pulse(void **state)
{
	struct fixture *f = *state;

	command(f, 0xff); /* pulses nothing */
	command(f, 0xfd); /* A20 */
	assert_int_equal(f->fb.nevents, 0);
	command(f, 0xfe);
	assert_int_equal(f->fb.nevents, 1);
	assert_int_equal(f->fb.events[0].event, BOARD_RESET);
}

static void output_port(void **state)
{
	struct fixture *f = *state;

	command(f, 0xd0);
	assert_int_equal(answer(f), 0x03);
	command(f, 0xd1);
	data(f, 0x01);
	command(f, 0xd0);
	assert_int_equal(answer(f), 0x01);
	assert_int_equal(f->fb.nevents, 0);
	command(f, 0xd1);
	data(f, 0x02);
	assert_int_equal(f->fb.nevents, 1);
	assert_int_equal(f->fb.events[0].event, BOARD_RESET);
}

/* "If no response is received within the time limit, FEh is placed in the output buffer, and timeout set" */
static void keyboard_is_absent(void **state)
{
	struct fixture *f = *state;

	command(f, 0x60);
	data(f, 0x45);
	data(f, 0xf2); /* identify */
	assert_true(f->fb.irq[MAP_GSI_KBD]);
	assert_int_equal(status(f) & (OBF | TIMEOUT), OBF | TIMEOUT);
	assert_int_equal(answer(f), 0xfe);
	assert_false(f->fb.irq[MAP_GSI_KBD]);
	assert_int_equal(status(f) & TIMEOUT, 0);
	data(f, 0xed);
	data(f, 0x00); /* unread: replaced, with an edge of its own */
	assert_int_equal(f->fb.irq_raised[MAP_GSI_KBD], 3);
}

/* The steps of i8042_check_aux: no data that is marked as the mouse's, and the port's test fails */
static void mouse_is_absent(void **state)
{
	struct fixture *f = *state;

	command(f, 0xd3);
	data(f, 0x5a);
	assert_int_equal(status(f) & AUX_DATA, 0);
	assert_int_equal(answer(f), 0x5a);
	command(f, 0xd4);
	data(f, 0xff);
	assert_int_equal(status(f) & AUX_DATA, 0);
	assert_int_equal(answer(f), 0xfe);
}

static void abandoned_command(void **state)
{
	struct fixture *f = *state;

	command(f, 0x60);
	command(f, 0xd1); /* the first one's data byte never comes */
	command(f, 0x20);
	assert_int_equal(answer(f), 0x74);
	data(f, 0x00); /* for the keyboard, not for the output port */
	assert_int_equal(f->fb.nevents, 0);
}

static void random_accesses(void **state)
{
	struct fixture *f = *state;
	uint32_t seed = 3;

	for (int i = 0; i < 50000; i++) {
		seed = seed * 1664525 + 1013904223;
		fake_out8(&f->fb, seed & BIT(30) ? 0x60 : 0x64, (uint8_t)(seed >> 16));
		if (seed & BIT(31))
			fake_in8(&f->fb, 0x60);
	}
	f->d->class->reset(f->d);
	assert_int_equal(status(f), 0x14);
	assert_false(f->fb.irq[MAP_GSI_KBD]);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(self_tests),	       T(config_byte),	   T(reset_pulse),	 T(output_port),
		T(keyboard_is_absent), T(mouse_is_absent), T(abandoned_command), T(random_accesses),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
