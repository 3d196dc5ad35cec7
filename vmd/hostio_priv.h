/* SPDX-License-Identifier: MIT */
/* Between hostio.c (which step goes when, and what becomes of it) and hostio_helper.c (processes and their lines). */
#ifndef VMD_HOSTIO_PRIV_H
#define VMD_HOSTIO_PRIV_H

#include <sys/queue.h>
#include "lib/conn.h"
#include "vmd/hostio.h"

#define HOSTIO_HELPERS 8   /* at work or idle */
#define HOSTIO_LEFT_MAX 64 /* that hang in the kernel */
#define HOSTIO_STEPS_MAX 4096
#define HOSTIO_IDLE_MS 5000  /* before one without work ends */
#define HOSTIO_GRACE_MS 1000 /* for a killed one to be gone */

struct hostio_step {
	TAILQ_ENTRY(hostio_step) link;
	char *line;	     /* owned: JSON */
	char text[256];	     /* hostio_text */
	char device[20];     /* pci, or pf */
	uint64_t devices[2]; /* what it may not share with an earlier one; 0: nothing */
	unsigned int deadline_ms;
	bool at_work; /* with a helper, or until it is known who holds its device */
	bool failed;  /* already: e says why */
	struct err why;
	struct hostio_step *of; /* borrowed: this one looks for the holders of that one's device */
	void (*done)(void *arg, struct json_object *result, const struct err *why);
	void *arg;
};

struct hostio_helper {
	LIST_ENTRY(hostio_helper) link;
	struct hostio *io; /* borrowed */
	uv_process_t process;
	uv_timer_t timer; /* of the step, or of idleness */
	struct conn conn;
	unsigned int handles;	  /* of process and timer, not yet closed; conn counts as one */
	struct hostio_step *step; /* borrowed; NULL: idle, or ending */
	bool ending;		  /* takes no more steps */
	bool killed, left;	  /* its deadline has passed; and it is not gone */
	bool exited, closed, bad;
	uint64_t devices[2]; /* of the step that it hangs in, when it is left */
	int64_t status;
	int signal;
	struct err why; /* of its connection's end */
};

struct hostio {
	struct hostio_options options;
	uv_timer_t kick; /* runs when steps may begin */
	bool kick_open, ended;
	TAILQ_HEAD(hostio_steps, hostio_step) steps; /* owned; in the order in which they came */
	size_t n_steps;
	LIST_HEAD(hostio_helpers, hostio_helper) helpers; /* owned by their handles */
	unsigned int n_helpers, n_left;
};

/* A new one that waits for a step. */
int hostio_helper_new(struct hostio *io, struct hostio_helper **ret_helper, struct err *e);
void hostio_helper_begin(struct hostio_helper *h, struct hostio_step *step);
/* vmd ends: it is not looked after any more. */
void hostio_helper_leave(struct hostio_helper *h);

/* What became of a helper's step; h->step is NULL by then. */
void hostio_answered(struct hostio *io, struct hostio_step *step, struct json_object *result,
		     const struct err *why);
void hostio_stuck(struct hostio *io, struct hostio_step *step, const struct hostio_helper *h);
/* A helper or a device may be free: look at the steps again, from the loop. */
void hostio_kick(struct hostio *io);
/* The last of everything is closed: free it. */
void hostio_maybe_free(struct hostio *io);

#endif
