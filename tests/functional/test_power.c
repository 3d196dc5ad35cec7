// SPDX-License-Identifier: MIT
/* What VMs live through: stops, kills, restarts, and vmd's own end. Starts that fail: test_start.c. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/errcat.h"
#include "lib/fdio.h"
#include "tests/functional/scene.h"
#include "tests/lib/tempdir.h"

static void test_life(void **state)
{
	struct harness *h = *state;
	struct client *c;
	AUTO_JSON struct json_object *start = NULL, *again = NULL, *stop = NULL, *stopped = NULL;
	AUTO_JSON struct json_object *event = NULL, *got = NULL, *pause = NULL, *paused = NULL;

	NEEDS_KVM;
	c = scene_begin(h, "ok", SCENE_LONG);
	start = client_result(c, "vm.start", "{'vm': 'one'}");
	assert_string_equal(json_get_str(start, "state", ""), "running");
	assert_true(json_get_bool(start, "changed", false));
	json_object_put(client_event(c, "vm.state", "running"));
	again = client_result(c, "vm.start", "{'vm': 'one'}");
	assert_false(json_get_bool(again, "changed", true));
	assert_string_equal(json_get_str(again, "note", ""), "already running");
	client_expect_error(c, "vm.delete", "{'vm': 'one'}", ERR_VM_STATE, "VM 'one' is running",
			    "stop it first: vmctl stop one");
	json_object_put(client_result(c, "vm.reset", "{'vm': 'one'}"));
	json_object_put(client_event(c, "vm.reset", NULL));
	pause = client_result(c, "vm.pause", "{'vm': 'one'}");
	assert_string_equal(json_get_str(pause, "state", ""), "paused");
	paused = client_result(c, "vm.pause", "{'vm': 'one'}");
	assert_string_equal(json_get_str(paused, "note", ""), "already paused");
	client_expect_error(c, "vm.stop", "{'vm': 'one'}", ERR_VM_STATE, "VM 'one' is paused",
			    "resume it first: vmctl resume one; or end it with --force");
	json_object_put(client_result(c, "vm.resume", "{'vm': 'one'}"));
	stop = client_result(c, "vm.stop", "{'vm': 'one'}");
	assert_string_equal(json_get_str(json_get(stop, "exit"), "reason", ""), "shutdown");
	event = client_event(c, "vm.state", "stopped");
	assert_string_equal(json_get_str(json_get(json_get(event, "data"), "exit"), "reason", ""),
			    "shutdown");
	stopped = client_result(c, "vm.stop", "{'vm': 'one'}");
	assert_string_equal(json_get_str(stopped, "note", ""), "already stopped");
	got = client_result(c, "vm.get", "{'vm': 'one'}");
	assert_string_equal(json_get_str(json_get(json_get(got, "observed"), "exit"), "message",
					 ""),
			    "the guest has powered off");
	assert_string_equal(json_get_str(got, "desired", ""), "stopped");
}

static void test_starts_at_once_join(void **state)
{
	struct harness *h = *state;
	struct client *c, *d;
	int first, second;

	NEEDS_KVM;
	c = scene_begin(h, "ok", SCENE_LONG);
	d = harness_client(h);
	first = client_ask(c, "vm.start", "{'vm': 'one'}");
	second = client_ask(d, "vm.start", "{'vm': 'one'}");
	json_object_put(client_answer(c, first));
	json_object_put(client_answer(d, second));
	scene_expect_state(c, "one", "running");
	assert_int_equal(scene_count_files(h->run_dir), 1);
}

static void test_stop_during_start(void **state)
{
	struct harness *h = *state;
	struct client *c, *d;
	AUTO_JSON struct json_object *start = NULL, *stop = NULL, *busy = NULL;
	int id;

	NEEDS_KVM;
	c = scene_begin(h, "hang-configure", "100");
	d = harness_client(h);
	json_object_put(client_result(d, "event.subscribe", NULL));
	id = client_ask(c, "vm.start", "{'vm': 'one'}");
	json_object_put(client_event(d, "vm.state", "starting"));
	busy = client_error(d, "vm.pause", "{'vm': 'one'}");
	assert_int_equal(json_get_int(busy, "code", 0), ERR_BUSY);
	assert_non_null(
		strstr(json_get_str(busy, "message", ""), "VM 'one' is busy: start, since "));
	stop = client_result(d, "vm.stop", "{'vm': 'one'}");
	assert_string_equal(json_get_str(stop, "state", ""), "stopped");
	start = client_answer(c, id);
	assert_string_equal(json_get_str(json_get(start, "error"), "message", ""),
			    "the start of VM 'one' was cancelled by a stop");
	assert_int_equal(scene_count_files(h->run_dir), 0);
}

static void test_deaf_guest(void **state)
{
	struct harness *h = *state;
	struct client *c;
	AUTO_JSON struct json_object *stop = NULL;

	NEEDS_KVM;
	c = scene_begin(h, "deaf", SCENE_LONG);
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	client_expect_error(c, "vm.stop", "{'vm': 'one', 'timeout_ms': 100}", ERR_TIMEOUT,
			    "VM 'one' did not stop within 0.1 s and is still running",
			    "--force ends it");
	scene_expect_state(c, "one", "running");
	stop = client_result(c, "vm.stop", "{'vm': 'one', 'timeout_ms': 100, 'force': true}");
	assert_string_equal(json_get_str(json_get(stop, "exit"), "reason", ""), "killed");
}

static void test_kill_that_hangs(void **state)
{
	struct harness *h = *state;
	struct client *c;
	AUTO_JSON struct json_object *kill = NULL;

	NEEDS_KVM;
	c = scene_begin(h, "hang-quit", SCENE_LONG);
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	kill = client_result(c, "vm.kill", "{'vm': 'one'}");
	assert_string_equal(json_get_str(json_get(kill, "exit"), "reason", ""), "killed");
	assert_string_equal(json_get_str(json_get(kill, "exit"), "message", ""),
			    "vmm was ended by SIGKILL");
}

static void test_killed_from_outside(void **state)
{
	struct harness *h = *state;
	struct client *c;
	AUTO_JSON struct json_object *wait = NULL;
	int id;

	NEEDS_KVM;
	c = scene_begin(h, "ok", SCENE_LONG);
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	pid_t pid = scene_pid(c, "one");
	id = client_ask(c, "vm.wait", "{'vm': 'one', 'for': 'stopped'}");
	assert_int_equal(kill(pid, SIGKILL), 0);
	wait = client_answer(c, id);
	assert_string_equal(json_get_str(json_get(json_get(wait, "result"), "exit"), "reason", ""),
			    "died");
	assert_int_equal(json_get_int(json_get(json_get(wait, "result"), "exit"), "code", 0), 9);
}

static void test_bad_record(void **state)
{
	struct harness *h = *state;
	struct client *c;
	AUTO_JSON struct json_object *stop = NULL;

	NEEDS_KVM;
	c = scene_begin(h, "bad-record", SCENE_LONG);
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	stop = client_result(c, "vm.stop", "{'vm': 'one'}");
	assert_string_equal(json_get_str(json_get(stop, "exit"), "reason", ""), "died");
	assert_int_equal(json_get_int(json_get(stop, "exit"), "code", 0), 5);
}

static void test_restart(void **state)
{
	struct harness *h = *state;
	struct client *c;
	AUTO_JSON struct json_object *restart = NULL, *got = NULL;
	char params[512];
	pid_t before;

	NEEDS_KVM;
	c = scene_begin(h, "ok", SCENE_LONG);
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	before = scene_pid(c, "one");
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'cpus': 2, 'boot': {'kernel': '%s/kernel'}}}",
		 h->dir);
	got = client_result(c, "vm.apply", params);
	assert_true(json_get_bool(got, "restart_required", false));
	restart = client_result(c, "vm.restart", "{'vm': 'one'}");
	assert_string_equal(json_get_str(restart, "state", ""), "running");
	assert_int_not_equal(scene_pid(c, "one"), before);
	json_object_put(got);
	got = client_result(c, "vm.get", "{'vm': 'one'}");
	assert_int_equal(json_get_int(json_get(got, "observed"), "revision", 0), 2);
}

static void test_start_paused(void **state)
{
	struct harness *h = *state;
	struct client *c;
	AUTO_JSON struct json_object *start = NULL;

	NEEDS_KVM;
	c = scene_begin(h, "ok", SCENE_LONG);
	start = client_result(c, "vm.start", "{'vm': 'one', 'paused': true}");
	assert_string_equal(json_get_str(start, "state", ""), "paused");
	json_object_put(client_result(c, "vm.resume", "{'vm': 'one'}"));
	scene_expect_state(c, "one", "running");
}

static void test_console(void **state)
{
	struct harness *h = *state;
	struct client *c;
	AUTO_JSON struct json_object *console = NULL;
	char text[16] = "";
	int fd;

	NEEDS_KVM;
	c = scene_begin(h, "ok", SCENE_LONG);
	client_expect_error(c, "vm.console", "{'vm': 'one'}", ERR_VM_STATE, "VM 'one' is stopped",
			    "start it first: vmctl start one");
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	console = client_result(c, "vm.console", "{'vm': 'one'}");
	assert_string_equal(json_get_str(console, "console", ""), "com1");
	fd = client_take_fd(c);
	assert_true(fd >= 0);
	assert_int_equal(fdio_read(fd, text, sizeof(text) - 1), 8);
	assert_string_equal(text, "console\n");
	close(fd);
}

static void test_client_goes_away(void **state)
{
	struct harness *h = *state;
	struct client *c, *d;

	NEEDS_KVM;
	c = scene_begin(h, "ok", SCENE_LONG);
	d = harness_client(h);
	client_ask(d, "vm.start", "{'vm': 'one'}");
	client_close(h, d);
	json_object_put(client_event(c, "vm.state", "running"));
	scene_expect_state(c, "one", "running");
}

/* --- VMs outlive vmd --- */

