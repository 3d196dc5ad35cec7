// SPDX-License-Identifier: MIT
/*
 * Devices of the host in VMs, on a simulated host (simhost.h) with a fake vmm: who gets one, what happens to it, and that
 * the host is as it was after each of the ways in which a VM, a start or vmd can end. FIELD 1.1.
 */
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/functional/crash.h"
#include "tests/functional/harness.h"
#include "tests/functional/scene.h"
#include "tests/functional/simhost.h"
#include "tests/lib/skip.h"
#include "tests/lib/tempdir.h"

#define VF "0000:10:10.1"
#define NVME "0000:90:00.2"

struct world {
	struct harness *h;
	struct client *c; /* NULL where there is no KVM */
	char before[SIMHOST_SNAPSHOT], after[SIMHOST_SNAPSHOT];
};

static void begin_vmd(struct world *w, const char *fake, const char *timeout)
{
	harness_vmd(w->h, fake, "--sysroot", simhost_root(w->h), "--cgroup", "none",
		    "--step-timeout", timeout, "--log-level", "error", NULL);
	w->c = harness_client(w->h);
}

static void end_vmd(struct world *w, int signal)
{
	client_close(w->h, w->c);
	harness_vmd_end(w->h, signal);
}

/* A VM with these devices of the host; NULL: one fewer. */
static void define(struct world *w, const char *name, const char *first, const char *second)
{
	char params[1024], device[2][128] = { "", "" };

	if (first)
		snprintf(device[0], sizeof(device[0]), "{'type': 'vfio-pci', 'pci': '%s'}", first);
	if (second)
		snprintf(device[1], sizeof(device[1]), ",{'type': 'vfio-pci', 'pci': '%s'}",
			 second);
	snprintf(params, sizeof(params),
		 "{'definition': {'name': '%s', 'memory': '64MiB', 'boot': {'kernel': '%s'},"
		 " 'devices': [%s%s]}}",
		 name, harness_file(w->h, "kernel", "not looked at"), device[0], device[1]);
	json_object_put(client_result(w->c, "vm.apply", params));
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	*state = w;
	w->h = harness_new();
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* it cannot look for them under ptrace */
	if (!harness_has_kvm())
		return 0;
	simhost_make(w->h);
	begin_vmd(w, "ok", SCENE_LONG);
	define(w, "one", VF, NVME);
	define(w, "two", VF, NULL);
	simhost_snapshot(w->h, w->before);
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	simhost_faults(w->h, "");
	harness_free(w->h);
	free(w);
	return 0;
}

/* --- what is looked at ---------------------------------------------------------------------------- */

static int64_t count_rows(struct world *w, const char *table)
{
	char path[300], sql[64];
	sqlite3_stmt *stmt;
	sqlite3 *db;
	int64_t n;

	snprintf(path, sizeof(path), "%s/state.db", w->h->state_dir);
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", table);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	n = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return n;
}

static struct json_object *lease_of(struct world *w, const char *pci)
{
	AUTO_JSON struct json_object *o = client_result(w->c, "lease.list", NULL);
	struct json_object *list = json_get(o, "leases");

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *lease = json_object_array_get_idx(list, i);

		if (!strcmp(json_get_str(lease, "pci", ""), pci))
			return json_object_get(lease);
	}
	return NULL;
}

static void expect_lease(struct world *w, const char *pci, const char *vm, const char *state)
{
	AUTO_JSON struct json_object *lease = lease_of(w, pci);

	assert_string_equal(json_get_str(lease, "vm", ""), vm);
	assert_string_equal(json_get_str(lease, "state", ""), state);
}

/* Everything is back: the host as it was, no row that says otherwise. */
static void expect_clean(struct world *w)
{
	simhost_snapshot(w->h, w->after);
	assert_string_equal(w->after, w->before);
	assert_int_equal(count_rows(w, "lease"), 0);
	assert_int_equal(count_rows(w, "journal"), 0);
}

static void expect_taken(struct world *w)
{
	expect_lease(w, VF, "one", "in-use");
	expect_lease(w, NVME, "one", "in-use");
	assert_string_equal(simhost_driver(w->h, VF), "vfio-pci");
	assert_string_equal(simhost_driver(w->h, NVME), "vfio-pci");
}

