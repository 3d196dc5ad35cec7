// SPDX-License-Identifier: MIT
/* Logs on disk: records, rotation, what a crash cuts off, a disk that takes nothing, reading by position. */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/tempdir.h"
#include "vmd/logfile.h"

struct fixture {
	uv_loop_t loop;
	char *dir;
	char path[256];
	struct logfile *log;
	size_t size;
	unsigned int ready, failed, resumed, closed;
};

static void fixture_ready(void *arg)
{
	((struct fixture *)arg)->ready++;
}

static void fixture_written(void *arg)
{
	(void)arg;
}

static void fixture_failed(void *arg, const struct err *why)
{
	assert_true(why->msg[0]);
	((struct fixture *)arg)->failed++;
}

static void fixture_resumed(void *arg)
{
	((struct fixture *)arg)->resumed++;
}

static void fixture_closed(void *arg)
{
	((struct fixture *)arg)->closed++;
}

static const struct logfile_ops fixture_ops = {
	.ready = fixture_ready,
	.written = fixture_written,
	.failed = fixture_failed,
	.resumed = fixture_resumed,
	.closed = fixture_closed,
};

static void fixture_open(struct fixture *f)
{
	struct logfile_options o = {
		.loop = &f->loop, .path = f->path, .size = f->size, .ops = &fixture_ops, .arg = f
	};

	f->ready = f->failed = f->resumed = f->closed = 0;
	assert_int_equal(logfile_new(&o, &f->log, NULL), 0);
	while (!f->ready && !f->failed)
		uv_run(&f->loop, UV_RUN_ONCE);
}

static void fixture_close(struct fixture *f, bool remove)
{
	logfile_close(f->log, remove);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->closed, 1);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	uv_loop_init(&f->loop);
	f->dir = tempdir_new();
	f->size = LOGFILE_SIZE_MIN;
	snprintf(f->path, sizeof(f->path), "%s/x.log", f->dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(uv_loop_close(&f->loop), 0);
	tempdir_remove(f->dir);
	free(f);
	return 0;
}

