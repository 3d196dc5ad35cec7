// SPDX-License-Identifier: MIT
/*
 * What a unit is: INQUIRY with its vital product data, REPORT LUNS, REQUEST SENSE. SPC-4, chapters 6 and 7.8;
 * SBC-3, section 6.5. On the thread of the attached loop.
 */
#include <stdio.h>
#include <string.h>

#include "lib/util.h"
#include "vmm/scsi/unit.h"

#define SCSI_VENDOR "VMD     "
#define SCSI_PAGE_MAX 64

void scsi_test_unit_ready(struct scsi_unit *u, struct scsi_task *t)
{
	(void)u;
	scsi_good(t);
}

/* What is pending is told as data, and told now: SPC-4, section 6.39. */
void scsi_request_sense(struct scsi_unit *u, struct scsi_task *t)
{
	uint8_t sense[SCSI_SENSE_SIZE];

	if (t->cdb[1] & 1) { /* DESC: the other format */
		scsi_fail(t, SCSI_INVALID_FIELD);
		return;
	}
	scsi_put_sense(sense, scsi_unit_attention(u, true));
	scsi_reply(t, sense, sizeof(sense), t->cdb[4]);
}

/* SPC-4, section 6.6.2 */
static void scsi_inquiry_standard(struct scsi_unit *u, struct scsi_task *t, size_t allocation)
{
	static const uint16_t versions[] = { 0x00a0 /* SAM-5 */, 0x0460 /* SPC-4 */ };
	bool cd = u->kind == SCSI_CDROM;
	uint8_t d[66] = { cd ? 0x05 : 0x00, cd ? 0x80 /* removable */ : 0, 0x06 /* SPC-4 */,
			  0x12 /* HISUP; the format of SPC */, sizeof(d) - 5 };

	d[7] = 0x02; /* CMDQUE */
	memcpy(d + 8, SCSI_VENDOR, 8);
	memcpy(d + 16, cd ? "CD-ROM          " : "disk            ", 16);
	memcpy(d + 32, "1   ", 4);
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++)
		scsi_put16(d + 58 + 2 * i, versions[i]);
	scsi_put16(d + 62, cd ? 0x04e0 /* MMC-6 */ : 0x04c0 /* SBC-3 */);
	scsi_reply(t, d, sizeof(d), allocation);
}

/* --- vital product data: each page fills d behind its header of 4 bytes, and says how much --------------------- */

static size_t scsi_vpd_serial(const struct scsi_unit *u, uint8_t *d)
{
	size_t len = strlen(u->serial);

	memcpy(d, u->serial, len);
	return len;
}

/* SPC-4, section 7.8.6: a T10 vendor ID designator, of the logical unit, in ASCII */
static size_t scsi_vpd_identification(const struct scsi_unit *u, uint8_t *d)
{
	size_t len = strlen(u->serial);

	d[0] = 0x02;
	d[1] = 0x01;
	d[3] = (uint8_t)(8 + len);
	memcpy(d + 4, SCSI_VENDOR, 8);
	memcpy(d + 12, u->serial, len);
	return 12 + len;
}

/* SPC-4, section 7.8.7: SIMPLE tasks alone */
static size_t scsi_vpd_extended(const struct scsi_unit *u, uint8_t *d)
{
	d[1] = 0x01;				/* SIMPSUP */
	d[2] = u->kind == SCSI_DISK ? 0x01 : 0; /* V_SUP: there is a cache, the host's */
	return 60;
}

/* SBC-3, section 6.5.3 */
static size_t scsi_vpd_limits(const struct scsi_unit *u, uint8_t *d)
{
	const struct block_info *i = block_info(u->block);
	uint32_t align = i->discard_align / u->block_size;

	d[0] = 0x01; /* WSNZ */
	scsi_put16(d + 2, MAX(i->physical_block / u->block_size, 1u));
	if (scsi_unit_thin(u)) {
		scsi_put32(d + 16, scsi_unmap_max(u));
		scsi_put32(d + 20, SCSI_UNMAP_RANGES);
		scsi_put32(d + 24, MAX(align, 1u));
		d[28] = 0x80; /* UGAVALID: aligned to block 0 */
	}
	scsi_put64(d + 32, scsi_write_same_max(u));
	return 60;
}

