// SPDX-License-Identifier: MIT
/*
 * Where a guest's bytes are: docs/interop/qcow2.txt, "Cluster mapping". L1 is in memory, L2 in the cache. An L2
 * table that a snapshot has too is copied before it is changed. Under q->lock.
 */
#include "vmm/block/qcow2.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define QCOW2_RESERVED \
	(0x3full << 56 | 0x1fe) /* bits of an L2 entry for a cluster that is not compressed */

/* --- L2 tables ------------------------------------------------------------------------------------------ */

static int qcow2_write_l1(struct qcow2 *q, uint64_t index)
{
	uint64_t at = align_down(index * 8, q->io_align);

	return raw_write_buf(q->b, (uint8_t *)q->l1 + at, q->io_align, q->h.l1_offset + at);
}

/* A table that we alone have, with what is in the old one, for L1 entry index. */
static int qcow2_make_l2(struct qcow2 *q, uint64_t index, uint64_t old)
{
	uint64_t cluster, offset, before = q->l1[index];
	int64_t n = qcow2_alloc(q, 1, &cluster);
	int r;

	if (n < 0)
		return (int)n;
	offset = cluster << q->h.cluster_bits;
	qcow2_cache_forget(&q->l2, offset, q->cluster_size);
	qcow2_cache_forget(&q->refs, offset, q->cluster_size);
	memset(q->table, 0, q->cluster_size);
	r = old ? raw_read(q->b, q->table, q->cluster_size, old) : 0;
	if (r >= 0)
		r = raw_write_buf(q->b, q->table, q->cluster_size, offset);
	if (r >= 0)
		r = qcow2_commit_refs(q);
	if (r < 0) {
		qcow2_unalloc(q, cluster, 1);
		return r;
	}
	q->l1[index] = htobe64(offset | QCOW2_COPIED);
	r = qcow2_write_l1(q, index);
	if (r < 0) { /* it may point there on the disk, so the cluster stays taken */
		q->l1[index] = before;
		return r;
	}
	if (old)
		qcow2_leave(q, old >> q->h.cluster_bits, 1);
	return 0;
}

int64_t qcow2_entries(struct qcow2 *q, uint64_t gc, bool write, uint64_t **ret, uint64_t *ret_count)
{
	uint64_t index = gc >> q->l2_bits, in = gc & (BIT64(q->l2_bits) - 1), entry, table, at;
	void *p;
	int r;

	if (index >= q->h.l1_entries)
		return -ERANGE;
	entry = be64toh(q->l1[index]);
	table = entry & QCOW2_OFFSET_MASK;
	if (entry & ~(QCOW2_OFFSET_MASK | QCOW2_COPIED) || table & (q->cluster_size - 1) ||
	    (table && qcow2_is_vital(q, table >> q->h.cluster_bits)))
		return qcow2_damaged(q);
	if (write && (!table || !(entry & QCOW2_COPIED))) {
		r = qcow2_make_l2(q, index, table);
		if (r < 0)
			return r;
		table = be64toh(q->l1[index]) & QCOW2_OFFSET_MASK;
	}
	*ret_count = BIT64(q->l2_bits) - in;
	if (!table)
		return 0;
	at = table + in * 8;
	r = qcow2_cache_get(q, &q->l2, at, &p);
	if (r < 0)
		return r;
	*ret = p;
	*ret_count = (q->l2.size - (at & (q->l2.size - 1))) / 8;
	return (int64_t)*ret_count;
}

/* --- entries -------------------------------------------------------------------------------------------- */

int qcow2_kind(struct qcow2 *q, uint64_t entry)
{
	uint64_t offset = entry & QCOW2_OFFSET_MASK;

	if (entry & QCOW2_IS_PACKED)
		return QCOW2_PACKED;
	if (entry & QCOW2_RESERVED || offset & (q->cluster_size - 1) ||
	    (q->h.version == 2 && entry & QCOW2_IS_ZERO))
		return qcow2_damaged(q);
	if (offset && qcow2_is_vital(q, offset >> q->h.cluster_bits))
		return qcow2_damaged(q);
	if (entry & QCOW2_IS_ZERO)
		return offset ? QCOW2_ZERO_ALLOC : QCOW2_ZERO;
	return offset ? QCOW2_DATA : QCOW2_NONE;
}

/* "Compressed Clusters Descriptor": the bytes, and the sectors that they are in */
static void qcow2_packed_place(const struct qcow2 *q, uint64_t entry, uint64_t *ret_offset,
			       uint64_t *ret_len)
{
	unsigned int bits = 62 - (q->h.cluster_bits - 8);
	uint64_t sectors = ((entry & ~(QCOW2_COPIED | QCOW2_IS_PACKED)) >> bits) + 1;

	*ret_offset = entry & (BIT64(bits) - 1);
	*ret_len = sectors * BLOCK_SECTOR - (*ret_offset & (BLOCK_SECTOR - 1));
}

