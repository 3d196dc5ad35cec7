/* SPDX-License-Identifier: MIT */
/*
 * The driver's side of a PCI virtio device on a fake board, for unit tests: finds the device as an
 * operating system does, through 0xCF8 and its capabilities, and touches registers only by the buses.
 *
 *	guest_virtio_find(&gv, &fb, 3);
 *	assert_true(guest_virtio_start(&gv, features, 1));	queues laid out from GUEST_VIRTIO_RINGS
 *	guest_ring_set(&gv.rings[0], …); guest_ring_add(&gv.rings[0], 0);
 *	guest_virtio_kick(&gv, 0); fake_board_run(&fb);
 *	assert_int_equal(guest_virtio_irqs(&gv, 1), 1);
 */
#ifndef TESTS_UNIT_GUEST_VIRTIO_H
#define TESTS_UNIT_GUEST_VIRTIO_H

#include "tests/unit/fake_board.h"
#include "tests/unit/guest_ring.h"

#define GUEST_VIRTIO_QUEUES 10
#define GUEST_VIRTIO_RINGS 0x1000 /* guest address of the first ring */
#define GUEST_VIRTIO_RING_SIZE 16

struct guest_virtio {
	struct fake_board *fb;
	unsigned int slot;
	uint64_t common, isr, device, notify, msix; /* addresses; 0: no such structure */
	uint32_t notify_multiplier;
	unsigned int cfg_cap; /* VIRTIO_PCI_CAP_PCI_CFG */
	unsigned int msix_cap;
	struct guest_ring rings[GUEST_VIRTIO_QUEUES];
};

/* Configuration space of 00:slot.0 through the ports */
uint32_t guest_pci_read(struct fake_board *fb, unsigned int slot, unsigned int off,
			unsigned int size);
void guest_pci_write(struct fake_board *fb, unsigned int slot, unsigned int off, unsigned int size,
		     uint32_t val);
/* The first capability of this id behind `after` (0: from the start); 0: none */
unsigned int guest_pci_cap(struct fake_board *fb, unsigned int slot, uint8_t id,
			   unsigned int after);
/* Where a memory BAR is. */
uint64_t guest_pci_bar(struct fake_board *fb, unsigned int slot, unsigned int bar);

/* An MSI-X table entry at this address: message and mask */
void guest_msix_set(struct fake_board *fb, uint64_t entry, uint64_t addr, uint32_t data,
		    bool masked);

void guest_virtio_find(struct guest_virtio *g, struct fake_board *fb, unsigned int slot);
uint32_t guest_virtio_read(struct guest_virtio *g, unsigned int off, unsigned int size);
void guest_virtio_write(struct guest_virtio *g, unsigned int off, unsigned int size, uint32_t val);
/* Bus master, reset, negotiate: false when the device refuses FEATURES_OK. */
bool guest_virtio_negotiate(struct guest_virtio *g, uint64_t features);
uint64_t guest_virtio_features(struct guest_virtio *g); /* what is offered */
/* Lay a queue out, with MSI-X vector q + 1, and enable it. */
void guest_virtio_queue(struct guest_virtio *g, unsigned int q, uint64_t base);
/* All of section 3.1.1 with nqueues queues; vector 0 is the configuration's. */
bool guest_virtio_start(struct guest_virtio *g, uint64_t features, unsigned int nqueues);
uint8_t guest_virtio_status(struct guest_virtio *g);
/* A notification: by ioeventfd where there is one, as KVM does, else through the bus. */
void guest_virtio_kick(struct guest_virtio *g, unsigned int q);
/* Interrupts of a vector since the last call, as counted in its eventfd. */
unsigned int guest_virtio_irqs(struct guest_virtio *g, unsigned int vector);

#endif
