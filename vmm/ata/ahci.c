// SPDX-License-Identifier: MIT
/*
 * An AHCI controller with six ports (type "ahci"): Serial ATA AHCI 1.3.1, as the function 8086:2922
 * of the ICH9 is (Intel ICH9 data sheet 316972, chapter 15), of which it has the identity, MAP and
 * PCS. No port multipliers, no enclosure management, no command completion coalescing; no legacy
 * mode. It interrupts by its pin or by one message. Under machine.lock.
 */
#include "vmm/ata/ahci.h"

#include <linux/pci_regs.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/devices.h"

#define AHCI_INTEL 0x8086
#define AHCI_DEVICE_ID 0x2922
#define AHCI_CLASS 0x010601 /* Serial ATA, AHCI 1.0 */
#define AHCI_REVISION 2
#define AHCI_BAR 5
#define AHCI_BAR_SIZE 2048

#define AHCI_MAP 0x90 /* ICH9: address map, of which SMS says AHCI */
#define AHCI_MAP_AHCI 0x40
#define AHCI_PCS_REG 0x92 /* ICH9: ports that are enabled; kept, and means nothing */
#define AHCI_PCS_PORTS 0x3f

/* Section 3.1: generic host control */
enum ahci_host_register {
	AHCI_CAP = 0x00,
	AHCI_GHC = 0x04,
	AHCI_IS = 0x08,
	AHCI_PI = 0x0c,
	AHCI_VS = 0x10,
};

#define AHCI_CAP_PSC BIT(13)	  /* the link may be partial, */
#define AHCI_CAP_SSC BIT(14)	  /* or slumber, */
#define AHCI_CAP_SALP BIT(26)	  /* also without being told each time */
#define AHCI_CAP_PMD BIT(15)	  /* several blocks of PIO */
#define AHCI_CAP_SAM BIT(18)	  /* no legacy mode: so GHC.AE is always 1 */
#define AHCI_CAP_SPEED (2u << 20) /* 3 Gb/s */
#define AHCI_CAP_SCLO BIT(24)	  /* PxCMD.CLO */
#define AHCI_CAP_NCQ BIT(30)	  /* queued commands */
#define AHCI_CAP_64 BIT(31)	  /* addresses of 64 bits */
#define AHCI_CAP_SLOTS ((AHCI_SLOTS - 1u) << 8)
#define AHCI_CAP_BITS                                                                  \
	(AHCI_CAP_64 | AHCI_CAP_NCQ | AHCI_CAP_SCLO | AHCI_CAP_SPEED | AHCI_CAP_SAM |  \
	 AHCI_CAP_PMD | AHCI_CAP_PSC | AHCI_CAP_SSC | AHCI_CAP_SALP | AHCI_CAP_SLOTS | \
	 (AHCI_PORTS - 1u))

#define AHCI_GHC_HR BIT(0)
#define AHCI_GHC_IE BIT(1)
#define AHCI_GHC_AE BIT(31)
#define AHCI_VERSION 0x00010301

struct ahci_cfg {
	char address[16];
	struct field_list disks; /* of struct ata_drive_cfg */
};

static struct ahci *ahci_of(struct device *d)
{
	return container_of(d, struct ahci, dev);
}

/* --- interrupts: sections 10.7.2 ---------------------------------------------------------------------- */

/* Again: what is left is told once more, for a message is no level. */
static void ahci_tell(struct ahci *a, bool again)
{
	uint32_t before = a->is;
	uint64_t one = 1;

	for (unsigned int i = 0; i < AHCI_PORTS; i++)
		if (ahci_port_read(&a->ports[i], AHCI_PIS) & a->ports[i].ie)
			a->is |= BIT(i);
	pci_intx_set(&a->pci, a->is && a->ghc & AHCI_GHC_IE);
	if (!(a->ghc & AHCI_GHC_IE) || !(again ? a->is : a->is & ~before))
		return;
	/* a full counter interrupts too */
	if (msi_count(&a->pci) && write(msi_eventfd(&a->pci, 0), &one, sizeof(one)) < 0)
		return;
}

void ahci_sync_irq(struct ahci *a)
{
	ahci_tell(a, false);
}

/* --- registers: section 3.1 ----------------------------------------------------------------------------- */

/* Section 10.4.3: as long as it takes */
static bool ahci_in_reset(const struct ahci *a)
{
	uint32_t dropped = 0;

	for (unsigned int i = 0; i < AHCI_PORTS; i++)
		dropped |= a->ports[i].dropped;
	return a->ghc & AHCI_GHC_HR && dropped;
}

