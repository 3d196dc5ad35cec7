// SPDX-License-Identifier: MIT
/*
 * The disks of SCSI, IDE, AHCI and floppy controllers in a definition: what no schema can say of them, and what they are once they are
 * written out in full. See vmdef_plan.h. Any thread.
 */
#include "lib/vmdef_plan.h"

#include <stdio.h>
#include <string.h>

#include "lib/auto.h"

#define VMDEF_LUNS 256

/* Where a disk is at its controller is a number of this name; a serial number has at most so many bytes. */
static const struct vmdef_disks {
	const char *type, *place, *taken;
	int places;
	unsigned int serial;
	bool come;   /* and go, while a VM runs */
	bool drives; /* their media can be changed, all of them */
} vmdef_disks[] = {
	{ VMDEF_SCSI, "lun", "another disk of the controller has this LUN", VMDEF_LUNS, 36, true },
	{ VMDEF_IDE, "unit", "another drive of the controller is this unit", 4, 20 },
	{ VMDEF_AHCI, "unit", "another drive of the controller is this unit", 6, 20, true },
	{ VMDEF_FLOPPY, "unit", "another drive of the controller is this unit", 2, 0, false, true },
};

struct vmdef_scsi {
	const struct vmdef_slot *slot;
	const struct vmdef_disks *rules;
	size_t index;
	struct json_object *disk; /* borrowed */
	struct schema_error *where;
	struct err *e;
};

static struct json_object *vmdef_scsi_disks(struct json_object *controller, size_t *ret_n)
{
	struct json_object *disks = json_get(controller, "disks");

	*ret_n = json_object_is_type(disks, json_type_array) ? json_object_array_length(disks) : 0;
	return disks;
}

/* NULL: no controller of such disks */
static const struct vmdef_disks *vmdef_disks_of(const char *type)
{
	for (size_t i = 0; i < ARRAY_SIZE(vmdef_disks); i++)
		if (!strcmp(vmdef_disks[i].type, type))
			return &vmdef_disks[i];
	return NULL;
}

const char *vmdef_plug_place(const char *type)
{
	const struct vmdef_disks *d = vmdef_disks_of(type);

	return d && d->come ? d->place : NULL;
}

/* --- the checks ---------------------------------------------------------------------------------------- */

static int vmdef_scsi_refuse(const struct vmdef_scsi *s, const char *key, const char *what)
{
	char pointer[64];
	int n = snprintf(pointer, sizeof(pointer), "/%s/%d/disks/%zu", s->slot->list,
			 s->slot->index, s->index);

	if (json_get(s->disk, key))
		snprintf(pointer + n, sizeof(pointer) - (size_t)n, "/%s", key);
	return vmdef_refuse(s->where, s->e, pointer, "%s", what);
}

