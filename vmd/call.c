// SPDX-License-Identifier: MIT
/* Calls: see call.h; JSON-RPC 2.0 as in lib/rpc.h. On the loop's thread. */
#include "vmd/call.h"

#include <stdlib.h>

#include "lib/errcat.h"
#include "lib/rpc.h"
#include "vmd/client.h"
#include "vmd/daemon.h"
#include "vmd/event.h"
#include "vmd/methods.h"
#include "vmd/server.h"

struct call *call_new(struct client *c, struct batch *batch, const struct rpc_msg *msg,
		      const struct method *method)
{
	struct call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->daemon = c->daemon;
	call->client = c;
	call->method = method;
	call->id = json_object_get(msg->id);
	call->params = msg->params ? json_object_get(msg->params) : json_new();
	call->actor = c->actor;
	call->notification = msg->kind == RPC_NOTIFICATION;
	call->batch = batch_hold(batch);
	call->next = c->calls;
	if (c->calls)
		c->calls->prev = call;
	c->calls = call;
	c->ncalls++;
	return call;
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
	batch_put(call->batch);
	json_object_put(call->id);
	json_object_put(call->params);
	free(call);
}

static void call_end(struct call *call, struct json_object *take_msg, struct fdset *take_fds)
{
	if (call->client && !call->notification) {
		client_answer(call->client, call->batch, take_msg, take_fds);
	} else {
		json_object_put(take_msg);
		fdset_fini(take_fds);
	}
	call_free(call);
}

void call_reply_fds(struct call *call, struct json_object *take_result, struct fdset *take_fds)
{
	call_end(call, rpc_result(call->id, take_result), take_fds);
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
	log_debug(&call->daemon->log, "%s failed: %s", call->method->name, e->msg);
	call_end(call, rpc_error(call->id, e, call_data(call, take_data)), NULL);
}

void call_actor(const struct call *call, struct state_actor *ret_actor)
{
	*ret_actor = call->actor;
}

/* What can be said before the parameters are looked at. */
static int call_check_access(const struct call *call, struct err *e)
{
	const struct client *c = call->client;
	const struct method_info *info = method_info(server_schemas(c->server), call->method);

	if (c->read_only && !info->read) {
		err_set(e, ERR_DENIED, "%s changes something, and this socket is for reading only",
			call->method->name);
		return err_hint(e, "vmd's other socket serves all methods: vmd(8), --socket");
	}
	if (role_check(call, info, e) < 0)
		return -e->code;
	/* descriptors go with a message of their own */
	if (call->batch && info->fds)
		return err_set(e, ERR_RPC_REQUEST,
			       "%s answers with a descriptor and cannot be in a batch",
			       call->method->name);
	return 0;
}

/* What the handler causes at once is this client's doing: its events say so. */
static void call_handle(struct call *call)
{
	struct event_hub *events = call->daemon->events;
	const struct state_actor actor = call->actor; /* the call may end meanwhile */

	event_set_actor(events, &actor);
	call->method->handle(call->daemon, call);
	event_set_actor(events, NULL);
}

void call_run(struct call *call)
{
	struct method_schemas *schemas = server_schemas(call->client->server);
	struct schema_error where;
	struct err e;

	log_debug(&call->daemon->log, "%s from %s, pid %d, uid %u", call->method->name,
		  call->actor.program, (int)call->actor.pid, (unsigned int)call->actor.uid);
	if (call_check_access(call, &e) < 0)
		call_fail(call, &e, NULL);
	else if (method_check(schemas, call->method, call->params, &where, &e) < 0)
		call_fail(call, &e, json_add_str(json_new(), "path", where.pointer));
	else
		call_handle(call);
}
