// SPDX-License-Identifier: MIT
// Passthrough with a VFIO of our own: interrupts, and what the host says of the device.
#include "tests/unit/vfio_fixture.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "lib/errcat.h"
#include "vmm/devices.h"

static const struct fake_irqfd *route_of(const struct vfio_fixture *f, int fd)
{
	for (int i = 0; i < FAKE_IRQFDS; i++)
		if (f->fb.irqfds[i].used && f->fb.irqfds[i].fd == fd)
			return &f->fb.irqfds[i];
	return NULL;
}

static void msix_switches_the_hosts_interrupts(void **state)
{
	struct vfio_fixture *f = *state;
	struct vfio_pci *v;
	uint64_t table;

	vfio_plug(f);
	v = container_of(f->d, struct vfio_pci, dev);
	table = guest_pci_bar(&f->fb, VFIO_SLOT, 0) + 0x2000;
	assert_int_equal(vfio_get(f, FAKE_VFIO_MSIX + PCI_MSIX_TABLE, 4), 0x2000);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSIX_IRQ_INDEX], 0);
	vfio_put(f, FAKE_VFIO_MSIX + PCI_MSIX_FLAGS, 2,
		 PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSIX_IRQ_INDEX], FAKE_VFIO_VECTORS);
	guest_msix_set(&f->fb, table + 16 * 3, 0xfee00000, 0x41, false);
	vfio_put(f, FAKE_VFIO_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(route_of(f, msix_eventfd(&v->pci, 3))->msg.data, 0x41);
	assert_null(route_of(f, msix_eventfd(&v->pci, 2)));
	/* one that is masked counts, in the guest's PBA */
	fake_vfio_interrupt(&f->fv, VFIO_PCI_MSIX_IRQ_INDEX, 2);
	assert_int_equal(fake_mmio_read(&f->fb, table + 0x1000, 4), 1 << 2);
	assert_int_equal(fake_mmio_read(&f->fb, table + 0x1000, 1), 1 << 2);
	/* and none of it has reached the device's own table */
	assert_int_equal(f->fv.regions[0].mem[0x2030], 0x30);
	vfio_put(f, FAKE_VFIO_MSIX + PCI_MSIX_FLAGS, 2, 0);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSIX_IRQ_INDEX], 0);
}

static void msi_switches_the_hosts_interrupts(void **state)
{
	struct vfio_fixture *f = *state;
	struct vfio_pci *v;

	vfio_plug(f);
	v = container_of(f->d, struct vfio_pci, dev);
	vfio_put(f, FAKE_VFIO_MSI + PCI_MSI_ADDRESS_LO, 4, 0xfee00000);
	vfio_put(f, FAKE_VFIO_MSI + PCI_MSI_DATA_64, 2, 0x60);
	vfio_put(f, FAKE_VFIO_MSI + PCI_MSI_FLAGS, 2, 1 << 4 | PCI_MSI_FLAGS_ENABLE);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSI_IRQ_INDEX], 2);
	assert_int_equal(route_of(f, msi_eventfd(&v->pci, 1))->msg.data, 0x61);
	vfio_put(f, FAKE_VFIO_MSI + PCI_MSI_FLAGS, 2, 2 << 4 | PCI_MSI_FLAGS_ENABLE);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSI_IRQ_INDEX], 4);
	/* a guest that switches MSI-X on beside it: the fake takes only one of them */
	vfio_put(f, FAKE_VFIO_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSI_IRQ_INDEX], 0);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSIX_IRQ_INDEX], FAKE_VFIO_VECTORS);
	f->d->class->reset(f->d);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSIX_IRQ_INDEX], 0);
}

/* Slot 5, INTA#, as the board routes it. */
static unsigned int pin_gsi(struct vfio_fixture *f)
{
	unsigned int gsi = vfio_get(f, PCI_INTERRUPT_LINE, 1);

	assert_true(gsi >= 16 && gsi < 24);
	return gsi;
}

