// SPDX-License-Identifier: MIT
/* Disk images of VMs that run: who may have them at the same time. The real vmm, with a guest that only halts. */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "lib/imagelock.h"
#include "tests/functional/scene.h"

#define DISK_SIZE (1 << 20)
#define HINT "stop what uses it, or take another image; two may have one in common as backing file"

struct world {
	struct harness *h;
	struct client *c;
	char image[200], kernel[512];
};

static void make_image(struct world *w, const char *name)
{
	char text[513];

	memset(text, '.', 512);
	text[512] = '\0';
	snprintf(w->image, sizeof(w->image), "%s", harness_file(w->h, name, text));
	assert_int_equal(truncate(w->image, DISK_SIZE), 0);
}

/* A guest of tests/guest, and what follows its path in the definition */
static void boots(struct world *w, const char *guest)
{
	char path[300];

	snprintf(path, sizeof(path), "../tests/guest/%s", guest);
	harness_program(path, w->kernel, sizeof(w->kernel));
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->h = harness_new();
	boots(w, "idle");
	make_image(w, "disk");
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	harness_free(w->h);
	free(w);
	return 0;
}

static void serve(struct world *w)
{
	harness_vmd(w->h, NULL, "--cgroup", "none", NULL);
	w->c = harness_client(w->h);
}

/* Disks of the image, each with more keys; NULL: no second one */
static void define(struct client *c, struct world *w, const char *vm, const char *more,
		   const char *second)
{
	char params[2048], another[512] = "";

	if (second)
		snprintf(another, sizeof(another), ", {'type': 'virtio-blk', 'path': '%s'%s}",
			 w->image, second);
	snprintf(params, sizeof(params),
		 "{'definition': {'name': '%s', 'profile': 'micro', 'memory': '32MiB', 'boot':"
		 " {'kernel': '%s'}, 'devices': [{'type': 'virtio-blk', 'path': '%s'%s}%s]}}",
		 vm, w->kernel, w->image, more, another);
	json_object_put(client_result(c, "vm.apply", params));
}

static void starts(struct world *w, const char *vm)
{
	char params[80];

	snprintf(params, sizeof(params), "{'vm': '%s'}", vm);
	json_object_put(client_result(w->c, "vm.start", params));
}

static void expect_in_use(struct client *c, struct world *w, const char *method, const char *params,
			  const char *disk, const char *by)
{
	char message[512];

	snprintf(message, sizeof(message), "disk '%s' '%s' is in use by %s", disk, w->image, by);
	client_expect_error(c, method, params, ERR_FILE_IN_USE, message, HINT);
}

static void test_one_writer(void **state)
{
	struct world *w = *state;
	int pidfd;

	NEEDS_KVM;
	serve(w);
	define(w->c, w, "one", "", NULL);
	define(w->c, w, "two", "", NULL);
	define(w->c, w, "reader", ", 'readonly': true", NULL);
	starts(w, "one");
	expect_in_use(w->c, w, "vm.start", "{'vm': 'two'}", "disk0", "VM 'one'");
	expect_in_use(w->c, w, "vm.start", "{'vm': 'two', 'dry_run': true}", "disk0", "VM 'one'");
	expect_in_use(w->c, w, "vm.start", "{'vm': 'reader'}", "disk0", "VM 'one'");
	/* it is the VM's, whatever becomes of vmd */
	w->c = scene_restart(w->h, w->c, SIGKILL, NULL);
	expect_in_use(w->c, w, "vm.start", "{'vm': 'two'}", "disk0", "VM 'one'");
	/* and ends with it: also where it does not come to close anything */
	pidfd = harness_pidfd(scene_pid(w->c, "one"));
	kill(scene_pid(w->c, "one"), SIGKILL);
	harness_wait_pidfd(pidfd);
	starts(w, "two");
	expect_in_use(w->c, w, "vm.start", "{'vm': 'one'}", "disk0", "VM 'two'");
	json_object_put(
		client_result(w->c, "vm.restart", "{'vm': 'two', 'timeout_ms': 0, 'force': true}"));
	expect_in_use(w->c, w, "vm.start", "{'vm': 'one'}", "disk0", "VM 'two'");
}

