// SPDX-License-Identifier: MIT
/*
 * Virtio network card: VIRTIO 1.2, section 5.1. Its life and its configuration; net_impl.h says where the rest is.
 * Pairs of queues, and behind them queues of a tap or a stream of frames, which is passt's. All of a card is on one
 * worker of its own; where vhost-net is given, the kernel moves the frames and the worker has the control queue.
 *
 * The cable (link) and the number of pairs decide at activate who serves what: a change is a deactivate and an
 * activate. A card without a cable takes what the guest sends and gives nothing.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmm/devices.h"
#include "vmm/virtio/net_impl.h"
#include "vmm/worker.h"

#define NET_MTU_MIN 68 /* section 5.1.4.2 */
#define NET_MTU_MAX 65535
#define NET_SPEED 10000 /* Mbit/s; nothing here depends on it */

enum { NET_LINK_UP, NET_LINK_DOWN };
static const char *const net_links[] = { "up", "down", NULL };

struct net_cfg {
	char address[16], mac[NETDEF_MAC_TEXT];
	uint32_t mtu, queues;
	int link;
	bool spoofing;
	int taps[NET_PAIRS_MAX], vhosts[NET_PAIRS_MAX], stream;
};

static struct net *net_of(struct virtio_dev *v)
{
	return container_of(v, struct net, v);
}

static struct virtio_net_config *net_config(struct net *n)
{
	return (struct virtio_net_config *)(void *)n->v.config;
}

/* --- poll handles ------------------------------------------------------------------------------------------------ */

static void net_poll_closed(uv_handle_t *h)
{
	free(h);
}

uv_poll_t *net_poll(struct net *n, int fd, void *data)
{
	uv_poll_t *poll = malloc(sizeof(*poll));

	if (!poll || uv_poll_init(worker_loop(n->v.worker), poll, fd) < 0) {
		free(poll);
		return NULL;
	}
	poll->data = data;
	return poll;
}

void net_unpoll(uv_poll_t **poll)
{
	if (*poll)
		uv_close((uv_handle_t *)*poll, net_poll_closed);
	*poll = NULL;
}

static void net_ready(uv_poll_t *poll, int status, int events)
{
	struct net_pair *p = poll->data;
	struct virtio_dev *v = &p->net->v;

	if (status < 0)
		net_gone(p);
	else if (atomic_load(&v->needs_reset))
		net_wait(p, UV_READABLE | UV_WRITABLE, false);
	else if (events & UV_WRITABLE)
		net_tx_serve(p);
	if (status < 0 || !(events & UV_READABLE) || atomic_load(&v->needs_reset))
		return;
	virtio_begin(v, NET_RX_QUEUE(p->index));
	net_rx_serve(p);
}

/* Each change is a system call: most calls change nothing. */
void net_wait(struct net_pair *p, int events, bool on)
{
	int wanted = on ? p->events | events : p->events & ~events;

	if (!p->poll || wanted == p->events)
		return;
	p->events = wanted;
	if (wanted)
		uv_poll_start(p->poll, wanted, net_ready);
	else
		uv_poll_stop(p->poll);
}

/* --- what the worker tells the control loop -------------------------------------------------------------------- */

static void net_note(const struct net *n)
{
	uint64_t one = 1;

	/* a full counter is a note too */
	if (write(n->note_fd, &one, sizeof(one)) < 0)
		return;
}

void net_gone(struct net_pair *p)
{
	struct net *n = p->net;

	for (unsigned int i = 0; i < n->npairs; i++)
		net_wait(n->pairs[i], UV_READABLE | UV_WRITABLE, false);
	if (atomic_exchange(&n->gone, true))
		return;
	net_note(n);
	/* the frame that waits for it is lost, and the driver gets its buffers back */
	for (unsigned int i = 0; i < n->npairs; i++)
		if (n->pairs[i]->tx.held)
			virtio_kick(&n->v, NET_TX_QUEUE(i));
}

void net_set_mac(struct net *n, const uint8_t mac[static ETH_ALEN])
{
	uint64_t packed = BIT64(48);

	memcpy(n->filter.mac, mac, ETH_ALEN);
	for (unsigned int i = 0; i < ETH_ALEN; i++)
		packed |= (uint64_t)mac[i] << (8 * i);
	atomic_store(&n->set_mac, packed);
	net_note(n);
}

