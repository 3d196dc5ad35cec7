/* SPDX-License-Identifier: MIT */
/* Disks of SCSI and AHCI controllers in a plan of plug_plan.h: in a definition, and in a machine configuration. Any thread. */
#ifndef VMD_PLUG_DISK_H
#define VMD_PLUG_DISK_H

#include "lib/json.h"
#include "lib/schema.h"

/* Whose it is */
struct plug_disk_place {
	struct json_object *controller; /* borrowed, in the machine configuration */
	struct json_object *disk;	/* borrowed */
	size_t index;			/* in its disks, and in those of the definition */
};

/* False: the configuration has no disk of that id. */
bool plug_disk_find(struct json_object *config, const char *id, struct plug_disk_place *ret);
/* {type, id, disks: [disk]}. Owned. */
struct json_object *plug_disk_alone(const struct plug_disk_place *p);
/* The disk of a controller's list that was added last. False: no such controller. */
bool plug_disk_last(struct json_object *config, const char *controller,
		    struct plug_disk_place *ret);
/* The key of its place there: "lun", "unit" */
const char *plug_disk_key(const struct plug_disk_place *p);
/* -ERR_INVALID: another disk has the LUN that the entry (plug_disk_append) asks for. One without a LUN would move. */
int plug_disk_check_lun(struct json_object *config, struct json_object *entry, struct err *e);

/* Into a definition; entry: {"controller": ID, "disks": {…}}. -ERR_VM_NO_DEVICE: it has no such controller. */
int plug_disk_append(struct schema_set *set, struct json_object *definition,
		     struct json_object *entry, struct err *e);
/* Out of it; config is what it expands to. 1, or 0 when it has none of that id. */
int plug_disk_cut(struct schema_set *set, struct json_object *definition,
		  struct json_object *config, const char *id, struct err *e);

#endif
