// SPDX-License-Identifier: MIT
/* Frames to the guest through the 82540EM, from a fake tap to its receive ring. Sections are of Intel's 317453. */
#include <string.h>
#include <sys/socket.h>

#include "tests/lib/test.h"
#include "tests/unit/e1000_fixture.h"

static uint8_t frame[70000];

/* --- to the guest --------------------------------------------------------------------------------------------------- */

static void test_receive(void **state)
{
	struct e1000_test *t = *state;

	e1000_test_start(t, "", false, 0);
	e1000_test_set(t, E1000_RDT, E1000_TEST_RING - 1);
	for (unsigned int i = 0; i < 40; i++) {
		unsigned int d = i % E1000_TEST_RING;
		size_t len = 60 + 30ul * i;

		nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, len);
		nic_fixture_arrive(&t->f, frame, len);
		assert_int_equal(e1000_test_rx(t, d)->status, 7); /* DD, EOP, no sums */
		assert_int_equal(e1000_test_rx(t, d)->errors, 0);
		assert_int_equal(e1000_test_rx(t, d)->len, len + 4);
		assert_memory_equal(t->f.fb.mem + E1000_TEST_RX_BUF(d), frame, len);
		assert_int_equal(e1000_test_get(t, E1000_RDH), (i + 1) % E1000_TEST_RING);
		assert_true(nic_fixture_irq(&t->f));
		assert_true(e1000_test_get(t, E1000_ICR) & E1000_INT_RXT0);
		e1000_test_rx(t, d)->status = 0;
		e1000_test_set(t, E1000_RDT, d);
	}
	assert_int_equal(e1000_test_get(t, E1000_GPRC), 40);
	/* a short one is filled up, as on a wire; SECRC leaves the FCS out */
	e1000_test_set(t, E1000_RCTL, e1000_test_get(t, E1000_RCTL) | E1000_RCTL_SECRC);
	nic_fixture_arrive(&t->f, frame, 20);
	assert_int_equal(e1000_test_rx(t, 8)->len, 60);
}

/* Several buffers for a frame, and a frame that waits for them: nobody spins, nothing is lost. */
static void test_receive_parts(void **state)
{
	struct e1000_test *t = *state;

	e1000_test_start(t, "", false, 3 << 16 | E1000_RCTL_SECRC); /* 256 bytes each */
	e1000_test_set(t, E1000_RDT, 3);
	nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, 1000);
	nic_fixture_arrive(&t->f, frame, 1000);
	nic_fixture_arrive(&t->f, frame, 100);
	assert_false(nic_fixture_busy(&t->f));
	assert_int_equal(e1000_test_get(t, E1000_RDH), 0);
	e1000_test_set(t, E1000_RDT, 4);
	nic_fixture_run(&t->f);
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(e1000_test_rx(t, i)->status & 3, i < 3 ? 1 : 3);
		assert_int_equal(e1000_test_rx(t, i)->len, i < 3 ? 256 : 232);
		assert_memory_equal(t->f.fb.mem + E1000_TEST_RX_BUF(i), frame + 256ul * i,
				    e1000_test_rx(t, i)->len);
	}
	assert_int_equal(e1000_test_get(t, E1000_RDH), 4);
	e1000_test_set(t, E1000_RDT, 5);
	nic_fixture_run(&t->f);
	assert_int_equal(e1000_test_get(t, E1000_RDH), 5);
	assert_int_equal(e1000_test_rx(t, 4)->len, 100);
	assert_false(nic_fixture_busy(&t->f));
}

/* Which one comes through: section 3.2.1 */
static bool comes(struct e1000_test *t, const char *to)
{
	uint32_t head = e1000_test_get(t, E1000_RDH);

	nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, 100);
	memcpy(frame, to, 6);
	nic_fixture_arrive(&t->f, frame, 100);
	e1000_test_set(t, E1000_RDT,
		       (e1000_test_get(t, E1000_RDH) + E1000_TEST_RING - 1) % E1000_TEST_RING);
	return e1000_test_get(t, E1000_RDH) != head;
}

static void test_filter(void **state)
{
	static const char multicast[] = "\x01\x00\x5e\x00\x00\xfb";
	struct e1000_test *t = *state;

	e1000_test_start(t, "", false, 0);
	e1000_test_set(t, E1000_RDT, E1000_TEST_RING - 1);
	assert_true(comes(t, "\x52\x54\0\0\0\1"));
	assert_false(comes(t, "\x52\x54\0\0\0\3"));
	assert_false(comes(t, multicast));
	assert_true(comes(t, "\xff\xff\xff\xff\xff\xff"));
	e1000_test_set(t, E1000_RA + 8, 0x00005452); /* a second address */
	e1000_test_set(t, E1000_RA + 12, 0x80000300);
	assert_true(comes(t, "\x52\x54\0\0\0\3"));
	e1000_test_set(t, E1000_RA + 12, 0x00000300);
	assert_false(comes(t, "\x52\x54\0\0\0\3"));
	/* 13.5.1: bits 47:36 of the address: 0xfb0 */
	e1000_test_set(t, E1000_MTA + (0xfb0 >> 5) * 4, 1u << (0xfb0 & 31));
	assert_true(comes(t, multicast));
	e1000_test_set(t, E1000_RCTL,
		       (e1000_test_get(t, E1000_RCTL) & ~E1000_RCTL_BAM) |
			       3 << 12); /* bits 43:32 */
	assert_false(comes(t, multicast));
	assert_false(comes(t, "\xff\xff\xff\xff\xff\xff"));
	e1000_test_set(t, E1000_MTA + (0xb00 >> 5) * 4, 1u << (0xb00 & 31));
	assert_true(comes(t, multicast));
	e1000_test_set(t, E1000_RCTL, e1000_test_get(t, E1000_RCTL) | E1000_RCTL_UPE);
	assert_true(comes(t, "\x52\x54\0\0\0\3"));
	assert_false(comes(t, "\x01\x00\x5e\x00\x00\x01"));
	e1000_test_set(t, E1000_RCTL, e1000_test_get(t, E1000_RCTL) | E1000_RCTL_MPE);
	assert_true(comes(t, "\x01\x00\x5e\x00\x00\x01"));
}

