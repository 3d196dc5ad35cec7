// SPDX-License-Identifier: MIT
/*
 * A CD-ROM drive: tray and lock, and what a driver asks of its medium, which is one session with one data track.
 * MMC-6, chapters 5 and 6. On the thread of the attached loop.
 */
#include <string.h>

#include "lib/util.h"
#include "vmm/scsi/unit.h"

#define SCSI_CD_BLOCKS_MAX (99u * 60 * 75) /* more than a CD can have is a DVD */
#define SCSI_MSF_OFFSET 150		   /* LBA 0 is at 00:02:00 */
#define SCSI_PROFILE_CD 0x0008
#define SCSI_PROFILE_DVD 0x0010
#define SCSI_FEATURES_MAX 96

/* --- the tray ---------------------------------------------------------------------------------------------- */

/* Disks take note of START and STOP and go on. */
static enum scsi_sense scsi_move_tray(struct scsi_unit *u, const uint8_t *cdb)
{
	bool load = cdb[4] & 0x02, start = cdb[4] & 0x01;

	if (!load || cdb[4] & 0xf0) /* spinning up or down; a power condition */
		return SCSI_NO_SENSE;
	if (u->kind != SCSI_CDROM)
		return SCSI_INVALID_FIELD;
	if (!start && u->locked)
		return SCSI_REMOVAL_PREVENTED;
	scsi_tray(u, !start);
	return SCSI_NO_SENSE;
}

void scsi_start_stop(struct scsi_unit *u, struct scsi_task *t)
{
	enum scsi_sense sense = scsi_move_tray(u, t->cdb);

	if (sense)
		scsi_fail(t, sense);
	else
		scsi_good(t);
}

void scsi_prevent_removal(struct scsi_unit *u, struct scsi_task *t)
{
	u->locked = t->cdb[4] & 1;
	scsi_good(t);
}

/* Section 6.6: polled, and events of the media class alone */
void scsi_event_status(struct scsi_unit *u, struct scsi_task *t)
{
	uint8_t d[8] = { 0, 0, 0, 0x10 };
	size_t len = 4;

	if (!(t->cdb[1] & 1)) {
		scsi_fail(t, SCSI_INVALID_FIELD);
		return;
	}
	if (t->cdb[4] & 0x10) {
		d[2] = 0x04;
		d[4] = (uint8_t)u->media_event;
		d[5] = (u->block && !u->open ? 0x02 : 0) | (u->open ? 0x01 : 0);
		u->media_event = SCSI_MEDIA_NONE;
		len = 8;
	} else {
		d[2] = 0x80; /* NEA: nothing of what was asked for is there */
	}
	scsi_put16(d, (uint32_t)len - 2);
	scsi_reply(t, d, len, scsi_get16(t->cdb + 7));
}

void scsi_mechanism_status(struct scsi_unit *u, struct scsi_task *t)
{
	uint8_t d[8] = { 0, u->open ? 0x10 : 0 };

	scsi_reply(t, d, sizeof(d), scsi_get16(t->cdb + 8));
}

/* --- the medium -------------------------------------------------------------------------------------------- */

/* Table 5.1 of section 4.1.3: an address in blocks, or in minutes, seconds and frames */
static void scsi_put_address(uint8_t *d, uint64_t lba, bool msf)
{
	uint32_t frames = (uint32_t)MIN(lba + SCSI_MSF_OFFSET, 256u * 60 * 75 - 1);

	if (!msf) {
		scsi_put32(d, (uint32_t)MIN(lba, UINT32_MAX));
		return;
	}
	d[0] = 0;
	d[1] = (uint8_t)(frames / (60 * 75));
	d[2] = (uint8_t)(frames / 75 % 60);
	d[3] = (uint8_t)(frames % 75);
}

static uint8_t *scsi_put_track(uint8_t *d, uint8_t track, uint64_t lba, bool msf)
{
	memset(d, 0, 8);
	d[1] = 0x14; /* a data track */
	d[2] = track;
	scsi_put_address(d + 4, lba, msf);
	return d + 8;
}

/* Format 0: the tracks, from the one that is asked for; 1: the last session. An old place says the format too. */
void scsi_read_toc(struct scsi_unit *u, struct scsi_task *t)
{
	unsigned int format = t->cdb[2] & 0x0f, from = t->cdb[6];
	bool msf = t->cdb[1] & 0x02;
	uint8_t d[20] = { 0, 0, 1, 1 }, *p = d + 4;

	if (!format)
		format = t->cdb[9] >> 6;
	if (format > 1 || (!format && from > 1 && from != 0xaa)) {
		scsi_fail(t, SCSI_INVALID_FIELD);
		return;
	}
	if (format || from <= 1)
		p = scsi_put_track(p, 1, 0, msf);
	if (!format)
		p = scsi_put_track(p, 0xaa /* lead-out */, u->blocks, msf);
	scsi_put16(d, (uint32_t)(p - d) - 2);
	scsi_reply(t, d, (size_t)(p - d), scsi_get16(t->cdb + 7));
}

