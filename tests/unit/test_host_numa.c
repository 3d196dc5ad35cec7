// SPDX-License-Identifier: MIT
/* vmd/host_numa.c: nodes and distances, also of files that hold something else. */
#include "tests/lib/test.h"

#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"
#include "tests/lib/tempdir.h"
#include "vmd/host_numa.h"

#define DIR "sys/devices/system/node/"

struct fixture {
	char *dir;
	struct hostfs h;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e;

	f->dir = tempdir_new();
	*state = f;
	return hostfs_init(&f->h, f->dir, &e);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	hostfs_fini(&f->h);
	tempdir_remove(f->dir);
	free(f);
	return 0;
}

/* Node 1 is not there: the columns are of those that are. */
static void test_distances(void **state)
{
	struct fixture *f = *state;
	struct host_numa numa;

	tempdir_file(f->dir, DIR "node0/distance", "10 21 255\n");
	tempdir_file(f->dir, DIR "node2/distance", "21 10 31\n");
	tempdir_file(f->dir, DIR "node10/distance", "31 31 10\n");
	tempdir_file(f->dir, DIR "online", "0,2,10\n");
	host_numa_read(&f->h, &numa);
	assert_int_equal(numa.nodes, 1 | 1 << 2 | 1 << 10);
	assert_int_equal(host_numa_distance(&numa, 0, 0), 10);
	assert_int_equal(host_numa_distance(&numa, 0, 2), 21);
	assert_int_equal(host_numa_distance(&numa, 0, 10), 255);
	assert_int_equal(host_numa_distance(&numa, 10, 2), 31);
	assert_int_equal(host_numa_distance(&numa, 0, 1), 0);
	assert_int_equal(host_numa_distance(&numa, 1, 0), 0);
	assert_int_equal(host_numa_distance(&numa, -1, 0), 0);
	assert_int_equal(host_numa_distance(&numa, 0, 64), 0);
	assert_int_equal(host_numa_distance(NULL, 0, 0), 0);
}

static void test_garbage(void **state)
{
	struct fixture *f = *state;
	struct host_numa numa;

	host_numa_read(&f->h, &numa);
	assert_int_equal(numa.nodes, 0);
	tempdir_file(f->dir, DIR "node0/distance", "10 what\n");
	tempdir_file(f->dir, DIR "node1/distance", "256 10\n");
	tempdir_file(f->dir, DIR "node2/cpulist", "0-3\n");
	tempdir_file(f->dir, DIR "node64/distance", "1 2 3 10\n");
	tempdir_file(f->dir, DIR "node3x/distance", "1 2 3 10\n");
	host_numa_read(&f->h, &numa);
	assert_int_equal(numa.nodes, 7);
	assert_int_equal(host_numa_distance(&numa, 0, 0), 10);
	assert_int_equal(host_numa_distance(&numa, 0, 1), 0);
	assert_int_equal(host_numa_distance(&numa, 1, 1), 0);
	assert_int_equal(host_numa_distance(&numa, 2, 2), 0);
}

static void expect_none(const struct hostfs *h, unsigned int node, const char *message)
{
	struct err e = { 0 };

	assert_int_equal(host_numa_check(h, node, &e), -ERR_NUMA_NODE);
	assert_string_equal(e.msg, message);
	assert_string_equal(e.hint, "numactl -H, or /sys/devices/system/node/has_memory, shows "
				    "which it has");
}

static void test_check(void **state)
{
	struct fixture *f = *state;
	struct err e;

	tempdir_file(f->dir, DIR "node0/meminfo",
		     "Node 0 MemTotal:       16392644 kB\nNode 0 MemFree:        0 kB\n");
	tempdir_file(f->dir, DIR "node1/meminfo", "Node 1 MemTotal:       0 kB\n");
	tempdir_file(f->dir, DIR "node2/meminfo", "what?\n");
	assert_int_equal(host_numa_check(&f->h, 0, &e), 0);
	expect_none(&f->h, 1, "the host has no NUMA node 1 with memory");
	expect_none(&f->h, 2, "the host has no NUMA node 2 with memory");
	expect_none(&f->h, 1023, "the host has no NUMA node 1023 with memory");
}

static void test_room(void **state)
{
	struct fixture *f = *state;
	struct err e = { 0 };
	uint64_t room;

	assert_true(host_numa_room(&f->h, 1, 0) == UINT64_MAX);
	assert_true(host_numa_room(&f->h, 1, 2 * MIB) == UINT64_MAX);
	tempdir_file(f->dir, DIR "node1/meminfo",
		     "Node 1 MemTotal:        8388608 kB\nNode 1 MemFree:         1048576 kB\n"
		     "Node 1 Active(anon):    4000000 kB\nNode 1 Active(file):     524288 kB\n"
		     "Node 1 Inactive(file):   262144 kB\nNode 1 SReclaimable:     131072 kB\n");
	tempdir_file(f->dir, DIR "node1/hugepages/hugepages-2048kB/free_hugepages", "100\n");
	tempdir_file(f->dir, DIR "node2/meminfo", "Node 2 MemFree: 18446744073709551615 kB\n");
	assert_int_equal(host_numa_room(&f->h, 1, 0), 1920 * MIB);
	assert_int_equal(host_numa_room(&f->h, 1, 2 * MIB), 200 * MIB);
	assert_true(host_numa_room(&f->h, 1, GIB) == UINT64_MAX);
	assert_true(host_numa_room(&f->h, 2, 0) == UINT64_MAX);
	assert_int_equal(host_numa_fits(&f->h, 1, 1920 * MIB, 0, &room, &e), 0);
	assert_int_equal(room, 1920 * MIB);
	assert_int_equal(host_numa_fits(&f->h, 1, 4 * GIB, 0, &room, &e), -ERR_NUMA_MEMORY);
	assert_int_equal(room, 1920 * MIB);
	assert_string_equal(e.msg,
			    "NUMA node 1 has 1920MiB of memory for the VM, which wants 4GiB");
	assert_string_equal(e.hint, "numactl -H shows what is free where; memory: {policy: prefer} "
				    "takes memory of other nodes too");
	assert_int_equal(host_numa_fits(&f->h, 1, 256 * MIB, 2 * MIB, &room, &e), -ERR_NUMA_MEMORY);
	assert_string_equal(e.msg,
			    "NUMA node 1 has 200MiB of huge pages for the VM, which wants 256MiB");
	assert_string_equal(
		e.hint,
		"raise nr_hugepages in "
		"/sys/devices/system/node/node1/hugepages/hugepages-2048kB; memory: {policy: "
		"prefer} takes those of other nodes too");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_distances, setup, teardown),
		cmocka_unit_test_setup_teardown(test_garbage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_check, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
