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
#include "tests/unit/guest_virtio.h"
#include "vmm/block/engine.h"
#include "vmm/devices.h"
#include "vmm/scsi/unit.h"
#include "vmm/virtio/scsi_impl.h"

#define SLOT 3
#define REQ 0x8000 /* guest addresses */
#define RESP 0x8100
#define TMF 0x8300
#define TMF_RESP 0x8400
#define EVENT 0x8500
#define DATA 0x10000
#define DISK (1 * MIB)
#define FEATURES \
	(BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_SCSI_F_HOTPLUG) | BIT64(VIRTIO_SCSI_F_CHANGE))
#define F_WRITE VRING_DESC_F_WRITE
#define F_NEXT VRING_DESC_F_NEXT
#define CDB(...) ((const uint8_t[32]){ __VA_ARGS__ })
#define LUN(n) ((const uint8_t[8]){ 1, 0, 0x40, (n) })
#define REQ_SIZE sizeof(struct virtio_scsi_cmd_req)
#define RESP_SIZE sizeof(struct virtio_scsi_cmd_resp)

struct fixture {
	struct fake_board fb;
	struct device *host, *dev;
	struct guest_virtio g;
	int fd; /* the image */
};

static const char *const definition =
	"{\"type\":\"virtio-scsi\",\"id\":\"scsi0\",\"address\":\"00:03.0\",\"disks\":["
	"{\"id\":\"root\",\"lun\":0,\"kind\":\"disk\",\"path\":{\"fd\":0},\"readonly\":false},"
	"{\"id\":\"scsi0.7\",\"lun\":7,\"kind\":\"cdrom\",\"readonly\":true}]}";

static struct device *scsi_new(struct fixture *f, const char *json, struct err *e)
{
	AUTO_JSON struct json_object *o = NULL;
	struct device *d = NULL;
	struct fdset fds;

	fdset_init(&fds);
	fdset_add(&fds, dup(f->fd));
	assert_int_equal(json_parse(json, strlen(json), &o, e), 0);
	device_new(&f->fb.board, o, &fds, &d, e);
	fdset_fini(&fds);
	return d;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e = { 0 };

	assert_non_null(f);
	f->fd = memfd_create("disk", MFD_CLOEXEC);
	assert_int_equal(ftruncate(f->fd, DISK), 0);
	fake_board_init(&f->fb, MIB);
	f->fb.log.fd = -1;
	f->host = fake_board_add(&f->fb, &pci_host_class, "pci", NULL);
	f->dev = scsi_new(f, definition, &e);
	if (!f->dev)
		fail_msg("%s", e.msg);
	f->dev->class->reset(f->dev);
	f->dev->class->start(f->dev);
	guest_virtio_find(&f->g, &f->fb, SLOT);
	assert_true(guest_virtio_start(&f->g, FEATURES, 3));
	*state = f;
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

static struct vscsi *vscsi(struct fixture *f)
{
	return container_of(f->dev, struct vscsi, v.dev);
}

/* --- the driver ------------------------------------------------------------------------------------------- */

struct wait {
	struct fixture *f;
	unsigned int q;
};

static bool queue_used(void *arg)
{
	const struct wait *w = arg;
	struct guest_ring *r = &w->f->g.rings[w->q];

	return guest_ring_used(r)->idx != r->used_idx;
}

/* Wait for queue q's next used chain, which began with descriptor head; bytes written */
static uint32_t collect(struct fixture *f, unsigned int q, uint16_t head)
{
	struct wait w = { f, q };
	struct vring_used_elem u = { 0 };

	fake_board_run_until(&f->fb, queue_used, &w);
	assert_true(guest_ring_get(&f->g.rings[q], &u));
	assert_int_equal(u.id, head);
	return u.len;
}

static void put_request(struct fixture *f, const uint8_t *lun, const uint8_t *cdb, uint64_t tag)
{
	struct virtio_scsi_cmd_req req = { .tag = tag };

	memcpy(req.lun, lun, 8);
	memcpy(req.cdb, cdb, 32);
	memcpy(f->fb.mem + REQ, &req, sizeof(req));
	memset(f->fb.mem + RESP, 0xee, 0x200);
}

/* Header, data out, response, data in: descriptors 0 to 3 of the request queue */
static void add_request(struct fixture *f, const uint8_t *lun, const uint8_t *cdb, uint32_t out,
			uint32_t in)
{
	struct guest_ring *r = &f->g.rings[VSCSI_REQUESTS];

	put_request(f, lun, cdb, 42);
	guest_ring_set(r, 0, REQ, REQ_SIZE, F_NEXT, out ? 1 : 2);
	guest_ring_set(r, 1, DATA, out, F_NEXT, 2);
	guest_ring_set(r, 2, RESP, RESP_SIZE, F_WRITE | (in ? F_NEXT : 0), 3);
	guest_ring_set(r, 3, DATA, in, F_WRITE, 0);
	guest_ring_add(r, 0);
	guest_virtio_kick(&f->g, VSCSI_REQUESTS);
}

static struct virtio_scsi_cmd_resp response(struct fixture *f)
{
	struct virtio_scsi_cmd_resp resp;

