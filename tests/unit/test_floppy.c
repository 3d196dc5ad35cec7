// SPDX-License-Identifier: MIT
/*
 * The floppy controller through its ports: Intel 82077AA data sheet (290166); what is in quotes is a section or
 * a table of it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/json.h"
#include "tests/unit/fake_board.h"
#include "vmm/dev/floppy.h"
#include "vmm/devices.h"

#define DOR 0x3f2
#define MSR 0x3f4
#define DSR 0x3f4
#define FIFO 0x3f5
#define DIR 0x3f7
#define CCR 0x3f7
#define IRQ 6
#define RQM 0x80
#define DIO 0x40
#define NDM 0x20
#define CB 0x10
#define MEM (4 * MIB)
#define DATA 0x20000 /* guest address */

struct fdc {
	struct fake_board fb;
	struct device *dev;
	struct floppy *f;
	int images[2];
	uint8_t result[10];
};

/* --- fixture ------------------------------------------------------------------------------------ */

/* Sector n begins with n */
static int image(uint32_t kib)
{
	int fd = memfd_create("floppy", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(kib * KIB)), 0);
	for (uint32_t n = 0; n < kib * 2; n++)
		assert_int_equal(pwrite(fd, &n, sizeof(n), (off_t)n * FLOPPY_SECTOR), sizeof(n));
	return fd;
}

static struct device *make(struct fdc *t, const char *disks, struct err *e)
{
	AUTO_JSON struct json_object *o = NULL;
	struct device *d = NULL;
	struct fdset fds;
	char json[1024];

	fdset_init(&fds);
	for (int i = 0; i < 2; i++)
		fdset_add(&fds, dup(t->images[i]));
	snprintf(json, sizeof(json), "{\"type\":\"floppy\",\"id\":\"floppy0\",\"disks\":[%s]}",
		 disks);
	assert_int_equal(json_parse(json, strlen(json), &o, e), 0);
	device_new(&t->fb.board, o, &fds, &d, e);
	fdset_fini(&fds);
	return d;
}

static void settle(struct fdc *t)
{
	fake_board_run(&t->fb);
	fake_board_watched(&t->fb);
	fake_board_run(&t->fb);
	fake_board_watched(&t->fb);
}

static void sense(struct fdc *t, uint8_t st0, uint8_t pcn)
{
	fake_out8(&t->fb, FIFO, 0x08);
	assert_int_equal(fake_in8(&t->fb, MSR), RQM | DIO | CB);
	assert_int_equal(fake_in8(&t->fb, FIFO), st0);
	assert_int_equal(fake_in8(&t->fb, FIFO), pcn);
	assert_int_equal(fake_in8(&t->fb, MSR), RQM);
}

/* As firmware does: out of reset, with DMA */
static void wake(struct fdc *t)
{
	fake_out8(&t->fb, DOR, 0x0c);
	assert_true(t->fb.irq[IRQ]);
	for (uint8_t i = 0; i < 4; i++)
		sense(t, 0xc0 | i, t->f->pcn[i]);
	assert_false(t->fb.irq[IRQ]);
}

static struct fdc *begin(uint32_t kib_a, uint32_t kib_b, const char *disks)
{
	struct fdc *t = calloc(1, sizeof(*t));
	struct err e = { 0 };

	assert_non_null(t);
	t->images[0] = image(kib_a);
	t->images[1] = image(kib_b);
	fake_board_init(&t->fb, MEM);
	t->dev = make(t, disks, &e);
	if (!t->dev)
		fail_msg("%s", e.msg);
	t->f = container_of(t->dev, struct floppy, dev);
	t->dev->class->reset(t->dev);
	t->dev->class->start(t->dev);
	wake(t);
	return t;
}

/* A: 1.44 MB; B: 2.88 MB, write protected */
static int setup(void **state)
{
	*state = begin(1440, 2880,
		       "{\"id\":\"a\",\"unit\":0,\"path\":{\"fd\":0}},"
		       "{\"id\":\"b\",\"unit\":1,\"path\":{\"fd\":1},\"readonly\":true}");
	fake_out8(&((struct fdc *)*state)->fb, CCR, 0);
	return 0;
}

/* A: 1.2 MB drive with a disk of 360K; B: 3.5", empty */
static int setup_other(void **state)
{
	*state = begin(360, 720,
		       "{\"id\":\"a\",\"unit\":0,\"path\":{\"fd\":0},\"model\":\"1.2MB\"},"
		       "{\"id\":\"b\",\"unit\":1}");
	fake_out8(&((struct fdc *)*state)->fb, CCR, 1);
	return 0;
}

static int teardown(void **state)
{
	struct fdc *t = *state;

	t->dev->class->stop(t->dev);
	device_free(t->dev);
	assert_int_equal(t->fb.pio.nregions, 0);
	fake_board_fini(&t->fb);
	close(t->images[0]);
	close(t->images[1]);
	free(t);
	return 0;
}

