// SPDX-License-Identifier: MIT
/*
 * MODE SENSE: SPC-4, sections 6.11, 6.12 and 7.5; SBC-3, section 6.4; MMC-6, section 7. Nothing can be changed, so
 * there is no MODE SELECT. On the thread of the attached loop.
 */
#include <string.h>

#include "lib/util.h"
#include "vmm/scsi/unit.h"

#define SCSI_MODE_MAX 128

enum { SCSI_MODE_CURRENT, SCSI_MODE_CHANGEABLE, SCSI_MODE_DEFAULT, SCSI_MODE_SAVED };

struct scsi_mode_page {
	uint8_t code, len; /* of what follows code and length */
	uint16_t flags;	   /* SCSI_ON_* */
	void (*fill)(const struct scsi_unit *u, uint8_t *d);
};

/* Read-write error recovery: what the host's layers do */
static void scsi_mode_recovery(const struct scsi_unit *u, uint8_t *d)
{
	d[2] = u->kind == SCSI_DISK ? 0x80 : 0; /* AWRE */
}

/* Caching: where a write is in the host's cache, SYNCHRONIZE CACHE means something */
static void scsi_mode_caching(const struct scsi_unit *u, uint8_t *d)
{
	d[2] = block_info(u->block)->readonly || u->writethrough ? 0 : 0x04; /* WCE */
}

/* Control: tasks are reordered without restriction */
static void scsi_mode_control(const struct scsi_unit *u, uint8_t *d)
{
	(void)u;
	d[3] = 0x10;
}

/* CD capabilities and mechanical status: MMC-3, section 6.3.11, which drivers read to this day */
static void scsi_mode_capabilities(const struct scsi_unit *u, uint8_t *d)
{
	d[2] = 0x08;		   /* reads DVD-ROM */
	d[4] = 0x10 | 0x20 | 0x40; /* mode 2 form 1 and 2, multi session */
	d[6] = 0x20 | 0x08 | 0x01; /* a tray; ejects; locks */
	d[6] |= u->locked ? 0x02 : 0;
	scsi_put16(d + 8, 706 * 4); /* kB/s, as drivers expect to find one */
	scsi_put16(d + 12, 512);    /* buffer, KiB */
	scsi_put16(d + 14, 706 * 4);
}

static const struct scsi_mode_page scsi_mode_pages[] = {
	{ 0x01, 0x0a, SCSI_ON_BOTH, scsi_mode_recovery },
	{ 0x08, 0x12, SCSI_ON_DISK, scsi_mode_caching },
	{ 0x0a, 0x0a, SCSI_ON_BOTH, scsi_mode_control },
	{ 0x2a, 0x12, SCSI_ON_CDROM, scsi_mode_capabilities },
};

/* Bytes of the pages that are asked for, 0: none of them is there */
static size_t scsi_mode_fill(const struct scsi_unit *u, const uint8_t *cdb, uint8_t *d)
{
	uint16_t on = u->kind == SCSI_CDROM ? SCSI_ON_CDROM : SCSI_ON_DISK;
	uint8_t code = cdb[2] & 0x3f;
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_SIZE(scsi_mode_pages); i++) {
		const struct scsi_mode_page *p = &scsi_mode_pages[i];

		if (!(p->flags & on) || (code != 0x3f && code != p->code))
			continue;
		d[len] = p->code;
		d[len + 1] = p->len;
		if (cdb[2] >> 6 != SCSI_MODE_CHANGEABLE)
			p->fill(u, d + len);
		len += 2u + p->len;
	}
	return len;
}

/* Short, or with LLBAA long block descriptor: SBC-3, section 6.4.2 */
static size_t scsi_mode_descriptor(const struct scsi_unit *u, bool longer, uint8_t *d)
{
	if (longer) {
		scsi_put64(d, u->blocks);
		scsi_put32(d + 12, u->block_size);
		return 16;
	}
	scsi_put32(d, (uint32_t)MIN(u->blocks, UINT32_MAX));
	scsi_put32(d + 4, u->block_size); /* of 24 bits; it is at most 4096 */
	return 8;
}

void scsi_mode_sense(struct scsi_unit *u, struct scsi_task *t)
{
	bool ten = t->cdb[0] == 0x5a, disk = u->kind == SCSI_DISK;
	size_t allocation = ten ? scsi_get16(t->cdb + 7) : t->cdb[4];
	size_t header = ten ? 8 : 4, descriptor = 0, pages;
	bool longer = ten && t->cdb[1] & 0x10;
	uint8_t d[SCSI_MODE_MAX] = { 0 };

	if (t->cdb[2] >> 6 == SCSI_MODE_SAVED) {
		scsi_fail(t, SCSI_NOT_SAVED);
		return;
	}
	if (disk && !(t->cdb[1] & 0x08)) /* DBD */
		descriptor = scsi_mode_descriptor(u, longer, d + header);
	pages = scsi_mode_fill(u, t->cdb, d + header + descriptor);
	if (!pages || (t->cdb[3] && t->cdb[3] != 0xff)) { /* no page, or a subpage */
		scsi_fail(t, SCSI_INVALID_FIELD);
		return;
	}
	if (ten) {
		scsi_put16(d, (uint32_t)(header + descriptor + pages) - 2);
		d[4] = descriptor && longer;
		scsi_put16(d + 6, (uint32_t)descriptor);
	} else {
		d[0] = (uint8_t)(header + descriptor + pages - 1);
		d[3] = (uint8_t)descriptor;
	}
	if (disk) /* WP; DPOFUA */
		d[ten ? 3 : 2] = 0x10 | (block_info(u->block)->readonly ? 0x80 : 0);
	scsi_reply(t, d, header + descriptor + pages, allocation);
}
