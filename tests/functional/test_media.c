// SPDX-License-Identifier: MIT
/*
 * vm.media and vmctl media: a guest that says what is in its drive (tests/guest/media.c) in the real vmm, in its cage;
 * and monitors that lie.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/functional/drives.h"
#include "tests/functional/scene.h"

/* A drive cd0 and a disk; medium is a member of the drive, or "" */
static struct client *start_guest(struct harness *h, const char *cmdline, const char *medium)
{
	char members[800];

	snprintf(members, sizeof(members),
		 "'profile': 'micro', 'devices': [{'type': 'virtio-scsi', 'disks': [{'id': 'cd0',"
		 " 'kind': 'cdrom'%s}, {'id': 'root', 'path': '%s'}]}]",
		 medium, drives_image(h, "root"));
	return scene_start_guest(h, "media", cmdline, members);
}

/* "medium open locked" of the one drive */
static void expect_drive(struct json_object *r, bool medium, bool open, bool locked)
{
	struct json_object *d = json_at(r, "/drives/0");

	assert_int_equal(json_object_array_length(json_get(r, "drives")), 1);
	assert_string_equal(json_get_str(d, "id", ""), "cd0");
	assert_int_equal(json_get_bool(d, "medium", !medium), medium);
	assert_int_equal(json_get_bool(d, "open", !open), open);
	assert_int_equal(json_get_bool(d, "locked", !locked), locked);
}

static struct json_object *ask(struct client *c, const char *path, const char *more)
{
	char params[512];

	if (path)
		snprintf(params, sizeof(params), "{'vm': 'one', 'drive': 'cd0', 'path': '%s'%s}",
			 path, more);
	else
		snprintf(params, sizeof(params), "{'vm': 'one', 'drive': 'cd0', 'eject': true%s}",
			 more);
	return client_result(c, "vm.media", params);
}

static void change(struct client *c, const char *path, const char *more, bool changed,
		   const char *note)
{
	AUTO_JSON struct json_object *r = ask(c, path, more);

	assert_int_equal(json_get_bool(r, "changed", !changed), changed);
	assert_string_equal(json_get_str(r, "note", ""), note);
}

static void test_change(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *empty = NULL, *loaded = NULL, *ejected = NULL;
	struct client *c;

	NEEDS_KVM;
	c = start_guest(h, "", "");
	scene_says(c, "^drive: empty");
	empty = client_result(c, "vm.media", "{'vm': 'one'}");
	expect_drive(empty, false, false, false);
	change(c, drives_image(h, "first"), ", 'dry_run': true", false, "would be put in");
	change(c, drives_image(h, "first"), "", true, "");
	scene_says(c, "^drive: cd first");
	change(c, drives_image(h, "first"), "", false, "it is in the drive already");
	change(c, drives_image(h, "second"), "", true, "");
	scene_says(c, "^drive: cd second");
	loaded = client_result(c, "vm.media", "{'vm': 'one'}");
	expect_drive(loaded, true, false, false);
	change(c, NULL, ", 'dry_run': true", false, "the medium would be taken out");
	ejected = ask(c, NULL, "");
	expect_drive(ejected, false, true, false);
	scene_says(c, "^drive: open");
	change(c, NULL, "", false, "there is no medium in it");
	/* while it is paused, and by another vmd */
	json_object_put(client_result(c, "vm.pause", "{'vm': 'one'}"));
	change(c, drives_image(h, "third"), "", true, "");
	json_object_put(client_result(c, "vm.resume", "{'vm': 'one'}"));
	scene_says(c, "^drive: cd third");
	c = scene_restart(h, c, SIGKILL, NULL);
	change(c, drives_image(h, "fourth"), "", true, "");
	scene_says(c, "^drive: cd fourth");
	/* the next start has what the definition says */
	json_object_put(client_result(c, "vm.restart",
				      "{'vm': 'one', 'force': true,"
				      " 'timeout_ms': 0}"));
	scene_says(c, "^drive: empty");
}

static void test_locked(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *locked = NULL, *let_go = NULL;
	struct client *c;
	char medium[300];

	NEEDS_KVM;
	snprintf(medium, sizeof(medium), ", 'path': '%s'", drives_image(h, "first"));
	c = start_guest(h, "lock=1", medium);
	scene_says(c, "^drive: cd first");
	do { /* it locks the drive a little later */
		json_object_put(locked);
		locked = client_result(c, "vm.media", "{'vm': 'one'}");
	} while (!json_get_bool(json_at(locked, "/drives/0"), "locked", false));
	client_expect_error(c, "vm.media",
			    "{'vm': 'one', 'drive': 'cd0', 'eject': true, 'dry_run': true}",
			    ERR_VM_MEDIUM_LOCKED, "the guest has locked drive 'cd0'",
			    "the guest was asked for its medium: try again when it has let go, or "
			    "force it");
	change(c, drives_image(h, "second"), ", 'force': true", true, "");
	scene_says(c, "^drive: cd second");
	do {
		json_object_put(locked);
		locked = client_result(c, "vm.media", "{'vm': 'one'}");
	} while (!json_get_bool(json_at(locked, "/drives/0"), "locked", false));
	client_expect_error(c, "vm.media", "{'vm': 'one', 'drive': 'cd0', 'eject': true}",
			    ERR_VM_MEDIUM_LOCKED, "the guest has locked drive 'cd0'",
			    "the guest was asked for its medium: try again when it has let go, or "
			    "force it");
	scene_says(c, "^drive: asked for its medium");
	do {
		json_object_put(let_go);
		let_go = client_result(c, "vm.media", "{'vm': 'one'}");
	} while (!json_get_bool(json_at(let_go, "/drives/0"), "open", false));
	expect_drive(let_go, true, true, false); /* it lies in the open tray */
	change(c, NULL, "", true, "");
}

