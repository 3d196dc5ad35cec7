// SPDX-License-Identifier: MIT
/*
 * The registers of an IDE channel, and data by PIO: ATA/ATAPI-7 volume 2, chapters 5 (registers)
 * and 9 (protocols; one device of two). A channel has one command at a time, for one of its
 * drives: there is no overlap. Under machine.lock, but for what the drives' set does elsewhere.
 */
#include <string.h>

#include "vmm/ata/ide.h"

#define IDE_STATUS 7 /* Command, when written */
#define IDE_DEVICE 6
#define IDE_NOBODY 0x7f /* DD7 is pulled down: volume 2, DD (15:0) */

#define IDE_NIEN BIT(1)
#define IDE_SRST BIT(2)
#define IDE_HOB BIT(7)

#define IDE_DEVICE_RESET 0x08
#define IDE_DIAGNOSTIC 0x90
#define IDE_PASSED 0x01 /* Error, after a reset or the diagnostic */

static unsigned int ide_selected(const struct ide_channel *ch)
{
	return !!(ch->device & ATA_DEV);
}

static struct ide_drive *ide_drive_of(struct ide_channel *ch)
{
	return &ch->drives[ide_selected(ch)];
}

static bool ide_empty(const struct ide_channel *ch)
{
	return !ch->drives[0].ata && !ch->drives[1].ata;
}

/* --- the interrupt ---------------------------------------------------------------------------- */

/* The selected drive drives the line, when the host lets it: volume 2, INTRQ. */
static void ide_sync_irq(struct ide_channel *ch)
{
	bool level = ide_drive_of(ch)->irq && !(ch->device_control & IDE_NIEN);

	if (level == ch->level)
		return;
	ch->level = level;
	if (level)
		ide_bm_irq(ch);
	irq_line_set(&ch->line, level);
}

void ide_set_irq(struct ide_channel *ch, bool irq)
{
	ch->drives[ch->active].irq = irq;
	ide_sync_irq(ch);
}

/* --- between registers and commands ----------------------------------------------------------- */

static uint16_t ide_pair(const struct ide_drive *d, unsigned int reg)
{
	return (uint16_t)(d->before[reg] << 8 | d->now[reg]);
}

static void ide_to_regs(const struct ide_channel *ch, const struct ide_drive *d,
			struct ata_regs *ret)
{
	ret->device = ch->device;
	ret->feature = ide_pair(d, IDE_FEATURE);
	ret->count = ide_pair(d, IDE_COUNT);
	ret->lba = 0;
	for (unsigned int i = 0; i < 3; i++)
		ret->lba |= (uint64_t)d->now[IDE_LOW + i] << (8 * i) |
			    (uint64_t)d->before[IDE_LOW + i] << (24 + 8 * i);
}

static void ide_from_regs(struct ide_drive *d, const struct ata_regs *r)
{
	d->status = r->status;
	d->error = r->error;
	d->now[IDE_COUNT] = (uint8_t)r->count;
	d->before[IDE_COUNT] = (uint8_t)(r->count >> 8);
	for (unsigned int i = 0; i < 3; i++) {
		d->now[IDE_LOW + i] = (uint8_t)(r->lba >> (8 * i));
		d->before[IDE_LOW + i] = (uint8_t)(r->lba >> (24 + 8 * i));
	}
}

static bool ide_is_packet(const struct ide_channel *ch)
{
	return ch->cmd.regs.command == ATA_PACKET_COMMAND;
}

/* The end, with its interrupt */
void ide_finish(struct ide_channel *ch)
{
	struct ata_regs *r = &ch->cmd.regs;

	ch->phase = IDE_IDLE;
	ch->device = (uint8_t)((ch->device & (ATA_DEV | 0xe0)) | (r->device & 0xf));
	ide_from_regs(&ch->drives[ch->active], r);
	ide_set_irq(ch, true);
}

/* --- PIO data-in, data-out and PACKET protocols ----------------------------------------------- */

