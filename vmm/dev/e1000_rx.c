// SPDX-License-Identifier: MIT
/*
 * To the guest: 317453, section 3.2. Which frames are wanted (section 3.2.1), their way into the buffers of the ring, and what is
 * said of their sums (section 3.2.9). Where there are too few buffers a frame waits. The FCS is made of zeroes: there is no wire. The
 * packet checksum, which only the 82542's drivers use, is 0. On the worker.
 */
#include <endian.h>
#include <string.h>

#include "vmm/dev/e1000.h"
#include "vmm/virtio/iov.h"

/* Section 3.2.3.1 and 3.2.3.2 */
#define E1000_RX_DD BIT(0)
#define E1000_RX_EOP BIT(1)
#define E1000_RX_IXSM BIT(2)
#define E1000_RX_VP BIT(3)
#define E1000_RX_TCPCS BIT(5)
#define E1000_RX_IPCS BIT(6)
#define E1000_RX_TCPE BIT(13) /* errors, behind the status */
#define E1000_RX_IPE BIT(14)
#define E1000_RX_RXE BIT(15)

#define E1000_RXCSUM_IPOFL BIT(8)
#define E1000_RXCSUM_TUOFL BIT(9)

#define E1000_RAH_AV BIT(31)

/* A frame as it goes into the buffers */
struct e1000_in {
	struct iovec iov[3]; /* without a tag that is stripped; the FCS */
	size_t size;
	uint32_t status; /* and errors, of the last descriptor */
	uint16_t special;
};

/* --- which ones ---------------------------------------------------------------------------------------------------- */

static bool e1000_is_tagged(const struct e1000 *c, const uint8_t *frame)
{
	return (uint32_t)(frame[12] << 8 | frame[13]) == e1000_get(c, E1000_VET);
}

static bool e1000_in_table(const struct e1000 *c, unsigned int table, unsigned int bit)
{
	return e1000_get(c, table + bit / 32 * 4) & BIT(bit % 32);
}

static bool e1000_is_address(const struct e1000 *c, const uint8_t *mac)
{
	uint32_t low = mac[0] | (uint32_t)(mac[1] << 8 | mac[2] << 16) | (uint32_t)mac[3] << 24;
	uint32_t high = (uint32_t)(mac[4] | mac[5] << 8);

	for (unsigned int i = 0; i < 16; i++) {
		uint32_t rah = e1000_get(c, E1000_RA + 8 * i + 4);

		/* AS 0: it is the destination that is compared */
		if (rah & E1000_RAH_AV && !(rah & 0x30000) && (rah & 0xffff) == high &&
		    e1000_get(c, E1000_RA + 8 * i) == low)
			return true;
	}
	return false;
}

/* Section 13.5.1: twelve bits of the last two bytes; which of them RCTL says. */
static unsigned int e1000_hash(const uint8_t *mac, uint32_t rctl)
{
	static const unsigned int shifts[] = { 4, 3, 2, 0 };

	return ((unsigned int)(mac[5] << 8 | mac[4]) >> shifts[rctl >> 12 & 3]) & 0xfff;
}

