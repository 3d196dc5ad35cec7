// SPDX-License-Identifier: MIT
/*
 * DATA SET MANAGEMENT of an AHCI disk: ACS-2 (T13/2015-D), section 7.10, LBA Range Entries
 * (4.18.3) and IDENTIFY DEVICE, words 69, 105 and 169 (7.12). The image is in memory, whose pages
 * are 8 sectors.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/ahci_fixture.h"
#include "vmm/block/engine.h"
#include "vmm/scsi/unit.h"

#define DSM 0x06
#define ABORTED (ATA_ABRT << 8 | AHCI_READY | ATA_ERR)

static int setup_readonly(void **state)
{
	*state = fahci_begin("{\"id\":\"root\",\"unit\":0,\"path\":{\"fd\":0},\"readonly\":true}");
	fahci_up(*state, 0);
	return 0;
}

static struct block *disk(struct fahci *f)
{
	return f->ahci->set.target->units[0]->block;
}

static uint32_t allocated(struct fahci *f)
{
	struct stat st;

	assert_int_equal(fstat(f->disk, &st), 0);
	return (uint32_t)st.st_blocks;
}

/* What sector n begins with: its number, or 0 when it was trimmed */
static uint32_t at(struct fahci *f, uint32_t n)
{
	uint32_t v;

	assert_int_equal(pread(f->disk, &v, sizeof(v), (off_t)n * 512), sizeof(v));
	return v;
}

/* Entry i of a block that is at AHCI_DATA */
static void entry(struct fahci *f, unsigned int i, uint64_t lba, uint16_t count)
{
	uint64_t v = lba | (uint64_t)count << 48;

	memcpy(f->fb.mem + AHCI_DATA + 8 * (size_t)i, &v, sizeof(v));
}

static struct fahci_cmd dsm(uint16_t feature, uint16_t count)
{
	return (struct fahci_cmd){
		.command = DSM, .device = 0x40, .feature = feature, .count = count
	};
}

static uint32_t trim(struct fahci *f)
{
	const struct fahci_cmd c = dsm(1, 1);
	uint32_t tfd = fahci_do(f, 0, &c, 512);

	memset(f->fb.mem + AHCI_DATA, 0, 512);
	return tfd;
}

/* After an error, as section 6.2.2.1 of AHCI has it */
static void restart(struct fahci *f)
{
	fahci_set(f, 0, AHCI_CMD, AHCI_FRE);
	fahci_up(f, 0);
}

/* --- IDENTIFY: 7.12 ------------------------------------------------------------------------------- */

static uint16_t word(struct fahci *f, unsigned int n)
{
	const uint8_t *w = f->fb.mem + AHCI_DATA + 2 * (size_t)n;

	return (uint16_t)(w[0] | w[1] << 8);
}

static void test_identify(void **state)
{
	struct fahci *f = *state;

	assert_int_equal(fahci_do(f, 0, &(struct fahci_cmd){ .command = 0xec }, 512), AHCI_READY);
	assert_int_equal(word(f, 69) & (BIT(14) | BIT(5)), 0); /* DRAT, RZAT: not promised */
	assert_int_equal(word(f, 105), 1);
	assert_int_equal(word(f, 169), 1);
}

static void test_readonly(void **state)
{
	struct fahci *f = *state;
	uint32_t before = allocated(f);

	assert_int_equal(fahci_do(f, 0, &(struct fahci_cmd){ .command = 0xec }, 512), AHCI_READY);
	assert_int_equal(word(f, 105), 0);
	assert_int_equal(word(f, 169), 0);
	memset(f->fb.mem + AHCI_DATA, 0, 512);
	entry(f, 0, 8, 8);
	assert_int_equal(trim(f), ABORTED);
	assert_int_equal(allocated(f), before);
}

/* --- what is trimmed: 7.10.3, 4.18.3 -------------------------------------------------------------- */

