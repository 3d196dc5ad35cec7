// SPDX-License-Identifier: MIT
// The SCSI target by its CDBs: SPC-4, SBC-3 and MMC-6; the sections stand at the tests.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "vmm/block/engine.h"
#include "vmm/scsi/scsi.h"

#define DISK (4 * MIB)
#define BLOCKS (DISK / 512)
#define ISO (1 * MIB)
#define READONLY_LUN 3
#define CD_LUN 5
#define BUFFER (256 * KIB)
#define CDB(...) ((const uint8_t[SCSI_CDB_MAX]){ __VA_ARGS__ })

struct fixture {
	uv_loop_t loop;
	struct scsi_target *t;
	int disk, iso; /* the test's own descriptors */
	struct scsi_task task;
	struct iovec in, out;
	unsigned int dones, changes, trays, batches;
	uint32_t lun;
	uint16_t changed_sense, changed_lun;
	bool tray_open;
	uint8_t *data, *send; /* owned, BUFFER bytes: what came, what goes */
};

static void on_changed(void *arg, uint16_t lun, uint8_t asc, uint8_t ascq)
{
	struct fixture *f = arg;

	f->changes++;
	f->changed_lun = lun;
	f->changed_sense = (uint16_t)(asc << 8 | ascq);
}

static void on_tray(void *arg, uint16_t lun, bool open)
{
	struct fixture *f = arg;

	assert_int_equal(lun, CD_LUN);
	f->trays++;
	f->tray_open = open;
}

static void on_batch(void *arg)
{
	((struct fixture *)arg)->batches++;
}

static void on_done(struct scsi_task *t)
{
	container_of(t, struct fixture, task)->dones++;
}

static int memory_file(uint64_t size, uint8_t fill)
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	uint8_t *data = malloc(size);

	assert_true(fd >= 0 && data);
	memset(data, fill, size);
	assert_int_equal(write(fd, data, size), size);
	free(data);
	return fd;
}

static struct block *image_of(int fd, bool readonly)
{
	struct block_image image = { .fd = dup(fd), .readonly = readonly };
	struct err e = { 0 };
	struct block *b;

	if (block_open(&image, &b, &e) < 0)
		fail_msg("%s", e.msg);
	return b;
}

static void add(struct fixture *f, enum scsi_kind kind, uint16_t lun, struct block *block)
{
	struct scsi_unit_cfg cfg = {
		.kind = kind, .lun = lun, .serial = "serial-x", .block = block
	};
	struct err e = { 0 };

	if (scsi_target_add(f->t, &cfg, &e) < 0)
		fail_msg("%s", e.msg);
}

static uint8_t run(struct fixture *f, const uint8_t *cdb, size_t out_len, size_t in_len);

static int setup(void **state)
{
	static const struct scsi_target_ops ops = { .changed = on_changed, .tray = on_tray };
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e = { 0 };

	assert_non_null(f);
	f->data = malloc(BUFFER);
	f->send = calloc(1, BUFFER);
	f->disk = memory_file(DISK, 0x11);
	f->iso = memory_file(ISO, 0x22);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(scsi_target_new(&ops, f, &f->t, &e), 0);
	add(f, SCSI_DISK, 0, image_of(f->disk, false));
	add(f, SCSI_DISK, READONLY_LUN, image_of(f->disk, true));
	add(f, SCSI_CDROM, CD_LUN, image_of(f->iso, true));
	assert_int_equal(scsi_target_attach(f->t, &f->loop, on_batch), 0);
	for (f->lun = 0; f->lun < 6; f->lun++) /* take what power on left to be told */
		run(f, CDB(0x03, 0, 0, 0, 18), 0, 18);
	f->lun = 0;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	scsi_target_detach(f->t);
	scsi_target_free(f->t);
	while (uv_run(&f->loop, UV_RUN_NOWAIT))
		;
	assert_int_equal(uv_loop_close(&f->loop), 0);
	close(f->disk);
	close(f->iso);
	free(f->data);
	free(f->send);
	free(f);
	return 0;
}

