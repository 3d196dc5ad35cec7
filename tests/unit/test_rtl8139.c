// SPDX-License-Identifier: MIT
/* The RTL8139C+ by its registers, in both modes, between a driver and a fake tap. Sections are of Realtek's data sheet, 1.6. */
#include <linux/pci_regs.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/json.h"
#include "tests/lib/test.h"
#include "tests/unit/nic_fixture.h"
#include "vmm/dev/rtl8139.h"

#define TX_RING 0x10000
#define RX_RING 0x20000
#define RX_BYTES 0x40000 /* the ring of bytes */
#define RINGS 8
#define RX_BUF(i) NIC_BUF(16 + (i))

enum {
	IDR0 = 0,
	MAR0 = 8,
	TSD0 = 0x10,
	TSAD0 = 0x20,
	RBSTART = 0x30,
	CR = 0x37,
	CAPR = 0x38,
	CBR = 0x3a,
	IMR = 0x3c,
	ISR = 0x3e,
	TCR = 0x40,
	RCR = 0x44,
	CR9346 = 0x50,
	CONFIG1 = 0x52,
	MSR = 0x58,
	TSAD = 0x60,
	BMCR = 0x62,
	BMSR = 0x64,
	TPPOLL = 0xd9,
	CPCR = 0xe0,
	RDSAR = 0xe4
};

struct rtl8139_test {
	struct net_fixture f;
	unsigned int tail; /* of the transmit ring */
};

static uint8_t frame[70000], got[70000];

static uint32_t get(struct rtl8139_test *t, unsigned int reg, unsigned int size)
{
	return (uint32_t)fake_mmio_read(&t->f.fb, t->f.mem + reg, size);
}

static void set(struct rtl8139_test *t, unsigned int reg, unsigned int size, uint32_t val)
{
	fake_mmio_write(&t->f.fb, t->f.mem + reg, size, val);
}

static int setup(void **state)
{
	struct rtl8139_test *t = calloc(1, sizeof(*t));

	net_fixture_init(&t->f);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct rtl8139_test *t = *state;

	net_fixture_fini(&t->f);
	free(t);
	return 0;
}

static void plug(struct rtl8139_test *t, const char *members, bool stream)
{
	nic_fixture_plug(&t->f, "rtl8139", members, stream, 1, 0);
}

/* The RTL8139's own mode; rcr: more than own address and broadcasts. 8 KiB ring. */
static void start(struct rtl8139_test *t, uint32_t rcr)
{
	plug(t, "", false);
	set(t, RBSTART, 4, RX_BYTES);
	set(t, CR, 1, 0x0c);
	set(t, RCR, 4, RTL_RCR_APM | RTL_RCR_AB | rcr);
	set(t, IMR, 2, 0xffff);
	nic_fixture_run(&t->f);
}

static void set_word(struct rtl8139_test *t, uint64_t at, uint32_t val)
{
	memcpy(t->f.fb.mem + at, &val, sizeof(val));
}

static uint32_t word(struct rtl8139_test *t, uint64_t at)
{
	uint32_t val;

	memcpy(&val, t->f.fb.mem + at, sizeof(val));
	return val;
}

static void give(struct rtl8139_test *t, unsigned int i, uint32_t size)
{
	uint64_t d = RX_RING + 16ull * i;

	set_word(t, d + 8, (uint32_t)RX_BUF(i));
	set_word(t, d + 12, 0);
	set_word(t, d, RTL_OWN | (i + 1 == RINGS ? RTL_EOR : 0) | size);
}

/* C+ mode with rings of eight; the driver has all receive buffers. */
static void start_plus(struct rtl8139_test *t, bool stream, uint32_t cpcr)
{
	plug(t, "", stream);
	set(t, CPCR, 2, RTL_CPCR_TX | RTL_CPCR_RX | cpcr);
	set(t, TSAD0, 4, TX_RING);
	set(t, TSAD0 + 4, 4, 0);
	set(t, RDSAR, 4, RX_RING);
	set(t, RDSAR + 4, 4, 0);
	set(t, CR, 1, 0x0c);
	set(t, RCR, 4, RTL_RCR_APM | RTL_RCR_AB);
	set(t, IMR, 2, 0xffff);
	nic_fixture_run(&t->f);
}

