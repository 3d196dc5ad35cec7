// SPDX-License-Identifier: MIT
/*
 * What a SCSI controller has: disks of its configuration, disks that come and go (VIRTIO 1.2, section 5.6.6.4), media of
 * drives. On the control loop; what changes the target is done by whoever has it, the worker while it has the queues.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmm/scsi/host.h"
#include "vmm/scsi/media.h"
#include "vmm/virtio/scsi_impl.h"
#include "vmm/worker.h"

/* --- the configuration -------------------------------------------------------------------------------------- */

static const char *const vscsi_kinds[] = { [SCSI_DISK] = "disk",
					   [SCSI_CDROM] = "cdrom",
					   [SCSI_PASSTHROUGH] = "passthrough",
					   NULL };

const struct field vscsi_disk_fields[] = {
	FIELD_STR("id", struct vscsi_disk_cfg, id),
	FIELD_U32("lun", struct vscsi_disk_cfg, lun),
	FIELD_ENUM("kind", struct vscsi_disk_cfg, kind, vscsi_kinds),
	DISK_FIELDS(struct vscsi_disk_cfg, disk),
	FIELD_STR("serial", struct vscsi_disk_cfg, serial),
	FIELD_END,
};

/* --- disks -------------------------------------------------------------------------------------------------- */

static int vscsi_open_image(const struct device *d, struct vscsi_disk_cfg *cfg,
			    struct block **ret_block, struct stat *ret_file, struct err *e)
{
	if (cfg->disk.fd < 0 && cfg->kind == SCSI_CDROM)
		return 0;
	if (cfg->disk.fd < 0)
		return err_set(e, ERR_INVALID, "no image");
	if (fstat(cfg->disk.fd, ret_file) < 0)
		return err_errno(e, "the image");
	return disk_open(&cfg->disk, d->board->caged, NULL, ret_block, e);
}

/* A thread of its own waits for one of the definition; those that come later have what is left. */
static int vscsi_open_host(const struct board *board, struct vscsi_disk_cfg *cfg,
			   struct scsi_host **ret_host, struct err *e)
{
	struct waiters *waiters;

	if (cfg->disk.fd < 0)
		return err_set(e, ERR_INVALID, "no device");
	waiters = board->ops->waiters(board->arg, e);
	if (!waiters)
		return -EAGAIN; /* e has the reason */
	return scsi_host_new(TAKE_FD(cfg->disk.fd), waiters, !board->caged, ret_host, e);
}

/* Of one that comes later, a driver is told when it begins anew. */
static void vscsi_limit(struct vscsi *s, const struct scsi_host *host)
{
	if (host)
		s->max_sectors = MIN(s->max_sectors, scsi_host_max_bytes(host) / BLOCK_SECTOR);
}

int vscsi_make_spare(const struct board *board, struct err *e)
{
	struct waiters *waiters = board->caged ? NULL : board->ops->waiters(board->arg, e);

	if (board->caged)
		return 0;
	return waiters ? waiters_spare(waiters, e) : -EAGAIN;
}

/* Where tasks of a disk are kept that may be held; never taken back. */
static int vscsi_make_saved(struct vscsi *s, const struct vscsi_disk_cfg *cfg,
			    struct iovec **ret_saved, struct err *e)
{
	*ret_saved = NULL;
	if (cfg->disk.on_error != DISK_STOP || s->saved)
		return 0;
	*ret_saved = calloc((size_t)VSCSI_QUEUE_MAX * VIRTQ_SEGS_MAX, sizeof(**ret_saved));
	return *ret_saved ? 0 : err_set(e, ENOMEM, "no memory for %d requests", VSCSI_QUEUE_MAX);
}

/* The names and so on that go with a LUN; by whoever has the target */
static void vscsi_name_unit(struct vscsi *s, const struct vscsi_disk_cfg *cfg,
			    const struct stat *file)
{
	struct trouble_disk *d = &s->disks[cfg->lun];

	snprintf(s->names[cfg->lun], VSCSI_NAME_MAX, "%s", cfg->id);
	s->files[cfg->lun] = *file;
	s->rates[cfg->lun] = cfg->disk.rates;
	*d = (struct trouble_disk){ .id = s->names[cfg->lun],
				    .stop = cfg->disk.on_error == DISK_STOP };
}

