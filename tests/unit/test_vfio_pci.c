// SPDX-License-Identifier: MIT
// Passthrough with a VFIO of our own: what the guest sees, what reaches the device, and what an error says.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/unit/fake_vfio.h"
#include "tests/unit/guest_virtio.h"
#include "vmm/devices.h"
#include "vmm/vfio/iommufd_abi.h"

#define SLOT 5
#define ADDRESS "00:05.0"
#define MEM_SIZE (3 * MIB)

struct fixture {
	struct fake_board fb;
	struct fake_vfio fv;
	struct device *host, *d;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fake_board_init(&f->fb, MEM_SIZE);
	fake_vfio_init(&f->fv);
	f->fb.board.vfio_sys = &f->fv.sys;
	f->host = fake_board_add(&f->fb, &pci_host_class, "pci", NULL);
	*state = f;
	return 0;
}

static void plug(struct fixture *f)
{
	struct vfio_pci_cfg cfg = fake_vfio_cfg(&f->fv, ADDRESS);

	f->d = fake_board_add(&f->fb, &vfio_pci_class, "nic", &cfg);
	f->d->class->start(f->d);
	/* the second device's copies, and what was not taken, are the core's to close */
}

static struct device *plug_sibling(struct fixture *f)
{
	struct vfio_pci_cfg cfg = fake_vfio_cfg(&f->fv, "00:06.0");
	struct device *two;

	memcpy(cfg.host, FAKE_VFIO_SIBLING, sizeof(FAKE_VFIO_SIBLING));
	two = fake_board_add(&f->fb, &vfio_pci_class, "two", &cfg);
	two->class->start(two);
	/* the first one's are taken already: these are the core's to close */
	close(cfg.group_fd);
	close(cfg.container_fd);
	return two;
}

static void unplug(struct fixture *f)
{
	if (!f->d)
		return;
	fake_board_remove(&f->fb, f->d);
	f->d = NULL;
	assert_null(f->fb.board.vfio);
	assert_int_equal(f->fb.vfio_files, 0);
	assert_int_equal(f->fv.mmaps, 0);
	for (int i = 0; i < FAKE_SLOTS; i++)
		assert_int_equal(f->fb.slots[i].size, 0);
	for (int i = 0; i < FAKE_IRQFDS; i++)
		assert_false(f->fb.irqfds[i].used);
	for (int i = 0; i < FAKE_WATCHES; i++)
		assert_int_equal(f->fb.watches[i].fd, -1);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	unplug(f);
	fake_board_remove(&f->fb, f->host);
	fake_vfio_fini(&f->fv);
	fake_board_fini(&f->fb);
	free(f);
	return 0;
}

/* Make one that fails; its descriptors back to the kernel, as the core does it. */
static int fails(struct fixture *f, struct err *e)
{
	struct vfio_pci_cfg cfg = fake_vfio_cfg(&f->fv, ADDRESS);
	int r = fake_board_add_fails(&f->fb, &vfio_pci_class, "nic", &cfg, e);

	assert_null(f->fb.board.vfio);
	assert_int_equal(f->fb.vfio_files, 0);
	assert_int_equal(f->fv.mmaps, 0);
	return r;
}

static uint32_t get(struct fixture *f, unsigned int off, unsigned int size)
{
	return guest_pci_read(&f->fb, SLOT, off, size);
}

static void put(struct fixture *f, unsigned int off, unsigned int size, uint32_t val)
{
	guest_pci_write(&f->fb, SLOT, off, size, val);
}

/* Beyond the first 256 bytes */
static uint32_t ecam(struct fixture *f, unsigned int off)
{
	return (uint32_t)fake_mmio_read(&f->fb, GMEM_ECAM_START + (SLOT << 15) + off, 4);
}

static uint32_t device_cfg(const struct fixture *f, unsigned int off, unsigned int size)
{
	uint32_t val = 0;

	memcpy(&val, f->fv.cfg + off, size);
	return val;
}

static void device_cfg_put(struct fixture *f, unsigned int off, unsigned int size, uint32_t val)
{
	memcpy(f->fv.cfg + off, &val, size);
}

/* --- memory for devices --------------------------------------------------------------------------------- */

static void all_memory_is_mapped_at_its_guest_addresses(void **state)
{
	struct fixture *f = *state;

	plug(f);
	assert_int_equal(f->fv.nmaps, 1);
	assert_int_equal(f->fv.maps[0].iova, 0);
	assert_int_equal(f->fv.maps[0].size, MEM_SIZE);
	assert_int_equal(f->fv.maps[0].host, (uintptr_t)f->fb.mem);
	assert_int_equal(f->fb.vfio_files, 1);
	assert_int_equal(f->fb.nnotices, 0); /* it takes no time */
}

/* Address space that nothing touches: the fake does not look at it. */
static void much_memory_is_mapped_in_pieces_and_told(void **state)
{
	struct fixture *f = *state;
	struct gmem real = f->fb.gmem;

	f->fb.gmem.size = 5 * GIB + 4096;
	f->fb.gmem.regions[0] = (struct gmem_region){ .gpa = 0, .size = 3 * GIB };
	f->fb.gmem.regions[1] = (struct gmem_region){ .gpa = GMEM_HOLE_END,
						      .size = 2 * GIB + 4096,
						      .offset = 3 * GIB };
	f->fb.gmem.nregions = 2;
	plug(f);
	assert_int_equal(f->fv.nmaps, 21);
	assert_int_equal(f->fv.maps[8].iova, 2 * GIB);
	assert_int_equal(f->fv.maps[8].size, 256 * MIB);
	assert_int_equal(f->fv.maps[12].iova, GMEM_HOLE_END);
	assert_int_equal(f->fv.maps[12].host, (uintptr_t)f->fb.mem + 3 * GIB);
	assert_int_equal(f->fv.maps[20].iova, GMEM_HOLE_END + 2 * GIB);
	assert_int_equal(f->fv.maps[20].size, 4096);
	assert_in_range(f->fb.nnotices, 9, 21);
	assert_string_equal(f->fb.notice, "pinning: guest memory 94%");
	unplug(f);
	f->fb.gmem = real;
}

static void a_limit_on_locked_memory_is_named(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, low;
	struct err e = { 0 };

	getrlimit(RLIMIT_MEMLOCK, &old);
	low = (struct rlimit){ .rlim_cur = 64 * KIB, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &low), 0);
	f->fv.fail_request = VFIO_IOMMU_MAP_DMA;
	f->fv.fail_errno = ENOMEM;
	assert_int_equal(fails(f, &e), -ERR_VFIO_PINNING);
	setrlimit(RLIMIT_MEMLOCK, &old);
	assert_string_equal(e.msg,
			    "cannot pin the guest's 3MiB of memory: the limit on locked memory "
			    "(RLIMIT_MEMLOCK) is 64KiB");
	assert_non_null(strstr(e.hint, "ulimit -l"));
}

