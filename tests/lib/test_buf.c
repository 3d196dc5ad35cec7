// SPDX-License-Identifier: MIT
#include "lib/buf.h"

#include <errno.h>
#include <string.h>

#include "tests/lib/test.h"

static void test_first_in_first_out(void **state)
{
	struct buf b;
	char block[100];
	unsigned int in = 0, out = 0;

	(void)state;
	buf_init(&b, 4096);
	for (int round = 0; round < 500; round++) {
		for (size_t i = 0; i < sizeof(block); i++)
			block[i] = (char)in++;
		assert_int_equal(buf_add(&b, block, sizeof(block)), 0);
		while (buf_len(&b) > 1000) {
			assert_int_equal(*buf_head(&b), (char)out);
			buf_consume(&b, 1);
			out++;
		}
	}
	assert_int_equal(in - out, buf_len(&b));
	assert_true(b.cap <= 4096);
	buf_fini(&b);
}

static void test_limit(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	assert_int_equal(buf_add(&b, "12345678", 8), 0);
	assert_int_equal(buf_add(&b, "abc", 3), -ENOBUFS);
	assert_null(buf_reserve(&b, 3));
	assert_null(buf_reserve(&b, SIZE_MAX));
	assert_int_equal(buf_len(&b), 8);
	assert_int_equal(buf_add(&b, "ab", 2), 0);
	assert_memory_equal(buf_head(&b), "12345678ab", 10);
	buf_consume(&b, 10);
	assert_int_equal(buf_len(&b), 0);
	assert_int_equal(buf_add(&b, "0123456789", 10), 0);
	buf_fini(&b);
	buf_fini(NULL);
}

static void test_reserve(void **state)
{
	struct buf b;
	char *room;

	(void)state;
	buf_init(&b, 1000);
	assert_int_equal(buf_add(&b, "xy", 2), 0);
	buf_consume(&b, 1);
	room = buf_reserve(&b, 900);
	assert_non_null(room);
	memset(room, 'z', 900);
	buf_commit(&b, 3); /* only what was claimed counts */
	assert_int_equal(buf_len(&b), 4);
	assert_memory_equal(buf_head(&b), "yzzz", 4);
	assert_int_equal(buf_add(&b, NULL, 0), 0);
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_in_first_out),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_reserve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
