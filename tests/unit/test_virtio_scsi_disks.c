// SPDX-License-Identifier: MIT
// Disks of the SCSI controller that come and go, and what their configuration says: limits, cache, what the host cannot do.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/json.h"
#include "tests/lib/skip.h"
#include "tests/unit/guest_scsi.h"
#include "vmm/block/engine.h"
#include "vmm/scsi/unit.h"

#define READ(lba, n) CDB(0x28, 0, 0, 0, 0, (lba), 0, 0, (n))

/* --- they come and go -------------------------------------------------------------------------------------- */

/* A disk as it comes by the control socket; its file is the fixture's. 0, or what is wrong with it. */
static int unit_add(struct gscsi *f, const char *json, struct err *e)
{
	AUTO_JSON struct json_object *o = NULL;
	struct device_unit *unit = NULL;
	struct fdset fds;
	int ret;

	fdset_init(&fds);
	fdset_add(&fds, dup(f->fd));
	assert_int_equal(json_parse(json, strlen(json), &o, e), 0);
	ret = f->dev->class->unit_new(f->dev, o, &fds, &unit, e);
	fdset_fini(&fds);
	return ret < 0 ? ret : f->dev->class->unit_add(f->dev, unit, e);
}

#define NEW_DISK "{\"id\":\"new\",\"lun\":3,\"path\":{\"fd\":0}}"

/* 5.6.6.4: the driver is told of each, and finds it as it was told */
static void units_come_and_go(void **state)
{
	struct gscsi *f = *state;
	const struct device_class *class = f->dev->class;
	struct err e = { 0 };

	gscsi_ready(f);
	gscsi_fails(f, LUN(3), CDB(0), 0x052500);
	gscsi_add_event_buffer(f, 16);
	assert_int_equal(unit_add(f, NEW_DISK, &e), 0);
	gscsi_expect_event(f, VIRTIO_SCSI_T_TRANSPORT_RESET, 3, VIRTIO_SCSI_EVT_RESET_RESCAN);
	assert_string_equal(class->unit(f->dev, 1), "new");
	assert_string_equal(class->unit(f->dev, 2), "scsi0.7");
	assert_null(class->unit(f->dev, 3));
	gscsi_fails(f, LUN(3), CDB(0), 0x062900);
	gscsi_fails(f, LUN(0), CDB(0), 0x063f0e); /* told once, by whoever is asked first */
	gscsi_good(f, LUN(3), CDB(0), 0, 0, 0);
	gscsi_good(f, LUN(3), CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 0, 512, 0);
	gscsi_add_event_buffer(f, 16);
	assert_int_equal(class->unit_remove(f->dev, "new", &e), 0);
	gscsi_expect_event(f, VIRTIO_SCSI_T_TRANSPORT_RESET, 3, VIRTIO_SCSI_EVT_RESET_REMOVED);
	gscsi_fails(f, LUN(3), CDB(0), 0x052500);
	assert_int_equal(class->unit_remove(f->dev, "new", &e), -ERR_VM_NO_DEVICE);
	assert_string_equal(e.msg, "the controller has no disk 'new'");
	/* while the machine stands still: told when it goes on */
	class->stop(f->dev);
	assert_int_equal(unit_add(f, NEW_DISK, &e), 0);
	class->start(f->dev);
	gscsi_add_event_buffer(f, 16);
	gscsi_expect_event(f, VIRTIO_SCSI_T_TRANSPORT_RESET, 3, VIRTIO_SCSI_EVT_RESET_RESCAN);
	gscsi_fails(f, LUN(3), CDB(0), 0x062900);
}

