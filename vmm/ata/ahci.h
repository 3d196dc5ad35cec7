/* SPDX-License-Identifier: MIT */
/*
 * Inside of the AHCI controller (type "ahci"): ahci.c is the function, its class and the generic
 * host control, ahci_port.c the registers of a port and its link, ahci_command.c what comes by the
 * command list, ahci_fis.c what is told by FISes. AHCI 1.3.1; FISes are Serial ATA 2.6, section
 * 10.3. Nobody else includes it. Under machine.lock.
 */
#ifndef VMM_ATA_AHCI_H
#define VMM_ATA_AHCI_H

#include "vmm/ata/ata.h"
#include "vmm/pci/pci.h"

#define AHCI_PORTS 6
#define AHCI_SLOTS ATA_QUEUE
#define AHCI_PORT_BASE 0x100
#define AHCI_PORT_SIZE 0x80
#define AHCI_FIS_MAX 28

/* Section 3.3: registers of a port */
enum ahci_register {
	AHCI_CLB = 0x00,
	AHCI_CLBU = 0x04,
	AHCI_FB = 0x08,
	AHCI_FBU = 0x0c,
	AHCI_PIS = 0x10,
	AHCI_PIE = 0x14,
	AHCI_CMD = 0x18,
	AHCI_TFD = 0x20,
	AHCI_SIG = 0x24,
	AHCI_SSTS = 0x28,
	AHCI_SCTL = 0x2c,
	AHCI_SERR = 0x30,
	AHCI_SACT = 0x34,
	AHCI_CI = 0x38,
};

/* PxIS and PxIE: section 3.3.5 */
#define AHCI_DHRS BIT(0)
#define AHCI_PSS BIT(1)
#define AHCI_SDBS BIT(3)
#define AHCI_DPS BIT(5)
#define AHCI_PCS BIT(6)
#define AHCI_PRCS BIT(22)
#define AHCI_OFS BIT(24)
#define AHCI_IFS BIT(27)
#define AHCI_HBFS BIT(29)
#define AHCI_TFES BIT(30)

/* PxCMD: section 3.3.7 */
#define AHCI_ST BIT(0)
#define AHCI_CLO BIT(3)
#define AHCI_FRE BIT(4)
#define AHCI_ALPE BIT(26)
#define AHCI_ASP BIT(27)
#define AHCI_ICC_SHIFT 28

/* … its ICC, and PxSSTS.IPM: sections 3.3.7 and 3.3.10 */
enum ahci_power {
	AHCI_ACTIVE = 1,
	AHCI_PARTIAL = 2,
	AHCI_SLUMBER = 6,
};

/* PxSERR: section 3.3.12 */
#define AHCI_DIAG_N BIT(16)
#define AHCI_DIAG_X BIT(26)

struct ahci;
struct ahci_port;

/* A command of the list, from its issue to its end */
struct ahci_slot {
	struct ahci_port *port;
	struct ata_cmd cmd;
	uint64_t header, table; /* guest addresses: of its place in the list, of its table */
	uint16_t entries;	/* of the table's regions */
	struct ata_place place; /* in them */
	uint32_t bytes;		/* moved: PRDBC */
	bool tell;		/* a region of those that are moved is to be told of: DPS */
};

struct ahci_port {
	struct ahci *ahci;
	unsigned int number;
	struct ata_drive *ata;	 /* borrowed; NULL: there is none */
	struct ahci_slot *slots; /* owned: AHCI_SLOTS; NULL as long as there was no drive */
	uint8_t *answer;	 /* owned: of a packet, ATA_ANSWER_MAX */

	uint64_t clb, fb;
	uint32_t is, ie, cmd, tfd, sig, ssts, sctl, serr, sact, ci;

	unsigned int slot; /* issued last: PxCMD.CCS */
	uint32_t running;  /* slots whose command is the drive's, and will end */
	uint32_t waiting;  /* slots that go on as soon as the function may master the bus */
	uint32_t dropped;  /* of those that run: nobody waits for them any more */
	bool queue;	   /* what runs is queued */
	bool used;	   /* a command was issued since the link slept: section 8.3.1.3 */
	bool halted;	   /* by an error, until PxCMD.ST is 0 */
	bool going;
	bool srst;	      /* a software reset has begun */
	bool reset_due;	      /* when nothing runs */
	bool fis_due;	      /* the one that the signature came with, until FISes are taken */
	struct ata_regs regs; /* … its */
};

struct ahci {
	struct device dev; /* first */
	struct pci_dev pci;
	struct ata_set set;
	struct ahci_port ports[AHCI_PORTS];
	uint32_t ghc, is;
};

/* ahci.c: what a port has to tell has changed */
void ahci_sync_irq(struct ahci *a);

/* ahci_port.c */
uint32_t ahci_port_read(const struct ahci_port *p, unsigned int reg);
void ahci_port_write(struct ahci_port *p, unsigned int reg, uint32_t val);
/* By HBA reset, section 10.4.3; all: also what that leaves alone, and what runs is no more. */
void ahci_port_reset(struct ahci_port *p, bool all);
/* There is a drive, or (NULL) there is none any more; e: no memory. */
int ahci_port_plug(struct ahci_port *p, struct ata_drive *ata, struct err *e);
void ahci_port_link(struct ahci_port *p); /* … and the guest is told, by its link */
/* What ran and was dropped may have ended. */
void ahci_port_settle(struct ahci_port *p);
/* An error that ends all until the driver has looked after it; cause: of PxIS */
void ahci_port_halt(struct ahci_port *p, uint32_t cause);
/* Nobody waits for what is under way. */
void ahci_port_drop(struct ahci_port *p);
bool ahci_link_is_up(const struct ahci_port *p); /* … and there is a drive behind it */
/* The link is needed; and the list may have been done, so that it is not, any more. */
void ahci_link_wake(struct ahci_port *p);
void ahci_link_rest(struct ahci_port *p);

/* ahci_command.c: issue what can be, and go on with what may now */
void ahci_go(struct ahci_port *p);

/* ahci_fis.c: each changes PxTFD and PxIS as it says, and goes to memory if the driver lets it */
/* Register, device to host; irq: its I bit */
void ahci_fis_register(struct ahci_port *p, const struct ata_regs *r, bool irq);
/* PIO Setup: of so many bytes; r is as it is when they are moved. */
void ahci_fis_pio(struct ahci_port *p, const struct ata_regs *r, bool in, uint32_t bytes, bool irq);
/* DMA Setup: of a queued command */
void ahci_fis_dma(struct ahci_port *p, uint8_t tag, bool in, uint32_t offset, uint32_t bytes);
/* Set Device Bits: the end of a queued command */
void ahci_fis_bits(struct ahci_port *p, const struct ata_regs *r, uint8_t tag);
/* What was put off until FISes are taken */
void ahci_fis_late(struct ahci_port *p);

#endif
