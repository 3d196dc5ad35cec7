// SPDX-License-Identifier: MIT
/*
 * Commands of ATA devices: ATA/ATAPI-7 volume 1, chapter 6, one row each; INITIALIZE DEVICE
 * PARAMETERS, SEEK and RECALIBRATE are of the standards before, which old systems still send.
 * What has no row is aborted, SMART and security among it: IDENTIFY says that there is none.
 * Under machine.lock.
 */
#include <string.h>

#include "vmm/ata/ata.h"

#define ATA_READY (ATA_DRDY | ATA_DSC)
#define ATA_QUEUED_FUA 0x80 /* in Device */
#define ATA_SETTINGS_KEPT 6 /* SET FEATURES, Count: software settings preservation */

/* SBC-3, and the sense keys of SPC-4, section 4.5.6 */
#define SCSI_READ16 0x88
#define SCSI_WRITE16 0x8a
#define SCSI_VERIFY16 0x8f
#define SCSI_SYNC16 0x91
#define SCSI_CDB_FUA 0x08
#define SCSI_KEY_ILLEGAL 5
#define SCSI_KEY_PROTECT 7
#define SCSI_ASC_RANGE 0x21

enum {
	ATA_ON_DISK = BIT(0),
	ATA_ON_CDROM = BIT(1),
	ATA_ON_BOTH = ATA_ON_DISK | ATA_ON_CDROM,
	ATA_EXT = BIT(2),      /* addresses of 48 bits */
	ATA_MULTIPLE = BIT(3), /* as many sectors at once as SET MULTIPLE MODE said */
	ATA_FUA = BIT(4),
	ATA_SATA = BIT(5), /* of Serial ATA alone */
};

struct ata_command {
	uint8_t first, last;
	uint16_t flags;
	enum ata_way way;
	enum ata_next (*run)(struct ata_cmd *c);
};

/* --- ends ------------------------------------------------------------------------------------- */

/* PACKET, outputs: the interrupt reason */
static void ata_put_reason(struct ata_cmd *c)
{
	if (c->regs.command == ATA_PACKET_COMMAND)
		c->regs.count = ATA_REASON_CD | ATA_REASON_IO;
}

enum ata_next ata_good(struct ata_cmd *c)
{
	ata_put_reason(c);
	c->regs.status = ATA_READY;
	c->regs.error = 0;
	c->left = 0;
	return ATA_ENDED;
}

enum ata_next ata_fail(struct ata_cmd *c, uint8_t error)
{
	ata_put_reason(c);
	c->regs.status = ATA_READY | ATA_ERR;
	c->regs.error = error;
	c->left = 0;
	return ATA_ENDED;
}

/*
 * READ SECTOR(S), error outputs: the address of the first sector that could not be read, as the
 * command gave it
 */
static void ata_put_lba(struct ata_cmd *c)
{
	if (c->ext) {
		c->regs.lba = c->lba;
	} else if (c->regs.device & ATA_LBA) {
		c->regs.lba = c->lba & 0xffffff;
		c->regs.device = (uint8_t)((c->regs.device & 0xf0) | (c->lba >> 24 & 0xf));
	}
}

/* --- to the target ---------------------------------------------------------------------------- */

void ata_task(struct ata_cmd *c, uint8_t opcode, uint64_t lba, uint32_t blocks)
{
	struct scsi_task *t = &c->task;

	t->lun = c->drive->unit;
	memset(t->cdb, 0, sizeof(t->cdb));
	t->cdb[0] = opcode;
	for (unsigned int i = 0; i < 8; i++)
		t->cdb[2 + i] = (uint8_t)(lba >> (56 - 8 * i));
	for (unsigned int i = 0; i < 4; i++)
		t->cdb[10 + i] = (uint8_t)(blocks >> (24 - 8 * i));
	t->in = t->out = NULL;
	t->nin = t->nout = 0;
	t->saved = c->saved;
}

