// SPDX-License-Identifier: MIT
/*
 * vmd/journal.c: what is written before it happens, what is taken back, in which order, and by the next vmd. The host
 * is a string with the letters of the steps that are in effect.
 */
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "tests/lib/tempdir.h"
#include "vmd/journal.h"

#define OWNER "lease:1"

/* A host at hostio.h's interface: {"op":"driver","driver":"a"} adds the letter, "-a" removes it. */
struct hostio {
	uv_loop_t *loop;
	uv_timer_t timer;
	char host[32];
	char asked[128];     /* all steps, in order */
	unsigned int n;	     /* how many */
	unsigned int die_at; /* vmd dies when the n-th is asked for … */
	bool die_after;	     /* … and it has happened */
	const char *fails;   /* this step does not happen */
	struct json_object *step;
	void (*done)(void *arg, struct json_object *result, const struct err *why);
	void *arg;
};

struct fixture {
	char *dir;
	uv_loop_t loop;
	struct log log;
	struct state *s;
	struct hostio io;
	struct journal *j;
	struct json_object *steps;
	unsigned int ends;
	bool failed;
	struct err why;
	char stored[32];
	int store_fails_at; /* -1: never */
};

const char *hostio_text(struct json_object *step, char *out, size_t size)
{
	snprintf(out, size, "do '%s'", json_get_str(step, "driver", ""));
	return out;
}

static void host_act(struct hostio *io, const char *name)
{
	bool back = name[0] == '-';
	char *at = strchr(io->host, name[back]);

	if (back && at)
		memmove(at, at + 1, strlen(at));
	else if (!back && !at)
		strncat(io->host, name, 1);
}

static void host_done(uv_timer_t *timer)
{
	struct hostio *io = timer->data;
	const char *name = json_get_str(io->step, "driver", "");
	struct json_object *result = json_new();
	struct err e;

	if (io->fails && !strcmp(io->fails, name)) {
		err_set(&e, ERR_FAILED, "the kernel says no");
		io->done(io->arg, NULL, &e);
	} else {
		host_act(io, name);
		io->done(io->arg, result, NULL);
	}
	json_object_put(result);
}

void hostio_do(struct hostio *io, struct json_object *step,
	       void (*done)(void *arg, struct json_object *result, const struct err *why),
	       void *arg)
{
	const char *name = json_get_str(step, "driver", "");

	snprintf(io->asked + strlen(io->asked), sizeof(io->asked) - strlen(io->asked), "%s ", name);
	io->step = step;
	io->done = done;
	io->arg = arg;
	if (++io->n == io->die_at) {
		if (io->die_after)
			host_act(io, name);
		uv_stop(io->loop);
		return; /* nobody is there any more to hear of it */
	}
	uv_timer_start(&io->timer, host_done, 0, 0);
}

static void on_done(void *arg, const struct err *why)
{
	struct fixture *f = arg;

	f->ends++;
	f->failed = why;
	if (why)
		f->why = *why;
}

static int on_stored(void *arg, size_t n, struct err *e)
{
	struct fixture *f = arg;

	if ((int)n == f->store_fails_at)
		return err_set(e, ERR_STATE, "cannot be written");
	snprintf(f->stored + strlen(f->stored), sizeof(f->stored) - strlen(f->stored), "%zu", n);
	return 0;
}

static const struct journal_ops ops = { on_done, on_stored };

static struct json_object *step(const char *name)
{
	return json_add_str(json_add_str(json_new(), "op", "driver"), "driver", name);
}

static void begin(struct fixture *f)
{
	struct err e = { 0 };

	if (state_open(f->dir, &f->s, &e) < 0)
		fail_msg("%s", e.msg);
	f->j = journal_new(f->s, &f->io, &f->log);
	f->io.asked[0] = f->stored[0] = '\0';
	f->io.n = f->io.die_at = 0;
	f->io.fails = NULL;
	f->ends = 0;
	f->store_fails_at = -1;
}

