// SPDX-License-Identifier: MIT
/*
 * The target: its units, how a task comes to a command and to its end, what units have to tell (SAM-5, chapters
 * 4 to 7). On the thread of the attached loop; before it is attached, on the control loop.
 *
 * Task attributes: all are SIMPLE, and reordered without restriction; ORDERED and HEAD OF QUEUE are not
 * supported (VPD page 86h says so), so that nothing waits for another task.
 */
#include "vmm/scsi/scsi.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/util.h"
#include "vmm/scsi/host.h"
#include "vmm/scsi/unit.h"
#include "vmm/virtio/iov.h"

#define SCSI_BLOCK_MAX 4096
#define SCSI_CD_BLOCK 2048

/* --- ends of a task -------------------------------------------------------------------------------------- */

void scsi_end(struct scsi_task *t, enum scsi_status status)
{
	t->status = (uint8_t)status;
	t->done(t);
}

void scsi_good(struct scsi_task *t)
{
	scsi_end(t, SCSI_GOOD);
}

/* SPC-4, section 4.5.3 */
void scsi_put_sense(uint8_t out[static SCSI_SENSE_SIZE], enum scsi_sense sense)
{
	memset(out, 0, SCSI_SENSE_SIZE);
	out[0] = 0x70; /* current, fixed format */
	out[2] = (uint8_t)((unsigned int)sense >> 16);
	out[7] = SCSI_SENSE_SIZE - 8;
	scsi_put16(out + 12, (unsigned int)sense & 0xffff);
}

void scsi_fail(struct scsi_task *t, enum scsi_sense sense)
{
	t->moved = 0;
	t->sense_len = SCSI_SENSE_SIZE;
	scsi_put_sense(t->sense, sense);
	scsi_end(t, SCSI_CHECK_CONDITION);
}

void scsi_overrun(struct scsi_task *t)
{
	t->overrun = true;
	scsi_good(t);
}

void scsi_reply(struct scsi_task *t, const void *data, size_t len, size_t allocation)
{
	len = MIN(len, allocation);
	if (iov_size(t->in, t->nin) < len) {
		scsi_overrun(t);
		return;
	}
	t->moved = iov_write(t->in, t->nin, 0, data, len);
	scsi_good(t);
}

/* --- units ------------------------------------------------------------------------------------------------- */

static struct scsi_unit *scsi_unit_find(const struct scsi_target *t, uint32_t lun)
{
	return lun < SCSI_UNITS_MAX ? t->units[lun] : NULL;
}

static struct scsi_unit *scsi_drive_find(const struct scsi_target *t, uint32_t lun)
{
	struct scsi_unit *u = scsi_unit_find(t, lun);

	return u && u->kind == SCSI_CDROM ? u : NULL;
}

bool scsi_target_has(const struct scsi_target *t, uint32_t lun)
{
	return scsi_unit_find(t, lun);
}

static enum scsi_sense scsi_tell_sense(unsigned int what)
{
	switch (what) {
	case SCSI_TELL_POWER_ON:
		return SCSI_POWER_ON;
	case SCSI_TELL_RESET:
		return SCSI_RESET_OCCURRED;
	case SCSI_TELL_MEDIUM:
		return SCSI_MEDIUM_CHANGED;
	case SCSI_TELL_CAPACITY:
		return SCSI_CAPACITY_CHANGED;
	default:
		return SCSI_NO_SENSE;
	}
}

enum scsi_sense scsi_unit_attention(struct scsi_unit *u, bool take)
{
	unsigned int first = u->tell & -u->tell;

	if (u->silent)
		return SCSI_NO_SENSE;
	if (!first && u->target->luns_changed) {
		u->target->luns_changed = !take;
		return SCSI_LUNS_CHANGED;
	}
	if (take)
		u->tell &= ~first;
	return scsi_tell_sense(first);
}

