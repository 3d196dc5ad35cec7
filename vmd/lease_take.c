// SPDX-License-Identifier: MIT
/*
 * A start's devices, from what the machine configuration wants to vfio-pci:
 *
 *	survey (worker)   the inventory
 *	reserve           rows of the database, lease_reserve.c
 *	check (worker)    may each be given away? is a MAC in use by the host?
 *	look (helper)     what the VFs' settings are, those of other VFs too where a MAC is asked for
 *	run (helper)      the plan of each, by the journal; a dry run ends before
 *
 * On the loop's thread, but for the workers' functions.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/event.h"
#include "vmd/lease_priv.h"
#include "vmd/pci_policy.h"
#include "vmd/pci_use.h"

void lease_take_free(struct lease_take *t)
{
	struct lease_take **link = &t->set->takes;

	while (*link != t)
		link = &(*link)->next;
	*link = t->next;
	json_object_put(t->step);
	lease_wants_fini(&t->wants);
	pci_inventory_fini(&t->inventory);
	free(t->marks);
	free(t);
}

static void lease_take_end(struct lease_take *t, const struct err *why)
{
	t->done(t->arg, t, why);
	lease_take_free(t);
}

static struct lease_want *lease_take_want(struct lease_take *t)
{
	return &t->wants.list[t->at];
}

/* --- workers ---------------------------------------------------------------------------------------- */

static void lease_take_work(struct lease_take *t, uv_work_cb work, uv_after_work_cb after)
{
	struct err e;
	int ret = uv_queue_work(&t->set->d->loop, &t->work, work, after);

	t->working = ret >= 0;
	if (ret >= 0)
		return;
	err_ret(&e, ret, "cannot look at the host's devices");
	lease_take_end(t, &e);
}

/* False: t has ended. */
static bool lease_take_worked(struct lease_take *t, int status)
{
	t->working = false;
	if (status < 0)
		t->ret = err_ret(&t->err, status, "cannot look at the host's devices");
	if (t->set->closing)
		lease_take_free(t);
	else if (t->ret < 0)
		lease_take_end(t, &t->err);
	else
		return true;
	return false;
}

static void lease_take_survey(uv_work_t *work)
{
	struct lease_take *t = container_of(work, struct lease_take, work);

	t->ret = pci_inventory_read(&t->set->d->hostfs, &t->inventory, &t->err);
	if (t->ret < 0)
		return;
	host_numa_read(&t->set->d->hostfs, &t->numa);
	t->marks = calloc(t->inventory.n + 1, 1);
	if (!t->marks)
		t->ret = err_ret(&t->err, -ENOMEM, "cannot look at the host's devices");
	for (size_t i = 0; t->marks && i < t->wants.n; i++)
		if (t->wants.list[i].pool)
			pool_look(&t->set->d->hostfs, &t->inventory, t->wants.list[i].pool,
				  t->marks, NULL);
}

/* --- may it be given away? ------------------------------------------------------------------------------ */

static bool lease_take_wants(const struct lease_take *t, const struct pci_function *f)
{
	char address[PCI_ADDR_SIZE];

	pci_addr_format(&f->addr, address);
	for (size_t i = 0; i < t->wants.n; i++)
		if (!strcmp(t->wants.list[i].lease.address, address))
			return true;
	return false;
}

/* Its VFs have no link then, and with some drivers do not come up in the guest at all. */
static int lease_check_pf(const struct lease_take *t, const struct lease_want *want, struct err *e)
{
	const struct pci_function *pf = &want->pf;
	char address[PCI_ADDR_SIZE];

	if (!want->f.is_vf || !pci_link_is_down(&t->set->d->hostfs, pf))
		return 0;
	err_set(e, ERR_POOL_DOWN, "PF %s (%s) of VF %s is down", pf->netdevs[0],
		pci_addr_format(&pf->addr, address), want->lease.address);
	return err_hint(e, "ip link set %s up", pf->netdevs[0]);
}

/* Of its group, what this start takes too is not in the way. */
static int lease_check_one(const struct lease_take *t, const struct lease_want *want, struct err *e)
{
	const struct daemon *d = t->set->d;
	struct pci_addr others[LEASE_WANTS_MAX];
	int ret;

	for (size_t i = 0; i < t->wants.n; i++)
		others[i] = t->wants.list[i].f.addr;
	ret = pci_policy_check(d->policy, &d->hostfs, &t->inventory, &want->f, others, t->wants.n,
			       e);
	return ret < 0 ? ret : lease_check_pf(t, want, e);
}

