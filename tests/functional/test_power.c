// SPDX-License-Identifier: MIT
/* Starting and ending VMs with monitors that behave and that do not: the exact errors, and nothing left. */
#include "tests/functional/harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/errcat.h"
#include "lib/fdio.h"
#include "tests/lib/tempdir.h"
#include "tests/lib/skip.h"

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

/* Short where the monitor stays silent, so long that no load reaches it where it answers. */
static const char *step_timeout(const char *fake)
{
	return fake && !strncmp(fake, "hang-", 5) && strcmp(fake, "hang-quit") ? "1" : "20";
}

/* A vmd with such a monitor and a VM 'one' whose files exist. Its client has subscribed to all events. */
static struct client *begin(struct harness *h, const char *fake)
{
	struct client *c;
	char params[512];

	harness_vmd(h, fake, "--step-timeout", step_timeout(fake), NULL);
	c = harness_client(h);
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'boot': {'kernel': '%s'}}}",
		 harness_file(h, "kernel", "not looked at"));
	json_object_put(client_result(c, "vm.apply", params));
	json_object_put(client_result(c, "event.subscribe", NULL));
	return c;
}

static pid_t vm_pid(struct client *c)
{
	AUTO_JSON struct json_object *o = client_result(c, "vm.get", "{'vm': 'one'}");

	return (pid_t)json_get_int(json_get(o, "observed"), "pid", 0);
}

static void assert_state(struct client *c, const char *state)
{
	AUTO_JSON struct json_object *o = client_result(c, "vm.get", "{'vm': 'one'}");

	assert_string_equal(json_get_str(json_get(o, "observed"), "state", ""), state);
}

