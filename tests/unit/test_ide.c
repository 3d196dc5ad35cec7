// SPDX-License-Identifier: MIT
/*
 * The IDE function through its ports: ATA/ATAPI-7 (INCITS 397) volumes 1 (commands) and 2
 * (registers and protocols), and the bus master of the Intel 82371SB (290550).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/json.h"
#include "tests/unit/fake_board.h"
#include "vmm/ata/ide.h"
#include "vmm/block/engine.h"
#include "vmm/devices.h"
#include "vmm/scsi/unit.h"

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

struct fide {
	struct fake_board fb;
	struct device *host, *dev;
	struct ide *ide;
	int disk, cd; /* images */
};

/* --- fixture ---------------------------------------------------------------------------------- */

static int image(uint32_t size)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	for (uint32_t at = 0; at < size; at += ATA_SECTOR) {
		uint32_t n = at / ATA_SECTOR;

		assert_int_equal(pwrite(fd, &n, sizeof(n), at), sizeof(n));
	}
	return fd;
}

static struct device *make(struct fide *f, const char *json, struct err *e)
{
	AUTO_JSON struct json_object *o = NULL;
	struct device *d = NULL;
	struct fdset fds;

	fdset_init(&fds);
	fdset_add(&fds, dup(f->disk));
	fdset_add(&fds, dup(f->cd));
	assert_int_equal(json_parse(json, strlen(json), &o, e), 0);
	device_new(&f->fb.board, o, &fds, &d, e);
	fdset_fini(&fds);
	return d;
}

static struct fide *begin(const char *disks)
{
	struct fide *f = calloc(1, sizeof(*f));
	struct err e = { 0 };
	char json[1024];

	assert_non_null(f);
	f->disk = image(DISK);
	f->cd = image(CD_BLOCKS * ATA_CD_BLOCK);
	fake_board_init(&f->fb, MEM);
	f->host = fake_board_add(&f->fb, &i440fx_class, "pci", NULL);
	snprintf(json, sizeof(json), "{\"type\":\"ide\",\"id\":\"ide0\",\"disks\":[%s]}", disks);
	f->dev = make(f, json, &e);
	if (!f->dev)
		fail_msg("%s", e.msg);
	f->ide = container_of(f->dev, struct ide, dev);
	f->dev->class->reset(f->dev);
	f->dev->class->start(f->dev);
	return f;
}

#define A_DISK "{\"id\":\"root\",\"unit\":0,\"path\":{\"fd\":0}}"
#define A_CD "{\"id\":\"cd\",\"unit\":2,\"kind\":\"cdrom\",\"readonly\":true,\"path\":{\"fd\":1}}"

static int setup(void **state)
{
	*state = begin(A_DISK "," A_CD);
	return 0;
}

static int teardown(void **state)
{
	struct fide *f = *state;

	f->dev->class->stop(f->dev);
	device_free(f->dev);
	fake_board_remove(&f->fb, f->host);
	assert_int_equal(f->fb.pio.nregions, 0);
	fake_board_fini(&f->fb);
	close(f->disk);
	close(f->cd);
	free(f);
	return 0;
}

/* --- a driver --------------------------------------------------------------------------------- */

static bool idle(void *arg)
{
	struct fide *f = arg;

	fake_board_watched(&f->fb);
	return !f->ide->channels[0].running && !f->ide->channels[1].running;
}

static void settle(struct fide *f)
{
	fake_board_run_until(&f->fb, idle, f);
}

static uint8_t in(struct fide *f, unsigned int port)
{
	return fake_in8(&f->fb, (uint16_t)port);
}

static void out(struct fide *f, unsigned int port, unsigned int val)
{
	fake_out8(&f->fb, (uint16_t)port, (uint8_t)val);
}

static uint8_t status(struct fide *f, unsigned int ch)
{
	settle(f);
	return in(f, ch + 7);
}

static bool irq(struct fide *f, unsigned int ch)
{
	return f->fb.irq[ch == P ? 14 : 15];
}

/* By 28 bits */
static void command(struct fide *f, unsigned int ch, uint8_t cmd, uint32_t lba, unsigned int count)
{
	out(f, ch + 6, 0xe0 | lba >> 24);
	out(f, ch + 2, count);
	out(f, ch + 3, lba);
	out(f, ch + 4, lba >> 8);
	out(f, ch + 5, lba >> 16);
	out(f, ch + 7, cmd);
}

/* By 48 */
static void command_ext(struct fide *f, unsigned int ch, uint8_t cmd, uint64_t lba,
			unsigned int count)
{
	out(f, ch + 6, 0xe0);
	out(f, ch + 2, count >> 8);
	out(f, ch + 3, (unsigned int)(lba >> 24));
	out(f, ch + 4, (unsigned int)(lba >> 32));
	out(f, ch + 5, (unsigned int)(lba >> 40));
	out(f, ch + 2, count);
	out(f, ch + 3, (unsigned int)lba);
	out(f, ch + 4, (unsigned int)(lba >> 8));
	out(f, ch + 5, (unsigned int)(lba >> 16));
	out(f, ch + 7, cmd);
}

static void read_data(struct fide *f, unsigned int ch, void *data, size_t len)
{
	for (size_t i = 0; i < len; i += 2) {
		uint16_t w = (uint16_t)fake_in(&f->fb, (uint16_t)ch, 2);

		memcpy((uint8_t *)data + i, &w, 2);
	}
}

static void write_data(struct fide *f, unsigned int ch, const void *data, size_t len)
{
	for (size_t i = 0; i < len; i += 4) {
		uint32_t w;

		memcpy(&w, (const uint8_t *)data + i, 4);
		fake_out(&f->fb, (uint16_t)ch, 4, w);
	}
}

static void expect_error(struct fide *f, unsigned int ch, uint8_t error)
{
	assert_int_equal(status(f, ch) & ~ATA_DF, READY | ATA_ERR);
	assert_int_equal(in(f, ch + 1), error);
}

