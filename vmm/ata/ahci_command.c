// SPDX-License-Identifier: MIT
/*
 * The command list of an AHCI port: AHCI 1.3.1, sections 4.2.2 and 4.2.3 (structures) and 5.3 to
 * 5.6 (what becomes of them). Queued commands run beside each other, anything else by itself, as
 * drivers have it, too. The structures are read where a command is issued and where its next
 * regions are needed; all that they name is looked up in the guest's memory first. Under
 * machine.lock, but for what the drives' set does elsewhere.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "vmm/ata/ahci.h"

/* Command header: section 4.2.2 */
#define AHCI_HEADER_SIZE 32
#define AHCI_HEADER_CLEAR BIT(10) /* BSY, upon R_OK: of a reset */
#define AHCI_HEADER_BYTES 4

/* Command table: section 4.2.3 */
#define AHCI_TABLE_PACKET 0x40
#define AHCI_TABLE_REGIONS 0x80
#define AHCI_REGION_SIZE 16
#define AHCI_REGION_BYTES 0x3fffff
#define AHCI_REGION_TELL BIT(31)

/* Register FIS, host to device: Serial ATA 2.6, section 10.3.4 */
#define AHCI_H2D 0x27
#define AHCI_H2D_COMMAND BIT(7)
#define AHCI_H2D_SRST BIT(2) /* of Control */

#define AHCI_PART_MAX MIB
#define AHCI_DEVICE_RESET 0x08
#define AHCI_DIAGNOSTIC 0x90
#define AHCI_READ_QUEUED 0x60
#define AHCI_WRITE_QUEUED 0x61
#define AHCI_PASSED 1 /* Error, after the diagnostic */

struct ahci_h2d {
	uint8_t type, flags, command, feature;
	uint8_t low[3], device, high[3], feature_high;
	uint8_t count[2], icc, control, reserved[4];
};

static const struct gmem *ahci_gmem(const struct ahci_port *p)
{
	return p->ahci->dev.board->gmem;
}

static unsigned int ahci_number(const struct ahci_slot *s)
{
	return (unsigned int)(s - s->port->slots);
}

static uint32_t ahci_bit(const struct ahci_slot *s)
{
	return BIT(ahci_number(s));
}

static bool ahci_is_packet(const struct ahci_slot *s)
{
	return s->cmd.regs.command == ATA_PACKET_COMMAND;
}

/* Of a packet that reads no blocks */
static bool ahci_is_answer(const struct ahci_slot *s)
{
	return ahci_is_packet(s) && !s->cmd.block;
}

/* --- ends --------------------------------------------------------------------------------------- */

static void ahci_end_queued(struct ahci_slot *s)
{
	struct ahci_port *p = s->port;

	ahci_fis_bits(p, &s->cmd.regs, (uint8_t)ahci_number(s));
	if (s->cmd.regs.status & ATA_ERR) {
		ahci_port_halt(p, AHCI_TFES);
		ahci_port_drop(p); /* the drive has given up the others, too */
	}
}

static void ahci_put_bytes(const struct ahci_slot *s)
{
	uint32_t bytes = htole32(s->bytes);

	if (pci_is_master(&s->port->ahci->pci) &&
	    gmem_write(ahci_gmem(s->port), s->header + AHCI_HEADER_BYTES, &bytes, sizeof(bytes)) <
		    0)
		ahci_port_halt(s->port, AHCI_HBFS);
}

static uint32_t ahci_last_block(const struct ahci_slot *s)
{
	uint32_t block = s->cmd.block ? s->cmd.block : s->bytes;

	return s->bytes % block ? s->bytes % block : block;
}

/*
 * Data by PIO to the host ends with its PIO Setup, but for that of a packet; everything else, and
 * what fails, with Register. One that has failed is in PxCI still.
 */
static void ahci_end_alone(struct ahci_slot *s)
{
	bool failed = s->cmd.regs.status & ATA_ERR;
	bool pio = s->cmd.way == ATA_PIO_IN && s->bytes && !failed;
	struct ahci_port *p = s->port;

	ahci_put_bytes(s);
	if (pio)
		ahci_fis_pio(p, &s->cmd.regs, true, ahci_last_block(s), true);
	if (!pio || ahci_is_packet(s))
		ahci_fis_register(p, &s->cmd.regs, true);
	if (failed)
		ahci_port_halt(p, AHCI_TFES);
	else
		p->ci &= ~ahci_bit(s);
}