static void test_many_readers(void **state)
{
	struct world *w = *state;

	NEEDS_KVM;
	serve(w);
	define(w->c, w, "one", ", 'readonly': true", ", 'readonly': true");
	define(w->c, w, "two", ", 'readonly': true", NULL);
	define(w->c, w, "writer", "", NULL);
	starts(w, "one");
	starts(w, "two");
	json_object_put(client_result(w->c, "vm.kill", "{'vm': 'two'}"));
	expect_in_use(w->c, w, "vm.start", "{'vm': 'writer'}", "disk0", "VM 'one'");
}

static void test_shared_by_all(void **state)
{
	struct world *w = *state;

	NEEDS_KVM;
	serve(w);
	define(w->c, w, "one", ", 'share': true", NULL);
	define(w->c, w, "two", ", 'share': true", NULL);
	define(w->c, w, "alone", "", NULL);
	starts(w, "one");
	starts(w, "two");
	json_object_put(client_result(w->c, "vm.kill", "{'vm': 'one'}"));
	expect_in_use(w->c, w, "vm.start", "{'vm': 'alone'}", "disk0", "VM 'two'");
	json_object_put(client_result(w->c, "vm.kill", "{'vm': 'two'}"));
	starts(w, "alone");
	expect_in_use(w->c, w, "vm.start", "{'vm': 'one'}", "disk0", "VM 'alone'");
}

static void test_twice_in_one_vm(void **state)
{
	struct world *w = *state;
	char params[512];

	NEEDS_KVM;
	serve(w);
	define(w->c, w, "one", "", "");
	expect_in_use(w->c, w, "vm.start", "{'vm': 'one'}", "disk1", "another disk");
	define(w->c, w, "one", "", NULL);
	starts(w, "one");
	snprintf(params, sizeof(params),
		 "{'vm': 'one', 'device': {'type': 'virtio-blk', 'path': '%s'}}", w->image);
	expect_in_use(w->c, w, "vm.attach", params, "disk1", "VM 'one'");
}

/* Other programs: this one, which does as QEMU's do, and qemu-img. */
static void test_other_programs(void **state)
{
	struct world *w = *state;
	int fd = open(w->image, O_RDWR | O_CLOEXEC);
	char by[80];
	char *grow[] = { (char *)"/usr/bin/qemu-img",
			 (char *)"resize",
			 (char *)"-f",
			 (char *)"raw",
			 w->image,
			 (char *)"+1M",
			 NULL };
	struct harness_output out;

	NEEDS_KVM;
	if (access(grow[0], X_OK))
		SKIP_BECAUSE("no qemu-img");
	serve(w);
	define(w->c, w, "one", "", NULL);
	assert_int_equal(imagelock_take(fd, false, false), 0);
	snprintf(by, sizeof(by), "process %d (test_disk)", (int)getpid());
	expect_in_use(w->c, w, "vm.start", "{'vm': 'one'}", "disk0", by);
	close(fd);
	assert_int_equal(harness_run(NULL, &out, grow), 0);
	starts(w, "one");
	assert_int_equal(harness_run(NULL, &out, grow), 1);
	assert_non_null(strstr(out.err, "Is another process using the image"));
}

/* Who may not see a VM is not told its name, or its process. */
static void test_of_another_owner(void **state)
{
	struct world *w = *state;
	struct client *mine, *other;

	NEEDS_KVM;
	if (geteuid())
		SKIP_BECAUSE("not root");
	harness_vmd(w->h, NULL, "--cgroup", "none", "--operator-group", "54302", NULL);
	assert_int_equal(chmod(w->h->dir, 0711), 0);
	w->c = harness_client(w->h);
	mine = harness_client_as(w->h, 1001, SCENE_OPERATORS);
	other = harness_client_as(w->h, 1002, SCENE_OPERATORS);
	assert_int_equal(chmod(w->image, 0666), 0);
	define(mine, w, "one", "", NULL);
	define(mine, w, "two", "", NULL);
	define(other, w, "three", "", NULL);
	json_object_put(client_result(mine, "vm.start", "{'vm': 'one'}"));
	expect_in_use(mine, w, "vm.start", "{'vm': 'two'}", "disk0", "VM 'one'");
	expect_in_use(other, w, "vm.start", "{'vm': 'three'}", "disk0",
		      "a process that is not to be seen");
}

