/* SPDX-License-Identifier: MIT */
/*
 * The IDE function on a fake board, and the driver's side of it, by its ports: unit 0 is a disk of
 * SECTORS, each beginning with its number, unit 2 a CD-ROM drive.
 */
#ifndef TESTS_UNIT_IDE_FIXTURE_H
#define TESTS_UNIT_IDE_FIXTURE_H

#include "tests/unit/fake_board.h"
#include "vmm/ata/ide.h"

#define SECTORS 4096u
#define DISK (SECTORS * ATA_SECTOR)
#define CD_BLOCKS 100u
#define P 0x1f0 /* the ports of a channel */
#define S 0x170
#define CONTROL 0x206 /* from them */
#define BM 0xc000     /* where the BAR is at power-on */
#define PRD 0x1000    /* guest addresses */
#define DATA 0x10000
#define MEM (4 * MIB)
#define READY (ATA_DRDY | ATA_DSC)

#define A_DISK "{\"id\":\"root\",\"unit\":0,\"path\":{\"fd\":0}}"
#define A_CD "{\"id\":\"cd\",\"unit\":2,\"kind\":\"cdrom\",\"readonly\":true,\"path\":{\"fd\":1}}"

struct fide {
	struct fake_board fb;
	struct device *host, *dev;
	struct ide *ide;
	int disk, cd; /* images */
};

struct device *fide_make(struct fide *f, const char *json, struct err *e); /* NULL: refused */
/* One that runs, with these drives: JSON */
struct fide *fide_begin(const char *disks);
/* The same for cmocka: with A_DISK and A_CD */
int fide_setup(void **state);
int fide_teardown(void **state);

/* Ports; ch: P or S. All of a command that runs has ended after fide_settle and fide_status. */
void fide_settle(struct fide *f);
uint8_t fide_in(struct fide *f, unsigned int port);
void fide_out(struct fide *f, unsigned int port, unsigned int val);
uint8_t fide_status(struct fide *f, unsigned int ch);
bool fide_irq(struct fide *f, unsigned int ch);
uint32_t fide_cfg(struct fide *f, unsigned int off, unsigned int size);
void fide_cfg_write(struct fide *f, unsigned int off, unsigned int size, uint32_t val);

/* By 28 bits, by 48; SET FEATURES of the disk */
void fide_command(struct fide *f, unsigned int ch, uint8_t cmd, uint32_t lba, unsigned int count);
void fide_command_ext(struct fide *f, unsigned int ch, uint8_t cmd, uint64_t lba,
		      unsigned int count);
void fide_features(struct fide *f, uint8_t sub, unsigned int count);
void fide_read_data(struct fide *f, unsigned int ch, void *data, size_t len);
void fide_write_data(struct fide *f, unsigned int ch, const void *data, size_t len);
void fide_identify(struct fide *f, unsigned int ch, uint8_t cmd, uint8_t id[static ATA_ID]);
uint16_t fide_word(const uint8_t *id, unsigned int n);
void fide_expect_error(struct fide *f, unsigned int ch, uint8_t error);
void fide_expect_sector(const void *data, uint32_t n); /* a sector of the image */

/* Entry i of the bus master's table; and it starts, bm: its ports */
void fide_prd(struct fide *f, unsigned int i, uint32_t addr, uint32_t count, bool last);
void fide_master(struct fide *f, unsigned int bm, uint8_t how);

#endif
