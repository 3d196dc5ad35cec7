// SPDX-License-Identifier: MIT
// The block backend: every test runs with both engines.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/audit.h>
#include <linux/falloc.h>
#include <linux/filter.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/errcat.h"
#include "vmm/block/block.h"
#include "vmm/block/engine.h"
#include "tests/lib/skip.h"

#define SIZE (4 * MIB)

struct fixture {
	uv_loop_t loop;
	struct block *b;
	int fd; /* of the same file, the test's own */
	unsigned int batches;
};

struct op {
	struct block_req r;
	struct iovec iov[4];
	int ret;
	unsigned int dones;
	struct block_req *then; /* queued by done */
	struct block *b;
};

static void op_done(struct block_req *r, int ret)
{
	struct op *o = container_of(r, struct op, r);

	o->ret = ret;
	o->dones++;
	if (o->then)
		block_queue(o->b, o->then);
}

static void batch_done(void *arg)
{
	((struct fixture *)arg)->batches++;
}

static struct op *op(struct op *o, enum block_op kind, uint64_t offset, void *data, uint64_t len)
{
	*o = (struct op){ .ret = 1 };
	o->r = (struct block_req){ .op = kind, .offset = offset, .len = len, .done = op_done };
	o->iov[0] = (struct iovec){ .iov_base = data, .iov_len = len };
	o->r.iov = o->iov;
	o->r.niov = data ? 1 : 0;
	return o;
}

/* One request from queue to done, by way of the loop */
static int run(struct fixture *f, struct op *o)
{
	block_queue(f->b, &o->r);
	block_submit(f->b);
	while (!o->dones)
		uv_run(&f->loop, UV_RUN_ONCE);
	assert_int_equal(o->dones, 1);
	return o->ret;
}

static int temp_file(uint64_t size)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static int open_image(int take_fd, bool readonly, enum block_engine_type type, struct block **ret,
		      struct err *e)
{
	struct block_image image = { .fd = take_fd, .readonly = readonly, .engine = type };

	return block_open(&image, ret, e);
}

static struct fixture *open_engine(enum block_engine_type type, bool readonly)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e = { 0 };
	int ret;

	assert_non_null(f);
	f->fd = temp_file(SIZE);
	ret = open_image(dup(f->fd), readonly, type, &f->b, &e);
	if (ret < 0 && type == BLOCK_ENGINE_URING && (e.code == ENOSYS || e.code == EPERM)) {
		close(f->fd);
		free(f);
		return NULL; /* no io_uring here */
	}
	if (ret < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(block_attach(f->b, &f->loop, batch_done, f), 0);
	return f;
}

static void close_engine(struct fixture *f)
{
	block_detach(f->b);
	block_free(f->b);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	close(f->fd);
	free(f);
}

static int setup_uring(void **state)
{
	*state = open_engine(BLOCK_ENGINE_URING, false);
	return 0;
}

static int setup_psync(void **state)
{
	*state = open_engine(BLOCK_ENGINE_PSYNC, false);
	return 0;
}

static int teardown(void **state)
{
	if (*state)
		close_engine(*state);
	return 0;
}

static struct fixture *fixture(void **state)
{
	if (!*state)
		SKIP_BECAUSE("this kernel gives no io_uring");
	return *state;
}

static void fill(uint8_t *p, size_t len, uint32_t seed)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
	}
}

