// SPDX-License-Identifier: MIT
/* See offload.h. No state. */
#include "vmm/net/offload.h"

#include <endian.h>
#include <netinet/in.h>
#include <string.h>

#define OFFLOAD_IP4 20 /* bytes of a header without options */
#define OFFLOAD_IP6 40
#define OFFLOAD_TCP 20
#define OFFLOAD_TCP_SUM 16 /* where TCP has its sum */
#define OFFLOAD_UDP_SUM 6

#define OFFLOAD_TCP_LAST 0x09  /* FIN and PSH are the last segment's */
#define OFFLOAD_TCP_FIRST 0x80 /* CWR is the first one's: RFC 3168, section 6.1.2 */

static uint16_t offload_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void offload_set16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint16_t offload_fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Summed as the host has its words, 32 bits at a time, and turned at the end: RFC 1071, section 2 (B). */
uint16_t offload_sum(const void *data, size_t len, uint32_t start)
{
	const uint8_t *p = data;
	uint64_t sum = 0;
	uint32_t word;
	uint16_t half = 0;

	for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		sum += word;
	}
	if (len & 2) {
		memcpy(&half, p, sizeof(half));
		sum += half;
		p += sizeof(half);
	}
	if (len & 1) {
		half = 0;
		memcpy(&half, p, 1);
		sum += half;
	}
	return offload_fold((uint64_t)be16toh(offload_fold(sum)) + start);
}

void offload_put_sum(uint8_t *frame, size_t len, size_t start, size_t end, size_t at)
{
	uint16_t sum;

	if (end > len || start >= end || !range_fits(at, 2, len))
		return;
	sum = (uint16_t)~offload_sum(frame + start, end - start, 0);
	/* 0 is UDP's word for none (RFC 768), and both are the same number */
	offload_set16(frame + at, sum ? sum : UINT16_MAX);
}

/* The pseudo header of IPv4 or IPv6: RFC 9293, section 3.1. The header is in the frame. */
static uint16_t offload_pseudo(const uint8_t *ip, unsigned int protocol, size_t len)
{
	uint32_t start = protocol + (uint32_t)(len & 0xffff) + (uint32_t)(len >> 16);

	return ip[0] >> 4 == 4 ? offload_sum(ip + 12, 8, start) : offload_sum(ip + 8, 32, start);
}

/* --- to a guest ---------------------------------------------------------------------------------------------------- */

static enum offload_sum offload_judge(uint16_t sum)
{
	return sum == 0xffff ? OFFLOAD_GOOD : OFFLOAD_BAD;
}

/* len: of the transport's header and what is behind it */
static void offload_look_transport(const uint8_t *ip, const uint8_t *p, size_t len,
				   unsigned int protocol, struct offload_sums *ret)
{
	if (protocol == IPPROTO_UDP) {
		if (len < 8 || offload_get16(p + 4) < 8 || offload_get16(p + 4) > len ||
		    !offload_get16(p + OFFLOAD_UDP_SUM))
			return;
		len = offload_get16(p + 4);
		ret->udp = true;
	} else if (protocol != IPPROTO_TCP || len < OFFLOAD_TCP) {
		return;
	}
	ret->transport = offload_judge(offload_sum(p, len, offload_pseudo(ip, protocol, len)));
}

struct offload_sums offload_look(const uint8_t *frame, size_t len, size_t at)
{
	struct offload_sums s = { OFFLOAD_NO_SUM, OFFLOAD_NO_SUM, false };
	const uint8_t *ip = frame + at;
	size_t head, total;

	if (!range_fits(at, OFFLOAD_IP4, len) || ip[0] >> 4 != 4)
		return s;
	head = 4 * (ip[0] & 15u);
	total = offload_get16(ip + 2);
	if (head < OFFLOAD_IP4 || total < head || total > len - at)
		return s;
	s.ip = offload_judge(offload_sum(ip, head, 0));
	/* a fragment has no sum of its own */
	if (s.ip == OFFLOAD_GOOD && !(offload_get16(ip + 6) & 0x3fff))
		offload_look_transport(ip, ip + head, total - head, ip[9], &s);
	return s;
}

