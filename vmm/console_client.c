// SPDX-License-Identifier: MIT
/*
 * The clients of a console: see console.h. Each has its own place in the output; a slow one holds nobody
 * up. On the control loop.
 */
#include "vmm/console_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/auto.h"

#define CONSOLE_CHUNK 4096
#define CONSOLE_FEED_MAX 16 /* chunks of a file in one turn of the loop */
#define CONSOLE_ESCAPE 0x1d /* Ctrl-] */

static void console_read_cb(uv_poll_t *p, int status, int events);
static void console_write_cb(uv_poll_t *p, int status, int events);
static void console_flush_client(struct console_client *cl);

/* --- clients: the end ------------------------------------------------------------------------- */

static void console_restore(struct console_client *cl)
{
	if (cl->tty)
		tcsetattr(cl->fd, TCSANOW, &cl->old_tio);
	if (!cl->stdio)
		return;
	fcntl(cl->fd, F_SETFL, cl->old_flags);
	fcntl(cl->out_fd, F_SETFL, cl->old_out_flags);
}

static void console_client_free(struct console_client *cl)
{
	if (!cl->stdio) {
		close(cl->fd);
		if (cl->out_fd != cl->fd)
			close(cl->out_fd);
	}
	free(cl);
}

static void console_client_closed(uv_handle_t *h)
{
	struct console_client *cl = h->data;

	if (!--cl->handles)
		console_client_free(cl);
}

void console_detach(struct console_client *cl)
{
	struct console *c = cl->console;

	for (unsigned int i = 0; i < CONSOLE_CLIENTS_MAX; i++)
		if (c->clients[i] == cl)
			c->clients[i] = NULL;
	console_count_clients(c);
	cl->closing = true;
	console_restore(cl);
	if (cl->pollable)
		uv_close((uv_handle_t *)&cl->poll, console_client_closed);
	if (cl->out_pollable && cl->out_fd != cl->fd)
		uv_close((uv_handle_t *)&cl->out_poll, console_client_closed);
	if (!cl->handles)
		console_client_free(cl);
}

/* --- clients: polling -------------------------------------------------------------------------- */

static bool console_may_read(struct console_client *cl)
{
	struct console *c = cl->console;
	bool room;

	if (cl->eof)
		return false;
	if (!cl->writer)
		return true; /* to see it go; what it types is dropped */
	pthread_mutex_lock(&c->lock);
	room = c->in_len < CONSOLE_INPUT_SIZE;
	c->input_blocked |= !room;
	pthread_mutex_unlock(&c->lock);
	return room;
}

/* Tell libuv what this client waits for. */
static void console_poll(struct console_client *cl)
{
	bool shared = cl->out_fd == cl->fd;
	int in = console_may_read(cl) ? UV_READABLE : 0;
	int out = cl->want_write ? UV_WRITABLE : 0;

	if (cl->pollable) {
		int events = in | (shared ? out : 0);

		if (events)
			uv_poll_start(&cl->poll, events, console_read_cb);
		else
			uv_poll_stop(&cl->poll);
	}
	if (shared || !cl->out_pollable)
		return;
	if (out)
		uv_poll_start(&cl->out_poll, out, console_write_cb);
	else
		uv_poll_stop(&cl->out_poll);
}

/* --- input ------------------------------------------------------------------------------------- */

static void console_tell_guest(struct console *c)
{
	if (!c->guest || !c->guest->input_ready)
		return;
	if (c->door)
		pthread_mutex_lock(c->door);
	c->guest->input_ready(c->guest_arg);
	if (c->door)
		pthread_mutex_unlock(c->door);
}

static void console_input(struct console *c, const char *data, size_t len)
{
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < len && c->in_len < CONSOLE_INPUT_SIZE; i++)
		c->input[(c->in_start + c->in_len++) % CONSOLE_INPUT_SIZE] = data[i];
	pthread_mutex_unlock(&c->lock);
	console_tell_guest(c);
}

static size_t console_room(struct console *c)
{
	size_t room;

	pthread_mutex_lock(&c->lock);
	room = CONSOLE_INPUT_SIZE - c->in_len;
	pthread_mutex_unlock(&c->lock);
	return room;
}

/* Its input has ended: a socket whose peer is gone ends the client, else it stays as a reader. */
static void console_eof(struct console_client *cl)
{
	struct pollfd p = { .fd = cl->fd };

	cl->eof = true;
	cl->writer = false;
	if (!cl->stdio && poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR)))
		console_detach(cl);
	else
		console_poll(cl);
}

