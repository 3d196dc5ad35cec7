// SPDX-License-Identifier: MIT
// Passthrough with a VFIO of our own: configuration space, and the functions that cannot be passed.
#include "tests/unit/vfio_fixture.h"

#include <linux/pci_regs.h>

#include "lib/errcat.h"

/* --- configuration space -------------------------------------------------------------------------------- */

static void the_header_is_the_devices_but_for_what_is_ours(void **state)
{
	struct vfio_fixture *f = *state;

	vfio_plug(f);
	assert_int_equal(vfio_get(f, PCI_VENDOR_ID, 4), 0x10ca8086);
	assert_int_equal(vfio_get(f, PCI_CLASS_REVISION, 4), 0x02000003);
	assert_int_equal(vfio_get(f, PCI_SUBSYSTEM_VENDOR_ID, 4), 0x00011af4);
	assert_int_equal(vfio_get(f, PCI_HEADER_TYPE, 1), 0); /* one function */
	assert_int_equal(vfio_get(f, PCI_LATENCY_TIMER, 1), 0);
	assert_int_equal(vfio_get(f, PCI_INTERRUPT_PIN, 1), 1);
	assert_int_equal(vfio_get(f, PCI_ROM_ADDRESS, 4), 0);
	vfio_put(f, PCI_ROM_ADDRESS, 4, UINT32_MAX);
	assert_int_equal(vfio_get(f, PCI_ROM_ADDRESS, 4), 0);
	vfio_put(f, PCI_VENDOR_ID, 4, 0);
	assert_int_equal(vfio_get(f, PCI_VENDOR_ID, 4), 0x10ca8086);
	assert_int_equal(vfio_device_cfg(f, PCI_VENDOR_ID, 4), 0x10ca8086);
	/* status: live, written through (the real one clears what is written as 1) */
	assert_int_equal(vfio_get(f, PCI_STATUS, 2), PCI_STATUS_CAP_LIST | 0x8000);
	vfio_put(f, PCI_STATUS, 2, 0x2000);
	assert_int_equal(vfio_device_cfg(f, PCI_STATUS, 2), 0x2000);
	assert_int_equal(vfio_get(f, PCI_STATUS, 2), PCI_STATUS_CAP_LIST | 0x2000);
}

static void bus_mastering_is_the_guests_and_decoding_stays(void **state)
{
	const uint16_t always = PCI_COMMAND_IO | PCI_COMMAND_MEMORY;
	struct vfio_fixture *f = *state;

	vfio_plug(f);
	assert_int_equal(vfio_device_cfg(f, PCI_COMMAND, 2), always);
	vfio_put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(vfio_device_cfg(f, PCI_COMMAND, 2), always | PCI_COMMAND_MASTER);
	vfio_put(f, PCI_COMMAND, 2, 0);
	assert_int_equal(vfio_device_cfg(f, PCI_COMMAND, 2), always);
	assert_int_equal(vfio_get(f, PCI_COMMAND, 2), 0);
}

static void capabilities_without_a_row_are_not_in_the_list(void **state)
{
	static const uint8_t shown[] = { FAKE_VFIO_PM,	 FAKE_VFIO_MSI,	   FAKE_VFIO_MSIX,
					 FAKE_VFIO_PCIE, FAKE_VFIO_VENDOR, FAKE_VFIO_AF };
	struct vfio_fixture *f = *state;
	unsigned int at;

	vfio_plug(f);
	at = vfio_get(f, PCI_CAPABILITY_LIST, 1);
	for (size_t i = 0; i < sizeof(shown); i++) {
		assert_int_equal(at, shown[i]);
		at = vfio_get(f, at + PCI_CAP_LIST_NEXT, 1);
	}
	assert_int_equal(at, 0);
	assert_int_equal(vfio_get(f, FAKE_VFIO_AGP, 4), 0);
	/* the extended list: AER and SR-IOV are hidden, what follows is linked from its head */
	assert_int_equal(vfio_ecam(f, 0x100), 0x18000000);
	assert_int_equal(vfio_ecam(f, 0x140), 0);
	assert_int_equal(vfio_ecam(f, 0x180), 0x19010003);
	assert_int_equal(vfio_ecam(f, 0x184), 0x02030405);
	assert_int_equal(vfio_ecam(f, 0x190), 0x0001000b);
	assert_int_equal(vfio_ecam(f, 0x198), 0x55667788);
	vfio_device_cfg_put(f, 0x198, 4, 0xcafe);
	assert_int_equal(vfio_ecam(f, 0x198), 0xcafe);
	fake_mmio_write(&f->fb, GMEM_ECAM_START + (VFIO_SLOT << 15) + 0x19c, 4, 0xbeef);
	assert_int_equal(vfio_device_cfg(f, 0x19c, 4), 0xbeef);
	fake_mmio_write(&f->fb, GMEM_ECAM_START + (VFIO_SLOT << 15) + 0x140, 4, UINT32_MAX);
	assert_int_equal(vfio_device_cfg(f, 0x140, 4), 0x18010010);
}

