// SPDX-License-Identifier: MIT
/* vmd's side door: the methods of devices, disks and memory. See control.h. Control loop. */
#include "vmm/control_impl.h"

#include <errno.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmm/device.h"
#include "vmm/machine.h"
#include "vmm/virtio/balloon.h"

int control_device_add(struct control *c, struct control_call *call,
		       struct json_object **ret_result, struct err *e)
{
	struct json_object *device = json_get(call->params, "device");
	int r;

	if (!c->machine || c->ended)
		return err_set(e, ERR_VM_STATE, "the machine is %s", control_state(c));
	if (!json_object_is_type(device, json_type_object))
		return err_set(e, ERR_RPC_PARAMS, "'device' is no object");
	r = machine_device_add(c->machine, device, call->fds, e);
	if (r >= 0)
		*ret_result = json_add_str(json_new(), "id", json_get_str(device, "id", ""));
	return r;
}

int control_device_remove(struct control *c, struct control_call *call,
			  struct json_object **ret_result, struct err *e)
{
	const char *id = json_get_str(call->params, "id", "");
	int r;

	if (!c->machine || c->ended)
		return err_set(e, ERR_VM_STATE, "the machine is %s", control_state(c));
	r = machine_device_remove(c->machine, id, e);
	if (r >= 0)
		*ret_result = json_add_str(json_new(), "id", id);
	return r;
}

int control_disk_add(struct control *c, struct control_call *call, struct json_object **ret_result,
		     struct err *e)
{
	struct json_object *disk = json_get(call->params, "disk");
	int r;

	if (!c->machine || c->ended)
		return err_set(e, ERR_VM_STATE, "the machine is %s", control_state(c));
	if (!json_object_is_type(disk, json_type_object))
		return err_set(e, ERR_RPC_PARAMS, "'disk' is no object");
	r = machine_disk_add(c->machine, json_get_str(call->params, "controller", ""), disk,
			     call->fds, e);
	if (r >= 0)
		*ret_result = json_add_str(json_new(), "id", json_get_str(disk, "id", ""));
	return r;
}

int control_disk_remove(struct control *c, struct control_call *call,
			struct json_object **ret_result, struct err *e)
{
	const char *id = json_get_str(call->params, "id", "");
	int r;

	if (!c->machine || c->ended)
		return err_set(e, ERR_VM_STATE, "the machine is %s", control_state(c));
	r = machine_disk_remove(c->machine, id, e);
	if (r >= 0)
		*ret_result = json_add_str(json_new(), "id", id);
	return r;
}

int control_device_set(struct control *c, struct control_call *call,
		       struct json_object **ret_result, struct err *e)
{
	struct json_object *change = json_get(call->params, "change"), *settings = NULL;
	const char *id = json_get_str(call->params, "id", "");
	int r;

	if (!c->machine || c->ended)
		return err_set(e, ERR_VM_STATE, "the machine is %s", control_state(c));
	if (!json_object_is_type(change, json_type_object))
		return err_set(e, ERR_RPC_PARAMS, "'change' is no object");
	r = machine_device_set(c->machine, id, change, &settings, e);
	if (r < 0)
		return r;
	*ret_result = json_add_bool(json_add_str(json_new(), "id", id), "changed", r);
	if (settings)
		json_add(*ret_result, "settings", settings);
	return 0;
}

int control_device_resize(struct control *c, struct control_call *call,
			  struct json_object **ret_result, struct err *e)
{
	const char *id = json_get_str(call->params, "id", "");
	uint64_t size = 0;
	int r;

	if (!c->machine || c->ended)
		return err_set(e, ERR_VM_STATE, "the machine is %s", control_state(c));
	r = machine_disk_grow(c->machine, id, json_get_bool(call->params, "dry_run", false), &size,
			      e);
	if (r < 0)
		return r;
	*ret_result = json_add_int(json_add_str(json_new(), "id", id), "size", (int64_t)size);
	json_add_bool(*ret_result, "changed", r);
	return 0;
}

static struct json_object *control_drives(const struct control *c)
{
	struct json_object *list = json_object_new_array();
	struct device_drive drive;

	for (unsigned int i = 0; machine_drive_at(c->machine, i, &drive); i++) {
		struct json_object *o = json_add_str(json_new(), "id", drive.id);

		json_add_bool(o, "medium", drive.medium);
		if (drive.inode)
			json_add_int(o, "inode", (int64_t)drive.inode);
		json_add_bool(o, "open", drive.open);
		json_object_array_add(list, json_add_bool(o, "locked", drive.locked));
	}
	return list;
}

