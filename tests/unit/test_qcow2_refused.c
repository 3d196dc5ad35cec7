// SPDX-License-Identifier: MIT
/* qcow2 images that are damaged, or use what is not supported, and chains that are not what was said of them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/lib/skip.h"
#include "tests/unit/qcow2_disk.h"
#include "vmm/block/qcow2.h"

#define SECTOR BLOCK_SECTOR

static void patch(const struct qdisk *d, uint64_t off, const void *data, size_t len)
{
	int fd = open(d->path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, len, (off_t)off), len);
	close(fd);
}

static void patch64(const struct qdisk *d, uint64_t off, uint64_t v)
{
	v = htobe64(v);
	patch(d, off, &v, sizeof(v));
}

static uint64_t peek64(const struct qdisk *d, uint64_t off)
{
	int fd = open(d->path, O_RDONLY | O_CLOEXEC);
	uint64_t v;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &v, sizeof(v), (off_t)off), sizeof(v));
	close(fd);
	return be64toh(v);
}

static void refused(struct qdisk *d, struct block_image image, const char *msg)
{
	struct err e = { 0 };

	assert_true(qdisk_try(d, &image, &e) < 0);
	assert_string_equal(e.msg, msg);
	assert_null(d->b);
}

static const struct block_image rw = { .format = BLOCK_FORMAT_QCOW2 };
static const struct block_image ro = { .format = BLOCK_FORMAT_QCOW2, .readonly = true };

static void features(void **state)
{
	struct block_image image = ro;
	struct qdisk *d;

	(void)state;
	if (!qdisk_can())
		SKIP_BECAUSE("there is no qemu-img");
	d = qdisk_made("compat=1.1", MIB, 300, 1);
	patch64(d, 72, QCOW2_DIRTY);
	refused(d, rw,
		"the qcow2 image was not closed: its reference counts are not to be relied on");
	patch64(d, 72, QCOW2_CORRUPT);
	refused(d, rw, "the qcow2 image is marked as damaged");
	assert_true(qdisk_try(d, &image, NULL) >= 0); /* it may be read */
	block_free(d->b);
	d->b = NULL;
	patch64(d, 72, BIT64(2));
	refused(d, ro, "the qcow2 image uses what is not supported: external data file");
	patch64(d, 72, BIT64(4));
	refused(d, rw, "the qcow2 image uses what is not supported: extended L2 entries");
	patch64(d, 72, BIT64(60));
	refused(d, rw, "the qcow2 image uses an unknown feature, bit 60");
	patch64(d, 72, 0);
	patch64(d, 88, BIT64(0) | BIT64(40)); /* autoclear */
	qdisk_open(d);
	qdisk_close(d);
	assert_int_equal(peek64(d, 88), 0);
	qdisk_judge(d, false);
	qdisk_must(d, qdisk_img(d, "create -f qcow2 -o compression_type=zstd disk 1M"), 0,
		   "qemu-img create");
	refused(d, ro, "the qcow2 image uses what is not supported: compression with zstd");
	qdisk_must(d, qdisk_img(d, "create -f qcow2 disk 1M"), 0, "qemu-img create");
	patch64(d, 32, peek64(d, 32) | 2ull << 32);
	refused(d, ro, "the qcow2 image is encrypted, which is not supported");
	qdisk_free(d);
}

static void damaged_headers(void **state)
{
	static const struct {
		uint64_t off, value; /* 64 bits */
		const char *msg;
	} rows[] = {
		{ 0, 0, "the disk image is not in the qcow2 format" },
		{ 0, 0x514649fb00000004, "qcow2 version 4 is not supported, 2 and 3 are" },
		{ 20, 8ull << 32, "the qcow2 image is damaged: its cluster size" },
		{ 20, 22ull << 32, "the qcow2 image is damaged: its cluster size" },
		{ 24, 0, "the disk in the qcow2 image has 0 bytes" },
		{ 24, 777, "the disk in the qcow2 image has 777 bytes" },
		{ 24, BIT64(50), "the qcow2 image is damaged: its L1 table is too short" },
		{ 40, 1, "the qcow2 image is damaged: L1 table" },
		{ 40, BIT64(60), "the qcow2 image is damaged: L1 table" },
		{ 48, 0x10001, "the qcow2 image is damaged: reference count table" },
		{ 56, 0, "the qcow2 image is damaged: it has no reference counts" },
		{ 96, 7ull << 32 | 112,
		  "the qcow2 image is damaged: the width of its reference counts" },
		{ 96, 4ull << 32 | 0xffffffff,
		  "the qcow2 image is damaged: the length of its header" },
	};
	struct qdisk *d;

	(void)state;
	if (!qdisk_can())
		SKIP_BECAUSE("there is no qemu-img");
	d = qdisk_new(MIB, 1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		qdisk_must(d, qdisk_img(d, "create -f qcow2 disk 1M"), 0, "qemu-img create");
		patch64(d, rows[i].off, rows[i].value);
		refused(d, rw, rows[i].msg);
	}
	qdisk_free(d);
}