/* Out of order and over each other; a length of 0 is padding, whatever its LBA is. */
static void test_ranges(void **state)
{
	struct fahci *f = *state;
	uint32_t before = allocated(f);

	entry(f, 0, 64, 16);
	entry(f, 1, UINT32_MAX, 0);
	entry(f, 5, 8, 8);
	entry(f, 6, 72, 16);
	entry(f, 63, AHCI_SECTORS - 8, 8);
	assert_int_equal(trim(f), AHCI_READY);
	assert_int_equal(fahci_bytes(f, 0, 0), 512);
	assert_int_equal(fahci_causes(f, 0), AHCI_DHRS);
	assert_int_equal(allocated(f), before - (24 + 8 + 8));
	for (uint32_t n = 0; n < 128; n++)
		assert_int_equal(at(f, n), (n >= 8 && n < 16) || (n >= 64 && n < 88) ? 0 : n);
	assert_int_equal(at(f, AHCI_SECTORS - 9), AHCI_SECTORS - 9);
	assert_int_equal(at(f, AHCI_SECTORS - 1), 0);
	assert_int_equal(trim(f), AHCI_READY); /* nothing but padding */
	assert_int_equal(allocated(f), before - 40);
}

/* As many as there can be; and neighbours, whose common page goes, too */
static void test_full(void **state)
{
	struct fahci *f = *state;
	uint32_t before = allocated(f);

	for (unsigned int i = 0; i < 64; i++)
		entry(f, i, 16 * i, 8);
	assert_int_equal(trim(f), AHCI_READY);
	assert_int_equal(allocated(f), before - 64 * 8);
	for (unsigned int i = 0; i < 64; i++)
		entry(f, i, 2048 + 15 * i, 15);
	assert_int_equal(trim(f), AHCI_READY);
	assert_int_equal(allocated(f), before - 64 * 8 - 64 * 15);
	assert_int_equal(at(f, 2047), 2047);
	assert_int_equal(at(f, 2048 + 64 * 15), 2048 + 64 * 15);
}

/* Its data is in pieces of any even length. */
static void test_pieces(void **state)
{
	const struct fahci_cmd c = dsm(1, 1);
	struct fahci *f = *state;
	uint32_t before = allocated(f);

	entry(f, 0, 256, 8);
	entry(f, 1, 512, 8);
	memmove(f->fb.mem + AHCI_DATA + 0x1000, f->fb.mem + AHCI_DATA + 6, 506);
	fahci_command(f, 0, 0, &c);
	fahci_region(f, 0, 0, 0, AHCI_DATA, 6);
	fahci_region(f, 0, 0, 1, AHCI_DATA + 0x1000, 506);
	fahci_issue(f, 0, 1);
	fahci_settle(f);
	assert_int_equal(fahci_get(f, 0, AHCI_TFD), AHCI_READY);
	assert_int_equal(allocated(f), before - 16);
	assert_int_equal(at(f, 256) | at(f, 512), 0);
}

/* --- errors: 7.10.5 ------------------------------------------------------------------------------- */

/* An entry that is not there, and nothing of the others is done */
static void test_invalid(void **state)
{
	static const struct {
		uint64_t lba;
		uint16_t count;
	} bad[] = { { AHCI_SECTORS - 8, 9 },
		    { AHCI_SECTORS, 1 },
		    { BIT64(48) - 1, 1 },
		    { BIT64(48) - 1, UINT16_MAX } };
	struct fahci *f = *state;
	uint32_t before = allocated(f);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		entry(f, 0, 8, 8);
		entry(f, 1, bad[i].lba, bad[i].count);
		assert_int_equal(trim(f), ABORTED);
		assert_int_equal(fahci_causes(f, 0), AHCI_DHRS | AHCI_TFES);
		assert_int_equal(fahci_get(f, 0, AHCI_CI), 1);
		restart(f);
	}
	assert_int_equal(allocated(f), before);
	assert_int_equal(at(f, 8), 8);
}

