// SPDX-License-Identifier: MIT
/*
 * NDJSON JSON-RPC connections with descriptors: see conn.h. uv_poll rather than uv_pipe, because
 * libuv passes only handles that it knows, and we pass files. On the loop's thread alone.
 */
#include "lib/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/rpc.h"

#define CONN_READ_SIZE 65536
#define CONN_STALE_MS 1000 /* for the end of a socket whose process has ended */
#define CONN_READS_MAX 16  /* reads in one turn of the loop, so that one peer cannot keep it */

struct conn_out {
	struct conn_out *next;
	char *data; /* owned */
	size_t len, off;
	struct fdset fds; /* sent with the first bytes */
	unsigned int fds_sent;
};

static void conn_event(uv_poll_t *poll, int status, int events);

static void conn_out_free(struct conn_out *o)
{
	fdset_fini(&o->fds);
	free(o->data);
	free(o);
}

static void conn_closed(struct conn *c)
{
	if (--c->handles)
		return;
	while (c->out_head) {
		struct conn_out *o = c->out_head;

		c->out_head = o->next;
		conn_out_free(o);
	}
	close(c->fd);
	c->fd = -1;
	buf_fini(&c->in);
	fdset_fini(&c->in_fds);
	c->ops->closed(c, c->failed ? &c->why : NULL);
}

static void conn_poll_closed(uv_handle_t *handle)
{
	conn_closed(container_of((uv_poll_t *)handle, struct conn, poll));
}

static void conn_timer_closed(uv_handle_t *handle)
{
	conn_closed(container_of((uv_timer_t *)handle, struct conn, write_timer));
}

void conn_close(struct conn *c)
{
	if (c->closing)
		return;
	c->closing = true;
	uv_close((uv_handle_t *)&c->poll, conn_poll_closed);
	uv_close((uv_handle_t *)&c->write_timer, conn_timer_closed);
}

static void conn_fail(struct conn *c, int ret, const char *what)
{
	if (c->closing)
		return;
	c->failed = true;
	err_ret(&c->why, ret, "%s", what);
	conn_close(c);
}

void conn_finish(struct conn *c)
{
	c->finishing = true;
	if (!c->out_head)
		conn_close(c);
}

static void conn_write_timeout(uv_timer_t *timer)
{
	conn_fail(container_of(timer, struct conn, write_timer), -ETIMEDOUT,
		  "the peer takes nothing");
}

/* The peer's time begins anew whenever it takes something. */
static void conn_time_writes(struct conn *c, bool progress)
{
	if (c->closing || !c->limits.write_ms)
		return;
	if (!c->out_head)
		uv_timer_stop(&c->write_timer);
	else if (progress || !uv_is_active((uv_handle_t *)&c->write_timer))
		uv_timer_start(&c->write_timer, conn_write_timeout, c->limits.write_ms, 0);
}

/*
 * The peer has hung up, but may have said why before: conn_event reads that, then ends the connection. Not
 * here: we may be inside of a message's handler.
 */
static void conn_break(struct conn *c)
{
	c->broken = true;
	uv_timer_stop(&c->write_timer);
	while (c->out_head) {
		struct conn_out *o = c->out_head;

		c->out_head = o->next;
		conn_out_free(o);
	}
	c->out_tail = NULL;
	c->out_bytes = 0;
}

/* Of descriptors, a call takes some: each lot goes with a byte of its own, the last with the rest of the message. */
static ssize_t conn_send_part(struct conn *c, struct conn_out *o)
{
	unsigned int left = o->fds.n - o->fds_sent, n = MIN(left, (unsigned int)FDIO_SEND_MAX);
	ssize_t ret = fdio_send(c->fd, o->data + o->off, n < left ? 1 : o->len - o->off,
				o->fds.fds + o->fds_sent, n);

	if (ret > 0)
		o->fds_sent += n;
	return ret;
}