static void a_group_that_the_host_uses_is_named(void **state)
{
	struct fixture *f = *state;
	struct err e = { 0 };

	f->fv.viable = false;
	assert_int_equal(fails(f, &e), -ERR_VFIO_GROUP);
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
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct err e = { 0 };

		fake_vfio_fini(&f->fv);
		fake_vfio_init(&f->fv);
		f->fv.fail_request = steps[i];
		f->fv.fail_errno = EIO;
		fails(f, &e);
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
		assert_int_equal(fails(f, &e), -ERR_VFIO);
	}
}

static void a_device_of_its_own_comes_by_iommufd(void **state)
{
	struct fixture *f = *state;

	f->fv.cdev = true;
	plug(f);
	assert_true(f->fv.bound_to >= 0);
	assert_false(f->fv.in_container);
	assert_int_equal(f->fv.nmaps, 1);
	assert_int_equal(f->fv.maps[0].size, MEM_SIZE);
	assert_int_equal(f->fb.vfio_files, 1);
	assert_int_equal(get(f, PCI_VENDOR_ID, 4), 0x10ca8086);
}

static void every_step_of_iommufd_that_fails_is_undone(void **state)
{
	static const unsigned long steps[] = { IOMMUFD_ABI_IOAS_ALLOC, IOMMUFD_ABI_DEVICE_BIND,
					       IOMMUFD_ABI_DEVICE_ATTACH, IOMMUFD_ABI_IOAS_MAP };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct err e = { 0 };

		fake_vfio_fini(&f->fv);
		fake_vfio_init(&f->fv);
		f->fv.cdev = true;
		f->fv.fail_request = steps[i];
		f->fv.fail_errno = ENOMEM;
		assert_int_equal(fails(f, &e),
				 steps[i] == IOMMUFD_ABI_IOAS_MAP ? -ERR_VFIO_PINNING : -ERR_VFIO);
		assert_int_equal(f->fb.vfio_files, 0);
	}
}

/* As the kernel says it: EPERM where the host has a part of the group, EINVAL where somebody has the device open. */
static void what_iommufd_does_not_bind_is_explained(void **state)
{
	struct fixture *f = *state;
	struct err e = { 0 };

	f->fv.cdev = true;
	f->fv.fail_request = IOMMUFD_ABI_DEVICE_BIND;
	f->fv.fail_errno = EPERM;
	assert_int_equal(fails(f, &e), -ERR_VFIO_GROUP);
	assert_string_equal(e.msg,
			    "the IOMMU group of 0000:3b:00.0: a driver of the host still has a "
			    "device of it, or another process has the group");
	assert_non_null(strstr(e.hint, "/0000:3b:00.0/iommu_group/devices to vfio-pci"));
	fake_vfio_fini(&f->fv);
	fake_vfio_init(&f->fv);
	f->fv.cdev = true;
	f->fv.fail_request = IOMMUFD_ABI_DEVICE_BIND;
	f->fv.fail_errno = EINVAL;
	assert_int_equal(fails(f, &e), -ERR_VFIO);
	assert_string_equal(e.msg, "cannot bind 0000:3b:00.0 to the VM's IOMMU descriptor: Invalid "
				   "argument");
	assert_string_equal(e.hint, "another process has it open: fuser -v /dev/vfio/devices/*");
}

