// SPDX-License-Identifier: MIT
/* The 82540EM by its registers and rings, between a driver and a fake tap. Sections are of Intel's 317453. */
#include <linux/pci_regs.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/json.h"
#include "tests/lib/test.h"
#include "tests/unit/nic_fixture.h"
#include "vmm/dev/e1000.h"

#define RING 16
#define TX_RING 0x10000
#define RX_RING 0x20000
#define EOP 0x01u
#define IFCS 0x02u
#define TSE 0x04u
#define RS 0x08u
#define DEXT 0x20u
#define VLE 0x40u
#define RX_BUF(i) NIC_BUF(16 + (i))

struct e1000_test {
	struct nic_fixture f;
	unsigned int tail; /* of the transmit ring */
};

static uint8_t frame[70000], got[70000];

static uint32_t get(struct e1000_test *t, unsigned int reg)
{
	return (uint32_t)fake_mmio_read(&t->f.fb, t->f.mem + reg, 4);
}

static void set(struct e1000_test *t, unsigned int reg, uint32_t val)
{
	fake_mmio_write(&t->f.fb, t->f.mem + reg, 4, val);
}

static int setup(void **state)
{
	struct e1000_test *t = calloc(1, sizeof(*t));

	nic_fixture_init(&t->f);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct e1000_test *t = *state;

	nic_fixture_fini(&t->f);
	free(t);
	return 0;
}

static void plug(struct e1000_test *t, const char *members, bool stream)
{
	nic_fixture_plug(&t->f, "e1000", members, stream, 0, 2);
}

/* Both rings; the driver has all receive buffers until give(). */
static void start(struct e1000_test *t, const char *members, bool stream, uint32_t rctl)
{
	plug(t, members, stream);
	set(t, E1000_TDBAL, TX_RING);
	set(t, E1000_TDLEN, RING * 16);
	set(t, E1000_TCTL, E1000_TCTL_EN | E1000_TCTL_PSP);
	set(t, E1000_RDBAL, RX_RING);
	set(t, E1000_RDLEN, RING * 16);
	for (unsigned int i = 0; i < RING; i++) {
		uint64_t addr = RX_BUF(i);

		memcpy(t->f.fb.mem + RX_RING + 16ul * i, &addr, sizeof(addr));
	}
	set(t, E1000_RCTL, E1000_RCTL_EN | E1000_RCTL_BAM | rctl);
	set(t, E1000_IMS, E1000_INT_RXT0 | E1000_INT_TXDW | E1000_INT_LSC);
	nic_fixture_run(&t->f);
}

/* A descriptor of 16 bytes at the end of the transmit ring; sent with the next TDT. */
static unsigned int queue(struct e1000_test *t, uint64_t low, uint32_t command, uint32_t status)
{
	uint8_t *d = t->f.fb.mem + TX_RING + 16ul * t->tail;
	unsigned int at = t->tail;

	memcpy(d, &low, 8);
	memcpy(d + 8, &command, 4);
	memcpy(d + 12, &status, 4);
	t->tail = (t->tail + 1) % RING;
	return at;
}

static void go(struct e1000_test *t)
{
	set(t, E1000_TDT, t->tail);
	nic_fixture_run(&t->f);
}

static uint8_t *put(struct e1000_test *t, unsigned int i, const uint8_t *data, size_t len)
{
	return memcpy(t->f.fb.mem + NIC_BUF(i), data, len);
}

static void legacy(struct e1000_test *t, size_t len)
{
	put(t, 0, frame, len);
	queue(t, NIC_BUF(0), (uint32_t)len | (EOP | IFCS | RS) << 24, 0);
	go(t);
}

static void context(struct e1000_test *t, const uint8_t low[8], bool tse, uint16_t mss,
		    uint8_t header)
{
	uint64_t word;

	memcpy(&word, low, 8);
	queue(t, word, (DEXT | (tse ? TSE : 0) | 3) << 24, (uint32_t)mss << 16 | header << 8);
}

static void data(struct e1000_test *t, uint64_t addr, size_t len, uint32_t command, uint32_t popts)
{
	queue(t, addr, (uint32_t)len | 1 << 20 | (DEXT | RS | IFCS | command) << 24, popts << 8);
}

static uint8_t done(struct e1000_test *t, unsigned int desc)
{
	return t->f.fb.mem[TX_RING + 16ul * desc + 12] & 1;
}

/* --- identity ---------------------------------------------------------------------------------------------------- */

static void test_identity(void **state)
{
	struct e1000_test *t = *state;

	plug(t, "", false);
	assert_int_equal(guest_pci_read(&t->f.fb, NIC_SLOT, PCI_VENDOR_ID, 4), 0x100e8086);
	assert_int_equal(guest_pci_read(&t->f.fb, NIC_SLOT, PCI_CLASS_DEVICE, 2), 0x0200);
	assert_int_equal(guest_pci_read(&t->f.fb, NIC_SLOT, PCI_INTERRUPT_PIN, 1), 1);
	assert_int_equal(get(t, E1000_STATUS) & 0xc3, 0x83); /* 13.4.2: up, 1000, full */
	assert_int_equal(get(t, E1000_RA), 0x00005452);	     /* 5.6.1: as the EEPROM has it */
	assert_int_equal(get(t, E1000_RA + 4), 0x80000100);
	assert_int_equal(get(t, 0x1f000), 0); /* nothing there */
	assert_int_equal(t->f.net.offload, 0);
}

