// SPDX-License-Identifier: MIT
/*
 * A guest whose kernel panics (tests/guest/panic.c): the event with its console's last lines, and on_crash, with the real
 * vmm in its cage.
 */
#include <stdio.h>
#include <string.h>

#include "lib/errcat.h"
#include "tests/functional/scene.h"

/* more: keys of the definition */
static struct client *start_guest(struct harness *h, const char *cmdline, const char *more)
{
	char members[256];

	snprintf(members, sizeof(members),
		 "'devices': [{'type': 'debug-port'}, {'type': 'pvpanic%s'}]%s",
		 strstr(cmdline, "isa=1") ? "-isa" : "", more);
	return scene_start_guest(h, "panic", cmdline, members);
}

/* The last 100 lines, as text, up to the very last thing that it said */
static void expect_event(struct client *c, bool handled)
{
	AUTO_JSON struct json_object *event = client_event(c, "vm.panic", NULL);
	struct json_object *data = json_get(event, "data"), *lines = json_get(data, "console");

	assert_string_equal(json_get_str(data, "name", ""), "one");
	assert_int_equal(json_get_bool(data, "handled", !handled), handled);
	assert_int_equal(json_object_array_length(lines), 100);
	assert_string_equal(json_object_get_string(json_object_array_get_idx(lines, 0)),
			    "line 051 ?");
	assert_string_equal(json_object_get_string(json_object_array_get_idx(lines, 98)),
			    "line 149 ?");
	assert_string_equal(json_object_get_string(json_object_array_get_idx(lines, 99)),
			    "panic: oh dear");
}

static void wait_stopped(struct client *c)
{
	json_object_put(client_result(c, "vm.wait", "{'vm': 'one', 'for': 'stopped'}"));
}

static void test_stop(void **state)
{
	struct harness *h = *state;
	struct client *c;

	NEEDS_KVM;
	c = start_guest(h, "", "");
	expect_event(c, false);
	wait_stopped(c);
	scene_expect_exit(c, "one", "panic", "the guest's kernel has panicked");
}

static void test_isa(void **state)
{
	struct harness *h = *state;
	struct client *c;

	NEEDS_KVM;
	c = start_guest(h, "isa=1", "");
	expect_event(c, false);
	wait_stopped(c);
	scene_expect_exit(c, "one", "panic", "the guest's kernel has panicked");
}

static void test_reset(void **state)
{
	struct harness *h = *state;
	struct client *c;

	NEEDS_KVM;
	c = start_guest(h, "", ", 'on_crash': 'reset'");
	expect_event(c, false);
	json_object_put(client_event(c, "vm.reset", NULL));
	wait_stopped(c);
	scene_expect_exit(c, "one", "guest-exit", "");
}

/* It has a crash kernel, or the like: nothing is done to it. */
static void test_handled(void **state)
{
	struct harness *h = *state;
	struct client *c;

	NEEDS_KVM;
	c = start_guest(h, "handled=1", "");
	expect_event(c, true);
	wait_stopped(c);
	scene_expect_exit(c, "one", "guest-exit", "");
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, harness_setup, harness_teardown)
	const struct CMUnitTest tests[] = { T(test_stop), T(test_isa), T(test_reset),
					    T(test_handled) };
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
