// SPDX-License-Identifier: MIT
/* What a change of VFs comes to, or why it is refused: see pool_priv.h. Nothing is changed here. On the loop's thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/pci_use.h"
#include "vmd/pool_priv.h"

/* --- steps ------------------------------------------------------------------------------------------- */

static struct json_object *pool_step(const char *op, const struct pci_function *pf)
{
	char address[PCI_ADDR_SIZE];

	return json_add_str(json_add_str(json_new(), "op", op), "pf",
			    pci_addr_format(&pf->addr, address));
}

static struct json_object *pool_vfs(const struct pci_function *pf, unsigned int count,
				    bool autoprobe)
{
	return json_add_bool(json_add_int(pool_step("vfs", pf), "count", count), "autoprobe",
			     autoprobe);
}

/*
 * FIELD 1, 14: the PF up first, or some make no VFs; no drivers for them, or the host's network manager has them at once.
 * The kernel changes a number only by way of none.
 */
static struct json_object *pool_steps(const struct pci_function *pf, bool down, unsigned int vfs)
{
	struct json_object *steps = json_object_new_array();

	if (vfs && down && pf->class_code >> 16 == 0x02)
		journal_add(steps, pool_step("link-up", pf), pool_step("link-down", pf));
	if (pf->num_vfs && pf->num_vfs != vfs)
		journal_add(steps, pool_vfs(pf, 0, pf->autoprobe),
			    pool_vfs(pf, pf->num_vfs, pf->autoprobe));
	if (vfs && pf->num_vfs != vfs)
		journal_add(steps, pool_vfs(pf, vfs, false), pool_vfs(pf, 0, pf->autoprobe));
	return steps;
}

/* --- why not ------------------------------------------------------------------------------------------ */

static int pool_check_pf(const struct pci_function *pf, unsigned int vfs, struct err *e)
{
	char address[PCI_ADDR_SIZE];

	pci_addr_format(&pf->addr, address);
	if (pf->is_vf || !pf->is_pf) {
		err_set(e, ERR_POOL_PF, "device %s %s", address,
			pf->is_vf ? "is a VF itself" : "has no SR-IOV");
		return err_hint(e, "vmctl sriov pf list shows what can have VFs; some cards have "
				   "it switched off in their firmware");
	}
	if (vfs > pf->total_vfs)
		return err_set(e, ERR_POOL_PF, "PF %s can have %u VFs, not %u", address,
			       pf->total_vfs, vfs);
	if (pf->driver[0])
		return 0;
	err_set(e, ERR_POOL_PF, "PF %s has no driver, which would make its VFs", address);
	return err_hint(e, "echo %s > /sys/bus/pci/drivers_probe", address);
}

/* Before its VFs go: none may be used, nor may the PF itself. */
static int pool_check_vfs(const struct pool_run *r, const struct pci_function *pf, unsigned int vfs,
			  struct err *e)
{
	char address[PCI_ADDR_SIZE], at[PCI_ADDR_SIZE];
	struct state_lease lease;

	pci_addr_format(&pf->addr, address);
	for (size_t i = 0; i < r->inventory.n; i++) {
		const struct pci_function *f = &r->inventory.functions[i];
		bool itself = !pci_addr_cmp(&f->addr, &pf->addr);

		if (!itself && (!f->is_vf || pci_addr_cmp(&f->pf, &pf->addr)))
			continue;
		pci_addr_format(&f->addr, at);
		if (r->marks[i] & (PCI_MARK_LEASED | PCI_MARK_QUARANTINED) &&
		    state_lease_at(r->set->d->state, at, &lease, NULL) > 0) {
			err_set(e, ERR_POOL_IN_USE,
				"PF %s has %u VFs, which cannot become %u while %s %s VM '%s'%s",
				address, pf->num_vfs, vfs, at,
				lease.state == STATE_LEASE_QUARANTINED ? "is in quarantine since"
								       : "belongs to",
				lease.name,
				lease.state == STATE_LEASE_QUARANTINED ? " had it" : "");
			return lease.state == STATE_LEASE_QUARANTINED
				       ? err_hint(e, "vmctl pci release %s", at)
				       : err_hint(e, "vmctl stop %s gives it back", lease.name);
		}
		if (!(r->marks[i] & PCI_MARK_HOST))
			continue;
		return err_set(
			e, ERR_POOL_IN_USE,
			"PF %s has %u VFs, which cannot become %u while the host uses %s%s%s",
			address, pf->num_vfs, vfs, at,
			pci_addr_cmp(&r->use.at, &f->addr) ? "" : ": ",
			pci_addr_cmp(&r->use.at, &f->addr) ? "" : r->use.text);
	}
	return 0;
}

