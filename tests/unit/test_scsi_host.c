// SPDX-License-Identifier: MIT
// A SCSI device of the host as a unit of the controller: what passes, what comes back, and what becomes of tasks on the way.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/json.h"
#include "tests/unit/guest_scsi.h"
#include "vmm/scsi/host.h"
#include "vmm/scsi/unit.h"

static const char *const definition =
	"{\"type\":\"virtio-scsi\",\"id\":\"scsi0\",\"address\":\"00:03.0\",\"disks\":["
	"{\"id\":\"tape\",\"lun\":0,\"kind\":\"passthrough\",\"path\":{\"fd\":0}},"
	"{\"id\":\"cd\",\"lun\":7,\"kind\":\"cdrom\",\"readonly\":true}]}";

/* The device: what it was asked, and what it answers */
struct device_fake {
	unsigned int calls;
	struct sg_io_hdr hdr;
	uint8_t cdb[16], out[64];
	int error;
	uint8_t status, host_status, sense_len;
	uint8_t sense[SCSI_SENSE_MAX];
	const uint8_t *in;
	size_t in_len;
};

static struct device_fake fake;

static int fake_io(void *arg, struct sg_io_hdr *hdr)
{
	struct device_fake *d = arg;
	const struct iovec *iov = hdr->dxferp;

	d->calls++;
	d->hdr = *hdr;
	memcpy(d->cdb, hdr->cmdp, hdr->cmd_len);
	if (d->error)
		return d->error;
	if (hdr->dxfer_direction == SG_DXFER_TO_DEV)
		memcpy(d->out, iov[0].iov_base, MIN(iov[0].iov_len, sizeof(d->out)));
	if (hdr->dxfer_direction == SG_DXFER_FROM_DEV) {
		size_t n = MIN(d->in_len, iov[0].iov_len);

		memcpy(iov[0].iov_base, d->in, n);
		hdr->resid = (int)(hdr->dxfer_len - n);
	}
	hdr->status = d->status;
	hdr->host_status = d->host_status;
	hdr->sb_len_wr = d->sense_len;
	memcpy(hdr->sbp, d->sense, d->sense_len);
	return 0;
}

static int setup(void **state)
{
	struct gscsi *f = gscsi_start(definition);

	memset(&fake, 0, sizeof(fake));
	scsi_host_set_io(gscsi_vscsi(f)->target->units[0]->host, fake_io, &fake);
	gscsi_ready(f);
	*state = f;
	return 0;
}

static void passes_and_comes_back(void **state)
{
	struct gscsi *f = *state;
	static const uint8_t text[96] = "\5\200\6\2\133\0\0\0ACME    tape";
	struct virtio_scsi_cmd_resp r;

	fake.calls = 0;
	fake.in = text;
	fake.in_len = 36;
	gscsi_good(f, LUN(0), CDB(0x12, 0, 0, 0, 96), 0, 96, 60);
	assert_memory_equal(f->fb.mem + DATA, text, 36);
	assert_int_equal(fake.hdr.dxfer_direction, SG_DXFER_FROM_DEV);
	assert_int_equal(fake.hdr.cmd_len, 6);
	assert_memory_equal(fake.cdb, ((const uint8_t[]){ 0x12, 0, 0, 0, 96, 0 }), 6);
	memset(f->fb.mem + DATA, 0x5a, 1024);
	gscsi_good(f, LUN(0), CDB(0x2a, 0, 0, 0, 0, 3, 0, 0, 2), 1024, 0, 0);
	assert_int_equal(fake.hdr.dxfer_direction, SG_DXFER_TO_DEV);
	assert_int_equal(fake.hdr.dxfer_len, 1024);
	assert_int_equal(fake.out[63], 0x5a);
	gscsi_good(f, LUN(0), CDB(0x35), 0, 0, 0);
	assert_int_equal(fake.hdr.dxfer_direction, SG_DXFER_NONE);
	/* more sense data than ours has */
	fake.status = SCSI_CHECK_CONDITION;
	fake.sense_len = 32;
	memset(fake.sense, 0x77, sizeof(fake.sense));
	r = gscsi_request(f, LUN(0), CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 0, 512);
	assert_int_equal(r.status, SCSI_CHECK_CONDITION);
	assert_int_equal(r.sense_len, 32);
	assert_int_equal(r.sense[31], 0x77);
	assert_int_equal(r.resid, 512 - 36);
	/* any other status, without sense data */
	fake.status = 0x18;
	r = gscsi_request(f, LUN(0), CDB(0), 0, 0);
	assert_int_equal(r.status, 0x18);
	assert_int_equal(r.sense_len, 0);
	assert_int_equal(fake.calls, 5);
}

