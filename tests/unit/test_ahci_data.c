// SPDX-License-Identifier: MIT
/*
 * Commands of an AHCI port, one at a time: AHCI 1.3.1, sections 5.3 to 5.5 and 6.2; what they tell
 * by FISes, Serial ATA 2.6, section 10.3; IDENTIFY and SET FEATURES of a drive of Serial ATA,
 * ATA8-ACS; packets.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/unit/ahci_fixture.h"
#include "vmm/block/engine.h"
#include "vmm/scsi/unit.h"

#define CD 2 /* the port */

static int setup(void **state)
{
	*state = fahci_begin(NULL);
	fahci_up(*state, 0);
	fahci_up(*state, CD);
	return 0;
}

static uint32_t command(struct fahci *f, uint8_t command, uint64_t lba, uint16_t count,
			uint32_t len)
{
	return fahci_do(f, 0,
			&(struct fahci_cmd){
				.command = command, .device = 0x40, .lba = lba, .count = count },
			len);
}

static uint32_t feature(struct fahci *f, uint16_t feature, uint16_t count)
{
	return fahci_do(f, 0,
			&(struct fahci_cmd){ .command = 0xef, .feature = feature, .count = count },
			0);
}

static uint16_t word(const struct fahci *f, unsigned int n)
{
	return (uint16_t)(f->fb.mem[AHCI_DATA + 2 * n] | f->fb.mem[AHCI_DATA + 2 * n + 1] << 8);
}

/* --- data: sections 5.4 (DMA) and 5.5 (PIO) ---------------------------------------------------------- */

static void test_dma_in(void **state)
{
	struct fahci *f = *state;
	const uint8_t *fis = fahci_fis(f, 0, 0x40);

	assert_int_equal(command(f, 0x25, 0x321, 8, 8 * 512), AHCI_READY);
	assert_int_equal(fahci_bytes(f, 0, 0), 8 * 512);
	for (uint32_t i = 0; i < 8; i++)
		fahci_expect_sector(f, AHCI_DATA + 512 * i, 0x321 + i);
	assert_int_equal(fahci_get(f, 0, AHCI_CI), 0);
	assert_int_equal(fahci_causes(f, 0), AHCI_DHRS);
	assert_int_equal(fis[0], 0x34);
	assert_int_equal(fis[1], 0x40);
	assert_int_equal(fis[2], AHCI_READY);
	assert_int_equal(fis[3], 0);
	/* a table with room for more: PRDBC says how much came */
	assert_int_equal(command(f, 0xc8, 5, 1, 4096), AHCI_READY);
	assert_int_equal(fahci_bytes(f, 0, 0), 512);
}

/* Regions of any even length: section 4.2.3.3; and bit 31 of one: section 3.3.5, DPS */
static void test_regions(void **state)
{
	struct fahci *f = *state;
	uint32_t flags = BIT(31) | (1534 - 1);

	fahci_command(f, 0, 3,
		      &(struct fahci_cmd){ .command = 0x25, .device = 0x40, .lba = 7, .count = 4 });
	fahci_region(f, 0, 3, 0, AHCI_DATA, 514);
	fahci_region(f, 0, 3, 1, AHCI_DATA + 0x10000, 1534);
	fahci_issue(f, 0, BIT(3));
	fahci_settle(f);
	fahci_expect_sector(f, AHCI_DATA, 7);
	fahci_expect_sector(f, AHCI_DATA + 0x10000 + 510, 9);
	assert_int_equal(fahci_get(f, 0, AHCI_CMD) >> 8 & 0x1f, 3); /* CCS */
	assert_int_equal(fahci_causes(f, 0), AHCI_DHRS);
	memcpy(f->fb.mem + f->ahci->ports[0].slots[3].table + 0x80 + 28, &flags, sizeof(flags));
	fahci_issue(f, 0, BIT(3));
	fahci_settle(f);
	assert_int_equal(fahci_causes(f, 0), AHCI_DHRS | AHCI_DPS);
}