static void queue(struct rtl8139_test *t, uint64_t addr, uint32_t word0, uint32_t word1)
{
	uint64_t d = TX_RING + 16ull * t->tail;

	set_word(t, d + 4, word1);
	set_word(t, d + 8, (uint32_t)addr);
	set_word(t, d + 12, 0);
	set_word(t, d, RTL_OWN | (t->tail + 1 == RINGS ? RTL_EOR : 0) | word0);
	t->tail = (t->tail + 1) % RINGS;
}

static void poll_tx(struct rtl8139_test *t)
{
	set(t, TPPOLL, 1, 0x40);
	nic_fixture_run(&t->f);
}

static void put(struct rtl8139_test *t, unsigned int i, const uint8_t *data, size_t len)
{
	memcpy(t->f.fb.mem + NIC_BUF(i), data, len);
}

/* --- registers ----------------------------------------------------------------------------------------------------- */

static void test_identity(void **state)
{
	struct rtl8139_test *t = *state;

	plug(t, "", false);
	assert_int_equal(guest_pci_read(&t->f.fb, NET_SLOT, PCI_VENDOR_ID, 4), 0x813910ec);
	assert_int_equal(guest_pci_read(&t->f.fb, NET_SLOT, PCI_REVISION_ID, 1), 0x20);
	assert_int_equal(get(t, IDR0, 4), 0x00005452);
	assert_int_equal(get(t, IDR0 + 4, 2), 0x0100);
	assert_int_equal(get(t, TCR, 4) & 0x7cc00000, 0x74800000); /* 6.8: a C+ */
	assert_int_equal(get(t, CR, 1), 1);
	assert_int_equal(get(t, MSR, 1) & 4, 0);
	assert_int_equal(get(t, BMSR, 2), 0x786d);
	assert_int_equal(fake_in(&t->f.fb, (uint16_t)t->f.port, 4), 0x00005452);
}

/* Any width: a byte of a field, and an access to several of them */
static void test_widths(void **state)
{
	struct rtl8139_test *t = *state;

	plug(t, "", false);
	set(t, MAR0, 4, 0x44332211);
	set(t, MAR0 + 2, 1, 0x99);
	assert_int_equal(get(t, MAR0, 4), 0x44992211);
	assert_int_equal(get(t, MAR0 + 1, 1), 0x22);
	assert_int_equal(get(t, MAR0 + 2, 2), 0x4499);
	set(t, 0x38, 4, 0xffff1234); /* CAPR, and CBR, which cannot be written */
	assert_int_equal(get(t, 0x38, 4), 0x1234);
	set(t, 0x34, 4, 0x0c000000); /* CR is its last byte */
	assert_int_equal(get(t, CR, 1) & 0x0c, 0x0c);
	assert_int_equal(get(t, 0xff, 1), 0);
}

static unsigned int wire(struct rtl8139_test *t, unsigned int bit)
{
	set(t, CR9346, 1, 0x88 | bit << 1);
	set(t, CR9346, 1, 0x8c | bit << 1);
	return get(t, CR9346, 1) & 1;
}

static uint16_t read_eeprom(struct rtl8139_test *t, unsigned int w)
{
	unsigned int in = 6u << 6 | w, value = 0;

	set(t, CR9346, 1, 0x80);
	for (unsigned int i = 0; i < 9; i++)
		wire(t, in >> (8 - i) & 1);
	for (unsigned int i = 0; i < 16; i++)
		value = value << 1 | wire(t, 0);
	set(t, CR9346, 1, 0);
	return (uint16_t)value;
}

/* Section 7; and the lock of the configuration: 6.14 */
static void test_eeprom(void **state)
{
	struct rtl8139_test *t = *state;

	plug(t, "", false);
	assert_int_equal(read_eeprom(t, 0), 0x8129);
	assert_int_equal(read_eeprom(t, 2), 0x8139);
	assert_int_equal(read_eeprom(t, 7), 0x5452);
	assert_int_equal(read_eeprom(t, 9), 0x0100);
	set(t, IDR0, 4, 5);
	set(t, CONFIG1, 1, 0x20);
	assert_int_equal(get(t, IDR0, 4), 0x00005452);
	assert_int_equal(get(t, CONFIG1, 1), 0x0c);
	set(t, CR9346, 1, 0xc0);
	set(t, IDR0, 4, 5);
	set(t, CONFIG1, 1, 0x20);
	assert_int_equal(get(t, IDR0, 4), 5);
	assert_int_equal(get(t, CONFIG1, 1), 0x20);
	set(t, CR, 1, RTL_CR_RST); /* 6.7 */
	assert_int_equal(get(t, CR, 1), 1);
	assert_int_equal(get(t, IDR0, 4), 0x00005452);
	assert_int_equal(get(t, CONFIG1, 1), 0x0c);
}