/* A table that points where nothing can be: an error, a mark in the image, and no more writing. */
static void damaged_tables(void **state)
{
	struct qdisk *d;
	struct qop o;

	(void)state;
	if (!qdisk_can())
		SKIP_BECAUSE("there is no qemu-img");
	d = qdisk_made("compat=1.1", MIB, 1, 3);
	patch64(d, peek64(d, 40), 0x12345 | QCOW2_COPIED);
	qdisk_open(d);
	qop_init(&o, BLOCK_READ, 0, SECTOR);
	qop_cut(d, &o);
	assert_int_equal(qop_run(d, &o), -EIO);
	o.r.op = BLOCK_WRITE;
	qop_cut(d, &o);
	assert_int_equal(qop_run(d, &o), -EIO);
	o.r.op = BLOCK_FLUSH;
	assert_int_equal(qop_run(d, &o), -EIO);
	free(o.data);
	qdisk_close(d);
	assert_int_equal(peek64(d, 72), QCOW2_CORRUPT);
	refused(d, rw, "the qcow2 image is marked as damaged");
	qdisk_free(d);
}

/* Nothing is counted: the first cluster that looks free is the header. */
static void lost_counts(void **state)
{
	struct qdisk *d;
	struct qop o;

	(void)state;
	if (!qdisk_can())
		SKIP_BECAUSE("there is no qemu-img");
	d = qdisk_new(MIB, 1);
	qdisk_must(d, qdisk_img(d, "create -f qcow2 disk 1M"), 0, "qemu-img create");
	patch64(d, peek64(d, 48), 0);
	qdisk_open(d);
	qop_init(&o, BLOCK_WRITE, 0, SECTOR);
	qop_cut(d, &o);
	assert_int_equal(qop_run(d, &o), -EIO);
	free(o.data);
	qdisk_close(d);
	assert_int_equal(peek64(d, 0), 0x514649fb00000003);
	assert_int_equal(peek64(d, 72), QCOW2_CORRUPT);
	qdisk_free(d);
}

/* Nothing is free as far as the longest table reaches, and one block of counts says so for all of it. */
static void no_end_of_used_ones(void **state)
{
	enum { CLUSTER = 64 * KIB, TABLE = MIB, BLOCK = 512 * KIB };
	uint64_t entries = 8 * MIB / 8, *table = calloc(entries, 8);
	uint8_t *counts = malloc(CLUSTER);
	struct qdisk *d;
	struct qop o;
	int fd;

	(void)state;
	if (!qdisk_can())
		SKIP_BECAUSE("there is no qemu-img");
	d = qdisk_new(MIB, 1);
	qdisk_must(d, qdisk_img(d, "create -f qcow2 disk 1M"), 0, "qemu-img create");
	memset(counts, 1, CLUSTER);
	for (uint64_t i = 0; i < entries; i++)
		table[i] = htobe64(BLOCK);
	fd = open(d->path, O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, counts, CLUSTER, BLOCK), CLUSTER);
	assert_int_equal(pwrite(fd, table, entries * 8, TABLE), entries * 8);
	close(fd);
	patch64(d, 48, TABLE);
	patch64(d, 56, (8 * MIB / CLUSTER) << 32);
	alarm(60); /* minutes, if it is looked through */
	qdisk_open(d);
	qop_init(&o, BLOCK_WRITE, 0, SECTOR);
	qop_cut(d, &o);
	assert_int_equal(qop_run(d, &o), -EIO);
	alarm(0);
	free(o.data);
	qdisk_close(d);
	assert_int_equal(peek64(d, 72), QCOW2_CORRUPT);
	qdisk_free(d);
	free(table);
	free(counts);
}

static void formats_and_chains(void **state)
{
	struct block_image image = { .format = BLOCK_FORMAT_UNSAID };
	struct qdisk *d;

	(void)state;
	if (!qdisk_can())
		SKIP_BECAUSE("there is no qemu-img");
	d = qdisk_made("compat=1.1", MIB, 1, 1);
	refused(d, image, "the disk image looks like a qcow2 image");
	image.format = BLOCK_FORMAT_RAW; /* who says so, gets it */
	assert_true(qdisk_try(d, &image, NULL) >= 0);
	assert_string_equal(block_info(d->b)->format, "raw");
	block_free(d->b);
	d->b = NULL;
	image = rw;
	image.backing[0] = open(d->path, O_RDONLY | O_CLOEXEC);
	image.nbacking = 1;
	refused(d, image, "1 backing files are given, and the image is based on 0");
	qdisk_must(d, qdisk_img(d, "convert -O raw disk base"), 0, "qemu-img convert");
	qdisk_must(d, qdisk_img(d, "create -f qcow2 -b base -F raw disk"), 0, "qemu-img create");
	refused(d, rw, "the image is based on 'base', and no backing file is given");
	qdisk_must(d, qdisk_img(d, "rebase -u -b base -F vmdk disk"), 0, "qemu-img rebase");
	image.backing[0] = open(d->path, O_RDONLY | O_CLOEXEC);
	refused(d, image, "backing file 1: a backing file in the format 'vmdk' is not supported");
	qdisk_must(d, qdisk_img(d, "rebase -u -b base -F qcow2 disk"), 0, "qemu-img rebase");
	image.backing[0] = memfd_create("raw", MFD_CLOEXEC);
	assert_int_equal(ftruncate(image.backing[0], MIB), 0);
	refused(d, image, "backing file 1: the disk image is not in the qcow2 format");
	qdisk_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(features),
		cmocka_unit_test(damaged_headers),
		cmocka_unit_test(damaged_tables),
		cmocka_unit_test(lost_counts),
		cmocka_unit_test(no_end_of_used_ones),
		cmocka_unit_test(formats_and_chains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
