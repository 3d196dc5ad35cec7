// SPDX-License-Identifier: MIT
// Images without the page cache, and what is made stable: every test of O_DIRECT runs with both engines.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lib/errcat.h"
#include "tests/lib/skip.h"
#include "tests/lib/tempdir.h"
#include "vmm/block/block.h"
#include "vmm/block/engine.h"

#define SIZE MIB
#define PAGE 4096

struct fixture {
	uv_loop_t loop;
	struct block *b;
	char *dir;
	int fd;	       /* the test's own, with the page cache */
	uint8_t *page; /* aligned: two of them and a bit */
};

struct op {
	struct block_req r;
	struct iovec iov[3];
	int ret;
};

static void op_done(struct block_req *r, int ret)
{
	container_of(r, struct op, r)->ret = ret;
}

static void queue(struct fixture *f, struct op *o, enum block_op kind, uint64_t offset, void *data,
		  uint64_t len)
{
	*o = (struct op){ .ret = 1 };
	o->iov[0] = (struct iovec){ .iov_base = data, .iov_len = len };
	o->r = (struct block_req){ .op = kind,
				   .iov = o->iov,
				   .niov = data ? 1 : 0,
				   .offset = offset,
				   .len = len,
				   .done = op_done };
	block_queue(f->b, &o->r);
}

static int run(struct fixture *f, enum block_op kind, uint64_t offset, void *data, uint64_t len)
{
	struct op o;

	queue(f, &o, kind, offset, data, len);
	block_submit(f->b);
	while (o.ret == 1)
		uv_run(&f->loop, UV_RUN_ONCE);
	return o.ret;
}

/* NULL: the engine, or O_DIRECT, is not to be had here */
static struct fixture *begin(enum block_engine_type engine, int flags, uint64_t size, bool unsafe,
			     struct err *e)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct block_image image = { .engine = engine, .unsafe = unsafe };
	char path[400];

	f->dir = tempdir_new();
	f->page = aligned_alloc(PAGE, 4 * PAGE);
	snprintf(path, sizeof(path), "%s/disk", f->dir);
	f->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(f->fd >= 0 && ftruncate(f->fd, (off_t)size) == 0);
	image.fd = open(path, O_RDWR | O_CLOEXEC | flags);
	uv_loop_init(&f->loop);
	if (image.fd >= 0 && block_open(&image, &f->b, e) >= 0)
		assert_int_equal(block_attach(f->b, &f->loop, NULL, NULL), 0);
	return f;
}

static int end(void **state)
{
	struct fixture *f = *state;

	if (f->b)
		block_detach(f->b);
	block_free(f->b);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	close(f->fd);
	tempdir_remove(f->dir);
	free(f->page);
	free(f);
	return 0;
}

static int direct_uring(void **state)
{
	*state = begin(BLOCK_ENGINE_URING, O_DIRECT, SIZE, false, NULL);
	return 0;
}

static int direct_psync(void **state)
{
	*state = begin(BLOCK_ENGINE_PSYNC, O_DIRECT, SIZE, false, NULL);
	return 0;
}

static struct fixture *fixture(void **state)
{
	struct fixture *f = *state;

	if (!f->b)
		SKIP_BECAUSE("no io_uring, or no O_DIRECT on the file system of temporary files");
	return f;
}

static void fill(uint8_t *p, size_t len, uint32_t seed)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
	}
}

/* Memory at any address, in parts of any size; more than the buffer holds */
static void any_memory(void **state)
{
	struct fixture *f = fixture(state);
	uint64_t len = 600 * KIB;
	uint8_t *data = malloc(len + 1), *got = malloc(len + 1);
	struct op o;

	fill(data, len + 1, 1);
	queue(f, &o, BLOCK_WRITE, 512, data + 1, len);
	o.iov[0].iov_len = 5;
	o.iov[1] = (struct iovec){ data + 6, 300 * KIB };
	o.iov[2] = (struct iovec){ data + 6 + 300 * KIB, len - 5 - 300 * KIB };
	o.r.step.niov = o.r.niov = 3;
	block_submit(f->b);
	block_drain(f->b);
	assert_int_equal(o.ret, 0);
	assert_int_equal(pread(f->fd, got, len, 512), len);
	assert_memory_equal(got, data + 1, len);
	memset(got, 0, len + 1);
	assert_int_equal(run(f, BLOCK_READ, 512, got + 1, len), 0);
	assert_memory_equal(got + 1, data + 1, len);
	assert_int_equal(run(f, BLOCK_READ, 0, got + 1, 512), 0);
	for (int i = 1; i <= 512; i++)
		assert_int_equal(got[i], 0);
	/* the last sector: the file does not grow */
	assert_int_equal(run(f, BLOCK_WRITE, SIZE - 512, data + 3, 512), 0);
	assert_int_equal(run(f, BLOCK_READ, SIZE - 512, got + 1, 512), 0);
	assert_memory_equal(got + 1, data + 3, 512);
	assert_int_equal(lseek(f->fd, 0, SEEK_END), SIZE);
	free(data);
	free(got);
}

