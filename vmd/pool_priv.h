/* SPDX-License-Identifier: MIT */
/* Between vmd/pool*.c. */
#ifndef VMD_POOL_PRIV_H
#define VMD_POOL_PRIV_H

#include <uv.h>
#include "vmd/daemon.h"
#include "vmd/journal.h"
#include "vmd/pool.h"

enum pool_op {
	POOL_UP,    /* a pool's PFs as it says */
	POOL_DOWN,  /* and as they were */
	POOL_PF,    /* a PF, by hand */
	POOL_CLEAN, /* what a vmd before this one has begun by hand and not ended */
};

/* Steps of one owner, forth; or without steps: all that the owner has done, back. */
struct pool_item {
	char owner[JOURNAL_OWNER_SIZE];
	struct pci_addr pf;
	struct json_object *steps; /* owned, or NULL */
};

#define POOL_ITEMS_MAX (2 * PCI_POOL_MEMBERS_MAX)

/* A change, from the request to its end. */
struct pool_run {
	struct pool_run *next;
	struct pools *set;
	enum pool_op op;
	char name[64];			/* of the pool; by hand: the PF's address */
	struct json_object *definition; /* owned: POOL_UP */
	struct pci_pool pool;		/* POOL_UP */
	struct pci_addr pf;		/* POOL_PF */
	unsigned int vfs;
	int64_t revision;
	int64_t if_revision; /* that it has to be at; 0: there may be none; -1: any */
	bool rebooted;	     /* the journal's rows are of an earlier run of the host */
	bool dry, apply;     /* apply: the definition may be new, and is written */
	struct state_actor actor;
	struct call *call; /* until it waits for the job; NULL: nobody asks */
	struct job *job;
	uv_work_t work;
	bool working;
	struct pci_inventory inventory; /* owned, once it was read */
	unsigned char *marks;		/* owned */
	struct pool_use use;		/* of a VF of what is changed */
	int ret;			/* the worker's */
	struct err err;
	struct pool_item items[POOL_ITEMS_MAX];
	size_t n, at;
	size_t steps_done, steps;
	bool back;		    /* the present item's failure is being taken back */
	struct err why;		    /* of that */
	struct json_object *result; /* owned */
};

/* That a pool is not as it should be. */
struct pool_note {
	struct pool_note *next;
	char name[64];
	char msg[512];
};

struct pools {
	struct daemon *d;
	struct pool_run *runs;	 /* owned; the first one is under way */
	struct pool_note *notes; /* owned */
	struct pool_wait *waits; /* their owners' */
	bool closing;
};

/* pool_plan.c: from what was read to items, or why not. Nothing is changed. */
int pool_plan(struct pool_run *r, struct err *e);
/* The owners in the journal that begin so, the newest first, as items without steps. */
int pool_plan_back(struct pool_run *r, const char *prefix, struct err *e);
/* Forget the journal's rows of all owners that begin so. */
int pool_forget(struct daemon *d, const char *prefix, struct err *e);
/* Is the PF in another pool than `name` ("" : any)? 1 and its name; 0. */
int pool_of_pf(struct daemon *d, const struct pci_function *pf, const char *name,
	       char ret_pool[static 64], struct err *e);
/* pool.c */
void pool_note(struct pools *set, const char *name, const char *msg);
/* pool_wait.c: a change of this pool has ended. */
void pool_waits_end(struct pools *set, const char *name);
/* pool_run.c: into the queue. */
void pool_submit(struct pool_run *r);
void pool_run_free(struct pool_run *r);

#endif
