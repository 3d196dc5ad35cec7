// SPDX-License-Identifier: MIT
/* See sha1.h; the names are those of RFC 3174, section 6.1. No state. */
#include "lib/sha1.h"

#include <string.h>

#define SHA1_BLOCK 64
#define SHA1_WORDS 80

static uint32_t sha1_roll(uint32_t x, unsigned int n)
{
	return x << n | x >> (32 - n);
}

static uint32_t sha1_f(unsigned int t, uint32_t b, uint32_t c, uint32_t d)
{
	static const uint32_t k[] = { 0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6 };

	switch (t / 20) {
	case 0:
		return k[0] + ((b & c) | (~b & d));
	case 2:
		return k[2] + ((b & c) | (b & d) | (c & d));
	default:
		return k[t / 20] + (b ^ c ^ d);
	}
}

static void sha1_block(uint32_t h[5], const uint8_t *block)
{
	uint32_t w[SHA1_WORDS], v[5];

	for (unsigned int t = 0; t < 16; t++, block += 4)
		w[t] = (uint32_t)block[0] << 24 | (uint32_t)block[1] << 16 |
		       (uint32_t)block[2] << 8 | block[3];
	for (unsigned int t = 16; t < SHA1_WORDS; t++)
		w[t] = sha1_roll(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
	memcpy(v, h, sizeof(v));
	for (unsigned int t = 0; t < SHA1_WORDS; t++) {
		uint32_t next = sha1_roll(v[0], 5) + sha1_f(t, v[1], v[2], v[3]) + v[4] + w[t];

		v[4] = v[3];
		v[3] = v[2];
		v[2] = sha1_roll(v[1], 30);
		v[1] = v[0];
		v[0] = next;
	}
	for (unsigned int i = 0; i < 5; i++)
		h[i] += v[i];
}

static void sha1_big_endian(uint64_t value, uint8_t *to, unsigned int bytes)
{
	for (unsigned int i = 0; i < bytes; i++)
		to[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

void sha1(const void *data, size_t len, uint8_t digest[SHA1_SIZE])
{
	uint32_t h[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };
	uint8_t last[2 * SHA1_BLOCK] = { 0 };
	size_t rest = len % SHA1_BLOCK, end = rest < SHA1_BLOCK - 8 ? SHA1_BLOCK : 2 * SHA1_BLOCK;
	const uint8_t *p = data;

	for (size_t left = len; left >= SHA1_BLOCK; left -= SHA1_BLOCK, p += SHA1_BLOCK)
		sha1_block(h, p);
	if (rest)
		memcpy(last, p, rest);
	last[rest] = 0x80;
	sha1_big_endian((uint64_t)len * 8, last + end - 8, 8);
	for (size_t at = 0; at < end; at += SHA1_BLOCK)
		sha1_block(h, last + at);
	for (unsigned int i = 0; i < 5; i++)
		sha1_big_endian(h[i], digest + (size_t)4 * i, 4);
}
