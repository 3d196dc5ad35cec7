// SPDX-License-Identifier: MIT
/*
 * An AHCI controller with a driver that has set up its ports: the input says what the guest writes
 * into registers, lists, tables and memory, and what becomes of drives and media meanwhile.
 * Whatever that is, what is under way comes to an end, by a link that is awake; nothing is reached
 * outside of the memory (AddressSanitizer's canary is behind its last page), and after a reset a
 * sector can be read.
 */
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/json.h"
#include "tests/unit/ahci_fixture.h"
#include "vmm/block/engine.h"
#include "vmm/scsi/unit.h"

#define FUZZ_OPS_MAX 256
#define FUZZ_TURNS 4000 /* of the loop until it has to be at rest */
#define FUZZ_PORTS 3	/* a disk's, nobody's, a CD-ROM drive's */
#define FUZZ_SLOT 3
#define FUZZ_LISTS 0x10000
#define FUZZ_PORT 0x30000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	struct fahci *f;
	const uint8_t *data;
	size_t left;
};

static uint32_t fuzz_take(struct fuzz *z, unsigned int bytes)
{
	uint32_t v = 0;

	for (unsigned int i = 0; i < bytes && z->left; i++, z->left--)
		v |= (uint32_t)*z->data++ << (8 * i);
	return v;
}

static unsigned int fuzz_port(struct fuzz *z)
{
	return fuzz_take(z, 1) % FUZZ_PORTS;
}

/* A link that sleeps while its drive has a command: AHCI 1.3.1, section 8.3 */
static void fuzz_check_link(const struct ahci_port *p)
{
	if (p->running & ~p->dropped && p->ssts >> 8 != AHCI_ACTIVE)
		__builtin_trap();
}

static void fuzz_rest(struct fuzz *z)
{
	for (unsigned int i = 0; i < FUZZ_TURNS; i++) {
		uint32_t running = 0;

		fake_board_run(&z->f->fb);
		fake_board_watched(&z->f->fb);
		for (unsigned int p = 0; p < AHCI_PORTS; p++) {
			running |= z->f->ahci->ports[p].running;
			fuzz_check_link(&z->f->ahci->ports[p]);
		}
		if (!running)
			return;
	}
	__builtin_trap();
}

static void fuzz_register(struct fuzz *z)
{
	unsigned int port = fuzz_take(z, 1), reg = fuzz_take(z, 1);

	if (port & 0x80) {
		fahci_write(z->f, reg * 4 % 2048, fuzz_take(z, 4));
		return;
	}
	fahci_set(z->f, port % FUZZ_PORTS, reg * 4 % 0x48, fuzz_take(z, 4));
	fuzz_check_link(&z->f->ahci->ports[port % FUZZ_PORTS]);
	fahci_get(z->f, port % FUZZ_PORTS, reg * 4 % 0x48);
}

static void fuzz_command(struct fuzz *z)
{
	static const uint8_t usual[] = { 0x60, 0x61, 0x25, 0x35, 0x24, 0x34, 0xec, 0xa1, 0xa0, 0xea,
					 0x2f, 0xef, 0x29, 0x39, 0xc6, 0x90, 0x08, 0x42, 0x06 };
	unsigned int port = fuzz_port(z), slot = fuzz_take(z, 1) % AHCI_SLOTS;
	uint8_t which = (uint8_t)fuzz_take(z, 1), cdb[ATA_CDB];
	struct fahci_cmd c = { .device = 0x40 };

	c.command = which & 0x80 ? which : usual[which % ARRAY_SIZE(usual)];
	c.feature = (uint16_t)fuzz_take(z, 2);
	c.count = (uint16_t)fuzz_take(z, 2);
	if (c.command == 0x60 || c.command == 0x61)
		c.count = (uint16_t)(c.count & 1 ? c.count : slot << 3);
	c.lba = fuzz_take(z, 2);
	c.no_command = which == 0x7f;
	c.control = (uint8_t)c.feature;
	for (unsigned int i = 0; c.command == ATA_PACKET_COMMAND && i < sizeof(cdb); i++)
		cdb[i] = (uint8_t)fuzz_take(z, 1);
	c.cdb = c.command == ATA_PACKET_COMMAND ? cdb : NULL;
	fahci_command(z->f, port, slot, &c);
}

static void fuzz_region(struct fuzz *z)
{
	unsigned int port = fuzz_port(z), slot = fuzz_take(z, 1) % AHCI_SLOTS;
	uint8_t i = (uint8_t)fuzz_take(z, 1) % 8, how = (uint8_t)fuzz_take(z, 1);
	uint64_t addr = AHCI_DATA + fuzz_take(z, 2);
	uint32_t len = fuzz_take(z, 2) + 1;

	if (how & 1) /* over the end */
		addr = AHCI_MEM - (addr & 0xfff);
	if (how & 2)
		len <<= 6;
	if (how & 4)
		addr <<= 20;
	fahci_region(z->f, port, slot, i, addr, len);
}

