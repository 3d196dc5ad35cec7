// SPDX-License-Identifier: MIT
/*
 * MSI-X: PCI Local Bus 3.0, section 6.8.2. The table's registers and what they make of each vector (vector.h):
 * it is sent while MSI-X is enabled, neither the function nor the vector is masked, and the function is a bus
 * master. The table is in a BAR of ours, or in one of a device that hands its accesses on. Registers: under
 * machine.lock.
 */
#include <assert.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/pci/host.h"
#include "vmm/pci/vector.h"

#define MSIX_BAR_SIZE 4096u
#define MSIX_PBA 0x800u /* MSIX_VECTORS_MAX table entries of 16 bytes end there */

_Static_assert(MSIX_VECTORS_MAX *PCI_MSIX_ENTRY_SIZE == MSIX_PBA, "table and PBA meet");

struct msix_entry {
	uint32_t word[4]; /* address low, address high, data, control */
};

struct msix {
	struct board *board; /* borrowed */
	unsigned int cap, nvectors;
	bool needs_master; /* not of a chip of the host: that one keeps to its own command register */
	atomic_bool enabled; /* mirrors the capability, for other threads */
	struct log_limit limit;
	struct msix_entry *entries;  /* owned */
	struct pci_vector vectors[]; /* the same index */
};

static void msix_attach(struct msix *m, unsigned int vector)
{
	const uint32_t *word = m->entries[vector].word;
	struct msi_msg msg = { .addr = (uint64_t)word[1] << 32 | word[0], .data = word[2] };
	struct err e = { 0 };

	if (pci_vector_attach(m->board, &m->vectors[vector], &msg, &e) < 0)
		log_limited(m->board->log, &m->limit, "MSI-X vector %u: %s", vector, e.msg);
}

static uint16_t msix_control(const struct pci_dev *p)
{
	return pci_get16(p, p->msix->cap + PCI_MSIX_FLAGS);
}

