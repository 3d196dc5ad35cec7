// SPDX-License-Identifier: MIT
/*
 * Devices that come to running VMs and leave them: a guest that deals with them (tests/guest/hotplug.c) in the real vmm,
 * and devices of a simulated host with a fake one, whatever ends in between.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/errcat.h"
#include "tests/functional/crash.h"
#include "tests/functional/rows.h"
#include "tests/functional/scene.h"
#include "tests/functional/simhost.h"

#define VF "0000:10:10.1"

struct world {
	struct harness *h;
	struct client *c;
	char before[SIMHOST_SNAPSHOT], after[SIMHOST_SNAPSHOT];
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->h = harness_new();
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* it cannot look for them under ptrace */
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	harness_free(w->h);
	free(w);
	return 0;
}

static struct json_object *get(struct world *w)
{
	return client_result(w->c, "vm.get", "{'vm': 'one'}");
}

static void expect_code(struct world *w, const char *method, const char *params, int code,
			const char *message)
{
	AUTO_JSON struct json_object *o = client_error(w->c, method, params);

	assert_string_equal(json_get_str(o, "message", ""), message);
	assert_int_equal(json_get_int(o, "code", 0), code);
}

/* --- a guest that knows how --------------------------------------------------------------------------- */

static void start_guest(struct world *w, const char *cmdline)
{
	w->c = scene_start_guest(w->h, "hotplug", cmdline, "'profile': 'micro'");
	scene_says(w->c, "^waits for devices");
}

static void attach_disk(struct world *w, const char *more)
{
	char text[65536 + 1] = "hello from a disk", params[512];
	const char *path;

	memset(text + 17, '.', sizeof(text) - 18);
	path = harness_file(w->h, "disk", text);
	snprintf(params, sizeof(params),
		 "{'vm': 'one', 'device': {'type': 'virtio-blk', 'path': '%s'}%s}", path, more);
	json_object_put(client_result(w->c, "vm.attach", params));
}

static void test_come_and_go(void **state)
{
	struct world *w = *state;
	AUTO_JSON struct json_object *rng = NULL, *went = NULL;

	NEEDS_KVM;
	start_guest(w, "");
	rng = client_result(w->c, "vm.attach",
			    "{'vm': 'one', 'device': {'type': 'virtio-rng', 'id': 'rng7'}}");
	assert_string_equal(json_get_str(rng, "address", ""), "00:02.0");
	scene_says(w->c, "^entropy from slot 02");
	attach_disk(w, "");
	scene_says(w->c, "^hello from a dis on the disk in slot 03");
	scene_expect_attachments(w->c, "one", "rng7 attached, disk0 attached");
	/* an attached one, one of the definition, and the slot anew */
	went = client_result(w->c, "vm.detach", "{'vm': 'one', 'device': 'rng7'}");
	assert_true(json_get_bool(went, "changed", false));
	scene_says(w->c, "^let go of slot 02");
	json_object_put(client_result(w->c, "vm.detach", "{'vm': 'one', 'device': 'rng0'}"));
	scene_expect_attachments(w->c, "one", "disk0 attached, rng0 detached");
	json_object_put(client_result(w->c, "vm.attach",
				      "{'vm': 'one', 'device': {'type': 'virtio-rng', 'id': "
				      "'rng8', 'address': '00:0a.0'}}"));
	scene_says(w->c, "^entropy from slot 10");
	/* the next start has the devices of the definition */
	json_object_put(client_result(w->c, "vm.restart",
				      "{'vm': 'one', 'force': true,"
				      " 'timeout_ms': 0}"));
	scene_expect_attachments(w->c, "one", "");
}

