// SPDX-License-Identifier: MIT
/*
 * Realtek RTL8139C+: its registers (section 6) and its life; rtl8139.h says where the rest is. BAR 0 has the registers in I/O
 * space, BAR 1 in memory. A wider access than a register's is several, a narrower one is put together with what is there. Not
 * there: the timer's interrupt, wake-up, loopback, early interrupts, the transmit ring of high priority, and the serial
 * EEPROM's programming. Under machine.lock, but for what rtl8139.h says.
 */
#include "vmm/dev/rtl8139.h"

#include <endian.h>
#include <string.h>

#include "vmm/devices.h"

enum { RTL_BAR_IO, RTL_BAR_MEMORY };
#define RTL_BAR_SIZE 256

#define RTL_TCR_VERSION 0x74800000 /* of the chip: section 6.8, HWVERID */
#define RTL_TCR_WRITABLE 0x030707f0
#define RTL_9346_EEM 0xc0 /* the mode; both bits: configuration may be written */
#define RTL_9346_PINS 0x0e
#define RTL_MSR_LINKB BIT(2) /* there is no link */
#define RTL_BMSR_UP (BIT(5) | BIT(2))
#define RTL_BMCR_DONE (BIT(15) | BIT(9)) /* reset, negotiation: over at once */
#define RTL_DTCCR_DUMP BIT(3)
#define RTL_CLOCK_MHZ 33 /* of TCTR: section 6.10 */

struct rtl8139_field {
	uint8_t off, size;
	uint32_t mask, power_on;
	bool cold; /* a change is made while the worker has nothing */
	uint32_t (*read)(struct rtl8139 *c, enum rtl8139_reg reg);
	void (*write)(struct rtl8139 *c, enum rtl8139_reg reg, uint32_t val);
	bool ones; /* what is written are actions: a narrower write is not put together */
};

/* --- interrupts ---------------------------------------------------------------------------------------------------- */

static void rtl8139_cause(struct rtl8139 *c, uint32_t causes)
{
	uint32_t before = atomic_fetch_or(&c->regs[RTL_ISR], causes);
	uint32_t mask = rtl8139_get(c, RTL_IMR);

	if (!(before & mask) && causes & mask)
		nic_interrupt(&c->n);
}

static bool rtl8139_pending(const struct nic *n)
{
	const struct rtl8139 *c = rtl8139_of(n);

	return rtl8139_get(c, RTL_ISR) & rtl8139_get(c, RTL_IMR);
}

/* Both are when a driver has looked at its rings, or is about to */
static void rtl8139_write_isr(struct rtl8139 *c, enum rtl8139_reg reg, uint32_t val)
{
	atomic_fetch_and(&c->regs[reg], ~val);
	nic_update(&c->n);
	nic_room(&c->n);
}

static void rtl8139_write_imr(struct rtl8139 *c, enum rtl8139_reg reg, uint32_t val)
{
	rtl8139_put(c, reg, val);
	nic_update(&c->n);
	nic_room(&c->n);
}

/* --- control ------------------------------------------------------------------------------------------------------- */

static void rtl8139_want(struct rtl8139 *c)
{
	nic_want(&c->n, rtl8139_get(c, RTL_CR) & (RTL_CR_TE | RTL_CR_RE));
}

static void rtl8139_restart(struct rtl8139 *c);

static uint32_t rtl8139_read_cr(struct rtl8139 *c, enum rtl8139_reg reg)
{
	uint32_t size = rtl8139_ring_size(c);
	bool empty = rtl8139_get(c, RTL_CBR) % size == (rtl8139_get(c, RTL_CAPR) + 16) % size;

	return rtl8139_get(c, reg) | (empty ? RTL_CR_BUFE : 0);
}

/* Who switches one on begins with its first buffer. */
static void rtl8139_write_cr(struct rtl8139 *c, enum rtl8139_reg reg, uint32_t val)
{
	uint32_t on = val & ~rtl8139_get(c, reg);

	if (val & RTL_CR_RST) {
		rtl8139_restart(c);
		return;
	}
	if (on & RTL_CR_TE)
		c->tx_next = 0;
	if (on & RTL_CR_RE)
		c->rx_next = 0;
	rtl8139_put(c, reg, val & (RTL_CR_TE | RTL_CR_RE));
	rtl8139_want(c);
}

static void rtl8139_write_capr(struct rtl8139 *c, enum rtl8139_reg reg, uint32_t val)
{
	rtl8139_put(c, reg, val);
	nic_room(&c->n);
}