static void net_set_link(struct net *n, bool up)
{
	net_config(n)->status = htole16(up ? VIRTIO_NET_S_LINK_UP : 0);
	virtio_config_changed(&n->v);
}

/* Section 5.1.6.5.2: the configuration has the address that was set. */
static void net_take_mac(struct net *n, uint64_t packed)
{
	for (unsigned int i = 0; packed && i < ETH_ALEN; i++)
		net_config(n)->mac[i] = (uint8_t)(packed >> (8 * i));
}

static void PRINTF_LIKE(2, 3) net_tell(struct net *n, const char *fmt, ...)
{
	struct board *b = n->v.dev.board;
	char what[96], msg[DEVICE_ID_MAX + sizeof(what) + 2];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	snprintf(msg, sizeof(msg), "%s: %s", n->v.dev.id, what);
	b->ops->notice(b->arg, "device", msg);
}

static void net_tell_no_vhost(struct net *n)
{
	if (n->told_no_vhost)
		net_tell(n, "the monitor moves its packets, for vhost-net has failed: %s",
			 strerror(atomic_load(&n->no_vhost)));
}

static void net_tell_gone(struct net *n)
{
	if (n->told_gone)
		net_tell(n, "its network is gone; the link is down");
}

static void net_tell_again(struct device *d)
{
	struct net *n = container_of(d, struct net, v.dev);

	net_tell_no_vhost(n);
	net_tell_gone(n);
}

/* On the control loop. */
static void net_noted(void *arg)
{
	struct net *n = arg;
	uint64_t count;

	if (read(n->note_fd, &count, sizeof(count)) < 0)
		return;
	net_take_mac(n, atomic_exchange(&n->set_mac, 0));
	if (atomic_load(&n->no_vhost) && !n->told_no_vhost) {
		n->told_no_vhost = true;
		net_tell_no_vhost(n);
	}
	if (!atomic_load(&n->gone) || n->told_gone)
		return;
	n->told_gone = true;
	net_set_link(n, false);
	net_tell_gone(n);
}

/* --- the pairs, on the worker ------------------------------------------------------------------------------------ */

unsigned int net_ctrl_queue(const struct net *n)
{
	/* section 5.1.2: behind all pairs, or the first where the driver knows no others */
	return 2 * (virtio_has(&n->v, VIRTIO_NET_F_MQ) ? n->npairs : 1);
}

static void net_pair_queue(struct net_pair *p, bool on)
{
	if (p->tap < 0 || p->net->npairs == 1 || p->enabled == on)
		return;
	/* a queue that stays on is given frames that nobody reads: no more than that */
	if (tap_set_queue(p->net->v.dev.board->net_sys, p->tap, on) >= 0)
		p->enabled = on;
}

static void net_pair_stop(struct net_pair *p)
{
	net_vhost_stop(p);
	net_unpoll(&p->poll);
	p->events = 0;
	net_rx_reset(p);
	net_tx_reset(p);
	p->running = false;
}

static int net_pair_start(struct net_pair *p)
{
	struct net *n = p->net;
	int r = 0;

	if (!net_queue(n, NET_RX_QUEUE(p->index))->enabled ||
	    !net_queue(n, NET_TX_QUEUE(p->index))->enabled)
		return 0;
	net_pair_queue(p, true);
	p->running = true;
	if (!n->link || atomic_load(&n->gone))
		return 0;
	if (n->stale)
		net_rx_drain(p);
	if (p->vhost && !atomic_load(&n->no_vhost)) {
		r = net_vhost_start(p);
		if (r < 0)
			r = net_leave_vhost(n, -r);
	} else {
		p->poll = net_poll(n, p->stream ? stream_fd(p->stream) : p->tap, p);
		r = p->poll ? 0 : -ENOMEM;
	}
	return r;
}

