// SPDX-License-Identifier: MIT
/*
 * Events: see event.h. An event is stored before it is sent, so that what a subscriber has seen, or
 * missed, can be read again by its number. A subscription is live, or it replays: then it is a place in
 * the ring that moves on as its client reads. On the loop's thread.
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

#define EVENT_BACKLOG (256 * KIB) /* bytes that may wait for a client to read them */
#define EVENT_TURN_SENT 200	  /* of a replay in one turn of the loop */
#define EVENT_TURN_READ 1000
#define EVENT_LIST_READ 5000		    /* rows that one event.list looks at */
#define EVENT_LIST_BYTES (RPC_LINE_MAX / 2) /* it is one message */

struct event_sub {
	struct event_sub *next;
	struct event_hub *hub;
	struct client *client; /* the server's */
	int64_t number;
	struct event_filter filter;
	bool replaying;
	int64_t place, newest; /* replaying: the last one looked at; the last one at first */
	int64_t missed_from, missed_to; /* live: not sent, for the client does not read; 0: none */
};

struct event_hub {
	struct state *state;   /* the daemon's */
	const struct log *log; /* the daemon's */
	uv_idle_t pump;	       /* the next turn of the replays */
	bool closed;
	struct event_sub *subs; /* owned */
	int64_t last_number;
	const struct state_actor *actor; /* borrowed; NULL: nobody */
	struct json_object *pending; /* owned: an array of events that were stored and not sent */
};

/* strftime takes five times as long, which a list of thousands shows. */
static void event_digits(char *out, size_t width, int n)
{
	for (char *p = out + width; p > out; n /= 10)
		*--p = (char)('0' + MAX(n, 0) % 10);
}

void event_time(int64_t time_ms, char out[static EVENT_TIME_SIZE])
{
	static const char zero[EVENT_TIME_SIZE] = "0000-00-00T00:00:00.000Z";
	time_t t = (time_t)(time_ms / 1000);
	struct tm tm;

	gmtime_r(&t, &tm);
	memcpy(out, zero, sizeof(zero));
	event_digits(out, 4, tm.tm_year + 1900);
	event_digits(out + 5, 2, tm.tm_mon + 1);
	event_digits(out + 8, 2, tm.tm_mday);
	event_digits(out + 11, 2, tm.tm_hour);
	event_digits(out + 14, 2, tm.tm_min);
	event_digits(out + 17, 2, tm.tm_sec);
	event_digits(out + 20, 3, (int)(time_ms % 1000));
}

struct event_hub *event_hub_new(uv_loop_t *loop, struct state *state, const struct log *log)
{
	struct event_hub *hub = calloc(1, sizeof(*hub));

	if (!hub)
		return NULL;
	hub->state = state;
	hub->log = log;
	hub->pending = json_object_new_array();
	uv_idle_init(loop, &hub->pump);
	return hub;
}

void event_hub_close(struct event_hub *hub)
{
	if (!hub || hub->closed)
		return;
	hub->closed = true;
	uv_close((uv_handle_t *)&hub->pump, NULL);
}

