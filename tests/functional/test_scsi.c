// SPDX-License-Identifier: MIT
/* A SCSI controller through vmd: as many disks as it can have, and one more. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/functional/scene.h"

#define DISKS 256

static void make_disk(const struct harness *h, unsigned int i)
{
	uint8_t block[512] = { (uint8_t)i };
	char path[400];
	int fd;

	snprintf(path, sizeof(path), "%s/d%u", h->dir, i);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
	close(fd);
}

/* {"definition": …}: controllers with n disks each, in the order of the files' numbers */
static struct json_object *definition(const struct harness *h, unsigned int controllers,
				      unsigned int n)
{
	struct json_object *def = json_add_str(json_new(), "name", "one");
	struct json_object *boot = json_new(), *devices = json_object_new_array();
	char program[512];

	harness_program("../tests/guest/scsi", program, sizeof(program));
	json_add_str(boot, "kernel", program);
	json_add_fmt(boot, "cmdline", "all=%u", n);
	json_add_str(def, "profile", "micro");
	json_add_str(def, "memory", "32MiB");
	json_add(def, "boot", boot);
	json_object_array_add(devices, json_add_str(json_new(), "type", "debug-port"));
	for (unsigned int c = 0; c < controllers; c++) {
		struct json_object *scsi = json_add_str(json_new(), "type", "virtio-scsi");
		struct json_object *disks = json_object_new_array();

		for (unsigned int i = 0; i < n; i++)
			json_object_array_add(disks, json_add_fmt(json_new(), "path", "%s/d%u",
								  h->dir, c * n + i));
		json_object_array_add(devices, json_add(scsi, "disks", disks));
	}
	json_add(def, "devices", devices);
	return json_add(json_new(), "definition", def);
}

static void test_256(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *params = NULL, *done = NULL;
	struct client *c;

	NEEDS_KVM;
	for (unsigned int i = 0; i < DISKS; i++)
		make_disk(h, i);
	harness_vmd(h, NULL, "--cgroup", "none", NULL);
	c = harness_client(h);
	params = definition(h, 1, DISKS);
	json_object_put(client_result(c, "vm.apply", json_object_to_json_string(params)));
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	done = client_result(c, "vm.wait", "{'vm': 'one', 'for': 'stopped', 'timeout_ms': 20000}");
	assert_string_equal(json_get_str(json_get(done, "exit"), "reason", ""), "guest-exit");
	assert_int_equal(json_get_int(json_get(done, "exit"), "code", -1), 0);
}

/* More files than go to a monitor with its configuration */
static void test_too_many(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *params = definition(h, 2, 170), *e = NULL;
	struct client *c;

	NEEDS_KVM;
	for (unsigned int i = 0; i < 340; i++)
		make_disk(h, i);
	harness_vmd(h, NULL, "--cgroup", "none", NULL);
	c = harness_client(h);
	json_object_put(client_result(c, "vm.apply", json_object_to_json_string(params)));
	e = client_error(c, "vm.start", "{'vm': 'one'}");
	assert_string_equal(json_get_str(e, "message", ""), "more than 320 files");
}

/* {'vm': 'one', 'controller': 'scsi0', 'disk': {'path': …, more}, and_more} with a file that begins with text */
static const char *attach_params(struct harness *h, const char *text, const char *more,
				 const char *and_more)
{
	static char params[1024];
	char content[513];
	const char *path;

	snprintf(content, sizeof(content), "%-512s", text);
	path = harness_file(h, text, content);
	snprintf(params, sizeof(params),
		 "{'vm': 'one', 'controller': 'scsi0', 'disk': {'path': '%s'%s}%s}", path, more,
		 and_more);
	return params;
}

