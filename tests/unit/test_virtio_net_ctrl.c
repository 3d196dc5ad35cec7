// SPDX-License-Identifier: MIT
/* The virtio network card: its control queue, pairs of queues, the cable, streams, vhost-net, and what it refuses. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_tun.h>
#include <linux/virtio_pci.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "lib/json.h"
#include "tests/lib/test.h"
#include "tests/unit/net_fixture.h"

#define OWN 1
#define OTHER 2
#define CTRL_FEATURES                                                \
	(BIT64(VIRTIO_NET_F_CTRL_VQ) | BIT64(VIRTIO_NET_F_CTRL_RX) | \
	 BIT64(VIRTIO_NET_F_CTRL_RX_EXTRA) | BIT64(VIRTIO_NET_F_CTRL_MAC_ADDR))
#define MQ_FEATURES (BIT64(VIRTIO_NET_F_CTRL_VQ) | BIT64(VIRTIO_NET_F_MQ))
#define MQ_CTRL 4

static uint8_t frame[2000];

static int setup(void **state)
{
	struct net_fixture *f = calloc(1, sizeof(*f));

	net_fixture_init(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct net_fixture *f = *state;

	net_fixture_fini(f);
	free(f);
	return 0;
}

/* --- filters ------------------------------------------------------------------------------------------------- */

/* Does a frame to this address get through? Descriptor 0 is given again each time. */
static bool gets(struct net_fixture *f, const char to[6], int vlan)
{
	net_frame(frame, OWN, OTHER, 100);
	memcpy(frame, to, 6);
	if (vlan >= 0) {
		frame[12] = 0x81;
		frame[13] = 0;
		frame[14] = (uint8_t)(0x20 | vlan >> 8); /* with a priority */
		frame[15] = (uint8_t)vlan;
	}
	net_arrive(f, 0, frame, 100);
	if (!net_used(f, RX))
		return false;
	net_give(f, RX, 0, 0, 1526);
	net_kick(f, RX);
	return true;
}

static const char own[6] = "\x52\x54\0\0\0\1", other[6] = "\x52\x54\0\0\0\2",
		  group[6] = "\x33\x33\0\0\0\1", all[6] = "\xff\xff\xff\xff\xff\xff";

static void start_filter(struct net_fixture *f, uint64_t features)
{
	net_plug_taps(f, 1, false, "");
	net_start(f, features, 3);
	net_give(f, RX, 0, 0, 1526);
	net_kick(f, RX);
}

static uint8_t rx_mode(struct net_fixture *f, uint8_t cmd, uint8_t on)
{
	return net_ctrl(f, CTRL, VIRTIO_NET_CTRL_RX, cmd, &on, 1);
}

static void test_rx_modes(void **state)
{
	struct net_fixture *f = *state;

	start_filter(f, CTRL_FEATURES);
	assert_true(gets(f, other, -1)); /* all of it, until the driver says otherwise */
	assert_int_equal(rx_mode(f, VIRTIO_NET_CTRL_RX_PROMISC, 0), VIRTIO_NET_OK);
	assert_true(gets(f, own, -1));
	assert_false(gets(f, other, -1));
	assert_false(gets(f, group, -1));
	assert_true(gets(f, all, -1));
	assert_int_equal(rx_mode(f, VIRTIO_NET_CTRL_RX_ALLMULTI, 1), VIRTIO_NET_OK);
	assert_true(gets(f, group, -1));
	assert_int_equal(rx_mode(f, VIRTIO_NET_CTRL_RX_NOMULTI, 1), VIRTIO_NET_OK);
	assert_false(gets(f, group, -1));
	assert_int_equal(rx_mode(f, VIRTIO_NET_CTRL_RX_ALLUNI, 1), VIRTIO_NET_OK);
	assert_true(gets(f, other, -1));
	assert_int_equal(rx_mode(f, VIRTIO_NET_CTRL_RX_NOUNI, 1), VIRTIO_NET_OK);
	assert_false(gets(f, own, -1));
	assert_int_equal(rx_mode(f, VIRTIO_NET_CTRL_RX_NOBCAST, 1), VIRTIO_NET_OK);
	assert_false(gets(f, all, -1));
	assert_int_equal(rx_mode(f, 6, 1), VIRTIO_NET_ERR);
	/* a new driver finds it as it was */
	net_start(f, CTRL_FEATURES, 3);
	net_give(f, RX, 0, 0, 1526);
	net_kick(f, RX);
	assert_true(gets(f, other, -1));
}

