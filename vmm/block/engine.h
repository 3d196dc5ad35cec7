/* SPDX-License-Identifier: MIT */
/*
 * Between block.c, which makes steps of requests and decides what a short or failed one leads to, and those
 * who carry the steps out: raw.c by a system call on the spot, uring.c in a ring. A step is what one system
 * call does. Where the image has a format, that says which steps there are (qcow2.h).
 */
#ifndef VMM_BLOCK_ENGINE_H
#define VMM_BLOCK_ENGINE_H

#include "vmm/block/block.h"

enum block_step_kind {
	BLOCK_STEP_FAIL, /* nothing: the result is the request's error */
	BLOCK_STEP_READV,
	BLOCK_STEP_WRITEV,	 /* mode: RWF_DSYNC or 0 */
	BLOCK_STEP_SYNC,	 /* fdatasync */
	BLOCK_STEP_FALLOCATE,	 /* mode, offset, len */
	BLOCK_STEP_DISCARD,	 /* ioctl BLKDISCARD: no ring can do it before Linux 6.12 */
	BLOCK_STEP_FORMAT,	 /* nothing: the format says what comes first */
	BLOCK_STEP_BOUNCE_READ,	 /* direct.c: by way of a buffer … */
	BLOCK_STEP_BOUNCE_WRITE, /* … while no other step is under way; mode */
};

#define BLOCK_ZEROES MIB /* never touched, so never more than the kernel's zero page */
#define BLOCK_DEPTH 256	 /* most steps in flight in the ring */

struct block_uring;
struct qcow2;

/* What blocks of one image share, all of it the first's: fd, qcow2, zeroes and gate. */
struct block {
	struct block *first; /* borrowed; NULL: it is */
	int fd;		     /* owned */
	struct block_info info;
	/* Carry out a step: raw_step, or a test's own that fails. */
	int64_t (*step)(const struct block *b, const struct block_step *s);
	struct qcow2 *qcow2;	      /* owned; NULL: raw */
	bool is_device, direct;	      /* direct: O_DIRECT */
	bool no_punch, no_zero_range; /* the kernel said EOPNOTSUPP once */
	bool unsafe;
	uint8_t *zeroes;		/* owned: BLOCK_ZEROES of them; NULL when readonly */
	uint8_t *bounce;		/* owned; NULL: not O_DIRECT */
	struct direct_gate *gate;	/* owned; NULL: not O_DIRECT, or there is one block */
	bool inside;			/* of the gate */
	uint32_t align;			/* bytes: what O_DIRECT asks for at most */
	struct block_uring *uring;	/* owned; NULL: steps are run on the spot */
	struct block_req *head, **tail; /* queued, not yet with an engine */
	bool running;			/* done and batch_done may queue and submit */
	uv_loop_t *loop;		/* borrowed; NULL while detached */
	void (*batch_done)(void *arg);
	void *batch_arg;
};

/* raw.c: what the descriptor is (size, block sizes, …) into b->info and the flags. */
int raw_probe(struct block *b, struct err *e);
int raw_check_size(const struct block *b, struct err *e); /* that of a raw image */
bool raw_in_memory(const struct block *b); /* the file system keeps its files there */
/* raw.c: do a step here and now; what the system call returned, or -errno. */
int64_t raw_step(const struct block *b, const struct block_step *s);

/* direct.c, of an image that is open with O_DIRECT; b is probed. */
int direct_init(struct block *b, struct err *e);
int direct_check_size(const struct block *b, struct err *e); /* that of a raw image */
void direct_fini(struct block *b);
/* The step returned res, and is now one by way of a buffer: the format's (own), or that of requests. */
bool direct_retry(const struct block *b, struct block_step *s, int64_t res, bool own);
int64_t direct_step(const struct block *b, const struct block_step *s); /* as raw_step */
/*
 * direct.c, of a block that others share its image with: its steps are under way between enter and leave. Who writes by
 * way of a buffer is alone meanwhile, and waits until all others have left: while one does, asked says so. yield lets it
 * go first; nothing is under way.
 */
int direct_share(struct block *first, struct err *e);
void direct_enter(struct block *b);
void direct_leave(struct block *b);
bool direct_asked(const struct block *b);
void direct_yield(struct block *b);
/* Inside: b->step of that, alone where it has to be. */
int64_t direct_run(struct block *b, const struct block_step *s);

/* The same until all is done. 0 or -errno. Behind the end of the file are zeroes. */
int raw_read(const struct block *b, void *buf, uint64_t len, uint64_t offset);
int raw_read_fd(const struct block *b, int fd, void *buf, uint64_t len, uint64_t offset);
int raw_write(const struct block *b, struct iovec *iov, unsigned int niov, uint64_t offset);
int raw_write_buf(const struct block *b, const void *buf, uint64_t len, uint64_t offset);
int raw_sync(const struct block *b);

/* Where some bytes of a disk are: of as many as are in one place. */
struct block_extent {
	enum { BLOCK_EXTENT_ZEROES, BLOCK_EXTENT_FILE, BLOCK_EXTENT_BYTES } kind;
	int fd; /* FILE: there, at offset */
	uint64_t offset;
	const uint8_t *bytes; /* BYTES: good until the next question */
	uint64_t len;
};

/* block.c: waits for the disk where the format's tables are not in memory. Past the end are zeroes. */
int block_map(struct block *b, uint64_t pos, uint64_t len, struct block_extent *ret);

/*
 * qcow2.c. Open: b is probed; backing becomes the format's, and may be NULL where qcow2_backing says so. After
 * a failure too, it is freed by qcow2_free.
 */
int qcow2_open(struct block *b, struct err *e);
void qcow2_free(struct qcow2 *q);
/* The name of the backing file in the image, and the format that the image says it has; NULL: there is none */
const char *qcow2_backing(const struct qcow2 *q, const char **ret_format);
void qcow2_set_backing(struct qcow2 *q, struct block *take_backing);
const struct block *qcow2_below(const struct qcow2 *q); /* what was set, or NULL */
bool qcow2_probe(const struct block *b);		/* it begins like one */
/* qcow2_map.c: block_map */
int qcow2_map(struct qcow2 *q, uint64_t pos, uint64_t len, struct block_extent *ret);
/* qcow2_request.c: as block_step_done. */
bool qcow2_step_done(struct block *b, struct block_req *r, int64_t res);
/* qcow2.c: one more thread has requests; one less, all of which are done: of the last, what is only in memory is written. */
void qcow2_attach(struct qcow2 *q);
int qcow2_detach(struct qcow2 *q);

/* block.c: forward by n bytes, which are there. */
void block_iov_skip(struct iovec **iov, unsigned int *niov, uint64_t n);

/* block.c: a step returned res. True: r is complete, its done was called; else r->step is the next step. */
bool block_step_done(struct block *b, struct block_req *r, int64_t res);
/* block.c: the first of the queue, or NULL; back to its front. */
struct block_req *block_take(struct block *b);
void block_put_back(struct block *b, struct block_req *r);
/* block.c: run the engine; wait: until something is complete. From the loop and from the API. */
void block_go(struct block *b, bool wait);

/* uring.c */
int block_uring_new(struct block *b, const struct block_image *image, struct err *e);
void block_uring_free(struct block_uring *u);
int block_uring_attach(struct block *b);
void block_uring_detach(struct block *b);
bool block_uring_busy(const struct block_uring *u);  /* steps are in flight */
bool block_uring_ready(const struct block_uring *u); /* some of them are complete */
/* Take from the queue what fits, submit, complete what is complete. True when done was called. */
bool block_uring_run(struct block *b, bool wait);

#endif
