// SPDX-License-Identifier: MIT
/*
 * Clients and calls: see server.h; JSON-RPC 2.0 as in lib/rpc.h. Access is decided at the accept, by the
 * peer's credentials: root, vmd's own user, and the group SERVER_GROUP. On the loop's thread.
 */
#include "vmd/server.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/conn.h"
#include "lib/errcat.h"
#include "lib/rpc.h"
#include "vmd/daemon.h"
#include "vmd/event.h"
#include "vmd/methods.h"

#define SERVER_TOO_LONG_MAX 3

struct client {
	struct conn conn;
	struct server *server;
	struct client *prev, *next; /* the server's list */
	struct call *calls;	    /* those that wait; a call ends itself */
	unsigned int ncalls, too_long;
	struct state_actor actor;
	bool read_only; /* came over a socket that is */
	bool refused;
};

/* One socket that is served. */
struct server_socket {
	struct server_socket *next;
	struct server *server;
	uv_poll_t poll;
	int fd;	    /* owned */
	char *path; /* owned: the file that we made; NULL for a socket that was given */
	bool read_only;
};

struct server {
	struct daemon *daemon;
	bool opened, closing;
	struct server_socket *sockets; /* owned */
	gid_t group;
	bool has_group;
	struct client *clients;
	unsigned int nclients;
	struct method_schemas *schemas; /* owned */
};

static void client_closed(struct conn *conn, const struct err *why)
{
	struct client *c = conn->arg;
	struct server *s = c->server;

	if (why)
		log_debug(&s->daemon->log, "client %d (%s) lost: %s", (int)c->actor.pid,
			  c->actor.program, why->msg);
	event_forget(s->daemon->events, c);
	for (struct call *call = c->calls; call; call = call->next)
		call->client = NULL;
	if (c->prev)
		c->prev->next = c->next;
	else
		s->clients = c->next;
	if (c->next)
		c->next->prev = c->prev;
	s->nclients--;
	free(c);
}

void client_notify(struct client *c, const char *method, struct json_object *take_params)
{
	conn_send(&c->conn, rpc_notification(method, take_params), NULL);
}

static void client_error(struct client *c, struct json_object *id, const struct err *e)
{
	conn_send(&c->conn, rpc_error(id, e, NULL), NULL);
}

static void call_free(struct call *call)
{
	struct client *c = call->client;

	if (c) {
		if (call->prev)
			call->prev->next = call->next;
		else
			c->calls = call->next;
		if (call->next)
			call->next->prev = call->prev;
		c->ncalls--;
	}
	json_object_put(call->id);
	json_object_put(call->params);
	free(call);
}

void call_reply_fds(struct call *call, struct json_object *take_result, struct fdset *take_fds)
{
	struct json_object *msg = rpc_result(call->id, take_result);

	if (call->client && !call->notification) {
		conn_send(&call->client->conn, msg, take_fds);
	} else {
		json_object_put(msg);
		fdset_fini(take_fds);
	}
	call_free(call);
}

void call_reply(struct call *call, struct json_object *take_result)
{
	call_reply_fds(call, take_result, NULL);
}

/* data.op and data.target: what was asked of which VM */
static struct json_object *call_data(const struct call *call, struct json_object *take_data)
{
	struct json_object *data = take_data ? take_data : json_new();
	const char *target = json_get_str(json_get(call->params, "definition"), "name", NULL);

	target = json_get_str(call->params, "vm", target);
	json_add_str(data, "op", call->method->name);
	return target ? json_add_fmt(data, "target", "%.64s", target) : data;
}

void call_fail(struct call *call, const struct err *e, struct json_object *take_data)
{
	struct json_object *msg = rpc_error(call->id, e, call_data(call, take_data));

	log_debug(&call->daemon->log, "%s failed: %s", call->method->name, e->msg);
	if (call->client && !call->notification)
		conn_send(&call->client->conn, msg, NULL);
	else
		json_object_put(msg);
	call_free(call);
}

void call_actor(const struct call *call, struct state_actor *ret_actor)
{
	*ret_actor = (struct state_actor){ 0 };
	if (call->client)
		*ret_actor = call->client->actor;
}

static struct call *call_new(struct client *c, const struct rpc_msg *msg,
			     const struct method *method)
{
	struct call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->daemon = c->server->daemon;
	call->client = c;
	call->method = method;
	call->id = json_object_get(msg->id);
	call->params = msg->params ? json_object_get(msg->params) : json_new();
	call->notification = msg->kind == RPC_NOTIFICATION;
	call->next = c->calls;
	if (c->calls)
		c->calls->prev = call;
	c->calls = call;
	c->ncalls++;
	return call;
}

static void client_no_method(struct client *c, const struct rpc_msg *msg)
{
	const char *near = method_near(msg->method);
	struct err e;

	err_set(&e, ERR_RPC_METHOD, "unknown method '%.64s'", msg->method);
	if (near)
		err_hint(&e, "did you mean '%s'?", near);
	client_error(c, msg->id, &e);
}

