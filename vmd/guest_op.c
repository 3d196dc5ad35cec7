// SPDX-License-Identifier: MIT
/*
 * What users want of a VM and takes long: start, stop, restart, kill. Each is a job (job.h) that is over
 * when the VM has come that far, whoever waits for it: see guest.h. On the loop's thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/event.h"
#include "vmd/guest.h"
#include "vmd/job.h"

enum guest_outcome { GUEST_NOT_YET, GUEST_REACHED, GUEST_MISSED };

static const char *const guest_op_names[] = {
	[GUEST_START] = "start",
	[GUEST_STOP] = "stop",
	[GUEST_RESTART] = "restart",
	[GUEST_KILL] = "kill",
};

/* How far a job is in a phase of the state machine; total 0: nobody knows. */
static const struct {
	const char *name;
	int done, total;
} guest_op_phases[VM_PHASE_COUNT] = {
	[VM_PHASE_OFF] = { "end", 0, 0 },
	[VM_PHASE_OPENING] = { "files", 0, 4 },
	[VM_PHASE_ABANDONED] = { "undo", 0, 0 },
	[VM_PHASE_CONNECTING] = { "process", 1, 4 },
	[VM_PHASE_CONFIGURING] = { "machine", 2, 4 },
	[VM_PHASE_LAUNCHING] = { "boot", 3, 4 },
	[VM_PHASE_RUNNING] = { "running", 4, 4 },
	[VM_PHASE_PAUSED] = { "running", 4, 4 },
	[VM_PHASE_PAUSING] = { "running", 4, 4 },
	[VM_PHASE_RESUMING] = { "running", 4, 4 },
	[VM_PHASE_RESETTING] = { "running", 4, 4 },
	[VM_PHASE_RESETTING_PAUSED] = { "running", 4, 4 },
	[VM_PHASE_SUSPENDED] = { "running", 4, 4 },
	[VM_PHASE_WAKING] = { "running", 4, 4 },
	[VM_PHASE_RESETTING_SUSPENDED] = { "running", 4, 4 },
	[VM_PHASE_STOPPING] = { "shutdown", 0, 0 },
	[VM_PHASE_QUITTING] = { "end", 0, 0 },
	[VM_PHASE_KILLED] = { "end", 0, 0 },
	[VM_PHASE_RETURNING] = { "releasing devices", 0, 0 },
};

static bool guest_op_stops(const struct guest_op *op)
{
	return op->kind == GUEST_STOP || op->kind == GUEST_RESTART;
}

static void guest_op_closed(uv_handle_t *handle)
{
	free(container_of((uv_timer_t *)handle, struct guest_op, timer));
}

/* Off the list; it is freed by the loop. Its job is the caller's. */
static struct job *guest_op_end(struct guest_op *op)
{
	struct guest_op **link = &op->g->ops;

	while (*link != op)
		link = &(*link)->next;
	*link = op->next;
	uv_close((uv_handle_t *)&op->timer, guest_op_closed);
	return op->job;
}

/* --- the outcome ---------------------------------------------------------------------------------- */

static enum guest_outcome guest_op_outcome(const struct guest *g, const struct guest_op *op)
{
	bool off = g->vm.phase == VM_PHASE_OFF;
	bool up = !vm_operation(&g->vm) && !off && !g->found;

	if (op->kind == GUEST_STOP || op->kind == GUEST_KILL)
		return off ? GUEST_REACHED : GUEST_NOT_YET;
	if (off)
		return GUEST_MISSED;
	/* a restart whose stop was given up is none */
	return up && (op->kind == GUEST_START || op->starts != g->starts) ? GUEST_REACHED
									  : GUEST_NOT_YET;
}

static void guest_op_why_missed(const struct guest *g, struct err *why)
{
	*why = g->start_err;
	if (!why->code)
		err_set(why, ERR_VM_STATE, "VM '%s' stopped meanwhile%s%s", g->name,
			g->has_exit ? ": " : "", g->has_exit ? g->exit.message : "");
}

void guest_ops_decide(struct guest *g)
{
	struct err why;

	for (struct guest_op *op = g->ops; op; op = op->next) {
		enum guest_outcome outcome =
			op->job->ended ? GUEST_NOT_YET : guest_op_outcome(g, op);

		if (outcome == GUEST_REACHED) {
			job_end(op->job, guest_answer(g, true, NULL), NULL);
		} else if (outcome == GUEST_MISSED) {
			guest_op_why_missed(g, &why);
			job_end(op->job, NULL, &why);
		}
	}
}

