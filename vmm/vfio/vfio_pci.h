/* SPDX-License-Identifier: MIT */
/*
 * A PCI function of the host in the guest: device class vfio-pci. Linux Documentation/driver-api/vfio.rst and
 * <linux/vfio.h>. For the files of vmm/vfio/: pci.c is the class, config.c and config_table.c the configuration
 * space, bars.c the registers and memory, rom.c the expansion ROM, irqs.c the interrupts. Under machine.lock.
 */
#ifndef VMM_VFIO_VFIO_PCI_H
#define VMM_VFIO_VFIO_PCI_H

#include <linux/vfio.h>
#include "lib/pci_addr.h"
#include "vmm/device.h"
#include "vmm/pci/aer.h"
#include "vmm/pci/pci.h"
#include "vmm/vfio/dma.h"

#define VFIO_AREAS_MAX 8      /* mapped pieces of one BAR */
#define VFIO_VECTORS_MAX 256u /* of MSI-X: a larger table is shown as one of so many */

/* What becomes of a byte of configuration space. */
enum vfio_cfg_how {
	VFIO_CFG_OURS,	  /* in pci_dev.cfg: constant, or what wmask lets the guest write */
	VFIO_CFG_READ,	  /* read from the device each time, never written */
	VFIO_CFG_THROUGH, /* read from and written to the device */
};

/* A part of a BAR that the guest reaches without an exit. */
struct vfio_area {
	uint64_t off, size;
	void *host;	    /* owned mapping */
	int slot;	    /* of the guest's memory; -1: not there now */
	uint64_t shared_at; /* where the VM's other devices reach it; 0: they do not */
};

struct vfio_bar {
	struct vfio_pci *v; /* its device */
	uint64_t fd_off;    /* in the device's descriptor */
	uint32_t flags;	    /* VFIO_REGION_INFO_FLAG_… */
	struct vfio_area areas[VFIO_AREAS_MAX];
	unsigned int nareas;
};

/* Where in a BAR a part of the MSI-X structures is. size 0: there is none */
struct vfio_msix_part {
	unsigned int bar;
	uint64_t off, size;
};

enum vfio_irq_mode { VFIO_IRQ_OFF, VFIO_IRQ_INTX, VFIO_IRQ_MSI, VFIO_IRQ_MSIX };

/* An eventfd by which the host tells something. */
struct vfio_signal {
	struct vfio_pci *v;
	const struct vfio_signal_kind *kind;
	int fd; /* owned; -1 */
	struct board_watch *watch;
	bool told; /* in the log */
};

/* For vmm, detach is report: it is vmd that asks the guest. */
enum vfio_on_error {
	VFIO_ON_ERROR_REPORT,
	VFIO_ON_ERROR_DETACH,
	VFIO_ON_ERROR_STOP,
	VFIO_ON_ERROR_GUEST,
};

/* Uncorrectable errors: PCI Express Base 5.0, section 7.8.4.2, without what is reserved */
#define VFIO_AER_ERRORS 0x07fff030u
#define VFIO_AER_CORRECTABLE 0xf1c1u

/* Errors that the guest hears of */
struct vfio_aer {
	bool wanted;
	unsigned int cap;      /* offset; 0: it is not shown */
	struct pci_w1c status; /* Uncorrectable Error Status */
	uint8_t enables;       /* of the Device Control register */
	uint8_t detected;      /* of the Device Status register */
};

struct vfio_pci_cfg {
	char address[16];
	char host[PCI_ADDR_SIZE]; /* "0000:3b:00.0" */
	char pci[PCI_ADDR_SIZE];  /* the same, of a definition that nobody has opened */
	uint32_t group;
	int group_fd, container_fd, device_fd, iommu_fd;
	bool rom;	     /* the guest sees the expansion ROM, if there is one */
	int on_device_error; /* enum vfio_on_error */
};

struct vfio_pci {
	struct device dev;
	struct pci_dev pci;
	const struct vfio_sys *sys; /* borrowed */
	struct vfio_door door;
	struct vfio_pci *next; /* of vfio_dma.members */
	int fd;		       /* owned; -1 until it has joined */
	bool resettable;       /* the host can reset it */
	bool started;	       /* the guest has run: it is no longer as the kernel opened it */
	bool fresh;	       /* reset with a neighbour, before its own turn */
	bool asleep;	       /* the guest has put it into D3hot */
	bool stops;	       /* the VM ends with an error of the device */
	struct log_limit limit;

