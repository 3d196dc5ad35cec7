// SPDX-License-Identifier: MIT
/* Methods vm.validate, apply, revert, get, delete: definitions. On the loop's thread. */
#include "vmd/methods.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/vmdef.h"
#include "vmd/daemon.h"
#include "vmd/diff.h"
#include "vmd/event.h"
#include "vmd/guest.h"
#include "vmd/guest_plug.h"
#include "vmd/history.h"
#include "vmd/host.h"
#include "vmd/lease.h"
#include "vmd/nets.h"
#include "vmd/nvram.h"
#include "vmd/ports.h"
#include "vmd/turn.h"
#include "vmd/vm_row.h"
#include "vmd/vmlog.h"

#define VM_DELETED_MAX 16384 /* bytes of a definition that the event of its deletion keeps */

static void vm_fail_at(struct call *call, const struct err *e, const struct schema_error *where)
{
	call_fail(call, e,
		  e->code == ERR_INVALID ? json_add_str(json_new(), "path", where->pointer) : NULL);
}

/*
 * What will not work on this host as it is now, though the definition is right. Which files there are is
 * for administrators to know: vmd sees more than others do.
 */
static struct json_object *vm_warnings(struct daemon *d, struct json_object *config, bool files_too)
{
	struct json_object *list = json_object_new_array();
	const char *name = json_get_str(config, "name", "");
	int64_t vcpus = json_get_int(config, "vcpus", 1);
	struct vmdef_file files[VMDEF_FILES_MAX];
	int n = files_too ? vmdef_files(config, files, NULL) : 0;
	struct cgroup_limits limits;
	struct host_kvm kvm;
	unsigned int cpus;
	struct err e;
	AUTO_CLOSE int fd = host_kvm_open(&d->hostfs, &kvm, &e);

	if (fd < 0)
		json_object_array_add(list, json_object_new_string(e.msg));
	if (host_check_limits(&d->hostfs, fd < 0 ? NULL : &kvm, config, name, &e) < 0)
		json_object_array_add(list, json_object_new_string(e.msg));
	cgroup_limits(config, &limits);
	if (cgroup_check(&d->cgroups, &limits, name, &e) < 0)
		json_object_array_add(list, json_object_new_string(e.msg));
	if (host_cpus(&d->hostfs, &cpus, NULL) >= 0 && vcpus > cpus) {
		err_set(&e, ERR_CPUS, "VM '%s' has %lld vCPUs, the host has %u CPUs", name,
			(long long)vcpus, cpus);
		json_object_array_add(list, json_object_new_string(e.msg));
	}
	for (int i = 0; i < n; i++) {
		/* stat and no open: a definition may well be older than its disks */
		if (access(files[i].path, R_OK) == 0)
			continue;
		err_set(&e, ERR_FILE, "%s '%.300s': %s", files[i].what, files[i].path,
			strerror(errno));
		json_object_array_add(list, json_object_new_string(e.msg));
	}
	return list;
}

void method_vm_validate(struct daemon *d, struct call *call)
{
	struct json_object *definition = json_get(call->params, "definition"), *o;
	AUTO_JSON struct json_object *config = NULL;
	struct schema_error where = { 0 };
	struct err e;

	if (vmdef_check_in(d->schemas, definition, &where, &e) < 0 ||
	    vmdef_expand_in(d->schemas, definition, NULL, &config, &e) < 0) {
		vm_fail_at(call, &e, &where);
		return;
	}
	o = json_add_bool(json_new(), "valid", true);
	json_add_str(o, "name", json_get_str(definition, "name", ""));
	call_reply(call, json_add(o, "warnings", vm_warnings(d, config, !call->actor.confined)));
}

/* An apply on its way. */
struct vm_apply {
	struct daemon *d;
	struct call *call;
	struct json_object *definition;			  /* the call's, or that of `to` */
	int64_t to;					  /* the revision to go back to, or 0 */
	struct json_object *before, *old_config, *config; /* owned */
	struct json_object *changes;			  /* owned */
	struct json_object *loaded; /* owned: the definition, where it is not the call's */
	struct state_vm vm, written;
	bool exists;
	const char *origin; /* the call's; NULL: it stays what it is */
	const char *result;
	struct turn_write write;
};

