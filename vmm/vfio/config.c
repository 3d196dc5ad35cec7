// SPDX-License-Identifier: MIT
/*
 * Configuration space of a passed-through function, at work: bytes that are the device's are read and written
 * through, and what a write means besides (bus mastering, sleep, reset) is done here. Which byte is what:
 * config_table.c. PCI Local Bus 3.0, chapter 6; PCI Express Base 4.0, section 7.5. From vCPUs, under
 * machine.lock.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>

#include "lib/errcat.h"
#include "vmm/vfio/vfio_pci.h"

static bool vfio_touches(unsigned int off, unsigned int size, unsigned int at, unsigned int len)
{
	return at && off < at + len && off + size > at;
}

/* --- the device's bytes ----------------------------------------------------------------------------------- */

/* Whole, or all ones like a device that is gone. */
static void vfio_config_fetch(struct vfio_pci *v, unsigned int off, unsigned int size, uint8_t *out)
{
	ssize_t n = v->sys->pread(v->sys, v->fd, out, size, v->cfg_off + off);

	if (n != (ssize_t)size)
		memset(out, 0xff, size);
}

static void vfio_config_store(struct vfio_pci *v, unsigned int off, unsigned int size)
{
	ssize_t n = v->sys->pwrite(v->sys, v->fd, v->pci.cfg + off, size, v->cfg_off + off);

	if (n != (ssize_t)size)
		log_limited(v->dev.board->log, &v->limit,
			    "device '%s': %s does not take a write to its configuration at 0x%x",
			    v->dev.id, v->door.host, off);
}

void vfio_config_reading(struct pci_dev *p, unsigned int off, unsigned int size)
{
	struct vfio_pci *v = vfio_pci_of(p);
	uint8_t raw[4];
	bool any = false;

	for (unsigned int i = 0; i < size; i++)
		any |= v->how[off + i] != VFIO_CFG_OURS;
	if (!any || size > sizeof(raw))
		return;
	vfio_config_fetch(v, off, size, raw);
	for (unsigned int i = 0; i < size; i++)
		if (v->how[off + i] != VFIO_CFG_OURS)
			p->cfg[off + i] = raw[i];
	/* whether there is a list of capabilities is for config_table.c to say */
	if (vfio_touches(off, size, PCI_STATUS, 1)) {
		p->cfg[PCI_STATUS] &= (uint8_t)~PCI_STATUS_CAP_LIST;
		p->cfg[PCI_STATUS] |= v->initial[PCI_STATUS] & PCI_STATUS_CAP_LIST;
	}
	vfio_aer_reading(v);
}

/* In runs: one access of the guest is one of the host where all of it is the device's. */
static void vfio_config_through(struct vfio_pci *v, unsigned int off, unsigned int size)
{
	unsigned int from = off, end = off + size;

	while (from < end) {
		unsigned int to = from;

		while (to < end && v->how[to] == VFIO_CFG_THROUGH)
			to++;
		if (to > from)
			vfio_config_store(v, from, to - from);
		from = to + 1;
	}
}

void vfio_config_command(struct vfio_pci *v)
{
	uint16_t kept = PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | PCI_COMMAND_SERR;
	uint16_t command = pci_get16(&v->pci, PCI_COMMAND) & kept;

	if (v->asleep)
		command &= (uint16_t)~PCI_COMMAND_MASTER;
	/* what the guest decodes is for bars.c: a host mapping of something that is switched off would fault */
	command |= PCI_COMMAND_IO | PCI_COMMAND_MEMORY;
	/* VFIO masks the pin by this bit, too: irqs.c knows whether it is on */
	if (v->irq_mode != VFIO_IRQ_INTX)
		command |= PCI_COMMAND_INTX_DISABLE;
	v->sys->pwrite(v->sys, v->fd, &command, sizeof(command), v->cfg_off + PCI_COMMAND);
}

/* --- what a write means ------------------------------------------------------------------------------- */

/* True when the guest has asked for a reset of the function; the bits read as 0. */
static bool vfio_config_flr(struct vfio_pci *v, unsigned int off, unsigned int size)
{
	unsigned int devctl = v->cap_pcie ? v->cap_pcie + PCI_EXP_DEVCTL : 0;
	unsigned int af = v->cap_af ? v->cap_af + PCI_AF_CTRL : 0;
	uint8_t flr = PCI_EXP_DEVCTL_BCR_FLR >> 8, *cfg = v->pci.cfg;
	bool asked = false;

	if (vfio_touches(off, size, devctl ? devctl + 1 : 0, 1)) {
		asked |= cfg[devctl + 1] & flr;
		cfg[devctl + 1] &= (uint8_t)~flr;
	}
	if (vfio_touches(off, size, af, 1)) {
		asked |= cfg[af] & PCI_AF_CTRL_FLR;
		cfg[af] = 0;
	}
	return asked;
}

