/* SPDX-License-Identifier: MIT */
/*
 * Inside of the RTL8139C+ (class "rtl8139"): rtl8139.c has its registers and its life, rtl8139_rx.c and rtl8139_tx.c what moves
 * frames, in both of its modes: that of the RTL8139 (four transmit buffers, a receive ring of bytes) and C+ mode (rings of
 * descriptors). Sections are those of Realtek's "RTL8139C+ Single-Chip Fast Ethernet Controller" data sheet, 1.6, unless
 * said otherwise. Registers are fields of 1, 2 or 4 bytes and atomic: the guest's CPUs have them under machine.lock, the
 * worker at any time. Where a ring is changes while it has nothing.
 */
#ifndef VMM_DEV_RTL8139_H
#define VMM_DEV_RTL8139_H

#include "vmm/net/microwire.h"
#include "vmm/net/nic.h"

/* Section 6: fields; rtl8139.c has their places */
enum rtl8139_reg {
	RTL_IDR0,
	RTL_IDR4,
	RTL_MAR0,
	RTL_MAR4,
	RTL_TSD0, /* C+: RTL_DTCCR and its high half */
	RTL_TSD1,
	RTL_TSD2,
	RTL_TSD3,
	RTL_TSAD0, /* C+: TNPDS and THPDS, low and high */
	RTL_TSAD1,
	RTL_TSAD2,
	RTL_TSAD3,
	RTL_RBSTART,
	RTL_ERBCR,
	RTL_ERSR,
	RTL_CR,
	RTL_CAPR,
	RTL_CBR,
	RTL_IMR,
	RTL_ISR,
	RTL_TCR,
	RTL_RCR,
	RTL_TCTR,
	RTL_MPC,
	RTL_9346CR,
	RTL_CONFIG0,
	RTL_CONFIG1,
	RTL_TIMERINT,
	RTL_MSR,
	RTL_CONFIG3,
	RTL_CONFIG4,
	RTL_MULINT,
	RTL_RERID,
	RTL_TSAD,
	RTL_BMCR,
	RTL_BMSR,
	RTL_ANAR,
	RTL_ANLPAR,
	RTL_ANER,
	RTL_CONFIG5,
	RTL_TPPOLL,
	RTL_CPCR,
	RTL_RDSAR0,
	RTL_RDSAR4,
	RTL_ETTHR,
	RTL_REGS,
};

#define RTL_CR_BUFE BIT(0)
#define RTL_CR_TE BIT(2)
#define RTL_CR_RE BIT(3)
#define RTL_CR_RST BIT(4)

/* Causes: ISR and IMR */
#define RTL_INT_ROK BIT(0)
#define RTL_INT_RER BIT(1)
#define RTL_INT_TOK BIT(2)
#define RTL_INT_TER BIT(3)
#define RTL_INT_RDU BIT(4) /* RXOVW in the other mode */
#define RTL_INT_LINK BIT(5)
#define RTL_INT_TDU BIT(7)

#define RTL_TSD_SIZE 0x1fffu
#define RTL_TSD_OWN BIT(13) /* the driver's */
#define RTL_TSD_TOK BIT(15)
#define RTL_TSD_ABORT BIT(30)

#define RTL_RCR_AAP BIT(0)
#define RTL_RCR_APM BIT(1)
#define RTL_RCR_AM BIT(2)
#define RTL_RCR_AB BIT(3)
#define RTL_RCR_WRAP BIT(7)

#define RTL_CPCR_TX BIT(0)
#define RTL_CPCR_RX BIT(1)
#define RTL_CPCR_SUMS BIT(5)
#define RTL_CPCR_TAGS BIT(6)

#define RTL_DESC 16  /* bytes */
#define RTL_DESCS 64 /* of a ring at most: section 9.1 */
#define RTL_FCS 4
#define RTL_OWN BIT(31) /* of a descriptor: the card's */
#define RTL_EOR BIT(30)
#define RTL_FS BIT(29)
#define RTL_LS BIT(28)

/* Counters that DTCCR gives: section 6.3 */
struct rtl8139_tally {
	atomic_ullong tx, rx, rx_broadcast;
	atomic_uint rx_multicast, missed;
};

struct rtl8139 {
	struct nic n; /* first */
	atomic_uint regs[RTL_REGS];
	uint16_t eeprom[MICROWIRE_WORDS];
	struct microwire wire;
	struct rtl8139_tally tally;
	/* the worker's while active */
	unsigned int rx_next, tx_next; /* of the rings, or the transmit buffers */
	bool begun, lost;	       /* a packet of several descriptors: C+ */
	uint32_t causes;	       /* of this round */
};

static inline uint32_t rtl8139_get(const struct rtl8139 *c, enum rtl8139_reg reg)
{
	return atomic_load(&c->regs[reg]);
}

static inline void rtl8139_put(struct rtl8139 *c, enum rtl8139_reg reg, uint32_t val)
{
	atomic_store(&c->regs[reg], val);
}

static inline struct rtl8139 *rtl8139_of(const struct nic *n)
{
	return container_of(n, struct rtl8139, n);
}

/* The receive ring's bytes, without what may be behind it */
static inline uint32_t rtl8139_ring_size(const struct rtl8139 *c)
{
	return 8192u << (rtl8139_get(c, RTL_RCR) >> 11 & 3);
}

/* rtl8139_rx.c, rtl8139_tx.c: on the worker */
bool rtl8139_frame(struct nic *n, const uint8_t *frame, size_t len);
bool rtl8139_next(struct nic *n);

#endif
