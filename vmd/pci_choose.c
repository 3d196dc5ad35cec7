// SPDX-License-Identifier: MIT
/* See pci_choose.h. Any thread. */
#include "vmd/pci_choose.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"
#include "vmd/lease_plan.h"

/* --- definitions ------------------------------------------------------------------------------------ */

static int pci_pool_id(struct json_object *o, const char *key)
{
	const char *text = json_get_str(o, key, NULL);

	return text ? (int)strtoul(text, NULL, 16) : -1;
}

static void pci_pool_parse_entry(struct json_object *o, struct pci_pool_entry *entry)
{
	*entry = (struct pci_pool_entry){ .vendor = -1, .device = -1, .numa = -1 };
	if (json_object_is_type(o, json_type_string)) {
		entry->at = pci_addr_parse(json_object_get_string(o), &entry->addr, NULL) >= 0;
		return;
	}
	entry->vendor = pci_pool_id(o, "vendor");
	entry->device = pci_pool_id(o, "device");
	entry->numa = (int)json_get_int(o, "numa", -1);
	snprintf(entry->driver, sizeof(entry->driver), "%s", json_get_str(o, "driver", ""));
	snprintf(entry->netdev, sizeof(entry->netdev), "%s", json_get_str(o, "netdev", ""));
}

void pci_pool_parse(struct json_object *definition, struct pci_pool *ret_pool)
{
	struct json_object *pfs = json_get(definition, "pfs");
	size_t n = pfs ? json_object_array_length(pfs) : 0;

	*ret_pool = (struct pci_pool){
		.n = MIN(n, (size_t)PCI_POOL_PFS_MAX),
		.vfs = (unsigned int)json_get_int(definition, "vfs", 0),
		.queues = (unsigned int)json_get_int(definition, "queues", LEASE_NVME_QUEUES),
		.interrupts =
			(unsigned int)json_get_int(definition, "interrupts", LEASE_NVME_QUEUES),
	};
	snprintf(ret_pool->name, sizeof(ret_pool->name), "%s",
		 json_get_str(definition, "name", ""));
	snprintf(ret_pool->class, sizeof(ret_pool->class), "%s",
		 json_get_str(definition, "class", "any"));
	for (size_t i = 0; i < ret_pool->n; i++)
		pci_pool_parse_entry(json_object_array_get_idx(pfs, i), &ret_pool->pfs[i]);
}

enum pci_numa pci_numa_parse(const char *word)
{
	return !strcmp(word, "strict")	 ? PCI_NUMA_STRICT
	       : !strcmp(word, "ignore") ? PCI_NUMA_IGNORE
					 : PCI_NUMA_PREFER;
}

/* --- members ---------------------------------------------------------------------------------------- */

static bool pci_pool_netdev(const char *name, const struct pci_function *f)
{
	for (unsigned int i = 0; i < f->n_netdevs; i++)
		if (!strcmp(f->netdevs[i], name))
			return true;
	return false;
}

bool pci_pool_entry_means(const struct pci_pool_entry *entry, const struct pci_function *f)
{
	if (entry->at)
		return !pci_addr_cmp(&entry->addr, &f->addr);
	return (entry->vendor < 0 || entry->vendor == f->id.vendor) &&
	       (entry->device < 0 || entry->device == f->id.device) &&
	       (entry->numa < 0 || entry->numa == f->numa_node) &&
	       (!entry->driver[0] || !strcmp(entry->driver, f->driver)) &&
	       (!entry->netdev[0] || pci_pool_netdev(entry->netdev, f));
}

/* PCI Code and ID Assignment 1.11, 1.2 ff. */
static bool pci_pool_class(const char *class, const struct pci_function *f)
{
	if (!strcmp(class, "nic"))
		return f->class_code >> 16 == 0x02;
	if (!strcmp(class, "nvme"))
		return f->class_code >> 8 == 0x0108;
	return strcmp(class, "gpu") != 0 || f->class_code >> 16 == 0x03;
}

bool pci_pool_has(const struct pci_pool *pool, const struct pci_function *f)
{
	if (!f->is_pf || !pci_pool_class(pool->class, f))
		return false;
	for (size_t i = 0; i < pool->n; i++)
		if (pci_pool_entry_means(&pool->pfs[i], f))
			return true;
	return false;
}

size_t pci_pool_members(const struct pci_pool *pool, const struct pci_inventory *inventory,
			const struct pci_function *ret_pfs[static PCI_POOL_MEMBERS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < inventory->n && n < PCI_POOL_MEMBERS_MAX; i++)
		if (pci_pool_has(pool, &inventory->functions[i]))
			ret_pfs[n++] = &inventory->functions[i];
	return n;
}

/* --- how they are used ------------------------------------------------------------------------------ */

static unsigned char pci_mark_of(const struct pci_inventory *inventory, const unsigned char *marks,
				 const struct pci_function *f)
{
	return marks[f - inventory->functions];
}

