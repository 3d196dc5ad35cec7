// SPDX-License-Identifier: MIT
/* Disks that come to controllers and leave them: see machine.h. On the control loop. */
#include "vmm/machine_impl.h"

#include <string.h>

#include "lib/errcat.h"

const char *machine_disk_at(const struct machine *m, unsigned int device, unsigned int index)
{
	const struct device *d = device < m->ndevices ? m->devices[device] : NULL;

	return d && d->class->unit ? d->class->unit(d, index) : NULL;
}

struct device *machine_disk_owner(const struct machine *m, const char *id)
{
	const char *disk;

	for (unsigned int i = 0; i < m->ndevices; i++)
		for (unsigned int n = 0; (disk = machine_disk_at(m, i, n)); n++)
			if (!strcmp(disk, id))
				return m->devices[i];
	return NULL;
}

static int machine_check_controller(const struct machine *m, const char *id,
				    struct device **ret_device, struct err *e)
{
	for (unsigned int i = 0; i < m->ndevices; i++) {
		struct device *d = m->devices[i];

		if (strcmp(d->id, id) != 0)
			continue;
		if (!d->class->unit_add)
			return err_set(e, ERR_VM_DEVICE_FIXED,
				       "device '%s' of type %s has no disks that come and go", id,
				       d->class->type);
		*ret_device = d;
		return 0;
	}
	return err_set(e, ERR_VM_NO_DEVICE, "the VM has no device '%.60s'", id);
}

static int machine_disk_state(const struct machine *m, const char *what, struct err *e)
{
	if (m->state == MACHINE_RUNNING || m->state == MACHINE_PAUSED)
		return 0;
	return err_set(e, ERR_VM_STATE, "cannot %s a disk: the VM is %s", what,
		       machine_state_name(m->state));
}

int machine_disk_add(struct machine *m, const char *controller, struct json_object *json,
		     struct fdset *fds, struct err *e)
{
	const char *id = json_get_str(json, "id", "");
	struct device_unit *unit = NULL;
	struct device *d = NULL;
	int r = machine_disk_state(m, "add", e);

	if (r >= 0)
		r = machine_check_controller(m, controller, &d, e);
	if (r >= 0 && machine_disk_owner(m, id))
		r = err_set(e, ERR_VM_DEVICE_EXISTS, "the VM has a disk '%.60s' already", id);
	if (r < 0 || !d)
		return r;
	r = d->class->unit_new(d, json, fds, &unit, e);
	if (r >= 0) {
		pthread_mutex_lock(&m->lock);
		r = d->class->unit_add(d, unit, e);
		pthread_mutex_unlock(&m->lock);
	}
	if (r < 0)
		return err_wrap(e, "disk '%.60s'", id);
	log_info(m->log, "%s: disk '%s' was added to '%s'", m->config.name, id, d->id);
	return 0;
}

int machine_disk_remove(struct machine *m, const char *id, struct err *e)
{
	int r = machine_disk_state(m, "remove", e);
	struct device *d = machine_disk_owner(m, id);

	if (r < 0)
		return r;
	if (!d)
		return err_set(e, ERR_VM_NO_DEVICE, "the VM has no disk '%.60s'", id);
	pthread_mutex_lock(&m->lock);
	r = d->class->unit_remove(d, id, e);
	pthread_mutex_unlock(&m->lock);
	if (r >= 0)
		log_info(m->log, "%s: disk '%s' was removed from '%s'", m->config.name, id, d->id);
	return r;
}

int machine_disk_set(struct machine *m, const char *id, struct json_object *change,
		     struct json_object **ret_settings, struct err *e)
{
	struct device *d = machine_disk_owner(m, id);
	int r;

	if (!d)
		return err_set(e, ERR_VM_NO_DEVICE, "the VM has no device '%.60s'", id);
	if (!d->class->unit_set)
		return err_set(e, ERR_VM_DEVICE_FIXED,
			       "nothing of disk '%s' can be changed while the VM runs", id);
	pthread_mutex_lock(&m->lock);
	r = d->class->unit_set(d, id, change, ret_settings, e);
	pthread_mutex_unlock(&m->lock);
	return r < 0 ? err_wrap(e, "disk '%s'", id) : r;
}