bool guest_ops_unsaved(const struct guest *g)
{
	const struct guest_op *op = g->ops;

	while (op && op->job->ended == op->job->saved)
		op = op->next;
	return op;
}

int guest_ops_store(struct guest *g, struct err *e)
{
	int ret = 0;

	for (struct guest_op *op = g->ops; op && ret >= 0; op = op->next)
		if (!op->job->saved)
			ret = job_store(op->job, e);
	return ret;
}

void guest_ops_stored(struct guest *g)
{
	for (struct guest_op *op = g->ops; op; op = op->next)
		op->job->saved = op->job->ended;
}

void guest_ops_settle(struct guest *g)
{
	struct guest_op *op, *next;

	guest_save_late(g);
	for (op = g->ops; op; op = next) {
		next = op->next;
		if (op->job->ended)
			job_answer(op->job);
		if (op->job->saved)
			job_forget(guest_op_end(op));
	}
}

static const char *guest_op_phase(const struct guest *g)
{
	if (g->pool_wait.waits)
		return "waiting for VF pool";
	return g->leasing ? "devices" : guest_op_phases[g->vm.phase].name;
}

void guest_ops_progress(struct guest *g)
{
	enum vm_phase phase = g->vm.phase;

	if (phase == VM_PHASE_CONFIGURING && (g->taken || g->pinned)) {
		for (struct guest_op *op = g->ops; op; op = op->next)
			job_progress(op->job,
				     g->pinned ? "pinning guest memory" : "taking guest memory",
				     g->pinned ? g->pinned : g->taken, 100, "%");
		return;
	}
	for (struct guest_op *op = g->ops; op; op = op->next)
		job_progress(op->job, guest_op_phase(g), guest_op_phases[phase].done,
			     guest_op_phases[phase].total,
			     guest_op_phases[phase].total ? "steps" : "");
}

void guest_ops_fail(struct guest *g)
{
	for (struct guest_op *op = g->ops; op; op = op->next)
		if (guest_op_stops(op) && !op->job->ended)
			job_end(op->job, NULL, &g->call_err);
}

void guest_ops_drop(struct guest *g)
{
	while (g->ops)
		guest_op_end(g->ops); /* its job is let go with all others */
}

struct guest_op *guest_op_running(const struct guest *g)
{
	struct guest_op *op = g->ops;

	while (op && op->job->ended)
		op = op->next;
	return op;
}

struct guest_op *guest_op_of(const struct guest *g, bool ending)
{
	struct guest_op *op = g->ops;

	while (op &&
	       (op->job->ended || (op->kind == GUEST_STOP || op->kind == GUEST_KILL) != ending))
		op = op->next;
	return op;
}

const struct state_actor *guest_op_actor(const struct guest *g)
{
	const struct guest_op *op = guest_op_running(g);

	op = op ? op : g->ops; /* just ended */
	return op ? &op->job->row.actor : NULL;
}

/* --- time ------------------------------------------------------------------------------------------ */

/* Does no other one wait for the guest to obey? */
static bool guest_op_alone(const struct guest_op *op)
{
	const struct guest_op *other = op->g->ops;

	while (other && (other == op || other->job->ended || !guest_op_stops(other)))
		other = other->next;
	return !other;
}

/* The guest has not obeyed its power button; when nobody else waits for that, it runs on. */
static void guest_op_give_up(struct guest_op *op, const struct err *why)
{
	struct guest *g = op->g;
	bool alone = guest_op_alone(op);

	job_end(op->job, NULL, why);
	if (alone && g->vm.phase == VM_PHASE_STOPPING)
		guest_input(g, VM_IN_DEADLINE);
	else
		guest_settle(g);
}

