// SPDX-License-Identifier: MIT
/* See plug_plan.h. On the loop's thread. */
#include "vmd/plug_plan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/vmdef_plan.h"
#include "vmd/daemon.h"
#include "vmd/event.h"
#include "vmd/plug_disk.h"

/* A definition and what it expands to; both owned. */
struct plug_pair {
	struct json_object *definition, *config;
};

static void plug_pair_fini(struct plug_pair *p)
{
	json_object_put(p->definition);
	json_object_put(p->config);
}

void plug_plan_fini(struct plug_plan *p)
{
	json_object_put(TAKE_PTR(p->entry));
	json_object_put(TAKE_PTR(p->config));
}

struct json_object *plug_plan_config(const struct plug_plan *p)
{
	struct json_object *o = json_new(), *devices = json_object_new_array();
	struct json_object *memory = json_add_int(json_new(), "size", p->memory);

	if (p->node >= 0)
		json_add_int(memory, "node", p->node);
	json_object_array_add(devices, json_clone(p->config));
	json_add(o, "memory", memory);
	return json_add(o, "devices", devices);
}

static int plug_load(struct daemon *d, const char *vm, int64_t revision, struct plug_pair *ret,
		     struct err *e)
{
	AUTO_FREE char *definition = NULL, *config = NULL;
	int r = state_revision_get(d->state, vm, revision, &definition, &config, e);

	if (r >= 0)
		r = json_parse(definition, strlen(definition), &ret->definition, e);
	return r < 0 ? r : json_parse(config, strlen(config), &ret->config, e);
}

static struct json_object *plug_device(struct json_object *config, const char *id)
{
	struct json_object *devices = json_get(config, "devices");

	for (size_t i = 0; i < json_object_array_length(devices); i++) {
		struct json_object *d = json_object_array_get_idx(devices, i);

		if (!strcmp(json_get_str(d, "id", ""), id))
			return d;
	}
	return NULL;
}

struct json_object *plug_disk(struct json_object *config, const char *device)
{
	struct json_object *disks = json_get(config, "disks");

	if (!disks || !strcmp(json_get_str(config, "id", ""), device))
		return NULL;
	return json_object_array_get_idx(disks, 0);
}

void plug_tell(struct json_object *o, struct json_object *config, const char *device)
{
	static const char *const told[] = {
		"type", "address", "pci", "pool", "lun", "unit", "path"
	};
	struct json_object *disk = plug_disk(config, device);

	if (disk)
		json_add_str(o, "controller", json_get_str(config, "id", ""));
	for (size_t i = 0; i < ARRAY_SIZE(told); i++) {
		struct json_object *value = json_get(config, told[i]);

		if (!value)
			value = json_get(disk, told[i]);
		if (value)
			json_add(o, told[i], json_object_get(value));
	}
}

/* A device's one member is the list of the definition that it belongs to. */
static int plug_append(struct daemon *d, struct json_object *definition, struct json_object *entry,
		       struct err *e)
{
	if (json_get(entry, "controller"))
		return plug_disk_append(d->schemas, definition, entry, e);
	json_object_object_foreach(entry, list, object) {
		struct json_object *to = json_get(definition, list);

		if (!to) {
			to = json_object_new_array();
			json_add(definition, list, to);
		}
		json_object_array_add(to, json_clone(object));
	}
	return 0;
}

/* --- what runs --------------------------------------------------------------------------------------- */

struct plug_running {
	struct daemon *d;
	struct plug_pair *pair;
	bool disks; /* their turn: the controllers are there */
};

static void plug_add_disk(struct plug_running *r, struct json_object *entry,
			  struct json_object *alone)
{
	const char *controller = json_get_str(entry, "controller", "");
	struct json_object *disks = json_get(plug_device(r->pair->config, controller), "disks");
	struct json_object *disk = json_object_array_get_idx(json_get(alone, "disks"), 0);

	/* one whose controller has gone is gone with it */
	if (disks && plug_disk_append(r->d->schemas, r->pair->definition, entry, NULL) >= 0)
		json_object_array_add(disks, json_object_get(disk));
}

/*
 * Attached devices are as if they were of the revision. One of the revision that is detached keeps its id and its place:
 * the next start brings it back.
 */
static int plug_add_attachment(void *arg, const struct state_attachment *a)
{
	AUTO_JSON struct json_object *entry = NULL, *device = NULL;
	struct plug_running *r = arg;

	if (a->defined)
		return 0;
	if (json_parse(a->entry, strlen(a->entry), &entry, NULL) < 0 ||
	    json_parse(a->config, strlen(a->config), &device, NULL) < 0)
		return -EINVAL;
	if (r->disks != !!json_get(entry, "controller"))
		return 0;
	if (r->disks) {
		plug_add_disk(r, entry, device);
		return 0;
	}
	json_object_array_add(json_get(r->pair->config, "devices"), json_object_get(device));
	return plug_append(r->d, r->pair->definition, entry, NULL);
}