static void says(struct world *w, const char *regex)
{
	char params[200];

	snprintf(params, sizeof(params),
		 "{'vm': 'one', 'for': 'console', 'console': 'debug0', 'regex': '%s', "
		 "'timeout_ms': %d}",
		 regex, HARNESS_WAIT_MS);
	json_object_put(client_result(w->c, "vm.wait", params));
}

#define DISK0 "{'vm': 'one', 'device': 'disk0'}"

static void test_it_grows(void **state)
{
	AUTO_JSON struct json_object *dry = NULL, *same = NULL, *grown = NULL;
	struct world *w = *state;
	struct harness_output out;
	char message[200];

	NEEDS_KVM;
	serve(w);
	boots(w, "grow");
	define(w->c, w, "one", "}, {'type': 'debug-port'", NULL);
	client_expect_error(w->c, "vm.resize", DISK0, ERR_VM_STATE, "VM 'one' is stopped",
			    "start it first: vmctl start one");
	starts(w, "one");
	says(w, "^sectors: 2048");
	same = client_result(w->c, "vm.resize", DISK0);
	assert_false(json_get_bool(same, "changed", true));
	assert_string_equal(json_get_str(same, "note", ""), "its image is not larger");
	assert_int_equal(truncate(w->image, DISK_SIZE + 1), 0);
	client_expect_error(w->c, "vm.resize", DISK0, ERR_FILE,
			    "disk 'disk0': the disk image's size, 1048577 bytes, is not a multiple "
			    "of 512",
			    "round it up: truncate --size %512 FILE");
	assert_int_equal(truncate(w->image, DISK_SIZE / 2), 0);
	client_expect_error(w->c, "vm.resize", DISK0, ERR_FILE,
			    "disk 'disk0': the image has become smaller, 524288 bytes, and the "
			    "guest has a disk of 1048576",
			    "make it as large as it was at once: what was behind is lost");
	assert_int_equal(truncate(w->image, 2 * DISK_SIZE), 0);
	dry = client_result(w->c, "vm.resize", "{'vm': 'one', 'device': 'disk0', 'dry_run': true}");
	assert_false(json_get_bool(dry, "changed", true));
	assert_int_equal(json_get_int(dry, "size", 0), 2 * DISK_SIZE);
	grown = client_result(w->c, "vm.resize", DISK0);
	assert_true(json_get_bool(grown, "changed", false));
	assert_int_equal(json_get_int(grown, "size", 0), 2 * DISK_SIZE);
	says(w, "^now: 4096");
	client_expect_error(w->c, "vm.resize", "{'vm': 'one', 'device': 'disk7'}", ERR_VM_NO_DEVICE,
			    "the VM has no device 'disk7'", "");
	client_expect_error(w->c, "vm.resize", "{'vm': 'one', 'device': 'debug0'}",
			    ERR_VM_NO_DEVICE, "the VM has no disk 'debug0'", "");
	/* the command, while it is paused */
	json_object_put(client_result(w->c, "vm.pause", "{'vm': 'one'}"));
	assert_int_equal(truncate(w->image, 4 * DISK_SIZE), 0);
	assert_int_equal(harness_vmctl(w->h, NULL, &out, "resize", "one", "disk0", NULL), 0);
	assert_string_equal(out.out, "one: disk 'disk0' has 4.0M\n");
	assert_int_equal(
		harness_vmctl(w->h, NULL, &out, "resize", "--strict", "one", "disk0", NULL), 4);
	snprintf(message, sizeof(message), "its image is not larger");
	assert_non_null(strstr(out.err, message));
}

