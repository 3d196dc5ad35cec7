/* SPDX-License-Identifier: MIT */
/* The words of a VM file about networks, read: MAC addresses, and ports that lead to a guest. Any thread. */
#ifndef LIB_NETDEF_H
#define LIB_NETDEF_H

#include <netinet/in.h>
#include "lib/util.h"

#define NETDEF_IFNAME_MAX 15 /* IFNAMSIZ without its end */
#define NETDEF_MAC_SIZE 6
#define NETDEF_MAC_TEXT 18 /* "52:54:00:12:34:56" */

/* "tcp:8080:80", "udp:127.0.0.1:5353:53", "tcp:[::1]:8080:80" */
struct netdef_forward {
	bool udp;
	char address[INET6_ADDRSTRLEN]; /* of the host, "": all of them */
	uint16_t port, guest_port;
};

/* -EINVAL; ret_forward is untouched then. */
int netdef_forward_parse(const char *text, struct netdef_forward *ret_forward);

/* Six bytes of two hexadecimal digits. -EINVAL; ret_mac is untouched then. */
int netdef_mac_parse(const char *text, uint8_t ret_mac[static NETDEF_MAC_SIZE]);
/* In lower case; returns out. */
const char *netdef_mac_format(const uint8_t mac[static NETDEF_MAC_SIZE],
			      char out[static NETDEF_MAC_TEXT]);
/*
 * The address of a device of a VM that was given none: the same for the same names. It begins with 52:54, which
 * is locally administered and of one device (IEEE 802-2014, 8.2.2).
 */
const char *netdef_mac_make(const char *vm, const char *device, char out[static NETDEF_MAC_TEXT]);

/* The device types that are network cards, with a `network` and a `mac`. */
bool netdef_is_card(const char *type);

#endif