static void does_not_pass(void **state)
{
	struct gscsi *f = *state;
	static const uint8_t ops[] = { 0x5e, 0x5f, 0x16, 0x17, 0x56, 0x57, 0x3b, 0x04,
				       0x83, 0x84, 0x7f, 0xa3, 0xa1, 0x85, 0xc0, 0xff };

	fake.calls = 0;
	for (size_t i = 0; i < sizeof(ops); i++)
		gscsi_fails(f, LUN(0), CDB(ops[i]), 0x052000);
	/* data that goes the wrong way, more than the host takes, an obsolete bit */
	gscsi_add_request(f, LUN(0), CDB(0x28), 512, 0);
	gscsi_collect(f, VSCSI_REQUESTS, 0);
	assert_int_equal(gscsi_response(f).sense[12], 0x24);
	gscsi_add_request(f, LUN(0), CDB(0x2a), 0, 512);
	gscsi_collect(f, VSCSI_REQUESTS, 0);
	assert_int_equal(gscsi_response(f).sense[12], 0x24);
	gscsi_add_request(f, LUN(0), CDB(0x2a), 512 * KIB + 1, 0);
	gscsi_collect(f, VSCSI_REQUESTS, 0);
	assert_int_equal(gscsi_response(f).sense[12], 0x24);
	gscsi_fails(f, LUN(0), CDB(0x35, 0, 0, 0, 0, 0, 0, 0, 0, 4), 0x052400);
	/* which units there are is the target's to say */
	gscsi_good(f, LUN(0), CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0), 0, 256, 256 - 24);
	assert_int_equal(f->fb.mem[DATA + 3], 16);
	assert_int_equal(fake.calls, 0);
}

static bool noticed(void *arg)
{
	struct gscsi *f = arg;

	fake_board_watched(&f->fb);
	return f->fb.nnotices > 0;
}

static void what_the_host_cannot_do(void **state)
{
	struct gscsi *f = *state;

	fake.error = -EPERM; /* the kernel's own table */
	gscsi_fails(f, LUN(0), CDB(0x35), 0x052000);
	fake_board_run(&f->fb);
	fake_board_watched(&f->fb);
	assert_int_equal(f->fb.nnotices, 0);
	fake.error = -ENODEV;
	gscsi_fails(f, LUN(0), CDB(0x35), 0x044400);
	fake_board_run_until(&f->fb, noticed, f);
	assert_string_equal(f->fb.notice,
			    "disk-error: disk 'tape': read at byte 0: No such device");
	fake.error = 0;
	fake.host_status = 3; /* DID_TIME_OUT */
	gscsi_fails(f, LUN(0), CDB(0x35), 0x044400);
}

