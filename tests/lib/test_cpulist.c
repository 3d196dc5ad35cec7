// SPDX-License-Identifier: MIT
/* Lists of processors. */
#include "tests/lib/test.h"

#include <errno.h>
#include <stdio.h>

#include "lib/cpulist.h"
#include "lib/util.h"

static void test_lists(void **state)
{
	static const struct {
		const char *text;
		int count, first, last;
	} good[] = {
		{ "0", 1, 0, 0 },
		{ "3", 1, 3, 3 },
		{ "2,4-7", 5, 2, 7 },
		{ "7,1,3-3", 3, 1, 7 },
		{ "0-1023", 1024, 0, 1023 },
		{ "1,1,0-2", 3, 0, 2 },
		{ "007", 1, 7, 7 },
	};
	cpu_set_t set;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(cpulist_parse(good[i].text, &set), 0);
		assert_int_equal(CPU_COUNT(&set), good[i].count);
		assert_true(CPU_ISSET((size_t)good[i].first, &set));
		assert_true(CPU_ISSET((size_t)good[i].last, &set));
	}
}

static void test_what_is_none(void **state)
{
	static const char *const bad[] = { "",	   ",",	     "1,",	   ",1",   "1-", "-1",
					   "3-2",  "1--2",   "1-2-3",	   "a",	   "1 ", " 1",
					   "1024", "0-1024", "4294967296", "1,,2", "+1", "0x1" };
	cpu_set_t set, before;

	(void)state;
	CPU_ZERO(&before);
	CPU_SET(5, &before);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		set = before;
		if (cpulist_parse(bad[i], &set) != -EINVAL || !CPU_EQUAL(&set, &before))
			fail_msg("'%s'", bad[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_what_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