static bool waiting(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

/* A flood of frames that the guest does not want leaves the worker's other work its turn. */
static void test_flood(void **state)
{
	struct net_fixture *f = *state;
	uint8_t message[NET_HDR + 60] = { 0 };

	start_filter(f, CTRL_FEATURES);
	assert_int_equal(rx_mode(f, VIRTIO_NET_CTRL_RX_PROMISC, 0), VIRTIO_NET_OK);
	net_frame(message + NET_HDR, OTHER, OTHER, 60);
	for (unsigned int i = 0; i < 200; i++)
		assert_int_equal(send(f->net.taps[0], message, sizeof(message), 0),
				 sizeof(message));
	fake_board_run(&f->fb);
	assert_true(waiting(f->net.ours[0]));
	for (unsigned int i = 0; i < 4; i++)
		fake_board_run(&f->fb);
	assert_false(waiting(f->net.ours[0]));
	net_expect_none(f, RX);
	assert_true(gets(f, own, -1));
	assert_false(net_busy(f));
}

/* n unicast and m multicast addresses: the ends of 52:54:00:00:01:xx and of 33:33:00:00:00:xx */
static size_t mac_table(uint8_t *out, uint32_t n, uint32_t m)
{
	uint8_t *at = out;

	memcpy(at, &n, 4);
	at += 4;
	for (uint32_t i = 0; i < n; i++, at += 6)
		memcpy(at, (const uint8_t[]){ 0x52, 0x54, 0, 0, 1, (uint8_t)i }, 6);
	memcpy(at, &m, 4);
	at += 4;
	for (uint32_t i = 0; i < m; i++, at += 6)
		memcpy(at, (const uint8_t[]){ 0x33, 0x33, 0, 0, 0, (uint8_t)i }, 6);
	return (size_t)(at - out);
}

static uint8_t set_table(struct net_fixture *f, uint32_t n, uint32_t m, int more)
{
	uint8_t table[2048];
	size_t len = mac_table(table, n, m);

	return net_ctrl(f, CTRL, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table,
			(size_t)((ssize_t)len + more));
}

static void test_mac_table(void **state)
{
	struct net_fixture *f = *state;

	start_filter(f, CTRL_FEATURES);
	assert_int_equal(rx_mode(f, VIRTIO_NET_CTRL_RX_PROMISC, 0), VIRTIO_NET_OK);
	assert_int_equal(set_table(f, 3, 2, 0), VIRTIO_NET_OK);
	assert_true(gets(f, "\x52\x54\0\0\1\2", -1));
	assert_false(gets(f, "\x52\x54\0\0\1\3", -1));
	assert_true(gets(f, group, -1));
	assert_false(gets(f, "\x33\x33\0\0\0\2", -1));
	assert_true(gets(f, own, -1));
	/* what is cut, or goes on behind its end, changes nothing */
	assert_int_equal(set_table(f, 64, 64, -1), VIRTIO_NET_ERR);
	assert_int_equal(set_table(f, 64, 64, 1), VIRTIO_NET_ERR);
	assert_false(gets(f, "\x52\x54\0\0\1\3", -1));
	assert_int_equal(set_table(f, 64, 0, 0), VIRTIO_NET_OK);
	assert_true(gets(f, "\x52\x54\0\0\1\x3f", -1));
	assert_false(gets(f, other, -1));
	assert_false(gets(f, group, -1));
	/* more than the device keeps: all of that kind */
	assert_int_equal(set_table(f, 65, 65, 0), VIRTIO_NET_OK);
	assert_true(gets(f, other, -1));
	assert_true(gets(f, "\x33\x33\0\0\0\xff", -1));
	assert_int_equal(set_table(f, 0, 0, 0), VIRTIO_NET_OK);
	assert_false(gets(f, other, -1));
}

/* A count that no request has room for */
static void test_mac_table_lies(void **state)
{
	static const uint32_t lie[] = { UINT32_MAX, 0 };
	struct net_fixture *f = *state;

	start_filter(f, CTRL_FEATURES);
	assert_int_equal(net_ctrl(f, CTRL, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, lie,
				  sizeof(lie)),
			 VIRTIO_NET_ERR);
	assert_int_equal(net_ctrl(f, CTRL, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, lie,
				  3),
			 VIRTIO_NET_ERR);
}

static uint8_t set_vlan(struct net_fixture *f, uint8_t cmd, uint16_t vlan)
{
	return net_ctrl(f, CTRL, VIRTIO_NET_CTRL_VLAN, cmd, &vlan, 2);
}

static void test_vlans(void **state)
{
	struct net_fixture *f = *state;

	start_filter(f, BIT64(VIRTIO_NET_F_CTRL_VQ) | BIT64(VIRTIO_NET_F_CTRL_VLAN));
	assert_true(gets(f, own, -1));
	assert_false(gets(f, own, 1000));
	assert_int_equal(set_vlan(f, VIRTIO_NET_CTRL_VLAN_ADD, 1000), VIRTIO_NET_OK);
	assert_true(gets(f, own, 1000));
	assert_false(gets(f, own, 1001));
	assert_int_equal(set_vlan(f, VIRTIO_NET_CTRL_VLAN_DEL, 1000), VIRTIO_NET_OK);
	assert_false(gets(f, own, 1000));
	assert_int_equal(set_vlan(f, VIRTIO_NET_CTRL_VLAN_ADD, 4096), VIRTIO_NET_ERR);
	assert_int_equal(set_vlan(f, 2, 1), VIRTIO_NET_ERR);
}

static void test_vlans_unfiltered(void **state)
{
	struct net_fixture *f = *state;

	start_filter(f, CTRL_FEATURES);
	assert_true(gets(f, own, 1000));
	assert_int_equal(set_vlan(f, VIRTIO_NET_CTRL_VLAN_ADD, 1),
			 VIRTIO_NET_ERR); /* not negotiated */
}

/* --- the address ----------------------------------------------------------------------------------------------- */

static uint8_t set_address(struct net_fixture *f, const char mac[6])
{
	uint8_t ack = net_ctrl(f, CTRL, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6);

	fake_board_watched(&f->fb);
	return ack;
}

static void expect_address(struct net_fixture *f, const char mac[6])
{
	for (unsigned int i = 0; i < 6; i++)
		assert_int_equal(fake_mmio_read(&f->fb, f->g.device + i, 1), (uint8_t)mac[i]);
}

static void test_address_is_fixed(void **state)
{
	struct net_fixture *f = *state;

	start_filter(f, CTRL_FEATURES);
	assert_int_equal(set_address(f, other), VIRTIO_NET_ERR);
	assert_int_equal(set_address(f, own), VIRTIO_NET_OK);
	expect_address(f, own);
}

static void test_address_with_spoofing(void **state)
{
	struct net_fixture *f = *state;

	net_plug_taps(f, 1, false, "\"spoofing\":true");
	net_start(f, CTRL_FEATURES, 3);
	net_give(f, RX, 0, 0, 1526);
	net_kick(f, RX);
	assert_int_equal(rx_mode(f, VIRTIO_NET_CTRL_RX_PROMISC, 0), VIRTIO_NET_OK);
	assert_int_equal(set_address(f, group), VIRTIO_NET_ERR);
	assert_int_equal(set_address(f, other), VIRTIO_NET_OK);
	expect_address(f, other);
	assert_true(gets(f, other, -1));
	assert_false(gets(f, own, -1));
	net_start(f, CTRL_FEATURES, 3);
	expect_address(f, own);
}

/* --- offloads, and what is refused ------------------------------------------------------------------------------ */

static uint8_t set_offloads(struct net_fixture *f, uint64_t offloads)
{
	return net_ctrl(f, CTRL, VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
			&offloads, 8);
}

static void test_offloads(void **state)
{
	uint64_t csum = BIT64(VIRTIO_NET_F_GUEST_CSUM), tso4 = BIT64(VIRTIO_NET_F_GUEST_TSO4);
	uint64_t tso6 = BIT64(VIRTIO_NET_F_GUEST_TSO6), ecn = BIT64(VIRTIO_NET_F_GUEST_ECN);
	struct net_fixture *f = *state;

	net_plug_taps(f, 1, false, "");
	net_start(f, csum | tso4 | tso6 | ecn, 3);
	assert_int_equal(f->net.offload, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN);
	net_start(f, 0, 3);
	assert_int_equal(f->net.offload, 0);
	net_start(f,
		  csum | tso4 | BIT64(VIRTIO_NET_F_CTRL_VQ) |
			  BIT64(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS),
		  3);
	assert_int_equal(f->net.offload, TUN_F_CSUM | TUN_F_TSO4);
	assert_int_equal(set_offloads(f, csum), VIRTIO_NET_OK);
	assert_int_equal(f->net.offload, TUN_F_CSUM);
	assert_int_equal(set_offloads(f, csum | tso6), VIRTIO_NET_ERR); /* not negotiated */
	assert_int_equal(f->net.offload, TUN_F_CSUM);
	/* a pause keeps what was set */
	f->dev->class->stop(f->dev);
	f->dev->class->start(f->dev);
	assert_int_equal(f->net.offload, TUN_F_CSUM);
	f->net.fail = TUNSETOFFLOAD;
	assert_int_equal(set_offloads(f, csum | tso4), VIRTIO_NET_ERR);
}

static void test_refused(void **state)
{
	struct net_fixture *f = *state;
	uint16_t pairs = 1;

	start_filter(f, BIT64(VIRTIO_NET_F_CTRL_VQ)); /* nothing but the queue is negotiated */
	assert_int_equal(rx_mode(f, VIRTIO_NET_CTRL_RX_PROMISC, 0), VIRTIO_NET_ERR);
	assert_int_equal(rx_mode(f, VIRTIO_NET_CTRL_RX_NOUNI, 1), VIRTIO_NET_ERR);
	assert_int_equal(set_table(f, 0, 0, 0), VIRTIO_NET_ERR);
	assert_int_equal(set_address(f, own), VIRTIO_NET_ERR);
	assert_int_equal(set_offloads(f, 0), VIRTIO_NET_ERR);
	assert_int_equal(net_ctrl(f, CTRL, VIRTIO_NET_CTRL_MQ, 0, &pairs, 2), VIRTIO_NET_ERR);
	assert_int_equal(net_ctrl(f, CTRL, 77, 0, &pairs, 2), VIRTIO_NET_ERR);
	assert_int_equal(net_ctrl(f, CTRL, VIRTIO_NET_CTRL_RX, 0, "", 0), VIRTIO_NET_ERR);
	assert_true(gets(f, other, -1));
}

/* --- pairs ------------------------------------------------------------------------------------------------------- */

static uint8_t set_pairs(struct net_fixture *f, uint16_t pairs)
{
	uint8_t ack = net_ctrl(f, MQ_CTRL, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET,
			       &pairs, 2);

	fake_board_run(&f->fb);
	return ack;
}

static void test_pairs(void **state)
{
	struct net_fixture *f = *state;

	net_plug_taps(f, 2, false, "");
	net_start(f, MQ_FEATURES, 5);
	assert_int_equal(fake_mmio_read(&f->fb, f->g.device + 8, 2), 2); /* max_virtqueue_pairs */
	assert_true(f->net.queue_on[0]);
	assert_false(f->net.queue_on[1]); /* or the kernel would give it frames */
	net_frame(frame, OTHER, OWN, 60);
	net_queue_frame(f, 3, 0, 0, frame, 60, 1);
	net_kick(f, 3);
	net_expect_nothing_sent(f, 1);
	assert_int_equal(set_pairs(f, 0), VIRTIO_NET_ERR);
	assert_int_equal(set_pairs(f, 3), VIRTIO_NET_ERR);
	assert_int_equal(set_pairs(f, 2), VIRTIO_NET_OK);
	assert_true(f->net.queue_on[1]);
	net_expect_sent(f, 1, frame, 60); /* what was in the queue already */
	net_give(f, 2, 0, 1, 1526);
	net_kick(f, 2);
	net_frame(frame, OWN, OTHER, 80);
	net_arrive(f, 1, frame, 80);
	net_expect_received(f, 2, 0, 1, frame, 80);
	assert_int_equal(guest_virtio_irqs(&f->g, 3), 1);
	assert_int_equal(set_pairs(f, 1), VIRTIO_NET_OK);
	assert_false(f->net.queue_on[1]);
	net_give(f, 2, 1, 2, 1526);
	net_kick(f, 2);
	net_arrive(f, 1, frame, 80);
	net_expect_none(f, 2);
	/* over a pause it stays as it is */
	assert_int_equal(set_pairs(f, 2), VIRTIO_NET_OK);
	f->dev->class->stop(f->dev);
	f->dev->class->start(f->dev);
	assert_true(f->net.queue_on[1]);
	/* and a new driver has one again */
	net_start(f, MQ_FEATURES, 5);
	assert_false(f->net.queue_on[1]);
}

/* Asked for, but the driver never made its queues: the kernel gives that pair no frames. */
static void test_pairs_not_set_up(void **state)
{
	struct net_fixture *f = *state;

	net_plug_taps(f, 2, false, "");
	guest_virtio_find(&f->g, &f->fb, NET_SLOT);
	assert_true(guest_virtio_negotiate(&f->g, NET_BASE | MQ_FEATURES));
	for (unsigned int q = 0; q < 5; q += q == 1 ? 3 : 1)
		guest_virtio_queue(&f->g, q, GUEST_VIRTIO_RINGS + 0x1000ull * q);
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_STATUS, 1,
			   guest_virtio_status(&f->g) | VIRTIO_CONFIG_S_DRIVER_OK);
	fake_board_run(&f->fb);
	assert_int_equal(set_pairs(f, 2), VIRTIO_NET_OK);
	assert_true(f->net.queue_on[0]);
	assert_false(f->net.queue_on[1]);
}