	memcpy(&resp, f->fb.mem + RESP, sizeof(resp));
	return resp;
}

static struct virtio_scsi_cmd_resp request(struct fixture *f, const uint8_t *lun,
					   const uint8_t *cdb, uint32_t out, uint32_t in)
{
	add_request(f, lun, cdb, out, in);
	assert_true(collect(f, VSCSI_REQUESTS, 0) >= RESP_SIZE);
	assert_int_equal(guest_virtio_status(&f->g) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
	return response(f);
}

/* What power on left to be told is told */
static void ready(struct fixture *f)
{
	request(f, LUN(0), CDB(0), 0, 0);
	request(f, LUN(7), CDB(0), 0, 0);
}

static void good(struct fixture *f, const uint8_t *lun, const uint8_t *cdb, uint32_t out,
		 uint32_t in, uint32_t resid)
{
	struct virtio_scsi_cmd_resp r = request(f, lun, cdb, out, in);

	assert_int_equal(r.response, VIRTIO_SCSI_S_OK);
	assert_int_equal(r.status, 0);
	assert_int_equal(r.sense_len, 0);
	assert_int_equal(r.resid, resid);
}

static void fails(struct fixture *f, const uint8_t *lun, const uint8_t *cdb, uint32_t sense)
{
	struct virtio_scsi_cmd_resp r = request(f, lun, cdb, 0, 0);

	assert_int_equal(r.response, VIRTIO_SCSI_S_OK);
	assert_int_equal(r.status, SCSI_CHECK_CONDITION);
	assert_int_equal(r.sense_len, SCSI_SENSE_SIZE);
	assert_int_equal((uint32_t)r.sense[2] << 16 | (uint32_t)r.sense[12] << 8 | r.sense[13],
			 sense);
}

static uint8_t add_tmf(struct fixture *f, uint32_t subtype, const uint8_t *lun, uint64_t tag)
{
	struct virtio_scsi_ctrl_tmf_req req = { .subtype = subtype, .tag = tag };
	struct guest_ring *r = &f->g.rings[VSCSI_CONTROL];

	memcpy(req.lun, lun, 8);
	memcpy(f->fb.mem + TMF, &req, sizeof(req));
	f->fb.mem[TMF_RESP] = 0xee;
	guest_ring_set(r, 0, TMF, sizeof(req), F_NEXT, 1);
	guest_ring_set(r, 1, TMF_RESP, 1, F_WRITE, 0);
	guest_ring_add(r, 0);
	guest_virtio_kick(&f->g, VSCSI_CONTROL);
	return 0;
}

static uint8_t tmf(struct fixture *f, uint32_t subtype, const uint8_t *lun, uint64_t tag)
{
	add_tmf(f, subtype, lun, tag);
	assert_int_equal(collect(f, VSCSI_CONTROL, 0), 1);
	return f->fb.mem[TMF_RESP];
}

/* --- tests ------------------------------------------------------------------------------------------------- */

static void identity_and_config(void **state)
{
	struct fixture *f = *state;
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
	struct fixture *f = *state;
	uint8_t got[1024];

	fails(f, LUN(0), CDB(0), 0x062900);
	good(f, LUN(0), CDB(0), 0, 0, 0);
	good(f, LUN(0), CDB(0x12, 1, 0x80, 0, 255), 0, 255, 255 - 8);
	assert_memory_equal(f->fb.mem + DATA, "\0\x80\0\x04root", 8); /* the id as serial number */
	memset(f->fb.mem + DATA, 0x5a, 1024);
	good(f, LUN(0), CDB(0x2a, 0, 0, 0, 0, 3, 0, 0, 2), 1024, 0, 0);
	assert_int_equal(pread(f->fd, got, 1024, 3 * 512), 1024);
	assert_memory_equal(got, f->fb.mem + DATA, 1024);
	memset(f->fb.mem + DATA, 0, 2048);
	good(f, LUN(0), CDB(0x28, 0, 0, 0, 0, 3, 0, 0, 2), 0, 1536, 512);
	assert_memory_equal(got, f->fb.mem + DATA, 1024);
	good(f, LUN(0), CDB(0x35), 0, 0, 0);
	/* peripheral device addressing finds the same unit */
	good(f, (const uint8_t[8]){ 1, 0, 0, 0 }, CDB(0), 0, 0, 0);
	fails(f, LUN(7), CDB(0), 0x062900);
	fails(f, LUN(7), CDB(0), 0x023a01);
	assert_true(guest_virtio_irqs(&f->g, 1 + VSCSI_REQUESTS) > 0);
}

static void addresses(void **state)
{
	struct fixture *f = *state;

	ready(f);
	/* 5.6.6.1: the well-known unit that reports LUNs */
	good(f, (const uint8_t[8]){ 0xc1, 1 }, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64), 0, 64, 40);
	assert_memory_equal(f->fb.mem + DATA, "\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\7", 18);
	assert_int_equal(request(f, (const uint8_t[8]){ 1, 1, 0x40, 0 }, CDB(0), 0, 0).response,
			 VIRTIO_SCSI_S_BAD_TARGET);
	assert_int_equal(request(f, (const uint8_t[8]){ 0 }, CDB(0), 0, 0).response,
			 VIRTIO_SCSI_S_BAD_TARGET);
	fails(f, LUN(1), CDB(0), 0x052500);
	fails(f, (const uint8_t[8]){ 1, 0, 0x41, 0 }, CDB(0), 0x052500); /* LUN 256 */
	fails(f, (const uint8_t[8]){ 1, 0, 0x01, 0 }, CDB(0), 0x052500); /* a bus */
	fails(f, (const uint8_t[8]){ 1, 0, 0x80, 0 }, CDB(0),
	      0x052500); /* logical unit addressing */
	fails(f, (const uint8_t[8]){ 1, 0, 0x40, 0, 1 }, CDB(0), 0x052500); /* a second level */
}

static void residuals(void **state)
{
	struct fixture *f = *state;
	struct virtio_scsi_cmd_resp r;

	ready(f);
	r = request(f, LUN(0), CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 2), 0, 512);
	assert_int_equal(r.response, VIRTIO_SCSI_S_OVERRUN);
	r = request(f, LUN(0), CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 512, 512); /* INOUT */
	assert_int_equal(r.response, VIRTIO_SCSI_S_FAILURE);
	r = request(f, LUN(0), CDB(0x28, 0, 0xff, 0, 0, 0, 0, 0, 1), 0, 512);
	assert_int_equal(r.status, SCSI_CHECK_CONDITION);
	assert_int_equal(r.resid, 512);
}

