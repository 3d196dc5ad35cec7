// SPDX-License-Identifier: MIT
/* Revisions of pools: who may change which, what was changed, what is exported, and the way back; on a simulated host. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/errcat.h"
#include "tests/functional/leases.h"
#include "tests/functional/rows.h"
#include "tests/functional/pools.h"
#include "tests/functional/scene.h"

static int setup(void **state)
{
	return leases_setup_pools(state, "8");
}

static const char *apply_if(const char *name, int vfs, int revision)
{
	static char text[600];

	snprintf(text, sizeof(text), "{'if_revision': %d, %s", revision,
		 pools_params(name, "['" PF "']", vfs) + 1);
	return text;
}

static void test_if_revision(void **state)
{
	static const char hint[] = "vmctl sriov pool history front shows who changed it";
	struct leases_world *w = *state;

	NEEDS_KVM;
	client_expect_error(w->c, "pool.apply", apply_if("front", 2, 1), ERR_POOL_REVISION,
			    "VF pool 'front' does not exist, revision 1 was expected", "");
	json_object_put(client_result(w->c, "pool.apply", apply_if("front", 2, 0)));
	client_expect_error(w->c, "pool.apply", apply_if("front", 2, 0), ERR_POOL_REVISION,
			    "VF pool 'front' exists already, at revision 1", hint);
	json_object_put(client_result(w->c, "pool.apply", apply_if("front", 3, 1)));
	client_expect_error(w->c, "pool.apply", apply_if("front", 4, 1), ERR_POOL_REVISION,
			    "VF pool 'front' is at revision 2, not 1", hint);
	pools_expect(w, "front", "ready", 3, 0, 3);
	client_expect_error(w->c, "pool.delete", "{'name': 'front', 'if_revision': 1}",
			    ERR_POOL_REVISION, "VF pool 'front' is at revision 2, not 1", hint);
	pools_expect(w, "front", "ready", 3, 0, 3);
	json_object_put(client_result(w->c, "pool.delete", "{'name': 'front', 'if_revision': 2}"));
	leases_wait_idle(w);
	pools_expect_pf(w, PF, 0, "down");
}

/* The one change of a list: its path, and what it goes to. */
static void expect_change(struct json_object *changes, const char *path, int to)
{
	assert_int_equal(json_object_array_length(changes), 1);
	assert_string_equal(json_get_str(json_object_array_get_idx(changes, 0), "path", ""), path);
	assert_int_equal(json_get_int(json_object_array_get_idx(changes, 0), "to", -1), to);
}

