// SPDX-License-Identifier: MIT
/*
 * THE table of commands, and what tells an initiator of it: REPORT SUPPORTED OPERATION CODES (SPC-4, section
 * 6.35). What is not in the table is refused as an invalid operation code, as PERSISTENT RESERVE IN and OUT are:
 * there is one initiator, and nobody to be kept away. Reads and writes are in front.
 */
#include "vmm/scsi/unit.h"

#include <string.h>

#include "lib/util.h"

#define READS (SCSI_ON_BOTH | SCSI_NEEDS_MEDIUM)
#define DISK_READS (SCSI_ON_DISK | SCSI_NEEDS_MEDIUM)
#define WRITES (SCSI_ON_DISK | SCSI_NEEDS_MEDIUM | SCSI_WRITES)
#define ANYTIME (SCSI_ON_BOTH | SCSI_TELLS_NOT)

const struct scsi_command scsi_commands[] = {
	{ 0x28, 0, 10, READS, "\xf8\xff\xff\xff\xff\0\xff\xff\4", scsi_read },
	{ 0x2a, 0, 10, WRITES, "\xf8\xff\xff\xff\xff\0\xff\xff\4", scsi_write },
	{ 0x88, 0, 16, DISK_READS, "\xf8\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\4",
	  scsi_read },
	{ 0x8a, 0, 16, WRITES, "\xf8\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\4",
	  scsi_write },
	{ 0x08, 0, 6, DISK_READS, "\x1f\xff\xff\xff\4", scsi_read },
	{ 0x0a, 0, 6, WRITES, "\x1f\xff\xff\xff\4", scsi_write },
	{ 0xa8, 0, 12, READS, "\xf8\xff\xff\xff\xff\xff\xff\xff\xff\0\4", scsi_read },
	{ 0xaa, 0, 12, WRITES, "\xf8\xff\xff\xff\xff\xff\xff\xff\xff\0\4", scsi_write },
	{ 0x35, 0, 10, DISK_READS, "\2\xff\xff\xff\xff\0\xff\xff\4", scsi_synchronize },
	{ 0x91, 0, 16, DISK_READS, "\2\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\4",
	  scsi_synchronize },
	{ 0x42, 0, 10, WRITES | SCSI_THIN, "\1\0\0\0\0\0\xff\xff\4", scsi_unmap },
	{ 0x41, 0, 10, WRITES, "\xf8\xff\xff\xff\xff\0\xff\xff\4", scsi_write_same },
	{ 0x93, 0, 16, WRITES, "\xf9\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\4",
	  scsi_write_same },
	{ 0x00, 0, 6, SCSI_ON_BOTH | SCSI_NEEDS_MEDIUM, "\0\0\0\0\4", scsi_test_unit_ready },
	{ 0x03, 0, 6, ANYTIME, "\1\0\0\xff\4", scsi_request_sense },
	{ 0x12, 0, 6, ANYTIME, "\1\xff\xff\xff\4", scsi_inquiry },
	{ 0x1a, 0, 6, SCSI_ON_BOTH, "\x08\xff\xff\xff\4", scsi_mode_sense },
	{ 0x5a, 0, 10, SCSI_ON_BOTH, "\x18\xff\xff\0\0\0\xff\xff\4", scsi_mode_sense },
	{ 0x1b, 0, 6, SCSI_ON_BOTH, "\1\0\0\xf7\4", scsi_start_stop },
	{ 0x1e, 0, 6, SCSI_ON_CDROM, "\0\0\0\3\4", scsi_prevent_removal },
	{ 0x25, 0, 10, READS, "\0\0\0\0\0\0\0\0\4", scsi_read_capacity10 },
	{ 0x9e, 0x10, 16, DISK_READS | SCSI_HAS_ACTION, "\x1f\0\0\0\0\0\0\0\0\xff\xff\xff\xff\0\4",
	  scsi_read_capacity16 },
	{ 0x2f, 0, 10, READS, "\xf6\xff\xff\xff\xff\0\xff\xff\4", scsi_verify },
	{ 0x8f, 0, 16, DISK_READS, "\xf6\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\4",
	  scsi_verify },
	{ 0xa0, 0, 12, ANYTIME, "\0\xff\0\0\0\xff\xff\xff\xff\0\4", scsi_report_luns },
	{ 0xa3, 0x0c, 12, SCSI_ON_BOTH | SCSI_HAS_ACTION,
	  "\x1f\x87\xff\xff\xff\xff\xff\xff\xff\0\4", scsi_report_commands },
	{ 0xa3, 0x0d, 12, SCSI_ON_BOTH | SCSI_HAS_ACTION, "\x1f\x80\0\0\0\xff\xff\xff\xff\0\4",
	  scsi_report_tmfs },
	{ 0x43, 0, 10, SCSI_ON_CDROM | SCSI_NEEDS_MEDIUM, "\2\xf\0\0\0\xff\xff\xff\4",
	  scsi_read_toc },
	{ 0x46, 0, 10, SCSI_ON_CDROM | SCSI_TELLS_NOT, "\3\xff\xff\0\0\0\xff\xff\4",
	  scsi_get_configuration },
	{ 0x4a, 0, 10, SCSI_ON_CDROM | SCSI_TELLS_NOT, "\1\0\0\xff\0\0\xff\xff\4",
	  scsi_event_status },
	{ 0x51, 0, 10, SCSI_ON_CDROM | SCSI_NEEDS_MEDIUM, "\7\0\0\0\0\0\xff\xff\4",
	  scsi_disc_information },
	{ 0xbd, 0, 12, SCSI_ON_CDROM, "\0\0\0\0\0\0\0\xff\xff\0\4", scsi_mechanism_status },
	{ 0 },
};