/* The threads of VM one, but for the kernel's, and how many of them are placed. By number: one that has not run has no name. */
static unsigned int threads(struct world *w, unsigned int *ret_placed)
{
	AUTO_JSON struct json_object *vm = client_result(w->c, "vm.get", "{'vm': 'one'}");
	int pid = (int)json_get_int(json_get(vm, "observed"), "pid", 0);
	char path[400], line[256];
	struct dirent *entry;
	unsigned int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	assert_non_null(dir);
	*ret_placed = 0;
	while ((entry = readdir(dir))) {
		FILE *f;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", pid, entry->d_name);
		f = fopen(path, "re");
		assert_non_null(f);
		while (fgets(line, sizeof(line), f)) {
			n += !strncmp(line, "Name:", 5) && !strstr(line, "\tkvm-");
			*ret_placed += !strcmp(line, "Cpus_allowed_list:\t0\n");
		}
		fclose(f);
	}
	closedir(dir);
	return n;
}

static void test_threads(void **state)
{
	struct world *w = *state;
	unsigned int alone, placed;
	char allowed[64] = "";
	cpu_set_t set;

	NEEDS_KVM;
	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	if (!CPU_ISSET(0, &set) || CPU_COUNT(&set) < 2)
		SKIP_BECAUSE("processor 0 is not one of several here");
	serve(w);
	boots(w, "halt");
	define(w->c, w, "one", ", 'worker_cpus': '0'", NULL);
	starts(w, "one");
	alone = threads(w, &placed);
	assert_int_equal(placed, 1);
	json_object_put(client_result(w->c, "vm.kill", "{'vm': 'one'}"));
	define(w->c, w, "one", ", 'worker': 'shared'", NULL);
	starts(w, "one");
	assert_int_equal(threads(w, &placed), alone - 1);
	assert_int_equal(placed, 0);
	json_object_put(client_result(w->c, "vm.kill", "{'vm': 'one'}"));
	define(w->c, w, "one", ", 'worker': 'per-queue', 'queues': 3, 'worker_cpus': '0'", NULL);
	starts(w, "one");
	assert_int_equal(threads(w, &placed), alone + 2);
	assert_int_equal(placed, 3);
	json_object_put(client_result(w->c, "vm.kill", "{'vm': 'one'}"));
	snprintf(allowed, sizeof(allowed), ", 'worker_cpus': '%d'", CPU_SETSIZE - 1);
	define(w->c, w, "one", allowed, NULL);
	client_expect_error(
		w->c, "vm.start", "{'vm': 'one'}", ERR_INVALID,
		"device 'disk0': worker 'io 1' cannot run on processors '1023': Invalid "
		"argument",
		"lscpu -e shows those of the host; the VM's control group may allow "
		"fewer");
}

static void expect_limits(struct world *w, const char *params, int64_t bytes, int64_t ops,
			  int64_t burst, const char *note)
{
	AUTO_JSON struct json_object *o = client_result(w->c, "vm.set_rate", params);

	assert_int_equal(json_get_int(o, "bytes_per_second", -1), bytes);
	assert_int_equal(json_get_int(o, "ops_per_second", -1), ops);
	assert_int_equal(json_get_int(o, "burst_ms", -1), burst);
	assert_int_equal(json_get_bool(o, "changed", false), !note);
	assert_string_equal(json_get_str(o, "note", ""), note ? note : "");
}

#define RATE(more) "{'vm': 'one', 'device': 'disk0'" more "}"

