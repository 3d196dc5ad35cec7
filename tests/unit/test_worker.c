// SPDX-License-Identifier: MIT
/* Workers: calls run on their thread and are waited for; several callers; the inline one. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "lib/errcat.h"
#include "vmm/thread.h"
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

static void bell_once_for_several_rings(void **state)
{
	struct note n = { .calls = 0 };
	struct worker_bell *b;
	struct worker *w;
	uv_loop_t loop;

	(void)state;
	uv_loop_init(&loop);
	assert_int_equal(worker_new_inline(&loop, &w, NULL), 0);
	assert_int_equal(worker_bell_new(w, note_call, &n, &b, NULL), 0);
	uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(n.calls, 0);
	for (unsigned int i = 1; i <= 3; i++) {
		worker_bell_ring(b);
		worker_bell_ring(b);
		uv_run(&loop, UV_RUN_ONCE);
		uv_run(&loop, UV_RUN_NOWAIT);
		assert_int_equal(n.calls, i);
	}
	worker_bell_ring(b);
	worker_bell_free(b);
	worker_bell_free(NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(n.calls, 3);
	worker_free(w);
	assert_int_equal(uv_loop_close(&loop), 0);
}

struct rung {
	struct note note;
	sem_t done;
};

static void rung_call(void *arg)
{
	struct rung *r = arg;

	note_call(&r->note);
	sem_post(&r->done);
}

static void bell_is_heard_over_there(void **state)
{
	struct rung r = { .note = { .calls = 0 } };
	struct timespec deadline;
	struct worker_bell *b;
	struct worker *w;

	(void)state;
	sem_init(&r.done, 0, 0);
	assert_int_equal(worker_new("test", NULL, NULL, &w, NULL), 0);
	assert_int_equal(worker_bell_new(w, rung_call, &r, &b, NULL), 0);
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 10;
	for (unsigned int i = 1; i <= 100; i++) {
		worker_bell_ring(b);
		assert_int_equal(sem_timedwait(&r.done, &deadline), 0);
		assert_int_equal(r.note.calls, i);
	}
	assert_false(pthread_equal(r.note.thread, pthread_self()));
	worker_bell_free(b);
	worker_free(w);
	sem_destroy(&r.done);
}

static void placed_call(void *arg)
{
	cpu_set_t *set = arg;

	assert_int_equal(sched_getaffinity(0, sizeof(*set), set), 0);
}

static void runs_where_it_is_placed(void **state)
{
	cpu_set_t mine, its;
	struct worker *w;
	char list[16], none[16];
	struct err e;
	size_t cpu = 0;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(mine), &mine), 0);
	while (!CPU_ISSET(cpu, &mine))
		cpu++;
	snprintf(list, sizeof(list), "%zu", cpu);
	assert_int_equal(worker_new("test", NULL, NULL, &w, NULL), 0);
	assert_int_equal(worker_place(w, list, &e), 0);
	worker_call(w, placed_call, &its);
	assert_int_equal(CPU_COUNT(&its), 1);
	assert_true(CPU_ISSET(cpu, &its));
	/* the caller is not */
	assert_int_equal(sched_getaffinity(0, sizeof(its), &its), 0);
	assert_true(CPU_EQUAL(&its, &mine));
	for (cpu = CPU_SETSIZE - 1; CPU_ISSET(cpu, &mine); cpu--)
		;
	snprintf(none, sizeof(none), "%zu", cpu);
	assert_int_equal(worker_place(w, none, &e), -ERR_INVALID);
	assert_non_null(strstr(e.msg, "worker 'test' cannot run on processors '"));
	assert_int_equal(worker_place(w, "2-1", &e), -ERR_INVALID);
	worker_free(w);
}

static void policy_call(void *arg)
{
	int *policy = arg;

	*policy = sched_getscheduler(0);
}

static void gives_way_to_others(void **state)
{
	int policy = -1;
	struct worker *w;

	(void)state;
	assert_int_equal(worker_new("test", NULL, NULL, &w, NULL), 0);
	worker_call(w, policy_call, &policy);
	assert_int_equal(policy, SCHED_OTHER);
	worker_batch(w);
	worker_call(w, policy_call, &policy);
	assert_int_equal(policy, SCHED_BATCH);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
	worker_free(w);
}

static void *may_run_on(void *arg)
{
	assert_int_equal(sched_getaffinity(0, sizeof(cpu_set_t), arg), 0);
	return NULL;
}

/* Anywhere but here; and nowhere, when there is but one CPU. */
static void a_thread_beside(void **state)
{
	cpu_set_t all, here, there;
	pthread_t thread;
	int r;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	r = thread_spawn_beside(&thread, may_run_on, &there);
	if (CPU_COUNT(&all) > 1) {
		assert_int_equal(r, 0);
		pthread_join(thread, NULL);
		assert_int_equal(CPU_COUNT(&there), CPU_COUNT(&all) - 1);
	}
	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	assert_int_equal(sched_setaffinity(0, sizeof(here), &here), 0);
	assert_int_equal(thread_spawn_beside(&thread, may_run_on, &there), -EAGAIN);
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_run_over_there),
		cmocka_unit_test(callers_do_not_meet),
		cmocka_unit_test(bell_once_for_several_rings),
		cmocka_unit_test(bell_is_heard_over_there),
		cmocka_unit_test(runs_where_it_is_placed),
		cmocka_unit_test(gives_way_to_others),
		cmocka_unit_test(an_inline_one_calls_at_once),
		cmocka_unit_test(a_thread_beside),
	};

	return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