static void read_and_write(void **state)
{
	struct fixture *f = fixture(state);
	static uint8_t data[64 * KIB], got[64 * KIB];
	struct op o;

	fill(data, sizeof(data), 1);
	op(&o, BLOCK_WRITE, 512, NULL, sizeof(data));
	o.iov[0] = (struct iovec){ data, 1 }; /* segments of any size */
	o.iov[1] = (struct iovec){ data + 1, 0 };
	o.iov[2] = (struct iovec){ data + 1, 4999 };
	o.iov[3] = (struct iovec){ data + 5000, sizeof(data) - 5000 };
	o.r.niov = 4;
	assert_int_equal(run(f, &o), 0);
	assert_int_equal(pread(f->fd, got, sizeof(got), 512), sizeof(got));
	assert_memory_equal(data, got, sizeof(data));
	memset(got, 0, sizeof(got));
	assert_int_equal(run(f, op(&o, BLOCK_READ, 512, got, sizeof(got))), 0);
	assert_memory_equal(data, got, sizeof(data));
	assert_int_equal(run(f, op(&o, BLOCK_FLUSH, 0, NULL, 0)), 0);
	op(&o, BLOCK_WRITE, SIZE - 512, data, 512);
	o.r.stable = true;
	assert_int_equal(run(f, &o), 0);
	assert_int_equal(block_info(f->b)->size, SIZE);
}

static void bounds(void **state)
{
	struct fixture *f = fixture(state);
	static uint8_t data[1024];
	struct op o;

	assert_int_equal(run(f, op(&o, BLOCK_READ, SIZE, data, 512)), -ERANGE);
	assert_int_equal(run(f, op(&o, BLOCK_WRITE, SIZE - 512, data, 1024)), -ERANGE);
	assert_int_equal(run(f, op(&o, BLOCK_READ, UINT64_MAX - 511, data, 1024)), -ERANGE);
	assert_int_equal(run(f, op(&o, BLOCK_DISCARD, 0, NULL, UINT64_MAX - 511)), -ERANGE);
	assert_int_equal(run(f, op(&o, BLOCK_READ, 0, data, 100)), -EINVAL);
	assert_int_equal(run(f, op(&o, BLOCK_READ, 1, data, 512)), -EINVAL);
	assert_int_equal(run(f, op(&o, BLOCK_READ, 0, data, 0)), -EINVAL);
	op(&o, BLOCK_READ, 0, data, 1024);
	o.iov[0].iov_len = 512; /* less than it says */
	assert_int_equal(run(f, &o), -EINVAL);
	op(&o, BLOCK_READ, 0, data, 512);
	o.r.niov = 1025;
	assert_int_equal(run(f, &o), -EINVAL);
}

static void readonly_disk(enum block_engine_type type)
{
	struct fixture *f = open_engine(type, true);
	static uint8_t data[512];
	struct op o;

	if (!f)
		SKIP_BECAUSE("this kernel gives no io_uring");
	assert_true(block_info(f->b)->readonly);
	assert_false(block_info(f->b)->discard);
	assert_int_equal(run(f, op(&o, BLOCK_WRITE, 0, data, 512)), -EROFS);
	assert_int_equal(run(f, op(&o, BLOCK_DISCARD, 0, NULL, 512)), -EROFS);
	assert_int_equal(run(f, op(&o, BLOCK_WRITE_ZEROES, 0, NULL, 512)), -EROFS);
	assert_int_equal(run(f, op(&o, BLOCK_READ, 0, data, 512)), 0);
	assert_int_equal(run(f, op(&o, BLOCK_FLUSH, 0, NULL, 0)), 0);
	close_engine(f);
}

static void readonly_uring(void **state)
{
	(void)state;
	readonly_disk(BLOCK_ENGINE_URING);
}

static void readonly_psync(void **state)
{
	(void)state;
	readonly_disk(BLOCK_ENGINE_PSYNC);
}

