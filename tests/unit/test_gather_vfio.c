// SPDX-License-Identifier: MIT
/* vmd/gather_vfio.c: what vmm gets of a device of the host, by iommufd or by group, and what it has to lock. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "tests/lib/tempdir.h"
#include "vmd/gather.h"

#define DEVICE "sys/bus/pci/devices/0000:3b:00.0"

struct fixture {
	char *dir;
	struct hostfs host;
	struct gather g;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	static const char config[] =
		"{\"memory\":{\"size\":67108864},\"devices\":["
		"{\"type\":\"serial\",\"id\":\"com1\"},"
		"{\"type\":\"vfio-pci\",\"id\":\"pci0\",\"address\":\"00:05.0\","
		"\"pci\":\"0000:3b:00.0\",\"pool\":\"front\",\"mac\":\"52:54:00:00:00:01\","
		"\"vlan\":7,\"identity\":{\"vendor\":\"8086\"}}]}";
	char path[300];

	f->dir = tempdir_new();
	tempdir_file(f->dir, DEVICE "/resource",
		     "0x00000000fe000000 0x00000000fe0fffff 0x0000000000040200\n"
		     "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
		     "0x0000000800000000 0x00000008003fffff 0x000000000014220c\n");
	snprintf(path, sizeof(path), "%s/" DEVICE "/iommu_group", f->dir);
	assert_int_equal(symlink("../../../../kernel/iommu_groups/12", path), 0);
	tempdir_file(f->dir, "dev/vfio/12", "");
	tempdir_file(f->dir, "dev/vfio/vfio", "");
	assert_int_equal(hostfs_init(&f->host, f->dir, NULL), 0);
	f->g.host = &f->host;
	strcpy(f->g.dir, "/run");
	fdset_init(&f->g.fds);
	assert_int_equal(json_parse(config, strlen(config), &f->g.config, NULL), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fdset_fini(&f->g.fds);
	json_object_put(f->g.config);
	hostfs_fini(&f->host);
	tempdir_remove(f->dir);
	free(f);
	return 0;
}

static void expect_device(struct fixture *f, const char *expected)
{
	struct json_object *devices = json_get(f->g.config, "devices");

	assert_string_equal(json_object_to_json_string_ext(json_object_array_get_idx(devices, 1),
							   JSON_C_TO_STRING_PLAIN),
			    expected);
}

/* Does the descriptor stand for that file? */
static void expect_fd(struct fixture *f, unsigned int index, const char *name)
{
	struct stat a, b;
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	assert_true(index < f->g.fds.n);
	assert_int_equal(fstat(f->g.fds.fds[index], &a), 0);
	assert_int_equal(stat(path, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
}

/* What is vmd's alone does not go to vmm. */
static void test_group(void **state)
{
	struct fixture *f = *state;
	struct err e = { 0 };

	assert_int_equal(gather_vfio(&f->g, &e), 0);
	expect_device(f, "{\"type\":\"vfio-pci\",\"id\":\"pci0\",\"address\":\"00:05.0\","
			 "\"host\":\"0000:3b:00.0\",\"group\":12,\"group_fd\":{\"fd\":0},"
			 "\"container_fd\":{\"fd\":1}}");
	expect_fd(f, 0, "dev/vfio/12");
	expect_fd(f, 1, "dev/vfio/vfio");
	assert_int_equal(f->g.memlock, (64 + 64 + 1 + 4) * MIB);
}

#define NEIGHBOUR "0000:3b:00.1"

static void add_neighbour(struct fixture *f)
{
	char path[300];

	tempdir_file(f->dir, "sys/bus/pci/devices/" NEIGHBOUR "/vendor", "0x8086\n");
	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/" NEIGHBOUR "/iommu_group", f->dir);
	assert_int_equal(symlink("../../../../kernel/iommu_groups/12", path), 0);
}

/* The kernel opens a group once: the second device's is a copy. */
static void test_two_of_a_group(void **state)
{
	struct fixture *f = *state;
	struct json_object *devices = json_get(f->g.config, "devices"), *two = json_new();
	struct err e = { 0 };

	add_neighbour(f);
	json_add_str(json_add_str(two, "type", "vfio-pci"), "pci", NEIGHBOUR);
	json_object_array_add(devices, two);
	assert_int_equal(gather_vfio(&f->g, &e), 0);
	expect_fd(f, 2, "dev/vfio/12");
	expect_fd(f, 3, "dev/vfio/vfio");
	assert_int_equal(json_get_int(json_get(two, "group_fd"), "fd", -1), 2);
	/* one open file, as its offset shows */
	assert_int_equal(lseek(f->g.fds.fds[0], 7, SEEK_SET), 7);
	assert_int_equal(lseek(f->g.fds.fds[2], 0, SEEK_CUR), 7);
}

/* The VM has another one of the group already: its vmm has the descriptors. */
static void test_group_that_the_vm_has(void **state)
{
	struct fixture *f = *state;
	struct json_object *held = json_object_new_array();
	struct err e = { 0 };

	add_neighbour(f);
	json_object_array_add(held, json_object_new_string(NEIGHBOUR));
	json_add(f->g.config, "held", held);
	assert_int_equal(gather_vfio(&f->g, &e), 0);
	expect_device(f, "{\"type\":\"vfio-pci\",\"id\":\"pci0\",\"address\":\"00:05.0\","
			 "\"host\":\"0000:3b:00.0\",\"group\":12}");
	assert_int_equal(f->g.fds.n, 0);
}

static void test_iommufd(void **state)
{
	struct fixture *f = *state;
	struct err e = { 0 };

	tempdir_file(f->dir, DEVICE "/vfio-dev/vfio3/dev", "511:3\n");
	tempdir_file(f->dir, "dev/vfio/devices/vfio3", "");
	tempdir_file(f->dir, "dev/iommu", "");
	assert_int_equal(gather_vfio(&f->g, &e), 0);
	expect_device(f, "{\"type\":\"vfio-pci\",\"id\":\"pci0\",\"address\":\"00:05.0\","
			 "\"host\":\"0000:3b:00.0\",\"device_fd\":{\"fd\":0},"
			 "\"iommu_fd\":{\"fd\":1}}");
	expect_fd(f, 0, "dev/vfio/devices/vfio3");
	expect_fd(f, 1, "dev/iommu");
}

/* A kernel with iommufd, whose VFIO has no device files: by group. */
static void test_iommufd_without_cdev(void **state)
{
	struct fixture *f = *state;
	struct err e = { 0 };

	tempdir_file(f->dir, "dev/iommu", "");
	assert_int_equal(gather_vfio(&f->g, &e), 0);
	expect_fd(f, 0, "dev/vfio/12");
}

static void test_missing(void **state)
{
	struct fixture *f = *state;
	struct err e = { 0 };
	char path[300];

	snprintf(path, sizeof(path), "%s/dev/vfio/12", f->dir);
	unlink(path);
	assert_int_equal(gather_vfio(&f->g, &e), -ERR_LEASE_VFIO);
	assert_int_equal(e.code, ERR_LEASE_VFIO);
	assert_string_equal(e.msg, "cannot open '/dev/vfio/12': No such file or directory");
	assert_string_equal(e.hint, "modprobe vfio-pci; ls -l /dev/vfio");
}

/* A dry run opens nothing, and says what would be locked. */
static void test_dry(void **state)
{
	struct fixture *f = *state;
	struct err e = { 0 };

	f->g.dir[0] = '\0';
	assert_int_equal(gather_vfio(&f->g, &e), 0);
	assert_int_equal(f->g.fds.n, 0);
	assert_int_equal(f->g.memlock, (64 + 64 + 1 + 4) * MIB);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_group),	 T(test_two_of_a_group),       T(test_group_that_the_vm_has),
		T(test_iommufd), T(test_iommufd_without_cdev), T(test_missing),
		T(test_dry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
