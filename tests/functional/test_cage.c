// SPDX-License-Identifier: MIT
/*
 * The cage of a monitor that runs, as /proc shows it: vmd-security(7), "how to check". The ways out are tried in
 * tests/unit/test_sandbox.c and test_seccomp.c.
 */
#include "tests/functional/harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "lib/fdio.h"
#include "tests/lib/skip.h"
#include "vmm/sandbox.h"

/* Why the cage cannot be looked at here, or NULL. */
static const char *no_cage(void)
{
	if (!harness_has_kvm())
		return "no /dev/kvm";
	if (geteuid() != 0)
		return "not root: monitors have vmd's user";
	if (SANDBOX_SANITIZER)
		return "a build with a sanitizer has no whole cage";
	return NULL;
}

#define NEEDS_CAGE()                             \
	do {                                     \
		if (no_cage())                   \
			SKIP_BECAUSE(no_cage()); \
	} while (0)

/* A guest that halts, with two vCPUs, consoles, a disk, a SCSI controller and entropy: all kinds of threads. */
static void definition(struct harness *h, const char *name, char *out, size_t size)
{
	char guest[4096], disk[256], file[80];

	harness_program("../tests/guest/halt", guest, sizeof(guest));
	snprintf(file, sizeof(file), "%.64s-disk", name);
	snprintf(disk, sizeof(disk), "%s", harness_file(h, file, ""));
	assert_int_equal(truncate(disk, 65536), 0);
	snprintf(out, size,
		 "{'name': '%s', 'profile': 'modern', 'cpus': 2, 'memory': '32MiB',"
		 " 'boot': {'kernel': '%s'}, 'devices': [{'type': 'debug-port'},"
		 " {'type': 'virtio-blk', 'path': '%s'}, {'type': 'virtio-scsi'}]}",
		 name, guest, disk);
}

static void apply(struct harness *h, struct client *c, const char *name)
{
	char vm[5000], params[5100];

	definition(h, name, vm, sizeof(vm));
	snprintf(params, sizeof(params), "{'definition': %s}", vm);
	json_object_put(client_result(c, "vm.apply", params));
}

static pid_t start(struct harness *h, struct client *c, const char *name)
{
	AUTO_JSON struct json_object *o = NULL;
	char params[64];

	apply(h, c, name);
	snprintf(params, sizeof(params), "{'vm': '%s'}", name);
	json_object_put(client_result(c, "vm.start", params));
	o = client_result(c, "vm.get", params);
	return (pid_t)json_get_int(json_get(o, "observed"), "pid", 0);
}

/* The text behind "Key:" of a status file. */
static void status_of(const char *dir, const char *key, char *out, size_t size)
{
	char path[128], text[8192] = "", *at;
	int fd;

	snprintf(path, sizeof(path), "%s/status", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_true(fdio_read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	at = strstr(text, key);
	if (!at)
		fail_msg("no %s in %s", key, path);
	at += strlen(key);
	at += strspn(at, " \t");
	snprintf(out, size, "%.*s", (int)strcspn(at, "\n"), at);
}

static void assert_status(const char *dir, const char *key, const char *expected)
{
	char is[256];

	status_of(dir, key, is, sizeof(is));
	is[strlen(is) - (is[0] && is[strlen(is) - 1] == ' ')] = '\0';
	if (strcmp(is, expected))
		fail_msg("%s: %s '%s', not '%s'", dir, key, is, expected);
}

/* A thread puts its filter on first of all: one that has not run yet has none. */
static void assert_filter(const char *dir)
{
	time_t until = time(NULL) + HARNESS_WAIT_MS / 1000;
	char is[16];

	do {
		status_of(dir, "\nSeccomp:", is, sizeof(is));
		sched_yield();
	} while (strcmp(is, "2") && time(NULL) < until);
	assert_status(dir, "\nSeccomp:", "2");
}

static void assert_rights(const char *dir)
{
	static const char *const sets[] = { "\nCapInh:", "\nCapPrm:", "\nCapEff:", "\nCapBnd:",
					    "\nCapAmb:" };

	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		assert_status(dir, sets[i], "0000000000000000");
	assert_status(dir, "\nGroups:", "");
	assert_status(dir, "\nNoNewPrivs:", "1");
	assert_filter(dir);
}

/* Each thread; how many there are, without the kernel's own (kvm-nx-…). */
static unsigned int assert_threads(pid_t pid, uid_t uid)
{
	char tasks[64], dir[400], ids[64], name[64];
	struct dirent *d;
	unsigned int n = 0;
	DIR *list;

	snprintf(tasks, sizeof(tasks), "/proc/%d/task", (int)pid);
	snprintf(ids, sizeof(ids), "%u\t%u\t%u\t%u", uid, uid, uid, uid);
	list = opendir(tasks);
	assert_non_null(list);
	while ((d = readdir(list))) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(dir, sizeof(dir), "%s/%s", tasks, d->d_name);
		assert_status(dir, "\nUid:", ids);
		assert_status(dir, "\nGid:", ids);
		assert_rights(dir);
		status_of(dir, "Name:", name, sizeof(name));
		n += strncmp(name, "kvm-", 4) != 0;
	}
	closedir(list);
	return n;
}

static void assert_namespaces(pid_t pid, pid_t vmd, bool differ)
{
	static const char *const names[] = { "mnt", "net", "ipc", "uts" };
	char path[64], a[64], b[64];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, names[i]);
		n = readlink(path, a, sizeof(a) - 1);
		assert_true(n > 0);
		a[n] = '\0';
		snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)vmd, names[i]);
		n = readlink(path, b, sizeof(b) - 1);
		assert_true(n > 0);
		b[n] = '\0';
		if (differ)
			assert_string_not_equal(a, b);
		else
			assert_string_equal(a, b);
	}
}