/* 2.7.4: header and response cut anywhere, data in the same descriptors */
static void any_framing(void **state)
{
	struct fixture *f = *state;
	struct guest_ring *r = &f->g.rings[VSCSI_REQUESTS];
	struct virtio_scsi_cmd_resp resp;

	ready(f);
	put_request(f, LUN(0), CDB(0x2a, 0, 0, 0, 0, 9, 0, 0, 1), 1);
	memset(f->fb.mem + REQ + REQ_SIZE, 0xab, 512); /* data behind the header, in one piece */
	guest_ring_set(r, 0, REQ, 20, F_NEXT, 1);
	guest_ring_set(r, 1, REQ + 20, (uint32_t)REQ_SIZE - 20 + 100, F_NEXT, 2);
	guest_ring_set(r, 2, REQ + REQ_SIZE + 100, 412, F_NEXT, 3);
	guest_ring_set(r, 3, DATA, 10, F_WRITE | F_NEXT, 4);
	guest_ring_set(r, 4, DATA + 10, (uint32_t)RESP_SIZE - 10, F_WRITE, 0);
	memset(f->fb.mem + DATA, 0xee, 256);
	guest_ring_add(r, 0);
	guest_virtio_kick(&f->g, VSCSI_REQUESTS);
	assert_int_equal(collect(f, VSCSI_REQUESTS, 0), RESP_SIZE);
	memcpy(&resp, f->fb.mem + DATA, sizeof(resp));
	assert_true(resp.response == VIRTIO_SCSI_S_OK && !resp.status && !resp.resid);
	/* read it: the response ends inside of a descriptor that the data begins in */
	put_request(f, LUN(0), CDB(0x28, 0, 0, 0, 0, 9, 0, 0, 1), 1);
	guest_ring_set(r, 0, REQ, REQ_SIZE, F_NEXT, 1);
	guest_ring_set(r, 1, DATA, 3, F_WRITE | F_NEXT, 2);
	guest_ring_set(r, 2, DATA + 3, (uint32_t)RESP_SIZE - 3 + 500, F_WRITE | F_NEXT, 3);
	guest_ring_set(r, 3, DATA + RESP_SIZE + 500, 12, F_WRITE, 0);
	memset(f->fb.mem + DATA, 0xee, 1024);
	guest_ring_add(r, 0);
	guest_virtio_kick(&f->g, VSCSI_REQUESTS);
	assert_int_equal(collect(f, VSCSI_REQUESTS, 0), RESP_SIZE + 512);
	memcpy(&resp, f->fb.mem + DATA, sizeof(resp));
	assert_true(resp.response == VIRTIO_SCSI_S_OK && !resp.status && !resp.resid);
	for (size_t i = 0; i < 512; i++)
		assert_int_equal(f->fb.mem[DATA + RESP_SIZE + i], 0xab);
	assert_int_equal(f->fb.mem[DATA + RESP_SIZE + 512], 0xee);
}

