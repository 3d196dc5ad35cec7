// SPDX-License-Identifier: MIT
/*
 * The floppy controller through its ports: registers, media, resets (test_floppy_data.c: what moves data). Intel 82077AA data sheet (290166); what is in
 * quotes is a section or a table of it.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/unit/floppy_fixture.h"

/* --- registers and control commands --------------------------------------------------------------- */

/* "DOR", and "RESET": held in reset nothing answers; polling says that all drives are ready */
static void test_reset(void **state)
{
	struct fdc *t = *state;

	fake_out8(&t->fb, DOR, 0x08);
	assert_int_equal(fake_in8(&t->fb, MSR), 0);
	fake_out8(&t->fb, FIFO, 0x10);
	assert_int_equal(fake_in8(&t->fb, DOR), 0x08);
	fdc_wake(t);
	SEND(t, 0x08); /* without a reason it is invalid */
	fdc_results(t, 1);
	assert_int_equal(t->result[0], 0x80);
	/* the other software reset clears itself */
	fake_out8(&t->fb, DSR, 0x80);
	assert_true(t->fb.irq[IRQ]);
	fdc_sense(t, 0xc0, 0);
	/* without DMAGATE# INT leads nowhere */
	fake_out8(&t->fb, DSR, 0x80);
	assert_true(t->fb.irq[IRQ]);
	fake_out8(&t->fb, DOR, 0x04);
	assert_false(t->fb.irq[IRQ]);
	fake_out8(&t->fb, DOR, 0x0c);
	assert_true(t->fb.irq[IRQ]);
}

static void test_registers(void **state)
{
	struct fdc *t = *state;

	assert_int_equal(fake_in8(&t->fb, 0x3f0), 0xff);
	assert_int_equal(fake_in8(&t->fb, 0x3f1), 0xff);
	fake_out8(&t->fb, 0x3f3, 0xfe);
	assert_int_equal(fake_in8(&t->fb, 0x3f3), 0xfe);
	fake_out8(&t->fb, 0x3f3, 0);
	assert_int_equal(fake_in8(&t->fb, 0x3f3), 0xfc);
	fake_out8(&t->fb, DOR, 0x3d);
	assert_int_equal(fake_in8(&t->fb, DOR), 0x3d);
	assert_int_equal(fake_in8(&t->fb, 0x3f6), 0xff); /* the IDE controller's */
}

/* "VERSION", "SPECIFY", "CONFIGURE", "LOCK", "PERPENDICULAR MODE", "DUMPREG" */
static void test_dumpreg(void **state)
{
	struct fdc *t = *state;

	SEND(t, 0x10);
	fdc_results(t, 1);
	assert_int_equal(t->result[0], 0x90);
	SEND(t, 0x03, 0xdf, 0x02);
	SEND(t, 0x13, 0, 0x5a, 0x07);
	SEND(t, 0x12, 0x80 | 0x08 | 0x03);
	SEND(t, 0x12, 0x14); /* without OW only GAP and WGATE: 0 */
	fdc_seek(t, 1, 5);
	SEND(t, 0x94);
	fdc_results(t, 1);
	assert_int_equal(t->result[0], 0x10);
	SEND(t, 0x0e);
	fdc_results(t, 10);
	assert_memory_equal(t->result, "\0\5\0\0\xdf\x02\0\x88\x5a\x07", 10);
	/* LOCK keeps EFIFO, FIFOTHR and PRETRK over a software reset, and nothing else */
	fake_out8(&t->fb, DSR, 0x80);
	for (uint8_t i = 0; i < 4; i++)
		fdc_sense(t, 0xc0 | i, t->f->pcn[i]);
	SEND(t, 0x0e);
	fdc_results(t, 10);
	assert_memory_equal(t->result + 7, "\x88\x0a\x07", 3);
	SEND(t, 0x14);
	fdc_results(t, 1);
	assert_int_equal(t->result[0], 0);
	fake_out8(&t->fb, DSR, 0x80);
	SEND(t, 0x0e);
	fdc_results(t, 10);
	assert_memory_equal(t->result + 7, "\x08\x20\x00", 3);
}

