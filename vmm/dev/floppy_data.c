// SPDX-License-Identifier: MIT
/*
 * Commands of the floppy controller that move data: 82077AA data sheet, "Data transfer commands". Sector by
 * sector, in the image of the cylinder (floppy_io.data): for reading it is there before the first byte moves,
 * for writing it goes to the host after the last one. DMA or not, it is the same loop; without DMA a byte of
 * it is an access to the FIFO, which is as deep as a sector. Under machine.lock.
 *
 * A disk has nothing but sectors of 512 bytes in their order, none of them deleted. What would make another
 * one of it fails: FORMAT TRACK (EC) and WRITE DELETED DATA (NW).
 */
#include <string.h>

#include "vmm/dev/floppy.h"

enum {
	FLOPPY_READ_TRACK = 0x02,
	FLOPPY_WRITE_DATA = 0x05,
	FLOPPY_WRITE_DELETED = 0x09,
	FLOPPY_READ_DELETED = 0x0c,
	FLOPPY_FORMAT_TRACK = 0x0d,
	FLOPPY_VERIFY_DATA = 0x16,

	FLOPPY_MULTI = 0x80,
	FLOPPY_MFM = 0x40,
	FLOPPY_SKIP = 0x20,
	FLOPPY_VERIFY_COUNT = 0x80, /* EC, of the second byte */
	FLOPPY_ALTERNATE = 2,	    /* STP; 1: contiguous sectors */
};

#define FLOPPY_ID 4 /* bytes: C, H, R, N */

/* --- what is under the head --------------------------------------------------------------------- */

/* The disk, where address marks can be read on this side: at its rate, in MFM. NULL: there are none. */
static const struct floppy_format *floppy_marks(struct floppy *f, unsigned int unit,
						unsigned int side)
{
	struct floppy_drive *d = floppy_drive_at(f, unit);

	if (!d || floppy_drive_track(d) < 0 || side >= d->format->heads)
		return NULL;
	if (!(d->format->rates & BIT(f->rate)) || !(f->bytes[0] & FLOPPY_MFM))
		return NULL;
	return d->format;
}

/* "Status register encoding": is the next sector there? st1 and st2 say why it is not. */
static bool floppy_find(struct floppy *f)
{
	struct floppy_run *run = &f->run;
	const struct floppy_format *format = run->format;
	bool right = run->c == run->track;

	if (!format || floppy_marks(f, run->unit, run->side) != format) {
		run->st1 |= FLOPPY_ST1_NO_MARK;
		return false;
	}
	if (run->any) { /* READ TRACK takes what comes, and tells */
		if (!right || run->h != run->side || run->n != FLOPPY_SECTOR_CODE)
			run->st1 |= FLOPPY_ST1_NO_DATA;
		if (run->r <= format->sectors)
			return true;
	}
	if (!run->any && right && run->h == run->side && run->n == FLOPPY_SECTOR_CODE &&
	    run->r >= 1 && run->r <= format->sectors)
		return true;
	run->st1 |= FLOPPY_ST1_NO_DATA;
	if (!right)
		run->st2 |= FLOPPY_ST2_WRONG_CYLINDER;
	return false;
}

/* Where a sector of the cylinder is in its image */
static uint32_t floppy_at(const struct floppy_format *format, unsigned int side, unsigned int r)
{
	return (side * format->sectors + r - 1) * FLOPPY_SECTOR;
}

static uint8_t *floppy_sector(struct floppy *f)
{
	const struct floppy_run *run = &f->run;

	return f->io.data + floppy_at(run->format, run->side, run->r);
}

