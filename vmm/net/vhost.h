/* SPDX-License-Identifier: MIT */
/*
 * vhost-net: the host's kernel serves the two queues of a pair between guest memory and a tap (linux/vhost.h). It
 * gets its own view of the guest's memory, of this process; what it finds there is its business, and bounded by it.
 */
#ifndef VMM_NET_VHOST_H
#define VMM_NET_VHOST_H

#include "lib/err.h"
#include "vmm/net/sys.h"
#include "vmm/virtio/queue.h"

/* Eventfds of its own: interrupts of the queues that have no better one, and that a ring was malformed. */
enum { VHOST_CALL_RX, VHOST_CALL_TX, VHOST_ERROR, VHOST_EVENTS };

struct vhost;

struct vhost_setup {
	uint64_t features;	    /* the driver's */
	int tap;		    /* borrowed */
	const struct virtq *vqs[2]; /* started: receive, transmit */
	int kicks[2], calls[2];	    /* eventfds, borrowed */
};

/* take_fd: /dev/vhost-net, anew for each pair. -ERR_INVALID where it lacks what a modern device needs. */
int vhost_new(const struct net_sys *sys, int take_fd, struct vhost **ret_vhost, struct err *e);
void vhost_free(struct vhost *v);
uint64_t vhost_features(const struct vhost *v);		    /* that it knows */
int vhost_event(const struct vhost *v, unsigned int event); /* the eventfd */

/* Serve from now on. -errno: then nothing is served. */
int vhost_start(struct vhost *v, const struct vhost_setup *s);
/* On return it touches nothing any more, and each queue goes on where it has stopped. */
void vhost_stop(struct vhost *v, struct virtq *const vqs[static 2]);

#endif
