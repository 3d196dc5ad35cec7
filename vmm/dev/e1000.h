/* SPDX-License-Identifier: MIT */
/*
 * Inside of the 82540EM (class "e1000"): e1000.c has its registers and its life, e1000_rom.c EEPROM and PHY, e1000_rx.c and
 * e1000_tx.c its rings. Sections are those of Intel's "PCI/PCI-X Family of Gigabit Ethernet Controllers Software
 * Developer's Manual", 317453. Registers are 32 bits and atomic: the guest's CPUs have them under machine.lock, the
 * worker at any time. What it needs several of (a ring's place) changes while it has nothing.
 */
#ifndef VMM_DEV_E1000_H
#define VMM_DEV_E1000_H

#include "vmm/net/microwire.h"
#include "vmm/net/nic.h"

/* Registers: section 13.4. Those of tables, 13.5; statistics, 13.7 */
enum {
	E1000_CTRL = 0x0000,
	E1000_STATUS = 0x0008,
	E1000_EECD = 0x0010,
	E1000_EERD = 0x0014,
	E1000_CTRL_EXT = 0x0018,
	E1000_MDIC = 0x0020,
	E1000_FCAL = 0x0028, /* to FCT */
	E1000_VET = 0x0038,
	E1000_ICR = 0x00c0,
	E1000_ITR = 0x00c4,
	E1000_ICS = 0x00c8,
	E1000_IMS = 0x00d0,
	E1000_IMC = 0x00d8,
	E1000_RCTL = 0x0100,
	E1000_FCTTV = 0x0170,
	E1000_TXCW = 0x0178,
	E1000_TCTL = 0x0400,
	E1000_TIPG = 0x0410,
	E1000_AIFS = 0x0458,
	E1000_LEDCTL = 0x0e00,
	E1000_PBA = 0x1000,
	E1000_FCRTL = 0x2160,
	E1000_RDBAL = 0x2800,
	E1000_RDBAH = 0x2804,
	E1000_RDLEN = 0x2808,
	E1000_RDH = 0x2810,
	E1000_RDT = 0x2818,
	E1000_RDTR = 0x2820,
	E1000_RXDCTL = 0x2828, /* and RADV */
	E1000_RSRPD = 0x2c00,
	E1000_TDBAL = 0x3800,
	E1000_TDBAH = 0x3804,
	E1000_TDLEN = 0x3808,
	E1000_TDH = 0x3810,
	E1000_TDT = 0x3818,
	E1000_TIDV = 0x3820,
	E1000_TXDCTL = 0x3828, /* to TSPMT */
	E1000_STATS = 0x4000,
	E1000_MPC = 0x4010,
	E1000_ROC = 0x40ac,
	E1000_GPRC = 0x4074,
	E1000_BPRC = 0x4078,
	E1000_MPRC = 0x407c,
	E1000_GPTC = 0x4080,
	E1000_GORC = 0x4088, /* low and high */
	E1000_GOTC = 0x4090,
	E1000_TOR = 0x40c0,
	E1000_TOT = 0x40c8,
	E1000_TPR = 0x40d0,
	E1000_TPT = 0x40d4,
	E1000_MPTC = 0x40f0,
	E1000_BPTC = 0x40f4,
	E1000_TSCTC = 0x40f8,
	E1000_RXCSUM = 0x5000,
	E1000_MTA = 0x5200, /* 128 registers */
	E1000_RA = 0x5400,  /* 16 times low and high */
	E1000_VFTA = 0x5600,
	E1000_WUC = 0x5800,
	E1000_MANC = 0x5820,
	E1000_REGS_END = 0x5a00,
};

#define E1000_CTRL_SLU BIT(6)
#define E1000_CTRL_RST BIT(26)
#define E1000_CTRL_VME BIT(30)
#define E1000_CTRL_PHY_RST BIT(31)

