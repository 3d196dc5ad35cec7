// SPDX-License-Identifier: MIT
/*
 * To the guest: VIRTIO 1.2, sections 5.1.6.3 and 5.1.6.4. Buffers are taken from the queue before it is known
 * whether there is a frame for them: the window. A frame is read into it with one system call, into as many
 * buffers as it needs with MRG_RXBUF, into one without. Behind the window is the spill: what ends there was longer,
 * and waits for more buffers (MRG_RXBUF) or is lost. On the worker.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "vmm/virtio/net_impl.h"

#define NET_RX_STALE 1024   /* frames; a tap keeps 500 or 1000 of them */
#define NET_RX_LONG_ONES 32 /* small frames after a long one until the next one is a surprise */
#define NET_RX_PEEK (ETH_HLEN + 4) /* with a VLAN tag: what the filter looks at */

/* --- the window ------------------------------------------------------------------------------------------------ */

/* The longest frame of the wire. */
static size_t net_rx_wire(const struct net *n)
{
	const struct virtio_net_config *c = (const void *)n->v.config;

	return NET_HEADER + NET_RX_PEEK + MAX((size_t)le16toh(c->mtu), ETH_DATA_LEN);
}

/*
 * How much of it there should be before a frame is read: the longest that is to be expected. Longer ones than the
 * wire's (TSO) come in rows: the first is copied, by the spill, and for small ones the kernel is not given forty buffers.
 */
static size_t net_rx_wanted(const struct net_pair *p)
{
	if (!net_mergeable(p->net))
		return 1;
	return p->rx.long_ones ? NET_HEADER + NET_FRAME_MAX : net_rx_wire(p->net);
}

/* Move it to the front of its arrays when there may be no room behind it. */
static void net_rx_compact(struct net_rx *rx)
{
	if (rx->first + rx->n == NET_RX_BUFS) {
		memmove(rx->bufs, rx->bufs + rx->first, rx->n * sizeof(rx->bufs[0]));
		rx->first = 0;
	}
	if (rx->iov_first + rx->niov > NET_RX_IOVS - VIRTQ_SEGS_MAX) {
		memmove(rx->iov, rx->iov + rx->iov_first, rx->niov * sizeof(rx->iov[0]));
		rx->iov_first = 0;
	}
}

static bool net_rx_full(const struct net_rx *rx)
{
	return rx->n == NET_RX_BUFS || rx->niov > NET_RX_IOVS - VIRTQ_SEGS_MAX;
}

static bool net_rx_add(struct net_pair *p)
{
	struct net_rx *rx = &p->rx;
	const struct virtq_req *r = &rx->req;
	size_t size = iov_size(r->iov + r->nout, r->nin);

	if (size < NET_HEADER) {
		virtio_broken(&p->net->v, "a receive buffer that is too short for a header");
		return false;
	}
	memcpy(&rx->iov[rx->iov_first + rx->niov], r->iov + r->nout, r->nin * sizeof(r->iov[0]));
	rx->bufs[rx->first + rx->n] = (struct net_rx_buf){
		.head = r->head, .niov = r->nin, .size = (uint32_t)MIN(size, UINT32_MAX)
	};
	rx->niov += r->nin;
	rx->n++;
	rx->bytes += size;
	return true;
}

static void net_rx_fill(struct net_pair *p)
{
	size_t wanted = net_rx_wanted(p);
	struct net_rx *rx = &p->rx;

	wanted = MAX(wanted, rx->held);
	while (rx->bytes < wanted && !net_rx_full(rx)) {
		bool needed = !rx->n || rx->held; /* or is there enough for most frames? */

		net_rx_compact(rx);
		if (virtio_pop_if(&p->net->v, NET_RX_QUEUE(p->index), &rx->req, needed) <= 0 ||
		    !net_rx_add(p))
			break;
	}
}

/* Its first buffer is used: bytes of it. */
static void net_rx_use(struct net_pair *p, uint32_t bytes)
{
	struct net_rx *rx = &p->rx;
	const struct net_rx_buf *b = &rx->bufs[rx->first];

	virtq_push(&net_queue(p->net, NET_RX_QUEUE(p->index))->vq, b->head, bytes);
	rx->bytes -= b->size;
	rx->iov_first += b->niov;
	rx->niov -= b->niov;
	rx->n--;
	rx->first++;
	if (!rx->n)
		rx->first = rx->iov_first = rx->niov = 0;
}

/* --- a frame --------------------------------------------------------------------------------------------------- */

/* It stands in the window: its buffers go to the guest, which sees them with the flush. */
static void net_rx_deliver(struct net_pair *p, size_t size)
{
	struct net_rx *rx = &p->rx;
	const struct iovec *iov = &rx->iov[rx->iov_first];
	unsigned int niov = rx->bufs[rx->first].niov;
	const uint8_t none = 0;
	uint16_t used = 0, le;

	while (size) {
		uint32_t part = (uint32_t)MIN(size, rx->bufs[rx->first].size);

		net_rx_use(p, part);
		size -= part;
		used++;
	}
	/* section 5.1.6.4.1; the host's kernel may have checked the sum already, and says so */
	if (!virtio_has(&p->net->v, VIRTIO_NET_F_GUEST_CSUM))
		iov_write(iov, niov, offsetof(struct virtio_net_hdr_v1, flags), &none, 1);
	le = htole16(used); /* 1 without MRG_RXBUF, too */
	iov_write(iov, niov, offsetof(struct virtio_net_hdr_v1, num_buffers), &le, sizeof(le));
}