/* "Invalid command": what a 82077AA has not, and what nobody has */
static void test_invalid(void **state)
{
	static const uint8_t codes[] = { 0x00, 0x01, 0x0b, 0x15, 0x18, 0x1f, 0x2e, 0x33, 0xff };
	struct fdc *t = *state;

	for (size_t i = 0; i < sizeof(codes); i++) {
		SEND(t, codes[i]);
		fdc_results(t, 1);
		assert_int_equal(t->result[0], 0x80);
		assert_false(t->fb.irq[IRQ]);
	}
}

/* "RECALIBRATE", "SEEK", "RELATIVE SEEK", "SENSE DRIVE STATUS" */
static void test_seek(void **state)
{
	struct fdc *t = *state;

	fdc_seek(t, 0, 79);
	SEND(t, 0x04, 0x04);
	fdc_results(t, 1);
	assert_int_equal(t->result[0], 0x2c);
	SEND(t, 0xcf, 0, 3); /* inwards; the head stops at 82 */
	fdc_sense(t, 0x20, 82);
	SEND(t, 0x07, 0); /* 79 steps are not enough */
	fdc_sense(t, 0x70, 0);
	SEND(t, 0x07, 0);
	fdc_sense(t, 0x20, 0);
	SEND(t, 0x04, 0);
	fdc_results(t, 1);
	assert_int_equal(t->result[0], 0x38);
	SEND(t, 0xcf, 0, 2);
	fdc_sense(t, 0x20, 2);
	SEND(t, 0x8f, 0, 1);
	fdc_sense(t, 0x20, 1);
	SEND(t, 0x04, 0x01); /* drive 1 is write protected */
	fdc_results(t, 1);
	assert_int_equal(t->result[0], 0x79);
	/* there is no drive 2: nothing sees track 0 */
	SEND(t, 0x07, 2);
	fdc_sense(t, 0x72, 0);
}

/* Two seeks: two interrupts */
static void test_two_seeks(void **state)
{
	struct fdc *t = *state;
	unsigned int before = t->fb.irq_raised[IRQ];

	SEND(t, 0x0f, 0, 3);
	SEND(t, 0x0f, 1, 4);
	assert_int_equal(t->fb.irq_raised[IRQ], before + 2);
	fdc_sense(t, 0x20, 3);
	assert_true(t->fb.irq[IRQ]);
	fdc_sense(t, 0x21, 4);
	assert_false(t->fb.irq[IRQ]);
}

/* "DIR": DSKCHG of the drive that is selected and turns, until the head steps over a disk */
static void test_change(void **state)
{
	struct fdc *t = *state;
	struct device_medium medium = { 0 };
	struct err e;

	fake_out8(&t->fb, DOR, 0x1c);
	assert_int_equal(fake_in8(&t->fb, DIR), 0x80);
	SEND(t, 0x07, 0); /* no step */
	fdc_sense(t, 0x20, 0);
	assert_int_equal(fake_in8(&t->fb, DIR), 0x80);
	fdc_seek(t, 0, 1);
	assert_int_equal(fake_in8(&t->fb, DIR), 0);
	fake_out8(&t->fb, DOR, 0x2d);
	assert_int_equal(fake_in8(&t->fb, DIR), 0x80); /* drive 1's own */
	fake_out8(&t->fb, DOR, 0x0d);
	assert_int_equal(fake_in8(&t->fb, DIR), 0);
	fake_out8(&t->fb, DOR, 0x1c);
	assert_int_equal(t->dev->class->set_medium(t->dev, 0, &medium, &e), 0);
	assert_true(medium.changed);
	assert_int_equal(fake_in8(&t->fb, DIR), 0x80);
	fdc_seek(t, 0, 2);
	assert_int_equal(fake_in8(&t->fb, DIR), 0x80); /* there is none */
}

