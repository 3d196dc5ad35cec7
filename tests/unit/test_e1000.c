// SPDX-License-Identifier: MIT
/* The 82540EM by its registers: identity, interrupts, the cable, and a guest that makes no sense. Sections are of Intel's 317453. */
#include <linux/pci_regs.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/json.h"
#include "tests/lib/test.h"
#include "tests/unit/e1000_fixture.h"

static uint8_t frame[70000], got[70000];

/* --- identity ---------------------------------------------------------------------------------------------------- */

static void test_identity(void **state)
{
	struct e1000_test *t = *state;

	e1000_test_plug(t, "", false);
	assert_int_equal(guest_pci_read(&t->f.fb, NET_SLOT, PCI_VENDOR_ID, 4), 0x100e8086);
	assert_int_equal(guest_pci_read(&t->f.fb, NET_SLOT, PCI_CLASS_DEVICE, 2), 0x0200);
	assert_int_equal(guest_pci_read(&t->f.fb, NET_SLOT, PCI_INTERRUPT_PIN, 1), 1);
	assert_int_equal(e1000_test_get(t, E1000_STATUS) & 0xc3, 0x83); /* 13.4.2: up, 1000, full */
	assert_int_equal(e1000_test_get(t, E1000_RA), 0x00005452); /* 5.6.1: as the EEPROM has it */
	assert_int_equal(e1000_test_get(t, E1000_RA + 4), 0x80000100);
	assert_int_equal(e1000_test_get(t, 0x1f000), 0); /* nothing there */
	assert_int_equal(t->f.net.offload, 0);
}

/* Sections 5.6 and 13.4.4 */
static void test_eerd(void **state)
{
	struct e1000_test *t = *state;
	uint16_t sum = 0;

	e1000_test_plug(t, "", false);
	for (uint32_t i = 0; i < 64; i++) {
		e1000_test_set(t, E1000_EERD, i << 8 | 1);
		assert_int_equal(e1000_test_get(t, E1000_EERD) & 0xff1f, i << 8 | 0x10);
		sum = (uint16_t)(sum + (e1000_test_get(t, E1000_EERD) >> 16));
	}
	assert_int_equal(sum, 0xbaba);
	e1000_test_set(t, E1000_EERD, 2 << 8 | 1);
	assert_int_equal(e1000_test_get(t, E1000_EERD) >> 16, 0x0100);
	e1000_test_set(t, E1000_EERD, 0x0d << 8 | 1);
	assert_int_equal(e1000_test_get(t, E1000_EERD) >> 16, 0x100e);
	e1000_test_set(t, E1000_EERD, 0xff01); /* beyond: wraps */
	assert_int_equal(e1000_test_get(t, E1000_EERD) & 0x10, 0x10);
	e1000_test_set(t, E1000_EERD, 0);
	assert_int_equal(e1000_test_get(t, E1000_EERD) & 0x10, 0);
}

static unsigned int wire(struct e1000_test *t, unsigned int bit)
{
	e1000_test_set(t, E1000_EECD, 0x42 | bit << 2);
	e1000_test_set(t, E1000_EECD, 0x43 | bit << 2);
	return e1000_test_get(t, E1000_EECD) >> 3 & 1;
}

/* Section 5.2: start, opcode 10, six bits of address; a 0, and the word */
static void test_microwire(void **state)
{
	static const uint16_t words[] = { 0x5452, 0x0000, 0x0100 };
	struct e1000_test *t = *state;

	e1000_test_plug(t, "", false);
	e1000_test_set(t, E1000_EECD, 0x40);
	assert_int_equal(e1000_test_get(t, E1000_EECD) & 0x3c0,
			 0x1c0); /* present, granted, 64 words */
	for (unsigned int w = 0; w < 3; w++) {
		unsigned int in = 6u << 6 | w, word = 0, last = 1;

		for (unsigned int i = 0; i < 9; i++)
			last = wire(t, in >> (8 - i) & 1);
		assert_int_equal(last, 0);
		for (unsigned int i = 0; i < 16; i++)
			word = word << 1 | wire(t, 0);
		assert_int_equal(word, words[w]);
		for (unsigned int i = 0; i < 16; i++) /* the next one follows */
			word = word << 1 | wire(t, 0);
		assert_int_equal(word & 0xffff, w < 2 ? words[w + 1] : 0);
		e1000_test_set(t, E1000_EECD, 0x40);
	}
	for (unsigned int i = 0; i < 60; i++) /* a write: it is ready, and nothing has changed */
		wire(t, i < 3 ? 0x5 >> (2 - i) & 1 : 0);
	e1000_test_set(t, E1000_EECD, 0x40);
	e1000_test_set(t, E1000_EECD, 0x42);
	assert_true(e1000_test_get(t, E1000_EECD) & 8);
	e1000_test_set(t, E1000_EERD, 1);
	assert_int_equal(e1000_test_get(t, E1000_EERD) >> 16, 0x5452);
}

