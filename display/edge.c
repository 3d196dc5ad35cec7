// SPDX-License-Identifier: MIT
/* See edge.h. An epoll(7) descriptor is one that can be waited for, by libuv here. */
#include "display/edge.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EDGE_TURN 64 /* events, before the loop looks at others */

struct edge {
	int fd; /* owned */
	edge_cb cb;
	uv_poll_t poll;
};

static void edge_closed(uv_handle_t *h)
{
	struct edge *e = h->data;

	close(e->fd);
	free(e);
}

static void edge_ready(uv_poll_t *poll, int status, int events)
{
	struct edge *e = poll->data;
	struct epoll_event ev;

	(void)events;
	/* one at a time: what is removed is not among those that were taken out */
	for (unsigned int i = 0; status >= 0 && i < EDGE_TURN; i++) {
		if (uv_is_closing((uv_handle_t *)poll) || epoll_wait(e->fd, &ev, 1, 0) <= 0)
			return;
		e->cb(ev.data.ptr, ev.events);
	}
}

int edge_new(uv_loop_t *loop, edge_cb cb, struct edge **ret)
{
	struct edge *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	e->cb = cb;
	e->fd = epoll_create1(EPOLL_CLOEXEC);
	r = e->fd < 0 ? -errno : uv_poll_init(loop, &e->poll, e->fd);
	if (r < 0) {
		if (e->fd >= 0)
			close(e->fd);
		free(e);
		return r;
	}
	e->poll.data = e;
	r = uv_poll_start(&e->poll, UV_READABLE, edge_ready);
	if (r < 0)
		edge_free(e);
	else
		*ret = e;
	return r;
}

void edge_free(struct edge *e)
{
	if (e)
		uv_close((uv_handle_t *)&e->poll, edge_closed);
}

static int edge_control(struct edge *e, int op, int fd, void *what, int room)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = what };

	if (room)
		ev.events |= EPOLLOUT;
	return epoll_ctl(e->fd, op, fd, &ev) < 0 ? -errno : 0;
}

int edge_add(struct edge *e, int fd, void *what)
{
	return edge_control(e, EPOLL_CTL_ADD, fd, what, 0);
}

void edge_remove(struct edge *e, int fd)
{
	edge_control(e, EPOLL_CTL_DEL, fd, NULL, 0);
}

void edge_again(struct edge *e, int fd, void *what, int room)
{
	edge_control(e, EPOLL_CTL_MOD, fd, what, room);
}
