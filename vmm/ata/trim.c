// SPDX-License-Identifier: MIT
/*
 * DATA SET MANAGEMENT with TRIM: ACS-2 (T13/2015-D), section 7.10; LBA Range Entries, section
 * 4.18.3. All entries of a command become one UNMAP of the target's, which is checked before
 * anything is done. Under machine.lock.
 */
#include <string.h>

#include "vmm/ata/ata.h"

#define ATA_DSM_TRIM 1 /* Feature; the other bits are reserved */
#define SCSI_UNMAP 0x42

_Static_assert(ATA_TRIM_RANGES <= SCSI_UNMAP_RANGES, "one UNMAP has all of a block");
_Static_assert((uint64_t)ATA_TRIM_RANGES *UINT16_MAX *ATA_SECTOR <= SCSI_UNMAP_BYTES,
	       "also when they follow each other");

/* Section 7.10.3; a Count of 0 is reserved. Word 105 of IDENTIFY DEVICE says how many blocks. */
enum ata_next ata_trim(struct ata_cmd *c)
{
	if (!c->drive->trims || c->regs.feature != ATA_DSM_TRIM || c->regs.count != 1)
		return ata_fail(c, ATA_ABRT);
	c->lba = c->regs.lba;
	c->left = c->block = ATA_SECTOR;
	return ATA_MOVE;
}

static void ata_gather(const struct ata_cmd *c, unsigned int niov, uint8_t *ret)
{
	for (unsigned int i = 0; i < niov; ret += c->iov[i++].iov_len)
		memcpy(ret, c->iov[i].iov_base, c->iov[i].iov_len);
}

static uint64_t ata_get64(const uint8_t *p)
{
	uint64_t v = 0;

	for (unsigned int i = 0; i < 8; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

/*
 * Bits 47 to 0 are an LBA, the others how many: 0 of them is padding. Linux cuts what it wants to
 * trim into entries of 65535 sectors, at whose ends a host would keep blocks that belong to two of
 * them: so neighbours are put together. Ranges may overlap, and need not be in order. False: one
 * of them is not there.
 */
static bool ata_parse_ranges(const struct ata_drive *d, const uint8_t *entries,
			     struct scsi_range *ret, unsigned int *ret_n)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < ATA_TRIM_RANGES; i++) {
		uint64_t v = ata_get64(entries + 8 * (size_t)i), lba = v & (BIT64(48) - 1);
		uint32_t blocks = (uint32_t)(v >> 48);

		if (!blocks)
			continue;
		if (!range_fits(lba, blocks, d->sectors))
			return false;
		if (n && lba == ret[n - 1].lba + ret[n - 1].blocks)
			ret[n - 1].blocks += blocks;
		else
			ret[n++] = (struct scsi_range){ .lba = lba, .blocks = blocks };
	}
	*ret_n = n;
	return true;
}

static void ata_put_be(uint8_t *p, unsigned int bytes, uint64_t v)
{
	while (bytes--) {
		p[bytes] = (uint8_t)v;
		v >>= 8;
	}
}

/* SBC-3, section 5.28 */
static void ata_unmap(struct ata_cmd *c, const struct scsi_range *ranges, unsigned int n)
{
	uint32_t len = 8 + 16 * n;

	memset(c->unmap, 0, sizeof(c->unmap));
	ata_put_be(c->unmap, 2, len - 2);
	ata_put_be(c->unmap + 2, 2, len - 8);
	for (unsigned int i = 0; i < n; i++) {
		ata_put_be(c->unmap + 8 + 16 * (size_t)i, 8, ranges[i].lba);
		ata_put_be(c->unmap + 16 + 16 * (size_t)i, 4, ranges[i].blocks);
	}
	ata_task(c, SCSI_UNMAP, 0, 0);
	ata_put_be(c->task.cdb + 7, 2, len);
	c->iov[0] = (struct iovec){ .iov_base = c->unmap, .iov_len = len };
	c->task.out = c->iov;
	c->task.nout = 1;
	ata_run(c);
}

/* Section 7.10.5: an invalid entry is a command aborted, and of the others nothing is done. */
void ata_trim_move(struct ata_cmd *c, unsigned int niov)
{
	struct scsi_range ranges[ATA_TRIM_RANGES];
	uint8_t entries[ATA_SECTOR] = { 0 }; /* a copy: the guest may change its own */
	unsigned int n;

	ata_gather(c, niov, entries);
	if (ata_parse_ranges(c->drive, entries, ranges, &n)) {
		ata_unmap(c, ranges, n);
		return;
	}
	ata_fail(c, ATA_ABRT);
	c->ended(c);
}