static unsigned int count_files(const char *path)
{
	DIR *dir = opendir(path);
	unsigned int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

static unsigned int count_children(pid_t pid)
{
	char path[64], text[256] = "";
	unsigned int n = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0; /* a kernel without CONFIG_PROC_CHILDREN */
	assert_true(fdio_read(fd, text, sizeof(text) - 1) >= 0);
	close(fd);
	for (char *p = text; *p; p++)
		n += *p == ' ';
	return n;
}

/* vmd closes what it has to within some turns of its loop; each ping is a turn or less. */
static void assert_fds(struct harness *h, struct client *c, unsigned int expected)
{
	for (int i = 0; i < 1000 && harness_count_fds(h->vmd) != expected; i++)
		json_object_put(client_result(c, "daemon.ping", NULL));
	assert_int_equal(harness_count_fds(h->vmd), expected);
}

/* A start that fails says so, and leaves no file, process or descriptor; the next one fails alike. */
static void fails_to_start(struct harness *h, const char *fake, int code, const char *message,
			   const char *cause)
{
	struct client *c = begin(h, fake);
	unsigned int fds = harness_count_fds(h->vmd);
	AUTO_JSON struct json_object *first = client_error(c, "vm.start", "{'vm': 'one'}");
	AUTO_JSON struct json_object *again = NULL, *got = NULL;
	const char *got_cause;

	assert_string_equal(json_get_str(first, "message", ""), message);
	assert_int_equal(json_get_int(first, "code", 0), code);
	assert_string_equal(json_get_str(json_get(first, "data"), "op", ""), "vm.start");
	assert_string_equal(json_get_str(json_get(first, "data"), "target", ""), "one");
	got_cause = json_object_get_string(json_at(first, "/data/cause/0"));
	assert_string_equal(got_cause ? got_cause : "", cause);
	again = client_error(c, "vm.start", "{'vm': 'one'}");
	assert_string_equal(json_get_str(again, "message", ""), message);
	assert_fds(h, c, fds);
	assert_int_equal(count_files(h->run_dir), 0);
	assert_int_equal(count_children(h->vmd), 0);
	got = client_result(c, "vm.get", "{'vm': 'one'}");
	assert_string_equal(json_get_str(json_get(got, "observed"), "state", ""), "stopped");
	assert_string_equal(json_get_str(got, "desired", ""), "stopped");
	assert_null(json_get(json_get(got, "observed"), "exit"));
}

#define FAILS(test, fake, code, message, cause)                     \
	static void test(void **state)                              \
	{                                                           \
		if (!harness_has_kvm())                             \
			SKIP_BECAUSE("no /dev/kvm");                \
		fails_to_start(*state, fake, code, message, cause); \
	}

FAILS(test_die_hello, "die-hello", ERR_VMM_DIED, "vmm ended with status 3 during its start", "")
FAILS(test_signal_hello, "signal-hello", ERR_VMM_DIED, "vmm ended by signal 9 during its start",
      "its log ends: fake: first line|fake: the last line")
FAILS(test_hang_hello, "hang-hello", ERR_VMM_PROTOCOL,
      "vmm has not said hello within 1.0 s and was ended", "")
FAILS(test_die_configure, "die-configure", ERR_VMM_DIED, "vmm ended with status 4 during its start",
      "")
FAILS(test_hang_configure, "hang-configure", ERR_TIMEOUT,
      "vmm has not answered machine.configure within 1.0 s", "")
FAILS(test_last_words, "last-words", ERR_VMM_DIED, "vmm ended during its start (fault)",
      "the fake has failed")
FAILS(test_die_start, "die-start", ERR_VMM_DIED, "vmm ended by signal 15 during its start", "")
FAILS(test_hang_start, "hang-start", ERR_TIMEOUT, "vmm has not answered machine.start within 1.0 s",
      "")

/* Those whose message names a process or a path. */
static void fails_like(struct harness *h, const char *fake, int code, const char *part)
{
	struct client *c;
	AUTO_JSON struct json_object *e = NULL;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = begin(h, fake);
	e = client_error(c, "vm.start", "{'vm': 'one'}");
	if (!strstr(json_get_str(e, "message", ""), part))
		fail_msg("%s", json_get_str(e, "message", ""));
	assert_int_equal(json_get_int(e, "code", 0), code);
	assert_int_equal(count_files(h->run_dir), 0);
}

static void test_bad_hello(void **state)
{
	fails_like(*state, "bad-hello", ERR_VMM_PROTOCOL, "vmm says that it is process ");
}

static void test_garbage(void **state)
{
	fails_like(*state, "garbage", ERR_VMM_PROTOCOL, "the connection to vmm ");
}

static void test_oversized(void **state)
{
	fails_like(*state, "oversized", ERR_VMM_PROTOCOL, "a message is at most 1048576 bytes");
}

static void test_refused(void **state)
{
	/* vmm's words with the name of the file, and without the control character */
	fails_like(*state, "refuse", ERR_KERNEL_IMAGE, "/kernel': not a kernel");
}

/* The real vmm, given what is no kernel. */
static void test_not_a_kernel(void **state)
{
	struct harness *h = *state;
	struct client *c;
	char message[512];

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	harness_vmd(h, NULL, NULL);
	c = harness_client(h);
	snprintf(message, sizeof(message),
		 "{'definition': {'name': 'one', 'boot': {'kernel': '%s'}}}",
		 harness_file(h, "kernel", "a text and no kernel"));
	json_object_put(client_result(c, "vm.apply", message));
	snprintf(message, sizeof(message),
		 "kernel '%s/kernel': not a kernel: neither bzImage (no HdrS at 0x202) nor ELF",
		 h->dir);
	client_expect_error(c, "vm.start", "{'vm': 'one'}", ERR_KERNEL_IMAGE, message, "");
	assert_int_equal(count_files(h->run_dir), 0);
	assert_int_equal(count_children(h->vmd), 0);
	assert_state(c, "stopped");
}

static void test_no_vmm(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *error = NULL;
	struct client *c;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = begin(h, NULL);
	harness_vmd_end(h, SIGTERM);
	harness_vmd(h, NULL, "--vmm", "/nonexistent/vmm", NULL);
	c = harness_client(h);
	error = client_error(c, "vm.start", "{'vm': 'one'}");
	assert_string_equal(json_get_str(error, "message", ""),
			    "vmm ended with status 127 during its start");
	assert_string_equal(json_object_get_string(json_at(error, "/data/cause/0")),
			    "its log ends: vmd: cannot execute vmm: No such file or directory");
}

static void test_life(void **state)
{
	struct harness *h = *state;
	struct client *c;
	AUTO_JSON struct json_object *start = NULL, *again = NULL, *stop = NULL, *stopped = NULL;
	AUTO_JSON struct json_object *event = NULL, *got = NULL, *pause = NULL, *paused = NULL;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = begin(h, "ok");
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

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = begin(h, "ok");
	d = harness_client(h);
	first = client_ask(c, "vm.start", "{'vm': 'one'}");
	second = client_ask(d, "vm.start", "{'vm': 'one'}");
	json_object_put(client_answer(c, first));
	json_object_put(client_answer(d, second));
	assert_state(c, "running");
	assert_int_equal(count_files(h->run_dir), 1);
}

static void test_stop_during_start(void **state)
{
	struct harness *h = *state;
	struct client *c, *d;
	AUTO_JSON struct json_object *start = NULL, *stop = NULL, *busy = NULL;
	int id;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	harness_vmd(h, "hang-configure", "--step-timeout", "100", NULL);
	c = harness_client(h);
	{
		char params[512];

		snprintf(params, sizeof(params),
			 "{'definition': {'name': 'one', 'boot': {'kernel': '%s'}}}",
			 harness_file(h, "kernel", ""));
		json_object_put(client_result(c, "vm.apply", params));
	}
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
	assert_int_equal(count_files(h->run_dir), 0);
}

static void test_deaf_guest(void **state)
{
	struct harness *h = *state;
	struct client *c;
	AUTO_JSON struct json_object *stop = NULL;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = begin(h, "deaf");
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	client_expect_error(c, "vm.stop", "{'vm': 'one', 'timeout_ms': 100}", ERR_TIMEOUT,
			    "VM 'one' did not stop within 0.1 s and is still running",
			    "--force ends it");
	assert_state(c, "running");
	stop = client_result(c, "vm.stop", "{'vm': 'one', 'timeout_ms': 100, 'force': true}");
	assert_string_equal(json_get_str(json_get(stop, "exit"), "reason", ""), "killed");
}

static void test_kill_that_hangs(void **state)
{
	struct harness *h = *state;
	struct client *c;
	AUTO_JSON struct json_object *kill = NULL;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = begin(h, "hang-quit");
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

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = begin(h, "ok");
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	pid_t pid = vm_pid(c);
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

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = begin(h, "bad-record");
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

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = begin(h, "ok");
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	before = vm_pid(c);
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'cpus': 2, 'boot': {'kernel': '%s/kernel'}}}",
		 h->dir);
	got = client_result(c, "vm.apply", params);
	assert_true(json_get_bool(got, "restart_required", false));
	restart = client_result(c, "vm.restart", "{'vm': 'one'}");
	assert_string_equal(json_get_str(restart, "state", ""), "running");
	assert_int_not_equal(vm_pid(c), before);
	json_object_put(got);
	got = client_result(c, "vm.get", "{'vm': 'one'}");
	assert_int_equal(json_get_int(json_get(got, "observed"), "revision", 0), 2);
}

