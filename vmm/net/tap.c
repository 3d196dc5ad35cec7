// SPDX-License-Identifier: MIT
/* See tap.h. tap_recv and tap_send on the I/O worker; no state. */
#include "vmm/net/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/errcat.h"

#define TAP_DEVICE "/dev/net/tun"

static int tap_open_one(const char *ifname, short flags, struct err *e)
{
	struct ifreq ifr = { .ifr_flags = flags };
	int fd = open(TAP_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		err_set(e, ERR_FILE, "cannot open '%s': %s", TAP_DEVICE, strerror(errno));
		return err_hint(e, "modprobe tun; a user other than root needs the right to it");
	}
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
		err_set(e, ERR_FILE, "cannot open the tap interface '%s': %s", ifname,
			strerror(errno));
		close(fd);
		return err_hint(e,
				"it must be yours, with as many queues as the card: ip tuntap add "
				"dev %s mode tap "
				"vnet_hdr%s user NAME",
				ifname, flags & IFF_MULTI_QUEUE ? " multi_queue" : "");
	}
	return fd;
}

int tap_open(const char *ifname, unsigned int npairs, int *ret_fds, struct err *e)
{
	short flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;

	if (npairs > 1)
		flags |= IFF_MULTI_QUEUE;
	for (unsigned int i = 0; i < npairs; i++) {
		int fd = tap_open_one(ifname, flags, e);

		if (fd < 0) {
			while (i)
				close(ret_fds[--i]);
			return fd;
		}
		ret_fds[i] = fd;
	}
	return 0;
}

int tap_init(const struct net_sys *sys, int fd, struct err *e)
{
	const int wanted = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	int size = sizeof(struct virtio_net_hdr_v1), r;
	struct ifreq ifr = { 0 };

	if (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return err_errno(e, "a tap's descriptor");
	r = net_ioctl(sys, fd, TUNGETIFF, &ifr);
	if (r < 0)
		return err_ret(e, r, "the descriptor is of no tap interface");
	if ((ifr.ifr_flags & wanted) != wanted)
		return err_set(e, EINVAL, "the tap interface '%.15s' has no virtio header",
			       ifr.ifr_name);
	r = net_ioctl(sys, fd, TUNSETVNETHDRSZ, &size);
	return r < 0 ? err_ret(e, r, "the tap interface '%.15s' takes no header of %d bytes",
			       ifr.ifr_name, size)
		     : 0;
}

bool tap_alive(const struct net_sys *sys, int fd)
{
	struct ifreq ifr = { 0 };

	return net_ioctl(sys, fd, TUNGETIFF, &ifr) >= 0;
}

int tap_set_offload(const struct net_sys *sys, int fd, const struct tap_offload *o)
{
	uintptr_t flags = 0;
	void *arg; /* the number itself, where other requests have a pointer */

	/* the kernel refuses the others without the first */
	if (o->csum)
		flags = TUN_F_CSUM | (o->tso4 ? TUN_F_TSO4 : 0) | (o->tso6 ? TUN_F_TSO6 : 0) |
			((o->tso4 || o->tso6) && o->ecn ? TUN_F_TSO_ECN : 0);
	memcpy(&arg, &flags, sizeof(arg));
	return net_ioctl(sys, fd, TUNSETOFFLOAD, arg);
}

int tap_set_queue(const struct net_sys *sys, int fd, bool on)
{
	struct ifreq ifr = { .ifr_flags = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

	return net_ioctl(sys, fd, TUNSETQUEUE, &ifr);
}

/* Offset -1 is where a file without one reads: readv(2) and writev(2), without two more calls in the filter */
ssize_t tap_recv(int fd, const struct iovec *iov, unsigned int n)
{
	ssize_t got;

	do
		got = preadv2(fd, iov, (int)n, -1, 0);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

ssize_t tap_send(int fd, const struct iovec *iov, unsigned int n)
{
	ssize_t sent;

	do
		sent = pwritev2(fd, iov, (int)n, -1, 0);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}
