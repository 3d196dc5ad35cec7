/* SPDX-License-Identifier: MIT */
/*
 * What the host would lose with a PCI function, and whether it may be given away at all: the holders
 * (network interfaces, block devices, file systems, default route, console) and the verdict with its
 * reasons. Reads sysfs and procfs only. Any thread.
 */
#ifndef VMD_PCI_USE_H
#define VMD_PCI_USE_H

#include "vmd/host_pci.h"

enum pci_use_kind {
	PCI_USE_NETDEV, /* an interface; detail: "up", "down" */
	PCI_USE_BLOCK, /* a disk or a partition; detail: what has it ("md0 dm-1"), then it is vital */
	PCI_USE_MOUNT,	       /* a mounted file system; detail: where: vital */
	PCI_USE_ROOT,	       /* the host's own root file system: vital */
	PCI_USE_SWAP,	       /* vital */
	PCI_USE_DEFAULT_ROUTE, /* vital; detail: the bridge or bond on it that has the route */
	PCI_USE_ONLY_NIC,      /* the only interface with a carrier: vital */
	PCI_USE_CONSOLE,       /* the boot display, or the framebuffer console's: vital */
	PCI_USE_VFS,	       /* a PF whose VFs exist; detail: how many: vital */
};

struct pci_use {
	enum pci_use_kind kind;
	bool vital;	 /* refused unless the policy file names the device */
	char name[64];	 /* "eth0", "nvme0n1p2" */
	char detail[96]; /* "/home" */
};

#define PCI_USES_MAX 32

struct pci_uses {
	struct pci_use uses[PCI_USES_MAX];
	size_t n;
	bool more; /* there are others */
};

/*
 * Of one function; a bridge has none of its own. -EIO when it cannot be told what is mounted. Device-mapper and md devices are followed down to the disks below them; a disk
 * that nothing is known of counts as used where ZFS is, which does not tell.
 */
int pci_uses_read(const struct hostfs *h, const struct pci_inventory *inventory,
		  const struct pci_function *f, struct pci_uses *ret_uses, struct err *e);
/* A network card whose interface is down; false where that cannot be told. */
bool pci_link_is_down(const struct hostfs *h, const struct pci_function *f);
/* "network interface eth0 has the default route" */
const char *pci_use_text(const struct pci_use *use, char *out, size_t size);
/* "netdev", "default-route": stable, for programs */
const char *pci_use_kind_name(enum pci_use_kind kind);

/* On what terms a function is wanted. */
struct pci_terms {
	bool allowed;	    /* the policy file names it: what is vital does not count */
	bool require_reset; /* as the policy file says */
	const struct pci_addr
		*others; /* what goes to the same VM, which is not in its way; may be NULL */
	size_t n_others;
};

/*
 * May it be passed through? 0, or the first reason why not as an error of the catalogue (ERR_PCI_*: no IOMMU,
 * the group is not viable and who is in the way, vital to the host, broken, a bridge, no reset), with a hint that
 * names the command or the kernel's parameter. allowed: the policy file names it, so what is vital does not count.
 * pci.doctor shows all reasons, a lease takes the first.
 */
int pci_check(const struct hostfs *h, const struct pci_inventory *inventory,
	      const struct pci_function *f, bool allowed, struct err *e);
/* The same on other terms. */
int pci_check_terms(const struct hostfs *h, const struct pci_inventory *inventory,
		    const struct pci_function *f, const struct pci_terms *terms, struct err *e);
/* All reasons, one by one; how many. */
unsigned int pci_check_all(const struct hostfs *h, const struct pci_inventory *inventory,
			   const struct pci_function *f, const struct pci_terms *terms,
			   void (*found)(void *arg, const struct err *why), void *arg);

/* -ERR_PCI_NOT_FOUND with the command that lists them. */
int pci_not_found(const struct pci_addr *addr, struct err *e);
/* The same; of a VF that a PF of the inventory could have, which PF that is and what makes it. */
int pci_missing(const struct pci_inventory *inventory, const struct pci_addr *addr, struct err *e);
/* Does this member of f's group keep it from a VM: another function, no bridge, with a driver of the host's? */
bool pci_in_the_way(const struct pci_function *f, const struct pci_function *member);
/* A driver that hands its device on to a process (vfio-pci and those of its kind), or to nobody (pci-stub)? */
bool pci_driver_on_vfio(const char *driver);

#endif