static void ata_move_sectors(struct ata_cmd *c, unsigned int niov, uint32_t bytes)
{
	bool write = c->way == ATA_PIO_OUT || c->way == ATA_DMA_OUT;
	bool fua = c->command->flags & ATA_FUA || (c->queued && c->regs.device & ATA_QUEUED_FUA);
	struct scsi_task *t = &c->task;

	ata_task(c, write ? SCSI_WRITE16 : SCSI_READ16, c->lba, bytes / ATA_SECTOR);
	if (write && (fua || !c->drive->write_cache))
		t->cdb[1] = SCSI_CDB_FUA;
	if (write) {
		t->out = c->iov;
		t->nout = niov;
	} else {
		t->in = c->iov;
		t->nin = niov;
	}
	ata_run(c);
}

/* Whose data is here already: IDENTIFY, READ LOG EXT */
static void ata_move_filled(struct ata_cmd *c, unsigned int niov, uint32_t bytes)
{
	uint8_t data[ATA_SECTOR];

	c->fill(c->drive, data);
	for (unsigned int i = 0, at = 0; i < niov; at += (unsigned int)c->iov[i++].iov_len)
		memcpy(c->iov[i].iov_base, data + at, c->iov[i].iov_len);
	c->moved = bytes;
	ata_good(c);
	c->ended(c);
}

void ata_move(struct ata_cmd *c, unsigned int niov, uint32_t bytes)
{
	c->moving = bytes;
	if (c->command->way == ATA_PACKET) {
		c->task.in = c->iov;
		c->task.nin = niov;
		ata_packet_move(c);
	} else if (c->command->run == ata_trim) {
		ata_trim_move(c, niov);
	} else if (c->fill) {
		ata_move_filled(c, niov, bytes);
	} else {
		ata_move_sectors(c, niov, bytes);
	}
}

static void ata_sectors_failed(struct ata_cmd *c)
{
	uint8_t key = c->task.sense[2] & 0xf;

	ata_put_lba(c);
	if (key == SCSI_KEY_ILLEGAL && c->task.sense[12] == SCSI_ASC_RANGE)
		ata_fail(c, ATA_IDNF);
	else if (key == SCSI_KEY_PROTECT || key == SCSI_KEY_ILLEGAL)
		ata_fail(c, ATA_ABRT);
	else if (c->way == ATA_PIO_IN || c->way == ATA_DMA_IN)
		ata_fail(c, ATA_UNC);
	else { /* WRITE DMA and FLUSH CACHE, error outputs: there is no bit for what could not be written */
		ata_fail(c, ATA_ABRT);
		c->regs.status |= ATA_DF;
	}
	if (c->queued)
		ata_queued_failed(c);
}

void ata_task_ended(struct ata_cmd *c)
{
	const struct scsi_task *t = &c->task;

	if (c->command->way == ATA_PACKET) {
		ata_packet_ended(c);
	} else if (t->status != SCSI_GOOD || t->overrun) {
		ata_sectors_failed(c);
	} else {
		c->moved = c->moving;
		c->left -= c->moving;
		c->lba += c->moving / ATA_SECTOR;
		if (!c->left) {
			ata_good(c);
			c->regs.count = 0;
		}
	}
	c->ended(c);
}

/* --- sectors ---------------------------------------------------------------------------------- */

/* By cylinder, head and sector, which counts from 1: CHS addresses of ATA-5 */
static bool ata_chs(const struct ata_cmd *c, uint64_t *ret_lba)
{
	const struct ata_drive *d = c->drive;
	uint32_t sector = c->regs.lba & 0xff, cylinder = (uint32_t)(c->regs.lba >> 8) & 0xffff;
	uint32_t head = c->regs.device & 0xf;

	*ret_lba = ((uint64_t)cylinder * d->heads + head) * d->per_track + sector - 1;
	return sector && sector <= d->per_track && head < d->heads;
}

