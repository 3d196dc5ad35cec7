// SPDX-License-Identifier: MIT
/*
 * The state machine of a VM: see vm.h. A row a phase and input; what has no row is ignored. Only
 * VM_IN_GONE leads to OFF once there is a process: nothing else proves that it is gone.
 *
 * What has devices of the host goes through RETURNING to OFF: it is not off before they are back.
 *
 * A start that fails kills its process and stays "starting" no longer; its callers hear of it when
 * everything is undone. No thread of its own.
 */
#include "vmd/vm.h"

#include <string.h>

#include "lib/errcat.h"

struct vm_rule {
	enum vm_verdict verdict;
	enum vm_phase next;
	unsigned int actions;
};

#define VM_STAY(v, p)                                \
	{                                            \
		.verdict = (v), .next = VM_PHASE_##p \
	}
#define VM_TO(p, a)                                                    \
	{                                                              \
		.verdict = VM_GO, .next = VM_PHASE_##p, .actions = (a) \
	}

/* Requests while a start is under way; force and stop end it. */
#define VM_STARTING_RULES(p)                                                                 \
	[VM_IN_START] = VM_STAY(VM_JOIN, p), [VM_IN_STOP] = VM_TO(QUITTING, VM_ACT_QUIT),    \
	[VM_IN_FORCE] = VM_TO(QUITTING, VM_ACT_QUIT), [VM_IN_RESTART] = VM_STAY(VM_BUSY, p), \
	[VM_IN_PAUSE] = VM_STAY(VM_BUSY, p), [VM_IN_RESUME] = VM_STAY(VM_BUSY, p),           \
	[VM_IN_RESET] = VM_STAY(VM_BUSY, p), [VM_IN_WAKEUP] = VM_STAY(VM_BUSY, p),           \
	[VM_IN_FAILED] = VM_TO(KILLED, VM_ACT_SIGKILL),                                      \
	[VM_IN_DEADLINE] = VM_TO(KILLED, VM_ACT_SIGKILL), [VM_IN_GONE] = VM_TO(OFF, VM_ACT_CLEAN)

/* Requests while a short call is under way in a VM that goes on; only force does not wait for it. */
#define VM_CALL_RULES(p, done, failed)                                                       \
	[VM_IN_START] = VM_STAY(VM_BUSY, p), [VM_IN_STOP] = VM_STAY(VM_BUSY, p),             \
	[VM_IN_FORCE] = VM_TO(QUITTING, VM_ACT_QUIT), [VM_IN_RESTART] = VM_STAY(VM_BUSY, p), \
	[VM_IN_PAUSE] = VM_STAY(VM_BUSY, p), [VM_IN_RESUME] = VM_STAY(VM_BUSY, p),           \
	[VM_IN_RESET] = VM_STAY(VM_BUSY, p), [VM_IN_WAKEUP] = VM_STAY(VM_BUSY, p),           \
	[VM_IN_DONE] = VM_TO(done, 0), [VM_IN_FAILED] = VM_TO(failed, VM_ACT_CALL_FAILED),   \
	[VM_IN_DEADLINE] = VM_TO(failed, VM_ACT_CALL_FAILED),                                \
	[VM_IN_GONE] = VM_TO(OFF, VM_ACT_CLEAN)

/* Requests while the VM goes down; a kill by force is the caller's own row. */
#define VM_ENDING_RULES(p)                                                          \
	[VM_IN_START] = VM_STAY(VM_BUSY, p), [VM_IN_STOP] = VM_STAY(VM_JOIN, p),    \
	[VM_IN_RESTART] = VM_STAY(VM_BUSY, p), [VM_IN_PAUSE] = VM_STAY(VM_BUSY, p), \
	[VM_IN_RESUME] = VM_STAY(VM_BUSY, p), [VM_IN_RESET] = VM_STAY(VM_BUSY, p),  \
	[VM_IN_WAKEUP] = VM_STAY(VM_BUSY, p)

