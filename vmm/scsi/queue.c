// SPDX-License-Identifier: MIT
/*
 * Tasks on their way to the image of their unit: what is over its limits waits, what the host could not do may be held
 * until the machine was paused and goes on. Neither is in the host's hands, and both can be called back at once. On the
 * thread of the attached loop.
 */
#include <errno.h>
#include <string.h>

#include "lib/auto.h"
#include "vmm/scsi/host.h"
#include "vmm/scsi/unit.h"

/* --- lists ------------------------------------------------------------------------------------------------- */

void scsi_park(struct scsi_tasks *list, struct scsi_task *t)
{
	struct scsi_task **link = &list->first;

	while (*link)
		link = &(*link)->next;
	t->next = NULL;
	t->parked = true;
	*link = t;
}

bool scsi_unpark(struct scsi_tasks *list, struct scsi_task *t)
{
	struct scsi_task **link = &list->first;

	while (*link && *link != t)
		link = &(*link)->next;
	if (!*link)
		return false;
	*link = t->next;
	t->parked = false;
	return true;
}

/* --- to the block ------------------------------------------------------------------------------------------ */

static void scsi_send(struct scsi_task *t)
{
	struct scsi_unit *u = t->unit;

	if (t->saved && t->br.niov)
		memcpy(t->saved, t->br.iov, t->br.niov * sizeof(*t->saved));
	block_queue(u->block, &t->br);
	if (u->dirty)
		return;
	u->dirty = true;
	u->next_dirty = u->target->dirty;
	u->target->dirty = u;
}

static void scsi_block_done(struct block_req *br, int ret)
{
	struct scsi_task *t = container_of(br, struct scsi_task, br);
	struct scsi_unit *u = t->unit;
	const struct scsi_target *target = u->target;

	if (ret < 0 && !t->abandoned && target->ops->trouble &&
	    target->ops->trouble(target->arg, u->lun, br, ret) && t->saved)
		scsi_park(&u->held, t);
	else
		t->after(br, ret);
}

static void scsi_wait_over(void *arg)
{
	struct scsi_target *t = arg;

	for (unsigned int i = 0; i < SCSI_UNITS_MAX; i++)
		if (t->units[i])
			scsi_unit_serve_waiting(t->units[i]);
	scsi_target_submit(t);
}

/* What a command draws it draws once, however many steps it has: blk_draw does so as well. */
static bool scsi_may_go(struct scsi_unit *u, struct scsi_task *t)
{
	uint64_t ns = disk_limit_wait(&u->limit);

	if (ns) {
		worker_timer_arm(u->target->timer, ns / 1000000 + 1);
		return false;
	}
	disk_limit_draw(&u->limit, t->br.op <= BLOCK_WRITE ? t->br.len : 0);
	t->drawn = true;
	return true;
}

void scsi_unit_serve_waiting(struct scsi_unit *u)
{
	struct scsi_task *t;

	while ((t = u->waiting.first) && scsi_may_go(u, t)) {
		scsi_unpark(&u->waiting, t);
		scsi_send(t);
	}
}

void scsi_queue(struct scsi_task *t)
{
	struct scsi_unit *u = t->unit;

	t->after = t->br.done;
	t->br.done = scsi_block_done;
	t->br.stable = t->br.stable || u->writethrough;
	if (!t->drawn && u->limit.on && (u->waiting.first || !scsi_may_go(u, t)))
		scsi_park(&u->waiting, t);
	else
		scsi_send(t);
}

void scsi_target_submit(struct scsi_target *t)
{
	struct scsi_unit *u;

	while ((u = t->dirty)) {
		t->dirty = u->next_dirty;
		u->dirty = false;
		if (u->block)
			block_submit(u->block);
	}
}

/* --- from attach to detach --------------------------------------------------------------------------------- */

/* As it was before it ran */
static void scsi_send_again(struct scsi_task *t)
{
	if (t->br.niov)
		memcpy(t->br.iov, t->saved, t->br.niov * sizeof(*t->saved));
	scsi_send(t);
}

void scsi_unit_go_on(struct scsi_unit *u)
{
	struct scsi_task *t;

	if (u->host) {
		scsi_pass_go_on(u);
		return;
	}
	while ((t = u->held.first)) {
		scsi_unpark(&u->held, t);
		scsi_send_again(t);
	}
	scsi_unit_serve_waiting(u);
}

int scsi_target_need_timer(struct scsi_target *t)
{
	bool needed = false;

	for (unsigned int i = 0; i < SCSI_UNITS_MAX; i++)
		needed = needed || (t->units[i] && t->units[i]->limit.on);
	return needed && !t->timer ? worker_timer_new(t->loop, scsi_wait_over, t, &t->timer) : 0;
}

/* --- called back ------------------------------------------------------------------------------------------- */

/* By way of the command's own end: it may have something to give back. */
static void scsi_call_back(struct scsi_task *t, int error)
{
	t->after(&t->br, error);
}

void scsi_target_abort(struct scsi_target *target, struct scsi_task *t)
{
	struct scsi_unit *u = t->unit;
	bool mine = t->parked && (scsi_unpark(&u->waiting, t) || scsi_unpark(&u->held, t));

	(void)target;
	if (mine || (u && u->host && scsi_host_take_back(u->host, t)))
		scsi_call_back(t, -ECANCELED);
}

void scsi_unit_abort(struct scsi_unit *u, int error)
{
	struct scsi_task *t;

	while ((t = u->waiting.first ? u->waiting.first : u->held.first)) {
		if (!scsi_unpark(&u->waiting, t))
			scsi_unpark(&u->held, t);
		scsi_call_back(t, error);
	}
}

void scsi_target_forget(struct scsi_target *t)
{
	for (unsigned int i = 0; i < SCSI_UNITS_MAX; i++)
		if (t->units[i])
			t->units[i]->waiting.first = t->units[i]->held.first = NULL;
	t->pattern_task = NULL; /* all that ran elsewhere has ended */
}