static void test_interrupts(void **state)
{
	struct rtl8139_test *t = *state;

	start(t, 0);
	set(t, IMR, 2, 0);
	nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, 100);
	nic_fixture_arrive(&t->f, frame, 100);
	assert_int_equal(get(t, ISR, 2), RTL_INT_ROK);
	assert_false(nic_fixture_irq(&t->f));
	set(t, IMR, 2, RTL_INT_ROK);
	assert_true(nic_fixture_irq(&t->f));
	set(t, ISR, 2, ~RTL_INT_ROK & 0xffff);
	assert_true(nic_fixture_irq(&t->f));
	set(t, ISR, 1, RTL_INT_ROK); /* a byte of it */
	assert_false(nic_fixture_irq(&t->f));
	assert_int_equal(get(t, ISR, 2), 0);
}

static void test_link(void **state)
{
	AUTO_JSON struct json_object *down = NULL;
	struct rtl8139_test *t = *state;
	struct err e = { 0 };

	start(t, 0);
	assert_int_equal(json_parse("{\"link\":\"down\"}", 15, &down, &e), 0);
	assert_int_equal(t->f.dev->class->set(t->f.dev, down, &e), 1);
	assert_true(nic_fixture_irq(&t->f));
	assert_int_equal(get(t, ISR, 2), RTL_INT_LINK);
	assert_int_equal(get(t, MSR, 1) & 4, 4);
	assert_int_equal(get(t, BMSR, 2) & 0x24, 0);
	nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, 100);
	nic_fixture_arrive(&t->f, frame, 100);
	assert_int_equal(get(t, CBR, 2), 0);
	assert_false(nic_fixture_busy(&t->f));
}

/* --- the RTL8139's mode ---------------------------------------------------------------------------------------------- */

/* Section 6.4: four buffers, one after the other */
static void test_transmit(void **state)
{
	struct rtl8139_test *t = *state;

	start(t, 0);
	for (unsigned int i = 0; i < 10; i++) {
		size_t len = 60 + 150ul * i;

		nic_fixture_frame(frame, NIC_OTHER, NIC_OWN, len);
		put(t, i % 4, frame, len);
		set(t, TSAD0 + 4 * (i % 4), 4, (uint32_t)NIC_BUF(i % 4));
		assert_int_equal(get(t, TSD0 + 4 * (i % 4), 4) & RTL_TSD_OWN, RTL_TSD_OWN);
		set(t, TSD0 + 4 * (i % 4), 4, (uint32_t)len | 0x30000);
		nic_fixture_run(&t->f);
		assert_int_equal(nic_fixture_sent(&t->f, got, NULL), len);
		assert_memory_equal(got, frame, len);
		assert_int_equal(get(t, TSD0 + 4 * (i % 4), 4),
				 len | 0x30000 | RTL_TSD_OWN | RTL_TSD_TOK);
		assert_true(nic_fixture_irq(&t->f));
		set(t, ISR, 2, RTL_INT_TOK);
		assert_false(nic_fixture_irq(&t->f));
	}
	assert_int_equal(get(t, TSAD, 2) & 0xf00f, 0xf00f);
	/* a short one is filled up; one of another sender is lost */
	put(t, 2, frame, 20);
	set(t, TSD0 + 8, 4, 20);
	nic_fixture_run(&t->f);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 60);
	frame[11] = 9;
	put(t, 3, frame, 100);
	set(t, TSD0 + 12, 4, 100);
	nic_fixture_run(&t->f);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 0);
	/* from where there is no memory */
	set(t, TSAD0, 4, NET_MEM - 10);
	set(t, TSD0, 4, 100);
	nic_fixture_run(&t->f);
	assert_int_equal(get(t, TSD0, 4) & RTL_TSD_ABORT, RTL_TSD_ABORT);
	assert_int_equal(get(t, ISR, 2) & RTL_INT_TER, RTL_INT_TER);
}

