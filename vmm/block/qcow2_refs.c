// SPDX-License-Identifier: MIT
/*
 * Reference counts: docs/interop/qcow2.txt, "Host cluster management". Finding free clusters, making blocks and the
 * table of counts larger, and giving clusters back in two steps (struct qcow2). Under q->lock.
 */
#include "vmm/block/qcow2.h"

#include <endian.h>
#include <errno.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"

#define QCOW2_REFTABLE_OFFSET 48 /* in the header; the number of clusters is behind it */

bool qcow2_is_vital(const struct qcow2 *q, uint64_t cluster)
{
	uint64_t l1 = q->h.l1_offset >> q->h.cluster_bits;
	uint64_t reftable = q->h.reftable_offset >> q->h.cluster_bits;
	uint64_t l1_bytes = align_up((uint64_t)q->h.l1_entries * 8, q->cluster_size);

	return !cluster || (cluster >= l1 && cluster - l1 < l1_bytes >> q->h.cluster_bits) ||
	       (cluster >= reftable && cluster - reftable < q->h.reftable_clusters);
}

/* --- counts --------------------------------------------------------------------------------------------- */

/* The bytes of a cluster's count, in the cache. 0: there is no block for it, its count is 0. */
static int qcow2_ref_find(struct qcow2 *q, uint64_t cluster, uint8_t **ret)
{
	uint64_t table = cluster >> q->rb_bits, entry;
	uint64_t index = cluster & (BIT64(q->rb_bits) - 1);
	void *p;
	int r;

	if (table >= q->reftable_entries || !q->reftable[table])
		return 0;
	entry = be64toh(q->reftable[table]);
	if (entry & (q->cluster_size - 1) || entry > QCOW2_OFFSET_MAX ||
	    qcow2_is_vital(q, entry >> q->h.cluster_bits))
		return qcow2_damaged(q);
	r = qcow2_cache_get(q, &q->refs, entry + ((index << q->h.refcount_order) >> 3), &p);
	if (r < 0)
		return r;
	*ret = p;
	return 1;
}

/* Counts of less than a byte: the first is in its lowest bits. */
static unsigned int qcow2_ref_shift(const struct qcow2 *q, uint64_t cluster)
{
	return (unsigned int)((cluster << q->h.refcount_order) & 7);
}

static uint64_t qcow2_ref_load(const struct qcow2 *q, uint64_t cluster, const uint8_t *p)
{
	unsigned int order = q->h.refcount_order;
	uint64_t v = 0;

	if (order < 3)
		return (unsigned int)(*p >> qcow2_ref_shift(q, cluster)) & (BIT(BIT(order)) - 1);
	for (unsigned int i = 0; i < BIT(order - 3); i++)
		v = v << 8 | p[i];
	return v;
}

static void qcow2_ref_store(struct qcow2 *q, uint64_t cluster, uint8_t *p, uint64_t v)
{
	unsigned int order = q->h.refcount_order;

	if (order < 3) {
		unsigned int shift = qcow2_ref_shift(q, cluster);
		unsigned int mask = (BIT(BIT(order)) - 1) << shift;

		*p = (uint8_t)((*p & ~mask) | ((unsigned int)v << shift));
	} else {
		for (unsigned int i = BIT(order - 3); i-- > 0; v >>= 8)
			p[i] = (uint8_t)v;
	}
	qcow2_cache_dirty(&q->refs, p);
}

static int qcow2_ref_get(struct qcow2 *q, uint64_t cluster, uint64_t *ret)
{
	uint8_t *p = NULL;
	int r = qcow2_ref_find(q, cluster, &p);

	if (r < 0)
		return r;
	*ret = p ? qcow2_ref_load(q, cluster, p) : 0;
	return 0;
}

/* --- blocks and the table ------------------------------------------------------------------------------- */