static void test_refused(void **state)
{
	struct world *w = *state;

	NEEDS_KVM;
	start_guest(w, "");
	expect_code(w, "vm.attach", "{'vm': 'one'}", ERR_RPC_PARAMS,
		    "vm.attach: needs device, passthrough or disk, one of them");
	expect_code(w, "vm.attach", "{'vm': 'one', 'device': {'type': 'virtio-rng'}}",
		    ERR_VM_DEVICE_EXISTS,
		    "the VM's profile has that device already, and this one has no name");
	expect_code(w, "vm.attach", "{'vm': 'one', 'device': {'type': 'virtio-rng', 'ide': 'x'}}",
		    ERR_INVALID, "/devices/0/ide: unknown key 'ide'; did you mean 'id'?");
	expect_code(w, "vm.attach", "{'vm': 'one', 'device': {'type': 'serial', 'port': 'com2'}}",
		    ERR_VM_DEVICE_FIXED,
		    "a device of type serial cannot be added to a VM that runs");
	expect_code(w, "vm.attach",
		    "{'vm': 'one', 'device': {'type': 'virtio-blk', 'path': '/nosuch/file'}}",
		    ERR_FILE, "disk 'disk0' '/nosuch/file': No such file or directory");
	expect_code(w, "vm.detach", "{'vm': 'one', 'device': 'nope'}", ERR_VM_NO_DEVICE,
		    "VM 'one' has no device 'nope'");
	expect_code(w, "vm.detach", "{'vm': 'one', 'device': 'com1'}", ERR_VM_DEVICE_FIXED,
		    "device 'com1' of type serial cannot be removed from a VM that runs");
	expect_code(w, "vm.detach", "{'vm': 'one', 'device': 'rng0', 'persist': true}",
		    ERR_VM_DEVICE_FIXED,
		    "device 'rng0' is of the profile, not of an entry of the definition");
	scene_expect_attachments(w->c, "one", "");
	json_object_put(client_result(w->c, "vm.kill", "{'vm': 'one'}"));
	expect_code(w, "vm.detach", "{'vm': 'one', 'device': 'rng0'}", ERR_VM_STATE,
		    "VM 'one' is stopped");
}

/* It has time until the timeout, and can be asked again, by another vmd too. */
static void test_deaf_guest(void **state)
{
	struct world *w = *state;

	NEEDS_KVM;
	start_guest(w, "deaf=2");
	attach_disk(w, "");
	expect_code(w, "vm.detach", "{'vm': 'one', 'device': 'disk0', 'timeout_ms': 100}",
		    ERR_TIMEOUT,
		    "the guest of VM 'one' did not let go of device 'disk0' within 0.1 s");
	scene_says(w->c, "^does not hear of slot 02");
	scene_expect_attachments(w->c, "one", "disk0 detaching");
	client_close(w->h, w->c);
	harness_vmd_end(w->h, SIGKILL);
	harness_vmd(w->h, NULL, "--cgroup", "none", NULL);
	w->c = harness_client(w->h);
	scene_expect_attachments(w->c, "one", "disk0 detaching");
	expect_code(w, "vm.detach", "{'vm': 'one', 'device': 'disk0', 'timeout_ms': 100}",
		    ERR_TIMEOUT,
		    "the guest of VM 'one' did not let go of device 'disk0' within 0.1 s");
	json_object_put(client_result(w->c, "vm.detach", "{'vm': 'one', 'device': 'disk0'}"));
	scene_expect_attachments(w->c, "one", "");
}

/* What a guest was asked for goes when it is reset: nobody uses it then. */
static void test_reset_takes_it_away(void **state)
{
	struct world *w = *state;

	NEEDS_KVM;
	start_guest(w, "deaf=9");
	attach_disk(w, "");
	json_object_put(client_result(w->c, "event.subscribe", NULL));
	json_object_put(client_result(w->c, "vm.detach",
				      "{'vm': 'one', 'device': 'disk0', 'wait': false}"));
	json_object_put(client_result(w->c, "vm.reset", "{'vm': 'one'}"));
	json_object_put(client_event(w->c, "device.detached", NULL));
	scene_expect_attachments(w->c, "one", "");
}

static void test_persist(void **state)
{
	struct world *w = *state;
	AUTO_JSON struct json_object *with = NULL, *without = NULL;

	NEEDS_KVM;
	start_guest(w, "");
	attach_disk(w, ", 'persist': true");
	with = get(w);
	assert_int_equal(json_get_int(with, "revision", 0), 2);
	assert_string_equal(json_object_get_string(json_at(with, "/definition/devices/0/id")),
			    "disk0");
	json_object_put(client_result(w->c, "vm.detach",
				      "{'vm': 'one', 'device': 'disk0', 'persist': true}"));
	without = get(w);
	assert_int_equal(json_get_int(without, "revision", 0), 3);
	assert_null(json_at(without, "/definition/devices"));
}

