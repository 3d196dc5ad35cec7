// SPDX-License-Identifier: MIT
/*
 * A VM that does something: see guest.h. Each of vmproc's and gather's callbacks becomes an input of the
 * state machine; guest_act does what comes out. On the loop's thread.
 */
#include "vmd/guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/cage.h"
#include "vmd/display.h"
#include "vmd/event.h"
#include "vmd/guest_cgroup.h"
#include "vmd/lease.h"
#include "vmd/nets.h"
#include "vmd/nvram.h"
#include "vmd/ports.h"
#include "vmd/vmlog.h"

/* An answer belongs to the phase that asked. */
struct guest_call {
	struct guest *g;
	enum vm_phase phase;
};

void guest_dir(const struct daemon *d, const char *id, char *out, size_t size)
{
	snprintf(out, size, "%s/%s", d->options->run_dir, id);
}

struct json_object *guest_exit_json(const struct state_exit *exit)
{
	struct json_object *o = json_add_str(json_new(), "reason", exit->reason);
	char time[EVENT_TIME_SIZE];

	event_time(exit->time_ms, time);
	json_add_int(o, "code", exit->code);
	json_add_str(o, "message", exit->message);
	return json_add_str(o, "time", time);
}

static bool guest_off(const struct guest *g)
{
	return !g || g->vm.phase == VM_PHASE_OFF;
}

const char *guest_state_name(const struct guest *g)
{
	return vm_state_name(guest_off(g) ? VM_STOPPED : vm_state(&g->vm));
}

/* How it ended last, or NULL. What could not be written down yet is known here alone. */
static const struct state_exit *guest_exit_of(const struct guest *g, const struct state_vm *vm)
{
	if (g && g->end_unsaved)
		return g->has_exit ? &g->exit : NULL;
	return vm->has_exit ? &vm->exit : NULL;
}

int64_t guest_since_ms(const struct guest *g, const struct state_vm *vm)
{
	const struct state_exit *exit = guest_exit_of(g, vm);

	if (!guest_off(g))
		return g->since_ms;
	return exit ? exit->time_ms : vm->created_ms;
}

struct json_object *guest_observed(const struct guest *g, const struct state_vm *vm)
{
	struct json_object *o = json_add_str(json_new(), "state", guest_state_name(g));
	bool off = guest_off(g);
	const struct state_exit *exit = guest_exit_of(g, vm);
	char time[EVENT_TIME_SIZE];

	if (!off && g->proc)
		json_add_int(o, "pid", vmproc_pid(g->proc));
	event_time(guest_since_ms(g, vm), time);
	json_add_str(o, "since", time);
	if (!off)
		json_add_int(o, "revision", g->revision);
	else if (exit)
		json_add(o, "exit", guest_exit_json(exit));
	return o;
}

void guest_give_up_soon(struct guest *g, const struct err *why)
{
	g->call_err = *why;
	if (vm_operation(&g->vm) && !uv_is_closing((uv_handle_t *)&g->timer))
		guest_set_timer(g, GUEST_LOST_MS);
}

static void guest_call_done(void *arg, struct json_object *result, const struct err *why)
{
	struct guest_call *call = arg;
	struct guest *g = call->g;
	bool late = call->phase != g->vm.phase;

	free(call);
	if (!late)
		timeline_take(&g->timeline, json_get(result, "timeline"));
	if (late || (why && g->proc && vmproc_gone(g->proc)))
		return; /* its end follows, and says more */
	if (!why)
		guest_input(g, VM_IN_DONE);
	else if (vmproc_connected(g->proc))
		guest_failed(g, why);
	else
		guest_give_up_soon(g, why);
}

/* Ask vmm; the answer is DONE or FAILED of the present phase. */
static void guest_ask(struct guest *g, const char *method, struct json_object *take_params,
		      struct fdset *take_fds, unsigned int timeout_ms)
{
	struct guest_call *call = calloc(1, sizeof(*call));

	if (!call)
		abort(); /* a small object, and the state machine would stand still */
	call->g = g;
	call->phase = g->vm.phase;
	vmproc_call(g->proc, method, take_params ? take_params : json_new(), take_fds, timeout_ms,
		    guest_call_done, call);
}

/* vmm knows descriptors only: the name of the file is ours to add. */
static void guest_start_error(struct guest *g, const struct err *why)
{
	g->start_err = *why;
	if (why->code == ERR_KERNEL_IMAGE)
		err_wrap(&g->start_err, "kernel '%s'", g->kernel);
	if (why->code == ERR_FIRMWARE)
		err_wrap(&g->start_err, "firmware '%s'", g->firmware);
}

