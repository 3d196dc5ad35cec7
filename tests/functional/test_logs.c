// SPDX-License-Identifier: MIT
/*
 * What VMs say is kept: nothing lost and nothing doubled while vmd dies and comes back, gaps that are
 * seen, a disk that is full, and calls that wait for a console's text.
 */
#include "tests/functional/harness.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "lib/errcat.h"
#include "lib/fdio.h"
#include "tests/lib/skip.h"
#include "tests/lib/tempdir.h"

static struct client *connect_to(struct harness *h)
{
	struct client *c = harness_client(h);

	json_object_put(client_result(c, "event.subscribe", NULL));
	return c;
}

/* A vmd with such a monitor, and a VM 'one' that runs. */
static struct client *begin(struct harness *h, const char *fake)
{
	struct client *c;
	char params[512];

	harness_vmd(h, fake, "--console-log-size", "128KiB", NULL);
	c = connect_to(h);
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'boot': {'kernel': '%s'}}}",
		 harness_file(h, "kernel", "not looked at"));
	json_object_put(client_result(c, "vm.apply", params));
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	return c;
}

static void wait_for(struct client *c, const char *regex)
{
	char params[256];

	snprintf(params, sizeof(params),
		 "{'vm': 'one', 'for': 'console', 'regex': '%s', 'timeout_ms': %d}", regex,
		 HARNESS_WAIT_MS / 2);
	json_object_put(client_result(c, "vm.wait", params));
}

/* All records of a console (NULL: the first): "kind text|" each. Pages are put together. */
static void all_records(struct client *c, const char *console, char *out, size_t size)
{
	int64_t after = 0;
	char last[32] = "";
	size_t len = 0;
	bool more = true;

	out[0] = '\0';
	while (more) {
		AUTO_JSON struct json_object *page = NULL;
		struct json_object *records;
		char params[128];

		snprintf(params, sizeof(params), "{'vm': 'one', 'after': %lld%s%s%s}",
			 (long long)after, console ? ", 'console': '" : "", console ? console : "",
			 console ? "'" : "");
		page = client_result(c, "vm.logs", params);
		records = json_get(page, "records");
		for (size_t i = 0; i < json_object_array_length(records); i++) {
			struct json_object *r = json_object_array_get_idx(records, i);

			/* times do not run backwards, whoever wrote them */
			assert_true(strcmp(json_get_str(r, "time", ""), last) >= 0);
			snprintf(last, sizeof(last), "%s", json_get_str(r, "time", ""));
			len += (size_t)snprintf(out + len, size - len, "%s %s|",
						json_get_str(r, "kind", ""),
						json_get_str(r, "text", ""));
			assert_true(len < size);
		}
		after = json_get_int(page, "next", 0);
		more = json_get_bool(page, "more", false);
	}
}

/* --- nothing lost, nothing doubled --- */

static void kill_vmd(struct harness *h, struct client **c)
{
	client_close(h, *c);
	assert_int_equal(harness_vmd_end(h, SIGKILL), 128 + SIGKILL);
	harness_vmd(h, NULL, NULL);
	*c = connect_to(h);
}

static struct client *begin_counting(struct harness *h, const char *cmdline)
{
	struct client *c;
	char kernel[4096], params[4400];

	harness_program("../tests/guest/count", kernel, sizeof(kernel));
	harness_vmd(h, NULL, NULL);
	c = connect_to(h);
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'memory': '16MiB', 'boot': {'kernel': '%s', "
		 "'cmdline': '%s'}, 'devices': [{'type': 'debug-port'}]}}",
		 kernel, cmdline);
	json_object_put(client_result(c, "vm.apply", params));
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	return c;
}

