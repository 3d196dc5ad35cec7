/* SPDX-License-Identifier: MIT */
/*
 * Jobs: calls that take long, each a row of the database from before it begins until an hour after its
 * end, whoever waits for it. What a job does is its owner's (guest_op.c); here are its row, its events
 * "job.progress" and "job.done", and the calls that wait for its end. On the loop's thread.
 */
#ifndef VMD_JOB_H
#define VMD_JOB_H

#include <uv.h>
#include "lib/json.h"
#include "state/state.h"
#include "vmd/call.h"

struct daemon;
struct jobs;

struct job {
	struct job *next; /* the set's list */
	struct jobs *set;
	struct state_job row;
	uint64_t begun_ms;	    /* the loop's clock */
	uv_timer_t timer;	    /* until progress is told again */
	bool untold;		    /* progress since it was told */
	bool ended;		    /* row, result and why say how */
	bool saved;		    /* the database knows that it has */
	struct json_object *result; /* owned: once it has ended well */
	struct err why;		    /* once it has failed */
	struct job_wait *waits;	    /* owned */
	void *owner;
};

struct jobs *jobs_new(struct daemon *d);
/* vmd ends: those who wait are told; the rows stay as they are, for the next vmd. */
void jobs_close(struct jobs *set);
void jobs_free(struct jobs *set);

/*
 * A job that begins now: row holds vm, name, op, phase, timeout_ms, force and actor, the rest is made.
 * Its row is written, in the open transaction where there is one.
 */
int job_begin(struct jobs *set, const struct state_job *row, void *owner, struct job **ret_job,
	      struct err *e);
/* One of a vmd before this one, from its row. NULL when there is no memory. */
struct job *job_continue(struct jobs *set, const struct state_job *row, void *owner);
/* Free it: its owner has, or its transaction was rolled back and nothing has happened. */
void job_forget(struct job *job);

/* How far it is; total 0: not known. Told and written from time to time. phase and unit: short words. */
void job_progress(struct job *job, const char *phase, int64_t done, int64_t total,
		  const char *unit);

/* The end. why NULL: done, with the result; ERR_CANCELLED: cancelled; else failed. */
void job_end(struct job *job, struct json_object *take_result, const struct err *why);
/*
 * Write how far it is, or how it has ended, and then the event of that too; in the open transaction where
 * there is one, after which the caller flushes the events and sets saved.
 */
int job_store(struct job *job, struct err *e);
/* After job_end: answer those who wait. */
void job_answer(struct job *job);

/*
 * Answer this call at the job's end: with the job (whole), or with its result, or its failure.
 * timeout_ms -1: as long as it takes.
 */
void job_wait_add(struct job *job, struct call *call, int64_t timeout_ms, bool whole);

struct job *job_find(struct jobs *set, const char *id);
/* {job, vm, name, op, state, phase, done?, total?, unit?, actor, created, updated, age_ms, result?, error?} */
struct json_object *job_json(const struct state_job *row, const char *result);
struct json_object *job_show(const struct job *job);
/* The same of a row by its id, running or ended: -ERR_JOB_NOT_FOUND. */
int job_load(struct daemon *d, const char *id, struct json_object **ret_job, struct err *e);
/* {job, op, age_ms, actor}: of an error "busy" */
struct json_object *job_brief(const struct job *job);

#endif
