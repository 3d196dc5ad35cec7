// SPDX-License-Identifier: MIT
/* PFs and VFs by rtnetlink: see netlink.h. */
#include "hostio/netlink.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <string.h>

#include "lib/rtnl.h"

/* One link's answer: 300 bytes a VF, and the kernel itself ends it at 64 KiB of a nested attribute. */
#define NETLINK_ANSWER (256 * 1024)

union netlink_answer {
	struct nlmsghdr header;
	char bytes[NETLINK_ANSWER];
};

static int netlink_index(struct kernel *k, const char *netdev, int *ret_index, struct err *e)
{
	char path[256];
	uint64_t index;
	int ret;

	snprintf(path, sizeof(path), "sys/class/net/%s/ifindex", netdev);
	ret = hostfs_read_u64(&k->fs, path, &index, e);
	if (ret >= 0)
		*ret_index = (int)index;
	return ret;
}

int netlink_link(struct kernel *k, const char *netdev, bool up, struct err *e)
{
	char out[RTNL_REQUEST];
	struct ifinfomsg *info;
	struct nlmsghdr *m;
	int index, ret = netlink_index(k, netdev, &index, e);

	if (ret < 0)
		return ret;
	m = rtnl_link_begin(out, RTM_NEWLINK, NLM_F_ACK, AF_UNSPEC, index, &info);
	info->ifi_change = IFF_UP;
	info->ifi_flags = up ? IFF_UP : 0;
	return rtnl_do(m, e);
}

/* --- reading -------------------------------------------------------------------------------- */

struct netlink_vf {
	unsigned int number;
	bool this_one; /* the one that is looked for */
	struct vf vf;
};

/* Structs grow from kernel to kernel: a longer one begins like the one that is known. */
static const void *netlink_payload(const struct nlattr *attr, size_t size)
{
	return mnl_attr_get_payload_len(attr) < size ? NULL : mnl_attr_get_payload(attr);
}

static void netlink_mac(const struct nlattr *attr, struct netlink_vf *v)
{
	const struct ifla_vf_mac *mac = netlink_payload(attr, sizeof(*mac));

	if (!mac || mac->vf != v->number)
		return;
	v->this_one = true;
	v->vf.has |= BIT(VF_MAC);
	memcpy(v->vf.mac, mac->mac, sizeof(v->vf.mac));
}

static void netlink_rate(const struct nlattr *attr, struct netlink_vf *v)
{
	const struct ifla_vf_rate *rate = netlink_payload(attr, sizeof(*rate));

	if (!rate)
		return;
	v->vf.has |= BIT(VF_RATE);
	v->vf.min_tx_rate = rate->min_tx_rate;
	v->vf.max_tx_rate = rate->max_tx_rate;
}

static void netlink_vlan(const struct nlattr *attr, struct netlink_vf *v)
{
	const struct ifla_vf_vlan *vlan = netlink_payload(attr, sizeof(*vlan));

	if (!vlan)
		return;
	v->vf.has |= BIT(VF_VLAN);
	v->vf.vlan = vlan->vlan;
	v->vf.qos = vlan->qos;
}

/* A setting of UINT32_MAX: the driver does not have it. */
static void netlink_setting(const struct nlattr *attr, enum vf_part part, bool *ret_on,
			    struct netlink_vf *v)
{
	const struct ifla_vf_spoofchk *s = netlink_payload(attr, sizeof(*s));

	if (!s || s->setting == UINT32_MAX)
		return;
	v->vf.has |= BIT(part);
	*ret_on = s->setting;
}

static int netlink_vf_member(const struct nlattr *attr, void *arg)
{
	struct netlink_vf *v = arg;
	const struct ifla_vf_link_state *state;

	switch (mnl_attr_get_type(attr)) {
	case IFLA_VF_MAC:
		netlink_mac(attr, v);
		break;
	case IFLA_VF_VLAN:
		netlink_vlan(attr, v);
		break;
	case IFLA_VF_RATE:
		netlink_rate(attr, v);
		break;
	case IFLA_VF_SPOOFCHK:
		netlink_setting(attr, VF_SPOOFCHK, &v->vf.spoofchk, v);
		break;
	case IFLA_VF_TRUST:
		netlink_setting(attr, VF_TRUST, &v->vf.trust, v);
		break;
	case IFLA_VF_LINK_STATE:
		state = netlink_payload(attr, sizeof(*state));
		if (state) {
			v->vf.has |= BIT(VF_LINK_STATE);
			v->vf.link_state = state->link_state;
		}
		break;
	}
	return MNL_CB_OK;
}

static int netlink_vf_info(const struct nlattr *attr, void *arg)
{
	struct netlink_vf *v = arg;

	if (mnl_attr_get_type(attr) != IFLA_VF_INFO)
		return MNL_CB_OK;
	v->vf = (struct vf){ .has = 0 };
	mnl_attr_parse_nested(attr, netlink_vf_member, v);
	return v->this_one ? MNL_CB_STOP : MNL_CB_OK;
}

static int netlink_link_info(struct kernel *k, const char *netdev, union netlink_answer *in,
			     struct err *e)
{
	char out[RTNL_REQUEST];
	struct nlmsghdr *m;
	int index, ret = netlink_index(k, netdev, &index, e);

