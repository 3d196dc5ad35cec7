// SPDX-License-Identifier: MIT
/*
 * virtio-blk: capacity (sectors=), serial number, write, flush, read back; readonly=1: a disk that says so
 * and refuses. Requests: VIRTIO 1.2, section 5.2.6.
 */
#include "lib/virtio.h"

#define BLK_IN 0
#define BLK_OUT 1
#define BLK_FLUSH 4
#define BLK_GET_ID 8
#define BLK_F_RO (1ull << 5)
#define BLK_F_FLUSH (1ull << 9)

static struct vq q;
static uint8_t out[1024], in[1024];

static uint8_t blk_request(uint32_t type, uint64_t sector, void *data, uint32_t len)
{
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} head = { type, 0, sector };
	volatile uint8_t status = 0xff;
	struct vq_part parts[3] = { { &head, sizeof(head), false } };
	unsigned int n = 1;

	if (len)
		parts[n++] = (struct vq_part){ data, len, type != BLK_OUT };
	parts[n++] = (struct vq_part){ (const void *)&status, 1, true };
	virtio_send(&q, parts, n);
	virtio_wait(&q);
	return status;
}

static void blk_writable(uint64_t sectors)
{
	for (unsigned int i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + 1);
	CHECK_EQ(blk_request(BLK_OUT, 3, out, sizeof(out)), 0);
	CHECK_EQ(blk_request(BLK_FLUSH, 0, NULL, 0), 0);
	CHECK_EQ(blk_request(BLK_IN, 3, in, sizeof(in)), 0);
	CHECK_EQ(memcmp(in, out, sizeof(in)), 0);
	CHECK_EQ(blk_request(BLK_OUT, sectors - 1, out, sizeof(out)), 1); /* over the end */
	CHECK_EQ(blk_request(0x77, 0, out, 512), 2);			  /* unknown */
}

int guest_main(const struct start_info *si)
{
	uint64_t sectors = cmdline_number(si, "sectors", 0);
	bool readonly = cmdline_number(si, "readonly", 0);
	struct virtio v;

	virtio_init(&v, VIRTIO_BLK, 0, BLK_F_FLUSH | BLK_F_RO);
	virtio_queue(&v, 0, &q, 0xffff);
	virtio_start(&v);
	CHECK_EQ(!!(v.features & BLK_F_RO), readonly);
	CHECK_EQ(mmio_read32(v.config), sectors);
	memset(in, 0xff, 20);
	CHECK_EQ(blk_request(BLK_GET_ID, 0, in, 20), 0);
	CHECK_EQ(memcmp(in, "serial-0", 9), 0);
	if (readonly) {
		CHECK_EQ(blk_request(BLK_OUT, 0, out, 512), 1);
		CHECK_EQ(blk_request(BLK_IN, 0, in, 512), 0);
	} else {
		blk_writable(sectors);
	}
	return 0;
}
