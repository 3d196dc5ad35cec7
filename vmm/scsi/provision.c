// SPDX-License-Identifier: MIT
/*
 * UNMAP and WRITE SAME: SBC-3, sections 4.7, 5.28, 5.39 and 5.40. A range at a time, and of a WRITE SAME that
 * repeats anything but zeroes SCSI_PATTERN bytes at a time, by one task of the target: others are BUSY. On the
 * thread of the attached loop.
 */
#include <string.h>

#include "lib/util.h"
#include "vmm/scsi/unit.h"
#include "vmm/virtio/iov.h"

#define SCSI_SAME_MAX (128 * MIB) /* it may have to be written */
#define SCSI_WS_UNMAP 0x08
#define SCSI_WS_ANCHOR 0x10
#define SCSI_WS_NDOB 0x01 /* of 16 bytes: no data, zeroes */

bool scsi_unit_thin(const struct scsi_unit *u)
{
	return u->kind == SCSI_DISK && block_info(u->block)->discard &&
	       !block_info(u->block)->readonly;
}

uint32_t scsi_unmap_max(const struct scsi_unit *u)
{
	return (uint32_t)(SCSI_UNMAP_BYTES / u->block_size);
}

uint32_t scsi_write_same_max(const struct scsi_unit *u)
{
	return (uint32_t)(SCSI_SAME_MAX / u->block_size);
}

/* --- UNMAP ------------------------------------------------------------------------------------------------- */

static void scsi_unmap_range(struct scsi_task *t);

static void scsi_unmap_done(struct block_req *br, int ret)
{
	struct scsi_task *t = container_of(br, struct scsi_task, br);

	t->range++;
	if (ret < 0)
		scsi_fail_io(t, ret);
	else
		scsi_unmap_range(t);
}

/* The next one that is not empty */
static void scsi_unmap_range(struct scsi_task *t)
{
	const struct scsi_unit *u = t->unit;

	while (t->range < t->nranges && !t->ranges[t->range].blocks)
		t->range++;
	if (t->range == t->nranges) {
		t->moved = iov_size(t->out, t->nout);
		scsi_good(t);
		return;
	}
	t->br = (struct block_req){
		.op = BLOCK_DISCARD,
		.offset = t->ranges[t->range].lba * u->block_size,
		.len = (uint64_t)t->ranges[t->range].blocks * u->block_size,
		.done = scsi_unmap_done,
	};
	scsi_queue(t);
}

/* Copied once, and checked before anything is done */
static enum scsi_sense scsi_unmap_parse(const struct scsi_unit *u, struct scsi_task *t, size_t len)
{
	uint8_t list[8 + 16 * SCSI_UNMAP_RANGES];
	size_t ranges;

	if (len < 8)
		return SCSI_LIST_LENGTH;
	len = iov_read(t->out, t->nout, 0, list, MIN(len, sizeof(list)));
	ranges = scsi_get16(list + 2) / 16; /* a part of one is ignored */
	if (ranges > SCSI_UNMAP_RANGES)
		return SCSI_INVALID_LIST;
	t->nranges = (unsigned int)MIN(ranges, (len - 8) / 16);
	for (unsigned int i = 0; i < t->nranges; i++) {
		const uint8_t *d = list + 8 + 16 * i;

		t->ranges[i] = (struct scsi_range){ scsi_get64(d), scsi_get32(d + 8) };
		if (!scsi_range_there(u, t->ranges[i].lba, t->ranges[i].blocks))
			return SCSI_LBA_RANGE;
		if (t->ranges[i].blocks > scsi_unmap_max(u))
			return SCSI_INVALID_LIST;
	}
	return SCSI_NO_SENSE;
}