/* Send what the peer takes. */
static void conn_flush(struct conn *c)
{
	bool progress = false;

	while (c->out_head) {
		struct conn_out *o = c->out_head;
		ssize_t n = conn_send_part(c, o);

		if (n == -EAGAIN)
			break;
		if (n == -EPIPE) {
			conn_break(c);
			return;
		}
		if (n < 0) {
			conn_fail(c, (int)n, "cannot send");
			return;
		}
		progress = true;
		o->off += (size_t)n;
		c->out_bytes -= (size_t)n;
		if (o->off < o->len)
			continue;
		c->out_head = o->next;
		if (!c->out_head)
			c->out_tail = NULL;
		conn_out_free(o);
	}
	conn_time_writes(c, progress);
	if (c->finishing && !c->out_head)
		conn_close(c);
}

static void conn_watch(struct conn *c)
{
	/* its end would be readable for ever; UV_PRIORITIZED means only that it hangs up */
	int events = (c->ended ? UV_PRIORITIZED : UV_READABLE) | (c->out_head ? UV_WRITABLE : 0);

	/* libuv takes the descriptor out of its epoll set and puts it back, also for nothing new */
	if (c->closing || events == c->watched)
		return;
	c->watched = events;
	uv_poll_start(&c->poll, events, conn_event);
}

static void conn_queue(struct conn *c, const char *text, size_t len, struct fdset *take_fds)
{
	struct conn_out *o;

	if (c->broken) {
		fdset_fini(take_fds);
		return;
	}
	o = calloc(1, sizeof(*o));
	if (o)
		o->data = malloc(len + 1);
	if (!o || !o->data || c->out_bytes + len + 1 > CONN_OUT_MAX) {
		free(o ? o->data : NULL);
		free(o);
		fdset_fini(take_fds);
		conn_fail(c, -ENOBUFS, "the peer does not read");
		return;
	}
	memcpy(o->data, text, len);
	o->data[len] = '\n';
	o->len = len + 1;
	if (take_fds) {
		o->fds = *take_fds;
		take_fds->n = 0;
	}
	if (c->out_tail)
		c->out_tail->next = o;
	else
		c->out_head = o;
	c->out_tail = o;
	c->out_bytes += o->len;
	conn_flush(c);
	conn_watch(c);
}

