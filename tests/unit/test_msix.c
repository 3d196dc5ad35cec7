// SPDX-License-Identifier: MIT
// MSI-X: masks, pending bits, and when the board is told to fire an eventfd.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/guest_virtio.h"
#include "vmm/devices.h"
#include "vmm/pci/pci.h"

#define NVECTORS 3
#define SLOT 3

struct msix_fixture {
	struct fake_board fb;
	struct device *host;
	struct pci_dev p;
	unsigned int cap;
	uint64_t table, pba;
};

static int setup(void **state)
{
	static const struct pci_ids ids = { 0x1234 };
	struct msix_fixture *f = calloc(1, sizeof(*f));
	struct err e = { 0 };
	uint64_t bar;

	fake_board_init(&f->fb, MIB);
	f->host = fake_board_add(&f->fb, &pci_host_class, "pci", NULL);
	pci_dev_init(&f->p, "p", &ids, NULL);
	assert_int_equal(msix_init(&f->p, &f->fb.board, 1, NVECTORS, &e), 0);
	assert_int_equal(pci_plug(f->fb.board.pci, &f->p, "00:03.0", &e), 0);
	guest_pci_write(&f->fb, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	f->cap = guest_pci_cap(&f->fb, SLOT, PCI_CAP_ID_MSIX, 0);
	bar = guest_pci_bar(&f->fb, SLOT, 1);
	f->table = bar;
	f->pba = bar + (guest_pci_read(&f->fb, SLOT, f->cap + PCI_MSIX_PBA, 4) & ~7u);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct msix_fixture *f = *state;

	pci_dev_fini(&f->p);
	for (int i = 0; i < FAKE_IRQFDS; i++)
		assert_false(f->fb.irqfds[i].used);
	fake_board_remove(&f->fb, f->host);
	fake_board_fini(&f->fb);
	free(f);
	return 0;
}

static void control(struct msix_fixture *f, uint16_t bits)
{
	guest_pci_write(&f->fb, SLOT, f->cap + PCI_MSIX_FLAGS, 2, bits);
}

static void mask(struct msix_fixture *f, unsigned int v, bool on)
{
	fake_mmio_write(&f->fb, f->table + 16ull * v + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, on);
}

static void message(struct msix_fixture *f, unsigned int v, uint32_t data)
{
	guest_msix_set(&f->fb, f->table + 16ull * v, 0xfee00000, data, true);
}

static uint32_t pending(struct msix_fixture *f)
{
	return (uint32_t)fake_mmio_read(&f->fb, f->pba, 4);
}

/* The attached eventfd that has this message, or NULL. */
static const struct fake_irqfd *attached(struct msix_fixture *f, uint32_t data)
{
	for (int i = 0; i < FAKE_IRQFDS; i++)
		if (f->fb.irqfds[i].used && f->fb.irqfds[i].fd >= 0 &&
		    f->fb.irqfds[i].msg.data == data)
			return &f->fb.irqfds[i];
	return NULL;
}

/* What the board would have fired: reads the eventfd as it does. */
static bool fired(struct msix_fixture *f, uint32_t data)
{
	const struct fake_irqfd *i = attached(f, data);
	uint64_t count;

	assert_non_null(i);
	return read(i->fd, &count, sizeof(count)) == sizeof(count);
}

static void test_capability(void **state)
{
	struct msix_fixture *f = *state;

	assert_int_equal(guest_pci_read(&f->fb, SLOT, f->cap + PCI_MSIX_FLAGS, 2), NVECTORS - 1);
	assert_int_equal(guest_pci_read(&f->fb, SLOT, f->cap + PCI_MSIX_TABLE, 4), 1);
	control(f, UINT16_MAX);
	assert_int_equal(guest_pci_read(&f->fb, SLOT, f->cap + PCI_MSIX_FLAGS, 2),
			 PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL | (NVECTORS - 1));
	assert_int_equal(msix_count(&f->p), NVECTORS);
	assert_true(msix_enabled(&f->p));
}

static void test_table(void **state)
{
	struct msix_fixture *f = *state;
	uint64_t entry = f->table + 16;

	assert_int_equal(fake_mmio_read(&f->fb, entry + 12, 4), 1); /* masked at power-on */
	fake_mmio_write(&f->fb, entry, 8, 0x11223344fee01007);
	assert_int_equal(fake_mmio_read(&f->fb, entry, 8), 0x11223344fee01004);
	assert_int_equal(fake_mmio_read(&f->fb, entry + 4, 4), 0x11223344);
	assert_int_equal(fake_mmio_read(&f->fb, entry + 1, 1), 0x10);
	fake_mmio_write(&f->fb, entry + 8, 8, 0xfffffffe00004321);
	assert_int_equal(fake_mmio_read(&f->fb, entry + 8, 8), 0x4321);
	/* narrower than the specification allows, behind the table, the PBA: nothing happens */
	fake_mmio_write(&f->fb, entry + 8, 2, 0xffff);
	assert_int_equal(fake_mmio_read(&f->fb, entry + 8, 4), 0x4321);
	fake_mmio_write(&f->fb, f->table + 16 * NVECTORS, 8, UINT64_MAX);
	assert_int_equal(fake_mmio_read(&f->fb, f->table + 16 * NVECTORS, 8), 0);
	fake_mmio_write(&f->fb, f->pba, 8, UINT64_MAX);
	assert_int_equal(fake_mmio_read(&f->fb, f->pba, 8), 0);
	for (unsigned int off = 0; off < 4096; off += 4)
		fake_mmio_read(&f->fb, f->table + off, off % 8 ? 4 : 8);
}

static void test_fires(void **state)
{
	struct msix_fixture *f = *state;

	message(f, 1, 41);
	mask(f, 1, false);
	assert_null(attached(f, 41)); /* not enabled yet */
	msix_notify(&f->p, 1);	      /* nobody to send it: dropped */
	control(f, PCI_MSIX_FLAGS_ENABLE);
	assert_false(fired(f, 41));
	msix_notify(&f->p, 1);
	assert_true(fired(f, 41));
	assert_int_equal(msix_eventfd(&f->p, 1), attached(f, 41)->fd);
	msix_notify(&f->p, NVECTORS);
	msix_notify(&f->p, UINT32_MAX);
	assert_int_equal(msix_eventfd(&f->p, NVECTORS), -1);
}

static void test_vector_mask(void **state)
{
	struct msix_fixture *f = *state;

	message(f, 0, 40);
	control(f, PCI_MSIX_FLAGS_ENABLE);
	assert_null(attached(f, 40));
	msix_notify(&f->p, 0);
	msix_notify(&f->p, 2);
	assert_int_equal(pending(f), 0x5);
	assert_int_equal(fake_mmio_read(&f->fb, f->pba, 8), 0x5);
	mask(f, 0, false);
	assert_true(fired(f, 40)); /* once, when the mask goes */
	assert_false(fired(f, 40));
	assert_int_equal(pending(f), 0x4);
	mask(f, 0, true);
	assert_int_equal(pending(f), 0x4);
}

static void test_function_mask(void **state)
{
	struct msix_fixture *f = *state;

	message(f, 0, 40);
	message(f, 2, 42);
	mask(f, 0, false);
	control(f, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	assert_null(attached(f, 40));
	msix_notify(&f->p, 0);
	msix_notify(&f->p, 2);
	assert_int_equal(pending(f), 0x5);
	control(f, PCI_MSIX_FLAGS_ENABLE);
	assert_true(fired(f, 40));
	assert_null(attached(f, 42)); /* its own mask holds */
	assert_int_equal(pending(f), 0x4);
}

static void test_message_change(void **state)
{
	struct msix_fixture *f = *state;
	int fd;

	message(f, 0, 40);
	mask(f, 0, false);
	control(f, PCI_MSIX_FLAGS_ENABLE);
	fd = attached(f, 40)->fd;
	/* without masking: a driver should not, but the new message counts */
	fake_mmio_write(&f->fb, f->table + PCI_MSIX_ENTRY_DATA, 4, 50);
	assert_null(attached(f, 40));
	assert_int_equal(attached(f, 50)->fd, fd);
	/* with it: the same route */
	message(f, 0, 60);
	mask(f, 0, false);
	assert_int_equal(attached(f, 60)->fd, fd);
	assert_ptr_equal(attached(f, 60), &f->fb.irqfds[0]);
}

static void test_reset(void **state)
{
	struct msix_fixture *f = *state;

	message(f, 0, 40);
	mask(f, 0, false);
	control(f, PCI_MSIX_FLAGS_ENABLE);
	msix_notify(&f->p, 1); /* pending */
	pci_dev_reset(&f->p);
	assert_null(attached(f, 40));
	assert_false(msix_enabled(&f->p));
	assert_int_equal(guest_pci_read(&f->fb, SLOT, f->cap + PCI_MSIX_FLAGS, 2), NVECTORS - 1);
	assert_int_equal(fake_mmio_read(&f->fb, f->table, 8), 0);
	assert_int_equal(fake_mmio_read(&f->fb, f->table + 12, 4), 1);
	assert_int_equal(pending(f), 0);
	for (int i = 0; i < FAKE_IRQFDS; i++)
		assert_false(f->fb.irqfds[i].used);
}

static void test_most_vectors(void **state)
{
	struct msix_fixture *f = *state;
	static const struct pci_ids ids = { 0x1234 };
	struct err e = { 0 };
	struct pci_dev p;
	uint64_t bar;

	pci_dev_init(&p, "q", &ids, NULL);
	assert_int_equal(msix_init(&p, &f->fb.board, 0, MSIX_VECTORS_MAX, &e), 0);
	assert_int_equal(pci_plug(f->fb.board.pci, &p, "00:04.0", &e), 0);
	bar = guest_pci_bar(&f->fb, 4, 0);
	guest_pci_write(&f->fb, 4, guest_pci_cap(&f->fb, 4, PCI_CAP_ID_MSIX, 0) + 2, 2,
			PCI_MSIX_FLAGS_ENABLE);
	msix_notify(&p, 0);
	msix_notify(&p, 63);
	msix_notify(&p, 64);
	msix_notify(&p, 127);
	assert_int_equal(fake_mmio_read(&f->fb, bar + 0x800, 8), 1ull << 63 | 1);
	assert_int_equal(fake_mmio_read(&f->fb, bar + 0x808, 8), 1ull << 63 | 1);
	assert_int_equal(fake_mmio_read(&f->fb, bar + 0x80c, 4), 1u << 31);
	assert_int_equal(fake_mmio_read(&f->fb, bar + 0x810, 8), 0);
	pci_dev_fini(&p);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_capability),    T(test_table),	       T(test_fires), T(test_vector_mask),
		T(test_function_mask), T(test_message_change), T(test_reset), T(test_most_vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
