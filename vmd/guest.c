// SPDX-License-Identifier: MIT
/*
 * A VM that does something: see guest.h. Each of vmproc's and gather's callbacks becomes an input of the
 * state machine; guest_act does what comes out. On the loop's thread.
 */
#include "vmd/guest.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/vmdef.h"
#include "vmd/cage.h"
#include "vmd/event.h"
#include "vmd/guest_cgroup.h"
#include "vmd/guest_plug.h"
#include "vmd/guest_signal.h"
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

/* What was asked has no answer, and the process lives: it may just be ending, which says more. */
static void guest_give_up_soon(struct guest *g, const struct err *why)
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
		err_wrap(&g->start_err, "firmware '%s'", g->kernel);
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
	if (gather->ret < 0) {
		guest_failed(g, &gather->err);
	} else {
		g->config = TAKE_PTR(gather->config);
		g->nets = TAKE_PTR(gather->nets);
		g->ports = TAKE_PTR(gather->ports);
		g->child = TAKE_PTR(gather->child);
		g->fds = gather->fds;
		gather->fds.n = 0;
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
	struct gather_process process = { &g->d->cgroups, g->cgroup, &program, &g->d->cpuid,
					  ports_lock(g->d) };
	struct state_vm vm;
	struct err e;

	if (state_vm_get(g->d->state, g->id, &vm, &e) < 0 ||
	    nets_reserve(g->d, &vm, g->config, false, &e) < 0 ||
	    ports_reserve(g->d, &vm, g->config, &e) < 0 ||
	    nvram_reserve(g->d, &vm, g->config, &e) < 0) {
		guest_failed(g, &e);
		return;
	}
	cage_program(g->d, &program);
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
	int64_t uid;
	struct err e;
	int ret = cage_uid(g->d, &uid, &g->start_err);

	if (ret >= 0)
		ret = vmproc_spawn(&options, TAKE_PTR(g->child), uid, guest_record, &g->proc,
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

static void guest_tell_state(struct guest *g, bool ended)
{
	struct err e;

	g->since_ms = state_now_ms();
	g->end_unsaved = g->end_unsaved || ended;
	guest_save(g, &e);
	guests_tell_status(g->d);
}

struct vm_step guest_input(struct guest *g, enum vm_input input)
{
	enum vm_phase was = g->vm.phase;
	struct vm_step step = vm_input(&g->vm, input, uv_now(&g->d->loop));

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

/* --- what vmproc tells --- */

/* It does something else than we have seen it do last. */
static void guest_correct(struct guest *g, enum vm_phase phase)
{
	g->vm.phase = phase;
	g->vm.since_ms = uv_now(&g->d->loop);
	guest_ops_progress(g);
	guest_tell_state(g, false);
}

/*
 * hello over a new connection: it knows what the VM does. A call that was lost with the old one has
 * succeeded when its effect is there.
 */
static void guest_catch_up(struct guest *g, enum vm_phase does)
{
	bool paused = does == VM_PHASE_PAUSED, suspended = does == VM_PHASE_SUSPENDED;
	enum vm_phase phase = g->vm.phase;

	g->up = true;
	g->vm.asleep = suspended;
	if (phase == VM_PHASE_STOPPING || phase == VM_PHASE_QUITTING || phase == VM_PHASE_KILLED)
		return;
	if ((phase == VM_PHASE_PAUSING && paused) || (phase == VM_PHASE_RESUMING && !paused) ||
	    (phase == VM_PHASE_WAKING && !suspended))
		guest_input(g, VM_IN_DONE);
	else if (vm_operation(&g->vm))
		guest_input(g, VM_IN_FAILED); /* call_err says why */
	if (g->vm.phase != does)
		guest_correct(g, does);
}

/* One that was not up was being started by the vmd that died: undone. */
static void guest_undo_start(struct guest *g)
{
	err_set(&g->start_err, ERR_CANCELLED, "vmd ended during its start");
	g->up = false;
	guest_correct(g, VM_PHASE_KILLED);
	vmproc_kill(g->proc);
}

static void guest_heard(struct guest *g, const char *state)
{
	bool created = !strcmp(state, "created");
	bool paused = !strcmp(state, "paused") || (created && (!g->found || g->vm.start_paused));
	bool found = g->found;
	struct err e;

	log_info(&g->d->log, "VM '%s' %s: process %d, %s", g->name,
		 found ? "found again" : "answers again", (int)vmproc_pid(g->proc), state);
	g->found = false;
	g->launched = !created;
	if (found && !paused && (created || !strcmp(state, "empty")))
		guest_undo_start(g);
	else if (paused || !strcmp(state, "running"))
		guest_catch_up(g, paused ? VM_PHASE_PAUSED : VM_PHASE_RUNNING);
	else if (!strcmp(state, "suspended"))
		guest_catch_up(g, VM_PHASE_SUSPENDED);
	guest_save(g, &e);
	if (found && g->up)
		guest_logs_adopt(g);
	guest_plugs_hello(g);
	guest_settle(g);
}

static void guest_proc_hello(void *arg, const char *state)
{
	struct guest *g = arg;

	guest_hold(g);
	g->lost = false;
	if (vm_state(&g->vm) == VM_STARTING) {
		timeline_mark(&g->timeline, TIMELINE_HELLO);
		guest_input(g, VM_IN_HELLO);
	} else {
		guest_heard(g, state);
	}
	guest_put(g);
}

/*
 * How far a configure is that takes much memory, or pins it for devices. It has its time anew as long as it gets
 * further, which is a hundred times at the most for each.
 */
static void guest_memory_progress(struct guest *g, unsigned int *done, const char *message)
{
	unsigned int percent;

	if (g->vm.phase != VM_PHASE_CONFIGURING ||
	    sscanf(message, "guest memory %3u%%", &percent) != 1 || percent <= *done ||
	    percent > 100)
		return;
	*done = percent;
	vmproc_prolong(g->proc);
	guest_ops_progress(g);
}

#define GUEST_DISK_ERROR_MS 900 /* a monitor says it each second at most */

/* What a monitor says of its disks. A VM is paused as if somebody had asked for it. */
static void guest_disk_error(struct guest *g, const char *message, bool stopped)
{
	uint64_t now = uv_now(&g->d->loop);
	struct json_object *data;
	char text[256];

	if (g->disk_error_ms && now - g->disk_error_ms < GUEST_DISK_ERROR_MS)
		return;
	g->disk_error_ms = now;
	snprintf(text, sizeof(text), "%s", message);
	log_warn(&g->d->log, "VM '%s': %s%s", g->name, text, stopped ? "; it is paused" : "");
	data = json_add_str(json_add_str(json_new(), "name", g->name), "message", text);
	event_emit(g->d->events, "vm.disk_error", g->id, json_add_bool(data, "stopped", stopped));
	if (stopped && vm_state(&g->vm) == VM_RUNNING)
		guest_input(g, VM_IN_PAUSE);
}

#define GUEST_WATCHDOG_MS 900 /* likewise */

/* A watchdog of the guest has timed out: "watchdog0 pause". What else is done the monitor does itself. */
static void guest_watchdog(struct guest *g, const char *message)
{
	static const char *const actions[] = { "reset", "pause", "stop", "event" };
	uint64_t now = uv_now(&g->d->loop);
	char device[64], action[16];
	struct json_object *data;
	bool known = false;

	if (sscanf(message, "%63s %15s", device, action) != 2 || !vmdef_name_valid(device) ||
	    (g->watchdog_ms && now - g->watchdog_ms < GUEST_WATCHDOG_MS))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		known = known || !strcmp(action, actions[i]);
	if (!known)
		return;
	g->watchdog_ms = now;
	log_warn(&g->d->log, "VM '%s': watchdog '%s' has timed out: %s", g->name, device, action);
	data = json_add_str(json_add_str(json_new(), "name", g->name), "device", device);
	event_emit(g->d->events, "vm.watchdog", g->id, json_add_str(data, "action", action));
	if (!strcmp(action, "pause") && vm_state(&g->vm) == VM_RUNNING)
		guest_input(g, VM_IN_PAUSE);
}

#define GUEST_PANIC_MS 900 /* likewise */
#define GUEST_PANIC_LINES 100
#define GUEST_PANIC_LINE 200

/* A line that is cut may end within a character. */
static void guest_ascii(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text == 0x7f)
			*text = '?';
}

/* The guest's kernel has panicked; what becomes of the VM for it is told by its state. */
static void guest_proc_panic(void *arg, bool handled, const char *console)
{
	struct guest *g = arg;
	uint64_t now = uv_now(&g->d->loop);
	struct json_object *data, *lines;

	if (g->panic_ms && now - g->panic_ms < GUEST_PANIC_MS)
		return;
	g->panic_ms = now;
	log_warn(&g->d->log, "VM '%s': its kernel has panicked%s", g->name,
		 handled ? ", and looks after that" : "");
	lines = json_object_new_array();
	for (size_t i = 0; i < GUEST_PANIC_LINES && *console; i++) {
		size_t len = strcspn(console, "\n");
		char line[GUEST_PANIC_LINE + 1];

		snprintf(line, sizeof(line), "%.*s", (int)MIN(len, sizeof(line) - 1), console);
		guest_ascii(line);
		json_object_array_add(lines, json_object_new_string(line));
		console += len + (console[len] == '\n');
	}
	data = json_add_bool(json_add_str(json_new(), "name", g->name), "handled", handled);
	event_emit(g->d->events, "vm.panic", g->id, json_add(data, "console", lines));
}

#define GUEST_BALLOON_MS 900 /* likewise */

/* What a monitor says of its balloon: bytes that the guest has, and shall have. */
static void guest_balloon(struct guest *g, const char *message)
{
	uint64_t now = uv_now(&g->d->loop);
	long long actual, target;
	struct json_object *data;

	if (sscanf(message, "%15lld of %15lld bytes", &actual, &target) != 2 || actual < 0 ||
	    target < 0 || (g->balloon_ms && now - g->balloon_ms < GUEST_BALLOON_MS))
		return;
	g->balloon_ms = now;
	data = json_add_int(json_add_str(json_new(), "name", g->name), "actual", actual);
	event_emit(g->d->events, "vm.balloon", g->id, json_add_int(data, "target", target));
}

static void guest_proc_event(void *arg, const char *type, const char *message)
{
	struct guest *g = arg;

	if (!strcmp(type, "populating")) {
		guest_memory_progress(g, &g->taken, message);
		return;
	}
	if (!strcmp(type, "pinning")) {
		guest_memory_progress(g, &g->pinned, message);
		return;
	}
	guest_hold(g);
	if (guest_signal(g, type, message)) {
		guest_put(g);
		return;
	}
	guest_put(g);
	if (!strcmp(type, "disk-error") || !strcmp(type, "disk-stopped")) {
		guest_disk_error(g, message, !strcmp(type, "disk-stopped"));
		return;
	}
	if (!strcmp(type, "balloon")) {
		guest_balloon(g, message);
		return;
	}
	if (!strcmp(type, "watchdog")) {
		guest_watchdog(g, message);
		return;
	}
	log_info(&g->d->log, "VM '%s': %s%s%s", g->name, type, message[0] ? ": " : "", message);
	if (!strcmp(type, "suspended"))
		guest_input(g, VM_IN_SLEPT);
	if (!strcmp(type, "awake"))
		guest_input(g, VM_IN_AWOKE);
	if (!strcmp(type, "device"))
		nets_heard(g->d, g->id, g->name, message);
	if (!strcmp(type, "reset"))
		event_emit(g->d->events, "vm.reset", g->id,
			   json_add_str(json_new(), "name", g->name));
}

/* The connection ends a moment before the process does: wait for that, it says more. */
static void guest_proc_lost(void *arg, const struct err *why)
{
	struct guest *g = arg;

	if (vm_state(&g->vm) == VM_STOPPING)
		log_debug(&g->d->log, "VM '%s': %s", g->name, why->msg);
	else
		log_limited(&g->d->log, &g->lost_limit, "VM '%s': %s", g->name, why->msg);
	g->lost = true;
	/* found, and was not up when its vmd died: nobody was told that it runs, and it does not say so either */
	if (g->found && !g->up) {
		g->found = false;
		guest_undo_start(g);
	}
	/* a guest that was asked to stop is given its time: the connection is made again */
	if (g->vm.phase != VM_PHASE_STOPPING)
		guest_give_up_soon(g, why);
}

static void guest_explain_start(struct guest *g, const struct state_exit *exit)
{
	char tail[300];

	vmlogs_drain(g->d, g->id);
	vmlogs_monitor_tail(g->d, g->id, tail, sizeof(tail));
	if (!strcmp(exit->reason, "died")) {
		err_set(&g->start_err, ERR_VMM_DIED, "%s during its start", exit->message);
		if (tail[0])
			err_add_cause(&g->start_err, "its log ends: %s", tail);
		if (exit->code == SIGSYS)
			err_hint(&g->start_err, "the kernel's log (type=1326) has its number; "
						"vmd --seccomp=log lets it pass");
	} else {
		err_set(&g->start_err, ERR_VMM_DIED, "%s", exit->message);
		err_because(&g->start_err, "vmm ended during its start (%s)", exit->reason);
	}
}

static void guest_proc_removed(void *arg, const char *device)
{
	struct guest *g = arg;

	guest_hold(g);
	guest_plug_removed(g, device);
	guest_put(g);
}

static void guest_proc_gone(void *arg, const struct state_exit *exit)
{
	struct guest *g = arg;

	guest_hold(g);
	g->proc = NULL;
	guest_plugs_gone(g);
	guest_signals_forget(g, NULL);
	guest_keep_pidfd(g);
	g->found = false;
	g->exit = *exit;
	guest_cgroup_explain(g, &g->exit);
	exit = &g->exit;
	g->has_exit = g->up;
	if (!g->up && !g->start_err.code)
		guest_explain_start(g, exit);
	if (!strcmp(exit->reason, "died") && exit->code == SIGSYS)
		log_error(&g->d->log,
			  "VM '%s': the kernel's log (type=1326) has the number of the system call",
			  g->name);
	log_info(&g->d->log, "VM '%s': its process ended: %s (%lld) %s", g->name, exit->reason,
		 (long long)exit->code, exit->message);
	guest_input(g, VM_IN_GONE);
	guest_put(g);
}

static void guest_proc_timeline(void *arg, struct json_object *said)
{
	struct guest *g = arg;

	timeline_take(&g->timeline, said);
}

const struct vmproc_ops guest_proc_ops = {
	.hello = guest_proc_hello,
	.event = guest_proc_event,
	.panic = guest_proc_panic,
	.removed = guest_proc_removed,
	.timeline = guest_proc_timeline,
	.lost = guest_proc_lost,
	.gone = guest_proc_gone,
};