static uint64_t floppy_cylinder_offset(const struct floppy_run *run)
{
	return (uint64_t)run->track * run->format->heads * run->format->sectors * FLOPPY_SECTOR;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void floppy_finish(struct floppy *f)
{
	const struct floppy_run *run = &f->run;

	i8237_drop(&f->dma, FLOPPY_DMA);
	f->result[0] = run->st0 | run->unit | (uint8_t)(run->side << 2);
	f->result[1] = run->st1;
	f->result[2] = run->st2;
	f->result[3] = run->c;
	f->result[4] = run->h;
	f->result[5] = run->r;
	f->result[6] = run->n;
	floppy_answer(f, 7, true);
}

static void floppy_fail(struct floppy *f)
{
	f->run.st0 |= FLOPPY_ST0_ABNORMAL;
	floppy_finish(f);
}

/* The next side of which there is something to be written; then the end */
static void floppy_write_out(struct floppy *f)
{
	struct floppy_run *run = &f->run;

	for (unsigned int side = 0; side < 2; side++) {
		uint32_t n = run->sides[side].n, at;

		if (!n)
			continue;
		at = floppy_at(run->format, side, run->sides[side].first);
		run->sides[side].n = 0;
		f->phase = FLOPPY_BUSY;
		i8237_drop(&f->dma, FLOPPY_DMA);
		floppy_io_go(&f->io, run->unit, BLOCK_WRITE, floppy_cylinder_offset(&f->run) + at,
			     at, n * FLOPPY_SECTOR);
		return;
	}
	floppy_finish(f);
}

/* No more data, for better or worse */
static void floppy_data_end(struct floppy *f)
{
	if (f->run.op == FLOPPY_WRITE || f->run.op == FLOPPY_FORMAT)
		floppy_write_out(f);
	else
		floppy_finish(f);
}

/* --- from sector to sector ------------------------------------------------------------------------ */

/* "Result phase table": C, H and R after this sector. true: EOT was its number, and there is no other side. */
static bool floppy_advance(struct floppy_run *run)
{
	if (run->r != run->eot) {
		run->r += run->step;
		return false;
	}
	run->r = 1;
	if (run->multi) {
		run->h ^= 1;
		run->side ^= 1;
		if (run->side)
			return false;
	}
	run->c++;
	return true;
}

/* The side of the last sector is the one that the status tells of */
static bool floppy_advance_side(struct floppy_run *run)
{
	uint8_t side = run->side;
	bool end = floppy_advance(run);

	if (end)
		run->side = side;
	return end;
}

/* A sector is through. true: there is another one. */
static bool floppy_sector_done(struct floppy *f)
{
	struct floppy_run *run = &f->run;
	bool end;

	run->pos = 0;
	if (run->op == FLOPPY_WRITE && !run->sides[run->side].n++)
		run->sides[run->side].first = run->r;
	if (run->one)
		return false;
	end = floppy_advance_side(run);
	if (run->tc || (run->count && !--run->count))
		return false;
	if (end) { /* VERIFY of all sectors, and SCAN without success, are meant to come here */
		bool all = run->op == FLOPPY_SCAN || (run->op == FLOPPY_VERIFY && !run->count);

		run->st1 |= all ? 0 : FLOPPY_ST1_END;
		run->st0 |= all ? 0 : FLOPPY_ST0_ABNORMAL;
		return false;
	}
	if (floppy_find(f))
		return true;
	run->st0 |= FLOPPY_ST0_ABNORMAL;
	return false;
}

static uint32_t floppy_unit_size(const struct floppy_run *run)
{
	const uint32_t ids = (uint32_t)run->eot * FLOPPY_ID;

	return run->op == FLOPPY_FORMAT ? ids : FLOPPY_SECTOR;
}

/* Where the bytes of a sector are, or go */
static uint8_t *floppy_place(struct floppy *f)
{
	if (f->run.op == FLOPPY_FORMAT)
		return f->run.ids;
	return f->run.op == FLOPPY_SCAN ? f->run.host : floppy_sector(f);
}

static void floppy_format_ids(struct floppy *f);

/* All bytes of a sector were moved, or of the IDs */
static void floppy_moved(struct floppy *f)
{
	if (f->run.op == FLOPPY_FORMAT) {
		floppy_format_ids(f);
		return;
	}
	if (f->run.op == FLOPPY_SCAN)
		floppy_scan_sector(&f->run, floppy_sector(f));
	if (!floppy_sector_done(f))
		floppy_data_end(f);
}

/* --- DMA -------------------------------------------------------------------------------------- */

/* At TC the rest of a sector is read, and goes nowhere, or is written as zeroes. */
static void floppy_dma_some(struct floppy *f)
{
	struct floppy_run *run = &f->run;
	uint32_t size = floppy_unit_size(run);
	uint8_t *data = floppy_place(f);
	bool tc;

	if (f->phase == FLOPPY_TO_HOST)
		run->pos += (uint32_t)i8237_to_memory(&f->dma, FLOPPY_DMA, data + run->pos,
						      size - run->pos, &tc);
	else
		run->pos += (uint32_t)i8237_from_memory(&f->dma, FLOPPY_DMA, data + run->pos,
							size - run->pos, &tc);
	if (tc) {
		run->tc = true;
		run->part = run->pos < size;
		if (f->phase == FLOPPY_FROM_HOST)
			memset(data + run->pos, 0, size - run->pos);
		run->pos = size;
	}
	if (run->pos == size)
		floppy_moved(f);
}

void floppy_dma_ready(void *arg)
{
	struct floppy *f = arg;

	while ((f->phase == FLOPPY_TO_HOST || f->phase == FLOPPY_FROM_HOST) && floppy_has_dma(f) &&
	       f->dor & FLOPPY_DOR_GATE && i8237_request(&f->dma, FLOPPY_DMA))
		floppy_dma_some(f);
}

/* --- without DMA: "Non-DMA mode" -------------------------------------------------------------------- */

/* The first bytes, or those of another sector: INT says so. */
static void floppy_offer(struct floppy *f)
{
	if (floppy_has_dma(f))
		floppy_dma_ready(f);
	else
		floppy_irq(f, true);
}

static void floppy_fifo_moved(struct floppy *f)
{
	struct floppy_run *run = &f->run;
	enum floppy_phase phase = f->phase;

	if (++run->pos < floppy_unit_size(run))
		return;
	floppy_irq(f, false);
	floppy_moved(f);
	if (f->phase == phase)
		floppy_irq(f, true);
}

uint8_t floppy_data_read(struct floppy *f)
{
	uint8_t byte = floppy_sector(f)[f->run.pos];

	floppy_fifo_moved(f);
	return byte;
}

void floppy_data_write(struct floppy *f, uint8_t byte)
{
	floppy_place(f)[f->run.pos] = byte;
	floppy_fifo_moved(f);
}

/* --- FORMAT TRACK --------------------------------------------------------------------------------- */

/* The IDs are those of the sectors that the disk has, in any order. */
static bool floppy_ids_fit(const struct floppy_run *run)
{
	uint64_t seen = 0;

	for (unsigned int i = 0; i < run->eot; i++) {
		const uint8_t *id = &run->ids[i * FLOPPY_ID];

		if (id[0] != run->track || id[1] != run->side || !id[2] || id[2] > run->eot ||
		    id[3] != FLOPPY_SECTOR_CODE)
			return false;
		seen |= BIT64(id[2]);
	}
	return __builtin_popcountll(seen) == run->eot;
}

static void floppy_format_ids(struct floppy *f)
{
	struct floppy_run *run = &f->run;

	if (!floppy_ids_fit(run)) {
		run->st0 |= FLOPPY_ST0_EQUIPMENT;
		floppy_fail(f);
		return;
	}
	run->sides[run->side].first = 1;
	run->sides[run->side].n = run->eot;
	run->r = 1;
	memset(floppy_sector(f), run->fill, (size_t)run->eot * FLOPPY_SECTOR);
	floppy_write_out(f);
}

static void floppy_format_begin(struct floppy *f)
{
	struct floppy_run *run = &f->run;

	run->op = FLOPPY_FORMAT;
	run->n = f->bytes[2];
	run->eot = f->bytes[3]; /* SC */
	run->fill = f->bytes[5];
	f->eot = run->eot;
	if (!run->format)
		run->st1 |= FLOPPY_ST1_NO_MARK;
	else if (f->drives[run->unit].readonly)
		run->st1 |= FLOPPY_ST1_NOT_WRITABLE;
	else if (run->n != FLOPPY_SECTOR_CODE || run->eot != run->format->sectors)
		run->st0 |= FLOPPY_ST0_EQUIPMENT;
	if (run->st0 | run->st1) {
		floppy_fail(f);
		return;
	}
	f->phase = FLOPPY_FROM_HOST;
	floppy_offer(f);
}

/* --- the beginning -------------------------------------------------------------------------------- */

/* From this sector to the last that the command could come to */
static void floppy_load(struct floppy *f)
{
	const struct floppy_run *run = &f->run;
	const struct floppy_format *format = run->format;
	unsigned int last_side = run->multi ? format->heads - 1u : run->side;
	uint32_t from = floppy_at(format, run->side, run->r);
	uint32_t to = floppy_at(format, last_side, format->sectors) + FLOPPY_SECTOR;

	f->phase = FLOPPY_BUSY;
	floppy_io_go(&f->io, run->unit, BLOCK_READ, floppy_cylinder_offset(&f->run) + from, from,
		     to - from);
}

static void floppy_begin(struct floppy *f, bool deleted)
{
	struct floppy_run *run = &f->run;

	if (!floppy_find(f)) {
		floppy_fail(f);
		return;
	}
	if (run->op != FLOPPY_WRITE) {
		floppy_load(f);
		return;
	}
	if (deleted || f->drives[run->unit].readonly) {
		run->st1 |= FLOPPY_ST1_NOT_WRITABLE;
		floppy_fail(f);
		return;
	}
	f->phase = FLOPPY_FROM_HOST;
	floppy_offer(f);
}

/* READ DELETED DATA, SK 0: the first sector is read, and no other. SK 1: none is, until EOT. */
static void floppy_not_deleted(struct floppy_run *run, bool skip)
{
	run->st2 |= FLOPPY_ST2_CONTROL_MARK;
	run->one = !skip;
	run->skip = skip;
}

/* What all these commands have in common: a drive, a head, and the disk that is there */
static void floppy_aim(struct floppy *f)
{
	struct floppy_run *run = &f->run;
	unsigned int unit = f->bytes[1] & 3;
	struct floppy_drive *d = floppy_drive_at(f, unit);

	*run = (struct floppy_run){ .unit = (uint8_t)unit, .side = f->bytes[1] >> 2 & 1 };
	run->format = floppy_marks(f, unit, run->side);
	if (!d || !run->format)
		return;
	run->track = (uint8_t)floppy_drive_track(d);
}

/* EIS: an implied seek */
static void floppy_imply_seek(struct floppy *f)
{
	unsigned int unit = f->bytes[1] & 3;

	if (!(f->configure & FLOPPY_CONFIGURE_SEEK))
		return;
	floppy_step(f, unit, f->bytes[2] - f->pcn[unit]);
	f->pcn[unit] = f->bytes[2];
}

static void floppy_parse(struct floppy *f)
{
	struct floppy_run *run = &f->run;
	const uint8_t *b = f->bytes;

	floppy_imply_seek(f);
	floppy_aim(f);
	run->c = b[2];
	run->h = b[3];
	run->r = b[4];
	run->n = b[5];
	run->eot = b[6];
	run->multi = b[0] & FLOPPY_MULTI;
	run->step = 1;
	f->eot = run->eot;
}

void floppy_transfer(struct floppy *f)
{
	struct floppy_run *run = &f->run;
	uint8_t code = f->bytes[0] & 0x1f;

	if (code == FLOPPY_FORMAT_TRACK) {
		floppy_aim(f);
		floppy_format_begin(f);
		return;
	}
	floppy_parse(f);
	if (code == FLOPPY_WRITE_DATA || code == FLOPPY_WRITE_DELETED)
		run->op = FLOPPY_WRITE;
	if (code == FLOPPY_VERIFY_DATA) {
		run->op = FLOPPY_VERIFY;
		run->count = f->bytes[1] & FLOPPY_VERIFY_COUNT ? f->bytes[8] : 0;
	}
	if (code == FLOPPY_SCAN_EQUAL || code == FLOPPY_SCAN_LOW || code == FLOPPY_SCAN_HIGH) {
		run->op = FLOPPY_SCAN;
		run->scan = (enum floppy_scan)code;
		run->step = f->bytes[8] == FLOPPY_ALTERNATE ? FLOPPY_ALTERNATE : 1;
	}
	if (code == FLOPPY_READ_TRACK) {
		run->any = true;
		run->multi = false;
		run->r = 1;
	}
	if (code == FLOPPY_READ_DELETED)
		floppy_not_deleted(run, f->bytes[0] & FLOPPY_SKIP);
	floppy_begin(f, code == FLOPPY_WRITE_DELETED);
}

/* Sectors that nobody gets */
static void floppy_pass(struct floppy *f)
{
	while (floppy_sector_done(f))
		;
	floppy_finish(f);
}

void floppy_ended(void *arg, int ret)
{
	struct floppy *f = arg;
	struct floppy_run *run = &f->run;
	bool write = run->op == FLOPPY_WRITE || run->op == FLOPPY_FORMAT;

	if (ret >= 0 && write) {
		floppy_write_out(f);
	} else if (ret < 0) {
		log_warn(f->dev.board->log, "%s: %s: %s", f->drives[run->unit].id,
			 write ? "write" : "read", strerror(-ret));
		run->st0 |= write ? FLOPPY_ST0_EQUIPMENT : 0;
		run->st1 |= write ? 0 : FLOPPY_ST1_DATA;
		run->st2 |= write ? 0 : FLOPPY_ST2_DATA;
		floppy_fail(f);
	} else if (run->op == FLOPPY_VERIFY || run->skip) {
		floppy_pass(f);
	} else {
		f->phase = run->op == FLOPPY_SCAN ? FLOPPY_FROM_HOST : FLOPPY_TO_HOST;
		floppy_offer(f);
	}
}

/* Any sector's ID: the disk turns meanwhile. A drive without a disk never sees its index, and a real controller waits for ever. */
void floppy_read_id(struct floppy *f)
{
	struct floppy_run *run = &f->run;

	floppy_aim(f);
	if (!run->format) {
		run->st1 = FLOPPY_ST1_NO_MARK;
		floppy_fail(f);
		return;
	}
	f->angle = f->angle % run->format->sectors + 1;
	run->c = run->track;
	run->h = run->side;
	run->r = f->angle;
	run->n = FLOPPY_SECTOR_CODE;
	floppy_finish(f);
}

/* A command that was at work on it fails. What is back from the host already was the old one's. */
void floppy_medium_gone(struct floppy *f, unsigned int unit)
{
	bool data = f->phase == FLOPPY_BUSY || f->phase == FLOPPY_TO_HOST ||
		    f->phase == FLOPPY_FROM_HOST;

	if (!data || f->run.unit != unit)
		return;
	f->io.abandoned = f->io.busy;
	f->run.st1 |= FLOPPY_ST1_NO_MARK;
	floppy_fail(f);
}

void floppy_abandon(struct floppy *f)
{
	i8237_drop(&f->dma, FLOPPY_DMA);
	f->io.abandoned = f->io.busy;
	f->phase = FLOPPY_COMMAND;
	f->nbytes = 0;
	f->pending = 0;
	floppy_irq(f, false);
}