static int vscsi_check_lun(const struct vscsi *s, uint32_t lun, struct err *e)
{
	if (lun < SCSI_UNITS_MAX && !scsi_target_has(s->target, lun))
		return 0;
	return err_set(e, ERR_INVALID, "LUN %u is %s", lun,
		       lun < SCSI_UNITS_MAX ? "taken" : "too large");
}

/* limit: what ret refers to */
static void vscsi_fill_unit(struct scsi_unit_cfg *ret, const struct vscsi_disk_cfg *cfg,
			    struct disk_limit *limit, struct block *take_block,
			    struct scsi_host *take_host)
{
	disk_limit_set(limit, &cfg->disk.rates);
	*ret = (struct scsi_unit_cfg){
		.kind = (enum scsi_kind)cfg->kind,
		.lun = (uint16_t)cfg->lun,
		.serial = cfg->serial[0] ? cfg->serial : cfg->id,
		.limit = limit,
		.writethrough = cfg->disk.cache == DISK_WRITETHROUGH,
		.block = take_block,
		.host = take_host,
	};
}

static int vscsi_add_disk(struct vscsi *s, struct vscsi_disk_cfg *cfg, struct err *e)
{
	int ret = vscsi_check_lun(s, cfg->lun, e);
	struct iovec *saved = NULL;
	struct scsi_unit_cfg unit;
	struct scsi_host *host = NULL;
	struct block *block = NULL;
	struct disk_limit limit;
	struct stat file = { 0 };

	if (ret >= 0)
		ret = vscsi_make_saved(s, cfg, &saved, e);
	if (saved)
		s->saved = saved;
	if (ret >= 0 && cfg->kind == SCSI_PASSTHROUGH)
		ret = vscsi_open_host(s->v.dev.board, cfg, &host, e);
	else if (ret >= 0)
		ret = vscsi_open_image(&s->v.dev, cfg, &block, &file, e);
	if (ret < 0)
		return ret;
	vscsi_limit(s, host);
	vscsi_name_unit(s, cfg, &file);
	vscsi_fill_unit(&unit, cfg, &limit, block, host);
	return scsi_target_add(s->target, &unit, e);
}

int vscsi_add_disks(struct vscsi *s, const struct field_list *list, struct err *e)
{
	struct vscsi_disk_cfg *disks = list->items;

	for (size_t i = 0; i < list->n; i++) {
		int ret = vscsi_add_disk(s, &disks[i], e);

		if (ret < 0) {
			err_wrap(e, "disk '%s'", disks[i].id);
			return ret;
		}
	}
	return 0;
}

/* --- disks that come and go --------------------------------------------------------------------------------- */

/* Asked, or done, by whoever has the target: the worker while it has the queues */
struct vscsi_change {
	struct vscsi *s;
	uint32_t lun;
	struct scsi_drive drive;
	struct device_medium *medium;
	struct scsi_unit_cfg unit;
	struct device_unit *of; /* the unit's */
	uint64_t size;
	const struct disk_rates *rates;
	struct err *e;
	int ret;
};

static void vscsi_call(struct vscsi_change *c, void (*fn)(void *arg))
{
	if (c->s->v.active)
		worker_call(c->s->v.worker, fn, c);
	else
		fn(c);
}

struct device_unit {
	struct vscsi_disk_cfg cfg;
	struct disk_limit limit;
	struct iovec *saved;	/* owned: for struct vscsi, if it needs it; else NULL */
	struct block *block;	/* owned; or … */
	struct scsi_host *host; /* … this one; neither: an empty drive */
	struct stat file;
};

static void vscsi_unit_free(struct device_unit *u)
{
	block_free(u->block);
	scsi_host_free(u->host);
	field_fini(vscsi_disk_fields, &u->cfg);
	free(u->saved);
	free(u);
}

const char *vscsi_unit(const struct device *d, unsigned int index)
{
	const struct vscsi *s = container_of(d, struct vscsi, v.dev);

	for (uint32_t lun = 0; lun < SCSI_UNITS_MAX; lun++)
		if (scsi_target_has(s->target, lun) && !index--)
			return s->names[lun];
	return NULL;
}

int vscsi_unit_new(struct device *d, struct json_object *json, struct fdset *fds,
		   struct device_unit **ret_unit, struct err *e)
{
	struct device_unit *u = calloc(1, sizeof(*u));
	int ret;

