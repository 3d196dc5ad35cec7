// SPDX-License-Identifier: MIT
/*
 * The registers of an AHCI port and its link: AHCI 1.3.1, sections 3.3, 8.3 (power states of the
 * link) and 10.4 (resets). What the host's kernel has of a drive cannot be called back, and reaches
 * into the guest's memory: PxCMD.CR is 1 until it has ended, and so is BSY of a drive that was
 * reset. Under machine.lock.
 */
#include <errno.h>
#include <stdlib.h>

#include "vmm/ata/ahci.h"

/* PxCMD */
#define AHCI_SUD BIT(1)
#define AHCI_POD BIT(2)
#define AHCI_FR BIT(14)
#define AHCI_CR BIT(15)
#define AHCI_HPCP BIT(18) /* drives may come and go */
#define AHCI_ATAPI BIT(24)
#define AHCI_CMD_FIXED (AHCI_SUD | AHCI_POD | AHCI_HPCP)
#define AHCI_CMD_KEPT (AHCI_ST | AHCI_FRE | AHCI_ATAPI | AHCI_ALPE | AHCI_ASP)
#define AHCI_CCS_SHIFT 8

#define AHCI_PIE_BITS 0xfdc000ffu
#define AHCI_PIS_FIXED (AHCI_PCS | AHCI_PRCS | BIT(4)) /* they are other registers' */

#define AHCI_TFD_NONE 0x7f
#define AHCI_SIG_NONE 0xffffffffu

/* PxSCTL and PxSSTS: sections 3.3.10 and 3.3.11 */
#define AHCI_DET 0xfu
#define AHCI_DET_UP 3
#define AHCI_DET_OFF 4
#define AHCI_SCTL_BITS 0xfff
#define AHCI_LINK_UP 0x123 /* active, 3 Gb/s, there is a drive */
#define AHCI_LINK_SLOW 0x113
#define AHCI_SPEED(sctl) ((sctl) >> 4 & 0xf)
#define AHCI_IPM_SHIFT 8 /* of both */
#define AHCI_IPM (0xfu << AHCI_IPM_SHIFT)
#define AHCI_NO_PARTIAL BIT(8) /* PxSCTL.IPM */
#define AHCI_NO_SLUMBER BIT(9)

#define AHCI_PASSED 1

/* --- the link --------------------------------------------------------------------------------------- */

static bool ahci_link_off(const struct ahci_port *p)
{
	return p->sctl & AHCI_DET;
}

bool ahci_link_is_up(const struct ahci_port *p)
{
	return (p->ssts & AHCI_DET) == AHCI_DET_UP;
}

/* Section 3.3.9: of the first FIS behind a reset */
static void ahci_show_signature(struct ahci_port *p)
{
	struct ata_regs *r = &p->regs;

	*r = (struct ata_regs){ .error = AHCI_PASSED };
	ata_signature(p->ata, r);
	r->status = p->ata->kind == SCSI_CDROM ? 0 : ATA_DRDY | ATA_DSC;
	p->sig = (uint32_t)r->lba << 8 | (r->count & 0xff);
	p->tfd = (uint32_t)r->error << 8 | r->status;
	p->fis_due = true;
	ahci_fis_late(p);
}

/* What is told of a link that has come, or gone: PhyRdy has changed, and a drive has said so. */
static void ahci_link_changed(struct ahci_port *p)
{
	bool up = p->ata && !ahci_link_off(p), was = ahci_link_is_up(p);

	p->ssts = (p->sctl & AHCI_DET) == AHCI_DET_OFF ? AHCI_DET_OFF : 0;
	p->sig = AHCI_SIG_NONE;
	p->tfd = AHCI_TFD_NONE;
	p->serr |= (up || was ? AHCI_DIAG_N : 0) | (up ? AHCI_DIAG_X : 0);
	if (!up)
		return;
	p->ssts = AHCI_SPEED(p->sctl) == 1 ? AHCI_LINK_SLOW : AHCI_LINK_UP;
	p->tfd = ATA_BSY;
	p->reset_due = true;
}

/* A COMRESET, or a drive that comes or goes: all that was under way is void. */
static void ahci_link_reset(struct ahci_port *p)
{
	ahci_port_drop(p);
	p->ci = p->sact = 0;
	p->srst = p->reset_due = p->fis_due = p->used = false;
	if (p->ata)
		ata_drive_reset(p->ata, !p->ata->keeps);
	ahci_link_changed(p);
	ahci_port_settle(p);
}

