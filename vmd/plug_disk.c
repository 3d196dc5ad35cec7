// SPDX-License-Identifier: MIT
/* See plug_disk.h. Any thread. */
#include "vmd/plug_disk.h"

#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/vmdef_plan.h"

static size_t plug_length(struct json_object *list)
{
	return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

/* --- in a machine configuration -------------------------------------------------------------------------- */

static bool plug_disk_of(struct json_object *controller, const char *id,
			 struct plug_disk_place *ret)
{
	struct json_object *disks = json_get(controller, "disks");

	for (size_t i = 0; i < plug_length(disks); i++) {
		struct json_object *disk = json_object_array_get_idx(disks, i);

		if (strcmp(json_get_str(disk, "id", ""), id) != 0)
			continue;
		*ret = (struct plug_disk_place){ controller, disk, i };
		return true;
	}
	return false;
}

bool plug_disk_find(struct json_object *config, const char *id, struct plug_disk_place *ret)
{
	struct json_object *devices = json_get(config, "devices");

	for (size_t i = 0; i < plug_length(devices); i++)
		if (plug_disk_of(json_object_array_get_idx(devices, i), id, ret))
			return true;
	return false;
}

bool plug_disk_last(struct json_object *config, const char *controller, struct plug_disk_place *ret)
{
	struct json_object *devices = json_get(config, "devices");

	for (size_t i = 0; i < plug_length(devices); i++) {
		struct json_object *d = json_object_array_get_idx(devices, i);
		size_t n = plug_length(json_get(d, "disks"));

		if (strcmp(json_get_str(d, "id", ""), controller) != 0 || !n)
			continue;
		*ret = (struct plug_disk_place){
			d, json_object_array_get_idx(json_get(d, "disks"), n - 1), n - 1
		};
		return true;
	}
	return false;
}

const char *plug_disk_key(const struct plug_disk_place *p)
{
	const char *place = vmdef_plug_place(json_get_str(p->controller, "type", ""));

	return place ? place : "lun";
}

int plug_disk_check_lun(struct json_object *config, struct json_object *entry, struct err *e)
{
	const char *controller = json_get_str(entry, "controller", ""), *place;
	struct plug_disk_place at;
	struct json_object *disks;
	int64_t number;

	if (!plug_disk_last(config, controller, &at))
		return 0;
	place = plug_disk_key(&at);
	number = json_get_int(json_get(entry, "disks"), place, -1);
	disks = json_get(at.controller, "disks");
	for (size_t i = 0; i < plug_length(disks) && number >= 0; i++) {
		struct json_object *disk = json_object_array_get_idx(disks, i);

		if (json_get_int(disk, place, -1) != number)
			continue;
		err_set(e, ERR_INVALID, "disk '%s' has %s %lld of controller '%s'",
			json_get_str(disk, "id", ""), strcmp(place, "lun") ? place : "LUN",
			(long long)number, controller);
		return err_hint(e, "without a %s it gets the first that is free",
				strcmp(place, "lun") ? place : "LUN");
	}
	return 0;
}

struct json_object *plug_disk_alone(const struct plug_disk_place *p)
{
	struct json_object *o = json_new(), *disks = json_object_new_array();

	json_add_str(o, "type", json_get_str(p->controller, "type", ""));
	json_add_str(o, "id", json_get_str(p->controller, "id", ""));
	json_object_array_add(disks, json_clone(p->disk));
	return json_add(o, "disks", disks);
}

/* --- in a definition ------------------------------------------------------------------------------------- */

/* Its entry there; NULL: there is none. */
static struct json_object *plug_controller(struct schema_set *set, struct json_object *definition,
					   const char *id, struct err *e)
{
	struct vmdef_plan plan;

	if (vmdef_plan_init(&plan, set, definition, NULL, e) < 0)
		return NULL;
	for (size_t i = 0; i < plan.n; i++)
		if (!strcmp(plan.slots[i].id, id) && vmdef_plug_place(plan.slots[i].type) &&
		    !plan.slots[i].off)
			return plan.slots[i].entry;
	err_set(e, ERR_VM_NO_DEVICE, "the VM has no SCSI or AHCI controller '%.60s'", id);
	err_hint(e, "attach one: {type: virtio-scsi, id: %.60s}", id);
	return NULL;
}

int plug_disk_append(struct schema_set *set, struct json_object *definition,
		     struct json_object *entry, struct err *e)
{
	struct err why = { .code = ERR_VM_NO_DEVICE };
	struct json_object *controller =
		plug_controller(set, definition, json_get_str(entry, "controller", ""), &why);
	struct json_object *disks;

	if (!controller) {
		if (e)
			*e = why;
		return -why.code;
	}
	disks = json_get(controller, "disks");
	if (!disks) {
		disks = json_object_new_array();
		json_add(controller, "disks", disks);
	}
	json_object_array_add(disks, json_clone(json_get(entry, "disks")));
	return 0;
}

/* Those behind it move up, and keep their LUNs, which are their names too. */
static void plug_keep_luns(struct json_object *disks, const struct plug_disk_place *at)
{
	struct json_object *expanded = json_get(at->controller, "disks");
	const char *place = plug_disk_key(at);

	for (size_t i = at->index + 1; i < plug_length(disks); i++) {
		struct json_object *o = json_object_array_get_idx(disks, i);
		struct json_object *full = json_object_array_get_idx(expanded, i);

		if (!json_get(o, "id") && !json_get(o, place))
			json_add_int(o, place, json_get_int(full, place, 0));
	}
}

int plug_disk_cut(struct schema_set *set, struct json_object *definition,
		  struct json_object *config, const char *id, struct err *e)
{
	struct json_object *controller, *disks;
	struct plug_disk_place at;

	if (!plug_disk_find(config, id, &at))
		return 0;
	controller = plug_controller(set, definition, json_get_str(at.controller, "id", ""), e);
	disks = json_get(controller, "disks");
	if (at.index >= plug_length(disks))
		return 0;
	plug_keep_luns(disks, &at);
	json_object_array_del_idx(disks, at.index, 1);
	if (!plug_length(disks))
		json_object_object_del(controller, "disks");
	return 1;
}
