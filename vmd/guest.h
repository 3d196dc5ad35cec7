/* SPDX-License-Identifier: MIT */
/*
 * VMs that do something: the state machine (vm.h) joined with a process, the files being opened, and the
 * calls that wait for it. A stopped VM that nobody waits for is only a row in the database. On the
 * loop's thread.
 *
 * guest.c does what the state machine says, guest_store.c writes down what becomes of it, guest_op.c has
 * the jobs that start and end it, guest_lease.c its devices of the host, guest_wait.c answers those who wait for less, guests.c keeps the set and
 * finds the processes of a vmd before this one.
 */
#ifndef VMD_GUEST_H
#define VMD_GUEST_H

#include <uv.h>
#include "lib/json.h"
#include "state/state.h"
#include "vmd/call.h"
#include "vmd/cgroup.h"
#include "vmd/daemon.h"
#include "vmd/gather.h"
#include "vmd/pool.h"
#include "vmd/timeline.h"
#include "vmd/turn.h"
#include "vmd/vm.h"
#include "vmd/vmproc.h"

#define GUEST_QUIT_MS 2000  /* from machine.quit to SIGKILL */
#define GUEST_CALL_MS 10000 /* for vmm to answer a short call */
#define GUEST_LOST_MS \
	1000 /* from a broken connection to giving up: the process may just be ending */

struct guest_plug;
struct guest_signals;

enum guest_op_kind { GUEST_START, GUEST_STOP, GUEST_RESTART, GUEST_KILL };

/* A job on the VM. */
struct guest_op {
	struct guest_op *next; /* newest first */
	struct guest *g;
	enum guest_op_kind kind;
	struct job *job;     /* freed with it, once its end is written and told */
	uv_timer_t timer;    /* for the guest to obey */
	unsigned int starts; /* the guest's when it began */
};

/* What a user asks for, once the state machine has said VM_GO to the input. */
struct guest_request {
	enum vm_input input;
	enum guest_op_kind kind;
	int64_t timeout_ms; /* for the guest to obey; -1: does not apply */
	bool force;
	struct state_actor actor;
};

enum guest_wait_kind {
	GUEST_WAIT_CALL,  /* pause, resume, reset, wakeup */
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
	enum vm_state want; /* GUEST_WAIT_STATE */
};

struct guest {
	struct guest *next; /* the set's list */
	struct daemon *d;
	char id[STATE_ID_SIZE];
	char name[64];
	char dir[256];
	struct vm vm;
	unsigned int holds;	       /* users on the stack */
	struct gather *gather;	       /* the worker's; NULL when none runs */
	struct vmproc *proc;	       /* NULL when there is none; ends itself */
	struct json_object *config;    /* owned, between open and configure */
	struct json_object *nets;      /* owned, between open and spawn: gather.h */
	struct json_object *ports;     /* owned, likewise */
	struct fdset fds;	       /* owned, likewise */
	struct gather_display display; /* owned, likewise */
	int64_t uid;		       /* its process's, its alone; -1: vmd's */
	unsigned int kvm, cpuid, record, tail;
	uint64_t memlock; /* bytes that vmm has to lock for devices of the host; 0: none */
	unsigned int taken, pinned; /* percent of its memory, of CONFIGURING: in this order */
	bool leasing;		    /* devices of the host are being taken; OPENING or ABANDONED */
	struct pool_wait pool_wait; /* before that: for a pool that is being made */
	char kernel[256];	    /* its path, for messages */
	char firmware[256];	    /* the same */
	char run[64];		    /* its process's name in its logs; "" while it has none */
	int64_t revision;	    /* that runs, or is being started */
	int64_t since_ms;	    /* in the state that users see */
	bool up;		    /* has run, or stands paused before its first instruction */
	bool launched;		    /* machine.start was sent */
	unsigned int starts;	    /* how often files were opened for one */
	bool found;		    /* of a vmd before this one, and has not said hello yet */
	bool lost;		    /* the process lives and cannot be asked */
	bool ends;		    /* it has said that it ends */
	uv_timer_t timer;	    /* of the phase */
	bool closing;
	struct err start_err; /* why the start fails; code 0: not yet known */
	struct err call_err;  /* why the call failed */
	struct log_limit lost_limit, save_limit;
	uint64_t disk_error_ms;	 /* the last that was told */
	uint64_t watchdog_ms;	 /* likewise */
	uint64_t panic_ms;	 /* likewise */
	uint64_t balloon_ms;	 /* likewise */
	uint64_t sleeps_from_ms; /* the second that `sleeps` counts in */
	unsigned int sleeps;
	enum vm_state told; /* the last that an event was stored of */
	bool end_unsaved;   /* the process's end is not written down yet */
	bool saving;	    /* with the turn; what follows is for that */
	bool save_by_call;  /* save_actor, else who asked for what goes on */
	struct turn_write save;
	struct state_actor save_actor;
	enum vm_state save_told;
	int64_t save_timeline;
	char cgroup[STATE_CGROUP_SIZE]; /* its name; "" for none */
	struct cgroup_limits limits;	/* of the start */
	struct vmproc_child *child;	/* owned, between open and spawn */
	struct scope_job *scope;	/* while systemd makes it */
	int oom_fd;			/* owned; memory.events, or negative */
	struct state_exit exit;
	bool has_exit;
	struct guest_wait *waits;      /* owned */
	struct guest_op *ops;	       /* owned */
	struct guest_plug *plugs;      /* owned: guest_plug.h */
	struct guest_signals *signals; /* owned: guest_signal.c; NULL: none yet */
	bool return_waits;	  /* guest_return, for a device that is being taken or given back */
	struct timeline timeline; /* of its last start */
};

