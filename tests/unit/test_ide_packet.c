// SPDX-License-Identifier: MIT
/*
 * A CD-ROM drive at the IDE controller: PACKET of ATA/ATAPI-7 (INCITS 397) volume 1, its protocols
 * of volume 2, DEVICE RESET, media.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "lib/errcat.h"
#include "tests/unit/ide_fixture.h"

/* --- packets: PACKET of volume 1, its protocols of volume 2 ----------------------------------- */

static void packet(struct fide *f, unsigned int feature, unsigned int limit, const uint8_t *cdb)
{
	fide_out(f, S + 6, 0xa0);
	fide_out(f, S + 1, feature);
	fide_out(f, S + 4, limit);
	fide_out(f, S + 5, limit >> 8);
	fide_out(f, S + 7, 0xa0);
	assert_int_equal(fide_status(f, S), READY | ATA_DRQ);
	assert_int_equal(fide_in(f, S + 2), 1); /* a command, to the device */
	assert_false(fide_irq(f, S));
	fide_write_data(f, S, cdb, ATA_CDB);
}

#define CDB(...) ((const uint8_t[ATA_CDB]){ __VA_ARGS__ })

static void expect_data(struct fide *f, unsigned int bytes)
{
	fide_settle(f);
	assert_true(fide_irq(f, S));
	assert_int_equal(fide_status(f, S), READY | ATA_DRQ);
	assert_int_equal(fide_in(f, S + 2), 2); /* data, to the host */
	assert_int_equal(fide_in(f, S + 4) | fide_in(f, S + 5) << 8, bytes);
}

static void expect_done(struct fide *f)
{
	fide_settle(f);
	assert_true(fide_irq(f, S));
	assert_int_equal(fide_status(f, S), READY);
	assert_int_equal(fide_in(f, S + 2), 3); /* the end */
}

/* SPC-4, annex D: told once, by the command that fails of it */
static void wake(struct fide *f)
{
	uint8_t sense[18];

	packet(f, 0, 0, CDB(0x00));
	fide_expect_error(f, S, 6 << 4 | ATA_ABRT);
	packet(f, 0, 18, CDB(0x03, 0, 0, 0, 18));
	expect_data(f, 18);
	fide_read_data(f, S, sense, sizeof(sense));
	expect_done(f);
	assert_int_equal(sense[2], 6);
	assert_int_equal(sense[12], 0x29);
	packet(f, 0, 18, CDB(0x03, 0, 0, 0, 18)); /* nothing is left */
	expect_data(f, 18);
	fide_read_data(f, S, sense, sizeof(sense));
	expect_done(f);
	assert_int_equal(sense[2], 0);
}

static void test_packet_pio(void **state)
{
	struct fide *f = *state;
	uint8_t data[3 * ATA_CD_BLOCK];

	wake(f);
	packet(f, 0, 0, CDB(0x00)); /* TEST UNIT READY */
	expect_done(f);
	packet(f, 0, 36, CDB(0x12, 0, 0, 0, 36)); /* INQUIRY */
	expect_data(f, 36);
	fide_read_data(f, S, data, 36);
	expect_done(f);
	assert_int_equal(data[0], 5);
	/* READ(10), by what the host takes at once: an odd limit is cut */
	packet(f, 0, 4097, CDB(0x28, 0, 0, 0, 0, 7, 0, 0, 3));
	expect_data(f, 4096);
	fide_read_data(f, S, data, 4096);
	expect_data(f, 2048);
	fide_read_data(f, S, data + 4096, 2048);
	expect_done(f);
	for (uint32_t i = 0; i < 12; i++)
		fide_expect_sector(data + ATA_SECTOR * i, 4 * 7 + i);
}

static void test_packet_long(void **state)
{
	struct fide *f = *state;
	uint8_t data[32 * ATA_CD_BLOCK];

	wake(f);
	packet(f, 0, 0xffff, CDB(0xa8, 0, 0, 0, 0, 4, 0, 0, 0, 64)); /* READ(12) */
	for (unsigned int part = 0; part < 2; part++) {
		expect_data(f, 0xfffe);
		fide_read_data(f, S, data, 0xfffe);
		expect_data(f, 2);
		fide_read_data(f, S, data + 0xfffe, 2);
		fide_expect_sector(data, 4 * (4 + 32 * part));
		fide_expect_sector(data + 31 * ATA_CD_BLOCK, 4 * (4 + 32 * part + 31));
	}
	expect_done(f);
	packet(f, 0, 2048, CDB(0x28, 0, 0, 0, 0, CD_BLOCKS - 1, 0, 0, 2));
	fide_expect_error(f, S, 5 << 4 | ATA_ABRT);
}

