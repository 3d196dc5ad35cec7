// SPDX-License-Identifier: MIT
/*
 * MSI-X: PCI Local Bus 3.0, section 6.8.2. Each vector is an eventfd that any thread may signal. While
 * the vector can be sent (MSI-X enabled, neither the function nor the vector masked) the board fires the
 * eventfd's message; while it cannot, events stay counted in the eventfd, and that is the pending bit.
 * So masking needs no lock that the signalling thread takes. Registers: under machine.lock.
 */
#include <assert.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/pci/host.h"

#define MSIX_BAR_SIZE 4096u
#define MSIX_PBA 0x800u /* MSIX_VECTORS_MAX table entries of 16 bytes end there */

_Static_assert(MSIX_VECTORS_MAX *PCI_MSIX_ENTRY_SIZE == MSIX_PBA, "table and PBA meet");

struct msix_vector {
	uint32_t entry[4]; /* address low, address high, data, control */
	int fd;		   /* owned eventfd */
	int gsi;	   /* the board's route; -1: none yet */
	bool attached;
};

struct msix {
	struct board *board; /* borrowed */
	unsigned int cap, nvectors;
	atomic_bool enabled; /* mirrors the capability, for other threads */
	struct log_limit limit;
	struct msix_vector vectors[];
};

/* Empty the eventfd; true when there was something in it. */
static bool msix_drain(const struct msix_vector *v)
{
	uint64_t count;

	return read(v->fd, &count, sizeof(count)) == sizeof(count);
}

static void msix_signal(const struct msix_vector *v)
{
	uint64_t one = 1;

	/* fails only when 2^64 - 2 events are counted already: pending it is, then */
	if (write(v->fd, &one, sizeof(one)) < 0)
		return;
}

/* The eventfd is consumed while attached; what a board left in it was fired, so it is not pending. */
static void msix_detach(struct msix *m, struct msix_vector *v)
{
	if (!v->attached)
		return;
	msix_drain(v);
	m->board->ops->irqfd_detach(m->board->arg, v->fd, v->gsi);
	v->attached = false;
}

static void msix_attach(struct msix *m, struct msix_vector *v)
{
	struct msi_msg msg = {
		.addr = (uint64_t)v->entry[1] << 32 | v->entry[0],
		.data = v->entry[2],
	};
	struct err e = { 0 };
	bool pending = !v->attached && msix_drain(v);

	if (m->board->ops->irqfd_attach(m->board->arg, v->fd, &msg, &v->gsi, &e) < 0) {
		log_limited(m->board->log, &m->limit, "MSI-X vector %u: %s",
			    (unsigned int)(v - m->vectors), e.msg);
		/* whether the old message still fires is not known: make sure that it does not */
		msix_detach(m, v);
	} else {
		v->attached = true;
	}
	if (pending)
		msix_signal(v);
}

static uint16_t msix_control(const struct pci_dev *p)
{
	return pci_get16(p, p->msix->cap + PCI_MSIX_FLAGS);
}