/* One read. False when the client is gone or has nothing more for now. */
static bool console_read_once(struct console_client *cl)
{
	char data[CONSOLE_CHUNK];
	size_t room = cl->writer ? console_room(cl->console) : sizeof(data);
	ssize_t n;
	char *esc;

	if (!room)
		return false;
	n = read(cl->fd, data, MIN(sizeof(data), room));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		console_eof(cl);
		return false;
	}
	esc = cl->tty ? memchr(data, CONSOLE_ESCAPE, (size_t)n) : NULL;
	if (esc)
		n = esc - data;
	if (cl->writer && n)
		console_input(cl->console, data, (size_t)n);
	if (esc)
		cl->escape(cl->escape_arg);
	return !esc;
}

static void console_read_cb(uv_poll_t *p, int status, int events)
{
	struct console_client *cl = p->data;

	if (status < 0) {
		console_detach(cl);
		return;
	}
	if ((events & UV_READABLE) && !console_read_once(cl)) {
		if (cl->closing || cl->eof)
			return;
	}
	if (events & UV_WRITABLE) {
		console_flush_client(cl);
		return; /* it may be gone */
	}
	console_poll(cl);
}

static void console_write_cb(uv_poll_t *p, int status, int events)
{
	struct console_client *cl = p->data;

	(void)events;
	if (status < 0)
		console_detach(cl);
	else
		console_flush_client(cl);
}

/* --- output ------------------------------------------------------------------------------------ */

/* The next bytes for this client, and what to say about those that it missed. */
static size_t console_next(struct console_client *cl, char *out, size_t max)
{
	uint64_t lost;
	size_t n = console_copy(cl->console, &cl->pos, out, max, &lost);

	if (lost)
		cl->notice_len = (unsigned int)snprintf(cl->notice, sizeof(cl->notice),
							"\r\n[%llu bytes lost]\r\n",
							(unsigned long long)lost);
	return n;
}

/* 1: all is written; 0: it would block; -errno: it is gone */
int console_send(struct console_client *cl)
{
	char data[CONSOLE_CHUNK];

	for (;;) {
		size_t n = console_next(cl, data, sizeof(data));
		const char *from = cl->notice_len ? cl->notice : data;
		ssize_t done;

		if (cl->notice_len)
			n = cl->notice_len;
		if (!n)
			return 1;
		done = write(cl->out_fd, from, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (!cl->notice_len) {
			cl->pos += (uint64_t)done;
			continue;
		}
		cl->notice_len -= (unsigned int)done;
		memmove(cl->notice, cl->notice + done, cl->notice_len);
	}
}

static void console_flush_client(struct console_client *cl)
{
	int r = console_send(cl);

	if (r < 0) {
		console_detach(cl);
		return;
	}
	cl->want_write = !r;
	console_poll(cl);
}

void console_flush(struct console *c)
{
	for (unsigned int i = 0; i < CONSOLE_CLIENTS_MAX; i++)
		if (c->clients[i] && !c->clients[i]->want_write)
			console_flush_client(c->clients[i]);
	console_log_flush(c);
}

/* Files that cannot be polled are always readable: feed the guest as it takes. */
static void console_feed_file(struct console_client *cl)
{
	for (unsigned int turn = 0; turn < CONSOLE_FEED_MAX; turn++)
		if (!console_may_read(cl) || !console_read_once(cl))
			return;
	/* there is more, but other work of the loop comes first */
	uv_async_send(&cl->console->wake);
}

void console_feed(struct console *c)
{
	for (unsigned int i = 0; i < CONSOLE_CLIENTS_MAX; i++) {
		struct console_client *cl = c->clients[i];

		if (cl && !cl->pollable)
			console_feed_file(cl);
		else if (cl)
			console_poll(cl);
	}
}

/* --- clients: the beginning ---------------------------------------------------------------------- */

static bool console_gone(const struct console_client *cl)
{
	struct pollfd p = { .fd = cl->out_fd };

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR | POLLNVAL));
}

/* A free place; half-closed clients that left without a word make room. */
static struct console_client **console_slot(struct console *c)
{
	for (unsigned int i = 0; i < CONSOLE_CLIENTS_MAX; i++)
		if (!c->clients[i])
			return &c->clients[i];
	for (unsigned int i = 0; i < CONSOLE_CLIENTS_MAX; i++) {
		if (!console_gone(c->clients[i]))
			continue;
		console_detach(c->clients[i]);
		return &c->clients[i];
	}
	return NULL;
}

static struct console_client *console_writer(struct console *c)
{
	for (unsigned int i = 0; i < CONSOLE_CLIENTS_MAX; i++)
		if (c->clients[i] && c->clients[i]->writer)
			return c->clients[i];
	return NULL;
}

