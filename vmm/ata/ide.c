// SPDX-License-Identifier: MIT
/*
 * The IDE function of the PIIX3 (type "ide"): 00:01.1, 8086:7010, of the 82371SB (Intel data
 * sheet 290550), beside the ISA bridge of chipset i440fx. Two channels at their old ports, with
 * IRQ 14 and 15, two drives each. Timings (IDETIM, SIDETIM) are kept and mean nothing but for
 * IDE, which decodes a channel's ports at all. At power-on it does, as firmware leaves it. Under
 * machine.lock.
 */
#include "vmm/ata/ide.h"

#include <linux/pci_regs.h>
#include <stdlib.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmm/devices.h"
#include "vmm/pci/host.h"

#define IDE_ADDRESS "00:01.1"
#define IDE_BRIDGE (1u << 3) /* 00:01.0 */
#define IDE_BRIDGE_DEVICE 0x7000
#define IDE_INTEL 0x8086
#define IDE_DEVICE_ID 0x7010
#define IDE_CLASS 0x010180 /* compatibility ports, bus master */
#define IDE_BM_BAR 4

#define IDE_IDETIM 0x40 /* 16 bits a channel */
#define IDE_IDETIM_IDE BIT(15)
#define IDE_IDETIM_BITS 0xf3ff
#define IDE_SIDETIM 0x44

static const struct {
	uint16_t command, control;
	uint8_t irq;
} ide_ports[IDE_CHANNELS] = { { 0x1f0, 0x3f6, 14 }, { 0x170, 0x376, 15 } };

struct ide_cfg {
	struct field_list disks; /* of struct ata_drive_cfg */
};

/* --- configuration space ---------------------------------------------------------------------- */

static bool ide_decoded(const struct ide *ide, unsigned int channel)
{
	return pci_get16(&ide->pci, PCI_COMMAND) & PCI_COMMAND_IO &&
	       pci_get16(&ide->pci, IDE_IDETIM + 2 * channel) & IDE_IDETIM_IDE;
}

/* Ports that something else is at are its own: the guest put a BAR there. */
static void ide_sync_ports(struct ide *ide)
{
	struct bus *pio = ide->dev.board->pio;

	for (unsigned int i = 0; i < IDE_CHANNELS; i++) {
		struct ide_channel *ch = &ide->channels[i];

		bus_del(pio, &ch->command);
		bus_del(pio, &ch->control);
		if (!ide_decoded(ide, i))
			continue;
		bus_add(pio, &ch->command, NULL);
		bus_add(pio, &ch->control, NULL);
	}
}

static void ide_cfg_written(struct pci_dev *p, unsigned int off, unsigned int size)
{
	if (off < PCI_COMMAND + 2 ||
	    (off < IDE_IDETIM + 2 * IDE_CHANNELS && off + size > IDE_IDETIM))
		ide_sync_ports(container_of(p, struct ide, pci));
}

static void ide_master(struct pci_dev *p, bool on)
{
	struct ide *ide = container_of(p, struct ide, pci);

	for (unsigned int i = 0; i < IDE_CHANNELS && on; i++)
		ide_dma_go(&ide->channels[i]);
	if (!on && (ide->channels[0].running || ide->channels[1].running)) {
		ata_set_stop(&ide->set); /* what is under way ends */
		ata_set_start(&ide->set);
	}
}

static const struct pci_dev_ops ide_pci_ops = { .cfg_written = ide_cfg_written,
						.master = ide_master };

/* --- life ------------------------------------------------------------------------------------- */

static int ide_init_function(struct ide *ide, struct err *e)
{
	struct pci_host *host = ide->dev.board->pci;
	const struct pci_dev *bridge = host ? host->functions[IDE_BRIDGE] : NULL;
	struct pci_ids ids = { .vendor = IDE_INTEL,
			       .device = IDE_DEVICE_ID,
			       .class_code = IDE_CLASS };

	if (!bridge || pci_get16(bridge, PCI_DEVICE_ID) != IDE_BRIDGE_DEVICE) {
		err_set(e, ERR_INVALID, "it is a part of chipset i440fx, which is not there");
		return err_hint(e, "profile legacy-pc has that chipset");
	}
	ids.subsystem_vendor = pci_get16(bridge, PCI_SUBSYSTEM_VENDOR_ID);
	ids.subsystem = pci_get16(bridge, PCI_SUBSYSTEM_ID);
	pci_dev_init(&ide->pci, ide->dev.id, &ids, &ide_pci_ops);
	ide->pci.bars[IDE_BM_BAR].io = true;
	pci_add_bar(&ide->pci, IDE_BM_BAR, IDE_CHANNELS * IDE_BM_SIZE, false, &ide_bm_ops, ide);
	for (unsigned int i = 0; i < IDE_CHANNELS; i++) {
		ide->pci.wmask[IDE_IDETIM + 2 * i] = IDE_IDETIM_BITS & 0xff;
		ide->pci.wmask[IDE_IDETIM + 2 * i + 1] = IDE_IDETIM_BITS >> 8;
	}
	ide->pci.wmask[IDE_SIDETIM] = 0xff;
	return pci_plug(host, &ide->pci, IDE_ADDRESS, e);
}