static bool msix_sendable(const struct pci_dev *p, const struct msix_vector *v)
{
	uint16_t control = msix_control(p);

	return control & PCI_MSIX_FLAGS_ENABLE && !(control & PCI_MSIX_FLAGS_MASKALL) &&
	       !(v->entry[3] & PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

void msix_cfg_written(struct pci_dev *p)
{
	struct msix *m = p->msix;

	if (!m)
		return;
	atomic_store(&m->enabled, msix_control(p) & PCI_MSIX_FLAGS_ENABLE);
	for (unsigned int i = 0; i < m->nvectors; i++) {
		struct msix_vector *v = &m->vectors[i];
		bool sendable = msix_sendable(p, v);

		if (sendable && !v->attached)
			msix_attach(m, v);
		else if (!sendable)
			msix_detach(m, v);
	}
}

static uint64_t msix_read_pending(struct msix *m, unsigned int first)
{
	struct pollfd fds[64];
	uint64_t bits = 0;
	unsigned int n = 0;

	for (unsigned int i = first; i < MIN(first + 64, m->nvectors); i++)
		fds[n++] = (struct pollfd){ .fd = m->vectors[i].attached ? -1 : m->vectors[i].fd,
					    .events = POLLIN };
	if (!n || poll(fds, n, 0) <= 0)
		return 0;
	for (unsigned int i = 0; i < n; i++)
		if (fds[i].revents & POLLIN)
			bits |= BIT64(i);
	return bits;
}

static uint32_t msix_read_dword(struct msix *m, uint64_t off)
{
	uint64_t vector = off / PCI_MSIX_ENTRY_SIZE, pba = off - MSIX_PBA;

	if (off < MSIX_PBA)
		return vector < m->nvectors ? m->vectors[vector].entry[off / 4 % 4] : 0;
	if (pba * 8 >= MSIX_VECTORS_MAX)
		return 0;
	return (uint32_t)(msix_read_pending(m, (unsigned int)(pba / 8 * 64)) >> (pba % 8 * 8));
}

static uint64_t msix_read(void *dev, uint64_t off, unsigned int size)
{
	struct pci_dev *p = dev;
	uint64_t val;

	off = align_down(off, 4);
	val = msix_read_dword(p->msix, off);
	if (size == 8)
		val |= (uint64_t)msix_read_dword(p->msix, off + 4) << 32;
	return val;
}

static void msix_write_dword(struct pci_dev *p, uint64_t off, uint32_t val)
{
	uint64_t vector = off / PCI_MSIX_ENTRY_SIZE;
	struct msix_vector *v;

	if (vector >= p->msix->nvectors)
		return; /* behind the table, or the PBA: read-only */
	v = &p->msix->vectors[vector];
	if (off / 4 % 4 == 3)
		val &= PCI_MSIX_ENTRY_CTRL_MASKBIT;
	else if (off / 4 % 4 == 0)
		val &= ~3u;
	v->entry[off / 4 % 4] = val;
	if (msix_sendable(p, v))
		msix_attach(p->msix, v);
	else
		msix_detach(p->msix, v);
}

/* An 8-byte write is one change of address or of data and mask: the mask bit comes last. */
static void msix_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	off = align_down(off, 4);
	msix_write_dword(dev, off, (uint32_t)val);
	if (size == 8)
		msix_write_dword(dev, off + 4, (uint32_t)(val >> 32));
}

static const struct region_ops msix_region_ops = {
	.read = msix_read,
	.write = msix_write,
	.min_size = 4,
	.max_size = 8,
};

int msix_init(struct pci_dev *p, struct board *board, unsigned int bar, unsigned int nvectors,
	      struct err *e)
{
	uint16_t writable = PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL;
	struct msix *m;

	assert(nvectors && nvectors <= MSIX_VECTORS_MAX);
	m = calloc(1, sizeof(*m) + nvectors * sizeof(m->vectors[0]));
	if (!m)
		return err_set(e, ENOMEM, "MSI-X vectors");
	m->board = board;
	m->nvectors = nvectors;
	for (unsigned int i = 0; i < nvectors; i++)
		m->vectors[i] = (struct msix_vector){ .fd = -1, .gsi = -1 };
	p->msix = m;
	for (unsigned int i = 0; i < nvectors; i++) {
		m->vectors[i].fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (m->vectors[i].fd < 0)
			return err_errno(e, "eventfd");
	}
	m->cap = pci_add_cap(p, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);
	pci_set16(p, m->cap + PCI_MSIX_FLAGS, (uint16_t)(nvectors - 1));
	memcpy(p->wmask + m->cap + PCI_MSIX_FLAGS, &writable, sizeof(writable));
	pci_set32(p, m->cap + PCI_MSIX_TABLE, bar);
	pci_set32(p, m->cap + PCI_MSIX_PBA, MSIX_PBA | bar);
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
		struct msix_vector *v = &m->vectors[i];

		msix_detach(m, v);
		if (v->gsi >= 0)
			m->board->ops->irqfd_release(m->board->arg, v->gsi);
		v->gsi = -1;
		msix_drain(v);
		memset(v->entry, 0, sizeof(v->entry));
		v->entry[3] = PCI_MSIX_ENTRY_CTRL_MASKBIT;
	}
}

void msix_free(struct pci_dev *p)
{
	if (!p->msix)
		return;
	msix_reset(p);
	for (unsigned int i = 0; i < p->msix->nvectors; i++)
		if (p->msix->vectors[i].fd >= 0)
			close(p->msix->vectors[i].fd);
	free(p->msix);
	p->msix = NULL;
}

void msix_notify(struct pci_dev *p, unsigned int vector)
{
	if (vector < msix_count(p) && msix_enabled(p))
		msix_signal(&p->msix->vectors[vector]);
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
