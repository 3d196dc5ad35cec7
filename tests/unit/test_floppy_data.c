// SPDX-License-Identifier: MIT
/*
 * The floppy controller through its ports: reading and writing. Intel 82077AA data sheet (290166); what is in
 * quotes is a section or a table of it.
 */
#include <string.h>
#include <unistd.h>

#include "tests/unit/floppy_fixture.h"

/* --- reading -------------------------------------------------------------------------------------- */

/* "READ ID": one after the other, at the right rate alone */
static void test_read_id(void **state)
{
	struct fdc *t = *state;

	fdc_seek(t, 0, 7);
	SEND(t, 0x4a, 0x04);
	fdc_ends(t, 0x04, 0, 0, 7, 1, 1);
	SEND(t, 0x4a, 0x04);
	fdc_ends(t, 0x04, 0, 0, 7, 1, 2);
	fake_out8(&t->fb, CCR, 2);
	SEND(t, 0x4a, 0);
	fdc_settle(t);
	fdc_results(t, 7);
	assert_memory_equal(t->result, "\x40\x01\0", 3);
	fake_out8(&t->fb, CCR, 0);
	SEND(t, 0x0a, 0); /* FM */
	fdc_results(t, 7);
	assert_memory_equal(t->result, "\x40\x01\0", 3);
	fake_out8(&t->fb, CCR, 3);
	SEND(t, 0x4a, 1);
	fdc_results(t, 7);
	assert_memory_equal(t->result, "\x01\0\0\0\0\x03\x02", 7);
}

/* "READ DATA", and the first line of "Result phase table": R < EOT */
static void test_read(void **state)
{
	struct fdc *t = *state;

	fdc_seek(t, 0, 10);
	fdc_dma(t, 0x44, DATA, 2 * FLOPPY_SECTOR);
	SEND(t, 0x46, 0x04, 10, 1, 3, 2, 18, 0x1b, 0xff);
	assert_int_equal(fake_in8(&t->fb, MSR), CB); /* the host has it */
	fdc_ends(t, 0x04, 0, 0, 10, 1, 5);
	assert_int_equal(fdc_number(t, DATA), 10 * 36 + 18 + 2);
	assert_int_equal(fdc_number(t, DATA + FLOPPY_SECTOR), 10 * 36 + 18 + 3);
	assert_int_equal(fdc_number(t, DATA + 2 * FLOPPY_SECTOR), 0);
}

/* The other lines, MT 0 and 1, with TC at the last sector */
static void test_read_to_end(void **state)
{
	struct fdc *t = *state;

	fdc_dma(t, 0x44, DATA, FLOPPY_SECTOR);
	SEND(t, 0x46, 0x00, 0, 0, 18, 2, 18, 0x1b, 0xff);
	fdc_ends(t, 0x00, 0, 0, 1, 0, 1);
	fdc_dma(t, 0x44, DATA, FLOPPY_SECTOR);
	SEND(t, 0x46, 0x04, 0, 1, 18, 2, 18, 0x1b, 0xff);
	fdc_ends(t, 0x04, 0, 0, 1, 1, 1);
	fdc_dma(t, 0x44, DATA, FLOPPY_SECTOR);
	SEND(t, 0xc6, 0x00, 0, 0, 18, 2, 18, 0x1b, 0xff);
	fdc_ends(t, 0x04, 0, 0, 0, 1, 1);
	fdc_dma(t, 0x44, DATA, FLOPPY_SECTOR);
	SEND(t, 0xc6, 0x04, 0, 1, 18, 2, 18, 0x1b, 0xff);
	fdc_ends(t, 0x04, 0, 0, 1, 0, 1);
}

/* MT: a whole cylinder, and EN where TC does not come. The track of this side ends at EOT, not at the disk's end. */
static void test_read_cylinder(void **state)
{
	struct fdc *t = *state;

	fdc_seek(t, 0, 2);
	fdc_dma(t, 0x44, DATA, 40 * FLOPPY_SECTOR);
	SEND(t, 0xc6, 0x00, 2, 0, 1, 2, 18, 0x1b, 0xff);
	fdc_ends(t, 0x44, 0x80, 0, 3, 0, 1);
	for (uint32_t i = 0; i < 36; i++)
		assert_int_equal(fdc_number(t, DATA + i * FLOPPY_SECTOR), 2 * 36 + i);
	assert_int_equal(fdc_number(t, DATA + 36 * FLOPPY_SECTOR), 0);
	fdc_dma(t, 0x44, DATA, 40 * FLOPPY_SECTOR);
	SEND(t, 0xc6, 0x00, 2, 0, 4, 2, 5, 0x1b, 0xff);
	fdc_ends(t, 0x44, 0x80, 0, 3, 0, 1);
	for (uint32_t i = 0; i < 7; i++)
		assert_int_equal(fdc_number(t, DATA + i * FLOPPY_SECTOR),
				 2 * 36 + (i < 2 ? 3 + i : 16 + i));
}

