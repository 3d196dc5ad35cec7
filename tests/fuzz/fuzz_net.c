// SPDX-License-Identifier: MIT
/*
 * A network card and a guest that drives its queues: the input says what the guest, the network and the host do, one
 * after the other. As long as the guest keeps to the protocol, so does the device: each buffer comes back once, with no
 * more in it than it has room for, and nothing is written behind it. Whatever it does, the worker comes to rest.
 */
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/json.h"
#include "tests/fuzz/input.h"
#include "tests/unit/net_fixture.h"

#define FUZZ_OPS_MAX 512
#define FUZZ_QUEUES 5
#define FUZZ_RING GUEST_VIRTIO_RING_SIZE
#define FUZZ_BUF_SIZE 0x10000u
#define FUZZ_BUF(q, d) (0x100000 + (uint64_t)FUZZ_BUF_SIZE * ((q)*FUZZ_RING + (d)))
#define FUZZ_TABLE(q, d) (0x20000 + 0x100ull * ((q)*FUZZ_RING + (d)))
#define FUZZ_CANARY 0xa5
#define FUZZ_TURNS 2000 /* of the loop until it has to be at rest */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	struct net_fixture f;
	struct fuzz_input input;
	bool stream, vhost, honest;
	uint64_t features;
	struct {
		bool ours; /* not the device's */
		uint32_t room;
	} bufs[FUZZ_QUEUES][FUZZ_RING];
};

static bool fuzz_has(const struct fuzz *f, unsigned int feature)
{
	return f->features & BIT64(feature);
}

static unsigned int fuzz_ctrl_queue(const struct fuzz *f)
{
	return fuzz_has(f, VIRTIO_NET_F_MQ) ? 2 * FAKE_NET_PAIRS : CTRL;
}

static bool fuzz_is_rx(const struct fuzz *f, unsigned int q)
{
	return q % 2 == RX && q != fuzz_ctrl_queue(f);
}

/* A receive or a transmit queue that is set up. */
static unsigned int fuzz_queue(struct fuzz *f, unsigned int kind)
{
	return fuzz_has(f, VIRTIO_NET_F_MQ) && fuzz_take(&f->input, 1) & 1 ? 2 + kind : kind;
}

/* --- the guest --------------------------------------------------------------------------------------------------- */

/* The driver starts anew, with what the input says of what is offered. */
static void fuzz_start(struct fuzz *f)
{
	uint64_t wanted = fuzz_take(&f->input, 4) | (uint64_t)fuzz_take(&f->input, 1) << 32;

	guest_virtio_find(&f->f.g, &f->f.fb, NET_SLOT);
	f->features = (wanted & guest_virtio_features(&f->f.g)) | NET_BASE;
	f->honest = true;
	for (unsigned int q = 0; q < FUZZ_QUEUES; q++)
		for (unsigned int d = 0; d < FUZZ_RING; d++)
			f->bufs[q][d].ours = true;
	net_start(&f->f, f->features, fuzz_ctrl_queue(f) + 1);
}

/* What the device gave back. */
static void fuzz_collect(struct fuzz *f, unsigned int q)
{
	struct vring_used_elem u;

	while (guest_ring_get(&f->f.g.rings[q], &u)) {
		if (!f->honest)
			continue;
		if (u.id >= FUZZ_RING || f->bufs[q][u.id].ours || u.len > f->bufs[q][u.id].room)
			__builtin_trap();
		f->bufs[q][u.id].ours = true;
		if (fuzz_is_rx(f, q) &&
		    f->f.fb.mem[FUZZ_BUF(q, u.id) + f->bufs[q][u.id].room] != FUZZ_CANARY)
			__builtin_trap();
	}
}

