// SPDX-License-Identifier: MIT
/* Devices of the host in VMs: the host is as it was wherever vmd, the VM or both end; and two VMs want the same one. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"
#include "tests/functional/crash.h"
#include "tests/functional/rows.h"
#include "tests/functional/leases.h"
#include "tests/functional/scene.h"

/* --- vmd ends, and the next one --------------------------------------------------------------------- */

/* The VM runs on, and its devices are still its. */
static void test_vmd_ends(void **state)
{
	static const int signals[] = { SIGTERM, SIGKILL };
	struct leases_world *w = *state;

	NEEDS_KVM;
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'one'}"));
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		leases_end_vmd(w, signals[i]);
		leases_begin_vmd(w, "ok", SCENE_LONG);
		scene_expect_state(w->c, "one", "running");
		leases_expect_taken(w);
	}
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'one'}"));
	leases_expect_clean(w);
}

/* Both have ended: the next vmd gives back what the VM had. */
static void test_both_end(void **state)
{
	struct leases_world *w = *state;
	int pidfd;
	pid_t pid;

	NEEDS_KVM;
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'one'}"));
	pid = scene_pid(w->c, "one");
	pidfd = harness_pidfd(pid);
	leases_end_vmd(w, SIGKILL);
	kill(pid, SIGKILL);
	harness_wait_pidfd(pidfd);
	leases_begin_vmd(w, "ok", SCENE_LONG);
	json_object_put(client_result(w->c, "vm.wait", "{'vm': 'one', 'for': 'stopped'}"));
	leases_expect_clean(w);
}

/* Nothing of a lease outlives the machine's start; the host is as it is after one. */
static void test_reboot(void **state)
{
	struct leases_world *w = *state;
	int pidfd;
	pid_t pid;

	NEEDS_KVM;
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'one'}"));
	pid = scene_pid(w->c, "one");
	pidfd = harness_pidfd(pid);
	leases_end_vmd(w, SIGKILL);
	kill(pid, SIGKILL);
	harness_wait_pidfd(pidfd);
	simhost_reboot(w->h);
	simhost_vfs(w->h);
	leases_begin_vmd(w, "ok", SCENE_LONG);
	json_object_put(client_result(w->c, "vm.wait", "{'vm': 'one', 'for': 'stopped'}"));
	leases_expect_clean(w);
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'one'}"));
	leases_expect_taken(w);
}

/* --- vmd is killed at each step ------------------------------------------------------------------------ */

static void expect_exact(struct leases_world *w)
{
	if (!strcmp(leases_settled(w, "two"), "stopped")) {
		leases_expect_clean(w);
		return;
	}
	leases_expect(w, VF, "two", "in-use");
	assert_string_equal(simhost_driver(w->h, VF), "vfio-pci");
	assert_int_equal(rows_count(w->h, "lease"), 1);
}

static void every_step(struct leases_world *w, const char *method, bool running)
{
	unsigned int n = 0;

	NEEDS_KVM;
	if (!crash_possible())
		SKIP_BECAUSE("ptrace(2) is not permitted");
	do {
		bool runs = !strcmp(leases_settled(w, "two"), "running");

		if (runs != running)
			json_object_put(client_result(w->c, running ? "vm.start" : "vm.stop",
						      "{'vm': 'two'}"));
		expect_exact(w);
	} while (leases_ask_and_die(w, method, "{'vm': 'two'}", ++n));
	expect_exact(w);
	print_message("# %s: %u steps\n", method, n - 1);
	assert_in_range(n, 20, 1000);
}

static void test_start_at_each_step(void **state)
{
	every_step(*state, "vm.start", false);
}

static void test_stop_at_each_step(void **state)
{
	every_step(*state, "vm.stop", true);
}

/* --- a race ------------------------------------------------------------------------------------------- */

/* Of two starts one gets the device, and the other is told who has it. */
static void test_race(void **state)
{
	struct leases_world *w = *state;
	struct client *other;

	NEEDS_KVM;
	leases_define(w, "one", VF, NULL);
	other = harness_client(w->h);
	for (int i = 0; i < 50; i++) {
		int a = client_ask(w->c, "vm.start", "{'vm': 'one'}");
		int b = client_ask(other, "vm.start", "{'vm': 'two'}");
		AUTO_JSON struct json_object *first = client_answer(w->c, a);
		AUTO_JSON struct json_object *second = client_answer(other, b);
		struct json_object *lost =
			json_get(json_get(first, "error") ? first : second, "error");

		assert_true(!json_get(first, "error") != !json_get(second, "error"));
		assert_int_equal(json_get_int(lost, "code", 0), ERR_LEASE_TAKEN);
		json_object_put(client_result(w->c, "vm.kill",
					      json_get(first, "error") ? "{'vm': 'two'}"
								       : "{'vm': 'one'}"));
		assert_int_equal(rows_count(w->h, "lease"), 0);
	}
	leases_expect_clean(w);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, leases_setup, leases_teardown)
	const struct CMUnitTest tests[] = {
		T(test_vmd_ends),	    T(test_both_end),	       T(test_reboot),
		T(test_start_at_each_step), T(test_stop_at_each_step), T(test_race),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
