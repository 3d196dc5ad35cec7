/* SPDX-License-Identifier: MIT */
/*
 * What an attach or a detach means: the devices that a running VM has by now, the new one with its id and its place in
 * the guest, checked as a definition is; and the definition with it, or without. Reads and writes the database; on the
 * loop's thread.
 */
#ifndef VMD_PLUG_PLAN_H
#define VMD_PLUG_PLAN_H

#include "lib/json.h"
#include "lib/schema.h"
#include "state/state.h"

struct daemon;

struct plug_plan {
	char device[64];
	struct json_object *
		entry; /* owned: {"devices": {…}}, {"passthrough": {…}} or {"controller": ID, "disks": {…}}, its id, or LUN, written out */
	struct json_object *
		config; /* owned: the device as in the machine configuration; of a disk, its controller with no other */
	int64_t memory; /* the VM's, bytes */
	int64_t node;	/* NUMA, of that; -1: any */
	bool defined;	/* the device is of the revision that runs */
};

void plug_plan_fini(struct plug_plan *p);
/* {"memory": {size}, "devices": [config]}: a machine configuration of that device alone. Owned. */
struct json_object *plug_plan_config(const struct plug_plan *p);

/* The disk of a controller that config is about, or NULL: it is about a device of its own. Borrowed. */
struct json_object *plug_disk(struct json_object *config, const char *device);
/* What people are told: type, address, pci, path; of a disk controller, lun and path. */
void plug_tell(struct json_object *o, struct json_object *config, const char *device);

/*
 * A device that is to come to a VM that runs this revision. entry: {"devices": {…}}, {"passthrough": {…}} or {"controller":
 * ID, "disks": {…}}. persist: it has to fit into the newest definition, too. -ERR_INVALID with where in the definition it
 * would be; -ERR_VM_NO_DEVICE: no such controller.
 */
int plug_plan_attach(struct daemon *d, const struct state_vm *vm, int64_t revision,
		     struct json_object *entry, bool persist, struct plug_plan *ret,
		     struct schema_error *where, struct err *e);
/* One that it has. -ERR_VM_NO_DEVICE; persist: -ERR_VM_DEVICE_FIXED, where the profile brings it. */
int plug_plan_detach(struct daemon *d, const struct state_vm *vm, int64_t revision,
		     const char *device, bool persist, struct plug_plan *ret, struct err *e);
/*
 * The newest definition with the device (attach), or without, as a new revision, in the open transaction. 0: it is as
 * wanted already; else the number.
 */
int64_t plug_plan_write(struct daemon *d, const char *vm, const struct plug_plan *p, bool attach,
			const struct state_actor *actor, struct err *e);

#endif