static int control_set_medium(struct control *c, struct control_call *call, bool *ret_changed,
			      struct err *e)
{
	static const char *const formats[] = { [BLOCK_FORMAT_UNSAID] = "",
					       [BLOCK_FORMAT_RAW] = "raw",
					       [BLOCK_FORMAT_QCOW2] = "qcow2" };
	const char *format = json_get_str(call->params, "format", "");
	struct machine_medium medium = {
		.drive = json_get_str(call->params, "drive", ""),
		.fd = -1,
		.writable = json_get_bool(call->params, "writable", false),
		.force = json_get_bool(call->params, "force", false),
		.dry_run = json_get_bool(call->params, "dry_run", false),
	};
	unsigned int i = 0;

	while (i < ARRAY_SIZE(formats) && strcmp(formats[i], format))
		i++;
	if (i == ARRAY_SIZE(formats))
		return err_set(e, ERR_RPC_PARAMS, "'format' is none that is known");
	medium.format = (enum block_format)i;
	if (json_get(call->params, "medium")) {
		medium.fd = control_take_fd(call, "medium", e);
		if (medium.fd < 0)
			return medium.fd;
	}
	return machine_set_medium(c->machine, &medium, ret_changed, e);
}

int control_medium(struct control *c, struct control_call *call, struct json_object **ret_result,
		   struct err *e)
{
	bool change = json_get(call->params, "drive"), changed = false;
	int r = 0;

	if (!c->machine || c->ended)
		return err_set(e, ERR_VM_STATE, "the machine is %s", control_state(c));
	if (change)
		r = control_set_medium(c, call, &changed, e);
	if (r < 0)
		return r;
	*ret_result = json_add(json_new(), "drives", control_drives(c));
	if (change)
		json_add_bool(*ret_result, "changed", changed);
	return 0;
}

/* NULL: it has none */
static struct json_object *control_disks(const struct control *c, unsigned int device)
{
	struct json_object *list = NULL;
	const char *id;

	for (unsigned int i = 0; (id = machine_disk_at(c->machine, device, i)); i++) {
		list = list ? list : json_object_new_array();
		json_object_array_add(list, json_object_new_string(id));
	}
	return list;
}

struct json_object *control_devices(const struct control *c)
{
	struct json_object *list = json_object_new_array();
	struct machine_device device;

	for (unsigned int i = 0; c->machine && machine_device_at(c->machine, i, &device); i++) {
		struct json_object *o = json_add_str(json_new(), "id", device.id);
		struct json_object *disks = control_disks(c, i);

		if (device.ejecting)
			json_add(o, "ejecting", json_object_new_boolean(true));
		if (disks)
			json_add(o, "disks", disks);
		json_object_array_add(list, o);
	}
	return list;
}

/* --- memory ------------------------------------------------------------------------------------------- */

/* {size, target, actual, driver, stats?}: bytes that the guest has, shall have, and by its driver's word has */
static struct json_object *control_balloon_json(uint64_t all, const struct balloon_info *b)
{
	struct json_object *o = json_add_int(json_new(), "size", (int64_t)all), *stats;

	json_add_int(o, "target", (int64_t)(all - b->target));
	json_add_int(o, "actual", (int64_t)(all - b->actual));
	json_add_bool(o, "driver", b->driver);
	if (!b->has_stats)
		return o;
	stats = json_add_int(json_new(), "age_ms", (int64_t)b->stats_age_ms);
	for (unsigned int i = 0; i < BALLOON_STATS; i++)
		if (b->stats[i] >= 0)
			json_add_int(stats, balloon_stat_name(i), b->stats[i]);
	return json_add(o, "stats", stats);
}

int control_memory(struct control *c, struct control_call *call, struct json_object **ret_result,
		   struct err *e)
{
	struct json_object *size = json_get(call->params, "size");
	bool dry_run = json_get_bool(call->params, "dry_run", false), changed = false;
	struct balloon_info balloon;
	int64_t bytes = -1;
	int r = 0;

	if (!c->machine || c->ended)
		return err_set(e, ERR_VM_STATE, "the machine is %s", control_state(c));
	if (size && (!json_int(size, &bytes) || bytes < 0))
		return err_set(e, ERR_RPC_PARAMS, "'size' is no number of bytes");
	if (size)
		r = machine_set_memory(c->machine, (uint64_t)bytes, dry_run, &changed, e);
	if (r < 0)
		return r;
	if (machine_get_balloon(c->machine, &balloon))
		*ret_result = control_balloon_json(machine_memory(c->machine), &balloon);
	else
		*ret_result = json_add_int(json_new(), "size", (int64_t)machine_memory(c->machine));
	if (size)
		json_add_bool(*ret_result, "changed", changed);
	return 0;
}
