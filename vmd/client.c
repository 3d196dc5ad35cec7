// SPDX-License-Identifier: MIT
/* A client's messages: see client.h. On the loop's thread. */
#include "vmd/client.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/errcat.h"
#include "lib/rpc.h"
#include "vmd/call.h"
#include "vmd/daemon.h"
#include "vmd/event.h"
#include "vmd/methods.h"
#include "vmd/server.h"

/* The answers to a batch, as text: they go out together, and their size is bounded like all output. */
struct batch {
	struct client *client; /* NULL once it has gone */
	unsigned int holds;    /* by its calls, and while its requests are read */
	struct buf text;
	bool too_long;
};

static void client_closed(struct conn *conn, const struct err *why)
{
	struct client *c = conn->arg;

	if (why)
		log_debug(&c->daemon->log, "client %d (%s) lost: %s", (int)c->actor.pid,
			  c->actor.program, why->msg);
	event_forget(c->daemon->events, c);
	while (c->calls) {
		if (c->calls->batch)
			c->calls->batch->client = NULL;
		call_orphan(c->calls);
	}
	server_remove_client(c->server, c);
	free(c);
}

void client_notify(struct client *c, const char *method, struct json_object *take_params)
{
	conn_send(&c->conn, rpc_notification(method, take_params), NULL);
}

size_t client_backlog(const struct client *c)
{
	return c->conn.out_bytes;
}

/* --- batches --- */

static struct batch *batch_new(struct client *c)
{
	struct batch *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->client = c;
	b->holds = 1;
	buf_init(&b->text, CONN_OUT_MAX);
	return b;
}

struct batch *batch_hold(struct batch *b)
{
	if (b)
		b->holds++;
	return b;
}

static void batch_send(struct batch *b)
{
	struct err e;

	if (b->too_long) {
		err_set(&e, ERR_RPC_TOO_LONG, "the answers to a batch are more than %d bytes long",
			CONN_OUT_MAX);
		conn_send(&b->client->conn, rpc_error(NULL, &e, NULL), NULL);
	} else if (buf_len(&b->text)) { /* else there were notifications only */
		conn_send_text(&b->client->conn, buf_head(&b->text), buf_len(&b->text));
	}
}

void batch_put(struct batch *b)
{
	if (!b || --b->holds)
		return;
	if (buf_len(&b->text) && buf_add(&b->text, "]", 1) < 0)
		b->too_long = true;
	if (b->client)
		batch_send(b);
	buf_fini(&b->text);
	free(b);
}

static void batch_add(struct batch *b, struct json_object *msg)
{
	size_t len;
	const char *text = json_object_to_json_string_length(
		msg, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);

	if (buf_add(&b->text, buf_len(&b->text) ? "," : "[", 1) < 0 ||
	    buf_add(&b->text, text, len) < 0)
		b->too_long = true;
}

void client_answer(struct client *c, struct batch *batch, struct json_object *take_msg,
		   struct fdset *take_fds)
{
	if (!batch) {
		conn_send(&c->conn, take_msg, take_fds);
		return;
	}
	fdset_fini(take_fds);
	batch_add(batch, take_msg);
	json_object_put(take_msg);
}

/* --- requests --- */

static void client_error(struct client *c, struct batch *batch, const struct rpc_msg *msg,
			 const struct err *e)
{
	if (msg->kind != RPC_NOTIFICATION)
		client_answer(c, batch, rpc_error(msg->id, e, NULL), NULL);
}

static void client_no_method(struct client *c, struct batch *batch, const struct rpc_msg *msg)
{
	const char *near = method_near(msg->method);
	struct err e;

	err_set(&e, ERR_RPC_METHOD, "unknown method '%.64s'", msg->method);
	if (near)
		err_hint(&e, "did you mean '%s'?", near);
	client_error(c, batch, msg, &e);
}

/* A user that asks and goes away, again and again, must not fill vmd; what ends such calls gets through. */
static int client_check_orphans(struct client *c, const struct method *method, struct err *e)
{
	bool urgent = method_info(server_schemas(c->server), method)->urgent;
	unsigned int n = 0;

	for (const struct call *call = *server_orphans(c->server); call; call = call->next)
		n += call->actor.uid == c->actor.uid;
	if (n < (urgent ? 2 : 1) * CLIENT_ORPHANS_MAX)
		return 0;
	err_set(e, ERR_BUSY, "%u requests of user %u go on though nobody waits for them", n,
		(unsigned int)c->actor.uid);
	return err_hint(e, "vm.kill ends those that wait for a VM");
}

static int client_check_room(struct client *c, const struct method *method, struct err *e)
{
	if (c->ncalls >= CLIENT_CALLS_MAX)
		return err_set(e, ERR_BUSY, "%d requests of this connection wait for their answer",
			       CLIENT_CALLS_MAX);
	return client_check_orphans(c, method, e);
}

