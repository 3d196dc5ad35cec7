// SPDX-License-Identifier: MIT
/*
 * Virtio over PCI, modern and non-transitional: VIRTIO 1.2, section 4.1. BAR 0 has the structures that the
 * vendor capabilities point to, BAR 1 MSI-X. A driver without MSI-X gets INTA# and the ISR byte: section
 * 4.1.5.3. Registers under machine.lock; notify_* also on the worker, for which the vectors and the ISR byte
 * are atomic, and which has the pin moved by the control loop.
 */
#include "vmm/virtio/virtio.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "vmm/pci/pci.h"

#define VIRTIO_PCI_VENDOR 0x1af4
#define VIRTIO_PCI_DEVICE(id) (uint16_t)(0x1040 + (id)) /* section 4.1.2 */

enum { VIRTIO_BAR, VIRTIO_BAR_MSIX };
#define VIRTIO_BAR_SIZE 0x4000

/* BAR 0, a page a structure */
#define VIRTIO_COMMON 0x0000
#define VIRTIO_ISR 0x1000
#define VIRTIO_DEVICE 0x2000
#define VIRTIO_NOTIFY 0x3000
#define VIRTIO_PAGE(off) ((off) & ~0xfffull)

#define VIRTIO_NOTIFY_MULTIPLIER 4

#define VIRTIO_ISR_QUEUE 1
#define VIRTIO_ISR_CONFIG 2

struct virtio_pci {
	struct pci_dev pci;
	struct virtio_dev *v; /* the owner */
	uint32_t device_feature_select, driver_feature_select;
	uint16_t queue_select;
	atomic_ushort config_vector;
	atomic_ushort queue_vectors[VIRTIO_QUEUES_MAX];
	atomic_uchar isr;
	int intx_fd;			/* owned eventfd: the ISR byte has changed */
	struct board_watch *intx_watch; /* of it */
	unsigned int cfg_cap;		/* VIRTIO_PCI_CAP_PCI_CFG's offset */
	bool live;			/* kicks are wanted as ioeventfds … */
	bool direct[VIRTIO_QUEUES_MAX]; /* … which of them are registered … */
	uint64_t direct_base;		/* … for BAR 0 there */
	struct log_limit limit;
};

static struct virtio_pci *virtio_pci_of(struct virtio_dev *v)
{
	return v->transport_data;
}

/* --- common configuration: section 4.1.4.3 ------------------------------------------------------- */

static struct virtio_queue *virtio_pci_queue(const struct virtio_pci *t)
{
	return t->queue_select < t->v->ops->nqueues ? &t->v->queues[t->queue_select] : NULL;
}

/* The selected queue, where its set-up may still be written. */
static struct virtio_queue *virtio_pci_setup(const struct virtio_pci *t)
{
	struct virtio_queue *q = virtio_pci_queue(t);

	return q && !q->enabled && !(t->v->status & VIRTIO_CONFIG_S_DRIVER_OK) ? q : NULL;
}

static uint32_t virtio_word(uint64_t v, uint32_t word)
{
	return word > 1 ? 0 : (uint32_t)(v >> (32 * word));
}

static void virtio_set_half(uint64_t *v, bool high, uint32_t half)
{
	unsigned int shift = high ? 32 : 0;

	*v = (*v & ~((uint64_t)UINT32_MAX << shift)) | (uint64_t)half << shift;
}

static void virtio_pci_fill_queue(const struct virtio_pci *t, struct virtio_pci_common_cfg *c)
{
	const struct virtio_queue *q = virtio_pci_queue(t);

	c->queue_msix_vector = htole16(VIRTIO_MSI_NO_VECTOR);
	if (!q)
		return; /* queue_size 0: there is no such queue */
	c->queue_size = htole16(q->vq.size);
	c->queue_msix_vector = htole16(atomic_load(&t->queue_vectors[t->queue_select]));
	c->queue_enable = htole16(q->enabled);
	c->queue_notify_off = htole16(t->queue_select);
	c->queue_desc_lo = htole32(virtio_word(q->vq.desc, 0));
	c->queue_desc_hi = htole32(virtio_word(q->vq.desc, 1));
	c->queue_avail_lo = htole32(virtio_word(q->vq.avail, 0));
	c->queue_avail_hi = htole32(virtio_word(q->vq.avail, 1));
	c->queue_used_lo = htole32(virtio_word(q->vq.used, 0));
	c->queue_used_hi = htole32(virtio_word(q->vq.used, 1));
}

