// SPDX-License-Identifier: MIT
// A port by which a guest's kernel says that it has panicked, of docs/specs/pvpanic of QEMU: the PCI device 1b36:0011, which
// Linux' pvpanic-pci and Windows' driver know, or port 505h, which ACPI calls QEMU0001 (Linux: pvpanic, or pvpanic-mmio). One
// byte: read, what it understands; written, what has happened. Under machine.lock.
#include "vmm/dev/dev.h"

#include "vmm/pci/pci.h"
#include "vmm/x86/map.h"

#define PVPANIC_VENDOR 0x1b36 /* Red Hat, for QEMU's own */
#define PVPANIC_DEVICE 0x0011
#define PVPANIC_CLASS 0x088000 /* base system peripheral, other */
#define PVPANIC_BAR_SIZE 16

#define PVPANIC_PANICKED BIT(0)
#define PVPANIC_CRASH_LOADED BIT(1) /* … and looks after it itself, as by a crash kernel */

struct pvpanic {
	struct device dev; /* first */
	union {
		struct pci_dev pci;
		struct region port; /* of pvpanic-isa */
	};
};

static uint64_t pvpanic_read(void *dev, uint64_t off, unsigned int size)
{
	(void)dev;
	(void)size;
	return off ? 0 : PVPANIC_PANICKED | PVPANIC_CRASH_LOADED;
}

static void pvpanic_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct pvpanic *p = dev;
	const struct board *b = p->dev.board;

	(void)size;
	if (off)
		return;
	if (val & PVPANIC_PANICKED)
		b->ops->event(b->arg, BOARD_PANIC, 0, "the guest's kernel has panicked");
	else if (val & PVPANIC_CRASH_LOADED)
		b->ops->event(b->arg, BOARD_PANIC_HANDLED, 0, NULL);
}

static const struct region_ops pvpanic_ops = {
	.read = pvpanic_read,
	.write = pvpanic_write,
	.min_size = 1,
	.max_size = 1,
};

static void pvpanic_reset(struct device *d)
{
	pci_dev_reset(&container_of(d, struct pvpanic, dev)->pci);
}

static int pvpanic_init(struct device *d, struct err *e)
{
	static const struct pci_ids ids = {
		.vendor = PVPANIC_VENDOR,
		.device = PVPANIC_DEVICE,
		.class_code = PVPANIC_CLASS,
	};
	struct pvpanic *p = container_of(d, struct pvpanic, dev);
	const struct pvpanic_cfg *cfg = d->cfg;

	pci_dev_init(&p->pci, d->id, &ids, NULL);
	pci_add_bar(&p->pci, 0, PVPANIC_BAR_SIZE, false, &pvpanic_ops, p);
	return pci_plug(d->board->pci, &p->pci, cfg->address, e);
}

static void pvpanic_fini(struct device *d)
{
	pci_dev_fini(&container_of(d, struct pvpanic, dev)->pci);
}

static const struct field pvpanic_fields[] = {
	FIELD_STR("address", struct pvpanic_cfg, address),
	FIELD_END,
};

const struct device_class pvpanic_class = {
	.type = "pvpanic",
	.size = sizeof(struct pvpanic),
	.cfg_size = sizeof(struct pvpanic_cfg),
	.cfg_fields = pvpanic_fields,
	.init = pvpanic_init,
	.reset = pvpanic_reset,
	.fini = pvpanic_fini,
};

/* --- at a port of its own ----------------------------------------------------------------------------- */

static void pvpanic_isa_reset(struct device *d)
{
	(void)d; /* there is no state */
}

static int pvpanic_isa_init(struct device *d, struct err *e)
{
	struct pvpanic *p = container_of(d, struct pvpanic, dev);

	p->port = (struct region){
		.name = d->id, .base = MAP_PVPANIC, .size = 1, .ops = &pvpanic_ops, .dev = p
	};
	return bus_add(d->board->pio, &p->port, e);
}

static void pvpanic_isa_fini(struct device *d)
{
	bus_del(d->board->pio, &container_of(d, struct pvpanic, dev)->port);
}

const struct device_class pvpanic_isa_class = {
	.type = "pvpanic-isa",
	.size = sizeof(struct pvpanic),
	.init = pvpanic_isa_init,
	.reset = pvpanic_isa_reset,
	.fini = pvpanic_isa_fini,
};