/* 100 requests, of which one is done in the first second: without the change the guest would take minutes. */
static void test_limits_are_changed(void **state)
{
	struct world *w = *state;
	struct harness_output out;

	NEEDS_KVM;
	serve(w);
	boots(w, "blkload', 'cmdline': 'ops=100 depth=4 stay=1");
	define(w->c, w, "one", ", 'bytes_per_second': 1, 'burst_ms': 5}, {'type': 'debug-port'",
	       NULL);
	client_expect_error(w->c, "vm.set_rate", RATE(""), ERR_VM_STATE, "VM 'one' is stopped",
			    "start it first: vmctl start one");
	starts(w, "one");
	expect_limits(w, RATE(""), 1, 0, 5, "it is so already");
	expect_limits(w, RATE(", 'ops_per_second': 9, 'dry_run': true"), 1, 0, 5, "would be set");
	expect_limits(w, RATE(", 'burst_ms': 5, 'dry_run': true"), 1, 0, 5, "it is so already");
	expect_limits(w, RATE(", 'burst_ms': 5"), 1, 0, 5, "it is so already");
	client_expect_error(w->c, "vm.set_rate", RATE(", 'burst_ms': 0"), ERR_RPC_PARAMS,
			    "vm.set_rate: /burst_ms: expected at least 1, got 0", "");
	client_expect_error(w->c, "vm.set_rate", "{'vm': 'one', 'device': 'disk7'}",
			    ERR_VM_NO_DEVICE, "the VM has no device 'disk7'", "");
	client_expect_error(w->c, "vm.set_rate", "{'vm': 'one', 'device': 'debug0'}",
			    ERR_VM_DEVICE_FIXED,
			    "nothing of device 'debug0' of type debug-port can be changed while "
			    "the VM runs",
			    "");
	assert_int_equal(harness_vmctl(w->h, NULL, &out, "set-rate", "one", "disk0", NULL), 0);
	assert_string_equal(out.out, "one: disk 'disk0' may do 1B and any number of requests a "
				     "second, those of 5 ms at once\n");
	assert_int_equal(harness_vmctl(w->h, NULL, &out, "set-rate", "-b", "0", "-o", "1000000",
				       "--burst", "1s", "one", "disk0", NULL),
			 0);
	assert_string_equal(out.out, "one: disk 'disk0' may do any number of bytes and 1000000 "
				     "requests a second, those of 1000 ms at once\n");
	says(w, "ED$");
	assert_int_equal(harness_vmctl(w->h, NULL, &out, "set-rate", "--strict", "-b", "0", "one",
				       "disk0", NULL),
			 4);
	assert_non_null(strstr(out.err, "it is so already"));
}

static void test_limits_of_a_liar(void **state)
{
	struct world *w = *state;
	struct client *c = scene_begin(w->h, "rate-lie", SCENE_LONG);

	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	client_expect_error(c, "vm.set_rate", RATE(", 'ops_per_second': 5"), ERR_VMM_PROTOCOL,
			    "vmm has not said what the disk's limits are", "");
}

/* --- what the host cannot do ------------------------------------------------------------------------------ */

#define FOUR_QUEUES ", 'queues': 4, 'worker': 'per-queue'"

/* A guest that reads all the time, 100 times in 2 s, and checks that each is done. */
static void start_reader(struct world *w, const char *on_error, bool queues)
{
	char more[200];

	serve(w);
	json_object_put(client_result(w->c, "event.subscribe", NULL));
	boots(w, queues ? "blkload', 'cmdline': 'ops=100 depth=2 queues=4"
			: "blkload', 'cmdline': 'ops=100 depth=4");
	snprintf(more, sizeof(more),
		 ", 'on_error': '%s', 'ops_per_second': 50, 'burst_ms': 20%s}, {'type': "
		 "'debug-port'",
		 on_error, queues ? FOUR_QUEUES : "");
	define(w->c, w, "one", more, NULL);
	starts(w, "one");
}

static void expect_disk_error(struct world *w, bool stopped)
{
	AUTO_JSON struct json_object *o = client_event(w->c, "vm.disk_error", NULL);
	struct json_object *data = json_get(o, "data");

	assert_string_equal(json_get_str(data, "name", ""), "one");
	assert_int_equal(json_get_bool(data, "stopped", !stopped), stopped);
	if (strncmp(json_get_str(data, "message", ""), "disk 'disk0': read at byte ", 27) != 0 ||
	    !strstr(json_get_str(data, "message", ""), ": Input/output error"))
		fail_msg("%s", json_get_str(data, "message", ""));
}

