// SPDX-License-Identifier: MIT
/*
 * What an AHCI port is told by its drive: FISes of Serial ATA 2.6, section 10.3, at their places of
 * the memory that PxFB names (AHCI 1.3.1, section 4.2.1), and what they make of PxTFD and PxIS.
 * Under machine.lock.
 */
#include "vmm/ata/ahci.h"

/* Offsets of section 4.2.1 */
#define AHCI_AT_DMA 0x00
#define AHCI_AT_PIO 0x20
#define AHCI_AT_REGISTER 0x40
#define AHCI_AT_BITS 0x58

#define AHCI_FIS_REGISTER 0x34
#define AHCI_FIS_DMA 0x41
#define AHCI_FIS_PIO 0x5f
#define AHCI_FIS_BITS 0xa1
#define AHCI_FIS_I BIT(6)
#define AHCI_FIS_IN BIT(5) /* D: to the host */

/* Set Device Bits: all of Status but BSY and DRQ */
#define AHCI_BITS_STATUS 0x77

static void ahci_fis_put32(uint8_t *p, uint32_t v)
{
	for (unsigned int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static void ahci_fis_post(struct ahci_port *p, unsigned int at, const uint8_t *fis, size_t len)
{
	if (!(p->cmd & AHCI_FRE) || !pci_is_master(&p->ahci->pci))
		return;
	if (gmem_write(p->ahci->dev.board->gmem, p->fb + at, fis, len) < 0)
		ahci_port_halt(p, AHCI_HBFS);
}

/* What Register and PIO Setup have alike */
static void ahci_fis_regs(uint8_t fis[static AHCI_FIS_MAX], const struct ata_regs *r)
{
	fis[2] = r->status;
	fis[3] = r->error;
	fis[7] = r->device;
	for (unsigned int i = 0; i < 3; i++) {
		fis[4 + i] = (uint8_t)(r->lba >> (8 * i));
		fis[8 + i] = (uint8_t)(r->lba >> (24 + 8 * i));
	}
	fis[12] = (uint8_t)r->count;
	fis[13] = (uint8_t)(r->count >> 8);
}

static void ahci_fis_tfd(struct ahci_port *p, const struct ata_regs *r)
{
	p->tfd = (uint32_t)r->error << 8 | r->status;
}

void ahci_fis_register(struct ahci_port *p, const struct ata_regs *r, bool irq)
{
	uint8_t fis[AHCI_FIS_MAX] = { AHCI_FIS_REGISTER, irq ? AHCI_FIS_I : 0 };

	ahci_fis_regs(fis, r);
	ahci_fis_tfd(p, r);
	ahci_fis_post(p, AHCI_AT_REGISTER, fis, 20);
	if (irq)
		p->is |= AHCI_DHRS;
}

void ahci_fis_pio(struct ahci_port *p, const struct ata_regs *r, bool in, uint32_t bytes, bool irq)
{
	uint8_t fis[AHCI_FIS_MAX] = { AHCI_FIS_PIO };

	fis[1] = (uint8_t)((irq ? AHCI_FIS_I : 0) | (in ? AHCI_FIS_IN : 0));
	ahci_fis_regs(fis, r);
	fis[2] = ATA_DRDY | ATA_DSC | ATA_DRQ; /* before, and … */
	fis[15] = r->status;		       /* … behind the data */
	fis[16] = (uint8_t)bytes;
	fis[17] = (uint8_t)(bytes >> 8);
	ahci_fis_tfd(p, r);
	ahci_fis_post(p, AHCI_AT_PIO, fis, 20);
	if (irq)
		p->is |= AHCI_PSS;
}

void ahci_fis_dma(struct ahci_port *p, uint8_t tag, bool in, uint32_t offset, uint32_t bytes)
{
	uint8_t fis[AHCI_FIS_MAX] = { AHCI_FIS_DMA, in ? AHCI_FIS_IN : 0 };

	fis[4] = tag;
	ahci_fis_put32(fis + 16, offset);
	ahci_fis_put32(fis + 20, bytes);
	ahci_fis_post(p, AHCI_AT_DMA, fis, 28);
}

void ahci_fis_bits(struct ahci_port *p, const struct ata_regs *r, uint8_t tag)
{
	uint8_t fis[8] = { AHCI_FIS_BITS, AHCI_FIS_I, r->status & AHCI_BITS_STATUS, r->error };
	bool failed = r->status & ATA_ERR;

	ahci_fis_put32(fis + 4, failed ? 0 : BIT(tag));
	p->tfd = (uint32_t)r->error << 8 | (p->tfd & (ATA_BSY | ATA_DRQ)) | fis[2];
	ahci_fis_post(p, AHCI_AT_BITS, fis, sizeof(fis));
	p->is |= AHCI_SDBS;
	if (!failed)
		p->sact &= ~BIT(tag);
}

void ahci_fis_late(struct ahci_port *p)
{
	if (!p->fis_due || !(p->cmd & AHCI_FRE))
		return;
	p->fis_due = false;
	ahci_fis_register(p, &p->regs, false);
}
