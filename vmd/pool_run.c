// SPDX-License-Identifier: MIT
/*
 * Changes of VFs, one at a time: a worker reads the host, then it is planned (pool_plan.c); the definition, the job and the
 * event are one transaction; then the steps of each PF by the journal. Those of a PF that fails are taken back, those
 * of others stay. On the loop's thread, but for the worker's function.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/diff.h"
#include "vmd/event.h"
#include "vmd/hostio.h"
#include "vmd/job.h"
#include "vmd/lease.h"
#include "vmd/pool_priv.h"

static void pool_begin(struct pool_run *r);
static void pool_step_next(struct pool_run *r);

void pool_run_free(struct pool_run *r)
{
	for (size_t i = 0; i < r->n; i++)
		json_object_put(r->items[i].steps);
	pci_inventory_fini(&r->inventory);
	json_object_put(r->definition);
	json_object_put(r->result);
	free(r->marks);
	free(r);
}

/* --- the end ------------------------------------------------------------------------------------------ */

static int pool_store_end(struct pool_run *r, const struct err *why, struct err *e)
{
	struct state *s = r->set->d->state;
	int ret = state_begin(s, e);

	if (ret >= 0 && r->op == POOL_DOWN && !why)
		ret = state_pool_delete(s, r->name, e);
	if (ret >= 0 && r->op == POOL_DOWN && !why)
		ret = event_add(r->set->d->events, "pool.deleted", NULL,
				json_add_str(json_new(), "name", r->name), e);
	if (ret >= 0 && (r->op == POOL_PF || r->op == POOL_CLEAN)) /* done, or taken back */
		for (size_t i = 0; i < r->n && ret >= 0; i++)
			ret = state_journal_delete(s, r->items[i].owner, e);
	if (ret >= 0 && r->job)
		ret = job_store(r->job, e);
	return ret < 0 ? ret : state_commit(s, e);
}

/* Of those that nobody waits for, the log tells. */
static void pool_tell(struct pool_run *r, const struct err *why)
{
	const struct log *log = &r->set->d->log;
	const char *at = why ? why->cause : NULL;
	char cause[sizeof(why->cause)], text[sizeof(why->msg) + sizeof(cause) + 2];

	if (r->dry || (r->apply && !r->job)) /* refused: all is as it was */
		return;
	if (why && err_next_cause(&at, cause, sizeof(cause)))
		snprintf(text, sizeof(text), "%s: %s", why->msg, cause);
	else if (why)
		snprintf(text, sizeof(text), "%s", why->msg);
	if (r->op == POOL_UP)
		pool_note(r->set, r->name, why ? text : NULL);
	if (why && r->op == POOL_CLEAN)
		log_error(log, "VFs that were being changed: %s", text);
	else if (why)
		log_warn(log, "%s: %s", r->name, text);
}

static void pool_answer(struct pool_run *r, const struct err *why)
{
	struct call *call = TAKE_PTR(r->call);

	if (!call)
		return;
	if (why)
		call_fail(call, why, NULL);
	else
		call_reply(call, TAKE_PTR(r->result));
}

/* why may be r's own. */
static void pool_end(struct pool_run *r, const struct err *why)
{
	struct pools *set = r->set;
	struct daemon *d = set->d;
	struct err e = { 0 }, reason = why ? *why : e;
	char name[sizeof(r->name)];

	why = why ? &reason : NULL;
	if (r->job)
		job_end(r->job, why ? NULL : TAKE_PTR(r->result), why);
	if (!r->dry && pool_store_end(r, why, &e) < 0) {
		state_rollback(d->state);
		event_drop(d->events);
		log_error(&d->log, "%s: %s", r->name, e.msg);
		if (!why && !r->job) {
			reason = e;
			why = &reason;
		}
	}
	event_flush(d->events);
	pool_tell(r, why);
	if (r->job) {
		r->job->saved = true;
		job_answer(r->job);
		job_forget(r->job);
	}
	pool_answer(r, why);
	set->runs = r->next;
	snprintf(name, sizeof(name), "%s", r->name);
	pool_run_free(r);
	if (set->runs)
		pool_begin(set->runs);
	pool_waits_end(set, name);
}

/* --- steps -------------------------------------------------------------------------------------------- */

static void pool_stepped(void *arg, const struct err *why)
{
	struct pool_run *r = arg;
	struct pool_item *item = &r->items[r->at];
	struct err e = { 0 };

	if (r->back) { /* of what has failed */
		r->back = false;
		e = r->why;
		if (why)
			log_error(&r->set->d->log, "%s: %s is not as it was: %s", r->name,
				  item->owner, why->msg);
		else
			state_journal_delete(r->set->d->state, item->owner, NULL);
		pool_end(r, &e);
		return;
	}
	if (why && item->steps) {
		static const struct journal_ops ops = { .done = pool_stepped };
		int ret;

		r->why = *why;
		r->back = true;
		ret = journal_undo(leases_journal(r->set->d->leases), item->owner, &ops, r, &e);
		if (ret <= 0)
			pool_stepped(r, ret < 0 ? &e : NULL);
		return;
	}
	if (why) {
		pool_end(r, why);
		return;
	}
	if (!item->steps && state_journal_delete(r->set->d->state, item->owner, &e) < 0) {
		pool_end(r, &e);
		return;
	}
	r->at++;
	pool_step_next(r);
}

