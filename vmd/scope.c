// SPDX-License-Identifier: MIT
/*
 * See scope.h; org.freedesktop.systemd1(5), sd-bus(3), sd_bus_get_fd(3) for the event loop. A job has ended when
 * systemd says JobRemoved for its unit: only then is the process in its group. On the loop's thread.
 */
#include "vmd/scope.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"
#include "vmd/cgroup.h"

#ifdef HAVE_SYSTEMD
#include <poll.h>
#include <systemd/sd-bus.h>

#define SCOPE_TIMEOUT_MS 15000 /* for systemd to have done it */

struct scope_job {
	struct scope_bus *bus;
	struct scope_job *next;
	sd_bus_slot *call; /* owned */
	const char *what;  /* for people */
	char unit[CGROUP_SLICE_SIZE];
	uint64_t until; /* the loop's clock */
	bool ended;
	struct err why;
	void (*done)(void *arg, const struct err *why);
	void *arg;
};

struct scope_bus {
	uv_loop_t *loop;
	sd_bus *bus; /* owned; NULL when not connected */
	uv_poll_t poll;
	uv_timer_t timer;
	bool polling, closing;
	struct scope_job *jobs; /* owned */
};

bool scope_supported(void)
{
	return true;
}

static void scope_arm(struct scope_bus *b);

static void scope_end(struct scope_job *job, int code, const char *what)
{
	if (job->ended)
		return;
	job->ended = true;
	if (code)
		err_set(&job->why, code, "systemd has not %s '%s': %s", job->what, job->unit, what);
}

/* Tell those whose jobs have ended: from the loop, never from inside of a call of theirs. */
static void scope_tell(struct scope_bus *b)
{
	struct scope_job **link = &b->jobs;

	while (*link) {
		struct scope_job *job = *link;

		if (!job->ended) {
			link = &job->next;
			continue;
		}
		*link = job->next;
		sd_bus_slot_unref(job->call);
		job->done(job->arg, job->why.code ? &job->why : NULL);
		free(job);
		link = &b->jobs; /* done may have changed the list */
	}
}

static void scope_poll_closed(uv_handle_t *handle)
{
	struct scope_bus *b = container_of((uv_poll_t *)handle, struct scope_bus, poll);

	/* not before: the loop watches its descriptor until here */
	sd_bus_close_unref(b->bus);
	b->bus = NULL;
	b->polling = false;
	if (!b->closing)
		scope_arm(b);
}

/* The connection is gone or of no use: those who wait hear of it, the next one who comes makes another. */
static void scope_broken(struct scope_bus *b, int ret)
{
	for (struct scope_job *job = b->jobs; job; job = job->next)
		scope_end(job, ERR_FAILED, strerror(-ret));
	if (b->polling && !uv_is_closing((uv_handle_t *)&b->poll))
		uv_close((uv_handle_t *)&b->poll, scope_poll_closed);
}

static void scope_expire(struct scope_bus *b)
{
	uint64_t now = uv_now(b->loop);

	for (struct scope_job *job = b->jobs; job; job = job->next)
		if (now >= job->until)
			scope_end(job, ERR_TIMEOUT, "no answer");
}

static void scope_run(struct scope_bus *b)
{
	int ret = 1;

	while (ret > 0 && b->polling && !uv_is_closing((uv_handle_t *)&b->poll))
		ret = sd_bus_process(b->bus, NULL);
	if (ret < 0)
		scope_broken(b, ret);
	scope_expire(b);
	scope_tell(b);
	scope_arm(b);
}

static void scope_readable(uv_poll_t *poll, int status, int events)
{
	(void)status, (void)events; /* sd-bus finds out itself */
	scope_run(container_of(poll, struct scope_bus, poll));
}

static void scope_timeout(uv_timer_t *timer)
{
	scope_run(container_of(timer, struct scope_bus, timer));
}

/* Wait for what sd-bus waits for, and for the first of the deadlines. */
static void scope_arm(struct scope_bus *b)
{
	uint64_t usec = UINT64_MAX, now = uv_now(b->loop), wait = UINT64_MAX;
	struct timespec t;
	int events;

	if (b->closing)
		return;
	if (b->polling && !uv_is_closing((uv_handle_t *)&b->poll)) {
		events = sd_bus_get_events(b->bus);
		uv_poll_start(&b->poll,
			      UV_READABLE | (events > 0 && events & POLLOUT ? UV_WRITABLE : 0),
			      scope_readable);
		if (sd_bus_get_timeout(b->bus, &usec) >= 0 && usec != UINT64_MAX) {
			clock_gettime(CLOCK_MONOTONIC, &t);
			uint64_t now_us = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;

			wait = usec > now_us ? (usec - now_us) / 1000 + 1 : 0;
		}
	}
	for (struct scope_job *job = b->jobs; job; job = job->next)
		wait = MIN(wait, job->ended || job->until <= now ? 0 : job->until - now);
	if (wait == UINT64_MAX)
		uv_timer_stop(&b->timer);
	else
		uv_timer_start(&b->timer, scope_timeout, wait, 0);
}

