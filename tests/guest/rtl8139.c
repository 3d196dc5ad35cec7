// SPDX-License-Identifier: MIT
/*
 * An RTL8139 as its first drivers know it, by I/O ports: four transmit buffers and a receive ring of bytes that goes
 * round. Behind it a host, 10.0.0.1 on a tap of whoever started this guest, which is 10.0.0.2: ARP, and ICMP echo of several
 * sizes, by its interrupt pin. A frame of another sender than the card does not get out.
 */
#include "lib/guest.h"

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

static const uint8_t host_ip[] = { 10, 0, 0, 1 }, own_ip[] = { 10, 0, 0, 2 };

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

static void ethernet(const uint8_t *to, const uint8_t *from, uint16_t type)
{
	memset(frame, 0, sizeof(frame));
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	frame[12] = (uint8_t)(type >> 8);
	frame[13] = (uint8_t)type;
}

/* RFC 826 */
static void arp(const uint8_t *from)
{
	static const uint8_t all[] = { 255, 255, 255, 255, 255, 255 };
	static const uint8_t request[] = { 0, 1, 8, 0, 6, 4, 0, 1 };

	ethernet(all, from, 0x0806);
	memcpy(frame + 14, request, sizeof(request));
	memcpy(frame + 22, from, 6);
	memcpy(frame + 28, own_ip, 4);
	memcpy(frame + 38, host_ip, 4);
	transmit(60);
}

static void arp_answer(void)
{
	while (receive(), got[12] != 8 || got[13] != 6 || got[21] != 2)
		;
	CHECK_EQ(memcmp(got, mac, 6), 0);
	CHECK_EQ(memcmp(got + 28, host_ip, 4), 0);
	memcpy(host_mac, got + 22, 6);
}

/* RFC 1071 */
static void sum(uint8_t *to, const uint8_t *p, uint32_t len)
{
	uint32_t s = 0;

	for (uint32_t i = 0; i < len; i++)
		s += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	to[0] = (uint8_t)(~s >> 8);
	to[1] = (uint8_t)~s;
}

/* RFC 792 */
static void ping(uint8_t id, uint16_t data)
{
	uint16_t total = (uint16_t)(28 + data);

	ethernet(host_mac, mac, 0x0800);
	frame[14] = 0x45;
	frame[16] = (uint8_t)(total >> 8);
	frame[17] = (uint8_t)total;
	frame[22] = 64;
	frame[23] = 1;
	memcpy(frame + 26, own_ip, 4);
	memcpy(frame + 30, host_ip, 4);
	sum(frame + 24, frame + 14, 20);
	frame[34] = 8;
	frame[39] = id;
	for (uint16_t i = 0; i < data; i++)
		frame[42 + i] = (uint8_t)(i * 3 + id);
	sum(frame + 36, frame + 34, 8u + data);
	transmit(14u + total);
	while (receive(), got[12] != 8 || got[13] != 0 || got[23] != 1)
		;
	CHECK_EQ(got[34], 0);
	CHECK_EQ(got[39], id);
	CHECK_EQ(memcmp(got + 42, frame + 42, data), 0);
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
	/* more than once round the ring */
	for (uint8_t i = 1; i < 25; i++)
		ping(i, (uint16_t)(18 + 50 * i));
	CHECK_EQ(causes & 5, 5);
	return 0;
}