/* Sections 5.6 and 13.4.4 */
static void test_eerd(void **state)
{
	struct e1000_test *t = *state;
	uint16_t sum = 0;

	plug(t, "", false);
	for (uint32_t i = 0; i < 64; i++) {
		set(t, E1000_EERD, i << 8 | 1);
		assert_int_equal(get(t, E1000_EERD) & 0xff1f, i << 8 | 0x10);
		sum = (uint16_t)(sum + (get(t, E1000_EERD) >> 16));
	}
	assert_int_equal(sum, 0xbaba);
	set(t, E1000_EERD, 2 << 8 | 1);
	assert_int_equal(get(t, E1000_EERD) >> 16, 0x0100);
	set(t, E1000_EERD, 0x0d << 8 | 1);
	assert_int_equal(get(t, E1000_EERD) >> 16, 0x100e);
	set(t, E1000_EERD, 0xff01); /* beyond: wraps */
	assert_int_equal(get(t, E1000_EERD) & 0x10, 0x10);
	set(t, E1000_EERD, 0);
	assert_int_equal(get(t, E1000_EERD) & 0x10, 0);
}

static unsigned int wire(struct e1000_test *t, unsigned int bit)
{
	set(t, E1000_EECD, 0x42 | bit << 2);
	set(t, E1000_EECD, 0x43 | bit << 2);
	return get(t, E1000_EECD) >> 3 & 1;
}

/* Section 5.2: start, opcode 10, six bits of address; a 0, and the word */
static void test_microwire(void **state)
{
	static const uint16_t words[] = { 0x5452, 0x0000, 0x0100 };
	struct e1000_test *t = *state;

	plug(t, "", false);
	set(t, E1000_EECD, 0x40);
	assert_int_equal(get(t, E1000_EECD) & 0x3c0, 0x1c0); /* present, granted, 64 words */
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
		set(t, E1000_EECD, 0x40);
	}
	for (unsigned int i = 0; i < 60; i++) /* a write: it is ready, and nothing has changed */
		wire(t, i < 3 ? 0x5 >> (2 - i) & 1 : 0);
	set(t, E1000_EECD, 0x40);
	set(t, E1000_EECD, 0x42);
	assert_true(get(t, E1000_EECD) & 8);
	set(t, E1000_EERD, 1);
	assert_int_equal(get(t, E1000_EERD) >> 16, 0x5452);
}

static uint32_t phy(struct e1000_test *t, unsigned int reg)
{
	set(t, E1000_MDIC, 2u << 26 | 1 << 21 | reg << 16);
	assert_int_equal(get(t, E1000_MDIC) >> 28, 1);
	return get(t, E1000_MDIC) & 0xffff;
}

/* Sections 8 and 13.4.7 */
static void test_phy(void **state)
{
	struct e1000_test *t = *state;

	plug(t, "", false);
	assert_int_equal(phy(t, 2), 0x0141);
	assert_int_equal(phy(t, 3), 0x0c20);
	assert_int_equal(phy(t, 1) & 0x24, 0x24);
	assert_int_equal(phy(t, 17) & 0xec00, 0xac00);
	set(t, E1000_MDIC, 1u << 26 | 1 << 21 | 4 << 16 | 0x1234);
	assert_int_equal(phy(t, 4), 0x1234);
	set(t, E1000_MDIC, 1u << 26 | 1 << 21 | 2 << 16 | 0xffff);
	assert_int_equal(phy(t, 2), 0x0141);		 /* its identity stays */
	set(t, E1000_MDIC, 1u << 26 | 1 << 21 | 0x8000); /* reset: done at once */
	assert_int_equal(phy(t, 0) & 0x8000, 0);
	assert_int_equal(phy(t, 4), 0x0de1);
	set(t, E1000_MDIC, 2u << 26 | 3 << 21); /* another address: nobody there */
	assert_int_equal(get(t, E1000_MDIC) >> 28, 5);
}

/* Section 13.2: Linux resets by way of the I/O window */
static void test_io_and_reset(void **state)
{
	struct e1000_test *t = *state;

	start(t, "", false, 0);
	set(t, E1000_MTA, 5);
	set(t, E1000_RA, 5);
	fake_out(&t->f.fb, (uint16_t)t->f.port, 4, E1000_STATUS);
	assert_int_equal(fake_in(&t->f.fb, (uint16_t)t->f.port + 4, 4) & 3, 3);
	fake_out(&t->f.fb, (uint16_t)t->f.port, 4, 0xffffffff);
	assert_int_equal(fake_in(&t->f.fb, (uint16_t)t->f.port + 4, 4), 0);
	fake_out(&t->f.fb, (uint16_t)t->f.port, 4, E1000_CTRL);
	fake_out(&t->f.fb, (uint16_t)t->f.port + 4, 4, E1000_CTRL_RST);
	assert_int_equal(get(t, E1000_CTRL) & E1000_CTRL_RST, 0);
	assert_int_equal(get(t, E1000_RA), 0x00005452);
	assert_int_equal(get(t, E1000_MTA), 0);
	assert_int_equal(get(t, E1000_RCTL), 0);
	assert_int_equal(get(t, E1000_IMS), 0);
	assert_int_equal(get(t, E1000_RDLEN), 0);
}

