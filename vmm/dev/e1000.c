// SPDX-License-Identifier: MIT
/*
 * Intel 82540EM: its registers (317453, chapter 13) and its life; e1000.h says where the rest is. BAR 0 has the registers, BAR 2
 * a window to them in I/O space (section 13.2), which Linux uses for a reset. Not there: flash, wake-up, flow
 * control (a frame waits for room instead), loopback, and delays of single interrupts; ITR spaces all of them. Under machine.lock,
 * but for what e1000.h says.
 */
#include "vmm/dev/e1000.h"

#include <errno.h>
#include <string.h>

#include "vmm/devices.h"

enum { E1000_BAR_MEMORY = 0, E1000_BAR_IO = 2 };
#define E1000_BAR_SIZE 0x20000
#define E1000_IO_SIZE 64
#define E1000_IO_ADDRESS 0
#define E1000_IO_DATA 4

#define E1000_STATUS_FD BIT(0)
#define E1000_STATUS_LU BIT(1)
#define E1000_STATUS_1000 0x280 /* speed, and the speed that was detected */
#define E1000_ITR_NS 256	/* section 13.4.18 */
#define E1000_RAH_AV BIT(31)

struct e1000_reg {
	unsigned int first, n;
	uint32_t mask; /* what may be written */
	bool cold;     /* a change is made while the worker has nothing */
	uint32_t (*read)(struct e1000 *c, unsigned int reg);
	void (*write)(struct e1000 *c, unsigned int reg, uint32_t val);
};

/* --- interrupts ---------------------------------------------------------------------------------------------------- */

/* Where one that is not masked was there before, whoever found that has told. */
void e1000_cause(struct e1000 *c, uint32_t causes)
{
	uint32_t before = atomic_fetch_or(&c->regs[E1000_ICR / 4], causes);
	uint32_t mask = e1000_get(c, E1000_IMS);

	if (!(before & mask) && causes & mask)
		nic_interrupt(&c->n);
}

static bool e1000_pending(const struct nic *n)
{
	const struct e1000 *c = e1000_of(n);

	return e1000_get(c, E1000_ICR) & e1000_get(c, E1000_IMS);
}

/* Reading clears: section 13.4.17 */
static uint32_t e1000_read_icr(struct e1000 *c, unsigned int reg)
{
	uint32_t causes = atomic_exchange(&c->regs[reg / 4], 0);

	nic_update(&c->n);
	return causes;
}

static void e1000_write_icr(struct e1000 *c, unsigned int reg, uint32_t val)
{
	atomic_fetch_and(&c->regs[reg / 4], ~val);
	nic_update(&c->n);
}

static void e1000_write_ics(struct e1000 *c, unsigned int reg, uint32_t val)
{
	(void)reg;
	atomic_fetch_or(&c->regs[E1000_ICR / 4], val & E1000_INT_ALL);
	nic_update(&c->n);
}

static void e1000_write_ims(struct e1000 *c, unsigned int reg, uint32_t val)
{
	atomic_fetch_or(&c->regs[reg / 4], val & E1000_INT_ALL);
	nic_update(&c->n);
}

static void e1000_write_imc(struct e1000 *c, unsigned int reg, uint32_t val)
{
	(void)reg;
	atomic_fetch_and(&c->regs[E1000_IMS / 4], ~val);
	nic_update(&c->n);
}

static uint32_t e1000_read_none(struct e1000 *c, unsigned int reg)
{
	(void)c;
	(void)reg;
	return 0;
}

static void e1000_write_itr(struct e1000 *c, unsigned int reg, uint32_t val)
{
	e1000_set(c, reg, val & 0xffff);
	c->n.gap_ns = (uint64_t)(val & 0xffff) * E1000_ITR_NS;
	nic_update(&c->n);
}

/* --- statistics ---------------------------------------------------------------------------------------------------- */

/* Section 13.7: they stop at their end, and reading clears */
void e1000_count(struct e1000 *c, unsigned int reg, uint32_t more)
{
	uint32_t was = atomic_fetch_add(&c->regs[reg / 4], more);

	if (was > UINT32_MAX - more)
		e1000_set(c, reg, UINT32_MAX);
}