/* The status; what came is in f->data, the rest of it 0xee */
static uint8_t run(struct fixture *f, const uint8_t *cdb, size_t out_len, size_t in_len)
{
	f->task = (struct scsi_task){ .lun = f->lun, .done = on_done };
	memcpy(f->task.cdb, cdb, SCSI_CDB_MAX);
	memset(f->data, 0xee, BUFFER);
	f->in = (struct iovec){ f->data, in_len };
	f->out = (struct iovec){ f->send, out_len };
	f->task.in = &f->in;
	f->task.nin = in_len ? 1 : 0;
	f->task.out = &f->out;
	f->task.nout = out_len ? 1 : 0;
	f->dones = 0;
	scsi_target_start(f->t, &f->task);
	scsi_target_submit(f->t);
	while (!f->dones)
		uv_run(&f->loop, UV_RUN_ONCE);
	assert_int_equal(f->dones, 1);
	if (f->task.status == SCSI_CHECK_CONDITION)
		assert_int_equal(f->task.sense_len, SCSI_SENSE_SIZE);
	return f->task.status;
}

/* Key, code and qualifier */
static unsigned int sense(const struct fixture *f)
{
	const uint8_t *s = f->task.sense;

	assert_int_equal(s[0], 0x70);
	assert_int_equal(s[7], 10);
	return (unsigned int)s[2] << 16 | (unsigned int)s[12] << 8 | s[13];
}

static void good(struct fixture *f, const uint8_t *cdb, size_t out_len, size_t in_len, size_t moved)
{
	if (run(f, cdb, out_len, in_len) != SCSI_GOOD)
		fail_msg("opcode %02x: status %02x, sense %06x", cdb[0], f->task.status, sense(f));
	assert_false(f->task.overrun);
	assert_int_equal(f->task.moved, moved);
}

static void fails(struct fixture *f, const uint8_t *cdb, size_t out_len, size_t in_len,
		  unsigned int expected)
{
	if (run(f, cdb, out_len, in_len) != SCSI_CHECK_CONDITION)
		fail_msg("opcode %02x: status %02x", cdb[0], f->task.status);
	if (sense(f) != expected)
		fail_msg("opcode %02x: sense %06x, not %06x", cdb[0], sense(f), expected);
	assert_int_equal(f->task.moved, 0);
}

static void overruns(struct fixture *f, const uint8_t *cdb, size_t out_len, size_t in_len)
{
	run(f, cdb, out_len, in_len);
	assert_true(f->task.overrun);
}

static uint8_t byte_at(int fd, uint64_t off)
{
	uint8_t b = 0;

	assert_int_equal(pread(fd, &b, 1, (off_t)off), 1);
	return b;
}

static uint64_t allocated(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks;
}

/* --- what a unit is: SPC-4 6.6, 7.8 ------------------------------------------------------------------------- */

static void inquiry(void **state)
{
	struct fixture *f = *state;

	good(f, CDB(0x12, 0, 0, 0, 96), 0, 96, 66);
	assert_memory_equal(f->data, "\0\0\x06\x12\x3d\0\0\x02VMD     disk            1   ", 36);
	assert_memory_equal(f->data + 58, "\x00\xa0\x04\x60\x04\xc0", 6); /* SAM-5 SPC-4 SBC-3 */
	good(f, CDB(0x12, 0, 0, 0, 5), 0, 96, 5); /* truncated to the allocation length */
	assert_int_equal(f->data[5], 0xee);
	good(f, CDB(0x12, 0, 0, 0, 0), 0, 0, 0);
	overruns(f, CDB(0x12, 0, 0, 0, 96), 0, 40);
	fails(f, CDB(0x12, 0, 0x80, 0, 96), 0, 96, 0x052400); /* a page without EVPD */
	fails(f, CDB(0x12, 1, 0x99, 0, 96), 0, 96, 0x052400);
	f->lun = CD_LUN;
	good(f, CDB(0x12, 0, 0, 0, 96), 0, 96, 66);
	assert_memory_equal(f->data, "\x05\x80\x06\x12\x3d\0\0\x02VMD     CD-ROM          1   ",
			    36);
	assert_memory_equal(f->data + 62, "\x04\xe0", 2);
}

