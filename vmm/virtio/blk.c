// SPDX-License-Identifier: MIT
/* Virtio block device: VIRTIO 1.2, section 5.2. Its configuration and life; blk_request.c has the requests. */
#include "vmm/virtio/blk.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "vmm/devices.h"
#include "vmm/virtio/blk_impl.h"

enum blk_worker { BLK_OWN, BLK_PER_QUEUE, BLK_SHARED };

struct blk_cfg {
	struct disk_cfg disk;
	uint32_t queues;
	bool pin_memory;
	uint32_t poll_us;
	int worker; /* enum blk_worker */
	char worker_cpus[128];
	char serial[VIRTIO_BLK_ID_BYTES + 1];
	char address[16];
};

/* --- life ---------------------------------------------------------------------------------------------------- */

static const struct block_info *blk_info(const struct blk *blk)
{
	return block_info(blk->lanes[0].block);
}

/* What was held is run again by the lanes, one after the other. */
static int blk_activate(struct virtio_dev *v)
{
	trouble_over(&container_of(v, struct blk, v)->disk);
	return 0;
}

static int blk_lane_begin(struct virtio_dev *v, unsigned int w)
{
	return blk_begin(&container_of(v, struct blk, v)->lanes[w]);
}

static void blk_lane_end(struct virtio_dev *v, unsigned int w)
{
	blk_end(&container_of(v, struct blk, v)->lanes[w]);
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

	blk_drop_held(blk);
	blk_config_of(v)->wce = !blk->writethrough;
	atomic_store(&blk->stable, blk->writethrough);
}

/* Section 5.2.4 */
static void blk_config(struct blk *blk)
{
	struct virtio_blk_config *c = blk_config_of(&blk->v);
	const struct block_info *i = blk_info(blk);
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
	c->num_queues = htole16(blk->vops.nqueues);
}

struct blk_growth {
	struct blk_lane *lane;
	uint64_t size;
};

static void blk_set_size(void *arg)
{
	struct blk_growth *g = arg;

	block_set_size(g->lane->block, g->size);
}

