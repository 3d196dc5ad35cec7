// SPDX-License-Identifier: MIT
// The block device, driven through its registers: VIRTIO 1.2, section 5.2.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/json.h"
#include "tests/unit/guest_virtio.h"
#include "lib/errcat.h"
#include "vmm/devices.h"
#include "vmm/virtio/blk_impl.h"
#include "vmm/virtio/blk.h"

#define SLOT 3
#define HDR 0x8000 /* guest addresses */
#define STATUS 0x8100
#define DATA 0x10000
#define DISK (4 * MIB)
#define CAPACITY (DISK / 512)
#define UNTOUCHED 0xee
#define FEATURES                                                                               \
	(BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_BLK_F_FLUSH) | BIT64(VIRTIO_BLK_F_DISCARD) | \
	 BIT64(VIRTIO_BLK_F_WRITE_ZEROES))
#define F_WRITE VRING_DESC_F_WRITE
#define F_NEXT VRING_DESC_F_NEXT

struct fixture {
	struct fake_board fb;
	struct device *host, *dev;
	struct guest_virtio g;
	int fd; /* the image */
};

static struct fixture *open_disk(const char *json, uint64_t features)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->fd = fake_image(DISK);
	fake_board_init(&f->fb, MIB);
	f->fb.log.fd = -1;
	f->host = fake_board_add(&f->fb, &pci_host_class, "pci", NULL);
	f->dev = fake_board_start(&f->fb, json, f->fd);
	guest_virtio_find(&f->g, &f->fb, SLOT);
	assert_true(guest_virtio_start(&f->g, features, 1));
	return f;
}

static int setup(void **state)
{
	*state = open_disk("{\"type\":\"virtio-blk\",\"id\":\"disk0\",\"address\":\"00:03.0\","
			   "\"path\":{\"fd\":0},\"serial\":\"12345678901234567890\"}",
			   FEATURES);
	return 0;
}

static int setup_readonly(void **state)
{
	*state = open_disk("{\"type\":\"virtio-blk\",\"id\":\"disk0\",\"address\":\"00:03.0\","
			   "\"path\":{\"fd\":0},\"readonly\":true}",
			   BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_BLK_F_RO));
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	f->dev->class->stop(f->dev);
	device_free(f->dev);
	fake_board_remove(&f->fb, f->host);
	fake_board_fini(&f->fb);
	close(f->fd);
	free(f);
	return 0;
}

static void set_header(struct fixture *f, uint64_t at, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr h = { .type = type, .sector = sector };

	memcpy(f->fb.mem + at, &h, sizeof(h));
}

static bool one_used(void *arg)
{
	struct fixture *f = arg;

	return guest_ring_used(&f->g.rings[0])->idx != f->g.rings[0].used_idx;
}

/* Kick for the chain at descriptor 0 and wait for it; bytes written */
static uint32_t serve(struct fixture *f)
{
	struct vring_used_elem u = { 0 };

	guest_ring_add(&f->g.rings[0], 0);
	guest_virtio_kick(&f->g, 0);
	fake_board_run_until(&f->fb, one_used, f);
	assert_true(guest_ring_get(&f->g.rings[0], &u));
	assert_int_equal(u.id, 0);
	assert_int_equal(guest_virtio_status(&f->g) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
	return u.len;
}

/* Header, len bytes at DATA, status; the status. *ret_written may be NULL. */
static uint8_t request(struct fixture *f, uint32_t type, uint64_t sector, uint32_t len,
		       uint32_t *ret_written)
{
	struct guest_ring *r = &f->g.rings[0];
	bool to_guest = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	uint32_t written;

	set_header(f, HDR, type, sector);
	f->fb.mem[STATUS] = UNTOUCHED;
	guest_ring_set(r, 0, HDR, 16, F_NEXT, len ? 1 : 2);
	guest_ring_set(r, 1, DATA, len, F_NEXT | (to_guest ? F_WRITE : 0), 2);
	guest_ring_set(r, 2, STATUS, 1, F_WRITE, 0);
	written = serve(f);
	if (ret_written)
		*ret_written = written;
	return f->fb.mem[STATUS];
}

static void identity_and_config(void **state)
{
	struct fixture *f = *state;
	struct virtio_blk_config c;

	assert_int_equal(guest_pci_read(&f->fb, SLOT, 2, 2), 0x1042);
	for (size_t i = 0; i < 60; i++)
		((uint8_t *)&c)[i] = (uint8_t)fake_mmio_read(&f->fb, f->g.device + i, 1);
	assert_int_equal(c.capacity, CAPACITY);
	assert_int_equal(c.seg_max, 254);
	assert_int_equal(c.blk_size, 512);
	assert_int_equal(c.physical_block_exp, 3);
	assert_int_equal(c.max_discard_seg, 16);
	assert_int_equal(c.write_zeroes_may_unmap, 1);
	assert_int_equal(guest_virtio_features(&f->g) & 0xffffff,
			 BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_BLK_SIZE) |
				 BIT(VIRTIO_BLK_F_TOPOLOGY) | BIT(VIRTIO_BLK_F_FLUSH) |
				 BIT(VIRTIO_BLK_F_CONFIG_WCE) | BIT(VIRTIO_BLK_F_DISCARD) |
				 BIT(VIRTIO_BLK_F_WRITE_ZEROES));
}

