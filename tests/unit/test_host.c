// SPDX-License-Identifier: MIT
/* vmd/host: what another host lacks, in the words that its user reads. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/hostfs.h"
#include "lib/json.h"
#include "tests/lib/skip.h"
#include "tests/lib/tempdir.h"
#include "vmd/host.h"

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

/* The child's exit status: 0 when an ordinary user is told what to do about a /dev/kvm of root's. */
static int no_right_child(const struct hostfs *h)
{
	struct err e = { 0 };

	if (setgid(65534) < 0 || setuid(65534) < 0)
		return 2;
	if (host_kvm_open(h, NULL, &e) != -ERR_KVM)
		return 3;
	if (strcmp(e.msg, "KVM is not usable: cannot open '/dev/kvm': Permission denied"))
		return 4;
	return strcmp(e.hint, "run vmd as root or as a member of the group that owns /dev/kvm") ? 5
												: 0;
}

static void test_no_right_to_kvm(void **state)
{
	char path[256];
	struct hostfs h;
	int status;
	pid_t pid;

	if (geteuid())
		SKIP_BECAUSE("not root");
	tempdir_file(*state, "dev/kvm", "");
	snprintf(path, sizeof(path), "%s/dev/kvm", (const char *)*state);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(hostfs_init(&h, *state, NULL), 0);
	assert_int_equal(chmod(*state, 0755), 0);
	pid = fork();
	if (!pid)
		_exit(no_right_child(&h));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	hostfs_fini(&h);
}

static void test_limits(void **state)
{
	const struct host_kvm kvm = { .api_version = 12, .max_vcpus = 4 };
	AUTO_JSON struct json_object *config = NULL;
	static const char text[] = "{\"vcpus\":8,\"memory\":{\"size\":2147483648}}";
	struct err e = { 0 };
	struct hostfs h;

	tempdir_file(*state, "proc/meminfo", "MemTotal: 1048576 kB\nMemAvailable: 524288 kB\n");
	assert_int_equal(hostfs_init(&h, *state, NULL), 0);
	assert_int_equal(json_parse(text, strlen(text), &config, NULL), 0);
	assert_int_equal(host_check_limits(&h, &kvm, config, "big", &e), -ERR_MEMORY);
	assert_string_equal(e.msg, "VM 'big' wants 2.0 GiB of memory, the host has 1.0 GiB");
	json_add_int(json_get(config, "memory"), "size", 1 << 20);
	assert_int_equal(host_check_limits(&h, &kvm, config, "big", &e), -ERR_CPUS);
	assert_string_equal(e.msg, "VM 'big' wants 8 vCPUs, KVM on this host has at most 4");
	json_add_int(config, "vcpus", 4);
	assert_int_equal(host_check_limits(&h, &kvm, config, "big", &e), 0);
	hostfs_fini(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_right_to_kvm, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
