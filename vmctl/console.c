// SPDX-License-Identifier: MIT
/*
 * A console stream on a terminal: see console.h. libuv makes every descriptor that it polls non-blocking,
 * for everybody who shares it; standard input is therefore opened anew where that is possible. Files
 * cannot be polled at all: they are read whenever the guest takes bytes.
 */
#include "vmctl/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/fdio.h"

#define CONSOLE_CHUNK 4096
#define CONSOLE_READS_MAX 16 /* in one turn of the loop, so that the keyboard gets its own */

static const int console_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCONT };

struct console {
	const struct console_io *io;
	int fd, in; /* owned; in: -1 when nothing is sent */
	int in_flags;
	uv_poll_t stream, input;
	uv_signal_t signals[ARRAY_SIZE(console_signals)];
	unsigned int nhandles; /* not closed yet */
	bool in_polled, in_open, raw;
	struct termios cooked;
	char pending[CONSOLE_CHUNK];
	size_t off, len; /* of pending: what the guest has not taken */
	bool done;
	enum console_end end;
	int signum;
};

static void console_finish(struct console *c, enum console_end end)
{
	if (!c->done)
		c->end = end;
	c->done = true;
}

static int console_raw(struct console *c)
{
	struct termios raw = c->cooked;

	cfmakeraw(&raw);
	return tcsetattr(c->io->in, TCSADRAIN, &raw);
}

/* Standard output may be non-blocking, when it shares the terminal with an input that we could not reopen. */
static bool console_write(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);
		struct pollfd p = { .fd = fd, .events = POLLOUT };

		if (n < 0 && errno == EAGAIN)
			poll(&p, 1, -1);
		else if (n < 0 && errno != EINTR)
			return false;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return true;
}

static void console_receive(struct console *c)
{
	char data[16384];

	for (int i = 0; i < CONSOLE_READS_MAX && !c->done; i++) {
		ssize_t n = recv(c->fd, data, sizeof(data), MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0)
			console_finish(c, CONSOLE_CLOSED);
		else if (!console_write(c->io->out, data, (size_t)n))
			console_finish(c, CONSOLE_OUTPUT);
	}
}

/* Fill pending from the input; the escape ends the session behind what was typed before it. */
static void console_type(struct console *c)
{
	ssize_t n = read(c->in, c->pending, sizeof(c->pending));
	const char *escape;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		c->in_open = false;
		if (c->io->terminal)
			console_finish(c, CONSOLE_DETACHED);
		return;
	}
	c->off = 0;
	c->len = (size_t)n;
	escape = c->io->terminal ? memchr(c->pending, CONSOLE_ESCAPE, c->len) : NULL;
	if (escape) {
		c->len = (size_t)(escape - c->pending);
		console_finish(c, CONSOLE_DETACHED);
	}
}

static void console_send(struct console *c)
{
	if (c->off == c->len && c->in_open && !c->in_polled)
		console_type(c);
	while (c->off < c->len) {
		ssize_t n = send(c->fd, c->pending + c->off, c->len - c->off,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0 && errno != EINTR) {
			/* nobody reads any more; what the guest said last may still be on its way */
			c->in_open = false;
			c->off = c->len;
		}
		if (n > 0)
			c->off += (size_t)n;
	}
}

static void console_stream_event(uv_poll_t *poll, int status, int events);
static void console_input_event(uv_poll_t *poll, int status, int events);

static void console_watch(struct console *c)
{
	bool more = c->off < c->len;

	uv_poll_start(&c->stream,
		      UV_READABLE | (more || (c->in_open && !c->in_polled) ? UV_WRITABLE : 0),
		      console_stream_event);
	if (!c->in_polled)
		return;
	if (c->in_open && !more)
		uv_poll_start(&c->input, UV_READABLE, console_input_event);
	else
		uv_poll_stop(&c->input);
}

static void console_stream_event(uv_poll_t *poll, int status, int events)
{
	struct console *c = container_of(poll, struct console, stream);

	if (status < 0 || (events & UV_READABLE))
		console_receive(c);
	if (!c->done && (events & UV_WRITABLE))
		console_send(c);
	console_watch(c);
}

static void console_input_event(uv_poll_t *poll, int status, int events)
{
	struct console *c = container_of(poll, struct console, input);

	(void)status, (void)events;
	console_type(c);
	console_send(c);
	console_watch(c);
}