/* TC inside of a sector: it has been read, and its rest goes nowhere */
static void test_read_part(void **state)
{
	struct fdc *t = *state;

	memset(t->fb.mem + DATA, 0xee, 1024);
	fdc_dma(t, 0x44, DATA, 100);
	SEND(t, 0x46, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff);
	fdc_ends(t, 0x00, 0, 0, 0, 0, 2);
	assert_int_equal(t->fb.mem[DATA + 99], 0);
	assert_int_equal(t->fb.mem[DATA + 100], 0xee);
}

/* "Status register encoding": MA, ND, WC */
static void test_not_found(void **state)
{
	struct fdc *t = *state;

	fdc_dma(t, 0x44, DATA, 40 * FLOPPY_SECTOR);
	SEND(t, 0x46, 0, 0, 0, 19, 2, 36, 0x1b, 0xff);
	fdc_ends(t, 0x40, 0x04, 0, 0, 0, 19);
	SEND(t, 0x46, 0, 1, 0, 1, 2, 18, 0x1b, 0xff);
	fdc_ends(t, 0x40, 0x04, 0x10, 1, 0, 1);
	SEND(t, 0x46, 0, 0, 1, 1, 2, 18, 0x1b, 0xff); /* H is no head of this side */
	fdc_ends(t, 0x40, 0x04, 0, 0, 1, 1);
	SEND(t, 0x46, 0, 0, 0, 1, 3, 18, 0x1b, 0xff);
	fdc_settle(t);
	fdc_results(t, 7);
	assert_memory_equal(t->result, "\x40\x04\0\0\0\x01\x03", 7);
	/* what there is is read, then it is missed */
	SEND(t, 0x46, 0, 0, 0, 17, 2, 20, 0x1b, 0xff);
	fdc_ends(t, 0x40, 0x04, 0, 0, 0, 19);
	assert_int_equal(fdc_number(t, DATA + FLOPPY_SECTOR), 17);
	fdc_seek(t, 0, 81);
	SEND(t, 0x46, 0, 81, 0, 1, 2, 18, 0x1b, 0xff);
	fdc_ends(t, 0x40, 0x01, 0, 81, 0, 1);
	SEND(t, 0x46, 2, 0, 0, 1, 2, 18, 0x1b, 0xff);
	fdc_ends(t, 0x42, 0x01, 0, 0, 0, 1);
}

/* "READ DELETED DATA": no sector here is. SK 0 reads one, SK 1 none. */
static void test_read_deleted(void **state)
{
	struct fdc *t = *state;

	fdc_dma(t, 0x44, DATA, 40 * FLOPPY_SECTOR);
	SEND(t, 0x4c, 0, 0, 0, 4, 2, 18, 0x1b, 0xff);
	fdc_ends(t, 0x00, 0, 0x40, 0, 0, 4);
	assert_int_equal(fdc_number(t, DATA), 3);
	assert_int_equal(fdc_number(t, DATA + FLOPPY_SECTOR), 0);
	memset(t->fb.mem + DATA, 0xee, FLOPPY_SECTOR);
	SEND(t, 0x6c, 0, 0, 0, 4, 2, 18, 0x1b, 0xff);
	fdc_ends(t, 0x40, 0x80, 0x40, 1, 0, 1);
	assert_int_equal(t->fb.mem[DATA], 0xee);
}