static void virtio_pci_read_common(struct virtio_pci *t, size_t off, void *data, size_t len)
{
	const struct virtio_dev *v = t->v;
	struct virtio_pci_common_cfg c = {
		.device_feature_select = htole32(t->device_feature_select),
		.device_feature =
			htole32(virtio_word(v->device_features, t->device_feature_select)),
		.guest_feature_select = htole32(t->driver_feature_select),
		.guest_feature = htole32(virtio_word(v->driver_features, t->driver_feature_select)),
		.msix_config = htole16(atomic_load(&t->config_vector)),
		.num_queues = htole16(v->ops->nqueues),
		.device_status = virtio_get_status(v),
		.config_generation = (uint8_t)v->config_generation,
		.queue_select = htole16(t->queue_select),
	};

	virtio_pci_fill_queue(t, &c);
	if (range_fits(off, len, sizeof(c)))
		memcpy(data, (const uint8_t *)&c + off, len);
}

/* Writes are of exactly the field's width: section 4.1.3.1. 0: read-only or no field starts there. */
static const uint8_t virtio_common_widths[sizeof(struct virtio_pci_common_cfg)] = {
	[VIRTIO_PCI_COMMON_DFSELECT] = 4,  [VIRTIO_PCI_COMMON_GFSELECT] = 4,
	[VIRTIO_PCI_COMMON_GF] = 4,	   [VIRTIO_PCI_COMMON_MSIX] = 2,
	[VIRTIO_PCI_COMMON_STATUS] = 1,	   [VIRTIO_PCI_COMMON_Q_SELECT] = 2,
	[VIRTIO_PCI_COMMON_Q_SIZE] = 2,	   [VIRTIO_PCI_COMMON_Q_MSIX] = 2,
	[VIRTIO_PCI_COMMON_Q_ENABLE] = 2,  [VIRTIO_PCI_COMMON_Q_DESCLO] = 4,
	[VIRTIO_PCI_COMMON_Q_DESCHI] = 4,  [VIRTIO_PCI_COMMON_Q_AVAILLO] = 4,
	[VIRTIO_PCI_COMMON_Q_AVAILHI] = 4, [VIRTIO_PCI_COMMON_Q_USEDLO] = 4,
	[VIRTIO_PCI_COMMON_Q_USEDHI] = 4,
};

/* A vector that does not exist reads back as NO_VECTOR: section 4.1.5.1.2.1. */
static uint16_t virtio_pci_vector(const struct virtio_pci *t, uint32_t val)
{
	return val < msix_count(&t->pci) ? (uint16_t)val : VIRTIO_MSI_NO_VECTOR;
}

static void virtio_pci_set_queue_vector(struct virtio_pci *t, uint16_t vector)
{
	if (!virtio_pci_queue(t) ||
	    atomic_exchange(&t->queue_vectors[t->queue_select], vector) == vector)
		return;
	virtio_vector_changed(t->v, t->queue_select);
}

static void virtio_pci_set_size(const struct virtio_pci *t, struct virtio_queue *q, uint32_t val)
{
	if (is_power_of_two(val) && val <= t->v->ops->queue_max)
		q->vq.size = (uint16_t)val;
}

/* The set-up of the selected queue: fixed from queue_enable until reset. */
static void virtio_pci_write_queue(struct virtio_pci *t, size_t off, uint32_t val)
{
	struct virtio_queue *q = virtio_pci_setup(t);

	if (!q)
		return;
	switch (off) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		virtio_pci_set_size(t, q, val);
		break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		q->enabled = val == 1;
		break;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
	case VIRTIO_PCI_COMMON_Q_DESCHI:
		virtio_set_half(&q->vq.desc, off == VIRTIO_PCI_COMMON_Q_DESCHI, val);
		break;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
		virtio_set_half(&q->vq.avail, off == VIRTIO_PCI_COMMON_Q_AVAILHI, val);
		break;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		virtio_set_half(&q->vq.used, off == VIRTIO_PCI_COMMON_Q_USEDHI, val);
		break;
	}
}

