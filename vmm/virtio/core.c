// SPDX-License-Identifier: MIT
/*
 * What every virtio device has in common: VIRTIO 1.2, sections 2.1 to 2.3 and 3.1. Device status, feature
 * negotiation, and the hand-over of the queues.
 *
 * A queue has one owner at a time. Until DRIVER_OK, and while the machine is stopped, that is whoever holds
 * machine.lock; in between (v->active) it is its worker. virtio_attach and virtio_detach pass it on by
 * worker_call, which also orders the two sides' memory accesses. What may cross at any time is little: the
 * kick_fd of each queue, and needs_reset.
 */
#include "vmm/virtio/virtio.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "vmm/worker.h"

#define VIRTIO_FEATURES                                                   \
	(BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_RING_F_INDIRECT_DESC) | \
	 BIT64(VIRTIO_RING_F_EVENT_IDX))

/* --- the worker's side ----------------------------------------------------------------------- */

void virtio_kick(struct virtio_dev *v, unsigned int q)
{
	uint64_t one = 1;

	/* a full counter is a kick too */
	if (write(v->queues[q].kick_fd, &one, sizeof(one)) < 0)
		return;
}

void virtio_begin(struct virtio_dev *v, unsigned int q)
{
	v->queues[q].round = VIRTIO_ROUND;
	virtq_kick_enable(&v->queues[q].vq, false);
}

static void virtio_serve(struct virtio_queue *q)
{
	struct virtio_dev *v = q->v;
	unsigned int index = (unsigned int)(q - v->queues);

	if (atomic_load(&v->needs_reset))
		return;
	virtio_begin(v, index);
	v->ops->kick(v, index);
}

static void virtio_kicked(uv_poll_t *poll, int status, int events)
{
	struct virtio_queue *q = poll->data;
	uint64_t count;

	(void)events;
	if (status >= 0 && read(q->kick_fd, &count, sizeof(count)) >= 0)
		virtio_serve(q);
}

/* The same until the driver's first kick, which is told: after it nothing is left to pay for that. */
static void virtio_not_kicked_yet(uv_poll_t *poll, int status, int events)
{
	struct virtio_queue *q = poll->data;
	struct board *board = q->v->dev.board;
	uint64_t count;

	(void)events;
	if (status < 0 || read(q->kick_fd, &count, sizeof(count)) < 0)
		return;
	if (count > q->own_kick) {
		q->kicked = true;
		uv_poll_start(poll, UV_READABLE, virtio_kicked);
		board->ops->first_kick(board->arg);
	}
	q->own_kick = false;
	virtio_serve(q);
}

int virtio_pop(struct virtio_dev *v, unsigned int q, struct virtq_req *r)
{
	return virtio_pop_if(v, q, r, true);
}

int virtio_pop_if(struct virtio_dev *v, unsigned int q, struct virtq_req *r, bool needed)
{
	struct virtio_queue *vq = &v->queues[q];
	const char *why = NULL;
	int ret;

	if (atomic_load(&v->needs_reset))
		return 0;
	if (!vq->round) {
		if (needed)
			virtio_kick(v, q); /* the loop serves the other queues first */
		return 0;
	}
	ret = virtq_pop(&vq->vq, r, &why);
	if (!ret && needed && virtq_kick_enable(&vq->vq, true))
		ret = virtq_pop(&vq->vq, r, &why); /* came before the driver could see our wish */
	if (ret < 0) {
		virtio_broken(v, why);
		return 0;
	}
	vq->round -= (unsigned int)ret;
	return ret;
}

bool virtio_has_queue(const struct virtio_dev *v, unsigned int q)
{
	return v->queues[q].kick_poll;
}

void virtio_flush(struct virtio_dev *v, unsigned int q)
{
	if (virtq_flush(&v->queues[q].vq))
		v->transport->notify_queue(v, q);
}

void virtio_notify(struct virtio_dev *v, unsigned int q)
{
	v->transport->notify_queue(v, q);
}

void virtio_broken(struct virtio_dev *v, const char *why)
{
	if (atomic_exchange(&v->needs_reset, true))
		return;
	log_limited(v->dev.board->log, &v->log_limit,
		    "%s: the guest's driver broke the protocol: %s", v->dev.id, why);
	v->transport->notify_config(v);
}

static int virtio_watch(struct virtio_queue *q)
{
	uv_poll_t *poll = malloc(sizeof(*poll));
	int ret;

	if (!poll)
		return -ENOMEM;
	ret = uv_poll_init(worker_loop(q->worker), poll, q->kick_fd);
	if (ret < 0) {
		free(poll);
		return ret;
	}
	poll->data = q;
	q->kick_poll = poll;
	return uv_poll_start(poll, UV_READABLE,
			     q->kicked || !q->v->dev.board->ops->first_kick
				     ? virtio_kicked
				     : virtio_not_kicked_yet);
}

static void virtio_poll_closed(uv_handle_t *h)
{
	free(h);
}

