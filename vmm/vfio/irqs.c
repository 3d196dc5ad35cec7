// SPDX-License-Identifier: MIT
/*
 * Interrupts of a passed-through function: each vector of the guest's MSI or MSI-X (vmm/pci/vector.h) is an
 * eventfd that VFIO signals and KVM listens to; no thread of ours is on the way. The host has all vectors of a
 * function on while the guest has MSI or MSI-X on: masking is between the eventfd and KVM, and that one which is
 * masked counts. From vCPUs, under machine.lock.
 *
 * INTx is not passed on yet.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmm/vfio/vfio_pci.h"

/* struct vfio_irq_set, which ends in its data: the eventfds */
struct vfio_irq_fds {
	uint32_t set[sizeof(struct vfio_irq_set) / sizeof(uint32_t)];
	int fds[VFIO_VECTORS_MAX];
};

_Static_assert(offsetof(struct vfio_irq_fds, fds) == offsetof(struct vfio_irq_set, data),
	       "the eventfds are the data");

static const unsigned int vfio_irq_index[] = {
	[VFIO_IRQ_MSI] = VFIO_PCI_MSI_IRQ_INDEX,
	[VFIO_IRQ_MSIX] = VFIO_PCI_MSIX_IRQ_INDEX,
};

/* --- the host's side ---------------------------------------------------------------------------------------- */

static int vfio_irqs_disable(struct vfio_pci *v, unsigned int index)
{
	struct vfio_irq_set set = { .argsz = sizeof(set),
				    .flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
				    .index = index };

	return vfio_ioctl(v, VFIO_DEVICE_SET_IRQS, &set);
}

/* The first n eventfds of `fds` for the vectors from 0 on. > 0: the host has only so many. */
static int vfio_irqs_enable(struct vfio_pci *v, unsigned int index, struct vfio_irq_fds *fds,
			    unsigned int n)
{
	const struct vfio_irq_set set = {
		.argsz = (uint32_t)(sizeof(fds->set) + n * sizeof(fds->fds[0])),
		.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = index,
		.count = n,
	};

	memcpy(fds->set, &set, sizeof(fds->set));
	return vfio_ioctl(v, VFIO_DEVICE_SET_IRQS, fds);
}

static int vfio_irqs_fd(struct vfio_pci *v, enum vfio_irq_mode mode, unsigned int vector)
{
	return mode == VFIO_IRQ_MSIX ? msix_eventfd(&v->pci, vector) : msi_eventfd(&v->pci, vector);
}

static void vfio_irqs_on(struct vfio_pci *v, enum vfio_irq_mode mode, unsigned int count)
{
	struct vfio_irq_fds fds;
	unsigned int index = vfio_irq_index[mode];
	int r;

	for (unsigned int i = 0; i < count; i++)
		fds.fds[i] = vfio_irqs_fd(v, mode, i);
	r = vfio_irqs_enable(v, index, &fds, count);
	/* vectors beyond those have no interrupt: a driver that uses them all is slower or waits in vain */
	if (r > 0 && (unsigned int)r < count) {
		log_limited(v->dev.board->log, &v->limit,
			    "device '%s': the host has %d of %u interrupts for %s", v->dev.id, r,
			    count, v->door.host);
		r = vfio_irqs_enable(v, index, &fds, (unsigned int)r);
	}
	if (r)
		log_limited(v->dev.board->log, &v->limit, "device '%s': no interrupts of %s: %s",
			    v->dev.id, v->door.host,
			    r < 0 ? strerror(-r) : "the host has none left");
}

void vfio_irqs_off(struct vfio_pci *v)
{
	int r;

	if (v->irq_mode == VFIO_IRQ_OFF)
		return;
	r = vfio_irqs_disable(v, vfio_irq_index[v->irq_mode]);
	if (r < 0)
		log_limited(v->dev.board->log, &v->limit, "device '%s': interrupts of %s: %s",
			    v->dev.id, v->door.host, strerror(-r));
	v->irq_mode = VFIO_IRQ_OFF;
	v->irq_count = 0;
}

/* A guest must not have both on: MSI-X counts then. */
void vfio_irqs_sync(struct vfio_pci *v)
{
	enum vfio_irq_mode mode = VFIO_IRQ_OFF;
	unsigned int count = 0;

	if (msix_enabled(&v->pci)) {
		mode = VFIO_IRQ_MSIX;
		count = msix_count(&v->pci);
	} else if (msi_count(&v->pci)) {
		mode = VFIO_IRQ_MSI;
		count = msi_count(&v->pci);
	}
	if (mode == v->irq_mode && count == v->irq_count)
		return;
	vfio_irqs_off(v);
	if (mode != VFIO_IRQ_OFF)
		vfio_irqs_on(v, mode, count);
	v->irq_mode = mode;
	v->irq_count = count;
}

/* --- what the host has to say -------------------------------------------------------------------------- */

static void vfio_signal_ready(void *arg)
{
	const struct vfio_signal *s = arg;
	const struct vfio_pci *v = s->v;
	char msg[200];
	uint64_t count;

	if (read(s->fd, &count, sizeof(count)) != sizeof(count))
		return;
	snprintf(msg, sizeof(msg), "'%s' (%s): %s", v->dev.id, v->door.host, s->text);
	log_limited(v->dev.board->log, &((struct vfio_pci *)v)->limit, "device %s", msg);
	v->dev.board->ops->notice(v->dev.board->arg, "device", msg);
}

