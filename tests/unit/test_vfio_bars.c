// SPDX-License-Identifier: MIT
// Passthrough with a VFIO of our own: what the guest reaches in memory.
#include "tests/unit/vfio_fixture.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "vmm/devices.h"

/* --- BARs --------------------------------------------------------------------------------------------- */

static void bars_have_the_devices_kinds(void **state)
{
	struct vfio_fixture *f = *state;

	vfio_plug(f);
	assert_int_equal(vfio_get(f, PCI_BASE_ADDRESS_0, 4) & 0xf, 0xc);
	assert_int_equal(vfio_get(f, PCI_BASE_ADDRESS_2, 4) & 0xf, 0);
	assert_int_equal(vfio_get(f, PCI_BASE_ADDRESS_3, 4) & 0xf, 1);
	assert_int_equal(vfio_get(f, PCI_BASE_ADDRESS_5, 4), 0);
	vfio_put(f, PCI_COMMAND, 2, 0);
	vfio_put(f, PCI_BASE_ADDRESS_0, 4, UINT32_MAX);
	vfio_put(f, PCI_BASE_ADDRESS_1, 4, UINT32_MAX);
	assert_int_equal(vfio_get(f, PCI_BASE_ADDRESS_0, 4), 0xffff000c);
	assert_int_equal(vfio_get(f, PCI_BASE_ADDRESS_1, 4), UINT32_MAX);
}

static void bars_are_memory_but_for_the_table(void **state)
{
	struct vfio_fixture *f = *state;
	uint64_t bar;

	vfio_plug(f);
	bar = guest_pci_bar(&f->fb, VFIO_SLOT, 0);
	assert_non_null(fake_slot_at(&f->fb, bar));
	assert_int_equal(fake_slot_at(&f->fb, bar)->size, 0x2000);
	assert_ptr_equal(fake_slot_at(&f->fb, bar)->host, f->fv.regions[0].mem);
	assert_null(fake_slot_at(&f->fb, bar + 0x2000));
	assert_null(fake_slot_at(&f->fb, bar + 0x3000));
	assert_int_equal(fake_slot_at(&f->fb, bar + 0x4000)->size, 0xc000);
	/* what may be mapped of BAR 4; nothing of BAR 2 */
	bar = guest_pci_bar(&f->fb, VFIO_SLOT, 4);
	assert_int_equal(fake_slot_at(&f->fb, bar + 0x1000)->size, 0x2000);
	assert_int_equal(f->fv.mmaps, 3);
}

static void a_bar_is_followed(void **state)
{
	struct vfio_fixture *f = *state;
	uint64_t bar;

	vfio_plug(f);
	bar = guest_pci_bar(&f->fb, VFIO_SLOT, 0);
	vfio_put(f, PCI_BASE_ADDRESS_0, 4, (uint32_t)bar + 0x100000);
	assert_null(fake_slot_at(&f->fb, bar));
	assert_non_null(fake_slot_at(&f->fb, bar + 0x100000));
	vfio_put(f, PCI_COMMAND, 2, PCI_COMMAND_IO);
	assert_null(fake_slot_at(&f->fb, bar + 0x100000));
	vfio_put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_non_null(fake_slot_at(&f->fb, bar + 0x100000));
	f->d->class->reset(f->d);
	assert_null(fake_slot_at(&f->fb, bar + 0x100000));
	assert_non_null(fake_slot_at(&f->fb, bar));
}

static void what_is_not_mapped_goes_through_the_descriptor(void **state)
{
	struct vfio_fixture *f = *state;
	uint64_t bar;
	uint16_t port;

	vfio_plug(f);
	bar = guest_pci_bar(&f->fb, VFIO_SLOT, 2);
	assert_int_equal(fake_mmio_read(&f->fb, bar + 8, 4), 0x0d0c0b0a);
	fake_mmio_write(&f->fb, bar + 16, 8, 0x8877665544332211);
	assert_memory_equal(f->fv.regions[2].mem + 16, "\x11\x22\x33\x44\x55\x66\x77\x88", 8);
	port = (uint16_t)(vfio_get(f, PCI_BASE_ADDRESS_3, 4) & ~3u);
	fake_out(&f->fb, port + 4, 2, 0xabcd);
	assert_int_equal(f->fv.regions[3].mem[4], 0xcd);
	assert_int_equal(fake_in(&f->fb, port + 4, 2), 0xabcd);
}

/* --- memory for the VM's other devices --------------------------------------------------------------- */

static const struct fake_vfio_map *map_at(const struct vfio_fixture *f, uint64_t iova)
{
	for (unsigned int i = 0; i < f->fv.nmaps; i++)
		if (f->fv.maps[i].iova == iova)
			return &f->fv.maps[i];
	return NULL;
}

