// SPDX-License-Identifier: MIT
/*
 * A PCI function's configuration space: PCI Local Bus 3.0, chapter 6. A byte array as the guest reads it
 * and a mask of the bits that the guest may write; what a write means besides is told to bar.c, intx.c,
 * msi.c, msix.c and the device. Under machine.lock.
 */
#include "vmm/pci/pci.h"

#include <assert.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include "vmm/pci/host.h"

#define PCI_COMMAND_WRITABLE                                                             \
	(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | \
	 PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE)
#define PCI_CAPS_END 0x100
#define PCI_HEADER_MULTIFUNCTION 0x80 /* section 6.2.1; the headers have no name for it */

void pci_dev_init(struct pci_dev *p, const char *name, const struct pci_ids *ids,
		  const struct pci_dev_ops *ops)
{
	uint16_t command = PCI_COMMAND_WRITABLE;

	memset(p, 0, sizeof(*p));
	p->name = name;
	p->ops = ops;
	p->next_cap = PCI_STD_HEADER_SIZEOF;
	pci_set16(p, PCI_VENDOR_ID, ids->vendor);
	pci_set16(p, PCI_DEVICE_ID, ids->device);
	pci_set32(p, PCI_CLASS_REVISION, ids->class_code << 8 | ids->revision);
	pci_set16(p, PCI_SUBSYSTEM_VENDOR_ID, ids->subsystem_vendor);
	pci_set16(p, PCI_SUBSYSTEM_ID, ids->subsystem);
	memcpy(p->wmask + PCI_COMMAND, &command, sizeof(command));
	p->wmask[PCI_CACHE_LINE_SIZE] = 0xff;
	p->wmask[PCI_INTERRUPT_LINE] = 0xff;
}

/* Function 0 of a slot says in its header type that there are others: section 6.2.1 */
static void pci_mark_multifunction(const struct pci_host *h, unsigned int slot)
{
	struct pci_dev *const *functions = h->functions + 8 * slot;
	bool more = false;

	for (unsigned int i = 1; i < 8; i++)
		more = more || functions[i];
	if (functions[0])
		functions[0]->cfg[PCI_HEADER_TYPE] = more ? PCI_HEADER_MULTIFUNCTION : 0;
}

void pci_dev_fini(struct pci_dev *p)
{
	if (p->host) {
		pci_intx_set(p, false);
		pci_bars_unmap(p);
		p->host->functions[8 * p->slot + p->function] = NULL;
		pci_mark_multifunction(p->host, p->slot);
		pci_hotplug_left(p->host, p->slot);
		p->host = NULL;
	}
	msi_free(p);
	msix_free(p);
}

void pci_add_bar(struct pci_dev *p, unsigned int bar, uint64_t size, bool is64,
		 const struct region_ops *ops, void *dev)
{
	struct pci_bar *b = &p->bars[bar];

	assert(!p->host && bar + is64 < PCI_BARS && is_power_of_two(size) && size >= 16);
	snprintf(b->label, sizeof(b->label), "%s BAR %u", p->name, bar);
	b->region = (struct region){ .name = b->label, .size = size, .ops = ops, .dev = dev };
	b->is64 = is64;
}

void pci_add_rom(struct pci_dev *p, uint64_t size, const struct region_ops *ops, void *dev)
{
	struct pci_bar *b = &p->bars[PCI_ROM];

	assert(!p->host && is_power_of_two(size) && size >= 2048);
	snprintf(b->label, sizeof(b->label), "%s ROM", p->name);
	b->region = (struct region){ .name = b->label, .size = size, .ops = ops, .dev = dev };
}

unsigned int pci_add_cap(struct pci_dev *p, uint8_t id, unsigned int len)
{
	unsigned int off = p->next_cap;

	assert(off + len <= PCI_CAPS_END);
	p->cfg[off] = id;
	if (p->last_cap)
		p->cfg[p->last_cap + PCI_CAP_LIST_NEXT] = (uint8_t)off;
	else
		p->cfg[PCI_CAPABILITY_LIST] = (uint8_t)off;
	pci_set16(p, PCI_STATUS, pci_get16(p, PCI_STATUS) | PCI_STATUS_CAP_LIST);
	p->last_cap = off;
	p->next_cap = (unsigned int)align_up(off + len, 4);
	return off;
}

