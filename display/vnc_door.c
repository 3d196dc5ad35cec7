// SPDX-License-Identifier: MIT
/*
 * Viewers that come, and their bytes on the way to the library. See vnc.h. libvncserver waits for what is missing of a message, and
 * nobody is served meanwhile. So it gets a viewer when it is known how that one speaks, and is called when a message is whole in
 * the viewer's socket (display/gate.h): until then the bytes stay there.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "display/bridge.h"
#include "display/gate.h"
#include "display/vnc_impl.h"
#include "display/ws.h"
#include "lib/auto.h"
#include "lib/fdio.h"

#define DOOR_FIRST_MS 100   /* a browser speaks first; who says nothing so long waits for us to */
#define DOOR_LOGIN_MS 30000 /* from then to the first request */
#define DOOR_NEW_MAX 16	    /* viewers that have not logged in */
#define DOOR_TURN 64	    /* messages of one, before others have their turn */
#define DOOR_BUF \
	212992 /* of a socket, so that a part of the picture fits (vnc.c): TCP begins with less */

void vnc_door_end(struct vnc_viewer *w)
{
	if (w->client)
		rfbCloseClient(w->client);
	else if (w->fd >= 0)
		close(TAKE_FD(w->fd));
}

bool vnc_door_ended(const struct vnc_viewer *w)
{
	return w->client ? w->client->sock == RFB_INVALID_SOCKET : w->fd < 0;
}

bool vnc_door_room(struct vnc_viewer *w)
{
	struct pollfd p = { .fd = w->client->sock, .events = POLLOUT };

	if (poll(&p, 1, 0) != 0)
		return true;
	if (!w->waits)
		edge_again(w->vnc->edge, w->client->sock, w, true);
	w->waits = true;
	return false;
}

/* --- who comes ---------------------------------------------------------------------------------------------- */

/*
 * The library's client of a socket. It waits for what a new one may say first, in case that is WebSocket, which it is not here: so
 * it meets a socket where somebody has said RFB, and whose place the viewer's then takes.
 */
static rfbClientPtr door_client(struct vnc *v, int take_fd)
{
	char version[sz_rfbProtocolVersionMsg];
	AUTO_CLOSE int fd = take_fd;
	AUTO_CLOSE int other = -1;
	rfbClientPtr client;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return NULL;
	other = pair[1];
	if (write(other, "RFB ", 4) != 4) {
		close(pair[0]);
		return NULL;
	}
	client = rfbNewClient(v->rfb, pair[0]); /* it closes it when it fails */
	if (!client)
		return NULL;
	if (read(other, version, sizeof(version)) == sizeof(version) &&
	    dup3(fd, client->sock, O_CLOEXEC) >= 0 &&
	    fdio_send(client->sock, version, sizeof(version), NULL, 0) == sizeof(version))
		return client;
	rfbCloseClient(client);
	rfbClientConnectionGone(client);
	return NULL;
}

static void door_late(uv_timer_t *timer);

/* Now it is a viewer like any other. 1, or -errno */
static int door_greet(struct vnc_viewer *w)
{
	edge_remove(w->vnc->edge, w->fd); /* the same socket gets another number */
	w->client = door_client(w->vnc, TAKE_FD(w->fd));
	if (!w->client)
		return -ECONNRESET;
	w->client->clientData = w;
	uv_timer_start(&w->timer, door_late, DOOR_LOGIN_MS, 0);
	return edge_add(w->vnc->edge, w->client->sock, w) < 0 ? -ECONNRESET : 1;
}

/* It came, and then did nothing: its place is for others. */
static void door_late(uv_timer_t *timer)
{
	struct vnc_viewer *w = timer->data;
	bool silent = !w->client && !w->browser;

	if (!silent || door_greet(w) < 0)
		vnc_door_end(w);
	vnc_updates(w->vnc);
}

/* Bytes that are there, and stay. 0: none now; -errno: it is gone */
static ssize_t door_peek(const struct vnc_viewer *w, void *to, size_t size)
{
	int fd = w->client ? w->client->sock : w->fd;
	ssize_t n = recv(fd, to, size, MSG_PEEK | MSG_DONTWAIT);

	if (n > 0)
		return n;
	return n < 0 && errno == EAGAIN ? 0 : -ECONNRESET;
}

/*
 * Bytes that a socket takes when poll(2) says that it has room: of a unix socket's buffer three quarters; of TCP's a third, but
 * the kernel counts more than the bytes, up to twice as much again.
 */
static size_t door_buffer(int fd)
{
	int one = 1, size = DOOR_BUF;
	socklen_t len = sizeof(size);
	bool tcp = !setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &len) < 0)
		return 0; /* a row at a time */
	return (size_t)size / (tcp ? 8 : 4);
}

static int door_bridge(struct vnc_viewer *w, size_t request, const char *answer)
{
	ssize_t size = (ssize_t)strlen(answer);
	char text[WS_REQUEST_MAX];

	if (recv(w->fd, text, request, MSG_DONTWAIT) != (ssize_t)request ||
	    fdio_send(w->fd, answer, (size_t)size, NULL, 0) != size)
		return -ECONNRESET;
	edge_remove(w->vnc->edge, w->fd);
	w->fd = bridge_new(w->vnc->o.loop, TAKE_FD(w->fd));
	if (w->fd < 0)
		return -ECONNRESET;
	w->room = door_buffer(w->fd);
	return door_greet(w);
}

