// SPDX-License-Identifier: MIT
/* lib/conn: lines to messages, descriptors to their message, bad peers to an end. */
#include "tests/lib/test.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/conn.h"
#include "lib/errcat.h"
#include "lib/rpc.h"
#include "tests/lib/tempdir.h"

struct end {
	struct conn conn;
	unsigned int messages, bad, ended, closed;
	int last_code; /* of bad input, or of the end */
	char methods[256];
	int fd;		      /* taken from the last message with one */
	unsigned int nfds[8]; /* of the first messages */
};

static void end_message(struct conn *c, struct json_object *msg, struct fdset *fds)
{
	struct end *e = c->arg;

	if (e->messages < ARRAY_SIZE(e->nfds))
		e->nfds[e->messages] = fds->n;
	e->messages++;
	strncat(e->methods, json_get_str(msg, "method", "?"), 32);
	if (!fds->n)
		return;
	if (e->fd >= 0)
		close(e->fd);
	e->fd = fdset_take(fds, 0);
}

static void end_bad(struct conn *c, const struct err *why)
{
	struct end *e = c->arg;

	e->bad++;
	e->last_code = why->code;
}

static void end_closed(struct conn *c, const struct err *why)
{
	struct end *e = c->arg;

	e->closed++;
	if (why)
		e->last_code = why->code;
}

static const struct conn_ops end_ops = { .message = end_message,
					 .bad_input = end_bad,
					 .closed = end_closed };
static void end_ended(struct conn *c)
{
	((struct end *)c->arg)->ended++;
}

static const struct conn_ops patient_ops = { .message = end_message,
					     .bad_input = end_bad,
					     .ended = end_ended,
					     .closed = end_closed };
static const struct conn_ops strict_ops = { .message = end_message, .closed = end_closed };

struct fixture {
	uv_loop_t loop;
	struct end end;
	int peer;
};

static void begin(struct fixture *f, const struct conn_ops *ops)
{
	int fds[2];

	memset(f, 0, sizeof(*f));
	f->end.fd = -1;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(conn_init(&f->end.conn, &f->loop, fds[0], ops, &f->end, NULL), 0);
	f->peer = fds[1];
}

/* The peer goes; the loop runs until the connection has ended. */
static void finish(struct fixture *f)
{
	if (f->peer >= 0)
		close(f->peer);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(f->end.closed, 1);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	if (f->end.fd >= 0)
		close(f->end.fd);
}

static void say(struct fixture *f, const char *text)
{
	assert_int_equal(fdio_write(f->peer, text, strlen(text)), strlen(text));
}

static void test_lines(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, &end_ops);
	say(&f, "{\"method\":\"a\"}\n{\"method\":\"b\"}\r\n\n{\"meth");
	uv_run(&f.loop, UV_RUN_ONCE);
	assert_string_equal(f.end.methods, "ab");
	say(&f, "od\":\"c\"}\n");
	finish(&f);
	assert_string_equal(f.end.methods, "abc");
	assert_int_equal(f.end.bad, 0);
	assert_int_equal(f.end.last_code, 0);
}

static void test_bad_lines_are_skipped(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, &end_ops);
	say(&f, "nonsense\n{\"method\":\"a\"}\n{\"fds\":1,\"method\":\"b\"}\n{\"method\":\"c\"}\n");
	finish(&f);
	assert_string_equal(f.end.methods, "ac");
	assert_int_equal(f.end.bad, 2);
	assert_int_equal(f.end.last_code, ERR_RPC_REQUEST);
}

static void test_strict_ends(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, &strict_ops);
	say(&f, "nonsense\n{\"method\":\"a\"}\n");
	finish(&f);
	assert_string_equal(f.end.methods, "");
	assert_int_equal(f.end.last_code, ERR_RPC_PARSE);
}

