// SPDX-License-Identifier: MIT
/*
 * What is written down of a VM's states: the event, and with the end of a process also how it ended, in
 * one transaction, so that a vmd that dies in between has told nobody of what the next one does not know.
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

	if (g->up)
		return state_exit_put(s, g->id, &g->exit, e);
	ret = state_vm_set_desired(s, g->id, false, e);
	return ret < 0 ? ret : state_process_delete(s, g->id, e);
}

static int guest_store_event(struct guest *g, struct err *e)
{
	struct json_object *data = json_add_str(json_new(), "name", g->name);
	enum vm_state to = vm_state(&g->vm);

	json_add_str(data, "from", vm_state_name(g->told));
	json_add_str(data, "to", vm_state_name(to));
	if (to == VM_STOPPED && g->has_exit)
		json_add(data, "exit", guest_exit_json(&g->exit));
	return event_add(g->d->events, "vm.state", g->id, data, e);
}

bool guest_saved(const struct guest *g)
{
	return !g->end_unsaved && g->told == vm_state(&g->vm);
}

int guest_save(struct guest *g, struct err *e)
{
	struct state *s = g->d->state;
	int ret;

	if (guest_saved(g))
		return 0;
	ret = state_begin(s, e);
	if (ret >= 0 && g->end_unsaved)
		ret = guest_store_end(g, e);
	if (ret >= 0 && g->told != vm_state(&g->vm))
		ret = guest_store_event(g, e);
	if (ret >= 0)
		ret = state_commit(s, e);
	if (ret < 0) {
		state_rollback(s);
		event_drop(g->d->events);
		log_limited(&g->d->log, &g->save_limit,
			    "VM '%s': what it does cannot be written down: %s", g->name, e->msg);
		guests_save_later(g->d);
		return ret;
	}
	g->told = vm_state(&g->vm);
	g->end_unsaved = false;
	event_flush(g->d->events);
	return 0;
}