static uint32_t phy(struct e1000_test *t, unsigned int reg)
{
	e1000_test_set(t, E1000_MDIC, 2u << 26 | 1 << 21 | reg << 16);
	assert_int_equal(e1000_test_get(t, E1000_MDIC) >> 28, 1);
	return e1000_test_get(t, E1000_MDIC) & 0xffff;
}

/* Sections 8 and 13.4.7 */
static void test_phy(void **state)
{
	struct e1000_test *t = *state;

	e1000_test_plug(t, "", false);
	assert_int_equal(phy(t, 2), 0x0141);
	assert_int_equal(phy(t, 3), 0x0c20);
	assert_int_equal(phy(t, 1) & 0x24, 0x24);
	assert_int_equal(phy(t, 17) & 0xec00, 0xac00);
	e1000_test_set(t, E1000_MDIC, 1u << 26 | 1 << 21 | 4 << 16 | 0x1234);
	assert_int_equal(phy(t, 4), 0x1234);
	e1000_test_set(t, E1000_MDIC, 1u << 26 | 1 << 21 | 2 << 16 | 0xffff);
	assert_int_equal(phy(t, 2), 0x0141);			    /* its identity stays */
	e1000_test_set(t, E1000_MDIC, 1u << 26 | 1 << 21 | 0x8000); /* reset: done at once */
	assert_int_equal(phy(t, 0) & 0x8000, 0);
	assert_int_equal(phy(t, 4), 0x0de1);
	e1000_test_set(t, E1000_MDIC, 2u << 26 | 3 << 21); /* another address: nobody there */
	assert_int_equal(e1000_test_get(t, E1000_MDIC) >> 28, 5);
}

/* Section 13.2: Linux resets by way of the I/O window */
static void test_io_and_reset(void **state)
{
	struct e1000_test *t = *state;

	e1000_test_start(t, "", false, 0);
	e1000_test_set(t, E1000_MTA, 5);
	e1000_test_set(t, E1000_RA, 5);
	fake_out(&t->f.fb, (uint16_t)t->f.port, 4, E1000_STATUS);
	assert_int_equal(fake_in(&t->f.fb, (uint16_t)t->f.port + 4, 4) & 3, 3);
	fake_out(&t->f.fb, (uint16_t)t->f.port, 4, 0xffffffff);
	assert_int_equal(fake_in(&t->f.fb, (uint16_t)t->f.port + 4, 4), 0);
	fake_out(&t->f.fb, (uint16_t)t->f.port, 4, E1000_CTRL);
	fake_out(&t->f.fb, (uint16_t)t->f.port + 4, 4, E1000_CTRL_RST);
	assert_int_equal(e1000_test_get(t, E1000_CTRL) & E1000_CTRL_RST, 0);
	assert_int_equal(e1000_test_get(t, E1000_RA), 0x00005452);
	assert_int_equal(e1000_test_get(t, E1000_MTA), 0);
	assert_int_equal(e1000_test_get(t, E1000_RCTL), 0);
	assert_int_equal(e1000_test_get(t, E1000_IMS), 0);
	assert_int_equal(e1000_test_get(t, E1000_RDLEN), 0);
}

/* --- interrupts and the cable --------------------------------------------------------------------------------------- */

static void test_masks(void **state)
{
	struct e1000_test *t = *state;

	e1000_test_start(t, "", false, 0);
	e1000_test_set(t, E1000_IMC, 0xffffffff);
	assert_int_equal(e1000_test_get(t, E1000_IMS), 0);
	e1000_test_set(t, E1000_ICS, E1000_INT_RXT0);
	assert_false(nic_fixture_irq(&t->f));
	e1000_test_set(t, E1000_IMS, E1000_INT_RXT0);
	assert_true(nic_fixture_irq(&t->f));
	e1000_test_set(t, E1000_IMC, E1000_INT_RXT0);
	assert_false(nic_fixture_irq(&t->f));
	e1000_test_set(t, E1000_IMS, E1000_INT_RXT0);
	assert_true(nic_fixture_irq(&t->f));
	assert_int_equal(e1000_test_get(t, E1000_ICR), E1000_INT_RXT0);
	assert_false(nic_fixture_irq(&t->f));
	assert_int_equal(e1000_test_get(t, E1000_ICR), 0);
}