static void client_request(struct client *c, struct batch *batch, const struct rpc_msg *msg)
{
	const struct method *method = method_find(msg->method);
	struct call *call;
	struct err e;

	if (!method) {
		client_no_method(c, batch, msg);
		return;
	}
	if (client_check_room(c, method, &e) < 0) {
		client_error(c, batch, msg, &e);
		return;
	}
	call = call_new(c, batch, msg, method);
	if (!call) {
		err_set(&e, ERR_RPC_INTERNAL, "out of memory");
		client_error(c, batch, msg, &e);
		return;
	}
	call_run(call);
}

static void client_one(struct client *c, struct batch *batch, struct json_object *msg)
{
	struct rpc_msg m;
	struct err e;

	if (rpc_msg_parse(msg, &m, &e) < 0)
		client_answer(c, batch, rpc_error(m.id, &e, NULL), NULL);
	else if (m.kind == RPC_REQUEST || m.kind == RPC_NOTIFICATION)
		client_request(c, batch, &m);
}

static int client_check_batch(struct json_object *msgs, struct err *e)
{
	size_t n = json_object_array_length(msgs);

	if (!n)
		return err_set(e, ERR_RPC_REQUEST, "a batch has at least one request");
	if (n > CLIENT_CALLS_MAX)
		return err_set(e, ERR_RPC_REQUEST, "a batch has at most %d requests, not %zu",
			       CLIENT_CALLS_MAX, n);
	return 0;
}

static void client_batch(struct client *c, struct json_object *msgs)
{
	struct batch *batch = NULL;
	struct err e;
	int ret = client_check_batch(msgs, &e);

	if (ret >= 0) {
		batch = batch_new(c);
		if (!batch)
			ret = err_set(&e, ERR_RPC_INTERNAL, "out of memory");
	}
	if (ret < 0) {
		conn_send(&c->conn, rpc_error(NULL, &e, NULL), NULL);
		return;
	}
	for (size_t i = 0; i < json_object_array_length(msgs); i++)
		client_one(c, batch, json_object_array_get_idx(msgs, i));
	batch_put(batch);
}

static void client_message(struct conn *conn, struct json_object *msg, struct fdset *fds)
{
	struct client *c = conn->arg;

	struct err e;

	(void)fds; /* no method takes descriptors; they are closed */
	if (c->refused)
		return;
	if (json_get(msg, "fds")) {
		err_set(&e, ERR_RPC_REQUEST, "'fds': no method takes descriptors");
		conn_send(conn, rpc_error(NULL, &e, NULL), NULL);
		return;
	}
	if (json_object_is_type(msg, json_type_array))
		client_batch(c, msg);
	else
		client_one(c, NULL, msg);
}

static void client_bad_input(struct conn *conn, const struct err *why)
{
	struct client *c = conn->arg;

	conn_send(conn, rpc_error(NULL, why, NULL), NULL);
	if (why->code == ERR_RPC_TOO_LONG && ++c->too_long >= CLIENT_TOO_LONG_MAX)
		conn_finish(conn);
}

static void client_drained(struct conn *conn)
{
	struct client *c = conn->arg;

	event_drained(c->daemon->events, c);
}

void client_settle(struct client *c)
{
	if (c->ended && !c->ncalls)
		conn_finish(&c->conn);
}

static void client_ended(struct conn *conn)
{
	struct client *c = conn->arg;

	c->ended = true;
	client_settle(c);
}

static const struct conn_ops client_ops = {
	.message = client_message,
	.bad_input = client_bad_input,
	.drained = client_drained,
	.ended = client_ended,
	.closed = client_closed,
};

struct client *client_new(struct server *s, struct daemon *d, int take_fd,
			  const struct state_actor *actor, enum role role, bool read_only)
{
	static const struct conn_limits limits = { .line = RPC_LINE_MAX,
						   .json = { .values = CLIENT_VALUES_MAX,
							     .string = CLIENT_STRING_MAX },
						   .no_fds = true, /* no method takes any */
						   .write_ms = CLIENT_WRITE_MS };
	struct client *c = calloc(1, sizeof(*c));

	if (!c) {
		close(take_fd);
		return NULL;
	}
	c->server = s;
	c->daemon = d;
	c->actor = *actor;
	c->role = role;
	c->read_only = read_only;
	if (conn_init(&c->conn, &d->loop, take_fd, &client_ops, c, NULL) < 0) {
		free(c);
		return NULL;
	}
	conn_set_limits(&c->conn, &limits);
	return c;
}

void client_refuse(struct client *c, const struct err *e)
{
	c->refused = true;
	conn_send(&c->conn, rpc_error(NULL, e, NULL), NULL);
	conn_finish(&c->conn);
}
