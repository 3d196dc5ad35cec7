// SPDX-License-Identifier: MIT
/*
 * A pair whose queues vhost-net serves: it reads the driver's kicks and signals the interrupts by the same eventfds
 * as the core and the transport would; only where there is no eventfd for an interrupt does the worker pass it on.
 * What the device itself does with frames (filters, the check of the sender) does not happen here: who hands out the
 * descriptor knows. Where vhost-net fails, at once or later, the card goes on without it. On the worker.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vmm/virtio/net_impl.h"

static unsigned int net_vhost_q(const struct net_pair *p, unsigned int i)
{
	return i ? NET_TX_QUEUE(p->index) : NET_RX_QUEUE(p->index);
}

/*
 * vhost-net has no word for what went wrong: it could not go on, a ring is malformed, or there is nothing to send to.
 * Who looks at the ring next will find out which of the first two it was.
 */
static void net_vhost_failed(struct net_pair *p)
{
	struct net *n = p->net;
	int r;

	if (!tap_alive(n->v.dev.board->net_sys, p->tap)) {
		net_gone(p);
		return;
	}
	r = net_leave_vhost(n, EIO);
	if (r < 0)
		virtio_broken(&n->v, strerror(-r));
	for (unsigned int q = 0; q < 2 * n->active_pairs; q++)
		virtio_kick(&n->v, q);
}

static void net_vhost_event(uv_poll_t *poll, int status, int events)
{
	struct net_pair *p = poll->data;
	struct virtio_dev *v = &p->net->v;
	unsigned int i = 0;
	uint64_t count;

	(void)events;
	while (p->vhost_polls[i] != poll)
		i++;
	if (status < 0 || read(vhost_event(p->vhost, i), &count, sizeof(count)) < 0)
		return;
	if (i == VHOST_ERROR)
		net_vhost_failed(p);
	else
		virtio_notify(v, net_vhost_q(p, i));
}

static int net_vhost_watch(struct net_pair *p, unsigned int event)
{
	p->vhost_polls[event] = net_poll(p->net, vhost_event(p->vhost, event), p);
	if (!p->vhost_polls[event])
		return -ENOMEM;
	return uv_poll_start(p->vhost_polls[event], UV_READABLE, net_vhost_event);
}

int net_vhost_start(struct net_pair *p)
{
	struct net *n = p->net;
	struct vhost_setup s = { .features = n->v.driver_features, .tap = p->tap };
	int r = net_vhost_watch(p, VHOST_ERROR);

	for (unsigned int i = 0; i < 2 && r >= 0; i++) {
		struct virtio_queue *q = net_queue(n, net_vhost_q(p, i));

		s.vqs[i] = &q->vq;
		s.kicks[i] = q->kick_fd;
		s.calls[i] = virtio_lend(&n->v, net_vhost_q(p, i));
		if (s.calls[i] >= 0)
			continue;
		s.calls[i] = vhost_event(p->vhost, i);
		r = net_vhost_watch(p, i);
	}
	if (r >= 0)
		r = vhost_start(p->vhost, &s);
	p->lent = r >= 0;
	return r;
}

void net_vhost_stop(struct net_pair *p)
{
	struct virtq *const vqs[2] = { &net_queue(p->net, net_vhost_q(p, 0))->vq,
				       &net_queue(p->net, net_vhost_q(p, 1))->vq };

	if (p->lent)
		vhost_stop(p->vhost, vqs);
	p->lent = false;
	for (unsigned int i = 0; i < VHOST_EVENTS; i++)
		net_unpoll(&p->vhost_polls[i]);
}