static void write_read_flush(void **state)
{
	struct fixture *f = *state;
	uint8_t *data = f->fb.mem + DATA, got[2048];
	uint32_t written;

	for (int i = 0; i < 2048; i++)
		data[i] = (uint8_t)(i * 7 + i / 256);
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 5, 2048, &written), VIRTIO_BLK_S_OK);
	assert_int_equal(written, 1);
	assert_int_equal(pread(f->fd, got, 2048, 5 * 512), 2048);
	assert_memory_equal(got, data, 2048);
	assert_int_equal(request(f, VIRTIO_BLK_T_FLUSH, 0, 0, &written), VIRTIO_BLK_S_OK);
	assert_int_equal(written, 1);
	memset(data, 0, 2048);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 5, 2048, &written), VIRTIO_BLK_S_OK);
	assert_int_equal(written, 2049);
	assert_memory_equal(got, data, 2048);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, CAPACITY - 1, 512, NULL), VIRTIO_BLK_S_OK);
	assert_true(guest_virtio_irqs(&f->g, 1) > 0);
}

/* 2.7.4: the device makes no assumption on how a request is cut into descriptors */
static void any_framing(void **state)
{
	struct fixture *f = *state;
	struct guest_ring *r = &f->g.rings[0];

	/* header in 7 and 9 bytes with the data behind it in one descriptor */
	memset(f->fb.mem + DATA, 0xab, 1024);
	set_header(f, DATA - 16, VIRTIO_BLK_T_OUT, 9);
	guest_ring_set(r, 0, DATA - 16, 7, F_NEXT, 1);
	guest_ring_set(r, 1, DATA - 9, 9 + 500, F_NEXT, 2);
	guest_ring_set(r, 2, DATA + 500, 524, F_NEXT, 3);
	guest_ring_set(r, 3, STATUS, 1, F_WRITE, 0);
	assert_int_equal(serve(f), 1);
	/* read: the status is the last byte of the data's descriptor */
	set_header(f, HDR, VIRTIO_BLK_T_IN, 9);
	memset(f->fb.mem + DATA, 0, 2048);
	guest_ring_set(r, 0, HDR, 16, F_NEXT, 1);
	guest_ring_set(r, 1, DATA, 1, F_NEXT | F_WRITE, 2);
	guest_ring_set(r, 2, DATA + 1, 1024, F_WRITE, 0);
	f->fb.mem[DATA + 1024] = UNTOUCHED;
	assert_int_equal(serve(f), 1025);
	for (int i = 0; i < 1024; i++)
		assert_int_equal(f->fb.mem[DATA + i], 0xab);
	assert_int_equal(f->fb.mem[DATA + 1024], VIRTIO_BLK_S_OK);
}

/* 5.2.6: not terminated when it is 20 bytes long; the id where there is no serial */
static void serial_number(void **state)
{
	struct fixture *f = *state;
	uint32_t written;

	memset(f->fb.mem + DATA, UNTOUCHED, 40);
	assert_int_equal(request(f, VIRTIO_BLK_T_GET_ID, 0, 20, &written), VIRTIO_BLK_S_OK);
	assert_int_equal(written, 21);
	assert_memory_equal(f->fb.mem + DATA, "12345678901234567890", 20);
	assert_int_equal(f->fb.mem[DATA + 20], UNTOUCHED);
	assert_int_equal(request(f, VIRTIO_BLK_T_GET_ID, 0, 4, &written), VIRTIO_BLK_S_OK);
	assert_int_equal(written, 5);
}

static void serial_defaults_to_id(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(request(f, VIRTIO_BLK_T_GET_ID, 0, 20, NULL), VIRTIO_BLK_S_OK);
	assert_memory_equal(f->fb.mem + DATA, "disk0\0\0", 7);
}