/* SPC-4, section 6.35.2: a descriptor of each */
static void scsi_report_all(struct scsi_unit *u, struct scsi_task *t, size_t allocation)
{
	uint8_t out[4 + 8 * ARRAY_SIZE(scsi_commands)] = { 0 }, *d = out + 4;

	for (const struct scsi_command *c = scsi_commands; c->run; c++) {
		if (!scsi_command_fits(c, u))
			continue;
		d[0] = c->opcode;
		d[3] = c->action;
		d[5] = c->flags & SCSI_HAS_ACTION ? 1 : 0; /* SERVACTV */
		scsi_put16(d + 6, c->len);
		d += 8;
	}
	scsi_put32(out, (uint32_t)(d - out) - 4);
	scsi_reply(t, out, (size_t)(d - out), allocation);
}

static const struct scsi_command *scsi_report_find(const struct scsi_unit *u, uint8_t opcode,
						   uint32_t action, bool *ret_actions)
{
	const struct scsi_command *found = NULL;

	*ret_actions = false;
	for (const struct scsi_command *c = scsi_commands; c->run; c++) {
		if (c->opcode != opcode || !scsi_command_fits(c, u))
			continue;
		*ret_actions = c->flags & SCSI_HAS_ACTION;
		if (!*ret_actions || c->action == action)
			found = c;
	}
	return found;
}

/* SPC-4, section 6.35.3: one command */
static void scsi_report_one(struct scsi_unit *u, struct scsi_task *t, size_t allocation)
{
	unsigned int options = t->cdb[2] & 7;
	uint8_t out[4 + 16] = { 0, 1 /* not supported */ };
	const struct scsi_command *c;
	size_t len = 4;
	bool actions;

	c = scsi_report_find(u, t->cdb[3], scsi_get16(t->cdb + 4), &actions);
	/* 1: without a service action; 2: with one; 3: either */
	if (options > 3 || (options == 1 && actions) || (options == 2 && c && !actions)) {
		scsi_fail(t, SCSI_INVALID_FIELD);
		return;
	}
	if (c) {
		out[1] = 3; /* as in the standard */
		scsi_put16(out + 2, c->len);
		out[4] = c->opcode;
		memcpy(out + 5, c->usage, c->len - 1u);
		if (actions)
			out[5] = (out[5] & (uint8_t)~0x1f) | c->action;
		len += c->len;
	}
	scsi_reply(t, out, len, allocation);
}

void scsi_report_commands(struct scsi_unit *u, struct scsi_task *t)
{
	uint32_t allocation = scsi_get32(t->cdb + 6);

	if (t->cdb[2] & 0x80) /* RCTD: timeouts, which there are none of */
		scsi_fail(t, SCSI_INVALID_FIELD);
	else if (t->cdb[2] & 7)
		scsi_report_one(u, t, allocation);
	else
		scsi_report_all(u, t, allocation);
}

void scsi_report_tmfs(struct scsi_unit *u, struct scsi_task *t)
{
	/* ABORT TASK, ABORT and CLEAR TASK SET, LOGICAL UNIT RESET, QUERY TASK; QUERY TASK SET, I_T NEXUS RESET */
	static const uint8_t out[4] = { 0x80 | 0x40 | 0x10 | 0x08 | 0x04, 0x02 | 0x01 };

	(void)u;
	scsi_reply(t, out, sizeof(out), scsi_get32(t->cdb + 6));
}