/* An empty ring: section 6.6 */
static void rtl8139_write_rbstart(struct rtl8139 *c, enum rtl8139_reg reg, uint32_t val)
{
	rtl8139_put(c, reg, val);
	rtl8139_put(c, RTL_CBR, 0);
}

static void rtl8139_write_rdsar(struct rtl8139 *c, enum rtl8139_reg reg, uint32_t val)
{
	rtl8139_put(c, reg, val);
	c->rx_next = 0;
}

static void rtl8139_write_tppoll(struct rtl8139 *c, enum rtl8139_reg reg, uint32_t val)
{
	(void)reg;
	if (c->n.active && val & BIT(6))
		nic_kick(&c->n);
}

/* 9346CR: section 6.14 */
static uint32_t rtl8139_read_9346(struct rtl8139 *c, enum rtl8139_reg reg)
{
	return rtl8139_get(c, reg) | microwire_out(&c->wire, c->eeprom);
}

static void rtl8139_write_9346(struct rtl8139 *c, enum rtl8139_reg reg, uint32_t val)
{
	/* its pins in mode 10, "programming", alone */
	bool pins = (val & RTL_9346_EEM) == 0x80;

	microwire_set(&c->wire, pins && val & BIT(3), val & BIT(2), val & BIT(1));
	rtl8139_put(c, reg, val & (RTL_9346_EEM | RTL_9346_PINS));
}

static bool rtl8139_unlocked(const struct rtl8139 *c)
{
	return (rtl8139_get(c, RTL_9346CR) & RTL_9346_EEM) == RTL_9346_EEM;
}

static void rtl8139_write_locked(struct rtl8139 *c, enum rtl8139_reg reg, uint32_t val)
{
	if (rtl8139_unlocked(c))
		rtl8139_put(c, reg, val);
}

/* --- transmit buffers, or what C+ mode has in their place ------------------------------------------------------------ */

/* Section 6.3: 64 bytes, little-endian */
static void rtl8139_dump(struct rtl8139 *c, uint64_t to)
{
	const struct rtl8139_tally *t = &c->tally;
	uint64_t w[8] = { 0 };

	w[0] = htole64(atomic_load(&t->tx));
	w[1] = htole64(atomic_load(&t->rx));
	/* missed: the upper half of the word behind receive errors */
	w[3] = htole64((uint64_t)(atomic_load(&t->missed) & 0xffff) << 32);
	w[5] = htole64(atomic_load(&t->rx) - atomic_load(&t->rx_broadcast) -
		       atomic_load(&t->rx_multicast));
	w[6] = htole64(atomic_load(&t->rx_broadcast));
	w[7] = htole64(atomic_load(&t->rx_multicast));
	if (!c->n.master || gmem_write(c->n.dev.board->gmem, to, w, sizeof(w)) < 0)
		nic_confused(&c->n, "counters that are to go where no memory is");
}

static void rtl8139_write_tsd(struct rtl8139 *c, enum rtl8139_reg reg, uint32_t val)
{
	uint64_t high = (uint64_t)rtl8139_get(c, RTL_TSD1) << 32;

	if (!(rtl8139_get(c, RTL_CPCR) & RTL_CPCR_TX)) {
		/* what the driver may write, and with OWN it takes the buffer back */
		rtl8139_put(c, reg, val & (RTL_TSD_SIZE | RTL_TSD_OWN | 0x3f0000));
		if (!(val & RTL_TSD_OWN) && c->n.active)
			nic_kick(&c->n);
		return;
	}
	if (reg == RTL_TSD0 && val & RTL_DTCCR_DUMP)
		rtl8139_dump(c, high | (val & ~63u));
	if (reg <= RTL_TSD1)
		rtl8139_put(c, reg, reg == RTL_TSD0 ? val & ~63u : val);
}

static void rtl8139_write_tsad(struct rtl8139 *c, enum rtl8139_reg reg, uint32_t val)
{
	bool ring = rtl8139_get(c, RTL_CPCR) & RTL_CPCR_TX;

	if (ring)
		nic_suspend(&c->n);
	rtl8139_put(c, reg, val);
	if (!ring)
		return;
	c->tx_next = reg <= RTL_TSAD1 ? 0 : c->tx_next;
	nic_resume(&c->n);
}

/* Section 6.21 of the RTL8139: a nibble a bit of TSD */
static uint32_t rtl8139_read_tsad(struct rtl8139 *c, enum rtl8139_reg reg)
{
	uint32_t val = 0;

	(void)reg;
	for (unsigned int i = 0; i < 4; i++) {
		uint32_t tsd = rtl8139_get(c, RTL_TSD0 + i);

		val |= (tsd & RTL_TSD_OWN ? BIT(i) : 0) | (tsd & RTL_TSD_ABORT ? BIT(4 + i) : 0) |
		       (tsd & RTL_TSD_TOK ? BIT(12 + i) : 0);
	}
	return val;
}

