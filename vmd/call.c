// SPDX-License-Identifier: MIT
/* Calls: see call.h; JSON-RPC 2.0 as in lib/rpc.h. On the loop's thread. */
#include "vmd/call.h"

#include <stdlib.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/rpc.h"
#include "vmd/client.h"
#include "vmd/daemon.h"
#include "vmd/event.h"
#include "vmd/methods.h"
#include "vmd/request.h"
#include "vmd/server.h"
#include "vmd/turn.h"

static const struct method_info *call_info(const struct call *call)
{
	return method_info(server_schemas(call->daemon->server), call->method);
}

static void call_link(struct call *call, struct call **head)
{
	call->prev = NULL;
	call->next = *head;
	if (*head)
		(*head)->prev = call;
	*head = call;
}

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
	call_link(call, &c->calls);
	c->ncalls++;
	return call;
}

/* --- the end of a call's time: the client is answered, the call goes on --- */

struct call_timer {
	uv_timer_t timer;
	struct call *call;
};

static void call_timer_closed(uv_handle_t *handle)
{
	free(container_of((uv_timer_t *)handle, struct call_timer, timer));
}

static void call_timer_stop(struct call *call)
{
	if (call->timer)
		uv_close((uv_handle_t *)&call->timer->timer, call_timer_closed);
	call->timer = NULL;
}

/* Out of its client's list, or of that of the orphans. */
static void call_unlink(struct call *call)
{
	struct call **head =
		call->client ? &call->client->calls : server_orphans(call->daemon->server);

	if (call->prev)
		call->prev->next = call->next;
	else
		*head = call->next;
	if (call->next)
		call->next->prev = call->prev;
	if (call->client)
		call->client->ncalls--;
	call->client = NULL;
}

void call_orphan(struct call *call)
{
	call_timer_stop(call);
	call_unlink(call);
	call_link(call, server_orphans(call->daemon->server));
}

static void call_send(struct call *call, struct json_object *take_msg, struct fdset *take_fds)
{
	if (call->client && !call->notification) {
		client_answer(call->client, call->batch, take_msg, take_fds);
	} else {
		json_object_put(take_msg);
		fdset_fini(take_fds);
	}
}

static void call_expire(uv_timer_t *timer)
{
	struct call *call = container_of(timer, struct call_timer, timer)->call;
	struct client *c = call->client;
	struct err e;

	err_set(&e, ERR_TIMEOUT, "%s has not ended within %g s; it goes on", call->method->name,
		(double)json_get_int(call->params, "timeout_ms", 0) / 1000);
	err_hint(&e, json_get(call->params, "request_id")
			     ? "the same request_id again waits for its end"
			     : "vm.get says what it does");
	call_send(call, rpc_error(call->id, &e, NULL), NULL);
	call_orphan(call);
	batch_put(TAKE_PTR(call->batch));
	if (c)
		client_settle(c);
}

static int call_timer_start(struct call *call, struct err *e)
{
	int64_t ms = json_get_int(call->params, "timeout_ms", -1);
	struct call_timer *t;

	if (ms < 0 || !call_info(call)->may_expire)
		return 0;
	t = calloc(1, sizeof(*t));
	if (!t)
		return err_set(e, ERR_RPC_INTERNAL, "out of memory");
	t->call = call;
	uv_timer_init(&call->daemon->loop, &t->timer);
	uv_timer_start(&t->timer, call_expire, (uint64_t)ms, 0);
	call->timer = t;
	return 0;
}

/* --- answers --- */

static void call_free(struct call *call)
{
	struct client *c = call->client;

	call_timer_stop(call);
	call_unlink(call);
	batch_put(call->batch);
	if (c)
		client_settle(c);
	json_object_put(call->id);
	json_object_put(call->params);
	free(call);
}

/* The answer's member goes to the log and to those who have asked the same. */
static void call_end(struct call *call, struct json_object *take_msg, struct fdset *take_fds)
{
	struct daemon *d = call->daemon;

	if (!call_info(call)->read)
		server_audit(d->server, call, take_msg);
	if (call->request) {
		AUTO_JSON struct json_object *answer = json_new();
		const char *key = json_get(take_msg, "error") ? "error" : "result";

		json_add(answer, key, json_object_get(json_get(take_msg, key)));
		request_end(server_requests(d->server), call, answer);
	}
	call_send(call, take_msg, take_fds);
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

void call_answer(struct call *call, struct json_object *answer)
{
	struct json_object *error = json_get(answer, "error");

	if (error)
		call_end(call, rpc_error_again(call->id, error), NULL);
	else
		call_reply(call, json_object_get(json_get(answer, "result")));
}

void call_actor(const struct call *call, struct state_actor *ret_actor)
{
	*ret_actor = call->actor;
}

/* --- the way to the handler --- */

/* What can be said before the parameters are looked at. */
static int call_check_access(const struct call *call, struct err *e)
{
	const struct method_info *info = call_info(call);

	if (call->client->read_only && !info->read) {
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

static int call_check_revision(const struct call *call, struct err *e)
{
	int64_t want = json_get_int(call->params, "if_revision", -1);
	struct state_vm vm;
	int ret;

	if (want < 0 || !call_info(call)->if_revision)
		return 0;
	ret = state_vm_find(call->daemon->state, json_get_str(call->params, "vm", ""), &vm, e);
	if (ret < 0 || vm.revision == want)
		return ret;
	return err_set(e, ERR_VM_REVISION, "VM '%s' is at revision %lld, not %lld", vm.name,
		       (long long)vm.revision, (long long)want);
}

void call_run(struct call *call)
{
	struct schema_error where;
	struct err e;
	int ret;

	turn_before(call->daemon->turn, call);
	log_debug(&call->daemon->log, "%s from %s, pid %d, uid %u", call->method->name,
		  call->actor.program, (int)call->actor.pid, (unsigned int)call->actor.uid);
	if (call_check_access(call, &e) < 0) {
		call_fail(call, &e, NULL);
		return;
	}
	if (method_check(server_schemas(call->daemon->server), call->method, call->params, &where,
			 &e) < 0) {
		call_fail(call, &e, json_add_str(json_new(), "path", where.pointer));
		return;
	}
	ret = call_timer_start(call, &e);
	if (ret >= 0)
		ret = request_begin(server_requests(call->daemon->server), call, &e);
	if (!ret)
		ret = call_check_revision(call, &e);
	if (ret < 0)
		call_fail(call, &e, NULL);
	else if (!ret)
		call_handle(call);
}
