// SPDX-License-Identifier: MIT
/*
 * What a drive at the IDE controller is told (SET FEATURES, caches; what it refuses), and what the
 * host cannot do for it: ATA/ATAPI-7 (INCITS 397) volume 1.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/unit/ide_fixture.h"
#include "vmm/block/engine.h"
#include "vmm/scsi/unit.h"

/* --- what the drive is told ------------------------------------------------------------------- */

static int recorded_mode;

static int64_t recording(const struct block *b, const struct block_step *s)
{
	recorded_mode = s->mode;
	return raw_step(b, s);
}

/* A write that is done is stable where the cache is off, or the command says so: FUA. */
static void test_stable(void **state)
{
	struct fide *f = *state;

	f->ide->set.target->units[0]->block->step = recording;
	fide_prd(f, 0, DATA, 512, true);
	for (unsigned int i = 0; i < 4; i++) {
		fide_master(f, BM, 0);
		fide_out(f, BM, 1);
		if (i == 1)
			fide_command_ext(f, P, 0x3d, 1, 1);
		else
			fide_command_ext(f, P, 0x35, 1, 1);
		assert_int_equal(fide_status(f, P), READY);
		assert_int_equal(recorded_mode, i == 1 || i == 2 ? RWF_DSYNC : 0);
		fide_features(f, i == 1 ? 0x82 : 0x02, 0);
		assert_int_equal(fide_status(f, P), READY);
	}
}

static void test_features(void **state)
{
	struct fide *f = *state;
	uint8_t id[ATA_ID];

	fide_features(f, 0x03, 0x22); /* multiword DMA 2 */
	assert_int_equal(fide_status(f, P), READY);
	fide_features(f, 0x82, 0); /* write cache off: it is flushed */
	assert_int_equal(fide_status(f, P), READY);
	fide_features(f, 0x55, 0);
	assert_int_equal(fide_status(f, P), READY);
	fide_identify(f, P, 0xec, id);
	assert_int_equal(fide_word(id, 63), 0x0407);
	assert_int_equal(fide_word(id, 217), 1);
	assert_int_equal(fide_word(id, 85) & 0x60, 0);
	assert_int_equal(fide_word(id, 82) & 0x60, 0x60);
	fide_features(f, 0x02, 0);
	assert_int_equal(fide_status(f, P), READY);
	fide_identify(f, P, 0xec, id);
	assert_int_equal(fide_word(id, 85) & 0x20, 0x20);
	fide_features(f, 0x03, 0x46);
	fide_expect_error(f, P, ATA_ABRT);
	fide_features(f, 0x10, 6); /* of Serial ATA */
	fide_expect_error(f, P, ATA_ABRT);
	fide_features(f, 0x05, 1); /* APM */
	fide_expect_error(f, P, ATA_ABRT);
}

/* Of the feature sets that IDENTIFY does not name */
static void test_refused(void **state)
{
	static const uint8_t no[] = { 0x00, 0xb0, 0xf1, 0xf5, 0xf8, 0x27,
				      0x2f, 0x60, 0x61, 0xa0, 0x08 };
	struct fide *f = *state;

	for (unsigned int i = 0; i < sizeof(no); i++) {
		fide_command(f, P, no[i], 0, 1);
		assert_true(fide_irq(f, P));
		fide_expect_error(f, P, ATA_ABRT);
	}
	fide_command(f, P, 0xe5, 0, 0); /* CHECK POWER MODE */
	assert_int_equal(fide_status(f, P), READY);
	assert_int_equal(fide_in(f, P + 2), 0xff);
}

/* --- what the host cannot do ------------------------------------------------------------------ */

static int64_t failing(const struct block *b, const struct block_step *s)
{
	(void)b;
	(void)s;
	return -EIO;
}

static void fail_disk(struct fide *f)
{
	f->ide->set.target->units[0]->block->step = failing;
}

static void test_errors(void **state)
{
	struct fide *f = *state;
	uint8_t data[ATA_SECTOR] = { 0 };

	fail_disk(f);
	fide_command(f, P, 0x20, 0x123, 1);
	fide_expect_error(f, P, ATA_UNC);
	assert_int_equal(fide_in(f, P + 3), 0x23);
	assert_int_equal(fide_in(f, P + 4), 0x01);
	fide_command(f, P, 0x30, 5, 1);
	fide_write_data(f, P, data, sizeof(data));
	fide_settle(f);
	assert_int_equal(fide_in(f, P + CONTROL), READY | ATA_ERR | ATA_DF);
	fide_expect_error(f, P, ATA_ABRT);
	fide_command(f, P, 0xe7, 0, 0);
	fide_expect_error(f, P, ATA_ABRT);
	fake_board_watched(&f->fb);
	assert_true(f->fb.nnotices > 0);
	assert_non_null(strstr(f->fb.notice, "disk 'root'"));
}

#define BAD 0x108

static int64_t failing_there(const struct block *b, const struct block_step *s)
{
	if (s->offset <= BAD * ATA_SECTOR && s->offset + s->len > BAD * ATA_SECTOR)
		return -EIO;
	return raw_step(b, s);
}

