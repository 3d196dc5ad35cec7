// SPDX-License-Identifier: MIT
/*
 * From the guest: 317453, sections 3.3 to 3.5. Legacy, context and data descriptors become packets; the sums that the transport
 * wants, and TCP segmentation, are left to the backend (vmm/net/offload.h). A descriptor is read once. On the worker.
 */
#include <endian.h>
#include <string.h>

#include "vmm/dev/e1000.h"

/* The second 64 bits of a descriptor: commands at 24 to 31. Sections 3.3.3, 3.3.6 and 3.3.7 */
#define E1000_TX_EOP BIT(24)
#define E1000_TX_IC BIT(26) /* legacy */
#define E1000_TX_TSE BIT(26)
#define E1000_TX_RS BIT(27)
#define E1000_TX_RPS BIT(28)
#define E1000_TX_DEXT BIT(29)
#define E1000_TX_VLE BIT(30)
#define E1000_TX_TYPE_DATA BIT(20)
#define E1000_TX_TYPES 0xf00000
#define E1000_TX_CONTEXT_TCP BIT(24)
#define E1000_TX_DD BIT(0) /* of the byte behind the commands */
#define E1000_POPTS_IXSM BIT(0)
#define E1000_POPTS_TXSM BIT(1)

struct e1000_desc {
	uint64_t low; /* of a buffer: its address */
	uint32_t command, status;
};

static void e1000_context(struct e1000 *c, const struct e1000_desc *d)
{
	c->contexts[!!(d->command & E1000_TX_TSE)] = (struct e1000_context){
		.ip_start = (uint8_t)d->low,
		.ip_at = (uint8_t)(d->low >> 8),
		.ip_end = (uint16_t)(d->low >> 16),
		.start = (uint8_t)(d->low >> 32),
		.at = (uint8_t)(d->low >> 40),
		.end = (uint16_t)(d->low >> 48),
		.header = (uint8_t)(d->status >> 8),
		.mss = (uint16_t)(d->status >> 16),
		.tcp = d->command & E1000_TX_CONTEXT_TCP,
	};
}

static void e1000_append(struct e1000 *c, uint64_t addr, size_t len)
{
	struct nic_out *o = &c->n.out;

	/* with room for a tag */
	if (c->packet.lost || !range_fits(o->len, len, NIC_FRAME_MAX - E1000_VLAN) ||
	    gmem_read(c->n.dev.board->gmem, addr, o->frame + o->len, len) < 0) {
		c->packet.lost = true;
		return;
	}
	o->len += len;
}

/* --- the end of a packet --------------------------------------------------------------------------------------------- */

/* Section 3.3.3, CSO and CSS */
static void e1000_sum_legacy(struct e1000 *c, const struct e1000_desc *d)
{
	struct nic_out *o = &c->n.out;

	if (d->command & E1000_TX_IC)
		offload_put_sum(o->frame, o->len, d->status >> 8 & 0xff, o->len,
				d->command >> 16 & 0xff);
}

static void e1000_sum_transport(struct e1000 *c, const struct e1000_context *x)
{
	struct nic_out *o = &c->n.out;

	if (x->end)
		offload_put_sum(o->frame, o->len, x->start, x->end + 1u, x->at);
	else
		o->offload = (struct offload){ .csum = true, .start = x->start, .at = x->at };
}

/* Sections 3.4 and 3.5: with segmentation, headers and sums of each segment are made whatever the options are */
static void e1000_sum(struct e1000 *c)
{
	const struct e1000_context *x = &c->contexts[c->packet.cut];
	struct nic_out *o = &c->n.out;

	if (c->packet.cut) {
		o->offload = (struct offload){ .csum = true,
					       .start = x->start,
					       .at = x->at,
					       .mss = x->mss,
					       .ip = x->ip_start,
					       .header = x->header };
		c->packet.lost = c->packet.lost || !x->tcp || !x->mss;
		e1000_count(c, E1000_TSCTC, 1);
		return;
	}
	if (c->packet.popts & E1000_POPTS_IXSM)
		offload_put_sum(o->frame, o->len, x->ip_start, x->ip_end ? x->ip_end + 1u : o->len,
				x->ip_at);
	if (c->packet.popts & E1000_POPTS_TXSM)
		e1000_sum_transport(c, x);
}