/* Causes: section 13.4.17 */
#define E1000_INT_TXDW BIT(0)
#define E1000_INT_TXQE BIT(1)
#define E1000_INT_LSC BIT(2)
#define E1000_INT_RXDMT0 BIT(4)
#define E1000_INT_RXO BIT(6)
#define E1000_INT_RXT0 BIT(7)
#define E1000_INT_MDAC BIT(9)
#define E1000_INT_ALL 0x1ffffu

/* Section 13.4.22 */
#define E1000_RCTL_EN BIT(1)
#define E1000_RCTL_UPE BIT(3)
#define E1000_RCTL_MPE BIT(4)
#define E1000_RCTL_LPE BIT(5)
#define E1000_RCTL_LOOP (BIT(6) | BIT(7))
#define E1000_RCTL_BAM BIT(15)
#define E1000_RCTL_VFE BIT(18)
#define E1000_RCTL_BSEX BIT(25)
#define E1000_RCTL_SECRC BIT(26)
#define E1000_TCTL_EN BIT(1)
#define E1000_TCTL_PSP BIT(3)

#define E1000_DESC 16 /* bytes */
#define E1000_FCS 4
#define E1000_VLAN 4
#define E1000_WIRE_MAX 1522	/* with a tag and the FCS: section 13.4.22, LPE */
#define E1000_LONG_MAX 16384	/* the same with LPE */
#define E1000_SEND_MAX 0x10000u /* a packet before its segmentation: section 3.5.4 */

/* A ring as its registers were when the worker got it. */
struct e1000_ring {
	uint64_t base;
	uint32_t n; /* descriptors; 0: there is none, or it is not in memory */
	uint32_t head;
};

/* A context descriptor's: section 3.3.6 */
struct e1000_context {
	uint8_t ip_start, ip_at, start, at;
	uint16_t ip_end, end;
	uint16_t mss;
	uint8_t header;
	bool tcp;
};

/* A packet that comes together. The worker's. */
struct e1000_packet {
	bool begun, lost, cut; /* cut: by TSE */
	uint8_t popts;	       /* of the first data descriptor */
};

struct e1000 {
	struct nic n; /* first */
	atomic_uint regs[E1000_REGS_END / 4];
	uint32_t io_address; /* of the I/O BAR: section 13.2 */
	uint16_t eeprom[MICROWIRE_WORDS];
	struct microwire wire;
	uint16_t phy[32];
	/* the worker's while active */
	struct e1000_ring rx, tx;
	struct e1000_packet packet;
	struct e1000_context contexts[2]; /* without and with TSE: section 3.3.6 */
	uint32_t causes;		  /* of this round */
};

static inline uint32_t e1000_get(const struct e1000 *c, unsigned int reg)
{
	return atomic_load_explicit(&c->regs[reg / 4], memory_order_acquire);
}

static inline void e1000_set(struct e1000 *c, unsigned int reg, uint32_t val)
{
	atomic_store(&c->regs[reg / 4], val);
}

static inline struct e1000 *e1000_of(const struct nic *n)
{
	return container_of(n, struct e1000, n);
}

/* e1000.c: on the worker, or under machine.lock */
void e1000_cause(struct e1000 *c, uint32_t causes);
void e1000_count(struct e1000 *c, unsigned int reg, uint32_t more);
/* A counter of 64 bits, its low half at reg. */
void e1000_count64(struct e1000 *c, unsigned int reg, uint32_t more);

/* e1000_rom.c: under machine.lock */
void e1000_rom_init(struct e1000 *c);
void e1000_wire_write(struct e1000 *c, uint32_t val); /* EECD */
uint32_t e1000_wire_read(const struct e1000 *c);
uint32_t e1000_eerd(const struct e1000 *c, uint32_t val);
uint32_t e1000_mdic(struct e1000 *c, uint32_t val);
void e1000_phy_reset(struct e1000 *c);
void e1000_phy_link(struct e1000 *c);

/* e1000_rx.c, e1000_tx.c: on the worker */
void e1000_ring_take(struct e1000 *c, unsigned int base_reg, struct e1000_ring *ret);
bool e1000_frame(struct nic *n, const uint8_t *frame, size_t len);
bool e1000_next(struct nic *n);

#endif
