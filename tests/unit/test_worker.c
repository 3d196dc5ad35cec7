// SPDX-License-Identifier: MIT
/* Workers: calls run on their thread and are waited for; several callers; the inline one. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "vmm/worker.h"

struct note {
	pthread_t thread;
	unsigned int calls;
};

static void note_call(void *arg)
{
	struct note *n = arg;

	n->thread = pthread_self();
	n->calls++;
}

static void calls_run_over_there(void **state)
{
	struct note n = { .calls = 0 };
	struct worker *w;

	(void)state;
	assert_int_equal(worker_new("test", NULL, NULL, &w, NULL), 0);
	for (unsigned int i = 1; i <= 100; i++) {
		worker_call(w, note_call, &n);
		assert_int_equal(n.calls, i);
	}
	assert_false(pthread_equal(n.thread, pthread_self()));
	worker_free(w);
	worker_free(NULL);
}

struct caller {
	struct worker *w;
	struct note *n;
};

static void *caller_main(void *arg)
{
	struct caller *c = arg;

	for (unsigned int i = 0; i < 200; i++)
		worker_call(c->w, note_call, c->n);
	return NULL;
}

static void callers_do_not_meet(void **state)
{
	struct note n = { .calls = 0 };
	pthread_t threads[3];
	struct caller c = { .n = &n };

	(void)state;
	assert_int_equal(worker_new("test", NULL, NULL, &c.w, NULL), 0);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, caller_main, &c), 0);
	for (unsigned int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	worker_free(c.w);
	assert_int_equal(n.calls, 600);
}

static void an_inline_one_calls_at_once(void **state)
{
	struct note n = { .calls = 0 };
	struct worker *w;
	uv_loop_t loop;

	(void)state;
	uv_loop_init(&loop);
	assert_int_equal(worker_new_inline(&loop, &w, NULL), 0);
	assert_ptr_equal(worker_loop(w), &loop);
	worker_call(w, note_call, &n);
	assert_true(pthread_equal(n.thread, pthread_self()));
	worker_free(w);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_run_over_there),
		cmocka_unit_test(callers_do_not_meet),
		cmocka_unit_test(an_inline_one_calls_at_once),
	};

	return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