/* A sector of the image begins with its number. */
static void expect_sector(const void *data, uint32_t n)
{
	uint32_t got;

	memcpy(&got, data, sizeof(got));
	assert_int_equal(got, n);
}

static uint16_t word(const uint8_t *id, unsigned int n)
{
	return (uint16_t)(id[2 * n] | id[2 * n + 1] << 8);
}

static void identify(struct fide *f, unsigned int ch, uint8_t cmd, uint8_t id[static ATA_ID])
{
	out(f, ch + 7, cmd);
	assert_int_equal(status(f, ch), READY | ATA_DRQ);
	read_data(f, ch, id, ATA_ID);
	assert_int_equal(status(f, ch), READY);
}

/* --- the function: 82371SB, PCI configuration registers of function 1 ------------------------- */

static uint32_t cfg(struct fide *f, unsigned int off, unsigned int size)
{
	fake_out(&f->fb, 0xcf8, 4, 0x80000900 | (off & 0xfc));
	return fake_in(&f->fb, (uint16_t)(0xcfc + (off & 3)), size);
}

static void cfg_write(struct fide *f, unsigned int off, unsigned int size, uint32_t val)
{
	fake_out(&f->fb, 0xcf8, 4, 0x80000900 | (off & 0xfc));
	fake_out(&f->fb, (uint16_t)(0xcfc + (off & 3)), size, val);
}

static void test_function(void **state)
{
	struct fide *f = *state;

	assert_int_equal(cfg(f, PCI_VENDOR_ID, 4), 0x70108086);
	assert_int_equal(cfg(f, PCI_CLASS_REVISION, 4) >> 8, 0x010180);
	assert_int_equal(cfg(f, PCI_BASE_ADDRESS_4, 4), BM | 1);
	assert_int_equal(cfg(f, PCI_INTERRUPT_PIN, 1), 0);
	assert_int_equal(cfg(f, 0x40, 4), 0x80008000); /* both channels are decoded */
	cfg_write(f, 0x40, 4, 0xffffffff);
	assert_int_equal(cfg(f, 0x40, 4), 0xf3fff3ff);
	cfg_write(f, 0x44, 4, 0xffffffff);
	assert_int_equal(cfg(f, 0x44, 4), 0xff);
}

/* IDETIM, bit 15; and the command register's I/O space enable */
static void test_decoding(void **state)
{
	struct fide *f = *state;

	assert_int_equal(in(f, P + 7), READY);
	cfg_write(f, 0x40, 2, 0);
	assert_int_equal(in(f, P + 7), 0xff);
	assert_int_equal(in(f, P + CONTROL), 0xff);
	assert_int_not_equal(in(f, S + CONTROL), 0xff);
	cfg_write(f, 0x40, 2, 0x8000);
	assert_int_equal(in(f, P + 7), READY);
	cfg_write(f, PCI_COMMAND, 2, 0);
	assert_int_equal(in(f, P + 7), 0xff);
	assert_int_equal(in(f, BM + 2), 0xff);
	cfg_write(f, PCI_COMMAND, 2, PCI_COMMAND_IO);
	assert_int_equal(in(f, P + 7), READY);
}

/* --- registers: volume 2, chapter 5, and one device of two ------------------------------------ */

static void test_registers(void **state)
{
	struct fide *f = *state;

	out(f, P + 6, 0xa0);
	out(f, P + 2, 0x55);
	out(f, P + 3, 0xaa);
	assert_int_equal(in(f, P + 2), 0x55);
	assert_int_equal(in(f, P + 3), 0xaa);
	out(f, P + 2, 0x33); /* the one before is kept: HOB */
	out(f, P + CONTROL, 0x80);
	assert_int_equal(in(f, P + 2), 0x55);
	out(f, P + 1, 0); /* any write to the command block clears it */
	assert_int_equal(in(f, P + 2), 0x33);
	/* a device 1 that is not there: 0, by device 0 */
	out(f, P + 6, 0xb0);
	for (unsigned int reg = 1; reg < 8; reg++)
		if (reg != 6)
			assert_int_equal(in(f, P + reg), 0);
	assert_int_equal(in(f, P + CONTROL), 0);
	out(f, P + 7, 0xec); /* and it takes no command */
	assert_false(irq(f, P));
}

static void test_empty_channel(void **state)
{
	struct fide *f = *state;

	for (unsigned int reg = 1; reg < 8; reg++)
		assert_int_equal(in(f, S + reg), 0x7f);
	assert_int_equal(in(f, S + CONTROL), 0x7f);
	out(f, S + CONTROL, 4);
	out(f, S + CONTROL, 0);
	out(f, S + 7, 0xec);
	assert_int_equal(in(f, S + 7), 0x7f);
	assert_false(irq(f, S));
}

/* Volume 2: software reset protocol, signature */
static void test_soft_reset(void **state)
{
	struct fide *f = *state;

	out(f, P + 6, 0xf0);
	out(f, P + CONTROL, 4);
	assert_int_equal(in(f, P + CONTROL), 0); /* device 1 */
	out(f, P + 6, 0xe0);
	assert_int_equal(in(f, P + 6), 0xf0); /* nothing is written meanwhile */
	out(f, P + CONTROL, 0);
	assert_int_equal(in(f, P + 6) & 0x1f, 0);
	assert_int_equal(in(f, P + 7), READY);
	assert_int_equal(in(f, P + 1), 1);
	assert_int_equal(in(f, P + 2), 1);
	assert_int_equal(in(f, P + 3), 1);
	assert_int_equal(in(f, P + 4), 0);
	assert_int_equal(in(f, P + 5), 0);
	out(f, S + CONTROL, 4);
	assert_int_equal(in(f, S + CONTROL), ATA_BSY);
	out(f, S + CONTROL, 0);
	assert_int_equal(in(f, S + 7), 0);
	assert_int_equal(in(f, S + 4), 0x14);
	assert_int_equal(in(f, S + 5), 0xeb);
	assert_false(irq(f, P) || irq(f, S));
}

