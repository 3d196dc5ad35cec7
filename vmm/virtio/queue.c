// SPDX-License-Identifier: MIT
/*
 * The split virtqueue: VIRTIO 1.2, section 2.7. Runs on the thread that owns the queue (an I/O worker).
 *
 * The driver writes the rings at any time from another CPU, so each word of them is read once, and what
 * was read is checked and used. The order of accesses that the section asks for:
 *
 *	avail->idx	acquire	before the ring entry and the descriptors that it covers
 *	used->idx	release	after the used elements (seq_cst is that, too)
 *	seq_cst		publishing used->idx, then reading used_event or avail->flags; and publishing
 *			avail_event or used->flags, then reading avail->idx again: either this side sees
 *			the other's index or the other sees this side's wish for an event. (A fence would
 *			do, but gcc's ThreadSanitizer has none.)
 */
#include "vmm/virtio/queue.h"

#include <errno.h>
#include <linux/virtio_ring.h>
#include <string.h>

#define VIRTQ_DESC_SIZE sizeof(struct vring_desc)
#define VIRTQ_BYTES_MAX UINT32_MAX /* section 2.7.5.1.1: no chain over 2^32 bytes */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the rings are little-endian");

static struct vring_avail *virtq_avail(const struct virtq *q)
{
	return q->avail_ptr;
}

static struct vring_used *virtq_used(const struct virtq *q)
{
	return q->used_ptr;
}

/* section 2.7.6: behind the available ring */
static uint16_t *virtq_used_event(const struct virtq *q)
{
	return &virtq_avail(q)->ring[q->size];
}

/* section 2.7.8: behind the used ring */
static uint16_t *virtq_avail_event(const struct virtq *q)
{
	return (uint16_t *)&virtq_used(q)->ring[q->size];
}

void virtq_reset(struct virtq *q)
{
	const struct gmem *gmem = q->gmem;

	memset(q, 0, sizeof(*q));
	q->gmem = gmem;
}

static int virtq_area(const struct virtq *q, const char *name, uint64_t gpa, size_t size,
		      unsigned int align, void **ret_ptr, struct err *e)
{
	void *p;

	if (gpa & (align - 1))
		return err_set(e, EPROTO, "%s at 0x%llx is not aligned to %u", name,
			       (unsigned long long)gpa, align);
	p = gmem_ptr(q->gmem, gpa, size);
	if (!p)
		return err_set(e, EPROTO, "%s at 0x%llx, %zu bytes, is not RAM", name,
			       (unsigned long long)gpa, size);
	*ret_ptr = p;
	return 0;
}

int virtq_start(struct virtq *q, struct err *e)
{
	size_t n = q->size;
	int ret;

	if (!is_power_of_two(n) || n > VIRTQ_SIZE_MAX)
		return err_set(e, EPROTO, "queue size %zu", n);
	ret = virtq_area(q, "descriptor table", q->desc, n * VIRTQ_DESC_SIZE, 16, &q->desc_ptr, e);
	if (ret < 0)
		return ret;
	ret = virtq_area(q, "available ring", q->avail, 6 + 2 * n, 2, &q->avail_ptr, e);
	if (ret < 0)
		return ret;
	return virtq_area(q, "used ring", q->used, 6 + 8 * n, 4, &q->used_ptr, e);
}

/*
 * A descriptor, read once: behind the barrier the compiler must take the copy for changed, so that it
 * cannot go back to the guest's memory. An indirect table may have any alignment.
 */
static struct vring_desc virtq_load_desc(const void *table, unsigned int i)
{
	struct vring_desc d;

	memcpy(&d, (const uint8_t *)table + i * VIRTQ_DESC_SIZE, sizeof(d));
	__asm__ volatile("" : "+m"(d) : : "memory");
	return d;
}

/* A walk along one chain; table changes once, when an indirect descriptor is met. */
struct virtq_walk {
	const void *table;
	uint32_t entries; /* of the table */
	bool in_indirect;
	uint64_t bytes;
};

static const char *virtq_enter_indirect(const struct virtq *q, struct virtq_walk *w,
					const struct vring_desc *d)
{
	if (!q->indirect)
		return "indirect descriptor without VIRTIO_F_INDIRECT_DESC";
	if (w->in_indirect)
		return "indirect descriptor inside of an indirect table";
	if (d->flags & VRING_DESC_F_NEXT)
		return "indirect descriptor with NEXT";
	if (!d->len || d->len % VIRTQ_DESC_SIZE)
		return "indirect table of a wrong length";
	w->table = gmem_ptr(q->gmem, d->addr, d->len);
	if (!w->table)
		return "indirect table outside of RAM";
	w->entries = d->len / VIRTQ_DESC_SIZE;
	w->in_indirect = true;
	return NULL;
}

/* A buffer of the chain. One of no bytes is legal, needs no memory and gets no segment. */
static const char *virtq_add_buffer(const struct virtq *q, struct virtq_req *r,
				    struct virtq_walk *w, const struct vring_desc *d)
{
	bool write = d->flags & VRING_DESC_F_WRITE;
	struct iovec *iov = &r->iov[r->nout + r->nin];