static void add(struct fixture *f, enum logrec_kind kind, const char *text)
{
	struct logrec rec = { 1000, kind, logfile_next_offset(f->log), strlen(text), text };

	logfile_add(f->log, &rec);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* All records from pos on as "kind offset data|". Where it ended. */
static uint64_t dump(struct fixture *f, uint64_t pos, char *out, size_t size)
{
	struct logread *r = malloc(sizeof(*r));
	struct logrec rec;

	assert_non_null(r);
	out[0] = '\0';
	assert_int_equal(logread_open(r, f->path, NULL), 0);
	logread_seek(r, pos);
	while (logread_next(r, &rec) > 0)
		snprintf(out + strlen(out), size - strlen(out), "%c %d %.*s|", (char)rec.kind,
			 (int)rec.offset, (int)rec.len, rec.data);
	pos = r->pos;
	logread_fini(r);
	free(r);
	return pos;
}

static void test_records(void **state)
{
	static const char text[] = "1970-01-01T00:00:01.000Z l 7 5 hello\n";
	char out[LOGREC_MAX];
	struct logrec rec = { 1000, LOGREC_LINE, 7, 5, "hello" }, got;
	int64_t ms;

	(void)state;
	assert_int_equal(logrec_format(&rec, out), sizeof(text) - 1);
	assert_memory_equal(out, text, sizeof(text) - 1);
	assert_int_equal(logrec_parse(text, sizeof(text) - 1, &got), sizeof(text) - 1);
	assert_int_equal(got.time_ms, 1000);
	assert_int_equal(got.offset, 7);
	assert_int_equal(logrec_next_offset(&got), 13);
	for (size_t n = 0; n < sizeof(text) - 1; n++)
		assert_int_equal(logrec_parse(text, n, &got), 0);
#define BAD(s) assert_int_equal(logrec_parse(s, sizeof(s) - 1, &got), -EPROTO)
	BAD("1970-01-01T00:00:01.000Z l 7 4 hello\n");
	BAD("1970-01-01T00:00:01.000Z q 7 5 hello\n");
	BAD("1970-01-01T00:00:01.000Z l 7 4097 hello\n");
	BAD("1970-01-01T00:00:01.000Z l 99999999999999999999 5 hello\n");
	BAD("1970-01-01T00:00:01.000Z l -7 5 hello\n");
	BAD("yesterday-at-midnight..... l 7 5 hello\n");
#undef BAD
	assert_true(logrec_time_parse("2026-01-31T12:00:00Z", &ms));
	assert_int_equal(ms, 1769860800000);
	assert_true(logrec_time_parse("2026-01-31T12:00:00.25Z", &ms));
	assert_int_equal(ms, 1769860800250);
	assert_false(logrec_time_parse("2026-01-31 12:00:00", &ms));
}

static void test_goes_on_where_it_was(void **state)
{
	struct fixture *f = *state;
	uint64_t pos, end;
	char text[1024];

	fixture_open(f);
	assert_string_equal(logfile_run(f->log), "-");
	add(f, LOGREC_BEGIN, "run-1");
	add(f, LOGREC_LINE, "one");
	add(f, LOGREC_PART, "tw");
	fixture_close(f, false);
	fixture_open(f);
	assert_string_equal(logfile_run(f->log), "run-1");
	assert_int_equal(logfile_run_pos(f->log), 0);
	assert_int_equal(logfile_next_offset(f->log), 6);
	add(f, LOGREC_LINE, "o");
	add(f, LOGREC_LOST, "10");
	assert_int_equal(logfile_next_offset(f->log), 18);
	fixture_close(f, false);
	end = dump(f, 0, text, sizeof(text));
	assert_string_equal(text, "b 0 run-1|l 0 one|p 4 tw|l 6 o|x 8 10|");
	pos = dump(f, end, text, sizeof(text));
	assert_string_equal(text, "");
	assert_int_equal(pos, end);
	/* a position that is none: what begins behind it; one that is too large: the end */
	dump(f, 3, text, sizeof(text));
	assert_string_equal(text, "l 0 one|p 4 tw|l 6 o|x 8 10|");
	assert_int_equal(dump(f, end + 1000, text, sizeof(text)), end);
}

/* Whatever stands behind the last whole record when it is opened. */
static void cut_is_mended(struct fixture *f, const char *tail)
{
	char text[1024];

	fixture_open(f);
	add(f, LOGREC_BEGIN, "run-1");
	add(f, LOGREC_LINE, "one");
	fixture_close(f, false);
	put(f->path, tail);
	fixture_open(f);
	assert_int_equal(logfile_next_offset(f->log), 4);
	add(f, LOGREC_LINE, "two");
	fixture_close(f, false);
	dump(f, 0, text, sizeof(text));
	assert_string_equal(text, "b 0 run-1|l 0 one|l 4 two|");
	fixture_open(f);
	fixture_close(f, true);
	assert_int_equal(access(f->path, F_OK), -1);
}

static void test_cut_record(void **state)
{
	static const char rec[] = "1970-01-01T00:00:01.000Z l 4 8 whatever\n";

	for (size_t n = 0; n < sizeof(rec) - 1; n++) {
		char tail[sizeof(rec)] = "";

		memcpy(tail, rec, n);
		cut_is_mended(*state, tail);
	}
	cut_is_mended(*state, "garbage");
	cut_is_mended(*state, "garbage\n");
}

static off_t file_size(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void test_rotation(void **state)
{
	struct fixture *f = *state;
	char line[1001] = "", older[300], want[32];
	static char text[1 << 20];
	uint64_t before;

	snprintf(older, sizeof(older), "%s.1", f->path);
	fixture_open(f);
	add(f, LOGREC_BEGIN, "run-1");
	memset(line, '.', sizeof(line) - 1);
	for (int i = 0; i < 1000; i++) {
		snprintf(line, 5, "%04d", i);
		line[4] = '.';
		add(f, LOGREC_LINE, line);
		while (!logfile_room(f->log))
			uv_run(&f->loop, UV_RUN_ONCE);
	}
	fixture_close(f, false);
	assert_true(file_size(f->path) + file_size(older) <= (off_t)f->size);
	assert_true(file_size(f->path) + file_size(older) > (off_t)f->size / 3);
	before = dump(f, 0, text, sizeof(text));
	/* the newest are there, each once and in order */
	for (int i = 999; i > 950; i--) {
		snprintf(want, sizeof(want), "l %d %04d", i * 1001, i);
		assert_non_null(strstr(text, want));
	}
	/* its run is known though its begin is gone */
	fixture_open(f);
	assert_string_equal(logfile_run(f->log), "run-1");
	assert_int_equal(logfile_next_offset(f->log), 1001000);
	assert_int_equal(logfile_run_pos(f->log), 0);
	add(f, LOGREC_LINE, "next");
	fixture_close(f, false);
	dump(f, before, text, sizeof(text));
	assert_string_equal(text, "l 1001000 next|");
	/* vmd has died between the renaming and the new file */
	assert_int_equal(rename(f->path, older), 0);
	fixture_open(f);
	assert_int_equal(logfile_next_offset(f->log), 1001005);
	add(f, LOGREC_LINE, "last");
	fixture_close(f, false);
	dump(f, before, text, sizeof(text));
	assert_string_equal(text, "l 1001000 next|l 1001005 last|");
}

/* A process is in the log with the first that it says. */
static void test_silence_is_not_written(void **state)
{
	struct fixture *f = *state;
	char text[256];

	fixture_open(f);
	add(f, LOGREC_BEGIN, "run-1");
	assert_string_equal(logfile_run(f->log), "run-1");
	assert_true(logfile_idle(f->log));
	assert_false(logfile_busy(f->log));
	fixture_close(f, false);
	assert_int_equal(access(f->path, F_OK), -1);
	fixture_open(f);
	assert_string_equal(logfile_run(f->log), "-");
	add(f, LOGREC_BEGIN, "run-2");
	add(f, LOGREC_BEGIN, "run-3");
	assert_true(logfile_idle(f->log));
	add(f, LOGREC_LINE, "one");
	assert_false(logfile_idle(f->log));
	add(f, LOGREC_BEGIN, "run-4");
	assert_false(logfile_idle(f->log));
	fixture_close(f, false);
	dump(f, 0, text, sizeof(text));
	assert_string_equal(text, "b 0 run-2|b 0 run-3|l 0 one|b 4 run-4|");
}

static void test_disk_takes_nothing(void **state)
{
	struct fixture *f = *state;
	char away[300], text[256];

	fixture_open(f);
	add(f, LOGREC_BEGIN, "run-1");
	add(f, LOGREC_LINE, "zero");
	fixture_close(f, false);
	fixture_open(f);
	snprintf(away, sizeof(away), "%s/away", f->dir);
	assert_int_equal(rename(f->path, away), 0);
	assert_int_equal(mkdir(f->path, 0700), 0);
	add(f, LOGREC_LINE, "one");
	while (!f->failed)
		uv_run(&f->loop, UV_RUN_ONCE);
	assert_false(logfile_busy(f->log));
	add(f, LOGREC_LINE, "two");
	assert_int_equal(rmdir(f->path), 0);
	assert_int_equal(rename(away, f->path), 0);
	while (!f->resumed)
		uv_run(&f->loop, UV_RUN_ONCE);
	assert_int_equal(f->failed, 1);
	fixture_close(f, false);
	dump(f, 0, text, sizeof(text));
	assert_string_equal(text, "b 0 run-1|l 0 zero|l 5 one|l 9 two|");
	/* it is not waited for at the end */
	fixture_open(f);
	assert_int_equal(rename(f->path, away), 0);
	assert_int_equal(mkdir(f->path, 0700), 0);
	add(f, LOGREC_LINE, "three");
	fixture_close(f, false);
	assert_int_equal(rmdir(f->path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_records),  T(test_goes_on_where_it_was),	  T(test_cut_record),
		T(test_rotation), T(test_silence_is_not_written), T(test_disk_takes_nothing),
	};

	return cmocka_run_group_tests_name("logfile", tests, NULL, NULL);
}
