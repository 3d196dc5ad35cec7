// SPDX-License-Identifier: MIT
/*
 * The official JSON Schema test suite (Debian package json-schema-test-suite) against our validator. It
 * has no 2020-12 files; draft 7 is its newest. The keywords that we support mean the same in both, with
 * two differences: draft 7 says `definitions` where 2020-12 says `$defs` (renamed here before use), and
 * lets `$ref` switch off what stands beside it (such groups are left out by name). Every other group
 * either runs, or our compiler refuses its schema, names the keyword, and it is counted as refused.
 */
#include "lib/schema.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/fdio.h"
#include "tests/lib/test.h"
#include "tests/lib/skip.h"

#define SUITE_DIR "/usr/share/json-schema-test-suite/tests/draft7"
#define SUITE_LEAST 280 /* cases; fewer would mean that we pass by leaving out */

struct suite {
	unsigned int run, wrong, groups, refused;
};

/* the name of a skipped test is all that its report shows: it gives the reason */
#define SUITE_NEEDS(what) what " (needs the package json-schema-test-suite)"

/* Files about keywords that we do not have: every schema in them must be refused. */
static const char *const suite_unsupported[] = {
	"additionalItems.json", "contains.json",	  "dependencies.json",
	"pattern.json",		"patternProperties.json", "propertyNames.json",
};

static const struct {
	const char *description, *reason;
} suite_left_out[] = {
	{ "ref overrides any sibling keywords", "2020-12 applies what stands beside $ref" },
};

static const char *suite_reason(const char *description)
{
	for (size_t i = 0; i < ARRAY_SIZE(suite_left_out); i++)
		if (!strcmp(suite_left_out[i].description, description))
			return suite_left_out[i].reason;
	return NULL;
}

/* `definitions` -> `$defs`, in text: the quotes make sure that it is a key or a reference. */
static char *suite_rename(const char *text)
{
	static const char from[] = "definitions", to[] = "$defs";
	char *out = calloc(1, strlen(text) + 1), *o = out;

	while (out && *text) {
		bool key = !strncmp(text, from, sizeof(from) - 1) &&
			   ((text[-1] == '"' && text[sizeof(from) - 1] == '"') || text[-1] == '/');

		if (key) {
			o = stpcpy(o, to);
			text += sizeof(from) - 1;
		} else {
			*o++ = *text++;
		}
	}
	return out;
}

static struct json_object *suite_load(const char *name)
{
	AUTO_FREE char *text = NULL;
	AUTO_FREE char *renamed = NULL;
	struct json_object *root = NULL;
	struct err e = { 0 };
	char path[512];
	size_t len;
	int fd;

	snprintf(path, sizeof(path), SUITE_DIR "/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fdio_read_file(fd, 1024 * 1024, &text, &len, NULL) < 0)
		fail_msg("cannot read %s", path);
	close(fd);
	renamed = suite_rename(text);
	if (!renamed || json_parse(renamed, strlen(renamed), &root, &e) < 0)
		fail_msg("%s: %s", path, e.msg);
	return root;
}

static void suite_run_group(struct suite *t, const char *name, struct json_object *group,
			    const struct schema *s)
{
	struct json_object *tests = json_get(group, "tests");

	for (size_t i = 0; i < json_object_array_length(tests); i++) {
		struct json_object *test = json_object_array_get_idx(tests, i);
		struct schema_error err = { .msg = "valid" };
		bool valid = !schema_validate(s, json_get(test, "data"), &err);

		t->run++;
		if (valid == json_get_bool(test, "valid", false))
			continue;
		t->wrong++;
		print_message("# %s: %s: %s: we say: %s\n", name,
			      json_get_str(group, "description", ""),
			      json_get_str(test, "description", ""), err.msg);
	}
}

static void suite_run_file(struct suite *t, const char *name)
{
	AUTO_JSON struct json_object *root = suite_load(name);

	for (size_t i = 0; i < json_object_array_length(root); i++) {
		struct json_object *group = json_object_array_get_idx(root, i);
		const char *description = json_get_str(group, "description", "");
		const char *reason = suite_reason(description);
		struct schema *s = NULL;
		struct err e = { 0 };

		t->groups++;
		if (!reason && schema_compile(json_get(group, "schema"), NULL, NULL, &s, &e) < 0)
			reason = e.msg;
		if (reason) {
			t->refused++;
			print_message("# refused: %s: %s: %s\n", name, description, reason);
			continue;
		}
		suite_run_group(t, name, group, s);
		schema_free(s);
	}
}

static int suite_is_json(const struct dirent *d)
{
	const char *dot = strrchr(d->d_name, '.');

	return dot && !strcmp(dot, ".json");
}

static void test_suite(void **state)
{
	struct suite t = { 0 };
	struct dirent **names;
	int n;

	(void)state;
	if (access(SUITE_DIR, R_OK))
		SKIP_BECAUSE("no json-schema-test-suite");
	n = scandir(SUITE_DIR, &names, suite_is_json, alphasort);
	assert_true(n > 0);
	for (int i = 0; i < n; i++) {
		suite_run_file(&t, names[i]->d_name);
		free(names[i]);
	}
	free(names);
	print_message("# %u cases run, %u wrong; %u of %u groups refused\n", t.run, t.wrong,
		      t.refused, t.groups);
	assert_int_equal(t.wrong, 0);
	assert_true(t.run >= SUITE_LEAST);
}

/* A keyword that is not supported is refused wherever it is the subject: not one case of it runs. */
static void test_unsupported_is_refused(void **state)
{
	(void)state;
	if (access(SUITE_DIR, R_OK))
		SKIP_BECAUSE("no json-schema-test-suite");
	for (size_t i = 0; i < ARRAY_SIZE(suite_unsupported); i++) {
		struct suite t = { 0 };

		suite_run_file(&t, suite_unsupported[i]);
		assert_true(t.groups > 0);
		if (t.run)
			fail_msg("%s: %u cases ran", suite_unsupported[i], t.run);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ SUITE_NEEDS("every group"), test_suite, NULL, NULL, NULL },
		{ SUITE_NEEDS("unsupported keywords"), test_unsupported_is_refused, NULL, NULL,
		  NULL },
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
