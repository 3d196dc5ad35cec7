// SPDX-License-Identifier: MIT
/*
 * Virtio entropy device: VIRTIO 1.2, section 5.4. Fills the guest's buffers from getrandom(2), on the
 * machine's shared worker. What is over its limit stays in the queue.
 */
#include <linux/virtio_ids.h>
#include <sys/random.h>

#include "lib/auto.h"
#include "vmm/devices.h"
#include "vmm/rate.h"
#include "vmm/virtio/virtio.h"
#include "vmm/worker.h"

#define RNG_REQUEST_MAX 4096 /* bytes a request; the driver must take less than it asked for */

struct rng_cfg {
	char address[16];
	uint64_t bytes_per_s;
	uint32_t burst_ms;
};

struct rng {
	struct virtio_dev v; /* first */
	struct rate bytes;
	struct worker_timer *timer; /* owned; while active and limited */
};

static void rng_waited(void *arg)
{
	struct rng *rng = arg;

	virtio_kick(&rng->v, 0);
}

static bool rng_must_wait(struct rng *rng)
{
	uint64_t ns = rng->timer ? rate_wait(&rng->bytes, uv_hrtime()) : 0;

	if (ns)
		worker_timer_arm(rng->timer, ns / 1000000 + 1);
	return ns;
}

static uint32_t rng_fill(const struct virtq_req *r)
{
	uint32_t done = 0;

	for (unsigned int i = r->nout; i < (unsigned int)r->nout + r->nin; i++) {
		size_t part = MIN(r->iov[i].iov_len, (size_t)RNG_REQUEST_MAX - done);
		ssize_t got = getrandom(r->iov[i].iov_base, part, GRND_NONBLOCK);

		if (got > 0)
			done += (uint32_t)got;
		if (got < (ssize_t)part)
			break;
	}
	return done;
}

static void rng_kick(struct virtio_dev *v, unsigned int q)
{
	struct rng *rng = container_of(v, struct rng, v);
	struct virtq_req r;

	while (!rng_must_wait(rng) && virtio_pop(v, q, &r) > 0) {
		uint32_t filled = rng_fill(&r);

		rate_draw(&rng->bytes, filled);
		virtq_push(&v->queues[q].vq, r.head, filled);
	}
	virtio_flush(v, q);
}

static int rng_activate(struct virtio_dev *v)
{
	struct rng *rng = container_of(v, struct rng, v);

	return rng->bytes.per_s
		       ? worker_timer_new(worker_loop(v->worker), rng_waited, rng, &rng->timer)
		       : 0;
}

static void rng_deactivate(struct virtio_dev *v)
{
	struct rng *rng = container_of(v, struct rng, v);

	worker_timer_free(TAKE_PTR(rng->timer));
}

static int rng_init(struct device *d, struct err *e)
{
	static const struct virtio_ops ops = {
		.id = VIRTIO_ID_RNG,
		.nqueues = 1,
		.queue_max = 64,
		.kick = rng_kick,
		.activate = rng_activate,
		.deactivate = rng_deactivate,
	};
	struct rng *rng = container_of(d, struct rng, v.dev);
	const struct rng_cfg *cfg = d->cfg;

	rate_init(&rng->bytes, cfg->bytes_per_s, cfg->bytes_per_s / 1000 * cfg->burst_ms);
	return virtio_init(&rng->v, &ops, 0, cfg->address, e);
}

static const struct field rng_fields[] = {
	FIELD_STR("address", struct rng_cfg, address),
	FIELD_U64("bytes_per_second", struct rng_cfg, bytes_per_s),
	FIELD_U32("burst_ms", struct rng_cfg, burst_ms),
	FIELD_END,
};

const struct device_class virtio_rng_class = {
	.type = "virtio-rng",
	.hotplug = true,
	.size = sizeof(struct rng),
	.cfg_size = sizeof(struct rng_cfg),
	.cfg_fields = rng_fields,
	.init = rng_init,
	.start = virtio_device_start,
	.stop = virtio_device_stop,
	.reset = virtio_device_reset,
	.fini = virtio_device_fini,
};