static int pool_check_shared(const struct pool_run *r, const struct pci_function *pf, struct err *e)
{
	char address[PCI_ADDR_SIZE], other[64];
	int ret = pool_of_pf(r->set->d, pf, r->op == POOL_UP ? r->name : "", other, e);

	if (ret <= 0)
		return ret;
	err_set(e, ERR_POOL_SHARED, "PF %s belongs to VF pool '%s', which says how many VFs it has",
		pci_addr_format(&pf->addr, address), other);
	if (r->op == POOL_UP)
		return err_hint(e,
				"a PF is in one pool; vmctl sriov pool show %s says why it is "
				"in that one",
				other);
	return err_hint(e, "change vfs in the pool's file, then vmctl apply -f FILE");
}

/* --- items -------------------------------------------------------------------------------------------- */

static int pool_add_item(struct pool_run *r, const char *owner, const struct pci_addr *pf,
			 struct json_object *take_steps, struct err *e)
{
	struct pool_item *item = &r->items[r->n];

	if (r->n == POOL_ITEMS_MAX) {
		json_object_put(take_steps);
		return err_set(e, ERR_FAILED, "more than %d changes of PFs at once",
			       POOL_ITEMS_MAX);
	}
	*item = (struct pool_item){ .pf = *pf, .steps = take_steps };
	snprintf(item->owner, sizeof(item->owner), "%s", owner);
	r->n++;
	return 0;
}

static int pool_plan_pf(struct pool_run *r, const struct pci_function *pf, unsigned int vfs,
			struct err *e)
{
	bool down = r->marks[pf - r->inventory.functions] & PCI_MARK_DOWN;
	char owner[JOURNAL_OWNER_SIZE], address[PCI_ADDR_SIZE];
	AUTO_JSON struct json_object *steps = NULL;
	int ret = pool_check_pf(pf, vfs, e);

	if (ret >= 0)
		ret = pool_check_shared(r, pf, e);
	if (ret >= 0 && pf->num_vfs != vfs)
		ret = pool_check_vfs(r, pf, vfs, e);
	if (ret < 0)
		return ret;
	steps = pool_steps(pf, down, vfs);
	if (!json_object_array_length(steps))
		return 0;
	pci_addr_format(&pf->addr, address);
	if (r->op == POOL_UP)
		snprintf(owner, sizeof(owner), "pool:%s/%s#%lld", r->name, address,
			 (long long)r->revision);
	else
		snprintf(owner, sizeof(owner), "pf:%s#%s", address, r->set->d->boot_id);
	return pool_add_item(r, owner, &pf->addr, TAKE_PTR(steps), e);
}

/* What an owner's name says: "pool:front/0000:10:00.0#3", "pf:0000:10:00.0#BOOT". */
static int pool_owner_pf(const char *owner, struct pci_addr *ret_pf)
{
	const char *at = !strncmp(owner, "pf:", 3) ? owner + 3 : strrchr(owner, '/');
	char text[PCI_ADDR_SIZE];

	if (!at)
		return -ERR_INVALID;
	at += *at == '/';
	snprintf(text, sizeof(text), "%.*s", (int)strcspn(at, "#"), at);
	return pci_addr_parse(text, ret_pf, NULL);
}

struct pool_owners {
	struct pool_run *r;
	const char *prefix;
	struct err *e;
};

static int pool_add_owner(void *arg, const struct state_journal *row)
{
	struct pool_owners *o = arg;
	struct pci_addr pf;

	if (strncmp(row->owner, o->prefix, strlen(o->prefix)) != 0 ||
	    pool_owner_pf(row->owner, &pf) < 0)
		return 0;
	for (size_t i = 0; i < o->r->n; i++)
		if (!strcmp(o->r->items[i].owner, row->owner))
			return 0;
	return pool_add_item(o->r, row->owner, &pf, NULL, o->e);
}

int pool_plan_back(struct pool_run *r, const char *prefix, struct err *e)
{
	struct pool_owners o = { .r = r, .prefix = prefix, .e = e };

	return state_journal_list(r->set->d->state, NULL, pool_add_owner, &o, e);
}

