// SPDX-License-Identifier: MIT
/* The qcow2 format: random requests on images of every geometry, with qemu-img as the judge. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/lib/skip.h"
#include "tests/unit/qcow2_disk.h"

/* --- geometries --------------------------------------------------------------------------------------------- */

static const struct geometry {
	const char *options;
	uint64_t size;
	unsigned int rounds;
} geometries[] = {
	{ "compat=1.1,cluster_size=512", 3 * MIB, 30 },
	{ "compat=0.10,cluster_size=512", 3 * MIB + 512, 30 },
	{ "compat=1.1,cluster_size=512,refcount_bits=64", 5 * MIB, 40 },
	{ "compat=1.1,cluster_size=512,refcount_bits=1", 4 * MIB, 30 },
	{ "compat=1.1,cluster_size=1k,refcount_bits=2", 4 * MIB, 30 },
	{ "compat=1.1,cluster_size=4k,refcount_bits=4", 4 * MIB, 60 },
	{ "compat=1.1,cluster_size=4k,refcount_bits=32", 4 * MIB + 1536, 60 },
	{ "compat=1.1,cluster_size=16k,refcount_bits=8", 8 * MIB, 60 },
	{ "compat=1.1", 8 * MIB + 512, 60 },
	{ "compat=0.10", 8 * MIB, 60 },
	{ "compat=1.1,lazy_refcounts=on", 8 * MIB, 30 },
	{ "compat=1.1,preallocation=metadata", 8 * MIB, 30 },
	{ "compat=1.1,cluster_size=2M", 12 * MIB, 30 },
};

static void every_geometry(void **state)
{
	(void)state;
	if (!qdisk_can())
		SKIP_BECAUSE("there is no qemu-img");
	for (uint32_t i = 0; i < 2 * ARRAY_SIZE(geometries); i++) {
		const struct geometry *g = &geometries[i / 2];
		struct qdisk *d = qdisk_new(g->size, 1000 + i);

		qdisk_must(d,
			   qdisk_img(d, "create -f qcow2 -o %s disk %llu", g->options,
				     (unsigned long long)g->size),
			   0, "qemu-img create");
		for (int k = 0; k < 3; k++) { /* what is found again after a close */
			qdisk_open(d);
			qdisk_rounds(d, g->rounds / 3);
			qdisk_close(d);
			qdisk_judge(d, false);
		}
		qdisk_free(d);
	}
}

/* With O_DIRECT: by the ring as the file system here wants it, without one as if it wanted whole pages of everything. */
static void without_page_cache(void **state)
{
	static const struct geometry direct[] = {
		{ "compat=1.1,cluster_size=4k,refcount_bits=4", 4 * MIB, 60 },
		{ "compat=0.10,cluster_size=4k", 4 * MIB + 1536, 60 },
		{ "compat=1.1", 8 * MIB + 512, 60 },
		{ "compat=1.1,cluster_size=2M", 12 * MIB, 30 },
	};

	(void)state;
	if (!qdisk_can())
		SKIP_BECAUSE("there is no qemu-img");
	for (uint32_t i = 0; i < 2 * ARRAY_SIZE(direct); i++) {
		const struct geometry *g = &direct[i / 2];
		struct qdisk *d = qdisk_new(g->size, 2000 + i);
		int fd;

		qdisk_must(d,
			   qdisk_img(d, "create -f qcow2 -o %s disk %llu", g->options,
				     (unsigned long long)g->size),
			   0, "qemu-img create");
		fd = open(d->path, O_RDWR | O_DIRECT | O_CLOEXEC);
		if (fd < 0) {
			qdisk_free(d);
			SKIP_BECAUSE("no O_DIRECT on the file system of temporary files");
		}
		close(fd);
		d->direct = true;
		for (int k = 0; k < 3; k++) {
			qdisk_open(d);
			qdisk_rounds(d, g->rounds / 3);
			qdisk_close(d);
			qdisk_judge(d, false);
		}
		qdisk_free(d);
	}
}