/* The block for clusters that have none yet is the first of them, and counts itself. */
static int qcow2_new_block(struct qcow2 *q, uint64_t table)
{
	uint64_t cluster = table << q->rb_bits, offset = cluster << q->h.cluster_bits;
	uint64_t at = align_down(table * 8, q->io_align);
	int r;

	if (qcow2_is_vital(q, cluster))
		return qcow2_damaged(q);
	qcow2_cache_forget(&q->refs, offset, q->cluster_size);
	qcow2_cache_forget(&q->l2, offset, q->cluster_size);
	memset(q->table, 0, q->cluster_size);
	q->table[q->h.refcount_order < 3 ? 0 : BIT(q->h.refcount_order - 3) - 1] = 1;
	r = raw_write_buf(q->b, q->table, q->cluster_size, offset);
	if (r >= 0)
		r = raw_sync(q->b);
	if (r < 0)
		return r;
	q->reftable[table] = htobe64(offset);
	r = raw_write_buf(q->b, (uint8_t *)q->reftable + at, q->io_align,
			  q->h.reftable_offset + at);
	if (r < 0)
		q->reftable[table] = 0; /* whatever is there on the disk: nothing uses the block */
	return r;
}

/* A longer table, and the blocks that count the clusters which it and they take. */
struct qcow2_growth {
	uint64_t first; /* cluster: all counts from here on have no place in the old table */
	uint64_t blocks, clusters; /* the blocks come first, then the table */
	uint64_t entries;
	uint64_t *table;
};

static int qcow2_plan_growth(const struct qcow2 *q, uint64_t needed, struct qcow2_growth *g)
{
	uint64_t per_cluster = q->cluster_size / 8, blocks = 1;

	g->first = q->reftable_entries << q->rb_bits;
	do {
		g->blocks = blocks;
		g->entries = MAX(needed + 1, q->reftable_entries * 3 / 2) + blocks;
		g->clusters = (g->entries + per_cluster - 1) / per_cluster;
		blocks = (g->blocks + g->clusters + BIT64(q->rb_bits) - 1) >> q->rb_bits;
	} while (blocks > g->blocks);
	g->entries = g->clusters * per_cluster;
	if (g->entries * 8 > QCOW2_REFTABLE_MAX ||
	    (g->first + g->blocks + g->clusters) << q->h.cluster_bits > QCOW2_OFFSET_MAX)
		return -EFBIG;
	return 0;
}

static int qcow2_write_growth(struct qcow2 *q, const struct qcow2_growth *g)
{
	uint64_t left = g->blocks + g->clusters, offset = g->first << q->h.cluster_bits;
	int r = 0;

	for (uint64_t i = 0; i < g->blocks && r >= 0; i++) {
		uint64_t n = MIN(left, BIT64(q->rb_bits));

		memset(q->table, 0, q->cluster_size);
		for (uint64_t k = 0; k < n; k++) {
			uint64_t bit = k << q->h.refcount_order;

			if (q->h.refcount_order < 3)
				q->table[bit >> 3] |= (uint8_t)BIT(bit & 7);
			else
				q->table[(bit >> 3) + BIT(q->h.refcount_order - 3) - 1] = 1;
		}
		left -= n;
		g->table[q->reftable_entries + i] = htobe64(offset + (i << q->h.cluster_bits));
		r = raw_write_buf(q->b, q->table, q->cluster_size,
				  offset + (i << q->h.cluster_bits));
	}
	offset += g->blocks << q->h.cluster_bits;
	if (r >= 0)
		r = raw_write_buf(q->b, g->table, g->clusters << q->h.cluster_bits, offset);
	return r < 0 ? r : raw_sync(q->b);
}