static void test_outlives_vmd(void **state)
{
	struct harness *h = *state;
	struct client *c;
	AUTO_JSON struct json_object *stop = NULL;
	pid_t pid;

	NEEDS_KVM;
	c = scene_begin(h, "ok", SCENE_LONG);
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	pid = scene_pid(c, "one");
	client_close(h, c);
	assert_int_equal(harness_vmd_end(h, SIGKILL), 128 + SIGKILL);
	harness_vmd(h, "ok", NULL);
	c = harness_client(h);
	scene_expect_state(c, "one", "running");
	assert_int_equal(scene_pid(c, "one"), pid);
	json_object_put(client_result(c, "vm.pause", "{'vm': 'one'}"));
	client_close(h, c);
	assert_int_equal(harness_vmd_end(h, SIGTERM), 0);
	harness_vmd(h, "ok", NULL);
	c = harness_client(h);
	scene_expect_state(c, "one", "paused");
	assert_int_equal(scene_pid(c, "one"), pid);
	json_object_put(client_result(c, "vm.resume", "{'vm': 'one'}"));
	stop = client_result(c, "vm.stop", "{'vm': 'one'}");
	assert_string_equal(json_get_str(json_get(stop, "exit"), "reason", ""), "shutdown");
}

static void ended_while_away(struct harness *h, const char *root, const char *reason)
{
	struct client *c = scene_begin(h, "ok", SCENE_LONG);
	AUTO_JSON struct json_object *got = NULL, *event = NULL;

	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	scene_end_all(h, c, "one");
	if (root)
		harness_vmd(h, "ok", "--sysroot", root, NULL);
	else
		harness_vmd(h, "ok", NULL);
	c = harness_client(h);
	got = client_result(c, "vm.get", "{'vm': 'one'}");
	assert_string_equal(json_get_str(json_get(got, "observed"), "state", ""), "stopped");
	assert_string_equal(json_get_str(json_get(json_get(got, "observed"), "exit"), "reason", ""),
			    reason);
	json_object_put(client_result(c, "event.subscribe", "{'since': 0}"));
	event = client_event(c, "vm.state", "stopped");
	assert_non_null(event);
}

