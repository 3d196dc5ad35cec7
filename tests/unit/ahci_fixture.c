// SPDX-License-Identifier: MIT
/* See ahci_fixture.h. */
#include "tests/unit/ahci_fixture.h"

#include <stdarg.h>
#include <stddef.h>
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

#define SLOT 3
#define PORT_MEM(port) (0x30000u * (port) + 0x10000) /* guest address of a port's structures */
#define RECEIVED 0x400				     /* … from there: FISes */
#define TABLES 0x1000
#define TABLE_SIZE 0x1000

static void make(struct fahci *f, const char *disks, struct err *e)
{
	AUTO_JSON struct json_object *o = NULL;
	struct fdset fds;
	char json[1024];

	f->disk = fake_numbered(AHCI_SECTORS * ATA_SECTOR);
	f->cd = fake_numbered(AHCI_CD_BLOCKS * ATA_CD_BLOCK);
	fake_board_init(&f->fb, AHCI_MEM);
	f->host = fake_board_add(&f->fb, &pci_host_class, "pci", NULL);
	snprintf(json, sizeof(json),
		 "{\"type\":\"ahci\",\"id\":\"ahci0\",\"address\":\"00:03.0\",\"disks\":[%s]}",
		 disks);
	fdset_init(&fds);
	fdset_add(&fds, dup(f->disk));
	fdset_add(&fds, dup(f->cd));
	assert_int_equal(json_parse(json, strlen(json), &o, e), 0);
	device_new(&f->fb.board, o, &fds, &f->dev, e);
	fdset_fini(&fds);
}

struct fahci *fahci_begin(const char *disks)
{
	struct fahci *f = calloc(1, sizeof(*f));
	struct err e = { 0 };

