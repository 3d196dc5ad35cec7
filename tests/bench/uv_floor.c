// SPDX-License-Identifier: MIT
/*
 * The floor of a call: libuv alone that sends back what comes, on a stream socket. Usage: uv_floor SOCKET;
 * it says READY on standard output and ends with its only client.
 */
#include <err.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "lib/util.h"

struct echo {
	uv_pipe_t server, client;
	uv_write_t write;
	char buf[4096];
};

static void echo_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct echo *e = handle->data;

	(void)suggested;
	*buf = uv_buf_init(e->buf, sizeof(e->buf));
}

static void echo_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct echo *e = stream->data;
	uv_buf_t out = uv_buf_init(buf->base, (unsigned int)MAX(n, 0));

	if (n < 0)
		uv_stop(stream->loop);
	else
		uv_write(&e->write, stream, &out, 1, NULL); /* its client waits for it */
}

static void echo_connection(uv_stream_t *server, int status)
{
	struct echo *e = server->data;

	if (status < 0 || uv_accept(server, (uv_stream_t *)&e->client) < 0)
		errx(1, "accept");
	uv_read_start((uv_stream_t *)&e->client, echo_alloc, echo_read);
}

int main(int argc, char **argv)
{
	struct echo e = { 0 };
	uv_loop_t loop;

	if (argc != 2)
		errx(2, "usage: uv_floor SOCKET");
	uv_loop_init(&loop);
	uv_pipe_init(&loop, &e.server, 0);
	uv_pipe_init(&loop, &e.client, 0);
	e.server.data = e.client.data = &e;
	if (uv_pipe_bind(&e.server, argv[1]) < 0 ||
	    uv_listen((uv_stream_t *)&e.server, 1, echo_connection) < 0)
		errx(1, "%s", argv[1]);
	if (write(STDOUT_FILENO, "READY\n", 6) != 6)
		err(1, "standard output");
	uv_run(&loop, UV_RUN_DEFAULT);
	unlink(argv[1]);
	return 0;
}
