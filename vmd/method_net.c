// SPDX-License-Identifier: MIT
/* Method vm.set_link: the cable of a network card, while the VM runs. On the loop's thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"
#include "vmd/daemon.h"
#include "vmd/event.h"
#include "vmd/guest.h"
#include "vmd/methods.h"
#include "vmd/nets.h"

#define NET_SO_ALREADY "it is so already"

struct net_call {
	struct call *call; /* borrowed: until it is answered */
	struct daemon *d;
	char vm[STATE_ID_SIZE], name[64];
};

static const char *net_device(const struct call *call)
{
	return json_get_str(call->params, "device", "");
}

static const char *net_link(const struct call *call)
{
	return json_get_str(call->params, "link", "up");
}

static void net_reply(struct call *call, const char *name, bool changed, const char *note)
{
	struct json_object *o = json_add_str(json_new(), "name", name);

	json_add_str(o, "device", net_device(call));
	json_add_str(o, "link", net_link(call));
	if (note)
		json_add_str(o, "note", note);
	call_reply(call, json_add_bool(o, "changed", changed));
}

static void net_set_done(void *arg, struct json_object *said, const struct err *why)
{
	struct net_call *n = arg;
	struct err e;
	int ret;

	(void)said;
	if (why) {
		call_fail(n->call, why, NULL);
	} else {
		ret = nets_link_told(n->d, n->vm, n->name, net_device(n->call), net_link(n->call),
				     NULL, &e);
		if (ret < 0)
			call_fail(n->call, &e, NULL);
		else
			net_reply(n->call, n->name, ret, ret ? NULL : NET_SO_ALREADY);
	}
	free(n);
}

/*
 * 1: vmm is to be asked, of what is so already too: a vmd that died may have written down less than was done. 0: only
 * the note is wanted.
 */
static int net_check(struct daemon *d, const struct guest *g, const struct call *call,
		     const char **ret_note, struct err *e)
{
	const char *device = net_device(call), *link = net_link(call);
	struct nets_link now;
	int ret = nets_link_get(d, g->id, device, &now, e);

	if (ret < 0)
		return ret;
	if (!ret)
		return err_set(e, ERR_VM_NO_DEVICE, "VM '%s' has no network card '%s'", g->name,
			       device);
	if (now.lost && !strcmp(link, "up")) {
		err_set(e, ERR_VM_STATE, "the network of card '%s' of VM '%s' is gone", device,
			g->name);
		return err_hint(e,
				"vmctl restart %s makes it anew; or detach the card and attach "
				"another",
				g->name);
	}
	*ret_note = strcmp(now.link, link) ? "would be set" : NET_SO_ALREADY;
	return json_get_bool(call->params, "dry_run", false) ? 0 : 1;
}

static int net_ask(struct daemon *d, struct guest *g, struct call *call, struct err *e)
{
	struct json_object *change = json_add_str(json_new(), "link", net_link(call));
	struct json_object *params = json_add_str(json_new(), "id", net_device(call));
	struct net_call *n = calloc(1, sizeof(*n));

	json_add(params, "change", change);
	if (!n) {
		json_object_put(params);
		return err_set(e, ERR_RPC_INTERNAL, "out of memory");
	}
	n->call = call;
	n->d = d;
	memcpy(n->vm, g->id, sizeof(n->vm));
	memcpy(n->name, g->name, sizeof(n->name));
	vmproc_call(g->proc, "device.set", params, NULL, guest_call_ms(g), net_set_done, n);
	return 0;
}

void method_vm_set_link(struct daemon *d, struct call *call)
{
	struct guest *g = method_running_guest(d, call);
	const char *note = NULL;
	struct err e;
	int ret;

	if (!g)
		return;
	ret = net_check(d, g, call, &note, &e);
	if (ret > 0)
		ret = net_ask(d, g, call, &e);
	else if (!ret)
		net_reply(call, g->name, false, note);
	if (ret < 0)
		call_fail(call, &e, NULL);
	guest_put(g);
}
