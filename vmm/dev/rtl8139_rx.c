// SPDX-License-Identifier: MIT
/*
 * To the guest: which frames are wanted (section 6.9, RCR), and their way into the ring of bytes (section 5 of the RTL8139's
 * programming guide: a header of four bytes, the frame, its FCS, to the next multiple of four) or into a descriptor's buffer
 * (section 9.2). No ring tells the card of new room in C+ mode: a frame that waits is tried again when the driver acknowledges or
 * enables an interrupt, of which each try makes one. The FCS is made of zeroes. On the worker.
 */
#include <endian.h>
#include <string.h>

#include "vmm/dev/rtl8139.h"
#include "vmm/virtio/iov.h"

/* The header of a frame in the ring of bytes */
#define RTL_RX_OK BIT(0)
#define RTL_RX_BROADCAST BIT(13)
#define RTL_RX_PHYSICAL BIT(14)
#define RTL_RX_MULTICAST BIT(15)
#define RTL_RX_HEADER 4
#define RTL_RX_BEFORE 16 /* CAPR is so far behind what the driver has read */

/* A receive descriptor: section 9.2.2 */
#define RTL_RXD_SIZE 0x1fffu
#define RTL_RXD_MULTICAST BIT(26)
#define RTL_RXD_PHYSICAL BIT(25)
#define RTL_RXD_BROADCAST BIT(24)
#define RTL_RXD_TCP (1u << 16)
#define RTL_RXD_UDP (2u << 16)
#define RTL_RXD_IP (3u << 16)
#define RTL_RXD_IPF BIT(15)
#define RTL_RXD_UDPF BIT(14)
#define RTL_RXD_TCPF BIT(13)
#define RTL_RXD_TAGGED BIT(16) /* of the second word */

enum rtl8139_kind { RTL_NOBODYS, RTL_PHYSICAL, RTL_MULTICAST, RTL_BROADCAST };

/* --- which ones ---------------------------------------------------------------------------------------------------- */

/* IEEE 802.3, section 3.2.9, without the last complement: the six highest bits choose one of MAR's (section 6.2) */
static unsigned int rtl8139_hash(const uint8_t *mac)
{
	uint32_t crc = UINT32_MAX;

	for (unsigned int i = 0; i < 8 * ETH_ALEN; i++) {
		bool bit = mac[i / 8] >> i % 8 & 1;

		crc = crc << 1 ^ (bit != (crc >> 31) ? 0x04c11db7 : 0);
	}
	return crc >> 26;
}

static bool rtl8139_is_own(const struct rtl8139 *c, const uint8_t *mac)
{
	uint32_t low = rtl8139_get(c, RTL_IDR0), high = rtl8139_get(c, RTL_IDR4);

	for (unsigned int i = 0; i < ETH_ALEN; i++)
		if (mac[i] != (uint8_t)((i < 4 ? low : high) >> 8 * (i % 4)))
			return false;
	return true;
}

