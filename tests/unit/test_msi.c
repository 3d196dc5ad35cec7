// SPDX-License-Identifier: MIT
// MSI: messages that differ in their low bits, masks, pending bits, and what an enable makes of them.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/guest_virtio.h"
#include "vmm/devices.h"
#include "vmm/pci/pci.h"

#define SLOT 3
#define CAP 0x50
#define NVECTORS 4

struct msi_fixture {
	struct fake_board fb;
	struct device *host;
	struct pci_dev p;
};

static int setup(void **state)
{
	static const struct pci_ids ids = { 0x1234 };
	struct msi_fixture *f = calloc(1, sizeof(*f));
	struct err e = { 0 };

	fake_board_init(&f->fb, MIB);
	f->host = fake_board_add(&f->fb, &pci_host_class, "pci", NULL);
	pci_dev_init(&f->p, "p", &ids, NULL);
	assert_int_equal(msi_init_at(&f->p, &f->fb.board, CAP, NVECTORS, true, true, &e), 0);
	assert_int_equal(pci_plug(f->fb.board.pci, &f->p, "00:03.0", &e), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct msi_fixture *f = *state;

	pci_dev_fini(&f->p);
	for (int i = 0; i < FAKE_IRQFDS; i++)
		assert_false(f->fb.irqfds[i].used);
	fake_board_remove(&f->fb, f->host);
	fake_board_fini(&f->fb);
	free(f);
	return 0;
}

static void put(struct msi_fixture *f, unsigned int off, unsigned int size, uint32_t val)
{
	guest_pci_write(&f->fb, SLOT, CAP + off, size, val);
}

static void message(struct msi_fixture *f)
{
	put(f, PCI_MSI_ADDRESS_LO, 4, 0xfee01003);
	put(f, PCI_MSI_ADDRESS_HI, 4, 1);
	put(f, PCI_MSI_DATA_64, 2, 0x4e);
}

static void enable(struct msi_fixture *f, unsigned int log2)
{
	put(f, PCI_MSI_FLAGS, 2, log2 << 4 | PCI_MSI_FLAGS_ENABLE);
}

static const struct fake_irqfd *route_of(const struct msi_fixture *f, unsigned int vector)
{
	for (int i = 0; i < FAKE_IRQFDS; i++)
		if (f->fb.irqfds[i].used && f->fb.irqfds[i].fd == msi_eventfd(&f->p, vector))
			return &f->fb.irqfds[i];
	return NULL;
}

static uint32_t pending(struct msi_fixture *f)
{
	return guest_pci_read(&f->fb, SLOT, CAP + PCI_MSI_MASK_64 + 4, 4);
}

static void signal_it(const struct msi_fixture *f, unsigned int vector)
{
	uint64_t one = 1;

	assert_int_equal(write(msi_eventfd(&f->p, vector), &one, sizeof(one)), sizeof(one));
}

static void the_capability_says_what_there_is(void **state)
{
	struct msi_fixture *f = *state;

	assert_int_equal(guest_pci_read(&f->fb, SLOT, CAP + PCI_MSI_FLAGS, 2),
			 2 << 1 | PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT);
	assert_int_equal(msi_cap_size(false, false), 10);
	assert_int_equal(msi_cap_size(true, false), 14);
	assert_int_equal(msi_cap_size(false, true), 20);
	assert_int_equal(msi_cap_size(true, true), 24);
	put(f, PCI_MSI_ADDRESS_LO, 4, UINT32_MAX);
	assert_int_equal(guest_pci_read(&f->fb, SLOT, CAP + PCI_MSI_ADDRESS_LO, 4), 0xfffffffc);
	put(f, PCI_MSI_MASK_64, 4, UINT32_MAX);
	assert_int_equal(guest_pci_read(&f->fb, SLOT, CAP + PCI_MSI_MASK_64, 4), 0xf);
}

static void enabled_messages_differ_in_their_low_bits(void **state)
{
	struct msi_fixture *f = *state;

	message(f);
	assert_null(route_of(f, 0));
	enable(f, 1);
	assert_int_equal(msi_count(&f->p), 2);
	for (unsigned int i = 0; i < 2; i++) {
		const struct fake_irqfd *route = route_of(f, i);

		assert_non_null(route);
		assert_int_equal(route->msg.addr, 0x1fee01000);
		assert_int_equal(route->msg.data, 0x4e | i);
	}
	assert_null(route_of(f, 2));
	/* more than there are */
	enable(f, 5);
	assert_int_equal(msi_count(&f->p), NVECTORS);
	assert_int_equal(route_of(f, 0)->msg.data, 0x4c);
	assert_int_equal(route_of(f, 3)->msg.data, 0x4c | 3);
	put(f, PCI_MSI_FLAGS, 2, 0);
	assert_null(route_of(f, 0));
	assert_int_equal(msi_count(&f->p), 0);
}

static void a_new_message_replaces_the_old_one(void **state)
{
	struct msi_fixture *f = *state;

	message(f);
	enable(f, 0);
	assert_int_equal(route_of(f, 0)->msg.data, 0x4e);
	put(f, PCI_MSI_DATA_64, 2, 0x33);
	assert_int_equal(route_of(f, 0)->msg.data, 0x33);
}

static void a_masked_vector_is_pending_and_fires_when_unmasked(void **state)
{
	struct msi_fixture *f = *state;

	message(f);
	enable(f, 1);
	put(f, PCI_MSI_MASK_64, 4, 2);
	assert_non_null(route_of(f, 0));
	assert_null(route_of(f, 1));
	signal_it(f, 1);
	assert_int_equal(pending(f), 2);
	put(f, PCI_MSI_MASK_64, 4, 0);
	assert_non_null(route_of(f, 1));
	assert_int_equal(pending(f), 0);
}

static void reset_leaves_nothing(void **state)
{
	struct msi_fixture *f = *state;

	message(f);
	enable(f, 2);
	put(f, PCI_MSI_MASK_64, 4, 1);
	signal_it(f, 0);
	assert_int_equal(pending(f), 1);
	pci_dev_reset(&f->p);
	for (int i = 0; i < FAKE_IRQFDS; i++)
		assert_false(f->fb.irqfds[i].used);
	assert_int_equal(pending(f), 0);
	assert_int_equal(guest_pci_read(&f->fb, SLOT, CAP + PCI_MSI_ADDRESS_HI, 4), 0);
	assert_int_equal(msi_count(&f->p), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_capability_says_what_there_is, setup, teardown),
		cmocka_unit_test_setup_teardown(enabled_messages_differ_in_their_low_bits, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_new_message_replaces_the_old_one, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_masked_vector_is_pending_and_fires_when_unmasked,
						setup, teardown),
		cmocka_unit_test_setup_teardown(reset_leaves_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
