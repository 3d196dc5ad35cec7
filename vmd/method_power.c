// SPDX-License-Identifier: MIT
/*
 * Methods vm.start, stop, restart, reset, pause, resume, wakeup, kill, wait, console: what runs. A handler gives
 * the state machine its input and leaves the call with the guest's waits. On the loop's thread.
 */
#include "vmd/methods.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/daemon.h"
#include "vmd/guest.h"
#include "vmd/job.h"
#include "vmd/start_plan.h"
#include "vmd/turn.h"

/* The guest that params.vm names, held; NULL: the call has been answered. */
static struct guest *power_guest(struct daemon *d, struct call *call)
{
	struct state_vm vm;
	struct guest *g;
	struct err e;

	if (state_vm_find(d->state, json_get_str(call->params, "vm", ""), &vm, &e) < 0) {
		call_fail(call, &e, NULL);
		return NULL;
	}
	g = guest_get(d, &vm);
	if (!g) {
		err_set(&e, ERR_RPC_INTERNAL, "out of memory");
		call_fail(call, &e, NULL);
	}
	return g;
}

/* A refusal names the job that is in the way, its age and its owner. */
static void power_refuse(struct guest *g, enum vm_input input, struct call *call)
{
	const struct guest_op *op = guest_op_running(g);
	struct json_object *data = NULL;
	int64_t left_ms;
	struct err e;

	vm_refusal(&g->vm, input, g->name, uv_now(&g->d->loop), &e);
	if (e.code == ERR_VM_STATE && g->vm.phase == VM_PHASE_OFF)
		err_hint(&e, "start it first: vmctl start %s", g->name);
	if (e.code == ERR_BUSY && op) {
		data = json_add(json_new(), "job", job_brief(op->job));
		left_ms = guest_op_left_ms(op);
		if (left_ms >= 0)
			json_add_int(data, "retry_after_ms", left_ms);
		err_hint(&e, "vmctl job wait %s, or vmctl job cancel %s", op->job->row.id,
			 op->job->row.id);
	}
	call_fail(call, &e, data);
}

/* Answer a short call by the verdict on its input, or let it wait. */
static void power_answer(struct guest *g, enum vm_input input, enum vm_verdict verdict,
			 struct call *call, const char *already)
{
	switch (verdict) {
	case VM_GO:
	case VM_JOIN:
		guest_wait_add(g, GUEST_WAIT_CALL, call, -1, VM_STATES);
		return;
	case VM_ALREADY:
		call_reply(call, guest_answer(g, false, already));
		return;
	case VM_BUSY:
	case VM_WRONG_STATE:
	case VM_IGNORE:
		power_refuse(g, input, call);
		return;
	}
}

/*
 * A dry run: the verdict that the input would get, by a copy of the state machine. Files and limits are
 * looked at for a start only (start_plan.h). False: it is none, and the call waits to be carried out.
 */
static bool power_dry(struct guest *g, enum vm_input input, struct call *call, const char *already,
		      const char *would)
{
	struct vm copy = g->vm;
	struct vm_step step;

	if (!json_get_bool(call->params, "dry_run", false))
		return false;
	step = vm_input(&copy, input, uv_now(&g->d->loop));
	if (step.verdict == VM_GO || step.verdict == VM_JOIN)
		call_reply(call, guest_answer(g, false, would));
	else
		power_answer(g, input, step.verdict, call, already);
	return true;
}

/* What the user wants is written first; a failure is the call's. */
static int power_desire(struct guest *g, bool running, struct call *call)
{
	struct err e;

	if (state_vm_set_desired(g->d->state, g->id, running, &e) >= 0)
		return 0;
	call_fail(call, &e, NULL);
	return -1;
}

static bool power_waits(const struct call *call)
{
	return json_get_bool(call->params, "wait", true);
}

/* The caller does not wait: what it is told now. */
static void power_reply_job(const struct guest *g, struct call *call, const char *id)
{
	call_reply(call, json_add_str(guest_answer(g, true, NULL), "job", id));
}

static void power_cancel_start(struct guest *g, const char *by)
{
	if (vm_state(&g->vm) == VM_STARTING && !g->start_err.code)
		err_set(&g->start_err, ERR_CANCELLED, "the start of VM '%s' was cancelled by a %s",
			g->name, by);
}

