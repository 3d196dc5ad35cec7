/* SPDX-License-Identifier: MIT */
/*
 * What a VM does, as a state machine without I/O: an input goes in, the next phase and what has to be
 * done come out. The table in vm.c is the whole of it; guest.c does what it says.
 */
#ifndef VMD_VM_H
#define VMD_VM_H

#include "lib/err.h"

/* What users are shown. */
enum vm_state {
	VM_STOPPED,
	VM_STARTING,
	VM_RUNNING,
	VM_PAUSED,
	VM_SUSPENDED, /* by its guest: ACPI S3 */
	VM_STOPPING,
	VM_STATES
};

#define VM_PHASES(X)                                                                               \
	X(OFF, VM_STOPPED, NULL)                                                                   \
	X(OPENING, VM_STARTING, "start")    /* a worker opens the files */                         \
	X(ABANDONED, VM_STOPPING, "stop")   /* as before, but its result is not wanted any more */ \
	X(CONNECTING, VM_STARTING, "start") /* the process runs; it has not said hello */          \
	X(CONFIGURING, VM_STARTING, "start") /* machine.configure */                               \
	X(LAUNCHING, VM_STARTING, "start")   /* machine.start */                                   \
	X(RUNNING, VM_RUNNING, NULL)                                                               \
	X(PAUSED, VM_PAUSED, NULL)                                                                 \
	X(PAUSING, VM_RUNNING, "pause")                                                            \
	X(RESUMING, VM_PAUSED, "resume")                                                           \
	X(RESETTING, VM_RUNNING, "reset")                                                          \
	X(RESETTING_PAUSED, VM_PAUSED, "reset")                                                    \
	X(SUSPENDED, VM_SUSPENDED, NULL)                                                           \
	X(WAKING, VM_SUSPENDED, "wakeup")                                                          \
	X(RESETTING_SUSPENDED, VM_SUSPENDED, "reset")                                              \
	X(STOPPING, VM_STOPPING, "stop")  /* the power button was pressed */                       \
	X(QUITTING, VM_STOPPING, "kill")  /* machine.quit, then SIGKILL */                         \
	X(KILLED, VM_STOPPING, "kill")	  /* SIGKILL was sent */                                   \
	X(RETURNING, VM_STOPPING, "stop") /* the process is gone; its devices are given back */

enum vm_phase {
#define X(id, state, op) VM_PHASE_##id,
	VM_PHASES(X)
#undef X
		VM_PHASE_COUNT,
};

#define VM_INPUTS(X)                                                                              \
	/* what users ask for */                                                                  \
	X(START)                                                                                  \
	X(STOP)                                                                                   \
	X(FORCE)    /* a stop that does not ask the guest; kill */                                \
	X(ESCALATE) /* the guest was asked and has not obeyed: as FORCE, but a restart goes on */ \
	X(RESTART)                                                                                \
	X(PAUSE)                                                                                  \
	X(RESUME)                                                                                 \
	X(RESET)                                                                                  \
	X(WAKEUP)                                                                                 \
	/* what happens */                                                                        \
	X(OPENED)                                                                                 \
	X(HELLO)                                                                                  \
	X(DONE)	    /* the call that the phase made has succeeded */                              \
	X(FAILED)   /* it failed; or the files could not be opened, the process not made */       \
	X(DEADLINE) /* it took too long */                                                        \
	X(SLEPT)    /* the guest has suspended itself */                                          \
	X(AWOKE)    /* it sleeps no longer */                                                     \
	X(GONE)	    /* the process has ended */

enum vm_input {
#define X(id) VM_IN_##id,
	VM_INPUTS(X)
#undef X
		VM_INPUT_COUNT,
};

/* What has to be done, in this order. */
enum vm_action {
	VM_ACT_OPEN = BIT(0),
	VM_ACT_SPAWN = BIT(1),
	VM_ACT_CONFIGURE = BIT(2),
	VM_ACT_LAUNCH = BIT(3),
	VM_ACT_PAUSE = BIT(4),
	VM_ACT_RESUME = BIT(5),
	VM_ACT_RESET = BIT(6),
	VM_ACT_POWER_BUTTON = BIT(7),
	VM_ACT_QUIT = BIT(8),
	VM_ACT_SIGKILL = BIT(9),
	VM_ACT_CLEAN = BIT(10),	      /* the process is gone, or never came: nothing of it stays */
	VM_ACT_CALL_FAILED = BIT(11), /* tell those who wait for the call */
	VM_ACT_RETURN = BIT(12),      /* give devices of the host back; DONE follows */
	VM_ACT_WAKEUP = BIT(13),
};

/* What becomes of a user's request. */
enum vm_verdict {
	VM_IGNORE, /* an input that means nothing here: late news; for a request a bug */
	VM_GO,	   /* it begins now */
	VM_JOIN,   /* it is being done already: wait for the same end */
	VM_ALREADY,
	VM_BUSY,
	VM_WRONG_STATE,
};

struct vm {
	enum vm_phase phase;
	bool restart;	   /* start again once it is off */
	bool start_paused; /* PAUSED follows CONFIGURING, without machine.start */
	bool asleep;	   /* the guest, by what was heard last: SUSPENDED instead of RUNNING */
	bool devices;	   /* has devices of the host, or may have: RETURNING comes before OFF */
	uint64_t since_ms; /* when the phase began (the loop's clock) */
};

struct vm_step {
	enum vm_verdict verdict;
	unsigned int actions; /* enum vm_action */
	enum vm_state from, to;
};

/* Take an input: the phase changes, the actions are the caller's to do. now_ms: the loop's clock. */
struct vm_step vm_input(struct vm *vm, enum vm_input input, uint64_t now_ms);
enum vm_state vm_state(const struct vm *vm);
/* "start", "stop", …: what is going on, or NULL. */
const char *vm_operation(const struct vm *vm);
const char *vm_state_name(enum vm_state state);
const char *vm_phase_name(enum vm_phase phase);
const char *vm_input_name(enum vm_input input);
/* Is there, or may there be, a process? */
bool vm_has_process(const struct vm *vm);
/* The error of a request with the verdict VM_BUSY or VM_WRONG_STATE. */
int vm_refusal(const struct vm *vm, enum vm_input input, const char *name, uint64_t now_ms,
	       struct err *e);

#endif
