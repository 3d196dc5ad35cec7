// SPDX-License-Identifier: MIT
/*
 * Virtio block device: VIRTIO 1.2, section 5.2. One queue, on a worker of its own; requests live in a pool
 * as large as the queue, so that the data path allocates nothing. A kick starts all that is there with one
 * submit, and what completes together is one update of the used ring and at most one interrupt.
 *
 * A request that is well-formed but asks for what cannot be is answered with IOERR or UNSUPP; one without a
 * place for the status, or without a whole header, breaks the device: nobody could be told.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "vmm/block/block.h"
#include "vmm/devices.h"
#include "vmm/rate.h"
#include "vmm/virtio/blk.h"
#include "vmm/virtio/virtio.h"
#include "vmm/worker.h"

#define BLK_QUEUE_MAX 256
#define BLK_SEG_MAX (VIRTQ_SEGS_MAX - 2) /* header and status may take one each */
#define BLK_RANGES_MAX 16		 /* of a discard or write-zeroes request */
#define BLK_RANGE_SECTORS_MAX BIT(22)	 /* 2 GiB: what takes too long cannot be drained */

enum blk_cache { BLK_WRITEBACK, BLK_DIRECT, BLK_WRITETHROUGH, BLK_UNSAFE };

struct blk_cfg {
	int fd;
	int backing[BLOCK_BACKING_MAX];
	int format; /* enum block_format */
	int cache;  /* enum blk_cache */
	bool readonly;
	uint64_t bytes_per_s;
	uint32_t ops_per_s, burst_ms;
	bool share; /* whoever opens the image has locked it accordingly */
	char serial[VIRTIO_BLK_ID_BYTES + 1];
	char address[16];
};

/* The handle lives on in the loop until its close callback. */
struct blk_timer {
	uv_timer_t timer;
	struct blk *blk;
};

struct blk_req {
	struct virtq_req vr;
	struct block_req br;
	struct blk *blk;
	struct blk_req *next_free;
	uint8_t *status;    /* in guest memory */
	struct iovec *data; /* into vr.iov: without header and status */
	unsigned int ndata;
	uint64_t data_len;
	uint32_t type;
	unsigned int range,
		nranges; /* discard, write zeroes: copied once, run one after the other */
	struct virtio_blk_discard_write_zeroes ranges[BLK_RANGES_MAX];
};

struct blk {
	struct virtio_dev v;  /* first */
	struct block *block;  /* owned */
	struct blk_req *pool; /* owned: BLK_QUEUE_MAX; those from nused on were never touched */
	unsigned int nused;
	struct blk_req *free;
	bool starved;	/* the pool was empty: look at the queue again when something completes */
	bool unflushed; /* pushed since the last flush */
	bool writethrough;  /* what the guest finds */
	atomic_bool stable; /* what it has set: each write is stable when it is done */
	char serial[VIRTIO_BLK_ID_BYTES + 1];
	bool limited; /* by these */
	struct rate bytes, ops;
	struct blk_timer *timer; /* while active and limited: owned by the loop */
};

/* --- the pool ------------------------------------------------------------------------------------------ */

static struct blk_req *blk_get(struct blk *blk)
{
	struct blk_req *r = blk->free;

	if (r)
		blk->free = r->next_free;
	else if (blk->nused < BLK_QUEUE_MAX)
		r = &blk->pool[blk->nused++];
	return r;
}

static void blk_put(struct blk *blk, struct blk_req *r)
{
	r->next_free = blk->free;
	blk->free = r;
}

/* --- completion ------------------------------------------------------------------------------------------ */

/* written: bytes of data, without the status */
static void blk_complete(struct blk *blk, struct blk_req *r, uint8_t status, uint64_t written)
{
	*r->status = status;
	virtq_push(&blk->v.queues[0].vq, r->vr.head, (uint32_t)MIN(written + 1, UINT32_MAX));
	blk->unflushed = true;
	blk_put(blk, r);
}