static void virtio_pci_write_common(struct virtio_pci *t, size_t off, uint32_t val, size_t len)
{
	if (off >= sizeof(virtio_common_widths) || virtio_common_widths[off] != len)
		return;
	switch (off) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		t->device_feature_select = val;
		break;
	case VIRTIO_PCI_COMMON_GFSELECT:
		t->driver_feature_select = val;
		break;
	case VIRTIO_PCI_COMMON_GF:
		virtio_set_features(t->v, t->driver_feature_select, val);
		break;
	case VIRTIO_PCI_COMMON_MSIX:
		atomic_store(&t->config_vector, virtio_pci_vector(t, val));
		break;
	case VIRTIO_PCI_COMMON_STATUS:
		virtio_set_status(t->v, (uint8_t)val);
		break;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		t->queue_select = (uint16_t)val;
		break;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		virtio_pci_set_queue_vector(t, virtio_pci_vector(t, val));
		break;
	default:
		virtio_pci_write_queue(t, off, val);
	}
}

/* --- BAR 0 ---------------------------------------------------------------------------------------- */

static void virtio_pci_write_config(struct virtio_dev *v, size_t off, const void *data, size_t len)
{
	if (range_fits(off, len, v->ops->config_size) && v->ops->config_write)
		v->ops->config_write(v, off, data, len);
}

/* A notification that no ioeventfd took. */
static void virtio_pci_notified(struct virtio_dev *v, size_t off)
{
	size_t q = off / VIRTIO_NOTIFY_MULTIPLIER;

	if (off % VIRTIO_NOTIFY_MULTIPLIER == 0 && q < v->ops->nqueues)
		virtio_kick(v, (unsigned int)q);
}

/* Read to clear, which also lowers the pin: section 4.1.4.5 */
static uint8_t virtio_pci_read_isr(struct virtio_pci *t)
{
	uint8_t isr = atomic_exchange(&t->isr, 0);

	pci_intx_set(&t->pci, false);
	return isr;
}

static uint64_t virtio_pci_read(void *dev, uint64_t off, unsigned int size)
{
	struct virtio_pci *t = dev;
	size_t at = off & 0xfff;
	uint32_t val = 0;

	switch (VIRTIO_PAGE(off)) {
	case VIRTIO_COMMON:
		virtio_pci_read_common(t, at, &val, size);
		break;
	case VIRTIO_ISR:
		if (at == 0)
			val = virtio_pci_read_isr(t);
		break;
	case VIRTIO_DEVICE:
		if (range_fits(at, size, t->v->ops->config_size))
			memcpy(&val, t->v->config + at, size);
		break;
	}
	return val;
}

static void virtio_pci_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct virtio_pci *t = dev;
	size_t at = off & 0xfff;
	uint32_t le = htole32((uint32_t)val);

	switch (VIRTIO_PAGE(off)) {
	case VIRTIO_COMMON:
		virtio_pci_write_common(t, at, (uint32_t)val, size);
		break;
	case VIRTIO_DEVICE:
		virtio_pci_write_config(t->v, at, &le, size);
		break;
	case VIRTIO_NOTIFY:
		virtio_pci_notified(t->v, at);
		break;
	}
}

static const struct region_ops virtio_pci_region_ops = {
	.read = virtio_pci_read,
	.write = virtio_pci_write,
	.min_size = 1,
	.max_size = 4,
};

/* --- VIRTIO_PCI_CAP_PCI_CFG: BAR 0 through configuration space, section 4.1.4.9 ------------------- */

#define VIRTIO_CFG_DATA sizeof(struct virtio_pci_cap)

