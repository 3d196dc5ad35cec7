// SPDX-License-Identifier: MIT
/* vmd/cgroup.c's names and vmd/oom.c, in a folder that looks like a group. */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/tempdir.h"
#include "vmd/cgroup.h"
#include "vmd/oom.h"

/* One level below machine.slice, whatever the VM is called. */
static void test_slice(void **state)
{
	static const char *const cases[][2] = {
		{ "vmd-db1-1a2b3c4d.scope", "machine-vmd_db1_1a2b3c4d.slice" },
		{ "vmd-my-db.scope-1a2b3c4d.scope", "machine-vmd_my_db.scope_1a2b3c4d.slice" },
	};
	struct cgroups c = { .kind = CGROUP_SCOPE };
	char slice[CGROUP_SLICE_SIZE], name[STATE_CGROUP_SIZE], vm[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cgroup_slice(cases[i][0], slice);
		assert_string_equal(slice, cases[i][1]);
	}
	memset(vm, '-', sizeof(vm) - 1);
	vm[sizeof(vm) - 1] = '\0';
	cgroup_name(&c, vm, name);
	cgroup_slice(name, slice);
	assert_int_equal(strlen(slice), strlen("machine-vmd__12345678.slice") + sizeof(vm) - 1);
	assert_string_equal(slice + strlen(slice) - strlen(".slice"), ".slice");
}

static void events(const char *dir, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/memory.events", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void test_oom(void **state)
{
	static const struct {
		const char *text;
		uint64_t kills;
	} cases[] = {
		{ "low 0\nhigh 0\nmax 7\noom 2\noom_kill 0\noom_group_kill 0\n", 0 },
		{ "low 0\nhigh 0\nmax 7\noom 2\noom_kill 3\noom_group_kill 1\n", 3 },
		{ "oom_group_kill 1\n", 0 },
		{ "", 0 },
	};
	char *dir = tempdir_new();
	int fd;

	(void)state;
	assert_int_equal(oom_open(dir), -ENOENT);
	assert_int_equal(oom_kills(-ENOENT), 0);
	events(dir, "");
	fd = oom_open(dir);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		events(dir, cases[i].text);
		assert_int_equal(oom_kills(fd), cases[i].kills);
	}
	close(fd);
	tempdir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slice),
		cmocka_unit_test(test_oom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