/* The error's code, and what its message has in it. */
static void expect_error(struct world *w, const char *method, const char *params, int code,
			 const char *part)
{
	AUTO_JSON struct json_object *o = client_error(w->c, method, params);

	assert_int_equal(json_get_int(o, "code", 0), code);
	if (!strstr(json_get_str(o, "message", ""), part))
		fail_msg("'%s' does not say '%s'", json_get_str(o, "message", ""), part);
}

/* --- as it should be ------------------------------------------------------------------------------ */

static void test_start_and_stop(void **state)
{
	struct world *w = *state;
	AUTO_JSON struct json_object *vm = NULL, *nvme = NULL;

	NEEDS_KVM;
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'one'}"));
	expect_taken(w);
	nvme = simhost_step(w->h, "{'op':'nvme-get','pf':'0000:90:00.0','vf':1}");
	assert_true(json_get_bool(nvme, "online", false));
	vm = client_result(w->c, "vm.get", "{'vm': 'one'}");
	assert_int_equal(json_object_array_length(json_get(vm, "leases")), 2);
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'one'}"));
	expect_clean(w);
}

static void test_kill_restart_and_crash(void **state)
{
	struct world *w = *state;

	NEEDS_KVM;
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'one'}"));
	json_object_put(client_result(w->c, "vm.kill", "{'vm': 'one'}"));
	expect_clean(w);
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'one'}"));
	json_object_put(client_result(w->c, "vm.restart", "{'vm': 'one'}"));
	expect_taken(w);
	kill(scene_pid(w->c, "one"), SIGKILL);
	json_object_put(client_result(w->c, "vm.wait", "{'vm': 'one', 'for': 'stopped'}"));
	expect_clean(w);
}

/* A dry run says all of it, and does none. */
static void test_dry_run(void **state)
{
	struct world *w = *state;
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
	expect_clean(w);
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'one'}"));
	expect_error(w, "vm.start", "{'vm': 'two', 'dry_run': true}", ERR_LEASE_TAKEN,
		     "device " VF " belongs to VM 'one' since ");
}

/* The monitor hears how much it may lock before it knows its configuration: memory, BARs and a margin. */
static void test_memlock(void **state)
{
	struct world *w = *state;
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
	define(w, "plain", NULL, NULL);
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
	struct world *w = *state;

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
	struct world *w = *state;
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

/* --- refused ---------------------------------------------------------------------------------------- */

static void test_refused(void **state)
{
	struct world *w = *state;

	NEEDS_KVM;
	define(w, "gone", "0000:77:00.0", NULL);
	client_expect_error(w->c, "vm.start", "{'vm': 'gone'}", ERR_PCI_NOT_FOUND,
			    "the host has no PCI device 0000:77:00.0",
			    "vmctl pci list shows what there is; addresses change when cards are "
			    "added or moved");
	define(w, "vital", "0000:00:19.0", NULL);
	expect_error(w, "vm.start", "{'vm': 'vital'}", ERR_PCI_VITAL, "default route");
	/* the second is not to be had: the first is not kept */
	define(w, "half", NVME, "0000:77:00.0");
	expect_error(w, "vm.start", "{'vm': 'half'}", ERR_PCI_NOT_FOUND, "0000:77:00.0");
	expect_clean(w);
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
	struct world *w = *state;

	NEEDS_KVM;
	json_object_put(simhost_step(w->h, "{'op':'driver','pci':'" VF "','driver':'vfio-pci'}"));
	client_expect_error(w->c, "vm.start", "{'vm': 'two'}", ERR_LEASE_STRAY,
			    "device " VF " was bound to vfio-pci by somebody else than vmd",
			    "echo > /sys/bus/pci/devices/" VF "/driver_override; "
			    "echo " VF " > /sys/bus/pci/drivers/vfio-pci/unbind");
	assert_string_equal(simhost_driver(w->h, VF), "vfio-pci");
	assert_int_equal(count_rows(w, "lease"), 0);
}

/* The VM's device was another one when it ran last. */
static void test_other_device(void **state)
{
	struct world *w = *state;
	char path[300];
	sqlite3 *db;

	NEEDS_KVM;
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'two'}"));
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'two'}"));
	end_vmd(w, SIGTERM);
	snprintf(path, sizeof(path), "%s/state.db", w->h->state_dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db,
				      "UPDATE device SET identity ="
				      " json_set(identity, '$.vendor', '15b3')",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	assert_int_equal(sqlite3_changes(db), 1);
	sqlite3_close(db);
	begin_vmd(w, "ok", SCENE_LONG);
	expect_error(w, "vm.start", "{'vm': 'two'}", ERR_LEASE_OTHER,
		     "another device is at " VF " than VM 'two' had there: "
		     "vendor 8086 instead of 15b3");
	expect_clean(w);
}