	uint64_t cfg_off, cfg_size; /* in the descriptor */
	uint8_t how[PCI_CFG_SIZE];  /* enum vfio_cfg_how */
	uint8_t initial[PCI_CFG_SIZE];
	unsigned int cap_pm, cap_pcie, cap_af; /* offsets; 0: not there */

	struct vfio_bar bars[PCI_BARS];
	uint8_t *rom; /* owned: a copy; NULL: none */
	struct vfio_msix_part table, pba;
	enum vfio_irq_mode irq_mode;
	unsigned int irq_count;
	/* The pin: raise is VFIO's while INTx is on, and both are the board's as long as gsi is one. Owned. */
	int raise_fd, ended_fd;
	int gsi; /* -1: no pin, or not plugged */
	struct vfio_signal error, request;
	struct vfio_aer aer;
};

/* pci.c */
int vfio_ioctl(struct vfio_pci *v, unsigned long request, void *arg);
/* A function-level reset by the host: what the guest did to the device is gone. */
void vfio_pci_host_reset(struct vfio_pci *v);
/* What it looks like to the guest after that: the configuration space of power-on, nothing decoded. */
void vfio_pci_guest_reset(struct vfio_pci *v);

/* hotreset.c */
/*
 * Reset its bus or slot, if all of that is the VM's: how many functions that are; those of them that are still to be reset
 * are fresh. -ERR_VFIO_DEVICE: why not.
 */
int vfio_hot_reset(struct vfio_pci *v, struct err *e);

/* config.c */
int vfio_config_init(struct vfio_pci *v, struct err *e); /* before the BARs */
void vfio_config_reading(struct pci_dev *p, unsigned int off, unsigned int size);
void vfio_config_written(struct pci_dev *p, unsigned int off, unsigned int size);
/* Write the command register of the device: decoding always, bus mastering as the guest has it. */
void vfio_config_command(struct vfio_pci *v);
/* After pci_dev_reset: what is the device's is read anew. */
void vfio_config_reset(struct vfio_pci *v);

/* aer.c */
int vfio_aer_init(struct vfio_pci *v, struct err *e); /* after it has its slot */
void vfio_aer_reset(struct vfio_pci *v);
/* After the device's bytes were read, and before what was written goes to it */
void vfio_aer_reading(struct vfio_pci *v);
void vfio_aer_written(struct vfio_pci *v, unsigned int off, unsigned int size);
/* The host has an error of the device that it cannot correct. */
void vfio_aer_raise(struct vfio_pci *v);

/* config_table.c */
/* Fill cfg, wmask and how of v's pci_dev from what the device has (raw: size bytes, 256 or 4096). */
void vfio_table_apply(struct vfio_pci *v, const uint8_t *raw, unsigned int size);
/* An old-style capability in raw: its offset, or 0. */
unsigned int vfio_table_find(const uint8_t *raw, uint8_t id);

/* bars.c */
int vfio_bars_init(struct vfio_pci *v, const uint8_t *raw, struct err *e);
void vfio_bars_fini(struct vfio_pci *v);
void vfio_bar_moved(struct pci_dev *p, unsigned int bar, uint64_t old_base, bool old_mapped);
void vfio_bars_master(struct pci_dev *p, bool on);
/*
 * Memory of the device in the guest's address space, or not (it sleeps); and in that of the VM's other devices,
 * while its driver is at work: a bus master.
 */
void vfio_bars_sync(struct vfio_pci *v);

/* rom.c: one that cannot be read is not there, and said in the log */
void vfio_rom_init(struct vfio_pci *v);
void vfio_rom_fini(struct vfio_pci *v);

/* irqs.c */
int vfio_irqs_init(struct vfio_pci *v, const uint8_t *raw, struct err *e);
/* The function has its slot, and with it the line of its pin. -ERR_VFIO_DEVICE: nothing interrupts at all. */
int vfio_irqs_plugged(struct vfio_pci *v, struct err *e);
void vfio_irqs_fini(struct vfio_pci *v);
/* Make the host's side follow the guest's command register, MSI and MSI-X capabilities. */
void vfio_irqs_sync(struct vfio_pci *v);
/* No interrupt comes any more. */
void vfio_irqs_off(struct vfio_pci *v);

static inline struct vfio_pci *vfio_pci_of(struct pci_dev *p)
{
	return container_of(p, struct vfio_pci, pci);
}

#endif