static void end(struct fixture *f)
{
	uv_timer_stop(&f->io.timer);
	journal_free(f->j);
	state_close(f->s);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->dir = tempdir_new();
	log_init(&f->log, 2, LOG_LEVEL_ERROR, "test");
	uv_loop_init(&f->loop);
	uv_timer_init(&f->loop, &f->io.timer);
	f->io.loop = &f->loop;
	f->io.timer.data = &f->io;
	begin(f);
	f->steps = json_object_new_array();
	journal_add(f->steps, step("a"), step("-a"));
	journal_add(f->steps, step("b"), NULL);
	journal_add(f->steps, step("c"), step("-c"));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	end(f);
	json_object_put(f->steps);
	uv_close((uv_handle_t *)&f->io.timer, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	uv_loop_close(&f->loop);
	tempdir_remove(f->dir);
	free(f);
	return 0;
}

static void run(struct fixture *f)
{
	struct err e = { 0 };

	if (journal_run(f->j, OWNER, f->steps, &ops, f, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(f->ends, 0); /* never from inside */
	uv_run(&f->loop, UV_RUN_DEFAULT);
}

/* 1 when there was something to take back. */
static int undo(struct fixture *f)
{
	struct err e = { 0 };
	int ret = journal_undo(f->j, OWNER, &ops, f, &e);

	if (ret < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(f->ends, 0);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	return ret;
}

static void test_forth_and_back(void **state)
{
	struct fixture *f = *state;

	run(f);
	assert_int_equal(f->ends, 1);
	assert_false(f->failed);
	assert_string_equal(f->io.asked, "a b c ");
	assert_string_equal(f->io.host, "abc");
	assert_string_equal(f->stored, "012");
	f->ends = 0;
	assert_int_equal(undo(f), 1);
	assert_int_equal(f->ends, 1);
	assert_false(f->failed);
	assert_string_equal(f->io.asked, "a b c -c -a ");
	assert_string_equal(f->io.host, "b");
	assert_string_equal(f->stored, "012");
	f->ends = 0;
	assert_int_equal(undo(f), 0);
	assert_int_equal(f->ends, 0);
}

/* A step that failed may have happened all the same. */
static void test_failure_is_taken_back(void **state)
{
	struct fixture *f = *state;

	f->io.fails = "c";
	run(f);
	assert_true(f->failed);
	assert_int_equal(f->why.code, ERR_FAILED);
	assert_string_equal(f->why.msg, "cannot do 'c'");
	assert_string_equal(f->why.cause, "the kernel says no");
	assert_string_equal(f->stored, "01");
	f->ends = 0;
	assert_int_equal(undo(f), 1);
	assert_string_equal(f->io.asked, "a b c -c -a ");
	assert_string_equal(f->io.host, "b");
}

static void test_undo_that_fails_can_be_repeated(void **state)
{
	struct fixture *f = *state;

	run(f);
	f->io.fails = "-a";
	f->ends = 0;
	assert_int_equal(undo(f), 1);
	assert_true(f->failed);
	assert_string_equal(f->io.host, "ab");
	f->io.fails = NULL;
	f->ends = 0;
	assert_int_equal(undo(f), 1);
	assert_false(f->failed);
	assert_string_equal(f->io.asked, "a b c -c -a -a ");
	assert_string_equal(f->io.host, "b");
}

/* What the caller writes goes with the step: neither is there without the other. */
static void test_stored_fails(void **state)
{
	struct fixture *f = *state;

	f->store_fails_at = 0;
	run(f);
	assert_true(f->failed);
	assert_int_equal(f->why.code, ERR_STATE);
	assert_string_equal(f->io.asked, "a ");
	f->ends = 0;
	assert_int_equal(undo(f), 1);
	assert_string_equal(f->io.host, "");
}

static int count_begun(void *arg, const struct state_journal *row)
{
	int *n = arg;

	*n += row->begun;
	return 0;
}

/* Dead at any step, before or after it happened: the next vmd finds a host as it was. */
static void test_death_at_each_step(void **state)
{
	struct fixture *f = *state;
	struct err e;

	for (unsigned int at = 1; at <= 3; at++)
		for (int after = 0; after < 2; after++) {
			int begun = 0;

			f->io.host[0] = '\0';
			f->ends = 0;
			f->io.n = 0;
			f->io.die_at = at;
			f->io.die_after = after;
			run(f);
			assert_int_equal(f->ends, 0);
			assert_int_equal(f->io.n, at);
			end(f);
			begin(f);
			assert_int_equal(state_journal_list(f->s, OWNER, count_begun, &begun, &e),
					 0);
			assert_int_equal(begun, 1); /* it was written before */
			assert_int_equal(undo(f), 1);
			assert_false(f->failed);
			f->io.host[strcspn(f->io.host, "b")] = '\0'; /* has no undo */
			assert_string_equal(f->io.host, "");
			assert_int_equal(state_journal_delete(f->s, OWNER, &e), 0);
		}
}

/* And while it takes back. */
static void test_death_while_undoing(void **state)
{
	struct fixture *f = *state;
	struct err e;

	for (unsigned int at = 1; at <= 2; at++)
		for (int after = 0; after < 2; after++) {
			f->io.host[0] = '\0';
			f->ends = 0;
			f->io.die_at = 0;
			run(f);
			f->ends = 0;
			f->io.n = 0;
			f->io.die_at = at;
			f->io.die_after = after;
			assert_int_equal(undo(f), 1);
			assert_int_equal(f->ends, 0);
			end(f);
			begin(f);
			assert_int_equal(undo(f), 1);
			assert_false(f->failed);
			assert_string_equal(f->io.host, "b");
			assert_int_equal(state_journal_delete(f->s, OWNER, &e), 0);
		}
}

static void test_undos_are_told(void **state)
{
	struct fixture *f = *state;
	AUTO_JSON struct json_object *undos = NULL;
	struct err e;

	run(f);
	assert_int_equal(journal_undos(f->j, OWNER, &undos, &e), 0);
	assert_int_equal(json_object_array_length(undos), 2);
	assert_string_equal(json_get_str(json_object_array_get_idx(undos, 0), "driver", ""), "-c");
	assert_string_equal(json_get_str(json_object_array_get_idx(undos, 1), "driver", ""), "-a");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_forth_and_back),
		T(test_failure_is_taken_back),
		T(test_undo_that_fails_can_be_repeated),
		T(test_stored_fails),
		T(test_death_at_each_step),
		T(test_death_while_undoing),
		T(test_undos_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
