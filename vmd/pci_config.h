/* SPDX-License-Identifier: MIT */
/*
 * A PCI function's configuration space, as sysfs gives it: 64 bytes without rights, 256 or 4096 with them.
 * Its capabilities (PCI 3.0, 6.7; PCI Express 5.0, 7.6). Nothing in it is believed: lists may run in rings.
 * Any thread.
 */
#ifndef VMD_PCI_CONFIG_H
#define VMD_PCI_CONFIG_H

#include "lib/hostfs.h"
#include "lib/pci_addr.h"

#define PCI_CONFIG_SIZE 4096

struct pci_config {
	uint8_t bytes[PCI_CONFIG_SIZE];
	size_t size; /* that are there */
};

/* 0, or -errno; fewer than the 64 bytes of a header are -EIO. */
int pci_config_read(const struct hostfs *h, const struct pci_addr *addr,
		    struct pci_config *ret_config);
/* The same from the device's folder, and no more than that many bytes: each four of them are a cycle on its bus. */
int pci_config_read_part(const struct hostfs *folder, size_t most, struct pci_config *ret_config);
/* Zero beyond the end. */
uint16_t pci_config_word(const struct pci_config *c, size_t at);
uint32_t pci_config_dword(const struct pci_config *c, size_t at);
/* All ones, the header as a whole: the device does not answer. A VF's ids alone are so always. */
bool pci_config_dead(const struct pci_config *c);

/* In the order of the list; fn gets the place. */
void pci_config_each(const struct pci_config *c, bool extended,
		     void (*fn)(void *arg, const struct pci_config *c, uint16_t id, size_t at),
		     void *arg);
/* Where it is, or 0. */
size_t pci_config_find(const struct pci_config *c, bool extended, uint16_t id);
/* "MSI-X", "Access Control Services", or NULL. */
const char *pci_config_name(bool extended, uint16_t id);

#endif