struct user {
	struct qdisk *d;
	unsigned int rounds;
	uint32_t start, end;
};

static void *user_main(void *arg)
{
	struct user *u = arg;

	qdisk_rounds_within(u->d, u->rounds, u->start, u->end);
	return NULL;
}

/* Each has its part of the disk; where the parts meet they share clusters, and everywhere the tables. */
static void use_by_threads(struct qdisk *d, unsigned int rounds)
{
	enum { USERS = 3 };
	uint32_t part = (uint32_t)(d->size / 512) / USERS - 1;
	struct user users[USERS];
	pthread_t threads[USERS];

	qdisk_open(d);
	for (unsigned int i = 0; i < USERS; i++)
		users[i] = (struct user){ i ? qdisk_also(d, d->seed + i) : d, rounds, part * i,
					  part * (i + 1) };
	for (unsigned int i = 0; i < USERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, user_main, &users[i]), 0);
	for (unsigned int i = 0; i < USERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (unsigned int i = 1; i < USERS; i++)
		qdisk_also_free(users[i].d);
	qdisk_close(d);
	qdisk_judge(d, false);
}

static void from_several_threads(void **state)
{
	static const struct geometry shared[] = {
		{ "compat=1.1,cluster_size=512", 3 * MIB, 20 },
		{ "compat=1.1,cluster_size=4k,refcount_bits=4", 4 * MIB, 40 },
		{ "compat=1.1", 8 * MIB + 512, 40 },
		{ "compat=0.10,cluster_size=2M", 12 * MIB, 10 },
	};

	(void)state;
	if (!qdisk_can())
		SKIP_BECAUSE("there is no qemu-img");
	for (uint32_t i = 0; i < 2 * ARRAY_SIZE(shared); i++) {
		const struct geometry *g = &shared[i / 2];
		struct qdisk *d = qdisk_made(g->options, g->size, 3000 + i, 2);
		int fd = open(d->path, O_RDWR | O_DIRECT | O_CLOEXEC);

		use_by_threads(d, g->rounds);
		/* a file system without O_DIRECT is told of by the test of that */
		d->direct = fd >= 0 && strcmp(g->options, "compat=1.1,cluster_size=512");
		use_by_threads(d, g->rounds);
		if (fd >= 0)
			close(fd);
		qdisk_free(d);
	}
}

static void small_clusters_have_a_page_cache(void **state)
{
	struct block_image image = { .format = BLOCK_FORMAT_QCOW2 };
	struct err e = { 0 };
	struct qdisk *d;

	(void)state;
	if (!qdisk_can())
		SKIP_BECAUSE("there is no qemu-img");
	d = qdisk_made("cluster_size=2k", MIB, 1, 1);
	d->direct = true;
	assert_int_equal(qdisk_try(d, &image, &e), -ERR_FILE);
	assert_string_equal(e.msg, "its clusters have 2048 bytes, and `cache: direct` needs 4096");
	assert_non_null(strstr(e.hint, "take `cache: writeback`, or qemu-img convert"));
	qdisk_free(d);
}

/* --- snapshots, compressed clusters, backing files ---------------------------------------------------------- */

/* What a snapshot holds stays what it was, whatever is written afterwards. */
static void snapshots(void **state)
{
	static const char *const options[] = { "compat=1.1,cluster_size=512",
					       "compat=0.10,cluster_size=4k",
					       "compat=1.1,cluster_size=64k" };

	(void)state;
	if (!qdisk_can())
		SKIP_BECAUSE("there is no qemu-img");
	for (uint32_t i = 0; i < ARRAY_SIZE(options); i++) {
		struct qdisk *d = qdisk_made(options[i], 4 * MIB, 50 + i, 15);

		qdisk_file(d, "then", d->twin, d->size);
		qdisk_must(d, qdisk_img(d, "snapshot -c one disk"), 0, "qemu-img snapshot");
		for (int k = 0; k < 2; k++) {
			qdisk_open(d);
			qdisk_rounds(d, 15);
			qdisk_close(d);
			qdisk_judge(d, false);
		}
		qdisk_must(d, qdisk_img(d, "convert -f qcow2 -O raw -l one disk now"), 0,
			   "qemu-img convert");
		qdisk_must(d, qdisk_img(d, "compare -f raw -F raw now then"), 0, "the snapshot");
		qdisk_must(d, qdisk_img(d, "snapshot -d one disk"), 0, "qemu-img snapshot");
		qdisk_judge(d, false);
		qdisk_free(d);
	}
}

