// SPDX-License-Identifier: MIT
/* Starts of VMs, and attaches, while their pool is being made, on a simulated host whose helper hangs. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/functional/leases.h"
#include "tests/functional/pools.h"
#include "tests/functional/rows.h"
#include "tests/functional/scene.h"

static int setup(void **state)
{
	return leases_setup_pools(state, "8");
}

/* Its VFs are being made, which hangs until let_go; a VM that wants one. The calls' ids. */
static void make_slowly(struct leases_world *w, const char *faults, int *ret_apply, int *ret_start)
{
	simhost_faults(w->h, faults);
	leases_define_passthrough(w, "one", "{'pool': 'front'}");
	*ret_apply = client_ask(w->c, "pool.apply", pools_params("front", "['" PF "']", 2));
	*ret_start = client_ask(w->c, "vm.start", "{'vm': 'one'}");
}

/* Once the helper hangs, it goes on. */
static void let_go(struct leases_world *w)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/sim/hang", simhost_root(w->h));
	do {
		json_object_put(client_result(w->c, "daemon.ping", NULL));
		fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	} while (fd < 0);
	close(fd);
}

/* The pool is in the database: what happens to vmd afterwards, it will be made. */
static void wait_written(struct leases_world *w)
{
	size_t n = 0;

	while (!n) {
		AUTO_JSON struct json_object *o = client_result(w->c, "pool.list", NULL);

		n = json_object_array_length(json_get(o, "pools"));
	}
}

/* The running job of an operation. */
static void expect_phase(struct leases_world *w, const char *op, const char *phase)
{
	AUTO_JSON struct json_object *o = client_result(w->c, "job.list", "{'state': 'running'}");
	struct json_object *jobs = json_get(o, "jobs");

	for (size_t i = 0; i < json_object_array_length(jobs); i++) {
		struct json_object *job = json_object_array_get_idx(jobs, i);

		if (strcmp(json_get_str(job, "op", ""), op) != 0)
			continue;
		assert_string_equal(json_get_str(job, "phase", ""), phase);
		return;
	}
	fail_msg("no job '%s' runs", op);
}

static int error_code(struct json_object *answer)
{
	return (int)json_get_int(json_get(answer, "error"), "code", 0);
}

/* Let it go on: how the pool ends, and how what waited for it does. That one's answer. */
static struct json_object *end_of_both(struct leases_world *w, int apply_id, int apply_code,
				       int wait_id, int wait_code)
{
	AUTO_JSON struct json_object *made = NULL;
	struct json_object *waited;

	let_go(w);
	made = client_answer(w->c, apply_id);
	waited = client_answer(w->c, wait_id);
	assert_int_equal(error_code(made), apply_code);
	assert_int_equal(error_code(waited), wait_code);
	return waited;
}

#define HANGS "{'op':'vfs','hang':true,'times':1}"

static void test_start_waits(void **state)
{
	struct leases_world *w = *state;
	int apply_id, start_id;

	NEEDS_KVM;
	make_slowly(w, "[" HANGS "]", &apply_id, &start_id);
	expect_phase(w, "start", "waiting for VF pool");
	scene_expect_state(w->c, "one", "starting");
	json_object_put(end_of_both(w, apply_id, 0, start_id, 0));
	pools_expect_lease(w, "one", 0, "0000:10:10.0", "pool front; NUMA node 0; 0 of 2 in use");
	pools_stop_vm(w, "one");
	pools_expect(w, "front", "ready", 2, 0, 2);
}

/* What it waited for does not come: of the second step of the pool, only some. */
static void test_start_waits_in_vain(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *started = NULL;
	int apply_id, start_id;

	NEEDS_KVM;
	make_slowly(w,
		    "[{'op':'link-up','hang':true,'times':1},"
		    "{'op':'vfs','at':'sriov_numvfs','count':1}]",
		    &apply_id, &start_id);
	started = end_of_both(w, apply_id, ERR_HOST_VFS, start_id, ERR_POOL_UNREADY);
	assert_string_equal(json_get_str(json_get(started, "error"), "message", ""),
			    "VF pool 'front' has no VFs yet: PF " PF " has none of 2");
	scene_expect_state(w->c, "one", "stopped");
}

