// SPDX-License-Identifier: MIT
/*
 * May a PCI function be passed through: see pci_use.h. Documentation/driver-api/vfio.rst (groups and what makes one
 * viable), admin-guide/kernel-parameters.txt (intel_iommu=, amd_iommu=). Any thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/host_iommu.h"
#include "vmd/pci_names.h"
#include "vmd/pci_use_priv.h"

#define PCI_CHECK_NAMED 5 /* members that one sentence names */

/* class codes without their interface: PCI Code and ID Assignment 1.11, 1.7 and 1.9 */
#define PCI_CHECK_HOST_BRIDGE 0x0600
#define PCI_CHECK_ISA_BRIDGE 0x0601
#define PCI_CHECK_IOMMU 0x0806

struct pci_check {
	const struct hostfs *h;
	const struct pci_inventory *inventory;
	const struct pci_function *f;
	const struct pci_terms *terms;
	char addr[PCI_ADDR_SIZE];
};

int pci_not_found(const struct pci_addr *addr, struct err *e)
{
	char text[PCI_ADDR_SIZE];

	err_set(e, ERR_PCI_NOT_FOUND, "the host has no PCI device %s", pci_addr_format(addr, text));
	return err_hint(e, "vmctl pci list shows what there is; addresses change when cards are "
			   "added or moved");
}

/* Routing IDs: PCIe base specification 5.0, 9.2.1.2. -1: no VF of this PF could be there. */
static int pci_vf_index(const struct pci_function *pf, const struct pci_addr *addr)
{
	int first = (pf->addr.bus << 8 | pf->addr.dev << 3 | pf->addr.fn) + (int)pf->vf_offset;
	int distance = (addr->bus << 8 | addr->dev << 3 | addr->fn) - first;
	int stride = (int)pf->vf_stride;

	if (!pf->is_pf || !stride || addr->domain != pf->addr.domain || distance < 0 ||
	    distance % stride || distance / stride >= (int)pf->total_vfs)
		return -1;
	return distance / stride;
}

int pci_missing(const struct pci_inventory *inventory, const struct pci_addr *addr, struct err *e)
{
	char text[PCI_ADDR_SIZE], pf_text[PCI_ADDR_SIZE];

	for (size_t i = 0; i < inventory->n; i++) {
		const struct pci_function *pf = &inventory->functions[i];
		int vf = pci_vf_index(pf, addr);

		if (vf < 0)
			continue;
		pci_addr_format(&pf->addr, pf_text);
		err_set(e, ERR_PCI_NOT_FOUND,
			"the host has no PCI device %s: it would be VF %d of PF %s, which has %u "
			"VFs of %u",
			pci_addr_format(addr, text), vf, pf_text, pf->num_vfs, pf->total_vfs);
		return err_hint(e,
				"vmctl sriov pf set %s --vfs %d makes it, until the next boot; a "
				"pool makes its VFs at each",
				pf_text, vf + 1);
	}
	return pci_not_found(addr, e);
}

bool pci_driver_on_vfio(const char *driver)
{
	/* mlx5_vfio_pci and others of the kind; pci-stub only keeps others away */
	return strstr(driver, "vfio") || !strcmp(driver, "pci-stub");
}

bool pci_in_the_way(const struct pci_function *f, const struct pci_function *member)
{
	return f->iommu_group >= 0 && member->iommu_group == f->iommu_group &&
	       pci_addr_cmp(&f->addr, &member->addr) && !pci_function_is_bridge(member) &&
	       member->driver[0] && !pci_driver_on_vfio(member->driver);
}

/* --- the reasons, in the order in which they are told -------------------------------------------- */

static bool pci_is_chipset(const struct pci_function *f)
{
	unsigned int class_code = f->class_code >> 8;

	return f->header_type != 0 || class_code == PCI_CHECK_HOST_BRIDGE ||
	       class_code == PCI_CHECK_ISA_BRIDGE || class_code == PCI_CHECK_IOMMU;
}

