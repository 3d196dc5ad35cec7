// SPDX-License-Identifier: MIT
/*
 * Processes in the place of vmm-display that end, stay silent, lie and refuse (fake_vmm.c): the VM runs on, an event says why it
 * has no screen, another one is tried, and nothing of them stays.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/functional/scene.h"

struct row {
	const char *mode;
	const char *message; /* begins so */
};

static const struct row rows[] = {
	{ "hang-hello", "vmm-display serves nobody after 1.0 s" },
	{ "hello-state", "vmm-display serves nobody after 1.0 s: vmm " },
	{ "hello-types", "vmm-display serves nobody after 1.0 s: vmm says that it is process 0" },
	{ "sigsys-hello", "vmm-display ended by signal 31 (SIGSYS, a system call that its cage" },
	{ "shows", "vmm-display shows a screen that it was never given" },
	{ "serve-silent", "vmm-display serves nobody after 1.0 s" },
	{ "serve-close", "it was never given a screen" },
	{ "serve-refuse", "it shows nothing" },
};

/* A monitor that does as it should, and in the place of vmm-display one that does not */
static struct client *begin(struct harness *h, const char *mode, const char *timeout)
{
	char path[256], params[512];
	struct client *c;

	harness_fake(h, mode, path, sizeof(path));
	harness_vmd(h, "ok", "--step-timeout", timeout, "--display", path, NULL);
	c = harness_client(h);
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'profile': 'legacy-pc', 'memory': '64MiB',"
		 " 'boot': {'kernel': '%s'}, 'devices': [{'type': 'vga'}], 'display': {}}}",
		 harness_file(h, "kernel", "not looked at"));
	json_object_put(client_result(c, "vm.apply", params));
	json_object_put(client_result(c, "event.subscribe", NULL));
	return c;
}

static void start(struct client *c)
{
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
}

static void expect_ended(struct client *c, const char *message, bool again)
{
	AUTO_JSON struct json_object *event = client_event(c, "vm.display", NULL);
	struct json_object *data = json_get(event, "data");
	const char *said = json_get_str(data, "message", "");

	if (strncmp(said, message, strlen(message)) != 0)
		fail_msg("%s: %s", message, said);
	assert_int_equal(json_get_bool(data, "again", !again), again);
}

static void expect_state(struct client *c, const char *state)
{
	AUTO_JSON struct json_object *r = client_result(c, "vm.display", "{'vm': 'one'}");

	assert_string_equal(json_get_str(r, "state", ""), state);
	assert_null(json_get(r, "viewers"));
}

static void wait_until_up(struct client *c)
{
	for (int64_t end = harness_now_ms() + HARNESS_WAIT_MS; harness_now_ms() < end;) {
		AUTO_JSON struct json_object *r = client_result(c, "vm.display", "{'vm': 'one'}");

		if (!strcmp(json_get_str(r, "state", ""), "up"))
			return;
	}
	fail_msg("the display does not come up");
}

static void expect_nothing_left(struct harness *h, struct client *c, unsigned int fds)
{
	char folder[300];

	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	scene_expect_fds(h, c, fds);
	assert_int_equal(scene_count_children(h->vmd), 0);
	snprintf(folder, sizeof(folder), "%s/display", h->run_dir);
	assert_int_equal(scene_count_files(folder), 0);
}

static void test_each(void **state)
{
	NEEDS_KVM;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct harness *h;
		struct client *c;
		unsigned int fds;

		harness_teardown(state);
		harness_setup(state);
		h = *state;
		c = begin(h, rows[i].mode, SCENE_SHORT);
		fds = scene_fds(h, c);
		start(c);
		expect_ended(c, rows[i].message, true);
		expect_state(c, "down");
		scene_expect_state(c, "one", "running");
		expect_nothing_left(h, c, fds);
	}
}

/* Three that end at once are enough. */
static void test_given_up(void **state)
{
	struct harness *h = *state;
	struct client *c;
	unsigned int fds;

	NEEDS_KVM;
	c = begin(h, "die-hello", SCENE_LONG);
	fds = scene_fds(h, c);
	start(c);
	for (unsigned int i = 1; i <= 3; i++)
		expect_ended(c, "vmm-display ended with status 3", i < 3);
	expect_state(c, "down");
	scene_expect_state(c, "one", "running");
	expect_nothing_left(h, c, fds);
	/* the next start tries again */
	start(c);
	expect_ended(c, "vmm-display ended with status 3", true);
}

/* One that is found again by the next vmd, and says nothing any more */
static void test_silent_later(void **state)
{
	struct harness *h = *state;
	char path[256];
	struct client *c;

	NEEDS_KVM;
	c = begin(h, "hello-once", SCENE_SHORT);
	start(c);
	wait_until_up(c);
	harness_fake(h, "hello-once", path, sizeof(path));
	client_close(h, c);
	harness_vmd_end(h, SIGKILL);
	harness_vmd(h, "ok", "--step-timeout", SCENE_SHORT, "--display", path, NULL);
	c = harness_client(h);
	json_object_put(client_result(c, "event.subscribe", NULL));
	expect_ended(c, "vmm-display serves nobody after 1.0 s", true);
	wait_until_up(c);
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
}

