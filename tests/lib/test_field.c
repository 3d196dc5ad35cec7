// SPDX-License-Identifier: MIT
#include "lib/field.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "tests/lib/test.h"

struct sample {
	bool on;
	uint32_t u32;
	uint64_t u64;
	char text[5];
	int mode, fd, fds[2];
	struct json_object *json;
};

static const char *const sample_modes[] = { "utc", "local", NULL };

static const struct field sample_fields[] = {
	FIELD_BOOL("on", struct sample, on),
	FIELD_U32("u32", struct sample, u32),
	FIELD_U64("u64", struct sample, u64),
	FIELD_STR("text", struct sample, text),
	FIELD_ENUM("mode", struct sample, mode, sample_modes),
	FIELD_FD("fd", struct sample, fd),
	FIELD_FDS("fds", struct sample, fds),
	FIELD_JSON("json", struct sample, json),
	FIELD_END,
};

static int sample_bind(const char *text, struct sample *s, struct fdset *fds,
		       const char *const *ignore, struct err *e)
{
	AUTO_JSON struct json_object *o = NULL;

	assert_int_equal(json_parse(text, strlen(text), &o, NULL), 0);
	return field_bind(sample_fields, o, s, fds, ignore, e);
}

static void test_all_types(void **state)
{
	AUTO_JSON struct json_object *o = NULL;
	struct sample s = { .fd = -1 };
	static const char text[] =
		"{\"on\":true,\"u32\":4294967295,\"u64\":9007199254740991,\"text\":\"abcd\","
		"\"mode\":\"local\",\"fd\":{\"fd\":0},\"json\":[1]}";
	struct fdset fds;
	int fd = dup(STDERR_FILENO);

	(void)state;
	fdset_init(&fds);
	assert_int_equal(fdset_add(&fds, fd), 0);
	assert_int_equal(json_parse(text, sizeof(text) - 1, &o, NULL), 0);
	assert_int_equal(field_bind(sample_fields, o, &s, &fds, NULL, NULL), 0);
	assert_true(s.on);
	assert_int_equal(s.u32, UINT32_MAX);
	assert_int_equal(s.u64, JSON_INT_MAX);
	assert_string_equal(s.text, "abcd");
	assert_int_equal(s.mode, 1);
	assert_int_equal(s.fd, fd);
	assert_ptr_equal(s.json, json_get(o, "json"));
	/* taken: the struct owns it, and nobody can take it twice */
	assert_int_equal(fdset_take(&fds, 0), -EBADF);
	assert_true(field_bind(sample_fields, o, &s, &fds, NULL, NULL) < 0);
	fdset_fini(&fds);
	assert_int_equal(close(fd), 0);
}

static void test_lists_of_descriptors(void **state)
{
	struct sample s = { .fds = { -1, -1 } };
	int a = dup(STDERR_FILENO), b = dup(STDERR_FILENO);
	struct fdset fds;
	struct err e;

	(void)state;
	fdset_init(&fds);
	fdset_add(&fds, a);
	fdset_add(&fds, b);
	assert_int_equal(sample_bind("{\"fds\":[{\"fd\":1}]}", &s, &fds, NULL, NULL), 0);
	assert_int_equal(s.fds[0], b);
	assert_int_equal(s.fds[1], -1);
	assert_true(sample_bind("{\"fds\":[{\"fd\":0},{\"fd\":1}]}", &s, &fds, NULL, &e) < 0);
	assert_string_equal(e.msg, "fds: descriptor 1 was not passed");
	assert_int_equal(s.fds[0], a); /* the caller's to close */
	assert_true(sample_bind("{\"fds\":[{},{},{}]}", &s, &fds, NULL, &e) < 0);
	assert_true(sample_bind("{\"fds\":{\"fd\":0}}", &s, &fds, NULL, &e) < 0);
	assert_string_equal(e.msg, "fds: expected a list of file descriptors that is not too long");
	fdset_fini(&fds);
	close(a);
	close(b);
}

struct part {
	int fd;
	uint32_t n;
};

struct whole {
	struct field_list parts;
	int fd;
};

static const struct field part_fields[] = {
	FIELD_FD("fd", struct part, fd),
	FIELD_U32("n", struct part, n),
	FIELD_END,
};

static const struct field whole_fields[] = {
	FIELD_LIST("parts", struct whole, parts, struct part, part_fields, 2),
	FIELD_FD("fd", struct whole, fd),
	FIELD_END,
};

static int whole_bind(const char *text, struct whole *w, struct fdset *fds, struct err *e)
{
	AUTO_JSON struct json_object *o = NULL;

	assert_int_equal(json_parse(text, strlen(text), &o, NULL), 0);
	*w = (struct whole){ 0 };
	field_init(whole_fields, w);
	return field_bind(whole_fields, o, w, fds, NULL, e);
}