/*
 * D3hot. The device itself stays awake: a mapping of one that sleeps would fault, and only the guest can say
 * when. But it does nothing: no registers, no DMA; and it forgets what a real one forgets.
 */
static void vfio_config_power(struct vfio_pci *v)
{
	uint16_t pmcsr = pci_get16(&v->pci, v->cap_pm + PCI_PM_CTRL);
	bool asleep = (pmcsr & PCI_PM_CTRL_STATE_MASK) == 3;

	if (asleep == v->asleep)
		return;
	if (asleep || pmcsr & PCI_PM_CTRL_NO_SOFT_RESET) {
		v->asleep = asleep;
		vfio_config_command(v);
		vfio_bars_sync(v);
	} else {
		vfio_pci_guest_reset(v);
	}
}

void vfio_config_written(struct pci_dev *p, unsigned int off, unsigned int size)
{
	struct vfio_pci *v = vfio_pci_of(p);

	if (vfio_config_flr(v, off, size)) {
		vfio_pci_guest_reset(v);
		return;
	}
	if (vfio_touches(off, size, PCI_COMMAND, 2))
		vfio_config_command(v);
	vfio_aer_written(v, off, size);
	vfio_config_through(v, off, size);
	if (v->cap_pm && vfio_touches(off, size, v->cap_pm + PCI_PM_CTRL, 2))
		vfio_config_power(v);
	vfio_irqs_sync(v);
}

/* --- power-on --------------------------------------------------------------------------------------------- */

void vfio_config_reset(struct vfio_pci *v)
{
	for (unsigned int i = 0; i < PCI_CFG_SIZE; i++)
		if (v->how[i] != VFIO_CFG_OURS)
			v->pci.cfg[i] = v->initial[i];
	vfio_aer_reset(v);
	vfio_config_command(v);
}

static int vfio_config_region(struct vfio_pci *v, struct err *e)
{
	struct vfio_region_info info = { .argsz = sizeof(info),
					 .index = VFIO_PCI_CONFIG_REGION_INDEX };
	int r = vfio_ioctl(v, VFIO_DEVICE_GET_REGION_INFO, &info);

	if (r < 0)
		return err_set(e, ERR_VFIO, "no configuration space of %s: %s", v->door.host,
			       strerror(-r));
	if (info.size < PCI_CFG_SPACE_SIZE)
		return err_set(e, ERR_VFIO_DEVICE, "%s has a configuration space of %llu bytes",
			       v->door.host, (unsigned long long)info.size);
	v->cfg_off = info.offset;
	v->cfg_size = info.size >= PCI_CFG_SIZE ? PCI_CFG_SIZE : PCI_CFG_SPACE_SIZE;
	return 0;
}

/* Dword by dword: what one of them does not give (all ones) is no reason to lose the others. */
static int vfio_config_load(struct vfio_pci *v, uint8_t raw[static PCI_CFG_SIZE], struct err *e)
{
	int r = vfio_config_region(v, e);

	if (r < 0)
		return r;
	memset(raw, 0, PCI_CFG_SIZE);
	for (unsigned int off = 0; off < v->cfg_size; off += 4)
		vfio_config_fetch(v, off, 4, raw + off);
	if (raw[PCI_VENDOR_ID] == 0xff && raw[PCI_VENDOR_ID + 1] == 0xff) {
		err_set(e, ERR_VFIO_DEVICE,
			"%s does not answer: its configuration space reads as all ones",
			v->door.host);
		return err_hint(e, "it may be broken, unplugged, or hang since its last user: "
				   "a cold reset of the host helps if anything does");
	}
	if ((raw[PCI_HEADER_TYPE] & 0x7f) != PCI_HEADER_TYPE_NORMAL)
		return err_set(e, ERR_VFIO_DEVICE, "%s is a bridge, not a device", v->door.host);
	return 0;
}

int vfio_config_init(struct vfio_pci *v, struct err *e)
{
	static const struct pci_ids ids;
	uint8_t raw[PCI_CFG_SIZE];
	int r = vfio_config_load(v, raw, e);

	if (r < 0)
		return r;
	pci_dev_init(&v->pci, v->dev.id, &ids, NULL);
	vfio_table_apply(v, raw, (unsigned int)v->cfg_size);
	r = vfio_irqs_init(v, raw, e);
	if (r >= 0)
		r = vfio_bars_init(v, raw, e);
	if (r < 0)
		return r;
	memcpy(v->initial, v->pci.cfg, sizeof(v->initial));
	vfio_aer_reset(v);
	vfio_config_command(v);
	return 0;
}