static uint64_t blocks(struct fixture *f)
{
	struct stat st;

	assert_int_equal(fstat(f->fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void write_ones(struct fixture *f)
{
	uint8_t *ones = malloc(SIZE);

	assert_non_null(ones);
	memset(ones, 0xff, SIZE);
	assert_int_equal(pwrite(f->fd, ones, SIZE, 0), SIZE);
	free(ones);
}

/* [start, end) is zero, and one byte on each side is not */
static void assert_zeroes(struct fixture *f, uint64_t start, uint64_t end)
{
	uint8_t *got = malloc(SIZE);

	assert_non_null(got);
	assert_int_equal(pread(f->fd, got, SIZE, 0), SIZE);
	for (uint64_t i = start; i < end; i++)
		if (got[i])
			fail_msg("byte %llu is not zero", (unsigned long long)i);
	if (start)
		assert_int_equal(got[start - 1], 0xff);
	if (end < SIZE)
		assert_int_equal(got[end], 0xff);
	free(got);
}

static void discard(void **state)
{
	struct fixture *f = fixture(state);
	struct op o;

	assert_true(block_info(f->b)->discard); /* tmpfs can */
	write_ones(f);
	assert_int_equal(blocks(f), SIZE);
	assert_int_equal(run(f, op(&o, BLOCK_DISCARD, MIB, NULL, MIB)), 0);
	assert_int_equal(blocks(f), SIZE - MIB);
	assert_zeroes(f, MIB, 2 * MIB);
	f->b->no_punch = true; /* without effect, and without an error: it is a hint */
	assert_int_equal(run(f, op(&o, BLOCK_DISCARD, 0, NULL, MIB)), 0);
	assert_int_equal(blocks(f), SIZE - MIB);
}

static void write_zeroes(void **state)
{
	struct fixture *f = fixture(state);
	struct op o;

	write_ones(f);
	assert_int_equal(run(f, op(&o, BLOCK_WRITE_ZEROES, 512, NULL, 2 * MIB)), 0);
	assert_zeroes(f, 512, 2 * MIB + 512);
	assert_int_equal(blocks(f), SIZE);
	write_ones(f);
	op(&o, BLOCK_WRITE_ZEROES, MIB, NULL, MIB);
	o.r.unmap = true;
	o.r.stable = true;
	assert_int_equal(run(f, &o), 0);
	assert_zeroes(f, MIB, 2 * MIB);
	assert_int_equal(blocks(f), SIZE - MIB);
	/* neither punch nor zero range: written, in more than one step */
	write_ones(f);
	f->b->no_punch = f->b->no_zero_range = true;
	op(&o, BLOCK_WRITE_ZEROES, 512, NULL, 2 * MIB + 1024);
	o.r.stable = o.r.unmap = true;
	assert_int_equal(run(f, &o), 0);
	assert_zeroes(f, 512, 2 * MIB + 1536);
}

/* More than the ring holds, in one submit: one batch where all are done at once */
static void many(void **state)
{
	struct fixture *f = fixture(state);
	enum { N = 3 * BLOCK_DEPTH };
	uint8_t *data = malloc(N * 512);
	struct op *ops = calloc(N, sizeof(*ops));

	assert_non_null(data);
	assert_non_null(ops);
	fill(data, N * 512, 3);
	for (unsigned int i = 0; i < N; i++)
		block_queue(f->b, &op(&ops[i], BLOCK_WRITE, i * 512, data + i * 512, 512)->r);
	block_submit(f->b);
	block_drain(f->b);
	for (unsigned int i = 0; i < N; i++) {
		assert_int_equal(ops[i].dones, 1);
		assert_int_equal(ops[i].ret, 0);
	}
	assert_in_range(f->batches, 1, N / 2);
	uint8_t *got = malloc(N * 512);

	assert_non_null(got);
	assert_int_equal(pread(f->fd, got, N * 512, 0), N * 512);
	assert_memory_equal(got, data, N * 512);
	free(got);
	free(data);
	free(ops);
}

/* A request that done queues runs in the same submit; queued but not submitted ones are drained too */
static void queue_from_done(void **state)
{
	struct fixture *f = fixture(state);
	static uint8_t data[512], got[512];
	struct op first, second, third;

	fill(data, sizeof(data), 9);
	op(&first, BLOCK_WRITE, 0, data, 512);
	op(&second, BLOCK_READ, 0, got, 512);
	first.then = &second.r;
	first.b = f->b;
	block_queue(f->b, &first.r);
	block_submit(f->b);
	block_drain(f->b);
	assert_int_equal(second.dones, 1);
	assert_memory_equal(data, got, 512);
	block_queue(f->b, &op(&third, BLOCK_FLUSH, 0, NULL, 0)->r);
	assert_int_equal(third.dones, 0);
	block_drain(f->b);
	assert_int_equal(third.dones, 1);
}

static void image_has_shrunk(void **state)
{
	struct fixture *f = fixture(state);
	static uint8_t data[1024];
	struct op o;

	assert_int_equal(ftruncate(f->fd, 512), 0);
	assert_int_equal(run(f, op(&o, BLOCK_READ, 0, data, 1024)), -EIO);
	assert_int_equal(run(f, op(&o, BLOCK_READ, 0, data, 512)), 0);
}

static void attach_again(void **state)
{
	struct fixture *f = fixture(state);
	static uint8_t data[512];
	struct op o;

	for (int i = 0; i < 3; i++) {
		block_detach(f->b);
		assert_int_equal(block_attach(f->b, &f->loop, NULL, NULL), 0);
		assert_int_equal(run(f, op(&o, BLOCK_READ, 0, data, 512)), 0);
	}
}

/* block_step_done: short steps are continued where they ended */
static void short_steps(void **state)
{
	struct fixture *f = fixture(state);
	static uint8_t data[1024];
	struct op o;
	struct block_req *r;

	op(&o, BLOCK_READ, 512, NULL, 1024);
	o.iov[0] = (struct iovec){ data, 100 };
	o.iov[1] = (struct iovec){ data + 100, 900 };
	o.iov[2] = (struct iovec){ data + 1000, 24 };
	o.r.niov = 3;
	block_queue(f->b, &o.r);
	r = block_take(f->b);
	assert_ptr_equal(r, &o.r);
	assert_false(block_step_done(f->b, r, 100));
	assert_int_equal(r->step.offset, 612);
	assert_int_equal(r->step.niov, 2);
	assert_ptr_equal(r->step.iov->iov_base, data + 100);
	assert_false(block_step_done(f->b, r, -EINTR));
	assert_false(block_step_done(f->b, r, 899));
	assert_int_equal(r->step.offset, 1511);
	assert_ptr_equal(r->step.iov->iov_base, data + 999);
	assert_int_equal(r->step.iov->iov_len, 1);
	assert_true(block_step_done(f->b, r, 25));
	assert_int_equal(o.ret, 0);
	/* errors, and a limit to patience */
	block_queue(f->b, &op(&o, BLOCK_READ, 0, data, 512)->r);
	r = block_take(f->b);
	for (int i = 0; i < 16; i++)
		assert_false(block_step_done(f->b, r, -EAGAIN));
	assert_true(block_step_done(f->b, r, -EAGAIN));
	assert_int_equal(o.ret, -EAGAIN);
	block_queue(f->b, &op(&o, BLOCK_WRITE, 0, data, 512)->r);
	r = block_take(f->b);
	assert_true(block_step_done(f->b, r, -ENOSPC));
	assert_int_equal(o.ret, -ENOSPC);
	/* a file system that can neither punch nor zero */
	op(&o, BLOCK_WRITE_ZEROES, 0, NULL, MIB + 512);
	o.r.unmap = o.r.stable = true;
	block_queue(f->b, &o.r);
	r = block_take(f->b);
	assert_int_equal(r->step.mode, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
	assert_false(block_step_done(f->b, r, -EOPNOTSUPP));
	assert_int_equal(r->step.mode, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
	assert_false(block_step_done(f->b, r, -EOPNOTSUPP));
	assert_int_equal(r->step.kind, BLOCK_STEP_WRITEV);
	assert_false(block_step_done(f->b, r, MIB - 512));
	assert_int_equal(r->step.offset, MIB - 512);
	assert_int_equal(r->step.iov->iov_len, 1024);
	assert_false(block_step_done(f->b, r, 1024));
	assert_int_equal(r->step.kind, BLOCK_STEP_SYNC);
	assert_true(block_step_done(f->b, r, 0));
	assert_int_equal(o.ret, 0);
}

static void assert_open_fails(int fd, bool readonly, int code, const char *msg)
{
	struct block *b = NULL;
	struct err e = { 0 };

	assert_int_equal(open_image(fd, readonly, BLOCK_ENGINE_AUTO, &b, &e), -code);
	assert_string_equal(e.msg, msg);
	assert_null(b);
	assert_int_equal(fcntl(fd, F_GETFD), -1); /* closed */
}

static void unusable_images(void **state)
{
	(void)state;
	assert_open_fails(temp_file(0), false, ERR_FILE, "the disk image is empty");
	assert_open_fails(temp_file(1000), true, ERR_FILE,
			  "the disk image's size, 1000 bytes, is not a multiple of 512");
	assert_open_fails(open("/", O_RDONLY | O_CLOEXEC), true, ERR_FILE,
			  "the disk image is neither a regular file nor a block device");
	assert_open_fails(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), false, EBADF,
			  "the disk image is not open for writing");
}

/* From now on this process gets EPERM from one system call */
static void refuse(unsigned int nr)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = ARRAY_SIZE(code), .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &prog))
		_exit(77);
}

/* The exit status of fn in a child */
static int in_child(int (*fn)(void))
{
	pid_t pid = fork();
	int status = 0;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int write_and_check(struct block *b, int fd)
{
	static uint8_t data[512], got[512];
	struct op o[8];
	uv_loop_t loop;

	fill(data, sizeof(data), 5);
	if (uv_loop_init(&loop) || block_attach(b, &loop, NULL, NULL))
		return 10;
	for (unsigned int i = 0; i < ARRAY_SIZE(o); i++)
		block_queue(b, &op(&o[i], BLOCK_WRITE, i * 512, data, 512)->r);
	block_submit(b);
	block_drain(b);
	for (unsigned int i = 0; i < ARRAY_SIZE(o); i++)
		if (o[i].dones != 1 || o[i].ret || pread(fd, got, 512, i * 512) != 512 ||
		    memcmp(data, got, 512))
			return 11;
	block_detach(b);
	return 0;
}

static int without_setup(void)
{
	int fd = memfd_create("disk", 0);
	struct block *b;

	if (ftruncate(fd, SIZE))
		return 1;
	refuse(__NR_io_uring_setup);
	if (open_image(dup(fd), false, BLOCK_ENGINE_URING, &b, NULL) != -EPERM)
		return 2;
	if (open_image(dup(fd), false, BLOCK_ENGINE_AUTO, &b, NULL))
		return 3;
	if (strcmp(block_info(b)->engine, "psync"))
		return 4;
	return write_and_check(b, fd);
}

static int without_enter(void)
{
	int fd = memfd_create("disk", 0);
	struct block *b;

	if (ftruncate(fd, SIZE) || open_image(dup(fd), false, BLOCK_ENGINE_URING, &b, NULL))
		return 1;
	refuse(__NR_io_uring_enter);
	return write_and_check(b, fd);
}

static void sandbox_refuses_ring(void **state)
{
	int ret;

	(void)state;
	ret = in_child(without_setup);
	if (ret == 77)
		SKIP_BECAUSE("no seccomp here");
	assert_int_equal(ret, 0);
	assert_int_equal(in_child(without_enter), 0);
}

static int find_ring(void)
{
	char path[32], target[64] = "";

	for (int fd = 0; fd < 1024; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, target, sizeof(target) - 1) > 0 &&
		    !strncmp(target, "anon_inode:[io_uring]", 21))
			return fd;
	}
	return -1;
}

