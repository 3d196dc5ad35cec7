/* SPDX-License-Identifier: MIT */
/*
 * Inside of the IDE function (type "ide"): ide.c is the function and its class, ide_channel.c the
 * registers of a channel, as ATA/ATAPI-7 volume 2 has them, ide_dma.c the bus master. Nobody else
 * includes it. Under machine.lock.
 */
#ifndef VMM_ATA_IDE_H
#define VMM_ATA_IDE_H

#include "vmm/ata/ata.h"
#include "vmm/pci/pci.h"

#define IDE_CHANNELS 2
#define IDE_BM_SIZE 8 /* ports of a channel's bus master */

struct ide;

/* Registers of which the value before the last is kept: volume 2, 48-bit Address feature set */
enum { IDE_FEATURE = 1, IDE_COUNT, IDE_LOW, IDE_MID, IDE_HIGH, IDE_REGS };

struct ide_drive {
	struct ata_drive *ata; /* borrowed; NULL: there is none */
	uint8_t now[IDE_REGS], before[IDE_REGS];
	uint8_t status, error;
	bool irq; /* interrupt pending */
};

enum ide_phase {
	IDE_IDLE,
	IDE_BUSY,   /* without data, or for a block of PIO: it will end */
	IDE_IN,	    /* PIO: the host reads the buffer */
	IDE_OUT,    /* PIO: the host fills it */
	IDE_CDB,    /* the host sends a packet */
	IDE_DMA,    /* when the bus master runs; or it does */
	IDE_ANSWER, /* the same, of what is in the buffer */
};

struct ide_channel {
	struct ide *ide;
	unsigned int number;
	struct irq_line line;
	struct region command, control;
	struct ide_drive drives[2];
	uint8_t device, device_control;
	bool level; /* INTRQ */

	enum ide_phase phase;
	unsigned int active; /* the drive that has the command */
	bool running;	     /* cmd is the drive's, and will end */
	bool reset_due;	     /* then */
	struct ata_cmd cmd;
	uint8_t *buffer;	/* owned: ATA_ANSWER_MAX */
	uint32_t pos, drq, len; /* in it: the next byte, the end of what DRQ is for, the end */
	bool singly;		/* blocks are read one at a time: one has failed */
	struct ata_regs before; /* the move that was begun last */
	uint64_t before_left;

	/* bus master: BMICX, BMISX, BMIDTPX */
	uint8_t bm_command, bm_status;
	uint32_t bm_table;
	struct ata_place prd;
};

struct ide {
	struct device dev; /* first */
	struct pci_dev pci;
	struct ata_set set;
	struct ide_channel channels[IDE_CHANNELS];
};

/* ide_channel.c */
extern const struct region_ops ide_command_ops, ide_control_ops;
void ide_channel_reset(struct ide_channel *ch);
/* The command has ended, or its move has. */
void ide_ended(struct ata_cmd *c);
void ide_finish(struct ide_channel *ch);
void ide_set_irq(struct ide_channel *ch, bool irq);

/* ide_dma.c */
extern const struct region_ops ide_bm_ops;
/* Move what can be: when there is something to be moved, or the bus master starts */
void ide_dma_go(struct ide_channel *ch);
void ide_dma_ended(struct ide_channel *ch); /* a move has */
void ide_bm_irq(struct ide_channel *ch);
void ide_bm_reset(struct ide_channel *ch);

#endif
