// SPDX-License-Identifier: MIT
/*
 * vm.wakeup and vmctl wakeup: a guest that suspends itself to RAM (tests/guest/suspend.c) in the real vmm, in its cage,
 * and what users may do with it meanwhile.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/errcat.h"
#include "tests/functional/scene.h"

/* 'one' runs, and is going to sleep. */
static struct client *start_guest(struct harness *h, const char *cmdline)
{
	char both[128];

	snprintf(both, sizeof(both), "cpus=2 %s", cmdline);
	return scene_start_guest(
		h, "suspend", both,
		"'profile': 'modern', 'cpus': 2, 'devices': [{'type': 'debug-port'}]");
}

static void until(struct client *c, const char *state)
{
	char params[128];

	snprintf(params, sizeof(params), "{'vm': 'one', 'for': '%s', 'timeout_ms': %d}", state,
		 HARNESS_WAIT_MS);
	json_object_put(client_result(c, "vm.wait", params));
}

static void test_wakes(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *slept = NULL, *dry = NULL, *woken = NULL, *awake = NULL;
	struct client *c;

	NEEDS_KVM;
	c = start_guest(h, "loops=3");
	slept = client_event(c, "vm.state", "suspended");
	assert_string_equal(json_get_str(json_get(slept, "data"), "from", ""), "running");
	scene_expect_state(c, "one", "suspended");
	dry = client_result(c, "vm.wakeup", "{'vm': 'one', 'dry_run': true}");
	assert_string_equal(json_get_str(dry, "note", ""), "would be woken");
	assert_string_equal(json_get_str(dry, "state", ""), "suspended");
	woken = client_result(c, "vm.wakeup", "{'vm': 'one'}");
	assert_true(json_get_bool(woken, "changed", false));
	assert_string_equal(json_get_str(woken, "state", ""), "running");
	awake = client_event(c, "vm.state", "running");
	assert_string_equal(json_get_str(json_get(awake, "data"), "from", ""), "suspended");
	json_object_put(client_event(c, "vm.state", "suspended"));
	/* the next vmd knows; whatever the one before has told */
	c = scene_restart(h, c, SIGKILL, NULL);
	until(c, "suspended");
	json_object_put(client_result(c, "vm.wakeup", "{'vm': 'one'}"));
	until(c, "suspended");
	json_object_put(client_result(c, "vm.wakeup", "{'vm': 'one'}"));
	until(c, "stopped");
	scene_expect_exit(c, "one", "guest-exit", NULL);
	client_expect_error(c, "vm.wakeup", "{'vm': 'one'}", ERR_VM_STATE, "VM 'one' is stopped",
			    "start it first: vmctl start one");
}

/* What does not go with a guest that sleeps, and who is awake needs no waking. */
static void test_refused(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *start = NULL, *awake = NULL;
	struct client *c;

	NEEDS_KVM;
	c = start_guest(h, "loops=1 button=1");
	until(c, "suspended");
	client_expect_error(c, "vm.pause", "{'vm': 'one'}", ERR_VM_STATE, "VM 'one' is suspended",
			    "wake it up first: vmctl wakeup one");
	client_expect_error(c, "vm.resume", "{'vm': 'one'}", ERR_VM_STATE, "VM 'one' is suspended",
			    "wake it up first: vmctl wakeup one");
	client_expect_error(c, "vm.attach", "{'vm': 'one', 'device': {'type': 'virtio-rng'}}",
			    ERR_VM_STATE, "VM 'one' is suspended",
			    "wake it up first: vmctl wakeup one");
	start = client_result(c, "vm.start", "{'vm': 'one'}");
	assert_string_equal(json_get_str(start, "note", ""), "already running, suspended");
	json_object_put(client_result(c, "vm.wakeup", "{'vm': 'one'}"));
	awake = client_result(c, "vm.wakeup", "{'vm': 'one'}");
	assert_false(json_get_bool(awake, "changed", true));
	assert_string_equal(json_get_str(awake, "note", ""), "already awake");
	json_object_put(client_result(c, "vm.pause", "{'vm': 'one'}"));
	client_expect_error(c, "vm.wakeup", "{'vm': 'one'}", ERR_VM_STATE, "VM 'one' is paused",
			    "resume it: vmctl resume one");
}

/* The button wakes it; it is pressed again for the stop that was meant. */
static void test_stops(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *stop = NULL;
	struct client *c;

	NEEDS_KVM;
	c = start_guest(h, "loops=1 button=1");
	until(c, "suspended");
	stop = client_result(c, "vm.stop", "{'vm': 'one'}");
	assert_string_equal(json_get_str(json_get(stop, "exit"), "reason", ""), "shutdown");
	/* it comes back awake */
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	until(c, "suspended");
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	scene_expect_exit(c, "one", "killed", NULL);
}

static void test_reset(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *reset = NULL;
	struct client *c;

	NEEDS_KVM;
	c = start_guest(h, "loops=1");
	json_object_put(client_event(c, "vm.state", "suspended"));
	reset = client_result(c, "vm.reset", "{'vm': 'one'}");
	assert_string_equal(json_get_str(reset, "state", ""), "running");
	json_object_put(client_event(c, "vm.state", "running"));
	json_object_put(client_event(c, "vm.state", "suspended"));
}

static void test_vmctl(void **state)
{
	struct harness *h = *state;
	struct harness_output out;
	struct client *c;

	NEEDS_KVM;
	c = start_guest(h, "loops=2 button=1");
	assert_int_equal(harness_vmctl(h, NULL, &out, "wait", "one", "--for", "suspended",
				       "--timeout", "20", NULL),
			 0);
	assert_int_equal(harness_vmctl(h, NULL, &out, "list", NULL), 0);
	assert_non_null(strstr(out.out, "suspended"));
	assert_int_equal(harness_vmctl(h, NULL, &out, "wakeup", "--dry-run", "one", NULL), 0);
	assert_non_null(strstr(out.out, "would be woken"));
	assert_int_equal(harness_vmctl(h, NULL, &out, "wakeup", "one", NULL), 0);
	assert_string_equal(out.out, "one: woken\n");
	until(c, "suspended");
	assert_int_equal(harness_vmctl(h, NULL, &out, "pause", "one", NULL), 4);
	assert_non_null(strstr(out.err, "vmctl wakeup one"));
	assert_int_equal(harness_vmctl(h, NULL, &out, "wakeup", "one", NULL), 0);
	assert_int_equal(harness_vmctl(h, NULL, &out, "wakeup", "one", NULL), 0);
	assert_non_null(strstr(out.err, "already awake"));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, harness_setup, harness_teardown)
	const struct CMUnitTest tests[] = {
		T(test_wakes), T(test_refused), T(test_stops), T(test_reset), T(test_vmctl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
