// SPDX-License-Identifier: MIT
/* Commands that ask more of a SCSI disk of the host than the host does at once: in pieces, each where it belongs. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "lib/util.h"
#include "vmm/scsi/host.h"
#include "vmm/scsi/unit.h"
#include "vmm/virtio/iov.h"

#define BLOCK 512
#define BLOCKS 64
#define MOST 1500 /* bytes at once: two blocks */

struct disk {
	uv_loop_t loop;
	struct waiters *waiters;
	struct scsi_host *host;
	uint8_t data[BLOCKS * BLOCK];
	unsigned int calls, ended;
	struct scsi_range asked[16];
	/* at this call, counted from 1: these */
	unsigned int at;
	int error;
	uint8_t status, key;
	bool descriptors; /* as the sense data has it */
	uint32_t resid;
};

static void disk_sense(const struct disk *d, struct sg_io_hdr *hdr)
{
	hdr->status = d->status;
	if (d->status != SCSI_CHECK_CONDITION)
		return;
	memset(hdr->sbp, 0, 18);
	hdr->sbp[0] = d->descriptors ? 0x72 : 0x70;
	hdr->sbp[d->descriptors ? 1 : 2] = d->key;
	hdr->sb_len_wr = 18;
}

static int disk_io(void *arg, struct sg_io_hdr *hdr)
{
	struct disk *d = arg;
	struct scsi_range r = scsi_cdb_range(hdr->cmdp);
	uint8_t *at = d->data + r.lba * BLOCK;

	assert_true(d->calls < ARRAY_SIZE(d->asked));
	d->asked[d->calls++] = r;
	assert_true(hdr->dxfer_len <= MOST);
	assert_int_equal(hdr->dxfer_len, iov_size(hdr->dxferp, hdr->iovec_count));
	assert_int_equal(hdr->dxfer_len, r.blocks * BLOCK);
	assert_true(((struct iovec *)hdr->dxferp)->iov_len);
	assert_in_range(r.lba + r.blocks, 1, BLOCKS);
	if (d->calls == d->at && d->error)
		return d->error;
	if (d->calls == d->at)
		disk_sense(d, hdr);
	hdr->resid = d->calls == d->at ? (int)d->resid : 0;
	if (hdr->dxfer_direction == SG_DXFER_TO_DEV)
		iov_read(hdr->dxferp, hdr->iovec_count, 0, at, hdr->dxfer_len);
	else
		iov_write(hdr->dxferp, hdr->iovec_count, 0, at, hdr->dxfer_len);
	return 0;
}

static void disk_ended(void *arg, struct scsi_task *t)
{
	(void)t;
	((struct disk *)arg)->ended++;
}

static void disk_batch(void *arg)
{
	(void)arg;
}

static int setup(void **state)
{
	struct disk *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	assert_int_equal(uv_loop_init(&d->loop), 0);
	assert_int_equal(waiters_new(NULL, NULL, &d->waiters, NULL), 0);
	assert_int_equal(scsi_host_new(eventfd(0, EFD_CLOEXEC), d->waiters, true, &d->host, NULL),
			 0);
	scsi_host_set_io(d->host, disk_io, d);
	scsi_host_set_limits(d->host, MOST, BLOCK);
	assert_int_equal(scsi_host_attach(d->host, &d->loop, disk_ended, disk_batch, d), 0);
	for (unsigned int i = 0; i < sizeof(d->data); i++)
		d->data[i] = (uint8_t)(i * 7 + i / BLOCK);
	*state = d;
	return 0;
}

static int teardown(void **state)
{
	struct disk *d = *state;
	struct scsi_task *left;

	scsi_host_detach(d->host, &left);
	assert_null(left);
	scsi_host_free(d->host);
	waiters_free(d->waiters);
	uv_run(&d->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&d->loop), 0);
	free(d);
	return 0;
}

#define LBA 5
#define LEN 5 /* blocks */

/* Five blocks, in parts that end nowhere in particular, or with a piece */
struct command {
	struct scsi_task t;
	struct iovec iov[5];
	uint8_t data[LEN * BLOCK];
};

static void run(struct disk *d, struct command *c, uint8_t opcode, bool out)
{
	static const size_t parts[] = { 1, 700, 0, 323, 1536 };
	uint8_t *at = c->data;

	c->t = (struct scsi_task){ .cdb = { opcode } };
	scsi_cdb_set_range(c->t.cdb, (struct scsi_range){ .lba = LBA, .blocks = LEN });
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		c->iov[i] = (struct iovec){ .iov_base = at, .iov_len = parts[i] };
		at += parts[i];
	}
	assert_ptr_equal(at, c->data + sizeof(c->data));
	*(out ? &c->t.out : &c->t.in) = c->iov;
	*(out ? &c->t.nout : &c->t.nin) = ARRAY_SIZE(parts);
	d->calls = d->ended = 0;
	assert_true(scsi_host_start(d->host, &c->t));
	while (!d->ended)
		uv_run(&d->loop, UV_RUN_ONCE);
}

