/* SPDX-License-Identifier: MIT */
/*
 * What a PF's driver keeps for each of its VFs (ip-link(8), "vf"; struct ifla_vf_* of linux/if_link.h): as vmd/hostio.h's
 * JSON, and as a struct. Any thread.
 */
#ifndef HOSTIO_VF_H
#define HOSTIO_VF_H

#include "lib/err.h"
#include "lib/json.h"

/* In the order in which they are set. */
enum vf_part {
	VF_MAC,
	VF_VLAN, /* and QoS: one message has both */
	VF_SPOOFCHK,
	VF_TRUST,
	VF_RATE, /* least and most */
	VF_LINK_STATE,
	VF_PARTS,
};

#define VF_VLAN_MAX 4094
#define VF_QOS_MAX 7

struct vf {
	unsigned int has; /* BIT(VF_…): what the driver knows, or what is asked for */
	uint8_t mac[6];
	uint32_t vlan, qos;
	bool spoofchk, trust;
	uint32_t min_tx_rate, max_tx_rate; /* Mbit/s; 0: no limit */
	uint32_t link_state;		   /* IFLA_VF_LINK_STATE_… */
};

/* -EINVAL with which member is wrong. What is missing of VLAN and QoS, or of the rates, is taken from base. */
int vf_parse(struct json_object *o, const struct vf *base, struct vf *ret_vf, struct err *e);
struct json_object *vf_json(const struct vf *vf);
bool vf_part_equal(enum vf_part part, const struct vf *a, const struct vf *b);
/* "MAC 52:54:00:12:34:56", "VLAN 100, QoS 2": returns out. */
const char *vf_part_text(enum vf_part part, const struct vf *vf, char *out, size_t size);
/* "mac", "vlan", …: the member of the JSON form that names it. */
const char *vf_part_name(enum vf_part part);

#endif
