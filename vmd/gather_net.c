// SPDX-License-Identifier: MIT
/*
 * What a network card is connected to, got ready for a vmm: see gather.h. Taps are not persistent: whatever dies on the
 * way, nothing of them stays. On a worker.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/netdef.h"
#include "lib/vmdef.h"
#include "vmd/gather.h"
#include "vmd/net_link.h"
#include "vmd/net_private.h"
#include "vmd/net_tap.h"
#include "vmd/net_user.h"

/* A card on its way. */
struct gather_nic {
	struct gather *g;
	struct json_object *device;  /* borrowed: as the machine configuration has it */
	struct json_object *network; /* borrowed: of it */
	struct json_object *detail;  /* owned */
	const char *id;
	uint8_t mac[NETDEF_MAC_SIZE];
	unsigned int queues;
	bool dry; /* nothing is changed: would it work? */
	struct net_tap tap;
};

static int gather_nic_give(struct gather_nic *n, const char *list, int take_fd, struct err *e)
{
	struct json_object *fds = json_get(n->device, list);
	int index = fdset_add(&n->g->fds, take_fd);

	if (index < 0)
		return err_ret(e, index, "too many files");
	if (!fds) {
		fds = json_object_new_array();
		json_add(n->device, list, fds);
	}
	json_object_array_add(fds, json_add_int(json_new(), "fd", index));
	return 0;
}

/* --- the bridge --------------------------------------------------------------------------------- */

static int gather_nic_not_lo(void *arg, const struct net_link *link)
{
	static const uint8_t none[NETDEF_MAC_SIZE];

	(void)arg;
	return memcmp(link->mac, none, sizeof(none)) ? -EEXIST : 0;
}

/* A confined service has a network of its own, with nothing in it. */
static int gather_nic_no_bridge(const char *name, struct err *e)
{
	bool alone = net_link_each(gather_nic_not_lo, NULL, NULL) >= 0;

	err_set(e, ERR_NET_BRIDGE, "there is no bridge '%s'%s", name,
		alone ? ", nor any other interface: vmd has a network of its own" : "");
	if (alone)
		return err_hint(e, "vmd-network(7), RIGHTS");
	return err_hint(e, "ip link add %s type bridge && ip link set %s up", name, name);
}

static int gather_nic_bridge(struct gather_nic *n, const char *name, struct net_link *ret,
			     struct err *e)
{
	unsigned int mtu = (unsigned int)json_get_int(n->device, "mtu", 0);
	int ret_get = net_link_get(name, ret, e);

	if (ret_get == -ENODEV)
		return gather_nic_no_bridge(name, e);
	if (ret_get < 0)
		return err_wrap(e, "bridge '%s'", name);
	if (strcmp(ret->kind, "bridge") != 0)
		return err_set(e, ERR_NET_BRIDGE, "'%s' is no bridge", name);
	if (json_get_int(n->network, "vlan", 0) && !ret->filters) {
		err_set(e, ERR_NET_BRIDGE, "bridge '%s' knows no VLANs", name);
		return err_hint(e, "ip link set %s type bridge vlan_filtering 1", name);
	}
	if (mtu <= ret->mtu)
		return 0;
	err_set(e, ERR_NET_BRIDGE, "mtu %u is more than the %u of bridge '%s'", mtu, ret->mtu,
		name);
	return err_hint(e, "ip link set %s mtu %u, and the bridge's other ports", name, mtu);
}

/* What the host shows of it, and nothing of the host's on it. */
static int gather_nic_dress(struct gather_nic *n, int index, unsigned int mtu, struct err *e)
{
	/* a bridge takes the least address of its ports for its own: not this one */
	const uint8_t mac[NETDEF_MAC_SIZE] = { 0xfe,	  n->mac[1], n->mac[2],
					       n->mac[3], n->mac[4], n->mac[5] };
	char alias[160];
	int ret;

	snprintf(alias, sizeof(alias), "VM %s, %s", n->g->name, n->id);
	net_link_no_addresses(index);
	ret = net_link_set_alias(index, alias, e);
	if (ret >= 0)
		ret = net_link_set_mac(index, mac, e);
	/* the bridge's, whatever the guest's is: a bridge has the least MTU of its ports */
	return ret < 0 ? ret : net_link_set_mtu(index, mtu, e);
}

