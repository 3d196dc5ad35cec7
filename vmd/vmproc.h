/* SPDX-License-Identifier: MIT */
/*
 * A vmm process: made or found again, watched through its pidfd, spoken to on its control socket
 * (vmm/control.h). Whatever it says is bounded and checked here. On the loop's thread.
 *
 * Its directory holds control.sock, exit.json (its last words) and log.fifo (its stderr).
 */
#ifndef VMD_VMPROC_H
#define VMD_VMPROC_H

#include <uv.h>
#include "lib/emptyns.h"
#include "lib/fdio.h"
#include "lib/json.h"
#include "lib/log.h"
#include "state/state.h"

#define VMPROC_RECORD_MAX 4096

struct vmproc;

struct vmproc_ops {
	/*
	 * vmm has said hello: "empty", "created", "running", "paused", "suspended" or "ended". Again after each time
	 * that the connection had to be made anew.
	 */
	void (*hello)(void *arg, const char *state);
	/* machine.event: type and message are the vmm's words, made printable. */
	void (*event)(void *arg, const char *type, const char *message);
	/* machine.panic: what the console said before is the guest's word, of any length and not made printable. */
	void (*panic)(void *arg, bool handled, const char *console);
	/* device.removed: the id of a device that it says it has no more, made printable. */
	void (*removed)(void *arg, const char *device);
	/* machine.timeline: its params, as they came. */
	void (*timeline)(void *arg, struct json_object *said);
	/*
	 * Its connection broke or was never good while the process lives: who listens is another process,
	 * hello says what cannot be, or does not come. Calls end with ERR_VMM_PROTOCOL. vmd goes on
	 * trying; it is told again only when the reason is another one.
	 */
	void (*lost)(void *arg, const struct err *why);
	/* The process has ended; the last callback but for the ends of calls. */
	void (*gone)(void *arg, const struct state_exit *exit);
};

struct vmproc_options {
	const char *program; /* its name in messages; NULL: vmm */
	uv_loop_t *loop;
	const struct log *log;
	const char *dir; /* exists */
	const struct vmproc_ops *ops;
	void *arg;
};

/* What to run, and its cage; all borrowed, as long as it runs or waits. */
struct vmproc_program {
	const char *vmm;
	const char *seccomp;	  /* its mode, as vmm(8) names it */
	const struct emptyns *ns; /* of -1s: vmm makes its own, as far as it may */
	uint64_t memlock;	  /* bytes that it may lock beside its own; 0: none */
	int cgroup;		  /* the folder of the control group that it begins in; or -1 */
};

/*
 * Make a process for `vmm --control-fd 3`, whose directory is dir. It waits before its exec and
 * ends when vmd does, or with vmproc_child_free, which accepts NULL. On any thread; blocks for
 * about a millisecond.
 */
struct vmproc_child;
int vmproc_prepare(const char *dir, const struct vmproc_program *program,
		   struct vmproc_child **ret_child, struct err *e);
void vmproc_child_free(struct vmproc_child *child);
/*
 * Take it over, as the user (and group) uid, its alone, or -1: ours; once `record` has written
 * down what it is: no process that nobody knows of, whenever vmd dies. Else it ends. vmproc_go
 * lets it run.
 */
int vmproc_spawn(const struct vmproc_options *options, struct vmproc_child *take_child, int64_t uid,
		 int (*record)(void *arg, const struct state_process *process, struct err *e),
		 struct vmproc **ret_proc, struct err *e);
void vmproc_go(struct vmproc *p);
/*
 * Take one over that a vmd before this one has made: -ESRCH when it has ended meanwhile (pid and start
 * time do not meet); nothing is done to the process that has its number now. ops->hello or ops->lost
 * follows. take_pidfd: what the service manager has kept of it, or -1; not believed when it is another
 * process's.
 */
int vmproc_adopt(const struct vmproc_options *options, const struct state_process *process,
		 int take_pidfd, struct vmproc **ret_proc, struct err *e);
/* Let go: the process is not touched. No more callbacks, but each open call ends with -ECANCELED. */
void vmproc_release(struct vmproc *p);

pid_t vmproc_pid(const struct vmproc *p);
uint64_t vmproc_start_time(const struct vmproc *p); /* clock ticks after boot */
int vmproc_pidfd(const struct vmproc *p);	    /* borrowed */
/* Has it ended? True in the ends of the calls that its end ends; ops->gone follows those. */
bool vmproc_gone(const struct vmproc *p);
bool vmproc_connected(const struct vmproc *p);
/*
 * A request. done is called once: with the result, or with why there is none: vmm's own error, a code of
 * the catalogue; ERR_TIMEOUT; ERR_VMM_PROTOCOL; ECANCELED. Never from inside of this function.
 */
void vmproc_call(struct vmproc *p, const char *method, struct json_object *take_params,
		 struct fdset *take_fds, unsigned int timeout_ms,
		 void (*done)(void *arg, struct json_object *result, const struct err *why),
		 void *arg);
/* It moves, as is seen elsewhere: what was asked has its time once more. */
void vmproc_prolong(struct vmproc *p);
void vmproc_kill(struct vmproc *p);

/*
 * What is left of a process that ended while nobody watched: the record, or "lost". Nothing in the
 * record is believed beyond its shape.
 */
void vmproc_last_words(const char *dir, struct state_exit *ret_exit);
/* Is it one of the reasons of an end that a process may give? */
bool vmproc_known_reason(const char *reason);
/*
 * The reading end of what the process says, the caller's then. The kernel keeps 64 KiB of it while nobody
 * reads; the process neither waits nor ends when that is full. -errno: it has none.
 */
int vmproc_take_log(struct vmproc *p, struct err *e);
/* Remove what a process leaves in dir, and dir. */
void vmproc_clean(const char *dir);

#endif