static void event_sub_free(struct event_sub *sub)
{
	event_filter_fini(&sub->filter);
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

/* --- what happens ------------------------------------------------------------------------------ */

struct json_object *event_actor_json(const struct state_actor *actor)
{
	struct json_object *o = json_add_int(json_new(), "uid", actor->uid);

	json_add_int(o, "pid", actor->pid);
	return json_add_str(o, "program", actor->program);
}

const struct state_actor *event_set_actor(struct event_hub *hub, const struct state_actor *actor)
{
	const struct state_actor *was = hub->actor;

	hub->actor = actor;
	return was;
}

static const char *event_text(struct json_object *o)
{
	return json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
}

static void event_add_parsed(struct json_object *o, const char *key, const char *text)
{
	struct json_object *value = NULL;

	if (json_parse(text, strlen(text), &value, NULL) < 0)
		value = json_new();
	json_add(o, key, value);
}

static struct json_object *event_object(const struct state_event *ev)
{
	struct json_object *o = json_add_int(json_new(), "seq", ev->seq);
	char text[EVENT_TIME_SIZE];

	event_time(ev->time_ms, text);
	json_add_str(o, "time", text);
	json_add_str(o, "type", ev->type);
	if (ev->vm)
		json_add_str(o, "vm", ev->vm);
	if (ev->actor)
		event_add_parsed(o, "actor", ev->actor);
	event_add_parsed(o, "data", ev->data);
	return o;
}

int event_add(struct event_hub *hub, const char *type, const char *vm,
	      struct json_object *take_data, struct err *e)
{
	AUTO_JSON struct json_object *data = take_data ? take_data : json_new();
	AUTO_JSON struct json_object *actor = hub->actor ? event_actor_json(hub->actor) : NULL;
	struct state_event ev = { .time_ms = state_now_ms(),
				  .type = type,
				  .vm = vm,
				  .data = event_text(data),
				  .actor = actor ? event_text(actor) : NULL };
	int ret = state_event_add(hub->state, &ev, &ev.seq, e);

	if (ret < 0)
		return ret;
	json_object_array_add(hub->pending, event_object(&ev));
	return 0;
}

/* --- filters ----------------------------------------------------------------------------------- */

static struct json_object *event_filter_vm(struct state *state, const char *word, struct err *e)
{
	struct state_vm vm;

	if (strlen(word) == STATE_ID_SIZE - 1)
		return json_object_new_string(word);
	return state_vm_find(state, word, &vm, e) < 0 ? NULL : json_object_new_string(vm.id);
}

int event_filter_init(struct event_filter *f, struct state *state, struct json_object *params,
		      struct err *e)
{
	struct json_object *words = json_get(params, "vms");

	*f = (struct event_filter){ .types = json_object_get(json_get(params, "types")) };
	if (words)
		f->vms = json_object_new_array();
	for (size_t i = 0; words && i < json_object_array_length(words); i++) {
		struct json_object *word = json_object_array_get_idx(words, i), *id;

		id = event_filter_vm(state, json_object_get_string(word), e);
		if (!id) {
			event_filter_fini(f);
			return -ERR_VM_NOT_FOUND;
		}
		json_object_array_add(f->vms, id);
	}
	return 0;
}

void event_filter_fini(struct event_filter *f)
{
	json_object_put(TAKE_PTR(f->vms));
	json_object_put(TAKE_PTR(f->types));
}

/* Is the string in the list? No list: yes. */
static bool event_in(struct json_object *list, const char *word)
{
	if (!list)
		return true;
	for (size_t i = 0; word && i < json_object_array_length(list); i++)
		if (!strcmp(json_object_get_string(json_object_array_get_idx(list, i)), word))
			return true;
	return false;
}

static bool event_fits(const struct event_filter *f, const char *type, const char *vm)
{
	return event_in(f->types, type) && event_in(f->vms, vm);
}

/* --- those who subscribed ------------------------------------------------------------------------ */

static void event_notify(const struct event_sub *sub, struct json_object *take_event)
{
	client_notify(sub->client, "event", json_add_int(take_event, "subscription", sub->number));
}

static void event_overflow(const struct event_sub *sub, int64_t from, int64_t to, bool gone)
{
	struct json_object *o = json_add_int(json_new(), "subscription", sub->number);

	json_add_int(json_add_int(o, "from", from), "to", to);
	client_notify(sub->client, "event.overflow", json_add_bool(o, "gone", gone));
}

static void event_send(struct event_sub *sub, struct json_object *event)
{
	int64_t seq = json_get_int(event, "seq", 0);

	if (sub->replaying || !event_fits(&sub->filter, json_get_str(event, "type", ""),
					  json_get_str(event, "vm", NULL)))
		return;
	if (!sub->missed_from && client_backlog(sub->client) < EVENT_BACKLOG) {
		event_notify(sub, json_clone(event));
		return;
	}
	if (!sub->missed_from)
		sub->missed_from = seq;
	sub->missed_to = seq;
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

/* --- replays --------------------------------------------------------------------------------------- */

struct event_turn {
	struct event_sub *sub;
	unsigned int sent, read;
	bool full;
};

static int event_replay_one(void *arg, const struct state_event *ev)
{
	struct event_turn *turn = arg;
	struct event_sub *sub = turn->sub;

	sub->place = ev->seq;
	turn->read++;
	if (!event_fits(&sub->filter, ev->type, ev->vm))
		return 0;
	event_notify(sub, event_object(ev));
	turn->full =
		++turn->sent >= EVENT_TURN_SENT || client_backlog(sub->client) >= EVENT_BACKLOG;
	return turn->full;
}

/* Some more of what is stored; at its end the subscription is live. */
static int event_replay_turn(struct event_sub *sub, struct err *e)
{
	struct event_turn turn = { .sub = sub };
	int64_t first;
	int ret = state_event_first(sub->hub->state, &first, e);

	if (ret < 0)
		return ret;
	if (first > sub->place + 1) {
		event_overflow(sub, sub->place + 1, first - 1, true);
		sub->place = first - 1;
	}
	ret = state_event_list(sub->hub->state, sub->place, EVENT_TURN_READ, event_replay_one,
			       &turn, e);
	if (ret >= 0 && !turn.full && turn.read < EVENT_TURN_READ)
		sub->replaying = false;
	return ret;
}

static void event_pump(uv_idle_t *idle)
{
	struct event_hub *hub = container_of(idle, struct event_hub, pump);
	bool more = false;
	struct err e;

	for (struct event_sub *sub = hub->subs; sub; sub = sub->next) {
		if (!sub->replaying || client_backlog(sub->client) >= EVENT_BACKLOG)
			continue;
		if (event_replay_turn(sub, &e) < 0) {
			log_error(hub->log, "events since %lld: %s", (long long)sub->place, e.msg);
			sub->replaying = false;
			event_overflow(sub, sub->place + 1, MAX(sub->newest, sub->place + 1),
				       false);
		}
		more = more || (sub->replaying && client_backlog(sub->client) < EVENT_BACKLOG);
	}
	if (!more)
		uv_idle_stop(idle);
}

void event_drained(struct event_hub *hub, const struct client *client)
{
	bool replay = false;

	for (struct event_sub *sub = hub->subs; sub; sub = sub->next) {
		if (sub->client != client)
			continue;
		replay = replay || sub->replaying;
		if (!sub->missed_from)
			continue;
		event_overflow(sub, sub->missed_from, sub->missed_to, false);
		sub->missed_from = sub->missed_to = 0;
	}
	if (replay && !hub->closed)
		uv_idle_start(&hub->pump, event_pump);
}

static int event_may_subscribe(struct event_hub *hub, const struct client *client, struct err *e)
{
	unsigned int n = 0;

	for (struct event_sub *sub = hub->subs; sub; sub = sub->next)
		n += sub->client == client;
	if (n < EVENT_SUBSCRIPTIONS_MAX)
		return 0;
	return err_set(e, ERR_BUSY, "a connection has at most %d subscriptions",
		       EVENT_SUBSCRIPTIONS_MAX);
}

int event_subscribe(struct event_hub *hub, struct client *client, struct event_filter *take_filter,
		    int64_t since, int64_t *ret_subscription, int64_t *ret_seq, struct err *e)
{
	struct event_sub *sub = calloc(1, sizeof(*sub));
	int ret =
		sub ? event_may_subscribe(hub, client, e) : err_ret(e, -ENOMEM, "cannot subscribe");

	if (ret >= 0)
		ret = state_event_last(hub->state, ret_seq, e);
	if (!sub || ret < 0) {
		event_filter_fini(take_filter);
		free(sub);
		return ret;
	}
	sub->hub = hub;
	sub->client = client;
	sub->number = ++hub->last_number;
	sub->filter = *take_filter;
	sub->replaying = since >= 0 && since < *ret_seq;
	sub->place = since;
	sub->newest = *ret_seq;
	sub->next = hub->subs;
	hub->subs = sub;
	*take_filter = (struct event_filter){ 0 };
	*ret_subscription = sub->number;
	if (sub->replaying && !hub->closed)
		uv_idle_start(&hub->pump, event_pump);
	return 0;
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

/* --- pages --------------------------------------------------------------------------------------- */

struct event_page {
	const struct event_filter *filter;
	struct json_object *list; /* borrowed */
	int64_t limit, next, read;
	size_t bytes;
	bool full;
};

static int event_page_one(void *arg, const struct state_event *ev)
{
	struct event_page *p = arg;

	p->read++;
	if (event_fits(p->filter, ev->type, ev->vm)) {
		json_object_array_add(p->list, event_object(ev));
		p->bytes += strlen(ev->data) + 300;
	}
	p->next = ev->seq;
	p->full = (int64_t)json_object_array_length(p->list) >= p->limit ||
		  p->bytes >= EVENT_LIST_BYTES;
	return p->full;
}

int event_list(struct event_hub *hub, const struct event_filter *f, int64_t since, int64_t limit,
	       struct json_object **ret_page, struct err *e)
{
	AUTO_JSON struct json_object *o = json_new();
	struct event_page p = { .filter = f, .limit = limit, .next = since };
	int64_t first;
	int ret = state_event_first(hub->state, &first, e);

	p.list = json_object_new_array();
	json_add(o, "events", p.list);
	if (ret >= 0 && first > since + 1) {
		json_add(o, "gone",
			 json_add_int(json_add_int(json_new(), "from", since + 1), "to",
				      first - 1));
		p.next = since = first - 1;
	}
	if (ret >= 0)
		ret = state_event_list(hub->state, since, EVENT_LIST_READ, event_page_one, &p, e);
	if (ret < 0)
		return ret;
	json_add_int(o, "next", p.next);
	json_add_bool(o, "more", p.full || p.read == EVENT_LIST_READ);
	*ret_page = TAKE_PTR(o);
	return 0;
}