static void compressed(void **state)
{
	static const char *const options[] = { "compat=1.1,cluster_size=64k",
					       "compat=0.10,cluster_size=4k",
					       "compat=1.1,cluster_size=2M" };

	(void)state;
	if (!qdisk_can())
		SKIP_BECAUSE("there is no qemu-img");
	for (uint32_t i = 0; i < ARRAY_SIZE(options); i++) {
		struct qdisk *d = qdisk_new(6 * MIB, 70 + i);

		/* half of it cannot be made smaller */
		for (uint64_t k = 0; k < d->size; k++)
			d->twin[k] = (uint8_t)(k >> 17 & 1 ? qdisk_random(d, 256) : k >> 9);
		qdisk_file(d, "from", d->twin, d->size);
		qdisk_must(d,
			   qdisk_img(d, "convert -c -f raw -O qcow2 -o %s from disk", options[i]),
			   0, "qemu-img convert");
		for (int k = 0; k < 3; k++) {
			qdisk_open(d);
			qdisk_rounds(d, k ? 10 : 1);
			qdisk_close(d);
			qdisk_judge(d, false);
		}
		qdisk_free(d);
	}
}

static void backing_chain(void **state)
{
	static const struct {
		const char *options;
		uint64_t size; /* of the disk on top; what is below has 4 MiB */
	} rows[] = {
		{ "compat=1.1,cluster_size=512", 4 * MIB },
		{ "compat=0.10,cluster_size=4k", 5 * MIB },
		{ "compat=1.1,cluster_size=64k", 5 * MIB + 512 },
		{ "compat=1.1,cluster_size=64k", 3 * MIB },
	};
	static const char *const chain[] = { "middle", "base", NULL };

	(void)state;
	if (!qdisk_can())
		SKIP_BECAUSE("there is no qemu-img");
	for (uint32_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct qdisk *d = qdisk_made("compat=1.1,cluster_size=4k", 4 * MIB, 90 + i, 6);
		uint8_t *twin = calloc(1, rows[i].size);

		/* a raw image at the bottom, a qcow2 with changes in the middle */
		qdisk_must(d, qdisk_img(d, "convert -f qcow2 -O raw disk base"), 0,
			   "qemu-img convert");
		qdisk_must(d, qdisk_img(d, "create -f qcow2 -b base -F raw disk"), 0,
			   "qemu-img create");
		qdisk_open_chain(d, &chain[1]);
		qdisk_rounds(d, 6);
		qdisk_close(d);
		qdisk_judge(d, false);
		qdisk_must(d, qdisk_img(d, "rebase -u -f qcow2 -b base -F raw disk"), 0,
			   "qemu-img rebase");
		assert_int_equal(
			rename(d->path, strcat(strcpy((char[128]){ 0 }, d->dir), "/middle")), 0);
		qdisk_must(d,
			   qdisk_img(d, "create -f qcow2 -o %s -b middle -F qcow2 disk %llu",
				     rows[i].options, (unsigned long long)rows[i].size),
			   0, "qemu-img create");
		assert_non_null(twin);
		memcpy(twin, d->twin, MIN(d->size, rows[i].size));
		free(d->twin);
		d->twin = twin;
		d->size = rows[i].size;
		for (int k = 0; k < 2; k++) {
			qdisk_open_chain(d, chain);
			qdisk_rounds(d, 20);
			qdisk_close(d);
			qdisk_judge(d, false);
		}
		qdisk_must(d, qdisk_img(d, "check middle"), 0, "the image below");
		qdisk_free(d);
	}
}

