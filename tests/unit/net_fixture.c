// SPDX-License-Identifier: MIT
/* See net_fixture.h. */
#include "tests/unit/net_fixture.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/json.h"
#include "tests/lib/test.h"
#include "vmm/devices.h"

void net_fixture_init(struct net_fixture *f)
{
	memset(f, 0, sizeof(*f));
	signal(SIGPIPE, SIG_IGN); /* as vmm does */
	fake_board_init(&f->fb, NET_MEM);
	f->fb.log.fd = -1;
	fake_net_init(&f->net);
	f->fb.board.net_sys = &f->net.sys;
	f->host = fake_board_add(&f->fb, &pci_host_class, "pci", NULL);
	f->peer = -1;
	fdset_init(&f->fds);
}

void net_fixture_fini(struct net_fixture *f)
{
	if (f->dev) {
		f->dev->class->stop(f->dev);
		fake_board_remove(&f->fb, f->dev);
	}
	fdset_fini(&f->fds);
	fake_board_remove(&f->fb, f->host);
	fake_board_fini(&f->fb);
	fake_net_fini(&f->net);
	if (f->peer >= 0)
		close(f->peer);
}

int net_plug(struct net_fixture *f, const char *members, struct err *e)
{
	AUTO_JSON struct json_object *json = NULL;
	char text[512];
	int r;

	snprintf(text, sizeof(text),
		 "{\"type\":\"virtio-net\",\"id\":\"net0\",\"address\":\"00:04.0\"%s%s}",
		 members[0] ? "," : "", members);
	assert_int_equal(json_parse(text, strlen(text), &json, e), 0);
	r = device_new(&f->fb.board, json, &f->fds, &f->dev, e);
	if (r < 0)
		return r;
	f->dev->class->reset(f->dev);
	f->dev->class->start(f->dev);
	return 0;
}

static void net_plug_well(struct net_fixture *f, const char *fds, const char *members)
{
	char text[400];
	struct err e = { 0 };

	snprintf(text, sizeof(text), "\"mac\":\"" NET_MAC "\",%s%s%s", fds, members[0] ? "," : "",
		 members);
	if (net_plug(f, text, &e) < 0)
		fail_msg("%s", e.msg);
}

void net_plug_taps(struct net_fixture *f, unsigned int pairs, bool vhost, const char *members)
{
	char fds[128];

	fake_net_pass(&f->net, pairs, vhost, &f->fds);
	snprintf(fds, sizeof(fds), "\"tap_fds\":[{\"fd\":0}%s]%s", pairs > 1 ? ",{\"fd\":1}" : "",
		 vhost ? ",\"vhost_fds\":[{\"fd\":1}]" : "");
	if (pairs > 1)
		snprintf(fds + strlen(fds), sizeof(fds) - strlen(fds), ",\"queues\":%u", pairs);
	net_plug_well(f, fds, members);
}

void net_stream(struct net_fixture *f)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	f->peer = pair[0];
	fdset_add(&f->fds, pair[1]);
}

void net_plug_stream(struct net_fixture *f, const char *members)
{
	net_stream(f);
	net_plug_well(f, "\"stream_fd\":{\"fd\":0}", members);
}

void net_start(struct net_fixture *f, uint64_t features, unsigned int nqueues)
{
	guest_virtio_find(&f->g, &f->fb, NET_SLOT);
	assert_true(guest_virtio_start(&f->g, NET_BASE | features, nqueues));
	fake_board_run(&f->fb);
}

size_t net_frame(uint8_t *out, uint8_t to, uint8_t from, size_t size)
{
	static const uint8_t mac[] = { 0x52, 0x54, 0, 0, 0 };

	for (size_t i = 0; i < size; i++)
		out[i] = (uint8_t)(i * 7 + i / 251 + to);
	memcpy(out, mac, 5);
	out[5] = to;
	memcpy(out + 6, mac, 5);
	out[11] = from;
	out[12] = 0x08; /* IPv4 */
	out[13] = 0;
	return size;
}

void net_queue_frame(struct net_fixture *f, unsigned int q, uint16_t d, unsigned int i,
		     const uint8_t *frame, size_t size, unsigned int nparts)
{
	uint64_t at = NET_BUF(i);
	size_t left = NET_HDR + size, part = left / nparts;

	memset(f->fb.mem + at, 0, NET_HDR);
	memcpy(f->fb.mem + at + NET_HDR, frame, size);
	for (unsigned int n = 0; n < nparts; n++) {
		size_t len = n + 1 == nparts ? left : part;

		guest_ring_set(&f->g.rings[q], d + n, at, (uint32_t)len,
			       n + 1 == nparts ? 0 : VRING_DESC_F_NEXT, (uint16_t)(d + n + 1));
		at += len;
		left -= len;
	}
	guest_ring_add(&f->g.rings[q], d);
}

void net_kick(struct net_fixture *f, unsigned int q)
{
	guest_virtio_kick(&f->g, q);
	fake_board_run(&f->fb);
}

void net_expect_sent(struct net_fixture *f, unsigned int pair, const uint8_t *frame, size_t size)
{
	static uint8_t got[80000];
	static const uint8_t zero[NET_HDR];
	ssize_t n = recv(f->net.taps[pair], got, sizeof(got), MSG_DONTWAIT);

	assert_int_equal(n, NET_HDR + size);
	assert_memory_equal(got, zero, NET_HDR);
	assert_memory_equal(got + NET_HDR, frame, size);
}

