// SPDX-License-Identifier: MIT
/*
 * Device class vfio-pci: see vfio_pci.h. Makes the function a part of the VM, asks what it has, and resets it.
 * Control loop, under machine.lock; a guest's reset of the function alone comes from a vCPU.
 */
#include "vmm/vfio/vfio_pci.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmm/devices.h"

int vfio_ioctl(struct vfio_pci *v, unsigned long request, void *arg)
{
	return v->sys->ioctl(v->sys, v->fd, request, arg);
}

static const struct pci_dev_ops vfio_pci_ops = {
	.bar_moved = vfio_bar_moved,
	.master = vfio_bars_master,
	.cfg_reading = vfio_config_reading,
	.cfg_written = vfio_config_written,
};

/* --- reset ---------------------------------------------------------------------------------------------- */

void vfio_pci_host_reset(struct vfio_pci *v)
{
	int r;

	vfio_irqs_off(v);
	if (!v->started)
		return;
	r = v->resettable ? vfio_ioctl(v, VFIO_DEVICE_RESET, NULL) : -ENOTTY;
	if (r < 0)
		log_limited(v->dev.board->log, &v->limit, "device '%s': cannot reset %s: %s",
			    v->dev.id, v->door.host,
			    r == -ENOTTY ? "it has no reset of its own" : strerror(-r));
}

/* The machine's: what has no reset of its own is reset with its bus, also at first, where the kernel has not done it. */
static void vfio_pci_machine_reset(struct vfio_pci *v)
{
	const struct log *log = v->dev.board->log;
	struct err e;
	int n;

	if (v->resettable) {
		vfio_pci_host_reset(v);
		return;
	}
	vfio_irqs_off(v);
	if (v->fresh) {
		v->fresh = false;
		return;
	}
	n = vfio_hot_reset(v, &e);
	if (n >= 0)
		log_info(log, "device '%s': reset the bus of %s, which has %d functions", v->dev.id,
			 v->door.host, n);
	else
		log_limited(log, &v->limit, "device '%s': cannot reset %s: %s", v->dev.id,
			    v->door.host, e.msg);
}

/* The kernel has reset it when it was opened: the first one needs no more. */
static void vfio_pci_start(struct device *d)
{
	container_of(d, struct vfio_pci, dev)->started = true;
}

/* What the function has forgotten: BARs and MSI-X table too. What it decodes is for the guest to say. */
void vfio_pci_guest_reset(struct vfio_pci *v)
{
	vfio_pci_host_reset(v);
	v->asleep = false;
	pci_dev_reset(&v->pci);
	pci_cfg_write(&v->pci, PCI_COMMAND, 2, 0);
	vfio_config_reset(v);
	vfio_irqs_sync(v);
}

static void vfio_pci_reset(struct device *d)
{
	struct vfio_pci *v = container_of(d, struct vfio_pci, dev);

	vfio_pci_machine_reset(v);
	v->asleep = false;
	pci_dev_reset(&v->pci);
	vfio_config_reset(v);
	vfio_bars_sync(v);
	vfio_irqs_sync(v);
}

/* --- making it ------------------------------------------------------------------------------------------ */

static int vfio_pci_ask(struct vfio_pci *v, struct err *e)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	int r = vfio_ioctl(v, VFIO_DEVICE_GET_INFO, &info);

	if (r < 0)
		return err_set(e, ERR_VFIO, "VFIO says nothing about %s: %s", v->door.host,
			       strerror(-r));
	if (!(info.flags & VFIO_DEVICE_FLAGS_PCI) ||
	    info.num_regions <= VFIO_PCI_CONFIG_REGION_INDEX ||
	    info.num_irqs <= VFIO_PCI_MSIX_IRQ_INDEX)
		return err_set(e, ERR_VFIO_DEVICE, "%s is no PCI function for VFIO", v->door.host);
	v->resettable = info.flags & VFIO_DEVICE_FLAGS_RESET;
	return 0;
}

static int vfio_pci_join(struct vfio_pci *v, struct vfio_pci_cfg *cfg, struct err *e)
{
	int r;

	if (!cfg->host[0] && cfg->pci[0])
		return err_set(e, ERR_VFIO, "nobody has opened %s for this VM", cfg->pci);
	if (!cfg->host[0])
		return err_set(e, ERR_INVALID, "no host");
	v->door = (struct vfio_door){ .host = cfg->host,
				      .group = cfg->group,
				      .group_fd = cfg->group_fd,
				      .container_fd = cfg->container_fd,
				      .device_fd = cfg->device_fd,
				      .iommu_fd = cfg->iommu_fd };
	r = vfio_dma_join(v->dev.board, &v->door, e);
	/* what it has taken is no longer the configuration's */
	cfg->group_fd = v->door.group_fd;
	cfg->container_fd = v->door.container_fd;
	cfg->device_fd = v->door.device_fd;
	cfg->iommu_fd = v->door.iommu_fd;
	if (r < 0)
		return r;
	v->fd = r;
	return vfio_pci_ask(v, e);
}