static const struct vm_rule vm_rules[VM_PHASE_COUNT][VM_INPUT_COUNT] = {
	[VM_PHASE_OFF] = {
		[VM_IN_START] = VM_TO(OPENING, VM_ACT_OPEN),
		[VM_IN_STOP] = VM_STAY(VM_ALREADY, OFF),
		[VM_IN_FORCE] = VM_STAY(VM_ALREADY, OFF),
		[VM_IN_RESTART] = VM_TO(OPENING, VM_ACT_OPEN),
		[VM_IN_PAUSE] = VM_STAY(VM_WRONG_STATE, OFF),
		[VM_IN_RESUME] = VM_STAY(VM_WRONG_STATE, OFF),
		[VM_IN_RESET] = VM_STAY(VM_WRONG_STATE, OFF),
		[VM_IN_WAKEUP] = VM_STAY(VM_WRONG_STATE, OFF),
	},
	[VM_PHASE_OPENING] = {
		[VM_IN_START] = VM_STAY(VM_JOIN, OPENING),
		[VM_IN_STOP] = VM_TO(ABANDONED, 0),
		[VM_IN_FORCE] = VM_TO(ABANDONED, 0),
		[VM_IN_RESTART] = VM_STAY(VM_BUSY, OPENING),
		[VM_IN_PAUSE] = VM_STAY(VM_BUSY, OPENING),
		[VM_IN_RESUME] = VM_STAY(VM_BUSY, OPENING),
		[VM_IN_RESET] = VM_STAY(VM_BUSY, OPENING),
		[VM_IN_WAKEUP] = VM_STAY(VM_BUSY, OPENING),
		[VM_IN_OPENED] = VM_TO(CONNECTING, VM_ACT_SPAWN),
		[VM_IN_FAILED] = VM_TO(OFF, VM_ACT_CLEAN),
	},
	[VM_PHASE_ABANDONED] = {
		VM_ENDING_RULES(ABANDONED),
		[VM_IN_FORCE] = VM_STAY(VM_JOIN, ABANDONED),
		[VM_IN_OPENED] = VM_TO(OFF, VM_ACT_CLEAN),
		[VM_IN_FAILED] = VM_TO(OFF, VM_ACT_CLEAN),
	},
	[VM_PHASE_CONNECTING] = {
		VM_STARTING_RULES(CONNECTING),
		[VM_IN_HELLO] = VM_TO(CONFIGURING, VM_ACT_CONFIGURE),
	},
	[VM_PHASE_CONFIGURING] = {
		VM_STARTING_RULES(CONFIGURING),
		[VM_IN_DONE] = VM_TO(LAUNCHING, VM_ACT_LAUNCH),
	},
	[VM_PHASE_LAUNCHING] = {
		VM_STARTING_RULES(LAUNCHING),
		[VM_IN_DONE] = VM_TO(RUNNING, 0),
	},
	[VM_PHASE_RUNNING] = {
		[VM_IN_START] = VM_STAY(VM_ALREADY, RUNNING),
		[VM_IN_STOP] = VM_TO(STOPPING, VM_ACT_POWER_BUTTON),
		[VM_IN_FORCE] = VM_TO(QUITTING, VM_ACT_QUIT),
		[VM_IN_RESTART] = VM_TO(STOPPING, VM_ACT_POWER_BUTTON),
		[VM_IN_PAUSE] = VM_TO(PAUSING, VM_ACT_PAUSE),
		[VM_IN_RESUME] = VM_STAY(VM_ALREADY, RUNNING),
		[VM_IN_RESET] = VM_TO(RESETTING, VM_ACT_RESET),
		[VM_IN_WAKEUP] = VM_STAY(VM_ALREADY, RUNNING),
		[VM_IN_SLEPT] = VM_TO(SUSPENDED, 0),
		[VM_IN_GONE] = VM_TO(OFF, VM_ACT_CLEAN),
	},
	[VM_PHASE_PAUSED] = {
		[VM_IN_START] = VM_STAY(VM_ALREADY, PAUSED),
		[VM_IN_STOP] = VM_STAY(VM_WRONG_STATE, PAUSED),
		[VM_IN_FORCE] = VM_TO(QUITTING, VM_ACT_QUIT),
		[VM_IN_RESTART] = VM_STAY(VM_WRONG_STATE, PAUSED),
		[VM_IN_PAUSE] = VM_STAY(VM_ALREADY, PAUSED),
		[VM_IN_RESUME] = VM_TO(RESUMING, VM_ACT_RESUME),
		[VM_IN_RESET] = VM_TO(RESETTING_PAUSED, VM_ACT_RESET),
		[VM_IN_WAKEUP] = VM_STAY(VM_WRONG_STATE, PAUSED),
		[VM_IN_GONE] = VM_TO(OFF, VM_ACT_CLEAN),
	},
	[VM_PHASE_PAUSING] = { VM_CALL_RULES(PAUSING, PAUSED, RUNNING) },
	[VM_PHASE_RESUMING] = { VM_CALL_RULES(RESUMING, RUNNING, PAUSED) },
	[VM_PHASE_RESETTING] = { VM_CALL_RULES(RESETTING, RUNNING, RUNNING) },
	[VM_PHASE_RESETTING_PAUSED] = { VM_CALL_RULES(RESETTING_PAUSED, PAUSED, PAUSED) },
	[VM_PHASE_SUSPENDED] = {
		[VM_IN_START] = VM_STAY(VM_ALREADY, SUSPENDED),
		/* its button wakes the guest, and is pressed again until that obeys */
		[VM_IN_STOP] = VM_TO(STOPPING, VM_ACT_POWER_BUTTON),
		[VM_IN_FORCE] = VM_TO(QUITTING, VM_ACT_QUIT),
		[VM_IN_RESTART] = VM_TO(STOPPING, VM_ACT_POWER_BUTTON),
		[VM_IN_PAUSE] = VM_STAY(VM_WRONG_STATE, SUSPENDED),
		[VM_IN_RESUME] = VM_STAY(VM_WRONG_STATE, SUSPENDED),
		[VM_IN_RESET] = VM_TO(RESETTING_SUSPENDED, VM_ACT_RESET),
		[VM_IN_WAKEUP] = VM_TO(WAKING, VM_ACT_WAKEUP),
		[VM_IN_AWOKE] = VM_TO(RUNNING, 0),
		[VM_IN_GONE] = VM_TO(OFF, VM_ACT_CLEAN),
	},
	[VM_PHASE_WAKING] = { VM_CALL_RULES(WAKING, RUNNING, RUNNING) },
	[VM_PHASE_RESETTING_SUSPENDED] = { VM_CALL_RULES(RESETTING_SUSPENDED, RUNNING, RUNNING) },
	[VM_PHASE_STOPPING] = {
		VM_ENDING_RULES(STOPPING),
		[VM_IN_FORCE] = VM_TO(QUITTING, VM_ACT_QUIT),
		[VM_IN_ESCALATE] = VM_TO(QUITTING, VM_ACT_QUIT),
		[VM_IN_DONE] = VM_STAY(VM_JOIN, STOPPING),
		[VM_IN_FAILED] = VM_TO(RUNNING, VM_ACT_CALL_FAILED),
		/* nobody waits for the stop any more: the guest has not obeyed and runs on */
		[VM_IN_DEADLINE] = VM_TO(RUNNING, 0),
		[VM_IN_GONE] = VM_TO(OFF, VM_ACT_CLEAN),
	},
	[VM_PHASE_QUITTING] = {
		VM_ENDING_RULES(QUITTING),
		[VM_IN_FORCE] = VM_STAY(VM_JOIN, QUITTING),
		[VM_IN_DONE] = VM_STAY(VM_JOIN, QUITTING),
		[VM_IN_FAILED] = VM_TO(KILLED, VM_ACT_SIGKILL),
		[VM_IN_DEADLINE] = VM_TO(KILLED, VM_ACT_SIGKILL),
		[VM_IN_GONE] = VM_TO(OFF, VM_ACT_CLEAN),
	},
	[VM_PHASE_KILLED] = {
		VM_ENDING_RULES(KILLED),
		[VM_IN_FORCE] = VM_STAY(VM_JOIN, KILLED),
		[VM_IN_GONE] = VM_TO(OFF, VM_ACT_CLEAN),
	},
	[VM_PHASE_RETURNING] = {
		VM_ENDING_RULES(RETURNING),
		[VM_IN_FORCE] = VM_STAY(VM_JOIN, RETURNING),
		[VM_IN_DONE] = VM_TO(OFF, 0),
	},
};

