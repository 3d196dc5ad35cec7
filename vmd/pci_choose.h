/* SPDX-License-Identifier: MIT */
/*
 * Pools of virtual functions (schemas/pool.json), and which one of a pool a VM gets. No I/O: from an inventory and
 * what vmd knows of each function to a function and the reason. Any thread.
 */
#ifndef VMD_PCI_CHOOSE_H
#define VMD_PCI_CHOOSE_H

#include "lib/json.h"
#include "vmd/host_numa.h"
#include "vmd/host_pci.h"

#define PCI_POOL_PFS_MAX 64	/* entries of a definition */
#define PCI_POOL_MEMBERS_MAX 64 /* PFs of the host that they come to */
#define PCI_REASON_SIZE 192

/* An entry of pfs: an address, or what a PF has to be; "" and -1: any. */
struct pci_pool_entry {
	bool at;
	struct pci_addr addr;
	int vendor, device, numa;
	char driver[HOST_PCI_NAME], netdev[16];
};

struct pci_pool {
	char name[64];
	char class[8];
	struct pci_pool_entry pfs[PCI_POOL_PFS_MAX];
	size_t n;
	unsigned int vfs;		 /* of each PF */
	unsigned int queues, interrupts; /* of an NVMe VF */
};

/* From a definition that pooldef_check has passed. */
void pci_pool_parse(struct json_object *definition, struct pci_pool *ret_pool);
/* Does this entry mean that function, whatever else it is? */
bool pci_pool_entry_means(const struct pci_pool_entry *entry, const struct pci_function *f);
/* Is it a PF of the pool: SR-IOV, of its class, and meant by an entry? */
bool pci_pool_has(const struct pci_pool *pool, const struct pci_function *f);
/* The PFs of the pool, borrowed from the inventory, by address; how many. */
size_t pci_pool_members(const struct pci_pool *pool, const struct pci_inventory *inventory,
			const struct pci_function *ret_pfs[static PCI_POOL_MEMBERS_MAX]);

/* What is known of a function beside the inventory; in its order. */
enum pci_mark {
	PCI_MARK_LEASED = 1,
	PCI_MARK_QUARANTINED = 2,
	PCI_MARK_HOST = 4,   /* the host uses it */
	PCI_MARK_DOWN = 8,   /* a PF whose network interface is down */
	PCI_MARK_CHANGE = 16 /* a PF whose VFs are being made or removed */
};

enum pci_numa { PCI_NUMA_PREFER, PCI_NUMA_STRICT, PCI_NUMA_IGNORE };
/* "strict", "prefer", "ignore"; others are prefer */
enum pci_numa pci_numa_parse(const char *word);

struct pci_wish {
	const struct pci_pool *pool;
	enum pci_numa numa;
	int node;			   /* that it should be on; -1: not known */
	const char *like;		   /* what is there: "pci0", "the VM's memory" */
	const struct host_numa *distances; /* NULL: not known */
};

/*
 * A free VF, the nearest, of the emptiest card, and why this one: "NUMA node 0 like pci0; emptier card: 3 of 8 in use". A VF that is leased, in quarantine, used
 * by the host, broken, or bound to vfio-pci by somebody is none, nor is one whose IOMMU group has a leased one in it.
 * -ERR_POOL_*, with what is in the way.
 */
int pci_choose(const struct pci_inventory *inventory, const unsigned char *marks,
	       const struct pci_wish *wish, const struct pci_function **ret_function,
	       char reason[static PCI_REASON_SIZE], struct err *e);

/* How the VFs of a PF are used. */
struct pci_tally {
	unsigned int vfs, leased, quarantined, host, free;
};
void pci_tally(const struct pci_inventory *inventory, const unsigned char *marks,
	       const struct pci_function *pf, struct pci_tally *ret_tally);

#endif
