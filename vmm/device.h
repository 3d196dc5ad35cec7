/* SPDX-License-Identifier: MIT */
/*
 * The device contract. A class is one const row in devices.c; its state is one struct per instance that
 * starts with struct device. The core does the same for each: allocate, bind the configuration by
 * cfg_fields, init; at the end stop, fini, free, in reverse order.
 *
 * All callbacks run on the control loop under machine.lock while no vCPU runs (init, start, stop,
 * reset, fini); register accesses come from vCPU threads under the same lock. Device code never locks.
 */
#ifndef VMM_DEVICE_H
#define VMM_DEVICE_H

#include <sys/stat.h>
#include "lib/err.h"
#include "lib/fdio.h"
#include "lib/field.h"
#include "vmm/board.h"

#define DEVICE_ID_MAX 64

struct block;
struct device;

/* A drive whose medium can be changed */
struct device_drive {
	const char *id; /* the device's */
	bool medium;	/* there is one, maybe in an open tray */
	ino_t inode;	/* of its image, where the guest may write to it; else 0 */
	bool open, locked;
};

struct device_medium {
	struct block *block; /* taken (TAKE_PTR) or left; NULL: the medium is taken out */
	struct stat file;    /* of the block's image */
	bool force;	     /* also where the guest has locked it */
	bool dry_run;	     /* only say what would be */
	bool changed;	     /* set: it is another than before */
};

struct device_unit; /* a class's own: a disk that is to come to a controller */

struct device_class {
	const char *type;
	bool standby; /* has power in S3: keeps its state, and its timers run */
	bool hotplug; /* a PCI function that may come and go while the machine runs (machine.h) */
	size_t size;  /* of the instance; struct device is its first member */
	size_t cfg_size;		 /* of the configuration struct, may be 0 */
	const struct field *cfg_fields;	 /* type, id and enabled are the core's; NULL: no others */
	void (*cfg_defaults)(void *cfg); /* optional; before: all zero, every FIELD_FD -1 */
	/* Claim regions, lines, backends. On failure fini is called on the half-made instance. */
	int (*init)(struct device *d, struct err *e);
	void (*start)(
		struct device
			*d); /* optional: the guest runs from now on (first start and resume) */
	void (*stop)(
		struct device *d); /* optional: on return no thread of it touches guest memory */
	void (*reset)(
		struct device *
			d); /* to power-on state; host resources stay. Called between stop and start,
					  * and once before the first start */
	/*
	 * Optional: a change while the machine is there, {"link": "down"}. Refused as a whole or done: a key that is not
	 * there, or cannot be changed, is -ERR_INVALID. 1: something is different now, 0: it was so. Under machine.lock;
	 * vCPUs may run.
	 */
	int (*set)(struct device *d, struct json_object *change, struct err *e);
	/* Optional, with set, and where it is called: what can be changed, as it is now. */
	struct json_object *(*settings)(const struct device *d);
	/* Optional, where set is called: give notice (board.h) of what holds still, to who may have been away. */
	void (*tell)(struct device *d);
	/*
	 * Optional: its drives by number, false behind the last; and another medium for one of them. Under machine.lock,
	 * on the control loop; vCPUs may run. -ERR_VM_MEDIUM_LOCKED: the guest is asked for it.
	 */
	bool (*drive)(struct device *d, unsigned int index, struct device_drive *ret);
	int (*set_medium)(struct device *d, unsigned int index, struct device_medium *medium,
			  struct err *e);
	/*
	 * Optional: what a device has that comes and goes while the machine is there, as the disks of a controller. Their ids
	 * by number, NULL behind the last. One is made of its JSON without machine.lock, for a file system may take its time;
	 * and is the device's with unit_add, also after a failure. The guest is told, and not asked. Under machine.lock, vCPUs
	 * may run. -ERR_INVALID, -ERR_FILE; -ERR_BUSY: the guest was not yet told of one that was in its place.
	 */
	const char *(*unit)(const struct device *d, unsigned int index);
	int (*unit_new)(struct device *d, struct json_object *json, struct fdset *fds,
			struct device_unit **ret_unit, struct err *e);
	int (*unit_add)(struct device *d, struct device_unit *take_unit, struct err *e);
	int (*unit_remove)(struct device *d, const char *id, struct err *e);
	/* Optional, with unit, of one that is there: as blk_grow (vmm/virtio/blk.h), and as set with settings. */
	int (*unit_grow)(struct device *d, const char *id, bool dry_run, uint64_t *ret_size,
			 struct err *e);
	int (*unit_set)(struct device *d, const char *id, struct json_object *change,
			struct json_object **ret_settings, struct err *e);
	void (*fini)(struct device *d); /* optional; accepts a half-made instance */
};

struct device {
	const struct device_class *class;
	struct board *board; /* borrowed */
	char id[DEVICE_ID_MAX];
	void *cfg; /* owned by the core; its descriptors are closed by the core unless taken (TAKE_FD) */
};

/* THE device table: devices.c. NULL-terminated. */
extern const struct device_class *const device_classes[];

const struct device_class *device_class_find(const char *type);

/*
 * Make one from its JSON ({"type":…,"id":…,…}); fds as in lib/field.h. Errors are prefixed
 * "device 'disk0': ".
 */
int device_new(struct board *board, struct json_object *json, struct fdset *fds,
	       struct device **ret_device, struct err *e);
void device_free(struct device *d);

#endif