/* --- time, link ---------------------------------------------------------------------------------------------------- */

static uint32_t rtl8139_read_tctr(struct rtl8139 *c, enum rtl8139_reg reg)
{
	uint64_t now = board_now_ns(c->n.dev.board);

	return (uint32_t)(now / 1000 * RTL_CLOCK_MHZ) - rtl8139_get(c, reg);
}

static void rtl8139_write_tctr(struct rtl8139 *c, enum rtl8139_reg reg, uint32_t val)
{
	(void)val;
	rtl8139_put(c, reg, 0);
	rtl8139_put(c, reg, rtl8139_read_tctr(c, reg));
}

static uint32_t rtl8139_read_msr(struct rtl8139 *c, enum rtl8139_reg reg)
{
	return rtl8139_get(c, reg) | (c->n.link ? 0 : RTL_MSR_LINKB);
}

static uint32_t rtl8139_read_bmsr(struct rtl8139 *c, enum rtl8139_reg reg)
{
	return rtl8139_get(c, reg) | (c->n.link ? RTL_BMSR_UP : 0);
}

static void rtl8139_write_bmcr(struct rtl8139 *c, enum rtl8139_reg reg, uint32_t val)
{
	rtl8139_put(c, reg, val & ~RTL_BMCR_DONE & 0xffff);
}

/* --- the table ----------------------------------------------------------------------------------------------------- */

#define RTL_ALL UINT32_MAX

static const struct rtl8139_field rtl8139_fields[RTL_REGS] = {
	[RTL_IDR0] = { 0x00, 4, RTL_ALL, .write = rtl8139_write_locked },
	[RTL_IDR4] = { 0x04, 4, 0xffff, .write = rtl8139_write_locked },
	[RTL_MAR0] = { 0x08, 4, RTL_ALL },
	[RTL_MAR4] = { 0x0c, 4, RTL_ALL },
	[RTL_TSD0] = { 0x10, 4, RTL_ALL, RTL_TSD_OWN, .write = rtl8139_write_tsd },
	[RTL_TSD1] = { 0x14, 4, RTL_ALL, RTL_TSD_OWN, .write = rtl8139_write_tsd },
	[RTL_TSD2] = { 0x18, 4, RTL_ALL, RTL_TSD_OWN, .write = rtl8139_write_tsd },
	[RTL_TSD3] = { 0x1c, 4, RTL_ALL, RTL_TSD_OWN, .write = rtl8139_write_tsd },
	[RTL_TSAD0] = { 0x20, 4, RTL_ALL, .write = rtl8139_write_tsad },
	[RTL_TSAD1] = { 0x24, 4, RTL_ALL, .write = rtl8139_write_tsad },
	[RTL_TSAD2] = { 0x28, 4, RTL_ALL, .write = rtl8139_write_tsad },
	[RTL_TSAD3] = { 0x2c, 4, RTL_ALL, .write = rtl8139_write_tsad },
	[RTL_RBSTART] = { 0x30, 4, RTL_ALL, .cold = true, .write = rtl8139_write_rbstart },
	[RTL_ERBCR] = { 0x34, 2, 0 },
	[RTL_ERSR] = { 0x36, 1, 0 },
	[RTL_CR] = { 0x37, 1, 0xff, .cold = true, .read = rtl8139_read_cr,
		     .write = rtl8139_write_cr },
	[RTL_CAPR] = { 0x38, 2, 0xffff, 0xfff0, .write = rtl8139_write_capr },
	[RTL_CBR] = { 0x3a, 2, 0 },
	[RTL_IMR] = { 0x3c, 2, 0xe0ff, .write = rtl8139_write_imr },
	[RTL_ISR] = { 0x3e, 2, 0xffff, .write = rtl8139_write_isr, .ones = true },
	[RTL_TCR] = { 0x40, 4, RTL_TCR_WRITABLE, RTL_TCR_VERSION },
	[RTL_RCR] = { 0x44, 4, RTL_ALL, .cold = true },
	[RTL_TCTR] = { 0x48, 4, RTL_ALL, .read = rtl8139_read_tctr, .write = rtl8139_write_tctr },
	[RTL_MPC] = { 0x4c, 4, RTL_ALL },
	[RTL_9346CR] = { 0x50, 1, 0xff, .read = rtl8139_read_9346, .write = rtl8139_write_9346 },
	[RTL_CONFIG0] = { 0x51, 1, 0xff, .write = rtl8139_write_locked },
	[RTL_CONFIG1] = { 0x52, 1, 0xff, 0x0c, .write = rtl8139_write_locked }, /* I/O, memory */
	[RTL_TIMERINT] = { 0x54, 4, RTL_ALL },
	[RTL_MSR] = { 0x58, 1, 0xd0, 0x10, .read = rtl8139_read_msr },
	[RTL_CONFIG3] = { 0x59, 1, 0xff, 0x01, .write = rtl8139_write_locked },
	[RTL_CONFIG4] = { 0x5a, 1, 0xff, .write = rtl8139_write_locked },
	[RTL_MULINT] = { 0x5c, 2, 0xffff },
	[RTL_RERID] = { 0x5e, 1, 0, 0x10 },
	[RTL_TSAD] = { 0x60, 2, 0, .read = rtl8139_read_tsad },
	[RTL_BMCR] = { 0x62, 2, 0xffff, 0x3100, .write = rtl8139_write_bmcr },
	[RTL_BMSR] = { 0x64, 2, 0, 0x7849 & ~RTL_BMSR_UP, .read = rtl8139_read_bmsr },
	[RTL_ANAR] = { 0x66, 2, 0xffff, 0x01e1 },
	[RTL_ANLPAR] = { 0x68, 2, 0, 0x41e1 },
	[RTL_ANER] = { 0x6a, 2, 0, 0x0001 },
	[RTL_CONFIG5] = { 0xd8, 1, 0xff, .write = rtl8139_write_locked },
	[RTL_TPPOLL] = { 0xd9, 1, 0xff, .write = rtl8139_write_tppoll, .ones = true },
	[RTL_CPCR] = { 0xe0, 2, 0x007b, .cold = true },
	[RTL_RDSAR0] = { 0xe4, 4, ~255u, .cold = true, .write = rtl8139_write_rdsar },
	[RTL_RDSAR4] = { 0xe8, 4, RTL_ALL, .cold = true, .write = rtl8139_write_rdsar },
	[RTL_ETTHR] = { 0xec, 1, 0x3f },
};

