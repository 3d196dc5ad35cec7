// SPDX-License-Identifier: MIT
/*
 * Virtio console: VIRTIO 1.2, section 5.3. Port 0 is a console: queue 0 carries input to the guest, queue 1 output
 * from it. Input arrives on the control loop, which only kicks queue 0. Without other ports that is all, on the
 * machine's shared worker.
 *
 * With more ports (port.c) the device has a worker of its own, and queues 2 and 3 carry control messages (5.3.6.2).
 * What is still to be told to the driver are bits of a port, no queue of messages: they wait for its buffers, and are bounded.
 */
#include <endian.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmm/console.h"
#include "vmm/devices.h"
#include "vmm/virtio/port.h"

enum { CONSOLE_RX, CONSOLE_TX, CONSOLE_CONTROL_RX, CONSOLE_CONTROL_TX, CONSOLE_PORT_QUEUES };

#define CONSOLE_PORTS_MAX ((VIRTIO_QUEUES_MAX - CONSOLE_PORT_QUEUES) / 2) /* beside port 0 */

/* What the driver is still to be told of a port, in this order. */
enum {
	CONSOLE_TELL_ADD = BIT(0),
	CONSOLE_TELL_CONSOLE = BIT(1),
	CONSOLE_TELL_NAME = BIT(2),
	CONSOLE_TELL_OPEN = BIT(3),
};

/* Output of one request beyond this is dropped: no driver sends it, and others share the worker. */
#define CONSOLE_REQUEST_MAX MIB

enum { CONSOLE_BACKEND_CONSOLE, CONSOLE_BACKEND_NONE };
static const char *const console_backends[] = { "console", "none", NULL };

struct virtio_console_port_cfg {
	char name[PORT_NAME_MAX];
	int kind;
	int fd, hold;
	uint64_t limit;
};

struct virtio_console_cfg {
	char address[16];
	int backend;
	struct field_list ports; /* of struct virtio_console_port_cfg */
};

