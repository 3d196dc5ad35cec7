// SPDX-License-Identifier: MIT
/* Calls that wait for a VM: see guest.h. Answering never leads back into the VM. On the loop's thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"
#include "vmd/guest.h"

enum guest_outcome { GUEST_NOT_YET, GUEST_REACHED, GUEST_MISSED };

static void guest_wait_closed(uv_handle_t *handle)
{
	free(container_of((uv_timer_t *)handle, struct guest_wait, timer));
}

/* Off the list; it is freed by the loop. Its call is the caller's. */
static struct call *guest_wait_end(struct guest_wait *w)
{
	struct guest_wait **link = &w->g->waits;

	while (*link != w)
		link = &(*link)->next;
	*link = w->next;
	uv_close((uv_handle_t *)&w->timer, guest_wait_closed);
	return w->call;
}

struct json_object *guest_answer(const struct guest *g, bool changed, const char *note)
{
	struct json_object *o = json_add_str(json_new(), "name", g->name);

	json_add_str(o, "state", vm_state_name(vm_state(&g->vm)));
	json_add_bool(o, "changed", changed);
	if (note)
		json_add_str(o, "note", note);
	if (g->vm.phase == VM_PHASE_OFF && g->has_exit)
		json_add(o, "exit", guest_exit_json(&g->exit));
	return o;
}

static void guest_wait_timeout(uv_timer_t *timer)
{
	struct guest_wait *w = container_of(timer, struct guest_wait, timer);
	struct guest *g = w->g;
	struct err e;

	guest_hold(g);
	err_set(&e, ERR_TIMEOUT, "VM '%s' is not %s after %g s: it is %s", g->name,
		vm_state_name(w->want), (double)w->timeout_ms / 1000,
		vm_state_name(vm_state(&g->vm)));
	call_fail(guest_wait_end(w), &e, NULL);
	guest_put(g);
}

void guest_wait_add(struct guest *g, enum guest_wait_kind kind, struct call *call,
		    int64_t timeout_ms, enum vm_state want)
{
	struct guest_wait *w = calloc(1, sizeof(*w));

	if (!w)
		abort(); /* a small object; the call would never be answered */
	w->g = g;
	w->kind = kind;
	w->call = call;
	w->timeout_ms = timeout_ms;
	w->want = want;
	w->next = g->waits;
	g->waits = w;
	uv_timer_init(&g->d->loop, &w->timer);
	if (timeout_ms >= 0)
		uv_timer_start(&w->timer, guest_wait_timeout, (uint64_t)timeout_ms, 0);
	guest_settle(g);
}

static enum guest_outcome guest_outcome(const struct guest *g, const struct guest_wait *w)
{
	bool off = g->vm.phase == VM_PHASE_OFF;
	bool up = !vm_operation(&g->vm) && !off;

	switch (w->kind) {
	case GUEST_WAIT_CALL:
		return up ? GUEST_REACHED : off ? GUEST_MISSED : GUEST_NOT_YET;
	case GUEST_WAIT_STATE:
		return vm_state(&g->vm) == w->want ? GUEST_REACHED : GUEST_NOT_YET;
	}
	return GUEST_NOT_YET;
}

static void guest_wait_missed(struct guest *g, struct guest_wait *w)
{
	struct err e;

	err_set(&e, ERR_VM_STATE, "VM '%s' stopped meanwhile%s%s", g->name, g->has_exit ? ": " : "",
		g->has_exit ? g->exit.message : "");
	call_fail(guest_wait_end(w), &e, NULL);
}

static void guest_wait_reached(struct guest *g, struct guest_wait *w)
{
	struct json_object *o = guest_answer(g, true, NULL);

	if (w->kind == GUEST_WAIT_STATE)
		json_object_object_del(o, "changed");
	call_reply(guest_wait_end(w), o);
}

void guest_settle(struct guest *g)
{
	struct guest_wait *w;

	if (g->saving) /* guest_save_soon leads here again */
		return;
	guest_ops_settle(g);
	w = g->waits;
	while (w) {
		struct guest_wait *next = w->next;
		enum guest_outcome outcome = guest_outcome(g, w);

		if (outcome == GUEST_REACHED)
			guest_wait_reached(g, w);
		else if (outcome == GUEST_MISSED)
			guest_wait_missed(g, w);
		w = next;
	}
}

void guest_fail_calls(struct guest *g)
{
	struct guest_wait *w = g->waits;

	while (w) {
		struct guest_wait *next = w->next;

		if (w->kind == GUEST_WAIT_CALL)
			call_fail(guest_wait_end(w), &g->call_err, NULL);
		w = next;
	}
}

void guest_drop_waits(struct guest *g)
{
	struct err e = { .code = ERR_CANCELLED, .msg = "vmd ends" };

	guest_ops_drop(g);
	while (g->waits)
		call_fail(guest_wait_end(g->waits), &e, NULL);
}

void guest_deleted(struct guest *g)
{
	struct err e;

	g->end_unsaved = false; /* its rows are gone, there is nothing to write it to */
	g->told = VM_STOPPED;
	err_set(&e, ERR_VM_NOT_FOUND, "VM '%s' was deleted", g->name);
	while (g->waits)
		call_fail(guest_wait_end(g->waits), &e, NULL);
}