	if (!u)
		return err_set(e, ENOMEM, "a disk: no memory");
	field_init(vscsi_disk_fields, &u->cfg);
	ret = field_bind(vscsi_disk_fields, json, &u->cfg, fds, NULL, e);
	if (ret >= 0)
		ret = vscsi_make_saved(container_of(d, struct vscsi, v.dev), &u->cfg, &u->saved, e);
	if (ret >= 0 && u->cfg.kind == SCSI_PASSTHROUGH)
		ret = vscsi_open_host(d->board, &u->cfg, &u->host, e);
	else if (ret >= 0)
		ret = vscsi_open_image(d, &u->cfg, &u->block, &u->file, e);
	if (ret < 0)
		vscsi_unit_free(u);
	else
		*ret_unit = u;
	return ret;
}

/* What the driver takes for the one that was there before must not be another. */
static bool vscsi_gone_untold(const struct vscsi *s, uint32_t lun)
{
	return s->events[lun].event == VIRTIO_SCSI_T_TRANSPORT_RESET &&
	       s->events[lun].reason == VIRTIO_SCSI_EVT_RESET_REMOVED;
}

static void vscsi_add_on_worker(void *arg)
{
	struct vscsi_change *c = arg;
	struct vscsi *s = c->s;

	if (vscsi_gone_untold(s, c->lun)) {
		err_set(c->e, ERR_BUSY, "the guest was not yet told that what had LUN %u is gone",
			c->lun);
		c->ret = err_hint(c->e, "give it another LUN, or wait for the guest's driver");
		return;
	}
	c->ret = scsi_target_add(s->target, &c->unit, c->e);
	if (c->ret >= 0)
		vscsi_limit(s, c->unit.host);
	c->unit.block = NULL;
	c->unit.host = NULL;
	if (c->ret < 0)
		return;
	vscsi_name_unit(s, &c->of->cfg, &c->of->file);
	if (c->of->saved)
		s->saved = TAKE_PTR(c->of->saved);
	scsi_target_luns_changed(s->target);
	vscsi_tell(s, c->unit.lun, VIRTIO_SCSI_T_TRANSPORT_RESET, VIRTIO_SCSI_EVT_RESET_RESCAN);
}

int vscsi_unit_add(struct device *d, struct device_unit *take_unit, struct err *e)
{
	struct vscsi *s = container_of(d, struct vscsi, v.dev);
	struct device_unit *u = take_unit;
	struct vscsi_change c = { .s = s, .lun = u->cfg.lun, .of = u, .e = e };

	c.ret = vscsi_check_lun(s, u->cfg.lun, e);
	if (c.ret >= 0) {
		vscsi_fill_unit(&c.unit, &u->cfg, &u->limit, TAKE_PTR(u->block), TAKE_PTR(u->host));
		vscsi_call(&c, vscsi_add_on_worker);
		block_free(c.unit.block);
		scsi_host_free(c.unit.host);
	}
	vscsi_unit_free(u);
	return c.ret;
}

/* What is under way in an image ends first, as at a stop. */
static void vscsi_remove_on_worker(void *arg)
{
	struct vscsi_change *c = arg;
	struct vscsi *s = c->s;

	scsi_target_remove(s->target, c->lun);
	s->disks[c->lun].id = NULL;
	vscsi_flush(s);
	scsi_target_luns_changed(s->target);
	vscsi_tell(s, (uint16_t)c->lun, VIRTIO_SCSI_T_TRANSPORT_RESET,
		   VIRTIO_SCSI_EVT_RESET_REMOVED);
	/* now, so that its LUN is free when we are back */
	if (s->v.active && s->v.queues[VSCSI_EVENTS].enabled) {
		virtio_begin(&s->v, VSCSI_EVENTS);
		vscsi_serve_events(s);
	}
}

static int vscsi_find_unit(const struct vscsi *s, const char *id, uint32_t *ret_lun, struct err *e)
{
	uint32_t lun = 0;

	while (lun < SCSI_UNITS_MAX &&
	       (!scsi_target_has(s->target, lun) || strcmp(s->names[lun], id) != 0))
		lun++;
	if (lun == SCSI_UNITS_MAX)
		return err_set(e, ERR_VM_NO_DEVICE, "the controller has no disk '%.60s'", id);
	*ret_lun = lun;
	return 0;
}

int vscsi_unit_remove(struct device *d, const char *id, struct err *e)
{
	struct vscsi *s = container_of(d, struct vscsi, v.dev);
	struct vscsi_change c = { .s = s };
	int ret = vscsi_find_unit(s, id, &c.lun, e);

	if (ret >= 0)
		vscsi_call(&c, vscsi_remove_on_worker);
	return ret;
}