/* "READ TRACK": from the first on, whatever R is; ND where the IDs are not those that were asked for */
static void test_read_track(void **state)
{
	struct fdc *t = *state;

	fdc_dma(t, 0x44, DATA, 3 * FLOPPY_SECTOR);
	SEND(t, 0x42, 4, 0, 1, 9, 2, 18, 0x1b, 0xff);
	fdc_ends(t, 0x04, 0, 0, 0, 1, 4);
	assert_int_equal(fdc_number(t, DATA + 2 * FLOPPY_SECTOR), 20);
	fdc_dma(t, 0x44, DATA, 3 * FLOPPY_SECTOR);
	SEND(t, 0x42, 0, 5, 0, 1, 2, 18, 0x1b, 0xff);
	fdc_ends(t, 0x00, 0x04, 0, 5, 0, 4);
	assert_int_equal(fdc_number(t, DATA + FLOPPY_SECTOR), 1);
}

/* "VERIFY": nothing is moved; EC counts sectors */
static void test_verify(void **state)
{
	struct fdc *t = *state;

	fdc_dma(t, 0x44, DATA, 4 * FLOPPY_SECTOR);
	SEND(t, 0x56, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff);
	fdc_ends(t, 0x00, 0, 0, 1, 0, 1);
	SEND(t, 0x56, 0x80, 0, 0, 1, 2, 18, 0x1b, 3);
	fdc_ends(t, 0x00, 0, 0, 0, 0, 4);
	SEND(t, 0x56, 0x80, 0, 0, 1, 2, 18, 0x1b, 19);
	fdc_ends(t, 0x40, 0x80, 0, 1, 0, 1);
	assert_int_equal(fdc_number(t, DATA + FLOPPY_SECTOR), 0);
	assert_int_equal(t->f->dma.chips[0].channels[2].count, 4 * FLOPPY_SECTOR - 1);
}

/* CONFIGURE, EIS: the head goes where the command is */
static void test_implied_seek(void **state)
{
	struct fdc *t = *state;

	SEND(t, 0x13, 0, 0x40, 0);
	fdc_dma(t, 0x44, DATA, FLOPPY_SECTOR);
	SEND(t, 0x46, 0, 33, 0, 1, 2, 18, 0x1b, 0xff);
	fdc_ends(t, 0x00, 0, 0, 33, 0, 2);
	assert_int_equal(fdc_number(t, DATA), 33 * 36);
	assert_int_equal(t->f->pcn[0], 33);
}

/* A channel that is masked: DRQ waits; so with DMAGATE# inactive */
static void test_dma_waits(void **state)
{
	struct fdc *t = *state;

	fdc_dma(t, 0x44, DATA, FLOPPY_SECTOR);
	fake_out8(&t->fb, 0xa, 6);
	SEND(t, 0x46, 0, 0, 0, 2, 2, 18, 0x1b, 0xff);
	fdc_settle(t);
	assert_int_equal(fake_in8(&t->fb, MSR), CB);
	assert_int_equal(fake_in8(&t->fb, 8), 0x40);
	fake_out8(&t->fb, 0xa, 2);
	fdc_ends(t, 0x00, 0, 0, 0, 0, 3);
	assert_int_equal(fdc_number(t, DATA), 1);
	assert_int_equal(fake_in8(&t->fb, 8), 0x04);
	fdc_dma(t, 0x44, DATA, FLOPPY_SECTOR);
	SEND(t, 0x46, 0, 0, 0, 5, 2, 18, 0x1b, 0xff);
	fake_out8(&t->fb, DOR, 0x04);
	fdc_settle(t);
	assert_int_equal(fake_in8(&t->fb, MSR), CB);
	fake_out8(&t->fb, DOR, 0x0c);
	fdc_ends(t, 0x00, 0, 0, 0, 0, 6);
	assert_int_equal(fdc_number(t, DATA), 4);
}

/* "Non-DMA mode": RQM for each byte, INT for each sector; without TC it ends with EN */
static void test_read_fifo(void **state)
{
	struct fdc *t = *state;
	uint8_t data[FLOPPY_SECTOR];

	SEND(t, 0x03, 0xdf, 0x03);
	SEND(t, 0x46, 0, 0, 0, 17, 2, 18, 0x1b, 0xff);
	fdc_settle(t);
	for (unsigned int sector = 16; sector < 18; sector++) {
		unsigned int raised = t->fb.irq_raised[IRQ];

		assert_true(t->fb.irq[IRQ]);
		for (unsigned int i = 0; i < FLOPPY_SECTOR; i++) {
			assert_int_equal(fake_in8(&t->fb, MSR), RQM | DIO | NDM | CB);
			data[i] = fake_in8(&t->fb, FIFO);
		}
		assert_int_equal(data[0], sector);
		assert_int_equal(t->fb.irq_raised[IRQ], raised + 1);
	}
	fdc_ends(t, 0x40, 0x80, 0, 1, 0, 1);
}