static bool msix_sendable(const struct pci_dev *p, unsigned int vector)
{
	uint16_t control = msix_control(p);

	if (p->msix->needs_master && !pci_is_master(p))
		return false;
	return control & PCI_MSIX_FLAGS_ENABLE && !(control & PCI_MSIX_FLAGS_MASKALL) &&
	       !(p->msix->entries[vector].word[3] & PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

void msix_cfg_written(struct pci_dev *p)
{
	struct msix *m = p->msix;

	if (!m)
		return;
	atomic_store(&m->enabled, msix_control(p) & PCI_MSIX_FLAGS_ENABLE);
	for (unsigned int i = 0; i < m->nvectors; i++) {
		bool sendable = msix_sendable(p, i);

		if (sendable && !m->vectors[i].attached)
			msix_attach(m, i);
		else if (!sendable)
			pci_vector_detach(m->board, &m->vectors[i]);
	}
}

static uint32_t msix_table_dword(const struct msix *m, uint64_t off)
{
	uint64_t vector = off / PCI_MSIX_ENTRY_SIZE;

	return vector < m->nvectors ? m->entries[vector].word[off / 4 % 4] : 0;
}

static uint32_t msix_pba_dword(const struct msix *m, uint64_t off)
{
	uint64_t first = off / 8 * 64;

	if (first >= m->nvectors)
		return 0;
	return (uint32_t)(pci_vectors_pending(&m->vectors[first],
					      (unsigned int)MIN(64ull, m->nvectors - first)) >>
			  (off % 8 * 8));
}

uint64_t msix_table_read(const struct pci_dev *p, uint64_t off, unsigned int size)
{
	uint64_t val = msix_table_dword(p->msix, off);

	return size == 8 ? val | (uint64_t)msix_table_dword(p->msix, off + 4) << 32 : val;
}

uint64_t msix_pba_read(const struct pci_dev *p, uint64_t off, unsigned int size)
{
	uint64_t val = msix_pba_dword(p->msix, off);

	return size == 8 ? val | (uint64_t)msix_pba_dword(p->msix, off + 4) << 32 : val;
}

static void msix_write_dword(struct pci_dev *p, uint64_t off, uint32_t val)
{
	uint64_t vector = off / PCI_MSIX_ENTRY_SIZE;
	struct msix *m = p->msix;

	if (vector >= m->nvectors)
		return;
	if (off / 4 % 4 == 3)
		val &= PCI_MSIX_ENTRY_CTRL_MASKBIT;
	else if (off / 4 % 4 == 0)
		val &= ~3u;
	m->entries[vector].word[off / 4 % 4] = val;
	if (msix_sendable(p, (unsigned int)vector))
		msix_attach(m, (unsigned int)vector);
	else
		pci_vector_detach(m->board, &m->vectors[vector]);
}

/* An 8-byte write is one change of address or of data and mask: the mask bit comes last. */
void msix_table_write(struct pci_dev *p, uint64_t off, unsigned int size, uint64_t val)
{
	msix_write_dword(p, off, (uint32_t)val);
	if (size == 8)
		msix_write_dword(p, off + 4, (uint32_t)(val >> 32));
}

static uint64_t msix_read(void *dev, uint64_t off, unsigned int size)
{
	off = align_down(off, 4);
	return off < MSIX_PBA ? msix_table_read(dev, off, size)
			      : msix_pba_read(dev, off - MSIX_PBA, size);
}

static void msix_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	off = align_down(off, 4);
	if (off < MSIX_PBA)
		msix_table_write(dev, off, size, val);
}

static const struct region_ops msix_region_ops = {
	.read = msix_read,
	.write = msix_write,
	.min_size = 4,
	.max_size = 8,
};

int msix_init_at(struct pci_dev *p, struct board *board, unsigned int cap, unsigned int nvectors,
		 struct err *e)
{
	uint16_t writable = PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL;
	struct msix *m;
	int r;

	assert(nvectors);
	m = calloc(1, sizeof(*m) + nvectors * sizeof(m->vectors[0]));
	if (m)
		m->entries = calloc(nvectors, sizeof(m->entries[0]));
	if (!m || !m->entries) {
		free(m);
		return err_set(e, ENOMEM, "MSI-X vectors");
	}
	m->board = board;
	m->nvectors = nvectors;
	m->cap = cap;
	p->msix = m;
	r = pci_vectors_open(m->vectors, nvectors, e);
	if (r < 0)
		return r;
	pci_set16(p, cap + PCI_MSIX_FLAGS, (uint16_t)(nvectors - 1));
	memcpy(p->wmask + cap + PCI_MSIX_FLAGS, &writable, sizeof(writable));
	return 0;
}

int msix_init(struct pci_dev *p, struct board *board, unsigned int bar, unsigned int nvectors,
	      struct err *e)
{
	unsigned int cap;
	int r;

	assert(nvectors <= MSIX_VECTORS_MAX);
	cap = pci_add_cap(p, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);
	r = msix_init_at(p, board, cap, nvectors, e);
	if (r < 0)
		return r;
	p->msix->needs_master = true;
	pci_set32(p, cap + PCI_MSIX_TABLE, bar);
	pci_set32(p, cap + PCI_MSIX_PBA, MSIX_PBA | bar);
	pci_add_bar(p, bar, MSIX_BAR_SIZE, false, &msix_region_ops, p);
	return 0;
}

/* Power-on: all vectors masked, nothing pending. The capability's bits are cleared already. */
void msix_reset(struct pci_dev *p)
{
	struct msix *m = p->msix;

	if (!m)
		return;
	atomic_store(&m->enabled, false);
	for (unsigned int i = 0; i < m->nvectors; i++) {
		pci_vector_reset(m->board, &m->vectors[i]);
		m->entries[i] = (struct msix_entry){ .word[3] = PCI_MSIX_ENTRY_CTRL_MASKBIT };
	}
}

void msix_free(struct pci_dev *p)
{
	if (!p->msix)
		return;
	pci_vectors_close(p->msix->board, p->msix->vectors, p->msix->nvectors);
	free(p->msix->entries);
	free(p->msix);
	p->msix = NULL;
}

void msix_notify(struct pci_dev *p, unsigned int vector)
{
	if (vector < msix_count(p) && msix_enabled(p))
		pci_vector_signal(&p->msix->vectors[vector]);
}

int msix_eventfd(struct pci_dev *p, unsigned int vector)
{
	return vector < msix_count(p) ? p->msix->vectors[vector].fd : -1;
}

bool msix_enabled(const struct pci_dev *p)
{
	return p->msix && atomic_load(&p->msix->enabled);
}

unsigned int msix_count(const struct pci_dev *p)
{
	return p->msix ? p->msix->nvectors : 0;
}
