/* SPDX-License-Identifier: MIT */
/*
 * Tap interfaces (Documentation/networking/tuntap.rst), as vmm takes them: with a virtio header, one descriptor a pair of queues.
 * One that is made here goes with its last descriptor. On a worker; e is not NULL.
 */
#ifndef VMD_NET_TAP_H
#define VMD_NET_TAP_H

#include <net/if.h>
#include "lib/hostfs.h"
#include "state/state.h"

#define NET_TAP_QUEUES 8

struct net_tap {
	char name[IFNAMSIZ];
	unsigned int queues;
	int fds[NET_TAP_QUEUES]; /* owned; non-blocking; -1 once taken */
};

void net_tap_init(struct net_tap *t);
void net_tap_fini(struct net_tap *t);

/*
 * A new one, "vm0a1b2c.net0": the number is the VM's, the same at each start, and so is the name unless two VMs have
 * the same number. -ERR_NET_TAP, -ERR_DENIED.
 */
int net_tap_make(const struct hostfs *host, const char *vm, const char *device, unsigned int queues,
		 struct net_tap *ret, struct err *e);
/* Any one that exists. multi: it is one of many queues. -EBUSY and so on, as the kernel says. */
int net_tap_attach(const struct hostfs *host, const char *name, bool multi, unsigned int queues,
		   struct net_tap *ret, struct err *e);

#endif
