/* SPDX-License-Identifier: MIT */
/*
 * Errors that a function reports to the guest: PCI Express Base 5.0, sections 6.2 and 7.8.4. All functions stand on bus 0
 * without a port above them, so their messages go to a Root Complex Event Collector (sections 1.3.2.3 and 7.9.10),
 * which is 00:00.1 of a machine that wants one. Under machine.lock.
 */
#ifndef VMM_PCI_AER_H
#define VMM_PCI_AER_H

#include "vmm/pci/pci.h"

/* A register of 32 bits (or the part of one that bits reach) which the guest clears by writing ones. */
struct pci_w1c {
	unsigned int off;
	uint32_t bits; /* that are set */
};

void pci_w1c_init(struct pci_dev *p, struct pci_w1c *w, unsigned int off, uint32_t writable);
void pci_w1c_set(struct pci_dev *p, struct pci_w1c *w, uint32_t bits);
/* After a write to [off, off + size) of configuration space. */
void pci_w1c_written(struct pci_dev *p, struct pci_w1c *w, unsigned int off, unsigned int size);
void pci_w1c_reset(struct pci_dev *p, struct pci_w1c *w);

/*
 * The collector is for p, which is plugged, too. It is made for the first one; -ERR_VFIO_DEVICE when a guest runs without
 * one: a guest looks for it once.
 */
int pci_aer_collect(struct pci_dev *p, struct err *e);
/* A message ERR_FATAL or ERR_NONFATAL of p, which has been collected. */
void pci_aer_message(struct pci_dev *p, bool fatal);

/* For the host bridge */
void pci_aer_reset(struct pci_host *h);
void pci_aer_free(struct pci_host *h);

#endif