/* --- settings of VFs ------------------------------------------------------------------------------ */

/* As a pool's devices have them, put into the configuration of VM 'two'. */
static void set_properties(struct world *w, const char *json)
{
	char path[300], sql[512];
	sqlite3 *db;

	end_vmd(w, SIGTERM);
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
	begin_vmd(w, "ok", SCENE_LONG);
}

static void test_vf_settings(void **state)
{
	struct world *w = *state;
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
	expect_clean(w);
}

/* Of a VF that no VM has, and of an interface of the host's. */
static void test_mac_in_use(void **state)
{
	struct world *w = *state;

	NEEDS_KVM;
	json_object_put(simhost_step(w->h, "{'op':'vf-set','pf':'0000:10:00.0','vf':3,"
					   "'set':{'mac':'52:54:00:00:00:77'}}"));
	simhost_snapshot(w->h, w->before);
	set_properties(w, "{\"mac\":\"52:54:00:00:00:77\"}");
	expect_error(w, "vm.start", "{'vm': 'two'}", ERR_LEASE_MAC,
		     "MAC address 52:54:00:00:00:77 is that of VF 0000:10:10.3");
	expect_clean(w);
	tempdir_file(w->h->dir, "host/sys/class/net/br0/address", "52:54:00:00:00:88\n");
	set_properties(w, "{\"mac\":\"52:54:00:00:00:88\"}");
	expect_error(w, "vm.start", "{'vm': 'two'}", ERR_LEASE_MAC,
		     "MAC address 52:54:00:00:00:88 is that of the host's interface br0");
	expect_clean(w);
}

/* A card keeps addresses over a reboot: they are put back, the rest is forgotten. */
static void test_reboot_keeps_mac(void **state)
{
	struct world *w = *state;
	int pidfd;
	pid_t pid;

	NEEDS_KVM;
	set_properties(w, "{\"mac\":\"52:54:00:00:00:77\"}");
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'two'}"));
	pid = scene_pid(w->c, "two");
	pidfd = harness_pidfd(pid);
	end_vmd(w, SIGKILL);
	kill(pid, SIGKILL);
	harness_wait_pidfd(pidfd);
	simhost_reboot(w->h);
	simhost_vfs(w->h);
	json_object_put(simhost_step(w->h, "{'op':'vf-set','pf':'0000:10:00.0','vf':1,"
					   "'set':{'mac':'52:54:00:00:00:77'}}"));
	begin_vmd(w, "ok", SCENE_LONG);
	json_object_put(client_result(w->c, "vm.wait", "{'vm': 'two', 'for': 'stopped'}"));
	expect_clean(w);
}

/* --- what fails ------------------------------------------------------------------------------------- */

/* A monitor that dies or is refused at each step of a start. */
static void test_start_fails(void **state)
{
	static const char *const fakes[] = { "die-hello", "die-configure", "die-start",
					     "garbage",	  "refuse",	   "last-words" };
	struct world *w = *state;

	NEEDS_KVM;
	for (size_t i = 0; i < ARRAY_SIZE(fakes); i++) {
		end_vmd(w, SIGTERM);
		begin_vmd(w, fakes[i], SCENE_LONG);
		json_object_put(client_error(w->c, "vm.start", "{'vm': 'one'}"));
		expect_clean(w);
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
	struct world *w = *state;

	NEEDS_KVM;
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		AUTO_JSON struct json_object *o = NULL;

		simhost_faults(w->h, faults[i]);
		o = client_error(w->c, "vm.start", "{'vm': 'one'}");
		print_message("# %s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
		assert_non_null(
			strstr(json_get_str(o, "message", ""), "VM 'one' does not get device "));
		simhost_faults(w->h, "");
		expect_clean(w);
	}
}

/* A reset that fails at the end: nobody gets the device until it was looked at. */
static void test_quarantine(void **state)
{
	struct world *w = *state;
	AUTO_JSON struct json_object *event = NULL, *lease = NULL;

	NEEDS_KVM;
	json_object_put(client_result(w->c, "event.subscribe", NULL));
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'one'}"));
	simhost_faults(w->h, "[{'op':'reset','pci':'" VF "','error':'ENOTTY'}]");
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'one'}"));
	event = client_event(w->c, "device.quarantined", NULL);
	assert_string_equal(json_get_str(json_get(event, "data"), "pci", ""), VF);
	lease = lease_of(w, VF);
	assert_string_equal(json_get_str(lease, "state", ""), "quarantined");
	assert_non_null(strstr(json_get_str(lease, "quarantine", ""), "reset"));
	assert_null(lease_of(w, NVME)); /* the other one is free */
	expect_error(w, "vm.start", "{'vm': 'two'}", ERR_LEASE_BAD,
		     "is in quarantine since VM 'one' had it: ");
	json_object_put(client_error(w->c, "pci.release", "{'pci': '" VF "'}"));
	expect_lease(w, VF, "one", "quarantined");
	/* it stays there over vmd's end, and comes back when the cause is gone */
	end_vmd(w, SIGKILL);
	begin_vmd(w, "ok", SCENE_LONG);
	expect_lease(w, VF, "one", "quarantined");
	simhost_faults(w->h, "");
	json_object_put(client_result(w->c, "pci.release", "{'pci': '" VF "'}"));
	expect_clean(w);
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'two'}"));
}