/* What a guest gets wrong within a well-formed request */
static void bad_requests(void **state)
{
	struct fixture *f = *state;
	static const struct {
		uint32_t type;
		uint64_t sector;
		uint32_t len;
		uint8_t status;
	} rows[] = {
		{ VIRTIO_BLK_T_IN, CAPACITY, 512, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_IN, CAPACITY - 1, 1024, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_OUT, CAPACITY - 1, 1024, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_IN, UINT64_MAX, 512, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_IN, UINT64_MAX / 512 + 1, 512, VIRTIO_BLK_S_IOERR }, /* * 512 is 0 */
		{ VIRTIO_BLK_T_OUT, 1ull << 55, 512, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_IN, 0, 511, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_OUT, 0, 513, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_IN, 0, 0, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_OUT, 0, 0, VIRTIO_BLK_S_IOERR },
		{ 2, 0, 512, VIRTIO_BLK_S_UNSUPP }, /* SCSI_CMD */
		{ 14, 0, 16, VIRTIO_BLK_S_UNSUPP }, /* SECURE_ERASE */
		{ 0xffffffff, 0, 512, VIRTIO_BLK_S_UNSUPP },
		{ VIRTIO_BLK_T_DISCARD, 0, 0, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_DISCARD, 0, 15, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_WRITE_ZEROES, 0, 17, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_DISCARD, 0, 17 * 16, VIRTIO_BLK_S_IOERR }, /* over max_discard_seg */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t written;
		uint8_t status = request(f, rows[i].type, rows[i].sector, rows[i].len, &written);

		if (status != rows[i].status || written != 1)
			fail_msg("row %zu: status %u, %u bytes", i, status, written);
	}
}

static void set_range(struct fixture *f, unsigned int i, uint64_t sector, uint32_t n,
		      uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes r = { .sector = sector,
						     .num_sectors = n,
						     .flags = flags };

	memcpy(f->fb.mem + DATA + 16 * i, &r, sizeof(r));
}

static void fill_disk(struct fixture *f)
{
	uint8_t *ones = malloc(DISK);

	assert_non_null(ones);
	memset(ones, 0xff, DISK);
	assert_int_equal(pwrite(f->fd, ones, DISK, 0), DISK);
	free(ones);
}

static uint64_t allocated(struct fixture *f)
{
	struct stat st;

	assert_int_equal(fstat(f->fd, &st), 0);
	return (uint64_t)st.st_blocks;
}

static uint8_t byte_at(struct fixture *f, uint64_t off)
{
	uint8_t b = 0;

	assert_int_equal(pread(f->fd, &b, 1, (off_t)off), 1);
	return b;
}

static void discard_and_zeroes(void **state)
{
	struct fixture *f = *state;

	fill_disk(f);
	set_range(f, 0, 0, 1024, 0);
	set_range(f, 1, 2048, 1024, 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_DISCARD, 0, 32, NULL), VIRTIO_BLK_S_OK);
	assert_int_equal(allocated(f), CAPACITY - 2048);
	fill_disk(f);
	set_range(f, 0, 1, 3, 0);
	set_range(f, 1, 16, 16, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
	assert_int_equal(request(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, 32, NULL), VIRTIO_BLK_S_OK);
	assert_int_equal(byte_at(f, 511), 0xff);
	assert_int_equal(byte_at(f, 512), 0);
	assert_int_equal(byte_at(f, 2047), 0);
	assert_int_equal(byte_at(f, 2048), 0xff);
	assert_int_equal(byte_at(f, 16 * 512), 0);
	assert_int_equal(allocated(f), CAPACITY - 16);
}

/* 5.2.6.2: flags and limits */
static void bad_ranges(void **state)
{
	struct fixture *f = *state;

	fill_disk(f);
	set_range(f, 0, 0, 8, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
	assert_int_equal(request(f, VIRTIO_BLK_T_DISCARD, 0, 16, NULL), VIRTIO_BLK_S_UNSUPP);
	set_range(f, 0, 0, 8, 2);
	assert_int_equal(request(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, NULL), VIRTIO_BLK_S_UNSUPP);
	set_range(f, 0, CAPACITY - 8, 9, 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_DISCARD, 0, 16, NULL), VIRTIO_BLK_S_IOERR);
	set_range(f, 0, UINT64_MAX - 3, 8, 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, NULL), VIRTIO_BLK_S_IOERR);
	set_range(f, 0, 0, 0xffffffff, 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, NULL), VIRTIO_BLK_S_IOERR);
	set_range(f, 0, 0, 0, 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, NULL), VIRTIO_BLK_S_IOERR);
	assert_int_equal(allocated(f), CAPACITY);
	set_range(f, 0, 0, 8, 0);
	set_range(f, 1, CAPACITY, 8, 0); /* the second is wrong */
	assert_int_equal(request(f, VIRTIO_BLK_T_DISCARD, 0, 32, NULL), VIRTIO_BLK_S_IOERR);
}

