// SPDX-License-Identifier: MIT
// Requests: checked, cut into steps, and continued when a step was short. A request is a small state machine,
// block_first_step then block_step_done, and whoever has carried a step out turns its crank: block_go for the
// steps that are run on the spot, uring.c for those in its ring. On the thread of the attached loop, but for
// open and free.
#include "vmm/block/block.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <unistd.h>
#include "lib/auto.h"
#include "vmm/block/engine.h"

#define BLOCK_ZEROES MIB /* never touched, so never more than the kernel's zero page */
#define BLOCK_RETRIES 16 /* of EINTR and EAGAIN in a row */

/* --- the steps of a request ------------------------------------------------------------------------ */

static int block_check(const struct block *b, const struct block_req *r)
{
	if (r->op == BLOCK_FLUSH)
		return 0;
	if (r->op != BLOCK_READ && b->info.readonly)
		return -EROFS;
	if (!range_fits(r->offset, r->len, b->info.size))
		return -ERANGE;
	if (r->len == 0 || (r->offset | r->len) % BLOCK_SECTOR || r->niov > IOV_MAX)
		return -EINVAL;
	return 0;
}

/* Write zeroes by the best means that are left; the last writes them. */
static void block_zero_step(const struct block *b, struct block_req *r)
{
	struct block_step *s = &r->step;

	s->offset = r->offset + r->pos;
	s->len = r->len - r->pos;
	s->kind = BLOCK_STEP_FALLOCATE;
	if (r->unmap && !b->no_punch) {
		s->mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	} else if (!b->no_zero_range) {
		s->mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
	} else {
		s->len = MIN(s->len, BLOCK_ZEROES);
		r->zero_iov = (struct iovec){ .iov_base = b->zeroes, .iov_len = s->len };
		s->kind = BLOCK_STEP_WRITEV;
		s->iov = &r->zero_iov;
		s->niov = 1;
		s->mode = 0;
	}
}

static void block_first_step(const struct block *b, struct block_req *r)
{
	struct block_step *s = &r->step;

	r->pos = 0;
	r->retries = 0;
	r->error = block_check(b, r);
	*s = (struct block_step){ .offset = r->offset, .len = r->len };
	if (r->error < 0)
		return;
	switch (r->op) {
	case BLOCK_READ:
	case BLOCK_WRITE:
		s->kind = r->op == BLOCK_READ ? BLOCK_STEP_READV : BLOCK_STEP_WRITEV;
		s->iov = r->iov;
		s->niov = r->niov;
		s->mode = r->op == BLOCK_WRITE && r->stable ? RWF_DSYNC : 0;
		break;
	case BLOCK_FLUSH:
		s->kind = BLOCK_STEP_SYNC;
		break;
	case BLOCK_DISCARD:
		s->kind = b->is_device	? BLOCK_STEP_DISCARD
			  : b->no_punch ? BLOCK_STEP_FAIL
					: /* with no error */
				  BLOCK_STEP_FALLOCATE;
		s->mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
		break;
	case BLOCK_WRITE_ZEROES:
		block_zero_step(b, r);
		break;
	}
}

static bool block_finish(struct block_req *r, int ret)
{
	r->done(r, ret);
	return true;
}

/* The zeroes are written */
static bool block_zeroes_done(struct block_req *r)
{
	if (!r->stable)
		return block_finish(r, 0);
	r->step.kind = BLOCK_STEP_SYNC;
	return false;
}

static bool block_is_unsupported(int64_t res)
{
	return res == -EOPNOTSUPP || res == -ENOSYS || res == -ENOTTY;
}

static bool block_transfer_done(struct block *b, struct block_req *r, uint64_t n)
{
	struct block_step *s = &r->step;

	r->pos += n;
	if (r->pos >= r->len)
		return r->op == BLOCK_WRITE_ZEROES ? block_zeroes_done(r) : block_finish(r, 0);
	if (r->op == BLOCK_WRITE_ZEROES) {
		block_zero_step(b, r);
		return false;
	}
	s->offset += n;
	while (s->niov && n >= s->iov->iov_len) {
		n -= s->iov->iov_len;
		s->iov++;
		s->niov--;
	}
	if (!s->niov) /* len was more than the sum of iov */
		return block_finish(r, -EINVAL);
	s->iov->iov_base = (uint8_t *)s->iov->iov_base + n;
	s->iov->iov_len -= n;
	return false;
}

static bool block_fallocate_done(struct block *b, struct block_req *r, int64_t res)
{
	bool punch = r->step.mode & FALLOC_FL_PUNCH_HOLE;

	if (res == 0)
		return r->op == BLOCK_DISCARD ? block_finish(r, 0) : block_zeroes_done(r);
	if (!block_is_unsupported(res))
		return block_finish(r, (int)res);
	if (punch)
		b->no_punch = true;
	else
		b->no_zero_range = true;
	if (r->op == BLOCK_DISCARD)
		return block_finish(r, 0);
	block_zero_step(b, r);
	return false;
}

