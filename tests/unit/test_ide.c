// SPDX-License-Identifier: MIT
/*
 * The IDE function through its ports: ATA/ATAPI-7 (INCITS 397) volumes 1 (commands) and 2
 * (registers and protocols; PIO), and the PCI function of the Intel 82371SB (290550).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/ide_fixture.h"
#include "vmm/devices.h"

static int setup_disk(void **state)
{
	*state = fide_begin(A_DISK);
	return 0;
}

/* --- the function: 82371SB, PCI configuration registers of function 1 ------------------------- */

static void test_function(void **state)
{
	struct fide *f = *state;

	assert_int_equal(fide_cfg(f, PCI_VENDOR_ID, 4), 0x70108086);
	assert_int_equal(fide_cfg(f, PCI_CLASS_REVISION, 4) >> 8, 0x010180);
	assert_int_equal(fide_cfg(f, PCI_BASE_ADDRESS_4, 4), BM | 1);
	assert_int_equal(fide_cfg(f, PCI_INTERRUPT_PIN, 1), 0);
	assert_int_equal(fide_cfg(f, 0x40, 4), 0x80008000); /* both channels are decoded */
	fide_cfg_write(f, 0x40, 4, 0xffffffff);
	assert_int_equal(fide_cfg(f, 0x40, 4), 0xf3fff3ff);
	fide_cfg_write(f, 0x44, 4, 0xffffffff);
	assert_int_equal(fide_cfg(f, 0x44, 4), 0xff);
}

/* IDETIM, bit 15; and the command register's I/O space enable */
static void test_decoding(void **state)
{
	struct fide *f = *state;

	assert_int_equal(fide_in(f, P + 7), READY);
	fide_cfg_write(f, 0x40, 2, 0);
	assert_int_equal(fide_in(f, P + 7), 0xff);
	assert_int_equal(fide_in(f, P + CONTROL), 0xff);
	assert_int_not_equal(fide_in(f, S + CONTROL), 0xff);
	fide_cfg_write(f, 0x40, 2, 0x8000);
	assert_int_equal(fide_in(f, P + 7), READY);
	fide_cfg_write(f, PCI_COMMAND, 2, 0);
	assert_int_equal(fide_in(f, P + 7), 0xff);
	assert_int_equal(fide_in(f, BM + 2), 0xff);
	fide_cfg_write(f, PCI_COMMAND, 2, PCI_COMMAND_IO);
	assert_int_equal(fide_in(f, P + 7), READY);
}

/* --- registers: volume 2, chapter 5, and one device of two ------------------------------------ */

static void test_registers(void **state)
{
	struct fide *f = *state;

	fide_out(f, P + 6, 0xa0);
	fide_out(f, P + 2, 0x55);
	fide_out(f, P + 3, 0xaa);
	assert_int_equal(fide_in(f, P + 2), 0x55);
	assert_int_equal(fide_in(f, P + 3), 0xaa);
	fide_out(f, P + 2, 0x33); /* the one before is kept: HOB */
	fide_out(f, P + CONTROL, 0x80);
	assert_int_equal(fide_in(f, P + 2), 0x55);
	fide_out(f, P + 1, 0); /* any write to the command block clears it */
	assert_int_equal(fide_in(f, P + 2), 0x33);
	/* a device 1 that is not there: 0, by device 0 */
	fide_out(f, P + 6, 0xb0);
	for (unsigned int reg = 1; reg < 8; reg++)
		if (reg != 6)
			assert_int_equal(fide_in(f, P + reg), 0);
	assert_int_equal(fide_in(f, P + CONTROL), 0);
	fide_out(f, P + 7, 0xec); /* and it takes no command */
	assert_false(fide_irq(f, P));
}

static void test_empty_channel(void **state)
{
	struct fide *f = *state;

	for (unsigned int reg = 1; reg < 8; reg++)
		assert_int_equal(fide_in(f, S + reg), 0x7f);
	assert_int_equal(fide_in(f, S + CONTROL), 0x7f);
	fide_out(f, S + CONTROL, 4);
	fide_out(f, S + CONTROL, 0);
	fide_out(f, S + 7, 0xec);
	assert_int_equal(fide_in(f, S + 7), 0x7f);
	assert_false(fide_irq(f, S));
}