/*
 * A command that is with the host's kernel: the drives are busy until it has ended, and no
 * interrupt tells of it.
 */
static void test_reset_under_way(void **state)
{
	struct fide *f = *state;

	command(f, P, 0x20, 7, 1);
	assert_int_equal(in(f, P + 7), ATA_BSY);
	out(f, P + CONTROL, 4);
	out(f, P + CONTROL, 0);
	assert_int_equal(in(f, P + CONTROL), ATA_BSY);
	out(f, P + 7, 0xec); /* ignored */
	assert_int_equal(status(f, P), READY);
	assert_int_equal(in(f, P + 1), 1);
	assert_int_equal(f->fb.irq_raised[14], 0);
}

static void test_diagnostic(void **state)
{
	struct fide *f = *state;

	out(f, P + 6, 0xb0);
	out(f, P + 7, 0x90);
	assert_true(irq(f, P));
	assert_int_equal(in(f, P + 6) & 0x10, 0);
	assert_int_equal(in(f, P + 1), 1);
	assert_int_equal(status(f, P), READY);
	assert_false(irq(f, P));
}

/* Volume 2: INTRQ, nIEN; 82371SB: BMISX, bit 2 */
static void test_interrupt(void **state)
{
	struct fide *f = *state;

	command(f, P, 0x40, 0, 1);
	assert_true(irq(f, P));
	assert_int_equal(in(f, P + CONTROL), READY); /* Alternate Status leaves it */
	assert_true(irq(f, P));
	out(f, P + CONTROL, 2); /* nIEN */
	assert_false(irq(f, P));
	out(f, P + CONTROL, 0);
	assert_true(irq(f, P));
	out(f, P + 6, 0xf0); /* the other device drives the line now */
	assert_false(irq(f, P));
	out(f, P + 6, 0xe0);
	assert_true(irq(f, P));
	assert_int_equal(in(f, BM + 2) & 4, 4);
	out(f, BM + 2, 4);
	assert_int_equal(in(f, BM + 2) & 4, 0);
	assert_int_equal(in(f, P + 7), READY);
	assert_false(irq(f, P));
	command(f, P, 0x40, 0, 1);
	assert_true(irq(f, P));
	command(f, P, 0x20, 0, 1); /* a command takes it back */
	assert_false(irq(f, P));
	settle(f);
}

/* --- IDENTIFY: volume 1 ----------------------------------------------------------------------- */

static void test_identify(void **state)
{
	struct fide *f = *state;
	uint8_t id[ATA_ID], sum = 0;

	out(f, P + 6, 0xe0);
	identify(f, P, 0xec, id);
	assert_int_equal(word(id, 0), 0x0040);
	assert_int_equal(word(id, 1), SECTORS / (16 * 63));
	assert_int_equal(word(id, 3), 16);
	assert_int_equal(word(id, 6), 63);
	assert_memory_equal(id + 20, "orto                ", 20);
	assert_memory_equal(id + 54, "MV DAHDRD SI K ", 15);
	assert_int_equal(word(id, 49) & 0x0300, 0x0300);
	assert_int_equal(word(id, 60) | word(id, 61) << 16, SECTORS);
	assert_int_equal(word(id, 63), 0x0007);
	assert_int_equal(word(id, 80), 0x00f0);
	assert_int_equal(word(id, 82) & 1, 0); /* no SMART */
	assert_int_equal(word(id, 83), 0x7400);
	assert_int_equal(word(id, 100), SECTORS);
	assert_int_equal(word(id, 85) & 0x60, 0x60);
	for (unsigned int i = 0; i < ATA_ID; i++)
		sum += id[i];
	assert_int_equal(sum, 0);
	assert_int_equal(id[510], 0xa5);
}

static void test_identify_packet(void **state)
{
	struct fide *f = *state;
	uint8_t id[ATA_ID];

	out(f, S + 6, 0xa0);
	identify(f, S, 0xa1, id);
	assert_int_equal(word(id, 0), 0x85c0);
	assert_int_equal(word(id, 82), 0x0218);
	out(f, S + 7, 0xec); /* is aborted, with the signature */
	expect_error(f, S, ATA_ABRT);
	assert_int_equal(in(f, S + 4), 0x14);
	assert_int_equal(in(f, S + 5), 0xeb);
	out(f, P + 6, 0xa0);
	out(f, P + 7, 0xa1); /* and the other one by a disk */
	expect_error(f, P, ATA_ABRT);
}

/* --- PIO data-in and data-out protocols: volume 2 --------------------------------------------- */

static void test_read_pio(void **state)
{
	struct fide *f = *state;
	uint8_t data[ATA_SECTOR];

	command(f, P, 0x20, 0x321, 3);
	assert_int_equal(in(f, P + CONTROL), ATA_BSY);
	for (uint32_t i = 0; i < 3; i++) {
		settle(f);
		assert_int_equal(in(f, P + CONTROL), READY | ATA_DRQ);
		assert_true(irq(f, P)); /* one a sector, when there is data */
		assert_int_equal(status(f, P), READY | ATA_DRQ);
		read_data(f, P, data, sizeof(data));
		expect_sector(data, 0x321 + i);
	}
	assert_int_equal(status(f, P), READY);
	assert_false(irq(f, P)); /* none behind the last */
	assert_int_equal(f->fb.irq_raised[14], 3);
	assert_int_equal(fake_in(&f->fb, P, 2), 0); /* there is no more */
}