static bool lease_take_gives_mac(const struct lease_take *t)
{
	size_t i = 0;

	while (i < t->wants.n && !t->wants.list[i].lease.mac[0])
		i++;
	return i < t->wants.n;
}

struct lease_net {
	const struct lease_take *t;
	struct err *e;
};

static int lease_check_interface(void *arg, const char *name)
{
	const struct lease_net *net = arg;
	char path[128], mac[32];

	snprintf(path, sizeof(path), "sys/class/net/%s/address", name);
	if (hostfs_read(&net->t->set->d->hostfs, path, mac, sizeof(mac), NULL) < 0)
		return 0; /* it has gone */
	for (size_t i = 0; i < net->t->wants.n; i++)
		if (!strcasecmp(net->t->wants.list[i].lease.mac, mac)) {
			err_set(net->e, ERR_LEASE_MAC,
				"MAC address %s is that of the host's interface %s", mac, name);
			return err_hint(net->e, "give the VM another");
		}
	return 0;
}

static void lease_take_check(uv_work_t *work)
{
	struct lease_take *t = container_of(work, struct lease_take, work);
	struct lease_net net = { t, &t->err };

	for (size_t i = 0; i < t->wants.n && t->ret >= 0; i++)
		t->ret = lease_check_one(t, &t->wants.list[i], &t->err);
	if (t->ret >= 0 && lease_take_gives_mac(t))
		t->ret = hostfs_each(&t->set->d->hostfs, "sys/class/net", lease_check_interface,
				     &net, NULL);
	if (t->ret == -ENOENT)
		t->ret = 0; /* a host without a network */
}

/* --- the plans of all, one after the other ------------------------------------------------------------ */

static void lease_take_next(struct lease_take *t);

static int lease_take_stored(void *arg, size_t n, struct err *e)
{
	struct lease_take *t = arg;
	struct lease_want *want = lease_take_want(t);
	struct json_object *step = json_object_array_get_idx(want->steps, n);
	enum state_lease_state to = lease_state_after(json_get(step, "action"), want->lease.state);
	struct json_object *data;
	int ret = 0;

	if (to != want->lease.state)
		ret = state_lease_set(t->set->d->state, want->lease.generation, to, e);
	want->lease.state = to;
	if (ret < 0 || n + 1 < json_object_array_length(want->steps))
		return ret;
	data = json_add_str(json_new(), "name", t->name);
	json_add_str(json_add_str(data, "pci", want->lease.address), "device", want->lease.device);
	json_add_int(data, "generation", want->lease.generation);
	return event_add(t->set->d->events, "device.leased", t->vm, data, e);
}

static void lease_take_ran(void *arg, const struct err *why)
{
	struct lease_take *t = arg;
	struct err e;

	if (why) {
		event_drop(t->set->d->events);
		e = *why;
		err_because(&e, "VM '%s' does not get device %s", t->name,
			    lease_take_want(t)->lease.address);
		lease_take_end(t, &e);
		return;
	}
	event_flush(t->set->d->events);
	t->at++;
	lease_take_next(t);
}

static void lease_take_next(struct lease_take *t)
{
	static const struct journal_ops ops = { lease_take_ran, lease_take_stored };
	char owner[JOURNAL_OWNER_SIZE];
	struct err e;

	if (t->dry || t->at == t->wants.n) {
		lease_take_end(t, NULL);
		return;
	}
	lease_owner(&lease_take_want(t)->lease, owner);
	if (journal_run(t->set->journal, owner, lease_take_want(t)->steps, &ops, t, &e) < 0)
		lease_take_end(t, &e);
}

static void lease_take_plans(struct lease_take *t)
{
	for (size_t i = 0; i < t->wants.n; i++) {
		struct lease_want *want = &t->wants.list[i];

		want->resets_with_bus = lease_resets_with_bus(&t->wants, want, &t->inventory);
		lease_plan(want);
	}
	t->at = 0;
	lease_take_next(t);
}

/* --- settings of VFs ---------------------------------------------------------------------------------- */

static void lease_take_look(struct lease_take *t);

