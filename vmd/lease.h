/* SPDX-License-Identifier: MIT */
/*
 * Devices of the host that VMs have: taken for a start, given back after the end of the VM's process, never lost in between
 * (DESIGN.md "Device leases"). free -> reserved -> configured -> bound -> in-use -> releasing -> free, or
 * quarantined. Who has what is in the database alone; what is done to the host goes through the journal.
 * On the loop's thread, but for what is read of sysfs, by workers.
 *
 * A restart gives its devices back and takes them anew: it starts the newest revision, which may want others, and
 * what a guest left in a device is gone as it is between two VMs.
 *
 * lease_reserve.c: who gets what. lease_take.c: from reserved to bound. lease_release.c: back, also after a vmd
 * that died and after a reboot. lease_shared.c: which of them go back together. lease_plan.h: the steps.
 */
#ifndef VMD_LEASE_H
#define VMD_LEASE_H

#include "lib/json.h"
#include "state/state.h"
#include "vmd/lease_plan.h"

struct daemon;
struct leases;
struct lease_take;

struct leases *leases_new(struct daemon *d);
/* vmd ends, after hostio_free: nobody is called back any more; the rows stay for the next vmd. */
void leases_close(struct leases *set);
void leases_free(struct leases *set);
struct journal *leases_journal(struct leases *set);

/*
 * Take what a machine configuration wants (borrowed for the call) for a VM: each device reserved in one
 * transaction, then brought to vfio-pci. 0: it wants nothing, and done is not called; 1: under way. dry: all of it but
 * what changes anything.
 * done is called once, with why not: what was begun is for lease_release to take back. t ends when done returns.
 */
int lease_take(struct daemon *d, const struct state_vm *vm, struct json_object *config, bool dry,
	       void (*done)(void *arg, struct lease_take *t, const struct err *why), void *arg,
	       struct err *e);
/* In done: the machine configuration's devices get the addresses that they have on the host. */
void lease_take_fill(const struct lease_take *t, struct json_object *config);
/* In done: [{device, pci, reason, numa?, distance?, steps: [{do, undo?}]}], in words. */
struct json_object *lease_take_plan(const struct lease_take *t);

/* The VM's process begins, in the open transaction: its leases are in use. */
int lease_in_use(struct daemon *d, const char *vm, struct err *e);
/* Has the VM any that are not in quarantine? */
bool lease_any(struct daemon *d, const char *vm);

/*
 * Give back all that the VM has, one after the other, and wait for it: done, once, never from inside. What cannot be
 * given back is in quarantine then, told and logged. The VM's process is gone.
 */
void lease_release(struct daemon *d, const char *vm, void (*done)(void *arg), void *arg);
/*
 * One device of a VM that runs on, which its process has let go: 1, and done follows once, never from inside: why NULL: it
 * is free, else it is in quarantine. 0: the VM has no such device of the host, and done is not called.
 */
int lease_release_device(struct daemon *d, const char *vm, const char *device,
			 void (*done)(void *arg, const struct err *why), void *arg, struct err *e);
/*
 * Can that device be given back while its VM keeps its others? -ERR_VM_DEVICE_FIXED: one of them is in its IOMMU group, or
 * would be reset with it. 0 also when the VM has no such device of the host.
 */
int lease_goes_alone(const struct daemon *d, const char *vm, const char *device, struct err *e);
/*
 * One device that is in quarantine: try again. done, once: why NULL: it is free. Negative: -ERR_LEASE_NOT_FOUND,
 * -ERR_LEASE_TAKEN, -ERR_BUSY, and done is not called. dry: nothing is done, and done is not called either.
 */
int lease_release_one(struct daemon *d, const char *address, bool dry,
		      void (*done)(void *arg, const struct err *why), void *arg, struct err *e);

/* vmd begins: what the journal has of devices that were in quarantine before a reboot means nothing any more. */
void lease_forget_boot(struct daemon *d);

/* {pci, vm, device, state, since, generation, reason, identity, pool?, numa?, distance?, mac?, quarantine?} */
struct json_object *lease_json(const struct state_lease *lease);
/* The same of a device, or NULL when it has none. */
struct json_object *lease_of(struct daemon *d, const char *address);
/* All, or those of a VM (its id). */
struct json_object *lease_list(struct daemon *d, const char *vm);

#endif