/* --- from the guest ------------------------------------------------------------------------------------------------- */

static void test_transmit(void **state)
{
	struct e1000_test *t = *state;
	struct virtio_net_hdr_v1 hdr;

	start(t, "", false, 0);
	for (unsigned int i = 0; i < 40; i++) {
		size_t len = 60 + 33ul * i;

		nic_fixture_frame(frame, NIC_OTHER, NIC_OWN, len);
		legacy(t, len);
		assert_int_equal(nic_fixture_sent(&t->f, got, &hdr), len);
		assert_memory_equal(got, frame, len);
		assert_int_equal(hdr.flags | hdr.gso_type, 0);
		assert_true(done(t, i % RING));
		assert_int_equal(get(t, E1000_TDH), t->tail);
		assert_true(nic_fixture_irq(&t->f));
		assert_int_equal(get(t, E1000_ICR) & 3, E1000_INT_TXDW | E1000_INT_TXQE);
		assert_false(nic_fixture_irq(&t->f));
	}
	assert_int_equal(get(t, E1000_GPTC), 40); /* 13.7: reading clears */
	assert_int_equal(get(t, E1000_GPTC), 0);
}

/* Several descriptors are one frame, and short ones are filled up (13.4.33, PSP). */
static void test_transmit_parts(void **state)
{
	struct e1000_test *t = *state;

	start(t, "", false, 0);
	nic_fixture_frame(frame, NIC_OTHER, NIC_OWN, 1000);
	put(t, 0, frame, 1000);
	queue(t, NIC_BUF(0), 13 | IFCS << 24, 0);
	queue(t, NIC_BUF(0) + 13, 0 | IFCS << 24, 0);
	queue(t, NIC_BUF(0) + 13, 900 | IFCS << 24, 0);
	go(t);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 0); /* not yet */
	queue(t, NIC_BUF(0) + 913, 87 | (EOP | RS) << 24, 0);
	queue(t, NIC_BUF(0), 20 | (EOP | RS) << 24, 0);
	go(t);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 1000);
	assert_memory_equal(got, frame, 1000);
	memset(frame + 20, 0, 40);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 60);
	assert_memory_equal(got, frame, 60);
	assert_false(done(t, 0)); /* without RS */
	assert_true(done(t, 3));
}

static void test_spoofing(void **state)
{
	struct e1000_test *t = *state;

	start(t, "", false, 0);
	nic_fixture_frame(frame, NIC_OTHER, 7, 100);
	legacy(t, 100);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 0);
	assert_true(done(t, 0));
}

static void test_spoofing_allowed(void **state)
{
	struct e1000_test *t = *state;

	start(t, ",\"spoofing\":true", false, 0);
	nic_fixture_frame(frame, NIC_OTHER, 7, 100);
	legacy(t, 100);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 100);
}

/* Section 3.3.3: CSS and CSO of a legacy descriptor */
static void test_legacy_sum(void **state)
{
	struct e1000_test *t = *state;
	size_t size;

	start(t, "", false, 0);
	size = nic_fixture_tcp(frame, false, 101);
	frame[16] = 0;
	frame[17] = (uint8_t)(size - 14);
	put(t, 0, frame, size);
	/* the sum of IP's header alone is what it makes of 14 up to 34: cut there */
	queue(t, NIC_BUF(0), 34 | (14 + 10) << 16 | (EOP | RS | 4) << 24, 14 << 8);
	go(t);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 60);
	assert_int_equal(nic_fixture_add(0, got + 14, 20), 0xffff);
}

static const uint8_t tcp4[8] = { 14, 24, 33, 0, 34, 50, 0, 0 },
		     tcp6[8] = { 14, 0, 0, 0, 54, 70, 0, 0 };

