// SPDX-License-Identifier: MIT
/* See nets.h. The bridges are looked at by one worker at a time. On the loop's thread, but for nets_work. */
#include "vmd/nets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/netdef.h"
#include "vmd/daemon.h"
#include "vmd/event.h"
#include "vmd/net_private.h"

/* what vmm/virtio/net.c says behind the device's id */
#define NETS_GONE ": its network is gone; the link is down"
#define NETS_NO_VHOST ": the monitor moves its packets, for vhost-net has failed"

struct nets_bridge {
	int64_t id;
	char name[IFNAMSIZ];
	bool gone;
};

struct nets {
	struct daemon *d;
	unsigned int gathers; /* under way */
	bool wanted;	      /* a sweep, when there is none, and no gather */
	bool at_work, ended;
	uv_work_t work;
	struct nets_bridge *bridges; /* owned; the worker's while at_work */
	size_t n;
	struct err err; /* the worker's last failure */
	struct log_limit limit;
};

struct nets *nets_new(struct daemon *d)
{
	struct nets *n = calloc(1, sizeof(*n));

	if (n)
		n->d = d;
	return n;
}

void nets_close(struct nets *n)
{
	if (n)
		n->ended = true;
}

void nets_free(struct nets *n)
{
	if (!n)
		return;
	free(n->bridges);
	free(n);
}

/* --- bridges of private links ----------------------------------------------------------------------- */