static void guest_op_timeout(uv_timer_t *timer)
{
	struct guest_op *op = container_of(timer, struct guest_op, timer);
	struct guest *g = op->g;
	struct err e;

	if (op->job->ended || g->vm.phase != VM_PHASE_STOPPING)
		return; /* the stop is over, or by force; its phases have limits of their own */
	guest_hold(g);
	if (op->job->row.force) {
		guest_input(g, op->kind == GUEST_RESTART ? VM_IN_ESCALATE : VM_IN_FORCE);
	} else {
		err_set(&e, ERR_TIMEOUT, "VM '%s' did not stop within %g s and is still running",
			g->name, (double)op->job->row.timeout_ms / 1000);
		err_hint(&e, "--force ends it");
		guest_op_give_up(op, &e);
	}
	guest_put(g);
}

static void guest_op_watch(struct guest_op *op, int64_t left_ms)
{
	if (guest_op_stops(op) && op->job->row.timeout_ms >= 0)
		uv_timer_start(&op->timer, guest_op_timeout, (uint64_t)left_ms, 0);
}

int64_t guest_op_left_ms(const struct guest_op *op)
{
	uint64_t left = uv_timer_get_due_in(&op->timer);

	/* a guest that obeys a restart in time is started then, which takes nobody knows how long */
	if (op->kind != GUEST_STOP || op->g->vm.phase != VM_PHASE_STOPPING ||
	    !uv_is_active((const uv_handle_t *)&op->timer))
		return -1;
	return (int64_t)left + (op->job->row.force ? GUEST_QUIT_MS : 0);
}

/* --- the beginning ------------------------------------------------------------------------------------ */

static struct guest_op *guest_op_new(struct guest *g, enum guest_op_kind kind)
{
	struct guest_op *op = calloc(1, sizeof(*op));

	if (!op)
		return NULL;
	op->g = g;
	op->kind = kind;
	op->starts = g->starts;
	op->next = g->ops;
	g->ops = op;
	uv_timer_init(&g->d->loop, &op->timer);
	return op;
}

static void guest_op_row(const struct guest *g, const struct guest_request *r, enum vm_phase phase,
			 struct state_job *row)
{
	*row = (struct state_job){ .done = guest_op_phases[phase].done,
				   .total = guest_op_phases[phase].total,
				   .timeout_ms = r->timeout_ms,
				   .force = r->force,
				   .actor = r->actor };
	snprintf(row->vm, sizeof(row->vm), "%s", g->id);
	snprintf(row->name, sizeof(row->name), "%s", g->name);
	snprintf(row->op, sizeof(row->op), "%s", guest_op_names[r->kind]);
	snprintf(row->phase, sizeof(row->phase), "%s", guest_op_phases[phase].name);
	snprintf(row->unit, sizeof(row->unit), "%s", row->total ? "steps" : "");
}

/* The VM as the input of a request is going to leave it. */
static void guest_op_next(const struct guest *g, const struct guest_request *r, struct vm *ret_next)
{
	*ret_next = g->vm;
	vm_input(ret_next, r->input, uv_now(&g->d->loop));
}

/* What the user wants, the job, and what it looks like from now on. */
static int guest_op_record(struct guest_op *op, const struct guest_request *r, struct err *e)
{
	struct guest *g = op->g;
	struct state *s = g->d->state;
	struct state_job row;
	struct vm next;
	int ret = 0;

	guest_op_next(g, r, &next);
	guest_op_row(g, r, next.phase, &row);
	if (r->kind == GUEST_STOP || r->kind == GUEST_KILL)
		ret = state_vm_set_desired(s, g->id, false, e);
	if (ret >= 0)
		ret = job_begin(g->d->jobs, &row, op, &op->job, e);
	if (ret >= 0 && g->told != vm_state(&next))
		ret = guest_store_event(g, vm_state(&next), e);
	return ret;
}

struct guest_op *guest_op_write(struct guest *g, const struct guest_request *r, struct err *e)
{
	struct guest_op *op = guest_op_new(g, r->kind);

	if (!op) {
		err_set(e, ERR_RPC_INTERNAL, "out of memory");
		return NULL;
	}
	if (guest_op_record(op, r, e) >= 0)
		return op;
	guest_op_unwrite(op);
	return NULL;
}

void guest_op_unwrite(struct guest_op *op)
{
	if (op && op->job)
		job_forget(op->job);
	if (op)
		guest_op_end(op);
}

void guest_op_written(struct guest_op *op, const struct guest_request *r)
{
	struct vm next;

	guest_op_next(op->g, r, &next);
	op->g->told = vm_state(&next); /* the input that follows leads there */
	guest_op_watch(op, r->timeout_ms);
}

