// SPDX-License-Identifier: MIT
/* vm.balloon and vm.stats, vmctl balloon, show and top: a real guest that does what its balloon says, and monitors that lie. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/functional/scene.h"

#define MIB_64 (64 * MIB)

/* 'one' runs, with 128 MiB, of which it has written to 64. */
static struct client *begin(struct harness *h, const char *devices)
{
	char params[4400], path[4096];
	struct client *c;

	harness_vmd(h, NULL, NULL);
	c = harness_client(h);
	harness_program("../tests/guest/balloon", path, sizeof(path));
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'memory': '128MiB', 'profile': 'micro', 'boot': "
		 "{'kernel': "
		 "'%s', 'cmdline': 'dirty=64 serve=1'}, 'devices': [%s]}}",
		 path, devices);
	json_object_put(client_result(c, "vm.apply", params));
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	return c;
}

static struct json_object *balloon(struct json_object *stats)
{
	return json_get(stats, "balloon");
}

/* The statistics once the guest has this much; each question is some turns of vmd's loop. */
static struct json_object *wait_actual(struct client *c, int64_t actual)
{
	for (int64_t end = harness_now_ms() + HARNESS_WAIT_MS; harness_now_ms() < end;) {
		struct json_object *o = client_result(c, "vm.stats", "{'vm': 'one'}");

		if (json_get_bool(balloon(o), "driver", false) &&
		    json_get_int(balloon(o), "actual", -1) == actual)
			return o;
		json_object_put(o);
	}
	fail_msg("the guest does not get to %lld bytes", (long long)actual);
	return NULL;
}

/* The event that it has come to what it shall have. */
static void expect_told(struct client *c, int64_t bytes)
{
	AUTO_JSON struct json_object *event = client_event(c, "vm.balloon", NULL);
	struct json_object *data = json_get(event, "data");

	assert_string_equal(json_get_str(data, "name", ""), "one");
	assert_int_equal(json_get_int(data, "actual", 0), bytes);
	assert_int_equal(json_get_int(data, "target", 0), bytes);
}

static void test_memory_goes_back(void **state)
{
	AUTO_JSON struct json_object *full = NULL, *small = NULL, *large = NULL, *answer = NULL;
	AUTO_JSON struct json_object *told = NULL;
	struct harness *h = *state;
	int64_t before;
	struct client *c;

	NEEDS_KVM;
	c = begin(h, "{'type': 'virtio-balloon'}");
	full = wait_actual(c, 128 * MIB); /* its driver is there: behind what it writes */
	before = json_get_int(full, "rss", 0);
	assert_true(before >= (int64_t)MIB_64);
	json_object_put(client_result(c, "event.subscribe", NULL));
	answer = client_result(c, "vm.balloon", "{'vm': 'one', 'size': '64MiB'}");
	assert_true(json_get_bool(answer, "changed", false));
	assert_int_equal(json_get_int(answer, "target", 0), MIB_64);
	small = wait_actual(c, MIB_64);
	expect_told(c, MIB_64);
	assert_in_range(json_get_int(small, "rss", 0), 1, before - 60 * (int64_t)MIB);
	assert_int_equal(json_get_int(json_get(balloon(small), "stats"), "free", 0), 1000 << 10);
	assert_int_equal(json_get_int(json_get(balloon(small), "stats"), "total", 0), 2000 << 10);
	assert_null(json_get(json_get(balloon(small), "stats"), "caches"));
	json_object_put(client_result(c, "vm.balloon", "{'vm': 'one', 'size': 134217728}"));
	large = wait_actual(c, 128 * MIB);
	expect_told(c, 128 * MIB);
	told = client_result(c, "event.list",
			     "{'types': ['vm.balloon', 'vm.disk_error', 'device.link']}");
	assert_int_equal(json_object_array_length(json_get(told, "events")), 2);
	assert_int_equal(json_get_int(large, "cpus", 0), 1);
	assert_int_equal(json_get_int(large, "memory", 0), 128 * MIB);
	assert_true(json_get_int(large, "cpu_us", 0) > 0);
}

