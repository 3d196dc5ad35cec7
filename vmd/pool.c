// SPDX-License-Identifier: MIT
/* Pools as they are kept, and what is known of their functions: see pool.h. */
#include "vmd/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/hostfs.h"
#include "vmd/pci_use.h"
#include "vmd/pool_priv.h"

struct pools *pools_new(struct daemon *d)
{
	struct pools *set = calloc(1, sizeof(*set));

	if (set)
		set->d = d;
	return set;
}

void pools_close(struct pools *set)
{
	struct pool_run **link;

	if (!set || set->closing)
		return;
	set->closing = true;
	set->waits = NULL; /* whose owners may be gone */
	for (link = &set->runs; *link;) {
		struct pool_run *r = *link;

		if (r->working) { /* freed when its worker ends */
			link = &r->next;
			continue;
		}
		*link = r->next;
		pool_run_free(r);
	}
}

void pools_free(struct pools *set)
{
	if (!set)
		return;
	while (set->notes) {
		struct pool_note *note = set->notes;

		set->notes = note->next;
		free(note);
	}
	free(set);
}

/* --- definitions ------------------------------------------------------------------------------------ */

static int pool_take(void *arg, const struct state_pool *row)
{
	AUTO_JSON struct json_object *o = NULL;
	struct pci_pool *pool = arg;

	if (json_parse(row->definition, strlen(row->definition), &o, NULL) < 0)
		return -ERR_STATE;
	pci_pool_parse(o, pool);
	return 0;
}

int pool_load(struct daemon *d, const char *name, struct pci_pool *ret_pool, struct err *e)
{
	int ret;

	ret_pool->name[0] = '\0';
	ret = state_pool_list(d->state, name, pool_take, ret_pool, e);
	if (ret == -ERR_STATE)
		return err_set(e, ERR_STATE, "the definition of VF pool '%s' cannot be read", name);
	if (ret < 0 || ret_pool->name[0])
		return MIN(ret, 0);
	err_set(e, ERR_POOL_NOT_FOUND, "there is no VF pool '%s'", name);
	return err_hint(e, "vmctl sriov pool list shows those that there are; a file of kind: pool "
			   "declares one");
}

struct pool_search {
	const struct pci_function *pf;
	const char *but;
	char found[64];
};

static int pool_search_one(void *arg, const struct state_pool *row)
{
	struct pool_search *search = arg;
	struct pci_pool pool;

	if (!strcmp(row->name, search->but) || search->found[0] || pool_take(&pool, row) < 0)
		return 0;
	if (pci_pool_has(&pool, search->pf))
		snprintf(search->found, sizeof(search->found), "%s", row->name);
	return 0;
}

int pool_of_pf(struct daemon *d, const struct pci_function *pf, const char *name,
	       char ret_pool[static 64], struct err *e)
{
	struct pool_search search = { .pf = pf, .but = name };
	int ret = state_pool_list(d->state, NULL, pool_search_one, &search, e);

	if (ret < 0)
		return ret;
	memcpy(ret_pool, search.found, sizeof(search.found));
	return search.found[0] ? 1 : 0;
}

/* --- what is not as it should be --------------------------------------------------------------------- */

void pool_note(struct pools *set, const char *name, const char *msg)
{
	struct pool_note **link = &set->notes, *note;

	while (*link && strcmp((*link)->name, name) != 0)
		link = &(*link)->next;
	note = *link;
	if (!msg && note) {
		*link = note->next;
		free(note);
	}
	if (!msg)
		return;
	if (!note)
		note = *link = calloc(1, sizeof(*note));
	if (!note)
		return; /* the log has it */
	snprintf(note->name, sizeof(note->name), "%s", name);
	snprintf(note->msg, sizeof(note->msg), "%s", msg);
}