/* The job is written, now it begins. */
static void power_begin(struct guest *g, const struct guest_request *r, struct call *call,
			struct guest_op *op)
{
	char id[STATE_JOB_ID_SIZE];
	bool wait;

	memcpy(id, op->job->row.id, sizeof(id));
	power_cancel_start(g, op->job->row.op);
	/* before it begins: it may be over at once */
	wait = power_waits(call);
	if (wait)
		job_wait_add(op->job, call, -1, false);
	guest_input(g, r->input);
	if (!wait)
		power_reply_job(g, call, id);
}

/* VM_GO. False: the call has been answered with why not. */
static bool power_go(struct guest *g, struct guest_request *r, struct call *call)
{
	struct guest_op *op;
	struct err e;

	call_actor(call, &r->actor);
	op = guest_op_begin(g, r, &e);
	if (op)
		power_begin(g, r, call, op);
	else
		call_fail(call, &e, NULL);
	return op;
}

/* A start on its way: what others write in the same turn is written with it. */
struct power_start {
	struct guest *g; /* held; off */
	struct guest_request request;
	struct call *call;
	struct guest_op *op; /* once it is written */
	struct turn_write write;
};

static int power_start_write(struct turn_write *w, struct err *e)
{
	struct power_start *s = container_of(w, struct power_start, write);

	s->op = guest_op_write(s->g, &s->request, e);
	return s->op ? 0 : -e->code;
}

static void power_start_undo(struct turn_write *w)
{
	struct power_start *s = container_of(w, struct power_start, write);

	guest_op_unwrite(TAKE_PTR(s->op));
}

static void power_start_done(struct turn_write *w, const struct err *why)
{
	struct power_start *s = container_of(w, struct power_start, write);

	if (why) {
		call_fail(s->call, why, NULL);
	} else {
		guest_op_written(s->op, &s->request);
		power_begin(s->g, &s->request, s->call, s->op);
	}
	guest_put(s->g);
	free(s);
}

static const struct turn_ops power_start_ops = { .write = power_start_write,
						 .undo = power_start_undo,
						 .done = power_start_done };

static void power_start(struct guest *g, struct guest_request *r, struct call *call)
{
	struct power_start *s = calloc(1, sizeof(*s));
	struct err e;

	if (!s)
		err_set(&e, ERR_RPC_INTERNAL, "out of memory");
	if (!s || guest_save(g, &e) < 0) { /* what was before comes first */
		call_fail(call, &e, NULL);
		free(s);
		return;
	}
	call_actor(call, &r->actor);
	*s = (struct power_start){ .g = g, .request = *r, .call = call };
	s->write = (struct turn_write){
		.ops = &power_start_ops, .call = call, .id = g->id, .name = g->name
	};
	guest_hold(g);
	timeline_begin(&g->timeline);
	turn_add(g->d->turn, &s->write);
}

/* VM_JOIN: wait for the end of the job that is there. */
static void power_join(struct guest *g, struct guest_request *r, struct call *call)
{
	bool ending = r->kind == GUEST_STOP || r->kind == GUEST_KILL;
	struct guest_op *op = guest_op_of(g, ending);
	struct err e;

	if (ending && power_desire(g, false, call) < 0)
		return;
	call_actor(call, &r->actor);
	if (!op && ending) /* it ends by itself, or for a restart */
		op = guest_op_begin(g, r, &e);
	else if (!op)
		err_set(&e, ERR_BUSY, "VM '%s' is %s", g->name, vm_state_name(vm_state(&g->vm)));
	if (!op) {
		call_fail(call, &e, NULL);
		return;
	}
	guest_op_join(op, r->timeout_ms, r->force);
	guest_input(g, r->input); /* ends no job, but the wish to start again */
	if (power_waits(call))
		job_wait_add(op->job, call,
			     !r->force && g->vm.phase == VM_PHASE_STOPPING ? r->timeout_ms : -1,
			     false);
	else
		power_reply_job(g, call, op->job->row.id);
}

/* What the state machine says of the input, before it is given. */
static void power_request(struct guest *g, struct guest_request *r, struct call *call,
			  const char *already)
{
	struct vm next = g->vm;
	struct vm_step step = vm_input(&next, r->input, uv_now(&g->d->loop));

	switch (step.verdict) {
	case VM_GO:
		if (r->kind == GUEST_START)
			power_start(g, r, call);
		else
			power_go(g, r, call);
		return;
	case VM_JOIN:
		power_join(g, r, call);
		return;
	case VM_ALREADY:
		if (r->kind == GUEST_START || power_desire(g, false, call) >= 0)
			call_reply(call, guest_answer(g, false, already));
		return;
	case VM_BUSY:
	case VM_WRONG_STATE:
	case VM_IGNORE:
		power_refuse(g, r->input, call);
		return;
	}
}