/* Sections 9.3 and 9.4 */
static void test_receive_tag(void **state)
{
	struct e1000_test *t = *state;

	e1000_test_start(t, "", false, E1000_RCTL_VFE);
	e1000_test_set(t, E1000_VET, 0x8100);
	e1000_test_set(t, E1000_RDT, E1000_TEST_RING - 1);
	nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, 104);
	memcpy(frame + 12, "\x81\x00\x60\x07", 4);
	nic_fixture_arrive(&t->f, frame, 104);
	assert_int_equal(e1000_test_get(t, E1000_RDH), 0); /* not of the table */
	e1000_test_set(t, E1000_VFTA, 1 << 7);
	nic_fixture_arrive(&t->f, frame, 104);
	assert_int_equal(e1000_test_rx(t, 0)->len, 108);
	assert_int_equal(e1000_test_rx(t, 0)->status & 8, 0);
	e1000_test_set(t, E1000_CTRL, E1000_CTRL_VME);
	nic_fixture_arrive(&t->f, frame, 104);
	assert_int_equal(e1000_test_rx(t, 1)->len, 104);
	assert_int_equal(e1000_test_rx(t, 1)->status & 8, 8);
	assert_int_equal(e1000_test_rx(t, 1)->special, 0x6007);
	assert_memory_equal(t->f.fb.mem + E1000_TEST_RX_BUF(1), frame, 12);
	assert_memory_equal(t->f.fb.mem + E1000_TEST_RX_BUF(1) + 12, frame + 16, 88);
}

/* Section 3.2.9 */
static void test_receive_sums(void **state)
{
	struct e1000_test *t = *state, s = { 0 };
	size_t size;

	/* a frame with good sums: a card on a stream makes one */
	net_fixture_init(&s.f);
	e1000_test_start(&s, "", true, 0);
	e1000_test_tso(&s, frame, nic_fixture_tcp(frame, false, 500), false, 1000);
	size = nic_fixture_sent(&s.f, frame, NULL);
	net_fixture_fini(&s.f);
	assert_int_equal(size, 554);
	memcpy(frame, "\x52\x54\0\0\0\1", 6);

	e1000_test_start(t, "", false, 0);
	e1000_test_set(t, E1000_RXCSUM, 0x300);
	e1000_test_set(t, E1000_RDT, E1000_TEST_RING - 1);
	nic_fixture_arrive(&t->f, frame, size);
	assert_int_equal(e1000_test_rx(t, 0)->status, 0x63); /* both sums, DD, EOP */
	assert_int_equal(e1000_test_rx(t, 0)->errors, 0);
	frame[200] ^= 1;
	nic_fixture_arrive(&t->f, frame, size);
	assert_int_equal(e1000_test_rx(t, 1)->status, 0x63);
	assert_int_equal(e1000_test_rx(t, 1)->errors, 0x20);
	frame[200] ^= 1;
	frame[22] ^= 1; /* the time to live */
	nic_fixture_arrive(&t->f, frame, size);
	assert_int_equal(e1000_test_rx(t, 2)->status, 0x43);
	assert_int_equal(e1000_test_rx(t, 2)->errors, 0x40);
	frame[22] ^= 1;
	e1000_test_set(t, E1000_RXCSUM, 0);
	nic_fixture_arrive(&t->f, frame, size);
	assert_int_equal(e1000_test_rx(t, 3)->status, 7);
	e1000_test_set(t, E1000_RXCSUM, 0x300);
	frame[17]++; /* longer than the frame */
	nic_fixture_arrive(&t->f, frame, size);
	assert_int_equal(e1000_test_rx(t, 4)->status, 7);
}

/* 1522 bytes with tag and FCS, more with LPE: section 13.4.22 */
static void test_long(void **state)
{
	struct e1000_test *t = *state;

	e1000_test_start(t, "", false, 0);
	e1000_test_set(t, E1000_RDT, E1000_TEST_RING - 1);
	nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, 16381);
	nic_fixture_arrive(&t->f, frame, 1519);
	assert_int_equal(e1000_test_get(t, E1000_RDH), 0);
	assert_int_equal(e1000_test_get(t, E1000_ROC), 1);
	nic_fixture_arrive(&t->f, frame, 1518);
	assert_int_equal(e1000_test_get(t, E1000_RDH), 1);
	e1000_test_set(t, E1000_RCTL, e1000_test_get(t, E1000_RCTL) | E1000_RCTL_LPE);
	nic_fixture_arrive(&t->f, frame, 16381);
	assert_int_equal(e1000_test_get(t, E1000_RDH), 1);
	nic_fixture_arrive(&t->f, frame, 16380);
	assert_int_equal(e1000_test_get(t, E1000_RDH), 9);
	assert_memory_equal(t->f.fb.mem + E1000_TEST_RX_BUF(8), frame + 7 * 2048, 2044);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		E1000_TEST(test_receive),      E1000_TEST(test_receive_parts),
		E1000_TEST(test_filter),       E1000_TEST(test_receive_tag),
		E1000_TEST(test_receive_sums), E1000_TEST(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
