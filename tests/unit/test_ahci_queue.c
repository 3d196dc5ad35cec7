// SPDX-License-Identifier: MIT
/*
 * Queued commands of an AHCI port: AHCI 1.3.1, section 5.6.4; what goes between HBA and drive,
 * Serial ATA 2.6, section 13.6; READ LOG EXT and its logs, ATA8-ACS, section 7.32 and annex A.
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

#include "tests/unit/ahci_fixture.h"
#include "vmm/block/engine.h"
#include "vmm/scsi/unit.h"

#define READ 0x60
#define WRITE 0x61
#define FUA 0x80
#define FAILED (AHCI_READY | ATA_ERR)

static void put(struct fahci *f, unsigned int slot, uint8_t command, uint64_t lba, uint16_t sectors,
		uint8_t device)
{
	fahci_command(f, 0, slot,
		      &(struct fahci_cmd){ .command = command,
					   .device = 0x40 | device,
					   .lba = lba,
					   .feature = sectors,
					   .count = (uint16_t)(slot << 3) });
	fahci_region(f, 0, slot, 0, AHCI_DATA + 0x8000 * slot, sectors * 512u);
}

static void issue(struct fahci *f, uint32_t slots)
{
	fahci_set(f, 0, AHCI_SACT, slots);
	fahci_issue(f, 0, slots);
}

static struct block *disk(struct fahci *f)
{
	return f->ahci->set.target->units[0]->block;
}

/* --- data ---------------------------------------------------------------------------------------------- */

static void test_one(void **state)
{
	struct fahci *f = *state;
	const uint8_t *bits = fahci_fis(f, 0, 0x58), *dma = fahci_fis(f, 0, 0);
	const uint8_t *reg = fahci_fis(f, 0, 0x40);

	put(f, 5, READ, 0x111, 16, 0);
	issue(f, BIT(5));
	/* it was taken: BSY is 0, PxCI too; PxSACT has it */
	assert_int_equal(fahci_get(f, 0, AHCI_CI), 0);
	assert_int_equal(fahci_get(f, 0, AHCI_SACT), BIT(5));
	assert_int_equal(fahci_get(f, 0, AHCI_TFD), AHCI_READY);
	assert_int_equal(fahci_get(f, 0, AHCI_PIS), 0);
	assert_int_equal(reg[0], 0x34);
	assert_int_equal(reg[1], 0);
	fahci_settle(f);
	assert_int_equal(fahci_get(f, 0, AHCI_SACT), 0);
	assert_int_equal(fahci_causes(f, 0), AHCI_SDBS);
	fahci_expect_sector(f, AHCI_DATA + 0x8000 * 5 + 15 * 512, 0x111 + 15);
	assert_int_equal(bits[0], 0xa1);
	assert_int_equal(bits[1], 0x40);
	assert_int_equal(bits[2], AHCI_READY);
	assert_int_equal(bits[4], BIT(5));
	assert_int_equal(dma[0], 0x41);
	assert_int_equal(dma[1], 0x20);
	assert_int_equal(dma[4], 5);
	assert_int_equal(dma[20] | dma[21] << 8, 16 * 512);
	assert_int_equal(fahci_bytes(f, 0, 5), 0); /* section 4.2.2: PRDBC is not of these */
}

static void test_all(void **state)
{
	struct fahci *f = *state;
	uint8_t got[512];

	for (unsigned int i = 0; i < AHCI_SLOTS; i++) {
		put(f, i, i & 1 ? WRITE : READ, 10 * i, 1, 0);
		memset(f->fb.mem + AHCI_DATA + 0x8000 * (size_t)i, (int)i, 512);
	}
	issue(f, UINT32_MAX);
	assert_int_equal(fahci_get(f, 0, AHCI_SACT), UINT32_MAX);
	assert_int_equal(fahci_get(f, 0, AHCI_CI), 0);
	assert_int_equal(f->ahci->ports[0].running, UINT32_MAX); /* all at once */
	fahci_settle(f);
	assert_int_equal(fahci_get(f, 0, AHCI_SACT), 0);
	for (unsigned int i = 0; i < AHCI_SLOTS; i++) {
		if (!(i & 1)) {
			fahci_expect_sector(f, AHCI_DATA + 0x8000 * i, 10 * i);
			continue;
		}
		assert_int_equal(pread(f->disk, got, sizeof(got), 10 * 512 * i), sizeof(got));
		assert_memory_equal(got, f->fb.mem + AHCI_DATA + 0x8000 * (size_t)i, sizeof(got));
	}
	assert_int_equal(fahci_fis(f, 0, 0)[1], 0); /* the last one was a write */
}

