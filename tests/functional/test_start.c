// SPDX-License-Identifier: MIT
/*
 * Starts that fail, of the monitor or before it: the exact errors, and nothing left. And what a monitor is not to have
 * of vmd.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/errcat.h"
#include "tests/functional/scene.h"
#include "tests/lib/tempdir.h"

/* Short where the monitor stays silent, so long that no load reaches it where it answers. */
static const char *step_timeout(const char *fake)
{
	return strncmp(fake, "hang-", 5) ? SCENE_LONG : SCENE_SHORT;
}

/* A start that fails says so, and leaves no file, process or descriptor; the next one fails alike. */
static void fails_to_start(struct harness *h, const char *fake, int code, const char *message,
			   const char *cause)
{
	struct client *c = scene_begin(h, fake, step_timeout(fake));
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
	scene_expect_fds(h, c, fds);
	assert_int_equal(scene_count_files(h->run_dir), 0);
	assert_int_equal(scene_count_children(h->vmd), 0);
	got = client_result(c, "vm.get", "{'vm': 'one'}");
	assert_string_equal(json_get_str(json_get(got, "observed"), "state", ""), "stopped");
	assert_string_equal(json_get_str(got, "desired", ""), "stopped");
	assert_null(json_get(json_get(got, "observed"), "exit"));
}

#define FAILS(test, fake, code, message, cause)                     \
	static void test(void **state)                              \
	{                                                           \
		NEEDS_KVM;                                          \
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

	NEEDS_KVM;
	c = scene_begin(h, fake, step_timeout(fake));
	e = client_error(c, "vm.start", "{'vm': 'one'}");
	if (!strstr(json_get_str(e, "message", ""), part))
		fail_msg("%s", json_get_str(e, "message", ""));
	assert_int_equal(json_get_int(e, "code", 0), code);
	assert_int_equal(scene_count_files(h->run_dir), 0);
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

	NEEDS_KVM;
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
	assert_int_equal(scene_count_files(h->run_dir), 0);
	assert_int_equal(scene_count_children(h->vmd), 0);
	scene_expect_state(c, "one", "stopped");
}

static void test_no_vmm(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *error = NULL;
	struct client *c;

	NEEDS_KVM;
	c = scene_begin(h, NULL, SCENE_LONG);
	harness_vmd_end(h, SIGTERM);
	harness_vmd(h, NULL, "--vmm", "/nonexistent/vmm", NULL);
	c = harness_client(h);
	error = client_error(c, "vm.start", "{'vm': 'one'}");
	assert_string_equal(json_get_str(error, "message", ""),
			    "vmm ended with status 127 during its start");
	assert_string_equal(json_object_get_string(json_at(error, "/data/cause/0")),
			    "its log ends: vmd: cannot execute vmm: No such file or directory");
}

static void test_files_and_limits(void **state)
{
	struct harness *h = *state;
	struct client *c;
	char params[512], message[512];
	AUTO_JSON struct json_object *e = NULL;

	NEEDS_KVM;
	c = scene_begin(h, "ok", SCENE_LONG);
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
	assert_int_equal(scene_count_files(h->run_dir), 0);
}

static void test_missing_initrd_and_disk(void **state)
{
	struct harness *h = *state;
	struct client *c;
	char params[512];

	NEEDS_KVM;
	c = scene_begin(h, "ok", SCENE_LONG);
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
	assert_int_equal(scene_count_files(h->run_dir), 0);
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

/* A line of /proc/PID/status: signals, the lowest bit is number 1. */
static unsigned long long signals(pid_t pid, const char *key)
{
	char path[64], text[4096], *line;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	line = strstr(text, key);
	assert_non_null(line);
	return strtoull(line + strlen(key), NULL, 16);
}

/* What vmd ignores or blocks, by itself or as it was started, is vmd's; and what it handles is so afterwards too. */
static void test_signals(void **state)
{
	const unsigned long long usr1 = 1ull << (SIGUSR1 - 1), pipe = 1ull << (SIGPIPE - 1);
	struct harness *h = *state;
	unsigned long long handled;
	struct client *c;
	pid_t pid;

	NEEDS_KVM;
	signal(SIGUSR1, SIG_IGN);
	c = scene_begin(h, "ok", SCENE_LONG);
	signal(SIGUSR1, SIG_DFL);
	assert_int_equal(signals(h->vmd, "SigIgn:") & (usr1 | pipe), usr1 | pipe);
	handled = signals(h->vmd, "SigCgt:");
	assert_true(handled & 1ull << (SIGTERM - 1));
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	pid = scene_pid(c, "one");
	assert_int_equal(signals(pid, "SigIgn:") & usr1, 0);
	assert_int_equal(signals(pid, "SigBlk:"), 0);
	assert_int_equal(signals(pid, "SigCgt:") & 1ull << (SIGTERM - 1), 0);
	assert_int_equal(signals(h->vmd, "SigCgt:"), handled);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, harness_setup, harness_teardown)
		T(test_die_hello),	  T(test_signal_hello),
		T(test_hang_hello),	  T(test_die_configure),
		T(test_hang_configure),	  T(test_last_words),
		T(test_die_start),	  T(test_hang_start),
		T(test_bad_hello),	  T(test_garbage),
		T(test_oversized),	  T(test_refused),
		T(test_not_a_kernel),	  T(test_no_vmm),
		T(test_files_and_limits), T(test_missing_initrd_and_disk),
		T(test_no_kvm),		  T(test_signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
