// SPDX-License-Identifier: MIT
/*
 * The bus master of an IDE channel: Intel 82371FB/82371SB data sheet (290550), its bus master IDE
 * registers and their operation, which is SFF-8038i. What of the guest's memory a table names is
 * read or written by the host's kernel at once, a part at a time: as much as its regions allow in
 * ATA_SEGS_MAX pieces. Which way data goes is said by the drive's command alone. Under
 * machine.lock.
 */
#include <endian.h>
#include <errno.h>

#include "vmm/ata/ide.h"

/* BMICX, BMISX, BMIDTPX */
#define BM_COMMAND 0
#define BM_STATUS 2
#define BM_TABLE 4
#define BM_START BIT(0)
#define BM_READ BIT(3) /* to memory */
#define BM_ACTIVE BIT(0)
#define BM_ERROR BIT(1)
#define BM_INTERRUPT BIT(2)
#define BM_CAPABLE 0x60 /* of DMA, by drive: kept for the driver */

#define PRD_LAST BIT(31)
#define PRD_MAX 8192 /* a table has at most 64 KiB */
#define IDE_PART_MAX MIB

/* --- the table of physical region descriptors ------------------------------------------------- */

/* struct ata_table, next */
static int ide_prd_next(void *arg, struct ata_place *p)
{
	const struct ide_channel *ch = arg;
	uint64_t at = (uint64_t)ch->bm_table + p->used * sizeof(uint32_t[2]);
	uint32_t entry[2];

	if (p->used == PRD_MAX || gmem_read(ch->ide->dev.board->gmem, at, entry, sizeof(entry)) < 0)
		return -EFAULT;
	p->used++;
	p->addr = le32toh(entry[0]) & ~1u;
	p->left = le32toh(entry[1]) & 0xfffe;
	if (!p->left)
		p->left = 64 * KIB;
	p->last = le32toh(entry[1]) & PRD_LAST;
	return 1;
}

static struct ata_table ide_prd_table(struct ide_channel *ch)
{
	return (struct ata_table){ .gmem = ch->ide->dev.board->gmem,
				   .next = ide_prd_next,
				   .arg = ch };
}

/* --- transfers -------------------------------------------------------------------------------- */

static bool ide_bm_may(const struct ide_channel *ch)
{
	return ch->bm_command & BM_START && ch->bm_status & BM_ACTIVE &&
	       pci_is_master(&ch->ide->pci);
}

/* The drive waits on, and nobody interrupts: the driver resets it, or starts another table. */
static void ide_bm_stall(struct ide_channel *ch, bool bad)
{
	ch->bm_status &= (uint8_t)~BM_ACTIVE;
	if (bad)
		ch->bm_status |= BM_ERROR;
}

/*
 * With the end of the data and of the table: not active any more; with more of the table, still:
 * BMISX, bits 2 and 0
 */
static void ide_bm_done(struct ide_channel *ch)
{
	if (ch->prd.last && !ch->prd.left)
		ch->bm_status &= (uint8_t)~BM_ACTIVE;
}

static void ide_dma_part(struct ide_channel *ch)
{
	const struct ata_table table = ide_prd_table(ch);
	uint32_t most = (uint32_t)MIN(ch->cmd.left, IDE_PART_MAX);
	unsigned int n;
	int64_t bytes = ata_collect(&table, &ch->prd, most, ch->cmd.block, ch->cmd.iov, &n);

	if (bytes <= 0) {
		ide_bm_stall(ch, bytes < 0);
		return;
	}
	ch->running = true;
	ch->drives[ch->active].status = ATA_BSY;
	ata_move(&ch->cmd, n, (uint32_t)bytes);
}

static void ide_dma_answer(struct ide_channel *ch)
{
	const struct ata_table table = ide_prd_table(ch);
	int64_t bytes = ata_fill(&table, &ch->prd, ch->buffer + ch->pos, ch->len - ch->pos);

	if (bytes > 0)
		ch->pos += (uint32_t)bytes;
	if (bytes < 0 || ch->pos < ch->len) {
		ide_bm_stall(ch, bytes < 0);
		return;
	}
	ide_bm_done(ch);
	ide_finish(ch);
}