static void test_lists_of_objects(void **state)
{
	int a = dup(STDERR_FILENO), b = dup(STDERR_FILENO);
	struct err e = { 0 };
	struct fdset fds;
	struct part *parts;
	struct whole w;

	(void)state;
	fdset_init(&fds);
	fdset_add(&fds, a);
	fdset_add(&fds, b);
	assert_int_equal(whole_bind("{\"parts\":[{\"n\":7},{\"fd\":{\"fd\":1}}]}", &w, &fds, &e),
			 0);
	parts = w.parts.items;
	assert_int_equal(w.parts.n, 2);
	assert_true(parts[0].n == 7 && parts[0].fd == -1 && parts[1].n == 0 && parts[1].fd == b);
	assert_int_equal(w.fd, -1);
	field_fini(whole_fields, &w);
	assert_true(!w.parts.n && !w.parts.items);
	assert_int_equal(close(b), -1); /* it was closed with its item */
	assert_int_equal(whole_bind("{\"parts\":[]}", &w, &fds, &e), 0);
	assert_int_equal(w.parts.n, 0);
	field_fini(whole_fields, &w);
	/* half done: what was bound is closed */
	assert_true(whole_bind("{\"parts\":[{\"fd\":{\"fd\":0}},{\"m\":1}]}", &w, &fds, &e) < 0);
	assert_string_equal(e.msg, "parts/1: unknown key 'm'");
	field_fini(whole_fields, &w);
	assert_int_equal(close(a), -1);
	assert_true(whole_bind("{\"parts\":[{},{},{}]}", &w, &fds, &e) < 0);
	assert_string_equal(e.msg, "parts: expected a list of at most 2");
	assert_true(whole_bind("{\"parts\":{}}", &w, &fds, &e) < 0);
	assert_true(whole_bind("{\"parts\":[1]}", &w, &fds, &e) < 0);
	assert_string_equal(e.msg, "parts/0: expected an object");
	field_fini(whole_fields, &w);
	fdset_fini(&fds);
}

static void test_defaults_stay(void **state)
{
	struct sample s = { .u32 = 7, .mode = 1, .text = "old", .fd = -1 };
	static const char *const ignore[] = { "type", "id", NULL };

	(void)state;
	assert_int_equal(
		sample_bind("{\"on\":true,\"id\":\"x\",\"type\":1}", &s, NULL, ignore, NULL), 0);
	assert_true(s.on);
	assert_int_equal(s.u32, 7);
	assert_int_equal(s.mode, 1);
	assert_string_equal(s.text, "old");
	assert_int_equal(s.fd, -1);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *msg;
	} rows[] = {
		{ "[]", "expected an object" },
		{ "{\"off\":true}", "unknown key 'off'" },
		{ "{\"on\":1}", "on: expected true or false" },
		{ "{\"u32\":-1}", "u32: expected a whole number from 0 to 4294967295" },
		{ "{\"u32\":4294967296}", "u32: expected a whole number from 0 to 4294967295" },
		{ "{\"u32\":1.5}", "u32: expected a whole number from 0 to 4294967295" },
		{ "{\"u64\":-1}", "u64: expected a whole number from 0" },
		{ "{\"u64\":\"1\"}", "u64: expected a whole number from 0" },
		{ "{\"text\":null}", "text: expected a string" },
		{ "{\"text\":\"abcde\"}", "text: 5 bytes, at most 4 fit" },
		{ "{\"mode\":\"gmt\"}", "mode: expected one of its known names" },
		{ "{\"mode\":0}", "mode: expected one of its known names" },
		{ "{\"fd\":3}", "fd: expected a file descriptor, {\"fd\": index}" },
		{ "{\"fd\":{\"fd\":-1}}", "fd: expected a file descriptor, {\"fd\": index}" },
		{ "{\"fd\":{\"fd\":384}}", "fd: expected a file descriptor, {\"fd\": index}" },
		{ "{\"fd\":{\"fd\":1}}", "fd: descriptor 1 was not passed" },
	};
	struct fdset fds;

	(void)state;
	fdset_init(&fds);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct sample s = { .fd = -1 };
		struct err e = { 0 };

		assert_int_equal(sample_bind(rows[i].text, &s, &fds, NULL, &e), -ERR_INVALID);
		assert_string_equal(e.msg, rows[i].msg);
		assert_int_equal(s.fd, -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_types),
		cmocka_unit_test(test_lists_of_descriptors),
		cmocka_unit_test(test_lists_of_objects),
		cmocka_unit_test(test_defaults_stay),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