/* Each number once and in order; how many. Lines may be in pieces. */
static unsigned int count_lines(struct client *c, const char *console)
{
	static char text[1 << 20];
	char last[256] = "", want[32];
	unsigned int n = 0;

	all_records(c, console, text, sizeof(text));
	assert_int_equal(strncmp(text, "begin |", 7), 0);
	for (char *p = text + 7, *end; (end = strchr(p, '|')); p = end + 1) {
		bool line = !strncmp(p, "line ", 5);

		assert_true(line || !strncmp(p, "part ", 5));
		snprintf(last + strlen(last), sizeof(last) - strlen(last), "%.*s",
			 (int)(end - p - 5), p + 5);
		if (!line)
			continue;
		snprintf(want, sizeof(want), "n %u", ++n);
		assert_string_equal(last, want);
		last[0] = '\0';
	}
	return n;
}

static void test_counting_over_restarts(void **state)
{
	struct harness *h = *state;
	struct client *c;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = begin_counting(h, "");
	wait_for(c, "^n 50$");
	kill_vmd(h, &c);
	wait_for(c, "^n 100$");
	kill_vmd(h, &c);
	kill_vmd(h, &c);
	wait_for(c, "^n 200$");
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	assert_true(count_lines(c, NULL) >= 200);
}

/* The guest goes on counting while no vmd is there, and ends before there is one again. */
static void test_end_while_vmd_is_away(void **state)
{
	struct harness *h = *state;
	struct client *c;
	AUTO_JSON struct json_object *vm = NULL;
	int pidfd;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = begin_counting(h, "limit=1000 debug=1");
	wait_for(c, "^n 50$");
	vm = client_result(c, "vm.get", "{'vm': 'one'}");
	pidfd = harness_pidfd((pid_t)json_get_int(json_get(vm, "observed"), "pid", 0));
	client_close(h, c);
	harness_vmd_end(h, SIGKILL);
	harness_wait_pidfd(pidfd);
	harness_vmd(h, NULL, NULL);
	c = connect_to(h);
	assert_int_equal(count_lines(c, NULL), 1000);
	assert_int_equal(count_lines(c, "debug0"), 1000);
	json_object_put(vm);
	vm = client_result(c, "vm.get", "{'vm': 'one'}");
	assert_string_equal(json_get_str(json_get(json_get(vm, "observed"), "exit"), "reason", ""),
			    "shutdown");
}

/* --- a monitor that lies, and one that floods --- */

static void test_gaps_and_lies(void **state)
{
	struct harness *h = *state;
	struct client *c;
	char text[1024];

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = begin(h, "log-gap");
	json_object_put(client_result(c, "vm.stop", "{'vm': 'one'}"));
	/* "console\n", 100 that are missing, "behind\n", the first again, then what is no message */
	all_records(c, NULL, text, sizeof(text));
	assert_string_equal(text, "begin |line console|lost |line behind|");
}

static off_t size_of(struct client *c, struct harness *h, const char *name)
{
	AUTO_JSON struct json_object *vm = client_result(c, "vm.get", "{'vm': 'one'}");
	char path[512];
	struct stat st;

	snprintf(path, sizeof(path), "%s/log/%s/%s", h->state_dir, json_get_str(vm, "id", ""),
		 name);
	return stat(path, &st) < 0 ? -1 : st.st_size;
}

static void test_flood(void **state)
{
	static char text[1 << 20];
	struct harness *h = *state;
	struct client *c;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = begin(h, "log-flood");
	wait_for(c, "^the end$");
	assert_true(size_of(c, h, "console-com1.log") + size_of(c, h, "console-com1.log.1") <=
		    128 * 1024);
	all_records(c, NULL, text, sizeof(text));
	assert_non_null(strstr(text, "|line the end|"));
	json_object_put(client_result(c, "vm.stop", "{'vm': 'one'}"));
}

