// SPDX-License-Identifier: MIT
/*
 * A network card with a host behind it: 10.0.0.1, a tap of whoever started this guest, which is 10.0.0.2. Who has
 * that address? (ARP), and is it there? (ICMP echo), with frames in one part and in several, received in one buffer
 * and in several (VIRTIO_NET_F_MRG_RXBUF). A frame from another sender than the card's does not get out.
 *
 *	mrg=1: with MRG_RXBUF	pairs=N: the card's	mtu=N
 */
#include "lib/ether.h"
#include "lib/virtio.h"

#define VECTOR 0x40
#define HEADER 12
#define BUFFERS VQ_SIZE
#define BUFFER_SIZE 2048
#define PART 200 /* with MRG_RXBUF */
#define NET_F_MTU (1ull << 3)
#define NET_F_MAC (1ull << 5)
#define NET_F_MRG_RXBUF (1ull << 15)
#define NET_F_STATUS (1ull << 16)
#define NET_F_CTRL_VQ (1ull << 17)
#define NET_F_CTRL_RX (1ull << 18)
#define NET_F_MQ (1ull << 22)

enum { RX, TX, CTRL };

static struct vq queues[3];
static struct virtio card;
static uint8_t buffers[BUFFERS][BUFFER_SIZE];
static uint8_t frame[BUFFER_SIZE], got[BUFFER_SIZE + 64];
static uint8_t mac[6], host_mac[6];
static uint32_t part;
static uint16_t seen; /* used receive buffers */

static void give(uint16_t i)
{
	struct vq *q = &queues[RX];

	q->desc[i].addr = (uint64_t)buffers[i];
	q->desc[i].len = part;
	q->desc[i].flags = 2;
	q->avail.ring[q->avail.idx % VQ_SIZE] = i;
	barrier();
	q->avail.idx++;
	barrier();
	mmio_write16(q->notify, q->index);
}

/* The next used buffer's bytes behind what is in got: how many there are. */
static uint32_t take(uint32_t have, uint32_t skip)
{
	struct vq *q = &queues[RX];
	uint32_t id, len;

	while (q->used.idx == seen)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	barrier();
	id = q->used.ring[seen % VQ_SIZE].id;
	len = q->used.ring[seen % VQ_SIZE].len;
	seen++;
	CHECK(id < BUFFERS && len <= part && len >= skip);
	CHECK(have + len <= sizeof(got));
	memcpy(got + have, buffers[id] + skip, len - skip);
	return have + len - skip;
}

/* A frame into got: its size. */
static uint32_t receive(void)
{
	uint16_t first = seen, n;
	uint32_t size = take(0, HEADER), id = queues[RX].used.ring[first % VQ_SIZE].id;

	n = (uint16_t)(buffers[id][10] | buffers[id][11] << 8);
	CHECK(n >= 1 && n <= BUFFERS);
	for (uint16_t i = 1; i < n; i++)
		size = take(size, 0);
	for (uint16_t i = 0; i < n; i++)
		give((uint16_t)queues[RX].used.ring[(first + i) % VQ_SIZE].id);
	return size;
}

static void transmit(uint32_t size, unsigned int parts)
{
	static const uint8_t header[HEADER];
	struct vq_part p[4] = { { header, HEADER, false } };
	uint32_t each = size / parts;

	for (unsigned int i = 0; i < parts; i++)
		p[i + 1] = (struct vq_part){ frame + i * each,
					     i + 1 == parts ? size - i * each : each, false };
	virtio_send(&queues[TX], p, parts + 1);
	CHECK_EQ(virtio_wait(&queues[TX]), 0);
}

static void arp_ask(const uint8_t *from)
{
	ether_arp(frame, from);
	transmit(ETHER_ARP_SIZE, 1);
}

/* Of what arrives, the host's own frames (IPv6 discovery and the like) are not for us. */
static void arp_answer(void)
{
	do
		CHECK(receive() >= 42);
	while (!ether_arp_answer(got, mac, host_mac));
}

/* In a frame of several parts; the answer is the same. */
static void ping(uint8_t id, uint16_t data, unsigned int parts)
{
	transmit(ether_ping_summed(frame, host_mac, mac, id, data), parts);
	do
		CHECK(receive() >= 42);
	while (!ether_ping_answer(got, frame, data));
}

static uint8_t ctrl(uint8_t class, uint8_t cmd, const void *data, uint32_t len)
{
	static uint8_t hdr[2], ack;
	const struct vq_part p[] = { { hdr, 2, false }, { data, len, false }, { &ack, 1, true } };

	hdr[0] = class;
	hdr[1] = cmd;
	ack = 0xee;
	virtio_send(&queues[CTRL], p, 3);
	CHECK_EQ(virtio_wait(&queues[CTRL]), 1);
	return *(volatile uint8_t *)&ack;
}

static void setup(bool mrg, unsigned int pairs, uint64_t mtu)
{
	uint64_t features = NET_F_MAC | NET_F_STATUS | NET_F_CTRL_VQ | NET_F_CTRL_RX |
			    (mrg ? NET_F_MRG_RXBUF : 0);

	part = mrg ? PART : BUFFER_SIZE;
	virtio_init(&card, VIRTIO_NET, 0, features);
	CHECK_EQ(card.features & features, features);
	CHECK_EQ(!!(card.features & NET_F_MQ), pairs > 1);
	CHECK_EQ(!!(card.features & NET_F_MTU), mtu != 0);
	for (unsigned int i = 0; i < 6; i++)
		mac[i] = mmio_read8(card.config + i);
	CHECK_EQ(mac[0], 0x52);
	CHECK_EQ(mmio_read16(card.config + 6), 1);
	CHECK_EQ(mmio_read16(card.config + 8), pairs);
	CHECK_EQ(mmio_read16(card.config + 10), mtu);
	virtio_msix(&card, 2, VECTOR);
	for (unsigned int i = 0; i < 3; i++)
		virtio_queue(&card, i, &queues[i], i ? 1 : 0);
	virtio_start(&card);
	for (uint16_t i = 0; i < BUFFERS; i++)
		give(i);
}

int guest_main(const struct start_info *si)
{
	static const uint8_t stranger[] = { 0x52, 0x54, 9, 9, 9, 9 };
	uint8_t off = 0;

	interrupts_init();
	setup(cmdline_number(si, "mrg", 0), (unsigned int)cmdline_number(si, "pairs", 1),
	      cmdline_number(si, "mtu", 0));
	CHECK_EQ(ctrl(0, 0, &off, 1), 0); /* no longer promiscuous */
	CHECK_EQ(ctrl(77, 0, &off, 1), 1);
	arp_ask(stranger); /* had it got out, its answer would be the next */
	arp_ask(mac);
	arp_answer();
	ping(1, 18, 1);
	ping(2, 18, 3);
	ping(3, 1000, 2);
	for (uint8_t i = 4; i < 40; i++)
		ping(i, 56, 1);
	interrupt_wait(VECTOR, 1);
	return 0;
}
