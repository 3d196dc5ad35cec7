/* SPDX-License-Identifier: MIT */
/*
 * Frames of a guest, 10.0.0.2, that asks a host, 10.0.0.1: ARP (RFC 826) and ICMP echo (RFC 792). What is behind a card's rings is
 * its program's.
 */
#ifndef TESTS_GUEST_LIB_ETHER_H
#define TESTS_GUEST_LIB_ETHER_H

#include "guest.h"

#define ETHER_ARP_SIZE 60

/* Who has 10.0.0.1? ETHER_ARP_SIZE bytes. */
void ether_arp(uint8_t *frame, const uint8_t *from);
/* The answer to mac: whose it is, into host_mac. False: it is another frame. */
bool ether_arp_answer(const uint8_t *got, const uint8_t *mac, uint8_t *host_mac);

/* An echo with data bytes, without its sums: the frame's bytes. */
uint32_t ether_ping(uint8_t *frame, const uint8_t *to, const uint8_t *from, uint8_t id,
		    uint16_t data);
/* The same with the sums of IP and ICMP */
uint32_t ether_ping_summed(uint8_t *frame, const uint8_t *to, const uint8_t *from, uint8_t id,
			   uint16_t data);
/* The answer, with the same data. False: it is another frame. */
bool ether_ping_answer(const uint8_t *got, const uint8_t *frame, uint16_t data);

#endif