/* What a driver takes for the disk that was there must not be another one. */
static void unit_of_an_untold_lun(void **state)
{
	struct gscsi *f = *state;
	const struct device_class *class = f->dev->class;
	struct err e = { 0 };

	gscsi_ready(f);
	assert_int_equal(class->unit_remove(f->dev, "root", &e), 0); /* no buffer for the event */
	assert_int_equal(unit_add(f, "{\"id\":\"b\",\"lun\":0,\"path\":{\"fd\":0}}", &e),
			 -ERR_BUSY);
	assert_string_equal(e.msg, "the guest was not yet told that what had LUN 0 is gone");
	assert_int_equal(unit_add(f, NEW_DISK, &e), 0);
	gscsi_add_event_buffer(f, 16);
	gscsi_expect_event(f, VIRTIO_SCSI_T_TRANSPORT_RESET, 0, VIRTIO_SCSI_EVT_RESET_REMOVED);
	gscsi_add_event_buffer(f, 16);
	gscsi_expect_event(f, VIRTIO_SCSI_T_TRANSPORT_RESET, 3, VIRTIO_SCSI_EVT_RESET_RESCAN);
	assert_int_equal(unit_add(f, "{\"id\":\"b\",\"lun\":0,\"path\":{\"fd\":0}}", &e), 0);
	/* another driver looks for itself: it is told nothing of what was before */
	assert_int_equal(class->unit_remove(f->dev, "new", &e), 0);
	assert_true(guest_virtio_start(&f->g, FEATURES, 3));
	assert_int_equal(unit_add(f, NEW_DISK, &e), 0);
	gscsi_add_event_buffer(f, 16);
	gscsi_expect_event(f, VIRTIO_SCSI_T_TRANSPORT_RESET, 3, VIRTIO_SCSI_EVT_RESET_RESCAN);
}

