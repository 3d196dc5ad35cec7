// SPDX-License-Identifier: MIT
/* The hot-plug registers of bus 0: see hotplug.h. Under machine.lock. */
#include "vmm/pci/hotplug.h"

#include <string.h>

#include "vmm/pci/host.h"

enum pci_hotplug_reg {
	PCI_HOTPLUG_CAME = 0,
	PCI_HOTPLUG_TO_GO = 4,
	PCI_HOTPLUG_PRESENT = 8,
	PCI_HOTPLUG_EJECT = 12,
	PCI_HOTPLUG_SIZE = 16,
};

static uint32_t pci_hotplug_present(const struct pci_host *h)
{
	uint32_t slots = 0;

	for (unsigned int i = 8; i < PCI_FUNCTIONS; i++)
		if (h->functions[i])
			slots |= BIT(i >> 3);
	return slots & ~h->gone;
}

static uint64_t pci_hotplug_read(void *dev, uint64_t off, unsigned int size)
{
	const struct pci_host *h = dev;

	(void)size;
	switch (off) {
	case PCI_HOTPLUG_CAME:
		return h->came;
	case PCI_HOTPLUG_TO_GO:
		return h->to_go;
	case PCI_HOTPLUG_PRESENT:
		return pci_hotplug_present(h);
	default:
		return 0;
	}
}

/* The bridge drops what it decodes for them at once; the devices go when no vCPU runs. */
static void pci_hotplug_eject(struct pci_host *h, uint32_t slots)
{
	struct board *b = h->dev.board;
	uint32_t gone = slots & h->asked & ~h->gone;

	if (!gone)
		return;
	h->gone |= gone;
	if (b->ops->pci_gone)
		b->ops->pci_gone(b->arg);
}

static void pci_hotplug_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct pci_host *h = dev;

	(void)size;
	switch (off) {
	case PCI_HOTPLUG_CAME:
		h->came &= ~(uint32_t)val;
		break;
	case PCI_HOTPLUG_TO_GO:
		h->to_go &= ~(uint32_t)val;
		break;
	case PCI_HOTPLUG_EJECT:
		pci_hotplug_eject(h, (uint32_t)val);
		break;
	default:
		break;
	}
}

static const struct region_ops pci_hotplug_ops = {
	.read = pci_hotplug_read,
	.write = pci_hotplug_write,
	.min_size = 4,
	.max_size = 4,
};

int pci_hotplug_init(struct pci_host *h, struct err *e)
{
	h->hotplug = (struct region){ .name = "PCI hot-plug",
				      .base = MAP_PCI_HOTPLUG,
				      .size = PCI_HOTPLUG_SIZE,
				      .ops = &pci_hotplug_ops,
				      .dev = h };
	return bus_add(h->dev.board->pio, &h->hotplug, e);
}

void pci_hotplug_reset(struct pci_host *h)
{
	h->came = h->to_go = h->asked = h->gone = 0;
	h->live = false;
	for (unsigned int i = 0; i < PCI_FUNCTIONS; i++)
		if (h->functions[i])
			h->functions[i]->hot = false;
}

void pci_hotplug_left(struct pci_host *h, unsigned int slot)
{
	h->came &= ~BIT(slot);
	h->to_go &= ~BIT(slot);
	h->asked &= ~BIT(slot);
	h->gone &= ~BIT(slot);
}

int pci_hotplug_find(const struct pci_host *h, const char *name)
{
	for (int i = 8; i < PCI_FUNCTIONS; i++)
		if (h->functions[i] && !strcmp(h->functions[i]->name, name))
			return i >> 3;
	return -1;
}

void pci_hotplug_came(struct pci_host *h, unsigned int slot)
{
	h->came |= BIT(slot);
}

void pci_hotplug_ask(struct pci_host *h, unsigned int slot)
{
	h->asked |= BIT(slot);
	h->to_go |= BIT(slot);
}

uint32_t pci_hotplug_asked(const struct pci_host *h)
{
	return h->asked;
}

uint32_t pci_hotplug_gone(const struct pci_host *h)
{
	return h->gone;
}

const char *pci_hotplug_name(const struct pci_host *h, unsigned int slot)
{
	return h->functions[slot << 3] ? h->functions[slot << 3]->name : NULL;
}