/* What the ring of bytes has at `at`, over its end where wrap is not set */
static void expect_in_ring(struct rtl8139_test *t, uint32_t at, uint32_t ring, bool wrap,
			   size_t len)
{
	const uint8_t *mem = t->f.fb.mem + RX_BYTES;

	for (size_t i = 0; i < len; i++) {
		size_t off = at + 4 + i;

		assert_int_equal(mem[wrap ? off : off % ring], frame[i]);
	}
}

static void receive_round(struct rtl8139_test *t, bool wrap)
{
	uint32_t at = 0;

	for (unsigned int i = 0; i < 40; i++) {
		size_t len = 1000 + i;

		nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, len);
		nic_fixture_arrive(&t->f, frame, len);
		assert_int_equal(get(t, CR, 1) & 1, 0);
		assert_int_equal(word(t, RX_BYTES + at), (len + 4) << 16 | 0x4001);
		expect_in_ring(t, at, 8192, wrap, len);
		at = (uint32_t)(at + 4 + len + 4 + 3) / 4 * 4 % 8192;
		assert_int_equal(get(t, CBR, 2), at);
		set(t, CAPR, 2, (at - 16) & 0xffff);
		assert_int_equal(get(t, CR, 1) & 1, 1);
	}
}

static void test_receive(void **state)
{
	struct rtl8139_test *t = *state;

	start(t, 0);
	receive_round(t, false);
}

static void test_receive_wrap(void **state)
{
	struct rtl8139_test *t = *state;

	start(t, RTL_RCR_WRAP);
	receive_round(t, true);
}

/* A full ring: frames wait, and come when the driver has read. */
static void test_receive_full(void **state)
{
	struct rtl8139_test *t = *state;
	unsigned int n = 0;

	start(t, 0);
	nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, 1000);
	for (unsigned int i = 0; i < 10; i++)
		nic_fixture_arrive(&t->f, frame, 1000);
	n = get(t, CBR, 2) / 1008;
	assert_int_equal(n, 8);
	assert_int_equal(get(t, ISR, 2) & RTL_INT_RDU, RTL_INT_RDU);
	assert_false(nic_fixture_busy(&t->f));
	set(t, CAPR, 2, 1008 - 16);
	nic_fixture_run(&t->f);
	assert_int_equal(get(t, CBR, 2), 9 * 1008 % 8192);
	set(t, CAPR, 2, 2 * 1008 - 16);
	nic_fixture_run(&t->f);
	assert_int_equal(get(t, CBR, 2), 10 * 1008 % 8192);
	assert_false(nic_fixture_busy(&t->f));
}

static bool comes(struct rtl8139_test *t, const char *to)
{
	uint32_t before = get(t, CBR, 2), after;

	nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, 100);
	memcpy(frame, to, 6);
	nic_fixture_arrive(&t->f, frame, 100);
	after = get(t, CBR, 2);
	set(t, CAPR, 2, (after - 16) & 0xffff);
	return after != before;
}

/* Sections 6.2 and 6.9 */
static void test_filter(void **state)
{
	static const char multicast[] = "\x01\x00\x5e\x00\x00\x01"; /* ether_crc() >> 26 is 31 */
	struct rtl8139_test *t = *state;

	start(t, 0);
	assert_true(comes(t, "\x52\x54\0\0\0\1"));
	assert_false(comes(t, "\x52\x54\0\0\0\3"));
	assert_true(comes(t, "\xff\xff\xff\xff\xff\xff"));
	set(t, RCR, 4, RTL_RCR_AM);
	assert_false(comes(t, "\x52\x54\0\0\0\1"));
	assert_false(comes(t, "\xff\xff\xff\xff\xff\xff"));
	assert_false(comes(t, multicast));
	set(t, MAR0, 4, 1u << 31);
	assert_true(comes(t, multicast));
	set(t, MAR0, 4, ~(1u << 31));
	assert_false(comes(t, multicast));
	set(t, RCR, 4, RTL_RCR_AAP);
	assert_true(comes(t, "\x52\x54\0\0\0\3"));
	assert_true(comes(t, multicast));
	/* the address that was set, with the lock open */
	set(t, RCR, 4, RTL_RCR_APM);
	set(t, CR9346, 1, 0xc0);
	set(t, IDR0 + 4, 4, 0x0300);
	assert_true(comes(t, "\x52\x54\0\0\0\3"));
}

