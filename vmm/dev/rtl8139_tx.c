// SPDX-License-Identifier: MIT
/*
 * From the guest: the four buffers of the RTL8139 (section 6.4: TSD and TSAD, one after the other), or C+ mode's ring of
 * descriptors (section 9.1), with sums and large sends, which the card makes whatever the driver has put there: it finds the headers by
 * itself. The ring of high priority is not there. On the worker.
 */
#include <endian.h>
#include <netinet/in.h>
#include <string.h>

#include "vmm/dev/rtl8139.h"

/* A transmit descriptor: section 9.1.1 */
#define RTL_TXD_LARGE BIT(27)
#define RTL_TXD_IP BIT(18)
#define RTL_TXD_UDP BIT(17)
#define RTL_TXD_TCP BIT(16)
/* when it is done: where commands were is a status, in which all is well (9.1.2) */
#define RTL_TXD_KEPT (RTL_EOR | RTL_FS | RTL_LS | 0xffff)
#define RTL_TXD_TAG BIT(17) /* of the second word */

struct rtl8139_tx {
	uint32_t word0, word1;
	uint64_t addr;
};

static void rtl8139_begin(struct rtl8139 *c)
{
	c->begun = true;
	c->lost = false;
	c->n.out.len = 0;
	c->n.out.offload = (struct offload){ 0 };
}

static void rtl8139_append(struct rtl8139 *c, uint64_t addr, size_t len)
{
	struct nic_out *o = &c->n.out;

	/* with room for a tag */
	if (c->lost || !range_fits(o->len, len, NIC_FRAME_MAX - 4) ||
	    gmem_read(c->n.dev.board->gmem, addr, o->frame + o->len, len) < 0)
		c->lost = true;
	else
		o->len += len;
}

static bool rtl8139_end(struct rtl8139 *c)
{
	struct nic_out *o = &c->n.out;

	c->begun = false;
	if (c->lost)
		return false;
	/* a short one is filled up: IEEE 802.3 */
	if (o->len < NIC_FRAME_MIN) {
		memset(o->frame + o->len, 0, NIC_FRAME_MIN - o->len);
		o->len = NIC_FRAME_MIN;
	}
	atomic_fetch_add(&c->tally.tx, 1);
	return true;
}

/* --- four buffers -------------------------------------------------------------------------------------------------- */

static bool rtl8139_next_buffer(struct rtl8139 *c)
{
	while (c->n.budget) {
		unsigned int i = c->tx_next;
		uint32_t tsd = rtl8139_get(c, RTL_TSD0 + i);
		bool good;

		if (tsd & RTL_TSD_OWN)
			return false;
		c->n.budget--;
		rtl8139_begin(c);
		rtl8139_append(c, rtl8139_get(c, RTL_TSAD0 + i), tsd & RTL_TSD_SIZE);
		good = rtl8139_end(c);
		rtl8139_put(c, RTL_TSD0 + i,
			    tsd | RTL_TSD_OWN | (good ? RTL_TSD_TOK : RTL_TSD_ABORT));
		c->tx_next = (i + 1) % 4;
		c->causes |= good ? RTL_INT_TOK : RTL_INT_TER;
		if (good)
			return true;
	}
	return false;
}

/* --- C+ mode ------------------------------------------------------------------------------------------------------- */

/* The transport's header of IPv4 that the card is to make a sum for: false: there is none of the kind. */
static bool rtl8139_find(const struct nic_out *o, unsigned int protocol, size_t *ret_at)
{
	const uint8_t *ip = o->frame + ETH_HLEN;
	size_t head, least = protocol == IPPROTO_TCP ? 20 : 8;

	if (o->len < ETH_HLEN + 20 || o->frame[12] != 0x08 || o->frame[13] || ip[0] >> 4 != 4)
		return false;
	head = 4 * (ip[0] & 15u);
	/* a fragment has no sum of its own */
	if (head < 20 || ip[9] != protocol || (ip[6] & 0x3f) || ip[7])
		return false;
	*ret_at = ETH_HLEN + head;
	return range_fits(*ret_at, least, o->len);
}

static void rtl8139_sum_ip(struct nic_out *o)
{
	uint8_t *ip = o->frame + ETH_HLEN;
	size_t head;

	if (o->len < ETH_HLEN + 20 || o->frame[12] != 0x08 || o->frame[13] || ip[0] >> 4 != 4)
		return;
	head = 4 * (ip[0] & 15u);
	ip[10] = ip[11] = 0;
	offload_put_sum(o->frame, o->len, ETH_HLEN, ETH_HLEN + head, ETH_HLEN + 10);
}

