/* SPDX-License-Identifier: MIT */
/*
 * Devices that come to a VM and leave it while it runs: jobs "attach" and "detach". The rows of table attachment say how
 * far each is, and with vmm's word of what it has a vmd that died in between goes on. An attach takes the lease of a
 * device of the host before, a detach gives it back once vmm says that the guest has let go, and no process
 * has it open. A guest that lets nothing go keeps it: the job ends at its timeout, the device stays "detaching", and goes
 * whenever the guest obeys, is reset, or ends. On the loop's thread.
 */
#ifndef VMD_GUEST_PLUG_H
#define VMD_GUEST_PLUG_H

#include "vmd/guest.h"
#include "vmd/plug_plan.h"

struct job;

struct guest_plug_request {
	bool attach;
	bool persist;	    /* into the definition, too */
	bool requested;	    /* the host wants it back: an event of it, too */
	int64_t timeout_ms; /* for the guest to let go; attach: -1 */
	struct state_actor actor;
};

/* Does the VM run, so that devices can come and go? -ERR_VM_STATE */
int guest_plug_check(const struct guest *g, struct err *e);
/*
 * Begin. take_plan is taken over on success; the job is written. -ERR_VM_STATE, -ERR_VM_DEVICE_FIXED: it cannot go alone
 * (lease_goes_alone), -ERR_BUSY: something else is done with that device. *ret_job: to wait for; of a detach that is under way already: its job.
 */
int guest_plug_begin(struct guest *g, const struct guest_plug_request *r,
		     struct plug_plan *take_plan, struct job **ret_job, struct err *e);

/* What is done with a device: nothing; something; or its guest, which was asked for it, keeps it. */
enum guest_plug_state { GUEST_PLUG_NONE, GUEST_PLUG_BUSY, GUEST_PLUG_KEPT };
enum guest_plug_state guest_plug_state(const struct guest *g, const char *device);
/* One that is kept: ask the guest again, without a job. */
void guest_plug_again(struct guest *g, const char *device);

/* vmm says that a device is gone. */
void guest_plug_removed(struct guest *g, const char *device);
/* vmm can be asked again: what it has is looked at. */
void guest_plugs_hello(struct guest *g);
/* The process is gone: what was being done is over. */
void guest_plugs_gone(struct guest *g);
/* A device of the host is being taken or given back: the VM's others wait for that. */
bool guest_plugs_leasing(const struct guest *g);
/* vmd ends: the jobs stay as they are in the database. */
void guest_plugs_drop(struct guest *g);
/* What a vmd before this one has left; after guests_adopt. */
void guest_plugs_resume(struct daemon *d);
/* [{device, type, state, address, pci?, pool?}]: how a VM that runs differs from its revision */
struct json_object *guest_plugs_json(struct daemon *d, const char *vm);

#endif
