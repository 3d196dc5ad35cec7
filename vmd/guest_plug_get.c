// SPDX-License-Identifier: MIT
/* A device that is attached: how it is got, from its pool to the descriptors for vmm. See guest_plug.h. On the loop's thread. */
#include "vmd/guest_plug_priv.h"

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/lease.h"
#include "vmd/nets.h"

static void plug_fail(struct guest_plug *p, const struct err *why)
{
	plug_note_why(p, why);
	plug_release(p);
}

bool plug_can(const struct guest *g)
{
	return g->proc && g->up && !vmproc_gone(g->proc);
}

static void plug_gathered(struct gather *gather)
{
	struct guest_plug *p = gather->arg;
	struct guest *g = p->g;
	struct err e;
	int r = gather->ret;

	guest_hold(g);
	guests_blame(g->d, gather);
	e = gather->err;
	p->gather = NULL;
	if (plug_called(p) && p->outcome == PLUG_OPEN && plug_can(g)) {
		g->memlock = MAX(g->memlock, gather->memlock);
		if (r >= 0)
			r = guest_raise_memlock(g, &e);
		if (r >= 0 && plug_of_host(p))
			r = lease_in_use(g->d, g->id, &e);
		if (r >= 0)
			r = nets_store(g->d, g->id, gather->nets, &e);
		if (r < 0)
			plug_fail(p, &e);
		else
			plug_add(p,
				 json_object_array_get_idx(json_get(gather->config, "devices"), 0),
				 &gather->fds);
	}
	nets_discard(g->d, &gather->fds);
	gather_free(gather);
	nets_gathered(g->d);
	guest_put(g);
}

static int plug_add_held(void *arg, const struct state_lease *lease)
{
	struct json_object *list = arg;

	if (lease->state == STATE_LEASE_IN_USE)
		json_object_array_add(list, json_object_new_string(lease->address));
	return 0;
}

void plug_gather(struct guest_plug *p)
{
	struct json_object *config = plug_plan_config(&p->plan), *held = json_object_new_array();
	struct guest *g = p->g;
	struct state_vm vm;
	struct err e;
	int r = state_lease_list(g->d->state, g->id, plug_add_held, held, &e);

	json_add(config, "held", held);
	if (r >= 0)
		r = state_vm_get(g->d->state, g->id, &vm, &e);
	if (r >= 0)
		r = nets_reserve(g->d, &vm, config, false, &e);
	if (r < 0) {
		json_object_put(config);
		plug_fail(p, &e);
		return;
	}
	plug_progress(p, "files");
	p->gather = gather_more(&g->d->loop, &g->d->hostfs, &vm, config, plug_gathered, p);
	p->calls += p->gather != NULL;
	if (p->gather) {
		nets_gather_begins(g->d);
		return;
	}
	err_set(&e, ERR_FAILED, "cannot open the files of device '%s': out of memory",
		p->plan.device);
	plug_fail(p, &e);
}

/* lease_take_fill writes the address into a configuration: that of this device alone. */
static void plug_fill(struct guest_plug *p, const struct lease_take *t)
{
	AUTO_JSON struct json_object *one = plug_plan_config(&p->plan);

	lease_take_fill(t, one);
	json_object_put(p->plan.config);
	p->plan.config = json_object_get(json_object_array_get_idx(json_get(one, "devices"), 0));
}

static void plug_leased(void *arg, struct lease_take *t, const struct err *why)
{
	struct guest_plug *p = arg;
	struct guest *g = p->g;
	struct err e;

	guest_hold(g);
	if (!why)
		plug_fill(p, t);
	plug_leased_end(p);
	if (!p->dropped && !plug_can(g)) { /* what was taken goes back with the VM's others */
		err_set(&e, ERR_VM_STATE, "VM '%s' stopped meanwhile", g->name);
		plug_note_why(p, &e);
		plug_finish(p, PLUG_FAILED);
	} else if (!p->dropped && why) {
		plug_fail(p, why);
	} else if (!p->dropped) {
		plug_gather(p);
	}
	guest_put(g);
}

static void plug_pool_made(void *arg)
{
	struct guest_plug *p = arg;
	struct guest *g = p->g;

	guest_hold(g);
	uv_timer_stop(&p->limit);
	plug_lease(p);
	guest_put(g);
}

static void plug_pool_late(uv_timer_t *timer)
{
	struct guest_plug *p = timer->data;
	struct guest *g = p->g;
	struct err e;

	guest_hold(g);
	pool_wait_late(g->d, &p->pool, &e);
	plug_fail(p, &e);
	guest_put(g);
}

/* Its pool is being made just now: as with a start. */
static bool plug_wait_for_pool(struct guest_plug *p)
{
	const char *pool = json_get_str(p->plan.config, "pool", "");
	struct daemon *d = p->g->d;

	if (!pool[0] || !pool_pending(d, pool))
		return false;
	pool_wait(d, &p->pool, pool, plug_pool_made, p);
	uv_timer_start(&p->limit, plug_pool_late,
		       POOL_WAIT_STEPS * (uint64_t)d->options->step_timeout_ms, 0);
	plug_progress(p, "waiting for VF pool");
	return true;
}

static void plug_take(struct guest_plug *p)
{
	AUTO_JSON struct json_object *one = plug_plan_config(&p->plan);
	struct guest *g = p->g;
	struct state_vm vm;
	struct err e;
	int r = state_vm_get(g->d->state, g->id, &vm, &e);

	if (r >= 0)
		r = lease_take(g->d, &vm, one, false, plug_leased, p, &e);
	p->leasing = r > 0;
	g->vm.devices = g->vm.devices || r > 0;
	if (r > 0)
		plug_progress(p, "devices");
	else if (r < 0)
		plug_fail(p, &e);
	else
		plug_gather(p);
}

void plug_lease(struct guest_plug *p)
{
	if (!plug_wait_for_pool(p))
		plug_take(p);
}
