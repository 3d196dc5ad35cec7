// SPDX-License-Identifier: MIT
/* A bounded byte buffer: see buf.h. */
#include "lib/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t limit)
{
	*b = (struct buf){ .limit = limit };
}

void buf_fini(struct buf *b)
{
	if (!b)
		return;
	free(b->data);
	*b = (struct buf){ .limit = b->limit };
}

void *buf_reserve(struct buf *b, size_t len)
{
	size_t used = buf_len(b), cap = b->cap ? b->cap : 256;
	char *data;

	if (len > b->limit || used > b->limit - len)
		return NULL;
	if (b->start && b->cap - b->end < len) {
		memmove(b->data, b->data + b->start, used);
		b->start = 0;
		b->end = used;
	}
	if (b->cap - b->end >= len && b->data)
		return b->data + b->end;
	while (cap < used + len)
		cap *= 2;
	data = realloc(b->data, cap);
	if (!data)
		return NULL;
	b->data = data;
	b->cap = cap;
	return b->data + b->end;
}

void buf_commit(struct buf *b, size_t len)
{
	assert(len <= b->cap - b->end);
	b->end += len;
}

int buf_add(struct buf *b, const void *data, size_t len)
{
	void *room;

	if (!len)
		return 0;
	if (len > b->limit || buf_len(b) > b->limit - len)
		return -ENOBUFS;
	room = buf_reserve(b, len);
	if (!room)
		return -ENOMEM;
	memcpy(room, data, len);
	buf_commit(b, len);
	return 0;
}

void buf_consume(struct buf *b, size_t len)
{
	assert(len <= buf_len(b));
	b->start += len;
	if (b->start == b->end)
		b->start = b->end = 0;
}
