// SPDX-License-Identifier: MIT
/*
 * An RTL8139 as its first drivers know it, by I/O ports: four transmit buffers and a receive ring of bytes that goes
 * round. Behind it a host, 10.0.0.1 on a tap of whoever started this guest, which is 10.0.0.2: ARP, and ICMP echo of several
 * sizes, by its interrupt pin. A frame of another sender than the card does not get out.
 */
#include "lib/ether.h"

#define VECTOR 0x40
#define RING 8192
#define BUFFER 2048

enum {
	IDR = 0x00,
	TSD = 0x10,
	TSAD = 0x20,
	RBSTART = 0x30,
	CR = 0x37,
	CAPR = 0x38,
	IMR = 0x3c,
	ISR = 0x3e,
	RCR = 0x44
};

static uint8_t ring[RING + 16], out[4][BUFFER] __attribute__((aligned(4))), frame[BUFFER],
	got[BUFFER];
static uint8_t mac[6], host_mac[6];
static uint32_t at, sent; /* in the ring; frames */
static uint16_t port;
static volatile uint32_t causes;

static void acknowledge(unsigned int vector)
{
	uint16_t isr = inw((uint16_t)(port + ISR));

	if (vector != VECTOR)
		return;
	causes |= isr;
	outw((uint16_t)(port + ISR), isr);
}

static void setup(void)
{
	int slot = pci_find(0x813910ec, 0);

	CHECK(slot > 0);
	pci_write((unsigned int)slot, 4, 7);
	port = (uint16_t)(pci_read((unsigned int)slot, 0x10) & ~3u);
	outb((uint16_t)(port + CR), 0x10);
	CHECK_EQ(inb((uint16_t)(port + CR)) & 0x10, 0);
	for (uint16_t i = 0; i < 6; i++)
		mac[i] = inb((uint16_t)(port + IDR + i));
	CHECK_EQ(mac[0], 0x52);
	outl((uint16_t)(port + RBSTART), (uint32_t)(uint64_t)ring);
	interrupt_hook = acknowledge;
	ioapic_route(pci_read((unsigned int)slot, 0x3c) & 0xff, VECTOR, true);
	outb((uint16_t)(port + CR), 0x0c);
	outl((uint16_t)(port + RCR), 0x0a);
	outw((uint16_t)(port + IMR), 5);
}

static void transmit(uint32_t size)
{
	uint16_t i = (uint16_t)(4 * (sent % 4));

	memcpy(out[sent % 4], frame, size);
	sent++;
	outl((uint16_t)(port + TSAD + i), (uint32_t)(uint64_t)out[i / 4]);
	outl((uint16_t)(port + TSD + i), size);
	while (!(inl((uint16_t)(port + TSD + i)) & 1 << 13))
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	CHECK(inl((uint16_t)(port + TSD + i)) & 1 << 15);
}

static uint8_t ring_byte(uint32_t off)
{
	return ((volatile uint8_t *)ring)[(at + off) % RING];
}

/* The next frame into got: its size. */
static uint32_t receive(void)
{
	uint32_t len;

	while (inb((uint16_t)(port + CR)) & 1)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	CHECK_EQ(ring_byte(0) & 1, 1);
	len = (uint32_t)(ring_byte(2) | ring_byte(3) << 8);
	CHECK(len >= 64 && len <= 1518);
	for (uint32_t i = 0; i < len - 4; i++)
		got[i] = ring_byte(4 + i);
	at = ((at + 4 + len + 3) & ~3u) % RING;
	outw((uint16_t)(port + CAPR), (uint16_t)(at - 16));
	return len - 4;
}

static void arp(const uint8_t *from)
{
	ether_arp(frame, from);
	transmit(ETHER_ARP_SIZE);
}

static void ping(uint8_t id, uint16_t data)
{
	transmit(ether_ping_summed(frame, host_mac, mac, id, data));
	while (receive(), !ether_ping_answer(got, frame, data))
		;
}

int guest_main(const struct start_info *si)
{
	static const uint8_t stranger[] = { 0x52, 0x54, 9, 9, 9, 9 };

	(void)si;
	interrupts_init();
	setup();
	arp(stranger); /* had it got out, its answer would be the next */
	arp(mac);
	while (receive(), !ether_arp_answer(got, mac, host_mac))
		;
	/* more than once round the ring */
	for (uint8_t i = 1; i < 25; i++)
		ping(i, (uint16_t)(18 + 50 * i));
	/* a fast card may have been through each time before the guest looked: what is due comes now */
	while ((causes & 5) != 5)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	return 0;
}