/* --- C+ mode --------------------------------------------------------------------------------------------------------- */

static void test_plus_transmit(void **state)
{
	struct rtl8139_test *t = *state;

	start_plus(t, false, 0);
	for (unsigned int i = 0; i < 20; i++) {
		size_t len = 60 + 70ul * i;
		uint64_t d = TX_RING + 16ull * t->tail;

		nic_fixture_frame(frame, NIC_OTHER, NIC_OWN, len);
		put(t, i % 8, frame, len);
		if (i % 3) {
			queue(t, NIC_BUF(i % 8), (uint32_t)len | RTL_FS | RTL_LS, 0);
		} else {
			queue(t, NIC_BUF(i % 8), 30 | RTL_FS, 0);
			queue(t, NIC_BUF(i % 8) + 30, ((uint32_t)len - 30) | RTL_LS, 0);
		}
		poll_tx(t);
		assert_int_equal(nic_fixture_sent(&t->f, got, NULL), len);
		assert_memory_equal(got, frame, len);
		assert_int_equal(word(t, d) & RTL_OWN, 0);
		assert_int_equal(get(t, ISR, 2), RTL_INT_TOK | RTL_INT_TDU);
		set(t, ISR, 2, 0xffff);
	}
}

/* Section 9.1.1: the card finds the headers, and makes the pseudo header's sum itself. */
static void test_plus_sums(void **state)
{
	struct rtl8139_test *t = *state;
	size_t size;

	start_plus(t, true, 0);
	size = nic_fixture_tcp(frame, false, 333);
	frame[16] = (uint8_t)((size - 14) >> 8);
	frame[17] = (uint8_t)(size - 14);
	frame[24] = frame[50] = 0xab; /* whatever the driver left there */
	put(t, 0, frame, size);
	queue(t, NIC_BUF(0), (uint32_t)size | RTL_FS | RTL_LS | 1 << 18 | 1 << 16, 0);
	poll_tx(t);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), size);
	assert_true(nic_fixture_sums_right(got, size));
	/* a short one, that was filled up by the driver: the sum ends where IP says */
	size = nic_fixture_tcp(frame, false, 6);
	frame[17] = 42;
	put(t, 0, frame, 60);
	queue(t, NIC_BUF(0), 60 | RTL_FS | RTL_LS | 1 << 18 | 1 << 16, 0);
	poll_tx(t);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 60);
	frame[17] = 46;
	put(t, 0, frame, 60);
	queue(t, NIC_BUF(0), 64 | RTL_FS | RTL_LS | 1 << 18 | 1 << 16, 0);
	poll_tx(t);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 64);
	assert_true(nic_fixture_sums_right(got, 60));
}

