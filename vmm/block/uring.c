// SPDX-License-Identifier: MIT
// Steps in an io_uring: io_uring(7). The ring is made by block_open, before the sandbox; afterwards only
// io_uring_enter is needed. If that is refused one day, the steps that the kernel did not take, and all later ones,
// are run on the spot. The ring has no registered files: the kernel closes those some time after the end of the
// process, and what locks the image is its descriptor. On the thread of the attached loop.
#include "vmm/block/engine.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "lib/auto.h"
#include "lib/util.h"

#define URING_CHUNK GIB	       /* of pinned memory in one piece: the kernel's limit */
#define URING_CHUNKS_MAX 16384 /* the same */

/* The handle lives on in the loop until its close callback, maybe longer than the block */
struct block_poll {
	uv_poll_t poll;
	struct block *block; /* NULL once detached */
};

struct block_uring {
	struct io_uring ring;
	struct block_poll *poll; /* owned by the loop while attached */
	struct block_req
		*unsubmitted[BLOCK_DEPTH]; /* in the ring's queue, the kernel has not taken them */
	unsigned int nunsubmitted;
	unsigned int inflight; /* taken by the kernel */
	uint8_t *memory;       /* borrowed, pinned: in pieces of chunk bytes; NULL: none */
	uint64_t memory_size, chunk;
	bool barrier; /* the first of the queue waits until nothing is under way */
	bool dead;
};

/*
 * From here on the ring takes these operations alone, on descriptors that we have, and no other settings: what
 * is sent through a ring is no system call, so that seccomp does not see it (io_uring_register(2), restrictions).
 */
static int block_uring_restrict(struct io_uring *ring)
{
	static const uint8_t ops[] = { IORING_OP_READV,	     IORING_OP_WRITEV,
				       IORING_OP_FSYNC,	     IORING_OP_FALLOCATE,
				       IORING_OP_READ_FIXED, IORING_OP_WRITE_FIXED };
	struct io_uring_restriction allowed[ARRAY_SIZE(ops)] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		allowed[i].opcode = IORING_RESTRICTION_SQE_OP;
		allowed[i].sqe_op = ops[i];
	}
	/* liburing 2.3 declares these two functions and does not export them */
	if (syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_RESTRICTIONS, allowed,
		    ARRAY_SIZE(allowed)) < 0 ||
	    syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) <
		    0)
		return -errno;
	return 0;
}

static int block_uring_init(struct io_uring *ring)
{
	int ret;

	/* the worker comes to the kernel soon enough: no interrupt for each completion (since Linux 5.19) */
	ret = io_uring_queue_init(BLOCK_DEPTH, ring,
				  IORING_SETUP_R_DISABLED | IORING_SETUP_COOP_TASKRUN |
					  IORING_SETUP_TASKRUN_FLAG);
	return ret == -EINVAL ? io_uring_queue_init(BLOCK_DEPTH, ring, IORING_SETUP_R_DISABLED)
			      : ret;
}

/* The kernel pins each page now, and gives those back that it has when it cannot. */
static bool block_uring_pin(struct block_uring *u, const struct block_image *image)
{
	uint64_t chunk = image->memory.chunk ? image->memory.chunk : URING_CHUNK;
	uint64_t count = (image->memory.size + chunk - 1) / chunk;
	AUTO_FREE struct iovec *iov = NULL;

	if (!count || count > URING_CHUNKS_MAX)
		return false;
	iov = calloc(count, sizeof(*iov));
	if (!iov)
		return false;
	for (uint64_t i = 0; i < count; i++) {
		iov[i].iov_base = (uint8_t *)image->memory.base + i * chunk;
		iov[i].iov_len = MIN(chunk, image->memory.size - i * chunk);
	}
	if (io_uring_register_buffers(&u->ring, iov, (unsigned int)count) < 0)
		return false;
	u->memory = image->memory.base;
	u->memory_size = image->memory.size;
	u->chunk = chunk;
	return true;
}

int block_uring_new(struct block *b, const struct block_image *image, struct err *e)
{
	struct block_uring *u = calloc(1, sizeof(*u));
	int ret;

	if (!u)
		return err_set(e, ENOMEM, "io_uring: no memory");
	ret = block_uring_init(&u->ring);
	if (ret < 0) {
		free(u);
		return err_ret(e, ret, "io_uring_setup");
	}
	b->info.pinned = block_uring_pin(u, image);
	ret = block_uring_restrict(&u->ring);
	if (ret < 0) {
		b->info.pinned = false;
		block_uring_free(u);
		return err_ret(e, ret, "io_uring_register");
	}
	b->uring = u;
	return 0;
}