/* JobRemoved(u id, o job, s unit, s result) */
static int scope_job_removed(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	struct scope_bus *b = arg;
	const char *unit, *result;
	uint32_t id;
	const char *path;

	(void)error;
	if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) < 0)
		return 0;
	for (struct scope_job *job = b->jobs; job; job = job->next)
		if (!strcmp(job->unit, unit))
			scope_end(job, strcmp(result, "done") ? ERR_FAILED : 0, result);
	return 0;
}

static int scope_called(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	struct scope_job *job = arg;
	const sd_bus_error *e = sd_bus_message_get_error(m);

	(void)error;
	if (sd_bus_error_has_name(e, "org.freedesktop.systemd1.NoSuchUnit"))
		scope_end(job, 0, NULL);
	else if (e)
		scope_end(job, ERR_FAILED, e->message ? e->message : e->name);
	return 0; /* else it goes on until JobRemoved */
}

static int scope_open(struct scope_bus *b)
{
	int ret;

	if (b->polling)
		return uv_is_closing((uv_handle_t *)&b->poll) ? -ENOTCONN : 0;
	ret = sd_bus_open_system(&b->bus);
	if (ret >= 0)
		ret = sd_bus_match_signal_async(b->bus, NULL, "org.freedesktop.systemd1",
						"/org/freedesktop/systemd1",
						"org.freedesktop.systemd1.Manager", "JobRemoved",
						scope_job_removed, NULL, b);
	if (ret >= 0)
		ret = uv_poll_init(b->loop, &b->poll, sd_bus_get_fd(b->bus));
	if (ret < 0) {
		b->bus = sd_bus_close_unref(b->bus);
		return ret;
	}
	b->polling = true;
	return 0;
}

static int scope_add_limits(sd_bus_message *m, const struct cgroup_limits *l)
{
	int ret = sd_bus_message_append(m, "(sv)", "CPUWeight", "t", (uint64_t)l->cpu_weight);

	if (ret >= 0 && l->cpu_percent)
		ret = sd_bus_message_append(m, "(sv)", "CPUQuotaPerSecUSec", "t",
					    (uint64_t)l->cpu_percent * 10000);
	if (ret >= 0 && l->memory)
		ret = sd_bus_message_append(m, "(sv)", "MemoryMax", "t", l->memory);
	if (ret >= 0 && l->tasks)
		ret = sd_bus_message_append(m, "(sv)", "TasksMax", "t", l->tasks);
	return ret;
}

/* The slice has no processes of its own, but among the slices its weight counts. */
static int scope_add_slice(sd_bus_message *m, const char *slice, const char *description,
			   const struct cgroup_limits *limits)
{
	int ret = sd_bus_message_open_container(m, 'a', "(sa(sv))");

	if (ret >= 0)
		ret = sd_bus_message_append(m, "(sa(sv))", slice, 2, "Description", "s",
					    description, "CPUWeight", "t",
					    (uint64_t)limits->cpu_weight);
	return ret < 0 ? ret : sd_bus_message_close_container(m);
}

/* After=vmd.service: at the host's end the VMs end first, and vmd sees it. */
static int scope_message(sd_bus_message *m, const char *unit, const char *description, pid_t pid,
			 const struct cgroup_limits *limits)
{
	char slice[CGROUP_SLICE_SIZE];
	int ret = sd_bus_message_append(m, "ss", unit, "fail");

	cgroup_slice(unit, slice);
	if (ret >= 0)
		ret = sd_bus_message_open_container(m, 'a', "(sv)");
	if (ret >= 0)
		ret = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)", "Description", "s",
					    description, "Slice", "s", slice, "CollectMode", "s",
					    "inactive-or-failed", "PIDs", "au", 1, (uint32_t)pid,
					    "After", "as", 1, "vmd.service");
	if (ret >= 0)
		ret = scope_add_limits(m, limits);
	if (ret >= 0)
		ret = sd_bus_message_close_container(m);
	return ret < 0 ? ret : scope_add_slice(m, slice, description, limits);
}

static int scope_call(struct scope_bus *b, const char *method, sd_bus_message **ret_message)
{
	int ret = scope_open(b);

	if (ret < 0)
		return ret;
	return sd_bus_message_new_method_call(b->bus, ret_message, "org.freedesktop.systemd1",
					      "/org/freedesktop/systemd1",
					      "org.freedesktop.systemd1.Manager", method);
}