/* A start or a call has failed: keep why (the first reason counts). */
void guest_failed(struct guest *g, const struct err *why)
{
	if (vm_state(&g->vm) == VM_STARTING) {
		if (!g->start_err.code)
			guest_start_error(g, why);
	} else {
		g->call_err = *why;
	}
	guest_input(g, VM_IN_FAILED);
}

static void guest_gathered(struct gather *gather)
{
	struct guest *g = gather->arg;

	guest_hold(g);
	g->gather = NULL;
	if (gather->asked) {
		host_cpuid_fini(&g->d->cpuid);
		host_cpuid_copy(&gather->cpuids, &g->d->cpuid);
	}
	timeline_mark(&g->timeline, TIMELINE_FDS);
	guests_blame(g->d, gather);
	memcpy(g->kernel, gather->kernel, sizeof(g->kernel));
	memcpy(g->firmware, gather->firmware, sizeof(g->firmware));
	if (gather->ret < 0) {
		guest_failed(g, &gather->err);
	} else {
		g->config = TAKE_PTR(gather->config);
		g->nets = TAKE_PTR(gather->nets);
		g->ports = TAKE_PTR(gather->ports);
		g->child = TAKE_PTR(gather->child);
		g->fds = gather->fds;
		gather->fds.n = 0;
		g->display = gather->display;
		gather->display = (struct gather_display){ .listen_fd = -1 };
		g->kvm = gather->kvm;
		g->cpuid = gather->cpuid;
		g->record = gather->record;
		g->tail = gather->tail;
		g->memlock = gather->memlock;
		guest_input(g, VM_IN_OPENED);
	}
	gather_free(gather);
	nets_gathered(g->d);
	guest_put(g);
}

/* The newest revision's, and what has to be known before its files are opened. */
static int guest_load_config(struct guest *g, struct state_vm *ret_vm,
			     struct json_object **ret_config, struct err *e)
{
	AUTO_FREE char *text = NULL;
	int ret = state_vm_get(g->d->state, g->id, ret_vm, e);

	if (ret >= 0)
		ret = state_revision_get(g->d->state, g->id, ret_vm->revision, NULL, &text, e);
	if (ret < 0)
		return ret;
	g->revision = ret_vm->revision;
	ret = json_parse(text, strlen(text), ret_config, e);
	if (ret < 0)
		return ret;
	ret = guest_cgroup_plan(g, *ret_config, e);
	if (ret < 0)
		json_object_put(TAKE_PTR(*ret_config));
	return ret;
}

void guest_gather(struct guest *g)
{
	struct vmproc_program program;
	struct gather_process process = { &g->d->cgroups, g->cgroup,	    &program,
					  &g->d->cpuid,	  ports_lock(g->d), -1 };
	struct state_vm vm;
	struct err e;

	if (state_vm_get(g->d->state, g->id, &vm, &e) < 0 ||
	    nets_reserve(g->d, &vm, g->config, false, &e) < 0 ||
	    ports_reserve(g->d, &vm, g->config, &e) < 0 ||
	    nvram_reserve(g->d, &vm, g->config, &e) < 0 || display_check(g->d, g->config, &e) < 0) {
		guest_failed(g, &e);
		return;
	}
	cage_program(g->d, &program);
	process.before_fd = display_ended_fd(g->d, g->id);
	g->gather = gather_start(&g->d->loop, &g->d->hostfs, &vm, g->dir, TAKE_PTR(g->config),
				 &process, guest_gathered, g);
	if (g->gather) {
		nets_gather_begins(g->d);
		return;
	}
	err_set(&e, ERR_FAILED, "cannot open the files of VM '%s': out of memory", g->name);
	guest_failed(g, &e);
}

static void guest_open(struct guest *g)
{
	struct state_vm vm;
	struct err e;
	int ret;

	if (g->end_unsaved && guest_save(g, &e) < 0) {
		guest_failed(g, &e); /* the end before this start is not to be forgotten */
		return;
	}
	g->start_err = g->call_err = (struct err){ 0 };
	g->up = g->launched = g->has_exit = false;
	g->starts++;
	/* the other half of a restart; a start has begun with its request */
	if (g->timeline.seq || !g->timeline.begun_us)
		timeline_begin(&g->timeline);
	if (guest_load_config(g, &vm, &g->config, &e) < 0) {
		guest_failed(g, &e);
		return;
	}
	timeline_mark(&g->timeline, TIMELINE_PLAN);
	guest_logs_prepare(g, g->config);
	ret = guest_lease(g, &vm, &e);
	if (ret < 0)
		guest_failed(g, &e);
	else if (!ret)
		guest_gather(g);
}