static int gather_nic_join(struct gather_nic *n, const struct net_link *bridge, struct err *e)
{
	uint16_t vlan = (uint16_t)json_get_int(n->network, "vlan", 0);
	struct net_link link;
	int guarded = 0, ret = net_link_get(n->tap.name, &link, e);

	if (ret >= 0)
		ret = gather_nic_dress(n, link.index, bridge->mtu, e);
	if (ret >= 0)
		ret = net_port_join(link.index, bridge->index, e);
	if (ret >= 0 && vlan)
		ret = net_port_set_vlan(link.index, vlan, bridge->default_vlan, e);
	if (ret >= 0 && !json_get_bool(n->device, "spoofing", false))
		ret = guarded = net_port_guard(link.index, link.name, n->mac, e);
	/* last: nothing goes through it before */
	if (ret >= 0)
		ret = net_link_set_up(link.index, e);
	if (ret < 0)
		return err_wrap(e, "'%s' on bridge '%s'", n->tap.name, bridge->name);
	json_add_bool(n->detail, "guarded", guarded);
	return 0;
}

static int gather_nic_on_bridge(struct gather_nic *n, const struct net_link *bridge, struct err *e)
{
	int ret;

	if (n->dry)
		return 0;
	ret = net_tap_make(n->g->host, n->g->id, n->id, n->queues, &n->tap, e);
	return ret < 0 ? ret : gather_nic_join(n, bridge, e);
}

static int gather_nic_kind_bridge(struct gather_nic *n, struct err *e)
{
	const char *name = json_get_str(n->network, "bridge", "");
	struct net_link bridge;
	int ret;

	if (n->g->confined) {
		err_set(e, ERR_DENIED, "VM '%s' is user %u's, who may not use bridge '%s'",
			n->g->name, (unsigned int)n->g->owner, name);
		return err_hint(e, "network: user, a private link, or a tap that is the user's: ip "
				   "tuntap add mode tap user NAME");
	}
	ret = gather_nic_bridge(n, name, &bridge, e);
	return ret < 0 ? ret : gather_nic_on_bridge(n, &bridge, e);
}

/* --- private links ------------------------------------------------------------------------------- */

static int gather_nic_kind_private(struct gather_nic *n, struct err *e)
{
	AUTO_CLOSE int lock = -1;
	struct net_private link;
	struct net_link bridge;
	int ret;

	net_private_name(json_get_str(n->network, "private", ""), n->g->confined, n->g->owner,
			 &link);
	json_add_str(n->detail, "bridge", link.bridge);
	if (n->dry)
		return 0;
	lock = net_private_lock(e);
	if (lock < 0)
		return lock;
	ret = net_private_make(&link, &bridge, e);
	return ret < 0 ? ret : gather_nic_on_bridge(n, &bridge, e);
}

/* --- a tap of somebody else's ---------------------------------------------------------------------- */

static int gather_nic_tap_fits(struct gather_nic *n, const struct net_link *l, struct err *e)
{
	unsigned int mtu = (unsigned int)json_get_int(n->device, "mtu", 0);

	if (strcmp(l->kind, "tun") != 0 || l->tun.type != IFF_TAP)
		return err_set(e, ERR_NET_TAP, "'%s' is no tap interface", l->name);
	if (n->g->confined && l->tun.owner != (int64_t)n->g->owner)
		return err_set(e, ERR_DENIED, "tap '%s' is not user %u's, who has VM '%s'", l->name,
			       (unsigned int)n->g->owner, n->g->name);
	if (n->queues > 1 && !l->tun.multi_queue) {
		err_set(e, ERR_NET_TAP, "tap '%s' has one queue, and the card %u", l->name,
			n->queues);
		return err_hint(e, "ip tuntap add dev %s mode tap multi_queue", l->name);
	}
	if (l->tun.queues)
		return err_set(e, ERR_NET_TAP, "tap '%s' is in use by another program", l->name);
	if (mtu > l->mtu) {
		err_set(e, ERR_NET_TAP, "mtu %u is more than the %u of tap '%s'", mtu, l->mtu,
			l->name);
		return err_hint(e, "ip link set %s mtu %u", l->name, mtu);
	}
	if (!l->up) {
		err_set(e, ERR_NET_TAP, "tap '%s' is down", l->name);
		return err_hint(e, "ip link set %s up", l->name);
	}
	return 0;
}

