// SPDX-License-Identifier: MIT
/*
 * Interrupts of a passed-through function: each vector of the guest's MSI or MSI-X (vmm/pci/vector.h) is an
 * eventfd that VFIO signals and KVM listens to; no thread of ours is on the way. The host has all vectors of a
 * function on while the guest has MSI or MSI-X on: masking is between the eventfd and KVM, and that one which is
 * masked counts. From vCPUs, under machine.lock.
 *
 * The pin is an eventfd that holds the line of the guest's I/O APIC (board_ops.level_irqfd); VFIO masks the
 * interrupt on the host until the guest has ended it. It is on while neither MSI nor MSI-X is, and the guest lets it:
 * PCI Local Bus 3.0, section 6.2.2.
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
	[VFIO_IRQ_INTX] = VFIO_PCI_INTX_IRQ_INDEX,
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
static int vfio_irqs_set(struct vfio_pci *v, unsigned int index, uint32_t action,
			 struct vfio_irq_fds *fds, unsigned int n)
{
	const struct vfio_irq_set set = {
		.argsz = (uint32_t)(sizeof(fds->set) + n * sizeof(fds->fds[0])),
		.flags = VFIO_IRQ_SET_DATA_EVENTFD | action,
		.index = index,
		.count = n,
	};

	memcpy(fds->set, &set, sizeof(fds->set));
	return vfio_ioctl(v, VFIO_DEVICE_SET_IRQS, fds);
}

static int vfio_irqs_enable(struct vfio_pci *v, unsigned int index, struct vfio_irq_fds *fds,
			    unsigned int n)
{
	return vfio_irqs_set(v, index, VFIO_IRQ_SET_ACTION_TRIGGER, fds, n);
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

/* --- the pin ------------------------------------------------------------------------------------------------ */

/* Nothing stays counted in an eventfd that is used again. */
static void vfio_pin_forget(int fd)
{
	uint64_t count;

	while (read(fd, &count, sizeof(count)) == sizeof(count))
		continue;
}

/* The line is let go. */
static void vfio_pin_off(struct vfio_pci *v)
{
	const struct board *b = v->dev.board;

	vfio_pin_forget(v->raise_fd);
	b->ops->irq_ended(b->arg, (unsigned int)v->gsi);
	vfio_pin_forget(v->ended_fd);
}

static int vfio_pin_on(struct vfio_pci *v)
{
	struct vfio_irq_fds fds;
	int r;

	fds.fds[0] = v->raise_fd;
	r = vfio_irqs_enable(v, VFIO_PCI_INTX_IRQ_INDEX, &fds, 1);
	if (r < 0)
		return r;
	fds.fds[0] = v->ended_fd;
	r = vfio_irqs_set(v, VFIO_PCI_INTX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_UNMASK, &fds, 1);
	if (r < 0)
		vfio_irqs_disable(v, VFIO_PCI_INTX_IRQ_INDEX);
	return r;
}

/* --- which of them ----------------------------------------------------------------------------------------- */

void vfio_irqs_off(struct vfio_pci *v)
{
	int r;

	if (v->irq_mode == VFIO_IRQ_OFF)
		return;
	r = vfio_irqs_disable(v, vfio_irq_index[v->irq_mode]);
	if (r < 0)
		log_limited(v->dev.board->log, &v->limit, "device '%s': interrupts of %s: %s",
			    v->dev.id, v->door.host, strerror(-r));
	if (v->irq_mode == VFIO_IRQ_INTX)
		vfio_pin_off(v);
	v->irq_mode = VFIO_IRQ_OFF;
	v->irq_count = 0;
}