/* Section 3.3.7: IXSM is made here, TXSM is the tap's */
static void test_sum(void **state)
{
	struct e1000_test *t = *state;
	struct virtio_net_hdr_v1 hdr;
	size_t size;

	start(t, "", false, 0);
	size = nic_fixture_tcp(frame, false, 1000);
	frame[16] = (uint8_t)((size - 14) >> 8);
	frame[17] = (uint8_t)(size - 14);
	put(t, 0, frame, size);
	context(t, tcp4, false, 0, 0);
	data(t, NIC_BUF(0), size, EOP, 3);
	go(t);
	assert_int_equal(nic_fixture_sent(&t->f, got, &hdr), size);
	assert_int_equal(hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(hdr.gso_type, 0);
	assert_int_equal(hdr.csum_start, 34);
	assert_int_equal(hdr.csum_offset, 16);
	assert_int_equal(nic_fixture_add(0, got + 14, 20), 0xffff);
	data(t, NIC_BUF(0), size, EOP, 0); /* the context stays; not asked for */
	go(t);
	assert_int_equal(nic_fixture_sent(&t->f, got, &hdr), size);
	assert_int_equal(hdr.flags, 0);
	assert_memory_equal(got, frame, size);
}

/* A sum over a part is made here; one that lies outside of the frame is none. */
static void test_sum_end(void **state)
{
	struct e1000_test *t = *state;
	struct virtio_net_hdr_v1 hdr;

	start(t, "", false, 0);
	nic_fixture_frame(frame, NIC_OTHER, NIC_OWN, 100);
	memset(frame + 20, 0, 80);
	frame[20] = 0x12;
	frame[31] = 0x34;
	put(t, 0, frame, 100);
	context(t, (const uint8_t[8]){ 0, 0, 0, 0, 20, 40, 31, 0 }, false, 0, 0);
	data(t, NIC_BUF(0), 100, EOP, 2);
	context(t, (const uint8_t[8]){ 0, 0, 0, 0, 20, 99, 0, 0 }, false, 0, 0);
	data(t, NIC_BUF(0), 100, EOP, 2);
	context(t, (const uint8_t[8]){ 200, 210, 220, 0, 30, 20, 0, 0 }, false, 0, 0);
	data(t, NIC_BUF(0), 100, EOP, 2);
	data(t, NIC_BUF(0), 100, EOP, 1);
	go(t);
	assert_int_equal(nic_fixture_sent(&t->f, got, &hdr), 100);
	assert_int_equal(got[40] << 8 | got[41], 0xedcb);
	assert_int_equal(hdr.flags, 0);
	/* two are lost, and the last is sent as it is */
	assert_int_equal(nic_fixture_sent(&t->f, got, &hdr), 100);
	assert_memory_equal(got, frame, 100);
	assert_int_equal(nic_fixture_sent(&t->f, got, &hdr), 0);
}

static void send_tso(struct e1000_test *t, size_t size, bool v6, uint16_t mss)
{
	uint8_t header = v6 ? 74 : 54;

	put(t, 0, frame, size);
	context(t, v6 ? tcp6 : tcp4, true, mss, header);
	data(t, NIC_BUF(0), header, TSE, 3);
	data(t, NIC_BUF(0) + header, size - header, EOP | TSE, 3);
	go(t);
}

/* Section 3.5: the tap cuts */
static void test_tso(void **state)
{
	struct e1000_test *t = *state;
	struct virtio_net_hdr_v1 hdr;
	uint32_t sum;
	size_t size;

	start(t, "", false, 0);
	for (int v6 = 0; v6 < 2; v6++) {
		size = nic_fixture_tcp(frame, v6, 60000);
		send_tso(t, size, v6, 1460);
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

	start(t, "", false, 0);
	send_tso(t, nic_fixture_tcp(frame, false, 1460), false, 1460);
	assert_int_equal(nic_fixture_sent(&t->f, got, &hdr), 1514);
	assert_int_equal(hdr.gso_type, 0);
	assert_int_equal(hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
}

/* Where nobody else does, it is cut here: lengths, numbers, flags and sums of each segment. */
static void test_tso_stream(void **state)
{
	struct e1000_test *t = *state;
	size_t size, len, at;

	start(t, "", true, 0);
	for (int v6 = 0; v6 < 2; v6++) {
		size_t header = v6 ? 74 : 54, tcp = header - 20;
		uint32_t seq = 0xffffff00, n = 0;

		size = nic_fixture_tcp(frame, v6, 5001);
		send_tso(t, size, v6, 1000);
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

	start(t, "", true, 0);
	size = nic_fixture_tcp(frame, false, 333);
	frame[16] = (uint8_t)((size - 14) >> 8);
	frame[17] = (uint8_t)(size - 14);
	/* the driver's part: the pseudo header's sum, 0a00 + 0002 + 0a00 + 0001 + 6 + 353 */
	frame[50] = 0x15;
	frame[51] = 0x6a;
	put(t, 0, frame, size);
	context(t, tcp4, false, 0, 0);
	data(t, NIC_BUF(0), size, EOP, 3);
	go(t);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), size);
	assert_true(nic_fixture_sums_right(got, size));
}

static void test_bad_tso(void **state)
{
	struct e1000_test *t = *state;
	size_t size;

	start(t, "", false, 0);
	size = nic_fixture_tcp(frame, false, 3000);
	send_tso(t, size, false, 0);
	send_tso(t, size, false, 47);  /* not TCP's */
	send_tso(t, size, true, 1000); /* headers that are not there */
	frame[46] = 0xf0;	       /* options that are not in the header */
	send_tso(t, size, false, 1000);
	size = nic_fixture_tcp(frame, false, 65500); /* longer than IP can say */
	send_tso(t, size, false, 1460);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 0);
	send_tso(t, nic_fixture_tcp(frame, false, 3000), false, 1000);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 3054);
}