static void ahci_end(struct ahci_slot *s)
{
	if (s->cmd.queued)
		ahci_end_queued(s);
	else
		ahci_end_alone(s);
}

/* --- data --------------------------------------------------------------------------------------- */

/* struct ata_table, next: a region of the table */
static int ahci_region_next(void *arg, struct ata_place *at)
{
	struct ahci_slot *s = arg;
	uint32_t entry[4];

	if (at->used >= s->entries)
		return 0;
	if (gmem_read(ahci_gmem(s->port),
		      s->table + AHCI_TABLE_REGIONS + at->used * AHCI_REGION_SIZE, entry,
		      sizeof(entry)) < 0)
		return -EFAULT;
	at->used++;
	at->addr = (uint64_t)le32toh(entry[1]) << 32 | (le32toh(entry[0]) & ~1u);
	at->left = (le32toh(entry[3]) & AHCI_REGION_BYTES & ~1u) + 2;
	at->last = at->used == s->entries;
	s->tell = s->tell || le32toh(entry[3]) & AHCI_REGION_TELL;
	return 1;
}

static void ahci_regions_done(struct ahci_slot *s)
{
	if (s->tell)
		s->port->is |= AHCI_DPS;
	s->tell = false;
}

/* Section 6.1.5, command list overflow: of a table that is shorter than the command's data */
static void ahci_bad_table(struct ahci_slot *s, int64_t why)
{
	ahci_port_halt(s->port, why < 0 ? AHCI_HBFS : AHCI_OFS);
	ahci_port_drop(s->port);
}

/* What comes before data: Serial ATA 2.6, sections 10.3.8 (DMA Setup) and 10.3.11 (PIO Setup) */
static void ahci_announce(struct ahci_slot *s, bool in, uint32_t bytes)
{
	struct ata_regs r = s->cmd.regs;

	r.status = ATA_BSY;
	if (s->cmd.queued)
		ahci_fis_dma(s->port, (uint8_t)ahci_number(s), in, s->bytes, bytes);
	else if (s->cmd.way == ATA_PIO_OUT)
		ahci_fis_pio(s->port, &r, false, s->cmd.block, false);
}

static void ahci_move(struct ahci_slot *s)
{
	const struct ata_table table = { ahci_gmem(s->port), ahci_region_next, s };
	struct ahci_port *p = s->port;
	struct ata_cmd *c = &s->cmd;
	bool in = c->way == ATA_PIO_IN || c->way == ATA_DMA_IN;
	uint32_t unit = ahci_is_packet(s) ? c->block : ATA_SECTOR; /* the last block may be less */
	unsigned int n;
	int64_t bytes;

	if (!pci_is_master(&p->ahci->pci)) {
		p->waiting |= ahci_bit(s);
		return;
	}
	bytes = ata_collect(&table, &s->place, (uint32_t)MIN(c->left, AHCI_PART_MAX), unit, c->iov,
			    &n);
	if (bytes <= 0) {
		ahci_bad_table(s, bytes);
		return;
	}
	ahci_announce(s, in, (uint32_t)bytes);
	p->running |= ahci_bit(s);
	ata_move(c, n, (uint32_t)bytes);
}

/* A packet's answer, which is here in one piece */
static void ahci_answer(struct ahci_slot *s)
{
	const struct ata_table table = { ahci_gmem(s->port), ahci_region_next, s };
	int64_t bytes;

	if (!pci_is_master(&s->port->ahci->pci)) {
		s->port->waiting |= ahci_bit(s);
		return;
	}
	bytes = ata_fill(&table, &s->place, s->port->answer, s->cmd.moved);
	if (bytes < 0) {
		ahci_bad_table(s, bytes);
		return;
	}
	ahci_regions_done(s);
	s->bytes = (uint32_t)bytes;
	ahci_end(s);
}

