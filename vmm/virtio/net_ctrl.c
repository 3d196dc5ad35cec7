// SPDX-License-Identifier: MIT
/*
 * The control queue: VIRTIO 1.2, section 5.1.6.5. A request is a class, a command, its data, and a byte for the
 * answer; what the driver did not negotiate is refused. On the worker.
 */
#include <endian.h>
#include <string.h>

#include "vmm/virtio/net_impl.h"

struct net_ctrl {
	struct net *n;
	const struct virtq_req *r;
	uint8_t cmd;
	size_t at, size; /* of the data, in the request's readable part */
};

static bool net_ctrl_take(struct net_ctrl *c, void *data, size_t len)
{
	if (!range_fits(c->at, len, c->size))
		return false;
	c->at += iov_read(c->r->iov, c->r->nout, c->at, data, len);
	return true;
}

static bool net_ctrl_end(const struct net_ctrl *c)
{
	return c->at == c->size;
}

/* --- VIRTIO_NET_CTRL_RX ------------------------------------------------------------------------------------------ */

static bool net_ctrl_rx(struct net_ctrl *c)
{
	struct net_filter *f = &c->n->filter;
	bool *const switches[] = {
		[VIRTIO_NET_CTRL_RX_PROMISC] = &f->promisc,
		[VIRTIO_NET_CTRL_RX_ALLMULTI] = &f->allmulti,
		[VIRTIO_NET_CTRL_RX_ALLUNI] = &f->alluni,
		[VIRTIO_NET_CTRL_RX_NOMULTI] = &f->nomulti,
		[VIRTIO_NET_CTRL_RX_NOUNI] = &f->nouni,
		[VIRTIO_NET_CTRL_RX_NOBCAST] = &f->nobcast,
	};
	unsigned int feature = c->cmd <= VIRTIO_NET_CTRL_RX_ALLMULTI ? VIRTIO_NET_F_CTRL_RX
								     : VIRTIO_NET_F_CTRL_RX_EXTRA;
	uint8_t on;

	if (c->cmd >= ARRAY_SIZE(switches) || !virtio_has(&c->n->v, feature) ||
	    !net_ctrl_take(c, &on, sizeof(on)) || !net_ctrl_end(c))
		return false;
	*switches[c->cmd] = on;
	return true;
}

/* --- VIRTIO_NET_CTRL_MAC ----------------------------------------------------------------------------------------- */

/* One of the two tables; a longer one than we keep means all. */
static bool net_ctrl_table(struct net_ctrl *c, uint8_t table[NET_MACS_MAX][ETH_ALEN],
			   unsigned int *ret_n, bool *ret_all)
{
	uint32_t le, n;

	if (!net_ctrl_take(c, &le, sizeof(le)))
		return false;
	n = le32toh(le);
	if (n > (c->size - c->at) / ETH_ALEN)
		return false;
	*ret_all = n > NET_MACS_MAX;
	*ret_n = *ret_all ? 0 : n;
	if (!*ret_all)
		return net_ctrl_take(c, table, (size_t)n * ETH_ALEN);
	c->at += (size_t)n * ETH_ALEN;
	return true;
}

static bool net_ctrl_tables(struct net_ctrl *c)
{
	struct net_filter f = c->n->filter;

	if (!virtio_has(&c->n->v, VIRTIO_NET_F_CTRL_RX) ||
	    !net_ctrl_table(c, f.unicast, &f.nunicast, &f.all_unicast) ||
	    !net_ctrl_table(c, f.multicast, &f.nmulticast, &f.all_multicast) || !net_ctrl_end(c))
		return false;
	c->n->filter = f;
	return true;
}

/* Where the sender is checked, the address stays what it is. */
static bool net_ctrl_address(struct net_ctrl *c)
{
	uint8_t mac[ETH_ALEN];

	if (!virtio_has(&c->n->v, VIRTIO_NET_F_CTRL_MAC_ADDR) ||
	    !net_ctrl_take(c, mac, sizeof(mac)) || !net_ctrl_end(c) || mac[0] & 1)
		return false;
	if (!c->n->spoofing)
		return !memcmp(mac, c->n->mac, ETH_ALEN);
	net_set_mac(c->n, mac);
	return true;
}

