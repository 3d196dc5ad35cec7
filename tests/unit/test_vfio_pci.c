// SPDX-License-Identifier: MIT
// Passthrough with a VFIO of our own: how a device is got, and why not.
#include "tests/unit/vfio_fixture.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>
#include <sys/resource.h>

#include "lib/errcat.h"
#include "vmm/devices.h"
#include "vmm/vfio/iommufd_abi.h"

static void all_memory_is_mapped_at_its_guest_addresses(void **state)
{
	struct vfio_fixture *f = *state;

	vfio_plug(f);
	assert_int_equal(f->fv.nmaps, 1);
	assert_int_equal(f->fv.maps[0].iova, 0);
	assert_int_equal(f->fv.maps[0].size, VFIO_MEM);
	assert_int_equal(f->fv.maps[0].host, (uintptr_t)f->fb.mem);
	assert_int_equal(f->fb.vfio_files, 1);
	assert_int_equal(f->fb.nnotices, 0); /* it takes no time */
}

/* Address space that nothing touches: the fake does not look at it. */
static void much_memory_is_mapped_in_pieces_and_told(void **state)
{
	struct vfio_fixture *f = *state;
	struct gmem real = f->fb.gmem;

	f->fb.gmem.size = 5 * GIB + 4096;
	f->fb.gmem.regions[0] = (struct gmem_region){ .gpa = 0, .size = 3 * GIB };
	f->fb.gmem.regions[1] = (struct gmem_region){ .gpa = GMEM_HOLE_END,
						      .size = 2 * GIB + 4096,
						      .offset = 3 * GIB };
	f->fb.gmem.nregions = 2;
	vfio_plug(f);
	assert_int_equal(f->fv.nmaps, 21);
	assert_int_equal(f->fv.maps[8].iova, 2 * GIB);
	assert_int_equal(f->fv.maps[8].size, 256 * MIB);
	assert_int_equal(f->fv.maps[12].iova, GMEM_HOLE_END);
	assert_int_equal(f->fv.maps[12].host, (uintptr_t)f->fb.mem + 3 * GIB);
	assert_int_equal(f->fv.maps[20].iova, GMEM_HOLE_END + 2 * GIB);
	assert_int_equal(f->fv.maps[20].size, 4096);
	assert_in_range(f->fb.nnotices, 9, 21);
	assert_string_equal(f->fb.notice, "pinning: guest memory 94%");
	vfio_unplug(f);
	f->fb.gmem = real;
}

static void a_limit_on_locked_memory_is_named(void **state)
{
	struct vfio_fixture *f = *state;
	struct rlimit old, low;
	struct err e = { 0 };

	getrlimit(RLIMIT_MEMLOCK, &old);
	low = (struct rlimit){ .rlim_cur = 64 * KIB, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &low), 0);
	f->fv.fail_request = VFIO_IOMMU_MAP_DMA;
	f->fv.fail_errno = ENOMEM;
	assert_int_equal(vfio_fails(f, &e), -ERR_VFIO_PINNING);
	setrlimit(RLIMIT_MEMLOCK, &old);
	assert_string_equal(e.msg,
			    "cannot pin the guest's 3MiB of memory: the limit on locked memory "
			    "(RLIMIT_MEMLOCK) is 64KiB");
	assert_non_null(strstr(e.hint, "ulimit -l"));
}

static void a_group_that_the_host_uses_is_named(void **state)
{
	struct vfio_fixture *f = *state;
	struct err e = { 0 };

	f->fv.viable = false;
	assert_int_equal(vfio_fails(f, &e), -ERR_VFIO_GROUP);
	assert_string_equal(e.msg,
			    "IOMMU group 12 of 0000:3b:00.0: a driver of the host still has a "
			    "device of it");
	assert_non_null(strstr(e.hint, "/sys/kernel/iommu_groups/12/devices"));
}

