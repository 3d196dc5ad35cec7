// SPDX-License-Identifier: MIT
/*
 * From the guest: VIRTIO 1.2, section 5.1.6.2. A frame goes from the guest's buffers to the tap with one system
 * call; only where its sender is checked are the first 26 bytes copied, so that what was checked is what is sent.
 * A frame that the backend does not like is lost, as on a wire. On the worker.
 */
#include <errno.h>
#include <string.h>

#include "vmm/virtio/net_impl.h"

/* Leave out the first off bytes of iov. Parts of out, which has room for as many as iov. */
static unsigned int net_tx_skip(const struct iovec *iov, unsigned int n, size_t off,
				struct iovec *out)
{
	unsigned int i = 0, left = 0;

	while (i < n && off >= iov[i].iov_len)
		off -= iov[i++].iov_len;
	for (; i < n; i++, off = 0)
		out[left++] =
			(struct iovec){ (uint8_t *)iov[i].iov_base + off, iov[i].iov_len - off };
	return left;
}

/* The parts to send, without the header for a stream. 0: the frame is not sent. */
static unsigned int net_tx_parts(struct net_pair *p, const struct iovec **ret_iov)
{
	const struct net *n = p->net;
	struct net_tx *tx = &p->tx;
	const struct virtq_req *r = &tx->req;
	size_t skip = p->stream ? NET_HEADER : 0;

	if (n->spoofing) {
		if (!skip) {
			*ret_iov = r->iov;
			return r->nout;
		}
		*ret_iov = tx->iov;
		return net_tx_skip(r->iov, r->nout, skip, tx->iov);
	}
	if (iov_read(r->iov, r->nout, 0, tx->head, sizeof(tx->head)) != sizeof(tx->head) ||
	    memcmp(tx->head + NET_HEADER + ETH_ALEN, n->mac, ETH_ALEN) != 0)
		return 0;
	tx->iov[0] = (struct iovec){ tx->head + skip, sizeof(tx->head) - skip };
	*ret_iov = tx->iov;
	return 1 + net_tx_skip(r->iov, r->nout, sizeof(tx->head), &tx->iov[1]);
}

/* False: it has to wait. */
static bool net_tx_send(struct net_pair *p)
{
	const struct iovec *iov;
	unsigned int n;
	ssize_t sent;

	if (!p->net->link || atomic_load(&p->net->gone))
		return true;
	n = net_tx_parts(p, &iov);
	if (!n)
		return true;
	sent = p->stream ? stream_send(p->stream, iov, n) : tap_send(p->tap, iov, n);
	if (sent == -EPIPE)
		net_gone(p);
	return sent != -EAGAIN;
}

/* 1: there is a frame in req */
static int net_tx_next(struct net_pair *p)
{
	struct net_tx *tx = &p->tx;
	size_t size;

	if (tx->held || virtio_pop(&p->net->v, NET_TX_QUEUE(p->index), &tx->req) <= 0)
		return tx->held;
	size = iov_size(tx->req.iov, tx->req.nout);
	if (size < NET_HEADER) {
		virtio_broken(&p->net->v, "a frame without its header");
		return 0;
	}
	/* no frame is that long; the kernel need not find out */
	if (size > NET_HEADER + NET_FRAME_MAX)
		tx->req.nout = 0;
	return 1;
}

void net_tx_serve(struct net_pair *p)
{
	struct virtio_dev *v = &p->net->v;
	struct net_tx *tx = &p->tx;
	unsigned int q = NET_TX_QUEUE(p->index);

	while (net_tx_next(p)) {
		tx->held = tx->req.nout && !net_tx_send(p);
		if (tx->held)
			break;
		virtq_push(&net_queue(p->net, q)->vq, tx->req.head, 0);
	}
	virtio_flush(v, q);
	net_wait(p, UV_WRITABLE, tx->held || (p->stream && stream_flush(p->stream) == -EAGAIN));
}

void net_tx_reset(struct net_pair *p)
{
	if (p->tx.held)
		virtq_unpop(&net_queue(p->net, NET_TX_QUEUE(p->index))->vq, 1);
	p->tx.held = false;
}
