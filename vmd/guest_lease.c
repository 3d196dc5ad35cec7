// SPDX-License-Identifier: MIT
/*
 * Devices of the host that a VM has: taken before its files are opened, in use from the moment that its process is
 * written down, given back once that is gone: see guest.h and lease.h. On the loop's thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "lib/errcat.h"
#include "vmd/guest.h"
#include "vmd/guest_plug.h"
#include "vmd/lease.h"

static void guest_leased(void *arg, struct lease_take *t, const struct err *why)
{
	struct guest *g = arg;

	guest_hold(g);
	g->leasing = false;
	if (why) {
		guest_failed(g, why);
	} else if (g->vm.phase != VM_PHASE_OPENING) {
		guest_input(g, VM_IN_FAILED); /* not wanted any more */
	} else {
		timeline_mark(&g->timeline, TIMELINE_DEVICES);
		lease_take_fill(t, g->config);
		guest_ops_progress(g);
		guest_gather(g);
	}
	guest_put(g);
}

/* The first pool of the configuration that is being made just now, or NULL. */
static const char *guest_unmade_pool(const struct guest *g)
{
	struct json_object *devices = json_get(g->config, "devices");
	size_t count = devices ? json_object_array_length(devices) : 0;

	for (size_t i = 0; i < count; i++) {
		struct json_object *device = json_object_array_get_idx(devices, i);
		const char *pool = json_get_str(device, "pool", "");

		if (!strcmp(json_get_str(device, "type", ""), "vfio-pci") && pool[0] &&
		    pool_pending(g->d, pool))
			return pool;
	}
	return NULL;
}

static void guest_pool_made(void *arg)
{
	struct guest *g = arg;
	struct state_vm vm;
	struct err e;
	int ret;

	guest_hold(g);
	uv_timer_stop(&g->timer);
	ret = state_vm_get(g->d->state, g->id, &vm, &e);
	if (g->vm.phase != VM_PHASE_OPENING)
		guest_input(g, VM_IN_FAILED); /* not wanted any more */
	else if (ret < 0 || (ret = guest_lease(g, &vm, &e)) < 0)
		guest_failed(g, &e);
	else if (!ret)
		guest_gather(g);
	guest_put(g);
}

bool guest_lease_late(struct guest *g)
{
	struct err e;

	if (!g->pool_wait.waits)
		return false;
	guest_hold(g);
	pool_wait_late(g->d, &g->pool_wait, &e);
	if (g->vm.phase == VM_PHASE_OPENING)
		guest_failed(g, &e);
	else
		guest_input(g, VM_IN_FAILED); /* not wanted any more */
	guest_put(g);
	return true;
}

int guest_lease(struct guest *g, const struct state_vm *vm, struct err *e)
{
	const char *pool = guest_unmade_pool(g), *advice;
	int ret;

	if (pool) {
		pool_wait(g->d, &g->pool_wait, pool, guest_pool_made, g);
		guest_set_timer(g, POOL_WAIT_STEPS * (uint64_t)g->d->options->step_timeout_ms);
		guest_ops_progress(g);
		return 1;
	}
	ret = lease_take(g->d, vm, g->config, false, guest_leased, g, e);

	g->leasing = ret > 0;
	g->vm.devices = g->vm.devices || ret > 0;
	if (ret > 0)
		guest_ops_progress(g);
	advice = ret > 0 ? lease_memory_advice(json_get(g->config, "memory")) : NULL;
	if (advice)
		log_info(&g->d->log, "VM '%s': all of its memory is pinned for devices; %s",
			 g->name, advice);
	return ret;
}

static void guest_returned(void *arg)
{
	struct guest *g = arg;

	guest_hold(g);
	guest_input(g, VM_IN_DONE);
	guest_put(g);
}

void guest_return(struct guest *g)
{
	/* never two who give back the same device */
	g->return_waits = guest_plugs_leasing(g);
	if (g->return_waits)
		return;
	lease_release(g->d, g->id, guest_returned, g);
}

/* vmm pins the guest's memory itself, and sets its limit (--memlock) no higher than it finds it. */
int guest_raise_memlock(struct guest *g, struct err *e)
{
	struct rlimit limit, want = { .rlim_cur = g->memlock, .rlim_max = g->memlock };
	pid_t pid = vmproc_pid(g->proc);

	if (!g->memlock || !g->d->hostfs.host) /* nothing is pinned on a host that does not exist */
		return 0;
	if (prlimit(pid, RLIMIT_MEMLOCK, NULL, &limit) < 0)
		return err_errno(e, "cannot see how much memory vmm may lock");
	if (limit.rlim_cur >= want.rlim_cur)
		return 0;
	want.rlim_max = MAX(want.rlim_max, limit.rlim_max);
	if (!prlimit(pid, RLIMIT_MEMLOCK, &want, NULL))
		return 0;
	err_set(e, ERR_LEASE_MEMLOCK,
		"VM '%s' has to lock %llu MiB of memory for its devices, and vmd may lock %llu MiB",
		g->name, (unsigned long long)g->memlock >> 20,
		(unsigned long long)limit.rlim_max >> 20);
	return err_hint(e, "LimitMEMLOCK=infinity in vmd's unit (systemctl edit vmd), or run it as "
			   "root");
}

/* --- what a vmd before this one has left --------------------------------------------------------------- */

struct guest_lessees {
	struct daemon *d;
	char (*vms)[STATE_ID_SIZE]; /* owned */
	size_t n;
};

static int guest_add_lessee(void *arg, const struct state_lease *lease)
{
	struct guest_lessees *l = arg;
	struct guest *g = guest_find(l->d, lease->vm);
	char(*vms)[STATE_ID_SIZE];

	if (lease->state == STATE_LEASE_QUARANTINED || (g && g->vm.devices))
		return 0;
	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->vms[i], lease->vm))
			return 0;
	vms = realloc(l->vms, (l->n + 1) * sizeof(*vms));
	if (!vms)
		return -ENOMEM;
	l->vms = vms;
	memcpy(vms[l->n++], lease->vm, STATE_ID_SIZE);
	return 0;
}

/* The VM was deleted all the same: its devices go back, and nobody waits for that. */
static void guest_lease_orphan(void *arg)
{
	(void)arg;
}

static void guest_adopt_leases_of(struct daemon *d, const char *id)
{
	struct state_vm vm;
	struct guest *g;

	if (state_vm_get(d->state, id, &vm, NULL) < 0) {
		lease_release(d, id, guest_lease_orphan, NULL);
		return;
	}
	g = guest_get(d, &vm);
	if (!g)
		return;
	g->vm.devices = true;
	if (g->vm.phase == VM_PHASE_OFF) {
		g->vm.phase = VM_PHASE_RETURNING;
		guest_return(g);
	}
	guest_put(g);
}

void guest_leases_adopt(struct daemon *d)
{
	struct guest_lessees l = { .d = d };
	struct err e = { 0 };

	lease_forget_boot(d);
	if (state_lease_list(d->state, NULL, guest_add_lessee, &l, &e) < 0)
		log_error(&d->log, "cannot look for devices of VMs: %s", e.msg);
	for (size_t i = 0; i < l.n; i++)
		guest_adopt_leases_of(d, l.vms[i]);
	free(l.vms);
}