static void vm_apply_free(struct vm_apply *a)
{
	json_object_put(a->loaded);
	json_object_put(a->before);
	json_object_put(a->old_config);
	json_object_put(a->config);
	json_object_put(a->changes);
	free(a);
}

static int vm_apply_load(struct vm_apply *a, struct err *e)
{
	AUTO_FREE char *definition = NULL, *config = NULL;
	int ret = state_vm_find(a->d->state, a->vm.name, &a->vm, NULL);

	/* an id or its prefix is no name: that VM is another one */
	a->exists = ret >= 0 && !strcmp(a->vm.name, json_get_str(a->definition, "name", ""));
	if (ret < 0 && ret != -ERR_VM_NOT_FOUND)
		return state_vm_find(a->d->state, a->vm.name, &a->vm, e);
	if (!a->exists)
		return 0;
	ret = state_revision_get(a->d->state, a->vm.id, a->vm.revision, &definition, &config, e);
	if (ret >= 0)
		ret = json_parse(definition, strlen(definition), &a->before, e);
	if (ret >= 0)
		ret = json_parse(config, strlen(config), &a->old_config, e);
	return ret;
}

static int vm_apply_check_revision(const struct vm_apply *a, struct err *e)
{
	int64_t want = json_get_int(a->call->params, "if_revision", -1);

	if (want < 0)
		return 0;
	if (!want && a->exists)
		return err_set(e, ERR_VM_EXISTS, "VM '%s' exists already", a->vm.name);
	if (want && !a->exists)
		return err_set(e, ERR_VM_REVISION,
			       "VM '%s' does not exist, revision %lld was expected", a->vm.name,
			       (long long)want);
	if (want && want != a->vm.revision)
		return err_set(e, ERR_VM_REVISION, "VM '%s' is at revision %lld, not %lld",
			       a->vm.name, (long long)a->vm.revision, (long long)want);
	return 0;
}

static int vm_apply_write(struct turn_write *w, struct err *e)
{
	struct vm_apply *a = container_of(w, struct vm_apply, write);
	const char *definition =
		json_object_to_json_string_ext(a->definition, JSON_C_TO_STRING_PLAIN);
	const char *config = json_object_to_json_string_ext(a->config, JSON_C_TO_STRING_PLAIN);
	struct state *s = a->d->state;
	struct json_object *data;
	struct state_actor actor;
	int ret;

	a->written = a->vm;
	call_actor(a->call, &actor);
	if (a->to)
		snprintf(actor.note, sizeof(actor.note), "revert to %lld", (long long)a->to);
	ret = a->exists ? state_vm_update(s, &a->written, definition, config, &actor, e)
			: state_vm_insert(s, &a->written, definition, config, &actor, e);
	if (ret >= 0 && a->origin)
		ret = state_vm_set_origin(s, a->written.id, a->origin, e);
	if (ret < 0)
		return ret;
	data = json_add_str(json_new(), "name", a->written.name);
	json_add_int(data, "revision", a->written.revision);
	return event_add(a->d->events, a->exists ? "vm.updated" : "vm.created", a->written.id, data,
			 e);
}

static void vm_apply_columns(struct vm_apply *a)
{
	snprintf(a->vm.profile, sizeof(a->vm.profile), "%s",
		 json_get_str(a->config, "profile", ""));
	a->vm.vcpus = json_get_int(a->config, "vcpus", 1);
	a->vm.memory = json_get_int(json_get(a->config, "memory"), "size", 0);
}

/* Its definition stays, and is in a file of another folder now: no revision, and nothing that is told. */
static int vm_apply_move(const struct vm_apply *a, bool dry_run, struct err *e)
{
	if (dry_run || !a->origin)
		return 0;
	return state_vm_set_origin(a->d->state, a->vm.id, a->origin, e);
}