static void bad_units(void **state)
{
	struct gscsi *f = *state;
	static const char *const rows[][2] = {
		{ "{\"id\":\"a\",\"lun\":0,\"path\":{\"fd\":0}}", "LUN 0 is taken" },
		{ "{\"id\":\"a\",\"lun\":256,\"path\":{\"fd\":0}}", "LUN 256 is too large" },
		{ "{\"id\":\"a\",\"lun\":1}", "no image" },
		{ "{\"id\":\"a\",\"lun\":1,\"path\":{\"fd\":1}}",
		  "path: descriptor 1 was not passed" },
		{ "{\"id\":\"a\",\"lun\":1,\"format\":\"qcow2\",\"path\":{\"fd\":0}}",
		  "the disk image is not in the qcow2 format" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = { 0 };

		assert_true(unit_add(f, rows[i][0], &e) < 0);
		assert_string_equal(e.msg, rows[i][1]);
	}
	assert_null(f->dev->class->unit(f->dev, 2));
}

/* A disk goes once what is under way on it has ended. */
static void unit_goes_busy(void **state)
{
	struct gscsi *f = *state;
	static const uint8_t block[512];
	struct err e = { 0 };
	int pipes[2];

	gscsi_ready(f);
	if (!gscsi_make_slow(f, pipes))
		SKIP_BECAUSE("no io_uring");
	gscsi_add_request(f, LUN(0), CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 0, 512);
	fake_board_run(&f->fb);
	assert_int_equal(write(pipes[1], block, sizeof(block)), sizeof(block));
	assert_int_equal(f->dev->class->unit_remove(f->dev, "root", &e), 0);
	assert_int_equal(gscsi_collect(f, VSCSI_REQUESTS, 0), RESP_SIZE + 512);
	assert_int_equal(gscsi_response(f).response, VIRTIO_SCSI_S_OK);
	assert_int_equal(gscsi_response(f).status, 0);
	gscsi_fails(f, LUN(0), CDB(0), 0x052500);
	close(pipes[0]);
	close(pipes[1]);
}

/* A step that was queued by the end of the one before leaves the disk listed, and nothing leads to one that is gone. */
static void unit_goes_after_steps(void **state)
{
	struct gscsi *f = *state;
	struct scsi_target *t = gscsi_vscsi(f)->target;
	struct err e = { 0 };

	gscsi_ready(f);
	assert_null(t->dirty);
	t->units[0]->dirty = true;
	t->dirty = t->units[0];
	assert_int_equal(f->dev->class->unit_remove(f->dev, "root", &e), 0);
	assert_null(t->dirty);
	gscsi_fails(f, LUN(7), CDB(0), 0x063f0e);
}

/* --- what the host cannot do ------------------------------------------------------------------------------- */

static const char *const stopping =
	"{\"type\":\"virtio-scsi\",\"id\":\"scsi0\",\"address\":\"00:03.0\",\"disks\":["
	"{\"id\":\"root\",\"lun\":0,\"path\":{\"fd\":0},\"on_error\":\"stop\"},"
	"{\"id\":\"cd\",\"lun\":7,\"kind\":\"cdrom\",\"readonly\":true}]}";

static int setup_stopping(void **state)
{
	*state = gscsi_start(stopping);
	return 0;
}

static bool noticed(void *arg)
{
	struct gscsi *f = arg;

	fake_board_watched(&f->fb);
	return f->fb.nnotices > 0;
}

static bool unanswered(struct gscsi *f)
{
	struct guest_ring *r = &f->g.rings[VSCSI_REQUESTS];

	fake_board_run(&f->fb);
	return guest_ring_used(r)->idx == r->used_idx && gscsi_response(f).response == 0xee;
}

/* Of a read of two blocks in two pieces, the second is not there any more */
static void hold_a_read(struct gscsi *f)
{
	struct guest_ring *r = &f->g.rings[VSCSI_REQUESTS];

	assert_int_equal(ftruncate(f->fd, 9 * 512), 0);
	gscsi_put_request(f, LUN(0), READ(8, 2), 42);
	memset(f->fb.mem + DATA, 0, 1024);
	guest_ring_set(r, 0, REQ, REQ_SIZE, F_NEXT, 1);
	guest_ring_set(r, 1, RESP, RESP_SIZE, F_WRITE | F_NEXT, 2);
	guest_ring_set(r, 2, DATA, 100, F_WRITE | F_NEXT, 3);
	guest_ring_set(r, 3, DATA + 100, 924, F_WRITE, 0);
	guest_ring_add(r, 0);
	guest_virtio_kick(&f->g, VSCSI_REQUESTS);
	fake_board_run_until(&f->fb, noticed, f);
	assert_string_equal(f->fb.notice,
			    "disk-stopped: disk 'root': read at byte 4096: Input/output error");
	assert_true(unanswered(f));
}

static void fill(struct gscsi *f)
{
	uint8_t block[4096];

	memset(block, 0xff, sizeof(block));
	assert_int_equal(ftruncate(f->fd, DISK), 0);
	assert_int_equal(pwrite(f->fd, block, sizeof(block), 4096), sizeof(block));
}

static void held_and_tried_again(void **state)
{
	struct gscsi *f = *state;

	gscsi_ready(f);
	hold_a_read(f);
	/* the others go on */
	gscsi_fails(f, LUN(7), CDB(0), 0x023a01);
	memset(f->fb.mem + RESP, 0xee, RESP_SIZE);
	f->dev->class->stop(f->dev);
	assert_true(unanswered(f));
	fill(f);
	f->dev->class->start(f->dev);
	assert_int_equal(gscsi_collect(f, VSCSI_REQUESTS, 0), RESP_SIZE + 1024);
	assert_int_equal(gscsi_response(f).status, 0);
	for (int i = 0; i < 1024; i++)
		assert_int_equal(f->fb.mem[DATA + i], 0xff);
}

/* What is held is not with the host: a function that aborts it need not wait. */
static void held_and_aborted(void **state)
{
	struct gscsi *f = *state;

	gscsi_ready(f);
	hold_a_read(f);
	assert_int_equal(gscsi_tmf(f, VIRTIO_SCSI_T_TMF_ABORT_TASK, LUN(0), 42), VIRTIO_SCSI_S_OK);
	assert_int_equal(gscsi_collect(f, VSCSI_REQUESTS, 0), RESP_SIZE);
	assert_int_equal(gscsi_response(f).response, VIRTIO_SCSI_S_ABORTED);
	fill(f);
	gscsi_good(f, LUN(0), READ(0, 1), 0, 512, 0);
}

static void held_and_removed(void **state)
{
	struct gscsi *f = *state;
	struct err e;

	gscsi_ready(f);
	hold_a_read(f);
	assert_int_equal(f->dev->class->unit_remove(f->dev, "root", &e), 0);
	assert_int_equal(gscsi_collect(f, VSCSI_REQUESTS, 0), RESP_SIZE);
	assert_int_equal(gscsi_response(f).status, SCSI_CHECK_CONDITION);
	assert_int_equal(gscsi_response(f).sense[12], 0x25);
}

/* A driver that has enough of it: nothing is answered later, and what it was in is free again */
static void held_and_reset(void **state)
{
	struct gscsi *f = *state;

	gscsi_ready(f);
	hold_a_read(f);
	fill(f);
	assert_true(guest_virtio_start(&f->g, FEATURES, 3));
	assert_true(unanswered(f));
	assert_non_null(gscsi_vscsi(f)->free);
	assert_null(gscsi_vscsi(f)->target->units[0]->held.first);
	gscsi_good(f, LUN(0), READ(8, 1), 0, 512, 0);
}

/* A function that comes while the task is with the host: it fails then, and is not held */
static void aborted_and_failed(void **state)
{
	struct gscsi *f = *state;
	int pipes[2];

	gscsi_ready(f);
	if (!gscsi_make_slow(f, pipes))
		SKIP_BECAUSE("no io_uring");
	gscsi_add_request(f, LUN(0), READ(0, 1), 0, 512);
	assert_true(unanswered(f));
	gscsi_add_tmf(f, VIRTIO_SCSI_T_TMF_ABORT_TASK, LUN(0), 42);
	assert_true(unanswered(f));
	close(pipes[1]); /* it reads nothing, which is an error */
	gscsi_collect(f, VSCSI_REQUESTS, 0);
	assert_int_equal(gscsi_response(f).response, VIRTIO_SCSI_S_ABORTED);
	assert_int_equal(gscsi_collect(f, VSCSI_CONTROL, 0), 1);
	close(pipes[0]);
}

static void errors_are_told(void **state)
{
	struct gscsi *f = *state;

	gscsi_ready(f);
	assert_int_equal(ftruncate(f->fd, 512), 0);
	gscsi_fails(f, LUN(0), CDB(0x2f, 0, 0, 1, 0, 0, 0, 0, 1), 0x052100); /* its own fault */
	for (int i = 0; i < 5; i++) {
		gscsi_add_request(f, LUN(0), READ(4, 1), 0, 512);
		gscsi_collect(f, VSCSI_REQUESTS, 0);
		assert_int_equal(gscsi_response(f).sense[12], 0x11);
	}
	fake_board_run_until(&f->fb, noticed, f);
	assert_string_equal(
		f->fb.notice,
		"disk-error: disk 'root': read at byte 2048: Input/output error, and others");
	assert_int_equal(f->fb.nnotices, 1);
}

/* --- limits ------------------------------------------------------------------------------------------------ */

static const char *const limited =
	"{\"type\":\"virtio-scsi\",\"id\":\"scsi0\",\"address\":\"00:03.0\",\"disks\":["
	"{\"id\":\"root\",\"lun\":0,\"path\":{\"fd\":0},\"ops_per_second\":20,\"burst_ms\":1},"
	"{\"id\":\"cd\",\"lun\":7,\"kind\":\"cdrom\",\"readonly\":true}]}";

static int setup_limited(void **state)
{
	*state = gscsi_start(limited);
	return 0;
}

/* Of a read after more than the burst: it waits. */
static void add_waiting(struct gscsi *f, uint8_t lun)
{
	for (int i = 0; i < 2; i++)
		gscsi_good(f, LUN(lun), READ(0, 1), 0, 512, 0);
	gscsi_add_request(f, LUN(lun), READ(0, 1), 0, 512);
	assert_true(unanswered(f));
	assert_non_null(gscsi_vscsi(f)->target->units[lun]->waiting.first);
}

static void expect_good(struct gscsi *f)
{
	gscsi_collect(f, VSCSI_REQUESTS, 0);
	assert_int_equal(gscsi_response(f).response, VIRTIO_SCSI_S_OK);
	assert_int_equal(gscsi_response(f).status, 0);
}

/* What is over the limit waits, and nobody else does. */
static void over_the_limit(void **state)
{
	struct gscsi *f = *state;

	gscsi_ready(f);
	for (int i = 0; i < 3; i++) {
		add_waiting(f, 0);
		expect_good(f);
	}
	add_waiting(f, 0);
	/* what is no input or output is not limited */
	gscsi_good(f, LUN(0), CDB(0), 0, 0, 0);
	assert_non_null(gscsi_vscsi(f)->target->units[0]->waiting.first);
	expect_good(f);
}

/* One that waits: aborted, over a stop, with its driver, with its disk */
static void waits_for_the_limit(void **state)
{
	struct gscsi *f = *state;
	struct err e;

	gscsi_ready(f);
	add_waiting(f, 0);
	assert_int_equal(gscsi_tmf(f, VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET, LUN(0), 0),
			 VIRTIO_SCSI_S_OK);
	gscsi_collect(f, VSCSI_REQUESTS, 0);
	assert_int_equal(gscsi_response(f).response, VIRTIO_SCSI_S_RESET);
	gscsi_fails(f, LUN(0), CDB(0), 0x062903);
	add_waiting(f, 0);
	f->dev->class->stop(f->dev);
	assert_true(unanswered(f));
	f->dev->class->start(f->dev);
	expect_good(f);
	add_waiting(f, 0);
	assert_true(guest_virtio_start(&f->g, FEATURES, 3));
	assert_null(gscsi_vscsi(f)->target->units[0]->waiting.first);
	add_waiting(f, 0);
	assert_int_equal(f->dev->class->unit_remove(f->dev, "root", &e), 0);
	gscsi_collect(f, VSCSI_REQUESTS, 0);
	assert_int_equal(gscsi_response(f).sense[12], 0x25);
}

/* A limited disk that comes while the queues are at work */
static void a_limited_one_comes(void **state)
{
	struct gscsi *f = *state;
	struct err e = { 0 };

	gscsi_ready(f);
	assert_null(gscsi_vscsi(f)->target->timer);
	assert_int_equal(unit_add(f,
				  "{\"id\":\"new\",\"lun\":3,\"path\":{\"fd\":0},"
				  "\"bytes_per_second\":10240,\"burst_ms\":1}",
				  &e),
			 0);
	gscsi_fails(f, LUN(3), CDB(0), 0x062900);
	gscsi_fails(f, LUN(3), CDB(0), 0x063f0e);
	add_waiting(f, 3);
	expect_good(f);
}

/* --- changes ----------------------------------------------------------------------------------------------- */

/* The last block's address, by READ CAPACITY (10) */
static uint32_t last_block(struct gscsi *f)
{
	gscsi_good(f, LUN(0), CDB(0x25), 0, 8, 0);
	return scsi_get32(f->fb.mem + DATA);
}

static void a_disk_grows(void **state)
{
	struct gscsi *f = *state;
	const struct device_class *class = f->dev->class;
	uint64_t size = 0;
	struct err e = { 0 };

	gscsi_ready(f);
	assert_int_equal(class->unit_grow(f->dev, "root", false, &size, &e), 0);
	assert_int_equal(size, DISK);
	assert_int_equal(ftruncate(f->fd, DISK + 4096), 0);
	assert_int_equal(class->unit_grow(f->dev, "root", true, &size, &e), 1);
	assert_int_equal(size, DISK + 4096);
	assert_int_equal(last_block(f), DISK / 512 - 1);
	gscsi_fails(f, LUN(0), CDB(0x28, 0, 0, 0, 0x08, 0, 0, 0, 1), 0x052100);
	gscsi_add_event_buffer(f, 16);
	assert_int_equal(class->unit_grow(f->dev, "root", false, &size, &e), 1);
	/* SPC-4, annex D: CAPACITY DATA HAS CHANGED, as an event and as a unit attention */
	gscsi_expect_event(f, VIRTIO_SCSI_T_PARAM_CHANGE, 0, 0x2a | 0x09 << 8);
	gscsi_fails(f, LUN(0), CDB(0), 0x062a09);
	gscsi_good(f, LUN(0), CDB(0), 0, 0, 0);
	assert_int_equal(last_block(f), (DISK + 4096) / 512 - 1);
	gscsi_good(f, LUN(0), CDB(0x28, 0, 0, 0, 0x08, 7, 0, 0, 1), 0, 512, 0);
	gscsi_fails(f, LUN(0), CDB(0x28, 0, 0, 0, 0x08, 8, 0, 0, 1), 0x052100);
	assert_int_equal(ftruncate(f->fd, DISK), 0);
	assert_int_equal(class->unit_grow(f->dev, "root", false, &size, &e), -ERR_FILE);
	assert_int_equal(class->unit_grow(f->dev, "scsi0.7", false, &size, &e),
			 -ERR_VM_DEVICE_FIXED);
	assert_int_equal(class->unit_grow(f->dev, "x", false, &size, &e), -ERR_VM_NO_DEVICE);
}

/* While the machine stands still: told when it goes on. */
static void a_disk_grows_in_a_pause(void **state)
{
	struct gscsi *f = *state;
	uint64_t size = 0;
	struct err e = { 0 };

	gscsi_ready(f);
	f->dev->class->stop(f->dev);
	assert_int_equal(ftruncate(f->fd, 2 * DISK), 0);
	assert_int_equal(f->dev->class->unit_grow(f->dev, "root", false, &size, &e), 1);
	f->dev->class->start(f->dev);
	gscsi_add_event_buffer(f, 16);
	gscsi_expect_event(f, VIRTIO_SCSI_T_PARAM_CHANGE, 0, 0x2a | 0x09 << 8);
	gscsi_fails(f, LUN(0), CDB(0), 0x062a09);
	assert_int_equal(last_block(f), 2 * DISK / 512 - 1);
}

static int set_rates(struct gscsi *f, const char *id, const char *json, int64_t *ret_bytes,
		     struct err *e)
{
	AUTO_JSON struct json_object *change = NULL, *now = NULL;
	int ret;

	assert_int_equal(json_parse(json, strlen(json), &change, e), 0);
	ret = f->dev->class->unit_set(f->dev, id, change, &now, e);
	*ret_bytes = json_get_int(now, "bytes_per_second", -1);
	return ret;
}

/* What waits for a limit of one byte a second, minutes, goes as soon as there is none. */
static void rates_are_changed(void **state)
{
	struct gscsi *f = *state;
	struct err e = { 0 };
	int64_t bytes;

	gscsi_ready(f);
	assert_int_equal(
		set_rates(f, "root", "{\"bytes_per_second\":1,\"burst_ms\":1}", &bytes, &e), 1);
	assert_int_equal(bytes, 1);
	gscsi_good(f, LUN(0), READ(0, 1), 0, 512, 0);
	gscsi_add_request(f, LUN(0), READ(0, 1), 0, 512);
	assert_true(unanswered(f));
	assert_int_equal(set_rates(f, "root", "{}", &bytes, &e), 0);
	assert_true(unanswered(f));
	assert_int_equal(set_rates(f, "root", "{\"bytes_per_second\":0}", &bytes, &e), 1);
	assert_int_equal(bytes, 0);
	expect_good(f);
	assert_int_equal(set_rates(f, "root", "{\"x\":0}", &bytes, &e), -ERR_INVALID);
	assert_int_equal(set_rates(f, "x", "{}", &bytes, &e), -ERR_VM_NO_DEVICE);
}

/* --- cache modes ------------------------------------------------------------------------------------------- */

static int64_t count_stable(const struct block *b, const struct block_step *s)
{
	if (s->kind == BLOCK_STEP_WRITEV && s->mode & RWF_DSYNC)
		return (int64_t)s->len; /* pretends; nothing else does in the test */
	return raw_step(b, s);
}

/* A write-through disk says that it has no cache, and each write is stable; the write does not reach the file here. */
static void written_through(void **state)
{
	struct gscsi *f = *state;
	struct err e = { 0 };
	struct block *b;

	gscsi_ready(f);
	gscsi_good(f, LUN(0), CDB(0x1a, 8, 8, 0, 32), 0, 32, 8);
	assert_int_equal(f->fb.mem[DATA + 4 + 2], 0x04); /* WCE */
	f->fb.board.caged = true; /* no ring, whose steps cannot be looked at */
	assert_int_equal(unit_add(f,
				  "{\"id\":\"new\",\"lun\":3,\"path\":{\"fd\":0},"
				  "\"cache\":\"writethrough\"}",
				  &e),
			 0);
	b = gscsi_vscsi(f)->target->units[3]->block;
	b->step = count_stable;
	gscsi_fails(f, LUN(3), CDB(0), 0x062900);
	gscsi_fails(f, LUN(3), CDB(0), 0x063f0e);
	gscsi_good(f, LUN(3), CDB(0x1a, 8, 8, 0, 32), 0, 32, 8);
	assert_int_equal(f->fb.mem[DATA + 4 + 2], 0);
	memset(f->fb.mem + DATA, 0x77, 512);
	gscsi_good(f, LUN(3), CDB(0x2a, 0, 0, 0, 0, 3, 0, 0, 1), 512, 0, 0);
	gscsi_good(f, LUN(0), READ(3, 1), 0, 512, 0);
	assert_int_equal(f->fb.mem[DATA], 0);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, gscsi_setup, gscsi_teardown)
#define OF(how, fn) cmocka_unit_test_setup_teardown(fn, setup_##how, gscsi_teardown)
	const struct CMUnitTest tests[] = {
		T(units_come_and_go),
		T(unit_of_an_untold_lun),
		T(bad_units),
		T(unit_goes_busy),
		T(unit_goes_after_steps),
		OF(stopping, held_and_tried_again),
		OF(stopping, held_and_aborted),
		OF(stopping, held_and_removed),
		OF(stopping, held_and_reset),
		OF(stopping, aborted_and_failed),
		T(errors_are_told),
		OF(limited, over_the_limit),
		OF(limited, waits_for_the_limit),
		T(a_limited_one_comes),
		T(a_disk_grows),
		T(a_disk_grows_in_a_pause),
		T(rates_are_changed),
		T(written_through),
	};
#undef T
#undef OF

	return cmocka_run_group_tests(tests, NULL, NULL);
}
