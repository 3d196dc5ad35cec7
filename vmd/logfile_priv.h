/* SPDX-License-Identifier: MIT */
/* Between logfile.c (the loop's thread) and logfile_disk.c (the worker). */
#ifndef VMD_LOGFILE_PRIV_H
#define VMD_LOGFILE_PRIV_H

#include "vmd/logfile.h"

struct logfile_run {
	char name[LOGREAD_RUN_SIZE]; /* one word */
	uint64_t pos, next_offset;
};

/* Whole records. */
struct logfile_block {
	struct logfile_block *next;
	size_t len;
	struct logfile_run run; /* before its first record */
	uint64_t pos;		/* likewise */
	char data[LOGFILE_BLOCK];
};

enum logfile_kind { LOGFILE_OPEN, LOGFILE_APPEND, LOGFILE_REMOVE };

struct logfile_job {
	char path[4096];
	size_t size;
	enum logfile_kind kind;
	const struct logfile_block *block; /* LOGFILE_APPEND */
	/* out */
	int ret;
	struct err err;
	struct logfile_run run; /* LOGFILE_OPEN */
	uint64_t end;		/* likewise */
};

void logfile_job_run(struct logfile_job *job);

#endif
