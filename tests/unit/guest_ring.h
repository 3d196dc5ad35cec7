/* SPDX-License-Identifier: MIT */
/* The driver's side of a split virtqueue, for unit tests: honest by default, and able to write anything. */
#ifndef TESTS_UNIT_GUEST_RING_H
#define TESTS_UNIT_GUEST_RING_H

#include <linux/virtio_ring.h>
#include "lib/util.h"

struct guest_ring {
	uint8_t *mem; /* guest memory, from address 0 */
	uint16_t size;
	uint64_t desc, avail, used; /* guest addresses */
	uint16_t avail_idx, used_idx;
};

/* Lays the three areas out from base, a multiple of 16; the first address behind them. */
uint64_t guest_ring_init(struct guest_ring *g, uint8_t *mem, uint16_t size, uint64_t base);
struct vring_desc *guest_ring_desc(const struct guest_ring *g, unsigned int i);
/* A descriptor in the ring's table, or in a table at another address. */
void guest_ring_set(const struct guest_ring *g, unsigned int i, uint64_t addr, uint32_t len,
		    uint16_t flags, uint16_t next);
void guest_ring_set_at(const struct guest_ring *g, uint64_t table, unsigned int i, uint64_t addr,
		       uint32_t len, uint16_t flags, uint16_t next);
/* Make a chain available. */
void guest_ring_add(struct guest_ring *g, uint16_t head);
/* The next used element, if there is one. */
bool guest_ring_get(struct guest_ring *g, struct vring_used_elem *ret_elem);

struct vring_avail *guest_ring_avail(const struct guest_ring *g);
struct vring_used *guest_ring_used(const struct guest_ring *g);
uint16_t *guest_ring_used_event(const struct guest_ring *g);
uint16_t *guest_ring_avail_event(const struct guest_ring *g);

#endif