/* Section 13.4.18: 256 ns a unit between two of them */
static void test_moderation(void **state)
{
	struct e1000_test *t = *state;

	e1000_test_start(t, "", false, 0);
	e1000_test_set(t, E1000_ITR, 1000); /* 256 us */
	fake_board_advance(&t->f.fb, 1000000);
	e1000_test_set(t, E1000_ICS, E1000_INT_RXT0);
	assert_true(nic_fixture_irq(&t->f));
	e1000_test_get(t, E1000_ICR);
	assert_false(nic_fixture_irq(&t->f));
	e1000_test_set(t, E1000_ICS, E1000_INT_RXT0);
	assert_false(nic_fixture_irq(&t->f));
	fake_board_advance(&t->f.fb, 255000);
	assert_false(nic_fixture_irq(&t->f));
	fake_board_advance(&t->f.fb, 1000);
	assert_true(nic_fixture_irq(&t->f));
}

static void set_link(struct e1000_test *t, const char *text, int expected)
{
	AUTO_JSON struct json_object *json = NULL;
	struct err e = { 0 };

	assert_int_equal(json_parse(text, strlen(text), &json, &e), 0);
	assert_int_equal(t->f.dev->class->set(t->f.dev, json, &e), expected);
	nic_fixture_run(&t->f);
}

static void test_link(void **state)
{
	struct e1000_test *t = *state;

	e1000_test_start(t, "", false, 0);
	e1000_test_set(t, E1000_RDT, E1000_TEST_RING - 1);
	set_link(t, "{\"link\":\"up\"}", 0);
	set_link(t, "{\"link\":\"down\"}", 1);
	assert_true(nic_fixture_irq(&t->f));
	assert_true(e1000_test_get(t, E1000_ICR) & E1000_INT_LSC);
	assert_int_equal(e1000_test_get(t, E1000_STATUS) & 2, 0);
	assert_int_equal(phy(t, 1) & 0x24, 0);
	nic_fixture_frame(frame, NIC_OTHER, NIC_OWN, 100);
	e1000_test_legacy(t, frame, 100);
	assert_true(e1000_test_done(t, 0)); /* it goes nowhere */
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 0);
	nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, 100);
	nic_fixture_arrive(&t->f, frame, 100);
	assert_false(nic_fixture_busy(&t->f));
	set_link(t, "{\"link\":\"up\"}", 1);
	assert_true(e1000_test_get(t, E1000_ICR) & E1000_INT_LSC);
	assert_int_equal(e1000_test_get(t, E1000_RDH), 0); /* what came meanwhile is lost */
	nic_fixture_arrive(&t->f, frame, 100);
	assert_int_equal(e1000_test_get(t, E1000_RDH), 1);
}

static void test_tap_gone(void **state)
{
	struct e1000_test *t = *state;

	e1000_test_start(t, "", false, 0);
	close(t->f.net.taps[0]);
	t->f.net.taps[0] = -1;
	nic_fixture_run(&t->f);
	assert_int_equal(t->f.fb.nnotices, 1);
	assert_string_equal(t->f.fb.notice, "device: net0: its network is gone; the link is down");
	assert_true(e1000_test_get(t, E1000_ICR) & E1000_INT_LSC);
	assert_false(nic_fixture_busy(&t->f));
	set_link(t, "{\"link\":\"up\"}", -ERR_INVALID);
}

/* --- a guest that does what makes no sense --------------------------------------------------------------------------- */