static void test_write_pio(void **state)
{
	struct fide *f = *state;
	uint8_t data[2 * ATA_SECTOR], got[2 * ATA_SECTOR];

	memset(data, 0x5a, sizeof(data));
	command(f, P, 0x30, 100, 2);
	assert_int_equal(in(f, P + 7), READY | ATA_DRQ);
	assert_false(irq(f, P)); /* for the first there is none */
	write_data(f, P, data, ATA_SECTOR);
	assert_int_equal(in(f, P + CONTROL), ATA_BSY);
	settle(f);
	assert_true(irq(f, P));
	assert_int_equal(status(f, P), READY | ATA_DRQ);
	write_data(f, P, data, ATA_SECTOR);
	settle(f);
	assert_true(irq(f, P));
	assert_int_equal(status(f, P), READY);
	assert_int_equal(pread(f->disk, got, sizeof(got), 100 * ATA_SECTOR), sizeof(got));
	assert_memory_equal(got, data, sizeof(got));
	assert_int_equal(pread(f->disk, got, 4, 102 * ATA_SECTOR), 4);
	expect_sector(got, 102);
}

/* READ MULTIPLE, SET MULTIPLE MODE: several sectors to an interrupt, the rest in a smaller block */
static void test_multiple(void **state)
{
	struct fide *f = *state;
	uint8_t data[4 * ATA_SECTOR];

	command(f, P, 0xc4, 0, 1);
	expect_error(f, P, ATA_ABRT); /* not before it is set */
	command(f, P, 0xc6, 0, 3);
	expect_error(f, P, ATA_ABRT);
	command(f, P, 0xc6, 0, 32);
	expect_error(f, P, ATA_ABRT);
	command(f, P, 0xc6, 0, 4);
	assert_int_equal(status(f, P), READY);
	f->fb.irq_raised[14] = 0;
	command_ext(f, P, 0x29, 50, 6);
	assert_int_equal(status(f, P), READY | ATA_DRQ);
	read_data(f, P, data, sizeof(data));
	expect_sector(data + 3 * ATA_SECTOR, 53);
	assert_int_equal(status(f, P), READY | ATA_DRQ);
	read_data(f, P, data, 2 * ATA_SECTOR);
	expect_sector(data + ATA_SECTOR, 55);
	assert_int_equal(status(f, P), READY);
	assert_int_equal(f->fb.irq_raised[14], 2);
}

/* CHS addresses of ATA-5: by cylinder, head and sector */
static void test_chs(void **state)
{
	struct fide *f = *state;
	uint8_t data[ATA_SECTOR];

	out(f, P + 6, 0xa0 | 5);
	out(f, P + 2, 1);
	out(f, P + 3, 7);
	out(f, P + 4, 2);
	out(f, P + 5, 0);
	out(f, P + 7, 0x20);
	assert_int_equal(status(f, P), READY | ATA_DRQ);
	read_data(f, P, data, sizeof(data));
	expect_sector(data, (2 * 16 + 5) * 63 + 6);
	out(f, P + 3, 0); /* they count from 1 */
	out(f, P + 7, 0x20);
	expect_error(f, P, ATA_IDNF);
	out(f, P + 3, 64);
	out(f, P + 7, 0x20);
	expect_error(f, P, ATA_IDNF);
	/* INITIALIZE DEVICE PARAMETERS: 8 heads, 32 sectors */
	out(f, P + 6, 0xa0 | 7);
	out(f, P + 2, 32);
	out(f, P + 7, 0x91);
	assert_int_equal(status(f, P), READY);
	out(f, P + 6, 0xa0 | 3);
	out(f, P + 2, 1);
	out(f, P + 3, 1);
	out(f, P + 4, 1);
	out(f, P + 7, 0x20);
	assert_int_equal(status(f, P), READY | ATA_DRQ);
	read_data(f, P, data, sizeof(data));
	expect_sector(data, (8 + 3) * 32);
	out(f, P + 2, 0);
	out(f, P + 7, 0x91);
	expect_error(f, P, ATA_ABRT);
}

static void test_range(void **state)
{
	struct fide *f = *state;

	command(f, P, 0x20, SECTORS - 1, 2);
	expect_error(f, P, ATA_IDNF);
	command(f, P, 0x20, SECTORS - 255, 0); /* 256 of them */
	expect_error(f, P, ATA_IDNF);
	command_ext(f, P, 0x25, 0xffffffffffff, 0);
	expect_error(f, P, ATA_IDNF);
	command_ext(f, P, 0x42, 0, 0); /* 65536 */
	expect_error(f, P, ATA_IDNF);
	command_ext(f, P, 0x42, SECTORS - 4, 4);
	assert_int_equal(status(f, P), READY);
}

/* --- DMA: 82371SB, bus master IDE registers and operation ------------------------------------- */

static void prd(struct fide *f, unsigned int i, uint32_t addr, uint32_t count, bool last)
{
	uint32_t entry[2] = { addr, (count & 0xffff) | (last ? 0x80000000 : 0) };

	memcpy(f->fb.mem + PRD + 8 * i, entry, sizeof(entry));
}