/* Descriptor d, of so many bytes, in one part or in several of an indirect table. */
static void fuzz_give(struct fuzz *f, unsigned int q, uint16_t d, uint32_t len, uint16_t flags)
{
	struct guest_ring *r = &f->f.g.rings[q];
	uint32_t parts = 1 + fuzz_take(&f->input, 1) % 8, each = len / parts, at = 0;

	f->f.fb.mem[FUZZ_BUF(q, d) + len] = FUZZ_CANARY;
	if (!fuzz_has(f, VIRTIO_RING_F_INDIRECT_DESC) || !each) {
		guest_ring_set(r, d, FUZZ_BUF(q, d), len, flags, 0);
	} else {
		for (uint32_t i = 0; i < parts; i++, at += each)
			guest_ring_set_at(r, FUZZ_TABLE(q, d), i, FUZZ_BUF(q, d) + at,
					  i + 1 < parts ? each : len - at,
					  (uint16_t)(flags |
						     (i + 1 < parts ? VRING_DESC_F_NEXT : 0)),
					  (uint16_t)(i + 1));
		guest_ring_set(r, d, FUZZ_TABLE(q, d), parts * 16, VRING_DESC_F_INDIRECT, 0);
	}
	f->bufs[q][d].ours = false;
	f->bufs[q][d].room = flags ? len : 0;
	guest_ring_add(r, d);
}

/* Buffers to receive into. */
static void fuzz_buffers(struct fuzz *f)
{
	unsigned int q = fuzz_queue(f, RX), n = 1 + fuzz_take(&f->input, 1) % FUZZ_RING;
	uint32_t len = fuzz_take(&f->input, 2) % (FUZZ_BUF_SIZE - 1);

	fuzz_collect(f, q);
	for (uint16_t d = 0; d < FUZZ_RING && n; d++) {
		if (!f->bufs[q][d].ours)
			continue;
		fuzz_give(f, q, d, len, VRING_DESC_F_WRITE);
		n--;
	}
	if (len < NET_HDR)
		f->honest = false;
}

static void fuzz_send(struct fuzz *f)
{
	unsigned int q = fuzz_queue(f, TX), n = 1 + fuzz_take(&f->input, 1) % FUZZ_RING;
	uint32_t len = fuzz_take(&f->input, 2) % (FUZZ_BUF_SIZE - 1);
	uint8_t from = (uint8_t)(1 + fuzz_take(&f->input, 1) % 2);

	fuzz_collect(f, q);
	for (uint16_t d = 0; d < FUZZ_RING && n; d++) {
		if (!f->bufs[q][d].ours)
			continue;
		net_frame(f->f.fb.mem + FUZZ_BUF(q, d) + NET_HDR, 3, from, ETH_HLEN);
		fuzz_give(f, q, d, len, 0);
		n--;
	}
	if (len < NET_HDR)
		f->honest = false;
}

static void fuzz_control(struct fuzz *f)
{
	unsigned int q = fuzz_ctrl_queue(f);
	struct guest_ring *r = &f->f.g.rings[q];
	uint8_t *at = f->f.fb.mem + FUZZ_BUF(4, 0);
	uint32_t len = 2 + fuzz_take(&f->input, 1) % 64;

	fuzz_collect(f, q);
	if (!f->bufs[q][0].ours)
		return;
	at[0] = (uint8_t)(fuzz_take(&f->input, 1) % 8);
	for (uint32_t i = 1; i < len; i++)
		at[i] = (uint8_t)fuzz_take(&f->input, 1);
	at[len] = 0xee;
	guest_ring_set(r, 0, FUZZ_BUF(4, 0), len, VRING_DESC_F_NEXT, 1);
	guest_ring_set(r, 1, FUZZ_BUF(4, 0) + len, 1, VRING_DESC_F_WRITE, 0);
	f->bufs[q][0].ours = false;
	f->bufs[q][0].room = 1;
	guest_ring_add(r, 0);
	net_kick(&f->f, q);
}

/* The rings are the guest's to write to, at any time. */
static void fuzz_corrupt(struct fuzz *f)
{
	uint32_t q = fuzz_take(&f->input, 1) % FUZZ_QUEUES, off = fuzz_take(&f->input, 2) % 0x400;

	f->f.fb.mem[GUEST_VIRTIO_RINGS + 0x1000 * q + off] = (uint8_t)fuzz_take(&f->input, 1);
	f->honest = false;
}

static void fuzz_kick(struct fuzz *f)
{
	guest_virtio_kick(&f->f.g, fuzz_take(&f->input, 1) % (fuzz_ctrl_queue(f) + 1));
}

static void fuzz_turn(struct fuzz *f)
{
	fake_board_run(&f->f.fb);
}

/* --- the network ------------------------------------------------------------------------------------------------- */