/* The tap of one that ran may have frames by now: they stay. */
int net_leave_vhost(struct net *n, int why)
{
	int r = 0;

	if (atomic_exchange(&n->no_vhost, why))
		return 0;
	net_note(n);
	for (unsigned int i = 0; i < n->npairs && r >= 0; i++) {
		struct net_pair *p = n->pairs[i];

		if (!p->running)
			continue;
		net_pair_stop(p);
		r = virtio_take_back(&n->v, NET_RX_QUEUE(i));
		if (r >= 0)
			r = virtio_take_back(&n->v, NET_TX_QUEUE(i));
		if (r >= 0)
			r = net_pair_start(p);
	}
	return r;
}

static int net_start_pairs(struct net *n)
{
	int r = 0;

	for (unsigned int i = 0; i < n->npairs && r >= 0; i++) {
		struct net_pair *p = n->pairs[i];
		bool on = i < n->active_pairs;

		if (on && !p->running)
			r = net_pair_start(p);
		else if (!on && p->running)
			net_pair_stop(p);
		if (!on)
			net_pair_queue(p, false);
	}
	n->stale = false;
	return r;
}

void net_set_pairs(struct net *n, unsigned int pairs)
{
	unsigned int before = n->active_pairs;
	int r;

	n->active_pairs = pairs;
	r = net_start_pairs(n);
	if (r < 0)
		virtio_broken(&n->v, strerror(-r));
	/* what was in the queues already */
	for (unsigned int q = 2 * before; q < 2 * pairs; q++)
		virtio_kick(&n->v, q);
}

int net_set_offloads(struct net *n, uint64_t offloads)
{
	const struct tap_offload o = {
		.csum = offloads & BIT64(VIRTIO_NET_F_GUEST_CSUM),
		.tso4 = offloads & BIT64(VIRTIO_NET_F_GUEST_TSO4),
		.tso6 = offloads & BIT64(VIRTIO_NET_F_GUEST_TSO6),
		.ecn = offloads & BIT64(VIRTIO_NET_F_GUEST_ECN),
	};

	n->offloads = offloads;
	return n->pairs[0]->tap < 0
		       ? 0
		       : tap_set_offload(n->v.dev.board->net_sys, n->pairs[0]->tap, &o);
}

/* --- for the core ------------------------------------------------------------------------------------------------ */

static int net_activate(struct virtio_dev *v)
{
	struct net *n = net_of(v);
	int r = 0;

	if (!n->set_up) {
		n->set_up = true;
		n->active_pairs = 1;
		net_filter_reset(&n->filter, n->mac, virtio_has(v, VIRTIO_NET_F_CTRL_VLAN));
		r = net_set_offloads(n, v->driver_features & NET_OFFLOADS);
		/* a tap that was taken away tells by its reads */
		r = r == -EBADFD ? 0 : r;
	}
	return r < 0 ? r : net_start_pairs(n);
}

static void net_deactivate(struct virtio_dev *v)
{
	struct net *n = net_of(v);

	for (unsigned int i = 0; i < n->npairs; i++)
		net_pair_stop(n->pairs[i]);
}

static void net_kick(struct virtio_dev *v, unsigned int q)
{
	struct net *n = net_of(v);
	struct net_pair *p;

	if (q == net_ctrl_queue(n)) {
		net_ctrl_serve(n, q);
		return;
	}
	p = q / 2 < n->npairs ? n->pairs[q / 2] : NULL;
	if (!p || !p->running || p->lent)
		return;
	if (q == NET_RX_QUEUE(p->index))
		net_rx_serve(p);
	else
		net_tx_serve(p);
}

/* Under machine.lock. */
static void net_reset(struct virtio_dev *v)
{
	struct net *n = net_of(v);

	n->set_up = false;
	atomic_store(&n->set_mac, 0);
	memcpy(net_config(n)->mac, n->mac, ETH_ALEN);
}

/* --- for the machine --------------------------------------------------------------------------------------------- */

static unsigned int net_count(const int fds[static NET_PAIRS_MAX])
{
	unsigned int n = 0;

	while (n < NET_PAIRS_MAX && fds[n] >= 0)
		n++;
	return n;
}