static void the_two_ways_do_not_mix(void **state)
{
	struct fixture *f = *state;
	struct vfio_pci_cfg cfg;
	struct err e = { 0 };
	int device;

	plug(f);
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
	struct fixture *f = *state;
	struct device *two;
	unsigned int maps;

	plug(f);
	maps = f->fv.nmaps;
	two = plug_sibling(f);
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
	struct fixture *f = *state;
	struct vfio_pci_cfg cfg = { .address = "00:06.0",
				    .host = FAKE_VFIO_SIBLING,
				    .group = 12,
				    .group_fd = -1,
				    .container_fd = -1,
				    .device_fd = -1,
				    .iommu_fd = -1 };
	struct device *two;
	struct err e;

	plug(f);
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
	struct fixture *f = *state;
	struct vfio_pci_cfg cfg = { .address = ADDRESS,
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

/* --- configuration space -------------------------------------------------------------------------------- */

static void the_header_is_the_devices_but_for_what_is_ours(void **state)
{
	struct fixture *f = *state;

	plug(f);
	assert_int_equal(get(f, PCI_VENDOR_ID, 4), 0x10ca8086);
	assert_int_equal(get(f, PCI_CLASS_REVISION, 4), 0x02000003);
	assert_int_equal(get(f, PCI_SUBSYSTEM_VENDOR_ID, 4), 0x00011af4);
	assert_int_equal(get(f, PCI_HEADER_TYPE, 1), 0); /* one function */
	assert_int_equal(get(f, PCI_LATENCY_TIMER, 1), 0);
	assert_int_equal(get(f, PCI_INTERRUPT_PIN, 1), 1);
	assert_int_equal(get(f, PCI_ROM_ADDRESS, 4), 0);
	put(f, PCI_ROM_ADDRESS, 4, UINT32_MAX);
	assert_int_equal(get(f, PCI_ROM_ADDRESS, 4), 0);
	put(f, PCI_VENDOR_ID, 4, 0);
	assert_int_equal(get(f, PCI_VENDOR_ID, 4), 0x10ca8086);
	assert_int_equal(device_cfg(f, PCI_VENDOR_ID, 4), 0x10ca8086);
	/* status: live, written through (the real one clears what is written as 1) */
	assert_int_equal(get(f, PCI_STATUS, 2), PCI_STATUS_CAP_LIST | 0x8000);
	put(f, PCI_STATUS, 2, 0x2000);
	assert_int_equal(device_cfg(f, PCI_STATUS, 2), 0x2000);
	assert_int_equal(get(f, PCI_STATUS, 2), PCI_STATUS_CAP_LIST | 0x2000);
}

static void bus_mastering_is_the_guests_and_decoding_stays(void **state)
{
	const uint16_t always = PCI_COMMAND_IO | PCI_COMMAND_MEMORY;
	struct fixture *f = *state;

	plug(f);
	assert_int_equal(device_cfg(f, PCI_COMMAND, 2), always);
	put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(device_cfg(f, PCI_COMMAND, 2), always | PCI_COMMAND_MASTER);
	put(f, PCI_COMMAND, 2, 0);
	assert_int_equal(device_cfg(f, PCI_COMMAND, 2), always);
	assert_int_equal(get(f, PCI_COMMAND, 2), 0);
}

static void capabilities_without_a_row_are_not_in_the_list(void **state)
{
	static const uint8_t shown[] = { FAKE_VFIO_PM,	 FAKE_VFIO_MSI,	   FAKE_VFIO_MSIX,
					 FAKE_VFIO_PCIE, FAKE_VFIO_VENDOR, FAKE_VFIO_AF };
	struct fixture *f = *state;
	unsigned int at;

	plug(f);
	at = get(f, PCI_CAPABILITY_LIST, 1);
	for (size_t i = 0; i < sizeof(shown); i++) {
		assert_int_equal(at, shown[i]);
		at = get(f, at + PCI_CAP_LIST_NEXT, 1);
	}
	assert_int_equal(at, 0);
	assert_int_equal(get(f, FAKE_VFIO_AGP, 4), 0);
	/* the extended list: AER and SR-IOV are hidden, what follows is linked from its head */
	assert_int_equal(ecam(f, 0x100), 0x18000000);
	assert_int_equal(ecam(f, 0x140), 0);
	assert_int_equal(ecam(f, 0x180), 0x19010003);
	assert_int_equal(ecam(f, 0x184), 0x02030405);
	assert_int_equal(ecam(f, 0x190), 0x0001000b);
	assert_int_equal(ecam(f, 0x198), 0x55667788);
	device_cfg_put(f, 0x198, 4, 0xcafe);
	assert_int_equal(ecam(f, 0x198), 0xcafe);
	fake_mmio_write(&f->fb, GMEM_ECAM_START + (SLOT << 15) + 0x19c, 4, 0xbeef);
	assert_int_equal(device_cfg(f, 0x19c, 4), 0xbeef);
	fake_mmio_write(&f->fb, GMEM_ECAM_START + (SLOT << 15) + 0x140, 4, UINT32_MAX);
	assert_int_equal(device_cfg(f, 0x140, 4), 0x18010010);
}

static void it_is_an_endpoint_of_the_root_complex_without_a_link(void **state)
{
	struct fixture *f = *state;

	plug(f);
	assert_int_equal(get(f, FAKE_VFIO_PCIE + PCI_EXP_FLAGS, 2), 2 | PCI_EXP_TYPE_RC_END << 4);
	assert_int_equal(get(f, FAKE_VFIO_PCIE + PCI_EXP_LNKCAP, 4), 0);
	assert_true(get(f, FAKE_VFIO_PCIE + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR);
	/* LTR and OBFF are the fabric's */
	assert_int_equal(get(f, FAKE_VFIO_PCIE + PCI_EXP_DEVCAP2, 4), 0x1f);
	put(f, FAKE_VFIO_PCIE + PCI_EXP_DEVCTL, 2, 0x2830);
	assert_int_equal(device_cfg(f, FAKE_VFIO_PCIE + PCI_EXP_DEVCTL, 2), 0x2830);
	put(f, FAKE_VFIO_PCIE + PCI_EXP_DEVCTL2, 2, UINT16_MAX);
	assert_int_equal(device_cfg(f, FAKE_VFIO_PCIE + PCI_EXP_DEVCTL2, 2), 0);
}

static void a_vendors_capability_goes_through(void **state)
{
	struct fixture *f = *state;

	plug(f);
	assert_int_equal(get(f, FAKE_VFIO_VENDOR + 4, 2), 0x1122);
	device_cfg_put(f, FAKE_VFIO_VENDOR + 4, 2, 0x7788);
	assert_int_equal(get(f, FAKE_VFIO_VENDOR + 4, 2), 0x7788);
	put(f, FAKE_VFIO_VENDOR + 4, 2, 0x4455);
	assert_int_equal(device_cfg(f, FAKE_VFIO_VENDOR + 4, 2), 0x4455);
	/* its length is not the guest's to change */
	put(f, FAKE_VFIO_VENDOR + 2, 2, 0x66ff);
	assert_int_equal(device_cfg(f, FAKE_VFIO_VENDOR + 2, 2), 0x6606);
	/* behind its length */
	put(f, FAKE_VFIO_VENDOR + 6, 2, 0xffff);
	assert_int_equal(device_cfg(f, FAKE_VFIO_VENDOR + 6, 2), 0);
}

static void lists_that_lead_nowhere_end(void **state)
{
	struct fixture *f = *state;

	f->fv.cfg[FAKE_VFIO_AGP + 1] = FAKE_VFIO_PM; /* a loop */
	device_cfg_put(f, 0x190, 4, 0xff81000b);
	device_cfg_put(f, 0xff8, 4, 0x10010003); /* no room either, and a loop */
	device_cfg_put(f, FAKE_VFIO_MSIX + 1, 1, 0xfc);
	device_cfg_put(f, 0xfc, 4, 0xfc10); /* no room for its registers */
	plug(f);
	assert_int_equal(get(f, FAKE_VFIO_MSIX + PCI_CAP_LIST_NEXT, 1), 0);
	assert_int_equal(get(f, 0xfc, 4), 0);
	assert_int_equal(ecam(f, 0x190), 0x0001000b);
	assert_int_equal(ecam(f, 0xff8), 0);
}

static void a_short_configuration_space_has_no_extended_part(void **state)
{
	struct fixture *f = *state;

	f->fv.cfg_size = PCI_CFG_SPACE_SIZE;
	plug(f);
	assert_int_equal(ecam(f, 0x100), 0);
	assert_int_equal(ecam(f, 0x180), 0);
}

/* --- functions that cannot be passed ------------------------------------------------------------------ */

static void refused(void **state, unsigned int off, unsigned int size, uint32_t val,
		    const char *msg)
{
	struct fixture *f = *state;
	struct err e = { 0 };

	device_cfg_put(f, off, size, val);
	assert_int_equal(fails(f, &e), -ERR_VFIO_DEVICE);
	assert_string_equal(e.msg, msg);
}

static void a_device_that_does_not_answer_is_refused(void **state)
{
	refused(state, PCI_VENDOR_ID, 4, UINT32_MAX,
		"0000:3b:00.0 does not answer: its configuration space reads as all ones");
}

static void a_bridge_is_refused(void **state)
{
	refused(state, PCI_HEADER_TYPE, 1, PCI_HEADER_TYPE_BRIDGE,
		"0000:3b:00.0 is a bridge, not a device");
}

static void a_pin_alone_that_the_host_shares_is_refused(void **state)
{
	struct fixture *f = *state;

	/* MSI-X and MSI out of the list; then the first two to be asked for are the error's and the request's */
	f->fv.cfg[FAKE_VFIO_PM + PCI_CAP_LIST_NEXT] = FAKE_VFIO_PCIE;
	f->fv.fail_request = VFIO_DEVICE_SET_IRQS;
	f->fv.fail_after = 2;
	f->fv.fail_errno = EBUSY;
	refused(state, PCI_LATENCY_TIMER, 1, 0,
		"0000:3b:00.0 has only a pin interrupt (INTx), and the host has none for it: "
		"Device or "
		"resource busy");
}

static void an_impossible_table_is_refused(void **state)
{
	refused(state, FAKE_VFIO_MSIX + PCI_MSIX_TABLE, 4, 7, "0000:3b:00.0: no such MSI-X table");
}

static void an_impossible_bar_is_refused(void **state)
{
	struct fixture *f = *state;
	struct err e = { 0 };

	f->fv.regions[2].size = 3 * KIB;
	assert_int_equal(fails(f, &e), -ERR_VFIO_DEVICE);
	assert_string_equal(e.msg, "BAR 2 of 0000:3b:00.0: a size of 3072 bytes");
}

/* --- BARs --------------------------------------------------------------------------------------------- */

static void bars_have_the_devices_kinds(void **state)
{
	struct fixture *f = *state;

	plug(f);
	assert_int_equal(get(f, PCI_BASE_ADDRESS_0, 4) & 0xf, 0xc);
	assert_int_equal(get(f, PCI_BASE_ADDRESS_2, 4) & 0xf, 0);
	assert_int_equal(get(f, PCI_BASE_ADDRESS_3, 4) & 0xf, 1);
	assert_int_equal(get(f, PCI_BASE_ADDRESS_5, 4), 0);
	put(f, PCI_COMMAND, 2, 0);
	put(f, PCI_BASE_ADDRESS_0, 4, UINT32_MAX);
	put(f, PCI_BASE_ADDRESS_1, 4, UINT32_MAX);
	assert_int_equal(get(f, PCI_BASE_ADDRESS_0, 4), 0xffff000c);
	assert_int_equal(get(f, PCI_BASE_ADDRESS_1, 4), UINT32_MAX);
}

static void bars_are_memory_but_for_the_table(void **state)
{
	struct fixture *f = *state;
	uint64_t bar;

	plug(f);
	bar = guest_pci_bar(&f->fb, SLOT, 0);
	assert_non_null(fake_slot_at(&f->fb, bar));
	assert_int_equal(fake_slot_at(&f->fb, bar)->size, 0x2000);
	assert_ptr_equal(fake_slot_at(&f->fb, bar)->host, f->fv.regions[0].mem);
	assert_null(fake_slot_at(&f->fb, bar + 0x2000));
	assert_null(fake_slot_at(&f->fb, bar + 0x3000));
	assert_int_equal(fake_slot_at(&f->fb, bar + 0x4000)->size, 0xc000);
	/* what may be mapped of BAR 4; nothing of BAR 2 */
	bar = guest_pci_bar(&f->fb, SLOT, 4);
	assert_int_equal(fake_slot_at(&f->fb, bar + 0x1000)->size, 0x2000);
	assert_int_equal(f->fv.mmaps, 3);
}

static void a_bar_is_followed(void **state)
{
	struct fixture *f = *state;
	uint64_t bar;

	plug(f);
	bar = guest_pci_bar(&f->fb, SLOT, 0);
	put(f, PCI_BASE_ADDRESS_0, 4, (uint32_t)bar + 0x100000);
	assert_null(fake_slot_at(&f->fb, bar));
	assert_non_null(fake_slot_at(&f->fb, bar + 0x100000));
	put(f, PCI_COMMAND, 2, PCI_COMMAND_IO);
	assert_null(fake_slot_at(&f->fb, bar + 0x100000));
	put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_non_null(fake_slot_at(&f->fb, bar + 0x100000));
	f->d->class->reset(f->d);
	assert_null(fake_slot_at(&f->fb, bar + 0x100000));
	assert_non_null(fake_slot_at(&f->fb, bar));
}

static void what_is_not_mapped_goes_through_the_descriptor(void **state)
{
	struct fixture *f = *state;
	uint64_t bar;
	uint16_t port;

	plug(f);
	bar = guest_pci_bar(&f->fb, SLOT, 2);
	assert_int_equal(fake_mmio_read(&f->fb, bar + 8, 4), 0x0d0c0b0a);
	fake_mmio_write(&f->fb, bar + 16, 8, 0x8877665544332211);
	assert_memory_equal(f->fv.regions[2].mem + 16, "\x11\x22\x33\x44\x55\x66\x77\x88", 8);
	port = (uint16_t)(get(f, PCI_BASE_ADDRESS_3, 4) & ~3u);
	fake_out(&f->fb, port + 4, 2, 0xabcd);
	assert_int_equal(f->fv.regions[3].mem[4], 0xcd);
	assert_int_equal(fake_in(&f->fb, port + 4, 2), 0xabcd);
}

/* --- memory for the VM's other devices --------------------------------------------------------------- */

static const struct fake_vfio_map *map_at(const struct fixture *f, uint64_t iova)
{
	for (unsigned int i = 0; i < f->fv.nmaps; i++)
		if (f->fv.maps[i].iova == iova)
			return &f->fv.maps[i];
	return NULL;
}

static void memory_of_a_device_at_work_is_there_for_others(void **state)
{
	struct fixture *f = *state;
	struct device *two;
	unsigned int alone;
	uint64_t bar;

	plug(f);
	bar = guest_pci_bar(&f->fb, SLOT, 0);
	put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	alone = f->fv.nmaps; /* nobody else is there */
	assert_null(map_at(f, bar));
	two = plug_sibling(f);
	assert_int_equal(f->fv.nmaps,
			 alone + 3); /* not the second one's: its driver is not at work */
	assert_int_equal(map_at(f, bar)->size, 0x2000);
	assert_int_equal(map_at(f, bar)->host, (uintptr_t)f->fv.regions[0].mem);
	assert_int_equal(map_at(f, bar + 0x4000)->size, 0xc000);
	assert_non_null(map_at(f, guest_pci_bar(&f->fb, SLOT, 4) + 0x1000));
	guest_pci_write(&f->fb, 6, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(f->fv.nmaps, alone + 6);
	put(f, PCI_BASE_ADDRESS_0, 4, (uint32_t)bar + 0x100000);
	assert_null(map_at(f, bar));
	assert_non_null(map_at(f, bar + 0x100000));
	put(f, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	assert_int_equal(f->fv.nmaps, alone + 3);
	put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(f->fv.nmaps, alone + 6);
	put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(f->fv.nmaps, alone + 3);
	fake_board_remove(&f->fb, two);
	assert_int_equal(f->fv.nmaps, alone);
}

/* Its own driver works on, and the VM too. */
static void memory_that_others_cannot_reach_is_no_failure(void **state)
{
	struct fixture *f = *state;
	struct device *two;
	unsigned int alone;
	uint64_t bar;

	plug(f);
	alone = f->fv.nmaps;
	two = plug_sibling(f);
	bar = guest_pci_bar(&f->fb, SLOT, 0);
	f->fv.fail_request = VFIO_IOMMU_MAP_DMA;
	f->fv.fail_errno = EFAULT;
	put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_null(map_at(f, bar));
	assert_int_equal(f->fv.nmaps, alone + 2); /* the fake fails once */
	assert_non_null(fake_slot_at(&f->fb, bar));
	fake_board_remove(&f->fb, two);
	put(f, PCI_COMMAND, 2, 0);
	assert_int_equal(f->fv.nmaps, alone);
}

/* It would refuse, and the cage does not let it. */
static void iommufd_is_not_asked_for_memory_of_devices(void **state)
{
	struct fixture *f = *state;
	struct vfio_pci_cfg cfg;
	struct device *two;
	unsigned int alone;
	int device;

	f->fv.cdev = true;
	plug(f);
	alone = f->fv.nmaps;
	device = f->fv.device;
	cfg = fake_vfio_cfg(&f->fv, "00:06.0");
	f->fv.sibling = f->fv.device;
	f->fv.device = device;
	f->fv.bound_to = -1;
	two = fake_board_add(&f->fb, &vfio_pci_class, "two", &cfg);
	close(cfg.iommu_fd);
	put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(f->fv.nmaps, alone);
	fake_board_remove(&f->fb, two);
}

/* --- the expansion ROM ------------------------------------------------------------------------------ */

static void the_guest_reads_a_copy_of_the_rom(void **state)
{
	struct fixture *f = *state;
	uint8_t first[8];
	uint64_t rom, val;

	fake_vfio_add_rom(&f->fv, 128 * KIB);
	plug(f);
	memcpy(first, f->fv.regions[PCI_ROM].mem, sizeof(first));
	memset(f->fv.regions[PCI_ROM].mem, 0, 8); /* the device's is not asked again */
	rom = get(f, PCI_ROM_ADDRESS, 4);
	assert_int_equal(rom & PCI_ROM_ADDRESS_ENABLE, 0);
	assert_int_equal(fake_mmio_read(&f->fb, rom, 4), UINT32_MAX);
	put(f, PCI_ROM_ADDRESS, 4, UINT32_MAX & ~1u);
	assert_int_equal(get(f, PCI_ROM_ADDRESS, 4), 0xfffe0000);
	put(f, PCI_ROM_ADDRESS, 4, (uint32_t)rom | PCI_ROM_ADDRESS_ENABLE);
	val = fake_mmio_read(&f->fb, rom, 8);
	assert_memory_equal(&val, first, 8);
	fake_mmio_write(&f->fb, rom, 4, 0);
	assert_int_equal(fake_mmio_read(&f->fb, rom, 1), first[0]);
	assert_int_equal(fake_mmio_read(&f->fb, rom + 128 * KIB - 1, 1),
			 f->fv.regions[PCI_ROM].mem[128 * KIB - 1]);
	f->d->class->reset(f->d);
	assert_int_equal(get(f, PCI_ROM_ADDRESS, 4), rom);
	assert_int_equal(fake_mmio_read(&f->fb, rom, 4), UINT32_MAX);
}

/* Without: the register is not there. */
static void no_rom(struct fixture *f, bool wanted)
{
	struct vfio_pci_cfg cfg = fake_vfio_cfg(&f->fv, ADDRESS);

	cfg.rom = wanted;
	f->d = fake_board_add(&f->fb, &vfio_pci_class, "nic", &cfg);
	put(f, PCI_ROM_ADDRESS, 4, UINT32_MAX);
	assert_int_equal(get(f, PCI_ROM_ADDRESS, 4), 0);
}

static void a_rom_that_nobody_wants_is_not_there(void **state)
{
	struct fixture *f = *state;

	fake_vfio_add_rom(&f->fv, 64 * KIB);
	no_rom(f, false);
}

static void a_rom_of_an_impossible_size_is_not_there(void **state)
{
	struct fixture *f = *state;

	fake_vfio_add_rom(&f->fv, 3 * KIB);
	no_rom(f, true);
}

static void a_rom_that_cannot_be_read_is_not_there(void **state)
{
	struct fixture *f = *state;

	fake_vfio_add_rom(&f->fv, 64 * KIB);
	f->fv.rom_fails = true;
	no_rom(f, true);
}

/* --- interrupts --------------------------------------------------------------------------------------- */

static const struct fake_irqfd *route_of(const struct fixture *f, int fd)
{
	for (int i = 0; i < FAKE_IRQFDS; i++)
		if (f->fb.irqfds[i].used && f->fb.irqfds[i].fd == fd)
			return &f->fb.irqfds[i];
	return NULL;
}

static void msix_switches_the_hosts_interrupts(void **state)
{
	struct fixture *f = *state;
	struct vfio_pci *v;
	uint64_t table;

	plug(f);
	v = container_of(f->d, struct vfio_pci, dev);
	table = guest_pci_bar(&f->fb, SLOT, 0) + 0x2000;
	assert_int_equal(get(f, FAKE_VFIO_MSIX + PCI_MSIX_TABLE, 4), 0x2000);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSIX_IRQ_INDEX], 0);
	put(f, FAKE_VFIO_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSIX_IRQ_INDEX], FAKE_VFIO_VECTORS);
	guest_msix_set(&f->fb, table + 16 * 3, 0xfee00000, 0x41, false);
	put(f, FAKE_VFIO_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(route_of(f, msix_eventfd(&v->pci, 3))->msg.data, 0x41);
	assert_null(route_of(f, msix_eventfd(&v->pci, 2)));
	/* one that is masked counts, in the guest's PBA */
	fake_vfio_interrupt(&f->fv, VFIO_PCI_MSIX_IRQ_INDEX, 2);
	assert_int_equal(fake_mmio_read(&f->fb, table + 0x1000, 4), 1 << 2);
	assert_int_equal(fake_mmio_read(&f->fb, table + 0x1000, 1), 1 << 2);
	/* and none of it has reached the device's own table */
	assert_int_equal(f->fv.regions[0].mem[0x2030], 0x30);
	put(f, FAKE_VFIO_MSIX + PCI_MSIX_FLAGS, 2, 0);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSIX_IRQ_INDEX], 0);
}

static void msi_switches_the_hosts_interrupts(void **state)
{
	struct fixture *f = *state;
	struct vfio_pci *v;

	plug(f);
	v = container_of(f->d, struct vfio_pci, dev);
	put(f, FAKE_VFIO_MSI + PCI_MSI_ADDRESS_LO, 4, 0xfee00000);
	put(f, FAKE_VFIO_MSI + PCI_MSI_DATA_64, 2, 0x60);
	put(f, FAKE_VFIO_MSI + PCI_MSI_FLAGS, 2, 1 << 4 | PCI_MSI_FLAGS_ENABLE);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSI_IRQ_INDEX], 2);
	assert_int_equal(route_of(f, msi_eventfd(&v->pci, 1))->msg.data, 0x61);
	put(f, FAKE_VFIO_MSI + PCI_MSI_FLAGS, 2, 2 << 4 | PCI_MSI_FLAGS_ENABLE);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSI_IRQ_INDEX], 4);
	/* a guest that switches MSI-X on beside it: the fake takes only one of them */
	put(f, FAKE_VFIO_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSI_IRQ_INDEX], 0);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSIX_IRQ_INDEX], FAKE_VFIO_VECTORS);
	f->d->class->reset(f->d);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSIX_IRQ_INDEX], 0);
}

