// SPDX-License-Identifier: MIT
/* Threads that wait for the host: who has one for himself, who takes turns, and that nobody is left waiting. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/errcat.h"
#include "lib/util.h"
#include "vmm/waiter.h"

/* What rings: each piece says that it has begun, and ends when it may. */
struct place {
	struct waiter_bell *bell;
	sem_t begun, go;
	atomic_int pieces, done; /* to do; done */
	atomic_bool inside;
	char name, *trace; /* where the names of those that begin go, or NULL */
};

static bool place_work(void *arg)
{
	struct place *p = arg;
	bool more;

	assert_false(atomic_exchange(&p->inside, true));
	if (p->trace)
		p->trace[strlen(p->trace)] = p->name;
	sem_post(&p->begun);
	sem_wait(&p->go);
	atomic_fetch_add(&p->done, 1);
	more = atomic_fetch_sub(&p->pieces, 1) > 1;
	atomic_store(&p->inside, false);
	return more;
}

static void place_init(struct place *p, struct waiters *w, bool own)
{
	memset(p, 0, sizeof(*p));
	sem_init(&p->begun, 0, 0);
	sem_init(&p->go, 0, 0);
	atomic_store(&p->pieces, 1);
	assert_int_equal(waiter_bell_new(w, own, place_work, p, &p->bell, NULL), 0);
}

static void place_fini(struct place *p)
{
	waiter_bell_free(p->bell);
	sem_destroy(&p->begun);
	sem_destroy(&p->go);
}

static bool place_has_begun(struct place *p)
{
	return sem_trywait(&p->begun) == 0;
}

static void place_wait(struct place *p)
{
	while (sem_wait(&p->begun) < 0)
		assert_int_equal(errno, EINTR);
}