static bool net_ctrl_mac(struct net_ctrl *c)
{
	switch (c->cmd) {
	case VIRTIO_NET_CTRL_MAC_TABLE_SET:
		return net_ctrl_tables(c);
	case VIRTIO_NET_CTRL_MAC_ADDR_SET:
		return net_ctrl_address(c);
	default:
		return false;
	}
}

/* --- the others -------------------------------------------------------------------------------------------------- */

static bool net_ctrl_vlan(struct net_ctrl *c)
{
	uint8_t *vlans = c->n->filter.vlans;
	uint16_t vlan;

	if (!virtio_has(&c->n->v, VIRTIO_NET_F_CTRL_VLAN) ||
	    !net_ctrl_take(c, &vlan, sizeof(vlan)) || !net_ctrl_end(c))
		return false;
	vlan = le16toh(vlan);
	if (vlan >= NET_VLANS || c->cmd > VIRTIO_NET_CTRL_VLAN_DEL)
		return false;
	if (c->cmd == VIRTIO_NET_CTRL_VLAN_ADD)
		vlans[vlan / 8] |= (uint8_t)BIT(vlan % 8);
	else
		vlans[vlan / 8] &= (uint8_t)~BIT(vlan % 8);
	return true;
}

static bool net_ctrl_mq(struct net_ctrl *c)
{
	uint16_t pairs;

	if (c->cmd != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET || !virtio_has(&c->n->v, VIRTIO_NET_F_MQ) ||
	    !net_ctrl_take(c, &pairs, sizeof(pairs)) || !net_ctrl_end(c))
		return false;
	pairs = le16toh(pairs);
	if (pairs < VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN || pairs > c->n->npairs)
		return false;
	net_set_pairs(c->n, pairs);
	return true;
}

static bool net_ctrl_offloads(struct net_ctrl *c)
{
	uint64_t offloads;

	if (c->cmd != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET ||
	    !virtio_has(&c->n->v, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) ||
	    !net_ctrl_take(c, &offloads, sizeof(offloads)) || !net_ctrl_end(c))
		return false;
	offloads = le64toh(offloads);
	if (offloads & ~(c->n->v.driver_features & NET_OFFLOADS))
		return false;
	return net_set_offloads(c->n, offloads) >= 0;
}

static bool net_ctrl_run(struct net *n, const struct virtq_req *r)
{
	struct net_ctrl c = { .n = n, .r = r, .size = iov_size(r->iov, r->nout) };
	struct virtio_net_ctrl_hdr hdr;

	if (!net_ctrl_take(&c, &hdr, sizeof(hdr)))
		return false;
	c.cmd = hdr.cmd;
	switch (hdr.class) {
	case VIRTIO_NET_CTRL_RX:
		return net_ctrl_rx(&c);
	case VIRTIO_NET_CTRL_MAC:
		return net_ctrl_mac(&c);
	case VIRTIO_NET_CTRL_VLAN:
		return net_ctrl_vlan(&c);
	case VIRTIO_NET_CTRL_MQ:
		return net_ctrl_mq(&c);
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		return net_ctrl_offloads(&c);
	default:
		return false;
	}
}

void net_ctrl_serve(struct net *n, unsigned int q)
{
	struct virtq_req *r = &n->ctrl;

	while (virtio_pop(&n->v, q, r) > 0) {
		uint8_t ack;

		if (!r->nin) {
			virtio_broken(&n->v, "a control request without a place for the answer");
			break;
		}
		ack = net_ctrl_run(n, r) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
		iov_write(r->iov + r->nout, r->nin, 0, &ack, sizeof(ack));
		virtq_push(&net_queue(n, q)->vq, r->head, sizeof(ack));
	}
	virtio_flush(&n->v, q);
}