/* Slot 5, INTA#, as the board routes it. */
static unsigned int pin_gsi(struct fixture *f)
{
	unsigned int gsi = get(f, PCI_INTERRUPT_LINE, 1);

	assert_true(gsi >= 16 && gsi < 24);
	return gsi;
}

static uint64_t unmasked(const struct fixture *f)
{
	uint64_t count = 0;

	assert_true(f->fv.unmask >= 0);
	return read(f->fv.unmask, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static void the_pin_holds_its_line_until_the_guest_has_ended_it(void **state)
{
	struct fixture *f = *state;
	unsigned int gsi;

	plug(f);
	gsi = pin_gsi(f);
	assert_int_equal(f->fv.enabled[VFIO_PCI_INTX_IRQ_INDEX], 1);
	assert_false(f->fb.irq[gsi]);
	fake_vfio_interrupt(&f->fv, VFIO_PCI_INTX_IRQ_INDEX, 0);
	fake_board_watched(&f->fb);
	assert_true(f->fb.irq[gsi]);
	assert_int_equal(unmasked(f), 0);
	f->fb.board.ops->irq_ended(f->fb.board.arg, gsi);
	assert_false(f->fb.irq[gsi]);
	assert_int_equal(unmasked(f), 1);
	/* it has still a reason */
	fake_vfio_interrupt(&f->fv, VFIO_PCI_INTX_IRQ_INDEX, 0);
	fake_board_watched(&f->fb);
	assert_true(f->fb.irq[gsi]);
}

static void a_pin_that_the_guest_switches_off_is_off(void **state)
{
	struct fixture *f = *state;
	unsigned int gsi;

	plug(f);
	gsi = pin_gsi(f);
	fake_vfio_interrupt(&f->fv, VFIO_PCI_INTX_IRQ_INDEX, 0);
	fake_board_watched(&f->fb);
	put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	assert_int_equal(f->fv.enabled[VFIO_PCI_INTX_IRQ_INDEX], 0);
	assert_true(device_cfg(f, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE);
	assert_false(f->fb.irq[gsi]);
	put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(f->fv.enabled[VFIO_PCI_INTX_IRQ_INDEX], 1);
	assert_false(device_cfg(f, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE);
	/* what was signalled, and not seen yet, is gone with it */
	fake_vfio_interrupt(&f->fv, VFIO_PCI_INTX_IRQ_INDEX, 0);
	put(f, FAKE_VFIO_PM + PCI_PM_CTRL, 2, 3);
	fake_board_watched(&f->fb);
	assert_int_equal(f->fv.enabled[VFIO_PCI_INTX_IRQ_INDEX], 0);
	assert_false(f->fb.irq[gsi]);
}

static void messages_come_instead_of_the_pin(void **state)
{
	struct fixture *f = *state;

	plug(f);
	put(f, FAKE_VFIO_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	assert_int_equal(f->fv.enabled[VFIO_PCI_INTX_IRQ_INDEX], 0);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSI_IRQ_INDEX], 1);
	put(f, FAKE_VFIO_MSI + PCI_MSI_FLAGS, 2, 0);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSI_IRQ_INDEX], 0);
	assert_int_equal(f->fv.enabled[VFIO_PCI_INTX_IRQ_INDEX], 1);
	put(f, FAKE_VFIO_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(f->fv.enabled[VFIO_PCI_INTX_IRQ_INDEX], 0);
	f->d->class->reset(f->d);
	assert_int_equal(f->fv.enabled[VFIO_PCI_INTX_IRQ_INDEX], 1);
	assert_false(device_cfg(f, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE);
}

static void a_function_without_a_pin_of_vfios_has_none(void **state)
{
	struct fixture *f = *state;

	f->fv.irq_count[VFIO_PCI_INTX_IRQ_INDEX] = 0; /* a VF, whatever its register says */
	plug(f);
	assert_int_equal(get(f, PCI_INTERRUPT_PIN, 1), 0);
	assert_int_equal(f->fv.enabled[VFIO_PCI_INTX_IRQ_INDEX], 0);
	assert_true(device_cfg(f, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE);
}

/* With messages it works all the same. */
static void a_pin_that_the_host_shares_is_done_without(void **state)
{
	struct fixture *f = *state;

	f->fv.fail_request = VFIO_DEVICE_SET_IRQS;
	f->fv.fail_after = 2;
	f->fv.fail_errno = EBUSY;
	plug(f);
	assert_int_equal(f->fv.enabled[VFIO_PCI_INTX_IRQ_INDEX], 0);
	assert_int_equal(get(f, PCI_INTERRUPT_PIN, 1), 0);
	put(f, FAKE_VFIO_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSI_IRQ_INDEX], 1);
}

static void a_host_with_few_interrupts_gives_what_it_has(void **state)
{
	struct fixture *f = *state;

	f->fv.irqs_max = 2;
	plug(f);
	put(f, FAKE_VFIO_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSIX_IRQ_INDEX], 2);
	put(f, FAKE_VFIO_MSIX + PCI_MSIX_FLAGS, 2, 0);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSIX_IRQ_INDEX], 0);
}