/* --- devices of the host ------------------------------------------------------------------------------ */

static void begin_vmd(struct world *w, const char *fake)
{
	harness_vmd(w->h, fake, "--sysroot", simhost_root(w->h), "--cgroup", "none",
		    "--step-timeout", SCENE_LONG, "--log-level", "error", NULL);
	w->c = harness_client(w->h);
}

static void begin_sim(struct world *w, const char *fake)
{
	simhost_make(w->h);
	begin_vmd(w, fake);
	scene_define(w->c, "one", harness_file(w->h, "kernel", "not looked at"));
	simhost_snapshot(w->h, w->before);
	json_object_put(client_result(w->c, "vm.start", "{'vm': 'one'}"));
}

#define ATTACH "{'vm': 'one', 'passthrough': {'pci': '" VF "', 'mac': '52:54:00:00:00:07'}}"
#define DETACH "{'vm': 'one', 'device': 'pci0', 'timeout_ms': 15000}"

/* The host is as it was, and no row says otherwise. */
static void expect_clean(struct world *w)
{
	scene_expect_attachments(w->c, "one", "");
	simhost_snapshot(w->h, w->after);
	assert_string_equal(w->after, w->before);
	assert_int_equal(rows_count(w->h, "lease"), 0);
	assert_int_equal(rows_count(w->h, "journal"), 0);
	assert_int_equal(rows_count(w->h, "attachment"), 0);
}

static void expect_has(struct world *w)
{
	AUTO_JSON struct json_object *o = client_result(w->c, "lease.list", NULL);
	struct json_object *lease = json_at(o, "/leases/0");

	scene_expect_attachments(w->c, "one", "pci0 attached");
	assert_string_equal(json_get_str(lease, "pci", ""), VF);
	assert_string_equal(json_get_str(lease, "state", ""), "in-use");
	assert_string_equal(simhost_driver(w->h, VF), "vfio-pci");
	assert_int_equal(rows_count(w->h, "lease"), 1);
}

static void test_vf(void **state)
{
	struct world *w = *state;
	AUTO_JSON struct json_object *came = NULL;

	NEEDS_KVM;
	begin_sim(w, "ok");
	came = client_result(w->c, "vm.attach", ATTACH);
	assert_string_equal(json_get_str(came, "pci", ""), VF);
	expect_has(w);
	json_object_put(client_error(w->c, "vm.attach", ATTACH));
	expect_has(w);
	json_object_put(client_result(w->c, "vm.detach", DETACH));
	expect_clean(w);
	scene_expect_state(w->c, "one", "running");
	/* and with the VM */
	json_object_put(client_result(w->c, "vm.attach", ATTACH));
	json_object_put(client_result(w->c, "vm.stop", "{'vm': 'one'}"));
	expect_clean(w);
}

/* All of it is said, and nothing done: also why not. */
static void test_dry_run(void **state)
{
	struct world *w = *state;
	AUTO_JSON struct json_object *o = NULL;
	struct json_object *device;

	NEEDS_KVM;
	begin_sim(w, "ok");
	o = client_result(w->c, "vm.attach",
			  "{'vm': 'one', 'passthrough': {'pci': '" VF "', 'mac': "
			  "'52:54:00:00:00:07'}, 'dry_run': true}");
	assert_string_equal(json_get_str(o, "pci", ""), VF);
	assert_string_equal(json_get_str(o, "note", ""), "would be attached");
	assert_false(json_get_bool(o, "changed", true));
	device = json_at(o, "/plan/devices/0");
	assert_string_equal(json_get_str(device, "device", ""), "pci0");
	assert_string_equal(json_get_str(device, "pci", ""), VF);
	assert_int_equal(json_object_array_length(json_get(device, "steps")), 5);
	assert_string_equal(json_get_str(json_at(device, "/steps/2"), "do", ""),
			    "set MAC 52:54:00:00:00:07 on VF 1 of 0000:10:00.0");
	assert_int_equal(json_get_int(json_get(o, "plan"), "pinned", 0), 64 << 20);
	expect_clean(w);
	expect_code(w, "vm.attach",
		    "{'vm': 'one', 'passthrough': {'pci': '0000:77:00.0'}, 'dry_run': true}",
		    ERR_PCI_NOT_FOUND, "the host has no PCI device 0000:77:00.0");
	json_object_put(client_result(w->c, "vm.attach", ATTACH));
	json_object_put(client_error(w->c, "vm.attach",
				     "{'vm': 'one', 'passthrough': {'pci': '" VF
				     "', 'id': 'two'}, 'dry_run': true}"));
	expect_has(w);
}

