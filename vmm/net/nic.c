// SPDX-License-Identifier: MIT
/* See nic.h. nic_serve and what it calls on the worker, the rest under machine.lock. */
#include "vmm/net/nic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmm/net/tap.h"
#include "vmm/worker.h"

#define NIC_STALE 1024 /* frames; a tap keeps 500 or 1000 of them */

enum { NIC_LINK_UP, NIC_LINK_DOWN };
static const char *const nic_links[] = { "up", "down", NULL };

static struct nic *nic_of(const struct device *d)
{
	return container_of(d, struct nic, dev);
}

/* A full counter is a signal too. */
static void nic_signal(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		return;
}

void nic_kick(struct nic *n)
{
	nic_signal(n->kick_fd);
}

void nic_room(struct nic *n)
{
	if (atomic_load(&n->starved))
		nic_kick(n);
}

void nic_interrupt(struct nic *n)
{
	if (!atomic_exchange(&n->noted, true))
		nic_signal(n->note_fd);
}

void nic_confused(struct nic *n, const char *why)
{
	log_limited(n->dev.board->log, &n->log_limit, "%s: the guest's driver: %s", n->dev.id, why);
}

/* --- on the worker --------------------------------------------------------------------------------------------- */

static void nic_ready(uv_poll_t *poll, int status, int events);

/* Each change is a system call: most calls change nothing. */
static void nic_wait(struct nic *n, int events, bool on)
{
	int wanted = on ? n->events | events : n->events & ~events;

	if (!n->poll || wanted == n->events)
		return;
	n->events = wanted;
	if (wanted)
		uv_poll_start(n->poll, wanted, nic_ready);
	else
		uv_poll_stop(n->poll);
}

static bool nic_connected(struct nic *n)
{
	return n->link && !atomic_load(&n->gone);
}

static void nic_gone(struct nic *n)
{
	nic_wait(n, UV_READABLE | UV_WRITABLE, false);
	atomic_store(&n->gone, true);
	nic_interrupt(n);
}

static ssize_t nic_send_tap(struct nic *n)
{
	struct nic_out *o = &n->out;
	const struct iovec iov[] = { { &o->header, sizeof(o->header) }, { o->frame, o->len } };

	return tap_send(n->tap, iov, ARRAY_SIZE(iov));
}

static ssize_t nic_send_stream(struct nic *n)
{
	struct nic_out *o = &n->out;
	struct iovec iov = { n->segment, 0 };
	ssize_t r = 0;

	while (r >= 0 || r == -EMSGSIZE) {
		iov.iov_len =
			offload_segment(o->frame, o->len, &o->offload, o->segment, n->segment);
		if (!iov.iov_len)
			break;
		r = stream_send(n->stream, &iov, 1);
		if (r != -EAGAIN)
			o->segment++;
	}
	return r;
}

/* It is complete: may it go? */
static bool nic_send_begin(struct nic *n)
{
	struct nic_out *o = &n->out;

	o->segment = 0;
	if (o->len < ETH_HLEN || (!n->spoofing && memcmp(o->frame + ETH_ALEN, n->mac, ETH_ALEN)) ||
	    !offload_prepare(o->frame, o->len, &o->offload))
		return false;
	offload_header(o->frame, o->len, &o->offload, &o->header);
	return true;
}

/* False: it has to wait. What the backend does not like is lost, as on a wire. */
static bool nic_send(struct nic *n)
{
	ssize_t r;

	if (!nic_connected(n))
		return true;
	r = n->stream ? nic_send_stream(n) : nic_send_tap(n);
	if (r == -EPIPE || r == -EBADFD)
		nic_gone(n);
	return r != -EAGAIN;
}

static void nic_transmit(struct nic *n)
{
	struct nic_out *o = &n->out;

	for (;;) {
		if (!o->held) {
			if (!n->ops->next(n))
				break;
			o->held = nic_send_begin(n);
		}
		if (o->held && !nic_send(n))
			break;
		o->held = false;
	}
	nic_wait(n, UV_WRITABLE,
		 nic_connected(n) &&
			 (o->held || (n->stream && stream_flush(n->stream) == -EAGAIN)));
}

