/* SPDX-License-Identifier: MIT */
/*
 * PCI: configuration space (by 0xCF8/0xCFC, and ECAM where the chipset has it), BARs, capabilities. PCI Local Bus 3.0 chapter 6,
 * PCI Express Base 4.0 section 7. One bus (0). Under machine.lock.
 */
#ifndef VMM_PCI_PCI_H
#define VMM_PCI_PCI_H

#include "lib/err.h"
#include "vmm/board.h"

#define PCI_CFG_SIZE 4096
#define PCI_SLOTS 32
#define PCI_FUNCTIONS (PCI_SLOTS * 8)
#define PCI_BARS 6
#define PCI_ROM PCI_BARS /* the expansion ROM, where a BAR's number is asked for */

/* Where I/O BARs are placed; memory BARs: GMEM_PCI_MMIO_START, and board.pci64. The DSDT's _CRS names both windows. */
#define PCI_IO_START 0xc000
#define PCI_IO_SIZE 0x3f00

struct pci_dev;

struct pci_bar {
	struct region region; /* size, ops, dev are the caller's; base follows the guest's writes */
	bool io;	      /* port I/O, else memory: set by the caller before pci_plug */
	bool is64;	      /* takes this BAR and the next */
	bool prefetch;	      /* reading has no side effects: set by the caller before pci_plug */
	bool mapped;
	uint64_t home; /* where the host bridge places it, as firmware would */
	char label[80];
};

struct pci_dev_ops {
	/* Optional: a BAR was (un)mapped or moved (ioeventfds follow). */
	void (*bar_moved)(struct pci_dev *p, unsigned int bar, uint64_t old_base, bool old_mapped);
	/* Optional: pci_is_master has changed; it is off at first. No DMA after the return of false. */
	void (*master)(struct pci_dev *p, bool on);
	/* Optional: before a read of [off, off + size) of configuration space: bring p->cfg up to date. */
	void (*cfg_reading)(struct pci_dev *p, unsigned int off, unsigned int size);
	/* Optional: after a write to [off, off + size) of configuration space. */
	void (*cfg_written)(struct pci_dev *p, unsigned int off, unsigned int size);
};

struct msi;
struct msix;

struct pci_dev {
	struct pci_host *host; /* borrowed; NULL until plugged */
	const char *name;      /* the device's id, for messages; borrowed */
	unsigned int slot, function;
	uint8_t cfg[PCI_CFG_SIZE];	   /* as the guest reads it */
	uint8_t wmask[PCI_CFG_SIZE];	   /* bits that the guest may write */
	struct pci_bar bars[PCI_BARS + 1]; /* the last one is PCI_ROM */
	const struct pci_dev_ops *ops;	   /* may be NULL */
	struct msi *msi;		   /* owned; NULL without the capability */
	struct msix *msix;		   /* the same */
	bool master;			   /* the command register as last told */
	bool intx;			   /* it wants to interrupt; see pci_intx_set */
	bool pulls;			   /* and its pin does */
	bool hot;			   /* plugged while a guest runs, no reset since */
	unsigned int next_cap;		   /* where the next capability goes */
	unsigned int last_cap;
};

struct pci_ids {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint32_t class_code; /* 24 bits: class, subclass, prog-if */
	uint8_t revision;
};

void pci_dev_init(struct pci_dev *p, const char *name, const struct pci_ids *ids,
		  const struct pci_dev_ops *ops);
void pci_dev_fini(struct pci_dev *p); /* unplugs; accepts one that is all zero */
/*
 * Before pci_plug. size: a power of two, at least 16. The BAR is placed by the host bridge at plug and at
 * reset, and decoded then, as firmware leaves it. One that the guest moves over RAM or over another
 * device's registers is not mapped until it, or what is in its way, has moved again. Those of 64 bits that are
 * prefetchable go to board.pci64, and the others of 64 bits when there is no room below.
 */
void pci_add_bar(struct pci_dev *p, unsigned int bar, uint64_t size, bool is64,
		 const struct region_ops *ops, void *dev);
/*
 * The expansion ROM: section 6.2.5.2. Before pci_plug. size: a power of two, at least 2048. It has its place, and is
 * decoded when the guest sets its enable bit.
 */
void pci_add_rom(struct pci_dev *p, uint64_t size, const struct region_ops *ops, void *dev);
/* Room for a capability of len bytes (with its id and next bytes); its offset. Read-only until wmask says else. */
unsigned int pci_add_cap(struct pci_dev *p, uint8_t id, unsigned int len);
/*
 * address "00:03.0"; other functions than 0 are the chipset's, and function 0 says that there are more (PCI 3.0, section
 * 6.2.1). -EEXIST names the other device; -ENOSPC: no room for its BARs. One that is plugged while a guest
 * runs (hotplug.h) keeps its room for the next reset, and has no addresses until then but those that the guest gives.
 */
