// SPDX-License-Identifier: MIT
/*
 * Virtio entropy device: VIRTIO 1.2, section 5.4. Fills the guest's buffers from getrandom(2), on the
 * machine's shared worker.
 */
#include <linux/virtio_ids.h>
#include <sys/random.h>

#include "vmm/devices.h"
#include "vmm/virtio/virtio.h"

#define RNG_REQUEST_MAX 4096 /* bytes a request; the driver must take less than it asked for */

struct rng_cfg {
	char address[16];
};

struct rng {
	struct virtio_dev v;
};

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
	struct virtq_req r;

	while (virtio_pop(v, q, &r) > 0)
		virtq_push(&v->queues[q].vq, r.head, rng_fill(&r));
	virtio_flush(v, q);
}

static int rng_init(struct device *d, struct err *e)
{
	static const struct virtio_ops ops = {
		.id = VIRTIO_ID_RNG,
		.nqueues = 1,
		.queue_max = 64,
		.kick = rng_kick,
	};
	const struct rng_cfg *cfg = d->cfg;

	return virtio_init(container_of(d, struct virtio_dev, dev), &ops, 0, cfg->address, e);
}

static const struct field rng_fields[] = {
	FIELD_STR("address", struct rng_cfg, address),
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
