// SPDX-License-Identifier: MIT
/* See server.h. One connection, the newest wins; losing it changes nothing once there is a screen to show. */
#include "display/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "display/monitor.h"
#include "lib/auto.h"
#include "lib/conn.h"
#include "lib/errcat.h"
#include "lib/rpc.h"

struct server_client {
	struct conn conn;
	struct server *server; /* borrowed */
};

struct server {
	uv_loop_t *loop;
	const struct log *log;
	const struct sandbox *sandbox;
	int listen_fd; /* owned */
	uv_poll_t listen;
	struct server_client *client; /* the current one; freed by its closed callback */
	struct monitor *monitor;      /* owned */
	int status;
};

static void server_ended(void *arg, const struct err *why)
{
	struct server *s = arg;

	if (why)
		log_error(s->log, "%s", why->msg);
	s->status = why ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* --- methods ------------------------------------------------------------------------------------------------ */

static int server_take_fd(struct json_object *params, const char *member, struct fdset *fds,
			  struct err *e)
{
	int64_t index = json_get_int(json_get(params, member), "fd", -1);
	int fd = index < 0 || index >= FDSET_MAX ? -EBADF : fdset_take(fds, (unsigned int)index);

	return fd < 0 ? err_set(e, ERR_RPC_PARAMS, "'%s' names no descriptor", member) : fd;
}

static int server_serve(struct server *s, struct json_object *params, struct fdset *fds,
			struct err *e)
{
	struct monitor_options o = { .loop = s->loop,
				     .log = s->log,
				     .name = json_get_str(params, "name", "?"),
				     .password = json_get_str(params, "password", NULL),
				     .ended = server_ended,
				     .arg = s };
	AUTO_CLOSE int link = -1, listen = -1;
	int r;

	if (s->monitor)
		return err_set(e, ERR_VM_STATE, "it shows a screen already");
	link = server_take_fd(params, "link", fds, e);
	if (link < 0)
		return link;
	listen = server_take_fd(params, "listen", fds, e);
	if (listen < 0)
		return listen;
	r = monitor_new(&o, TAKE_FD(link), TAKE_FD(listen), &s->monitor, e);
	/* all that is needed is there; what follows meets viewers' bytes, and the monitor's */
	if (r >= 0)
		sandbox_thread(s->sandbox, SECCOMP_DISPLAY);
	return r;
}

static int server_call(struct server *s, const struct rpc_msg *rpc, struct fdset *fds,
		       struct json_object **ret_result, struct err *e)
{
	int r = 0;

	if (!strcmp(rpc->method, "display.serve"))
		r = server_serve(s, rpc->params, fds, e);
	else if (strcmp(rpc->method, "display.status") != 0)
		return err_set(e, ERR_RPC_METHOD, "unknown method '%s'", rpc->method);
	if (r < 0)
		return r;
	*ret_result =
		json_add_int(json_new(), "viewers", s->monitor ? monitor_viewers(s->monitor) : 0);
	return 0;
}

/* --- the connection ------------------------------------------------------------------------------------------- */

static void server_message(struct conn *conn, struct json_object *msg, struct fdset *fds)
{
	struct server_client *client = conn->arg;
	struct json_object *result = NULL;
	struct rpc_msg rpc = { 0 };
	struct err e = { 0 };
	int r = rpc_msg_parse(msg, &rpc, &e);

	if (r >= 0 && rpc.kind != RPC_REQUEST)
		return;
	if (r >= 0)
		r = server_call(client->server, &rpc, fds, &result, &e);
	conn_send(conn, r < 0 ? rpc_error(rpc.id, &e, NULL) : rpc_result(rpc.id, result), NULL);
}

static void server_closed(struct conn *conn, const struct err *why)
{
	struct server_client *client = conn->arg;
	struct server *s = client->server;

	if (why)
		log_info(s->log, "control connection: %s", why->msg);
	if (s->client == client)
		s->client = NULL;
	free(client);
}

static const struct conn_ops server_conn_ops = { .message = server_message,
						 .closed = server_closed };

static void server_welcome(struct server *s, int take_fd)
{
	struct server_client *client = calloc(1, sizeof(*client));
	struct json_object *hello;
	struct err e = { 0 };

	if (!client) {
		close(take_fd);
		return;
	}
	client->server = s;
	if (conn_init(&client->conn, s->loop, take_fd, &server_conn_ops, client, &e) < 0) {
		log_warn(s->log, "control connection: %s", e.msg);
		free(client);
		return;
	}
	if (s->client)
		conn_close(&s->client->conn);
	s->client = client;
	hello = json_add_str(json_new(), "version", VERSION);
	json_add_int(hello, "pid", getpid());
	json_add_str(hello, "state", s->monitor ? "running" : "empty");
	conn_send(&client->conn, rpc_notification("vmm.hello", hello), NULL);
}

static void server_listen(uv_poll_t *p, int status, int events)
{
	struct server *s = p->data;
	int fd;

	(void)events;
	if (status < 0)
		return;
	fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		server_welcome(s, fd);
}

int server_new(uv_loop_t *loop, int take_listen_fd, const struct sandbox *sandbox,
	       const struct log *log, struct server **ret, struct err *e)
{
	struct server *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		close(take_listen_fd);
		return err_ret(e, -ENOMEM, "control socket");
	}
	*s = (struct server){ .loop = loop,
			      .log = log,
			      .sandbox = sandbox,
			      .listen_fd = take_listen_fd,
			      .status = -1 };
	r = uv_poll_init(loop, &s->listen, take_listen_fd);
	if (r < 0) {
		close(take_listen_fd);
		free(s);
		return err_ret(e, r, "control socket");
	}
	s->listen.data = s;
	uv_poll_start(&s->listen, UV_READABLE, server_listen);
	*ret = s;
	return 0;
}

int server_status(const struct server *s)
{
	return s->status;
}
