// SPDX-License-Identifier: MIT
/*
 * Requests of the virtio block device: VIRTIO 1.2, section 5.2.6. They live in a pool as large as the queues, so that
 * the data path allocates nothing. A kick starts all that is there with one submit, and what completes together is one
 * update of the used ring and at most one interrupt. On the lane's worker.
 *
 * A request that is well-formed but asks for what cannot be is answered with IOERR or UNSUPP; one without a
 * place for the status, or without a whole header, breaks the device: nobody could be told.
 */
#include "vmm/virtio/blk_impl.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"

/* --- the pool ------------------------------------------------------------------------------------------ */

static struct blk_req *blk_get(struct blk_lane *lane)
{
	struct blk_req *r = lane->free;

	if (r)
		lane->free = r->next_free;
	else if (lane->nused < lane->npool)
		r = &lane->pool[lane->nused++];
	return r;
}

static void blk_put(struct blk_lane *lane, struct blk_req *r)
{
	r->next_free = lane->free;
	lane->free = r;
}

/* --- completion ------------------------------------------------------------------------------------------ */

/* written: bytes of data, without the status */
static void blk_complete(struct blk_lane *lane, struct blk_req *r, uint8_t status, uint64_t written)
{
	*r->status = status;
	virtq_push(&lane->blk->v.queues[r->q].vq, r->vr.head,
		   (uint32_t)MIN(written + 1, UINT32_MAX));
	lane->unflushed |= BIT(r->q);
	blk_put(lane, r);
}

static void blk_flush(struct blk_lane *lane)
{
	for (unsigned int q = 0; lane->unflushed; q++) {
		if (lane->unflushed & BIT(q))
			virtio_flush(&lane->blk->v, q);
		lane->unflushed &= ~BIT(q);
	}
}

void blk_look_again(struct blk_lane *lane)
{
	for (unsigned int q = 0; lane->starved; q++) {
		if (lane->starved & BIT(q))
			virtio_kick(&lane->blk->v, q);
		lane->starved &= ~BIT(q);
	}
}

static void blk_batch_done(void *arg)
{
	struct blk_lane *lane = arg;

	blk_flush(lane);
	blk_look_again(lane);
}

static bool blk_start_range(struct blk_lane *lane, struct blk_req *r);

static void blk_done(struct block_req *br, int ret)
{
	struct blk_req *r = container_of(br, struct blk_req, br);
	struct blk_lane *lane = r->lane;

	if (ret == 0 && ++r->range < r->nranges && blk_start_range(lane, r))
		return;
	if (ret == 0 && r->range < r->nranges)
		ret = -ERANGE;
	if (trouble_note(&lane->blk->trouble, &lane->blk->disk, br, ret)) {
		r->next_free = lane->held;
		lane->held = r;
		return;
	}
	blk_complete(lane, r, ret ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK,
		     r->type == VIRTIO_BLK_T_IN && ret == 0 ? r->data_len : 0);
}

/* --- requests: section 5.2.6 ----------------------------------------------------------------------------- */

static void blk_queue(struct blk_lane *lane, struct blk_req *r, enum block_op op, uint64_t offset,
		      uint64_t len)
{
	struct blk *blk = lane->blk;

	r->br = (struct block_req){
		.op = op,
		.iov = r->data,
		.niov = r->ndata,
		.offset = offset,
		.len = len,
		/* without FLUSH the driver cannot ask for it later (section 5.2.6.2) */
		.stable = !virtio_has(&blk->v, VIRTIO_BLK_F_FLUSH) || atomic_load(&blk->stable),
		.unmap = r->nranges &&
			 le32toh(r->ranges[r->range].flags) & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP,
		.done = blk_done,
	};
	if (lane->saved && r->ndata)
		memcpy(&lane->saved[(r - lane->pool) * VIRTQ_SEGS_MAX], r->data,
		       r->ndata * sizeof(*r->data));
	block_queue(lane->block, &r->br);
}

/* False when these sectors do not exist */
static bool blk_sectors(const struct blk_lane *lane, uint64_t sector, uint64_t len,
			uint64_t *ret_offset)
{
	uint64_t size = block_info(lane->block)->size;

	if (sector > size / BLOCK_SECTOR || !range_fits(sector * BLOCK_SECTOR, len, size))
		return false;
	*ret_offset = sector * BLOCK_SECTOR;
	return true;
}