static const struct {
	const char *name, *operation;
	enum vm_state state;
} vm_phases[] = {
#define X(id, state_, op) { .name = #id, .operation = op, .state = state_ },
	VM_PHASES(X)
#undef X
};

static const char *const vm_inputs[] = {
#define X(id) #id,
	VM_INPUTS(X)
#undef X
};

static const char *const vm_states[] = { "stopped", "starting",	 "running",
					 "paused",  "suspended", "stopping" };
_Static_assert(ARRAY_SIZE(vm_states) == VM_STATES, "a name a state");

enum vm_state vm_state(const struct vm *vm)
{
	return vm_phases[vm->phase].state;
}

const char *vm_operation(const struct vm *vm)
{
	return vm->restart ? "restart" : vm_phases[vm->phase].operation;
}

const char *vm_state_name(enum vm_state state)
{
	return vm_states[state];
}

const char *vm_phase_name(enum vm_phase phase)
{
	return vm_phases[phase].name;
}

const char *vm_input_name(enum vm_input input)
{
	return vm_inputs[input];
}

bool vm_has_process(const struct vm *vm)
{
	return vm->phase != VM_PHASE_OFF && vm->phase != VM_PHASE_OPENING &&
	       vm->phase != VM_PHASE_ABANDONED && vm->phase != VM_PHASE_RETURNING;
}

