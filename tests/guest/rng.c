// SPDX-License-Identifier: MIT
/* virtio-rng fills what it is given, each time anew; its interrupts come by MSI-X, masked ones later. */
#include "lib/virtio.h"

#define VECTOR 0x60

static struct vq q;
static uint8_t first[64], second[64];

static void rng_read(uint8_t *buf)
{
	const struct vq_part part = { buf, 64, true };

	virtio_send(&q, &part, 1);
	CHECK_EQ(virtio_wait(&q), 64);
}

static void rng_masked(struct virtio *v)
{
	uint32_t count = interrupt_count[VECTOR];

	mmio_write32(v->msix_table + 12, 1);
	rng_read(second);
	__asm__ volatile("sti; nop; nop; cli" : : : "memory");
	CHECK_EQ(interrupt_count[VECTOR], count);
	mmio_write32(v->msix_table + 12, 0);
	interrupt_wait(VECTOR, count + 1);
}

int guest_main(const struct start_info *si)
{
	const struct vq_part part = { first, 64, true };
	struct virtio v;

	(void)si;
	interrupts_init();
	virtio_init(&v, VIRTIO_RNG, 0, 0);
	virtio_msix(&v, 1, VECTOR);
	virtio_queue(&v, 0, &q, 0);
	virtio_start(&v);
	virtio_send(&q, &part, 1);
	interrupt_wait(VECTOR, 1);
	CHECK_EQ(virtio_wait(&q), 64);
	rng_read(second);
	interrupt_wait(VECTOR, 2);
	CHECK(memcmp(first, second, 64) != 0);
	rng_masked(&v);
	return 0;
}
