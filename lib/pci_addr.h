/* SPDX-License-Identifier: MIT */
/*
 * Addresses of PCI functions as Linux writes them: "0000:3b:00.0", domain:bus:device.function, hexadecimal
 * but for the function. Any thread.
 */
#ifndef LIB_PCI_ADDR_H
#define LIB_PCI_ADDR_H

#include <stdint.h>
#include "lib/err.h"

#define PCI_ADDR_SIZE 20 /* of the text; domains have four digits or more (Intel VMD) */

struct pci_addr {
	uint32_t domain;
	uint8_t bus, dev, fn;
};

/* The whole form, or "3b:00.0" in domain 0. -EINVAL; ret_addr is untouched then. */
int pci_addr_parse(const char *text, struct pci_addr *ret_addr, struct err *e);
/* The whole form; returns out. */
const char *pci_addr_format(const struct pci_addr *a, char out[static PCI_ADDR_SIZE]);
/* In the order of domain, bus, device, function. */
int pci_addr_cmp(const struct pci_addr *a, const struct pci_addr *b);

#endif