static uint32_t rtl8139_read_field(struct rtl8139 *c, enum rtl8139_reg reg)
{
	const struct rtl8139_field *f = &rtl8139_fields[reg];

	return f->read ? f->read(c, reg) : rtl8139_get(c, reg);
}

static void rtl8139_write_field(struct rtl8139 *c, enum rtl8139_reg reg, uint32_t val)
{
	const struct rtl8139_field *f = &rtl8139_fields[reg];

	if (!f->mask)
		return;
	if (f->cold)
		nic_suspend(&c->n);
	val &= f->mask;
	if (f->write)
		f->write(c, reg, val);
	else
		rtl8139_put(c, reg, (f->power_on & ~f->mask) | val);
	if (f->cold)
		nic_resume(&c->n);
}

/* The bytes of a field that an access to [off, off + size) has: false: none. */
static bool rtl8139_meets(const struct rtl8139_field *f, uint64_t off, unsigned int size,
			  unsigned int *ret_from, unsigned int *ret_to)
{
	if (off + size <= f->off || off >= (uint64_t)f->off + f->size)
		return false;
	*ret_from = (unsigned int)MAX(off, (uint64_t)f->off);
	*ret_to = (unsigned int)MIN(off + size, (uint64_t)f->off + f->size);
	return true;
}

static uint32_t rtl8139_bytes(unsigned int n)
{
	return n >= 4 ? UINT32_MAX : BIT(8 * n) - 1;
}

static uint64_t rtl8139_read(void *dev, uint64_t off, unsigned int size)
{
	struct rtl8139 *c = dev;
	unsigned int from, to;
	uint64_t val = 0;

	for (unsigned int i = 0; i < RTL_REGS; i++) {
		const struct rtl8139_field *f = &rtl8139_fields[i];
		uint32_t part;

		if (!rtl8139_meets(f, off, size, &from, &to))
			continue;
		part = rtl8139_read_field(c, i) >> 8 * (from - f->off) & rtl8139_bytes(to - from);
		val |= (uint64_t)part << 8 * (from - off);
	}
	return val;
}

