// SPDX-License-Identifier: MIT
/* Keys by name and as text (lib/keys.h). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <linux/input-event-codes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/errcat.h"
#include "lib/keys.h"

static void names(void **state)
{
	struct keys_chord c;

	(void)state;
	assert_int_equal(keys_parse("ctrl+alt+delete", &c, NULL), 0);
	assert_int_equal(c.n, 3);
	assert_int_equal(c.codes[0], KEY_LEFTCTRL);
	assert_int_equal(c.codes[1], KEY_LEFTALT);
	assert_int_equal(c.codes[2], KEY_DELETE);
	assert_int_equal(keys_parse("KEY_KP0", &c, NULL), 0);
	assert_int_equal(c.n, 1);
	assert_int_equal(c.codes[0], KEY_KP0);
	assert_int_equal(keys_parse("Ret", &c, NULL), 0);
	assert_int_equal(c.codes[0], KEY_ENTER);
	assert_int_equal(keys_parse("1+2+3+4+5+6+7+8", &c, NULL), 0);
	assert_int_equal(c.n, KEYS_CHORD_MAX);
}

static void every_name_once(void **state)
{
	struct keys_chord c;

	(void)state;
	for (const struct keys_name *k = keys_names; k->name; k++) {
		assert_true(strlen(k->name) < KEYS_NAME_MAX);
		assert_int_equal(keys_parse(k->name, &c, NULL), 0);
		assert_int_equal(c.codes[0], k->code);
		for (const struct keys_name *o = keys_names; o < k; o++)
			assert_true(strcasecmp(o->name, k->name));
	}
}

static void refused(const char *text, const char *why)
{
	struct keys_chord c = { .n = 77 };
	struct err e;

	assert_int_equal(keys_parse(text, &c, &e), -ERR_INVALID);
	assert_string_equal(e.msg, why);
	assert_int_equal(c.n, 77);
}

static void bad_names(void **state)
{
	char longer[300];

	(void)state;
	refused("delte", "there is no key 'delte'; did you mean 'delete'?");
	refused("ctrl+foo", "there is no key 'foo'");
	refused("kp_10", "there is no key 'kp_10'; did you mean 'kp_0' or 'kp_1' or 'kp_2'?");
	refused("", "expected keys such as \"ctrl+alt+delete\"");
	refused("ctrl+", "expected keys such as \"ctrl+alt+delete\"");
	refused("+a", "expected keys such as \"ctrl+alt+delete\"");
	refused("key_", "there is no key 'key_'");
	refused("a+A", "key 'A' is there twice");
	refused("1+2+3+4+5+6+7+8+9", "more than 8 keys at a time");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	refused(longer, "there is no key 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'");
}

static void text(void **state)
{
	struct keys_chord c;

	(void)state;
	for (char at[] = " "; at[0] <= '~'; at[0]++) /* all that ASCII has to show */
		assert_int_equal(keys_char(at, &c, NULL), 1);
	assert_int_equal(keys_char("a", &c, NULL), 1);
	assert_int_equal(c.n, 1);
	assert_int_equal(c.codes[0], KEY_A);
	assert_int_equal(keys_char("Ab", &c, NULL), 1);
	assert_int_equal(c.n, 2);
	assert_int_equal(c.codes[0], KEY_LEFTSHIFT);
	assert_int_equal(c.codes[1], KEY_A);
	assert_int_equal(keys_char("|", &c, NULL), 1);
	assert_int_equal(c.n, 2);
	assert_int_equal(c.codes[1], KEY_BACKSLASH);
	assert_int_equal(keys_char("\n", &c, NULL), 1);
	assert_int_equal(c.n, 1);
	assert_int_equal(c.codes[0], KEY_ENTER);
}

static void bad_text(void **state)
{
	struct keys_chord c;
	struct err e;

	(void)state;
	assert_int_equal(keys_char("\xe2\x82\xac 5", &c, &e), -ERR_INVALID);
	assert_string_equal(e.msg, "a US keyboard has no '\xe2\x82\xac'");
	assert_int_equal(keys_char("\x1b[A", &c, &e), -ERR_INVALID);
	assert_string_equal(e.msg, "no key types the byte 1bh");
	assert_int_equal(keys_char("", &c, &e), -ERR_INVALID);
	assert_int_equal(keys_char("\x7f", &c, &e), -ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),     cmocka_unit_test(every_name_once),
		cmocka_unit_test(bad_names), cmocka_unit_test(text),
		cmocka_unit_test(bad_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