/* Volume 2: software reset protocol, signature */
static void test_soft_reset(void **state)
{
	struct fide *f = *state;

	fide_out(f, P + 6, 0xf0);
	fide_out(f, P + CONTROL, 4);
	assert_int_equal(fide_in(f, P + CONTROL), 0); /* device 1 */
	fide_out(f, P + 6, 0xe0);
	assert_int_equal(fide_in(f, P + 6), 0xf0); /* nothing is written meanwhile */
	fide_out(f, P + CONTROL, 0);
	assert_int_equal(fide_in(f, P + 6) & 0x1f, 0);
	assert_int_equal(fide_in(f, P + 7), READY);
	assert_int_equal(fide_in(f, P + 1), 1);
	assert_int_equal(fide_in(f, P + 2), 1);
	assert_int_equal(fide_in(f, P + 3), 1);
	assert_int_equal(fide_in(f, P + 4), 0);
	assert_int_equal(fide_in(f, P + 5), 0);
	fide_out(f, S + CONTROL, 4);
	assert_int_equal(fide_in(f, S + CONTROL), ATA_BSY);
	fide_out(f, S + CONTROL, 0);
	assert_int_equal(fide_in(f, S + 7), 0);
	assert_int_equal(fide_in(f, S + 4), 0x14);
	assert_int_equal(fide_in(f, S + 5), 0xeb);
	assert_false(fide_irq(f, P) || fide_irq(f, S));
}

/*
 * A command that is with the host's kernel: the drives are busy until it has ended, and no
 * interrupt tells of it.
 */
static void test_reset_under_way(void **state)
{
	struct fide *f = *state;

	fide_command(f, P, 0x20, 7, 1);
	assert_int_equal(fide_in(f, P + 7), ATA_BSY);
	fide_out(f, P + CONTROL, 4);
	fide_out(f, P + CONTROL, 0);
	assert_int_equal(fide_in(f, P + CONTROL), ATA_BSY);
	fide_out(f, P + 7, 0xec); /* ignored */
	assert_int_equal(fide_status(f, P), READY);
	assert_int_equal(fide_in(f, P + 1), 1);
	assert_int_equal(f->fb.irq_raised[14], 0);
}

static void test_diagnostic(void **state)
{
	struct fide *f = *state;

	fide_out(f, P + 6, 0xb0);
	fide_out(f, P + 7, 0x90);
	assert_true(fide_irq(f, P));
	assert_int_equal(fide_in(f, P + 6) & 0x10, 0);
	assert_int_equal(fide_in(f, P + 1), 1);
	assert_int_equal(fide_status(f, P), READY);
	assert_false(fide_irq(f, P));
}

/* Volume 2: INTRQ, nIEN; 82371SB: BMISX, bit 2 */
static void test_interrupt(void **state)
{
	struct fide *f = *state;

	fide_command(f, P, 0x40, 0, 1);
	assert_true(fide_irq(f, P));
	assert_int_equal(fide_in(f, P + CONTROL), READY); /* Alternate Status leaves it */
	assert_true(fide_irq(f, P));
	fide_out(f, P + CONTROL, 2); /* nIEN */
	assert_false(fide_irq(f, P));
	fide_out(f, P + CONTROL, 0);
	assert_true(fide_irq(f, P));
	fide_out(f, P + 6, 0xf0); /* the other device drives the line now */
	assert_false(fide_irq(f, P));
	fide_out(f, P + 6, 0xe0);
	assert_true(fide_irq(f, P));
	assert_int_equal(fide_in(f, BM + 2) & 4, 4);
	fide_out(f, BM + 2, 4);
	assert_int_equal(fide_in(f, BM + 2) & 4, 0);
	assert_int_equal(fide_in(f, P + 7), READY);
	assert_false(fide_irq(f, P));
	fide_command(f, P, 0x40, 0, 1);
	assert_true(fide_irq(f, P));
	fide_command(f, P, 0x20, 0, 1); /* a command takes it back */
	assert_false(fide_irq(f, P));
	fide_settle(f);
}

/* --- IDENTIFY: volume 1 ----------------------------------------------------------------------- */

