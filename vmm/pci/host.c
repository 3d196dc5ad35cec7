// SPDX-License-Identifier: MIT
/*
 * The PCI host bridge: bus 0 behind configuration mechanism #1 (ports 0xCF8 and 0xCFC, PCI Local Bus 3.0,
 * section 3.2.2.3.2) and ECAM (PCI Express Base 4.0, section 7.2.2), and the reset control register at
 * 0xCF9 that ACPI's RESET_REG names. The bridge's own function has Red Hat's "generic PCIe host bridge"
 * ids: no chip, so no driver and no quirk of an operating system takes it for one. Under machine.lock.
 */
#include "vmm/pci/host.h"

#include "vmm/devices.h"
#include "vmm/pci/aer.h"
#include "vmm/x86/map.h"

#define PCI_HOST_VENDOR 0x1b36
#define PCI_HOST_DEVICE 0x0008
#define PCI_HOST_CLASS 0x060000

/* offsets from port 0xcf8 */
#define PCI_PORT_RESET (MAP_RESET_REG - MAP_PCI_ADDR)
#define PCI_PORT_DATA (MAP_PCI_DATA - MAP_PCI_ADDR)

#define PCI_ADDRESS_ENABLE BIT(31)
#define PCI_ADDRESS_WRITABLE 0x80fffffcu

/* 0xCF9: SYS_RST, RST_CPU, FULL_RST; setting RST_CPU resets, and reads back as 0 */
#define PCI_RESET_CPU BIT(2)
#define PCI_RESET_KEPT (BIT(1) | BIT(3))

/* bus 8 bits, device 5, function 3, as both mechanisms have it; NULL: nothing answers */
static struct pci_dev *pci_host_find(const struct pci_host *h, uint32_t bdf)
{
	if (bdf >= PCI_FUNCTIONS || h->gone & BIT(bdf >> 3))
		return NULL;
	return h->functions[bdf];
}

static struct pci_dev *pci_host_selected(const struct pci_host *h)
{
	if (!(h->config_address & PCI_ADDRESS_ENABLE))
		return NULL;
	return pci_host_find(h, h->config_address >> 8 & 0xffff);
}

static uint64_t pci_host_port_read(void *dev, uint64_t off, unsigned int size)
{
	struct pci_host *h = dev;
	struct pci_dev *p;

	if (off >= PCI_PORT_DATA) {
		p = pci_host_selected(h);
		off -= PCI_PORT_DATA;
		if (!p || off + size > 4)
			return UINT32_MAX;
		return pci_cfg_read(p, (h->config_address & 0xfc) + (unsigned int)off, size);
	}
	if (off == 0 && size == 4)
		return h->config_address;
	if (off == PCI_PORT_RESET && size == 1)
		return h->reset_control;
	return UINT32_MAX;
}

static void pci_host_reset_control(struct pci_host *h, uint8_t val)
{
	const struct board *board = h->dev.board;

	h->reset_control = val & PCI_RESET_KEPT;
	if (val & PCI_RESET_CPU)
		board->ops->event(board->arg, BOARD_RESET, 0, "reset control register");
}

static void pci_host_port_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct pci_host *h = dev;
	struct pci_dev *p;

	if (off >= PCI_PORT_DATA) {
		p = pci_host_selected(h);
		off -= PCI_PORT_DATA;
		if (p && off + size <= 4)
			pci_cfg_write(p, (h->config_address & 0xfc) + (unsigned int)off, size,
				      (uint32_t)val);
	} else if (off == 0 && size == 4) {
		h->config_address = (uint32_t)val & PCI_ADDRESS_WRITABLE;
	} else if (off == PCI_PORT_RESET && size == 1) {
		pci_host_reset_control(h, (uint8_t)val);
	}
}

static uint64_t pci_host_ecam_read(void *dev, uint64_t off, unsigned int size)
{
	struct pci_dev *p = pci_host_find(dev, (uint32_t)(off >> 12));

	return p ? pci_cfg_read(p, off & (PCI_CFG_SIZE - 1), size) : UINT32_MAX;
}

static void pci_host_ecam_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct pci_dev *p = pci_host_find(dev, (uint32_t)(off >> 12));

	if (p)
		pci_cfg_write(p, off & (PCI_CFG_SIZE - 1), size, (uint32_t)val);
}

static const struct region_ops pci_host_port_ops = {
	.read = pci_host_port_read,
	.write = pci_host_port_write,
	.min_size = 1,
	.max_size = 4,
};

static const struct region_ops pci_host_ecam_ops = {
	.read = pci_host_ecam_read,
	.write = pci_host_ecam_write,
	.min_size = 1,
	.max_size = 4,
};

int pci_host_start_up(struct pci_host *h, const struct pci_ids *ids, bool ecam, struct err *e)
{
	struct device *d = &h->dev;
	int ret;

	h->ports = (struct region){ .name = "PCI configuration ports",
				    .base = MAP_PCI_ADDR,
				    .size = 8,
				    .ops = &pci_host_port_ops,
				    .dev = h };
	h->ecam = (struct region){ .name = "PCI configuration (ECAM)",
				   .base = GMEM_ECAM_START,
				   .size = ecam ? GMEM_ECAM_SIZE : 0,
				   .ops = &pci_host_ecam_ops,
				   .dev = h };
	ret = bus_add(d->board->pio, &h->ports, e);
	if (ret < 0)
		return ret;
	if (ecam)
		ret = bus_add(d->board->mmio, &h->ecam, e);
	if (ret >= 0)
		ret = pci_hotplug_init(h, e);
	if (ret < 0)
		return ret;
	pci_dev_init(&h->bridge, d->id, ids, NULL);
	d->board->pci = h;
	return pci_plug(h, &h->bridge, "00:00.0", e);
}

static int pci_host_init(struct device *d, struct err *e)
{
	static const struct pci_ids ids = {
		.vendor = PCI_HOST_VENDOR,
		.device = PCI_HOST_DEVICE,
		.subsystem_vendor = PCI_HOST_VENDOR,
		.subsystem = PCI_HOST_DEVICE,
		.class_code = PCI_HOST_CLASS,
	};

	return pci_host_start_up(container_of(d, struct pci_host, dev), &ids, true, e);
}

void pci_host_reset(struct device *d)
{
	struct pci_host *h = container_of(d, struct pci_host, dev);

	h->config_address = 0;
	h->reset_control = 0;
	pci_hotplug_reset(h);
	pci_dev_reset(&h->bridge);
	pci_aer_reset(h);
}

void pci_host_start(struct device *d)
{
	container_of(d, struct pci_host, dev)->live = true;
}

void pci_host_fini(struct device *d)
{
	struct pci_host *h = container_of(d, struct pci_host, dev);

	pci_aer_free(h);
	pci_dev_fini(&h->bridge);
	if (d->board->pci == h)
		d->board->pci = NULL;
	bus_del(d->board->pio, &h->hotplug);
	bus_del(d->board->mmio, &h->ecam);
	bus_del(d->board->pio, &h->ports);
}

const struct device_class pci_host_class = {
	.type = "pci-host",
	.size = sizeof(struct pci_host),
	.init = pci_host_init,
	.start = pci_host_start,
	.reset = pci_host_reset,
	.fini = pci_host_fini,
};
