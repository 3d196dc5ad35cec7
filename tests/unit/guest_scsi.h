/* SPDX-License-Identifier: MIT */
/* A driver of the SCSI controller for unit tests, through its registers and rings: VIRTIO 1.2, section 5.6. */
#ifndef TESTS_UNIT_GUEST_SCSI_H
#define TESTS_UNIT_GUEST_SCSI_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <linux/virtio_config.h>
#include "tests/unit/guest_virtio.h"
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

struct gscsi {
	struct fake_board fb;
	struct device *host, *dev;
	struct guest_virtio g;
	int fd; /* the image */
};

/* cmocka's: a disk at LUN 0, an empty drive at LUN 7, a driver that has started */
int gscsi_setup(void **state);
/* The same of this JSON, its image descriptor 0. */
struct gscsi *gscsi_start(const char *json);
int gscsi_teardown(void **state);
struct vscsi *gscsi_vscsi(struct gscsi *f);
/* Wait for queue q's next used chain, which began with descriptor head; bytes written */
uint32_t gscsi_collect(struct gscsi *f, unsigned int q, uint16_t head);
/* Into guest memory: the header at REQ, the response at RESP untouched */
void gscsi_put_request(struct gscsi *f, const uint8_t *lun, const uint8_t *cdb, uint64_t tag);
/* Header, data out, response, data in: descriptors 0 to 3 of the request queue */
void gscsi_add_request(struct gscsi *f, const uint8_t *lun, const uint8_t *cdb, uint32_t out,
		       uint32_t in);
struct virtio_scsi_cmd_resp gscsi_response(struct gscsi *f);
struct virtio_scsi_cmd_resp gscsi_request(struct gscsi *f, const uint8_t *lun, const uint8_t *cdb,
					  uint32_t out, uint32_t in);
/* What power on left to be told is told */
void gscsi_ready(struct gscsi *f);
/* It ends well, with such a residual */
void gscsi_good(struct gscsi *f, const uint8_t *lun, const uint8_t *cdb, uint32_t out, uint32_t in,
		uint32_t resid);
/* It ends with such a sense: key, code, qualifier */
void gscsi_fails(struct gscsi *f, const uint8_t *lun, const uint8_t *cdb, uint32_t sense);
uint8_t gscsi_add_tmf(struct gscsi *f, uint32_t subtype, const uint8_t *lun, uint64_t tag);
uint8_t gscsi_tmf(struct gscsi *f, uint32_t subtype, const uint8_t *lun, uint64_t tag);
void gscsi_add_event_buffer(struct gscsi *f, uint32_t size);
void gscsi_expect_event(struct gscsi *f, uint32_t event, uint8_t lun, uint32_t reason);
/* LUN 0 reads from a pipe; false: there is no io_uring, which could wait for one. */
bool gscsi_make_slow(struct gscsi *f, int pipes[2]);

#endif
