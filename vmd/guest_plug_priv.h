/* SPDX-License-Identifier: MIT */
/* Between vmd/guest_plug*.c. */
#ifndef VMD_GUEST_PLUG_PRIV_H
#define VMD_GUEST_PLUG_PRIV_H

#include "vmd/guest_plug.h"
#include "vmd/job.h"
#include "vmd/pool.h"

#define PLUG_RETRY_MS 250 /* vmm is asked again, or what could not be written is */

enum plug_outcome { PLUG_OPEN, PLUG_CAME, PLUG_WENT, PLUG_FAILED };

struct guest_plug {
	struct guest_plug *next;
	struct guest *g;
	struct plug_plan plan; /* owned */
	bool attach, persist;
	struct job *job; /* NULL: nobody waits any more for a guest that lets nothing go */
	char job_id[STATE_JOB_ID_SIZE];
	struct err why;	       /* the first thing that went wrong; code 0: nothing has */
	char note[256];	       /* for who waits */
	struct pool_wait pool; /* before that: for a pool that is being made */
	bool leasing;	       /* lease.h works for it */
	bool asked;	       /* vmm was sent device.add or device.remove, by this vmd */
	unsigned int calls;    /* callbacks of vmproc and gather that are to come */
	struct gather *gather;
	enum plug_outcome outcome; /* what is to be written */
	bool dropped;
	uv_timer_t retry, limit;
	unsigned int handles;
};

/* guest_plug.c */
struct guest_plug *plug_new(struct guest *g, bool attach, bool persist);
/* Ask vmm what it has, in a moment, and decide. */
void plug_look_later(struct guest_plug *p);
/* The job's time runs. */
void plug_limit(struct guest_plug *p);
/* A callback has come. False: it was the last thing that a dropped one waited for, and p is gone. */
bool plug_called(struct guest_plug *p);
bool plug_of_host(const struct guest_plug *p);
void plug_progress(struct guest_plug *p, const char *phase);
/* It is over; written, and told, when the database takes it. */
void plug_finish(struct guest_plug *p, enum plug_outcome outcome);
/* The first one counts. */
void plug_note_why(struct guest_plug *p, const struct err *why);
void plug_leased_end(struct guest_plug *p);
/* What it has of the host goes back, then it ends. */
void plug_release(struct guest_plug *p);
/* vmm gets the device. */
void plug_add(struct guest_plug *p, struct json_object *device, struct fdset *take_fds);

/* guest_plug_get.c */
/* vmm is there to be asked. */
bool plug_can(const struct guest *g);
/* What it is of the host first, once its pool is made; then its files, then it is added. */
void plug_lease(struct guest_plug *p);
/* From its files on. */
void plug_gather(struct guest_plug *p);

/* guest_plug_store.c: in the open transaction */
int plug_put(const struct guest_plug *p, enum state_attachment_state state, struct err *e);
/* p->outcome, in a transaction of its own: the row, the definition, the event, the end of the job. */
int plug_store(struct guest_plug *p, struct err *e);

#endif