/* A guest must not have both on: MSI-X counts then. */
static enum vfio_irq_mode vfio_irqs_wanted(const struct vfio_pci *v, unsigned int *ret_count)
{
	*ret_count = msix_count(&v->pci);
	if (msix_enabled(&v->pci))
		return VFIO_IRQ_MSIX;
	*ret_count = msi_count(&v->pci);
	if (*ret_count)
		return VFIO_IRQ_MSI;
	if (v->gsi < 0 || v->asleep || pci_get16(&v->pci, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE)
		return VFIO_IRQ_OFF;
	*ret_count = 1;
	return VFIO_IRQ_INTX;
}

/* A pin that is not ours must not be unmasked in the command register: nobody on the host would listen. */
static void vfio_irqs_switch(struct vfio_pci *v, enum vfio_irq_mode mode, unsigned int count)
{
	int r = mode == VFIO_IRQ_INTX ? vfio_pin_on(v) : 0;

	if (r < 0) {
		log_limited(v->dev.board->log, &v->limit, "device '%s': no pin interrupt of %s: %s",
			    v->dev.id, v->door.host, strerror(-r));
		return;
	}
	if (mode == VFIO_IRQ_MSI || mode == VFIO_IRQ_MSIX)
		vfio_irqs_on(v, mode, count);
	v->irq_mode = mode;
	v->irq_count = count;
}

void vfio_irqs_sync(struct vfio_pci *v)
{
	unsigned int count;
	enum vfio_irq_mode was = v->irq_mode, mode = vfio_irqs_wanted(v, &count);

	if (mode == was && count == v->irq_count)
		return;
	vfio_irqs_off(v);
	vfio_irqs_switch(v, mode, count);
	if ((was == VFIO_IRQ_INTX) != (v->irq_mode == VFIO_IRQ_INTX))
		vfio_config_command(v);
}

/* --- what the host has to say -------------------------------------------------------------------------- */

static void vfio_signal_error(struct vfio_pci *v, struct vfio_signal *s, const char *msg)
{
	const struct board *b = v->dev.board;

	(void)s;
	log_limited(b->log, &v->limit, "%s", msg);
	b->ops->notice(b->arg, "device.error", v->dev.id);
	vfio_aer_raise(v);
	if (v->stops)
		b->ops->event(b->arg, BOARD_FAULT, 0, msg);
}

/* The kernel asks every ten seconds, and so does vmm: who was away hears of it. */
static void vfio_signal_request(struct vfio_pci *v, struct vfio_signal *s, const char *msg)
{
	const struct board *b = v->dev.board;

	if (!s->told)
		log_warn(b->log, "%s", msg);
	s->told = true;
	b->ops->notice(b->arg, "device.request", v->dev.id);
}

static const struct vfio_signal_kind {
	unsigned int index;
	const char *text;
	void (*tell)(struct vfio_pci *v, struct vfio_signal *s, const char *msg);
} vfio_signal_error_kind = {
	.index = VFIO_PCI_ERR_IRQ_INDEX,
	.text = "the host reports an error that it cannot correct",
	.tell = vfio_signal_error,
}, vfio_signal_request_kind = {
	.index = VFIO_PCI_REQ_IRQ_INDEX,
	.text = "the host wants the device back",
	.tell = vfio_signal_request,
};

static void vfio_signal_ready(void *arg)
{
	struct vfio_signal *s = arg;
	char msg[200];
	uint64_t count;

	if (read(s->fd, &count, sizeof(count)) != sizeof(count))
		return;
	snprintf(msg, sizeof(msg), "device '%s' (%s): %s", s->v->dev.id, s->v->door.host,
		 s->kind->text);
	s->kind->tell(s->v, s, msg);
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
static int vfio_signal_init(struct vfio_pci *v, struct vfio_signal *s,
			    const struct vfio_signal_kind *kind, struct err *e)
{
	const struct board *b = v->dev.board;
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = kind->index };
	struct vfio_irq_fds fds;

	*s = (struct vfio_signal){ .v = v, .kind = kind, .fd = -1 };
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
	if (vfio_irqs_enable(v, kind->index, &fds, 1) < 0)
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

/* A VF has none, whatever its register says: VFIO knows. */
static int vfio_pin_init(struct vfio_pci *v, const uint8_t *raw, struct err *e)
{
	unsigned int pin = raw[PCI_INTERRUPT_PIN];

	if (pin < 1 || pin > 4 || !vfio_irqs_count(v, VFIO_PCI_INTX_IRQ_INDEX))
		return 0;
	v->raise_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	v->ended_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (v->raise_fd < 0 || v->ended_fd < 0)
		return err_errno(e, "eventfd");
	pci_add_intx(&v->pci, pin);
	return 0;
}

int vfio_irqs_init(struct vfio_pci *v, const uint8_t *raw, struct err *e)
{
	unsigned int msi = vfio_table_find(raw, PCI_CAP_ID_MSI);
	unsigned int msix = vfio_table_find(raw, PCI_CAP_ID_MSIX);
	int r;

	/* the table has hidden what does not fit */
	msi = v->pci.cfg[msi] == PCI_CAP_ID_MSI ? msi : 0;
	msix = v->pci.cfg[msix] == PCI_CAP_ID_MSIX ? msix : 0;
	r = vfio_pin_init(v, raw, e);
	if (msix && r >= 0)
		r = vfio_irqs_msix(v, raw, msix, e);
	if (msi && r >= 0)
		r = vfio_irqs_msi(v, raw, msi, e);
	if (r >= 0)
		r = vfio_signal_init(v, &v->error, &vfio_signal_error_kind, e);
	if (r >= 0)
		r = vfio_signal_init(v, &v->request, &vfio_signal_request_kind, e);
	return r;
}

static void vfio_pin_fini(struct vfio_pci *v)
{
	const struct board *b = v->dev.board;

	if (v->gsi >= 0)
		b->ops->level_irqfd(b->arg, (unsigned int)v->gsi, v->raise_fd, v->ended_fd, false,
				    NULL);
	v->gsi = -1;
	if (v->raise_fd >= 0)
		close(TAKE_FD(v->raise_fd));
	if (v->ended_fd >= 0)
		close(TAKE_FD(v->ended_fd));
}

/* The line is claimed once, on the control loop: vCPUs switch only VFIO's side. */
int vfio_irqs_plugged(struct vfio_pci *v, struct err *e)
{
	const struct board *b = v->dev.board;
	int gsi = pci_intx_gsi(&v->pci), r;

	if (gsi < 0)
		return 0;
	r = b->ops->level_irqfd(b->arg, (unsigned int)gsi, v->raise_fd, v->ended_fd, true, e);
	if (r < 0)
		return r;
	v->gsi = gsi;
	r = vfio_pin_on(v);
	if (r >= 0) {
		v->irq_mode = VFIO_IRQ_INTX;
		v->irq_count = 1;
		vfio_config_command(v);
		return 0;
	}
	if (v->pci.msi || v->pci.msix) {
		log_info(b->log, "device '%s': no pin interrupt of %s: %s", v->dev.id, v->door.host,
			 strerror(-r));
		vfio_pin_fini(v);
		v->pci.cfg[PCI_INTERRUPT_PIN] = v->pci.cfg[PCI_INTERRUPT_LINE] = 0;
		return 0;
	}
	err_set(e, ERR_VFIO_DEVICE,
		"%s has only a pin interrupt (INTx), and the host has none for it: %s",
		v->door.host, strerror(-r));
	return err_hint(
		e, "another driver of the host shares the line, and this device cannot mask its "
		   "own: see /proc/interrupts; another slot has another line");
}

void vfio_irqs_fini(struct vfio_pci *v)
{
	vfio_irqs_off(v);
	vfio_pin_fini(v);
	vfio_signal_fini(&v->error);
	vfio_signal_fini(&v->request);
}
