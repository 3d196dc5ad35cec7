// SPDX-License-Identifier: MIT
/*
 * Requests on a qcow2 image. One goes through its bytes from the front. What has its place becomes a step of the
 * engine, as far as it is in one piece; all else (new clusters, zeroes, what is compressed) is done on the spot: see
 * qcow2.h. Under q->lock, but for qcow2_step_done.
 */
#include "vmm/block/qcow2.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

/* --- what a request's buffers are given to ----------------------------------------------------------------- */

/*
 * The next len bytes of the buffers as iov and niov; what is behind them in the last one is put aside, until
 * qcow2_uncut. -EINVAL: there are not as many.
 */
static int qcow2_cut(struct block_req *r, uint64_t len, unsigned int *ret_niov)
{
	struct iovec *iov = r->left_iov;
	unsigned int i = 0;

	while (i < r->nleft && len > iov[i].iov_len)
		len -= iov[i++].iov_len;
	if (i == r->nleft)
		return -EINVAL;
	r->cut = &iov[i];
	r->cut_off.iov_base = (uint8_t *)iov[i].iov_base + len;
	r->cut_off.iov_len = iov[i].iov_len - len;
	iov[i].iov_len = len;
	*ret_niov = i + 1;
	return 0;
}

static void qcow2_uncut(struct block_req *r)
{
	r->nleft -= (unsigned int)(r->cut - r->left_iov);
	r->left_iov = r->cut;
	*r->cut = r->cut_off;
	block_iov_skip(&r->left_iov, &r->nleft, 0);
}

/* Bytes into the buffers; NULL: zeroes. */
static int qcow2_give(struct block_req *r, const uint8_t *bytes, uint64_t len)
{
	unsigned int n;
	int ret = qcow2_cut(r, len, &n);

	if (ret < 0)
		return ret;
	for (unsigned int i = 0; i < n; i++) {
		const struct iovec *v = &r->left_iov[i];

		if (bytes)
			memcpy(v->iov_base, bytes, v->iov_len);
		else
			memset(v->iov_base, 0, v->iov_len);
		bytes = bytes ? bytes + v->iov_len : NULL;
	}
	qcow2_uncut(r);
	return 0;
}

/* The next len bytes are a step of the engine. 0: it is set */
static int64_t qcow2_start(struct qcow2 *q, struct block_req *r, enum block_step_kind kind, int fd,
			   uint64_t offset, uint64_t len)
{
	struct block_step *s = &r->step;
	int ret = qcow2_cut(r, len, &s->niov);

	if (ret < 0)
		return ret;
	s->kind = kind;
	s->fd = fd;
	s->iov = r->left_iov;
	s->offset = offset;
	s->len = len;
	s->mode = 0;
	r->gen = q->gen;
	r->counted = true;
	q->busy[r->gen]++;
	return 0;
}

static void qcow2_stop(struct qcow2 *q, struct block_req *r)
{
	if (!r->counted)
		return;
	r->counted = false;
	q->busy[r->gen]--;
}

/* --- what each kind of request does next: bytes that are done, 0: a step is set, or -errno -------------------- */

static int64_t qcow2_read(struct qcow2 *q, struct block_req *r)
{
	struct block_extent x;
	int ret = block_map(q->b, r->offset + r->pos, r->len - r->pos, &x);

	if (ret < 0)
		return ret;
	if (x.kind == BLOCK_EXTENT_FILE)
		return qcow2_start(q, r, BLOCK_STEP_READV, x.fd, x.offset, x.len);
	ret = qcow2_give(r, x.kind == BLOCK_EXTENT_BYTES ? x.bytes : NULL, x.len);
	return ret < 0 ? ret : (int64_t)x.len;
}

/* A write where not every cluster has its place: guest clusters from gc on get those from host on. */
struct qcow2_write {
	uint64_t gc, host, count;
	bool fresh;	     /* host was just allocated */
	uint64_t pos, len;   /* of the guest's bytes */
	uint64_t head, tail; /* bytes before and behind them */
};

