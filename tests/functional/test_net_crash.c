// SPDX-License-Identifier: MIT
/* The host's network is as it was wherever vmd, the VM or both end. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/functional/crash.h"
#include "tests/functional/rows.h"
#include "tests/functional/netw.h"

#define CARD "'network': {'private': 'back'}"

static void test_vmd_ends(void **state)
{
	static const int signals[] = { SIGTERM, SIGKILL };
	struct netw *w = *state;

	NEEDS_NET(w);
	netw_define(w, "a", CARD);
	netw_start(w, "a");
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		client_close(w->h, w->c);
		harness_vmd_end(w->h, signals[i]);
		netw_serve(w);
		assert_string_equal(netw_shown(w, "a", 0, "bridge"), "vmd-back");
		assert_true(netns_has(netw_shown(w, "a", 0, "tap")));
	}
	netw_end(w, "a");
	netns_wait_gone("vmd-back");
}

/* The next one clears up. */
static void test_both_end(void **state)
{
	struct netw *w = *state;

	NEEDS_NET(w);
	netw_define(w, "a", CARD);
	netw_start(w, "a");
	scene_end_all(w->h, w->c, "a");
	assert_int_equal(netns_count("vm"), 1);
	assert_true(netns_has("vmd-back"));
	netw_serve(w);
	netns_wait_gone("vmd-back");
	/* the end that this belongs to is written when somebody asks, at the latest */
	json_object_put(netw_ask(w, "vm.get", "a"));
	assert_int_equal(rows_count(w->h, "nic"), 0);
}

/* --- at each step ---------------------------------------------------------------------------------------- */

/* Ask, and let vmd come to its n-th step or to the answer. True: it was killed, and another has begun. */
static bool ask_and_die(struct netw *w, const char *method, const char *params, unsigned int n)
{
	struct crash crash = { .kill_at = n };
	int status;

	crash_attach(&crash, w->h->vmd);
	client_ask(w->c, method, params);
	if (crash_run(&crash, client_fd(w->c), &status)) {
		json_object_put(client_next(w->c));
		crash_detach(&crash);
		return false;
	}
	assert_true(WIFSIGNALED(status));
	client_close(w->h, w->c);
	w->h->vmd = 0;
	netw_serve(w);
	return true;
}

/* Jobs of the vmd before are over. */
static bool runs(struct netw *w)
{
	static const char *const states[] = { "running", "stopped" };
	AUTO_JSON struct json_object *jobs = NULL, *vm = NULL;
	struct json_object *list;
	const char *now;
	char params[64];

	jobs = client_result(w->c, "job.list", "{'state': 'running'}");
	list = json_get(jobs, "jobs");
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		snprintf(params, sizeof(params), "{'job': '%s'}",
			 json_get_str(json_object_array_get_idx(list, i), "job", ""));
		json_object_put(client_result(w->c, "job.wait", params));
	}
	for (size_t i = 0;; i++) {
		vm = netw_ask(w, "vm.get", "a");
		now = json_get_str(json_get(vm, "observed"), "state", "");
		if (!strcmp(now, states[0]) || !strcmp(now, states[1]))
			return !strcmp(now, states[0]);
		json_object_put(TAKE_PTR(vm));
	}
}

static void expect_exact(struct netw *w)
{
	if (runs(w)) {
		assert_string_equal(netw_shown(w, "a", 0, "bridge"), "vmd-back");
		assert_true(netns_has(netw_shown(w, "a", 0, "tap")));
		assert_int_equal(rows_count(w->h, "nic"), 1);
		assert_int_equal(rows_count(w->h, "private_link"), 1);
		return;
	}
	netns_wait_gone("vmd-back");
	assert_int_equal(netns_count("vm"), 0);
	assert_int_equal(rows_count(w->h, "nic"), 0);
}

static void every_step(struct netw *w, const char *method, bool running)
{
	unsigned int n = 0;

	NEEDS_NET(w);
	if (!crash_possible())
		SKIP_BECAUSE("ptrace(2) is not permitted");
	netw_define(w, "a", CARD);
	do {
		if (runs(w) != running)
			json_object_put(netw_ask(w, running ? "vm.start" : "vm.kill", "a"));
		expect_exact(w);
	} while (ask_and_die(w, method, "{'vm': 'a'}", ++n));
	expect_exact(w);
	print_message("# %s: %u steps\n", method, n - 1);
	assert_in_range(n, 15, 1000);
}

static void test_start_at_each_step(void **state)
{
	every_step(*state, "vm.start", false);
}

static void test_kill_at_each_step(void **state)
{
	every_step(*state, "vm.kill", true);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, netw_setup, netw_teardown)
	const struct CMUnitTest tests[] = {
		T(test_vmd_ends),
		T(test_both_end),
		T(test_start_at_each_step),
		T(test_kill_at_each_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
