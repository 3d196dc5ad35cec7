/* SPDX-License-Identifier: MIT */
/*
 * Changes of the host that are never left half-done: each step is written to the database with its undo before
 * it is made (hostio.h), and all of an owner's are taken back in reverse order when one fails, when they are not needed
 * any more, or by the next vmd when this one died. A step that was begun may have happened or not: its undo is done
 * in either case, for each may be done twice; but for a reset, which wipes out what a user of the device leaves, and
 * nobody gets a device whose reset was not done. DESIGN.md "Device leases". On the loop's thread.
 *
 * Owners: "lease:GENERATION", "pool:NAME". One run an owner at a time is the caller's to see to.
 */
#ifndef VMD_JOURNAL_H
#define VMD_JOURNAL_H

#include "lib/json.h"
#include "lib/log.h"
#include "state/state.h"
#include "vmd/hostio.h"

#define JOURNAL_OWNER_SIZE 96

struct journal;

/* All borrowed. NULL when there is no memory. */
struct journal *journal_new(struct state *state, struct hostio *io, const struct log *log);
/* vmd ends, after hostio_free: runs under way are forgotten, the next vmd takes them back. Accepts NULL. */
void journal_free(struct journal *j);

struct journal_ops {
	/* The end, once: all steps, or why not; that step may have happened, and those before it have. */
	void (*done)(void *arg, const struct err *why);
	/*
	 * In the transaction that writes the end of the n-th step (from 0): what the caller has to write with it.
	 * A failure ends the run. NULL: nothing.
	 */
	int (*stored)(void *arg, size_t n, struct err *e);
};

/* Add {action, undo?} to an array of steps; both are taken over, undo may be NULL. */
void journal_add(struct json_object *steps, struct json_object *take_action,
		 struct json_object *take_undo);

/*
 * Begin steps, one or more, an array made with journal_add (borrowed, not to be changed meanwhile). Never calls back from inside. Negative:
 * nothing has happened, and no callback follows.
 */
int journal_run(struct journal *j, const char *owner, struct json_object *steps,
		const struct journal_ops *ops, void *arg, struct err *e);

/*
 * Begin to take back what an owner has done, the newest first. 1: under way, ops->done follows (stored is not
 * called); 0: there is nothing to take back; negative: it could not begin. A step that cannot be taken back ends the
 * run, those before it stay; it may be called again.
 */
int journal_undo(struct journal *j, const char *owner, const struct journal_ops *ops, void *arg,
		 struct err *e);
/* The undos that journal_undo would do, in its order: an array of steps of hostio. */
int journal_undos(struct journal *j, const char *owner, struct json_object **ret_undos,
		  struct err *e);

#endif