static int recorded_mode;

static int64_t recording(const struct block *b, const struct block_step *s)
{
	recorded_mode = s->mode;
	return raw_step(b, s);
}

static void test_fua(void **state)
{
	struct fahci *f = *state;

	disk(f)->step = recording;
	put(f, 1, WRITE, 1, 1, FUA);
	issue(f, BIT(1));
	fahci_settle(f);
	assert_int_equal(recorded_mode, RWF_DSYNC);
	put(f, 1, WRITE, 1, 1, 0);
	issue(f, BIT(1));
	fahci_settle(f);
	assert_int_equal(recorded_mode, 0);
}

/* --- order: what is later may end before -------------------------------------------------------------------- */

#define HELD_SECTOR 100

static int64_t failing_one(const struct block *b, const struct block_step *s)
{
	return s->offset == HELD_SECTOR * 512 ? -EIO : raw_step(b, s);
}

static void run(struct fahci *f)
{
	fake_board_run(&f->fb);
	fake_board_watched(&f->fb);
}

static void test_out_of_order(void **state)
{
	struct fahci *f = *state;

	disk(f)->step = failing_one;
	put(f, 0, READ, HELD_SECTOR, 1, 0);
	put(f, 1, READ, 7, 1, 0);
	issue(f, 3);
	run(f);
	assert_int_equal(fahci_get(f, 0, AHCI_SACT), 1);
	assert_int_equal(fahci_causes(f, 0), AHCI_SDBS);
	assert_int_equal(fahci_fis(f, 0, 0x58)[4], 2);
	fahci_expect_sector(f, AHCI_DATA + 0x8000, 7);
	put(f, 1, READ, 8, 1, 0); /* its slot is free again */
	issue(f, 2);
	run(f);
	assert_int_equal(fahci_get(f, 0, AHCI_SACT), 1);
	fahci_expect_sector(f, AHCI_DATA + 0x8000, 8);
	disk(f)->step = raw_step;
	fahci_stop_start(f);
	fahci_settle(f);
	assert_int_equal(fahci_get(f, 0, AHCI_SACT), 0);
	fahci_expect_sector(f, AHCI_DATA, HELD_SECTOR);
}

/* What is not queued waits for what is, and the other way round. */
static void test_alone(void **state)
{
	struct fahci *f = *state;

	disk(f)->step = failing_one;
	put(f, 0, READ, HELD_SECTOR, 1, 0);
	issue(f, 1);
	fahci_command(f, 0, 1, &(struct fahci_cmd){ .command = 0xea });
	put(f, 2, READ, 9, 1, 0);
	fahci_issue(f, 0, BIT(1));
	issue(f, BIT(2));
	run(f);
	assert_int_equal(fahci_get(f, 0, AHCI_CI), BIT(1) | BIT(2));
	assert_int_equal(fahci_get(f, 0, AHCI_SACT), BIT(0) | BIT(2));
	disk(f)->step = raw_step;
	fahci_stop_start(f);
	fahci_settle(f);
	assert_int_equal(fahci_get(f, 0, AHCI_CI), 0);
	assert_int_equal(fahci_get(f, 0, AHCI_SACT), 0);
	fahci_expect_sector(f, AHCI_DATA + 0x8000 * 2, 9);
	assert_int_equal(fahci_causes(f, 0), AHCI_DHRS | AHCI_SDBS);
}

/* A slot that is used again before its command has ended: the new one waits. */
static void test_used_slot(void **state)
{
	struct fahci *f = *state;

	disk(f)->step = failing_one;
	put(f, 4, READ, HELD_SECTOR, 1, 0);
	issue(f, BIT(4));
	run(f);
	put(f, 4, READ, 55, 1, 0);
	issue(f, BIT(4));
	run(f);
	assert_int_equal(fahci_get(f, 0, AHCI_CI), BIT(4));
	disk(f)->step = raw_step;
	fahci_stop_start(f);
	fahci_settle(f);
	assert_int_equal(fahci_get(f, 0, AHCI_CI), 0);
	fahci_expect_sector(f, AHCI_DATA + 0x8000 * 4, 55);
}

