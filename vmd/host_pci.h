/* SPDX-License-Identifier: MIT */
/*
 * The host's PCI functions as sysfs shows them (Documentation/ABI/testing/sysfs-bus-pci), with what their
 * configuration space says. A snapshot: nothing is written, nothing is kept open. Any thread; reading may
 * take milliseconds, so a worker does it.
 */
#ifndef VMD_HOST_PCI_H
#define VMD_HOST_PCI_H

#include "lib/hostfs.h"
#include "lib/json.h"
#include "lib/pci_addr.h"

#define HOST_PCI_NAME 64
#define HOST_PCI_NETDEVS 4

/* What names a device wherever it is plugged in: DESIGN "identity". All of it is stored with a lease. */
struct pci_identity {
	uint16_t vendor, device, subsystem_vendor, subsystem_device;
	char serial
		[24]; /* Device Serial Number capability "00-11-22-ff-fe-33-44-55", or ""; a VF: its PF's */
	char mac[18]; /* permanent address of a NIC's first netdev, or "" (no driver); a VF: its PF's */
	int vf_index;  /* in its PF; -1: no VF */
	char slot[32]; /* physical slot (sys/bus/pci/slots), or "" */
};

struct pci_function {
	struct pci_addr addr;
	struct pci_identity id;
	uint32_t class_code; /* 24 bits */
	uint8_t revision;
	uint8_t header_type;	      /* 0 device, 1 bridge */
	char driver[HOST_PCI_NAME];   /* "" when none is bound */
	char override[HOST_PCI_NAME]; /* driver_override, or "" */
	int iommu_group;	      /* -1: none */
	int numa_node;		      /* -1: not known */
	char reset_methods[64]; /* "flr bus", as reset_method says, "any" of a kernel before 5.15;
					 "" when there is none */
	bool broken;		/* configuration space reads all ones */
	char netdevs[HOST_PCI_NETDEVS][16]; /* its network interfaces */
	unsigned int n_netdevs;
	/* SR-IOV */
	bool is_pf, is_vf;
	unsigned int total_vfs, num_vfs; /* of a PF */
	unsigned int vf_offset,
		vf_stride;	/* of a PF: where its VFs come, in functions; stride 0: not known */
	bool autoprobe;		/* sriov_drivers_autoprobe, of a PF */
	struct pci_addr pf;	/* of a VF */
	struct pci_addr parent; /* bridge above; domain UINT32_MAX: on a root bus */
};

struct pci_inventory {
	struct pci_function *functions; /* owned; by address */
	size_t n;
};

/*
 * 0, or why sysfs cannot be read; a function that vanishes meanwhile is left out. What cannot be read or
 * understood of one (its configuration space beyond 64 bytes, without rights) is as if it were not there;
 * without a readable vendor it counts as broken.
 */
int pci_inventory_read(const struct hostfs *h, struct pci_inventory *ret_inventory, struct err *e);
void pci_inventory_fini(struct pci_inventory *inventory);
/*
 * The function that a link below sys/class, or a device's own "device" link, leads through: the last one on its
 * way, so that a disk behind a USB controller is that controller's. -ENOENT when there is none.
 */
int host_pci_of_link(const struct hostfs *h, const char *path, struct pci_addr *ret_addr);
/* A bridge: what hangs behind it is no part of it. */
bool pci_function_is_bridge(const struct pci_function *f);

/* Borrowed, or NULL. */
const struct pci_function *pci_inventory_find(const struct pci_inventory *inventory,
					      const struct pci_addr *addr);
/* The VF of that index of a PF, or NULL. */
const struct pci_function *pci_inventory_vf(const struct pci_inventory *inventory,
					    const struct pci_function *pf, unsigned int index);

/*
 * What differs, in words ("vendor 8086 instead of 15b3"), between what was stored and what is there now;
 * 0 when it is the same device, else 1. A serial, MAC or slot that one of them does not know says nothing.
 */
int pci_identity_differs(const struct pci_identity *stored, const struct pci_identity *now,
			 char *out, size_t size);
struct json_object *pci_identity_json(const struct pci_identity *id);
int pci_identity_parse(struct json_object *o, struct pci_identity *ret_id, struct err *e);

#endif