/* One frame into n->in: bytes without the header, or -errno. */
static ssize_t nic_read(struct nic *n)
{
	struct iovec iov = { n->in, sizeof(n->in) };
	ssize_t got = n->stream ? stream_recv_at(n->stream, &iov, 1, NIC_HEADER)
				: tap_recv(n->tap, &iov, 1);

	if (!got)
		return -EPIPE;
	return got < (ssize_t)NIC_HEADER ? MIN(got, 0) : got - (ssize_t)NIC_HEADER;
}

/* A frame that waits, or the next one: 0 or -errno. Shorter ones than a wire's are filled up. */
static int nic_fetch(struct nic *n)
{
	ssize_t got;

	if (n->in_len)
		return 0;
	got = nic_read(n);
	if (got < 0)
		return (int)got;
	if (got < ETH_HLEN)
		return 0;
	n->in_len = (size_t)got;
	if (n->in_len < NIC_FRAME_MIN) {
		memset(n->in + NIC_HEADER + n->in_len, 0, NIC_FRAME_MIN - n->in_len);
		n->in_len = NIC_FRAME_MIN;
	}
	return 0;
}

/* True when it is out of the way. Who makes room sees that somebody waits, or we see the room. */
static bool nic_give(struct nic *n)
{
	const uint8_t *frame = n->in + NIC_HEADER;

	if (!n->ops->frame(n, frame, n->in_len)) {
		atomic_store(&n->starved, true);
		if (!n->ops->frame(n, frame, n->in_len))
			return false;
	}
	atomic_store(&n->starved, false);
	n->in_len = 0;
	return true;
}

static void nic_receive(struct nic *n)
{
	int r = 0;

	if (!n->listens || !nic_connected(n))
		return;
	while (n->budget) {
		n->budget--;
		r = nic_fetch(n);
		if (r < 0 || (n->in_len && !nic_give(n)))
			break;
	}
	if (r < 0 && r != -EAGAIN)
		nic_gone(n);
	nic_wait(n, UV_READABLE, nic_connected(n) && !n->in_len);
}

static void nic_serve(struct nic *n, bool out, bool in)
{
	n->budget = NIC_ROUND;
	if (out)
		nic_transmit(n);
	if (in)
		nic_receive(n);
	n->ops->done(n);
	/* a flood that the guest makes, or does not want, must end too */
	if (!n->budget)
		nic_kick(n);
}

static void nic_kicked(uv_poll_t *poll, int status, int events)
{
	struct nic *n = poll->data;
	uint64_t count;

	(void)events;
	if (status >= 0 && read(n->kick_fd, &count, sizeof(count)) >= 0)
		nic_serve(n, true, n->in_len);
}

static void nic_ready(uv_poll_t *poll, int status, int events)
{
	struct nic *n = poll->data;

	if (status < 0)
		nic_gone(n);
	else
		nic_serve(n, events & UV_WRITABLE, events & UV_READABLE);
}

static void nic_poll_closed(uv_handle_t *h)
{
	free(h);
}

static uv_poll_t *nic_poll(struct nic *n, int fd)
{
	uv_poll_t *poll = malloc(sizeof(*poll));

	if (!poll || uv_poll_init(worker_loop(n->worker), poll, fd) < 0) {
		free(poll);
		return NULL;
	}
	poll->data = n;
	return poll;
}

static void nic_unpoll(uv_poll_t **poll)
{
	if (*poll)
		uv_close((uv_handle_t *)*poll, nic_poll_closed);
	*poll = NULL;
}

/* What came while nobody listened. Not for ever: in a flood nothing is old. */
static void nic_drain(struct nic *n)
{
	ssize_t got = 0;

	for (unsigned int i = 0; i < NIC_STALE && got >= 0; i++)
		got = nic_read(n);
	n->in_len = 0;
	n->stale = false;
}

