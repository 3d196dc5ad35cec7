// SPDX-License-Identifier: MIT
/*
 * Devices of the host in VMs, on a simulated host (simhost.h) with a fake vmm: who gets one, and what happens to it. What
 * fails is in test_lease_fail.c, ends of vmd in test_lease_crash.c. FIELD 1.1.
 */
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"
#include "tests/functional/leases.h"
#include "tests/functional/rows.h"
#include "tests/functional/scene.h"
#include "tests/lib/tempdir.h"

/* --- as it should be ------------------------------------------------------------------------------ */

static void test_start_and_stop(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *vm = NULL, *nvme = NULL;

	NEEDS_KVM;
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'one'}"));
	leases_expect_taken(w);
	nvme = simhost_step(w->h, "{'op':'nvme-get','pf':'0000:90:00.0','vf':1}");
	assert_true(json_get_bool(nvme, "online", false));
	vm = client_result(w->c, "vm.get", "{'vm': 'one'}");
	assert_int_equal(json_object_array_length(json_get(vm, "leases")), 2);
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'one'}"));
	leases_expect_clean(w);
}

static void test_kill_restart_and_crash(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'one'}"));
	json_object_put(client_result(w->c, "vm.kill", "{'vm': 'one'}"));
	leases_expect_clean(w);
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'one'}"));
	json_object_put(client_result(w->c, "vm.restart", "{'vm': 'one'}"));
	leases_expect_taken(w);
	kill(scene_pid(w->c, "one"), SIGKILL);
	json_object_put(client_result(w->c, "vm.wait", "{'vm': 'one', 'for': 'stopped'}"));
	leases_expect_clean(w);
}

/* A dry run says all of it, and does none. */
static void test_dry_run(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *o = NULL;
	struct json_object *plan, *device, *step;

	NEEDS_KVM;
	o = client_result(w->c, "vm.start", "{'vm': 'two', 'dry_run': true}");
	plan = json_get(o, "plan");
	device = json_object_array_get_idx(json_get(plan, "devices"), 0);
	assert_string_equal(json_get_str(device, "pci", ""), VF);
	assert_string_equal(json_get_str(device, "reason", ""), "the VM names its address");
	assert_int_equal(json_object_array_length(json_get(device, "steps")), 5);
	step = json_object_array_get_idx(json_get(device, "steps"), 3);
	assert_string_equal(json_get_str(step, "do", ""), "bind " VF " to vfio-pci");
	assert_int_equal(json_get_int(plan, "pinned", 0), 64 << 20);
	assert_true(json_get_int(plan, "memlock", 0) > 64 << 20);
	leases_expect_clean(w);
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'one'}"));
	leases_expect_error(w, "vm.start", "{'vm': 'two', 'dry_run': true}", ERR_LEASE_TAKEN,
			    "device " VF " belongs to VM 'one' since ");
}

/* The monitor hears how much it may lock before it knows its configuration: memory, BARs and a margin. */
static void test_memlock(void **state)
{
	struct leases_world *w = *state;
	char path[64], text[4096] = "", *at;
	FILE *f;
	size_t n;

	NEEDS_KVM;
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'two'}"));
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)scene_pid(w->c, "two"));
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	for (size_t i = 0; i < n; i++)
		text[i] = text[i] ? text[i] : ' ';
	at = strstr(text, " --memlock ");
	assert_non_null(at);
	assert_in_range(strtoull(at + strlen(" --memlock "), NULL, 10), 128ull << 20, 256ull << 20);
	/* none for a VM without such devices */
	leases_define(w, "plain", NULL, NULL);
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'plain'}"));
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)scene_pid(w->c, "plain"));
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	assert_null(memmem(text, n, "--memlock", strlen("--memlock")));
}