/* --- from a guest -------------------------------------------------------------------------------------------------- */

static bool offload_tso_fits(const uint8_t *frame, size_t len, const struct offload *o)
{
	size_t head = o->ip < len && frame[o->ip] >> 4 == 6 ? OFFLOAD_IP6 : OFFLOAD_IP4;

	if (!o->csum || o->mss < OFFLOAD_MSS_MIN || o->header >= len || o->ip + head > o->start ||
	    o->start + OFFLOAD_TCP > o->header || o->at != o->start + OFFLOAD_TCP_SUM ||
	    len - o->ip > UINT16_MAX)
		return false;
	/* what is told twice has to be the same */
	return (frame[o->ip] >> 4 == 4 || head == OFFLOAD_IP6) &&
	       (size_t)o->start + 4 * (frame[o->start + 12] >> 4) == o->header;
}

/* Lengths and sums of the headers of one frame of len bytes; TCP gets the pseudo header's. */
static void offload_fix_headers(uint8_t *frame, size_t len, const struct offload *o)
{
	uint8_t *ip = frame + o->ip;

	if (ip[0] >> 4 == 4) {
		offload_set16(ip + 2, len - o->ip);
		offload_set16(ip + 10, 0);
		offload_put_sum(frame, len, o->ip, o->start, o->ip + 10u);
	} else {
		offload_set16(ip + 4, len - o->ip - OFFLOAD_IP6);
	}
	offload_set16(frame + o->at, offload_pseudo(ip, IPPROTO_TCP, len - o->start));
}

bool offload_prepare(uint8_t *frame, size_t len, const struct offload *o)
{
	if (o->mss) {
		if (!offload_tso_fits(frame, len, o))
			return false;
		offload_fix_headers(frame, len, o);
		return true;
	}
	return !o->csum || (o->at >= o->start && range_fits(o->at, 2, len));
}

void offload_header(const uint8_t *frame, size_t len, const struct offload *o,
		    struct virtio_net_hdr_v1 *ret)
{
	*ret = (struct virtio_net_hdr_v1){ 0 };
	if (!o->csum)
		return;
	ret->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	ret->csum_start = htole16(o->start);
	ret->csum_offset = htole16((uint16_t)(o->at - o->start));
	if (!o->mss || len - o->header <= o->mss)
		return;
	ret->gso_type =
		frame[o->ip] >> 4 == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
	ret->gso_size = htole16(o->mss);
	ret->hdr_len = htole16(o->header);
}

static void offload_fix_segment(uint8_t *out, size_t size, const struct offload *o,
				unsigned int index, bool last)
{
	uint8_t *tcp = out + o->start, *ip = out + o->ip;
	uint32_t seq;

	if (ip[0] >> 4 == 4)
		offload_set16(ip + 4, offload_get16(ip + 4) + index);
	memcpy(&seq, tcp + 4, sizeof(seq));
	seq = htobe32(be32toh(seq) + index * o->mss);
	memcpy(tcp + 4, &seq, sizeof(seq));
	if (!last)
		tcp[13] &= (uint8_t)~OFFLOAD_TCP_LAST;
	if (index)
		tcp[13] &= (uint8_t)~OFFLOAD_TCP_FIRST;
	offload_fix_headers(out, size, o);
}

size_t offload_segment(const uint8_t *frame, size_t len, const struct offload *o,
		       unsigned int index, uint8_t *out)
{
	size_t from = (size_t)index * o->mss, part = len;

	if (!o->mss ? index : from >= len - o->header)
		return 0;
	if (o->mss) {
		part = MIN((size_t)o->mss, len - o->header - from);
		memcpy(out, frame, o->header);
		memcpy(out + o->header, frame + o->header + from, part);
		part += o->header;
		offload_fix_segment(out, part, o, index, from + o->mss >= len - o->header);
	} else {
		memcpy(out, frame, len);
	}
	if (o->csum)
		offload_put_sum(out, part, o->start, part, o->at);
	return part;
}
