// SPDX-License-Identifier: MIT
/* The virtio network card: vhost-net, and configurations that it refuses. */
#include <linux/if_tun.h>
#include <linux/virtio_pci.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/test.h"
#include "tests/unit/net_fixture.h"

static uint8_t frame[2000];

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
	net_frame(frame, NET_OTHER, NET_OWN, 60);
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
	net_frame(frame, NET_OTHER, NET_OWN, 60);
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
	assert_int_equal(net_set_link(f, "down", &e), 1);
	assert_int_equal(f->net.queues[TX].tap, -1);
	net_frame(frame, NET_OTHER, NET_OWN, 60);
	net_queue_frame(f, TX, 0, 1, frame, 60, 1);
	net_kick(f, TX);
	assert_int_equal(net_used(f, TX), 1);
	net_expect_nothing_sent(f, 0);
	assert_int_equal(net_set_link(f, "up", &e), 1);
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
	assert_int_equal(net_link_status(f), 0);
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

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, net_setup, net_teardown)
	const struct CMUnitTest tests[] = {
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
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