static void readonly(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(guest_virtio_features(&f->g) &
				 (BIT64(VIRTIO_BLK_F_RO) | BIT64(VIRTIO_BLK_F_DISCARD)),
			 BIT64(VIRTIO_BLK_F_RO));
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, 512, NULL), VIRTIO_BLK_S_OK);
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 0, 512, NULL), VIRTIO_BLK_S_IOERR);
	set_range(f, 0, 0, 8, 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_DISCARD, 0, 16, NULL), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, NULL), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(f, VIRTIO_BLK_T_FLUSH, 0, 0, NULL), VIRTIO_BLK_S_OK);
}

static void assert_broken(struct fixture *f)
{
	struct vring_used_elem u;

	guest_ring_add(&f->g.rings[0], 0);
	guest_virtio_kick(&f->g, 0);
	fake_board_run(&f->fb);
	assert_false(guest_ring_get(&f->g.rings[0], &u));
	assert_true(guest_virtio_status(&f->g) & VIRTIO_CONFIG_S_NEEDS_RESET);
	/* and a driver that resets it has a disk again */
	assert_true(guest_virtio_start(&f->g, FEATURES, 1));
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, 512, NULL), VIRTIO_BLK_S_OK);
}

static void malformed(void **state)
{
	struct fixture *f = *state;
	struct guest_ring *r = &f->g.rings[0];

	set_header(f, HDR, VIRTIO_BLK_T_OUT, 0);
	guest_ring_set(r, 0, HDR, 16, F_NEXT, 1); /* no status */
	guest_ring_set(r, 1, DATA, 512, 0, 0);
	assert_broken(f);
	guest_ring_set(r, 0, HDR, 15, F_NEXT, 1); /* a short header */
	guest_ring_set(r, 1, STATUS, 1, F_WRITE, 0);
	assert_broken(f);
	guest_ring_set(r, 0, STATUS, 1, F_WRITE, 0); /* no header */
	assert_broken(f);
	guest_ring_set(r, 0, HDR, 16, F_NEXT, 1); /* data that is no memory */
	guest_ring_set(r, 1, 1ull << 40, 512, F_NEXT | F_WRITE, 2);
	guest_ring_set(r, 2, STATUS, 1, F_WRITE, 0);
	assert_broken(f);
}

static bool all_used(void *arg)
{
	struct fixture *f = arg;

	return guest_ring_used(&f->g.rings[0])->idx == guest_ring_avail(&f->g.rings[0])->idx;
}

static void add_reads(struct fixture *f, unsigned int n)
{
	struct guest_ring *r = &f->g.rings[0];

	for (unsigned int i = 0; i < n; i++) {
		uint16_t d = (uint16_t)(3 * i);

		set_header(f, HDR + 16 * i, VIRTIO_BLK_T_IN, i);
		f->fb.mem[STATUS + i] = UNTOUCHED;
		guest_ring_set(r, d, HDR + 16 * i, 16, F_NEXT, d + 1);
		guest_ring_set(r, d + 1u, DATA + 512 * i, 512, F_NEXT | F_WRITE, d + 2);
		guest_ring_set(r, d + 2u, STATUS + i, 1, F_WRITE, 0);
		guest_ring_add(r, d);
	}
	guest_virtio_kick(&f->g, 0);
}

/* A batch is one submit; interrupts do not come by the request where completions come together */
static void batch(void **state)
{
	struct fixture *f = *state;

	fill_disk(f);
	add_reads(f, 5);
	fake_board_run_until(&f->fb, all_used, f);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(f->fb.mem[STATUS + i], VIRTIO_BLK_S_OK);
		assert_int_equal(f->fb.mem[DATA + 512 * i], 0xff);
	}
	assert_in_range(guest_virtio_irqs(&f->g, 1), 1, 5);
}

/* Stop (pause): on return everything that was begun is done; start serves what came meanwhile */
static void stop_and_start(void **state)
{
	struct fixture *f = *state;

	for (int round = 0; round < 3; round++) {
		add_reads(f, 5);
		fake_board_run(&f->fb);
		f->dev->class->stop(f->dev);
		assert_true(all_used(f));
		add_reads(f, 5);
		fake_board_run(&f->fb);
		assert_false(all_used(f));
		f->dev->class->start(f->dev);
		fake_board_run_until(&f->fb, all_used, f);
	}
}

/* 5.2.6.2: a driver without FLUSH gets stable writes; here: that they arrive */
static void without_flush(void **state)
{
	struct fixture *f = *state;

	assert_true(guest_virtio_start(&f->g, BIT64(VIRTIO_F_VERSION_1), 1));
	memset(f->fb.mem + DATA, 0x77, 512);
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 7, 512, NULL), VIRTIO_BLK_S_OK);
	assert_int_equal(byte_at(f, 7 * 512), 0x77);
}

#define WCE (f->g.device + offsetof(struct virtio_blk_config, wce))
#define WITH_WCE (FEATURES | BIT64(VIRTIO_BLK_F_CONFIG_WCE))

