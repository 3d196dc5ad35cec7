// SPDX-License-Identifier: MIT
/* vmd/cgroup.c's names and vmd/oom.c, in a folder that looks like a group. */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/skip.h"
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
	char counts[STATE_CGROUP_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cgroup_slice(cases[i][0], slice);
		assert_string_equal(slice, cases[i][1]);
	}
	cgroup_counts(cases[0][0], counts, sizeof(counts));
	assert_string_equal(counts, "/sys/fs/cgroup/machine.slice/machine-vmd_db1_1a2b3c4d.slice");
	cgroup_counts("/a/db1-1a2b3c4d", counts, sizeof(counts));
	assert_string_equal(counts, "/a/db1-1a2b3c4d");
	memset(vm, '-', sizeof(vm) - 1);
	vm[sizeof(vm) - 1] = '\0';
	cgroup_name(&c, vm, name);
	cgroup_slice(name, slice);
	assert_int_equal(strlen(slice), strlen("machine-vmd__12345678.slice") + sizeof(vm) - 1);
	assert_string_equal(slice + strlen(slice) - strlen(".slice"), ".slice");
}

/* A new group in whatever cgroup file system of version 2 there is; "": there is none, or it is not ours. */
static void make_group(char *out, size_t size)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	struct mntent *m;

	assert_non_null(mounts);
	out[0] = '\0';
	while (!out[0] && (m = getmntent(mounts))) {
		if (strcmp(m->mnt_type, "cgroup2") != 0)
			continue;
		snprintf(out, size, "%s/vmd-unit-%d", m->mnt_dir, (int)getpid());
		if (mkdir(out, 0755) < 0)
			out[0] = '\0';
	}
	endmntent(mounts);
}

/* vmm has ended, nobody has reaped it yet, and systemd has removed its scope: the group is still told by name. */
static void test_zombie_of_a_group(void **state)
{
	char group[256], procs[300], folder[512];
	FILE *f;
	pid_t pid;

	(void)state;
	make_group(group, sizeof(group));
	if (!group[0])
		SKIP_BECAUSE("no cgroup file system of version 2 to write to");
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		snprintf(procs, sizeof(procs), "%s/cgroup.procs", group);
		f = fopen(procs, "w");
		_exit(!f || fputs("0", f) < 0 || fclose(f));
	}
	assert_int_equal(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
	assert_int_equal(cgroup_of(pid, folder, sizeof(folder)), 0);
	assert_true(cgroup_is(folder, group));
	assert_int_equal(rmdir(group), 0);
	assert_int_equal(cgroup_of(pid, folder, sizeof(folder)), 0);
	assert_true(cgroup_is(folder, group));
	assert_int_equal(waitpid(pid, NULL, 0), pid);
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
		cmocka_unit_test(test_zombie_of_a_group),
		cmocka_unit_test(test_oom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