/* Without MQ the control queue is the third. */
static void test_pairs_unknown_to_driver(void **state)
{
	struct net_fixture *f = *state;

	net_plug_taps(f, 2, false, "");
	net_start(f, CTRL_FEATURES, 3);
	assert_int_equal(rx_mode(f, VIRTIO_NET_CTRL_RX_PROMISC, 0), VIRTIO_NET_OK);
	assert_false(f->net.queue_on[1]);
}

/* --- the cable ---------------------------------------------------------------------------------------------------- */

static int set_link(struct net_fixture *f, const char *link, struct err *e)
{
	struct json_object *change = json_add_str(json_new(), "link", link);
	int r = f->dev->class->set(f->dev, change, e);

	json_object_put(change);
	fake_board_run(&f->fb);
	fake_board_run(&f->fb);
	return r;
}

static uint16_t link_status(struct net_fixture *f)
{
	return (uint16_t)fake_mmio_read(&f->fb, f->g.device + 6, 2);
}

static void test_link(void **state)
{
	struct net_fixture *f = *state;
	struct err e = { 0 };

	start_filter(f, 0);
	guest_virtio_irqs(&f->g, 0);
	assert_int_equal(set_link(f, "down", &e), 1);
	assert_int_equal(link_status(f), 0);
	assert_int_equal(guest_virtio_irqs(&f->g, 0), 1);
	assert_int_equal(set_link(f, "down", &e), 0); /* nothing to do */
	assert_int_equal(guest_virtio_irqs(&f->g, 0), 0);
	net_frame(frame, OTHER, OWN, 60);
	net_queue_frame(f, TX, 0, 1, frame, 60, 1);
	net_kick(f, TX);
	assert_int_equal(net_used(f, TX), 1); /* the driver goes on, and nothing leaves */
	net_expect_nothing_sent(f, 0);
	net_arrive(f, 0, frame, 60);
	net_expect_none(f, RX);
	assert_false(net_busy(f));
	assert_int_equal(set_link(f, "up", &e), 1);
	assert_int_equal(link_status(f), VIRTIO_NET_S_LINK_UP);
	assert_int_equal(guest_virtio_irqs(&f->g, 0), 1);
	net_expect_none(f, RX); /* what came meanwhile is old */
	net_frame(frame, OWN, OTHER, 70);
	net_arrive(f, 0, frame, 70);
	net_expect_received(f, RX, 0, 0, frame, 70);
	assert_int_equal(set_link(f, "sideways", &e), -ERR_INVALID);
}

