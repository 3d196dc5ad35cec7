/* SPDX-License-Identifier: MIT */
/*
 * An AHCI controller on a fake board, and the driver's side of it: port 0 has a disk of
 * AHCI_SECTORS, each beginning with its number, port 2 a CD-ROM drive, the others nothing.
 *
 *	struct fahci *f = fahci_begin(NULL);
 *	fahci_up(f, 0);
 *	fahci_command(f, 0, 3, &(struct fahci_cmd){ .command = 0x25, .lba = 7, .count = 1 });
 *	fahci_region(f, 0, 3, 0, AHCI_DATA, 512);
 *	fahci_issue(f, 0, BIT(3)); fahci_settle(f);
 */
#ifndef TESTS_UNIT_AHCI_FIXTURE_H
#define TESTS_UNIT_AHCI_FIXTURE_H

#include "tests/unit/guest_virtio.h"
#include "vmm/ata/ahci.h"

#define AHCI_SECTORS 4096u
#define AHCI_CD_BLOCKS 100u
#define AHCI_MEM (4 * MIB)
#define AHCI_DATA 0x200000 /* guest address */
#define AHCI_READY (ATA_DRDY | ATA_DSC)

struct fahci {
	struct fake_board fb;
	struct device *host, *dev;
	struct ahci *ahci;
	uint64_t bar;
	int disk, cd; /* images */
};

struct fahci_cmd {
	uint8_t command, device, control;
	uint16_t feature, count;
	uint64_t lba;
	bool no_command;    /* C is 0: Control alone */
	uint16_t header;    /* flags of its own */
	const uint8_t *cdb; /* 12 bytes, or NULL */
};

/* disks: JSON, with image 0, the disk's, and 1, the CD's; NULL: as above. It runs. */
struct fahci *fahci_begin(const char *disks);
void fahci_end(struct fahci *f);
/* For cmocka: one disk, its port running; of the second, errors stop the VM. */
int fahci_setup(void **state);
int fahci_setup_stop(void **state);
int fahci_teardown(void **state);
/* One that is not made: its message */
void fahci_expect_bad(const char *disks, const char *message);

uint32_t fahci_read(struct fahci *f, unsigned int reg); /* of the whole */
void fahci_write(struct fahci *f, unsigned int reg, uint32_t val);
uint32_t fahci_get(struct fahci *f, unsigned int port, unsigned int reg);
void fahci_set(struct fahci *f, unsigned int port, unsigned int reg, uint32_t val);

/* Section 10.1.2: lists are there, all is enabled, PxSERR and PxIS are clear */
void fahci_up(struct fahci *f, unsigned int port);
/* A command in a slot, without regions; then region i: entries are as many as were set. */
void fahci_command(struct fahci *f, unsigned int port, unsigned int slot,
		   const struct fahci_cmd *c);
void fahci_region(struct fahci *f, unsigned int port, unsigned int slot, unsigned int i,
		  uint64_t addr, uint32_t len);
void fahci_issue(struct fahci *f, unsigned int port, uint32_t slots);
void fahci_settle(struct fahci *f); /* until nothing runs */
/* All of it, for slot 0 with one region at AHCI_DATA; PxTFD */
uint32_t fahci_do(struct fahci *f, unsigned int port, const struct fahci_cmd *c, uint32_t len);
/* PxIS, which is cleared, and the controller's */
uint32_t fahci_causes(struct fahci *f, unsigned int port);

uint8_t *fahci_fis(struct fahci *f, unsigned int port, unsigned int at);
uint32_t fahci_bytes(struct fahci *f, unsigned int port, unsigned int slot); /* PRDBC */
/* A sector of the disk, or a part of it, at this guest address */
void fahci_expect_sector(struct fahci *f, uint64_t addr, uint32_t n);
void fahci_stop_start(struct fahci *f); /* a pause */

#define READ_EXT(sector, n) \
	(&(struct fahci_cmd){ .command = 0x25, .device = 0x40, .lba = (sector), .count = (n) })
#define READ_ONE(sector) READ_EXT(sector, 1)
#define LINK_UP 0x123
#define LINK_BITS (AHCI_DIAG_X | AHCI_DIAG_N)

#endif