/* Of a command, or of a move */
static void ahci_ended(struct ata_cmd *c)
{
	struct ahci_slot *s = container_of(c, struct ahci_slot, cmd);
	struct ahci_port *p = s->port;
	bool dropped = p->dropped & ahci_bit(s);

	p->running &= ~ahci_bit(s);
	if (dropped) {
		ahci_port_settle(p);
	} else if (c->regs.status & ATA_ERR || c->way == ATA_NO_DATA) {
		ahci_end(s);
	} else if (ahci_is_answer(s)) {
		ahci_answer(s);
	} else {
		s->bytes += c->moved;
		ahci_regions_done(s);
		if (c->left)
			ahci_move(s);
		else
			ahci_end(s);
	}
	ahci_go(p);
}

/* --- what a slot has ------------------------------------------------------------------------------ */

static void ahci_begun(struct ahci_slot *s, enum ata_next next)
{
	if (next == ATA_ENDED && ahci_is_packet(s) && !(s->cmd.regs.status & ATA_ERR))
		ahci_answer(s);
	else if (next == ATA_ENDED)
		ahci_end(s);
	else if (next == ATA_WAIT)
		s->port->running |= ahci_bit(s);
	else
		ahci_move(s);
}

static void ahci_packet(struct ahci_slot *s)
{
	uint8_t cdb[ATA_CDB];

	if (gmem_read(ahci_gmem(s->port), s->table + AHCI_TABLE_PACKET, cdb, sizeof(cdb)) < 0)
		ahci_bad_table(s, -EFAULT);
	else
		ahci_begun(s, ata_packet(&s->cmd, cdb, s->port->answer));
}

/* EXECUTE DEVICE DIAGNOSTIC; DEVICE RESET, of packet devices: they end with the signature. */
static bool ahci_is_reset(const struct ahci_slot *s)
{
	uint8_t command = s->cmd.regs.command;

	return command == AHCI_DIAGNOSTIC ||
	       (command == AHCI_DEVICE_RESET && s->port->ata->kind == SCSI_CDROM);
}

static void ahci_reset_drive(struct ahci_slot *s)
{
	struct ata_regs *r = &s->cmd.regs;

	ata_drive_reset(s->port->ata, false);
	ata_signature(s->port->ata, r);
	r->error = AHCI_PASSED;
	r->status = s->port->ata->kind == SCSI_CDROM ? 0 : ATA_DRDY | ATA_DSC;
	s->cmd.way = ATA_NO_DATA;
	s->cmd.queued = false;
	ahci_end(s);
}

/* Section 5.3: the drive takes it with BSY 0, and is free for the next one. */
static enum ata_next ahci_take_queued(struct ahci_slot *s, enum ata_next next)
{
	struct ata_regs taken = s->cmd.regs;
	struct ahci_port *p = s->port;

	taken.status = ATA_DRDY | ATA_DSC;
	taken.error = 0;
	ahci_fis_register(p, &taken, false);
	p->ci &= ~ahci_bit(s);
	if (s->cmd.tag == ahci_number(s))
		return next;
	ata_fail(&s->cmd, ATA_ABRT); /* section 5.6.4.1: a tag is its slot's number */
	ata_queued_failed(&s->cmd);
	return ATA_ENDED;
}

static void ahci_begin(struct ahci_slot *s, const struct ahci_h2d *h)
{
	struct ata_regs *r = &s->cmd.regs;
	enum ata_next next;

	*r = (struct ata_regs){ .command = h->command, .device = h->device };
	r->feature = (uint16_t)(h->feature_high << 8 | h->feature);
	r->count = (uint16_t)(h->count[1] << 8 | h->count[0]);
	for (unsigned int i = 0; i < 3; i++)
		r->lba |= (uint64_t)h->low[i] << (8 * i) | (uint64_t)h->high[i] << (24 + 8 * i);
	s->place = (struct ata_place){ 0 };
	s->bytes = 0;
	s->tell = false;
	s->cmd.ended = ahci_ended;
	s->port->tfd = ATA_BSY;
	if (ahci_is_reset(s)) {
		ahci_reset_drive(s);
		return;
	}
	next = ata_begin(s->port->ata, &s->cmd);
	if (s->cmd.queued)
		next = ahci_take_queued(s, next);
	if (next == ATA_MOVE && s->cmd.way == ATA_PACKET)
		ahci_packet(s);
	else
		ahci_begun(s, next);
}