static int gather_nic_kind_tap(struct gather_nic *n, struct err *e)
{
	const char *name = json_get_str(n->network, "tap", "");
	struct net_link link;
	int ret = net_link_get(name, &link, e);

	if (ret == -ENODEV) {
		err_set(e, ERR_NET_TAP, "there is no tap interface '%s'", name);
		return err_hint(e, "ip tuntap add dev %s mode tap && ip link set %s up", name,
				name);
	}
	if (ret >= 0)
		ret = gather_nic_tap_fits(n, &link, e);
	if (ret < 0 || n->dry)
		return ret;
	ret = net_tap_attach(n->g->host, name, link.tun.multi_queue, n->queues, &n->tap, e);
	if (ret == -EBUSY)
		return err_set(e, ERR_NET_TAP, "tap '%s' is in use by another program", name);
	if (ret == -EPERM)
		return err_set(e, ERR_DENIED, "tap '%s' is not of vmd's user", name);
	return ret < 0 && ret > -1000
		       ? err_set(e, ERR_NET_TAP, "tap '%s': %s", name, strerror(-ret))
		       : ret;
}

/* --- vhost-net ----------------------------------------------------------------------------------- */

/* With vhost-net vmm does not see the frames: whose address they are from is then for the bridge to look at, or nobody. */
static bool gather_nic_is_watched(const struct gather_nic *n)
{
	return json_get_bool(n->device, "spoofing", false) ||
	       json_get_bool(n->detail, "guarded", n->dry && !json_get(n->network, "tap"));
}

static int gather_nic_vhost(struct gather_nic *n, struct err *e)
{
	const char *asked = json_get_str(n->device, "vhost", "off");
	const char *how = !strcmp(asked, "auto") && !gather_nic_is_watched(n) ? "off" : asked;
	bool must = !strcmp(how, "on");
	struct err why = { 0 };
	unsigned int i = 0;

	while (strcmp(how, "off") != 0 && i < n->queues) {
		int fd = hostfs_open(n->g->host, "dev/vhost-net", O_RDWR | O_CLOEXEC, &why), ret;

		if (fd < 0)
			break;
		if (n->dry) {
			close(fd);
			i = n->queues;
			break;
		}
		ret = gather_nic_give(n, "vhost_fds", fd, e);
		if (ret < 0)
			return ret;
		i++;
	}
	json_add_bool(n->detail, "vhost", i > 0);
	if (!must || i)
		return 0;
	err_set(e, ERR_NET_VHOST, "vhost: on: %s", why.msg);
	return err_hint(e, "modprobe vhost_net; vhost: auto does without it");
}

static int gather_nic_tap_done(struct gather_nic *n, struct err *e)
{
	int ret = 0;

	if (!n->dry)
		json_add_str(n->detail, "tap", n->tap.name);
	for (unsigned int i = 0; i < n->tap.queues && ret >= 0; i++)
		ret = gather_nic_give(n, "tap_fds", TAKE_FD(n->tap.fds[i]), e);
	return ret < 0 ? ret : gather_nic_vhost(n, e);
}

/* --- all of them --------------------------------------------------------------------------------- */

static const struct {
	const char *key;
	int (*run)(struct gather_nic *n, struct err *e);
} gather_kinds[] = {
	{ "bridge", gather_nic_kind_bridge },
	{ "private", gather_nic_kind_private },
	{ "tap", gather_nic_kind_tap },
};

static int gather_nic_run(struct gather_nic *n, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(gather_kinds); i++) {
		struct json_object *value = json_get(n->network, gather_kinds[i].key);
		int ret;

		if (!value)
			continue;
		json_add_str(n->detail, "network", gather_kinds[i].key);
		if (strcmp(gather_kinds[i].key, "tap") != 0)
			json_add(n->detail, gather_kinds[i].key, json_object_get(value));
		value = json_get(n->network, "vlan");
		if (value)
			json_add(n->detail, "vlan", json_object_get(value));
		ret = gather_kinds[i].run(n, e);
		return ret < 0 ? ret : gather_nic_tap_done(n, e);
	}
	/* passt runs with the VM: gather_net_users */
	json_add_str(n->detail, "network", "user");
	json_add(n->detail, "forwards",
		 json_object_get(json_get(json_get(n->network, "user"), "forwards")));
	return 0;
}

