// SPDX-License-Identifier: MIT
/*
 * Which frames a guest wants: VIRTIO 1.2, sections 5.1.6.5.1 to 5.1.6.5.3. A device that was reset takes everything,
 * for drivers that never say; with CTRL_VLAN, no VLAN until it is asked for. On the worker.
 */
#include <string.h>

#include "vmm/virtio/net_impl.h"

void net_filter_reset(struct net_filter *f, const uint8_t mac[static ETH_ALEN], bool by_vlan)
{
	memset(f, 0, sizeof(*f));
	f->promisc = true;
	f->by_vlan = by_vlan;
	memcpy(f->mac, mac, ETH_ALEN);
}

static bool net_filter_in(const uint8_t table[][ETH_ALEN], unsigned int n, const uint8_t *mac)
{
	for (unsigned int i = 0; i < n; i++)
		if (!memcmp(table[i], mac, ETH_ALEN))
			return true;
	return false;
}

static bool net_filter_vlan(const struct net_filter *f, const uint8_t *frame, size_t size)
{
	unsigned int vlan;

	if (!f->by_vlan || size < ETH_HLEN + 2 || frame[12] != 0x81 || frame[13] != 0)
		return true;
	vlan = (unsigned int)(frame[14] << 8 | frame[15]) & (NET_VLANS - 1);
	return f->vlans[vlan / 8] & BIT(vlan % 8);
}

bool net_filter_takes(const struct net_filter *f, const uint8_t *frame, size_t size)
{
	static const uint8_t broadcast[ETH_ALEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	if (!net_filter_vlan(f, frame, size))
		return false;
	if (f->promisc)
		return true;
	if (!memcmp(frame, broadcast, ETH_ALEN))
		return !f->nobcast;
	if (frame[0] & 1)
		return !f->nomulti && (f->allmulti || f->all_multicast ||
				       net_filter_in(f->multicast, f->nmulticast, frame));
	if (f->nouni)
		return false;
	return f->alluni || f->all_unicast || !memcmp(frame, f->mac, ETH_ALEN) ||
	       net_filter_in(f->unicast, f->nunicast, frame);
}