static int guest_op_commit(struct guest *g, const struct guest_request *r, struct guest_op **ret_op,
			   struct err *e)
{
	struct state *s = g->d->state;
	struct guest_op *op = NULL;
	int ret = state_begin(s, e);

	if (ret >= 0) {
		op = guest_op_write(g, r, e);
		ret = op ? state_commit(s, e) : -e->code;
	}
	if (ret >= 0) {
		*ret_op = op;
		return 0;
	}
	state_rollback(s);
	event_drop(g->d->events);
	guest_op_unwrite(op);
	return ret;
}

struct guest_op *guest_op_begin(struct guest *g, const struct guest_request *r, struct err *e)
{
	struct guest_op *op;

	/* what was before comes first */
	if (guest_save(g, e) < 0)
		return NULL;
	if (r->kind == GUEST_START)
		timeline_begin(&g->timeline);
	if (guest_op_commit(g, r, &op, e) < 0)
		return NULL;
	guest_op_written(op, r);
	event_flush(g->d->events);
	return op;
}

void guest_op_join(struct guest_op *op, int64_t timeout_ms, bool force)
{
	struct job *job = op->job;
	int64_t gone = (int64_t)(uv_now(&op->g->d->loop) - job->begun_ms);
	struct err e;

	if (!guest_op_stops(op) || op->g->vm.phase != VM_PHASE_STOPPING)
		return;
	/* who has more patience, or none with the guest, decides for all */
	if (force && !job->row.force)
		job->row.timeout_ms = gone + timeout_ms;
	else if (force == job->row.force)
		job->row.timeout_ms = force ? MIN(job->row.timeout_ms, gone + timeout_ms)
					    : MAX(job->row.timeout_ms, gone + timeout_ms);
	job->row.force |= force;
	if (job_store(job, &e) < 0)
		log_error(&op->g->d->log, "job %s: %s", job->row.id, e.msg);
	guest_op_watch(op, MAX(job->row.timeout_ms - gone, 0));
}

/* --- cancelling --------------------------------------------------------------------------------------- */

static int guest_op_too_late(const struct guest_op *op, struct err *e)
{
	return err_set(e, ERR_VM_STATE, "the %s of VM '%s' cannot be cancelled any more: %s",
		       op->job->row.op, op->g->name, vm_phase_name(op->g->vm.phase));
}

int guest_op_cancel(struct guest_op *op, struct call *call, struct err *e)
{
	struct guest *g = op->g;
	bool starts = op->kind == GUEST_START || op->kind == GUEST_RESTART;
	struct err why;

	if (op->kind != GUEST_KILL && g->vm.phase == VM_PHASE_STOPPING) {
		if (guest_op_alone(op) && state_vm_set_desired(g->d->state, g->id, true, e) < 0)
			return -e->code;
		err_set(&why, ERR_CANCELLED,
			"the %s of VM '%s' was cancelled; the guest may still obey the button",
			op->job->row.op, g->name);
		g->vm.restart = false;
		job_wait_add(op->job, call, -1, true);
		guest_op_give_up(op, &why);
		return 0;
	}
	if (!starts || vm_state(&g->vm) != VM_STARTING)
		return guest_op_too_late(op, e);
	if (state_vm_set_desired(g->d->state, g->id, false, e) < 0)
		return -e->code;
	job_wait_add(op->job, call, -1, true);
	err_set(&g->start_err, ERR_CANCELLED, "the start of VM '%s' was cancelled", g->name);
	guest_input(g, g->vm.phase == VM_PHASE_OPENING ? VM_IN_STOP : VM_IN_FORCE);
	return 0;
}

/* --- jobs of a vmd before this one ---------------------------------------------------------------------- */

/* A restart that had got as far as its start: only the phases of a start have a total. */
static bool guest_op_second_half(const struct guest_op *op)
{
	return op->kind == GUEST_RESTART && op->job->row.total;
}

/* The VM does nothing, and what the job was doing is over. */
static void guest_op_resume_off(struct guest_op *op)
{
	struct guest *g = op->g;
	bool second_half = guest_op_second_half(op);

	if (op->kind == GUEST_RESTART && !second_half && !g->start_err.code) {
		/* its stop has come about: the other half is ours, unless it was begun and is undone */
		guest_input(g, VM_IN_RESTART);
		return;
	}
	if ((op->kind == GUEST_START || second_half) && !g->start_err.code)
		err_set(&g->start_err, ERR_CANCELLED, "vmd ended during its start");
	guest_ops_settle(g);
}