void scsi_unit_tell(struct scsi_unit *u, unsigned int what)
{
	unsigned int sense = scsi_tell_sense(what);
	struct scsi_target *t = u->target;

	u->tell |= what;
	if (t->ops->changed)
		t->ops->changed(t->arg, u->lun, (sense >> 8) & 0xff, sense & 0xff);
}

enum scsi_sense scsi_unit_no_medium(const struct scsi_unit *u)
{
	if (u->open)
		return SCSI_NO_MEDIUM_OPEN;
	return u->block ? SCSI_NO_SENSE : SCSI_NO_MEDIUM_CLOSED;
}

void scsi_tray(struct scsi_unit *u, bool open)
{
	struct scsi_target *t = u->target;

	if (u->open == open)
		return;
	u->open = open;
	u->media_event = open ? SCSI_MEDIA_REMOVAL : u->block ? SCSI_MEDIA_NEW : SCSI_MEDIA_NONE;
	if (!open && u->block)
		scsi_unit_tell(u, SCSI_TELL_MEDIUM);
	if (t->ops->tray)
		t->ops->tray(t->arg, u->lun, open);
}

static void scsi_unit_set_block(struct scsi_unit *u, struct block *block)
{
	u->block = block;
	u->blocks = block ? block_info(block)->size / u->block_size : 0;
}

static int scsi_medium_check(enum scsi_kind kind, const struct block *b, struct err *e)
{
	const struct block_info *i = b ? block_info(b) : NULL;

	if (i && kind == SCSI_CDROM &&
	    (i->logical_block > SCSI_CD_BLOCK || i->size < SCSI_CD_BLOCK))
		return err_set(e, ERR_FILE, "a CD has blocks of %d bytes, and one at least",
			       SCSI_CD_BLOCK);
	if (i && i->logical_block > SCSI_BLOCK_MAX)
		return err_set(e, ERR_FILE, "blocks of %u bytes: a SCSI disk has at most %d",
			       i->logical_block, SCSI_BLOCK_MAX);
	return 0;
}

static int scsi_unit_attach(struct scsi_unit *u)
{
	struct scsi_target *t = u->target;

	if (u->host)
		return scsi_pass_attach(u);
	return u->block ? block_attach(u->block, t->loop, scsi_batch_done, t) : 0;
}

static void scsi_unit_detach(struct scsi_unit *u)
{
	if (u->host)
		scsi_pass_detach(u);
	if (u->block)
		block_detach(u->block);
}

static void scsi_unit_free(struct scsi_unit *u)
{
	scsi_host_free(u->host);
	block_free(u->block);
	free(u);
}

void scsi_batch_done(void *arg)
{
	struct scsi_target *t = arg;

	if (t->batch_done)
		t->batch_done(t->arg);
	scsi_pass_part(t);
}

/* What runs on it ends by itself, what does not, here. */
static void scsi_unit_end(struct scsi_unit *u, int error)
{
	scsi_unit_detach(u);
	scsi_unit_abort(u, error);
}

/* While attached, a new block is too. It is freed after a failure. */
static int scsi_take_block(struct scsi_target *t, enum scsi_kind kind, struct block *take_block,
			   struct err *e)
{
	int ret = scsi_medium_check(kind, take_block, e);

	if (ret >= 0 && take_block && t->loop) {
		ret = block_attach(take_block, t->loop, scsi_batch_done, t);
		if (ret < 0)
			err_ret(e, ret, "cannot attach the image");
	}
	if (ret < 0)
		block_free(take_block);
	return ret;
}

