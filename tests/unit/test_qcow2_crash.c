// SPDX-License-Identifier: MIT
/*
 * What is left of a qcow2 image when writing ends at any moment, by a kill or with the host's power: an image in
 * which qemu-img finds no errors, and in it all that was flushed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/skip.h"
#include "tests/unit/qcow2_disk.h"

#define SECTOR BLOCK_SECTOR

/*
 * What was written since the last sync. After a kill all of it is in the image; after a power failure any part of
 * it: each sector of each write, or not. The image as the last sync left it is in stable.
 */
struct crash {
	int fd;
	bool power;	    /* what is not synced is lost, in part */
	uint32_t countdown; /* changes of the file until the end */
	bool dead;
	uint8_t *stable;
	uint64_t stable_len;
	struct {
		uint64_t offset, len;
		uint8_t *data; /* owned */
	} writes[4096];
	unsigned int nwrites;
};

static struct crash crash; /* a step has no place for it */

static uint8_t *crash_read(int fd, uint64_t *ret_len)
{
	off_t len = lseek(fd, 0, SEEK_END);
	uint8_t *p = malloc((size_t)len + 1);

	assert_non_null(p);
	assert_int_equal(pread(fd, p, (size_t)len, 0), len);
	*ret_len = (uint64_t)len;
	return p;
}

static void crash_forget(void)
{
	for (unsigned int i = 0; i < crash.nwrites; i++)
		free(crash.writes[i].data);
	crash.nwrites = 0;
}

static void crash_synced(void)
{
	crash_forget();
	free(crash.stable);
	crash.stable = crash_read(crash.fd, &crash.stable_len);
}

static void crash_record(const struct block_step *s)
{
	uint8_t *data;

	assert_true(crash.nwrites < ARRAY_SIZE(crash.writes));
	data = calloc(1, s->len);
	assert_non_null(data);
	for (uint64_t at = 0, i = 0; i < s->niov; at += s->iov[i++].iov_len)
		memcpy(data + at, s->iov[i].iov_base, s->iov[i].iov_len);
	crash.writes[crash.nwrites].offset = s->offset;
	crash.writes[crash.nwrites].len = s->len;
	crash.writes[crash.nwrites++].data = data;
}

/* The last one goes half way. */
static int64_t crash_last(const struct block *b, const struct block_step *s)
{
	struct block_step half = *s;

	crash.dead = true;
	if (s->kind != BLOCK_STEP_WRITEV || s->iov[0].iov_len < 2 * SECTOR || crash.power)
		return -EIO;
	half.iov = &(struct iovec){ s->iov[0].iov_base, align_down(s->iov[0].iov_len / 2, SECTOR) };
	half.niov = 1;
	raw_step(b, &half);
	return -EIO;
}

static int64_t crash_step(const struct block *b, const struct block_step *s)
{
	struct block_step all = *s;

	if (crash.dead)
		return -EIO;
	if (s->kind == BLOCK_STEP_READV || s->kind == BLOCK_STEP_FORMAT || s->fd != crash.fd)
		return raw_step(b, s);
	if (!--crash.countdown)
		return crash_last(b, s);
	if (s->kind == BLOCK_STEP_WRITEV) {
		all.len = 0;
		for (unsigned int i = 0; i < s->niov; i++)
			all.len += s->iov[i].iov_len;
	}
	if (crash.power && s->kind != BLOCK_STEP_SYNC)
		crash_record(&all);
	if (crash.power && s->kind == BLOCK_STEP_SYNC)
		crash_synced();
	return raw_step(b, s);
}

/* The file as the power failure leaves it. */
static void crash_lose(struct qdisk *d)
{
	assert_int_equal(ftruncate(crash.fd, 0), 0);
	assert_int_equal(pwrite(crash.fd, crash.stable, crash.stable_len, 0), crash.stable_len);
	for (unsigned int i = 0; i < crash.nwrites; i++)
		for (uint64_t at = 0; at < crash.writes[i].len; at += SECTOR)
			if (qdisk_random(d, 2))
				assert_int_equal(pwrite(crash.fd, crash.writes[i].data + at,
							MIN(SECTOR, crash.writes[i].len - at),
							(off_t)(crash.writes[i].offset + at)),
						 MIN(SECTOR, crash.writes[i].len - at));
}