static void nic_activate(void *arg)
{
	const struct tap_offload none = { 0 };
	struct nic *n = arg;

	/* a tap that was taken away tells by its reads */
	if (!n->set_up && n->tap >= 0)
		tap_set_offload(n->dev.board->net_sys, n->tap, &none);
	n->set_up = true;
	n->events = 0;
	n->listens = false;
	n->ops->activate(n);
	n->kick_poll = nic_poll(n, n->kick_fd);
	n->poll = nic_poll(n, n->stream ? stream_fd(n->stream) : n->tap);
	if (!n->kick_poll || !n->poll) {
		nic_gone(n);
		return;
	}
	uv_poll_start(n->kick_poll, UV_READABLE, nic_kicked);
	if (!n->listens || !n->link)
		n->stale = true;
	else if (n->stale && nic_connected(n))
		nic_drain(n);
	nic_wait(n, UV_READABLE, n->listens && nic_connected(n) && !n->in_len);
	nic_kick(n);
}

static void nic_deactivate(void *arg)
{
	struct nic *n = arg;

	nic_unpoll(&n->kick_poll);
	nic_unpoll(&n->poll);
}

/* --- under machine.lock ------------------------------------------------------------------------------------------ */

void nic_resume(struct nic *n)
{
	if (!n->started || !n->master || !n->wanted || n->active)
		return;
	n->active = true;
	worker_call(n->worker, nic_activate, n);
}

void nic_suspend(struct nic *n)
{
	if (n->active)
		worker_call(n->worker, nic_deactivate, n);
	n->active = false;
}

void nic_want(struct nic *n, bool wanted)
{
	n->wanted = wanted;
	if (wanted)
		nic_resume(n);
	else
		nic_suspend(n);
}

void nic_flush(struct nic *n)
{
	n->out.held = false;
	n->in_len = 0;
	atomic_store(&n->starved, false);
}

/* The pin falls at once; it rises when the last rise is long enough ago. */
void nic_update(struct nic *n)
{
	struct board *b = n->dev.board;
	uint64_t now;

	if (!n->ops->pending(n) || n->pci.intx) {
		if (!n->ops->pending(n))
			pci_intx_set(&n->pci, false);
		return;
	}
	now = board_now_ns(b);
	if (n->gap_ns && now - n->last_ns < n->gap_ns) {
		board_timer_arm(b, &n->gap, n->last_ns + n->gap_ns);
		return;
	}
	n->last_ns = now;
	pci_intx_set(&n->pci, true);
}

static void nic_gap_over(void *arg)
{
	nic_update(arg);
}

void nic_tell(struct device *d)
{
	struct nic *n = container_of(d, struct nic, dev);
	char msg[DEVICE_ID_MAX + 64];

	if (!n->told_gone)
		return;
	snprintf(msg, sizeof(msg), "%s: its network is gone; the link is down", d->id);
	d->board->ops->notice(d->board->arg, "device", msg);
}

/* On the control loop. */
static void nic_noted(void *arg)
{
	struct nic *n = arg;
	uint64_t count;

	if (read(n->note_fd, &count, sizeof(count)) < 0)
		return;
	atomic_store(&n->noted, false);
	if (atomic_load(&n->gone) && !n->told_gone) {
		n->told_gone = true;
		nic_suspend(n);
		n->link = false;
		nic_resume(n);
		n->ops->link_changed(n);
		nic_tell(&n->dev);
	}
	nic_update(n);
}

static void nic_master(struct pci_dev *p, bool on)
{
	struct nic *n = container_of(p, struct nic, pci);

	n->master = on;
	if (on)
		nic_resume(n);
	else
		nic_suspend(n);
}

/* --- for the machine --------------------------------------------------------------------------------------------- */

void nic_start(struct device *d)
{
	nic_of(d)->started = true;
	nic_resume(nic_of(d));
}

void nic_stop(struct device *d)
{
	nic_suspend(nic_of(d));
	nic_of(d)->started = false;
}

void nic_reset(struct device *d)
{
	struct nic *n = nic_of(d);

	nic_want(n, false);
	nic_flush(n);
	board_timer_cancel(d->board, &n->gap);
	n->gap_ns = n->last_ns = 0;
	n->stale = true;
	n->ops->reset(n);
	pci_dev_reset(&n->pci);
}