/* A controller that comes to a running VM, whose monitor is in its cage: a medium for its drive, and it goes */
static void test_come_and_go(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *came = NULL, *loaded = NULL, *went = NULL;
	char program[512], params[1024];
	struct client *c;

	NEEDS_KVM;
	harness_program("../tests/guest/hotplug", program, sizeof(program));
	make_disk(h, 0);
	harness_vmd(h, NULL, "--cgroup", "none", NULL);
	c = harness_client(h);
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'profile': 'micro', 'memory': '32MiB', 'boot':"
		 " {'kernel': '%s'}}}",
		 program);
	json_object_put(client_result(c, "vm.apply", params));
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	json_object_put(
		client_result(c, "vm.wait",
			      "{'vm': 'one', 'for': 'console', 'regex': '^waits for devices', "
			      "'timeout_ms': 20000}"));
	snprintf(params, sizeof(params),
		 "{'vm': 'one', 'device': {'type': 'virtio-scsi', 'disks': [{'path': '%s/d0'},"
		 " {'id': 'cd0', 'kind': 'cdrom'}]}}",
		 h->dir);
	came = client_result(c, "vm.attach", params);
	assert_string_equal(json_get_str(came, "device", ""), "scsi0");
	snprintf(params, sizeof(params), "{'vm': 'one', 'drive': 'cd0', 'path': '%s'}",
		 harness_file(h, "odd", "odd"));
	loaded = client_error(c, "vm.media", params); /* no multiple of a sector */
	assert_int_equal(json_get_int(loaded, "code", 0), ERR_FILE);
	json_object_put(client_result(c, "vm.media", "{'vm': 'one'}"));
	/* a disk of it goes with it */
	json_object_put(client_result(c, "vm.attach", attach_params(h, "more", "", "")));
	scene_expect_attachments(c, "one", "scsi0 attached, scsi0.2 attached");
	went = client_result(c, "vm.detach", "{'vm': 'one', 'device': 'scsi0'}");
	scene_expect_attachments(c, "one", "");
	assert_true(json_get_bool(went, "changed", false));
	json_object_put(
		client_error(c, "vm.media", "{'vm': 'one', 'drive': 'cd0', 'eject': true}"));
}

/* --- disks that come and go -------------------------------------------------------------------------------- */

/* A guest that says what comes and goes; its controller has one disk, of no name */
static struct client *follow(struct harness *h)
{
	char members[512];
	struct client *c;

	make_disk(h, 0);
	snprintf(members, sizeof(members),
		 "'profile': 'micro', 'devices': [{'type': 'virtio-scsi', 'disks':"
		 " [{'path': '%s/d0'}]}]",
		 h->dir);
	c = scene_start_guest(h, "scsi", "follow=1", members);
	scene_says(c, "^waits for units");
	return c;
}

static void expect_code(struct client *c, const char *method, const char *params, int code,
			const char *message)
{
	AUTO_JSON struct json_object *o = client_error(c, method, params);

	assert_string_equal(json_get_str(o, "message", ""), message);
	assert_int_equal(json_get_int(o, "code", 0), code);
}

static void test_disks_come_and_go(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *dry = NULL, *first = NULL, *event = NULL;
	struct client *c;

	NEEDS_KVM;
	c = follow(h);
	dry = client_result(c, "vm.attach", attach_params(h, "one", "", ", 'dry_run': true"));
	assert_string_equal(json_get_str(dry, "device", ""), "scsi0.1");
	assert_string_equal(json_get_str(dry, "note", ""), "would be attached");
	first = client_result(c, "vm.attach", attach_params(h, "one", "", ""));
	assert_string_equal(json_get_str(first, "device", ""), "scsi0.1");
	assert_string_equal(json_get_str(first, "controller", ""), "scsi0");
	assert_int_equal(json_get_int(first, "lun", -1), 1);
	event = client_event(c, "device.attached", NULL);
	scene_says(c, "^LUN 01 one ");
	json_object_put(
		client_result(c, "vm.attach", attach_params(h, "two", ", 'id': 'two'", "")));
	scene_says(c, "^LUN 02 two ");
	json_object_put(client_result(c, "vm.attach", attach_params(h, "far", ", 'lun': 99", "")));
	scene_says(c, "^LUN 99 far ");
	scene_expect_attachments(c, "one", "scsi0.1 attached, two attached, scsi0.99 attached");
	/* one that was attached, one of the definition, and the place of the first anew */
	json_object_put(client_result(c, "vm.detach", "{'vm': 'one', 'device': 'scsi0.1'}"));
	scene_says(c, "^LUN 01 is gone");
	json_object_put(client_result(c, "vm.detach", "{'vm': 'one', 'device': 'scsi0.0'}"));
	scene_says(c, "^LUN 00 is gone");
	json_object_put(client_result(c, "vm.attach", attach_params(h, "three", "", "")));
	scene_says(c, "^LUN 01 three ");
	scene_expect_attachments(
		c, "one", "two attached, scsi0.99 attached, scsi0.0 detached, scsi0.1 attached");
	/* the next start has the disks of the definition */
	json_object_put(
		client_result(c, "vm.restart", "{'vm': 'one', 'force': true, 'timeout_ms': 0}"));
	scene_expect_attachments(c, "one", "");
}