/* A driver must not be told of more than the host's queue takes. */
static void limits_are_the_hosts(void **state)
{
	struct gscsi *f = *state;
	uint8_t page[64] = { 0, 0xb0, 0, 60 };

	assert_int_equal(
		fake_mmio_read(&f->fb,
			       f->g.device + offsetof(struct virtio_scsi_config, max_sectors), 4),
		1024);
	fake.in = page;
	fake.in_len = sizeof(page);
	gscsi_good(f, LUN(0), CDB(0x12, 1, 0xb0, 0, 64), 0, 64, 0);
	assert_int_equal(scsi_get32(f->fb.mem + DATA + 8), 1024);
	scsi_put32(page + 8, 0x10000);
	gscsi_good(f, LUN(0), CDB(0x12, 1, 0xb0, 0, 64), 0, 64, 0);
	assert_int_equal(scsi_get32(f->fb.mem + DATA + 8), 1024);
	scsi_put32(page + 8, 8);
	gscsi_good(f, LUN(0), CDB(0x12, 1, 0xb0, 0, 64), 0, 64, 0);
	assert_int_equal(scsi_get32(f->fb.mem + DATA + 8), 8);
	scsi_put32(page + 8, 0x10000); /* and nothing else is touched */
	gscsi_good(f, LUN(0), CDB(0x12, 1, 0xb1, 0, 64), 0, 64, 0);
	assert_int_equal(scsi_get32(f->fb.mem + DATA + 8), 0x10000);
}

/* --- one that comes to a machine that runs ------------------------------------------------------------------ */

/* A thread that says when it has begun, and goes on when it is told */
struct steps {
	int begun[2], go[2];
};

static void steps_open(struct steps *s)
{
	assert_int_equal(pipe(s->begun) | pipe(s->go), 0);
}

static void steps_close(struct steps *s)
{
	for (int i = 0; i < 2; i++) {
		close(s->begun[i]);
		close(s->go[i]);
	}
}

/* What it was told; 0: the pipes are broken */
static char steps_take(struct steps *s)
{
	char c = 0;

	return write(s->begun[1], "b", 1) == 1 && read(s->go[0], &c, 1) == 1 ? c : 0;
}

static void steps_wait(struct steps *s)
{
	char c;

	assert_int_equal(read(s->begun[0], &c, 1), 1);
}

static void steps_tell(struct steps *s, const char *what)
{
	assert_int_equal(write(s->go[1], what, strlen(what)), strlen(what));
}

/* The device: 'g' lets it end a command, anything else is an error. */
static int slow_io(void *arg, struct sg_io_hdr *hdr)
{
	(void)hdr;
	return steps_take(arg) == 'g' ? 0 : -EIO;
}

/* Who shares the thread, and has it as long as it wants */
struct occupier {
	struct waiter_bell *bell;
	struct steps steps;
};

static bool occupy(void *arg)
{
	struct occupier *o = arg;

	return !steps_take(&o->steps);
}

static void occupier_begin(struct occupier *o, struct gscsi *f)
{
	steps_open(&o->steps);
	assert_int_equal(waiter_bell_new(f->fb.waiters, false, occupy, o, &o->bell, NULL), 0);
	waiter_bell_ring(o->bell);
	steps_wait(&o->steps);
}

static void occupier_end(struct occupier *o)
{
	steps_tell(&o->steps, "g");
	waiter_bell_free(o->bell);
	steps_close(&o->steps);
}

/* In the cage, as all that comes */
static int attach(struct gscsi *f, const char *json, struct err *e)
{
	AUTO_JSON struct json_object *o = NULL;
	struct device_unit *unit = NULL;
	struct fdset fds;
	int ret;

	f->fb.board.caged = true;
	fdset_init(&fds);
	fdset_add(&fds, dup(f->fd));
	assert_int_equal(json_parse(json, strlen(json), &o, e), 0);
	ret = f->dev->class->unit_new(f->dev, o, &fds, &unit, e);
	fdset_fini(&fds);
	return ret < 0 ? ret : f->dev->class->unit_add(f->dev, unit, e);
}

#define NEW(lun) \
	"{\"id\":\"new" #lun "\",\"lun\":" #lun ",\"kind\":\"passthrough\",\"path\":{\"fd\":0}}"

static struct scsi_unit *attach_fake(struct gscsi *f, const char *json, uint32_t lun)
{
	struct scsi_unit *u;
	struct err e = { 0 };

	assert_int_equal(attach(f, json, &e), 0);
	u = gscsi_vscsi(f)->target->units[lun];
	scsi_host_set_io(u->host, fake_io, &fake);
	return u;
}