static void test_link_down_at_first(void **state)
{
	struct net_fixture *f = *state;
	struct err e = { 0 };

	net_plug_taps(f, 1, false, "\"link\":\"down\"");
	net_start(f, 0, 3);
	assert_int_equal(link_status(f), 0);
	assert_int_equal(set_link(f, "up", &e), 1);
	net_frame(frame, OTHER, OWN, 60);
	net_queue_frame(f, TX, 0, 1, frame, 60, 1);
	net_kick(f, TX);
	net_expect_sent(f, 0, frame, 60);
}

static void test_set_knows_no_more(void **state)
{
	struct json_object *change = json_add_str(json_new(), "mac", NET_MAC);
	struct net_fixture *f = *state;
	struct err e = { 0 };

	net_plug_taps(f, 1, false, "");
	assert_int_equal(f->dev->class->set(f->dev, change, &e), -ERR_INVALID);
	assert_non_null(strstr(e.msg, "mac"));
	json_object_put(change);
}

/* --- streams ------------------------------------------------------------------------------------------------------ */

static void stream_write(struct net_fixture *f, const void *data, size_t len)
{
	assert_int_equal(send(f->peer, data, len, 0), len);
	fake_board_run(&f->fb);
}

static void stream_start(struct net_fixture *f)
{
	net_plug_stream(f, "");
	net_start(f, 0, 3);
	net_give(f, RX, 0, 0, 1526);
	net_give(f, RX, 1, 1, 1526);
	net_kick(f, RX);
}