/* --- a driver ----------------------------------------------------------------------------------- */

static void command(struct fdc *t, const uint8_t *bytes, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		assert_int_equal(fake_in8(&t->fb, MSR), RQM | (i ? CB : 0));
		fake_out8(&t->fb, FIFO, bytes[i]);
	}
}

#define SEND(t, ...) \
	command(t, (const uint8_t[]){ __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ }))

static void results(struct fdc *t, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		assert_int_equal(fake_in8(&t->fb, MSR), RQM | DIO | CB);
		t->result[i] = fake_in8(&t->fb, FIFO);
	}
	assert_int_equal(fake_in8(&t->fb, MSR), RQM);
}

/* The 7 bytes of a command that moves data, with its interrupt */
static void ends(struct fdc *t, uint8_t st0, uint8_t st1, uint8_t st2, uint8_t c, uint8_t h,
		 uint8_t r)
{
	settle(t);
	assert_true(t->fb.irq[IRQ]);
	assert_int_equal(fake_in8(&t->fb, MSR), RQM | DIO | CB);
	assert_int_equal(t->result[0] = fake_in8(&t->fb, FIFO), st0);
	assert_false(t->fb.irq[IRQ]); /* the first byte takes it away */
	results(t, 6);
	assert_int_equal(t->result[0], st1);
	assert_int_equal(t->result[1], st2);
	assert_int_equal(t->result[2], c);
	assert_int_equal(t->result[3], h);
	assert_int_equal(t->result[4], r);
	assert_int_equal(t->result[5], 2);
}

/* Channel 2; mode 44h is to memory, 48h from it */
static void dma(struct fdc *t, uint8_t mode, uint32_t addr, unsigned int count)
{
	fake_out8(&t->fb, 0xc, 0);
	fake_out8(&t->fb, 0xb, mode | 2);
	fake_out8(&t->fb, 4, (uint8_t)addr);
	fake_out8(&t->fb, 4, (uint8_t)(addr >> 8));
	fake_out8(&t->fb, 0x81, (uint8_t)(addr >> 16));
	fake_out8(&t->fb, 5, (uint8_t)(count - 1));
	fake_out8(&t->fb, 5, (uint8_t)((count - 1) >> 8));
	fake_out8(&t->fb, 0xa, 2);
}

static void seek(struct fdc *t, uint8_t unit, uint8_t cylinder)
{
	SEND(t, 0x0f, unit, cylinder);
	assert_true(t->fb.irq[IRQ]);
	sense(t, 0x20 | unit, cylinder);
	assert_false(t->fb.irq[IRQ]);
}

static uint32_t number(struct fdc *t, uint32_t gpa)
{
	uint32_t n;

	memcpy(&n, t->fb.mem + gpa, sizeof(n));
	return n;
}

static uint32_t on_disk(struct fdc *t, unsigned int drive, uint32_t sector)
{
	uint32_t n;

	assert_int_equal(pread(t->images[drive], &n, sizeof(n), (off_t)sector * FLOPPY_SECTOR),
			 sizeof(n));
	return n;
}

/* --- registers and control commands --------------------------------------------------------------- */

/* "DOR", and "RESET": held in reset nothing answers; polling says that all drives are ready */
static void test_reset(void **state)
{
	struct fdc *t = *state;

	fake_out8(&t->fb, DOR, 0x08);
	assert_int_equal(fake_in8(&t->fb, MSR), 0);
	fake_out8(&t->fb, FIFO, 0x10);
	assert_int_equal(fake_in8(&t->fb, DOR), 0x08);
	wake(t);
	SEND(t, 0x08); /* without a reason it is invalid */
	results(t, 1);
	assert_int_equal(t->result[0], 0x80);
	/* the other software reset clears itself */
	fake_out8(&t->fb, DSR, 0x80);
	assert_true(t->fb.irq[IRQ]);
	sense(t, 0xc0, 0);
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
	results(t, 1);
	assert_int_equal(t->result[0], 0x90);
	SEND(t, 0x03, 0xdf, 0x02);
	SEND(t, 0x13, 0, 0x5a, 0x07);
	SEND(t, 0x12, 0x80 | 0x08 | 0x03);
	SEND(t, 0x12, 0x14); /* without OW only GAP and WGATE: 0 */
	seek(t, 1, 5);
	SEND(t, 0x94);
	results(t, 1);
	assert_int_equal(t->result[0], 0x10);
	SEND(t, 0x0e);
	results(t, 10);
	assert_memory_equal(t->result, "\0\5\0\0\xdf\x02\0\x88\x5a\x07", 10);
	/* LOCK keeps EFIFO, FIFOTHR and PRETRK over a software reset, and nothing else */
	fake_out8(&t->fb, DSR, 0x80);
	for (uint8_t i = 0; i < 4; i++)
		sense(t, 0xc0 | i, t->f->pcn[i]);
	SEND(t, 0x0e);
	results(t, 10);
	assert_memory_equal(t->result + 7, "\x88\x0a\x07", 3);
	SEND(t, 0x14);
	results(t, 1);
	assert_int_equal(t->result[0], 0);
	fake_out8(&t->fb, DSR, 0x80);
	SEND(t, 0x0e);
	results(t, 10);
	assert_memory_equal(t->result + 7, "\x08\x20\x00", 3);
}