/* Who waits can be stopped, at once, and has nothing. */
static void test_start_stopped_while_it_waits(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *started = NULL;
	int apply_id, start_id;

	NEEDS_KVM;
	make_slowly(w, "[" HANGS "]", &apply_id, &start_id);
	expect_phase(w, "start", "waiting for VF pool");
	pools_stop_vm(w, "one");
	started = client_answer(w->c, start_id);
	assert_int_equal(error_code(started), ERR_CANCELLED);
	scene_expect_state(w->c, "one", "stopped");
	wait_written(w);
	pools_expect(w, "front", "working", 0, 0, 0);
	let_go(w);
	json_object_put(client_answer(w->c, apply_id));
	pools_expect(w, "front", "ready", 2, 0, 2);
}

/* Twice --step-timeout; it is a pool behind another one, of which each step takes as long as it may. */
static void test_start_does_not_wait_for_ever(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *started = NULL;
	int apply_ids[2], start_id;

	NEEDS_KVM;
	leases_end_vmd(w, SIGTERM);
	leases_begin_vmd(w, "ok", SCENE_SHORT);
	apply_ids[0] = client_ask(w->c, "pool.apply", pools_params("back", "['" FAR "']", 2));
	make_slowly(w, "[{'op':'vfs','hang':true}]", &apply_ids[1], &start_id);
	started = client_answer(w->c, start_id);
	assert_int_equal(error_code(started), ERR_POOL_UNREADY);
	assert_string_equal(json_get_str(json_get(started, "error"), "message", ""),
			    "VF pool 'front' is still being made");
	scene_expect_state(w->c, "one", "stopped");
}

/* vmd ends in the middle of it; the next one makes the pool, and the VM is off. */
static void test_killed_while_it_waits(void **state)
{
	struct leases_world *w = *state;
	static const int signals[] = { SIGTERM, SIGKILL };
	int apply_id, start_id;

	NEEDS_KVM;
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		make_slowly(w, "[" HANGS "]", &apply_id, &start_id);
		expect_phase(w, "start", "waiting for VF pool");
		wait_written(w);
		leases_end_vmd(w, signals[i]);
		simhost_faults(w->h, "");
		leases_begin_vmd(w, "ok", SCENE_LONG);
		leases_wait_idle(w);
		scene_expect_state(w->c, "one", "stopped");
		pools_expect(w, "front", "ready", 2, 0, 2);
		json_object_put(client_result(w->c, "pool.delete", "{'name': 'front'}"));
	}
}

/* --- attach ------------------------------------------------------------------------------------------ */

static void run(struct leases_world *w)
{
	scene_define(w->c, "one", harness_file(w->h, "kernel", "not looked at"));
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'one'}"));
}

/* The same for a VM that runs. */
static void attach_slowly(struct leases_world *w, const char *faults, int *ret_apply,
			  int *ret_attach)
{
	simhost_faults(w->h, faults);
	*ret_apply = client_ask(w->c, "pool.apply", pools_params("front", "['" PF "']", 2));
	*ret_attach =
		client_ask(w->c, "vm.attach", "{'vm': 'one', 'passthrough': {'pool': 'front'}}");
	expect_phase(w, "attach", "waiting for VF pool");
}

static void expect_nothing_attached(struct leases_world *w)
{
	assert_int_equal(rows_count(w->h, "attachment"), 0);
	assert_int_equal(rows_count(w->h, "lease"), 0);
}

static void test_attach_waits(void **state)
{
	struct leases_world *w = *state;
	int apply_id, attach_id;

	NEEDS_KVM;
	run(w);
	attach_slowly(w, "[" HANGS "]", &apply_id, &attach_id);
	json_object_put(end_of_both(w, apply_id, 0, attach_id, 0));
	pools_expect_lease(w, "one", 0, "0000:10:10.0", "pool front; NUMA node 0; 0 of 2 in use");
	json_object_put(client_result(w->c, "vm.detach", "{'vm': 'one', 'device': 'pci0'}"));
	expect_nothing_attached(w);
	pools_expect(w, "front", "ready", 2, 0, 2);
}

