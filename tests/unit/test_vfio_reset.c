// SPDX-License-Identifier: MIT
// Passthrough with a VFIO of our own: resets of the function and of its bus, and sleep.
#include "tests/unit/vfio_fixture.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

/* --- reset and sleep ------------------------------------------------------------------------------------- */

static void flr_resets_the_device_and_what_the_guest_set(void **state)
{
	struct vfio_fixture *f = *state;
	unsigned int devctl = FAKE_VFIO_PCIE + PCI_EXP_DEVCTL;

	vfio_plug(f);
	assert_int_equal(f->fv.resets, 0); /* the kernel's, when it was opened, is enough */
	vfio_put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	vfio_put(f, FAKE_VFIO_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	vfio_put(f, devctl, 2, vfio_get(f, devctl, 2) | PCI_EXP_DEVCTL_BCR_FLR);
	assert_int_equal(f->fv.resets, 1);
	assert_int_equal(vfio_get(f, PCI_COMMAND, 2), 0);
	assert_false(vfio_device_cfg(f, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
	assert_int_equal(vfio_get(f, FAKE_VFIO_MSIX + PCI_MSIX_FLAGS, 2), FAKE_VFIO_VECTORS - 1);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSIX_IRQ_INDEX], 0);
	assert_false(vfio_get(f, devctl, 2) & PCI_EXP_DEVCTL_BCR_FLR);
	assert_false(vfio_device_cfg(f, devctl, 2) & PCI_EXP_DEVCTL_BCR_FLR);
	vfio_put(f, FAKE_VFIO_AF + PCI_AF_CTRL, 1, PCI_AF_CTRL_FLR);
	assert_int_equal(f->fv.resets, 2);
	assert_int_equal(vfio_get(f, FAKE_VFIO_AF + PCI_AF_CTRL, 1), 0);
}

static void the_machines_reset_is_the_devices(void **state)
{
	struct vfio_fixture *f = *state;
	uint8_t before[PCI_CFG_SPACE_SIZE];
	struct vfio_pci *v;

	vfio_plug(f);
	v = container_of(f->d, struct vfio_pci, dev);
	memcpy(before, v->pci.cfg, sizeof(before));
	vfio_put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	vfio_put(f, FAKE_VFIO_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	f->d->class->reset(f->d);
	assert_int_equal(f->fv.resets, 1);
	assert_memory_equal(v->pci.cfg, before, sizeof(before));
	assert_false(vfio_device_cfg(f, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
}

static void a_device_without_reset_says_so_to_the_guest(void **state)
{
	struct vfio_fixture *f = *state;

	f->fv.device_flags = VFIO_DEVICE_FLAGS_PCI;
	f->fb.log.fd = -1;
	vfio_plug(f);
	assert_false(vfio_get(f, FAKE_VFIO_PCIE + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR);
	assert_int_equal(vfio_get(f, FAKE_VFIO_AF + PCI_AF_CAP, 1), 1);
	f->d->class->reset(f->d);
	assert_int_equal(f->fv.resets, 0);
}

/* --- reset of the bus ------------------------------------------------------------------------------------ */

/* It and its sibling, none of which has a reset of its own. */
static void on_one_bus(struct vfio_fixture *f)
{
	f->fv.device_flags = VFIO_DEVICE_FLAGS_PCI;
	f->fv.nhot = 2;
	f->fv.hot[0] = (struct vfio_pci_dependent_device){ .group_id = 12, .bus = 0x3b };
	f->fv.hot[1] = f->fv.hot[0];
	f->fv.hot[1].devfn = 1;
}

/* The machine is reset: each in turn. */
static void reset_both(struct vfio_fixture *f, struct device *two)
{
	f->d->class->reset(f->d);
	two->class->reset(two);
}

static void what_shares_a_bus_is_reset_together(void **state)
{
	struct vfio_fixture *f = *state;
	struct device *two;

	on_one_bus(f);
	vfio_plug(f);
	assert_int_equal(f->fv.hot_resets, 1);
	assert_int_equal(f->fv.enabled[VFIO_PCI_INTX_IRQ_INDEX], 1); /* its pin is back */
	f->fb.log.fd = -1;
	two = vfio_plug_sibling(f);
	assert_int_equal(f->fv.hot_resets, 1); /* the guest uses the first one */
	vfio_put(f, FAKE_VFIO_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
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
	struct vfio_fixture *f = *state;
	struct device *two;

	on_one_bus(f);
	f->fv.device_flags |= VFIO_DEVICE_FLAGS_RESET;
	vfio_plug(f);
	f->fv.device_flags = VFIO_DEVICE_FLAGS_PCI;
	f->fb.log.fd = -1;
	two = vfio_plug_sibling(f);
	reset_both(f, two);
	assert_int_equal(f->fv.resets, 1);
	assert_int_equal(f->fv.hot_resets, 1);
	assert_int_equal(f->fv.enabled[VFIO_PCI_INTX_IRQ_INDEX], 1);
	fake_board_remove(&f->fb, two);
}

static void expect_no_hot_reset(struct vfio_fixture *f, const char *why)
{
	char text[1024] = "";
	FILE *file = tmpfile();

	f->fb.log.fd = fileno(file);
	vfio_plug(f);
	assert_true(pread(fileno(file), text, sizeof(text) - 1, 0) > 0);
	if (!strstr(text, why))
		fail_msg("'%s' is not in '%s'", why, text);
	assert_int_equal(f->fv.hot_resets, 0);
	fclose(file);
	f->fb.log.fd = -1;
}

static void a_bus_that_others_have_a_part_of_is_not_reset(void **state)
{
	struct vfio_fixture *f = *state;

	on_one_bus(f);
	f->fv.hot[1].group_id = 13;
	f->fv.hot[1].devfn = 5 << 3 | 2;
	expect_no_hot_reset(f, "device 'nic': cannot reset 0000:3b:00.0: 0000:3b:05.2 would be "
			       "reset with it, and is not this VM's (IOMMU group 13)");
}

static void a_bus_without_reset_is_said_to_have_none(void **state)
{
	struct vfio_fixture *f = *state;

	on_one_bus(f);
	f->fv.nhot = 0;
	expect_no_hot_reset(f, "neither it nor its bus has a reset (No such device)");
}

static void a_reset_of_the_bus_that_fails_is_told(void **state)
{
	struct vfio_fixture *f = *state;

	on_one_bus(f);
	f->fv.fail_request = VFIO_DEVICE_PCI_HOT_RESET; /* the number of VFIO_IOMMU_MAP_DMA, too */
	f->fv.fail_after = 1;
	f->fv.fail_errno = EIO;
	expect_no_hot_reset(f, "the reset of its bus fails: Input/output error");
}

static void a_bus_is_reset_by_iommufd(void **state)
{
	struct vfio_fixture *f = *state;

	on_one_bus(f);
	f->fv.cdev = f->fv.hot_owned = true;
	vfio_plug(f);
	assert_int_equal(f->fv.hot_resets, 1);
}

static void a_bus_that_iommufd_has_a_part_of_is_not_reset(void **state)
{
	struct vfio_fixture *f = *state;

	on_one_bus(f);
	f->fv.cdev = true;
	expect_no_hot_reset(f, "others of its bus would be reset with it, and are not this VM's");
}

/* A guest's own, of one function, never: its driver of the other would not know. */
static void a_guests_reset_is_not_that_of_the_bus(void **state)
{
	struct vfio_fixture *f = *state;

	on_one_bus(f);
	f->fb.log.fd = -1;
	vfio_plug(f);
	vfio_put(f, FAKE_VFIO_PM + PCI_PM_CTRL, 2, 3);
	vfio_put(f, FAKE_VFIO_PM + PCI_PM_CTRL, 2, 0);
	assert_int_equal(f->fv.hot_resets, 1);
}

static void a_device_asleep_does_nothing(void **state)
{
	struct vfio_fixture *f = *state;
	uint64_t bar;

	vfio_plug(f);
	vfio_put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	bar = guest_pci_bar(&f->fb, VFIO_SLOT, 0);
	vfio_put(f, FAKE_VFIO_PM + PCI_PM_CTRL, 2, 3);
	assert_int_equal(vfio_get(f, FAKE_VFIO_PM + PCI_PM_CTRL, 2), 3);
	assert_false(vfio_device_cfg(f, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
	/* the device itself stays awake */
	assert_int_equal(vfio_device_cfg(f, FAKE_VFIO_PM + PCI_PM_CTRL, 2), 0);
	assert_null(fake_slot_at(&f->fb, bar));
	assert_int_equal(fake_mmio_read(&f->fb, guest_pci_bar(&f->fb, VFIO_SLOT, 2), 4),
			 UINT32_MAX);
	vfio_put(f, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	vfio_put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_null(fake_slot_at(&f->fb, bar));
	assert_false(vfio_device_cfg(f, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
	/* awake: it has forgotten all, as a real one */
	vfio_put(f, FAKE_VFIO_PM + PCI_PM_CTRL, 2, 0);
	assert_int_equal(f->fv.resets, 1);
	assert_int_equal(vfio_get(f, PCI_COMMAND, 2), 0);
	vfio_put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_non_null(fake_slot_at(&f->fb, bar));
}

static void a_device_that_keeps_its_state_wakes_with_it(void **state)
{
	struct vfio_fixture *f = *state;

	vfio_device_cfg_put(f, FAKE_VFIO_PM + PCI_PM_CTRL, 2, PCI_PM_CTRL_NO_SOFT_RESET);
	vfio_plug(f);
	vfio_put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	vfio_put(f, FAKE_VFIO_PM + PCI_PM_CTRL, 2, 3);
	vfio_put(f, FAKE_VFIO_PM + PCI_PM_CTRL, 2, 0);
	assert_int_equal(f->fv.resets, 0);
	assert_true(vfio_device_cfg(f, PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
	assert_non_null(fake_slot_at(&f->fb, guest_pci_bar(&f->fb, VFIO_SLOT, 0)));
	f->d->class->reset(f->d);
	assert_int_equal(vfio_get(f, FAKE_VFIO_PM + PCI_PM_CTRL, 2), PCI_PM_CTRL_NO_SOFT_RESET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(t) cmocka_unit_test_setup_teardown(t, vfio_fixture_setup, vfio_fixture_teardown)
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
