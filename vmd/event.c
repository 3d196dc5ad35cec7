// SPDX-License-Identifier: MIT
/*
 * Events: see event.h. An event is stored before it is sent, so that what a subscriber has seen can be
 * read again by its number. A subscriber that does not read is closed by its connection's limit
 * (lib/conn.h) and comes back with `since`. On the loop's thread.
 */
#include "vmd/event.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/log.h"
#include "lib/rpc.h"
#include "vmd/client.h"

struct event_sub {
	struct event_sub *next;
	struct client *client; /* the server's */
	int64_t number;
	struct json_object *vms, *types; /* owned; NULL: all */
};

struct event_hub {
	struct state *state;	/* the daemon's */
	const struct log *log;	/* the daemon's */
	struct event_sub *subs; /* owned */
	int64_t last_number;
	struct json_object *pending; /* owned: an array of events that were stored and not sent */
};

void event_time(int64_t time_ms, char out[static EVENT_TIME_SIZE])
{
	time_t t = (time_t)(time_ms / 1000);
	struct tm tm;
	size_t n;

	gmtime_r(&t, &tm);
	n = strftime(out, EVENT_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, EVENT_TIME_SIZE - n, ".%03dZ", (int)(time_ms % 1000));
}

struct event_hub *event_hub_new(struct state *state, const struct log *log)
{
	struct event_hub *hub = calloc(1, sizeof(*hub));

	if (!hub)
		return NULL;
	hub->state = state;
	hub->log = log;
	hub->pending = json_object_new_array();
	return hub;
}

static void event_sub_free(struct event_sub *sub)
{
	json_object_put(sub->vms);
	json_object_put(sub->types);
	free(sub);
}

void event_hub_free(struct event_hub *hub)
{
	if (!hub)
		return;
	while (hub->subs) {
		struct event_sub *sub = hub->subs;

		hub->subs = sub->next;
		event_sub_free(sub);
	}
	json_object_put(hub->pending);
	free(hub);
}

static struct json_object *event_object(int64_t seq, int64_t time_ms, const char *type,
					const char *vm, struct json_object *take_data)
{
	struct json_object *o = json_add_int(json_new(), "seq", seq);
	char text[EVENT_TIME_SIZE];

	event_time(time_ms, text);
	json_add_str(o, "time", text);
	json_add_str(o, "type", type);
	if (vm)
		json_add_str(o, "vm", vm);
	return json_add(o, "data", take_data);
}

int event_add(struct event_hub *hub, const char *type, const char *vm,
	      struct json_object *take_data, struct err *e)
{
	AUTO_JSON struct json_object *data = take_data ? take_data : json_new();
	int64_t now = state_now_ms(), seq;
	int ret = state_event_add(hub->state, now, type, vm,
				  json_object_to_json_string_ext(data, JSON_C_TO_STRING_PLAIN),
				  &seq, e);

	if (ret < 0)
		return ret;
	json_object_array_add(hub->pending, event_object(seq, now, type, vm, TAKE_PTR(data)));
	return 0;
}

/* Is the string in the filter? No filter: yes. */
static bool event_in(struct json_object *filter, const char *word)
{
	if (!filter)
		return true;
	for (size_t i = 0; word && i < json_object_array_length(filter); i++)
		if (!strcmp(json_object_get_string(json_object_array_get_idx(filter, i)), word))
			return true;
	return false;
}

static void event_send(const struct event_sub *sub, struct json_object *event)
{
	struct json_object *params;

	if (!event_in(sub->types, json_get_str(event, "type", "")) ||
	    !event_in(sub->vms, json_get_str(event, "vm", NULL)))
		return;
	params = json_add_int(json_clone(event), "subscription", sub->number);
	client_notify(sub->client, "event", params);
}

void event_flush(struct event_hub *hub)
{
	for (size_t i = 0; i < json_object_array_length(hub->pending); i++)
		for (struct event_sub *sub = hub->subs; sub; sub = sub->next)
			event_send(sub, json_object_array_get_idx(hub->pending, i));
	event_drop(hub);
}

void event_drop(struct event_hub *hub)
{
	json_object_put(hub->pending);
	hub->pending = json_object_new_array();
}

void event_emit(struct event_hub *hub, const char *type, const char *vm,
		struct json_object *take_data)
{
	struct err e;

	if (event_add(hub, type, vm, take_data, &e) < 0)
		log_error(hub->log, "event %s is lost: %s", type, e.msg);
	event_flush(hub);
}

int event_subscribe(struct event_hub *hub, struct client *client, struct json_object *vms,
		    struct json_object *types, int64_t *ret_subscription, int64_t *ret_seq,
		    struct err *e)
{
	struct event_sub *sub;
	unsigned int n = 0;
	int ret;

	for (sub = hub->subs; sub; sub = sub->next)
		n += sub->client == client;
	if (n >= EVENT_SUBSCRIPTIONS_MAX)
		return err_set(e, ERR_BUSY, "a connection has at most %d subscriptions",
			       EVENT_SUBSCRIPTIONS_MAX);
	ret = state_event_last(hub->state, ret_seq, e);
	if (ret < 0)
		return ret;
	sub = calloc(1, sizeof(*sub));
	if (!sub)
		return err_ret(e, -ENOMEM, "cannot subscribe");
	sub->client = client;
	sub->number = ++hub->last_number;
	sub->vms = json_object_get(vms);
	sub->types = json_object_get(types);
	sub->next = hub->subs;
	hub->subs = sub;
	*ret_subscription = sub->number;
	return 0;
}

static int event_replay_one(void *arg, const struct state_event *ev)
{
	AUTO_JSON struct json_object *event = NULL;
	struct json_object *data = NULL;

	if (json_parse(ev->data, strlen(ev->data), &data, NULL) < 0)
		data = json_new();
	event = event_object(ev->seq, ev->time_ms, ev->type, ev->vm, data);
	event_send(arg, event);
	return 0;
}

int event_replay(struct event_hub *hub, int64_t subscription, int64_t since, struct err *e)
{
	struct event_sub *sub = hub->subs;

	while (sub && sub->number != subscription)
		sub = sub->next;
	return sub ? state_event_list(hub->state, since, event_replay_one, sub, e) : 0;
}

void event_forget(struct event_hub *hub, const struct client *client)
{
	struct event_sub **link = &hub->subs;

	while (*link) {
		struct event_sub *sub = *link;

		if (sub->client != client) {
			link = &sub->next;
			continue;
		}
		*link = sub->next;
		event_sub_free(sub);
	}
}
