// SPDX-License-Identifier: MIT
// The panic port at 505h (QEMU, docs/specs/pvpanic), as Linux' pvpanic-mmio uses it.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "tests/unit/fake_board.h"
#include "vmm/dev/dev.h"

struct fixture {
	struct fake_board fb;
	struct device *d;
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	fake_board_init(&f.fb, MIB);
	f.d = fake_board_add(&f.fb, &pvpanic_isa_class, "panic-isa", NULL);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fake_board_remove(&f->fb, f->d);
	assert_int_equal(fake_in8(&f->fb, 0x505), 0xff);
	fake_board_fini(&f->fb);
	return 0;
}

static void one_register(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fake_in8(&f->fb, 0x504), 0xff);
	assert_int_equal(fake_in8(&f->fb, 0x505), 3); /* both are understood */
	assert_int_equal(fake_in8(&f->fb, 0x506), 0xff);
}

static void panicked(void **state)
{
	struct fixture *f = *state;

	fake_out8(&f->fb, 0x505, 0xfc);
	assert_int_equal(f->fb.nevents, 0);
	fake_out8(&f->fb, 0x505, 2);
	assert_int_equal(f->fb.nevents, 1);
	assert_int_equal(f->fb.events[0].event, BOARD_PANIC_HANDLED);
	fake_out8(&f->fb, 0x505, 1);
	assert_int_equal(f->fb.nevents, 2);
	assert_int_equal(f->fb.events[1].event, BOARD_PANIC);
}

static void there_is_one(void **state)
{
	struct fixture *f = *state;
	struct err e;

	assert_true(fake_board_add_fails(&f->fb, &pvpanic_isa_class, "other", NULL, &e) < 0);
	assert_non_null(strstr(e.msg, "'panic-isa'"));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = { T(one_register), T(panicked), T(there_is_one) };
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