/* As if it had been refused: some kernels and disks take memory at any address. */
static void by_buffer(struct block *b, struct op *o)
{
	assert_true(direct_retry(b, &o->r.step, -EINVAL, false));
}

static int64_t runs_alone(const struct block *b, const struct block_step *s)
{
	if (b->uring && (s->kind == BLOCK_STEP_BOUNCE_READ || s->kind == BLOCK_STEP_BOUNCE_WRITE))
		assert_false(block_uring_busy(b->uring));
	return raw_step(b, s);
}

/* All sectors of a few blocks at once, every other one by way of the buffer: none undoes another */
static void neighbours(void **state)
{
	struct fixture *f = fixture(state);
	enum { N = 128 };
	struct op *ops = calloc(N, sizeof(*ops));
	uint8_t *data = aligned_alloc(PAGE, N * 1024), got[512];

	f->b->step = runs_alone;
	fill(data, N * 1024, 7);
	/* allocated, so that nothing else keeps the writes apart */
	assert_int_equal(pwrite(f->fd, data, N * 512, 0), N * 512);
	fsync(f->fd);
	for (unsigned int i = 0; i < N; i++) {
		queue(f, &ops[i], BLOCK_WRITE, i * 512, data + i * 1024, 512);
		if (i % 2 == 0)
			continue;
		ops[i].iov[0].iov_len = 101;
		ops[i].iov[1] = (struct iovec){ data + i * 1024 + 601, 411 };
		ops[i].r.step.niov = 2;
		by_buffer(f->b, &ops[i]);
	}
	block_submit(f->b);
	block_drain(f->b);
	for (unsigned int i = 0; i < N; i++) {
		assert_int_equal(ops[i].ret, 0);
		assert_int_equal(pread(f->fd, got, 512, i * 512), 512);
		assert_memory_equal(got, data + i * 1024, 101);
		assert_memory_equal(got + 101, data + i * 1024 + (i % 2 ? 601 : 101), 411);
	}
	free(ops);
	free(data);
}

static int64_t wants_blocks(const struct block *b, const struct block_step *s)
{
	if ((s->kind == BLOCK_STEP_READV || s->kind == BLOCK_STEP_WRITEV) &&
	    ((s->offset | s->iov[0].iov_len) % PAGE || s->niov != 1))
		return -EINVAL;
	return raw_step(b, s);
}

struct writer {
	struct fixture *f;
	uv_loop_t loop;
	struct block *b; /* one of the image's */
	unsigned int first;
	bool buffered;
	uint8_t *data;
	struct op ops[8];
	bool good;
};

enum { WRITERS = 3, WRITER_ROUNDS = 40 };

static atomic_uint
	writer_intruders; /* wrote by their buffer while the first had something under way */

static int64_t writer_step(const struct block *b, const struct block_step *s)
{
	if (s->kind == BLOCK_STEP_BOUNCE_WRITE && b->first->uring &&
	    block_uring_busy(b->first->uring))
		atomic_fetch_add(&writer_intruders, 1);
	return raw_step(b, s);
}

/* Every third sector of 8 pages, a few at a time and over and over; what is read back is what was written last. */
static void *writer_main(void *arg)
{
	struct writer *w = arg;
	struct fixture f = { .b = w->b };

	w->good = block_attach(w->b, &w->loop, NULL, NULL) >= 0;
	for (unsigned int round = 0; w->good && round < WRITER_ROUNDS; round++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(w->ops); i++) {
			uint64_t sector = w->first + WRITERS * ((round + 3 * i) % 16);
			uint8_t *data = w->data + sector * 1024;

			memset(data, (int)(1 + round + sector), 1024);
			queue(&f, &w->ops[i], BLOCK_WRITE, sector * 512, data, 512);
			if (w->buffered)
				by_buffer(w->b, &w->ops[i]);
		}
		block_submit(w->b);
		for (unsigned int i = 0; i < ARRAY_SIZE(w->ops); i++) {
			while (w->ops[i].ret == 1)
				uv_run(&w->loop, UV_RUN_ONCE);
			w->good = w->good && w->ops[i].ret == 0;
		}
	}
	block_detach(w->b);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	return NULL;
}