int blk_grow(struct device *d, bool dry_run, uint64_t *ret_size, struct err *e)
{
	struct blk *blk = container_of(d, struct blk, v.dev);
	struct blk_growth g = { 0 };
	uint64_t before = blk_info(blk)->size;
	int ret = block_measure(blk->lanes[0].block, &g.size, e);

	if (ret < 0)
		return ret;
	*ret_size = g.size;
	if (g.size == before || dry_run)
		return g.size != before;
	for (unsigned int i = 0; i < blk->nlanes; i++) {
		g.lane = &blk->lanes[i];
		worker_call(blk_lane_worker(g.lane), blk_set_size, &g);
	}
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

/* What is held when the host has failed */
static int blk_trouble_init(struct blk *blk, const struct disk_cfg *cfg, struct err *e)
{
	blk->disk.id = blk->v.dev.id;
	blk->disk.stop = cfg->on_error == DISK_STOP;
	return trouble_init(&blk->trouble, blk->v.dev.board, &blk->disk, 1, e);
}

/* --- limits -------------------------------------------------------------------------------------------------- */

static void blk_go_on(void *arg)
{
	blk_look_again(arg);
}

static int blk_set(struct device *d, struct json_object *change, struct err *e)
{
	struct blk *blk = container_of(d, struct blk, v.dev);
	int ret = disk_rates_change(&((struct blk_cfg *)d->cfg)->disk.rates, change, e);

	if (ret <= 0)
		return ret;
	blk_limit_change(blk, &((struct blk_cfg *)d->cfg)->disk.rates);
	for (unsigned int i = 0; i < blk->nlanes; i++)
		worker_call(blk_lane_worker(&blk->lanes[i]), blk_go_on, &blk->lanes[i]);
	return ret;
}

static struct json_object *blk_settings(const struct device *d)
{
	return disk_rates_json(&((const struct blk_cfg *)d->cfg)->disk.rates);
}

/* The image, by all lanes. */
static int blk_open_lanes(struct blk *blk, const struct gmem *pin, struct err *e)
{
	struct blk_cfg *cfg = blk->v.dev.cfg;
	struct blk_lane *lanes = blk->lanes;
	int ret = disk_open(&cfg->disk, blk->v.dev.board->caged, pin, &lanes[0].block, e);

	for (unsigned int w = 1; w < blk->nlanes && ret >= 0; w++)
		ret = disk_also(lanes[0].block, pin, &lanes[w].block, e);
	for (unsigned int w = 0; w < blk->nlanes && ret >= 0; w++)
		blk->pinned = blk->pinned || block_info(lanes[w].block)->pinned;
	return ret;
}

/* Nothing of the memory is given back from before it is pinned on. */
static int blk_open(struct blk *blk, struct err *e)
{
	const struct blk_cfg *cfg = blk->v.dev.cfg;
	const struct board *board = blk->v.dev.board;
	int ret;

	if (cfg->pin_memory)
		gmem_keep(board->gmem, true);
	ret = blk_open_lanes(blk, cfg->pin_memory ? board->gmem : NULL, e);
	if (!cfg->pin_memory || blk->pinned)
		return ret;
	gmem_keep(board->gmem, false);
	if (ret >= 0)
		log_info(board->log, "%s: no memory is pinned for it", blk->v.dev.id);
	return ret;
}

static int blk_lane_init(struct blk *blk, unsigned int w, struct err *e)
{
	const struct blk_cfg *cfg = blk->v.dev.cfg;
	struct blk_lane *lane = &blk->lanes[w];
	unsigned int nqueues = blk->vops.nqueues / blk->nlanes;

	lane->blk = blk;
	lane->w = w;
	lane->poll.bound_ns = cfg->poll_us * 1000ull;
	lane->npool = BLK_QUEUE_MAX * nqueues;
	lane->pool = calloc(lane->npool, sizeof(*lane->pool));
	if (lane->pool && cfg->disk.on_error == DISK_STOP)
		lane->saved = calloc((size_t)lane->npool * VIRTQ_SEGS_MAX, sizeof(*lane->saved));
	if (!lane->pool || (cfg->disk.on_error == DISK_STOP && !lane->saved))
		return err_set(e, ENOMEM, "no memory for %u requests", lane->npool);
	return 0;
}

static int blk_lanes_init(struct blk *blk, struct err *e)
{
	int ret = 0;

	for (unsigned int w = 0; w < blk->nlanes && ret >= 0; w++)
		ret = blk_lane_init(blk, w, e);
	return ret;
}

static int blk_init(struct device *d, struct err *e)
{
	static const struct virtio_ops ops = {
		.id = VIRTIO_ID_BLOCK,
		.queue_max = BLK_QUEUE_MAX,
		.features = BIT64(VIRTIO_BLK_F_SEG_MAX) | BIT64(VIRTIO_BLK_F_BLK_SIZE) |
			    BIT64(VIRTIO_BLK_F_TOPOLOGY) | BIT64(VIRTIO_BLK_F_FLUSH),
		.config_size = offsetof(struct virtio_blk_config, max_secure_erase_sectors),
		.dedicated_worker = true,
		.config_write = blk_config_write,
		.reset = blk_reset,
		.activate = blk_activate,
		.kick = blk_kick,
		.begin = blk_lane_begin,
		.end = blk_lane_end,
	};
	struct blk *blk = container_of(d, struct blk, v.dev);
	struct blk_cfg *cfg = d->cfg;
	int ret;

	snprintf(blk->serial, sizeof(blk->serial), "%.20s", cfg->serial[0] ? cfg->serial : d->id);
	blk_limit_init(&blk->limit, &cfg->disk.rates);
	blk->vops = ops;
	blk->vops.dedicated_worker = cfg->worker != BLK_SHARED;
	blk->vops.nqueues = (uint16_t)MAX(cfg->queues, 1u);
	/* in the cage all there is is one that others have too */
	blk->nlanes = cfg->worker == BLK_PER_QUEUE && !d->board->caged ? blk->vops.nqueues : 1;
	blk->vops.nworkers = (uint16_t)blk->nlanes;
	ret = blk_open(blk, e);
	if (ret < 0)
		return ret;
	ret = blk_lanes_init(blk, e);
	if (ret < 0)
		return ret;
	blk_config(blk);
	blk->writethrough = cfg->disk.cache == DISK_WRITETHROUGH;
	blk_reset(&blk->v);
	ret = blk_trouble_init(blk, &cfg->disk, e);
	if (ret < 0)
		return ret;
	ret = virtio_init(&blk->v, &blk->vops,
			  blk_features(blk_info(blk)) |
				  (blk->vops.nqueues > 1 ? BIT64(VIRTIO_BLK_F_MQ) : 0),
			  cfg->address, e);
	/* in the cage it is another's, and stays where it is */
	for (unsigned int w = 0; w < blk->nlanes && ret >= 0; w++)
		if (cfg->worker_cpus[0] && !d->board->caged)
			ret = worker_place(blk_lane_worker(&blk->lanes[w]), cfg->worker_cpus, e);
	return ret;
}

static void blk_fini(struct device *d)
{
	struct blk *blk = container_of(d, struct blk, v.dev);

	virtio_device_fini(d);
	trouble_fini(&blk->trouble);
	for (unsigned int w = blk->nlanes; w-- > 0;) {
		struct blk_lane *lane = &blk->lanes[w];

		block_free(lane->block);
		free(lane->saved);
		free(lane->pool);
	}
	if (blk->pinned)
		gmem_keep(d->board->gmem, false);
	blk_limit_fini(&blk->limit);
}

static const char *const blk_workers
	[] = { [BLK_OWN] = "own", [BLK_PER_QUEUE] = "per-queue", [BLK_SHARED] = "shared", NULL };

static const struct field blk_fields[] = {
	DISK_FIELDS(struct blk_cfg, disk),
	FIELD_U32("queues", struct blk_cfg, queues),
	FIELD_BOOL("pin_memory", struct blk_cfg, pin_memory),
	FIELD_ENUM("worker", struct blk_cfg, worker, blk_workers),
	FIELD_STR("worker_cpus", struct blk_cfg, worker_cpus),
	FIELD_U32("poll_us", struct blk_cfg, poll_us),
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
	.set = blk_set,
	.settings = blk_settings,
	.fini = blk_fini,
};
