// SPDX-License-Identifier: MIT
/* See ide_fixture.h. */
#include "tests/unit/ide_fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/json.h"
#include "vmm/devices.h"

struct device *fide_make(struct fide *f, const char *json, struct err *e)
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

struct fide *fide_begin(const char *disks)
{
	struct fide *f = calloc(1, sizeof(*f));
	struct err e = { 0 };
	char json[1024];

	assert_non_null(f);
	f->disk = fake_numbered(DISK);
	f->cd = fake_numbered(CD_BLOCKS * ATA_CD_BLOCK);
	fake_board_init(&f->fb, MEM);
	f->host = fake_board_add(&f->fb, &i440fx_class, "pci", NULL);
	snprintf(json, sizeof(json), "{\"type\":\"ide\",\"id\":\"ide0\",\"disks\":[%s]}", disks);
	f->dev = fide_make(f, json, &e);
	if (!f->dev)
		fail_msg("%s", e.msg);
	f->ide = container_of(f->dev, struct ide, dev);
	f->dev->class->reset(f->dev);
	f->dev->class->start(f->dev);
	return f;
}

int fide_setup(void **state)
{
	*state = fide_begin(A_DISK "," A_CD);
	return 0;
}

int fide_teardown(void **state)
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

void fide_settle(struct fide *f)
{
	fake_board_run_until(&f->fb, idle, f);
}

uint8_t fide_in(struct fide *f, unsigned int port)
{
	return fake_in8(&f->fb, (uint16_t)port);
}

void fide_out(struct fide *f, unsigned int port, unsigned int val)
{
	fake_out8(&f->fb, (uint16_t)port, (uint8_t)val);
}

uint8_t fide_status(struct fide *f, unsigned int ch)
{
	fide_settle(f);
	return fide_in(f, ch + 7);
}

bool fide_irq(struct fide *f, unsigned int ch)
{
	return f->fb.irq[ch == P ? 14 : 15];
}

/* By 28 bits */
void fide_command(struct fide *f, unsigned int ch, uint8_t cmd, uint32_t lba, unsigned int count)
{
	fide_out(f, ch + 6, 0xe0 | lba >> 24);
	fide_out(f, ch + 2, count);
	fide_out(f, ch + 3, lba);
	fide_out(f, ch + 4, lba >> 8);
	fide_out(f, ch + 5, lba >> 16);
	fide_out(f, ch + 7, cmd);
}

/* By 48 */
void fide_command_ext(struct fide *f, unsigned int ch, uint8_t cmd, uint64_t lba,
		      unsigned int count)
{
	fide_out(f, ch + 6, 0xe0);
	fide_out(f, ch + 2, count >> 8);
	fide_out(f, ch + 3, (unsigned int)(lba >> 24));
	fide_out(f, ch + 4, (unsigned int)(lba >> 32));
	fide_out(f, ch + 5, (unsigned int)(lba >> 40));
	fide_out(f, ch + 2, count);
	fide_out(f, ch + 3, (unsigned int)lba);
	fide_out(f, ch + 4, (unsigned int)(lba >> 8));
	fide_out(f, ch + 5, (unsigned int)(lba >> 16));
	fide_out(f, ch + 7, cmd);
}

void fide_read_data(struct fide *f, unsigned int ch, void *data, size_t len)
{
	for (size_t i = 0; i < len; i += 2) {
		uint16_t w = (uint16_t)fake_in(&f->fb, (uint16_t)ch, 2);

		memcpy((uint8_t *)data + i, &w, 2);
	}
}

void fide_write_data(struct fide *f, unsigned int ch, const void *data, size_t len)
{
	for (size_t i = 0; i < len; i += 4) {
		uint32_t w;

		memcpy(&w, (const uint8_t *)data + i, 4);
		fake_out(&f->fb, (uint16_t)ch, 4, w);
	}
}

void fide_expect_error(struct fide *f, unsigned int ch, uint8_t error)
{
	assert_int_equal(fide_status(f, ch) & ~ATA_DF, READY | ATA_ERR);
	assert_int_equal(fide_in(f, ch + 1), error);
}

/* A sector of the image begins with its number. */
void fide_expect_sector(const void *data, uint32_t n)
{
	uint32_t got;

	memcpy(&got, data, sizeof(got));
	assert_int_equal(got, n);
}

uint16_t fide_word(const uint8_t *id, unsigned int n)
{
	return (uint16_t)(id[2 * n] | id[2 * n + 1] << 8);
}

void fide_identify(struct fide *f, unsigned int ch, uint8_t cmd, uint8_t id[static ATA_ID])
{
	fide_out(f, ch + 7, cmd);
	assert_int_equal(fide_status(f, ch), READY | ATA_DRQ);
	fide_read_data(f, ch, id, ATA_ID);
	assert_int_equal(fide_status(f, ch), READY);
}

uint32_t fide_cfg(struct fide *f, unsigned int off, unsigned int size)
{
	fake_out(&f->fb, 0xcf8, 4, 0x80000900 | (off & 0xfc));
	return fake_in(&f->fb, (uint16_t)(0xcfc + (off & 3)), size);
}

void fide_cfg_write(struct fide *f, unsigned int off, unsigned int size, uint32_t val)
{
	fake_out(&f->fb, 0xcf8, 4, 0x80000900 | (off & 0xfc));
	fake_out(&f->fb, (uint16_t)(0xcfc + (off & 3)), size, val);
}

void fide_prd(struct fide *f, unsigned int i, uint32_t addr, uint32_t count, bool last)
{
	uint32_t entry[2] = { addr, (count & 0xffff) | (last ? 0x80000000 : 0) };

	memcpy(f->fb.mem + PRD + 8 * i, entry, sizeof(entry));
}

void fide_master(struct fide *f, unsigned int bm, uint8_t how)
{
	fide_cfg_write(f, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
	fake_out(&f->fb, (uint16_t)(bm + 4), 4, PRD);
	fide_out(f, bm + 2, 6);
	fide_out(f, bm, how);
}

void fide_features(struct fide *f, uint8_t sub, unsigned int count)
{
	fide_out(f, P + 1, sub);
	fide_command(f, P, 0xef, 0, count);
}