/* What was asked of the guest is asked again: it may have been lost. */
static void guest_op_ask_again(struct guest_op *op)
{
	static const enum vm_input inputs[] = { [GUEST_STOP] = VM_IN_STOP,
						[GUEST_RESTART] = VM_IN_RESTART,
						[GUEST_KILL] = VM_IN_FORCE };
	const struct state_job *row = &op->job->row;
	bool force = row->force && op->g->vm.phase == VM_PHASE_PAUSED;
	enum vm_input input = force ? VM_IN_FORCE : inputs[op->kind];
	bool restart = force && op->kind == GUEST_RESTART;
	struct guest *g = op->g;
	struct vm_step step;
	struct err e;

	guest_op_watch(op, MAX(0, MIN(row->created_ms + row->timeout_ms - state_now_ms(),
				      row->timeout_ms)));
	step = guest_input(g, input);
	if (restart)
		g->vm.restart = true;
	if (step.verdict != VM_BUSY && step.verdict != VM_WRONG_STATE)
		return;
	vm_refusal(&g->vm, input, g->name, uv_now(&g->d->loop), &e);
	job_end(op->job, NULL, &e);
	guest_ops_settle(g);
}

static void guest_op_resume_running(struct guest_op *op)
{
	bool restarts = op->kind == GUEST_RESTART && op->g->vm.phase == VM_PHASE_RETURNING;
	bool second_half = guest_op_second_half(op);

	if (restarts && !second_half)
		op->g->vm.restart =
			true; /* its stop has come about; its start comes after the devices */
	if (op->kind != GUEST_START && !second_half && !restarts) {
		guest_op_ask_again(op);
		return;
	}
	op->starts -= second_half;
	guest_ops_settle(op->g);
}

static void guest_op_resume(struct daemon *d, const struct state_job *row)
{
	struct state_vm vm;
	struct guest *g = NULL;
	struct guest_op *op = NULL;
	struct job *job;
	struct err e;

	if (state_vm_get(d->state, row->vm, &vm, &e) >= 0)
		g = guest_get(d, &vm);
	if (g)
		guest_save_first(g); /* what it came to before is not this job's end */
	for (size_t i = 0; g && i < ARRAY_SIZE(guest_op_names); i++)
		if (!strcmp(guest_op_names[i], row->op))
			op = guest_op_new(g, (enum guest_op_kind)i);
	job = op ? job_continue(d->jobs, row, op) : NULL;
	if (!job) {
		if (op)
			guest_op_end(op);
		log_error(&d->log, "job %s, %s of VM '%s', cannot go on", row->id, row->op,
			  row->name);
	} else {
		op->job = job;
		log_info(&d->log, "job %s goes on: %s of VM '%s'", row->id, row->op, row->name);
		if (g->vm.phase == VM_PHASE_OFF)
			guest_op_resume_off(op);
		else
			guest_op_resume_running(op);
	}
	if (g)
		guest_put(g);
}

struct guest_op_rows {
	struct state_job *rows; /* owned */
	size_t n;
};

static int guest_op_take_row(void *arg, const struct state_job *row, const char *result)
{
	struct guest_op_rows *r = arg;
	struct state_job *rows = realloc(r->rows, (r->n + 1) * sizeof(*rows));

	(void)result;
	if (!rows)
		return -ENOMEM;
	r->rows = rows;
	/* else a pool's (vmd/pool_ask.c), or a device's (guest_plug.c) */
	if (row->vm[0] && strcmp(row->op, "attach") != 0 && strcmp(row->op, "detach") != 0)
		rows[r->n++] = *row;
	return 0;
}

void guest_ops_resume(struct daemon *d)
{
	struct guest_op_rows r = { 0 };
	struct err e = { 0 };

	if (state_job_list(d->state, NULL, "running", state_now_ms(), guest_op_take_row, &r, &e) <
	    0)
		log_error(&d->log, "cannot look for jobs: %s", e.msg);
	/* the list begins with the newest */
	while (r.n)
		guest_op_resume(d, &r.rows[--r.n]);
	free(r.rows);
}
