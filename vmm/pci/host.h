/* SPDX-License-Identifier: MIT */
/* The PCI host bridge: bus 0 and its functions. For the files of vmm/pci/; devices use pci.h. */
#ifndef VMM_PCI_HOST_H
#define VMM_PCI_HOST_H

#include "vmm/device.h"
#include "vmm/pci/hotplug.h"
#include "vmm/pci/pci.h"
#include "vmm/x86/map.h"

struct pci_aer;

struct pci_host {
	struct device dev;
	struct pci_dev bridge;			  /* 00:00.0, this bridge's own function */
	struct pci_dev *functions[PCI_FUNCTIONS]; /* borrowed; by slot << 3 | function */
	struct region ports;			  /* 0xcf8 to 0xcff */
	struct region ecam;			  /* size 0: the chipset has none */
	uint32_t config_address;		  /* 0xcf8 */
	uint8_t reset_control;			  /* 0xcf9 */
	unsigned int pullers[MAP_GSI_PCI_N]; /* by interrupt line: how many functions pull it */
	struct log_limit bar_limit;
	struct pci_aer *aer; /* owned: 00:00.1 (aer.h); NULL without */
	/* Optional, of the chipset: a line of MAP_GSI_PCI_N is pulled, or no longer. */
	void (*line_changed)(struct pci_host *h, unsigned int line);

	/* hotplug.c: a bit a slot */
	struct region hotplug;
	uint32_t came, to_go; /* registers */
	uint32_t asked;	      /* the guest was asked to let it go, and may */
	uint32_t gone;	      /* it has */
	bool live;	      /* a guest runs: what is plugged now comes hot */
};

/* host.c: for a chipset that has this as its first member, with the bridge's own identity */
int pci_host_start_up(struct pci_host *h, const struct pci_ids *ids, bool ecam, struct err *e);
void pci_host_reset(struct device *d);
void pci_host_start(struct device *d);
void pci_host_fini(struct device *d);

/* bar.c */
/* Find a home for every BAR of a device that is not plugged yet. -ENOSPC */
int pci_bars_place(struct pci_host *h, struct pci_dev *p, struct err *e);
/* Make the buses follow the command and BAR registers of p. */
void pci_bars_sync(struct pci_dev *p);
/* Write the homes into the BAR registers. */
void pci_bars_home(struct pci_dev *p);
void pci_bars_unmap(struct pci_dev *p);

/* hotplug.c: of the host bridge, and for pci_dev_fini */
int pci_hotplug_init(struct pci_host *h, struct err *e);
void pci_hotplug_reset(struct pci_host *h); /* before the functions are reset: all are cold now */
void pci_hotplug_left(struct pci_host *h, unsigned int slot);

/* intx.c */
void pci_intx_sync(struct pci_dev *p); /* after a change of the registers that it depends on */
void pci_intx_reset(struct pci_dev *p);

/* msix.c */
void msix_cfg_written(struct pci_dev *p);
void msix_reset(struct pci_dev *p);
void msix_free(struct pci_dev *p);

/* msi.c */
void msi_cfg_written(struct pci_dev *p);
void msi_cfg_reading(struct pci_dev *p, unsigned int off, unsigned int size);
void msi_reset(struct pci_dev *p);
void msi_free(struct pci_dev *p);

#endif