static int pool_step_stored(void *arg, size_t n, struct err *e)
{
	struct pool_run *r = arg;

	(void)n;
	(void)e;
	r->steps_done++;
	if (r->job)
		job_progress(r->job, "VFs", (int64_t)r->steps_done, (int64_t)r->steps, "steps");
	return 0;
}

static void pool_step_next(struct pool_run *r)
{
	static const struct journal_ops ops = { pool_stepped, pool_step_stored };
	struct journal *j = leases_journal(r->set->d->leases);
	struct err e = { 0 };
	int ret = 0;

	for (; r->at < r->n; r->at++) {
		struct pool_item *item = &r->items[r->at];

		ret = item->steps ? journal_run(j, item->owner, item->steps, &ops, r, &e)
				  : journal_undo(j, item->owner, &ops, r, &e);
		if (ret < 0 || ret > 0 || item->steps)
			break;
		/* nothing to take back: its rows are of no use */
		state_journal_delete(r->set->d->state, item->owner, NULL);
	}
	if (ret < 0)
		pool_end(r, &e);
	else if (r->at == r->n)
		pool_end(r, NULL);
}

/* --- written before it begins ------------------------------------------------------------------------- */

static const char *pool_op_name(const struct pool_run *r)
{
	return r->op == POOL_UP ? "pool" : r->op == POOL_DOWN ? "pool-delete" : "vfs";
}

static int pool_store_definition(struct pool_run *r, struct err *e)
{
	struct state_pool row = { .revision = r->revision, .actor = r->actor };
	struct daemon *d = r->set->d;
	struct json_object *data = json_add_str(json_new(), "name", r->name);
	int ret;

	snprintf(row.name, sizeof(row.name), "%s", r->name);
	snprintf(row.boot_id, sizeof(row.boot_id), "%s", d->boot_id);
	row.definition = json_object_to_json_string_ext(r->definition, JSON_C_TO_STRING_PLAIN);
	json_add_int(data, "revision", r->revision);
	ret = state_pool_put(d->state, &row, e);
	if (ret < 0) {
		json_object_put(data);
		return ret;
	}
	json_add(data, "definition", json_object_get(r->definition));
	return event_add(d->events, r->revision > 1 ? "pool.updated" : "pool.created", NULL, data,
			 e);
}

static int pool_store_begin(struct pool_run *r, struct err *e)
{
	struct state_job row = { .timeout_ms = -1, .actor = r->actor };
	struct daemon *d = r->set->d;
	bool changed = r->apply && strcmp(json_get_str(r->result, "result", ""), "unchanged");
	int ret = state_begin(d->state, e);

	snprintf(row.name, sizeof(row.name), "%s", r->name);
	snprintf(row.op, sizeof(row.op), "%s", pool_op_name(r));
	snprintf(row.phase, sizeof(row.phase), "VFs");
	snprintf(row.unit, sizeof(row.unit), "steps");
	row.total = (int64_t)r->steps;
	if (ret >= 0 && changed)
		ret = pool_store_definition(r, e);
	if (ret >= 0 && r->n && !r->job)
		ret = job_begin(d->jobs, &row, NULL, &r->job, e);
	if (ret >= 0)
		ret = state_commit(d->state, e);
	if (ret >= 0) {
		event_flush(d->events);
		return 0;
	}
	state_rollback(d->state);
	event_drop(d->events);
	if (r->job)
		job_forget(TAKE_PTR(r->job));
	return ret;
}

/* --- what is answered --------------------------------------------------------------------------------- */

static void pool_say_step(struct json_object *list, struct json_object *action,
			  struct json_object *undo)
{
	struct json_object *o = json_new();
	char text[256];

	json_add_str(o, "do", hostio_text(action, text, sizeof(text)));
	if (undo)
		json_add_str(o, "undo", hostio_text(undo, text, sizeof(text)));
	json_object_array_add(list, o);
}

static int pool_say_item(struct pool_run *r, const struct pool_item *item, struct json_object *list,
			 struct err *e)
{
	AUTO_JSON struct json_object *undos = NULL;
	int ret;

	for (size_t i = 0; item->steps && i < json_object_array_length(item->steps); i++) {
		struct json_object *step = json_object_array_get_idx(item->steps, i);

		pool_say_step(list, json_get(step, "action"), json_get(step, "undo"));
	}
	if (item->steps)
		return 0;
	ret = journal_undos(leases_journal(r->set->d->leases), item->owner, &undos, e);
	for (size_t i = 0; ret >= 0 && i < json_object_array_length(undos); i++)
		pool_say_step(list, json_object_array_get_idx(undos, i), NULL);
	return ret;
}

static int pool_say_steps(struct pool_run *r, struct err *e)
{
	struct json_object *list = json_object_new_array();
	int ret = 0;

	json_add(r->result, "steps", list);
	for (size_t i = 0; i < r->n && ret >= 0; i++)
		ret = pool_say_item(r, &r->items[i], list, e);
	r->steps = json_object_array_length(list);
	if (!r->apply)
		json_add_bool(r->result, "changed", r->steps && !r->dry);
	return ret;
}

