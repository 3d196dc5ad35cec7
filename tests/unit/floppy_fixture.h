/* SPDX-License-Identifier: MIT */
/*
 * A floppy controller on a fake board, and the driver's side of it: Intel 82077AA data sheet (290166). Sector n of a disk
 * begins with n.
 */
#ifndef TESTS_UNIT_FLOPPY_FIXTURE_H
#define TESTS_UNIT_FLOPPY_FIXTURE_H

#include "tests/lib/test.h"
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

/* Sector n begins with n */
int fdc_image(uint32_t kib);
struct device *fdc_make(struct fdc *t, const char *disks, struct err *e);
void fdc_settle(struct fdc *t);
void fdc_sense(struct fdc *t, uint8_t st0, uint8_t pcn);
/* As firmware does: out of reset, with DMA */
void fdc_wake(struct fdc *t);
struct fdc *fdc_begin(uint32_t kib_a, uint32_t kib_b, const char *disks);
/* A: 1.44 MB; B: 2.88 MB, write protected */
int fdc_setup(void **state);
/* A: 1.2 MB drive with a disk of 360K; B: 3.5", empty */
int fdc_setup_other(void **state);
int fdc_teardown(void **state);
void fdc_command(struct fdc *t, const uint8_t *bytes, unsigned int n);
void fdc_results(struct fdc *t, unsigned int n);
/* The 7 bytes of a command that moves data, with its interrupt */
void fdc_ends(struct fdc *t, uint8_t st0, uint8_t st1, uint8_t st2, uint8_t c, uint8_t h,
	      uint8_t r);
/* Channel 2; mode 44h is to memory, 48h from it */
void fdc_dma(struct fdc *t, uint8_t mode, uint32_t addr, unsigned int count);
void fdc_seek(struct fdc *t, uint8_t unit, uint8_t cylinder);
uint32_t fdc_number(struct fdc *t, uint32_t gpa);
uint32_t fdc_on_disk(struct fdc *t, unsigned int drive, uint32_t sector);
struct block *fdc_open(int fd, bool readonly);
#define SEND(t, ...) \
	fdc_command(t, (const uint8_t[]){ __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ }))

#endif