/* A process still has it open: its unbind would wait for that process, so it is not begun. */
static void test_still_held(void **state)
{
	struct world *w = *state;
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
	lease = lease_of(w, VF);
	assert_string_equal(json_get_str(lease, "state", ""), "quarantined");
	assert_non_null(strstr(json_get_str(lease, "quarantine", ""),
			       "process 4242 (holder) has device " VF " open ("));
	assert_string_equal(simhost_driver(w->h, VF), "vfio-pci"); /* not touched */
	expect_error(w, "pci.release", "{'pci': '" VF "'}", ERR_LEASE_HELD, "stays in quarantine");
	assert_int_equal(unlink(path), 0);
	json_object_put(client_result(w->c, "pci.release", "{'pci': '" VF "'}"));
	expect_clean(w);
}

/* An unbind that the kernel does not come back from: vmd does. */
static void test_hang(void **state)
{
	struct world *w = *state;
	AUTO_JSON struct json_object *lease = NULL, *error = NULL;
	int id;

	NEEDS_KVM;
	define(w, "three", NVME, NULL);
	end_vmd(w, SIGTERM);
	begin_vmd(w, "ok", SCENE_SHORT);
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'two'}"));
	simhost_faults(w->h, "[{'op':'driver','pci':'" VF "','at':'unbind','hang':true}]");
	id = client_ask(w->c, "vm.stop", "{'vm': 'two'}");
	json_object_put(client_result(w->c, "daemon.ping", NULL));
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'three'}"));
	json_object_put(client_answer(w->c, id));
	lease = lease_of(w, VF);
	assert_string_equal(json_get_str(lease, "state", ""), "quarantined");
	assert_memory_equal(json_get_str(lease, "quarantine", ""), "stuck: ", 7);
	error = client_error(w->c, "vm.start", "{'vm': 'two'}");
	assert_int_equal(json_get_int(error, "code", 0), ERR_LEASE_BAD);
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'three'}"));
	simhost_faults(w->h, "");
	json_object_put(client_result(w->c, "pci.release", "{'pci': '" VF "'}"));
	expect_clean(w);
}

/* The VFs are removed while a VM has one: there is nothing to give back, and nothing is kept. */
static void test_vanished(void **state)
{
	struct world *w = *state;

	NEEDS_KVM;
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'two'}"));
	json_object_put(
		simhost_step(w->h, "{'op':'vfs','pf':'0000:10:00.0','count':0,'autoprobe':true}"));
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'two'}"));
	assert_int_equal(count_rows(w, "lease"), 0);
	assert_int_equal(count_rows(w, "journal"), 0);
	expect_error(w, "vm.start", "{'vm': 'two'}", ERR_PCI_NOT_FOUND, VF);
}

/* --- vmd ends, and the next one --------------------------------------------------------------------- */

/* The VM runs on, and its devices are still its. */
static void test_vmd_ends(void **state)
{
	static const int signals[] = { SIGTERM, SIGKILL };
	struct world *w = *state;

	NEEDS_KVM;
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'one'}"));
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		end_vmd(w, signals[i]);
		begin_vmd(w, "ok", SCENE_LONG);
		scene_expect_state(w->c, "one", "running");
		expect_taken(w);
	}
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'one'}"));
	expect_clean(w);
}