/* One of the VM's: the others' memory is for it, too. */
static void vfio_pci_enter(struct vfio_pci *v)
{
	struct vfio_dma *dma = v->dev.board->vfio;

	v->next = dma->members;
	dma->members = v;
	for (struct vfio_pci *m = dma->members; m; m = m->next)
		vfio_bars_sync(m);
}

const char *vfio_dma_pinned_for(const struct board *b)
{
	return b->vfio && b->vfio->members ? b->vfio->members->dev.id : NULL;
}

/* One that never was is fine. */
static void vfio_pci_exit(struct vfio_pci *v)
{
	struct vfio_pci **link = &v->dev.board->vfio->members;

	while (*link && *link != v)
		link = &(*link)->next;
	if (*link)
		*link = v->next;
}

static int vfio_pci_init(struct device *d, struct err *e)
{
	struct vfio_pci *v = container_of(d, struct vfio_pci, dev);
	struct vfio_pci_cfg *cfg = d->cfg;
	int r;

	v->fd = v->error.fd = v->request.fd = v->raise_fd = v->ended_fd = v->gsi = -1;
	v->stops = cfg->on_device_error == VFIO_ON_ERROR_STOP;
	v->aer.wanted = cfg->on_device_error == VFIO_ON_ERROR_GUEST;
	v->sys = vfio_sys_of(d->board);
	r = vfio_pci_join(v, cfg, e);
	if (r < 0)
		return r;
	r = vfio_config_init(v, e);
	if (r < 0)
		return r;
	v->pci.ops = &vfio_pci_ops;
	if (cfg->rom)
		vfio_rom_init(v);
	r = pci_plug(d->board->pci, &v->pci, cfg->address, e);
	if (r >= 0)
		r = vfio_irqs_plugged(v, e);
	if (r >= 0)
		r = vfio_aer_init(v, e);
	if (r < 0)
		return r;
	vfio_pci_enter(v);
	log_info(d->board->log, "device '%s': %s at %s%s", d->id, v->door.host, cfg->address,
		 v->resettable ? "" : ", which has no reset of its own");
	return 0;
}

static void vfio_pci_fini(struct device *d)
{
	struct vfio_pci *v = container_of(d, struct vfio_pci, dev);

	if (v->fd < 0)
		return;
	vfio_pci_exit(v);
	vfio_irqs_fini(v);
	pci_dev_fini(&v->pci);
	vfio_bars_fini(v);
	vfio_rom_fini(v);
	vfio_dma_leave(d->board, &v->door, TAKE_FD(v->fd));
}

static const char *const vfio_on_error_names[] = { [VFIO_ON_ERROR_REPORT] = "report",
						   [VFIO_ON_ERROR_DETACH] = "detach",
						   [VFIO_ON_ERROR_STOP] = "stop",
						   [VFIO_ON_ERROR_GUEST] = "guest",
						   NULL };

static const struct field vfio_pci_fields[] = {
	FIELD_STR("address", struct vfio_pci_cfg, address),
	FIELD_STR("host", struct vfio_pci_cfg, host),
	FIELD_STR("pci", struct vfio_pci_cfg, pci),
	FIELD_U32("group", struct vfio_pci_cfg, group),
	FIELD_FD("group_fd", struct vfio_pci_cfg, group_fd),
	FIELD_FD("container_fd", struct vfio_pci_cfg, container_fd),
	FIELD_FD("device_fd", struct vfio_pci_cfg, device_fd),
	FIELD_FD("iommu_fd", struct vfio_pci_cfg, iommu_fd),
	FIELD_BOOL("rom", struct vfio_pci_cfg, rom),
	FIELD_ENUM("on_device_error", struct vfio_pci_cfg, on_device_error, vfio_on_error_names),
	FIELD_END,
};

static void vfio_pci_cfg_defaults(void *cfg)
{
	((struct vfio_pci_cfg *)cfg)->rom = true;
}

const struct device_class vfio_pci_class = {
	.type = "vfio-pci",
	.hotplug = true,
	.size = sizeof(struct vfio_pci),
	.cfg_size = sizeof(struct vfio_pci_cfg),
	.cfg_fields = vfio_pci_fields,
	.cfg_defaults = vfio_pci_cfg_defaults,
	.init = vfio_pci_init,
	.start = vfio_pci_start,
	.reset = vfio_pci_reset,
	.fini = vfio_pci_fini,
};