struct virtio_console {
	struct virtio_dev v;	 /* first */
	struct console *console; /* borrowed; NULL: no backend */
	struct virtio_ops ops;	 /* of so many ports */
	struct port *ports;	 /* owned: nports, from port 1 on */
	unsigned int nports;
	/* The worker's; [0] is port 0 */
	uint8_t tell[1 + CONSOLE_PORTS_MAX];
	bool ready[1 + CONSOLE_PORTS_MAX]; /* the driver has it */
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

/* --- control messages: section 5.3.6.2 ------------------------------------------------------------------ */

struct virtio_console_message {
	struct virtio_console_control control;
	char name[PORT_NAME_MAX]; /* of CONSOLE_TELL_NAME, behind it, without its end */
};

/* What one bit says; its length. */
static size_t virtio_console_message(const struct virtio_console *c, unsigned int id,
				     unsigned int bit, struct virtio_console_message *ret)
{
	const struct port *p = id ? &c->ports[id - 1] : NULL; /* port 0 has no name, and is open */
	uint16_t event = VIRTIO_CONSOLE_PORT_OPEN, value = 1;
	size_t name = 0;

	if (bit == CONSOLE_TELL_ADD) {
		event = VIRTIO_CONSOLE_PORT_ADD;
	} else if (bit == CONSOLE_TELL_CONSOLE) {
		event = VIRTIO_CONSOLE_CONSOLE_PORT;
	} else if (bit == CONSOLE_TELL_NAME && p) {
		event = VIRTIO_CONSOLE_PORT_NAME;
		name = strlen(p->name);
		memcpy(ret->name, p->name, name);
	} else if (p) {
		value = port_host_open(p);
	}
	ret->control = (struct virtio_console_control){ .id = htole32(id),
							.event = htole16(event),
							.value = htole16(value) };
	return sizeof(ret->control) + name;
}

/* False: there is no buffer for it. */
static bool virtio_console_tell_one(struct virtio_console *c, unsigned int id, unsigned int bit)
{
	struct virtio_console_message m;
	size_t len = virtio_console_message(c, id, bit, &m);
	struct virtq_req r;

	if (virtio_pop(&c->v, CONSOLE_CONTROL_RX, &r) <= 0)
		return false;
	if (iov_write(r.iov + r.nout, r.nin, 0, &m, len) < len) {
		virtio_broken(&c->v, "a buffer that is too small for a control message");
		return false;
	}
	virtq_push(&c->v.queues[CONSOLE_CONTROL_RX].vq, r.head, (uint32_t)len);
	c->tell[id] &= (uint8_t)~bit;
	return true;
}

static void virtio_console_tell(struct virtio_console *c)
{
	bool room = virtio_has_queue(&c->v, CONSOLE_CONTROL_RX);

	if (!room)
		return;
	virtio_begin(&c->v, CONSOLE_CONTROL_RX);
	for (unsigned int id = 0; id <= c->nports && room; id++)
		for (unsigned int bit = CONSOLE_TELL_ADD; bit <= CONSOLE_TELL_OPEN && room;
		     bit <<= 1)
			room = !(c->tell[id] & bit) || virtio_console_tell_one(c, id, bit);
	virtio_flush(&c->v, CONSOLE_CONTROL_RX);
}

static void virtio_console_port_changed(struct port *p)
{
	struct virtio_console *c = container_of(p->v, struct virtio_console, v);
	unsigned int id = 1 + (unsigned int)(p - c->ports);

	if (!c->ready[id])
		return;
	c->tell[id] |= CONSOLE_TELL_OPEN;
	virtio_console_tell(c);
}

static void virtio_console_device_ready(struct virtio_console *c)
{
	for (unsigned int id = c->console ? 0 : 1; id <= c->nports; id++)
		c->tell[id] |= CONSOLE_TELL_ADD;
}

static void virtio_console_port_ready(struct virtio_console *c, unsigned int id)
{
	if (c->ready[id])
		return;
	c->ready[id] = true;
	if (!id)
		c->tell[id] |= CONSOLE_TELL_CONSOLE | CONSOLE_TELL_OPEN;
	else if (port_host_open(&c->ports[id - 1]))
		c->tell[id] |= CONSOLE_TELL_NAME | CONSOLE_TELL_OPEN;
	else
		c->tell[id] |= CONSOLE_TELL_NAME;
}

/* NULL, or what is wrong with it. One of a port or an event that there is not is ignored. */
static const char *virtio_console_control(struct virtio_console *c, const struct virtq_req *r)
{
	struct virtio_console_control m;
	uint32_t id;

	if (iov_read(r->iov, r->nout, 0, &m, sizeof(m)) < sizeof(m))
		return "a control message that is too short";
	id = le32toh(m.id);
	if (le16toh(m.event) == VIRTIO_CONSOLE_DEVICE_READY && m.value)
		virtio_console_device_ready(c);
	else if (id > c->nports)
		return NULL;
	else if (le16toh(m.event) == VIRTIO_CONSOLE_PORT_READY && m.value)
		virtio_console_port_ready(c, id);
	else if (le16toh(m.event) == VIRTIO_CONSOLE_PORT_OPEN && id)
		port_guest_open(&c->ports[id - 1], m.value);
	return NULL;
}

static void virtio_console_controls(struct virtio_console *c)
{
	const char *why = NULL;
	struct virtq_req r;

	while (!why && virtio_pop(&c->v, CONSOLE_CONTROL_TX, &r) > 0) {
		why = virtio_console_control(c, &r);
		if (!why)
			virtq_push(&c->v.queues[CONSOLE_CONTROL_TX].vq, r.head, 0);
	}
	virtio_flush(&c->v, CONSOLE_CONTROL_TX);
	if (why)
		virtio_broken(&c->v, why);
	virtio_console_tell(c);
}

/* --- the device -------------------------------------------------------------------------------------------- */

static void virtio_console_kick(struct virtio_dev *v, unsigned int q)
{
	struct virtio_console *c = container_of(v, struct virtio_console, v);
	struct port *p = q < CONSOLE_PORT_QUEUES ? NULL : &c->ports[(q - CONSOLE_PORT_QUEUES) / 2];

	if (q == CONSOLE_RX)
		virtio_console_receive(c);
	else if (q == CONSOLE_TX)
		virtio_console_transmit(c);
	else if (!virtio_has(v, VIRTIO_CONSOLE_F_MULTIPORT))
		virtio_broken(v, "a kick of a queue that was not negotiated");
	else if (q == CONSOLE_CONTROL_RX)
		virtio_console_tell(c);
	else if (q == CONSOLE_CONTROL_TX)
		virtio_console_controls(c);
	else if (q == p->rxq)
		port_receive(p);
	else
		port_transmit(p);
}

/* To a driver that does not know of ports nobody is connected. */
static int virtio_console_activate(struct virtio_dev *v)
{
	struct virtio_console *c = container_of(v, struct virtio_console, v);
	bool ports = virtio_has(v, VIRTIO_CONSOLE_F_MULTIPORT);
	int r = 0;

	for (unsigned int i = 0; i < c->nports && ports && r >= 0; i++)
		r = port_start(&c->ports[i]);
	return r;
}

static void virtio_console_deactivate(struct virtio_dev *v)
{
	struct virtio_console *c = container_of(v, struct virtio_console, v);

	for (unsigned int i = 0; i < c->nports; i++)
		port_stop(&c->ports[i]);
}

static void virtio_console_driver_reset(struct virtio_dev *v)
{
	struct virtio_console *c = container_of(v, struct virtio_console, v);

	memset(c->tell, 0, sizeof(c->tell));
	memset(c->ready, 0, sizeof(c->ready));
	for (unsigned int i = 0; i < c->nports; i++)
		port_reset(&c->ports[i]);
}

/* On the control loop. */
static void virtio_console_input_ready(void *arg)
{
	struct virtio_console *c = arg;

	virtio_kick(&c->v, CONSOLE_RX);
}

static int virtio_console_port_init(struct virtio_console *c, struct virtio_console_port_cfg *cfg,
				    struct err *e)
{
	struct port *p = &c->ports[c->nports];

