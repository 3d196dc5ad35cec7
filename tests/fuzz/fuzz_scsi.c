// SPDX-License-Identifier: MIT
/*
 * The SCSI target by its commands: a disk, a read-only one and a CD-ROM drive, and an input that is an initiator: CDBs,
 * data that is longer or shorter than they say, resets, media that come and go. What must hold: each task ends, once, with
 * a status that fits its sense data, and has moved no more than there was a place for.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/input.h"
#include "vmm/scsi/scsi.h"

#define FUZZ_IMAGE (64 * KIB)
#define FUZZ_DATA 4096
#define FUZZ_OPS_MAX 256
#define FUZZ_CD 2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	uv_loop_t loop;
	struct scsi_target *target;
	struct scsi_task task;
	unsigned int dones;
	struct fuzz_input input;
};

static struct block *fuzz_image(bool readonly)
{
	struct block_image image = { .readonly = readonly, .engine = BLOCK_ENGINE_PSYNC };
	struct block *b;

	image.fd = memfd_create("disk", MFD_CLOEXEC);
	if (image.fd < 0 || ftruncate(image.fd, FUZZ_IMAGE) < 0 || block_open(&image, &b, NULL) < 0)
		abort();
	return b;
}

static void fuzz_done(struct scsi_task *t)
{
	container_of(t, struct fuzz, task)->dones++;
}

static void fuzz_check(const struct fuzz *f, size_t out, size_t in)
{
	const struct scsi_task *t = &f->task;

	if (f->dones != 1 || t->moved > MAX(out, in) || (t->overrun && t->moved))
		abort();
	if ((t->status == SCSI_CHECK_CONDITION) != (t->sense_len == SCSI_SENSE_SIZE))
		abort();
	if (t->status != SCSI_GOOD && t->status != SCSI_CHECK_CONDITION && t->status != SCSI_BUSY)
		abort();
}

/* Buffers of their exact size, so that AddressSanitizer sees what is beyond them */
static void fuzz_command(struct fuzz *f)
{
	size_t out = fuzz_take(&f->input, 2) % FUZZ_DATA, in = fuzz_take(&f->input, 2) % FUZZ_DATA;
	uint8_t *to = malloc(out + 1), *from = malloc(in + 1);
	size_t cut = fuzz_take(&f->input, 1);
	struct iovec iov[4];

	if (!to || !from)
		abort();
	memset(to, (int)fuzz_take(&f->input, 1), out + 1);
	for (size_t i = 0; i < MIN(out, 64u); i++)
		to[i] = (uint8_t)fuzz_take(&f->input, 1);
	cut = MIN(cut, MIN(out, in));
	iov[0] = (struct iovec){ to, cut };
	iov[1] = (struct iovec){ to + cut, out - cut };
	iov[2] = (struct iovec){ from, cut };
	iov[3] = (struct iovec){ from + cut, in - cut };
	f->task = (struct scsi_task){ .out = iov, .nout = 2, .in = iov + 2, .nin = 2 };
	f->task.done = fuzz_done;
	f->task.lun = (uint32_t)fuzz_take(&f->input, 1) % 4;
	for (size_t i = 0; i < 16; i++)
		f->task.cdb[i] = (uint8_t)fuzz_take(&f->input, 1);
	f->dones = 0;
	scsi_target_start(f->target, &f->task);
	scsi_target_submit(f->target);
	fuzz_check(f, out, in);
	free(to);
	free(from);
}

static void fuzz_other(struct fuzz *f, unsigned int what)
{
	switch (what) {
	case 0:
		scsi_target_reset(f->target);
		break;
	case 1:
		scsi_target_reset_unit(f->target, (uint32_t)fuzz_take(&f->input, 1));
		break;
	case 2:
		scsi_target_ask_eject(f->target, FUZZ_CD);
		break;
	default:
		scsi_target_set_medium(f->target, FUZZ_CD, what == 3 ? fuzz_image(true) : NULL,
				       NULL);
	}
}

static void fuzz_add(struct fuzz *f, enum scsi_kind kind, uint16_t lun, struct block *block)
{
	struct scsi_unit_cfg cfg = { .kind = kind, .lun = lun, .serial = "s", .block = block };

	if (scsi_target_add(f->target, &cfg, NULL) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct scsi_target_ops ops;
	struct fuzz f = { .input = { data, size } };

	if (uv_loop_init(&f.loop) || scsi_target_new(&ops, &f, &f.target, NULL) < 0)
		abort();
	fuzz_add(&f, SCSI_DISK, 0, fuzz_image(false));
	fuzz_add(&f, SCSI_DISK, 1, fuzz_image(true));
	fuzz_add(&f, SCSI_CDROM, FUZZ_CD, fuzz_image(true));
	if (scsi_target_attach(f.target, &f.loop, NULL) < 0)
		abort();
	for (unsigned int i = 0; i < FUZZ_OPS_MAX && f.input.left; i++) {
		unsigned int op = (unsigned int)fuzz_take(&f.input, 1);

		if (op < 0xf0)
			fuzz_command(&f);
		else
			fuzz_other(&f, op % 5);
	}
	scsi_target_detach(f.target);
	scsi_target_free(f.target);
	uv_run(&f.loop, UV_RUN_NOWAIT);
	uv_loop_close(&f.loop);
	return 0;
}
