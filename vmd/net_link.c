// SPDX-License-Identifier: MIT
/* See net_link.h. On a worker; no state. */
#include "vmd/net_link.h"

#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/neighbour.h>
#include <stdio.h>
#include <string.h>

#include "lib/errcat.h"
#include "lib/rtnl.h"

/* in net/if.h too */
#define NET_LINK_UP 1 /* IFF_UP */

/* --- reading ---------------------------------------------------------------------------------- */

static uint64_t net_link_number(const struct nlattr *attr)
{
	switch (mnl_attr_get_payload_len(attr)) {
	case 1:
		return mnl_attr_get_u8(attr);
	case 2:
		return mnl_attr_get_u16(attr);
	case 4:
		return mnl_attr_get_u32(attr);
	default:
		return 0;
	}
}

static void net_link_text(const struct nlattr *attr, char *out, size_t size)
{
	snprintf(out, size, "%.*s", (int)mnl_attr_get_payload_len(attr),
		 (const char *)mnl_attr_get_payload(attr));
}

static int net_link_bridge(const struct nlattr *attr, void *arg)
{
	struct net_link *l = arg;

	if (mnl_attr_get_type(attr) == IFLA_BR_VLAN_FILTERING)
		l->filters = net_link_number(attr);
	else if (mnl_attr_get_type(attr) == IFLA_BR_VLAN_DEFAULT_PVID)
		l->default_vlan = (uint16_t)net_link_number(attr);
	return MNL_CB_OK;
}

static int net_link_tun(const struct nlattr *attr, void *arg)
{
	struct net_link *l = arg;
	uint64_t value = net_link_number(attr);

	switch (mnl_attr_get_type(attr)) {
	case IFLA_TUN_OWNER:
		l->tun.owner = (int64_t)value;
		break;
	case IFLA_TUN_TYPE:
		l->tun.type = (uint8_t)value;
		break;
	case IFLA_TUN_PI:
		l->tun.no_pi = !value;
		break;
	case IFLA_TUN_PERSIST:
		l->tun.persistent = value;
		break;
	case IFLA_TUN_MULTI_QUEUE:
		l->tun.multi_queue = value;
		break;
	case IFLA_TUN_NUM_QUEUES:
		l->tun.queues = (unsigned int)value;
		break;
	}
	return MNL_CB_OK;
}

static int net_link_port(const struct nlattr *attr, void *arg)
{
	struct net_link *l = arg;

	if (mnl_attr_get_type(attr) == IFLA_BRPORT_LOCKED)
		l->locked = net_link_number(attr);
	return MNL_CB_OK;
}

/* The kind comes before its data (rtnl_link_fill). */
static int net_link_kind(const struct nlattr *attr, void *arg)
{
	struct net_link *l = arg;

	switch (mnl_attr_get_type(attr)) {
	case IFLA_INFO_KIND:
		net_link_text(attr, l->kind, sizeof(l->kind));
		break;
	case IFLA_INFO_DATA:
		if (!strcmp(l->kind, "bridge"))
			mnl_attr_parse_nested(attr, net_link_bridge, l);
		else if (!strcmp(l->kind, "tun"))
			mnl_attr_parse_nested(attr, net_link_tun, l);
		break;
	case IFLA_INFO_SLAVE_DATA:
		mnl_attr_parse_nested(attr, net_link_port, l);
		break;
	}
	return MNL_CB_OK;
}

static int net_link_member(const struct nlattr *attr, void *arg)
{
	struct net_link *l = arg;

	switch (mnl_attr_get_type(attr)) {
	case IFLA_IFNAME:
		net_link_text(attr, l->name, sizeof(l->name));
		break;
	case IFLA_IFALIAS:
		net_link_text(attr, l->alias, sizeof(l->alias));
		break;
	case IFLA_MTU:
		l->mtu = (unsigned int)net_link_number(attr);
		break;
	case IFLA_MASTER:
		l->master = (int)net_link_number(attr);
		break;
	case IFLA_ADDRESS:
		if (mnl_attr_get_payload_len(attr) == sizeof(l->mac))
			memcpy(l->mac, mnl_attr_get_payload(attr), sizeof(l->mac));
		break;
	case IFLA_LINKINFO:
		mnl_attr_parse_nested(attr, net_link_kind, l);
		break;
	}
	return MNL_CB_OK;
}

static void net_link_parse(const struct nlmsghdr *m, struct net_link *ret)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(m);

	*ret = (struct net_link){ .index = info->ifi_index,
				  .up = info->ifi_flags & NET_LINK_UP,
				  .tun.owner = -1 };
	mnl_attr_parse(m, sizeof(*info), net_link_member, ret);
}