static void test_start_paused(void **state)
{
	struct harness *h = *state;
	struct client *c;
	AUTO_JSON struct json_object *start = NULL;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = begin(h, "ok");
	start = client_result(c, "vm.start", "{'vm': 'one', 'paused': true}");
	assert_string_equal(json_get_str(start, "state", ""), "paused");
	json_object_put(client_result(c, "vm.resume", "{'vm': 'one'}"));
	assert_state(c, "running");
}

static void test_console(void **state)
{
	struct harness *h = *state;
	struct client *c;
	AUTO_JSON struct json_object *console = NULL;
	char text[16] = "";
	int fd;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = begin(h, "ok");
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

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = begin(h, "ok");
	d = harness_client(h);
	client_ask(d, "vm.start", "{'vm': 'one'}");
	client_close(h, d);
	json_object_put(client_event(c, "vm.state", "running"));
	assert_state(c, "running");
}

static void test_files_and_limits(void **state)
{
	struct harness *h = *state;
	struct client *c;
	char params[512], message[512];
	AUTO_JSON struct json_object *e = NULL;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = begin(h, "ok");
	json_object_put(client_result(
		c, "vm.apply",
		"{'definition': {'name': 'two', 'boot': {'kernel': '/nonexistent'}}}"));
	client_expect_error(c, "vm.start", "{'vm': 'two'}", ERR_FILE,
			    "kernel '/nonexistent': No such file or directory", "");
	client_expect_error(c, "vm.start", "{'vm': 'two', 'dry_run': true}", ERR_FILE,
			    "kernel '/nonexistent': No such file or directory", "");
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'big', 'memory': '900GiB', 'boot': {'kernel': "
		 "'%s/kernel'}}}",
		 h->dir);
	json_object_put(client_result(c, "vm.apply", params));
	e = client_error(c, "vm.start", "{'vm': 'big'}");
	snprintf(message, sizeof(message), "%s", json_get_str(e, "message", ""));
	assert_int_equal(strncmp(message, "VM 'big' wants 900.0 GiB of memory, the host has ", 49),
			 0);
	assert_int_equal(json_get_int(e, "code", 0), ERR_MEMORY);
	assert_int_equal(count_files(h->run_dir), 0);
}

static void test_missing_initrd_and_disk(void **state)
{
	struct harness *h = *state;
	struct client *c;
	char params[512];

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = begin(h, "ok");
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'three', 'boot': {'kernel': '%s/kernel', 'initrd': "
		 "'/nonexistent'}}}",
		 h->dir);
	json_object_put(client_result(c, "vm.apply", params));
	client_expect_error(c, "vm.start", "{'vm': 'three'}", ERR_FILE,
			    "initrd '/nonexistent': No such file or directory", "");
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'three', 'boot': {'kernel': '%s/kernel'}, 'devices': "
		 "[{'type': 'virtio-blk', 'path': '/nonexistent'}]}}",
		 h->dir);
	json_object_put(client_result(c, "vm.apply", params));
	client_expect_error(c, "vm.start", "{'vm': 'three'}", ERR_FILE,
			    "disk 'disk0' '/nonexistent': No such file or directory", "");
	assert_int_equal(count_files(h->run_dir), 0);
}