static void test_packet_dma(void **state)
{
	struct fide *f = *state;

	wake(f);
	fide_prd(f, 0, DATA, 2048 * 2 - 6, false);
	fide_prd(f, 1, DATA + 0x8000, 2048 + 6, true);
	packet(f, 1, 0, CDB(0x28, 0, 0, 0, 0, 9, 0, 0, 3));
	fide_master(f, BM + 8, 9);
	expect_done(f);
	assert_int_equal(fide_in(f, BM + 10) & 7, 4);
	fide_expect_sector(f->fb.mem + DATA, 36);
	fide_expect_sector(f->fb.mem + DATA + 0x8000 + 6, 44);
	fide_out(f, BM + 8, 0);
	/* an answer, too; shorter than the table */
	fide_prd(f, 0, DATA, 6, false);
	fide_prd(f, 1, DATA + 0x100, 512, true);
	packet(f, 1, 0, CDB(0x25)); /* READ CAPACITY */
	fide_settle(f);
	assert_int_equal(fide_in(f, S + CONTROL), READY | ATA_DRQ);
	fide_master(f, BM + 8, 9);
	expect_done(f);
	assert_int_equal(f->fb.mem[DATA + 3], CD_BLOCKS - 1);
	assert_int_equal(f->fb.mem[DATA + 0x100], 8); /* 0x0800 */
	assert_int_equal(fide_in(f, BM + 10) & 7, 5);
}

/* DEVICE RESET: the packet device alone, also when it is busy */
static void test_device_reset(void **state)
{
	struct fide *f = *state;

	wake(f);
	packet(f, 0, 2048, CDB(0x28, 0, 0, 0, 0, 7, 0, 0, 1));
	assert_int_equal(fide_in(f, S + 7), ATA_BSY);
	fide_out(f, S + 7, 0x08);
	assert_int_equal(fide_status(f, S), 0);
	assert_int_equal(fide_in(f, S + 4), 0x14);
	assert_int_equal(fide_in(f, S + 5), 0xeb);
	fide_out(f, S + 7, 0xa0); /* in the middle of a packet */
	assert_int_equal(fide_status(f, S), READY | ATA_DRQ);
	fide_out(f, S + 7, 0x08);
	assert_int_equal(fide_status(f, S), 0);
	packet(f, 0, 0, CDB(0x00));
	expect_done(f);
}

/* The tray, the lock, and another medium: vmctl media */
static void test_media(void **state)
{
	struct device_medium m = { 0 };
	struct fide *f = *state;
	struct device_drive drive;
	struct err e = { 0 };
	uint8_t data[18];

	wake(f);
	assert_true(f->dev->class->drive(f->dev, 0, &drive));
	assert_string_equal(drive.id, "cd");
	assert_true(drive.medium && !drive.open && !drive.locked);
	assert_false(f->dev->class->drive(f->dev, 1, &drive));
	packet(f, 0, 0, CDB(0x1e, 0, 0, 0, 1)); /* PREVENT REMOVAL */
	expect_done(f);
	assert_int_equal(f->dev->class->set_medium(f->dev, 0, &m, &e), -ERR_VM_MEDIUM_LOCKED);
	assert_string_equal(e.msg, "the guest has locked drive 'cd'");
	packet(f, 0, 0, CDB(0x1e));
	expect_done(f);
	assert_int_equal(f->dev->class->set_medium(f->dev, 0, &m, &e), 0);
	assert_true(m.changed);
	packet(f, 0, 0, CDB(0x00));
	fide_expect_error(f, S, 6 << 4 | ATA_ABRT);
	packet(f, 0, 0, CDB(0x00));
	fide_expect_error(f, S, 2 << 4 | ATA_ABRT);
	packet(f, 0, 18, CDB(0x03, 0, 0, 0, 18));
	expect_data(f, 18);
	fide_read_data(f, S, data, sizeof(data));
	expect_done(f);
	assert_int_equal(data[12], 0x3a);
	assert_int_equal(data[13], 2); /* the tray is open */
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fide_setup, fide_teardown)
	const struct CMUnitTest tests[] = {
		T(test_packet_pio),   T(test_packet_long), T(test_packet_dma),
		T(test_device_reset), T(test_media),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