/* --- errors: sections 6.2.2.2 and 13.6.3 of Serial ATA ---------------------------------------------------------- */

static void restart(struct fahci *f)
{
	fahci_set(f, 0, AHCI_CMD, AHCI_FRE);
	assert_int_equal(fahci_get(f, 0, AHCI_SACT), 0);
	fahci_up(f, 0);
}

static uint32_t read_log(struct fahci *f, uint64_t lba, uint16_t count)
{
	return fahci_do(f, 0, &(struct fahci_cmd){ .command = 0x2f, .lba = lba, .count = count },
			512);
}

static void expect_log(struct fahci *f, uint8_t tag, uint8_t status, uint8_t error, uint32_t lba)
{
	const uint8_t *log = f->fb.mem + AHCI_DATA;
	uint8_t sum = 0;

	assert_int_equal(read_log(f, 0x10, 1), AHCI_READY);
	assert_int_equal(fahci_causes(f, 0), AHCI_PSS);
	assert_int_equal(log[0], tag);
	assert_int_equal(log[2], status);
	assert_int_equal(log[3], error);
	assert_int_equal(log[4] | log[5] << 8 | log[6] << 16, lba);
	for (unsigned int i = 0; i < 512; i++)
		sum += log[i];
	assert_int_equal(sum, 0);
}

static void test_error(void **state)
{
	struct fahci *f = *state;
	const uint8_t *bits = fahci_fis(f, 0, 0x58);

	put(f, 3, READ, AHCI_SECTORS - 1, 2, 0);
	put(f, 6, READ, 1, 1, 0);
	issue(f, BIT(3));
	assert_int_equal(fahci_causes(f, 0), AHCI_SDBS | AHCI_TFES);
	assert_int_equal(fahci_get(f, 0, AHCI_TFD), ATA_IDNF << 8 | FAILED);
	assert_int_equal(fahci_get(f, 0, AHCI_SACT), BIT(3)); /* so the driver knows which */
	assert_int_equal(bits[2], FAILED);
	assert_int_equal(bits[3], ATA_IDNF);
	assert_int_equal(bits[4], 0);
	issue(f, BIT(6)); /* nothing more until ST was 0 */
	fahci_settle(f);
	assert_int_equal(fahci_get(f, 0, AHCI_CI), BIT(6));
	restart(f);
	put(f, 6, READ, 1, 1, 0); /* and nothing queued until the log was read */
	issue(f, BIT(6));
	assert_int_equal(fahci_causes(f, 0), AHCI_SDBS | AHCI_TFES);
	assert_int_equal(fahci_get(f, 0, AHCI_TFD), ATA_ABRT << 8 | FAILED);
	restart(f);
	expect_log(f, 3, FAILED, ATA_IDNF, AHCI_SECTORS - 1);
	expect_log(f, 0x80, 0, 0, 0); /* once */
	put(f, 6, READ, 1, 1, 0);
	issue(f, BIT(6));
	fahci_settle(f);
	assert_int_equal(fahci_causes(f, 0), AHCI_SDBS);
}

/* Of the host's: the drive has given up the others with it, which end without a word. */
static void test_host_error(void **state)
{
	struct fahci *f = *state;

	disk(f)->step = failing_one;
	put(f, 0, READ, HELD_SECTOR, 1, 0);
	put(f, 1, READ, 5, 1, 0);
	issue(f, 3);
	fahci_settle(f);
	assert_int_equal(fahci_get(f, 0, AHCI_SACT), 3);
	assert_int_equal(fahci_fis(f, 0, 0x58)[4], 0);
	assert_int_equal(fahci_causes(f, 0), AHCI_SDBS | AHCI_TFES);
	disk(f)->step = raw_step;
	restart(f);
	expect_log(f, 0, FAILED, ATA_UNC, HELD_SECTOR);
	put(f, 1, READ, 6, 1, 0);
	issue(f, 2);
	fahci_settle(f);
	fahci_expect_sector(f, AHCI_DATA + 0x8000, 6);
}