/* 0: the answer can be given; 1: once it is written. */
static int vm_apply(struct vm_apply *a, struct schema_error *where, struct err *e)
{
	bool dry_run = json_get_bool(a->call->params, "dry_run", false);
	int ret = vmdef_check_in(a->d->schemas, a->definition, where, e);

	if (ret < 0)
		return ret;
	snprintf(a->vm.name, sizeof(a->vm.name), "%s", json_get_str(a->definition, "name", ""));
	ret = vm_apply_load(a, e);
	if (ret >= 0)
		ret = vm_apply_check_revision(a, e);
	if (ret >= 0)
		ret = vmdef_expand_in(a->d->schemas, a->definition, a->old_config, &a->config, e);
	if (ret < 0)
		return ret;
	a->changes = a->exists ? diff_pointers(a->before, a->definition) : json_object_new_array();
	a->result = a->exists ? "updated" : "created";
	if (!a->exists) {
		a->vm = (struct state_vm){ .revision = 0 };
		snprintf(a->vm.name, sizeof(a->vm.name), "%s",
			 json_get_str(a->definition, "name", ""));
		if (!dry_run)
			state_uuid(a->vm.id);
	} else if (!json_object_array_length(a->changes)) {
		a->result = "unchanged";
		return vm_apply_move(a, dry_run, e);
	}
	vm_apply_columns(a);
	if (!dry_run)
		return 1;
	a->vm.revision++;
	return 0;
}

static void vm_apply_reply(struct vm_apply *a)
{
	struct guest *g = a->vm.id[0] ? guest_find(a->d, a->vm.id) : NULL;
	struct json_object *o = json_new();

	if (a->vm.id[0])
		json_add_str(o, "id", a->vm.id);
	json_add_str(o, "name", a->vm.name);
	json_add_int(o, "revision", a->vm.revision);
	json_add_str(o, "result", a->result);
	json_add(o, "changes", TAKE_PTR(a->changes));
	json_add_bool(o, "restart_required",
		      g && g->vm.phase != VM_PHASE_OFF && g->revision != a->vm.revision);
	call_reply(a->call, o);
}

static void vm_apply_done(struct turn_write *w, const struct err *why)
{
	struct vm_apply *a = container_of(w, struct vm_apply, write);

	if (why) {
		call_fail(a->call, why, NULL);
	} else {
		a->vm = a->written;
		vm_apply_reply(a);
	}
	vm_apply_free(a);
}

static const struct turn_ops vm_apply_ops = { .write = vm_apply_write, .done = vm_apply_done };

static struct vm_apply *vm_apply_new(struct daemon *d, struct call *call)
{
	struct vm_apply *a = calloc(1, sizeof(*a));
	struct err e;

	if (!a) {
		err_set(&e, ERR_RPC_INTERNAL, "out of memory");
		call_fail(call, &e, NULL);
		return NULL;
	}
	a->d = d;
	a->call = call;
	return a;
}

/* ret is vm_apply's. */
static void vm_apply_go_on(struct vm_apply *a, int ret, const struct schema_error *where,
			   const struct err *e)
{
	if (ret > 0) {
		a->write = (struct turn_write){
			.ops = &vm_apply_ops, .call = a->call, .id = a->vm.id, .name = a->vm.name
		};
		turn_add(a->d->turn, &a->write);
		return;
	}
	if (ret < 0)
		vm_fail_at(a->call, e, where);
	else
		vm_apply_reply(a);
	vm_apply_free(a);
}

void method_vm_apply(struct daemon *d, struct call *call)
{
	struct vm_apply *a = vm_apply_new(d, call);
	struct schema_error where = { 0 };
	struct err e;

	if (!a)
		return;
	a->definition = json_get(call->params, "definition");
	a->origin = json_get_str(call->params, "origin", NULL);
	vm_apply_go_on(a, vm_apply(a, &where, &e), &where, &e);
}

/* The definition of an old revision becomes the newest, checked as any other: the rules may have changed. */
static int vm_revert(struct vm_apply *a, struct schema_error *where, struct err *e)
{
	struct state_vm vm;
	int ret = state_vm_find(a->d->state, json_get_str(a->call->params, "vm", ""), &vm, e);

	if (ret >= 0)
		ret = history_load(a->d->state, &vm, a->to, &a->loaded, e);
	if (ret < 0)
		return ret;
	a->definition = a->loaded;
	ret = vm_apply(a, where, e);
	if (ret == -ERR_INVALID)
		err_because(e, "revision %lld of VM '%s' is not valid any more", (long long)a->to,
			    vm.name);
	return ret;
}

