// SPDX-License-Identifier: MIT
/* Method vm.resize: a disk is as large as its image has become. The VM's monitor does it. On the loop's thread. */
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
	json_object_put(c->result);
	free(c);
}

void method_vm_resize(struct daemon *d, struct call *call)
{
	const char *device = json_get_str(call->params, "device", "");
	struct guest *g = method_running_guest(d, call);
	struct disk_call *c = g ? calloc(1, sizeof(*c)) : NULL;
	struct json_object *params;
	struct err e;

	if (!g)
		return;
	if (c) {
		c->call = call;
		c->result = json_add_str(json_new(), "name", g->name);
		json_add_str(c->result, "state", guest_state_name(g));
		json_add_str(c->result, "device", device);
		params = json_add_str(json_new(), "id", device);
		json_add_bool(params, "dry_run", json_get_bool(call->params, "dry_run", false));
		vmproc_call(g->proc, "device.resize", params, NULL, guest_call_ms(g), disk_resized,
			    c);
	} else {
		err_set(&e, ERR_RPC_INTERNAL, "out of memory");
		call_fail(call, &e, NULL);
	}
	guest_put(g);
}
