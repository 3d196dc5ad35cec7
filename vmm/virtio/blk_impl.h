/* SPDX-License-Identifier: MIT */
/* What blk.c (configuration and life) and blk_request.c (requests) share; nobody else includes it. */
#ifndef VMM_VIRTIO_BLK_IMPL_H
#define VMM_VIRTIO_BLK_IMPL_H

#include <linux/virtio_blk.h>
#include <pthread.h>
#include "vmm/block/trouble.h"
#include "vmm/virtio/virtio.h"
#include "vmm/worker.h"

#define BLK_QUEUE_MAX 256
#define BLK_QUEUES_MAX 8
#define BLK_SEG_MAX (VIRTQ_SEGS_MAX - 2) /* header and status may take one each */
#define BLK_RANGES_MAX 16		 /* of a discard or write-zeroes request */
#define BLK_RANGE_SECTORS_MAX BIT(22)	 /* 2 GiB: what takes too long cannot be drained */

struct blk_lane;

struct blk_req {
	struct virtq_req vr;
	struct block_req br;
	struct blk_lane *lane;
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
	int64_t credit_ns;     /* how long it may look in vain until it rests */
	unsigned int rest;     /* kicks after which it does not look */
	unsigned int rested;   /* how many these were the last time */
	struct blk_idle *idle; /* while active, with a bound: owned by the loop */
};

/* What one worker has of a disk, and nobody else while the device is active */
struct blk_lane {
	struct blk *blk;      /* borrowed: whose it is */
	unsigned int w;	      /* the worker's number: virtio_ops.nworkers */
	struct block *block;  /* owned */
	struct blk_req *pool; /* owned: npool; those from nused on were never touched */
	unsigned int npool, nused;
	struct blk_req *free;
	unsigned int
		starved; /* bits: the pool was empty, look at these queues again when something completes */
	unsigned int unflushed;	    /* bits: pushed to since the last flush */
	struct worker_timer *timer; /* while active: owned by the loop */
	uint64_t turn;		    /* of blk_limit */
	bool drawing;		    /* between blk_limit_enter and _leave, with the lock */
	struct blk_req *held;	    /* they wait for the machine to go on */
	struct iovec
		*saved; /* owned: each request's, as it was before it ran; NULL unless disk.stop */
	struct blk_poll poll;
};

/* The disk's limits, from which all lanes draw */
struct blk_limit {
	atomic_bool on; /* there are any */
	pthread_mutex_t lock;
	/* under lock, and so is the turn of each lane: 0 where it does not wait, else the least is the next */
	struct disk_limit limit;
	uint64_t turns;
};

struct blk {
	struct virtio_dev v;	/* first */
	struct virtio_ops vops; /* of so many queues and workers */
	struct blk_lane lanes[BLK_QUEUES_MAX];
	unsigned int nlanes;
	bool pinned;	    /* the guest's memory, for the blocks' rings */
	bool writethrough;  /* what the guest finds */
	atomic_bool stable; /* what it has set: each write is stable when it is done */
	char serial[VIRTIO_BLK_ID_BYTES + 1];
	struct blk_limit limit;
	struct trouble trouble;
	struct trouble_disk disk;
};

static inline struct worker *blk_lane_worker(const struct blk_lane *lane)
{
	return lane->blk->v.queues[lane->w].worker;
}

/* blk_request.c, on the lane's worker */
int blk_begin(struct blk_lane *lane); /* the queues are ours: before the first kick */
void blk_end(struct blk_lane *lane);  /* on return no request is in flight */
void blk_kick(struct virtio_dev *v, unsigned int q);

void blk_serve(struct blk_lane *lane, unsigned int q); /* what is in the queue, up to its round */

/* blk_poll.c, on the lane's worker */
int blk_poll_begin(struct blk_lane *lane);
void blk_poll_end(struct blk_lane *lane);
void blk_poll_woken(struct blk_lane *lane); /* by a kick: how long to look the next time */
void blk_poll_go(struct blk_lane *lane);    /* the queues were served: look, or sleep */

/* On the lane's worker: look at the starved queues again. */
void blk_look_again(struct blk_lane *lane);

/* --- blk_limit.c ------------------------------------------------------------------------------------------------ */

void blk_limit_init(struct blk_limit *l, const struct disk_rates *rates);
void blk_limit_fini(struct blk_limit *l);
/* Under machine.lock: others from now on. The lanes are to look again. */
void blk_limit_change(struct blk *blk, const struct disk_rates *rates);
/*
 * On the lane's worker. enter: may it take one request from a queue? If not, it will look again by itself. If so, and there
 * are any limits, no other lane may until leave, which is told what was taken (NULL: nothing).
 */
bool blk_limit_enter(struct blk_lane *lane);
void blk_limit_leave(struct blk_lane *lane, const struct blk_req *r);
/* On the lane's worker: it waits no more. */
void blk_limit_forget(struct blk_lane *lane);

/* All held requests are the guest's no more: it has reset the device. Under machine.lock. */
void blk_drop_held(struct blk *blk);

#endif
