/* SPDX-License-Identifier: MIT */
/*
 * What a start takes: when each phase was over, in microseconds after the request (CLOCK_MONOTONIC). The
 * first phases are seen by vmd; the others vmm says (vmm/control.h), and they are believed only where
 * they can be true. On the loop's thread.
 */
#ifndef VMD_TIMELINE_H
#define VMD_TIMELINE_H

#include <uv.h>
#include "lib/json.h"
#include "state/state.h"

struct daemon;

#define TIMELINE_PHASES(X)                                                 \
	X(PLAN, "plan")	      /* the definition was read */                \
	X(DEVICES, "devices") /* devices of the host were taken */         \
	X(FDS, "fds")	      /* files were opened */                      \
	X(SPAWN, "spawn")     /* the process was written down, and made */ \
	X(HELLO, "hello")     /* it has said hello */                      \
	X(MEMORY, "memory")   /* vmm: guest memory is there */             \
	X(PINNED, "pinned")   /* vmm: and pinned for these devices */      \
	X(MACHINE, "machine") /* vmm: and KVM, devices, vCPUs */           \
	X(KERNEL, "kernel")   /* vmm: kernel and tables are loaded */      \
	X(START, "start")     /* vmm: the vCPUs run */                     \
	X(CONSOLE, "console") /* vmm: the first byte on a console */       \
	X(KICK, "kick")	      /* vmm: the first virtio kick */

enum timeline_phase {
#define X(id, name) TIMELINE_##id,
	TIMELINE_PHASES(X)
#undef X
		TIMELINE_COUNT,
};

struct timeline {
	struct daemon *d;
	const char *vm;		       /* its id, borrowed */
	int64_t time_ms, begun_us;     /* of the request; begun_us 0: none */
	int64_t at_us[TIMELINE_COUNT]; /* -1: has not come */
	int64_t seq;		       /* of its row; 0: none yet */
	uv_timer_t timer;	       /* until what came late is written */
	bool unwritten;
};

void timeline_init(struct timeline *t, struct daemon *d, const char *vm);
/* What is unwritten is written; the handle closes, `closed` follows. */
void timeline_close(struct timeline *t, uv_close_cb closed);

void timeline_begin(struct timeline *t);
void timeline_mark(struct timeline *t, enum timeline_phase phase);
/* What vmm says: {"memory": N, …}, CLOCK_MONOTONIC in microseconds. May be NULL, or anything. */
void timeline_take(struct timeline *t, struct json_object *said);
/* Write what has come since its row was written; by itself that happens a little later. */
void timeline_flush(struct timeline *t);
/* It is up, or has failed: its row, in the open transaction. What comes later follows by itself. */
int timeline_write(struct timeline *t, int64_t revision, bool ok, struct err *e);
/* That transaction has failed: seq is as it was before it. */
void timeline_rolled_back(struct timeline *t, int64_t seq);

/*
 * {starts: [{time, revision, ok, phases: [{phase, at_us, took_us}], total_us?, slow?}], stats: [{phase, n,
 * p50_us, p95_us}], median_us?}: newest first, at most limit; stats over all that are kept and came up.
 * slow: twice the median of the others, or more.
 */
int timeline_list(struct daemon *d, const char *vm, int64_t limit, struct json_object **ret,
		  struct err *e);

#endif