static void comes_and_goes(void **state)
{
	struct gscsi *f = *state;
	static const uint8_t text[36] = "\0\0\6\2\37\0\0\0ACME    disk";
	struct err e = { 0 };

	for (int round = 0; round < 3; round++) {
		fake.calls = 0;
		gscsi_add_event_buffer(f, 16);
		attach_fake(f, NEW(4), 4);
		gscsi_expect_event(f, VIRTIO_SCSI_T_TRANSPORT_RESET, 4,
				   VIRTIO_SCSI_EVT_RESET_RESCAN);
		assert_string_equal(f->dev->class->unit(f->dev, 1), "new4");
		fake.in = text;
		fake.in_len = 36;
		gscsi_good(f, LUN(4), CDB(0x12, 0, 0, 0, 96), 0, 96, 60);
		assert_memory_equal(f->fb.mem + DATA, text, 36);
		gscsi_fails(f, LUN(4), CDB(0), 0x062900);
		gscsi_fails(f, LUN(4), CDB(0), 0x063f0e);
		gscsi_good(f, LUN(4), CDB(0x2a, 0, 0, 0, 0, 3, 0, 0, 2), 1024, 0, 0);
		assert_int_equal(fake.calls, 2);
		gscsi_add_event_buffer(f, 16);
		assert_int_equal(f->dev->class->unit_remove(f->dev, "new4", &e), 0);
		gscsi_expect_event(f, VIRTIO_SCSI_T_TRANSPORT_RESET, 4,
				   VIRTIO_SCSI_EVT_RESET_REMOVED);
		gscsi_fails(f, LUN(4), CDB(0), 0x052500);
	}
	/* a driver that comes later is told of what it may move, too */
	assert_int_equal(gscsi_vscsi(f)->max_sectors, 1024);
}

/* Those that share hold up each other, and not the device that was there before. */
static void shares_a_thread(void **state)
{
	struct gscsi *f = *state;
	struct occupier o;

	attach_fake(f, NEW(4), 4);
	gscsi_fails(f, LUN(4), CDB(0), 0x062900);
	gscsi_fails(f, LUN(4), CDB(0), 0x063f0e);
	fake.calls = 0;
	occupier_begin(&o, f);
	gscsi_add_request(f, LUN(4), CDB(0x35), 0, 0);
	fake_board_run(&f->fb);
	assert_int_equal(gscsi_response(f).response, 0xee);
	occupier_end(&o);
	gscsi_collect(f, VSCSI_REQUESTS, 0);
	assert_int_equal(gscsi_response(f).status, 0);
	occupier_begin(&o, f);
	gscsi_good(f, LUN(0), CDB(0x35), 0, 0, 0);
	assert_int_equal(fake.calls, 2);
	occupier_end(&o);
}

/* There was no controller, so there is no thread; and what does not come leaves nothing behind. */
static void cannot_come(void **state)
{
	struct gscsi *f = *state;
	struct waiters *waiters = f->fb.waiters;
	struct err e = { 0 };

	assert_int_equal(attach(f, "{\"id\":\"a\",\"lun\":4,\"kind\":\"passthrough\"}", &e),
			 -ERR_INVALID);
	assert_string_equal(e.msg, "no device");
	assert_int_equal(attach(f, NEW(0), &e), -ERR_INVALID);
	assert_string_equal(e.msg, "LUN 0 is taken");
	f->fb.waiters = NULL;
	f->fb.fail_waiters = true;
	assert_true(attach(f, NEW(4), &e) < 0);
	assert_string_equal(e.msg, "no threads");
	f->fb.waiters = waiters;
	assert_null(f->dev->class->unit(f->dev, 2));
}

static void add_not_begun(struct gscsi *f)
{
	gscsi_add_request(f, LUN(4), CDB(0), 0, 0);
	fake_board_run(&f->fb);
	assert_int_equal(gscsi_response(f).response, 0xee);
}