static void ide_move_buffer(struct ide_channel *ch, uint32_t bytes)
{
	ch->before = ch->cmd.regs;
	ch->before_left = ch->cmd.left;
	ch->drives[ch->active].status = ATA_BSY;
	ch->phase = IDE_BUSY;
	ch->running = true;
	ch->cmd.iov[0] = (struct iovec){ .iov_base = ch->buffer, .iov_len = bytes };
	ata_move(&ch->cmd, 1, bytes);
}

/*
 * What may be moved at once: what is read, as many blocks as fit, so that a guest that polls has
 * the next one when it has taken one; what it writes, a block.
 */
static uint32_t ide_part(const struct ide_channel *ch)
{
	uint32_t most = ATA_ANSWER_MAX - (ch->cmd.block ? ATA_ANSWER_MAX % ch->cmd.block : 0);

	if (!ide_is_packet(ch) && (ch->cmd.way == ATA_PIO_OUT || ch->singly))
		most = ch->cmd.block;
	return (uint32_t)MIN(ch->cmd.left, most);
}

/*
 * READ SECTOR(S): what is before a sector that cannot be read is the host's. So blocks that were
 * read together and failed are read one by one.
 */
static bool ide_reads_singly(struct ide_channel *ch)
{
	struct ata_cmd *c = &ch->cmd;

	if (c->way != ATA_PIO_IN || ide_is_packet(ch) || ch->singly ||
	    ch->before_left <= c->block || !(c->regs.status & ATA_ERR))
		return false;
	ch->singly = true;
	c->regs = ch->before;
	c->left = ch->before_left;
	ide_move_buffer(ch, ide_part(ch));
	return true;
}

/*
 * PACKET, byte count limit: of a packet's data the host says how much it takes with each
 * interrupt.
 */
static uint32_t ide_packet_part(struct ide_channel *ch)
{
	struct ide_drive *d = &ch->drives[ch->active];
	uint32_t limit = (uint32_t)(ch->cmd.regs.lba >> 8) & 0xffff;
	uint32_t n = ch->len - ch->pos;

	if (!limit || limit == 0xffff)
		limit = 0xfffe;
	if (n > limit)
		n = MAX(limit & ~1u, 2u);
	d->now[IDE_COUNT] = ATA_REASON_IO;
	d->now[IDE_MID] = (uint8_t)n;
	d->now[IDE_HIGH] = (uint8_t)(n >> 8);
	return n;
}

static void ide_offer(struct ide_channel *ch)
{
	ch->phase = IDE_IN;
	if (ide_is_packet(ch))
		ch->drq = ch->pos + ide_packet_part(ch);
	else
		ch->drq = MIN(ch->pos + ch->cmd.block, ch->len);
	ch->drives[ch->active].status = ATA_DRDY | ATA_DSC | ATA_DRQ;
	ide_set_irq(ch, true);
}

/* All that DRQ was for has been read. After the last block of a disk comes no interrupt. */
static void ide_taken(struct ide_channel *ch)
{
	if (ch->pos < ch->len) {
		ide_offer(ch);
	} else if (ch->cmd.left) {
		ide_move_buffer(ch, ide_part(ch));
	} else if (ide_is_packet(ch)) {
		ide_finish(ch);
	} else {
		ch->phase = IDE_IDLE;
		ide_from_regs(&ch->drives[ch->active], &ch->cmd.regs);
	}
}

static void ide_want(struct ide_channel *ch, enum ide_phase phase, uint32_t bytes)
{
	ch->phase = phase;
	ch->pos = 0;
	ch->len = ch->drq = bytes;
	ch->drives[ch->active].status = ATA_DRDY | ATA_DSC | ATA_DRQ;
}

