/* SPDX-License-Identifier: MIT */
/* A driver for modern virtio-pci: VIRTIO 1.2, sections 2.7 (split ring), 3.1 (init) and 4.1 (PCI). */
#ifndef TESTS_GUEST_LIB_VIRTIO_H
#define TESTS_GUEST_LIB_VIRTIO_H

#include "guest.h"

#define VIRTIO_NET 1
#define VIRTIO_BLK 2
#define VIRTIO_CONSOLE 3
#define VIRTIO_RNG 4
#define VIRTIO_BALLOON 5
#define VIRTIO_SCSI 8

#define VIRTIO_F_VERSION_1 (1ull << 32)

#define VQ_SIZE 8

struct vq {
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} desc[VQ_SIZE];
	volatile struct {
		uint16_t flags, idx, ring[VQ_SIZE], used_event;
	} avail;
	volatile struct {
		uint16_t flags, idx;
		struct {
			uint32_t id, len;
		} ring[VQ_SIZE];
		uint16_t avail_event;
	} used __attribute__((aligned(4)));
	uint64_t notify; /* address */
	uint16_t index;
} __attribute__((aligned(16)));

struct vring_areas {
	const volatile void *desc, *avail, *used;
	uint16_t size;
};

struct virtio {
	unsigned int slot;
	uint64_t common, isr, config, notify;
	uint32_t notify_multiplier;
	uint64_t features; /* offered */
	uint64_t msix_table;
};

struct vq_part {
	const void *data;
	uint32_t len;
	bool device_writes;
};

/* Find the n-th of its kind, take wanted & offered and VERSION_1; not yet DRIVER_OK. */
void virtio_init(struct virtio *v, unsigned int type, unsigned int n, uint64_t wanted);
/* vector: of the MSI-X table, 0xffff for none */
void virtio_queue(struct virtio *v, unsigned int index, struct vq *q, uint16_t vector);
/* The same for a ring of another size, laid out by the caller. The address for its notifications. */
uint64_t virtio_ring(struct virtio *v, unsigned int index, const struct vring_areas *r,
		     uint16_t vector);
void virtio_start(struct virtio *v);
/* MSI-X on, entry i sends vector first + i to this vCPU. */
void virtio_msix(struct virtio *v, unsigned int n, unsigned int first);
/* Make available and notify. */
void virtio_send(struct vq *q, const struct vq_part *parts, unsigned int n);
/* Wait for the next used entry, by reading the ring; the length that the device wrote. */
uint32_t virtio_wait(struct vq *q);

#endif