static void test_stream(void **state)
{
	struct net_fixture *f = *state;
	uint8_t got[128];
	uint32_t len = htonl(60);

	stream_start(f);
	assert_int_equal(guest_virtio_features(&f->g) & BIT64(VIRTIO_NET_F_HOST_TSO4), 0);
	assert_int_equal(guest_virtio_features(&f->g) & BIT64(VIRTIO_NET_F_CSUM), 0);
	net_frame(frame, OTHER, OWN, 60);
	net_queue_frame(f, TX, 0, 2, frame, 60, 3);
	net_frame(frame + 1000, OTHER, OTHER, 60);
	net_queue_frame(f, TX, 3, 3, frame + 1000, 60, 1); /* not its own address */
	net_kick(f, TX);
	assert_int_equal(recv(f->peer, got, sizeof(got), MSG_DONTWAIT), 64);
	assert_memory_equal(got, &len, 4);
	assert_memory_equal(got + 4, frame, 60);
	assert_int_equal(net_used(f, TX), 2);
	/* cut anywhere, and two at once */
	net_frame(frame, OWN, OTHER, 60);
	stream_write(f, &len, 3);
	stream_write(f, (uint8_t *)&len + 3, 1);
	stream_write(f, frame, 59);
	net_expect_none(f, RX);
	memcpy(got, frame + 59, 1);
	memcpy(got + 1, &len, 4);
	memcpy(got + 5, frame, 60);
	stream_write(f, got, 65);
	net_expect_received(f, RX, 0, 0, frame, 60);
	net_expect_received(f, RX, 1, 1, frame, 60);
	assert_false(net_busy(f));
}

/* The frame that waits in our buffer comes with the driver's next kick, not with the peer's next byte. */
static void test_stream_waits_for_buffers(void **state)
{
	struct net_fixture *f = *state;
	uint32_t len = htonl(60);

	net_plug_stream(f, "");
	net_start(f, 0, 3);
	net_frame(frame, OWN, OTHER, 60);
	for (unsigned int i = 0; i < 3; i++) {
		stream_write(f, &len, 4);
		stream_write(f, frame, 60);
	}
	net_give(f, RX, 0, 0, 1526);
	net_kick(f, RX);
	net_expect_received(f, RX, 0, 0, frame, 60);
	net_expect_none(f, RX);
	net_give(f, RX, 1, 1, 1526);
	net_give(f, RX, 2, 2, 1526);
	net_kick(f, RX);
	net_expect_received(f, RX, 1, 1, frame, 60);
	net_expect_received(f, RX, 2, 2, frame, 60);
}

/* The same flood as from a tap: the rest is in our buffer, and no byte of the peer's comes to tell. */
static void test_stream_flood(void **state)
{
	struct net_fixture *f = *state;
	static uint8_t burst[300 * 64];
	uint32_t len = htonl(60);

	net_plug_stream(f, "");
	net_start(f, CTRL_FEATURES, 3);
	net_give(f, RX, 0, 0, 1526);
	net_kick(f, RX);
	assert_int_equal(rx_mode(f, VIRTIO_NET_CTRL_RX_PROMISC, 0), VIRTIO_NET_OK);
	for (unsigned int i = 0; i < 300; i++) {
		memcpy(burst + 64ul * i, &len, 4);
		net_frame(burst + 64ul * i + 4, i == 299 ? OWN : OTHER, OTHER, 60);
	}
	stream_write(f, burst, sizeof(burst));
	net_expect_none(f, RX);
	for (unsigned int i = 0; i < 4; i++)
		fake_board_run(&f->fb);
	net_expect_received(f, RX, 0, 0, burst + 299ul * 64 + 4, 60);
}