static void test_attach_waits_in_vain(void **state)
{
	struct leases_world *w = *state;
	int apply_id, attach_id;

	NEEDS_KVM;
	run(w);
	attach_slowly(w,
		      "[{'op':'link-up','hang':true,'times':1},"
		      "{'op':'vfs','at':'sriov_numvfs','count':1}]",
		      &apply_id, &attach_id);
	json_object_put(end_of_both(w, apply_id, ERR_HOST_VFS, attach_id, ERR_POOL_UNREADY));
	expect_nothing_attached(w);
	scene_expect_state(w->c, "one", "running");
}

/* Its VM ends meanwhile: nothing is attached to it when the pool is there. */
static void test_attach_to_a_vm_that_ends(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *came = NULL;
	int apply_id, attach_id, stop_id;

	NEEDS_KVM;
	run(w);
	attach_slowly(w, "[" HANGS "]", &apply_id, &attach_id);
	stop_id = client_ask(w->c, "vm.stop", "{'vm': 'one'}");
	came = client_answer(w->c, attach_id);
	json_object_put(client_answer(w->c, stop_id));
	assert_int_equal(error_code(came), ERR_VM_STATE);
	assert_string_equal(json_get_str(json_get(came, "error"), "message", ""),
			    "VM 'one' stopped meanwhile");
	pools_expect(w, "front", "working", 0, 0, 0);
	let_go(w);
	json_object_put(client_answer(w->c, apply_id));
	pools_expect(w, "front", "ready", 2, 0, 2);
	expect_nothing_attached(w);
}

static void test_attach_does_not_wait_for_ever(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *came = NULL;
	int apply_ids[2], attach_id;

	NEEDS_KVM;
	leases_end_vmd(w, SIGTERM);
	leases_begin_vmd(w, "ok", SCENE_SHORT);
	run(w);
	simhost_faults(w->h, "[{'op':'vfs','hang':true}]");
	apply_ids[0] = client_ask(w->c, "pool.apply", pools_params("back", "['" FAR "']", 2));
	attach_slowly(w, "[{'op':'vfs','hang':true}]", &apply_ids[1], &attach_id);
	came = client_answer(w->c, attach_id);
	assert_int_equal(error_code(came), ERR_POOL_UNREADY);
	assert_string_equal(json_get_str(json_get(came, "error"), "message", ""),
			    "VF pool 'front' is still being made");
	expect_nothing_attached(w);
	scene_expect_state(w->c, "one", "running");
}

/* vmd dies in the middle of it: the next one has made the pool, and nothing is attached. */
static void test_killed_while_an_attach_waits(void **state)
{
	struct leases_world *w = *state;
	int apply_id, attach_id;

	NEEDS_KVM;
	run(w);
	attach_slowly(w, "[" HANGS "]", &apply_id, &attach_id);
	wait_written(w);
	leases_end_vmd(w, SIGKILL);
	simhost_faults(w->h, "");
	leases_begin_vmd(w, "ok", SCENE_LONG);
	leases_wait_idle(w);
	scene_expect_state(w->c, "one", "running");
	pools_expect(w, "front", "ready", 2, 0, 2);
	expect_nothing_attached(w);
}

#define POOL_TEST(t) cmocka_unit_test_setup_teardown(t, setup, leases_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		POOL_TEST(test_start_waits),
		POOL_TEST(test_start_waits_in_vain),
		POOL_TEST(test_start_stopped_while_it_waits),
		POOL_TEST(test_start_does_not_wait_for_ever),
		POOL_TEST(test_killed_while_it_waits),
		POOL_TEST(test_attach_waits),
		POOL_TEST(test_attach_waits_in_vain),
		POOL_TEST(test_attach_to_a_vm_that_ends),
		POOL_TEST(test_attach_does_not_wait_for_ever),
		POOL_TEST(test_killed_while_an_attach_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