/* Add a page of the monitor's log to the line in hand. True when that has been the last one. */
static bool noisy_page(struct json_object *page, char line[static 256], size_t size)
{
	struct json_object *records = json_get(page, "records");
	bool last = false;

	for (size_t i = 0; i < json_object_array_length(records) && !last; i++) {
		struct json_object *r = json_object_array_get_idx(records, i);
		const char *text = json_get_str(r, "text", "");

		assert_null(strpbrk(text, "\033\a"));
		snprintf(line + strlen(line), size - strlen(line), "%s", text);
		if (strcmp(json_get_str(r, "kind", ""), "line"))
			continue;
		last = !strcmp(line, "the last line");
		/* of the oldest line, the begin may be gone */
		if (!last)
			assert_non_null(
				strstr("noise  [31m  of a monitor that has much to say", line));
		line[0] = '\0';
	}
	return last;
}

static void test_noisy_monitor(void **state)
{
	struct harness *h = *state;
	struct client *c;
	char params[128] = "{'vm': 'one', 'monitor': true}", line[256] = "";
	bool last = false;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = begin(h, "noisy");
	/* vmd listens to it for a part of each second: the end may still be on its way */
	while (!last) {
		AUTO_JSON struct json_object *page = client_result(c, "vm.logs", params);

		if (json_object_array_length(json_get(page, "records")) == 0)
			fail_msg("the last line does not come");
		last = noisy_page(page, line, sizeof(line));
		snprintf(params, sizeof(params),
			 "{'vm': 'one', 'monitor': true, 'after': %lld, 'timeout_ms': 10000}",
			 (long long)json_get_int(page, "next", 0));
	}
	assert_true(size_of(c, h, "monitor.log") + size_of(c, h, "monitor.log.1") <= 128 * 1024);
	/* a vmd after this one goes on with it, and it never waited for one */
	client_close(h, c);
	harness_vmd_end(h, SIGKILL);
	harness_vmd(h, "noisy", NULL);
	c = connect_to(h);
	json_object_put(client_result(c, "vm.wait", "{'vm': 'one', 'for': 'running'}"));
	json_object_put(client_result(c, "vm.stop", "{'vm': 'one'}"));
}

/* --- waiting --- */

static void test_wait(void **state)
{
	struct harness *h = *state;
	struct client *c, *d;
	AUTO_JSON struct json_object *r = NULL, *late = NULL;
	int id;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = begin(h, "ok");
	r = client_result(c, "vm.wait", "{'vm': 'one', 'for': 'console', 'regex': '^con.*e$'}");
	assert_string_equal(json_get_str(r, "line", ""), "console");
	assert_string_equal(json_get_str(r, "state", ""), "running");
	client_expect_error(
		c, "vm.wait",
		"{'vm': 'one', 'for': 'console', 'regex': 'nothing', 'timeout_ms': 150}",
		ERR_TIMEOUT, "the console of VM 'one' has not said that within 0.15 s",
		"what it said: vmctl logs one");
	client_expect_error(c, "vm.wait", "{'vm': 'one', 'for': 'console'}", ERR_RPC_PARAMS,
			    "vm.wait: for a console, a regex is needed", "");
	client_expect_error(c, "vm.wait", "{'vm': 'one', 'for': 'console', 'regex': '(x'}",
			    ERR_RPC_PARAMS, "'(x' is no regular expression: Unmatched ( or \\(",
			    "POSIX extended: regex(7)");
	client_expect_error(c, "vm.wait", "{'vm': 'one', 'for': 'console', 'regex': '(a)\\\\1'}",
			    ERR_RPC_PARAMS, "the expression '(a)\\1' could take too long",
			    "no back-references, and {n,m} that multiply to 1000 at most");
	client_expect_error(c, "vm.wait",
			    "{'vm': 'one', 'for': 'console', 'regex': '((a{99}){99}){99}'}",
			    ERR_RPC_PARAMS,
			    "the expression '((a{99}){99}){99}' could take too long",
			    "no back-references, and {n,m} that multiply to 1000 at most");
	client_expect_error(c, "vm.wait",
			    "{'vm': 'one', 'for': 'console', 'regex': 'x', 'console': 'com9'}",
			    ERR_VM_NO_CONSOLE, "VM 'one' has no console 'com9'", "");
	/* its end is an end of the wait; what the process before said does not count */
	d = connect_to(h);
	id = client_ask(d, "vm.wait", "{'vm': 'one', 'for': 'console', 'regex': 'nothing'}");
	json_object_put(client_result(c, "vm.stop", "{'vm': 'one'}"));
	late = client_answer(d, id);
	assert_string_equal(json_get_str(json_get(late, "error"), "message", ""),
			    "VM 'one' ended before its console said that");
	client_expect_error(
		c, "vm.wait",
		"{'vm': 'one', 'for': 'console', 'regex': 'console', 'timeout_ms': 150}",
		ERR_TIMEOUT, "the console of VM 'one' has not said that within 0.15 s",
		"what it said: vmctl logs one");
	id = client_ask(d, "vm.wait", "{'vm': 'one', 'for': 'console', 'regex': 'console'}");
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	json_object_put(late);
	late = client_answer(d, id);
	assert_string_equal(json_get_str(json_get(late, "result"), "line", ""), "console");
}

