/* SPDX-License-Identifier: MIT */
/*
 * A limit of so much a second, as a token bucket: it fills at that rate up to a burst, and is drawn from as long as there
 * is anything in it, below zero too. So what is larger than the burst passes, and is waited for afterwards.
 *
 *	rate_init(&r, 1000, 500);		1000 a second; 500 at once after a pause
 *	wait_ns = rate_wait(&r, now_ns);	0: go ahead
 *	rate_draw(&r, n);
 */
#ifndef VMM_RATE_H
#define VMM_RATE_H

#include <stdint.h>
#include "lib/util.h"

#define RATE_MAX BIT64(40) /* a second: above it nothing is limited */

struct rate {
	uint64_t per_s; /* 0: no limit */
	uint64_t at_ns; /* when level was right; 0: not yet */
	/* in parts of 10^-9, so that no rest is lost: what may be drawn (below 0: drawn beforehand), and at most */
	__int128 level, burst;
};

/* per_s above RATE_MAX, or 0: no limit. burst: 0 is 1. */
void rate_init(struct rate *r, uint64_t per_s, uint64_t burst);
/* The same of one in use: what was drawn beforehand stays so, and no new burst is given. */
void rate_change(struct rate *r, uint64_t per_s, uint64_t burst);
/* now_ns never goes back. 0, or how long there is nothing to be drawn. */
uint64_t rate_wait(struct rate *r, uint64_t now_ns);
void rate_draw(struct rate *r, uint64_t n);

#endif
