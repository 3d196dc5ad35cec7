// SPDX-License-Identifier: MIT
/*
 * Commands of the floppy controller, but for those that move data: 82077AA data sheet, "Command set" and
 * "Control commands". A seek has ended as soon as it began. Under machine.lock.
 */
#include <string.h>

#include "vmm/dev/floppy.h"

#define FLOPPY_VERSION 0x90   /* an enhanced controller */
#define FLOPPY_STEPS_MAX 79   /* of RECALIBRATE */
#define FLOPPY_OVERWRITE 0x80 /* OW of PERPENDICULAR MODE */
#define FLOPPY_PERPENDICULAR 0x3c
#define FLOPPY_GAP_WGATE 0x03

struct floppy_command {
	uint8_t mask, code; /* other bits are parameters */
	uint8_t len;	    /* bytes with the first one */
	void (*run)(struct floppy *f);
};

void floppy_answer(struct floppy *f, unsigned int n, bool irq)
{
	f->phase = FLOPPY_RESULT;
	f->nbytes = 0;
	f->nresult = (uint8_t)n;
	f->result_pos = 0;
	if (irq)
		floppy_irq(f, true);
}

static void floppy_answer_one(struct floppy *f, uint8_t byte)
{
	f->result[0] = byte;
	floppy_answer(f, 1, false);
}

static void floppy_no_answer(struct floppy *f)
{
	f->phase = FLOPPY_COMMAND;
	f->nbytes = 0;
}

/* --- heads ------------------------------------------------------------------------------------ */

void floppy_step(struct floppy *f, unsigned int unit, int steps)
{
	struct floppy_drive *d = floppy_drive_at(f, unit);
	int at;

	if (!d || !steps)
		return;
	at = d->cylinder + steps;
	d->cylinder = (uint8_t)MIN(MAX(at, 0), (int)floppy_drive_last(d));
	if (d->format)
		d->changed = false;
}

/* INT, and what SENSE INTERRUPT STATUS will say */
static void floppy_seek_ended(struct floppy *f, unsigned int unit, uint8_t st0)
{
	f->seek_st0[unit] = st0 | FLOPPY_ST0_SEEK_END | (uint8_t)unit;
	f->pending |= (uint8_t)BIT(unit);
	floppy_no_answer(f);
	floppy_irq(f, true);
}

static void floppy_recalibrate(struct floppy *f)
{
	unsigned int unit = f->bytes[1] & 3;
	struct floppy_drive *d = floppy_drive_at(f, unit);

	if (d)
		floppy_step(f, unit, -MIN((int)d->cylinder, FLOPPY_STEPS_MAX));
	f->pcn[unit] = 0;
	floppy_seek_ended(f, unit,
			  d && !d->cylinder ? 0 : FLOPPY_ST0_ABNORMAL | FLOPPY_ST0_EQUIPMENT);
}

static void floppy_seek(struct floppy *f)
{
	unsigned int unit = f->bytes[1] & 3;

	floppy_step(f, unit, f->bytes[2] - f->pcn[unit]);
	f->pcn[unit] = f->bytes[2];
	floppy_seek_ended(f, unit, 0);
}

/* DIR is bit 6: 1 is inwards */
static void floppy_relative_seek(struct floppy *f)
{
	unsigned int unit = f->bytes[1] & 3;
	int steps = f->bytes[0] & BIT(6) ? f->bytes[2] : -f->bytes[2];

	floppy_step(f, unit, steps);
	f->pcn[unit] = (uint8_t)(f->pcn[unit] + steps);
	floppy_seek_ended(f, unit, 0);
}

/* One unit at a time, the lowest first. Without any it is an invalid command. */
static void floppy_sense_interrupt(struct floppy *f)
{
	unsigned int unit = (unsigned int)__builtin_ctz(f->pending | BIT(FLOPPY_UNITS));

	if (!f->pending) {
		floppy_answer_one(f, FLOPPY_ST0_INVALID);
		return;
	}
	f->pending &= (uint8_t)~BIT(unit);
	f->result[0] = f->seek_st0[unit];
	f->result[1] = f->pcn[unit];
	floppy_irq(f, false);
	floppy_answer(f, 2, false);
	/* the others of a reset have had their interrupt, with the first one */
	if (f->pending && f->seek_st0[__builtin_ctz(f->pending)] < FLOPPY_ST0_POLLED)
		floppy_irq(f, true);
}

static void floppy_sense_drive(struct floppy *f)
{
	struct floppy_drive *d = floppy_drive_at(f, f->bytes[1] & 3);
	uint8_t st3 = FLOPPY_ST3_ALWAYS | (f->bytes[1] & 7);

	if (d && !d->cylinder)
		st3 |= FLOPPY_ST3_TRACK0;
	if (d && d->format && d->readonly)
		st3 |= FLOPPY_ST3_PROTECTED;
	floppy_answer_one(f, st3);
}

/* --- what the controller is told, and tells ------------------------------------------------------ */