static int qcow2_grow_table(struct qcow2 *q, uint64_t needed)
{
	AUTO_FREE void *table = NULL;
	struct qcow2_growth g;
	struct {
		uint64_t offset;
		uint32_t clusters;
	} __attribute__((packed)) header;
	uint64_t old = q->h.reftable_offset >> q->h.cluster_bits, count = q->h.reftable_clusters;
	int r = qcow2_plan_growth(q, needed, &g);

	if (r < 0)
		return r;
	for (uint64_t i = 0; i < g.blocks + g.clusters; i++)
		if (qcow2_is_vital(q, g.first + i))
			return qcow2_damaged(q);
	if (posix_memalign(&table, QCOW2_SLICE_MAX, g.clusters << q->h.cluster_bits))
		return -ENOMEM;
	memset(table, 0, g.clusters << q->h.cluster_bits);
	memcpy(table, q->reftable, q->reftable_entries * 8);
	g.table = table;
	qcow2_cache_forget(&q->refs, g.first << q->h.cluster_bits,
			   (g.blocks + g.clusters) << q->h.cluster_bits);
	qcow2_cache_forget(&q->l2, g.first << q->h.cluster_bits,
			   (g.blocks + g.clusters) << q->h.cluster_bits);
	r = qcow2_write_growth(q, &g);
	if (r < 0)
		return r;
	header.offset = htobe64((g.first + g.blocks) << q->h.cluster_bits);
	header.clusters = htobe32((uint32_t)g.clusters);
	r = qcow2_patch_header(q, QCOW2_REFTABLE_OFFSET, &header, sizeof(header));
	if (r < 0)
		return r;
	free(q->reftable);
	q->reftable = TAKE_PTR(table);
	q->reftable_entries = g.entries;
	q->h.reftable_offset = be64toh(header.offset);
	q->h.reftable_clusters = (uint32_t)g.clusters;
	qcow2_leave(q, old, count);
	return 0;
}

/* That there is a place for the cluster's count. 1: it had to be made, and may have taken the cluster */
static int qcow2_ref_place(struct qcow2 *q, uint64_t cluster)
{
	uint64_t table = cluster >> q->rb_bits;
	int r;

	if (table >= q->reftable_entries) {
		r = qcow2_grow_table(q, table);
		return r < 0 ? r : 1;
	}
	if (q->reftable[table])
		return 0;
	r = qcow2_new_block(q, table);
	return r < 0 ? r : 1;
}

#define QCOW2_SEARCH BIT(20) /* clusters: a fraction of a second */

/* --- taking --------------------------------------------------------------------------------------------- */

/*
 * How far is looked for a free cluster. A table may say of anything that it is in use, with one block of counts for all
 * of it, and the disk stands still meanwhile: after that many, on at the end of the file, which grows. What is in use
 * there is not there. A device does not grow, and is as long as it is.
 */
static int qcow2_search_on(struct qcow2 *q, uint64_t *c, uint64_t *looked)
{
	++*c;
	if (q->b->is_device)
		return *c < q->end ? 0 : -ENOSPC;
	if (++*looked < QCOW2_SEARCH)
		return 0;
	if (*c >= q->end)
		return qcow2_damaged(q);
	*c = q->end;
	*looked = 0;
	return 0;
}

static int qcow2_find_free(struct qcow2 *q, uint64_t *ret)
{
	uint64_t c = q->hint, looked = 0, count;
	int r;

	for (;;) {
		if (c << q->h.cluster_bits > QCOW2_OFFSET_MAX)
			return -EFBIG;
		r = qcow2_ref_get(q, c, &count);
		if (r >= 0 && count) {
			r = qcow2_search_on(q, &c, &looked);
			if (r >= 0)
				continue;
		}
		if (r < 0)
			return r;
		r = qcow2_ref_place(q, c);
		if (r < 0)
			return r;
		if (!r)
			break;
	}
	*ret = q->hint = c;
	return 0;
}

int64_t qcow2_alloc(struct qcow2 *q, uint64_t want, uint64_t *ret_cluster)
{
	uint64_t first, n, count;
	int r;

	if (q->corrupt)
		return -EIO;
	r = qcow2_find_free(q, &first);
	if (r < 0)
		return r;
	want = MIN(want, BIT64(q->rb_bits) - (first & (BIT64(q->rb_bits) - 1)));
	for (n = 0; n < want; n++) {
		uint8_t *p = NULL;

		r = qcow2_ref_find(q, first + n, &p);
		count = p ? qcow2_ref_load(q, first + n, p) : 1;
		if (!p || count)
			break;
		if (qcow2_is_vital(q, first + n)) {
			qcow2_unalloc(q, first, n);
			return qcow2_damaged(q);
		}
		qcow2_ref_store(q, first + n, p, 1);
	}
	if (!n)
		return r < 0 ? r : -EIO;
	q->hint = first + n;
	q->end = MAX(q->end, q->b->is_device ? 0 : q->hint);
	q->unsynced = true;
	*ret_cluster = first;
	return (int64_t)n;
}

