/* SPDX-License-Identifier: MIT */
/*
 * A simulated host: a folder with the sys, proc and dev of a machine that does not exist, and a kernel for it. What a
 * step writes has the effect on the tree that Linux has; faults are as DIR/sim/faults.json says. vmd-hostsim(8).
 *
 *	sim/host.json		what the host was made of (struct sim_host)
 *	sim/dev/PCI.json	{"kind":"nic", "driver":"igb", …}: what sysfs does not say of a device
 *	sim/vf/PF/N.json	what the PF's driver keeps of VF N; sim/nvme/PF/N.json: its secondary controller
 *	sim/faults.json		[{"op":"driver","pci":PCI?,"at":"unbind"?,"times":N?, what}], the first that fits is taken,
 *				what: "error":"EBUSY", "hang":true, "ignore":true, "count":N, "broken":true, "vanish":true,
 *				"exit":true, "garbage":true
 *	sim/hang		a FIFO; who hangs reads it
 *	sim/lock		flock(2): one change at a time
 */
#ifndef HOSTIO_SIM_H
#define HOSTIO_SIM_H

#include "hostio/kernel.h"
#include "lib/json.h"

#define SIM_PATH 512
#define SIM_NAME 64

/* A host to be made; DIR/sim/host.json has the same. */
struct sim_host {
	unsigned int pfs, vfs; /* NICs with SR-IOV, and VFs of each at most */
	unsigned int nvmes;    /* NVMe controllers with 4 VFs each */
	unsigned int shift;    /* a card more than at first: buses are numbered from here */
	bool iommu;	       /* else there are no groups */
	bool iommufd;	       /* /dev/iommu and VFIO's character devices too */
	char boot_id[40];
};

#define SIM_PFS_MAX 8
#define SIM_VFS_MAX 1024
#define SIM_NVMES_MAX 4

/* --- the imitated kernel (sim_kernel.c) --- */
int sim_init(struct kernel *k, const char *root, struct err *e);

/* --- making (sim_make.c) --- */
/* Below root, which must be empty or not exist. */
int sim_make(const char *root, const struct sim_host *host, struct err *e);
/* As after a start of the machine: new boot id, no VFs, drivers of the kernel's choice; renumber: with another card. */
int sim_reboot(const char *root, bool renumber, struct err *e);

/* --- files of the tree (sim_tree.c); paths are relative to the root; -errno with e --- */
int sim_put(struct kernel *k, const char *path, struct err *e, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
int sim_put_data(struct kernel *k, const char *path, const void *data, size_t size, struct err *e);
/* path becomes a relative link to target, both below the root. */
int sim_link(struct kernel *k, const char *path, const char *target, struct err *e);
/* With all that is below it; what is not there is removed already. */
int sim_remove(struct kernel *k, const char *path, struct err *e);
bool sim_exists(struct kernel *k, const char *path);
int sim_json_read(struct kernel *k, const char *path, struct json_object **ret_o, struct err *e);
int sim_json_write(struct kernel *k, const char *path, struct json_object *o, struct err *e);
/* "sys/devices/pci0000:00/…/0000:3b:00.0": where the device really is. -ENODEV. */
int sim_device(struct kernel *k, const char *pci, char out[static SIM_PATH], struct err *e);
/* sim/dev/PCI.json; NULL when there is none. Owned by the caller. */
struct json_object *sim_facts(struct kernel *k, const char *pci);
/* A text file of the device's; "" when it is not there. */
void sim_text(struct kernel *k, const char *pci, const char *name, char *out, size_t size);

/* --- devices (sim_device.c) --- */
struct sim_function {
	const char *pci, *parent; /* parent: the folder it is in */
	uint16_t vendor, device, subsystem;
	uint32_t class_code;
	int group, node;	  /* group -1: none */
	const char *reset_method; /* "" when it has none */
	unsigned int total_vfs;	  /* of a PF */
	bool bridge, vf;
	uint64_t serial;	   /* 0: none */
	struct json_object *facts; /* borrowed */
};
int sim_device_make(struct kernel *k, const struct sim_function *f, struct err *e);
void sim_device_remove(struct kernel *k, const char *pci);
/* What the kernel does when a driver is bound, or leaves. */
int sim_bind(struct kernel *k, const char *pci, const char *driver, struct err *e);
int sim_unbind(struct kernel *k, const char *pci, struct err *e);
/* drivers_probe: the override's driver or its own, if any takes it. */
int sim_probe(struct kernel *k, const char *pci, struct err *e);
int sim_set_vfs(struct kernel *k, const char *pf, unsigned int count, unsigned int come,
		struct err *e);
/* Configuration space reads all ones from now on. */
int sim_break(struct kernel *k, const char *pci, struct err *e);

/* --- VFs (sim_vf.c): kernel_ops --- */
int sim_link_up(struct kernel *k, const char *netdev, bool up, struct err *e);
int sim_vf_get(struct kernel *k, const char *netdev, unsigned int vf, struct vf *ret_vf,
	       struct err *e);
int sim_vf_macs(struct kernel *k, const char *netdev,
		int (*each)(void *arg, unsigned int vf, const uint8_t mac[static 6]), void *arg,
		struct err *e);
int sim_vf_set(struct kernel *k, const char *netdev, unsigned int vf, enum vf_part part,
	       const struct vf *want, struct err *e);
int sim_nvme(struct kernel *k, const char *name, struct kernel_nvme *cmd, struct err *e);
/* Whether the secondary controller is online, with queues: else the nvme driver gives up on it. */
bool sim_nvme_alive(struct kernel *k, const char *pf, unsigned int vf);

/* --- faults (sim_fault.c) --- */
struct sim_fault {
	bool ignore, broken, vanish;
	int count; /* -1: none */
};
/*
 * What happens at this action of the step under way: 0 and *ret_fault, or -errno as told. Does not come back when
 * it hangs or ends the process.
 */
int sim_fault(struct kernel *k, const char *at, struct sim_fault *ret_fault, struct err *e);
/* The tree's lock; close it. */
int sim_lock(struct kernel *k, struct err *e);

#endif
