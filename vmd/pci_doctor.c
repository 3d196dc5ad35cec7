// SPDX-License-Identifier: MIT
/*
 * Can a PCI function be passed through, and if not, why and what to do: all of it, for people. ACS is PCI Express 5.0,
 * 6.12 and 7.7.8; what the kernel asks of it is in drivers/pci/pci.c's REQ_ACS_FLAGS. Any thread.
 */
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"
#include "vmd/host_iommu.h"
#include "vmd/pci_config.h"
#include "vmd/pci_json.h"

#define PCI_DOCTOR_ACS (PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF)
#define PCI_DOCTOR_GROUP 64 /* members that a fragment names */
#define PCI_DOCTOR_BRIDGES 16

struct pci_doctor {
	const struct hostfs *h;
	const struct pci_inventory *inventory;
	const struct pci_policy *policy;
	const struct pci_function *f;
	struct json_object *problems, *warnings; /* owned by the result */
	int other;				 /* problems but for the group */
	bool hopeless;				 /* it is nothing that a VM could have */
	char addr[PCI_ADDR_SIZE];
};

static void pci_doctor_problem(void *arg, const struct err *why)
{
	struct pci_doctor *p = arg;
	struct json_object *o = json_add_int(json_new(), "code", why->code), *causes;
	const char *at = why->cause;
	char cause[sizeof(why->cause)];

	json_add_str(o, "name", errcat_find(why->code)->name);
	json_add_str(o, "message", why->msg);
	causes = json_object_new_array();
	while (err_next_cause(&at, cause, sizeof(cause)))
		json_object_array_add(causes, json_object_new_string(cause));
	json_add(o, "cause", causes);
	if (why->hint[0])
		json_add_str(o, "hint", why->hint);
	json_object_array_add(p->problems, o);
	p->other += why->code != ERR_PCI_GROUP;
	p->hopeless |= why->code == ERR_PCI_KIND;
}

static void pci_doctor_warn(struct pci_doctor *p, const char *message, const char *hint)
{
	struct json_object *o = json_add_str(json_new(), "message", message);

	json_object_array_add(p->warnings, hint[0] ? json_add_str(o, "hint", hint) : o);
}

/* --- what keeps a group together ------------------------------------------------------------------ */

/* What this bridge lacks to keep apart what is behind it; NULL: nothing, or it cannot be told. */
static const char *pci_doctor_bridge(const struct hostfs *h, const struct pci_function *bridge)
{
	struct pci_config c;
	size_t at;
	uint16_t type;

	if (pci_config_read(h, &bridge->addr, &c) < 0 || c.size <= PCI_CFG_SPACE_SIZE)
		return NULL;
	at = pci_config_find(&c, false, PCI_CAP_ID_EXP);
	type = (pci_config_word(&c, at + PCI_EXP_FLAGS) & PCI_EXP_FLAGS_TYPE) >> 4;
	if (!at || type == PCI_EXP_TYPE_PCI_BRIDGE)
		return "leads to conventional PCI, where all devices look like one";
	if (type != PCI_EXP_TYPE_ROOT_PORT && type != PCI_EXP_TYPE_DOWNSTREAM)
		return NULL;
	at = pci_config_find(&c, true, PCI_EXT_CAP_ID_ACS);
	if (!at)
		return "has no ACS (Access Control Services)";
	if ((pci_config_word(&c, at + PCI_ACS_CTRL) & PCI_DOCTOR_ACS) == PCI_DOCTOR_ACS)
		return NULL;
	return "has ACS, but not switched on";
}

static bool pci_doctor_same_device(const struct pci_function *f, const struct pci_function *m)
{
	return f != m && f->addr.domain == m->addr.domain && f->addr.bus == m->addr.bus &&
	       f->addr.dev == m->addr.dev && f->iommu_group == m->iommu_group;
}

/* The bridges above it, from the nearest on, that keep it in one group with others. */
static struct json_object *pci_doctor_acs(const struct pci_doctor *p)
{
	struct json_object *list = json_object_new_array();
	const struct pci_function *b = p->f;
	char text[PCI_ADDR_SIZE];

	for (unsigned int n = 0; n < PCI_DOCTOR_BRIDGES && b->parent.domain != UINT32_MAX; n++) {
		const char *lack;

		b = pci_inventory_find(p->inventory, &b->parent);
		lack = b ? pci_doctor_bridge(p->h, b) : NULL;
		if (!b)
			break;
		if (lack)
			json_object_array_add(
				list, json_add_str(json_add_str(json_new(), "bridge",
								pci_addr_format(&b->addr, text)),
						   "lacks", lack));
	}
	for (size_t i = 0; i < p->inventory->n; i++)
		if (pci_doctor_same_device(p->f, &p->inventory->functions[i])) {
			json_object_array_add(
				list,
				json_add_str(json_add_str(json_new(), "bridge", p->addr), "lacks",
					     "is one of several functions of a device without "
					     "ACS between them"));
			break;
		}
	return list;
}

/* --- warnings --------------------------------------------------------------------------------------- */