/* --- giving back ---------------------------------------------------------------------------------------- */

/* One reference less. 1: that was the last */
static int qcow2_unref(struct qcow2 *q, uint64_t cluster)
{
	uint8_t *p = NULL;
	uint64_t count;
	int r = qcow2_is_vital(q, cluster) ? qcow2_damaged(q) : qcow2_ref_find(q, cluster, &p);

	if (r < 0)
		return r;
	count = p ? qcow2_ref_load(q, cluster, p) : 0;
	if (!p || !count)
		return qcow2_damaged(q);
	qcow2_ref_store(q, cluster, p, count - 1);
	if (count > 1)
		return 0;
	q->hint = MIN(q->hint, cluster);
	return 1;
}

void qcow2_unalloc(struct qcow2 *q, uint64_t cluster, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		if (qcow2_unref(q, cluster + i) < 0)
			return; /* it is lost, which harms nothing */
}

void qcow2_leave(struct qcow2 *q, uint64_t cluster, uint64_t count)
{
	struct qcow2_frees *f = &q->left;

	if (f->n && f->runs[f->n - 1].cluster + f->runs[f->n - 1].count == cluster) {
		f->runs[f->n - 1].count += count;
		return;
	}
	if (f->n == QCOW2_FREES) {
		q->leaked += count;
		return;
	}
	f->runs[f->n++] = (struct qcow2_run){ cluster, count };
}

/* The space of clusters that nobody uses, back to the file system: it need not take it. */
static void qcow2_punch(struct qcow2 *q, uint64_t cluster, uint64_t count)
{
	struct block_step s = { .kind = BLOCK_STEP_FALLOCATE,
				.fd = q->b->fd,
				.mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				.offset = cluster << q->h.cluster_bits,
				.len = count << q->h.cluster_bits };

	if (count && !q->b->no_punch && !q->b->is_device)
		q->b->step(q->b, &s);
}

static void qcow2_reap_run(struct qcow2 *q, const struct qcow2_run *run)
{
	uint64_t start = run->cluster, free = 0;

	for (uint64_t i = 0; i < run->count; i++) {
		int r = qcow2_unref(q, run->cluster + i);

		if (r > 0) {
			free++;
			continue;
		}
		qcow2_punch(q, start, free);
		start = run->cluster + i + 1;
		free = 0;
		if (r < 0)
			q->leaked++;
	}
	qcow2_punch(q, start, free);
}

void qcow2_reap(struct qcow2 *q)
{
	struct qcow2_frees *f = &q->waiting;

	if (!f->n || q->busy[!q->gen] || q->corrupt)
		return;
	for (unsigned int i = 0; i < f->n && !q->corrupt; i++)
		qcow2_reap_run(q, &f->runs[i]);
	f->n = 0;
}

/* --- in order ------------------------------------------------------------------------------------------- */

int qcow2_commit_refs(struct qcow2 *q)
{
	int r = qcow2_cache_write(q, &q->refs);

	if (r < 0 || (!r && !q->unsynced))
		return r;
	r = raw_sync(q->b);
	q->unsynced = r < 0;
	return r;
}

int qcow2_commit(struct qcow2 *q, bool full)
{
	int r;

	if (q->corrupt)
		return -EIO;
	r = q->l2.dirty ? qcow2_commit_refs(q) : qcow2_cache_write(q, &q->refs);
	if (r >= 0)
		r = qcow2_cache_write(q, &q->l2);
	if (r >= 0 && (full || q->left.n))
		r = raw_sync(q->b);
	if (r < 0)
		return r;
	/* nothing on the disk points at what was left; nobody bears the other generation when nobody waits for it */
	if (q->left.n && !q->waiting.n) {
		struct qcow2_frees empty = q->waiting;

		q->waiting = q->left;
		q->left = empty;
		q->gen ^= 1;
	}
	return 0;
}
