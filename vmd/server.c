// SPDX-License-Identifier: MIT
/*
 * Sockets and the set of clients: see server.h. Who has no role (role.h) is refused at the accept, by the
 * peer's credentials. On the loop's thread.
 */
#include "vmd/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/conn.h"
#include "lib/errcat.h"
#include "lib/rpc.h"
#include "vmd/audit.h"
#include "vmd/client.h"
#include "vmd/daemon.h"
#include "vmd/event.h"
#include "vmd/methods.h"
#include "vmd/request.h"
#include "vmd/role.h"

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
	struct role_groups roles;
	struct client *clients; /* each frees itself */
	unsigned int nclients;
	struct call *orphans; /* each ends itself */
	struct log_limit refusals;
	struct audit audit;
	struct requests *requests;	/* owned */
	struct method_schemas *schemas; /* owned */
};

void server_remove_client(struct server *s, struct client *c)
{
	if (c->prev)
		c->prev->next = c->next;
	else
		s->clients = c->next;
	if (c->next)
		c->next->prev = c->prev;
	s->nclients--;
}

/* The name of its program is for the records only: it may lie about that. */
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

/* Who is it, and what may it do? */
static int server_peer(struct server *s, int fd, struct state_actor *ret_actor, enum role *ret_role,
		       struct err *e)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	*ret_actor = (struct state_actor){ .confined = true };
	*ret_role = ROLE_NONE;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return err_errno(e, "cannot tell who you are");
	*ret_role = role_of_peer(&s->roles, fd, &cred);
	ret_actor->uid = cred.uid;
	ret_actor->pid = cred.pid;
	ret_actor->confined = *ret_role != ROLE_ADMIN;
	server_peer_program(cred.pid, ret_actor->program, sizeof(ret_actor->program));
	if (*ret_role != ROLE_NONE)
		return 0;
	err_set(e, ERR_DENIED, "user %u may not use vmd", (unsigned int)cred.uid);
	return err_hint(e, "root and the members of the groups '%s', '%s' and '%s' may",
			s->roles.of[ROLE_ADMIN].name, s->roles.of[ROLE_OPERATOR].name,
			s->roles.of[ROLE_VIEWER].name);
}

static struct json_object *server_limits(void)
{
	struct json_object *o = json_add_int(json_new(), "line", RPC_LINE_MAX);

	json_add_int(o, "depth", JSON_DEPTH_MAX);
	json_add_int(o, "values", CLIENT_VALUES_MAX);
	json_add_int(o, "string", CLIENT_STRING_MAX);
	json_add_int(o, "connections", SERVER_CLIENTS_MAX);
	json_add_int(o, "per_uid", SERVER_CLIENTS_PER_UID);
	json_add_int(o, "in_flight", CLIENT_CALLS_MAX);
	json_add_int(o, "subscriptions", EVENT_SUBSCRIPTIONS_MAX);
	return json_add_int(o, "write_deadline_ms", CLIENT_WRITE_MS);
}

static struct json_object *server_hello(const struct daemon *d, enum role role)
{
	static const char *const features[] = { "batch", "request_id", "ro-socket" };
	struct json_object *o = json_add_str(json_new(), "version", VERSION);
	struct json_object *api = json_add_int(json_add_int(json_new(), "major", 1), "minor", 0);
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < ARRAY_SIZE(features); i++)
		json_object_array_add(list, json_object_new_string(features[i]));
	json_add(json_add(o, "api", api), "features", list);
	json_add(o, "limits", server_limits());
	json_add_str(o, "role", role_name(role));
	json_add_str(o, "server_id", state_server_id(d->state));
	return json_add_str(o, "boot_id", d->boot_id);
}

static int server_check_room(const struct server *s, uid_t uid, struct err *e)
{
	unsigned int n = 0;

	if (s->nclients >= SERVER_CLIENTS_MAX)
		return err_set(e, ERR_BUSY, "vmd serves at most %d connections at a time",
			       SERVER_CLIENTS_MAX);
	if (!uid || uid == geteuid())
		return 0;
	for (const struct client *c = s->clients; c; c = c->next)
		n += c->actor.uid == uid;
	if (n < SERVER_CLIENTS_PER_UID)
		return 0;
	return err_set(e, ERR_BUSY, "vmd serves at most %d connections of a user at a time",
		       SERVER_CLIENTS_PER_UID);
}

static void server_add_client(struct server_socket *sock, int take_fd)
{
	struct server *s = sock->server;
	struct state_actor actor;
	enum role role;
	struct client *c;
	struct err e;
	int ret = server_peer(s, take_fd, &actor, &role, &e);

	if (ret >= 0)
		ret = server_check_room(s, actor.uid, &e);
	c = client_new(s, s->daemon, take_fd, &actor, role, sock->read_only);
	if (!c)
		return;
	c->next = s->clients;
	if (c->next)
		c->next->prev = c;
	s->clients = c;
	s->nclients++;
	if (ret >= 0) {
		client_notify(c, "vmd.hello", server_hello(s->daemon, role));
		return;
	}
	log_limited(&s->daemon->log, &s->refusals, "refused: %s (%s, pid %d)", e.msg, actor.program,
		    (int)actor.pid);
	client_refuse(c, &e);
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

int server_new(struct daemon *d, struct server **ret_server, struct err *e)
{
	struct server *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return err_ret(e, -ENOMEM, "cannot serve");
	s->daemon = d;
	ret = role_groups_init(&s->roles, d->options->groups, e);
	if (ret >= 0)
		ret = method_schemas_new(&s->schemas, e);
	s->requests = requests_new();
	if (ret >= 0 && !s->requests)
		ret = err_ret(e, -ENOMEM, "cannot serve");
	if (ret < 0) {
		server_free(s);
		return ret;
	}
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
	const struct role_group *admins = &s->roles.of[ROLE_ADMIN];
	int fd;

	if (!copy)
		return err_ret(e, -ENOMEM, "cannot serve");
	/* a file has one group: with more than one of them, only the accept can tell who may come in */
	fd = conn_listen(path, role_groups_open(&s->roles) ? 0666 : 0660, e);
	if (fd < 0) {
		free(copy);
		return fd;
	}
	/* without the right to give it away it stays as it is */
	if (admins->known && chown(path, (uid_t)-1, admins->gid) < 0)
		log_warn(&s->daemon->log, "cannot give '%s' to the group '%s': %s", path,
			 admins->name, strerror(errno));
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
	requests_free(s->requests);
	method_schemas_free(s->schemas);
	free(s);
}

struct method_schemas *server_schemas(struct server *s)
{
	return s->schemas;
}

const struct role_groups *server_roles(const struct server *s)
{
	return &s->roles;
}

struct requests *server_requests(struct server *s)
{
	return s->requests;
}

void server_audit(struct server *s, const struct call *call, struct json_object *answer)
{
	audit_call(&s->audit, &s->daemon->log, uv_now(&s->daemon->loop), call, answer);
}

struct call **server_orphans(struct server *s)
{
	return &s->orphans;
}