/* The PACKET protocols: the answer is in the buffer, and goes by PIO or by DMA. */
static void ide_answered(struct ide_channel *ch)
{
	ch->pos = 0;
	ch->len = ch->cmd.moved;
	if (!ch->len) {
		ide_finish(ch);
	} else if (ch->cmd.way == ATA_DMA_IN) {
		ch->phase = IDE_ANSWER;
		ch->drives[ch->active].status = ATA_DRDY | ATA_DSC | ATA_DRQ;
		ide_dma_go(ch);
	} else {
		ide_offer(ch);
	}
}

static void ide_begun(struct ide_channel *ch, enum ata_next next);

static void ide_packet_sent(struct ide_channel *ch)
{
	uint8_t cdb[ATA_CDB];
	enum ata_next next;

	memcpy(cdb, ch->buffer, sizeof(cdb));
	ch->drives[ch->active].status = ATA_BSY;
	ch->phase = IDE_BUSY;
	next = ata_packet(&ch->cmd, cdb, ch->buffer);
	if (next == ATA_ENDED)
		ide_answered(ch);
	else
		ide_begun(ch, next);
}

static void ide_given(struct ide_channel *ch)
{
	if (ch->phase == IDE_CDB)
		ide_packet_sent(ch);
	else
		ide_move_buffer(ch, ch->len);
}

/* --- commands --------------------------------------------------------------------------------- */

static void ide_start_moving(struct ide_channel *ch)
{
	switch (ch->cmd.way) {
	case ATA_PIO_IN:
		ide_move_buffer(ch, ide_part(ch));
		break;
	case ATA_PIO_OUT:
		ide_want(ch, IDE_OUT, ide_part(ch));
		break;
	case ATA_PACKET:
		ide_want(ch, IDE_CDB, ATA_CDB);
		ch->drives[ch->active].now[IDE_COUNT] = ATA_REASON_CD;
		break;
	default:
		ch->phase = IDE_DMA;
		ch->drives[ch->active].status = ATA_DRDY | ATA_DSC | ATA_DRQ;
		ide_dma_go(ch);
	}
}

static void ide_begun(struct ide_channel *ch, enum ata_next next)
{
	switch (next) {
	case ATA_ENDED:
		ide_finish(ch);
		break;
	case ATA_WAIT:
		ch->running = true;
		break;
	case ATA_MOVE:
		ide_start_moving(ch);
		break;
	}
}

static void ide_moved(struct ide_channel *ch)
{
	switch (ch->cmd.way) {
	case ATA_PIO_IN:
		ch->pos = 0;
		ch->len = ch->cmd.moved;
		ide_offer(ch);
		break;
	case ATA_PIO_OUT:
		if (!ch->cmd.left) {
			ide_finish(ch);
			break;
		}
		ide_want(ch, IDE_OUT, ide_part(ch));
		ide_set_irq(ch, true);
		break;
	default:
		ide_dma_ended(ch);
	}
}

static void ide_soft_reset(struct ide_channel *ch);

void ide_ended(struct ata_cmd *c)
{
	struct ide_channel *ch = container_of(c, struct ide_channel, cmd);

	ch->running = false;
	if (ch->reset_due)
		ide_soft_reset(ch);
	else if (ide_reads_singly(ch))
		return;
	else if (c->regs.status & ATA_ERR || c->way == ATA_NO_DATA)
		ide_finish(ch);
	else if (ide_is_packet(ch) && !c->block)
		ide_answered(ch);
	else
		ide_moved(ch);
}

/* --- resets: volume 2, software reset and DEVICE RESET protocols ------------------------------ */

static void ide_show_signature(struct ide_channel *ch, struct ide_drive *d)
{
	struct ata_regs r = { .device = ch->device };

	if (!d->ata)
		return;
	ata_signature(d->ata, &r);
	r.error = IDE_PASSED;
	r.status = d->ata->kind == SCSI_CDROM ? 0 : ATA_DRDY | ATA_DSC;
	ide_from_regs(d, &r);
	d->irq = false;
}

