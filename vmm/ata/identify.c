// SPDX-License-Identifier: MIT
/*
 * IDENTIFY DEVICE and IDENTIFY PACKET DEVICE: ATA/ATAPI-7 volume 1, chapter 6; of Serial ATA:
 * ATA8-ACS, section 7.16; of TRIM: ACS-2, section 7.12. Under machine.lock.
 */
#include <stdio.h>
#include <string.h>

#include "vmm/ata/ata.h"

#define ATA_HEADS 16
#define ATA_PER_TRACK 63
#define ATA_CYLINDERS_MAX 16383
#define ATA_LBA28_MAX 0x0fffffffu
#define ATA_MULTIPLE_MAX 16
#define ATA_CYCLE_NS 120 /* of multiword DMA mode 2 and PIO mode 4 */

static void ata_put(uint8_t *id, unsigned int word, uint32_t value)
{
	id[2 * word] = (uint8_t)value;
	id[2 * word + 1] = (uint8_t)(value >> 8);
}

static void ata_put32(uint8_t *id, unsigned int word, uint32_t value)
{
	ata_put(id, word, value);
	ata_put(id, word + 1, value >> 16);
}

/*
 * Volume 1, chapter 3, ASCII strings: the first character of two is the upper byte; blanks behind
 * the last
 */
static void ata_put_text(uint8_t *id, unsigned int word, size_t len, const char *text)
{
	char padded[48];

	snprintf(padded, sizeof(padded), "%-*s", (int)len, text);
	for (size_t i = 0; i < len; i++)
		id[2 * word + (i ^ 1)] = (uint8_t)padded[i];
}

uint32_t ata_cylinders(const struct ata_drive *d, unsigned int heads, unsigned int per_track)
{
	return (uint32_t)MIN(d->sectors / (heads * per_track), 65535u);
}

/* Words 1 to 6, and 54 to 58: what addresses by cylinder, head and sector mean now */
static void ata_identify_geometry(const struct ata_drive *d, uint8_t *id)
{
	uint32_t native = MIN(ata_cylinders(d, ATA_HEADS, ATA_PER_TRACK), ATA_CYLINDERS_MAX);
	uint32_t now = ata_cylinders(d, d->heads, d->per_track);

	if (d->heads == ATA_HEADS && d->per_track == ATA_PER_TRACK)
		now = native;
	ata_put(id, 1, native);
	ata_put(id, 3, ATA_HEADS);
	ata_put(id, 6, ATA_PER_TRACK);
	ata_put(id, 54, now);
	ata_put(id, 55, d->heads);
	ata_put(id, 56, d->per_track);
	ata_put32(id, 57, now * d->heads * d->per_track);
}

/* Words 49 to 88 of both: DMA and its modes; one that is selected has its bit in the upper byte */
static void ata_identify_modes(const struct ata_drive *d, uint8_t *id)
{
	uint32_t selected = 1u << (8 + (d->mode & 7));

	ata_put(id, 49, 0x0f00); /* IORDY, LBA, DMA */
	ata_put(id, 53, 0x0007);
	ata_put(id, 63, 0x0007 | ((d->mode & 0xf8) == 0x20 ? selected : 0));
	ata_put(id, 64, 0x0003); /* PIO modes 3 and 4 */
	for (unsigned int word = 65; word <= 68; word++)
		ata_put(id, word, ATA_CYCLE_NS);
	ata_put(id, 80, 0x00f0); /* ATA-4 to ATA-7 */
	ata_put(id, 88, 0x003f | ((d->mode & 0xf8) == 0x40 ? selected : 0));
	if (!d->sata)
		ata_put(id, 93,
			d->unit & 1 ? 0x6b00 : 0x600b); /* a cable of 80 conductors, no fault */
}

