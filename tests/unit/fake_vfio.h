/* SPDX-License-Identifier: MIT */
/*
 * The kernel's VFIO for unit tests: one PCI function in one group, or as a descriptor of its own, that keeps what
 * is written to it. fake_vfio_init makes a function with every kind of thing in it; a test changes what it needs
 * before the device is made.
 *
 *	BAR 0  64 bits, prefetchable, 64 KiB: may be mapped; MSI-X table at 0x2000, PBA at 0x3000
 *	BAR 2  32 bits, 4 KiB, not to be mapped		BAR 3  I/O, 32 bytes
 *	BAR 4  32 bits, 16 KiB, of which 0x1000 to 0x3000 may be mapped (sparse)
 *	0x40 PM   0x48 MSI (4 vectors, 64 bits, masks)   0x60 MSI-X (5 vectors)   0x70 PCIe   0xb0 vendor-specific
 *	0xc0 AF   0xd0 AGP, for which there is no row    0x100 AER   0x140 SR-IOV   0x180 DSN   0x190 VSEC
 */
#ifndef TESTS_UNIT_FAKE_VFIO_H
#define TESTS_UNIT_FAKE_VFIO_H

#include <linux/vfio.h>
#include "vmm/pci/pci.h"
#include "vmm/vfio/sys.h"
#include "vmm/vfio/vfio_pci.h"

#define FAKE_VFIO_HOST "0000:3b:00.0"
#define FAKE_VFIO_SIBLING "0000:3b:00.1" /* in the same group, and the same in all else */
#define FAKE_VFIO_REGIONS 7		 /* the BARs, and the ROM: fake_vfio_add_rom */
#define FAKE_VFIO_MAPS 32
#define FAKE_VFIO_PM 0x40u
#define FAKE_VFIO_MSI 0x48u
#define FAKE_VFIO_MSIX 0x60u
#define FAKE_VFIO_PCIE 0x70u
#define FAKE_VFIO_VENDOR 0xb0u
#define FAKE_VFIO_AF 0xc0u
#define FAKE_VFIO_AGP 0xd0u
#define FAKE_VFIO_VECTORS 5u

struct fake_vfio_region {
	uint64_t size;
	uint32_t flags;
	uint64_t sparse_off, sparse_size; /* 0: no such capability */
	uint8_t *mem;			  /* owned, page-aligned */
};

struct fake_vfio_map {
	uint64_t iova, size, host;
};

struct fake_vfio {
	struct vfio_sys sys;
	/* real descriptors, so that closing them is closing something */
	int container, group, device, sibling, iommu;
	uint8_t cfg[PCI_CFG_SIZE];
	uint64_t cfg_size;
	struct fake_vfio_region regions[FAKE_VFIO_REGIONS];
	uint32_t device_flags;
	bool viable, cdev;
	bool rom_fails; /* to be read */

	struct fake_vfio_map maps[FAKE_VFIO_MAPS];
	unsigned int nmaps;
	unsigned int mmaps; /* mappings of the device that are there */
	unsigned int resets;
	/* what a hot reset of the bus takes along, and how often that was done; 0: the bus has none */
	struct vfio_pci_dependent_device hot[4];
	unsigned int nhot, hot_resets;
	bool hot_owned; /* cdev: all of it is of one iommufd */
	bool in_container, has_iommu;
	int bound_to;  /* the iommufd; -1 */
	bool attached; /* to its address space */

	unsigned int irq_count[VFIO_PCI_NUM_IRQS]; /* what the function has */
	unsigned int enabled[VFIO_PCI_NUM_IRQS];
	int fds[VFIO_PCI_NUM_IRQS][256]; /* copies */
	int unmask;			 /* a copy, of the pin's; -1 */
	unsigned int irqs_max;		 /* so many interrupts the host has left; 0: any number */

	unsigned int cfg_writes;
	/* the ioctl with this request fails with this code, after `fail_after` that do not */
	unsigned long fail_request;
	unsigned int fail_after;
	int fail_errno;
};

void fake_vfio_init(struct fake_vfio *fv);
void fake_vfio_fini(struct fake_vfio *fv);
/* A configuration of the device with copies of the descriptors, as vmd gives them. */
struct vfio_pci_cfg fake_vfio_cfg(struct fake_vfio *fv, const char *address);
/* An expansion ROM; what it has is in regions[PCI_ROM].mem. */
void fake_vfio_add_rom(struct fake_vfio *fv, uint64_t size);
/* Signal a vector as the device does. */
void fake_vfio_interrupt(struct fake_vfio *fv, unsigned int index, unsigned int vector);

#endif
