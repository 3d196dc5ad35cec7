// SPDX-License-Identifier: MIT
// The driver's side of a PCI virtio device (VIRTIO 1.2, sections 3.1 and 4.1), for unit tests. One thread.
#include "tests/unit/guest_virtio.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <unistd.h>

#define GUEST_MSI_ADDR 0xfee00000u
#define GUEST_MSI_DATA 0x4000u /* + vector */

static void guest_pci_select(struct fake_board *fb, unsigned int slot, unsigned int off)
{
	fake_out(fb, 0xcf8, 4, 0x80000000u | slot << 11 | (off & 0xfc));
}

uint32_t guest_pci_read(struct fake_board *fb, unsigned int slot, unsigned int off,
			unsigned int size)
{
	guest_pci_select(fb, slot, off);
	return fake_in(fb, (uint16_t)(0xcfc + (off & 3)), size);
}

void guest_pci_write(struct fake_board *fb, unsigned int slot, unsigned int off, unsigned int size,
		     uint32_t val)
{
	guest_pci_select(fb, slot, off);
	fake_out(fb, (uint16_t)(0xcfc + (off & 3)), size, val);
}

unsigned int guest_pci_cap(struct fake_board *fb, unsigned int slot, uint8_t id, unsigned int after)
{
	unsigned int off = after ? after + PCI_CAP_LIST_NEXT : PCI_CAPABILITY_LIST;

	for (unsigned int n = 0; n < 48; n++) {
		off = guest_pci_read(fb, slot, off, 1);
		if (!off || guest_pci_read(fb, slot, off, 1) == id)
			return off;
		off += PCI_CAP_LIST_NEXT;
	}
	fail_msg("the capability list of slot %u is a loop", slot);
	return 0;
}

uint64_t guest_pci_bar(struct fake_board *fb, unsigned int slot, unsigned int bar)
{
	uint64_t v = guest_pci_read(fb, slot, PCI_BASE_ADDRESS_0 + 4 * bar, 4);

	if (v & PCI_BASE_ADDRESS_MEM_TYPE_64)
		v |= (uint64_t)guest_pci_read(fb, slot, PCI_BASE_ADDRESS_0 + 4 * bar + 4, 4) << 32;
	return v & ~0xfull;
}

void guest_msix_set(struct fake_board *fb, uint64_t entry, uint64_t addr, uint32_t data,
		    bool masked)
{
	fake_mmio_write(fb, entry + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, 1);
	fake_mmio_write(fb, entry + PCI_MSIX_ENTRY_LOWER_ADDR, 4, (uint32_t)addr);
	fake_mmio_write(fb, entry + PCI_MSIX_ENTRY_UPPER_ADDR, 4, addr >> 32);
	fake_mmio_write(fb, entry + PCI_MSIX_ENTRY_DATA, 4, data);
	fake_mmio_write(fb, entry + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, masked);
}

static uint64_t guest_virtio_structure(struct guest_virtio *g, unsigned int cap)
{
	unsigned int bar = guest_pci_read(g->fb, g->slot, cap + VIRTIO_PCI_CAP_BAR, 1);

	return guest_pci_bar(g->fb, g->slot, bar) +
	       guest_pci_read(g->fb, g->slot, cap + VIRTIO_PCI_CAP_OFFSET, 4);
}

static void guest_virtio_cap(struct guest_virtio *g, unsigned int cap)
{
	switch (guest_pci_read(g->fb, g->slot, cap + VIRTIO_PCI_CAP_CFG_TYPE, 1)) {
	case VIRTIO_PCI_CAP_COMMON_CFG:
		g->common = guest_virtio_structure(g, cap);
		break;
	case VIRTIO_PCI_CAP_NOTIFY_CFG:
		g->notify = guest_virtio_structure(g, cap);
		g->notify_multiplier =
			guest_pci_read(g->fb, g->slot, cap + VIRTIO_PCI_NOTIFY_CAP_MULT, 4);
		break;
	case VIRTIO_PCI_CAP_ISR_CFG:
		g->isr = guest_virtio_structure(g, cap);
		break;
	case VIRTIO_PCI_CAP_DEVICE_CFG:
		g->device = guest_virtio_structure(g, cap);
		break;
	case VIRTIO_PCI_CAP_PCI_CFG:
		g->cfg_cap = cap;
		break;
	}
}

void guest_virtio_find(struct guest_virtio *g, struct fake_board *fb, unsigned int slot)
{
	unsigned int cap = 0;
	uint32_t table;

	*g = (struct guest_virtio){ .fb = fb, .slot = slot };
	assert_int_equal(guest_pci_read(fb, slot, PCI_VENDOR_ID, 2), 0x1af4);
	while ((cap = guest_pci_cap(fb, slot, PCI_CAP_ID_VNDR, cap)))
		guest_virtio_cap(g, cap);
	assert_true(g->common && g->isr && g->notify);
	g->msix_cap = guest_pci_cap(fb, slot, PCI_CAP_ID_MSIX, 0);
	assert_int_not_equal(g->msix_cap, 0);
	table = guest_pci_read(fb, slot, g->msix_cap + PCI_MSIX_TABLE, 4);
	g->msix = guest_pci_bar(fb, slot, table & 7) + (table & ~7u);
}

