// SPDX-License-Identifier: MIT
/*
 * The ports of a virtio console: see port.h. On the device's worker.
 *
 * What can go on is waited for, and nothing else: a client that does not read is not looked at for what it writes
 * beyond the guest's buffers, and who has left is found out by the read or the write that is due.
 */
#include "vmm/virtio/port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/auto.h"

#define PORT_TURN (256 * KIB) /* bytes in one turn of the loop: other ports wait */
#define PORT_AGAIN_MS 1000    /* a file that was full may have been emptied */

const char *const
	port_kinds[] = { [PORT_SOCKET] = "socket", [PORT_PTY] = "pty", [PORT_FILE] = "file", NULL };

bool port_host_open(const struct port *p)
{
	return p->client >= 0;
}

static void port_poll_closed(uv_handle_t *h)
{
	free(h);
}

static void port_unpoll(uv_poll_t **poll)
{
	if (*poll)
		uv_close((uv_handle_t *)*poll, port_poll_closed);
	*poll = NULL;
}

static int port_poll_new(struct port *p, int fd, uv_poll_t **ret_poll)
{
	uv_poll_t *poll = malloc(sizeof(*poll));
	int r = poll ? uv_poll_init(worker_loop(p->v->worker), poll, fd) : -ENOMEM;

	if (r < 0) {
		free(poll);
		return r;
	}
	poll->data = p;
	*ret_poll = poll;
	return 0;
}

/* --- who is there on the host ----------------------------------------------------------------------------- */

static void port_polled(uv_poll_t *poll, int status, int events);
static void port_accept(uv_poll_t *poll, int status, int events);

/* UV_PRIORITIZED never comes of these: it asks only for the end of the connection. */
static void port_watch(struct port *p)
{
	int events = p->eof ? UV_PRIORITIZED : 0;

	if (!p->poll)
		return;
	if (p->guest_open && !p->rx_empty && !p->eof)
		events |= UV_READABLE;
	if (p->tx_held)
		events |= UV_WRITABLE;
	if (events == p->watched)
		return;
	p->watched = events;
	if (events)
		uv_poll_start(p->poll, events, port_polled);
	else
		uv_poll_stop(p->poll);
}

static void port_listen(struct port *p)
{
	if (p->listener)
		uv_poll_start(p->listener, UV_READABLE, port_accept);
}

/* A request that was begun goes with who has read its beginning; one that was not is for the next one. */
static void port_drop_held(struct port *p)
{
	struct virtq *q = &p->v->queues[p->txq].vq;

	if (!p->tx_held)
		return;
	p->tx_held = false;
	if (p->tx_done)
		virtq_push(q, p->tx.head, 0);
	else
		virtq_unpop(q, 1);
	virtio_flush(p->v, p->txq);
}

static void port_hang_up(struct port *p)
{
	port_unpoll(&p->poll);
	if (p->kind == PORT_SOCKET)
		close(p->client);
	p->client = -1;
	p->eof = false;
	port_drop_held(p);
	port_listen(p);
	p->changed(p);
}

/* A client that has gone is its own affair; a terminal does not come back. */
static void port_failed(struct port *p, int error)
{
	if (p->kind == PORT_PTY)
		log_limited(p->v->dev.board->log, &p->v->log_limit, "%s: port '%s': %s",
			    p->v->dev.id, p->name, strerror(error));
	port_hang_up(p);
}

static void port_accept(uv_poll_t *poll, int status, int events)
{
	struct port *p = poll->data;
	AUTO_CLOSE int fd = -1;

	(void)events;
	if (status >= 0)
		fd = accept4(p->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0 || port_poll_new(p, fd, &p->poll) < 0)
		return;
	p->client = TAKE_FD(fd);
	p->watched = 0;
	uv_poll_stop(poll);
	p->changed(p);
	port_watch(p);
	virtio_kick(p->v, p->txq); /* what the guest has written meanwhile */
}

/* --- from the guest -------------------------------------------------------------------------------------- */

