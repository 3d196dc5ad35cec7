// SPDX-License-Identifier: MIT
/* See guest_scsi.h. */
#include "tests/unit/guest_scsi.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/block/engine.h"
#include "vmm/devices.h"
#include "vmm/scsi/unit.h"

static const char *const gscsi_definition =
	"{\"type\":\"virtio-scsi\",\"id\":\"scsi0\",\"address\":\"00:03.0\",\"disks\":["
	"{\"id\":\"root\",\"lun\":0,\"kind\":\"disk\",\"path\":{\"fd\":0},\"readonly\":false},"
	"{\"id\":\"scsi0.7\",\"lun\":7,\"kind\":\"cdrom\",\"readonly\":true}]}";

struct gscsi *gscsi_start(const char *json)
{
	struct gscsi *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->fd = fake_image(DISK);
	fake_board_init(&f->fb, MIB);
	f->fb.log.fd = -1;
	f->host = fake_board_add(&f->fb, &pci_host_class, "pci", NULL);
	f->dev = fake_board_start(&f->fb, json, f->fd);
	guest_virtio_find(&f->g, &f->fb, SLOT);
	assert_true(guest_virtio_start(&f->g, FEATURES, 3));
	return f;
}

int gscsi_setup(void **state)
{
	*state = gscsi_start(gscsi_definition);
	return 0;
}

int gscsi_teardown(void **state)
{
	struct gscsi *f = *state;

	f->dev->class->stop(f->dev);
	device_free(f->dev);
	fake_board_remove(&f->fb, f->host);
	fake_board_fini(&f->fb);
	close(f->fd);
	free(f);
	return 0;
}

struct vscsi *gscsi_vscsi(struct gscsi *f)
{
	return container_of(f->dev, struct vscsi, v.dev);
}

/* --- the driver ------------------------------------------------------------------------------------------- */

struct gscsi_wait {
	struct gscsi *f;
	unsigned int q;
};

static bool gscsi_queue_used(void *arg)
{
	const struct gscsi_wait *w = arg;
	struct guest_ring *r = &w->f->g.rings[w->q];

	return guest_ring_used(r)->idx != r->used_idx;
}

/* Wait for queue q's next used chain, which began with descriptor head; bytes written */
uint32_t gscsi_collect(struct gscsi *f, unsigned int q, uint16_t head)
{
	struct gscsi_wait w = { f, q };
	struct vring_used_elem u = { 0 };

	fake_board_run_until(&f->fb, gscsi_queue_used, &w);
	assert_true(guest_ring_get(&f->g.rings[q], &u));
	assert_int_equal(u.id, head);
	return u.len;
}

void gscsi_put_request(struct gscsi *f, const uint8_t *lun, const uint8_t *cdb, uint64_t tag)
{
	struct virtio_scsi_cmd_req req = { .tag = tag };

	memcpy(req.lun, lun, 8);
	memcpy(req.cdb, cdb, 32);
	memcpy(f->fb.mem + REQ, &req, sizeof(req));
	memset(f->fb.mem + RESP, 0xee, 0x200);
}

/* Header, data out, response, data in: descriptors 0 to 3 of the request queue */
void gscsi_add_request(struct gscsi *f, const uint8_t *lun, const uint8_t *cdb, uint32_t out,
		       uint32_t in)
{
	struct guest_ring *r = &f->g.rings[VSCSI_REQUESTS];

	gscsi_put_request(f, lun, cdb, 42);
	guest_ring_set(r, 0, REQ, REQ_SIZE, F_NEXT, out ? 1 : 2);
	guest_ring_set(r, 1, DATA, out, F_NEXT, 2);
	guest_ring_set(r, 2, RESP, RESP_SIZE, F_WRITE | (in ? F_NEXT : 0), 3);
	guest_ring_set(r, 3, DATA, in, F_WRITE, 0);
	guest_ring_add(r, 0);
	guest_virtio_kick(&f->g, VSCSI_REQUESTS);
}

struct virtio_scsi_cmd_resp gscsi_response(struct gscsi *f)
{
	struct virtio_scsi_cmd_resp resp;