/* 5.6.4: what the driver may choose, until it resets the device */
static void driver_sizes(void **state)
{
	struct fixture *f = *state;
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
	put_request(f, LUN(0), CDB(0), 1);
	guest_ring_set(r, 0, REQ, 19 + 16, F_NEXT, 1);
	guest_ring_set(r, 1, RESP, 12 + 18, F_WRITE, 0);
	guest_ring_add(r, 0);
	guest_virtio_kick(&f->g, VSCSI_REQUESTS);
	assert_int_equal(collect(f, VSCSI_REQUESTS, 0), 30);
	assert_int_equal(response(f).status, SCSI_CHECK_CONDITION);
	assert_int_equal(f->fb.mem[RESP + 30], 0xee);
	assert_true(guest_virtio_start(&f->g, FEATURES, 3));
	assert_int_equal(fake_mmio_read(&f->fb, cdb_size, 4), 32);
	good(f, LUN(0), CDB(0), 0, 0, 0);
}

static void assert_broken(struct fixture *f, unsigned int q)
{
	struct vring_used_elem u;

	guest_ring_add(&f->g.rings[q], 0);
	guest_virtio_kick(&f->g, q);
	fake_board_run(&f->fb);
	assert_false(guest_ring_get(&f->g.rings[q], &u));
	assert_true(guest_virtio_status(&f->g) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_true(guest_virtio_start(&f->g, FEATURES, 3));
	ready(f);
	good(f, LUN(0), CDB(0), 0, 0, 0);
}

static void malformed(void **state)
{
	struct fixture *f = *state;
	struct guest_ring *rings = f->g.rings;

	put_request(f, LUN(0), CDB(0), 1);
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
	struct fixture *f = *state;
	static const uint8_t other[8] = { 1, 1, 0x40, 0 };

	ready(f);
	assert_int_equal(tmf(f, VIRTIO_SCSI_T_TMF_ABORT_TASK, LUN(0), 42), VIRTIO_SCSI_S_OK);
	assert_int_equal(tmf(f, VIRTIO_SCSI_T_TMF_QUERY_TASK, LUN(0), 42), VIRTIO_SCSI_S_OK);
	assert_int_equal(tmf(f, VIRTIO_SCSI_T_TMF_QUERY_TASK_SET, LUN(0), 0), VIRTIO_SCSI_S_OK);
	assert_int_equal(tmf(f, VIRTIO_SCSI_T_TMF_CLEAR_ACA, LUN(0), 0),
			 VIRTIO_SCSI_S_FUNCTION_REJECTED);
	assert_int_equal(tmf(f, 99, LUN(0), 0), VIRTIO_SCSI_S_FUNCTION_REJECTED);
	assert_int_equal(tmf(f, VIRTIO_SCSI_T_TMF_ABORT_TASK_SET, LUN(9), 0),
			 VIRTIO_SCSI_S_INCORRECT_LUN);
	assert_int_equal(tmf(f, VIRTIO_SCSI_T_TMF_ABORT_TASK_SET, other, 0),
			 VIRTIO_SCSI_S_BAD_TARGET);
	good(f, LUN(0), CDB(0), 0, 0, 0);
	assert_int_equal(tmf(f, VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET, LUN(0), 0), VIRTIO_SCSI_S_OK);
	fails(f, LUN(7), CDB(0), 0x023a01); /* nothing to tell: it was not reset */
	fails(f, LUN(0), CDB(0), 0x062903);
	good(f, LUN(0), CDB(0), 0, 0, 0);
	assert_int_equal(tmf(f, VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET, LUN(0), 0), VIRTIO_SCSI_S_OK);
	fails(f, LUN(7), CDB(0), 0x062903);
}

/* 5.6.6.2: asynchronous notifications are not there, and asking is no fault */
static void notifications(void **state)
{
	struct fixture *f = *state;
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
	assert_int_equal(collect(f, VSCSI_CONTROL, 0), 5);
	assert_memory_equal(f->fb.mem + TMF_RESP, "\0\0\0\0\0", 5);
}

/*
 * A disk that takes its time: a pipe in its place, whose read ends when the test writes. False: without io_uring
 * there is nothing that runs meanwhile.
 */
static bool make_slow(struct fixture *f, int pipes[2])
{
	struct block *b = vscsi(f)->target->units[0]->block;

	if (strcmp(block_info(b)->engine, "io_uring"))
		return false;
	assert_int_equal(pipe(pipes), 0);
	f->dev->class->stop(f->dev);
	assert_int_equal(dup2(pipes[0], b->fd), b->fd);
	block_uring_free(b->uring); /* it has the file that was there before */
	b->uring = NULL;
	assert_int_equal(block_uring_new(b, NULL), 0);
	f->dev->class->start(f->dev);
	return true;
}

static void abort_waits(void **state)
{
	struct fixture *f = *state;
	static const uint8_t read10[32] = { 0x28, 0, 0, 0, 0, 0, 0, 0, 1 };
	uint8_t block[512] = { 0 };
	struct vring_used_elem u;
	int pipes[2];

	ready(f);
	if (!make_slow(f, pipes))
		SKIP_BECAUSE("no io_uring");
	for (int reset = 0; reset < 2; reset++) {
		uint32_t how =
			reset ? VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET : VIRTIO_SCSI_T_TMF_ABORT_TASK;

		add_request(f, LUN(0), read10, 0, 512);
		fake_board_run(&f->fb);
		assert_int_equal(tmf(f, VIRTIO_SCSI_T_TMF_QUERY_TASK, LUN(0), 42),
				 VIRTIO_SCSI_S_FUNCTION_SUCCEEDED);
		assert_int_equal(tmf(f, VIRTIO_SCSI_T_TMF_QUERY_TASK, LUN(0), 43),
				 VIRTIO_SCSI_S_OK);
		assert_int_equal(tmf(f, VIRTIO_SCSI_T_TMF_ABORT_TASK, LUN(0), 43),
				 VIRTIO_SCSI_S_OK); /* another one's tag */
		assert_int_equal(tmf(f, VIRTIO_SCSI_T_TMF_ABORT_TASK_SET, LUN(7), 0),
				 VIRTIO_SCSI_S_OK); /* another unit's */
		add_tmf(f, how, LUN(0), 42);
		fake_board_run(&f->fb);
		assert_false(guest_ring_get(&f->g.rings[VSCSI_CONTROL], &u));
		assert_int_equal(write(pipes[1], block, sizeof(block)), sizeof(block));
		collect(f, VSCSI_REQUESTS, 0);
		assert_int_equal(response(f).response,
				 reset ? VIRTIO_SCSI_S_RESET : VIRTIO_SCSI_S_ABORTED);
		assert_int_equal(collect(f, VSCSI_CONTROL, 0), 1);
		assert_int_equal(f->fb.mem[TMF_RESP], VIRTIO_SCSI_S_OK);
	}
	fails(f, LUN(0), CDB(0), 0x062903);
	/* stopped with one under way: it ends first */
	add_request(f, LUN(0), read10, 0, 512);
	add_tmf(f, VIRTIO_SCSI_T_TMF_ABORT_TASK_SET, LUN(0), 0);
	fake_board_run(&f->fb);
	assert_int_equal(write(pipes[1], block, sizeof(block)), sizeof(block));
	f->dev->class->stop(f->dev);
	assert_int_equal(collect(f, VSCSI_REQUESTS, 0), RESP_SIZE);
	assert_int_equal(collect(f, VSCSI_CONTROL, 0), 1);
	f->dev->class->start(f->dev);
	close(pipes[0]);
	close(pipes[1]);
}

static void add_event_buffer(struct fixture *f, uint32_t size)
{
	struct guest_ring *r = &f->g.rings[VSCSI_EVENTS];

	memset(f->fb.mem + EVENT, 0xee, 16);
	guest_ring_set(r, 0, EVENT, size, F_WRITE, 0);
	guest_ring_add(r, 0);
	guest_virtio_kick(&f->g, VSCSI_EVENTS);
	fake_board_run(&f->fb);
}

static void expect_event(struct fixture *f, uint32_t event, uint8_t lun, uint32_t reason)
{
	struct virtio_scsi_event got;

	assert_int_equal(collect(f, VSCSI_EVENTS, 0), sizeof(got));
	memcpy(&got, f->fb.mem + EVENT, sizeof(got));
	assert_int_equal(got.event, event);
	assert_int_equal(got.reason, reason);
	assert_memory_equal(got.lun, ((const uint8_t[8]){ 1, 0, 0, lun }), 8);
}

/* 5.6.6.3: what happened while there was no buffer is told when there is one, and each thing once */
static void events(void **state)
{
	struct fixture *f = *state;
	struct vring_used_elem u;

	add_event_buffer(f, 16);
	assert_false(guest_ring_get(&f->g.rings[VSCSI_EVENTS], &u));
	vscsi_tell(vscsi(f), 7, VIRTIO_SCSI_T_PARAM_CHANGE, 0x0028);
	expect_event(f, VIRTIO_SCSI_T_PARAM_CHANGE, 7, 0x0028);
	assert_true(guest_virtio_irqs(&f->g, 1 + VSCSI_EVENTS) > 0);
	vscsi_tell(vscsi(f), 9, VIRTIO_SCSI_T_TRANSPORT_RESET, VIRTIO_SCSI_EVT_RESET_RESCAN);
	vscsi_tell(vscsi(f), 7, VIRTIO_SCSI_T_PARAM_CHANGE, 0x0028);
	vscsi_tell(vscsi(f), 9, VIRTIO_SCSI_T_TRANSPORT_RESET, VIRTIO_SCSI_EVT_RESET_REMOVED);
	fake_board_run(&f->fb);
	assert_false(guest_ring_get(&f->g.rings[VSCSI_EVENTS], &u));
	add_event_buffer(f, 16);
	expect_event(f, VIRTIO_SCSI_T_PARAM_CHANGE, 7, 0x0028);
	add_event_buffer(f, 16);
	expect_event(f, VIRTIO_SCSI_T_TRANSPORT_RESET, 9, VIRTIO_SCSI_EVT_RESET_REMOVED);
	add_event_buffer(f, 16);
	assert_false(guest_ring_get(&f->g.rings[VSCSI_EVENTS], &u));
	/* a driver that did not take the feature is not told */
	assert_true(guest_virtio_start(&f->g, BIT64(VIRTIO_F_VERSION_1), 3));
	add_event_buffer(f, 16);
	vscsi_tell(vscsi(f), 7, VIRTIO_SCSI_T_PARAM_CHANGE, 0x0028);
	fake_board_run(&f->fb);
	assert_false(guest_ring_get(&f->g.rings[VSCSI_EVENTS], &u));
	/* a buffer that is too short */
	assert_true(guest_virtio_start(&f->g, FEATURES, 3));
	add_event_buffer(f, 15);
	vscsi_tell(vscsi(f), 7, VIRTIO_SCSI_T_PARAM_CHANGE, 0x0028);
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
	struct fixture *f = *state;
	const struct device_class *class = f->dev->class;
	struct device_medium m, out = { 0 };
	struct device_drive drive;
	struct err e = { 0 };

	ready(f);
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
	add_event_buffer(f, 16);
	expect_event(f, VIRTIO_SCSI_T_PARAM_CHANGE, 7, 0x0028);
	fails(f, LUN(7), CDB(0), 0x062800);
	good(f, LUN(7), CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 0, 2048, 0);
	m = medium_of(f->fd, &e);
	assert_int_equal(class->set_medium(f->dev, 0, &m, &e), 0);
	assert_true(!m.changed && m.block); /* the same file; it stays the caller's */
	good(f, LUN(7), CDB(0x1e, 0, 0, 0, 1), 0, 0, 0);
	assert_int_equal(class->set_medium(f->dev, 0, &out, &e), -ERR_VM_MEDIUM_LOCKED);
	assert_string_equal(e.msg, "the guest has locked drive 'scsi0.7'");
	out.force = true;
	assert_int_equal(class->set_medium(f->dev, 0, &out, &e), 0);
	assert_true(out.changed);
	assert_int_equal(class->set_medium(f->dev, 0, &m, &e), 0); /* the file of before again */
	assert_true(m.changed && !m.block);
}

/* A disk as it comes by the control socket; its file is the fixture's. 0, or what is wrong with it. */
static int unit_add(struct fixture *f, const char *json, struct err *e)
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
	struct fixture *f = *state;
	const struct device_class *class = f->dev->class;
	struct err e = { 0 };

	ready(f);
	fails(f, LUN(3), CDB(0), 0x052500);
	add_event_buffer(f, 16);
	assert_int_equal(unit_add(f, NEW_DISK, &e), 0);
	expect_event(f, VIRTIO_SCSI_T_TRANSPORT_RESET, 3, VIRTIO_SCSI_EVT_RESET_RESCAN);
	assert_string_equal(class->unit(f->dev, 1), "new");
	assert_string_equal(class->unit(f->dev, 2), "scsi0.7");
	assert_null(class->unit(f->dev, 3));
	fails(f, LUN(3), CDB(0), 0x062900);
	fails(f, LUN(0), CDB(0), 0x063f0e); /* told once, by whoever is asked first */
	good(f, LUN(3), CDB(0), 0, 0, 0);
	good(f, LUN(3), CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 0, 512, 0);
	add_event_buffer(f, 16);
	assert_int_equal(class->unit_remove(f->dev, "new", &e), 0);
	expect_event(f, VIRTIO_SCSI_T_TRANSPORT_RESET, 3, VIRTIO_SCSI_EVT_RESET_REMOVED);
	fails(f, LUN(3), CDB(0), 0x052500);
	assert_int_equal(class->unit_remove(f->dev, "new", &e), -ERR_VM_NO_DEVICE);
	assert_string_equal(e.msg, "the controller has no disk 'new'");
	/* while the machine stands still: told when it goes on */
	class->stop(f->dev);
	assert_int_equal(unit_add(f, NEW_DISK, &e), 0);
	class->start(f->dev);
	add_event_buffer(f, 16);
	expect_event(f, VIRTIO_SCSI_T_TRANSPORT_RESET, 3, VIRTIO_SCSI_EVT_RESET_RESCAN);
	fails(f, LUN(3), CDB(0), 0x062900);
}

