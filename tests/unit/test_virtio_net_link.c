// SPDX-License-Identifier: MIT
/* The virtio network card: the cable, streams, and networks that end. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "lib/json.h"
#include "tests/lib/test.h"
#include "tests/unit/net_fixture.h"

static uint8_t frame[2000];

/* --- the cable ---------------------------------------------------------------------------------------------------- */

static void test_link(void **state)
{
	struct net_fixture *f = *state;
	struct err e = { 0 };

	net_start_one(f, 0);
	guest_virtio_irqs(&f->g, 0);
	assert_int_equal(net_set_link(f, "down", &e), 1);
	assert_int_equal(net_link_status(f), 0);
	assert_int_equal(guest_virtio_irqs(&f->g, 0), 1);
	assert_int_equal(net_set_link(f, "down", &e), 0); /* nothing to do */
	assert_int_equal(guest_virtio_irqs(&f->g, 0), 0);
	net_frame(frame, NET_OTHER, NET_OWN, 60);
	net_queue_frame(f, TX, 0, 1, frame, 60, 1);
	net_kick(f, TX);
	assert_int_equal(net_used(f, TX), 1); /* the driver goes on, and nothing leaves */
	net_expect_nothing_sent(f, 0);
	net_arrive(f, 0, frame, 60);
	net_expect_none(f, RX);
	assert_false(net_busy(f));
	assert_int_equal(net_set_link(f, "up", &e), 1);
	assert_int_equal(net_link_status(f), VIRTIO_NET_S_LINK_UP);
	assert_int_equal(guest_virtio_irqs(&f->g, 0), 1);
	net_expect_none(f, RX); /* what came meanwhile is old */
	net_frame(frame, NET_OWN, NET_OTHER, 70);
	net_arrive(f, 0, frame, 70);
	net_expect_received(f, RX, 0, 0, frame, 70);
	assert_int_equal(net_set_link(f, "sideways", &e), -ERR_INVALID);
}

static void test_link_down_at_first(void **state)
{
	struct net_fixture *f = *state;
	struct err e = { 0 };

	net_plug_taps(f, 1, false, "\"link\":\"down\"");
	net_start(f, 0, 3);
	assert_int_equal(net_link_status(f), 0);
	assert_int_equal(net_set_link(f, "up", &e), 1);
	net_frame(frame, NET_OTHER, NET_OWN, 60);
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
	net_frame(frame, NET_OTHER, NET_OWN, 60);
	net_queue_frame(f, TX, 0, 2, frame, 60, 3);
	net_frame(frame + 1000, NET_OTHER, NET_OTHER, 60);
	net_queue_frame(f, TX, 3, 3, frame + 1000, 60, 1); /* not its own address */
	net_kick(f, TX);
	assert_int_equal(recv(f->peer, got, sizeof(got), MSG_DONTWAIT), 64);
	assert_memory_equal(got, &len, 4);
	assert_memory_equal(got + 4, frame, 60);
	assert_int_equal(net_used(f, TX), 2);
	/* cut anywhere, and two at once */
	net_frame(frame, NET_OWN, NET_OTHER, 60);
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
	net_frame(frame, NET_OWN, NET_OTHER, 60);
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
	net_start(f, NET_CTRL_FEATURES, 3);
	net_give(f, RX, 0, 0, 1526);
	net_kick(f, RX);
	assert_int_equal(net_rx_mode(f, VIRTIO_NET_CTRL_RX_PROMISC, 0), VIRTIO_NET_OK);
	for (unsigned int i = 0; i < 300; i++) {
		memcpy(burst + 64ul * i, &len, 4);
		net_frame(burst + 64ul * i + 4, i == 299 ? NET_OWN : NET_OTHER, NET_OTHER, 60);
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

		net_frame(big, NET_OTHER, NET_OWN, 60000);
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

static void test_stream_ends(void **state)
{
	struct net_fixture *f = *state;

	stream_start(f);
	close(f->peer);
	f->peer = -1;
	net_expect_gone(f);
}

static void test_stream_nonsense(void **state)
{
	struct net_fixture *f = *state;
	uint32_t len = htonl(65554);

	stream_start(f);
	stream_write(f, &len, 4);
	net_expect_gone(f);
}

static void test_stream_ends_while_sending(void **state)
{
	struct net_fixture *f = *state;

	net_plug_stream(f, "");
	net_start(f, 0, 3); /* no buffers: nobody reads */
	close(f->peer);
	f->peer = -1;
	net_frame(frame, NET_OTHER, NET_OWN, 60);
	net_queue_frame(f, TX, 0, 0, frame, 60, 1);
	net_kick(f, TX);
	assert_int_equal(net_used(f, TX), 1);
	net_expect_gone(f);
}

static void test_tap_ends(void **state)
{
	struct net_fixture *f = *state;

	net_start_one(f, 0);
	close(f->net.taps
		      [0]); /* a read gives 0 bytes here, an error in the kernel: no frame either way */
	f->net.taps[0] = -1;
	net_expect_gone(f);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, net_setup, net_teardown)
	const struct CMUnitTest tests[] = {
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
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
