// SPDX-License-Identifier: MIT
/* See qcow2_disk.h. */
#include "tests/unit/qcow2_disk.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECTOR BLOCK_SECTOR
#define ZONES 6 /* requests at a time */

extern char **environ;

/* --- a disk and its twin --------------------------------------------------------------------------------- */

uint32_t qdisk_random(struct qdisk *d, uint32_t n)
{
	d->seed = d->seed * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)(d->seed >> 8) * n) >> 24);
}

/* Exit status of a program; what it says goes to the file "log" */
int qdisk_img(const struct qdisk *d, const char *fmt, ...)
{
	char command[1024];
	char *argv[] = { (char[]){ "sh" }, (char[]){ "-c" }, command, NULL };
	va_list ap;
	pid_t pid;
	int n = snprintf(command, sizeof(command), "cd %s; exec >log 2>&1; exec qemu-img ", d->dir),
	    status;

	va_start(ap, fmt);
	vsnprintf(command + n, sizeof(command) - (size_t)n, fmt, ap);
	va_end(ap);
	assert_int_equal(posix_spawnp(&pid, "sh", NULL, NULL, argv, environ), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static void qdisk_show_log(const struct qdisk *d)
{
	char path[128], text[2048];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/log", d->dir);
	f = fopen(path, "re");
	if (!f)
		return;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	print_message("%s", text);
}

void qdisk_must(const struct qdisk *d, int status, int wanted, const char *what)
{
	if (status == wanted)
		return;
	qdisk_show_log(d);
	fail_msg("%s: exit status %d (seed %u, %s)", what, status, d->seed, d->dir);
}

struct qdisk *qdisk_new(uint64_t size, uint32_t seed)
{
	struct qdisk *d = calloc(1, sizeof(*d));
	/* memory where there is any: an fdatasync costs nothing there */
	const char *tmp = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";

	assert_non_null(d);
	snprintf(d->dir, sizeof(d->dir), "%s/qcow2-XXXXXX", tmp);
	assert_non_null(mkdtemp(d->dir));
	snprintf(d->path, sizeof(d->path), "%s/disk", d->dir);
	d->size = size;
	d->seed = seed;
	d->twin = calloc(1, size);
	assert_non_null(d->twin);
	assert_int_equal(uv_loop_init(&d->loop), 0);
	return d;
}

int qdisk_try(struct qdisk *d, struct block_image *image, struct err *e)
{
	int flags = O_CLOEXEC | (d->direct ? O_DIRECT : 0);

	image->fd = open(d->path, flags | (image->readonly ? O_RDONLY : O_RDWR));
	assert_true(image->fd >= 0);
	return block_open(image, &d->b, e);
}

static int64_t qdisk_wants_pages(const struct block *b, const struct block_step *s)
{
	bool moves = s->kind == BLOCK_STEP_READV || s->kind == BLOCK_STEP_WRITEV;

	for (unsigned int i = 0; moves && s->fd == b->fd && i < s->niov; i++)
		if ((s->offset | s->iov[i].iov_len | (uintptr_t)s->iov[i].iov_base) % 4096)
			return -EINVAL;
	return raw_step(b, s);
}

/* Both in turn, where there are two; left to itself block takes one by where the file is. */
static enum block_engine_type qdisk_engine(const struct qdisk *d)
{
	bool ring = syscall(SYS_io_uring_setup, 1, NULL) < 0 && errno == EFAULT;

	return ring && !(d->seed & 1) ? BLOCK_ENGINE_URING : BLOCK_ENGINE_PSYNC;
}

void qdisk_open_chain(struct qdisk *d, const char *const *backing)
{
	struct block_image image = { .format = BLOCK_FORMAT_QCOW2, .engine = qdisk_engine(d) };
	struct err e = { 0 };

	for (; backing && *backing; backing++) {
		char path[128];

		snprintf(path, sizeof(path), "%s/%s", d->dir, *backing);
		image.backing[image.nbacking++] = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (qdisk_try(d, &image, &e) < 0)
		fail_msg("%s", e.msg);
	if (d->direct)
		d->b->step = qdisk_wants_pages;
	assert_int_equal(block_info(d->b)->size, d->size);
	assert_string_equal(block_info(d->b)->format, "qcow2");
	assert_int_equal(block_attach(d->b, &d->loop, NULL, NULL), 0);
}

void qdisk_open(struct qdisk *d)
{
	qdisk_open_chain(d, NULL);
}

void qdisk_close(struct qdisk *d)
{
	block_detach(d->b);
	block_free(d->b);
	d->b = NULL;
	uv_run(&d->loop, UV_RUN_DEFAULT);
}

struct qdisk *qdisk_also(struct qdisk *d, uint32_t seed)
{
	struct block_image image = { .engine = qdisk_engine(d) };
	struct qdisk *also = calloc(1, sizeof(*also));

	assert_non_null(also);
	*also = *d;
	also->seed = seed;
	assert_int_equal(uv_loop_init(&also->loop), 0);
	block_detach(d->b);
	assert_int_equal(block_also(d->b, &image, &also->b, NULL), 0);
	assert_int_equal(block_attach(d->b, &d->loop, NULL, NULL), 0);
	assert_int_equal(block_attach(also->b, &also->loop, NULL, NULL), 0);
	return also;
}

void qdisk_also_free(struct qdisk *also)
{
	qdisk_close(also);
	assert_int_equal(uv_loop_close(&also->loop), 0);
	free(also);
}

void qdisk_free(struct qdisk *d)
{
	char command[128];

	if (d->b)
		qdisk_close(d);
	assert_int_equal(uv_loop_close(&d->loop), 0);
	snprintf(command, sizeof(command), "rm -r '%s'", d->dir);
	assert_int_equal(system(command), 0);
	free(d->twin);
	free(d);
}

void qdisk_file(const struct qdisk *d, const char *name, const void *data, uint64_t len)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", d->dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

/* The image is sound and has the twin's content. */
void qdisk_judge(struct qdisk *d, bool may_leak)
{
	int status = qdisk_img(d, "check disk");

	if (may_leak && status == 3)
		status = 0;
	qdisk_must(d, status, 0, "qemu-img check");
	qdisk_file(d, "twin", d->twin, d->size);
	qdisk_must(d, qdisk_img(d, "compare -f qcow2 -F raw disk twin"), 0, "qemu-img compare");
}

/* --- random requests ---------------------------------------------------------------------------------------- */

static void qop_done(struct block_req *r, int ret)
{
	struct qop *o = container_of(r, struct qop, r);

	o->ret = ret;
	o->done = true;
}

void qop_init(struct qop *o, enum block_op kind, uint64_t offset, uint64_t len)
{
	*o = (struct qop){ .ret = 1 };
	o->data = calloc(1, len ? len : 1);
	assert_non_null(o->data);
	o->r = (struct block_req){
		.op = kind, .offset = offset, .len = len, .done = qop_done, .iov = o->iov
	};
}

/* Cut into three at any byte. */
void qop_cut(struct qdisk *d, struct qop *o)
{
	uint32_t a = qdisk_random(d, (uint32_t)o->r.len + 1);
	uint32_t b = a + qdisk_random(d, (uint32_t)o->r.len - a + 1);

	o->iov[0] = (struct iovec){ o->data, a };
	o->iov[1] = (struct iovec){ o->data + a, b - a };
	o->iov[2] = (struct iovec){ o->data + b, o->r.len - b };
	o->r.niov = 3;
}

static enum block_op qop_kind(struct qdisk *d)
{
	static const enum block_op kinds[] = { BLOCK_READ,  BLOCK_READ,	   BLOCK_WRITE,
					       BLOCK_WRITE, BLOCK_WRITE,   BLOCK_WRITE_ZEROES,
					       BLOCK_WRITE, BLOCK_DISCARD, BLOCK_FLUSH };

	return kinds[qdisk_random(d, ARRAY_SIZE(kinds))];
}

/* One in each zone of the disk, the zones' borders at any sector. */
void qop_random(struct qdisk *d, struct qop *o, uint32_t start, uint32_t end)
{
	enum block_op kind = qop_kind(d);
	uint32_t max = qdisk_random(d, 4) ? MIN(end - start, 48u) : end - start;
	uint32_t n = 1 + qdisk_random(d, max), at = start + qdisk_random(d, end - start - n + 1);

	qop_init(o, kind, (uint64_t)at * SECTOR, kind == BLOCK_FLUSH ? 0 : (uint64_t)n * SECTOR);
	o->r.stable = !qdisk_random(d, 8);
	o->r.unmap = qdisk_random(d, 2);
	if (kind == BLOCK_READ || kind == BLOCK_WRITE)
		qop_cut(d, o);
	for (uint64_t i = 0; kind == BLOCK_WRITE && i < o->r.len; i++)
		o->data[i] = (uint8_t)(qdisk_random(d, 255) + 1);
}

int qop_run(struct qdisk *d, struct qop *o)
{
	block_queue(d->b, &o->r);
	block_submit(d->b);
	block_drain(d->b);
	assert_true(o->done);
	return o->ret;
}

/* What a discard leaves is the old or nothing, in each sector. */
static void qop_learn(struct qdisk *d, const struct qop *o)
{
	static const uint8_t zeroes[SECTOR];
	struct qop r;

	qop_init(&r, BLOCK_READ, o->r.offset, o->r.len);
	qop_cut(d, &r);
	assert_int_equal(qop_run(d, &r), 0);
	for (uint64_t i = 0; i < o->r.len; i += SECTOR) {
		uint8_t *old = d->twin + o->r.offset + i;

		if (memcmp(r.data + i, old, SECTOR) && memcmp(r.data + i, zeroes, SECTOR))
			fail_msg("a discard wrote something (seed %u)", d->seed);
		memcpy(old, r.data + i, SECTOR);
	}
	free(r.data);
}

void qop_judge(struct qdisk *d, struct qop *o)
{
	uint8_t *twin = d->twin + o->r.offset;

	if (o->ret)
		fail_msg("request %d: %d (seed %u)", (int)o->r.op, o->ret, d->seed);
	if (o->r.op == BLOCK_READ && memcmp(twin, o->data, o->r.len))
		fail_msg("read something else at %llu + %llu (seed %u, %s)",
			 (unsigned long long)o->r.offset, (unsigned long long)o->r.len, d->seed,
			 d->dir);
	if (o->r.op == BLOCK_WRITE)
		memcpy(twin, o->data, o->r.len);
	if (o->r.op == BLOCK_WRITE_ZEROES)
		memset(twin, 0, o->r.len);
	if (o->r.op == BLOCK_DISCARD)
		qop_learn(d, o);
	free(o->data);
}

static void qdisk_round(struct qdisk *d, uint32_t start, uint32_t end)
{
	uint32_t zone = (end - start) / ZONES, border[ZONES + 1] = { start };
	struct qop ops[ZONES];

	for (uint32_t i = 1; i <= ZONES; i++) {
		border[i] = start + zone * i - qdisk_random(d, zone - 1);
		border[i] = i == ZONES ? end : border[i];
	}
	for (uint32_t i = 0; i < ZONES; i++) {
		qop_random(d, &ops[i], border[i], border[i + 1]);
		block_queue(d->b, &ops[i].r);
	}
	block_submit(d->b);
	block_drain(d->b);
	for (uint32_t i = 0; i < ZONES; i++)
		qop_judge(d, &ops[i]);
}

void qdisk_rounds_within(struct qdisk *d, unsigned int n, uint32_t start, uint32_t end)
{
	while (n--)
		qdisk_round(d, start, end);
}

void qdisk_rounds(struct qdisk *d, unsigned int n)
{
	qdisk_rounds_within(d, n, 0, (uint32_t)(d->size / SECTOR));
}

bool qdisk_can(void)
{
	return system("qemu-img --version >/dev/null 2>&1") == 0;
}

/* An image with content, the twin knows it. */
struct qdisk *qdisk_made(const char *options, uint64_t size, uint32_t seed, unsigned int rounds)
{
	struct qdisk *d = qdisk_new(size, seed);

	qdisk_must(d,
		   qdisk_img(d, "create -f qcow2 -o %s disk %llu", options,
			     (unsigned long long)size),
		   0, "qemu-img create");
	qdisk_open(d);
	qdisk_rounds(d, rounds);
	qdisk_close(d);
	return d;
}