static void test_identify(void **state)
{
	struct fide *f = *state;
	uint8_t id[ATA_ID], sum = 0;

	fide_out(f, P + 6, 0xe0);
	fide_identify(f, P, 0xec, id);
	assert_int_equal(fide_word(id, 0), 0x0040);
	assert_int_equal(fide_word(id, 1), SECTORS / (16 * 63));
	assert_int_equal(fide_word(id, 3), 16);
	assert_int_equal(fide_word(id, 6), 63);
	assert_memory_equal(id + 20, "orto                ", 20);
	assert_memory_equal(id + 54, "MV DAHDRD SI K ", 15);
	assert_int_equal(fide_word(id, 49) & 0x0300, 0x0300);
	assert_int_equal(fide_word(id, 60) | fide_word(id, 61) << 16, SECTORS);
	assert_int_equal(fide_word(id, 63), 0x0007);
	assert_int_equal(fide_word(id, 80), 0x00f0);
	assert_int_equal(fide_word(id, 82) & 1, 0); /* no SMART */
	assert_int_equal(fide_word(id, 83), 0x7400);
	assert_int_equal(fide_word(id, 100), SECTORS);
	assert_int_equal(fide_word(id, 85) & 0x60, 0x60);
	for (unsigned int i = 0; i < ATA_ID; i++)
		sum += id[i];
	assert_int_equal(sum, 0);
	assert_int_equal(id[510], 0xa5);
}

static void test_identify_packet(void **state)
{
	struct fide *f = *state;
	uint8_t id[ATA_ID];

	fide_out(f, S + 6, 0xa0);
	fide_identify(f, S, 0xa1, id);
	assert_int_equal(fide_word(id, 0), 0x85c0);
	assert_int_equal(fide_word(id, 82), 0x0218);
	fide_out(f, S + 7, 0xec); /* is aborted, with the signature */
	fide_expect_error(f, S, ATA_ABRT);
	assert_int_equal(fide_in(f, S + 4), 0x14);
	assert_int_equal(fide_in(f, S + 5), 0xeb);
	fide_out(f, P + 6, 0xa0);
	fide_out(f, P + 7, 0xa1); /* and the other one by a disk */
	fide_expect_error(f, P, ATA_ABRT);
}

/* --- PIO data-in and data-out protocols: volume 2 --------------------------------------------- */

static void test_read_pio(void **state)
{
	struct fide *f = *state;
	uint8_t data[ATA_SECTOR];

	fide_command(f, P, 0x20, 0x321, 3);
	assert_int_equal(fide_in(f, P + CONTROL), ATA_BSY);
	for (uint32_t i = 0; i < 3; i++) {
		fide_settle(f);
		assert_int_equal(fide_in(f, P + CONTROL), READY | ATA_DRQ);
		assert_true(fide_irq(f, P)); /* one a sector, when there is data */
		assert_int_equal(fide_status(f, P), READY | ATA_DRQ);
		fide_read_data(f, P, data, sizeof(data));
		fide_expect_sector(data, 0x321 + i);
	}
	assert_int_equal(fide_status(f, P), READY);
	assert_false(fide_irq(f, P)); /* none behind the last */
	assert_int_equal(f->fb.irq_raised[14], 3);
	assert_int_equal(fake_in(&f->fb, P, 2), 0); /* there is no more */
}

/*
 * More than a block is read at once: when the host has taken one, the next is there, with an
 * interrupt and without a wait; 200 sectors are two such reads.
 */
static void test_read_ahead(void **state)
{
	struct fide *f = *state;
	uint8_t data[ATA_SECTOR];

	fide_command(f, P, 0x20, 10, 200);
	for (uint32_t i = 0; i < 200; i++) {
		if (!(i % 128))
			fide_settle(f);
		assert_true(fide_irq(f, P));
		assert_int_equal(fide_in(f, P + 7), READY | ATA_DRQ);
		assert_false(fide_irq(f, P));
		fide_read_data(f, P, data, sizeof(data));
		fide_expect_sector(data, 10 + i);
	}
	assert_int_equal(fide_in(f, P + 7), READY);
	assert_false(fide_irq(f, P)); /* none after the last block */
}

