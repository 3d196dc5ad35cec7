// SPDX-License-Identifier: MIT
/*
 * Units that are devices of the host: the target's part. Their identity, modes, sense data and status are the device's own;
 * which units there are, and what became of them, the target tells. On the thread of the attached loop.
 */
#include <errno.h>
#include <stdlib.h>

#include "vmm/scsi/host.h"
#include "vmm/scsi/unit.h"

static void scsi_pass_ended(void *arg, struct scsi_task *t)
{
	const struct scsi_target *target = arg;

	if (!t->host_error) {
		t->done(t);
	} else if (target->units[t->unit->lun] != t->unit) { /* it is leaving */
		scsi_fail(t, SCSI_NO_UNIT);
	} else if (t->host_error == -EPERM) { /* the kernel lets it pass from nobody like us */
		scsi_fail(t, SCSI_INVALID_OPCODE);
	} else {
		t->br = (struct block_req){ .op = t->nout ? BLOCK_WRITE : BLOCK_READ };
		if (target->ops->trouble)
			target->ops->trouble(target->arg, t->unit->lun, &t->br, t->host_error);
		scsi_fail(t, SCSI_TARGET_FAILURE);
	}
}

int scsi_pass_attach(struct scsi_unit *u)
{
	struct scsi_target *t = u->target;

	return scsi_host_attach(u->host, t->loop, scsi_pass_ended, scsi_batch_done, t);
}

static void scsi_pass_hold(struct scsi_unit *u, struct scsi_task *t)
{
	struct scsi_task *next;

	for (; t; t = next) {
		next = t->next;
		scsi_park(&u->held, t);
	}
}

void scsi_pass_recall(struct scsi_unit *u)
{
	struct scsi_task *t;

	scsi_host_recall(u->host, &t);
	scsi_pass_hold(u, t);
}

void scsi_pass_detach(struct scsi_unit *u)
{
	struct scsi_task *t;

	scsi_host_detach(u->host, &t);
	scsi_pass_hold(u, t);
}

/* --- those that leave -------------------------------------------------------------------------------------- */

static void scsi_pass_let_go(struct scsi_unit **link)
{
	struct scsi_unit *u = *link;

	*link = u->next_leaving;
	scsi_pass_detach(u);
	scsi_host_free(u->host);
	free(u);
}

void scsi_pass_part(struct scsi_target *t)
{
	struct scsi_unit **link = &t->leaving;

	while (*link)
		if (scsi_host_runs((*link)->host))
			link = &(*link)->next_leaving;
		else
			scsi_pass_let_go(link);
}

void scsi_pass_part_all(struct scsi_target *t)
{
	while (t->leaving)
		scsi_pass_let_go(&t->leaving);
}

/* Its device may be at a command for a minute, for which nobody waits but who sent it. */
void scsi_pass_leave(struct scsi_unit *u)
{
	struct scsi_target *t = u->target;

	scsi_pass_recall(u);
	scsi_unit_abort(u, -ESHUTDOWN);
	t->units[u->lun] = NULL;
	u->next_leaving = t->leaving;
	t->leaving = u;
	scsi_pass_part(t);
}

/* --- its tasks ----------------------------------------------------------------------------------------------- */

void scsi_pass_go_on(struct scsi_unit *u)
{
	struct scsi_task *t;

	while ((t = u->held.first)) {
		scsi_unpark(&u->held, t);
		scsi_host_start(u->host, t);
	}
}

/* It never came to the device. */
static void scsi_pass_called_back(struct block_req *br, int ret)
{
	struct scsi_task *t = container_of(br, struct scsi_task, br);

	scsi_fail(t, ret == -ESHUTDOWN ? SCSI_NO_UNIT : SCSI_TARGET_FAILURE);
}

void scsi_pass_start(struct scsi_unit *u, struct scsi_task *t)
{
	bool tells_not = t->cdb[0] == 0x12 || t->cdb[0] == 0x03; /* INQUIRY, REQUEST SENSE */
	enum scsi_sense sense = tells_not ? SCSI_NO_SENSE : scsi_unit_attention(u, true);

	if (t->cdb[0] == 0xa0) {
		scsi_report_luns(u, t);
	} else if (sense) {
		scsi_fail(t, sense);
	} else {
		t->after = scsi_pass_called_back;
		scsi_host_start(u->host, t);
	}
}