/* The peer does not read: whole frames are kept or wait, none is cut or lost. */
static void test_stream_full(void **state)
{
	struct net_fixture *f = *state;
	size_t want = 16 * (4 + 60000), have = 0;
	uint8_t *all_of_it = malloc(want);
	int size = 1;

	net_plug_stream(f, "");
	net_start(f, 0, 3);
	setsockopt(f->peer, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	for (uint16_t i = 0; i < 16; i++) {
		uint8_t *big = malloc(60000);

		net_frame(big, OTHER, OWN, 60000);
		big[20] = (uint8_t)i;
		net_queue_frame(f, TX, i, i, big, 60000, 1);
		free(big);
	}
	net_kick(f, TX);
	assert_false(net_busy(f));
	while (have < want) {
		ssize_t got = recv(f->peer, all_of_it + have, want - have, MSG_DONTWAIT);

		if (got > 0)
			have += (size_t)got;
		fake_board_run(&f->fb);
	}
	for (unsigned int i = 0; i < 16; i++) {
		const uint8_t *at = all_of_it + i * (4 + 60000ul);

		assert_int_equal(at[2] << 8 | at[3], 60000);
		assert_int_equal(at[4 + 20], i);
	}
	free(all_of_it);
	assert_int_equal(net_used(f, TX), 16);
	assert_false(net_busy(f));
}

static void expect_gone(struct net_fixture *f)
{
	struct err e = { 0 };

	fake_board_run(&f->fb);
	fake_board_watched(&f->fb);
	assert_int_equal(link_status(f), 0);
	assert_string_equal(f->fb.notice, "device: net0: its network is gone; the link is down");
	assert_int_equal(f->fb.nnotices, 1);
	assert_false(net_busy(f));
	/* the guest goes on */
	net_frame(frame, OTHER, OWN, 60);
	net_queue_frame(f, TX, 9, 2, frame, 60, 1);
	net_kick(f, TX);
	assert_int_equal(net_used(f, TX), 1);
	fake_board_watched(&f->fb);
	assert_int_equal(f->fb.nnotices, 1);
	assert_int_equal(set_link(f, "down", &e), 1);
	assert_int_equal(set_link(f, "up", &e), -ERR_INVALID);
}

static void test_stream_ends(void **state)
{
	struct net_fixture *f = *state;

	stream_start(f);
	close(f->peer);
	f->peer = -1;
	expect_gone(f);
}

static void test_stream_nonsense(void **state)
{
	struct net_fixture *f = *state;
	uint32_t len = htonl(65554);

	stream_start(f);
	stream_write(f, &len, 4);
	expect_gone(f);
}

static void test_stream_ends_while_sending(void **state)
{
	struct net_fixture *f = *state;

	net_plug_stream(f, "");
	net_start(f, 0, 3); /* no buffers: nobody reads */
	close(f->peer);
	f->peer = -1;
	net_frame(frame, OTHER, OWN, 60);
	net_queue_frame(f, TX, 0, 0, frame, 60, 1);
	net_kick(f, TX);
	assert_int_equal(net_used(f, TX), 1);
	expect_gone(f);
}

static void test_tap_ends(void **state)
{
	struct net_fixture *f = *state;

	start_filter(f, 0);
	close(f->net.taps
		      [0]); /* a read gives 0 bytes here, an error in the kernel: no frame either way */
	f->net.taps[0] = -1;
	expect_gone(f);
}

/* --- vhost-net ---------------------------------------------------------------------------------------------------- */

static void expect_vhost_ring(struct net_fixture *f, unsigned int q)
{
	const struct guest_ring *r = &f->g.rings[q];
	const struct fake_vhost_queue *v = &f->net.queues[q];

	assert_int_equal(v->num, GUEST_VIRTIO_RING_SIZE);
	assert_int_equal(v->addr.desc_user_addr, (uintptr_t)(f->fb.mem + r->desc));
	assert_int_equal(v->addr.avail_user_addr, (uintptr_t)(f->fb.mem + r->avail));
	assert_int_equal(v->addr.used_user_addr, (uintptr_t)(f->fb.mem + r->used));
	assert_int_equal(v->tap, f->net.ours[0]);
}

static bool readable(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count);
}

static void signal_fd(int fd)
{
	uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static void test_vhost(void **state)
{
	uint64_t features = BIT64(VIRTIO_NET_F_MRG_RXBUF) | BIT64(VIRTIO_NET_F_CTRL_VQ);
	struct net_fixture *f = *state;

	f->net.vhost_knows = BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_NET_F_MRG_RXBUF) |
			     BIT64(VIRTIO_RING_F_INDIRECT_DESC) | BIT64(VIRTIO_RING_F_EVENT_IDX);
	net_plug_taps(f, 1, true, "");
	assert_true(f->net.vhost_owned);
	net_start(f, features, 3);
	assert_int_equal(f->net.vhost_features,
			 BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_NET_F_MRG_RXBUF));
	assert_int_equal(f->net.nregions, 1);
	assert_int_equal(f->net.regions[0].memory_size, NET_MEM);
	assert_int_equal(f->net.regions[0].userspace_addr, (uintptr_t)f->fb.mem);
	for (unsigned int q = RX; q <= TX; q++) {
		expect_vhost_ring(f, q);
		/* the first kick is there, and the driver's come, unread by us */
		assert_true(readable(f->net.queues[q].kick));
		net_kick(f, q);
		fake_board_run(&f->fb);
		assert_true(readable(f->net.queues[q].kick));
		signal_fd(f->net.queues[q].call);
		assert_int_equal(guest_virtio_irqs(&f->g, q + 1), 1); /* nothing ran for it */
	}
	/* the control queue is ours */
	assert_int_equal(net_ctrl(f, CTRL, 77, 0, "", 1), VIRTIO_NET_ERR);
	/* it stops at 5; we and the next start go on from there */
	f->net.queues[RX].base = 5;
	f->dev->class->stop(f->dev);
	assert_int_equal(f->net.queues[RX].tap, -1);
	assert_int_equal(f->net.queues[TX].tap, -1);
	f->net.queues[RX].base = 0;
	f->dev->class->start(f->dev);
	assert_int_equal(f->net.queues[RX].base, 5);
	expect_vhost_ring(f, RX);
}

