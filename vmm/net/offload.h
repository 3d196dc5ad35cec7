/* SPDX-License-Identifier: MIT */
/*
 * What a card leaves to be done to a frame: the sum of its transport header (RFC 1071), and cutting it into segments of TCP
 * (RFC 9293). A tap does both by its virtio header; for a stream it is done here. The frame is the guest's: all that
 * is taken from it is checked against its length. Any thread.
 */
#ifndef VMM_NET_OFFLOAD_H
#define VMM_NET_OFFLOAD_H

#include <linux/virtio_net.h>
#include "lib/util.h"

#define OFFLOAD_MSS_MIN 48 /* less is no TCP's: a frame would become thousands */

struct offload {
	bool csum;
	uint16_t start, at; /* csum: the sum of all from start on is to be in the 16 bits at at */
	uint16_t mss;	    /* not 0: TCP, to be cut; csum, start: its header */
	uint16_t ip;	    /* with mss: where the header of IPv4 or IPv6 is */
	uint16_t header;    /* with mss: bytes of all headers */
};

/* Parts of a frame that are checked on its way to a guest. */
enum offload_sum { OFFLOAD_NO_SUM, OFFLOAD_GOOD, OFFLOAD_BAD };
struct offload_sums {
	enum offload_sum ip, transport;
	bool udp; /* else TCP */
};

/* The sum of bytes, folded, not complemented; big-endian as a number. start: another's, of an even number of bytes. */
uint16_t offload_sum(const void *data, size_t len, uint32_t start);
/* Put the sum of [start, end) into the 16 bits at at. Nothing where that is not in the frame. */
void offload_put_sum(uint8_t *frame, size_t len, size_t start, size_t end, size_t at);
/* What the network header at ip says of itself and of what it carries. */
struct offload_sums offload_look(const uint8_t *frame, size_t len, size_t ip);

/*
 * Before the two below: false: o does not fit the frame, which is to be dropped. With mss the lengths and sums of IP, and
 * the pseudo header's of TCP, are made what they are for the whole.
 */
bool offload_prepare(uint8_t *frame, size_t len, const struct offload *o);
/* For a tap */
void offload_header(const uint8_t *frame, size_t len, const struct offload *o,
		    struct virtio_net_hdr_v1 *ret);
/*
 * For others: segment number index (of one, without mss), with its sums, into out, which has room for the frame. Its bytes;
 * 0: there are no more.
 */
size_t offload_segment(const uint8_t *frame, size_t len, const struct offload *o,
		       unsigned int index, uint8_t *out);

#endif
