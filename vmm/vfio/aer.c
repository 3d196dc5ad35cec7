// SPDX-License-Identifier: MIT
/*
 * Errors of a passed-through function as its guest sees them (on_device_error: guest): PCI Express Base 5.0, sections
 * 6.2.4 to 6.2.6 and 7.8.4. The capability stands where the device has it, and its registers are ours: the host's kernel handles
 * the device's own and clears them. Control loop and vCPUs, under machine.lock.
 */
#include <linux/pci_regs.h>
#include <string.h>

#include "lib/errcat.h"
#include "vmm/vfio/vfio_pci.h"

#define VFIO_AER_ENABLES \
	(PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE | PCI_EXP_DEVCTL_FERE | PCI_EXP_DEVCTL_URRE)

static uint32_t vfio_aer_get(const struct vfio_pci *v, unsigned int reg)
{
	unsigned int at = v->aer.cap + reg;

	return pci_get16(&v->pci, at) | (uint32_t)pci_get16(&v->pci, at + 2) << 16;
}

/* The host's driver may have switched it off when it left; resets keep it. */
static void vfio_aer_enable(struct vfio_pci *v)
{
	unsigned int at = v->cap_pcie + PCI_EXP_DEVCTL;
	uint16_t devctl;

	v->initial[at] |= VFIO_AER_ENABLES;
	memcpy(&devctl, v->initial + at, sizeof(devctl));
	if (v->sys->pwrite(v->sys, v->fd, &devctl, sizeof(devctl), v->cfg_off + at) !=
	    sizeof(devctl))
		log_warn(v->dev.board->log, "device '%s': %s may not report errors to the host",
			 v->dev.id, v->door.host);
}

int vfio_aer_init(struct vfio_pci *v, struct err *e)
{
	if (!v->aer.wanted)
		return 0;
	if (!v->aer.cap) {
		log_warn(v->dev.board->log,
			 "device '%s': %s has no Advanced Error Reporting; errors of it are told "
			 "to vmd only",
			 v->dev.id, v->door.host);
		return 0;
	}
	vfio_aer_enable(v);
	return pci_aer_collect(&v->pci, e);
}

/* As after power-on, and after a reset: the kernel of the guest writes what it had. */
void vfio_aer_reset(struct vfio_pci *v)
{
	unsigned int at = v->aer.cap;

	if (!at)
		return;
	pci_w1c_init(&v->pci, &v->aer.status, at + PCI_ERR_UNCOR_STATUS, VFIO_AER_ERRORS);
	memcpy(v->pci.cfg + at + PCI_ERR_UNCOR_MASK, v->initial + at + PCI_ERR_UNCOR_MASK, 8);
	/* what is told here where the device's own word is gone: bit 22, which devices have masked by themselves */
	v->pci.cfg[at + PCI_ERR_UNCOR_MASK + 2] &= (uint8_t) ~(PCI_ERR_UNC_INTN >> 16);
	memset(v->pci.cfg + at + PCI_ERR_CAP, 0, 4);
	v->aer.enables = v->aer.detected = 0;
}

/* The enable bits of a function of a VF are its PF's, and the host needs the others: the guest has its own. */
void vfio_aer_reading(struct vfio_pci *v)
{
	unsigned int at = v->cap_pcie + PCI_EXP_DEVCTL;

	if (!v->aer.cap)
		return;
	v->pci.cfg[at] &= (uint8_t)~VFIO_AER_ENABLES;
	v->pci.cfg[at] |= v->aer.enables;
	v->pci.cfg[at + 2] |= v->aer.detected;
}

/* Before the device gets what was written: bits of the host stay as they are. */
void vfio_aer_written(struct vfio_pci *v, unsigned int off, unsigned int size)
{
	unsigned int at = v->cap_pcie + PCI_EXP_DEVCTL;

	if (!v->aer.cap)
		return;
	pci_w1c_written(&v->pci, &v->aer.status, off, size);
	if (off <= at && off + size > at) {
		v->aer.enables = v->pci.cfg[at] & VFIO_AER_ENABLES;
		v->pci.cfg[at] &= (uint8_t)~VFIO_AER_ENABLES;
		v->pci.cfg[at] |= v->initial[at] & VFIO_AER_ENABLES;
	}
	if (off <= at + 2 && off + size > at + 2)
		v->aer.detected &= (uint8_t)~v->pci.cfg[at + 2];
}

/* What the device says, unless the host has cleared that already: then it is an error inside of it. */
static uint32_t vfio_aer_errors(const struct vfio_pci *v)
{
	uint32_t errors = 0;

	if (v->sys->pread(v->sys, v->fd, &errors, sizeof(errors),
			  v->cfg_off + v->aer.cap + PCI_ERR_UNCOR_STATUS) != sizeof(errors) ||
	    errors == UINT32_MAX)
		errors = 0;
	errors &= VFIO_AER_ERRORS;
	return errors ? errors : PCI_ERR_UNC_INTN;
}

static void vfio_aer_message(struct vfio_pci *v, bool fatal)
{
	uint8_t enable = fatal ? PCI_EXP_DEVCTL_FERE : PCI_EXP_DEVCTL_NFERE;

	v->aer.detected |= fatal ? PCI_EXP_DEVSTA_FED : PCI_EXP_DEVSTA_NFED;
	if (v->aer.enables & enable || pci_get16(&v->pci, PCI_COMMAND) & PCI_COMMAND_SERR)
		pci_aer_message(&v->pci, fatal);
}

void vfio_aer_raise(struct vfio_pci *v)
{
	uint32_t errors, shown, fatal;

	if (!v->aer.cap)
		return;
	errors = vfio_aer_errors(v);
	shown = errors & ~vfio_aer_get(v, PCI_ERR_UNCOR_MASK);
	fatal = shown & vfio_aer_get(v, PCI_ERR_UNCOR_SEVER);
	if (shown && !(v->aer.status.bits & ~vfio_aer_get(v, PCI_ERR_UNCOR_MASK)))
		v->pci.cfg[v->aer.cap + PCI_ERR_CAP] = (uint8_t)__builtin_ctz(shown);
	pci_w1c_set(&v->pci, &v->aer.status, errors);
	if (fatal)
		vfio_aer_message(v, true);
	if (shown & ~fatal)
		vfio_aer_message(v, false);
}
