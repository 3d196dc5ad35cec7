// SPDX-License-Identifier: MIT
/*
 * Who gets what: one transaction for all devices of a start, so that of two starts one gets them and the other is
 * told who was first. What was seen of the host is only as good as its moment; the rows are what counts. On the
 * loop's thread.
 */
#include <stdio.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/event.h"
#include "vmd/lease_priv.h"
#include "vmd/pci_use.h"

void lease_owner(const struct state_lease *lease, char out[static JOURNAL_OWNER_SIZE])
{
	snprintf(out, JOURNAL_OWNER_SIZE, "lease:%lld", (long long)lease->generation);
}

const struct pci_function *lease_neighbour(const struct pci_inventory *inventory,
					   const struct pci_function *f, size_t *at)
{
	for (; *at < inventory->n; (*at)++) {
		const struct pci_function *other = &inventory->functions[*at];

		if (f->iommu_group >= 0 && other->iommu_group == f->iommu_group &&
		    pci_addr_cmp(&other->addr, &f->addr) != 0 && !pci_function_is_bridge(other))
			return &inventory->functions[(*at)++];
	}
	return NULL;
}

/* --- why not ---------------------------------------------------------------------------------------- */

static int lease_refuse_taken(const struct lease_take *t, const struct state_lease *has,
			      struct err *e)
{
	char since[EVENT_TIME_SIZE];

	event_time(has->created_ms, since);
	if (has->state == STATE_LEASE_QUARANTINED) {
		err_set(e, ERR_LEASE_BAD, "device %s is in quarantine since VM '%s' had it: %s",
			has->address, has->name, has->quarantine);
		return err_hint(e, "vmctl pci release %s tries again to give it back",
				has->address);
	}
	if (!strcmp(has->vm, t->vm))
		return err_set(e, ERR_LEASE_TAKEN, "VM '%s' names device %s twice", t->name,
			       has->address);
	err_set(e, ERR_LEASE_TAKEN, "device %s belongs to VM '%s' since %s (%s)", has->address,
		has->name, since, state_lease_name(has->state));
	return err_hint(e, "vmctl stop %s gives it back", has->name);
}

static int lease_refuse_stray(const struct lease_want *want, struct err *e)
{
	const char *address = want->lease.address;

	if (strcmp(want->f.driver, "vfio-pci") != 0) {
		err_set(e, ERR_LEASE_STRAY,
			"device %s is meant for driver '%s' by somebody else than vmd", address,
			want->f.override);
		return err_hint(e, "echo > /sys/bus/pci/devices/%s/driver_override", address);
	}
	err_set(e, ERR_LEASE_STRAY, "device %s was bound to vfio-pci by somebody else than vmd",
		address);
	return err_hint(e,
			"echo > /sys/bus/pci/devices/%s/driver_override; "
			"echo %s > /sys/bus/pci/drivers/vfio-pci/unbind",
			address, address);
}

/* --- what is looked at ------------------------------------------------------------------------------ */

static int lease_look_up(const struct lease_take *t, struct lease_want *want, struct err *e)
{
	const struct pci_function *f, *pf;
	struct pci_addr addr;
	int ret = pci_addr_parse(want->lease.address, &addr, e);

	if (ret < 0)
		return ret;
	f = pci_inventory_find(&t->inventory, &addr);
	if (!f)
		return pci_missing(&t->inventory, &addr, e);
	if (pool_changes(t->set->d, f->is_vf ? &f->pf : &f->addr)) {
		err_set(e, ERR_BUSY, "the VFs of the card of %s are being made or removed",
			want->lease.address);
		return err_hint(e, "vmctl jobs shows how far that is");
	}
	want->f = *f;
	pf = f->is_vf ? pci_inventory_find(&t->inventory, &f->pf) : NULL;
	if (f->is_vf && !pf)
		return err_set(e, ERR_PCI_NOT_FOUND, "the physical function of VF %s is gone",
			       want->lease.address);
	if (pf)
		want->pf = *pf;
	return lease_is_stray(f) ? lease_refuse_stray(want, e) : 0;
}

/* The device that the file asks for, or else the one that the VM had there before. */
static int lease_check_identity(const struct lease_take *t, const struct lease_want *want,
				struct err *e)
{
	AUTO_JSON struct json_object *o = NULL;
	struct pci_identity before;
	char text[sizeof(want->lease.identity)], differs[160];
	int ret;