bool block_step_done(struct block *b, struct block_req *r, int64_t res)
{
	if ((res == -EINTR || res == -EAGAIN) && ++r->retries <= BLOCK_RETRIES)
		return false;
	r->retries = 0;
	switch ((enum block_step_kind)r->step.kind) {
	case BLOCK_STEP_FAIL:
		return block_finish(r, r->error);
	case BLOCK_STEP_READV:
	case BLOCK_STEP_WRITEV:
		if (res <= 0) /* 0: the image has become shorter */
			return block_finish(r, res < 0 ? (int)res : -EIO);
		return block_transfer_done(b, r, (uint64_t)res);
	case BLOCK_STEP_SYNC:
		return block_finish(r, (int)res);
	case BLOCK_STEP_FALLOCATE:
		return block_fallocate_done(b, r, res);
	case BLOCK_STEP_DISCARD:
		return block_finish(r, block_is_unsupported(res) ? 0 : (int)res);
	}
	return block_finish(r, -EINVAL);
}

/* --- the queue ---------------------------------------------------------------------------------------- */

struct block_req *block_take(struct block *b)
{
	struct block_req *r = b->head;

	if (!r)
		return NULL;
	b->head = r->next;
	if (!b->head)
		b->tail = &b->head;
	return r;
}

void block_put_back(struct block *b, struct block_req *r)
{
	r->next = b->head;
	b->head = r;
	if (!r->next)
		b->tail = &r->next;
}

void block_queue(struct block *b, struct block_req *r)
{
	block_first_step(b, r);
	r->next = NULL;
	*b->tail = r;
	b->tail = &r->next;
}

static bool block_run_here(struct block *b)
{
	struct block_req *r;
	bool any = false;

	while ((r = block_take(b))) {
		while (!block_step_done(b, r, raw_step(b, &r->step)))
			;
		any = true;
	}
	return any;
}

/*
 * done and batch_done may queue and submit: that comes back here, finds running set, and is served by the
 * loop of the outer call instead of by recursion.
 */
void block_go(struct block *b, bool wait)
{
	bool any;

	if (b->running)
		return;
	b->running = true;
	do {
		any = b->uring ? block_uring_run(b, wait) : block_run_here(b);
		if (any && b->batch_done)
			b->batch_done(b->batch_arg);
	} while (any && b->head);
	b->running = false;
}

void block_submit(struct block *b)
{
	if (b->head)
		block_go(b, false);
}

void block_drain(struct block *b)
{
	assert(!b->running);
	while (b->head || (b->uring && block_uring_busy(b->uring)))
		block_go(b, true);
}

/* --- life ----------------------------------------------------------------------------------------------- */

static int block_setup(struct block *b, enum block_engine_type type, struct err *e)
{
	int ret = raw_probe(b, e);

	if (ret < 0)
		return ret;
	if (!b->info.readonly) {
		b->zeroes = calloc(1, BLOCK_ZEROES);
		if (!b->zeroes)
			return err_set(e, ENOMEM, "disk image: no memory");
	}
	b->info.engine = "psync";
	if (type == BLOCK_ENGINE_PSYNC)
		return 0;
	ret = block_uring_new(b, type == BLOCK_ENGINE_URING ? e : NULL);
	if (ret < 0)
		return type == BLOCK_ENGINE_URING ? ret : 0;
	b->info.engine = "io_uring";
	return 0;
}

int block_open(int take_fd, bool readonly, enum block_engine_type type, struct block **ret_block,
	       struct err *e)
{
	AUTO_CLOSE int fd = take_fd;
	struct block *b = calloc(1, sizeof(*b));
	int ret;

	if (!b)
		return err_set(e, ENOMEM, "disk image: no memory");
	b->fd = TAKE_FD(fd);
	b->info.readonly = readonly;
	b->tail = &b->head;
	ret = block_setup(b, type, e);
	if (ret < 0) {
		block_free(b);
		return ret;
	}
	*ret_block = b;
	return 0;
}

void block_free(struct block *b)
{
	if (!b)
		return;
	assert(!b->loop);
	block_uring_free(b->uring);
	free(b->zeroes);
	close(b->fd);
	free(b);
}

const struct block_info *block_info(const struct block *b)
{
	return &b->info;
}

int block_attach(struct block *b, uv_loop_t *loop, void (*batch_done)(void *arg), void *arg)
{
	int ret;

	assert(!b->loop);
	b->loop = loop;
	b->batch_done = batch_done;
	b->batch_arg = arg;
	ret = b->uring ? block_uring_attach(b) : 0;
	if (ret < 0)
		b->loop = NULL;
	return ret;
}

void block_detach(struct block *b)
{
	if (!b->loop)
		return;
	block_drain(b);
	if (b->uring)
		block_uring_detach(b);
	b->loop = NULL;
	b->batch_done = NULL;
}