static void what_the_host_says_is_told(void **state)
{
	struct fixture *f = *state;

	plug(f);
	fake_board_watched(&f->fb);
	assert_int_equal(f->fb.nnotices, 0);
	fake_vfio_interrupt(&f->fv, VFIO_PCI_REQ_IRQ_INDEX, 0);
	fake_board_watched(&f->fb);
	assert_string_equal(f->fb.notice, "device.request: nic");
	fake_vfio_interrupt(&f->fv, VFIO_PCI_ERR_IRQ_INDEX, 0);
	fake_board_watched(&f->fb);
	fake_board_watched(&f->fb);
	assert_int_equal(f->fb.nnotices, 2);
	assert_string_equal(f->fb.notice, "device.error: nic");
	assert_int_equal(f->fb.nevents, 0);
}

/* Each time to vmd, which may have been away; once to the log. */
static void a_request_is_logged_once(void **state)
{
	struct fixture *f = *state;
	char text[512] = "";
	FILE *file = tmpfile();
	const char *said;

	f->fb.log.fd = fileno(file);
	f->fb.log.level = LOG_LEVEL_WARN;
	plug(f);
	for (int i = 0; i < 3; i++) {
		fake_vfio_interrupt(&f->fv, VFIO_PCI_REQ_IRQ_INDEX, 0);
		fake_board_watched(&f->fb);
	}
	assert_int_equal(f->fb.nnotices, 3);
	assert_true(pread(fileno(file), text, sizeof(text) - 1, 0) > 0);
	assert_non_null(strstr(text, "device 'nic' (0000:3b:00.0): the host wants"));
	said = strstr(text, "the host wants");
	assert_null(strstr(said + 1, "the host wants"));
	fclose(file);
	f->fb.log.fd = -1;
}