/* The driver moves a queue's interrupt: vhost is told. Without one, the worker passes it on. */
static void test_vhost_vectors(void **state)
{
	struct net_fixture *f = *state;
	int before;

	net_plug_taps(f, 1, true, "");
	net_start(f, 0, 3);
	before = f->net.queues[TX].call;
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_Q_SELECT, 2, TX);
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
	assert_int_not_equal(f->net.queues[TX].call, before);
	assert_int_equal(f->net.queues[TX].call, f->net.queues[RX].call);
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_Q_MSIX, 2, VIRTIO_MSI_NO_VECTOR);
	signal_fd(f->net.queues[TX].call);
	fake_board_run(&f->fb);
	fake_board_run(&f->fb);
	assert_int_equal(guest_virtio_irqs(&f->g, 1), 0);
	guest_virtio_write(&f->g, VIRTIO_PCI_COMMON_Q_MSIX, 2, 2);
	signal_fd(f->net.queues[TX].call);
	fake_board_run(&f->fb);
	fake_board_run(&f->fb);
	assert_int_equal(guest_virtio_irqs(&f->g, 2), 1);
}

/* MSI-X goes off: what vhost signals has to become INTA#. */
static void test_vhost_intx(void **state)
{
	struct net_fixture *f = *state;
	int direct;

	net_plug_taps(f, 1, true, "");
	net_start(f, 0, 3);
	direct = f->net.queues[RX].call;
	guest_pci_write(&f->fb, NET_SLOT, f->g.msix_cap + 2, 2, 0);
	assert_int_not_equal(f->net.queues[RX].call, direct);
	signal_fd(f->net.queues[RX].call);
	fake_board_run(&f->fb);
	fake_board_run(&f->fb);
	fake_board_watched(&f->fb);
	assert_int_equal(fake_mmio_read(&f->fb, f->g.isr, 1), 1);
}