static int pool_check_revision(const struct pool_run *r, int64_t revision, struct err *e)
{
	long long want = (long long)r->if_revision;

	if (want < 0 || want == revision)
		return 0;
	if (!revision)
		return err_set(e, ERR_POOL_REVISION,
			       "VF pool '%s' does not exist, revision %lld was expected", r->name,
			       want);
	if (!want)
		err_set(e, ERR_POOL_REVISION, "VF pool '%s' exists already, at revision %lld",
			r->name, (long long)revision);
	else
		err_set(e, ERR_POOL_REVISION, "VF pool '%s' is at revision %lld, not %lld", r->name,
			(long long)revision, want);
	return err_hint(e, "vmctl sriov pool history %s shows who changed it", r->name);
}

/* Applied: what is new against what there is; the run's revision. */
static int pool_compare(void *arg, const struct state_pool *row)
{
	AUTO_JSON struct json_object *before = NULL;
	struct pool_run *r = arg;

	if (json_parse(row->definition, strlen(row->definition), &before, NULL) < 0)
		return -ERR_STATE;
	json_add(r->result, "changes", diff_pointers(before, r->definition));
	r->revision = row->revision;
	return 0;
}

static int pool_plan_apply(struct pool_run *r, struct err *e)
{
	const char *result = "created";
	int ret;

	r->revision = 0;
	ret = state_pool_list(r->set->d->state, r->name, pool_compare, r, e);
	if (ret >= 0)
		ret = pool_check_revision(r, r->revision, e);
	if (ret < 0)
		return ret;
	if (r->revision)
		result = json_object_array_length(json_get(r->result, "changes")) ? "updated"
										  : "unchanged";
	else
		json_add(r->result, "changes", json_object_new_array());
	r->revision += strcmp(result, "unchanged") != 0;
	json_add_int(r->result, "revision", r->revision);
	json_add_str(r->result, "result", result);
	return 0;
}

/* --- the host is read, and it begins ------------------------------------------------------------------ */

static void pool_survey(uv_work_t *work)
{
	struct pool_run *r = container_of(work, struct pool_run, work);
	const struct hostfs *h = &r->set->d->hostfs;

	r->ret = pci_inventory_read(h, &r->inventory, &r->err);
	if (r->ret < 0)
		return;
	r->marks = calloc(r->inventory.n + 1, 1);
	if (!r->marks)
		r->ret = err_ret(&r->err, -ENOMEM, "cannot look at the host's devices");
	else
		pool_look(h, &r->inventory, r->op == POOL_UP ? &r->pool : NULL, r->marks, &r->use);
}

static int pool_take_revision(void *arg, const struct state_pool *row)
{
	*(int64_t *)arg = row->revision;
	return 0;
}

static int pool_plan_delete(struct pool_run *r, struct err *e)
{
	int64_t revision = 0;
	int ret = state_pool_list(r->set->d->state, r->name, pool_take_revision, &revision, e);

	return ret < 0 ? ret : pool_check_revision(r, revision, e);
}

static int pool_ready(struct pool_run *r, struct err *e)
{
	int ret = 0;

	if (r->apply)
		ret = pool_plan_apply(r, e);
	else if (r->op == POOL_DOWN)
		ret = pool_plan_delete(r, e);

	if (ret >= 0)
		ret = pool_plan(r, e);
	if (ret >= 0)
		ret = pool_say_steps(r, e);
	if (ret < 0)
		r->n = 0;
	if (ret >= 0 && !r->dry)
		ret = pool_store_begin(r, e);
	return ret;
}

static void pool_surveyed(uv_work_t *work, int status)
{
	struct pool_run *r = container_of(work, struct pool_run, work);
	struct err e = { 0 };

	r->working = false;
	if (r->set->closing) {
		r->set->runs = NULL;
		pool_run_free(r);
		return;
	}
	if (status < 0 && r->ret >= 0)
		r->ret = err_ret(&r->err, status, "cannot look at the host's devices");
	if (r->ret < 0) {
		pool_end(r, &r->err);
		return;
	}
	if (pool_ready(r, &e) < 0) {
		pool_end(r, &e);
		return;
	}
	if (r->job && r->call)
		job_wait_add(r->job, TAKE_PTR(r->call), -1, false);
	if (r->dry)
		pool_end(r, NULL);
	else
		pool_step_next(r);
}

static void pool_begin(struct pool_run *r)
{
	struct err e;
	int ret = uv_queue_work(&r->set->d->loop, &r->work, pool_survey, pool_surveyed);

	r->working = ret >= 0;
	if (ret >= 0)
		return;
	err_ret(&e, ret, "cannot look at the host's devices");
	pool_end(r, &e);
}

void pool_submit(struct pool_run *r)
{
	struct pool_run **link = &r->set->runs;

	while (*link)
		link = &(*link)->next;
	*link = r;
	if (r->set->runs == r)
		pool_begin(r);
}
