// SPDX-License-Identifier: MIT
/*
 * `poll_us`: a worker that looks for requests and completions by itself for a while before it sleeps, so that neither costs
 * a wake-up. Kicks that come soon after it has gone to sleep double the while, up to the bound; those that come late
 * halve it, down to nothing. Where it costs more than the wake-ups that it spares, since the vCPU has no other processor to
 * go on with, it rests for some kicks, each time for more. It looks in slices, between which the loop has its turn:
 * whoever calls the worker waits for one slice at most. On the lane's worker.
 */
#include "vmm/virtio/blk_impl.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/auto.h"

#define BLK_POLL_LEAST_NS 8000
#define BLK_POLL_SLICE_NS 20000
#define BLK_POLL_WORTH_NS 50000 /* of a request without a kick: a wake-up */
#define BLK_POLL_CREDIT 4	/* bounds, twice what it takes to double to one */
#define BLK_POLL_REST_LEAST 64
#define BLK_POLL_REST_MOST 4096

/* The handle lives on in the loop until its close callback. */
struct blk_idle {
	uv_idle_t idle;
	struct blk_lane *lane;
};

/* Requests that the driver has made since. */
static bool blk_poll_requests(struct blk_lane *lane)
{
	struct blk *blk = lane->blk;
	bool any = false;

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

static void blk_poll_pays(struct blk_poll *p)
{
	int64_t most = 2 * BLK_POLL_CREDIT * (int64_t)p->bound_ns;

	p->credit_ns = MIN(p->credit_ns + BLK_POLL_WORTH_NS, most);
	if (p->credit_ns == most)
		p->rested = 0;
}

/* True when there was something. That of the disk says nothing of whether the vCPU gets on. */
static bool blk_poll_look(struct blk_lane *lane)
{
	struct blk_poll *p = &lane->poll;
	bool any = block_poll(lane->block);

	if (blk_poll_requests(lane)) {
		blk_poll_pays(p);
		any = true;
	}
	if (any)
		p->since_ns = uv_hrtime();
	return any;
}

static void blk_poll_turn(uv_idle_t *idle)
{
	struct blk_lane *lane = container_of(idle, struct blk_idle, idle)->lane;
	struct blk_poll *p = &lane->poll;
	uint64_t began = uv_hrtime(), now = began;

	while (now - began < BLK_POLL_SLICE_NS) {
		if (atomic_load(&lane->blk->v.needs_reset) || now - p->since_ns >= p->ns) {
			p->credit_ns -= (int64_t)(now - p->since_ns);
			blk_poll_sleep(lane);
			return;
		}
		if (blk_poll_look(lane))
			return;
		__builtin_ia32_pause();
		now = uv_hrtime();
	}
}

/* True while it has given up for some kicks. */
static bool blk_poll_rests(struct blk_poll *p)
{
	if (p->credit_ns < 0) {
		p->rested = MIN(MAX(2 * p->rested, BLK_POLL_REST_LEAST), BLK_POLL_REST_MOST);
		p->rest = p->rested;
		p->credit_ns = BLK_POLL_CREDIT * (int64_t)p->bound_ns;
		p->ns = 0;
	}
	if (!p->rest)
		return false;
	p->rest--;
	return true;
}

void blk_poll_woken(struct blk_lane *lane)
{
	struct blk_poll *p = &lane->poll;

	if (!p->bound_ns || uv_is_active((uv_handle_t *)&p->idle->idle) || blk_poll_rests(p))
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
	lane->poll.rest = lane->poll.rested = 0;
	lane->poll.credit_ns = BLK_POLL_CREDIT * (int64_t)lane->poll.bound_ns;
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
