// SPDX-License-Identifier: MIT
/* Timelines of real starts: the real vmm with guests that print and that use virtio; and one that fails. */
#include "tests/functional/harness.h"

#include <stdio.h>
#include <string.h>

#include "lib/errcat.h"
#include "tests/lib/skip.h"

static void apply(struct client *c, const char *profile, const char *guest)
{
	char params[4400], path[4096], name[64];

	snprintf(name, sizeof(name), "../tests/guest/%s", guest);
	harness_program(name, path, sizeof(path));
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'profile': '%s', 'memory': '64MiB', 'boot': "
		 "{'kernel': '%s'}}}",
		 profile, path);
	json_object_put(client_result(c, "vm.apply", params));
}

static int64_t at(struct json_object *start, const char *phase)
{
	struct json_object *phases = json_get(start, "phases");

	for (size_t i = 0; i < json_object_array_length(phases); i++) {
		struct json_object *o = json_object_array_get_idx(phases, i);

		if (!strcmp(json_get_str(o, "phase", ""), phase))
			return json_get_int(o, "at_us", -1);
	}
	return -1;
}

/* The newest start, once it has this phase; each question is a turn of vmd's loop or more. */
static struct json_object *wait_phase(struct client *c, const char *phase)
{
	for (int64_t end = harness_now_ms() + HARNESS_WAIT_MS; harness_now_ms() < end;) {
		AUTO_JSON struct json_object *o =
			client_result(c, "vm.timeline", "{'vm': 'one', 'limit': 1}");
		struct json_object *start = json_object_array_get_idx(json_get(o, "starts"), 0);

		if (start && at(start, phase) >= 0)
			return json_object_get(start);
	}
	fail_msg("no %s", phase);
	return NULL;
}

static void check_order(struct json_object *start)
{
	static const char *const order[] = { "plan",   "fds",	  "spawn",  "hello",
					     "memory", "machine", "kernel", "start" };

	assert_true(at(start, "plan") >= 0);
	for (size_t i = 1; i < ARRAY_SIZE(order); i++)
		assert_true(at(start, order[i]) >= at(start, order[i - 1]));
	assert_int_equal(json_get_int(start, "total_us", 0), at(start, "start"));
}

static void first_sign(struct harness *h, const char *profile, const char *guest, const char *phase)
{
	AUTO_JSON struct json_object *start = NULL;
	struct client *c;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	harness_vmd(h, NULL, NULL);
	c = harness_client(h);
	apply(c, profile, guest);
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	start = wait_phase(c, phase);
	check_order(start);
	assert_true(at(start, phase) >= at(start, "start"));
	assert_true(json_get_bool(start, "ok", false));
	assert_int_equal(json_get_int(start, "revision", 0), 1);
}

static void test_first_console_byte(void **state)
{
	first_sign(*state, "micro", "serial", "console");
}

static void test_first_kick(void **state)
{
	first_sign(*state, "modern", "rng", "kick");
}

/* Paused before its first instruction: the rest comes with resume, into the same row. */
static void test_started_paused(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *o = NULL, *before = NULL, *after = NULL;
	struct client *c;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	harness_vmd(h, NULL, NULL);
	c = harness_client(h);
	apply(c, "micro", "serial");
	json_object_put(client_result(c, "vm.start", "{'vm': 'one', 'paused': true}"));
	before = wait_phase(c, "machine");
	assert_int_equal(at(before, "kernel"), -1);
	json_object_put(client_result(c, "vm.resume", "{'vm': 'one'}"));
	after = wait_phase(c, "console");
	check_order(after);
	o = client_result(c, "vm.timeline", "{'vm': 'one'}");
	assert_int_equal(json_object_array_length(json_get(o, "starts")), 1);
}

static void test_failed_start(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *start = NULL, *o = NULL;
	struct client *c;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	harness_vmd(h, "die-configure", NULL);
	c = harness_client(h);
	apply(c, "micro", "serial");
	json_object_put(client_error(c, "vm.start", "{'vm': 'one'}"));
	start = wait_phase(c, "hello");
	assert_false(json_get_bool(start, "ok", true));
	assert_int_equal(at(start, "memory"), -1);
	json_object_put(client_error(c, "vm.start", "{'vm': 'one'}"));
	o = client_result(c, "vm.timeline", "{'vm': 'one'}");
	assert_int_equal(json_object_array_length(json_get(o, "starts")), 2);
	assert_int_equal(json_object_array_length(json_get(o, "stats")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, harness_setup, harness_teardown)
		T(test_first_console_byte),
		T(test_first_kick),
		T(test_started_paused),
		T(test_failed_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