static void master(struct fide *f, unsigned int bm, uint8_t how)
{
	cfg_write(f, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
	fake_out(&f->fb, (uint16_t)(bm + 4), 4, PRD);
	out(f, bm + 2, 6);
	out(f, bm, how);
}

static void test_read_dma(void **state)
{
	struct fide *f = *state;

	prd(f, 0, DATA, 512, false);
	prd(f, 1, DATA + 0x2000, 1024 - 2, false); /* cut in the middle of a sector */
	prd(f, 2, DATA + 0x4000, 514, true);
	command(f, P, 0xc8, 1000, 4);
	assert_int_equal(status(f, P), READY | ATA_DRQ);
	assert_int_equal(in(f, BM + 2) & 1, 0);
	master(f, BM, 9);
	assert_int_equal(in(f, BM + 2) & 1, 1);
	settle(f);
	assert_true(irq(f, P));
	assert_int_equal(in(f, BM + 2) & 7, 4); /* interrupt, not active: all of both */
	assert_int_equal(status(f, P), READY);
	expect_sector(f->fb.mem + DATA, 1000);
	expect_sector(f->fb.mem + DATA + 0x2000, 1001);
	expect_sector(f->fb.mem + DATA + 0x2000 + 512, 1002);
	expect_sector(f->fb.mem + DATA + 0x4002, 1003);
	out(f, BM, 0);
	/* a table that has more: still active */
	prd(f, 0, DATA, 0, true); /* 64 KiB */
	command_ext(f, P, 0x25, 2000, 1);
	master(f, BM, 9);
	settle(f);
	assert_int_equal(in(f, BM + 2) & 7, 5);
	assert_int_equal(status(f, P), READY);
	expect_sector(f->fb.mem + DATA, 2000);
	out(f, BM, 0);
	assert_int_equal(in(f, BM + 2) & 7, 4);
}

static void test_write_dma(void **state)
{
	struct fide *f = *state;
	uint8_t got[8 * ATA_SECTOR];

	memset(f->fb.mem + DATA, 0xa5, sizeof(got));
	prd(f, 0, DATA, sizeof(got), true);
	master(f, BM, 1); /* it may start before the command */
	command(f, P, 0xca, 40, 8);
	settle(f);
	assert_int_equal(status(f, P), READY);
	assert_int_equal(in(f, BM + 2) & 7, 4);
	assert_int_equal(pread(f->disk, got, sizeof(got), 40 * ATA_SECTOR), sizeof(got));
	assert_memory_equal(got, f->fb.mem + DATA, sizeof(got));
	command(f, P, 0xe7, 0, 0); /* FLUSH CACHE */
	assert_int_equal(in(f, P + 7), ATA_BSY);
	assert_int_equal(status(f, P), READY);
}

/*
 * BMISX, bits 2 and 0: a table that is too short stops the bus master, and the drive waits for
 * the next one.
 */
static void test_short_table(void **state)
{
	struct fide *f = *state;

	prd(f, 0, DATA, 512, true);
	command(f, P, 0xc8, 10, 2);
	master(f, BM, 9);
	settle(f);
	assert_int_equal(in(f, BM + 2) & 7, 0);
	assert_int_equal(status(f, P), READY | ATA_DRQ);
	assert_false(irq(f, P));
	out(f, BM, 0);
	prd(f, 0, DATA + 512, 512, true);
	master(f, BM, 9);
	settle(f);
	assert_int_equal(in(f, BM + 2) & 7, 4);
	assert_int_equal(status(f, P), READY);
	expect_sector(f->fb.mem + DATA + 512, 11);
	out(f, BM, 0);
	/* in the middle of a sector: whole ones have moved */
	prd(f, 0, DATA, 700, true);
	command(f, P, 0xc8, 20, 2);
	master(f, BM, 9);
	settle(f);
	assert_int_equal(in(f, BM + 2) & 7, 0);
	assert_int_equal(status(f, P), READY | ATA_DRQ);
	expect_sector(f->fb.mem + DATA, 20);
	expect_sector(f->fb.mem + DATA + 512, 11);
	out(f, BM, 0);
	prd(f, 0, DATA + 512, 512, true);
	master(f, BM, 9);
	settle(f);
	assert_int_equal(status(f, P), READY);
	expect_sector(f->fb.mem + DATA + 512, 21);
}

/* What is no memory: an error, and nothing moves */
static void test_bad_table(void **state)
{
	struct fide *f = *state;

	prd(f, 0, DATA, 512, false);
	prd(f, 1, MEM - 256, 512, true);
	command(f, P, 0xc8, 10, 2);
	master(f, BM, 9);
	settle(f);
	assert_int_equal(in(f, BM + 2) & 7, 2);
	assert_int_equal(f->fb.mem[DATA], 0);
	out(f, BM + 2, 2);
	assert_int_equal(in(f, BM + 2) & 7, 0);
	out(f, BM, 0);
	fake_out(&f->fb, BM + 4, 4, 0xfffffffc);
	out(f, BM, 9);
	settle(f);
	assert_int_equal(in(f, BM + 2) & 7, 2);
	out(f, P + CONTROL, 4);
	out(f, P + CONTROL, 0);
	assert_int_equal(status(f, P), READY);
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
	command(f, P, 0xc8, 500, 20);
	cfg_write(f, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
	fake_out(&f->fb, BM + 4, 4, 0x100000);
	out(f, BM, 9);
	settle(f);
	assert_int_equal(in(f, BM + 2) & 7, 4);
	assert_int_equal(status(f, P), READY);
	assert_int_equal(pread(f->disk, want, sizeof(want), 500 * ATA_SECTOR), sizeof(want));
	for (unsigned int i = 0; i < n; i++)
		memcpy(got + 2 * i, f->fb.mem + DATA + 0x40000 + 4 * i, 2);
	assert_memory_equal(got, want, sizeof(want));
}

/* PCI 3.0, section 6.2.2: without bus mastering nothing moves */
static void test_master_off(void **state)
{
	struct fide *f = *state;

	prd(f, 0, DATA, 512, true);
	command(f, P, 0xc8, 77, 1);
	fake_out(&f->fb, BM + 4, 4, PRD);
	out(f, BM, 9);
	settle(f);
	assert_int_equal(status(f, P), READY | ATA_DRQ);
	assert_int_equal(f->fb.mem[DATA], 0);
	cfg_write(f, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
	settle(f);
	assert_int_equal(status(f, P), READY);
	expect_sector(f->fb.mem + DATA, 77);
	/* switched off while it moves: that ends first */
	command(f, P, 0xc8, 78, 1);
	master(f, BM, 0);
	out(f, BM, 9);
	cfg_write(f, PCI_COMMAND, 2, PCI_COMMAND_IO);
	assert_false(f->ide->channels[0].running);
	expect_sector(f->fb.mem + DATA, 78);
}

static void test_bm_registers(void **state)
{
	struct fide *f = *state;

	fake_out(&f->fb, BM + 12, 4, 0x12345677);
	assert_int_equal(fake_in(&f->fb, BM + 12, 4), 0x12345674);
	assert_int_equal(fake_in(&f->fb, BM + 4, 4), 0);
	out(f, BM + 10, 0xff);
	assert_int_equal(in(f, BM + 10), 0x60); /* the drives can: the driver's own note */
	out(f, BM + 8, 0xff);
	assert_int_equal(in(f, BM + 8), 0x09);
	assert_int_equal(in(f, BM + 10) & 1, 1);
	out(f, BM + 8, 0);
	assert_int_equal(in(f, BM + 10) & 1, 0);
}

/* --- what the drive is told ------------------------------------------------------------------- */

static void features(struct fide *f, uint8_t sub, unsigned int count)
{
	out(f, P + 1, sub);
	command(f, P, 0xef, 0, count);
}

static int recorded_mode;

static int64_t recording(const struct block *b, const struct block_step *s)
{
	recorded_mode = s->mode;
	return raw_step(b, s);
}

/* A write that is done is stable where the cache is off, or the command says so: FUA. */
static void test_stable(void **state)
{
	struct fide *f = *state;

	f->ide->set.target->units[0]->block->step = recording;
	prd(f, 0, DATA, 512, true);
	for (unsigned int i = 0; i < 4; i++) {
		master(f, BM, 0);
		out(f, BM, 1);
		if (i == 1)
			command_ext(f, P, 0x3d, 1, 1);
		else
			command_ext(f, P, 0x35, 1, 1);
		assert_int_equal(status(f, P), READY);
		assert_int_equal(recorded_mode, i == 1 || i == 2 ? RWF_DSYNC : 0);
		features(f, i == 1 ? 0x82 : 0x02, 0);
		assert_int_equal(status(f, P), READY);
	}
}

static void test_features(void **state)
{
	struct fide *f = *state;
	uint8_t id[ATA_ID];

	features(f, 0x03, 0x22); /* multiword DMA 2 */
	assert_int_equal(status(f, P), READY);
	features(f, 0x82, 0); /* write cache off: it is flushed */
	assert_int_equal(status(f, P), READY);
	features(f, 0x55, 0);
	assert_int_equal(status(f, P), READY);
	identify(f, P, 0xec, id);
	assert_int_equal(word(id, 63), 0x0407);
	assert_int_equal(word(id, 85) & 0x60, 0);
	assert_int_equal(word(id, 82) & 0x60, 0x60);
	features(f, 0x02, 0);
	assert_int_equal(status(f, P), READY);
	identify(f, P, 0xec, id);
	assert_int_equal(word(id, 85) & 0x20, 0x20);
	features(f, 0x03, 0x46);
	expect_error(f, P, ATA_ABRT);
	features(f, 0x05, 1); /* APM */
	expect_error(f, P, ATA_ABRT);
}

/* Of the feature sets that IDENTIFY does not name */
static void test_refused(void **state)
{
	static const uint8_t no[] = { 0x00, 0xb0, 0xf1, 0xf5, 0xf8, 0x27, 0x2f, 0x60, 0xa0, 0x08 };
	struct fide *f = *state;

	for (unsigned int i = 0; i < sizeof(no); i++) {
		command(f, P, no[i], 0, 1);
		assert_true(irq(f, P));
		expect_error(f, P, ATA_ABRT);
	}
	command(f, P, 0xe5, 0, 0); /* CHECK POWER MODE */
	assert_int_equal(status(f, P), READY);
	assert_int_equal(in(f, P + 2), 0xff);
}

/* --- what the host cannot do ------------------------------------------------------------------ */

static int64_t failing(const struct block *b, const struct block_step *s)
{
	(void)b;
	(void)s;
	return -EIO;
}

static void fail_disk(struct fide *f)
{
	f->ide->set.target->units[0]->block->step = failing;
}

static void test_errors(void **state)
{
	struct fide *f = *state;
	uint8_t data[ATA_SECTOR] = { 0 };

	fail_disk(f);
	command(f, P, 0x20, 0x123, 1);
	expect_error(f, P, ATA_UNC);
	assert_int_equal(in(f, P + 3), 0x23);
	assert_int_equal(in(f, P + 4), 0x01);
	command(f, P, 0x30, 5, 1);
	write_data(f, P, data, sizeof(data));
	settle(f);
	assert_int_equal(in(f, P + CONTROL), READY | ATA_ERR | ATA_DF);
	expect_error(f, P, ATA_ABRT);
	command(f, P, 0xe7, 0, 0);
	expect_error(f, P, ATA_ABRT);
	fake_board_watched(&f->fb);
	assert_true(f->fb.nnotices > 0);
	assert_non_null(strstr(f->fb.notice, "disk 'root'"));
}

/* on_error: stop. It is held, as if it took long, and runs after a pause. */
static void test_held(void **state)
{
	struct fide *f =
		begin("{\"id\":\"root\",\"unit\":0,\"path\":{\"fd\":0},\"on_error\":\"stop\"}");
	int64_t (*step)(const struct block *b, const struct block_step *s) =
		f->ide->set.target->units[0]->block->step;
	uint8_t data[ATA_SECTOR];

	(void)state;
	fail_disk(f);
	command(f, P, 0x20, 33, 1);
	fake_board_run(&f->fb);
	fake_board_watched(&f->fb);
	assert_non_null(strstr(f->fb.notice, "disk-stopped"));
	assert_int_equal(in(f, P + 7), ATA_BSY);
	f->ide->set.target->units[0]->block->step = step;
	f->dev->class->stop(f->dev);
	assert_int_equal(in(f, P + 7), ATA_BSY);
	f->dev->class->start(f->dev);
	assert_int_equal(status(f, P), READY | ATA_DRQ);
	read_data(f, P, data, sizeof(data));
	expect_sector(data, 33);
	/* and a reset of the machine forgets it */
	fail_disk(f);
	command(f, P, 0x20, 33, 1);
	fake_board_run(&f->fb);
	f->dev->class->stop(f->dev);
	f->dev->class->reset(f->dev);
	f->dev->class->start(f->dev);
	assert_int_equal(status(f, P), READY);
	teardown((void **)&f);
}

static void test_readonly(void **state)
{
	struct fide *f =
		begin("{\"id\":\"root\",\"unit\":1,\"path\":{\"fd\":0},\"readonly\":true}");
	uint8_t data[ATA_SECTOR] = { 0 };

	(void)state;
	assert_int_equal(in(f, P + 7), 0x7f); /* nobody answers for a device 0 that is not there */
	out(f, P + 6, 0xf0);
	out(f, P + 2, 1);
	out(f, P + 7, 0x30);
	assert_int_equal(in(f, P + 7), READY | ATA_DRQ);
	write_data(f, P, data, sizeof(data));
	settle(f);
	expect_error(f, P, ATA_ABRT);
	teardown((void **)&f);
}

/* --- packets: PACKET of volume 1, its protocols of volume 2 ----------------------------------- */

static void packet(struct fide *f, unsigned int feature, unsigned int limit, const uint8_t *cdb)
{
	out(f, S + 6, 0xa0);
	out(f, S + 1, feature);
	out(f, S + 4, limit);
	out(f, S + 5, limit >> 8);
	out(f, S + 7, 0xa0);
	assert_int_equal(status(f, S), READY | ATA_DRQ);
	assert_int_equal(in(f, S + 2), 1); /* a command, to the device */
	assert_false(irq(f, S));
	write_data(f, S, cdb, ATA_CDB);
}

#define CDB(...) ((const uint8_t[ATA_CDB]){ __VA_ARGS__ })

static void expect_data(struct fide *f, unsigned int bytes)
{
	settle(f);
	assert_true(irq(f, S));
	assert_int_equal(status(f, S), READY | ATA_DRQ);
	assert_int_equal(in(f, S + 2), 2); /* data, to the host */
	assert_int_equal(in(f, S + 4) | in(f, S + 5) << 8, bytes);
}

static void expect_done(struct fide *f)
{
	settle(f);
	assert_true(irq(f, S));
	assert_int_equal(status(f, S), READY);
	assert_int_equal(in(f, S + 2), 3); /* the end */
}

/* SPC-4, annex D: told once, by the command that fails of it */
static void wake(struct fide *f)
{
	uint8_t sense[18];

	packet(f, 0, 0, CDB(0x00));
	expect_error(f, S, 6 << 4 | ATA_ABRT);
	packet(f, 0, 18, CDB(0x03, 0, 0, 0, 18));
	expect_data(f, 18);
	read_data(f, S, sense, sizeof(sense));
	expect_done(f);
	assert_int_equal(sense[2], 6);
	assert_int_equal(sense[12], 0x29);
	packet(f, 0, 18, CDB(0x03, 0, 0, 0, 18)); /* nothing is left */
	expect_data(f, 18);
	read_data(f, S, sense, sizeof(sense));
	expect_done(f);
	assert_int_equal(sense[2], 0);
}

static void test_packet_pio(void **state)
{
	struct fide *f = *state;
	uint8_t data[3 * ATA_CD_BLOCK];

	wake(f);
	packet(f, 0, 0, CDB(0x00)); /* TEST UNIT READY */
	expect_done(f);
	packet(f, 0, 36, CDB(0x12, 0, 0, 0, 36)); /* INQUIRY */
	expect_data(f, 36);
	read_data(f, S, data, 36);
	expect_done(f);
	assert_int_equal(data[0], 5);
	/* READ(10), by what the host takes at once: an odd limit is cut */
	packet(f, 0, 4097, CDB(0x28, 0, 0, 0, 0, 7, 0, 0, 3));
	expect_data(f, 4096);
	read_data(f, S, data, 4096);
	expect_data(f, 2048);
	read_data(f, S, data + 4096, 2048);
	expect_done(f);
	for (uint32_t i = 0; i < 12; i++)
		expect_sector(data + ATA_SECTOR * i, 4 * 7 + i);
}

static void test_packet_long(void **state)
{
	struct fide *f = *state;
	uint8_t data[32 * ATA_CD_BLOCK];

	wake(f);
	packet(f, 0, 0xffff, CDB(0xa8, 0, 0, 0, 0, 4, 0, 0, 0, 64)); /* READ(12) */
	for (unsigned int part = 0; part < 2; part++) {
		expect_data(f, 0xfffe);
		read_data(f, S, data, 0xfffe);
		expect_data(f, 2);
		read_data(f, S, data + 0xfffe, 2);
		expect_sector(data, 4 * (4 + 32 * part));
		expect_sector(data + 31 * ATA_CD_BLOCK, 4 * (4 + 32 * part + 31));
	}
	expect_done(f);
	packet(f, 0, 2048, CDB(0x28, 0, 0, 0, 0, CD_BLOCKS - 1, 0, 0, 2));
	expect_error(f, S, 5 << 4 | ATA_ABRT);
}

static void test_packet_dma(void **state)
{
	struct fide *f = *state;

	wake(f);
	prd(f, 0, DATA, 2048 * 2 - 6, false);
	prd(f, 1, DATA + 0x8000, 2048 + 6, true);
	packet(f, 1, 0, CDB(0x28, 0, 0, 0, 0, 9, 0, 0, 3));
	master(f, BM + 8, 9);
	expect_done(f);
	assert_int_equal(in(f, BM + 10) & 7, 4);
	expect_sector(f->fb.mem + DATA, 36);
	expect_sector(f->fb.mem + DATA + 0x8000 + 6, 44);
	out(f, BM + 8, 0);
	/* an answer, too; shorter than the table */
	prd(f, 0, DATA, 6, false);
	prd(f, 1, DATA + 0x100, 512, true);
	packet(f, 1, 0, CDB(0x25)); /* READ CAPACITY */
	settle(f);
	assert_int_equal(in(f, S + CONTROL), READY | ATA_DRQ);
	master(f, BM + 8, 9);
	expect_done(f);
	assert_int_equal(f->fb.mem[DATA + 3], CD_BLOCKS - 1);
	assert_int_equal(f->fb.mem[DATA + 0x100], 8); /* 0x0800 */
	assert_int_equal(in(f, BM + 10) & 7, 5);
}

/* DEVICE RESET: the packet device alone, also when it is busy */
static void test_device_reset(void **state)
{
	struct fide *f = *state;

	wake(f);
	packet(f, 0, 2048, CDB(0x28, 0, 0, 0, 0, 7, 0, 0, 1));
	assert_int_equal(in(f, S + 7), ATA_BSY);
	out(f, S + 7, 0x08);
	assert_int_equal(status(f, S), 0);
	assert_int_equal(in(f, S + 4), 0x14);
	assert_int_equal(in(f, S + 5), 0xeb);
	out(f, S + 7, 0xa0); /* in the middle of a packet */
	assert_int_equal(status(f, S), READY | ATA_DRQ);
	out(f, S + 7, 0x08);
	assert_int_equal(status(f, S), 0);
	packet(f, 0, 0, CDB(0x00));
	expect_done(f);
}

/* The tray, the lock, and another medium: vmctl media */
static void test_media(void **state)
{
	struct device_medium m = { 0 };
	struct fide *f = *state;
	struct device_drive drive;
	struct err e = { 0 };
	uint8_t data[18];

	wake(f);
	assert_true(f->dev->class->drive(f->dev, 0, &drive));
	assert_string_equal(drive.id, "cd");
	assert_true(drive.medium && !drive.open && !drive.locked);
	assert_false(f->dev->class->drive(f->dev, 1, &drive));
	packet(f, 0, 0, CDB(0x1e, 0, 0, 0, 1)); /* PREVENT REMOVAL */
	expect_done(f);
	assert_int_equal(f->dev->class->set_medium(f->dev, 0, &m, &e), -ERR_VM_MEDIUM_LOCKED);
	assert_string_equal(e.msg, "the guest has locked drive 'cd'");
	packet(f, 0, 0, CDB(0x1e));
	expect_done(f);
	assert_int_equal(f->dev->class->set_medium(f->dev, 0, &m, &e), 0);
	assert_true(m.changed);
	packet(f, 0, 0, CDB(0x00));
	expect_error(f, S, 6 << 4 | ATA_ABRT);
	packet(f, 0, 0, CDB(0x00));
	expect_error(f, S, 2 << 4 | ATA_ABRT);
	packet(f, 0, 18, CDB(0x03, 0, 0, 0, 18));
	expect_data(f, 18);
	read_data(f, S, data, sizeof(data));
	expect_done(f);
	assert_int_equal(data[12], 0x3a);
	assert_int_equal(data[13], 2); /* the tray is open */
}

/* --- life ------------------------------------------------------------------------------------- */

static void test_reset(void **state)
{
	struct fide *f = *state;

	features(f, 0x82, 0);
	assert_int_equal(status(f, P), READY);
	cfg_write(f, 0x40, 4, 0);
	command(f, S, 0x20, 0, 1);
	f->dev->class->stop(f->dev);
	f->dev->class->reset(f->dev);
	f->dev->class->start(f->dev);
	assert_int_equal(cfg(f, 0x40, 4), 0x80008000);
	assert_int_equal(in(f, P + 7), READY);
	assert_int_equal(in(f, P + 1), 1);
	assert_true(f->ide->set.drives[0].write_cache);
	assert_false(irq(f, P) || irq(f, S));
}

/* A pause in the middle: what runs ends first, what does not goes on afterwards. */
static void test_pause(void **state)
{
	struct fide *f = *state;
	uint8_t data[ATA_SECTOR];

	command(f, P, 0x20, 12, 2);
	f->dev->class->stop(f->dev);
	f->dev->class->start(f->dev);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(status(f, P), READY | ATA_DRQ);
		read_data(f, P, data, sizeof(data));
		expect_sector(data, 12 + i);
		f->dev->class->stop(f->dev);
		f->dev->class->start(f->dev);
	}
	assert_int_equal(status(f, P), READY);
}

static void expect_bad(struct fide *f, const char *json, const char *message)
{
	struct err e = { 0 };

	assert_null(make(f, json, &e));
	assert_string_equal(e.msg, message);
}

static void test_bad_configurations(void **state)
{
	struct fide *f = calloc(1, sizeof(*f));

	(void)state;
	f->disk = image(DISK);
	f->cd = image(1024);
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

static int setup_disk(void **state)
{
	*state = begin(A_DISK);
	return 0;
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_function),
		T(test_decoding),
		T(test_registers),
		T(test_soft_reset),
		T(test_reset_under_way),
		T(test_diagnostic),
		T(test_interrupt),
		T(test_identify),
		T(test_identify_packet),
		T(test_read_pio),
		T(test_write_pio),
		T(test_multiple),
		T(test_chs),
		T(test_range),
		T(test_read_dma),
		T(test_write_dma),
		T(test_short_table),
		T(test_bad_table),
		T(test_small_regions),
		T(test_master_off),
		T(test_bm_registers),
		T(test_features),
		T(test_stable),
		T(test_refused),
		T(test_errors),
		T(test_packet_pio),
		T(test_packet_long),
		T(test_packet_dma),
		T(test_device_reset),
		T(test_media),
		T(test_reset),
		T(test_pause),
		cmocka_unit_test_setup_teardown(test_empty_channel, setup_disk, teardown),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_readonly),
		cmocka_unit_test(test_bad_configurations),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
