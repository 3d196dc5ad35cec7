// SPDX-License-Identifier: MIT
/*
 * Power states of an AHCI port's link: AHCI 1.3.1, section 8.3, with PxCMD.ICC, ALPE and ASP
 * (3.3.7), PxSSTS.IPM (3.3.10), PxSCTL.IPM (3.3.11) and PxSERR.DIAG.N (3.3.12).
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <linux/pci_regs.h>

#include "tests/unit/ahci_fixture.h"

#define SLOT 3
#define ON (AHCI_FRE | AHCI_ST)
#define ICC(state) ((uint32_t)(state) << 28)
#define PARTIAL 0x223 /* PxSSTS: a drive, 3 Gb/s */
#define SLUMBER 0x623
#define NO_IPM(bits) ((uint32_t)(bits) << 8) /* PxSCTL */

/* PxSSTS; and whether PhyRdy has changed since the last time */
static uint32_t link_of(struct fahci *f, bool *ret_changed)
{
	*ret_changed = fahci_get(f, 0, AHCI_SERR) == AHCI_DIAG_N;
	assert_int_equal(!!(fahci_get(f, 0, AHCI_PIS) & AHCI_PRCS), *ret_changed);
	fahci_set(f, 0, AHCI_SERR, UINT32_MAX);
	return fahci_get(f, 0, AHCI_SSTS);
}

static void expect(struct fahci *f, uint32_t ssts, bool changed)
{
	bool was;

	assert_int_equal(link_of(f, &was), ssts);
	assert_int_equal(was, changed);
}

static void control(struct fahci *f, uint32_t cmd)
{
	fahci_set(f, 0, AHCI_CMD, ON | cmd);
}

/* --- by software: 8.3.1.2 ------------------------------------------------------------------------- */

static void test_control(void **state)
{
	struct fahci *f = *state;

	assert_int_equal(fahci_read(f, 0) & (BIT(26) | BIT(14) | BIT(13)),
			 BIT(26) | BIT(14) | BIT(13)); /* SALP, SSC, PSC */
	expect(f, LINK_UP, false);
	control(f, ICC(2));
	assert_int_equal(fahci_get(f, 0, AHCI_CMD) >> 28, 0);
	expect(f, PARTIAL, true);
	control(f, ICC(6)); /* from one to the other there is no way */
	expect(f, PARTIAL, false);
	control(f, ICC(1));
	expect(f, LINK_UP, true);
	control(f, ICC(1));
	expect(f, LINK_UP, false);
	control(f, ICC(6));
	expect(f, SLUMBER, true);
	control(f, ICC(2));
	control(f, 0);
	expect(f, SLUMBER, false);
	control(f, ICC(1));
	expect(f, LINK_UP, true);
	for (unsigned int icc = 0; icc < 16; icc++) /* DevSleep among them, which is not there */
		if (icc != 2 && icc != 6)
			control(f, ICC(icc));
	expect(f, LINK_UP, false);
	/* also while the list is stopped */
	fahci_set(f, 0, AHCI_CMD, AHCI_FRE | ICC(2));
	expect(f, PARTIAL, true);
}

/* A command wakes it, also one of Control alone, and it stays awake. */
static void test_command(void **state)
{
	struct fahci *f = *state;

	control(f, ICC(6));
	expect(f, SLUMBER, true);
	assert_int_equal(fahci_do(f, 0, READ_ONE(5), 512), AHCI_READY);
	fahci_expect_sector(f, AHCI_DATA, 5);
	expect(f, LINK_UP, true);
	control(f, ICC(2));
	expect(f, PARTIAL, true);
	fahci_do(f, 0, &(struct fahci_cmd){ .no_command = true, .control = 4 }, 0);
	expect(f, LINK_UP, true);
}

/* Not while the drive has a command, nor a reset to do: the link layer is not idle. */
static void test_busy(void **state)
{
	struct fahci *f = *state;

	fahci_command(f, 0, 0, READ_ONE(7));
	fahci_region(f, 0, 0, 0, AHCI_DATA, 512);
	fahci_issue(f, 0, 1);
	control(f, ICC(6));
	expect(f, LINK_UP, false);
	fahci_set(f, 0, AHCI_SCTL, 1);
	fahci_set(f, 0, AHCI_SCTL, 0);
	fahci_set(f, 0, AHCI_SERR, UINT32_MAX);
	control(f, ICC(6));
	expect(f, LINK_UP, false);
	fahci_settle(f);
	control(f, ICC(6));
	expect(f, SLUMBER, true);
}