/* --- writing ---------------------------------------------------------------------------------------- */

/* "WRITE DATA": over both sides; it is in the image when it is told */
static void test_write(void **state)
{
	struct fdc *t = *state;

	fdc_seek(t, 0, 3);
	for (uint32_t i = 0; i < 4; i++)
		memset(t->fb.mem + DATA + i * FLOPPY_SECTOR, 'a' + (int)i, FLOPPY_SECTOR);
	fdc_dma(t, 0x48, DATA, 4 * FLOPPY_SECTOR);
	SEND(t, 0xc5, 0, 3, 0, 17, 2, 18, 0x1b, 0xff);
	fdc_ends(t, 0x04, 0, 0, 3, 1, 3);
	assert_int_equal(fdc_on_disk(t, 0, 3 * 36 + 15), 3 * 36 + 15);
	assert_int_equal(fdc_on_disk(t, 0, 3 * 36 + 16), 0x61616161);
	assert_int_equal(fdc_on_disk(t, 0, 3 * 36 + 17), 0x62626262);
	assert_int_equal(fdc_on_disk(t, 0, 3 * 36 + 18), 0x63636363);
	assert_int_equal(fdc_on_disk(t, 0, 3 * 36 + 19), 0x64646464);
	assert_int_equal(fdc_on_disk(t, 0, 3 * 36 + 20), 3 * 36 + 20);
	/* TC inside of a sector: the rest is zeroes */
	fdc_dma(t, 0x48, DATA, 2);
	SEND(t, 0x45, 0, 3, 0, 18, 2, 18, 0x1b, 0xff);
	fdc_ends(t, 0x00, 0, 0, 4, 0, 1);
	assert_int_equal(fdc_on_disk(t, 0, 3 * 36 + 17), 0x6161);
}

/* What has come before the track ended is written, in sides that end at EOT */
static void test_write_to_end(void **state)
{
	struct fdc *t = *state;

	memset(t->fb.mem + DATA, 'x', 10 * FLOPPY_SECTOR);
	fdc_dma(t, 0x48, DATA, 10 * FLOPPY_SECTOR);
	SEND(t, 0xc5, 0, 0, 0, 2, 2, 3, 0x1b, 0xff);
	fdc_ends(t, 0x44, 0x80, 0, 1, 0, 1);
	for (uint32_t i = 0; i < 24; i++) {
		bool written = i == 1 || i == 2 || (i >= 18 && i < 21);

		assert_int_equal(fdc_on_disk(t, 0, i), written ? 0x78787878 : i);
	}
}

