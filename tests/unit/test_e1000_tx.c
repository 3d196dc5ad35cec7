// SPDX-License-Identifier: MIT
/* Frames from the guest through the 82540EM, by its transmit ring to a fake tap or a stream. Sections are of Intel's 317453. */
#include <string.h>
#include <sys/socket.h>

#include "tests/lib/test.h"
#include "tests/unit/e1000_fixture.h"

static uint8_t frame[70000], got[70000];

/* --- from the guest ------------------------------------------------------------------------------------------------- */

static void test_transmit(void **state)
{
	struct e1000_test *t = *state;
	struct virtio_net_hdr_v1 hdr;

	e1000_test_start(t, "", false, 0);
	for (unsigned int i = 0; i < 40; i++) {
		size_t len = 60 + 33ul * i;

		nic_fixture_frame(frame, NIC_OTHER, NIC_OWN, len);
		e1000_test_legacy(t, frame, len);
		assert_int_equal(nic_fixture_sent(&t->f, got, &hdr), len);
		assert_memory_equal(got, frame, len);
		assert_int_equal(hdr.flags | hdr.gso_type, 0);
		assert_true(e1000_test_done(t, i % E1000_TEST_RING));
		assert_int_equal(e1000_test_get(t, E1000_TDH), t->tail);
		assert_true(nic_fixture_irq(&t->f));
		assert_int_equal(e1000_test_get(t, E1000_ICR) & 3, E1000_INT_TXDW | E1000_INT_TXQE);
		assert_false(nic_fixture_irq(&t->f));
	}
	assert_int_equal(e1000_test_get(t, E1000_GPTC), 40); /* 13.7: reading clears */
	assert_int_equal(e1000_test_get(t, E1000_GPTC), 0);
}

/* Several descriptors are one frame, and short ones are filled up (13.4.33, PSP). */
static void test_transmit_parts(void **state)
{
	struct e1000_test *t = *state;

	e1000_test_start(t, "", false, 0);
	nic_fixture_frame(frame, NIC_OTHER, NIC_OWN, 1000);
	e1000_test_put(t, 0, frame, 1000);
	e1000_test_queue(t, NIC_BUF(0), 13 | IFCS << 24, 0);
	e1000_test_queue(t, NIC_BUF(0) + 13, 0 | IFCS << 24, 0);
	e1000_test_queue(t, NIC_BUF(0) + 13, 900 | IFCS << 24, 0);
	e1000_test_go(t);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 0); /* not yet */
	e1000_test_queue(t, NIC_BUF(0) + 913, 87 | (EOP | RS) << 24, 0);
	e1000_test_queue(t, NIC_BUF(0), 20 | (EOP | RS) << 24, 0);
	e1000_test_go(t);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 1000);
	assert_memory_equal(got, frame, 1000);
	memset(frame + 20, 0, 40);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 60);
	assert_memory_equal(got, frame, 60);
	assert_false(e1000_test_done(t, 0)); /* without RS */
	assert_true(e1000_test_done(t, 3));
}

static void test_spoofing(void **state)
{
	struct e1000_test *t = *state;

	e1000_test_start(t, "", false, 0);
	nic_fixture_frame(frame, NIC_OTHER, 7, 100);
	e1000_test_legacy(t, frame, 100);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 0);
	assert_true(e1000_test_done(t, 0));
}

static void test_spoofing_allowed(void **state)
{
	struct e1000_test *t = *state;

	e1000_test_start(t, ",\"spoofing\":true", false, 0);
	nic_fixture_frame(frame, NIC_OTHER, 7, 100);
	e1000_test_legacy(t, frame, 100);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 100);
}

