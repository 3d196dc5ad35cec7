// SPDX-License-Identifier: MIT
/*
 * Methods pool.* and sriov.pf.*: pools of virtual functions, and the functions that can have some. What is shown is read by a
 * worker; what vmd knows comes to it on the loop's thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/pooldef.h"
#include "vmd/call.h"
#include "vmd/daemon.h"
#include "vmd/event.h"
#include "vmd/methods.h"
#include "vmd/lease_plan.h"
#include "vmd/pci_use.h"
#include "vmd/pool_priv.h"

/* --- changes ------------------------------------------------------------------------------------------ */

void method_pool_apply(struct daemon *d, struct call *call)
{
	struct json_object *definition = json_get(call->params, "pool");
	bool dry = json_get_bool(call->params, "dry_run", false);
	struct schema_error where = { 0 };
	struct err e;

	if (pooldef_check(d->schemas, definition, &where, &e) < 0)
		call_fail(call, &e,
			  e.code == ERR_INVALID ? json_add_str(json_new(), "path", where.pointer)
						: NULL);
	else
		pool_apply(d, call, definition, dry);
}

void method_pool_delete(struct daemon *d, struct call *call)
{
	pool_delete(d, call, json_get_str(call->params, "name", ""),
		    json_get_bool(call->params, "dry_run", false));
}

void method_sriov_pf_set(struct daemon *d, struct call *call)
{
	unsigned int vfs = (unsigned int)json_get_int(call->params, "vfs", 0);
	struct pci_addr pf;
	struct err e;

	if (pci_addr_parse(json_get_str(call->params, "pci", ""), &pf, &e) < 0)
		call_fail(call, &e, NULL);
	else
		pool_set_vfs(d, call, &pf, vfs, json_get_bool(call->params, "dry_run", false));
}

/* --- what is shown ------------------------------------------------------------------------------------ */

/* An inventory on its way to an answer. */
struct pool_view {
	uv_work_t work;
	struct call *call;
	struct pci_inventory inventory; /* owned */
	unsigned char *marks;		/* owned */
	int ret;
	struct err err;
	/* on the loop's thread: the answer */
	int (*make)(struct pool_view *v, struct json_object **ret_result, struct err *e);
};

static void pool_view_read(uv_work_t *work)
{
	struct pool_view *v = container_of(work, struct pool_view, work);
	const struct hostfs *h = &v->call->daemon->hostfs;

	v->ret = pci_inventory_read(h, &v->inventory, &v->err);
	if (v->ret < 0)
		return;
	v->marks = calloc(v->inventory.n + 1, 1);
	if (v->marks)
		pool_look(h, &v->inventory, NULL, v->marks, NULL);
	else
		v->ret = err_ret(&v->err, -ENOMEM, "cannot look at the host's devices");
}

static void pool_view_answer(uv_work_t *work, int status)
{
	struct pool_view *v = container_of(work, struct pool_view, work);
	struct json_object *result = NULL;

	if (status < 0)
		v->ret = err_ret(&v->err, status, "vmd ends");
	if (v->ret >= 0)
		v->ret = pool_mark(v->call->daemon, &v->inventory, v->marks, &v->err);
	if (v->ret >= 0)
		v->ret = v->make(v, &result, &v->err);
	if (v->ret >= 0)
		call_reply(v->call, result);
	else
		call_fail(v->call, &v->err, NULL);
	pci_inventory_fini(&v->inventory);
	free(v->marks);
	free(v);
}

static void pool_view(struct call *call,
		      int (*make)(struct pool_view *v, struct json_object **ret_result,
				  struct err *e))
{
	struct pool_view *v = calloc(1, sizeof(*v));
	struct err e;

	if (v) {
		v->call = call;
		v->make = make;
		if (uv_queue_work(&call->daemon->loop, &v->work, pool_view_read,
				  pool_view_answer) >= 0)
			return;
		free(v);
	}
	err_set(&e, ERR_RPC_INTERNAL, "out of memory");
	call_fail(call, &e, NULL);
}

static void pool_add_tally(struct json_object *o, const struct pci_tally *t)
{
	json_add_int(json_add_int(o, "vfs", t->vfs), "leased", t->leased);
	json_add_int(json_add_int(o, "quarantined", t->quarantined), "host", t->host);
	json_add_int(o, "free", t->free);
}