/* vmd's child that is not the monitor */
static pid_t display_pid(struct harness *h, struct client *c)
{
	pid_t monitor = scene_pid(c, "one"), pid = 0;
	char path[64];
	FILE *f;
	int one;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)h->vmd, (int)h->vmd);
	f = fopen(path, "re");
	if (!f)
		SKIP_BECAUSE("a kernel without CONFIG_PROC_CHILDREN");
	while (fscanf(f, "%d", &one) == 1)
		pid = one == monitor ? pid : one;
	fclose(f);
	assert_true(pid > 0);
	return pid;
}

/* A monitor that does not answer to the next vmd for a while: it is waited for. */
static void test_monitor_away(void **state)
{
	struct harness *h = *state;
	char path[256];
	pid_t monitor, display;
	struct client *c;
	int pidfd;

	NEEDS_KVM;
	c = begin(h, "ok", SCENE_LONG);
	start(c);
	wait_until_up(c);
	monitor = scene_pid(c, "one");
	display = display_pid(h, c);
	client_close(h, c);
	harness_vmd_end(h, SIGKILL);
	assert_int_equal(kill(monitor, SIGSTOP), 0);
	pidfd = harness_pidfd(display);
	assert_int_equal(kill(display, SIGKILL), 0);
	harness_wait_pidfd(pidfd);
	harness_fake(h, "ok", path, sizeof(path));
	harness_vmd(h, "ok", "--step-timeout", SCENE_LONG, "--display", path, NULL);
	/* it has waited for the monitor's hello; three displays without it would have had their chance */
	c = harness_client(h);
	expect_state(c, "down");
	assert_int_equal(kill(monitor, SIGCONT), 0);
	wait_until_up(c);
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
}

/* Numbers of viewers that cannot be are nobody's. */
static void test_lies(void **state)
{
	struct harness *h = *state;
	struct client *c;
	unsigned int fds;

	NEEDS_KVM;
	c = begin(h, "viewers-lie", SCENE_LONG);
	fds = scene_fds(h, c);
	start(c);
	wait_until_up(c);
	for (unsigned int i = 0; i < 4; i++)
		expect_state(c, "up");
	expect_nothing_left(h, c, fds);
}

/* What it has said is passed on when it has ended: printable, and not much. */
static void test_noise(void **state)
{
	struct harness *h = *state;
	int log = open(harness_file(h, "log", ""), O_RDWR | O_CLOEXEC | O_APPEND), stderr_was;
	char text[16384] = "", *end;
	unsigned int lines = 0;
	struct client *c;

	NEEDS_KVM;
	stderr_was = dup(STDERR_FILENO);
	assert_true(log >= 0 && stderr_was >= 0);
	dup2(log, STDERR_FILENO);
	c = begin(h, "noisy", SCENE_SHORT);
	dup2(stderr_was, STDERR_FILENO);
	close(stderr_was);
	start(c);
	expect_ended(c, "vmm-display serves nobody after 1.0 s", true);
	assert_true(pread(log, text, sizeof(text) - 1, 0) > 0);
	end = strstr(text, "has ended"); /* of the first: others may have come meanwhile */
	assert_non_null(end);
	*end = '\0';
	for (const char *at = text; (at = strstr(at, "display of VM 'one' said: ")); at++, lines++)
		assert_non_null(strstr(at, "said: noise ?[31m? of a monitor that has much to say"));
	assert_int_equal(lines, 16);
	assert_null(strchr(text, '\x1b'));
	close(log);
}

/* vmctl display says that nobody answers, and what cannot be started */
static void test_vmctl(void **state)
{
	struct harness *h = *state;
	struct harness_output got;
	struct client *c;

	NEEDS_KVM;
	c = begin(h, "hang-hello", SCENE_LONG);
	start(c);
	assert_int_equal(harness_vmctl(h, NULL, &got, "display", "one", NULL), 0);
	assert_string_equal(got.err, "vmctl: nobody answers there now: vmctl events tells why\n");
	setenv("VMCTL_VIEWER", "/nowhere/viewer", 1);
	assert_int_equal(harness_vmctl(h, NULL, &got, "display", "one", "--open", NULL), 1);
	unsetenv("VMCTL_VIEWER");
	assert_string_equal(got.out, "");
	assert_non_null(strstr(got.err, "nobody answers there now"));
	assert_non_null(strstr(got.err, "'/nowhere/viewer': No such file or directory\nhint: "
					"VMCTL_VIEWER names a program"));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, harness_setup, harness_teardown)
	const struct CMUnitTest tests[] = { T(test_each),	  T(test_given_up),
					    T(test_silent_later), T(test_lies),
					    T(test_noise),	  T(test_vmctl),
					    T(test_monitor_away) };
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
