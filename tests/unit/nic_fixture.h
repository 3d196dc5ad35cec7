/* SPDX-License-Identifier: MIT */
/* An emulated network card in a net_fixture, with a fake tap or a stream behind it: for test_e1000*.c and test_rtl8139.c. */
#ifndef TESTS_UNIT_NIC_FIXTURE_H
#define TESTS_UNIT_NIC_FIXTURE_H

#include "tests/unit/net_fixture.h"

#define NIC_BUF(i) (0x100000 + 0x10000ull * (i)) /* guest addresses */
#define NIC_OWN 1
#define NIC_OTHER 2

/* A card of the type, with more members (",\"spoofing\":true") or "", on a tap or a stream: bus master, registers in BARs. */
void nic_fixture_plug(struct net_fixture *f, const char *type, const char *members, bool stream,
		      unsigned int mem_bar, unsigned int port_bar);
/* What the worker and the control loop have to do now. */
void nic_fixture_run(struct net_fixture *f);

/* A frame of size bytes to `to` from `from` (the last byte of 52:54:00:00:00:xx), with a pattern behind that. */
void nic_fixture_frame(uint8_t *out, uint8_t to, uint8_t from, size_t size);
/* TCP over IPv4 or IPv6 with len bytes behind its header: bytes of the frame. Sums are 0, as is the length of IPv4. */
size_t nic_fixture_tcp(uint8_t *out, bool v6, size_t len);
/* The sums of such a frame, of IPv4 too, are right: by another way than the monitor's. */
bool nic_fixture_sums_right(const uint8_t *frame, size_t size);
/* The sum of bytes, from another on, folded. */
uint32_t nic_fixture_add(uint32_t sum, const uint8_t *p, size_t len);
/* One frame comes to the tap. */
void nic_fixture_arrive(struct net_fixture *f, const uint8_t *frame, size_t size);
/* The next one that the tap, or the stream's peer, had: its bytes, 0: none; hdr: of a tap. */
size_t nic_fixture_sent(struct net_fixture *f, uint8_t *out, struct virtio_net_hdr_v1 *hdr);
/* Would the worker run again at once? */
bool nic_fixture_busy(struct net_fixture *f);
bool nic_fixture_irq(struct net_fixture *f);

#endif
