// SPDX-License-Identifier: MIT
/*
 * What is written down of a VM's states: the event, with the end of a process also how it ended, and what
 * it means for the VM's jobs, in one transaction, so that a vmd that dies in between has told nobody of what
 * the next one does not know. What the VM does by itself is written with the turn (turn.h), and those who wait for it
 * hear of it then; no second state comes about before the first is written.
 * What cannot be written (a full disk) is written later: the newest state then, in an event that follows
 * from the last one that was. On the loop's thread.
 */
#include "lib/auto.h"
#include "vmd/event.h"
#include "vmd/guest.h"

/* The process is gone: how it ended, or that the VM was never up and is not wanted any more. */
static int guest_store_end(struct guest *g, struct err *e)
{
	struct state *s = g->d->state;
	int ret;

	ret = state_attachment_clear(s, g->id, e);
	if (ret >= 0)
		ret = state_nic_clear(s, g->id, e);
	if (ret < 0)
		return ret;
	if (g->up)
		return state_exit_put(s, g->id, &g->exit, e);
	ret = state_vm_set_desired(s, g->id, false, e);
	return ret < 0 ? ret : state_process_delete(s, g->id, e);
}

int guest_store_event(struct guest *g, enum vm_state to, struct err *e)
{
	struct json_object *data = json_add_str(json_new(), "name", g->name);

	json_add_str(data, "from", vm_state_name(g->told));
	json_add_str(data, "to", vm_state_name(to));
	if (to == VM_STOPPED && g->has_exit)
		json_add(data, "exit", guest_exit_json(&g->exit));
	return event_add(g->d->events, "vm.state", g->id, data, e);
}

bool guest_saved(const struct guest *g)
{
	return !g->end_unsaved && g->told == vm_state(&g->vm) && !guest_ops_unsaved(g);
}

/* In the open transaction. */
static int guest_store(struct guest *g, struct err *e)
{
	int ret = 0;

	if (g->end_unsaved)
		ret = guest_store_end(g, e);
	if (ret >= 0 && g->told != vm_state(&g->vm))
		ret = guest_store_event(g, vm_state(&g->vm), e);
	if (ret >= 0 && g->told == VM_STARTING && vm_state(&g->vm) != VM_STARTING)
		ret = timeline_write(&g->timeline, g->revision, g->up, e);
	return ret < 0 ? ret : guest_ops_store(g, e);
}

static void guest_stored(struct guest *g, enum vm_state told)
{
	g->told = told;
	g->end_unsaved = false;
	guest_ops_stored(g);
}

static void guest_not_stored(struct guest *g, const struct err *why)
{
	log_limited(&g->d->log, &g->save_limit, "VM '%s': what it does cannot be written down: %s",
		    g->name, why->msg);
	guests_save_later(g->d);
}

void guest_save_late(struct guest *g)
{
	bool ended = g->end_unsaved;
	struct err e;

	if (guest_save(g, &e) >= 0 && ended && !g->proc)
		vmproc_clean(g->dir);
}

void guest_save_first(struct guest *g)
{
	if (g->saving)
		turn_flush(g->d->turn);
}

int guest_save(struct guest *g, struct err *e)
{
	struct event_hub *events = g->d->events;
	int64_t timeline = g->timeline.seq;
	const struct state_actor *was;
	int ret;

	guest_save_first(g);
	guest_ops_decide(g);
	if (guest_saved(g))
		return 0;
	was = event_set_actor(events, guest_op_actor(g));
	if (was) /* a call that is being handled now */
		event_set_actor(events, was);
	ret = state_begin(g->d->state, e);
	if (ret >= 0)
		ret = guest_store(g, e);
	if (ret >= 0)
		ret = state_commit(g->d->state, e);
	event_set_actor(events, was);
	if (ret < 0) {
		state_rollback(g->d->state);
		timeline_rolled_back(&g->timeline, timeline);
		event_drop(events);
		guest_not_stored(g, e);
		return ret;
	}
	guest_stored(g, vm_state(&g->vm));
	event_flush(events);
	return 0;
}

/* --- with what else is written in the same turn --- */

static int guest_save_write(struct turn_write *w, struct err *e)
{
	struct guest *g = container_of(w, struct guest, save);

	g->save_timeline = g->timeline.seq;
	guest_ops_decide(g);
	g->save_told = vm_state(&g->vm);
	if (guest_saved(g))
		return 0;
	event_set_actor(g->d->events, g->save_by_call ? &g->save_actor : guest_op_actor(g));
	return guest_store(g, e);
}

static void guest_save_undo(struct turn_write *w)
{
	struct guest *g = container_of(w, struct guest, save);

	timeline_rolled_back(&g->timeline, g->save_timeline);
}

static void guest_save_done(struct turn_write *w, const struct err *why)
{
	struct guest *g = container_of(w, struct guest, save);
	bool ended = g->end_unsaved;

	g->saving = false;
	if (why)
		guest_not_stored(g, why);
	else
		guest_stored(g, g->save_told);
	if (!why && ended && !g->proc)
		vmproc_clean(g->dir);
	guest_settle(g);
	guest_put(g);
}

static const struct turn_ops guest_save_ops = { .write = guest_save_write,
						.undo = guest_save_undo,
						.done = guest_save_done };

void guest_save_soon(struct guest *g)
{
	const struct state_actor *actor = event_set_actor(g->d->events, NULL);

	event_set_actor(g->d->events, actor);
	g->save_by_call = actor;
	if (actor)
		g->save_actor = *actor;
	g->save = (struct turn_write){ .ops = &guest_save_ops, .id = g->id, .name = g->name };
	g->saving = true;
	guest_hold(g);
	turn_add(g->d->turn, &g->save);
}
