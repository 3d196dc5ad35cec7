/* SPDX-License-Identifier: MIT */
/*
 * What a definition says of a disk, whichever controller it is at: its image, its cache mode, its limits, what becomes of
 * what the host cannot do (trouble.h).
 *
 *	struct x_cfg { struct disk_cfg disk; … };
 *	static const struct field x_fields[] = { DISK_FIELDS(struct x_cfg, disk), …, FIELD_END };
 *	disk_open(&cfg->disk, board->caged, NULL, &block, e);
 *	disk_limit_set(&limit, &cfg->disk.rates);
 */
#ifndef VMM_BLOCK_DISK_H
#define VMM_BLOCK_DISK_H

#include <uv.h>
#include "lib/field.h"
#include "vmm/block/block.h"
#include "vmm/gmem.h"
#include "vmm/rate.h"

enum disk_on_error { DISK_REPORT, DISK_STOP };

enum disk_cache { DISK_WRITEBACK, DISK_DIRECT, DISK_WRITETHROUGH, DISK_UNSAFE };

/* What a disk may do; all of it can be changed while the machine is there. */
struct disk_rates {
	uint64_t bytes_per_s;
	uint32_t ops_per_s, burst_ms;
};

struct disk_cfg {
	int fd; /* -1: there is no image */
	int backing[BLOCK_BACKING_MAX];
	int format;   /* enum block_format */
	int cache;    /* enum disk_cache */
	int on_error; /* enum disk_on_error */
	bool readonly;
	bool share; /* whoever opens the image has locked it accordingly */
	struct disk_rates rates;
};

extern const char *const disk_formats[], *const disk_caches[], *const disk_on_errors[];

#define DISK_RATE_FIELDS(s, m)                           \
	FIELD_U64("bytes_per_second", s, m.bytes_per_s), \
		FIELD_U32("ops_per_second", s, m.ops_per_s), FIELD_U32("burst_ms", s, m.burst_ms)

#define DISK_FIELDS(s, m)                                                               \
	FIELD_FD("path", s, m.fd), FIELD_FDS("backing", s, m.backing),                  \
		FIELD_ENUM("format", s, m.format, disk_formats),                        \
		FIELD_ENUM("cache", s, m.cache, disk_caches),                           \
		FIELD_ENUM("on_error", s, m.on_error, disk_on_errors),                  \
		FIELD_BOOL("readonly", s, m.readonly), FIELD_BOOL("share", s, m.share), \
		DISK_RATE_FIELDS(s, m.rates)

/*
 * Open the image; the descriptors are taken. caged: without a ring, which is made before the cage or never. pin: this
 * memory for the ring, or NULL; see block_image.memory.
 */
int disk_open(struct disk_cfg *take_cfg, bool caged, const struct gmem *pin,
	      struct block **ret_block, struct err *e);

/* One more for the disk that b is, for another thread: block_also. */
int disk_also(struct block *b, const struct gmem *pin, struct block **ret_block, struct err *e);

/* As device.h's set and settings: 1: some are others now, 0: they were so, -ERR_INVALID: not all of change is known. */
int disk_rates_change(struct disk_rates *r, struct json_object *change, struct err *e);
struct json_object *disk_rates_json(const struct disk_rates *r);

/* --- limits: by one thread at a time ------------------------------------------------------------------------ */

struct disk_limit {
	bool on; /* there are any */
	struct rate bytes, ops;
};

/* Anew, or of one in use: what was drawn stays so, and no new burst is given. */
void disk_limit_set(struct disk_limit *l, const struct disk_rates *rates);
/* Nanoseconds until something may go; 0: now. */
uint64_t disk_limit_wait(struct disk_limit *l);
/* A request goes that moves so many bytes. */
void disk_limit_draw(struct disk_limit *l, uint64_t bytes);

#endif