/* What a driver takes for the disk that was there must not be another one. */
static void unit_of_an_untold_lun(void **state)
{
	struct fixture *f = *state;
	const struct device_class *class = f->dev->class;
	struct err e = { 0 };

	ready(f);
	assert_int_equal(class->unit_remove(f->dev, "root", &e), 0); /* no buffer for the event */
	assert_int_equal(unit_add(f, "{\"id\":\"b\",\"lun\":0,\"path\":{\"fd\":0}}", &e),
			 -ERR_BUSY);
	assert_string_equal(e.msg, "the guest was not yet told that what had LUN 0 is gone");
	assert_int_equal(unit_add(f, NEW_DISK, &e), 0);
	add_event_buffer(f, 16);
	expect_event(f, VIRTIO_SCSI_T_TRANSPORT_RESET, 0, VIRTIO_SCSI_EVT_RESET_REMOVED);
	add_event_buffer(f, 16);
	expect_event(f, VIRTIO_SCSI_T_TRANSPORT_RESET, 3, VIRTIO_SCSI_EVT_RESET_RESCAN);
	assert_int_equal(unit_add(f, "{\"id\":\"b\",\"lun\":0,\"path\":{\"fd\":0}}", &e), 0);
	/* another driver looks for itself: it is told nothing of what was before */
	assert_int_equal(class->unit_remove(f->dev, "new", &e), 0);
	assert_true(guest_virtio_start(&f->g, FEATURES, 3));
	assert_int_equal(unit_add(f, NEW_DISK, &e), 0);
	add_event_buffer(f, 16);
	expect_event(f, VIRTIO_SCSI_T_TRANSPORT_RESET, 3, VIRTIO_SCSI_EVT_RESET_RESCAN);
}

