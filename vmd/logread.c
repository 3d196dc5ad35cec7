// SPDX-License-Identifier: MIT
/* Reading a log: see logread.h. On a worker. */
#include "vmd/logread.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/fdio.h"

#define LOGREAD_TRIES 4 /* of opening two files that somebody renames meanwhile */

/* The segment's first record. False when it is empty or none of ours. */
static bool logread_head(struct logread_segment *s)
{
	char text[256], data[128];
	struct logrec rec;
	ssize_t n = fdio_pread(s->fd, text, sizeof(text), 0), size;

	size = n > 0 ? logrec_parse(text, (size_t)n, &rec) : 0;
	if (size <= 0 || rec.kind != LOGREC_SEGMENT || rec.len >= sizeof(data))
		return false;
	memcpy(data, rec.data, rec.len);
	data[rec.len] = '\0';
	if (sscanf(data, "%63s %" SCNu64 " %" SCNu64, s->run, &s->run_pos, &s->next_offset) != 3)
		return false;
	s->base = rec.offset;
	s->head = (size_t)size;
	return true;
}

static int logread_open_one(struct logread_segment *s, const char *path, struct err *e)
{
	*s = (struct logread_segment){ .fd = open(path,
						  O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) };
	if (s->fd < 0)
		return errno == ENOENT ? 0 : err_errno(e, "cannot read '%s'", path);
	if (!logread_head(s))
		close(TAKE_FD(s->fd));
	return 0;
}

static uint64_t logread_segment_end(const struct logread_segment *s)
{
	off_t size = s->fd < 0 ? 0 : lseek(s->fd, 0, SEEK_END);

	return s->base + (size > (off_t)s->head ? (uint64_t)size - s->head : 0);
}

/* Was it renamed between the two opens? Then the older one does not end where the present one begins. */
static bool logread_fits(const struct logread *r)
{
	const struct logread_segment *old = &r->segments[0], *now = &r->segments[1];

	return old->fd < 0 || now->fd < 0 || logread_segment_end(old) == now->base;
}

int logread_open(struct logread *r, const char *path, struct err *e)
{
	char older[4096];
	int ret = 0;

	r->segments[0].fd = r->segments[1].fd = -1;
	snprintf(older, sizeof(older), "%s.1", path);
	for (unsigned int i = 0; i < LOGREAD_TRIES; i++) {
		logread_fini(r);
		ret = logread_open_one(&r->segments[0], older, e);
		if (ret >= 0)
			ret = logread_open_one(&r->segments[1], path, e);
		if (ret < 0 || logread_fits(r))
			break;
	}
	/* one that does not fit still is what there is: what lies between is gone */
	logread_seek(r, 0);
	return ret;
}

void logread_fini(struct logread *r)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(r->segments); i++)
		if (r->segments[i].fd >= 0)
			close(TAKE_FD(r->segments[i].fd));
}

void logread_seek(struct logread *r, uint64_t pos)
{
	r->start = r->len = 0;
	r->at = 0;
	if (r->segments[1].fd >= 0 && (r->segments[0].fd < 0 || pos >= r->segments[1].base))
		r->at = 1;
	r->pos = MAX(pos, r->segments[r->at].base);
	r->pos = MIN(r->pos, logread_segment_end(&r->segments[r->at]));
}

/* What is no record: go on behind the next LF, which no record has inside of it. */
static void logread_skip(struct logread *r)
{
	const char *from = r->buf + r->start, *lf = memchr(from, '\n', r->len);
	size_t n = lf ? (size_t)(lf + 1 - from) : r->len;

	r->start += n;
	r->len -= n;
	r->pos += n;
}

static int logread_fill(struct logread *r)
{
	const struct logread_segment *s = &r->segments[r->at];
	ssize_t n;

	memmove(r->buf, r->buf + r->start, r->len);
	r->start = 0;
	n = fdio_pread(s->fd, r->buf + r->len, sizeof(r->buf) - r->len,
		       (off_t)(r->pos - s->base + s->head + r->len));
	if (n > 0)
		r->len += (size_t)n;
	return n < 0 ? (int)n : n > 0;
}

int logread_next(struct logread *r, struct logrec *ret)
{
	for (;;) {
		ssize_t n = r->len ? logrec_parse(r->buf + r->start, r->len, ret) : 0;
		int filled = 0;

		if (n > 0) {
			r->start += (size_t)n;
			r->len -= (size_t)n;
			r->pos += (uint64_t)n;
			return 1;
		}
		if (n < 0) {
			logread_skip(r);
			continue;
		}
		if (r->segments[r->at].fd >= 0 && r->len < sizeof(r->buf))
			filled = logread_fill(r);
		if (filled < 0)
			return filled;
		if (filled)
			continue;
		if (r->at || r->segments[1].fd < 0)
			return 0;
		logread_seek(r, r->segments[1].base);
	}
}