/* Also of one that waits for the bus, in the middle */
static void test_waiting(void **state)
{
	struct fahci *f = *state;

	fahci_command(f, 0, 0, READ_EXT(0, 3000));
	fahci_region(f, 0, 0, 0, AHCI_DATA, 3000 * 512);
	fahci_issue(f, 0, 1);
	guest_pci_write(&f->fb, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(f->ahci->ports[0].running, 0);
	control(f, ICC(6));
	expect(f, LINK_UP, false);
	guest_pci_write(&f->fb, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	fahci_settle(f);
	assert_int_equal(fahci_get(f, 0, AHCI_CI), 0);
	control(f, ICC(6));
	expect(f, SLUMBER, true);
}

/* PxSCTL.IPM: bit 0 forbids Partial, bit 1 Slumber; what the link is in already stays. */
static void test_limits(void **state)
{
	static const uint32_t to[] = { 2, 6 }, is[] = { PARTIAL, SLUMBER };
	struct fahci *f = *state;

	for (uint32_t no = 0; no < 8; no++) {
		fahci_set(f, 0, AHCI_SCTL, NO_IPM(no));
		assert_int_equal(fahci_get(f, 0, AHCI_SCTL), NO_IPM(no));
		for (unsigned int i = 0; i < 2; i++) {
			bool may = !(no & BIT(i));

			control(f, ICC(to[i]));
			expect(f, may ? is[i] : LINK_UP, may);
			control(f, ICC(1));
			expect(f, LINK_UP, may);
		}
	}
	fahci_set(f, 0, AHCI_SCTL, 0);
	control(f, ICC(6));
	fahci_set(f, 0, AHCI_SCTL, NO_IPM(3));
	expect(f, SLUMBER, true);
	control(f, ICC(1));
	expect(f, LINK_UP, true);
}

/* --- by itself: 8.3.1.3 --------------------------------------------------------------------------- */

static void test_aggressive(void **state)
{
	struct fahci *f = *state;

	control(f, AHCI_ALPE);
	assert_int_equal(fahci_get(f, 0, AHCI_CMD) & (AHCI_ALPE | AHCI_ASP), AHCI_ALPE);
	expect(f, LINK_UP, false); /* nothing has ended yet */
	assert_int_equal(fahci_do(f, 0, READ_ONE(5), 512), AHCI_READY);
	expect(f, PARTIAL, true);
	control(f, AHCI_ALPE | AHCI_ASP);
	expect(f, PARTIAL, false);
	fahci_command(f, 0, 0, READ_ONE(6));
	fahci_region(f, 0, 0, 0, AHCI_DATA, 512);
	fahci_issue(f, 0, 1);
	expect(f, LINK_UP, true);
	fahci_settle(f);
	fahci_expect_sector(f, AHCI_DATA, 6);
	expect(f, SLUMBER, true);
	control(f, AHCI_ALPE | AHCI_ASP | ICC(1)); /* until the next one */
	expect(f, LINK_UP, true);
	fahci_set(f, 0, AHCI_SCTL, NO_IPM(2));
	fahci_do(f, 0, READ_ONE(7), 512);
	expect(f, LINK_UP, false);
	control(f, AHCI_ASP); /* alone it says nothing */
	fahci_set(f, 0, AHCI_SCTL, 0);
	fahci_do(f, 0, READ_ONE(8), 512);
	expect(f, LINK_UP, false);
}

/* The last of many, queued ones too: PxCI and PxSACT are 0 */
static void test_last(void **state)
{
	struct fahci *f = *state;

	control(f, AHCI_ALPE | AHCI_ASP);
	for (unsigned int i = 0; i < 4; i++) {
		fahci_command(f, 0, i,
			      &(struct fahci_cmd){ .command = 0x60,
						   .device = 0x40,
						   .lba = 50 + i,
						   .feature = 1,
						   .count = (uint16_t)(i << 3) });
		fahci_region(f, 0, i, 0, AHCI_DATA + 512 * (uint64_t)i, 512);
	}
	fahci_set(f, 0, AHCI_SACT, 0xf);
	fahci_issue(f, 0, 0xf);
	assert_int_equal(fahci_get(f, 0, AHCI_CI), 0);
	expect(f, LINK_UP, false);
	fahci_settle(f);
	assert_int_equal(fahci_get(f, 0, AHCI_SACT), 0);
	expect(f, SLUMBER, true);
	for (uint32_t i = 0; i < 4; i++)
		fahci_expect_sector(f, AHCI_DATA + 512 * i, 50 + i);
	fahci_set(f, 0, AHCI_SACT, 3); /* one that is still to be issued */
	fahci_issue(f, 0, 1);
	fahci_settle(f);
	assert_int_equal(fahci_get(f, 0, AHCI_SACT), 2);
	expect(f, LINK_UP, true);
	fahci_issue(f, 0, 2);
	fahci_settle(f);
	expect(f, SLUMBER, true);
	/* one that has failed is in PxCI still, and the driver's stop is no end */
	fahci_do(f, 0, READ_ONE(AHCI_SECTORS), 512);
	expect(f, LINK_UP, true);
	fahci_set(f, 0, AHCI_CMD, AHCI_FRE | AHCI_ALPE | AHCI_ASP);
	expect(f, LINK_UP, false);
}

/* --- links that come and go ------------------------------------------------------------------------- */

/* What a COMRESET has cut off is no end of a list, either. */
static void test_cut_off(void **state)
{
	struct fahci *f = *state;

	control(f, AHCI_ALPE | AHCI_ASP);
	fahci_command(f, 0, 0, READ_ONE(5));
	fahci_region(f, 0, 0, 0, AHCI_DATA, 512);
	fahci_issue(f, 0, 1);
	fahci_set(f, 0, AHCI_SCTL, 1);
	fahci_set(f, 0, AHCI_SCTL, 0);
	fahci_settle(f);
	assert_int_equal(fahci_get(f, 0, AHCI_TFD), 0x150);
	assert_int_equal(fahci_get(f, 0, AHCI_SSTS), LINK_UP);
}

/* A COMRESET leaves each state, and a reset of the whole none of the driver's wishes. */
static void test_resets(void **state)
{
	struct fahci *f = *state;

	control(f, AHCI_ALPE | AHCI_ASP | ICC(6));
	expect(f, SLUMBER, true);
	fahci_set(f, 0, AHCI_CMD, AHCI_FRE | AHCI_ALPE | AHCI_ASP);
	fahci_set(f, 0, AHCI_SCTL, 0x301);
	expect(f, 0, true);
	control(f, ICC(2)); /* of no link */
	expect(f, 0, false);
	fahci_set(f, 0, AHCI_SCTL, 0x300);
	assert_int_equal(fahci_get(f, 0, AHCI_SERR), LINK_BITS);
	assert_int_equal(fahci_get(f, 0, AHCI_SSTS), LINK_UP);
	assert_int_equal(fahci_get(f, 0, AHCI_TFD), 0x150);
	fahci_set(f, 0, AHCI_SCTL, 0);
	control(f, AHCI_ALPE | AHCI_ASP | ICC(6));
	assert_int_equal(fahci_get(f, 0, AHCI_SSTS), SLUMBER);
	fahci_write(f, 0x04, 1);
	assert_int_equal(fahci_get(f, 0, AHCI_SSTS), LINK_UP);
	assert_int_equal(fahci_get(f, 0, AHCI_CMD) & (AHCI_ALPE | AHCI_ASP), 0);
	fahci_up(f, 0);
	fahci_do(f, 0, READ_ONE(9), 512);
	expect(f, LINK_UP, false);
	/* a port without a drive */
	fahci_set(f, 1, AHCI_CMD, ICC(6));
	assert_int_equal(fahci_get(f, 1, AHCI_SSTS), 0);
	assert_int_equal(fahci_get(f, 1, AHCI_SERR), 0);
}

static void test_drive_goes(void **state)
{
	struct fahci *f = *state;
	struct err e = { 0 };

	control(f, ICC(6));
	expect(f, SLUMBER, true);
	assert_int_equal(f->dev->class->unit_remove(f->dev, "root", &e), 0);
	expect(f, 0, true);
}

/* PhyRdy's change interrupts, if the driver has not masked it: 3.3.6 */
static void test_interrupt(void **state)
{
	struct fahci *f = *state;
	unsigned int gsi = pci_intx_gsi(&f->ahci->pci);

	fahci_set(f, 0, AHCI_PIE, AHCI_DHRS);
	control(f, ICC(2));
	assert_false(f->fb.irq[gsi]);
	fahci_set(f, 0, AHCI_SERR, UINT32_MAX);
	fahci_set(f, 0, AHCI_PIE, AHCI_DHRS | AHCI_PRCS);
	assert_false(f->fb.irq[gsi]);
	control(f, ICC(1));
	assert_true(f->fb.irq[gsi]);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fahci_setup, fahci_teardown)
	const struct CMUnitTest tests[] = {
		T(test_control), T(test_command),    T(test_busy),	T(test_waiting),
		T(test_limits),	 T(test_aggressive), T(test_last),	T(test_cut_off),
		T(test_resets),	 T(test_drive_goes), T(test_interrupt),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
