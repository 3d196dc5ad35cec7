// SPDX-License-Identifier: MIT
// The SCSI controller, driven through its registers: VIRTIO 1.2, section 5.6. What commands mean: test_scsi_target.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/json.h"
#include "tests/lib/skip.h"
#include "tests/unit/guest_scsi.h"
#include "vmm/block/engine.h"
#include "vmm/devices.h"
#include "vmm/scsi/unit.h"

/* --- tests ------------------------------------------------------------------------------------------------- */

static void identity_and_config(void **state)
{
	struct gscsi *f = *state;
	struct virtio_scsi_config c;

	assert_int_equal(guest_pci_read(&f->fb, SLOT, 2, 2), 0x1048);
	for (size_t i = 0; i < sizeof(c); i++)
		((uint8_t *)&c)[i] = (uint8_t)fake_mmio_read(&f->fb, f->g.device + i, 1);
	assert_int_equal(c.num_queues, 1);
	assert_int_equal(c.seg_max, 254);
	assert_int_equal(c.event_info_size, 16);
	assert_int_equal(c.sense_size, 96);
	assert_int_equal(c.cdb_size, 32);
	assert_int_equal(c.max_target, 0);
	assert_int_equal(c.max_lun, 255);
	assert_int_equal(guest_virtio_features(&f->g) & 0xffffff,
			 BIT(VIRTIO_SCSI_F_HOTPLUG) | BIT(VIRTIO_SCSI_F_CHANGE));
}

static void commands(void **state)
{
	struct gscsi *f = *state;
	uint8_t got[1024];

	gscsi_fails(f, LUN(0), CDB(0), 0x062900);
	gscsi_good(f, LUN(0), CDB(0), 0, 0, 0);
	gscsi_good(f, LUN(0), CDB(0x12, 1, 0x80, 0, 255), 0, 255, 255 - 8);
	assert_memory_equal(f->fb.mem + DATA, "\0\x80\0\x04root", 8); /* the id as serial number */
	memset(f->fb.mem + DATA, 0x5a, 1024);
	gscsi_good(f, LUN(0), CDB(0x2a, 0, 0, 0, 0, 3, 0, 0, 2), 1024, 0, 0);
	assert_int_equal(pread(f->fd, got, 1024, 3 * 512), 1024);
	assert_memory_equal(got, f->fb.mem + DATA, 1024);
	memset(f->fb.mem + DATA, 0, 2048);
	gscsi_good(f, LUN(0), CDB(0x28, 0, 0, 0, 0, 3, 0, 0, 2), 0, 1536, 512);
	assert_memory_equal(got, f->fb.mem + DATA, 1024);
	gscsi_good(f, LUN(0), CDB(0x35), 0, 0, 0);
	/* peripheral device addressing finds the same unit */
	gscsi_good(f, (const uint8_t[8]){ 1, 0, 0, 0 }, CDB(0), 0, 0, 0);
	gscsi_fails(f, LUN(7), CDB(0), 0x062900);
	gscsi_fails(f, LUN(7), CDB(0), 0x023a01);
	assert_true(guest_virtio_irqs(&f->g, 1 + VSCSI_REQUESTS) > 0);
}

static void addresses(void **state)
{
	struct gscsi *f = *state;

	gscsi_ready(f);
	/* 5.6.6.1: the well-known unit that reports LUNs */
	gscsi_good(f, (const uint8_t[8]){ 0xc1, 1 }, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64), 0, 64,
		   40);
	assert_memory_equal(f->fb.mem + DATA, "\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\7", 18);
	assert_int_equal(
		gscsi_request(f, (const uint8_t[8]){ 1, 1, 0x40, 0 }, CDB(0), 0, 0).response,
		VIRTIO_SCSI_S_BAD_TARGET);
	assert_int_equal(gscsi_request(f, (const uint8_t[8]){ 0 }, CDB(0), 0, 0).response,
			 VIRTIO_SCSI_S_BAD_TARGET);
	gscsi_fails(f, LUN(1), CDB(0), 0x052500);
	gscsi_fails(f, (const uint8_t[8]){ 1, 0, 0x41, 0 }, CDB(0), 0x052500); /* LUN 256 */
	gscsi_fails(f, (const uint8_t[8]){ 1, 0, 0x01, 0 }, CDB(0), 0x052500); /* a bus */
	gscsi_fails(f, (const uint8_t[8]){ 1, 0, 0x80, 0 }, CDB(0),
		    0x052500); /* logical unit addressing */
	gscsi_fails(f, (const uint8_t[8]){ 1, 0, 0x40, 0, 1 }, CDB(0),
		    0x052500); /* a second level */
}