/* Section 9.2, and sums behind the tag */
static void test_tag(void **state)
{
	static const uint8_t tag[] = { 0x81, 0x00, 0x60, 0x07 };
	struct e1000_test *t = *state;
	struct virtio_net_hdr_v1 hdr;
	size_t size;

	start(t, "", false, 0);
	set(t, E1000_VET, 0x8100);
	set(t, E1000_CTRL, E1000_CTRL_VME);
	size = nic_fixture_tcp(frame, false, 100);
	put(t, 0, frame, size);
	context(t, tcp4, false, 0, 0);
	queue(t, NIC_BUF(0), (uint32_t)size | 1 << 20 | (DEXT | RS | EOP | VLE) << 24,
	      0x6007u << 16 | 2 << 8);
	go(t);
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

	plug(t, "", false);
	assert_int_equal(setsockopt(t->f.net.ours[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)),
			 0);
	set(t, E1000_TDBAL, TX_RING);
	set(t, E1000_TDLEN, RING * 16);
	set(t, E1000_TCTL, E1000_TCTL_EN);
	for (uint8_t i = 0; i < RING - 1; i++) {
		nic_fixture_frame(frame, i, NIC_OWN, 3000);
		put(t, i, frame, 3000);
		queue(t, NIC_BUF(i), 3000 | (EOP | RS) << 24, 0);
	}
	go(t);
	assert_false(nic_fixture_busy(&t->f));
	assert_int_not_equal(get(t, E1000_TDH), t->tail);
	t->f.dev->class->stop(t->f.dev);
	t->f.dev->class->start(t->f.dev);
	for (uint8_t i = 0; i < RING - 1; i++) {
		nic_fixture_run(&t->f);
		nic_fixture_frame(frame, i, NIC_OWN, 3000);
		assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 3000);
		assert_memory_equal(got, frame, 3000);
	}
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 0);
	assert_false(nic_fixture_busy(&t->f));
}

/* --- to the guest --------------------------------------------------------------------------------------------------- */

struct rx_desc {
	uint64_t addr;
	uint16_t len, sum;
	uint8_t status, errors;
	uint16_t special;
};

static struct rx_desc *rx(struct e1000_test *t, unsigned int i)
{
	return (struct rx_desc *)(void *)(t->f.fb.mem + RX_RING) + i;
}

static void test_receive(void **state)
{
	struct e1000_test *t = *state;

	start(t, "", false, 0);
	set(t, E1000_RDT, RING - 1);
	for (unsigned int i = 0; i < 40; i++) {
		unsigned int d = i % RING;
		size_t len = 60 + 30ul * i;

		nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, len);
		nic_fixture_arrive(&t->f, frame, len);
		assert_int_equal(rx(t, d)->status, 7); /* DD, EOP, no sums */
		assert_int_equal(rx(t, d)->errors, 0);
		assert_int_equal(rx(t, d)->len, len + 4);
		assert_memory_equal(t->f.fb.mem + RX_BUF(d), frame, len);
		assert_int_equal(get(t, E1000_RDH), (i + 1) % RING);
		assert_true(nic_fixture_irq(&t->f));
		assert_true(get(t, E1000_ICR) & E1000_INT_RXT0);
		rx(t, d)->status = 0;
		set(t, E1000_RDT, d);
	}
	assert_int_equal(get(t, E1000_GPRC), 40);
	/* a short one is filled up, as on a wire; SECRC leaves the FCS out */
	set(t, E1000_RCTL, get(t, E1000_RCTL) | E1000_RCTL_SECRC);
	nic_fixture_arrive(&t->f, frame, 20);
	assert_int_equal(rx(t, 8)->len, 60);
}

/* Several buffers for a frame, and a frame that waits for them: nobody spins, nothing is lost. */
static void test_receive_parts(void **state)
{
	struct e1000_test *t = *state;

	start(t, "", false, 3 << 16 | E1000_RCTL_SECRC); /* 256 bytes each */
	set(t, E1000_RDT, 3);
	nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, 1000);
	nic_fixture_arrive(&t->f, frame, 1000);
	nic_fixture_arrive(&t->f, frame, 100);
	assert_false(nic_fixture_busy(&t->f));
	assert_int_equal(get(t, E1000_RDH), 0);
	set(t, E1000_RDT, 4);
	nic_fixture_run(&t->f);
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(rx(t, i)->status & 3, i < 3 ? 1 : 3);
		assert_int_equal(rx(t, i)->len, i < 3 ? 256 : 232);
		assert_memory_equal(t->f.fb.mem + RX_BUF(i), frame + 256ul * i, rx(t, i)->len);
	}
	assert_int_equal(get(t, E1000_RDH), 4);
	set(t, E1000_RDT, 5);
	nic_fixture_run(&t->f);
	assert_int_equal(get(t, E1000_RDH), 5);
	assert_int_equal(rx(t, 4)->len, 100);
	assert_false(nic_fixture_busy(&t->f));
}