static int nets_add_bridge(void *arg, int64_t id, const char *bridge)
{
	struct nets *n = arg;
	struct nets_bridge *more = realloc(n->bridges, (n->n + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	n->bridges = more;
	n->bridges[n->n] = (struct nets_bridge){ .id = id };
	snprintf(n->bridges[n->n++].name, IFNAMSIZ, "%s", bridge);
	return 0;
}

static void nets_work(uv_work_t *work)
{
	struct nets *n = container_of(work, struct nets, work);
	AUTO_CLOSE int lock = net_private_lock(&n->err);

	for (size_t i = 0; i < n->n && lock >= 0; i++)
		n->bridges[i].gone = net_private_remove(n->bridges[i].name, &n->err) > 0;
}

/* A start that came meanwhile has made the row anew: it has another id. */
static void nets_forget_gone(struct nets *n)
{
	struct err e;

	for (size_t i = 0; i < n->n; i++)
		if (n->bridges[i].gone &&
		    state_private_delete(n->d->state, n->bridges[i].id, &e) < 0)
			log_error(&n->d->log, "%s", e.msg);
}

static void nets_begin(struct nets *n);

static void nets_worked(uv_work_t *work, int status)
{
	struct nets *n = container_of(work, struct nets, work);

	n->at_work = false;
	if (n->ended)
		return;
	if (status >= 0)
		nets_forget_gone(n);
	if (n->err.code)
		log_limited(&n->d->log, &n->limit, "cannot look after private links: %s",
			    n->err.msg);
	nets_begin(n);
}

static void nets_begin(struct nets *n)
{
	struct err e;

	if (!n->wanted || n->gathers || n->at_work || n->ended)
		return;
	n->wanted = false;
	n->n = 0;
	n->err = (struct err){ 0 };
	if (state_private_list(n->d->state, nets_add_bridge, n, &e) < 0)
		log_error(&n->d->log, "private links: %s", e.msg);
	n->at_work = n->n && uv_queue_work(&n->d->loop, &n->work, nets_work, nets_worked) >= 0;
}

void nets_sweep(struct daemon *d)
{
	d->nets->wanted = true;
	nets_begin(d->nets);
}

void nets_gather_begins(struct daemon *d)
{
	d->nets->gathers++;
}

void nets_gathered(struct daemon *d)
{
	d->nets->gathers--;
	nets_begin(d->nets);
}

/* --- descriptors that nobody wants -------------------------------------------------------------------- */

struct nets_discard {
	uv_work_t work;
	struct daemon *d;
	struct fdset fds; /* owned */
};

static void nets_discard_work(uv_work_t *work)
{
	fdset_fini(&container_of(work, struct nets_discard, work)->fds);
}

static void nets_discarded(uv_work_t *work, int status)
{
	struct nets_discard *w = container_of(work, struct nets_discard, work);

	if (status < 0)
		fdset_fini(&w->fds);
	nets_gathered(w->d);
	free(w);
}

static bool nets_has_fds(const struct fdset *fds)
{
	unsigned int i = 0;

	while (i < fds->n && fds->fds[i] < 0)
		i++;
	return i < fds->n;
}

void nets_discard(struct daemon *d, struct fdset *take_fds)
{
	struct nets_discard *w = nets_has_fds(take_fds) ? calloc(1, sizeof(*w)) : NULL;

	if (w) {
		w->d = d;
		w->fds = *take_fds;
		take_fds->n = 0;
		nets_gather_begins(d);
		if (uv_queue_work(&d->loop, &w->work, nets_discard_work, nets_discarded) < 0)
			nets_discarded(&w->work, UV_ENOMEM);
	}
	fdset_fini(take_fds);
}

/* --- rows ------------------------------------------------------------------------------------------- */

static int nets_mac_taken(struct daemon *d, const struct state_vm *vm, const char *device,
			  const char *mac, struct err *e)
{
	struct state_lease lease;
	struct state_nic nic;
	struct state_vm other;
	int ret = state_nic_of_mac(d->state, mac, &nic, e);

	if (ret > 0 && !strcmp(nic.vm, vm->id))
		ret = 0; /* the schema's door has compared those of one VM */
	if (ret > 0) {
		if (state_vm_get(d->state, nic.vm, &other, NULL) < 0)
			snprintf(other.name, sizeof(other.name), "%s", nic.vm);
		err_set(e, ERR_NET_MAC, "device '%s': MAC address %s is that of '%s' of VM '%s'",
			device, mac, nic.device, other.name);
		return err_hint(e, "give one of them another: mac");
	}
	if (ret >= 0)
		ret = state_lease_of_mac(d->state, mac, &lease, e);
	if (ret > 0)
		return err_set(e, ERR_NET_MAC,
			       "device '%s': MAC address %s is that of the virtual function %s",
			       device, mac, lease.address);
	return ret;
}

static int nets_reserve_one(struct daemon *d, const struct state_vm *vm, struct json_object *device,
			    bool dry, struct err *e)
{
	const char *id = json_get_str(device, "id", ""), *mac = json_get_str(device, "mac", "");
	const char *name = json_get_str(json_get(device, "network"), "private", NULL);
	struct net_private link;
	int ret = nets_mac_taken(d, vm, id, mac, e);

	if (ret < 0 || dry)
		return ret;
	ret = state_nic_put(d->state, vm->id, id, mac, e);
	if (ret < 0 || !name)
		return ret;
	net_private_name(name, vm->confined, vm->owner, &link);
	return state_private_put(d->state, link.bridge, e);
}

static bool nets_is_nic(struct json_object *device)
{
	return netdef_is_card(json_get_str(device, "type", ""));
}

static bool nets_any(struct json_object *devices)
{
	size_t i = 0, n = devices ? json_object_array_length(devices) : 0;

	while (i < n && !nets_is_nic(json_object_array_get_idx(devices, i)))
		i++;
	return i < n;
}

int nets_reserve(struct daemon *d, const struct state_vm *vm, struct json_object *config, bool dry,
		 struct err *e)
{
	struct json_object *devices = json_get(config, "devices");
	int ret;

	if (!nets_any(devices))
		return 0;
	/* a reboot makes all of it void: no fsync */
	ret = state_begin_boot(d->state, e);
	for (size_t i = 0; i < json_object_array_length(devices) && ret >= 0; i++) {
		struct json_object *device = json_object_array_get_idx(devices, i);

		if (nets_is_nic(device))
			ret = nets_reserve_one(d, vm, device, dry, e);
	}
	if (ret >= 0)
		ret = state_commit(d->state, e);
	if (ret < 0)
		state_rollback(d->state);
	return ret;
}

int nets_store(struct daemon *d, const char *vm, struct json_object *details, struct err *e)
{
	int ret = 0;

	if (!details)
		return 0;
	json_object_object_foreach(details, device, detail) {
		if (ret >= 0)
			ret = state_nic_set(
				d->state, vm, device,
				json_object_to_json_string_ext(detail, JSON_C_TO_STRING_PLAIN), e);
	}
	return ret;
}

static int nets_add_json(void *arg, const struct state_nic *nic)
{
	struct json_object *o = json_add_str(json_new(), "device", nic->device), *detail = NULL;

	json_add_str(o, "mac", nic->mac);
	if (json_parse(nic->detail, strlen(nic->detail), &detail, NULL) >= 0) {
		json_object_object_foreach(detail, key, value) {
			json_add(o, key, json_object_get(value));
		}
		json_object_put(detail);
	}
	json_object_array_add(arg, o);
	return 0;
}

struct json_object *nets_json(struct daemon *d, const char *vm)
{
	struct json_object *list = json_object_new_array();
	struct err e;

	if (state_nic_list(d->state, vm, nets_add_json, list, &e) < 0)
		log_error(&d->log, "%s", e.msg);
	return list;
}

/* --- cables ------------------------------------------------------------------------------------------- */

struct nets_find {
	const char *device;
	struct json_object *detail; /* owned */
};

static int nets_find_one(void *arg, const struct state_nic *nic)
{
	struct nets_find *f = arg;

	if (strcmp(nic->device, f->device) != 0)
		return 0;
	return json_parse(nic->detail, strlen(nic->detail), &f->detail, NULL);
}

int nets_link_get(struct daemon *d, const char *vm, const char *device, struct nets_link *ret,
		  struct err *e)
{
	struct nets_find f = { .device = device };
	int r = state_nic_list(d->state, vm, nets_find_one, &f, e);

	if (r < 0 || !f.detail)
		return r;
	snprintf(ret->link, sizeof(ret->link), "%s", json_get_str(f.detail, "link", ""));
	ret->lost = json_get_bool(f.detail, "lost", false);
	json_object_put(f.detail);
	return 1;
}

static int nets_link_write(struct daemon *d, const char *vm, const char *name, const char *device,
			   struct json_object *detail, const char *reason, struct err *e)
{
	struct json_object *data = json_add_str(json_new(), "name", name);
	int r = state_begin(d->state, e);

	json_add_str(data, "device", device);
	json_add_str(data, "link", json_get_str(detail, "link", ""));
	if (reason)
		json_add_str(data, "reason", reason);
	if (r >= 0)
		r = state_nic_set(d->state, vm, device,
				  json_object_to_json_string_ext(detail, JSON_C_TO_STRING_PLAIN),
				  e);
	if (r < 0)
		json_object_put(data);
	else
		r = event_add(d->events, "device.link", vm, data, e);
	if (r >= 0)
		r = state_commit(d->state, e);
	if (r >= 0) {
		event_flush(d->events);
		return 1;
	}
	state_rollback(d->state);
	event_drop(d->events);
	return r;
}

int nets_link_told(struct daemon *d, const char *vm, const char *name, const char *device,
		   const char *link, const char *reason, struct err *e)
{
	struct nets_find f = { .device = device };
	int r = state_nic_list(d->state, vm, nets_find_one, &f, e);

	if (r < 0 || !f.detail)
		return r;
	r = 0;
	if (strcmp(json_get_str(f.detail, "link", ""), link) != 0 ||
	    (reason && !json_get_bool(f.detail, "lost", false))) {
		json_add_str(f.detail, "link", link);
		if (reason)
			json_add_bool(f.detail, "lost", true);
		r = nets_link_write(d, vm, name, device, f.detail, reason, e);
	}
	json_object_put(f.detail);
	return r;
}

static int nets_write(struct daemon *d, const char *vm, const char *device,
		      struct json_object *detail, struct err *e)
{
	int r = state_begin(d->state, e);

	if (r < 0)
		return r;
	r = state_nic_set(d->state, vm, device,
			  json_object_to_json_string_ext(detail, JSON_C_TO_STRING_PLAIN), e);
	if (r >= 0)
		r = state_commit(d->state, e);
	if (r < 0)
		state_rollback(d->state);
	return r;
}

/* Once for each card, as below. */
static int nets_without_vhost(struct daemon *d, const char *vm, const char *device, struct err *e)
{
	struct nets_find f = { .device = device };
	int r = state_nic_list(d->state, vm, nets_find_one, &f, e);

	if (r >= 0 && f.detail && json_get_bool(f.detail, "vhost", false)) {
		json_add_bool(f.detail, "vhost", false);
		json_add_bool(f.detail, "vhost_failed", true);
		r = nets_write(d, vm, device, f.detail, e);
	}
	json_object_put(f.detail);
	return r;
}

/* Once for each card: more of it would be a vmm that fills the database. */
void nets_heard(struct daemon *d, const char *vm, const char *name, const char *message)
{
	const char *rest = strchr(message, ':');
	bool gone = rest && !strcmp(rest, NETS_GONE);
	char device[64];
	struct err e;
	int r;

	if (!rest || (!gone && strncmp(rest, NETS_NO_VHOST, strlen(NETS_NO_VHOST)) != 0))
		return;
	snprintf(device, sizeof(device), "%.*s", (int)MIN(rest - message, 63), message);
	r = gone ? nets_link_told(d, vm, name, device, "down", "its network is gone", &e)
		 : nets_without_vhost(d, vm, device, &e);
	if (r < 0)
		log_error(&d->log, "VM '%s', device '%s': %s", name, device, e.msg);
}
