// SPDX-License-Identifier: MIT
/* What a call on a log reads and finds: any bytes, pages, the last lines, expressions on pieces of lines. */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/lib/tempdir.h"
#include "vmd/vmlog_job.h"

struct fixture {
	char *dir;
	int fd;
	uint64_t offset;
	struct vmlog_job job;
};

static void add(struct fixture *f, enum logrec_kind kind, int64_t time_ms, const char *data,
		size_t len)
{
	struct logrec rec = { time_ms, kind, f->offset, len, data };
	char text[LOGREC_MAX];
	size_t n = logrec_format(&rec, text);

	assert_int_equal(write(f->fd, text, n), n);
	f->offset = logrec_next_offset(&rec);
}

static void line(struct fixture *f, const char *text)
{
	add(f, LOGREC_LINE, 1000, text, strlen(text));
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->dir = tempdir_new();
	snprintf(f->job.path, sizeof(f->job.path), "%s/x.log", f->dir);
	f->fd = open(f->job.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(f->fd >= 0);
	add(f, LOGREC_SEGMENT, 0, "- 0 0", 5);
	f->job.read.last = f->job.read.since_ms = -1;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	vmlog_job_fini(&f->job);
	close(f->fd);
	tempdir_remove(f->dir);
	free(f);
	return 0;
}

static struct json_object *record(struct fixture *f, size_t n)
{
	return json_object_array_get_idx(f->job.records, n);
}

static void test_any_bytes(void **state)
{
	struct fixture *f = *state;

	add(f, LOGREC_LINE, 1000, "a\0b", 3);
	add(f, LOGREC_LINE, 1000, "\xff", 1);
	line(f, "\xc3\xa9 \"\\");
	line(f, "");
	vmlog_job_run(&f->job);
	assert_int_equal(json_object_array_length(f->job.records), 4);
	assert_string_equal(json_get_str(record(f, 0), "text", ""), "a\xef\xbf\xbd"
								    "b");
	assert_string_equal(json_get_str(record(f, 0), "data_base64", ""), "YQBi");
	assert_string_equal(json_get_str(record(f, 1), "data_base64", ""), "/w==");
	assert_string_equal(json_get_str(record(f, 2), "text", ""), "\xc3\xa9 \"\\");
	assert_null(json_get(record(f, 2), "data_base64"));
	assert_string_equal(json_get_str(record(f, 3), "text", "?"), "");
}

static void test_pages(void **state)
{
	struct fixture *f = *state;
	char big[LOGREC_DATA_MAX];

	for (int i = 0; i < VMLOG_PAGE_RECORDS + 1; i++)
		line(f, "x");
	vmlog_job_run(&f->job);
	assert_int_equal(json_object_array_length(f->job.records), VMLOG_PAGE_RECORDS);
	assert_true(f->job.more);
	json_object_put(f->job.records);
	f->job.records = NULL;
	f->job.more = false;
	f->job.bytes = 0;
	/* control characters take the most room in JSON: a page still is no message that is too long */
	memset(big, 1, sizeof(big));
	for (int i = 0; i < 100; i++)
		add(f, LOGREC_LINE, 1000, big, sizeof(big));
	vmlog_job_run(&f->job);
	assert_true(f->job.more);
	assert_true(strlen(json_object_to_json_string(f->job.records)) < 512 * 1024);
}

static void read_last(struct fixture *f, int64_t last, const char *first, size_t n)
{
	json_object_put(f->job.records);
	f->job.records = NULL;
	f->job.more = false;
	f->job.pos = 0;
	f->job.read.last = last;
	vmlog_job_run(&f->job);
	assert_int_equal(f->job.records ? json_object_array_length(f->job.records) : 0, n);
	if (n)
		assert_string_equal(json_get_str(record(f, 0), "text", ""), first);
}

static void test_last_lines(void **state)
{
	struct fixture *f = *state;

	line(f, "one");
	add(f, LOGREC_PART, 1000, "tw", 2);
	line(f, "o");
	line(f, "three");
	add(f, LOGREC_PART, 5000, "prompt", 6);
	read_last(f, 0, "", 0);
	read_last(f, 1, "prompt", 1);
	read_last(f, 2, "three", 2);
	read_last(f, 3, "tw", 4); /* a line in two pieces is one */
	read_last(f, 4, "one", 5);
	read_last(f, 100, "one", 5);
	f->job.read.since_ms = 2000;
	read_last(f, 100, "prompt", 1);
}

static void look_for(struct fixture *f, const char *regex, uint64_t pos)
{
	vmlog_job_fini(&f->job);
	f->job.match = f->job.compiled = true;
	f->job.found = false;
	f->job.len = 0;
	f->job.pos = pos;
	assert_int_equal(regcomp(&f->job.regex, regex, REG_EXTENDED | REG_NOSUB), 0);
	vmlog_job_run(&f->job);
}

static void expect(struct fixture *f, const char *regex, const char *found)
{
	look_for(f, regex, 0);
	assert_int_equal(f->job.found, found != NULL);
	if (found)
		assert_string_equal(f->job.line, found);
}

static void test_matches(void **state)
{
	struct fixture *f = *state;
	char big[LOGREC_DATA_MAX];
	uint64_t before;

	line(f, "one\r");
	add(f, LOGREC_PART, 1000, "tw", 2);
	line(f, "o");
	add(f, LOGREC_LOST, 1000, "77", 2);
	add(f, LOGREC_LINE, 1000, "nul\0l", 5);
	memset(big, 'x', sizeof(big));
	memcpy(big + 1020, "needle", 6); /* where one piece ends and the next begins */
	memcpy(big + 500, "thread", 6);
	add(f, LOGREC_PART, 1000, big, sizeof(big));
	line(f, "");
	add(f, LOGREC_PART, 1000, "login: ", 7);
	expect(f, "^one$", "one");
	expect(f, "^two$", "two");
	expect(f, "^o$", NULL);
	expect(f, "77", NULL);
	expect(f, "^null$", "null");
	look_for(f, "needle", 0);
	assert_true(f->job.found);
	look_for(f, "thread", 0);
	assert_true(f->job.found);
	expect(f, "login: $", "login: ");
	/* it goes on where it was, in the middle of a line */
	look_for(f, "login: root", 0);
	assert_false(f->job.found);
	before = f->job.pos;
	line(f, "root");
	vmlog_job_run(&f->job);
	assert_true(f->job.found);
	assert_true(f->job.pos > before);
	/* not what stands before the position */
	look_for(f, "^one$", 60);
	assert_false(f->job.found);
}

static void test_expressions(void **state)
{
	static const char *const good[] = { "login: $", "a{2,5}", "\\{99999\\}", "[a-z]+|x",
					    "(a{10}){10}" };
	static const char *const bad[] = { "(",	       "[",
					   "(a)\\1",   "((a{99}){99}){9}",
					   "a{99999}", "a{20}{20}{20}" };
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		if (vmlog_match_check(good[i], &e) < 0)
			fail_msg("%s: %s", good[i], e.msg);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(vmlog_match_check(bad[i], &e), ERR_RPC_PARAMS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_any_bytes),
		T(test_pages),
		T(test_last_lines),
		T(test_matches),
		cmocka_unit_test(test_expressions),
	};

	return cmocka_run_group_tests_name("vmlog_job", tests, NULL, NULL);
}