/* The kernel resets a bus for who has all of it: the monitor of a VM that does. */
static void pci_doctor_bus(struct pci_doctor *p)
{
	const struct pci_addr *own = &p->f->addr;
	char text[160], other[PCI_ADDR_SIZE];

	for (size_t i = 0; i < p->inventory->n; i++) {
		const struct pci_function *f = &p->inventory->functions[i];

		if (f->addr.domain != own->domain || f->addr.bus != own->bus ||
		    !pci_addr_cmp(&f->addr, own))
			continue;
		snprintf(text, sizeof(text),
			 "its only reset is that of its bus, which it shares with %s",
			 pci_addr_format(&f->addr, other));
		pci_doctor_warn(p, text, "give all of the bus to one VM, which resets it then");
		return;
	}
}

static void pci_doctor_warnings(struct pci_doctor *p)
{
	struct host_iommu iommu;
	char text[256];

	host_iommu_read(p->h, &iommu);
	if (!p->f->reset_methods[0])
		pci_doctor_warn(p, "it cannot be reset: what one VM left in it meets the next",
				"give it to one VM only, and for good");
	if (!strcmp(p->f->reset_methods, "bus"))
		pci_doctor_bus(p);
	if (iommu.groups && iommu.unremapped)
		pci_doctor_warn(p, "interrupts are not remapped: a VM with a device could send any",
				"switch interrupt remapping (x2APIC) on in the firmware's setup");
	if (!strcmp(p->f->override, p->f->driver) || !p->f->override[0])
		return;
	snprintf(text, sizeof(text), "its driver_override is %.60s, and its driver is %s%.60s",
		 p->f->override, p->f->driver[0] ? "" : "none", p->f->driver);
	pci_doctor_warn(p, text, "");
}

/* --- the fragment ----------------------------------------------------------------------------------- */

static bool pci_doctor_all_pass(const struct pci_doctor *p, const struct pci_addr *all, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct pci_function *f = pci_inventory_find(p->inventory, &all[i]);

		if (!f || pci_policy_check(p->policy, p->h, p->inventory, f, all, n, NULL) < 0)
			return false;
	}
	return true;
}

/* It and those of its group that would be in its way: what a VM must be given. */
static size_t pci_doctor_together(const struct pci_doctor *p, struct pci_addr *all)
{
	size_t n = 0;

	all[n++] = p->f->addr;
	for (size_t i = 0; i < p->inventory->n && n < PCI_DOCTOR_GROUP; i++)
		if (pci_in_the_way(p->f, &p->inventory->functions[i]))
			all[n++] = p->inventory->functions[i].addr;
	return n;
}

static void pci_doctor_fragment(const struct pci_doctor *p, struct json_object *o)
{
	struct pci_addr all[PCI_DOCTOR_GROUP];
	size_t n = pci_doctor_together(p, all);
	char text[64 + PCI_DOCTOR_GROUP * 48] = "passthrough:\n", addr[PCI_ADDR_SIZE];

	if (p->other || !pci_doctor_all_pass(p, all, n))
		return;
	for (size_t i = 0; i < n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "  - pci: \"%s\"\n",
			 pci_addr_format(&all[i], addr));
	json_add_str(o, "fragment", text);
}

/* --- all ---------------------------------------------------------------------------------------------- */

static void pci_doctor_examine(struct pci_doctor *p)
{
	struct pci_terms terms;
	struct err why;

	if (pci_policy_denies(p->policy, p->f, &why) < 0)
		pci_doctor_problem(p, &why);
	pci_policy_terms(p->policy, p->f, &terms);
	pci_check_all(p->h, p->inventory, p->f, &terms, pci_doctor_problem, p);
	if (!p->hopeless)
		pci_doctor_warnings(p);
}

int pci_doctor(const struct hostfs *h, const struct pci_inventory *inventory,
	       const struct pci_policy *policy, struct pci_names *names,
	       const struct pci_function *f, struct json_object **ret_result, struct err *e)
{
	struct pci_doctor p = { .h = h, .inventory = inventory, .policy = policy, .f = f };
	struct json_object *o = pci_json_function(names, f), *group;
	int ret = pci_json_details(h, inventory, f, o, e);

	if (ret < 0) {
		json_object_put(o);
		return ret;
	}
	pci_addr_format(&f->addr, p.addr);
	p.problems = json_object_new_array();
	p.warnings = json_object_new_array();
	pci_doctor_examine(&p);
	json_add_bool(o, "assignable", json_object_array_length(p.problems) == 0);
	json_add(o, "problems", p.problems);
	json_add(o, "warnings", p.warnings);
	if (f->iommu_group >= 0) {
		group = pci_json_group(h, inventory, names, f->iommu_group);
		if (json_object_array_length(json_get(group, "members")) > 1)
			json_add(group, "acs", pci_doctor_acs(&p));
		json_add(o, "members", json_object_get(json_get(group, "members")));
		json_add(o, "acs", json_object_get(json_get(group, "acs")));
		json_object_put(group);
	}
	pci_doctor_fragment(&p, o);
	*ret_result = o;
	return 0;
}
