// SPDX-License-Identifier: MIT
// The driver's side of a split virtqueue (VIRTIO 1.2, section 2.7), for unit tests. One thread.
#include "tests/unit/guest_ring.h"

#include <string.h>

uint64_t guest_ring_init(struct guest_ring *g, uint8_t *mem, uint16_t size, uint64_t base)
{
	*g = (struct guest_ring){ .mem = mem, .size = size, .desc = base };
	g->avail = base + 16ull * size;
	g->used = align_up(g->avail + 6 + 2ull * size, 4);
	memset(mem + base, 0, g->used + 6 + 8ull * size - base);
	return align_up(g->used + 6 + 8ull * size, 16);
}

struct vring_desc *guest_ring_desc(const struct guest_ring *g, unsigned int i)
{
	return (struct vring_desc *)(void *)(g->mem + g->desc) + i;
}

struct vring_avail *guest_ring_avail(const struct guest_ring *g)
{
	return (struct vring_avail *)(void *)(g->mem + g->avail);
}

struct vring_used *guest_ring_used(const struct guest_ring *g)
{
	return (struct vring_used *)(void *)(g->mem + g->used);
}

uint16_t *guest_ring_used_event(const struct guest_ring *g)
{
	return &guest_ring_avail(g)->ring[g->size];
}

uint16_t *guest_ring_avail_event(const struct guest_ring *g)
{
	return (uint16_t *)(void *)&guest_ring_used(g)->ring[g->size];
}

void guest_ring_set_at(const struct guest_ring *g, uint64_t table, unsigned int i, uint64_t addr,
		       uint32_t len, uint16_t flags, uint16_t next)
{
	struct vring_desc d = { .addr = addr, .len = len, .flags = flags, .next = next };

	memcpy(g->mem + table + i * sizeof(d), &d, sizeof(d));
}

void guest_ring_set(const struct guest_ring *g, unsigned int i, uint64_t addr, uint32_t len,
		    uint16_t flags, uint16_t next)
{
	guest_ring_set_at(g, g->desc, i, addr, len, flags, next);
}

void guest_ring_add(struct guest_ring *g, uint16_t head)
{
	guest_ring_avail(g)->ring[g->avail_idx % g->size] = head;
	__atomic_store_n(&guest_ring_avail(g)->idx, ++g->avail_idx, __ATOMIC_RELEASE);
}

bool guest_ring_get(struct guest_ring *g, struct vring_used_elem *ret_elem)
{
	if (__atomic_load_n(&guest_ring_used(g)->idx, __ATOMIC_ACQUIRE) == g->used_idx)
		return false;
	*ret_elem = guest_ring_used(g)->ring[g->used_idx++ % g->size];
	return true;
}