void scsi_unmap(struct scsi_unit *u, struct scsi_task *t)
{
	size_t len = scsi_get16(t->cdb + 7);
	enum scsi_sense sense = SCSI_NO_SENSE;

	t->range = t->nranges = 0;
	if (t->cdb[1] & 1) /* ANCHOR */
		sense = SCSI_INVALID_FIELD;
	else if (len > iov_size(t->out, t->nout)) {
		scsi_overrun(t);
		return;
	} else if (len)
		sense = scsi_unmap_parse(u, t, len);
	if (sense)
		scsi_fail(t, sense);
	else
		scsi_unmap_range(t);
}

/* --- WRITE SAME -------------------------------------------------------------------------------------------- */

static void scsi_same_done(struct block_req *br, int ret)
{
	struct scsi_task *t = container_of(br, struct scsi_task, br);

	if (ret < 0) {
		scsi_fail_io(t, ret);
		return;
	}
	t->moved = iov_size(t->out, t->nout);
	scsi_good(t);
}

static void scsi_same_part(struct scsi_task *t, uint64_t offset);

static void scsi_same_part_done(struct block_req *br, int ret)
{
	struct scsi_task *t = container_of(br, struct scsi_task, br);

	t->left -= br->len;
	if (ret >= 0 && t->left) {
		scsi_same_part(t, br->offset + br->len);
		return;
	}
	t->unit->target->pattern_task = NULL;
	scsi_same_done(br, ret);
}

static void scsi_same_part(struct scsi_task *t, uint64_t offset)
{
	uint64_t len = MIN(t->left, SCSI_PATTERN);

	t->pattern_iov = (struct iovec){ .iov_base = t->unit->target->pattern, .iov_len = len };
	t->br = (struct block_req){
		.op = BLOCK_WRITE,
		.iov = &t->pattern_iov,
		.niov = 1,
		.offset = offset,
		.len = len,
		.done = scsi_same_part_done,
	};
	scsi_queue(t);
}

static bool scsi_is_zero(const uint8_t *data, size_t len)
{
	return !data[0] && !memcmp(data, data + 1, len - 1);
}

static void scsi_same_write(struct scsi_unit *u, struct scsi_task *t, const struct scsi_range *r,
			    const uint8_t *block)
{
	struct scsi_target *target = u->target;

	if (target->pattern_task) {
		scsi_end(t, SCSI_BUSY);
		return;
	}
	target->pattern_task = t;
	for (size_t off = 0; off < SCSI_PATTERN; off += u->block_size)
		memcpy(target->pattern + off, block, u->block_size);
	t->left = (uint64_t)r->blocks * u->block_size;
	scsi_same_part(t, r->lba * u->block_size);
}

static void scsi_same_zeroes(struct scsi_unit *u, struct scsi_task *t, const struct scsi_range *r)
{
	t->br = (struct block_req){
		.op = BLOCK_WRITE_ZEROES,
		.offset = r->lba * u->block_size,
		.len = (uint64_t)r->blocks * u->block_size,
		.unmap = t->cdb[1] & SCSI_WS_UNMAP,
		.done = scsi_same_done,
	};
	scsi_queue(t);
}

void scsi_write_same(struct scsi_unit *u, struct scsi_task *t)
{
	bool none = t->cdb[0] == 0x93 && t->cdb[1] & SCSI_WS_NDOB;
	struct scsi_range r = scsi_cdb_range(t->cdb);
	uint8_t block[4096] = { 0 };

	if (t->cdb[1] & (0xe0 | SCSI_WS_ANCHOR) || !r.blocks || r.blocks > scsi_write_same_max(u) ||
	    (t->cdb[1] & SCSI_WS_UNMAP && !scsi_unit_thin(u))) {
		scsi_fail(t, SCSI_INVALID_FIELD);
		return;
	}
	if (!scsi_range_there(u, r.lba, r.blocks)) {
		scsi_fail(t, SCSI_LBA_RANGE);
		return;
	}
	if (!none && iov_read(t->out, t->nout, 0, block, u->block_size) < u->block_size)
		scsi_overrun(t);
	else if (scsi_is_zero(block, u->block_size))
		scsi_same_zeroes(u, t, &r);
	else
		scsi_same_write(u, t, &r, block);
}
