// SPDX-License-Identifier: MIT
// The chipset of a PC: what firmware looks for, PIRQ routing, port 92h, PAM.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/fake_board.h"
#include "vmm/devices.h"
#include "vmm/pci/pci.h"
#include "vmm/x86/map.h"

#define PIRQA 0x60

struct fixture {
	struct fake_board fb;
	struct device *chipset;
	struct pci_dev a, b; /* at 00:02.0 and 00:06.0, with INTA# */
};

static int setup(void **state)
{
	static const struct pci_ids ids = { 0x1234, 0x5678, 0, 0, 0xff0000, 1 };
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e = { 0 };

	fake_board_init(&f->fb, MIB);
	f->chipset = fake_board_add(&f->fb, &i440fx_class, "chipset", NULL);
	pci_dev_init(&f->a, "a", &ids, NULL);
	pci_add_intx(&f->a, 1);
	assert_int_equal(pci_plug(f->fb.board.pci, &f->a, "00:02.0", &e), 0);
	pci_dev_init(&f->b, "b", &ids, NULL);
	pci_add_intx(&f->b, 1);
	assert_int_equal(pci_plug(f->fb.board.pci, &f->b, "00:06.0", &e), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pci_dev_fini(&f->b);
	pci_dev_fini(&f->a);
	fake_board_remove(&f->fb, f->chipset);
	assert_int_equal(f->fb.pio.nregions, 0);
	assert_int_equal(f->fb.mmio.nregions, 0);
	fake_board_fini(&f->fb);
	free(f);
	return 0;
}

/* By the ports: slot 1, function fn */
static void at(struct fixture *f, unsigned int slot, unsigned int fn, unsigned int off)
{
	fake_out(&f->fb, MAP_PCI_ADDR, 4, 0x80000000 | slot << 11 | fn << 8 | (off & 0xfc));
}

static uint32_t rd(struct fixture *f, unsigned int slot, unsigned int fn, unsigned int off,
		   unsigned int size)
{
	at(f, slot, fn, off);
	return fake_in(&f->fb, (uint16_t)(MAP_PCI_DATA + (off & 3)), size);
}

static void wr(struct fixture *f, unsigned int slot, unsigned int fn, unsigned int off,
	       unsigned int size, uint32_t val)
{
	at(f, slot, fn, off);
	fake_out(&f->fb, (uint16_t)(MAP_PCI_DATA + (off & 3)), size, val);
}

static void test_identity(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rd(f, 0, 0, PCI_VENDOR_ID, 4), 0x12378086);
	assert_int_equal(rd(f, 0, 0, PCI_CLASS_REVISION, 4), 0x06000002);
	assert_int_equal(rd(f, 0, 0, PCI_HEADER_TYPE, 1), 0);
	assert_int_equal(rd(f, 1, 0, PCI_VENDOR_ID, 4), 0x70008086);
	assert_int_equal(rd(f, 1, 0, PCI_CLASS_REVISION, 4) >> 8, 0x060100);
	assert_int_equal(rd(f, 1, 0, PCI_HEADER_TYPE, 1), 0x80);
	assert_int_equal(rd(f, 1, 3, PCI_VENDOR_ID, 4), 0x71138086);
	assert_int_equal(rd(f, 1, 3, PCI_CLASS_REVISION, 4), 0x06800003);
	assert_int_equal(rd(f, 1, 1, PCI_VENDOR_ID, 4), UINT32_MAX); /* IDE's place */
	assert_int_equal(f->fb.mmio.nregions, 0);		     /* no ECAM */
	/* SeaBIOS looks for this at the bridge, OVMF too */
	assert_int_equal(rd(f, 0, 0, PCI_SUBSYSTEM_VENDOR_ID, 4), 0x11001af4);
}

/* 82371AB: PMBA, PMREGMISC, DEVACTB; the ports are where acpi-pm is, and stay there. */
static void test_pm(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rd(f, 1, 3, 0x40, 4), MAP_PM1_EVT | 1);
	wr(f, 1, 3, 0x40, 4, 0xb001);
	assert_int_equal(rd(f, 1, 3, 0x40, 4), MAP_PM1_EVT | 1);
	assert_int_equal(rd(f, 1, 3, 0x80, 1), 1);
	assert_int_equal(rd(f, 1, 3, 0x58, 4), BIT(25));
	assert_int_equal(rd(f, 1, 3, PCI_INTERRUPT_LINE, 2), 1 << 8 | 9);
	assert_int_equal(rd(f, 1, 3, 0xd2, 1), 0); /* no SMBus */
}