#define CHUNK (64 * KIB)

static struct fixture *open_pinned(void *memory, uint64_t size)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct block_image image = { .engine = BLOCK_ENGINE_URING,
				     .memory = { memory, size, CHUNK } };
	struct err e = { 0 };

	assert_non_null(f);
	f->fd = temp_file(SIZE);
	image.fd = dup(f->fd);
	if (block_open(&image, &f->b, &e) < 0)
		SKIP_BECAUSE("this kernel gives no io_uring");
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(block_attach(f->b, &f->loop, batch_done, f), 0);
	return f;
}

/* How many pieces of memory the kernel has pinned for the ring. */
static unsigned int ring_buffers(void)
{
	char path[40], line[200];
	unsigned int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", find_ring());
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "UserBufs: %u", &n) == 1)
			break;
	fclose(f);
	return n;
}

/* Requests in the pinned memory, at every place of it, over the border of two pieces, in parts, and out of it */
static void memory_is_pinned(void **state)
{
	const struct {
		int64_t at; /* from the memory's begin on */
		uint32_t len;
	} requests[] = {
		{ 0, 4096 },
		{ 512, 512 },
		{ CHUNK - 4096, 4096 },
		{ CHUNK - 2048, 4096 }, /* in two pieces */
		{ 2 * CHUNK, 4096 },
		{ 2 * CHUNK + 4096, 4096 },
		{ 2 * CHUNK + 6144, 4096 }, /* half of it behind the end */
		{ 2 * CHUNK + 8192, 4096 },
		{ -2048, 4096 },
		{ -4096, 4096 },
	};
	const uint64_t size = 2 * CHUNK + 8192;
	uint8_t *map = mmap(NULL, size + 2 * CHUNK, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *memory = map + CHUNK, got[4096], want[4096];
	struct fixture *f = open_pinned(memory, size);
	struct op o;

	(void)state;
	assert_true(block_info(f->b)->pinned);
	assert_int_equal(ring_buffers(), 3);
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		uint8_t *p = memory + requests[i].at;
		uint32_t len = requests[i].len;

		fill(want, len, (uint32_t)i);
		memcpy(p, want, len);
		op(&o, BLOCK_WRITE, i * 4096, p, len);
		o.r.stable = i & 1;
		assert_int_equal(run(f, &o), 0);
		assert_int_equal(pread(f->fd, got, len, (off_t)i * 4096), len);
		assert_memory_equal(got, want, len);
		memset(p, 0, len);
		assert_int_equal(run(f, op(&o, BLOCK_READ, i * 4096, p, len)), 0);
		assert_memory_equal(p, want, len);
	}
	op(&o, BLOCK_READ, 0, memory, 1024);
	o.iov[1] = (struct iovec){ memory + CHUNK, 3072 };
	o.r.niov = 2;
	o.r.len = 4096;
	o.iov[0].iov_len = 1024;
	fill(want, 4096, 0);
	assert_int_equal(run(f, &o), 0);
	assert_memory_equal(memory, want, 1024);
	assert_memory_equal(memory + CHUNK, want + 1024, 3072);
	close_engine(f);
	munmap(map, size + 2 * CHUNK);
}

