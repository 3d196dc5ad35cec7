/* SPDX-License-Identifier: MIT */
/*
 * Writing a log: records (logrec.h) are appended to PATH, which becomes PATH.1 when it has half of the
 * size that the log may have; the older PATH.1 is gone then. On the loop's thread; a libuv worker does
 * what touches the disk, one job a log at a time, and no record is on disk in part once it has ended.
 *
 * When the disk takes nothing (it is full), records wait in memory, up to LOGFILE_QUEUE_MAX, and it is tried again
 * every LOGFILE_RETRY_MS. Nothing is flushed with fsync(2): a log survives vmd, and what the host's
 * crash cuts off is cut to whole records when it is opened.
 */
#ifndef VMD_LOGFILE_H
#define VMD_LOGFILE_H

#include <uv.h>
#include "lib/err.h"
#include "vmd/logread.h"

#define LOGFILE_QUEUE_MAX (256 * 1024)
#define LOGFILE_BLOCK (32 * 1024) /* written at once */
#define LOGFILE_SIZE_MIN (4 * LOGFILE_BLOCK)
#define LOGFILE_SIZE_DEFAULT (1024 * 1024)
#define LOGFILE_SIZE_MAX (1024 * 1024 * 1024)
#define LOGFILE_RETRY_MS 1000

struct logfile;

struct logfile_ops {
	/* It was read, records can be added. Once, or failed comes first and it is tried again. */
	void (*ready)(void *arg);
	/* More is on disk, and there is room. */
	void (*written)(void *arg);
	/* The disk takes nothing: told once, until resumed. */
	void (*failed)(void *arg, const struct err *why);
	void (*resumed)(void *arg);
	/* The last callback, after logfile_close. */
	void (*closed)(void *arg);
};

struct logfile_options {
	uv_loop_t *loop;
	const char *path; /* its folder is made when it is missing, that folder's folder is there */
	size_t size;	  /* of both segments: LOGFILE_SIZE_MIN to LOGFILE_SIZE_MAX */
	const struct logfile_ops *ops;
	void *arg;
};

/* Opens and reads it; ops->ready follows. -errno: no memory. */
int logfile_new(const struct logfile_options *options, struct logfile **ret_log, struct err *e);
/*
 * Add a record. Between ready and close; no record is refused, but who adds while there is no room
 * breaks the bound. A record of kind LOGREC_BEGIN starts a run; others belong to it. With nothing
 * before and nothing behind it, it waits in memory: a run that says nothing leaves no trace.
 */
void logfile_add(struct logfile *l, const struct logrec *rec);
bool logfile_room(const struct logfile *l);
bool logfile_is_ready(const struct logfile *l);
/* Is nothing left to be written? */
bool logfile_idle(const struct logfile *l);
/* Is there something to write that the disk is likely to take? */
bool logfile_busy(const struct logfile *l);
/* The run that goes on ("-" before the first), its position, and the offset of what comes next in it. */
const char *logfile_run(const struct logfile *l);
uint64_t logfile_run_pos(const struct logfile *l);
uint64_t logfile_next_offset(const struct logfile *l);
/* Positions: behind all that was added, behind what is on disk. Once it is ready. */
uint64_t logfile_end(const struct logfile *l);
uint64_t logfile_written(const struct logfile *l);
const char *logfile_path(const struct logfile *l);
/*
 * Write what is left, unless the disk takes nothing, or remove it all. closed follows in any case, from
 * the loop.
 */
void logfile_close(struct logfile *l, bool remove);

#endif