/* Times, which mean nothing here, and ND */
static void floppy_specify(struct floppy *f)
{
	f->specify[0] = f->bytes[1];
	f->specify[1] = f->bytes[2];
	floppy_no_answer(f);
}

static void floppy_configure(struct floppy *f)
{
	f->configure = f->bytes[2] & 0x7f;
	f->pretrk = f->bytes[3];
	floppy_no_answer(f);
}

static void floppy_version(struct floppy *f)
{
	floppy_answer_one(f, FLOPPY_VERSION);
}

static void floppy_lock(struct floppy *f)
{
	f->lock = f->bytes[0] & BIT(7);
	floppy_answer_one(f, (uint8_t)(f->lock << 4));
}

/* Which drives are perpendicular is kept from one to the next, unless OW says otherwise. */
static void floppy_perpendicular(struct floppy *f)
{
	uint8_t val = f->bytes[1];

	if (!(val & FLOPPY_OVERWRITE))
		val = (f->perpendicular & FLOPPY_PERPENDICULAR) | (val & FLOPPY_GAP_WGATE);
	f->perpendicular = val & (FLOPPY_PERPENDICULAR | FLOPPY_GAP_WGATE);
	floppy_no_answer(f);
}

static void floppy_dumpreg(struct floppy *f)
{
	memcpy(f->result, f->pcn, FLOPPY_UNITS);
	f->result[4] = f->specify[0];
	f->result[5] = f->specify[1];
	f->result[6] = f->eot;
	f->result[7] = (uint8_t)(f->lock << 7) | f->perpendicular;
	f->result[8] = f->configure;
	f->result[9] = f->pretrk;
	floppy_answer(f, 10, false);
}

/* --- the table -------------------------------------------------------------------------------- */

static const struct floppy_command floppy_commands[] = {
	{ 0x1f, 0x06, 9, floppy_transfer }, /* READ DATA */
	{ 0x1f, 0x0c, 9, floppy_transfer }, /* READ DELETED DATA */
	{ 0x3f, 0x05, 9, floppy_transfer }, /* WRITE DATA */
	{ 0x3f, 0x09, 9, floppy_transfer }, /* WRITE DELETED DATA */
	{ 0x9f, 0x02, 9, floppy_transfer }, /* READ TRACK */
	{ 0x1f, 0x16, 9, floppy_transfer }, /* VERIFY */
	{ 0xbf, 0x0d, 6, floppy_transfer }, /* FORMAT TRACK */
	{ 0x1f, 0x11, 9, floppy_transfer }, /* SCAN EQUAL */
	{ 0x1f, 0x19, 9, floppy_transfer }, /* SCAN LOW OR EQUAL */
	{ 0x1f, 0x1d, 9, floppy_transfer }, /* SCAN HIGH OR EQUAL */
	{ 0xbf, 0x0a, 2, floppy_read_id },  /* READ ID */
	{ 0xff, 0x07, 2, floppy_recalibrate },	 { 0xff, 0x0f, 3, floppy_seek },
	{ 0xbf, 0x8f, 3, floppy_relative_seek }, { 0xff, 0x08, 1, floppy_sense_interrupt },
	{ 0xff, 0x04, 2, floppy_sense_drive },	 { 0xff, 0x03, 3, floppy_specify },
	{ 0xff, 0x13, 4, floppy_configure },	 { 0xff, 0x10, 1, floppy_version },
	{ 0x7f, 0x14, 1, floppy_lock },		 { 0xff, 0x12, 2, floppy_perpendicular },
	{ 0xff, 0x0e, 1, floppy_dumpreg },
};

static const struct floppy_command *floppy_command_of(uint8_t byte)
{
	for (size_t i = 0; i < ARRAY_SIZE(floppy_commands); i++)
		if ((byte & floppy_commands[i].mask) == floppy_commands[i].code)
			return &floppy_commands[i];
	return NULL;
}

void floppy_command_byte(struct floppy *f, uint8_t byte)
{
	const struct floppy_command *c = floppy_command_of(f->nbytes ? f->bytes[0] : byte);

	if (!c) {
		floppy_answer_one(f, FLOPPY_ST0_INVALID);
		return;
	}
	f->bytes[f->nbytes++] = byte;
	if (f->nbytes == c->len)
		c->run(f);
}

/*
 * "DOR reset vs. DSR reset", and LOCK: what CONFIGURE has set goes unless it is locked, polling is on again, and
 * finds that all drives are ready, as after power-on.
 */
void floppy_software_reset(struct floppy *f)
{
	floppy_abandon(f);
	f->perpendicular &= FLOPPY_PERPENDICULAR;
	f->configure &= ~(FLOPPY_CONFIGURE_SEEK | FLOPPY_CONFIGURE_NO_POLL);
	if (!f->lock) {
		f->configure = FLOPPY_CONFIGURE_NO_FIFO;
		f->pretrk = 0;
	}
	f->pending = BIT(FLOPPY_UNITS) - 1;
	for (unsigned int i = 0; i < FLOPPY_UNITS; i++)
		f->seek_st0[i] = FLOPPY_ST0_POLLED | (uint8_t)i;
	floppy_irq(f, true);
}
