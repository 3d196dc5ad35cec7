/* SPDX-License-Identifier: MIT */
/*
 * Names of PCI devices and classes, by libpci out of its list (pci.ids). It is read at the first question, which takes
 * milliseconds. One thread at a time uses an object; several objects are independent.
 */
#ifndef VMD_PCI_NAMES_H
#define VMD_PCI_NAMES_H

#include <stddef.h>
#include <stdint.h>

struct pci_names;
struct pci_names *pci_names_new(void); /* aborts without memory */
void pci_names_free(struct pci_names *names);

/* "Intel Corporation", or "" when the list does not have it. They return out. */
const char *pci_names_vendor(struct pci_names *names, uint16_t vendor, char *out, size_t size);
/* "82576 Gigabit Network Connection" */
const char *pci_names_device(struct pci_names *names, uint16_t vendor, uint16_t device, char *out,
			     size_t size);
/* "Ethernet controller"; class_code has 24 bits */
const char *pci_names_class(struct pci_names *names, uint32_t class_code, char *out, size_t size);

#endif
