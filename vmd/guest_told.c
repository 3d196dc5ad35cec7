// SPDX-License-Identifier: MIT
/* What a VM's process tells, by vmproc: see guest.h. It becomes inputs of the state machine, and events. On the loop's thread. */
#include "vmd/guest.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/errcat.h"
#include "vmd/event.h"
#include "vmd/guest_cgroup.h"
#include "vmd/guest_plug.h"
#include "vmd/guest_signal.h"
#include "vmd/nets.h"
#include "vmd/vmlog.h"

/* It does something else than we have seen it do last. */
static void guest_correct(struct guest *g, enum vm_phase phase)
{
	guest_save_first(g);
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
	g->lost = g->ends = false;
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

/* Is it the reason of a monitor's end? A reset is only told as one, too. */
static bool guest_is_end(const char *type)
{
	return strcmp(type, "reset") != 0 && vmproc_known_reason(type);
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
	g->ends = guest_is_end(type);
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

	if (g->ends || vm_state(&g->vm) == VM_STOPPING)
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
