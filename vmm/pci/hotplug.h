/* SPDX-License-Identifier: MIT */
/*
 * Functions of bus 0 that come and go while the guest runs: the registers behind the slots' _STA and _EJ0 in
 * dsdt.asl; ACPI 6.4, sections 5.6.4 (events), 5.6.6 (notifications), 6.3.3 (_EJ0) and 6.3.7 (_STA). No chip has
 * them: the DSDT is their only user. Dwords from MAP_PCI_HOTPLUG on, a bit a slot:
 *
 *	0	has come since the guest wrote a 1 here
 *	4	is to go, likewise
 *	8	is there
 *	12	written: the guest has let it go; counts for slots that were asked for
 *
 * What is plugged while the guest runs decodes nothing and has no addresses: the guest gives it some. The event
 * (MAP_GPE_PCI) is raised by the machine. A reset of the machine makes all of it cold. Under machine.lock.
 */
#ifndef VMM_PCI_HOTPLUG_H
#define VMM_PCI_HOTPLUG_H

#include <stdint.h>

struct pci_host;

/* The slot of the function of that name, or -1. Slot 0, the bridge itself, is none. */
int pci_hotplug_find(const struct pci_host *h, const char *name);
/* The function in the slot was plugged just now. */
void pci_hotplug_came(struct pci_host *h, unsigned int slot);
/* Ask the guest to let it go; again, if it was asked before. */
void pci_hotplug_ask(struct pci_host *h, unsigned int slot);
/* Slots of which the guest was asked, and those of them that it has let go; they answer to nothing any more. */
uint32_t pci_hotplug_asked(const struct pci_host *h);
uint32_t pci_hotplug_gone(const struct pci_host *h);
/* The name of what is in the slot; NULL: nothing. */
const char *pci_hotplug_name(const struct pci_host *h, unsigned int slot);

#endif
