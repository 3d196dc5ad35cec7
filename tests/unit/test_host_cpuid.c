// SPDX-License-Identifier: MIT
/* vmd/host_cpuid: asked once, again for another /dev/kvm, and nobody writes to it. */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/auto.h"
#include "tests/lib/skip.h"
#include "vmd/host_cpuid.h"

#define LEAVES_MAX 256

static void test_kept(void **state)
{
	size_t head = sizeof(struct kvm_cpuid2),
	       size = LEAVES_MAX * sizeof(struct kvm_cpuid_entry2);
	AUTO_FREE struct kvm_cpuid2 *list = calloc(1, head + size), *kvm = calloc(1, head + size);
	AUTO_CLOSE int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	struct host_cpuid c, copy;
	struct err e;
	ssize_t n;

	(void)state;
	if (fd < 0)
		SKIP_BECAUSE("no /dev/kvm");
	host_cpuid_init(&c);
	host_cpuid_copy(&c, &copy);
	assert_int_equal(copy.fd, -1);
	assert_int_equal(host_cpuid_refresh(&c, fd, &e), 1);
	assert_int_equal(host_cpuid_refresh(&c, fd, &e), 0);
	kvm->nent = LEAVES_MAX;
	assert_int_equal(ioctl(fd, KVM_GET_SUPPORTED_CPUID, kvm), 0);
	n = pread(c.fd, list, head + size, 0);
	assert_int_equal(list->nent, kvm->nent);
	assert_int_equal(n, head + kvm->nent * sizeof(kvm->entries[0]));
	assert_int_equal(list->entries[0].ebx, kvm->entries[0].ebx); /* "Genu" or "Auth" */
	host_cpuid_copy(&c, &copy);
	assert_int_equal(host_cpuid_refresh(&copy, fd, &e), 0);
	assert_int_equal(pwrite(copy.fd, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(copy.fd, 0), -1);
	host_cpuid_fini(&copy);
	/* KVM's module was loaded anew */
	c.changed.tv_nsec ^= 1;
	assert_int_equal(host_cpuid_refresh(&c, fd, &e), 1);
	assert_int_equal(host_cpuid_refresh(&c, fd, &e), 0);
	host_cpuid_fini(&c);
}

static void test_no_kvm(void **state)
{
	AUTO_CLOSE int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct host_cpuid c;
	struct err e;

	(void)state;
	host_cpuid_init(&c);
	assert_int_equal(host_cpuid_refresh(&c, fd, &e), -ENOTTY);
	assert_int_equal(host_cpuid_refresh(&c, -1, &e), -EBADF);
	assert_int_equal(c.fd, -1);
	host_cpuid_fini(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_no_kvm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
