// SPDX-License-Identifier: MIT
/* The bus master of an IDE channel: Intel 82371SB (290550), its registers and their operation. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <linux/pci_regs.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/ide_fixture.h"

/* --- DMA: 82371SB, bus master IDE registers and operation ------------------------------------- */

static void test_read_dma(void **state)
{
	struct fide *f = *state;

	fide_prd(f, 0, DATA, 512, false);
	fide_prd(f, 1, DATA + 0x2000, 1024 - 2, false); /* cut in the middle of a sector */
	fide_prd(f, 2, DATA + 0x4000, 514, true);
	fide_command(f, P, 0xc8, 1000, 4);
	assert_int_equal(fide_status(f, P), READY | ATA_DRQ);
	assert_int_equal(fide_in(f, BM + 2) & 1, 0);
	fide_master(f, BM, 9);
	assert_int_equal(fide_in(f, BM + 2) & 1, 1);
	fide_settle(f);
	assert_true(fide_irq(f, P));
	assert_int_equal(fide_in(f, BM + 2) & 7, 4); /* interrupt, not active: all of both */
	assert_int_equal(fide_status(f, P), READY);
	fide_expect_sector(f->fb.mem + DATA, 1000);
	fide_expect_sector(f->fb.mem + DATA + 0x2000, 1001);
	fide_expect_sector(f->fb.mem + DATA + 0x2000 + 512, 1002);
	fide_expect_sector(f->fb.mem + DATA + 0x4002, 1003);
	fide_out(f, BM, 0);
	/* a table that has more: still active */
	fide_prd(f, 0, DATA, 0, true); /* 64 KiB */
	fide_command_ext(f, P, 0x25, 2000, 1);
	fide_master(f, BM, 9);
	fide_settle(f);
	assert_int_equal(fide_in(f, BM + 2) & 7, 5);
	assert_int_equal(fide_status(f, P), READY);
	fide_expect_sector(f->fb.mem + DATA, 2000);
	fide_out(f, BM, 0);
	assert_int_equal(fide_in(f, BM + 2) & 7, 4);
}

static void test_write_dma(void **state)
{
	struct fide *f = *state;
	uint8_t got[8 * ATA_SECTOR];

	memset(f->fb.mem + DATA, 0xa5, sizeof(got));
	fide_prd(f, 0, DATA, sizeof(got), true);
	fide_master(f, BM, 1); /* it may start before the command */
	fide_command(f, P, 0xca, 40, 8);
	fide_settle(f);
	assert_int_equal(fide_status(f, P), READY);
	assert_int_equal(fide_in(f, BM + 2) & 7, 4);
	assert_int_equal(pread(f->disk, got, sizeof(got), 40 * ATA_SECTOR), sizeof(got));
	assert_memory_equal(got, f->fb.mem + DATA, sizeof(got));
	fide_command(f, P, 0xe7, 0, 0); /* FLUSH CACHE */
	assert_int_equal(fide_in(f, P + 7), ATA_BSY);
	assert_int_equal(fide_status(f, P), READY);
}

/*
 * BMISX, bits 2 and 0: a table that is too short stops the bus master, and the drive waits for
 * the next one.
 */
static void test_short_table(void **state)
{
	struct fide *f = *state;

	fide_prd(f, 0, DATA, 512, true);
	fide_command(f, P, 0xc8, 10, 2);
	fide_master(f, BM, 9);
	fide_settle(f);
	assert_int_equal(fide_in(f, BM + 2) & 7, 0);
	assert_int_equal(fide_status(f, P), READY | ATA_DRQ);
	assert_false(fide_irq(f, P));
	fide_out(f, BM, 0);
	fide_prd(f, 0, DATA + 512, 512, true);
	fide_master(f, BM, 9);
	fide_settle(f);
	assert_int_equal(fide_in(f, BM + 2) & 7, 4);
	assert_int_equal(fide_status(f, P), READY);
	fide_expect_sector(f->fb.mem + DATA + 512, 11);
	fide_out(f, BM, 0);
	/* in the middle of a sector: whole ones have moved */
	fide_prd(f, 0, DATA, 700, true);
	fide_command(f, P, 0xc8, 20, 2);
	fide_master(f, BM, 9);
	fide_settle(f);
	assert_int_equal(fide_in(f, BM + 2) & 7, 0);
	assert_int_equal(fide_status(f, P), READY | ATA_DRQ);
	fide_expect_sector(f->fb.mem + DATA, 20);
	fide_expect_sector(f->fb.mem + DATA + 512, 11);
	fide_out(f, BM, 0);
	fide_prd(f, 0, DATA + 512, 512, true);
	fide_master(f, BM, 9);
	fide_settle(f);
	assert_int_equal(fide_status(f, P), READY);
	fide_expect_sector(f->fb.mem + DATA + 512, 21);
}