/* "Status register encoding", NW; a deleted address mark is nothing that an image can have */
static void test_not_writable(void **state)
{
	struct fdc *t = *state;

	fake_out8(&t->fb, CCR, 3);
	fdc_dma(t, 0x48, DATA, FLOPPY_SECTOR);
	SEND(t, 0x45, 1, 0, 0, 1, 2, 36, 0x1b, 0xff);
	fdc_ends(t, 0x41, 0x02, 0, 0, 0, 1);
	SEND(t, 0x4d, 1, 2, 36, 0x54, 0xf6);
	fdc_results(t, 7);
	assert_memory_equal(t->result, "\x41\x02\0", 3);
	fake_out8(&t->fb, CCR, 0);
	SEND(t, 0x49, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	fdc_ends(t, 0x40, 0x02, 0, 0, 0, 1);
	assert_int_equal(fdc_on_disk(t, 0, 0), 0);
}

static void test_write_fifo(void **state)
{
	struct fdc *t = *state;

	SEND(t, 0x03, 0xdf, 0x03);
	SEND(t, 0x45, 0, 0, 0, 17, 2, 18, 0x1b, 0xff);
	for (unsigned int i = 0; i < 2 * FLOPPY_SECTOR; i++) {
		assert_int_equal(fake_in8(&t->fb, MSR), RQM | NDM | CB);
		fake_out8(&t->fb, FIFO, i < FLOPPY_SECTOR ? 'a' : 'b');
	}
	fdc_ends(t, 0x40, 0x80, 0, 1, 0, 1);
	assert_int_equal(fdc_on_disk(t, 0, 16), 0x61616161);
	assert_int_equal(fdc_on_disk(t, 0, 17), 0x62626262);
}

/* "FORMAT TRACK": the IDs come by DMA, in any order; the sectors are filled */
static void test_format(void **state)
{
	struct fdc *t = *state;

	fdc_seek(t, 0, 4);
	for (unsigned int i = 0; i < 18; i++)
		memcpy(t->fb.mem + DATA + i * 4, (uint8_t[]){ 4, 1, (uint8_t)(i * 5 % 18 + 1), 2 },
		       4);
	fdc_dma(t, 0x48, DATA, 18 * 4);
	SEND(t, 0x4d, 0x04, 2, 18, 0x54, 0xf6);
	fdc_settle(t);
	assert_true(t->fb.irq[IRQ]);
	fdc_results(t, 7);
	assert_memory_equal(t->result, "\x04\0\0", 3);
	for (uint32_t i = 0; i < 18; i++)
		assert_int_equal(fdc_on_disk(t, 0, 4 * 36 + 18 + i), 0xf6f6f6f6);
	assert_int_equal(fdc_on_disk(t, 0, 4 * 36 + 17), 4 * 36 + 17);
	assert_int_equal(fdc_on_disk(t, 0, 5 * 36), 5 * 36);
	/* two sectors of one number, or a track of another kind: no such disk */
	t->fb.mem[DATA + 2] = t->fb.mem[DATA + 6];
	fdc_dma(t, 0x48, DATA, 18 * 4);
	SEND(t, 0x4d, 0x00, 2, 18, 0x54, 0xf6);
	fdc_settle(t);
	fdc_results(t, 7);
	assert_memory_equal(t->result, "\x50\0\0", 3);
	SEND(t, 0x4d, 0x00, 2, 21, 0x54, 0xf6);
	fdc_results(t, 7);
	assert_memory_equal(t->result, "\x50\0\0", 3);
	assert_int_equal(fdc_on_disk(t, 0, 4 * 36), 4 * 36);
}

/* 36 sectors, in a drive for them */
static void test_format_large(void **state)
{
	struct fdc *t = *state;
	struct device_medium medium = { 0 };
	struct err e;

	assert_int_equal(t->dev->class->set_medium(t->dev, 1, &medium, &e), 0);
	medium.block = fdc_open(t->images[1], false);
	assert_int_equal(t->dev->class->set_medium(t->dev, 1, &medium, &e), 0);
	fake_out8(&t->fb, CCR, 3);
	for (unsigned int i = 0; i < 36; i++)
		memcpy(t->fb.mem + DATA + i * 4, (uint8_t[]){ 0, 0, (uint8_t)(36 - i), 2 }, 4);
	fdc_dma(t, 0x48, DATA, 36 * 4);
	SEND(t, 0x4d, 0x01, 2, 36, 0x54, 0xe5);
	fdc_settle(t);
	fdc_results(t, 7);
	assert_memory_equal(t->result, "\x01\0\0", 3);
	for (uint32_t i = 0; i < 37; i++)
		assert_int_equal(fdc_on_disk(t, 1, i), i < 36 ? 0xe5e5e5e5 : i);
}

/* A host that cannot: the guest is told, and goes on */
static void test_host_fails(void **state)
{
	struct fdc *t = *state;

	assert_int_equal(ftruncate(t->images[0], 0), 0);
	fdc_dma(t, 0x44, DATA, FLOPPY_SECTOR);
	SEND(t, 0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	fdc_settle(t);
	fdc_results(t, 7);
	/* what an image lost at its end is zeroes, or an error of data: never a controller that hangs */
	assert_true(t->result[0] == 0x40 ? t->result[1] == 0x20 && t->result[2] == 0x20
					 : !t->result[0]);
	assert_int_equal(fake_in8(&t->fb, MSR), RQM);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fdc_setup, fdc_teardown)
	const struct CMUnitTest tests[] = {
		T(test_read_id),       T(test_read),	     T(test_read_to_end),
		T(test_read_cylinder), T(test_read_part),    T(test_not_found),
		T(test_read_deleted),  T(test_read_track),   T(test_verify),
		T(test_implied_seek),  T(test_dma_waits),    T(test_read_fifo),
		T(test_write),	       T(test_write_to_end), T(test_not_writable),
		T(test_write_fifo),    T(test_format),	     T(test_format_large),
		T(test_host_fails),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