void ide_dma_go(struct ide_channel *ch)
{
	if (ch->running || !ide_bm_may(ch))
		return;
	if (ch->phase == IDE_DMA)
		ide_dma_part(ch);
	else if (ch->phase == IDE_ANSWER)
		ide_dma_answer(ch);
}

void ide_dma_ended(struct ide_channel *ch)
{
	if (!(ch->bm_command & BM_START))
		ch->bm_status &= (uint8_t)~BM_ACTIVE;
	if (!ch->cmd.left) {
		ide_bm_done(ch);
		ide_finish(ch);
		return;
	}
	ch->drives[ch->active].status = ATA_DRDY | ATA_DSC | ATA_DRQ;
	ide_dma_go(ch);
}

void ide_bm_irq(struct ide_channel *ch)
{
	ch->bm_status |= BM_INTERRUPT;
}

void ide_bm_reset(struct ide_channel *ch)
{
	ch->bm_command = ch->bm_status = 0;
	ch->bm_table = 0;
	ch->prd = (struct ata_place){ 0 };
}

/* --- registers: BMICX, BMISX, BMIDTPX --------------------------------------------------------- */

/*
 * What is with the host's kernel when it is stopped goes on: the bus master is active until then.
 */
static void ide_bm_write_command(struct ide_channel *ch, uint8_t val)
{
	uint8_t before = ch->bm_command;

	ch->bm_command = val & (BM_START | BM_READ);
	if (before & BM_START && !(val & BM_START) && !ch->running)
		ch->bm_status &= (uint8_t)~BM_ACTIVE;
	if (before & BM_START || !(val & BM_START))
		return;
	ch->prd = (struct ata_place){ 0 };
	ch->bm_status |= BM_ACTIVE;
	ide_dma_go(ch);
}

static void ide_bm_write_reg(struct ide_channel *ch, unsigned int reg, uint8_t val)
{
	unsigned int shift = 8 * (reg & 3);

	if (reg == BM_COMMAND) {
		ide_bm_write_command(ch, val);
	} else if (reg == BM_STATUS) {
		ch->bm_status &= (uint8_t) ~(val & (BM_ERROR | BM_INTERRUPT));
		ch->bm_status = (uint8_t)((ch->bm_status & ~BM_CAPABLE) | (val & BM_CAPABLE));
	} else if (reg >= BM_TABLE) {
		ch->bm_table = (ch->bm_table & ~(0xffu << shift)) | (uint32_t)val << shift;
		ch->bm_table &= ~3u;
	}
}

static uint8_t ide_bm_read_reg(const struct ide_channel *ch, unsigned int reg)
{
	if (reg == BM_COMMAND)
		return ch->bm_command;
	if (reg == BM_STATUS)
		return ch->bm_status;
	return reg >= BM_TABLE ? (uint8_t)(ch->bm_table >> (8 * (reg & 3))) : 0;
}

static uint64_t ide_bm_read(void *dev, uint64_t off, unsigned int size)
{
	const struct ide *ide = dev;
	uint64_t val = 0;

	for (unsigned int i = 0; i < size; i++) {
		unsigned int port = (unsigned int)(off + i) % (IDE_CHANNELS * IDE_BM_SIZE);

		val |= (uint64_t)ide_bm_read_reg(&ide->channels[port / IDE_BM_SIZE],
						 port % IDE_BM_SIZE)
		       << (8 * i);
	}
	return val;
}

static void ide_bm_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct ide *ide = dev;

	for (unsigned int i = 0; i < size; i++) {
		unsigned int port = (unsigned int)(off + i) % (IDE_CHANNELS * IDE_BM_SIZE);

		ide_bm_write_reg(&ide->channels[port / IDE_BM_SIZE], port % IDE_BM_SIZE,
				 (uint8_t)(val >> (8 * i)));
	}
}

const struct region_ops ide_bm_ops = {
	.read = ide_bm_read,
	.write = ide_bm_write,
	.min_size = 1,
	.max_size = 4,
};
