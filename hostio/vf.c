// SPDX-License-Identifier: MIT
/* Properties of VFs: see vf.h. Any thread. */
#include "hostio/vf.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>

static const char *const vf_links[] = {
	[IFLA_VF_LINK_STATE_AUTO] = "auto",
	[IFLA_VF_LINK_STATE_ENABLE] = "enable",
	[IFLA_VF_LINK_STATE_DISABLE] = "disable",
};

static const char *const vf_names[VF_PARTS] = {
	[VF_MAC] = "mac",     [VF_VLAN] = "vlan",	 [VF_SPOOFCHK] = "spoofchk",
	[VF_TRUST] = "trust", [VF_RATE] = "max_tx_rate", [VF_LINK_STATE] = "link_state",
};

const char *vf_part_name(enum vf_part part)
{
	return vf_names[part];
}

static int vf_parse_mac(struct json_object *value, struct vf *vf, struct err *e)
{
	const char *text =
		json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
	unsigned int b[6];
	int end = 0;

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", b, b + 1, b + 2, b + 3, b + 4, b + 5, &end) !=
		    6 ||
	    end != 17 || text[end])
		return err_set(e, EINVAL, "'mac' must be a MAC address, not '%s'", text);
	for (size_t i = 0; i < ARRAY_SIZE(b); i++)
		vf->mac[i] = (uint8_t)b[i];
	vf->has |= BIT(VF_MAC);
	return 0;
}

static int vf_parse_int(const char *key, struct json_object *value, uint32_t most,
			uint32_t *ret_value, struct err *e)
{
	int64_t n;

	if (!json_int(value, &n) || n < 0 || n > most)
		return err_set(e, EINVAL, "'%s' must be a number from 0 to %" PRIu32, key, most);
	*ret_value = (uint32_t)n;
	return 0;
}

static int vf_parse_bool(const char *key, struct json_object *value, bool *ret_value, struct err *e)
{
	if (!json_object_is_type(value, json_type_boolean))
		return err_set(e, EINVAL, "'%s' must be true or false", key);
	*ret_value = json_object_get_boolean(value);
	return 0;
}

static int vf_parse_link(struct json_object *value, struct vf *vf, struct err *e)
{
	const char *text =
		json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";

	for (uint32_t i = 0; i < ARRAY_SIZE(vf_links); i++)
		if (!strcmp(text, vf_links[i])) {
			vf->link_state = i;
			vf->has |= BIT(VF_LINK_STATE);
			return 0;
		}
	return err_set(e, EINVAL, "'link_state' must be auto, enable or disable");
}

static int vf_parse_member(const char *key, struct json_object *value, struct vf *vf, struct err *e)
{
	static const struct {
		const char *key;
		enum vf_part part;
		size_t offset;
		uint32_t most; /* 0: a boolean */
	} members[] = {
		{ "vlan", VF_VLAN, offsetof(struct vf, vlan), VF_VLAN_MAX },
		{ "qos", VF_VLAN, offsetof(struct vf, qos), VF_QOS_MAX },
		{ "spoofchk", VF_SPOOFCHK, offsetof(struct vf, spoofchk), 0 },
		{ "trust", VF_TRUST, offsetof(struct vf, trust), 0 },
		{ "min_tx_rate", VF_RATE, offsetof(struct vf, min_tx_rate), UINT32_MAX },
		{ "max_tx_rate", VF_RATE, offsetof(struct vf, max_tx_rate), UINT32_MAX },
	};

	if (!strcmp(key, "mac"))
		return vf_parse_mac(value, vf, e);
	if (!strcmp(key, "link_state"))
		return vf_parse_link(value, vf, e);
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (!strcmp(key, members[i].key)) {
			void *to = (char *)vf + members[i].offset;

			vf->has |= BIT(members[i].part);
			return members[i].most ? vf_parse_int(key, value, members[i].most, to, e)
					       : vf_parse_bool(key, value, to, e);
		}
	return err_set(e, EINVAL, "a VF has no '%s'", key);
}

int vf_parse(struct json_object *o, const struct vf *base, struct vf *ret_vf, struct err *e)
{
	struct vf vf = *base;

	vf.has = 0;
	if (!json_object_is_type(o, json_type_object))
		return err_set(e, EINVAL, "the properties of a VF must be an object");
	json_object_object_foreach(o, key, value) {
		int ret = vf_parse_member(key, value, &vf, e);

		if (ret < 0)
			return ret;
	}
	*ret_vf = vf;
	return 0;
}

static const char *vf_mac_text(const struct vf *vf, char out[static 18])
{
	snprintf(out, 18, "%02x:%02x:%02x:%02x:%02x:%02x", vf->mac[0], vf->mac[1], vf->mac[2],
		 vf->mac[3], vf->mac[4], vf->mac[5]);
	return out;
}

static const char *vf_link_text(const struct vf *vf)
{
	return vf->link_state < ARRAY_SIZE(vf_links) ? vf_links[vf->link_state] : "unknown";
}

struct json_object *vf_json(const struct vf *vf)
{
	struct json_object *o = json_new();
	char mac[18];

	if (vf->has & BIT(VF_MAC))
		json_add_str(o, "mac", vf_mac_text(vf, mac));
	if (vf->has & BIT(VF_VLAN))
		json_add_int(json_add_int(o, "vlan", vf->vlan), "qos", vf->qos);
	if (vf->has & BIT(VF_SPOOFCHK))
		json_add_bool(o, "spoofchk", vf->spoofchk);
	if (vf->has & BIT(VF_TRUST))
		json_add_bool(o, "trust", vf->trust);
	if (vf->has & BIT(VF_RATE)) {
		json_add_int(o, "min_tx_rate", vf->min_tx_rate);
		json_add_int(o, "max_tx_rate", vf->max_tx_rate);
	}
	if (vf->has & BIT(VF_LINK_STATE))
		json_add_str(o, "link_state", vf_link_text(vf));
	return o;
}

bool vf_part_equal(enum vf_part part, const struct vf *a, const struct vf *b)
{
	switch (part) {
	case VF_MAC:
		return !memcmp(a->mac, b->mac, sizeof(a->mac));
	case VF_VLAN:
		return a->vlan == b->vlan && a->qos == b->qos;
	case VF_SPOOFCHK:
		return a->spoofchk == b->spoofchk;
	case VF_TRUST:
		return a->trust == b->trust;
	case VF_RATE:
		return a->min_tx_rate == b->min_tx_rate && a->max_tx_rate == b->max_tx_rate;
	default:
		return a->link_state == b->link_state;
	}
}

const char *vf_part_text(enum vf_part part, const struct vf *vf, char *out, size_t size)
{
	char mac[18];

	switch (part) {
	case VF_MAC:
		snprintf(out, size, "MAC %s", vf_mac_text(vf, mac));
		break;
	case VF_VLAN:
		snprintf(out, size, "VLAN %" PRIu32 ", QoS %" PRIu32, vf->vlan, vf->qos);
		break;
	case VF_SPOOFCHK:
		snprintf(out, size, "spoofchk %s", vf->spoofchk ? "on" : "off");
		break;
	case VF_TRUST:
		snprintf(out, size, "trust %s", vf->trust ? "on" : "off");
		break;
	case VF_RATE:
		snprintf(out, size, "transmit rate %" PRIu32 " to %" PRIu32 " Mbit/s",
			 vf->min_tx_rate, vf->max_tx_rate);
		break;
	default:
		snprintf(out, size, "link state %s", vf_link_text(vf));
		break;
	}
	return out;
}
