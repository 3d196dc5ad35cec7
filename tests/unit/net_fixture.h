/* SPDX-License-Identifier: MIT */
/* A network card on a fake board with a fake kernel behind it, and its driver's side: for the test_*net*.c. */
#ifndef TESTS_UNIT_NET_FIXTURE_H
#define TESTS_UNIT_NET_FIXTURE_H

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>

#include "tests/unit/fake_net.h"
#include "tests/unit/guest_virtio.h"

#define NET_SLOT 4
#define NET_MEM (8 * MIB)
#define NET_HDR sizeof(struct virtio_net_hdr_v1)
#define NET_BUF(i) \
	(0x100000 + 0x20000ull * (i)) /* guest addresses, each with room for a longest frame */
#define NET_MAC "52:54:00:00:00:01"
#define NET_BASE (BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_NET_F_MAC) | BIT64(VIRTIO_NET_F_STATUS))

#define NET_CTRL_FEATURES                                            \
	(BIT64(VIRTIO_NET_F_CTRL_VQ) | BIT64(VIRTIO_NET_F_CTRL_RX) | \
	 BIT64(VIRTIO_NET_F_CTRL_RX_EXTRA) | BIT64(VIRTIO_NET_F_CTRL_MAC_ADDR))
/* ends of addresses, for net_frame */
#define NET_OWN 1
#define NET_OTHER 2

enum { RX, TX, CTRL };

struct net_fixture {
	struct fake_board fb;
	struct fake_net net;
	struct device *host, *dev;
	struct guest_virtio g;
	int peer; /* of a stream; owned; -1 */
	struct fdset fds;
	uint64_t mem, port; /* of an emulated card: where its registers are, and its line */
	unsigned int gsi;
};

void net_fixture_init(struct net_fixture *f);
void net_fixture_fini(struct net_fixture *f);
/* cmocka's setup and teardown, where that is all */
int net_setup(void **state);
int net_teardown(void **state);
/* Plug a card: members of its configuration, `"queues":2` or "". What device_new returned. */
int net_plug(struct net_fixture *f, const char *members, struct err *e);
/* The same with descriptors: taps of so many pairs (and vhost), or a stream. It has to work. */
void net_plug_taps(struct net_fixture *f, unsigned int pairs, bool vhost, const char *members);
void net_plug_stream(struct net_fixture *f, const char *members);
/* A stream for the next card, as descriptor 0; its other end is f->peer. */
void net_stream(struct net_fixture *f);
void net_start(struct net_fixture *f, uint64_t features, unsigned int nqueues);
/* A card with one tap, and a buffer for one frame */
void net_start_one(struct net_fixture *f, uint64_t features);
/* VIRTIO_NET_CTRL_RX: its answer */
uint8_t net_rx_mode(struct net_fixture *f, uint8_t cmd, uint8_t on);
/* device.set; what it returns */
int net_set_link(struct net_fixture *f, const char *link, struct err *e);
uint16_t net_link_status(struct net_fixture *f);
/* What was behind it has ended: it has said so, once, and the guest goes on. */
void net_expect_gone(struct net_fixture *f);

/* A frame of size bytes to `to` from `from` (the last bytes of 52:54:00:00:00:xx), with a pattern behind that. */
size_t net_frame(uint8_t *out, uint8_t to, uint8_t from, size_t size);
/* The driver's: header and frame in buffer i, in nparts descriptors from d on; not kicked. */
void net_queue_frame(struct net_fixture *f, unsigned int q, uint16_t d, unsigned int i,
		     const uint8_t *frame, size_t size, unsigned int nparts);
void net_kick(struct net_fixture *f, unsigned int q);
/* The tap has had exactly this frame. */
void net_expect_sent(struct net_fixture *f, unsigned int pair, const uint8_t *frame, size_t size);
void net_expect_nothing_sent(struct net_fixture *f, unsigned int pair);
/* How many requests the device gave back in queue q. */
unsigned int net_used(struct net_fixture *f, unsigned int q);

/* The driver's: an empty buffer of len bytes at buffer i, in descriptor d. */
void net_give(struct net_fixture *f, unsigned int q, uint16_t d, unsigned int i, uint32_t len);
/* A frame comes to the tap. */
void net_arrive(struct net_fixture *f, unsigned int pair, const uint8_t *frame, size_t size);
/* The next used buffer is descriptor d with len bytes. */
void net_expect_used(struct net_fixture *f, unsigned int q, uint16_t d, uint32_t len);
void net_expect_received(struct net_fixture *f, unsigned int q, uint16_t d, unsigned int i,
			 const uint8_t *frame, size_t size);
void net_expect_none(struct net_fixture *f, unsigned int q);
/* Is anything that the worker waits for ready? Then it would run again at once. */
bool net_busy(struct net_fixture *f);

/* A control request: its answer. */
uint8_t net_ctrl(struct net_fixture *f, unsigned int q, uint8_t class, uint8_t cmd,
		 const void *data, size_t len);

#endif
