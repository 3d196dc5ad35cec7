// SPDX-License-Identifier: MIT
/*
 * An I/O worker: a thread, its libuv loop, and calls into it that wait for their end. Callers are the
 * control loop and vCPU threads under machine.lock; the worker itself takes only `lock` here, briefly.
 */
#include "vmm/worker.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/cpulist.h"
#include "lib/errcat.h"
#include "vmm/thread.h"

struct worker {
	uv_loop_t own_loop;
	uv_loop_t *loop; /* own_loop, or the caller's (worker_new_inline) */
	uv_async_t wake;
	pthread_t thread;
	char name[16];
	void (*begin)(void *arg); /* may be NULL */
	void *begin_arg;
	pthread_mutex_t call_lock; /* one caller at a time */
	pthread_mutex_t lock;	   /* what follows */
	pthread_cond_t done_cond;
	void (*fn)(void *arg); /* NULL: nothing is asked */
	void *arg;
	bool quit;
};

static void worker_wake_cb(uv_async_t *a)
{
	struct worker *w = container_of(a, struct worker, wake);
	void (*fn)(void *arg);
	void *arg;
	bool quit;

	pthread_mutex_lock(&w->lock);
	fn = w->fn;
	arg = w->arg;
	quit = w->quit;
	pthread_mutex_unlock(&w->lock);
	if (fn) {
		fn(arg);
		pthread_mutex_lock(&w->lock);
		w->fn = NULL;
		pthread_cond_signal(&w->done_cond);
		pthread_mutex_unlock(&w->lock);
	}
	if (quit)
		uv_close((uv_handle_t *)&w->wake, NULL);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	pthread_setname_np(pthread_self(), w->name);
	if (w->begin)
		w->begin(w->begin_arg);
	/* until the last handle is closed */
	uv_run(w->loop, UV_RUN_DEFAULT);
	return NULL;
}

static void worker_destroy(struct worker *w)
{
	pthread_cond_destroy(&w->done_cond);
	pthread_mutex_destroy(&w->lock);
	pthread_mutex_destroy(&w->call_lock);
	free(w);
}

static struct worker *worker_alloc(const char *name)
{
	struct worker *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	snprintf(w->name, sizeof(w->name), "%s", name);
	pthread_mutex_init(&w->call_lock, NULL);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->done_cond, NULL);
	return w;
}

int worker_new_inline(uv_loop_t *loop, struct worker **ret_worker, struct err *e)
{
	struct worker *w = worker_alloc("inline");

	if (!w)
		return err_ret(e, -ENOMEM, "worker");
	w->loop = loop;
	*ret_worker = w;
	return 0;
}

int worker_new(const char *name, void (*begin)(void *arg), void *arg, struct worker **ret_worker,
	       struct err *e)
{
	struct worker *w = worker_alloc(name);
	int r;

	if (!w)
		return err_ret(e, -ENOMEM, "worker '%s'", name);
	w->loop = &w->own_loop;
	w->begin = begin;
	w->begin_arg = arg;
	r = uv_loop_init(w->loop);
	if (r < 0)
		goto fail;
	r = uv_async_init(w->loop, &w->wake, worker_wake_cb);
	if (r < 0)
		goto fail_loop;
	r = thread_spawn(&w->thread, worker_main, w);
	if (r < 0)
		goto fail_async;
	*ret_worker = w;
	return 0;
fail_async:
	uv_close((uv_handle_t *)&w->wake, NULL);
	uv_run(w->loop, UV_RUN_DEFAULT);
fail_loop:
	uv_loop_close(w->loop);
fail:
	worker_destroy(w);
	return err_ret(e, r, "cannot start worker '%s'", name);
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	if (w->loop != &w->own_loop) {
		worker_destroy(w);
		return;
	}
	pthread_mutex_lock(&w->lock);
	w->quit = true;
	pthread_mutex_unlock(&w->lock);
	uv_async_send(&w->wake);
	pthread_join(w->thread, NULL);
	uv_loop_close(w->loop);
	worker_destroy(w);
}

int worker_place(struct worker *w, const char *cpus, struct err *e)
{
	cpu_set_t set;
	int r = cpulist_parse(cpus, &set);

	if (r >= 0 && w->loop == &w->own_loop)
		r = -pthread_setaffinity_np(w->thread, sizeof(set), &set);
	if (r >= 0)
		return 0;
	err_set(e, ERR_INVALID, "worker '%s' cannot run on processors '%s': %s", w->name, cpus,
		strerror(-r));
	return err_hint(e,
			"lscpu -e shows those of the host; the VM's control group may allow fewer");
}

