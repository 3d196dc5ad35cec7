// SPDX-License-Identifier: MIT
/* vmd/vm: every phase with every input, and the paths that users take. */
#include "tests/lib/test.h"

#include <string.h>

#include "lib/errcat.h"
#include "vmd/vm.h"

static bool is_request(enum vm_input input)
{
	return input < VM_IN_ESCALATE || (input > VM_IN_ESCALATE && input <= VM_IN_WAKEUP);
}

static struct vm_step step(struct vm *vm, enum vm_input input)
{
	return vm_input(vm, input, 1000);
}

static void each(void (*check)(enum vm_phase phase, enum vm_input input, struct vm after,
			       struct vm_step s))
{
	for (int p = 0; p < VM_PHASE_COUNT; p++) {
		for (int i = 0; i < VM_INPUT_COUNT; i++) {
			struct vm vm = { .phase = (enum vm_phase)p };
			struct vm_step s = step(&vm, (enum vm_input)i);

			check((enum vm_phase)p, (enum vm_input)i, vm, s);
		}
	}
}

static void check_requests_are_answered(enum vm_phase phase, enum vm_input input, struct vm after,
					struct vm_step s)
{
	(void)after;
	if (is_request(input) && s.verdict == VM_IGNORE)
		fail_msg("%s has no answer in %s", vm_input_name(input), vm_phase_name(phase));
}

static void check_refusals_change_nothing(enum vm_phase phase, enum vm_input input, struct vm after,
					  struct vm_step s)
{
	if (s.verdict == VM_GO)
		return;
	if (after.phase != phase || s.actions || s.from != s.to)
		fail_msg("%s in %s does something", vm_input_name(input), vm_phase_name(phase));
}

/* Only its end proves that a process is gone. */
static void check_only_gone_leads_to_off(enum vm_phase phase, enum vm_input input, struct vm after,
					 struct vm_step s)
{
	struct vm before = { .phase = phase };

	if (vm_has_process(&before) && !vm_has_process(&after) && input != VM_IN_GONE)
		fail_msg("%s leads from %s to %s", vm_input_name(input), vm_phase_name(phase),
			 vm_phase_name(after.phase));
	if (vm_has_process(&before) && input == VM_IN_GONE &&
	    (after.phase != VM_PHASE_OFF || !(s.actions & VM_ACT_CLEAN)))
		fail_msg("GONE in %s leads to %s", vm_phase_name(phase),
			 vm_phase_name(after.phase));
}

/* Whatever goes on, kill ends it or has begun to; and it is told to end only where there is a process. */
static void check_force_always_ends(enum vm_phase phase, enum vm_input input, struct vm after,
				    struct vm_step s)
{
	struct vm before = { .phase = phase };

	if (input != VM_IN_FORCE)
		return;
	if (phase == VM_PHASE_OFF) {
		assert_int_equal(s.verdict, VM_ALREADY);
		return;
	}
	assert_true(vm_state(&after) == VM_STOPPING);
	if (s.actions & VM_ACT_QUIT)
		assert_true(vm_has_process(&before));
}

/* A start that hangs, a call that hangs: each phase that waits for vmm has a way out by the clock. */
static void check_deadlines(enum vm_phase phase, enum vm_input input, struct vm after,
			    struct vm_step s)
{
	struct vm before = { .phase = phase };

	(void)after;
	if (input == VM_IN_DEADLINE && vm_has_process(&before) && vm_operation(&before) &&
	    phase != VM_PHASE_KILLED && s.verdict == VM_IGNORE)
		fail_msg("%s has no deadline", vm_phase_name(phase));
}

static void test_table(void **state)
{
	(void)state;
	each(check_requests_are_answered);
	each(check_refusals_change_nothing);
	each(check_only_gone_leads_to_off);
	each(check_force_always_ends);
	each(check_deadlines);
}