/* More than is moved at once, by more regions than a move has */
static void test_long(void **state)
{
	struct fahci *f = *state;

	assert_int_equal(command(f, 0x25, 0, 3000, 3000 * 512), AHCI_READY);
	fahci_expect_sector(f, AHCI_DATA + 2999 * 512, 2999);
	assert_int_equal(fahci_bytes(f, 0, 0), 3000 * 512);
}

static void test_dma_out(void **state)
{
	struct fahci *f = *state;
	uint8_t got[1024];

	memset(f->fb.mem + AHCI_DATA, 0x5a, 1024);
	assert_int_equal(command(f, 0x35, 100, 2, 1024), AHCI_READY);
	assert_int_equal(fahci_bytes(f, 0, 0), 1024);
	assert_int_equal(pread(f->disk, got, sizeof(got), 100 * 512), sizeof(got));
	assert_memory_equal(got, f->fb.mem + AHCI_DATA, sizeof(got));
	assert_int_equal(command(f, 0xea, 0, 0, 0), AHCI_READY); /* FLUSH CACHE EXT */
	assert_int_equal(fahci_causes(f, 0), AHCI_DHRS);
}

/* It ends with PIO Setup, whose E_Status is behind the data: section 5.5.1 */
static void test_pio(void **state)
{
	struct fahci *f = *state;
	const uint8_t *fis = fahci_fis(f, 0, 0x20);
	uint8_t got[512];

	assert_int_equal(command(f, 0x24, 50, 2, 1024), AHCI_READY);
	assert_int_equal(fahci_causes(f, 0), AHCI_PSS);
	fahci_expect_sector(f, AHCI_DATA + 512, 51);
	assert_int_equal(fis[0], 0x5f);
	assert_int_equal(fis[1], 0x60);
	assert_int_equal(fis[2], AHCI_READY | ATA_DRQ);
	assert_int_equal(fis[15], AHCI_READY);
	assert_int_equal(fis[16] | fis[17] << 8, 512);
	assert_int_equal(fahci_bytes(f, 0, 0), 1024);
	memset(f->fb.mem + AHCI_DATA, 0xa5, 512);
	assert_int_equal(command(f, 0x34, 60, 1, 512), AHCI_READY);
	assert_int_equal(fahci_causes(f, 0), AHCI_DHRS);
	assert_int_equal(fis[1], 0);
	assert_int_equal(pread(f->disk, got, sizeof(got), 60 * 512), sizeof(got));
	assert_memory_equal(got, f->fb.mem + AHCI_DATA, sizeof(got));
}

/* READ and WRITE MULTIPLE: the rest is a smaller block */
static void test_multiple(void **state)
{
	struct fahci *f = *state;
	const uint8_t *fis = fahci_fis(f, 0, 0x20);
	uint8_t got[6 * 512];

	assert_int_equal(command(f, 0xc6, 0, 4, 0), AHCI_READY);
	assert_int_equal(command(f, 0x29, 70, 6, sizeof(got)), AHCI_READY);
	fahci_expect_sector(f, AHCI_DATA + 5 * 512, 75);
	assert_int_equal(fahci_bytes(f, 0, 0), sizeof(got));
	assert_int_equal(fis[16] | fis[17] << 8, 2 * 512);
	memset(f->fb.mem + AHCI_DATA, 0x66, sizeof(got));
	assert_int_equal(command(f, 0x39, 80, 6, sizeof(got)), AHCI_READY);
	assert_int_equal(pread(f->disk, got, sizeof(got), 80 * 512), sizeof(got));
	assert_memory_equal(got, f->fb.mem + AHCI_DATA, sizeof(got));
}

/* --- section 6.1.4 (taskfile errors): it is in PxCI still --------------------------------------------- */

static void restart(struct fahci *f, unsigned int port)
{
	fahci_set(f, port, AHCI_CMD, AHCI_FRE);
	fahci_up(f, port);
}