/* What is no memory: an error, and nothing moves */
static void test_bad_table(void **state)
{
	struct fide *f = *state;

	fide_prd(f, 0, DATA, 512, false);
	fide_prd(f, 1, MEM - 256, 512, true);
	fide_command(f, P, 0xc8, 10, 2);
	fide_master(f, BM, 9);
	fide_settle(f);
	assert_int_equal(fide_in(f, BM + 2) & 7, 2);
	assert_int_equal(f->fb.mem[DATA], 0);
	fide_out(f, BM + 2, 2);
	assert_int_equal(fide_in(f, BM + 2) & 7, 0);
	fide_out(f, BM, 0);
	fake_out(&f->fb, BM + 4, 4, 0xfffffffc);
	fide_out(f, BM, 9);
	fide_settle(f);
	assert_int_equal(fide_in(f, BM + 2) & 7, 2);
	fide_out(f, P + CONTROL, 4);
	fide_out(f, P + CONTROL, 0);
	assert_int_equal(fide_status(f, P), READY);
}

/* Many regions of two bytes: moved in parts */
static void test_small_regions(void **state)
{
	struct fide *f = *state;
	const unsigned int n = 20 * ATA_SECTOR / 2;
	uint8_t want[20 * ATA_SECTOR], got[20 * ATA_SECTOR];

	for (unsigned int i = 0; i < n; i++) {
		uint32_t entry[2] = { DATA + 0x40000 + 4 * i, 2 | (i == n - 1 ? 0x80000000 : 0) };

		memcpy(f->fb.mem + 0x100000 + 8 * i, entry, sizeof(entry));
	}
	fide_command(f, P, 0xc8, 500, 20);
	fide_cfg_write(f, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
	fake_out(&f->fb, BM + 4, 4, 0x100000);
	fide_out(f, BM, 9);
	fide_settle(f);
	assert_int_equal(fide_in(f, BM + 2) & 7, 4);
	assert_int_equal(fide_status(f, P), READY);
	assert_int_equal(pread(f->disk, want, sizeof(want), 500 * ATA_SECTOR), sizeof(want));
	for (unsigned int i = 0; i < n; i++)
		memcpy(got + 2 * i, f->fb.mem + DATA + 0x40000 + 4 * i, 2);
	assert_memory_equal(got, want, sizeof(want));
}

/* PCI 3.0, section 6.2.2: without bus mastering nothing moves */
static void test_master_off(void **state)
{
	struct fide *f = *state;

	fide_prd(f, 0, DATA, 512, true);
	fide_command(f, P, 0xc8, 77, 1);
	fake_out(&f->fb, BM + 4, 4, PRD);
	fide_out(f, BM, 9);
	fide_settle(f);
	assert_int_equal(fide_status(f, P), READY | ATA_DRQ);
	assert_int_equal(f->fb.mem[DATA], 0);
	fide_cfg_write(f, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
	fide_settle(f);
	assert_int_equal(fide_status(f, P), READY);
	fide_expect_sector(f->fb.mem + DATA, 77);
	/* switched off while it moves: that ends first */
	fide_command(f, P, 0xc8, 78, 1);
	fide_master(f, BM, 0);
	fide_out(f, BM, 9);
	fide_cfg_write(f, PCI_COMMAND, 2, PCI_COMMAND_IO);
	assert_false(f->ide->channels[0].running);
	fide_expect_sector(f->fb.mem + DATA, 78);
}

static void test_bm_registers(void **state)
{
	struct fide *f = *state;

	fake_out(&f->fb, BM + 12, 4, 0x12345677);
	assert_int_equal(fake_in(&f->fb, BM + 12, 4), 0x12345674);
	assert_int_equal(fake_in(&f->fb, BM + 4, 4), 0);
	fide_out(f, BM + 10, 0xff);
	assert_int_equal(fide_in(f, BM + 10), 0x60); /* the drives can: the driver's own note */
	fide_out(f, BM + 8, 0xff);
	assert_int_equal(fide_in(f, BM + 8), 0x09);
	assert_int_equal(fide_in(f, BM + 10) & 1, 1);
	fide_out(f, BM + 8, 0);
	assert_int_equal(fide_in(f, BM + 10) & 1, 0);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fide_setup, fide_teardown)
	const struct CMUnitTest tests[] = {
		T(test_read_dma),      T(test_write_dma),  T(test_short_table),	 T(test_bad_table),
		T(test_small_regions), T(test_master_off), T(test_bm_registers),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
