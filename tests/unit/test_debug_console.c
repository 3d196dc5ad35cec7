// SPDX-License-Identifier: MIT
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "tests/unit/fake_board.h"
#include "vmm/dev/dev.h"

/* SeaBIOS reads the port before it writes to it, and only writes where E9h came. */
static void test_text(void **state)
{
	struct fake_board fb;
	struct device *d;

	(void)state;
	fake_board_init(&fb, 4096);
	assert_int_equal(fake_in8(&fb, 0x402), 0xff);
	d = fake_board_add(&fb, &debug_console_class, "firmware", NULL);
	assert_int_equal(fake_in8(&fb, 0x402), 0xe9);
	for (const char *c = "SeaBIOS\n"; *c; c++)
		fake_out8(&fb, 0x402, (uint8_t)*c);
	fake_console_expect(&fb, "firmware", "SeaBIOS\n");
	d->class->reset(d);
	fake_out8(&fb, 0x402, '.');
	fake_out8(&fb, 0x403, '!'); /* beside it */
	fake_console_expect(&fb, "firmware", ".");
	fake_board_remove(&fb, d);
	assert_int_equal(fake_in8(&fb, 0x402), 0xff);
	fake_board_fini(&fb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
