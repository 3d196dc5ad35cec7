// SPDX-License-Identifier: MIT
/*
 * Virtio console: VIRTIO 1.2, section 5.3, with one port and no features. Queue 0 carries input to the
 * guest, queue 1 output from it, both on the machine's shared worker. Input arrives on the control loop,
 * which only kicks queue 0.
 */
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>

#include "vmm/console.h"
#include "vmm/devices.h"
#include "vmm/virtio/virtio.h"

enum { CONSOLE_RX, CONSOLE_TX, CONSOLE_QUEUES };

/* Output of one request beyond this is dropped: no driver sends it, and others share the worker. */
#define CONSOLE_REQUEST_MAX MIB

enum { CONSOLE_BACKEND_CONSOLE, CONSOLE_BACKEND_NONE };
static const char *const console_backends[] = { "console", "none", NULL };

struct virtio_console_cfg {
	char address[16];
	int backend;
};

struct virtio_console {
	struct virtio_dev v;
	struct console *console; /* borrowed; NULL: no backend */
};

static void virtio_console_output(const struct virtio_console *c, const struct virtq_req *r)
{
	size_t left = CONSOLE_REQUEST_MAX;

	for (unsigned int i = 0; i < r->nout && left && c->console; i++) {
		size_t part = MIN(r->iov[i].iov_len, left);

		console_write(c->console, r->iov[i].iov_base, part);
		left -= part;
	}
}

static void virtio_console_transmit(struct virtio_console *c)
{
	struct virtq_req r;

	while (virtio_pop(&c->v, CONSOLE_TX, &r) > 0) {
		virtio_console_output(c, &r);
		virtq_push(&c->v.queues[CONSOLE_TX].vq, r.head, 0);
	}
	virtio_flush(&c->v, CONSOLE_TX);
}

static uint32_t virtio_console_input(const struct virtio_console *c, const struct virtq_req *r)
{
	uint32_t done = 0;

	for (unsigned int i = r->nout; i < (unsigned int)r->nout + r->nin; i++) {
		size_t got = console_pull(c->console, r->iov[i].iov_base, r->iov[i].iov_len);

		done += (uint32_t)got;
		if (got < r->iov[i].iov_len)
			break;
	}
	return done;
}

/* Buffers stay in the queue until there is input for them. */
static void virtio_console_receive(struct virtio_console *c)
{
	struct virtq_req r;

	while (c->console && console_has_input(c->console) && virtio_pop(&c->v, CONSOLE_RX, &r) > 0)
		virtq_push(&c->v.queues[CONSOLE_RX].vq, r.head, virtio_console_input(c, &r));
	virtio_flush(&c->v, CONSOLE_RX);
}

static void virtio_console_kick(struct virtio_dev *v, unsigned int q)
{
	struct virtio_console *c = container_of(v, struct virtio_console, v);

	if (q == CONSOLE_RX)
		virtio_console_receive(c);
	else
		virtio_console_transmit(c);
}

/* On the control loop. */
static void virtio_console_input_ready(void *arg)
{
	struct virtio_console *c = arg;

	virtio_kick(&c->v, CONSOLE_RX);
}

static int virtio_console_init(struct device *d, struct err *e)
{
	static const struct virtio_ops ops = {
		.id = VIRTIO_ID_CONSOLE,
		.nqueues = CONSOLE_QUEUES,
		.queue_max = 64,
		.config_size = sizeof(struct virtio_console_config), /* all of it optional: 0 */
		.kick = virtio_console_kick,
	};
	static const struct console_guest_ops guest_ops = {
		.input_ready = virtio_console_input_ready,
	};
	struct virtio_console *c = container_of(d, struct virtio_console, v.dev);
	const struct virtio_console_cfg *cfg = d->cfg;
	int ret = virtio_init(&c->v, &ops, 0, cfg->address, e);

	if (ret < 0 || cfg->backend == CONSOLE_BACKEND_NONE)
		return ret;
	c->console = d->board->ops->console(d->board->arg, d->id, e);
	if (!c->console)
		return -EAGAIN; /* e has the reason */
	console_set_guest(c->console, &guest_ops, c);
	return 0;
}

static void virtio_console_fini(struct device *d)
{
	struct virtio_console *c = container_of(d, struct virtio_console, v.dev);

	if (c->console)
		console_set_guest(c->console, NULL, NULL);
	virtio_device_fini(d);
}

static const struct field virtio_console_fields[] = {
	FIELD_STR("address", struct virtio_console_cfg, address),
	FIELD_ENUM("backend", struct virtio_console_cfg, backend, console_backends),
	FIELD_END,
};

const struct device_class virtio_console_class = {
	.type = "virtio-console",
	.size = sizeof(struct virtio_console),
	.cfg_size = sizeof(struct virtio_console_cfg),
	.cfg_fields = virtio_console_fields,
	.init = virtio_console_init,
	.start = virtio_device_start,
	.stop = virtio_device_stop,
	.reset = virtio_device_reset,
	.fini = virtio_console_fini,
};
