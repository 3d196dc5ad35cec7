// SPDX-License-Identifier: MIT
/*
 * See waiter.h. Bells that ring are in a queue; a thread takes the first whose turn it can be. A semaphore wakes the
 * threads one by one: as many as there are bells that could be taken, so that none is left over while a thread sleeps.
 */
#include "vmm/waiter.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "lib/errcat.h"
#include "vmm/thread.h"

struct waiter_bell {
	struct waiters *waiters; /* borrowed */
	bool (*work)(void *arg);
	void *arg;
	bool own; /* the rest under the lock */
	bool queued, running;
	bool rung;  /* while it ran */
	bool going; /* never queued again */
	struct waiter_bell *next;
};

struct waiters {
	void (*begin)(void *arg); /* may be NULL */
	void *arg;
	pthread_t threads[WAITERS_MAX];
	sem_t wake;
	pthread_mutex_t lock; /* what follows */
	pthread_cond_t ended; /* of a bell that is going */
	unsigned int nthreads, nidle;
	unsigned int nown;    /* bells */
	unsigned int nshared; /* of the others, how many have a thread now */
	struct waiter_bell *first, **end;
	bool quit;
};

/* --- the queue; under the lock ------------------------------------------------------------------------------ */

/* Those that share leave a thread to each that has one of its own. */
static bool waiter_may(const struct waiters *w, const struct waiter_bell *b)
{
	return b->own || w->nshared < w->nthreads - w->nown;
}

static void waiter_wake(struct waiters *w)
{
	if (!w->nidle)
		return;
	w->nidle--;
	sem_post(&w->wake);
}

static void waiter_queue(struct waiters *w, struct waiter_bell *b)
{
	b->queued = true;
	b->next = NULL;
	*w->end = b;
	w->end = &b->next;
}

static void waiter_unqueue(struct waiters *w, struct waiter_bell **link)
{
	struct waiter_bell *b = *link;

	b->queued = false;
	*link = b->next;
	if (!b->next)
		w->end = link;
}

static struct waiter_bell *waiter_take(struct waiters *w)
{
	for (struct waiter_bell **link = &w->first; *link; link = &(*link)->next) {
		struct waiter_bell *b = *link;

		if (!waiter_may(w, b))
			continue;
		waiter_unqueue(w, link);
		return b;
	}
	return NULL;
}

/* --- a thread ----------------------------------------------------------------------------------------------- */

static void waiter_serve(struct waiters *w, struct waiter_bell *b)
{
	bool more;

	b->running = true;
	b->rung = false;
	w->nshared += !b->own;
	pthread_mutex_unlock(&w->lock);
	more = b->work(b->arg);
	pthread_mutex_lock(&w->lock);
	w->nshared -= !b->own;
	b->running = false;
	if (b->going)
		pthread_cond_broadcast(&w->ended);
	else if (more || b->rung)
		waiter_queue(w, b); /* behind the others; this thread looks again */
}

static void waiter_sleep(struct waiters *w)
{
	w->nidle++;
	pthread_mutex_unlock(&w->lock);
	while (sem_wait(&w->wake) < 0 && errno == EINTR)
		;
	pthread_mutex_lock(&w->lock);
}

static void *waiter_main(void *arg)
{
	struct waiters *w = arg;
	struct waiter_bell *b;

	pthread_setname_np(pthread_self(), "waiter");
	if (w->begin)
		w->begin(w->arg);
	pthread_mutex_lock(&w->lock);
	while (!w->quit) {
		b = waiter_take(w);
		if (b)
			waiter_serve(w, b);
		else
			waiter_sleep(w);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* --- life ----------------------------------------------------------------------------------------------------- */

int waiters_new(void (*begin)(void *arg), void *arg, struct waiters **ret_waiters, struct err *e)
{
	struct waiters *w = calloc(1, sizeof(*w));

	if (!w)
		return err_set(e, ENOMEM, "threads that wait for devices: no memory");
	w->begin = begin;
	w->arg = arg;
	w->end = &w->first;
	sem_init(&w->wake, 0, 0);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->ended, NULL);
	*ret_waiters = w;
	return 0;
}

void waiters_free(struct waiters *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->quit = true;
	while (w->nidle)
		waiter_wake(w);
	pthread_mutex_unlock(&w->lock);
	for (unsigned int i = 0; i < w->nthreads; i++)
		pthread_join(w->threads[i], NULL);
	pthread_cond_destroy(&w->ended);
	pthread_mutex_destroy(&w->lock);
	sem_destroy(&w->wake);
	free(w);
}

/* Under the lock, as what it is for is counted under the same. */
static int waiters_grow(struct waiters *w, struct err *e)
{
	int r;

	if (w->nthreads == WAITERS_MAX) {
		err_set(e, ERR_INVALID, "more than %d threads that wait for devices", WAITERS_MAX);
		return err_hint(e, "devices that are attached to the running VM share threads");
	}
	r = thread_spawn(&w->threads[w->nthreads], waiter_main, w);
	if (r < 0)
		return err_ret(e, r, "cannot start a thread that waits for a device");
	w->nthreads++;
	return 0;
}

int waiters_spare(struct waiters *w, struct err *e)
{
	int r;

	pthread_mutex_lock(&w->lock);
	r = waiters_grow(w, e);
	pthread_mutex_unlock(&w->lock);
	return r;
}

/* --- bells ---------------------------------------------------------------------------------------------------- */

int waiter_bell_new(struct waiters *w, bool own, bool (*work)(void *arg), void *arg,
		    struct waiter_bell **ret_bell, struct err *e)
{
	struct waiter_bell *b = calloc(1, sizeof(*b));
	int r = 0;

	if (!b)
		return err_set(e, ENOMEM, "a thread that waits for a device: no memory");
	*b = (struct waiter_bell){ .waiters = w, .work = work, .arg = arg, .own = own };
	pthread_mutex_lock(&w->lock);
	if (own)
		r = waiters_grow(w, e);
	else if (w->nthreads == w->nown)
		r = err_set(e, EAGAIN, "there is no thread that could wait for a device");
	if (r >= 0 && own)
		w->nown++;
	pthread_mutex_unlock(&w->lock);
	if (r < 0)
		free(b);
	else
		*ret_bell = b;
	return r;
}

void waiter_bell_ring(struct waiter_bell *b)
{
	struct waiters *w = b->waiters;

	pthread_mutex_lock(&w->lock);
	if (b->running) {
		b->rung = true;
	} else if (!b->queued) {
		waiter_queue(w, b);
		if (waiter_may(w, b))
			waiter_wake(w);
	}
	pthread_mutex_unlock(&w->lock);
}

void waiter_bell_free(struct waiter_bell *b)
{
	struct waiters *w = b ? b->waiters : NULL;
	struct waiter_bell **link;

	if (!b)
		return;
	pthread_mutex_lock(&w->lock);
	b->going = true;
	for (link = &w->first; *link && *link != b; link = &(*link)->next)
		;
	if (*link)
		waiter_unqueue(w, link);
	while (b->running)
		pthread_cond_wait(&w->ended, &w->lock);
	if (b->own) {
		w->nown--;
		waiter_wake(w); /* the rest have one more */
	}
	pthread_mutex_unlock(&w->lock);
	free(b);
}