/* vf below 0: the step is about all of them. */
static void lease_take_ask(struct lease_take *t, const char *op, const struct pci_addr *pf, int vf,
			   void (*done)(void *arg, struct json_object *result,
					const struct err *why))
{
	char address[PCI_ADDR_SIZE];

	json_object_put(t->step);
	t->step = json_add_str(json_new(), "op", op);
	json_add_str(t->step, "pf", pci_addr_format(pf, address));
	if (vf >= 0)
		json_add_int(t->step, "vf", vf);
	hostio_do(t->set->d->hostio, t->step, done, t);
}

static void lease_take_scan(struct lease_take *t);

/* One that this start takes has it of the VM that had it before, at most. */
static bool lease_take_mac_is_anothers(const struct lease_take *t, const struct pci_function *pf,
				       unsigned int vf, const char *mac, struct err *e)
{
	const struct pci_function *f;
	char address[PCI_ADDR_SIZE];

	for (size_t i = 0; mac && mac[0] && i < t->wants.n; i++) {
		if (strcasecmp(t->wants.list[i].lease.mac, mac) != 0)
			continue;
		f = pci_inventory_vf(&t->inventory, pf, vf);
		if (!f || lease_take_wants(t, f))
			return false;
		err_set(e, ERR_LEASE_MAC, "MAC address %s is that of VF %s", mac,
			pci_addr_format(&f->addr, address));
		err_hint(e,
			 "give the VM another; if it was left behind there: ip link set %s vf %u "
			 "mac "
			 "00:00:00:00:00:00",
			 pf->netdevs[0], vf);
		return true;
	}
	return false;
}

/* What cannot be read of others' VFs is no reason against this one. */
static void lease_take_scanned(void *arg, struct json_object *result, const struct err *why)
{
	struct lease_take *t = arg;
	const struct pci_function *pf = &t->inventory.functions[t->scan_at++];
	struct json_object *macs = why ? NULL : json_get(result, "macs");
	struct err e;

	for (size_t i = 0; macs && i < json_object_array_length(macs); i++) {
		const char *mac = json_object_get_string(json_object_array_get_idx(macs, i));

		if (!lease_take_mac_is_anothers(t, pf, (unsigned int)i, mac, &e))
			continue;
		lease_take_end(t, &e);
		return;
	}
	lease_take_scan(t);
}

static void lease_take_scan(struct lease_take *t)
{
	for (; t->scan_at < t->inventory.n; t->scan_at++) {
		const struct pci_function *f = &t->inventory.functions[t->scan_at];

		if (!f->is_pf || !f->num_vfs || !f->n_netdevs)
			continue;
		lease_take_ask(t, "vf-macs", &f->addr, -1, lease_take_scanned);
		return;
	}
	lease_take_plans(t);
}

static void lease_take_looked(void *arg, struct json_object *result, const struct err *why)
{
	struct lease_take *t = arg;
	struct lease_want *want = lease_take_want(t);
	struct err e;

	if (why) {
		e = *why;
		err_because(&e, "the settings of VF %s cannot be read", want->lease.address);
		lease_take_end(t, &e);
		return;
	}
	want->before = json_object_get(result);
	t->at++;
	lease_take_look(t);
}

static void lease_take_look(struct lease_take *t)
{
	struct err e;

	for (; t->at < t->wants.n; t->at++) {
		struct lease_want *want = lease_take_want(t);

		const char *op = lease_vf_op(want);

		if (!want->set || (op && !strcmp(op, "vf-get"))) {
			if (!op)
				continue;
			lease_take_ask(t, op, &want->f.pf, want->f.id.vf_index, lease_take_looked);
			return;
		}
		err_set(&e, ERR_INVALID,
			"device %s has no MAC, VLAN or rate to be set: it is no VF of a network "
			"card whose driver is bound",
			want->lease.address);
		err_hint(&e,
			 "leave mac, vlan, qos, trust, spoofchk and rate out; vmctl pci show %s "
			 "says what it is",
			 want->lease.address);
		lease_take_end(t, &e);
		return;
	}
	if (lease_take_gives_mac(t))
		lease_take_scan(t);
	else
		lease_take_plans(t);
}

static void lease_take_checked(uv_work_t *work, int status)
{
	struct lease_take *t = container_of(work, struct lease_take, work);

	if (lease_take_worked(t, status))
		lease_take_look(t);
}

