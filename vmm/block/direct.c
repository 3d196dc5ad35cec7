// SPDX-License-Identifier: MIT
/*
 * Images without the host's page cache: open(2), O_DIRECT. What the kernel then asks of memory, offset and length is
 * different from file system to file system and from disk to disk. A request is tried as it is; one that is refused
 * (EINVAL) goes through a buffer here, with what is around it in its blocks. Such a step is run on the spot with no
 * other under way: one that writes to the same block would be undone. Where several threads have the image, a gate keeps
 * the others out: readers of its lock are who has steps under way, from the first to the last.
 */
#include "vmm/block/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "lib/errcat.h"

#define DIRECT_ALIGN 4096	  /* more than any asks for */
#define DIRECT_BUFFER (256 * KIB) /* of which there are two: for requests, and for the format */

struct direct_gate {
	pthread_rwlock_t lock;
	atomic_uint asked; /* threads that want to be alone */
};

int direct_init(struct block *b, struct err *e)
{
	void *p;

	b->align = b->is_device ? b->info.logical_block : DIRECT_ALIGN;
	p = mmap(NULL, 2 * DIRECT_BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		 0);
	if (p == MAP_FAILED)
		return err_errno(e, "disk image: a buffer");
	b->bounce = p;
	return 0;
}

int direct_check_size(const struct block *b, struct err *e)
{
	if (b->info.size % b->align == 0)
		return 0;
	err_set(e, ERR_FILE, "the disk image's size, %llu bytes, is not a multiple of %u",
		(unsigned long long)b->info.size, b->align);
	return err_hint(e, "`cache: direct` needs that: truncate --size %%%u FILE", b->align);
}

void direct_fini(struct block *b)
{
	if (b->bounce)
		munmap(b->bounce, 2 * DIRECT_BUFFER);
	b->bounce = NULL;
	if (b->gate && !b->first) {
		pthread_rwlock_destroy(&b->gate->lock);
		free(b->gate);
	}
	b->gate = NULL;
}

/* --- several threads --------------------------------------------------------------------------------------- */

int direct_share(struct block *first, struct err *e)
{
	struct direct_gate *g = calloc(1, sizeof(*g));
	pthread_rwlockattr_t attr;

	if (!g)
		return err_set(e, ENOMEM, "disk image: no memory");
	pthread_rwlockattr_init(&attr);
	/* else those that have steps all the time would never let one be alone */
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&g->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	first->gate = g;
	return 0;
}

void direct_enter(struct block *b)
{
	if (!b->gate || b->inside)
		return;
	pthread_rwlock_rdlock(&b->gate->lock);
	b->inside = true;
}

void direct_leave(struct block *b)
{
	if (!b->inside)
		return;
	b->inside = false;
	pthread_rwlock_unlock(&b->gate->lock);
}

bool direct_asked(const struct block *b)
{
	return b->gate && atomic_load(&b->gate->asked);
}

void direct_yield(struct block *b)
{
	if (!direct_asked(b))
		return;
	direct_leave(b);
	direct_enter(b);
}

int64_t direct_run(struct block *b, const struct block_step *s)
{
	int64_t ret;

	if (!b->gate || s->kind != BLOCK_STEP_BOUNCE_WRITE)
		return b->step(b, s);
	direct_leave(b);
	atomic_fetch_add(&b->gate->asked, 1);
	pthread_rwlock_wrlock(&b->gate->lock);
	atomic_fetch_sub(&b->gate->asked, 1);
	ret = b->step(b, s);
	pthread_rwlock_unlock(&b->gate->lock);
	direct_enter(b);
	return ret;
}

/* --- the buffer -------------------------------------------------------------------------------------------- */

bool direct_retry(const struct block *b, struct block_step *s, int64_t res, bool own)
{
	if (res != -EINVAL || !b->bounce || !s->niov)
		return false;
	if (s->kind == BLOCK_STEP_READV)
		s->kind = BLOCK_STEP_BOUNCE_READ;
	else if (s->kind == BLOCK_STEP_WRITEV)
		s->kind = BLOCK_STEP_BOUNCE_WRITE;
	else
		return false;
	s->bounce = own ? b->bounce + DIRECT_BUFFER : b->bounce;
	return true;
}

/* Between the buffer and the memory of a step; at most max. How many. */
static uint64_t direct_copy(const struct block_step *s, uint8_t *p, uint64_t max, bool to_memory)
{
	uint64_t done = 0;

	for (unsigned int i = 0; i < s->niov && done < max; i++) {
		uint64_t n = MIN(s->iov[i].iov_len, max - done);

		if (to_memory)
			memcpy(s->iov[i].iov_base, p + done, n);
		else
			memcpy(p + done, s->iov[i].iov_base, n);
		done += n;
	}
	return done;
}

/* So much of the buffer from, or to, the file at `start`: as much as there is, or -errno. */
static int64_t direct_transfer(const struct block_step *s, uint64_t start, uint64_t len, bool write)
{
	uint64_t done = 0;

	while (done < len) {
		struct iovec iov = { .iov_base = s->bounce + done, .iov_len = len - done };
		off_t at = (off_t)(start + done);
		ssize_t n =
			write ? pwritev2(s->fd, &iov, 1, at, s->mode) : preadv(s->fd, &iov, 1, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (uint64_t)n;
	}
	return (int64_t)done;
}

int64_t direct_step(const struct block *b, const struct block_step *s)
{
	bool write = s->kind == BLOCK_STEP_BOUNCE_WRITE;
	uint64_t head = s->offset % b->align, start = s->offset - head, len = 0, end;
	int64_t n;

	for (unsigned int i = 0; i < s->niov; i++)
		len += s->iov[i].iov_len;
	len = MIN(len, DIRECT_BUFFER - b->align - head);
	end = head + len + (b->align - (head + len) % b->align) % b->align;
	if (!write || head || (head + len) % b->align) {
		n = direct_transfer(s, start, end, false);
		if (n < 0 || (uint64_t)n <= head)
			return MIN(n, 0);
		if (!write)
			return (int64_t)direct_copy(s, s->bounce + head,
						    MIN(len, (uint64_t)n - head), true);
	}
	direct_copy(s, s->bounce + head, len, false);
	n = direct_transfer(s, start, end, true);
	if (n < 0 || (uint64_t)n <= head)
		return MIN(n, 0);
	return (int64_t)MIN(len, (uint64_t)n - head);
}