void conn_send(struct conn *c, struct json_object *take_msg, struct fdset *take_fds)
{
	AUTO_JSON struct json_object *msg = take_msg;
	const char *text;
	size_t len;

	if (c->closing || c->finishing) {
		fdset_fini(take_fds);
		return;
	}
	if (take_fds && take_fds->n)
		json_add_int(msg, "fds", take_fds->n);
	text = json_object_to_json_string_length(
		msg, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
	conn_queue(c, text, len, take_fds);
}

void conn_send_text(struct conn *c, const char *text, size_t len)
{
	if (!c->closing && !c->finishing)
		conn_queue(c, text, len, NULL);
}

static void conn_bad_input(struct conn *c, const struct err *why)
{
	if (c->ops->bad_input) {
		c->ops->bad_input(c, why);
		return;
	}
	c->failed = true;
	c->why = *why;
	conn_close(c);
}

/* Move the message's descriptors out of the connection's queue. */
static int conn_take_fds(struct conn *c, struct json_object *msg, struct fdset *ret, struct err *e)
{
	int64_t n = c->limits.no_fds ? 0 : json_get_int(msg, "fds", 0);

	if (n < 0 || n > c->in_fds.n)
		return err_set(e, ERR_RPC_REQUEST,
			       "'fds' says %lld descriptors, %u came with the message",
			       (long long)n, c->in_fds.n);
	for (unsigned int i = 0; i < (unsigned int)n; i++)
		fdset_add(ret, c->in_fds.fds[i]);
	c->in_fds.n -= (unsigned int)n;
	memmove(c->in_fds.fds, c->in_fds.fds + n, c->in_fds.n * sizeof(c->in_fds.fds[0]));
	return 0;
}

static void conn_line(struct conn *c, const char *line, size_t len)
{
	AUTO_JSON struct json_object *msg = NULL;
	struct fdset fds;
	struct err e;

	if (len && line[len - 1] == '\r')
		len--;
	if (!len)
		return;
	fdset_init(&fds);
	if (json_parse_limited(line, len, &c->limits.json, &msg, &e) < 0) {
		e.code = ERR_RPC_PARSE;
		conn_bad_input(c, &e);
	} else if (conn_take_fds(c, msg, &fds, &e) < 0) {
		conn_bad_input(c, &e);
	} else {
		c->ops->message(c, msg, &fds);
	}
	fdset_fini(&fds);
}

/* Handle the complete lines in the buffer. */
static void conn_lines(struct conn *c)
{
	struct err e;

	if (c->finishing)
		buf_consume(&c->in, buf_len(&c->in)); /* nobody would get the answers */
	while (!c->closing && buf_len(&c->in)) {
		const char *head = buf_head(&c->in);
		size_t len = buf_len(&c->in);
		const char *lf = memchr(head + c->in_seen, '\n', len - c->in_seen);

		if (lf)
			len = (size_t)(lf - head);
		c->in_seen = len;
		if (!lf && len < c->limits.line && !c->skipping)
			return;
		if (c->skipping || len >= c->limits.line) {
			if (!c->skipping) {
				err_set(&e, ERR_RPC_TOO_LONG, "a message is at most %zu bytes long",
					c->limits.line);
				conn_bad_input(c, &e);
			}
			c->skipping = !lf;
		} else {
			conn_line(c, head, len);
		}
		buf_consume(&c->in, lf ? len + 1 : len);
		c->in_seen = 0;
	}
}

static bool conn_is_hung_up(const struct conn *c)
{
	struct pollfd p = { .fd = c->fd };

	return poll(&p, 1, 0) != 0;
}

/* Nothing more comes: from a peer that has gone, or only says no more. */
static void conn_end_of_input(struct conn *c)
{
	if (!c->ops->ended || c->ended || conn_is_hung_up(c)) {
		conn_close(c);
		return;
	}
	c->ended = true;
	if (c->finishing)
		return;
	if (buf_len(&c->in) && !c->skipping)
		conn_line(c, buf_head(&c->in), buf_len(&c->in));
	buf_consume(&c->in, buf_len(&c->in));
	c->in_seen = 0;
	if (!c->closing)
		c->ops->ended(c);
}

static void conn_read(struct conn *c)
{
	for (int i = 0; i < CONN_READS_MAX && !c->closing; i++) {
		void *room = buf_reserve(&c->in, CONN_READ_SIZE);
		ssize_t n;

		if (!room) {
			conn_fail(c, -ENOMEM, "cannot receive");
			return;
		}
		n = fdio_recv(c->fd, room, CONN_READ_SIZE, &c->in_fds);
		if (c->limits.no_fds)
			fdset_fini(&c->in_fds);
		if (n == -EAGAIN)
			return;
		if (n < 0 && n != -ECONNRESET) {
			conn_fail(c, (int)n, "cannot receive");
			return;
		}
		if (n < 0)
			conn_close(c);
		if (!n)
			conn_end_of_input(c);
		if (n <= 0)
			return;
		buf_commit(&c->in, (size_t)n);
		conn_lines(c);
	}
}

static void conn_event(uv_poll_t *poll, int status, int events)
{
	struct conn *c = container_of(poll, struct conn, poll);

	if (status < 0) {
		/* a peer that did not read all of ours before it closed; what it had said is there yet */
		conn_read(c);
		conn_fail(c, status, "cannot poll");
		return;
	}
	if (events & UV_WRITABLE) {
		conn_flush(c);
		if (!c->out_head && !c->closing && c->ops->drained)
			c->ops->drained(c);
	}
	if (!c->closing && (events & UV_READABLE))
		conn_read(c);
	if (c->ended && (events & UV_PRIORITIZED))
		conn_close(c);
	if (c->broken)
		conn_fail(c, -EPIPE, "cannot send");
	conn_watch(c);
}

void conn_set_limits(struct conn *c, const struct conn_limits *limits)
{
	c->limits = *limits;
	c->in.limit = limits->line + CONN_READ_SIZE;
}

int conn_init(struct conn *c, uv_loop_t *loop, int take_fd, const struct conn_ops *ops, void *arg,
	      struct err *e)
{
	int flags = fcntl(take_fd, F_GETFL), ret;

	*c = (struct conn){ .fd = take_fd, .ops = ops, .arg = arg };
	conn_set_limits(c, &(struct conn_limits){ .line = RPC_LINE_MAX });
	fdset_init(&c->in_fds);
	if (flags < 0 || fcntl(take_fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		ret = err_errno(e, "cannot make the connection non-blocking");
		close(take_fd);
		return ret;
	}
	ret = uv_poll_init(loop, &c->poll, take_fd);
	if (ret < 0) {
		close(take_fd);
		return err_ret(e, ret, "cannot watch the connection");
	}
	uv_timer_init(loop, &c->write_timer);
	c->handles = 2;
	conn_watch(c);
	return 0;
}

static int conn_address(const char *path, struct sockaddr_un *ret_addr, struct err *e)
{
	*ret_addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(ret_addr->sun_path))
		return err_set(e, ENAMETOOLONG, "socket path '%s' is longer than %zu bytes", path,
			       sizeof(ret_addr->sun_path) - 1);
	memcpy(ret_addr->sun_path, path, strlen(path));
	return 0;
}

static int conn_connect_as(const char *path, int type, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	struct sockaddr_un addr;
	int ret = conn_address(path, &addr, e);

	if (ret < 0)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | type, 0);
	if (fd < 0)
		return err_errno(e, "cannot make a socket");
	do {
		ret = connect(fd, (struct sockaddr *)&addr, sizeof(addr));
	} while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return err_errno(e, "cannot connect to '%s'", path);
	return TAKE_FD(fd);
}

