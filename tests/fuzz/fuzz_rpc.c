// SPDX-License-Identifier: MIT
/*
 * A stream of RPC: the input goes through a socket into a connection, cut where the input says, and echoes
 * whatever is a request. What must hold: nothing but whole messages comes out of either end, and after any
 * garbage the next well-formed request is answered.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/conn.h"
#include "lib/rpc.h"

#define FUZZ_LAST 4711 /* the id of the request that must get through */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	uv_loop_t loop;
	struct conn server, client;
	unsigned int closed;
	bool answered;
};

static void fuzz_served(struct conn *c, struct json_object *msg, struct fdset *fds)
{
	struct rpc_msg m;
	struct err e;

	(void)fds;
	if (rpc_msg_parse(msg, &m, &e) < 0)
		conn_send(c, rpc_error(m.id, &e, NULL), NULL);
	else if (m.kind == RPC_REQUEST)
		conn_send(c, rpc_result(m.id, json_add_str(json_new(), "method", m.method)), NULL);
}

static void fuzz_bad_input(struct conn *c, const struct err *why)
{
	if (!why->code || !why->msg[0])
		__builtin_trap();
	conn_send(c, rpc_error(NULL, why, NULL), NULL);
}

static void fuzz_closed(struct conn *c, const struct err *why)
{
	struct fuzz *f = c->arg;

	(void)why;
	f->closed++;
}

/* Whatever the server says is a result or an error. */
static void fuzz_answered(struct conn *c, struct json_object *msg, struct fdset *fds)
{
	struct fuzz *f = c->arg;
	struct rpc_msg m;
	struct err e;

	(void)fds;
	if (rpc_msg_parse(msg, &m, &e) < 0 || (m.kind != RPC_RESULT && m.kind != RPC_ERROR))
		__builtin_trap();
	if (json_object_is_type(m.id, json_type_int) && json_object_get_int64(m.id) == FUZZ_LAST)
		f->answered = true;
}

static const struct conn_ops fuzz_server_ops = {
	.message = fuzz_served,
	.bad_input = fuzz_bad_input,
	.closed = fuzz_closed,
};

/* without bad_input: a line that is no JSON would close it, and the request below go unanswered */
static const struct conn_ops fuzz_client_ops = {
	.message = fuzz_answered,
	.closed = fuzz_closed,
};

static void fuzz_turn(struct fuzz *f)
{
	uv_run(&f->loop, UV_RUN_NOWAIT);
}

/* Raw bytes past the client's connection; its socket takes what a turn of the loop makes room for. */
static void fuzz_send(struct fuzz *f, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = send(f->client.fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
		fuzz_turn(f);
		if (f->closed)
			__builtin_trap();
	}
}

/* A lone byte stands for many, so that a small input can hold a line over the limit. */
static void fuzz_send_many(struct fuzz *f, uint8_t byte)
{
	char many[70000];

	memset(many, byte, sizeof(many));
	fuzz_send(f, many, sizeof(many));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char last[] =
		"\n{\"jsonrpc\":\"2.0\",\"id\":4711,\"method\":\"daemon.ping\"}\n";
	struct fuzz f = { 0 };
	int pair[2];

	signal(SIGPIPE, SIG_IGN);
	if (uv_loop_init(&f.loop) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
	    conn_init(&f.server, &f.loop, pair[0], &fuzz_server_ops, &f, NULL) < 0 ||
	    conn_init(&f.client, &f.loop, pair[1], &fuzz_client_ops, &f, NULL) < 0)
		abort();
	while (size) {
		size_t n = MIN((size_t)data[0] + 1, size - 1);

		if (n == 1)
			fuzz_send_many(&f, data[1]);
		else
			fuzz_send(&f, data + 1, n);
		data += n + 1;
		size -= n + 1;
	}
	fuzz_send(&f, last, sizeof(last) - 1);
	for (int i = 0; i < 100 && !f.answered; i++)
		fuzz_turn(&f);
	if (!f.answered)
		__builtin_trap();
	conn_close(&f.client);
	conn_close(&f.server);
	uv_run(&f.loop, UV_RUN_DEFAULT);
	if (f.closed != 2 || uv_loop_close(&f.loop) < 0)
		__builtin_trap();
	return 0;
}