/* With its header: bytes, or -errno. */
static ssize_t net_rx_read(struct net_pair *p)
{
	static const struct virtio_net_hdr_v1 none;
	struct net_rx *rx = &p->rx;
	struct iovec *iov = &rx->iov[rx->iov_first];
	unsigned int niov = net_mergeable(p->net) ? rx->niov : rx->bufs[rx->first].niov;
	struct iovec behind = iov[niov];
	ssize_t got;

	/* without MRG_RXBUF the window is one buffer: nothing is overwritten that is needed */
	iov[niov] = (struct iovec){ rx->spill, sizeof(rx->spill) };
	if (p->stream) {
		got = stream_recv_at(p->stream, iov, niov + 1, NET_HEADER);
		if (got >= 0)
			iov_write(iov, niov, 0, &none, sizeof(none));
	} else {
		got = tap_recv(p->tap, iov, niov + 1);
	}
	iov[niov] = behind;
	return got;
}

static void net_rx_frame(struct net_pair *p, size_t size)
{
	struct net_rx *rx = &p->rx;
	const struct iovec *iov = &rx->iov[rx->iov_first];
	uint8_t peek[NET_RX_PEEK];
	size_t look, have;

	if (size < NET_HEADER + ETH_HLEN)
		return;
	if (size > net_rx_wire(p->net))
		rx->long_ones = NET_RX_LONG_ONES;
	else if (rx->long_ones)
		rx->long_ones--;
	look = MIN(size - NET_HEADER, sizeof(peek));
	have = iov_read(iov, rx->niov, NET_HEADER, peek, look);
	memcpy(peek + have, rx->spill, look - have); /* where the window is as small as that */
	if (!net_filter_takes(&p->net->filter, peek, look))
		return;
	if (size <= rx->bytes) {
		net_rx_deliver(p, size);
	} else if (net_mergeable(p->net) && !net_rx_full(rx)) {
		rx->held = size;
		rx->held_from = rx->bytes;
	}
}

/* Are all descriptors of the queue in the window? Then the driver has no more to give. */
static bool net_rx_all(const struct net_pair *p)
{
	const struct virtq *q = &net_queue(p->net, NET_RX_QUEUE(p->index))->vq;

	return (q->indirect ? p->rx.n : p->rx.niov) >= q->size;
}

/* A frame that was too long for the window: true when it is out of the way. */
static bool net_rx_finish(struct net_pair *p)
{
	struct net_rx *rx = &p->rx;

	if (rx->bytes >= rx->held) {
		iov_write(&rx->iov[rx->iov_first], rx->niov, rx->held_from, rx->spill,
			  rx->held - rx->held_from);
		net_rx_deliver(p, rx->held);
	} else if (!net_rx_full(rx) && !net_rx_all(p)) {
		return false;
	}
	rx->held = 0;
	return true;
}

static bool net_rx_ready(struct net_pair *p)
{
	net_rx_fill(p);
	if (p->rx.held && net_rx_finish(p))
		net_rx_fill(p);
	return p->rx.n && !p->rx.held;
}

/* One frame, if there is one: bytes, whether it was for the guest or not; or -errno. 0 bytes are the end of a file. */
static ssize_t net_rx_next(struct net_pair *p, bool *ret_starved)
{
	ssize_t got;

	*ret_starved = !net_rx_ready(p);
	if (*ret_starved)
		return -EAGAIN;
	got = net_rx_read(p);
	if (got > 0)
		net_rx_frame(p, (size_t)got);
	return got ? got : -EPIPE;
}

void net_rx_serve(struct net_pair *p)
{
	unsigned int q = NET_RX_QUEUE(p->index), budget = VIRTIO_ROUND;
	struct virtio_dev *v = &p->net->v;
	bool starved = false;
	ssize_t got = 1;

	if (!p->net->link || atomic_load(&p->net->gone))
		return;
	while (got > 0 && budget-- && !atomic_load(&v->needs_reset))
		got = net_rx_next(p, &starved);
	virtio_flush(v, q);
	if (got > 0)
		virtio_kick(v, q); /* a flood of what the guest does not want must end, too */
	else if (got != -EAGAIN)
		net_gone(p);
	/* where the queue's round is over, the next one is on its way: then nothing is to be changed */
	else if (!starved || net_queue(p->net, q)->round)
		net_wait(p, UV_READABLE, !starved);
}

void net_rx_reset(struct net_pair *p)
{
	struct net_rx *rx = &p->rx;

	virtq_unpop(&net_queue(p->net, NET_RX_QUEUE(p->index))->vq, (uint16_t)rx->n);
	rx->first = rx->n = rx->iov_first = rx->niov = 0;
	rx->bytes = rx->held = 0;
}

void net_rx_drain(struct net_pair *p)
{
	struct iovec iov = { p->rx.spill, sizeof(p->rx.spill) };
	ssize_t got = 0;

	/* not for ever: in a flood nothing is old */
	for (unsigned int i = 0; i < NET_RX_STALE && got >= 0; i++)
		got = p->stream ? stream_recv_at(p->stream, &iov, 1, 0) : tap_recv(p->tap, &iov, 1);
}
