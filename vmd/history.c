// SPDX-License-Identifier: MIT
/* Revisions of a VM: see history.h. On the loop's thread. */
#include "vmd/history.h"

#include <errno.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/diff.h"
#include "vmd/event.h"

static int history_oldest(void *arg, const struct state_revision *revision)
{
	*(int64_t *)arg = revision->number;
	return 0;
}

static int history_none(struct state *s, const struct state_vm *vm, int64_t number, struct err *e)
{
	int64_t oldest = vm->revision;

	state_revision_list(s, vm->id, vm->revision, history_oldest, &oldest, NULL);
	err_set(e, ERR_VM_NO_REVISION, "VM '%s' has no revision %lld", vm->name, (long long)number);
	if (oldest == vm->revision)
		return err_hint(e, "it has revision %lld only", (long long)oldest);
	return err_hint(e, "it has revisions %lld to %lld: vmctl history %s", (long long)oldest,
			(long long)vm->revision, vm->name);
}

int history_load(struct state *s, const struct state_vm *vm, int64_t number,
		 struct json_object **ret_definition, struct err *e)
{
	AUTO_FREE char *text = NULL;
	int ret = state_revision_get(s, vm->id, number, &text, NULL, e);

	if (ret == -ERR_VM_NO_REVISION)
		return history_none(s, vm, number, e);
	return ret < 0 ? ret : json_parse(text, strlen(text), ret_definition, e);
}

struct history_walk {
	struct json_object *list; /* owned */
	int64_t limit;
	size_t bytes;
	struct json_object *newer;	/* owned: the definition of the last one of the list */
	struct json_object *newer_item; /* borrowed from the list */
	bool more;
	struct err *e;
};

static struct json_object *history_item(const struct state_revision *r)
{
	struct json_object *o = json_add_int(json_new(), "revision", r->number);
	struct json_object *actor = json_add_int(json_new(), "uid", r->actor.uid);
	char time[EVENT_TIME_SIZE];

	event_time(r->time_ms, time);
	json_add_str(o, "time", time);
	json_add_int(actor, "pid", r->actor.pid);
	json_add(o, "actor", json_add_str(actor, "program", r->actor.program));
	return r->actor.note[0] ? json_add_str(o, "note", r->actor.note) : o;
}

static int history_each(void *arg, const struct state_revision *r)
{
	struct history_walk *w = arg;
	size_t len = strlen(r->definition), n = json_object_array_length(w->list);
	struct json_object *definition = NULL;
	int ret = json_parse(r->definition, len, &definition, w->e);

	if (ret < 0)
		return err_wrap(w->e, "revision %lld", (long long)r->number);
	if (w->newer)
		json_add(w->newer_item, "changes", diff_changes(definition, w->newer));
	json_object_put(w->newer);
	w->newer = definition;
	w->bytes += len;
	/* one more was read than is listed: the last one's changes are against it */
	w->more = (int64_t)n >= w->limit || (n && w->bytes > HISTORY_BYTES_MAX);
	if (w->more)
		return 1;
	w->newer_item = history_item(r);
	json_object_array_add(w->list, w->newer_item);
	return 0;
}

/* What the walk has found. */
static int history_end(struct history_walk *w, int ret, struct json_object **ret_list,
		       bool *ret_more)
{
	json_object_put(w->newer);
	if (ret < 0) {
		json_object_put(w->list);
		return ret;
	}
	*ret_list = w->list;
	*ret_more = w->more;
	return 0;
}

int history_list(struct state *s, const struct state_vm *vm, int64_t before, int64_t limit,
		 struct json_object **ret_list, bool *ret_more, struct err *e)
{
	struct history_walk w = { .list = json_object_new_array(), .limit = limit, .e = e };
	int ret = state_revision_list(s, vm->id, before, history_each, &w, e);

	return history_end(&w, ret, ret_list, ret_more);
}

/* --- pools ------------------------------------------------------------------------------------------ */

int history_pool_list(struct state *s, const char *pool, int64_t before, int64_t limit,
		      struct json_object **ret_list, bool *ret_more, struct err *e)
{
	struct history_walk w = { .list = json_object_new_array(), .limit = limit, .e = e };
	int ret = state_pool_revision_list(s, pool, before, history_each, &w, e);

	return history_end(&w, ret, ret_list, ret_more);
}

struct history_one {
	int64_t number;
	struct json_object *definition; /* owned */
	struct err *e;
};

/* The newest below a number: is it the one before it? */
static int history_take(void *arg, const struct state_revision *r)
{
	struct history_one *one = arg;
	int ret = 1;

	if (r->number == one->number)
		ret = json_parse(r->definition, strlen(r->definition), &one->definition, one->e);
	return ret < 0 ? ret : 1;
}

int history_pool_load(struct state *s, const char *pool, int64_t revision, int64_t number,
		      struct json_object **ret_definition, struct err *e)
{
	struct history_one one = { .number = number, .e = e };
	int ret = state_pool_revision_list(s, pool, number + 1, history_take, &one, e);

	if (ret < 0)
		return ret;
	*ret_definition = one.definition;
	if (one.definition)
		return 0;
	err_set(e, ERR_POOL_NO_REVISION, "VF pool '%s' has no revision %lld", pool,
		(long long)number);
	return err_hint(e, "it is at revision %lld: vmctl sriov pool history %s",
			(long long)revision, pool);
}