void qcow2_leave_entry(struct qcow2 *q, uint64_t entry)
{
	uint64_t offset = entry & QCOW2_OFFSET_MASK, len, first, last;

	if (!(entry & QCOW2_IS_PACKED)) {
		if (offset)
			qcow2_leave(q, offset >> q->h.cluster_bits, 1);
		return;
	}
	qcow2_packed_place(q, entry, &offset, &len);
	first = offset >> q->h.cluster_bits;
	last = (offset + len - 1) >> q->h.cluster_bits;
	qcow2_leave(q, first, last - first + 1);
	if (q->unpacked_entry == entry)
		q->unpacked_entry = 0;
}

int qcow2_unpack(struct qcow2 *q, uint64_t entry)
{
	uint64_t offset, len, start, end;
	int r;

	if (q->unpacked_entry == entry)
		return 0;
	qcow2_packed_place(q, entry, &offset, &len);
	start = align_down(offset, q->io_align);
	end = align_up(offset + len, q->io_align);
	q->unpacked_entry = 0;
	if (offset > QCOW2_OFFSET_MAX)
		return qcow2_damaged(q);
	r = raw_read(q->b, q->packed, end - start, start);
	if (r < 0)
		return r;
	if (inflateReset(&q->z) != Z_OK)
		return -EIO;
	q->z.next_in = q->packed + (offset - start);
	q->z.avail_in = (unsigned int)len;
	q->z.next_out = q->unpacked;
	q->z.avail_out = q->cluster_size;
	r = inflate(&q->z, Z_FINISH);
	/* what follows the stream in its last sector is no error, too much of it neither */
	if ((r != Z_STREAM_END && r != Z_BUF_ERROR) || q->z.avail_out)
		return -EIO;
	q->unpacked_entry = entry;
	return 0;
}

/* --- reading -------------------------------------------------------------------------------------------- */

/* How many of the count entries from p on continue the first: in the same way, and where data is, behind it. */
static uint64_t qcow2_alike(struct qcow2 *q, const uint64_t *p, uint64_t count, int kind)
{
	uint64_t first = be64toh(p[0]), n = 1;

	for (; n < count; n++) {
		uint64_t entry = be64toh(p[n]);
		int k = qcow2_kind(q, entry);

		if (kind == QCOW2_PACKED || k != kind)
			break;
		if (kind == QCOW2_DATA &&
		    (entry & QCOW2_OFFSET_MASK) !=
			    (first & QCOW2_OFFSET_MASK) + (n << q->h.cluster_bits))
			break;
	}
	return n;
}

/* Bytes of clusters that this image has nothing of. */
static int qcow2_map_below(struct qcow2 *q, uint64_t pos, uint64_t len, struct block_extent *ret)
{
	if (q->backing)
		return block_map(q->backing, pos, len, ret);
	*ret = (struct block_extent){ .kind = BLOCK_EXTENT_ZEROES, .len = len };
	return 0;
}

int qcow2_map(struct qcow2 *q, uint64_t pos, uint64_t len, struct block_extent *ret)
{
	uint64_t in = pos & (q->cluster_size - 1), gc = pos >> q->h.cluster_bits;
	uint64_t *p = NULL, count = 0, entry = 0;
	int64_t n = qcow2_entries(q, gc, false, &p, &count);
	int kind = QCOW2_NONE, r;

	if (n < 0)
		return (int)n;
	if (p) {
		count = MIN(count, (in + len + q->cluster_size - 1) >> q->h.cluster_bits);
		entry = be64toh(p[0]);
		kind = qcow2_kind(q, entry);
		if (kind < 0)
			return kind;
		count = qcow2_alike(q, p, count, kind);
	}
	len = MIN(len, (count << q->h.cluster_bits) - in);
	if (kind == QCOW2_NONE)
		return qcow2_map_below(q, pos, len, ret);
	*ret = (struct block_extent){ .kind = BLOCK_EXTENT_ZEROES, .len = len };
	if (kind == QCOW2_DATA) {
		ret->kind = BLOCK_EXTENT_FILE;
		ret->fd = q->b->fd;
		ret->offset = (entry & QCOW2_OFFSET_MASK) + in;
	} else if (kind == QCOW2_PACKED) {
		r = qcow2_unpack(q, entry);
		if (r < 0)
			return r;
		ret->kind = BLOCK_EXTENT_BYTES;
		ret->bytes = q->unpacked + in;
	}
	return 0;
}

int qcow2_read_here(struct qcow2 *q, uint64_t pos, void *buf, uint64_t len)
{
	uint8_t *out = buf;

	while (len) {
		struct block_extent x;
		int r = block_map(q->b, pos, len, &x);

		if (r < 0)
			return r;
		if (x.kind == BLOCK_EXTENT_ZEROES)
			memset(out, 0, x.len);
		else if (x.kind == BLOCK_EXTENT_BYTES)
			memcpy(out, x.bytes, x.len);
		else
			r = raw_read_fd(q->b, x.fd, out, x.len, x.offset);
		if (r < 0)
			return r;
		pos += x.len;
		out += x.len;
		len -= x.len;
	}
	return 0;
}
