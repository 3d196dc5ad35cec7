// SPDX-License-Identifier: MIT
/*
 * The 82540EM's EEPROM (317453, sections 5.2 to 5.6): 64 words with the MAC address and the identity, that drivers read by EERD or
 * by bits of EECD as a Microwire chip (93C46). It cannot be written: who tries finds it unchanged. And its PHY (chapter 8),
 * registers of IEEE 802.3 clause 22 and of Marvell's: always at 1000 Mbit/s, full duplex. Under machine.lock.
 */
#include <string.h>

#include "vmm/dev/e1000.h"

#define E1000_ROM_SUM 0xbaba /* of all words: section 5.6.35 */

/* EECD: section 13.4.3 */
#define E1000_EECD_SK BIT(0)
#define E1000_EECD_CS BIT(1)
#define E1000_EECD_DI BIT(2)
#define E1000_EECD_DO BIT(3)
#define E1000_EECD_REQ BIT(6)
#define E1000_EECD_GNT BIT(7)
#define E1000_EECD_PRES BIT(8)
#define E1000_EECD_WRITABLE (E1000_EECD_SK | E1000_EECD_CS | E1000_EECD_DI | 0x30 | E1000_EECD_REQ)

#define E1000_EERD_START BIT(0)
#define E1000_EERD_DONE BIT(4)

/* MDIC: section 13.4.7 */
#define E1000_MDIC_WRITE 1
#define E1000_MDIC_READ 2
#define E1000_MDIC_READY BIT(28)
#define E1000_MDIC_INTERRUPT BIT(29)
#define E1000_MDIC_ERROR BIT(30)
#define E1000_PHY_ADDRESS 1

enum { PHY_CONTROL, PHY_STATUS, PHY_ID1, PHY_ID2, PHY_SPECIFIC_STATUS = 17 };
#define PHY_CONTROL_RESET BIT(15)
#define PHY_CONTROL_ANEW BIT(9)		/* autonegotiation: done at once, as the reset */
#define PHY_STATUS_UP (BIT(5) | BIT(2)) /* autonegotiation is complete, link */
#define PHY_SPECIFIC_UP 0xac00		/* 1000 Mbit/s, full duplex, resolved, link */

void e1000_rom_init(struct e1000 *c)
{
	const struct pci_ids *ids = &c->n.ops->ids;
	uint16_t *w = c->eeprom, sum = 0;

	for (unsigned int i = 0; i < 3; i++)
		w[i] = (uint16_t)(c->n.mac[2 * i] | c->n.mac[2 * i + 1] << 8);
	w[0x0a] = 0x4408; /* identity from here, section 5.6.6 */
	w[0x0b] = ids->subsystem;
	w[0x0c] = ids->subsystem_vendor;
	w[0x0d] = ids->device;
	w[0x0e] = ids->vendor;
	w[0x0f] = 0xb040; /* section 5.6.11 */
	for (unsigned int i = 0; i < MICROWIRE_WORDS - 1; i++)
		sum = (uint16_t)(sum + w[i]);
	w[MICROWIRE_WORDS - 1] = (uint16_t)(E1000_ROM_SUM - sum);
}

/* --- the EEPROM's pins --------------------------------------------------------------------------------------------- */

void e1000_wire_write(struct e1000 *c, uint32_t val)
{
	microwire_set(&c->wire, val & E1000_EECD_CS, val & E1000_EECD_SK, val & E1000_EECD_DI);
	e1000_set(c, E1000_EECD, val & E1000_EECD_WRITABLE);
}

uint32_t e1000_wire_read(const struct e1000 *c)
{
	uint32_t val = e1000_get(c, E1000_EECD) | E1000_EECD_PRES;

	if (val & E1000_EECD_REQ)
		val |= E1000_EECD_GNT;
	return microwire_out(&c->wire, c->eeprom) ? val | E1000_EECD_DO : val;
}

/* Section 13.4.4 */
uint32_t e1000_eerd(const struct e1000 *c, uint32_t val)
{
	unsigned int word = val >> 8 & 0xff;

	if (!(val & E1000_EERD_START))
		return val & 0xff00;
	return (val & 0xff00) | E1000_EERD_DONE | (uint32_t)c->eeprom[word % MICROWIRE_WORDS] << 16;
}

/* --- the PHY ------------------------------------------------------------------------------------------------------- */

static const uint16_t e1000_phy_values[] = {
	[PHY_CONTROL] = 0x1140, /* autonegotiation, full duplex, 1000 */
	[PHY_STATUS] = 0x7949,	[PHY_ID1] = 0x0141, [PHY_ID2] = 0x0c20,
	[4] = 0x0de1, /* what we can do … */
	[5] = 0x45e1, /* … and the other end */
	[6] = 0x0001,		[9] = 0x0e00,	    [10] = 0x3c00,
	[15] = 0x3000,		[16] = 0x0068,	    [20] = 0x0d60,
};

static const uint16_t e1000_phy_writable[32] = {
	[PHY_CONTROL] = 0xfd40, [4] = 0xffff,  [7] = 0xffff,  [9] = 0xff00,
	[16] = 0xffff,		[18] = 0xffff, [20] = 0xffff, [24] = 0xffff,
	[26] = 0xffff,		[29] = 0xffff, [30] = 0xffff,
};

void e1000_phy_link(struct e1000 *c)
{
	uint16_t status = c->phy[PHY_STATUS] & (uint16_t)~PHY_STATUS_UP;

	c->phy[PHY_STATUS] = c->n.link ? status | PHY_STATUS_UP : status;
	c->phy[PHY_SPECIFIC_STATUS] = c->n.link ? PHY_SPECIFIC_UP : 0;
}

void e1000_phy_reset(struct e1000 *c)
{
	memset(c->phy, 0, sizeof(c->phy));
	memcpy(c->phy, e1000_phy_values, sizeof(e1000_phy_values));
	e1000_phy_link(c);
}

static void e1000_phy_write(struct e1000 *c, unsigned int reg, uint16_t val)
{
	uint16_t mask = e1000_phy_writable[reg];

	if (reg == PHY_CONTROL && val & PHY_CONTROL_RESET) {
		e1000_phy_reset(c);
		return;
	}
	if (reg == PHY_CONTROL && val & PHY_CONTROL_ANEW) {
		val &= (uint16_t)~PHY_CONTROL_ANEW;
		e1000_cause(c, c->n.link ? E1000_INT_LSC : 0);
	}
	c->phy[reg] = (uint16_t)((c->phy[reg] & ~mask) | (val & mask));
}

uint32_t e1000_mdic(struct e1000 *c, uint32_t val)
{
	unsigned int reg = val >> 16 & 31, address = val >> 21 & 31, op = val >> 26 & 3;
	bool known =
		address == E1000_PHY_ADDRESS && (op == E1000_MDIC_READ || op == E1000_MDIC_WRITE);

	if (known && op == E1000_MDIC_WRITE)
		e1000_phy_write(c, reg, (uint16_t)val);
	else if (known)
		val = (val & ~0xffffu) | c->phy[reg];
	if (val & E1000_MDIC_INTERRUPT)
		e1000_cause(c, E1000_INT_MDAC);
	val &= ~E1000_MDIC_ERROR;
	return val | E1000_MDIC_READY | (known ? 0 : E1000_MDIC_ERROR);
}