static uint32_t ahci_host_read(struct ahci *a, unsigned int reg)
{
	switch (reg) {
	case AHCI_CAP:
		return AHCI_CAP_BITS;
	case AHCI_GHC:
		if (!ahci_in_reset(a))
			a->ghc &= ~AHCI_GHC_HR;
		return a->ghc;
	case AHCI_IS:
		return a->is;
	case AHCI_PI:
		return BIT(AHCI_PORTS) - 1;
	case AHCI_VS:
		return AHCI_VERSION;
	default:
		return 0;
	}
}

static void ahci_reset_ports(struct ahci *a, bool all)
{
	a->ghc = AHCI_GHC_AE;
	a->is = 0;
	for (unsigned int i = 0; i < AHCI_PORTS; i++)
		ahci_port_reset(&a->ports[i], all);
	pci_intx_set(&a->pci, false);
}

static void ahci_host_write(struct ahci *a, unsigned int reg, uint32_t val)
{
	if (reg == AHCI_GHC && val & AHCI_GHC_HR) {
		ahci_reset_ports(a, false);
		a->ghc |= AHCI_GHC_HR;
	} else if (reg == AHCI_GHC) {
		a->ghc = (a->ghc & ~AHCI_GHC_IE) | (val & AHCI_GHC_IE);
		ahci_tell(a, true);
	} else if (reg == AHCI_IS) {
		a->is &= ~val;
		ahci_tell(a, true);
	}
}

/* The port whose register it is; AHCI_PORTS: it is none's */
static unsigned int ahci_port_of(uint64_t off)
{
	if (off < AHCI_PORT_BASE)
		return AHCI_PORTS;
	return (unsigned int)MIN((off - AHCI_PORT_BASE) / AHCI_PORT_SIZE, AHCI_PORTS);
}

static uint64_t ahci_read(void *dev, uint64_t off, unsigned int size)
{
	unsigned int port = ahci_port_of(off);
	struct ahci *a = dev;

	(void)size;
	if (off < AHCI_PORT_BASE)
		return ahci_host_read(a, (unsigned int)off);
	return port < AHCI_PORTS ? ahci_port_read(&a->ports[port], off % AHCI_PORT_SIZE) : 0;
}

static void ahci_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	unsigned int port = ahci_port_of(off);
	struct ahci *a = dev;

	(void)size;
	if (off < AHCI_PORT_BASE)
		ahci_host_write(a, (unsigned int)off, (uint32_t)val);
	else if (port < AHCI_PORTS)
		ahci_port_write(&a->ports[port], off % AHCI_PORT_SIZE, (uint32_t)val);
}

static const struct region_ops ahci_ops = {
	.read = ahci_read,
	.write = ahci_write,
	.min_size = 4,
	.max_size = 4,
};

/* --- the function --------------------------------------------------------------------------------------- */

static void ahci_master(struct pci_dev *p, bool on)
{
	struct ahci *a = container_of(p, struct ahci, pci);
	uint32_t running = 0;

	for (unsigned int i = 0; i < AHCI_PORTS; i++) {
		running |= a->ports[i].running;
		ahci_go(&a->ports[i]);
	}
	if (!on && running) {
		ata_set_stop(&a->set); /* what is under way ends */
		ata_set_start(&a->set);
	}
}

static const struct pci_dev_ops ahci_pci_ops = { .master = ahci_master };

static int ahci_init_function(struct ahci *a, const char *address, struct err *e)
{
	static const struct pci_ids ids = { .vendor = AHCI_INTEL,
					    .device = AHCI_DEVICE_ID,
					    .subsystem_vendor = AHCI_INTEL,
					    .subsystem = AHCI_DEVICE_ID,
					    .class_code = AHCI_CLASS,
					    .revision = AHCI_REVISION };
	struct pci_dev *p = &a->pci;
	unsigned int cap;
	int ret;

	pci_dev_init(p, a->dev.id, &ids, &ahci_pci_ops);
	cap = pci_add_cap(p, PCI_CAP_ID_MSI, msi_cap_size(true, false));
	ret = msi_init_at(p, a->dev.board, cap, 1, true, false, e);
	if (ret < 0)
		return ret;
	pci_add_intx(p, 1);
	pci_add_bar(p, AHCI_BAR, AHCI_BAR_SIZE, false, &ahci_ops, a);
	p->cfg[AHCI_MAP] = AHCI_MAP_AHCI;
	p->wmask[AHCI_PCS_REG] = AHCI_PCS_PORTS;
	return pci_plug(a->dev.board->pci, p, address, e);
}