/* Which one comes through: section 3.2.1 */
static bool comes(struct e1000_test *t, const char *to)
{
	uint32_t head = get(t, E1000_RDH);

	nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, 100);
	memcpy(frame, to, 6);
	nic_fixture_arrive(&t->f, frame, 100);
	set(t, E1000_RDT, (get(t, E1000_RDH) + RING - 1) % RING);
	return get(t, E1000_RDH) != head;
}

static void test_filter(void **state)
{
	static const char multicast[] = "\x01\x00\x5e\x00\x00\xfb";
	struct e1000_test *t = *state;

	start(t, "", false, 0);
	set(t, E1000_RDT, RING - 1);
	assert_true(comes(t, "\x52\x54\0\0\0\1"));
	assert_false(comes(t, "\x52\x54\0\0\0\3"));
	assert_false(comes(t, multicast));
	assert_true(comes(t, "\xff\xff\xff\xff\xff\xff"));
	set(t, E1000_RA + 8, 0x00005452); /* a second address */
	set(t, E1000_RA + 12, 0x80000300);
	assert_true(comes(t, "\x52\x54\0\0\0\3"));
	set(t, E1000_RA + 12, 0x00000300);
	assert_false(comes(t, "\x52\x54\0\0\0\3"));
	/* 13.5.1: bits 47:36 of the address: 0xfb0 */
	set(t, E1000_MTA + (0xfb0 >> 5) * 4, 1u << (0xfb0 & 31));
	assert_true(comes(t, multicast));
	set(t, E1000_RCTL, (get(t, E1000_RCTL) & ~E1000_RCTL_BAM) | 3 << 12); /* bits 43:32 */
	assert_false(comes(t, multicast));
	assert_false(comes(t, "\xff\xff\xff\xff\xff\xff"));
	set(t, E1000_MTA + (0xb00 >> 5) * 4, 1u << (0xb00 & 31));
	assert_true(comes(t, multicast));
	set(t, E1000_RCTL, get(t, E1000_RCTL) | E1000_RCTL_UPE);
	assert_true(comes(t, "\x52\x54\0\0\0\3"));
	assert_false(comes(t, "\x01\x00\x5e\x00\x00\x01"));
	set(t, E1000_RCTL, get(t, E1000_RCTL) | E1000_RCTL_MPE);
	assert_true(comes(t, "\x01\x00\x5e\x00\x00\x01"));
}

/* Sections 9.3 and 9.4 */
static void test_receive_tag(void **state)
{
	struct e1000_test *t = *state;

	start(t, "", false, E1000_RCTL_VFE);
	set(t, E1000_VET, 0x8100);
	set(t, E1000_RDT, RING - 1);
	nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, 104);
	memcpy(frame + 12, "\x81\x00\x60\x07", 4);
	nic_fixture_arrive(&t->f, frame, 104);
	assert_int_equal(get(t, E1000_RDH), 0); /* not of the table */
	set(t, E1000_VFTA, 1 << 7);
	nic_fixture_arrive(&t->f, frame, 104);
	assert_int_equal(rx(t, 0)->len, 108);
	assert_int_equal(rx(t, 0)->status & 8, 0);
	set(t, E1000_CTRL, E1000_CTRL_VME);
	nic_fixture_arrive(&t->f, frame, 104);
	assert_int_equal(rx(t, 1)->len, 104);
	assert_int_equal(rx(t, 1)->status & 8, 8);
	assert_int_equal(rx(t, 1)->special, 0x6007);
	assert_memory_equal(t->f.fb.mem + RX_BUF(1), frame, 12);
	assert_memory_equal(t->f.fb.mem + RX_BUF(1) + 12, frame + 16, 88);
}

/* Section 3.2.9 */
static void test_receive_sums(void **state)
{
	struct e1000_test *t = *state, s = { 0 };
	size_t size;

	/* a frame with good sums: a card on a stream makes one */
	nic_fixture_init(&s.f);
	start(&s, "", true, 0);
	send_tso(&s, nic_fixture_tcp(frame, false, 500), false, 1000);
	size = nic_fixture_sent(&s.f, frame, NULL);
	nic_fixture_fini(&s.f);
	assert_int_equal(size, 554);
	memcpy(frame, "\x52\x54\0\0\0\1", 6);

	start(t, "", false, 0);
	set(t, E1000_RXCSUM, 0x300);
	set(t, E1000_RDT, RING - 1);
	nic_fixture_arrive(&t->f, frame, size);
	assert_int_equal(rx(t, 0)->status, 0x63); /* both sums, DD, EOP */
	assert_int_equal(rx(t, 0)->errors, 0);
	frame[200] ^= 1;
	nic_fixture_arrive(&t->f, frame, size);
	assert_int_equal(rx(t, 1)->status, 0x63);
	assert_int_equal(rx(t, 1)->errors, 0x20);
	frame[200] ^= 1;
	frame[22] ^= 1; /* the time to live */
	nic_fixture_arrive(&t->f, frame, size);
	assert_int_equal(rx(t, 2)->status, 0x43);
	assert_int_equal(rx(t, 2)->errors, 0x40);
	frame[22] ^= 1;
	set(t, E1000_RXCSUM, 0);
	nic_fixture_arrive(&t->f, frame, size);
	assert_int_equal(rx(t, 3)->status, 7);
	set(t, E1000_RXCSUM, 0x300);
	frame[17]++; /* longer than the frame */
	nic_fixture_arrive(&t->f, frame, size);
	assert_int_equal(rx(t, 4)->status, 7);
}