static void an_error_ends_a_vm_that_wants_it(void **state)
{
	struct fixture *f = *state;
	struct vfio_pci_cfg cfg = fake_vfio_cfg(&f->fv, ADDRESS);

	cfg.on_device_error = VFIO_ON_ERROR_STOP;
	f->fb.log.fd = -1;
	f->d = fake_board_add(&f->fb, &vfio_pci_class, "nic", &cfg);
	fake_vfio_interrupt(&f->fv, VFIO_PCI_REQ_IRQ_INDEX, 0);
	fake_board_watched(&f->fb);
	assert_int_equal(f->fb.nevents, 0);
	fake_vfio_interrupt(&f->fv, VFIO_PCI_ERR_IRQ_INDEX, 0);
	fake_board_watched(&f->fb);
	assert_string_equal(f->fb.notice, "device.error: nic");
	assert_int_equal(f->fb.nevents, 1);
	assert_int_equal(f->fb.events[0].event, BOARD_FAULT);
	assert_string_equal(f->fb.events[0].msg, "device 'nic' (0000:3b:00.0): the host reports an "
						 "error that it cannot correct");
}

/* vmd asks the guest for the device. */
static void an_error_that_takes_the_device_is_told(void **state)
{
	struct fixture *f = *state;
	struct vfio_pci_cfg cfg = fake_vfio_cfg(&f->fv, ADDRESS);

	cfg.on_device_error = VFIO_ON_ERROR_DETACH;
	f->fb.log.fd = -1;
	f->d = fake_board_add(&f->fb, &vfio_pci_class, "nic", &cfg);
	fake_vfio_interrupt(&f->fv, VFIO_PCI_ERR_IRQ_INDEX, 0);
	fake_board_watched(&f->fb);
	assert_string_equal(f->fb.notice, "device.error: nic");
	assert_int_equal(f->fb.nevents, 0);
}