/* False: there are no such sectors. */
static bool ata_range(struct ata_cmd *c, uint32_t *ret_count)
{
	const struct ata_regs *r = &c->regs;

	if (c->ext) {
		c->lba = r->lba;
		*ret_count = r->count ? r->count : 65536;
	} else {
		*ret_count = (uint8_t)r->count ? (uint8_t)r->count : 256;
		c->lba = (r->lba & 0xffffff) | (uint64_t)(r->device & 0xf) << 24;
		if (!(r->device & ATA_LBA) && !ata_chs(c, &c->lba))
			return false;
	}
	return range_fits(c->lba, *ret_count, c->drive->sectors);
}

static enum ata_next ata_sectors(struct ata_cmd *c)
{
	const struct ata_drive *d = c->drive;
	bool multiple = c->command->flags & ATA_MULTIPLE;
	uint32_t count;

	if (multiple && !d->multiple)
		return ata_fail(c, ATA_ABRT);
	if (!ata_range(c, &count))
		return ata_fail(c, ATA_IDNF);
	c->left = (uint64_t)count * ATA_SECTOR;
	c->block = ATA_SECTOR * (multiple ? d->multiple : 1u);
	return ATA_MOVE;
}

/* The medium is the host's to verify. */
static enum ata_next ata_verify(struct ata_cmd *c)
{
	uint32_t count;

	return ata_range(c, &count) ? ata_good(c) : ata_fail(c, ATA_IDNF);
}

static enum ata_next ata_flush(struct ata_cmd *c)
{
	ata_task(c, SCSI_SYNC16, 0, 0);
	c->moving = 0;
	ata_run(c);
	return ATA_WAIT;
}

/* --- what is asked of the drive, and what it is told ------------------------------------------ */

static enum ata_next ata_identify_start(struct ata_cmd *c)
{
	c->left = c->block = ATA_ID;
	c->fill = ata_identify;
	return ATA_MOVE;
}

/* IDENTIFY DEVICE, outputs for PACKET devices: such a device shows what it is, and aborts. */
static enum ata_next ata_no_disk(struct ata_cmd *c)
{
	ata_signature(c->drive, &c->regs);
	return ata_fail(c, ATA_ABRT);
}

static enum ata_next ata_packet_start(struct ata_cmd *c)
{
	if (c->regs.feature & 2) /* OVL: overlapped commands are not supported */
		return ata_fail(c, ATA_ABRT);
	c->left = c->block = ATA_CDB;
	return ATA_MOVE;
}

static enum ata_next ata_set_multiple(struct ata_cmd *c)
{
	uint8_t n = (uint8_t)c->regs.count;

	if (n > 16 || (n && !is_power_of_two(n)))
		return ata_fail(c, ATA_ABRT);
	c->drive->multiple = n;
	return ata_good(c);
}

static enum ata_next ata_set_geometry(struct ata_cmd *c)
{
	uint8_t per_track = (uint8_t)c->regs.count, heads = (c->regs.device & 0xf) + 1;

	if (!per_track || !ata_cylinders(c->drive, heads, per_track))
		return ata_fail(c, ATA_ABRT);
	c->drive->per_track = per_track;
	c->drive->heads = heads;
	return ata_good(c);
}

/*
 * SET FEATURES, "set transfer mode": PIO, with flow control or without; multiword DMA modes 0 to
 * 2; Ultra DMA 0 to 5, by Serial ATA to 6
 */
static enum ata_next ata_set_mode(struct ata_cmd *c)
{
	uint8_t mode = (uint8_t)c->regs.count;
	bool pio = mode < 2 || (mode >= 0x08 && mode <= 0x0c);
	uint8_t most = c->drive->sata ? 0x46 : 0x45;

	if (!pio && !(mode >= 0x20 && mode <= 0x22) && !(mode >= 0x40 && mode <= most))
		return ata_fail(c, ATA_ABRT);
	if (!pio)
		c->drive->mode = mode;
	return ata_good(c);
}

static enum ata_next ata_set_write_cache(struct ata_cmd *c, bool on)
{
	if (c->drive->kind == SCSI_CDROM || (on && c->drive->writethrough))
		return ata_fail(c, ATA_ABRT);
	c->drive->write_cache = on;
	return ata_good(c);
}

