// SPDX-License-Identifier: MIT
/* See floppy_fixture.h. */
#include "tests/unit/floppy_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/json.h"

int fdc_image(uint32_t kib)
{
	int fd = memfd_create("floppy", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(kib * KIB)), 0);
	for (uint32_t n = 0; n < kib * 2; n++)
		assert_int_equal(pwrite(fd, &n, sizeof(n), (off_t)n * FLOPPY_SECTOR), sizeof(n));
	return fd;
}

struct device *fdc_make(struct fdc *t, const char *disks, struct err *e)
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

void fdc_settle(struct fdc *t)
{
	fake_board_run(&t->fb);
	fake_board_watched(&t->fb);
	fake_board_run(&t->fb);
	fake_board_watched(&t->fb);
}

void fdc_sense(struct fdc *t, uint8_t st0, uint8_t pcn)
{
	fake_out8(&t->fb, FIFO, 0x08);
	assert_int_equal(fake_in8(&t->fb, MSR), RQM | DIO | CB);
	assert_int_equal(fake_in8(&t->fb, FIFO), st0);
	assert_int_equal(fake_in8(&t->fb, FIFO), pcn);
	assert_int_equal(fake_in8(&t->fb, MSR), RQM);
}

void fdc_wake(struct fdc *t)
{
	fake_out8(&t->fb, DOR, 0x0c);
	assert_true(t->fb.irq[IRQ]);
	for (uint8_t i = 0; i < 4; i++)
		fdc_sense(t, 0xc0 | i, t->f->pcn[i]);
	assert_false(t->fb.irq[IRQ]);
}

struct fdc *fdc_begin(uint32_t kib_a, uint32_t kib_b, const char *disks)
{
	struct fdc *t = calloc(1, sizeof(*t));
	struct err e = { 0 };

	assert_non_null(t);
	t->images[0] = fdc_image(kib_a);
	t->images[1] = fdc_image(kib_b);
	fake_board_init(&t->fb, MEM);
	t->dev = fdc_make(t, disks, &e);
	if (!t->dev)
		fail_msg("%s", e.msg);
	t->f = container_of(t->dev, struct floppy, dev);
	t->dev->class->reset(t->dev);
	t->dev->class->start(t->dev);
	fdc_wake(t);
	return t;
}

int fdc_setup(void **state)
{
	*state = fdc_begin(1440, 2880,
			   "{\"id\":\"a\",\"unit\":0,\"path\":{\"fd\":0}},"
			   "{\"id\":\"b\",\"unit\":1,\"path\":{\"fd\":1},\"readonly\":true}");
	fake_out8(&((struct fdc *)*state)->fb, CCR, 0);
	return 0;
}

int fdc_setup_other(void **state)
{
	*state = fdc_begin(360, 720,
			   "{\"id\":\"a\",\"unit\":0,\"path\":{\"fd\":0},\"model\":\"1.2MB\"},"
			   "{\"id\":\"b\",\"unit\":1}");
	fake_out8(&((struct fdc *)*state)->fb, CCR, 1);
	return 0;
}

int fdc_teardown(void **state)
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

void fdc_command(struct fdc *t, const uint8_t *bytes, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		assert_int_equal(fake_in8(&t->fb, MSR), RQM | (i ? CB : 0));
		fake_out8(&t->fb, FIFO, bytes[i]);
	}
}

void fdc_results(struct fdc *t, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		assert_int_equal(fake_in8(&t->fb, MSR), RQM | DIO | CB);
		t->result[i] = fake_in8(&t->fb, FIFO);
	}
	assert_int_equal(fake_in8(&t->fb, MSR), RQM);
}

void fdc_ends(struct fdc *t, uint8_t st0, uint8_t st1, uint8_t st2, uint8_t c, uint8_t h, uint8_t r)
{
	fdc_settle(t);
	assert_true(t->fb.irq[IRQ]);
	assert_int_equal(fake_in8(&t->fb, MSR), RQM | DIO | CB);
	assert_int_equal(t->result[0] = fake_in8(&t->fb, FIFO), st0);
	assert_false(t->fb.irq[IRQ]); /* the first byte takes it away */
	fdc_results(t, 6);
	assert_int_equal(t->result[0], st1);
	assert_int_equal(t->result[1], st2);
	assert_int_equal(t->result[2], c);
	assert_int_equal(t->result[3], h);
	assert_int_equal(t->result[4], r);
	assert_int_equal(t->result[5], 2);
}

void fdc_dma(struct fdc *t, uint8_t mode, uint32_t addr, unsigned int count)
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

void fdc_seek(struct fdc *t, uint8_t unit, uint8_t cylinder)
{
	SEND(t, 0x0f, unit, cylinder);
	assert_true(t->fb.irq[IRQ]);
	fdc_sense(t, 0x20 | unit, cylinder);
	assert_false(t->fb.irq[IRQ]);
}

uint32_t fdc_number(struct fdc *t, uint32_t gpa)
{
	uint32_t n;

	memcpy(&n, t->fb.mem + gpa, sizeof(n));
	return n;
}

uint32_t fdc_on_disk(struct fdc *t, unsigned int drive, uint32_t sector)
{
	uint32_t n;

	assert_int_equal(pread(t->images[drive], &n, sizeof(n), (off_t)sector * FLOPPY_SECTOR),
			 sizeof(n));
	return n;
}

struct block *fdc_open(int fd, bool readonly)
{
	struct block_image i = { .fd = dup(fd),
				 .readonly = readonly,
				 .engine = BLOCK_ENGINE_PSYNC };
	struct block *b = NULL;
	struct err e;

	assert_int_equal(block_open(&i, &b, &e), 0);
	return b;
}