static enum rtl8139_kind rtl8139_kind(const struct rtl8139 *c, const uint8_t *frame)
{
	static const uint8_t all[ETH_ALEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	uint32_t rcr = rtl8139_get(c, RTL_RCR);
	unsigned int hash;

	if (!memcmp(frame, all, ETH_ALEN))
		return rcr & (RTL_RCR_AB | RTL_RCR_AAP) ? RTL_BROADCAST : RTL_NOBODYS;
	if (frame[0] & 1) {
		hash = rtl8139_hash(frame);
		if (rcr & RTL_RCR_AM &&
		    rtl8139_get(c, hash < 32 ? RTL_MAR0 : RTL_MAR4) & BIT(hash % 32))
			return RTL_MULTICAST;
		return rcr & RTL_RCR_AAP ? RTL_MULTICAST : RTL_NOBODYS;
	}
	if (rcr & RTL_RCR_APM && rtl8139_is_own(c, frame))
		return RTL_PHYSICAL;
	return rcr & RTL_RCR_AAP ? RTL_PHYSICAL : RTL_NOBODYS;
}

static void rtl8139_count(struct rtl8139 *c, enum rtl8139_kind kind)
{
	atomic_fetch_add(&c->tally.rx, 1);
	if (kind == RTL_BROADCAST)
		atomic_fetch_add(&c->tally.rx_broadcast, 1);
	if (kind == RTL_MULTICAST)
		atomic_fetch_add(&c->tally.rx_multicast, 1);
	c->causes |= RTL_INT_ROK;
}

static void rtl8139_miss(struct rtl8139 *c)
{
	atomic_fetch_add(&c->tally.missed, 1);
	rtl8139_put(c, RTL_MPC, (rtl8139_get(c, RTL_MPC) + 1) & 0xffffff);
	c->causes |= RTL_INT_RER;
}

/* --- the ring of bytes --------------------------------------------------------------------------------------------- */

/* Bytes into the ring at off, over its end where the driver has no room behind that (RCR, WRAP). */
static bool rtl8139_store(struct rtl8139 *c, uint32_t off, const void *data, size_t len)
{
	const struct gmem *g = c->n.dev.board->gmem;
	uint32_t size = rtl8139_ring_size(c), start = rtl8139_get(c, RTL_RBSTART);
	bool behind = rtl8139_get(c, RTL_RCR) & RTL_RCR_WRAP && size < 65536;
	size_t part = behind ? len : MIN(len, size - off);

	return gmem_write(g, (uint64_t)start + off, data, part) >= 0 &&
	       gmem_write(g, start, (const uint8_t *)data + part, len - part) >= 0;
}

static bool rtl8139_into_ring(struct rtl8139 *c, const uint8_t *frame, size_t len,
			      enum rtl8139_kind kind)
{
	static const uint32_t kinds[] = { 0, RTL_RX_PHYSICAL, RTL_RX_MULTICAST, RTL_RX_BROADCAST };
	uint32_t size = rtl8139_ring_size(c), at = rtl8139_get(c, RTL_CBR) % size;
	uint32_t read = (rtl8139_get(c, RTL_CAPR) + RTL_RX_BEFORE) % size;
	uint32_t room = read == at ? size : (read + size - at) % size;
	uint32_t header = htole32(RTL_RX_OK | kinds[kind] | (uint32_t)(len + RTL_FCS) << 16);
	size_t whole = align_up(RTL_RX_HEADER + len + RTL_FCS, 4);
	uint8_t *out = c->n.segment;