/* ST again before CR is 0: nothing is issued until what was dropped has ended. */
static void test_early_start(void **state)
{
	struct fahci *f = *state;

	disk(f)->step = failing_one;
	put(f, 0, READ, HELD_SECTOR, 1, 0);
	issue(f, 1);
	run(f);
	fahci_set(f, 0, AHCI_CMD, AHCI_FRE);
	assert_int_equal(fahci_get(f, 0, AHCI_CMD) & BIT(15), BIT(15));
	fahci_up(f, 0);
	put(f, 1, READ, 7, 1, 0);
	issue(f, 2);
	run(f);
	assert_int_equal(fahci_get(f, 0, AHCI_CI), 2);
	disk(f)->step = raw_step;
	fahci_stop_start(f);
	fahci_settle(f);
	assert_int_equal(fahci_get(f, 0, AHCI_SACT), 0);
	assert_int_equal(fahci_causes(f, 0), AHCI_SDBS);
	fahci_expect_sector(f, AHCI_DATA + 0x8000, 7);
}

/* Section 5.6.4.1: the tag is the slot's number. */
static void test_tag(void **state)
{
	struct fahci *f = *state;

	put(f, 2, READ, 1, 1, 0);
	fahci_command(f, 0, 2,
		      &(struct fahci_cmd){
			      .command = READ, .device = 0x40, .feature = 1, .count = 9 << 3 });
	issue(f, BIT(2));
	assert_int_equal(fahci_causes(f, 0), AHCI_SDBS | AHCI_TFES);
	restart(f);
	expect_log(f, 9, FAILED, ATA_ABRT, 0);
}

/* COMRESET ends the error, too. */
static void test_reset(void **state)
{
	struct fahci *f = *state;

	put(f, 3, READ, AHCI_SECTORS, 1, 0);
	issue(f, BIT(3));
	fahci_set(f, 0, AHCI_CMD, AHCI_FRE);
	fahci_set(f, 0, AHCI_SCTL, 1);
	fahci_set(f, 0, AHCI_SCTL, 0);
	fahci_up(f, 0);
	put(f, 3, READ, 17, 1, 0);
	issue(f, BIT(3));
	fahci_settle(f);
	assert_int_equal(fahci_causes(f, 0), AHCI_SDBS);
	fahci_expect_sector(f, AHCI_DATA + 0x8000 * 3, 17);
}

static void test_logs(void **state)
{
	struct fahci *f = *state;
	const uint8_t *log = f->fb.mem + AHCI_DATA;

	assert_int_equal(read_log(f, 0, 1), AHCI_READY); /* the directory */
	assert_int_equal(log[0] | log[1] << 8, 1);
	assert_int_equal(log[0x20] | log[0x21] << 8, 1);
	assert_int_equal(log[0x22] | log[0x60], 0);
	for (unsigned int i = 0; i < 4; i++) {
		static const struct {
			uint64_t lba;
			uint16_t count;
		} bad[] = { { 0x30, 1 }, { 0x110, 1 }, { 0x10, 2 }, { 0x100000010, 1 } };

		assert_int_equal(read_log(f, bad[i].lba, bad[i].count), ATA_ABRT << 8 | FAILED);
		restart(f);
	}
}

/* A drive that has no queue: a CD-ROM */
static void test_no_queue(void **state)
{
	struct fahci *f = *state;

	fahci_up(f, 2);
	assert_int_equal(fahci_do(f, 2, &(struct fahci_cmd){ .command = READ, .feature = 1 }, 512),
			 ATA_ABRT << 8 | FAILED);
	assert_int_equal(fahci_causes(f, 2), AHCI_DHRS | AHCI_TFES);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fahci_setup, fahci_teardown)
#define S(fn) cmocka_unit_test_setup_teardown(fn, fahci_setup_stop, fahci_teardown)
	const struct CMUnitTest tests[] = {
		T(test_one),	     T(test_all),	T(test_fua),   S(test_out_of_order),
		S(test_alone),	     S(test_used_slot), T(test_error), T(test_host_error),
		S(test_early_start), T(test_tag),	T(test_reset), T(test_logs),
		T(test_no_queue),
	};
#undef T
#undef S

	return cmocka_run_group_tests(tests, NULL, NULL);
}