/* A user who may not lock as much: all goes on without. */
static int without_memlock(void)
{
	const struct rlimit limit = { CHUNK, CHUNK };
	uint8_t *memory =
		mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = temp_file(SIZE);
	struct block_image image = { .fd = dup(fd),
				     .engine = BLOCK_ENGINE_URING,
				     .memory = { memory, MIB, 0 } };
	struct block *b;

	if (setrlimit(RLIMIT_MEMLOCK, &limit) || (!geteuid() && setresuid(65534, 65534, 65534)))
		return 1;
	if (block_open(&image, &b, NULL) < 0)
		return 77;
	if (block_info(b)->pinned || strcmp(block_info(b)->engine, "io_uring") != 0)
		return 2;
	return write_and_check(b, fd);
}

static void memory_is_not_pinned(void **state)
{
	struct block_image image = { .engine = BLOCK_ENGINE_PSYNC };
	static uint8_t memory[4096];
	struct block *b;
	int ret = in_child(without_memlock);

	(void)state;
	if (ret == 77)
		SKIP_BECAUSE("this kernel gives no io_uring to who may not lock memory");
	assert_int_equal(ret, 0);
	image.fd = temp_file(SIZE);
	image.memory.base = memory;
	image.memory.size = sizeof(memory);
	assert_int_equal(block_open(&image, &b, NULL), 0);
	assert_false(block_info(b)->pinned);
	block_free(b);
}

