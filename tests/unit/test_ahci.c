// SPDX-License-Identifier: MIT
/*
 * The AHCI controller through its registers: Serial ATA AHCI 1.3.1, sections 3.1 (the whole), 3.3
 * (a port), 10.4 (resets) and 10.7 (interrupts); the link, and what a list must not be.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <linux/pci_regs.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/ahci_fixture.h"

#define SLOT 3

static int setup_down(void **state)
{
	*state = fahci_begin(NULL);
	return 0;
}

/* --- the function, and section 3.1 --------------------------------------------------------------- */

static void test_function(void **state)
{
	struct fahci *f = *state;

	assert_int_equal(guest_pci_read(&f->fb, SLOT, PCI_VENDOR_ID, 4), 0x29228086);
	assert_int_equal(guest_pci_read(&f->fb, SLOT, PCI_CLASS_REVISION, 4) >> 8, 0x010601);
	assert_int_equal(guest_pci_read(&f->fb, SLOT, PCI_INTERRUPT_PIN, 1), 1);
	assert_int_equal(guest_pci_read(&f->fb, SLOT, 0x90, 1), 0x40); /* MAP: AHCI */
	guest_pci_write(&f->fb, SLOT, 0x92, 2, 0xffff);
	assert_int_equal(guest_pci_read(&f->fb, SLOT, 0x92, 2), 0x3f);
	assert_int_not_equal(guest_pci_cap(&f->fb, SLOT, PCI_CAP_ID_MSI, 0), 0);
}

static void test_host(void **state)
{
	struct fahci *f = *state;

	assert_int_equal(fahci_read(f, 0x00), 0xc524ff05);
	assert_int_equal(fahci_read(f, 0x04), 0x80000000);
	assert_int_equal(fahci_read(f, 0x0c), 0x3f);
	assert_int_equal(fahci_read(f, 0x10), 0x00010301);
	fahci_write(f, 0x00, 0); /* read only, all of them */
	fahci_write(f, 0x0c, 0);
	fahci_write(f, 0x04, 2); /* AE stays, without a legacy mode */
	assert_int_equal(fahci_read(f, 0x00), 0xc524ff05);
	assert_int_equal(fahci_read(f, 0x04), 0x80000002);
	assert_int_equal(fahci_read(f, 0x0c), 0x3f);
	/* what is not there, and what is no port */
	for (unsigned int reg = 0x14; reg < 0x100; reg += 4)
		assert_int_equal(fahci_read(f, reg), 0);
	fahci_write(f, 0x100 + 0x80 * AHCI_PORTS + AHCI_CI, 1);
	assert_int_equal(fahci_read(f, 0x100 + 0x80 * AHCI_PORTS + AHCI_SIG), 0);
}

/* --- a port: section 3.3, and its link ------------------------------------------------------------ */

