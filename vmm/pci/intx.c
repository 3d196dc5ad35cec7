// SPDX-License-Identifier: MIT
/*
 * Interrupt pins: PCI Local Bus 3.0, sections 2.2.6 and 6.2.2 to 6.2.4. The host bridge routes each pin of each
 * slot to one of MAP_GSI_PCI_N interrupts behind the ISA ones, as the DSDT's _PRT says. Functions share them: a
 * line is active while any of them pulls it. Under machine.lock.
 */
#include <assert.h>
#include <linux/pci_regs.h>

#include "vmm/pci/host.h"
#include "vmm/x86/map.h"

static unsigned int pci_intx_line(const struct pci_dev *p)
{
	return (p->slot + p->cfg[PCI_INTERRUPT_PIN] - 1) % MAP_GSI_PCI_N;
}

int pci_intx_gsi(const struct pci_dev *p)
{
	return p->host && p->cfg[PCI_INTERRUPT_PIN] ? (int)(MAP_GSI_PCI + pci_intx_line(p)) : -1;
}

void pci_add_intx(struct pci_dev *p, unsigned int pin)
{
	assert(!p->host && pin >= 1 && pin <= 4);
	p->cfg[PCI_INTERRUPT_PIN] = (uint8_t)pin;
}

static void pci_intx_drive(struct pci_dev *p, bool pull)
{
	unsigned int line = pci_intx_line(p);
	struct board *b = p->host->dev.board;
	unsigned int *pullers = &p->host->pullers[line], before = *pullers;

	if (pull == p->pulls)
		return;
	p->pulls = pull;
	*pullers = pull ? before + 1 : before - 1;
	if (!*pullers == !before)
		return;
	b->ops->irq_set(b->arg, MAP_GSI_PCI + line, *pullers);
	if (p->host->line_changed)
		p->host->line_changed(p->host, line);
}

/* A function that signals by messages does not pull its pin: sections 6.8.1.3 and 6.8.2.3 */
void pci_intx_sync(struct pci_dev *p)
{
	uint16_t status = pci_get16(p, PCI_STATUS) & (uint16_t)~PCI_STATUS_INTERRUPT;
	bool off = pci_get16(p, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE;

	if (!p->host || !p->cfg[PCI_INTERRUPT_PIN])
		return;
	pci_set16(p, PCI_STATUS, p->intx ? status | PCI_STATUS_INTERRUPT : status);
	pci_intx_drive(p, p->intx && !off && !msix_enabled(p) && !msi_count(p));
}

void pci_intx_set(struct pci_dev *p, bool level)
{
	p->intx = level;
	pci_intx_sync(p);
}

void pci_intx_reset(struct pci_dev *p)
{
	int gsi = pci_intx_gsi(p);

	if (gsi >= 0)
		p->cfg[PCI_INTERRUPT_LINE] = (uint8_t)gsi;
	pci_intx_set(p, false);
}