static void residuals(void **state)
{
	struct gscsi *f = *state;
	struct virtio_scsi_cmd_resp r;

	gscsi_ready(f);
	r = gscsi_request(f, LUN(0), CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 2), 0, 512);
	assert_int_equal(r.response, VIRTIO_SCSI_S_OVERRUN);
	r = gscsi_request(f, LUN(0), CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 512, 512); /* INOUT */
	assert_int_equal(r.response, VIRTIO_SCSI_S_FAILURE);
	r = gscsi_request(f, LUN(0), CDB(0x28, 0, 0xff, 0, 0, 0, 0, 0, 1), 0, 512);
	assert_int_equal(r.status, SCSI_CHECK_CONDITION);
	assert_int_equal(r.resid, 512);
}

/* 2.7.4: header and response cut anywhere, data in the same descriptors */
static void any_framing(void **state)
{
	struct gscsi *f = *state;
	struct guest_ring *r = &f->g.rings[VSCSI_REQUESTS];
	struct virtio_scsi_cmd_resp resp;

	gscsi_ready(f);
	gscsi_put_request(f, LUN(0), CDB(0x2a, 0, 0, 0, 0, 9, 0, 0, 1), 1);
	memset(f->fb.mem + REQ + REQ_SIZE, 0xab, 512); /* data behind the header, in one piece */
	guest_ring_set(r, 0, REQ, 20, F_NEXT, 1);
	guest_ring_set(r, 1, REQ + 20, (uint32_t)REQ_SIZE - 20 + 100, F_NEXT, 2);
	guest_ring_set(r, 2, REQ + REQ_SIZE + 100, 412, F_NEXT, 3);
	guest_ring_set(r, 3, DATA, 10, F_WRITE | F_NEXT, 4);
	guest_ring_set(r, 4, DATA + 10, (uint32_t)RESP_SIZE - 10, F_WRITE, 0);
	memset(f->fb.mem + DATA, 0xee, 256);
	guest_ring_add(r, 0);
	guest_virtio_kick(&f->g, VSCSI_REQUESTS);
	assert_int_equal(gscsi_collect(f, VSCSI_REQUESTS, 0), RESP_SIZE);
	memcpy(&resp, f->fb.mem + DATA, sizeof(resp));
	assert_true(resp.response == VIRTIO_SCSI_S_OK && !resp.status && !resp.resid);
	/* read it: the response ends inside of a descriptor that the data begins in */
	gscsi_put_request(f, LUN(0), CDB(0x28, 0, 0, 0, 0, 9, 0, 0, 1), 1);
	guest_ring_set(r, 0, REQ, REQ_SIZE, F_NEXT, 1);
	guest_ring_set(r, 1, DATA, 3, F_WRITE | F_NEXT, 2);
	guest_ring_set(r, 2, DATA + 3, (uint32_t)RESP_SIZE - 3 + 500, F_WRITE | F_NEXT, 3);
	guest_ring_set(r, 3, DATA + RESP_SIZE + 500, 12, F_WRITE, 0);
	memset(f->fb.mem + DATA, 0xee, 1024);
	guest_ring_add(r, 0);
	guest_virtio_kick(&f->g, VSCSI_REQUESTS);
	assert_int_equal(gscsi_collect(f, VSCSI_REQUESTS, 0), RESP_SIZE + 512);
	memcpy(&resp, f->fb.mem + DATA, sizeof(resp));
	assert_true(resp.response == VIRTIO_SCSI_S_OK && !resp.status && !resp.resid);
	for (size_t i = 0; i < 512; i++)
		assert_int_equal(f->fb.mem[DATA + RESP_SIZE + i], 0xab);
	assert_int_equal(f->fb.mem[DATA + RESP_SIZE + 512], 0xee);
}

