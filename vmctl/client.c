// SPDX-License-Identifier: MIT
/* The connection to vmd: see client.h. One thread; the loop turns only inside of these functions. */
#include "vmctl/client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"
#include "lib/rpc.h"

#define CLIENT_AGAIN_MS 100 /* between two tries to reach a vmd that is not there */

struct client_call {
	struct client_call *next;
	int64_t id;
	bool done;
	struct client_reply reply;
};

static void client_message(struct conn *conn, struct json_object *msg, struct fdset *fds);
static void client_closed(struct conn *conn, const struct err *why);

static const struct conn_ops client_conn_ops = {
	.message = client_message,
	.closed = client_closed,
};

void client_reply_fini(struct client_reply *r)
{
	if (!r)
		return;
	json_object_put(r->result);
	json_object_put(r->error);
	fdset_fini(&r->fds);
	*r = (struct client_reply){ 0 };
}

static void client_hello(struct client *c, struct json_object *params)
{
	int64_t major = json_get_int(json_get(params, "api"), "major", 0);

	json_object_put(c->hello);
	c->hello = json_object_get(params);
	if (major == CLIENT_API_MAJOR)
		return;
	err_set(&c->why, ERR_UNREACHABLE, "vmd at '%s' speaks version %lld of the API, vmctl %d",
		c->path, (long long)major, CLIENT_API_MAJOR);
	err_hint(&c->why, "use the vmctl that came with this vmd (version %s)",
		 json_get_str(params, "version", "unknown"));
	conn_close(&c->conn);
}

static void client_answer(struct client *c, const struct rpc_msg *m, struct fdset *fds)
{
	int64_t id = json_object_is_type(m->id, json_type_int) ? json_object_get_int64(m->id) : -1;

	for (struct client_call *call = c->calls; call; call = call->next) {
		if (call->id != id || call->done)
			continue;
		call->done = true;
		call->reply.result = json_object_get(m->result);
		call->reply.error = json_object_get(m->error);
		call->reply.fds = *fds;
		fds->n = 0;
		return;
	}
	/* An error without an id answers a message that vmd could not read: nothing else tells us. */
	if (m->kind == RPC_ERROR && !m->id) {
		rpc_error_to_err(m->error, &c->why);
		conn_close(&c->conn);
	}
}

static void client_message(struct conn *conn, struct json_object *msg, struct fdset *fds)
{
	struct client *c = conn->arg;
	struct rpc_msg m;
	struct err e;

	if (rpc_msg_parse(msg, &m, &e) < 0) {
		err_set(&c->why, ERR_UNREACHABLE, "%s", e.msg);
		err_because(&c->why, "vmd at '%s' sent what is no JSON-RPC", c->path);
		conn_close(conn);
		return;
	}
	if (m.kind == RPC_RESULT || m.kind == RPC_ERROR)
		client_answer(c, &m, fds);
	else if (m.kind == RPC_NOTIFICATION && !strcmp(m.method, "vmd.hello"))
		client_hello(c, m.params);
	else if (m.kind == RPC_NOTIFICATION && c->event &&
		 (!strcmp(m.method, "event") || !strcmp(m.method, "event.overflow")))
		c->event(c->event_arg, m.method, m.params);
}

static void client_closed(struct conn *conn, const struct err *why)
{
	struct client *c = conn->arg;

	c->open = false;
	if (c->why.code)
		return;
	if (why) {
		err_set(&c->why, ERR_UNREACHABLE, "%s", why->msg);
		err_because(&c->why, "lost vmd at '%s'", c->path);
	} else {
		err_set(&c->why, ERR_UNREACHABLE, "vmd at '%s' closed the connection", c->path);
	}
	err_hint(&c->why, "its log says why; VMs go on without it");
}

static void client_interrupt(uv_signal_t *handle, int signum)
{
	struct client *c = container_of(handle, struct client, sigint);

	(void)signum;
	c->interrupted = true;
}

static void client_timeout(uv_timer_t *handle)
{
	struct client *c = container_of(handle, struct client, timer);

	c->timed_out = true;
}

static int client_unreachable(const char *path, int ret, const struct err *why, struct err *e)
{
	if (ret == -ENAMETOOLONG)
		return err_set(e, ERR_UNREACHABLE, "cannot reach vmd: %s", why->msg);
	err_set(e, ret == -EACCES || ret == -EPERM ? ERR_DENIED : ERR_UNREACHABLE,
		"cannot reach vmd at '%s': %s", path, strerror(-ret));
	if (ret == -ENOENT)
		return err_hint(e, "start it (systemctl start vmd, or vmd --socket PATH), "
				   "or name its socket with --socket or VMD_SOCKET");
	if (ret == -ECONNREFUSED)
		return err_hint(e, "nobody listens on the socket: vmd has ended; start it again");
	if (ret == -EACCES || ret == -EPERM)
		return err_hint(e, "the socket's owner and group may use it: see ls -l '%s'", path);
	return -e->code;
}

static int client_open_loop(struct client *c, struct err *e)
{
	int ret = uv_loop_init(&c->loop);

	if (ret < 0)
		return err_ret(e, ret, "cannot make an event loop");
	c->loop_ready = true;
	uv_timer_init(&c->loop, &c->timer);
	uv_signal_init(&c->loop, &c->sigint);
	return 0;
}

int client_open(struct client *c, const char *path, struct err *e)
{
	struct err why;
	int fd, ret;

	*c = (struct client){ .path = path };
	fd = conn_connect(path, &why);
	if (fd < 0)
		return client_unreachable(path, fd, &why, e);
	ret = client_open_loop(c, e);
	if (ret < 0) {
		close(fd);
		return ret;
	}
	ret = conn_init(&c->conn, &c->loop, fd, &client_conn_ops, c, e);
	if (ret < 0)
		return ret;
	/* answers may be longer than requests: a list of 10,000 VMs */
	conn_set_limits(&c->conn, &(struct conn_limits){ .line = CONN_OUT_MAX });
	c->open = true;
	return 0;
}