static void virtio_unwatch(struct virtio_queue *q)
{
	if (q->kick_poll)
		uv_close((uv_handle_t *)q->kick_poll, virtio_poll_closed);
	q->kick_poll = NULL;
}

int virtio_lend(struct virtio_dev *v, unsigned int q)
{
	int fd = v->transport->queue_fd ? v->transport->queue_fd(v, q) : -1;

	virtio_unwatch(&v->queues[q]);
	v->queues[q].direct = fd >= 0;
	return fd;
}

int virtio_take_back(struct virtio_dev *v, unsigned int q)
{
	v->queues[q].direct = false;
	return v->queues[q].kick_poll ? 0 : virtio_watch(&v->queues[q]);
}

static unsigned int virtio_nworkers(const struct virtio_dev *v)
{
	return MAX(v->ops->nworkers, 1u);
}

/* What a worker has of a device: queues w, w + nworkers, … */
struct virtio_share {
	struct virtio_dev *v;
	unsigned int w;
	int ret;
};

static int virtio_begin_share(const struct virtio_share *s)
{
	struct virtio_dev *v = s->v;
	int ret = 0;

	for (unsigned int i = s->w; i < v->ops->nqueues && ret >= 0; i += virtio_nworkers(v))
		if (v->queues[i].enabled)
			ret = virtio_watch(&v->queues[i]);
	if (ret >= 0 && !s->w && v->ops->activate)
		ret = v->ops->activate(v);
	if (ret >= 0 && v->ops->begin)
		ret = v->ops->begin(v, s->w);
	return ret;
}

static void virtio_attach_on_worker(void *arg)
{
	struct virtio_share *s = arg;
	struct virtio_dev *v = s->v;

	s->ret = virtio_begin_share(s);
	if (s->ret < 0) {
		virtio_broken(v, strerror(-s->ret));
		return;
	}
	/* what the driver made available before, or while the machine was stopped */
	for (unsigned int i = s->w; i < v->ops->nqueues; i += virtio_nworkers(v))
		if (v->queues[i].enabled) {
			v->queues[i].own_kick = true;
			virtio_kick(v, i);
		}
}

static void virtio_detach_on_worker(void *arg)
{
	const struct virtio_share *s = arg;
	struct virtio_dev *v = s->v;

	if (v->ops->end)
		v->ops->end(v, s->w);
	if (!s->w && v->ops->deactivate)
		v->ops->deactivate(v);
	for (unsigned int i = s->w; i < v->ops->nqueues; i += virtio_nworkers(v)) {
		virtio_unwatch(&v->queues[i]);
		v->queues[i].direct = false;
	}
}

/* --- under machine.lock -------------------------------------------------------------------------- */

static void virtio_attach(struct virtio_dev *v)
{
	struct virtio_share s = { .v = v };

	if (!v->started || !v->live || !v->dma || v->active)
		return;
	v->active = true;
	for (; s.w < virtio_nworkers(v) && s.ret >= 0; s.w++)
		worker_call(v->queues[s.w].worker, virtio_attach_on_worker, &s);
}

/* The first worker is the last, so that deactivate is. */
static void virtio_detach(struct virtio_dev *v)
{
	struct virtio_share s = { .v = v, .w = virtio_nworkers(v) };

	if (!v->active)
		return;
	while (s.w-- > 0)
		worker_call(v->queues[s.w].worker, virtio_detach_on_worker, &s);
	v->active = false;
}

void virtio_suspend(struct virtio_dev *v)
{
	virtio_detach(v);
}

void virtio_resume(struct virtio_dev *v)
{
	virtio_attach(v);
}

void virtio_vector_changed(struct virtio_dev *v, unsigned int q)
{
	bool direct = false;

	for (unsigned int i = 0; i < v->ops->nqueues && v->active; i++)
		direct = direct || ((q == i || q == UINT_MAX) && v->queues[i].direct);
	if (!direct)
		return;
	virtio_detach(v);
	virtio_attach(v);
}

/* section 3.1.1, step 8: the queues go to the worker, or the device is broken from the start */
static void virtio_driver_ok(struct virtio_dev *v)
{
	struct err e = { 0 };

	for (unsigned int i = 0; i < v->ops->nqueues; i++) {
		struct virtq *vq = &v->queues[i].vq;

		if (!v->queues[i].enabled)
			continue;
		vq->event_idx = virtio_has(v, VIRTIO_RING_F_EVENT_IDX);
		vq->indirect = virtio_has(v, VIRTIO_RING_F_INDIRECT_DESC);
		if (virtq_start(vq, &e) < 0) {
			err_wrap(&e, "queue %u", i);
			virtio_broken(v, e.msg);
			return;
		}
	}
	v->live = true;
	v->transport->queues_live(v, true);
	virtio_attach(v);
}