/* --- its power states: section 8.3 ------------------------------------------------------------------ */

/* PhyRdy is 0 in both of the lower ones, and each change of it is told: section 3.3.12. */
static void ahci_link_set(struct ahci_port *p, enum ahci_power power)
{
	if (!ahci_link_is_up(p) || p->ssts >> AHCI_IPM_SHIFT == power)
		return;
	p->ssts = (p->ssts & ~AHCI_IPM) | (uint32_t)power << AHCI_IPM_SHIFT;
	p->serr |= AHCI_DIAG_N;
}

void ahci_link_wake(struct ahci_port *p)
{
	ahci_link_set(p, AHCI_ACTIVE);
}

/*
 * The drive takes each request, if PxSCTL.IPM lets it be made: section 3.3.11. As long as it has
 * a command, the link is not idle; and from one lower state to the other there is no way.
 */
static void ahci_link_lower(struct ahci_port *p, enum ahci_power power)
{
	uint32_t no = power == AHCI_SLUMBER ? AHCI_NO_SLUMBER : AHCI_NO_PARTIAL;

	if (p->ssts >> AHCI_IPM_SHIFT == AHCI_ACTIVE && !(p->sctl & no) && !p->running &&
	    !p->waiting)
		ahci_link_set(p, power);
}

/* Section 8.3.1.3: when the last command of the list has ended */
void ahci_link_rest(struct ahci_port *p)
{
	if (!p->used || p->ci || p->sact || p->running)
		return;
	p->used = false;
	if (p->cmd & AHCI_ALPE)
		ahci_link_lower(p, p->cmd & AHCI_ASP ? AHCI_SLUMBER : AHCI_PARTIAL);
}

/* PxCMD.ICC: what else there is is reserved, and it reads as 0. */
static void ahci_link_control(struct ahci_port *p, uint32_t icc)
{
	if (icc == AHCI_ACTIVE)
		ahci_link_wake(p);
	else if (icc == AHCI_PARTIAL || icc == AHCI_SLUMBER)
		ahci_link_lower(p, (enum ahci_power)icc);
}

/* --- a drive ------------------------------------------------------------------------------------------ */

int ahci_port_plug(struct ahci_port *p, struct ata_drive *ata, struct err *e)
{
	if (ata && !p->slots)
		p->slots = calloc(AHCI_SLOTS, sizeof(*p->slots));
	if (ata && !p->answer)
		p->answer = malloc(ATA_ANSWER_MAX);
	if (ata && (!p->slots || !p->answer))
		return err_set(e, ENOMEM, "no memory for a port");
	for (unsigned int i = 0; ata && i < AHCI_SLOTS; i++)
		p->slots[i].port = p;
	p->ata = ata;
	return 0;
}

void ahci_port_link(struct ahci_port *p)
{
	ahci_link_reset(p);
	ahci_go(p);
}

/* --- what is under way ------------------------------------------------------------------------------ */

void ahci_port_halt(struct ahci_port *p, uint32_t cause)
{
	p->halted = true;
	p->is |= cause;
}

void ahci_port_drop(struct ahci_port *p)
{
	p->dropped |= p->running;
	p->waiting = 0;
}

void ahci_port_settle(struct ahci_port *p)
{
	if (p->running)
		return;
	p->dropped = 0;
	p->queue = false;
	if (!p->reset_due) {
		/* nobody will send, or take, what a drive may wait for */
		if (!(p->cmd & AHCI_ST) && p->ata && !ahci_link_off(p))
			p->tfd &= ~(uint32_t)(ATA_BSY | ATA_DRQ);
		return;
	}
	p->reset_due = false;
	ata_drive_reset(p->ata, false);
	ahci_show_signature(p);
}

/* --- resets ----------------------------------------------------------------------------------------- */

void ahci_port_reset(struct ahci_port *p, bool all)
{
	p->is = p->ie = p->serr = p->sctl = 0;
	p->cmd = 0;
	p->slot = AHCI_SLOTS - 1;
	p->halted = false;
	if (all) {
		p->clb = p->fb = 0;
		p->running = p->dropped = 0;
	}
	ahci_link_reset(p);
}

/* --- registers -------------------------------------------------------------------------------------- */

static uint32_t ahci_read_cmd(const struct ahci_port *p)
{
	uint32_t v = p->cmd | AHCI_CMD_FIXED;

	if (p->cmd & AHCI_FRE)
		v |= AHCI_FR;
	if (p->cmd & AHCI_ST || p->running)
		v |= AHCI_CR;
	if (p->cmd & AHCI_ST)
		v |= (p->slot % AHCI_SLOTS) << AHCI_CCS_SHIFT;
	return v;
}

