// SPDX-License-Identifier: MIT
/* The virtio network card between its queues and a fake tap: what moves frames. (test_virtio_net_{ctrl,link,vhost}.c: the rest) */
#include <linux/pci_regs.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/test.h"
#include "tests/unit/net_fixture.h"

#define ALL_PARTS 3

static uint8_t frames[4][70000];

static void test_identity(void **state)
{
	struct net_fixture *f = *state;
	struct virtio_net_config c;
	uint64_t features;

	net_plug_taps(f, 1, false, "\"mtu\":1400");
	net_start(f, 0, 3);
	assert_int_equal(guest_pci_read(&f->fb, NET_SLOT, PCI_DEVICE_ID, 2), 0x1041);
	assert_int_equal(guest_pci_read(&f->fb, NET_SLOT, PCI_CLASS_DEVICE, 2), 0x0200);
	assert_int_equal(guest_virtio_read(&f->g, 18, 2), 3); /* queues */
	for (unsigned int i = 0; i < 17; i++)
		((uint8_t *)&c)[i] = (uint8_t)fake_mmio_read(&f->fb, f->g.device + i, 1);
	assert_memory_equal(c.mac, "\x52\x54\0\0\0\1", 6);
	assert_int_equal(c.status, VIRTIO_NET_S_LINK_UP);
	assert_int_equal(c.max_virtqueue_pairs, 1);
	assert_int_equal(c.mtu, 1400);
	assert_int_equal(c.duplex, 1);
	features = guest_virtio_features(&f->g);
	assert_int_equal(features & BIT64(VIRTIO_NET_F_MQ), 0);
	assert_true(features & BIT64(VIRTIO_NET_F_MTU));
	assert_true(features & BIT64(VIRTIO_NET_F_HOST_TSO6));
	assert_int_equal(f->net.header, NET_HDR);
}

static void test_transmit(void **state)
{
	struct net_fixture *f = *state;

	net_plug_taps(f, 1, false, "");
	net_start(f, 0, 3);
	for (unsigned int i = 0; i < 3; i++) {
		net_frame(frames[i], NET_OTHER, NET_OWN, 60 + 500 * i);
		net_queue_frame(f, TX, (uint16_t)(4 * i), i, frames[i], 60 + 500 * i, i + 1);
	}
	net_kick(f, TX);
	for (unsigned int i = 0; i < 3; i++) {
		net_expect_sent(f, 0, frames[i], 60 + 500 * i);
		net_expect_used(f, TX, (uint16_t)(4 * i), 0);
	}
	net_expect_none(f, TX);
	assert_int_equal(guest_virtio_irqs(&f->g, TX + 1), 1); /* one for all three */
}

/* However the driver cuts it, also in the middle of the header and of the addresses */
static void test_transmit_cut(void **state)
{
	struct net_fixture *f = *state;
	size_t size = net_frame(frames[0], NET_OTHER, NET_OWN, 14);

	net_plug_taps(f, 1, false, "");
	net_start(f, 0, 3);
	for (unsigned int parts = 1; parts <= 13; parts++) {
		net_queue_frame(f, TX, 0, 0, frames[0], size, parts);
		net_kick(f, TX);
		net_expect_sent(f, 0, frames[0], size);
		net_expect_used(f, TX, 0, 0);
	}
}

static void test_spoofing(void **state)
{
	struct net_fixture *f = *state;

	net_plug_taps(f, 1, false, "");
	net_start(f, 0, 3);
	net_frame(frames[0], NET_OWN, NET_OTHER, 64);
	net_frame(frames[1], NET_OTHER, NET_OWN, 64);
	net_queue_frame(f, TX, 0, 0, frames[0], 64, 1);
	net_queue_frame(f, TX, 1, 1, frames[1], 13, 1); /* not even both addresses and a type */
	net_queue_frame(f, TX, 2, 2, frames[1], 64, 1);
	net_kick(f, TX);
	net_expect_sent(f, 0, frames[1], 64);
	net_expect_nothing_sent(f, 0);
	assert_int_equal(net_used(f, TX), 3);
}

