// SPDX-License-Identifier: MIT
/*
 * Drives of an AHCI controller, as vmd and vmctl have them: media change, drives that come and go
 * while the VM runs, what is refused of them, locks of images.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"
#include "tests/functional/drives.h"
#include "tests/functional/scene.h"

static void test_media(void **state)
{
	struct harness *h = *state;

	NEEDS_KVM;
	drives_start_guest(h, "modern", "ahci");
	drives_expect_change(h);
}

static void expect_attach(struct harness *h, const char *device, const char *path,
			  const char *option, const char *value)
{
	struct harness_output got;
	char want[128];

	assert_int_equal(harness_vmctl(h, NULL, &got, "attach", "one", "disk", path, "--ahci",
				       "ahci0", option, value, NULL),
			 0);
	snprintf(want, sizeof(want), "one: %s attached\n", device);
	assert_string_equal(got.out, want);
}

static void test_come_and_go(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *event = NULL;
	struct harness_output got;
	struct client *c;

	NEEDS_KVM;
	c = drives_start_guest(h, "modern", "ahci");
	expect_attach(h, "ahci0.1", drives_image(h, "one"), NULL, NULL);
	event = client_event(c, "device.attached", NULL);
	assert_string_equal(json_get_str(json_at(event, "/data"), "controller", ""), "ahci0");
	assert_int_equal(json_get_int(json_at(event, "/data"), "unit", -1), 1);
	expect_attach(h, "ahci0.5", drives_image(h, "far"), "--unit", "5");
	expect_attach(h, "named", drives_image(h, "named"), "--id", "named");
	scene_expect_attachments(c, "one", "ahci0.1 attached, ahci0.5 attached, named attached");
	assert_int_equal(harness_vmctl(h, NULL, &got, "show", "one", NULL), 0);
	assert_non_null(strstr(got.out, "ahci0 unit 5"));
	/* one that came, one of the definition, and a place anew */
	json_object_put(client_result(c, "vm.detach", "{'vm': 'one', 'device': 'ahci0.1'}"));
	json_object_put(client_result(c, "vm.detach", "{'vm': 'one', 'device': 'ahci0.0'}"));
	expect_attach(h, "ahci0.1", drives_image(h, "two"), "--unit", "1");
	scene_expect_attachments(
		c, "one", "ahci0.5 attached, named attached, ahci0.0 detached, ahci0.1 attached");
	/* the next start has the drives of the definition */
	json_object_put(
		client_result(c, "vm.restart", "{'vm': 'one', 'force': true, 'timeout_ms': 0}"));
	scene_expect_attachments(c, "one", "");
}

static void test_rates(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *set = NULL, *no = NULL;
	struct client *c;

	NEEDS_KVM;
	c = drives_start_guest(h, "modern", "ahci");
	set = client_result(c, "vm.set_rate",
			    "{'vm': 'one', 'device': 'ahci0.0', 'ops_per_second': 7}");
	assert_int_equal(json_get_int(set, "ops_per_second", 0), 7);
	assert_true(json_get_bool(set, "changed", false));
	no = client_error(c, "vm.resize", "{'vm': 'one', 'device': 'ahci0.0'}");
	assert_int_equal(json_get_int(no, "code", 0), ERR_VM_DEVICE_FIXED);
	assert_string_equal(json_get_str(no, "message", ""), "disk 'ahci0.0' keeps its size");
}

/* An empty drive, and what is put into it; kept for the next start */
static void test_persist(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *vm = NULL;
	struct harness_output got;
	struct client *c;

	NEEDS_KVM;
	c = drives_start_guest(h, "modern", "ahci");
	assert_int_equal(harness_vmctl(h, NULL, &got, "attach", "one", "cdrom", "--ahci", "ahci0",
				       "--id", "cd1", "--persist", NULL),
			 0);
	assert_int_equal(harness_vmctl(h, NULL, &got, "media", "one", "cd1", drives_image(h, "cd"),
				       NULL),
			 0);
	json_object_put(
		client_result(c, "vm.restart", "{'vm': 'one', 'force': true, 'timeout_ms': 0}"));
	vm = client_result(c, "vm.get", "{'vm': 'one'}");
	assert_int_equal(json_get_int(vm, "revision", 0), 2);
	assert_int_equal(harness_vmctl(h, NULL, &got, "media", "one", NULL), 0);
	assert_non_null(strstr(got.out, "cd1"));
	assert_int_equal(harness_vmctl(h, NULL, &got, "detach", "one", "cd1", "--persist", NULL),
			 0);
	assert_int_equal(harness_vmctl(h, NULL, &got, "media", "one", NULL), 0);
	assert_null(strstr(got.out, "cd1"));
}

static void expect_refused(struct client *c, const char *disk, int code, const char *message)
{
	AUTO_JSON struct json_object *o = NULL;
	char params[600];

	snprintf(params, sizeof(params), "{'vm': 'one', 'controller': 'ahci0', 'disk': {%s}}",
		 disk);
	o = client_error(c, "vm.attach", params);
	assert_string_equal(json_get_str(o, "message", ""), message);
	assert_int_equal(json_get_int(o, "code", 0), code);
}

static void test_refused(void **state)
{
	struct harness *h = *state;
	struct harness_output got;
	struct client *c;

	NEEDS_KVM;
	c = drives_start_guest(h, "modern", "ahci");
	expect_refused(c, "'kind': 'cdrom', 'unit': 0", ERR_INVALID,
		       "disk 'ahci0.0' has unit 0 of controller 'ahci0'");
	expect_refused(c, "'kind': 'cdrom', 'unit': 2", ERR_INVALID,
		       "/devices/0/disks/2/unit: another drive of the controller is this unit");
	expect_refused(c, "'kind': 'cdrom', 'unit': 6", ERR_INVALID,
		       "/devices/0/disks/2/unit: expected at most 5, got 6");
	expect_refused(c, "'path': '/nosuch/file'", ERR_FILE,
		       "disk 'ahci0.1' '/nosuch/file': No such file or directory");
	client_expect_error(c, "vm.detach", "{'vm': 'one', 'device': 'ahci0'}", ERR_VM_DEVICE_FIXED,
			    "device 'ahci0' of type ahci cannot be removed from a VM that runs",
			    "remove it from the definition, and restart the VM");
	assert_int_equal(harness_vmctl(h, NULL, &got, "attach", "one", "disk", "/x", "--ahci",
				       "ahci0", "--scsi", "scsi0", NULL),
			 2);
	assert_int_equal(harness_vmctl(h, NULL, &got, "attach", "one", "disk", "/x", "--unit", "1",
				       NULL),
			 2);
	assert_non_null(strstr(got.err, "--unit goes with --ahci"));
	scene_expect_attachments(c, "one", "");
}

/* An image is one VM's alone, also one that comes later. */
static void test_lock(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *o = NULL;
	struct client *c;
	char params[600];

	NEEDS_KVM;
	c = drives_start_guest(h, "modern", "ahci");
	snprintf(params, sizeof(params),
		 "{'vm': 'one', 'controller': 'ahci0', 'disk': {'path': '%s'}}",
		 drives_image(h, "root"));
	o = client_error(c, "vm.attach", params);
	assert_int_equal(json_get_int(o, "code", 0), ERR_FILE_IN_USE);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, harness_setup, harness_teardown)
	const struct CMUnitTest tests[] = { T(test_media),   T(test_come_and_go), T(test_rates),
					    T(test_persist), T(test_refused),	  T(test_lock) };
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