/* 5.2.5.1: the driver sets it where it has negotiated that, until it resets the device */
static void write_cache_is_switched(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fake_mmio_read(&f->fb, WCE, 1), 1);
	fake_mmio_write(&f->fb, WCE, 1, 0); /* not negotiated */
	assert_int_equal(fake_mmio_read(&f->fb, WCE, 1), 1);
	assert_true(guest_virtio_start(&f->g, WITH_WCE, 1));
	fake_mmio_write(&f->fb, WCE, 4, 0); /* not its own width */
	assert_int_equal(fake_mmio_read(&f->fb, WCE, 1), 1);
	fake_mmio_write(&f->fb, WCE, 1, 0);
	assert_int_equal(fake_mmio_read(&f->fb, WCE, 1), 0);
	memset(f->fb.mem + DATA, 0x55, 512);
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 7, 512, NULL), VIRTIO_BLK_S_OK);
	assert_int_equal(byte_at(f, 7 * 512), 0x55);
	fake_mmio_write(&f->fb, WCE, 1, 0x80);
	assert_int_equal(fake_mmio_read(&f->fb, WCE, 1), 1);
	fake_mmio_write(&f->fb, WCE, 1, 0);
	assert_true(guest_virtio_start(&f->g, WITH_WCE, 1));
	assert_int_equal(fake_mmio_read(&f->fb, WCE, 1), 1);
}

static int setup_writethrough(void **state)
{
	*state = open_disk("{\"type\":\"virtio-blk\",\"id\":\"disk0\",\"address\":\"00:03.0\","
			   "\"path\":{\"fd\":0},\"cache\":\"writethrough\"}",
			   WITH_WCE);
	return 0;
}

static void write_cache_off(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fake_mmio_read(&f->fb, WCE, 1), 0);
	fake_mmio_write(&f->fb, WCE, 1, 1);
	assert_int_equal(fake_mmio_read(&f->fb, WCE, 1), 1);
	assert_true(guest_virtio_start(&f->g, FEATURES, 1));
	assert_int_equal(fake_mmio_read(&f->fb, WCE, 1), 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 7, 512, NULL), VIRTIO_BLK_S_OK);
}

static void grows(void **state)
{
	struct fixture *f = *state;
	uint64_t size = 0;
	struct err e = { 0 };

	assert_int_equal(blk_grow(f->dev, false, &size, &e), 0);
	assert_int_equal(size, DISK);
	assert_int_equal(ftruncate(f->fd, DISK + 1024), 0);
	assert_int_equal(blk_grow(f->dev, true, &size, &e), 1);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, CAPACITY, 512, NULL), VIRTIO_BLK_S_IOERR);
	assert_int_equal(guest_virtio_irqs(&f->g, 0), 0);
	assert_int_equal(blk_grow(f->dev, false, &size, &e), 1);
	assert_int_equal(size, DISK + 1024);
	assert_int_equal(guest_virtio_irqs(&f->g, 0), 1);
	assert_int_equal(fake_mmio_read(&f->fb, f->g.device, 4), CAPACITY + 2);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, CAPACITY + 1, 512, NULL), VIRTIO_BLK_S_OK);
	assert_int_equal(ftruncate(f->fd, DISK), 0);
	assert_int_equal(blk_grow(f->dev, false, &size, &e), -ERR_FILE);
	assert_int_equal(fake_mmio_read(&f->fb, f->g.device, 4), CAPACITY + 2);
}

static int set_limits(struct fixture *f, const char *json, struct err *e)
{
	AUTO_JSON struct json_object *change = NULL;

	assert_int_equal(json_parse(json, strlen(json), &change, e), 0);
	return f->dev->class->set(f->dev, change, e);
}

/* A byte a second: what is over it would wait for minutes. */
static void limits_are_changed(void **state)
{
	AUTO_JSON struct json_object *now = NULL;
	struct fixture *f = *state;
	struct err e = { 0 };

	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, 512, NULL), VIRTIO_BLK_S_OK);
	assert_int_equal(set_limits(f, "{}", &e), 0);
	assert_int_equal(set_limits(f, "{\"ops_per_second\": 7, \"serial\": \"x\"}", &e),
			 -ERR_INVALID);
	assert_int_equal(set_limits(f, "{\"bytes_per_second\": 1, \"burst_ms\": 1}", &e), 1);
	assert_int_equal(set_limits(f, "{\"bytes_per_second\": 1}", &e), 0);
	now = f->dev->class->settings(f->dev);
	assert_int_equal(json_get_int(now, "bytes_per_second", -1), 1);
	assert_int_equal(json_get_int(now, "ops_per_second", -1), 0);
	assert_int_equal(json_get_int(now, "burst_ms", -1), 1);
	add_reads(f, 3); /* one of them passes */
	fake_board_run_until(&f->fb, one_used, f);
	for (int i = 0; i < 10; i++)
		fake_board_run(&f->fb);
	assert_int_equal(guest_ring_used(&f->g.rings[0])->idx,
			 (uint16_t)(guest_ring_avail(&f->g.rings[0])->idx - 2));
	/* of a VM that is paused, too */
	f->dev->class->stop(f->dev);
	assert_int_equal(set_limits(f, "{\"bytes_per_second\": 2}", &e), 1);
	f->dev->class->start(f->dev);
	fake_board_run(&f->fb);
	assert_false(all_used(f));
	assert_int_equal(set_limits(f, "{\"bytes_per_second\": 0}", &e), 1);
	fake_board_run_until(&f->fb, all_used, f);
}