	if (want->identity &&
	    lease_identity_differs(want->identity, &want->f, differs, sizeof(differs))) {
		err_set(e, ERR_LEASE_OTHER, "device %s is not the one that VM '%s' asks for: %s",
			want->lease.address, t->name, differs);
		return err_hint(e, "vmctl pci list shows where it is now");
	}
	if (want->identity || want->lease.pool[0])
		return 0;
	ret = state_device_get(t->set->d->state, t->vm, want->lease.address, text, sizeof(text), e);
	if (ret <= 0)
		return ret;
	ret = json_parse(text, strlen(text), &o, e);
	if (ret >= 0)
		ret = pci_identity_parse(o, &before, e);
	if (ret < 0)
		return ret;
	if (!pci_identity_differs(&before, &want->f.id, differs, sizeof(differs)))
		return 0;
	err_set(e, ERR_LEASE_OTHER, "another device is at %s than VM '%s' had there: %s",
		want->lease.address, t->name, differs);
	return err_hint(e,
			"name its new address; or, to take this one, its identity beside the "
			"address: {vendor: \"%04x\", device: \"%04x\"}",
			want->f.id.vendor, want->f.id.device);
}

/* A network card of another VM: nets.h. */
static int lease_check_mac_of_card(const struct lease_take *t, const char *mac, struct err *e)
{
	struct state *s = t->set->d->state;
	struct state_nic nic;
	struct state_vm other;
	int ret = state_nic_of_mac(s, mac, &nic, e);

	if (ret <= 0 || !strcmp(nic.vm, t->vm))
		return ret < 0 ? ret : 0;
	if (state_vm_get(s, nic.vm, &other, NULL) < 0)
		snprintf(other.name, sizeof(other.name), "%s", nic.vm);
	err_set(e, ERR_LEASE_MAC, "MAC address %s is that of '%s' of VM '%s'", mac, nic.device,
		other.name);
	return err_hint(e, "give one of the two VMs another; vmctl stop %s frees it", other.name);
}

static int lease_check_mac(const struct lease_take *t, const struct lease_want *want, struct err *e)
{
	struct state_lease has;
	int ret;

	if (!want->lease.mac[0])
		return 0;
	ret = state_lease_of_mac(t->set->d->state, want->lease.mac, &has, e);
	if (ret <= 0)
		return ret < 0 ? ret : lease_check_mac_of_card(t, want->lease.mac, e);
	err_set(e, ERR_LEASE_MAC, "MAC address %s is that of %s, which VM '%s' has",
		want->lease.mac, has.address, has.name);
	return err_hint(e, "give one of the two VMs another; vmctl stop %s frees it", has.name);
}

/* The IOMMU keeps groups apart, not their members: they all belong to one VM. */
static int lease_check_group(const struct lease_take *t, const struct lease_want *want,
			     struct err *e)
{
	const struct pci_function *other;
	char address[PCI_ADDR_SIZE];
	struct state_lease has;
	size_t at = 0;

	while ((other = lease_neighbour(&t->inventory, &want->f, &at))) {
		int ret = state_lease_at(t->set->d->state, pci_addr_format(&other->addr, address),
					 &has, e);

		if (ret < 0)
			return ret;
		if (!ret || !strcmp(has.vm, t->vm))
			continue;
		err_set(e, ERR_LEASE_TAKEN,
			"device %s shares IOMMU group %d with %s, which VM '%s' has",
			want->lease.address, want->f.iommu_group, address, has.name);
		return err_hint(e, "vmctl stop %s gives it back", has.name);
	}
	return 0;
}

/* A PF takes its VFs along. */
static int lease_check_vfs(const struct lease_take *t, const struct lease_want *want, struct err *e)
{
	const struct pci_function *pf = &want->f;
	char address[PCI_ADDR_SIZE];
	struct state_lease has;

	for (size_t i = 0; pf->num_vfs && i < t->inventory.n; i++) {
		const struct pci_function *vf = &t->inventory.functions[i];
		int ret;

		if (!vf->is_vf || pci_addr_cmp(&vf->pf, &pf->addr))
			continue;
		ret = state_lease_at(t->set->d->state, pci_addr_format(&vf->addr, address), &has,
				     e);
		if (ret < 0)
			return ret;
		if (!ret)
			continue;
		err_set(e, ERR_LEASE_TAKEN,
			"device %s has %u VFs, and VM '%s' has one of them, %s (%s)",
			want->lease.address, pf->num_vfs, has.name, address,
			state_lease_name(has.state));
		return has.state == STATE_LEASE_QUARANTINED
			       ? err_hint(e, "vmctl pci release %s", address)
			       : err_hint(e, "take a VF of it too, or vmctl stop %s", has.name);
	}
	return 0;
}

/* --- pools ------------------------------------------------------------------------------------------ */