static void test_port(void **state)
{
	struct fahci *f = *state;

	assert_int_equal(fahci_get(f, 0, AHCI_CMD), BIT(1) | BIT(2) | BIT(18));
	assert_int_equal(fahci_get(f, 0, AHCI_SSTS), LINK_UP);
	assert_int_equal(fahci_get(f, 0, AHCI_SIG), 0x00000101);
	assert_int_equal(fahci_get(f, 0, AHCI_TFD), 0x150);
	assert_int_equal(fahci_get(f, 0, AHCI_SERR), LINK_BITS);
	assert_int_equal(fahci_get(f, 0, AHCI_PIS), AHCI_PCS | AHCI_PRCS);
	assert_int_equal(fahci_get(f, 2, AHCI_SIG), 0xeb140101);
	assert_int_equal(fahci_get(f, 2, AHCI_TFD), 0x100);
	assert_int_equal(fahci_get(f, 1, AHCI_SSTS), 0);
	assert_int_equal(fahci_get(f, 1, AHCI_SERR), 0);
	assert_int_equal(fahci_get(f, 1, AHCI_SIG), UINT32_MAX);
	assert_int_equal(fahci_get(f, 1, AHCI_TFD), 0x7f);
	/* alignments; what cannot be written */
	for (unsigned int reg = 0; reg < 0x80; reg += 4)
		if (reg != AHCI_CMD && reg != AHCI_SCTL)
			fahci_set(f, 1, reg, UINT32_MAX);
	assert_int_equal(fahci_get(f, 1, AHCI_CLB), 0xfffffc00);
	assert_int_equal(fahci_get(f, 1, AHCI_CLBU), UINT32_MAX);
	assert_int_equal(fahci_get(f, 1, AHCI_FB), 0xffffff00);
	assert_int_equal(fahci_get(f, 1, AHCI_FBU), UINT32_MAX);
	assert_int_equal(fahci_get(f, 1, AHCI_PIE), 0xfdc000ff);
	assert_int_equal(fahci_get(f, 1, AHCI_TFD), 0x7f);
	assert_int_equal(fahci_get(f, 1, AHCI_SACT), 0); /* not while ST is 0 */
	assert_int_equal(fahci_get(f, 1, AHCI_CI), 0);
	for (unsigned int reg = 0x3c; reg < 0x80; reg += 4)
		assert_int_equal(fahci_get(f, 1, reg), 0);
	fahci_set(f, 1, AHCI_SCTL, UINT32_MAX);
	assert_int_equal(fahci_get(f, 1, AHCI_SCTL), 0xfff);
}

/* The first Register FIS waits until it can be taken: section 3.3.7, FRE */
static void test_first_fis(void **state)
{
	struct fahci *f = *state;
	const uint8_t *fis = fahci_fis(f, 2, 0x40);

	assert_int_equal(fis[0], 0);
	fahci_up(f, 2);
	assert_int_equal(fis[0], 0x34);
	assert_int_equal(fis[1] & 0x40, 0);
	assert_int_equal(fis[3], 1);
	assert_int_equal(fis[4] | fis[5] << 8 | fis[6] << 16, 0xeb1401);
	assert_int_equal(fis[12], 1);
	assert_int_equal(fahci_get(f, 2, AHCI_CMD) & (BIT(14) | BIT(15)), BIT(14) | BIT(15));
	/* it is not taken away while commands may end */
	fahci_set(f, 2, AHCI_CMD, AHCI_ST);
	assert_int_equal(fahci_get(f, 2, AHCI_CMD) & BIT(14), BIT(14));
	fahci_set(f, 2, AHCI_CMD, 0);
	fahci_set(f, 2, AHCI_CMD, 0);
	assert_int_equal(fahci_get(f, 2, AHCI_CMD) & (BIT(14) | BIT(15)), 0);
}

/* Section 10.4.2 */
static void test_comreset(void **state)
{
	struct fahci *f = *state;

	fahci_set(f, 0, AHCI_CMD, AHCI_FRE);
	fahci_set(f, 0, AHCI_SCTL, 0x301);
	assert_int_equal(fahci_get(f, 0, AHCI_SSTS), 0);
	assert_int_equal(fahci_get(f, 0, AHCI_TFD), 0x7f);
	assert_int_equal(fahci_get(f, 0, AHCI_SIG), UINT32_MAX);
	fahci_set(f, 0, AHCI_SERR, UINT32_MAX);
	memset(fahci_fis(f, 0, 0), 0, 256);
	fahci_set(f, 0, AHCI_SCTL, 0x310); /* 1.5 Gb/s at most */
	assert_int_equal(fahci_get(f, 0, AHCI_SSTS), 0x113);
	assert_int_equal(fahci_get(f, 0, AHCI_TFD), 0x150);
	assert_int_equal(fahci_get(f, 0, AHCI_SIG), 0x101);
	assert_int_equal(fahci_get(f, 0, AHCI_SERR), LINK_BITS);
	assert_int_equal(fahci_fis(f, 0, 0x40)[0], 0x34);
	assert_int_equal(fahci_causes(f, 0), AHCI_PCS | AHCI_PRCS); /* no I bit, no DHRS */
	fahci_set(f, 0, AHCI_SERR, LINK_BITS);
	assert_int_equal(fahci_get(f, 0, AHCI_PIS), 0);
	fahci_set(f, 0, AHCI_SCTL, 4); /* off */
	assert_int_equal(fahci_get(f, 0, AHCI_SSTS), 4);
	fahci_set(f, 0, AHCI_SCTL, 0);
	assert_int_equal(fahci_get(f, 0, AHCI_SSTS), LINK_UP);
	/* a port without a drive stays empty */
	fahci_set(f, 1, AHCI_SCTL, 1);
	fahci_set(f, 1, AHCI_SCTL, 0);
	assert_int_equal(fahci_get(f, 1, AHCI_SSTS), 0);
	assert_int_equal(fahci_get(f, 1, AHCI_TFD), 0x7f);
}

