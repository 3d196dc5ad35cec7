// SPDX-License-Identifier: MIT
/*
 * Queued commands of a disk of Serial ATA: ATA8-ACS (T13/1699-D), READ FPDMA QUEUED, WRITE FPDMA
 * QUEUED and READ LOG EXT; what they are to a controller is Serial ATA 2.6, section 13.6. After an
 * error nothing that is queued is taken until the log that tells of it was read. Under
 * machine.lock.
 */
#include <string.h>

#include "vmm/ata/ata.h"

#define ATA_LOG_DIRECTORY 0x00
#define ATA_LOG_QUEUE 0x10 /* NCQ Command Error: annex A */
#define ATA_LOG_NOT_QUEUED 0x80

enum ata_next ata_queued(struct ata_cmd *c)
{
	const struct ata_regs *r = &c->regs;
	const struct ata_drive *d = c->drive;
	uint32_t count = r->feature ? r->feature : 65536;

	c->queued = true;
	c->tag = (r->count >> 3) & (ATA_QUEUE - 1);
	c->lba = r->lba;
	if (!d->q_failed && range_fits(c->lba, count, d->sectors)) {
		c->left = (uint64_t)count * ATA_SECTOR;
		c->block = ATA_SECTOR;
		return ATA_MOVE;
	}
	ata_fail(c, d->q_failed ? ATA_ABRT : ATA_IDNF);
	ata_queued_failed(c);
	return ATA_ENDED;
}

void ata_queued_failed(const struct ata_cmd *c)
{
	struct ata_drive *d = c->drive;

	if (d->q_failed)
		return;
	d->q_failed = true;
	d->q_tag = c->tag;
	d->q_regs = c->regs;
}

/* General Purpose Log Directory: a version, and how many pages each log has */
static void ata_log_directory(struct ata_drive *d, uint8_t out[static ATA_SECTOR])
{
	(void)d;
	memset(out, 0, ATA_SECTOR);
	out[0] = 1;
	out[2 * ATA_LOG_QUEUE] = 1;
}

static void ata_log_queue(struct ata_drive *d, uint8_t out[static ATA_SECTOR])
{
	const struct ata_regs *r = &d->q_regs;

	memset(out, 0, ATA_SECTOR);
	out[0] = ATA_LOG_NOT_QUEUED;
	if (d->q_failed) {
		out[0] = d->q_tag;
		out[2] = r->status;
		out[3] = r->error;
		out[7] = r->device;
		for (unsigned int i = 0; i < 3; i++) {
			out[4 + i] = (uint8_t)(r->lba >> (8 * i));
			out[8 + i] = (uint8_t)(r->lba >> (24 + 8 * i));
		}
		out[12] = (uint8_t)r->count;
		out[13] = (uint8_t)(r->count >> 8);
	}
	d->q_failed = false;
	ata_seal(out);
}

/* The first page of either, alone: the LBA is the log's address and the page's number. */
enum ata_next ata_read_log(struct ata_cmd *c)
{
	uint8_t log = (uint8_t)c->regs.lba;

	if (c->regs.count != 1 || c->regs.lba > 0xff ||
	    (log != ATA_LOG_DIRECTORY && log != ATA_LOG_QUEUE))
		return ata_fail(c, ATA_ABRT);
	c->left = c->block = ATA_SECTOR;
	c->fill = log == ATA_LOG_QUEUE ? ata_log_queue : ata_log_directory;
	return ATA_MOVE;
}
