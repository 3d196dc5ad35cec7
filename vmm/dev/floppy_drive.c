// SPDX-License-Identifier: MIT
/*
 * Floppy drives and the disks in them: a disk is what the size of its image says, in the layouts of
 * IBM's PCs. Made on the control loop; media are changed there under machine.lock.
 */
#include <stdio.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmm/dev/floppy.h"

/* Codes of DSR and CCR: "Data rate" */
#define FLOPPY_RATE_500K BIT(0)
#define FLOPPY_RATE_300K BIT(1)
#define FLOPPY_RATE_250K BIT(2)
#define FLOPPY_RATE_1M BIT(3)
/* Firmware takes either for these: 250 kbit/s at 300 revolutions a minute are 300 at 360 */
#define FLOPPY_RATE_DOUBLE (FLOPPY_RATE_300K | FLOPPY_RATE_250K)

#define FLOPPY_5_25 (BIT(FLOPPY_360K) | BIT(FLOPPY_1200K))
#define FLOPPY_3_5 (BIT(FLOPPY_720K) | BIT(FLOPPY_1440K) | BIT(FLOPPY_2880K))

static const struct floppy_format floppy_formats[] = {
	{ 160, 40, 1, 8, FLOPPY_RATE_DOUBLE, FLOPPY_5_25 },
	{ 180, 40, 1, 9, FLOPPY_RATE_DOUBLE, FLOPPY_5_25 },
	{ 320, 40, 2, 8, FLOPPY_RATE_DOUBLE, FLOPPY_5_25 },
	{ 360, 40, 2, 9, FLOPPY_RATE_DOUBLE, FLOPPY_5_25 },
	{ 720, 80, 2, 9, FLOPPY_RATE_250K, FLOPPY_3_5 },
	{ 1200, 80, 2, 15, FLOPPY_RATE_500K, BIT(FLOPPY_1200K) },
	{ 1440, 80, 2, 18, FLOPPY_RATE_500K, BIT(FLOPPY_1440K) | BIT(FLOPPY_2880K) },
	{ 2880, 80, 2, 36, FLOPPY_RATE_1M, BIT(FLOPPY_2880K) },
};

static const char *const floppy_models[] = {
	[FLOPPY_NONE] = "",
	[FLOPPY_360K] = "360KB",
	[FLOPPY_1200K] = "1.2MB",
	[FLOPPY_720K] = "720KB",
	[FLOPPY_1440K] = "1.44MB",
	[FLOPPY_2880K] = "2.88MB",
	NULL,
};

const struct field floppy_drive_fields[] = {
	FIELD_STR("id", struct floppy_drive_cfg, id),
	FIELD_U32("unit", struct floppy_drive_cfg, unit),
	FIELD_ENUM("model", struct floppy_drive_cfg, model, floppy_models),
	FIELD_FD("path", struct floppy_drive_cfg, fd),
	FIELD_ENUM("format", struct floppy_drive_cfg, format, disk_formats),
	FIELD_BOOL("readonly", struct floppy_drive_cfg, readonly),
	FIELD_BOOL("share", struct floppy_drive_cfg, share),
	FIELD_END,
};

static const struct floppy_format *floppy_format_of(const struct block *b, struct err *e)
{
	uint64_t size = block_info(b)->size;

	for (size_t i = 0; i < ARRAY_SIZE(floppy_formats); i++)
		if (size == floppy_formats[i].kib * KIB)
			return &floppy_formats[i];
	err_set(e, ERR_FILE,
		"the image has %llu bytes, and a floppy disk 160, 180, 320, 360, 720, 1200, 1440 "
		"or 2880 KiB",
		(unsigned long long)size);
	err_hint(e, "a shorter image is made one by `truncate --size 1440K FILE`");
	return NULL;
}

/* The usual drive for such a disk */
static enum floppy_model floppy_model_for(const struct floppy_format *format)
{
	if (!format || format->models & BIT(FLOPPY_1440K))
		return FLOPPY_1440K;
	return format->models & BIT(FLOPPY_360K)    ? FLOPPY_360K
	       : format->models & BIT(FLOPPY_1200K) ? FLOPPY_1200K
						    : FLOPPY_2880K;
}

static int floppy_check_fit(const struct floppy_format *format, enum floppy_model model,
			    struct err *e)
{
	char list[64] = "";

	if (format->models & BIT(model))
		return 0;
	for (size_t i = 0, n = 0; i < ARRAY_SIZE(floppy_formats); i++)
		if (floppy_formats[i].models & BIT(model))
			n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%u", n ? ", " : "",
					      floppy_formats[i].kib);
	err_set(e, ERR_FILE, "a disk of %u KiB does not go into a drive of model %s", format->kib,
		floppy_models[model]);
	return err_hint(e, "such a drive takes disks of %s KiB", list);
}

