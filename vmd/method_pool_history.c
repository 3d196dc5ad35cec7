// SPDX-License-Identifier: MIT
/* Methods pool.history, diff, export, revert: what a pool was declared as. On the loop's thread. */
#include "vmd/methods.h"

#include <stdio.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/pooldef.h"
#include "vmd/daemon.h"
#include "vmd/diff.h"
#include "vmd/history.h"
#include "vmd/pool.h"

static int pool_history_take(void *arg, const struct state_pool *row)
{
	*(int64_t *)arg = row->revision;
	return 0;
}

/* The pool's newest revision; 0: there is none of that name. */
static int pool_history_newest(struct daemon *d, const char *name, int64_t *ret_revision,
			       struct err *e)
{
	*ret_revision = 0;
	return state_pool_list(d->state, name, pool_history_take, ret_revision, e);
}

static int pool_history_find(struct daemon *d, const char *name, int64_t *ret_revision,
			     struct err *e)
{
	struct pci_pool pool;
	int ret = pool_load(d, name, &pool, e);

	return ret < 0 ? ret : pool_history_newest(d, name, ret_revision, e);
}

void method_pool_history(struct daemon *d, struct call *call)
{
	const char *name = json_get_str(call->params, "name", "");
	int64_t before = json_get_int(call->params, "before", INT64_MAX);
	int64_t limit = json_get_int(call->params, "limit", 50), revision;
	struct json_object *list, *o;
	struct err e;
	bool more;

	if (pool_history_find(d, name, &revision, &e) < 0 ||
	    history_pool_list(d->state, name, before, limit, &list, &more, &e) < 0) {
		call_fail(call, &e, NULL);
		return;
	}
	o = json_add_int(json_add_str(json_new(), "name", name), "revision", revision);
	call_reply(call, json_add_bool(json_add(o, "revisions", list), "more", more));
}

void method_pool_export(struct daemon *d, struct call *call)
{
	const char *name = json_get_str(call->params, "name", "");
	int64_t newest = 0, number;
	struct json_object *definition = NULL, *o;
	struct err e;
	int ret = pool_history_find(d, name, &newest, &e);

	number = json_get_int(call->params, "revision", newest);
	if (ret >= 0)
		ret = history_pool_load(d->state, name, newest, number, &definition, &e);
	if (ret < 0) {
		call_fail(call, &e, NULL);
		return;
	}
	o = json_add_int(json_add_str(json_new(), "name", name), "revision", number);
	call_reply(call, json_add(o, "definition", definition));
}

/* As a pool.apply of what it was. */
void method_pool_revert(struct daemon *d, struct call *call)
{
	const char *name = json_get_str(call->params, "name", "");
	int64_t newest = 0, to = json_get_int(call->params, "to", 0);
	AUTO_JSON struct json_object *definition = NULL;
	struct schema_error where = { 0 };
	struct err e;
	int ret = pool_history_find(d, name, &newest, &e);

	if (ret >= 0)
		ret = history_pool_load(d->state, name, newest, to, &definition, &e);
	if (ret >= 0) {
		ret = pooldef_check(d->schemas, definition, &where, &e);
		if (ret == -ERR_INVALID)
			err_because(&e, "revision %lld of VF pool '%s' is not valid any more",
				    (long long)to, name);
	}
	if (ret < 0)
		call_fail(call, &e,
			  where.pointer[0] ? json_add_str(json_new(), "path", where.pointer)
					   : NULL);
	else
		pool_apply(d, call, definition, json_get_bool(call->params, "dry_run", false));
}

/* A comparison on its way. to 0: with a definition. */
struct pool_diff {
	char name[64];
	int64_t newest, from, to; /* newest 0: there is no such pool, and everything is new */
	struct json_object *before, *after; /* owned */
};

/* The one side: a definition, or a revision. */
static int pool_diff_after(struct daemon *d, const struct call *call, struct pool_diff *p,
			   struct schema_error *where, struct err *e)
{
	struct json_object *definition = json_get(call->params, "pool");
	const char *name = json_get_str(call->params, "name", NULL);
	int ret;

	if (!name == !definition || (definition && json_get(call->params, "revision")))
		return err_set(e, ERR_RPC_PARAMS,
			       "pool.diff: either 'pool', or 'name' with 'revision' or 'against'");
	ret = definition ? pooldef_check(d->schemas, definition, where, e) : 0;
	if (ret < 0)
		return ret;
	snprintf(p->name, sizeof(p->name), "%s",
		 name ? name : json_get_str(definition, "name", ""));
	ret = definition ? pool_history_newest(d, p->name, &p->newest, e)
			 : pool_history_find(d, p->name, &p->newest, e);
	if (ret >= 0 && definition)
		p->after = json_object_get(definition);
	if (ret < 0 || definition)
		return ret;
	p->to = json_get_int(call->params, "revision", p->newest);
	return history_pool_load(d->state, p->name, p->newest, p->to, &p->after, e);
}

static int pool_diff_load(struct daemon *d, const struct call *call, struct pool_diff *p,
			  struct schema_error *where, struct err *e)
{
	int ret = pool_diff_after(d, call, p, where, e);

	if (ret < 0)
		return ret;
	if (!p->newest) {
		p->before = json_new();
		return 0;
	}
	p->from = json_get_int(call->params, "against", p->newest);
	return history_pool_load(d->state, p->name, p->newest, p->from, &p->before, e);
}

void method_pool_diff(struct daemon *d, struct call *call)
{
	struct schema_error where = { 0 };
	struct pool_diff p = { 0 };
	struct json_object *o;
	struct err e;

	if (pool_diff_load(d, call, &p, &where, &e) < 0) {
		call_fail(call, &e,
			  e.code == ERR_INVALID ? json_add_str(json_new(), "path", where.pointer)
						: NULL);
	} else {
		o = json_add_bool(json_add_str(json_new(), "name", p.name), "exists", p.newest > 0);
		if (p.from)
			json_add_int(o, "against", p.from);
		if (p.to)
			json_add_int(o, "revision", p.to);
		call_reply(call, json_add(o, "changes", diff_changes(p.before, p.after)));
	}
	json_object_put(p.before);
	json_object_put(p.after);
}
