// SPDX-License-Identifier: MIT
/*
 * The drives of an ATA controller: made of its configuration, and between two threads. Commands
 * go to the worker by a list, and come back by another, to the control loop, which has the
 * registers; neither list needs a lock. The worker takes none from the list while the target is
 * detached.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmm/ata/ata.h"
#include "vmm/scsi/media.h"
#include "vmm/worker.h"

static const char *const ata_kinds[] = { [SCSI_DISK] = "disk", [SCSI_CDROM] = "cdrom", NULL };

const struct field ata_drive_fields[] = {
	FIELD_STR("id", struct ata_drive_cfg, id),
	FIELD_U32("unit", struct ata_drive_cfg, unit),
	FIELD_ENUM("kind", struct ata_drive_cfg, kind, ata_kinds),
	DISK_FIELDS(struct ata_drive_cfg, disk),
	FIELD_STR("serial", struct ata_drive_cfg, serial),
	FIELD_END,
};

/* --- lists: one thread puts in, another takes all --------------------------------------------- */

/* True: it was empty. */
static bool ata_list_put(_Atomic(struct ata_cmd *) *list, struct ata_cmd *c)
{
	c->next = atomic_load(list);
	while (!atomic_compare_exchange_weak(list, &c->next, c))
		;
	return !c->next;
}

/* The oldest first */
static struct ata_cmd *ata_list_take(_Atomic(struct ata_cmd *) *list)
{
	struct ata_cmd *c = atomic_exchange(list, NULL), *oldest = NULL, *next;

	for (; c; c = next) {
		next = c->next;
		c->next = oldest;
		oldest = c;
	}
	return oldest;
}

/* --- the worker ------------------------------------------------------------------------------- */

static void ata_task_done(struct scsi_task *t)
{
	struct ata_cmd *c = container_of(t, struct ata_cmd, task);
	struct ata_set *s = c->drive->set;
	uint64_t one = 1;

	/* a full counter wakes too */
	if (ata_list_put(&s->done, c) && write(s->fd, &one, sizeof(one)) < 0)
		return;
}

void ata_work(struct ata_set *s)
{
	struct ata_cmd *c, *next;

	if (!s->attached)
		return;
	for (c = ata_list_take(&s->todo); c; c = next) {
		next = c->next;
		c->task.done = ata_task_done;
		scsi_target_start(s->target, &c->task);
	}
	scsi_target_submit(s->target);
}

void ata_give_up(struct ata_drive *d)
{
	struct ata_set *s = d->set;
	struct ata_cmd *c, *next;

	for (c = ata_list_take(&s->todo); c; c = next) {
		next = c->next;
		if (c->drive != d) {
			ata_list_put(&s->todo, c);
			continue;
		}
		c->task.status = SCSI_CHECK_CONDITION;
		memset(c->task.sense, 0, sizeof(c->task.sense));
		ata_task_done(&c->task);
	}
}

static void ata_rung(void *arg)
{
	ata_work(arg);
}

static void ata_attach_on_worker(void *arg)
{
	struct ata_set *s = arg;
	uv_loop_t *loop = worker_loop(s->worker);
	int ret;

	for (unsigned int i = 0; i < ATA_DRIVES_MAX; i++)
		trouble_over(&s->disks[i]);
	ret = scsi_target_attach(s->target, loop, NULL);
	if (ret < 0) {
		log_error(s->board->log, "ATA drives: %s", strerror(-ret));
		s->board->ops->event(s->board->arg, BOARD_FAULT, 0, "no memory for disks");
		return;
	}
	s->attached = true;
	ata_work(s);
}

static void ata_detach_on_worker(void *arg)
{
	struct ata_set *s = arg;

	if (!s->attached)
		return;
	ata_work(s); /* all that was begun */
	s->attached = false;
	scsi_target_detach(s->target);
}

static bool ata_trouble(void *arg, uint16_t lun, const struct block_req *r, int error)
{
	struct ata_set *s = arg;

	return trouble_note(&s->trouble, &s->disks[lun], r, error);
}

/* --- the control loop ------------------------------------------------------------------------- */

void ata_run(struct ata_cmd *c)
{
	struct ata_set *s = c->drive->set;

	if (ata_list_put(&s->todo, c))
		worker_bell_ring(s->bell);
}

void ata_reap(struct ata_set *s)
{
	struct ata_cmd *c, *next;

	for (c = ata_list_take(&s->done); c; c = next) {
		next = c->next; /* it may be on the other list soon */
		ata_task_ended(c);
	}
}

