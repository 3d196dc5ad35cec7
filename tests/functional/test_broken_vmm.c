// SPDX-License-Identifier: MIT
/*
 * Monitors that lie, flood, stay silent and send what is no message (fake_vmm.c): what vmd says, what it
 * shows afterwards, and that nothing of them stays.
 */
#include "tests/functional/harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/errcat.h"
#include "lib/fdio.h"
#include "tests/functional/scene.h"
#include "tests/lib/skip.h"
#include "vmm/sandbox.h"

/* %d is the process's number. */
struct start_row {
	const char *mode;
	int code;
	const char *message;
};

static const struct start_row failing[] = {
	{ "close-hello", ERR_VMM_PROTOCOL, "the connection to vmm %d broke: it was closed" },
	{ "hello-state", ERR_VMM_PROTOCOL, "vmm %d says that its state is 'dan cing'" },
	{ "hello-types", ERR_VMM_PROTOCOL, "vmm says that it is process 0, it is %d" },
	{ "hello-bare", ERR_VMM_PROTOCOL, "vmm says that it is process 0, it is %d" },
	{ "close-configure", ERR_VMM_PROTOCOL, "the connection to vmm %d broke: it was closed" },
	{ "no-object", ERR_TIMEOUT, "vmm has not answered machine.configure within 1.0 s" },
	{ "long-line", ERR_VMM_PROTOCOL,
	  "the connection to vmm %d broke: a message is at most 1048576 bytes long" },
	{ "deep", ERR_VMM_PROTOCOL, "the connection to vmm %d broke: " },
	{ "wrong-ids", ERR_TIMEOUT, "vmm has not answered machine.configure within 1.0 s" },
	{ "error-types", ERR_FAILED, "an error without a message" },
	{ "error-long", ERR_FAILED, "a [31m b cyyyyyyyyyyyyyyyyyy" },
	{ "close-start", ERR_VMM_PROTOCOL, "the connection to vmm %d broke: it was closed" },
};

/* Does text begin with the row's message? Its %d is any number. */
static bool says(const char *text, const char *message)
{
	const char *number = strstr(message, "%d");
	size_t before = number ? (size_t)(number - message) : strlen(message);

	if (strncmp(text, message, before))
		return false;
	if (!number)
		return true;
	text += before;
	if (strspn(text, "0123456789") < 1)
		return false;
	return !strncmp(text + strspn(text, "0123456789"), number + 2, strlen(number + 2));
}

static void fails(struct harness *h, const struct start_row *row)
{
	struct client *c = scene_begin(h, row->mode, SCENE_SHORT);
	unsigned int fds = scene_fds(h, c);
	AUTO_JSON struct json_object *e = client_error(c, "vm.start", "{'vm': 'one'}");
	const char *message = json_get_str(e, "message", "");

	if (!says(message, row->message) || strlen(message) > 511)
		fail_msg("%s: %s", row->mode, message);
	for (const char *p = message; *p; p++)
		assert_false((unsigned char)*p < ' ' || *p == 0x7f);
	assert_int_equal(json_get_int(e, "code", 0), row->code);
	scene_expect_fds(h, c, fds);
	assert_int_equal(scene_count_files(h->run_dir), 0);
	assert_int_equal(scene_count_children(h->vmd), 0);
	scene_expect_state(c, "one", "stopped");
}

static void each(void **state, void (*check)(struct harness *h, const struct start_row *row),
		 const struct start_row *rows, size_t n)
{
	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	for (size_t i = 0; i < n; i++) {
		harness_teardown(state);
		harness_setup(state);
		check(*state, &rows[i]);
	}
}

static void test_starts_that_fail(void **state)
{
	each(state, fails, failing, ARRAY_SIZE(failing));
}

/* Nonsense beside the right answer changes nothing. */
static void runs(struct harness *h, const struct start_row *row)
{
	struct client *c = scene_begin(h, row->mode, SCENE_LONG);
	unsigned int fds = scene_fds(h, c);

	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	scene_expect_state(c, "one", "running");
	scene_expect_fds(h, c, fds + SCENE_VM_FDS);
	json_object_put(client_result(c, "vm.pause", "{'vm': 'one'}"));
	json_object_put(client_result(c, "vm.resume", "{'vm': 'one'}"));
	json_object_put(client_result(c, "vm.stop", "{'vm': 'one'}"));
	scene_expect_exit(c, "one", "shutdown", "the guest has powered off");
	scene_expect_fds(h, c, fds);
}

static const struct start_row running[] = {
	{ "hello-twice", 0, "" },
	{ "twice", 0, "" },
	{ "string-result", 0, "" },
	{ "fds", 0, "" },
};

static void test_starts_that_succeed(void **state)
{
	each(state, runs, running, ARRAY_SIZE(running));
}

/* --- last words --- */

static void record(struct harness *h, const struct start_row *row)
{
	struct client *c = scene_begin(h, row->mode, SCENE_LONG);
	AUTO_JSON struct json_object *o = NULL;
	struct json_object *exit;
	char text[1024];

	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	o = client_result(c, "vm.stop", "{'vm': 'one'}");
	exit = json_get(o, "exit");
	snprintf(text, sizeof(text), "%s: %s", json_get_str(exit, "reason", ""),
		 json_get_str(exit, "message", ""));
	if (!says(text, row->message))
		fail_msg("%s: %s", row->mode, text);
	assert_int_equal(json_get_int(exit, "code", -1), row->code);
}

static const struct start_row records[] = {
	{ "record-types", 0, "shutdown: " },
	{ "record-lie", 0, "died: vmm ended with status 0" },
	{ "record-long", 9, "fault:   zzzzzzzzzz" },
	{ "record-link", 6, "died: vmm ended with status 6" },
	{ "record-fifo", 6, "died: vmm ended with status 6" },
};

