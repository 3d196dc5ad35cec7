// SPDX-License-Identifier: MIT
/*
 * As many frames as a network card moves: rings of 256 whose descriptors stay as they are, so that a frame costs this
 * side next to nothing. Says R when it is ready, B at the first frame, E when all have been, and sleeps. For tests/bench/net.c.
 *
 *	frames=N size=BYTES rx=1: to the guest, else from it
 */
#include "virtio.h"

#define VECTOR 0x50
#define SIZE 256u
#define HEADER 12u
#define FRAME_MAX 2048u
#define BATCH (SIZE / 2) /* half of the ring is the device's while the other half comes back */
#define F_EVENT_IDX (1ull << 29)
#define NET_F_GUEST_CSUM (1ull << 1)
#define NET_F_MAC (1ull << 5)
#define NET_F_MRG_RXBUF (1ull << 15)

enum { RX, TX };

struct ring {
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} desc[SIZE];
	volatile struct {
		uint16_t flags, idx, ring[SIZE], used_event;
	} avail;
	volatile struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[SIZE];
		uint16_t avail_event;
	} used __attribute__((aligned(4)));
} __attribute__((aligned(16)));

static struct ring rings[2];
static struct virtio card;
static uint64_t notify[2];
static uint8_t frames[SIZE][FRAME_MAX];
static uint32_t frame_size;

/* So many more are the device's; it is told if it wants to be. */
static void publish(unsigned int q, uint16_t n)
{
	struct ring *r = &rings[q];
	uint16_t from = r->avail.idx, to = (uint16_t)(from + n), event;

	barrier();
	r->avail.idx = to;
	barrier();
	event = r->used.avail_event;
	if ((uint16_t)(to - event - 1) < n)
		mmio_write16(notify[q], (uint16_t)q);
}

/* Sleep until the device has used all up to this index. */
static void wait_used(unsigned int q, uint16_t index)
{
	struct ring *r = &rings[q];

	r->avail.used_event = (uint16_t)(index - 1);
	barrier();
	while ((int16_t)(r->used.idx - index) < 0)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
}

static void setup(unsigned int q, bool writes)
{
	static const uint8_t head[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0,
					0,    0,    0,	  0,	0,    0x88, 0xb5 };
	struct ring *r = &rings[q];

	for (uint16_t i = 0; i < SIZE; i++) {
		memcpy(frames[i] + HEADER, head, sizeof(head));
		for (unsigned int b = 0; b < 6; b++)
			frames[i][HEADER + 6 + b] = mmio_read8(card.config + b);
		r->desc[i].addr = (uint64_t)frames[i];
		r->desc[i].len = writes ? FRAME_MAX : HEADER + frame_size;
		r->desc[i].flags = writes ? 2 : 0;
		r->avail.ring[i] = i;
	}
}

static void transmit(uint64_t count)
{
	uint16_t left = SIZE; /* of the ring, still ours */

	print("B");
	for (uint64_t done = 0; done < count; done += BATCH) {
		publish(TX, left);
		wait_used(TX, (uint16_t)(rings[TX].avail.idx - SIZE + BATCH));
		left = BATCH;
	}
}

/* At least a batch: how many, which are the device's again. */
static uint16_t receive_some(uint16_t seen)
{
	struct ring *r = &rings[RX];
	uint16_t n;

	wait_used(RX, (uint16_t)(seen + BATCH));
	n = (uint16_t)(r->used.idx - seen);
	/* used in order, so that the ring names the right ones again */
	CHECK_EQ(r->used.ring[seen % SIZE].id, seen % SIZE);
	CHECK_EQ(r->used.ring[seen % SIZE].len, HEADER + frame_size);
	publish(RX, n);
	return n;
}

static void receive(uint64_t count)
{
	uint16_t seen;

	publish(RX, SIZE);
	seen = receive_some(0); /* the sender is there */
	print("B");
	for (uint64_t done = 0; done < count;) {
		uint16_t n = receive_some(seen);

		done += n;
		seen = (uint16_t)(seen + n);
	}
}

int guest_main(const struct start_info *si)
{
	bool rx = cmdline_number(si, "rx", 0);
	uint64_t count = cmdline_number(si, "frames", 1000);

	frame_size = (uint32_t)cmdline_number(si, "size", 64);
	CHECK(frame_size <= FRAME_MAX - HEADER);
	interrupts_init();
	virtio_init(&card, VIRTIO_NET, 0,
		    F_EVENT_IDX | NET_F_MAC | NET_F_MRG_RXBUF | NET_F_GUEST_CSUM);
	virtio_msix(&card, 2, VECTOR);
	interrupt_only_wakes(VECTOR);
	interrupt_only_wakes(VECTOR + 1);
	for (unsigned int q = 0; q < 2; q++) {
		const struct vring_areas areas = { rings[q].desc, &rings[q].avail, &rings[q].used,
						   SIZE };

		notify[q] = virtio_ring(&card, q, &areas, (uint16_t)q);
	}
	setup(rx ? RX : TX, rx);
	virtio_start(&card);
	print("R");
	if (rx)
		receive(count);
	else
		transmit(count);
	print("E");
	for (;;)
		__asm__ volatile("cli; hlt");
}
