/* SPDX-License-Identifier: MIT */
/*
 * A byte buffer that grows up to a limit: bytes are added at the end and taken from the front.
 * One thread at a time.
 */
#ifndef LIB_BUF_H
#define LIB_BUF_H

#include "lib/util.h"

struct buf {
	char *data; /* owned; NULL while empty and never used */
	size_t start, end, cap;
	size_t limit; /* most bytes that may wait in it */
};

void buf_init(struct buf *b, size_t limit);
void buf_fini(struct buf *b);
static inline size_t buf_len(const struct buf *b)
{
	return b->end - b->start;
}
static inline const char *buf_head(const struct buf *b)
{
	return b->data + b->start;
}
/* 0, or -ENOBUFS when the limit would be passed (nothing is added then), or -ENOMEM */
int buf_add(struct buf *b, const void *data, size_t len);
/* Room for len bytes at the end, to be written by the caller and then claimed with buf_commit. */
void *buf_reserve(struct buf *b, size_t len);
void buf_commit(struct buf *b, size_t len);
void buf_consume(struct buf *b, size_t len);

#endif
