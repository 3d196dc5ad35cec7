// SPDX-License-Identifier: MIT
/*
 * The chipset of a PC of 1996, as firmware and old systems know it (type "i440fx"): the host bridge of
 *
 *	00:00.0	82441FX (8086:1237)	Intel 440FX PCIset data sheet (290549)
 *	00:01.0	82371SB (8086:7000)	the PCI-to-ISA bridge PIIX3; Intel 82371FB/82371SB data sheet (290550)
 *	00:01.3	82371AB (8086:7113)	power management of the PIIX4; Intel 82371AB data sheet (290562)
 *
 * (00:01.1 is a device of its own, ata/ide.c) and no ECAM: firmware gives BARs addresses all over the hole. The PIC, the
 * PIT and the ELCR ports of the PIIX3 are the kernel's.
 *
 * Left out, and seen by a guest as follows. PAM keeps what is written, and 0xC0000 to 0xFFFFF is RAM whatever it says:
 * firmware is copied there at power-on, and shadowing it copies it once more. There is no SMRAM and no SMI: APMC_EN is set,
 * by which firmware knows that nothing is left to be done about it. The ports of the power management are the acpi-pm
 * device's, at MAP_PM1_EVT: PMBA has that, and nobody can move it. A20 is always open; port 92h remembers what is written,
 * and its reset is one of the machine. Under machine.lock.
 */
#include <linux/pci_regs.h>

#include "vmm/devices.h"
#include "vmm/pci/host.h"

#define I440FX_INTEL 0x8086
/* by which SeaBIOS and OVMF know that the machine is a virtual one with fw_cfg */
#define I440FX_SUBSYSTEM_VENDOR 0x1af4
#define I440FX_SUBSYSTEM 0x1100

/* 82441FX, registers PAM[6:0] (a nibble for each segment, RE and WE) and SMRAM */
#define I440FX_PAM 0x59
#define I440FX_PAM_SIZE 7
#define I440FX_PAM_BITS 0x33
#define I440FX_SMRAM 0x72
#define I440FX_SMRAM_FIXED 0x02 /* C_BASE_SEG alone */

/* 82371SB, configuration registers of function 0: IORT, XBCS, PIRQRC[A:D], TOM */
#define PIIX3_IORT 0x4c
#define PIIX3_XBCS 0x4e
#define PIIX3_PIRQ 0x60 /* a byte each; bit 7 set: not routed */
#define PIIX3_PIRQS 4
#define PIIX3_PIRQ_OFF BIT(7)
#define PIIX3_PIRQ_BITS 0x8f
#define PIIX3_TOM 0x69
/* IRQ 0, 1, 2, 8 and 13 cannot be routed to */
#define PIIX3_PIRQ_IRQS 0xdef8u

/* 82371SB, register P92 (port 92h): FAST_INIT and FAST_A20 */
#define PIIX3_P92_INIT BIT(0)
#define PIIX3_P92_A20 BIT(1)
#define PIIX3_P92_FIXED 0x24

/* 82371AB, configuration registers of function 3: PMBA, DEVACTB, PMREGMISC */
#define PIIX4_PMBA 0x40
#define PIIX4_PMBA_IO 1
#define PIIX4_DEVACTB 0x58
#define PIIX4_DEVACTB_APMC_EN BIT(25)
#define PIIX4_PMREGMISC 0x80
#define PIIX4_PMREGMISC_IOSE BIT(0)

struct i440fx {
	struct pci_host host; /* first */
	struct pci_dev isa, pm;
	struct region port92;
	uint8_t a20;
	uint16_t irqs; /* of the PIC that the PIRQs pull now, a bit each */
};

/* --- PIRQ: registers PIRQRC[A:D] ---------------------------------------------------------------------------- */

/* The pins of slots wrap around the four PIRQs as they do around the lines: slot 1, INTA# is PIRQA#. */
static bool i440fx_pirq_pulled(const struct i440fx *c, unsigned int pirq)
{
	for (unsigned int line = 0; line < MAP_GSI_PCI_N; line++)
		if (c->host.pullers[line] && (line + PIIX3_PIRQS - 1) % PIIX3_PIRQS == pirq)
			return true;
	return false;
}

static void i440fx_route(struct i440fx *c)
{
	const struct board *b = c->host.dev.board;
	uint16_t now = 0, changed;

	for (unsigned int i = 0; i < PIIX3_PIRQS; i++) {
		uint8_t route = c->isa.cfg[PIIX3_PIRQ + i];

		if (!(route & PIIX3_PIRQ_OFF) && i440fx_pirq_pulled(c, i))
			now |= (uint16_t)(BIT(route & 0xf) & PIIX3_PIRQ_IRQS);
	}
	changed = now ^ c->irqs;
	c->irqs = now;
	for (unsigned int irq = 0; irq < 16; irq++)
		if (changed & BIT(irq))
			b->ops->irq_set(b->arg, irq, now & BIT(irq));
}

static void i440fx_line_changed(struct pci_host *h, unsigned int line)
{
	(void)line;
	i440fx_route(container_of(h, struct i440fx, host));
}

static void i440fx_isa_written(struct pci_dev *p, unsigned int off, unsigned int size)
{
	if (off < PIIX3_PIRQ + PIIX3_PIRQS && off + size > PIIX3_PIRQ)
		i440fx_route(container_of(p, struct i440fx, isa));
}

