// SPDX-License-Identifier: MIT
/*
 * `poll_us`: a worker that looks for requests and completions by itself for a while before it sleeps, so that neither costs
 * a wake-up. Kicks that come soon after it has gone to sleep double the while, up to the bound; those that come late
 * halve it, down to nothing. It looks in slices, between which the loop has its turn: whoever calls the worker waits for
 * one slice at most. On the lane's worker.
 */
#include "vmm/virtio/blk_impl.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/auto.h"

#define BLK_POLL_LEAST_NS 8000
#define BLK_POLL_SLICE_NS 20000

/* The handle lives on in the loop until its close callback. */
struct blk_idle {
	uv_idle_t idle;
	struct blk_lane *lane;
};

static bool blk_poll_look(struct blk_lane *lane)
{
	struct blk *blk = lane->blk;
	bool any = block_poll(lane->block);

	for (unsigned int q = lane->w; q < blk->vops.nqueues; q += blk->nlanes) {
		/* what a limit holds back has its own time */
		if (!blk->v.queues[q].enabled || lane->starved & BIT(q) ||
		    !virtq_waits(&blk->v.queues[q].vq))
			continue;
		virtio_begin(&blk->v, q);
		blk_serve(lane, q);
		any = true;
	}
	return any;
}

/* Kicks are asked for again; what came before the driver could see that is looked at by the loop. */
static void blk_poll_sleep(struct blk_lane *lane)
{
	struct blk *blk = lane->blk;

	uv_idle_stop(&lane->poll.idle->idle);
	for (unsigned int q = lane->w; q < blk->vops.nqueues; q += blk->nlanes)
		if (blk->v.queues[q].enabled && virtq_kick_enable(&blk->v.queues[q].vq, true))
			virtio_kick(&blk->v, q);
}

static void blk_poll_turn(uv_idle_t *idle)
{
	struct blk_lane *lane = container_of(idle, struct blk_idle, idle)->lane;
	struct blk_poll *p = &lane->poll;
	uint64_t began = uv_hrtime(), now = began;

	while (now - began < BLK_POLL_SLICE_NS) {
		if (atomic_load(&lane->blk->v.needs_reset) || now - p->since_ns >= p->ns) {
			blk_poll_sleep(lane);
			return;
		}
		if (blk_poll_look(lane)) {
			p->since_ns = uv_hrtime();
			return;
		}
		__builtin_ia32_pause();
		now = uv_hrtime();
	}
}

void blk_poll_woken(struct blk_lane *lane)
{
	struct blk_poll *p = &lane->poll;

	if (!p->bound_ns || uv_is_active((uv_handle_t *)&p->idle->idle))
		return;
	if (uv_hrtime() - p->since_ns <= p->bound_ns)
		p->ns = MIN(MAX(2 * p->ns, BLK_POLL_LEAST_NS), p->bound_ns);
	else
		p->ns = p->ns / 2 < BLK_POLL_LEAST_NS ? 0 : p->ns / 2;
}

void blk_poll_go(struct blk_lane *lane)
{
	struct blk_poll *p = &lane->poll;

	if (!p->bound_ns)
		return;
	p->since_ns = uv_hrtime();
	if (p->ns)
		uv_idle_start(&p->idle->idle, blk_poll_turn);
}

int blk_poll_begin(struct blk_lane *lane)
{
	AUTO_FREE struct blk_idle *i = NULL;
	int r;

	lane->poll.ns = 0;
	if (!lane->poll.bound_ns)
		return 0;
	i = calloc(1, sizeof(*i));
	if (!i)
		return -ENOMEM;
	i->lane = lane;
	r = uv_idle_init(worker_loop(blk_lane_worker(lane)), &i->idle);
	if (r >= 0)
		lane->poll.idle = TAKE_PTR(i);
	return r;
}

static void blk_poll_closed(uv_handle_t *h)
{
	free(container_of((uv_idle_t *)h, struct blk_idle, idle));
}

void blk_poll_end(struct blk_lane *lane)
{
	struct blk_idle *i = TAKE_PTR(lane->poll.idle);

	if (i)
		uv_close((uv_handle_t *)&i->idle, blk_poll_closed);
}
