// SPDX-License-Identifier: MIT
/* See fake_net.h. */
#include "tests/unit/fake_net.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/test.h"

static int fake_tap_ioctl(struct fake_net *n, unsigned int i, unsigned long request, void *data)
{
	struct ifreq *ifr = data;

	switch (request) {
	case TUNGETIFF:
		strcpy(ifr->ifr_name, "tap0");
		ifr->ifr_flags = n->flags;
		return 0;
	case TUNSETVNETHDRSZ:
		n->header = *(int *)data;
		return 0;
	case TUNSETOFFLOAD:
		n->offload = (unsigned int)(uintptr_t)data;
		n->noffloads++;
		return 0;
	case TUNSETQUEUE:
		/* as the kernel: a change of nothing is an error */
		if (n->queue_on[i] == (ifr->ifr_flags == IFF_ATTACH_QUEUE))
			return -EINVAL;
		n->queue_on[i] = !n->queue_on[i];
		n->queue_changes++;
		return 0;
	default:
		return -ENOTTY;
	}
}

static int fake_vhost_queue_ioctl(struct fake_net *n, unsigned long request, void *data)
{
	struct vhost_vring_state *state = data; /* the index is the first of all of them */
	struct vhost_vring_file *file = data;
	struct fake_vhost_queue *q = &n->queues[state->index];

	assert_in_range(state->index, 0, 1);
	switch (request) {
	case VHOST_SET_VRING_NUM:
		q->num = state->num;
		return 0;
	case VHOST_SET_VRING_BASE:
		q->base = state->num;
		return 0;
	case VHOST_GET_VRING_BASE:
		assert_int_equal(q->tap, -1);
		state->num = q->base;
		return 0;
	case VHOST_SET_VRING_ADDR:
		q->addr = *(struct vhost_vring_addr *)data;
		return 0;
	case VHOST_SET_VRING_KICK:
		q->kick = file->fd;
		return 0;
	case VHOST_SET_VRING_CALL:
		q->call = file->fd;
		return 0;
	case VHOST_SET_VRING_ERR:
		q->err = file->fd;
		return 0;
	case VHOST_NET_SET_BACKEND:
		q->tap = file->fd;
		return 0;
	default:
		return -ENOTTY;
	}
}

static int fake_vhost_ioctl(struct fake_net *n, unsigned long request, void *data)
{
	switch (request) {
	case VHOST_SET_OWNER:
		assert_false(n->vhost_owned);
		n->vhost_owned = true;
		return 0;
	case VHOST_GET_FEATURES:
		*(uint64_t *)data = n->vhost_knows;
		return 0;
	case VHOST_SET_FEATURES:
		n->vhost_features = *(uint64_t *)data;
		return n->vhost_features & ~n->vhost_knows ? -EOPNOTSUPP : 0;
	case VHOST_SET_MEM_TABLE:
		n->nregions = ((struct vhost_memory *)data)->nregions;
		assert_in_range(n->nregions, 1, 2);
		memcpy(n->regions, ((struct vhost_memory *)data)->regions,
		       n->nregions * sizeof(n->regions[0]));
		return 0;
	default:
		return fake_vhost_queue_ioctl(n, request, data);
	}
}

static int fake_net_ioctl(void *arg, int fd, unsigned long request, void *data)
{
	struct fake_net *n = arg;

	if (request == n->fail)
		return -EIO;
	if (fd == n->vhost)
		return fake_vhost_ioctl(n, request, data);
	for (unsigned int i = 0; i < FAKE_NET_PAIRS; i++)
		if (fd == n->ours[i])
			return fake_tap_ioctl(n, i, request, data);
	return -EBADF;
}

void fake_net_init(struct fake_net *n)
{
	*n = (struct fake_net){
		.sys = { .ioctl = fake_net_ioctl, .arg = n },
		.flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR,
		.vhost = -1,
		.vhost_knows = FAKE_NET_FEATURES,
	};
	for (unsigned int i = 0; i < FAKE_NET_PAIRS; i++) {
		n->taps[i] = n->ours[i] = -1;
		n->queue_on[i] = true;
		n->queues[i].tap = -1;
	}
}

void fake_net_fini(struct fake_net *n)
{
	for (unsigned int i = 0; i < FAKE_NET_PAIRS; i++)
		if (n->taps[i] >= 0)
			close(n->taps[i]);
}

void fake_net_pass(struct fake_net *n, unsigned int taps, bool vhost, struct fdset *fds)
{
	for (unsigned int i = 0; i < taps; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
			abort();
		n->taps[i] = pair[0];
		n->ours[i] = pair[1];
		fdset_add(fds, pair[1]);
	}
	if (!vhost)
		return;
	n->vhost = eventfd(0, EFD_CLOEXEC);
	fdset_add(fds, n->vhost);
}