static void vital_product_data(void **state)
{
	struct fixture *f = *state;

	good(f, CDB(0x12, 1, 0x00, 0, 255), 0, 255, 11);
	assert_memory_equal(f->data, "\0\0\0\x07\0\x80\x83\x86\xb0\xb1\xb2", 11);
	good(f, CDB(0x12, 1, 0x80, 0, 255), 0, 255, 12);
	assert_memory_equal(f->data, "\0\x80\0\x08serial-x", 12);
	good(f, CDB(0x12, 1, 0x83, 0, 255), 0, 255, 24);
	assert_memory_equal(f->data, "\0\x83\0\x14\x02\x01\0\x10VMD     serial-x", 24);
	good(f, CDB(0x12, 1, 0x86, 0, 255), 0, 255, 64);
	assert_int_equal(f->data[5], 0x01); /* SIMPSUP alone */
	good(f, CDB(0x12, 1, 0xb0, 0, 255), 0, 255, 64);
	assert_memory_equal(f->data, "\0\xb0\0\x3c\x01\0\0\x08", 8); /* WSNZ; 8 blocks are a page */
	assert_memory_equal(f->data + 20, "\0\x40\0\0\0\0\0\x40\0\0\0\x08", 12); /* 2 GiB, 64 */
	assert_memory_equal(f->data + 32, "\x80\0\0\0", 4);
	assert_memory_equal(f->data + 36, "\0\0\0\0\0\x04\0\0", 8); /* 128 MiB */
	good(f, CDB(0x12, 1, 0xb1, 0, 255), 0, 255, 64);
	assert_memory_equal(f->data + 4, "\0\x01", 2); /* does not rotate */
	good(f, CDB(0x12, 1, 0xb2, 0, 255), 0, 255, 8);
	assert_memory_equal(f->data, "\0\xb2\0\x04\0\xe0\x02\0", 8); /* LBPU LBPWS LBPWS10, thin */
	f->lun = READONLY_LUN;
	good(f, CDB(0x12, 1, 0xb2, 0, 255), 0, 255, 8);
	assert_memory_equal(f->data + 4, "\0\0\0\0", 4);
	f->lun = CD_LUN;
	good(f, CDB(0x12, 1, 0x00, 0, 255), 0, 255, 8);
	assert_memory_equal(f->data, "\x05\0\0\x04\0\x80\x83\x86", 8);
	fails(f, CDB(0x12, 1, 0xb0, 0, 255), 0, 255, 0x052400);
}

/* SPC-4 6.33, SAM-5 4.7.4 */
static void luns(void **state)
{
	struct fixture *f = *state;

	good(f, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0), 0, 256, 8 + 3 * 8);
	assert_memory_equal(f->data, "\0\0\0\x18\0\0\0\0", 8);
	assert_memory_equal(f->data + 8, "\0\0\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0\5\0\0\0\0\0\0", 24);
	good(f, CDB(0xa0, 0, 1, 0, 0, 0, 0, 0, 1, 0), 0, 256, 8); /* well known: none */
	fails(f, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 15), 0, 256, 0x052400);
	fails(f, CDB(0xa0, 0, 3, 0, 0, 0, 0, 0, 1, 0), 0, 256, 0x052400);
	f->lun = 77;
	good(f, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0), 0, 256, 8 + 3 * 8);
	good(f, CDB(0x12, 0, 0, 0, 96), 0, 96, 36);
	assert_int_equal(f->data[0], 0x7f);
	fails(f, CDB(0x12, 1, 0x80, 0, 96), 0, 96, 0x052400);
	fails(f, CDB(0x00), 0, 0, 0x052500);
	good(f, CDB(0x03, 0, 0, 0, 18), 0, 18, 18);
	assert_memory_equal(f->data, "\x70\0\x05\0\0\0\0\x0a\0\0\0\0\x25\0", 14);
	f->lun = UINT32_MAX;
	fails(f, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 0, 512, 0x052500);
}

/* SPC-4 6.11, 6.12, 7.5; SBC-3 6.4 */
static void mode_pages(void **state)
{
	struct fixture *f = *state;

	good(f, CDB(0x1a, 0, 0x3f, 0, 255), 0, 255, 4 + 8 + 12 + 20 + 12);
	assert_memory_equal(f->data, "\x37\0\x10\x08\0\0\x20\0\0\0\x02\0\x01\x0a\x80", 15);
	assert_memory_equal(f->data + 24, "\x08\x12\x04", 3); /* WCE */
	assert_memory_equal(f->data + 44, "\x0a\x0a\0\x10", 4);
	good(f, CDB(0x1a, 8, 0x08, 0, 255), 0, 255, 24); /* DBD */
	good(f, CDB(0x1a, 8, 0x48, 0, 255), 0, 255, 24); /* changeable: nothing */
	assert_memory_equal(f->data + 4, "\x08\x12\0\0", 4);
	good(f, CDB(0x5a, 0x10, 0x08, 0, 0, 0, 0, 0, 255), 0, 255, 8 + 16 + 20);
	assert_memory_equal(f->data, "\0\x2a\0\x10\x01\0\0\x10\0\0\0\0\0\0\x20\0", 16);
	assert_memory_equal(f->data + 20, "\0\0\x02\0\x08\x12\x04", 7);
	fails(f, CDB(0x1a, 0, 0xc8, 0, 255), 0, 255, 0x053900); /* saved */
	fails(f, CDB(0x1a, 0, 0x2a, 0, 255), 0, 255, 0x052400);
	fails(f, CDB(0x1a, 0, 0x08, 1, 255), 0, 255, 0x052400); /* a subpage */
	f->lun = READONLY_LUN;
	good(f, CDB(0x1a, 8, 0x08, 0, 255), 0, 255, 24);
	assert_int_equal(f->data[2], 0x90); /* WP, DPOFUA */
	f->lun = CD_LUN;
	good(f, CDB(0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 255), 0, 255, 28);
	assert_memory_equal(f->data, "\0\x1a\0\0\0\0\0\0\x2a\x12\x08\0\x70\0\x29", 15);
}