static int64_t failing(const struct block *b, const struct block_step *s)
{
	(void)b;
	(void)s;
	return -EIO;
}

static void test_errors(void **state)
{
	struct fahci *f = *state;
	const uint8_t *fis = fahci_fis(f, 0, 0x40);

	assert_int_equal(command(f, 0x25, AHCI_SECTORS, 1, 512),
			 ATA_IDNF << 8 | AHCI_READY | ATA_ERR);
	assert_int_equal(fahci_causes(f, 0), AHCI_DHRS | AHCI_TFES);
	assert_int_equal(fahci_get(f, 0, AHCI_CI), 1);
	assert_int_equal(fis[2], AHCI_READY | ATA_ERR);
	assert_int_equal(fis[3], ATA_IDNF);
	fahci_issue(f, 0, BIT(5)); /* nothing more is taken */
	assert_int_equal(fahci_get(f, 0, AHCI_CI), BIT(5) | 1);
	restart(f, 0);
	assert_int_equal(command(f, 0x00, 0, 0, 0), ATA_ABRT << 8 | AHCI_READY | ATA_ERR);
	restart(f, 0);
	f->ahci->set.target->units[0]->block->step = failing;
	assert_int_equal(command(f, 0x25, 0x123456, 1, 512), ATA_IDNF << 8 | AHCI_READY | ATA_ERR);
	restart(f, 0);
	assert_int_equal(command(f, 0x25, 0x123, 1, 512), ATA_UNC << 8 | AHCI_READY | ATA_ERR);
	assert_int_equal(fis[4] | fis[5] << 8, 0x123);
	fake_board_watched(&f->fb);
	assert_non_null(strstr(f->fb.notice, "disk 'root'"));
}

/* Section 5.3.2: in turn, and all of them */
static void test_many(void **state)
{
	struct fahci *f = *state;

	for (unsigned int i = 0; i < AHCI_SLOTS; i++) {
		fahci_command(f, 0, i,
			      &(struct fahci_cmd){
				      .command = 0x25, .device = 0x40, .lba = i, .count = 1 });
		fahci_region(f, 0, i, 0, AHCI_DATA + 512 * i, 512);
	}
	fahci_issue(f, 0, UINT32_MAX);
	for (unsigned int i = 0; i < AHCI_SLOTS; i++) {
		assert_int_equal(fahci_get(f, 0, AHCI_CI), UINT32_MAX << i);
		assert_int_equal(f->ahci->ports[0].running, BIT(i));
		while (f->ahci->ports[0].running == BIT(i)) {
			fake_board_run(&f->fb);
			fake_board_watched(&f->fb);
		}
	}
	assert_int_equal(fahci_get(f, 0, AHCI_CI), 0);
	for (unsigned int i = 0; i < AHCI_SLOTS; i++)
		fahci_expect_sector(f, AHCI_DATA + 512 * i, i);
}

/* --- what a drive says of itself, and is told ----------------------------------------------------------- */

static void test_identify(void **state)
{
	struct fahci *f = *state;
	uint8_t sum = 0;

	assert_int_equal(command(f, 0xec, 0, 0, 512), AHCI_READY);
	assert_int_equal(fahci_causes(f, 0), AHCI_PSS);
	assert_int_equal(word(f, 75), 31);
	assert_int_equal(word(f, 76), 0x0306);
	assert_int_equal(word(f, 78), 0x0040);
	assert_int_equal(word(f, 79), 0x0040);
	assert_int_equal(word(f, 80), 0x01f0);
	assert_int_equal(word(f, 84), 0x4060);
	assert_int_equal(word(f, 87), 0x4060);
	assert_int_equal(word(f, 88), 0x007f);
	assert_int_equal(word(f, 93), 0); /* so it is Serial ATA */
	assert_int_equal(word(f, 222), 0x1020);
	for (unsigned int i = 0; i < ATA_ID; i++)
		sum += f->fb.mem[AHCI_DATA + i];
	assert_int_equal(sum, 0);
	assert_int_equal(fahci_do(f, CD, &(struct fahci_cmd){ .command = 0xa1 }, 512), AHCI_READY);
	assert_int_equal(word(f, 0), 0x85c0);
	assert_int_equal(word(f, 75), 0);
	assert_int_equal(word(f, 76), 0x0206);
	assert_int_equal(word(f, 93), 0);
}