/* Section 3.3.3: CSS and CSO of a legacy descriptor */
static void test_legacy_sum(void **state)
{
	struct e1000_test *t = *state;
	size_t size;

	e1000_test_start(t, "", false, 0);
	size = nic_fixture_tcp(frame, false, 101);
	frame[16] = 0;
	frame[17] = (uint8_t)(size - 14);
	e1000_test_put(t, 0, frame, size);
	/* the sum of IP's header alone is what it makes of 14 up to 34: cut there */
	e1000_test_queue(t, NIC_BUF(0), 34 | (14 + 10) << 16 | (EOP | RS | 4) << 24, 14 << 8);
	e1000_test_go(t);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 60);
	assert_int_equal(nic_fixture_add(0, got + 14, 20), 0xffff);
}

/* Section 3.3.7: IXSM is made here, TXSM is the tap's */
static void test_sum(void **state)
{
	struct e1000_test *t = *state;
	struct virtio_net_hdr_v1 hdr;
	size_t size;

	e1000_test_start(t, "", false, 0);
	size = nic_fixture_tcp(frame, false, 1000);
	frame[16] = (uint8_t)((size - 14) >> 8);
	frame[17] = (uint8_t)(size - 14);
	e1000_test_put(t, 0, frame, size);
	e1000_test_context(t, e1000_test_tcp(false), false, 0, 0);
	e1000_test_data(t, NIC_BUF(0), size, EOP, 3);
	e1000_test_go(t);
	assert_int_equal(nic_fixture_sent(&t->f, got, &hdr), size);
	assert_int_equal(hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(hdr.gso_type, 0);
	assert_int_equal(hdr.csum_start, 34);
	assert_int_equal(hdr.csum_offset, 16);
	assert_int_equal(nic_fixture_add(0, got + 14, 20), 0xffff);
	e1000_test_data(t, NIC_BUF(0), size, EOP, 0); /* the context stays; not asked for */
	e1000_test_go(t);
	assert_int_equal(nic_fixture_sent(&t->f, got, &hdr), size);
	assert_int_equal(hdr.flags, 0);
	assert_memory_equal(got, frame, size);
}

/* A sum over a part is made here; one that lies outside of the frame is none. */
static void test_sum_end(void **state)
{
	struct e1000_test *t = *state;
	struct virtio_net_hdr_v1 hdr;

	e1000_test_start(t, "", false, 0);
	nic_fixture_frame(frame, NIC_OTHER, NIC_OWN, 100);
	memset(frame + 20, 0, 80);
	frame[20] = 0x12;
	frame[31] = 0x34;
	e1000_test_put(t, 0, frame, 100);
	e1000_test_context(t, (const uint8_t[8]){ 0, 0, 0, 0, 20, 40, 31, 0 }, false, 0, 0);
	e1000_test_data(t, NIC_BUF(0), 100, EOP, 2);
	e1000_test_context(t, (const uint8_t[8]){ 0, 0, 0, 0, 20, 99, 0, 0 }, false, 0, 0);
	e1000_test_data(t, NIC_BUF(0), 100, EOP, 2);
	e1000_test_context(t, (const uint8_t[8]){ 200, 210, 220, 0, 30, 20, 0, 0 }, false, 0, 0);
	e1000_test_data(t, NIC_BUF(0), 100, EOP, 2);
	e1000_test_data(t, NIC_BUF(0), 100, EOP, 1);
	e1000_test_go(t);
	assert_int_equal(nic_fixture_sent(&t->f, got, &hdr), 100);
	assert_int_equal(got[40] << 8 | got[41], 0xedcb);
	assert_int_equal(hdr.flags, 0);
	/* two are lost, and the last is sent as it is */
	assert_int_equal(nic_fixture_sent(&t->f, got, &hdr), 100);
	assert_memory_equal(got, frame, 100);
	assert_int_equal(nic_fixture_sent(&t->f, got, &hdr), 0);
}

/* Section 3.5: the tap cuts */
static void test_tso(void **state)
{
	struct e1000_test *t = *state;
	struct virtio_net_hdr_v1 hdr;
	uint32_t sum;
	size_t size;

	e1000_test_start(t, "", false, 0);
	for (int v6 = 0; v6 < 2; v6++) {
		size = nic_fixture_tcp(frame, v6, 60000);
		e1000_test_tso(t, frame, size, v6, 1460);
		assert_int_equal(nic_fixture_sent(&t->f, got, &hdr), size);
		assert_int_equal(hdr.gso_type,
				 v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4);
		assert_int_equal(hdr.gso_size, 1460);
		assert_int_equal(hdr.hdr_len, v6 ? 74 : 54);
		assert_int_equal(hdr.csum_start, v6 ? 54 : 34);
		assert_int_equal(hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
		assert_memory_equal(got + hdr.hdr_len, frame + hdr.hdr_len, 60000);
		/* the sum that is left to be made makes it right */
		sum = nic_fixture_add(0, got + hdr.csum_start, size - hdr.csum_start);
		got[hdr.csum_start + 16] = (uint8_t)(~sum >> 8);
		got[hdr.csum_start + 17] = (uint8_t)~sum;
		assert_true(nic_fixture_sums_right(got, size));
	}
}

/* One that is no longer than a segment is no large one. */
static void test_tso_small(void **state)
{
	struct e1000_test *t = *state;
	struct virtio_net_hdr_v1 hdr;

	e1000_test_start(t, "", false, 0);
	e1000_test_tso(t, frame, nic_fixture_tcp(frame, false, 1460), false, 1460);
	assert_int_equal(nic_fixture_sent(&t->f, got, &hdr), 1514);
	assert_int_equal(hdr.gso_type, 0);
	assert_int_equal(hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
}

/* Where nobody else does, it is cut here: lengths, numbers, flags and sums of each segment. */
static void test_tso_stream(void **state)
{
	struct e1000_test *t = *state;
	size_t size, len, at;

	e1000_test_start(t, "", true, 0);
	for (int v6 = 0; v6 < 2; v6++) {
		size_t header = v6 ? 74 : 54, tcp = header - 20;
		uint32_t seq = 0xffffff00, n = 0;

		size = nic_fixture_tcp(frame, v6, 5001);
		e1000_test_tso(t, frame, size, v6, 1000);
		for (at = header; (len = nic_fixture_sent(&t->f, got, NULL)) > 0; n++) {
			bool last = at + len - header == size;

			assert_true(nic_fixture_sums_right(got, len));
			assert_memory_equal(got + header, frame + at, len - header);
			assert_int_equal((uint32_t)got[tcp + 4] << 24 | got[tcp + 5] << 16 |
						 got[tcp + 6] << 8 | got[tcp + 7],
					 seq);
			assert_int_equal(got[tcp + 13], 0x10 | (n ? 0 : 0x80) | (last ? 0x09 : 0));
			if (!v6)
				assert_int_equal(got[18] << 8 | got[19], 0x1234 + n);
			at += len - header;
			seq += 1000;
		}
		assert_int_equal(n, 6);
		assert_int_equal(at, size);
	}
}

static void test_sum_stream(void **state)
{
	struct e1000_test *t = *state;
	size_t size;

	e1000_test_start(t, "", true, 0);
	size = nic_fixture_tcp(frame, false, 333);
	frame[16] = (uint8_t)((size - 14) >> 8);
	frame[17] = (uint8_t)(size - 14);
	/* the driver's part: the pseudo header's sum, 0a00 + 0002 + 0a00 + 0001 + 6 + 353 */
	frame[50] = 0x15;
	frame[51] = 0x6a;
	e1000_test_put(t, 0, frame, size);
	e1000_test_context(t, e1000_test_tcp(false), false, 0, 0);
	e1000_test_data(t, NIC_BUF(0), size, EOP, 3);
	e1000_test_go(t);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), size);
	assert_true(nic_fixture_sums_right(got, size));
}

static void test_bad_tso(void **state)
{
	struct e1000_test *t = *state;
	size_t size;

	e1000_test_start(t, "", false, 0);
	size = nic_fixture_tcp(frame, false, 3000);
	e1000_test_tso(t, frame, size, false, 0);
	e1000_test_tso(t, frame, size, false, 47);  /* not TCP's */
	e1000_test_tso(t, frame, size, true, 1000); /* headers that are not there */
	frame[46] = 0xf0;			    /* options that are not in the header */
	e1000_test_tso(t, frame, size, false, 1000);
	size = nic_fixture_tcp(frame, false, 65500); /* longer than IP can say */
	e1000_test_tso(t, frame, size, false, 1460);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 0);
	e1000_test_tso(t, frame, nic_fixture_tcp(frame, false, 3000), false, 1000);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 3054);
}

