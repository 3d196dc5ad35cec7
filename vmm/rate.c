// SPDX-License-Identifier: MIT
/* Token buckets: see rate.h. The thread of whose they are. */
#include "vmm/rate.h"

#define RATE_SECOND 1000000000

void rate_init(struct rate *r, uint64_t per_s, uint64_t burst)
{
	*r = (struct rate){ .per_s = per_s > RATE_MAX ? 0 : per_s };
	r->burst = (__int128)MAX(MIN(burst, RATE_MAX), 1u) * RATE_SECOND;
	r->level = r->burst;
}

void rate_change(struct rate *r, uint64_t per_s, uint64_t burst)
{
	struct rate before = *r;

	rate_init(r, per_s, burst);
	if (!before.per_s)
		return;
	r->level = MIN(before.level, r->burst);
	r->at_ns = before.at_ns;
}

uint64_t rate_wait(struct rate *r, uint64_t now_ns)
{
	if (!r->per_s)
		return 0;
	if (r->at_ns)
		r->level += (__int128)(now_ns - r->at_ns) * r->per_s;
	r->level = MIN(r->level, r->burst);
	r->at_ns = now_ns;
	return r->level > 0 ? 0 : (uint64_t)(-r->level / r->per_s) + 1;
}

void rate_draw(struct rate *r, uint64_t n)
{
	if (r->per_s)
		r->level -= (__int128)n * RATE_SECOND;
}