/* Every phase can be reached from OFF, and OFF from every phase. */
static void test_reachable(void **state)
{
	bool seen[VM_PHASE_COUNT] = { [VM_PHASE_OFF] = true };
	bool grown = true;

	(void)state;
	while (grown) {
		grown = false;
		for (int p = 0; p < VM_PHASE_COUNT; p++) {
			for (int i = 0; seen[p] && i < VM_INPUT_COUNT; i++) {
				struct vm vm = { .phase = (enum vm_phase)p };

				step(&vm, (enum vm_input)i);
				grown = grown || !seen[vm.phase];
				seen[vm.phase] = true;
			}
		}
	}
	for (int p = 0; p < VM_PHASE_COUNT; p++)
		if (!seen[p] && p != VM_PHASE_RETURNING) /* test_devices_come_back */
			fail_msg("%s is never reached", vm_phase_name((enum vm_phase)p));
}

static void run(struct vm *vm, const enum vm_input *inputs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_not_equal(step(vm, inputs[i]).verdict, VM_IGNORE);
}
#define RUN(vm, ...)                                             \
	do {                                                     \
		const enum vm_input inputs_[] = { __VA_ARGS__ }; \
		run(vm, inputs_, ARRAY_SIZE(inputs_));           \
	} while (0)

/* A guest suspends itself; others wake it, or end it. */
static void test_sleep(void **state)
{
	struct vm vm = { 0 };
	struct vm_step s;
	struct err e;

	(void)state;
	RUN(&vm, VM_IN_START, VM_IN_OPENED, VM_IN_HELLO, VM_IN_DONE, VM_IN_DONE);
	assert_int_equal(step(&vm, VM_IN_WAKEUP).verdict, VM_ALREADY);
	s = step(&vm, VM_IN_SLEPT);
	assert_int_equal(s.from, VM_RUNNING);
	assert_int_equal(s.to, VM_SUSPENDED);
	assert_string_equal(vm_state_name(vm_state(&vm)), "suspended");
	assert_int_equal(step(&vm, VM_IN_START).verdict, VM_ALREADY);
	assert_int_equal(step(&vm, VM_IN_PAUSE).verdict, VM_WRONG_STATE);
	assert_int_equal(vm_refusal(&vm, VM_IN_PAUSE, "one", 2000, &e), -ERR_VM_STATE);
	assert_string_equal(e.msg, "VM 'one' is suspended");
	assert_string_equal(e.hint, "wake it up first: vmctl wakeup one");
	/* the event comes before the answer */
	assert_int_equal(step(&vm, VM_IN_WAKEUP).actions, VM_ACT_WAKEUP);
	assert_string_equal(vm_operation(&vm), "wakeup");
	step(&vm, VM_IN_AWOKE);
	assert_int_equal(step(&vm, VM_IN_DONE).to, VM_RUNNING);
	/* a call that fails: it sleeps still */
	RUN(&vm, VM_IN_SLEPT, VM_IN_WAKEUP, VM_IN_FAILED);
	assert_int_equal(vm.phase, VM_PHASE_SUSPENDED);
	assert_int_equal(step(&vm, VM_IN_AWOKE).to, VM_RUNNING);
	/* by a reset */
	RUN(&vm, VM_IN_SLEPT);
	assert_int_equal(step(&vm, VM_IN_RESET).actions, VM_ACT_RESET);
	step(&vm, VM_IN_AWOKE);
	assert_int_equal(step(&vm, VM_IN_DONE).to, VM_RUNNING);
}

/* What it does while something else is going on shows when that is over. */
static void test_sleep_meanwhile(void **state)
{
	const struct {
		enum vm_input begin, end;
	} cases[] = { { VM_IN_PAUSE, VM_IN_FAILED },
		      { VM_IN_STOP, VM_IN_DEADLINE },
		      { VM_IN_STOP, VM_IN_FAILED },
		      { VM_IN_RESTART, VM_IN_DEADLINE } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (int woken = 0; woken < 2; woken++) {
			struct vm vm = { .phase = VM_PHASE_RUNNING };

			RUN(&vm, cases[i].begin);
			assert_int_equal(step(&vm, VM_IN_SLEPT).verdict, VM_IGNORE);
			if (woken)
				step(&vm, VM_IN_AWOKE);
			RUN(&vm, cases[i].end);
			assert_int_equal(vm_state(&vm), woken ? VM_RUNNING : VM_SUSPENDED);
			assert_false(vm.restart);
		}
	}
}