/* SET FEATURES, "enable or disable use of Serial ATA feature": what has to be told is one of them */
static enum ata_next ata_set_serial(struct ata_cmd *c, bool on)
{
	if (!c->drive->sata || (uint8_t)c->regs.count != ATA_SETTINGS_KEPT)
		return ata_fail(c, ATA_ABRT);
	c->drive->keeps = on;
	return ata_good(c);
}

static enum ata_next ata_set_features(struct ata_cmd *c)
{
	struct ata_drive *d = c->drive;

	switch (c->regs.feature & 0xff) {
	case 0x02:
		return ata_set_write_cache(c, true);
	case 0x03:
		return ata_set_mode(c);
	case 0x10:
		return ata_set_serial(c, true);
	case 0x90:
		return ata_set_serial(c, false);
	case 0x55:
	case 0xaa:
		if (d->kind == SCSI_CDROM)
			return ata_fail(c, ATA_ABRT);
		d->look_ahead = (c->regs.feature & 0xff) == 0xaa;
		return ata_good(c);
	case 0x66: /* what is set survives a software reset, or not: it does */
	case 0xcc:
		return ata_good(c);
	case 0x82: /* what is in the cache goes to the medium */
		if (ata_set_write_cache(c, false), c->regs.status & ATA_ERR)
			return ATA_ENDED;
		return ata_flush(c);
	default:
		return ata_fail(c, ATA_ABRT);
	}
}

/* CHECK POWER MODE: active or idle */
static enum ata_next ata_check_power(struct ata_cmd *c)
{
	c->regs.count = 0xff;
	return ata_good(c);
}

/* A row for each command, or for several that follow each other */
static const struct ata_command ata_commands[] = {
	{ 0xc8, 0xc9, ATA_ON_DISK, ATA_DMA_IN, ata_sectors },  /* READ DMA */
	{ 0xca, 0xcb, ATA_ON_DISK, ATA_DMA_OUT, ata_sectors }, /* WRITE DMA */
	{ 0x25, 0x25, ATA_ON_DISK | ATA_EXT, ATA_DMA_IN, ata_sectors },
	{ 0x35, 0x35, ATA_ON_DISK | ATA_EXT, ATA_DMA_OUT, ata_sectors },
	{ 0x3d, 0x3d, ATA_ON_DISK | ATA_EXT | ATA_FUA, ATA_DMA_OUT, ata_sectors },
	{ 0x20, 0x21, ATA_ON_DISK, ATA_PIO_IN, ata_sectors }, /* READ SECTORS */
	{ 0x24, 0x24, ATA_ON_DISK | ATA_EXT, ATA_PIO_IN, ata_sectors },
	{ 0x29, 0x29, ATA_ON_DISK | ATA_EXT | ATA_MULTIPLE, ATA_PIO_IN, ata_sectors },
	{ 0xc4, 0xc4, ATA_ON_DISK | ATA_MULTIPLE, ATA_PIO_IN, ata_sectors },
	{ 0x30, 0x31, ATA_ON_DISK, ATA_PIO_OUT, ata_sectors }, /* WRITE SECTORS */
	{ 0x34, 0x34, ATA_ON_DISK | ATA_EXT, ATA_PIO_OUT, ata_sectors },
	{ 0x39, 0x39, ATA_ON_DISK | ATA_EXT | ATA_MULTIPLE, ATA_PIO_OUT, ata_sectors },
	{ 0xce, 0xce, ATA_ON_DISK | ATA_EXT | ATA_MULTIPLE | ATA_FUA, ATA_PIO_OUT, ata_sectors },
	{ 0xc5, 0xc5, ATA_ON_DISK | ATA_MULTIPLE, ATA_PIO_OUT, ata_sectors },
	{ 0x40, 0x41, ATA_ON_DISK, ATA_NO_DATA, ata_verify }, /* READ VERIFY SECTORS */
	{ 0x42, 0x42, ATA_ON_DISK | ATA_EXT, ATA_NO_DATA, ata_verify },
	{ 0xe7, 0xe7, ATA_ON_DISK, ATA_NO_DATA, ata_flush }, /* FLUSH CACHE */
	{ 0xea, 0xea, ATA_ON_DISK | ATA_EXT, ATA_NO_DATA, ata_flush },
	{ 0xec, 0xec, ATA_ON_DISK, ATA_PIO_IN, ata_identify_start }, /* IDENTIFY DEVICE */
	{ 0xec, 0xec, ATA_ON_CDROM, ATA_NO_DATA, ata_no_disk },
	{ 0xa1, 0xa1, ATA_ON_CDROM, ATA_PIO_IN, ata_identify_start }, /* IDENTIFY PACKET DEVICE */
	{ ATA_PACKET_COMMAND, ATA_PACKET_COMMAND, ATA_ON_CDROM, ATA_PACKET, ata_packet_start },
	{ 0x60, 0x60, ATA_ON_DISK | ATA_EXT | ATA_SATA, ATA_DMA_IN, ata_queued },  /* READ … */
	{ 0x61, 0x61, ATA_ON_DISK | ATA_EXT | ATA_SATA, ATA_DMA_OUT, ata_queued }, /* WRITE FPDMA */
	{ 0x2f, 0x2f, ATA_ON_DISK | ATA_EXT | ATA_SATA, ATA_PIO_IN, ata_read_log },
	{ 0x06, 0x06, ATA_ON_DISK | ATA_EXT, ATA_DMA_OUT, ata_trim }, /* DATA SET MANAGEMENT */
	{ 0xef, 0xef, ATA_ON_BOTH, ATA_NO_DATA, ata_set_features },
	{ 0xc6, 0xc6, ATA_ON_DISK, ATA_NO_DATA, ata_set_multiple },
	{ 0x91, 0x91, ATA_ON_DISK, ATA_NO_DATA,
	  ata_set_geometry },				    /* INITIALIZE DEVICE PARAMETERS */
	{ 0x10, 0x1f, ATA_ON_DISK, ATA_NO_DATA, ata_good }, /* RECALIBRATE */
	{ 0x70, 0x7f, ATA_ON_DISK, ATA_NO_DATA, ata_good }, /* SEEK */
	{ 0xe5, 0xe5, ATA_ON_BOTH, ATA_NO_DATA, ata_check_power },
	{ 0xe0, 0xe3, ATA_ON_BOTH, ATA_NO_DATA, ata_good }, /* STANDBY, IDLE: at once or later */
	{ 0xe6, 0xe6, ATA_ON_BOTH, ATA_NO_DATA, ata_good }, /* SLEEP */
};