static void test_write_pio(void **state)
{
	struct fide *f = *state;
	uint8_t data[2 * ATA_SECTOR], got[2 * ATA_SECTOR];

	memset(data, 0x5a, sizeof(data));
	fide_command(f, P, 0x30, 100, 2);
	assert_int_equal(fide_in(f, P + 7), READY | ATA_DRQ);
	assert_false(fide_irq(f, P)); /* for the first there is none */
	fide_write_data(f, P, data, ATA_SECTOR);
	assert_int_equal(fide_in(f, P + CONTROL), ATA_BSY);
	fide_settle(f);
	assert_true(fide_irq(f, P));
	assert_int_equal(fide_status(f, P), READY | ATA_DRQ);
	fide_write_data(f, P, data, ATA_SECTOR);
	fide_settle(f);
	assert_true(fide_irq(f, P));
	assert_int_equal(fide_status(f, P), READY);
	assert_int_equal(pread(f->disk, got, sizeof(got), 100 * ATA_SECTOR), sizeof(got));
	assert_memory_equal(got, data, sizeof(got));
	assert_int_equal(pread(f->disk, got, 4, 102 * ATA_SECTOR), 4);
	fide_expect_sector(got, 102);
}

/* READ MULTIPLE, SET MULTIPLE MODE: several sectors to an interrupt, the rest in a smaller block */
static void test_multiple(void **state)
{
	struct fide *f = *state;
	uint8_t data[4 * ATA_SECTOR];

	fide_command(f, P, 0xc4, 0, 1);
	fide_expect_error(f, P, ATA_ABRT); /* not before it is set */
	fide_command(f, P, 0xc6, 0, 3);
	fide_expect_error(f, P, ATA_ABRT);
	fide_command(f, P, 0xc6, 0, 32);
	fide_expect_error(f, P, ATA_ABRT);
	fide_command(f, P, 0xc6, 0, 4);
	assert_int_equal(fide_status(f, P), READY);
	f->fb.irq_raised[14] = 0;
	fide_command_ext(f, P, 0x29, 50, 6);
	assert_int_equal(fide_status(f, P), READY | ATA_DRQ);
	fide_read_data(f, P, data, sizeof(data));
	fide_expect_sector(data + 3 * ATA_SECTOR, 53);
	assert_int_equal(fide_status(f, P), READY | ATA_DRQ);
	fide_read_data(f, P, data, 2 * ATA_SECTOR);
	fide_expect_sector(data + ATA_SECTOR, 55);
	assert_int_equal(fide_status(f, P), READY);
	assert_int_equal(f->fb.irq_raised[14], 2);
}

/* CHS addresses of ATA-5: by cylinder, head and sector */
static void test_chs(void **state)
{
	struct fide *f = *state;
	uint8_t data[ATA_SECTOR];

	fide_out(f, P + 6, 0xa0 | 5);
	fide_out(f, P + 2, 1);
	fide_out(f, P + 3, 7);
	fide_out(f, P + 4, 2);
	fide_out(f, P + 5, 0);
	fide_out(f, P + 7, 0x20);
	assert_int_equal(fide_status(f, P), READY | ATA_DRQ);
	fide_read_data(f, P, data, sizeof(data));
	fide_expect_sector(data, (2 * 16 + 5) * 63 + 6);
	fide_out(f, P + 3, 0); /* they count from 1 */
	fide_out(f, P + 7, 0x20);
	fide_expect_error(f, P, ATA_IDNF);
	fide_out(f, P + 3, 64);
	fide_out(f, P + 7, 0x20);
	fide_expect_error(f, P, ATA_IDNF);
	/* INITIALIZE DEVICE PARAMETERS: 8 heads, 32 sectors */
	fide_out(f, P + 6, 0xa0 | 7);
	fide_out(f, P + 2, 32);
	fide_out(f, P + 7, 0x91);
	assert_int_equal(fide_status(f, P), READY);
	fide_out(f, P + 6, 0xa0 | 3);
	fide_out(f, P + 2, 1);
	fide_out(f, P + 3, 1);
	fide_out(f, P + 4, 1);
	fide_out(f, P + 7, 0x20);
	assert_int_equal(fide_status(f, P), READY | ATA_DRQ);
	fide_read_data(f, P, data, sizeof(data));
	fide_expect_sector(data, (8 + 3) * 32);
	fide_out(f, P + 2, 0);
	fide_out(f, P + 7, 0x91);
	fide_expect_error(f, P, ATA_ABRT);
}