int scsi_target_add(struct scsi_target *t, const struct scsi_unit_cfg *cfg, struct err *e)
{
	int ret = scsi_take_block(t, cfg->kind, cfg->block, e);
	struct scsi_unit *u;

	assert(cfg->lun < SCSI_UNITS_MAX && !t->units[cfg->lun]);
	assert(cfg->block || cfg->host || cfg->kind == SCSI_CDROM);
	if (ret < 0)
		return ret;
	u = calloc(1, sizeof(*u));
	if (!u) {
		if (cfg->block)
			block_detach(cfg->block);
		block_free(cfg->block);
		scsi_host_free(cfg->host);
		return err_set(e, ENOMEM, "a SCSI unit: no memory");
	}
	*u = (struct scsi_unit){ .target = t, .lun = cfg->lun, .kind = cfg->kind };
	snprintf(u->serial, sizeof(u->serial), "%s", cfg->serial);
	u->host = cfg->host;
	if (cfg->kind != SCSI_PASSTHROUGH)
		u->block_size = u->kind == SCSI_CDROM ? SCSI_CD_BLOCK
						      : block_info(cfg->block)->logical_block;
	scsi_unit_set_block(u, cfg->block);
	u->tell = SCSI_TELL_POWER_ON;
	u->writethrough = cfg->writethrough;
	u->silent = cfg->silent;
	if (cfg->limit)
		u->limit = *cfg->limit;
	t->units[u->lun] = u;
	if (t->loop && u->host)
		ret = scsi_pass_attach(u);
	if (t->loop && ret >= 0)
		ret = scsi_target_need_timer(t);
	if (ret < 0) {
		scsi_target_remove(t, u->lun);
		return err_ret(e, ret, "a SCSI unit");
	}
	return 0;
}

static void scsi_undirty(struct scsi_target *t, const struct scsi_unit *u)
{
	struct scsi_unit **link = &t->dirty;

	while (*link && *link != u)
		link = &(*link)->next_dirty;
	if (*link)
		*link = u->next_dirty;
}

void scsi_target_remove(struct scsi_target *t, uint32_t lun)
{
	struct scsi_unit *u = scsi_unit_find(t, lun);

	if (!u)
		return;
	if (u->host) {
		scsi_pass_leave(u);
		return;
	}
	scsi_unit_end(u, -ESHUTDOWN);
	scsi_undirty(t, u); /* after all that its tasks have queued */
	t->units[lun] = NULL;
	scsi_unit_free(u);
}

void scsi_target_luns_changed(struct scsi_target *t)
{
	t->luns_changed = true;
}

static void scsi_unit_reset(struct scsi_unit *u, unsigned int tell)
{
	u->locked = false;
	u->media_event = SCSI_MEDIA_NONE;
	u->tell = tell;
}

void scsi_target_reset(struct scsi_target *t)
{
	t->luns_changed = false;
	for (unsigned int i = 0; i < SCSI_UNITS_MAX; i++) {
		if (!t->units[i])
			continue;
		t->units[i]->open = t->units[i]->open && !t->units[i]->block;
		scsi_unit_reset(t->units[i], SCSI_TELL_POWER_ON);
	}
}

void scsi_target_reset_unit(struct scsi_target *t, uint32_t lun)
{
	struct scsi_unit *u = scsi_unit_find(t, lun);

	if (u)
		scsi_unit_reset(u, u->tell | SCSI_TELL_RESET);
}

/* --- changes of a disk ------------------------------------------------------------------------------------ */

bool scsi_target_is_host(const struct scsi_target *t, uint32_t lun)
{
	const struct scsi_unit *u = scsi_unit_find(t, lun);

	return u && u->host;
}

const struct block *scsi_target_image(const struct scsi_target *t, uint32_t lun)
{
	const struct scsi_unit *u = scsi_unit_find(t, lun);

	return u && u->kind == SCSI_DISK ? u->block : NULL;
}

void scsi_target_set_size(struct scsi_target *t, uint32_t lun, uint64_t size)
{
	struct scsi_unit *u = scsi_unit_find(t, lun);

	assert(u && u->kind == SCSI_DISK);
	block_set_size(u->block, size);
	scsi_unit_set_block(u, u->block);
	scsi_unit_tell(u, SCSI_TELL_CAPACITY);
}