/* A confined service may not even look. */
static int net_link_unseen(int ret, struct err *e)
{
	if (ret != -EAFNOSUPPORT)
		return ret;
	err_set(e, ERR_DENIED, "vmd may not see the host's network (AF_NETLINK)");
	return err_hint(e, "vmd-network(7), RIGHTS");
}

int net_link_get(const char *name, struct net_link *ret, struct err *e)
{
	union {
		struct nlmsghdr header;
		char bytes[RTNL_ANSWER];
	} in;
	char out[RTNL_REQUEST];
	struct nlmsghdr *m = rtnl_link_begin(out, RTM_GETLINK, 0, AF_UNSPEC, 0, NULL);
	int r;

	mnl_attr_put_strz(m, IFLA_IFNAME, name);
	mnl_attr_put_u32(m, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	r = rtnl_ask(m, &in, sizeof(in), e);
	if (r < 0)
		return net_link_unseen(r, e);
	if (mnl_nlmsg_get_payload_len(&in.header) < sizeof(struct ifinfomsg))
		return err_set(e, EPROTO, "the kernel's answer is cut");
	net_link_parse(&in.header, ret);
	return 0;
}

struct net_link_walk {
	int (*each)(void *arg, const struct net_link *link);
	void *arg;
	int ret;
};

static int net_link_one(const struct nlmsghdr *m, void *arg)
{
	struct net_link_walk *w = arg;
	struct net_link link;

	if (m->nlmsg_type != RTM_NEWLINK || w->ret < 0)
		return MNL_CB_OK;
	net_link_parse(m, &link);
	w->ret = w->each(w->arg, &link);
	return MNL_CB_OK;
}

int net_link_each(int (*each)(void *arg, const struct net_link *link), void *arg, struct err *e)
{
	struct net_link_walk w = { .each = each, .arg = arg };
	char out[RTNL_REQUEST];
	struct nlmsghdr *m = rtnl_link_begin(out, RTM_GETLINK, 0, AF_UNSPEC, 0, NULL);
	int r;

	mnl_attr_put_u32(m, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	r = rtnl_list(m, net_link_one, &w, e);
	return r < 0 ? net_link_unseen(r, e) : w.ret;
}

/* --- changing --------------------------------------------------------------------------------- */

static int net_link_do(const struct nlmsghdr *m, struct err *e)
{
	int r = rtnl_do(m, e);

	if (r != -EPERM)
		return r;
	err_set(e, ERR_DENIED, "vmd may not change the host's network (CAP_NET_ADMIN)");
	return err_hint(e, "vmd-network(7), RIGHTS; network: user needs none");
}

int net_link_add_bridge(const char *name, const uint8_t mac[static NETDEF_MAC_SIZE], struct err *e)
{
	char out[RTNL_REQUEST];
	struct nlmsghdr *m = rtnl_link_begin(
		out, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, AF_UNSPEC, 0, NULL);
	struct nlattr *info;

	mnl_attr_put_strz(m, IFLA_IFNAME, name);
	mnl_attr_put(m, IFLA_ADDRESS, NETDEF_MAC_SIZE, mac);
	info = mnl_attr_nest_start(m, IFLA_LINKINFO);
	mnl_attr_put_strz(m, IFLA_INFO_KIND, "bridge");
	mnl_attr_nest_end(m, info);
	return net_link_do(m, e);
}

int net_link_delete(int index, struct err *e)
{
	char out[RTNL_REQUEST];

	return net_link_do(rtnl_link_begin(out, RTM_DELLINK, NLM_F_ACK, AF_UNSPEC, index, NULL), e);
}

int net_link_set_alias(int index, const char *alias, struct err *e)
{
	char out[RTNL_REQUEST];
	struct nlmsghdr *m = rtnl_link_begin(out, RTM_SETLINK, NLM_F_ACK, AF_UNSPEC, index, NULL);

	mnl_attr_put(m, IFLA_IFALIAS, MIN(strlen(alias), (size_t)NET_LINK_ALIAS - 1), alias);
	return net_link_do(m, e);
}

int net_link_set_mtu(int index, unsigned int mtu, struct err *e)
{
	char out[RTNL_REQUEST];
	struct nlmsghdr *m = rtnl_link_begin(out, RTM_SETLINK, NLM_F_ACK, AF_UNSPEC, index, NULL);

	mnl_attr_put_u32(m, IFLA_MTU, mtu);
	return net_link_do(m, e);
}

int net_link_set_mac(int index, const uint8_t mac[static NETDEF_MAC_SIZE], struct err *e)
{
	char out[RTNL_REQUEST];
	struct nlmsghdr *m = rtnl_link_begin(out, RTM_SETLINK, NLM_F_ACK, AF_UNSPEC, index, NULL);

	mnl_attr_put(m, IFLA_ADDRESS, NETDEF_MAC_SIZE, mac);
	return net_link_do(m, e);
}

int net_link_set_up(int index, struct err *e)
{
	char out[RTNL_REQUEST];
	struct ifinfomsg *info;
	struct nlmsghdr *m = rtnl_link_begin(out, RTM_SETLINK, NLM_F_ACK, AF_UNSPEC, index, &info);

	info->ifi_change = info->ifi_flags = NET_LINK_UP;
	return net_link_do(m, e);
}

void net_link_no_addresses(int index)
{
	char out[RTNL_REQUEST];
	struct nlmsghdr *m = rtnl_link_begin(out, RTM_SETLINK, NLM_F_ACK, AF_UNSPEC, index, NULL);
	struct nlattr *spec = mnl_attr_nest_start(m, IFLA_AF_SPEC);
	struct nlattr *inet6 = mnl_attr_nest_start(m, AF_INET6);

	mnl_attr_put_u8(m, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(m, inet6);
	mnl_attr_nest_end(m, spec);
	rtnl_do(m, NULL);
}

/* --- ports ------------------------------------------------------------------------------------ */

int net_port_join(int index, int bridge, struct err *e)
{
	char out[RTNL_REQUEST];
	struct nlmsghdr *m = rtnl_link_begin(out, RTM_SETLINK, NLM_F_ACK, AF_UNSPEC, index, NULL);

	mnl_attr_put_u32(m, IFLA_MASTER, (uint32_t)bridge);
	return net_link_do(m, e);
}

static int net_port_vlan(uint16_t type, int index, uint16_t vlan, uint16_t flags, struct err *e)
{
	struct bridge_vlan_info info = { .flags = flags, .vid = vlan };
	char out[RTNL_REQUEST];
	struct nlmsghdr *m = rtnl_link_begin(out, type, NLM_F_ACK, AF_BRIDGE, index, NULL);
	struct nlattr *spec = mnl_attr_nest_start(m, IFLA_AF_SPEC);

	mnl_attr_put(m, IFLA_BRIDGE_VLAN_INFO, sizeof(info), &info);
	mnl_attr_nest_end(m, spec);
	return net_link_do(m, e);
}

int net_port_set_vlan(int index, uint16_t vlan, uint16_t default_vlan, struct err *e)
{
	int r = net_port_vlan(RTM_SETLINK, index, vlan,
			      BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED, e);

	if (r >= 0 && default_vlan && default_vlan != vlan)
		r = net_port_vlan(RTM_DELLINK, index, default_vlan, 0, e);
	return r;
}

/* In each VLAN that the port is in: so after these. */
static int net_port_add_address(int index, const uint8_t mac[static NETDEF_MAC_SIZE], struct err *e)
{
	char out[RTNL_REQUEST];
	struct nlmsghdr *m = mnl_nlmsg_put_header(out);
	struct ndmsg *nd;

	m->nlmsg_type = RTM_NEWNEIGH;
	m->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
	m->nlmsg_seq = 1;
	nd = mnl_nlmsg_put_extra_header(m, sizeof(*nd));
	nd->ndm_family = AF_BRIDGE;
	nd->ndm_ifindex = index;
	nd->ndm_state = NUD_NOARP;
	nd->ndm_flags = NTF_MASTER;
	mnl_attr_put(m, NDA_LLADDR, NETDEF_MAC_SIZE, mac);
	return net_link_do(m, e);
}

int net_port_guard(int index, const char *name, const uint8_t mac[static NETDEF_MAC_SIZE],
		   struct err *e)
{
	char out[RTNL_REQUEST];
	struct nlmsghdr *m = rtnl_link_begin(out, RTM_SETLINK, NLM_F_ACK, AF_BRIDGE, index, NULL);
	struct nlattr *info = mnl_attr_nest_start(m, IFLA_PROTINFO);
	struct net_link link = { .locked = false };
	int r;

	mnl_attr_put_u8(m, IFLA_BRPORT_LEARNING, 0);
	mnl_attr_put_u8(m, IFLA_BRPORT_PROTECT, 1);
	mnl_attr_put_u8(m, IFLA_BRPORT_LOCKED, 1);
	mnl_attr_nest_end(m, info);
	r = net_port_add_address(index, mac, e);
	if (r >= 0)
		r = net_link_do(m, e);
	/* an older kernel takes the attribute, and does not know it */
	if (r >= 0)
		r = net_link_get(name, &link, e);
	return r < 0 ? r : link.locked;
}
