// SPDX-License-Identifier: MIT
/*
 * The reader that vmd's log of a console is: see console.h. Messages and not a stream, so that each says
 * where it belongs: vmd may come late, fall behind or begin anew, and still log no byte twice. On the
 * control loop.
 */
#include "vmm/console_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/fdio.h"

struct console_log {
	struct console *console;
	uv_poll_t poll;
	int fd; /* owned */
	uint64_t pos;
	bool want_write;
};

static void console_log_closed(uv_handle_t *h)
{
	struct console_log *l = h->data;

	close(l->fd);
	free(l);
}

static void console_log_detach(struct console_log *l)
{
	l->console->log = NULL;
	console_count_clients(l->console);
	uv_close((uv_handle_t *)&l->poll, console_log_closed);
}

/* 1: all is sent; 0: it would block; -errno: vmd is gone */
static int console_log_send(struct console_log *l)
{
	struct console_log_msg msg;
	const size_t head = offsetof(struct console_log_msg, data);
	uint64_t lost;

	for (;;) {
		size_t n = console_copy(l->console, &l->pos, msg.data, sizeof(msg.data), &lost);

		if (!n)
			return 1;
		msg.offset = l->pos;
		if (write(l->fd, &msg, head + n) >= 0)
			l->pos += n;
		else if (errno != EINTR)
			return errno == EAGAIN ? 0 : -errno;
	}
}

static void console_log_cb(uv_poll_t *p, int status, int events);

static void console_log_serve(struct console_log *l)
{
	int r = console_log_send(l);

	if (r < 0) {
		console_log_detach(l);
		return;
	}
	l->want_write = !r;
	/* nothing comes from there but its end */
	uv_poll_start(&l->poll, UV_READABLE | (r ? 0 : UV_WRITABLE), console_log_cb);
}

static void console_log_cb(uv_poll_t *p, int status, int events)
{
	struct console_log *l = p->data;
	char drop[64];
	ssize_t n = 1;

	if (status >= 0 && (events & UV_READABLE))
		n = read(l->fd, drop, sizeof(drop));
	if (status < 0 || !n || (n < 0 && errno != EAGAIN && errno != EINTR))
		console_log_detach(l);
	else if (events & UV_WRITABLE)
		console_log_serve(l);
}

void console_log_flush(struct console *c)
{
	if (c->log && !c->log->want_write)
		console_log_serve(c->log);
}

void console_log_end(struct console *c, int timeout_ms)
{
	struct console_log *l = c->log;

	if (!l)
		return;
	for (int64_t end = console_now_ms() + timeout_ms; !console_log_send(l);) {
		struct pollfd p = { .fd = l->fd, .events = POLLOUT };
		int64_t left = end - console_now_ms();

		if (left <= 0 || poll(&p, 1, (int)left) <= 0)
			break;
	}
	console_log_detach(l);
}

void console_save(struct console *c, int fd)
{
	struct console_tail tail = { 0 };
	char data[CONSOLE_LOG_CHUNK];
	uint64_t pos = 0, lost, end;

	/* what the guest said last may not have been sent yet; what a log that is slow has no room for waits in the file */
	if (c->log && console_log_send(c->log) == 1)
		return;
	console_copy(c, &pos, data, 0, &lost); /* where the ring begins */
	pthread_mutex_lock(&c->lock);
	end = c->total;
	pthread_mutex_unlock(&c->lock);
	snprintf(tail.console, sizeof(tail.console), "%s", c->id);
	tail.offset = pos;
	tail.len = end - pos;
	if (fdio_write(fd, &tail, sizeof(tail)) < 0)
		return;
	while (pos < end) {
		size_t n =
			console_copy(c, &pos, data, MIN(sizeof(data), (size_t)(end - pos)), &lost);

		if (fdio_write(fd, data, n) < 0)
			return;
		pos += n;
	}
}

/* Escape sequences are left out, as a terminal would; CR and other controls too. */
static size_t console_printable(char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == 0x1b) {
			if (i + 1 < len && text[i + 1] == '[')
				for (i += 2; i < len && !(text[i] >= '@' && text[i] <= '~');)
					i++;
			continue;
		}
		if (c == '\n' || c == '\t' || (c >= ' ' && c != 0x7f))
			text[n++] = (char)(c >= 0x80 ? '?' : c == '\t' ? ' ' : c);
	}
	return n;
}

void console_tail_text(struct console *c, unsigned int lines, char *out, size_t size)
{
	uint64_t pos, lost;
	size_t n, begin;

	pthread_mutex_lock(&c->lock);
	pos = c->total - MIN(c->total, (uint64_t)size - 1);
	pthread_mutex_unlock(&c->lock);
	n = console_printable(out, console_copy(c, &pos, out, size - 1, &lost));
	while (n && out[n - 1] == '\n')
		n--;
	for (begin = n; begin > 0; begin--)
		if (out[begin - 1] == '\n' && !--lines)
			break;
	memmove(out, out + begin, n - begin);
	out[n - begin] = '\0';
}

int console_attach_log(struct console *c, int take_fd, struct err *e)
{
	AUTO_CLOSE int fd = take_fd;
	struct console_log *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return err_ret(e, -ENOMEM, "console '%s'", c->id);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	r = uv_poll_init(c->loop, &l->poll, fd);
	if (r < 0) {
		free(l);
		return err_ret(e, r, "console '%s'", c->id);
	}
	l->console = c;
	l->poll.data = l;
	l->fd = TAKE_FD(fd);
	if (c->log)
		console_log_detach(c->log);
	c->log = l;
	console_count_clients(c);
	console_log_serve(l);
	return 0;
}