/* SPC-4 6.35, 6.36 */
static void supported_commands(void **state)
{
	struct fixture *f = *state;
	unsigned int n;

	run(f, CDB(0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 4, 0), 0, 1024);
	n = (unsigned int)f->data[2] << 8 | f->data[3];
	assert_int_equal(n % 8, 0);
	assert_int_equal(f->task.moved, n + 4);
	for (unsigned int i = 0; i < n; i += 8) /* none of those that are refused */
		assert_true(f->data[4 + i] != 0x5e && f->data[4 + i] != 0x43);
	good(f, CDB(0xa3, 0x0c, 1, 0x28, 0, 0, 0, 0, 0, 255), 0, 255, 14);
	assert_memory_equal(f->data, "\0\x03\0\x0a\x28\xf8\xff\xff\xff\xff\0\xff\xff\4", 14);
	good(f, CDB(0xa3, 0x0c, 2, 0x9e, 0, 0x10, 0, 0, 0, 255), 0, 255, 20);
	assert_memory_equal(f->data, "\0\x03\0\x10\x9e\x10", 6);
	good(f, CDB(0xa3, 0x0c, 1, 0x5f, 0, 0, 0, 0, 0, 255), 0, 255, 4);
	assert_int_equal(f->data[1], 1); /* not supported */
	fails(f, CDB(0xa3, 0x0c, 1, 0x9e, 0, 0x10, 0, 0, 0, 255), 0, 255, 0x052400);
	fails(f, CDB(0xa3, 0x0c, 0x80, 0, 0, 0, 0, 0, 0, 255), 0, 255, 0x052400);
	good(f, CDB(0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 4), 0, 4, 4);
	assert_memory_equal(f->data, "\xdc\x03\0\0", 4);
	fails(f, CDB(0xa3, 0x05, 0, 0, 0, 0, 0, 0, 0, 4), 0, 4, 0x052400);
}

/* There is one initiator: SPC-4 6.14, 6.15 are refused, as is what nobody knows. */
static void refused(void **state)
{
	struct fixture *f = *state;

	fails(f, CDB(0x5e, 0, 0, 0, 0, 0, 0, 0, 24), 0, 24, 0x052000); /* PERSISTENT RESERVE IN */
	fails(f, CDB(0x5f, 0, 0, 0, 0, 0, 0, 0, 24), 24, 0, 0x052000); /* and OUT */
	fails(f, CDB(0x56), 0, 0, 0x052000);			       /* RESERVE(10) */
	fails(f, CDB(0xff), 0, 0, 0x052000);
	fails(f, CDB(0x43, 0, 0, 0, 0, 0, 0, 0, 20), 0, 20, 0x052000); /* a CD-ROM's */
	fails(f, CDB(0x9e, 0x12), 0, 0, 0x052400);		       /* GET LBA STATUS */
	fails(f, CDB(0x00, 0, 0, 0, 0, 0x04), 0, 0, 0x052400);	       /* NACA */
	f->lun = CD_LUN;
	fails(f, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1), 2048, 0, 0x052000); /* WRITE(10) */
}

/* --- blocks: SBC-3, chapter 5 ------------------------------------------------------------------------------ */

static void capacity(void **state)
{
	struct fixture *f = *state;

	good(f, CDB(0x25), 0, 8, 8);
	assert_memory_equal(f->data, "\0\0\x1f\xff\0\0\x02\0", 8);
	good(f, CDB(0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32), 0, 32, 32);
	assert_memory_equal(f->data, "\0\0\0\0\0\0\x1f\xff\0\0\x02\0\0\x03\x80\0", 16);
	f->lun = CD_LUN;
	good(f, CDB(0x25), 0, 8, 8);
	assert_memory_equal(f->data, "\0\0\x01\xff\0\0\x08\0", 8);
}