/* Words 75 to 79 and 222: what there is of Serial ATA; a disk has a queue and the log of its errors */
static void ata_identify_serial(const struct ata_drive *d, uint8_t *id)
{
	bool disk = d->kind == SCSI_DISK;

	ata_put(id, 75, disk ? ATA_QUEUE - 1 : 0);
	/* 1.5 and 3 Gb/s, the host's requests for power states of the link; queue */
	ata_put(id, 76, 0x0206 | (disk ? 0x0100 : 0));
	ata_put(id, 78, 0x0040); /* software settings preservation */
	ata_put(id, 79, d->keeps ? 0x0040 : 0);
	ata_put(id, 80, 0x01f0); /* to ATA8-ACS */
	ata_put(id, 88, id[2 * 88] | (uint32_t)id[2 * 88 + 1] << 8 | 0x0040);
	if (disk) {
		ata_put(id, 84, 0x4060); /* general purpose logging */
		ata_put(id, 87, 0x4060);
	}
	ata_put(id, 222, 0x1020); /* Serial ATA 2.6 */
}

static void ata_identify_disk(const struct ata_drive *d, uint8_t *id)
{
	uint32_t cache = (d->writethrough ? 0 : BIT(5)) | BIT(6);

	ata_put(id, 0, 0x0040); /* a disk, not removable */
	ata_identify_geometry(d, id);
	ata_put_text(id, 27, 40, "VMD HARD DISK");
	ata_put(id, 47, 0x8000 | ATA_MULTIPLE_MAX);
	ata_put(id, 50, 0x4000);
	ata_put(id, 59, d->multiple ? 0x0100 | d->multiple : 0);
	ata_put32(id, 60, (uint32_t)MIN(d->sectors, ATA_LBA28_MAX));
	ata_put(id, 82, 0x0008 | cache); /* power management, caches; no SMART, no security */
	ata_put(id, 83, 0x7400);	 /* FLUSH CACHE, EXT, addresses of 48 bits */
	ata_put(id, 84, 0x4040);	 /* WRITE DMA FUA EXT */
	ata_put(id, 85, 0x0008 | (d->write_cache ? BIT(5) : 0) | (d->look_ahead ? BIT(6) : 0));
	ata_put(id, 86, 0x3400);
	ata_put(id, 87, 0x4040);
	ata_put32(id, 100, (uint32_t)d->sectors);
	ata_put32(id, 102, (uint32_t)(d->sectors >> 32));
	if (d->physical_exp)
		ata_put(id, 106, 0x6000u | d->physical_exp);
	/* ACS-2; word 69: what is read of sectors that were trimmed is not promised */
	if (d->trims) {
		ata_put(id, 105, 1); /* block of ranges at a time */
		ata_put(id, 169, 0x0001);
	}
	ata_put(id, 217, 0x0001); /* it does not rotate */
}

static void ata_identify_cdrom(uint8_t *id)
{
	ata_put(id, 0, 0x85c0); /* packets of 12 bytes, CD-ROM, removable, DRQ within 50 us */
	ata_put_text(id, 27, 40, "VMD CD-ROM");
	ata_put(id, 82, 0x0218); /* DEVICE RESET, packets, power management */
	ata_put(id, 83, 0x4000);
	ata_put(id, 84, 0x4000);
	ata_put(id, 85, 0x0218);
	ata_put(id, 87, 0x4000);
}

void ata_seal(uint8_t sector[static ATA_SECTOR])
{
	uint8_t sum = 0;

	sector[ATA_SECTOR - 1] = 0;
	for (unsigned int i = 0; i < ATA_SECTOR; i++)
		sum += sector[i];
	sector[ATA_SECTOR - 1] = (uint8_t)-sum;
}

void ata_identify(struct ata_drive *d, uint8_t out[static ATA_ID])
{
	memset(out, 0, ATA_ID);
	ata_put_text(out, 10, ATA_SERIAL_MAX, d->serial);
	ata_put_text(out, 23, 8, VERSION);
	ata_identify_modes(d, out);
	if (d->kind == SCSI_CDROM)
		ata_identify_cdrom(out);
	else
		ata_identify_disk(d, out);
	if (d->sata)
		ata_identify_serial(d, out);
	out[ATA_ID - 2] = 0xa5; /* word 255: it has a checksum */
	ata_seal(out);
}
