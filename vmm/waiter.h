/* SPDX-License-Identifier: MIT */
/*
 * Threads that wait for the host where it has but calls that block, as SG_IO. A bell is what somebody has done there, one
 * piece after the other. One of its own never waits for another bell's; the rest take turns with the threads that are left.
 * In the cage no thread can be made: so those that come there are the latter, and need a spare one.
 *
 *	waiters_new(begin, arg, &w, e); waiters_spare(w, e);
 *	waiter_bell_new(w, own, work, arg, &b, e);
 *	waiter_bell_ring(b);			-> work(arg), soon, on one of the threads
 */
#ifndef VMM_WAITER_H
#define VMM_WAITER_H

#include <stdbool.h>
#include "lib/err.h"

#define WAITERS_MAX 64 /* threads */

struct waiters;
struct waiter_bell;

/* None yet. begin(arg), which may be NULL, is the first that each of them does. */
int waiters_new(void (*begin)(void *arg), void *arg, struct waiters **ret_waiters, struct err *e);
void waiters_free(struct waiters *w); /* no bell is left; NULL is fine */
/* One more thread, for bells that have none of their own. */
int waiters_spare(struct waiters *w, struct err *e);

/*
 * work does one piece, may block, and says whether there is more; it is never called twice at a time. own: a thread is
 * made for it; else there has to be a spare one.
 */
int waiter_bell_new(struct waiters *w, bool own, bool (*work)(void *arg), void *arg,
		    struct waiter_bell **ret_bell, struct err *e);
void waiter_bell_ring(
	struct waiter_bell *b); /* any thread; work is called once after it at least */
/* Where work is at it, its end is waited for; a thread that was its own is a spare one now. NULL is fine. */
void waiter_bell_free(struct waiter_bell *b);

#endif