static void lease_take_surveyed(uv_work_t *work, int status)
{
	struct lease_take *t = container_of(work, struct lease_take, work);
	struct err e;

	if (!lease_take_worked(t, status))
		return;
	if (lease_reserve(t, &e) < 0)
		lease_take_end(t, &e);
	else
		lease_take_work(t, lease_take_check, lease_take_checked);
}

/* --- the door --------------------------------------------------------------------------------------- */

/* A VM of an operator gets what an administrator has put into a pool, and nothing else of the host. */
static int lease_take_allowed(const struct lease_take *t, const struct state_vm *vm, struct err *e)
{
	for (size_t i = 0; i < t->wants.n && vm->confined; i++) {
		const struct state_lease *lease = &t->wants.list[i].lease;

		if (lease->pool[0])
			continue;
		err_set(e, ERR_DENIED, "VM '%s' is user %u's, who may not take device %s", vm->name,
			vm->owner, lease->address);
		return err_hint(e, "an administrator defines VMs with devices of the host");
	}
	return 0;
}

static int lease_take_pools(struct lease_take *t, struct err *e)
{
	int ret = 0;

	for (size_t i = 0; i < t->wants.n && ret >= 0; i++) {
		struct lease_want *want = &t->wants.list[i];

		if (!want->lease.pool[0])
			continue;
		want->pool = malloc(sizeof(*want->pool));
		ret = want->pool ? pool_load(t->set->d, want->lease.pool, want->pool, e)
				 : err_ret(e, -ENOMEM, "cannot take devices");
	}
	return ret;
}

int lease_take(struct daemon *d, const struct state_vm *vm, struct json_object *config, bool dry,
	       void (*done)(void *arg, struct lease_take *t, const struct err *why), void *arg,
	       struct err *e)
{
	struct lease_take *t = calloc(1, sizeof(*t));
	int ret;

	if (!t)
		return err_ret(e, -ENOMEM, "cannot take devices");
	t->set = d->leases;
	t->next = t->set->takes;
	t->set->takes = t;
	memcpy(t->vm, vm->id, sizeof(t->vm));
	memcpy(t->name, vm->name, sizeof(t->name));
	t->dry = dry;
	t->done = done;
	t->arg = arg;
	ret = lease_wants_init(&t->wants, config, e);
	if (ret >= 0)
		ret = lease_take_allowed(t, vm, e);
	if (ret >= 0)
		ret = lease_take_pools(t, e);
	if (ret >= 0 && t->wants.n) {
		ret = uv_queue_work(&d->loop, &t->work, lease_take_survey, lease_take_surveyed);
		t->working = ret >= 0;
		if (ret >= 0)
			return 1;
		err_ret(e, ret, "cannot look at the host's devices");
	}
	lease_take_free(t);
	return ret;
}

void lease_take_fill(const struct lease_take *t, struct json_object *config)
{
	struct json_object *devices = json_get(config, "devices");

	for (size_t i = 0; i < json_object_array_length(devices); i++) {
		struct json_object *device = json_object_array_get_idx(devices, i);
		const char *id = json_get_str(device, "id", "");

		for (size_t k = 0; k < t->wants.n; k++)
			if (!strcmp(t->wants.list[k].lease.device, id))
				json_add_str(device, "pci", t->wants.list[k].lease.address);
	}
}

static struct json_object *lease_plan_steps(const struct lease_want *want)
{
	struct json_object *list = json_object_new_array();
	char text[256];

	for (size_t i = 0; i < json_object_array_length(want->steps); i++) {
		struct json_object *step = json_object_array_get_idx(want->steps, i);
		struct json_object *undo = json_get(step, "undo"), *o = json_new();

		json_add_str(o, "do", hostio_text(json_get(step, "action"), text, sizeof(text)));
		if (undo)
			json_add_str(o, "undo", hostio_text(undo, text, sizeof(text)));
		json_object_array_add(list, o);
	}
	return list;
}

struct json_object *lease_take_plan(const struct lease_take *t)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < t->wants.n; i++) {
		const struct lease_want *want = &t->wants.list[i];
		struct json_object *o = json_add_str(json_new(), "device", want->lease.device);

		json_add_str(o, "pci", want->lease.address);
		json_add_str(o, "reason", want->lease.reason);
		if (want->lease.node >= 0)
			json_add_int(o, "numa", want->lease.node);
		if (want->lease.distance)
			json_add_int(o, "distance", want->lease.distance);
		json_object_array_add(list, json_add(o, "steps", lease_plan_steps(want)));
	}
	return list;
}