static void console_poll_init(struct console_client *cl, uv_poll_t *p, int fd, bool *ret_pollable)
{
	/* -EPERM: a regular file or the like, which is always ready */
	*ret_pollable = !uv_poll_init(cl->console->loop, p, fd);
	p->data = cl;
	cl->handles += *ret_pollable;
}

/* From now on the client is served; nothing fails any more. */
static void console_join(struct console *c, struct console_client **slot, struct console_client *cl,
			 bool scrollback)
{
	cl->console = c;
	console_poll_init(cl, &cl->poll, cl->fd, &cl->pollable);
	if (cl->out_fd == cl->fd)
		cl->out_pollable = cl->pollable;
	else
		console_poll_init(cl, &cl->out_poll, cl->out_fd, &cl->out_pollable);
	*slot = cl;
	pthread_mutex_lock(&c->lock);
	cl->pos = c->total;
	if (scrollback)
		cl->pos -= MIN(c->total, (uint64_t)CONSOLE_RING_SIZE);
	c->has_clients = true;
	pthread_mutex_unlock(&c->lock);
	console_flush_client(cl);
	/* input of an unpollable file starts in the loop, not in here */
	uv_async_send(&c->wake);
}

static int console_claim_writer(struct console *c, enum console_mode mode, struct err *e)
{
	struct console_client *writer = console_writer(c);

	if (mode == CONSOLE_READ_ONLY || !writer)
		return 0;
	if (mode != CONSOLE_TAKE) {
		err_set(e, EBUSY, "console '%s' is in use by another client", c->id);
		err_hint(e, "take it over (--take), or only read");
		return -EBUSY;
	}
	writer->writer = false;
	console_poll(writer);
	return 0;
}

int console_attach(struct console *c, int take_fd, int take_out_fd, enum console_mode mode,
		   bool scrollback, struct err *e)
{
	AUTO_CLOSE int fd = take_fd, out_fd = take_out_fd;
	struct console_client **slot = console_slot(c);
	struct console_client *cl;
	int r;

	if (!slot)
		return err_set(e, EBUSY, "console '%s' has %d clients already", c->id,
			       CONSOLE_CLIENTS_MAX);
	r = console_claim_writer(c, mode, e);
	if (r < 0)
		return r;
	cl = calloc(1, sizeof(*cl));
	if (!cl)
		return err_ret(e, -ENOMEM, "console '%s'", c->id);
	cl->fd = TAKE_FD(fd);
	cl->out_fd = out_fd >= 0 ? TAKE_FD(out_fd) : cl->fd;
	cl->writer = mode != CONSOLE_READ_ONLY;
	fcntl(cl->fd, F_SETFL, fcntl(cl->fd, F_GETFL) | O_NONBLOCK);
	fcntl(cl->out_fd, F_SETFL, fcntl(cl->out_fd, F_GETFL) | O_NONBLOCK);
	console_join(c, slot, cl, scrollback);
	return 0;
}

static void console_make_raw(struct console_client *cl)
{
	struct termios raw;

	if (!isatty(cl->fd) || tcgetattr(cl->fd, &cl->old_tio))
		return;
	raw = cl->old_tio;
	cfmakeraw(&raw);
	cl->tty = !tcsetattr(cl->fd, TCSANOW, &raw);
}

int console_attach_stdio(struct console *c, int in_fd, int out_fd, void (*escape)(void *arg),
			 void *arg, struct err *e)
{
	struct console_client **slot = console_slot(c);
	struct console_client *cl = calloc(1, sizeof(*cl));

	if (!slot || !cl) {
		free(cl);
		return err_set(e, EBUSY, "console '%s': no room for another client", c->id);
	}
	cl->stdio = true;
	cl->fd = in_fd;
	cl->out_fd = out_fd;
	cl->escape = escape;
	cl->escape_arg = arg;
	cl->writer = true;
	cl->old_flags = fcntl(in_fd, F_GETFL);
	cl->old_out_flags = fcntl(out_fd, F_GETFL);
	if (cl->old_flags < 0 || cl->old_out_flags < 0) {
		free(cl);
		return err_errno(e, "standard input and output");
	}
	console_make_raw(cl);
	fcntl(in_fd, F_SETFL, cl->old_flags | O_NONBLOCK);
	fcntl(out_fd, F_SETFL, cl->old_out_flags | O_NONBLOCK);
	console_join(c, slot, cl, true);
	return 0;
}

unsigned int console_clients(struct console *c, bool *ret_writer)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < CONSOLE_CLIENTS_MAX; i++)
		n += c->clients[i] != NULL;
	*ret_writer = console_writer(c) != NULL;
	return n;
}