/* SBC-3, section 6.5.2: it does not rotate */
static size_t scsi_vpd_characteristics(const struct scsi_unit *u, uint8_t *d)
{
	(void)u;
	scsi_put16(d, 1);
	return 60;
}

/* SBC-3, section 6.5.4: UNMAP and both WRITE SAME give space back; what is read afterwards is not promised */
static size_t scsi_vpd_provisioning(const struct scsi_unit *u, uint8_t *d)
{
	d[1] = scsi_unit_thin(u) ? 0x80 | 0x40 | 0x20 : 0;
	d[2] = scsi_unit_thin(u) ? 2 : 0;
	return 4;
}

struct scsi_vpd {
	uint8_t code;
	bool disk; /* of disks alone */
	size_t (*fill)(const struct scsi_unit *u, uint8_t *d);
};

static size_t scsi_vpd_pages(const struct scsi_unit *u, uint8_t *d);

static const struct scsi_vpd scsi_vpds[] = {
	{ 0x00, false, scsi_vpd_pages },	  { 0x80, false, scsi_vpd_serial },
	{ 0x83, false, scsi_vpd_identification }, { 0x86, false, scsi_vpd_extended },
	{ 0xb0, true, scsi_vpd_limits },	  { 0xb1, true, scsi_vpd_characteristics },
	{ 0xb2, true, scsi_vpd_provisioning },
};

static size_t scsi_vpd_pages(const struct scsi_unit *u, uint8_t *d)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(scsi_vpds); i++)
		if (!scsi_vpds[i].disk || u->kind == SCSI_DISK)
			d[n++] = scsi_vpds[i].code;
	return n;
}

static void scsi_inquiry_vpd(struct scsi_unit *u, struct scsi_task *t, size_t allocation)
{
	for (size_t i = 0; i < ARRAY_SIZE(scsi_vpds); i++) {
		const struct scsi_vpd *v = &scsi_vpds[i];
		uint8_t d[4 + SCSI_PAGE_MAX] = { u->kind == SCSI_CDROM ? 0x05 : 0x00, v->code };
		size_t len;

		if (v->code != t->cdb[2] || (v->disk && u->kind != SCSI_DISK))
			continue;
		len = v->fill(u, d + 4);
		scsi_put16(d + 2, (uint32_t)len);
		scsi_reply(t, d, 4 + len, allocation);
		return;
	}
	scsi_fail(t, SCSI_INVALID_FIELD);
}

void scsi_inquiry(struct scsi_unit *u, struct scsi_task *t)
{
	size_t allocation = scsi_get16(t->cdb + 3);

	if (t->cdb[1] & 1)
		scsi_inquiry_vpd(u, t, allocation);
	else if (t->cdb[2])
		scsi_fail(t, SCSI_INVALID_FIELD);
	else
		scsi_inquiry_standard(u, t, allocation);
}

/* SPC-4, section 6.33. SELECT REPORT 01h: well known units, which there are none of. */
void scsi_report_luns(struct scsi_unit *u, struct scsi_task *t)
{
	uint8_t d[8 + 8 * SCSI_UNITS_MAX] = { 0 };
	uint32_t allocation = scsi_get32(t->cdb + 6), len = 0;

	if (t->cdb[2] > 2 || allocation < 16) {
		scsi_fail(t, SCSI_INVALID_FIELD);
		return;
	}
	for (uint32_t lun = 0; lun < SCSI_UNITS_MAX && t->cdb[2] != 1; lun++) {
		if (!scsi_target_has(u->target, lun))
			continue;
		d[8 + len + 1] = (uint8_t)lun;
		len += 8;
	}
	scsi_put32(d, len);
	scsi_reply(t, d, 8 + len, allocation);
}