static void test_history(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *list = NULL, *diff = NULL, *file = NULL, *old = NULL,
				     *fresh = NULL, *page = NULL;

	NEEDS_KVM;
	pools_apply(w, "front", "['" PF "']", 2, "created");
	pools_apply(w, "front", "['" PF "']", 2, "unchanged");
	pools_apply(w, "front", "['" PF "']", 3, "updated");
	list = client_result(w->c, "pool.history", "{'name': 'front'}");
	assert_int_equal(json_get_int(list, "revision", 0), 2);
	assert_int_equal(json_object_array_length(json_get(list, "revisions")), 2);
	assert_int_equal(json_get_int(json_at(list, "/revisions/0"), "revision", 0), 2);
	expect_change(json_at(list, "/revisions/0/changes"), "/vfs", 3);
	assert_string_equal(json_get_str(json_at(list, "/revisions/1/actor"), "program", ""),
			    "test_pool_histo");
	assert_null(json_at(list, "/revisions/1/changes"));
	page = client_result(w->c, "pool.history", "{'name': 'front', 'limit': 1}");
	assert_true(json_get_bool(page, "more", false));
	diff = client_result(w->c, "pool.diff", "{'name': 'front', 'against': 1}");
	expect_change(json_get(diff, "changes"), "/vfs", 3);
	file = client_result(w->c, "pool.diff", pools_params("front", "['" PF "']", 7));
	expect_change(json_get(file, "changes"), "/vfs", 7);
	assert_true(json_get_bool(file, "exists", false));
	old = client_result(w->c, "pool.export", "{'name': 'front', 'revision': 1}");
	assert_int_equal(json_get_int(json_get(old, "definition"), "vfs", 0), 2);
	client_expect_error(w->c, "pool.export", "{'name': 'front', 'revision': 3}",
			    ERR_POOL_NO_REVISION, "VF pool 'front' has no revision 3",
			    "it is at revision 2: vmctl sriov pool history front");
	client_expect_error(
		w->c, "pool.history", "{'name': 'back'}", ERR_POOL_NOT_FOUND,
		"there is no VF pool 'back'",
		"vmctl sriov pool list shows those that there are; a file of kind: pool "
		"declares one");
	client_expect_error(w->c, "pool.diff", "{}", ERR_RPC_PARAMS,
			    "pool.diff: either 'pool', or 'name' with 'revision' or 'against'", "");
	leases_expect_error(w, "pool.diff", pools_params("front", "['ens1']", 7), ERR_INVALID,
			    "expected a PCI function of the host");
	/* over vmd's end, and not over the pool's */
	leases_end_vmd(w, SIGKILL);
	leases_begin_vmd(w, "ok", SCENE_LONG);
	leases_wait_idle(w);
	json_object_put(list);
	list = client_result(w->c, "pool.history", "{'name': 'front'}");
	assert_int_equal(json_object_array_length(json_get(list, "revisions")), 2);
	json_object_put(client_result(w->c, "pool.delete", "{'name': 'front'}"));
	assert_int_equal(rows_count(w->h, "pool_revision"), 0);
	fresh = client_result(w->c, "pool.diff", pools_params("front", "['" PF "']", 7));
	assert_false(json_get_bool(fresh, "exists", true));
	pools_apply(w, "front", "['" PF "']", 2, "created");
	json_object_put(list);
	list = client_result(w->c, "pool.history", "{'name': 'front'}");
	assert_int_equal(json_object_array_length(json_get(list, "revisions")), 1);
}

/* One more revision, and the VFs that it says; not while one of them is in use. */
static void test_revert(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *dry = NULL, *back = NULL, *same = NULL, *list = NULL;

	NEEDS_KVM;
	pools_apply(w, "front", "['" PF "']", 2, "created");
	pools_apply(w, "front", "['" PF "']", 3, "updated");
	dry = client_result(w->c, "pool.revert", "{'name': 'front', 'to': 1, 'dry_run': true}");
	assert_true(json_object_array_length(json_get(dry, "steps")) > 0);
	pools_expect(w, "front", "ready", 3, 0, 3);
	leases_define_passthrough(w, "one", "{'pool': 'front'}");
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'one'}"));
	leases_expect_error(w, "pool.revert", "{'name': 'front', 'to': 1}", ERR_POOL_IN_USE,
			    "belongs to VM 'one'");
	pools_stop_vm(w, "one");
	client_expect_error(w->c, "pool.revert", "{'name': 'front', 'to': 1, 'if_revision': 1}",
			    ERR_POOL_REVISION, "VF pool 'front' is at revision 2, not 1",
			    "vmctl sriov pool history front shows who changed it");
	back = client_result(w->c, "pool.revert", "{'name': 'front', 'to': 1, 'if_revision': 2}");
	assert_string_equal(json_get_str(back, "result", ""), "updated");
	assert_int_equal(json_get_int(back, "revision", 0), 3);
	pools_expect(w, "front", "ready", 2, 0, 2);
	same = client_result(w->c, "pool.revert", "{'name': 'front', 'to': 1}");
	assert_string_equal(json_get_str(same, "result", ""), "unchanged");
	list = client_result(w->c, "pool.history", "{'name': 'front'}");
	expect_change(json_at(list, "/revisions/0/changes"), "/vfs", 2);
	client_expect_error(w->c, "pool.revert", "{'name': 'front', 'to': 4}", ERR_POOL_NO_REVISION,
			    "VF pool 'front' has no revision 4",
			    "it is at revision 3: vmctl sriov pool history front");
	leases_expect_error(w, "pool.revert", "{'name': 'back', 'to': 1}", ERR_POOL_NOT_FOUND,
			    "there is no VF pool 'back'");
}

