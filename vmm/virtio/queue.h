/* SPDX-License-Identifier: MIT */
/*
 * The split virtqueue of VIRTIO 1.2, section 2.7: the only place with ring arithmetic and barriers.
 * Knows guest memory, nothing of devices or transports. One thread at a time owns a queue.
 */
#ifndef VMM_VIRTIO_QUEUE_H
#define VMM_VIRTIO_QUEUE_H

#include <sys/uio.h>
#include "lib/err.h"
#include "vmm/gmem.h"

#define VIRTQ_SIZE_MAX 1024
#define VIRTQ_SEGS_MAX 256 /* most buffers in one request; longer chains are malformed */

struct virtq_req {
	uint16_t head;	    /* first descriptor: identifies the request */
	uint16_t nout, nin; /* iov[0, nout): device-readable, then nin device-writable */
	struct iovec iov[VIRTQ_SEGS_MAX]; /* into guest memory */
	/* what follows belongs to the device while it holds the request */
};

struct virtq {
	const struct gmem *gmem;
	uint16_t size;		    /* a power of two, set by the driver */
	uint64_t desc, avail, used; /* guest physical: Descriptor Area, Driver Area, Device Area */
	bool event_idx;		    /* VIRTIO_F_EVENT_IDX negotiated */
	bool indirect;		    /* VIRTIO_F_INDIRECT_DESC negotiated */
	uint16_t avail_idx;	    /* next to look at */
	uint16_t used_idx;	    /* next to fill */
	uint16_t signalled_used;    /* used_idx at the last virtq_flush */
	bool broken;		    /* malformed: nothing is popped until reset */
	/* host pointers to the rings, checked once by virtq_start */
	void *desc_ptr, *avail_ptr, *used_ptr;
};

void virtq_reset(struct virtq *q);
/* Driver set it up: check size, alignment and that all three areas are RAM. -EPROTO with the reason. */
int virtq_start(struct virtq *q, struct err *e);
/*
 * Next request: 1 and *r, 0 none, -EPROTO malformed (q->broken is set; why says what, static text).
 * Each descriptor is read once; index < size; at most VIRTQ_SEGS_MAX segments; one level of indirection,
 * readable before writable; every range through gmem.
 */
int virtq_pop(struct virtq *q, struct virtq_req *r, const char **why);
/* The last n that were popped, none of which was given back, are available again. */
void virtq_unpop(struct virtq *q, uint16_t n);
/* Somebody else has served the queue (vhost): go on behind what it took, and what it gave back in guest memory. */
void virtq_adopt(struct virtq *q, uint16_t avail_idx);
/* There is something to be popped, or to be found malformed. */
bool virtq_waits(const struct virtq *q);
/* Give a request back; written: bytes put into its writable part. Not yet visible: see virtq_flush. */
void virtq_push(struct virtq *q, uint16_t head, uint32_t written);
/* Publish what was pushed. True when the driver wants an interrupt for it (section 2.7.7). */
bool virtq_flush(struct virtq *q);
/* Ask for (or, as a hint, against) a kick for the next request. True when one came in between: look again. */
bool virtq_kick_enable(struct virtq *q, bool enable);

#endif