static void note_begin(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

static struct waiters *some(unsigned int spare)
{
	struct waiters *w = NULL;

	assert_int_equal(waiters_new(NULL, NULL, &w, NULL), 0);
	while (spare--)
		assert_int_equal(waiters_spare(w, NULL), 0);
	return w;
}

static void a_ring_is_heard(void **state)
{
	atomic_int begins = 0;
	struct waiters *w;
	struct place p;

	(void)state;
	assert_int_equal(waiters_new(note_begin, &begins, &w, NULL), 0);
	place_init(&p, w, true);
	for (int i = 1; i <= 100; i++) {
		atomic_store(&p.pieces, 1);
		waiter_bell_ring(p.bell);
		place_wait(&p);
		sem_post(&p.go);
	}
	/* while it is at it: once more, though it has said that there is no more */
	atomic_store(&p.pieces, 1);
	waiter_bell_ring(p.bell);
	place_wait(&p);
	waiter_bell_ring(p.bell);
	waiter_bell_ring(p.bell);
	sem_post(&p.go);
	place_wait(&p);
	sem_post(&p.go);
	place_fini(&p);
	assert_int_equal(atomic_load(&p.done), 102);
	waiters_free(w);
	waiters_free(NULL);
	waiter_bell_free(NULL);
	assert_int_equal(atomic_load(&begins), 1);
}

/* One that takes its time holds up those that share with it, and nobody who has a thread of his own. */
static void own_ones_wait_for_nobody(void **state)
{
	struct waiters *w = some(1);
	struct place slow, next, own[2];

	(void)state;
	place_init(&own[0], w, true);
	place_init(&own[1], w, true);
	place_init(&slow, w, false);
	place_init(&next, w, false);
	waiter_bell_ring(slow.bell);
	place_wait(&slow);
	waiter_bell_ring(next.bell);
	for (int i = 0; i < 2; i++) {
		waiter_bell_ring(own[i].bell);
		place_wait(&own[i]);
	}
	for (int i = 0; i < 2; i++)
		sem_post(&own[i].go);
	/* both have ended, and are free to go on; the other one still has its turn to come */
	for (int i = 0; i < 2; i++) {
		waiter_bell_ring(own[i].bell);
		place_wait(&own[i]);
		sem_post(&own[i].go);
	}
	assert_false(place_has_begun(&next));
	sem_post(&slow.go);
	place_wait(&next);
	sem_post(&next.go);
	place_fini(&next);
	place_fini(&slow);
	place_fini(&own[0]);
	place_fini(&own[1]);
	waiters_free(w);
}

/* The thread of one that goes is for the rest. Often: it may not have slept yet, and would look by itself. */
static void who_goes_leaves_his_thread(void **state)
{
	struct place slow, next, own;

	(void)state;
	for (int i = 0; i < 50; i++) {
		struct waiters *w = some(1);

		place_init(&own, w, true);
		place_init(&slow, w, false);
		place_init(&next, w, false);
		waiter_bell_ring(own.bell);
		place_wait(&own);
		waiter_bell_ring(slow.bell);
		place_wait(&slow);
		sem_post(&own.go);
		waiter_bell_ring(next.bell);
		place_fini(&own);
		place_wait(&next);
		sem_post(&next.go);
		sem_post(&slow.go);
		place_fini(&slow);
		place_fini(&next);
		waiters_free(w);
	}
}

static void turns_are_taken(void **state)
{
	char trace[16] = "";
	struct waiters *w = some(1);
	struct place first, a, b;

	(void)state;
	place_init(&first, w, false);
	place_init(&a, w, false);
	place_init(&b, w, false);
	a.name = 'a';
	b.name = 'b';
	a.trace = b.trace = trace;
	atomic_store(&a.pieces, 3);
	atomic_store(&b.pieces, 3);
	waiter_bell_ring(first.bell);
	place_wait(&first);
	waiter_bell_ring(a.bell);
	waiter_bell_ring(b.bell);
	for (int i = 0; i < 3; i++) {
		sem_post(&a.go);
		sem_post(&b.go);
	}
	sem_post(&first.go);
	for (int i = 0; i < 3; i++) {
		place_wait(&a);
		place_wait(&b);
	}
	place_fini(&a);
	place_fini(&b);
	place_fini(&first);
	waiters_free(w);
	assert_string_equal(trace, "ababab");
}

static void *let_go(void *arg)
{
	struct place *p = arg;

	place_wait(p);
	sem_post(&p->go);
	return NULL;
}

/* What is at it has ended when its bell is gone; what only rang does not begin. */
static void the_end_of_a_bell(void **state)
{
	struct waiters *w = some(1);
	struct place p, rings;
	pthread_t thread;

	(void)state;
	place_init(&p, w, false);
	place_init(&rings, w, false);
	waiter_bell_ring(p.bell);
	place_wait(&p);
	waiter_bell_ring(rings.bell);
	place_fini(&rings);
	assert_int_equal(atomic_load(&rings.done), 0);
	sem_post(&p.begun);
	assert_int_equal(pthread_create(&thread, NULL, let_go, &p), 0);
	waiter_bell_free(p.bell);
	assert_int_equal(atomic_load(&p.done), 1);
	assert_false(atomic_load(&p.inside));
	pthread_join(thread, NULL);
	waiters_free(w);
	sem_destroy(&p.begun);
	sem_destroy(&p.go);
}

static bool nothing(void *arg)
{
	(void)arg;
	return false;
}

static void too_few_and_too_many(void **state)
{
	struct waiter_bell *bells[WAITERS_MAX], *one;
	struct waiters *w = some(0);
	struct err e = { 0 };

	(void)state;
	assert_int_equal(waiter_bell_new(w, false, nothing, NULL, &one, &e), -EAGAIN);
	for (int i = 0; i < WAITERS_MAX; i++)
		assert_int_equal(waiter_bell_new(w, true, nothing, NULL, &bells[i], &e), 0);
	assert_int_equal(waiter_bell_new(w, false, nothing, NULL, &one, &e), -EAGAIN);
	assert_int_equal(waiters_spare(w, &e), -ERR_INVALID);
	assert_string_equal(e.msg, "more than 64 threads that wait for devices");
	assert_int_equal(waiter_bell_new(w, true, nothing, NULL, &one, &e), -ERR_INVALID);
	waiter_bell_free(bells[0]);
	assert_int_equal(waiter_bell_new(w, false, nothing, NULL, &one, &e), 0);
	waiter_bell_free(one);
	for (int i = 1; i < WAITERS_MAX; i++)
		waiter_bell_free(bells[i]);
	waiters_free(w);
}

#define CROWD 12
#define CROWD_RINGS 2000

struct heard {
	struct waiter_bell *bell;
	atomic_int asked, served;
	atomic_bool inside;
};

static bool heard_work(void *arg)
{
	struct heard *h = arg;
	int asked = atomic_load(&h->asked), served = atomic_load(&h->served);

	assert_false(atomic_exchange(&h->inside, true));
	if (served < asked)
		atomic_store(&h->served, ++served);
	atomic_store(&h->inside, false);
	return served < asked;
}

static void *crowd_main(void *arg)
{
	struct heard *h = arg;

	for (int i = 0; i < CROWD_RINGS; i++) {
		struct heard *one = &h[i % CROWD];

		atomic_fetch_add(&one->asked, 1);
		waiter_bell_ring(one->bell);
	}
	return NULL;
}

/* Whatever the order: what was rung for is done. */
static void nobody_is_forgotten(void **state)
{
	struct heard h[CROWD] = { 0 };
	struct waiters *w = some(2);
	pthread_t threads[3];

	(void)state;
	for (int i = 0; i < CROWD; i++)
		assert_int_equal(waiter_bell_new(w, i < 2, heard_work, &h[i], &h[i].bell, NULL), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, crowd_main, h), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < CROWD; i++) {
		while (atomic_load(&h[i].served) < atomic_load(&h[i].asked))
			sched_yield();
		waiter_bell_free(h[i].bell);
	}
	waiters_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ring_is_heard),
		cmocka_unit_test(own_ones_wait_for_nobody),
		cmocka_unit_test(who_goes_leaves_his_thread),
		cmocka_unit_test(turns_are_taken),
		cmocka_unit_test(the_end_of_a_bell),
		cmocka_unit_test(too_few_and_too_many),
		cmocka_unit_test(nobody_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