/* "Invalid command": what a 82077AA has not, and what nobody has */
static void test_invalid(void **state)
{
	static const uint8_t codes[] = { 0x00, 0x01, 0x0b, 0x11, 0x18, 0x1f, 0x2e, 0x33, 0xff };
	struct fdc *t = *state;

	for (size_t i = 0; i < sizeof(codes); i++) {
		SEND(t, codes[i]);
		results(t, 1);
		assert_int_equal(t->result[0], 0x80);
		assert_false(t->fb.irq[IRQ]);
	}
}

/* "RECALIBRATE", "SEEK", "RELATIVE SEEK", "SENSE DRIVE STATUS" */
static void test_seek(void **state)
{
	struct fdc *t = *state;

	seek(t, 0, 79);
	SEND(t, 0x04, 0x04);
	results(t, 1);
	assert_int_equal(t->result[0], 0x2c);
	SEND(t, 0xcf, 0, 3); /* inwards; the head stops at 82 */
	sense(t, 0x20, 82);
	SEND(t, 0x07, 0); /* 79 steps are not enough */
	sense(t, 0x70, 0);
	SEND(t, 0x07, 0);
	sense(t, 0x20, 0);
	SEND(t, 0x04, 0);
	results(t, 1);
	assert_int_equal(t->result[0], 0x38);
	SEND(t, 0xcf, 0, 2);
	sense(t, 0x20, 2);
	SEND(t, 0x8f, 0, 1);
	sense(t, 0x20, 1);
	SEND(t, 0x04, 0x01); /* drive 1 is write protected */
	results(t, 1);
	assert_int_equal(t->result[0], 0x79);
	/* there is no drive 2: nothing sees track 0 */
	SEND(t, 0x07, 2);
	sense(t, 0x72, 0);
}

/* Two seeks: two interrupts */
static void test_two_seeks(void **state)
{
	struct fdc *t = *state;
	unsigned int before = t->fb.irq_raised[IRQ];

	SEND(t, 0x0f, 0, 3);
	SEND(t, 0x0f, 1, 4);
	assert_int_equal(t->fb.irq_raised[IRQ], before + 2);
	sense(t, 0x20, 3);
	assert_true(t->fb.irq[IRQ]);
	sense(t, 0x21, 4);
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
	sense(t, 0x20, 0);
	assert_int_equal(fake_in8(&t->fb, DIR), 0x80);
	seek(t, 0, 1);
	assert_int_equal(fake_in8(&t->fb, DIR), 0);
	fake_out8(&t->fb, DOR, 0x2d);
	assert_int_equal(fake_in8(&t->fb, DIR), 0x80); /* drive 1's own */
	fake_out8(&t->fb, DOR, 0x0d);
	assert_int_equal(fake_in8(&t->fb, DIR), 0);
	fake_out8(&t->fb, DOR, 0x1c);
	assert_int_equal(t->dev->class->set_medium(t->dev, 0, &medium, &e), 0);
	assert_true(medium.changed);
	assert_int_equal(fake_in8(&t->fb, DIR), 0x80);
	seek(t, 0, 2);
	assert_int_equal(fake_in8(&t->fb, DIR), 0x80); /* there is none */
}

static struct block *open_image(int fd, bool readonly)
{
	struct block_image i = { .fd = dup(fd),
				 .readonly = readonly,
				 .engine = BLOCK_ENGINE_PSYNC };
	struct block *b = NULL;
	struct err e;

	assert_int_equal(block_open(&i, &b, &e), 0);
	return b;
}

/* --- reading -------------------------------------------------------------------------------------- */

/* "READ ID": one after the other, at the right rate alone */
static void test_read_id(void **state)
{
	struct fdc *t = *state;

	seek(t, 0, 7);
	SEND(t, 0x4a, 0x04);
	ends(t, 0x04, 0, 0, 7, 1, 1);
	SEND(t, 0x4a, 0x04);
	ends(t, 0x04, 0, 0, 7, 1, 2);
	fake_out8(&t->fb, CCR, 2);
	SEND(t, 0x4a, 0);
	settle(t);
	results(t, 7);
	assert_memory_equal(t->result, "\x40\x01\0", 3);
	fake_out8(&t->fb, CCR, 0);
	SEND(t, 0x0a, 0); /* FM */
	results(t, 7);
	assert_memory_equal(t->result, "\x40\x01\0", 3);
	fake_out8(&t->fb, CCR, 3);
	SEND(t, 0x4a, 1);
	results(t, 7);
	assert_memory_equal(t->result, "\x01\0\0\0\0\x03\x02", 7);
}

