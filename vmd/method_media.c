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
	bool writable;		    /* what is put into the drive, as far as the caller lets it */
	ino_t busy;		    /* the image, which this VM has already … */
	struct err in_use;	    /* … as this says */
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
	json_add_bool(params, "writable", m->writable);
	json_add_bool(params, "force", json_get_bool(from, "force", false));
	json_add_bool(params, "dry_run", json_get_bool(from, "dry_run", false));
	vmproc_call(g->proc, "device.medium", params, take_fds, guest_call_ms(g), media_done, m);
}

static bool media_is_in(const struct media_call *m, struct json_object *drives)
{
	const char *drive = json_get_str(m->call->params, "drive", "");
	size_t n =
		json_object_is_type(drives, json_type_array) ? json_object_array_length(drives) : 0;

	for (size_t i = 0; i < MIN(n, (size_t)MEDIA_DRIVES_MAX); i++) {
		struct json_object *o = json_object_array_get_idx(drives, i);

		if (!strcmp(json_get_str(o, "id", ""), drive))
			return (ino_t)json_get_int(o, "inode", 0) == m->busy;
	}
	return false;
}

static void media_looked(void *arg, struct json_object *said, const struct err *why)
{
	struct media_call *m = arg;

	if (why || !media_is_in(m, json_get(said, "drives")))
		media_fail(m, &m->in_use);
	else
		media_done(m, said, NULL);
}

/* What the guest may write to is locked, also against its own vmm: which may have it in this very drive. */
static bool media_look(struct media_call *m, const struct gather *gather, struct guest *g)
{
	if (gather->ret != -ERR_FILE_IN_USE || gather->holder != m->pid || !gather->busy)
		return false;
	m->busy = gather->busy;
	m->in_use = gather->err;
	vmproc_call(g->proc, "device.medium", json_new(), NULL, guest_call_ms(g), media_looked, m);
	return true;
}

static void media_gathered(struct gather *gather)
{
	struct media_call *m = gather->arg;
	struct guest *g = guest_find(m->d, m->id);
	struct err e = gather->err;
	bool running = g && g->proc && vmproc_pid(g->proc) == m->pid;

	if (gather->ret < 0) {
		if (!running || !media_look(m, gather, g))
			media_fail(m, &e);
	} else if (!running) {
		err_set(&e, ERR_VM_STATE, "VM '%s' has ended meanwhile",
			json_get_str(m->result, "name", ""));
		media_fail(m, &e);
	} else {
		media_ask(m, g, json_at(gather->config, "/devices/0/path"), &gather->fds);
	}
	gather_free(gather);
}

/* A floppy disk is written to, unless its drive's disks are write protected; a CD is not. */
static bool media_drive_writes(struct json_object *config, const char *id)
{
	struct json_object *devices = json_get(config, "devices");
	size_t n = devices ? json_object_array_length(devices) : 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *d = json_object_array_get_idx(devices, i);
		struct json_object *disks = json_get(d, "disks");
		size_t count = disks ? json_object_array_length(disks) : 0;

		for (size_t j = 0; j < count && !strcmp(json_get_str(d, "type", ""), "floppy");
		     j++) {
			struct json_object *disk = json_object_array_get_idx(disks, j);

			if (!strcmp(json_get_str(disk, "id", ""), id))
				return !json_get_bool(disk, "readonly", false);
		}
	}
	return false;
}

/* config is of the revision that runs. */
static bool media_writable(const struct media_call *m, const struct guest *g)
{
	AUTO_JSON struct json_object *config = NULL;
	AUTO_FREE char *text = NULL;

	if (json_get_bool(m->call->params, "readonly", false) ||
	    state_revision_get(m->d->state, g->id, g->revision, NULL, &text, NULL) < 0 ||
	    json_parse(text, strlen(text), &config, NULL) < 0)
		return false;
	return media_drive_writes(config, json_get_str(m->call->params, "drive", ""));
}

/* As if it were a disk of a configuration: that is how its file is opened. */
static struct json_object *media_config(struct json_object *params, bool writable)
{
	struct json_object *disk = json_new(), *devices = json_object_new_array();

	json_add_str(disk, "id", json_get_str(params, "drive", ""));
	json_add_str(disk, "path", json_get_str(params, "path", ""));
	json_object_array_add(devices, json_add_bool(disk, "readonly", !writable));
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
	if (gather_more(&m->d->loop, &m->d->hostfs, &vm, media_config(m->call->params, m->writable),
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
	m->writable = media_writable(m, g);
	if (json_get(call->params, "path"))
		media_open(m);
	else
		media_ask(m, g, NULL, NULL);
	guest_put(g);
}