static void assert_root_is_empty(pid_t pid)
{
	char path[64];
	struct dirent *d;
	unsigned int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/root/", (int)pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((d = readdir(dir)))
		n += strcmp(d->d_name, ".") && strcmp(d->d_name, "..");
	closedir(dir);
	assert_int_equal(n, 0);
	strcat(path, "x");
	assert_int_equal(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), -1);
	assert_int_equal(errno, EROFS);
}

static void assert_limit(const char *limits, const char *name, const char *expected)
{
	const char *line = strstr(limits, name);
	char soft[32], hard[32];

	assert_non_null(line);
	assert_int_equal(sscanf(line + 26, "%31s %31s", soft, hard), 2);
	assert_string_equal(soft, expected);
	assert_string_equal(hard, expected);
}

static void assert_limits(pid_t pid)
{
	char path[64], expected[16], text[4096] = "";
	struct rlimit files;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/limits", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && fdio_read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	assert_limit(text, "Max core file size", "0");
	assert_limit(text, "Max processes", "1024");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	snprintf(expected, sizeof(expected), "%u", (unsigned int)MIN(files.rlim_max, 13774u));
	assert_limit(text, "Max open files", expected);
	assert_limit(text, "Max msgqueue size", "0");
	assert_limit(text, "Max file size", "unlimited");
}

/* Each descriptor of the monitor is one of these, that often. */
struct known {
	const char *begins, *ends;
	unsigned int count;
};

static bool known_is(const struct known *k, const char *target)
{
	size_t n = strlen(target), tail = strlen(k->ends);

	return !strncmp(target, k->begins, strlen(k->begins)) && n >= tail &&
	       !strcmp(target + n - tail, k->ends);
}

/* Flags in octal of /proc/PID/fdinfo/N; all but the three that stdio has are close-on-exec. */
static void assert_cloexec(pid_t pid, const char *fd)
{
	char path[400], text[256] = "";
	unsigned int flags = 0;
	const char *at;
	int info;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", (int)pid, fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(info >= 0 && fdio_read(info, text, sizeof(text) - 1) > 0);
	close(info);
	at = strstr(text, "flags:");
	assert_true(at && sscanf(at, "flags: %o", &flags) == 1);
	if (atoi(fd) > 2 && !(flags & O_CLOEXEC))
		fail_msg("descriptor %s is inherited", fd);
}

/* A disk there has no ring. */
static bool in_memory(const char *dir)
{
	struct statfs fs;

	assert_int_equal(statfs(dir, &fs), 0);
	return fs.f_type == TMPFS_MAGIC;
}

