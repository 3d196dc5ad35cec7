// SPDX-License-Identifier: MIT
/* See slice.h. No state. */
#include "display/slice.h"

#include <string.h>

#include "lib/util.h"

#define SLICE_RUN \
	8 /* bytes for a pixel that is not as the one before it: four and a half, and where a run ends */
#define SLICE_FLAT 64 /* one of so many bytes that repeat others: deflate's longest match is 258 */

static size_t slice_cost(const struct screen *s, unsigned int row, bool packed)
{
	size_t raw = (size_t)s->width * SCREEN_PIXEL, cost = SLICE_RUN + raw / SLICE_FLAT;
	const uint8_t *p = s->pixels + row * raw;

	for (size_t at = SCREEN_PIXEL; packed && at < raw && cost < raw; at += SCREEN_PIXEL)
		if (memcmp(p + at, p + at - SCREEN_PIXEL, SCREEN_PIXEL) != 0)
			cost += SLICE_RUN;
	return packed ? MIN(cost, raw) : raw;
}

unsigned int slice_rows(const struct screen *s, unsigned int from, bool packed, size_t room,
			size_t max)
{
	size_t most = MAX(max / ((size_t)s->width * SCREEN_PIXEL), 1), cost = 0;
	unsigned int n = 0;

	for (; from + n < s->height && n < most; n++) {
		cost += slice_cost(s, from + n, packed);
		if (cost > room)
			break;
	}
	return MAX(n, 1);
}