/* LBA Range Entries, for DATA SET MANAGEMENT: mostly of sectors that are there */
static void fuzz_ranges(struct fuzz *z)
{
	uint32_t at = AHCI_DATA + fuzz_take(z, 2), n = fuzz_take(z, 1) % 65;

	for (uint32_t i = 0; i < n; i++, at += 8) {
		uint64_t lba = fuzz_take(z, 2), far = fuzz_take(z, 1);
		uint64_t entry =
			lba | (far & 0x80 ? far << 40 : 0) | (uint64_t)fuzz_take(z, 2) << 48;

		memcpy(z->f->fb.mem + at, &entry, sizeof(entry));
	}
}

static void fuzz_issue(struct fuzz *z)
{
	unsigned int port = fuzz_port(z);
	uint32_t slots = fuzz_take(z, 4);

	fahci_set(z->f, port, AHCI_SACT, slots);
	fahci_issue(z->f, port, slots);
	fuzz_check_link(&z->f->ahci->ports[port]);
}

static void fuzz_memory(struct fuzz *z)
{
	uint32_t at = FUZZ_LISTS + FUZZ_PORT * fuzz_port(z) + fuzz_take(z, 2);
	uint32_t len = fuzz_take(z, 1) % 64;

	for (uint32_t i = 0; i < len; i++)
		z->f->fb.mem[at + i] = (uint8_t)fuzz_take(z, 1);
}

static void fuzz_up(struct fuzz *z)
{
	unsigned int port = fuzz_port(z);

	fahci_set(z->f, port, AHCI_CMD, AHCI_FRE);
	fahci_up(z->f, port);
}

static void fuzz_pause(struct fuzz *z)
{
	fahci_stop_start(z->f);
}

static void fuzz_master(struct fuzz *z)
{
	guest_pci_write(&z->f->fb, FUZZ_SLOT, PCI_COMMAND, 2,
			PCI_COMMAND_MEMORY | (fuzz_take(z, 1) & PCI_COMMAND_MASTER));
}

static void fuzz_drive(struct fuzz *z)
{
	static const char json[] = "{\"id\":\"root\",\"unit\":0,\"path\":{\"fd\":0}}";
	const struct device_class *class = z->f->dev->class;
	AUTO_JSON struct json_object *o = NULL;
	struct device_unit *unit = NULL;
	struct fdset fds;
	struct err e;

	if (class->unit_remove(z->f->dev, "root", &e) >= 0)
		return;
	fdset_init(&fds);
	fdset_add(&fds, dup(z->f->disk));
	if (json_parse(json, strlen(json), &o, &e) < 0 ||
	    class->unit_new(z->f->dev, o, &fds, &unit, &e) < 0 ||
	    class->unit_add(z->f->dev, unit, &e) < 0)
		__builtin_trap();
	fdset_fini(&fds);
}

static void fuzz_medium(struct fuzz *z)
{
	struct device_medium m = { .force = fuzz_take(z, 1) & 1 };
	struct err e;

	(void)z->f->dev->class->set_medium(z->f->dev, 0, &m, &e);
}

static int64_t fuzz_failing(const struct block *b, const struct block_step *s)
{
	return s->offset & 0x1000 ? -5 : raw_step(b, s);
}

static void fuzz_fail(struct fuzz *z)
{
	struct scsi_unit *u = z->f->ahci->set.target->units[0];

	if (u && u->block)
		u->block->step = fuzz_take(z, 1) & 1 ? fuzz_failing : raw_step;
}

static void fuzz_reset(struct fuzz *z)
{
	struct device *d = z->f->dev;

	d->class->stop(d);
	d->class->reset(d);
	d->class->start(d);
	guest_pci_write(&z->f->fb, FUZZ_SLOT, PCI_COMMAND, 2,
			PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void (*const fuzz_ops[])(struct fuzz *z) = {
	fuzz_register, fuzz_command, fuzz_region, fuzz_issue,  fuzz_memory, fuzz_rest,	fuzz_up,
	fuzz_pause,    fuzz_master,  fuzz_drive,  fuzz_medium, fuzz_fail,   fuzz_reset, fuzz_ranges,
};

/* As after power-on: a driver comes, and reads. */
static void fuzz_check(struct fuzz *z)
{
	const struct fahci_cmd c = { .command = 0x25, .device = 0x40, .lba = 1, .count = 1 };

	fuzz_reset(z);
	for (unsigned int i = 0; i < AHCI_PORTS; i++)
		if (z->f->ahci->ports[i].running || z->f->ahci->ports[i].halted)
			__builtin_trap();
	if (!z->f->ahci->ports[0].ata)
		fuzz_drive(z);
	z->f->ahci->set.target->units[0]->block->step = raw_step;
	fahci_up(z->f, 0);
	if (fahci_do(z->f, 0, &c, 512) != AHCI_READY)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz z = { .f = fahci_begin(NULL), .data = data, .left = size };

	for (unsigned int p = 0; p < FUZZ_PORTS; p++)
		fahci_up(z.f, p);
	for (unsigned int i = 0; i < FUZZ_OPS_MAX && z.left; i++)
		fuzz_ops[fuzz_take(&z, 1) % ARRAY_SIZE(fuzz_ops)](&z);
	fuzz_rest(&z);
	fuzz_check(&z);
	fahci_end(z.f);
	return 0;
}
