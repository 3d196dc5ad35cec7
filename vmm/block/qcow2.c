// SPDX-License-Identifier: MIT
/* The life of a qcow2 image, and its header: see qcow2.h. Open and free on the control loop. */
#include "vmm/block/qcow2.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"

#define QCOW2_INCOMPATIBLE_OFFSET 72 /* in the header */
#define QCOW2_AUTOCLEAR_OFFSET 88

/* --- the header ------------------------------------------------------------------------------------------- */

int qcow2_patch_header(struct qcow2 *q, uint64_t off, const void *data, size_t len)
{
	int ret = raw_read(q->b, q->table, q->io_align, 0);

	if (ret < 0)
		return ret;
	memcpy(q->table + off, data, len);
	ret = raw_write_buf(q->b, q->table, q->io_align, 0);
	return ret < 0 ? ret : raw_sync(q->b);
}

int qcow2_damaged(struct qcow2 *q)
{
	uint64_t features = htobe64(q->h.incompatible | QCOW2_CORRUPT);

	if (q->corrupt)
		return -EIO;
	q->corrupt = true;
	if (!q->b->info.readonly && q->h.version > 2)
		qcow2_patch_header(q, QCOW2_INCOMPATIBLE_OFFSET, &features, sizeof(features));
	return -EIO;
}

/* --- life ------------------------------------------------------------------------------------------------- */

static int qcow2_alloc_bytes(uint64_t len, void *ret)
{
	void *p;

	if (posix_memalign(&p, QCOW2_SLICE_MAX, len))
		return -ENOMEM;
	*(void **)ret = p;
	return 0;
}

static int qcow2_alloc_buffers(struct qcow2 *q)
{
	uint64_t size = MAX(q->cluster_size, QCOW2_SLICE_MAX);
	int ret;

	q->iov = calloc(IOV_MAX + 2, sizeof(q->iov[0]));
	q->left.runs = calloc(QCOW2_FREES, sizeof(struct qcow2_run));
	q->waiting.runs = calloc(QCOW2_FREES, sizeof(struct qcow2_run));
	if (!q->iov || !q->left.runs || !q->waiting.runs)
		return -ENOMEM;
	ret = qcow2_alloc_bytes(size, &q->table);
	if (ret >= 0)
		ret = qcow2_alloc_bytes(size, &q->head);
	if (ret >= 0)
		ret = qcow2_alloc_bytes(size, &q->tail);
	if (ret >= 0)
		ret = qcow2_alloc_bytes(size, &q->unpacked);
	if (ret >= 0)
		ret = qcow2_alloc_bytes(2 * size + 2 * QCOW2_SLICE_MAX, &q->packed);
	if (ret >= 0)
		ret = qcow2_cache_init(&q->l2, MIN(q->cluster_size, QCOW2_SLICE_MAX));
	if (ret >= 0)
		ret = qcow2_cache_init(&q->refs, MIN(q->cluster_size, QCOW2_SLICE_MAX));
	if (ret >= 0 && inflateInit2(&q->z, -15) != Z_OK)
		ret = -ENOMEM;
	q->z_ready = ret >= 0;
	return ret;
}

static int qcow2_load(struct qcow2 *q, uint64_t bytes, uint64_t offset, uint64_t **ret)
{
	uint64_t len = align_up(MAX(bytes, 1), MAX(q->cluster_size, QCOW2_SLICE_MAX));
	int r = qcow2_alloc_bytes(len, ret);

	if (r < 0)
		return r;
	memset(*ret, 0, len);
	return bytes ? raw_read(q->b, *ret, align_up(bytes, q->io_align), offset) : 0;
}

static int qcow2_setup(struct qcow2 *q)
{
	const struct qcow2_header *h = &q->h;
	int ret;

	q->cluster_size = BIT(h->cluster_bits);
	q->l2_bits = h->cluster_bits - 3;
	q->rb_bits = h->cluster_bits + 3 - h->refcount_order;
	q->io_align = MAX(MAX(q->b->info.logical_block, q->b->align), (uint32_t)BLOCK_SECTOR);
	q->reftable_entries = ((uint64_t)h->reftable_clusters << h->cluster_bits) / 8;
	ret = qcow2_alloc_buffers(q);
	if (ret >= 0)
		ret = qcow2_load(q, (uint64_t)h->l1_entries * 8, h->l1_offset, &q->l1);
	if (ret >= 0)
		ret = qcow2_load(q, q->reftable_entries * 8, h->reftable_offset, &q->reftable);
	return ret;
}

