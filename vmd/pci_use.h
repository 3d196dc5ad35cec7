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
	PCI_USE_NETDEV,	       /* an interface; detail: "up", "down" */
	PCI_USE_BLOCK,	       /* a disk or a partition */
	PCI_USE_MOUNT,	       /* a mounted file system; detail: where */
	PCI_USE_ROOT,	       /* the host's own root file system: vital */
	PCI_USE_SWAP,	       /* vital */
	PCI_USE_DEFAULT_ROUTE, /* vital */
	PCI_USE_ONLY_NIC,      /* the only interface with a carrier: vital */
	PCI_USE_CONSOLE,       /* the boot display, or the framebuffer console's: vital */
	PCI_USE_VFS,	       /* a PF whose VFs exist; detail: how many */
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

/* Of one function. Device-mapper and md devices are followed down to the disks below them. */
int pci_uses_read(const struct hostfs *h, const struct pci_inventory *inventory,
		  const struct pci_function *f, struct pci_uses *ret_uses, struct err *e);
/* "network interface eth0 has the default route" */
const char *pci_use_text(const struct pci_use *use, char *out, size_t size);

/*
 * May it be passed through? 0, or the first reason why not as an error of the catalogue (ERR_PCI_*: no IOMMU,
 * the group is not viable and who is in the way, vital to the host, broken, a bridge, no reset), with a hint that
 * names the command or the kernel's parameter. allowed: the policy file names it, so what is vital does not count.
 * pci.doctor shows all reasons, a lease takes the first.
 */
int pci_check(const struct hostfs *h, const struct pci_inventory *inventory,
	      const struct pci_function *f, bool allowed, struct err *e);

#endif
