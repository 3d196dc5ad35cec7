// SPDX-License-Identifier: MIT
/*
 * SCAN EQUAL, SCAN LOW OR EQUAL and SCAN HIGH OR EQUAL of the floppy controller, as the 8272A has them:
 * "Scan" and its table of status codes. Sector n of a disk begins with n, and the rest of it is 0.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "tests/unit/floppy_fixture.h"

enum { EQUAL = 0x51, LOW = 0x59, HIGH = 0x5d }; /* with MFM; SK is 0 */
enum { SH = 0x08, SN = 0x04 };

/* What the host compares with, the same for each of n sectors: n bytes, and fill */
static void host(struct fdc *t, unsigned int n, uint32_t number, uint8_t fill)
{
	uint8_t *p = t->fb.mem + DATA;

	memset(p, fill, n * FLOPPY_SECTOR);
	for (unsigned int i = 0; i < n; i++)
		memcpy(p + i * FLOPPY_SECTOR, &number, fill ? 1 : sizeof(number));
	fdc_dma(t, 0x48, DATA, n * FLOPPY_SECTOR);
}

static void scan(struct fdc *t, uint8_t code, uint8_t r, uint8_t eot, uint8_t stp)
{
	SEND(t, code, 0, 0, 0, r, 2, eot, 0x1b, stp);
}

/* The host has this number in each sector; those from r to last of side 0 are compared with it, and it ends so. */
static void ends(struct fdc *t, uint32_t number, uint8_t code, uint8_t r, uint8_t last, uint8_t st2,
		 uint8_t cylinder, uint8_t at)
{
	host(t, 18, number, 0);
	scan(t, code, r, last, 1);
	fdc_ends(t, 0x00, 0, st2, cylinder, 0, at);
}

static void test_equal(void **state)
{
	struct fdc *t = *state;

	host(t, 18, 2, 0); /* sector 3 is number 2 */
	scan(t, EQUAL, 1, 18, 1);
	fdc_ends(t, 0x00, 0, SH, 0, 0, 3);
	assert_int_equal(t->f->dma.chips[0].channels[2].count, 15 * FLOPPY_SECTOR - 1);
	host(t, 18, 17, 0); /* the last one */
	scan(t, EQUAL, 1, 18, 1);
	fdc_ends(t, 0x00, 0, SH, 0, 0, 18);
	t->fb.mem[DATA] = 5;
	t->fb.mem[DATA + FLOPPY_SECTOR - 1] = 1; /* one byte is not */
	fdc_dma(t, 0x48, DATA, FLOPPY_SECTOR);
	scan(t, EQUAL, 6, 18, 1);
	fdc_ends(t, 0x00, 0, SN, 0, 0, 7);
	for (uint32_t n = 0; n < 36; n++) /* nothing is written */
		assert_int_equal(fdc_on_disk(t, 0, n), n);
}

/* To EOT without success: that is no error. */
static void test_not_satisfied(void **state)
{
	struct fdc *t = *state;

	ends(t, 100, EQUAL, 1, 18, SN, 1, 1);
	ends(t, 100, EQUAL, 2, 4, SN, 1, 1);
	assert_int_equal(t->f->dma.chips[0].channels[2].count, 15 * FLOPPY_SECTOR - 1);
}

/* Each byte of the disk is at most the host's; equal, or not */
static void test_low(void **state)
{
	struct fdc *t = *state;

	ends(t, 5, LOW, 6, 18, SH, 0, 6);
	ends(t, 5, LOW, 2, 18, 0, 0, 2);
	ends(t, 5, LOW, 7, 18, SN, 1, 1);
}

/* … at least */
static void test_high(void **state)
{
	struct fdc *t = *state;

	ends(t, 5, HIGH, 1, 18, SH, 0, 6);
	ends(t, 5, HIGH, 7, 18, 0, 0, 7);
	ends(t, 5, HIGH, 1, 5, SN, 1, 1);
}

/* Not of the sector as a number: a byte that is larger and another one that is smaller */
static void test_bytes(void **state)
{
	struct fdc *t = *state;
	uint8_t sector[FLOPPY_SECTOR] = { 5, 5 };

	assert_int_equal(pwrite(t->images[0], sector, sizeof(sector), 0), sizeof(sector));
	host(t, 1, 0x0406, 0);
	scan(t, LOW, 1, 1, 1);
	fdc_ends(t, 0x00, 0, SN, 1, 0, 1);
	host(t, 1, 0x0406, 0);
	scan(t, HIGH, 1, 1, 1);
	fdc_ends(t, 0x00, 0, SN, 1, 0, 1);
	host(t, 1, 0x0505, 0);
	scan(t, HIGH, 1, 1, 1);
	fdc_ends(t, 0x00, 0, SH, 0, 0, 1);
}