static void blk_flush(struct blk *blk)
{
	if (!blk->unflushed)
		return;
	blk->unflushed = false;
	virtio_flush(&blk->v, 0);
}

static void blk_batch_done(void *arg)
{
	struct blk *blk = arg;

	blk_flush(blk);
	if (blk->starved) {
		blk->starved = false;
		virtio_kick(&blk->v, 0);
	}
}

static bool blk_start_range(struct blk *blk, struct blk_req *r);

static void blk_done(struct block_req *br, int ret)
{
	struct blk_req *r = container_of(br, struct blk_req, br);

	if (ret == 0 && ++r->range < r->nranges && blk_start_range(r->blk, r))
		return;
	if (ret == 0 && r->range < r->nranges)
		ret = -ERANGE;
	blk_complete(r->blk, r, ret ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK,
		     r->type == VIRTIO_BLK_T_IN && ret == 0 ? r->data_len : 0);
}

/* --- requests: section 5.2.6 ----------------------------------------------------------------------------- */

static void blk_queue(struct blk *blk, struct blk_req *r, enum block_op op, uint64_t offset,
		      uint64_t len)
{
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
	block_queue(blk->block, &r->br);
}

/* False when these sectors do not exist */
static bool blk_sectors(const struct blk *blk, uint64_t sector, uint64_t len, uint64_t *ret_offset)
{
	uint64_t size = block_info(blk->block)->size;

	if (sector > size / BLOCK_SECTOR || !range_fits(sector * BLOCK_SECTOR, len, size))
		return false;
	*ret_offset = sector * BLOCK_SECTOR;
	return true;
}

