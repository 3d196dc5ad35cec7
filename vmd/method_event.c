// SPDX-License-Identifier: MIT
/* Methods event.list and event.subscribe. On the loop's thread. */
#include "vmd/methods.h"

#include "vmd/daemon.h"
#include "vmd/event.h"

void method_event_subscribe(struct daemon *d, struct call *call)
{
	int64_t since = json_get_int(call->params, "since", -1), subscription, seq;
	struct event_filter filter;
	struct json_object *o;
	struct err e;

	if (event_filter_init(&filter, d->state, call->params, &e) < 0 ||
	    event_subscribe(d->events, call->client, &filter, since, &subscription, &seq, &e) < 0) {
		call_fail(call, &e, NULL);
		return;
	}
	o = json_add_int(json_new(), "subscription", subscription);
	call_reply(call, json_add_int(o, "seq", seq));
}

void method_event_list(struct daemon *d, struct call *call)
{
	struct event_filter filter;
	struct json_object *page = NULL;
	struct err e;
	int ret = event_filter_init(&filter, d->state, call->params, &e);

	if (ret >= 0)
		ret = event_list(d->events, &filter, json_get_int(call->params, "since", 0),
				 json_get_int(call->params, "limit", 100), &page, &e);
	if (ret < 0)
		call_fail(call, &e, NULL);
	else
		call_reply(call, page);
	event_filter_fini(&filter);
}