/* 1522 bytes with tag and FCS, more with LPE: section 13.4.22 */
static void test_long(void **state)
{
	struct e1000_test *t = *state;

	start(t, "", false, 0);
	set(t, E1000_RDT, RING - 1);
	nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, 16381);
	nic_fixture_arrive(&t->f, frame, 1519);
	assert_int_equal(get(t, E1000_RDH), 0);
	assert_int_equal(get(t, E1000_ROC), 1);
	nic_fixture_arrive(&t->f, frame, 1518);
	assert_int_equal(get(t, E1000_RDH), 1);
	set(t, E1000_RCTL, get(t, E1000_RCTL) | E1000_RCTL_LPE);
	nic_fixture_arrive(&t->f, frame, 16381);
	assert_int_equal(get(t, E1000_RDH), 1);
	nic_fixture_arrive(&t->f, frame, 16380);
	assert_int_equal(get(t, E1000_RDH), 9);
	assert_memory_equal(t->f.fb.mem + RX_BUF(8), frame + 7 * 2048, 2044);
}

/* --- interrupts and the cable --------------------------------------------------------------------------------------- */

static void test_masks(void **state)
{
	struct e1000_test *t = *state;

	start(t, "", false, 0);
	set(t, E1000_IMC, 0xffffffff);
	assert_int_equal(get(t, E1000_IMS), 0);
	set(t, E1000_ICS, E1000_INT_RXT0);
	assert_false(nic_fixture_irq(&t->f));
	set(t, E1000_IMS, E1000_INT_RXT0);
	assert_true(nic_fixture_irq(&t->f));
	set(t, E1000_IMC, E1000_INT_RXT0);
	assert_false(nic_fixture_irq(&t->f));
	set(t, E1000_IMS, E1000_INT_RXT0);
	assert_true(nic_fixture_irq(&t->f));
	assert_int_equal(get(t, E1000_ICR), E1000_INT_RXT0);
	assert_false(nic_fixture_irq(&t->f));
	assert_int_equal(get(t, E1000_ICR), 0);
}

/* Section 13.4.18: 256 ns a unit between two of them */
static void test_moderation(void **state)
{
	struct e1000_test *t = *state;

	start(t, "", false, 0);
	set(t, E1000_ITR, 1000); /* 256 us */
	fake_board_advance(&t->f.fb, 1000000);
	set(t, E1000_ICS, E1000_INT_RXT0);
	assert_true(nic_fixture_irq(&t->f));
	get(t, E1000_ICR);
	assert_false(nic_fixture_irq(&t->f));
	set(t, E1000_ICS, E1000_INT_RXT0);
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

	start(t, "", false, 0);
	set(t, E1000_RDT, RING - 1);
	set_link(t, "{\"link\":\"up\"}", 0);
	set_link(t, "{\"link\":\"down\"}", 1);
	assert_true(nic_fixture_irq(&t->f));
	assert_true(get(t, E1000_ICR) & E1000_INT_LSC);
	assert_int_equal(get(t, E1000_STATUS) & 2, 0);
	assert_int_equal(phy(t, 1) & 0x24, 0);
	nic_fixture_frame(frame, NIC_OTHER, NIC_OWN, 100);
	legacy(t, 100);
	assert_true(done(t, 0)); /* it goes nowhere */
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 0);
	nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, 100);
	nic_fixture_arrive(&t->f, frame, 100);
	assert_false(nic_fixture_busy(&t->f));
	set_link(t, "{\"link\":\"up\"}", 1);
	assert_true(get(t, E1000_ICR) & E1000_INT_LSC);
	assert_int_equal(get(t, E1000_RDH), 0); /* what came meanwhile is lost */
	nic_fixture_arrive(&t->f, frame, 100);
	assert_int_equal(get(t, E1000_RDH), 1);
}

static void test_tap_gone(void **state)
{
	struct e1000_test *t = *state;

	start(t, "", false, 0);
	close(t->f.net.taps[0]);
	t->f.net.taps[0] = -1;
	nic_fixture_run(&t->f);
	assert_int_equal(t->f.fb.nnotices, 1);
	assert_string_equal(t->f.fb.notice, "device: net0: its network is gone; the link is down");
	assert_true(get(t, E1000_ICR) & E1000_INT_LSC);
	assert_false(nic_fixture_busy(&t->f));
	set_link(t, "{\"link\":\"up\"}", -ERR_INVALID);
}