/* --- start --------------------- */

static const char *power_running_note(const struct guest *g)
{
	if (vm_state(&g->vm) == VM_SUSPENDED)
		return "already running, suspended";
	return vm_state(&g->vm) == VM_PAUSED ? "already running, paused" : "already running";
}

void method_vm_start(struct daemon *d, struct call *call)
{
	struct guest_request r = { .input = VM_IN_START, .kind = GUEST_START, .timeout_ms = -1 };
	struct guest *g = power_guest(d, call);
	struct state_vm vm;
	struct err e;

	if (!g)
		return;
	if (json_get_bool(call->params, "dry_run", false) && g->vm.phase == VM_PHASE_OFF) {
		if (state_vm_get(d->state, g->id, &vm, &e) >= 0)
			start_plan(d, call, &vm);
		else
			call_fail(call, &e, NULL);
		guest_put(g);
		return;
	}
	if (json_get_bool(call->params, "dry_run", false)) {
		call_reply(call, guest_answer(g, false, power_running_note(g)));
		guest_put(g);
		return;
	}
	if (g->vm.phase == VM_PHASE_OFF)
		g->vm.start_paused = json_get_bool(call->params, "paused", false);
	power_request(g, &r, call, power_running_note(g));
	guest_put(g);
}

/* --- stop, kill, restart --- */

static void power_stop_request(struct call *call, enum guest_op_kind kind,
			       struct guest_request *ret)
{
	*ret = (struct guest_request){
		.input = kind == GUEST_RESTART ? VM_IN_RESTART : VM_IN_STOP,
		.kind = kind,
		.timeout_ms = json_get_int(call->params, "timeout_ms", 60000),
		.force = json_get_bool(call->params, "force", false),
	};
}

void method_vm_stop(struct daemon *d, struct call *call)
{
	struct guest *g = power_guest(d, call);
	struct guest_request r;

	if (!g)
		return;
	power_stop_request(call, GUEST_STOP, &r);
	/* a paused guest cannot answer its power button */
	if (r.force && (!r.timeout_ms || g->vm.phase == VM_PHASE_PAUSED))
		r.input = VM_IN_FORCE;
	if (!power_dry(g, r.input, call, "already stopped",
		       r.input == VM_IN_FORCE ? "would be ended" : "would be asked to stop"))
		power_request(g, &r, call, "already stopped");
	guest_put(g);
}

void method_vm_kill(struct daemon *d, struct call *call)
{
	struct guest_request r = { .input = VM_IN_FORCE, .kind = GUEST_KILL, .timeout_ms = -1 };
	struct guest *g = power_guest(d, call);

	if (!g)
		return;
	if (!power_dry(g, r.input, call, "already stopped", "would be ended"))
		power_request(g, &r, call, "already stopped");
	guest_put(g);
}

static void power_restart(struct guest *g, struct guest_request *r, struct call *call)
{
	if (!vm_operation(&g->vm))
		g->vm.start_paused = false;
	if (r->input != VM_IN_FORCE)
		power_request(g, r, call, NULL);
	else if (power_go(g, r, call))
		g->vm.restart = true;
}

void method_vm_restart(struct daemon *d, struct call *call)
{
	struct guest *g = power_guest(d, call);
	struct guest_request r;

	if (!g)
		return;
	power_stop_request(call, GUEST_RESTART, &r);
	if (g->vm.phase == VM_PHASE_PAUSED && r.force)
		r.input = VM_IN_FORCE;
	if (!power_dry(g, r.input, call, NULL,
		       g->vm.phase == VM_PHASE_OFF ? "would start" : "would be restarted"))
		power_restart(g, &r, call);
	guest_put(g);
}

/* --- reset, pause, resume --- */

static void power_simple(struct daemon *d, struct call *call, enum vm_input input,
			 const char *already, const char *would)
{
	struct guest *g = power_guest(d, call);
	struct vm_step step;

	if (!g)
		return;
	if (!power_dry(g, input, call, already, would)) {
		step = guest_input(g, input);
		power_answer(g, input, step.verdict, call, already);
	}
	guest_put(g);
}

