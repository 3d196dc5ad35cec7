/* SPDX-License-Identifier: MIT */
/*
 * Private links: bridges of vmd's own, "vmd-NAME", without an uplink or an address. Made with the first card on one, removed
 * with the last; that a bridge has no port any more is what the kernel says. A bridge of that name which is somebody
 * else's is left alone: ours is known by its MAC address, which it has from its first moment on. On a worker, but
 * for net_private_name.
 */
#ifndef VMD_NET_PRIVATE_H
#define VMD_NET_PRIVATE_H

#include <sys/types.h>
#include "vmd/net_link.h"

#define NET_PRIVATE_MTU 65521 /* the most that a tap takes */

struct net_private {
	char bridge[IFNAMSIZ];
	char label[96]; /* for people: the bridge's alias */
};

/*
 * The link that a definition calls `name`. Those of users who define VMs for themselves (confined) are not those
 * of the administrator, nor of each other.
 */
void net_private_name(const char *name, bool confined, uid_t owner, struct net_private *ret);

/* Nobody else joins, makes or removes one meanwhile: a descriptor to be closed, or negative. */
int net_private_lock(struct err *e);
/* Under the lock: the bridge, made if it is not there; e is not NULL. -ERR_NET_BRIDGE when the name is somebody else's. */
int net_private_make(const struct net_private *p, struct net_link *ret_bridge, struct err *e);
/* Under the lock: 1 it is gone, or was never ours; 0 it has ports. */
int net_private_remove(const char *bridge, struct err *e);

#endif