void block_uring_free(struct block_uring *u)
{
	if (!u)
		return;
	io_uring_queue_exit(&u->ring);
	free(u);
}

bool block_uring_busy(const struct block_uring *u)
{
	return u->inflight || u->nunsubmitted;
}

/* What is complete without having come to the ring, for no interrupt was wanted (IORING_SQ_TASKRUN), too. */
bool block_uring_ready(const struct block_uring *u)
{
	return u->inflight &&
	       (io_uring_cq_ready(&u->ring) ||
		__atomic_load_n(u->ring.sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_TASKRUN);
}

/* --- the loop's side ------------------------------------------------------------------------------------ */

static void block_uring_event(uv_poll_t *poll, int status, int events)
{
	struct block_poll *p = container_of(poll, struct block_poll, poll);

	(void)status;
	(void)events;
	if (!p->block)
		return;
	block_go(p->block, false);
}

static void block_uring_closed(uv_handle_t *h)
{
	free(container_of((uv_poll_t *)h, struct block_poll, poll));
}

void block_uring_detach(struct block *b)
{
	struct block_poll *p = TAKE_PTR(b->uring->poll);

	p->block = NULL;
	uv_poll_stop(&p->poll);
	uv_close((uv_handle_t *)&p->poll, block_uring_closed);
}

int block_uring_attach(struct block *b)
{
	AUTO_FREE struct block_poll *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return -ENOMEM;
	p->block = b;
	ret = uv_poll_init(b->loop, &p->poll, b->uring->ring.ring_fd);
	if (ret < 0)
		return ret;
	b->uring->poll = TAKE_PTR(p);
	ret = uv_poll_start(&b->uring->poll->poll, UV_READABLE, block_uring_event);
	if (ret < 0)
		block_uring_detach(b);
	return ret;
}

/* --- the ring's side ------------------------------------------------------------------------------------ */

/* One piece, in one chunk of the pinned memory: which; -1: it is not. */
static int block_uring_chunk(const struct block_uring *u, const struct block_step *s)
{
	uint64_t off, n;

	if (!u->memory || s->niov != 1)
		return -1;
	off = (uintptr_t)s->iov->iov_base - (uintptr_t)u->memory;
	n = s->iov->iov_len;
	if (!range_fits(off, n, u->memory_size) || off % u->chunk + n > u->chunk || n > INT32_MAX)
		return -1;
	return (int)(off / u->chunk);
}

static void block_uring_transfer(const struct block_uring *u, struct io_uring_sqe *sqe,
				 const struct block_step *s)
{
	int chunk = block_uring_chunk(u, s);

	if (s->kind == BLOCK_STEP_READV && chunk >= 0)
		io_uring_prep_read_fixed(sqe, s->fd, s->iov->iov_base,
					 (unsigned int)s->iov->iov_len, s->offset, chunk);
	else if (s->kind == BLOCK_STEP_READV)
		io_uring_prep_readv(sqe, s->fd, s->iov, s->niov, s->offset);
	else if (chunk >= 0)
		io_uring_prep_write_fixed(sqe, s->fd, s->iov->iov_base,
					  (unsigned int)s->iov->iov_len, s->offset, chunk);
	else
		io_uring_prep_writev(sqe, s->fd, s->iov, s->niov, s->offset);
	sqe->rw_flags = s->mode;
}

static void block_uring_prepare(const struct block_uring *u, struct io_uring_sqe *sqe,
				struct block_req *r)
{
	const struct block_step *s = &r->step;

	switch ((enum block_step_kind)s->kind) {
	case BLOCK_STEP_READV:
	case BLOCK_STEP_WRITEV:
		block_uring_transfer(u, sqe, s);
		break;
	case BLOCK_STEP_SYNC:
		io_uring_prep_fsync(sqe, s->fd, IORING_FSYNC_DATASYNC);
		break;
	case BLOCK_STEP_FALLOCATE:
		io_uring_prep_fallocate(sqe, s->fd, s->mode, (off_t)s->offset, (off_t)s->len);
		break;
	case BLOCK_STEP_FAIL:
	case BLOCK_STEP_DISCARD:
	case BLOCK_STEP_FORMAT:
	case BLOCK_STEP_BOUNCE_READ:
	case BLOCK_STEP_BOUNCE_WRITE:
		io_uring_prep_nop(sqe); /* not reached: run on the spot */
		break;
	}
	io_uring_sqe_set_data(sqe, r);
}

static bool block_uring_alone(const struct block_req *r)
{
	return r->step.kind == BLOCK_STEP_BOUNCE_READ || r->step.kind == BLOCK_STEP_BOUNCE_WRITE;
}

static bool block_uring_here(const struct block_uring *u, const struct block_req *r)
{
	return u->dead || r->step.kind == BLOCK_STEP_FAIL || r->step.kind == BLOCK_STEP_DISCARD ||
	       r->step.kind == BLOCK_STEP_FORMAT || block_uring_alone(r);
}

static bool block_uring_fill(struct block *b)
{
	struct block_uring *u = b->uring;
	struct block_req *r;
	bool any = false;

	u->barrier = false;
	while (u->inflight + u->nunsubmitted < BLOCK_DEPTH && (r = block_take(b))) {
		struct io_uring_sqe *sqe;

		if (!block_uring_busy(u)) {
			direct_yield(b);
		} else if (block_uring_alone(r) || direct_asked(b)) {
			block_put_back(b, r);
			u->barrier = true;
			return any;
		}
		if (block_uring_here(u, r)) {
			if (block_step_done(b, r, direct_run(b, &r->step)))
				any = true;
			else
				block_put_back(b, r);
			continue;
		}
		sqe = io_uring_get_sqe(&u->ring);
		if (!sqe) { /* cannot be: the ring has BLOCK_DEPTH entries */
			block_put_back(b, r);
			break;
		}
		block_uring_prepare(u, sqe, r);
		u->unsubmitted[u->nunsubmitted++] = r;
	}
	return any;
}

/* The kernel takes no more: what it has taken will still complete, the rest goes back to the queue. */
static void block_uring_give_up(struct block *b)
{
	struct block_uring *u = b->uring;

	u->dead = true;
	b->info.engine = "psync";
	while (u->nunsubmitted)
		block_put_back(b, u->unsubmitted[--u->nunsubmitted]);
}

static void block_uring_submit(struct block *b)
{
	struct block_uring *u = b->uring;

	while (u->nunsubmitted) {
		int ret = io_uring_submit(&u->ring);
		unsigned int n = ret > 0 ? (unsigned int)ret : 0;

		if (ret == -EINTR)
			continue;
		/* short of resources: completions make room, as long as there will be any */
		if ((ret == -EAGAIN || ret == -EBUSY) && u->inflight)
			return;
		if (n == 0 || n > u->nunsubmitted) {
			block_uring_give_up(b);
			return;
		}
		u->inflight += n;
		u->nunsubmitted -= n;
		memmove(u->unsubmitted, u->unsubmitted + n,
			u->nunsubmitted * sizeof(u->unsubmitted[0]));
	}
}

static bool block_uring_reap(struct block *b)
{
	struct block_uring *u = b->uring;
	struct io_uring_cqe *cqe;
	bool any = false;

	while (u->inflight && io_uring_peek_cqe(&u->ring, &cqe) == 0) {
		struct block_req *r = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&u->ring, cqe);
		u->inflight--;
		if (block_step_done(b, r, res))
			any = true;
		else
			block_put_back(b, r);
	}
	return any;
}

/* By the ring's descriptor and not by io_uring_enter, which a dead ring may not have */
static void block_uring_wait(struct block_uring *u)
{
	struct pollfd p = { .fd = u->ring.ring_fd, .events = POLLIN };

	poll(&p, 1, -1);
}

bool block_uring_run(struct block *b, bool wait)
{
	struct block_uring *u = b->uring;
	bool any = false;

	for (;;) {
		any |= block_uring_fill(b);
		block_uring_submit(b);
		any |= block_uring_reap(b);
		/* more steps of requests, or room for more requests */
		if (b->head && (u->barrier ? !block_uring_busy(u)
					   : u->inflight + u->nunsubmitted < BLOCK_DEPTH))
			continue;
		if (any || !wait || !u->inflight)
			return any;
		block_uring_wait(u);
	}
}
