// SPDX-License-Identifier: MIT
/* The transaction of a turn: see turn.h. On the loop's thread. */
#include "vmd/turn.h"

#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"
#include "state/state.h"
#include "vmd/call.h"
#include "vmd/daemon.h"
#include "vmd/event.h"
#include "vmd/methods.h"

struct turn {
	struct daemon *d;
	uv_prepare_t prepare; /* what timers have led to, before the loop waits */
	uv_check_t check;     /* what was read */
	struct turn_write *list, **tail;
	bool closed;
};

static int turn_write_one(struct turn *t, struct turn_write *w, struct err *e)
{
	struct event_hub *events = t->d->events;
	const struct state_actor *was = event_set_actor(events, w->call ? &w->call->actor : NULL);
	int ret = w->ops->write(w, e);

	event_set_actor(events, was);
	return ret;
}

static void turn_undo(struct turn *t, struct turn_write *list, const struct turn_write *end)
{
	state_rollback(t->d->state);
	event_drop(t->d->events);
	for (struct turn_write *w = list; w != end; w = w->next)
		if (w->ops->undo)
			w->ops->undo(w);
}

/* Those of list before end in one transaction. */
static int turn_commit(struct turn *t, struct turn_write *list, struct turn_write *end,
		       struct err *e)
{
	struct turn_write *w = list;
	int ret = state_begin(t->d->state, e);

	for (; w != end && ret >= 0; w = w->next)
		ret = turn_write_one(t, w, e);
	if (ret >= 0)
		ret = state_commit(t->d->state, e);
	if (ret < 0)
		turn_undo(t, list, w);
	else
		event_flush(t->d->events);
	return ret;
}

static void turn_done(struct turn *t, struct turn_write *w, const struct err *why)
{
	struct event_hub *events = t->d->events;
	struct state_actor actor = { 0 }; /* the call may end meanwhile */
	const struct state_actor *was;

	if (w->call)
		actor = w->call->actor;
	was = event_set_actor(events, w->call ? &actor : NULL);
	w->ops->done(w, why);
	event_set_actor(events, was);
}

static void turn_each(struct turn *t, struct turn_write *list)
{
	struct turn_write *next;
	struct err e;

	for (; list; list = next) {
		next = list->next;
		turn_done(t, list, turn_commit(t, list, next, &e) < 0 ? &e : NULL);
	}
}

void turn_flush(struct turn *t)
{
	struct turn_write *list = t ? t->list : NULL, *next;
	struct err e;
	int ret;

	if (!list)
		return;
	t->list = NULL;
	t->tail = &t->list;
	ret = turn_commit(t, list, NULL, &e);
	if (ret < 0 && ret != -ERR_STATE_UNKNOWN && list->next) {
		turn_each(t, list);
		return;
	}
	for (; list; list = next) {
		next = list->next;
		turn_done(t, list, ret < 0 ? &e : NULL);
	}
}

void turn_add(struct turn *t, struct turn_write *w)
{
	w->next = NULL;
	*t->tail = w;
	t->tail = &w->next;
	if (t->closed)
		turn_flush(t);
}

static bool turn_concerns(const struct turn_write *w, const struct call *call, const char *vm)
{
	return (w->call && w->call->client == call->client) || !strcmp(w->name, vm) ||
	       !strncmp(w->id, vm, strlen(vm));
}

void turn_before(struct turn *t, const struct call *call)
{
	const char *vm = json_get_str(json_get(call->params, "definition"), "name", "");
	const struct turn_write *w = t ? t->list : NULL;

	/* "" is the beginning of every id */
	vm = json_get_str(call->params, "vm", vm);
	while (w && call->method->own_vm && !turn_concerns(w, call, vm))
		w = w->next;
	if (w)
		turn_flush(t);
}

static void turn_begin(void *arg)
{
	turn_flush(arg);
}

static void turn_prepare(uv_prepare_t *handle)
{
	turn_flush(handle->data);
}

static void turn_check(uv_check_t *handle)
{
	turn_flush(handle->data);
}

int turn_new(struct daemon *d, struct turn **ret_turn, struct err *e)
{
	struct turn *t = calloc(1, sizeof(*t));

	if (!t)
		return err_ret(e, -ENOMEM, "cannot start");
	t->d = d;
	t->tail = &t->list;
	uv_prepare_init(&d->loop, &t->prepare);
	uv_check_init(&d->loop, &t->check);
	t->prepare.data = t->check.data = t;
	uv_prepare_start(&t->prepare, turn_prepare);
	uv_check_start(&t->check, turn_check);
	uv_unref((uv_handle_t *)&t->prepare);
	uv_unref((uv_handle_t *)&t->check);
	/* what was left here earlier is written earlier */
	state_on_begin(d->state, turn_begin, t);
	*ret_turn = t;
	return 0;
}

void turn_close(struct turn *t)
{
	if (!t || t->closed)
		return;
	t->closed = true;
	turn_flush(t);
	state_on_begin(t->d->state, NULL, NULL);
	uv_close((uv_handle_t *)&t->prepare, NULL);
	uv_close((uv_handle_t *)&t->check, NULL);
}

void turn_free(struct turn *t)
{
	free(t);
}