/* Asked for by name a ring is made; what is in memory has none else. */
static void file_in_memory(void **state)
{
	struct block *b = NULL;
	char path[] = "/var/tmp/vmd-block-XXXXXX";
	struct statfs fs;
	int fd;

	(void)state;
	assert_int_equal(open_image(temp_file(SIZE), false, BLOCK_ENGINE_AUTO, &b, NULL), 0);
	assert_string_equal(block_info(b)->engine, "psync");
	block_free(b);
	if (open_image(temp_file(SIZE), false, BLOCK_ENGINE_URING, &b, NULL) < 0)
		SKIP_BECAUSE("this kernel gives no io_uring");
	assert_string_equal(block_info(b)->engine, "io_uring");
	block_free(b);
	fd = mkostemp(path, O_CLOEXEC);
	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	assert_int_equal(fstatfs(fd, &fs), 0);
	assert_int_equal(open_image(fd, false, BLOCK_ENGINE_AUTO, &b, NULL), 0);
	assert_string_equal(block_info(b)->engine, fs.f_type == TMPFS_MAGIC ? "psync" : "io_uring");
	block_free(b);
}

/* What a broken monitor can do with the ring that it has: it maps it anew, and asks. */
static int ask_ring(struct io_uring *ring, uint8_t opcode)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	int res;

	io_uring_prep_rw(opcode, sqe, AT_FDCWD, "/", 0, 0);
	assert_int_equal(io_uring_submit_and_wait(ring, 1), 1);
	assert_int_equal(io_uring_peek_cqe(ring, &cqe), 0);
	res = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return res;
}