int scsi_target_set_rates(struct scsi_target *t, uint32_t lun, const struct disk_rates *rates)
{
	struct scsi_unit *u = scsi_unit_find(t, lun);
	struct disk_limit before = u->limit;
	int ret;

	disk_limit_set(&u->limit, rates);
	if (!t->loop)
		return 0;
	ret = scsi_target_need_timer(t);
	if (ret < 0) {
		u->limit = before;
		return ret;
	}
	scsi_unit_serve_waiting(u);
	scsi_target_submit(t);
	return 0;
}

/* --- drives ------------------------------------------------------------------------------------------------ */

bool scsi_target_is_drive(const struct scsi_target *t, uint32_t lun)
{
	return scsi_drive_find(t, lun);
}

bool scsi_target_drive(const struct scsi_target *t, uint32_t lun, struct scsi_drive *ret)
{
	const struct scsi_unit *u = scsi_drive_find(t, lun);

	if (u)
		*ret = (struct scsi_drive){ .medium = u->block,
					    .open = u->open,
					    .locked = u->locked };
	return u;
}

const struct block *scsi_target_medium(const struct scsi_target *t, uint32_t lun)
{
	const struct scsi_unit *u = scsi_drive_find(t, lun);

	return u ? u->block : NULL;
}

int scsi_target_set_medium(struct scsi_target *t, uint32_t lun, struct block *take_block,
			   struct err *e)
{
	struct scsi_unit *u = scsi_drive_find(t, lun);
	int ret = scsi_take_block(t, SCSI_CDROM, take_block, e);

	assert(u);
	if (ret < 0)
		return ret;
	scsi_unit_end(u, -EIO);
	block_free(u->block);
	scsi_unit_set_block(u, take_block);
	u->locked = false;
	u->open = !take_block;
	u->media_event = take_block ? SCSI_MEDIA_NEW : SCSI_MEDIA_REMOVAL;
	scsi_unit_tell(u, SCSI_TELL_MEDIUM);
	return 0;
}

void scsi_target_ask_eject(struct scsi_target *t, uint32_t lun)
{
	struct scsi_unit *u = scsi_drive_find(t, lun);

	if (u)
		u->media_event = SCSI_MEDIA_EJECT_REQUEST;
}

/* --- tasks ------------------------------------------------------------------------------------------------- */

/* SPC-4, section 6.6.2 and SAM-5, section 4.7.4: what is answered for a unit that is not there */
static void scsi_start_nowhere(struct scsi_target *target, struct scsi_task *t)
{
	uint8_t nobody[36] = { 0x7f, 0, 0x06, 0x02, sizeof(nobody) - 5 };
	struct scsi_unit none = { .target = target };

	switch (t->cdb[0]) {
	case 0x12: /* INQUIRY */
		if (t->cdb[1] & 1)
			scsi_fail(t, SCSI_INVALID_FIELD);
		else
			scsi_reply(t, nobody, sizeof(nobody), scsi_get16(t->cdb + 3));
		break;
	case 0xa0: /* REPORT LUNS */
		scsi_report_luns(&none, t);
		break;
	case 0x03: /* REQUEST SENSE */
		scsi_put_sense(t->sense, SCSI_NO_UNIT);
		scsi_reply(t, t->sense, SCSI_SENSE_SIZE, t->cdb[4]);
		break;
	default:
		scsi_fail(t, SCSI_NO_UNIT);
	}
}

bool scsi_command_fits(const struct scsi_command *c, const struct scsi_unit *u)
{
	if (!(c->flags & (u->kind == SCSI_CDROM ? SCSI_ON_CDROM : SCSI_ON_DISK)))
		return false;
	return !(c->flags & SCSI_THIN) || scsi_unit_thin(u);
}

static const struct scsi_command *scsi_command_find(const struct scsi_unit *u, const uint8_t *cdb,
						    enum scsi_sense *ret_why)
{
	*ret_why = SCSI_INVALID_OPCODE;
	for (const struct scsi_command *c = scsi_commands; c->run; c++) {
		if (c->opcode != cdb[0] || !scsi_command_fits(c, u))
			continue;
		if (!(c->flags & SCSI_HAS_ACTION) || c->action == (cdb[1] & 0x1f))
			return c;
		*ret_why = SCSI_INVALID_FIELD; /* the opcode is known: SPC-4, section 4.3.4 */
	}
	return NULL;
}