static struct json_object *pool_view_pf(const struct pool_view *v, const struct pci_function *pf)
{
	struct json_object *o = json_new(), *netdevs = json_object_new_array();
	char address[PCI_ADDR_SIZE], pool[64];
	struct pci_tally tally;

	json_add(json_add_str(o, "pci", pci_addr_format(&pf->addr, address)), "netdevs", netdevs);
	for (unsigned int i = 0; i < pf->n_netdevs; i++)
		json_object_array_add(netdevs, json_object_new_string(pf->netdevs[i]));
	if (pf->n_netdevs)
		json_add_str(o, "link",
			     v->marks[pf - v->inventory.functions] & PCI_MARK_DOWN ? "down" : "up");
	json_add_str(o, "driver", pf->driver);
	json_add_fmt(json_add_fmt(o, "vendor", "%04x", pf->id.vendor), "device", "%04x",
		     pf->id.device);
	json_add_int(json_add_int(o, "numa", pf->numa_node), "total", pf->total_vfs);
	pci_tally(&v->inventory, v->marks, pf, &tally);
	pool_add_tally(o, &tally);
	if (pool_of_pf(v->call->daemon, pf, "", pool, NULL) > 0)
		json_add_str(o, "pool", pool);
	return o;
}

static int pool_make_pfs(struct pool_view *v, struct json_object **ret_result, struct err *e)
{
	struct json_object *list = json_object_new_array();

	(void)e;
	for (size_t i = 0; i < v->inventory.n; i++)
		if (v->inventory.functions[i].is_pf)
			json_object_array_add(list, pool_view_pf(v, &v->inventory.functions[i]));
	*ret_result = json_add(json_new(), "pfs", list);
	return 0;
}

static struct json_object *pool_view_vf(const struct pool_view *v, const struct pci_function *f)
{
	unsigned char mark = v->marks[f - v->inventory.functions];
	struct json_object *o = json_add_int(json_new(), "vf", f->id.vf_index);
	struct state_lease lease;
	char address[PCI_ADDR_SIZE];

	json_add_str(o, "pci", pci_addr_format(&f->addr, address));
	json_add_str(o, "driver", f->driver);
	json_add_str(o, "state",
		     mark & PCI_MARK_LEASED				      ? "leased"
		     : mark & PCI_MARK_QUARANTINED			      ? "quarantined"
		     : mark & PCI_MARK_HOST || f->broken || lease_is_stray(f) ? "host"
									      : "free");
	if (mark & (PCI_MARK_LEASED | PCI_MARK_QUARANTINED) &&
	    state_lease_at(v->call->daemon->state, address, &lease, NULL) > 0)
		json_add_str(o, "vm", lease.name);
	return o;
}

static int pool_make_pf(struct pool_view *v, struct json_object **ret_result, struct err *e)
{
	const char *text = json_get_str(v->call->params, "pci", "");
	struct json_object *list;
	const struct pci_function *pf;
	struct pci_addr addr;
	int ret = pci_addr_parse(text, &addr, e);

	if (ret < 0)
		return ret;
	pf = pci_inventory_find(&v->inventory, &addr);
	if (!pf)
		return pci_not_found(&addr, e);
	if (!pf->is_pf) {
		err_set(e, ERR_POOL_PF, "device %s has no SR-IOV", text);
		return err_hint(e, "vmctl sriov pf list shows what has");
	}
	list = json_object_new_array();
	for (unsigned int i = 0; i < pf->num_vfs; i++) {
		const struct pci_function *f = pci_inventory_vf(&v->inventory, pf, i);

		if (f)
			json_object_array_add(list, pool_view_vf(v, f));
	}
	*ret_result = json_add(pool_view_pf(v, pf), "functions", list);
	return 0;
}

/* --- pools -------------------------------------------------------------------------------------------- */

/* Rows, before anything else is asked of the database. */
struct pool_rows {
	struct state_pool *rows;	 /* owned; definition: see below */
	struct json_object *definitions; /* owned: an array, in their order */
	size_t n;
};

static const char *pool_view_state(const struct pool_view *v, const char *name, bool enough,
				   const char **ret_msg)
{
	const char *trouble = pool_trouble(v->call->daemon, name, ret_msg);

	return trouble[0] ? trouble : enough ? "ready" : "short";
}