/* FFh is as whatever the other one is, of the host or of the disk. */
static void test_mask(void **state)
{
	struct fdc *t = *state;
	uint8_t sector[FLOPPY_SECTOR];

	memset(sector, 0xff, sizeof(sector));
	sector[0] = 9;
	assert_int_equal(pwrite(t->images[0], sector, sizeof(sector), 3 * FLOPPY_SECTOR),
			 sizeof(sector));
	host(t, 18, 7, 0xff);
	scan(t, EQUAL, 1, 18, 1);
	fdc_ends(t, 0x00, 0, SH, 0, 0, 8);
	host(t, 18, 9, 0x11); /* sector 4 has the mask */
	scan(t, EQUAL, 1, 18, 1);
	fdc_ends(t, 0x00, 0, SH, 0, 0, 4);
	host(t, 18, 0xff, 0xff);
	scan(t, HIGH, 2, 18, 1);
	fdc_ends(t, 0x00, 0, SH, 0, 0, 2);
}

/* STP 2: every other sector, of which the last has to be EOT */
static void test_alternate(void **state)
{
	struct fdc *t = *state;

	host(t, 18, 6, 0);
	scan(t, EQUAL, 1, 17, 2);
	fdc_ends(t, 0x00, 0, SH, 0, 0, 7);
	assert_int_equal(t->f->dma.chips[0].channels[2].count, 14 * FLOPPY_SECTOR - 1);
	host(t, 18, 7, 0); /* sector 8 is passed over */
	scan(t, EQUAL, 1, 17, 2);
	fdc_ends(t, 0x00, 0, SN, 1, 0, 1);
	host(t, 18, 7, 0);
	scan(t, EQUAL, 1, 18, 2);
	fdc_ends(t, 0x40, 0x04, SN, 0, 0, 19);
}

/* MT: over both sides */
static void test_multi(void **state)
{
	struct fdc *t = *state;

	host(t, 36, 20, 0);
	scan(t, EQUAL | 0x80, 17, 18, 1);
	fdc_ends(t, 0x04, 0, SH, 0, 1, 3);
	host(t, 36, 100, 0);
	scan(t, EQUAL | 0x80, 1, 18, 1);
	fdc_ends(t, 0x04, 0, SN, 1, 0, 1);
}

/* TC ends it: behind a sector, and in the middle of one, of which not all was compared then */
static void test_tc(void **state)
{
	struct fdc *t = *state;

	host(t, 2, 100, 0);
	scan(t, EQUAL, 1, 18, 1);
	fdc_ends(t, 0x00, 0, SN, 0, 0, 3);
	host(t, 1, 0, 0);
	scan(t, EQUAL, 1, 18, 1);
	fdc_ends(t, 0x00, 0, SH, 0, 0, 1);
	host(t, 1, 0, 0);
	fdc_dma(t, 0x48, DATA, 100);
	scan(t, EQUAL, 1, 18, 1);
	fdc_ends(t, 0x00, 0, SN, 0, 0, 2);
}

/* "Non-DMA mode" */
static void test_fifo(void **state)
{
	struct fdc *t = *state;

	SEND(t, 0x03, 0xdf, 0x03);
	scan(t, EQUAL, 4, 18, 1);
	fdc_settle(t);
	for (unsigned int i = 0; i < 2 * FLOPPY_SECTOR; i++) {
		assert_int_equal(t->fb.irq[IRQ], true);
		assert_int_equal(fake_in8(&t->fb, MSR), RQM | NDM | CB);
		fake_out8(&t->fb, FIFO, i % FLOPPY_SECTOR ? 0 : 4);
	}
	fdc_ends(t, 0x00, 0, SH, 0, 0, 5);
}

/* What is not there, and what cannot be read */
static void test_errors(void **state)
{
	struct fdc *t = *state;

	host(t, 1, 0, 0);
	scan(t, EQUAL, 19, 18, 1);
	fdc_ends(t, 0x40, 0x04, 0, 0, 0, 19);
	scan(t, EQUAL & 0x1f, 1, 18, 1); /* FM */
	fdc_ends(t, 0x40, 0x01, 0, 0, 0, 1);
	SEND(t, EQUAL, 2, 0, 0, 1, 2, 18, 0x1b, 1); /* no drive */
	fdc_ends(t, 0x42, 0x01, 0, 0, 0, 1);
	/* a write protected disk can be compared with */
	fake_out8(&t->fb, CCR, 3);
	fdc_dma(t, 0x48, DATA, FLOPPY_SECTOR);
	SEND(t, EQUAL, 1, 0, 0, 1, 2, 36, 0x1b, 1);
	fdc_ends(t, 0x01, 0, SH, 0, 0, 1);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fdc_setup, fdc_teardown)
	const struct CMUnitTest tests[] = {
		T(test_equal), T(test_not_satisfied), T(test_low),	 T(test_high),
		T(test_bytes), T(test_mask),	      T(test_alternate), T(test_multi),
		T(test_tc),    T(test_fifo),	      T(test_errors),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