static int ide_init_channel(struct ide *ide, unsigned int i, struct err *e)
{
	struct ide_channel *ch = &ide->channels[i];

	ch->ide = ide;
	ch->number = i;
	ch->line = (struct irq_line){ .board = ide->dev.board, .gsi = ide_ports[i].irq };
	ch->command = (struct region){ .name = ide->dev.id,
				       .base = ide_ports[i].command,
				       .size = 8,
				       .ops = &ide_command_ops,
				       .dev = ch };
	ch->control = (struct region){ .name = ide->dev.id,
				       .base = ide_ports[i].control,
				       .size = 1,
				       .ops = &ide_control_ops,
				       .dev = ch };
	for (unsigned int d = 0; d < 2; d++)
		ch->drives[d].ata = ata_drive_at(&ide->set, 2 * i + d);
	ch->buffer = calloc(1, ATA_ANSWER_MAX);
	return ch->buffer ? 0 : err_set(e, ENOMEM, "no memory for a channel");
}

static int ide_init(struct device *d, struct err *e)
{
	struct ide *ide = container_of(d, struct ide, dev);
	const struct ide_cfg *cfg = d->cfg;
	int ret = ata_set_init(&ide->set, d, &cfg->disks, 2 * IDE_CHANNELS, e);

	for (unsigned int i = 0; i < IDE_CHANNELS && ret >= 0; i++)
		ret = ide_init_channel(ide, i, e);
	return ret < 0 ? ret : ide_init_function(ide, e);
}

static void ide_start(struct device *d)
{
	ata_set_start(&container_of(d, struct ide, dev)->set);
}

static void ide_stop(struct device *d)
{
	ata_set_stop(&container_of(d, struct ide, dev)->set);
}

static void ide_reset(struct device *d)
{
	struct ide *ide = container_of(d, struct ide, dev);

	ata_set_reset(&ide->set);
	for (unsigned int i = 0; i < IDE_CHANNELS; i++)
		ide_channel_reset(&ide->channels[i]);
	pci_dev_reset(&ide->pci);
	for (unsigned int i = 0; i < IDE_CHANNELS; i++)
		pci_set16(&ide->pci, IDE_IDETIM + 2 * i, IDE_IDETIM_IDE);
	ide_sync_ports(ide);
}

static bool ide_drive(struct device *d, unsigned int index, struct device_drive *ret)
{
	return ata_set_drive(&container_of(d, struct ide, dev)->set, index, ret);
}

static int ide_set_medium(struct device *d, unsigned int index, struct device_medium *medium,
			  struct err *e)
{
	return ata_set_medium(&container_of(d, struct ide, dev)->set, index, medium, e);
}

static void ide_fini(struct device *d)
{
	struct ide *ide = container_of(d, struct ide, dev);

	for (unsigned int i = 0; i < IDE_CHANNELS; i++) {
		bus_del(d->board->pio, &ide->channels[i].command);
		bus_del(d->board->pio, &ide->channels[i].control);
		free(ide->channels[i].buffer);
	}
	pci_dev_fini(&ide->pci);
	ata_set_fini(&ide->set);
}

static const struct field ide_fields[] = {
	FIELD_LIST("disks", struct ide_cfg, disks, struct ata_drive_cfg, ata_drive_fields,
		   2 * IDE_CHANNELS),
	FIELD_END,
};

const struct device_class ide_class = {
	.type = "ide",
	.size = sizeof(struct ide),
	.cfg_size = sizeof(struct ide_cfg),
	.cfg_fields = ide_fields,
	.init = ide_init,
	.start = ide_start,
	.stop = ide_stop,
	.reset = ide_reset,
	.drive = ide_drive,
	.set_medium = ide_set_medium,
	.fini = ide_fini,
};
