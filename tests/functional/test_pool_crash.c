// SPDX-License-Identifier: MIT
/*
 * Pools of virtual functions: whatever moment vmd is killed in, and whoever else wants the last VF, the host ends up
 * exactly as the pool says, or as it was. FIELD 1, 2, 3.
 */
#include <string.h>

#include "lib/errcat.h"
#include "tests/functional/crash.h"
#include "tests/functional/rows.h"
#include "tests/functional/leases.h"
#include "tests/functional/scene.h"
#include "vmm/sandbox.h"

#define PF "0000:10:00.0"
/* each is two starts and a kill, of programs that start ten times as slowly with a sanitizer */
#define RACES (SANDBOX_SANITIZER ? 200 : 1000)

static const char *const pools[LEASES_VFS + 1] = {
	[1] = "{'pool': {'kind': 'pool', 'name': 'front', 'vfs': 1, 'pfs': ['" PF "']}}",
	[2] = "{'pool': {'kind': 'pool', 'name': 'front', 'vfs': 2, 'pfs': ['" PF "']}}",
	[4] = "{'pool': {'kind': 'pool', 'name': 'front', 'vfs': 4, 'pfs': ['" PF "']}}",
};

static int setup(void **state)
{
	return leases_setup_pools(state, "8");
}

/* --- vmd is killed at each step of a change ----------------------------------------------------------- */

/* VFs of the pool, which is "ready"; 0: there is none. */
static int pool_vfs(struct leases_world *w)
{
	AUTO_JSON struct json_object *o = client_result(w->c, "pool.list", NULL);
	struct json_object *pool = json_object_array_get_idx(json_get(o, "pools"), 0);

	if (!pool)
		return 0;
	assert_string_equal(json_get_str(pool, "state", ""), "ready");
	return (int)json_get_int(pool, "vfs", -1);
}

static void bring(struct leases_world *w, int vfs)
{
	if (pool_vfs(w) == vfs)
		return;
	if (vfs)
		json_object_put(client_result(w->c, "pool.apply", pools[vfs]));
	else
		json_object_put(client_result(w->c, "pool.delete", "{'name': 'front'}"));
	assert_int_equal(pool_vfs(w), vfs);
}

/* One or the other, and nothing in between. */
static void expect_either(struct leases_world *w, int from, int to)
{
	int vfs;

	leases_wait_idle(w);
	vfs = pool_vfs(w);
	assert_true(vfs == from || vfs == to);
	assert_int_equal(rows_count(w->h, "lease"), 0);
	if (!vfs) {
		leases_expect_clean(w);
		return;
	}
	simhost_snapshot(w->h, w->after);
	assert_string_equal(w->after, w->made[vfs]);
}

static void every_step(struct leases_world *w, const char *method, const char *params, int from,
		       int to)
{
	unsigned int n = 0;

	NEEDS_KVM;
	if (!crash_possible())
		SKIP_BECAUSE("ptrace(2) is not permitted");
	for (int vfs = 2; vfs <= LEASES_VFS; vfs += 2) {
		bring(w, vfs);
		simhost_snapshot(w->h, w->made[vfs]);
	}
	bring(w, from);
	do {
		expect_either(w, from, to);
		bring(w, from);
		expect_either(w, from, from);
	} while (leases_ask_and_die(w, method, params, ++n));
	expect_either(w, to, to);
	print_message("# %s, %d to %d VFs: %u steps\n", method, from, to, n - 1);
	assert_in_range(n, 10, 1000);
	/* what is left of all of that goes with the pool */
	bring(w, 0);
	leases_expect_clean(w);
}

static void test_made(void **state)
{
	every_step(*state, "pool.apply", pools[4], 0, 4);
}

static void test_raised(void **state)
{
	every_step(*state, "pool.apply", pools[4], 2, 4);
}

static void test_deleted(void **state)
{
	every_step(*state, "pool.delete", "{'name': 'front'}", 4, 0);
}

/* VFs of a PF in no pool: all of them, or none; what was begun is not left in the journal. */
static void test_set_by_hand(void **state)
{
	static const char none[] = "{'pci': '" PF "', 'vfs': 0}";
	static const char two[] = "{'pci': '" PF "', 'vfs': 2}";
	struct leases_world *w = *state;
	unsigned int n = 0;

	NEEDS_KVM;
	if (!crash_possible())
		SKIP_BECAUSE("ptrace(2) is not permitted");
	json_object_put(client_result(w->c, "sriov.pf.set", two));
	simhost_snapshot(w->h, w->made[2]);
	json_object_put(client_result(w->c, "sriov.pf.set", none));
	simhost_snapshot(w->h, w->made[0]); /* the link stays up: nobody asked for it to go down */
	do {
		leases_wait_idle(w);
		assert_int_equal(rows_count(w->h, "journal"), 0);
		json_object_put(client_result(w->c, "sriov.pf.set", none));
	} while (leases_ask_and_die(w, "sriov.pf.set", two, ++n));
	simhost_snapshot(w->h, w->after);
	assert_string_equal(w->after, w->made[2]);
	assert_int_equal(rows_count(w->h, "journal"), 0);
	print_message("# sriov.pf.set: %u steps\n", n - 1);
	assert_in_range(n, 10, 1000);
}