/* Its end, and a sleep that is over with it. */
static void test_sleep_ends(void **state)
{
	struct vm vm = { .phase = VM_PHASE_RUNNING };

	(void)state;
	RUN(&vm, VM_IN_SLEPT);
	assert_int_equal(step(&vm, VM_IN_RESTART).actions, VM_ACT_POWER_BUTTON);
	assert_int_equal(vm_state(&vm), VM_STOPPING);
	/* it ended asleep, and starts awake */
	RUN(&vm, VM_IN_GONE, VM_IN_OPENED, VM_IN_HELLO, VM_IN_DONE, VM_IN_DONE);
	assert_int_equal(vm_state(&vm), VM_RUNNING);
	RUN(&vm, VM_IN_SLEPT, VM_IN_FORCE, VM_IN_GONE);
	assert_int_equal(vm.phase, VM_PHASE_OFF);
}

static void test_start_and_stop(void **state)
{
	struct vm vm = { 0 };

	(void)state;
	RUN(&vm, VM_IN_START, VM_IN_OPENED, VM_IN_HELLO, VM_IN_DONE);
	assert_int_equal(vm.phase, VM_PHASE_LAUNCHING);
	assert_int_equal(vm_state(&vm), VM_STARTING);
	RUN(&vm, VM_IN_DONE);
	assert_int_equal(vm_state(&vm), VM_RUNNING);
	assert_int_equal(step(&vm, VM_IN_START).verdict, VM_ALREADY);
	assert_int_equal(step(&vm, VM_IN_STOP).actions, VM_ACT_POWER_BUTTON);
	assert_int_equal(step(&vm, VM_IN_STOP).verdict, VM_JOIN);
	assert_int_equal(step(&vm, VM_IN_GONE).actions, VM_ACT_CLEAN);
	assert_int_equal(vm.phase, VM_PHASE_OFF);
}

static void test_start_paused(void **state)
{
	struct vm vm = { .start_paused = true };

	(void)state;
	RUN(&vm, VM_IN_START, VM_IN_OPENED, VM_IN_HELLO);
	assert_int_equal(step(&vm, VM_IN_DONE).actions, 0);
	assert_int_equal(vm_state(&vm), VM_PAUSED);
	assert_int_equal(step(&vm, VM_IN_RESUME).actions, VM_ACT_RESUME);
}

static void test_stop_during_open(void **state)
{
	struct vm vm = { 0 };

	(void)state;
	RUN(&vm, VM_IN_START, VM_IN_STOP);
	assert_string_equal(vm_state_name(vm_state(&vm)), "stopping");
	/* the worker's files are closed, no process is made */
	assert_int_equal(step(&vm, VM_IN_OPENED).actions, VM_ACT_CLEAN);
	assert_int_equal(vm.phase, VM_PHASE_OFF);
}

static void test_restart(void **state)
{
	struct vm vm = { .phase = VM_PHASE_RUNNING };
	struct vm_step s;

	(void)state;
	RUN(&vm, VM_IN_RESTART);
	assert_string_equal(vm_operation(&vm), "restart");
	s = step(&vm, VM_IN_GONE);
	assert_int_equal(s.actions, VM_ACT_CLEAN | VM_ACT_OPEN);
	assert_int_equal(s.to, VM_STARTING);
	assert_false(vm.restart);
}

static void test_restart_by_force(void **state)
{
	struct vm vm = { .phase = VM_PHASE_RUNNING };

	(void)state;
	RUN(&vm, VM_IN_RESTART, VM_IN_ESCALATE);
	assert_int_equal(vm.phase, VM_PHASE_QUITTING);
	RUN(&vm, VM_IN_GONE);
	assert_int_equal(vm.phase, VM_PHASE_OPENING);
}

/* A stop or a kill while a restart goes on is a stop. */
static void test_stop_ends_a_restart(void **state)
{
	const enum vm_input by[] = { VM_IN_STOP, VM_IN_FORCE };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(by); i++) {
		struct vm vm = { .phase = VM_PHASE_RUNNING };

		RUN(&vm, VM_IN_RESTART, by[i], VM_IN_GONE);
		assert_int_equal(vm.phase, VM_PHASE_OFF);
	}
}

