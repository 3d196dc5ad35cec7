// SPDX-License-Identifier: MIT
/* Floppy drives, as vmd and vmctl have them: disks of sizes that there are, changed, write protected, locked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/functional/scene.h"

static const char *image(struct harness *h, const char *name, uint64_t kib)
{
	const char *path = harness_file(h, name, "");

	assert_int_equal(truncate(path, (off_t)(kib * KIB)), 0);
	return path;
}

/* drives: of the list `disks`; a guest that does nothing */
static struct client *define(struct harness *h, const char *drives)
{
	char program[512], params[2048];
	struct client *c;

	harness_program("vmm", program, sizeof(program));
	*strstr(program, "bin/vmm") = '\0';
	harness_vmd(h, NULL, "--cgroup", "none", NULL);
	c = harness_client(h);
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'memory': '32MiB', 'boot':"
		 " {'kernel': '%stests/guest/halt'}, 'devices': [{'type': 'floppy', 'disks': "
		 "[%s]}]}}",
		 program, drives);
	json_object_put(client_result(c, "vm.apply", params));
	return c;
}

static void media_is(struct harness *h, const char *table)
{
	struct harness_output got;

	assert_int_equal(harness_vmctl(h, NULL, &got, "media", "one", NULL), 0);
	assert_string_equal(got.out, table);
}

static void test_media(void **state)
{
	struct harness *h = *state;
	struct harness_output got;
	struct client *c;
	char drives[600];

	NEEDS_KVM;
	snprintf(drives, sizeof(drives), "{'id': 'a', 'path': '%s'}, {'id': 'b', 'readonly': true}",
		 image(h, "one", 1440));
	c = define(h, drives);
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	media_is(h, "DRIVE  MEDIUM  TRAY    LOCKED\na      yes     closed  -\n"
		    "b      -       closed  -\n");
	assert_int_equal(
		harness_vmctl(h, NULL, &got, "media", "one", "a", image(h, "two", 720), NULL), 0);
	assert_string_equal(got.out, "one: a loaded\n");
	assert_int_equal(
		harness_vmctl(h, NULL, &got, "media", "one", "a", image(h, "two", 720), NULL), 0);
	assert_string_equal(got.err, "one: a: it is in the drive already\n");
	/* what is in a drive that may write is the VM's alone; the one before is free again */
	assert_int_equal(
		harness_vmctl(h, NULL, &got, "media", "one", "b", image(h, "two", 720), NULL), 4);
	assert_non_null(strstr(got.err, "file.in_use"));
	assert_int_equal(
		harness_vmctl(h, NULL, &got, "media", "one", "b", image(h, "one", 1440), NULL), 0);
	assert_int_equal(harness_vmctl(h, NULL, &got, "media", "one", "a", "--eject", NULL), 0);
	media_is(h, "DRIVE  MEDIUM  TRAY    LOCKED\na      -       closed  -\n"
		    "b      yes     closed  -\n");
	assert_int_equal(harness_vmctl(h, NULL, &got, "media", "one", "a", image(h, "three", 1000),
				       NULL),
			 5);
	assert_string_equal(
		got.err,
		"vmctl: cannot change the medium in 'a' of 'one': drive 'a': the image has 1024000 "
		"bytes, and a floppy disk 160, 180, 320, 360, 720, 1200, 1440 or 2880 KiB\n"
		"hint: a shorter image is made one by `truncate --size 1440K FILE`\n"
		"code: E1006 (file.unusable)\n");
	assert_int_equal(
		harness_vmctl(h, NULL, &got, "media", "one", "a", image(h, "four", 1200), NULL), 5);
	assert_non_null(strstr(got.err, "a disk of 1200 KiB does not go into a drive of model "
					"1.44MB\nhint: such a drive takes disks of 720, 1440 KiB"));
}

/* A file that nobody may write is opened for reading where the disk is to be write protected, and not else. */
static void test_readonly(void **state)
{
	struct harness *h = *state;
	struct client *c;
	char params[600];

	NEEDS_KVM;
	c = define(h, "{'id': 'a'}, {'id': 'b', 'readonly': true}");
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	snprintf(params, sizeof(params),
		 "{'vm': 'one', 'drive': 'a', 'path': '%s', 'readonly': true}",
		 image(h, "one", 1440));
	json_object_put(client_result(c, "vm.media", params));
	/* two may read it, and none may write then */
	snprintf(params, sizeof(params), "{'vm': 'one', 'drive': 'b', 'path': '%s'}",
		 image(h, "one", 1440));
	json_object_put(client_result(c, "vm.media", params));
	json_object_put(client_result(c, "vm.media", "{'vm': 'one', 'drive': 'a', 'eject': true}"));
	snprintf(params, sizeof(params), "{'vm': 'one', 'drive': 'a', 'path': '%s'}",
		 image(h, "one", 1440));
	json_object_put(client_error(c, "vm.media", params));
	json_object_put(client_result(c, "vm.media", "{'vm': 'one', 'drive': 'b', 'eject': true}"));
	json_object_put(client_result(c, "vm.media", params));
}

static void test_refused(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *o = NULL;
	struct client *c;
	char drives[600];

	NEEDS_KVM;
	snprintf(drives, sizeof(drives), "{'path': '%s'}", image(h, "one", 1441));
	c = define(h, drives);
	o = client_error(c, "vm.start", "{'vm': 'one'}");
	assert_int_equal(json_get_int(o, "code", 0), ERR_FILE);
	assert_string_equal(
		json_get_str(o, "message", ""),
		"device 'floppy0': drive 'floppy0.0': the image has 1475584 bytes, and a "
		"floppy disk 160, 180, 320, 360, 720, 1200, 1440 or 2880 KiB");
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, harness_setup, harness_teardown)
	const struct CMUnitTest tests[] = { T(test_media), T(test_readonly), T(test_refused) };
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
