// SPDX-License-Identifier: MIT
/* See disk.h. disk_open on the control loop, the rest on the thread that has the disk. */
#include "vmm/block/disk.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/auto.h"
#include "lib/json.h"

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

static void disk_pin(struct block_image *image, const struct gmem *pin)
{
	if (!pin)
		return;
	image->memory.base = pin->base;
	image->memory.size = pin->size;
}

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
	disk_pin(&image, pin);
	return block_open(&image, ret_block, e);
}

int disk_also(struct block *b, const struct gmem *pin, struct block **ret_block, struct err *e)
{
	struct block_image image = { 0 };

	disk_pin(&image, pin);
	return block_also(b, &image, ret_block, e);
}

/* --- limits ------------------------------------------------------------------------------------------------ */

int disk_rates_change(struct disk_rates *r, struct json_object *change, struct err *e)
{
	static const struct field fields[] = {
		FIELD_U64("bytes_per_second", struct disk_rates, bytes_per_s),
		FIELD_U32("ops_per_second", struct disk_rates, ops_per_s),
		FIELD_U32("burst_ms", struct disk_rates, burst_ms),
		FIELD_END,
	};
	struct disk_rates want = *r;
	int ret = field_bind(fields, change, &want, NULL, NULL, e);

	if (ret < 0)
		return ret;
	if (want.bytes_per_s == r->bytes_per_s && want.ops_per_s == r->ops_per_s &&
	    want.burst_ms == r->burst_ms)
		return 0;
	*r = want;
	return 1;
}

struct json_object *disk_rates_json(const struct disk_rates *r)
{
	struct json_object *o = json_add_int(json_new(), "ops_per_second", r->ops_per_s);

	json_add_int(o, "bytes_per_second", (int64_t)MIN(r->bytes_per_s, (uint64_t)INT64_MAX));
	return json_add_int(o, "burst_ms", r->burst_ms);
}

void disk_limit_set(struct disk_limit *l, const struct disk_rates *rates)
{
	rate_change(&l->bytes, rates->bytes_per_s, rates->bytes_per_s / 1000 * rates->burst_ms);
	rate_change(&l->ops, rates->ops_per_s, (uint64_t)rates->ops_per_s * rates->burst_ms / 1000);
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