static void test_plus_large(void **state)
{
	struct rtl8139_test *t = *state;
	struct virtio_net_hdr_v1 hdr;
	size_t size;

	start_plus(t, false, 0);
	size = nic_fixture_tcp(frame, false, 20000);
	put(t, 0, frame, size);
	queue(t, NIC_BUF(0), 1000 | RTL_FS | 1 << 27 | 1448 << 16, 0);
	queue(t, NIC_BUF(0) + 1000, (uint32_t)(size - 1000) | RTL_LS | 1 << 27 | 1448 << 16, 0);
	poll_tx(t);
	assert_int_equal(nic_fixture_sent(&t->f, got, &hdr), size);
	/* where the segments' size was is a status */
	assert_int_equal(word(t, TX_RING), RTL_FS | 1000);
	assert_int_equal(word(t, TX_RING + 16), RTL_LS | (uint32_t)(size - 1000));
	assert_int_equal(hdr.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(hdr.gso_size, 1448);
	assert_int_equal(hdr.hdr_len, 54);
	assert_int_equal(hdr.csum_start, 34);
	assert_int_equal(hdr.csum_offset, 16);
	/* not TCP */
	frame[23] = 17;
	put(t, 0, frame, size);
	queue(t, NIC_BUF(0), (uint32_t)size | RTL_FS | RTL_LS | 1 << 27 | 1448 << 16, 0);
	poll_tx(t);
	assert_int_equal(nic_fixture_sent(&t->f, got, &hdr), 0);
	assert_int_equal(word(t, TX_RING + 32) & RTL_OWN, 0);
}

static void test_plus_tag(void **state)
{
	static const uint8_t tag[] = { 0x81, 0x00, 0x60, 0x07 };
	struct rtl8139_test *t = *state;

	start_plus(t, false, RTL_CPCR_TAGS);
	nic_fixture_frame(frame, NIC_OTHER, NIC_OWN, 100);
	put(t, 0, frame, 100);
	queue(t, NIC_BUF(0), 100 | RTL_FS | RTL_LS, 1 << 17 | 0x0760);
	poll_tx(t);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 104);
	assert_memory_equal(got + 12, tag, 4);
	assert_memory_equal(got + 16, frame + 12, 88);
	nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, 104);
	memcpy(frame + 12, tag, 4);
	give(t, 0, 2000);
	nic_fixture_arrive(&t->f, frame, 104);
	assert_int_equal(word(t, RX_RING) & 0x1fff, 104);
	assert_int_equal(word(t, RX_RING + 4), 1 << 16 | 0x0760);
	assert_memory_equal(t->f.fb.mem + RX_BUF(0) + 12, frame + 16, 88);
}

/* Section 9.2; a frame waits for a descriptor until the driver comes by */
static void test_plus_receive(void **state)
{
	struct rtl8139_test *t = *state;

	start_plus(t, false, 0);
	nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, 1000);
	nic_fixture_arrive(&t->f, frame, 1000);
	assert_false(nic_fixture_busy(&t->f));
	assert_int_equal(get(t, ISR, 2), RTL_INT_RDU);
	for (unsigned int i = 0; i < RINGS; i++)
		give(t, i, 1536);
	set(t, ISR, 2, RTL_INT_RDU);
	nic_fixture_run(&t->f);
	for (unsigned int i = 0; i < 20; i++) {
		unsigned int d = i % RINGS;

		assert_int_equal(word(t, RX_RING + 16ull * d), (d + 1 == RINGS ? RTL_EOR : 0) |
								       RTL_FS | RTL_LS | 1 << 25 |
								       (1000 + i + 4));
		assert_memory_equal(t->f.fb.mem + RX_BUF(d), frame, 1000 + i);
		assert_int_equal(get(t, ISR, 2), RTL_INT_ROK);
		set(t, ISR, 2, 0xffff);
		give(t, d, 1536);
		nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, 1001 + i);
		nic_fixture_arrive(&t->f, frame, 1001 + i);
	}
}

static void test_plus_receive_sums(void **state)
{
	struct rtl8139_test *t = *state, s = { 0 };
	size_t size;

	/* a frame with good sums: a card on a stream makes one */
	net_fixture_init(&s.f);
	start_plus(&s, true, 0);
	size = nic_fixture_tcp(frame, false, 500);
	put(&s, 0, frame, size);
	queue(&s, NIC_BUF(0), (uint32_t)size | RTL_FS | RTL_LS | 1 << 27 | 1000 << 16, 0);
	poll_tx(&s);
	assert_int_equal(nic_fixture_sent(&s.f, frame, NULL), size);
	net_fixture_fini(&s.f);
	memcpy(frame, "\x52\x54\0\0\0\1", 6);

	start_plus(t, false, RTL_CPCR_SUMS);
	for (unsigned int i = 0; i < RINGS; i++)
		give(t, i, 1536);
	nic_fixture_arrive(&t->f, frame, size);
	assert_int_equal(word(t, RX_RING) & 0x3e000, 1 << 16);
	frame[200] ^= 1;
	nic_fixture_arrive(&t->f, frame, size);
	assert_int_equal(word(t, RX_RING + 16) & 0x3e000, 1 << 16 | 1 << 13);
	frame[22] ^= 1;
	nic_fixture_arrive(&t->f, frame, size);
	assert_int_equal(word(t, RX_RING + 32) & 0x3e000, 3 << 16 | 1 << 15);
	set(t, CPCR, 2, RTL_CPCR_TX | RTL_CPCR_RX);
	nic_fixture_arrive(&t->f, frame, size);
	assert_int_equal(word(t, RX_RING + 48) & 0x3e000, 0);
}