int conn_connect(const char *path, struct err *e)
{
	return conn_connect_as(path, 0, e);
}

int conn_connect_now(const char *path, struct err *e)
{
	return conn_connect_as(path, SOCK_NONBLOCK, e);
}

/*
 * Does somebody serve there? A process that is just being torn down may hold the socket a moment longer
 * than it is there: then our connection ends by itself. One who serves says hello, or stays.
 */
static bool conn_is_served(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char byte;

	return poll(&p, 1, CONN_STALE_MS) <= 0 || recv(fd, &byte, 1, MSG_PEEK) > 0;
}

/* A socket file that nobody listens on is left over from a process that died. */
static int conn_remove_stale(const char *path, struct err *e)
{
	struct stat st;
	int fd;

	if (lstat(path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, EEXIST, "'%s' exists and is no socket", path);
	fd = conn_connect(path, NULL);
	if (fd >= 0) {
		bool served = conn_is_served(fd);

		close(fd);
		if (!served)
			fd = -ECONNREFUSED;
	}
	if (fd >= 0)
		return err_set(e, EADDRINUSE, "'%s' is in use: another process listens on it",
			       path);
	if (fd == -ECONNREFUSED && unlink(path) < 0 && errno != ENOENT)
		return err_errno(e, "cannot remove the stale socket '%s'", path);
	return 0;
}

int conn_listen(const char *path, unsigned int mode, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	struct sockaddr_un addr;
	int ret = conn_address(path, &addr, e);

	if (ret >= 0)
		ret = conn_remove_stale(path, e);
	if (ret < 0)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(e, "cannot make a socket");
	/*
	 * The file gets the socket's mode (Linux), so it is never wider than asked for. The umask,
	 * which is the process's and not to be touched here, may take what others were to have:
	 * they get that afterwards.
	 */
	if (fchmod(fd, mode) < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    ((mode & 0077) && chmod(path, mode) < 0))
		return err_errno(e, "cannot bind '%s'", path);
	if (listen(fd, 64) < 0)
		return err_errno(e, "cannot listen on '%s'", path);
	return TAKE_FD(fd);
}