/* True when [off, off + size) of configuration space meets pci_cfg_data and its window is a valid one. */
static bool virtio_pci_window(const struct virtio_pci *t, unsigned int off, unsigned int size,
			      uint32_t *ret_at, uint32_t *ret_len)
{
	unsigned int data = t->cfg_cap + VIRTIO_CFG_DATA;
	struct virtio_pci_cap cap;
	uint32_t at, len;

	if (off >= data + 4 || off + size <= data)
		return false;
	memcpy(&cap, t->pci.cfg + t->cfg_cap, sizeof(cap));
	at = le32toh(cap.offset);
	len = le32toh(cap.length);
	if (cap.bar != VIRTIO_BAR || (len != 1 && len != 2 && len != 4) || at % len ||
	    !range_fits(at, len, VIRTIO_BAR_SIZE))
		return false;
	*ret_at = at;
	*ret_len = len;
	return true;
}

static void virtio_pci_cfg_reading(struct pci_dev *p, unsigned int off, unsigned int size)
{
	struct virtio_pci *t = container_of(p, struct virtio_pci, pci);
	uint32_t at, len;

	if (virtio_pci_window(t, off, size, &at, &len))
		pci_set32(p, t->cfg_cap + VIRTIO_CFG_DATA, (uint32_t)virtio_pci_read(t, at, len));
}

static void virtio_pci_cfg_written(struct pci_dev *p, unsigned int off, unsigned int size)
{
	struct virtio_pci *t = container_of(p, struct virtio_pci, pci);
	uint32_t at, len, val = 0;

	if (!msix_enabled(p))
		virtio_vector_changed(t->v, UINT_MAX);
	if (!virtio_pci_window(t, off, size, &at, &len))
		return;
	memcpy(&val, p->cfg + t->cfg_cap + VIRTIO_CFG_DATA, len);
	virtio_pci_write(t, at, len, val);
}

/* --- kicks by ioeventfd: they follow BAR 0 ---------------------------------------------------------- */

static void virtio_pci_direct(struct virtio_pci *t, unsigned int q, bool assign)
{
	const struct board *board = t->v->dev.board;
	uint64_t addr = t->direct_base + VIRTIO_NOTIFY + q * VIRTIO_NOTIFY_MULTIPLIER;
	struct err e = { 0 };

	if (t->direct[q] == assign)
		return;
	t->direct[q] = assign;
	if (board->ops->ioeventfd(board->arg, addr, 0, t->v->queues[q].kick_fd, assign, &e) >= 0)
		return;
	/* slower, not broken: virtio_pci_notified does it */
	t->direct[q] = false;
	log_limited(board->log, &t->limit, "%s: queue %u: %s", t->v->dev.id, q, e.msg);
}

static void virtio_pci_sync_direct(struct virtio_pci *t)
{
	const struct pci_bar *b = &t->pci.bars[VIRTIO_BAR];
	bool want = t->live && b->mapped;

	for (unsigned int i = 0; i < t->v->ops->nqueues; i++)
		if (!want || t->direct_base != b->region.base)
			virtio_pci_direct(t, i, false);
	t->direct_base = b->region.base;
	for (unsigned int i = 0; i < t->v->ops->nqueues && want; i++)
		virtio_pci_direct(t, i, t->v->queues[i].enabled);
}

static void virtio_pci_bar_moved(struct pci_dev *p, unsigned int bar, uint64_t old_base,
				 bool old_mapped)
{
	(void)old_base;
	(void)old_mapped;
	if (bar == VIRTIO_BAR)
		virtio_pci_sync_direct(container_of(p, struct virtio_pci, pci));
}

/* section 4.1.5.1 leaves it to PCI: no DMA, so the queues wait; what was kicked meanwhile is looked for */
static void virtio_pci_master(struct pci_dev *p, bool on)
{
	virtio_set_dma(container_of(p, struct virtio_pci, pci)->v, on);
}

static const struct pci_dev_ops virtio_pci_dev_ops = {
	.bar_moved = virtio_pci_bar_moved,
	.master = virtio_pci_master,
	.cfg_reading = virtio_pci_cfg_reading,
	.cfg_written = virtio_pci_cfg_written,
};

/* --- as the core sees it -------------------------------------------------------------------------- */

/* Any thread. The loop looks at the ISR byte when it comes to it: one that was read by then is no interrupt. */
static void virtio_pci_signal_intx(const struct virtio_pci *t)
{
	uint64_t one = 1;

	/* a full counter is a signal too */
	if (write(t->intx_fd, &one, sizeof(one)) < 0)
		return;
}