/* What is the host's own for good. */
static int pci_check_kind(const struct pci_check *c, struct err *e)
{
	const struct pci_function *f = c->f;

	if (pci_function_is_bridge(f)) {
		err_set(e, ERR_PCI_KIND, "%s is a PCI bridge, which no VM can have", c->addr);
		return err_hint(e, "name a device behind it: vmctl pci list");
	}
	if (!pci_is_chipset(f))
		return 0;
	err_set(e, ERR_PCI_KIND,
		"%s is a part of the host's chipset (class %04x), which no VM can have", c->addr,
		c->f->class_code >> 8);
	return err_hint(e, "vmctl pci list shows what else there is");
}

static int pci_check_broken(const struct pci_check *c, struct err *e)
{
	if (!c->f->broken)
		return 0;
	err_set(e, ERR_PCI_BROKEN, "%s does not answer: its configuration space reads all ones",
		c->addr);
	return err_hint(e,
			"echo 1 >/sys/bus/pci/devices/%s/remove; echo 1 >/sys/bus/pci/rescan; "
			"if it stays so, switch the host off and on",
			c->addr);
}

static int pci_check_iommu(const struct pci_check *c, struct err *e)
{
	struct host_iommu iommu;
	char why[256], hint[192];

	if (c->f->iommu_group >= 0)
		return 0;
	host_iommu_read(c->h, &iommu);
	host_iommu_explain(&iommu, why, sizeof(why), hint, sizeof(hint));
	err_set(e, ERR_PCI_NO_IOMMU, "%s has no IOMMU group: %s", c->addr, why);
	return err_hint(e, "%s", hint);
}

static int pci_check_vital(const struct pci_check *c, struct err *e)
{
	struct pci_uses uses;
	unsigned int n = 0;
	char text[256];
	int ret = pci_uses_read(c->h, c->inventory, c->f, &uses, e);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < uses.n; i++) {
		/* VFs would vanish under whoever has them: no policy is asked for that */
		if (!uses.uses[i].vital || (c->terms->allowed && uses.uses[i].kind != PCI_USE_VFS))
			continue;
		pci_use_text(&uses.uses[i], text, sizeof(text));
		if (n++)
			err_add_cause(e, "%s", text);
		else
			err_set(e, ERR_PCI_VITAL, "the host needs %s: %s", c->addr, text);
	}
	if (!n)
		return 0;
	if (c->f->num_vfs)
		return err_hint(e, "vmctl sriov pf set %s --vfs 0 removes its VFs", c->addr);
	return err_hint(e,
			"take another device; if the host can do without it, /etc/vmd/policy.yaml: "
			"pci: {allow: [\"%s\"]}",
			c->addr);
}

/* "0000:04:02.0 Ethernet controller 8086:100e, driver e1000: network interface eth2 (up)" */
static void pci_check_member(const struct pci_check *c, const struct pci_function *m,
			     struct pci_names *names, struct err *e)
{
	char addr[PCI_ADDR_SIZE], class_name[64], use[256] = "";
	struct pci_uses uses = { 0 };

	pci_names_class(names, m->class_code, class_name, sizeof(class_name));
	if (pci_uses_read(c->h, c->inventory, m, &uses, NULL) >= 0 && uses.n)
		pci_use_text(&uses.uses[0], use, sizeof(use));
	for (size_t i = 0; i < uses.n; i++)
		if (uses.uses[i].vital) {
			pci_use_text(&uses.uses[i], use, sizeof(use));
			break;
		}
	err_add_cause(e, "%s %s%s%04x:%04x, driver %s%s%s", pci_addr_format(&m->addr, addr),
		      class_name, class_name[0] ? " " : "", m->id.vendor, m->id.device, m->driver,
		      use[0] ? ": " : "", use);
}

static bool pci_check_goes_along(const struct pci_terms *terms, const struct pci_function *m)
{
	for (size_t i = 0; i < terms->n_others; i++)
		if (!pci_addr_cmp(&terms->others[i], &m->addr))
			return true;
	return false;
}