static void read_and_write(void **state)
{
	static const uint8_t writes[][SCSI_CDB_MAX] = {
		{ 0x0a, 0, 0, 7, 2 },
		{ 0x2a, 0, 0, 0, 0, 7, 0, 0, 2 },
		{ 0xaa, 0, 0, 0, 0, 7, 0, 0, 0, 2 },
		{ 0x8a, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 2 },
		{ 0x2a, 0x08, 0, 0, 0, 7, 0, 0, 2 }, /* FUA */
	};
	static const uint8_t reads[][SCSI_CDB_MAX] = {
		{ 0x08, 0, 0, 7, 2 },
		{ 0x28, 0, 0, 0, 0, 7, 0, 0, 2 },
		{ 0xa8, 0, 0, 0, 0, 7, 0, 0, 0, 2 },
		{ 0x88, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 2 },
		{ 0x28, 0x18, 0, 0, 0, 7, 0, 0, 2 }, /* DPO, FUA */
	};
	struct fixture *f = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(writes); i++) {
		memset(f->send, (int)i + 1, 2048);
		good(f, writes[i], 2048, 0, 1024); /* of more than is wanted, that much */
		assert_int_equal(byte_at(f->disk, 7 * 512 - 1), 0x11);
		assert_int_equal(byte_at(f->disk, 7 * 512), i + 1);
		assert_int_equal(byte_at(f->disk, 9 * 512 - 1), i + 1);
		assert_int_equal(byte_at(f->disk, 9 * 512), 0x11);
		good(f, reads[i], 0, 2048, 1024);
		assert_memory_equal(f->data, f->send, 1024);
		assert_int_equal(f->data[1024], 0xee);
	}
	good(f, CDB(0x35), 0, 0, 0);
	good(f, CDB(0x91, 0x02, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1), 0, 0, 0);
	good(f, CDB(0x28, 0, 0, 0, 0x1f, 0xff, 0, 0, 1), 0, 512, 512); /* the last one */
	good(f, CDB(0x28, 0, 0, 0, 0x20, 0, 0, 0, 0), 0, 0, 0);	       /* none, at the end */
	good(f, CDB(0x08, 0, 0, 0, 0), 0, 256 * 512, 256 * 512);       /* 0 is 256: 5.10 */
	assert_true(f->batches > 0);
}

static void bad_transfers(void **state)
{
	struct fixture *f = *state;

	fails(f, CDB(0x28, 0, 0, 0, 0x20, 0, 0, 0, 1), 0, 512, 0x052100);
	fails(f, CDB(0x28, 0, 0, 0, 0x1f, 0xff, 0, 0, 2), 0, 1024, 0x052100);
	fails(f, CDB(0x88, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1), 0, 512,
	      0x052100);
	/* LBA * 512 is 0 */
	fails(f, CDB(0x8a, 0, 0x00, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), 512, 0, 0x052100);
	fails(f, CDB(0xa8, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff), 0, 512, 0x052100);
	fails(f, CDB(0x28, 0x20, 0, 0, 0, 0, 0, 0, 1), 0, 512, 0x052400); /* RDPROTECT */
	overruns(f, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 2), 0, 1023);
	overruns(f, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 0, 0);
	overruns(f, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 2), 1023, 0);
	assert_int_equal(byte_at(f->disk, 0), 0x11);
	fails(f, CDB(0x35, 0, 0, 0, 0x20, 1), 0, 0, 0x052100);
	good(f, CDB(0x2f, 0, 0, 0, 0x1f, 0xff, 0, 0, 1), 0, 0, 0); /* VERIFY */
	fails(f, CDB(0x2f, 0, 0, 0, 0x1f, 0xff, 0, 0, 2), 0, 0, 0x052100);
	fails(f, CDB(0x2f, 0x02, 0, 0, 0, 0, 0, 0, 1), 512, 0, 0x052400); /* BYTCHK */
	f->lun = READONLY_LUN;
	fails(f, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1), 512, 0, 0x072700);
	fails(f, CDB(0x41, 0, 0, 0, 0, 0, 0, 0, 1), 512, 0, 0x072700);
	fails(f, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 24), 24, 0, 0x052000); /* not thin */
	good(f, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 0, 512, 512);
}

static void put_range(struct fixture *f, unsigned int i, uint8_t lba, uint16_t blocks)
{
	uint8_t *d = f->send + 8 + 16 * i;

	memset(d, 0, 16);
	d[7] = lba;
	d[10] = (uint8_t)(blocks >> 8);
	d[11] = (uint8_t)blocks;
}