/* What people see of all that. */
static void test_vmctl(void **state)
{
	static struct harness_output o;
	struct leases_world *w = *state;

	NEEDS_KVM;
	assert_int_equal(harness_vmctl(w->h, NULL, &o, "start", "-n", "two", NULL), 0);
	assert_string_equal(o.out,
			    "two: would start\n"
			    "  pci0: " VF ", the VM names its address\n"
			    "    1. check that " VF " is clean\n"
			    "       undo: check that " VF " is clean\n"
			    "    2. unbind " VF ", without override\n"
			    "       undo: bind " VF " to igbvf, without override\n"
			    "    3. set MAC 00:00:00:00:00:00 on VF 1 of 0000:10:00.0\n"
			    "       undo: set MAC 00:00:00:00:00:00 on VF 1 of 0000:10:00.0\n"
			    "    4. bind " VF " to vfio-pci\n"
			    "       undo: unbind " VF ", without override\n"
			    "    5. reset " VF "\n"
			    "       undo: reset " VF "\n"
			    "  memory pinned: 64.0M; the monitor may lock 128M\n");
	assert_int_equal(harness_vmctl(w->h, NULL, &o, "start", "one", NULL), 0);
	assert_int_equal(harness_vmctl(w->h, NULL, &o, "lease", "list", "-q", NULL), 0);
	assert_string_equal(o.out, VF "\n" NVME "\n");
	assert_int_equal(harness_vmctl(w->h, NULL, &o, "lease", "list", "two", NULL), 0);
	assert_string_equal(o.out, "PCI  VM  DEVICE  STATE  SINCE  WHY\n");
	assert_int_equal(harness_vmctl(w->h, NULL, &o, "show", "one", NULL), 0);
	assert_non_null(strstr(o.out, VF "  pci0    in-use  "));
	assert_int_equal(harness_vmctl(w->h, NULL, &o, "pci", "show", VF, NULL), 0);
	assert_non_null(strstr(o.out, "in-use"));
	assert_int_equal(harness_vmctl(w->h, NULL, &o, "start", "two", NULL), EXIT_CONFLICT);
	assert_non_null(strstr(o.err, "hint: vmctl stop one gives it back\n"
				      "code: E2100 (lease.taken)\n"));
	assert_int_equal(harness_vmctl(w->h, NULL, &o, "pci", "release", VF, NULL), EXIT_USAGE);
	assert_int_equal(harness_vmctl(w->h, NULL, &o, "pci", "release", "-y", VF, NULL),
			 EXIT_CONFLICT);
}

static void test_events(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *leased = NULL, *released = NULL;

	NEEDS_KVM;
	json_object_put(client_result(w->c, "event.subscribe", NULL));
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'two'}"));
	leased = client_event(w->c, "device.leased", NULL);
	assert_string_equal(json_get_str(json_get(leased, "data"), "pci", ""), VF);
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'two'}"));
	released = client_event(w->c, "device.released", NULL);
	assert_string_equal(json_get_str(json_get(released, "data"), "device", ""), "pci0");
}

/* The time that they took is a phase of its own. */
static void test_phase(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *o = NULL;

	NEEDS_KVM;
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'one'}"));
	o = client_result(w->c, "vm.timeline", "{'vm': 'one'}");
	assert_string_equal(json_get_str(json_at(o, "/starts/0/phases/0"), "phase", ""), "plan");
	assert_string_equal(json_get_str(json_at(o, "/starts/0/phases/1"), "phase", ""), "devices");
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'one'}"));
}

/* --- refused ---------------------------------------------------------------------------------------- */

static void test_refused(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	leases_define(w, "gone", "0000:77:00.0", NULL);
	client_expect_error(w->c, "vm.start", "{'vm': 'gone'}", ERR_PCI_NOT_FOUND,
			    "the host has no PCI device 0000:77:00.0",
			    "vmctl pci list shows what there is; addresses change when cards are "
			    "added or moved");
	leases_define(w, "vital", "0000:00:19.0", NULL);
	leases_expect_error(w, "vm.start", "{'vm': 'vital'}", ERR_PCI_VITAL, "default route");
	/* the second is not to be had: the first is not kept */
	leases_define(w, "half", NVME, "0000:77:00.0");
	leases_expect_error(w, "vm.start", "{'vm': 'half'}", ERR_PCI_NOT_FOUND, "0000:77:00.0");
	leases_expect_clean(w);
	client_expect_error(w->c, "pci.release", "{'pci': '10:10.1'}", ERR_LEASE_NOT_FOUND,
			    "no VM has device " VF ", and it is not in quarantine",
			    "vmctl pci show " VF " shows what it is");
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'one'}"));
	client_expect_error(w->c, "pci.release", "{'pci': '" VF "'}", ERR_LEASE_TAKEN,
			    "device " VF " is not in quarantine: VM 'one' has it (in-use)",
			    "vmctl stop one gives it back");
	client_expect_error(w->c, "vm.delete", "{'vm': 'one'}", ERR_VM_STATE, "VM 'one' is running",
			    "stop it first: vmctl stop one");
}