/* 5.6.4: what the driver may choose, until it resets the device */
static void driver_sizes(void **state)
{
	struct gscsi *f = *state;
	struct guest_ring *r = &f->g.rings[VSCSI_REQUESTS];
	uint64_t sense_size = f->g.device + 20, cdb_size = f->g.device + 24;

	fake_mmio_write(&f->fb, cdb_size, 4, 16); /* too late */
	assert_int_equal(fake_mmio_read(&f->fb, cdb_size, 4), 32);
	guest_virtio_negotiate(&f->g, FEATURES);
	fake_mmio_write(&f->fb, cdb_size, 4, 16);
	fake_mmio_write(&f->fb, sense_size, 4, 18);
	fake_mmio_write(&f->fb, sense_size, 4, 256); /* too many: as before */
	assert_int_equal(fake_mmio_read(&f->fb, sense_size, 4), 18);
	for (unsigned int q = 0; q < 3; q++)
		guest_virtio_queue(&f->g, q, GUEST_VIRTIO_RINGS + 0x1000 * q);
	guest_virtio_write(&f->g, 20, 1, 0x0f);
	gscsi_put_request(f, LUN(0), CDB(0), 1);
	guest_ring_set(r, 0, REQ, 19 + 16, F_NEXT, 1);
	guest_ring_set(r, 1, RESP, 12 + 18, F_WRITE, 0);
	guest_ring_add(r, 0);
	guest_virtio_kick(&f->g, VSCSI_REQUESTS);
	assert_int_equal(gscsi_collect(f, VSCSI_REQUESTS, 0), 30);
	assert_int_equal(gscsi_response(f).status, SCSI_CHECK_CONDITION);
	assert_int_equal(f->fb.mem[RESP + 30], 0xee);
	assert_true(guest_virtio_start(&f->g, FEATURES, 3));
	assert_int_equal(fake_mmio_read(&f->fb, cdb_size, 4), 32);
	gscsi_good(f, LUN(0), CDB(0), 0, 0, 0);
}