static void test_vmm_refuses(void **state)
{
	struct world *w = *state;

	NEEDS_KVM;
	begin_sim(w, "add-refuse");
	expect_code(w, "vm.attach", ATTACH, ERR_VFIO_DEVICE, "the fake does not like it");
	expect_clean(w);
}

/* The VM ends with a device that its guest was asked for in vain: it goes back with the rest. */
static void test_kept_until_the_end(void **state)
{
	struct world *w = *state;

	NEEDS_KVM;
	begin_sim(w, "keeps");
	json_object_put(client_result(w->c, "vm.attach", ATTACH));
	json_object_put(client_error(w->c, "vm.detach",
				     "{'vm': 'one', 'device': 'pci0', 'timeout_ms': 50}"));
	scene_expect_attachments(w->c, "one", "pci0 detaching");
	json_object_put(client_result(w->c, "vm.kill", "{'vm': 'one'}"));
	expect_clean(w);
}

/* The VM is killed while its device is on the way. */
static void test_killed_meanwhile(void **state)
{
	struct world *w = *state;
	struct client *other;

	NEEDS_KVM;
	begin_sim(w, "ok");
	other = harness_client(w->h);
	for (int i = 0; i < 20; i++) {
		int a = client_ask(w->c, "vm.attach", ATTACH), k;

		k = client_ask(other, "vm.kill", "{'vm': 'one'}");
		json_object_put(client_answer(w->c, a));
		json_object_put(client_answer(other, k));
		json_object_put(client_result(w->c, "vm.wait", "{'vm': 'one', 'for': 'stopped'}"));
		expect_clean(w);
		json_object_put(client_result(w->c, "vm.start", "{'vm': 'one'}"));
	}
}

/* --- vmd is killed at each step ----------------------------------------------------------------------- */

/* True: it was killed at its n-th step, and another has begun. */
static bool ask_and_die(struct world *w, const char *method, const char *params, unsigned int n)
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
	begin_vmd(w, "ok");
	return true;
}

/* Once nothing moves any more: does the VM have it? */
static bool settled(struct world *w)
{
	for (;;) {
		AUTO_JSON struct json_object *jobs =
			client_result(w->c, "job.list", "{'state': 'running'}");
		AUTO_JSON struct json_object *vm = get(w);
		struct json_object *a = json_at(vm, "/attachments/0");
		const char *state = json_get_str(a, "state", "");

		assert_string_equal(json_get_str(json_get(vm, "observed"), "state", ""), "running");
		if (json_object_array_length(json_get(jobs, "jobs")))
			continue;
		if (!a || !strcmp(state, "attached"))
			return a;
	}
}

static void every_step(struct world *w, bool attach)
{
	unsigned int n = 0;
	bool has;

	NEEDS_KVM;
	if (!crash_possible())
		SKIP_BECAUSE("ptrace(2) is not permitted");
	begin_sim(w, "ok");
	do {
		has = settled(w);
		if (has)
			expect_has(w);
		else
			expect_clean(w);
		if (has == attach)
			json_object_put(client_result(w->c, attach ? "vm.detach" : "vm.attach",
						      attach ? DETACH : ATTACH));
	} while (ask_and_die(w, attach ? "vm.attach" : "vm.detach", attach ? ATTACH : DETACH, ++n));
	assert_int_equal(settled(w), attach);
	print_message("# %s: %u steps\n", attach ? "attach" : "detach", n - 1);
	assert_in_range(n, 20, 1000);
}

static void test_attach_at_each_step(void **state)
{
	every_step(*state, true);
}

static void test_detach_at_each_step(void **state)
{
	every_step(*state, false);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_come_and_go),
		T(test_refused),
		T(test_deaf_guest),
		T(test_reset_takes_it_away),
		T(test_persist),
		T(test_vf),
		T(test_dry_run),
		T(test_vmm_refuses),
		T(test_kept_until_the_end),
		T(test_killed_meanwhile),
		T(test_attach_at_each_step),
		T(test_detach_at_each_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