static void vfio_signal_fini(struct vfio_signal *s)
{
	if (s->fd < 0)
		return;
	s->v->dev.board->ops->unwatch(s->v->dev.board->arg, s->watch);
	close(s->fd);
	s->fd = -1;
}

/* Not every device has it; without, the host says nothing. */
static int vfio_signal_init(struct vfio_pci *v, struct vfio_signal *s, unsigned int index,
			    const char *text, struct err *e)
{
	const struct board *b = v->dev.board;
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = index };
	struct vfio_irq_fds fds;

	*s = (struct vfio_signal){ .v = v, .fd = -1, .index = index, .text = text };
	if (vfio_ioctl(v, VFIO_DEVICE_GET_IRQ_INFO, &info) < 0 || !info.count ||
	    !(info.flags & VFIO_IRQ_INFO_EVENTFD))
		return 0;
	s->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (s->fd < 0)
		return err_errno(e, "eventfd");
	s->watch = b->ops->watch(b->arg, s->fd, vfio_signal_ready, s, e);
	if (!s->watch)
		return -ENOMEM;
	fds.fds[0] = s->fd;
	if (vfio_irqs_enable(v, index, &fds, 1) < 0)
		vfio_signal_fini(s);
	return 0;
}

/* --- making them -------------------------------------------------------------------------------------------- */

static unsigned int vfio_irqs_count(struct vfio_pci *v, unsigned int index)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = index };

	return vfio_ioctl(v, VFIO_DEVICE_GET_IRQ_INFO, &info) < 0 ? 0 : info.count;
}

static uint32_t vfio_raw32(const uint8_t *raw, unsigned int off)
{
	uint32_t val;

	memcpy(&val, raw + off, sizeof(val));
	return val;
}

static int vfio_irqs_msix(struct vfio_pci *v, const uint8_t *raw, unsigned int cap, struct err *e)
{
	uint32_t table = vfio_raw32(raw, cap + PCI_MSIX_TABLE);
	uint32_t pba = vfio_raw32(raw, cap + PCI_MSIX_PBA);
	unsigned int size = (vfio_raw32(raw, cap) >> 16 & PCI_MSIX_FLAGS_QSIZE) + 1;
	unsigned int n =
		MIN(MIN(size, VFIO_VECTORS_MAX), vfio_irqs_count(v, VFIO_PCI_MSIX_IRQ_INDEX));

	v->table = (struct vfio_msix_part){ .bar = table & PCI_MSIX_TABLE_BIR,
					    .off = table & PCI_MSIX_TABLE_OFFSET,
					    .size = size * (uint64_t)PCI_MSIX_ENTRY_SIZE };
	v->pba = (struct vfio_msix_part){ .bar = pba & PCI_MSIX_PBA_BIR,
					  .off = pba & PCI_MSIX_PBA_OFFSET,
					  .size = align_up(size, 64) / 8 };
	if (v->table.bar >= PCI_BARS || v->pba.bar >= PCI_BARS || !n)
		return err_set(e, ERR_VFIO_DEVICE, "%s: no such MSI-X table", v->door.host);
	return msix_init_at(&v->pci, v->dev.board, cap, n, e);
}

static int vfio_irqs_msi(struct vfio_pci *v, const uint8_t *raw, unsigned int cap, struct err *e)
{
	unsigned int flags = vfio_raw32(raw, cap) >> 16;
	unsigned int n = 1u << MIN((flags & PCI_MSI_FLAGS_QMASK) >> 1, 5u);
	unsigned int have = vfio_irqs_count(v, VFIO_PCI_MSI_IRQ_INDEX);

	while (n > 1 && n > have)
		n /= 2;
	return msi_init_at(&v->pci, v->dev.board, cap, n, flags & PCI_MSI_FLAGS_64BIT,
			   flags & PCI_MSI_FLAGS_MASKBIT, e);
}

int vfio_irqs_init(struct vfio_pci *v, const uint8_t *raw, struct err *e)
{
	unsigned int msi = vfio_table_find(raw, PCI_CAP_ID_MSI);
	unsigned int msix = vfio_table_find(raw, PCI_CAP_ID_MSIX);
	int r = 0;

	/* the table has hidden what does not fit */
	msi = v->pci.cfg[msi] == PCI_CAP_ID_MSI ? msi : 0;
	msix = v->pci.cfg[msix] == PCI_CAP_ID_MSIX ? msix : 0;
	if (!msi && !msix && vfio_irqs_count(v, VFIO_PCI_INTX_IRQ_INDEX)) {
		err_set(e, ERR_VFIO_DEVICE,
			"%s has only a pin interrupt (INTx), neither MSI nor MSI-X", v->door.host);
		return err_hint(e, "pass a function that has MSI or MSI-X: lspci -vs %s",
				v->door.host);
	}
	if (msix)
		r = vfio_irqs_msix(v, raw, msix, e);
	if (msi && r >= 0)
		r = vfio_irqs_msi(v, raw, msi, e);
	if (r >= 0)
		r = vfio_signal_init(v, &v->error, VFIO_PCI_ERR_IRQ_INDEX,
				     "the host reports an error that it cannot correct", e);
	if (r >= 0)
		r = vfio_signal_init(v, &v->request, VFIO_PCI_REQ_IRQ_INDEX,
				     "the host wants the device back", e);
	return r;
}

void vfio_irqs_fini(struct vfio_pci *v)
{
	vfio_irqs_off(v);
	vfio_signal_fini(&v->error);
	vfio_signal_fini(&v->request);
}
