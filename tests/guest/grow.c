// SPDX-License-Identifier: MIT
/* A disk that becomes larger: waits for the configuration's interrupt, and writes to the last sector. */
#include "lib/virtio.h"

#define VECTOR 0x50
#define COMMON_MSIX_CONFIG 0x10

static struct vq q;
static uint8_t data[512];

static void grow_say(const char *what, uint64_t n)
{
	print(what);
	print_number(n);
	print("\n");
}

static uint8_t grow_write(uint64_t sector)
{
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} head = { 1, 0, sector };
	volatile uint8_t status = 0xff;
	const struct vq_part parts[] = { { &head, sizeof(head), false },
					 { data, sizeof(data), false },
					 { (const void *)&status, 1, true } };

	virtio_send(&q, parts, 3);
	virtio_wait(&q);
	return status;
}

int guest_main(const struct start_info *si)
{
	uint64_t sectors;
	struct virtio v;

	(void)si;
	memset(data, 'g', sizeof(data));
	virtio_init(&v, VIRTIO_BLK, 0, 0);
	interrupts_init();
	virtio_msix(&v, 1, VECTOR);
	mmio_write16(v.common + COMMON_MSIX_CONFIG, 0);
	virtio_queue(&v, 0, &q, 0xffff);
	virtio_start(&v);
	sectors = mmio_read32(v.config);
	CHECK_EQ(grow_write(sectors), 1);
	grow_say("sectors: ", sectors);
	interrupt_wait(VECTOR, 1);
	sectors = mmio_read32(v.config);
	CHECK_EQ(grow_write(sectors - 1), 0);
	CHECK_EQ(grow_write(sectors), 1);
	grow_say("now: ", sectors);
	for (;;)
		__asm__ volatile("cli; hlt");
}
