/* SPDX-License-Identifier: MIT */
/*
 * How far work with all of the guest's memory is, which may take long: told as "guest memory 37%", at each tenth of
 * more memory than takes no time, and of whatever takes a second; who listens waits only while it moves. Control loop.
 */
#ifndef VMM_PROGRESS_H
#define VMM_PROGRESS_H

#include "vmm/board.h"

struct progress {
	struct board *board;
	const char *type; /* of the notice */
	uint64_t done;	  /* bytes */
	uint64_t began_ms, told_ms, tenth;
};

void progress_begin(struct progress *p, struct board *b, const char *type);
void progress_add(struct progress *p, uint64_t bytes);
/* Since it began */
uint64_t progress_ms(const struct progress *p);

#endif