static void memory_of_a_device_at_work_is_there_for_others(void **state)
{
	struct vfio_fixture *f = *state;
	struct device *two;
	unsigned int alone;
	uint64_t bar;

	vfio_plug(f);
	bar = guest_pci_bar(&f->fb, VFIO_SLOT, 0);
	vfio_put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	alone = f->fv.nmaps; /* nobody else is there */
	assert_null(map_at(f, bar));
	two = vfio_plug_sibling(f);
	assert_int_equal(f->fv.nmaps,
			 alone + 3); /* not the second one's: its driver is not at work */
	assert_int_equal(map_at(f, bar)->size, 0x2000);
	assert_int_equal(map_at(f, bar)->host, (uintptr_t)f->fv.regions[0].mem);
	assert_int_equal(map_at(f, bar + 0x4000)->size, 0xc000);
	assert_non_null(map_at(f, guest_pci_bar(&f->fb, VFIO_SLOT, 4) + 0x1000));
	guest_pci_write(&f->fb, 6, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(f->fv.nmaps, alone + 6);
	vfio_put(f, PCI_BASE_ADDRESS_0, 4, (uint32_t)bar + 0x100000);
	assert_null(map_at(f, bar));
	assert_non_null(map_at(f, bar + 0x100000));
	vfio_put(f, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	assert_int_equal(f->fv.nmaps, alone + 3);
	vfio_put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(f->fv.nmaps, alone + 6);
	vfio_put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(f->fv.nmaps, alone + 3);
	fake_board_remove(&f->fb, two);
	assert_int_equal(f->fv.nmaps, alone);
}

/* Its own driver works on, and the VM too. */
static void memory_that_others_cannot_reach_is_no_failure(void **state)
{
	struct vfio_fixture *f = *state;
	struct device *two;
	unsigned int alone;
	uint64_t bar;

	vfio_plug(f);
	alone = f->fv.nmaps;
	two = vfio_plug_sibling(f);
	bar = guest_pci_bar(&f->fb, VFIO_SLOT, 0);
	f->fv.fail_request = VFIO_IOMMU_MAP_DMA;
	f->fv.fail_errno = EFAULT;
	vfio_put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_null(map_at(f, bar));
	assert_int_equal(f->fv.nmaps, alone + 2); /* the fake fails once */
	assert_non_null(fake_slot_at(&f->fb, bar));
	fake_board_remove(&f->fb, two);
	vfio_put(f, PCI_COMMAND, 2, 0);
	assert_int_equal(f->fv.nmaps, alone);
}

/* It would refuse, and the cage does not let it. */
static void iommufd_is_not_asked_for_memory_of_devices(void **state)
{
	struct vfio_fixture *f = *state;
	struct vfio_pci_cfg cfg;
	struct device *two;
	unsigned int alone;
	int device;

	f->fv.cdev = true;
	vfio_plug(f);
	alone = f->fv.nmaps;
	device = f->fv.device;
	cfg = fake_vfio_cfg(&f->fv, "00:06.0");
	f->fv.sibling = f->fv.device;
	f->fv.device = device;
	f->fv.bound_to = -1;
	two = fake_board_add(&f->fb, &vfio_pci_class, "two", &cfg);
	close(cfg.iommu_fd);
	vfio_put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(f->fv.nmaps, alone);
	fake_board_remove(&f->fb, two);
}

/* --- the expansion ROM ------------------------------------------------------------------------------ */

static void the_guest_reads_a_copy_of_the_rom(void **state)
{
	struct vfio_fixture *f = *state;
	uint8_t first[8];
	uint64_t rom, val;

	fake_vfio_add_rom(&f->fv, 128 * KIB);
	vfio_plug(f);
	memcpy(first, f->fv.regions[PCI_ROM].mem, sizeof(first));
	memset(f->fv.regions[PCI_ROM].mem, 0, 8); /* the device's is not asked again */
	rom = vfio_get(f, PCI_ROM_ADDRESS, 4);
	assert_int_equal(rom & PCI_ROM_ADDRESS_ENABLE, 0);
	assert_int_equal(fake_mmio_read(&f->fb, rom, 4), UINT32_MAX);
	vfio_put(f, PCI_ROM_ADDRESS, 4, UINT32_MAX & ~1u);
	assert_int_equal(vfio_get(f, PCI_ROM_ADDRESS, 4), 0xfffe0000);
	vfio_put(f, PCI_ROM_ADDRESS, 4, (uint32_t)rom | PCI_ROM_ADDRESS_ENABLE);
	val = fake_mmio_read(&f->fb, rom, 8);
	assert_memory_equal(&val, first, 8);
	fake_mmio_write(&f->fb, rom, 4, 0);
	assert_int_equal(fake_mmio_read(&f->fb, rom, 1), first[0]);
	assert_int_equal(fake_mmio_read(&f->fb, rom + 128 * KIB - 1, 1),
			 f->fv.regions[PCI_ROM].mem[128 * KIB - 1]);
	f->d->class->reset(f->d);
	assert_int_equal(vfio_get(f, PCI_ROM_ADDRESS, 4), rom);
	assert_int_equal(fake_mmio_read(&f->fb, rom, 4), UINT32_MAX);
}

/* Without: the register is not there. */
static void no_rom(struct vfio_fixture *f, bool wanted)
{
	struct vfio_pci_cfg cfg = fake_vfio_cfg(&f->fv, VFIO_ADDRESS);

	cfg.rom = wanted;
	f->d = fake_board_add(&f->fb, &vfio_pci_class, "nic", &cfg);
	vfio_put(f, PCI_ROM_ADDRESS, 4, UINT32_MAX);
	assert_int_equal(vfio_get(f, PCI_ROM_ADDRESS, 4), 0);
}

static void a_rom_that_nobody_wants_is_not_there(void **state)
{
	struct vfio_fixture *f = *state;

	fake_vfio_add_rom(&f->fv, 64 * KIB);
	no_rom(f, false);
}

static void a_rom_of_an_impossible_size_is_not_there(void **state)
{
	struct vfio_fixture *f = *state;

	fake_vfio_add_rom(&f->fv, 3 * KIB);
	no_rom(f, true);
}

static void a_rom_that_cannot_be_read_is_not_there(void **state)
{
	struct vfio_fixture *f = *state;

	fake_vfio_add_rom(&f->fv, 64 * KIB);
	f->fv.rom_fails = true;
	no_rom(f, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(t) cmocka_unit_test_setup_teardown(t, vfio_fixture_setup, vfio_fixture_teardown)
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