/* All of the guest's memory, as the kernel sees it (proc(5), numa_maps). */
static void test_node(void **state)
{
	struct harness *h = *state;
	char path[4096], params[4400], line[512];
	unsigned int preferred = 0;
	struct client *c;
	FILE *f;

	NEEDS_KVM;
	if (access("/proc/self/numa_maps", R_OK) < 0)
		SKIP_BECAUSE("the kernel has no NUMA");
	harness_vmd(h, NULL, NULL);
	c = harness_client(h);
	harness_program("../tests/guest/ticks", path, sizeof(path));
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'memory': {'size': '64MiB', 'node': 0},"
		 " 'profile': 'micro', 'boot': {'kernel': '%s'}}}",
		 path);
	json_object_put(client_result(c, "vm.apply", params));
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	snprintf(path, sizeof(path), "/proc/%d/numa_maps", (int)scene_pid(c, "one"));
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		preferred += strstr(line, " prefer:0 ") != NULL;
	fclose(f);
	assert_in_range(preferred, 1, 2); /* the first 2 MiB have other flags */
}

/* Pages of 4 KiB that a process has on node 0 in what it prefers to have there */
static unsigned int pages_there(pid_t pid)
{
	unsigned int pages = 0;
	char path[64], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/numa_maps", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		const char *n = strstr(line, " N0=");

		if (strstr(line, " prefer:0 ") && n)
			pages += (unsigned int)strtoul(n + 4, NULL, 10);
	}
	fclose(f);
	return pages;
}

/* All of it is there when the guest starts, whatever that does; a dry run says so. */
static void test_node_strict(void **state)
{
	AUTO_JSON struct json_object *plan = NULL;
	struct harness *h = *state;
	struct json_object *memory;
	char path[4096], params[4400];
	struct client *c;
	struct harness_output out;

	NEEDS_KVM;
	if (access("/proc/self/numa_maps", R_OK) < 0)
		SKIP_BECAUSE("the kernel has no NUMA");
	harness_vmd(h, NULL, NULL);
	c = harness_client(h);
	harness_program("../tests/guest/ticks", path, sizeof(path));
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'memory': {'size': '72MiB', 'node': 0, 'policy': "
		 "'strict'}, 'profile': 'micro', 'boot': {'kernel': '%s'}}}",
		 path);
	json_object_put(client_result(c, "vm.apply", params));
	plan = client_result(c, "vm.start", "{'vm': 'one', 'dry_run': true}");
	memory = json_at(plan, "/plan/memory");
	assert_int_equal(json_get_int(memory, "size", 0), 72 * MIB);
	assert_int_equal(json_get_int(memory, "node", -1), 0);
	assert_string_equal(json_get_str(memory, "policy", ""), "strict");
	assert_true(json_get_int(memory, "room", 0) >= 72 * (int64_t)MIB);
	assert_int_equal(json_object_array_length(json_at(plan, "/plan/devices")), 0);
	assert_int_equal(json_get_int(json_get(plan, "plan"), "pinned", -1), 0);
	assert_int_equal(harness_vmctl(h, NULL, &out, "start", "one", "--dry-run", NULL), 0);
	assert_non_null(
		strstr(out.out, "\n  memory: 72.0M of NUMA node 0, taken at the start; it has "));
	assert_null(strstr(out.out, "pinned"));
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	assert_int_equal(pages_there(scene_pid(c, "one")), 72 * MIB / 4096);
}

static void test_refusals(void **state)
{
	static const char *const sizes[] = { "'15MiB'", "'129MiB'", "0", "9007199254740991" };
	AUTO_JSON struct json_object *dry = NULL, *same = NULL;
	struct harness *h = *state;
	char params[100];
	struct client *c;

	NEEDS_KVM;
	c = begin(h, "{'type': 'virtio-balloon'}");
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		AUTO_JSON struct json_object *e = NULL;

		snprintf(params, sizeof(params), "{'vm': 'one', 'size': %s}", sizes[i]);
		e = client_error(c, "vm.balloon", params);
		assert_int_equal(json_get_int(e, "code", 0), ERR_RPC_PARAMS);
		assert_non_null(strstr(json_get_str(e, "message", ""),
				       "the VM can have 16MiB to 128MiB of memory"));
	}
	client_expect_error(c, "vm.balloon", "{'vm': 'one', 'size': '1 ell'}", ERR_RPC_PARAMS,
			    "vm.balloon: /size: expected a size such as \"4GiB\", got \"1 ell\"",
			    "");
	dry = client_result(c, "vm.balloon", "{'vm': 'one', 'size': '64MiB', 'dry_run': true}");
	assert_false(json_get_bool(dry, "changed", true));
	assert_string_equal(json_get_str(dry, "note", ""), "would be asked for");
	same = client_result(c, "vm.balloon", "{'vm': 'one', 'size': '128MiB'}");
	assert_false(json_get_bool(same, "changed", true)); /* the dry run did nothing */
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	client_expect_error(c, "vm.balloon", "{'vm': 'one', 'size': '64MiB'}", ERR_VM_STATE,
			    "VM 'one' is stopped", "start it first: vmctl start one");
	client_expect_error(c, "vm.stats", "{'vm': 'one'}", ERR_VM_STATE, "VM 'one' is stopped",
			    "start it first: vmctl start one");
}