/* What was spawned, written before it runs; and that the user wants it to run. */
static int guest_record(void *arg, const struct state_process *process, struct err *e)
{
	struct guest *g = arg;
	struct state *s = g->d->state;
	struct state_process p = *process;
	int ret = state_begin_boot(s, e); /* the wish is synced with the answer to it */

	if (ret < 0)
		return ret;
	snprintf(p.vm, sizeof(p.vm), "%s", g->id);
	snprintf(p.boot_id, sizeof(p.boot_id), "%s", g->d->boot_id);
	memcpy(p.cgroup, g->cgroup, sizeof(p.cgroup));
	p.revision = g->revision;
	p.paused = g->vm.start_paused;
	ret = state_process_put(s, &p, e);
	if (ret >= 0)
		ret = state_vm_set_desired(s, g->id, true, e);
	if (ret >= 0 && g->vm.devices)
		ret = lease_in_use(g->d, g->id, e);
	if (ret >= 0)
		ret = nets_store(g->d, g->id, g->nets, e);
	if (ret >= 0)
		ret = ports_store(g->d, g->id, g->ports, e);
	if (ret >= 0)
		ret = state_commit(s, e);
	if (ret < 0)
		state_rollback(s);
	return ret;
}

static void guest_spawn(struct guest *g)
{
	struct vmproc_options options = { .loop = &g->d->loop,
					  .log = &g->d->log,
					  .dir = g->dir,
					  .ops = &guest_proc_ops,
					  .arg = g };
	struct err e;
	int ret = cage_uid(g->d, &g->uid, &g->start_err);

	if (ret >= 0)
		ret = vmproc_spawn(&options, TAKE_PTR(g->child), g->uid, guest_record, &g->proc,
				   &g->start_err);
	if (ret < 0) {
		guest_input(g, VM_IN_GONE); /* no process came to be */
		return;
	}
	timeline_mark(&g->timeline, TIMELINE_SPAWN);
	log_info(&g->d->log, "VM '%s': vmm is process %d", g->name, (int)vmproc_pid(g->proc));
	guest_keep_pidfd(g);
	guest_logs_monitor(g);
	guest_set_timer(g, g->d->options->step_timeout_ms);
	if (guest_raise_memlock(g, &e) < 0)
		guest_failed(g, &e);
	else
		guest_cgroup_enter(g);
}

static void guest_configure(struct guest *g)
{
	AUTO_JSON struct json_object *config = json_object_get(g->config);
	struct json_object *params = json_new();

	g->taken = g->pinned = 0;
	json_add_str(config, "uuid", g->id);
	json_add(params, "config", TAKE_PTR(g->config));
	json_add(params, "kvm", json_add_int(json_new(), "fd", g->kvm));
	json_add(params, "cpuid", json_add_int(json_new(), "fd", g->cpuid));
	json_add(params, "exit_record", json_add_int(json_new(), "fd", g->record));
	json_add(params, "console_tail", json_add_int(json_new(), "fd", g->tail));
	guest_ask(g, "machine.configure", params, &g->fds, g->d->options->step_timeout_ms);
	/* behind it on the same connection: before the first instruction, and nothing waits for it */
	guest_logs_attach(g, config);
	if (g->display.config)
		display_begin(g, &g->display);
}

static void guest_quit(struct guest *g)
{
	if (!g->proc)
		return;
	if (!vmproc_connected(g->proc)) {
		guest_set_timer(g, 0);
		return;
	}
	guest_set_timer(g, GUEST_QUIT_MS);
	guest_ask(g, "machine.quit", NULL, NULL, GUEST_QUIT_MS);
}

/* The process is gone, or never was: nothing of it stays but its row of how it ended, and its log. */
static void guest_clean(struct guest *g)
{
	nets_discard(g->d, &g->fds);
	json_object_put(TAKE_PTR(g->config));
	json_object_put(TAKE_PTR(g->nets));
	json_object_put(TAKE_PTR(g->ports));
	nets_sweep(g->d);
	gather_display_fini(&g->display);
	display_end(g->d, g->id);
	ports_release(g->d, g->id);
	vmproc_child_free(TAKE_PTR(g->child)); /* one that was not wanted any more */
	guest_cgroup_leave(g);
	vmlogs_drain(g->d, g->id);
	if (g->run[0])
		guest_logs_ended(g->d, g->id, g->revision, g->run, g->dir);
	g->run[0] = '\0';
	if (!g->end_unsaved) /* else its last words are still needed */
		vmproc_clean(g->dir);
	if (!g->up)
		log_warn(&g->d->log, "VM '%s' has not started: %s", g->name, g->start_err.msg);
}

unsigned int guest_call_ms(const struct guest *g)
{
	return MIN((unsigned int)GUEST_CALL_MS, g->d->options->step_timeout_ms);
}