/* Features that an old program does not know must not look as if it had kept them. */
static int qcow2_autoclear(struct qcow2 *q)
{
	uint64_t none = 0;

	if (q->b->info.readonly || !q->h.autoclear)
		return 0;
	return qcow2_patch_header(q, QCOW2_AUTOCLEAR_OFFSET, &none, sizeof(none));
}

static int qcow2_read_header(const struct block *b, struct qcow2_header *ret, struct err *e)
{
	void *data;
	int r;

	if (qcow2_alloc_bytes(QCOW2_HEADER_READ, &data) < 0)
		return err_set(e, ENOMEM, "disk image: no memory");
	r = raw_read(b, data, QCOW2_HEADER_READ, 0);
	if (r < 0)
		err_ret(e, r, "cannot read the disk image");
	else
		r = qcow2_header_parse(data, QCOW2_HEADER_READ, b->info.readonly, ret, e);
	free(data);
	return r;
}

int qcow2_open(struct block *b, struct err *e)
{
	struct qcow2 *q = calloc(1, sizeof(*q));
	struct block_info *i = &b->info;
	int ret;

	if (!q)
		return err_set(e, ENOMEM, "disk image: no memory");
	pthread_mutex_init(&q->lock, NULL);
	b->qcow2 = q;
	q->b = b;
	ret = qcow2_read_header(b, &q->h, e);
	if (ret < 0)
		return ret;
	if (BIT(q->h.cluster_bits) < i->logical_block)
		return err_set(e, ERR_FILE, "its clusters are smaller than the disk's blocks");
	if (BIT(q->h.cluster_bits) < b->align) {
		err_set(e, ERR_FILE, "its clusters have %u bytes, and `cache: direct` needs %u",
			1u << q->h.cluster_bits, b->align);
		return err_hint(e, "take `cache: writeback`, or qemu-img convert -O qcow2 -o "
				   "cluster_size=64k FROM TO");
	}
	ret = qcow2_setup(q);
	if (ret >= 0)
		ret = qcow2_autoclear(q);
	if (ret < 0)
		return err_ret(e, ret, "cannot open the qcow2 image");
	q->end = (i->size + q->cluster_size - 1) >> q->h.cluster_bits;
	i->size = q->h.size;
	i->discard = !i->readonly;
	i->discard_align = q->cluster_size;
	return 0;
}

void qcow2_free(struct qcow2 *q)
{
	if (!q)
		return;
	block_free(q->backing);
	qcow2_cache_fini(&q->l2);
	qcow2_cache_fini(&q->refs);
	if (q->z_ready)
		inflateEnd(&q->z);
	free(q->l1);
	free(q->reftable);
	free(q->left.runs);
	free(q->waiting.runs);
	free(q->iov);
	free(q->table);
	free(q->head);
	free(q->tail);
	free(q->packed);
	free(q->unpacked);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

const char *qcow2_backing(const struct qcow2 *q, const char **ret_format)
{
	*ret_format = q->h.backing_format;
	return q->h.backing[0] ? q->h.backing : NULL;
}

void qcow2_set_backing(struct qcow2 *q, struct block *take_backing)
{
	q->backing = take_backing;
}

const struct block *qcow2_below(const struct qcow2 *q)
{
	return q->backing;
}

bool qcow2_probe(const struct block *b)
{
	AUTO_FREE void *data = NULL;

	return b->info.size >= BLOCK_SECTOR && qcow2_alloc_bytes(QCOW2_SLICE_MAX, &data) >= 0 &&
	       raw_read(b, data, QCOW2_SLICE_MAX, 0) >= 0 && qcow2_has_magic(data, QCOW2_SLICE_MAX);
}

static int qcow2_settle(struct qcow2 *q)
{
	int ret = 0;

	if (q->b->info.readonly)
		return 0;
	/* what is left waits for one commit, and its counts are written by the next */
	for (int i = 0; i < 3 && ret >= 0; i++) {
		ret = qcow2_commit(q, true);
		qcow2_reap(q);
	}
	return ret;
}

void qcow2_attach(struct qcow2 *q)
{
	pthread_mutex_lock(&q->lock);
	q->users++;
	pthread_mutex_unlock(&q->lock);
}

int qcow2_detach(struct qcow2 *q)
{
	int ret = 0;

	pthread_mutex_lock(&q->lock);
	if (!--q->users)
		ret = qcow2_settle(q);
	pthread_mutex_unlock(&q->lock);
	return ret;
}