/* --- a guest that does what makes no sense --------------------------------------------------------------------------- */

static void test_bad_rings(void **state)
{
	static const uint32_t bad[][4] = {
		/* TDBAL, TDBAH, TDLEN, TDT */
		{ NIC_MEM, 0, RING * 16, 3 },		{ NIC_MEM - 128, 0, RING * 16, 3 },
		{ 0xfffffff0, 0xffffffff, 0xfff80, 3 }, { TX_RING, 0, RING * 16, RING },
		{ TX_RING, 0, RING * 16, 0xffff },	{ TX_RING, 0, 0, 3 },
	};
	struct e1000_test *t = *state;

	start(t, "", false, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		for (unsigned int rx_ring = 0; rx_ring < 2; rx_ring++) {
			unsigned int less = rx_ring ? 0x1000 : 0;

			set(t, E1000_TDBAL - less, bad[i][0]);
			set(t, E1000_TDBAH - less, bad[i][1]);
			set(t, E1000_TDLEN - less, bad[i][2]);
			set(t, E1000_TDT - less, bad[i][3]);
		}
		nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, 100);
		nic_fixture_arrive(&t->f, frame, 100);
		assert_false(nic_fixture_busy(&t->f));
		assert_int_equal(get(t, E1000_TDH), 0);
		assert_int_equal(get(t, E1000_RDH), 0);
	}
	set(t, E1000_TDH, 20); /* a head that is not in its ring */
	set(t, E1000_TDBAL, TX_RING);
	set(t, E1000_TDBAH, 0);
	set(t, E1000_TDLEN, RING * 16);
	set(t, E1000_TDT, 3);
	assert_false(nic_fixture_busy(&t->f));
	/* and all is well when it is */
	set(t, E1000_TDH, 0);
	set(t, E1000_TDT, 0);
	nic_fixture_frame(frame, NIC_OTHER, NIC_OWN, 100);
	legacy(t, 100);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 100);
}

/* A packet without an end is bounded, and the next one is whole. */
static void test_endless_packet(void **state)
{
	struct e1000_test *t = *state;

	start(t, "", false, 0);
	for (unsigned int i = 0; i < 100; i++) {
		data(t, NIC_BUF(0), 0xfffff, 0, 0);
		data(t, NIC_BUF(0), 60000, 0, 0);
		go(t);
	}
	assert_false(nic_fixture_busy(&t->f));
	nic_fixture_frame(frame, NIC_OTHER, NIC_OWN, 100);
	legacy(t, 100); /* its end */
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 0);
	legacy(t, 100);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 100);
	/* from where there is no memory */
	queue(t, NIC_MEM - 50, 100 | (EOP | RS) << 24, 0);
	go(t);
	assert_int_equal(nic_fixture_sent(&t->f, got, NULL), 0);
}

static void test_bad_buffers(void **state)
{
	struct e1000_test *t = *state;

	start(t, "", false, 0);
	rx(t, 0)->addr = NIC_MEM - 50;
	rx(t, 1)->addr = 0;
	set(t, E1000_RDT, 3);
	memset(t->f.fb.mem, 0xee, 100);
	nic_fixture_frame(frame, NIC_OWN, NIC_OTHER, 100);
	nic_fixture_arrive(&t->f, frame, 100);
	nic_fixture_arrive(&t->f, frame, 100);
	nic_fixture_arrive(&t->f, frame, 100);
	assert_int_equal(rx(t, 0)->errors, 0x80);
	assert_int_equal(rx(t, 1)->errors, 0x80);
	assert_int_equal(rx(t, 2)->errors, 0);
	assert_int_equal(t->f.fb.mem[0], 0xee);
	/* no bus master: nothing moves */
	guest_pci_write(&t->f.fb, NIC_SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	nic_fixture_arrive(&t->f, frame, 100);
	legacy(t, 100);
	assert_int_equal(get(t, E1000_RDH), 3);
	assert_int_equal(get(t, E1000_TDH), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_identity),
		TEST(test_eerd),
		TEST(test_microwire),
		TEST(test_phy),
		TEST(test_io_and_reset),
		TEST(test_transmit),
		TEST(test_transmit_parts),
		TEST(test_spoofing),
		TEST(test_spoofing_allowed),
		TEST(test_legacy_sum),
		TEST(test_sum),
		TEST(test_sum_end),
		TEST(test_tso),
		TEST(test_tso_small),
		TEST(test_tso_stream),
		TEST(test_sum_stream),
		TEST(test_bad_tso),
		TEST(test_tag),
		TEST(test_tap_full),
		TEST(test_receive),
		TEST(test_receive_parts),
		TEST(test_filter),
		TEST(test_receive_tag),
		TEST(test_receive_sums),
		TEST(test_long),
		TEST(test_masks),
		TEST(test_moderation),
		TEST(test_link),
		TEST(test_tap_gone),
		TEST(test_bad_rings),
		TEST(test_endless_packet),
		TEST(test_bad_buffers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