static void test_vmctl_revert(void **state)
{
	static struct harness_output o;
	struct leases_world *w = *state;

	NEEDS_KVM;
	pools_apply(w, "front", "['" PF "']", 2, "created");
	pools_apply(w, "front", "['" PF "']", 3, "updated");
	assert_int_equal(harness_vmctl(w->h, NULL, &o, "sriov", "pool", "revert", "front", NULL),
			 EXIT_USAGE);
	assert_non_null(strstr(o.err, "sriov pool revert needs --to N"));
	assert_int_equal(harness_vmctl(w->h, NULL, &o, "sriov", "pool", "revert", "front", "--to",
				       "1", "--dry-run", NULL),
			 0);
	assert_memory_equal(o.out, "front: would be as in revision 1\n  1. ", 38);
	pools_expect(w, "front", "ready", 3, 0, 3);
	assert_int_equal(harness_vmctl(w->h, NULL, &o, "sriov", "pool", "revert", "front", "--to",
				       "1", "-y", NULL),
			 0);
	assert_string_equal(o.out, "front: as in revision 1\n");
	pools_expect(w, "front", "ready", 2, 0, 2);
}

/* As people do it: what is exported is applied again, and nothing has changed. */
static void test_vmctl_revisions(void **state)
{
	static const char file[] = "kind: pool\nname: front\nvfs: 2\npfs: [\"" PF "\"]\n";
	static struct harness_output o;
	struct leases_world *w = *state;
	const char *path;

	NEEDS_KVM;
	path = harness_file(w->h, "pool.yaml", file);
	assert_int_equal(harness_vmctl(w->h, NULL, &o, "diff", "-f", path, NULL), 1);
	assert_non_null(strstr(o.out, "--- /dev/null\n"));
	assert_int_equal(harness_vmctl(w->h, NULL, &o, "apply", "-f", path, NULL), 0);
	assert_int_equal(harness_vmctl(w->h, NULL, &o, "diff", "-f", path, NULL), 0);
	assert_string_equal(o.out, "");
	path = harness_file(w->h, "pool.yaml",
			    "kind: pool\nname: front\nvfs: 5\npfs: [\"" PF "\"]\n");
	assert_int_equal(harness_vmctl(w->h, NULL, &o, "diff", "-f", path, NULL), 1);
	assert_non_null(strstr(o.out, "--- front (revision 1)\n"));
	assert_non_null(strstr(o.out, "/vfs: 5"));
	assert_int_equal(harness_vmctl(w->h, NULL, &o, "apply", "-f", path, NULL), 0);
	assert_int_equal(harness_vmctl(w->h, NULL, &o, "sriov", "pool", "history", "front", NULL),
			 0);
	assert_memory_equal(o.out, "REVISION ", 9);
	assert_non_null(strstr(o.out, "/vfs\n"));
	assert_non_null(strstr(o.out, "created\n"));
	assert_int_equal(
		harness_vmctl(w->h, NULL, &o, "sriov", "pool", "history", "front", "-q", NULL), 0);
	assert_string_equal(o.out, "2\n1\n");
	assert_int_equal(harness_vmctl(w->h, NULL, &o, "sriov", "pool", "export", "front", "-r",
				       "1", NULL),
			 0);
	assert_non_null(strstr(o.out, "vfs: 2\n"));
	assert_int_equal(harness_vmctl(w->h, NULL, &o, "sriov", "pool", "export", "front", NULL),
			 0);
	assert_non_null(strstr(o.out, "vfs: 5\n"));
	path = harness_file(w->h, "again.yaml", o.out);
	assert_int_equal(harness_vmctl(w->h, NULL, &o, "apply", "-f", path, NULL), 0);
	assert_non_null(strstr(o.out, "unchanged"));
	assert_int_equal(harness_vmctl(w->h, NULL, &o, "sriov", "pool", "export", "back", NULL),
			 EXIT_NOT_FOUND);
	assert_int_equal(harness_vmctl(w->h, NULL, &o, "sriov", "pool", "history", NULL),
			 EXIT_USAGE);
}

#define POOL_TEST(t) cmocka_unit_test_setup_teardown(t, setup, leases_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		POOL_TEST(test_if_revision),	 POOL_TEST(test_history),
		POOL_TEST(test_revert),		 POOL_TEST(test_vmctl_revert),
		POOL_TEST(test_vmctl_revisions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