/* What the host has is waited for: BSY, and CR. */
static void test_comreset_under_way(void **state)
{
	struct fahci *f = *state;

	fahci_command(f, 0, 0, READ_ONE(5));
	fahci_region(f, 0, 0, 0, AHCI_DATA, 512);
	fahci_issue(f, 0, 1);
	assert_int_equal(fahci_get(f, 0, AHCI_TFD), ATA_BSY);
	fahci_set(f, 0, AHCI_CMD, AHCI_FRE);
	assert_int_equal(fahci_get(f, 0, AHCI_CMD) & BIT(15), BIT(15));
	assert_int_equal(fahci_get(f, 0, AHCI_CI), 0);
	fahci_set(f, 0, AHCI_SCTL, 1);
	fahci_set(f, 0, AHCI_SCTL, 0);
	assert_int_equal(fahci_get(f, 0, AHCI_SSTS), LINK_UP);
	assert_int_equal(fahci_get(f, 0, AHCI_TFD), ATA_BSY);
	fahci_set(f, 0, AHCI_CMD, AHCI_FRE | AHCI_ST); /* too early, and it waits */
	fahci_issue(f, 0, 1);
	assert_int_equal(fahci_get(f, 0, AHCI_CI), 1);
	fahci_set(f, 0, AHCI_PIS, UINT32_MAX);
	fahci_settle(f);
	assert_int_equal(fahci_get(f, 0, AHCI_CI), 0);
	assert_int_equal(fahci_get(f, 0, AHCI_TFD), AHCI_READY);
	assert_int_equal(fahci_get(f, 0, AHCI_PIS) & ~(AHCI_PCS | AHCI_PRCS), AHCI_DHRS);
	fahci_expect_sector(f, AHCI_DATA, 5);
}

/* Section 10.4.1 */
static void test_soft_reset(void **state)
{
	struct fahci *f = *state;
	const struct fahci_cmd on = { .no_command = true,
				      .control = 4,
				      .header = BIT(8) | BIT(10) };
	const struct fahci_cmd off = { .no_command = true };

	fahci_set(f, 0, AHCI_TFD, 0);
	assert_int_equal(fahci_do(f, 0, &on, 0), 0); /* BSY is cleared upon R_OK */
	assert_int_equal(fahci_get(f, 0, AHCI_CI), 0);
	memset(fahci_fis(f, 0, 0), 0, 256);
	assert_int_equal(fahci_do(f, 0, &off, 0), 0x150);
	assert_int_equal(fahci_get(f, 0, AHCI_CI), 0);
	assert_int_equal(fahci_fis(f, 0, 0x40)[0], 0x34);
	assert_int_equal(fahci_get(f, 0, AHCI_SIG), 0x101);
	assert_int_equal(fahci_get(f, 0, AHCI_PIS), 0);
	/* without C, the drive is busy; and a Control that changes nothing is nothing */
	assert_int_equal(fahci_do(f, 0, &(struct fahci_cmd){ .no_command = true, .control = 4 }, 0),
			 ATA_BSY);
	assert_int_equal(fahci_do(f, 0, &off, 0), 0x150);
	assert_int_equal(fahci_do(f, 0, READ_ONE(1), 512), AHCI_READY);
	assert_int_equal(fahci_do(f, 0, &off, 0), AHCI_READY);
}

