/* SPDX-License-Identifier: MIT */
/*
 * Reading a log: its older segment PATH.1 and the present one PATH, as one sequence of records, while
 * somebody may be writing and rotating it. Blocks on the disk: for workers. See logrec.h for positions.
 */
#ifndef VMD_LOGREAD_H
#define VMD_LOGREAD_H

#include "lib/err.h"
#include "vmd/logrec.h"

#define LOGREAD_RUN_SIZE 64

struct logread_segment {
	int fd;	       /* owned; -1: there is none */
	uint64_t base; /* position of its first record */
	size_t head;   /* bytes before that */
	char run[LOGREAD_RUN_SIZE];
	uint64_t run_pos, next_offset; /* as its first record says */
};

struct logread {
	struct logread_segment segments[2]; /* the older one first */
	unsigned int at;
	uint64_t pos; /* of the next record */
	char buf[4 * LOGREC_MAX];
	size_t start, len; /* what of it is unread */
};

/* A log that is not there is an empty one. logread_fini in any case. */
int logread_open(struct logread *r, const char *path, struct err *e);
void logread_fini(struct logread *r);
/* Go on at pos; from the oldest record when that one is gone. */
void logread_seek(struct logread *r, uint64_t pos);
/*
 * The next record, but no segment's first; valid until the next call. r->pos is behind it then. 1, 0 at
 * the end or before a record that is not whole yet, or -errno. What is no record is skipped.
 */
int logread_next(struct logread *r, struct logrec *ret);

#endif