static void client_read_only(struct call *call)
{
	struct err e;

	err_set(&e, ERR_DENIED, "%s changes something, and this socket is for reading only",
		call->method->name);
	err_hint(&e, "vmd's other socket serves all methods: vmd(8), --socket");
	call_fail(call, &e, NULL);
}

static void client_request(struct client *c, const struct rpc_msg *msg)
{
	const struct method *method = method_find(msg->method);
	struct schema_error where;
	struct call *call;
	struct err e;

	if (!method) {
		client_no_method(c, msg);
		return;
	}
	if (c->ncalls >= SERVER_CALLS_MAX) {
		err_set(&e, ERR_BUSY, "%d requests of this connection wait for their answer",
			SERVER_CALLS_MAX);
		client_error(c, msg->id, &e);
		return;
	}
	call = call_new(c, msg, method);
	if (!call) {
		err_set(&e, ERR_RPC_INTERNAL, "out of memory");
		client_error(c, msg->id, &e);
		return;
	}
	log_debug(&c->server->daemon->log, "%s from %s, pid %d, uid %u", method->name,
		  c->actor.program, (int)c->actor.pid, (unsigned int)c->actor.uid);
	if (c->read_only && !method_is_read(c->server->schemas, method)) {
		client_read_only(call);
		return;
	}
	if (method_check(c->server->schemas, method, call->params, &where, &e) < 0)
		call_fail(call, &e, json_add_str(json_new(), "path", where.pointer));
	else
		method->handle(call->daemon, call);
}

static void client_message(struct conn *conn, struct json_object *msg, struct fdset *fds)
{
	struct client *c = conn->arg;
	struct rpc_msg m;
	struct err e;

	(void)fds; /* no method takes descriptors; they are closed */
	if (c->refused)
		return;
	if (rpc_msg_parse(msg, &m, &e) < 0)
		client_error(c, m.id, &e);
	else if (m.kind == RPC_REQUEST || m.kind == RPC_NOTIFICATION)
		client_request(c, &m);
}

static void client_bad_input(struct conn *conn, const struct err *why)
{
	struct client *c = conn->arg;

	client_error(c, NULL, why);
	if (why->code == ERR_RPC_TOO_LONG && ++c->too_long >= SERVER_TOO_LONG_MAX)
		conn_finish(conn);
}

static const struct conn_ops client_ops = {
	.message = client_message,
	.bad_input = client_bad_input,
	.closed = client_closed,
};

static bool server_peer_in_group(int fd, gid_t primary, gid_t group)
{
	gid_t groups[256];
	socklen_t len = sizeof(groups);

	if (primary == group)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return false;
	for (size_t i = 0; i < len / sizeof(groups[0]); i++)
		if (groups[i] == group)
			return true;
	return false;
}

/* Who is it? The name of its program is for the records only: it may lie about that. */
static void server_peer_program(pid_t pid, char *out, size_t size)
{
	AUTO_CLOSE int fd = -1;
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : fdio_read(fd, out, size - 1);
	out[MAX(n, 0)] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

static int server_peer(struct server *s, int fd, struct state_actor *ret_actor, struct err *e)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	*ret_actor = (struct state_actor){ 0 };
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return err_errno(e, "cannot tell who you are");
	ret_actor->uid = cred.uid;
	ret_actor->pid = cred.pid;
	server_peer_program(cred.pid, ret_actor->program, sizeof(ret_actor->program));
	if (!cred.uid || cred.uid == geteuid() ||
	    (s->has_group && server_peer_in_group(fd, cred.gid, s->group)))
		return 0;
	err_set(e, ERR_DENIED, "user %u may not use vmd", (unsigned int)cred.uid);
	return err_hint(e, "root and the members of the group '" SERVER_GROUP "' may");
}

static struct json_object *server_hello(const struct daemon *d)
{
	struct json_object *o = json_add_str(json_new(), "version", VERSION);
	struct json_object *api = json_add_int(json_add_int(json_new(), "major", 1), "minor", 0);

	json_add(json_add(o, "api", api), "features", json_object_new_array());
	json_add_str(o, "server_id", state_server_id(d->state));
	return json_add_str(o, "boot_id", d->boot_id);
}

static void server_add_client(struct server_socket *sock, int take_fd)
{
	struct client *c = calloc(1, sizeof(*c));
	struct server *s = sock->server;
	struct err e;
	int ret;

	if (!c) {
		close(take_fd);
		return;
	}
	c->server = s;
	c->read_only = sock->read_only;
	ret = server_peer(s, take_fd, &c->actor, &e);
	if (ret >= 0 && s->nclients >= SERVER_CLIENTS_MAX)
		ret = err_set(&e, ERR_BUSY, "vmd serves at most %d connections at a time",
			      SERVER_CLIENTS_MAX);
	if (conn_init(&c->conn, &s->daemon->loop, take_fd, &client_ops, c, NULL) < 0) {
		free(c);
		return;
	}
	c->next = s->clients;
	if (c->next)
		c->next->prev = c;
	s->clients = c;
	s->nclients++;
	if (ret >= 0) {
		client_notify(c, "vmd.hello", server_hello(s->daemon));
		return;
	}
	log_warn(&s->daemon->log, "refused: %s (%s, pid %d)", e.msg, c->actor.program,
		 (int)c->actor.pid);
	c->refused = true;
	client_error(c, NULL, &e);
	conn_finish(&c->conn);
}