static void it_is_an_endpoint_of_the_root_complex_without_a_link(void **state)
{
	struct vfio_fixture *f = *state;

	vfio_plug(f);
	assert_int_equal(vfio_get(f, FAKE_VFIO_PCIE + PCI_EXP_FLAGS, 2),
			 2 | PCI_EXP_TYPE_RC_END << 4);
	assert_int_equal(vfio_get(f, FAKE_VFIO_PCIE + PCI_EXP_LNKCAP, 4), 0);
	assert_true(vfio_get(f, FAKE_VFIO_PCIE + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR);
	/* LTR and OBFF are the fabric's */
	assert_int_equal(vfio_get(f, FAKE_VFIO_PCIE + PCI_EXP_DEVCAP2, 4), 0x1f);
	vfio_put(f, FAKE_VFIO_PCIE + PCI_EXP_DEVCTL, 2, 0x2830);
	assert_int_equal(vfio_device_cfg(f, FAKE_VFIO_PCIE + PCI_EXP_DEVCTL, 2), 0x2830);
	vfio_put(f, FAKE_VFIO_PCIE + PCI_EXP_DEVCTL2, 2, UINT16_MAX);
	assert_int_equal(vfio_device_cfg(f, FAKE_VFIO_PCIE + PCI_EXP_DEVCTL2, 2), 0);
}

static void a_vendors_capability_goes_through(void **state)
{
	struct vfio_fixture *f = *state;

	vfio_plug(f);
	assert_int_equal(vfio_get(f, FAKE_VFIO_VENDOR + 4, 2), 0x1122);
	vfio_device_cfg_put(f, FAKE_VFIO_VENDOR + 4, 2, 0x7788);
	assert_int_equal(vfio_get(f, FAKE_VFIO_VENDOR + 4, 2), 0x7788);
	vfio_put(f, FAKE_VFIO_VENDOR + 4, 2, 0x4455);
	assert_int_equal(vfio_device_cfg(f, FAKE_VFIO_VENDOR + 4, 2), 0x4455);
	/* its length is not the guest's to change */
	vfio_put(f, FAKE_VFIO_VENDOR + 2, 2, 0x66ff);
	assert_int_equal(vfio_device_cfg(f, FAKE_VFIO_VENDOR + 2, 2), 0x6606);
	/* behind its length */
	vfio_put(f, FAKE_VFIO_VENDOR + 6, 2, 0xffff);
	assert_int_equal(vfio_device_cfg(f, FAKE_VFIO_VENDOR + 6, 2), 0);
}

static void lists_that_lead_nowhere_end(void **state)
{
	struct vfio_fixture *f = *state;

	f->fv.cfg[FAKE_VFIO_AGP + 1] = FAKE_VFIO_PM; /* a loop */
	vfio_device_cfg_put(f, 0x190, 4, 0xff81000b);
	vfio_device_cfg_put(f, 0xff8, 4, 0x10010003); /* no room either, and a loop */
	vfio_device_cfg_put(f, FAKE_VFIO_MSIX + 1, 1, 0xfc);
	vfio_device_cfg_put(f, 0xfc, 4, 0xfc10); /* no room for its registers */
	vfio_plug(f);
	assert_int_equal(vfio_get(f, FAKE_VFIO_MSIX + PCI_CAP_LIST_NEXT, 1), 0);
	assert_int_equal(vfio_get(f, 0xfc, 4), 0);
	assert_int_equal(vfio_ecam(f, 0x190), 0x0001000b);
	assert_int_equal(vfio_ecam(f, 0xff8), 0);
}

static void a_short_configuration_space_has_no_extended_part(void **state)
{
	struct vfio_fixture *f = *state;

	f->fv.cfg_size = PCI_CFG_SPACE_SIZE;
	vfio_plug(f);
	assert_int_equal(vfio_ecam(f, 0x100), 0);
	assert_int_equal(vfio_ecam(f, 0x180), 0);
}

/* --- functions that cannot be passed ------------------------------------------------------------------ */

static void refused(void **state, unsigned int off, unsigned int size, uint32_t val,
		    const char *msg)
{
	struct vfio_fixture *f = *state;
	struct err e = { 0 };

	vfio_device_cfg_put(f, off, size, val);
	assert_int_equal(vfio_fails(f, &e), -ERR_VFIO_DEVICE);
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
	struct vfio_fixture *f = *state;

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
	struct vfio_fixture *f = *state;
	struct err e = { 0 };

	f->fv.regions[2].size = 3 * KIB;
	assert_int_equal(vfio_fails(f, &e), -ERR_VFIO_DEVICE);
	assert_string_equal(e.msg, "BAR 2 of 0000:3b:00.0: a size of 3072 bytes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(t) cmocka_unit_test_setup_teardown(t, vfio_fixture_setup, vfio_fixture_teardown)
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
