// SPDX-License-Identifier: MIT
/* Jobs: see job.h. Progress is written at most every JOB_TELL_MS, so that a short job costs two writes. */
#include "vmd/job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/rpc.h"
#include "vmd/daemon.h"
#include "vmd/event.h"

#define JOB_TELL_MS 300

struct jobs {
	struct daemon *d;
	struct job *list; /* owned */
};

struct job_wait {
	struct job_wait *next;
	struct job *job;
	struct call *call;
	uv_timer_t timer;
	int64_t timeout_ms;
	bool whole;
};

struct jobs *jobs_new(struct daemon *d)
{
	struct jobs *set = calloc(1, sizeof(*set));

	if (set)
		set->d = d;
	return set;
}

void jobs_free(struct jobs *set)
{
	free(set);
}

struct job *job_find(struct jobs *set, const char *id)
{
	struct job *job = set->list;

	while (job && strcmp(job->row.id, id))
		job = job->next;
	return job;
}

/* --- what is shown ------------------------------------------------------------------------------- */

static void job_add_time(struct json_object *o, const char *key, int64_t time_ms)
{
	char text[EVENT_TIME_SIZE];

	event_time(time_ms, text);
	json_add_str(o, key, text);
}

struct json_object *job_json(const struct state_job *row, const char *result)
{
	struct json_object *o = json_add_str(json_new(), "job", row->id), *value = NULL;
	int64_t end = strcmp(row->state, "running") ? row->updated_ms : state_now_ms();

	json_add_str(o, "vm", row->vm);
	json_add_str(o, "name", row->name);
	json_add_str(o, "op", row->op);
	json_add_str(o, "state", row->state);
	json_add_str(o, "phase", row->phase);
	if (row->total) {
		json_add_int(json_add_int(o, "done", row->done), "total", row->total);
		json_add_str(o, "unit", row->unit);
	}
	json_add(o, "actor", event_actor_json(&row->actor));
	job_add_time(o, "created", row->created_ms);
	job_add_time(o, "updated", row->updated_ms);
	/* how long it has taken; a clock that was set back makes it 0 */
	json_add_int(o, "age_ms", MAX(end - row->created_ms, 0));
	if (result && json_parse(result, strlen(result), &value, NULL) >= 0)
		json_add(o, strcmp(row->state, "done") ? "error" : "result", value);
	return o;
}

/* The error member of JSON-RPC's answer: {code, message, data}. */
static struct json_object *job_error(const struct err *why)
{
	AUTO_JSON struct json_object *msg = rpc_error(NULL, why, NULL);

	return json_object_get(json_get(msg, "error"));
}

/* Of one that has ended: a JSON text that stays with outcome (owned by the caller). */
static const char *job_outcome(const struct job *job, struct json_object **ret_outcome)
{
	*ret_outcome = job->result ? json_object_get(job->result) : job_error(&job->why);
	return json_object_to_json_string_ext(*ret_outcome, JSON_C_TO_STRING_PLAIN);
}

struct json_object *job_show(const struct job *job)
{
	AUTO_JSON struct json_object *outcome = NULL;

	return job_json(&job->row, job->ended ? job_outcome(job, &outcome) : NULL);
}

struct json_object *job_brief(const struct job *job)
{
	struct json_object *o = json_add_str(json_new(), "job", job->row.id);
	uint64_t now = uv_now(&job->set->d->loop);

	json_add_str(o, "op", job->row.op);
	json_add_int(o, "age_ms", (int64_t)(now - job->begun_ms));
	return json_add(o, "actor", event_actor_json(&job->row.actor));
}

static int job_take(void *arg, const struct state_job *row, const char *result)
{
	*(struct json_object **)arg = job_json(row, result);
	return 0;
}