static int blk_transfer(struct blk_lane *lane, struct blk_req *r, uint64_t sector)
{
	uint64_t offset;

	if (r->type == VIRTIO_BLK_T_OUT && block_info(lane->block)->readonly)
		return VIRTIO_BLK_S_IOERR;
	if (!r->data_len || r->data_len % BLOCK_SECTOR ||
	    !blk_sectors(lane, sector, r->data_len, &offset))
		return VIRTIO_BLK_S_IOERR;
	blk_queue(lane, r, r->type == VIRTIO_BLK_T_IN ? BLOCK_READ : BLOCK_WRITE, offset,
		  r->data_len);
	return -1;
}

/* Section 5.2.6: the string is not terminated when it is as long as the field */
static int blk_identify(const struct blk *blk, struct blk_req *r)
{
	char id[VIRTIO_BLK_ID_BYTES] = { 0 };

	memcpy(id, blk->serial, strnlen(blk->serial, sizeof(id)));
	r->data_len = iov_write(r->data, r->ndata, 0, id, sizeof(id));
	return VIRTIO_BLK_S_OK;
}

static bool blk_start_range(struct blk_lane *lane, struct blk_req *r)
{
	const struct virtio_blk_discard_write_zeroes *s = &r->ranges[r->range];
	uint64_t len = (uint64_t)le32toh(s->num_sectors) * BLOCK_SECTOR, offset;

	if (!blk_sectors(lane, le64toh(s->sector), len, &offset))
		return false;
	blk_queue(lane, r, r->type == VIRTIO_BLK_T_DISCARD ? BLOCK_DISCARD : BLOCK_WRITE_ZEROES,
		  offset, len);
	return true;
}

static int blk_ranges(struct blk_lane *lane, struct blk_req *r)
{
	bool discard = r->type == VIRTIO_BLK_T_DISCARD;
	uint32_t allowed = discard ? 0 : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	unsigned int feature = discard ? VIRTIO_BLK_F_DISCARD : VIRTIO_BLK_F_WRITE_ZEROES;
	unsigned int n = (unsigned int)MIN(r->data_len / sizeof(r->ranges[0]), BLK_RANGES_MAX);

	if (!(lane->blk->v.device_features & BIT64(feature)))
		return block_info(lane->block)->readonly ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_UNSUPP;
	if (!n || n * sizeof(r->ranges[0]) != r->data_len)
		return VIRTIO_BLK_S_IOERR;
	iov_read(r->data, r->ndata, 0, r->ranges, r->data_len);
	for (unsigned int i = 0; i < n; i++) {
		uint32_t sectors = le32toh(r->ranges[i].num_sectors);

		if (le32toh(r->ranges[i].flags) & ~allowed)
			return VIRTIO_BLK_S_UNSUPP;
		if (!sectors || sectors > BLK_RANGE_SECTORS_MAX)
			return VIRTIO_BLK_S_IOERR;
	}
	r->nranges = n;
	return blk_start_range(lane, r) ? -1 : VIRTIO_BLK_S_IOERR;
}

