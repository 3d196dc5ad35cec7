// SPDX-License-Identifier: MIT
/* See bridge.h. Each way has one buffer: nothing is read into it before all that it has is sent. */
#include "display/bridge.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "display/ws.h"
#include "lib/auto.h"
#include "lib/fdio.h"
#include "lib/util.h"

#define BRIDGE_BUF 16384

enum bridge_end { BRIDGE_VIEWER, BRIDGE_PLAIN, BRIDGE_ENDS };

struct bridge_way {
	uint8_t buf[WS_HEAD_MAX + BRIDGE_BUF];
	size_t at, end;
};

struct bridge {
	int fds[BRIDGE_ENDS]; /* owned; -1: it is over */
	uv_poll_t polls[BRIDGE_ENDS];
	unsigned int handles;
	struct ws_in in;
	struct bridge_way ways[BRIDGE_ENDS]; /* by where they come from */
};

static void bridge_closed(uv_handle_t *h)
{
	struct bridge *b = h->data;

	if (!--b->handles)
		free(b);
}

static void bridge_end(struct bridge *b)
{
	for (unsigned int i = 0; i < BRIDGE_ENDS; i++) {
		uv_close((uv_handle_t *)&b->polls[i], bridge_closed);
		close(TAKE_FD(b->fds[i]));
	}
}

/* Reads more of a way that has nothing left. 0: there is nothing now; -errno: it is over */
static ssize_t bridge_fill(struct bridge *b, enum bridge_end from)
{
	struct bridge_way *way = &b->ways[from];
	uint8_t *data = way->buf + WS_HEAD_MAX, head[WS_HEAD_MAX];
	ssize_t n = read(b->fds[from], data, BRIDGE_BUF);
	size_t size;

	if (n <= 0)
		return n < 0 && errno == EAGAIN ? 0 : -ECONNRESET;
	way->at = WS_HEAD_MAX;
	way->end = WS_HEAD_MAX + (size_t)n;
	if (from == BRIDGE_VIEWER) {
		n = ws_decode(&b->in, data, (size_t)n);
		way->end = WS_HEAD_MAX + (size_t)MAX(n, 0);
		return n;
	}
	size = ws_head(head, (size_t)n);
	way->at -= size;
	for (size_t i = 0; i < size; i++)
		way->buf[way->at + i] = head[i];
	return n;
}

static int bridge_send(struct bridge *b, enum bridge_end from)
{
	struct bridge_way *way = &b->ways[from];
	ssize_t n = fdio_send(b->fds[!from], way->buf + way->at, way->end - way->at, NULL, 0);

	if (n < 0)
		return n == -EAGAIN ? 0 : (int)n;
	way->at += (size_t)n;
	return 0;
}

static void bridge_event(uv_poll_t *poll, int status, int events);

static void bridge_wait(struct bridge *b)
{
	for (unsigned int i = 0; i < BRIDGE_ENDS; i++) {
		bool full = b->ways[i].at < b->ways[i].end, due = b->ways[!i].at < b->ways[!i].end;

		/* an end from which nothing is read now, and to which nothing is to go, may be gone unseen for a while */
		uv_poll_start(&b->polls[i], (full ? 0 : UV_READABLE) | (due ? UV_WRITABLE : 0),
			      bridge_event);
	}
}

static void bridge_event(uv_poll_t *poll, int status, int events)
{
	struct bridge *b = poll->data;
	ssize_t r = status;

	(void)events;
	for (unsigned int i = 0; i < BRIDGE_ENDS && r >= 0; i++) {
		struct bridge_way *way = &b->ways[i];

		if (way->at == way->end)
			r = bridge_fill(b, i);
		if (r >= 0 && way->at < way->end)
			r = bridge_send(b, i);
	}
	if (r < 0)
		bridge_end(b);
	else
		bridge_wait(b);
}

static int bridge_poll(struct bridge *b, uv_loop_t *loop)
{
	for (unsigned int i = 0; i < BRIDGE_ENDS; i++) {
		int r = uv_poll_init(loop, &b->polls[i], b->fds[i]);

		if (r < 0)
			return r;
		b->polls[i].data = b;
		b->handles++;
	}
	return 0;
}

int bridge_new(uv_loop_t *loop, int take_fd)
{
	struct bridge *b = calloc(1, sizeof(*b));
	AUTO_CLOSE int fd = take_fd;
	int pair[2], r;

	if (!b || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0) {
		r = b ? -errno : -ENOMEM;
		free(b);
		return r;
	}
	b->fds[BRIDGE_VIEWER] = TAKE_FD(fd);
	b->fds[BRIDGE_PLAIN] = pair[0];
	r = bridge_poll(b, loop);
	if (r >= 0) {
		bridge_wait(b);
		return pair[1];
	}
	close(pair[0]);
	close(pair[1]);
	close(b->fds[BRIDGE_VIEWER]);
	if (b->handles)
		uv_close((uv_handle_t *)&b->polls[0], bridge_closed);
	else
		free(b);
	return r;
}
