// SPDX-License-Identifier: MIT
#include "lib/err.h"

#include <errno.h>
#include <string.h>

#include "lib/errcat.h"
#include "tests/lib/test.h"

static void test_messages(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(err_set(&e, ERR_BUSY, "%s is busy", "x"), -ERR_BUSY);
	assert_int_equal(e.code, ERR_BUSY);
	assert_string_equal(e.msg, "x is busy");
	assert_int_equal(err_hint(&e, "wait"), -ERR_BUSY);
	assert_int_equal(err_wrap(&e, "vm '%s'", "a"), -ERR_BUSY);
	assert_string_equal(e.msg, "vm 'a': x is busy");
	assert_string_equal(e.hint, "wait");
	errno = ENOENT;
	assert_int_equal(err_errno(&e, "open '%s'", "/x"), -ENOENT);
	assert_string_equal(e.msg, "open '/x': No such file or directory");
	assert_string_equal(e.hint, "");
	assert_int_equal(err_ret(&e, -EACCES, "read"), -EACCES);
	assert_int_equal(e.code, EACCES);
	assert_string_equal(e.msg, "read: Permission denied");
}

/* JSON-RPC's codes are negative; a failure is too, whatever its code. */
static void test_negative_codes(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(err_set(&e, ERR_RPC_METHOD, "x"), ERR_RPC_METHOD);
	assert_int_equal(e.code, ERR_RPC_METHOD);
	assert_int_equal(err_wrap(&e, "y"), ERR_RPC_METHOD);
	assert_int_equal(err_hint(&e, "z"), ERR_RPC_METHOD);
	assert_int_equal(err_set(NULL, ERR_RPC_METHOD, "x"), ERR_RPC_METHOD);
}

static void test_null(void **state)
{
	(void)state;
	errno = EPERM;
	assert_int_equal(err_errno(NULL, "x"), -EPERM);
	assert_int_equal(err_set(NULL, 5, "x"), -5);
	assert_int_equal(err_ret(NULL, -7, "x"), -7);
	assert_true(err_wrap(NULL, "x") < 0);
	assert_true(err_hint(NULL, "x") < 0);
}

static void test_long_text_is_cut(void **state)
{
	struct err e = { 0 };
	char text[2000];

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_set(&e, EIO, "%s", text);
	assert_int_equal(strlen(e.msg), sizeof(e.msg) - 1);
	err_wrap(&e, "%s", text);
	err_hint(&e, "%s", text);
	assert_true(strlen(e.msg) < sizeof(e.msg));
	assert_int_equal(strlen(e.hint), sizeof(e.hint) - 1);
}

static void test_catalogue(void **state)
{
	static const int codes[] = {
#define X(id, code, name, exit) code,
		ERRCAT(X)
#undef X
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		assert_int_equal(errcat_find(codes[i])->code, codes[i]);
		for (size_t j = 0; j < i; j++) {
			assert_int_not_equal(codes[i], codes[j]);
			assert_string_not_equal(errcat_find(codes[i])->name,
						errcat_find(codes[j])->name);
		}
	}
	assert_string_equal(errcat_find(ENOENT)->name, "file.unusable");
	assert_string_equal(errcat_find(EACCES)->name, "denied");
	assert_int_equal(errcat_find(ETIMEDOUT)->exit, EXIT_TIMEOUT);
	assert_string_equal(errcat_find(EXDEV)->name, "failed");
	assert_string_equal(errcat_find(123456)->name, "failed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),  cmocka_unit_test(test_negative_codes),
		cmocka_unit_test(test_null),	  cmocka_unit_test(test_long_text_is_cut),
		cmocka_unit_test(test_catalogue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
