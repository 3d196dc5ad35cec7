/* SPDX-License-Identifier: MIT */
/*
 * What the host cannot do for disks. Whoever runs the VM is told, at most once a second a disk; with `on_error: stop` the
 * request is to be held besides, as if it took long, until the machine was paused and goes on, and is told again until
 * then: who should pause it may have been away. The workers find out and wake the control loop, which tells.
 *
 *	trouble_init(&t, board, disks, n, e);		disks[i]: zero, but for id and stop
 *	trouble_note(&t, &disks[i], &r->br, ret)	true: hold it
 *	trouble_over(&disks[i]);			nothing of it is held any more
 */
#ifndef VMM_BLOCK_TROUBLE_H
#define VMM_BLOCK_TROUBLE_H

#include <stdatomic.h>
#include "vmm/block/disk.h"
#include "vmm/board.h"

struct trouble_disk {
	const char *
		id; /* borrowed; NULL: there is no disk. Changed while the worker does not have it */
	bool stop;  /* hold what has failed */
	atomic_int error; /* of the last: errno, what, byte */
	atomic_uint op;	  /* enum block_op */
	atomic_ullong offset;
	atomic_uint untold; /* since it was told */
	atomic_bool held;   /* something is */
	uint64_t quiet_ns;  /* the control loop's: nothing is told before then */
};

struct trouble {
	const struct board *board;  /* borrowed */
	struct trouble_disk *disks; /* borrowed */
	unsigned int n;
	int fd; /* owned eventfd: a worker wakes the control loop; 0: none yet */
	struct board_watch *watch;
	struct board_timer again; /* something is held */
};

/* On the control loop. fini takes what is all zero, too. */
int trouble_init(struct trouble *t, const struct board *board, struct trouble_disk *disks,
		 unsigned int n, struct err *e);
void trouble_fini(struct trouble *t);
/* On a worker, of which several may have the disk: r of it is done with ret, which may be good. True: it is to be held. */
bool trouble_note(struct trouble *t, struct trouble_disk *d, const struct block_req *r, int ret);
/* What was held is run again, or dropped: all of it, before any of it runs. */
void trouble_over(struct trouble_disk *d);

#endif