/* What the device has not begun: over a stop, aborted, with its driver, with the unit */
static void not_yet_begun(void **state)
{
	struct gscsi *f = *state;
	struct scsi_unit *u = attach_fake(f, NEW(4), 4);
	struct occupier o;
	struct err e;

	gscsi_fails(f, LUN(4), CDB(0), 0x062900);
	gscsi_fails(f, LUN(4), CDB(0), 0x063f0e);
	fake.calls = 0;
	occupier_begin(&o, f);
	add_not_begun(f);
	f->dev->class->stop(f->dev);
	assert_non_null(u->held.first);
	f->dev->class->start(f->dev);
	occupier_end(&o);
	gscsi_collect(f, VSCSI_REQUESTS, 0);
	assert_int_equal(gscsi_response(f).status, 0);
	assert_int_equal(fake.calls, 1);
	occupier_begin(&o, f);
	add_not_begun(f);
	gscsi_add_tmf(f, VIRTIO_SCSI_T_TMF_ABORT_TASK, LUN(4), 42);
	gscsi_collect(f, VSCSI_CONTROL, 0);
	gscsi_collect(f, VSCSI_REQUESTS, 0);
	assert_int_equal(gscsi_response(f).response, VIRTIO_SCSI_S_ABORTED);
	add_not_begun(f);
	assert_true(guest_virtio_start(&f->g, FEATURES, 3));
	fake_board_run(&f->fb);
	assert_int_equal(gscsi_response(f).response, 0xee);
	assert_null(u->held.first);
	add_not_begun(f);
	/* it waits for no device but its own */
	assert_int_equal(f->dev->class->unit_remove(f->dev, "new4", &e), 0);
	gscsi_collect(f, VSCSI_REQUESTS, 0);
	assert_int_equal(gscsi_response(f).sense[12], 0x25);
	occupier_end(&o);
	assert_int_equal(fake.calls, 1);
}

/* --- one that is at something when it goes --------------------------------------------------------------------- */

/* It has begun with a command, and is then taken away. */
static void leave_busy(struct gscsi *f, struct steps *slow)
{
	struct scsi_unit *u;
	struct err e = { 0 };

	gscsi_add_event_buffer(f, 16);
	u = attach_fake(f, NEW(4), 4);
	gscsi_expect_event(f, VIRTIO_SCSI_T_TRANSPORT_RESET, 4, VIRTIO_SCSI_EVT_RESET_RESCAN);
	steps_open(slow);
	gscsi_fails(f, LUN(4), CDB(0), 0x062900);
	gscsi_fails(f, LUN(4), CDB(0), 0x063f0e);
	scsi_host_set_io(u->host, slow_io, slow);
	gscsi_add_request(f, LUN(4), CDB(0x35), 0, 0);
	fake_board_run(&f->fb);
	steps_wait(slow);
	gscsi_add_event_buffer(f, 16);
	assert_int_equal(f->dev->class->unit_remove(f->dev, "new4", &e), 0);
	gscsi_expect_event(f, VIRTIO_SCSI_T_TRANSPORT_RESET, 4, VIRTIO_SCSI_EVT_RESET_REMOVED);
	assert_int_equal(gscsi_response(f).response, 0xee);
	assert_false(scsi_target_has(gscsi_vscsi(f)->target, 4));
	assert_ptr_equal(gscsi_vscsi(f)->target->leaving, u);
}

/* Nobody waits for it, others go on, its LUN is free; then it ends for its driver, and is gone. */
static void leaves_while_busy(void **state)
{
	struct gscsi *f = *state;
	struct steps slow;

	leave_busy(f, &slow);
	steps_tell(&slow, "g");
	gscsi_collect(f, VSCSI_REQUESTS, 0);
	assert_int_equal(gscsi_response(f).response, VIRTIO_SCSI_S_OK);
	assert_int_equal(gscsi_response(f).status, 0);
	assert_null(gscsi_vscsi(f)->target->leaving);
	steps_close(&slow);
	gscsi_fails(f, LUN(0), CDB(0), 0x063f0e);
	gscsi_fails(f, LUN(4), CDB(0), 0x052500);
	/* an error of what is no longer there is nobody's trouble */
	leave_busy(f, &slow);
	steps_tell(&slow, "e");
	gscsi_collect(f, VSCSI_REQUESTS, 0);
	assert_int_equal(gscsi_response(f).sense[12], 0x25);
	assert_null(gscsi_vscsi(f)->target->leaving);
	steps_close(&slow);
}

