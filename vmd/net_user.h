/* SPDX-License-Identifier: MIT */
/*
 * network: user: passt(1), a process for each card that makes the guest's connections with the rights of nobody, and none
 * over the host. It has one end of a stream of frames, vmm has the other: it ends with the VM, whatever becomes of vmd.
 */
#ifndef VMD_NET_USER_H
#define VMD_NET_USER_H

#include "lib/err.h"
#include "lib/json.h"

struct net_user {
	struct json_object *forwards; /* borrowed: an array of lib/netdef.h's; NULL: none */
	unsigned int mtu;	      /* that the guest is told by DHCP; 0: passt's own */
	int cgroup; /* borrowed: a folder of cgroups that it is to be in; -1: it stays in vmd's */
};

/*
 * Start it; on a worker. vmm's end, once passt listens at all ports that it forwards. -ERR_NET_USER: it is not installed, or
 * what it says.
 */
int net_user_start(const struct net_user *u, struct err *e);

#endif
