/* SPDX-License-Identifier: MIT */
/* The ioctls of taps and of vhost-net, so that a unit test can be the kernel. Any thread. */
#ifndef VMM_NET_SYS_H
#define VMM_NET_SYS_H

#include "lib/util.h"

struct net_sys {
	int (*ioctl)(void *arg, int fd, unsigned long request, void *data); /* >= 0, or -errno */
	void *arg;
};

/* sys NULL: the kernel. data is what the request takes: a pointer, or the number itself. */
int net_ioctl(const struct net_sys *sys, int fd, unsigned long request, void *data);

#endif