/* "READ DATA", and the first line of "Result phase table": R < EOT */
static void test_read(void **state)
{
	struct fdc *t = *state;

	seek(t, 0, 10);
	dma(t, 0x44, DATA, 2 * FLOPPY_SECTOR);
	SEND(t, 0x46, 0x04, 10, 1, 3, 2, 18, 0x1b, 0xff);
	assert_int_equal(fake_in8(&t->fb, MSR), CB); /* the host has it */
	ends(t, 0x04, 0, 0, 10, 1, 5);
	assert_int_equal(number(t, DATA), 10 * 36 + 18 + 2);
	assert_int_equal(number(t, DATA + FLOPPY_SECTOR), 10 * 36 + 18 + 3);
	assert_int_equal(number(t, DATA + 2 * FLOPPY_SECTOR), 0);
}

/* The other lines, MT 0 and 1, with TC at the last sector */
static void test_read_to_end(void **state)
{
	struct fdc *t = *state;

	dma(t, 0x44, DATA, FLOPPY_SECTOR);
	SEND(t, 0x46, 0x00, 0, 0, 18, 2, 18, 0x1b, 0xff);
	ends(t, 0x00, 0, 0, 1, 0, 1);
	dma(t, 0x44, DATA, FLOPPY_SECTOR);
	SEND(t, 0x46, 0x04, 0, 1, 18, 2, 18, 0x1b, 0xff);
	ends(t, 0x04, 0, 0, 1, 1, 1);
	dma(t, 0x44, DATA, FLOPPY_SECTOR);
	SEND(t, 0xc6, 0x00, 0, 0, 18, 2, 18, 0x1b, 0xff);
	ends(t, 0x04, 0, 0, 0, 1, 1);
	dma(t, 0x44, DATA, FLOPPY_SECTOR);
	SEND(t, 0xc6, 0x04, 0, 1, 18, 2, 18, 0x1b, 0xff);
	ends(t, 0x04, 0, 0, 1, 0, 1);
}

/* MT: a whole cylinder, and EN where TC does not come. The track of this side ends at EOT, not at the disk's end. */
static void test_read_cylinder(void **state)
{
	struct fdc *t = *state;

	seek(t, 0, 2);
	dma(t, 0x44, DATA, 40 * FLOPPY_SECTOR);
	SEND(t, 0xc6, 0x00, 2, 0, 1, 2, 18, 0x1b, 0xff);
	ends(t, 0x44, 0x80, 0, 3, 0, 1);
	for (uint32_t i = 0; i < 36; i++)
		assert_int_equal(number(t, DATA + i * FLOPPY_SECTOR), 2 * 36 + i);
	assert_int_equal(number(t, DATA + 36 * FLOPPY_SECTOR), 0);
	dma(t, 0x44, DATA, 40 * FLOPPY_SECTOR);
	SEND(t, 0xc6, 0x00, 2, 0, 4, 2, 5, 0x1b, 0xff);
	ends(t, 0x44, 0x80, 0, 3, 0, 1);
	for (uint32_t i = 0; i < 7; i++)
		assert_int_equal(number(t, DATA + i * FLOPPY_SECTOR),
				 2 * 36 + (i < 2 ? 3 + i : 16 + i));
}

/* TC inside of a sector: it has been read, and its rest goes nowhere */
static void test_read_part(void **state)
{
	struct fdc *t = *state;

	memset(t->fb.mem + DATA, 0xee, 1024);
	dma(t, 0x44, DATA, 100);
	SEND(t, 0x46, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff);
	ends(t, 0x00, 0, 0, 0, 0, 2);
	assert_int_equal(t->fb.mem[DATA + 99], 0);
	assert_int_equal(t->fb.mem[DATA + 100], 0xee);
}