static void expect_asked(const struct disk *d, unsigned int calls)
{
	static const struct scsi_range all[] = { { LBA, 2 }, { LBA + 2, 2 }, { LBA + 4, 1 } };

	assert_int_equal(d->calls, calls);
	for (unsigned int i = 0; i < calls; i++) {
		assert_int_equal(d->asked[i].lba, all[i].lba);
		assert_int_equal(d->asked[i].blocks, all[i].blocks);
	}
}

static void reads_and_writes(void **state)
{
	static const struct {
		uint8_t opcode;
		bool out;
	} rows[] = { { 0x08 },	     { 0x28 },	     { 0x88 },	     { 0xa8 },
		     { 0x0a, true }, { 0x2a, true }, { 0x8a, true }, { 0xaa, true },
		     { 0x2e, true }, { 0x8e, true }, { 0xae, true } };
	struct disk *d = *state;
	uint8_t before[sizeof(d->data)];
	struct command c;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		memset(c.data, (int)(0x30 + i), sizeof(c.data));
		c.data[0] = c.data[701] = 0x99;
		memcpy(before, d->data, sizeof(before));
		run(d, &c, rows[i].opcode, rows[i].out);
		expect_asked(d, 3);
		assert_int_equal(c.t.status | c.t.sense_len, 0);
		assert_int_equal(c.t.host_error, 0);
		assert_int_equal(c.t.moved, sizeof(c.data));
		/* what it had before, or has now */
		assert_memory_equal(d->data + LBA * BLOCK, c.data, sizeof(c.data));
		if (rows[i].out)
			memcpy(before + LBA * BLOCK, c.data, sizeof(c.data));
		assert_memory_equal(d->data, before, sizeof(before));
		assert_int_equal(scsi_cdb_range(c.t.cdb).lba, LBA);
		assert_int_equal(scsi_cdb_range(c.t.cdb).blocks, LEN);
	}
}

/* The first piece that does not end well is the last, and what was moved until then counts. */
static void ends_where_it_fails(void **state)
{
	struct disk *d = *state;
	struct command c;

	d->at = 2;
	d->status = SCSI_CHECK_CONDITION;
	d->key = 3; /* medium error */
	d->resid = BLOCK;
	run(d, &c, 0x28, false);
	expect_asked(d, 2);
	assert_int_equal(c.t.status, SCSI_CHECK_CONDITION);
	assert_int_equal(c.t.sense[2], 3);
	assert_int_equal(c.t.moved, 3 * BLOCK);
	d->status = SCSI_BUSY;
	d->resid = 2 * BLOCK;
	run(d, &c, 0x2a, true);
	expect_asked(d, 2);
	assert_int_equal(c.t.status, SCSI_BUSY);
	assert_int_equal(c.t.moved, 2 * BLOCK);
	d->status = 0; /* less than was asked for, without a word */
	d->resid = 1;
	run(d, &c, 0x28, false);
	expect_asked(d, 2);
	assert_int_equal(c.t.moved, 4 * BLOCK - 1);
	d->error = -ENODEV;
	run(d, &c, 0x28, false);
	expect_asked(d, 2);
	assert_int_equal(c.t.host_error, -ENODEV);
}

static void goes_on_where_it_recovered(void **state)
{
	struct disk *d = *state;
	struct command c;

	d->status = SCSI_CHECK_CONDITION;
	d->key = 1;
	for (int i = 0; i < 4; i++) {
		d->descriptors = i & 1;
		d->at = i & 2 ? 3 : 2;
		run(d, &c, 0x28, false);
		expect_asked(d, 3);
		assert_int_equal(c.t.moved, sizeof(c.data));
		/* only of the last piece it is told */
		assert_int_equal(c.t.status, i & 2 ? SCSI_CHECK_CONDITION : 0);
		assert_int_equal(c.t.sense_len, i & 2 ? 18 : 0);
	}
}

static void refused(struct scsi_task *t)
{
	assert_int_equal(t->status, SCSI_CHECK_CONDITION);
	assert_int_equal(t->sense[12], 0x24);
}

/* What is no read of so many blocks, and a device that has none */
static void does_not_divide(void **state)
{
	static const struct {
		uint8_t opcode;
		uint32_t blocks;
	} rows[] = { { 0x28, LEN - 1 }, { 0x28, LEN + 1 }, { 0x12, LEN }, { 0xb9, LEN } };
	struct disk *d = *state;
	struct command c;

	for (size_t i = 0; i <= ARRAY_SIZE(rows); i++) {
		bool none = i == ARRAY_SIZE(rows);

		c.t = (struct scsi_task){ .cdb = { none ? 0x28 : rows[i].opcode },
					  .in = c.iov,
					  .nin = 1,
					  .done = refused };
		c.iov[0] = (struct iovec){ .iov_base = c.data, .iov_len = sizeof(c.data) };
		scsi_cdb_set_range(c.t.cdb,
				   (struct scsi_range){ .lba = LBA,
							.blocks = none ? LEN : rows[i].blocks });
		if (none)
			scsi_host_set_limits(d->host, MOST, 2 * BLOCK);
		assert_false(scsi_host_start(d->host, &c.t));
	}
	assert_int_equal(d->calls, 0);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = { T(reads_and_writes), T(ends_where_it_fails),
					    T(goes_on_where_it_recovered), T(does_not_divide) };
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
