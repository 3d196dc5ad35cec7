// SPDX-License-Identifier: MIT
/* Progress of work with the guest's memory: see progress.h. Control loop. */
#include "vmm/progress.h"

#include <stdio.h>
#include <time.h>

#define PROGRESS_SILENT (4 * GIB)
#define PROGRESS_TELL_MS 1000

static uint64_t progress_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void progress_begin(struct progress *p, struct board *b, const char *type)
{
	uint64_t now = progress_now_ms();

	*p = (struct progress){ .board = b, .type = type, .began_ms = now, .told_ms = now };
}

void progress_add(struct progress *p, uint64_t bytes)
{
	struct board *b = p->board;
	uint64_t tenth, now = progress_now_ms();
	char msg[64];

	p->done += bytes;
	tenth = p->done / (b->gmem->size / 10 + 1);
	if (now - p->told_ms < PROGRESS_TELL_MS &&
	    (tenth == p->tenth || b->gmem->size <= PROGRESS_SILENT))
		return;
	p->tenth = tenth;
	p->told_ms = now;
	snprintf(msg, sizeof(msg), "guest memory %u%%",
		 (unsigned int)(p->done * 100 / b->gmem->size));
	b->ops->notice(b->arg, p->type, msg);
}

uint64_t progress_ms(const struct progress *p)
{
	return progress_now_ms() - p->began_ms;
}