void e1000_count64(struct e1000 *c, unsigned int reg, uint32_t more)
{
	if (atomic_fetch_add(&c->regs[reg / 4], more) > UINT32_MAX - more)
		atomic_fetch_add(&c->regs[reg / 4 + 1], 1);
}

static uint32_t e1000_read_count(struct e1000 *c, unsigned int reg)
{
	return atomic_exchange(&c->regs[reg / 4], 0);
}

/* --- control ------------------------------------------------------------------------------------------------------- */

static void e1000_want(struct e1000 *c)
{
	nic_want(&c->n, e1000_get(c, E1000_RCTL) & E1000_RCTL_EN ||
				e1000_get(c, E1000_TCTL) & E1000_TCTL_EN);
}

/* Section 13.4.1, RST, and power-on: the EEPROM's address is the first of those that are received. */
static void e1000_restart(struct e1000 *c)
{
	const uint8_t *mac = c->n.mac;

	nic_want(&c->n, false);
	nic_flush(&c->n);
	for (unsigned int i = 0; i < ARRAY_SIZE(c->regs); i++)
		e1000_set(c, 4 * i, 0);
	e1000_set(c, E1000_CTRL, BIT(0) | BIT(9)); /* full duplex, 1000 Mbit/s */
	e1000_set(c, E1000_PBA, 0x0030);
	e1000_set(c, E1000_VET, ETHERTYPE_VLAN);
	e1000_set(c, E1000_RA, mac[0] | mac[1] << 8 | mac[2] << 16 | (uint32_t)mac[3] << 24);
	e1000_set(c, E1000_RA + 4, (uint32_t)(mac[4] | mac[5] << 8) | E1000_RAH_AV);
	c->n.gap_ns = 0;
	c->io_address = 0;
	c->rx = c->tx = (struct e1000_ring){ 0 };
	c->packet = (struct e1000_packet){ 0 };
	memset(c->contexts, 0, sizeof(c->contexts));
	c->wire = (struct microwire){ 0 };
	c->n.out.len = 0;
	c->causes = 0;
	nic_update(&c->n);
}

static void e1000_write_ctrl(struct e1000 *c, unsigned int reg, uint32_t val)
{
	if (val & E1000_CTRL_RST) {
		e1000_restart(c);
		return;
	}
	if (val & E1000_CTRL_PHY_RST)
		e1000_phy_reset(c);
	e1000_set(c, reg, val & ~E1000_CTRL_PHY_RST);
}

static uint32_t e1000_read_status(struct e1000 *c, unsigned int reg)
{
	(void)reg;
	return E1000_STATUS_FD | E1000_STATUS_1000 | (c->n.link ? E1000_STATUS_LU : 0);
}

static uint32_t e1000_read_eecd(struct e1000 *c, unsigned int reg)
{
	(void)reg;
	return e1000_wire_read(c);
}

static void e1000_write_eecd(struct e1000 *c, unsigned int reg, uint32_t val)
{
	(void)reg;
	e1000_wire_write(c, val);
}

static void e1000_write_eerd(struct e1000 *c, unsigned int reg, uint32_t val)
{
	e1000_set(c, reg, e1000_eerd(c, val));
}

static void e1000_write_mdic(struct e1000 *c, unsigned int reg, uint32_t val)
{
	e1000_set(c, reg, e1000_mdic(c, val));
}

/* RCTL and TCTL: cold */
static void e1000_write_enable(struct e1000 *c, unsigned int reg, uint32_t val)
{
	e1000_set(c, reg, val);
	e1000_want(c);
}

static void e1000_write_tdt(struct e1000 *c, unsigned int reg, uint32_t val)
{
	e1000_set(c, reg, val & 0xffff);
	if (c->n.active)
		nic_kick(&c->n);
}

static void e1000_write_rdt(struct e1000 *c, unsigned int reg, uint32_t val)
{
	e1000_set(c, reg, val & 0xffff);
	nic_room(&c->n);
}

/* --- the table ----------------------------------------------------------------------------------------------------- */

#define E1000_RING_LEN 0xfff80 /* 128 bytes are the least: sections 13.4.27 and 13.4.38 */

