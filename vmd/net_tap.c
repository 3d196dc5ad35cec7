// SPDX-License-Identifier: MIT
/* See net_tap.h. No state. */
#include "vmd/net_tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/netdef.h"

#define NET_TAP_TRIES 4	     /* names, until one is free */
#define NET_TAP_DEVICE_MAX 6 /* characters of a device's id that its name has room for */

void net_tap_init(struct net_tap *t)
{
	*t = (struct net_tap){ 0 };
	for (unsigned int i = 0; i < NET_TAP_QUEUES; i++)
		t->fds[i] = -1;
}

void net_tap_fini(struct net_tap *t)
{
	for (unsigned int i = 0; i < NET_TAP_QUEUES; i++)
		if (t->fds[i] >= 0)
			close(TAKE_FD(t->fds[i]));
}

/* Four bytes that depend on both. */
static void net_tap_hash(const char *a, const char *b, uint8_t out[static NETDEF_MAC_SIZE])
{
	char text[NETDEF_MAC_TEXT];

	netdef_mac_parse(netdef_mac_make(a, b, text), out);
}

static void net_tap_name(const char *vm, const char *device, unsigned int try,
			 char out[static IFNAMSIZ])
{
	uint8_t of_vm[NETDEF_MAC_SIZE], of_device[NETDEF_MAC_SIZE];
	char salt[4];

	snprintf(salt, sizeof(salt), "%u", try);
	net_tap_hash(vm, salt, of_vm);
	net_tap_hash(device, "", of_device);
	if (strlen(device) <= NET_TAP_DEVICE_MAX)
		snprintf(out, IFNAMSIZ, "vm%02x%02x%02x.%s", of_vm[2], of_vm[3], of_vm[4], device);
	else
		snprintf(out, IFNAMSIZ, "vm%02x%02x%02x.%.2s%02x%02x", of_vm[2], of_vm[3], of_vm[4],
			 device, of_device[2], of_device[3]);
}

static int net_tap_open(const struct hostfs *host, const char *name, short flags, struct err *e)
{
	struct ifreq ifr = { .ifr_flags = flags };
	AUTO_CLOSE int fd = -1;

	fd = hostfs_open(host, "dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK, e);
	if (fd < 0) {
		e->code = fd == -EACCES || fd == -EPERM ? ERR_DENIED : ERR_NET_TAP;
		return err_hint(e, "modprobe tun; vmd-network(7), RIGHTS");
	}
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0)
		return err_errno(e, "tap '%s'", name);
	return TAKE_FD(fd);
}

static int net_tap_queues(const struct hostfs *host, short first, short others, unsigned int queues,
			  struct net_tap *t, struct err *e)
{
	for (t->queues = 0; t->queues < queues; t->queues++) {
		int fd = net_tap_open(host, t->name, t->queues ? others : first, e);

		if (fd < 0) {
			net_tap_fini(t);
			return fd;
		}
		t->fds[t->queues] = fd;
	}
	return 0;
}

static short net_tap_flags(bool multi)
{
	return IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (multi ? IFF_MULTI_QUEUE : 0);
}

int net_tap_make(const struct hostfs *host, const char *vm, const char *device, unsigned int queues,
		 struct net_tap *ret, struct err *e)
{
	short flags = net_tap_flags(queues > 1);
	int r = -EBUSY;

	for (unsigned int try = 0; r == -EBUSY && try < NET_TAP_TRIES; try++) {
		net_tap_name(vm, device, try, ret->name);
		/* without EXCL a name that is taken by a tap would be joined */
		r = net_tap_queues(host, (short)(flags | IFF_TUN_EXCL), flags, queues, ret, e);
	}
	if (r == -EPERM) {
		err_set(e, ERR_DENIED, "vmd may not make network interfaces (CAP_NET_ADMIN)");
		return err_hint(e, "vmd-network(7), RIGHTS; network: user needs none");
	}
	if (r < 0 && r > -1000)
		e->code = ERR_NET_TAP;
	return r < 0 ? -e->code : 0;
}

int net_tap_attach(const struct hostfs *host, const char *name, bool multi, unsigned int queues,
		   struct net_tap *ret, struct err *e)
{
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	return net_tap_queues(host, net_tap_flags(multi), net_tap_flags(multi), queues, ret, e);
}