/* Section 10.4.3 */
static void test_host_reset(void **state)
{
	struct fahci *f = *state;

	fahci_command(f, 0, 0, READ_ONE(5));
	fahci_region(f, 0, 0, 0, AHCI_DATA, 512);
	fahci_issue(f, 0, 1);
	fahci_write(f, 0x04, 1);
	assert_int_equal(fahci_read(f, 0x04), 0x80000001); /* until that has ended */
	fahci_settle(f);
	assert_int_equal(fahci_read(f, 0x04), 0x80000000);
	assert_int_equal(fahci_get(f, 0, AHCI_CMD), BIT(1) | BIT(2) | BIT(18));
	assert_int_equal(fahci_get(f, 0, AHCI_PIE), 0);
	assert_int_equal(fahci_get(f, 0, AHCI_CI), 0);
	assert_int_equal(fahci_get(f, 0, AHCI_TFD), 0x150);
	assert_int_not_equal(fahci_get(f, 0, AHCI_CLB), 0); /* is left alone */
	assert_int_not_equal(fahci_get(f, 0, AHCI_FB), 0);
	fahci_up(f, 0);
	assert_int_equal(fahci_do(f, 0, READ_ONE(6), 512), AHCI_READY);
}

/* --- interrupts: section 10.7.2 --------------------------------------------------------------------- */

static bool pin(struct fahci *f)
{
	return f->fb.irq[pci_intx_gsi(&f->ahci->pci)];
}

static void test_pin(void **state)
{
	struct fahci *f = *state;

	fahci_up(f, 2);
	assert_int_equal(fahci_do(f, 0, READ_ONE(1), 512), AHCI_READY);
	assert_int_equal(fahci_read(f, 0x08), 1);
	assert_true(pin(f));
	fahci_write(f, 0x08, 1); /* the port's is not cleared yet */
	assert_int_equal(fahci_read(f, 0x08), 1);
	fahci_set(f, 0, AHCI_PIS, AHCI_DHRS);
	assert_true(pin(f));
	fahci_write(f, 0x08, 1);
	assert_false(pin(f));
	fahci_set(f, 0, AHCI_PIE, 0);
	fahci_do(f, 0, READ_ONE(1), 512);
	assert_false(pin(f));
	fahci_set(f, 0, AHCI_PIE, AHCI_DHRS);
	assert_true(pin(f));
	fahci_write(f, 0x04, 0); /* GHC.IE */
	assert_false(pin(f));
	fahci_write(f, 0x04, 2);
	assert_true(pin(f));
	fahci_causes(f, 0);
	/* an ATAPI command, of another port */
	fahci_do(f, 2, &(struct fahci_cmd){ .command = 0xa0, .cdb = (const uint8_t[12]){ 0 } }, 0);
	assert_int_equal(fahci_read(f, 0x08), 4);
}

/* Messages since the last time */
static unsigned int messages(struct fahci *f)
{
	uint64_t n = 0;

	(void)!read(msi_eventfd(&f->ahci->pci, 0), &n, sizeof(n));
	return (unsigned int)n;
}