static void test_too_long(void **state)
{
	struct fixture f;
	char *big = malloc(65536);
	size_t sent = 0;

	(void)state;
	begin(&f, &end_ops);
	memset(big, 'x', 65536);
	while (sent < RPC_LINE_MAX + 65536) {
		ssize_t n = send(f.peer, big, 65536, MSG_DONTWAIT);

		if (n > 0)
			sent += (size_t)n;
		else
			uv_run(&f.loop, UV_RUN_NOWAIT);
	}
	uv_run(&f.loop, UV_RUN_NOWAIT);
	say(&f, "\n{\"method\":\"a\"}\n");
	finish(&f);
	free(big);
	assert_int_equal(f.end.bad, 1);
	assert_int_equal(f.end.last_code, ERR_RPC_TOO_LONG);
	assert_string_equal(f.end.methods, "a");
}

static void test_descriptors(void **state)
{
	struct fixture f;
	const char *text = "{\"method\":\"none\"}\n{\"method\":\"one\",\"fds\":1}\n";
	int pipes[2];
	char byte = 0;

	(void)state;
	begin(&f, &end_ops);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(fdio_send(f.peer, text, strlen(text), &pipes[0], 1), strlen(text));
	uv_run(&f.loop, UV_RUN_ONCE);
	assert_int_equal(f.end.messages, 2);
	assert_true(f.end.fd >= 0);
	assert_int_equal(write(pipes[1], "x", 1), 1);
	assert_int_equal(read(f.end.fd, &byte, 1), 1);
	assert_int_equal(byte, 'x');
	finish(&f);
	close(pipes[0]);
	close(pipes[1]);
}

/* More than one call takes; each message gets its own. */
static void test_many_descriptors(void **state)
{
	static const unsigned int counts[] = { FDSET_MAX, 0, FDIO_SEND_MAX, FDIO_SEND_MAX + 1, 1 };
	struct end other = { .fd = -1 };
	struct fixture f;
	struct fdset fds;
	int pipes[2];

	(void)state;
	begin(&f, &end_ops);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(conn_init(&other.conn, &f.loop, f.peer, &end_ops, &other, NULL), 0);
	f.peer = -1;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		fdset_init(&fds);
		while (fds.n < counts[i])
			fdset_add(&fds, dup(pipes[0]));
		conn_send(&f.end.conn, rpc_notification("m", NULL), &fds);
	}
	while (other.messages < ARRAY_SIZE(counts) && !other.closed)
		uv_run(&f.loop, UV_RUN_ONCE);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		assert_int_equal(other.nfds[i], counts[i]);
	conn_close(&other.conn);
	finish(&f);
	assert_int_equal(other.closed, 1);
	close(other.fd);
	close(pipes[0]);
	close(pipes[1]);
}

static void test_send_and_finish(void **state)
{
	struct fixture f;
	struct fdset got;
	char text[256] = "";
	ssize_t n;

	(void)state;
	begin(&f, &end_ops);
	conn_send(&f.end.conn, rpc_notification("hi", NULL), NULL);
	conn_finish(&f.end.conn);
	conn_send(&f.end.conn, rpc_notification("late", NULL), NULL); /* ignored */
	fdset_init(&got);
	n = fdio_recv(f.peer, text, sizeof(text) - 1, &got);
	assert_true(n > 0);
	assert_string_equal(text, "{\"jsonrpc\":\"2.0\",\"method\":\"hi\"}\n");
	finish(&f);
}

static void test_peer_that_does_not_read(void **state)
{
	struct fixture f;
	char *big = malloc(1 << 20);

	(void)state;
	begin(&f, &end_ops);
	memset(big, 'x', (1 << 20) - 1);
	big[(1 << 20) - 1] = '\0';
	for (int i = 0; i < 32; i++)
		conn_send(&f.end.conn, rpc_notification("x", json_add_str(json_new(), "x", big)),
			  NULL);
	free(big);
	finish(&f);
	assert_int_equal(f.end.last_code, ENOBUFS);
}