static const struct e1000_reg e1000_regs[] = {
	{ E1000_CTRL, 1, UINT32_MAX, .write = e1000_write_ctrl },
	{ E1000_STATUS, 1, 0, .read = e1000_read_status },
	{ E1000_EECD, 1, 0, .read = e1000_read_eecd, .write = e1000_write_eecd },
	{ E1000_EERD, 1, 0, .write = e1000_write_eerd },
	{ E1000_CTRL_EXT, 1, UINT32_MAX },
	{ E1000_MDIC, 1, 0, .write = e1000_write_mdic },
	{ E1000_FCAL, 3, UINT32_MAX },
	{ E1000_VET, 1, 0xffff },
	{ E1000_ICR, 1, 0, .read = e1000_read_icr, .write = e1000_write_icr },
	{ E1000_ITR, 1, 0, .write = e1000_write_itr },
	{ E1000_ICS, 1, 0, .read = e1000_read_none, .write = e1000_write_ics },
	{ E1000_IMS, 1, 0, .write = e1000_write_ims },
	{ E1000_IMC, 1, 0, .read = e1000_read_none, .write = e1000_write_imc },
	{ E1000_RCTL, 1, 0, true, .write = e1000_write_enable },
	{ E1000_FCTTV, 1, 0xffff },
	{ E1000_TXCW, 1, UINT32_MAX },
	{ E1000_TCTL, 1, 0, true, .write = e1000_write_enable },
	{ E1000_TIPG, 1, UINT32_MAX },
	{ E1000_AIFS, 1, UINT32_MAX },
	{ E1000_LEDCTL, 1, UINT32_MAX },
	{ E1000_PBA, 1, 0xffff },
	{ E1000_FCRTL, 3, UINT32_MAX }, /* and FCRTH, which is 8 behind */
	{ E1000_RDBAL, 1, ~15u, true },
	{ E1000_RDBAH, 1, UINT32_MAX, true },
	{ E1000_RDLEN, 1, E1000_RING_LEN, true },
	{ E1000_RDH, 1, 0xffff, true },
	{ E1000_RDT, 1, 0, .write = e1000_write_rdt },
	{ E1000_RDTR, 1, 0xffff },
	{ E1000_RXDCTL, 2, UINT32_MAX },
	{ E1000_RSRPD, 1, 0xfff },
	{ E1000_TDBAL, 1, ~15u, true },
	{ E1000_TDBAH, 1, UINT32_MAX, true },
	{ E1000_TDLEN, 1, E1000_RING_LEN, true },
	{ E1000_TDH, 1, 0xffff, true },
	{ E1000_TDT, 1, 0, .write = e1000_write_tdt },
	{ E1000_TIDV, 1, 0xffff },
	{ E1000_TXDCTL, 3, UINT32_MAX },
	{ E1000_STATS, 64, 0, .read = e1000_read_count },
	{ E1000_RXCSUM, 1, 0x3ff },
	{ E1000_MTA, 128, UINT32_MAX },
	{ E1000_RA, 32, UINT32_MAX },
	{ E1000_VFTA, 128, UINT32_MAX },
	{ E1000_WUC, 1, UINT32_MAX },
	{ E1000_MANC, 1, UINT32_MAX },
};

static const struct e1000_reg *e1000_find(uint64_t off)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(e1000_regs); i++)
		if (off >= e1000_regs[i].first && off < e1000_regs[i].first + 4 * e1000_regs[i].n)
			return &e1000_regs[i];
	return NULL;
}

static uint64_t e1000_read(void *dev, uint64_t off, unsigned int size)
{
	const struct e1000_reg *r = e1000_find(off);
	struct e1000 *c = dev;

	(void)size;
	if (!r)
		return 0;
	off &= ~3ull;
	return r->read ? r->read(c, (unsigned int)off) : e1000_get(c, (unsigned int)off);
}

static void e1000_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	const struct e1000_reg *r = e1000_find(off);
	struct e1000 *c = dev;

	(void)size;
	if (!r)
		return;
	off &= ~3ull;
	if (r->cold)
		nic_suspend(&c->n);
	if (r->write)
		r->write(c, (unsigned int)off, (uint32_t)val);
	else if (r->mask)
		e1000_set(c, (unsigned int)off, (uint32_t)val & r->mask);
	if (r->cold)
		nic_resume(&c->n);
}