static void assert_descriptors(struct harness *h, pid_t pid)
{
	struct known all[] = {
		{ "/dev/null", "", 2 },
		{ h->dir, "/log.fifo", 1 },
		{ h->dir, "/exit.json", 1 },
		{ h->dir, "/console.tail", 1 },
		{ h->dir, "-disk", 1 },
		{ "/", "/tests/guest/halt", 1 },
		{ "/dev/kvm", "", 1 },
		{ "anon_inode:kvm-vm", "", 1 },
		{ "anon_inode:kvm-vcpu:", "", 2 },
		{ "anon_inode:[io_uring]", "", in_memory(h->dir) ? 0 : 1 },
		{ "anon_inode:[eventpoll]", "", 4 }, /* control loop, shared worker, two of disks */
		{ "socket:", "", 5 },		     /* listens; vmd; the logs of three consoles */
		{ "pipe:", "", 10 },		     /* libuv's signals, of each loop, both ends */
		{ "anon_inode:[eventfd]", "", 0 },   /* loops, queues, vectors: counted below */
	};
	char path[64], link[400], target[512];
	struct dirent *d;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((d = readdir(dir))) {
		size_t i = 0;
		ssize_t n;

		if (d->d_name[0] == '.')
			continue;
		snprintf(link, sizeof(link), "%s/%s", path, d->d_name);
		n = readlink(link, target, sizeof(target) - 1);
		assert_true(n > 0);
		target[n] = '\0';
		while (i < ARRAY_SIZE(all) && !known_is(&all[i], target))
			i++;
		if (i == ARRAY_SIZE(all))
			fail_msg("descriptor %s is %s", d->d_name, target);
		if (i == ARRAY_SIZE(all) - 1)
			all[i].count++;
		else if (!all[i].count--)
			fail_msg("one too many: %s", target);
		assert_cloexec(pid, d->d_name);
	}
	closedir(dir);
	for (size_t i = 0; i < ARRAY_SIZE(all) - 1; i++)
		if (all[i].count)
			fail_msg("%u of %s%s are missing", all[i].count, all[i].begins,
				 all[i].ends);
	/* 4 loops; queues' kicks 1 + 1 + 3 + 4 + the balloon's 5; their vectors and the devices' 2 + 2 + 4 + 5 + 6; the ring's */
	assert_in_range(all[ARRAY_SIZE(all) - 1].count, 10, 42);
}

static void test_cage(void **state)
{
	struct harness *h = *state;
	struct client *c;
	pid_t one, two;

	NEEDS_CAGE();
	harness_vmd(h, NULL, NULL);
	c = harness_client(h);
	one = start(h, c, "one");
	/* control loop, two vCPUs, three workers, one that waits for what comes to the SCSI controller */
	assert_int_equal(assert_threads(one, h->uid_first), 7);
	assert_namespaces(one, h->vmd, true);
	assert_root_is_empty(one);
	assert_limits(one);
	assert_descriptors(h, one);
	/* another VM is another user, in the same empty namespaces */
	two = start(h, c, "two");
	assert_threads(two, h->uid_first + 1);
	assert_namespaces(two, one, false);
	/* all that it has to do it can do in there */
	json_object_put(client_result(c, "vm.pause", "{'vm': 'one'}"));
	json_object_put(client_result(c, "vm.resume", "{'vm': 'one'}"));
	json_object_put(client_result(c, "vm.reset", "{'vm': 'one'}"));
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	/* the user is free for the next one */
	assert_threads(start(h, c, "three"), h->uid_first);
}

static void read_word(int fd, const char *word)
{
	char text[4096] = "";
	size_t len = 0;

	while (!strstr(text, word)) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		assert_int_equal(poll(&p, 1, HARNESS_WAIT_MS), 1);
		n = read(fd, text + len, sizeof(text) - 1 - len);
		assert_true(n > 0);
		len += (size_t)n;
	}
}

static void test_console_in_the_cage(void **state)
{
	struct harness *h = *state;
	struct client *c;
	int fd;

	NEEDS_CAGE();
	harness_vmd(h, NULL, NULL);
	c = harness_client(h);
	start(h, c, "one");
	for (int i = 0; i < 3; i++) {
		json_object_put(client_result(
			c, "vm.console",
			"{'vm': 'one', 'console': 'debug0', 'mode': 'read', 'scrollback': true}"));
		fd = client_take_fd(c);
		assert_true(fd >= 0);
		read_word(fd, "halts");
		close(fd);
	}
	json_object_put(
		client_result(c, "vm.stop", "{'vm': 'one', 'timeout_ms': 1, 'force': true}"));
}

