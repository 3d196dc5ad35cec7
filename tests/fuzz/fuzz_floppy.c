// SPDX-License-Identifier: MIT
/*
 * The floppy controller with a guest that knows its ports: the input says which bytes go to the FIFO, what the DMA
 * controllers are told, when the machine pauses or is reset and which disks come and go. Whatever that is, the
 * controller comes to rest, and after a reset it reads a sector again.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/json.h"
#include "tests/unit/fake_board.h"
#include "vmm/dev/floppy.h"
#include "vmm/devices.h"

#define FUZZ_MEM (256 * KIB)
#define FUZZ_OPS_MAX 4096
#define FUZZ_TURNS 64
#define FUZZ_DATA 0x1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	struct fake_board fb;
	struct device *dev;
	struct floppy *f;
	const uint8_t *data;
	size_t left;
};

static uint8_t fuzz_take(struct fuzz *f)
{
	if (!f->left)
		return 0;
	f->left--;
	return *f->data++;
}

static int fuzz_image(unsigned int kib)
{
	int fd = memfd_create("floppy", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)(kib * KIB)) < 0)
		abort();
	return fd;
}

/* What was begun has ended */
static void fuzz_rest(struct fuzz *f)
{
	for (unsigned int i = 0; i < FUZZ_TURNS; i++) {
		fake_board_run(&f->fb);
		fake_board_watched(&f->fb);
	}
	if (f->f->io.busy || f->f->phase == FLOPPY_BUSY)
		__builtin_trap();
}

static void fuzz_command(struct fuzz *f)
{
	/* those that move data, with the FIFO and without; of all others there is one each */
	static const uint8_t codes[] = { 0x46, 0xc6, 0x45, 0xc5, 0x4d, 0x4a, 0x42, 0x56, 0x4c, 0x6c,
					 0x49, 0x0f, 0x07, 0x08, 0x03, 0x13, 0x8f, 0xcf, 0x04, 0x0e,
					 0x12, 0x14, 0x94, 0x10, 0x51, 0xd1, 0x59, 0x5d };
	uint8_t code = fuzz_take(f);
	unsigned int n = fuzz_take(f) % 9;

	fake_out8(&f->fb, 0x3f5, code < 0xc0 ? codes[code % sizeof(codes)] : code);
	while (n--)
		fake_out8(&f->fb, 0x3f5, fuzz_take(f));
}

/* A sector or more through the FIFO, or a result */
static void fuzz_fifo(struct fuzz *f)
{
	unsigned int n = fuzz_take(f) * 8u;
	bool out = n & 8;

	for (; n; n--)
		if (out)
			fake_out8(&f->fb, 0x3f5, (uint8_t)n);
		else
			fake_in8(&f->fb, 0x3f5);
}

static void fuzz_dma(struct fuzz *f)
{
	fake_out8(&f->fb, 0xc, 0);
	fake_out8(&f->fb, 0xb, (fuzz_take(f) & ~3) | 2);
	for (uint16_t port = 4; port <= 5; port++)
		for (int i = 0; i < 2; i++)
			fake_out8(&f->fb, port, fuzz_take(f));
	fake_out8(&f->fb, 0x81, fuzz_take(f) & 7);
	fake_out8(&f->fb, 0xa, 2);
}

static void fuzz_port(struct fuzz *f)
{
	static const uint16_t ports[] = { 0x3f2, 0x3f4, 0x3f7, 0x3f3, 0x08, 0x0a,
					  0x0b,	 0x0d,	0x0f,  0xd0,  0x80 };
	uint16_t port = ports[fuzz_take(f) % ARRAY_SIZE(ports)];

	fake_out8(&f->fb, port, fuzz_take(f));
	fake_in8(&f->fb, port);
}

static void fuzz_media(struct fuzz *f)
{
	static const unsigned int sizes[] = { 0, 160, 360, 720, 1200, 1440, 2880, 1000 };
	uint8_t what = fuzz_take(f);
	unsigned int kib = sizes[what % 8];
	struct device_medium m = { .dry_run = what & 0x20 };
	struct block_image image = { .readonly = what & 0x10, .engine = BLOCK_ENGINE_PSYNC };

	if (kib) {
		image.fd = fuzz_image(kib);
		fstat(image.fd, &m.file);
		if (block_open(&image, &m.block, NULL) < 0)
			abort();
	}
	f->dev->class->set_medium(f->dev, what >> 7, &m, NULL);
	block_free(m.block);
}