static struct json_object *pool_view_pool(struct pool_view *v, const struct state_pool *row,
					  struct json_object *definition, bool whole)
{
	const struct pci_function *pfs[PCI_POOL_MEMBERS_MAX];
	struct json_object *o = json_add_str(json_new(), "name", row->name);
	struct json_object *members = json_object_new_array();
	struct pci_tally sum = { 0 };
	struct pci_pool pool;
	char time[EVENT_TIME_SIZE];
	const char *msg, *state;
	bool enough = true;
	size_t n;

	pci_pool_parse(definition, &pool);
	n = pci_pool_members(&pool, &v->inventory, pfs);
	for (size_t i = 0; i < n; i++) {
		struct pci_tally t;

		pci_tally(&v->inventory, v->marks, pfs[i], &t);
		sum = (struct pci_tally){ sum.vfs + t.vfs, sum.leased + t.leased,
					  sum.quarantined + t.quarantined, sum.host + t.host,
					  sum.free + t.free };
		enough = enough && t.vfs == pool.vfs;
		json_object_array_add(members, pool_view_pf(v, pfs[i]));
	}
	state = pool_view_state(v, row->name, enough && n, &msg);
	json_add_str(json_add_str(o, "class", pool.class), "state", state);
	if (msg)
		json_add_str(o, "message", msg);
	json_add_int(json_add_int(o, "revision", row->revision), "vfs_each", pool.vfs);
	json_add_int(o, "pfs", (int64_t)n);
	pool_add_tally(o, &sum);
	event_time(row->created_ms, time);
	json_add_str(o, "created", time);
	event_time(row->updated_ms, time);
	json_add_str(o, "updated", time);
	json_add(o, "actor", event_actor_json(&row->actor));
	if (!whole)
		json_object_put(members);
	return whole ? json_add(json_add(o, "definition", json_object_get(definition)), "members",
				members)
		     : o;
}

static int pool_take_row(void *arg, const struct state_pool *row)
{
	struct pool_rows *r = arg;
	struct state_pool *rows = realloc(r->rows, (r->n + 1) * sizeof(*rows));
	struct json_object *definition;

	if (!rows)
		return -ENOMEM;
	r->rows = rows;
	if (json_parse(row->definition, strlen(row->definition), &definition, NULL) < 0)
		return -ERR_STATE;
	json_object_array_add(r->definitions, definition);
	rows[r->n] = *row;
	rows[r->n++].definition = NULL; /* only valid until now */
	return 0;
}

/* name NULL: all. An array of pools. */
static int pool_view_rows(struct pool_view *v, const char *name, struct json_object **ret_list,
			  struct err *e)
{
	AUTO_JSON struct json_object *definitions = json_object_new_array();
	struct pool_rows r = { .definitions = definitions };
	int ret = state_pool_list(v->call->daemon->state, name, pool_take_row, &r, e);

	if (ret == -ERR_STATE || ret == -ENOMEM)
		err_ret(e, ret, "the pools cannot be read");
	if (ret >= 0)
		*ret_list = json_object_new_array();
	for (size_t i = 0; ret >= 0 && i < r.n; i++)
		json_object_array_add(*ret_list,
				      pool_view_pool(v, &r.rows[i],
						     json_object_array_get_idx(definitions, i),
						     name != NULL));
	free(r.rows);
	return ret;
}

static int pool_make_list(struct pool_view *v, struct json_object **ret_result, struct err *e)
{
	struct json_object *list;
	int ret = pool_view_rows(v, NULL, &list, e);

	if (ret >= 0)
		*ret_result = json_add(json_new(), "pools", list);
	return ret;
}

static int pool_make_one(struct pool_view *v, struct json_object **ret_result, struct err *e)
{
	const char *name = json_get_str(v->call->params, "name", "");
	AUTO_JSON struct json_object *list = NULL;
	struct pci_pool pool;
	int ret = pool_load(v->call->daemon, name, &pool, e);

	if (ret >= 0)
		ret = pool_view_rows(v, name, &list, e);
	if (ret >= 0)
		*ret_result = json_object_get(json_object_array_get_idx(list, 0));
	return ret;
}

void method_pool_get(struct daemon *d, struct call *call)
{
	(void)d;
	pool_view(call, pool_make_one);
}

void method_pool_list(struct daemon *d, struct call *call)
{
	(void)d;
	pool_view(call, pool_make_list);
}

void method_sriov_pf_get(struct daemon *d, struct call *call)
{
	(void)d;
	pool_view(call, pool_make_pf);
}

void method_sriov_pf_list(struct daemon *d, struct call *call)
{
	(void)d;
	pool_view(call, pool_make_pfs);
}
