// SPDX-License-Identifier: MIT
/*
 * What is written down of a VM's states: the event, with the end of a process also how it ended, and what
 * it means for the VM's jobs, in one transaction, so that a vmd that dies in between has told nobody of what
 * the next one does not know.
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

static int guest_store(struct guest *g, struct err *e)
{
	struct state *s = g->d->state;
	int ret = state_begin(s, e);

	if (ret >= 0 && g->end_unsaved)
		ret = guest_store_end(g, e);
	if (ret >= 0 && g->told != vm_state(&g->vm))
		ret = guest_store_event(g, vm_state(&g->vm), e);
	if (ret >= 0 && g->told == VM_STARTING && vm_state(&g->vm) != VM_STARTING)
		ret = timeline_write(&g->timeline, g->revision, g->up, e);
	if (ret >= 0)
		ret = guest_ops_store(g, e);
	return ret < 0 ? ret : state_commit(s, e);
}

void guest_save_late(struct guest *g)
{
	bool ended = g->end_unsaved;
	struct err e;

	if (guest_save(g, &e) >= 0 && ended && !g->proc)
		vmproc_clean(g->dir);
}

int guest_save(struct guest *g, struct err *e)
{
	struct event_hub *events = g->d->events;
	int64_t timeline = g->timeline.seq;
	const struct state_actor *was;
	int ret;

	guest_ops_decide(g);
	if (guest_saved(g))
		return 0;
	was = event_set_actor(events, guest_op_actor(g));
	if (was) /* a call that is being handled now */
		event_set_actor(events, was);
	ret = guest_store(g, e);
	event_set_actor(events, was);
	if (ret < 0) {
		state_rollback(g->d->state);
		timeline_rolled_back(&g->timeline, timeline);
		event_drop(events);
		log_limited(&g->d->log, &g->save_limit,
			    "VM '%s': what it does cannot be written down: %s", g->name, e->msg);
		guests_save_later(g->d);
		return ret;
	}
	g->told = vm_state(&g->vm);
	g->end_unsaved = false;
	guest_ops_stored(g);
	event_flush(events);
	return 0;
}