static int setup_polling(void **state)
{
	*state = open_disk("{\"type\":\"virtio-blk\",\"id\":\"disk0\",\"address\":\"00:03.0\","
			   "\"path\":{\"fd\":0},\"poll_us\":60000000}",
			   FEATURES);
	return 0;
}

static int setup_polling_shortly(void **state)
{
	*state = open_disk("{\"type\":\"virtio-blk\",\"id\":\"disk0\",\"address\":\"00:03.0\","
			   "\"path\":{\"fd\":0},\"poll_us\":20}",
			   FEATURES);
	return 0;
}

static bool kicks_wanted(void *arg)
{
	struct fixture *f = arg;

	return !(guest_ring_used(&f->g.rings[0])->flags & VRING_USED_F_NO_NOTIFY);
}

/* Kicks that come in time double how long it looks, late ones halve it. */
static void polling_adapts(void **state)
{
	struct fixture *f = *state;
	struct blk_poll *p = &container_of(f->dev, struct blk, v.dev)->lanes[0].poll;

	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, 512, NULL), VIRTIO_BLK_S_OK);
	assert_int_equal(p->ns, 0);
	for (uint64_t ns = 8000; ns < 1000000; ns *= 2) {
		assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, 512, NULL), VIRTIO_BLK_S_OK);
		assert_int_equal(p->ns, ns);
		fake_board_run_until(&f->fb, kicks_wanted, f);
	}
	p->ns = 50 * 1000000000ull;
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, 512, NULL), VIRTIO_BLK_S_OK);
	assert_int_equal(p->ns, p->bound_ns);
	p->ns = 20000;
	fake_board_run_until(&f->fb, kicks_wanted, f);
	for (uint64_t ns = 10000;; ns = 0) {
		p->since_ns -= p->bound_ns + 1;
		assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, 512, NULL), VIRTIO_BLK_S_OK);
		assert_int_equal(p->ns, ns);
		fake_board_run_until(&f->fb, kicks_wanted, f);
		if (!ns)
			break;
	}
}

/* What it looks in vain is to be less than what it spares: else it rests for some kicks, and tries again. */
static void polling_rests(void **state)
{
	struct fixture *f = *state;
	struct blk_poll *p = &container_of(f->dev, struct blk, v.dev)->lanes[0].poll;
	struct vring_used_elem u;

	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, 512, NULL), VIRTIO_BLK_S_OK);
	for (int rest = 64; rest <= 256; rest *= 2) {
		p->ns = 0;
		p->credit_ns = 4000;
		assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, 512, NULL), VIRTIO_BLK_S_OK);
		assert_int_equal(p->ns, 8000);
		fake_board_run_until(&f->fb, kicks_wanted, f);
		for (int i = 0; i < rest; i++) {
			assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, 512, NULL),
					 VIRTIO_BLK_S_OK);
			assert_int_equal(p->ns, 0);
		}
	}
	assert_int_equal(p->rested, 256);
	/* once it has paid for long, the next rest is short again */
	p->ns = p->bound_ns;
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, 512, NULL), VIRTIO_BLK_S_OK);
	for (unsigned int rested = 256;; rested = 0) {
		guest_ring_add(&f->g.rings[0], 0);
		fake_board_run_until(&f->fb, one_used, f);
		assert_true(guest_ring_get(&f->g.rings[0], &u));
		assert_int_equal(p->rested, rested);
		if (!rested)
			break;
		p->credit_ns *= 2;
	}
}

