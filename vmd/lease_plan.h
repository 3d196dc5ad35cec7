/* SPDX-License-Identifier: MIT */
/*
 * What has to be done to the host so that a VM gets a device, and what takes it back: FIELD 1.1. No I/O: from what a
 * machine configuration wants and what the inventory shows to steps of hostio.h. Any thread.
 */
#ifndef VMD_LEASE_PLAN_H
#define VMD_LEASE_PLAN_H

#include "state/state.h"
#include "vmd/pci_choose.h"

#define LEASE_WANTS_MAX 30 /* PCI devices of a machine: VMDEF_PCI_LAST */

/* What an NVMe VF gets of its PF's queues and interrupts: one for its administration, one for its work. */
#define LEASE_NVME_QUEUES 2

/* A device that a VM is to have. */
struct lease_want {
	struct state_lease lease; /* address, device, pool, mac, reason as far as they are known */
	struct json_object *set;  /* owned: VF properties (hostio.h), or NULL: as they are */
	struct json_object
		*identity; /* owned: {vendor, device, serial, mac, vf} that it must have, or NULL */
	struct pci_pool *pool; /* owned: that one is chosen of; NULL: the VM names its address */
	enum pci_numa numa;
	struct pci_function f;	    /* what it is, once it has been looked up */
	struct pci_function pf;	    /* of a VF */
	struct json_object *before; /* owned: of a VF, what vf-get or nvme-get said; or NULL */
	bool resets_with_bus;	    /* lease_resets_with_bus */
	struct json_object *steps;  /* owned: the plan, an array for journal_run */
};

struct lease_wants {
	struct lease_want list[LEASE_WANTS_MAX];
	size_t n;
	int node; /* NUMA, of the VM's memory; -1: any */
};

/* The devices of type vfio-pci of a machine configuration. -EINVAL for what a schema should have refused. */
int lease_wants_init(struct lease_wants *w, struct json_object *config, struct err *e);
void lease_wants_fini(struct lease_wants *w);

/* What reads the settings that the PF has of it ("vf-get", "nvme-get"), or NULL: there are none. */
const char *lease_vf_op(const struct lease_want *want);
/*
 * A function whose only reset is that of its bus, with all that is on it: sysfs has none for it then, but vmm does it when
 * the VM begins and at its resets, and the kernel once nobody has them open any more. Only where this start takes all of
 * the bus; w's functions have been looked up.
 */
bool lease_resets_with_bus(const struct lease_wants *w, const struct lease_want *want,
			   const struct pci_inventory *inventory);
/*
 * The plan, from f, pf, set and before: all is as it should be; unbind; the PF's settings, or an NVMe VF's queues;
 * vfio-pci; reset. Each with its undo, so that going backwards resets it, gives it back, and looks whether it is as it was.
 */
void lease_plan(struct lease_want *want);
/* The state of the lease once this step (of hostio.h) is done; or `state`, when it changes nothing of that. */
enum state_lease_state lease_state_after(struct json_object *action, enum state_lease_state state);

/* Is it the device that the VM file asks for? 0, or 1 and what differs, in words. */
int lease_identity_differs(struct json_object *wanted, const struct pci_function *f, char *out,
			   size_t size);
/*
 * What is to be said of memory ("memory" of the machine configuration) that is to be pinned: that so much of it takes long
 * in small pages, where it is in small ones. NULL: nothing.
 */
const char *lease_memory_advice(struct json_object *memory);
/* Is it bound to vfio-pci, or meant for a driver, by somebody else than vmd? */
bool lease_is_stray(const struct pci_function *f);

#endif