/* --- where the head is ------------------------------------------------------------------------ */

uint8_t floppy_drive_last(const struct floppy_drive *d)
{
	return d->model == FLOPPY_360K ? 41 : 82;
}

/* A disk of 40 tracks is half as dense as the steps of a drive with 80: nothing is between its tracks. */
int floppy_drive_track(const struct floppy_drive *d)
{
	unsigned int step =
		d->format && d->format->cylinders == 40 && d->model != FLOPPY_360K ? 2 : 1;

	if (!d->format || d->cylinder % step || d->cylinder / step >= d->format->cylinders)
		return -1;
	return (int)(d->cylinder / step);
}

/* --- media ------------------------------------------------------------------------------------ */

/* The unit of a drive by number; FLOPPY_DRIVES behind the last */
static unsigned int floppy_drive_unit(const struct floppy *f, unsigned int index)
{
	unsigned int unit = 0;

	while (unit < FLOPPY_DRIVES && !(f->drives[unit].model && !index--))
		unit++;
	return unit;
}

bool floppy_drive_info(struct device *d, unsigned int index, struct device_drive *ret)
{
	struct floppy *f = container_of(d, struct floppy, dev);
	unsigned int unit = floppy_drive_unit(f, index);

	if (unit == FLOPPY_DRIVES)
		return false;
	*ret = (struct device_drive){ .id = f->drives[unit].id, .medium = f->drives[unit].format };
	if (ret->medium && !f->drives[unit].readonly)
		ret->inode = f->drives[unit].file.st_ino;
	return true;
}

static bool floppy_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

int floppy_set_medium(struct device *d, unsigned int index, struct device_medium *medium,
		      struct err *e)
{
	struct floppy *f = container_of(d, struct floppy, dev);
	unsigned int unit = floppy_drive_unit(f, index);
	struct floppy_drive *drive = &f->drives[unit];
	const struct floppy_format *format = NULL;
	bool readonly = true;
	int ret;

	if (medium->block) {
		format = floppy_format_of(medium->block, e);
		ret = format ? floppy_check_fit(format, drive->model, e) : -ERR_FILE;
		if (ret < 0)
			return err_wrap(e, "drive '%s'", drive->id);
		readonly = block_info(medium->block)->readonly;
	}
	medium->changed = format ? !drive->format || drive->readonly != readonly ||
					   !floppy_same_file(&medium->file, &drive->file)
				 : drive->format != NULL;
	if (!medium->changed || medium->dry_run)
		return 0;
	drive->changed = true;
	drive->format = NULL;
	ret = floppy_io_swap(&f->io, unit, TAKE_PTR(medium->block));
	floppy_medium_gone(f, unit);
	if (ret < 0)
		return err_ret(e, ret, "drive '%s'", drive->id);
	drive->format = format;
	drive->readonly = readonly;
	drive->file = medium->file;
	return 0;
}

/* --- life ------------------------------------------------------------------------------------- */

/* Without a ring: no floppy disk is worth its memory. */
static int floppy_drive_open(struct floppy *f, struct floppy_drive_cfg *cfg, struct err *e)
{
	struct floppy_drive *d = &f->drives[cfg->unit];
	struct block **block = &f->io.blocks[cfg->unit];
	struct block_image image = { .readonly = cfg->readonly,
				     .format = (enum block_format)cfg->format,
				     .engine = BLOCK_ENGINE_PSYNC };
	int ret;

	if (fstat(cfg->fd, &d->file) < 0)
		return err_errno(e, "the image");
	image.fd = TAKE_FD(cfg->fd);
	ret = block_open(&image, block, e);
	if (ret < 0)
		return ret;
	d->format = floppy_format_of(*block, e);
	d->readonly = block_info(*block)->readonly;
	return d->format ? 0 : -ERR_FILE;
}

int floppy_drive_init(struct floppy *f, struct floppy_drive_cfg *cfg, struct err *e)
{
	struct floppy_drive *d;
	int ret = 0;

	if (cfg->unit >= FLOPPY_DRIVES || f->drives[cfg->unit].model)
		return err_set(e, ERR_INVALID, "unit %u is %s", cfg->unit,
			       cfg->unit < FLOPPY_DRIVES ? "taken" : "too large");
	d = &f->drives[cfg->unit];
	snprintf(d->id, sizeof(d->id), "%s", cfg->id);
	d->changed = true; /* nobody has seen it yet */
	if (cfg->fd >= 0)
		ret = floppy_drive_open(f, cfg, e);
	if (ret < 0)
		return ret;
	d->model = cfg->model ? (enum floppy_model)cfg->model : floppy_model_for(d->format);
	return d->format ? floppy_check_fit(d->format, d->model, e) : 0;
}