static void guest_act_launch(struct guest *g)
{
	g->launched = true;
	guest_ask(g, "machine.start", NULL, NULL, g->d->options->step_timeout_ms);
}

static void guest_act_pause(struct guest *g)
{
	guest_ask(g, "machine.pause", NULL, NULL, guest_call_ms(g));
}

static void guest_act_resume(struct guest *g)
{
	/* a VM that was started paused has not been launched yet */
	guest_ask(g, g->launched ? "machine.resume" : "machine.start", NULL, NULL,
		  guest_call_ms(g));
	g->launched = true;
}

static void guest_act_reset(struct guest *g)
{
	guest_ask(g, "machine.reset", NULL, NULL, guest_call_ms(g));
}

static void guest_act_power_button(struct guest *g)
{
	guest_ask(g, "machine.power_button", NULL, NULL, guest_call_ms(g));
}

static void guest_act_wakeup(struct guest *g)
{
	guest_ask(g, "machine.wakeup", NULL, NULL, guest_call_ms(g));
}

static void guest_act_sigkill(struct guest *g)
{
	if (g->proc)
		vmproc_kill(g->proc);
}

/* In this order; the last of them may lead to the next input. */
static const struct {
	enum vm_action action;
	void (*act)(struct guest *g);
} guest_actions[] = {
	{ VM_ACT_CLEAN, guest_clean },	       { VM_ACT_CALL_FAILED, guest_fail_calls },
	{ VM_ACT_OPEN, guest_open },	       { VM_ACT_SPAWN, guest_spawn },
	{ VM_ACT_CONFIGURE, guest_configure }, { VM_ACT_LAUNCH, guest_act_launch },
	{ VM_ACT_PAUSE, guest_act_pause },     { VM_ACT_RESUME, guest_act_resume },
	{ VM_ACT_RESET, guest_act_reset },     { VM_ACT_POWER_BUTTON, guest_act_power_button },
	{ VM_ACT_QUIT, guest_quit },	       { VM_ACT_SIGKILL, guest_act_sigkill },
	{ VM_ACT_RETURN, guest_return },       { VM_ACT_WAKEUP, guest_act_wakeup },
};

void guest_tell_state(struct guest *g, bool ended)
{
	g->since_ms = state_now_ms();
	g->end_unsaved = g->end_unsaved || ended;
	guest_save_soon(g);
	guests_tell_status(g->d);
}

struct vm_step guest_input(struct guest *g, enum vm_input input)
{
	struct vm_step step;
	enum vm_phase was;

	guest_save_first(g);
	was = g->vm.phase;
	step = vm_input(&g->vm, input, uv_now(&g->d->loop));
	if (step.verdict == VM_IGNORE)
		return step;
	guest_hold(g);
	log_debug(&g->d->log, "VM '%s': %s: %s -> %s", g->name, vm_input_name(input),
		  vm_phase_name(was), vm_phase_name(g->vm.phase));
	if (was != g->vm.phase)
		uv_timer_stop(&g->timer);
	if (was != g->vm.phase && g->pool_wait.waits)
		guest_set_timer(g, 0);
	if (g->vm.phase == VM_PHASE_RUNNING || g->vm.phase == VM_PHASE_PAUSED ||
	    g->vm.phase == VM_PHASE_SUSPENDED)
		g->up = true;
	if (was != g->vm.phase)
		guest_ops_progress(g);
	if (step.actions & VM_ACT_CALL_FAILED)
		guest_ops_fail(g);
	if (step.from != step.to || step.actions & VM_ACT_CLEAN)
		guest_tell_state(g, step.actions & VM_ACT_CLEAN);
	for (size_t i = 0; i < ARRAY_SIZE(guest_actions); i++)
		if (step.actions & guest_actions[i].action)
			guest_actions[i].act(g);
	guest_settle(g);
	guest_put(g);
	return step;
}

static void guest_deadline(uv_timer_t *timer)
{
	struct guest *g = container_of(timer, struct guest, timer);

	if (guest_lease_late(g))
		return;
	if (vm_state(&g->vm) == VM_STARTING && g->call_err.code)
		g->start_err = g->call_err; /* the connection had broken, and the process goes on */
	else if (vm_state(&g->vm) == VM_STARTING)
		err_set(&g->start_err, ERR_VMM_PROTOCOL,
			"vmm has not said hello within %.1f s and was ended",
			g->d->options->step_timeout_ms / 1000.0);
	/* only a power button that was not heard has a deadline here: tell those who wait */
	guest_input(g, g->vm.phase == VM_PHASE_STOPPING ? VM_IN_FAILED : VM_IN_DEADLINE);
}

void guest_set_timer(struct guest *g, uint64_t timeout_ms)
{
	uv_timer_start(&g->timer, guest_deadline, timeout_ms, 0);
}