	if (!write && r->nin)
		return "readable descriptor behind a writable one";
	if (!d->len)
		return NULL;
	w->bytes += d->len;
	if (w->bytes > VIRTQ_BYTES_MAX)
		return "chain of more than 2^32 bytes";
	iov->iov_base = gmem_ptr(q->gmem, d->addr, d->len);
	iov->iov_len = d->len;
	if (!iov->iov_base)
		return "buffer outside of RAM";
	if (write)
		r->nin++;
	else
		r->nout++;
	return NULL;
}

/* The chain at r->head into r->iov. NULL, or what is wrong with it. */
static const char *virtq_read_chain(const struct virtq *q, struct virtq_req *r)
{
	struct virtq_walk w = { .table = q->desc_ptr, .entries = q->size };
	unsigned int i = r->head;
	const char *why;

	/* one step a descriptor, plus one into the indirect table: also what ends a loop */
	for (unsigned int steps = 0; steps <= VIRTQ_SEGS_MAX; steps++) {
		struct vring_desc d = virtq_load_desc(w.table, i);

		if (d.flags & VRING_DESC_F_INDIRECT) {
			why = virtq_enter_indirect(q, &w, &d);
			if (why)
				return why;
			i = 0;
			continue;
		}
		if (steps == VIRTQ_SEGS_MAX && !w.in_indirect)
			break;
		why = virtq_add_buffer(q, r, &w, &d);
		if (why || !(d.flags & VRING_DESC_F_NEXT))
			return why;
		i = d.next;
		if (i >= w.entries)
			return "next descriptor out of range";
	}
	return "chain too long or looped";
}

static int virtq_malformed(struct virtq *q, const char *what, const char **why)
{
	q->broken = true;
	*why = what;
	return -EPROTO;
}

int virtq_pop(struct virtq *q, struct virtq_req *r, const char **why)
{
	uint16_t idx, waiting;
	const char *bad;

	if (q->broken)
		return virtq_malformed(q, "queue is broken", why);
	idx = __atomic_load_n(&virtq_avail(q)->idx, __ATOMIC_ACQUIRE);
	waiting = (uint16_t)(idx - q->avail_idx);
	if (!waiting)
		return 0;
	if (waiting > q->size)
		return virtq_malformed(q, "available index jumped", why);
	r->head = __atomic_load_n(&virtq_avail(q)->ring[q->avail_idx & (q->size - 1)],
				  __ATOMIC_RELAXED);
	r->nout = r->nin = 0;
	if (r->head >= q->size)
		return virtq_malformed(q, "head descriptor out of range", why);
	bad = virtq_read_chain(q, r);
	if (bad)
		return virtq_malformed(q, bad, why);
	q->avail_idx++;
	return 1;
}

bool virtq_waits(const struct virtq *q)
{
	return !q->broken &&
	       __atomic_load_n(&virtq_avail(q)->idx, __ATOMIC_RELAXED) != q->avail_idx;
}

void virtq_unpop(struct virtq *q, uint16_t n)
{
	q->avail_idx = (uint16_t)(q->avail_idx - n);
}

void virtq_adopt(struct virtq *q, uint16_t avail_idx)
{
	q->avail_idx = avail_idx;
	q->used_idx = __atomic_load_n(&virtq_used(q)->idx, __ATOMIC_ACQUIRE);
	q->signalled_used = q->used_idx;
}

void virtq_push(struct virtq *q, uint16_t head, uint32_t written)
{
	struct vring_used_elem *u = &virtq_used(q)->ring[q->used_idx & (q->size - 1)];

	__atomic_store_n(&u->id, head, __ATOMIC_RELAXED);
	__atomic_store_n(&u->len, written, __ATOMIC_RELAXED);
	q->used_idx++;
}

bool virtq_flush(struct virtq *q)
{
	uint16_t old = q->signalled_used, new = q->used_idx;
	uint16_t event;

	if (old == new)
		return false;
	__atomic_store_n(&virtq_used(q)->idx, new, __ATOMIC_SEQ_CST);
	q->signalled_used = new;
	if (!q->event_idx)
		return !(__atomic_load_n(&virtq_avail(q)->flags, __ATOMIC_SEQ_CST) &
			 VRING_AVAIL_F_NO_INTERRUPT);
	event = __atomic_load_n(virtq_used_event(q), __ATOMIC_SEQ_CST);
	return vring_need_event(event, new, old);
}

bool virtq_kick_enable(struct virtq *q, bool enable)
{
	if (q->broken)
		return false;
	if (q->event_idx && enable)
		__atomic_store_n(virtq_avail_event(q), q->avail_idx, __ATOMIC_SEQ_CST);
	else if (!q->event_idx)
		__atomic_store_n(&virtq_used(q)->flags, enable ? 0 : VRING_USED_F_NO_NOTIFY,
				 __ATOMIC_SEQ_CST);
	return enable && __atomic_load_n(&virtq_avail(q)->idx, __ATOMIC_SEQ_CST) != q->avail_idx;
}
