// SPDX-License-Identifier: MIT
/*
 * An 82540EM with a host behind it, 10.0.0.1 on a tap of whoever started this guest, which is 10.0.0.2: ARP, and ICMP echo of
 * several sizes, with the sums made by the card (317453, section 3.3.7) and its word that those of the answers are right
 * (3.2.9); by its interrupt pin. A frame of another sender than the card does not get out.
 */
#include "lib/ether.h"

#define VECTOR 0x40
#define RING 8
#define BUFFER_SIZE 2048

enum {
	CTRL = 0x0000,
	STATUS = 0x0008,
	EERD = 0x0014,
	ICR = 0x00c0,
	IMS = 0x00d0,
	RCTL = 0x0100,
	TCTL = 0x0400,
	RX_RING = 0x2800, /* base, its high half, length; head at 0x10, tail at 0x18 */
	TX_RING = 0x3800,
	RXCSUM = 0x5000,
};

struct desc {
	uint64_t addr;
	uint32_t word2, word3;
};

static struct desc rx[RING] __attribute__((aligned(16))), tx[RING] __attribute__((aligned(16)));
static uint8_t buffers[RING][BUFFER_SIZE], frame[BUFFER_SIZE], *got;
static uint8_t mac[6], host_mac[6];
static uint64_t regs;
static uint32_t seen, tail, got_status;
static volatile uint32_t causes;

static void acknowledge(unsigned int vector)
{
	if (vector == VECTOR)
		causes |= mmio_read32(regs + ICR);
}

static void ring(unsigned int at, struct desc *d)
{
	mmio_write32(regs + at, (uint32_t)(uint64_t)d);
	mmio_write32(regs + at + 4, 0);
	mmio_write32(regs + at + 8, RING * sizeof(*d));
	mmio_write32(regs + at + 0x10, 0);
	mmio_write32(regs + at + 0x18, 0);
}

static void setup(void)
{
	int slot = pci_find(0x100e8086, 0);

	CHECK(slot > 0);
	regs = pci_bar((unsigned int)slot, 0);
	pci_write((unsigned int)slot, 4, 7);
	mmio_write32(regs + CTRL, 1u << 26);
	CHECK_EQ(mmio_read32(regs + CTRL) >> 26 & 1, 0);
	CHECK_EQ(mmio_read32(regs + STATUS) & 3, 3);
	for (uint32_t i = 0; i < 3; i++) {
		uint32_t word;

		mmio_write32(regs + EERD, i << 8 | 1);
		word = mmio_read32(regs + EERD);
		CHECK(word & 0x10);
		mac[2 * i] = (uint8_t)(word >> 16);
		mac[2 * i + 1] = (uint8_t)(word >> 24);
	}
	CHECK_EQ(mac[0], 0x52);
	ring(RX_RING, rx);
	ring(TX_RING, tx);
	for (unsigned int i = 0; i < RING; i++)
		rx[i].addr = (uint64_t)buffers[i];
	mmio_write32(regs + RXCSUM, 0x300);
	interrupt_hook = acknowledge;
	ioapic_route(pci_read((unsigned int)slot, 0x3c) & 0xff, VECTOR, true);
	mmio_write32(regs + IMS, 0x81);
	mmio_write32(regs + TCTL, 1 << 1 | 1 << 3);
	mmio_write32(regs + RCTL, 1 << 1 | 1 << 15 | 1 << 26);
	mmio_write32(regs + RX_RING + 0x18, RING - 1);
}

static void queue(uint64_t addr, uint32_t word2, uint32_t word3)
{
	struct desc *d = &tx[tail % RING];

	*d = (struct desc){ addr, word2, word3 };
	tail++;
}

static void go(void)
{
	volatile struct desc *last = &tx[(tail - 1) % RING];

	barrier();
	mmio_write32(regs + TX_RING + 0x18, tail % RING);
	while (!(last->word3 & 1))
		__asm__ volatile("sti; hlt; cli" : : : "memory");
}

static uint32_t receive(void)
{
	volatile struct desc *d = &rx[seen % RING];
	uint32_t len;

	while (!(d->word3 & 1))
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	CHECK_EQ(d->word3 & 3, 3);
	CHECK_EQ(d->word3 >> 8 & 0xff, 0);
	got = buffers[seen % RING];
	got_status = d->word3;
	len = d->word2 & 0xffff;
	CHECK(len >= 60 && len <= BUFFER_SIZE);
	return len;
}

static void give_back(void)
{
	rx[seen % RING].word3 = 0;
	barrier();
	mmio_write32(regs + RX_RING + 0x18, seen++ % RING);
}

static void arp(const uint8_t *from)
{
	ether_arp(frame, from);
	queue((uint64_t)frame, ETHER_ARP_SIZE | 0x0bu << 24, 0);
	go();
}

static void arp_answer(void)
{
	while (receive(), !ether_arp_answer(got, mac, host_mac))
		give_back();
	give_back();
}

/* In so many parts; its sums, and IP's, are the card's to make. */
static void ping(uint8_t id, uint16_t data, uint32_t parts)
{
	uint32_t size = ether_ping(frame, host_mac, mac, id, data), each = size / parts;

	queue(14ull | 24 << 8 | 33 << 16 | 34ull << 32 | 36ull << 40, 0x20u << 24, 0);
	for (uint32_t i = 0; i < parts; i++) {
		bool last = i + 1 == parts;

		queue((uint64_t)frame + i * each,
		      (last ? size - i * each : each) | 1 << 20 | (last ? 0x2bu : 0x22u) << 24,
		      3 << 8);
	}
	go();
	while (receive(), !ether_ping_answer(got, frame, data))
		give_back();
	CHECK_EQ(got_status & 0x44, 0x40); /* IP's sum was looked at */
	give_back();
}

int guest_main(const struct start_info *si)
{
	static const uint8_t stranger[] = { 0x52, 0x54, 9, 9, 9, 9 };

	(void)si;
	interrupts_init();
	setup();
	arp(stranger); /* had it got out, its answer would be the next */
	arp(mac);
	arp_answer();
	ping(1, 18, 1);
	ping(2, 18, 3);
	ping(3, 1400, 2);
	for (uint8_t i = 4; i < 40; i++)
		ping(i, 56, 1);
	/* a fast card may have been through each time before the guest looked: what is due comes now */
	while ((causes & 0x81) != 0x81)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	return 0;
}