void net_expect_nothing_sent(struct net_fixture *f, unsigned int pair)
{
	uint8_t byte;

	assert_int_equal(recv(f->net.taps[pair], &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

unsigned int net_used(struct net_fixture *f, unsigned int q)
{
	struct vring_used_elem u;
	unsigned int n = 0;

	while (guest_ring_get(&f->g.rings[q], &u))
		n++;
	return n;
}

void net_give(struct net_fixture *f, unsigned int q, uint16_t d, unsigned int i, uint32_t len)
{
	memset(f->fb.mem + NET_BUF(i), 0xee, len);
	guest_ring_set(&f->g.rings[q], d, NET_BUF(i), len, VRING_DESC_F_WRITE, 0);
	guest_ring_add(&f->g.rings[q], d);
}

void net_arrive(struct net_fixture *f, unsigned int pair, const uint8_t *frame, size_t size)
{
	static const uint8_t hdr[NET_HDR];
	struct iovec iov[] = { { (void *)hdr, NET_HDR }, { (void *)frame, size } };

	assert_int_equal(writev(f->net.taps[pair], iov, 2), NET_HDR + size);
	fake_board_run(&f->fb);
}

void net_expect_used(struct net_fixture *f, unsigned int q, uint16_t d, uint32_t len)
{
	struct vring_used_elem u;

	assert_true(guest_ring_get(&f->g.rings[q], &u));
	assert_int_equal(u.id, d);
	assert_int_equal(u.len, len);
}

void net_expect_received(struct net_fixture *f, unsigned int q, uint16_t d, unsigned int i,
			 const uint8_t *frame, size_t size)
{
	const struct virtio_net_hdr_v1 *hdr = (const void *)(f->fb.mem + NET_BUF(i));

	net_expect_used(f, q, d, (uint32_t)(NET_HDR + size));
	assert_int_equal(hdr->num_buffers, 1);
	assert_int_equal(hdr->flags, 0);
	assert_int_equal(hdr->gso_type, 0);
	assert_memory_equal(hdr + 1, frame, size);
}

void net_expect_none(struct net_fixture *f, unsigned int q)
{
	struct vring_used_elem u;

	assert_false(guest_ring_get(&f->g.rings[q], &u));
}

bool net_busy(struct net_fixture *f)
{
	struct pollfd p = { .fd = uv_backend_fd(&f->fb.loop), .events = POLLIN };

	/* what is to be waited for is told to the kernel at the next turn */
	fake_board_run(&f->fb);
	fake_board_run(&f->fb);
	return poll(&p, 1, 0) > 0;
}

uint8_t net_ctrl(struct net_fixture *f, unsigned int q, uint8_t class, uint8_t cmd,
		 const void *data, size_t len)
{
	struct guest_ring *r = &f->g.rings[q];
	uint8_t *at = f->fb.mem + NET_BUF(30);

	at[0] = class;
	at[1] = cmd;
	memcpy(at + 2, data, len);
	at[4096] = 0xee;
	guest_ring_set(r, 0, NET_BUF(30), 2, VRING_DESC_F_NEXT, 1);
	guest_ring_set(r, 1, NET_BUF(30) + 2, (uint32_t)len, VRING_DESC_F_NEXT, 2);
	guest_ring_set(r, 2, NET_BUF(30) + 4096, 1, VRING_DESC_F_WRITE, 0);
	guest_ring_add(r, 0);
	net_kick(f, q);
	net_expect_used(f, q, 0, 1);
	return at[4096];
}

void net_start_one(struct net_fixture *f, uint64_t features)
{
	net_plug_taps(f, 1, false, "");
	net_start(f, features, 3);
	net_give(f, RX, 0, 0, 1526);
	net_kick(f, RX);
}

int net_set_link(struct net_fixture *f, const char *link, struct err *e)
{
	struct json_object *change = json_add_str(json_new(), "link", link);
	int r = f->dev->class->set(f->dev, change, e);

	json_object_put(change);
	fake_board_run(&f->fb);
	fake_board_run(&f->fb);
	return r;
}

uint16_t net_link_status(struct net_fixture *f)
{
	return (uint16_t)fake_mmio_read(&f->fb, f->g.device + 6, 2);
}

void net_expect_gone(struct net_fixture *f)
{
	uint8_t frame[60];
	struct err e = { 0 };

	fake_board_run(&f->fb);
	fake_board_watched(&f->fb);
	assert_int_equal(net_link_status(f), 0);
	assert_string_equal(f->fb.notice, "device: net0: its network is gone; the link is down");
	assert_int_equal(f->fb.nnotices, 1);
	assert_false(net_busy(f));
	/* the guest goes on */
	net_frame(frame, NET_OTHER, NET_OWN, 60);
	net_queue_frame(f, TX, 9, 2, frame, 60, 1);
	net_kick(f, TX);
	assert_int_equal(net_used(f, TX), 1);
	fake_board_watched(&f->fb);
	assert_int_equal(f->fb.nnotices, 1);
	assert_int_equal(net_set_link(f, "down", &e), 1);
	assert_int_equal(net_set_link(f, "up", &e), -ERR_INVALID);
}

int net_setup(void **state)
{
	struct net_fixture *f = calloc(1, sizeof(*f));

	net_fixture_init(f);
	*state = f;
	return 0;
}

int net_teardown(void **state)
{
	struct net_fixture *f = *state;

	net_fixture_fini(f);
	free(f);
	return 0;
}

uint8_t net_rx_mode(struct net_fixture *f, uint8_t cmd, uint8_t on)
{
	return net_ctrl(f, CTRL, VIRTIO_NET_CTRL_RX, cmd, &on, 1);
}
