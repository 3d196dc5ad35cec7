// SPDX-License-Identifier: MIT
/* vmd/diff: what changed between two definitions. */
#include "vmd/diff.h"

#include <stdio.h>
#include <string.h>

#include "lib/auto.h"
#include "tests/lib/test.h"

static const struct {
	const char *before, *after, *changes;
} rows[] = {
	{ "{}", "{}", "[]" },
	{ "{\"a\":1}", "{\"a\":1.0}", "[]" }, /* equal in JSON */
	{ "{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", "[]" },
	{ "{\"a\":1}", "{\"a\":2}", "[{\"path\":\"/a\",\"from\":1,\"to\":2}]" },
	{ "{\"a\":1}", "{\"a\":\"1\"}", "[{\"path\":\"/a\",\"from\":1,\"to\":\"1\"}]" },
	{ "{}", "{\"a\":{\"b\":1}}", "[{\"path\":\"/a\",\"to\":{\"b\":1}}]" },
	{ "{\"a\":[1]}", "{}", "[{\"path\":\"/a\",\"from\":[1]}]" },
	{ "{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"b\":1,\"c\":3}}",
	  "[{\"path\":\"/a/c\",\"from\":2,\"to\":3}]" },
	{ "{\"a\":[1,2]}", "{\"a\":[1,3,4]}",
	  "[{\"path\":\"/a/1\",\"from\":2,\"to\":3},{\"path\":\"/a/2\",\"to\":4}]" },
	{ "{\"a\":\"512MiB\"}", "{\"a\":{\"size\":\"512MiB\"}}",
	  "[{\"path\":\"/a\",\"from\":\"512MiB\",\"to\":{\"size\":\"512MiB\"}}]" },
	{ "{\"x/y\":1,\"z~\":1}", "{\"z~\":2}",
	  "[{\"path\":\"/z~0\",\"from\":1,\"to\":2},{\"path\":\"/x~1y\",\"from\":1}]" },
};

static void test_changes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		AUTO_JSON struct json_object *a = NULL, *b = NULL, *got = NULL, *pointers = NULL;

		assert_int_equal(json_parse(rows[i].before, strlen(rows[i].before), &a, NULL), 0);
		assert_int_equal(json_parse(rows[i].after, strlen(rows[i].after), &b, NULL), 0);
		got = diff_changes(a, b);
		assert_string_equal(
			json_object_to_json_string_ext(got, JSON_C_TO_STRING_PLAIN |
								    JSON_C_TO_STRING_NOSLASHESCAPE),
			rows[i].changes);
		pointers = diff_pointers(a, b);
		assert_int_equal(json_object_array_length(pointers), json_object_array_length(got));
		if (json_object_array_length(got))
			assert_string_equal(
				json_object_get_string(json_object_array_get_idx(pointers, 0)),
				json_object_get_string(json_at(got, "/0/path")));
	}
}

static void test_bound(void **state)
{
	AUTO_JSON struct json_object *a = json_new(), *b = json_new(), *got = NULL;

	(void)state;
	for (int i = 0; i < DIFF_MAX + 10; i++) {
		char key[16];

		snprintf(key, sizeof(key), "k%d", i);
		json_add_int(a, key, i);
	}
	got = diff_changes(a, b);
	assert_int_equal(json_object_array_length(got), DIFF_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
