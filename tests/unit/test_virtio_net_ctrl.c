// SPDX-License-Identifier: MIT
/* The virtio network card: its control queue, filters, and pairs of queues. */
#include <linux/if_tun.h>
#include <linux/virtio_pci.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/lib/test.h"
#include "tests/unit/net_fixture.h"

#define MQ_FEATURES (BIT64(VIRTIO_NET_F_CTRL_VQ) | BIT64(VIRTIO_NET_F_MQ))
#define MQ_CTRL 4

static uint8_t frame[2000];

/* --- filters ------------------------------------------------------------------------------------------------- */

/* Does a frame to this address get through? Descriptor 0 is given again each time. */
static bool gets(struct net_fixture *f, const char to[6], int vlan)
{
	net_frame(frame, NET_OWN, NET_OTHER, 100);
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

static void test_rx_modes(void **state)
{
	struct net_fixture *f = *state;

	net_start_one(f, NET_CTRL_FEATURES);
	assert_true(gets(f, other, -1)); /* all of it, until the driver says otherwise */
	assert_int_equal(net_rx_mode(f, VIRTIO_NET_CTRL_RX_PROMISC, 0), VIRTIO_NET_OK);
	assert_true(gets(f, own, -1));
	assert_false(gets(f, other, -1));
	assert_false(gets(f, group, -1));
	assert_true(gets(f, all, -1));
	assert_int_equal(net_rx_mode(f, VIRTIO_NET_CTRL_RX_ALLMULTI, 1), VIRTIO_NET_OK);
	assert_true(gets(f, group, -1));
	assert_int_equal(net_rx_mode(f, VIRTIO_NET_CTRL_RX_NOMULTI, 1), VIRTIO_NET_OK);
	assert_false(gets(f, group, -1));
	assert_int_equal(net_rx_mode(f, VIRTIO_NET_CTRL_RX_ALLUNI, 1), VIRTIO_NET_OK);
	assert_true(gets(f, other, -1));
	assert_int_equal(net_rx_mode(f, VIRTIO_NET_CTRL_RX_NOUNI, 1), VIRTIO_NET_OK);
	assert_false(gets(f, own, -1));
	assert_int_equal(net_rx_mode(f, VIRTIO_NET_CTRL_RX_NOBCAST, 1), VIRTIO_NET_OK);
	assert_false(gets(f, all, -1));
	assert_int_equal(net_rx_mode(f, 6, 1), VIRTIO_NET_ERR);
	/* a new driver finds it as it was */
	net_start(f, NET_CTRL_FEATURES, 3);
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

	net_start_one(f, NET_CTRL_FEATURES);
	assert_int_equal(net_rx_mode(f, VIRTIO_NET_CTRL_RX_PROMISC, 0), VIRTIO_NET_OK);
	net_frame(message + NET_HDR, NET_OTHER, NET_OTHER, 60);
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

	net_start_one(f, NET_CTRL_FEATURES);
	assert_int_equal(net_rx_mode(f, VIRTIO_NET_CTRL_RX_PROMISC, 0), VIRTIO_NET_OK);
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

	net_start_one(f, NET_CTRL_FEATURES);
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

	net_start_one(f, BIT64(VIRTIO_NET_F_CTRL_VQ) | BIT64(VIRTIO_NET_F_CTRL_VLAN));
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

	net_start_one(f, NET_CTRL_FEATURES);
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

	net_start_one(f, NET_CTRL_FEATURES);
	assert_int_equal(set_address(f, other), VIRTIO_NET_ERR);
	assert_int_equal(set_address(f, own), VIRTIO_NET_OK);
	expect_address(f, own);
}

static void test_address_with_spoofing(void **state)
{
	struct net_fixture *f = *state;

	net_plug_taps(f, 1, false, "\"spoofing\":true");
	net_start(f, NET_CTRL_FEATURES, 3);
	net_give(f, RX, 0, 0, 1526);
	net_kick(f, RX);
	assert_int_equal(net_rx_mode(f, VIRTIO_NET_CTRL_RX_PROMISC, 0), VIRTIO_NET_OK);
	assert_int_equal(set_address(f, group), VIRTIO_NET_ERR);
	assert_int_equal(set_address(f, other), VIRTIO_NET_OK);
	expect_address(f, other);
	assert_true(gets(f, other, -1));
	assert_false(gets(f, own, -1));
	net_start(f, NET_CTRL_FEATURES, 3);
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

	net_start_one(f, BIT64(VIRTIO_NET_F_CTRL_VQ)); /* nothing but the queue is negotiated */
	assert_int_equal(net_rx_mode(f, VIRTIO_NET_CTRL_RX_PROMISC, 0), VIRTIO_NET_ERR);
	assert_int_equal(net_rx_mode(f, VIRTIO_NET_CTRL_RX_NOUNI, 1), VIRTIO_NET_ERR);
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
	net_frame(frame, NET_OTHER, NET_OWN, 60);
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
	net_frame(frame, NET_OWN, NET_OTHER, 80);
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
	net_start(f, NET_CTRL_FEATURES, 3);
	assert_int_equal(net_rx_mode(f, VIRTIO_NET_CTRL_RX_PROMISC, 0), VIRTIO_NET_OK);
	assert_false(f->net.queue_on[1]);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, net_setup, net_teardown)
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
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
