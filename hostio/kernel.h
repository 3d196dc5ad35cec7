/* SPDX-License-Identifier: MIT */
/*
 * What a step asks of the kernel. vmd-hostio has the real one (hostio/real.c); vmd-hostsim imitates it on a tree of
 * files (hostio/sim_kernel.c), so that all above this is the same in both. One thread.
 */
#ifndef HOSTIO_KERNEL_H
#define HOSTIO_KERNEL_H

#include "hostio/vf.h"
#include "lib/hostfs.h"

/* An NVMe admin command as far as it is needed (NVMe 1.3, 4.2); data is read from the controller. */
struct kernel_nvme {
	uint8_t opcode;
	uint32_t cdw10, cdw11;
	void *data; /* borrowed */
	size_t size;
};

struct kernel;

struct kernel_ops {
	/* One write to a file below sysfs: 0, or -errno as the kernel gave it, for e as hostfs_write has it. */
	int (*write)(struct kernel *k, const char *path, const char *text, struct err *e);
	/* A network interface up or down. e says why not; -errno. */
	int (*link)(struct kernel *k, const char *netdev, bool up, struct err *e);
	/* What the PF's driver says of a VF. -ENODEV when it has no VF of that number. */
	int (*vf_get)(struct kernel *k, const char *netdev, unsigned int vf, struct vf *ret_vf,
		      struct err *e);
	/* The MAC addresses of all of its VFs, by one question; each: < 0 ends it. */
	int (*vf_macs)(struct kernel *k, const char *netdev,
		       int (*each)(void *arg, unsigned int vf, const uint8_t mac[static 6]),
		       void *arg, struct err *e);
	/* One part of it; -errno as the PF's driver gave it, e has its own words if there are any. */
	int (*vf_set)(struct kernel *k, const char *netdev, unsigned int vf, enum vf_part part,
		      const struct vf *want, struct err *e);
	/* 0, the controller's status (positive, SCT << 8 | SC), or -errno. */
	int (*nvme)(struct kernel *k, const char *name, struct kernel_nvme *cmd, struct err *e);
};

struct kernel {
	const struct kernel_ops *ops;
	struct hostfs fs;
	const char *root;   /* borrowed: fs's path */
	int parent;	    /* pid whose end makes what has not begun not happen; 0: none */
	const char *op;	    /* borrowed: the step under way, */
	const char *device; /* and its pci or pf */
};

#endif