int job_load(struct daemon *d, const char *id, struct json_object **ret_job, struct err *e)
{
	struct job *job = job_find(d->jobs, id);
	struct json_object *o = NULL;
	int ret;

	if (job) { /* knows more than its row */
		*ret_job = job_show(job);
		return 0;
	}
	ret = state_job_get(d->state, id, job_take, &o, e);
	if (ret < 0)
		return ret;
	if (o) {
		*ret_job = o;
		return 0;
	}
	err_set(e, ERR_JOB_NOT_FOUND, "no job '%.64s'", id);
	return err_hint(e, "vmctl jobs lists them; they are kept for an hour after their end");
}

/* --- life ------------------------------------------------------------------------------------------ */

static void job_closed(uv_handle_t *handle)
{
	struct job *job = container_of((uv_timer_t *)handle, struct job, timer);

	json_object_put(job->result);
	free(job);
}

static struct job *job_new(struct jobs *set, const struct state_job *row, void *owner)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->set = set;
	job->row = *row;
	job->owner = owner;
	job->begun_ms = uv_now(&set->d->loop);
	uv_timer_init(&set->d->loop, &job->timer);
	job->next = set->list;
	set->list = job;
	return job;
}

void job_forget(struct job *job)
{
	struct job **link = &job->set->list;

	while (*link != job)
		link = &(*link)->next;
	*link = job->next;
	uv_close((uv_handle_t *)&job->timer, job_closed);
}

static void job_new_id(char out[static STATE_JOB_ID_SIZE])
{
	uint32_t n;

	/* as for a uuid: without it nothing of the host works yet */
	if (getrandom(&n, sizeof(n), 0) != sizeof(n))
		abort();
	snprintf(out, STATE_JOB_ID_SIZE, "j-%08x", n);
}

int job_begin(struct jobs *set, const struct state_job *row, void *owner, struct job **ret_job,
	      struct err *e)
{
	struct job *job = job_new(set, row, owner);
	int ret;

	if (!job)
		return err_ret(e, -ENOMEM, "cannot begin a job");
	job_new_id(job->row.id);
	snprintf(job->row.state, sizeof(job->row.state), "running");
	job->row.created_ms = job->row.updated_ms = state_now_ms();
	ret = state_job_add(set->d->state, &job->row, e);
	if (ret < 0) {
		job_forget(job);
		return ret;
	}
	*ret_job = job;
	return 0;
}

struct job *job_continue(struct jobs *set, const struct state_job *row, void *owner)
{
	return job_new(set, row, owner);
}

static int job_store_end(struct job *job, struct err *e)
{
	AUTO_JSON struct json_object *outcome = NULL;
	const char *text = job_outcome(job, &outcome);
	struct daemon *d = job->set->d;
	const struct state_actor *was;
	int ret = state_job_update(d->state, &job->row, text, e);

	if (ret < 0)
		return ret;
	was = event_set_actor(d->events, &job->row.actor);
	ret = event_add(d->events, "job.done", job->row.vm, job_json(&job->row, text), e);
	event_set_actor(d->events, was);
	return ret;
}

int job_store(struct job *job, struct err *e)
{
	if (job->ended)
		return job_store_end(job, e);
	job->row.updated_ms = state_now_ms();
	return state_job_update(job->set->d->state, &job->row, NULL, e);
}

/* --- progress ---------------------------------------------------------------------------------------- */

static int job_tell_write(struct job *job, struct err *e)
{
	struct daemon *d = job->set->d;
	int ret = state_begin(d->state, e);

	if (ret >= 0)
		ret = job_store(job, e);
	if (ret >= 0)
		ret = event_add(d->events, "job.progress", job->row.vm, job_json(&job->row, NULL),
				e);
	return ret < 0 ? ret : state_commit(d->state, e);
}