/* Both have ended: the next vmd gives back what the VM had. */
static void test_both_end(void **state)
{
	struct world *w = *state;
	int pidfd;
	pid_t pid;

	NEEDS_KVM;
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'one'}"));
	pid = scene_pid(w->c, "one");
	pidfd = harness_pidfd(pid);
	end_vmd(w, SIGKILL);
	kill(pid, SIGKILL);
	harness_wait_pidfd(pidfd);
	begin_vmd(w, "ok", SCENE_LONG);
	json_object_put(client_result(w->c, "vm.wait", "{'vm': 'one', 'for': 'stopped'}"));
	expect_clean(w);
}

/* Nothing of a lease outlives the machine's start; the host is as it is after one. */
static void test_reboot(void **state)
{
	struct world *w = *state;
	int pidfd;
	pid_t pid;

	NEEDS_KVM;
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'one'}"));
	pid = scene_pid(w->c, "one");
	pidfd = harness_pidfd(pid);
	end_vmd(w, SIGKILL);
	kill(pid, SIGKILL);
	harness_wait_pidfd(pidfd);
	simhost_reboot(w->h);
	simhost_vfs(w->h);
	begin_vmd(w, "ok", SCENE_LONG);
	json_object_put(client_result(w->c, "vm.wait", "{'vm': 'one', 'for': 'stopped'}"));
	expect_clean(w);
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'one'}"));
	expect_taken(w);
}

/* --- vmd is killed at each step ------------------------------------------------------------------------ */

/* Ask, and let vmd come to its n-th step or to the answer. True: it was killed, and another has begun. */
static bool ask_and_die(struct world *w, const char *method, unsigned int n)
{
	struct crash crash = { .kill_at = n };
	int status;

	crash_attach(&crash, w->h->vmd);
	client_ask(w->c, method, "{'vm': 'two'}");
	if (crash_run(&crash, client_fd(w->c), &status)) {
		json_object_put(client_next(w->c));
		crash_detach(&crash);
		return false;
	}
	assert_true(WIFSIGNALED(status));
	client_close(w->h, w->c);
	w->h->vmd = 0;
	begin_vmd(w, "ok", SCENE_LONG);
	return true;
}

/* What the VM is once nothing moves any more: "running", or "stopped". */
static const char *settled(struct world *w)
{
	static char state[16];
	bool moves = true;

	while (moves) {
		AUTO_JSON struct json_object *jobs =
			client_result(w->c, "job.list", "{'state': 'running'}");
		AUTO_JSON struct json_object *vm = client_result(w->c, "vm.get", "{'vm': 'two'}");

		snprintf(state, sizeof(state), "%s",
			 json_get_str(json_get(vm, "observed"), "state", ""));
		moves = json_object_array_length(json_get(jobs, "jobs")) ||
			(strcmp(state, "running") != 0 && strcmp(state, "stopped") != 0);
	}
	return state;
}

static void expect_exact(struct world *w)
{
	if (!strcmp(settled(w), "stopped")) {
		expect_clean(w);
		return;
	}
	expect_lease(w, VF, "two", "in-use");
	assert_string_equal(simhost_driver(w->h, VF), "vfio-pci");
	assert_int_equal(count_rows(w, "lease"), 1);
}

static void every_step(struct world *w, const char *method, bool running)
{
	unsigned int n = 0;

	NEEDS_KVM;
	if (!crash_possible())
		SKIP_BECAUSE("ptrace(2) is not permitted");
	do {
		bool runs = !strcmp(settled(w), "running");

		if (runs != running)
			json_object_put(client_result(w->c, running ? "vm.start" : "vm.stop",
						      "{'vm': 'two'}"));
		expect_exact(w);
	} while (ask_and_die(w, method, ++n));
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
	struct world *w = *state;
	struct client *other;

	NEEDS_KVM;
	define(w, "one", VF, NULL);
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
		assert_int_equal(count_rows(w, "lease"), 0);
	}
	expect_clean(w);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_start_and_stop),
		T(test_kill_restart_and_crash),
		T(test_dry_run),
		T(test_events),
		T(test_vmctl),
		T(test_memlock),
		T(test_refused),
		T(test_stray),
		T(test_vf_settings),
		T(test_mac_in_use),
		T(test_reboot_keeps_mac),
		T(test_other_device),
		T(test_start_fails),
		T(test_step_fails),
		T(test_quarantine),
		T(test_still_held),
		T(test_hang),
		T(test_vanished),
		T(test_vmd_ends),
		T(test_both_end),
		T(test_reboot),
		T(test_start_at_each_step),
		T(test_stop_at_each_step),
		T(test_race),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