/* A PF that the pool has made VFs of and that it has no more. */
static int pool_plan_leavers(struct pool_run *r, struct err *e)
{
	char prefix[JOURNAL_OWNER_SIZE];
	size_t kept = 0;
	int ret;

	snprintf(prefix, sizeof(prefix), "pool:%s/", r->name);
	ret = pool_plan_back(r, prefix, e);
	for (size_t i = 0; ret >= 0 && i < r->n; i++) {
		const struct pci_function *pf = pci_inventory_find(&r->inventory, &r->items[i].pf);

		if (r->op == POOL_UP && (!pf || pci_pool_has(&r->pool, pf)))
			continue;
		if (pf)
			ret = pool_check_vfs(r, pf, 0, e);
		r->items[kept++] = r->items[i];
	}
	r->n = kept;
	return ret;
}

static int pool_plan_up(struct pool_run *r, struct err *e)
{
	const struct pci_function *pfs[PCI_POOL_MEMBERS_MAX];
	size_t n = pci_pool_members(&r->pool, &r->inventory, pfs);
	char address[PCI_ADDR_SIZE];
	int ret = pool_plan_leavers(r, e);

	/* who names an address means it */
	for (size_t i = 0; i < r->pool.n && ret >= 0; i++) {
		const struct pci_pool_entry *entry = &r->pool.pfs[i];
		const struct pci_function *pf =
			entry->at ? pci_inventory_find(&r->inventory, &entry->addr) : NULL;

		if (entry->at && !pf)
			ret = pci_not_found(&entry->addr, e);
		else if (pf)
			ret = pool_check_pf(pf, r->pool.vfs, e);
		if (pf && ret >= 0 && !pci_pool_has(&r->pool, pf))
			ret = err_set(e, ERR_POOL_PF, "PF %s is not of class %s",
				      pci_addr_format(&pf->addr, address), r->pool.class);
	}
	if (ret >= 0 && !n) {
		err_set(e, ERR_POOL_PF, "no device of this host is what VF pool '%s' asks for",
			r->name);
		return err_hint(e, "vmctl sriov pf list shows what can have VFs");
	}
	for (size_t i = 0; i < n && ret >= 0; i++)
		ret = pool_plan_pf(r, pfs[i], r->pool.vfs, e);
	return ret;
}

static int pool_check_leases(void *arg, const struct state_lease *lease)
{
	const struct pool_owners *o = arg;

	if (strcmp(lease->pool, o->r->name) != 0)
		return 0;
	err_set(o->e, ERR_POOL_IN_USE, "VM '%s' has VF %s of pool '%s' (%s)", lease->name,
		lease->address, lease->pool, state_lease_name(lease->state));
	return lease->state == STATE_LEASE_QUARANTINED
		       ? err_hint(o->e, "vmctl pci release %s", lease->address)
		       : err_hint(o->e, "vmctl stop %s gives it back", lease->name);
}

static int pool_plan_down(struct pool_run *r, struct err *e)
{
	struct pool_owners o = { .r = r, .e = e };
	int ret = state_lease_list(r->set->d->state, NULL, pool_check_leases, &o, e);

	return ret < 0 ? ret : pool_plan_leavers(r, e);
}

int pool_plan(struct pool_run *r, struct err *e)
{
	const struct pci_function *pf;
	int ret = pool_mark(r->set->d, &r->inventory, r->marks, e);

	if (ret < 0)
		return ret;
	if (r->op == POOL_UP)
		return pool_plan_up(r, e);
	if (r->op == POOL_DOWN)
		return pool_plan_down(r, e);
	if (r->op == POOL_CLEAN)
		return pool_plan_back(r, "pf:", e);
	pf = pci_inventory_find(&r->inventory, &r->pf);
	return pf ? pool_plan_pf(r, pf, r->vfs, e) : pci_not_found(&r->pf, e);
}

/* --- the journal's rows ------------------------------------------------------------------------------- */

int pool_forget(struct daemon *d, const char *prefix, struct err *e)
{
	struct pools set = { .d = d };
	struct pool_run *r = calloc(1, sizeof(*r));
	int ret;

	if (!r)
		return err_ret(e, -ENOMEM, "cannot read the journal");
	r->set = &set;
	ret = pool_plan_back(r, prefix, e);
	for (size_t i = 0; ret >= 0 && i < r->n; i++)
		ret = state_journal_delete(d->state, r->items[i].owner, e);
	free(r);
	return ret;
}