static void expect_code(struct client *c, const char *params, int code, const char *message)
{
	AUTO_JSON struct json_object *o = client_error(c, "vm.media", params);

	assert_string_equal(json_get_str(o, "message", ""), message);
	assert_int_equal(json_get_int(o, "code", 0), code);
}

static void test_refused(void **state)
{
	struct harness *h = *state;
	char params[600], message[600];
	struct client *c;

	NEEDS_KVM;
	c = start_guest(h, "", "");
	scene_says(c, "^drive: empty");
	expect_code(c, "{'vm': 'one', 'drive': 'cd1', 'eject': true}", ERR_VM_NO_DEVICE,
		    "the VM has no drive 'cd1'");
	expect_code(c, "{'vm': 'one', 'drive': 'root', 'eject': true}", ERR_VM_NO_DEVICE,
		    "the VM has no drive 'root'");
	expect_code(c, "{'vm': 'one', 'drive': 'cd0'}", ERR_RPC_PARAMS,
		    "vm.media: needs path or eject, one of them");
	expect_code(c, "{'vm': 'one', 'drive': 'cd0', 'eject': true, 'path': '/x'}", ERR_RPC_PARAMS,
		    "vm.media: needs path or eject, one of them");
	expect_code(c, "{'vm': 'one', 'path': '/x'}", ERR_RPC_PARAMS,
		    "vm.media: needs drive, the id of one");
	expect_code(c, "{'vm': 'one', 'drive': 'cd0', 'path': 'x.iso'}", ERR_RPC_PARAMS,
		    "vm.media: /path: expected an absolute path, got \"x.iso\"");
	expect_code(c, "{'vm': 'one', 'drive': 'cd0', 'path': '/nowhere/x'}", ERR_FILE,
		    "disk 'cd0' '/nowhere/x': No such file or directory");
	expect_code(c, "{'vm': 'one', 'drive': 'cd0', 'path': '/dev/null'}", ERR_FILE,
		    "disk 'cd0' '/dev/null' is a character device");
	snprintf(params, sizeof(params), "{'vm': 'one', 'drive': 'cd0', 'path': '%s'}",
		 harness_file(h, "odd", "odd"));
	expect_code(c, params, ERR_FILE,
		    "the disk image's size, 3 bytes, is not a multiple of 512");
	snprintf(params, sizeof(params),
		 "{'vm': 'one', 'drive': 'cd0', 'format': 'qcow2', 'path': '%s'}",
		 drives_image(h, "raw"));
	{
		AUTO_JSON struct json_object *o = client_error(c, "vm.media", params);

		assert_int_equal(json_get_int(o, "code", 0), ERR_FILE);
		snprintf(message, sizeof(message), "%s", json_get_str(o, "message", ""));
		assert_non_null(strstr(message, "qcow2"));
	}
	/* nothing of that has changed anything */
	change(c, NULL, "", false, "there is no medium in it");
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	expect_code(c, "{'vm': 'one', 'drive': 'cd0', 'eject': true}", ERR_VM_STATE,
		    "VM 'one' is stopped");
}

static void expect_vmctl(struct harness *h, int status, const char *out, const char *err,
			 const char *a, const char *b, const char *d)
{
	struct harness_output got;

	assert_int_equal(harness_vmctl(h, NULL, &got, "media", "one", a, b, d, NULL), status);
	assert_string_equal(got.out, out);
	assert_string_equal(got.err, err);
}

static void test_vmctl(void **state)
{
	struct harness *h = *state;
	struct client *c;

	NEEDS_KVM;
	c = start_guest(h, "", "");
	scene_says(c, "^drive: empty");
	expect_vmctl(h, 0, "DRIVE  MEDIUM  TRAY    LOCKED\ncd0    -       closed  -\n", "", NULL,
		     NULL, NULL);
	expect_vmctl(h, 0, "one: cd0 loaded\n", "", "cd0", drives_image(h, "first"), NULL);
	scene_says(c, "^drive: cd first");
	expect_vmctl(h, 0, "", "one: cd0: it is in the drive already\n", "cd0",
		     drives_image(h, "first"), NULL);
	expect_vmctl(h, 4, "",
		     "vmctl: cannot change the medium in 'cd0' of 'one': it is in the drive "
		     "already\nhint: without --strict this is no error\ncode: E1202 "
		     "(vm.wrong_state)\n",
		     "cd0", drives_image(h, "first"), "--strict");
	expect_vmctl(h, 0, "one: cd0 emptied\n", "", "cd0", "--eject", NULL);
	expect_vmctl(h, 2, "", "vmctl: media VM DRIVE: give the PATH of an image, or --eject\n",
		     "cd0", NULL, NULL);
}

/* What a monitor says is believed as far as it can be true. */
static void test_lies(void **state)
{
	struct harness *h = *state;
	struct client *c = scene_begin(h, "drive-lie", SCENE_LONG);

	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	expect_code(c, "{'vm': 'one'}", ERR_VMM_PROTOCOL,
		    "vmm has not said which drives there are");
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, harness_setup, harness_teardown)
	const struct CMUnitTest tests[] = {
		T(test_change), T(test_locked), T(test_refused), T(test_vmctl), T(test_lies),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
