// SPDX-License-Identifier: MIT
/* Timelines: what a monitor says is believed where it can be true; history is bounded, and judged. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/auto.h"
#include "tests/lib/tempdir.h"
#include "vmd/daemon.h"
#include "vmd/timeline.h"

struct fixture {
	char *dir;
	struct daemon d;
	struct state_vm vm;
	struct timeline t;
};

static int setup(void **state)
{
	static const struct state_actor actor = { .program = "test" };
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e = { 0 };

	f->dir = tempdir_new();
	log_init(&f->d.log, 2, LOG_LEVEL_ERROR, "test");
	uv_loop_init(&f->d.loop);
	assert_int_equal(state_open(f->dir, &f->d.state, &e), 0);
	state_uuid(f->vm.id);
	strcpy(f->vm.name, "one");
	assert_int_equal(state_vm_insert(f->d.state, &f->vm, "{}", "{}", &actor, &e), 0);
	timeline_init(&f->t, &f->d, f->vm.id);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (!uv_is_closing((uv_handle_t *)&f->t.timer))
		timeline_close(&f->t, NULL);
	uv_run(&f->d.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->d.loop), 0);
	state_close(f->d.state);
	tempdir_remove(f->dir);
	free(f);
	return 0;
}

static void say(struct fixture *f, const char *text)
{
	AUTO_JSON struct json_object *o = NULL;

	assert_int_equal(json_parse(text, strlen(text), &o, NULL), 0);
	timeline_take(&f->t, o);
}

/* At so many microseconds after the request. */
static void say_at(struct fixture *f, const char *phase, int64_t at_us)
{
	AUTO_JSON struct json_object *o = json_add_int(json_new(), phase, f->t.begun_us + at_us);

	timeline_take(&f->t, o);
}

/* As if the request had been a minute ago. */
static void begin(struct fixture *f)
{
	timeline_begin(&f->t);
	f->t.begun_us -= 60000000;
	f->t.at_us[TIMELINE_PLAN] = 10;
	f->t.at_us[TIMELINE_HELLO] = 1000;
}

static void test_lies(void **state)
{
	struct fixture *f = *state;

	say(f, "{\"memory\":1}"); /* nothing has begun */
	begin(f);
	timeline_take(&f->t, NULL);
	say(f, "[1]");
	say(f, "{\"memory\":\"soon\",\"machine\":-5,\"kernel\":1.5,\"start\":null,\"kick\":"
	       "9007199254740991,\"plan\":1,\"more\":1}");
	say_at(f, "memory", 999);	/* before its hello */
	say_at(f, "memory", 61000000);	/* has not been yet */
	say_at(f, "memory", -60000000); /* before the request */
	for (int i = TIMELINE_MEMORY; i < TIMELINE_COUNT; i++)
		assert_int_equal(f->t.at_us[i], -1);
	assert_int_equal(f->t.at_us[TIMELINE_PLAN], 10);
	say_at(f, "memory", 1000);
	say_at(f, "memory", 2000); /* once */
	assert_int_equal(f->t.at_us[TIMELINE_MEMORY], 1000);
	say_at(f, "start", 5000);
	say_at(f, "console", 4999);
	assert_int_equal(f->t.at_us[TIMELINE_CONSOLE], -1);
	/* a guest may kick before it prints, or after */
	say_at(f, "console", 9000);
	say_at(f, "kick", 6000);
	assert_int_equal(f->t.at_us[TIMELINE_CONSOLE], 9000);
	assert_int_equal(f->t.at_us[TIMELINE_KICK], 6000);
}

static struct json_object *list(struct fixture *f, int64_t limit)
{
	struct json_object *o;
	struct err e = { 0 };

	assert_int_equal(timeline_list(&f->d, f->vm.id, limit, &o, &e), 0);
	return o;
}

static void one_start(struct fixture *f, int64_t total_us, bool ok)
{
	struct err e = { 0 };

	begin(f);
	if (ok)
		say_at(f, "start", total_us);
	assert_int_equal(timeline_write(&f->t, 1, ok, &e), 0);
	assert_int_equal(timeline_write(&f->t, 1, ok, &e), 0); /* is one row */
}

static void test_late_marks_are_written(void **state)
{
	struct fixture *f = *state;
	AUTO_JSON struct json_object *before = NULL, *after = NULL;

	one_start(f, 5000, true);
	say_at(f, "kick", 6000);
	before = list(f, 50);
	assert_null(json_at(before, "/starts/0/phases/3"));
	uv_run(&f->d.loop, UV_RUN_DEFAULT); /* until the timer has written it */
	after = list(f, 50);
	assert_string_equal(json_get_str(json_at(after, "/starts/0/phases/3"), "phase", ""),
			    "kick");
	assert_int_equal(json_get_int(json_at(after, "/starts/0/phases/3"), "at_us", 0), 6000);
	assert_int_equal(json_get_int(json_at(after, "/starts/0/phases/3"), "took_us", 0), 1000);
}

static void test_slow_starts(void **state)
{
	struct fixture *f = *state;
	AUTO_JSON struct json_object *young = NULL, *o = NULL;
	struct json_object *starts;

	one_start(f, 2000, true);
	one_start(f, 2000, true);
	one_start(f, 9000, true);
	young = list(f, 50);
	assert_null(json_at(young, "/starts/0/slow")); /* two others are no history */
	one_start(f, 0, false);
	one_start(f, 3000, true);
	one_start(f, 4000, true);
	/* the others are 2, 2, 3, 9: their median is 2 */
	o = list(f, 4);
	starts = json_get(o, "starts");
	assert_int_equal(json_object_array_length(starts), 4);
	assert_true(json_get_bool(json_at(o, "/starts/0"), "slow", false));
	assert_false(json_get_bool(json_at(o, "/starts/1"), "slow", false));
	assert_false(json_get_bool(json_at(o, "/starts/2"), "ok", true));
	assert_null(json_at(o, "/starts/2/total_us"));
	assert_true(json_get_bool(json_at(o, "/starts/3"), "slow", false));
	assert_int_equal(json_get_int(o, "median_us", 0), 3000);
	/* of what each phase took, in starts that came up */
	assert_string_equal(json_get_str(json_at(o, "/stats/2"), "phase", ""), "start");
	assert_int_equal(json_get_int(json_at(o, "/stats/2"), "n", 0), 5);
	assert_int_equal(json_get_int(json_at(o, "/stats/2"), "p50_us", 0), 2000);
	assert_int_equal(json_get_int(json_at(o, "/stats/2"), "p95_us", 0), 8000);
}

static void test_history_is_bounded(void **state)
{
	struct fixture *f = *state;
	AUTO_JSON struct json_object *o = NULL, *none = NULL;
	struct err e = { 0 };

	for (int i = 0; i < STATE_TIMELINES_MAX + 20; i++)
		one_start(f, 2000 + i, true);
	o = list(f, 1000);
	assert_int_equal(json_object_array_length(json_get(o, "starts")), STATE_TIMELINES_MAX);
	assert_int_equal(json_get_int(json_at(o, "/starts/0"), "total_us", 0),
			 2000 + STATE_TIMELINES_MAX + 19);
	assert_int_equal(json_get_int(json_at(o, "/starts/49"), "total_us", 0), 2020);
	/* it goes with its VM */
	assert_int_equal(state_vm_delete(f->d.state, f->vm.id, &e), 0);
	none = list(f, 1000);
	assert_int_equal(json_object_array_length(json_get(none, "starts")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_lies),
		T(test_late_marks_are_written),
		T(test_slow_starts),
		T(test_history_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
