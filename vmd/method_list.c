// SPDX-License-Identifier: MIT
/*
 * Method vm.list: so many VMs in a turn of the loop, for thousands take longer than anything on it
 * may. On the loop's thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/conn.h"
#include "lib/errcat.h"
#include "vmd/daemon.h"
#include "vmd/methods.h"
#include "vmd/vm_row.h"

#define LIST_TURN 1000 /* VMs: about a millisecond */

struct list {
	struct daemon *d;
	struct call *call;
	uv_idle_t idle; /* the next turn */
	unsigned int fields, rows;
	const char *origin; /* of the call; NULL: all */
	char last[64];	    /* the name that the next turn begins behind */
	struct buf text;
};

static void list_closed(uv_handle_t *handle)
{
	struct list *l = container_of((uv_idle_t *)handle, struct list, idle);

	buf_fini(&l->text);
	free(l);
}

static int list_one(void *arg, const struct state_vm *vm)
{
	struct list *l = arg;
	int ret = buf_add(&l->text, buf_len(&l->text) > 1 ? "," : "", buf_len(&l->text) > 1);

	l->rows++;
	snprintf(l->last, sizeof(l->last), "%s", vm->name);
	return ret < 0 ? ret : vm_row_add(l->d, vm, l->fields, &l->text);
}

/* 1: there are more. */
static int list_add(struct list *l, struct err *e)
{
	int ret;

	l->rows = 0;
	ret = l->origin ? state_vm_list_origin(l->d->state, l->origin, l->last, LIST_TURN, list_one,
					       l, e)
			: state_vm_list(l->d->state, l->last, LIST_TURN, list_one, l, e);
	if (ret >= 0 && l->rows == LIST_TURN)
		return 1;
	if (ret >= 0)
		ret = buf_add(&l->text, "]", 2); /* with its NUL */
	if (ret == -ENOBUFS || ret == -ENOMEM)
		return err_ret(e, ret, "too many VMs for one list");
	return ret;
}

/* Called once in a turn of the loop, which a timer of 0 ms that starts itself again is not (libuv 1.44). */
static void list_turn(uv_idle_t *idle)
{
	struct list *l = container_of(idle, struct list, idle);
	struct err e;
	int ret = list_add(l, &e);

	if (ret > 0)
		return;
	if (ret < 0)
		call_fail(l->call, &e, NULL);
	else
		call_reply(l->call, json_add(json_new(), "vms", json_raw(TAKE_PTR(l->text.data))));
	uv_close((uv_handle_t *)&l->idle, list_closed);
}

void method_vm_list(struct daemon *d, struct call *call)
{
	struct list *l = calloc(1, sizeof(*l));
	struct err e;

	if (!l) {
		err_set(&e, ERR_RPC_INTERNAL, "out of memory");
		call_fail(call, &e, NULL);
		return;
	}
	l->d = d;
	l->call = call;
	l->origin = json_get_str(call->params, "origin", NULL);
	l->fields = vm_row_fields(json_get(call->params, "fields"));
	buf_init(&l->text, CONN_OUT_MAX);
	buf_add(&l->text, "[", 1);
	uv_idle_init(&d->loop, &l->idle);
	uv_idle_start(&l->idle, list_turn);
	list_turn(&l->idle);
}