uint32_t guest_virtio_read(struct guest_virtio *g, unsigned int off, unsigned int size)
{
	return (uint32_t)fake_mmio_read(g->fb, g->common + off, size);
}

void guest_virtio_write(struct guest_virtio *g, unsigned int off, unsigned int size, uint32_t val)
{
	fake_mmio_write(g->fb, g->common + off, size, val);
}

uint8_t guest_virtio_status(struct guest_virtio *g)
{
	return (uint8_t)guest_virtio_read(g, VIRTIO_PCI_COMMON_STATUS, 1);
}

static void guest_virtio_add_status(struct guest_virtio *g, uint8_t bits)
{
	guest_virtio_write(g, VIRTIO_PCI_COMMON_STATUS, 1, guest_virtio_status(g) | bits);
}

uint64_t guest_virtio_features(struct guest_virtio *g)
{
	uint64_t features;

	guest_virtio_write(g, VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	features = (uint64_t)guest_virtio_read(g, VIRTIO_PCI_COMMON_DF, 4) << 32;
	guest_virtio_write(g, VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
	return features | guest_virtio_read(g, VIRTIO_PCI_COMMON_DF, 4);
}

bool guest_virtio_negotiate(struct guest_virtio *g, uint64_t features)
{
	guest_pci_write(g->fb, g->slot, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(guest_virtio_status(g), 0);
	guest_virtio_add_status(g, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	guest_virtio_add_status(g, VIRTIO_CONFIG_S_DRIVER);
	for (uint32_t word = 0; word < 2; word++) {
		guest_virtio_write(g, VIRTIO_PCI_COMMON_GFSELECT, 4, word);
		guest_virtio_write(g, VIRTIO_PCI_COMMON_GF, 4, (uint32_t)(features >> 32 * word));
	}
	guest_virtio_add_status(g, VIRTIO_CONFIG_S_FEATURES_OK);
	return guest_virtio_status(g) & VIRTIO_CONFIG_S_FEATURES_OK;
}

void guest_virtio_queue(struct guest_virtio *g, unsigned int q, uint64_t base)
{
	struct guest_ring *r = &g->rings[q];

	guest_ring_init(r, g->fb->mem, GUEST_VIRTIO_RING_SIZE, base);
	guest_msix_set(g->fb, g->msix + 16ull * (q + 1), GUEST_MSI_ADDR, GUEST_MSI_DATA + q + 1,
		       false);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_SIZE, 2, GUEST_VIRTIO_RING_SIZE);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_MSIX, 2, q + 1);
	assert_int_equal(guest_virtio_read(g, VIRTIO_PCI_COMMON_Q_MSIX, 2), q + 1);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_DESCLO, 4, (uint32_t)r->desc);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_AVAILLO, 4, (uint32_t)r->avail);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_USEDLO, 4, (uint32_t)r->used);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

bool guest_virtio_start(struct guest_virtio *g, uint64_t features, unsigned int nqueues)
{
	if (!guest_virtio_negotiate(g, features))
		return false;
	guest_pci_write(g->fb, g->slot, g->msix_cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	guest_msix_set(g->fb, g->msix, GUEST_MSI_ADDR, GUEST_MSI_DATA, false);
	guest_virtio_write(g, VIRTIO_PCI_COMMON_MSIX, 2, 0);
	for (unsigned int q = 0; q < nqueues; q++)
		guest_virtio_queue(g, q, GUEST_VIRTIO_RINGS + 0x1000ull * q);
	guest_virtio_add_status(g, VIRTIO_CONFIG_S_DRIVER_OK);
	return guest_virtio_status(g) & VIRTIO_CONFIG_S_DRIVER_OK;
}

void guest_virtio_kick(struct guest_virtio *g, unsigned int q)
{
	uint64_t one = 1, addr = g->notify;

	guest_virtio_write(g, VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
	addr += (uint64_t)guest_virtio_read(g, VIRTIO_PCI_COMMON_Q_NOFF, 2) * g->notify_multiplier;
	for (unsigned int i = 0; i < g->fb->nioeventfds; i++) {
		if (g->fb->ioeventfds[i].addr == addr) {
			assert_int_equal(write(g->fb->ioeventfds[i].fd, &one, sizeof(one)),
					 sizeof(one));
			return;
		}
	}
	fake_mmio_write(g->fb, addr, 2, q);
}

unsigned int guest_virtio_irqs(struct guest_virtio *g, unsigned int vector)
{
	uint64_t count;

	for (int i = 0; i < FAKE_IRQFDS; i++) {
		const struct fake_irqfd *f = &g->fb->irqfds[i];

		if (f->used && f->fd >= 0 && f->msg.data == GUEST_MSI_DATA + vector)
			return read(f->fd, &count, sizeof(count)) < 0 ? 0 : (unsigned int)count;
	}
	return 0;
}