/* --- changes ------------------------------------------------------------------------------------------------- */

static void vscsi_grow_on_worker(void *arg)
{
	struct vscsi_change *c = arg;

	scsi_target_set_size(c->s->target, c->lun, c->size);
}

int vscsi_unit_grow(struct device *d, const char *id, bool dry_run, uint64_t *ret_size,
		    struct err *e)
{
	struct vscsi *s = container_of(d, struct vscsi, v.dev);
	struct vscsi_change c = { .s = s };
	int ret = vscsi_find_unit(s, id, &c.lun, e);
	const struct block *image = ret < 0 ? NULL : scsi_target_image(s->target, c.lun);

	if (ret >= 0 && !image)
		ret = err_set(e, ERR_VM_DEVICE_FIXED, "only a disk with an image becomes larger");
	if (ret >= 0)
		ret = block_measure(image, &c.size, e);
	if (ret < 0)
		return ret;
	*ret_size = c.size;
	if (c.size == block_info(image)->size)
		return 0;
	if (!dry_run)
		vscsi_call(&c, vscsi_grow_on_worker);
	return 1;
}

static void vscsi_rates_on_worker(void *arg)
{
	struct vscsi_change *c = arg;

	c->ret = scsi_target_set_rates(c->s->target, c->lun, c->rates);
	vscsi_flush(c->s);
}

int vscsi_unit_set(struct device *d, const char *id, struct json_object *change,
		   struct json_object **ret_settings, struct err *e)
{
	struct vscsi *s = container_of(d, struct vscsi, v.dev);
	struct vscsi_change c = { .s = s };
	int ret = vscsi_find_unit(s, id, &c.lun, e);
	struct disk_rates want;

	if (ret >= 0 && scsi_target_is_host(s->target, c.lun))
		ret = err_set(e, ERR_VM_DEVICE_FIXED, "a SCSI device of the host has no limits");
	if (ret < 0)
		return ret;
	want = s->rates[c.lun];
	c.rates = &want;
	ret = disk_rates_change(&want, change, e);
	if (ret > 0)
		vscsi_call(&c, vscsi_rates_on_worker);
	if (c.ret < 0)
		return err_ret(e, c.ret, "a timer");
	if (ret >= 0) {
		s->rates[c.lun] = want;
		*ret_settings = disk_rates_json(&want);
	}
	return ret;
}

/* --- media ------------------------------------------------------------------------------------------------- */

/* The LUN of a drive by number; VSCSI_NO_LUN behind the last */
static uint32_t vscsi_drive_lun(const struct vscsi *s, unsigned int index)
{
	for (uint32_t lun = 0; lun < SCSI_UNITS_MAX; lun++)
		if (scsi_target_is_drive(s->target, lun) && !index--)
			return lun;
	return VSCSI_NO_LUN;
}

static void vscsi_drive_on_worker(void *arg)
{
	struct vscsi_change *c = arg;

	scsi_target_drive(c->s->target, c->lun, &c->drive);
}

bool vscsi_drive(struct device *d, unsigned int index, struct device_drive *ret)
{
	struct vscsi *s = container_of(d, struct vscsi, v.dev);
	struct vscsi_change c = { .s = s, .lun = vscsi_drive_lun(s, index) };

	if (c.lun == VSCSI_NO_LUN)
		return false;
	vscsi_call(&c, vscsi_drive_on_worker);
	*ret = (struct device_drive){ .id = s->names[c.lun],
				      .medium = c.drive.medium,
				      .open = c.drive.open,
				      .locked = c.drive.locked };
	return true;
}

static void vscsi_change_on_worker(void *arg)
{
	struct vscsi_change *c = arg;
	struct vscsi *s = c->s;

	c->ret = scsi_media_change(s->target, c->lun, s->names[c->lun], &s->files[c->lun],
				   c->medium, c->e);
}

int vscsi_set_medium(struct device *d, unsigned int index, struct device_medium *medium,
		     struct err *e)
{
	struct vscsi *s = container_of(d, struct vscsi, v.dev);
	struct vscsi_change c = {
		.s = s, .lun = vscsi_drive_lun(s, index), .medium = medium, .e = e
	};

	vscsi_call(&c, vscsi_change_on_worker);
	return c.ret;
}
