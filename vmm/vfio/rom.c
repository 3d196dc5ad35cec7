// SPDX-License-Identifier: MIT
/*
 * The expansion ROM of a passed-through function: PCI Local Bus 3.0, sections 6.2.5.2 and 6.3. Read once, before
 * the guest is there: the guest reads that copy, and never the device's, which some devices cannot show while
 * they work. Control loop, then vCPUs, under machine.lock.
 */
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "vmm/vfio/vfio_pci.h"

#define VFIO_ROM_MIN 2048u	  /* the register has no bits for less */
#define VFIO_ROM_MAX (16 * MIB)	  /* what the register can say; cards have some 100 KiB */
#define VFIO_ROM_CHUNK (64 * KIB) /* of one read */

static uint64_t vfio_rom_read(void *dev, uint64_t off, unsigned int size)
{
	const struct vfio_pci *v = dev;
	uint64_t val = 0;

	memcpy(&val, v->rom + off, size);
	return val;
}

static void vfio_rom_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	(void)dev, (void)off, (void)size, (void)val;
}

static const struct region_ops vfio_rom_ops = {
	.read = vfio_rom_read,
	.write = vfio_rom_write,
	.min_size = 1,
	.max_size = 8,
};

/* What cannot be read is as an empty place reads. False: nothing could. */
static bool vfio_rom_fetch(const struct vfio_pci *v, uint64_t fd_off, uint64_t size)
{
	uint64_t at = 0;

	memset(v->rom, 0xff, size);
	while (at < size) {
		ssize_t n = v->sys->pread(v->sys, v->fd, v->rom + at,
					  MIN(VFIO_ROM_CHUNK, size - at), fd_off + at);

		if (n <= 0)
			break;
		at += (uint64_t)n;
	}
	return at > 0;
}

void vfio_rom_init(struct vfio_pci *v)
{
	struct vfio_region_info info = { .argsz = sizeof(info),
					 .index = VFIO_PCI_ROM_REGION_INDEX };
	const struct log *log = v->dev.board->log;

	/* one without a ROM has an empty region, or none */
	if (vfio_ioctl(v, VFIO_DEVICE_GET_REGION_INFO, &info) < 0 || !info.size)
		return;
	if (!is_power_of_two(info.size) || info.size < VFIO_ROM_MIN || info.size > VFIO_ROM_MAX) {
		log_warn(log, "device '%s': no ROM: that of %s has %llu bytes", v->dev.id,
			 v->door.host, (unsigned long long)info.size);
		return;
	}
	v->rom = malloc(info.size);
	if (!v->rom || !vfio_rom_fetch(v, info.offset, info.size)) {
		log_warn(log, "device '%s': no ROM: that of %s cannot be read", v->dev.id,
			 v->door.host);
		vfio_rom_fini(v);
		return;
	}
	pci_add_rom(&v->pci, info.size, &vfio_rom_ops, v);
}

void vfio_rom_fini(struct vfio_pci *v)
{
	free(TAKE_PTR(v->rom));
}
