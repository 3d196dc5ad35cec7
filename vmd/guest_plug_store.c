// SPDX-License-Identifier: MIT
/* What is written of devices that come and go: see guest_plug.h. On the loop's thread. */
#include <stdio.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/event.h"
#include "vmd/guest_plug_priv.h"

int plug_put(const struct guest_plug *p, enum state_attachment_state state, struct err *e)
{
	struct state_attachment a = { .state = state,
				      .defined = p->plan.defined,
				      .persist = p->persist };

	memcpy(a.vm, p->g->id, sizeof(a.vm));
	memcpy(a.device, p->plan.device, sizeof(a.device));
	memcpy(a.job, p->job_id, sizeof(a.job));
	a.entry = json_object_to_json_string_ext(p->plan.entry, JSON_C_TO_STRING_PLAIN);
	a.config = json_object_to_json_string_ext(p->plan.config, JSON_C_TO_STRING_PLAIN);
	return state_attachment_put(p->g->d->state, &a, e);
}

/* Rows of disks whose controller has gone */
struct plug_orphans {
	const char *controller;
	struct json_object *ids; /* borrowed */
};

static int plug_add_orphan(void *arg, const struct state_attachment *a)
{
	AUTO_JSON struct json_object *config = NULL;
	struct plug_orphans *o = arg;

	if (json_parse(a->config, strlen(a->config), &config, NULL) >= 0 &&
	    plug_disk(config, a->device) && !strcmp(json_get_str(config, "id", ""), o->controller))
		json_object_array_add(o->ids, json_object_new_string(a->device));
	return 0;
}

static int plug_drop_disks(const struct guest_plug *p, struct err *e)
{
	AUTO_JSON struct json_object *ids = json_object_new_array();
	struct plug_orphans orphans = { .controller = p->plan.device, .ids = ids };
	struct state *s = p->g->d->state;
	int r = state_attachment_list(s, p->g->id, plug_add_orphan, &orphans, e);

	for (size_t i = 0; i < json_object_array_length(ids) && r >= 0; i++)
		r = state_attachment_delete(
			s, p->g->id, json_object_get_string(json_object_array_get_idx(ids, i)), e);
	return r;
}

/* The row as the outcome leaves it. A detach that failed leaves the device where it was. */
static int plug_store_row(const struct guest_plug *p, struct err *e)
{
	struct state *s = p->g->d->state;

	if (!p->g->proc) /* nothing differs from a revision that does not run */
		return state_attachment_delete(s, p->g->id, p->plan.device, e);
	if (p->outcome == PLUG_CAME ||
	    (p->outcome == PLUG_FAILED && !p->attach && !p->plan.defined))
		return plug_put(p, STATE_ATTACHED, e);
	if (p->attach || p->outcome == PLUG_WENT) {
		int r = state_nic_delete(s, p->g->id, p->plan.device, e);

		if (r >= 0 && p->outcome == PLUG_WENT)
			r = plug_drop_disks(p, e);
		if (r < 0)
			return r;
	}
	if (p->outcome == PLUG_WENT && p->plan.defined)
		return plug_put(p, STATE_DETACHED, e);
	return state_attachment_delete(s, p->g->id, p->plan.device, e);
}

static int plug_store_event(const struct guest_plug *p, struct err *e)
{
	struct json_object *data = json_add_str(json_new(), "name", p->g->name);
	struct json_object *disk = plug_disk(p->plan.config, p->plan.device);
	const char *place = json_get(disk, "unit") ? "unit" : "lun";
	const char *pci = json_get_str(p->plan.config, "pci", NULL);

	json_add_str(data, "device", p->plan.device);
	json_add_str(data, "type", json_get_str(p->plan.config, "type", ""));
	if (pci)
		json_add_str(data, "pci", pci);
	if (disk) {
		json_add_str(data, "controller", json_get_str(p->plan.config, "id", ""));
		json_add_int(data, place, json_get_int(disk, place, 0));
	}
	return event_add(p->g->d->events,
			 p->outcome == PLUG_CAME ? "device.attached" : "device.detached", p->g->id,
			 data, e);
}

/* A definition that has changed meanwhile may not have room for it: the VM has the device all the same. */
static int64_t plug_store_definition(struct guest_plug *p, struct err *e)
{
	struct err why = { 0 };
	int64_t r =
		plug_plan_write(p->g->d, p->g->id, &p->plan, p->attach, &p->job->row.actor, &why);

	if (r >= 0)
		return r;
	if (r == -ERR_STATE || r == -ERR_STATE_UNKNOWN) {
		*e = why;
		return r;
	}
	snprintf(p->note, sizeof(p->note), "the definition is as it was: %.200s", why.msg);
	return 0;
}

static struct json_object *plug_answer(const struct guest_plug *p, int64_t revision)
{
	struct json_object *o = json_add_str(json_new(), "name", p->g->name);

	json_add_str(o, "device", p->plan.device);
	plug_tell(o, p->plan.config, p->plan.device);
	if (revision)
		json_add_int(o, "revision", revision);
	if (p->note[0])
		json_add_str(o, "note", p->note);
	return json_add_bool(o, "changed", true);
}

int plug_store(struct guest_plug *p, struct err *e)
{
	struct state *s = p->g->d->state;
	bool done = p->outcome != PLUG_FAILED;
	int64_t revision = 0;
	int r = state_begin(s, e);

	if (r >= 0)
		r = plug_store_row(p, e);
	if (r >= 0 && done && p->persist && p->job)
		revision = plug_store_definition(p, e);
	if (revision < 0)
		r = (int)revision;
	if (r >= 0 && done)
		r = plug_store_event(p, e);
	if (r >= 0 && p->job && !p->job->ended)
		job_end(p->job, done ? plug_answer(p, revision) : NULL, done ? NULL : &p->why);
	if (r >= 0 && p->job)
		r = job_store(p->job, e);
	return r < 0 ? r : state_commit(s, e);
}