static enum scsi_sense scsi_refuse(struct scsi_unit *u, const struct scsi_command *c,
				   const uint8_t *cdb)
{
	enum scsi_sense sense = SCSI_NO_SENSE;

	if (!(c->flags & SCSI_TELLS_NOT))
		sense = scsi_unit_attention(u, true);
	if (sense)
		return sense;
	if (cdb[c->len - 1] & 0x04) /* NACA: SAM-5, section 5.2; not supported */
		return SCSI_INVALID_FIELD;
	if (c->flags & SCSI_NEEDS_MEDIUM)
		sense = scsi_unit_no_medium(u);
	if (!sense && c->flags & SCSI_WRITES && block_info(u->block)->readonly)
		sense = SCSI_WRITE_PROTECTED;
	return sense;
}

void scsi_target_start(struct scsi_target *target, struct scsi_task *t)
{
	struct scsi_unit *u = scsi_unit_find(target, t->lun);
	const struct scsi_command *c;
	enum scsi_sense sense;

	t->unit = u;
	t->status = t->sense_len = 0;
	t->overrun = t->drawn = t->parked = false;
	t->host_error = 0;
	t->moved = 0;
	if (!u) {
		scsi_start_nowhere(target, t);
		return;
	}
	if (u->host) {
		scsi_pass_start(u, t);
		return;
	}
	c = scsi_command_find(u, t->cdb, &sense);
	if (!c) {
		scsi_fail(t, sense);
		return;
	}
	sense = scsi_refuse(u, c, t->cdb);
	if (sense)
		scsi_fail(t, sense);
	else
		c->run(u, t);
}

/* --- life ---------------------------------------------------------------------------------------------------- */

int scsi_target_attach(struct scsi_target *t, uv_loop_t *loop, void (*batch_done)(void *arg))
{
	int ret = 0;

	t->loop = loop;
	t->batch_done = batch_done;
	for (unsigned int i = 0; i < SCSI_UNITS_MAX && ret >= 0; i++)
		if (t->units[i])
			ret = scsi_unit_attach(t->units[i]);
	if (ret >= 0)
		ret = scsi_target_need_timer(t);
	if (ret < 0) {
		scsi_target_detach(t);
		return ret;
	}
	for (unsigned int i = 0; i < SCSI_UNITS_MAX; i++)
		if (t->units[i])
			scsi_unit_go_on(t->units[i]);
	scsi_target_submit(t);
	return 0;
}

void scsi_target_detach(struct scsi_target *t)
{
	/* of those that share a thread none begins anything while another one is waited for */
	for (unsigned int i = 0; i < SCSI_UNITS_MAX; i++)
		if (t->units[i] && t->units[i]->host)
			scsi_pass_recall(t->units[i]);
	for (unsigned int i = 0; i < SCSI_UNITS_MAX; i++)
		if (t->units[i])
			scsi_unit_detach(t->units[i]);
	scsi_pass_part_all(t);
	worker_timer_free(TAKE_PTR(t->timer));
	t->loop = NULL;
}

int scsi_target_new(const struct scsi_target_ops *ops, void *arg, struct scsi_target **ret_target,
		    struct err *e)
{
	struct scsi_target *t = calloc(1, sizeof(*t));

	if (t)
		t->pattern = malloc(SCSI_PATTERN);
	if (!t || !t->pattern) {
		free(t);
		return err_set(e, ENOMEM, "a SCSI target: no memory");
	}
	t->ops = ops;
	t->arg = arg;
	*ret_target = t;
	return 0;
}

void scsi_target_free(struct scsi_target *t)
{
	if (!t)
		return;
	for (unsigned int i = 0; i < SCSI_UNITS_MAX; i++)
		if (t->units[i])
			scsi_unit_free(t->units[i]);
	free(t->pattern);
	free(t);
}