static void test_disks_refused(void **state)
{
	struct harness *h = *state;
	struct client *c;

	NEEDS_KVM;
	c = follow(h);
	expect_code(c, "vm.attach", "{'vm': 'one', 'disk': {'kind': 'cdrom'}}", ERR_RPC_PARAMS,
		    "vm.attach: disk and controller go together");
	expect_code(c, "vm.attach",
		    "{'vm': 'one', 'device': {'type': 'virtio-rng'}, 'controller': 'scsi0'}",
		    ERR_RPC_PARAMS, "vm.attach: disk and controller go together");
	expect_code(c, "vm.attach",
		    "{'vm': 'one', 'controller': 'rng0', 'disk': {'kind': 'cdrom'}}",
		    ERR_VM_NO_DEVICE, "the VM has no SCSI or AHCI controller 'rng0'");
	expect_code(c, "vm.attach", attach_params(h, "x", ", 'lun': 0", ""), ERR_INVALID,
		    "disk 'scsi0.0' has LUN 0 of controller 'scsi0'");
	expect_code(c, "vm.attach", attach_params(h, "x", ", 'id': 'rng0'", ""), ERR_INVALID,
		    "/devices/0/disks/1/id: a device has this id");
	expect_code(c, "vm.attach", attach_params(h, "x", ", 'ide': 1", ""), ERR_INVALID,
		    "/devices/0/disks/1/ide: unknown key 'ide'; did you mean 'id'?");
	expect_code(c, "vm.attach",
		    "{'vm': 'one', 'controller': 'scsi0', 'disk': {'path': '/nosuch/file'}}",
		    ERR_FILE, "disk 'scsi0.1' '/nosuch/file': No such file or directory");
	expect_code(c, "vm.attach",
		    "{'vm': 'one', 'device': {'type': 'virtio-rng', 'id': 'scsi0.0'}}",
		    ERR_VM_DEVICE_EXISTS, "the VM has a device 'scsi0.0' already");
	expect_code(c, "vm.attach",
		    "{'vm': 'one', 'controller': 'scsi0', 'disk': {'kind': 'passthrough', 'path': "
		    "'/dev/null'}}",
		    ERR_FILE, "disk 'scsi0.1' '/dev/null' is no SCSI device");
	expect_code(c, "vm.attach",
		    "{'vm': 'one', 'controller': 'scsi0', 'disk': {'kind': 'passthrough', 'path': "
		    "'/dev/sg0', 'readonly': true}}",
		    ERR_INVALID,
		    "/devices/0/disks/1/readonly: does not go with `kind: passthrough`");
	expect_code(c, "vm.detach", "{'vm': 'one', 'device': 'scsi0.7'}", ERR_VM_NO_DEVICE,
		    "VM 'one' has no device 'scsi0.7'");
	scene_expect_attachments(c, "one", "");
}

