// SPDX-License-Identifier: MIT
/*
 * Media of drives: see machine.h. On the control loop; the image is opened before machine.lock is taken, so that a
 * slow file system holds up no vCPU.
 */
#include "vmm/machine_impl.h"

#include <string.h>
#include <sys/stat.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmm/block/block.h"

/* The device of drive number `index`, and its number there */
static struct device *machine_drive_device(const struct machine *m, unsigned int index,
					   unsigned int *ret_index, struct device_drive *ret)
{
	for (unsigned int i = 0; i < m->ndevices; i++) {
		struct device *d = m->devices[i];

		for (unsigned int n = 0; d->class->drive && d->class->drive(d, n, ret); n++) {
			if (index--)
				continue;
			*ret_index = n;
			return d;
		}
	}
	return NULL;
}

bool machine_drive_at(struct machine *m, unsigned int index, struct device_drive *ret)
{
	unsigned int n;
	bool found;

	pthread_mutex_lock(&m->lock);
	found = machine_drive_device(m, index, &n, ret);
	pthread_mutex_unlock(&m->lock);
	return found;
}

static struct device *machine_drive_find(const struct machine *m, const char *id,
					 unsigned int *ret_index)
{
	struct device_drive drive;
	struct device *d;

	for (unsigned int i = 0; (d = machine_drive_device(m, i, ret_index, &drive)); i++)
		if (!strcmp(drive.id, id))
			return d;
	return NULL;
}

static int machine_open_medium(const struct machine_medium *take_medium, struct device_medium *ret,
			       struct err *e)
{
	struct block_image image = { .fd = take_medium->fd,
				     .readonly = !take_medium->writable,
				     .format = take_medium->format,
				     .engine = BLOCK_ENGINE_PSYNC }; /* we are in the cage */

	if (image.fd < 0)
		return 0;
	if (fstat(image.fd, &ret->file) < 0) {
		close(image.fd);
		return err_errno(e, "the medium");
	}
	return block_open(&image, &ret->block, e);
}

int machine_set_medium(struct machine *m, const struct machine_medium *take_medium,
		       bool *ret_changed, struct err *e)
{
	struct device_medium medium = { .force = take_medium->force,
					.dry_run = take_medium->dry_run };
	int r = machine_open_medium(take_medium, &medium, e);
	struct device *d;
	unsigned int n;

	if (r < 0)
		return r;
	pthread_mutex_lock(&m->lock);
	d = machine_drive_find(m, take_medium->drive, &n);
	if (m->state == MACHINE_ENDED)
		r = err_set(e, ERR_VM_STATE, "the VM has ended");
	else if (!d)
		r = err_set(e, ERR_VM_NO_DEVICE, "the VM has no drive '%.60s'", take_medium->drive);
	else
		r = d->class->set_medium(d, n, &medium, e);
	pthread_mutex_unlock(&m->lock);
	block_free(medium.block);
	if (r >= 0)
		*ret_changed = medium.changed;
	return MIN(r, 0);
}