static void test_message(void **state)
{
	struct fahci *f = *state;
	unsigned int cap = guest_pci_cap(&f->fb, SLOT, PCI_CAP_ID_MSI, 0);

	guest_pci_write(&f->fb, SLOT, cap + PCI_MSI_ADDRESS_LO, 4, 0xfee00000);
	guest_pci_write(&f->fb, SLOT, cap + PCI_MSI_DATA_64, 2, 0x41);
	guest_pci_write(&f->fb, SLOT, cap + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	fahci_do(f, 0, READ_ONE(1), 512);
	assert_int_equal(messages(f), 1);
	assert_false(pin(f));
	fahci_do(f, 0, READ_ONE(1), 512); /* it was told of that already */
	assert_int_equal(messages(f), 0);
	fahci_write(f, 0x08, 1); /* what is left is told again */
	assert_int_equal(messages(f), 1);
	fahci_causes(f, 0);
	assert_int_equal(messages(f), 0);
	fahci_do(f, 0, READ_ONE(1), 512);
	assert_int_equal(messages(f), 1);
	fahci_set(f, 2, AHCI_PIE, AHCI_PRCS); /* another port's */
	assert_int_equal(messages(f), 1);
	fahci_set(f, 0, AHCI_PIS, AHCI_DHRS);
	fahci_write(f, 0x08, 1);
	assert_int_equal(fahci_read(f, 0x08), 4);
	assert_int_equal(messages(f), 1);
}

/* --- lists that are none: section 6.1 ------------------------------------------------------------------ */

static void expect_stuck(struct fahci *f, uint32_t cause)
{
	fahci_settle(f);
	assert_int_equal(fahci_causes(f, 0) & ~AHCI_DPS, cause);
	assert_int_equal(fahci_get(f, 0, AHCI_CI) & 1, 1);
	fahci_issue(f, 0, 2); /* nothing more until ST was 0 */
	fahci_settle(f);
	assert_int_equal(fahci_get(f, 0, AHCI_CI), 3);
	fahci_set(f, 0, AHCI_CMD, AHCI_FRE);
	assert_int_equal(fahci_get(f, 0, AHCI_CMD) & BIT(15), 0);
	assert_int_equal(fahci_get(f, 0, AHCI_CI), 0);
	fahci_up(f, 0);
	assert_int_equal(fahci_do(f, 0, READ_ONE(77), 512), AHCI_READY);
	fahci_expect_sector(f, AHCI_DATA, 77);
	fahci_causes(f, 0);
}

static void test_bad_memory(void **state)
{
	struct fahci *f = *state;

	fahci_set(f, 0, AHCI_CLB, 0xfee00000); /* a list that is no memory: section 6.1.1 */
	fahci_issue(f, 0, 1);
	expect_stuck(f, AHCI_HBFS);
	fahci_command(f, 0, 0, READ_ONE(1));
	fahci_region(f, 0, 0, 0, 0xfee00000, 512); /* a region */
	fahci_issue(f, 0, 1);
	expect_stuck(f, AHCI_HBFS);
	fahci_command(f, 0, 0, READ_EXT(1, 2));
	fahci_region(f, 0, 0, 0, AHCI_DATA, 512);
	fahci_region(f, 0, 0, 1, AHCI_MEM - 256, 512); /* that ends outside */
	fahci_issue(f, 0, 1);
	expect_stuck(f, AHCI_HBFS);
	fahci_command(f, 0, 0, READ_ONE(1));
	fahci_region(f, 0, 0, 0, UINT64_MAX - 511, 512);
	fahci_issue(f, 0, 1);
	expect_stuck(f, AHCI_HBFS);
	fahci_set(f, 0, AHCI_FB, 0xfee00000); /* where FISes go */
	fahci_do(f, 0, READ_ONE(1), 512);
	assert_int_equal(fahci_causes(f, 0), AHCI_HBFS | AHCI_DHRS);
}

static void test_bad_table(void **state)
{
	struct fahci *f = *state;
	uint8_t *fis = f->fb.mem + 0x11000;

	fahci_command(f, 0, 0, READ_ONE(1)); /* no regions: section 6.1.5 */
	fahci_issue(f, 0, 1);
	expect_stuck(f, AHCI_OFS);
	fahci_command(f, 0, 0, READ_EXT(1, 2));
	fahci_region(f, 0, 0, 0, AHCI_DATA, 512);
	fahci_issue(f, 0, 1);
	expect_stuck(f, AHCI_OFS);
	fahci_command(f, 0, 0, READ_ONE(1));
	assert_int_equal(fis[0], 0x27);
	fis[0] = 0x46; /* a FIS that no drive takes: section 6.1.2 */
	fahci_issue(f, 0, 1);
	expect_stuck(f, AHCI_IFS);
}

/* A port without a drive takes commands, and nothing comes of them. */
static void test_nobody(void **state)
{
	struct fahci *f = *state;

	fahci_up(f, 1);
	fahci_command(f, 1, 0, READ_ONE(1));
	fahci_issue(f, 1, UINT32_MAX);
	assert_int_equal(fahci_get(f, 1, AHCI_CI), UINT32_MAX);
	fahci_set(f, 1, AHCI_CMD, AHCI_FRE);
	assert_int_equal(fahci_get(f, 1, AHCI_CI), 0);
	assert_int_equal(fahci_get(f, 1, AHCI_CMD) & BIT(15), 0);
}

/* Nor does one whose link is off, section 10.4.2, or being made */
static void test_no_link(void **state)
{
	static const uint32_t dets[] = { 1, 4 };
	struct fahci *f = *state;

	for (unsigned int i = 0; i < 2; i++) {
		fahci_set(f, 0, AHCI_SCTL, dets[i]);
		fahci_do(f, 0, READ_ONE(1), 512);
		assert_int_equal(fahci_get(f, 0, AHCI_CI), 1);
		assert_int_equal(fahci_get(f, 0, AHCI_TFD), 0x7f);
		fahci_set(f, 0, AHCI_SCTL, 0);
		assert_int_equal(fahci_get(f, 0, AHCI_CI), 0);
		assert_int_equal(fahci_get(f, 0, AHCI_TFD), 0x150);
	}
	assert_int_equal(f->fb.mem[AHCI_DATA], 0);
	assert_int_equal(fahci_do(f, 0, READ_ONE(1), 512), AHCI_READY);
}

/* PCI 3.0, section 6.2.2: without bus mastering nothing moves */
static void test_master(void **state)
{
	struct fahci *f = *state;

	guest_pci_write(&f->fb, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	fahci_do(f, 0, READ_ONE(9), 512);
	assert_int_equal(fahci_get(f, 0, AHCI_CI), 1);
	guest_pci_write(&f->fb, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	fahci_settle(f);
	fahci_expect_sector(f, AHCI_DATA, 9);
	/* switched off in the middle: what moves ends, the rest waits */
	fahci_command(f, 0, 0, READ_EXT(0, 3000));
	fahci_region(f, 0, 0, 0, AHCI_DATA, 3000 * 512);
	fahci_issue(f, 0, 1);
	guest_pci_write(&f->fb, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	fahci_expect_sector(f, AHCI_DATA + 2047 * 512, 2047);
	fahci_settle(f);
	fahci_expect_sector(f, AHCI_DATA + 2048 * 512, 0);
	assert_int_equal(fahci_get(f, 0, AHCI_CI), 1);
	guest_pci_write(&f->fb, SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	fahci_settle(f);
	fahci_expect_sector(f, AHCI_DATA + 2999 * 512, 2999);
	assert_int_equal(fahci_bytes(f, 0, 0), 3000 * 512);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fahci_setup, fahci_teardown)
#define D(fn) cmocka_unit_test_setup_teardown(fn, setup_down, fahci_teardown)
	const struct CMUnitTest tests[] = {
		D(test_function),   D(test_host),	D(test_port),
		D(test_first_fis),  T(test_comreset),	T(test_comreset_under_way),
		T(test_soft_reset), T(test_host_reset), T(test_pin),
		T(test_message),    T(test_bad_memory), T(test_bad_table),
		T(test_nobody),	    T(test_no_link),	T(test_master),
	};
#undef T
#undef D

	return cmocka_run_group_tests(tests, NULL, NULL);
}
