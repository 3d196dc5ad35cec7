// SPDX-License-Identifier: MIT
/*
 * Limits of a disk: one of each, for all of its lanes. A request is taken from a queue and drawn for under a lock, so that
 * as little passes as with one lane; who has to wait gets a turn, so that no lane has it all. There is no lock
 * where there are no limits. On the lanes' workers, but for init, fini and change.
 */
#include "vmm/virtio/blk_impl.h"

void blk_limit_init(struct blk_limit *l, const struct disk_rates *rates)
{
	pthread_mutex_init(&l->lock, NULL);
	disk_limit_set(&l->limit, rates);
	atomic_store(&l->on, l->limit.on);
}

void blk_limit_fini(struct blk_limit *l)
{
	pthread_mutex_destroy(&l->lock);
}

void blk_limit_change(struct blk *blk, const struct disk_rates *rates)
{
	struct blk_limit *l = &blk->limit;

	pthread_mutex_lock(&l->lock);
	disk_limit_set(&l->limit, rates);
	atomic_store(&l->on, l->limit.on);
	/* who still has to wait takes a new one */
	for (unsigned int i = 0; i < blk->nlanes; i++)
		blk->lanes[i].turn = 0;
	pthread_mutex_unlock(&l->lock);
}

static bool blk_limit_is_next(const struct blk_lane *lane)
{
	for (unsigned int i = 0; i < lane->blk->nlanes; i++) {
		uint64_t turn = lane->blk->lanes[i].turn;

		if (turn && (!lane->turn || turn < lane->turn))
			return false;
	}
	return true;
}

bool blk_limit_enter(struct blk_lane *lane)
{
	struct blk_limit *l = &lane->blk->limit;
	uint64_t ns;

	if (!atomic_load(&l->on))
		return true;
	pthread_mutex_lock(&l->lock);
	ns = disk_limit_wait(&l->limit);
	if (!ns && blk_limit_is_next(lane)) {
		lane->turn = 0;
		lane->drawing = true;
		return true;
	}
	if (!lane->turn)
		lane->turn = ++l->turns;
	pthread_mutex_unlock(&l->lock);
	worker_timer_arm(lane->timer, ns / 1000000 + 1);
	return false;
}

void blk_limit_leave(struct blk_lane *lane, const struct blk_req *r)
{
	struct blk_limit *l = &lane->blk->limit;

	if (!lane->drawing)
		return;
	lane->drawing = false;
	if (r)
		disk_limit_draw(&l->limit, r->type == VIRTIO_BLK_T_IN || r->type == VIRTIO_BLK_T_OUT
						   ? r->data_len
						   : 0);
	pthread_mutex_unlock(&l->lock);
}

void blk_limit_forget(struct blk_lane *lane)
{
	pthread_mutex_lock(&lane->blk->limit.lock);
	lane->turn = 0;
	pthread_mutex_unlock(&lane->blk->limit.lock);
}