/* What the file has room for; a writer of it may have grown it, or emptied it. */
static int port_file_room(const struct port *p, size_t *ret_len)
{
	struct stat st;

	if (fstat(p->fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size >= p->limit)
		return -EFBIG;
	*ret_len = (size_t)MIN(*ret_len, p->limit - (uint64_t)st.st_size);
	return 0;
}

/* A file tells nobody when it takes something again: it is tried. */
static int port_stall(struct port *p, int error)
{
	if (!p->stalled)
		log_limited(p->v->dev.board->log, &p->v->log_limit,
			    "%s: port '%s' waits: its file: %s", p->v->dev.id, p->name,
			    error == EFBIG ? "it is as large as it may be" : strerror(error));
	p->stalled = true;
	worker_timer_arm(p->again, PORT_AGAIN_MS);
	return 0;
}

/* Bytes, 0: not now, or -errno: the client is gone. */
static ssize_t port_write(struct port *p, const void *data, size_t len)
{
	int r = p->kind == PORT_FILE ? port_file_room(p, &len) : 0;
	ssize_t n;

	if (r < 0)
		return port_stall(p, -r);
	n = write(p->client, data, len);
	if (n < 0 && p->kind == PORT_FILE)
		return port_stall(p, errno);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	p->stalled = false;
	return n;
}

/* The rest of the held request. 1: that was all; 0: the host, or this turn, takes no more; -errno. */
static int port_send(struct port *p, size_t *turn)
{
	size_t skip = p->tx_done;

	for (unsigned int i = 0; i < p->tx.nout; i++) {
		const struct iovec *v = &p->tx.iov[i];

		while (skip < v->iov_len) {
			ssize_t n = port_write(p, (const uint8_t *)v->iov_base + skip,
					       MIN(v->iov_len - skip, *turn));

			if (n <= 0)
				return (int)n;
			skip += (size_t)n;
			p->tx_done += (size_t)n;
			*turn -= (size_t)n;
			if (!*turn)
				return 0;
		}
		skip -= v->iov_len;
	}
	return 1;
}

/* 1: on to the next one, 0: no more now */
static int port_transmit_one(struct port *p, size_t *turn)
{
	int r;

	if (!p->tx_held) {
		if (virtio_pop(p->v, p->txq, &p->tx) <= 0)
			return 0;
		p->tx_held = true;
		p->tx_done = 0;
	}
	r = port_send(p, turn);
	if (r < 0)
		port_failed(p, -r);
	if (r <= 0)
		return 0;
	p->tx_held = false;
	virtq_push(&p->v->queues[p->txq].vq, p->tx.head, 0);
	return 1;
}

void port_transmit(struct port *p)
{
	size_t turn = PORT_TURN;

	while (p->client >= 0 && turn && port_transmit_one(p, &turn))
		;
	if (!turn)
		virtio_kick(p->v, p->txq);
	virtio_flush(p->v, p->txq);
	port_watch(p);
}

static void port_look_again(void *arg)
{
	struct port *p = arg;

	virtio_kick(p->v, p->txq);
}

/* --- to the guest ------------------------------------------------------------------------------------------ */

/* Fill a buffer: bytes, 0: there is no more to come, -errno (-EAGAIN: nothing is there). */
static ssize_t port_fill(struct port *p, const struct virtq_req *r)
{
	ssize_t done = 0;

	for (unsigned int i = r->nout; i < (unsigned int)r->nout + r->nin; i++) {
		ssize_t n = read(p->client, r->iov[i].iov_base, r->iov[i].iov_len);

		if (n < 0)
			return done ? done : -errno;
		done += n;
		if ((size_t)n < r->iov[i].iov_len)
			break;
	}
	return done;
}

static void port_end_of_input(struct port *p, ssize_t n)
{
	if (n == 0 && p->kind == PORT_SOCKET)
		p->eof = true;
	else if (n <= 0 && n != -EAGAIN)
		port_failed(p, n ? (int)-n : EIO);
}

/* Bytes; 0: no more now. */
static size_t port_receive_one(struct port *p)
{
	struct virtq *q = &p->v->queues[p->rxq].vq;
	struct virtq_req r;
	ssize_t n;

	if (virtio_pop(p->v, p->rxq, &r) <= 0) {
		p->rx_empty = true;
		return 0;
	}
	if (!r.nin) {
		virtio_broken(p->v, "a buffer for input without room");
		return 0;
	}
	n = port_fill(p, &r);
	if (n > 0) {
		virtq_push(q, r.head, (uint32_t)n);
		return (size_t)n;
	}
	virtq_unpop(q, 1);
	port_end_of_input(p, n);
	return 0;
}

void port_receive(struct port *p)
{
	size_t turn = 0, n = 1;

	p->rx_empty = false;
	while (p->poll && p->guest_open && !p->eof && n && turn < PORT_TURN) {
		n = port_receive_one(p);
		turn += n;
	}
	virtio_flush(p->v, p->rxq);
	port_watch(p);
}

/* --- both ------------------------------------------------------------------------------------------------------ */

/* An error of the connection is told by the read or the write. */
static void port_polled(uv_poll_t *poll, int status, int events)
{
	struct port *p = poll->data;

	if (status < 0)
		p->watched = 0; /* libuv has stopped */
	if (p->tx_held && (status < 0 || events & UV_WRITABLE)) {
		virtio_begin(p->v, p->txq);
		port_transmit(p);
	}
	if (p->poll == poll && !p->eof && p->guest_open && (status < 0 || events & UV_READABLE)) {
		virtio_begin(p->v, p->rxq);
		port_receive(p);
	} else if (p->poll == poll && (status < 0 || events & UV_PRIORITIZED)) {
		port_hang_up(p);
	}
}

/* The driver may have left the queue out. */
void port_guest_open(struct port *p, bool open)
{
	p->guest_open = open && virtio_has_queue(p->v, p->rxq);
	if (p->guest_open)
		virtio_kick(p->v, p->rxq);
	else
		port_watch(p);
}

int port_start(struct port *p)
{
	int r = 0;

	if (p->kind == PORT_SOCKET)
		r = port_poll_new(p, p->fd, &p->listener);
	if (r >= 0 && p->kind == PORT_FILE)
		r = worker_timer_new(worker_loop(p->v->worker), port_look_again, p, &p->again);
	if (r >= 0 && p->kind != PORT_FILE && p->client >= 0)
		r = port_poll_new(p, p->client, &p->poll);
	if (r < 0)
		return r;
	if (p->client < 0)
		port_listen(p);
	p->watched = 0;
	port_watch(p);
	return 0;
}

void port_stop(struct port *p)
{
	port_unpoll(&p->listener);
	port_unpoll(&p->poll);
	worker_timer_free(TAKE_PTR(p->again));
}

void port_reset(struct port *p)
{
	p->guest_open = p->rx_empty = p->tx_held = false;
	p->tx_done = 0;
}

void port_init(struct port *p)
{
	p->client = p->kind == PORT_SOCKET ? -1 : p->fd;
}

void port_fini(struct port *p)
{
	if (p->kind == PORT_SOCKET && p->client >= 0)
		close(p->client);
	if (p->fd >= 0)
		close(p->fd);
	if (p->hold >= 0)
		close(p->hold);
}