void client_close(struct client *c)
{
	if (!c->loop_ready)
		return;
	if (c->open)
		conn_close(&c->conn);
	uv_close((uv_handle_t *)&c->timer, NULL);
	uv_close((uv_handle_t *)&c->sigint, NULL);
	uv_run(&c->loop, UV_RUN_DEFAULT);
	uv_loop_close(&c->loop);
	while (c->calls) {
		struct client_call *call = c->calls;

		c->calls = call->next;
		client_reply_fini(&call->reply);
		free(call);
	}
	json_object_put(c->hello);
	*c = (struct client){ 0 };
}

/* One try, until end_ms: connect, and be answered by the vmd with that server_id. */
static int client_try(struct client *c, const char *path, const char *server, uint64_t end_ms,
		      struct err *e)
{
	uint64_t now = uv_hrtime() / 1000000;
	struct client_reply reply;
	const char *found;
	int ret = client_open(c, path, e);

	if (ret < 0)
		return ret;
	ret = client_wait(c, client_send(c, "daemon.ping", NULL), now < end_ms ? end_ms - now : 1,
			  &reply, e);
	client_reply_fini(&reply);
	found = json_get_str(c->hello, "server_id", "");
	if (ret >= 0 && strcmp(found, server) != 0) {
		err_set(e, ERR_UNREACHABLE, "vmd at '%s' is another one: it has another database",
			path);
		return -ESTALE;
	}
	return ret;
}

int client_reopen(struct client *c, uint64_t limit_ms, struct err *e)
{
	uint64_t end_ms = uv_hrtime() / 1000000 + limit_ms;
	const struct client old = *c;
	struct err why = { 0 };
	char server[64];
	int ret;

	snprintf(server, sizeof(server), "%s", json_get_str(c->hello, "server_id", ""));
	do {
		if (why.code)
			poll(NULL, 0, CLIENT_AGAIN_MS);
		client_close(c);
		ret = client_try(c, old.path, server, end_ms, &why);
	} while (ret < 0 && ret != -ESTALE && ret != -EINTR && ret != -ERR_DENIED &&
		 uv_hrtime() / 1000000 < end_ms);
	if (ret >= 0) {
		c->event = old.event;
		c->event_arg = old.event_arg;
		client_watch(c, old.watching);
		return 0;
	}
	client_close(c);
	if (why.code != EINTR && why.code != ERR_DENIED)
		why.code = ERR_UNREACHABLE; /* whatever it said last, as that it is too busy */
	if (e)
		*e = why;
	return -why.code;
}

/* A handler would undo what `vmctl … &` or nohup asked for. */
static bool client_sigint_ignored(void)
{
	struct sigaction old;

	return !sigaction(SIGINT, NULL, &old) && old.sa_handler == SIG_IGN;
}

/* From before a request is sent, so that Ctrl-C always meets the handler that says what goes on in vmd. */
static void client_watch_interrupt(struct client *c)
{
	if (!client_sigint_ignored())
		uv_signal_start(&c->sigint, client_interrupt, SIGINT);
}

int64_t client_send(struct client *c, const char *method, struct json_object *take_params)
{
	struct client_call *call = calloc(1, sizeof(*call));

	if (!call)
		abort();
	call->id = ++c->last_id;
	call->next = c->calls;
	c->calls = call;
	if (!take_params)
		take_params = json_new();
	client_watch_interrupt(c);
	if (c->open)
		conn_send(&c->conn, rpc_request(call->id, method, take_params), NULL);
	else
		json_object_put(take_params);
	return call->id;
}

static void client_turn(struct client *c, const struct client_call *call, uint64_t timeout_ms)
{
	c->timed_out = false;
	if (timeout_ms)
		uv_timer_start(&c->timer, client_timeout, timeout_ms, 0);
	client_watch_interrupt(c);
	while (!(call ? call->done : c->wake) && c->open && !c->interrupted && !c->timed_out)
		uv_run(&c->loop, UV_RUN_ONCE);
	if (!c->watching)
		uv_signal_stop(&c->sigint);
	uv_timer_stop(&c->timer);
}

void client_watch(struct client *c, bool on)
{
	c->watching = on;
	if (on)
		client_watch_interrupt(c);
	else
		uv_signal_stop(&c->sigint);
}

/* Move the answer out of the list. */
static void client_take(struct client *c, struct client_call *call, struct client_reply *ret)
{
	struct client_call **at = &c->calls;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	*ret = call->reply;
	free(call);
}

int client_wait(struct client *c, int64_t id, uint64_t timeout_ms, struct client_reply *ret,
		struct err *e)
{
	struct client_call *call = c->calls;

	*ret = (struct client_reply){ 0 };
	while (call && call->id != id)
		call = call->next;
	client_turn(c, call, timeout_ms);
	if (call && call->done) {
		client_take(c, call, ret);
		return ret->error ? rpc_error_to_err(ret->error, e) : 0;
	}
	if (!call && c->wake)
		return 0;
	if (c->interrupted)
		return err_set(e, EINTR, "interrupted");
	if (!c->open) {
		if (e)
			*e = c->why;
		return c->why.code > 0 ? -c->why.code : c->why.code;
	}
	return err_set(e, ERR_TIMEOUT, "vmd did not answer within %llu ms",
		       (unsigned long long)timeout_ms);
}

int client_call(struct client *c, const char *method, struct json_object *take_params,
		struct client_reply *ret, struct err *e)
{
	return client_wait(c, client_send(c, method, take_params), 0, ret, e);
}
