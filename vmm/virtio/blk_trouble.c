// SPDX-License-Identifier: MIT
/*
 * What the host cannot do for a disk. Whoever runs the VM is told, at most once a second; with `on_error: stop` the
 * request is held besides, as if it took long, until the machine was paused and goes on, and is told again until then:
 * who should pause it may have been away. The worker finds out and wakes the control loop, which tells.
 */
#include "vmm/virtio/blk_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/auto.h"

#define BLK_TELL_NS 1000000000ull
#define BLK_TELL_AGAIN_MS 2000

static const char *blk_op_name(unsigned int type)
{
	switch (type) {
	case VIRTIO_BLK_T_IN:
		return "read";
	case VIRTIO_BLK_T_OUT:
		return "write";
	case VIRTIO_BLK_T_FLUSH:
		return "flush";
	case VIRTIO_BLK_T_DISCARD:
		return "discard";
	default:
		return "write of zeroes";
	}
}

/* On the control loop. The worker may be writing the next one: then what is said is of two, which harms nobody. */
static void blk_trouble_ready(void *arg)
{
	struct blk *blk = arg;
	struct blk_trouble *t = &blk->trouble;
	const struct board *board = blk->v.dev.board;
	uint64_t now = uv_hrtime(), count;
	char msg[256];

	if (read(t->fd, &count, sizeof(count)) < 0)
		return;
	if (t->told_ns && now - t->told_ns < BLK_TELL_NS)
		return;
	snprintf(msg, sizeof(msg), "disk '%s': %s at byte %llu: %s%s", blk->v.dev.id,
		 blk_op_name(atomic_load(&t->type)), (unsigned long long)atomic_load(&t->offset),
		 strerror(atomic_load(&t->error)),
		 atomic_exchange(&t->untold, 0) > 1 ? ", and others" : "");
	t->told_ns = now;
	board->ops->notice(board->arg, t->stop ? "disk-stopped" : "disk-error", msg);
}

static void blk_tell(struct blk *blk)
{
	uint64_t one = 1;

	/* a full counter tells too */
	if (write(blk->trouble.fd, &one, sizeof(one)) < 0)
		return;
}

static void blk_tell_again(void *arg)
{
	struct blk *blk = arg;

	blk_tell(blk);
	worker_timer_arm(blk->trouble.again, BLK_TELL_AGAIN_MS);
}

/* What the guest got wrong is told to the guest alone. */
static bool blk_is_host_error(int ret)
{
	return ret < 0 && ret != -ERANGE && ret != -EROFS;
}

bool blk_trouble(struct blk *blk, struct blk_req *r, int ret)
{
	struct blk_trouble *t = &blk->trouble;

	if (!blk_is_host_error(ret))
		return false;
	atomic_store(&t->error, -ret);
	atomic_store(&t->type, r->type);
	atomic_store(&t->offset, r->br.offset);
	atomic_fetch_add(&t->untold, 1);
	blk_tell(blk);
	if (!t->stop)
		return false;
	r->next_free = t->held;
	t->held = r;
	worker_timer_arm(t->again, BLK_TELL_AGAIN_MS);
	return true;
}

void blk_trouble_save(struct blk *blk, struct blk_req *r)
{
	if (blk->trouble.saved && r->ndata)
		memcpy(&blk->trouble.saved[(r - blk->pool) * VIRTQ_SEGS_MAX], r->data,
		       r->ndata * sizeof(*r->data));
}

struct blk_req *blk_trouble_next(struct blk *blk)
{
	struct blk_trouble *t = &blk->trouble;
	struct blk_req *r = t->held;

	if (!r)
		return NULL;
	t->held = r->next_free;
	if (r->ndata)
		memcpy(r->data, &t->saved[(r - blk->pool) * VIRTQ_SEGS_MAX],
		       r->ndata * sizeof(*r->data));
	return r;
}

int blk_trouble_begin(struct blk *blk)
{
	struct blk_trouble *t = &blk->trouble;

	return t->stop ? worker_timer_new(blk->v.worker, blk_tell_again, blk, &t->again) : 0;
}

void blk_trouble_end(struct blk *blk)
{
	worker_timer_free(TAKE_PTR(blk->trouble.again));
}

int blk_trouble_init(struct blk *blk, bool stop, struct err *e)
{
	struct blk_trouble *t = &blk->trouble;
	const struct board *board = blk->v.dev.board;

	t->stop = stop;
	t->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (t->fd < 0)
		return err_errno(e, "eventfd");
	if (stop) {
		t->saved = calloc((size_t)blk->npool * VIRTQ_SEGS_MAX, sizeof(*t->saved));
		if (!t->saved)
			return err_set(e, ENOMEM, "no memory for %u requests", blk->npool);
	}
	t->watch = board->ops->watch(board->arg, t->fd, blk_trouble_ready, blk, e);
	return t->watch ? 0 : -EAGAIN; /* e has the reason */
}

void blk_trouble_fini(struct blk *blk)
{
	struct blk_trouble *t = &blk->trouble;
	const struct board *board = blk->v.dev.board;

	if (t->watch)
		board->ops->unwatch(board->arg, t->watch);
	if (t->fd > 0)
		close(t->fd);
	free(t->saved);
}