	if (ret < 0)
		return ret;
	m = rtnl_link_begin(out, RTM_GETLINK, 0, AF_UNSPEC, index, NULL);
	mnl_attr_put_u32(m, IFLA_EXT_MASK, RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS);
	return rtnl_ask(m, in, sizeof(*in), e);
}

/* Each VF's attributes, until one does not want to see more. */
struct netlink_vfs {
	mnl_attr_cb_t each;
	void *arg;
};

static int netlink_member(const struct nlattr *attr, void *arg)
{
	const struct netlink_vfs *vfs = arg;

	if (mnl_attr_get_type(attr) != IFLA_VFINFO_LIST)
		return MNL_CB_OK;
	mnl_attr_parse_nested(attr, vfs->each, vfs->arg);
	return MNL_CB_STOP;
}

int netlink_vf_get(struct kernel *k, const char *netdev, unsigned int vf, struct vf *ret_vf,
		   struct err *e)
{
	struct netlink_vf v = { .number = vf };
	struct netlink_vfs vfs = { netlink_vf_info, &v };
	union netlink_answer in;
	int ret = netlink_link_info(k, netdev, &in, e);

	if (ret < 0)
		return ret;
	mnl_attr_parse(&in.header, sizeof(struct ifinfomsg), netlink_member, &vfs);
	if (!v.this_one)
		return err_set(e, ENODEV, "%s has no VF %u", netdev, vf);
	*ret_vf = v.vf;
	return 0;
}

struct netlink_macs {
	int (*each)(void *arg, unsigned int vf, const uint8_t mac[static 6]);
	void *arg;
	int ret;
};

static int netlink_macs_member(const struct nlattr *attr, void *arg)
{
	const struct ifla_vf_mac *mac;
	struct netlink_macs *m = arg;

	if (mnl_attr_get_type(attr) != IFLA_VF_MAC)
		return MNL_CB_OK;
	mac = netlink_payload(attr, sizeof(*mac));
	if (mac)
		m->ret = m->each(m->arg, mac->vf, mac->mac);
	return MNL_CB_STOP;
}

static int netlink_macs_info(const struct nlattr *attr, void *arg)
{
	struct netlink_macs *m = arg;

	if (mnl_attr_get_type(attr) == IFLA_VF_INFO)
		mnl_attr_parse_nested(attr, netlink_macs_member, m);
	return m->ret < 0 ? MNL_CB_STOP : MNL_CB_OK;
}

int netlink_vf_macs(struct kernel *k, const char *netdev,
		    int (*each)(void *arg, unsigned int vf, const uint8_t mac[static 6]), void *arg,
		    struct err *e)
{
	struct netlink_macs m = { .each = each, .arg = arg };
	struct netlink_vfs vfs = { netlink_macs_info, &m };
	union netlink_answer in;
	int ret = netlink_link_info(k, netdev, &in, e);

	if (ret < 0)
		return ret;
	mnl_attr_parse(&in.header, sizeof(struct ifinfomsg), netlink_member, &vfs);
	return m.ret < 0 ? err_ret(e, m.ret, "the VFs of %s", netdev) : 0;
}

/* --- changing ------------------------------------------------------------------------------- */

static void netlink_put_part(struct nlmsghdr *m, unsigned int vf, enum vf_part part,
			     const struct vf *want)
{
	struct ifla_vf_mac mac = { .vf = vf };
	struct ifla_vf_vlan vlan = { vf, want->vlan, want->qos };
	struct ifla_vf_spoofchk spoofchk = { vf, want->spoofchk };
	struct ifla_vf_trust trust = { vf, want->trust };
	struct ifla_vf_rate rate = { vf, want->min_tx_rate, want->max_tx_rate };
	struct ifla_vf_link_state state = { vf, want->link_state };
	const struct {
		uint16_t type;
		const void *data;
		size_t size;
	} parts[VF_PARTS] = {
		[VF_MAC] = { IFLA_VF_MAC, &mac, sizeof(mac) },
		[VF_VLAN] = { IFLA_VF_VLAN, &vlan, sizeof(vlan) },
		[VF_SPOOFCHK] = { IFLA_VF_SPOOFCHK, &spoofchk, sizeof(spoofchk) },
		[VF_TRUST] = { IFLA_VF_TRUST, &trust, sizeof(trust) },
		[VF_RATE] = { IFLA_VF_RATE, &rate, sizeof(rate) },
		[VF_LINK_STATE] = { IFLA_VF_LINK_STATE, &state, sizeof(state) },
	};

	memcpy(mac.mac, want->mac, sizeof(want->mac));
	mnl_attr_put(m, parts[part].type, parts[part].size, parts[part].data);
}

int netlink_vf_set(struct kernel *k, const char *netdev, unsigned int vf, enum vf_part part,
		   const struct vf *want, struct err *e)
{
	struct nlattr *list, *info;
	char out[RTNL_REQUEST];
	struct nlmsghdr *m;
	int index, ret = netlink_index(k, netdev, &index, e);

	if (ret < 0)
		return ret;
	m = rtnl_link_begin(out, RTM_SETLINK, NLM_F_ACK, AF_UNSPEC, index, NULL);
	list = mnl_attr_nest_start(m, IFLA_VFINFO_LIST);
	info = mnl_attr_nest_start(m, IFLA_VF_INFO);
	netlink_put_part(m, vf, part, want);
	mnl_attr_nest_end(m, info);
	mnl_attr_nest_end(m, list);
	return rtnl_do(m, e);
}