	/* a full ring would look like an empty one */
	if (whole >= room) {
		c->causes |= RTL_INT_RDU;
		return false;
	}
	memcpy(out, &header, sizeof(header));
	memcpy(out + RTL_RX_HEADER, frame, len);
	memset(out + RTL_RX_HEADER + len, 0, whole - RTL_RX_HEADER - len);
	if (!rtl8139_store(c, at, out, whole)) {
		nic_confused(&c->n, "a receive ring that is not in memory");
		rtl8139_miss(c);
		return true;
	}
	rtl8139_put(c, RTL_CBR, (uint32_t)(at + whole) % size);
	rtl8139_count(c, kind);
	return true;
}

/* --- descriptors: C+ mode ------------------------------------------------------------------------------------------ */

static uint32_t rtl8139_judge(const struct rtl8139 *c, const uint8_t *frame, size_t len)
{
	struct offload_sums s;
	uint32_t status;

	if (!(rtl8139_get(c, RTL_CPCR) & RTL_CPCR_SUMS) || frame[12] != 0x08 || frame[13])
		return 0;
	s = offload_look(frame, len, ETH_HLEN);
	if (!s.ip)
		return 0;
	status = s.ip == OFFLOAD_BAD ? RTL_RXD_IPF : 0;
	if (!s.transport)
		return status | RTL_RXD_IP;
	if (s.udp)
		return status | RTL_RXD_UDP | (s.transport == OFFLOAD_BAD ? RTL_RXD_UDPF : 0);
	return status | RTL_RXD_TCP | (s.transport == OFFLOAD_BAD ? RTL_RXD_TCPF : 0);
}

struct rtl8139_desc {
	uint8_t *at;
	uint32_t word0;
	uint64_t addr;
};

/* The next one of the ring: false: it is the driver's, or nowhere. */
static bool rtl8139_rx_desc(struct rtl8139 *c, struct rtl8139_desc *d)
{
	uint64_t base = rtl8139_get(c, RTL_RDSAR0) | (uint64_t)rtl8139_get(c, RTL_RDSAR4) << 32;
	uint32_t words[4];

	d->at = gmem_ptr(c->n.dev.board->gmem, base + RTL_DESC * c->rx_next, RTL_DESC);
	if (!d->at) {
		nic_confused(&c->n, "a receive descriptor that is not in memory");
		return false;
	}
	d->word0 = le32toh(__atomic_load_n((uint32_t *)(void *)d->at, __ATOMIC_ACQUIRE));
	memcpy(words, d->at, sizeof(words));
	d->addr = le32toh(words[2]) | (uint64_t)le32toh(words[3]) << 32;
	return d->word0 & RTL_OWN;
}

/* Its part of the ring's order: section 9.1 */
static unsigned int rtl8139_after(unsigned int i, uint32_t word0)
{
	return word0 & RTL_EOR || i + 1 == RTL_DESCS ? 0 : i + 1;
}

static bool rtl8139_into_desc(struct rtl8139 *c, const uint8_t *frame, size_t len,
			      enum rtl8139_kind kind)
{
	static const uint32_t kinds[] = { 0, RTL_RXD_PHYSICAL, RTL_RXD_MULTICAST,
					  RTL_RXD_BROADCAST };
	static const uint8_t fcs[RTL_FCS];
	bool strip = rtl8139_get(c, RTL_CPCR) & RTL_CPCR_TAGS && frame[12] == 0x81 && !frame[13];
	size_t skip = strip ? 4 : 0, size = len - skip + RTL_FCS;
	const struct iovec iov[] = { { (void *)frame, 12 },
				     { (void *)(frame + 12 + skip), len - 12 - skip },
				     { (void *)fcs, sizeof(fcs) } };
	/* the tag as it is on the wire */
	uint32_t word0, tag = strip ? RTL_RXD_TAGGED | (uint32_t)frame[15] << 8 | frame[14] : 0;
	struct rtl8139_desc d;
	uint8_t *to;

	if (!rtl8139_rx_desc(c, &d)) {
		c->causes |= RTL_INT_RDU;
		return false;
	}
	to = size <= (d.word0 & RTL_RXD_SIZE) ? gmem_ptr(c->n.dev.board->gmem, d.addr, size) : NULL;
	if (!to) {
		/* longer than its buffer, or one that is not there: the buffer is for the next */
		rtl8139_miss(c);
		return true;
	}
	iov_read(iov, ARRAY_SIZE(iov), 0, to, size);
	tag = htole32(tag);
	memcpy(d.at + 4, &tag, sizeof(tag));
	word0 = (d.word0 & RTL_EOR) | RTL_FS | RTL_LS | kinds[kind] | rtl8139_judge(c, frame, len) |
		(uint32_t)size;
	__atomic_store_n((uint32_t *)(void *)d.at, htole32(word0), __ATOMIC_RELEASE);
	c->rx_next = rtl8139_after(c->rx_next, d.word0);
	rtl8139_count(c, kind);
	return true;
}

bool rtl8139_frame(struct nic *n, const uint8_t *frame, size_t len)
{
	struct rtl8139 *c = rtl8139_of(n);
	enum rtl8139_kind kind = rtl8139_kind(c, frame);

	if (!kind)
		return true;
	if (len + RTL_FCS > RTL_RXD_SIZE - RTL_RX_HEADER) {
		rtl8139_miss(c);
		return true;
	}
	if (rtl8139_get(c, RTL_CPCR) & RTL_CPCR_RX)
		return rtl8139_into_desc(c, frame, len, kind);
	return rtl8139_into_ring(c, frame, len, kind);
}