static void assert_exit(struct client *c, const char *reason, int code, const char *message)
{
	AUTO_JSON struct json_object *event = client_event(c, "vm.state", "stopped");
	struct json_object *exit = json_get(json_get(event, "data"), "exit");

	assert_string_equal(json_get_str(exit, "reason", ""), reason);
	assert_int_equal(json_get_int(exit, "code", 0), code);
	assert_string_equal(json_get_str(exit, "message", ""), message);
}

static void test_a_forbidden_call_is_named(void **state)
{
	struct harness *h = *state;
	struct client *c;

	NEEDS_CAGE();
	harness_vmd(h, NULL, NULL);
	c = harness_client(h);
	json_object_put(client_result(c, "event.subscribe", NULL));
	assert_int_equal(kill(start(h, c, "one"), SIGSYS), 0);
	assert_exit(c, "died", SIGSYS,
		    "vmm ended by signal 31 (SIGSYS, a system call that its cage forbids)");
	/* an assertion that fails is a death without a core, and is told too */
	assert_int_equal(kill(start(h, c, "one"), SIGABRT), 0);
	assert_exit(c, "died", SIGABRT, "vmm ended by signal 6");
}

static void test_a_forbidden_call_at_the_start(void **state)
{
	struct harness *h = *state;
	struct client *c;

	if (!harness_has_kvm())
		SKIP_BECAUSE("no /dev/kvm");
	harness_vmd(h, "sigsys-hello", NULL);
	c = harness_client(h);
	apply(h, c, "one");
	client_expect_error(c, "vm.start", "{'vm': 'one'}", ERR_VMM_DIED,
			    "vmm ended by signal 31 (SIGSYS, a system call that its cage forbids)"
			    " during its start",
			    "the kernel's log (type=1326) has its number; vmd --seccomp=log lets"
			    " it pass");
}

static void test_no_uid_is_left(void **state)
{
	struct harness *h = *state;
	unsigned int first = h->uid_first;
	char range[32], message[96];
	struct client *c;

	NEEDS_CAGE();
	snprintf(range, sizeof(range), "%u-%u", first, first + 1);
	harness_vmd(h, NULL, "--monitor-uids", range, NULL);
	c = harness_client(h);
	assert_threads(start(h, c, "one"), first);
	assert_threads(start(h, c, "two"), first + 1);
	apply(h, c, "three");
	snprintf(message, sizeof(message), "all monitor uids (%u to %u) are taken", first,
		 first + 1);
	client_expect_error(c, "vm.start", "{'vm': 'three'}", ERR_FAILED, message,
			    "vmd --monitor-uids: a larger range");
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	json_object_put(client_result(c, "vm.start", "{'vm': 'three'}"));
}

/* Two vmds whose monitors could be the same user. */
static void test_ranges_overlap(void **state)
{
	struct harness *h = *state, *other;
	char range[32], err[512], expected[512];
	unsigned int middle = h->uid_first + HARNESS_UIDS / 2;

	if (geteuid() != 0)
		SKIP_BECAUSE("not root: monitors have vmd's user");
	snprintf(range, sizeof(range), "%u-%u", h->uid_first, middle);
	harness_vmd(h, "ok", "--monitor-uids", range, NULL);
	other = harness_new();
	snprintf(range, sizeof(range), "%u-%u", middle, h->uid_first + HARNESS_UIDS - 1);
	assert_int_equal(harness_vmd_fails(other, err, sizeof(err), "--monitor-uids", range, NULL),
			 1);
	snprintf(expected, sizeof(expected),
		 "vmd: another vmd has users %u to %u for its monitors: process %d\n"
		 "hint: give this one a range of its own with --monitor-uids\n"
		 "code: E1003 (busy)\n",
		 h->uid_first, middle, (int)h->vmd);
	assert_string_equal(err, expected);
	/* side by side */
	snprintf(range, sizeof(range), "%u-%u", middle + 1, h->uid_first + HARNESS_UIDS - 1);
	harness_vmd(other, "ok", "--monitor-uids", range, NULL);
	harness_vmd_end(other, SIGTERM);
	/* however the other one ends */
	harness_vmd_end(h, SIGKILL);
	harness_vmd(other, "ok", "--monitor-uids", h->uids, NULL);
	harness_free(other);
}