/* No function that there is, or more blocks than word 105 says: nothing is taken. */
static void test_refused(void **state)
{
	static const struct {
		uint16_t feature, count;
	} bad[] = { { 0, 1 }, { 2, 1 }, { 3, 1 }, { 0x101, 1 }, { 1, 0 }, { 1, 2 }, { 1, 0x101 } };
	struct fahci *f = *state;
	uint32_t before = allocated(f);

	entry(f, 0, 8, 8);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const struct fahci_cmd c = dsm(bad[i].feature, bad[i].count);

		assert_int_equal(fahci_do(f, 0, &c, 1024), ABORTED);
		assert_int_equal(fahci_bytes(f, 0, 0), 0);
		restart(f);
	}
	assert_int_equal(allocated(f), before);
	fahci_up(f, 2); /* a CD-ROM drive knows no such command */
	assert_int_equal(fahci_do(f, 2, &(struct fahci_cmd){ .command = DSM, .feature = 1 }, 512),
			 ABORTED);
}

/* A table that is shorter than the block: AHCI, section 6.1.5 */
static void test_short_table(void **state)
{
	const struct fahci_cmd c = dsm(1, 1);
	struct fahci *f = *state;
	uint32_t before = allocated(f);

	entry(f, 0, 8, 8);
	fahci_do(f, 0, &c, 510);
	assert_int_equal(fahci_causes(f, 0), AHCI_OFS);
	assert_int_equal(allocated(f), before);
}

static int64_t failing(const struct block *b, const struct block_step *s)
{
	(void)b;
	(void)s;
	return -EIO;
}

/* The host cannot: as for WRITE DMA, a device fault */
static void test_host_error(void **state)
{
	struct fahci *f = *state;

	disk(f)->step = failing;
	entry(f, 0, 8, 8);
	assert_int_equal(trim(f), ABORTED | ATA_DF);
	disk(f)->step = raw_step;
	restart(f);
	entry(f, 0, 8, 8);
	assert_int_equal(trim(f), AHCI_READY);
	assert_int_equal(at(f, 8), 0);
}

/* on_error: stop. It is held, with what it was asked for, and runs after a pause. */
static void test_held(void **state)
{
	const struct fahci_cmd c = dsm(1, 1);
	struct fahci *f = *state;

	disk(f)->step = failing;
	entry(f, 0, 8, 8);
	fahci_command(f, 0, 0, &c);
	fahci_region(f, 0, 0, 0, AHCI_DATA, 512);
	fahci_issue(f, 0, 1);
	fake_board_run(&f->fb);
	fake_board_watched(&f->fb);
	assert_int_equal(fahci_get(f, 0, AHCI_TFD), ATA_BSY);
	entry(f, 0, 16, 8); /* the guest's own memory, by now */
	disk(f)->step = raw_step;
	fahci_stop_start(f);
	fahci_settle(f);
	assert_int_equal(fahci_get(f, 0, AHCI_TFD), AHCI_READY);
	assert_int_equal(at(f, 8), 0);
	assert_int_equal(at(f, 16), 16);
}

/* What the host has ends, and only then the drive is ready behind a COMRESET. */
static void test_reset(void **state)
{
	const struct fahci_cmd c = dsm(1, 1);
	struct fahci *f = *state;

	entry(f, 0, 8, 8);
	fahci_command(f, 0, 0, &c);
	fahci_region(f, 0, 0, 0, AHCI_DATA, 512);
	fahci_issue(f, 0, 1);
	fahci_set(f, 0, AHCI_SCTL, 1);
	fahci_set(f, 0, AHCI_SCTL, 0);
	assert_int_equal(fahci_get(f, 0, AHCI_TFD), ATA_BSY);
	fahci_settle(f);
	assert_int_equal(fahci_get(f, 0, AHCI_TFD), 0x150);
	assert_int_equal(at(f, 8), 0);
	restart(f);
	assert_int_equal(fahci_do(f, 0, READ_ONE(9), 512), AHCI_READY);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fahci_setup, fahci_teardown)
	const struct CMUnitTest tests[] = {
		T(test_identify),
		cmocka_unit_test_setup_teardown(test_readonly, setup_readonly, fahci_teardown),
		T(test_ranges),
		T(test_full),
		T(test_pieces),
		T(test_invalid),
		T(test_refused),
		T(test_short_table),
		T(test_host_error),
		cmocka_unit_test_setup_teardown(test_held, fahci_setup_stop, fahci_teardown),
		T(test_reset),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
