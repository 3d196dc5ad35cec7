/* SPDX-License-Identifier: MIT */
/*
 * A queue of a tap interface (Documentation/networking/tuntap.rst of the kernel): one frame a read or write, behind
 * a header of virtio (struct virtio_net_hdr_v1, 12 bytes), so that guest buffers are read and written as they are.
 */
#ifndef VMM_NET_TAP_H
#define VMM_NET_TAP_H

#include <sys/types.h>
#include <sys/uio.h>
#include "lib/err.h"
#include "vmm/net/sys.h"

/* What the guest takes off our hands: frames with sums to be made, frames larger than the MTU. */
struct tap_offload {
	bool csum, tso4, tso6, ecn;
};

/*
 * Open npairs queues of the interface, which is there or is made for as long as they are open. For a program that
 * opens by itself: needs CAP_NET_ADMIN, or to be the interface's owner. fds are filled on success only.
 */
int tap_open(const char *ifname, unsigned int npairs, int *ret_fds, struct err *e);
/* Is it a tap with that header? Sets the header's size. */
int tap_init(const struct net_sys *sys, int fd, struct err *e);
/* Is there still an interface behind it? */
bool tap_alive(const struct net_sys *sys, int fd);
/* -errno. Of all queues of the interface. */
int tap_set_offload(const struct net_sys *sys, int fd, const struct tap_offload *o);
/* Whether the kernel gives this queue frames; only of an interface with several. -errno. */
int tap_set_queue(const struct net_sys *sys, int fd, bool on);
/* One frame with its header: bytes, or -errno (-EAGAIN). What does not fit is cut. */
ssize_t tap_recv(int fd, const struct iovec *iov, unsigned int n);
ssize_t tap_send(int fd, const struct iovec *iov, unsigned int n);

#endif