/* "Status register encoding": MA, ND, WC */
static void test_not_found(void **state)
{
	struct fdc *t = *state;

	dma(t, 0x44, DATA, 40 * FLOPPY_SECTOR);
	SEND(t, 0x46, 0, 0, 0, 19, 2, 36, 0x1b, 0xff);
	ends(t, 0x40, 0x04, 0, 0, 0, 19);
	SEND(t, 0x46, 0, 1, 0, 1, 2, 18, 0x1b, 0xff);
	ends(t, 0x40, 0x04, 0x10, 1, 0, 1);
	SEND(t, 0x46, 0, 0, 1, 1, 2, 18, 0x1b, 0xff); /* H is no head of this side */
	ends(t, 0x40, 0x04, 0, 0, 1, 1);
	SEND(t, 0x46, 0, 0, 0, 1, 3, 18, 0x1b, 0xff);
	settle(t);
	results(t, 7);
	assert_memory_equal(t->result, "\x40\x04\0\0\0\x01\x03", 7);
	/* what there is is read, then it is missed */
	SEND(t, 0x46, 0, 0, 0, 17, 2, 20, 0x1b, 0xff);
	ends(t, 0x40, 0x04, 0, 0, 0, 19);
	assert_int_equal(number(t, DATA + FLOPPY_SECTOR), 17);
	seek(t, 0, 81);
	SEND(t, 0x46, 0, 81, 0, 1, 2, 18, 0x1b, 0xff);
	ends(t, 0x40, 0x01, 0, 81, 0, 1);
	SEND(t, 0x46, 2, 0, 0, 1, 2, 18, 0x1b, 0xff);
	ends(t, 0x42, 0x01, 0, 0, 0, 1);
}

/* "READ DELETED DATA": no sector here is. SK 0 reads one, SK 1 none. */
static void test_read_deleted(void **state)
{
	struct fdc *t = *state;

	dma(t, 0x44, DATA, 40 * FLOPPY_SECTOR);
	SEND(t, 0x4c, 0, 0, 0, 4, 2, 18, 0x1b, 0xff);
	ends(t, 0x00, 0, 0x40, 0, 0, 4);
	assert_int_equal(number(t, DATA), 3);
	assert_int_equal(number(t, DATA + FLOPPY_SECTOR), 0);
	memset(t->fb.mem + DATA, 0xee, FLOPPY_SECTOR);
	SEND(t, 0x6c, 0, 0, 0, 4, 2, 18, 0x1b, 0xff);
	ends(t, 0x40, 0x80, 0x40, 1, 0, 1);
	assert_int_equal(t->fb.mem[DATA], 0xee);
}

/* "READ TRACK": from the first on, whatever R is; ND where the IDs are not those that were asked for */
static void test_read_track(void **state)
{
	struct fdc *t = *state;

	dma(t, 0x44, DATA, 3 * FLOPPY_SECTOR);
	SEND(t, 0x42, 4, 0, 1, 9, 2, 18, 0x1b, 0xff);
	ends(t, 0x04, 0, 0, 0, 1, 4);
	assert_int_equal(number(t, DATA + 2 * FLOPPY_SECTOR), 20);
	dma(t, 0x44, DATA, 3 * FLOPPY_SECTOR);
	SEND(t, 0x42, 0, 5, 0, 1, 2, 18, 0x1b, 0xff);
	ends(t, 0x00, 0x04, 0, 5, 0, 4);
	assert_int_equal(number(t, DATA + FLOPPY_SECTOR), 1);
}

/* "VERIFY": nothing is moved; EC counts sectors */
static void test_verify(void **state)
{
	struct fdc *t = *state;

	dma(t, 0x44, DATA, 4 * FLOPPY_SECTOR);
	SEND(t, 0x56, 0x00, 0, 0, 1, 2, 18, 0x1b, 0xff);
	ends(t, 0x00, 0, 0, 1, 0, 1);
	SEND(t, 0x56, 0x80, 0, 0, 1, 2, 18, 0x1b, 3);
	ends(t, 0x00, 0, 0, 0, 0, 4);
	SEND(t, 0x56, 0x80, 0, 0, 1, 2, 18, 0x1b, 19);
	ends(t, 0x40, 0x80, 0, 1, 0, 1);
	assert_int_equal(number(t, DATA + FLOPPY_SECTOR), 0);
	assert_int_equal(t->f->dma.chips[0].channels[2].count, 4 * FLOPPY_SECTOR - 1);
}

/* CONFIGURE, EIS: the head goes where the command is */
static void test_implied_seek(void **state)
{
	struct fdc *t = *state;

	SEND(t, 0x13, 0, 0x40, 0);
	dma(t, 0x44, DATA, FLOPPY_SECTOR);
	SEND(t, 0x46, 0, 33, 0, 1, 2, 18, 0x1b, 0xff);
	ends(t, 0x00, 0, 0, 33, 0, 2);
	assert_int_equal(number(t, DATA), 33 * 36);
	assert_int_equal(t->f->pcn[0], 33);
}