/* The status to answer with at once, or -1: it will complete */
static int blk_start(struct blk_lane *lane, struct blk_req *r, uint64_t sector)
{
	switch (r->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		return blk_transfer(lane, r, sector);
	case VIRTIO_BLK_T_FLUSH:
		r->ndata = 0;
		blk_queue(lane, r, BLOCK_FLUSH, 0, 0);
		return -1;
	case VIRTIO_BLK_T_GET_ID:
		return blk_identify(lane->blk, r);
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return blk_ranges(lane, r);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

/* Take the header off the readable part: it may be cut anywhere (section 2.7.4). */
static bool blk_take_header(struct blk_req *r, struct virtio_blk_outhdr *ret_hdr)
{
	struct virtq_req *vr = &r->vr;
	size_t left = sizeof(*ret_hdr);
	unsigned int i = 0;

	if (iov_read(vr->iov, vr->nout, 0, ret_hdr, left) != left)
		return false;
	while (i < vr->nout && left >= vr->iov[i].iov_len)
		left -= vr->iov[i++].iov_len;
	r->data = &vr->iov[i];
	r->ndata = vr->nout - i;
	if (left) {
		r->data->iov_base = (uint8_t *)r->data->iov_base + left;
		r->data->iov_len -= left;
	}
	return true;
}

/* Take the status, the last writable byte, off the writable part. */
static bool blk_take_status(struct blk_req *r)
{
	struct virtq_req *vr = &r->vr;

	while (vr->nin && !vr->iov[vr->nout + vr->nin - 1].iov_len)
		vr->nin--;
	if (!vr->nin)
		return false;
	struct iovec *last = &vr->iov[vr->nout + vr->nin - 1];

	last->iov_len--;
	r->status = (uint8_t *)last->iov_base + last->iov_len;
	return true;
}

static bool blk_parse(struct blk_req *r, struct virtio_blk_outhdr *ret_hdr)
{
	if (!blk_take_status(r) || !blk_take_header(r, ret_hdr))
		return false;
	r->type = le32toh(ret_hdr->type);
	r->range = r->nranges = 0;
	if (r->type == VIRTIO_BLK_T_IN || r->type == VIRTIO_BLK_T_GET_ID) {
		r->data = &r->vr.iov[r->vr.nout];
		r->ndata = r->vr.nin;
	}
	r->data_len = iov_size(r->data, r->ndata);
	return true;
}

/* --- the queues: what is over a limit stays in them --------------------------------------------------------- */

static void blk_waited(void *arg)
{
	blk_look_again(arg);
}

enum blk_taken { BLK_NOTHING, BLK_TAKEN, BLK_LATER };

static enum blk_taken blk_take(struct blk_lane *lane, unsigned int q, struct blk_req *r,
			       struct virtio_blk_outhdr *ret_hdr)
{
	struct virtio_dev *v = &lane->blk->v;
	bool taken;

	if (!blk_limit_enter(lane))
		return BLK_LATER;
	/* who looks by himself wants no kick */
	taken = virtio_pop_if(v, q, &r->vr, !lane->poll.ns) > 0;
	if (taken && !blk_parse(r, ret_hdr)) {
		virtio_broken(v, "a block request without a header or a status byte");
		taken = false;
	}
	blk_limit_leave(lane, taken ? r : NULL);
	return taken ? BLK_TAKEN : BLK_NOTHING;
}

void blk_serve(struct blk_lane *lane, unsigned int q)
{
	enum blk_taken taken = BLK_LATER;
	struct virtio_blk_outhdr hdr;
	struct blk_req *r;

	while ((r = blk_get(lane))) {
		int status;

		taken = blk_take(lane, q, r, &hdr);
		if (taken != BLK_TAKEN) {
			blk_put(lane, r);
			break;
		}
		r->lane = lane;
		r->q = q;
		status = blk_start(lane, r, le64toh(hdr.sector));
		if (status >= 0)
			blk_complete(lane, r, (uint8_t)status,
				     r->type == VIRTIO_BLK_T_GET_ID ? r->data_len : 0);
	}
	if (!r || taken == BLK_LATER)
		lane->starved |= BIT(q);
	block_submit(lane->block);
	blk_flush(lane);
}

void blk_kick(struct virtio_dev *v, unsigned int q)
{
	struct blk *blk = container_of(v, struct blk, v);
	struct blk_lane *lane = &blk->lanes[q % blk->nlanes];

	blk_poll_woken(lane);
	blk_serve(lane, q);
	blk_poll_go(lane);
}

/* --- from DRIVER_OK to the end ------------------------------------------------------------------------------- */

/* One that was held, as it was before it ran; NULL: there is none. */
static struct blk_req *blk_unhold(struct blk_lane *lane)
{
	struct blk_req *r = lane->held;

	if (!r)
		return NULL;
	lane->held = r->next_free;
	if (r->ndata)
		memcpy(r->data, &lane->saved[(r - lane->pool) * VIRTQ_SEGS_MAX],
		       r->ndata * sizeof(*r->data));
	return r;
}

static void blk_retry(struct blk_lane *lane)
{
	struct blk_req *r;

	while ((r = blk_unhold(lane)))
		blk_queue(lane, r, r->br.op, r->br.offset, r->br.len);
	block_submit(lane->block);
	blk_flush(lane);
}

int blk_begin(struct blk_lane *lane)
{
	uv_loop_t *loop = worker_loop(blk_lane_worker(lane));
	int ret = worker_timer_new(loop, blk_waited, lane, &lane->timer);

	if (ret >= 0)
		ret = blk_poll_begin(lane);
	if (ret >= 0)
		ret = block_attach(lane->block, loop, blk_batch_done, lane);
	if (ret >= 0)
		blk_retry(lane);
	return ret;
}

void blk_end(struct blk_lane *lane)
{
	block_detach(lane->block);
	blk_limit_forget(lane);
	blk_poll_end(lane);
	worker_timer_free(TAKE_PTR(lane->timer));
	blk_flush(lane);
}

void blk_drop_held(struct blk *blk)
{
	struct blk_req *r;

	trouble_over(&blk->disk);
	for (unsigned int i = 0; i < blk->nlanes; i++)
		while ((r = blk_unhold(&blk->lanes[i])))
			blk_put(&blk->lanes[i], r);
}