	if (cfg->fd < 0)
		return err_set(e, ERR_INVALID, "port '%s' leads nowhere", cfg->name);
	*p = (struct port){ .v = &c->v,
			    .rxq = CONSOLE_PORT_QUEUES + 2 * c->nports,
			    .txq = CONSOLE_PORT_QUEUES + 2 * c->nports + 1,
			    .kind = (enum port_kind)cfg->kind,
			    .limit = cfg->limit,
			    .changed = virtio_console_port_changed };
	p->fd = TAKE_FD(cfg->fd);
	p->hold = TAKE_FD(cfg->hold);
	snprintf(p->name, sizeof(p->name), "%s", cfg->name);
	port_init(p);
	c->nports++;
	return 0;
}

static int virtio_console_ports_init(struct virtio_console *c, const struct field_list *list,
				     struct err *e)
{
	struct virtio_console_config *config = (struct virtio_console_config *)c->v.config;
	struct virtio_console_port_cfg *ports = list->items;
	int r = 0;

	c->ports = calloc(list->n, sizeof(*c->ports));
	if (!c->ports)
		return err_ret(e, -ENOMEM, "its ports");
	for (size_t i = 0; i < list->n && r >= 0; i++)
		r = virtio_console_port_init(c, &ports[i], e);
	config->max_nr_ports = htole32((uint32_t)list->n + 1);
	c->ops.nqueues = (uint16_t)(CONSOLE_PORT_QUEUES + 2 * list->n);
	c->ops.features = BIT64(VIRTIO_CONSOLE_F_MULTIPORT);
	c->ops.dedicated_worker = true;
	c->ops.activate = virtio_console_activate;
	c->ops.deactivate = virtio_console_deactivate;
	c->ops.reset = virtio_console_driver_reset;
	return r;
}

static int virtio_console_init(struct device *d, struct err *e)
{
	static const struct virtio_ops ops = {
		.id = VIRTIO_ID_CONSOLE,
		.nqueues = CONSOLE_TX + 1,
		.queue_max = 64,
		.config_size = sizeof(struct virtio_console_config), /* all of it optional: 0 */
		.kick = virtio_console_kick,
	};
	static const struct console_guest_ops guest_ops = {
		.input_ready = virtio_console_input_ready,
	};
	struct virtio_console *c = container_of(d, struct virtio_console, v.dev);
	const struct virtio_console_cfg *cfg = d->cfg;
	int ret = 0;

	c->ops = ops;
	if (cfg->ports.n)
		ret = virtio_console_ports_init(c, &cfg->ports, e);
	if (ret >= 0)
		ret = virtio_init(&c->v, &c->ops, 0, cfg->address, e);
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
	for (unsigned int i = 0; i < c->nports; i++)
		port_fini(&c->ports[i]);
	free(c->ports);
}

static const struct field virtio_console_port_fields[] = {
	FIELD_STR("name", struct virtio_console_port_cfg, name),
	FIELD_ENUM("backend", struct virtio_console_port_cfg, kind, port_kinds),
	FIELD_FD("path", struct virtio_console_port_cfg, fd),
	FIELD_FD("hold", struct virtio_console_port_cfg, hold),
	FIELD_U64("limit", struct virtio_console_port_cfg, limit),
	FIELD_END,
};

static const struct field virtio_console_fields[] = {
	FIELD_STR("address", struct virtio_console_cfg, address),
	FIELD_ENUM("backend", struct virtio_console_cfg, backend, console_backends),
	FIELD_LIST("ports", struct virtio_console_cfg, ports, struct virtio_console_port_cfg,
		   virtio_console_port_fields, CONSOLE_PORTS_MAX),
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
