/* SPDX-License-Identifier: MIT */
/*
 * A sysfs for tests, as the kernel lays it out (seen on Debian 12 with an igb, an NVMe disk and two e1000):
 * devices in sys/devices below their bridges, links from sys/bus/pci, iommu_group, physfn, virtfnN and driver
 * links, configuration space as bytes.
 */
#ifndef TESTS_LIB_PCI_TREE_H
#define TESTS_LIB_PCI_TREE_H

#include <stddef.h>
#include <stdint.h>

struct pci_tree_device {
	const char *path; /* below sys/devices: "pci0000:00/0000:00:08.0/0000:01:00.0" */
	uint16_t vendor, device;
	uint32_t class_code;
	const char *driver;		 /* NULL: none */
	int group;			 /* 0: none */
	const char *reset;		 /* NULL: none */
	unsigned int total_vfs, num_vfs; /* of a PF */
	const char *pf;			 /* of a VF: its PF's path */
	unsigned int vf;
};

/*
 * The host that most tests take; its rows end with one without a path:
 * 00:00.0 host bridge; 00:1f.0 ISA bridge; 01:00.0 NVMe (group 8, flr); 02:00.0 igb (group 9, 7 VFs, two of them
 * made: 02:10.0 and 02:10.2, groups 15 and 16); 04:01.0 and 04:02.0 two e1000 behind the bridge 03:00.0 (group 10).
 */
extern const struct pci_tree_device pci_tree_host[];
void pci_tree_make(const char *dir);

void pci_tree_add(const char *dir, const struct pci_tree_device *d);
/* sys/bus/pci/devices/ADDRESS/NAME. */
void pci_tree_file(const char *dir, const char *address, const char *name, const char *text);
void pci_tree_bytes(const char *dir, const char *name, const void *data, size_t size);
/* A symbolic link, its folder made as needed; what was there is replaced. */
void pci_tree_link(const char *dir, const char *name, const char *target);
/* Bound to another driver, or to none (NULL). */
void pci_tree_bind(const char *dir, const char *address, const char *driver);
/*
 * What hangs on a device: "net/eth0", "virtio0/net/eth1", "ata1/block/sda/sda1": its folder, and the link
 * sys/class/CLASS/NAME there.
 */
void pci_tree_class(const char *dir, const char *address, const char *class_name,
		    const char *below);
/* A network interface that is up and has a carrier, or is neither. */
void pci_tree_netdev(const char *dir, const char *address, const char *name, const char *mac,
		     int up);
/* A block device below it, with the number of its device. */
void pci_tree_block(const char *dir, const char *address, const char *below, const char *devno);

#endif