	memcpy(&resp, f->fb.mem + RESP, sizeof(resp));
	return resp;
}

struct virtio_scsi_cmd_resp gscsi_request(struct gscsi *f, const uint8_t *lun, const uint8_t *cdb,
					  uint32_t out, uint32_t in)
{
	gscsi_add_request(f, lun, cdb, out, in);
	assert_true(gscsi_collect(f, VSCSI_REQUESTS, 0) >= RESP_SIZE);
	assert_int_equal(guest_virtio_status(&f->g) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
	return gscsi_response(f);
}

/* What power on left to be told is told */
void gscsi_ready(struct gscsi *f)
{
	gscsi_request(f, LUN(0), CDB(0), 0, 0);
	gscsi_request(f, LUN(7), CDB(0), 0, 0);
}

void gscsi_good(struct gscsi *f, const uint8_t *lun, const uint8_t *cdb, uint32_t out, uint32_t in,
		uint32_t resid)
{
	struct virtio_scsi_cmd_resp r = gscsi_request(f, lun, cdb, out, in);

	assert_int_equal(r.response, VIRTIO_SCSI_S_OK);
	assert_int_equal(r.status, 0);
	assert_int_equal(r.sense_len, 0);
	assert_int_equal(r.resid, resid);
}

void gscsi_fails(struct gscsi *f, const uint8_t *lun, const uint8_t *cdb, uint32_t sense)
{
	struct virtio_scsi_cmd_resp r = gscsi_request(f, lun, cdb, 0, 0);

	assert_int_equal(r.response, VIRTIO_SCSI_S_OK);
	assert_int_equal(r.status, SCSI_CHECK_CONDITION);
	assert_int_equal(r.sense_len, SCSI_SENSE_SIZE);
	assert_int_equal((uint32_t)r.sense[2] << 16 | (uint32_t)r.sense[12] << 8 | r.sense[13],
			 sense);
}

uint8_t gscsi_add_tmf(struct gscsi *f, uint32_t subtype, const uint8_t *lun, uint64_t tag)
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

uint8_t gscsi_tmf(struct gscsi *f, uint32_t subtype, const uint8_t *lun, uint64_t tag)
{
	gscsi_add_tmf(f, subtype, lun, tag);
	assert_int_equal(gscsi_collect(f, VSCSI_CONTROL, 0), 1);
	return f->fb.mem[TMF_RESP];
}

void gscsi_add_event_buffer(struct gscsi *f, uint32_t size)
{
	struct guest_ring *r = &f->g.rings[VSCSI_EVENTS];

	memset(f->fb.mem + EVENT, 0xee, 16);
	guest_ring_set(r, 0, EVENT, size, F_WRITE, 0);
	guest_ring_add(r, 0);
	guest_virtio_kick(&f->g, VSCSI_EVENTS);
	fake_board_run(&f->fb);
}

void gscsi_expect_event(struct gscsi *f, uint32_t event, uint8_t lun, uint32_t reason)
{
	struct virtio_scsi_event got;

	assert_int_equal(gscsi_collect(f, VSCSI_EVENTS, 0), sizeof(got));
	memcpy(&got, f->fb.mem + EVENT, sizeof(got));
	assert_int_equal(got.event, event);
	assert_int_equal(got.reason, reason);
	assert_memory_equal(got.lun, ((const uint8_t[8]){ 1, 0, 0, lun }), 8);
}

/*
 * A disk that takes its time: a pipe in its place, whose read ends when the test writes. False: without io_uring
 * there is nothing that runs meanwhile.
 */
bool gscsi_make_slow(struct gscsi *f, int pipes[2])
{
	struct block *b = gscsi_vscsi(f)->target->units[0]->block;

	if (strcmp(block_info(b)->engine, "io_uring"))
		return false;
	assert_int_equal(pipe(pipes), 0);
	f->dev->class->stop(f->dev);
	assert_int_equal(dup2(pipes[0], b->fd), b->fd);
	block_uring_free(b->uring); /* it has the file that was there before */
	b->uring = NULL;
	assert_int_equal(block_uring_new(b, &(struct block_image){ 0 }, NULL), 0);
	f->dev->class->start(f->dev);
	return true;
}