/* Sectors that were flushed and not written since have what was flushed. */
struct history {
	uint8_t *flushed; /* the twin at the last flush */
	bool *touched;	  /* a sector each, since then */
};

static void history_flush(struct qdisk *d, struct history *h)
{
	memcpy(h->flushed, d->twin, d->size);
	memset(h->touched, 0, d->size / SECTOR);
}

/* Requests one by one until one fails, which is the end. */
static void crash_run(struct qdisk *d, struct history *h)
{
	for (;;) {
		struct qop o;

		qop_random(d, &o, 0, (uint32_t)(d->size / SECTOR));
		if (o.r.op == BLOCK_DISCARD) /* its outcome would have to be read */
			o.r.op = BLOCK_WRITE_ZEROES;
		if (o.r.op == BLOCK_WRITE || o.r.op == BLOCK_WRITE_ZEROES)
			memset(&h->touched[o.r.offset / SECTOR], 1, o.r.len / SECTOR);
		if (qop_run(d, &o) < 0 || crash.dead) {
			free(o.data);
			return;
		}
		if (o.r.op == BLOCK_FLUSH)
			history_flush(d, h);
		qop_judge(d, &o);
	}
}

static void history_judge(struct qdisk *d, const struct history *h)
{
	struct qop o;

	qop_init(&o, BLOCK_READ, 0, d->size);
	qop_cut(d, &o);
	assert_int_equal(qop_run(d, &o), 0);
	for (uint64_t i = 0; i < d->size; i += SECTOR)
		if (!h->touched[i / SECTOR] && memcmp(o.data + i, h->flushed + i, SECTOR))
			fail_msg("sector %llu was flushed and is not there (seed %u, %s)",
				 (unsigned long long)(i / SECTOR), d->seed, d->dir);
	memcpy(d->twin, o.data, d->size);
	free(o.data);
}

static void crash_once(struct qdisk *d, struct history *h, uint32_t countdown, bool power)
{
	struct block_image image = { .format = BLOCK_FORMAT_QCOW2, .engine = BLOCK_ENGINE_PSYNC };
	int status;

	assert_true(qdisk_try(d, &image, NULL) >= 0);
	assert_int_equal(block_attach(d->b, &d->loop, NULL, NULL), 0);
	history_flush(d, h);
	crash.fd = d->b->fd;
	crash.power = power;
	crash.countdown = countdown;
	crash.dead = false;
	crash_synced();
	d->b->step = crash_step;
	crash_run(d, h);
	if (power)
		crash_lose(d);
	qdisk_close(d);
	crash_forget();
	status = qdisk_img(d, "check disk");
	qdisk_must(d, status == 3 ? 0 : status, 0,
		   "qemu-img check after the end"); /* leaks are allowed */
	qdisk_open(d);
	history_judge(d, h);
	qdisk_rounds(d, 2);
	qdisk_close(d);
	qdisk_judge(d, true);
}

static void crash_many(bool power)
{
	static const char *const options[] = { "compat=1.1,cluster_size=512,refcount_bits=64",
					       "compat=1.1,cluster_size=4k",
					       "compat=0.10,cluster_size=512",
					       "compat=1.1,cluster_size=64k" };

	if (!qdisk_can())
		SKIP_BECAUSE("there is no qemu-img");
	for (uint32_t i = 0; i < ARRAY_SIZE(options); i++) {
		struct qdisk *d = qdisk_made(options[i], MIB, 200 + i, 2);
		struct history h = { malloc(d->size), calloc(d->size / SECTOR, sizeof(bool)) };

		assert_non_null(h.flushed);
		assert_non_null(h.touched);
		qdisk_must(d, qdisk_img(d, "snapshot -c one disk"), 0, "qemu-img snapshot");
		for (uint32_t n = 1; n < 40; n += i == 3 ? 2 : 1)
			crash_once(d, &h, n, power);
		free(h.flushed);
		free(h.touched);
		qdisk_free(d);
	}
	free(crash.stable);
	crash.stable = NULL;
}

static void killed_at_each_write(void **state)
{
	(void)state;
	crash_many(false);
}

static void power_fails_at_each_write(void **state)
{
	(void)state;
	crash_many(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_at_each_write),
		cmocka_unit_test(power_fails_at_each_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
