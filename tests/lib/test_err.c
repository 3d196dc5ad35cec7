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

static void check_causes(const struct err *e, const char *first, const char *second)
{
	const char *at = e->cause;
	char text[sizeof(e->cause)];

	assert_true(err_next_cause(&at, text, sizeof(text)));
	assert_string_equal(text, first);
	assert_int_equal(err_next_cause(&at, text, sizeof(text)), !!second);
	if (second)
		assert_string_equal(text, second);
	assert_false(second && err_next_cause(&at, text, sizeof(text)));
}

static void test_causes(void **state)
{
	struct err e = { 0 };
	const char *at = e.cause;
	char text[10];

	(void)state;
	assert_false(err_next_cause(&at, text, sizeof(text)));
	err_set(&e, ERR_BUSY, "two\nlines");
	err_hint(&e, "wait");
	assert_int_equal(err_because(&e, "cannot read: %s", e.msg), -ERR_BUSY);
	assert_string_equal(e.msg, "cannot read: two\nlines"); /* the old message may be used */
	assert_string_equal(e.hint, "wait");
	check_causes(&e, "two lines", NULL);
	err_because(&e, "no start");
	check_causes(&e, "cannot read: two lines", "two lines");
	assert_int_equal(err_wrap(&e, "x"), -ERR_BUSY);
	assert_string_equal(e.msg, "x: no start");
	err_set(&e, ERR_FAILED, "new");
	assert_string_equal(e.cause, "");
	assert_int_equal(err_add_cause(&e, "a\nb"), -ERR_FAILED);
	assert_int_equal(err_add_cause(&e, "c"), -ERR_FAILED);
	check_causes(&e, "a b", "c");
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
	assert_true(err_because(NULL, "x") < 0);
	assert_true(err_add_cause(NULL, "x") < 0);
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
	err_because(&e, "%s", text);
	err_add_cause(&e, "%s", text);
	assert_int_equal(strlen(e.msg), sizeof(e.msg) - 1);
	assert_int_equal(strlen(e.cause), sizeof(e.cause) - 1);
	assert_int_equal(strlen(e.hint), sizeof(e.hint) - 1);
}

static void test_catalogue(void **state)
{
	char label[16];

	(void)state;
	for (const struct errcat_entry *a = errcat_entries; a->name; a++) {
		assert_ptr_equal(errcat_find(a->code), a);
		assert_ptr_equal(errcat_by_name(a->name), a);
		/* sorted: first those of our own, then JSON-RPC's */
		if (a != errcat_entries && a->code > 0)
			assert_true(a[-1].code < a->code);
		for (const struct errcat_entry *b = errcat_entries; b < a; b++)
			assert_int_not_equal(a->code, b->code);
	}
	assert_null(errcat_by_name("none"));
	assert_string_equal(errcat_label(ERR_BUSY, label), "E1003");
	assert_string_equal(errcat_label(ERR_RPC_METHOD, label), "-32601");
	assert_true(errcat_find(EBUSY)->retryable);
	assert_false(errcat_find(ENOENT)->retryable);
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
		cmocka_unit_test(test_catalogue), cmocka_unit_test(test_causes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