static void assert_broken(struct gscsi *f, unsigned int q)
{
	struct vring_used_elem u;

	guest_ring_add(&f->g.rings[q], 0);
	guest_virtio_kick(&f->g, q);
	fake_board_run(&f->fb);
	assert_false(guest_ring_get(&f->g.rings[q], &u));
	assert_true(guest_virtio_status(&f->g) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_true(guest_virtio_start(&f->g, FEATURES, 3));
	gscsi_ready(f);
	gscsi_good(f, LUN(0), CDB(0), 0, 0, 0);
}

static void malformed(void **state)
{
	struct gscsi *f = *state;
	struct guest_ring *rings = f->g.rings;

	gscsi_put_request(f, LUN(0), CDB(0), 1);
	guest_ring_set(&rings[VSCSI_REQUESTS], 0, REQ, REQ_SIZE - 1, F_NEXT, 1);
	guest_ring_set(&rings[VSCSI_REQUESTS], 1, RESP, RESP_SIZE, F_WRITE, 0);
	assert_broken(f, VSCSI_REQUESTS);
	guest_ring_set(&rings[VSCSI_REQUESTS], 0, REQ, REQ_SIZE, F_NEXT, 1);
	guest_ring_set(&rings[VSCSI_REQUESTS], 1, RESP, RESP_SIZE - 1, F_WRITE, 0);
	assert_broken(f, VSCSI_REQUESTS);
	guest_ring_set(&rings[VSCSI_CONTROL], 0, TMF, 23, F_NEXT, 1);
	guest_ring_set(&rings[VSCSI_CONTROL], 1, TMF_RESP, 1, F_WRITE, 0);
	assert_broken(f, VSCSI_CONTROL);
	guest_ring_set(&rings[VSCSI_CONTROL], 0, TMF, 24, 0, 0); /* no place for an answer */
	assert_broken(f, VSCSI_CONTROL);
	memset(f->fb.mem + TMF, 0xff, 24); /* an unknown type */
	guest_ring_set(&rings[VSCSI_CONTROL], 0, TMF, 24, F_NEXT, 1);
	assert_broken(f, VSCSI_CONTROL);
}

static void task_management(void **state)
{
	struct gscsi *f = *state;
	static const uint8_t other[8] = { 1, 1, 0x40, 0 };

	gscsi_ready(f);
	assert_int_equal(gscsi_tmf(f, VIRTIO_SCSI_T_TMF_ABORT_TASK, LUN(0), 42), VIRTIO_SCSI_S_OK);
	assert_int_equal(gscsi_tmf(f, VIRTIO_SCSI_T_TMF_QUERY_TASK, LUN(0), 42), VIRTIO_SCSI_S_OK);
	assert_int_equal(gscsi_tmf(f, VIRTIO_SCSI_T_TMF_QUERY_TASK_SET, LUN(0), 0),
			 VIRTIO_SCSI_S_OK);
	assert_int_equal(gscsi_tmf(f, VIRTIO_SCSI_T_TMF_CLEAR_ACA, LUN(0), 0),
			 VIRTIO_SCSI_S_FUNCTION_REJECTED);
	assert_int_equal(gscsi_tmf(f, 99, LUN(0), 0), VIRTIO_SCSI_S_FUNCTION_REJECTED);
	assert_int_equal(gscsi_tmf(f, VIRTIO_SCSI_T_TMF_ABORT_TASK_SET, LUN(9), 0),
			 VIRTIO_SCSI_S_INCORRECT_LUN);
	assert_int_equal(gscsi_tmf(f, VIRTIO_SCSI_T_TMF_ABORT_TASK_SET, other, 0),
			 VIRTIO_SCSI_S_BAD_TARGET);
	gscsi_good(f, LUN(0), CDB(0), 0, 0, 0);
	assert_int_equal(gscsi_tmf(f, VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET, LUN(0), 0),
			 VIRTIO_SCSI_S_OK);
	gscsi_fails(f, LUN(7), CDB(0), 0x023a01); /* nothing to tell: it was not reset */
	gscsi_fails(f, LUN(0), CDB(0), 0x062903);
	gscsi_good(f, LUN(0), CDB(0), 0, 0, 0);
	assert_int_equal(gscsi_tmf(f, VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET, LUN(0), 0),
			 VIRTIO_SCSI_S_OK);
	gscsi_fails(f, LUN(7), CDB(0), 0x062903);
}

/* 5.6.6.2: asynchronous notifications are not there, and asking is no fault */
static void notifications(void **state)
{
	struct gscsi *f = *state;
	struct virtio_scsi_ctrl_an_req req = { .type = VIRTIO_SCSI_T_AN_QUERY,
					       .lun = { 1, 0, 0x40 },
					       .event_requested = 0x1f };
	struct guest_ring *r = &f->g.rings[VSCSI_CONTROL];

	memcpy(f->fb.mem + TMF, &req, sizeof(req));
	memset(f->fb.mem + TMF_RESP, 0xee, 5);
	guest_ring_set(r, 0, TMF, sizeof(req), F_NEXT, 1);
	guest_ring_set(r, 1, TMF_RESP, 5, F_WRITE, 0);
	guest_ring_add(r, 0);
	guest_virtio_kick(&f->g, VSCSI_CONTROL);
	assert_int_equal(gscsi_collect(f, VSCSI_CONTROL, 0), 5);
	assert_memory_equal(f->fb.mem + TMF_RESP, "\0\0\0\0\0", 5);
}

static void abort_waits(void **state)
{
	struct gscsi *f = *state;
	static const uint8_t read10[32] = { 0x28, 0, 0, 0, 0, 0, 0, 0, 1 };
	uint8_t block[512] = { 0 };
	struct vring_used_elem u;
	int pipes[2];

	gscsi_ready(f);
	if (!gscsi_make_slow(f, pipes))
		SKIP_BECAUSE("no io_uring");
	for (int reset = 0; reset < 2; reset++) {
		uint32_t how =
			reset ? VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET : VIRTIO_SCSI_T_TMF_ABORT_TASK;

		gscsi_add_request(f, LUN(0), read10, 0, 512);
		fake_board_run(&f->fb);
		assert_int_equal(gscsi_tmf(f, VIRTIO_SCSI_T_TMF_QUERY_TASK, LUN(0), 42),
				 VIRTIO_SCSI_S_FUNCTION_SUCCEEDED);
		assert_int_equal(gscsi_tmf(f, VIRTIO_SCSI_T_TMF_QUERY_TASK, LUN(0), 43),
				 VIRTIO_SCSI_S_OK);
		assert_int_equal(gscsi_tmf(f, VIRTIO_SCSI_T_TMF_ABORT_TASK, LUN(0), 43),
				 VIRTIO_SCSI_S_OK); /* another one's tag */
		assert_int_equal(gscsi_tmf(f, VIRTIO_SCSI_T_TMF_ABORT_TASK_SET, LUN(7), 0),
				 VIRTIO_SCSI_S_OK); /* another unit's */
		gscsi_add_tmf(f, how, LUN(0), 42);
		fake_board_run(&f->fb);
		assert_false(guest_ring_get(&f->g.rings[VSCSI_CONTROL], &u));
		assert_int_equal(write(pipes[1], block, sizeof(block)), sizeof(block));
		gscsi_collect(f, VSCSI_REQUESTS, 0);
		assert_int_equal(gscsi_response(f).response,
				 reset ? VIRTIO_SCSI_S_RESET : VIRTIO_SCSI_S_ABORTED);
		assert_int_equal(gscsi_collect(f, VSCSI_CONTROL, 0), 1);
		assert_int_equal(f->fb.mem[TMF_RESP], VIRTIO_SCSI_S_OK);
	}
	gscsi_fails(f, LUN(0), CDB(0), 0x062903);
	/* stopped with one under way: it ends first */
	gscsi_add_request(f, LUN(0), read10, 0, 512);
	gscsi_add_tmf(f, VIRTIO_SCSI_T_TMF_ABORT_TASK_SET, LUN(0), 0);
	fake_board_run(&f->fb);
	assert_int_equal(write(pipes[1], block, sizeof(block)), sizeof(block));
	f->dev->class->stop(f->dev);
	assert_int_equal(gscsi_collect(f, VSCSI_REQUESTS, 0), RESP_SIZE);
	assert_int_equal(gscsi_collect(f, VSCSI_CONTROL, 0), 1);
	f->dev->class->start(f->dev);
	close(pipes[0]);
	close(pipes[1]);
}

/* 5.6.6.3: what happened while there was no buffer is told when there is one, and each thing once */
static void events(void **state)
{
	struct gscsi *f = *state;
	struct vring_used_elem u;

	gscsi_add_event_buffer(f, 16);
	assert_false(guest_ring_get(&f->g.rings[VSCSI_EVENTS], &u));
	vscsi_tell(gscsi_vscsi(f), 7, VIRTIO_SCSI_T_PARAM_CHANGE, 0x0028);
	gscsi_expect_event(f, VIRTIO_SCSI_T_PARAM_CHANGE, 7, 0x0028);
	assert_true(guest_virtio_irqs(&f->g, 1 + VSCSI_EVENTS) > 0);
	vscsi_tell(gscsi_vscsi(f), 9, VIRTIO_SCSI_T_TRANSPORT_RESET, VIRTIO_SCSI_EVT_RESET_RESCAN);
	vscsi_tell(gscsi_vscsi(f), 7, VIRTIO_SCSI_T_PARAM_CHANGE, 0x0028);
	vscsi_tell(gscsi_vscsi(f), 9, VIRTIO_SCSI_T_TRANSPORT_RESET, VIRTIO_SCSI_EVT_RESET_REMOVED);
	fake_board_run(&f->fb);
	assert_false(guest_ring_get(&f->g.rings[VSCSI_EVENTS], &u));
	gscsi_add_event_buffer(f, 16);
	gscsi_expect_event(f, VIRTIO_SCSI_T_PARAM_CHANGE, 7, 0x0028);
	gscsi_add_event_buffer(f, 16);
	gscsi_expect_event(f, VIRTIO_SCSI_T_TRANSPORT_RESET, 9, VIRTIO_SCSI_EVT_RESET_REMOVED);
	gscsi_add_event_buffer(f, 16);
	assert_false(guest_ring_get(&f->g.rings[VSCSI_EVENTS], &u));
	/* a driver that did not take the feature is not told */
	assert_true(guest_virtio_start(&f->g, BIT64(VIRTIO_F_VERSION_1), 3));
	gscsi_add_event_buffer(f, 16);
	vscsi_tell(gscsi_vscsi(f), 7, VIRTIO_SCSI_T_PARAM_CHANGE, 0x0028);
	fake_board_run(&f->fb);
	assert_false(guest_ring_get(&f->g.rings[VSCSI_EVENTS], &u));
	/* a buffer that is too short */
	assert_true(guest_virtio_start(&f->g, FEATURES, 3));
	gscsi_add_event_buffer(f, 15);
	vscsi_tell(gscsi_vscsi(f), 7, VIRTIO_SCSI_T_PARAM_CHANGE, 0x0028);
	fake_board_run(&f->fb);
	assert_true(guest_virtio_status(&f->g) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* The medium's block, as the machine opens it */
static struct device_medium medium_of(int fd, struct err *e)
{
	struct block_image image = { .fd = dup(fd), .readonly = true };
	struct device_medium m = { 0 };

	assert_int_equal(fstat(fd, &m.file), 0);
	assert_int_equal(block_open(&image, &m.block, e), 0);
	return m;
}

static void media(void **state)
{
	struct gscsi *f = *state;
	const struct device_class *class = f->dev->class;
	struct device_medium m, out = { 0 };
	struct device_drive drive;
	struct err e = { 0 };

	gscsi_ready(f);
	assert_true(class->drive(f->dev, 0, &drive));
	assert_string_equal(drive.id, "scsi0.7");
	assert_true(!drive.medium && !drive.open && !drive.locked);
	assert_false(class->drive(f->dev, 1, &drive)); /* the disk is none */
	/* while it is stopped: the driver is told when it goes on */
	class->stop(f->dev);
	m = medium_of(f->fd, &e);
	assert_int_equal(class->set_medium(f->dev, 0, &m, &e), 0);
	assert_true(m.changed && !m.block);
	class->start(f->dev);
	gscsi_add_event_buffer(f, 16);
	gscsi_expect_event(f, VIRTIO_SCSI_T_PARAM_CHANGE, 7, 0x0028);
	gscsi_fails(f, LUN(7), CDB(0), 0x062800);
	gscsi_good(f, LUN(7), CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 0, 2048, 0);
	m = medium_of(f->fd, &e);
	assert_int_equal(class->set_medium(f->dev, 0, &m, &e), 0);
	assert_true(!m.changed && m.block); /* the same file; it stays the caller's */
	gscsi_good(f, LUN(7), CDB(0x1e, 0, 0, 0, 1), 0, 0, 0);
	assert_int_equal(class->set_medium(f->dev, 0, &out, &e), -ERR_VM_MEDIUM_LOCKED);
	assert_string_equal(e.msg, "the guest has locked drive 'scsi0.7'");
	out.force = true;
	assert_int_equal(class->set_medium(f->dev, 0, &out, &e), 0);
	assert_true(out.changed);
	assert_int_equal(class->set_medium(f->dev, 0, &m, &e), 0); /* the file of before again */
	assert_true(m.changed && !m.block);
}

static void bad_configurations(void **state)
{
	struct gscsi *f = *state;
	static const char *const rows[][2] = {
		{ "[{\"id\":\"a\",\"lun\":0,\"path\":{\"fd\":0}},{\"id\":\"b\",\"lun\":0,"
		  "\"kind\":\"cdrom\"}]",
		  "device 'scsi1': disk 'b': LUN 0 is taken" },
		{ "[{\"id\":\"a\",\"lun\":256,\"kind\":\"cdrom\"}]",
		  "device 'scsi1': disk 'a': LUN 256 is too large" },
		{ "[{\"id\":\"a\",\"lun\":0}]", "device 'scsi1': disk 'a': no image" },
		{ "[{\"id\":\"a\",\"lun\":0,\"path\":{\"fd\":3}}]",
		  "device 'scsi1': disks/0: path: descriptor 3 was not passed" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = { 0 };
		char json[512];

		snprintf(json, sizeof(json),
			 "{\"type\":\"virtio-scsi\",\"id\":\"scsi1\",\"address\":\"00:05.0\","
			 "\"disks\":%s}",
			 rows[i][0]);
		assert_null(fake_board_new(&f->fb, json, f->fd, &e));
		assert_string_equal(e.msg, rows[i][1]);
	}
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, gscsi_setup, gscsi_teardown)
	const struct CMUnitTest tests[] = {
		T(identity_and_config), T(commands),	 T(addresses), T(residuals),
		T(any_framing),		T(driver_sizes), T(malformed), T(task_management),
		T(notifications),	T(abort_waits),	 T(events),    T(media),
		T(bad_configurations),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
