// SPDX-License-Identifier: MIT
/* Devices of the host in VMs: the host is as it was after each of the ways in which a start or a stop can fail. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/functional/leases.h"
#include "tests/functional/rows.h"
#include "tests/functional/scene.h"
#include "tests/lib/tempdir.h"

/* --- what fails ------------------------------------------------------------------------------------- */

/* A monitor that dies or is refused at each step of a start. */
static void test_start_fails(void **state)
{
	static const char *const fakes[] = { "die-hello", "die-configure", "die-start",
					     "garbage",	  "refuse",	   "last-words" };
	struct leases_world *w = *state;

	NEEDS_KVM;
	for (size_t i = 0; i < ARRAY_SIZE(fakes); i++) {
		leases_end_vmd(w, SIGTERM);
		leases_begin_vmd(w, fakes[i], SCENE_LONG);
		json_object_put(client_error(w->c, "vm.start", "{'vm': 'one'}"));
		leases_expect_clean(w);
	}
}

/* The kernel says no to one step: what was done before it is undone, the error says which. */
static void test_step_fails(void **state)
{
	static const char *const faults[] = {
		"[{'op':'driver','pci':'" NVME "','at':'drivers_probe','error':'EIO'}]",
		"[{'op':'driver','pci':'" VF "','at':'unbind','error':'EBUSY','times':1}]",
		"[{'op':'nvme-vf','error':'EIO','times':1}]",
		"[{'op':'reset','pci':'" NVME "','error':'ENOTTY','times':1}]",
		"[{'op':'vf-set','error':'EOPNOTSUPP','times':1}]",
		/* the kernel names a way to reset it, and never has one: no reason to keep it from the host */
		"[{'op':'reset','pci':'" NVME "','error':'ENOTTY'}]",
	};
	struct leases_world *w = *state;

	NEEDS_KVM;
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		AUTO_JSON struct json_object *o = NULL;

		simhost_faults(w->h, faults[i]);
		o = client_error(w->c, "vm.start", "{'vm': 'one'}");
		print_message("# %s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
		assert_non_null(
			strstr(json_get_str(o, "message", ""), "VM 'one' does not get device "));
		simhost_faults(w->h, "");
		leases_expect_clean(w);
	}
}

/* A reset that fails at the end: nobody gets the device until it was looked at. */
static void test_quarantine(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *event = NULL, *lease = NULL;

	NEEDS_KVM;
	json_object_put(client_result(w->c, "event.subscribe", NULL));
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'one'}"));
	simhost_faults(w->h, "[{'op':'reset','pci':'" VF "','error':'ENOTTY'}]");
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'one'}"));
	event = client_event(w->c, "device.quarantined", NULL);
	assert_string_equal(json_get_str(json_get(event, "data"), "pci", ""), VF);
	lease = leases_find(w, VF);
	assert_string_equal(json_get_str(lease, "state", ""), "quarantined");
	assert_non_null(strstr(json_get_str(lease, "quarantine", ""), "reset"));
	assert_null(leases_find(w, NVME)); /* the other one is free */
	leases_expect_error(w, "vm.start", "{'vm': 'two'}", ERR_LEASE_BAD,
			    "is in quarantine since VM 'one' had it: ");
	json_object_put(client_error(w->c, "pci.release", "{'pci': '" VF "'}"));
	leases_expect(w, VF, "one", "quarantined");
	/* it stays there over vmd's end, and comes back when the cause is gone */
	leases_end_vmd(w, SIGKILL);
	leases_begin_vmd(w, "ok", SCENE_LONG);
	leases_expect(w, VF, "one", "quarantined");
	simhost_faults(w->h, "");
	json_object_put(client_result(w->c, "pci.release", "{'pci': '" VF "'}"));
	leases_expect_clean(w);
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'two'}"));
}

/* A process still has it open: its unbind would wait for that process, so it is not begun. */
static void test_still_held(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *lease = NULL;
	char path[300], group[300], to[64];
	ssize_t n;

	NEEDS_KVM;
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'two'}"));
	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/" VF "/iommu_group",
		 simhost_root(w->h));
	n = readlink(path, group, sizeof(group) - 1);
	group[MAX(n, 0)] = '\0';
	snprintf(to, sizeof(to), "/dev/vfio/%s", strrchr(group, '/') + 1);
	tempdir_file(w->h->dir, "host/proc/4242/comm", "holder\n");
	tempdir_file(w->h->dir, "host/proc/4242/fd/none", "");
	snprintf(path, sizeof(path), "%s/proc/4242/fd/7", simhost_root(w->h));
	assert_int_equal(symlink(to, path), 0);
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'two'}"));
	lease = leases_find(w, VF);
	assert_string_equal(json_get_str(lease, "state", ""), "quarantined");
	assert_non_null(strstr(json_get_str(lease, "quarantine", ""),
			       "process 4242 (holder) has device " VF " open ("));
	assert_string_equal(simhost_driver(w->h, VF), "vfio-pci"); /* not touched */
	leases_expect_error(w, "pci.release", "{'pci': '" VF "'}", ERR_LEASE_HELD,
			    "stays in quarantine");
	assert_int_equal(unlink(path), 0);
	json_object_put(client_result(w->c, "pci.release", "{'pci': '" VF "'}"));
	leases_expect_clean(w);
}

/* An unbind that the kernel does not come back from: vmd does. */
static void test_hang(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *lease = NULL, *error = NULL;
	int id;

	NEEDS_KVM;
	leases_define(w, "three", NVME, NULL);
	leases_end_vmd(w, SIGTERM);
	leases_begin_vmd(w, "ok", SCENE_SHORT);
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'two'}"));
	simhost_faults(w->h, "[{'op':'driver','pci':'" VF "','at':'unbind','hang':true}]");
	id = client_ask(w->c, "vm.stop", "{'vm': 'two'}");
	json_object_put(client_result(w->c, "daemon.ping", NULL));
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'three'}"));
	json_object_put(client_answer(w->c, id));
	lease = leases_find(w, VF);
	assert_string_equal(json_get_str(lease, "state", ""), "quarantined");
	assert_memory_equal(json_get_str(lease, "quarantine", ""), "stuck: ", 7);
	error = client_error(w->c, "vm.start", "{'vm': 'two'}");
	assert_int_equal(json_get_int(error, "code", 0), ERR_LEASE_BAD);
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'three'}"));
	simhost_faults(w->h, "");
	json_object_put(client_result(w->c, "pci.release", "{'pci': '" VF "'}"));
	leases_expect_clean(w);
}

/* The VFs are removed while a VM has one: there is nothing to give back, and nothing is kept. */
static void test_vanished(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'two'}"));
	json_object_put(
		simhost_step(w->h, "{'op':'vfs','pf':'0000:10:00.0','count':0,'autoprobe':true}"));
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'two'}"));
	assert_int_equal(rows_count(w->h, "lease"), 0);
	assert_int_equal(rows_count(w->h, "journal"), 0);
	leases_expect_error(w, "vm.start", "{'vm': 'two'}", ERR_PCI_NOT_FOUND, VF);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, leases_setup, leases_teardown)
	const struct CMUnitTest tests[] = {
		T(test_start_fails), T(test_step_fails), T(test_quarantine),
		T(test_still_held),  T(test_hang),	 T(test_vanished),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