static void every_step_that_fails_is_undone(void **state)
{
	static const unsigned long steps[] = {
		VFIO_GET_API_VERSION,	  VFIO_CHECK_EXTENSION, VFIO_GROUP_GET_STATUS,
		VFIO_GROUP_SET_CONTAINER, VFIO_SET_IOMMU,	VFIO_IOMMU_MAP_DMA,
		VFIO_GROUP_GET_DEVICE_FD, VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_REGION_INFO,
	};
	struct vfio_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct err e = { 0 };

		fake_vfio_fini(&f->fv);
		fake_vfio_init(&f->fv);
		f->fv.fail_request = steps[i];
		f->fv.fail_errno = EIO;
		vfio_fails(f, &e);
		assert_true(e.code >= ERR_VFIO && e.code <= ERR_VFIO_DEVICE);
	}
	/* a BAR that cannot be asked for, after the configuration space */
	for (unsigned int after = 1; after < 6; after++) {
		struct err e = { 0 };

		fake_vfio_fini(&f->fv);
		fake_vfio_init(&f->fv);
		f->fv.fail_request = VFIO_DEVICE_GET_REGION_INFO;
		f->fv.fail_after = after;
		f->fv.fail_errno = EIO;
		assert_int_equal(vfio_fails(f, &e), -ERR_VFIO);
	}
}

static void a_device_of_its_own_comes_by_iommufd(void **state)
{
	struct vfio_fixture *f = *state;

	f->fv.cdev = true;
	vfio_plug(f);
	assert_true(f->fv.bound_to >= 0);
	assert_false(f->fv.in_container);
	assert_int_equal(f->fv.nmaps, 1);
	assert_int_equal(f->fv.maps[0].size, VFIO_MEM);
	assert_int_equal(f->fb.vfio_files, 1);
	assert_int_equal(vfio_get(f, PCI_VENDOR_ID, 4), 0x10ca8086);
}

static void every_step_of_iommufd_that_fails_is_undone(void **state)
{
	static const unsigned long steps[] = { IOMMUFD_ABI_IOAS_ALLOC, IOMMUFD_ABI_DEVICE_BIND,
					       IOMMUFD_ABI_DEVICE_ATTACH, IOMMUFD_ABI_IOAS_MAP };
	struct vfio_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct err e = { 0 };

		fake_vfio_fini(&f->fv);
		fake_vfio_init(&f->fv);
		f->fv.cdev = true;
		f->fv.fail_request = steps[i];
		f->fv.fail_errno = ENOMEM;
		assert_int_equal(vfio_fails(f, &e),
				 steps[i] == IOMMUFD_ABI_IOAS_MAP ? -ERR_VFIO_PINNING : -ERR_VFIO);
		assert_int_equal(f->fb.vfio_files, 0);
	}
}

/* As the kernel says it: EPERM where the host has a part of the group, EINVAL where somebody has the device open. */
static void what_iommufd_does_not_bind_is_explained(void **state)
{
	struct vfio_fixture *f = *state;
	struct err e = { 0 };

	f->fv.cdev = true;
	f->fv.fail_request = IOMMUFD_ABI_DEVICE_BIND;
	f->fv.fail_errno = EPERM;
	assert_int_equal(vfio_fails(f, &e), -ERR_VFIO_GROUP);
	assert_string_equal(e.msg,
			    "the IOMMU group of 0000:3b:00.0: a driver of the host still has a "
			    "device of it, or another process has the group");
	assert_non_null(strstr(e.hint, "/0000:3b:00.0/iommu_group/devices to vfio-pci"));
	fake_vfio_fini(&f->fv);
	fake_vfio_init(&f->fv);
	f->fv.cdev = true;
	f->fv.fail_request = IOMMUFD_ABI_DEVICE_BIND;
	f->fv.fail_errno = EINVAL;
	assert_int_equal(vfio_fails(f, &e), -ERR_VFIO);
	assert_string_equal(e.msg, "cannot bind 0000:3b:00.0 to the VM's IOMMU descriptor: Invalid "
				   "argument");
	assert_string_equal(e.hint, "another process has it open: fuser -v /dev/vfio/devices/*");
}

