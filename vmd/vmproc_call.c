// SPDX-License-Identifier: MIT
/*
 * Requests to a vmm and their answers: see vmproc.h. A request belongs to the connection that it went out
 * on: it ends with its answer, its deadline, or that connection. On the loop's thread.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"
#include "lib/rpc.h"
#include "vmd/vmproc_priv.h"

static void vmproc_call_closed(uv_handle_t *handle)
{
	struct vmproc_call *call = container_of((uv_timer_t *)handle, struct vmproc_call, timer);

	vmproc_unref(call->proc);
	json_object_put(call->result);
	free(call);
}

/* Take a call off the list and end it; result and why are copied by nobody, so they live until done ends. */
static void vmproc_call_end(struct vmproc_call *call, struct json_object *result,
			    const struct err *why)
{
	struct vmproc_call **link = &call->proc->calls;

	while (*link != call)
		link = &(*link)->next;
	*link = call->next;
	call->proc->ncalls--;
	uv_close((uv_handle_t *)&call->timer, vmproc_call_closed);
	call->done(call->arg, result, why);
}

void vmproc_fail_calls(struct vmproc *p, const struct err *why)
{
	while (p->calls)
		vmproc_call_end(p->calls, NULL, why);
}

/* A call that could not go out: told from the loop, as promised. */
static void vmproc_call_unsent(const struct vmproc_call *call, struct err *ret_e)
{
	const struct err *why = &call->proc->why;

	if (vmproc_connected(call->proc)) {
		err_set(ret_e, ERR_BUSY, "vmm has %d requests to answer before %s",
			VMPROC_CALLS_MAX, call->method);
		return;
	}
	err_set(ret_e, ERR_VMM_PROTOCOL, "vmm cannot be asked (%s): %.300s", call->method,
		why->msg[0] ? why->msg : "it has not said hello yet");
	if (why->hint[0])
		err_hint(ret_e, "%s", why->hint);
}

static void vmproc_call_timeout(uv_timer_t *timer)
{
	struct vmproc_call *call = container_of(timer, struct vmproc_call, timer);
	struct err e;

	if (call->unsent)
		vmproc_call_unsent(call, &e);
	else
		err_set(&e, ERR_TIMEOUT, "vmm has not answered %s within %.1f s", call->method,
			call->timeout_ms / 1000.0);
	vmproc_call_end(call, NULL, &e);
}

void vmproc_call(struct vmproc *p, const char *method, struct json_object *take_params,
		 struct fdset *take_fds, unsigned int timeout_ms,
		 void (*done)(void *arg, struct json_object *result, const struct err *why),
		 void *arg)
{
	struct vmproc_call *call = calloc(1, sizeof(*call));

	if (!call)
		abort(); /* a small object, and the state machine would stand still */
	call->proc = p;
	call->id = ++p->last_id;
	call->method = method;
	call->done = done;
	call->arg = arg;
	call->timeout_ms = timeout_ms;
	call->next = p->calls;
	p->calls = call;
	p->ncalls++;
	p->handles++;
	uv_timer_init(p->options.loop, &call->timer);
	/* one that does not read keeps no more of our memory and descriptors than these */
	if (vmproc_connected(p) && p->ncalls <= VMPROC_CALLS_MAX) {
		conn_send(&p->conn, rpc_request(call->id, method, take_params), take_fds);
	} else {
		json_object_put(take_params);
		fdset_fini(take_fds);
		call->unsent = true;
		timeout_ms = 0;
	}
	uv_timer_start(&call->timer, vmproc_call_timeout, timeout_ms, 0);
}

void vmproc_prolong(struct vmproc *p)
{
	for (struct vmproc_call *call = p->calls; call; call = call->next)
		if (!call->unsent)
			uv_timer_start(&call->timer, vmproc_call_timeout, call->timeout_ms, 0);
}

/* The same for text whose LFs stay. */
static void vmproc_printable_lines(char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");
		char end = text[len];

		text[len] = '\0';
		vmproc_printable(text);
		text[len] = end;
		text += len + (end == '\n');
	}
}

/* vmm's error: its code counts where it is one of the catalogue's for such errors, its words made safe. */
static void vmproc_take_error(struct json_object *error, struct err *e)
{
	rpc_error_to_err(error, e);
	if (e->code < ERR_FAILED || errcat_find(e->code)->code != e->code)
		e->code = ERR_FAILED;
	vmproc_printable(e->msg);
	vmproc_printable(e->hint);
	vmproc_printable_lines(e->cause);
}

void vmproc_answer(struct vmproc *p, const struct rpc_msg *m)
{
	struct vmproc_call *call = p->calls;
	struct err e;

	if (!json_object_is_type(m->id, json_type_int))
		return;
	while (call && call->id != json_object_get_int64(m->id))
		call = call->next;
	if (!call)
		return; /* late: it had timed out */
	if (m->kind == RPC_RESULT) {
		vmproc_call_end(call, m->result, NULL);
		return;
	}
	vmproc_take_error(m->error, &e);
	vmproc_call_end(call, NULL, &e);
}