void method_vm_reset(struct daemon *d, struct call *call)
{
	power_simple(d, call, VM_IN_RESET, NULL, "would be reset");
}

void method_vm_pause(struct daemon *d, struct call *call)
{
	power_simple(d, call, VM_IN_PAUSE, "already paused", "would be paused");
}

void method_vm_resume(struct daemon *d, struct call *call)
{
	power_simple(d, call, VM_IN_RESUME, "already running", "would run on");
}

void method_vm_wakeup(struct daemon *d, struct call *call)
{
	power_simple(d, call, VM_IN_WAKEUP, "already awake", "would be woken");
}

void method_vm_wait(struct daemon *d, struct call *call)
{
	static const struct {
		const char *name;
		enum vm_state state;
	} states[] = { { "running", VM_RUNNING },
		       { "stopped", VM_STOPPED },
		       { "paused", VM_PAUSED },
		       { "suspended", VM_SUSPENDED } };
	const char *word = json_get_str(call->params, "for", "");
	struct guest *g;
	struct err e;

	if (!strcmp(word, "console")) {
		method_logs_wait(d, call);
		return;
	}
	if (json_get(call->params, "regex") || json_get(call->params, "console")) {
		err_set(&e, ERR_RPC_PARAMS, "vm.wait: regex and console go with for: console");
		call_fail(call, &e, NULL);
		return;
	}
	g = power_guest(d, call);
	for (size_t i = 0; g && i < ARRAY_SIZE(states); i++)
		if (!strcmp(states[i].name, word))
			guest_wait_add(g, GUEST_WAIT_STATE, call,
				       json_get_int(call->params, "timeout_ms", -1),
				       states[i].state);
	if (g)
		guest_put(g);
}

/* --- console: vmm gets one end of a socket pair, the client the other; no byte passes through vmd --- */

struct power_console {
	struct call *call;
	int client_end; /* owned */
	char name[64];
};

static void power_console_done(void *arg, struct json_object *result, const struct err *why)
{
	struct power_console *c = arg;
	struct json_object *o;
	struct fdset fds;

	if (why) {
		call_fail(c->call, why, NULL);
		close(c->client_end);
		free(c);
		return;
	}
	fdset_init(&fds);
	fdset_add(&fds, c->client_end);
	o = json_add_str(json_new(), "name", c->name);
	call_reply_fds(c->call, json_add_str(o, "console", json_get_str(result, "console", "")),
		       &fds);
	free(c);
}

static int power_console_open(struct guest *g, struct call *call, struct err *e)
{
	struct json_object *params = json_new();
	const char *console = json_get_str(call->params, "console", NULL);
	struct power_console *c = calloc(1, sizeof(*c));
	struct fdset fds;
	int ends[2];

	if (!c || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		json_object_put(params);
		free(c);
		return err_errno(e, "cannot make a console for VM '%s'", g->name);
	}
	if (console)
		json_add_str(params, "console", console);
	json_add_str(params, "mode", json_get_str(call->params, "mode", "write"));
	json_add_bool(params, "scrollback", json_get_bool(call->params, "scrollback", true));
	c->call = call;
	c->client_end = ends[0];
	memcpy(c->name, g->name, sizeof(c->name));
	fdset_init(&fds);
	fdset_add(&fds, ends[1]);
	vmproc_call(g->proc, "console.attach", params, &fds, guest_call_ms(g), power_console_done,
		    c);
	return 0;
}

struct guest *method_running_guest(struct daemon *d, struct call *call)
{
	struct guest *g = power_guest(d, call);
	struct err e;

	if (!g || (g->vm.phase != VM_PHASE_OFF && g->proc && g->up))
		return g;
	if (g->vm.phase == VM_PHASE_OFF) {
		power_refuse(g, VM_IN_RESET, call);
	} else {
		vm_refusal(&g->vm, VM_IN_RESET, g->name, uv_now(&d->loop), &e);
		call_fail(call, &e, NULL);
	}
	guest_put(g);
	return NULL;
}

void method_vm_console(struct daemon *d, struct call *call)
{
	struct guest *g = method_running_guest(d, call);
	struct err e;

	if (!g)
		return;
	if (power_console_open(g, call, &e) < 0)
		call_fail(call, &e, NULL);
	guest_put(g);
}
