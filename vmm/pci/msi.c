// SPDX-License-Identifier: MIT
/*
 * MSI: PCI Local Bus 3.0, section 6.8.1: up to 32 messages that differ in the low bits of their data, with or
 * without 64-bit addresses and mask bits. What each vector does is vector.c's. Under machine.lock.
 */
#include <assert.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/pci/host.h"
#include "vmm/pci/vector.h"

struct msi {
	struct board *board; /* borrowed */
	unsigned int cap, nvectors;
	bool is64, maskable;
	struct log_limit limit;
	struct pci_vector vectors[];
};

static unsigned int msi_data_off(const struct msi *m)
{
	return m->cap + (m->is64 ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32);
}

static unsigned int msi_mask_off(const struct msi *m)
{
	return m->cap + (m->is64 ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32);
}

unsigned int msi_cap_size(bool is64, bool maskable)
{
	return (is64 ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32) + 2 + (maskable ? 10 : 0);
}

static uint32_t msi_get32(const struct pci_dev *p, unsigned int off)
{
	return pci_get16(p, off) | (uint32_t)pci_get16(p, off + 2) << 16;
}

unsigned int msi_count(const struct pci_dev *p)
{
	uint16_t flags;

	if (!p->msi)
		return 0;
	flags = pci_get16(p, p->msi->cap + PCI_MSI_FLAGS);
	if (!(flags & PCI_MSI_FLAGS_ENABLE))
		return 0;
	return MIN(1u << ((flags & PCI_MSI_FLAGS_QSIZE) >> 4), p->msi->nvectors);
}

int msi_eventfd(const struct pci_dev *p, unsigned int vector)
{
	return p->msi && vector < p->msi->nvectors ? p->msi->vectors[vector].fd : -1;
}

static struct msi_msg msi_message(const struct pci_dev *p, unsigned int vector)
{
	const struct msi *m = p->msi;
	struct msi_msg msg = { .addr = msi_get32(p, m->cap + PCI_MSI_ADDRESS_LO),
			       .data = pci_get16(p, msi_data_off(m)) };

	if (m->is64)
		msg.addr |= (uint64_t)msi_get32(p, m->cap + PCI_MSI_ADDRESS_HI) << 32;
	msg.data = (msg.data & ~(msi_count(p) - 1)) | vector;
	return msg;
}

void msi_cfg_written(struct pci_dev *p)
{
	struct msi *m = p->msi;
	unsigned int count = msi_count(p);
	uint32_t masked = m && m->maskable ? msi_get32(p, msi_mask_off(m)) : 0;

	for (unsigned int i = 0; m && i < m->nvectors; i++) {
		struct msi_msg msg;
		struct err e = { 0 };

		if (i >= count || masked & BIT(i)) {
			pci_vector_detach(m->board, &m->vectors[i]);
			continue;
		}
		msg = msi_message(p, i);
		if (pci_vector_attach(m->board, &m->vectors[i], &msg, &e) < 0)
			log_limited(m->board->log, &m->limit, "MSI vector %u: %s", i, e.msg);
	}
}

void msi_cfg_reading(struct pci_dev *p, unsigned int off, unsigned int size)
{
	const struct msi *m = p->msi;
	unsigned int at;

	if (!m || !m->maskable)
		return;
	at = msi_mask_off(m) + 4;
	if (off < at + 4 && off + size > at)
		pci_set32(p, at, (uint32_t)pci_vectors_pending(m->vectors, m->nvectors));
}

/* Which bits the guest may write. */
static void msi_writable(struct pci_dev *p)
{
	static const uint8_t address[8] = { 0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	const struct msi *m = p->msi;
	uint32_t mask = (uint32_t)(BIT64(m->nvectors) - 1);
	uint16_t flags = PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE, data = UINT16_MAX;

	memcpy(p->wmask + m->cap + PCI_MSI_FLAGS, &flags, sizeof(flags));
	memcpy(p->wmask + m->cap + PCI_MSI_ADDRESS_LO, address, m->is64 ? 8 : 4);
	memcpy(p->wmask + msi_data_off(m), &data, sizeof(data));
	if (m->maskable)
		memcpy(p->wmask + msi_mask_off(m), &mask, sizeof(mask));
}

int msi_init_at(struct pci_dev *p, struct board *board, unsigned int cap, unsigned int nvectors,
		bool is64, bool maskable, struct err *e)
{
	unsigned int flags = (unsigned int)__builtin_ctz(nvectors) << 1;
	struct msi *m;

	assert(is_power_of_two(nvectors) && nvectors <= MSI_VECTORS_MAX);
	m = calloc(1, sizeof(*m) + nvectors * sizeof(m->vectors[0]));
	if (!m)
		return err_set(e, ENOMEM, "MSI vectors");
	*m = (struct msi){
		.board = board, .cap = cap, .nvectors = nvectors, .is64 = is64, .maskable = maskable
	};
	p->msi = m;
	flags |= (is64 ? PCI_MSI_FLAGS_64BIT : 0) | (maskable ? PCI_MSI_FLAGS_MASKBIT : 0);
	memset(p->cfg + cap + 2, 0, msi_cap_size(is64, maskable) - 2);
	pci_set16(p, cap + PCI_MSI_FLAGS, (uint16_t)flags);
	msi_writable(p);
	return pci_vectors_open(m->vectors, nvectors, e);
}

/* The capability's bits are cleared already, but for the pending ones. */
void msi_reset(struct pci_dev *p)
{
	struct msi *m = p->msi;

	if (!m)
		return;
	if (m->maskable)
		pci_set32(p, msi_mask_off(m) + 4, 0);
	for (unsigned int i = 0; i < m->nvectors; i++)
		pci_vector_reset(m->board, &m->vectors[i]);
}

void msi_free(struct pci_dev *p)
{
	if (!p->msi)
		return;
	pci_vectors_close(p->msi->board, p->msi->vectors, p->msi->nvectors);
	free(p->msi);
	p->msi = NULL;
}