static void test_tally(void **state)
{
	struct rtl8139_test *t = *state;

	start_plus(t, false, 0);
	give(t, 0, 1536);
	give(t, 1, 1536);
	nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, 100);
	nic_fixture_arrive(&t->f, frame, 100);
	memset(frame, 0xff, 6);
	nic_fixture_arrive(&t->f, frame, 100);
	set(t, TSD0 + 4, 4, 0);
	set(t, TSD0, 4, 0x3000 | 8);
	assert_int_equal(get(t, TSD0, 4), 0x3000); /* done */
	assert_int_equal(word(t, 0x3000 + 8), 2);
	assert_int_equal(word(t, 0x3000 + 40), 1);
	assert_int_equal(word(t, 0x3000 + 48), 1);
}

/* --- a guest that does what makes no sense --------------------------------------------------------------------------- */

static void test_bad_rings(void **state)
{
	static const uint32_t bad[] = { NET_MEM, NET_MEM - 0x100, 0xffffff00 };
	struct rtl8139_test *t = *state;

	start_plus(t, false, 0);
	nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, 100);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		set(t, TSAD0, 4, bad[i]);
		set(t, RDSAR, 4, bad[i]);
		set(t, RDSAR + 4, 4, i == 2 ? 0xffffffff : 0);
		poll_tx(t);
		nic_fixture_arrive(&t->f, frame, 100);
		assert_false(nic_fixture_busy(&t->f));
	}
	/* all descriptors are the card's for ever: none of them ends the ring */
	memset(t->f.fb.mem + TX_RING, 0xff, 0x1000);
	set(t, TSAD0, 4, TX_RING);
	poll_tx(t);
	assert_false(nic_fixture_busy(&t->f));
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 0);
	/* a buffer that is too small, one that is nowhere */
	set(t, RDSAR + 4, 4, 0);
	set(t, RDSAR, 4, RX_RING);
	give(t, 0, 50);
	set(t, ISR, 2, 0xffff);
	nic_fixture_run(&t->f);
	nic_fixture_arrive(&t->f, frame, 100);
	assert_int_equal(get(t, ISR, 2) & RTL_INT_RER, RTL_INT_RER);
	give(t, 0, 1536);
	set_word(t, RX_RING + 8, NET_MEM - 50);
	nic_fixture_arrive(&t->f, frame, 100);
	assert_int_equal(word(t, RX_RING) & RTL_OWN, RTL_OWN);
	assert_true(get(t, 0x4c, 4) >= 2);
}

/* In the other mode: a ring of bytes beyond the memory's end */
static void test_bad_bytes(void **state)
{
	struct rtl8139_test *t = *state;

	start(t, RTL_RCR_WRAP);
	set(t, RBSTART, 4, NET_MEM - 1000);
	nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, 1500);
	nic_fixture_arrive(&t->f, frame, 1500);
	assert_int_equal(get(t, CBR, 2), 0);
	assert_int_equal(get(t, 0x4c, 4), 1);
	set(t, RBSTART, 4, RX_BYTES);
	nic_fixture_arrive(&t->f, frame, 1500);
	assert_int_equal(get(t, CBR, 2), 1508);
	nic_fixture_arrive(&t->f, frame, 9000); /* longer than it can be */
	assert_int_equal(get(t, 0x4c, 4), 2);
	assert_false(nic_fixture_busy(&t->f));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_identity),	  TEST(test_widths),
		TEST(test_eeprom),	  TEST(test_interrupts),
		TEST(test_link),	  TEST(test_transmit),
		TEST(test_receive),	  TEST(test_receive_wrap),
		TEST(test_receive_full),  TEST(test_filter),
		TEST(test_plus_transmit), TEST(test_plus_sums),
		TEST(test_plus_large),	  TEST(test_plus_tag),
		TEST(test_plus_receive),  TEST(test_plus_receive_sums),
		TEST(test_tally),	  TEST(test_bad_rings),
		TEST(test_bad_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