static int scope_send(struct scope_job *job, sd_bus_message *m)
{
	return sd_bus_call_async(job->bus->bus, &job->call, m, scope_called, job,
				 SCOPE_TIMEOUT_MS * 1000ull);
}

static struct scope_job *scope_job_new(struct scope_bus *b, const char *what, const char *unit,
				       void (*done)(void *arg, const struct err *why), void *arg)
{
	struct scope_job *job = calloc(1, sizeof(*job));

	if (!job)
		abort(); /* a small object, and the state machine would stand still */
	job->bus = b;
	job->done = done;
	job->arg = arg;
	job->what = what;
	job->until = uv_now(b->loop) + SCOPE_TIMEOUT_MS;
	snprintf(job->unit, sizeof(job->unit), "%s", unit);
	job->next = b->jobs;
	b->jobs = job;
	return job;
}

/* It was asked for, or could not be. */
static struct scope_job *scope_begun(struct scope_job *job, int ret)
{
	if (ret < 0) {
		scope_end(job, ERR_FAILED, strerror(-ret));
		scope_broken(job->bus, ret);
	}
	scope_arm(job->bus);
	return job;
}

struct scope_job *scope_start(struct scope_bus *b, const char *unit, const char *description,
			      pid_t pid, const struct cgroup_limits *limits,
			      void (*done)(void *arg, const struct err *why), void *arg)
{
	struct scope_job *job = scope_job_new(b, "made the scope", unit, done, arg);
	sd_bus_message *m = NULL;
	int ret = scope_call(b, "StartTransientUnit", &m);

	if (ret >= 0)
		ret = scope_message(m, job->unit, description, pid, limits);
	if (ret >= 0)
		ret = scope_send(job, m);
	sd_bus_message_unref(m);
	return scope_begun(job, ret);
}

struct scope_job *scope_stop(struct scope_bus *b, const char *unit,
			     void (*done)(void *arg, const struct err *why), void *arg)
{
	struct scope_job *job;
	char slice[CGROUP_SLICE_SIZE];
	sd_bus_message *m = NULL;
	int ret;

	cgroup_slice(unit, slice);
	job = scope_job_new(b, "stopped the slice", slice, done, arg);
	ret = scope_call(b, "StopUnit", &m);
	if (ret >= 0)
		ret = sd_bus_message_append(m, "ss", slice, "replace");
	if (ret >= 0)
		ret = scope_send(job, m);
	sd_bus_message_unref(m);
	return scope_begun(job, ret);
}

void scope_drop(struct scope_job *job)
{
	struct scope_job **link;

	if (!job)
		return;
	link = &job->bus->jobs;
	while (*link != job)
		link = &(*link)->next;
	*link = job->next;
	sd_bus_slot_unref(job->call);
	free(job);
}

struct scope_bus *scope_bus_new(uv_loop_t *loop)
{
	struct scope_bus *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->loop = loop;
	uv_timer_init(loop, &b->timer);
	return b;
}

void scope_bus_close(struct scope_bus *b)
{
	if (!b || b->closing)
		return;
	b->closing = true;
	for (struct scope_job *job = b->jobs; job; job = job->next)
		scope_end(job, ERR_CANCELLED, "vmd ends");
	scope_tell(b);
	uv_close((uv_handle_t *)&b->timer, NULL);
	if (b->polling && !uv_is_closing((uv_handle_t *)&b->poll))
		uv_close((uv_handle_t *)&b->poll, scope_poll_closed);
}

void scope_bus_free(struct scope_bus *b)
{
	free(b);
}

#else /* no libsystemd: cgroups_init never chooses scopes then */

struct scope_job {
	int nothing;
};

bool scope_supported(void)
{
	return false;
}

struct scope_bus *scope_bus_new(uv_loop_t *loop)
{
	(void)loop;
	return NULL;
}

void scope_bus_close(struct scope_bus *b)
{
	(void)b;
}

void scope_bus_free(struct scope_bus *b)
{
	(void)b;
}

struct scope_job *scope_start(struct scope_bus *b, const char *unit, const char *description,
			      pid_t pid, const struct cgroup_limits *limits,
			      void (*done)(void *arg, const struct err *why), void *arg)
{
	(void)b, (void)unit, (void)description, (void)pid, (void)limits, (void)done, (void)arg;
	abort();
}

struct scope_job *scope_stop(struct scope_bus *b, const char *unit,
			     void (*done)(void *arg, const struct err *why), void *arg)
{
	(void)b, (void)unit, (void)done, (void)arg;
	abort();
}

void scope_drop(struct scope_job *job)
{
	(void)job;
}

#endif