/* --- and of a start and a stop with a VF of the pool ---------------------------------------------------- */

static void expect_vm(struct leases_world *w)
{
	AUTO_JSON struct json_object *vf = NULL;

	if (!strcmp(leases_settled(w, "one"), "stopped")) {
		leases_expect_clean(w);
		return;
	}
	leases_expect(w, "0000:10:10.0", "one", "in-use");
	assert_int_equal(rows_count(w->h, "lease"), 1);
	assert_string_equal(simhost_driver(w->h, "0000:10:10.0"), "vfio-pci");
	vf = simhost_step(w->h, "{'op':'vf-get','pf':'" PF "','vf':0}");
	assert_string_equal(json_get_str(vf, "mac", ""), "52:54:00:00:00:01");
	assert_int_equal(json_get_int(vf, "vlan", 0), 100);
}

static void every_step_of_vm(struct leases_world *w, const char *method, bool running)
{
	unsigned int n = 0;

	NEEDS_KVM;
	if (!crash_possible())
		SKIP_BECAUSE("ptrace(2) is not permitted");
	bring(w, 2);
	simhost_snapshot(w->h, w->before);
	w->journal = rows_count(w->h, "journal");
	leases_define_passthrough(w, "one",
				  "{'pool': 'front', 'mac': '52:54:00:00:00:01', 'vlan': 100}");
	do {
		bool runs = !strcmp(leases_settled(w, "one"), "running");

		if (runs != running)
			json_object_put(client_result(w->c, running ? "vm.start" : "vm.stop",
						      "{'vm': 'one'}"));
		expect_vm(w);
	} while (leases_ask_and_die(w, method, "{'vm': 'one'}", ++n));
	expect_vm(w);
	print_message("# %s: %u steps\n", method, n - 1);
	assert_in_range(n, 20, 1000);
}

static void test_start(void **state)
{
	every_step_of_vm(*state, "vm.start", false);
}

static void test_stop(void **state)
{
	every_step_of_vm(*state, "vm.stop", true);
}

/* --- races ---------------------------------------------------------------------------------------------- */

/* Two starts at once want the last VF, over two connections: one gets it, and the other is told that there is none. */
static void test_race(void **state)
{
	static const char one[] = "{'vm': 'one'}", two[] = "{'vm': 'two'}";
	struct leases_world *w = *state;
	struct client *other;
	int wins[2] = { 0 };

	NEEDS_KVM;
	bring(w, 1);
	simhost_snapshot(w->h, w->before);
	w->journal = rows_count(w->h, "journal");
	leases_define_passthrough(w, "one", "{'pool': 'front'}");
	leases_define_passthrough(w, "two", "{'pool': 'front'}");
	other = harness_client(w->h);
	for (int i = 0; i < RACES; i++) {
		int a = client_ask(w->c, "vm.start", i % 2 ? one : two);
		int b = client_ask(other, "vm.start", i % 2 ? two : one);
		AUTO_JSON struct json_object *first = client_answer(w->c, a);
		AUTO_JSON struct json_object *second = client_answer(other, b);
		struct json_object *won = json_get(first, "error") ? second : first;
		struct json_object *lost = won == first ? second : first;
		const char *winner = json_get_str(json_get(won, "result"), "name", "?");

		assert_int_equal(json_get_int(json_get(lost, "error"), "code", 0),
				 ERR_POOL_EXHAUSTED);
		leases_expect(w, "0000:10:10.0", winner, "in-use");
		assert_int_equal(rows_count(w->h, "lease"), 1);
		wins[!strcmp(winner, "two")]++;
		json_object_put(client_result(w->c, "vm.kill", strcmp(winner, "two") ? one : two));
		assert_int_equal(rows_count(w->h, "lease"), 0);
	}
	print_message("# %d races: one won %d, two %d\n", RACES, wins[0], wins[1]);
	leases_expect_clean(w);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, leases_teardown)
	const struct CMUnitTest tests[] = {
		T(test_made),  T(test_raised), T(test_deleted), T(test_set_by_hand),
		T(test_start), T(test_stop),   T(test_race),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
