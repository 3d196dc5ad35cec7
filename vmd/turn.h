/* SPDX-License-Identifier: MIT */
/*
 * What the calls of one turn of the loop write, and what VMs do by themselves in it, is one transaction: each
 * would wait for the disk by itself, and all others with it. What only writes about its own VM is left here;
 * when the turn is over all of them are written, then committed, then done, which is when answers,
 * events and processes follow. Where that fails each is tried alone, so that one that is refused is
 * no harm to another; what the database is not certain of is so for all. On the loop's thread.
 *
 * Before any other call, and before one about the same VM or of the same client, the turn is
 * flushed: nobody sees less than what was asked before. So it is before another transaction of state_begin and before an
 * event by itself: what is written is in the order in which it came about.
 */
#ifndef VMD_TURN_H
#define VMD_TURN_H

#include <uv.h>
#include "lib/err.h"

struct call;
struct daemon;
struct turn;

struct turn_write;

struct turn_ops {
	/* In the open transaction. Once more after undo. */
	int (*write)(struct turn_write *w, struct err *e);
	/* What write has done (also in vain) was taken back. May be NULL. */
	void (*undo)(struct turn_write *w);
	/* The end: why is NULL when it is on the disk. */
	void (*done)(struct turn_write *w, const struct err *why);
};

/* Embedded in what is the caller's until done. */
struct turn_write {
	struct turn_write *next;
	const struct turn_ops *ops;
	const struct call
		*call; /* whose write it is: the events' actor; NULL: nobody's, or write sets it */
	const char *id, *name; /* borrowed: of the VM */
};

int turn_new(struct daemon *d, struct turn **ret_turn, struct err *e);
/* Flush, and no more turns; turn_free when the loop has no more. Both accept NULL. */
void turn_close(struct turn *t);
void turn_free(struct turn *t);

void turn_add(struct turn *t, struct turn_write *w);
/* Now. Accepts NULL, and nothing to write. */
void turn_flush(struct turn *t);
/* Flush when the call has to see what was asked before it. */
void turn_before(struct turn *t, const struct call *call);

#endif