/* Bound to vfio-pci by somebody else: never taken, and left as it is. */
static void test_stray(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	json_object_put(simhost_step(w->h, "{'op':'driver','pci':'" VF "','driver':'vfio-pci'}"));
	client_expect_error(w->c, "vm.start", "{'vm': 'two'}", ERR_LEASE_STRAY,
			    "device " VF " was bound to vfio-pci by somebody else than vmd",
			    "echo > /sys/bus/pci/devices/" VF "/driver_override; "
			    "echo " VF " > /sys/bus/pci/drivers/vfio-pci/unbind");
	assert_string_equal(simhost_driver(w->h, VF), "vfio-pci");
	assert_int_equal(rows_count(w->h, "lease"), 0);
}

/* The VM's device was another one when it ran last. */
static void test_other_device(void **state)
{
	struct leases_world *w = *state;
	char path[300];
	sqlite3 *db;

	NEEDS_KVM;
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'two'}"));
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'two'}"));
	leases_end_vmd(w, SIGTERM);
	snprintf(path, sizeof(path), "%s/state.db", w->h->state_dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db,
				      "UPDATE device SET identity ="
				      " json_set(identity, '$.vendor', '15b3')",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_changes(db), 1);
	sqlite3_close(db);
	leases_begin_vmd(w, "ok", SCENE_LONG);
	leases_expect_error(w, "vm.start", "{'vm': 'two'}", ERR_LEASE_OTHER,
			    "another device is at " VF " than VM 'two' had there: "
			    "vendor 8086 instead of 15b3");
	leases_expect_clean(w);
}

/* A card was added, and the one that the VM had is somewhere else: the wrong one is nobody's. */
static void test_card_added(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	json_object_put(
		simhost_step(w->h, "{'op':'vfs','pf':'0000:10:00.0','count':0,'autoprobe':true}"));
	leases_define(w, "card", "0000:10:00.0", NULL);
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'card'}"));
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'card'}"));
	leases_end_vmd(w, SIGTERM);
	simhost_renumber(w->h);
	simhost_snapshot(w->h, w->before);
	leases_begin_vmd(w, "ok", SCENE_LONG);
	client_expect_error(
		w->c, "vm.start", "{'vm': 'card'}", ERR_LEASE_OTHER,
		"another device is at 0000:10:00.0 than VM 'card' had there: serial number "
		"00-1b-21-ff-fe-00-00-63 instead of 00-1b-21-ff-fe-00-00-01, MAC "
		"00:1b:21:00:00:63 instead of 00:1b:21:00:00:01, slot 99 instead of 1",
		"name its new address; or, to take this one, its identity beside the "
		"address: {vendor: \"8086\", device: \"10c9\"}");
	leases_expect_clean(w);
	leases_define(w, "card", "0000:20:00.0", NULL);
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'card'}"));
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'card'}"));
	leases_expect_clean(w);
}

/* Of the same vendor and device: only the one that is meant changes its driver, and the next one can go to another VM. */
static void test_siblings(void **state)
{
	static const char *const siblings[] = { "0000:10:10.0", "0000:10:10.2", "0000:10:10.3" };
	struct leases_world *w = *state;

	NEEDS_KVM;
	leases_define(w, "next", siblings[1], NULL);
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'two'}"));
	assert_string_equal(simhost_driver(w->h, VF), "vfio-pci");
	for (size_t i = 0; i < ARRAY_SIZE(siblings); i++)
		assert_string_equal(simhost_driver(w->h, siblings[i]), "igbvf");
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'next'}"));
	leases_expect(w, siblings[1], "next", "in-use");
	assert_string_equal(simhost_driver(w->h, siblings[0]), "igbvf");
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'two'}"));
	assert_string_equal(simhost_driver(w->h, siblings[1]), "vfio-pci");
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'next'}"));
	leases_expect_clean(w);
}

/* --- settings of VFs ------------------------------------------------------------------------------ */

