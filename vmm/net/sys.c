// SPDX-License-Identifier: MIT
/* See sys.h. No state. */
#include "vmm/net/sys.h"

#include <errno.h>
#include <sys/ioctl.h>

int net_ioctl(const struct net_sys *sys, int fd, unsigned long request, void *data)
{
	int r;

	if (sys)
		return sys->ioctl(sys->arg, fd, request, data);
	r = ioctl(fd, request, data);
	return r < 0 ? -errno : r;
}
