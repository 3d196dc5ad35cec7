// SPDX-License-Identifier: MIT
/*
 * Drives that come to an ATA controller and leave it while the machine is there. On the control
 * loop, but for what changes the target, which is its worker's.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmm/ata/ata.h"
#include "vmm/worker.h"

struct device_unit {
	struct ata_drive_cfg cfg;
	struct block *block; /* owned; NULL: an empty drive */
	struct stat file;
};

/* Done by whoever has the target */
struct ata_change {
	struct ata_set *s;
	struct device_unit *of;
	unsigned int unit;
	const struct disk_rates *rates;
	struct err *e;
	int ret;
};

const char *ata_set_unit(const struct ata_set *s, unsigned int index)
{
	for (unsigned int i = 0; i < ATA_DRIVES_MAX; i++)
		if (s->drives[i].there && !index--)
			return s->names[i];
	return NULL;
}

static void ata_unit_free(struct device_unit *u)
{
	block_free(u->block);
	field_fini(ata_drive_fields, &u->cfg);
	free(u);
}

int ata_unit_new(struct ata_set *s, struct json_object *json, struct fdset *fds,
		 struct device_unit **ret_unit, struct err *e)
{
	struct device_unit *u = calloc(1, sizeof(*u));
	int ret;

	if (!u)
		return err_set(e, ENOMEM, "a drive: no memory");
	field_init(ata_drive_fields, &u->cfg);
	ret = field_bind(ata_drive_fields, json, &u->cfg, fds, NULL, e);
	if (ret >= 0)
		ret = ata_open(s, &u->cfg, &u->block, &u->file, e);
	if (ret < 0)
		ata_unit_free(u);
	else
		*ret_unit = u;
	return ret;
}

static void ata_add_on_worker(void *arg)
{
	struct ata_change *c = arg;

	c->ret = ata_add(c->s, &c->of->cfg, TAKE_PTR(c->of->block), &c->of->file, c->e);
}

int ata_unit_add(struct ata_set *s, struct device_unit *take_unit, struct err *e)
{
	struct ata_change c = { .s = s, .of = take_unit, .e = e };
	unsigned int unit = take_unit->cfg.unit;

	c.ret = ata_check_unit(s, unit, e);
	if (c.ret >= 0)
		worker_call(s->worker, ata_add_on_worker, &c);
	ata_unit_free(take_unit);
	return c.ret < 0 ? c.ret : (int)unit;
}

int ata_unit_find(const struct ata_set *s, const char *id, struct err *e)
{
	for (unsigned int i = 0; i < ATA_DRIVES_MAX; i++)
		if (s->drives[i].there && !strcmp(s->names[i], id))
			return (int)i;
	return err_set(e, ERR_VM_NO_DEVICE, "the controller has no drive '%.60s'", id);
}

/* What is with the host's kernel is waited for. */
static void ata_remove_on_worker(void *arg)
{
	struct ata_change *c = arg;

	ata_work(c->s);
	scsi_target_remove(c->s->target, c->unit);
	ata_give_up(&c->s->drives[c->unit]);
	c->s->disks[c->unit].id = NULL;
}

void ata_unit_remove(struct ata_set *s, unsigned int unit)
{
	struct ata_change c = { .s = s, .unit = unit };

	worker_call(s->worker, ata_remove_on_worker, &c);
	s->drives[unit].there = false;
	ata_reap(s);
}

static void ata_rates_on_worker(void *arg)
{
	struct ata_change *c = arg;

	c->ret = scsi_target_set_rates(c->s->target, c->unit, c->rates);
}

int ata_unit_set(struct ata_set *s, const char *id, struct json_object *change,
		 struct json_object **ret_settings, struct err *e)
{
	int unit = ata_unit_find(s, id, e), ret;
	struct ata_change c = { .s = s };
	struct disk_rates want;

	if (unit < 0)
		return unit;
	want = s->rates[unit];
	c.unit = (unsigned int)unit;
	c.rates = &want;
	ret = disk_rates_change(&want, change, e);
	if (ret > 0)
		worker_call(s->worker, ata_rates_on_worker, &c);
	if (c.ret < 0)
		return err_ret(e, c.ret, "a timer");
	if (ret >= 0) {
		s->rates[unit] = want;
		*ret_settings = disk_rates_json(&want);
	}
	return ret;
}