static void test_records(void **state)
{
	each(state, record, records, ARRAY_SIZE(records));
}

/* What vmd may grow by; a sanitizer keeps what was freed. */
#define MEMORY_KIB (SANDBOX_SANITIZER ? 1024 * 1024 : 8192)

/* --- too much, too late, nothing at all --- */

static long memory_kib(pid_t pid)
{
	char path[64], text[8192] = "", *line;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fdio_read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	line = strstr(text, "\nVmRSS:");
	assert_non_null(line);
	return strtol(line + 7, NULL, 10);
}

static void test_flood_of_events(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *last = NULL;
	struct client *c, *d;
	long before;
	int64_t seq;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = scene_begin(h, "flood", SCENE_LONG);
	d = harness_client(h);
	before = memory_kib(h->vmd);
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	/* another client is answered while it goes on; the pause is taken when all of it has been read */
	for (int i = 0; i < 20; i++)
		json_object_put(client_result(d, "vm.list", NULL));
	for (bool paused = false; !paused;) {
		AUTO_JSON struct json_object *o =
			client_answer(d, client_ask(d, "vm.pause", "{'vm': 'one'}"));

		paused = json_get(o, "result") != NULL;
	}
	json_object_put(client_result(d, "vm.resume", "{'vm': 'one'}"));
	last = client_result(d, "event.subscribe", NULL);
	seq = json_get_int(last, "seq", 0);
	/* the burst, what is earned within a minute at the most, and those of the start and the pause */
	assert_in_range(seq, 32, 32 + 240 + 10);
	if (memory_kib(h->vmd) > before + MEMORY_KIB)
		fail_msg("vmd grew from %ld KiB to %ld", before, memory_kib(h->vmd));
	json_object_put(client_result(d, "vm.stop", "{'vm': 'one'}"));
}

/* A configure that takes longer than a step may, and says that it moves. */
/* Until it is told to be so far, in percent, and never back. */
static void expect_progress(struct client *c, const char *phase, int64_t until)
{
	for (int64_t done = 0; done < until;) {
		AUTO_JSON struct json_object *event = client_event(c, "job.progress", NULL);
		struct json_object *data = json_get(event, "data");

		if (strcmp(json_get_str(data, "phase", ""), phase) != 0)
			continue;
		assert_true(json_get_int(data, "done", 0) >= done);
		done = json_get_int(data, "done", 0);
		assert_int_equal(json_get_int(data, "total", 0), 100);
		assert_string_equal(json_get_str(data, "unit", ""), "%");
	}
}

static void test_pins_slowly(void **state)
{
	struct client *c;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = scene_begin(*state, "pins", "2");
	json_object_put(client_result(c, "event.subscribe", "{'types': ['job.progress']}"));
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	expect_progress(c, "taking guest memory", 32);
	expect_progress(c, "pinning guest memory", 32);
	json_object_put(client_result(c, "vm.stop", "{'vm': 'one'}"));
}

/* To say it again does not help. */
static void test_pins_no_further(void **state)
{
	struct client *c;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = scene_begin(*state, "pins-stuck", "1");
	client_expect_error(c, "vm.start", "{'vm': 'one'}", ERR_TIMEOUT,
			    "vmm has not answered machine.configure within 1.0 s", "");
	scene_expect_state(c, "one", "stopped");
}

static void test_late_answer(void **state)
{
	struct client *c;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = scene_begin(*state, "late-pause", "1");
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	client_expect_error(c, "vm.pause", "{'vm': 'one'}", ERR_TIMEOUT,
			    "vmm has not answered machine.pause within 1.0 s", "");
	scene_expect_state(c, "one", "running");
	/* the answer to the first comes with that to the second, and is nobody's */
	json_object_put(client_result(c, "vm.pause", "{'vm': 'one'}"));
	scene_expect_state(c, "one", "paused");
}

/* It reads nothing: what waits for it is bounded, and it can be ended. */
static void test_never_reads(void **state)
{
	struct harness *h = *state;
	struct client *c, *d;
	int ids[40], busy = 0, late = 0;
	unsigned int fds;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = scene_begin(h, "deafen", "1");
	d = harness_client(h);
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	fds = scene_fds(h, c);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		ids[i] = client_ask(i % 2 ? c : d, "vm.console", "{'vm': 'one'}");
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		AUTO_JSON struct json_object *o = client_next(i % 2 ? c : d);
		struct json_object *e = json_get(o, "error");

		if (json_get_int(e, "code", 0) == ERR_BUSY)
			assert_string_equal(json_get_str(e, "message", ""),
					    "vmm has 32 requests to answer before console.attach");
		else
			assert_string_equal(json_get_str(e, "message", ""),
					    "vmm has not answered console.attach within 1.0 s");
		busy += json_get_int(e, "code", 0) == ERR_BUSY;
		late += json_get_int(e, "code", 0) == ERR_TIMEOUT;
	}
	assert_int_equal(busy + late, ARRAY_SIZE(ids));
	assert_in_range(late, 1, 32);
	scene_expect_fds(h, c, fds);
	scene_expect_state(c, "one", "running");
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	scene_expect_exit(c, "one", "killed", "vmm was ended by SIGKILL");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, harness_setup, harness_teardown)
		T(test_starts_that_fail), T(test_starts_that_succeed), T(test_records),
		T(test_flood_of_events),  T(test_pins_slowly),	       T(test_pins_no_further),
		T(test_late_answer),	  T(test_never_reads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