/* A channel that is masked: DRQ waits; so with DMAGATE# inactive */
static void test_dma_waits(void **state)
{
	struct fdc *t = *state;

	dma(t, 0x44, DATA, FLOPPY_SECTOR);
	fake_out8(&t->fb, 0xa, 6);
	SEND(t, 0x46, 0, 0, 0, 2, 2, 18, 0x1b, 0xff);
	settle(t);
	assert_int_equal(fake_in8(&t->fb, MSR), CB);
	assert_int_equal(fake_in8(&t->fb, 8), 0x40);
	fake_out8(&t->fb, 0xa, 2);
	ends(t, 0x00, 0, 0, 0, 0, 3);
	assert_int_equal(number(t, DATA), 1);
	assert_int_equal(fake_in8(&t->fb, 8), 0x04);
	dma(t, 0x44, DATA, FLOPPY_SECTOR);
	SEND(t, 0x46, 0, 0, 0, 5, 2, 18, 0x1b, 0xff);
	fake_out8(&t->fb, DOR, 0x04);
	settle(t);
	assert_int_equal(fake_in8(&t->fb, MSR), CB);
	fake_out8(&t->fb, DOR, 0x0c);
	ends(t, 0x00, 0, 0, 0, 0, 6);
	assert_int_equal(number(t, DATA), 4);
}

/* "Non-DMA mode": RQM for each byte, INT for each sector; without TC it ends with EN */
static void test_read_fifo(void **state)
{
	struct fdc *t = *state;
	uint8_t data[FLOPPY_SECTOR];

	SEND(t, 0x03, 0xdf, 0x03);
	SEND(t, 0x46, 0, 0, 0, 17, 2, 18, 0x1b, 0xff);
	settle(t);
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
	ends(t, 0x40, 0x80, 0, 1, 0, 1);
}

/* --- writing ---------------------------------------------------------------------------------------- */

/* "WRITE DATA": over both sides; it is in the image when it is told */
static void test_write(void **state)
{
	struct fdc *t = *state;

	seek(t, 0, 3);
	for (uint32_t i = 0; i < 4; i++)
		memset(t->fb.mem + DATA + i * FLOPPY_SECTOR, 'a' + (int)i, FLOPPY_SECTOR);
	dma(t, 0x48, DATA, 4 * FLOPPY_SECTOR);
	SEND(t, 0xc5, 0, 3, 0, 17, 2, 18, 0x1b, 0xff);
	ends(t, 0x04, 0, 0, 3, 1, 3);
	assert_int_equal(on_disk(t, 0, 3 * 36 + 15), 3 * 36 + 15);
	assert_int_equal(on_disk(t, 0, 3 * 36 + 16), 0x61616161);
	assert_int_equal(on_disk(t, 0, 3 * 36 + 17), 0x62626262);
	assert_int_equal(on_disk(t, 0, 3 * 36 + 18), 0x63636363);
	assert_int_equal(on_disk(t, 0, 3 * 36 + 19), 0x64646464);
	assert_int_equal(on_disk(t, 0, 3 * 36 + 20), 3 * 36 + 20);
	/* TC inside of a sector: the rest is zeroes */
	dma(t, 0x48, DATA, 2);
	SEND(t, 0x45, 0, 3, 0, 18, 2, 18, 0x1b, 0xff);
	ends(t, 0x00, 0, 0, 4, 0, 1);
	assert_int_equal(on_disk(t, 0, 3 * 36 + 17), 0x6161);
}

/* What has come before the track ended is written, in sides that end at EOT */
static void test_write_to_end(void **state)
{
	struct fdc *t = *state;

	memset(t->fb.mem + DATA, 'x', 10 * FLOPPY_SECTOR);
	dma(t, 0x48, DATA, 10 * FLOPPY_SECTOR);
	SEND(t, 0xc5, 0, 0, 0, 2, 2, 3, 0x1b, 0xff);
	ends(t, 0x44, 0x80, 0, 1, 0, 1);
	for (uint32_t i = 0; i < 24; i++) {
		bool written = i == 1 || i == 2 || (i >= 18 && i < 21);

		assert_int_equal(on_disk(t, 0, i), written ? 0x78787878 : i);
	}
}

