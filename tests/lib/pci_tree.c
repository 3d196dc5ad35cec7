// SPDX-License-Identifier: MIT
/* A sysfs for tests: see pci_tree.h. */
#include "tests/lib/pci_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "tests/lib/tempdir.h"

/* clang-format off */
const struct pci_tree_device pci_tree_host[] = {
	{ "pci0000:00/0000:00:00.0", 0x8086, 0x29c0, 0x060000, .group = 1 },
	{ "pci0000:00/0000:00:08.0", 0x1b36, 0x000c, 0x060400, .driver = "pcieport", .group = 4 },
	{ "pci0000:00/0000:00:09.0", 0x1b36, 0x000c, 0x060400, .driver = "pcieport", .group = 5 },
	{ "pci0000:00/0000:00:0a.0", 0x1b36, 0x000c, 0x060400, .driver = "pcieport", .group = 6 },
	{ "pci0000:00/0000:00:1f.0", 0x8086, 0x2918, 0x060100, .driver = "lpc_ich", .group = 7 },
	{ "pci0000:00/0000:00:08.0/0000:01:00.0", 0x1b36, 0x0010, 0x010802, "nvme", 8, "flr bus" },
	{ "pci0000:00/0000:00:09.0/0000:02:00.0", 0x8086, 0x10c9, 0x020000, "igb", 9, "flr pm bus",
	  .total_vfs = 7, .num_vfs = 2 },
	{ "pci0000:00/0000:00:09.0/0000:02:10.0", 0x8086, 0x10ca, 0x020000, NULL, 15, "flr",
	  .pf = "pci0000:00/0000:00:09.0/0000:02:00.0", .vf = 0 },
	{ "pci0000:00/0000:00:09.0/0000:02:10.2", 0x8086, 0x10ca, 0x020000, "igbvf", 16, "flr",
	  .pf = "pci0000:00/0000:00:09.0/0000:02:00.0", .vf = 1 },
	{ "pci0000:00/0000:00:0a.0/0000:03:00.0", 0x1b36, 0x000e, 0x060400, .group = 10,
	  .reset = "pm bus" },
	{ "pci0000:00/0000:00:0a.0/0000:03:00.0/0000:04:01.0", 0x8086, 0x100e, 0x020000, "e1000", 10,
	  "bus" },
	{ "pci0000:00/0000:00:0a.0/0000:03:00.0/0000:04:02.0", 0x8086, 0x100e, 0x020000, "e1000", 10 },
	{ 0 },
};
/* clang-format on */

static const char *pci_tree_name(const char *path)
{
	return strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
}

/* tempdir_file makes the folders. */
static void pci_tree_folder(const char *dir, const char *name)
{
	AUTO_FREE char *below = NULL, *path = NULL;

	if (asprintf(&below, "%s/.made", name) < 0 || asprintf(&path, "%s/%s", dir, below) < 0)
		abort();
	tempdir_file(dir, below, "");
	unlink(path);
}

void pci_tree_link(const char *dir, const char *name, const char *target)
{
	char path[1024], folder[1024];

	snprintf(folder, sizeof(folder), "%s", name);
	*strrchr(folder, '/') = '\0';
	pci_tree_folder(dir, folder);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	unlink(path);
	if (symlink(target, path) < 0) {
		perror(path);
		abort();
	}
}

void pci_tree_file(const char *dir, const char *address, const char *name, const char *text)
{
	char path[512];

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/%s", address, name);
	tempdir_file(dir, path, text);
}

void pci_tree_bytes(const char *dir, const char *name, const void *data, size_t size)
{
	char path[1024];
	FILE *f;

	tempdir_file(dir, name, "");
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	if (!f || fwrite(data, 1, size, f) != size || fclose(f)) {
		perror(path);
		abort();
	}
}

void pci_tree_bind(const char *dir, const char *address, const char *driver)
{
	char link[512], target[256], path[1024];

	snprintf(link, sizeof(link), "sys/bus/pci/devices/%s/driver", address);
	snprintf(path, sizeof(path), "%s/%s", dir, link);
	unlink(path);
	if (!driver)
		return;
	/* sysfs's is relative; with RESOLVE_IN_ROOT this leads to the same place */
	snprintf(target, sizeof(target), "/sys/bus/pci/drivers/%s", driver);
	pci_tree_link(dir, link, target);
	snprintf(path, sizeof(path), "sys/bus/pci/drivers/%s", driver);
	pci_tree_folder(dir, path);
}

/* Hexadecimal in so many digits, or decimal when that is 0. */
static void pci_tree_number(const char *dir, const char *address, const char *name, int digits,
			    unsigned int value)
{
	char text[32];

	if (digits)
		snprintf(text, sizeof(text), "0x%0*x\n", digits, value);
	else
		snprintf(text, sizeof(text), "%u\n", value);
	pci_tree_file(dir, address, name, text);
}

