// SPDX-License-Identifier: MIT
#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/test.h"

struct pipe_log {
	int fds[2];
	struct log log;
};

static int setup(void **state)
{
	static struct pipe_log p;

	if (pipe(p.fds))
		return -1;
	log_init(&p.log, p.fds[1], LOG_LEVEL_INFO, "vmd");
	*state = &p;
	return 0;
}

static int teardown(void **state)
{
	struct pipe_log *p = *state;

	close(p->fds[0]);
	if (p->log.fd >= 0)
		close(p->log.fd);
	return 0;
}

/* Everything that was logged so far; ends the log. */
static size_t read_back(struct pipe_log *p, char *out, size_t size)
{
	ssize_t n;

	close(p->log.fd);
	p->log.fd = -1;
	n = read(p->fds[0], out, size - 1);
	assert_true(n >= 0);
	out[n] = '\0';
	return (size_t)n;
}

static void test_line(void **state)
{
	struct pipe_log *p = *state;
	char out[4096];
	int y, mo, d, h, mi, s, ms, end = 0;

	errno = ENOENT;
	log_warn(&p->log, "two\nlines\x1b[1m %d", 7);
	assert_int_equal(errno, ENOENT);
	log_debug(&p->log, "not this");
	read_back(p, out, sizeof(out));
	assert_int_equal(sscanf(out, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &y, &mo, &d, &h, &mi, &s,
				&ms, &end),
			 7);
	assert_int_equal(end, 24);
	assert_string_equal(out + end, " warn vmd: two lines [1m 7\n");
}

static void test_long_line(void **state)
{
	struct pipe_log *p = *state;
	char text[3000], out[4096];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_error(&p->log, "%s", text);
	assert_true(read_back(p, out, sizeof(out)) <= 1024);
	assert_int_equal(out[strlen(out) - 1], '\n');
	assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
}

static void test_limited(void **state)
{
	struct pipe_log *p = *state;
	struct log_limit limit = { 0 };
	unsigned int lines = 0;
	char out[8192];

	for (int i = 1; i <= 100; i++)
		log_limited(&p->log, &limit, "guest did %d", i);
	read_back(p, out, sizeof(out));
	for (const char *q = out; (q = strchr(q, '\n')); q++)
		lines++;
	assert_int_equal(lines, 13); /* the first 10, then 16, 32, 64 */
	assert_non_null(strstr(out, "guest did 64\n"));
	assert_null(strstr(out, "guest did 11\n"));
}

static void test_levels(void **state)
{
	enum log_level level = LOG_LEVEL_DEBUG;

	(void)state;
	assert_int_equal(log_level_parse("warn", &level), 0);
	assert_int_equal(level, LOG_LEVEL_WARN);
	assert_int_equal(log_level_parse("loud", &level), -EINVAL);
	assert_int_equal(level, LOG_LEVEL_WARN);
	log_error(NULL, "nowhere");
}

/* A pipe that nobody reads: the log does not wait, and says later what it has lost. */
static void test_full_pipe(void **state)
{
	struct pipe_log *p = *state;
	atomic_ulong dropped = 0;
	char text[65536 + 1];
	unsigned long lost;
	ssize_t n;

	p->log.dropped = &dropped;
	assert_int_equal(fcntl(p->fds[0], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(fcntl(p->fds[1], F_SETFL, O_NONBLOCK), 0);
	for (int i = 0; i < 10000; i++)
		log_error(&p->log, "one of many lines that nobody reads");
	lost = atomic_load(&dropped);
	assert_true(lost > 1000 && lost < 10000);
	while (read(p->fds[0], text, sizeof(text)) > 0)
		;
	log_error(&p->log, "next");
	n = read(p->fds[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = '\0';
	assert_int_equal(strtoul(text + 1, NULL, 10), lost);
	assert_non_null(strstr(text, " lines of this log are lost)\n"));
	assert_non_null(strstr(text, "vmd: next\n"));
	assert_int_equal(atomic_load(&dropped), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_line, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_line, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limited, setup, teardown),
		cmocka_unit_test(test_levels),
		cmocka_unit_test_setup_teardown(test_full_pipe, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