static void fuzz_pause(struct fuzz *f)
{
	f->dev->class->stop(f->dev);
	if (fuzz_take(f) & 1)
		f->dev->class->reset(f->dev);
	f->dev->class->start(f->dev);
}

static void (*const fuzz_ops[])(struct fuzz *f) = {
	fuzz_command, fuzz_fifo,  fuzz_dma,  fuzz_port,
	fuzz_media,   fuzz_pause, fuzz_rest, fuzz_command,
};

/* What a guest's driver would do then, from the beginning: it works. */
static void fuzz_recovers(struct fuzz *f)
{
	static const uint8_t read[] = { 0x46, 0, 0, 0, 1, 2, 18, 0x1b, 0xff };
	struct device_medium m = { .force = true };
	struct block_image image = { .fd = fuzz_image(1440), .engine = BLOCK_ENGINE_PSYNC };

	f->dev->class->stop(f->dev);
	f->dev->class->reset(f->dev);
	f->dev->class->start(f->dev);
	if (pwrite(image.fd, "recovered", 9, 0) != 9 || block_open(&image, &m.block, NULL) < 0 ||
	    f->dev->class->set_medium(f->dev, 0, &m, NULL) < 0)
		abort();
	fuzz_rest(f);
	fake_out8(&f->fb, 0x3f2, 0x1c);
	fake_out8(&f->fb, 0x3f7, 0);
	for (int i = 0; i < 4; i++) {
		fake_out8(&f->fb, 0x3f5, 0x08);
		fake_in8(&f->fb, 0x3f5);
		fake_in8(&f->fb, 0x3f5);
	}
	for (int i = 0; i < 2; i++) { /* from beyond track 79, too */
		fake_out8(&f->fb, 0x3f5, 0x07);
		fake_out8(&f->fb, 0x3f5, 0);
		fake_out8(&f->fb, 0x3f5, 0x08);
		fake_in8(&f->fb, 0x3f5);
		fake_in8(&f->fb, 0x3f5);
	}
	fake_out8(&f->fb, 0xb, 0x46);
	fake_out8(&f->fb, 0x4, FUZZ_DATA & 0xff);
	fake_out8(&f->fb, 0x4, FUZZ_DATA >> 8);
	fake_out8(&f->fb, 0x5, 0xff);
	fake_out8(&f->fb, 0x5, 0x01);
	fake_out8(&f->fb, 0xa, 2);
	for (unsigned int i = 0; i < sizeof(read); i++)
		fake_out8(&f->fb, 0x3f5, read[i]);
	fuzz_rest(f);
	if (memcmp(f->fb.mem + FUZZ_DATA, "recovered", 9) || fake_in8(&f->fb, 0x3f5) != 0)
		__builtin_trap();
}

static void fuzz_make(struct fuzz *f)
{
	static const char json[] =
		"{\"type\":\"floppy\",\"id\":\"floppy\",\"disks\":[{\"id\":\"a\",\"unit\":0,"
		"\"path\":{\"fd\":0}},{\"id\":\"b\",\"unit\":1,\"model\":\"1.2MB\"}]}";
	struct json_object *o;
	struct fdset fds;
	struct err e;

	fake_board_init(&f->fb, FUZZ_MEM);
	f->fb.log.fd = -1;
	fdset_init(&fds);
	fdset_add(&fds, fuzz_image(1440));
	if (json_parse(json, strlen(json), &o, &e) < 0 ||
	    device_new(&f->fb.board, o, &fds, &f->dev, &e) < 0)
		abort();
	json_object_put(o);
	fdset_fini(&fds);
	f->f = container_of(f->dev, struct floppy, dev);
	f->dev->class->reset(f->dev);
	f->dev->class->start(f->dev);
	fake_out8(&f->fb, 0x3f2, 0x1c);
	fake_out8(&f->fb, 0x3f7, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz *f = calloc(1, sizeof(*f));

	if (!f)
		abort();
	f->data = data;
	f->left = size;
	fuzz_make(f);
	for (unsigned int i = 0; i < FUZZ_OPS_MAX && f->left; i++)
		fuzz_ops[fuzz_take(f) % ARRAY_SIZE(fuzz_ops)](f);
	fuzz_recovers(f);
	f->dev->class->stop(f->dev);
	device_free(f->dev);
	if (f->fb.pio.nregions)
		__builtin_trap();
	fake_board_fini(&f->fb);
	free(f);
	return 0;
}