/* A disk at a controller by its own id, of the definition or attached: it grows, and has other limits. */
static void test_disks_change(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *grown = NULL, *same = NULL, *set = NULL;
	struct harness_output out;
	char path[400];
	struct client *c;

	NEEDS_KVM;
	c = follow(h);
	snprintf(path, sizeof(path), "%s/d0", h->dir);
	assert_int_equal(truncate(path, 8192), 0);
	grown = client_result(c, "vm.resize", "{'vm': 'one', 'device': 'scsi0.0'}");
	assert_int_equal(json_get_int(grown, "size", 0), 8192);
	assert_true(json_get_bool(grown, "changed", false));
	same = client_result(c, "vm.resize", "{'vm': 'one', 'device': 'scsi0.0'}");
	assert_false(json_get_bool(same, "changed", true));
	set = client_result(c, "vm.set_rate",
			    "{'vm': 'one', 'device': 'scsi0.0', 'ops_per_second': 7}");
	assert_int_equal(json_get_int(set, "ops_per_second", 0), 7);
	assert_true(json_get_bool(set, "changed", false));
	json_object_put(client_result(c, "vm.attach",
				      attach_params(h, "two", ", 'id': 'two', 'burst_ms': 9", "")));
	scene_says(c, "^LUN 01 two ");
	assert_int_equal(harness_vmctl(h, NULL, &out, "set-rate", "-b", "1MiB", "one", "two", NULL),
			 0);
	assert_string_equal(out.out, "one: disk 'two' may do 1.0M and any number of requests a "
				     "second, those of 9 ms at once\n");
	expect_code(c, "vm.resize", "{'vm': 'one', 'device': 'scsi0'}", ERR_VM_NO_DEVICE,
		    "the VM has no disk 'scsi0'");
	json_object_put(client_result(
		c, "vm.attach",
		"{'vm': 'one', 'controller': 'scsi0', 'disk': {'kind': 'cdrom', 'id': 'cd'}}"));
	expect_code(c, "vm.resize", "{'vm': 'one', 'device': 'cd'}", ERR_VM_DEVICE_FIXED,
		    "disk 'cd': only a disk with an image becomes larger");
	expect_code(c, "vm.set_rate", "{'vm': 'one', 'device': 'scsi0.7'}", ERR_VM_NO_DEVICE,
		    "the VM has no device 'scsi0.7'");
}

/* What is no SCSI device of the host is not given away as one. */
static void test_no_scsi_device(void **state)
{
	static const char *const why[] = { "' is no SCSI device", "' is no SCSI device",
					   "': No such file or directory" };
	struct harness *h = *state;
	char disk[400], message[500], params[1024];
	const char *const paths[] = { disk, "/dev/null", "/nosuch" };
	struct client *c;

	NEEDS_KVM;
	make_disk(h, 0);
	snprintf(disk, sizeof(disk), "%s/d0", h->dir);
	harness_vmd(h, NULL, "--cgroup", "none", NULL);
	c = harness_client(h);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		snprintf(message, sizeof(message), "disk 'scsi0.0' '%s%s", paths[i], why[i]);
		snprintf(params, sizeof(params),
			 "{'definition': {'name': 'one', 'profile': 'micro', 'boot': {'kernel': "
			 "'/bin/true'}, 'devices': [{'type': 'virtio-scsi', 'disks': [{'kind': "
			 "'passthrough', 'path': '%s'}]}]}}",
			 paths[i]);
		json_object_put(client_result(c, "vm.apply", params));
		expect_code(c, "vm.start", "{'vm': 'one'}", ERR_FILE, message);
	}
}

/* What vmm has outlives vmd, and so does what is known of it. */
static void test_disk_and_another_vmd(void **state)
{
	struct harness *h = *state;
	struct client *c;

	NEEDS_KVM;
	c = follow(h);
	json_object_put(client_result(c, "vm.attach", attach_params(h, "one", "", "")));
	client_close(h, c);
	harness_vmd_end(h, SIGKILL);
	harness_vmd(h, NULL, "--cgroup", "none", NULL);
	c = harness_client(h);
	scene_expect_attachments(c, "one", "scsi0.1 attached");
	json_object_put(client_result(c, "vm.attach", attach_params(h, "two", "", "")));
	scene_says(c, "^LUN 02 two ");
	json_object_put(client_result(c, "vm.detach", "{'vm': 'one', 'device': 'scsi0.1'}"));
	scene_says(c, "^LUN 01 is gone");
	scene_expect_attachments(c, "one", "scsi0.2 attached");
}