/* "00:03.0": bus 0, two lower-case digits for the slot, the function. Its place among the functions, or -EINVAL. */
static int pci_parse_address(const char *address)
{
	char name[16];

	for (int i = 0; i < PCI_FUNCTIONS; i++) {
		snprintf(name, sizeof(name), "00:%02x.%x", (unsigned int)i >> 3,
			 (unsigned int)i & 7);
		if (!strcmp(address, name))
			return i;
	}
	return -EINVAL;
}

int pci_plug(struct pci_host *h, struct pci_dev *p, const char *address, struct err *e)
{
	int at, ret;

	if (!h)
		return err_set(e, EINVAL, "PCI address %s: the machine has no PCI", address);
	at = pci_parse_address(address);
	if (at < 0)
		return err_set(e, EINVAL, "PCI address '%s' is not 00:SS.F with SS up to %02x",
			       address, PCI_SLOTS - 1);
	if (h->functions[at])
		return err_set(e, EEXIST, "PCI address %s is taken by '%s'", address,
			       h->functions[at]->name);
	ret = pci_bars_place(h, p, e);
	if (ret < 0)
		return ret;
	p->host = h;
	p->slot = (unsigned int)at >> 3;
	p->function = (unsigned int)at & 7;
	p->hot = h->live;
	h->functions[at] = p;
	pci_mark_multifunction(h, p->slot);
	pci_dev_reset(p);
	return 0;
}

static void pci_master_sync(struct pci_dev *p)
{
	bool on = pci_get16(p, PCI_COMMAND) & PCI_COMMAND_MASTER;

	if (on == p->master)
		return;
	p->master = on;
	if (p->ops && p->ops->master)
		p->ops->master(p, on);
}

void pci_dev_reset(struct pci_dev *p)
{
	uint16_t command = 0;

	for (unsigned int i = 0; i < PCI_CFG_SIZE; i++)
		p->cfg[i] &= (uint8_t)~p->wmask[i];
	pci_master_sync(p);
	msi_reset(p);
	msix_reset(p);
	pci_bars_home(p);
	for (unsigned int i = 0; i < PCI_BARS && !p->hot; i++)
		if (p->bars[i].region.size)
			command |= p->bars[i].io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
	pci_set16(p, PCI_COMMAND, command);
	pci_intx_reset(p);
	pci_bars_sync(p);
}

uint32_t pci_cfg_read(struct pci_dev *p, unsigned int off, unsigned int size)
{
	uint32_t val = 0;

	if (!range_fits(off, size, PCI_CFG_SIZE))
		return UINT32_MAX;
	msi_cfg_reading(p, off, size);
	if (p->ops && p->ops->cfg_reading)
		p->ops->cfg_reading(p, off, size);
	memcpy(&val, p->cfg + off, MIN(size, sizeof(val)));
	return val;
}

static bool pci_touches(unsigned int off, unsigned int size, unsigned int start, unsigned int end)
{
	return off < end && off + size > start;
}

void pci_cfg_write(struct pci_dev *p, unsigned int off, unsigned int size, uint32_t val)
{
	if (size > sizeof(val) || !range_fits(off, size, PCI_CFG_SIZE))
		return;
	for (unsigned int i = 0; i < size; i++) {
		uint8_t mask = p->wmask[off + i];

		p->cfg[off + i] = (uint8_t)((p->cfg[off + i] & ~mask) | (val >> (8 * i) & mask));
	}
	if (pci_touches(off, size, PCI_COMMAND, PCI_COMMAND + 2) ||
	    pci_touches(off, size, PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_0 + 4 * PCI_BARS) ||
	    pci_touches(off, size, PCI_ROM_ADDRESS, PCI_ROM_ADDRESS + 4))
		pci_bars_sync(p);
	pci_master_sync(p);
	msi_cfg_written(p);
	msix_cfg_written(p);
	pci_intx_sync(p);
	if (p->ops && p->ops->cfg_written)
		p->ops->cfg_written(p, off, size);
}