/* The peer says why, and hangs up, while we write: it is heard. */
static void test_last_words(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, &end_ops);
	say(&f, "{\"method\":\"why\"}\n");
	close(f.peer);
	f.peer = -1;
	conn_send(&f.end.conn, rpc_notification("hi", NULL), NULL);
	conn_send(&f.end.conn, rpc_notification("hi", NULL), NULL);
	assert_int_equal(f.end.conn.out_bytes, 0);
	finish(&f);
	assert_string_equal(f.end.methods, "why");
	assert_int_equal(f.end.last_code, 0);
}

/* The same of a peer that closes before it has read what we wrote. */
static void test_last_words_unread(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, &end_ops);
	conn_send(&f.end.conn, rpc_notification("hi", NULL), NULL);
	say(&f, "{\"method\":\"why\"}\n");
	finish(&f);
	assert_string_equal(f.end.methods, "why");
	assert_int_equal(f.end.last_code, 0);
}

/* A peer that only stops to read is cut off with the next thing that it says. */
static void test_peer_that_stops_reading(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, &end_ops);
	assert_int_equal(shutdown(f.peer, SHUT_RD), 0);
	conn_send(&f.end.conn, rpc_notification("hi", NULL), NULL);
	say(&f, "{\"method\":\"a\"}\n");
	uv_run(&f.loop, UV_RUN_DEFAULT);
	assert_int_equal(f.end.last_code, EPIPE);
	finish(&f);
}

/* The peer says its last, if need be without a LF, and listens on. */
static void begin_half_closed(struct fixture *f, const char *last)
{
	struct pollfd p;

	begin(f, &patient_ops);
	say(f, last);
	assert_int_equal(shutdown(f->peer, SHUT_WR), 0);
	uv_run(&f->loop, UV_RUN_ONCE);
	assert_int_equal(f->end.ended, 1);
	assert_int_equal(f->end.closed, 0);
	/* its end does not wake the loop again and again */
	uv_run(&f->loop, UV_RUN_NOWAIT);
	p = (struct pollfd){ .fd = uv_backend_fd(&f->loop), .events = POLLIN };
	assert_int_equal(poll(&p, 1, 0), 0);
}