/* Section 6.21.3: complete, one session of one track */
void scsi_disc_information(struct scsi_unit *u, struct scsi_task *t)
{
	uint8_t d[34] = { 0, sizeof(d) - 2, 0x0e, 1, 1, 1, 1 };

	(void)u;
	if (t->cdb[1] & 7) { /* of the disc alone */
		scsi_fail(t, SCSI_INVALID_FIELD);
		return;
	}
	d[7] = 0x20;		 /* URU */
	memset(d + 16, 0xff, 8); /* lead-ins and lead-outs of what may yet be written */
	scsi_reply(t, d, sizeof(d), scsi_get16(t->cdb + 7));
}

/* --- GET CONFIGURATION: section 6.5, features of chapter 5 ------------------------------------------------------ */

struct scsi_feature {
	uint16_t code;
	uint8_t flags; /* version, persistent; SCSI_FEATURE_* where it depends on the medium */
	uint8_t len;
	uint8_t data[12];
};

#define SCSI_FEATURE_PERSISTENT 0x02
#define SCSI_FEATURE_CURRENT 0x01

static const struct scsi_feature scsi_features[] = {
	{ 0x0000, 0x03, 8, { SCSI_PROFILE_DVD >> 8, SCSI_PROFILE_DVD, 0, 0, 0, SCSI_PROFILE_CD } },
	{ 0x0001, 0x0b, 8, { 0, 0, 0, 1 /* SCSI family */, 1 /* DBE */ } }, /* core */
	{ 0x0002, 0x07, 4, { 0x02 /* OCEvent */ } },			    /* morphing */
	{ 0x0003,
	  0x0b,
	  4,
	  { 0x20 | 0x08 | 0x01 /* tray, ejects, locks */ } },	    /* removable medium */
	{ 0x0010, 0x00, 8, { 0, 0, 8, 0 /* block size */, 0, 1 } }, /* random readable */
	{ 0x001e, 0x08, 4, { 0 } },				    /* CD read */
};

static unsigned int scsi_profile(const struct scsi_unit *u)
{
	if (scsi_unit_no_medium(u))
		return 0;
	return u->blocks > SCSI_CD_BLOCKS_MAX ? SCSI_PROFILE_DVD : SCSI_PROFILE_CD;
}

static bool scsi_feature_current(const struct scsi_unit *u, const struct scsi_feature *f)
{
	if (f->flags & SCSI_FEATURE_PERSISTENT)
		return true;
	return f->code == 0x001e ? scsi_profile(u) == SCSI_PROFILE_CD : scsi_profile(u) != 0;
}

static uint8_t *scsi_put_feature(const struct scsi_unit *u, const struct scsi_feature *f,
				 uint8_t *d)
{
	scsi_put16(d, f->code);
	d[2] = f->flags | (scsi_feature_current(u, f) ? SCSI_FEATURE_CURRENT : 0);
	d[3] = f->len;
	memcpy(d + 4, f->data, f->len);
	if (!f->code) { /* CurrentP of each profile */
		d[6] = scsi_profile(u) == SCSI_PROFILE_DVD;
		d[10] = scsi_profile(u) == SCSI_PROFILE_CD;
	}
	return d + 4 + f->len;
}

void scsi_get_configuration(struct scsi_unit *u, struct scsi_task *t)
{
	unsigned int which = t->cdb[1] & 3, from = scsi_get16(t->cdb + 2);
	uint8_t d[SCSI_FEATURES_MAX] = { 0 }, *p = d + 8;

	if (which == 3) {
		scsi_fail(t, SCSI_INVALID_FIELD);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(scsi_features); i++) {
		const struct scsi_feature *f = &scsi_features[i];

		/* 0: all from there; 1: those that are current; 2: that one */
		if (f->code < from || (which == 2 && f->code != from) ||
		    (which == 1 && !scsi_feature_current(u, f)))
			continue;
		p = scsi_put_feature(u, f, p);
	}
	scsi_put32(d, (uint32_t)(p - d) - 4);
	scsi_put16(d + 6, scsi_profile(u));
	scsi_reply(t, d, (size_t)(p - d), scsi_get16(t->cdb + 7));
}