const char *pool_trouble(const struct daemon *d, const char *name, const char **ret_msg)
{
	*ret_msg = NULL;
	for (const struct pool_run *r = d->pools->runs; r; r = r->next)
		if (!strcmp(r->name, name) && !r->dry)
			return "working";
	for (const struct pool_note *note = d->pools->notes; note; note = note->next) {
		if (strcmp(note->name, name) != 0)
			continue;
		*ret_msg = note->msg;
		return "failed";
	}
	return "";
}

bool pool_changes(const struct daemon *d, const struct pci_addr *pf)
{
	const struct pool_run *r = d->pools ? d->pools->runs : NULL;

	for (size_t i = 0; r && i < r->n; i++)
		if (!pci_addr_cmp(&r->items[i].pf, pf))
			return true;
	return false;
}

/* --- marks ------------------------------------------------------------------------------------------- */

/*
 * An interface that is down is nobody's; a driver alone is no use either. What cannot be told counts as used.
 */
static bool pool_is_used(const struct hostfs *h, const struct pci_inventory *inventory,
			 const struct pci_function *f, struct pool_use *ret_use)
{
	struct pci_uses uses;

	if (!f->driver[0] || pci_driver_on_vfio(f->driver))
		return false;
	ret_use->at = f->addr;
	if (pci_uses_read(h, inventory, f, &uses, NULL) < 0) {
		snprintf(ret_use->text, sizeof(ret_use->text),
			 "driver %s, and it cannot be told what for", f->driver);
		return true;
	}
	for (size_t i = 0; i < uses.n; i++) {
		const struct pci_use *use = &uses.uses[i];

		if (use->kind == PCI_USE_NETDEV && !strncmp(use->detail, "down", 4))
			continue;
		pci_use_text(use, ret_use->text, sizeof(ret_use->text));
		return true;
	}
	return false;
}

void pool_look(const struct hostfs *h, const struct pci_inventory *inventory,
	       const struct pci_pool *pool, unsigned char *marks, struct pool_use *first)
{
	struct pool_use use;

	if (first)
		first->at.domain = UINT32_MAX;
	for (size_t i = 0; i < inventory->n; i++) {
		const struct pci_function *f = &inventory->functions[i], *pf = f;

		if (f->is_vf)
			pf = pci_inventory_find(inventory, &f->pf);
		if (!pf || (!f->is_vf && !f->is_pf) || (pool && !pci_pool_has(pool, pf)))
			continue;
		if (f->is_pf && pci_link_is_down(h, f))
			marks[i] |= PCI_MARK_DOWN;
		if (!f->is_vf || !pool_is_used(h, inventory, f, &use))
			continue;
		marks[i] |= PCI_MARK_HOST;
		if (first && first->at.domain == UINT32_MAX)
			*first = use;
	}
}

struct pool_marker {
	const struct pci_inventory *inventory;
	unsigned char *marks;
};

static int pool_mark_lease(void *arg, const struct state_lease *lease)
{
	const struct pool_marker *m = arg;
	const struct pci_function *f;
	struct pci_addr addr;

	if (pci_addr_parse(lease->address, &addr, NULL) < 0)
		return 0;
	f = pci_inventory_find(m->inventory, &addr);
	if (f)
		m->marks[f - m->inventory->functions] |= lease->state == STATE_LEASE_QUARANTINED
								 ? PCI_MARK_QUARANTINED
								 : PCI_MARK_LEASED;
	return 0;
}

int pool_mark(struct daemon *d, const struct pci_inventory *inventory, unsigned char *marks,
	      struct err *e)
{
	struct pool_marker m = { inventory, marks };

	for (size_t i = 0; i < inventory->n; i++) {
		marks[i] &=
			(unsigned char)~(PCI_MARK_LEASED | PCI_MARK_QUARANTINED | PCI_MARK_CHANGE);
		if (inventory->functions[i].is_pf && pool_changes(d, &inventory->functions[i].addr))
			marks[i] |= PCI_MARK_CHANGE;
	}
	return state_lease_list(d->state, NULL, pool_mark_lease, &m, e);
}