static int plug_running(struct daemon *d, const char *vm, int64_t revision, struct plug_pair *ret,
			struct err *e)
{
	struct plug_running running = { .d = d, .pair = ret };
	int r = plug_load(d, vm, revision, ret, e);

	if (r >= 0)
		r = state_attachment_list(d->state, vm, plug_add_attachment, &running, e);
	running.disks = true;
	return r < 0 ? r : state_attachment_list(d->state, vm, plug_add_attachment, &running, e);
}

/* --- attach ------------------------------------------------------------------------------------------- */

/* The device of `with` that `config` has not. */
static struct json_object *plug_new_device(struct json_object *with, struct json_object *config)
{
	struct json_object *devices = json_get(with, "devices");

	for (size_t i = 0; i < json_object_array_length(devices); i++) {
		struct json_object *d = json_object_array_get_idx(devices, i);

		if (!plug_device(config, json_get_str(d, "id", "")))
			return d;
	}
	return NULL;
}

/* Ids that are counted off must not change when a neighbour goes. */
static struct json_object *plug_entry_with_id(struct json_object *entry, const char *id)
{
	struct json_object *copy = json_clone(entry);

	json_object_object_foreach(copy, list, object) {
		(void)list;
		if (!json_get(object, "id"))
			json_add_str(object, "id", id);
	}
	return copy;
}

/* The newest definition with the device; where it was in the guest it stays. */
static int plug_with(struct daemon *d, const struct state_vm *vm, const struct plug_plan *p,
		     struct plug_pair *ret, struct schema_error *where, struct err *e)
{
	struct plug_pair newest = { 0 };
	int r = plug_load(d, vm->id, vm->revision, &newest, e);

	if (r >= 0)
		r = plug_disk_check_lun(newest.config, p->entry, e);
	if (r >= 0)
		r = plug_append(d, newest.definition, p->entry, e);
	if (r >= 0)
		r = vmdef_check_in(d->schemas, newest.definition, where, e);
	if (r >= 0) {
		if (!plug_disk(p->config, p->device)) /* a disk's LUN is in its entry */
			json_object_array_add(json_get(newest.config, "devices"),
					      json_clone(p->config));
		r = vmdef_expand_in(d->schemas, newest.definition, newest.config, &ret->config, e);
		ret->definition = TAKE_PTR(newest.definition);
	}
	plug_pair_fini(&newest);
	return r;
}

static int plug_check_persist(struct daemon *d, const struct state_vm *vm,
			      const struct plug_plan *p, struct schema_error *where, struct err *e)
{
	struct plug_pair with = { 0 };
	int r = plug_with(d, vm, p, &with, where, e);

	plug_pair_fini(&with);
	if (r == -ERR_INVALID || r == -ERR_VM_NO_DEVICE)
		err_because(e, "device '%s' does not fit into revision %lld of VM '%s'", p->device,
			    (long long)vm->revision, vm->name);
	return r;
}

static int plug_took_id(const char *id, struct err *e)
{
	err_set(e, ERR_VM_DEVICE_EXISTS, "the VM has a device '%s' already", id);
	return err_hint(e, "give it another id");
}

static int plug_take_device(struct json_object *with, struct plug_pair *running,
			    struct json_object *entry, struct plug_plan *ret, struct err *e)
{
	struct json_object *device = plug_new_device(with, running->config);
	struct plug_disk_place other;

	if (!device) {
		err_set(e, ERR_VM_DEVICE_EXISTS,
			"the VM's profile has that device already, and this one has no name");
		return err_hint(e, "give it an id of its own: --id NAME");
	}
	snprintf(ret->device, sizeof(ret->device), "%s", json_get_str(device, "id", ""));
	if (plug_disk_find(running->config, ret->device, &other))
		return plug_took_id(ret->device, e);
	ret->config = json_object_get(device);
	ret->entry = plug_entry_with_id(entry, ret->device);
	return 0;
}

static int plug_take_disk(struct json_object *with, struct plug_pair *running,
			  struct json_object *entry, struct plug_plan *ret, struct err *e)
{
	const char *controller = json_get_str(entry, "controller", "");
	struct plug_disk_place at, other;
	struct json_object *disk;