static int pci_check_group(const struct pci_check *c, struct err *e)
{
	struct pci_names *names;
	char list[200] = "";
	bool chipset = false;
	unsigned int n = 0;
	struct err why;

	for (size_t i = 0; i < c->inventory->n; i++) {
		const struct pci_function *m = &c->inventory->functions[i];
		char addr[PCI_ADDR_SIZE];
		size_t at = strlen(list);

		if (pci_in_the_way(c->f, m) && !pci_check_goes_along(c->terms, m) &&
		    n++ < PCI_CHECK_NAMED)
			snprintf(list + at, sizeof(list) - at, "%s%s (%.20s)", at ? ", " : "",
				 pci_addr_format(&m->addr, addr), m->driver);
	}
	if (!n)
		return 0;
	if (n > PCI_CHECK_NAMED)
		snprintf(list + strlen(list), sizeof(list) - strlen(list), " and %u more",
			 n - PCI_CHECK_NAMED);
	err_set(&why, ERR_PCI_GROUP,
		"IOMMU group %d of %s is not viable: the host's drivers have %s in it",
		c->f->iommu_group, c->addr, list);
	names = pci_names_new();
	for (size_t i = 0; i < c->inventory->n; i++) {
		const struct pci_function *m = &c->inventory->functions[i];

		if (!pci_in_the_way(c->f, m) || pci_check_goes_along(c->terms, m))
			continue;
		pci_check_member(c, m, names, &why);
		chipset |= pci_is_chipset(m);
	}
	pci_names_free(names);
	if (chipset) /* which no VM can have: together is no way out */
		err_hint(&why,
			 "put the card into another slot, or take another device; vmctl pci doctor "
			 "%s shows the group",
			 c->addr);
	else
		err_hint(&why,
			 "give all of them to the same VM, or put the card into another slot; "
			 "vmctl pci doctor %s shows the group",
			 c->addr);
	if (e)
		*e = why;
	return -ERR_PCI_GROUP;
}

static int pci_check_reset(const struct pci_check *c, struct err *e)
{
	if (c->f->reset_methods[0] || !c->terms->require_reset)
		return 0;
	err_set(e, ERR_PCI_NO_RESET,
		"%s cannot be reset, so one VM's state could stay in it for the next", c->addr);
	return err_hint(e, "take another device, or require_reset: false in the policy file");
}

static int pci_check_vfio(const struct pci_check *c, struct err *e)
{
	AUTO_CLOSE int fd = hostfs_open(c->h, "sys/bus/pci/drivers/vfio-pci", O_PATH, NULL);

	if (fd >= 0)
		return 0;
	err_set(e, ERR_PCI_NO_VFIO, "the kernel's driver vfio-pci is not loaded");
	return err_hint(e, "modprobe vfio-pci; for every boot: echo vfio-pci "
			   ">/etc/modules-load.d/vfio-pci.conf");
}

static int (*const pci_checks[])(const struct pci_check *c, struct err *e) = {
	pci_check_kind,	 pci_check_broken, pci_check_iommu, pci_check_vital,
	pci_check_group, pci_check_reset,  pci_check_vfio,
};

int pci_check_terms(const struct hostfs *h, const struct pci_inventory *inventory,
		    const struct pci_function *f, const struct pci_terms *terms, struct err *e)
{
	struct pci_check c = { .h = h, .inventory = inventory, .f = f, .terms = terms };

	pci_addr_format(&f->addr, c.addr);
	for (size_t i = 0; i < ARRAY_SIZE(pci_checks); i++) {
		int ret = pci_checks[i](&c, e);

		if (ret < 0)
			return ret;
	}
	return 0;
}

int pci_check(const struct hostfs *h, const struct pci_inventory *inventory,
	      const struct pci_function *f, bool allowed, struct err *e)
{
	const struct pci_terms terms = { .allowed = allowed };

	return pci_check_terms(h, inventory, f, &terms, e);
}

unsigned int pci_check_all(const struct hostfs *h, const struct pci_inventory *inventory,
			   const struct pci_function *f, const struct pci_terms *terms,
			   void (*found)(void *arg, const struct err *why), void *arg)
{
	struct pci_check c = { .h = h, .inventory = inventory, .f = f, .terms = terms };
	unsigned int n = 0;

	pci_addr_format(&f->addr, c.addr);
	for (size_t i = 0; i < ARRAY_SIZE(pci_checks); i++) {
		struct err why = { 0 };

		if (pci_checks[i](&c, &why) >= 0)
			continue;
		n++;
		found(arg, &why);
		if (pci_checks[i] == pci_check_kind)
			break; /* nothing else matters */
	}
	return n;
}
