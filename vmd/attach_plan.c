// SPDX-License-Identifier: MIT
/* See attach_plan.h: the lease's dry run (lease.h), which looks at the host and changes nothing. On the loop's thread. */
#include "vmd/attach_plan.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/call.h"
#include "vmd/daemon.h"
#include "vmd/guest.h"
#include "vmd/lease.h"

struct attach_plan {
	struct call *call;
	struct json_object *config; /* owned: of the device alone */
	struct json_object *result; /* owned */
	int64_t memory;
};

struct json_object *attach_plan_json(const struct guest *g, const struct plug_plan *plan,
				     const char *note)
{
	struct json_object *o = json_add_str(json_new(), "name", g->name);

	json_add_str(o, "device", plan->device);
	plug_tell(o, plan->config, plan->device);
	json_add_str(o, "note", note);
	return json_add_bool(o, "changed", false);
}

static void attach_plan_free(struct attach_plan *p)
{
	json_object_put(p->config);
	json_object_put(p->result);
	free(p);
}

static void attach_plan_leased(void *arg, struct lease_take *t, const struct err *why)
{
	struct attach_plan *p = arg;
	struct json_object *plan;

	if (why) {
		call_fail(p->call, why, NULL);
		attach_plan_free(p);
		return;
	}
	lease_take_fill(t, p->config);
	json_add_str(p->result, "pci",
		     json_get_str(json_object_array_get_idx(json_get(p->config, "devices"), 0),
				  "pci", ""));
	plan = json_add(json_new(), "devices", lease_take_plan(t));
	json_add(p->result, "plan", json_add_int(plan, "pinned", p->memory));
	call_reply(p->call, TAKE_PTR(p->result));
	attach_plan_free(p);
}

static int attach_plan_begin(struct attach_plan *p, const struct guest *g, struct err *e)
{
	struct state_vm vm;
	int r = state_vm_get(g->d->state, g->id, &vm, e);

	return r < 0 ? r : lease_take(g->d, &vm, p->config, true, attach_plan_leased, p, e);
}

void attach_plan(struct guest *g, struct call *call, struct plug_plan *take_plan)
{
	struct attach_plan *p = calloc(1, sizeof(*p));
	struct err e;
	int r;

	if (!p) {
		err_set(&e, ERR_RPC_INTERNAL, "out of memory");
		call_fail(call, &e, NULL);
		plug_plan_fini(take_plan);
		return;
	}
	p->call = call;
	p->memory = take_plan->memory;
	p->config = plug_plan_config(take_plan);
	p->result = attach_plan_json(g, take_plan, "would be attached");
	plug_plan_fini(take_plan);
	r = attach_plan_begin(p, g, &e);
	if (r > 0)
		return;
	if (r < 0)
		call_fail(call, &e, NULL);
	else
		call_reply(call, TAKE_PTR(p->result));
	attach_plan_free(p);
}