static void ide_show_signatures(struct ide_channel *ch)
{
	ch->device = 0;
	ch->phase = IDE_IDLE;
	for (unsigned int i = 0; i < 2; i++) {
		if (ch->drives[i].ata)
			ata_drive_reset(ch->drives[i].ata, false);
		ide_show_signature(ch, &ch->drives[i]);
	}
	ide_sync_irq(ch);
}

static void ide_soft_reset(struct ide_channel *ch)
{
	if (ch->device_control & IDE_SRST)
		return;
	ch->reset_due = false;
	ide_show_signatures(ch);
}

/*
 * Both drives, and they are busy until SRST is 0 again. What is with the host's kernel cannot be
 * called back, and reaches into the guest's memory: they are busy until that has ended, too.
 */
static void ide_write_srst(struct ide_channel *ch, bool on)
{
	for (unsigned int i = 0; i < 2; i++) {
		ch->drives[i].status = ATA_BSY;
		ch->drives[i].irq = false;
	}
	ch->phase = IDE_IDLE;
	ch->reset_due = true;
	ide_sync_irq(ch);
	if (!on && !ch->running)
		ide_soft_reset(ch);
}

/* DEVICE RESET: one packet device alone, even if it is busy */
static void ide_device_reset(struct ide_channel *ch)
{
	struct ide_drive *d = ide_drive_of(ch);

	if (!d->ata || d->ata->kind != SCSI_CDROM)
		return;
	if (ch->running && ch->active == ide_selected(ch)) {
		ide_write_srst(ch, false); /* no command of the other one can be under way */
		return;
	}
	if (ch->active == ide_selected(ch))
		ch->phase = IDE_IDLE;
	ata_drive_reset(d->ata, false);
	ide_show_signature(ch, d);
	ide_sync_irq(ch);
}

/* EXECUTE DEVICE DIAGNOSTIC: both, and device 0 answers */
static void ide_diagnostic(struct ide_channel *ch)
{
	ide_show_signatures(ch);
	ch->active = !ch->drives[0].ata;
	ide_set_irq(ch, true);
}

void ide_channel_reset(struct ide_channel *ch)
{
	ch->running = ch->reset_due = false;
	ch->device_control = 0;
	ch->active = 0;
	for (unsigned int i = 0; i < 2; i++) {
		struct ide_drive *d = &ch->drives[i];

		*d = (struct ide_drive){ .ata = d->ata };
	}
	ide_show_signatures(ch);
	ide_bm_reset(ch);
}

/* --- the Command register --------------------------------------------------------------------- */

static void ide_write_command(struct ide_channel *ch, uint8_t command)
{
	struct ide_drive *d = ide_drive_of(ch);
	struct ata_cmd *c = &ch->cmd;

	if (command == IDE_DEVICE_RESET && d->ata && d->ata->kind == SCSI_CDROM &&
	    !(ch->device_control & IDE_SRST)) {
		ide_device_reset(ch);
		return;
	}
	if (ch->running || ch->reset_due || ide_empty(ch))
		return;
	if (command == IDE_DIAGNOSTIC) {
		ide_diagnostic(ch);
		return;
	}
	if (!d->ata)
		return;
	ch->active = ide_selected(ch);
	ide_set_irq(ch, false);
	ide_to_regs(ch, d, &c->regs);
	c->regs.command = command;
	c->ended = ide_ended;
	ch->singly = false;
	d->status = ATA_BSY;
	ch->phase = IDE_BUSY;
	ide_begun(ch, ata_begin(d->ata, c));
}

/* --- ports ------------------------------------------------------------------------------------ */

static uint8_t ide_read_reg(struct ide_channel *ch, unsigned int reg)
{
	struct ide_drive *d = ide_drive_of(ch);

	if (ide_empty(ch))
		return IDE_NOBODY;
	if (reg == IDE_DEVICE)
		return ch->device | 0xa0;
	if (!d->ata) /* device 0 answers for a device 1 that is not there; nobody for device 0 */
		return ide_selected(ch) ? 0 : IDE_NOBODY;
	if (reg == IDE_STATUS) {
		d->irq = false;
		ide_sync_irq(ch);
		return d->status;
	}
	if (reg == IDE_FEATURE)
		return d->error;
	return ch->device_control & IDE_HOB ? d->before[reg] : d->now[reg];
}

