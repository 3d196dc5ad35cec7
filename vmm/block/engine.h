/* SPDX-License-Identifier: MIT */
/*
 * Between block.c, which makes steps of requests and decides what a short or failed one leads to, and those
 * who carry the steps out: raw.c by a system call on the spot, uring.c in a ring. A step is what one system
 * call does.
 */
#ifndef VMM_BLOCK_ENGINE_H
#define VMM_BLOCK_ENGINE_H

#include "vmm/block/block.h"

enum block_step_kind {
	BLOCK_STEP_FAIL, /* nothing: the result is the request's error */
	BLOCK_STEP_READV,
	BLOCK_STEP_WRITEV,    /* mode: RWF_DSYNC or 0 */
	BLOCK_STEP_SYNC,      /* fdatasync */
	BLOCK_STEP_FALLOCATE, /* mode, offset, len */
	BLOCK_STEP_DISCARD,   /* ioctl BLKDISCARD: no ring can do it before Linux 6.12 */
};

#define BLOCK_DEPTH 256 /* most steps in flight in the ring */

struct block_uring;

struct block {
	int fd; /* owned */
	struct block_info info;
	bool is_device;
	bool no_punch, no_zero_range;	/* the kernel said EOPNOTSUPP once */
	uint8_t *zeroes;		/* owned: BLOCK_ZEROES of them; NULL when readonly */
	struct block_uring *uring;	/* owned; NULL: steps are run on the spot */
	struct block_req *head, **tail; /* queued, not yet with an engine */
	bool running;			/* done and batch_done may queue and submit */
	uv_loop_t *loop;		/* borrowed; NULL while detached */
	void (*batch_done)(void *arg);
	void *batch_arg;
};

/* raw.c: what the descriptor is (size, block sizes, …) into b->info and the flags. */
int raw_probe(struct block *b, struct err *e);
/* raw.c: do a step here and now; what the system call returned, or -errno. */
int64_t raw_step(const struct block *b, const struct block_step *s);

/* block.c: a step returned res. True: r is complete, its done was called; else r->step is the next step. */
bool block_step_done(struct block *b, struct block_req *r, int64_t res);
/* block.c: the first of the queue, or NULL; back to its front. */
struct block_req *block_take(struct block *b);
void block_put_back(struct block *b, struct block_req *r);
/* block.c: run the engine; wait: until something is complete. From the loop and from the API. */
void block_go(struct block *b, bool wait);

/* uring.c */
int block_uring_new(struct block *b, struct err *e);
void block_uring_free(struct block_uring *u);
int block_uring_attach(struct block *b);
void block_uring_detach(struct block *b);
bool block_uring_busy(const struct block_uring *u); /* steps are in flight */
/* Take from the queue what fits, submit, complete what is complete. True when done was called. */
bool block_uring_run(struct block *b, bool wait);

#endif