/* --- life ----------------------------------------------------------------------------------------------- */

static int ahci_init(struct device *d, struct err *e)
{
	struct ahci *a = ahci_of(d);
	const struct ahci_cfg *cfg = d->cfg;
	int ret;

	a->set.sata = true;
	ret = ata_set_init(&a->set, d, &cfg->disks, AHCI_PORTS, e);
	for (unsigned int i = 0; i < AHCI_PORTS && ret >= 0; i++) {
		a->ports[i].ahci = a;
		a->ports[i].number = i;
		ret = ahci_port_plug(&a->ports[i], ata_drive_at(&a->set, i), e);
	}
	return ret < 0 ? ret : ahci_init_function(a, cfg->address, e);
}

static void ahci_start(struct device *d)
{
	ata_set_start(&ahci_of(d)->set);
}

static void ahci_stop(struct device *d)
{
	ata_set_stop(&ahci_of(d)->set);
}

static void ahci_reset(struct device *d)
{
	struct ahci *a = ahci_of(d);

	ata_set_reset(&a->set);
	ahci_reset_ports(a, true);
	pci_dev_reset(&a->pci);
}

static bool ahci_drive(struct device *d, unsigned int index, struct device_drive *ret)
{
	return ata_set_drive(&ahci_of(d)->set, index, ret);
}

static int ahci_set_medium(struct device *d, unsigned int index, struct device_medium *medium,
			   struct err *e)
{
	return ata_set_medium(&ahci_of(d)->set, index, medium, e);
}

/* --- drives that come and go: section 7.3.1, a change of the link ------------------------------------------ */

static const char *ahci_unit(const struct device *d, unsigned int index)
{
	return ata_set_unit(&container_of(d, const struct ahci, dev)->set, index);
}

static int ahci_unit_new(struct device *d, struct json_object *json, struct fdset *fds,
			 struct device_unit **ret_unit, struct err *e)
{
	return ata_unit_new(&ahci_of(d)->set, json, fds, ret_unit, e);
}

static int ahci_unit_add(struct device *d, struct device_unit *take_unit, struct err *e)
{
	struct ahci *a = ahci_of(d);
	int unit = ata_unit_add(&a->set, take_unit, e), ret;

	if (unit < 0)
		return unit;
	ret = ahci_port_plug(&a->ports[unit], ata_drive_at(&a->set, (unsigned int)unit), e);
	if (ret < 0)
		ata_unit_remove(&a->set, (unsigned int)unit);
	else
		ahci_port_link(&a->ports[unit]);
	return ret;
}

static int ahci_unit_remove(struct device *d, const char *id, struct err *e)
{
	struct ahci *a = ahci_of(d);
	int unit = ata_unit_find(&a->set, id, e);

	if (unit < 0)
		return unit;
	ahci_port_plug(&a->ports[unit], NULL, NULL);
	ahci_port_link(&a->ports[unit]);
	ata_unit_remove(&a->set, (unsigned int)unit);
	return 0;
}

static int ahci_unit_set(struct device *d, const char *id, struct json_object *change,
			 struct json_object **ret_settings, struct err *e)
{
	return ata_unit_set(&ahci_of(d)->set, id, change, ret_settings, e);
}

static void ahci_fini(struct device *d)
{
	struct ahci *a = ahci_of(d);

	pci_dev_fini(&a->pci);
	ata_set_fini(&a->set);
	for (unsigned int i = 0; i < AHCI_PORTS; i++) {
		free(a->ports[i].slots);
		free(a->ports[i].answer);
	}
}

static const struct field ahci_fields[] = {
	FIELD_STR("address", struct ahci_cfg, address),
	FIELD_LIST("disks", struct ahci_cfg, disks, struct ata_drive_cfg, ata_drive_fields,
		   AHCI_PORTS),
	FIELD_END,
};

const struct device_class ahci_class = {
	.type = "ahci",
	.size = sizeof(struct ahci),
	.cfg_size = sizeof(struct ahci_cfg),
	.cfg_fields = ahci_fields,
	.init = ahci_init,
	.start = ahci_start,
	.stop = ahci_stop,
	.reset = ahci_reset,
	.drive = ahci_drive,
	.set_medium = ahci_set_medium,
	.unit = ahci_unit,
	.unit_new = ahci_unit_new,
	.unit_add = ahci_unit_add,
	.unit_remove = ahci_unit_remove,
	.unit_set = ahci_unit_set,
	.fini = ahci_fini,
};
