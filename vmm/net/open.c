// SPDX-License-Identifier: MIT
/* See open.h. Before the machine is made, and the cage. */
#include "vmm/net/open.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "lib/netdef.h"
#include "vmm/net/tap.h"

#define NET_OPEN_PAIRS 8
#define NET_OPEN_VHOST "/dev/vhost-net"

static int net_open_pass(struct json_object *list, struct fdset *fds, int take_fd, struct err *e)
{
	int index = fdset_add(fds, take_fd);

	if (index < 0)
		return err_set(e, ERR_INVALID, "more than %d files", FDSET_MAX);
	json_object_array_add(list, json_add_int(json_new(), "fd", index));
	return 0;
}

static int net_open_taps(struct json_object *d, const char *ifname, unsigned int n,
			 struct fdset *fds, struct err *e)
{
	struct json_object *list = json_object_new_array();
	int taps[NET_OPEN_PAIRS], r;

	json_add(d, "tap_fds", list);
	r = tap_open(ifname, n, taps, e);
	for (unsigned int i = 0; i < n && r >= 0; i++) {
		r = net_open_pass(list, fds, taps[i], e);
		while (r < 0 && i + 1 < n)
			close(taps[++i]);
	}
	return r;
}

static int net_open_vhosts(struct json_object *d, unsigned int n, bool needed, struct fdset *fds,
			   struct err *e)
{
	struct json_object *list = json_object_new_array();
	int r = 0;

	if (!needed && access(NET_OPEN_VHOST, R_OK | W_OK) < 0)
		return 0;
	json_add(d, "vhost_fds", list);
	for (unsigned int i = 0; i < n && r >= 0; i++) {
		int fd = open(NET_OPEN_VHOST, O_RDWR | O_CLOEXEC);

		if (fd < 0) {
			err_set(e, ERR_FILE, "cannot open '%s': %s", NET_OPEN_VHOST,
				strerror(errno));
			return err_hint(e, "modprobe vhost_net, or set `vhost: \"off\"`");
		}
		r = net_open_pass(list, fds, fd, e);
	}
	return r;
}

static int net_open_one(struct json_object *d, struct fdset *fds, struct err *e)
{
	const char *ifname = json_get_str(json_get(d, "network"), "tap", NULL);
	const char *vhost = json_get_str(d, "vhost", "off");
	unsigned int n = (unsigned int)json_get_int(d, "queues", 1);
	bool on = !strcmp(vhost, "on"),
	     can = !strcmp(vhost, "auto") && json_get_bool(d, "spoofing", false);
	int r;

	if (!ifname) {
		err_set(e, ERR_INVALID, "vmm alone connects a card to a tap and to nothing else");
		return err_hint(e, "start the VM by vmd, or set `network: {tap: NAME}`");
	}
	if (n > NET_OPEN_PAIRS)
		return err_set(e, ERR_INVALID, "more than %d pairs of queues", NET_OPEN_PAIRS);
	r = net_open_taps(d, ifname, n, fds, e);
	if (r >= 0 && (on || can))
		r = net_open_vhosts(d, n, on, fds, e);
	json_object_object_del(d, "network");
	json_object_object_del(d, "vhost");
	return r;
}

int net_open_devices(struct json_object *config, struct fdset *fds, struct err *e)
{
	struct json_object *devices = json_get(config, "devices");
	size_t count = devices ? json_object_array_length(devices) : 0;

	for (size_t i = 0; i < count; i++) {
		struct json_object *d = json_object_array_get_idx(devices, i);

		if (!netdef_is_card(json_get_str(d, "type", "")))
			continue;
		if (net_open_one(d, fds, e) < 0)
			return err_wrap(e, "device '%s'", json_get_str(d, "id", ""));
	}
	return 0;
}
