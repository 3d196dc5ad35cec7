// SPDX-License-Identifier: MIT
/* lib/hostfs: reads stay below the root. */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/hostfs.h"
#include "tests/lib/openat2.h"
#include "tests/lib/tempdir.h"

static int setup(void **state)
{
	*state = tempdir_new();
	return 0;
}

static int teardown(void **state)
{
	tempdir_remove(*state);
	return 0;
}

static void test_reads(void **state)
{
	const char *dir = *state;
	struct hostfs h;
	char text[64];
	uint64_t value;
	struct err e = { 0 };

	tempdir_file(dir, "sys/a/number", "42\n");
	tempdir_file(dir, "sys/a/text", "hello world \n\n");
	tempdir_file(dir, "sys/a/bad", "42x\n");
	assert_int_equal(hostfs_init(&h, dir, &e), 0);
	assert_int_equal(hostfs_read_u64(&h, "sys/a/number", &value, &e), 0);
	assert_int_equal(value, 42);
	assert_int_equal(hostfs_read(&h, "sys/a/text", text, sizeof(text), &e), 11);
	assert_string_equal(text, "hello world");
	assert_int_equal(hostfs_read(&h, "sys/a/text", text, 5, &e), 4);
	assert_string_equal(text, "hell");
	assert_int_equal(hostfs_read_u64(&h, "sys/a/bad", &value, &e), -EINVAL);
	assert_string_equal(e.msg, "'/sys/a/bad' holds no number");
	assert_int_equal(hostfs_read_u64(&h, "sys/none", &value, &e), -ENOENT);
	assert_string_equal(e.msg, "cannot open '/sys/none': No such file or directory");
	hostfs_fini(&h);
}

static void test_readlink(void **state)
{
	const char *dir = *state;
	char path[256], text[64];
	struct hostfs h;
	struct err e = { 0 };

	tempdir_file(dir, "sys/a/file", "x");
	snprintf(path, sizeof(path), "%s/sys/a/driver", dir);
	assert_int_equal(symlink("../../drivers/none", path), 0);
	assert_int_equal(hostfs_init(&h, dir, &e), 0);
	assert_int_equal(hostfs_readlink(&h, "sys/a/driver", text, sizeof(text), &e), 18);
	assert_string_equal(text, "../../drivers/none");
	assert_int_equal(hostfs_readlink(&h, "sys/a/driver", text, 4, &e), 3);
	assert_string_equal(text, "../");
	assert_int_equal(hostfs_readlink(&h, "sys/a/file", text, sizeof(text), &e), -EINVAL);
	assert_string_equal(e.msg, "cannot read the link '/sys/a/file': Invalid argument");
	assert_int_equal(hostfs_readlink(&h, "sys/a/none", text, sizeof(text), &e), -ENOENT);
	hostfs_fini(&h);
}

static void test_write(void **state)
{
	const char *dir = *state;
	char text[64];
	struct hostfs h;
	struct err e = { 0 };

	tempdir_file(dir, "sys/a/number", "4711\n");
	assert_int_equal(hostfs_init(&h, dir, &e), 0);
	assert_int_equal(hostfs_write(&h, "sys/a/number", "8", &e), 0);
	assert_int_equal(hostfs_read(&h, "sys/a/number", text, sizeof(text), &e), 1);
	assert_string_equal(text, "8");
	/* nothing is made */
	assert_int_equal(hostfs_write(&h, "sys/a/none", "8", &e), -ENOENT);
	assert_string_equal(e.msg, "cannot open '/sys/a/none': No such file or directory");
	hostfs_fini(&h);
	/* the kernel's own reason */
	assert_int_equal(hostfs_init(&h, "/", &e), 0);
	assert_int_equal(hostfs_write(&h, "dev/full", "x\n", &e), -ENOSPC);
	assert_string_equal(e.msg, "cannot write 'x' to '/dev/full': No space left on device");
	hostfs_fini(&h);
}

