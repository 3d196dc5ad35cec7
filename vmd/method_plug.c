// SPDX-License-Identifier: MIT
/* Methods vm.attach and vm.detach: devices that come and go while a VM runs. On the loop's thread. */
#include "vmd/methods.h"

#include <errno.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/attach_plan.h"
#include "vmd/daemon.h"
#include "vmd/guest.h"
#include "vmd/guest_plug.h"
#include "vmd/job.h"
#include "vmd/lease.h"

static void plug_fail_at(struct call *call, const struct err *e, const struct schema_error *where)
{
	call_fail(call, e,
		  where->pointer[0] ? json_add_str(json_new(), "path", where->pointer) : NULL);
}

/* A dry run: what would come or go. */
static void plug_dry(struct guest *g, struct call *call, bool attach, struct plug_plan *take_plan)
{
	bool disk = plug_disk(take_plan->config, take_plan->device);
	struct err e;

	if (attach && !strcmp(json_get_str(take_plan->config, "type", ""), "vfio-pci")) {
		attach_plan(g, call, take_plan);
		return;
	}
	if (!attach && lease_goes_alone(g->d, g->id, take_plan->device, &e) < 0) {
		plug_plan_fini(take_plan);
		call_fail(call, &e, NULL);
		return;
	}
	call_reply(call, attach_plan_json(g, take_plan,
					  attach ? "would be attached"
					  : disk ? "would be taken away"
						 : "the guest would be asked for it"));
	plug_plan_fini(take_plan);
}

static void plug_go(struct guest *g, struct call *call, bool attach, struct plug_plan *take_plan)
{
	struct guest_plug_request r = {
		.attach = attach,
		.persist = json_get_bool(call->params, "persist", false),
		.timeout_ms = attach ? -1 : json_get_int(call->params, "timeout_ms", 30000),
	};
	char device[sizeof(take_plan->device)];
	struct json_object *o;
	struct job *job;
	struct err e;

	memcpy(device, take_plan->device, sizeof(device));
	call_actor(call, &r.actor);
	if (guest_plug_begin(g, &r, take_plan, &job, &e) < 0) {
		plug_plan_fini(take_plan);
		call_fail(call, &e, NULL);
		return;
	}
	if (json_get_bool(call->params, "wait", true)) {
		job_wait_add(job, call, -1, false);
		return;
	}
	o = json_add_str(json_add_str(json_new(), "name", g->name), "device", device);
	call_reply(call, json_add_bool(json_add_str(o, "job", job->row.id), "changed", true));
}

/* {"devices": {…}}, {"passthrough": {…}} or {"controller": ID, "disks": {…}}, from what the call has. */
static struct json_object *plug_entry(struct call *call, struct err *e)
{
	static const struct {
		const char *param, *list;
	} kinds[] = { { "device", "devices" },
		      { "passthrough", "passthrough" },
		      { "disk", "disks" } };
	struct json_object *controller = json_get(call->params, "controller"), *o = json_new();
	unsigned int n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct json_object *what = json_get(call->params, kinds[i].param);

		if (what)
			json_add(o, kinds[i].list, json_object_get(what));
		n += what != NULL;
	}
	if (controller)
		json_add(o, "controller", json_object_get(controller));
	if (n == 1 && !controller == !json_get(o, "disks"))
		return o;
	if (n == 1)
		err_set(e, ERR_RPC_PARAMS, "vm.attach: disk and controller go together");
	else
		err_set(e, ERR_RPC_PARAMS,
			"vm.attach: needs device, passthrough or disk, one of them");
	json_object_put(o);
	return NULL;
}

static int plug_plan(struct daemon *d, struct call *call, bool attach, const struct guest *g,
		     const struct state_vm *vm, struct plug_plan *ret, struct schema_error *where,
		     struct err *e)
{
	bool persist = json_get_bool(call->params, "persist", false);
	AUTO_JSON struct json_object *entry = NULL;

	if (!attach)
		return plug_plan_detach(d, vm, g->revision,
					json_get_str(call->params, "device", ""), persist, ret, e);
	entry = plug_entry(call, e);
	return entry ? plug_plan_attach(d, vm, g->revision, entry, persist, ret, where, e)
		     : -EINVAL;
}

static void plug_method(struct daemon *d, struct call *call, bool attach)
{
	struct schema_error where = { 0 };
	struct plug_plan plan = { 0 };
	struct state_vm vm;
	struct guest *g;
	struct err e;

	if (state_vm_find(d->state, json_get_str(call->params, "vm", ""), &vm, &e) < 0) {
		call_fail(call, &e, NULL);
		return;
	}
	g = guest_get(d, &vm);
	if (!g) {
		err_set(&e, ERR_RPC_INTERNAL, "out of memory");
		call_fail(call, &e, NULL);
		return;
	}
	if (guest_plug_check(g, &e) < 0 ||
	    plug_plan(d, call, attach, g, &vm, &plan, &where, &e) < 0) {
		plug_fail_at(call, &e, &where);
	} else if (json_get_bool(call->params, "dry_run", false)) {
		plug_dry(g, call, attach, &plan);
	} else {
		plug_go(g, call, attach, &plan);
	}
	guest_put(g);
}

void method_vm_attach(struct daemon *d, struct call *call)
{
	plug_method(d, call, true);
}

void method_vm_detach(struct daemon *d, struct call *call)
{
	plug_method(d, call, false);
}
