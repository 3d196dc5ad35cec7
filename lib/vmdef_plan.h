/* SPDX-License-Identifier: MIT */
/*
 * Inside of vmdef: the devices that a definition comes to, before they are written out. Everything about
 * a type is read from its schema (schemas/device/TYPE.json):
 *
 *	property "address"	a PCI device: any number, ids from the default of "id": disk0, disk1, …
 *	property "port"		one a port; the id is the port's name
 *	neither			registers at fixed places: one a machine
 */
#ifndef LIB_VMDEF_PLAN_H
#define LIB_VMDEF_PLAN_H

#include "lib/vmdef.h"
#include "lib/vmdef_profile.h"

#define VMDEF_DEVICES_MAX 80  /* 32 and 30 of the definition, and those of the largest profile */
#define VMDEF_VFIO "vfio-pci" /* what an entry of `passthrough` is */
#define VMDEF_SCSI "virtio-scsi"
#define VMDEF_IDE "ide"
#define VMDEF_AHCI "ahci"
#define VMDEF_FLOPPY "floppy"
#define VMDEF_CONSOLE "virtio-console"
#define VMDEF_SERIAL "serial"
#define VMDEF_BLK "virtio-blk"
#define VMDEF_VGA "vga"
#define VMDEF_PCI_FIRST 1 /* 00:00.0 is the host bridge … */
#define VMDEF_PCI_LAST 30 /* … and 00:1f.0 is kept for the bridges of a chipset */

struct vmdef_slot {
	const char *type; /* borrowed from the definition or the profile */
	char id[VMDEF_NAME_MAX + 1];
	const char *list;		   /* of the definition: "devices", "passthrough" */
	int index;			   /* in that list, or -1 */
	struct json_object *entry;	   /* borrowed from it, or NULL: as the profile has it */
	struct json_object *schema;	   /* borrowed from the set */
	const struct vmdef_preset *preset; /* what of the profile it stands for, or NULL */
	bool off;
};

struct vmdef_plan {
	const struct vmdef_profile *profile;
	struct vmdef_slot slots[VMDEF_DEVICES_MAX];
	size_t n;
};

/* where and e as in vmdef_check. The plan points into set and def. */
int vmdef_plan_init(struct vmdef_plan *p, struct schema_set *set, struct json_object *def,
		    struct schema_error *where, struct err *e);

/* Refuse what the definition says of a slot: at its key when it has that, else at the whole entry. */
int vmdef_slot_refuse(struct schema_error *where, struct err *e, const struct vmdef_slot *s,
		      const char *key, const char *fmt, ...) PRINTF_LIKE(5, 6);

/* vmdef_passthrough.c: what a schema cannot say of a device of the host, by itself and beside another. */
int vmdef_check_passthrough(const struct vmdef_slot *s, struct schema_error *where, struct err *e);
/* The same where the profile has a chipset without PCI Express. */
int vmdef_check_passthrough_chipset(const struct vmdef_slot *s, const char *profile,
				    struct schema_error *where, struct err *e);
int vmdef_check_passthrough_pair(const struct vmdef_slot *a, const struct vmdef_slot *b,
				 struct schema_error *where, struct err *e);

/* vmdef_uefi.c: the flash of variables, and Secure Boot. */
int vmdef_check_uefi(const struct vmdef_plan *p, struct json_object *def,
		     struct schema_error *where, struct err *e);

/* vmdef_net.c: the same of a network card. */
int vmdef_check_net(const struct vmdef_slot *s, struct schema_error *where, struct err *e);
int vmdef_check_net_pair(const struct vmdef_slot *a, const struct vmdef_slot *b,
			 struct schema_error *where, struct err *e);
/*
 * Into the one form {"network":{"user":{"forwards":[…]}}} and with a MAC address: that of the device before (or
 * NULL), or one made of the names.
 */
void vmdef_expand_net(struct json_object *device, const char *vm, const struct json_object *before);

/* vmdef.c: that a disk's keys go together; at: where it is in the definition. */
int vmdef_check_disk(struct json_object *disk, const char *at, struct schema_error *where,
		     struct err *e);
/* vmdef_scsi.c: the same for the disks of all SCSI, IDE, AHCI and floppy controllers. */
int vmdef_check_scsi(const struct vmdef_plan *p, struct schema_error *where, struct err *e);
/*
 * What says where a disk is at a controller of this type, whose disks come and go while a VM runs: "lun", "unit". NULL: they
 * do not, or it has none.
 */
const char *vmdef_plug_place(const char *type);
/* A disk of that id, of those that have no place from before. */
bool vmdef_scsi_has(const struct vmdef_slot *s, const char *id);
/* A controller's disks, written out; previous as in vmdef_expand. NULL: it is none. */
struct json_object *vmdef_expand_scsi(const struct vmdef_slot *s, struct json_object *previous);

/* vmdef_ports.c: the same for the ports of consoles, and what serial ports lead to. */
int vmdef_check_ports(const struct vmdef_plan *p, struct schema_error *where, struct err *e);
/* A console's ports, written out; NULL: it has none. */
struct json_object *vmdef_expand_ports(const struct vmdef_slot *s);
/* A serial port's backend that is no console becomes a port like those, of the device's name. */
void vmdef_expand_serial(struct json_object *device);

/* A property's description in the schema of the slot's type, or NULL. */
struct json_object *vmdef_slot_property(const struct vmdef_slot *s, const char *name);
/* What the slot has for a property: the definition's value, else the default, else NULL. */
struct json_object *vmdef_slot_value(const struct vmdef_slot *s, const char *name);

/* Number of a PCI device from "00:03.0", or 0 when there is none that a device may have. */
unsigned int vmdef_pci_device(const char *address);

/*
 * vmdef_expand.c: copy the properties that a schema describes, with its defaults, in its order, but for those in
 * `except` (NULL-terminated, may be NULL).
 */
void vmdef_copy(struct json_object *out, const struct json_object *from,
		struct json_object *properties, const char *const *except);

/* Fill where (may be NULL) and e; returns -ERR_INVALID. */
int vmdef_refuse(struct schema_error *where, struct err *e, const char *pointer, const char *fmt,
		 ...) PRINTF_LIKE(4, 5);

#endif