/* As a pool's devices have them, put into the configuration of VM 'two'. */
static void set_properties(struct leases_world *w, const char *json)
{
	char path[300], sql[512];
	sqlite3 *db;

	leases_end_vmd(w, SIGTERM);
	snprintf(path, sizeof(path), "%s/state.db", w->h->state_dir);
	snprintf(sql, sizeof(sql),
		 "UPDATE revision SET config = json_set(config, '$.devices[#-1]',"
		 " json_patch(json_extract(config, '$.devices[#-1]'), '%s'))"
		 " WHERE vm = (SELECT id FROM vm WHERE name = 'two')",
		 json);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_changes(db), 1);
	sqlite3_close(db);
	leases_begin_vmd(w, "ok", SCENE_LONG);
}

static void test_vf_settings(void **state)
{
	struct leases_world *w = *state;
	AUTO_JSON struct json_object *vf = NULL;

	NEEDS_KVM;
	set_properties(w, "{\"mac\":\"52:54:00:00:00:77\",\"vlan\":100,\"trust\":true,"
			  "\"rate\":{\"min\":0,\"max\":1000}}");
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'two'}"));
	vf = simhost_step(w->h, "{'op':'vf-get','pf':'0000:10:00.0','vf':1}");
	assert_string_equal(json_get_str(vf, "mac", ""), "52:54:00:00:00:77");
	assert_int_equal(json_get_int(vf, "vlan", 0), 100);
	assert_true(json_get_bool(vf, "trust", false));
	assert_int_equal(json_get_int(vf, "max_tx_rate", 0), 1000);
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'two'}"));
	leases_expect_clean(w);
}

/* Of a VF that no VM has, and of an interface of the host's. */
static void test_mac_in_use(void **state)
{
	struct leases_world *w = *state;

	NEEDS_KVM;
	json_object_put(simhost_step(w->h, "{'op':'vf-set','pf':'0000:10:00.0','vf':3,"
					   "'set':{'mac':'52:54:00:00:00:77'}}"));
	simhost_snapshot(w->h, w->before);
	set_properties(w, "{\"mac\":\"52:54:00:00:00:77\"}");
	leases_expect_error(w, "vm.start", "{'vm': 'two'}", ERR_LEASE_MAC,
			    "MAC address 52:54:00:00:00:77 is that of VF 0000:10:10.3");
	leases_expect_clean(w);
	tempdir_file(w->h->dir, "host/sys/class/net/br0/address", "52:54:00:00:00:88\n");
	set_properties(w, "{\"mac\":\"52:54:00:00:00:88\"}");
	leases_expect_error(w, "vm.start", "{'vm': 'two'}", ERR_LEASE_MAC,
			    "MAC address 52:54:00:00:00:88 is that of the host's interface br0");
	leases_expect_clean(w);
}

/* A card keeps addresses over a reboot: they are put back, the rest is forgotten. */
static void test_reboot_keeps_mac(void **state)
{
	struct leases_world *w = *state;
	int pidfd;
	pid_t pid;

	NEEDS_KVM;
	set_properties(w, "{\"mac\":\"52:54:00:00:00:77\"}");
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'two'}"));
	pid = scene_pid(w->c, "two");
	pidfd = harness_pidfd(pid);
	leases_end_vmd(w, SIGKILL);
	kill(pid, SIGKILL);
	harness_wait_pidfd(pidfd);
	simhost_reboot(w->h);
	simhost_vfs(w->h);
	json_object_put(simhost_step(w->h, "{'op':'vf-set','pf':'0000:10:00.0','vf':1,"
					   "'set':{'mac':'52:54:00:00:00:77'}}"));
	leases_begin_vmd(w, "ok", SCENE_LONG);
	json_object_put(client_result(w->c, "vm.wait", "{'vm': 'two', 'for': 'stopped'}"));
	leases_expect_clean(w);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, leases_setup, leases_teardown)
	const struct CMUnitTest tests[] = {
		T(test_start_and_stop), T(test_kill_restart_and_crash),
		T(test_dry_run),	T(test_events),
		T(test_phase),		T(test_vmctl),
		T(test_memlock),	T(test_refused),
		T(test_stray),		T(test_vf_settings),
		T(test_mac_in_use),	T(test_reboot_keeps_mac),
		T(test_other_device),	T(test_card_added),
		T(test_siblings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
