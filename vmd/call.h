/* SPDX-License-Identifier: MIT */
/*
 * Calls: requests on their way to an answer, which may come later than the handler's end, to a client that
 * may have gone meanwhile. On the loop's thread.
 */
#ifndef VMD_CALL_H
#define VMD_CALL_H

#include "lib/fdio.h"
#include "lib/json.h"
#include "state/state.h"

struct batch;
struct call_timer;
struct client;
struct daemon;
struct method;
struct request;
struct rpc_msg;

/*
 * One request. The handler or whoever it gave it to ends it exactly once with call_reply or call_fail.
 */
struct call {
	struct daemon *daemon;
	struct client *client; /* NULL once it has gone: the answer goes nowhere */
	const struct method *method;
	struct json_object *id;	    /* owned */
	struct json_object *params; /* owned; never NULL */
	struct state_actor actor;   /* who asks; stays when the client has gone */
	bool notification;	    /* wants no answer */
	struct batch *batch;	    /* that it came in; NULL: none */
	struct request *request;    /* what its request_id stands for (vmd/request.h); NULL: none */
	struct call *next_waiting;  /* that request's list, of a repetition */
	struct call_timer *timer;   /* owned: timeout_ms; NULL: none */
	struct call *prev, *next;   /* the client's list */
};

/* In the client's list; batch may be NULL. NULL when there is no memory. */
struct call *call_new(struct client *c, struct batch *batch, const struct rpc_msg *msg,
		      const struct method *method);
/* All checks, then the handler. */
void call_run(struct call *call);

/* The client has gone, or has its answer: the call goes on. */
void call_orphan(struct call *call);

void call_reply(struct call *call, struct json_object *take_result);
/* The same with descriptors. */
void call_reply_fds(struct call *call, struct json_object *take_result, struct fdset *take_fds);
/* take_data: more members for the error's data, or NULL. */
void call_fail(struct call *call, const struct err *e, struct json_object *take_data);
/* With an answer that another call got: {"result": …} or {"error": …}, borrowed. */
void call_answer(struct call *call, struct json_object *answer);
/* Who asks. */
void call_actor(const struct call *call, struct state_actor *ret_actor);

#endif