static void rtl8139_sum_transport(struct nic_out *o, unsigned int protocol)
{
	const uint8_t *ip = o->frame + ETH_HLEN;
	size_t at, len, field, total;
	uint16_t pseudo;

	if (!rtl8139_find(o, protocol, &at))
		return;
	/* what IP says: the rest fills the frame up */
	total = (size_t)(ip[2] << 8 | ip[3]);
	if (total < at - ETH_HLEN)
		return;
	len = MIN(o->len - at, total - (at - ETH_HLEN));
	field = at + (protocol == IPPROTO_TCP ? 16 : 6);
	pseudo = offload_sum(ip + 12, 8, protocol + (uint32_t)len);
	o->frame[field] = (uint8_t)(pseudo >> 8);
	o->frame[field + 1] = (uint8_t)pseudo;
	if (at + len == o->len)
		o->offload = (struct offload){ .csum = true,
					       .start = (uint16_t)at,
					       .at = (uint16_t)field };
	else
		offload_put_sum(o->frame, o->len, at, at + len, field);
}

/* Section 9.1.1, LGSEN */
static void rtl8139_large(struct rtl8139 *c, uint16_t mss)
{
	struct nic_out *o = &c->n.out;
	size_t at;

	if (!rtl8139_find(o, IPPROTO_TCP, &at)) {
		c->lost = true;
		return;
	}
	o->offload = (struct offload){ .csum = true,
				       .start = (uint16_t)at,
				       .at = (uint16_t)(at + 16),
				       .mss = mss,
				       .ip = ETH_HLEN,
				       .header = (uint16_t)(at + 4 * (o->frame[at + 12] >> 4)) };
	c->lost = c->lost || !mss;
}

static void rtl8139_tag(struct nic_out *o, uint32_t word1)
{
	/* as it is on the wire */
	const uint8_t tag[] = { 0x81, 0, (uint8_t)word1, (uint8_t)(word1 >> 8) };

	if (!(word1 & RTL_TXD_TAG) || o->len < 12)
		return;
	memmove(o->frame + 12 + sizeof(tag), o->frame + 12, o->len - 12);
	memcpy(o->frame + 12, tag, sizeof(tag));
	o->len += sizeof(tag);
	o->offload.start += (uint16_t)sizeof(tag);
	o->offload.at += (uint16_t)sizeof(tag);
	o->offload.ip += (uint16_t)sizeof(tag);
	o->offload.header += (uint16_t)sizeof(tag);
}

static bool rtl8139_packet(struct rtl8139 *c, const struct rtl8139_tx *d)
{
	struct nic_out *o = &c->n.out;

	if (d->word0 & RTL_TXD_LARGE) {
		rtl8139_large(c, d->word0 >> 16 & 0x7ff);
	} else {
		if (d->word0 & RTL_TXD_IP)
			rtl8139_sum_ip(o);
		if (d->word0 & (RTL_TXD_TCP | RTL_TXD_UDP))
			rtl8139_sum_transport(o,
					      d->word0 & RTL_TXD_TCP ? IPPROTO_TCP : IPPROTO_UDP);
	}
	rtl8139_tag(o, d->word1);
	return rtl8139_end(c);
}

/* 1: a packet is ready, 0: not yet, -1: nothing is to be done */
static int rtl8139_step(struct rtl8139 *c)
{
	uint64_t base = rtl8139_get(c, RTL_TSAD0) | (uint64_t)rtl8139_get(c, RTL_TSAD1) << 32;
	uint8_t *at = gmem_ptr(c->n.dev.board->gmem, base + RTL_DESC * c->tx_next, RTL_DESC);
	struct rtl8139_tx d;
	uint32_t words[4];
	bool ready = false;

	if (!at) {
		nic_confused(&c->n, "a transmit descriptor that is not in memory");
		return -1;
	}
	d.word0 = le32toh(__atomic_load_n((uint32_t *)(void *)at, __ATOMIC_ACQUIRE));
	if (!(d.word0 & RTL_OWN))
		return -1;
	memcpy(words, at, sizeof(words));
	d.word1 = le32toh(words[1]);
	d.addr = le32toh(words[2]) | (uint64_t)le32toh(words[3]) << 32;
	if (d.word0 & RTL_FS || !c->begun)
		rtl8139_begin(c);
	rtl8139_append(c, d.addr, d.word0 & 0xffff);
	if (d.word0 & RTL_LS)
		ready = rtl8139_packet(c, &d);
	__atomic_store_n((uint32_t *)(void *)at, htole32(d.word0 & RTL_TXD_KEPT), __ATOMIC_RELEASE);
	c->tx_next = d.word0 & RTL_EOR || c->tx_next + 1 == RTL_DESCS ? 0 : c->tx_next + 1;
	if (d.word0 & RTL_LS)
		c->causes |= RTL_INT_TOK;
	return ready;
}

static bool rtl8139_next_desc(struct rtl8139 *c)
{
	int r = 0;

	while (!r && c->n.budget) {
		c->n.budget--;
		r = rtl8139_step(c);
	}
	if (r < 0 && c->causes & RTL_INT_TOK)
		c->causes |= RTL_INT_TDU;
	return r > 0;
}

bool rtl8139_next(struct nic *n)
{
	struct rtl8139 *c = rtl8139_of(n);

	if (!(rtl8139_get(c, RTL_CR) & RTL_CR_TE))
		return false;
	return rtl8139_get(c, RTL_CPCR) & RTL_CPCR_TX ? rtl8139_next_desc(c)
						      : rtl8139_next_buffer(c);
}