/* --- media, resets, other disks --------------------------------------------------------------------- */

/* Taken out in the middle of a transfer, with its data not yet taken */
static void test_taken_out(void **state)
{
	struct fdc *t = *state;
	struct device_medium medium = { 0 };
	struct err e;

	SEND(t, 0x03, 0xdf, 0x03);
	SEND(t, 0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	fdc_settle(t);
	fake_in8(&t->fb, FIFO);
	assert_int_equal(t->dev->class->set_medium(t->dev, 0, &medium, &e), 0);
	fdc_ends(t, 0x40, 0x01, 0, 0, 0, 1);
	SEND(t, 0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	fdc_ends(t, 0x40, 0x01, 0, 0, 0, 1);
	/* and while the host is at it */
	medium.block = fdc_open(t->images[0], false);
	assert_int_equal(t->dev->class->set_medium(t->dev, 0, &medium, &e), 0);
	SEND(t, 0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	medium = (struct device_medium){ 0 };
	assert_int_equal(t->dev->class->set_medium(t->dev, 0, &medium, &e), 0);
	fdc_ends(t, 0x40, 0x01, 0, 0, 0, 1);
}

static void test_media(void **state)
{
	struct fdc *t = *state;
	struct device_medium medium = { .block = fdc_open(t->images[1], true) };
	struct device_drive drive;
	struct err e;

	assert_true(t->dev->class->drive(t->dev, 1, &drive));
	assert_string_equal(drive.id, "b");
	assert_true(drive.medium);
	assert_false(t->dev->class->drive(t->dev, 2, &drive));
	assert_int_equal(t->dev->class->set_medium(t->dev, 0, &medium, &e), -ERR_FILE);
	assert_string_equal(
		e.msg, "drive 'a': a disk of 2880 KiB does not go into a drive of model 1.44MB");
	block_free(medium.block);
	/* the file that is there already is no change, and a dry run changes nothing */
	assert_int_equal(fstat(t->images[0], &medium.file), 0);
	medium.block = fdc_open(t->images[0], false);
	assert_int_equal(t->dev->class->set_medium(t->dev, 0, &medium, &e), 0);
	assert_false(medium.changed);
	block_free(medium.block);
	medium.block = fdc_open(t->images[0], true);
	medium.dry_run = true;
	assert_int_equal(t->dev->class->set_medium(t->dev, 0, &medium, &e), 0);
	assert_true(medium.changed);
	assert_non_null(medium.block);
	medium.dry_run = false;
	assert_int_equal(t->dev->class->set_medium(t->dev, 0, &medium, &e), 0);
	assert_true(medium.changed);
	SEND(t, 0x04, 0);
	fdc_results(t, 1);
	assert_int_equal(t->result[0], 0x78);
}

/* A reset while the host is at it: the controller is busy until then, and nobody hears of it */
static void test_reset_busy(void **state)
{
	struct fdc *t = *state;

	fdc_dma(t, 0x44, DATA, FLOPPY_SECTOR);
	SEND(t, 0x46, 0, 0, 0, 2, 2, 18, 0x1b, 0xff);
	fake_out8(&t->fb, DOR, 0x08);
	fake_out8(&t->fb, DOR, 0x0c);
	assert_int_equal(fake_in8(&t->fb, MSR), 0);
	fake_out8(&t->fb, FIFO, 0x10);
	fdc_settle(t);
	assert_int_equal(fdc_number(t, DATA), 0);
	for (uint8_t i = 0; i < 4; i++)
		fdc_sense(t, 0xc0 | i, 0);
	SEND(t, 0x46, 0, 0, 0, 2, 2, 18, 0x1b, 0xff);
	fdc_ends(t, 0x00, 0, 0, 0, 0, 3);
	assert_int_equal(fdc_number(t, DATA), 1);
}

/* A pause ends what was begun: with both sides written */
static void test_pause(void **state)
{
	struct fdc *t = *state;

	memset(t->fb.mem + DATA, 'x', 36 * FLOPPY_SECTOR);
	fdc_dma(t, 0x48, DATA, 36 * FLOPPY_SECTOR);
	SEND(t, 0xc5, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	t->dev->class->stop(t->dev);
	assert_int_equal(fdc_on_disk(t, 0, 0), 0x78787878);
	assert_int_equal(fdc_on_disk(t, 0, 35), 0x78787878);
	assert_int_equal(fdc_on_disk(t, 0, 36), 36);
	t->dev->class->start(t->dev);
	fdc_ends(t, 0x04, 0, 0, 1, 0, 1);
	t->dev->class->stop(t->dev);
	t->dev->class->reset(t->dev);
	t->dev->class->start(t->dev);
	assert_int_equal(fake_in8(&t->fb, MSR), 0);
	fdc_wake(t);
}

/* 40 tracks in a drive of 80: two steps each. 250 and 300 kbit/s are the same to it. */
static void test_double_step(void **state)
{
	struct fdc *t = *state;

	fdc_seek(t, 0, 6);
	fdc_dma(t, 0x44, DATA, FLOPPY_SECTOR);
	SEND(t, 0x46, 0, 3, 0, 1, 2, 9, 0x2a, 0xff);
	fdc_ends(t, 0x00, 0, 0, 3, 0, 2);
	assert_int_equal(fdc_number(t, DATA), 3 * 18);
	fake_out8(&t->fb, CCR, 2);
	SEND(t, 0x4a, 0);
	fdc_ends(t, 0x00, 0, 0, 3, 0, 1);
	fdc_seek(t, 0, 7);
	SEND(t, 0x4a, 0);
	fdc_results(t, 7);
	assert_memory_equal(t->result, "\x40\x01", 2);
	assert_int_equal(floppy_cmos(t->dev), 0x24);
	/* nothing is in B */
	SEND(t, 0x4a, 1);
	fdc_results(t, 7);
	assert_memory_equal(t->result, "\x41\x01", 2);
}

static void refused(struct fdc *t, const char *disks, const char *message)
{
	struct err e = { 0 };

	assert_null(fdc_make(t, disks, &e));
	assert_string_equal(e.msg, message);
	assert_int_equal(t->fb.pio.nregions, 0);
}

static void test_refused(void **state)
{
	struct fdc *t = calloc(1, sizeof(*t));

	(void)state;
	assert_non_null(t);
	fake_board_init(&t->fb, MEM);
	t->images[0] = fdc_image(1000);
	t->images[1] = fdc_image(1200);
	refused(t, "{\"id\":\"a\",\"unit\":0,\"path\":{\"fd\":0}}",
		"device 'floppy0': drive 'a': the image has 1024000 bytes, and a floppy disk 160, "
		"180, "
		"320, 360, 720, 1200, 1440 or 2880 KiB");
	refused(t, "{\"id\":\"a\",\"unit\":0,\"path\":{\"fd\":1},\"model\":\"1.44MB\"}",
		"device 'floppy0': drive 'a': a disk of 1200 KiB does not go into a drive of model "
		"1.44MB");
	refused(t, "{\"id\":\"a\",\"unit\":0},{\"id\":\"b\",\"unit\":0}",
		"device 'floppy0': drive 'b': unit 0 is taken");
	refused(t, "{\"id\":\"a\",\"unit\":2}", "device 'floppy0': drive 'a': unit 2 is too large");
	close(t->images[0]);
	close(t->images[1]);
	fake_board_fini(&t->fb);
	free(t);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fdc_setup, fdc_teardown)
	const struct CMUnitTest tests[] = {
		T(test_reset),
		T(test_registers),
		T(test_dumpreg),
		T(test_invalid),
		T(test_seek),
		T(test_two_seeks),
		T(test_change),
		T(test_taken_out),
		T(test_media),
		T(test_reset_busy),
		T(test_pause),
		cmocka_unit_test_setup_teardown(test_double_step, fdc_setup_other, fdc_teardown),
		cmocka_unit_test(test_refused),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