/* A frame, or for a stream what may be none. */
static void fuzz_arrive(struct fuzz *f)
{
	static uint8_t message[4 + NET_HDR + 0x10000];
	uint32_t size = fuzz_take(&f->input, 2), pair = fuzz_take(&f->input, 1) % FAKE_NET_PAIRS;
	uint8_t shift = (uint8_t)fuzz_take(&f->input, 1),
		*frame = message + (f->stream ? 4 : NET_HDR);

	size >>= shift % 12;
	memset(message, 0, 4 + NET_HDR);
	net_frame(frame, (uint8_t)(shift & 0x80 ? 1 : 2), 3, ETH_HLEN + 4);
	if (!f->stream) {
		message[0] = shift >> 6 & 1 ? VIRTIO_NET_HDR_F_DATA_VALID : 0;
		(void)!send(f->f.net.taps[pair], message, NET_HDR + size, MSG_DONTWAIT);
		return;
	}
	message[2] = (uint8_t)(size >> 8);
	message[3] = (uint8_t)size;
	if (f->f.peer >= 0)
		(void)!send(f->f.peer, message, pair ? 4 + size : size / 2, MSG_DONTWAIT);
}

/* The other end reads what the guest sent. */
static void fuzz_drain(struct fuzz *f)
{
	static uint8_t got[0x20000];

	if (f->f.peer >= 0)
		while (recv(f->f.peer, got, sizeof(got), MSG_DONTWAIT) > 0)
			;
	for (unsigned int i = 0; i < FAKE_NET_PAIRS && !f->stream; i++)
		while (recv(f->f.net.taps[i], got, sizeof(got), MSG_DONTWAIT) > 0)
			;
}

/* --- the host ---------------------------------------------------------------------------------------------------- */

static void fuzz_pause(struct fuzz *f)
{
	f->f.dev->class->stop(f->f.dev);
	f->f.dev->class->start(f->f.dev);
}

static void fuzz_link(struct fuzz *f)
{
	struct json_object *change =
		json_add_str(json_new(), "link", fuzz_take(&f->input, 1) & 1 ? "up" : "down");
	struct err e = { 0 };

	(void)!f->f.dev->class->set(f->f.dev, change, &e);
	json_object_put(change);
}

/* vhost-net, which serves nothing here, gives up: the card goes on from where it was. */
static void fuzz_vhost_fails(struct fuzz *f)
{
	uint64_t one = 1;

	if (f->vhost && f->f.net.queues[RX].tap >= 0)
		(void)!write(f->f.net.queues[RX].err, &one, sizeof(one));
}

/* Nothing is to be done any more: then the worker does nothing. */
static void fuzz_rest(struct fuzz *f)
{
	for (unsigned int i = 0; i < FUZZ_TURNS; i++) {
		fuzz_drain(f);
		if (!net_busy(&f->f))
			break;
	}
	if (net_busy(&f->f) ||
	    (f->honest && guest_virtio_status(&f->f.g) & VIRTIO_CONFIG_S_NEEDS_RESET))
		__builtin_trap();
	for (unsigned int q = 0; q <= fuzz_ctrl_queue(f); q++)
		fuzz_collect(f, q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const ops[])(struct fuzz * f) = {
		fuzz_buffers, fuzz_send,  fuzz_control, fuzz_kick,	  fuzz_turn, fuzz_arrive,
		fuzz_arrive,  fuzz_drain, fuzz_pause,	fuzz_link,	  fuzz_rest, fuzz_kick,
		fuzz_turn,    fuzz_start, fuzz_corrupt, fuzz_vhost_fails,
	};
	struct fuzz *f = calloc(1, sizeof(*f));
	uint32_t how;

	f->input = (struct fuzz_input){ data, size };
	net_fixture_init(&f->f);
	how = fuzz_take(&f->input, 1);
	f->stream = how & 1;
	f->vhost = !f->stream && how & 4;
	if (f->stream)
		net_plug_stream(&f->f, how & 2 ? "\"spoofing\":true" : "");
	else
		net_plug_taps(&f->f, f->vhost ? 1 : FAKE_NET_PAIRS, f->vhost,
			      how & 2 ? "\"spoofing\":true" : "");
	fuzz_start(f);
	for (unsigned int n = 0; f->input.left && n < FUZZ_OPS_MAX; n++)
		ops[fuzz_take(&f->input, 1) % ARRAY_SIZE(ops)](f);
	fuzz_rest(f);
	net_fixture_fini(&f->f);
	free(f);
	return 0;
}