int nic_set(struct device *d, struct json_object *change, struct err *e)
{
	struct nic *n = nic_of(d);
	struct nic_cfg want = { .link = n->link ? NIC_LINK_UP : NIC_LINK_DOWN };
	static const struct field fields[] = {
		FIELD_ENUM("link", struct nic_cfg, link, nic_links),
		FIELD_END,
	};
	int r = field_bind(fields, change, &want, NULL, NULL, e);
	bool up = want.link == NIC_LINK_UP;

	if (r < 0 || up == n->link)
		return r;
	if (up && atomic_load(&n->gone))
		return err_set(e, ERR_INVALID, "its network is gone");
	nic_suspend(n);
	n->link = up;
	n->stale = true;
	nic_resume(n);
	n->ops->link_changed(n);
	nic_update(n);
	return 1;
}

void nic_fini(struct device *d)
{
	struct nic *n = nic_of(d);
	struct board *b = d->board;

	if (!n->ops)
		return;
	nic_suspend(n);
	pci_dev_fini(&n->pci);
	board_timer_cancel(b, &n->gap);
	if (n->note_watch)
		b->ops->unwatch(b->arg, n->note_watch);
	if (n->note_fd >= 0)
		close(n->note_fd);
	if (n->kick_fd >= 0)
		close(n->kick_fd);
	if (n->tap >= 0)
		close(n->tap);
	stream_free(n->stream);
}

static int nic_init_events(struct nic *n, struct err *e)
{
	struct board *b = n->dev.board;

	n->kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	n->note_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (n->kick_fd < 0 || n->note_fd < 0)
		return err_errno(e, "eventfd");
	n->note_watch = b->ops->watch(b->arg, n->note_fd, nic_noted, n, e);
	if (!n->note_watch)
		return -EAGAIN; /* e has the reason */
	n->worker = b->ops->worker(b->arg, true, e);
	return n->worker ? 0 : -EAGAIN;
}

static int nic_init_backend(struct nic *n, struct nic_cfg *cfg, struct err *e)
{
	if ((cfg->taps[0] >= 0) == (cfg->stream >= 0))
		return err_set(e, ERR_INVALID, "expected either tap_fds or stream_fd");
	if (cfg->stream >= 0)
		return stream_new(TAKE_FD(cfg->stream), &n->stream, e);
	n->tap = TAKE_FD(cfg->taps[0]);
	return tap_init(n->dev.board->net_sys, n->tap, e);
}

int nic_init(struct nic *n, const struct nic_ops *ops, struct err *e)
{
	static const struct pci_dev_ops pci_ops = { .master = nic_master };
	struct nic_cfg *cfg = n->dev.cfg;
	int r;

	n->ops = ops;
	n->tap = n->kick_fd = n->note_fd = -1;
	n->gap = (struct board_timer){ .fire = nic_gap_over, .arg = n };
	n->link = cfg->link == NIC_LINK_UP;
	n->spoofing = cfg->spoofing;
	pci_dev_init(&n->pci, n->dev.id, &ops->ids, &pci_ops);
	if (netdef_mac_parse(cfg->mac, n->mac) < 0 || n->mac[0] & 1)
		return err_set(e, ERR_INVALID, "mac: expected the MAC address of one device");
	r = nic_init_backend(n, cfg, e);
	if (r >= 0)
		r = nic_init_events(n, e);
	if (r < 0)
		return r;
	pci_add_intx(&n->pci, 1);
	ops->plug(n);
	return pci_plug(n->dev.board->pci, &n->pci, cfg->address, e);
}

const struct field nic_fields[] = {
	FIELD_STR("address", struct nic_cfg, address),
	FIELD_STR("mac", struct nic_cfg, mac),
	FIELD_ENUM("link", struct nic_cfg, link, nic_links),
	FIELD_BOOL("spoofing", struct nic_cfg, spoofing),
	FIELD_FDS("tap_fds", struct nic_cfg, taps),
	FIELD_FD("stream_fd", struct nic_cfg, stream),
	FIELD_END,
};