/* While it looks no kick is needed; a stop ends it. */
static void polls(void **state)
{
	struct fixture *f = *state;
	struct blk_poll *p = &container_of(f->dev, struct blk, v.dev)->lanes[0].poll;
	struct vring_used_elem u;

	for (int round = 0; round < 2; round++) {
		p->ns = p->bound_ns; /* a minute */
		assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, 512, NULL), VIRTIO_BLK_S_OK);
		assert_false(kicks_wanted(f));
		for (int i = 0; i < 3; i++) {
			fake_board_run(&f->fb);
			f->fb.mem[STATUS] = UNTOUCHED;
			guest_ring_add(&f->g.rings[0], 0);
			fake_board_run_until(&f->fb, one_used, f);
			assert_true(guest_ring_get(&f->g.rings[0], &u));
			assert_int_equal(f->fb.mem[STATUS], VIRTIO_BLK_S_OK);
		}
		f->dev->class->stop(f->dev);
		f->dev->class->start(f->dev);
		fake_board_run_until(&f->fb, kicks_wanted, f);
	}
	/* what is malformed is found, and ends it */
	p->ns = p->bound_ns;
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, 512, NULL), VIRTIO_BLK_S_OK);
	guest_ring_set(&f->g.rings[0], 0, BIT64(40), 16, F_NEXT, 1);
	guest_ring_add(&f->g.rings[0], 0);
	for (int i = 0; i < 10; i++)
		fake_board_run(&f->fb);
	assert_broken(f);
}

static void polls_no_longer_than_it_may(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 10; i++) {
		assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, 512, NULL), VIRTIO_BLK_S_OK);
		fake_board_run_until(&f->fb, kicks_wanted, f);
	}
	guest_ring_add(&f->g.rings[0], 0);
	for (int i = 0; i < 10; i++)
		fake_board_run(&f->fb);
	assert_false(one_used(f)); /* asleep */
	guest_virtio_kick(&f->g, 0);
	fake_board_run_until(&f->fb, one_used, f);
}

/* Requests in three queues at once: each is answered in its own, with its own interrupt */
static void many_queues(void **state)
{
	struct fixture *f = *state;

	assert_true(guest_virtio_features(&f->g) & BIT64(VIRTIO_BLK_F_MQ));
	assert_int_equal(
		fake_mmio_read(&f->fb, f->g.device + offsetof(struct virtio_blk_config, num_queues),
			       2),
		3);
	assert_true(guest_virtio_start(&f->g, FEATURES | BIT64(VIRTIO_BLK_F_MQ), 3));
	fill_disk(f);
	for (unsigned int q = 0; q < 3; q++) {
		struct guest_ring *r = &f->g.rings[q];

		set_header(f, HDR + 16 * q, VIRTIO_BLK_T_IN, q);
		f->fb.mem[STATUS + q] = UNTOUCHED;
		guest_ring_set(r, 0, HDR + 16 * q, 16, F_NEXT, 1);
		guest_ring_set(r, 1, DATA + 512 * q, 512, F_NEXT | F_WRITE, 2);
		guest_ring_set(r, 2, STATUS + q, 1, F_WRITE, 0);
		guest_ring_add(r, 0);
		guest_virtio_kick(&f->g, q);
	}
	for (unsigned int q = 0; q < 3; q++) {
		struct vring_used_elem u = { 0 };

		while (!guest_ring_get(&f->g.rings[q], &u))
			uv_run(&f->fb.loop, UV_RUN_ONCE);
		assert_int_equal(u.len, 513);
		assert_int_equal(f->fb.mem[STATUS + q], VIRTIO_BLK_S_OK);
		assert_int_equal(f->fb.mem[DATA + 512 * q], 0xff);
		assert_int_equal(guest_virtio_irqs(&f->g, 1 + q), 1);
	}
}

static int setup_queues(void **state)
{
	*state = open_disk("{\"type\":\"virtio-blk\",\"id\":\"disk0\",\"address\":\"00:03.0\","
			   "\"path\":{\"fd\":0},\"queues\":3}",
			   FEATURES);
	return 0;
}

static int setup_stop(void **state)
{
	*state = open_disk("{\"type\":\"virtio-blk\",\"id\":\"disk0\",\"address\":\"00:03.0\","
			   "\"path\":{\"fd\":0},\"on_error\":\"stop\"}",
			   FEATURES);
	return 0;
}

static bool noticed(void *arg)
{
	struct fixture *f = arg;

	fake_board_watched(&f->fb);
	return f->fb.nnotices > 0;
}