static const struct pci_dev_ops i440fx_isa_ops = { .cfg_written = i440fx_isa_written };

/* --- port 92h --------------------------------------------------------------------------------------- */

static uint64_t i440fx_port92_read(void *dev, uint64_t off, unsigned int size)
{
	const struct i440fx *c = dev;

	(void)off;
	(void)size;
	return PIIX3_P92_FIXED | c->a20;
}

static void i440fx_port92_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct i440fx *c = dev;
	const struct board *b = c->host.dev.board;

	(void)off;
	(void)size;
	c->a20 = val & PIIX3_P92_A20;
	if (val & PIIX3_P92_INIT)
		b->ops->event(b->arg, BOARD_RESET, 0, "port 92h");
}

static const struct region_ops i440fx_port92_ops = {
	.read = i440fx_port92_read,
	.write = i440fx_port92_write,
	.min_size = 1,
	.max_size = 1,
};

/* --- the functions ---------------------------------------------------------------------------------- */

static struct pci_ids i440fx_ids(uint16_t device, uint32_t class_code, uint8_t revision)
{
	return (struct pci_ids){
		.vendor = I440FX_INTEL,
		.device = device,
		.subsystem_vendor = I440FX_SUBSYSTEM_VENDOR,
		.subsystem = I440FX_SUBSYSTEM,
		.class_code = class_code,
		.revision = revision,
	};
}

static int i440fx_init_bridge(struct i440fx *c, struct err *e)
{
	const struct pci_ids ids = i440fx_ids(0x1237, 0x060000, 2);
	int ret = pci_host_start_up(&c->host, &ids, false, e);

	if (ret < 0)
		return ret;
	for (unsigned int i = 0; i < I440FX_PAM_SIZE; i++)
		c->host.bridge.wmask[I440FX_PAM + i] = i ? I440FX_PAM_BITS : I440FX_PAM_BITS & 0xf0;
	c->host.bridge.cfg[I440FX_SMRAM] = I440FX_SMRAM_FIXED;
	c->host.line_changed = i440fx_line_changed;
	return 0;
}

static int i440fx_init_isa(struct i440fx *c, struct err *e)
{
	const struct pci_ids ids = i440fx_ids(0x7000, 0x060100, 0);

	pci_dev_init(&c->isa, "PIIX3 ISA bridge", &ids, &i440fx_isa_ops);
	c->isa.cfg[PIIX3_IORT] = 0x4d;
	c->isa.cfg[PIIX3_XBCS] = 0x03;
	c->isa.cfg[PIIX3_TOM] = 0x02;
	for (unsigned int i = 0; i < PIIX3_PIRQS; i++)
		c->isa.wmask[PIIX3_PIRQ + i] = PIIX3_PIRQ_BITS;
	return pci_plug(&c->host, &c->isa, "00:01.0", e);
}

static int i440fx_init_pm(struct i440fx *c, struct err *e)
{
	const struct pci_ids ids = i440fx_ids(0x7113, 0x068000, 3);

	pci_dev_init(&c->pm, "PIIX4 power management", &ids, NULL);
	pci_add_intx(&c->pm, 1);
	pci_set32(&c->pm, PIIX4_PMBA, MAP_PM1_EVT | PIIX4_PMBA_IO);
	pci_set32(&c->pm, PIIX4_DEVACTB, PIIX4_DEVACTB_APMC_EN);
	c->pm.cfg[PIIX4_PMREGMISC] = PIIX4_PMREGMISC_IOSE;
	return pci_plug(&c->host, &c->pm, "00:01.3", e);
}

static int i440fx_init(struct device *d, struct err *e)
{
	struct i440fx *c = container_of(d, struct i440fx, host.dev);
	int ret = i440fx_init_bridge(c, e);

	c->port92 = (struct region){
		.name = d->id, .base = MAP_PORT92, .size = 1, .ops = &i440fx_port92_ops, .dev = c
	};
	if (ret >= 0)
		ret = i440fx_init_isa(c, e);
	if (ret >= 0)
		ret = i440fx_init_pm(c, e);
	return ret < 0 ? ret : bus_add(d->board->pio, &c->port92, e);
}

static void i440fx_reset(struct device *d)
{
	struct i440fx *c = container_of(d, struct i440fx, host.dev);

	pci_host_reset(d);
	pci_dev_reset(&c->isa);
	pci_dev_reset(&c->pm);
	for (unsigned int i = 0; i < PIIX3_PIRQS; i++)
		c->isa.cfg[PIIX3_PIRQ + i] = PIIX3_PIRQ_OFF;
	c->pm.cfg[PCI_INTERRUPT_LINE] = MAP_GSI_SCI; /* wired */
	c->a20 = 0;
	i440fx_route(c);
}

static void i440fx_fini(struct device *d)
{
	struct i440fx *c = container_of(d, struct i440fx, host.dev);

	bus_del(d->board->pio, &c->port92);
	pci_dev_fini(&c->pm);
	pci_dev_fini(&c->isa);
	pci_host_fini(d);
}

const struct device_class i440fx_class = {
	.type = "i440fx",
	.size = sizeof(struct i440fx),
	.init = i440fx_init,
	.start = pci_host_start,
	.reset = i440fx_reset,
	.fini = i440fx_fini,
};