static void virtio_pci_intx(void *arg)
{
	struct virtio_pci *t = arg;
	uint64_t count;

	if (read(t->intx_fd, &count, sizeof(count)) == sizeof(count))
		pci_intx_set(&t->pci, atomic_load(&t->isr));
}

static void virtio_pci_notify_queue(struct virtio_dev *v, unsigned int q)
{
	struct virtio_pci *t = virtio_pci_of(v);

	if (msix_enabled(&t->pci)) {
		msix_notify(&t->pci, atomic_load(&t->queue_vectors[q]));
		return;
	}
	atomic_fetch_or(&t->isr, VIRTIO_ISR_QUEUE);
	virtio_pci_signal_intx(t);
}

static void virtio_pci_notify_config(struct virtio_dev *v)
{
	struct virtio_pci *t = virtio_pci_of(v);

	atomic_fetch_or(&t->isr, VIRTIO_ISR_CONFIG);
	if (msix_enabled(&t->pci))
		msix_notify(&t->pci, atomic_load(&t->config_vector));
	else
		virtio_pci_signal_intx(t);
}

/* A masked vector's signal stays in its eventfd until it is unmasked, as it would by msix_notify. */
static int virtio_pci_queue_fd(struct virtio_dev *v, unsigned int q)
{
	struct virtio_pci *t = virtio_pci_of(v);

	return msix_enabled(&t->pci) ? msix_eventfd(&t->pci, atomic_load(&t->queue_vectors[q]))
				     : -1;
}

static void virtio_pci_queues_live(struct virtio_dev *v, bool live)
{
	struct virtio_pci *t = virtio_pci_of(v);

	t->live = live;
	virtio_pci_sync_direct(t);
}

static void virtio_pci_reset(struct virtio_dev *v)
{
	struct virtio_pci *t = virtio_pci_of(v);

	t->device_feature_select = 0;
	t->driver_feature_select = 0;
	t->queue_select = 0;
	virtio_pci_read_isr(t);
	atomic_store(&t->config_vector, VIRTIO_MSI_NO_VECTOR);
	for (unsigned int i = 0; i < VIRTIO_QUEUES_MAX; i++)
		atomic_store(&t->queue_vectors[i], VIRTIO_MSI_NO_VECTOR);
}

static void virtio_pci_power_on(struct virtio_dev *v)
{
	pci_dev_reset(&virtio_pci_of(v)->pci);
}

static void virtio_pci_fini(struct virtio_dev *v)
{
	struct virtio_pci *t = virtio_pci_of(v);

	t->live = false;
	virtio_pci_sync_direct(t);
	pci_dev_fini(&t->pci);
	v->dev.board->ops->unwatch(v->dev.board->arg, t->intx_watch);
	if (t->intx_fd >= 0)
		close(t->intx_fd);
	free(t);
	v->transport_data = NULL;
}

static const struct virtio_transport_ops virtio_pci_transport_ops = {
	.notify_queue = virtio_pci_notify_queue,
	.notify_config = virtio_pci_notify_config,
	.queue_fd = virtio_pci_queue_fd,
	.queues_live = virtio_pci_queues_live,
	.reset = virtio_pci_reset,
	.power_on = virtio_pci_power_on,
	.fini = virtio_pci_fini,
};

static uint32_t virtio_pci_class(uint16_t id)
{
	switch (id) {
	case VIRTIO_ID_NET:
		return 0x020000; /* Ethernet */
	case VIRTIO_ID_BLOCK:
		return 0x018000; /* mass storage, other */
	case VIRTIO_ID_CONSOLE:
		return 0x078000; /* communication, other */
	default:
		return 0xff0000; /* no class fits */
	}
}

/* section 4.1.4; len: of the whole capability */
static unsigned int virtio_pci_add_cap(struct virtio_pci *t, uint8_t type, uint32_t offset,
				       uint32_t length, uint8_t len)
{
	unsigned int off = pci_add_cap(&t->pci, PCI_CAP_ID_VNDR, len);

	t->pci.cfg[off + VIRTIO_PCI_CAP_LEN] = len;
	t->pci.cfg[off + VIRTIO_PCI_CAP_CFG_TYPE] = type;
	t->pci.cfg[off + VIRTIO_PCI_CAP_BAR] = VIRTIO_BAR;
	pci_set32(&t->pci, off + VIRTIO_PCI_CAP_OFFSET, offset);
	pci_set32(&t->pci, off + VIRTIO_PCI_CAP_LENGTH, length);
	return off;
}

