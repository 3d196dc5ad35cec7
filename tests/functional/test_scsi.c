// SPDX-License-Identifier: MIT
/* A SCSI controller through vmd: as many disks as it can have, and one more. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/functional/scene.h"

#define DISKS 256

static int setup(void **state)
{
	*state = harness_new();
	return 0;
}

static int teardown(void **state)
{
	harness_free(*state);
	return 0;
}

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
	went = client_result(c, "vm.detach", "{'vm': 'one', 'device': 'scsi0'}");
	assert_true(json_get_bool(went, "changed", false));
	json_object_put(
		client_error(c, "vm.media", "{'vm': 'one', 'drive': 'cd0', 'eject': true}"));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = { T(test_256), T(test_too_many), T(test_come_and_go) };
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
