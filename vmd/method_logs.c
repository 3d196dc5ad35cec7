// SPDX-License-Identifier: MIT
/* Methods vm.logs, and vm.wait for a console's text: what VMs said and say. On the loop's thread. */
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/daemon.h"
#include "vmd/guest.h"
#include "vmd/methods.h"
#include "vmd/vmlog_wait.h"

/* The console that the call names, or the first; its id, borrowed from ret_config. NULL with why. */
static const char *logs_console(struct daemon *d, const struct state_vm *vm, const char *wanted,
				struct json_object **ret_config, struct err *e)
{
	const struct guest *g = guest_find(d, vm->id);
	bool off = !g || g->vm.phase == VM_PHASE_OFF;
	AUTO_FREE char *text = NULL;
	const char *id;

	if (state_revision_get(d->state, vm->id, off ? vm->revision : g->revision, NULL, &text, e) <
		    0 ||
	    json_parse(text, strlen(text), ret_config, e) < 0)
		return NULL;
	for (size_t i = 0; (id = guest_console_at(*ret_config, i)); i++)
		if (!wanted || !strcmp(id, wanted))
			return id;
	if (wanted)
		err_set(e, ERR_VM_NO_CONSOLE, "VM '%s' has no console '%s'", vm->name, wanted);
	else
		err_set(e, ERR_VM_NO_CONSOLE, "VM '%s' has no console", vm->name);
	return NULL;
}

/* The log that the call is about, or NULL with why. */
static struct vmlog *logs_find(struct daemon *d, const struct call *call, struct state_vm *ret_vm,
			       struct err *e)
{
	AUTO_JSON struct json_object *config = NULL;
	const char *console = json_get_str(call->params, "console", NULL);
	struct vmlog *l;

	if (state_vm_find(d->state, json_get_str(call->params, "vm", ""), ret_vm, e) < 0)
		return NULL;
	if (json_get_bool(call->params, "monitor", false)) {
		if (console) {
			err_set(e, ERR_RPC_PARAMS, "console and monitor exclude each other");
			return NULL;
		}
		l = vmlog_get(d, ret_vm->id, VMLOG_MONITOR, NULL);
	} else {
		console = logs_console(d, ret_vm, console, &config, e);
		if (!console)
			return NULL;
		l = vmlog_get(d, ret_vm->id, VMLOG_CONSOLE, console);
	}
	if (!l)
		err_set(e, ERR_RPC_INTERNAL, "out of memory");
	return l;
}

void method_vm_logs(struct daemon *d, struct call *call)
{
	const char *since = json_get_str(call->params, "since", NULL);
	struct vmlog_read_options o = {
		.after = (uint64_t)json_get_int(call->params, "after", 0),
		.since_ms = -1,
		.last = json_get_int(call->params, "last", -1),
		.timeout_ms = json_get_int(call->params, "timeout_ms", 0),
	};
	struct state_vm vm;
	struct vmlog *l;
	struct err e;

	if (since && !logrec_time_parse(since, &o.since_ms)) {
		err_set(&e, ERR_RPC_PARAMS, "since: '%s' is no time", since);
		err_hint(&e, "RFC 3339 in UTC, as 2026-01-31T12:00:00Z");
		call_fail(call, &e, NULL);
		return;
	}
	l = logs_find(d, call, &vm, &e);
	if (l)
		vmlog_wait_read(l, call, &o);
	else
		call_fail(call, &e, NULL);
}

void method_logs_wait(struct daemon *d, struct call *call)
{
	const char *regex = json_get_str(call->params, "regex", NULL);
	struct state_vm vm;
	struct vmlog *l = NULL;
	struct err e;

	if (!regex)
		err_set(&e, ERR_RPC_PARAMS, "vm.wait: for a console, a regex is needed");
	else if (vmlog_match_check(regex, &e) >= 0)
		l = logs_find(d, call, &vm, &e);
	if (l)
		vmlog_wait_match(l, call, vm.name, regex,
				 json_get_int(call->params, "timeout_ms", -1));
	else
		call_fail(call, &e, NULL);
}