/* The first half of what is read is there, the rest fails: held, and whole when it is tried again */
static void hold_a_read(struct fixture *f, bool told)
{
	struct guest_ring *r = &f->g.rings[0];

	assert_int_equal(ftruncate(f->fd, 9 * 512), 0);
	set_header(f, HDR, VIRTIO_BLK_T_IN, 8);
	memset(f->fb.mem + DATA, 0, 1024);
	f->fb.mem[STATUS] = UNTOUCHED;
	guest_ring_set(r, 0, HDR, 16, F_NEXT, 1);
	guest_ring_set(r, 1, DATA, 100, F_NEXT | F_WRITE, 2);
	guest_ring_set(r, 2, DATA + 100, 924, F_NEXT | F_WRITE, 3);
	guest_ring_set(r, 3, STATUS, 1, F_WRITE, 0);
	guest_ring_add(r, 0);
	guest_virtio_kick(&f->g, 0);
	fake_board_run(&f->fb);
	if (!told)
		return;
	fake_board_run_until(&f->fb, noticed, f);
	assert_string_equal(f->fb.notice, "disk-stopped: disk 'disk0': read at byte 4096: "
					  "Input/output error");
	assert_false(one_used(f));
	assert_int_equal(f->fb.mem[STATUS], UNTOUCHED);
	/* and again, for whoever was away, until it is run again */
	fake_board_advance(&f->fb, 1900000000);
	assert_int_equal(f->fb.nnotices, 1);
	fake_board_advance(&f->fb, 200000000);
	assert_int_equal(f->fb.nnotices, 2);
	fake_board_advance(&f->fb, 2000000000);
	assert_int_equal(f->fb.nnotices, 3);
}

static void held_and_tried_again(void **state)
{
	struct fixture *f = *state;
	struct vring_used_elem u;

	fill_disk(f);
	hold_a_read(f, true);
	f->dev->class->stop(f->dev);
	assert_false(one_used(f));
	assert_int_equal(ftruncate(f->fd, DISK), 0);
	fill_disk(f);
	f->dev->class->start(f->dev);
	fake_board_run_until(&f->fb, one_used, f);
	assert_true(guest_ring_get(&f->g.rings[0], &u));
	assert_int_equal(u.len, 1025);
	assert_int_equal(f->fb.mem[STATUS], VIRTIO_BLK_S_OK);
	for (int i = 0; i < 1024; i++)
		assert_int_equal(f->fb.mem[DATA + i], 0xff);
	fake_board_advance(&f->fb, 10000000000);
	assert_int_equal(f->fb.nnotices, 3);
	/* one that fails again, and a driver that has enough of it: nothing is answered later */
	hold_a_read(f, false);
	assert_int_equal(ftruncate(f->fd, DISK), 0);
	assert_true(guest_virtio_start(&f->g, FEATURES, 1));
	fake_board_run(&f->fb);
	assert_false(one_used(f));
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, 512, NULL), VIRTIO_BLK_S_OK);
}

static void errors_are_told(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ftruncate(f->fd, 512), 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 4, 512, NULL), VIRTIO_BLK_S_IOERR);
	fake_board_run_until(&f->fb, noticed, f);
	assert_string_equal(f->fb.notice, "disk-error: disk 'disk0': read at byte 2048: "
					  "Input/output error");
	/* within a second no more; and what is the guest's own fault is nobody else's matter */
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, CAPACITY, 512, NULL), VIRTIO_BLK_S_IOERR);
	for (int i = 0; i < 20; i++)
		assert_int_equal(request(f, VIRTIO_BLK_T_IN, 4, 512, NULL), VIRTIO_BLK_S_IOERR);
	fake_board_run(&f->fb);
	fake_board_watched(&f->fb);
	assert_int_equal(f->fb.nnotices, 1);
}

static void unusable_image(void **state)
{
	struct fixture *f = *state;
	struct err e = { 0 };

	assert_int_equal(ftruncate(f->fd, 777), 0);
	assert_null(fake_board_new(&f->fb,
				   "{\"type\":\"virtio-blk\",\"id\":\"disk1\",\"address\":"
				   "\"00:05.0\",\"path\":{\"fd\":0}}",
				   f->fd, &e));
	assert_string_equal(e.msg, "device 'disk1': the disk image's size, 777 bytes, is not a "
				   "multiple of 512");
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(identity_and_config),
		T(write_read_flush),
		T(any_framing),
		T(serial_number),
		cmocka_unit_test_setup_teardown(serial_defaults_to_id, setup_readonly, teardown),
		T(bad_requests),
		T(discard_and_zeroes),
		T(bad_ranges),
		cmocka_unit_test_setup_teardown(readonly, setup_readonly, teardown),
		T(malformed),
		T(batch),
		T(stop_and_start),
		T(without_flush),
		T(write_cache_is_switched),
		cmocka_unit_test_setup_teardown(write_cache_off, setup_writethrough, teardown),
		T(grows),
		T(limits_are_changed),
		cmocka_unit_test_setup_teardown(polling_adapts, setup_polling, teardown),
		cmocka_unit_test_setup_teardown(polling_rests, setup_polling, teardown),
		cmocka_unit_test_setup_teardown(polls, setup_polling, teardown),
		cmocka_unit_test_setup_teardown(polls_no_longer_than_it_may, setup_polling_shortly,
						teardown),
		T(errors_are_told),
		cmocka_unit_test_setup_teardown(held_and_tried_again, setup_stop, teardown),
		cmocka_unit_test_setup_teardown(many_queues, setup_queues, teardown),
		T(unusable_image),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