/* What the guest does not write of the first and of the last cluster, and what it does, in one write. */
static int qcow2_write_data(struct qcow2 *q, struct block_req *r, const struct qcow2_write *w)
{
	unsigned int n = 0, ndata = 0;
	int ret;

	ret = qcow2_read_here(q, w->pos - w->head, q->head, w->head);
	if (ret >= 0)
		ret = qcow2_read_here(q, w->pos + w->len, q->tail, w->tail);
	if (ret >= 0)
		ret = qcow2_cut(r, w->len, &ndata);
	if (ret < 0)
		return ret;
	if (w->head)
		q->iov[n++] = (struct iovec){ .iov_base = q->head, .iov_len = w->head };
	memcpy(&q->iov[n], r->left_iov, ndata * sizeof(q->iov[0]));
	n += ndata;
	if (w->tail)
		q->iov[n++] = (struct iovec){ .iov_base = q->tail, .iov_len = w->tail };
	ret = raw_write(q->b, q->iov, n, w->host << q->h.cluster_bits);
	qcow2_uncut(r);
	q->unsynced = true;
	return ret;
}

static int qcow2_write_entries(struct qcow2 *q, const struct qcow2_write *w)
{
	uint64_t *p = NULL, count = 0;
	int64_t n = qcow2_entries(q, w->gc, true, &p, &count);

	if (n < 0)
		return (int)n;
	for (uint64_t i = 0; i < w->count; i++) {
		uint64_t old = be64toh(p[i]);

		if (w->fresh)
			qcow2_leave_entry(q, old);
		p[i] = htobe64(((w->host + i) << q->h.cluster_bits) | QCOW2_COPIED);
	}
	qcow2_cache_dirty(&q->l2, p);
	return 0;
}

/* Fewer clusters than were asked for may be to be had. */
static int64_t qcow2_write_new(struct qcow2 *q, struct block_req *r, struct qcow2_write *w,
			       uint64_t len)
{
	uint64_t in = w->pos & (q->cluster_size - 1);
	int64_t n = (int64_t)w->count;
	int ret;

	if (w->fresh)
		n = qcow2_alloc(q, w->count, &w->host);
	if (n < 0)
		return n;
	w->count = (uint64_t)n;
	w->len = MIN(len, (w->count << q->h.cluster_bits) - in);
	w->head = in;
	w->tail = (w->count << q->h.cluster_bits) - in - w->len;
	ret = qcow2_write_data(q, r, w);
	if (ret >= 0)
		ret = qcow2_write_entries(q, w);
	if (ret < 0) {
		if (w->fresh)
			qcow2_unalloc(q, w->host, w->count);
		return ret;
	}
	return (int64_t)w->len;
}

/* The clusters from the first on that can be written where they are, one behind the other. */
static uint64_t qcow2_in_place(struct qcow2 *q, const uint64_t *p, uint64_t count)
{
	uint64_t n = 0, first = be64toh(p[0]) & QCOW2_OFFSET_MASK;

	for (; n < count; n++) {
		uint64_t entry = be64toh(p[n]);

		if (!(entry & QCOW2_COPIED) || qcow2_kind(q, entry) != QCOW2_DATA ||
		    (entry & QCOW2_OFFSET_MASK) != first + (n << q->h.cluster_bits))
			break;
	}
	return n;
}

static uint64_t qcow2_not_in_place(struct qcow2 *q, const uint64_t *p, uint64_t count)
{
	uint64_t n = 1;

	for (; n < count; n++) {
		uint64_t entry = be64toh(p[n]);
		int kind = qcow2_kind(q, entry);

		if (kind < 0 ||
		    (entry & QCOW2_COPIED && (kind == QCOW2_DATA || kind == QCOW2_ZERO_ALLOC)))
			break;
	}
	return n;
}

/* At most len bytes, from the buffers that are left. */
static int64_t qcow2_write_some(struct qcow2 *q, struct block_req *r, uint64_t len)
{
	struct qcow2_write w = { .pos = r->offset + r->pos, .fresh = true, .count = 1 };
	uint64_t in = w.pos & (q->cluster_size - 1), *p = NULL, count = 0, place, entry;
	int64_t n;
	int kind;

	w.gc = w.pos >> q->h.cluster_bits;
	if (q->corrupt)
		return -EIO;
	n = qcow2_entries(q, w.gc, true, &p, &count);
	if (n < 0)
		return n;
	count = MIN(count, (in + len + q->cluster_size - 1) >> q->h.cluster_bits);
	entry = be64toh(p[0]);
	kind = qcow2_kind(q, entry);
	if (kind < 0)
		return kind;
	place = qcow2_in_place(q, p, count);
	if (place) {
		len = MIN(len, (place << q->h.cluster_bits) - in);
		return qcow2_start(q, r, BLOCK_STEP_WRITEV, q->b->fd,
				   (entry & QCOW2_OFFSET_MASK) + in, len);
	}
	if (kind == QCOW2_ZERO_ALLOC && entry & QCOW2_COPIED) {
		w.host = (entry & QCOW2_OFFSET_MASK) >> q->h.cluster_bits;
		w.fresh = false;
	} else {
		w.count = qcow2_not_in_place(q, p, count);
	}
	return qcow2_write_new(q, r, &w, len);
}

