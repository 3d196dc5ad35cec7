// SPDX-License-Identifier: MIT
/* The boot order: see bootorder.h. On the control loop. */
#include "vmm/x86/bootorder.h"

#include <stdio.h>
#include <string.h>

#include "lib/errcat.h"

/* What follows the device's place on the PCI bus, by type. The names count for nothing, but SeaBIOS compares the places. */
static const struct {
	const char *type, *name, *unit;
} bootorder_types[] = {
	{ "virtio-blk", "scsi", "/disk@0,0" },
	{ "virtio-net", "ethernet", "/ethernet-phy@0" },
	{ "e1000", "ethernet", "/ethernet-phy@0" },
	{ "rtl8139", "ethernet", "/ethernet-phy@0" },
	{ "vfio-pci", "pci", "" },
};

/* "00:1e.0": the slot */
static unsigned int bootorder_slot(struct json_object *device)
{
	unsigned int slot = 0;

	(void)!sscanf(json_get_str(device, "address", ""), "00:%2x", &slot);
	return slot;
}

static bool bootorder_is(struct json_object *o, const char *id)
{
	return !strcmp(json_get_str(o, "id", ""), id);
}

static bool bootorder_device(struct json_object *device, const char *id, char *out, size_t size)
{
	const char *type = json_get_str(device, "type", "");

	if (!bootorder_is(device, id))
		return false;
	for (unsigned int i = 0; i < ARRAY_SIZE(bootorder_types); i++) {
		if (strcmp(bootorder_types[i].type, type) != 0)
			continue;
		snprintf(out, size, "/pci@i0cf8/%s@%x%s", bootorder_types[i].name,
			 bootorder_slot(device), bootorder_types[i].unit);
		return true;
	}
	return false;
}

/*
 * All disks of a SCSI controller are units of its target 0; AHCI has one at a port; IDE has two a channel; it and floppy
 * drives are where the chipset has them.
 */
static void bootorder_unit(struct json_object *device, struct json_object *disk, char *out,
			   size_t size)
{
	unsigned int unit = (unsigned int)json_get_int(disk, "unit", 0);
	const char *type = json_get_str(device, "type", "");

	if (!strcmp(type, "ide"))
		snprintf(out, size, "/pci@i0cf8/ide@1,1/drive@%x/disk@%x", unit >> 1, unit & 1);
	else if (!strcmp(type, "floppy"))
		snprintf(out, size, "/pci@i0cf8/isa@1/fdc@03f0/floppy@%x", unit);
	else if (!strcmp(type, "ahci"))
		snprintf(out, size, "/pci@i0cf8/pci8086,2922@%x/drive@%x/disk@0",
			 bootorder_slot(device), unit);
	else
		snprintf(out, size, "/pci@i0cf8/scsi@%x/channel@0/disk@0,%x",
			 bootorder_slot(device), (unsigned int)json_get_int(disk, "lun", 0));
}

static bool bootorder_disk(struct json_object *device, const char *id, char *out, size_t size)
{
	struct json_object *disks = json_get(device, "disks");
	size_t n = disks ? json_object_array_length(disks) : 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *disk = json_object_array_get_idx(disks, i);

		if (!bootorder_is(disk, id))
			continue;
		bootorder_unit(device, disk, out, size);
		return true;
	}
	return false;
}

static bool bootorder_path(struct json_object *devices, const char *id, char *out, size_t size)
{
	size_t n = json_object_array_length(devices);

	for (size_t i = 0; i < n; i++) {
		struct json_object *device = json_object_array_get_idx(devices, i);

		if (bootorder_device(device, id, out, size) ||
		    bootorder_disk(device, id, out, size))
			return true;
	}
	return false;
}

int bootorder_text(struct json_object *order, struct json_object *devices,
		   char out[static BOOTORDER_MAX], struct err *e)
{
	size_t n =
		json_object_is_type(order, json_type_array) ? json_object_array_length(order) : 0;
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		const char *id = json_object_get_string(json_object_array_get_idx(order, i));
		char path[128];

		if (!id || !bootorder_path(devices, id, path, sizeof(path)))
			return err_set(e, ERR_INVALID,
				       "boot order: nothing to start from is '%.64s'",
				       id ? id : "");
		if (len + strlen(path) + 2 > BOOTORDER_MAX)
			return err_set(e, ERR_INVALID, "boot order: more than %d bytes",
				       BOOTORDER_MAX);
		len += (size_t)snprintf(out + len, BOOTORDER_MAX - len, "%s%s", i ? "\n" : "",
					path);
	}
	return 0;
}