static uint64_t e1000_io_read(void *dev, uint64_t off, unsigned int size)
{
	struct e1000 *c = dev;

	switch (off) {
	case E1000_IO_ADDRESS:
		return c->io_address;
	case E1000_IO_DATA:
		return e1000_read(c, c->io_address, size);
	default:
		return 0;
	}
}

static void e1000_io_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct e1000 *c = dev;

	if (off == E1000_IO_ADDRESS)
		c->io_address = (uint32_t)val;
	else if (off == E1000_IO_DATA)
		e1000_write(c, c->io_address, size, val);
}

/* --- as the common part sees it ------------------------------------------------------------------------------------ */

static void e1000_plug(struct nic *n)
{
	static const struct region_ops memory = { e1000_read, e1000_write, 4, 4 };
	static const struct region_ops io = { e1000_io_read, e1000_io_write, 4, 4 };
	struct e1000 *c = e1000_of(n);

	pci_add_bar(&n->pci, E1000_BAR_MEMORY, E1000_BAR_SIZE, false, &memory, c);
	pci_add_bar(&n->pci, E1000_BAR_IO, E1000_IO_SIZE, false, &io, c);
	n->pci.bars[E1000_BAR_IO].io = true;
	e1000_rom_init(c);
}

static void e1000_reset(struct nic *n)
{
	e1000_phy_reset(e1000_of(n));
	e1000_restart(e1000_of(n));
}

static void e1000_link_changed(struct nic *n)
{
	e1000_phy_link(e1000_of(n));
	e1000_cause(e1000_of(n), E1000_INT_LSC);
}

void e1000_ring_take(struct e1000 *c, unsigned int base_reg, struct e1000_ring *ret)
{
	unsigned int more = base_reg - E1000_RDBAL; /* both are laid out alike */
	struct e1000_ring r = {
		.base = e1000_get(c, base_reg) | (uint64_t)e1000_get(c, E1000_RDBAH + more) << 32,
		.n = e1000_get(c, E1000_RDLEN + more) / E1000_DESC,
		.head = e1000_get(c, E1000_RDH + more),
	};

	*ret = (struct e1000_ring){ 0 };
	if (!r.n)
		return;
	if (r.head >= r.n || !gmem_ptr(c->n.dev.board->gmem, r.base, (uint64_t)r.n * E1000_DESC))
		nic_confused(&c->n, "a ring that is not in memory, or a head that is not in it");
	else
		*ret = r;
}

static void e1000_activate(struct nic *n)
{
	struct e1000 *c = e1000_of(n);

	c->rx = c->tx = (struct e1000_ring){ 0 };
	if (e1000_get(c, E1000_RCTL) & E1000_RCTL_EN)
		e1000_ring_take(c, E1000_RDBAL, &c->rx);
	if (e1000_get(c, E1000_TCTL) & E1000_TCTL_EN)
		e1000_ring_take(c, E1000_TDBAL, &c->tx);
	n->listens = c->rx.n;
}

static void e1000_done(struct nic *n)
{
	struct e1000 *c = e1000_of(n);

	if (c->causes)
		e1000_cause(c, c->causes);
	c->causes = 0;
}

static int e1000_init(struct device *d, struct err *e)
{
	static const struct nic_ops ops = {
		.ids = { .vendor = 0x8086,
			 .device = 0x100e,
			 .subsystem_vendor = 0x8086,
			 .subsystem = 0x001e,
			 .class_code = 0x020000,
			 .revision = 3 },
		.plug = e1000_plug,
		.reset = e1000_reset,
		.pending = e1000_pending,
		.link_changed = e1000_link_changed,
		.activate = e1000_activate,
		.next = e1000_next,
		.frame = e1000_frame,
		.done = e1000_done,
	};

	return nic_init(container_of(d, struct nic, dev), &ops, e);
}

const struct device_class e1000_class = {
	.type = "e1000",
	.size = sizeof(struct e1000),
	.cfg_size = sizeof(struct nic_cfg),
	.cfg_fields = nic_fields,
	.init = e1000_init,
	.start = nic_start,
	.stop = nic_stop,
	.reset = nic_reset,
	.set = nic_set,
	.tell = nic_tell,
	.hotplug = true,
	.fini = nic_fini,
};
