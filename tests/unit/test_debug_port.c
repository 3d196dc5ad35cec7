// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "tests/unit/fake_board.h"
#include "vmm/dev/dev.h"

static void text_and_signature(void **state)
{
	struct fake_board fb;
	struct device *d;

	(void)state;
	fake_board_init(&fb, 4096);
	d = fake_board_add(&fb, &debug_port_class, "debug", NULL);
	for (const char *c = "PASS\n"; *c; c++)
		fake_out8(&fb, 0xe9, (uint8_t)*c);
	assert_int_equal(fake_in8(&fb, 0xe9), 0xe9);
	fake_console_expect(&fb, "debug", "PASS\n");
	assert_int_equal(fb.nevents, 0);
	fake_board_remove(&fb, d);
	assert_int_equal(fake_in8(&fb, 0xe9), 0xff);
	fake_board_fini(&fb);
}

static void exit_codes(void **state)
{
	struct fake_board fb;
	struct device *d;

	(void)state;
	fake_board_init(&fb, 4096);
	d = fake_board_add(&fb, &debug_port_class, "debug", NULL);
	fake_out(&fb, 0xf4, 1, 3);
	fake_out(&fb, 0xf4, 2, 0x1234);
	fake_out(&fb, 0xf4, 4, 0x12345678);
	fake_out(&fb, 0xf5, 1, 9); /* beside it */
	assert_int_equal(fake_in(&fb, 0xf4, 4), 0);
	assert_int_equal(fb.nevents, 3);
	assert_int_equal(fb.events[0].event, BOARD_EXIT);
	assert_int_equal(fb.events[0].code, 3);
	assert_int_equal(fb.events[1].code, 0x1234);
	assert_int_equal(fb.events[2].code, 0x12345678);
	fake_board_remove(&fb, d);
	fake_board_fini(&fb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_and_signature),
		cmocka_unit_test(exit_codes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