/* --- reset and sleep ------------------------------------------------------------------------------------- */

static void flr_resets_the_device_and_what_the_guest_set(void **state)
{
	struct fixture *f = *state;
	unsigned int devctl = FAKE_VFIO_PCIE + PCI_EXP_DEVCTL;

	plug(f);
	assert_int_equal(f->fv.resets, 0); /* the kernel's, when it was opened, is enough */
	put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	put(f, FAKE_VFIO_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	put(f, devctl, 2, get(f, devctl, 2) | PCI_EXP_DEVCTL_BCR_FLR);
	assert_int_equal(f->fv.resets, 1);
	assert_int_equal(get(f, PCI_COMMAND, 2), 0);
	assert_false(device_cfg(f, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
	assert_int_equal(get(f, FAKE_VFIO_MSIX + PCI_MSIX_FLAGS, 2), FAKE_VFIO_VECTORS - 1);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSIX_IRQ_INDEX], 0);
	assert_false(get(f, devctl, 2) & PCI_EXP_DEVCTL_BCR_FLR);
	assert_false(device_cfg(f, devctl, 2) & PCI_EXP_DEVCTL_BCR_FLR);
	put(f, FAKE_VFIO_AF + PCI_AF_CTRL, 1, PCI_AF_CTRL_FLR);
	assert_int_equal(f->fv.resets, 2);
	assert_int_equal(get(f, FAKE_VFIO_AF + PCI_AF_CTRL, 1), 0);
}

static void the_machines_reset_is_the_devices(void **state)
{
	struct fixture *f = *state;
	uint8_t before[PCI_CFG_SPACE_SIZE];
	struct vfio_pci *v;

	plug(f);
	v = container_of(f->d, struct vfio_pci, dev);
	memcpy(before, v->pci.cfg, sizeof(before));
	put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	put(f, FAKE_VFIO_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	f->d->class->reset(f->d);
	assert_int_equal(f->fv.resets, 1);
	assert_memory_equal(v->pci.cfg, before, sizeof(before));
	assert_false(device_cfg(f, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
}

static void a_device_without_reset_says_so_to_the_guest(void **state)
{
	struct fixture *f = *state;

	f->fv.device_flags = VFIO_DEVICE_FLAGS_PCI;
	f->fb.log.fd = -1;
	plug(f);
	assert_false(get(f, FAKE_VFIO_PCIE + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR);
	assert_int_equal(get(f, FAKE_VFIO_AF + PCI_AF_CAP, 1), 1);
	f->d->class->reset(f->d);
	assert_int_equal(f->fv.resets, 0);
}

/* --- reset of the bus ------------------------------------------------------------------------------------ */

/* It and its sibling, none of which has a reset of its own. */
static void on_one_bus(struct fixture *f)
{
	f->fv.device_flags = VFIO_DEVICE_FLAGS_PCI;
	f->fv.nhot = 2;
	f->fv.hot[0] = (struct vfio_pci_dependent_device){ .group_id = 12, .bus = 0x3b };
	f->fv.hot[1] = f->fv.hot[0];
	f->fv.hot[1].devfn = 1;
}

/* The machine is reset: each in turn. */
static void reset_both(struct fixture *f, struct device *two)
{
	f->d->class->reset(f->d);
	two->class->reset(two);
}

static void what_shares_a_bus_is_reset_together(void **state)
{
	struct fixture *f = *state;
	struct device *two;

	on_one_bus(f);
	plug(f);
	assert_int_equal(f->fv.hot_resets, 1);
	assert_int_equal(f->fv.enabled[VFIO_PCI_INTX_IRQ_INDEX], 1); /* its pin is back */
	f->fb.log.fd = -1;
	two = plug_sibling(f);
	assert_int_equal(f->fv.hot_resets, 1); /* the guest uses the first one */
	put(f, FAKE_VFIO_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	reset_both(f, two);
	assert_int_equal(f->fv.hot_resets, 2);
	reset_both(f, two);
	assert_int_equal(f->fv.hot_resets, 3);
	assert_int_equal(f->fv.resets, 0);
	assert_int_equal(f->fv.enabled[VFIO_PCI_INTX_IRQ_INDEX], 1);
	fake_board_remove(&f->fb, two);
	/* alone, but with the group of all */
	f->d->class->reset(f->d);
	assert_int_equal(f->fv.hot_resets, 4);
}

/* Whoever comes later in turn than a neighbour that was reset by it keeps its interrupts. */
static void a_neighbour_that_was_reset_already_keeps_its_pin(void **state)
{
	struct fixture *f = *state;
	struct device *two;

	on_one_bus(f);
	f->fv.device_flags |= VFIO_DEVICE_FLAGS_RESET;
	plug(f);
	f->fv.device_flags = VFIO_DEVICE_FLAGS_PCI;
	f->fb.log.fd = -1;
	two = plug_sibling(f);
	reset_both(f, two);
	assert_int_equal(f->fv.resets, 1);
	assert_int_equal(f->fv.hot_resets, 1);
	assert_int_equal(f->fv.enabled[VFIO_PCI_INTX_IRQ_INDEX], 1);
	fake_board_remove(&f->fb, two);
}

static void expect_no_hot_reset(struct fixture *f, const char *why)
{
	char text[1024] = "";
	FILE *file = tmpfile();

	f->fb.log.fd = fileno(file);
	plug(f);
	assert_true(pread(fileno(file), text, sizeof(text) - 1, 0) > 0);
	if (!strstr(text, why))
		fail_msg("'%s' is not in '%s'", why, text);
	assert_int_equal(f->fv.hot_resets, 0);
	fclose(file);
	f->fb.log.fd = -1;
}

static void a_bus_that_others_have_a_part_of_is_not_reset(void **state)
{
	struct fixture *f = *state;

	on_one_bus(f);
	f->fv.hot[1].group_id = 13;
	f->fv.hot[1].devfn = 5 << 3 | 2;
	expect_no_hot_reset(f, "device 'nic': cannot reset 0000:3b:00.0: 0000:3b:05.2 would be "
			       "reset with it, and is not this VM's (IOMMU group 13)");
}

static void a_bus_without_reset_is_said_to_have_none(void **state)
{
	struct fixture *f = *state;

	on_one_bus(f);
	f->fv.nhot = 0;
	expect_no_hot_reset(f, "neither it nor its bus has a reset (No such device)");
}

static void a_reset_of_the_bus_that_fails_is_told(void **state)
{
	struct fixture *f = *state;

	on_one_bus(f);
	f->fv.fail_request = VFIO_DEVICE_PCI_HOT_RESET; /* the number of VFIO_IOMMU_MAP_DMA, too */
	f->fv.fail_after = 1;
	f->fv.fail_errno = EIO;
	expect_no_hot_reset(f, "the reset of its bus fails: Input/output error");
}

static void a_bus_is_reset_by_iommufd(void **state)
{
	struct fixture *f = *state;

	on_one_bus(f);
	f->fv.cdev = f->fv.hot_owned = true;
	plug(f);
	assert_int_equal(f->fv.hot_resets, 1);
}

static void a_bus_that_iommufd_has_a_part_of_is_not_reset(void **state)
{
	struct fixture *f = *state;

	on_one_bus(f);
	f->fv.cdev = true;
	expect_no_hot_reset(f, "others of its bus would be reset with it, and are not this VM's");
}

/* A guest's own, of one function, never: its driver of the other would not know. */
static void a_guests_reset_is_not_that_of_the_bus(void **state)
{
	struct fixture *f = *state;

	on_one_bus(f);
	f->fb.log.fd = -1;
	plug(f);
	put(f, FAKE_VFIO_PM + PCI_PM_CTRL, 2, 3);
	put(f, FAKE_VFIO_PM + PCI_PM_CTRL, 2, 0);
	assert_int_equal(f->fv.hot_resets, 1);
}

static void a_device_asleep_does_nothing(void **state)
{
	struct fixture *f = *state;
	uint64_t bar;

	plug(f);
	put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	bar = guest_pci_bar(&f->fb, SLOT, 0);
	put(f, FAKE_VFIO_PM + PCI_PM_CTRL, 2, 3);
	assert_int_equal(get(f, FAKE_VFIO_PM + PCI_PM_CTRL, 2), 3);
	assert_false(device_cfg(f, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
	/* the device itself stays awake */
	assert_int_equal(device_cfg(f, FAKE_VFIO_PM + PCI_PM_CTRL, 2), 0);
	assert_null(fake_slot_at(&f->fb, bar));
	assert_int_equal(fake_mmio_read(&f->fb, guest_pci_bar(&f->fb, SLOT, 2), 4), UINT32_MAX);
	put(f, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_null(fake_slot_at(&f->fb, bar));
	assert_false(device_cfg(f, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
	/* awake: it has forgotten all, as a real one */
	put(f, FAKE_VFIO_PM + PCI_PM_CTRL, 2, 0);
	assert_int_equal(f->fv.resets, 1);
	assert_int_equal(get(f, PCI_COMMAND, 2), 0);
	put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_non_null(fake_slot_at(&f->fb, bar));
}

static void a_device_that_keeps_its_state_wakes_with_it(void **state)
{
	struct fixture *f = *state;

	device_cfg_put(f, FAKE_VFIO_PM + PCI_PM_CTRL, 2, PCI_PM_CTRL_NO_SOFT_RESET);
	plug(f);
	put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	put(f, FAKE_VFIO_PM + PCI_PM_CTRL, 2, 3);
	put(f, FAKE_VFIO_PM + PCI_PM_CTRL, 2, 0);
	assert_int_equal(f->fv.resets, 0);
	assert_true(device_cfg(f, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
	assert_non_null(fake_slot_at(&f->fb, guest_pci_bar(&f->fb, SLOT, 0)));
	f->d->class->reset(f->d);
	assert_int_equal(get(f, FAKE_VFIO_PM + PCI_PM_CTRL, 2), PCI_PM_CTRL_NO_SOFT_RESET);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
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
		TEST(the_header_is_the_devices_but_for_what_is_ours),
		TEST(bus_mastering_is_the_guests_and_decoding_stays),
		TEST(capabilities_without_a_row_are_not_in_the_list),
		TEST(it_is_an_endpoint_of_the_root_complex_without_a_link),
		TEST(a_vendors_capability_goes_through),
		TEST(lists_that_lead_nowhere_end),
		TEST(a_short_configuration_space_has_no_extended_part),
		TEST(a_device_that_does_not_answer_is_refused),
		TEST(a_bridge_is_refused),
		TEST(a_pin_alone_that_the_host_shares_is_refused),
		TEST(an_impossible_table_is_refused),
		TEST(an_impossible_bar_is_refused),
		TEST(bars_have_the_devices_kinds),
		TEST(bars_are_memory_but_for_the_table),
		TEST(a_bar_is_followed),
		TEST(what_is_not_mapped_goes_through_the_descriptor),
		TEST(memory_of_a_device_at_work_is_there_for_others),
		TEST(memory_that_others_cannot_reach_is_no_failure),
		TEST(iommufd_is_not_asked_for_memory_of_devices),
		TEST(the_guest_reads_a_copy_of_the_rom),
		TEST(a_rom_that_nobody_wants_is_not_there),
		TEST(a_rom_of_an_impossible_size_is_not_there),
		TEST(a_rom_that_cannot_be_read_is_not_there),
		TEST(msix_switches_the_hosts_interrupts),
		TEST(msi_switches_the_hosts_interrupts),
		TEST(the_pin_holds_its_line_until_the_guest_has_ended_it),
		TEST(a_pin_that_the_guest_switches_off_is_off),
		TEST(messages_come_instead_of_the_pin),
		TEST(a_function_without_a_pin_of_vfios_has_none),
		TEST(a_pin_that_the_host_shares_is_done_without),
		TEST(a_host_with_few_interrupts_gives_what_it_has),
		TEST(what_the_host_says_is_told),
		TEST(a_request_is_logged_once),
		TEST(an_error_ends_a_vm_that_wants_it),
		TEST(an_error_that_takes_the_device_is_told),
		TEST(flr_resets_the_device_and_what_the_guest_set),
		TEST(the_machines_reset_is_the_devices),
		TEST(a_device_without_reset_says_so_to_the_guest),
		TEST(what_shares_a_bus_is_reset_together),
		TEST(a_neighbour_that_was_reset_already_keeps_its_pin),
		TEST(a_bus_that_others_have_a_part_of_is_not_reset),
		TEST(a_bus_without_reset_is_said_to_have_none),
		TEST(a_reset_of_the_bus_that_fails_is_told),
		TEST(a_bus_is_reset_by_iommufd),
		TEST(a_bus_that_iommufd_has_a_part_of_is_not_reset),
		TEST(a_guests_reset_is_not_that_of_the_bus),
		TEST(a_device_asleep_does_nothing),
		TEST(a_device_that_keeps_its_state_wakes_with_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