/* What a program of the cage says of an option, before anything else; and it ends. */
static void expect_usage(const char *program, const char *option, const char *value,
			 const char *message)
{
	char path[512], a[32], b[32], line[128];
	char *argv[] = { path, a, b, NULL };
	struct harness_output got;

	harness_program(program, path, sizeof(path));
	snprintf(a, sizeof(a), "%s", option);
	snprintf(b, sizeof(b), "%s", value);
	assert_int_equal(harness_run(NULL, &got, argv), 2);
	snprintf(line, sizeof(line), "%s: %s\n", program, message);
	assert_string_equal(got.err, line);
}

static void expect_caged_options(const char *program)
{
	expect_usage(program, "--control-fd", "-1", "'-1' is no file descriptor");
	expect_usage(program, "--control-fd", "9x", "'9x' is no file descriptor");
	expect_usage(program, "--control-fd", "9000", "no file is open at descriptor 9000");
	expect_usage(program, "--root-fd", "9000", "no file is open at descriptor 9000");
	expect_usage(program, "--uid", "4294967295", "'4294967295' is no user's number");
	expect_usage(program, "--seccomp", "no",
		     "unknown seccomp mode 'no': kill, errno, log or off");
	expect_usage(program, "--seccomp=off", "more", "unexpected 'more'");
}

static void test_options_of_caged(void **state)
{
	char display[512];

	(void)state;
	expect_caged_options("vmm");
	expect_usage("vmm", "--memlock", "1k", "'1k' is no number of bytes");
	harness_program("vmm-display", display, sizeof(display));
	if (access(display, X_OK)) /* without its library it is not built */
		return;
	expect_caged_options("vmm-display");
	expect_usage("vmm-display", "--seccomp", "off", "--control-fd is needed; vmd gives it");
}

static void test_wrong_options(void **state)
{
	static const char *const ranges[] = {
		"0-5", "7-6", "1-4294967295", "x", "1-2x", "-5-7", "5"
	};
	struct harness *h = *state;
	char err[1024], expected[256];

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		assert_int_equal(harness_vmd_fails(h, err, sizeof(err), "--monitor-uids", ranges[i],
						   NULL),
				 EXIT_USAGE);
		snprintf(expected, sizeof(expected),
			 "vmd: --monitor-uids: '%s' is no FIRST-LAST\nhint: vmd --help\n",
			 ranges[i]);
		assert_string_equal(err, expected);
	}
	assert_int_equal(harness_vmd_fails(h, err, sizeof(err), "--seccomp", "Kill", NULL),
			 EXIT_USAGE);
	assert_string_equal(err, "vmd: --seccomp: 'Kill' is no MODE\nhint: vmd --help\n");
}

/* vmm alone, as root: all of it but the user. */
static void test_alone(void **state)
{
	struct harness *h = *state;
	char vmm[4096], vm[5000], config[256], byte;
	int out[2], status;
	pid_t pid;

	NEEDS_CAGE();
	harness_program("vmm", vmm, sizeof(vmm));
	definition(h, "one", vm, sizeof(vm));
	for (char *p = vm; *p; p++)
		if (*p == '\'')
			*p = '"';
	snprintf(config, sizeof(config), "%s", harness_file(h, "vm.json", vm));
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nothing behind */
		dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
		dup2(out[1], 1);
		execl(vmm, vmm, "--config", config, "--console", "debug0", NULL);
		_exit(127);
	}
	close(out[1]);
	/* the guest's first word: everything is in its place */
	assert_int_equal(read(out[0], &byte, 1), 1);
	assert_int_equal(assert_threads(pid, 0), 7);
	assert_namespaces(pid, getpid(), true);
	assert_root_is_empty(pid);
	assert_int_equal(kill(pid, SIGINT), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 4);
	close(out[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cage, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_console_in_the_cage, harness_setup,
						harness_teardown),
		cmocka_unit_test_setup_teardown(test_a_forbidden_call_is_named, harness_setup,
						harness_teardown),
		cmocka_unit_test_setup_teardown(test_a_forbidden_call_at_the_start, harness_setup,
						harness_teardown),
		cmocka_unit_test_setup_teardown(test_no_uid_is_left, harness_setup,
						harness_teardown),
		cmocka_unit_test_setup_teardown(test_ranges_overlap, harness_setup,
						harness_teardown),
		cmocka_unit_test_setup_teardown(test_wrong_options, harness_setup,
						harness_teardown),
		cmocka_unit_test(test_options_of_caged),
		cmocka_unit_test_setup_teardown(test_alone, harness_setup, harness_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