/* READ SECTOR(S), error outputs: what is before the bad sector has come, and its address. */
static void test_error_in_the_middle(void **state)
{
	struct fide *f = *state;
	uint8_t data[ATA_SECTOR];

	f->ide->set.target->units[0]->block->step = failing_there;
	fide_command(f, P, 0x20, 0x100, 16);
	for (uint32_t n = 0x100; n < BAD; n++) {
		assert_int_equal(fide_status(f, P), READY | ATA_DRQ);
		fide_read_data(f, P, data, sizeof(data));
		fide_expect_sector(data, n);
	}
	fide_expect_error(f, P, ATA_UNC);
	assert_int_equal(fide_in(f, P + 3), BAD & 0xff);
	assert_int_equal(fide_in(f, P + 4), BAD >> 8);
	fide_command(f, P, 0x20, BAD + 1, 2); /* and the next command is as before */
	for (uint32_t n = BAD + 1; n < BAD + 3; n++) {
		assert_int_equal(fide_status(f, P), READY | ATA_DRQ);
		fide_read_data(f, P, data, sizeof(data));
		fide_expect_sector(data, n);
	}
	assert_int_equal(fide_in(f, P + 7), READY);
}

/* on_error: stop. It is held, as if it took long, and runs after a pause. */
static void test_held(void **state)
{
	struct fide *f = fide_begin(
		"{\"id\":\"root\",\"unit\":0,\"path\":{\"fd\":0},\"on_error\":\"stop\"}");
	int64_t (*step)(const struct block *b, const struct block_step *s) =
		f->ide->set.target->units[0]->block->step;
	uint8_t data[ATA_SECTOR];

	(void)state;
	fail_disk(f);
	fide_command(f, P, 0x20, 33, 1);
	fake_board_run(&f->fb);
	fake_board_watched(&f->fb);
	assert_non_null(strstr(f->fb.notice, "disk-stopped"));
	assert_int_equal(fide_in(f, P + 7), ATA_BSY);
	f->ide->set.target->units[0]->block->step = step;
	f->dev->class->stop(f->dev);
	assert_int_equal(fide_in(f, P + 7), ATA_BSY);
	f->dev->class->start(f->dev);
	assert_int_equal(fide_status(f, P), READY | ATA_DRQ);
	fide_read_data(f, P, data, sizeof(data));
	fide_expect_sector(data, 33);
	/* and a reset of the machine forgets it */
	fail_disk(f);
	fide_command(f, P, 0x20, 33, 1);
	fake_board_run(&f->fb);
	f->dev->class->stop(f->dev);
	f->dev->class->reset(f->dev);
	f->dev->class->start(f->dev);
	assert_int_equal(fide_status(f, P), READY);
	fide_teardown((void **)&f);
}

/* ACS-2, section 7.10 (DATA SET MANAGEMENT): by DMA, its ranges in the memory that the table names */
static void test_trim(void **state)
{
	const uint64_t ranges[2] = { 8 | 8ull << 48, (SECTORS - 1) | 1ull << 48 };
	struct fide *f = *state;
	uint8_t id[ATA_ID];
	uint32_t got[2];

	fide_identify(f, P, 0xec, id);
	assert_int_equal(fide_word(id, 105), 1);
	assert_int_equal(fide_word(id, 169), 1);
	memcpy(f->fb.mem + DATA, ranges, sizeof(ranges));
	for (unsigned int i = 0; i < 3; i++) {
		fide_prd(f, 0, DATA, 512, true);
		fide_out(f, P + 1, 0);
		fide_out(f, P + 1, i < 2 ? 1 : 0); /* TRIM; no function that there is */
		fide_command_ext(f, P, 0x06, 0, 1);
		fide_master(f, BM, 1);
		if (i)
			fide_expect_error(f, P, ATA_ABRT);
		else
			assert_int_equal(fide_status(f, P), READY);
		fide_out(f, BM, 0);
		f->fb.mem[DATA + 8 + 6] = 2; /* over the end */
	}
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(pread(f->disk, &got[i], 4, (off_t)(i ? SECTORS - 1 : 8) * 512), 4);
	assert_int_equal(got[0] | got[1], 0);
}

static void test_readonly(void **state)
{
	struct fide *f =
		fide_begin("{\"id\":\"root\",\"unit\":1,\"path\":{\"fd\":0},\"readonly\":true}");
	uint8_t data[ATA_SECTOR] = { 0 };

	(void)state;
	assert_int_equal(fide_in(f, P + 7),
			 0x7f); /* nobody answers for a device 0 that is not there */
	fide_out(f, P + 6, 0xf0);
	fide_out(f, P + 2, 1);
	fide_out(f, P + 7, 0x30);
	assert_int_equal(fide_in(f, P + 7), READY | ATA_DRQ);
	fide_write_data(f, P, data, sizeof(data));
	fide_settle(f);
	fide_expect_error(f, P, ATA_ABRT);
	fide_teardown((void **)&f);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fide_setup, fide_teardown)
	const struct CMUnitTest tests[] = {
		T(test_stable),
		T(test_features),
		T(test_refused),
		T(test_errors),
		T(test_error_in_the_middle),
		T(test_trim),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_readonly),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