static void the_two_ways_do_not_mix(void **state)
{
	struct vfio_fixture *f = *state;
	struct vfio_pci_cfg cfg;
	struct err e = { 0 };
	int device;

	vfio_plug(f);
	device = f->fv.device;
	f->fv.cdev = true;
	cfg = fake_vfio_cfg(&f->fv, "00:06.0");
	assert_int_equal(fake_board_add_fails(&f->fb, &vfio_pci_class, "two", &cfg, &e), -ERR_VFIO);
	assert_string_equal(e.msg,
			    "0000:3b:00.0 comes by iommufd, the VM's other devices by groups: "
			    "one VM has one way");
	close(cfg.device_fd);
	close(cfg.iommu_fd);
	f->fv.device = device;
}

static void functions_of_one_group_share_it(void **state)
{
	struct vfio_fixture *f = *state;
	struct device *two;
	unsigned int maps;

	vfio_plug(f);
	maps = f->fv.nmaps;
	two = vfio_plug_sibling(f);
	/* the container has both: nothing is attached or mapped twice */
	assert_int_equal(f->fv.nmaps, maps);
	assert_int_equal(f->fb.vfio_files, 1);
	assert_int_equal(f->fb.board.vfio->ngroups, 1);
	assert_int_equal(guest_pci_read(&f->fb, 6, PCI_VENDOR_ID, 4), 0x10ca8086);
	fake_board_remove(&f->fb, f->d);
	f->d = two;
	assert_int_equal(f->fb.vfio_files, 1);
	assert_int_equal(guest_pci_read(&f->fb, 6, PCI_VENDOR_ID, 4), 0x10ca8086);
}

/* As vmd gives it to a VM that runs: the kernel opens a group once. */
static void a_group_that_is_there_needs_no_descriptor(void **state)
{
	struct vfio_fixture *f = *state;
	struct vfio_pci_cfg cfg = { .address = "00:06.0",
				    .host = FAKE_VFIO_SIBLING,
				    .group = 12,
				    .group_fd = -1,
				    .container_fd = -1,
				    .device_fd = -1,
				    .iommu_fd = -1 };
	struct device *two;
	struct err e;

	vfio_plug(f);
	two = fake_board_add(&f->fb, &vfio_pci_class, "two", &cfg);
	assert_int_equal(guest_pci_read(&f->fb, 6, PCI_VENDOR_ID, 4), 0x10ca8086);
	fake_board_remove(&f->fb, two);
	f->fv.sibling = -1;
	cfg.group = 13;
	assert_int_equal(fake_board_add_fails(&f->fb, &vfio_pci_class, "two", &cfg, &e),
			 -ERR_INVALID);
}

static void a_definition_that_nobody_opened_is_refused(void **state)
{
	struct vfio_fixture *f = *state;
	struct vfio_pci_cfg cfg = { .address = VFIO_ADDRESS,
				    .pci = "0000:3b:00.0",
				    .group_fd = -1,
				    .container_fd = -1,
				    .device_fd = -1,
				    .iommu_fd = -1 };
	struct err e = { 0 };

	assert_int_equal(fake_board_add_fails(&f->fb, &vfio_pci_class, "nic", &cfg, &e), -ERR_VFIO);
	assert_string_equal(e.msg, "nobody has opened 0000:3b:00.0 for this VM");
	memcpy(cfg.host, cfg.pci, sizeof(cfg.host));
	assert_int_equal(fake_board_add_fails(&f->fb, &vfio_pci_class, "nic", &cfg, &e),
			 -ERR_INVALID);
	assert_string_equal(e.msg, "no group_fd and container_fd, or device_fd, for 0000:3b:00.0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(t) cmocka_unit_test_setup_teardown(t, vfio_fixture_setup, vfio_fixture_teardown)
		TEST(all_memory_is_mapped_at_its_guest_addresses),
		TEST(much_memory_is_mapped_in_pieces_and_told),
		TEST(a_limit_on_locked_memory_is_named),
		TEST(a_group_that_the_host_uses_is_named),
		TEST(every_step_that_fails_is_undone),
		TEST(a_device_of_its_own_comes_by_iommufd),
		TEST(every_step_of_iommufd_that_fails_is_undone),
		TEST(what_iommufd_does_not_bind_is_explained),
		TEST(the_two_ways_do_not_mix),
		TEST(functions_of_one_group_share_it),
		TEST(a_group_that_is_there_needs_no_descriptor),
		TEST(a_definition_that_nobody_opened_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
