// SPDX-License-Identifier: MIT
/*
 * Pieces of L2 tables and of refcount blocks: sets of a few slices each, where the one that was not used for
 * longest makes room. Nothing is written alone: when only dirty ones could go, all are written, in the order that
 * qcow2.h has. Under q->lock.
 */
#include "vmm/block/qcow2.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int qcow2_cache_init(struct qcow2_cache *c, uint32_t slice_size)
{
	void *data;

	c->size = slice_size;
	if (posix_memalign(&data, QCOW2_SLICE_MAX, (size_t)slice_size * ARRAY_SIZE(c->slices)))
		return -ENOMEM;
	c->data = data;
	return 0;
}

void qcow2_cache_fini(struct qcow2_cache *c)
{
	free(c->data);
	c->data = NULL;
}

static uint8_t *qcow2_slice_data(const struct qcow2_cache *c, const struct qcow2_slice *s)
{
	return c->data + (size_t)(s - c->slices) * c->size;
}

static struct qcow2_slice *qcow2_cache_set(struct qcow2_cache *c, uint64_t offset)
{
	/* tables of large clusters begin alike: all of the number takes part */
	uint64_t hash = offset / c->size * 0x9e3779b97f4a7c15ull;

	return &c->slices[(hash >> 32) % QCOW2_SETS * QCOW2_WAYS];
}

static struct qcow2_slice *qcow2_cache_find(struct qcow2_cache *c, uint64_t offset)
{
	struct qcow2_slice *set = qcow2_cache_set(c, offset);

	for (unsigned int i = 0; i < QCOW2_WAYS; i++)
		if (set[i].offset == offset)
			return &set[i];
	return NULL;
}

/* The clean one that was used last the longest ago. */
static struct qcow2_slice *qcow2_cache_oldest(struct qcow2_cache *c, uint64_t offset)
{
	struct qcow2_slice *set = qcow2_cache_set(c, offset), *best = NULL;

	for (unsigned int i = 0; i < QCOW2_WAYS; i++) {
		if (!set[i].offset)
			return &set[i];
		if (!set[i].dirty && (!best || c->clock - set[i].used > c->clock - best->used))
			best = &set[i];
	}
	return best;
}

static int qcow2_cache_load(struct qcow2 *q, struct qcow2_cache *c, uint64_t offset,
			    struct qcow2_slice **ret)
{
	struct qcow2_slice *s = qcow2_cache_oldest(c, offset);
	int r;

	if (!s) {
		r = qcow2_commit(q, false);
		if (r < 0)
			return r;
		s = qcow2_cache_oldest(c, offset);
		if (!s)
			return -EIO;
	}
	s->offset = 0;
	r = raw_read(q->b, qcow2_slice_data(c, s), c->size, offset);
	if (r < 0)
		return r;
	s->offset = offset;
	s->dirty = false;
	*ret = s;
	return 0;
}

int qcow2_cache_get(struct qcow2 *q, struct qcow2_cache *c, uint64_t offset, void **ret)
{
	uint64_t start = align_down(offset, c->size);
	struct qcow2_slice *s = qcow2_cache_find(c, start);
	int r = s ? 0 : qcow2_cache_load(q, c, start, &s);

	if (r < 0)
		return r;
	s->used = ++c->clock;
	*ret = qcow2_slice_data(c, s) + (offset - start);
	return 0;
}

void qcow2_cache_dirty(struct qcow2_cache *c, const void *p)
{
	struct qcow2_slice *s = &c->slices[(size_t)((const uint8_t *)p - c->data) / c->size];

	c->dirty += !s->dirty;
	s->dirty = true;
}

void qcow2_cache_forget(struct qcow2_cache *c, uint64_t offset, uint64_t len)
{
	for (uint64_t at = offset; at < offset + len; at += c->size) {
		struct qcow2_slice *s = qcow2_cache_find(c, at);

		if (!s)
			continue;
		c->dirty -= s->dirty;
		s->dirty = false;
		s->offset = 0;
	}
}

int qcow2_cache_write(struct qcow2 *q, struct qcow2_cache *c)
{
	bool any = c->dirty;

	for (size_t i = 0; c->dirty && i < ARRAY_SIZE(c->slices); i++) {
		struct qcow2_slice *s = &c->slices[i];
		int r;

		if (!s->dirty)
			continue;
		r = raw_write_buf(q->b, qcow2_slice_data(c, s), c->size, s->offset);
		if (r < 0)
			return r;
		s->dirty = false;
		c->dirty--;
	}
	return any;
}