/* A device of the host has its own identity, and nothing lies between it and the guest. */
static int vmdef_scsi_check_passthrough(const struct vmdef_scsi *s)
{
	static const char *const keys[] = { "format",  "backing",	 "readonly",
					    "cache",   "on_error",	 "share",
					    "serial",  "ops_per_second", "bytes_per_second",
					    "burst_ms" };

	if (strcmp(json_get_str(s->disk, "kind", ""), "passthrough") != 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (json_get(s->disk, keys[i]))
			return vmdef_scsi_refuse(s, keys[i],
						 "does not go with `kind: passthrough`");
	return 0;
}

static int vmdef_scsi_check_disk(const struct vmdef_scsi *s)
{
	bool cd = !strcmp(json_get_str(s->disk, "kind", ""), "cdrom");
	const char *serial = json_get_str(s->disk, "serial", "");
	char at[64];
	int ret;

	if (!cd && !s->rules->drives && !json_get(s->disk, "path"))
		return vmdef_scsi_refuse(s, "path",
					 "needs a path; only a drive, `kind: cdrom`, is empty "
					 "without one");
	snprintf(at, sizeof(at), "/%s/%d/disks/%zu", s->slot->list, s->slot->index, s->index);
	ret = vmdef_check_disk(s->disk, at, s->where, s->e);
	if (ret)
		return ret;
	if (json_get(s->disk, "backing") && !json_get(s->disk, "path"))
		return vmdef_scsi_refuse(s, "backing", "goes with a path");
	if (cd && !json_get_bool(s->disk, "readonly", true))
		return vmdef_scsi_refuse(s, "readonly", "a CD-ROM is always read only");
	if (strlen(serial) > s->rules->serial)
		return vmdef_scsi_refuse(s, "serial",
					 s->rules->serial == 36 ? "expected at most 36 bytes"
								: "expected at most 20 bytes");
	if (strchr(json_get_str(s->disk, "id", ""), '.'))
		return vmdef_scsi_refuse(s, "id",
					 "expected a name without a dot, which those have that "
					 "are made of a LUN");
	return 0;
}

/* ids: of the VM's disks up to here; luns: of this controller's */
static int vmdef_scsi_check_unique(const struct vmdef_scsi *s, struct json_object *ids,
				   bool luns[static VMDEF_LUNS])
{
	const char *id = json_get_str(s->disk, "id", NULL);
	int64_t lun = json_get_int(s->disk, s->rules->place, -1);

	if (id && json_get(ids, id))
		return vmdef_scsi_refuse(s, "id",
					 json_get_bool(ids, id, true) ? "another disk has this id"
								      : "a device has this id");
	if (id)
		json_add_bool(ids, id, true);
	if (lun >= 0 && luns[lun])
		return vmdef_scsi_refuse(s, s->rules->place, s->rules->taken);
	if (lun >= 0)
		luns[lun] = true;
	return 0;
}

static int vmdef_scsi_check_slot(struct vmdef_scsi *s, struct json_object *ids)
{
	bool luns[VMDEF_LUNS] = { false };
	struct json_object *disks;
	size_t n;
	int ret = 0;

	disks = vmdef_scsi_disks(s->slot->entry, &n);
	for (s->index = 0; s->index < n && !ret; s->index++) {
		s->disk = json_object_array_get_idx(disks, s->index);
		ret = vmdef_scsi_check_disk(s);
		if (!ret)
			ret = vmdef_scsi_check_passthrough(s);
		if (!ret)
			ret = vmdef_scsi_check_unique(s, ids, luns);
	}
	return ret;
}

int vmdef_check_scsi(const struct vmdef_plan *p, struct schema_error *where, struct err *e)
{
	AUTO_JSON struct json_object *ids = json_new(); /* true: of a disk */
	int ret = 0;

	for (size_t i = 0; i < p->n; i++)
		if (!p->slots[i].off)
			json_add_bool(ids, p->slots[i].id, false);
	for (size_t i = 0; i < p->n && !ret; i++) {
		struct vmdef_scsi s = { .slot = &p->slots[i], .where = where, .e = e };

		s.rules = vmdef_disks_of(s.slot->type);
		if (!s.slot->off && s.rules)
			ret = vmdef_scsi_check_slot(&s, ids);
	}
	return ret;
}

/* --- LUNs: what the definition says; then what was before stays; the rest fills up from below ------------- */

struct vmdef_luns {
	const struct vmdef_disks *rules;
	int lun[VMDEF_LUNS]; /* of each disk; -1: none yet */
	bool taken[VMDEF_LUNS];
};

static void vmdef_lun_take(struct vmdef_luns *l, size_t disk, int64_t lun)
{
	if (lun < 0 || lun >= l->rules->places || l->lun[disk] >= 0 || l->taken[lun])
		return;
	l->lun[disk] = (int)lun;
	l->taken[lun] = true;
}

static int64_t vmdef_lun_before(struct json_object *previous, const char *place, const char *id)
{
	struct json_object *disks;
	size_t n;

	disks = vmdef_scsi_disks(previous, &n);
	for (size_t i = 0; i < n; i++) {
		struct json_object *d = json_object_array_get_idx(disks, i);

		if (!strcmp(json_get_str(d, "id", ""), id))
			return json_get_int(d, place, -1);
	}
	return -1;
}

static void vmdef_lun_all(struct json_object *disks, size_t n, struct json_object *previous,
			  struct vmdef_luns *l)
{
	for (size_t i = 0; i < n; i++) {
		l->lun[i] = -1;
		vmdef_lun_take(l, i,
			       json_get_int(json_object_array_get_idx(disks, i), l->rules->place,
					    -1));
	}
	for (size_t i = 0; i < n; i++) {
		const char *id = json_get_str(json_object_array_get_idx(disks, i), "id", NULL);

		if (id)
			vmdef_lun_take(l, i, vmdef_lun_before(previous, l->rules->place, id));
	}
	for (size_t i = 0; i < n; i++)
		for (int lun = 0; lun < l->rules->places && l->lun[i] < 0; lun++)
			vmdef_lun_take(l, i, lun);
}

static struct json_object *vmdef_scsi_previous(struct json_object *previous,
					       const struct vmdef_slot *s)
{
	struct json_object *devices = json_get(previous, "devices");
	size_t count = json_object_is_type(devices, json_type_array)
			       ? json_object_array_length(devices)
			       : 0;

	for (size_t i = 0; i < count; i++) {
		struct json_object *d = json_object_array_get_idx(devices, i);

		if (!strcmp(json_get_str(d, "id", ""), s->id) &&
		    !strcmp(json_get_str(d, "type", ""), s->type))
			return d;
	}
	return NULL;
}

struct json_object *vmdef_expand_scsi(const struct vmdef_slot *s, struct json_object *previous)
{
	struct json_object *properties =
		json_get(json_get(vmdef_slot_property(s, "disks"), "items"), "properties");
	static const char *const own[] = { "id", "lun", "unit", NULL };
	struct json_object *out, *disks;
	struct vmdef_luns luns = { .rules = vmdef_disks_of(s->type) };
	size_t n;

	if (!luns.rules)
		return NULL;
	out = json_object_new_array();
	disks = vmdef_scsi_disks(s->entry, &n);
	vmdef_lun_all(disks, n, vmdef_scsi_previous(previous, s), &luns);
	for (size_t i = 0; i < n; i++) {
		struct json_object *from = json_object_array_get_idx(disks, i), *d = json_new();

		if (json_get(from, "id"))
			json_add_str(d, "id", json_get_str(from, "id", ""));
		else
			json_add_fmt(d, "id", "%s.%d", s->id, luns.lun[i]);
		json_add_int(d, luns.rules->place, luns.lun[i]);
		vmdef_copy(d, from, properties, own);
		if (!strcmp(json_get_str(d, "kind", ""), "cdrom"))
			json_add_bool(d, "readonly", true);
		json_object_array_add(out, d);
	}
	return out;
}

bool vmdef_scsi_has(const struct vmdef_slot *s, const char *id)
{
	AUTO_JSON struct json_object *disks = vmdef_expand_scsi(s, NULL);

	for (size_t i = 0; disks && i < json_object_array_length(disks); i++)
		if (!strcmp(json_get_str(json_object_array_get_idx(disks, i), "id", ""), id))
			return true;
	return false;
}