static void comreset(struct fahci *f)
{
	fahci_set(f, 0, AHCI_CMD, AHCI_FRE);
	fahci_set(f, 0, AHCI_SCTL, 1);
	fahci_set(f, 0, AHCI_SCTL, 0);
	fahci_up(f, 0);
}

/* ATA8-ACS, SET FEATURES: what is set survives a COMRESET as long as the drive is to keep it. */
static void test_settings(void **state)
{
	struct fahci *f = *state;

	assert_int_equal(feature(f, 0x03, 0x46), AHCI_READY); /* Ultra DMA 6 */
	assert_int_equal(feature(f, 0x82, 0), AHCI_READY);    /* write cache off */
	comreset(f);
	command(f, 0xec, 0, 0, 512);
	assert_int_equal(word(f, 88), 0x407f);
	assert_int_equal(word(f, 85) & 0x20, 0);
	assert_int_equal(feature(f, 0x90, 6), AHCI_READY);
	command(f, 0xec, 0, 0, 512);
	assert_int_equal(word(f, 79), 0);
	assert_int_equal(word(f, 85) & 0x20, 0);
	comreset(f);
	command(f, 0xec, 0, 0, 512);
	assert_int_equal(word(f, 85) & 0x20, 0x20);
	assert_int_equal(word(f, 79), 0x40);
	assert_int_equal(feature(f, 0x10, 6), AHCI_READY);
	assert_int_equal(feature(f, 0x10, 2), ATA_ABRT << 8 | AHCI_READY | ATA_ERR);
}

/* --- packets: section 5.5, and PACKET of ATA/ATAPI-7 volume 1 -------------------------------------------- */

#define CDB(...) ((const uint8_t[ATA_CDB]){ __VA_ARGS__ })

static uint32_t packet(struct fahci *f, uint16_t feature, const uint8_t *cdb, uint32_t len)
{
	return fahci_do(f, CD,
			&(struct fahci_cmd){
				.command = 0xa0, .feature = feature, .cdb = cdb, .header = BIT(5) },
			len);
}

/* What it has to tell once */
static void wake(struct fahci *f)
{
	assert_int_equal(packet(f, 0, CDB(0), 0), (6 << 4 | ATA_ABRT) << 8 | AHCI_READY | ATA_ERR);
	restart(f, CD);
	memset(f->fb.mem + AHCI_DATA, 0, 64);
	assert_int_equal(packet(f, 0, CDB(0x03, 0, 0, 0, 18), 18), AHCI_READY);
	assert_int_equal(f->fb.mem[AHCI_DATA + 2], 6);
	assert_int_equal(f->fb.mem[AHCI_DATA + 12], 0x29);
	fahci_causes(f, CD);
}