int pci_plug(struct pci_host *h, struct pci_dev *p, const char *address, struct err *e);
/* To power-on state: writable bits are 0, BARs at home and decoded (if not hot), MSI-X off and nothing pending. */
void pci_dev_reset(struct pci_dev *p);

/* A guest's access to configuration space, 1, 2 or 4 bytes. Beyond its end: all ones, ignored. */
uint32_t pci_cfg_read(struct pci_dev *p, unsigned int off, unsigned int size);
void pci_cfg_write(struct pci_dev *p, unsigned int off, unsigned int size, uint32_t val);

static inline void pci_set16(struct pci_dev *p, unsigned int off, uint16_t v)
{
	__builtin_memcpy(p->cfg + off, &v, sizeof(v));
}
static inline void pci_set32(struct pci_dev *p, unsigned int off, uint32_t v)
{
	__builtin_memcpy(p->cfg + off, &v, sizeof(v));
}
static inline uint16_t pci_get16(const struct pci_dev *p, unsigned int off)
{
	uint16_t v;

	__builtin_memcpy(&v, p->cfg + off, sizeof(v));
	return v;
}

/*
 * The guest lets the function reach memory (command register, bit 2: PCI 3.0, section 6.2.2). Without, an
 * emulated one sends no messages either: MSI-X keeps them pending.
 */
static inline bool pci_is_master(const struct pci_dev *p)
{
	return p->master;
}

/*
 * Interrupt pins (intx.c): PCI 3.0, section 2.2.6. Before pci_plug; pin 1 is INTA#. The interrupt line register
 * has the global system interrupt at power-on.
 */
void pci_add_intx(struct pci_dev *p, unsigned int pin);
/*
 * The function has a reason to interrupt, until it is lowered; what its registers make of that (the command
 * register, MSI and MSI-X on) is looked after here.
 */
void pci_intx_set(struct pci_dev *p, bool level);
/* The global system interrupt of its pin; -1: not plugged, or no pin */
int pci_intx_gsi(const struct pci_dev *p);

/* MSI-X (msix.c): table and PBA in a BAR of their own. PCI 3.0, section 6.8.2. */
#define MSIX_VECTORS_MAX 128

/* Before pci_plug; on failure pci_dev_fini frees what there is. */
int msix_init(struct pci_dev *p, struct board *board, unsigned int bar, unsigned int nvectors,
	      struct err *e);
/*
 * Signal a vector. Any thread: an eventfd is written; a masked vector becomes pending. Out of range, or
 * MSI-X not enabled: ignored.
 */
void msix_notify(struct pci_dev *p, unsigned int vector);
/* The vector's eventfd (borrowed), for a worker or for vhost; -1 when there is none. */
int msix_eventfd(struct pci_dev *p, unsigned int vector);
bool msix_enabled(const struct pci_dev *p); /* any thread */
unsigned int msix_count(const struct pci_dev *p);

/*
 * For a device whose capability (its header and the places of table and PBA: the caller's) and BARs are given:
 * any number of vectors. It hands the accesses to table and PBA on, off from their beginning, aligned, of 4
 * or 8 bytes.
 */
int msix_init_at(struct pci_dev *p, struct board *board, unsigned int cap, unsigned int nvectors,
		 struct err *e);
uint64_t msix_table_read(const struct pci_dev *p, uint64_t off, unsigned int size);
void msix_table_write(struct pci_dev *p, uint64_t off, unsigned int size, uint64_t val);
uint64_t msix_pba_read(const struct pci_dev *p, uint64_t off, unsigned int size);

/* MSI (msi.c): PCI 3.0, section 6.8.1 */
#define MSI_VECTORS_MAX 32

/* Before pci_plug. cap: where its header is already; behind it msi_cap_size in all. nvectors: a power of two */
int msi_init_at(struct pci_dev *p, struct board *board, unsigned int cap, unsigned int nvectors,
		bool is64, bool maskable, struct err *e);
unsigned int msi_cap_size(bool is64, bool maskable);
/* How many messages the guest has enabled; 0: MSI is off. */
unsigned int msi_count(const struct pci_dev *p);
int msi_eventfd(const struct pci_dev *p, unsigned int vector); /* borrowed; -1: there is none */

#endif