/* Section 9.2 */
static void e1000_insert_tag(struct e1000 *c, const struct e1000_desc *d)
{
	uint32_t type = e1000_get(c, E1000_VET);
	struct nic_out *o = &c->n.out;
	const uint8_t tag[E1000_VLAN] = { (uint8_t)(type >> 8), (uint8_t)type,
					  (uint8_t)(d->status >> 24), (uint8_t)(d->status >> 16) };

	if (!(d->command & E1000_TX_VLE) || !(e1000_get(c, E1000_CTRL) & E1000_CTRL_VME) ||
	    o->len < 12)
		return;
	memmove(o->frame + 12 + sizeof(tag), o->frame + 12, o->len - 12);
	memcpy(o->frame + 12, tag, sizeof(tag));
	o->len += sizeof(tag);
	o->offload.start += (uint16_t)sizeof(tag);
	o->offload.at += (uint16_t)sizeof(tag);
	o->offload.ip += (uint16_t)sizeof(tag);
	o->offload.header += (uint16_t)sizeof(tag);
}

static void e1000_count_packet(struct e1000 *c)
{
	const struct nic_out *o = &c->n.out;
	uint32_t size = (uint32_t)o->len + E1000_FCS;

	e1000_count(c, E1000_TPT, 1);
	e1000_count(c, E1000_GPTC, 1);
	e1000_count64(c, E1000_GOTC, size);
	e1000_count64(c, E1000_TOT, size);
	if (o->frame[0] & 1)
		e1000_count(c, o->frame[0] == 0xff ? E1000_BPTC : E1000_MPTC, 1);
}

static void e1000_pad(struct e1000 *c)
{
	struct nic_out *o = &c->n.out;

	if (o->len >= NIC_FRAME_MIN || !(e1000_get(c, E1000_TCTL) & E1000_TCTL_PSP))
		return;
	memset(o->frame + o->len, 0, NIC_FRAME_MIN - o->len);
	o->len = NIC_FRAME_MIN;
}

/* True: there is a packet to be sent. */
static bool e1000_end(struct e1000 *c, const struct e1000_desc *d)
{
	bool good;

	if (d->command & E1000_TX_DEXT)
		e1000_sum(c);
	else
		e1000_sum_legacy(c, d);
	e1000_insert_tag(c, d);
	e1000_pad(c);
	good = !c->packet.lost;
	if (good)
		e1000_count_packet(c);
	c->packet = (struct e1000_packet){ 0 };
	return good;
}

static void e1000_packet_begin(struct e1000 *c, const struct e1000_desc *d)
{
	bool extended = d->command & E1000_TX_DEXT;

	c->packet = (struct e1000_packet){
		.begun = true,
		.popts = extended ? (uint8_t)(d->status >> 8) : 0,
		.cut = extended && d->command & E1000_TX_TSE,
	};
	c->n.out.len = 0;
	c->n.out.offload = (struct offload){ 0 };
}

static bool e1000_data(struct e1000 *c, const struct e1000_desc *d)
{
	if (!c->packet.begun)
		e1000_packet_begin(c, d);
	e1000_append(c, d->low, d->command & (d->command & E1000_TX_DEXT ? 0xfffffu : 0xffffu));
	return d->command & E1000_TX_EOP && e1000_end(c, d);
}

/* --- the ring -------------------------------------------------------------------------------------------------------- */

/* Section 3.3.3.2 */
static void e1000_report(struct e1000 *c, uint8_t *desc, const struct e1000_desc *d)
{
	if (!(d->command & (E1000_TX_RS | E1000_TX_RPS)))
		return;
	__atomic_store_n(desc + 12, (uint8_t)(d->status | E1000_TX_DD), __ATOMIC_RELEASE);
	c->causes |= E1000_INT_TXDW;
}

static bool e1000_step(struct e1000 *c)
{
	uint8_t *desc =
		gmem_ptr(c->n.dev.board->gmem, c->tx.base + c->tx.head * E1000_DESC, E1000_DESC);
	uint64_t words[2];
	struct e1000_desc d;
	bool ready = false;

	memcpy(words, desc, sizeof(words));
	d = (struct e1000_desc){ le64toh(words[0]), (uint32_t)le64toh(words[1]),
				 (uint32_t)(le64toh(words[1]) >> 32) };
	if (d.command & E1000_TX_DEXT && (d.command & E1000_TX_TYPES) != E1000_TX_TYPE_DATA)
		e1000_context(c, &d);
	else
		ready = e1000_data(c, &d);
	c->tx.head = (c->tx.head + 1) % c->tx.n;
	e1000_report(c, desc, &d);
	e1000_set(c, E1000_TDH, c->tx.head);
	return ready;
}

bool e1000_next(struct nic *n)
{
	struct e1000 *c = e1000_of(n);
	uint32_t tail = e1000_get(c, E1000_TDT);
	bool ready;

	if (!c->tx.n)
		return false;
	if (tail >= c->tx.n) {
		nic_confused(n, "a transmit tail behind the end of its ring");
		return false;
	}
	while (c->tx.head != tail && n->budget) {
		n->budget--;
		ready = e1000_step(c);
		if (c->tx.head == tail)
			c->causes |= E1000_INT_TXQE;
		if (ready)
			return true;
	}
	return false;
}