static void test_packet(void **state)
{
	struct fahci *f = *state;

	wake(f);
	assert_int_equal(packet(f, 0, CDB(0), 0), AHCI_READY); /* TEST UNIT READY */
	assert_int_equal(fahci_causes(f, CD), AHCI_DHRS);
	assert_int_equal(fahci_fis(f, CD, 0x40)[12], 3); /* interrupt reason: the end */
	assert_int_equal(packet(f, 0, CDB(0x12, 0, 0, 0, 36), 36),
			 AHCI_READY); /* INQUIRY, by PIO */
	assert_int_equal(fahci_causes(f, CD), AHCI_DHRS | AHCI_PSS);
	assert_int_equal(f->fb.mem[AHCI_DATA], 5);
	assert_int_equal(fahci_bytes(f, CD, 0), 36);
	assert_int_equal(packet(f, 1, CDB(0x28, 0, 0, 0, 0, 9, 0, 0, 3), 3 * 2048), AHCI_READY);
	assert_int_equal(fahci_causes(f, CD), AHCI_DHRS);
	assert_int_equal(fahci_bytes(f, CD, 0), 3 * 2048);
	fahci_expect_sector(f, AHCI_DATA + 2 * 2048, 44);
	assert_int_equal(packet(f, 1, CDB(0x28, 0, 0, 0, 0, AHCI_CD_BLOCKS, 0, 0, 1), 2048),
			 (5 << 4 | ATA_ABRT) << 8 | AHCI_READY | ATA_ERR);
	assert_int_equal(fahci_causes(f, CD), AHCI_DHRS | AHCI_TFES);
	restart(f, CD);
	/* an answer that is longer than its table is cut */
	memset(f->fb.mem + AHCI_DATA, 0, 64);
	assert_int_equal(packet(f, 1, CDB(0x12, 0, 0, 0, 36), 8), AHCI_READY);
	assert_int_equal(fahci_bytes(f, CD, 0), 8);
	assert_int_equal(f->fb.mem[AHCI_DATA + 8], 0);
}

/* A disk takes none, and DEVICE RESET is a packet device's */
static void test_signatures(void **state)
{
	struct fahci *f = *state;
	const uint8_t *fis = fahci_fis(f, CD, 0x40);

	assert_int_equal(command(f, 0xa0, 0, 0, 512), ATA_ABRT << 8 | AHCI_READY | ATA_ERR);
	restart(f, 0);
	assert_int_equal(command(f, 0x08, 0, 0, 0), ATA_ABRT << 8 | AHCI_READY | ATA_ERR);
	restart(f, 0);
	assert_int_equal(command(f, 0x90, 0, 0, 0), 0x100 | AHCI_READY);
	assert_int_equal(fahci_do(f, CD, &(struct fahci_cmd){ .command = 0x08 }, 0), 0x100);
	assert_int_equal(fis[5] | fis[6] << 8, 0xeb14);
	assert_int_equal(fahci_do(f, CD, &(struct fahci_cmd){ .command = 0xec }, 512),
			 ATA_ABRT << 8 | AHCI_READY | ATA_ERR);
	assert_int_equal(fis[5] | fis[6] << 8, 0xeb14);
}

/* The tray, the lock, and another medium: vmctl media */
static void test_media(void **state)
{
	struct device_medium m = { 0 };
	struct fahci *f = *state;
	struct device_drive drive;
	struct err e = { 0 };

	wake(f);
	assert_true(f->dev->class->drive(f->dev, 0, &drive));
	assert_string_equal(drive.id, "cd");
	assert_true(drive.medium && !drive.open && !drive.locked);
	assert_false(f->dev->class->drive(f->dev, 1, &drive));
	assert_int_equal(packet(f, 0, CDB(0x1e, 0, 0, 0, 1), 0), AHCI_READY);
	assert_int_equal(f->dev->class->set_medium(f->dev, 0, &m, &e), -ERR_VM_MEDIUM_LOCKED);
	assert_int_equal(packet(f, 0, CDB(0x1e), 0), AHCI_READY);
	assert_int_equal(f->dev->class->set_medium(f->dev, 0, &m, &e), 0);
	assert_true(m.changed);
	assert_int_equal(packet(f, 0, CDB(0), 0), (6 << 4 | ATA_ABRT) << 8 | AHCI_READY | ATA_ERR);
	restart(f, CD);
	assert_int_equal(packet(f, 0, CDB(0), 0), (2 << 4 | ATA_ABRT) << 8 | AHCI_READY | ATA_ERR);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, fahci_teardown)
	const struct CMUnitTest tests[] = {
		T(test_dma_in),	  T(test_regions),  T(test_long),   T(test_dma_out),
		T(test_pio),	  T(test_multiple), T(test_errors), T(test_many),
		T(test_identify), T(test_settings), T(test_packet), T(test_signatures),
		T(test_media),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