/* --- guests.c: the set --- */
struct guests;
struct guests *guests_new(struct daemon *d);
void guests_free(struct guests *set);
/* The VM's guest, made when it has none; held until guest_put. NULL when there is no memory. */
struct guest *guest_get(struct daemon *d, const struct state_vm *vm);
/* Not held; NULL for a VM that does nothing. */
struct guest *guest_find(struct daemon *d, const char *id);
/* A gather has ended: where one of our VMs has the image that it wanted, its error says which. */
void guests_blame(struct daemon *d, struct gather *gather);
void guest_hold(struct guest *g);
void guest_put(struct guest *g);
/* Take over the running processes of the database's table; done is called once, also for none. */
void guests_adopt(struct daemon *d, void (*done)(struct daemon *d));
/* The service manager keeps the pidfd of the VM's process, or lets go of it when there is none. */
void guest_keep_pidfd(struct guest *g);
/* How many run, for the service manager's status line. */
void guests_tell_status(struct daemon *d);
/* guest_save has failed, or the database is in doubt: both are tried again in a moment. */
void guests_save_later(struct daemon *d);
/* vmd ends: starts under way are undone, what runs is let go. */
void guests_close(struct daemon *d);

/* --- guest.c: what happens --- */
struct vm_step guest_input(struct guest *g, enum vm_input input);
void guest_failed(struct guest *g, const struct err *why);
/* Of the phase: it is stopped when that ends. */
void guest_set_timer(struct guest *g, uint64_t timeout_ms);
/* What was asked has no answer, and the process lives: it may just be ending, which says more. */
void guest_give_up_soon(struct guest *g, const struct err *why);
/* Another state, since now: it is saved, and told to those who watch. ended: with its exit. */
void guest_tell_state(struct guest *g, bool ended);
/* Open what g->config names; VM_IN_OPENED or guest_failed follows. */
void guest_gather(struct guest *g);
/* For vmm to answer a short call: GUEST_CALL_MS, or --step-timeout when that is less. */
unsigned int guest_call_ms(const struct guest *g);
/* {state, pid?, since, revision?, exit?}, and two of these alone; g may be NULL. */
struct json_object *guest_observed(const struct guest *g, const struct state_vm *vm);
const char *guest_state_name(const struct guest *g);
int64_t guest_since_ms(const struct guest *g, const struct state_vm *vm);
struct json_object *guest_exit_json(const struct state_exit *exit);
/* The directory of a VM below the run directory. */
void guest_dir(const struct daemon *d, const char *id, char *out, size_t size);