void method_vm_revert(struct daemon *d, struct call *call)
{
	struct vm_apply *a = vm_apply_new(d, call);
	struct schema_error where = { 0 };
	struct err e;

	if (!a)
		return;
	a->to = json_get_int(call->params, "to", 0);
	vm_apply_go_on(a, vm_revert(a, &where, &e), &where, &e);
}

static struct json_object *vm_consoles(struct json_object *config)
{
	struct json_object *list = json_object_new_array();
	const char *id;

	for (size_t i = 0; (id = guest_console_at(config, i)); i++)
		json_object_array_add(list, json_object_new_string(id));
	return list;
}

static int vm_load(struct daemon *d, const struct state_vm *vm, struct json_object **ret_definition,
		   struct json_object **ret_config, struct err *e)
{
	AUTO_FREE char *definition = NULL, *config = NULL;
	int ret = state_revision_get(d->state, vm->id, vm->revision, &definition, &config, e);

	if (ret >= 0)
		ret = json_parse(definition, strlen(definition), ret_definition, e);
	if (ret >= 0)
		ret = json_parse(config, strlen(config), ret_config, e);
	return ret;
}

static void vm_add_leases(struct daemon *d, const char *id, struct json_object *o)
{
	struct json_object *list = lease_list(d, id);

	if (json_object_array_length(list))
		json_add(o, "leases", list);
	else
		json_object_put(list);
}

/* How the devices of one that runs differ from those of its revision. */
static void vm_add_attachments(struct daemon *d, const char *id, struct json_object *o)
{
	struct json_object *list = guest_plugs_json(d, id);

	if (json_object_array_length(list))
		json_add(o, "attachments", list);
	else
		json_object_put(list);
}

static void vm_add_networks(struct daemon *d, const char *id, struct json_object *o)
{
	struct json_object *list = nets_json(d, id);

	if (json_object_array_length(list))
		json_add(o, "networks", list);
	else
		json_object_put(list);
}

static void vm_add_ports(struct daemon *d, const char *id, struct json_object *o)
{
	struct json_object *list = ports_json(d, id);

	if (json_object_array_length(list))
		json_add(o, "ports", list);
	else
		json_object_put(list);
}

void method_vm_get(struct daemon *d, struct call *call)
{
	AUTO_JSON struct json_object *definition = NULL, *config = NULL;
	char created[EVENT_TIME_SIZE], updated[EVENT_TIME_SIZE];
	AUTO_FREE char *origin = NULL;
	struct json_object *o;
	struct state_vm vm;
	struct err e;

	if (state_vm_find(d->state, json_get_str(call->params, "vm", ""), &vm, &e) < 0 ||
	    vm_load(d, &vm, &definition, &config, &e) < 0 ||
	    state_vm_origin(d->state, vm.id, &origin, &e) < 0) {
		call_fail(call, &e, NULL);
		return;
	}
	o = vm_row(d, &vm);
	event_time(vm.created_ms, created);
	event_time(vm.updated_ms, updated);
	json_add_str(o, "created", created);
	json_add_str(o, "updated", updated);
	json_add(o, "consoles", vm_consoles(config));
	if (origin)
		json_add_str(o, "origin", origin);
	vm_add_leases(d, vm.id, o);
	vm_add_attachments(d, vm.id, o);
	vm_add_networks(d, vm.id, o);
	vm_add_ports(d, vm.id, o);
	json_add(o, "definition", TAKE_PTR(definition));
	call_reply(call, json_add(o, "config", TAKE_PTR(config)));
}

/* A VM's revisions go with it: what it was last stays in the event, for who deletes the wrong one. */
static void vm_keep_definition(struct daemon *d, const struct state_vm *vm,
			       struct json_object *data)
{
	AUTO_JSON struct json_object *definition = NULL;

	if (history_load(d->state, vm, vm->revision, &definition, NULL) >= 0 &&
	    strlen(json_object_to_json_string_ext(definition, JSON_C_TO_STRING_PLAIN)) <=
		    VM_DELETED_MAX)
		json_add(data, "definition", TAKE_PTR(definition));
}

/* A deletion on its way. */
struct vm_delete {
	struct daemon *d;
	struct call *call;
	struct state_vm vm;
	bool keep_nvram, loses_nvram;
	struct turn_write write;
};

