// SPDX-License-Identifier: MIT
/*
 * Commands in packets: ATA/ATAPI-7 volume 1, PACKET, with the commands of MMC-6, which are the
 * SCSI target's. An answer is at most 64 KiB and is made whole; what reads blocks is cut into
 * moves, each a command to the target. Sense data is kept for REQUEST SENSE: there is no other
 * way to it. Under machine.lock.
 */
#include <string.h>

#include "vmm/ata/ata.h"

#define PACKET_REQUEST_SENSE 0x03
#define PACKET_READ10 0x28
#define PACKET_READ12 0xa8
#define PACKET_DMA 0x01 /* in Feature */

static uint32_t packet_get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void packet_put32(uint8_t *p, uint32_t v)
{
	for (unsigned int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint32_t packet_blocks(const uint8_t *cdb)
{
	if (cdb[0] == PACKET_READ12)
		return packet_get32(cdb + 6);
	return cdb[0] == PACKET_READ10 ? (uint32_t)cdb[7] << 8 | cdb[8] : 0;
}

/* SPC-4, section 6.39, of what the last command has left */
static enum ata_next packet_sense(struct ata_cmd *c, uint8_t allocation, void *answer)
{
	struct ata_drive *d = c->drive;

	c->moved = MIN(allocation, d->sense_len);
	memcpy(answer, d->sense, c->moved);
	d->sense_len = 0;
	return ata_good(c);
}

static void packet_task(struct ata_cmd *c, const uint8_t *cdb)
{
	struct scsi_task *t = &c->task;

	memset(t->cdb, 0, sizeof(t->cdb));
	memcpy(t->cdb, cdb, ATA_CDB);
	t->lun = c->drive->unit;
	t->out = NULL;
	t->nout = 0;
	t->saved = c->saved;
}

enum ata_next ata_packet(struct ata_cmd *c, const uint8_t cdb[static ATA_CDB], void *answer)
{
	uint32_t blocks = packet_blocks(cdb);

	c->way = c->regs.feature & PACKET_DMA ? ATA_DMA_IN : ATA_PIO_IN;
	c->moved = c->block = 0;
	if (cdb[0] == PACKET_REQUEST_SENSE && c->drive->sense_len)
		return packet_sense(c, cdb[4], answer);
	c->drive->sense_len = 0;
	packet_task(c, cdb);
	c->left = (uint64_t)blocks * ATA_CD_BLOCK;
	if (blocks) {
		c->block = ATA_CD_BLOCK;
		c->lba = packet_get32(cdb + 2);
		return ATA_MOVE;
	}
	c->iov[0] = (struct iovec){ .iov_base = answer, .iov_len = ATA_ANSWER_MAX };
	c->task.in = c->iov;
	c->task.nin = 1;
	ata_run(c);
	return ATA_WAIT;
}

/* The same command for the next blocks alone. Behind the last address of 32 bits there is none. */
void ata_packet_move(struct ata_cmd *c)
{
	uint32_t blocks = c->moving / ATA_CD_BLOCK;
	uint8_t *cdb = c->task.cdb;

	packet_put32(cdb + 2, (uint32_t)MIN(c->lba, UINT32_MAX));
	if (cdb[0] == PACKET_READ12) {
		packet_put32(cdb + 6, blocks);
	} else {
		cdb[7] = (uint8_t)(blocks >> 8);
		cdb[8] = (uint8_t)blocks;
	}
	ata_run(c);
}

void ata_packet_ended(struct ata_cmd *c)
{
	const struct scsi_task *t = &c->task;
	struct ata_drive *d = c->drive;

	c->moved = 0;
	if (t->status == SCSI_CHECK_CONDITION) {
		memcpy(d->sense, t->sense, sizeof(d->sense));
		d->sense_len = SCSI_SENSE_SIZE;
		ata_fail(c, (uint8_t)((t->sense[2] & 0xf) << 4 | ATA_ABRT));
	} else if (t->status != SCSI_GOOD || t->overrun) {
		ata_fail(c, ATA_ABRT);
	} else {
		c->moved = (uint32_t)t->moved;
		c->lba += c->moved / ATA_CD_BLOCK;
		c->left -= MIN(c->left, c->moved);
		if (!c->left)
			ata_good(c);
	}
}