static int net_check(const struct net_cfg *cfg, struct net *n, struct err *e)
{
	unsigned int taps = net_count(cfg->taps), vhosts = net_count(cfg->vhosts);

	if (netdef_mac_parse(cfg->mac, n->mac) < 0 || n->mac[0] & 1)
		return err_set(e, ERR_INVALID, "mac: expected the MAC address of one device");
	if (cfg->mtu && (cfg->mtu < NET_MTU_MIN || cfg->mtu > NET_MTU_MAX))
		return err_set(e, ERR_INVALID, "mtu: expected %d to %d", NET_MTU_MIN, NET_MTU_MAX);
	if (!cfg->queues || cfg->queues > NET_PAIRS_MAX)
		return err_set(e, ERR_INVALID, "queues: expected 1 to %d", NET_PAIRS_MAX);
	if ((taps > 0) == (cfg->stream >= 0))
		return err_set(e, ERR_INVALID, "expected either tap_fds or stream_fd");
	if (taps ? taps != cfg->queues : cfg->queues != 1)
		return err_set(e, ERR_INVALID, "expected a descriptor for each pair of queues");
	if (vhosts && vhosts != taps)
		return err_set(e, ERR_INVALID, "expected as many vhost_fds as tap_fds");
	return 0;
}

static int net_pair_init(struct net *n, struct net_cfg *cfg, unsigned int i, struct err *e)
{
	const struct net_sys *sys = n->v.dev.board->net_sys;
	struct net_pair *p = calloc(1, sizeof(*p));
	int r = 0;

	if (!p)
		return err_set(e, ENOMEM, "no memory for a pair of queues");
	n->pairs[n->npairs++] = p;
	*p = (struct net_pair){ .net = n, .index = i, .tap = -1, .enabled = true };
	if (cfg->stream >= 0)
		return stream_new(TAKE_FD(cfg->stream), &p->stream, e);
	p->tap = TAKE_FD(cfg->taps[i]);
	r = tap_init(sys, p->tap, e);
	if (r >= 0 && cfg->vhosts[i] >= 0)
		r = vhost_new(sys, TAKE_FD(cfg->vhosts[i]), &p->vhost, e);
	return r;
}