static void test_ended_while_vmd_was_away(void **state)
{
	NEEDS_KVM;
	ended_while_away(*state, NULL, "lost");
}

static void test_other_boot(void **state)
{
	struct harness *h = *state;
	char root[256];

	NEEDS_KVM;
	tempdir_file(h->dir, "root/proc/sys/kernel/random/boot_id", "other-boot\n");
	snprintf(root, sizeof(root), "%s/root", h->dir);
	ended_while_away(h, root, "lost");
}

/* vmd dies while a vmm hangs in its start: the next vmd ends it. */
static void test_killed_during_start(void **state)
{
	struct harness *h = *state;
	struct client *c;

	NEEDS_KVM;
	c = scene_begin(h, "hang-start", SCENE_SHORT);
	client_ask(c, "vm.start", "{'vm': 'one'}");
	json_object_put(client_event(c, "vm.state", "starting"));
	c = scene_restart(h, c, SIGKILL, "ok");
	json_object_put(client_result(c, "vm.wait",
				      "{'vm': 'one', 'for': 'stopped', "
				      "'timeout_ms': 15000}"));
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, harness_setup, harness_teardown)
		T(test_life),
		T(test_starts_at_once_join),
		T(test_stop_during_start),
		T(test_deaf_guest),
		T(test_kill_that_hangs),
		T(test_killed_from_outside),
		T(test_bad_record),
		T(test_restart),
		T(test_start_paused),
		T(test_console),
		T(test_client_goes_away),
		T(test_outlives_vmd),
		T(test_ended_while_vmd_was_away),
		T(test_other_boot),
		T(test_killed_during_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