static void expect_stops(struct world *w, bool queues)
{
	start_reader(w, "stop", queues);
	assert_int_equal(truncate(w->image, 0), 0);
	expect_disk_error(w, true);
	json_object_put(client_event(w->c, "vm.state", "paused"));
	scene_expect_state(w->c, "one", "paused");
	/* nothing is better yet: it stops again */
	json_object_put(client_result(w->c, "vm.resume", "{'vm': 'one'}"));
	expect_disk_error(w, true);
	json_object_put(client_event(w->c, "vm.state", "paused"));
	/* also for a vmd that was away */
	json_object_put(client_result(w->c, "vm.resume", "{'vm': 'one'}"));
	w->c = scene_restart(w->h, w->c, SIGKILL, NULL);
	json_object_put(client_result(w->c, "vm.wait",
				      "{'vm': 'one', 'for': 'paused', 'timeout_ms': 20000}"));
	assert_int_equal(truncate(w->image, DISK_SIZE), 0);
	json_object_put(client_result(w->c, "vm.resume", "{'vm': 'one'}"));
	json_object_put(client_result(w->c, "vm.wait",
				      "{'vm': 'one', 'for': 'stopped', 'timeout_ms': 20000}"));
	scene_expect_exit(w->c, "one", "guest-exit", NULL);
}

static void test_errors_stop(void **state)
{
	NEEDS_KVM;
	expect_stops(*state, false);
}

static void test_errors_stop_every_queue(void **state)
{
	NEEDS_KVM;
	expect_stops(*state, true);
}

static void test_errors_are_reported(void **state)
{
	struct world *w = *state;

	NEEDS_KVM;
	start_reader(w, "report", false);
	assert_int_equal(truncate(w->image, 0), 0);
	expect_disk_error(w, false);
	scene_expect_state(w->c, "one", "running");
	expect_disk_error(w, false); /* told again, not more than once a second */
	json_object_put(client_result(w->c, "vm.wait",
				      "{'vm': 'one', 'for': 'stopped', 'timeout_ms': 20000}"));
}

/* Requests are under way in four queues, each with its thread, while the VM is paused and its vmd goes. */
static void test_every_queue(void **state)
{
	struct world *w = *state;

	NEEDS_KVM;
	serve(w);
	boots(w, "blkload', 'cmdline': 'ops=1000 depth=4 queues=4");
	define(w->c, w, "one", ", 'ops_per_second': 300" FOUR_QUEUES "}, {'type': 'debug-port'",
	       NULL);
	starts(w, "one");
	for (int i = 0; i < 5; i++) {
		json_object_put(client_result(w->c, "vm.pause", "{'vm': 'one'}"));
		json_object_put(client_result(w->c, "vm.resume", "{'vm': 'one'}"));
	}
	w->c = scene_restart(w->h, w->c, SIGKILL, NULL);
	json_object_put(client_result(w->c, "vm.pause", "{'vm': 'one'}"));
	json_object_put(
		client_result(w->c, "vm.set_rate", RATE(", 'ops_per_second': 1, 'burst_ms': 1")));
	json_object_put(client_result(w->c, "vm.resume", "{'vm': 'one'}"));
	json_object_put(client_result(w->c, "vm.set_rate", RATE(", 'ops_per_second': 0")));
	json_object_put(client_result(w->c, "vm.wait",
				      "{'vm': 'one', 'for': 'stopped', 'timeout_ms': 20000}"));
	scene_expect_exit(w->c, "one", "guest-exit", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_writer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_readers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shared_by_all, setup, teardown),
		cmocka_unit_test_setup_teardown(test_twice_in_one_vm, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_programs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_of_another_owner, setup, teardown),
		cmocka_unit_test_setup_teardown(test_it_grows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits_are_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits_of_a_liar, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors_stop_every_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors_are_reported, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_queue, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