static const char *disks_of(struct json_object *vm)
{
	return json_object_to_json_string_ext(json_at(vm, "/definition/devices/0/disks"),
					      JSON_C_TO_STRING_PLAIN |
						      JSON_C_TO_STRING_NOSLASHESCAPE);
}

/* The newest definition has another one where this one would be: what is there without a LUN of its own stays. */
static void test_disk_of_two_minds(void **state)
{
	struct harness *h = *state;
	char params[1024];
	struct client *c;

	NEEDS_KVM;
	c = follow(h);
	json_object_put(client_result(c, "vm.attach", attach_params(h, "one", "", "")));
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'profile': 'micro', 'memory': '32MiB', 'boot':"
		 " {'kernel': '/k'}, 'devices': [{'type': 'virtio-scsi', 'disks': [{'path': "
		 "'/d0'}, {'path': '/d1'}, {'path': '/d2'}]}]}}");
	json_object_put(client_result(c, "vm.apply", params));
	expect_code(c, "vm.attach", attach_params(h, "two", "", ", 'persist': true"), ERR_INVALID,
		    "device 'scsi0.2' does not fit into revision 2 of VM 'one'");
	json_object_put(client_result(c, "vm.attach", attach_params(h, "two", "", "")));
	scene_says(c, "^LUN 02 two ");
}

static void test_disks_persist(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *with = NULL, *without = NULL;
	char expected[512];
	struct client *c;

	NEEDS_KVM;
	c = follow(h);
	json_object_put(client_result(c, "vm.attach",
				      attach_params(h, "two", ", 'id': 'two', 'lun': 5",
						    ", 'persist': true")));
	json_object_put(
		client_result(c, "vm.attach", attach_params(h, "one", "", ", 'persist': true")));
	with = client_result(c, "vm.get", "{'vm': 'one'}");
	assert_int_equal(json_get_int(with, "revision", 0), 3);
	snprintf(expected, sizeof(expected),
		 "[{\"path\":\"%s/d0\"},{\"path\":\"%s/two\",\"id\":\"two\",\"lun\":5},"
		 "{\"path\":\"%s/one\",\"lun\":1}]",
		 h->dir, h->dir, h->dir);
	assert_string_equal(disks_of(with), expected);
	json_object_put(
		client_result(c, "vm.detach", "{'vm': 'one', 'device': 'two', 'persist': true}"));
	json_object_put(client_result(c, "vm.detach",
				      "{'vm': 'one', 'device': 'scsi0.0', 'persist': true}"));
	without = client_result(c, "vm.get", "{'vm': 'one'}");
	assert_int_equal(json_get_int(without, "revision", 0), 5);
	snprintf(expected, sizeof(expected), "[{\"path\":\"%s/one\",\"lun\":1}]", h->dir);
	assert_string_equal(disks_of(without), expected);
}

/* A monitor that has not got it, and lists what is none */
static void test_lies(void **state)
{
	struct harness *h = *state;
	struct client *c = scene_begin(h, "disk-lie", SCENE_LONG);

	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	json_object_put(
		client_result(c, "vm.attach", "{'vm': 'one', 'device': {'type': 'virtio-scsi'}}"));
	expect_code(c, "vm.attach",
		    "{'vm': 'one', 'controller': 'scsi0', 'disk': {'kind': 'cdrom'}}", ERR_FAILED,
		    "no disk today");
	scene_expect_attachments(c, "one", "scsi0 attached");
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, harness_setup, harness_teardown)
	const struct CMUnitTest tests[] = { T(test_256),
					    T(test_too_many),
					    T(test_come_and_go),
					    T(test_disks_come_and_go),
					    T(test_disks_refused),
					    T(test_disks_change),
					    T(test_disk_and_another_vmd),
					    T(test_disks_persist),
					    T(test_disk_of_two_minds),
					    T(test_no_scsi_device),
					    T(test_lies) };
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
