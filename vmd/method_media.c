// SPDX-License-Identifier: MIT
/*
 * Method vm.media: the drives of a running VM, and another medium for one of them. A worker opens the image with the
 * rights of the VM's owner; the monitor gets its descriptor, and says whether that is a change. On the loop's thread.
 */
#include "vmd/methods.h"

#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/vmdef.h"
#include "vmd/daemon.h"
#include "vmd/gather.h"
#include "vmd/guest.h"

#define MEDIA_DRIVES_MAX 1024 /* that are believed: more than a machine can have */

struct media_call {
	struct call *call;
	struct daemon *d;
	char id[STATE_ID_SIZE];	    /* the VM's */
	pid_t pid;		    /* of its process */
	struct json_object *result; /* owned */
};

static void media_fail(struct media_call *m, const struct err *why)
{
	call_fail(m->call, why, NULL);
	json_object_put(m->result);
	free(m);
}

/* --- what vmm says, as far as it can be true -------------------------------------------------------------- */

/* NULL: it makes no sense */
static struct json_object *media_drives(struct json_object *said)
{
	struct json_object *list = json_get(said, "drives"), *out;
	size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list)
							      : SIZE_MAX;

	if (n > MEDIA_DRIVES_MAX)
		return NULL;
	out = json_object_new_array();
	for (size_t i = 0; i < n; i++) {
		struct json_object *from = json_object_array_get_idx(list, i), *o;
		const char *id = json_get_str(from, "id", "");

		if (!vmdef_name_valid(id)) {
			json_object_put(out);
			return NULL;
		}
		o = json_add_str(json_new(), "id", id);
		json_add_bool(o, "medium", json_get_bool(from, "medium", false));
		json_add_bool(o, "open", json_get_bool(from, "open", false));
		json_add_bool(o, "locked", json_get_bool(from, "locked", false));
		json_object_array_add(out, o);
	}
	return out;
}

static void media_note(struct media_call *m, bool changed)
{
	bool dry_run = json_get_bool(m->call->params, "dry_run", false);
	bool eject = json_get_bool(m->call->params, "eject", false);

	json_add_bool(m->result, "changed", changed && !dry_run);
	if (!changed)
		json_add_str(m->result, "note",
			     eject ? "there is no medium in it" : "it is in the drive already");
	else if (dry_run)
		json_add_str(m->result, "note",
			     eject ? "the medium would be taken out" : "would be put in");
}

static void media_done(void *arg, struct json_object *said, const struct err *why)
{
	struct media_call *m = arg;
	struct json_object *drives = why ? NULL : media_drives(said);
	struct err e;

	if (why) {
		media_fail(m, why);
	} else if (!drives) {
		err_set(&e, ERR_VMM_PROTOCOL, "vmm has not said which drives there are");
		media_fail(m, &e);
	} else {
		if (json_get(m->call->params, "drive"))
			media_note(m, json_get_bool(said, "changed", false));
		json_add(m->result, "drives", drives);
		call_reply(m->call, TAKE_PTR(m->result));
		free(m);
	}
}

/* --- asking it ---------------------------------------------------------------------------------------------- */

/* medium: {fd}, or NULL: take it out, or list them */
static void media_ask(struct media_call *m, struct guest *g, struct json_object *medium,
		      struct fdset *take_fds)
{
	struct json_object *params = json_new(), *from = m->call->params;

	if (json_get(from, "drive"))
		json_add_str(params, "drive", json_get_str(from, "drive", ""));
	if (json_get(from, "format"))
		json_add_str(params, "format", json_get_str(from, "format", ""));
	if (medium)
		json_add(params, "medium", json_object_get(medium));
	json_add_bool(params, "force", json_get_bool(from, "force", false));
	json_add_bool(params, "dry_run", json_get_bool(from, "dry_run", false));
	vmproc_call(g->proc, "device.medium", params, take_fds, guest_call_ms(g), media_done, m);
}

static void media_gathered(struct gather *gather)
{
	struct media_call *m = gather->arg;
	struct guest *g = guest_find(m->d, m->id);
	struct err e = gather->err;

	if (gather->ret < 0) {
		media_fail(m, &e);
	} else if (!g || !g->proc || vmproc_pid(g->proc) != m->pid) {
		err_set(&e, ERR_VM_STATE, "VM '%s' has ended meanwhile",
			json_get_str(m->result, "name", ""));
		media_fail(m, &e);
	} else {
		media_ask(m, g, json_at(gather->config, "/devices/0/path"), &gather->fds);
	}
	gather_free(gather);
}

/* As if it were a disk of a configuration: that is how its file is opened. */
static struct json_object *media_config(struct json_object *params)
{
	struct json_object *disk = json_new(), *devices = json_object_new_array();

	json_add_str(disk, "id", json_get_str(params, "drive", ""));
	json_add_str(disk, "path", json_get_str(params, "path", ""));
	json_object_array_add(devices, json_add_bool(disk, "readonly", true));
	return json_add(json_new(), "devices", devices);
}

static void media_open(struct media_call *m)
{
	struct state_vm vm;
	struct err e;

	if (state_vm_get(m->d->state, m->id, &vm, &e) < 0) {
		media_fail(m, &e);
		return;
	}
	if (gather_more(&m->d->loop, &m->d->hostfs, &vm, media_config(m->call->params),
			media_gathered, m))
		return;
	err_set(&e, ERR_RPC_INTERNAL, "out of memory");
	media_fail(m, &e);
}

/* --- the call ----------------------------------------------------------------------------------------------- */

/* What a schema cannot say: which parameters go together. */
static int media_check(struct json_object *params, struct err *e)
{
	const char *path = json_get_str(params, "path", NULL);
	bool eject = json_get_bool(params, "eject", false), drive = json_get(params, "drive");

	if (!drive && (path || eject))
		return err_set(e, ERR_RPC_PARAMS, "vm.media: needs drive, the id of one");
	if (drive && !path == !eject)
		return err_set(e, ERR_RPC_PARAMS, "vm.media: needs path or eject, one of them");
	if (path && path[0] != '/')
		return err_set(e, ERR_RPC_PARAMS,
			       "vm.media: /path: expected an absolute path, got \"%.60s\"", path);
	return 0;
}

void method_vm_media(struct daemon *d, struct call *call)
{
	struct media_call *m;
	struct guest *g;
	struct err e;

	if (media_check(call->params, &e) < 0) {
		call_fail(call, &e, NULL);
		return;
	}
	g = method_running_guest(d, call);
	if (!g)
		return;
	m = calloc(1, sizeof(*m));
	if (!m) {
		err_set(&e, ERR_RPC_INTERNAL, "out of memory");
		call_fail(call, &e, NULL);
		guest_put(g);
		return;
	}
	*m = (struct media_call){ .call = call, .d = d, .pid = vmproc_pid(g->proc) };
	memcpy(m->id, g->id, sizeof(m->id));
	m->result = json_add_str(json_new(), "name", g->name);
	json_add_str(m->result, "state", guest_state_name(g));
	if (json_get(call->params, "path"))
		media_open(m);
	else
		media_ask(m, g, NULL, NULL);
	guest_put(g);
}