	assert_non_null(f);
	make(f,
	     disks ? disks
		   : "{\"id\":\"root\",\"unit\":0,\"path\":{\"fd\":0}},{\"id\":\"cd\",\"unit\":2,"
		     "\"kind\":\"cdrom\",\"readonly\":true,\"path\":{\"fd\":1}}",
	     &e);
	if (!f->dev)
		fail_msg("%s", e.msg);
	f->ahci = container_of(f->dev, struct ahci, dev);
	f->dev->class->reset(f->dev);
	f->dev->class->start(f->dev);
	f->bar = guest_pci_bar(&f->fb, SLOT, 5);
	guest_pci_write(&f->fb, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	return f;
}

static void end(struct fahci *f)
{
	fake_board_remove(&f->fb, f->host);
	assert_int_equal(f->fb.mmio.nregions, 0);
	fake_board_fini(&f->fb);
	close(f->disk);
	close(f->cd);
	free(f);
}

void fahci_end(struct fahci *f)
{
	f->dev->class->stop(f->dev);
	device_free(f->dev);
	end(f);
}

void fahci_expect_bad(const char *disks, const char *message)
{
	struct fahci *f = calloc(1, sizeof(*f));
	struct err e = { 0 };

	assert_non_null(f);
	make(f, disks, &e);
	assert_null(f->dev);
	assert_string_equal(e.msg, message);
	end(f);
}

/* --- registers ------------------------------------------------------------------------------------- */

uint32_t fahci_read(struct fahci *f, unsigned int reg)
{
	return (uint32_t)fake_mmio_read(&f->fb, f->bar + reg, 4);
}

void fahci_write(struct fahci *f, unsigned int reg, uint32_t val)
{
	fake_mmio_write(&f->fb, f->bar + reg, 4, val);
}

uint32_t fahci_get(struct fahci *f, unsigned int port, unsigned int reg)
{
	return fahci_read(f, 0x100 + 0x80 * port + reg);
}

void fahci_set(struct fahci *f, unsigned int port, unsigned int reg, uint32_t val)
{
	fahci_write(f, 0x100 + 0x80 * port + reg, val);
}

/* --- a driver -------------------------------------------------------------------------------------- */

void fahci_up(struct fahci *f, unsigned int port)
{
	fahci_set(f, port, AHCI_CLB, PORT_MEM(port));
	fahci_set(f, port, AHCI_FB, PORT_MEM(port) + RECEIVED);
	fahci_set(f, port, AHCI_CMD, AHCI_FRE);
	fahci_set(f, port, AHCI_SERR, UINT32_MAX);
	fahci_set(f, port, AHCI_PIS, UINT32_MAX);
	fahci_set(f, port, AHCI_PIE, UINT32_MAX);
	fahci_write(f, 0x08, UINT32_MAX);
	fahci_write(f, 0x04, BIT(31) | BIT(1));
	fahci_set(f, port, AHCI_CMD, AHCI_FRE | AHCI_ST);
}

static uint8_t *header(struct fahci *f, unsigned int port, unsigned int slot)
{
	return f->fb.mem + PORT_MEM(port) + 32 * (size_t)slot;
}

static uint64_t table(unsigned int port, unsigned int slot)
{
	return PORT_MEM(port) + TABLES + (uint64_t)TABLE_SIZE * slot;
}

void fahci_command(struct fahci *f, unsigned int port, unsigned int slot, const struct fahci_cmd *c)
{
	uint32_t head[8] = { 5u | c->header, 0, (uint32_t)table(port, slot) };
	uint8_t *t = f->fb.mem + table(port, slot);

	memset(t, 0, TABLE_SIZE);
	t[0] = 0x27;
	t[1] = c->no_command ? 0 : 0x80;
	t[2] = c->command;
	t[3] = (uint8_t)c->feature;
	t[7] = c->device;
	for (unsigned int i = 0; i < 3; i++) {
		t[4 + i] = (uint8_t)(c->lba >> (8 * i));
		t[8 + i] = (uint8_t)(c->lba >> (24 + 8 * i));
	}
	t[11] = (uint8_t)(c->feature >> 8);
	t[12] = (uint8_t)c->count;
	t[13] = (uint8_t)(c->count >> 8);
	t[15] = c->control;
	if (c->cdb)
		memcpy(t + 0x40, c->cdb, ATA_CDB);
	memcpy(header(f, port, slot), head, sizeof(head));
}

void fahci_region(struct fahci *f, unsigned int port, unsigned int slot, unsigned int i,
		  uint64_t addr, uint32_t len)
{
	uint32_t entry[4] = { (uint32_t)addr, (uint32_t)(addr >> 32), 0, len - 1 };
	uint8_t *t = f->fb.mem + table(port, slot) + 0x80;
	uint16_t entries = (uint16_t)(i + 1);

	memcpy(t + sizeof(entry) * i, entry, sizeof(entry));
	memcpy(header(f, port, slot) + 2, &entries, sizeof(entries));
}

void fahci_issue(struct fahci *f, unsigned int port, uint32_t slots)
{
	fahci_set(f, port, AHCI_CI, slots);
}

static bool idle(void *arg)
{
	struct fahci *f = arg;
	uint32_t running = 0;

	fake_board_watched(&f->fb);
	for (unsigned int i = 0; i < AHCI_PORTS; i++)
		running |= f->ahci->ports[i].running;
	return !running;
}

void fahci_settle(struct fahci *f)
{
	fake_board_run_until(&f->fb, idle, f);
}

uint32_t fahci_do(struct fahci *f, unsigned int port, const struct fahci_cmd *c, uint32_t len)
{
	fahci_command(f, port, 0, c);
	if (len)
		fahci_region(f, port, 0, 0, AHCI_DATA, len);
	fahci_issue(f, port, 1);
	fahci_settle(f);
	return fahci_get(f, port, AHCI_TFD);
}

uint32_t fahci_causes(struct fahci *f, unsigned int port)
{
	uint32_t is = fahci_get(f, port, AHCI_PIS);

	fahci_set(f, port, AHCI_PIS, is);
	fahci_write(f, 0x08, BIT(port));
	return is;
}

uint8_t *fahci_fis(struct fahci *f, unsigned int port, unsigned int at)
{
	return f->fb.mem + PORT_MEM(port) + RECEIVED + at;
}

uint32_t fahci_bytes(struct fahci *f, unsigned int port, unsigned int slot)
{
	uint32_t v;

	memcpy(&v, header(f, port, slot) + 4, sizeof(v));
	return v;
}

void fahci_expect_sector(struct fahci *f, uint64_t addr, uint32_t n)
{
	uint32_t got;

	memcpy(&got, f->fb.mem + addr, sizeof(got));
	assert_int_equal(got, n);
}

void fahci_stop_start(struct fahci *f)
{
	f->dev->class->stop(f->dev);
	f->dev->class->start(f->dev);
}

int fahci_setup(void **state)
{
	*state = fahci_begin(NULL);
	fahci_up(*state, 0);
	return 0;
}

int fahci_setup_stop(void **state)
{
	*state = fahci_begin(
		"{\"id\":\"root\",\"unit\":0,\"path\":{\"fd\":0},\"on_error\":\"stop\"}");
	fahci_up(*state, 0);
	return 0;
}

int fahci_teardown(void **state)
{
	fahci_end(*state);
	return 0;
}