static void rtl8139_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct rtl8139 *c = dev;
	unsigned int from, to;

	for (unsigned int i = 0; i < RTL_REGS; i++) {
		const struct rtl8139_field *f = &rtl8139_fields[i];
		uint32_t part, mask, rest;

		if (!rtl8139_meets(f, off, size, &from, &to))
			continue;
		mask = rtl8139_bytes(to - from) << 8 * (from - f->off);
		part = (uint32_t)(val >> 8 * (from - off)) << 8 * (from - f->off) & mask;
		rest = f->ones || to - from == f->size ? 0 : rtl8139_get(c, i) & ~mask;
		rtl8139_write_field(c, i, rest | part);
	}
}

/* --- as the common part sees it ------------------------------------------------------------------------------------ */

/* CR, RST: section 6.7. The address and the configuration come from the EEPROM anew. */
static void rtl8139_restart(struct rtl8139 *c)
{
	const uint8_t *mac = c->n.mac;

	nic_want(&c->n, false);
	nic_flush(&c->n);
	for (unsigned int i = 0; i < RTL_REGS; i++)
		rtl8139_put(c, i, rtl8139_fields[i].power_on);
	rtl8139_put(c, RTL_IDR0,
		    mac[0] | (uint32_t)(mac[1] << 8 | mac[2] << 16) | (uint32_t)mac[3] << 24);
	rtl8139_put(c, RTL_IDR4, (uint32_t)(mac[4] | mac[5] << 8));
	c->wire = (struct microwire){ 0 };
	c->rx_next = c->tx_next = 0;
	c->begun = c->lost = false;
	c->causes = 0;
	nic_update(&c->n);
}

static void rtl8139_reset(struct nic *n)
{
	struct rtl8139 *c = rtl8139_of(n);

	rtl8139_restart(c);
	atomic_store(&c->tally.tx, 0);
	atomic_store(&c->tally.rx, 0);
	atomic_store(&c->tally.rx_broadcast, 0);
	atomic_store(&c->tally.rx_multicast, 0);
	atomic_store(&c->tally.missed, 0);
}

static void rtl8139_plug(struct nic *n)
{
	static const struct region_ops ops = { rtl8139_read, rtl8139_write, 1, 4 };
	const struct pci_ids *ids = &n->ops->ids;
	struct rtl8139 *c = rtl8139_of(n);
	uint16_t *w = c->eeprom;

	pci_add_bar(&n->pci, RTL_BAR_IO, RTL_BAR_SIZE, false, &ops, c);
	n->pci.bars[RTL_BAR_IO].io = true;
	pci_add_bar(&n->pci, RTL_BAR_MEMORY, RTL_BAR_SIZE, false, &ops, c);
	/* section 7 */
	w[0] = 0x8129;
	w[1] = ids->vendor;
	w[2] = ids->device;
	w[3] = ids->subsystem_vendor;
	w[4] = ids->subsystem;
	for (unsigned int i = 0; i < 3; i++)
		w[7 + i] = (uint16_t)(n->mac[2 * i] | n->mac[2 * i + 1] << 8);
}

static void rtl8139_link_changed(struct nic *n)
{
	rtl8139_cause(rtl8139_of(n), RTL_INT_LINK);
}

static void rtl8139_activate(struct nic *n)
{
	n->listens = rtl8139_get(rtl8139_of(n), RTL_CR) & RTL_CR_RE;
}

static void rtl8139_done(struct nic *n)
{
	struct rtl8139 *c = rtl8139_of(n);

	if (c->causes)
		rtl8139_cause(c, c->causes);
	c->causes = 0;
}

static int rtl8139_init(struct device *d, struct err *e)
{
	static const struct nic_ops ops = {
		.ids = { .vendor = 0x10ec,
			 .device = 0x8139,
			 .subsystem_vendor = 0x10ec,
			 .subsystem = 0x8139,
			 .class_code = 0x020000,
			 .revision = 0x20 },
		.plug = rtl8139_plug,
		.reset = rtl8139_reset,
		.pending = rtl8139_pending,
		.link_changed = rtl8139_link_changed,
		.activate = rtl8139_activate,
		.next = rtl8139_next,
		.frame = rtl8139_frame,
		.done = rtl8139_done,
	};

	return nic_init(container_of(d, struct nic, dev), &ops, e);
}

const struct device_class rtl8139_class = {
	.type = "rtl8139",
	.size = sizeof(struct rtl8139),
	.cfg_size = sizeof(struct nic_cfg),
	.cfg_fields = nic_fields,
	.init = rtl8139_init,
	.start = nic_start,
	.stop = nic_stop,
	.reset = nic_reset,
	.set = nic_set,
	.tell = nic_tell,
	.hotplug = true,
	.fini = nic_fini,
};
