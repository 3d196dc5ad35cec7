// SPDX-License-Identifier: MIT
/* Methods vm.history, diff, export: the revisions of a definition. On the loop's thread. */
#include "vmd/methods.h"

#include <stdio.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/vmdef.h"
#include "vmd/daemon.h"
#include "vmd/diff.h"
#include "vmd/history.h"

static int history_find(struct daemon *d, struct call *call, struct state_vm *ret_vm, struct err *e)
{
	return state_vm_find(d->state, json_get_str(call->params, "vm", ""), ret_vm, e);
}

void method_vm_history(struct daemon *d, struct call *call)
{
	int64_t before = json_get_int(call->params, "before", INT64_MAX);
	int64_t limit = json_get_int(call->params, "limit", 50);
	struct json_object *list, *o;
	struct state_vm vm;
	struct err e;
	bool more;

	if (history_find(d, call, &vm, &e) < 0 ||
	    history_list(d->state, &vm, before, limit, &list, &more, &e) < 0) {
		call_fail(call, &e, NULL);
		return;
	}
	o = json_add_str(json_add_str(json_new(), "id", vm.id), "name", vm.name);
	json_add_int(o, "revision", vm.revision);
	call_reply(call, json_add_bool(json_add(o, "revisions", list), "more", more));
}

void method_vm_export(struct daemon *d, struct call *call)
{
	struct json_object *definition, *o;
	struct state_vm vm;
	struct err e;
	int64_t number;

	if (history_find(d, call, &vm, &e) < 0) {
		call_fail(call, &e, NULL);
		return;
	}
	number = json_get_int(call->params, "revision", vm.revision);
	if (history_load(d->state, &vm, number, &definition, &e) < 0) {
		call_fail(call, &e, NULL);
		return;
	}
	o = json_add_str(json_add_str(json_new(), "id", vm.id), "name", vm.name);
	json_add_int(o, "revision", number);
	call_reply(call, json_add(o, "definition", definition));
}

/* A comparison on its way: `to` is a definition, or a revision of a VM; `from` is a revision of it. */
struct history_diff {
	struct state_vm vm;
	bool exists;
	int64_t from, to;		    /* revisions; to 0: a definition */
	struct json_object *before, *after; /* owned */
};

/* The VM that a definition is for. It need not exist: everything is new then. */
static int history_diff_of(struct daemon *d, struct history_diff *h, struct json_object *definition,
			   struct schema_error *where, struct err *e)
{
	const char *name = json_get_str(definition, "name", "");
	int ret = vmdef_check(definition, where, e);

	if (ret < 0)
		return ret;
	ret = state_vm_find(d->state, name, &h->vm, e);
	/* an id or its prefix is no name: that VM is another one */
	h->exists = ret >= 0 && !strcmp(h->vm.name, name);
	if (ret < 0 && ret != -ERR_VM_NOT_FOUND)
		return ret;
	h->after = json_object_get(definition);
	if (h->exists)
		return 0;
	h->vm = (struct state_vm){ 0 };
	snprintf(h->vm.name, sizeof(h->vm.name), "%s", name);
	h->before = json_new();
	return 0;
}

static int history_diff_load(struct daemon *d, struct call *call, struct history_diff *h,
			     struct schema_error *where, struct err *e)
{
	struct json_object *definition = json_get(call->params, "definition");
	bool vm = json_get(call->params, "vm"), revision = json_get(call->params, "revision");
	int ret;

	if (vm == !!definition || (definition && revision))
		return err_set(
			e, ERR_RPC_PARAMS,
			"vm.diff: either 'definition', or 'vm' with 'revision' or 'against'");
	if (definition) {
		ret = history_diff_of(d, h, definition, where, e);
	} else {
		ret = history_find(d, call, &h->vm, e);
		h->exists = true;
	}
	if (ret < 0)
		return ret;
	if (!h->exists)
		return 0;
	h->from = json_get_int(call->params, "against", h->vm.revision);
	ret = history_load(d->state, &h->vm, h->from, &h->before, e);
	if (ret < 0 || definition)
		return ret;
	h->to = json_get_int(call->params, "revision", h->vm.revision);
	return history_load(d->state, &h->vm, h->to, &h->after, e);
}

void method_vm_diff(struct daemon *d, struct call *call)
{
	struct history_diff h = { 0 };
	struct schema_error where = { 0 };
	struct json_object *o;
	struct err e;

	if (history_diff_load(d, call, &h, &where, &e) < 0) {
		call_fail(call, &e,
			  e.code == ERR_INVALID ? json_add_str(json_new(), "path", where.pointer)
						: NULL);
	} else {
		o = json_add_bool(json_add_str(json_new(), "name", h.vm.name), "exists", h.exists);
		if (h.from)
			json_add_int(o, "against", h.from);
		if (h.to)
			json_add_int(o, "revision", h.to);
		call_reply(call, json_add(o, "changes", diff_changes(h.before, h.after)));
	}
	json_object_put(h.before);
	json_object_put(h.after);
}