static int vm_delete_write(struct turn_write *w, struct err *e)
{
	const struct vm_delete *del = container_of(w, struct vm_delete, write);
	struct json_object *data = json_add_str(json_new(), "name", del->vm.name);
	int ret;

	vm_keep_definition(del->d, &del->vm, data);
	ret = state_nvram_end(del->d->state, &del->vm, del->keep_nvram, e);
	if (ret >= 0)
		ret = state_vm_delete(del->d->state, del->vm.id, e);
	if (ret < 0) {
		json_object_put(data);
		return ret;
	}
	return event_add(del->d->events, "vm.deleted", del->vm.id, data, e);
}

static int vm_may_delete(struct daemon *d, const struct state_vm *vm, struct err *e)
{
	struct guest *g = guest_find(d, vm->id);

	if (!g || g->vm.phase == VM_PHASE_OFF)
		return 0;
	err_set(e, ERR_VM_STATE, "VM '%s' is %s", vm->name, vm_state_name(vm_state(&g->vm)));
	return err_hint(e, "stop it first: vmctl stop %s", vm->name);
}

static void vm_add_removed(struct json_object *list, const char *fmt, long long n)
{
	char text[64];

	snprintf(text, sizeof(text), "%lld %s%s", n, fmt, n == 1 ? "" : "s");
	json_object_array_add(list, json_object_new_string(text));
}

/* Before it is gone: whether it has variables of UEFI, and they are to go as well. */
static bool vm_loses_nvram(struct daemon *d, struct call *call, const struct state_vm *vm)
{
	int64_t id;

	return !json_get_bool(call->params, "keep_nvram", false) &&
	       state_nvram_of(d->state, vm->id, &id, NULL) > 0;
}

static void vm_delete_reply(struct call *call, const struct state_vm *vm, bool nvram)
{
	struct json_object *removed = json_object_new_array();

	json_object_array_add(removed, json_object_new_string("definition"));
	vm_add_removed(removed, "revision", (long long)vm->revision);
	json_object_array_add(removed, json_object_new_string("logs"));
	if (nvram)
		json_object_array_add(removed, json_object_new_string("variables"));
	call_reply(call, json_add(json_add_str(json_new(), "name", vm->name), "removed", removed));
}

static void vm_delete_done(struct turn_write *w, const struct err *why)
{
	struct vm_delete *del = container_of(w, struct vm_delete, write);
	struct guest *g = guest_find(del->d, del->vm.id);
	char dir[256];

	if (why) {
		call_fail(del->call, why, NULL);
		free(del);
		return;
	}
	guest_dir(del->d, del->vm.id, dir, sizeof(dir));
	vmproc_clean(dir);
	vmlogs_delete(del->d, del->vm.id);
	if (g) { /* somebody waits for a state that never comes */
		guest_hold(g);
		guest_deleted(g);
		guest_put(g);
	}
	nvram_sweep(del->d);
	vm_delete_reply(del->call, &del->vm, del->loses_nvram);
	free(del);
}

static const struct turn_ops vm_delete_ops = { .write = vm_delete_write, .done = vm_delete_done };

static int vm_delete(struct daemon *d, struct call *call, const struct state_vm *vm, struct err *e)
{
	struct vm_delete *del = calloc(1, sizeof(*del));

	if (!del)
		return err_set(e, ERR_RPC_INTERNAL, "out of memory");
	*del = (struct vm_delete){ .d = d,
				   .call = call,
				   .vm = *vm,
				   .keep_nvram = json_get_bool(call->params, "keep_nvram", false),
				   .loses_nvram = vm_loses_nvram(d, call, vm) };
	del->write = (struct turn_write){
		.ops = &vm_delete_ops, .call = call, .id = del->vm.id, .name = del->vm.name
	};
	turn_add(d->turn, &del->write);
	return 0;
}

void method_vm_delete(struct daemon *d, struct call *call)
{
	bool dry_run = json_get_bool(call->params, "dry_run", false);
	struct state_vm vm;
	struct err e;

	if (state_vm_find(d->state, json_get_str(call->params, "vm", ""), &vm, &e) < 0 ||
	    vm_may_delete(d, &vm, &e) < 0 || (!dry_run && vm_delete(d, call, &vm, &e) < 0))
		call_fail(call, &e, NULL);
	else if (dry_run)
		vm_delete_reply(call, &vm, vm_loses_nvram(d, call, &vm));
}