static void pci_tree_config(const char *dir, const struct pci_tree_device *d)
{
	uint8_t config[256] = { 0 };
	char path[512];

	config[0] = (uint8_t)d->vendor;
	config[1] = (uint8_t)(d->vendor >> 8);
	config[2] = (uint8_t)d->device;
	config[3] = (uint8_t)(d->device >> 8);
	if (d->pf) /* a VF's are all ones */
		memset(config, 0xff, 4);
	config[9] = (uint8_t)d->class_code;
	config[10] = (uint8_t)(d->class_code >> 8);
	config[11] = (uint8_t)(d->class_code >> 16);
	config[14] = d->class_code >> 8 == 0x0604;
	snprintf(path, sizeof(path), "sys/devices/%s/config", d->path);
	pci_tree_bytes(dir, path, config, sizeof(config));
}

static void pci_tree_sriov(const char *dir, const struct pci_tree_device *d, const char *name)
{
	char link[512], target[512];

	if (d->total_vfs) {
		pci_tree_number(dir, name, "sriov_totalvfs", 0, d->total_vfs);
		pci_tree_number(dir, name, "sriov_numvfs", 0, d->num_vfs);
		pci_tree_number(dir, name, "sriov_drivers_autoprobe", 0, 1);
	}
	if (!d->pf)
		return;
	snprintf(link, sizeof(link), "sys/devices/%s/virtfn%u", d->pf, d->vf);
	snprintf(target, sizeof(target), "../%s", name);
	pci_tree_link(dir, link, target);
	snprintf(link, sizeof(link), "sys/devices/%s/physfn", d->path);
	snprintf(target, sizeof(target), "../%s", pci_tree_name(d->pf));
	pci_tree_link(dir, link, target);
}

void pci_tree_add(const char *dir, const struct pci_tree_device *d)
{
	const char *name = pci_tree_name(d->path);
	char link[512], target[512];

	snprintf(link, sizeof(link), "sys/devices/%s", d->path);
	pci_tree_folder(dir, link);
	snprintf(link, sizeof(link), "sys/bus/pci/devices/%s", name);
	snprintf(target, sizeof(target), "../../../devices/%s", d->path);
	pci_tree_link(dir, link, target);
	pci_tree_number(dir, name, "vendor", 4, d->vendor);
	pci_tree_number(dir, name, "device", 4, d->device);
	pci_tree_number(dir, name, "class", 6, d->class_code);
	pci_tree_number(dir, name, "revision", 2, 2);
	pci_tree_number(dir, name, "subsystem_vendor", 4, 0x1af4);
	pci_tree_number(dir, name, "subsystem_device", 4, 0x1100);
	pci_tree_file(dir, name, "driver_override", "(null)\n");
	pci_tree_file(dir, name, "numa_node", "-1\n");
	if (d->reset) {
		pci_tree_file(dir, name, "reset_method", d->reset);
		pci_tree_file(dir, name, "reset", "");
	}
	pci_tree_config(dir, d);
	pci_tree_bind(dir, name, d->driver);
	if (d->group) {
		snprintf(target, sizeof(target), "/sys/kernel/iommu_groups/%d", d->group);
		snprintf(link, sizeof(link), "sys/devices/%s/iommu_group", d->path);
		pci_tree_link(dir, link, target);
		snprintf(link, sizeof(link), "sys/kernel/iommu_groups/%d/devices/%s", d->group,
			 name);
		snprintf(target, sizeof(target), "../../../../devices/%s", d->path);
		pci_tree_link(dir, link, target);
	}
	pci_tree_sriov(dir, d, name);
}

void pci_tree_make(const char *dir)
{
	for (const struct pci_tree_device *d = pci_tree_host; d->path; d++)
		pci_tree_add(dir, d);
}

static const struct pci_tree_device *pci_tree_find(const char *address)
{
	for (const struct pci_tree_device *d = pci_tree_host; d->path; d++)
		if (!strcmp(pci_tree_name(d->path), address))
			return d;
	abort();
}

void pci_tree_class(const char *dir, const char *address, const char *class_name, const char *below)
{
	const struct pci_tree_device *d = pci_tree_find(address);
	char link[512], target[512];

	snprintf(target, sizeof(target), "sys/devices/%s/%s", d->path, below);
	pci_tree_folder(dir, target);
	snprintf(target, sizeof(target), "../../devices/%s/%s", d->path, below);
	snprintf(link, sizeof(link), "sys/class/%s/%s", class_name, pci_tree_name(below));
	pci_tree_link(dir, link, target);
}

void pci_tree_netdev(const char *dir, const char *address, const char *name, const char *mac,
		     int up)
{
	char below[64], path[128];

	snprintf(below, sizeof(below), "net/%s", name);
	pci_tree_class(dir, address, "net", below);
	snprintf(path, sizeof(path), "sys/class/net/%s/address", name);
	tempdir_file(dir, path, mac);
	snprintf(path, sizeof(path), "sys/class/net/%s/addr_assign_type", name);
	tempdir_file(dir, path, "0\n");
	snprintf(path, sizeof(path), "sys/class/net/%s/operstate", name);
	tempdir_file(dir, path, up ? "up\n" : "down\n");
	snprintf(path, sizeof(path), "sys/class/net/%s/carrier", name);
	tempdir_file(dir, path, up ? "1\n" : "0\n");
}

void pci_tree_block(const char *dir, const char *address, const char *below, const char *devno)
{
	char path[128];

	pci_tree_class(dir, address, "block", below);
	snprintf(path, sizeof(path), "sys/class/block/%s/dev", pci_tree_name(below));
	tempdir_file(dir, path, devno);
}