/* 5.28 */
static void unmap(void **state)
{
	struct fixture *f = *state;

	f->send[3] = 3 * 16 + 8; /* a half descriptor is ignored */
	put_range(f, 0, 8, 8);
	put_range(f, 1, 0, 0);
	put_range(f, 2, 64, 16);
	good(f, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 8 + 48), 56, 0, 56);
	assert_int_equal(allocated(f->disk), BLOCKS - 24);
	put_range(f, 0, 16, 8);
	put_range(f, 1, 255, 0xffff); /* over the end: nothing of the list is done */
	fails(f, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 8 + 48), 56, 0, 0x052100);
	assert_int_equal(allocated(f->disk), BLOCKS - 24);
	f->send[2] = 4; /* more descriptors than it takes */
	f->send[3] = 16;
	fails(f, CDB(0x42, 0, 0, 0, 0, 0, 0, 0x04, 24), 1100, 0, 0x052600);
	fails(f, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 7), 8, 0, 0x051a00);
	fails(f, CDB(0x42, 1, 0, 0, 0, 0, 0, 0, 24), 24, 0, 0x052400); /* ANCHOR */
	overruns(f, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 24), 23, 0);
	good(f, CDB(0x42), 0, 0, 0);
}

/* 5.39, 5.40 */
static void write_same(void **state)
{
	struct fixture *f = *state;

	/* zeroes; with UNMAP the space goes */
	good(f, CDB(0x41, 0, 0, 0, 0, 1, 0, 0, 3), 512, 0, 512);
	assert_int_equal(byte_at(f->disk, 511), 0x11);
	assert_int_equal(byte_at(f->disk, 512), 0);
	assert_int_equal(byte_at(f->disk, 2047), 0);
	assert_int_equal(byte_at(f->disk, 2048), 0x11);
	good(f, CDB(0x93, 0x08, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 16), 512, 0, 512);
	assert_int_equal(allocated(f->disk), BLOCKS - 16);
	good(f, CDB(0x93, 0x09, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 16), 0, 0, 0); /* NDOB */
	assert_int_equal(allocated(f->disk), BLOCKS - 32);
	/* a pattern, over several parts of it */
	for (unsigned int i = 0; i < 512; i++)
		f->send[i] = (uint8_t)i;
	good(f, CDB(0x41, 0, 0, 0, 0, 3, 0, 0x01, 0x2c), 512, 0, 512); /* 300 blocks */
	for (unsigned int block = 3; block < 303; block++)
		assert_int_equal(byte_at(f->disk, block * 512 + 0xab), 0xab);
	assert_int_equal(byte_at(f->disk, 3 * 512 - 1), 0);
	assert_int_equal(byte_at(f->disk, 303 * 512 + 1), 0x11);
	fails(f, CDB(0x41, 0, 0, 0, 0, 0, 0, 0, 0), 512, 0, 0x052400); /* WSNZ */
	fails(f, CDB(0x41, 0x10, 0, 0, 0, 0, 0, 0, 1), 512, 0, 0x052400);
	fails(f, CDB(0x93, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1), 512, 0, 0x052400); /* too many */
	fails(f, CDB(0x41, 0, 0, 0, 0x1f, 0xff, 0, 0, 2), 512, 0, 0x052100);
	overruns(f, CDB(0x41, 0, 0, 0, 0, 0, 0, 0, 1), 511, 0);
}

static int64_t failing_step(const struct block *b, const struct block_step *s)
{
	return s->kind == BLOCK_STEP_READV    ? -EIO
	       : s->kind == BLOCK_STEP_WRITEV ? -ENOSPC
					      : raw_step(b, s);
}

/* What the host's disk cannot do is told by sense data: SBC-3 4.7.3.6 for no space */
static void host_faults(void **state)
{
	struct block_image image = { .engine = BLOCK_ENGINE_PSYNC };
	struct fixture *f = *state;
	struct block *b;

	image.fd = dup(f->disk);
	assert_int_equal(block_open(&image, &b, NULL), 0);
	b->step = failing_step;
	add(f, SCSI_DISK, 9, b);
	f->lun = 9;
	run(f, CDB(0x03, 0, 0, 0, 18), 0, 18);
	fails(f, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 0, 512, 0x031100);
	fails(f, CDB(0x2a, 0, 0, 0, 0, 0, 0, 0, 1), 512, 0, 0x072707);
	f->send[0] = 1;
	fails(f, CDB(0x41, 0, 0, 0, 0, 0, 0, 0, 1), 512, 0, 0x072707);
	fails(f, CDB(0x41, 0, 0, 0, 0, 0, 0, 0, 1), 512, 0, 0x072707); /* and not BUSY */
}

