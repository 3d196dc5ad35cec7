// SPDX-License-Identifier: MIT
#include "lib/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "tests/lib/test.h"

static void assert_text(const char *text, const char *expected)
{
	AUTO_JSON struct json_object *v = NULL;
	struct err e = { 0 };
	int ret = json_parse(text, strlen(text), &v, &e);

	if (ret < 0)
		fail_msg("%s: %s", text, e.msg);
	assert_string_equal(json_object_to_json_string_ext(
				    v, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
			    expected);
}

static void assert_refused(const char *text, size_t len, const char *msg)
{
	struct json_object *v = (void *)text;
	struct err e = { 0 };

	assert_int_equal(json_parse(text, len, &v, &e), -ERR_SYNTAX);
	assert_ptr_equal(v, text);
	assert_int_equal(e.code, ERR_SYNTAX);
	assert_string_equal(e.msg, msg);
}

static void test_values(void **state)
{
	(void)state;
	assert_text("null", "null");
	assert_text(" [true,false , null,[],{} ]\n", "[true,false,null,[],{}]");
	assert_text("{\"b\":1,\"a\":{\"c\":\"x\"}}", "{\"b\":1,\"a\":{\"c\":\"x\"}}");
	assert_text("[0,-0,-17,9007199254740991,-9007199254740991]",
		    "[0,0,-17,9007199254740991,-9007199254740991]");
	assert_text("[0.5,1.0,1e3,-2.5E-3]", "[0.5,1.0,1e3,-2.5E-3]");
	assert_text("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\"");
	assert_text("\"\\u0041\\u00e9\\u20ac\\uD83D\\uDCA9\"", "\"A\u00e9\u20ac\U0001f4a9\"");
	assert_text("\"\u00e9\u20ac\U0001f4a9\"", "\"\u00e9\u20ac\U0001f4a9\"");
	assert_text("\"\\\\\"", "\"\\\\\"");
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *msg;
	} rows[] = {
		{ "", "byte 0: expected a value, got the end of the text" },
		{ "  ", "byte 2: expected a value, got the end of the text" },
		{ "1 2", "byte 2: expected nothing behind the value, got '2'" },
		{ "{}x", "byte 2: expected nothing behind the value, got 'x'" },
		{ "[1,]", "byte 3: expected a value, got ']'" },
		{ "[1", "byte 2: expected ',' or ']', got the end of the text" },
		{ "{\"a\":1,}", "byte 7: expected a key in double quotes, got '}'" },
		{ "{a:1}", "byte 1: expected a key in double quotes, got 'a'" },
		{ "{'a':1}", "byte 1: expected a key in double quotes, got '''" },
		{ "{\"a\" 1}", "byte 5: expected ':', got '1'" },
		{ "{\"a\":1 \"b\":2}", "byte 7: expected ',' or '}', got '\"'" },
		{ "{\"a\":1,\"b\":2,\"\\u0061\":3}", "byte 13: duplicate key 'a'" },
		{ "NaN", "byte 0: expected a value, got 'N'" },
		{ "Infinity", "byte 0: expected a value, got 'I'" },
		{ "-Infinity", "byte 1: expected a digit, got 'I'" },
		{ "True", "byte 0: expected a value, got 'T'" },
		{ "nul", "byte 0: expected a value, got 'n'" },
		{ "/* */1", "byte 0: expected a value, got '/'" },
		{ "01", "byte 1: expected nothing behind the value, got '1'" },
		{ "+1", "byte 0: expected a value, got '+'" },
		{ ".5", "byte 0: expected a value, got '.'" },
		{ "1.", "byte 2: expected a digit, got the end of the text" },
		{ "1e", "byte 2: expected a digit, got the end of the text" },
		{ "0x10", "byte 1: expected nothing behind the value, got 'x'" },
		{ "9007199254740992", "byte 0: number 9007199254740992 is out of range" },
		{ "-9007199254740992", "byte 0: number -9007199254740992 is out of range" },
		{ "99999999999999999999", "byte 0: number 99999999999999999999 is out of range" },
		{ "[1e999]", "byte 1: number 1e999 is out of range" },
		{ "\"a", "byte 2: the string does not end" },
		{ "\"a\\\"", "byte 4: the string does not end" },
		{ "\"a\nb\"", "byte 2: control character 0x0a in a string" },
		{ "\"\\x41\"", "byte 2: expected an escape of JSON behind '\\', got 'x'" },
		{ "\"\\u00g1\"", "byte 5: expected a hexadecimal digit, got 'g'" },
		{ "\"\\ud83d\"", "byte 1: half of a surrogate pair" },
		{ "\"\\udca9\"", "byte 1: half of a surrogate pair" },
		{ "\"\\ud83d\\u0041\"", "byte 1: half of a surrogate pair" },
		{ "\"\\u0000\"", "byte 1: a NUL character in a string is not supported" },
		{ "\"\xff\"", "byte 1: invalid UTF-8" },
		{ "\"\xc0\xaf\"", "byte 1: invalid UTF-8" },
		{ "\"\xe0\x80\xaf\"", "byte 1: invalid UTF-8" },
		{ "\"\xed\xa0\x80\"", "byte 1: invalid UTF-8" },
		{ "\"\xf4\x90\x80\x80\"", "byte 1: invalid UTF-8" },
		{ "\"\xe2\x82\"", "byte 1: invalid UTF-8" },
		{ "\xef\xbb\xbf{}", "byte 0: expected a value, got byte 0xef" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_refused(rows[i].text, strlen(rows[i].text), rows[i].msg);
	assert_refused("1\0", 2, "byte 1: expected nothing behind the value, got byte 0x00");
	assert_refused("\"a\0b\"", 5, "byte 2: control character 0x00 in a string");
}

/* Every cut of a text is refused and reads nothing behind its end (the sanitizer builds see to that). */
static void test_cut(void **state)
{
	static const char text[] = "{\"k\\u00e9\":[1.5e3,true,null,\"\\ud83d\\udca9\xc3\xa9\"]}";

	(void)state;
	for (size_t n = 0; n < sizeof(text) - 1; n++) {
		AUTO_FREE char *cut = malloc(n ? n : 1);
		struct json_object *v = NULL;

		memcpy(cut, text, n);
		assert_int_equal(json_parse(cut, n, &v, NULL), -ERR_SYNTAX);
	}
}

static void test_depth(void **state)
{
	char text[2 * (JSON_DEPTH_MAX + 1) + 1] = "";
	AUTO_JSON struct json_object *v = NULL;

	(void)state;
	memset(text, '[', JSON_DEPTH_MAX);
	memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	assert_int_equal(json_parse(text, 2 * JSON_DEPTH_MAX, &v, NULL), 0);
	memset(text, '[', JSON_DEPTH_MAX + 1);
	memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
	assert_refused(text, strlen(text), "byte 64: more than 64 levels");
}

static void test_access(void **state)
{
	AUTO_JSON struct json_object *o = json_new();
	AUTO_JSON struct json_object *copy = NULL;
	int64_t v = 7;

	(void)state;
	json_add_int(json_add_str(json_add_bool(o, "b", true), "s", "x"), "i", -5);
	json_add_fmt(o, "f", "%s-%d", "a", 1);
	json_add(o, "o", json_add_int(json_new(), "a/b~c", 3));
	json_add(o, "d", json_object_new_double(2.0));
	json_add_str(o, "n", NULL);
	assert_true(json_get_bool(o, "b", false));
	assert_true(json_get_bool(o, "s", true));
	assert_string_equal(json_get_str(o, "s", "y"), "x");
	assert_string_equal(json_get_str(o, "i", "y"), "y");
	assert_string_equal(json_get_str(o, "f", NULL), "a-1");
	assert_int_equal(json_get_int(o, "i", 0), -5);
	assert_int_equal(json_get_int(o, "d", 0), 2);
	assert_int_equal(json_get_int(o, "s", 9), 9);
	assert_null(json_get(o, "n"));
	assert_null(json_get(NULL, "n"));
	assert_null(json_get(json_get(o, "s"), "n"));
	assert_int_equal(json_object_get_int(json_at(o, "/o/a~1b~0c")), 3);
	assert_null(json_at(o, "/o/x"));
	assert_ptr_equal(json_at(o, ""), o);
	copy = json_clone(o);
	assert_true(json_equal(o, copy));
	json_add_int(json_get(copy, "o"), "a/b~c", 4);
	assert_false(json_equal(o, copy));
	assert_int_equal(json_object_get_int(json_at(o, "/o/a~1b~0c")), 3);
	assert_false(json_int(json_get(o, "s"), &v));
	assert_int_equal(v, 7);
}

static void test_pointer_add(void **state)
{
	char out[12];

	(void)state;
	assert_true(json_pointer_add(out, sizeof(out), "", "a"));
	assert_string_equal(out, "/a");
	assert_true(json_pointer_add(out, sizeof(out), out, "b/~"));
	assert_string_equal(out, "/a/b~1~0");
	assert_true(json_pointer_add(out, sizeof(out), "/1234", "67890"));
	assert_false(json_pointer_add(out, sizeof(out), "/12345", "67890"));
	assert_false(json_pointer_add(out, sizeof(out), "/1234", "6789/"));
}

static void test_equal(void **state)
{
	static const struct {
		const char *a, *b;
		bool equal;
	} rows[] = {
		{ "1", "1.0", true },
		{ "1", "1.5", false },
		{ "1", "true", false },
		{ "0", "false", false },
		{ "null", "null", true },
		{ "null", "0", false },
		{ "[1,2]", "[1.0,2]", true },
		{ "[1,2]", "[2,1]", false },
		{ "[1]", "[1,1]", false },
		{ "{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1.0}", true },
		{ "{\"a\":null}", "{\"b\":null}", false },
		{ "\"a\"", "\"a\"", true },
		{ "\"1\"", "1", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_JSON struct json_object *a = NULL;
		AUTO_JSON struct json_object *b = NULL;

		assert_int_equal(json_parse(rows[i].a, strlen(rows[i].a), &a, NULL), 0);
		assert_int_equal(json_parse(rows[i].b, strlen(rows[i].b), &b, NULL), 0);
		if (json_equal(a, b) != rows[i].equal || json_equal(b, a) != rows[i].equal)
			fail_msg("%s and %s", rows[i].a, rows[i].b);
	}
}

static void test_size(void **state)
{
	static const struct {
		const char *text;
		int ret;
		uint64_t bytes;
	} rows[] = {
		{ "0", 0, 0 },
		{ "4096", 0, 4096 },
		{ "1536KiB", 0, 1536 * KIB },
		{ "512MiB", 0, 512 * MIB },
		{ "4GiB", 0, 4 * GIB },
		{ "2TiB", 0, 2048 * GIB },
		{ "10GB", 0, 10000000000 },
		{ "9007199254740991", 0, 9007199254740991 },
		{ "9007199254740992", -ERANGE, 0 },
		{ "8191TiB", 0, 8191 * 1024 * GIB },
		{ "8192TiB", -ERANGE, 0 },
		{ "18446744073709551616", -ERANGE, 0 },
		{ "99999999999999999999TiB", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "GiB", -EINVAL, 0 },
		{ "4G", -EINVAL, 0 },
		{ "4 GiB", -EINVAL, 0 },
		{ " 4GiB", -EINVAL, 0 },
		{ "-4GiB", -EINVAL, 0 },
		{ "1.5GiB", -EINVAL, 0 },
		{ "4gib", -EINVAL, 0 },
		{ "0x10", -EINVAL, 0 },
	};
	char out[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t bytes = 0;
		int ret = json_size_parse(rows[i].text, &bytes);

		if (ret != rows[i].ret || bytes != rows[i].bytes)
			fail_msg("%s: %d, %llu", rows[i].text, ret, (unsigned long long)bytes);
	}
	json_size_format(536870912, out, sizeof(out));
	assert_string_equal(out, "512MiB");
	json_size_format(1000, out, sizeof(out));
	assert_string_equal(out, "1000");
	json_size_format(0, out, sizeof(out));
	assert_string_equal(out, "0");
}

static void test_limits(void **state)
{
	static const struct json_limits limits = { .values = 4, .string = 3 };
	static const struct {
		const char *text, *msg; /* NULL: taken */
	} rows[] = {
		{ "[1,2,3]", NULL },
		{ "[1,2,3,4]", "byte 7: more than 4 values" },
		{ "{\"a\":[1,{}]}", NULL },
		{ "{\"a\":[1,{\"b\":2}]}", "byte 13: more than 4 values" },
		{ "[\"abc\",\"\\n\\n\\n\"]", NULL },
		{ "[\"abcd\"]", "byte 1: a string of more than 3 bytes" },
		{ "{\"abcd\":1}", "byte 1: a string of more than 3 bytes" },
		{ "\"\u20ac\"", NULL },
		{ "\"\u20ac!\"", "byte 0: a string of more than 3 bytes" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_JSON struct json_object *v = NULL;
		struct err e = { 0 };
		int ret = json_parse_limited(rows[i].text, strlen(rows[i].text), &limits, &v, &e);

		assert_int_equal(ret, rows[i].msg ? -ERR_SYNTAX : 0);
		assert_string_equal(e.msg, rows[i].msg ? rows[i].msg : "");
	}
}

static void test_notes(void **state)
{
	static const char *const notes[] = { "title", "note", NULL };
	static const struct json_limits limits = { .notes = notes };
	static const char text[] =
		"{\"title\":\"x\",\"a\":{\"note\":\"y\",\"b\":\"note\"},\"note\":{\"title\":1}}";
	AUTO_JSON struct json_object *v = NULL;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(json_parse_limited(text, strlen(text), &limits, &v, &e), 0);
	assert_string_equal(json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN),
			    "{\"a\":{\"b\":\"note\"},\"note\":{\"title\":1}}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_cut),    cmocka_unit_test(test_depth),
		cmocka_unit_test(test_access), cmocka_unit_test(test_pointer_add),
		cmocka_unit_test(test_equal),  cmocka_unit_test(test_size),
		cmocka_unit_test(test_limits), cmocka_unit_test(test_notes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