static void test_bad_rings(void **state)
{
	static const uint32_t bad[][4] = {
		/* TDBAL, TDBAH, TDLEN, TDT */
		{ NET_MEM, 0, E1000_TEST_RING * 16, 3 },
		{ NET_MEM - 128, 0, E1000_TEST_RING * 16, 3 },
		{ 0xfffffff0, 0xffffffff, 0xfff80, 3 },
		{ E1000_TEST_TX, 0, E1000_TEST_RING * 16, E1000_TEST_RING },
		{ E1000_TEST_TX, 0, E1000_TEST_RING * 16, 0xffff },
		{ E1000_TEST_TX, 0, 0, 3 },
	};
	struct e1000_test *t = *state;

	e1000_test_start(t, "", false, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		for (unsigned int rx_ring = 0; rx_ring < 2; rx_ring++) {
			unsigned int less = rx_ring ? 0x1000 : 0;

			e1000_test_set(t, E1000_TDBAL - less, bad[i][0]);
			e1000_test_set(t, E1000_TDBAH - less, bad[i][1]);
			e1000_test_set(t, E1000_TDLEN - less, bad[i][2]);
			e1000_test_set(t, E1000_TDT - less, bad[i][3]);
		}
		nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, 100);
		nic_fixture_arrive(&t->f, frame, 100);
		assert_false(nic_fixture_busy(&t->f));
		assert_int_equal(e1000_test_get(t, E1000_TDH), 0);
		assert_int_equal(e1000_test_get(t, E1000_RDH), 0);
	}
	e1000_test_set(t, E1000_TDH, 20); /* a head that is not in its ring */
	e1000_test_set(t, E1000_TDBAL, E1000_TEST_TX);
	e1000_test_set(t, E1000_TDBAH, 0);
	e1000_test_set(t, E1000_TDLEN, E1000_TEST_RING * 16);
	e1000_test_set(t, E1000_TDT, 3);
	assert_false(nic_fixture_busy(&t->f));
	/* and all is well when it is */
	e1000_test_set(t, E1000_TDH, 0);
	e1000_test_set(t, E1000_TDT, 0);
	nic_fixture_frame(frame, NIC_OTHER, NIC_OWN, 100);
	e1000_test_legacy(t, frame, 100);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 100);
}

/* A packet without an end is bounded, and the next one is whole. */
static void test_endless_packet(void **state)
{
	struct e1000_test *t = *state;

	e1000_test_start(t, "", false, 0);
	for (unsigned int i = 0; i < 100; i++) {
		e1000_test_data(t, NIC_BUF(0), 0xfffff, 0, 0);
		e1000_test_data(t, NIC_BUF(0), 60000, 0, 0);
		e1000_test_go(t);
	}
	assert_false(nic_fixture_busy(&t->f));
	nic_fixture_frame(frame, NIC_OTHER, NIC_OWN, 100);
	e1000_test_legacy(t, frame, 100); /* its end */
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 0);
	e1000_test_legacy(t, frame, 100);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 100);
	/* from where there is no memory */
	e1000_test_queue(t, NET_MEM - 50, 100 | (EOP | RS) << 24, 0);
	e1000_test_go(t);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 0);
}

static void test_bad_buffers(void **state)
{
	struct e1000_test *t = *state;

	e1000_test_start(t, "", false, 0);
	e1000_test_rx(t, 0)->addr = NET_MEM - 50;
	e1000_test_rx(t, 1)->addr = 0;
	e1000_test_set(t, E1000_RDT, 3);
	memset(t->f.fb.mem, 0xee, 100);
	nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, 100);
	nic_fixture_arrive(&t->f, frame, 100);
	nic_fixture_arrive(&t->f, frame, 100);
	nic_fixture_arrive(&t->f, frame, 100);
	assert_int_equal(e1000_test_rx(t, 0)->errors, 0x80);
	assert_int_equal(e1000_test_rx(t, 1)->errors, 0x80);
	assert_int_equal(e1000_test_rx(t, 2)->errors, 0);
	assert_int_equal(t->f.fb.mem[0], 0xee);
	/* no bus master: nothing moves */
	guest_pci_write(&t->f.fb, NET_SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	nic_fixture_arrive(&t->f, frame, 100);
	e1000_test_legacy(t, frame, 100);
	assert_int_equal(e1000_test_get(t, E1000_RDH), 3);
	assert_int_equal(e1000_test_get(t, E1000_TDH), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		E1000_TEST(test_identity),	 E1000_TEST(test_eerd),
		E1000_TEST(test_microwire),	 E1000_TEST(test_phy),
		E1000_TEST(test_io_and_reset),	 E1000_TEST(test_masks),
		E1000_TEST(test_moderation),	 E1000_TEST(test_link),
		E1000_TEST(test_tap_gone),	 E1000_TEST(test_bad_rings),
		E1000_TEST(test_endless_packet), E1000_TEST(test_bad_buffers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