/* 82441FX, PAM[6:0]: reserved bits stay 0, a reset closes them all. */
static void test_pam(void **state)
{
	struct fixture *f = *state;

	for (unsigned int i = 0; i < 7; i++) {
		wr(f, 0, 0, 0x59 + i, 1, 0xff);
		assert_int_equal(rd(f, 0, 0, 0x59 + i, 1), i ? 0x33 : 0x30);
	}
	wr(f, 0, 0, 0x72, 1, 0x4a);
	assert_int_equal(rd(f, 0, 0, 0x72, 1), 0x02);
	f->chipset->class->reset(f->chipset);
	for (unsigned int i = 0; i < 7; i++)
		assert_int_equal(rd(f, 0, 0, 0x59 + i, 1), 0);
}

/* 82371SB, PIRQRC[A:D]: slot 2 INTA# is PIRQB#, and so is slot 6. */
static void test_pirq(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rd(f, 1, 0, PIRQA, 4), 0x80808080);
	pci_intx_set(&f->a, true);
	assert_true(f->fb.irq[pci_intx_gsi(&f->a)]);
	assert_false(f->fb.irq[10]);
	/* routed while it pulls */
	wr(f, 1, 0, PIRQA + 1, 1, 0x0a);
	assert_true(f->fb.irq[10]);
	/* the other shares the PIRQ, by another line of the IOAPIC */
	assert_int_not_equal(pci_intx_gsi(&f->a), pci_intx_gsi(&f->b));
	pci_intx_set(&f->b, true);
	pci_intx_set(&f->a, false);
	assert_true(f->fb.irq[10]);
	assert_int_equal(f->fb.irq_raised[10], 1);
	/* to another interrupt, to one that cannot be, off */
	wr(f, 1, 0, PIRQA + 1, 1, 0x0b);
	assert_false(f->fb.irq[10]);
	assert_true(f->fb.irq[11]);
	wr(f, 1, 0, PIRQA + 1, 1, 0x08);
	assert_false(f->fb.irq[8]);
	assert_false(f->fb.irq[11]);
	wr(f, 1, 0, PIRQA, 4, 0x0a0a0a0a);
	assert_true(f->fb.irq[10]);
	wr(f, 1, 0, PIRQA, 4, 0xf5f5f5f5);
	assert_int_equal(rd(f, 1, 0, PIRQA, 4), 0x85858585);
	assert_false(f->fb.irq[10]);
	assert_false(f->fb.irq[5]);
}

static void test_pirq_reset(void **state)
{
	struct fixture *f = *state;

	wr(f, 1, 0, PIRQA, 4, 0x0a0a0a0a);
	pci_intx_set(&f->a, true);
	assert_true(f->fb.irq[10]);
	f->chipset->class->reset(f->chipset);
	assert_false(f->fb.irq[10]);
	assert_int_equal(rd(f, 1, 0, PIRQA, 4), 0x80808080);
	pci_intx_set(&f->a, false);
}

static void test_port92(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fake_in8(&f->fb, 0x92), 0x24);
	fake_out8(&f->fb, 0x92, 0x02);
	assert_int_equal(fake_in8(&f->fb, 0x92), 0x26);
	assert_int_equal(f->fb.nevents, 0);
	fake_out8(&f->fb, 0x92, 0x03);
	assert_int_equal(f->fb.nevents, 1);
	assert_int_equal(f->fb.events[0].event, BOARD_RESET);
	assert_string_equal(f->fb.events[0].msg, "port 92h");
	f->chipset->class->reset(f->chipset);
	assert_int_equal(fake_in8(&f->fb, 0x92), 0x24);
}

/* Another bus 0 beside it is refused, and leaves nothing behind. */
static void test_alone(void **state)
{
	struct fixture *f = *state;
	struct err e = { 0 };

	assert_true(fake_board_add_fails(&f->fb, &i440fx_class, "second", NULL, &e) < 0);
	assert_non_null(f->fb.board.pci);
	assert_int_equal(rd(f, 1, 3, PCI_VENDOR_ID, 4), 0x71138086);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_identity),   T(test_pm),	    T(test_pam),   T(test_pirq),
		T(test_pirq_reset), T(test_port92), T(test_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