/* No interface of the host may have the address of a card: frames to it would go astray. */
static int gather_nic_compare(void *arg, const struct net_link *link)
{
	struct gather_nic *n = arg;

	if (memcmp(link->mac, n->mac, sizeof(n->mac)) != 0)
		return 0;
	json_add_str(n->detail, "same", link->name);
	return -EEXIST;
}

static int gather_nic_check_mac(struct gather_nic *n, struct err *e)
{
	char mac[NETDEF_MAC_TEXT];
	int ret = net_link_each(gather_nic_compare, n, e);

	if (ret != -EEXIST)
		return ret;
	return err_set(e, ERR_NET_MAC, "MAC address %s is that of '%s' of the host",
		       netdef_mac_format(n->mac, mac), json_get_str(n->detail, "same", ""));
}

static int gather_nic(struct gather *g, struct json_object *device, struct err *e)
{
	struct gather_nic n = { .g = g,
				.device = device,
				.network = json_get(device, "network"),
				.detail = json_new(),
				.id = json_get_str(device, "id", ""),
				.queues = (unsigned int)json_get_int(device, "queues", 1),
				.dry = !g->dir[0] && !g->more };
	int ret = netdef_mac_parse(json_get_str(device, "mac", ""), n.mac);

	json_add_str(n.detail, "link", json_get_str(device, "link", "up"));
	net_tap_init(&n.tap);
	if (ret < 0 || n.queues > NET_TAP_QUEUES)
		ret = err_set(e, ERR_INVALID, "its MAC address or queues are none");
	if (ret >= 0 && !g->host->host)
		ret = err_set(e, ERR_NET_TAP, "a host below --sysroot has no network");
	if (ret >= 0 && !json_get(n.network, "user"))
		ret = gather_nic_check_mac(&n, e);
	if (ret >= 0)
		ret = gather_nic_run(&n, e);
	net_tap_fini(&n.tap);
	if (ret < 0) {
		json_object_put(n.detail);
		return err_wrap(e, "device '%s'", n.id);
	}
	json_add(g->nets, n.id, n.detail);
	/* the rest of the entry was for vmd */
	json_object_object_del(device, "network");
	json_object_object_del(device, "vhost");
	return 0;
}

static int gather_user(struct gather *g, struct json_object *device, int cgroup, struct err *e)
{
	const char *id = json_get_str(device, "id", "");
	struct json_object *detail = json_get(g->nets, id);
	struct net_user user = { .forwards = json_get(detail, "forwards"),
				 .mtu = (unsigned int)json_get_int(device, "mtu", 0),
				 .cgroup = cgroup };
	int fd, index;

	if (strcmp(json_get_str(detail, "network", ""), "user") != 0)
		return 0;
	fd = net_user_start(&user, e);
	index = fd < 0 ? fd : fdset_add(&g->fds, fd);
	if (index < 0)
		return fd < 0 ? err_wrap(e, "device '%s'", id)
			      : err_ret(e, index, "too many files");
	json_add(device, "stream_fd", json_add_int(json_new(), "fd", index));
	return 0;
}

int gather_net_users(struct gather *g, int cgroup, struct err *e)
{
	struct json_object *devices = json_get(g->config, "devices");
	size_t count = devices ? json_object_array_length(devices) : 0;
	int ret = 0;

	for (size_t i = 0; i < count && ret >= 0; i++)
		ret = gather_user(g, json_object_array_get_idx(devices, i), cgroup, e);
	return ret;
}

int gather_net(struct gather *g, struct err *e)
{
	struct json_object *devices = json_get(g->config, "devices");
	size_t count = devices ? json_object_array_length(devices) : 0;
	int ret = 0;

	for (size_t i = 0; i < count && ret >= 0; i++) {
		struct json_object *device = json_object_array_get_idx(devices, i);

		if (netdef_is_card(json_get_str(device, "type", "")))
			ret = gather_nic(g, device, e);
	}
	return ret;
}
