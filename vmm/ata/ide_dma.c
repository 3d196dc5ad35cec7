// SPDX-License-Identifier: MIT
/*
 * The bus master of an IDE channel: Intel 82371FB/82371SB data sheet (290550), its bus master IDE
 * registers and their operation, which is SFF-8038i. What of the guest's memory a table names is
 * read or written by the host's kernel at once, a part at a time: as much as its regions allow in
 * ATA_SEGS_MAX pieces. Which way data goes is said by the drive's command alone. Under
 * machine.lock.
 */
#include <endian.h>
#include <string.h>

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

/* The next region. False: there is none, *ret_bad: nor can there be. */
static bool ide_prd_next(struct ide_channel *ch, struct ide_prd *prd, bool *ret_bad)
{
	uint32_t entry[2];

	if (prd->last)
		return false;
	if (prd->used == PRD_MAX ||
	    gmem_read(ch->ide->dev.board->gmem, (uint64_t)ch->bm_table + prd->used * sizeof(entry),
		      entry, sizeof(entry)) < 0) {
		*ret_bad = true;
		return false;
	}
	prd->used++;
	prd->addr = le32toh(entry[0]) & ~1u;
	prd->left = le32toh(entry[1]) & 0xfffe;
	if (!prd->left)
		prd->left = 64 * KIB;
	prd->last = le32toh(entry[1]) & PRD_LAST;
	return true;
}

/* Up to `most` bytes of the regions from *prd on: how many there are */
static uint32_t ide_prd_collect(struct ide_channel *ch, struct ide_prd *prd, uint32_t most,
				unsigned int *ret_n, bool *ret_bad)
{
	const struct gmem *g = ch->ide->dev.board->gmem;
	uint32_t bytes = 0;
	unsigned int n = 0;

	while (bytes < most && n < ATA_SEGS_MAX) {
		uint32_t len;
		void *p;

		if (!prd->left && !ide_prd_next(ch, prd, ret_bad))
			break;
		len = MIN(prd->left, most - bytes);
		p = gmem_ptr(g, prd->addr, len);
		if (!p) {
			*ret_bad = true;
			break;
		}
		ch->cmd.iov[n++] = (struct iovec){ .iov_base = p, .iov_len = len };
		prd->addr += len;
		prd->left -= len;
		bytes += len;
	}
	*ret_n = n;
	return bytes;
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
	struct ide_prd prd = ch->prd;
	uint32_t most = (uint32_t)MIN(ch->cmd.left, IDE_PART_MAX), bytes;
	bool bad = false;
	unsigned int n;

	bytes = ide_prd_collect(ch, &prd, most, &n, &bad);
	/* whole sectors alone; the rest is for the next part */
	if (!bad && bytes % ch->cmd.block) {
		prd = ch->prd;
		bytes = ide_prd_collect(ch, &prd, bytes - bytes % ch->cmd.block, &n, &bad);
	}
	if (bad || !bytes) {
		ide_bm_stall(ch, bad);
		return;
	}
	ch->prd = prd;
	ch->running = true;
	ch->drives[ch->active].status = ATA_BSY;
	ata_move(&ch->cmd, n, bytes);
}

static void ide_dma_answer(struct ide_channel *ch)
{
	bool bad = false;
	unsigned int n;
	uint32_t bytes = ide_prd_collect(ch, &ch->prd, ch->len - ch->pos, &n, &bad);

	if (bad) {
		ide_bm_stall(ch, true);
		return;
	}
	for (unsigned int i = 0; i < n; i++) {
		const struct iovec *v = &ch->cmd.iov[i];

		memcpy(v->iov_base, ch->buffer + ch->pos, v->iov_len);
		ch->pos += (uint32_t)v->iov_len;
	}
	if (ch->pos < ch->len) {
		if (bytes) /* many small regions */
			ide_dma_answer(ch);
		else
			ide_bm_stall(ch, false);
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
	ch->prd = (struct ide_prd){ 0 };
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
	ch->prd = (struct ide_prd){ 0 };
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
