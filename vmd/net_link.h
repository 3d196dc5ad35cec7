/* SPDX-License-Identifier: MIT */
/*
 * Network interfaces of the host, looked at and changed by rtnetlink (linux/if_link.h, linux/if_bridge.h). Blocking: on a worker.
 * -errno as the kernel gave it; -ERR_DENIED where vmd has not the right (CAP_NET_ADMIN).
 */
#ifndef VMD_NET_LINK_H
#define VMD_NET_LINK_H

#include <net/if.h>
#include "lib/err.h"
#include "lib/netdef.h"

#define NET_LINK_ALIAS 256 /* IFALIASZ */

struct net_link {
	int index, master; /* master 0: none */
	unsigned int mtu;
	bool up;
	char name[IFNAMSIZ];
	char kind[16]; /* "bridge", "tun", …; "" for one of hardware */
	char alias[NET_LINK_ALIAS];
	uint8_t mac[NETDEF_MAC_SIZE]; /* zeros: it has none */
	/* of a bridge */
	bool filters; /* by VLAN */
	uint16_t default_vlan;
	/* of kind tun */
	struct {
		uint8_t type; /* IFF_TUN or IFF_TAP */
		bool no_pi, persistent, multi_queue;
		unsigned int queues; /* that somebody has open; of a multi-queue one only */
		int64_t owner;	     /* -1: none */
	} tun;
	bool locked; /* as a port of a bridge: only addresses that it was given (IFLA_BRPORT_LOCKED) */
};

/* -ENODEV: there is none. */
int net_link_get(const char *name, struct net_link *ret, struct err *e);
/* Each of the host's, until one returns < 0. */
int net_link_each(int (*each)(void *arg, const struct net_link *link), void *arg, struct err *e);

int net_link_add_bridge(const char *name, const uint8_t mac[static NETDEF_MAC_SIZE], struct err *e);
int net_link_delete(int index, struct err *e);
int net_link_set_alias(int index, const char *alias, struct err *e);
int net_link_set_mtu(int index, unsigned int mtu, struct err *e);
int net_link_set_mac(int index, const uint8_t mac[static NETDEF_MAC_SIZE], struct err *e);
int net_link_set_up(int index, struct err *e);
/* No address of the host's is made on it by itself (IPv6). Where there is no IPv6 nothing is done. */
void net_link_no_addresses(int index);

/* A port of a bridge. */
int net_port_join(int index, int bridge, struct err *e);
/* Untagged in one VLAN and in no other; default_vlan is the one that the bridge gave it, 0 for none. */
int net_port_set_vlan(int index, uint16_t vlan, uint16_t default_vlan, struct err *e);
/*
 * Frames from other addresses are dropped by the bridge (Linux 5.18), and it can not become the root of a spanning tree:
 * 1; 0: the kernel does not have that, and the bridge only does not learn from it.
 */
int net_port_guard(int index, const char *name, const uint8_t mac[static NETDEF_MAC_SIZE],
		   struct err *e);

#endif
