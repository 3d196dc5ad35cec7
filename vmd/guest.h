/* SPDX-License-Identifier: MIT */
/*
 * VMs that do something: the state machine (vm.h) joined with a process, the files being opened, and the
 * calls that wait for it. A stopped VM that nobody waits for is only a row in the database. On the
 * loop's thread.
 *
 * guest.c does what the state machine says, guest_store.c writes down what becomes of it, guest_wait.c
 * answers those who wait, guests.c keeps the set and finds the processes of a vmd before this one.
 */
#ifndef VMD_GUEST_H
#define VMD_GUEST_H

#include <uv.h>
#include "lib/json.h"
#include "state/state.h"
#include "vmd/call.h"
#include "vmd/daemon.h"
#include "vmd/gather.h"
#include "vmd/vm.h"
#include "vmd/vmproc.h"

#define GUEST_QUIT_MS 2000  /* from machine.quit to SIGKILL */
#define GUEST_CALL_MS 10000 /* for vmm to answer a short call */
#define GUEST_LOST_MS \
	1000 /* from a broken connection to giving up: the process may just be ending */

enum guest_wait_kind {
	GUEST_WAIT_START,
	GUEST_WAIT_STOP, /* and kill */
	GUEST_WAIT_RESTART,
	GUEST_WAIT_CALL,  /* pause, resume, reset */
	GUEST_WAIT_STATE, /* vm.wait */
};

/* A call that is answered when the VM has come that far. */
struct guest_wait {
	struct guest_wait *next;
	struct guest *g;
	enum guest_wait_kind kind;
	struct call *call;
	uv_timer_t timer;
	int64_t timeout_ms; /* -1: none */
	bool force;
	enum vm_state want; /* GUEST_WAIT_STATE */
};

struct guest {
	struct guest *next; /* the set's list */
	struct daemon *d;
	char id[STATE_ID_SIZE];
	char name[64];
	char dir[256];
	struct vm vm;
	unsigned int holds;	    /* users on the stack */
	struct gather *gather;	    /* the worker's; NULL when none runs */
	struct vmproc *proc;	    /* NULL when there is none; ends itself */
	struct json_object *config; /* owned, between open and configure */
	struct fdset fds;	    /* owned, likewise */
	unsigned int kvm, record, tail;
	char kernel[256]; /* its path, for messages */
	char run[64];	  /* its process's name in its logs; "" while it has none */
	int64_t revision; /* that runs, or is being started */
	int64_t since_ms; /* in the state that users see */
	bool up;	  /* has run, or stands paused before its first instruction */
	bool launched;	  /* machine.start was sent */
	bool found;	  /* of a vmd before this one, and has not said hello yet */
	bool lost;	  /* the process lives and cannot be asked */
	uv_timer_t timer; /* of the phase */
	bool closing;
	struct err start_err; /* why the start fails; code 0: not yet known */
	struct err call_err;  /* why the call failed */
	struct log_limit lost_limit, save_limit;
	enum vm_state told; /* the last that an event was stored of */
	bool end_unsaved;   /* the process's end is not written down yet */
	struct state_exit exit;
	bool has_exit;
	struct guest_wait *waits; /* owned */
};

/* --- guests.c: the set --- */
struct guests;
struct guests *guests_new(struct daemon *d);
void guests_free(struct guests *set);
/* The VM's guest, made when it has none; held until guest_put. NULL when there is no memory. */
struct guest *guest_get(struct daemon *d, const struct state_vm *vm);
/* Not held; NULL for a VM that does nothing. */
struct guest *guest_find(struct daemon *d, const char *id);
void guest_hold(struct guest *g);
void guest_put(struct guest *g);
/* Take over the running processes of the database's table; done is called once, also for none. */
void guests_adopt(struct daemon *d, void (*done)(struct daemon *d));
/* The service manager keeps the pidfd of the VM's process, or lets go of it when there is none. */
void guest_keep_pidfd(struct guest *g);
/* How many run, for the service manager's status line. */
void guests_tell_status(struct daemon *d);
/* guest_save has failed: it is called again in a moment. */
void guests_save_later(struct daemon *d);
/* vmd ends: starts under way are undone, what runs is let go. */
void guests_close(struct daemon *d);

/* --- guest.c: what happens --- */
struct vm_step guest_input(struct guest *g, enum vm_input input);
void guest_failed(struct guest *g, const struct err *why);
/* For vmm to answer a short call: GUEST_CALL_MS, or --step-timeout when that is less. */
unsigned int guest_call_ms(const struct guest *g);
/* {state, pid?, since, revision?, exit?}, and two of these alone; g may be NULL. */
struct json_object *guest_observed(const struct guest *g, const struct state_vm *vm);
const char *guest_state_name(const struct guest *g);
int64_t guest_since_ms(const struct guest *g, const struct state_vm *vm);
struct json_object *guest_exit_json(const struct state_exit *exit);
/* The directory of a VM below the run directory. */
void guest_dir(const struct daemon *d, const char *id, char *out, size_t size);
extern const struct vmproc_ops guest_proc_ops;

/* --- guest_store.c: what is written down --- */
/* Is all of it? */
bool guest_saved(const struct guest *g);
/* Write and tell what is not; -ERR_STATE: later then, it has been logged. */
int guest_save(struct guest *g, struct err *e);
/* --- guest_logs.c: what it says --- */
/* The id of the n-th console of a machine configuration, borrowed; NULL behind the last. */
const char *guest_console_at(struct json_object *config, size_t n);
/* Open the logs that a start is going to need. */
void guest_logs_prepare(struct guest *g, struct json_object *config);
/* From now on what its process itself says goes to its log. */
void guest_logs_monitor(struct guest *g);
/* From now on its process's consoles go to their logs. */
void guest_logs_attach(struct guest *g, struct json_object *config);
/* The same for a process that was found. */
void guest_logs_adopt(struct guest *g);
/* Of a process: so that the next vmd sees whether it is the one that a log is about. */
void guest_run_name(pid_t pid, uint64_t start, char *out, size_t size);
/* A process has ended: log what it has left in dir, if its consoles were not logged then. */
void guest_logs_ended(struct daemon *d, const char *vm, int64_t revision, const char *run,
		      const char *dir);

/* --- guest_wait.c: who waits --- */
/* timeout_ms -1: as long as it takes. The call is the wait's then. */
void guest_wait_add(struct guest *g, enum guest_wait_kind kind, struct call *call,
		    int64_t timeout_ms, bool force, enum vm_state want);
/* Answer those for whom it is decided. */
void guest_settle(struct guest *g);
/* The short call failed: g->call_err goes to those who wait for it. */
void guest_fail_calls(struct guest *g);
/* vmd ends: the waits go, unanswered. */
void guest_drop_waits(struct guest *g);
/* The VM was deleted: who waits for it waits in vain. */
void guest_deleted(struct guest *g);
/* {name, state, changed, note?, exit?} */
struct json_object *guest_answer(const struct guest *g, bool changed, const char *note);

#endif