enum ata_next ata_begin(struct ata_drive *d, struct ata_cmd *c)
{
	unsigned int on = d->kind == SCSI_CDROM ? ATA_ON_CDROM : ATA_ON_DISK;

	c->drive = d;
	c->queued = false;
	c->fill = NULL;
	c->way = ATA_NO_DATA;
	c->left = c->block = c->moved = 0;
	c->regs.status = 0;
	for (unsigned int i = 0; i < ARRAY_SIZE(ata_commands); i++) {
		const struct ata_command *k = &ata_commands[i];

		if (!(k->flags & on) || c->regs.command < k->first || c->regs.command > k->last ||
		    (k->flags & ATA_SATA && !d->sata))
			continue;
		c->command = k;
		c->way = k->way;
		c->ext = k->flags & ATA_EXT;
		return k->run(c);
	}
	return ata_fail(c, ATA_ABRT);
}

/* --- resets ----------------------------------------------------------------------------------- */

void ata_signature(const struct ata_drive *d, struct ata_regs *ret)
{
	ret->count = 1;
	ret->lba = d->kind == SCSI_CDROM ? 0xeb1401 : 0x000001;
	ret->device &= ATA_DEV;
}

void ata_drive_reset(struct ata_drive *d, bool power_on)
{
	d->sense_len = 0;
	d->q_failed = false;
	if (!power_on)
		return;
	d->keeps = d->sata;
	d->write_cache = !d->writethrough;
	d->look_ahead = true;
	d->multiple = d->mode = 0;
	d->heads = 16;
	d->per_track = 63;
}