/* What is given back by the guest goes back to the file system. */
static void discard_frees(void **state)
{
	struct qdisk *d;
	struct stat before, after;
	struct qop o;

	(void)state;
	if (!qdisk_can())
		SKIP_BECAUSE("there is no qemu-img");
	d = qdisk_made("compat=1.1", 4 * MIB, 7, 0);
	qdisk_open(d);
	qop_init(&o, BLOCK_WRITE, 0, d->size);
	memset(o.data, 1, o.r.len);
	qop_cut(d, &o);
	assert_int_equal(qop_run(d, &o), 0);
	free(o.data);
	assert_int_equal(fstat(d->b->fd, &before), 0);
	qop_init(&o, BLOCK_DISCARD, 64 * KIB, 3 * MIB);
	assert_int_equal(qop_run(d, &o), 0);
	memset(d->twin, 1, d->size);
	memset(d->twin + 64 * KIB, 0, 3 * MIB);
	free(o.data);
	qdisk_close(d);
	assert_int_equal(stat(d->path, &after), 0);
	assert_true((before.st_blocks - after.st_blocks) * 512 >= (blkcnt_t)(3 * MIB));
	qdisk_judge(d, false);
	qdisk_free(d);
}

static void fill_cluster(struct qdisk *d, uint64_t offset, uint8_t value)
{
	struct qop o;

	qop_init(&o, BLOCK_WRITE, offset, 64 * KIB);
	memset(o.data, value, o.r.len);
	qop_cut(d, &o);
	assert_int_equal(qop_run(d, &o), 0);
	qop_judge(d, &o);
}

static void simple(struct qdisk *d, enum block_op kind, uint64_t offset, uint64_t len)
{
	struct qop o;

	qop_init(&o, kind, offset, len);
	o.r.unmap = true;
	assert_int_equal(qop_run(d, &o), 0);
	qop_judge(d, &o);
}

/* A cluster that is given back has no other content while a request from before is still on its way there. */
static void freed_under_way(void **state)
{
	struct qdisk *d;
	struct block_req *late;
	struct qop o;

	(void)state;
	if (!qdisk_can())
		SKIP_BECAUSE("there is no qemu-img");
	d = qdisk_made("compat=1.1", MIB, 1, 0);
	qdisk_open(d); /* an odd seed: nothing else is on its way */
	fill_cluster(d, 0, 1);
	qop_init(&o, BLOCK_WRITE, 0, 64 * KIB);
	memset(o.data, 2, o.r.len);
	qop_cut(d, &o);
	block_queue(d->b, &o.r);
	late = block_take(d->b);
	assert_false(block_step_done(d->b, late,
				     0)); /* it has a place to write to, and takes its time */
	simple(d, BLOCK_WRITE_ZEROES, 0, 64 * KIB);
	for (int i = 0; i < 3; i++)
		simple(d, BLOCK_FLUSH, 0, 0);
	fill_cluster(d, 512 * KIB, 3);
	assert_int_equal(raw_step(d->b, &late->step), 64 * KIB);
	assert_true(block_step_done(d->b, late, 64 * KIB));
	free(o.data);
	fill_cluster(d, 768 * KIB, 4);
	qdisk_close(d);
	qdisk_judge(d, false);
	qdisk_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_geometry),
		cmocka_unit_test(without_page_cache),
		cmocka_unit_test(from_several_threads),
		cmocka_unit_test(small_clusters_have_a_page_cache),
		cmocka_unit_test(snapshots),
		cmocka_unit_test(compressed),
		cmocka_unit_test(backing_chain),
		cmocka_unit_test(discard_frees),
		cmocka_unit_test(freed_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