/* A stop waits for it, and it is gone then. */
static void leaves_with_a_stop(void **state)
{
	struct gscsi *f = *state;
	struct steps slow;

	leave_busy(f, &slow);
	steps_tell(&slow, "g");
	f->dev->class->stop(f->dev);
	assert_null(gscsi_vscsi(f)->target->leaving);
	f->dev->class->start(f->dev);
	gscsi_collect(f, VSCSI_REQUESTS, 0);
	assert_int_equal(gscsi_response(f).status, 0);
	steps_close(&slow);
}

/* --- the thread -------------------------------------------------------------------------------------------- */

struct thread_test {
	uv_loop_t loop;
	struct waiters *waiters;
	struct scsi_host *host;
	struct steps steps;
	unsigned int ended, batches;
	struct scsi_task tasks[3];
};

static void task_ended(void *arg, struct scsi_task *task)
{
	struct thread_test *t = arg;

	(void)task;
	t->ended++;
}

static void batch_done(void *arg)
{
	((struct thread_test *)arg)->batches++;
}

/* The loop goes on while the device takes its time; a stop waits for what has begun, and gives the rest back. */
static void a_thread_waits(void **state)
{
	struct thread_test t = { 0 };
	struct scsi_task *left;
	struct err e;

	(void)state;
	steps_open(&t.steps);
	assert_int_equal(uv_loop_init(&t.loop), 0);
	assert_int_equal(waiters_new(NULL, NULL, &t.waiters, &e), 0);
	assert_int_equal(scsi_host_new(dup(t.steps.go[0]), t.waiters, true, &t.host, &e), 0);
	scsi_host_set_io(t.host, slow_io, &t.steps);
	assert_int_equal(scsi_host_attach(t.host, &t.loop, task_ended, batch_done, &t), 0);
	for (int i = 0; i < 3; i++)
		assert_true(scsi_host_start(t.host, &t.tasks[i]));
	steps_wait(&t.steps);
	uv_run(&t.loop, UV_RUN_NOWAIT);
	assert_int_equal(t.ended, 0);
	assert_false(scsi_host_take_back(t.host, &t.tasks[0])); /* it has begun */
	steps_tell(&t.steps, "g");
	while (!t.ended)
		uv_run(&t.loop, UV_RUN_ONCE);
	assert_int_equal(t.batches, 1);
	steps_wait(&t.steps);
	assert_true(scsi_host_take_back(t.host, &t.tasks[2]));
	assert_true(scsi_host_start(t.host, &t.tasks[2]));
	scsi_host_recall(t.host, &left); /* and does not wait for the second */
	assert_ptr_equal(left, &t.tasks[2]);
	assert_null(left->next);
	assert_true(scsi_host_start(t.host, &t.tasks[2]));
	steps_tell(&t.steps, "gg");
	scsi_host_detach(t.host, &left);
	/* the second has ended; the third was begun, too, or is given back */
	assert_int_equal(t.ended, left ? 2 : 3);
	assert_true(!left || (left == &t.tasks[2] && !left->next));
	scsi_host_free(t.host);
	waiters_free(t.waiters);
	uv_run(&t.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&t.loop), 0);
	steps_close(&t.steps);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, gscsi_teardown)
	const struct CMUnitTest tests[] = {
		T(passes_and_comes_back),
		T(does_not_pass),
		T(what_the_host_cannot_do),
		T(limits_are_the_hosts),
		T(comes_and_goes),
		T(shares_a_thread),
		T(cannot_come),
		T(not_yet_begun),
		T(leaves_while_busy),
		T(leaves_with_a_stop),
		cmocka_unit_test(a_thread_waits),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
