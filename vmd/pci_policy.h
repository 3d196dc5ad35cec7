/* SPDX-License-Identifier: MIT */
/*
 * The administrator's word on PCI devices, out of vmd's policy file (schemas/policy.json, vmd-pci(7)): what may be
 * passed through although the host seems to need it, and what may not at all. Loaded once; any thread then.
 */
#ifndef VMD_PCI_POLICY_H
#define VMD_PCI_POLICY_H

#include "vmd/pci_use.h"

struct pci_policy;

/*
 * A file that is not there is an empty policy, unless it is needed. ERR_FILE, ERR_SYNTAX and ERR_INVALID
 * ("FILE:LINE:COL: …"): a policy that cannot be read is not to be guessed.
 */
int pci_policy_load(const char *path, bool needed, struct pci_policy **ret_policy, struct err *e);
void pci_policy_free(struct pci_policy *policy);

/* What it says of a function: its terms, without others. */
void pci_policy_terms(const struct pci_policy *policy, const struct pci_function *f,
		      struct pci_terms *ret_terms);
/* -ERR_PCI_DENIED, or 0. */
int pci_policy_denies(const struct pci_policy *policy, const struct pci_function *f, struct err *e);
/*
 * The one door for who wants to have a function: what the policy denies, then pci_check_terms. others: what goes to
 * the same VM (n may be 0).
 */
int pci_policy_check(const struct pci_policy *policy, const struct hostfs *h,
		     const struct pci_inventory *inventory, const struct pci_function *f,
		     const struct pci_addr *others, size_t n, struct err *e);

#endif
