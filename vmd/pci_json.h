/* SPDX-License-Identifier: MIT */
/* PCI functions as the API shows them: schemas/rpc/pci.json. Any thread. */
#ifndef VMD_PCI_JSON_H
#define VMD_PCI_JSON_H

#include "vmd/pci_names.h"
#include "vmd/pci_policy.h"

/* What pci.list says of one. */
struct json_object *pci_json_function(struct pci_names *names, const struct pci_function *f);
/* More of it, for pci.get: capabilities, BARs, link, VFs, siblings, who uses it. Added to o. */
int pci_json_details(const struct hostfs *h, const struct pci_inventory *inventory,
		     const struct pci_function *f, struct json_object *o, struct err *e);
/* {"group", "members"}: of f's IOMMU group, f among them; each with its uses in words. */
struct json_object *pci_json_group(const struct hostfs *h, const struct pci_inventory *inventory,
				   struct pci_names *names, int group);
/* What pci.doctor says (vmd/pci_doctor.c). */
int pci_doctor(const struct hostfs *h, const struct pci_inventory *inventory,
	       const struct pci_policy *policy, struct pci_names *names,
	       const struct pci_function *f, struct json_object **ret_result, struct err *e);

#endif
