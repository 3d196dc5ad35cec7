/* SPDX-License-Identifier: MIT */
/*
 * I/O workers: threads with a libuv loop that own virtqueues from DRIVER_OK until they are taken away.
 * A worker takes no lock that a vCPU takes.
 */
#ifndef VMM_WORKER_H
#define VMM_WORKER_H

#include <uv.h>
#include "lib/err.h"

struct worker;

/* begin(arg), which may be NULL, is the first that the thread does. */
int worker_new(const char *name, void (*begin)(void *arg), void *arg, struct worker **ret_worker,
	       struct err *e);
/*
 * One without a thread, for unit tests: worker_loop is the caller's loop, worker_call calls at once.
 * worker_free leaves the loop alone.
 */
int worker_new_inline(uv_loop_t *loop, struct worker **ret_worker, struct err *e);
/* Ends the thread; everything that was registered on its loop must be gone (worker_call) before. */
void worker_free(struct worker *w);
uv_loop_t *worker_loop(struct worker *w);
/* Its thread runs on these processors of the host alone (lib/cpulist.h). -ERR_INVALID: there are none of them. */
int worker_place(struct worker *w, const char *cpus, struct err *e);
/*
 * Where no processor is idle its thread does not interrupt who runs there, the guest most of all, but follows it
 * (SCHED_BATCH of sched(7)): it finds more to do at a time, a few milliseconds later at the most. For what is many small things
 * in a row. Where the host refuses, it stays as it is.
 */
void worker_batch(struct worker *w);
/*
 * Run fn(arg) on the worker and wait for its end: the handshake with which the core starts and stops
 * queues. Not from the worker itself. fn must not block.
 */
void worker_call(struct worker *w, void (*fn)(void *arg), void *arg);

/*
 * A bell that any thread rings: fn(arg) is called on the worker soon after, once for several rings. In the place of a
 * uv_async_t, whose loop spins until the thread that woke it has done the rest: for as long as it sleeps, where both have
 * one processor.
 */
struct worker_bell;

/* This and worker_bell_free: not from the worker itself. */
int worker_bell_new(struct worker *w, void (*fn)(void *arg), void *arg,
		    struct worker_bell **ret_bell, struct err *e);
void worker_bell_ring(struct worker_bell *b);
/* fn is not called any more. Accepts NULL. */
void worker_bell_free(struct worker_bell *take_bell);

/* A timer of a worker's loop; all of it on the worker. */
struct worker_timer;

/* fn(arg) is what it will call. -errno */
int worker_timer_new(uv_loop_t *loop, void (*fn)(void *arg), void *arg,
		     struct worker_timer **ret_timer);
/* Once, so many milliseconds from now, or earlier when it is armed so already. */
void worker_timer_arm(struct worker_timer *t, uint64_t ms);
/* Accepts NULL. */
void worker_timer_free(struct worker_timer *take_timer);

#endif