/* --- attention: SAM-5 5.14 ------------------------------------------------------------------------------- */

static void attention(void **state)
{
	struct fixture *f = *state;

	scsi_target_reset(f->t);
	good(f, CDB(0x12, 0, 0, 0, 36), 0, 36, 36); /* not taken by INQUIRY */
	fails(f, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 0, 512, 0x062900);
	good(f, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 0, 512, 512);
	f->lun = READONLY_LUN; /* each unit has its own; REQUEST SENSE takes it as data */
	good(f, CDB(0x03, 0, 0, 0, 252), 0, 252, 18);
	assert_memory_equal(f->data, "\x70\0\x06\0\0\0\0\x0a\0\0\0\0\x29\0", 14);
	good(f, CDB(0x03, 0, 0, 0, 252), 0, 252, 18);
	assert_memory_equal(f->data, "\x70\0\0\0\0\0\0\x0a\0\0\0\0\0\0", 14);
	good(f, CDB(0x00), 0, 0, 0);
	scsi_target_reset_unit(f->t, READONLY_LUN);
	fails(f, CDB(0x00), 0, 0, 0x062903);
	good(f, CDB(0x00), 0, 0, 0);
	f->lun = 0;
	good(f, CDB(0x00), 0, 0, 0);
	scsi_target_reset_unit(f->t, 200); /* not there */
}

/* --- CD-ROM: MMC-6 ---------------------------------------------------------------------------------------- */

static void cdrom(void **state)
{
	struct fixture *f = *state;

	f->lun = CD_LUN;
	good(f, CDB(0x28, 0, 0, 0, 0, 1, 0, 0, 2), 0, 4096, 4096);
	assert_int_equal(f->data[4095], 0x22);
	fails(f, CDB(0x28, 0, 0, 0, 0x02, 0, 0, 0, 1), 0, 2048, 0x052100);
	/* 6.25: tracks by LBA and by MSF; sessions */
	good(f, CDB(0x43, 0, 0, 0, 0, 0, 0, 0, 255), 0, 255, 20);
	assert_memory_equal(f->data, "\0\x12\1\1\0\x14\1\0\0\0\0\0\0\x14\xaa\0\0\0\x02\0", 20);
	good(f, CDB(0x43, 2, 0, 0, 0, 0, 0xaa, 0, 255), 0, 255, 12);
	assert_memory_equal(f->data, "\0\x0a\1\1\0\x14\xaa\0\0\0\x08\x3e", 12); /* 512 + 150 */
	good(f, CDB(0x43, 0, 1, 0, 0, 0, 0, 0, 255), 0, 255, 12);
	assert_memory_equal(f->data, "\0\x0a\1\1\0\x14\1\0\0\0\0\0", 12);
	good(f, CDB(0x43, 0, 0, 0, 0, 0, 0, 0, 255, 0x40), 0, 255, 12);
	fails(f, CDB(0x43, 0, 2, 0, 0, 0, 0, 0, 255), 0, 255, 0x052400);
	fails(f, CDB(0x43, 0, 0, 0, 0, 0, 2, 0, 255), 0, 255, 0x052400);
	/* 6.21 */
	good(f, CDB(0x51, 0, 0, 0, 0, 0, 0, 0, 255), 0, 255, 34);
	assert_memory_equal(f->data, "\0\x20\x0e\1\1\1\1\x20", 8);
	good(f, CDB(0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8), 0, 8, 8);
	/* 6.5 */
	good(f, CDB(0x46, 0, 0, 0, 0, 0, 0, 1, 0), 0, 256, 68);
	assert_memory_equal(f->data, "\0\0\0\x40\0\0\0\x08\0\0\x03\x08\0\x10\0\0\0\x08\1\0", 20);
	good(f, CDB(0x46, 2, 0, 0x1e, 0, 0, 0, 1, 0), 0, 256, 16);
	assert_memory_equal(f->data + 8, "\0\x1e\x09\x04", 4); /* current */
	good(f, CDB(0x46, 2, 0, 0x30, 0, 0, 0, 1, 0), 0, 256, 8);
	fails(f, CDB(0x46, 3, 0, 0, 0, 0, 0, 1, 0), 0, 256, 0x052400);
}