static int blk_transfer(struct blk *blk, struct blk_req *r, uint64_t sector)
{
	uint64_t offset;

	if (r->type == VIRTIO_BLK_T_OUT && block_info(blk->block)->readonly)
		return VIRTIO_BLK_S_IOERR;
	if (!r->data_len || r->data_len % BLOCK_SECTOR ||
	    !blk_sectors(blk, sector, r->data_len, &offset))
		return VIRTIO_BLK_S_IOERR;
	blk_queue(blk, r, r->type == VIRTIO_BLK_T_IN ? BLOCK_READ : BLOCK_WRITE, offset,
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

static bool blk_start_range(struct blk *blk, struct blk_req *r)
{
	const struct virtio_blk_discard_write_zeroes *s = &r->ranges[r->range];
	uint64_t len = (uint64_t)le32toh(s->num_sectors) * BLOCK_SECTOR, offset;

	if (!blk_sectors(blk, le64toh(s->sector), len, &offset))
		return false;
	blk_queue(blk, r, r->type == VIRTIO_BLK_T_DISCARD ? BLOCK_DISCARD : BLOCK_WRITE_ZEROES,
		  offset, len);
	return true;
}

static int blk_ranges(struct blk *blk, struct blk_req *r)
{
	bool discard = r->type == VIRTIO_BLK_T_DISCARD;
	uint32_t allowed = discard ? 0 : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	unsigned int feature = discard ? VIRTIO_BLK_F_DISCARD : VIRTIO_BLK_F_WRITE_ZEROES;
	unsigned int n = (unsigned int)MIN(r->data_len / sizeof(r->ranges[0]), BLK_RANGES_MAX);

	if (!(blk->v.device_features & BIT64(feature)))
		return block_info(blk->block)->readonly ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_UNSUPP;
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
	return blk_start_range(blk, r) ? -1 : VIRTIO_BLK_S_IOERR;
}

/* The status to answer with at once, or -1: it will complete */
static int blk_start(struct blk *blk, struct blk_req *r, uint64_t sector)
{
	switch (r->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		return blk_transfer(blk, r, sector);
	case VIRTIO_BLK_T_FLUSH:
		r->ndata = 0;
		blk_queue(blk, r, BLOCK_FLUSH, 0, 0);
		return -1;
	case VIRTIO_BLK_T_GET_ID:
		return blk_identify(blk, r);
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return blk_ranges(blk, r);
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

/* --- limits: what is over them stays in the queue ---------------------------------------------------------- */

static void blk_timer_cb(uv_timer_t *timer)
{
	virtio_kick(&container_of(timer, struct blk_timer, timer)->blk->v, 0);
}

static bool blk_must_wait(struct blk *blk)
{
	uint64_t now, ns;

	if (!blk->limited)
		return false;
	now = uv_hrtime();
	ns = MAX(rate_wait(&blk->bytes, now), rate_wait(&blk->ops, now));
	if (ns && !uv_is_active((uv_handle_t *)&blk->timer->timer))
		uv_timer_start(&blk->timer->timer, blk_timer_cb, ns / 1000000 + 1, 0);
	return ns;
}

static void blk_draw(struct blk *blk, const struct blk_req *r)
{
	bool transfer = r->type == VIRTIO_BLK_T_IN || r->type == VIRTIO_BLK_T_OUT;

	if (!blk->limited)
		return;
	rate_draw(&blk->bytes, transfer ? r->data_len : 0);
	rate_draw(&blk->ops, 1);
}

static void blk_timer_closed(uv_handle_t *h)
{
	free(container_of((uv_timer_t *)h, struct blk_timer, timer));
}

static int blk_timer_init(struct blk *blk)
{
	if (!blk->limited)
		return 0;
	blk->timer = calloc(1, sizeof(*blk->timer));
	if (!blk->timer)
		return -ENOMEM;
	blk->timer->blk = blk;
	return uv_timer_init(worker_loop(blk->v.worker), &blk->timer->timer);
}

static void blk_timer_fini(struct blk *blk)
{
	if (blk->timer)
		uv_close((uv_handle_t *)&blk->timer->timer, blk_timer_closed);
	blk->timer = NULL;
}

static void blk_kick(struct virtio_dev *v, unsigned int q)
{
	struct blk *blk = container_of(v, struct blk, v);
	struct virtio_blk_outhdr hdr;
	struct blk_req *r;

	while ((r = blk_get(blk))) {
		int status;

		if (blk_must_wait(blk) || virtio_pop(v, q, &r->vr) <= 0) {
			blk_put(blk, r);
			break;
		}
		r->blk = blk;
		if (!blk_parse(r, &hdr)) {
			blk_put(blk, r);
			virtio_broken(v, "a block request without a header or a status byte");
			break;
		}
		blk_draw(blk, r);
		status = blk_start(blk, r, le64toh(hdr.sector));
		if (status >= 0)
			blk_complete(blk, r, (uint8_t)status,
				     r->type == VIRTIO_BLK_T_GET_ID ? r->data_len : 0);
	}
	blk->starved = !r;
	block_submit(blk->block);
	blk_flush(blk);
}

/* --- life ---------------------------------------------------------------------------------------------------- */

static int blk_activate(struct virtio_dev *v)
{
	struct blk *blk = container_of(v, struct blk, v);

	int ret = blk_timer_init(blk);

	return ret < 0 ? ret
		       : block_attach(blk->block, worker_loop(v->worker), blk_batch_done, blk);
}

static void blk_deactivate(struct virtio_dev *v)
{
	struct blk *blk = container_of(v, struct blk, v);

	block_detach(blk->block);
	blk_timer_fini(blk);
	blk_flush(blk);
}

static struct virtio_blk_config *blk_config_of(struct virtio_dev *v)
{
	return (struct virtio_blk_config *)(void *)v->config;
}

/* Section 5.2.5.1: writeback is all that a driver writes */
static void blk_config_write(struct virtio_dev *v, size_t off, const void *data, size_t len)
{
	struct blk *blk = container_of(v, struct blk, v);
	uint8_t wce;

	if (off != offsetof(struct virtio_blk_config, wce) || len != 1 ||
	    !virtio_has(v, VIRTIO_BLK_F_CONFIG_WCE))
		return;
	memcpy(&wce, data, 1);
	blk_config_of(v)->wce = !!wce;
	atomic_store(&blk->stable, !wce);
}

static void blk_reset(struct virtio_dev *v)
{
	struct blk *blk = container_of(v, struct blk, v);

	blk_config_of(v)->wce = !blk->writethrough;
	atomic_store(&blk->stable, blk->writethrough);
}

/* Section 5.2.4 */
static void blk_config(struct blk *blk)
{
	struct virtio_blk_config *c = blk_config_of(&blk->v);
	const struct block_info *i = block_info(blk->block);
	uint32_t per_block = i->physical_block / i->logical_block;

	c->capacity = htole64(i->size / BLOCK_SECTOR);
	c->seg_max = htole32(BLK_SEG_MAX);
	c->blk_size = htole32(i->logical_block);
	c->physical_block_exp = is_power_of_two(per_block) ? (uint8_t)__builtin_ctz(per_block) : 0;
	c->min_io_size = htole16((uint16_t)MIN(per_block, UINT16_MAX));
	c->max_discard_sectors = htole32(BLK_RANGE_SECTORS_MAX);
	c->max_discard_seg = htole32(BLK_RANGES_MAX);
	c->discard_sector_alignment = htole32(i->discard_align / BLOCK_SECTOR);
	c->max_write_zeroes_sectors = htole32(BLK_RANGE_SECTORS_MAX);
	c->max_write_zeroes_seg = htole32(BLK_RANGES_MAX);
	c->write_zeroes_may_unmap = 1;
}

struct blk_growth {
	struct blk *blk;
	uint64_t size;
};

static void blk_set_size(void *arg)
{
	struct blk_growth *g = arg;

	block_set_size(g->blk->block, g->size);
}

int blk_grow(struct device *d, bool dry_run, uint64_t *ret_size, struct err *e)
{
	struct blk *blk = container_of(d, struct blk, v.dev);
	struct blk_growth g = { .blk = blk };
	uint64_t before = block_info(blk->block)->size;
	int ret = block_measure(blk->block, &g.size, e);

	if (ret < 0)
		return ret;
	*ret_size = g.size;
	if (g.size == before || dry_run)
		return g.size != before;
	worker_call(blk->v.worker, blk_set_size, &g);
	blk_config_of(&blk->v)->capacity = htole64(g.size / BLOCK_SECTOR);
	virtio_config_changed(&blk->v);
	return 1;
}

static uint64_t blk_features(const struct block_info *i)
{
	if (i->readonly)
		return BIT64(VIRTIO_BLK_F_RO);
	return BIT64(VIRTIO_BLK_F_CONFIG_WCE) | BIT64(VIRTIO_BLK_F_WRITE_ZEROES) |
	       (i->discard ? BIT64(VIRTIO_BLK_F_DISCARD) : 0);
}

static void blk_limits(struct blk *blk, const struct blk_cfg *cfg)
{
	rate_init(&blk->bytes, cfg->bytes_per_s, cfg->bytes_per_s / 1000 * cfg->burst_ms);
	rate_init(&blk->ops, cfg->ops_per_s, (uint64_t)cfg->ops_per_s * cfg->burst_ms / 1000);
	blk->limited = blk->bytes.per_s || blk->ops.per_s;
}

static int blk_init(struct device *d, struct err *e)
{
	static const struct virtio_ops ops = {
		.id = VIRTIO_ID_BLOCK,
		.nqueues = 1,
		.queue_max = BLK_QUEUE_MAX,
		.features = BIT64(VIRTIO_BLK_F_SEG_MAX) | BIT64(VIRTIO_BLK_F_BLK_SIZE) |
			    BIT64(VIRTIO_BLK_F_TOPOLOGY) | BIT64(VIRTIO_BLK_F_FLUSH),
		.config_size = offsetof(struct virtio_blk_config, max_secure_erase_sectors),
		.dedicated_worker = true,
		.config_write = blk_config_write,
		.reset = blk_reset,
		.activate = blk_activate,
		.kick = blk_kick,
		.deactivate = blk_deactivate,
	};
	struct blk *blk = container_of(d, struct blk, v.dev);
	struct blk_cfg *cfg = d->cfg;
	struct block_image image = { .readonly = cfg->readonly,
				     .format = (enum block_format)cfg->format,
				     .unsafe = cfg->cache == BLK_UNSAFE };
	int ret;

	snprintf(blk->serial, sizeof(blk->serial), "%.20s", cfg->serial[0] ? cfg->serial : d->id);
	image.fd = TAKE_FD(cfg->fd);
	while (image.nbacking < BLOCK_BACKING_MAX && cfg->backing[image.nbacking] >= 0) {
		image.backing[image.nbacking] = TAKE_FD(cfg->backing[image.nbacking]);
		image.nbacking++;
	}
	if (d->board->caged) /* a ring is made before the cage or never */
		image.engine = BLOCK_ENGINE_PSYNC;
	ret = block_open(&image, &blk->block, e);
	if (ret < 0)
		return ret;
	blk->pool = calloc(BLK_QUEUE_MAX, sizeof(*blk->pool));
	if (!blk->pool)
		return err_set(e, ENOMEM, "no memory for %d requests", BLK_QUEUE_MAX);
	blk_config(blk);
	blk_limits(blk, cfg);
	blk->writethrough = cfg->cache == BLK_WRITETHROUGH;
	blk_reset(&blk->v);
	return virtio_init(&blk->v, &ops, blk_features(block_info(blk->block)), cfg->address, e);
}

static void blk_fini(struct device *d)
{
	struct blk *blk = container_of(d, struct blk, v.dev);

	virtio_device_fini(d);
	block_free(blk->block);
	free(blk->pool);
}

static const char *const blk_formats[] = { [BLOCK_FORMAT_UNSAID] = "",
					   [BLOCK_FORMAT_RAW] = "raw",
					   [BLOCK_FORMAT_QCOW2] = "qcow2",
					   NULL };

static const char *const blk_caches[] = { [BLK_WRITEBACK] = "writeback",
					  [BLK_DIRECT] = "direct",
					  [BLK_WRITETHROUGH] = "writethrough",
					  [BLK_UNSAFE] = "unsafe",
					  NULL };

static const struct field blk_fields[] = {
	FIELD_FD("path", struct blk_cfg, fd),
	FIELD_ENUM("format", struct blk_cfg, format, blk_formats),
	FIELD_FDS("backing", struct blk_cfg, backing),
	FIELD_BOOL("readonly", struct blk_cfg, readonly),
	FIELD_U64("bytes_per_second", struct blk_cfg, bytes_per_s),
	FIELD_U32("ops_per_second", struct blk_cfg, ops_per_s),
	FIELD_U32("burst_ms", struct blk_cfg, burst_ms),
	FIELD_ENUM("cache", struct blk_cfg, cache, blk_caches),
	FIELD_BOOL("share", struct blk_cfg, share),
	FIELD_STR("serial", struct blk_cfg, serial),
	FIELD_STR("address", struct blk_cfg, address),
	FIELD_END,
};

const struct device_class virtio_blk_class = {
	.type = "virtio-blk",
	.hotplug = true,
	.size = sizeof(struct blk),
	.cfg_size = sizeof(struct blk_cfg),
	.cfg_fields = blk_fields,
	.init = blk_init,
	.start = virtio_device_start,
	.stop = virtio_device_stop,
	.reset = virtio_device_reset,
	.fini = blk_fini,
};
