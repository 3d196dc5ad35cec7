// SPDX-License-Identifier: MIT
/* What is the same for every device: find the class, bind its configuration, init, and the way back. */
#include "vmm/device.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"

/* members that the core reads itself */
static const char *const device_core_keys[] = { "type", "id", "enabled", NULL };

const struct device_class *device_class_find(const char *type)
{
	for (unsigned int i = 0; device_classes[i]; i++)
		if (!strcmp(device_classes[i]->type, type))
			return device_classes[i];
	return NULL;
}

static const struct field device_no_fields[] = { FIELD_END };

static const struct field *device_fields(const struct device_class *class)
{
	return class->cfg_fields ? class->cfg_fields : device_no_fields;
}

/* Everything but init; the result is complete enough for device_discard. */
static int device_make(const struct device_class *class, struct board *board, const char *id,
		       struct device **ret_device, struct err *e)
{
	struct device *d = calloc(1, class->size);

	if (!d)
		return err_ret(e, -ENOMEM, "device '%s'", id);
	d->class = class;
	d->board = board;
	snprintf(d->id, sizeof(d->id), "%s", id);
	/* one byte at least: cfg is never NULL */
	d->cfg = calloc(1, class->cfg_size + 1);
	if (!d->cfg) {
		free(d);
		return err_ret(e, -ENOMEM, "device '%s'", id);
	}
	field_init(device_fields(class), d->cfg);
	if (class->cfg_defaults)
		class->cfg_defaults(d->cfg);
	*ret_device = d;
	return 0;
}

static void device_discard(struct device *d)
{
	field_fini(device_fields(d->class), d->cfg);
	free(d->cfg);
	free(d);
}

int device_new(struct board *board, struct json_object *json, struct fdset *fds,
	       struct device **ret_device, struct err *e)
{
	const char *type = json_get_str(json, "type", NULL);
	const char *id = json_get_str(json, "id", type);
	const struct device_class *class = type ? device_class_find(type) : NULL;
	struct device *d = NULL;
	int r;

	if (!type)
		return err_set(e, ERR_INVALID, "a device without a type");
	if (!class)
		return err_set(e, ERR_INVALID, "device '%s': unknown type '%s'", id, type);
	if (strlen(id) >= DEVICE_ID_MAX)
		return err_set(e, ERR_INVALID, "device '%.20s…': the id is too long", id);
	r = device_make(class, board, id, &d, e);
	if (!d)
		return r;
	r = field_bind(device_fields(class), json, d->cfg, fds, device_core_keys, e);
	if (r < 0) {
		err_wrap(e, "device '%s'", id);
		device_discard(d);
		return r;
	}
	r = class->init(d, e);
	if (r < 0) {
		err_wrap(e, "device '%s'", id);
		device_free(d);
		return r;
	}
	*ret_device = d;
	return 0;
}

void device_free(struct device *d)
{
	if (!d)
		return;
	if (d->class->fini)
		d->class->fini(d);
	device_discard(d);
}