static int64_t qcow2_write(struct qcow2 *q, struct block_req *r)
{
	return qcow2_write_some(q, r, r->len - r->pos);
}

/* --- zeroes and discard ----------------------------------------------------------------------------------- */

static bool qcow2_reads_zero(const struct qcow2 *q, int kind)
{
	return kind == QCOW2_ZERO || kind == QCOW2_ZERO_ALLOC ||
	       (kind == QCOW2_NONE && !q->backing);
}

/* What entry becomes when its whole cluster is to be zeroes (keep: and its place is kept). */
static uint64_t qcow2_zero_entry(const struct qcow2 *q, uint64_t entry, int kind, bool keep)
{
	if (kind == QCOW2_NONE && !q->backing)
		return entry;
	if (q->h.version == 2)
		return 0; /* not with a backing file: qcow2_can_zero */
	if (keep && entry & QCOW2_COPIED && (kind == QCOW2_DATA || kind == QCOW2_ZERO_ALLOC))
		return entry | QCOW2_IS_ZERO;
	return kind == QCOW2_NONE || q->backing || keep ? QCOW2_IS_ZERO : 0;
}

/* Entries of up to count whole clusters from gc on: how many were looked at. */
static int64_t qcow2_zero_clusters(struct qcow2 *q, uint64_t gc, uint64_t count,
				   const struct block_req *r)
{
	bool discard = r->op == BLOCK_DISCARD, keep = !discard && !r->unmap, any = false;
	uint64_t *p = NULL, here = 0;
	int64_t n = qcow2_entries(q, gc, false, &p, &here);

	/* nothing is there, and is nothing or need not be anything */
	if (n == 0 && (discard || !q->backing))
		return (int64_t)MIN(count, here);
	if (n >= 0)
		n = qcow2_entries(q, gc, true, &p, &here);
	if (n < 0)
		return n;
	count = MIN(count, here);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t old = be64toh(p[i]), entry;
		int kind = qcow2_kind(q, old);

		if (kind < 0)
			return kind;
		if (discard && kind == QCOW2_NONE)
			continue;
		entry = qcow2_zero_entry(q, old, kind, keep);
		if (entry == old)
			continue;
		if ((entry & QCOW2_OFFSET_MASK) != (old & QCOW2_OFFSET_MASK) ||
		    old & QCOW2_IS_PACKED)
			qcow2_leave_entry(q, old);
		p[i] = htobe64(entry);
		any = true;
	}
	if (any)
		qcow2_cache_dirty(&q->l2, p);
	return (int64_t)count;
}

/* Part of a cluster, or one that has no way to say that it is zeroes. */
static int64_t qcow2_write_zero_bytes(struct qcow2 *q, struct block_req *r, uint64_t len)
{
	uint64_t *p = NULL, count = 0, in = (r->offset + r->pos) & (q->cluster_size - 1);
	int64_t n = qcow2_entries(q, (r->offset + r->pos) >> q->h.cluster_bits, false, &p, &count);
	int kind = n > 0 ? qcow2_kind(q, be64toh(p[0])) : QCOW2_NONE;

	if (n < 0 || kind < 0)
		return n < 0 ? n : kind;
	len = MIN(len, q->cluster_size - in);
	if (qcow2_reads_zero(q, kind))
		return (int64_t)len;
	len = MIN(len, BLOCK_ZEROES);
	r->zero_iov = (struct iovec){ .iov_base = q->b->zeroes, .iov_len = len };
	r->left_iov = &r->zero_iov;
	r->nleft = 1;
	return qcow2_write_some(q, r, len);
}