void worker_batch(struct worker *w)
{
	static const struct sched_param none;

	if (w->loop == &w->own_loop)
		(void)pthread_setschedparam(w->thread, SCHED_BATCH, &none);
}

uv_loop_t *worker_loop(struct worker *w)
{
	return w->loop;
}

void worker_call(struct worker *w, void (*fn)(void *arg), void *arg)
{
	if (w->loop != &w->own_loop) {
		fn(arg);
		return;
	}
	pthread_mutex_lock(&w->call_lock);
	pthread_mutex_lock(&w->lock);
	w->fn = fn;
	w->arg = arg;
	uv_async_send(&w->wake);
	while (w->fn)
		pthread_cond_wait(&w->done_cond, &w->lock);
	pthread_mutex_unlock(&w->lock);
	pthread_mutex_unlock(&w->call_lock);
}

/* --- bells ---------------------------------------------------------------------------------------------- */

struct worker_bell {
	uv_poll_t poll; /* first: the loop frees it by its close callback */
	struct worker *worker;
	int fd; /* owned */
	void (*fn)(void *arg);
	void *arg;
	int ret;
};

static void worker_bell_cb(uv_poll_t *poll, int status, int events)
{
	struct worker_bell *b = container_of(poll, struct worker_bell, poll);
	uint64_t rings;

	(void)events;
	if (status >= 0 && read(b->fd, &rings, sizeof(rings)) >= 0)
		b->fn(b->arg);
}

static void worker_bell_closed(uv_handle_t *h)
{
	struct worker_bell *b = container_of((uv_poll_t *)h, struct worker_bell, poll);

	close(b->fd);
	free(b);
}

static void worker_bell_hang(void *arg)
{
	struct worker_bell *b = arg;

	b->ret = uv_poll_init(b->worker->loop, &b->poll, b->fd);
	if (b->ret >= 0)
		uv_poll_start(&b->poll, UV_READABLE, worker_bell_cb);
}

static void worker_bell_take_down(void *arg)
{
	uv_close((uv_handle_t *)&((struct worker_bell *)arg)->poll, worker_bell_closed);
}

int worker_bell_new(struct worker *w, void (*fn)(void *arg), void *arg,
		    struct worker_bell **ret_bell, struct err *e)
{
	struct worker_bell *b = calloc(1, sizeof(*b));

	if (!b)
		return err_ret(e, -ENOMEM, "worker '%s'", w->name);
	*b = (struct worker_bell){ .worker = w, .fn = fn, .arg = arg };
	b->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (b->fd < 0) {
		free(b);
		return err_errno(e, "eventfd");
	}
	worker_call(w, worker_bell_hang, b);
	if (b->ret < 0) {
		int r = err_ret(e, b->ret, "worker '%s'", w->name);

		close(b->fd);
		free(b);
		return r;
	}
	*ret_bell = b;
	return 0;
}

/* A full counter rings too. */
void worker_bell_ring(struct worker_bell *b)
{
	uint64_t one = 1;

	if (write(b->fd, &one, sizeof(one)) < 0)
		return;
}

void worker_bell_free(struct worker_bell *take_bell)
{
	if (take_bell)
		worker_call(take_bell->worker, worker_bell_take_down, take_bell);
}

/* --- timers --------------------------------------------------------------------------------------------- */

struct worker_timer {
	uv_timer_t timer; /* first: the loop frees it by its close callback */
	void (*fn)(void *arg);
	void *arg;
};

static void worker_timer_cb(uv_timer_t *timer)
{
	struct worker_timer *t = container_of(timer, struct worker_timer, timer);

	t->fn(t->arg);
}

static void worker_timer_closed(uv_handle_t *h)
{
	free(container_of((uv_timer_t *)h, struct worker_timer, timer));
}

int worker_timer_new(uv_loop_t *loop, void (*fn)(void *arg), void *arg,
		     struct worker_timer **ret_timer)
{
	struct worker_timer *t = calloc(1, sizeof(*t));
	int r = t ? uv_timer_init(loop, &t->timer) : -ENOMEM;

	if (r < 0) {
		free(t);
		return r;
	}
	t->fn = fn;
	t->arg = arg;
	*ret_timer = t;
	return 0;
}

void worker_timer_arm(struct worker_timer *t, uint64_t ms)
{
	if (!uv_is_active((uv_handle_t *)&t->timer) || uv_timer_get_due_in(&t->timer) > ms)
		uv_timer_start(&t->timer, worker_timer_cb, ms, 0);
}

void worker_timer_free(struct worker_timer *take_timer)
{
	if (take_timer)
		uv_close((uv_handle_t *)&take_timer->timer, worker_timer_closed);
}