static void job_tell(uv_timer_t *timer)
{
	struct job *job = container_of(timer, struct job, timer);
	struct daemon *d = job->set->d;
	const struct state_actor *was;
	struct err e;

	if (!job->untold)
		return;
	job->untold = false;
	was = event_set_actor(d->events, &job->row.actor);
	if (job_tell_write(job, &e) >= 0) {
		event_flush(d->events);
	} else {
		state_rollback(d->state);
		event_drop(d->events);
		log_error(&d->log, "job %s: %s", job->row.id, e.msg);
	}
	event_set_actor(d->events, was);
	uv_timer_start(timer, job_tell, JOB_TELL_MS, 0);
}

void job_progress(struct job *job, const char *phase, int64_t done, int64_t total, const char *unit)
{
	snprintf(job->row.phase, sizeof(job->row.phase), "%s", phase);
	snprintf(job->row.unit, sizeof(job->row.unit), "%s", unit);
	job->row.done = done;
	job->row.total = total;
	job->untold = true;
	if (!uv_is_active((uv_handle_t *)&job->timer))
		uv_timer_start(&job->timer, job_tell, JOB_TELL_MS, 0);
}

/* --- the end ------------------------------------------------------------------------------------------- */

void job_end(struct job *job, struct json_object *take_result, const struct err *why)
{
	const char *state = !why ? "done" : why->code == ERR_CANCELLED ? "cancelled" : "failed";

	uv_timer_stop(&job->timer);
	job->ended = true;
	job->result = take_result;
	if (why)
		job->why = *why;
	snprintf(job->row.state, sizeof(job->row.state), "%s", state);
	job->row.updated_ms = state_now_ms();
}

static void job_wait_closed(uv_handle_t *handle)
{
	free(container_of((uv_timer_t *)handle, struct job_wait, timer));
}

/* Off the list; it is freed by the loop. Its call is the caller's. */
static struct call *job_wait_end(struct job_wait *w)
{
	struct job_wait **link = &w->job->waits;

	while (*link != w)
		link = &(*link)->next;
	*link = w->next;
	uv_close((uv_handle_t *)&w->timer, job_wait_closed);
	return w->call;
}

static void job_fail_call(const struct job *job, struct call *call, const struct err *why)
{
	call_fail(call, why, json_add_str(json_new(), "job", job->row.id));
}

void job_answer(struct job *job)
{
	while (job->waits) {
		bool whole = job->waits->whole;
		struct call *call = job_wait_end(job->waits);

		if (whole)
			call_reply(call, job_show(job));
		else if (job->result)
			call_reply(call, json_add_str(json_clone(job->result), "job", job->row.id));
		else
			job_fail_call(job, call, &job->why);
	}
}

static void job_wait_timeout(uv_timer_t *timer)
{
	struct job_wait *w = container_of(timer, struct job_wait, timer);
	struct job *job = w->job;
	struct err e;

	err_set(&e, ERR_TIMEOUT, "the %s of VM '%s' has not ended within %g s", job->row.op,
		job->row.name, (double)w->timeout_ms / 1000);
	err_hint(&e, "it goes on: vmctl job wait %s", job->row.id);
	job_fail_call(job, job_wait_end(w), &e);
}

void job_wait_add(struct job *job, struct call *call, int64_t timeout_ms, bool whole)
{
	struct job_wait *w = calloc(1, sizeof(*w));

	if (!w)
		abort(); /* a small object; the call would never be answered */
	w->job = job;
	w->call = call;
	w->timeout_ms = timeout_ms;
	w->whole = whole;
	w->next = job->waits;
	job->waits = w;
	uv_timer_init(&job->set->d->loop, &w->timer);
	if (timeout_ms >= 0)
		uv_timer_start(&w->timer, job_wait_timeout, (uint64_t)timeout_ms, 0);
}

void jobs_close(struct jobs *set)
{
	struct err e = { .code = ERR_CANCELLED, .msg = "vmd ends" };

	while (set && set->list) {
		struct job *job = set->list;

		while (job->waits)
			job_fail_call(job, job_wait_end(job->waits), &e);
		job_forget(job);
	}
}