/* Both drives see it: volume 2, chapter 5. */
static void ide_write_reg(struct ide_channel *ch, unsigned int reg, uint8_t val)
{
	ch->device_control &= (uint8_t)~IDE_HOB;
	if (reg == IDE_STATUS) {
		ide_write_command(ch, val);
		return;
	}
	if (ch->running || ch->reset_due)
		return;
	if (reg == IDE_DEVICE) {
		ch->device = val;
		ide_sync_irq(ch);
		return;
	}
	for (unsigned int i = 0; i < 2; i++) {
		struct ide_drive *d = &ch->drives[i];

		d->before[reg] = d->now[reg];
		d->now[reg] = val;
	}
}

static uint32_t ide_read_data(struct ide_channel *ch, unsigned int size)
{
	uint32_t val = 0, n;

	if (ch->phase != IDE_IN || ch->active != ide_selected(ch))
		return 0;
	n = MIN(size, ch->drq - ch->pos);
	memcpy(&val, ch->buffer + ch->pos, n);
	ch->pos += n;
	if (ch->pos == ch->drq)
		ide_taken(ch);
	return val;
}

static void ide_write_data(struct ide_channel *ch, unsigned int size, uint32_t val)
{
	uint32_t n;

	if ((ch->phase != IDE_OUT && ch->phase != IDE_CDB) || ch->active != ide_selected(ch))
		return;
	n = MIN(size, ch->drq - ch->pos);
	memcpy(ch->buffer + ch->pos, &val, n);
	ch->pos += n;
	if (ch->pos == ch->drq)
		ide_given(ch);
}

/* All but Data are bytes: a wider access is one to each of several. */
static uint64_t ide_command_read(void *dev, uint64_t off, unsigned int size)
{
	uint64_t val = 0;

	if (!off)
		return ide_read_data(dev, size);
	for (unsigned int i = 0; i < size; i++)
		val |= (uint64_t)(off + i > IDE_STATUS ? 0xff
						       : ide_read_reg(dev, (unsigned int)off + i))
		       << (8 * i);
	return val;
}

static void ide_command_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	if (!off) {
		ide_write_data(dev, size, (uint32_t)val);
		return;
	}
	for (unsigned int i = 0; i < size && off + i <= IDE_STATUS; i++)
		ide_write_reg(dev, (unsigned int)off + i, (uint8_t)(val >> (8 * i)));
}

const struct region_ops ide_command_ops = {
	.read = ide_command_read,
	.write = ide_command_write,
	.min_size = 1,
	.max_size = 4,
};

/* Alternate Status, which leaves the interrupt alone */
static uint64_t ide_control_read(void *dev, uint64_t off, unsigned int size)
{
	struct ide_channel *ch = dev;
	const struct ide_drive *d = ide_drive_of(ch);

	(void)off;
	(void)size;
	if (d->ata)
		return d->status;
	return ide_empty(ch) || !ide_selected(ch) ? IDE_NOBODY : 0;
}

/* Device Control */
static void ide_control_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct ide_channel *ch = dev;
	uint8_t before = ch->device_control;

	(void)off;
	(void)size;
	ch->device_control = (uint8_t)val & (IDE_NIEN | IDE_SRST | IDE_HOB);
	if ((before | val) & IDE_SRST && !ide_empty(ch))
		ide_write_srst(ch, val & IDE_SRST);
	ide_sync_irq(ch);
}

const struct region_ops ide_control_ops = {
	.read = ide_control_read,
	.write = ide_control_write,
	.min_size = 1,
	.max_size = 1,
};