/* "Status register encoding", NW; a deleted address mark is nothing that an image can have */
static void test_not_writable(void **state)
{
	struct fdc *t = *state;

	fake_out8(&t->fb, CCR, 3);
	dma(t, 0x48, DATA, FLOPPY_SECTOR);
	SEND(t, 0x45, 1, 0, 0, 1, 2, 36, 0x1b, 0xff);
	ends(t, 0x41, 0x02, 0, 0, 0, 1);
	SEND(t, 0x4d, 1, 2, 36, 0x54, 0xf6);
	results(t, 7);
	assert_memory_equal(t->result, "\x41\x02\0", 3);
	fake_out8(&t->fb, CCR, 0);
	SEND(t, 0x49, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	ends(t, 0x40, 0x02, 0, 0, 0, 1);
	assert_int_equal(on_disk(t, 0, 0), 0);
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
	ends(t, 0x40, 0x80, 0, 1, 0, 1);
	assert_int_equal(on_disk(t, 0, 16), 0x61616161);
	assert_int_equal(on_disk(t, 0, 17), 0x62626262);
}

/* "FORMAT TRACK": the IDs come by DMA, in any order; the sectors are filled */
static void test_format(void **state)
{
	struct fdc *t = *state;

	seek(t, 0, 4);
	for (unsigned int i = 0; i < 18; i++)
		memcpy(t->fb.mem + DATA + i * 4, (uint8_t[]){ 4, 1, (uint8_t)(i * 5 % 18 + 1), 2 },
		       4);
	dma(t, 0x48, DATA, 18 * 4);
	SEND(t, 0x4d, 0x04, 2, 18, 0x54, 0xf6);
	settle(t);
	assert_true(t->fb.irq[IRQ]);
	results(t, 7);
	assert_memory_equal(t->result, "\x04\0\0", 3);
	for (uint32_t i = 0; i < 18; i++)
		assert_int_equal(on_disk(t, 0, 4 * 36 + 18 + i), 0xf6f6f6f6);
	assert_int_equal(on_disk(t, 0, 4 * 36 + 17), 4 * 36 + 17);
	assert_int_equal(on_disk(t, 0, 5 * 36), 5 * 36);
	/* two sectors of one number, or a track of another kind: no such disk */
	t->fb.mem[DATA + 2] = t->fb.mem[DATA + 6];
	dma(t, 0x48, DATA, 18 * 4);
	SEND(t, 0x4d, 0x00, 2, 18, 0x54, 0xf6);
	settle(t);
	results(t, 7);
	assert_memory_equal(t->result, "\x50\0\0", 3);
	SEND(t, 0x4d, 0x00, 2, 21, 0x54, 0xf6);
	results(t, 7);
	assert_memory_equal(t->result, "\x50\0\0", 3);
	assert_int_equal(on_disk(t, 0, 4 * 36), 4 * 36);
}

/* 36 sectors, in a drive for them */
static void test_format_large(void **state)
{
	struct fdc *t = *state;
	struct device_medium medium = { 0 };
	struct err e;

	assert_int_equal(t->dev->class->set_medium(t->dev, 1, &medium, &e), 0);
	medium.block = open_image(t->images[1], false);
	assert_int_equal(t->dev->class->set_medium(t->dev, 1, &medium, &e), 0);
	fake_out8(&t->fb, CCR, 3);
	for (unsigned int i = 0; i < 36; i++)
		memcpy(t->fb.mem + DATA + i * 4, (uint8_t[]){ 0, 0, (uint8_t)(36 - i), 2 }, 4);
	dma(t, 0x48, DATA, 36 * 4);
	SEND(t, 0x4d, 0x01, 2, 36, 0x54, 0xe5);
	settle(t);
	results(t, 7);
	assert_memory_equal(t->result, "\x01\0\0", 3);
	for (uint32_t i = 0; i < 37; i++)
		assert_int_equal(on_disk(t, 1, i), i < 36 ? 0xe5e5e5e5 : i);
}

/* A host that cannot: the guest is told, and goes on */
static void test_host_fails(void **state)
{
	struct fdc *t = *state;

	assert_int_equal(ftruncate(t->images[0], 0), 0);
	dma(t, 0x44, DATA, FLOPPY_SECTOR);
	SEND(t, 0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	settle(t);
	results(t, 7);
	/* what an image lost at its end is zeroes, or an error of data: never a controller that hangs */
	assert_true(t->result[0] == 0x40 ? t->result[1] == 0x20 && t->result[2] == 0x20
					 : !t->result[0]);
	assert_int_equal(fake_in8(&t->fb, MSR), RQM);
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
	settle(t);
	fake_in8(&t->fb, FIFO);
	assert_int_equal(t->dev->class->set_medium(t->dev, 0, &medium, &e), 0);
	ends(t, 0x40, 0x01, 0, 0, 0, 1);
	SEND(t, 0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	ends(t, 0x40, 0x01, 0, 0, 0, 1);
	/* and while the host is at it */
	medium.block = open_image(t->images[0], false);
	assert_int_equal(t->dev->class->set_medium(t->dev, 0, &medium, &e), 0);
	SEND(t, 0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	medium = (struct device_medium){ 0 };
	assert_int_equal(t->dev->class->set_medium(t->dev, 0, &medium, &e), 0);
	ends(t, 0x40, 0x01, 0, 0, 0, 1);
}

static void test_media(void **state)
{
	struct fdc *t = *state;
	struct device_medium medium = { .block = open_image(t->images[1], true) };
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
	medium.block = open_image(t->images[0], false);
	assert_int_equal(t->dev->class->set_medium(t->dev, 0, &medium, &e), 0);
	assert_false(medium.changed);
	block_free(medium.block);
	medium.block = open_image(t->images[0], true);
	medium.dry_run = true;
	assert_int_equal(t->dev->class->set_medium(t->dev, 0, &medium, &e), 0);
	assert_true(medium.changed);
	assert_non_null(medium.block);
	medium.dry_run = false;
	assert_int_equal(t->dev->class->set_medium(t->dev, 0, &medium, &e), 0);
	assert_true(medium.changed);
	SEND(t, 0x04, 0);
	results(t, 1);
	assert_int_equal(t->result[0], 0x78);
}

/* A reset while the host is at it: the controller is busy until then, and nobody hears of it */
static void test_reset_busy(void **state)
{
	struct fdc *t = *state;

	dma(t, 0x44, DATA, FLOPPY_SECTOR);
	SEND(t, 0x46, 0, 0, 0, 2, 2, 18, 0x1b, 0xff);
	fake_out8(&t->fb, DOR, 0x08);
	fake_out8(&t->fb, DOR, 0x0c);
	assert_int_equal(fake_in8(&t->fb, MSR), 0);
	fake_out8(&t->fb, FIFO, 0x10);
	settle(t);
	assert_int_equal(number(t, DATA), 0);
	for (uint8_t i = 0; i < 4; i++)
		sense(t, 0xc0 | i, 0);
	SEND(t, 0x46, 0, 0, 0, 2, 2, 18, 0x1b, 0xff);
	ends(t, 0x00, 0, 0, 0, 0, 3);
	assert_int_equal(number(t, DATA), 1);
}

/* A pause ends what was begun: with both sides written */
static void test_pause(void **state)
{
	struct fdc *t = *state;

	memset(t->fb.mem + DATA, 'x', 36 * FLOPPY_SECTOR);
	dma(t, 0x48, DATA, 36 * FLOPPY_SECTOR);
	SEND(t, 0xc5, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	t->dev->class->stop(t->dev);
	assert_int_equal(on_disk(t, 0, 0), 0x78787878);
	assert_int_equal(on_disk(t, 0, 35), 0x78787878);
	assert_int_equal(on_disk(t, 0, 36), 36);
	t->dev->class->start(t->dev);
	ends(t, 0x04, 0, 0, 1, 0, 1);
	t->dev->class->stop(t->dev);
	t->dev->class->reset(t->dev);
	t->dev->class->start(t->dev);
	assert_int_equal(fake_in8(&t->fb, MSR), 0);
	wake(t);
}

/* 40 tracks in a drive of 80: two steps each. 250 and 300 kbit/s are the same to it. */
static void test_double_step(void **state)
{
	struct fdc *t = *state;

	seek(t, 0, 6);
	dma(t, 0x44, DATA, FLOPPY_SECTOR);
	SEND(t, 0x46, 0, 3, 0, 1, 2, 9, 0x2a, 0xff);
	ends(t, 0x00, 0, 0, 3, 0, 2);
	assert_int_equal(number(t, DATA), 3 * 18);
	fake_out8(&t->fb, CCR, 2);
	SEND(t, 0x4a, 0);
	ends(t, 0x00, 0, 0, 3, 0, 1);
	seek(t, 0, 7);
	SEND(t, 0x4a, 0);
	results(t, 7);
	assert_memory_equal(t->result, "\x40\x01", 2);
	assert_int_equal(floppy_cmos(t->dev), 0x24);
	/* nothing is in B */
	SEND(t, 0x4a, 1);
	results(t, 7);
	assert_memory_equal(t->result, "\x41\x01", 2);
}

static void refused(struct fdc *t, const char *disks, const char *message)
{
	struct err e = { 0 };

	assert_null(make(t, disks, &e));
	assert_string_equal(e.msg, message);
	assert_int_equal(t->fb.pio.nregions, 0);
}

static void test_refused(void **state)
{
	struct fdc *t = calloc(1, sizeof(*t));

	(void)state;
	assert_non_null(t);
	fake_board_init(&t->fb, MEM);
	t->images[0] = image(1000);
	t->images[1] = image(1200);
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
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_reset),
		T(test_registers),
		T(test_dumpreg),
		T(test_invalid),
		T(test_seek),
		T(test_two_seeks),
		T(test_change),
		T(test_read_id),
		T(test_read),
		T(test_read_to_end),
		T(test_read_cylinder),
		T(test_read_part),
		T(test_not_found),
		T(test_read_deleted),
		T(test_read_track),
		T(test_verify),
		T(test_implied_seek),
		T(test_dma_waits),
		T(test_read_fifo),
		T(test_write),
		T(test_write_to_end),
		T(test_not_writable),
		T(test_write_fifo),
		T(test_format),
		T(test_format_large),
		T(test_host_fails),
		T(test_taken_out),
		T(test_media),
		T(test_reset_busy),
		T(test_pause),
		cmocka_unit_test_setup_teardown(test_double_step, setup_other, teardown),
		cmocka_unit_test(test_refused),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
