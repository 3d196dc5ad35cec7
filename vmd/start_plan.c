// SPDX-License-Identifier: MIT
/*
 * What a start would do: the devices that it would take with each step and its undo (lease.h), then the files, which
 * are opened and closed (gather.h). On the loop's thread.
 */
#include "vmd/start_plan.h"

#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/call.h"
#include "vmd/daemon.h"
#include "vmd/gather.h"
#include "vmd/guest.h"
#include "vmd/lease.h"
#include "vmd/nets.h"

struct start_plan {
	struct daemon *d;
	struct call *call;
	struct state_vm vm;
	struct json_object *config;  /* owned, until the files are opened */
	struct json_object *devices; /* owned; NULL: it has none of the host */
};

static void start_plan_free(struct start_plan *p)
{
	json_object_put(p->config);
	json_object_put(p->devices);
	free(p);
}

static void start_plan_fail(struct start_plan *p, const struct err *why)
{
	call_fail(p->call, why, NULL);
	start_plan_free(p);
}

/* Of which node of the host it is, and what that has for it: NULL when the definition does not say. */
static struct json_object *start_plan_memory(const struct gather *gather)
{
	struct json_object *o, *memory = json_get(gather->config, "memory");
	bool strict = !strcmp(json_get_str(memory, "policy", ""), "strict");

	if (!json_get(memory, "node"))
		return NULL;
	o = json_add_int(json_new(), "size", json_get_int(memory, "size", 0));
	json_add_int(o, "node", json_get_int(memory, "node", 0));
	json_add_str(o, "policy", strict ? "strict" : "prefer");
	if (strict && gather->room <= INT64_MAX)
		json_add_int(o, "room", (int64_t)gather->room);
	return o;
}

/* NULL: there is nothing to be said. */
static struct json_object *start_plan_json(struct start_plan *p, const struct gather *gather)
{
	struct json_object *config = json_get(gather->config, "memory"), *o;
	struct json_object *memory = start_plan_memory(gather);
	const char *advice = p->devices ? lease_memory_advice(config) : NULL;

	if (!p->devices && !memory)
		return NULL;
	o = json_add_int(json_new(), "pinned", p->devices ? json_get_int(config, "size", 0) : 0);
	json_add(o, "devices", p->devices ? TAKE_PTR(p->devices) : json_object_new_array());
	if (advice)
		json_add_str(o, "advice", advice);
	if (memory)
		json_add(o, "memory", memory);
	return json_add_int(o, "memlock", (int64_t)gather->memlock);
}

static void start_plan_gathered(struct gather *gather)
{
	struct start_plan *p = gather->arg;
	struct json_object *o, *plan;

	guests_blame(p->d, gather);
	if (gather->ret < 0) {
		start_plan_fail(p, &gather->err);
		gather_free(gather);
		return;
	}
	o = json_add_str(json_new(), "name", gather->name);
	json_add_str(json_add_str(o, "state", "stopped"), "note", "would start");
	json_add_bool(o, "changed", false);
	plan = start_plan_json(p, gather);
	if (plan)
		json_add(o, "plan", plan);
	call_reply(p->call, o);
	gather_free(gather);
	start_plan_free(p);
}

static void start_plan_gather(struct start_plan *p)
{
	struct gather_process process = { .cgroups = &p->d->cgroups,
					  .cgroup = "",
					  .before_fd = -1 };
	struct err e;

	if (gather_start(&p->d->loop, &p->d->hostfs, &p->vm, "", TAKE_PTR(p->config), &process,
			 start_plan_gathered, p))
		return;
	err_set(&e, ERR_RPC_INTERNAL, "out of memory");
	start_plan_fail(p, &e);
}

static void start_plan_leased(void *arg, struct lease_take *t, const struct err *why)
{
	struct start_plan *p = arg;

	if (why) {
		start_plan_fail(p, why);
		return;
	}
	p->devices = lease_take_plan(t);
	lease_take_fill(t, p->config);
	start_plan_gather(p);
}

static int start_plan_begin(struct start_plan *p, struct err *e)
{
	AUTO_FREE char *text = NULL;
	int ret = state_revision_get(p->d->state, p->vm.id, p->vm.revision, NULL, &text, e);

	if (ret >= 0)
		ret = json_parse(text, strlen(text), &p->config, e);
	if (ret >= 0)
		ret = nets_reserve(p->d, &p->vm, p->config, true, e);
	return ret < 0 ? ret : lease_take(p->d, &p->vm, p->config, true, start_plan_leased, p, e);
}

void start_plan(struct daemon *d, struct call *call, const struct state_vm *vm)
{
	struct start_plan *p = calloc(1, sizeof(*p));
	struct err e;
	int ret;

	if (!p) {
		err_set(&e, ERR_RPC_INTERNAL, "out of memory");
		call_fail(call, &e, NULL);
		return;
	}
	p->d = d;
	p->call = call;
	p->vm = *vm;
	ret = start_plan_begin(p, &e);
	if (ret < 0)
		start_plan_fail(p, &e);
	else if (!ret)
		start_plan_gather(p);
}