static void test_range(void **state)
{
	struct fide *f = *state;

	fide_command(f, P, 0x20, SECTORS - 1, 2);
	fide_expect_error(f, P, ATA_IDNF);
	fide_command(f, P, 0x20, SECTORS - 255, 0); /* 256 of them */
	fide_expect_error(f, P, ATA_IDNF);
	fide_command_ext(f, P, 0x25, 0xffffffffffff, 0);
	fide_expect_error(f, P, ATA_IDNF);
	fide_command_ext(f, P, 0x42, 0, 0); /* 65536 */
	fide_expect_error(f, P, ATA_IDNF);
	fide_command_ext(f, P, 0x42, SECTORS - 4, 4);
	assert_int_equal(fide_status(f, P), READY);
}

/* --- life ------------------------------------------------------------------------------------- */

static void test_reset(void **state)
{
	struct fide *f = *state;

	fide_features(f, 0x82, 0);
	assert_int_equal(fide_status(f, P), READY);
	fide_cfg_write(f, 0x40, 4, 0);
	fide_command(f, S, 0x20, 0, 1);
	f->dev->class->stop(f->dev);
	f->dev->class->reset(f->dev);
	f->dev->class->start(f->dev);
	assert_int_equal(fide_cfg(f, 0x40, 4), 0x80008000);
	assert_int_equal(fide_in(f, P + 7), READY);
	assert_int_equal(fide_in(f, P + 1), 1);
	assert_true(f->ide->set.drives[0].write_cache);
	assert_false(fide_irq(f, P) || fide_irq(f, S));
}

/* A pause in the middle: what runs ends first, what does not goes on afterwards. */
static void test_pause(void **state)
{
	struct fide *f = *state;
	uint8_t data[ATA_SECTOR];

	fide_command(f, P, 0x20, 12, 2);
	f->dev->class->stop(f->dev);
	f->dev->class->start(f->dev);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(fide_status(f, P), READY | ATA_DRQ);
		fide_read_data(f, P, data, sizeof(data));
		fide_expect_sector(data, 12 + i);
		f->dev->class->stop(f->dev);
		f->dev->class->start(f->dev);
	}
	assert_int_equal(fide_status(f, P), READY);
}

static void expect_bad(struct fide *f, const char *json, const char *message)
{
	struct err e = { 0 };

	assert_null(fide_make(f, json, &e));
	assert_string_equal(e.msg, message);
}

static void test_bad_configurations(void **state)
{
	struct fide *f = calloc(1, sizeof(*f));

	(void)state;
	f->disk = fake_numbered(DISK);
	f->cd = fake_numbered(1024);
	fake_board_init(&f->fb, MIB);
	f->host = fake_board_add(&f->fb, &pci_host_class, "pci", NULL);
	expect_bad(f, "{\"type\":\"ide\",\"id\":\"ide0\"}",
		   "device 'ide0': it is a part of chipset i440fx, which is not there");
	expect_bad(f, "{\"type\":\"ide\",\"id\":\"ide0\",\"disks\":[{\"id\":\"a\",\"unit\":4}]}",
		   "device 'ide0': disk 'a': unit 4 is too large");
	expect_bad(f, "{\"type\":\"ide\",\"id\":\"ide0\",\"disks\":[{\"id\":\"a\",\"unit\":0}]}",
		   "device 'ide0': disk 'a': no image");
	expect_bad(f,
		   "{\"type\":\"ide\",\"id\":\"ide0\",\"disks\":[{\"id\":\"a\",\"unit\":2,\"kind\":"
		   "\"cdrom\",\"readonly\":true,\"path\":{\"fd\":1}}]}",
		   "device 'ide0': disk 'a': a CD has blocks of 2048 bytes, and one at least");
	fake_board_remove(&f->fb, f->host);
	fake_board_fini(&f->fb);
	close(f->disk);
	close(f->cd);
	free(f);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fide_setup, fide_teardown)
	const struct CMUnitTest tests[] = {
		T(test_function),
		T(test_decoding),
		T(test_registers),
		cmocka_unit_test_setup_teardown(test_empty_channel, setup_disk, fide_teardown),
		T(test_soft_reset),
		T(test_reset_under_way),
		T(test_diagnostic),
		T(test_interrupt),
		T(test_identify),
		T(test_identify_packet),
		T(test_read_pio),
		T(test_read_ahead),
		T(test_write_pio),
		T(test_multiple),
		T(test_chs),
		T(test_range),
		T(test_reset),
		T(test_pause),
		cmocka_unit_test(test_bad_configurations),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