/* --- guest_told.c: what its process tells --- */
extern const struct vmproc_ops guest_proc_ops;

/* --- guest_lease.c: devices of the host --- */
/* Take those of g->config; 0: it has none; 1: guest_gather or guest_failed follows. */
int guest_lease(struct guest *g, const struct state_vm *vm, struct err *e);
/* The timer of OPENING or ABANDONED: true when it was a pool that took too long, or that is not wanted any more. */
bool guest_lease_late(struct guest *g);
/* Give them back; VM_IN_DONE follows. */
void guest_return(struct guest *g);
/* Let its process lock g->memlock bytes. */
int guest_raise_memlock(struct guest *g, struct err *e);
/* Devices of VMs that no process has any more. After guests_adopt has looked for processes. */
void guest_leases_adopt(struct daemon *d);

/* --- guest_store.c: what is written down --- */
/* Is all of it? */
bool guest_saved(const struct guest *g);
/* Write and tell what is not; -ERR_STATE: later then, it has been logged. */
int guest_save(struct guest *g, struct err *e);
/* The same with the turn, held until then; guest_settle follows. Not while it is saving. */
void guest_save_soon(struct guest *g);
/* Before the next state comes about: the one that is saving is written. */
void guest_save_first(struct guest *g);
/* The same when what happens next has begun, or later; then the files that were kept for it go. */
void guest_save_late(struct guest *g);
/* The event that follows from the last one, in the open transaction. */
int guest_store_event(struct guest *g, enum vm_state to, struct err *e);

/* --- guest_op.c: jobs --- */
/* Written, before anything is done; the caller gives the input right after. NULL: e says why not. */
struct guest_op *guest_op_begin(struct guest *g, const struct guest_request *r, struct err *e);
/*
 * The same in parts: in the open transaction; when that was taken back; when it is committed, before the events go out.
 * What was before is saved already.
 */
struct guest_op *guest_op_write(struct guest *g, const struct guest_request *r, struct err *e);
void guest_op_unwrite(struct guest_op *op);
void guest_op_written(struct guest_op *op, const struct guest_request *r);
/* Another one wants the same stop. */
void guest_op_join(struct guest_op *op, int64_t timeout_ms, bool force);
/*
 * -ERR_VM_STATE when it is too late. Else the call is answered with the job when that has ended: at once,
 * or when what was begun is undone.
 */
int guest_op_cancel(struct guest_op *op, struct call *call, struct err *e);
/* The newest job that runs: of all, or of those that end the VM, or that start it; NULL. */
struct guest_op *guest_op_running(const struct guest *g);
struct guest_op *guest_op_of(const struct guest *g, bool ending);
/* Until it is over at the latest: a stop, which the guest has some time for. -1: not known. */
int64_t guest_op_left_ms(const struct guest_op *op);
/* The phase has changed, or g->taken or g->pinned is further. */
void guest_ops_progress(struct guest *g);
/* End those for whom it is decided; it is written with what else is to be written of the VM. */
void guest_ops_decide(struct guest *g);
/* Is there one that has ended, and is not written down? */
bool guest_ops_unsaved(const struct guest *g);
/* Write how far the jobs are, or that they have ended, in the open transaction; and after its commit. */
int guest_ops_store(struct guest *g, struct err *e);
void guest_ops_stored(struct guest *g);
/* Decide, write, and answer those who wait for what has ended. */
void guest_ops_settle(struct guest *g);
/* The power button could not be pressed: g->call_err ends the stops, with what is written next. */
void guest_ops_fail(struct guest *g);
/* vmd ends: the jobs stay as they are in the database. */
void guest_ops_drop(struct guest *g);
/* Who asked for what is going on; NULL: nobody. */
const struct state_actor *guest_op_actor(const struct guest *g);
/* The jobs that a vmd before this one left: they go on, or end as the VM shows. After guests_adopt. */
void guest_ops_resume(struct daemon *d);

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
		    int64_t timeout_ms, enum vm_state want);
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
