// SPDX-License-Identifier: MIT
/* See disk.h. disk_open on the control loop, the rest on the thread that has the disk. */
#include "vmm/block/disk.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/auto.h"

const char *const disk_formats[] = { [BLOCK_FORMAT_UNSAID] = "",
				     [BLOCK_FORMAT_RAW] = "raw",
				     [BLOCK_FORMAT_QCOW2] = "qcow2",
				     NULL };

const char *const disk_caches[] = { [DISK_WRITEBACK] = "writeback",
				    [DISK_DIRECT] = "direct",
				    [DISK_WRITETHROUGH] = "writethrough",
				    [DISK_UNSAFE] = "unsafe",
				    NULL };

const char *const disk_on_errors[] = { [DISK_REPORT] = "report", [DISK_STOP] = "stop", NULL };

int disk_open(struct disk_cfg *take_cfg, bool caged, const struct gmem *pin,
	      struct block **ret_block, struct err *e)
{
	struct disk_cfg *cfg = take_cfg;
	struct block_image image = { .readonly = cfg->readonly,
				     .format = (enum block_format)cfg->format,
				     .unsafe = cfg->cache == DISK_UNSAFE };

	image.fd = TAKE_FD(cfg->fd);
	while (image.nbacking < BLOCK_BACKING_MAX && cfg->backing[image.nbacking] >= 0) {
		image.backing[image.nbacking] = TAKE_FD(cfg->backing[image.nbacking]);
		image.nbacking++;
	}
	if (caged)
		image.engine = BLOCK_ENGINE_PSYNC;
	if (pin) {
		image.memory.base = pin->base;
		image.memory.size = pin->size;
	}
	return block_open(&image, ret_block, e);
}

/* --- limits ------------------------------------------------------------------------------------------------ */

void disk_limit_set(struct disk_limit *l, const struct disk_cfg *cfg)
{
	rate_change(&l->bytes, cfg->bytes_per_s, cfg->bytes_per_s / 1000 * cfg->burst_ms);
	rate_change(&l->ops, cfg->ops_per_s, (uint64_t)cfg->ops_per_s * cfg->burst_ms / 1000);
	l->on = l->bytes.per_s || l->ops.per_s;
}

uint64_t disk_limit_wait(struct disk_limit *l)
{
	uint64_t now;

	if (!l->on)
		return 0;
	now = uv_hrtime();
	return MAX(rate_wait(&l->bytes, now), rate_wait(&l->ops, now));
}

void disk_limit_draw(struct disk_limit *l, uint64_t bytes)
{
	if (!l->on)
		return;
	rate_draw(&l->bytes, bytes);
	rate_draw(&l->ops, 1);
}
