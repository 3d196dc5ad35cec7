/* SPDX-License-Identifier: MIT */
/*
 * Taps and vhost-net for unit tests: what vmm has of them are sockets that keep messages apart, and descriptors
 * without a use; their ioctls end here and are written down. A vhost that was started serves nothing.
 */
#ifndef TESTS_UNIT_FAKE_NET_H
#define TESTS_UNIT_FAKE_NET_H

#include <linux/vhost.h>
#include "lib/fdio.h"
#include "vmm/net/sys.h"

#define FAKE_NET_PAIRS 2
#define FAKE_NET_FEATURES UINT64_MAX

struct fake_vhost_queue {
	unsigned int num, base;
	struct vhost_vring_addr addr;
	int kick, call, err, tap; /* tap -1: stopped */
};

struct fake_net {
	struct net_sys sys;
	int taps[FAKE_NET_PAIRS]; /* the tests' ends; owned */
	int ours[FAKE_NET_PAIRS]; /* the numbers of the device's */
	bool queue_on[FAKE_NET_PAIRS];
	unsigned int queue_changes;
	short flags; /* of TUNGETIFF */
	unsigned int offload, noffloads;
	int header;
	/* vhost-net, of one pair */
	int vhost; /* the number of the device's descriptor */
	uint64_t vhost_knows, vhost_features;
	bool vhost_owned;
	unsigned int nregions;
	struct vhost_memory_region regions[2];
	struct fake_vhost_queue queues[2];
	unsigned long fail; /* this request fails: -EIO */
};

void fake_net_init(struct fake_net *n);
void fake_net_fini(struct fake_net *n);
/* The descriptors for a device with so many taps: their indices in fds are 0, 1, …, then vhost's where wanted. */
void fake_net_pass(struct fake_net *n, unsigned int taps, bool vhost, struct fdset *fds);

#endif