/* What the process before this one said does not count, also when it stands in the log. */
static void test_wait_is_for_this_run(void **state)
{
	struct harness *h = *state;
	struct client *c;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = begin(h, "log-flood");
	wait_for(c, "^the end$");
	json_object_put(client_result(c, "vm.stop", "{'vm': 'one'}"));
	client_close(h, c);
	harness_vmd_end(h, SIGTERM);
	harness_vmd(h, "ok", NULL);
	c = connect_to(h);
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	wait_for(c, "console");
	client_expect_error(
		c, "vm.wait",
		"{'vm': 'one', 'for': 'console', 'regex': '^the end$', 'timeout_ms': 200}",
		ERR_TIMEOUT, "the console of VM 'one' has not said that within 0.2 s",
		"what it said: vmctl logs one");
}

/* --- reading --- */

static void test_pages(void **state)
{
	struct harness *h = *state;
	struct client *c, *d;
	AUTO_JSON struct json_object *page = NULL, *none = NULL, *next = NULL;
	struct json_object *records;
	char params[128];
	int id;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = begin(h, "ok");
	wait_for(c, "console");
	json_object_put(client_result(c, "vm.stop", "{'vm': 'one'}"));
	page = client_result(c, "vm.logs", "{'vm': 'one', 'last': 1}");
	records = json_get(page, "records");
	assert_int_equal(json_object_array_length(records), 1);
	assert_string_equal(json_get_str(json_object_array_get_idx(records, 0), "text", ""),
			    "console");
	snprintf(params, sizeof(params), "{'vm': 'one', 'after': %lld, 'timeout_ms': 50}",
		 (long long)json_get_int(page, "next", 0));
	none = client_result(c, "vm.logs", params);
	assert_int_equal(json_object_array_length(json_get(none, "records")), 0);
	/* one that waits sees the next start */
	snprintf(params, sizeof(params), "{'vm': 'one', 'after': %lld, 'timeout_ms': 20000}",
		 (long long)json_get_int(page, "next", 0));
	d = connect_to(h);
	id = client_ask(d, "vm.logs", params);
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	next = client_answer(d, id);
	records = json_get(json_get(next, "result"), "records");
	assert_string_equal(json_get_str(json_object_array_get_idx(records, 0), "kind", ""),
			    "begin");
	client_expect_error(c, "vm.logs", "{'vm': 'one', 'since': 'today'}", ERR_RPC_PARAMS,
			    "since: 'today' is no time",
			    "RFC 3339 in UTC, as 2026-01-31T12:00:00Z");
	json_object_put(page);
	page = client_result(c, "vm.logs", "{'vm': 'one', 'since': '2100-01-01T00:00:00Z'}");
	assert_int_equal(json_object_array_length(json_get(page, "records")), 0);
}

