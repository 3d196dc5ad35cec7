// SPDX-License-Identifier: MIT
/*
 * Reading and writing logical blocks: SBC-3, chapter 5, and of MMC-6 what is the same. On the thread of the attached
 * loop.
 */
#include <errno.h>

#include "lib/util.h"
#include "vmm/scsi/unit.h"
#include "vmm/virtio/iov.h"

#define SCSI_FUA 0x08

/* SPC-4, section 4.3.4: the length of a CDB is in its operation code */
struct scsi_range scsi_cdb_range(const uint8_t *cdb)
{
	switch (cdb[0] >> 5) {
	case 0:
		return (struct scsi_range){ .lba = scsi_get32(cdb) & 0x1fffff,
					    .blocks = cdb[4] ? cdb[4] : 256 };
	case 4:
		return (struct scsi_range){ .lba = scsi_get64(cdb + 2),
					    .blocks = scsi_get32(cdb + 10) };
	case 5:
		return (struct scsi_range){ .lba = scsi_get32(cdb + 2),
					    .blocks = scsi_get32(cdb + 6) };
	default:
		return (struct scsi_range){ .lba = scsi_get32(cdb + 2),
					    .blocks = scsi_get16(cdb + 7) };
	}
}

void scsi_cdb_set_range(uint8_t *cdb, struct scsi_range r)
{
	switch (cdb[0] >> 5) {
	case 0:
		cdb[1] = (uint8_t)((cdb[1] & 0xe0) | (r.lba >> 16 & 0x1f));
		scsi_put16(cdb + 2, r.lba & 0xffff);
		cdb[4] = (uint8_t)r.blocks;
		break;
	case 4:
		scsi_put64(cdb + 2, r.lba);
		scsi_put32(cdb + 10, r.blocks);
		break;
	case 5:
		scsi_put32(cdb + 2, (uint32_t)r.lba);
		scsi_put32(cdb + 6, r.blocks);
		break;
	default:
		scsi_put32(cdb + 2, (uint32_t)r.lba);
		scsi_put16(cdb + 7, r.blocks & 0xffff);
	}
}

bool scsi_range_there(const struct scsi_unit *u, uint64_t lba, uint64_t blocks)
{
	return range_fits(lba, blocks, u->blocks);
}

void scsi_fail_io(struct scsi_task *t, int error)
{
	if (error == -ENOSPC || error == -EDQUOT)
		scsi_fail(t, SCSI_NO_SPACE);
	else if (error == -EROFS)
		scsi_fail(t, SCSI_WRITE_PROTECTED);
	else if (error == -ERANGE)
		scsi_fail(t, SCSI_LBA_RANGE);
	else if (error == -ESHUTDOWN) /* the unit goes */
		scsi_fail(t, SCSI_NO_UNIT);
	else
		scsi_fail(t, t->br.op == BLOCK_READ ? SCSI_READ_ERROR : SCSI_WRITE_ERROR);
}

static void scsi_disk_done(struct block_req *br, int ret)
{
	struct scsi_task *t = container_of(br, struct scsi_task, br);

	if (ret < 0) {
		scsi_fail_io(t, ret);
		return;
	}
	t->moved = br->len;
	scsi_good(t);
}

/*
 * FUA of a read means nothing here: what is in the host's cache is what is on the disk, or newer. Protection
 * information (RDPROTECT, WRPROTECT) there is none of. CDBs of 6 bytes have no such fields.
 */
static void scsi_transfer(struct scsi_unit *u, struct scsi_task *t, enum block_op op,
			  struct iovec *iov, unsigned int niov)
{
	struct scsi_range r = scsi_cdb_range(t->cdb);
	uint64_t len = (uint64_t)r.blocks * u->block_size;
	bool six = t->cdb[0] < 0x20;

	if (!six && t->cdb[1] & 0xe0) {
		scsi_fail(t, SCSI_INVALID_FIELD);
		return;
	}
	if (!scsi_range_there(u, r.lba, r.blocks)) {
		scsi_fail(t, SCSI_LBA_RANGE);
		return;
	}
	if (!len) {
		scsi_good(t);
		return;
	}
	if (iov_size(iov, niov) < len) {
		scsi_overrun(t);
		return;
	}
	t->br = (struct block_req){
		.op = op,
		.iov = iov,
		.niov = iov_cut(iov, niov, len),
		.offset = r.lba * u->block_size,
		.len = len,
		.stable = !six && t->cdb[1] & SCSI_FUA,
		.done = scsi_disk_done,
	};
	scsi_queue(t);
}

void scsi_read(struct scsi_unit *u, struct scsi_task *t)
{
	scsi_transfer(u, t, BLOCK_READ, t->in, t->nin);
}

void scsi_write(struct scsi_unit *u, struct scsi_task *t)
{
	scsi_transfer(u, t, BLOCK_WRITE, t->out, t->nout);
}

/* The medium is the host's to verify; comparing with data (BYTCHK) is not supported. */
void scsi_verify(struct scsi_unit *u, struct scsi_task *t)
{
	struct scsi_range r = scsi_cdb_range(t->cdb);

	if (t->cdb[1] & 0xe6)
		scsi_fail(t, SCSI_INVALID_FIELD);
	else if (!scsi_range_there(u, r.lba, r.blocks))
		scsi_fail(t, SCSI_LBA_RANGE);
	else
		scsi_good(t);
}

/* All of the disk, whatever the range; IMMED or not, the answer comes when it is done. */
void scsi_synchronize(struct scsi_unit *u, struct scsi_task *t)
{
	struct scsi_range r = scsi_cdb_range(t->cdb);

	if (!scsi_range_there(u, r.lba, r.blocks)) {
		scsi_fail(t, SCSI_LBA_RANGE);
		return;
	}
	t->br = (struct block_req){ .op = BLOCK_FLUSH, .done = scsi_disk_done };
	scsi_queue(t);
}

void scsi_read_capacity10(struct scsi_unit *u, struct scsi_task *t)
{
	uint8_t d[8];

	scsi_put32(d, (uint32_t)MIN(u->blocks - 1, UINT32_MAX));
	scsi_put32(d + 4, u->block_size);
	scsi_reply(t, d, sizeof(d), sizeof(d));
}

void scsi_read_capacity16(struct scsi_unit *u, struct scsi_task *t)
{
	uint32_t per_block = block_info(u->block)->physical_block / u->block_size;
	uint8_t d[32] = { 0 };

	scsi_put64(d, u->blocks - 1);
	scsi_put32(d + 8, u->block_size);
	d[13] = is_power_of_two(per_block) ? (uint8_t)MIN(__builtin_ctz(per_block), 15) : 0;
	d[14] = scsi_unit_thin(u) ? 0x80 : 0; /* LBPME */
	scsi_reply(t, d, sizeof(d), scsi_get32(t->cdb + 10));
}