static void virtio_pci_add_caps(struct virtio_pci *t)
{
	const struct virtio_ops *ops = t->v->ops;
	uint8_t cap_len = sizeof(struct virtio_pci_cap);
	unsigned int off;

	virtio_pci_add_cap(t, VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_COMMON,
			   sizeof(struct virtio_pci_common_cfg), cap_len);
	virtio_pci_add_cap(t, VIRTIO_PCI_CAP_ISR_CFG, VIRTIO_ISR, 1, cap_len);
	if (ops->config_size)
		virtio_pci_add_cap(t, VIRTIO_PCI_CAP_DEVICE_CFG, VIRTIO_DEVICE,
				   (uint32_t)ops->config_size, cap_len);
	off = virtio_pci_add_cap(t, VIRTIO_PCI_CAP_NOTIFY_CFG, VIRTIO_NOTIFY,
				 ops->nqueues * VIRTIO_NOTIFY_MULTIPLIER,
				 sizeof(struct virtio_pci_notify_cap));
	pci_set32(&t->pci, off + VIRTIO_PCI_NOTIFY_CAP_MULT, VIRTIO_NOTIFY_MULTIPLIER);
	/* the driver sets where it looks: bar, offset, length and the data are its own */
	off = virtio_pci_add_cap(t, VIRTIO_PCI_CAP_PCI_CFG, 0, 0,
				 sizeof(struct virtio_pci_cfg_cap));
	t->pci.wmask[off + VIRTIO_PCI_CAP_BAR] = 0xff;
	memset(t->pci.wmask + off + VIRTIO_PCI_CAP_OFFSET, 0xff, 12);
	t->cfg_cap = off;
}

static int virtio_pci_init_irqs(struct virtio_pci *t, struct err *e)
{
	struct board *board = t->v->dev.board;
	int ret;

	/* one for the configuration and one a queue */
	ret = msix_init(&t->pci, board, VIRTIO_BAR_MSIX, t->v->ops->nqueues + 1u, e);
	if (ret < 0)
		return ret;
	pci_add_intx(&t->pci, 1);
	t->intx_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (t->intx_fd < 0)
		return err_errno(e, "eventfd");
	t->intx_watch = board->ops->watch(board->arg, t->intx_fd, virtio_pci_intx, t, e);
	return t->intx_watch ? 0 : -EAGAIN; /* e has the reason */
}

int virtio_init(struct virtio_dev *v, const struct virtio_ops *ops, uint64_t extra_features,
		const char *address, struct err *e)
{
	struct pci_ids ids = {
		.vendor = VIRTIO_PCI_VENDOR,
		.device = VIRTIO_PCI_DEVICE(ops->id),
		.subsystem_vendor = VIRTIO_PCI_VENDOR,
		.subsystem = VIRTIO_PCI_DEVICE(ops->id),
		.class_code = virtio_pci_class(ops->id),
		.revision = 1,
	};
	struct virtio_pci *t;
	int ret = virtio_core_init(v, ops, extra_features, e);

	if (ret < 0)
		return ret;
	t = calloc(1, sizeof(*t));
	if (!t)
		return err_set(e, ENOMEM, "virtio transport");
	t->v = v;
	t->intx_fd = -1;
	v->transport = &virtio_pci_transport_ops;
	v->transport_data = t;
	pci_dev_init(&t->pci, v->dev.id, &ids, &virtio_pci_dev_ops);
	virtio_pci_reset(v);
	pci_add_bar(&t->pci, VIRTIO_BAR, VIRTIO_BAR_SIZE, false, &virtio_pci_region_ops, t);
	virtio_pci_add_caps(t);
	ret = virtio_pci_init_irqs(t, e);
	if (ret < 0)
		return ret;
	return pci_plug(v->dev.board->pci, &t->pci, address, e);
}