static void test_delete(void **state)
{
	struct harness *h = *state;
	struct client *c, *d;
	AUTO_JSON struct json_object *vm = NULL, *late = NULL;
	char path[512];
	int id;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = begin(h, "ok");
	wait_for(c, "console");
	vm = client_result(c, "vm.get", "{'vm': 'one'}");
	snprintf(path, sizeof(path), "%s/log/%s", h->state_dir, json_get_str(vm, "id", ""));
	json_object_put(client_result(c, "vm.stop", "{'vm': 'one'}"));
	assert_int_equal(access(path, F_OK), 0);
	d = connect_to(h);
	id = client_ask(d, "vm.wait", "{'vm': 'one', 'for': 'console', 'regex': 'nothing'}");
	json_object_put(client_result(d, "daemon.ping", NULL));
	json_object_put(client_result(c, "vm.delete", "{'vm': 'one'}"));
	late = client_answer(d, id);
	assert_int_equal(json_get_int(json_get(late, "error"), "code", 0), ERR_VM_NOT_FOUND);
	/* a worker removes them; vmd's end waits for workers */
	client_close(h, c);
	client_close(h, d);
	harness_vmd_end(h, SIGTERM);
	assert_int_equal(access(path, F_OK), -1);
	/* a deletion that was cut off */
	mkdir(path, 0700);
	harness_vmd(h, "ok", NULL);
	harness_vmd_end(h, SIGTERM);
	assert_int_equal(access(path, F_OK), -1);
}

/* --- the disk is full --- */

static void test_disk_full(void **state)
{
	struct harness *h = *state;
	struct client *c;
	AUTO_JSON struct json_object *failed = NULL, *resumed = NULL;
	char logs[256], fill[300], junk[4096] = "";
	static char text[1 << 20];
	int fd;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		SKIP_BECAUSE("no right to a mount namespace");
	mkdir(h->state_dir, 0700);
	snprintf(logs, sizeof(logs), "%s/log", h->state_dir);
	mkdir(logs, 0700);
	assert_int_equal(mount("none", logs, "tmpfs", 0, "size=64k"), 0);
	snprintf(fill, sizeof(fill), "%s/fill", logs);
	fd = open(fill, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	while (write(fd, junk, sizeof(junk)) > 0)
		;
	close(fd);
	c = begin(h, "ok");
	json_object_put(client_result(
		c, "event.subscribe",
		"{'since': 0, 'types': ['console.log_failed', 'console.log_resumed']}"));
	failed = client_event(c, "console.log_failed", NULL);
	assert_string_equal(json_get_str(json_get(failed, "data"), "name", ""), "one");
	assert_non_null(strstr(json_get_str(json_get(failed, "data"), "message", ""),
			       "No space left on device"));
	/* the guest is not bothered */
	json_object_put(client_result(c, "vm.pause", "{'vm': 'one'}"));
	json_object_put(client_result(c, "vm.resume", "{'vm': 'one'}"));
	assert_int_equal(unlink(fill), 0);
	resumed = client_event(c, "console.log_resumed", NULL);
	assert_non_null(resumed);
	wait_for(c, "console");
	all_records(c, NULL, text, sizeof(text));
	assert_string_equal(text, "begin |line console|");
	json_object_put(client_result(c, "vm.stop", "{'vm': 'one'}"));
	client_close(h, c);
	harness_vmd_end(h, SIGTERM);
	assert_int_equal(umount2(logs, MNT_DETACH), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, harness_setup, harness_teardown)
		T(test_counting_over_restarts),
		T(test_end_while_vmd_is_away),
		T(test_gaps_and_lies),
		T(test_flood),
		T(test_noisy_monitor),
		T(test_wait),
		T(test_wait_is_for_this_run),
		T(test_pages),
		T(test_delete),
		T(test_disk_full),
	};

	return cmocka_run_group_tests_name("logs", tests, NULL, NULL);
}