static void server_accept(uv_poll_t *poll, int status, int events)
{
	struct server_socket *sock = container_of(poll, struct server_socket, poll);

	(void)events;
	if (status < 0)
		return;
	/* a few a turn, so that a flood of connections leaves time for the rest */
	for (int i = 0; i < 16; i++) {
		int fd = accept4(sock->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0 && errno == EINTR)
			continue;
		if (fd < 0)
			return;
		server_add_client(sock, fd);
	}
}

/* The group may use the sockets where there is such a group. */
static void server_find_group(struct server *s)
{
	char space[4096];
	struct group entry, *found = NULL;

	if (getgrnam_r(SERVER_GROUP, &entry, space, sizeof(space), &found) || !found)
		return;
	s->group = found->gr_gid;
	s->has_group = true;
}

int server_new(struct daemon *d, struct server **ret_server, struct err *e)
{
	struct server *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return err_ret(e, -ENOMEM, "cannot serve");
	s->daemon = d;
	ret = method_schemas_new(&s->schemas, e);
	if (ret < 0) {
		server_free(s);
		return ret;
	}
	server_find_group(s);
	*ret_server = s;
	return 0;
}

static void server_socket_free(struct server_socket *sock)
{
	if (sock->fd >= 0)
		close(sock->fd);
	free(sock->path);
	free(sock);
}

/* Take fd and path over, on failure too. */
static int server_add_socket(struct server *s, int take_fd, char *take_path, bool read_only,
			     struct err *e)
{
	struct server_socket *sock = calloc(1, sizeof(*sock));
	int ret;

	if (!sock) {
		close(take_fd);
		free(take_path);
		return err_ret(e, -ENOMEM, "cannot serve");
	}
	*sock = (struct server_socket){
		.server = s, .fd = take_fd, .path = take_path, .read_only = read_only
	};
	ret = uv_poll_init(&s->daemon->loop, &sock->poll, sock->fd);
	if (ret < 0) {
		server_socket_free(sock);
		return err_ret(e, ret, "cannot watch a listening socket");
	}
	sock->next = s->sockets;
	s->sockets = sock;
	if (s->opened)
		uv_poll_start(&sock->poll, UV_READABLE, server_accept);
	return 0;
}

int server_listen(struct server *s, const char *path, bool read_only, struct err *e)
{
	char *copy = strdup(path);
	int fd;

	if (!copy)
		return err_ret(e, -ENOMEM, "cannot serve");
	fd = conn_listen(path, 0660, e);
	if (fd < 0) {
		free(copy);
		return fd;
	}
	/* without the right to give it away it stays as it is */
	if (s->has_group && chown(path, (uid_t)-1, s->group) < 0)
		log_warn(&s->daemon->log, "cannot give '%s' to the group " SERVER_GROUP ": %s",
			 path, strerror(errno));
	return server_add_socket(s, fd, copy, read_only, e);
}

int server_listen_fd(struct server *s, int take_fd, bool read_only, struct err *e)
{
	int type = 0, listens = 0, domain = 0, flags = fcntl(take_fd, F_GETFL), ret;
	socklen_t len = sizeof(int);

	if (flags < 0 || getsockopt(take_fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
	    getsockopt(take_fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    getsockopt(take_fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0)
		ret = err_errno(e, "descriptor %d is no socket", take_fd);
	else if (domain != AF_UNIX || type != SOCK_STREAM || !listens)
		ret = err_set(e, EINVAL,
			      "descriptor %d is no listening stream socket of the Unix domain",
			      take_fd);
	else if (fcntl(take_fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
		 fcntl(take_fd, F_SETFD, FD_CLOEXEC) < 0)
		ret = err_errno(e, "descriptor %d", take_fd);
	else
		return server_add_socket(s, take_fd, NULL, read_only, e);
	if (take_fd >= 0)
		close(take_fd);
	return ret;
}

void server_open(struct server *s)
{
	if (s->closing)
		return;
	s->opened = true;
	for (struct server_socket *sock = s->sockets; sock; sock = sock->next)
		uv_poll_start(&sock->poll, UV_READABLE, server_accept);
}

void server_close(struct server *s)
{
	if (!s || s->closing)
		return;
	s->closing = true;
	for (struct server_socket *sock = s->sockets; sock; sock = sock->next) {
		if (sock->path)
			unlink(sock->path);
		uv_close((uv_handle_t *)&sock->poll, NULL);
	}
	for (struct client *c = s->clients; c; c = c->next)
		conn_close(&c->conn);
}

void server_free(struct server *s)
{
	if (!s)
		return;
	while (s->sockets) {
		struct server_socket *sock = s->sockets;

		s->sockets = sock->next;
		server_socket_free(sock);
	}
	method_schemas_free(s->schemas);
	free(s);
}

struct method_schemas *server_schemas(struct server *s)
{
	return s->schemas;
}