void pci_tally(const struct pci_inventory *inventory, const unsigned char *marks,
	       const struct pci_function *pf, struct pci_tally *ret_tally)
{
	struct pci_tally t = { 0 };

	for (size_t i = 0; i < inventory->n; i++) {
		const struct pci_function *f = &inventory->functions[i];

		if (!f->is_vf || pci_addr_cmp(&f->pf, &pf->addr))
			continue;
		t.vfs++;
		t.leased += !!(marks[i] & PCI_MARK_LEASED);
		t.quarantined += !(marks[i] & PCI_MARK_LEASED) && marks[i] & PCI_MARK_QUARANTINED;
		if (!(marks[i] & (PCI_MARK_LEASED | PCI_MARK_QUARANTINED)))
			*(marks[i] & PCI_MARK_HOST || f->broken || lease_is_stray(f) ? &t.host
										     : &t.free) +=
				1;
	}
	*ret_tally = t;
}

/* The IOMMU keeps groups apart, not their members. */
static bool pci_group_is_leased(const struct pci_inventory *inventory, const unsigned char *marks,
				const struct pci_function *f)
{
	for (size_t i = 0; f->iommu_group >= 0 && i < inventory->n; i++)
		if (inventory->functions[i].iommu_group == f->iommu_group &&
		    marks[i] & PCI_MARK_LEASED)
			return true;
	return false;
}

static bool pci_is_free(const struct pci_inventory *inventory, const unsigned char *marks,
			const struct pci_function *f)
{
	unsigned char mark = pci_mark_of(inventory, marks, f);

	return !(mark & (PCI_MARK_LEASED | PCI_MARK_QUARANTINED | PCI_MARK_HOST)) && !f->broken &&
	       !lease_is_stray(f) && !pci_group_is_leased(inventory, marks, f);
}

/* --- the choice ------------------------------------------------------------------------------------- */

/* A PF of the pool, as the choice sees it. */
struct pci_card {
	const struct pci_function *pf;
	struct pci_tally tally;
	unsigned int used;
	bool far;	       /* on another node */
	unsigned int distance; /* from the wish; 0: as near as can be told */
};

#define PCI_FAR 255 /* on another node, nobody knows how far */

static void pci_card_init(struct pci_card *c, const struct pci_inventory *inventory,
			  const unsigned char *marks, const struct pci_wish *wish,
			  const struct pci_function *pf)
{
	c->pf = pf;
	pci_tally(inventory, marks, pf, &c->tally);
	c->used = c->tally.vfs - c->tally.free;
	c->far = wish->numa != PCI_NUMA_IGNORE && wish->node >= 0 && pf->numa_node >= 0 &&
		 pf->numa_node != wish->node;
	c->distance = 0;
	if (c->far)
		c->distance = host_numa_distance(wish->distances, wish->node, pf->numa_node);
	if (c->far && !c->distance)
		c->distance = PCI_FAR;
}

/* Nearer, then emptier; else the one that comes first. */
static bool pci_card_beats(const struct pci_card *c, const struct pci_card *other)
{
	if (c->distance != other->distance)
		return c->distance < other->distance;
	return (uint64_t)c->used * other->tally.vfs < (uint64_t)other->used * c->tally.vfs;
}

static const struct pci_function *pci_card_free(const struct pci_inventory *inventory,
						const unsigned char *marks,
						const struct pci_card *card)
{
	const struct pci_function *best = NULL;

	for (size_t i = 0; i < inventory->n; i++) {
		const struct pci_function *f = &inventory->functions[i];

		if (f->is_vf && !pci_addr_cmp(&f->pf, &card->pf->addr) &&
		    (!best || f->id.vf_index < best->id.vf_index) &&
		    pci_is_free(inventory, marks, f))
			best = f;
	}
	return best;
}

static void pci_choose_reason(const struct pci_wish *wish, const struct pci_card *card,
			      size_t rivals, char reason[static PCI_REASON_SIZE])
{
	int node = card->pf->numa_node;
	char where[112] = "", card_text[64], distance[24] = "";

	if (card->far && card->distance != PCI_FAR)
		snprintf(distance, sizeof(distance), ", distance %u", card->distance);
	if (wish->numa == PCI_NUMA_IGNORE)
		snprintf(where, sizeof(where), "; NUMA nodes ignored");
	else if (card->far)
		snprintf(where, sizeof(where), "; NUMA node %d%s, none free on %d like %.24s", node,
			 distance, wish->node, wish->like);
	else if (wish->node >= 0 && node >= 0)
		snprintf(where, sizeof(where), "; NUMA node %d like %.32s", node, wish->like);
	else if (node >= 0)
		snprintf(where, sizeof(where), "; NUMA node %d", node);
	snprintf(card_text, sizeof(card_text), "%u of %u in use", card->used, card->tally.vfs);
	snprintf(reason, PCI_REASON_SIZE, "pool %.63s%s; %s%s", wish->pool->name, where,
		 rivals ? "emptier card: " : "", card_text);
}

/* --- why not ---------------------------------------------------------------------------------------- */

static int pci_refuse_empty(const struct pci_inventory *inventory, const struct pci_wish *wish,
			    struct err *e)
{
	const char *name = wish->pool->name;
	char address[PCI_ADDR_SIZE];

