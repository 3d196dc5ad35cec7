// SPDX-License-Identifier: MIT
/*
 * Methods of a running VM's disks: vm.resize, one is as large as its image has become; vm.set_rate, its limits. The VM's
 * monitor does it. On the loop's thread.
 */
#include "vmd/methods.h"

#include <stdlib.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/daemon.h"
#include "vmd/guest.h"

struct disk_call {
	struct call *call;
	struct json_object *result; /* owned */
};

static const char *disk_device(const struct call *call)
{
	return json_get_str(call->params, "device", "");
}

/* NULL: the call has been answered. */
static struct disk_call *disk_call_new(struct guest *g, struct call *call)
{
	struct disk_call *c = calloc(1, sizeof(*c));
	struct err e;

	if (!c) {
		err_set(&e, ERR_RPC_INTERNAL, "out of memory");
		call_fail(call, &e, NULL);
		return NULL;
	}
	c->call = call;
	c->result = json_add_str(json_new(), "name", g->name);
	json_add_str(c->result, "state", guest_state_name(g));
	json_add_str(c->result, "device", disk_device(call));
	return c;
}

static void disk_call_free(struct disk_call *c)
{
	json_object_put(c->result);
	free(c);
}

/* --- vm.resize ----------------------------------------------------------------------------------------------- */

static const char *disk_note(bool grows, bool dry_run)
{
	if (!grows)
		return "its image is not larger";
	return dry_run ? "would be told of it" : NULL;
}

static void disk_resized(void *arg, struct json_object *said, const struct err *why)
{
	struct disk_call *c = arg;
	bool dry_run = json_get_bool(c->call->params, "dry_run", false);
	bool grows = json_get_bool(said, "changed", false);
	int64_t size = json_get_int(said, "size", -1);
	struct err e;

	if (why) {
		call_fail(c->call, why, NULL);
	} else if (size < 0) {
		err_set(&e, ERR_VMM_PROTOCOL, "vmm has not said how large the disk is");
		call_fail(c->call, &e, NULL);
	} else {
		json_add_bool(json_add_int(c->result, "size", size), "changed", grows && !dry_run);
		if (disk_note(grows, dry_run))
			json_add_str(c->result, "note", disk_note(grows, dry_run));
		call_reply(c->call, TAKE_PTR(c->result));
	}
	disk_call_free(c);
}

void method_vm_resize(struct daemon *d, struct call *call)
{
	struct guest *g = method_running_guest(d, call);
	struct disk_call *c = g ? disk_call_new(g, call) : NULL;
	struct json_object *params;

	if (c) {
		params = json_add_str(json_new(), "id", disk_device(call));
		json_add_bool(params, "dry_run", json_get_bool(call->params, "dry_run", false));
		vmproc_call(g->proc, "device.resize", params, NULL, guest_call_ms(g), disk_resized,
			    c);
	}
	if (g)
		guest_put(g);
}

/* --- vm.set_rate --------------------------------------------------------------------------------------------- */

static const char *const disk_limits[] = { "bytes_per_second", "ops_per_second", "burst_ms" };

static struct json_object *disk_change(const struct call *call)
{
	struct json_object *o = json_new(), *value;

	for (size_t i = 0; i < ARRAY_SIZE(disk_limits); i++) {
		value = json_get(call->params, disk_limits[i]);
		if (value)
			json_add_int(o, disk_limits[i], method_size(value));
	}
	return o;
}

/* What is so now, into the result. False: vmm has not said it all. */
static bool disk_limits_now(struct disk_call *c, struct json_object *settings)
{
	for (size_t i = 0; i < ARRAY_SIZE(disk_limits); i++) {
		int64_t now = json_get_int(settings, disk_limits[i], -1);

		if (now < 0)
			return false;
		json_add_int(c->result, disk_limits[i], now);
	}
	return true;
}

/* One of them is wanted otherwise than it is. */
static bool disk_limits_differ(const struct disk_call *c)
{
	AUTO_JSON struct json_object *want = disk_change(c->call);

	json_object_object_foreach(want, key, value) {
		if (json_object_get_int64(value) != json_get_int(c->result, key, -1))
			return true;
	}
	return false;
}

static void disk_rate_answer(struct disk_call *c, struct json_object *said)
{
	bool dry_run = json_get_bool(c->call->params, "dry_run", false);

	json_add_bool(c->result, "changed", !dry_run && json_get_bool(said, "changed", false));
	if (dry_run && disk_limits_differ(c))
		json_add_str(c->result, "note", "would be set");
	else if (!json_get_bool(c->result, "changed", false))
		json_add_str(c->result, "note", "it is so already");
	call_reply(c->call, TAKE_PTR(c->result));
}

static void disk_rate_set(void *arg, struct json_object *said, const struct err *why)
{
	struct disk_call *c = arg;
	struct err e;

	if (why && why->code != ERR_INVALID) {
		call_fail(c->call, why, NULL);
	} else if (why || !json_get(said, "settings")) {
		err_set(&e, ERR_VM_DEVICE_FIXED, "device '%s' of VM '%s' has no limits",
			disk_device(c->call), json_get_str(c->result, "name", ""));
		err_hint(&e, "disks have, and images at a SCSI or AHCI controller");
		call_fail(c->call, &e, NULL);
	} else if (!disk_limits_now(c, json_get(said, "settings"))) {
		err_set(&e, ERR_VMM_PROTOCOL, "vmm has not said what the disk's limits are");
		call_fail(c->call, &e, NULL);
	} else {
		disk_rate_answer(c, said);
	}
	disk_call_free(c);
}

void method_vm_set_rate(struct daemon *d, struct call *call)
{
	struct guest *g = method_running_guest(d, call);
	struct disk_call *c = g ? disk_call_new(g, call) : NULL; /* without it the call has ended */
	struct json_object *params;

	if (c) {
		bool dry_run = json_get_bool(call->params, "dry_run", false);

		params = json_add_str(json_new(), "id", disk_device(call));
		json_add(params, "change", dry_run ? json_new() : disk_change(call));
		vmproc_call(g->proc, "device.set", params, NULL, guest_call_ms(g), disk_rate_set,
			    c);
	}
	if (g)
		guest_put(g);
}
