/* SPDX-License-Identifier: MIT */
/* What the files pci_use*.c share. */
#ifndef VMD_PCI_USE_PRIV_H
#define VMD_PCI_USE_PRIV_H

#include "vmd/pci_use.h"

#define PCI_USE_DEPTH 8 /* of devices upon devices */

struct pci_use_reader {
	const struct hostfs *h;
	const struct pci_inventory *inventory;
	const struct pci_function *f;
	struct pci_uses *uses;
};

/* Once; what is vital takes the place of what is not when there is no room. False: it was there, or is left out. */
bool pci_use_add(struct pci_uses *uses, enum pci_use_kind kind, bool vital, const char *name,
		 const char *detail);
/* A file of procfs, malloc'ed; NULL when it cannot be read. */
char *pci_use_file(const struct hostfs *h, const char *path);
/* Ends this line; the one behind it, "" at the end. */
char *pci_use_next_line(char *line);

/* pci_use_block.c: disks, file systems, swap */
int pci_use_read_blocks(const struct pci_use_reader *r, struct err *e);

#endif
