// SPDX-License-Identifier: MIT
/* See net_private.h. No state. */
#include "vmd/net_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"

#define NET_PRIVATE_LOCK \
	"/run/vmd-private-links.lock" /* of this host's vmds, and of their workers */
#define NET_PRIVATE_PREFIX "vmd-"

/* "52:54:12:34:56:78", of the bridge's name: also what a name that is too long is made of. */
static void net_private_mac(const char *bridge, uint8_t out[static NETDEF_MAC_SIZE])
{
	char text[NETDEF_MAC_TEXT];

	netdef_mac_parse(netdef_mac_make("a private link", bridge, text), out);
}

void net_private_name(const char *name, bool confined, uid_t owner, struct net_private *ret)
{
	uint8_t hash[NETDEF_MAC_SIZE];

	if (confined)
		snprintf(ret->label, sizeof(ret->label), "private link %.64s of user %u", name,
			 (unsigned int)owner);
	else
		snprintf(ret->label, sizeof(ret->label), "private link %.64s", name);
	if (!confined && strlen(NET_PRIVATE_PREFIX) + strlen(name) < sizeof(ret->bridge)) {
		snprintf(ret->bridge, sizeof(ret->bridge), NET_PRIVATE_PREFIX "%s", name);
		return;
	}
	net_private_mac(ret->label, hash);
	snprintf(ret->bridge, sizeof(ret->bridge), NET_PRIVATE_PREFIX "%.2s~%02x%02x%02x%02x", name,
		 hash[2], hash[3], hash[4], hash[5]);
}

int net_private_lock(struct err *e)
{
	AUTO_CLOSE int fd = open(NET_PRIVATE_LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	int ret;

	if (fd < 0 && (errno == EACCES || errno == EPERM)) {
		err_set(e, ERR_DENIED, "private links are for a vmd that runs as root: '%s': %s",
			NET_PRIVATE_LOCK, strerror(errno));
		return err_hint(e, "network: user needs no rights");
	}
	if (fd < 0)
		return err_errno(e, "cannot open '%s'", NET_PRIVATE_LOCK);
	do {
		ret = flock(fd, LOCK_EX);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? err_errno(e, "cannot lock '%s'", NET_PRIVATE_LOCK) : TAKE_FD(fd);
}

static bool net_private_ours(const struct net_link *link)
{
	uint8_t mac[NETDEF_MAC_SIZE];

	net_private_mac(link->name, mac);
	return !strcmp(link->kind, "bridge") && !memcmp(mac, link->mac, sizeof(mac));
}

/* Each of these is done again where a vmd that died has not come so far. */
static int net_private_set_up(const struct net_private *p, struct net_link *link, struct err *e)
{
	int ret = 0;

	if (strcmp(link->alias, p->label) != 0)
		ret = net_link_set_alias(link->index, p->label, e);
	if (ret >= 0 && link->mtu != NET_PRIVATE_MTU)
		ret = net_link_set_mtu(link->index, NET_PRIVATE_MTU, e);
	if (ret < 0 || link->up)
		return ret;
	net_link_no_addresses(link->index);
	return net_link_set_up(link->index, e);
}

int net_private_make(const struct net_private *p, struct net_link *ret_bridge, struct err *e)
{
	uint8_t mac[NETDEF_MAC_SIZE];
	struct err why = { 0 };
	int ret = net_link_get(p->bridge, ret_bridge, &why);

	if (ret == -ENODEV) {
		net_private_mac(p->bridge, mac);
		ret = net_link_add_bridge(p->bridge, mac, e);
		if (ret < 0)
			return err_wrap(e, "bridge '%s'", p->bridge);
		ret = net_link_get(p->bridge, ret_bridge, e);
	} else if (ret < 0) {
		*e = why;
	}
	if (ret < 0)
		return ret;
	if (!net_private_ours(ret_bridge) ||
	    (ret_bridge->alias[0] && strcmp(ret_bridge->alias, p->label) != 0)) {
		err_set(e, ERR_NET_BRIDGE, "'%s' of the %s exists, and is not vmd's", p->bridge,
			p->label);
		return err_hint(e, "ip -d link show %s; choose another name for the private link",
				p->bridge);
	}
	ret = net_private_set_up(p, ret_bridge, e);
	if (ret >= 0)
		ret = net_link_get(p->bridge, ret_bridge, e);
	return ret < 0 ? err_wrap(e, "bridge '%s'", p->bridge) : 0;
}

static int net_private_port(void *arg, const struct net_link *link)
{
	const int *bridge = arg;

	return link->master == *bridge ? -EBUSY : 0;
}

int net_private_remove(const char *bridge, struct err *e)
{
	struct net_link link;
	struct err why = { 0 };
	int ret = net_link_get(bridge, &link, &why);

	if (ret == -ENODEV || (ret >= 0 && !net_private_ours(&link)))
		return 1;
	if (ret >= 0)
		ret = net_link_each(net_private_port, &link.index, &why);
	if (ret == -EBUSY)
		return 0;
	if (ret >= 0)
		ret = net_link_delete(link.index, &why);
	if (ret >= 0)
		return 1;
	return err_set(e, why.code, "cannot remove bridge '%s': %s", bridge, why.msg);
}
