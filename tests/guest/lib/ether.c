// SPDX-License-Identifier: MIT
/* See ether.h. */
#include "ether.h"

static const uint8_t ether_host[] = { 10, 0, 0, 1 }, ether_own[] = { 10, 0, 0, 2 };

static void ether_begin(uint8_t *frame, uint32_t size, const uint8_t *to, const uint8_t *from,
			uint16_t type)
{
	memset(frame, 0, size);
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	frame[12] = (uint8_t)(type >> 8);
	frame[13] = (uint8_t)type;
}

static bool ether_is(const uint8_t *frame, uint16_t type)
{
	return frame[12] == type >> 8 && frame[13] == (uint8_t)type;
}

void ether_arp(uint8_t *frame, const uint8_t *from)
{
	static const uint8_t all[] = { 255, 255, 255, 255, 255, 255 };
	static const uint8_t request[] = { 0, 1, 8, 0, 6, 4, 0, 1 };

	ether_begin(frame, ETHER_ARP_SIZE, all, from, 0x0806);
	memcpy(frame + 14, request, sizeof(request));
	memcpy(frame + 22, from, 6);
	memcpy(frame + 28, ether_own, 4);
	memcpy(frame + 38, ether_host, 4);
}

bool ether_arp_answer(const uint8_t *got, const uint8_t *mac, uint8_t *host_mac)
{
	if (!ether_is(got, 0x0806) || got[21] != 2)
		return false;
	CHECK_EQ(memcmp(got, mac, 6), 0);
	CHECK_EQ(memcmp(got + 28, ether_host, 4), 0);
	memcpy(host_mac, got + 22, 6);
	return true;
}

uint32_t ether_ping(uint8_t *frame, const uint8_t *to, const uint8_t *from, uint8_t id,
		    uint16_t data)
{
	uint16_t total = (uint16_t)(28 + data);

	ether_begin(frame, 14u + total, to, from, 0x0800);
	frame[14] = 0x45;
	frame[16] = (uint8_t)(total >> 8);
	frame[17] = (uint8_t)total;
	frame[22] = 64;
	frame[23] = 1;
	memcpy(frame + 26, ether_own, 4);
	memcpy(frame + 30, ether_host, 4);
	frame[34] = 8;
	frame[39] = id;
	for (uint16_t i = 0; i < data; i++)
		frame[42 + i] = (uint8_t)(i * 3 + id);
	return 14u + total;
}

/* RFC 1071 */
static void ether_sum(uint8_t *to, const uint8_t *p, uint32_t len)
{
	uint32_t s = 0;

	for (uint32_t i = 0; i < len; i++)
		s += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	to[0] = (uint8_t)(~s >> 8);
	to[1] = (uint8_t)~s;
}

uint32_t ether_ping_summed(uint8_t *frame, const uint8_t *to, const uint8_t *from, uint8_t id,
			   uint16_t data)
{
	uint32_t size = ether_ping(frame, to, from, id, data);

	ether_sum(frame + 24, frame + 14, 20);
	ether_sum(frame + 36, frame + 34, 8u + data);
	return size;
}

bool ether_ping_answer(const uint8_t *got, const uint8_t *frame, uint16_t data)
{
	if (!ether_is(got, 0x0800) || got[23] != 1)
		return false;
	CHECK_EQ(got[34], 0);
	CHECK_EQ(got[39], frame[39]);
	CHECK_EQ(memcmp(got + 42, frame + 42, data), 0);
	return true;
}