	if (!plug_disk_last(with, controller, &at))
		return err_set(e, ERR_VM_NO_DEVICE, "the VM has no SCSI or AHCI controller '%.60s'",
			       controller);
	snprintf(ret->device, sizeof(ret->device), "%s", json_get_str(at.disk, "id", ""));
	if (plug_device(running->config, ret->device) ||
	    plug_disk_find(running->config, ret->device, &other))
		return plug_took_id(ret->device, e);
	ret->config = plug_disk_alone(&at);
	disk = json_clone(json_get(entry, "disks"));
	json_add_int(disk, plug_disk_key(&at), json_get_int(at.disk, plug_disk_key(&at), 0));
	ret->entry = json_add(json_add_str(json_new(), "controller", controller), "disks", disk);
	return 0;
}

static int plug_expand(struct daemon *d, struct plug_pair *running, struct json_object *entry,
		       struct plug_plan *ret, struct schema_error *where, struct err *e)
{
	AUTO_JSON struct json_object *with = NULL;
	int r = plug_append(d, running->definition, entry, e);

	if (r >= 0)
		r = vmdef_check_in(d->schemas, running->definition, where, e);
	if (r >= 0)
		r = plug_disk_check_lun(running->config, entry, e);
	if (r >= 0)
		r = vmdef_expand_in(d->schemas, running->definition, running->config, &with, e);
	if (r < 0)
		return r;
	ret->memory = json_get_int(json_get(running->config, "memory"), "size", 0);
	ret->node = json_get_int(json_get(running->config, "memory"), "node", -1);
	if (json_get(entry, "controller"))
		return plug_take_disk(with, running, entry, ret, e);
	return plug_take_device(with, running, entry, ret, e);
}

int plug_plan_attach(struct daemon *d, const struct state_vm *vm, int64_t revision,
		     struct json_object *entry, bool persist, struct plug_plan *ret,
		     struct schema_error *where, struct err *e)
{
	struct plug_pair running = { 0 };
	int r = plug_running(d, vm->id, revision, &running, e);

	*ret = (struct plug_plan){ 0 };
	if (r >= 0)
		r = plug_expand(d, &running, entry, ret, where, e);
	plug_pair_fini(&running);
	if (r >= 0 && persist)
		r = plug_check_persist(d, vm, ret, where, e);
	if (r < 0)
		plug_plan_fini(ret);
	return r;
}

/* --- detach ------------------------------------------------------------------------------------------- */

/* Take the entry of that id out: 1, or 0 when the definition has none; then the profile brings it, or nobody. */
static int plug_cut(struct daemon *d, struct json_object *definition, const char *id, struct err *e)
{
	const struct vmdef_slot *cut = NULL;
	struct json_object *list;
	struct vmdef_plan plan;
	int r = vmdef_plan_init(&plan, d->schemas, definition, NULL, e);

	for (size_t i = 0; i < plan.n && r >= 0; i++)
		if (!strcmp(plan.slots[i].id, id) && plan.slots[i].index >= 0 &&
		    !plan.slots[i].preset)
			cut = &plan.slots[i];
	if (r < 0 || !cut)
		return MIN(r, 0);
	/* those behind it move up, and keep their names */
	for (size_t i = 0; i < plan.n; i++) {
		struct vmdef_slot *s = &plan.slots[i];

		if (s->index > cut->index && !strcmp(s->list, cut->list) && !s->preset &&
		    !json_get(s->entry, "id"))
			json_add_str(s->entry, "id", s->id);
	}
	list = json_get(definition, cut->list);
	json_object_array_del_idx(list, (size_t)cut->index, 1);
	if (!json_object_array_length(list))
		json_object_object_del(definition, cut->list);
	return 1;
}

/* The newest definition without the device: 1, or 0 when it has none of that id. */
static int plug_without(struct daemon *d, const struct state_vm *vm, const char *device,
			struct plug_pair *ret, struct err *e)
{
	struct plug_pair newest = { 0 };
	int r = plug_load(d, vm->id, vm->revision, &newest, e), cut;

	cut = r < 0 ? r : plug_cut(d, newest.definition, device, e);
	if (!cut)
		cut = plug_disk_cut(d->schemas, newest.definition, newest.config, device, e);
	if (cut > 0) {
		r = vmdef_check_in(d->schemas, newest.definition, NULL, e);
		if (r >= 0)
			r = vmdef_expand_in(d->schemas, newest.definition, newest.config,
					    &ret->config, e);
		ret->definition = TAKE_PTR(newest.definition);
	}
	/* the profile's own comes back by itself */
	if (!cut && r >= 0 && plug_device(newest.config, device)) {
		r = err_set(e, ERR_VM_DEVICE_FIXED,
			    "device '%s' is of the profile, not of an entry of the definition",
			    device);
		err_hint(e, "switch it off there: {type: …, id: %s, enabled: false}", device);
	}
	plug_pair_fini(&newest);
	return r < 0 ? r : cut;
}