/* Where the VM is: at its memory, or at the first of its devices whose node is known, those with an address first. */
static int lease_node(const struct lease_take *t, const char **ret_like)
{
	*ret_like = "the VM's memory";
	if (t->wants.node >= 0)
		return t->wants.node;
	for (int chosen = 0; chosen < 2; chosen++) {
		for (size_t i = 0; i < t->wants.n; i++) {
			const struct lease_want *want = &t->wants.list[i];
			const struct pci_function *f;
			struct pci_addr addr;

			if ((want->pool == NULL) == chosen || !want->lease.address[0] ||
			    pci_addr_parse(want->lease.address, &addr, NULL) < 0)
				continue;
			f = pci_inventory_find(&t->inventory, &addr);
			*ret_like = want->lease.device;
			if (f && f->numa_node >= 0)
				return f->numa_node;
		}
	}
	return -1;
}

static int lease_choose(const struct lease_take *t, struct lease_want *want, struct err *e)
{
	struct pci_wish wish = {
		.pool = want->pool,
		.numa = want->numa,
		.distances = &t->numa,
	};
	const struct pci_function *f = NULL;
	int ret = pool_mark(t->set->d, &t->inventory, t->marks, e);

	wish.node = lease_node(t, &wish.like);
	if (ret >= 0)
		ret = pci_choose(&t->inventory, t->marks, &wish, &f, want->lease.reason, e);
	if (ret < 0)
		return ret;
	pci_addr_format(&f->addr, want->lease.address);
	want->lease.distance = host_numa_distance(&t->numa, wish.node, f->numa_node);
	return 0;
}

/* There is no choice, but it is worth knowing. */
static void lease_say_node(const struct lease_take *t, struct lease_want *want)
{
	int node = want->f.numa_node, memory = t->wants.node;
	unsigned int distance = host_numa_distance(&t->numa, memory, node);
	struct state_lease *lease = &want->lease;
	size_t len = strlen(lease->reason);

	if (want->pool || node < 0 || memory < 0)
		return;
	lease->distance = distance;
	if (node == memory)
		snprintf(lease->reason + len, sizeof(lease->reason) - len,
			 "; NUMA node %d like the VM's memory", node);
	else if (distance)
		snprintf(lease->reason + len, sizeof(lease->reason) - len,
			 "; NUMA node %d, distance %u from the VM's memory", node, distance);
	else
		snprintf(lease->reason + len, sizeof(lease->reason) - len,
			 "; NUMA node %d, the VM's memory is on %d", node, memory);
}

/* --- and written ------------------------------------------------------------------------------------ */

static int lease_insert(const struct lease_take *t, struct lease_want *want, struct err *e)
{
	AUTO_JSON struct json_object *identity = pci_identity_json(&want->f.id);
	struct state *s = t->set->d->state;
	struct state_lease *lease = &want->lease;
	int ret;

	memcpy(lease->vm, t->vm, sizeof(lease->vm));
	memcpy(lease->name, t->name, sizeof(lease->name));
	snprintf(lease->boot_id, sizeof(lease->boot_id), "%s", t->set->d->boot_id);
	snprintf(lease->identity, sizeof(lease->identity), "%s",
		 json_object_to_json_string_ext(identity, JSON_C_TO_STRING_PLAIN));
	lease->state = STATE_LEASE_RESERVED;
	lease->node = want->f.numa_node;
	lease_say_node(t, want);
	ret = state_lease_add(s, lease, e);
	if (ret >= 0 && !lease->pool[0])
		ret = state_device_put(s, t->vm, lease->address, lease->identity, e);
	return ret;
}

static int lease_reserve_one(struct lease_take *t, struct lease_want *want, struct err *e)
{
	struct state_lease has;
	int ret = want->pool ? lease_choose(t, want, e) : 0;

	if (ret >= 0)
		ret = state_lease_at(t->set->d->state, want->lease.address, &has, e);
	if (ret)
		return ret < 0 ? ret : lease_refuse_taken(t, &has, e);
	ret = lease_look_up(t, want, e);
	if (ret >= 0)
		ret = lease_check_identity(t, want, e);
	if (ret >= 0)
		ret = lease_check_group(t, want, e);
	if (ret >= 0)
		ret = lease_check_vfs(t, want, e);
	if (ret >= 0)
		ret = lease_check_mac(t, want, e);
	return ret < 0 ? ret : lease_insert(t, want, e);
}

int lease_reserve(struct lease_take *t, struct err *e)
{
	struct state *s = t->set->d->state;
	int ret = state_begin(s, e);

	for (size_t i = 0; i < t->wants.n && ret >= 0; i++)
		ret = lease_reserve_one(t, &t->wants.list[i], e);
	if (ret >= 0 && !t->dry)
		ret = state_commit(s, e);
	if (ret < 0 || t->dry)
		state_rollback(s);
	return ret;
}
