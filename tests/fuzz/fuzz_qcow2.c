// SPDX-License-Identifier: MIT
/*
 * A qcow2 image that somebody hostile made: the input is how it is used, then the image. It is opened, read, written,
 * given back, and opened once more. Whatever it says, requests end, and what was refused has not been done by halves:
 * a disk that has a size has it the second time.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/block/block.h"

#define FUZZ_OPS 24
#define FUZZ_LEN (24 * KIB)
#define FUZZ_USE 8 /* bytes of the input before the image */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	uv_loop_t loop;
	uint8_t buffer[FUZZ_LEN];
	uint32_t seed;
	unsigned int pending;
};

static uint32_t fuzz_random(struct fuzz *f, uint32_t n)
{
	f->seed = f->seed * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)(f->seed >> 8) * n) >> 24);
}

static void fuzz_done(struct block_req *r, int ret)
{
	struct fuzz *f = r->arg;

	if (ret > 0)
		__builtin_trap();
	f->pending--;
}

static void fuzz_op(struct fuzz *f, struct block *b)
{
	static const enum block_op kinds[] = { BLOCK_READ,    BLOCK_WRITE,	  BLOCK_WRITE,
					       BLOCK_DISCARD, BLOCK_WRITE_ZEROES, BLOCK_FLUSH };
	uint64_t sectors = block_info(b)->size / BLOCK_SECTOR;
	uint64_t n = MIN(1 + fuzz_random(f, FUZZ_LEN / BLOCK_SECTOR), sectors);
	/* mostly where the tables are short: at the front, or at the end */
	uint64_t at = fuzz_random(f, (uint32_t)MIN(sectors - n + 1, 4096u));
	struct iovec iov = { f->buffer, n * BLOCK_SECTOR };
	struct block_req r = {
		.op = kinds[fuzz_random(f, ARRAY_SIZE(kinds))],
		.iov = &iov,
		.niov = 1,
		.offset = (fuzz_random(f, 4) ? at : sectors - n - at) * BLOCK_SECTOR,
		.len = n * BLOCK_SECTOR,
		.stable = fuzz_random(f, 2),
		.unmap = fuzz_random(f, 2),
		.done = fuzz_done,
		.arg = f,
	};

	f->pending++;
	block_queue(b, &r);
	block_submit(b);
	block_drain(b);
	if (f->pending)
		__builtin_trap();
}

/* The size of the disk in it; 0: it is refused. */
static uint64_t fuzz_use(struct fuzz *f, int fd, bool readonly)
{
	struct block_image image = { .fd = dup(fd),
				     .readonly = readonly,
				     .format = BLOCK_FORMAT_QCOW2,
				     .engine = BLOCK_ENGINE_PSYNC };
	struct block *b;
	struct err e;
	uint64_t size;

	if (block_open(&image, &b, &e) < 0)
		return 0;
	size = block_info(b)->size;
	if (!size || block_attach(b, &f->loop, NULL, NULL) < 0)
		__builtin_trap();
	for (int i = 0; i < FUZZ_OPS; i++)
		fuzz_op(f, b);
	block_detach(b);
	block_free(b);
	return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz *f;
	uint64_t disk;
	int fd;

	if (size < FUZZ_USE)
		return 0;
	f = calloc(1, sizeof(*f));
	fd = memfd_create("image", MFD_CLOEXEC);
	if (!f || fd < 0 || uv_loop_init(&f->loop) < 0 ||
	    write(fd, data + FUZZ_USE, size - FUZZ_USE) != (ssize_t)(size - FUZZ_USE))
		abort();
	memcpy(&f->seed, data, sizeof(f->seed));
	disk = fuzz_use(f, fd, data[4] & 1);
	/* a damaged one may be read only from now on, and is no other disk than it was */
	if (disk && fuzz_use(f, fd, true) != disk)
		__builtin_trap();
	uv_loop_close(&f->loop);
	close(fd);
	free(f);
	return 0;
}