/* Device Control alone. Section 10.4.1: SRST, by one command, and its end by the next */
static void ahci_control(struct ahci_slot *s, uint16_t header, const struct ahci_h2d *h)
{
	struct ahci_port *p = s->port;

	p->ci &= ~ahci_bit(s);
	if (h->control & AHCI_H2D_SRST) {
		p->srst = true;
		p->tfd = header & AHCI_HEADER_CLEAR ? 0 : ATA_BSY;
	} else if (p->srst) {
		p->srst = false;
		p->reset_due = true;
		ahci_port_settle(p);
	}
}

static void ahci_issue(struct ahci_slot *s, uint16_t header, const struct ahci_h2d *h)
{
	struct ahci_port *p = s->port;

	p->slot = ahci_number(s);
	p->fis_due = false;
	ahci_link_wake(p);
	p->used = true;
	if (h->type != AHCI_H2D)
		ahci_port_halt(p, AHCI_IFS); /* the drive has no use for it: section 6.1.2 */
	else if (!(h->flags & AHCI_H2D_COMMAND))
		ahci_control(s, header, h);
	else
		ahci_begin(s, h);
}

/* --- which of them ---------------------------------------------------------------------------------- */

static bool ahci_may_issue(const struct ahci_port *p)
{
	return p->cmd & AHCI_ST && ahci_link_is_up(p) && !p->halted && !p->reset_due &&
	       !p->dropped && !p->waiting && pci_is_master(&p->ahci->pci) &&
	       (p->queue || !p->running);
}

/* In turn, from the one behind the last */
static struct ahci_slot *ahci_next(struct ahci_port *p)
{
	uint32_t ready = p->ci & ~p->running;

	for (unsigned int i = 1; i <= AHCI_SLOTS; i++) {
		unsigned int n = (p->slot + i) % AHCI_SLOTS;

		if (ready & BIT(n))
			return &p->slots[n];
	}
	return NULL;
}

/* False: it cannot be, or not yet. */
static bool ahci_try(struct ahci_slot *s)
{
	struct ahci_port *p = s->port;
	uint32_t header[4];
	struct ahci_h2d h;
	bool queued;

	s->header = p->clb + (uint64_t)AHCI_HEADER_SIZE * ahci_number(s);
	if (gmem_read(ahci_gmem(p), s->header, header, sizeof(header)) < 0) {
		ahci_port_halt(p, AHCI_HBFS);
		return false;
	}
	s->table = (uint64_t)le32toh(header[3]) << 32 | (le32toh(header[2]) & ~0x7fu);
	s->entries = (uint16_t)(le32toh(header[0]) >> 16);
	if (gmem_read(ahci_gmem(p), s->table, &h, sizeof(h)) < 0) {
		ahci_port_halt(p, AHCI_HBFS);
		return false;
	}
	queued = h.command == AHCI_READ_QUEUED || h.command == AHCI_WRITE_QUEUED;
	if (p->running && !(queued && h.flags & AHCI_H2D_COMMAND))
		return false; /* alone */
	p->queue = queued;
	ahci_issue(s, (uint16_t)le32toh(header[0]), &h);
	return true;
}

static void ahci_go_on(struct ahci_port *p)
{
	for (unsigned int i = 0; i < AHCI_SLOTS && pci_is_master(&p->ahci->pci); i++) {
		if (!(p->waiting & BIT(i)))
			continue;
		p->waiting &= ~BIT(i);
		if (ahci_is_answer(&p->slots[i]))
			ahci_answer(&p->slots[i]);
		else
			ahci_move(&p->slots[i]);
	}
}

/* What ends at once calls back from inside of here: then the loop goes on, and not one below. */
void ahci_go(struct ahci_port *p)
{
	struct ahci_slot *s;

	if (!p->going) {
		p->going = true;
		ahci_go_on(p);
		while (ahci_may_issue(p) && (s = ahci_next(p)) && ahci_try(s))
			;
		ahci_link_rest(p);
		p->going = false;
	}
	ahci_sync_irq(p->ahci);
}