static void test_links_stay_inside(void **state)
{
	const char *dir = *state;
	char path[256], text[64];
	struct hostfs h;
	struct err e = { 0 };

	tempdir_file(dir, "etc/hostname", "inside\n");
	snprintf(path, sizeof(path), "%s/absolute", dir);
	assert_int_equal(symlink("/etc/hostname", path), 0);
	snprintf(path, sizeof(path), "%s/up", dir);
	assert_int_equal(symlink("../../../../../etc/hostname", path), 0);
	assert_int_equal(hostfs_init(&h, dir, &e), 0);
	assert_true(hostfs_read(&h, "absolute", text, sizeof(text), &e) > 0);
	assert_string_equal(text, "inside");
	assert_true(hostfs_read(&h, "up", text, sizeof(text), &e) > 0);
	assert_string_equal(text, "inside");
	hostfs_fini(&h);
}

/* A folder by itself: its files, its links as they are written, and no way out of it. */
static void test_sub(void **state)
{
	const char *dir = *state;
	char path[256], text[64];
	struct hostfs h, folder;
	struct err e = { 0 };

	tempdir_file(dir, "sys/a/name", "first\n");
	tempdir_file(dir, "sys/b/name", "second\n");
	snprintf(path, sizeof(path), "%s/sys/a/other", dir);
	assert_int_equal(symlink("../b", path), 0);
	assert_int_equal(hostfs_init(&h, dir, &e), 0);
	assert_int_equal(hostfs_sub(&h, "sys/none", &folder, &e), -ENOENT);
	assert_int_equal(hostfs_sub(&h, "sys/a/name", &folder, &e), -ENOTDIR);
	assert_int_equal(hostfs_sub(&h, "sys/a", &folder, &e), 0);
	assert_true(hostfs_read(&folder, "name", text, sizeof(text), &e) > 0);
	assert_string_equal(text, "first");
	assert_int_equal(hostfs_readlink(&folder, "other", text, sizeof(text), &e), 4);
	assert_string_equal(text, "../b");
	assert_int_equal(hostfs_read(&folder, "other/name", text, sizeof(text), &e), -ENOENT);
	hostfs_fini(&folder);
	hostfs_fini(&h);
}

static int collect(void *arg, const char *name)
{
	strcat(arg, name);
	return strlen(arg) > 1 ? -EINTR : 0;
}

static void test_each(void **state)
{
	const char *dir = *state;
	char names[16] = "";
	struct hostfs h;
	struct err e = { 0 };

	tempdir_file(dir, "d/a", "");
	tempdir_file(dir, "d/b", "");
	assert_int_equal(hostfs_init(&h, dir, &e), 0);
	assert_int_equal(hostfs_each(&h, "d", collect, names, &e), -EINTR);
	assert_int_equal(strlen(names), 2);
	assert_int_equal(hostfs_each(&h, "none", collect, names, &e), -ENOENT);
	hostfs_fini(&h);
}

/* The host itself can be read, another root cannot: nothing would keep its links inside. */
static void test_without_openat2(void **state)
{
	int status;
	pid_t pid;

	tempdir_file(*state, "text", "inside");
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct hostfs host, other;
		char text[64];
		bool ok = openat2_take_away() && hostfs_init(&host, "/", NULL) == 0 &&
			  hostfs_init(&other, *state, NULL) == 0 &&
			  hostfs_read(&host, "proc/sys/kernel/ostype", text, sizeof(text), NULL) >
				  0 &&
			  !strcmp(text, "Linux") &&
			  hostfs_read(&other, "text", text, sizeof(text), NULL) == -ENOSYS;

		_exit(!ok);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_readlink, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_links_stay_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sub, setup, teardown),
		cmocka_unit_test_setup_teardown(test_each, setup, teardown),
		cmocka_unit_test_setup_teardown(test_without_openat2, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