	for (size_t i = 0; i < wish->pool->n; i++) {
		const struct pci_pool_entry *entry = &wish->pool->pfs[i];
		const struct pci_function *f =
			entry->at ? pci_inventory_find(inventory, &entry->addr) : NULL;

		if (!f || f->is_pf)
			continue;
		return err_set(e, ERR_POOL_PF, "device %s of VF pool '%s' has no SR-IOV",
			       pci_addr_format(&entry->addr, address), name);
	}
	err_set(e, ERR_POOL_PF, "VF pool '%s' has no physical function on this host", name);
	return err_hint(e,
			"vmctl sriov pf list shows those of the host, vmctl sriov pool show %s "
			"what the pool wants",
			name);
}

static int pci_refuse_down(const struct pci_wish *wish, const struct pci_function *pf,
			   struct err *e)
{
	const char *netdev = pf->n_netdevs ? pf->netdevs[0] : "?";
	char address[PCI_ADDR_SIZE];

	err_set(e, ERR_POOL_DOWN, "PF %s (%s) of VF pool '%s' is down", netdev,
		pci_addr_format(&pf->addr, address), wish->pool->name);
	return err_hint(e, "ip link set %s up", netdev);
}

static int pci_refuse_exhausted(const struct pci_wish *wish, const struct pci_tally *sum,
				bool strict, struct err *e)
{
	char node[32] = "", more[80] = "";
	size_t at = 0;

	if (strict)
		snprintf(node, sizeof(node), " on node %d", wish->node);
	if (sum->quarantined)
		at += (size_t)snprintf(more, sizeof(more), ", %u in quarantine", sum->quarantined);
	if (sum->host)
		snprintf(more + at, sizeof(more) - at, ", %u not vmd's", sum->host);
	err_set(e, ERR_POOL_EXHAUSTED, "VF pool '%s' has no free VF%s (%u in use%s)",
		wish->pool->name, node, sum->leased, more);
	if (sum->quarantined)
		return err_hint(e, "vmctl lease list says who has them and what is in quarantine; "
				   "vmctl pci release ADDRESS clears that");
	return err_hint(e, "vmctl lease list says who has them");
}

static int pci_refuse_unmade(const struct pci_wish *wish, const struct pci_function *pf,
			     struct err *e)
{
	char address[PCI_ADDR_SIZE];

	err_set(e, ERR_POOL_UNREADY, "VF pool '%s' has no VFs yet: PF %s has none of %u",
		wish->pool->name, pci_addr_format(&pf->addr, address), wish->pool->vfs);
	return err_hint(e, "vmctl sriov pool show %s says why", wish->pool->name);
}

static int pci_choose_refuse(const struct pci_inventory *inventory, const unsigned char *marks,
			     const struct pci_wish *wish, const struct pci_function *const *pfs,
			     size_t n, struct err *e)
{
	bool strict = wish->numa == PCI_NUMA_STRICT && wish->node >= 0;
	struct pci_tally sum = { 0 };
	size_t down = 0, unmade = 0;

	if (!n)
		return pci_refuse_empty(inventory, wish, e);
	for (size_t i = 0; i < n; i++) {
		unsigned char mark = pci_mark_of(inventory, marks, pfs[i]);
		struct pci_card card;

		pci_card_init(&card, inventory, marks, wish, pfs[i]);
		down += !!(mark & PCI_MARK_DOWN);
		unmade += !card.tally.vfs || mark & PCI_MARK_CHANGE;
		if (strict && card.far)
			continue;
		sum.leased += card.tally.leased;
		sum.quarantined += card.tally.quarantined;
		sum.host += card.tally.host;
	}
	if (unmade == n)
		return pci_refuse_unmade(wish, pfs[0], e);
	if (down == n)
		return pci_refuse_down(wish, pfs[0], e);
	return pci_refuse_exhausted(wish, &sum, strict, e);
}

int pci_choose(const struct pci_inventory *inventory, const unsigned char *marks,
	       const struct pci_wish *wish, const struct pci_function **ret_function,
	       char reason[static PCI_REASON_SIZE], struct err *e)
{
	const struct pci_function *pfs[PCI_POOL_MEMBERS_MAX], *best = NULL;
	size_t n = pci_pool_members(wish->pool, inventory, pfs), rivals = 0;
	struct pci_card best_card = { 0 };

	for (size_t i = 0; i < n; i++) {
		const struct pci_function *f;
		struct pci_card card;

		if (pci_mark_of(inventory, marks, pfs[i]) & (PCI_MARK_DOWN | PCI_MARK_CHANGE))
			continue;
		pci_card_init(&card, inventory, marks, wish, pfs[i]);
		f = pci_card_free(inventory, marks, &card);
		if (!f || (card.far && wish->numa == PCI_NUMA_STRICT))
			continue;
		rivals += best && best_card.distance == card.distance;
		if (best && !pci_card_beats(&card, &best_card))
			continue;
		if (best && best_card.distance != card.distance)
			rivals = 0;
		best = f;
		best_card = card;
	}
	if (!best)
		return pci_choose_refuse(inventory, marks, wish, pfs, n, e);
	*ret_function = best;
	pci_choose_reason(wish, &best_card, rivals, reason);
	return 0;
}