static void test_half_closed(void **state)
{
	struct fixture f;
	char text[256] = "";

	(void)state;
	begin_half_closed(&f, "{\"method\":\"a\"}\n{\"method\":\"b\"}");
	assert_string_equal(f.end.methods, "ab");
	conn_send(&f.end.conn, rpc_notification("hi", NULL), NULL);
	conn_finish(&f.end.conn);
	uv_run(&f.loop, UV_RUN_DEFAULT);
	assert_true(recv(f.peer, text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(text, "{\"jsonrpc\":\"2.0\",\"method\":\"hi\"}\n");
	assert_int_equal(recv(f.peer, text, sizeof(text), 0), 0);
	finish(&f);
	assert_int_equal(f.end.ended, 1);
	assert_int_equal(f.end.last_code, 0);
}

/* More than the socket holds goes out as the peer takes it. */
static void test_half_closed_slow(void **state)
{
	struct fixture f;
	char *big = calloc(1, 1 << 20);
	size_t got = 0;

	(void)state;
	begin_half_closed(&f, "");
	memset(big, 'x', 1 << 20);
	conn_send_text(&f.end.conn, big, 1 << 20);
	conn_finish(&f.end.conn);
	while (got < (1 << 20) + 1) {
		ssize_t n = recv(f.peer, big, 1 << 20, MSG_DONTWAIT);

		if (n > 0)
			got += (size_t)n;
		else
			uv_run(&f.loop, UV_RUN_ONCE);
	}
	finish(&f);
	assert_int_equal(f.end.last_code, 0);
	free(big);
}

/* Half a line is no message, and somebody is there who can be told. */
static void test_half_closed_half_line(void **state)
{
	struct fixture f;

	(void)state;
	begin_half_closed(&f, "{\"method\":\"a\"}\n{\"meth");
	assert_string_equal(f.end.methods, "a");
	assert_int_equal(f.end.bad, 1);
	assert_int_equal(f.end.last_code, ERR_RPC_PARSE);
	f.end.last_code = 0;
	finish(&f); /* it hangs up: that ends it, whatever its owner is about */
	assert_int_equal(f.end.last_code, 0);
}

/* One that hangs up before it has read all, and one that has gone at once. */
static void test_half_closed_and_gone(void **state)
{
	struct fixture f;

	(void)state;
	begin_half_closed(&f, "{\"method\":\"a\"}\n");
	conn_send(&f.end.conn, rpc_notification("hi", NULL), NULL);
	finish(&f);
	assert_int_equal(f.end.messages, 1);
	begin(&f, &patient_ops);
	say(&f, "{\"method\":\"a\"}\n{\"method\":\"b\"}");
	finish(&f);
	assert_string_equal(f.end.methods, "a"); /* it may have been cut off */
	assert_int_equal(f.end.ended, 0);
	assert_int_equal(f.end.last_code, 0);
}

static void test_half_closed_deadline(void **state)
{
	struct fixture f;
	char *big = calloc(1, 1 << 20);

	(void)state;
	begin_half_closed(&f, "");
	conn_set_limits(&f.end.conn, &(struct conn_limits){ .line = RPC_LINE_MAX, .write_ms = 20 });
	memset(big, 'x', 1 << 20);
	conn_send_text(&f.end.conn, big, 1 << 20);
	conn_finish(&f.end.conn);
	uv_run(&f.loop, UV_RUN_DEFAULT);
	assert_int_equal(f.end.closed, 1);
	assert_int_equal(f.end.last_code, ETIMEDOUT);
	finish(&f);
	free(big);
}

/* Time passes only in the loop: the peer's 20 ms begin when bytes first wait, and nothing is read in them. */
static void test_write_deadline(void **state)
{
	struct fixture f;
	char *big = calloc(1, 1 << 20);

	(void)state;
	begin(&f, &end_ops);
	conn_set_limits(&f.end.conn, &(struct conn_limits){ .line = RPC_LINE_MAX, .write_ms = 20 });
	/* all of it is taken: no deadline runs */
	conn_send(&f.end.conn, rpc_notification("hi", NULL), NULL);
	assert_false(uv_is_active((uv_handle_t *)&f.end.conn.write_timer));
	memset(big, 'x', (1 << 20) - 1);
	conn_send_text(&f.end.conn, big, (1 << 20) - 1);
	assert_true(uv_is_active((uv_handle_t *)&f.end.conn.write_timer));
	uv_run(&f.loop, UV_RUN_DEFAULT);
	assert_int_equal(f.end.closed, 1);
	assert_int_equal(f.end.last_code, ETIMEDOUT);
	close(f.peer);
	assert_int_equal(uv_loop_close(&f.loop), 0);
	free(big);
}

/* A slow reader is no dead one: the deadline begins anew with each byte, and ends with the last. */
static void test_slow_reader(void **state)
{
	struct fixture f;
	char *big = calloc(1, 1 << 20);
	size_t got = 0;
	char last = 0;

	(void)state;
	begin(&f, &end_ops);
	conn_set_limits(&f.end.conn,
			&(struct conn_limits){ .line = RPC_LINE_MAX, .write_ms = 60000 });
	memset(big, 'x', 1 << 20);
	conn_send_text(&f.end.conn, big, 1 << 20);
	/* a longer one shows where it begins anew */
	conn_set_limits(&f.end.conn,
			&(struct conn_limits){ .line = RPC_LINE_MAX, .write_ms = 600000 });
	assert_true(uv_timer_get_due_in(&f.end.conn.write_timer) <= 60000);
	while (got < (1 << 20) + 1) {
		ssize_t n = recv(f.peer, big, 4096, MSG_DONTWAIT);

		if (n > 0) {
			got += (size_t)n;
			last = big[n - 1];
			continue;
		}
		uv_run(&f.loop, UV_RUN_ONCE);
		if (f.end.conn.out_head)
			assert_true(uv_timer_get_due_in(&f.end.conn.write_timer) > 60000);
	}
	assert_int_equal(last, '\n');
	uv_run(&f.loop, UV_RUN_NOWAIT);
	assert_false(uv_is_active((uv_handle_t *)&f.end.conn.write_timer));
	finish(&f);
	free(big);
}

static void test_limits(void **state)
{
	static const struct conn_limits limits = { .line = 64,
						   .json = { .values = 3, .string = 8 } };
	struct fixture f;

	(void)state;
	begin(&f, &end_ops);
	conn_set_limits(&f.end.conn, &limits);
	say(&f, "{\"method\":\"a\"}\n{\"method\":\"123456789\"}\n{\"method\":[1,2,3]}\n");
	say(&f,
	    "{\"method\":\"a\"                                                              }\n");
	say(&f, "{\"method\":\"b\"}\n");
	finish(&f);
	assert_string_equal(f.end.methods, "ab");
	assert_int_equal(f.end.bad, 3);
	assert_int_equal(f.end.last_code, ERR_RPC_TOO_LONG);
}

/* Another process holds the socket; when somebody connects it ends, or it says hello first. */
static int listen_again(const char *path, bool serves)
{
	int listener = conn_listen(path, 0600, NULL), again, status;
	pid_t pid;

	assert_true(listener >= 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct pollfd p = { .fd = listener, .events = POLLIN };
		int fd = poll(&p, 1, 10000) == 1 && serves ? accept(listener, NULL, NULL) : -1;

		/* until it hangs up */
		_exit(fd >= 0 && write(fd, "hello\n", 6) == 6 && read(fd, &(char){ 0 }, 1) > 0);
	}
	close(listener);
	again = conn_listen(path, 0600, NULL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return again;
}

static void test_stale_sockets(void **state)
{
	char *dir = tempdir_new(), path[128];
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/s", dir);
	fd = listen_again(path, false);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(listen_again(path, true), -EADDRINUSE);
	tempdir_remove(dir);
}

/* Nobody accepts: the queue fills, and connecting does not wait for room in it. */
static void test_full_queue(void **state)
{
	char *dir = tempdir_new(), path[128];
	int listener, fds[1024], n = 0;
	struct err e;

	(void)state;
	snprintf(path, sizeof(path), "%s/s", dir);
	listener = conn_listen(path, 0600, NULL);
	assert_true(listener >= 0);
	while (n < (int)ARRAY_SIZE(fds) && (fds[n] = conn_connect_now(path, &e)) >= 0)
		n++;
	assert_in_range(n, 1, ARRAY_SIZE(fds) - 1);
	assert_int_equal(fds[n], -EAGAIN);
	while (n--)
		close(fds[n]);
	close(listener);
	tempdir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_bad_lines_are_skipped),
		cmocka_unit_test(test_strict_ends),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_many_descriptors),
		cmocka_unit_test(test_send_and_finish),
		cmocka_unit_test(test_peer_that_does_not_read),
		cmocka_unit_test(test_last_words),
		cmocka_unit_test(test_last_words_unread),
		cmocka_unit_test(test_peer_that_stops_reading),
		cmocka_unit_test(test_half_closed),
		cmocka_unit_test(test_half_closed_slow),
		cmocka_unit_test(test_half_closed_half_line),
		cmocka_unit_test(test_half_closed_and_gone),
		cmocka_unit_test(test_half_closed_deadline),
		cmocka_unit_test(test_write_deadline),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_full_queue),
		cmocka_unit_test(test_stale_sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