void virtio_set_dma(struct virtio_dev *v, bool on)
{
	v->dma = on;
	if (on)
		virtio_attach(v);
	else
		virtio_detach(v);
}

static bool virtio_features_ok(const struct virtio_dev *v)
{
	return virtio_has(v, VIRTIO_F_VERSION_1) && !(v->driver_features & ~v->device_features);
}

uint8_t virtio_get_status(const struct virtio_dev *v)
{
	return v->status | (atomic_load(&v->needs_reset) ? VIRTIO_CONFIG_S_NEEDS_RESET : 0);
}

/* A driver may not clear bits, except all by 0: what it leaves out stays set. */
void virtio_set_status(struct virtio_dev *v, uint8_t status)
{
	uint8_t added = status & (uint8_t)~v->status;

	if (!status) {
		virtio_reset(v);
		return;
	}
	v->status |= added & (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
			      VIRTIO_CONFIG_S_FAILED);
	if (added & VIRTIO_CONFIG_S_FEATURES_OK && virtio_features_ok(v))
		v->status |= VIRTIO_CONFIG_S_FEATURES_OK;
	if (added & VIRTIO_CONFIG_S_DRIVER_OK && v->status & VIRTIO_CONFIG_S_FEATURES_OK) {
		v->status |= VIRTIO_CONFIG_S_DRIVER_OK;
		virtio_driver_ok(v);
	}
}

void virtio_set_features(struct virtio_dev *v, uint32_t word, uint32_t bits)
{
	unsigned int shift = word * 32;

	if (word > 1 || v->status & VIRTIO_CONFIG_S_FEATURES_OK)
		return;
	v->driver_features &= ~((uint64_t)UINT32_MAX << shift);
	v->driver_features |= (uint64_t)bits << shift;
}

void virtio_config_changed(struct virtio_dev *v)
{
	v->config_generation++;
	if (v->status & VIRTIO_CONFIG_S_DRIVER_OK)
		v->transport->notify_config(v);
}

void virtio_reset(struct virtio_dev *v)
{
	virtio_detach(v);
	if (v->live)
		v->transport->queues_live(v, false);
	v->live = false;
	v->status = 0;
	v->driver_features = 0;
	atomic_store(&v->needs_reset, false);
	for (unsigned int i = 0; i < v->ops->nqueues; i++) {
		v->queues[i].enabled = false;
		virtq_reset(&v->queues[i].vq);
		v->queues[i].vq.size = v->ops->queue_max;
	}
	if (v->ops->reset)
		v->ops->reset(v);
	v->transport->reset(v);
}

static int virtio_find_workers(struct virtio_dev *v, struct err *e)
{
	const struct board *board = v->dev.board;
	unsigned int n = virtio_nworkers(v);

	assert(n == 1 || (v->ops->dedicated_worker && n <= v->ops->nqueues));
	for (unsigned int i = 0; i < n; i++) {
		v->queues[i].worker = board->ops->worker(board->arg, v->ops->dedicated_worker, e);
		if (!v->queues[i].worker)
			return -EAGAIN; /* e has the reason */
	}
	for (unsigned int i = n; i < v->ops->nqueues; i++)
		v->queues[i].worker = v->queues[i % n].worker;
	v->worker = v->queues[0].worker;
	return 0;
}

int virtio_core_init(struct virtio_dev *v, const struct virtio_ops *ops, uint64_t extra_features,
		     struct err *e)
{
	struct board *board = v->dev.board;

	v->ops = ops;
	v->device_features = VIRTIO_FEATURES | ops->features | extra_features;
	for (unsigned int i = 0; i < ops->nqueues; i++)
		v->queues[i].kick_fd = -1;
	for (unsigned int i = 0; i < ops->nqueues; i++) {
		struct virtio_queue *q = &v->queues[i];

		q->v = v;
		q->vq.gmem = board->gmem;
		q->vq.size = ops->queue_max;
		q->kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (q->kick_fd < 0)
			return err_errno(e, "eventfd");
	}
	return virtio_find_workers(v, e);
}

void virtio_device_start(struct device *d)
{
	struct virtio_dev *v = container_of(d, struct virtio_dev, dev);

	v->started = true;
	virtio_attach(v);
}

void virtio_device_stop(struct device *d)
{
	struct virtio_dev *v = container_of(d, struct virtio_dev, dev);

	virtio_detach(v);
	v->started = false;
}

void virtio_device_reset(struct device *d)
{
	struct virtio_dev *v = container_of(d, struct virtio_dev, dev);

	virtio_reset(v);
	v->transport->power_on(v);
}

void virtio_device_fini(struct device *d)
{
	struct virtio_dev *v = container_of(d, struct virtio_dev, dev);

	if (!v->ops)
		return;
	virtio_detach(v);
	if (v->transport)
		v->transport->fini(v);
	for (unsigned int i = 0; i < v->ops->nqueues; i++)
		if (v->queues[i].kick_fd >= 0)
			close(v->queues[i].kick_fd);
}