/* 6.15, 6.42: locked, opened, closed by the initiator */
static void tray(void **state)
{
	struct fixture *f = *state;
	struct scsi_drive d;

	f->lun = CD_LUN;
	good(f, CDB(0x1e, 0, 0, 0, 1), 0, 0, 0);
	fails(f, CDB(0x1b, 0, 0, 0, 2), 0, 0, 0x055302);
	assert_true(scsi_target_drive(f->t, CD_LUN, &d) && d.locked && !d.open && d.medium);
	good(f, CDB(0x1e, 0, 0, 0, 0), 0, 0, 0);
	good(f, CDB(0x1b, 0, 0, 0, 2), 0, 0, 0);
	assert_true(f->trays == 1 && f->tray_open);
	fails(f, CDB(0x00), 0, 0, 0x023a02);
	fails(f, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 0, 2048, 0x023a02);
	good(f, CDB(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), 0, 8, 8);
	assert_memory_equal(f->data, "\0\x06\x04\x10\x03\x01", 6); /* removed; open */
	good(f, CDB(0x46, 0, 0, 0, 0, 0, 0, 0, 8), 0, 8, 8);
	assert_memory_equal(f->data + 6, "\0\0", 2); /* no profile is current */
	good(f, CDB(0x1b, 0, 0, 0, 3), 0, 0, 0);     /* the same medium is in it yet */
	assert_true(f->trays == 2 && !f->tray_open && f->changed_sense == 0x2800);
	fails(f, CDB(0x00), 0, 0, 0x062800);
	good(f, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 0, 2048, 2048);
	good(f, CDB(0x1b, 0, 0, 0, 1), 0, 0, 0); /* START */
	scsi_target_reset(f->t);
	f->lun = 0;
	run(f, CDB(0x00), 0, 0);
	fails(f, CDB(0x1b, 0, 0, 0, 2), 0, 0, 0x052400); /* a disk has no tray */
	good(f, CDB(0x1b, 0, 0, 0, 0), 0, 0, 0);
	assert_false(scsi_target_drive(f->t, 0, &d));
}

/* The host puts another one in, takes it out, asks for it */
static void medium(void **state)
{
	int other = memory_file(2 * MIB, 0x33);
	struct fixture *f = *state;
	struct err e = { 0 };
	struct scsi_drive d;

	f->lun = CD_LUN;
	good(f, CDB(0x1e, 0, 0, 0, 1), 0, 0, 0);
	scsi_target_ask_eject(f->t, CD_LUN);
	good(f, CDB(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), 0, 8, 8);
	assert_memory_equal(f->data + 4, "\x01\x02", 2); /* EjectRequest; present */
	assert_int_equal(scsi_target_set_medium(f->t, CD_LUN, image_of(other, true), &e), 0);
	assert_true(f->changes == 1 && f->changed_lun == CD_LUN && f->changed_sense == 0x2800);
	good(f, CDB(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), 0, 8, 8);
	assert_memory_equal(f->data + 4, "\x02\x02", 2); /* NewMedia */
	fails(f, CDB(0x25), 0, 8, 0x062800);
	good(f, CDB(0x25), 0, 8, 8);
	assert_memory_equal(f->data, "\0\0\x03\xff", 4);
	good(f, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 0, 2048, 2048);
	assert_int_equal(f->data[0], 0x33);
	good(f, CDB(0x1b, 0, 0, 0, 2), 0, 0, 0); /* the old lock is gone */
	assert_int_equal(scsi_target_set_medium(f->t, CD_LUN, NULL, &e), 0);
	assert_true(scsi_target_drive(f->t, CD_LUN, &d) && d.open && !d.medium);
	assert_null(scsi_target_medium(f->t, CD_LUN));
	fails(f, CDB(0x00), 0, 0, 0x062800);
	fails(f, CDB(0x00), 0, 0, 0x023a02);
	good(f, CDB(0x1b, 0, 0, 0, 3), 0, 0, 0);
	fails(f, CDB(0x00), 0, 0, 0x023a01); /* closed and empty */
	/* what is no medium leaves the drive alone */
	assert_int_equal(ftruncate(other, 1024), 0);
	assert_int_equal(scsi_target_set_medium(f->t, CD_LUN, image_of(other, true), &e),
			 -ERR_FILE);
	assert_string_equal(e.msg, "a CD has blocks of 2048 bytes, and one at least");
	assert_null(scsi_target_medium(f->t, CD_LUN));
	close(other);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(inquiry),
		T(vital_product_data),
		T(luns),
		T(mode_pages),
		T(supported_commands),
		T(refused),
		T(capacity),
		T(read_and_write),
		T(bad_transfers),
		T(unmap),
		T(write_same),
		T(host_faults),
		T(attention),
		T(cdrom),
		T(tray),
		T(medium),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