static void test_restart_that_is_not_obeyed(void **state)
{
	struct vm vm = { .phase = VM_PHASE_RUNNING };

	(void)state;
	RUN(&vm, VM_IN_RESTART, VM_IN_DEADLINE);
	assert_int_equal(vm.phase, VM_PHASE_RUNNING);
	assert_false(vm.restart);
	RUN(&vm, VM_IN_GONE);
	assert_int_equal(vm.phase, VM_PHASE_OFF);
}

/* Whatever leads to OFF does not while there are devices: they are given back first. */
static void test_devices_come_back(void **state)
{
	(void)state;
	for (int p = 0; p < VM_PHASE_COUNT; p++) {
		for (int i = 0; i < VM_INPUT_COUNT; i++) {
			struct vm plain = { .phase = (enum vm_phase)p };
			struct vm vm = { .phase = (enum vm_phase)p, .devices = true };
			struct vm_step s = step(&plain, (enum vm_input)i);
			struct vm_step with = step(&vm, (enum vm_input)i);

			if (s.verdict != VM_GO || plain.phase != VM_PHASE_OFF ||
			    p == VM_PHASE_RETURNING) {
				assert_int_equal(vm.phase, plain.phase);
				continue;
			}
			assert_int_equal(vm.phase, VM_PHASE_RETURNING);
			assert_int_equal(with.actions, s.actions | VM_ACT_RETURN);
			assert_int_equal(vm_state(&vm), VM_STOPPING);
			with = step(&vm, VM_IN_DONE);
			assert_int_equal(vm.phase, VM_PHASE_OFF);
			assert_int_equal(with.actions, 0);
			assert_false(vm.devices);
		}
	}
}

static void test_restart_with_devices(void **state)
{
	struct vm vm = { .phase = VM_PHASE_RUNNING, .devices = true };

	(void)state;
	RUN(&vm, VM_IN_RESTART, VM_IN_GONE);
	assert_int_equal(vm.phase, VM_PHASE_RETURNING);
	assert_string_equal(vm_operation(&vm), "restart");
	assert_int_equal(step(&vm, VM_IN_START).verdict, VM_BUSY);
	assert_int_equal(step(&vm, VM_IN_DONE).actions, VM_ACT_OPEN);
	assert_int_equal(vm.phase, VM_PHASE_OPENING);
	/* a stop meanwhile is a stop */
	vm = (struct vm){ .phase = VM_PHASE_RUNNING, .devices = true };
	RUN(&vm, VM_IN_RESTART, VM_IN_GONE, VM_IN_STOP, VM_IN_DONE);
	assert_int_equal(vm.phase, VM_PHASE_OFF);
}

static void test_refusals(void **state)
{
	struct vm vm = { .phase = VM_PHASE_PAUSING, .since_ms = 500 };
	struct err e;

	(void)state;
	assert_int_equal(vm_refusal(&vm, VM_IN_STOP, "one", 2000, &e), -ERR_BUSY);
	assert_string_equal(e.msg, "VM 'one' is busy: pause, since 1.5 s");
	vm.phase = VM_PHASE_PAUSED;
	assert_int_equal(vm_refusal(&vm, VM_IN_STOP, "one", 2000, &e), -ERR_VM_STATE);
	assert_string_equal(e.msg, "VM 'one' is paused");
	assert_string_equal(e.hint, "resume it first: vmctl resume one; or end it with --force");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_reachable),
		cmocka_unit_test(test_sleep),
		cmocka_unit_test(test_sleep_meanwhile),
		cmocka_unit_test(test_sleep_ends),
		cmocka_unit_test(test_start_and_stop),
		cmocka_unit_test(test_start_paused),
		cmocka_unit_test(test_stop_during_open),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_restart_by_force),
		cmocka_unit_test(test_stop_ends_a_restart),
		cmocka_unit_test(test_restart_that_is_not_obeyed),
		cmocka_unit_test(test_devices_come_back),
		cmocka_unit_test(test_restart_with_devices),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