static void bad_units(void **state)
{
	struct fixture *f = *state;
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
	struct fixture *f = *state;
	static const uint8_t block[512];
	struct err e = { 0 };
	int pipes[2];

	ready(f);
	if (!make_slow(f, pipes))
		SKIP_BECAUSE("no io_uring");
	add_request(f, LUN(0), CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 1), 0, 512);
	fake_board_run(&f->fb);
	assert_int_equal(write(pipes[1], block, sizeof(block)), sizeof(block));
	assert_int_equal(f->dev->class->unit_remove(f->dev, "root", &e), 0);
	assert_int_equal(collect(f, VSCSI_REQUESTS, 0), RESP_SIZE + 512);
	assert_int_equal(response(f).response, VIRTIO_SCSI_S_OK);
	assert_int_equal(response(f).status, 0);
	fails(f, LUN(0), CDB(0), 0x052500);
	close(pipes[0]);
	close(pipes[1]);
}

/* A step that was queued by the end of the one before leaves the disk listed, and nothing leads to one that is gone. */
static void unit_goes_after_steps(void **state)
{
	struct fixture *f = *state;
	struct scsi_target *t = vscsi(f)->target;
	struct err e = { 0 };

	ready(f);
	assert_null(t->dirty);
	t->units[0]->dirty = true;
	t->dirty = t->units[0];
	assert_int_equal(f->dev->class->unit_remove(f->dev, "root", &e), 0);
	assert_null(t->dirty);
	fails(f, LUN(7), CDB(0), 0x063f0e);
}

static void bad_configurations(void **state)
{
	struct fixture *f = *state;
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
		assert_null(scsi_new(f, json, &e));
		assert_string_equal(e.msg, rows[i][1]);
	}
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(identity_and_config),
		T(commands),
		T(addresses),
		T(residuals),
		T(any_framing),
		T(driver_sizes),
		T(malformed),
		T(task_management),
		T(notifications),
		T(abort_waits),
		T(events),
		T(media),
		T(bad_configurations),
		T(units_come_and_go),
		T(unit_of_an_untold_lun),
		T(bad_units),
		T(unit_goes_busy),
		T(unit_goes_after_steps),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