static void ata_ready(void *arg)
{
	struct ata_set *s = arg;
	uint64_t count;

	if (read(s->fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return;
	ata_reap(s);
}

void ata_set_start(struct ata_set *s)
{
	worker_call(s->worker, ata_attach_on_worker, s);
}

void ata_set_stop(struct ata_set *s)
{
	worker_call(s->worker, ata_detach_on_worker, s);
	ata_reap(s);
}

void ata_set_reset(struct ata_set *s)
{
	atomic_store(&s->todo, NULL);
	atomic_store(&s->done, NULL);
	scsi_target_forget(s->target);
	scsi_target_reset(s->target);
	for (unsigned int i = 0; i < ATA_DRIVES_MAX; i++) {
		trouble_over(&s->disks[i]);
		ata_drive_reset(&s->drives[i], true);
	}
}

struct ata_drive *ata_drive_at(struct ata_set *s, unsigned int unit)
{
	return unit < ATA_DRIVES_MAX && s->drives[unit].there ? &s->drives[unit] : NULL;
}

/* --- media ------------------------------------------------------------------------------------ */

/* Done by whoever has the target */
struct ata_media {
	struct ata_set *s;
	unsigned int unit;
	struct device_medium *medium;
	struct scsi_drive drive;
	struct err *e;
	int ret;
};

static void ata_drive_on_worker(void *arg)
{
	struct ata_media *m = arg;

	scsi_target_drive(m->s->target, m->unit, &m->drive);
}

static void ata_medium_on_worker(void *arg)
{
	struct ata_media *m = arg;

	m->ret = scsi_media_change(m->s->target, m->unit, m->s->names[m->unit],
				   &m->s->files[m->unit], m->medium, m->e);
}

/* The unit of a CD-ROM drive by number; ATA_DRIVES_MAX behind the last */
static unsigned int ata_cdrom(const struct ata_set *s, unsigned int index)
{
	unsigned int unit = 0;

	while (unit < ATA_DRIVES_MAX && !(scsi_target_is_drive(s->target, unit) && !index--))
		unit++;
	return unit;
}

bool ata_set_drive(struct ata_set *s, unsigned int index, struct device_drive *ret)
{
	struct ata_media m = { .s = s, .unit = ata_cdrom(s, index) };

	if (m.unit == ATA_DRIVES_MAX)
		return false;
	worker_call(s->worker, ata_drive_on_worker, &m);
	*ret = (struct device_drive){ .id = s->names[m.unit],
				      .medium = m.drive.medium,
				      .open = m.drive.open,
				      .locked = m.drive.locked };
	return true;
}

int ata_set_medium(struct ata_set *s, unsigned int index, struct device_medium *medium,
		   struct err *e)
{
	struct ata_media m = { .s = s, .unit = ata_cdrom(s, index), .medium = medium, .e = e };

	worker_call(s->worker, ata_medium_on_worker, &m);
	return m.ret;
}

/* --- life ------------------------------------------------------------------------------------- */

/* ATA has sectors of other sizes, but no BIOS and no system of the time knows them. */
static int ata_check_block(const struct block *b, struct err *e)
{
	if (block_info(b)->logical_block == ATA_SECTOR)
		return 0;
	err_set(e, ERR_FILE, "an ATA disk has sectors of %d bytes, and this one of %u", ATA_SECTOR,
		block_info(b)->logical_block);
	return err_hint(e, "give it to the guest as a virtio-blk or virtio-scsi disk");
}

int ata_open(const struct ata_set *s, struct ata_drive_cfg *cfg, struct block **ret_block,
	     struct stat *ret_file, struct err *e)
{
	int ret;

	*ret_block = NULL;
	if (cfg->disk.fd < 0)
		return cfg->kind == SCSI_CDROM ? 0 : err_set(e, ERR_INVALID, "no image");
	if (fstat(cfg->disk.fd, ret_file) < 0)
		return err_errno(e, "the image");
	ret = disk_open(&cfg->disk, s->board->caged, NULL, ret_block, e);
	if (ret < 0 || cfg->kind == SCSI_CDROM)
		return ret;
	ret = ata_check_block(*ret_block, e);
	if (ret < 0)
		block_free(TAKE_PTR(*ret_block));
	return ret;
}

static void ata_fill_drive(struct ata_set *s, const struct ata_drive_cfg *cfg,
			   const struct block *block, const struct stat *file)
{
	struct ata_drive *d = &s->drives[cfg->unit];
	uint32_t per_block = block ? block_info(block)->physical_block / ATA_SECTOR : 1;

	*d = (struct ata_drive){ .set = s,
				 .there = true,
				 .unit = (uint16_t)cfg->unit,
				 .sata = s->sata,
				 .kind = (enum scsi_kind)cfg->kind,
				 .writethrough = cfg->disk.cache == DISK_WRITETHROUGH };
	snprintf(d->serial, sizeof(d->serial), "%.20s", cfg->serial[0] ? cfg->serial : cfg->id);
	if (cfg->kind == SCSI_DISK) {
		d->sectors = block_info(block)->size / ATA_SECTOR;
		d->trims = block_info(block)->discard && !block_info(block)->readonly;
	}
	if (cfg->kind == SCSI_DISK && is_power_of_two(per_block))
		d->physical_exp = (uint8_t)MIN(__builtin_ctz(per_block), 15);
	snprintf(s->names[cfg->unit], DEVICE_ID_MAX, "%s", cfg->id);
	s->files[cfg->unit] = *file;
	s->rates[cfg->unit] = cfg->disk.rates;
	s->disks[cfg->unit] = (struct trouble_disk){ .id = s->names[cfg->unit],
						     .stop = cfg->disk.on_error == DISK_STOP };
	ata_drive_reset(d, true);
}

int ata_check_unit(const struct ata_set *s, unsigned int unit, struct err *e)
{
	if (unit < s->most && !s->drives[unit].there)
		return 0;
	return err_set(e, ERR_INVALID, "unit %u is %s", unit,
		       unit < s->most ? "taken" : "too large");
}

int ata_add(struct ata_set *s, const struct ata_drive_cfg *cfg, struct block *take_block,
	    const struct stat *file, struct err *e)
{
	struct disk_limit limit = { 0 };
	int ret;

	ata_fill_drive(s, cfg, take_block, file);
	disk_limit_set(&limit, &cfg->disk.rates);
	ret = scsi_target_add(s->target,
			      &(struct scsi_unit_cfg){
				      .kind = (enum scsi_kind)cfg->kind,
				      .lun = (uint16_t)cfg->unit,
				      .serial = s->drives[cfg->unit].serial,
				      .limit = &limit,
				      .writethrough = cfg->disk.cache == DISK_WRITETHROUGH,
				      .silent = cfg->kind == SCSI_DISK,
				      .block = take_block,
			      },
			      e);
	if (ret < 0)
		s->drives[cfg->unit].there = false;
	return ret;
}

static int ata_add_configured(struct ata_set *s, struct ata_drive_cfg *cfg, struct err *e)
{
	struct block *block = NULL;
	struct stat file = { 0 };
	int ret = ata_check_unit(s, cfg->unit, e);

	if (ret >= 0)
		ret = ata_open(s, cfg, &block, &file, e);
	return ret < 0 ? ret : ata_add(s, cfg, block, &file, e);
}

static int ata_init_threads(struct ata_set *s, struct err *e)
{
	const struct board *b = s->board;

	s->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (s->fd < 0)
		return err_errno(e, "eventfd");
	s->watch = b->ops->watch(b->arg, s->fd, ata_ready, s, e);
	if (!s->watch)
		return -EAGAIN; /* e has the reason */
	s->worker = b->ops->worker(b->arg, true, e);
	if (!s->worker)
		return -EAGAIN;
	return worker_bell_new(s->worker, ata_rung, s, &s->bell, e);
}

int ata_set_init(struct ata_set *s, struct device *d, const struct field_list *disks,
		 unsigned int most, struct err *e)
{
	static const struct scsi_target_ops ops = { .trouble = ata_trouble };
	struct ata_drive_cfg *cfg = disks->items;
	int ret = scsi_target_new(&ops, s, &s->target, e);

	s->board = d->board;
	s->most = most;
	for (size_t i = 0; i < disks->n && ret >= 0; i++) {
		ret = ata_add_configured(s, &cfg[i], e);
		if (ret < 0)
			err_wrap(e, "disk '%s'", cfg[i].id);
	}
	if (ret >= 0)
		ret = trouble_init(&s->trouble, d->board, s->disks, ATA_DRIVES_MAX, e);
	return ret < 0 ? ret : ata_init_threads(s, e);
}

void ata_set_fini(struct ata_set *s)
{
	worker_bell_free(s->bell);
	if (s->watch)
		s->board->ops->unwatch(s->board->arg, s->watch);
	if (s->fd > 0)
		close(s->fd);
	trouble_fini(&s->trouble);
	scsi_target_free(s->target);
}
