/* SPDX-License-Identifier: MIT */
/*
 * Inside of the network card (VIRTIO 1.2, section 5.1): net.c has its life, net_rx.c and net_tx.c what moves
 * frames, net_ctrl.c the control queue, net_filter.c which frames the guest wants. A pair is a receive and a
 * transmit queue, and what is behind them: a queue of a tap, vhost-net with one, or a stream. From activate to
 * deactivate all of it is the worker's.
 */
#ifndef VMM_VIRTIO_NET_IMPL_H
#define VMM_VIRTIO_NET_IMPL_H

#include <linux/virtio_net.h>
#include <net/ethernet.h>

#include "lib/netdef.h"
#include "vmm/net/stream.h"
#include "vmm/net/tap.h"
#include "vmm/net/vhost.h"
#include "vmm/virtio/virtio.h"

#define NET_PAIRS_MAX 8
#define NET_QUEUE_MAX 256
#define NET_HEADER \
	sizeof(struct virtio_net_hdr_v1) /* section 5.1.6: this long with VERSION_1, always */
#define NET_FRAME_MAX STREAM_FRAME_MAX	 /* a TSO frame is not longer either */
#define NET_VLANS 4096
#define NET_MACS_MAX 64 /* longer tables make it take all: section 5.1.6.5.2 */

/* What the guest takes off our hands, and may change its mind about */
#define NET_OFFLOADS                                                       \
	(BIT64(VIRTIO_NET_F_GUEST_CSUM) | BIT64(VIRTIO_NET_F_GUEST_TSO4) | \
	 BIT64(VIRTIO_NET_F_GUEST_TSO6) | BIT64(VIRTIO_NET_F_GUEST_ECN))

#define NET_RX_QUEUE(pair) (2 * (pair))
#define NET_TX_QUEUE(pair) (2 * (pair) + 1)

/* A buffer of the driver, in the window of those that the next frame goes into. */
struct net_rx_buf {
	uint16_t head, niov;
	uint32_t size; /* what of it is used; no buffer needs to be larger than a frame */
};

#define NET_RX_BUFS 128 /* 64 KiB in buffers of half a KiB */
#define NET_RX_IOVS (NET_RX_BUFS + VIRTQ_SEGS_MAX)

struct net_rx {
	struct net_rx_buf bufs[NET_RX_BUFS]; /* [first, first + n), in the order of the queue */
	unsigned int first, n;
	struct iovec
		iov[NET_RX_IOVS + 1]; /* theirs, [iov_first, iov_first + niov), and one for spill */
	unsigned int iov_first, niov;
	size_t bytes; /* of all in the window */
	unsigned int
		long_ones; /* above 0: more of those that are longer than the wire's are to be expected */
	size_t held,
		held_from; /* a frame that was longer than it: its bytes, and those that are in the spill */
	struct virtq_req req;
	uint8_t spill[NET_HEADER + NET_FRAME_MAX];
};

struct net_tx {
	bool held; /* req waits until the backend takes it */
	struct virtq_req req;
	uint8_t head[NET_HEADER + ETH_HLEN]; /* of a frame whose sender is checked */
	struct iovec iov[VIRTQ_SEGS_MAX + 1];
};

struct net_pair {
	struct net *net; /* the owner */
	unsigned int index;
	int tap;	       /* owned; -1 */
	bool enabled;	       /* the kernel gives this tap queue frames */
	bool running;	       /* one of the active ones */
	struct stream *stream; /* owned; NULL */
	struct vhost *vhost;   /* owned; NULL */
	bool lent;	       /* vhost serves the queues */
	uv_poll_t
		*vhost_polls[VHOST_EVENTS]; /* of what it signals; freed by their close callback */
	uv_poll_t *poll; /* of tap or stream while active; freed by its close callback */
	int events;	 /* that it waits for */
	struct net_rx rx;
	struct net_tx tx;
};

/* What the guest wants to receive: section 5.1.6.5. */
struct net_filter {
	bool promisc, allmulti, alluni, nomulti, nouni, nobcast;
	bool by_vlan;
	uint8_t mac[ETH_ALEN];
	uint8_t unicast[NET_MACS_MAX][ETH_ALEN], multicast[NET_MACS_MAX][ETH_ALEN];
	unsigned int nunicast, nmulticast;
	bool all_unicast, all_multicast; /* a table was too long */
	uint8_t vlans[NET_VLANS / 8];
};

struct net {
	struct virtio_dev v;		       /* first */
	struct virtio_ops ops;		       /* with the number of queues */
	struct net_pair *pairs[NET_PAIRS_MAX]; /* owned */
	unsigned int npairs;
	uint8_t mac[ETH_ALEN]; /* as configured: the only sender without spoofing */
	bool spoofing;
	bool link;	     /* the cable is in; changes while the queues are not with the worker */
	bool stale;	     /* it was not: what the backend has kept is old */
	atomic_bool gone;    /* the backend is no more */
	atomic_int no_vhost; /* errno: vhost-net has failed, and the worker serves the queues */
	bool told_gone, told_no_vhost; /* the control loop's */
	atomic_ullong set_mac;	       /* by the driver: for the configuration; 0: none */
	int note_fd;		       /* owned eventfd: gone or set_mac has changed */
	struct board_watch *note_watch;
	/* as the driver has set it up, once it has */
	bool set_up;
	unsigned int active_pairs;
	struct net_filter filter;
	uint64_t offloads; /* GUEST_* features that hold now */
	struct virtq_req ctrl;
};

static inline struct virtio_queue *net_queue(struct net *n, unsigned int q)
{
	return &n->v.queues[q];
}

static inline bool net_mergeable(const struct net *n)
{
	return virtio_has(&n->v, VIRTIO_NET_F_MRG_RXBUF);
}

/* net.c: on the worker. A poll handle on its loop, that closes and frees itself with net_unpoll. NULL: none. */
uv_poll_t *net_poll(struct net *n, int fd, void *data);
void net_unpoll(uv_poll_t **poll);
/* What the pair's waits for. */
void net_wait(struct net_pair *p, int events, bool on);
/* The backend is no more: nothing is read or written until a reset of the machine, the link is down. */
void net_gone(struct net_pair *p);
void net_set_mac(struct net *n, const uint8_t mac[static ETH_ALEN]);
/* vhost-net does not serve a queue, because of an errno: the worker does, all of the card's. -errno: nor that. */
int net_leave_vhost(struct net *n, int why);
/* So many pairs are used from now on, those that are live. */
void net_set_pairs(struct net *n, unsigned int pairs);
int net_set_offloads(struct net *n, uint64_t offloads); /* -errno */
unsigned int net_ctrl_queue(const struct net *n);

/* net_rx.c, net_tx.c: on the worker. */
void net_rx_serve(struct net_pair *p);
void net_rx_reset(struct net_pair *p); /* what was popped and not used is available again */
void net_rx_drain(struct net_pair *p); /* what came while the link was down */
void net_tx_serve(struct net_pair *p);
void net_tx_reset(struct net_pair *p);

/* net_vhost.c: vhost takes the pair's queues, and gives them back. -errno. */
int net_vhost_start(struct net_pair *p);
void net_vhost_stop(struct net_pair *p);

/* net_ctrl.c */
void net_ctrl_serve(struct net *n, unsigned int q);

/* net_filter.c. frame: its first size bytes. */
void net_filter_reset(struct net_filter *f, const uint8_t mac[static ETH_ALEN], bool by_vlan);
bool net_filter_takes(const struct net_filter *f, const uint8_t *frame, size_t size);

#endif
