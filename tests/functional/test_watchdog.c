// SPDX-License-Identifier: MIT
/*
 * A guest that feeds its watchdog no longer (tests/guest/watchdog.c), and what each action makes of that, with the real
 * vmm in its cage.
 */
#include <stdio.h>
#include <string.h>

#include "lib/errcat.h"
#include "tests/functional/scene.h"

/* more: keys of the definition */
static struct client *start_guest(struct harness *h, const char *action, const char *more)
{
	char members[256];

	snprintf(members, sizeof(members),
		 "'devices': [{'type': 'debug-port'}, {'type': 'i6300esb'%s}]%s", action, more);
	return scene_start_guest(h, "watchdog", "", members);
}

static void expect_event(struct client *c, const char *action)
{
	AUTO_JSON struct json_object *event = client_event(c, "vm.watchdog", NULL);

	assert_string_equal(json_get_str(json_get(event, "data"), "name", ""), "one");
	assert_string_equal(json_get_str(json_get(event, "data"), "device", ""), "watchdog0");
	assert_string_equal(json_get_str(json_get(event, "data"), "action", ""), action);
}

static void wait_stopped(struct client *c)
{
	json_object_put(client_result(c, "vm.wait", "{'vm': 'one', 'for': 'stopped'}"));
}

/* The default. The guest finds why it was reset, and leaves. */
static void test_reset(void **state)
{
	struct harness *h = *state;
	struct client *c;

	NEEDS_KVM;
	c = start_guest(h, "", "");
	expect_event(c, "reset");
	wait_stopped(c);
	scene_expect_exit(c, "one", "guest-exit", "");
}

static void test_reset_is_the_end(void **state)
{
	struct harness *h = *state;
	struct client *c;

	NEEDS_KVM;
	c = start_guest(h, "", ", 'on_reboot': 'stop'");
	wait_stopped(c);
	scene_expect_exit(c, "one", "reset", "watchdog");
}

static void test_stop(void **state)
{
	struct harness *h = *state;
	struct client *c;

	NEEDS_KVM;
	c = start_guest(h, ", 'action': 'stop'", "");
	expect_event(c, "stop");
	wait_stopped(c);
	scene_expect_exit(c, "one", "watchdog", "watchdog0");
}

/* Paused as by a user, so that a user lets it go on. */
static void test_pause(void **state)
{
	struct harness *h = *state;
	struct client *c;

	NEEDS_KVM;
	c = start_guest(h, ", 'action': 'pause'", "");
	expect_event(c, "pause");
	json_object_put(client_event(c, "vm.state", "paused"));
	json_object_put(client_result(c, "vm.resume", "{'vm': 'one'}"));
	scene_expect_state(c, "one", "running");
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
}

/* Beside the event nothing happens. */
static void test_event(void **state)
{
	struct harness *h = *state;
	struct client *c;

	NEEDS_KVM;
	c = start_guest(h, ", 'action': 'event'", "");
	expect_event(c, "event");
	scene_expect_state(c, "one", "running");
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, harness_setup, harness_teardown)
	const struct CMUnitTest tests[] = {
		T(test_reset), T(test_reset_is_the_end), T(test_stop), T(test_pause), T(test_event),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
