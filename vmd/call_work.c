// SPDX-License-Identifier: MIT
/* Answers that workers make: see call_work.h. */
#include "vmd/call_work.h"

#include <stdlib.h>

#include "lib/errcat.h"
#include "vmd/daemon.h"

struct call_work {
	uv_work_t work;
	struct call *call; /* ends with us */
	int (*make)(const struct daemon *d, struct json_object *params,
		    struct json_object **ret_result, struct err *e);
	void (*finish)(struct daemon *d, struct json_object *params, struct json_object *result);
	struct json_object *result; /* owned */
	int ret;
	struct err err;
};

static void call_work_run(uv_work_t *work)
{
	struct call_work *w = container_of(work, struct call_work, work);

	w->ret = w->make(w->call->daemon, w->call->params, &w->result, &w->err);
}

static void call_work_done(uv_work_t *work, int status)
{
	struct call_work *w = container_of(work, struct call_work, work);

	if (status < 0)
		w->ret = err_ret(&w->err, status, "vmd ends");
	if (w->ret >= 0 && w->finish)
		w->finish(w->call->daemon, w->call->params, w->result);
	if (w->ret >= 0)
		call_reply(w->call, w->result);
	else
		call_fail(w->call, &w->err, NULL);
	free(w);
}

void call_work(struct call *call,
	       int (*make)(const struct daemon *d, struct json_object *params,
			   struct json_object **ret_result, struct err *e),
	       void (*finish)(struct daemon *d, struct json_object *params,
			      struct json_object *result))
{
	struct call_work *w = calloc(1, sizeof(*w));
	struct err e;

	if (w) {
		*w = (struct call_work){ .call = call, .make = make, .finish = finish };
		if (uv_queue_work(&call->daemon->loop, &w->work, call_work_run, call_work_done) >=
		    0)
			return;
		free(w);
	}
	err_set(&e, ERR_RPC_INTERNAL, "out of memory");
	call_fail(call, &e, NULL);
}
