/* SPDX-License-Identifier: MIT */
/* What blk.c (configuration and life) and blk_request.c (requests) share; nobody else includes it. */
#ifndef VMM_VIRTIO_BLK_IMPL_H
#define VMM_VIRTIO_BLK_IMPL_H

#include <linux/virtio_blk.h>
#include "vmm/block/trouble.h"
#include "vmm/virtio/virtio.h"
#include "vmm/worker.h"

#define BLK_QUEUE_MAX 256
#define BLK_QUEUES_MAX 8
#define BLK_SEG_MAX (VIRTQ_SEGS_MAX - 2) /* header and status may take one each */
#define BLK_RANGES_MAX 16		 /* of a discard or write-zeroes request */
#define BLK_RANGE_SECTORS_MAX BIT(22)	 /* 2 GiB: what takes too long cannot be drained */

struct blk_req {
	struct virtq_req vr;
	struct block_req br;
	struct blk *blk;
	unsigned int q; /* queue */
	struct blk_req *next_free;
	uint8_t *status;    /* in guest memory */
	struct iovec *data; /* into vr.iov: without header and status */
	unsigned int ndata;
	uint64_t data_len;
	uint32_t type;
	unsigned int range,
		nranges; /* discard, write zeroes: copied once, run one after the other */
	struct virtio_blk_discard_write_zeroes ranges[BLK_RANGES_MAX];
};

/* The worker looks by itself for so long after the last that came: blk_poll.c */
struct blk_poll {
	uint64_t bound_ns, ns; /* at most, and now; 0: not */
	uint64_t since_ns;     /* when something came last */
	struct blk_idle *idle; /* while active, with a bound: owned by the loop */
};

struct blk {
	struct virtio_dev v;	/* first */
	struct virtio_ops vops; /* of so many queues */
	struct block *block;	/* owned */
	struct blk_req *pool;	/* owned: npool; those from nused on were never touched */
	unsigned int npool, nused;
	struct blk_req *free;
	unsigned int
		starved; /* bits: the pool was empty, look at these queues again when something completes */
	unsigned int unflushed; /* bits: pushed to since the last flush */
	bool pinned;		/* the guest's memory, for the block's ring */
	bool writethrough;	/* what the guest finds */
	atomic_bool stable;	/* what it has set: each write is stable when it is done */
	char serial[VIRTIO_BLK_ID_BYTES + 1];
	struct disk_limit limit;
	struct worker_timer *timer; /* while active: owned by the loop */
	struct trouble trouble;
	struct trouble_disk disk;
	struct blk_req *held; /* the worker's while active; they wait for the machine to go on */
	struct iovec
		*saved; /* owned: each request's, as it was before it ran; NULL unless disk.stop */
	struct blk_poll poll;
};

/* blk_request.c, on the worker */
int blk_begin(struct blk *blk); /* the queues are ours: before the first kick */
void blk_end(struct blk *blk);	/* on return no request is in flight */
void blk_kick(struct virtio_dev *v, unsigned int q);

void blk_serve(struct blk *blk, unsigned int q); /* what is in the queue, up to its round */

/* blk_poll.c, on the worker */
int blk_poll_begin(struct blk *blk);
void blk_poll_end(struct blk *blk);
void blk_poll_woken(struct blk *blk); /* by a kick: how long to look the next time */
void blk_poll_go(struct blk *blk);    /* the queues were served: look, or sleep */

/* On the worker: the limits have changed. */
void blk_go_on(struct blk *blk);

/* All held requests are the guest's no more: it has reset the device. Under machine.lock. */
void blk_drop_held(struct blk *blk);

#endif
