// SPDX-License-Identifier: MIT
/*
 * Images without the host's page cache: open(2), O_DIRECT. What the kernel then asks of memory, offset and length is
 * different from file system to file system and from disk to disk. A request is tried as it is; one that is refused
 * (EINVAL) goes through a buffer here, with what is around it in its blocks. Such a step is run on the spot with no
 * other under way: one that writes to the same block would be undone.
 */
#include "vmm/block/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "lib/errcat.h"

#define DIRECT_ALIGN 4096 /* more than any asks for */
#define DIRECT_BUFFER (256 * KIB)

int direct_init(struct block *b, struct err *e)
{
	void *p;

	b->align = b->is_device ? b->info.logical_block : DIRECT_ALIGN;
	p = mmap(NULL, DIRECT_BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
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
		munmap(b->bounce, DIRECT_BUFFER);
	b->bounce = NULL;
}

bool direct_retry(const struct block *b, struct block_step *s, int64_t res)
{
	if (res != -EINVAL || !b->bounce || !s->niov)
		return false;
	if (s->kind == BLOCK_STEP_READV)
		s->kind = BLOCK_STEP_BOUNCE_READ;
	else if (s->kind == BLOCK_STEP_WRITEV)
		s->kind = BLOCK_STEP_BOUNCE_WRITE;
	else
		return false;
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
static int64_t direct_transfer(const struct block *b, const struct block_step *s, uint64_t start,
			       uint64_t len, bool write)
{
	uint64_t done = 0;

	while (done < len) {
		struct iovec iov = { .iov_base = b->bounce + done, .iov_len = len - done };
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
		n = direct_transfer(b, s, start, end, false);
		if (n < 0 || (uint64_t)n <= head)
			return MIN(n, 0);
		if (!write)
			return (int64_t)direct_copy(s, b->bounce + head,
						    MIN(len, (uint64_t)n - head), true);
	}
	direct_copy(s, b->bounce + head, len, false);
	n = direct_transfer(b, s, start, end, true);
	if (n < 0 || (uint64_t)n <= head)
		return MIN(n, 0);
	return (int64_t)MIN(len, (uint64_t)n - head);
}