/* The same from several threads, two of which go by their buffers */
static void neighbours_of_other_threads(void **state)
{
	struct fixture *f = fixture(state);
	struct block_image image = { .engine = f->b->uring ? BLOCK_ENGINE_URING
							   : BLOCK_ENGINE_PSYNC };
	struct writer w[WRITERS] = { { .b = f->b } };
	uint8_t *data = aligned_alloc(PAGE, 64 * 1024), got[512];
	pthread_t threads[WRITERS];

	memset(data, 0, 64 * 1024);
	assert_int_equal(pwrite(f->fd, data, 64 * 512, 0), 64 * 512);
	fsync(f->fd);
	block_detach(f->b);
	f->b->step = writer_step;
	atomic_store(&writer_intruders, 0);
	for (unsigned int i = 1; i < WRITERS; i++)
		assert_int_equal(block_also(f->b, &image, &w[i].b, NULL), 0);
	for (unsigned int i = 0; i < WRITERS; i++)
		assert_int_equal(uv_loop_init(&w[i].loop), 0);
	for (unsigned int i = 0; i < WRITERS; i++) {
		w[i].first = i;
		w[i].buffered = i > 0;
		w[i].data = data;
		assert_int_equal(pthread_create(&threads[i], NULL, writer_main, &w[i]), 0);
	}
	for (unsigned int i = 0; i < WRITERS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_true(w[i].good);
	}
	for (unsigned int i = 0; i < WRITERS; i++)
		assert_int_equal(uv_loop_close(&w[i].loop), 0);
	assert_int_equal(atomic_load(&writer_intruders), 0);
	for (unsigned int i = 0; i < 3 * 16; i++) {
		assert_int_equal(pread(f->fd, got, 512, i * 512), 512);
		assert_memory_equal(got, data + i * 1024, 512);
		assert_int_not_equal(got[0], 0);
	}
	for (unsigned int i = 1; i < WRITERS; i++)
		block_free(w[i].b);
	free(data);
}

/* A disk that has blocks of 4 KiB, and a guest that does not know */
static void small_sectors(void **state)
{
	struct fixture *f = fixture(state);
	uint8_t *data = f->page, got[3 * PAGE];

	f->b->step = wants_blocks;
	fill(data, 3 * PAGE, 3);
	assert_int_equal(pwrite(f->fd, data, 3 * PAGE, 0), 3 * PAGE);
	fsync(f->fd);
	fill(data, 512, 5);
	assert_int_equal(run(f, BLOCK_WRITE, PAGE + 512, data, 512), 0);
	assert_int_equal(pread(f->fd, got, 3 * PAGE, 0), 3 * PAGE);
	assert_memory_equal(got + PAGE + 512, data, 512);
	assert_memory_equal(got + 512, data + 512, PAGE);
	assert_memory_equal(got + PAGE + 1024, data + PAGE + 1024, 2 * PAGE - 1024);
	assert_int_equal(run(f, BLOCK_READ, PAGE - 512, data, 1536), 0);
	assert_memory_equal(data, got + PAGE - 512, 1536);
}

static void odd_sizes_are_refused(void **state)
{
	struct err e = { 0 };

	*state = begin(BLOCK_ENGINE_PSYNC, O_DIRECT, 3 * 512, false, &e);
	assert_null(((struct fixture *)*state)->b);
	if (!e.code)
		SKIP_BECAUSE("no O_DIRECT on the file system of temporary files");
	assert_int_equal(e.code, ERR_FILE);
	assert_string_equal(e.msg, "the disk image's size, 1536 bytes, is not a multiple of 4096");
	assert_string_equal(e.hint, "`cache: direct` needs that: truncate --size %4096 FILE");
}

/* --- what is made stable ---------------------------------------------------------------------------------- */

static unsigned int syncs_done, stable_writes;

static int64_t counts(const struct block *b, const struct block_step *s)
{
	syncs_done += s->kind == BLOCK_STEP_SYNC;
	stable_writes += s->kind == BLOCK_STEP_WRITEV && s->mode == RWF_DSYNC;
	return raw_step(b, s);
}

static void expect_stable(void **state, bool unsafe, unsigned int syncs, unsigned int stable)
{
	struct fixture *f = begin(BLOCK_ENGINE_PSYNC, 0, SIZE, unsafe, NULL);
	struct op o;

	*state = f;
	f->b->step = counts;
	syncs_done = stable_writes = 0;
	assert_int_equal(run(f, BLOCK_WRITE, 0, f->page, 512), 0);
	assert_int_equal(run(f, BLOCK_FLUSH, 0, NULL, 0), 0);
	o = (struct op){ .ret = 1, .iov = { { f->page, 512 } } };
	o.r = (struct block_req){ .op = BLOCK_WRITE,
				  .iov = o.iov,
				  .niov = 1,
				  .len = 512,
				  .stable = true,
				  .done = op_done };
	block_queue(f->b, &o.r);
	block_submit(f->b);
	assert_int_equal(o.ret, 0);
	assert_int_equal(raw_sync(f->b), 0);
	assert_int_equal(syncs_done, syncs);
	assert_int_equal(stable_writes, stable);
}

static void safe_is_stable(void **state)
{
	expect_stable(state, false, 2, 1);
}

static void unsafe_is_not(void **state)
{
	expect_stable(state, true, 0, 0);
}

int main(void)
{
#define T(fn)                                              \
	{ "uring: " #fn, fn, direct_uring, end, NULL },    \
	{                                                  \
		"psync: " #fn, fn, direct_psync, end, NULL \
	}
	const struct CMUnitTest tests[] = {
		T(any_memory),
		T(neighbours),
		T(neighbours_of_other_threads),
		{ "small_sectors", small_sectors, direct_psync, end, NULL },
		cmocka_unit_test_teardown(odd_sizes_are_refused, end),
		cmocka_unit_test_teardown(safe_is_stable, end),
		cmocka_unit_test_teardown(unsafe_is_not, end),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