static void console_signal(uv_signal_t *handle, int signum)
{
	struct console *c = handle->data;

	if (signum == SIGCONT) {
		/* the shell has put its own mode in place meanwhile */
		if (c->raw)
			console_raw(c);
		return;
	}
	c->signum = signum;
	console_finish(c, CONSOLE_SIGNAL);
}

static void console_closed(uv_handle_t *handle)
{
	struct console *c = handle->data;

	c->nhandles--;
}

/* An own description of the same terminal or pipe, so that nobody else's becomes non-blocking. */
static int console_reopen(int fd)
{
	char path[32];
	int own;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	return own >= 0 ? own : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static void console_add(struct console *c, void *handle)
{
	((uv_handle_t *)handle)->data = c;
	c->nhandles++;
}

static int console_begin_input(struct console *c, uv_loop_t *loop, struct err *e)
{
	uv_handle_type type = uv_guess_handle(c->io->in);

	if (!c->io->send)
		return 0;
	c->in_polled = type == UV_TTY || type == UV_NAMED_PIPE || type == UV_TCP;
	/* a file shares its position, a socket cannot be reopened: only dup */
	c->in = c->in_polled && type != UV_TCP ? console_reopen(c->io->in)
					       : fcntl(c->io->in, F_DUPFD_CLOEXEC, 3);
	if (c->in < 0)
		return err_errno(e, "cannot read standard input");
	c->in_open = true;
	if (c->in_polled) {
		int ret = uv_poll_init(loop, &c->input, c->in);

		if (ret < 0)
			return err_ret(e, ret, "cannot watch standard input");
		console_add(c, &c->input);
	}
	if (!c->io->terminal)
		return 0;
	if (tcgetattr(c->io->in, &c->cooked) < 0 || console_raw(c) < 0)
		return err_errno(e, "cannot set the terminal up");
	c->raw = true;
	return 0;
}

static int console_begin(struct console *c, uv_loop_t *loop, struct err *e)
{
	int ret = uv_poll_init(loop, &c->stream, c->fd);

	if (ret < 0)
		return err_ret(e, ret, "cannot watch the console");
	console_add(c, &c->stream);
	/* raw or not: a mode that is set must be put back, so that nothing may kill us before */
	for (size_t i = 0; c->io->terminal && i < ARRAY_SIZE(console_signals); i++) {
		uv_signal_init(loop, &c->signals[i]);
		console_add(c, &c->signals[i]);
		uv_signal_start(&c->signals[i], console_signal, console_signals[i]);
	}
	return console_begin_input(c, loop, e);
}

static void console_stop(struct console *c, uv_loop_t *loop)
{
	if (c->raw)
		tcsetattr(c->io->in, TCSADRAIN, &c->cooked);
	if (c->stream.data)
		uv_close((uv_handle_t *)&c->stream, console_closed);
	if (c->input.data)
		uv_close((uv_handle_t *)&c->input, console_closed);
	for (size_t i = 0; i < ARRAY_SIZE(c->signals); i++)
		if (c->signals[i].data)
			uv_close((uv_handle_t *)&c->signals[i], console_closed);
	while (c->nhandles)
		uv_run(loop, UV_RUN_NOWAIT);
	if (c->in >= 0)
		close(c->in);
	if (c->io->send)
		fcntl(c->io->in, F_SETFL, c->in_flags);
	close(c->fd);
}

int console_run(uv_loop_t *loop, int take_fd, const struct console_io *io,
		enum console_end *ret_end, int *ret_signal, struct err *e)
{
	struct console c = { .io = io, .fd = take_fd, .in = -1 };
	struct sigaction ignore = { .sa_handler = SIG_IGN }, old;
	int ret;

	/* a closed standard output must not leave the terminal raw */
	sigaction(SIGPIPE, &ignore, &old);
	c.in_flags = fcntl(io->in, F_GETFL);
	ret = console_begin(&c, loop, e);
	if (ret >= 0) {
		console_watch(&c);
		while (!c.done)
			uv_run(loop, UV_RUN_ONCE);
		*ret_end = c.end;
		*ret_signal = c.signum;
	}
	console_stop(&c, loop);
	sigaction(SIGPIPE, &old, NULL);
	return ret < 0 ? ret : 0;
}