/* Off at last, or only once its devices are back? */
static void vm_return_devices(struct vm *vm, enum vm_phase before, struct vm_step *step)
{
	if (vm->phase != VM_PHASE_OFF || !vm->devices)
		return;
	vm->devices = before != VM_PHASE_RETURNING;
	if (!vm->devices)
		return;
	vm->phase = VM_PHASE_RETURNING;
	step->actions |= VM_ACT_RETURN;
}

/* What a restart does beside the table: it remembers to start again, until somebody wants a real stop. */
static void vm_note_restart(struct vm *vm, enum vm_input input, struct vm_step *step)
{
	if (input == VM_IN_RESTART && step->verdict == VM_GO)
		vm->restart = vm->phase == VM_PHASE_STOPPING;
	else if ((input == VM_IN_STOP && step->verdict != VM_BUSY) || input == VM_IN_FORCE)
		vm->restart = false;
	else if (vm->phase == VM_PHASE_RUNNING)
		vm->restart = false;
	if (vm->phase != VM_PHASE_OFF || !vm->restart)
		return;
	vm->restart = false;
	vm->phase = VM_PHASE_OPENING;
	step->actions |= VM_ACT_OPEN;
}

/* What the guest does by itself holds in every phase: where RUNNING follows, it may be asleep. */
static void vm_note_sleep(struct vm *vm, enum vm_input input)
{
	if (input == VM_IN_SLEPT || input == VM_IN_AWOKE)
		vm->asleep = input == VM_IN_SLEPT;
	if (vm->phase == VM_PHASE_OFF || vm->phase == VM_PHASE_OPENING)
		vm->asleep = false;
	if (vm->phase == VM_PHASE_RUNNING && vm->asleep)
		vm->phase = VM_PHASE_SUSPENDED;
}

struct vm_step vm_input(struct vm *vm, enum vm_input input, uint64_t now_ms)
{
	const struct vm_rule *rule = &vm_rules[vm->phase][input];
	struct vm_step step = { .verdict = rule->verdict, .actions = rule->actions };
	enum vm_phase before = vm->phase;

	step.from = step.to = vm_state(vm);
	if (rule->verdict == VM_IGNORE) {
		vm_note_sleep(vm, input);
		return step;
	}
	if (rule->next != vm->phase)
		vm->since_ms = now_ms;
	vm->phase = rule->next;
	if (vm->phase == VM_PHASE_LAUNCHING && vm->start_paused) {
		vm->phase = VM_PHASE_PAUSED;
		step.actions = 0;
	}
	if (rule->verdict == VM_GO)
		vm_return_devices(vm, before, &step);
	vm_note_restart(vm, input, &step);
	vm_note_sleep(vm, input);
	step.to = vm_state(vm);
	return step;
}

int vm_refusal(const struct vm *vm, enum vm_input input, const char *name, uint64_t now_ms,
	       struct err *e)
{
	const char *op = vm_operation(vm), *state = vm_state_name(vm_state(vm));

	if (op)
		return err_set(e, ERR_BUSY, "VM '%s' is busy: %s, since %.1f s", name, op,
			       (double)(now_ms - vm->since_ms) / 1000);
	err_set(e, ERR_VM_STATE, "VM '%s' is %s", name, state);
	if (vm->phase == VM_PHASE_SUSPENDED)
		return err_hint(e, "wake it up first: vmctl wakeup %.64s", name);
	if (input == VM_IN_WAKEUP && vm->phase == VM_PHASE_PAUSED)
		return err_hint(e, "resume it: vmctl resume %.64s", name);
	if (input == VM_IN_STOP || input == VM_IN_RESTART)
		return err_hint(e, "resume it first: vmctl resume %.64s; or end it with --force",
				name);
	return -ERR_VM_STATE;
}