static uint64_t net_features(const struct net *n, const struct net_cfg *cfg)
{
	uint64_t f = BIT64(VIRTIO_NET_F_MAC) | BIT64(VIRTIO_NET_F_STATUS) |
		     BIT64(VIRTIO_NET_F_MRG_RXBUF) | BIT64(VIRTIO_NET_F_CTRL_VQ) |
		     BIT64(VIRTIO_NET_F_CTRL_RX) | BIT64(VIRTIO_NET_F_CTRL_RX_EXTRA) |
		     BIT64(VIRTIO_NET_F_CTRL_VLAN) | BIT64(VIRTIO_NET_F_CTRL_MAC_ADDR) |
		     BIT64(VIRTIO_NET_F_SPEED_DUPLEX);

	if (cfg->mtu)
		f |= BIT64(VIRTIO_NET_F_MTU);
	if (n->npairs > 1)
		f |= BIT64(VIRTIO_NET_F_MQ);
	if (!n->pairs[0]->stream)
		f |= NET_OFFLOADS | BIT64(VIRTIO_NET_F_CSUM) | BIT64(VIRTIO_NET_F_HOST_TSO4) |
		     BIT64(VIRTIO_NET_F_HOST_TSO6) | BIT64(VIRTIO_NET_F_HOST_ECN) |
		     BIT64(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	return f;
}

/* Section 5.1.4 */
static void net_fill_config(struct net *n, const struct net_cfg *cfg)
{
	struct virtio_net_config *c = net_config(n);

	memcpy(c->mac, n->mac, ETH_ALEN);
	c->status = htole16(n->link ? VIRTIO_NET_S_LINK_UP : 0);
	c->max_virtqueue_pairs = htole16((uint16_t)n->npairs);
	c->mtu = htole16((uint16_t)cfg->mtu);
	c->speed = htole32(NET_SPEED);
	c->duplex = 1;
}

static int net_watch(struct net *n, struct err *e)
{
	struct board *b = n->v.dev.board;

	n->note_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (n->note_fd < 0)
		return err_errno(e, "eventfd");
	n->note_watch = b->ops->watch(b->arg, n->note_fd, net_noted, n, e);
	return n->note_watch ? 0 : -EAGAIN; /* e has the reason */
}

static int net_init(struct device *d, struct err *e)
{
	static const struct virtio_ops ops = {
		.id = VIRTIO_ID_NET,
		.queue_max = NET_QUEUE_MAX,
		.config_size = offsetof(struct virtio_net_config, duplex) + 1,
		.dedicated_worker = true,
		.activate = net_activate,
		.kick = net_kick,
		.deactivate = net_deactivate,
		.reset = net_reset,
	};
	struct net *n = container_of(d, struct net, v.dev);
	struct net_cfg *cfg = d->cfg;
	int r;

	n->note_fd = -1;
	r = net_check(cfg, n, e);
	for (unsigned int i = 0; i < cfg->queues && r >= 0; i++)
		r = net_pair_init(n, cfg, i, e);
	if (r < 0)
		return r;
	n->link = cfg->link == NET_LINK_UP;
	n->spoofing = cfg->spoofing;
	net_fill_config(n, cfg);
	r = net_watch(n, e);
	if (r < 0)
		return r;
	n->ops = ops;
	n->ops.nqueues = (uint16_t)(2 * n->npairs + 1);
	r = virtio_init(&n->v, &n->ops, net_features(n, cfg), cfg->address, e);
	/* or each frame and each acknowledgement would be an interrupt of the guest's work; in the cage it is another's */
	if (r >= 0 && !d->board->caged)
		worker_batch(n->v.worker);
	return r;
}

static int net_set(struct device *d, struct json_object *change, struct err *e)
{
	struct net *n = container_of(d, struct net, v.dev);
	struct net_cfg want = { .link = n->link ? NET_LINK_UP : NET_LINK_DOWN };
	static const struct field fields[] = {
		FIELD_ENUM("link", struct net_cfg, link, net_links),
		FIELD_END,
	};
	int r = field_bind(fields, change, &want, NULL, NULL, e);
	bool up = want.link == NET_LINK_UP;

	if (r < 0 || up == n->link)
		return r;
	if (up && atomic_load(&n->gone))
		return err_set(e, ERR_INVALID, "its network is gone");
	virtio_suspend(&n->v);
	n->link = up;
	n->stale = up;
	virtio_resume(&n->v);
	net_set_link(n, up);
	return 1;
}

static void net_pair_fini(struct net_pair *p)
{
	if (p->tap >= 0)
		close(p->tap);
	stream_free(p->stream);
	vhost_free(p->vhost);
	free(p);
}

static void net_fini(struct device *d)
{
	struct net *n = container_of(d, struct net, v.dev);

	virtio_device_fini(d);
	if (n->note_watch)
		d->board->ops->unwatch(d->board->arg, n->note_watch);
	if (n->note_fd >= 0)
		close(n->note_fd);
	for (unsigned int i = 0; i < n->npairs; i++)
		net_pair_fini(n->pairs[i]);
}

static void net_cfg_defaults(void *cfg)
{
	((struct net_cfg *)cfg)->queues = 1;
}

static const struct field net_fields[] = {
	FIELD_STR("address", struct net_cfg, address),
	FIELD_STR("mac", struct net_cfg, mac),
	FIELD_U32("mtu", struct net_cfg, mtu),
	FIELD_U32("queues", struct net_cfg, queues),
	FIELD_ENUM("link", struct net_cfg, link, net_links),
	FIELD_BOOL("spoofing", struct net_cfg, spoofing),
	FIELD_FDS("tap_fds", struct net_cfg, taps),
	FIELD_FDS("vhost_fds", struct net_cfg, vhosts),
	FIELD_FD("stream_fd", struct net_cfg, stream),
	FIELD_END,
};

const struct device_class virtio_net_class = {
	.type = "virtio-net",
	.size = sizeof(struct net),
	.cfg_size = sizeof(struct net_cfg),
	.cfg_fields = net_fields,
	.cfg_defaults = net_cfg_defaults,
	.init = net_init,
	.start = virtio_device_start,
	.stop = virtio_device_stop,
	.reset = virtio_device_reset,
	.set = net_set,
	.tell = net_tell_again,
	.hotplug = true,
	.fini = net_fini,
};