static uint32_t ahci_read_is(const struct ahci_port *p)
{
	uint32_t v = p->is;

	if (p->serr & AHCI_DIAG_X)
		v |= AHCI_PCS;
	if (p->serr & AHCI_DIAG_N)
		v |= AHCI_PRCS;
	return v;
}

uint32_t ahci_port_read(const struct ahci_port *p, unsigned int reg)
{
	switch (reg) {
	case AHCI_CLB:
		return (uint32_t)p->clb;
	case AHCI_CLBU:
		return (uint32_t)(p->clb >> 32);
	case AHCI_FB:
		return (uint32_t)p->fb;
	case AHCI_FBU:
		return (uint32_t)(p->fb >> 32);
	case AHCI_PIS:
		return ahci_read_is(p);
	case AHCI_PIE:
		return p->ie;
	case AHCI_CMD:
		return ahci_read_cmd(p);
	case AHCI_TFD:
		return p->tfd;
	case AHCI_SIG:
		return p->sig;
	case AHCI_SSTS:
		return p->ssts;
	case AHCI_SCTL:
		return p->sctl;
	case AHCI_SERR:
		return p->serr;
	case AHCI_SACT:
		return p->sact;
	case AHCI_CI:
		return p->ci;
	default:
		return 0;
	}
}

/* Section 10.3.2: what is cleared with ST */
static void ahci_stop_list(struct ahci_port *p)
{
	p->ci = p->sact = 0;
	p->halted = p->used = false;
	ahci_port_drop(p);
	ahci_port_settle(p);
}

static void ahci_write_cmd(struct ahci_port *p, uint32_t val)
{
	uint32_t before = p->cmd;

	if (before & AHCI_ST) /* section 10.3.2: as long as commands may end */
		val |= AHCI_FRE;
	p->cmd = val & AHCI_CMD_KEPT;
	if (val & AHCI_CLO && !(before & AHCI_ST))
		p->tfd &= ~(uint32_t)(ATA_BSY | ATA_DRQ);
	ahci_fis_late(p);
	if (before & AHCI_ST && !(val & AHCI_ST))
		ahci_stop_list(p);
	ahci_link_control(p, val >> AHCI_ICC_SHIFT);
	if (!(before & AHCI_ST) && val & AHCI_ST)
		p->slot = AHCI_SLOTS - 1; /* the first one is 0 */
}

/* Section 10.4.2 */
static void ahci_write_sctl(struct ahci_port *p, uint32_t val)
{
	uint32_t before = p->sctl & AHCI_DET;

	p->sctl = val & AHCI_SCTL_BITS;
	if ((val & AHCI_DET) != before)
		ahci_link_reset(p);
}

static void ahci_set_low(uint64_t *reg, uint32_t val)
{
	*reg = (*reg & ~(uint64_t)UINT32_MAX) | val;
}

static void ahci_set_high(uint64_t *reg, uint32_t val)
{
	*reg = (uint32_t)*reg | (uint64_t)val << 32;
}

static void ahci_port_set(struct ahci_port *p, unsigned int reg, uint32_t val)
{
	switch (reg) {
	case AHCI_CLB:
		ahci_set_low(&p->clb, val & ~0x3ffu);
		break;
	case AHCI_CLBU:
		ahci_set_high(&p->clb, val);
		break;
	case AHCI_FB:
		ahci_set_low(&p->fb, val & ~0xffu);
		break;
	case AHCI_FBU:
		ahci_set_high(&p->fb, val);
		break;
	case AHCI_PIS:
		p->is &= ~(val & ~AHCI_PIS_FIXED);
		break;
	case AHCI_PIE:
		p->ie = val & AHCI_PIE_BITS;
		break;
	case AHCI_CMD:
		ahci_write_cmd(p, val);
		break;
	case AHCI_SCTL:
		ahci_write_sctl(p, val);
		break;
	case AHCI_SERR:
		p->serr &= ~val;
		break;
	case AHCI_SACT:
		p->sact |= p->cmd & AHCI_ST ? val : 0;
		break;
	case AHCI_CI:
		p->ci |= p->cmd & AHCI_ST ? val : 0;
		break;
	}
}

void ahci_port_write(struct ahci_port *p, unsigned int reg, uint32_t val)
{
	ahci_port_set(p, reg, val);
	ahci_go(p);
}