/* Section 9.2, and sums behind the tag */
static void test_tag(void **state)
{
	static const uint8_t tag[] = { 0x81, 0x00, 0x60, 0x07 };
	struct e1000_test *t = *state;
	struct virtio_net_hdr_v1 hdr;
	size_t size;

	e1000_test_start(t, "", false, 0);
	e1000_test_set(t, E1000_VET, 0x8100);
	e1000_test_set(t, E1000_CTRL, E1000_CTRL_VME);
	size = nic_fixture_tcp(frame, false, 100);
	e1000_test_put(t, 0, frame, size);
	e1000_test_context(t, e1000_test_tcp(false), false, 0, 0);
	e1000_test_queue(t, NIC_BUF(0), (uint32_t)size | 1 << 20 | (DEXT | RS | EOP | VLE) << 24,
			 0x6007u << 16 | 2 << 8);
	e1000_test_go(t);
	assert_int_equal(nic_fixture_sent(&t->f, got, &hdr), size + 4);
	assert_memory_equal(got, frame, 12);
	assert_memory_equal(got + 12, tag, 4);
	assert_memory_equal(got + 16, frame + 12, size - 12);
	assert_int_equal(hdr.csum_start, 38);
	assert_int_equal(hdr.csum_offset, 16);
}

/* The tap takes no more: frames wait in their order, over a pause too, and nobody spins. */
static void test_tap_full(void **state)
{
	struct e1000_test *t = *state;
	int size = 1;

	e1000_test_plug(t, "", false);
	assert_int_equal(setsockopt(t->f.net.ours[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)),
			 0);
	e1000_test_set(t, E1000_TDBAL, E1000_TEST_TX);
	e1000_test_set(t, E1000_TDLEN, E1000_TEST_RING * 16);
	e1000_test_set(t, E1000_TCTL, E1000_TCTL_EN);
	for (uint8_t i = 0; i < E1000_TEST_RING - 1; i++) {
		nic_fixture_frame(frame, i, NIC_OWN, 3000);
		e1000_test_put(t, i, frame, 3000);
		e1000_test_queue(t, NIC_BUF(i), 3000 | (EOP | RS) << 24, 0);
	}
	e1000_test_go(t);
	assert_false(nic_fixture_busy(&t->f));
	assert_int_not_equal(e1000_test_get(t, E1000_TDH), t->tail);
	t->f.dev->class->stop(t->f.dev);
	t->f.dev->class->start(t->f.dev);
	for (uint8_t i = 0; i < E1000_TEST_RING - 1; i++) {
		nic_fixture_run(&t->f);
		nic_fixture_frame(frame, i, NIC_OWN, 3000);
		assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 3000);
		assert_memory_equal(got, frame, 3000);
	}
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 0);
	assert_false(nic_fixture_busy(&t->f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		E1000_TEST(test_transmit),   E1000_TEST(test_transmit_parts),
		E1000_TEST(test_spoofing),   E1000_TEST(test_spoofing_allowed),
		E1000_TEST(test_legacy_sum), E1000_TEST(test_sum),
		E1000_TEST(test_sum_end),    E1000_TEST(test_tso),
		E1000_TEST(test_tso_small),  E1000_TEST(test_tso_stream),
		E1000_TEST(test_sum_stream), E1000_TEST(test_bad_tso),
		E1000_TEST(test_tag),	     E1000_TEST(test_tap_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