static uint64_t unmasked(const struct vfio_fixture *f)
{
	uint64_t count = 0;

	assert_true(f->fv.unmask >= 0);
	return read(f->fv.unmask, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static void the_pin_holds_its_line_until_the_guest_has_ended_it(void **state)
{
	struct vfio_fixture *f = *state;
	unsigned int gsi;

	vfio_plug(f);
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
	struct vfio_fixture *f = *state;
	unsigned int gsi;

	vfio_plug(f);
	gsi = pin_gsi(f);
	fake_vfio_interrupt(&f->fv, VFIO_PCI_INTX_IRQ_INDEX, 0);
	fake_board_watched(&f->fb);
	vfio_put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	assert_int_equal(f->fv.enabled[VFIO_PCI_INTX_IRQ_INDEX], 0);
	assert_true(vfio_device_cfg(f, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE);
	assert_false(f->fb.irq[gsi]);
	vfio_put(f, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(f->fv.enabled[VFIO_PCI_INTX_IRQ_INDEX], 1);
	assert_false(vfio_device_cfg(f, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE);
	/* what was signalled, and not seen yet, is gone with it */
	fake_vfio_interrupt(&f->fv, VFIO_PCI_INTX_IRQ_INDEX, 0);
	vfio_put(f, FAKE_VFIO_PM + PCI_PM_CTRL, 2, 3);
	fake_board_watched(&f->fb);
	assert_int_equal(f->fv.enabled[VFIO_PCI_INTX_IRQ_INDEX], 0);
	assert_false(f->fb.irq[gsi]);
}

static void messages_come_instead_of_the_pin(void **state)
{
	struct vfio_fixture *f = *state;

	vfio_plug(f);
	vfio_put(f, FAKE_VFIO_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	assert_int_equal(f->fv.enabled[VFIO_PCI_INTX_IRQ_INDEX], 0);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSI_IRQ_INDEX], 1);
	vfio_put(f, FAKE_VFIO_MSI + PCI_MSI_FLAGS, 2, 0);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSI_IRQ_INDEX], 0);
	assert_int_equal(f->fv.enabled[VFIO_PCI_INTX_IRQ_INDEX], 1);
	vfio_put(f, FAKE_VFIO_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(f->fv.enabled[VFIO_PCI_INTX_IRQ_INDEX], 0);
	f->d->class->reset(f->d);
	assert_int_equal(f->fv.enabled[VFIO_PCI_INTX_IRQ_INDEX], 1);
	assert_false(vfio_device_cfg(f, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE);
}

static void a_function_without_a_pin_of_vfios_has_none(void **state)
{
	struct vfio_fixture *f = *state;

	f->fv.irq_count[VFIO_PCI_INTX_IRQ_INDEX] = 0; /* a VF, whatever its register says */
	vfio_plug(f);
	assert_int_equal(vfio_get(f, PCI_INTERRUPT_PIN, 1), 0);
	assert_int_equal(f->fv.enabled[VFIO_PCI_INTX_IRQ_INDEX], 0);
	assert_true(vfio_device_cfg(f, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE);
}

/* With messages it works all the same. */
static void a_pin_that_the_host_shares_is_done_without(void **state)
{
	struct vfio_fixture *f = *state;

	f->fv.fail_request = VFIO_DEVICE_SET_IRQS;
	f->fv.fail_after = 2;
	f->fv.fail_errno = EBUSY;
	vfio_plug(f);
	assert_int_equal(f->fv.enabled[VFIO_PCI_INTX_IRQ_INDEX], 0);
	assert_int_equal(vfio_get(f, PCI_INTERRUPT_PIN, 1), 0);
	vfio_put(f, FAKE_VFIO_MSI + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSI_IRQ_INDEX], 1);
}

static void a_host_with_few_interrupts_gives_what_it_has(void **state)
{
	struct vfio_fixture *f = *state;

	f->fv.irqs_max = 2;
	vfio_plug(f);
	vfio_put(f, FAKE_VFIO_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSIX_IRQ_INDEX], 2);
	vfio_put(f, FAKE_VFIO_MSIX + PCI_MSIX_FLAGS, 2, 0);
	assert_int_equal(f->fv.enabled[VFIO_PCI_MSIX_IRQ_INDEX], 0);
}

static void what_the_host_says_is_told(void **state)
{
	struct vfio_fixture *f = *state;

	vfio_plug(f);
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
	struct vfio_fixture *f = *state;
	char text[512] = "";
	FILE *file = tmpfile();
	const char *said;

	f->fb.log.fd = fileno(file);
	f->fb.log.level = LOG_LEVEL_WARN;
	vfio_plug(f);
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
	struct vfio_fixture *f = *state;
	struct vfio_pci_cfg cfg = fake_vfio_cfg(&f->fv, VFIO_ADDRESS);

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
	struct vfio_fixture *f = *state;
	struct vfio_pci_cfg cfg = fake_vfio_cfg(&f->fv, VFIO_ADDRESS);

	cfg.on_device_error = VFIO_ON_ERROR_DETACH;
	f->fb.log.fd = -1;
	f->d = fake_board_add(&f->fb, &vfio_pci_class, "nic", &cfg);
	fake_vfio_interrupt(&f->fv, VFIO_PCI_ERR_IRQ_INDEX, 0);
	fake_board_watched(&f->fb);
	assert_string_equal(f->fb.notice, "device.error: nic");
	assert_int_equal(f->fb.nevents, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(t) cmocka_unit_test_setup_teardown(t, vfio_fixture_setup, vfio_fixture_teardown)
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
