// SPDX-License-Identifier: MIT
/* See netdef.h. No state. */
#include "lib/netdef.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* "8080", and what is behind it */
static const char *netdef_port(const char *text, uint16_t *ret_port)
{
	size_t digits = strspn(text, "0123456789");
	unsigned int port = 0;

	if (!digits || digits > 5 || text[0] == '0')
		return NULL;
	for (size_t i = 0; i < digits; i++)
		port = port * 10 + (unsigned int)(text[i] - '0');
	if (port > UINT16_MAX)
		return NULL;
	*ret_port = (uint16_t)port;
	return text + digits;
}

/* "127.0.0.1:" or "[::1]:", and what is behind it */
static const char *netdef_address(const char *text, char out[static INET6_ADDRSTRLEN])
{
	bool six = text[0] == '[';
	size_t len = strcspn(text += six, six ? "]" : ":");
	uint8_t bytes[sizeof(struct in6_addr)];

	if (len >= INET6_ADDRSTRLEN)
		return NULL;
	memcpy(out, text, len);
	out[len] = '\0';
	text += len;
	if (inet_pton(six ? AF_INET6 : AF_INET, out, bytes) != 1 || (six && *text++ != ']'))
		return NULL;
	return *text == ':' ? text + 1 : NULL;
}

int netdef_forward_parse(const char *text, struct netdef_forward *ret_forward)
{
	struct netdef_forward f = { .udp = !strncmp(text, "udp:", 4) };
	const char *at = text + 4, *behind;

	if (!f.udp && strncmp(text, "tcp:", 4) != 0)
		return -EINVAL;
	/* a port and the guest's, or an address before them: 1.2.3.4 is no port by its dots */
	behind = netdef_port(at, &f.port);
	if (!behind || *behind != ':') {
		at = netdef_address(at, f.address);
		behind = at ? netdef_port(at, &f.port) : NULL;
	}
	if (!behind || *behind != ':')
		return -EINVAL;
	behind = netdef_port(behind + 1, &f.guest_port);
	if (!behind || *behind)
		return -EINVAL;
	*ret_forward = f;
	return 0;
}

static int netdef_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c | 0x20) : NULL;

	return at && *at ? (int)(at - digits) : -1;
}

int netdef_mac_parse(const char *text, uint8_t ret_mac[static NETDEF_MAC_SIZE])
{
	uint8_t mac[NETDEF_MAC_SIZE];

	if (strlen(text) != NETDEF_MAC_TEXT - 1)
		return -EINVAL;
	for (unsigned int i = 0; i < NETDEF_MAC_SIZE; i++, text += 3) {
		int high = netdef_digit(text[0]), low = netdef_digit(text[1]);

		if (high < 0 || low < 0 || (text[2] && text[2] != ':'))
			return -EINVAL;
		mac[i] = (uint8_t)(high << 4 | low);
	}
	memcpy(ret_mac, mac, sizeof(mac));
	return 0;
}

const char *netdef_mac_format(const uint8_t mac[static NETDEF_MAC_SIZE],
			      char out[static NETDEF_MAC_TEXT])
{
	snprintf(out, NETDEF_MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		 mac[3], mac[4], mac[5]);
	return out;
}

/* FNV-1a of 64 bits, with the end of the string */
static uint64_t netdef_hash(uint64_t hash, const char *text)
{
	do {
		hash = (hash ^ (uint8_t)*text) * 0x100000001b3ull;
	} while (*text++);
	return hash;
}

const char *netdef_mac_make(const char *vm, const char *device, char out[static NETDEF_MAC_TEXT])
{
	uint64_t hash = netdef_hash(netdef_hash(0xcbf29ce484222325ull, vm), device);
	uint8_t mac[NETDEF_MAC_SIZE] = { 0x52, 0x54 };

	/* names that differ in their last letter differ in every byte */
	hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdull;
	hash ^= hash >> 33;
	for (unsigned int i = 2; i < NETDEF_MAC_SIZE; i++)
		mac[i] = (uint8_t)(hash >> (8 * (i - 2)));
	return netdef_mac_format(mac, out);
}

bool netdef_is_card(const char *type)
{
	static const char *const cards[] = { "virtio-net", "e1000", "rtl8139" };
	size_t i = 0;

	while (i < ARRAY_SIZE(cards) && strcmp(cards[i], type) != 0)
		i++;
	return i < ARRAY_SIZE(cards);
}