/* What it says first. 1: go on; 0: more of it is to come; -errno */
static int door_first(struct vnc_viewer *w)
{
	char text[WS_REQUEST_MAX], answer[WS_ANSWER_MAX];
	ssize_t n = door_peek(w, text, sizeof(text));

	if (n <= 0)
		return (int)n;
	if (text[0] != 'G')
		return door_greet(w);
	if (!w->browser)
		uv_timer_start(&w->timer, door_late, DOOR_LOGIN_MS, 0);
	w->browser = true;
	n = ws_request(text, (size_t)n, answer);
	return n > 0 ? door_bridge(w, (size_t)n, answer) : (int)n;
}

/* --- what they say ------------------------------------------------------------------------------------------- */

static enum gate_step door_step(const struct vnc_viewer *w)
{
	switch (w->client->state) {
	case RFB_PROTOCOL_VERSION:
		return GATE_VERSION;
	case RFB_SECURITY_TYPE:
		return GATE_SECURITY;
	case RFB_AUTHENTICATION:
		return GATE_RESPONSE;
	case RFB_INITIALISATION:
		return GATE_INIT;
	default:
		return GATE_NORMAL;
	}
}

static int door_skip(struct vnc_viewer *w)
{
	char bytes[GATE_MAX];
	ssize_t n = recv(w->client->sock, bytes, (size_t)MIN(w->skip, sizeof(bytes)), MSG_DONTWAIT);

	if (n <= 0)
		return n < 0 && errno == EAGAIN ? 0 : -ECONNRESET;
	w->skip -= (uint64_t)n;
	return 1;
}

/* The next message. 1: go on; 0: more of it is to come, or room for an answer; -errno */
static int door_message(struct vnc_viewer *w)
{
	uint8_t bytes[GATE_MAX];
	struct gate g;
	ssize_t n;

	if (w->skip)
		return door_skip(w);
	n = door_peek(w, bytes, sizeof(bytes));
	if (n <= 0)
		return (int)n;
	g = gate_look(door_step(w), bytes, (size_t)n);
	if (g.what == GATE_BAD)
		return -EPROTO;
	if (g.what == GATE_WAIT)
		return 0;
	if (g.what == GATE_SKIP) {
		w->skip = g.size;
		return 1;
	}
	if (g.answers && !vnc_door_room(w))
		return 0;
	rfbProcessClientMessage(w->client);
	return 1;
}

static void door_read(struct vnc_viewer *w)
{
	int r = 1;

	for (unsigned int i = 0; i < DOOR_TURN && r > 0 && !vnc_door_ended(w); i++)
		r = w->client ? door_message(w) : door_first(w);
	if (r < 0 || (!r && w->hung && !w->waits))
		vnc_door_end(w);
	if (r > 0 && !vnc_door_ended(w))
		edge_again(w->vnc->edge, w->client ? w->client->sock : w->fd, w, w->waits);
}

static void door_event(void *what, uint32_t events)
{
	struct vnc_viewer *w = what;

	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		w->hung = true;
	if (events & EPOLLOUT && w->waits) {
		w->waits = false;
		edge_again(w->vnc->edge, w->client->sock, w, false);
	}
	door_read(w);
	vnc_updates(w->vnc);
}

/* --- the listening socket ------------------------------------------------------------------------------------ */

/* Who has waited longest makes room: whoever comes is heard, however many say nothing. */
static void door_make_room(struct vnc *v)
{
	struct vnc_viewer *oldest = NULL;
	unsigned int n = 0;

	for (struct vnc_viewer *w = v->viewers; w; w = w->next)
		if (!w->in) {
			oldest = w;
			n++;
		}
	if (n < DOOR_NEW_MAX)
		return;
	vnc_door_end(oldest);
	vnc_updates(v);
}

static int door_welcome(struct vnc *v, int take_fd)
{
	struct vnc_viewer *w = calloc(1, sizeof(*w));

	if (!w || edge_add(v->edge, take_fd, w) < 0) {
		free(w);
		close(take_fd);
		return -ENOMEM;
	}
	w->room = door_buffer(take_fd);
	w->fd = take_fd;
	w->vnc = v;
	w->next = v->viewers;
	v->viewers = w;
	uv_timer_init(v->o.loop, &w->timer);
	w->timer.data = w;
	uv_timer_start(&w->timer, door_late, DOOR_FIRST_MS, 0);
	return 0;
}

static void door_listen(uv_poll_t *poll, int status, int events)
{
	struct vnc *v = poll->data;
	int fd;

	(void)events;
	if (status < 0)
		return;
	fd = accept4(v->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	door_make_room(v);
	if (door_welcome(v, fd) < 0)
		log_warn(v->o.log, "a viewer is sent away: no memory");
}

int vnc_door_open(struct vnc *v, struct err *e)
{
	int r = edge_new(v->o.loop, door_event, &v->edge);

	if (r >= 0)
		r = uv_poll_init(v->o.loop, &v->listen, v->listen_fd);
	if (r < 0)
		return err_ret(e, r, "VNC");
	v->listen.data = v;
	uv_poll_start(&v->listen, UV_READABLE, door_listen);
	return 0;
}

void vnc_door_close(struct vnc *v)
{
	for (struct vnc_viewer *w = v->viewers; w; w = w->next)
		vnc_door_end(w);
	vnc_updates(v);
	edge_free(v->edge);
	close(TAKE_FD(v->listen_fd));
}