/* Another host: no /dev/kvm, or one that is none. */
static void test_no_kvm(void **state)
{
	struct harness *h = *state;
	char root[256];
	struct client *c;

	tempdir_file(h->dir, "root/proc/sys/kernel/random/boot_id", "other-boot\n");
	tempdir_file(h->dir, "root/proc/meminfo", "MemTotal: 100 kB\nMemAvailable: 50 kB\n");
	snprintf(root, sizeof(root), "%s/root", h->dir);
	harness_vmd(h, "ok", "--sysroot", root, NULL);
	c = harness_client(h);
	json_object_put(client_result(c, "vm.apply",
				      "{'definition': {'name': 'one', 'boot': {'kernel': '/k'}}}"));
	client_expect_error(c, "vm.start", "{'vm': 'one'}", ERR_KVM,
			    "KVM is not usable: cannot open '/dev/kvm': No such file or directory",
			    "load kvm_intel or kvm_amd, and switch virtualization on in the "
			    "firmware or the outer hypervisor");
	tempdir_file(h->dir, "root/dev/kvm", "");
	client_expect_error(c, "vm.start", "{'vm': 'one'}", ERR_KVM,
			    "KVM is not usable: '/dev/kvm' has API version -1, not 12", "");
}

/* --- VMs outlive vmd --- */

static void test_outlives_vmd(void **state)
{
	struct harness *h = *state;
	struct client *c;
	AUTO_JSON struct json_object *stop = NULL;
	pid_t pid;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = begin(h, "ok");
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	pid = vm_pid(c);
	client_close(h, c);
	assert_int_equal(harness_vmd_end(h, SIGKILL), 128 + SIGKILL);
	harness_vmd(h, "ok", NULL);
	c = harness_client(h);
	assert_state(c, "running");
	assert_int_equal(vm_pid(c), pid);
	json_object_put(client_result(c, "vm.pause", "{'vm': 'one'}"));
	client_close(h, c);
	assert_int_equal(harness_vmd_end(h, SIGTERM), 0);
	harness_vmd(h, "ok", NULL);
	c = harness_client(h);
	assert_state(c, "paused");
	assert_int_equal(vm_pid(c), pid);
	json_object_put(client_result(c, "vm.resume", "{'vm': 'one'}"));
	stop = client_result(c, "vm.stop", "{'vm': 'one'}");
	assert_string_equal(json_get_str(json_get(stop, "exit"), "reason", ""), "shutdown");
}

static void ended_while_away(struct harness *h, const char *root, const char *reason)
{
	struct client *c = begin(h, "ok");
	AUTO_JSON struct json_object *got = NULL, *event = NULL;
	pid_t pid;
	int pidfd;

	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	pid = vm_pid(c);
	pidfd = harness_pidfd(pid);
	client_close(h, c);
	harness_vmd_end(h, SIGKILL);
	assert_int_equal(kill(pid, SIGKILL), 0);
	harness_wait_pidfd(pidfd);
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
	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	ended_while_away(*state, NULL, "lost");
}

static void test_other_boot(void **state)
{
	struct harness *h = *state;
	char root[256];

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	tempdir_file(h->dir, "root/proc/sys/kernel/random/boot_id", "other-boot\n");
	snprintf(root, sizeof(root), "%s/root", h->dir);
	ended_while_away(h, root, "lost");
}

/* vmd dies while a vmm hangs in its start: the next vmd ends it. */
static void test_killed_during_start(void **state)
{
	struct harness *h = *state;
	struct client *c;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	c = begin(h, "hang-start");
	client_ask(c, "vm.start", "{'vm': 'one'}");
	json_object_put(client_event(c, "vm.state", "starting"));
	client_close(h, c);
	harness_vmd_end(h, SIGKILL);
	harness_vmd(h, "ok", NULL);
	c = harness_client(h);
	json_object_put(client_result(c, "vm.wait",
				      "{'vm': 'one', 'for': 'stopped', "
				      "'timeout_ms': 15000}"));
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_die_hello),
		T(test_signal_hello),
		T(test_hang_hello),
		T(test_die_configure),
		T(test_hang_configure),
		T(test_last_words),
		T(test_die_start),
		T(test_hang_start),
		T(test_bad_hello),
		T(test_garbage),
		T(test_oversized),
		T(test_refused),
		T(test_not_a_kernel),
		T(test_no_vmm),
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
		T(test_files_and_limits),
		T(test_missing_initrd_and_disk),
		T(test_no_kvm),
		T(test_outlives_vmd),
		T(test_ended_while_vmd_was_away),
		T(test_other_boot),
		T(test_killed_during_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