static void expect_own_path(struct net_fixture *f)
{
	assert_int_equal(f->net.queues[RX].tap, -1);
	assert_int_equal(f->net.queues[TX].tap, -1);
	net_frame(frame, OTHER, OWN, 60);
	net_queue_frame(f, TX, 0, 1, frame, 60, 1);
	net_kick(f, TX);
	assert_int_equal(net_used(f, TX), 1);
	net_expect_sent(f, 0, frame, 60);
	fake_board_watched(&f->fb);
	assert_string_equal(f->fb.notice, "device: net0: the monitor moves its packets, for "
					  "vhost-net has failed: Input/output error");
	assert_int_equal(guest_virtio_status(&f->g) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
	/* to who was away */
	f->fb.notice[0] = '\0';
	f->dev->class->tell(f->dev);
	assert_string_equal(f->fb.notice, "device: net0: the monitor moves its packets, for "
					  "vhost-net has failed: Input/output error");
}

/* It says that something is wrong: the card looks at the ring from where it stopped, and finds what is. */
static void test_vhost_malformed_ring(void **state)
{
	struct net_fixture *f = *state;
	struct guest_ring *r = &f->g.rings[TX];

	net_plug_taps(f, 1, true, "");
	net_start(f, 0, 3);
	guest_ring_add(r, GUEST_VIRTIO_RING_SIZE);
	signal_fd(f->net.queues[TX].err);
	fake_board_run(&f->fb);
	fake_board_run(&f->fb);
	assert_true(guest_virtio_status(&f->g) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void test_vhost_stops(void **state)
{
	struct net_fixture *f = *state;

	net_plug_taps(f, 1, true, "");
	net_start(f, 0, 3);
	/* vhost-net has read the kick, and gave up */
	assert_true(readable(f->net.queues[TX].kick));
	net_frame(frame, OTHER, OWN, 60);
	net_queue_frame(f, TX, 0, 1, frame, 60, 1);
	signal_fd(f->net.queues[TX].err);
	fake_board_run(&f->fb);
	fake_board_run(&f->fb);
	assert_int_equal(net_used(f, TX), 1);
	net_expect_sent(f, 0, frame, 60);
	expect_own_path(f);
	/* and stays so over a pause */
	f->dev->class->stop(f->dev);
	f->dev->class->start(f->dev);
	expect_own_path(f);
}

static void test_vhost_and_link(void **state)
{
	struct net_fixture *f = *state;
	struct err e = { 0 };

	net_plug_taps(f, 1, true, "");
	net_start(f, 0, 3);
	assert_int_equal(set_link(f, "down", &e), 1);
	assert_int_equal(f->net.queues[TX].tap, -1);
	net_frame(frame, OTHER, OWN, 60);
	net_queue_frame(f, TX, 0, 1, frame, 60, 1);
	net_kick(f, TX);
	assert_int_equal(net_used(f, TX), 1);
	net_expect_nothing_sent(f, 0);
	assert_int_equal(set_link(f, "up", &e), 1);
	assert_int_equal(f->net.queues[TX].tap, f->net.ours[0]);
	assert_int_equal(f->net.queues[TX].base, 1);
}

/* The interface goes: what the guest then sends is an error, too, but not of its driver. */
static void test_vhost_tap_ends(void **state)
{
	struct net_fixture *f = *state;

	net_plug_taps(f, 1, true, "");
	net_start(f, 0, 3);
	f->net.fail = TUNGETIFF;
	signal_fd(f->net.queues[TX].err);
	fake_board_run(&f->fb);
	fake_board_run(&f->fb);
	fake_board_watched(&f->fb);
	assert_int_equal(guest_virtio_status(&f->g) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
	assert_int_equal(link_status(f), 0);
	assert_string_equal(f->fb.notice, "device: net0: its network is gone; the link is down");
	assert_false(net_busy(f));
}

/* At DRIVER_OK: the card goes on without it, and with the next driver too. */
static void test_vhost_fails(void **state)
{
	struct net_fixture *f = *state;

	f->net.fail = VHOST_SET_MEM_TABLE;
	net_plug_taps(f, 1, true, "");
	net_start(f, 0, 3);
	expect_own_path(f);
	f->net.fail = 0;
	net_start(f, 0, 3);
	expect_own_path(f);
	assert_int_equal(net_ctrl(f, CTRL, 77, 0, "", 1), VIRTIO_NET_ERR);
}

/* --- configurations ------------------------------------------------------------------------------------------------ */

static void assert_refused(struct net_fixture *f, const char *members, const char *why)
{
	struct err e = { 0 };

	assert_true(net_plug(f, members, &e) < 0);
	f->dev = NULL;
	if (!strstr(e.msg, why))
		fail_msg("%s: %s", members, e.msg);
}

static void test_bad_configurations(void **state)
{
	static const char mac[] = "\"mac\":\"" NET_MAC "\"";
	struct net_fixture *f = *state;
	char text[256];

	assert_refused(f, "", "mac: expected");
	assert_refused(f, "\"mac\":\"01:00:5e:00:00:01\"", "mac: expected");
	assert_refused(f, mac, "either tap_fds or stream_fd");
	snprintf(text, sizeof(text), "%s,\"mtu\":67", mac);
	assert_refused(f, text, "mtu: expected 68 to 65535");
	snprintf(text, sizeof(text), "%s,\"queues\":9", mac);
	assert_refused(f, text, "queues: expected 1 to 8");
	snprintf(text, sizeof(text), "%s,\"tap_fds\":[{\"fd\":0}]", mac);
	assert_refused(f, text, "descriptor 0 was not passed");
	fake_net_pass(&f->net, 2, true, &f->fds);
	snprintf(text, sizeof(text), "%s,\"tap_fds\":[{\"fd\":0},{\"fd\":1}]", mac);
	assert_refused(f, text, "a descriptor for each pair");
	fdset_fini(&f->fds);
	fdset_init(&f->fds);
	fake_net_pass(&f->net, 1, false, &f->fds);
	f->net.flags = IFF_TAP | IFF_NO_PI;
	snprintf(text, sizeof(text), "%s,\"tap_fds\":[{\"fd\":0}]", mac);
	assert_refused(f, text, "the tap interface 'tap0' has no virtio header");
}

static void test_bad_vhost(void **state)
{
	static const char members[] =
		"\"mac\":\"" NET_MAC "\",\"tap_fds\":[{\"fd\":0}],\"vhost_fds\":[{\"fd\":1}]";
	struct net_fixture *f = *state;

	fake_net_pass(&f->net, 1, true, &f->fds);
	f->net.vhost_knows &= ~BIT64(VIRTIO_NET_F_MRG_RXBUF);
	assert_refused(f, members, "this host's vhost-net lacks features 0x8000");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_rx_modes),
		T(test_flood),
		T(test_mac_table),
		T(test_mac_table_lies),
		T(test_vlans),
		T(test_vlans_unfiltered),
		T(test_address_is_fixed),
		T(test_address_with_spoofing),
		T(test_offloads),
		T(test_refused),
		T(test_pairs),
		T(test_pairs_not_set_up),
		T(test_pairs_unknown_to_driver),
		T(test_link),
		T(test_link_down_at_first),
		T(test_set_knows_no_more),
		T(test_stream),
		T(test_stream_waits_for_buffers),
		T(test_stream_flood),
		T(test_stream_full),
		T(test_stream_ends),
		T(test_stream_nonsense),
		T(test_stream_ends_while_sending),
		T(test_tap_ends),
		T(test_vhost),
		T(test_vhost_vectors),
		T(test_vhost_intx),
		T(test_vhost_malformed_ring),
		T(test_vhost_stops),
		T(test_vhost_and_link),
		T(test_vhost_tap_ends),
		T(test_vhost_fails),
		T(test_bad_configurations),
		T(test_bad_vhost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