static void test_spoofing_allowed(void **state)
{
	struct net_fixture *f = *state;

	net_plug_taps(f, 1, false, "\"spoofing\":true");
	net_start(f, 0, 3);
	net_frame(frames[0], NET_OWN, NET_OTHER, 1514);
	net_queue_frame(f, TX, 0, 0, frames[0], 1514, ALL_PARTS);
	net_kick(f, TX);
	net_expect_sent(f, 0, frames[0], 1514);
}

static void test_huge_frame_is_lost(void **state)
{
	struct net_fixture *f = *state;

	net_plug_taps(f, 1, false, "");
	net_start(f, 0, 3);
	net_frame(frames[0], NET_OTHER, NET_OWN, 65553);
	net_frame(frames[1], NET_OTHER, NET_OWN, 65554);
	net_queue_frame(f, TX, 0, 0, frames[1], 65554, 2);
	net_queue_frame(f, TX, 2, 1, frames[0], 65553, 2);
	net_kick(f, TX);
	net_expect_sent(f, 0, frames[0], 65553);
	net_expect_nothing_sent(f, 0);
	assert_int_equal(net_used(f, TX), 2);
}

/* The tap takes no more: the rest waits in its order, and the worker sleeps. */
static void test_tap_full(void **state)
{
	struct net_fixture *f = *state;
	unsigned int taken = 0;
	int size = 1;

	net_plug_taps(f, 1, false, "");
	assert_int_equal(setsockopt(f->net.ours[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	net_start(f, 0, 3);
	for (unsigned int i = 0; i < GUEST_VIRTIO_RING_SIZE; i++) {
		net_frame(frames[0], NET_OTHER, NET_OWN, 1000 + i);
		net_queue_frame(f, TX, (uint16_t)i, i, frames[0], 1000 + i, 1);
	}
	net_kick(f, TX);
	taken = net_used(f, TX);
	assert_in_range(taken, 1, GUEST_VIRTIO_RING_SIZE - 1);
	assert_false(net_busy(f));
	for (unsigned int i = 0; i < GUEST_VIRTIO_RING_SIZE; i++) {
		net_frame(frames[0], NET_OTHER, NET_OWN, 1000 + i);
		net_expect_sent(f, 0, frames[0], 1000 + i);
		fake_board_run(&f->fb);
		fake_board_run(&f->fb);
	}
	assert_int_equal(net_used(f, TX), GUEST_VIRTIO_RING_SIZE - taken);
	assert_false(net_busy(f));
}

/* The tap goes while a frame waits for it: the driver gets all of its buffers back. */
static void test_tap_full_and_gone(void **state)
{
	struct net_fixture *f = *state;
	unsigned int taken;
	int size = 1;

	net_plug_taps(f, 1, false, "");
	assert_int_equal(setsockopt(f->net.ours[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	net_start(f, 0, 3);
	net_frame(frames[0], NET_OTHER, NET_OWN, 2000);
	for (unsigned int i = 0; i < GUEST_VIRTIO_RING_SIZE; i++)
		net_queue_frame(f, TX, (uint16_t)i, i, frames[0], 2000, 1);
	net_kick(f, TX);
	taken = net_used(f, TX);
	assert_in_range(taken, 1, GUEST_VIRTIO_RING_SIZE - 1);
	close(f->net.taps[0]); /* with what it had not read: an error, as of a tap */
	f->net.taps[0] = -1;
	fake_board_run(&f->fb);
	fake_board_run(&f->fb);
	assert_int_equal(net_used(f, TX), GUEST_VIRTIO_RING_SIZE - taken);
	assert_false(net_busy(f));
}

/* What waits for the tap goes back to the queue with a pause, and out after it. */
static void test_tap_full_and_pause(void **state)
{
	struct net_fixture *f = *state;
	unsigned int n = 0;
	int size = 1;

	net_plug_taps(f, 1, false, "");
	assert_int_equal(setsockopt(f->net.ours[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	net_start(f, 0, 3);
	net_frame(frames[0], NET_OTHER, NET_OWN, 2000);
	for (; n < GUEST_VIRTIO_RING_SIZE; n++)
		net_queue_frame(f, TX, (uint16_t)n, n, frames[0], 2000, 1);
	net_kick(f, TX);
	f->dev->class->stop(f->dev);
	f->dev->class->start(f->dev);
	for (n = 0; n < GUEST_VIRTIO_RING_SIZE; n++) {
		net_expect_sent(f, 0, frames[0], 2000);
		fake_board_run(&f->fb);
		fake_board_run(&f->fb);
	}
	net_expect_nothing_sent(f, 0);
	assert_int_equal(net_used(f, TX), GUEST_VIRTIO_RING_SIZE);
}

static void test_receive(void **state)
{
	struct net_fixture *f = *state;

	net_plug_taps(f, 1, false, "");
	net_start(f, 0, 3);
	for (uint16_t i = 0; i < 4; i++)
		net_give(f, RX, i, i, 1526);
	net_kick(f, RX);
	net_expect_none(f, RX);
	for (unsigned int i = 0; i < 3; i++) {
		net_frame(frames[i], NET_OWN, NET_OTHER, 60 + 727 * i);
		net_arrive(f, 0, frames[i], 60 + 727 * i);
		net_expect_received(f, RX, (uint16_t)i, i, frames[i], 60 + 727 * i);
		assert_int_equal(guest_virtio_irqs(&f->g, RX + 1), 1);
	}
	net_expect_none(f, RX);
	assert_false(net_busy(f));
}

/* A burst is one interrupt. */
static void test_receive_batch(void **state)
{
	struct net_fixture *f = *state;
	static const uint8_t hdr[NET_HDR];

	net_plug_taps(f, 1, false, "");
	net_start(f, 0, 3);
	for (uint16_t i = 0; i < 8; i++)
		net_give(f, RX, i, i, 1526);
	net_kick(f, RX);
	net_frame(frames[0], NET_OWN, NET_OTHER, 60);
	memcpy(frames[1], hdr, NET_HDR);
	memcpy(frames[1] + NET_HDR, frames[0], 60);
	for (unsigned int i = 0; i < 8; i++)
		assert_int_equal(send(f->net.taps[0], frames[1], NET_HDR + 60, 0), NET_HDR + 60);
	fake_board_run(&f->fb);
	for (uint16_t i = 0; i < 8; i++)
		net_expect_received(f, RX, i, i, frames[0], 60);
	assert_int_equal(guest_virtio_irqs(&f->g, RX + 1), 1);
}

/* Without MRG_RXBUF a frame has one buffer: what does not fit is lost, and the buffer is for the next one. */
static void test_receive_too_long(void **state)
{
	struct net_fixture *f = *state;

	net_plug_taps(f, 1, false, "");
	net_start(f, 0, 3);
	net_give(f, RX, 0, 0, NET_HDR + 100);
	net_give(f, RX, 1, 1, NET_HDR + 100);
	net_kick(f, RX);
	net_frame(frames[0], NET_OWN, NET_OTHER, 101);
	net_frame(frames[1], NET_OWN, NET_OTHER, 100);
	net_arrive(f, 0, frames[0], 101);
	net_expect_none(f, RX);
	net_arrive(f, 0, frames[1], 100);
	net_expect_received(f, RX, 0, 0, frames[1], 100);
	net_expect_none(f, RX);
}

/* No buffers: frames wait in the tap, and nobody looks at it. */
static void test_receive_without_buffers(void **state)
{
	struct net_fixture *f = *state;

	net_plug_taps(f, 1, false, "");
	net_start(f, 0, 3);
	net_frame(frames[0], NET_OWN, NET_OTHER, 60);
	net_arrive(f, 0, frames[0], 60);
	assert_false(net_busy(f));
	net_give(f, RX, 3, 0, 1526);
	net_kick(f, RX);
	net_expect_received(f, RX, 3, 0, frames[0], 60);
	net_arrive(f, 0, frames[0], 60);
	assert_false(net_busy(f));
	net_give(f, RX, 4, 1, 1526);
	net_kick(f, RX);
	net_expect_received(f, RX, 4, 1, frames[0], 60);
}

/* The frame in buffers of part bytes, from descriptor and buffer first on. */
static void expect_merged(struct net_fixture *f, unsigned int first, const uint8_t *frame,
			  size_t size, uint32_t part)
{
	const struct virtio_net_hdr_v1 *hdr = (const void *)(f->fb.mem + NET_BUF(first));
	size_t left = NET_HDR + size, at = 0;
	unsigned int n = 0;

	while (left) {
		size_t len = left < part ? left : part, skip = n ? 0 : NET_HDR;

		net_expect_used(f, RX, (uint16_t)(first + n), (uint32_t)len);
		assert_memory_equal(f->fb.mem + NET_BUF(first + n) + skip, frame + at, len - skip);
		at += len - skip;
		left -= len;
		n++;
	}
	assert_int_equal(hdr->num_buffers, n);
}

static void test_mergeable(void **state)
{
	static const size_t sizes[] = { 60, 500 - NET_HDR, 501 - NET_HDR, 1514 };
	struct net_fixture *f = *state;
	unsigned int first = 0;

	net_plug_taps(f, 1, false, "");
	net_start(f, BIT64(VIRTIO_NET_F_MRG_RXBUF), 3);
	for (uint16_t i = 0; i < 16; i++)
		net_give(f, RX, i, i, 500);
	net_kick(f, RX);
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		net_frame(frames[0], NET_OWN, NET_OTHER, sizes[i]);
		net_arrive(f, 0, frames[0], sizes[i]);
		expect_merged(f, first, frames[0], sizes[i], 500);
		first += (unsigned int)((NET_HDR + sizes[i] + 499) / 500);
		assert_int_equal(guest_virtio_irqs(&f->g, RX + 1), 1);
	}
	net_expect_none(f, RX);
}

/* Buffers as small as they may be: addresses and all are where the window ends. */
static void test_mergeable_tiny(void **state)
{
	struct net_fixture *f = *state;

	net_plug_taps(f, 1, false, "");
	net_start(f, BIT64(VIRTIO_NET_F_MRG_RXBUF), 3);
	net_frame(frames[0], NET_OWN, NET_OTHER, 100);
	net_give(f, RX, 0, 0, NET_HDR);
	net_kick(f, RX);
	net_arrive(f, 0, frames[0], 100);
	net_expect_none(f, RX);
	assert_false(net_busy(f));
	for (uint16_t i = 1; i < 12; i++)
		net_give(f, RX, i, i, NET_HDR);
	net_kick(f, RX);
	expect_merged(f, 0, frames[0], 100, NET_HDR);
}

/* A frame for which there are too few buffers waits for more, and the one behind it waits too. */
static void test_mergeable_waits(void **state)
{
	struct net_fixture *f = *state;

	net_plug_taps(f, 1, false, "");
	net_start(f,
		  BIT64(VIRTIO_NET_F_MRG_RXBUF) | BIT64(VIRTIO_NET_F_GUEST_CSUM) |
			  BIT64(VIRTIO_NET_F_GUEST_TSO4),
		  3);
	for (uint16_t i = 0; i < 2; i++)
		net_give(f, RX, i, i, 10000);
	net_kick(f, RX);
	net_frame(frames[0], NET_OWN, NET_OTHER, 65000);
	net_frame(frames[1], NET_OWN, NET_OTHER, 60);
	net_arrive(f, 0, frames[0], 65000);
	net_arrive(f, 0, frames[1], 60);
	net_expect_none(f, RX);
	assert_false(net_busy(f));
	for (uint16_t i = 2; i < 4; i++)
		net_give(f, RX, i, i, 10000);
	net_kick(f, RX);
	net_expect_none(f, RX); /* not yet enough */
	for (uint16_t i = 4; i < 9; i++)
		net_give(f, RX, i, i, 10000);
	net_kick(f, RX);
	expect_merged(f, 0, frames[0], 65000, 10000);
	expect_merged(f, 7, frames[1], 60, 10000);
	net_expect_none(f, RX);
}

/* Long frames one after the other, and after so many small ones that none was expected: whole, each of them. */
static void test_mergeable_long(void **state)
{
	struct net_fixture *f = *state;
	size_t size;

	net_plug_taps(f, 1, false, "");
	net_start(f,
		  BIT64(VIRTIO_NET_F_MRG_RXBUF) | BIT64(VIRTIO_NET_F_GUEST_CSUM) |
			  BIT64(VIRTIO_NET_F_GUEST_TSO4),
		  3);
	for (uint16_t i = 0; i < GUEST_VIRTIO_RING_SIZE; i++)
		net_give(f, RX, i, i, 5000);
	net_kick(f, RX);
	for (unsigned int i = 0, at = 0; i < 60; i++) {
		unsigned int parts = i < 3 || i == 50 ? 5 : 1;

		size = parts > 1 ? 20000 + i : 60;
		net_frame(frames[0], NET_OWN, NET_OTHER, size);
		net_arrive(f, 0, frames[0], size);
		fake_board_run(&f->fb);
		for (unsigned int n = 0, left = (unsigned int)size + NET_HDR; n < parts; n++) {
			const uint8_t *buf = f->fb.mem + NET_BUF((at + n) % GUEST_VIRTIO_RING_SIZE);
			unsigned int len = left < 5000 ? left : 5000, skip = n ? 0 : NET_HDR;

			net_expect_used(f, RX, (uint16_t)((at + n) % GUEST_VIRTIO_RING_SIZE), len);
			assert_memory_equal(buf + skip, frames[0] + 5000ul * n - (n ? NET_HDR : 0),
					    len - skip);
			left -= len;
		}
		for (unsigned int n = 0; n < parts; n++, at++)
			net_give(f, RX, (uint16_t)(at % GUEST_VIRTIO_RING_SIZE),
				 at % GUEST_VIRTIO_RING_SIZE, 5000);
		net_kick(f, RX);
	}
	assert_false(net_busy(f));
}

/* The driver gave all that its queue holds, and the frame is longer: it is lost, not waited for. */
static void test_mergeable_never_fits(void **state)
{
	struct net_fixture *f = *state;

	net_plug_taps(f, 1, false, "");
	net_start(f, BIT64(VIRTIO_NET_F_MRG_RXBUF), 3);
	for (uint16_t i = 0; i < GUEST_VIRTIO_RING_SIZE; i++)
		net_give(f, RX, i, i, 100);
	net_kick(f, RX);
	net_frame(frames[0], NET_OWN, NET_OTHER, 100 * GUEST_VIRTIO_RING_SIZE);
	net_frame(frames[1], NET_OWN, NET_OTHER, 60);
	net_arrive(f, 0, frames[0], 100 * GUEST_VIRTIO_RING_SIZE);
	net_arrive(f, 0, frames[1], 60);
	expect_merged(f, 0, frames[1], 60, 100);
	net_expect_none(f, RX);
}

/* Kicks are asked for when the device can give the guest nothing without them, not before. */
static void test_receive_asks_for_kicks(void **state)
{
	struct net_fixture *f = *state;
	const struct vring_used *used;

	net_plug_taps(f, 1, false, "");
	net_start(f, BIT64(VIRTIO_NET_F_MRG_RXBUF), 3);
	used = guest_ring_used(&f->g.rings[RX]);
	assert_int_equal(used->flags, 0);
	net_give(f, RX, 0, 0, 200);
	net_give(f, RX, 1, 1, 200);
	net_kick(f, RX);
	assert_int_equal(used->flags, VRING_USED_F_NO_NOTIFY);
	net_frame(frames[0], NET_OWN, NET_OTHER, 60);
	net_arrive(f, 0, frames[0], 60);
	expect_merged(f, 0, frames[0], 60, 200);
	assert_int_equal(used->flags, VRING_USED_F_NO_NOTIFY);
	net_frame(frames[0], NET_OWN, NET_OTHER, 300); /* one buffer is too short */
	net_arrive(f, 0, frames[0], 300);
	assert_int_equal(used->flags, 0);
	net_give(f, RX, 2, 2, 200);
	net_kick(f, RX);
	expect_merged(f, 1, frames[0], 300, 200);
	assert_int_equal(used->flags, 0);
}

/* That the host has checked the sum is for drivers that asked. */
static void test_receive_flags(void **state)
{
	struct net_fixture *f = *state;

	net_plug_taps(f, 1, false, "");
	for (unsigned int known = 0; known < 2; known++) {
		const struct virtio_net_hdr_v1 *hdr = (const void *)(f->fb.mem + NET_BUF(0));
		uint8_t message[NET_HDR + 60] = { VIRTIO_NET_HDR_F_DATA_VALID };

		net_start(f, known ? BIT64(VIRTIO_NET_F_GUEST_CSUM) : 0, 3);
		net_give(f, RX, 0, 0, 1526);
		net_kick(f, RX);
		net_frame(message + NET_HDR, NET_OWN, NET_OTHER, 60);
		assert_int_equal(send(f->net.taps[0], message, sizeof(message), 0),
				 sizeof(message));
		fake_board_run(&f->fb);
		net_expect_used(f, RX, 0, sizeof(message));
		assert_int_equal(hdr->flags, known ? VIRTIO_NET_HDR_F_DATA_VALID : 0);
	}
}

/* Buffers that were looked at are the driver's again: after the pause the device takes them anew. */
static void test_pause(void **state)
{
	struct net_fixture *f = *state;

	net_plug_taps(f, 1, false, "");
	net_start(f, BIT64(VIRTIO_NET_F_MRG_RXBUF), 3);
	for (uint16_t i = 0; i < 4; i++)
		net_give(f, RX, i, i, 600);
	net_kick(f, RX);
	f->dev->class->stop(f->dev);
	net_frame(frames[0], NET_OWN, NET_OTHER, 1514);
	net_arrive(f, 0, frames[0], 1514);
	net_expect_none(f, RX);
	f->dev->class->start(f->dev);
	fake_board_run(&f->fb);
	fake_board_run(&f->fb);
	expect_merged(f, 0, frames[0], 1514, 600);
	net_arrive(f, 0, frames[0], 60);
	expect_merged(f, 3, frames[0], 60, 600);
}

static void test_reset(void **state)
{
	struct net_fixture *f = *state;

	net_plug_taps(f, 1, false, "");
	net_start(f, BIT64(VIRTIO_NET_F_MRG_RXBUF), 3);
	for (uint16_t i = 0; i < 3; i++)
		net_give(f, RX, i, i, 600);
	net_kick(f, RX);
	net_start(f, 0, 3); /* the driver begins anew */
	net_frame(frames[0], NET_OWN, NET_OTHER, 700);
	net_arrive(f, 0, frames[0], 700);
	net_expect_none(f, RX);
	net_give(f, RX, 5, 5, 1526);
	net_kick(f, RX);
	net_expect_received(f, RX, 5, 5, frames[0], 700);
	net_frame(frames[0], NET_OTHER, NET_OWN, 70);
	net_queue_frame(f, TX, 0, 0, frames[0], 70, 2);
	net_kick(f, TX);
	net_expect_sent(f, 0, frames[0], 70);
}

static void expect_broken(struct net_fixture *f)
{
	assert_true(guest_virtio_status(&f->g) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(guest_virtio_irqs(&f->g, 0), 1);
	assert_false(net_busy(f));
}

static void test_short_header(void **state)
{
	struct net_fixture *f = *state;

	net_plug_taps(f, 1, false, "");
	net_start(f, 0, 3);
	guest_ring_set(&f->g.rings[TX], 0, NET_BUF(0), NET_HDR - 1, 0, 0);
	guest_ring_add(&f->g.rings[TX], 0);
	net_kick(f, TX);
	expect_broken(f);
	net_expect_nothing_sent(f, 0);
}

static void test_short_buffer(void **state)
{
	struct net_fixture *f = *state;

	net_plug_taps(f, 1, false, "");
	net_start(f, 0, 3);
	net_give(f, RX, 0, 0, NET_HDR - 1);
	net_kick(f, RX);
	expect_broken(f);
	net_arrive(f, 0, frames[0], 60);
	net_expect_none(f, RX);
	assert_false(net_busy(f));
}

static void test_answer_without_place(void **state)
{
	struct net_fixture *f = *state;

	net_plug_taps(f, 1, false, "");
	net_start(f, BIT64(VIRTIO_NET_F_CTRL_VQ), 3);
	guest_ring_set(&f->g.rings[CTRL], 0, NET_BUF(0), 2, 0, 0);
	guest_ring_add(&f->g.rings[CTRL], 0);
	net_kick(f, CTRL);
	expect_broken(f);
}

/* Buffers in many parts: the window is never larger than its arrays. */
static void test_receive_in_parts(void **state)
{
	struct net_fixture *f = *state;
	struct guest_ring *r = &f->g.rings[RX];

	net_plug_taps(f, 1, false, "");
	net_start(f,
		  BIT64(VIRTIO_NET_F_MRG_RXBUF) | BIT64(VIRTIO_RING_F_INDIRECT_DESC) |
			  BIT64(VIRTIO_NET_F_GUEST_CSUM) | BIT64(VIRTIO_NET_F_GUEST_TSO4),
		  3);
	for (uint16_t i = 0; i < 8; i++) {
		uint64_t table = 0x20000 + 0x1000ull * i;

		for (unsigned int n = 0; n < 200; n++)
			guest_ring_set_at(r, table, n, NET_BUF(i) + 50ull * n, 50,
					  (uint16_t)(VRING_DESC_F_WRITE |
						     (n < 199 ? VRING_DESC_F_NEXT : 0)),
					  (uint16_t)(n + 1));
		guest_ring_set(r, i, table, 200 * 16, VRING_DESC_F_INDIRECT, 0);
		guest_ring_add(r, i);
	}
	net_kick(f, RX);
	net_frame(frames[0], NET_OWN, NET_OTHER, 9000);
	for (uint16_t i = 0; i < 8; i++) {
		net_arrive(f, 0, frames[0], 9000);
		fake_board_run(&f->fb);
		net_expect_received(f, RX, i, i, frames[0], 9000);
	}
	/* the same for one that no window can take: it is lost, not waited for */
	for (uint16_t i = 0; i < 8; i++)
		guest_ring_add(r, i);
	net_kick(f, RX);
	net_frame(frames[1], NET_OWN, NET_OTHER, 65000);
	net_arrive(f, 0, frames[1], 65000);
	net_arrive(f, 0, frames[0], 9000);
	fake_board_run(&f->fb);
	net_expect_received(f, RX, 0, 0, frames[0], 9000);
}

/* More than a round: the rest comes in the next ones, and nothing is left over. */
static void test_rounds(void **state)
{
	struct net_fixture *f = *state;

	net_plug_taps(f, 1, false, "");
	net_start(f, BIT64(VIRTIO_RING_F_EVENT_IDX), 3);
	net_frame(frames[0], NET_OWN, NET_OTHER, 60);
	for (uint16_t i = 0; i < 700; i++) {
		uint16_t d = i % GUEST_VIRTIO_RING_SIZE;

		*guest_ring_used_event(&f->g.rings[RX]) = f->g.rings[RX].used_idx;
		net_give(f, RX, d, d, 1526);
		net_kick(f, RX);
		net_arrive(f, 0, frames[0], 60);
		fake_board_run(&f->fb);
		net_expect_received(f, RX, d, d, frames[0], 60);
		assert_int_equal(guest_virtio_irqs(&f->g, RX + 1), 1);
	}
	assert_false(net_busy(f));
}

#define T(f) cmocka_unit_test_setup_teardown(f, net_setup, net_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_identity),
		T(test_transmit),
		T(test_transmit_cut),
		T(test_spoofing),
		T(test_spoofing_allowed),
		T(test_huge_frame_is_lost),
		T(test_tap_full),
		T(test_tap_full_and_gone),
		T(test_tap_full_and_pause),
		T(test_receive),
		T(test_receive_batch),
		T(test_receive_too_long),
		T(test_receive_without_buffers),
		T(test_mergeable),
		T(test_mergeable_tiny),
		T(test_mergeable_waits),
		T(test_mergeable_long),
		T(test_mergeable_never_fits),
		T(test_receive_asks_for_kicks),
		T(test_receive_flags),
		T(test_pause),
		T(test_reset),
		T(test_short_header),
		T(test_short_buffer),
		T(test_answer_without_place),
		T(test_receive_in_parts),
		T(test_rounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