static bool e1000_wants(const struct e1000 *c, const uint8_t *frame)
{
	static const uint8_t all[ETH_ALEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	uint32_t rctl = e1000_get(c, E1000_RCTL);

	if (rctl & E1000_RCTL_VFE && e1000_is_tagged(c, frame) &&
	    !e1000_in_table(c, E1000_VFTA, (unsigned int)(frame[14] << 8 | frame[15]) & 0xfff))
		return false;
	if (!memcmp(frame, all, ETH_ALEN) && rctl & E1000_RCTL_BAM)
		return true;
	if (frame[0] & 1 ? rctl & E1000_RCTL_MPE : rctl & E1000_RCTL_UPE)
		return true;
	return e1000_is_address(c, frame) ||
	       (frame[0] & 1 && e1000_in_table(c, E1000_MTA, e1000_hash(frame, rctl)));
}

static void e1000_count_frame(struct e1000 *c, const uint8_t *frame, size_t len)
{
	uint32_t size = (uint32_t)len + E1000_FCS;

	e1000_count(c, E1000_TPR, 1);
	e1000_count(c, E1000_GPRC, 1);
	e1000_count64(c, E1000_GORC, size);
	e1000_count64(c, E1000_TOR, size);
	if (frame[0] & 1)
		e1000_count(c, frame[0] == 0xff ? E1000_BPRC : E1000_MPRC, 1);
}

/* --- what is said of one ------------------------------------------------------------------------------------------- */

static uint32_t e1000_judge(const struct e1000 *c, const uint8_t *frame, size_t len, bool tagged)
{
	uint32_t wanted = e1000_get(c, E1000_RXCSUM), status = 0;
	size_t type = tagged ? 12 + E1000_VLAN : 12;
	struct offload_sums s;

	if (!(wanted & (E1000_RXCSUM_IPOFL | E1000_RXCSUM_TUOFL)) || frame[type] != 0x08 ||
	    frame[type + 1])
		return E1000_RX_IXSM;
	s = offload_look(frame, len, type + 2);
	if (wanted & E1000_RXCSUM_IPOFL && s.ip)
		status |= E1000_RX_IPCS | (s.ip == OFFLOAD_BAD ? E1000_RX_IPE : 0);
	if (wanted & E1000_RXCSUM_TUOFL && s.transport)
		status |= E1000_RX_TCPCS | (s.transport == OFFLOAD_BAD ? E1000_RX_TCPE : 0);
	return status ? status : E1000_RX_IXSM;
}

static void e1000_begin(const struct e1000 *c, const uint8_t *frame, size_t len,
			struct e1000_in *in)
{
	static const uint8_t fcs[E1000_FCS];
	bool tagged = e1000_is_tagged(c, frame),
	     strip = tagged && e1000_get(c, E1000_CTRL) & E1000_CTRL_VME;
	size_t skip = strip ? E1000_VLAN : 0;

	*in = (struct e1000_in){
		.iov = { { (void *)frame, 12 }, { (void *)(frame + 12 + skip), len - 12 - skip } },
		.size = len - skip,
		.status = E1000_RX_DD | E1000_RX_EOP | e1000_judge(c, frame, len, tagged),
	};
	if (!(e1000_get(c, E1000_RCTL) & E1000_RCTL_SECRC)) {
		in->iov[2] = (struct iovec){ (void *)fcs, sizeof(fcs) };
		in->size += sizeof(fcs);
	}
	if (!strip)
		return;
	in->status |= E1000_RX_VP;
	in->special = (uint16_t)(frame[14] << 8 | frame[15]);
}

/* --- into the ring ------------------------------------------------------------------------------------------------- */

/* Section 13.4.22 */
static size_t e1000_buffer_size(const struct e1000 *c)
{
	uint32_t rctl = e1000_get(c, E1000_RCTL);
	size_t size = 2048u >> (rctl >> 16 & 3);

	return rctl & E1000_RCTL_BSEX && size < 2048 ? size * 16 : size;
}

/* Descriptors that are the card's: from the head up to the tail, without that */
static uint32_t e1000_rx_free(struct e1000 *c)
{
	uint32_t tail = e1000_get(c, E1000_RDT);

	if (tail < c->rx.n)
		return (tail + c->rx.n - c->rx.head) % c->rx.n;
	nic_confused(&c->n, "a receive tail behind the end of its ring");
	return 0;
}

/* The next descriptor gets the frame's bytes from off on: how many. */
static size_t e1000_fill(struct e1000 *c, const struct e1000_in *in, size_t off, size_t buffer)
{
	const struct gmem *g = c->n.dev.board->gmem;
	uint8_t *desc = gmem_ptr(g, c->rx.base + c->rx.head * E1000_DESC, E1000_DESC), *to;
	size_t part = MIN(buffer, in->size - off);
	uint32_t status = off + part == in->size ? in->status : E1000_RX_DD;
	uint64_t addr, word;

	memcpy(&addr, desc, sizeof(addr));
	/* address 0 is a descriptor without a buffer */
	to = addr ? gmem_ptr(g, le64toh(addr), part) : NULL;
	if (to)
		iov_read(in->iov, ARRAY_SIZE(in->iov), off, to, part);
	else
		status |= E1000_RX_RXE;
	word = part | (uint64_t)status << 32 | (uint64_t)in->special << 48;
	/* aligned: by RDBAL. The driver looks at DD and then at the rest. */
	__atomic_store_n((uint64_t *)(void *)(desc + 8), htole64(word), __ATOMIC_RELEASE);
	c->rx.head = (c->rx.head + 1) % c->rx.n;
	return part;
}

static bool e1000_fits(struct e1000 *c, size_t len)
{
	size_t max = e1000_get(c, E1000_RCTL) & E1000_RCTL_LPE ? E1000_LONG_MAX : E1000_WIRE_MAX;

	if (len + E1000_FCS <= max)
		return true;
	e1000_count(c, E1000_ROC, 1);
	return false;
}

bool e1000_frame(struct nic *n, const uint8_t *frame, size_t len)
{
	struct e1000 *c = e1000_of(n);
	size_t buffer = e1000_buffer_size(c), needed;
	uint32_t left;
	struct e1000_in in;

	if (!e1000_wants(c, frame) || !e1000_fits(c, len))
		return true;
	e1000_begin(c, frame, len, &in);
	needed = (in.size + buffer - 1) / buffer;
	left = e1000_rx_free(c);
	if (needed >= c->rx.n) {
		/* it never will */
		e1000_count(c, E1000_MPC, 1);
		c->causes |= E1000_INT_RXO;
		return true;
	}
	if (needed > left)
		return false;
	for (size_t off = 0; off < in.size;)
		off += e1000_fill(c, &in, off, buffer);
	e1000_count_frame(c, frame, len);
	e1000_set(c, E1000_RDH, c->rx.head);
	c->causes |= E1000_INT_RXT0;
	if (left - needed <= c->rx.n >> ((e1000_get(c, E1000_RCTL) >> 8 & 3) + 1))
		c->causes |= E1000_INT_RXDMT0;
	return true;
}
