/* SPDX-License-Identifier: MIT */
/*
 * What the control loop asks of a balloon (VIRTIO 1.2, section 5.5); all of it under machine.lock. A balloon's size
 * is memory that the guest does not have: 0 leaves it all it was given.
 */
#ifndef VMM_VIRTIO_BALLOON_H
#define VMM_VIRTIO_BALLOON_H

#include "vmm/device.h"

#define BALLOON_STATS 10		     /* section 5.5.6.3.1: the tags that have names here */
#define BALLOON_STATS_MAX ((1ull << 53) - 1) /* a guest may say anything, and JSON keeps no more */

struct balloon_info {
	uint64_t target, actual; /* bytes: asked for, and what the driver says it has */
	bool driver;		 /* one is there; without it actual is 0 */
	bool has_stats;
	uint64_t stats_age_ms;
	int64_t stats[BALLOON_STATS]; /* at most BALLOON_STATS_MAX; -1: not told */
};

/*
 * bytes is rounded down to 4 KiB; what is more than the guest's memory is cut. 1 when that is another size than
 * before, else 0; dry_run: nothing is done. -ERR_VM_PINNED: a device of the host has all memory, nothing more comes back.
 */
int balloon_set(struct device *d, uint64_t bytes, bool dry_run, struct err *e);
/* What is known now. The driver is asked for new statistics when the last ones are old, for a next time. */
void balloon_get(struct device *d, struct balloon_info *ret);
/* "swap_in", "free", …: counters and bytes, as the driver has them */
const char *balloon_stat_name(unsigned int tag);

#endif