static void test_without_a_balloon(void **state)
{
	AUTO_JSON struct json_object *o = NULL;
	struct harness *h = *state;
	struct client *c;

	NEEDS_KVM;
	c = begin(h, "");
	client_expect_error(c, "vm.balloon", "{'vm': 'one', 'size': '64MiB'}", ERR_VM_STATE,
			    "the VM has no balloon (no virtio-balloon device)", "");
	o = client_result(c, "vm.stats", "{'vm': 'one'}");
	assert_null(balloon(o));
	assert_true(json_get_int(o, "rss", 0) > 0);
}

/* A monitor that says what cannot be, or nothing. */
static void test_lies(void **state)
{
	AUTO_JSON struct json_object *o = NULL;
	struct client *c = scene_begin(*state, "memory-lie", SCENE_LONG);

	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	client_expect_error(c, "vm.balloon", "{'vm': 'one', 'size': '32MiB'}", ERR_VMM_PROTOCOL,
			    "vmm has not said how large the balloon is", "");
	o = client_result(c, "vm.stats", "{'vm': 'one'}");
	assert_null(balloon(o));
	assert_true(json_get_int(o, "rss", 0) > 0);
}

static void test_vmctl(void **state)
{
	struct harness *h = *state;
	struct harness_output out;
	struct client *c;

	NEEDS_KVM;
	c = begin(h, "{'type': 'virtio-balloon'}");
	json_object_put(wait_actual(c, 128 * MIB));
	assert_int_equal(harness_vmctl(h, NULL, &out, "balloon", "one", "64MiB", NULL), 0);
	assert_memory_equal(out.out, "one: shall have 64.0M, has ", 27);
	json_object_put(wait_actual(c, MIB_64));
	assert_int_equal(harness_vmctl(h, NULL, &out, "balloon", "one", "64MiB", NULL), 0);
	assert_string_equal(out.err, "one: it shall have that much already\n");
	assert_int_equal(harness_vmctl(h, NULL, &out, "balloon", "one", "64MiB", "--strict", NULL),
			 4);
	assert_int_equal(harness_vmctl(h, NULL, &out, "balloon", "one", NULL), 0);
	assert_non_null(strstr(out.out, "the guest has 64.0M and shall have 64.0M\n"));
	assert_int_equal(harness_vmctl(h, NULL, &out, "show", "one", NULL), 0);
	assert_non_null(strstr(out.out, "the guest has 64.0M and shall have 64.0M\n"));
	assert_non_null(strstr(out.out, " free, "));
	assert_int_equal(harness_vmctl(h, NULL, &out, "top", "-d", "100ms", NULL), 0);
	assert_memory_equal(out.out, "NAME  STATE    CPU%  CPUS", 25);
	assert_non_null(strstr(out.out, "one   running"));
	assert_non_null(strstr(out.out, "128M  64.0M  1000K\n"));
	assert_int_equal(
		harness_vmctl(h, NULL, &out, "top", "-d", "100ms", "-n", "2", "--json", NULL), 0);
	assert_memory_equal(out.out, "{\"schema\":\"vmctl.top/1\",\"name\":\"one\"", 36);
	assert_non_null(strstr(strchr(out.out, '\n') + 1, "\"cpu_percent\":"));
	assert_int_equal(harness_vmctl(h, NULL, &out, "top", "-d", "1ms", NULL), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_memory_goes_back, harness_setup,
						harness_teardown),
		cmocka_unit_test_setup_teardown(test_node, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_node_strict, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_refusals, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_without_a_balloon, harness_setup,
						harness_teardown),
		cmocka_unit_test_setup_teardown(test_lies, harness_setup, harness_teardown),
		cmocka_unit_test_setup_teardown(test_vmctl, harness_setup, harness_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