static int64_t qcow2_zero(struct qcow2 *q, struct block_req *r)
{
	uint64_t pos = r->offset + r->pos, end = r->offset + r->len;
	uint64_t in = pos & (q->cluster_size - 1), size = q->cluster_size;
	bool discard = r->op == BLOCK_DISCARD, flag = q->h.version > 2 || !q->backing;
	/* what is behind the end of the disk is nobody's */
	uint64_t whole = end == q->h.size ? align_up(end, size) : align_down(end, size);
	int64_t n;

	if (q->corrupt)
		return -EIO;
	if (discard && (!flag || q->left.n > QCOW2_FREES - 2 * QCOW2_SLICE_MAX / 8))
		return (int64_t)(end - pos); /* a hint, which cannot be taken here, or now */
	if (in || pos >= whole || !flag) {
		uint64_t part = MIN(end - pos, size - in);

		return discard ? (int64_t)part : qcow2_write_zero_bytes(q, r, part);
	}
	n = qcow2_zero_clusters(q, pos >> q->h.cluster_bits, (whole - pos) >> q->h.cluster_bits, r);
	return n < 0 ? n : (int64_t)MIN((uint64_t)n << q->h.cluster_bits, end - pos);
}

/* --- the course of a request ------------------------------------------------------------------------------ */

/* Its done is to be called, when the lock is given back. */
static bool qcow2_finish(struct qcow2 *q, struct block_req *r, int ret)
{
	qcow2_stop(q, r);
	qcow2_reap(q);
	r->error = ret;
	return true;
}

/* All bytes are done; what is to be stable goes by one last sync. */
static bool qcow2_end(struct qcow2 *q, struct block_req *r)
{
	bool stable = r->stable && (r->op == BLOCK_WRITE || r->op == BLOCK_WRITE_ZEROES);
	int ret;

	if (r->op != BLOCK_FLUSH && !stable)
		return qcow2_finish(q, r, 0);
	ret = q->b->info.readonly ? 0 : qcow2_commit(q, false);
	if (ret < 0)
		return qcow2_finish(q, r, ret);
	r->step = (struct block_step){ .kind = BLOCK_STEP_SYNC, .fd = q->b->fd };
	return false;
}

static bool qcow2_go(struct qcow2 *q, struct block_req *r)
{
	static int64_t (*const ops[])(struct qcow2 * q, struct block_req * r) = {
		[BLOCK_READ] = qcow2_read,
		[BLOCK_WRITE] = qcow2_write,
		[BLOCK_DISCARD] = qcow2_zero,
		[BLOCK_WRITE_ZEROES] = qcow2_zero,
	};

	while (r->op != BLOCK_FLUSH && r->pos < r->len) {
		int64_t n;

		if (q->left.n > QCOW2_FREES / 2 && !q->waiting.n)
			qcow2_commit(q, false);
		qcow2_reap(q);
		n = ops[r->op](q, r);
		if (n < 0)
			return qcow2_finish(q, r, (int)n);
		if (n == 0)
			return false;
		r->pos += (uint64_t)n;
	}
	return qcow2_end(q, r);
}

/* A transfer has moved n bytes. */
static bool qcow2_moved(struct qcow2 *q, struct block_req *r, uint64_t n)
{
	struct block_step *s = &r->step;

	s->offset += n;
	s->len -= n;
	r->pos += n;
	if (s->len) {
		block_iov_skip(&s->iov, &s->niov, n);
		return false;
	}
	qcow2_stop(q, r);
	qcow2_uncut(r);
	return qcow2_go(q, r);
}

static bool qcow2_continue(struct qcow2 *q, struct block_req *r, int64_t res)
{
	struct block_step *s = &r->step;

	switch ((enum block_step_kind)s->kind) {
	case BLOCK_STEP_FORMAT:
		r->left_iov = r->iov;
		r->nleft = r->niov;
		r->counted = false;
		return qcow2_go(q, r);
	case BLOCK_STEP_READV:
	case BLOCK_STEP_BOUNCE_READ:
		if (res == 0) { /* the file may end in its last cluster */
			for (unsigned int i = 0; i < s->niov; i++)
				memset(s->iov[i].iov_base, 0, s->iov[i].iov_len);
			res = (int64_t)s->len;
		}
		break;
	case BLOCK_STEP_WRITEV:
	case BLOCK_STEP_BOUNCE_WRITE:
		res = res ? res : -EIO;
		break;
	default:
		return qcow2_finish(q, r, (int)res);
	}
	return res < 0 ? qcow2_finish(q, r, (int)res) : qcow2_moved(q, r, (uint64_t)res);
}

bool qcow2_step_done(struct block *b, struct block_req *r, int64_t res)
{
	struct qcow2 *q = b->qcow2;
	bool complete;

	if (direct_retry(b, &r->step, res, false))
		return false;
	pthread_mutex_lock(&q->lock);
	complete = qcow2_continue(q, r, res);
	pthread_mutex_unlock(&q->lock);
	if (complete)
		r->done(r, r->error);
	return complete;
}