static int plug_check_without(struct daemon *d, const struct state_vm *vm, const char *device,
			      struct err *e)
{
	struct plug_pair without = { 0 };
	int r = plug_without(d, vm, device, &without, e);

	plug_pair_fini(&without);
	return r;
}

/* A device, or a disk of one; NULL: the configuration has neither. Owned. */
static struct json_object *plug_find_either(struct json_object *config, const char *id)
{
	struct json_object *device = plug_device(config, id);
	struct plug_disk_place at;

	if (device)
		return json_object_get(device);
	return plug_disk_find(config, id, &at) ? plug_disk_alone(&at) : NULL;
}

/* Only SCSI and AHCI have disks that go while their drivers run. */
static int plug_check_drive(struct json_object *config, const char *id, struct err *e)
{
	struct plug_disk_place at;

	if (plug_device(config, id) || !plug_disk_find(config, id, &at) ||
	    vmdef_plug_place(json_get_str(at.controller, "type", "")))
		return 0;
	err_set(e, ERR_VM_DEVICE_FIXED,
		"drive '%.60s' of controller '%s' cannot be removed from a VM that runs", id,
		json_get_str(at.controller, "id", ""));
	return err_hint(e, "remove it from the definition, and restart the VM; vmctl media changes "
			   "what is in a drive");
}

static int plug_take_away(const struct plug_pair *of_revision, const struct plug_pair *running,
			  const struct state_vm *vm, const char *device, struct plug_plan *ret,
			  struct err *e)
{
	AUTO_JSON struct json_object *defined = plug_find_either(of_revision->config, device);

	ret->config = plug_find_either(running->config, device);
	if (!ret->config) {
		err_set(e, ERR_VM_NO_DEVICE, "VM '%s' has no device '%.60s'", vm->name, device);
		return err_hint(e, "vmctl show %s lists them", vm->name);
	}
	if (plug_check_drive(running->config, device, e) < 0)
		return -ERR_VM_DEVICE_FIXED;
	snprintf(ret->device, sizeof(ret->device), "%s", device);
	ret->entry = json_new();
	ret->defined = defined;
	return 0;
}

int plug_plan_detach(struct daemon *d, const struct state_vm *vm, int64_t revision,
		     const char *device, bool persist, struct plug_plan *ret, struct err *e)
{
	struct plug_pair of_revision = { 0 }, running = { 0 };
	int r = plug_load(d, vm->id, revision, &of_revision, e);

	*ret = (struct plug_plan){ 0 };
	if (r >= 0)
		r = plug_running(d, vm->id, revision, &running, e);
	if (r >= 0)
		r = plug_take_away(&of_revision, &running, vm, device, ret, e);
	plug_pair_fini(&of_revision);
	plug_pair_fini(&running);
	if (r >= 0 && persist)
		r = plug_check_without(d, vm, device, e);
	if (r < 0)
		plug_plan_fini(ret);
	return MIN(r, 0);
}

/* --- the definition ----------------------------------------------------------------------------------- */

static int plug_write(struct daemon *d, struct state_vm *vm, const struct plug_pair *pair,
		      const struct state_actor *actor, struct err *e)
{
	struct json_object *data;
	int r = state_vm_update(
		d->state, vm,
		json_object_to_json_string_ext(pair->definition, JSON_C_TO_STRING_PLAIN),
		json_object_to_json_string_ext(pair->config, JSON_C_TO_STRING_PLAIN), actor, e);

	if (r < 0)
		return r;
	data = json_add_str(json_new(), "name", vm->name);
	return event_add(d->events, "vm.updated", vm->id,
			 json_add_int(data, "revision", vm->revision), e);
}

int64_t plug_plan_write(struct daemon *d, const char *vm, const struct plug_plan *p, bool attach,
			const struct state_actor *actor, struct err *e)
{
	struct state_actor who = *actor;
	struct plug_pair pair = { 0 };
	struct state_vm row;
	int r = state_vm_get(d->state, vm, &row, e);

	if (r >= 0 && attach)
		r = plug_with(d, &row, p, &pair, NULL, e);
	else if (r >= 0)
		r = plug_without(d, &row, p->device, &pair, e);
	snprintf(who.note, sizeof(who.note), "%s %.20s", attach ? "attach" : "detach", p->device);
	if (r >= 0 && pair.config)
		r = plug_write(d, &row, &pair, &who, e);
	else if (r >= 0)
		row.revision = 0;
	plug_pair_fini(&pair);
	return r < 0 ? r : row.revision;
}