static void ring_takes_disk_operations_alone(void **state)
{
	struct io_uring_params params = { .flags = IORING_SETUP_R_DISABLED };
	struct fixture *f = open_engine(BLOCK_ENGINE_URING, false);
	struct io_uring twin, ring = { 0 };
	int fd = find_ring();

	(void)state;
	if (!f)
		SKIP_BECAUSE("no io_uring here");
	assert_true(fd >= 0);
	/* one made alike, for where things are in it */
	assert_int_equal(io_uring_queue_init_params(BLOCK_DEPTH, &twin, &params), 0);
	assert_int_equal(io_uring_queue_mmap(fd, &params, &ring), 0);
	assert_int_equal(ask_ring(&ring, IORING_OP_NOP), -EACCES);
	assert_int_equal(ask_ring(&ring, IORING_OP_OPENAT), -EACCES);
	assert_int_equal(ask_ring(&ring, IORING_OP_CONNECT), -EACCES);
	assert_int_equal(ask_ring(&ring, IORING_OP_SENDMSG), -EACCES);
	/* this one is looked at, and has a wrong field */
	assert_int_equal(ask_ring(&ring, IORING_OP_FSYNC), -EINVAL);
	assert_int_equal(syscall(SYS_io_uring_register, fd, IORING_UNREGISTER_EVENTFD, NULL, 0),
			 -1);
	assert_int_equal(errno, EACCES);
	munmap(ring.sq.ring_ptr, ring.sq.ring_sz);
	munmap(ring.sq.sqes, BLOCK_DEPTH * sizeof(struct io_uring_sqe));
	io_uring_queue_exit(&twin);
	close_engine(f);
}

int main(void)
{
#define T(fn)                                                  \
	{ "uring: " #fn, fn, setup_uring, teardown, NULL },    \
	{                                                      \
		"psync: " #fn, fn, setup_psync, teardown, NULL \
	}
	const struct CMUnitTest tests[] = {
		T(read_and_write),
		T(bounds),
		T(discard),
		T(write_zeroes),
		T(many),
		T(queue_from_done),
		T(image_has_shrunk),
		T(attach_again),
		T(short_steps),
		cmocka_unit_test(readonly_uring),
		cmocka_unit_test(readonly_psync),
		cmocka_unit_test(unusable_images),
		cmocka_unit_test(sandbox_refuses_ring),
		cmocka_unit_test(file_in_memory),
		cmocka_unit_test(memory_is_pinned),
		cmocka_unit_test(memory_is_not_pinned),
		cmocka_unit_test(ring_takes_disk_operations_alone),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
