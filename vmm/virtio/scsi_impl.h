/* SPDX-License-Identifier: MIT */
/* What the two halves of the SCSI controller share, scsi.c (commands) and scsi_control.c; nobody else includes it. */
#ifndef VMM_VIRTIO_SCSI_IMPL_H
#define VMM_VIRTIO_SCSI_IMPL_H

#include <linux/virtio_scsi.h>
#include "vmm/block/trouble.h"
#include "vmm/scsi/scsi.h"
#include "vmm/virtio/virtio.h"

#define VSCSI_QUEUE_MAX 256
#define VSCSI_NAME_MAX 64
#define VSCSI_NO_LUN UINT32_MAX

struct vscsi_disk_cfg {
	char id[VSCSI_NAME_MAX];
	int kind; /* enum scsi_kind */
	char serial[SCSI_SERIAL_MAX + 1];
	uint32_t lun;
	struct disk_cfg disk;
};

enum { VSCSI_CONTROL, VSCSI_EVENTS, VSCSI_REQUESTS, VSCSI_QUEUES };

struct vscsi;

struct vscsi_req {
	struct virtq_req vr;
	struct scsi_task task;
	struct vscsi *s;
	struct vscsi_req *next_free;
	uint64_t tag;
	uint64_t wanted;       /* bytes of data that there is a place for, in and out */
	bool running, awaited; /* by the TMF that is under way */
	uint8_t ended_as;      /* what a TMF made of it: VIRTIO_SCSI_S_ABORTED, …; 0: nothing */
	/* The response's place: these entries of vr.iov, from vr.nout on, and what of the next is its own */
	unsigned int nresponse;
	struct iovec response_tail;
};

/* A task management function that waits for tasks to end; the next is taken after it. */
struct vscsi_tmf {
	bool busy;
	uint16_t head;
	uint8_t *response; /* in guest memory */
	unsigned int waiting;
	bool reset;
	uint32_t lun; /* VSCSI_NO_LUN: all */
};

struct vscsi_event {
	uint32_t event, reason; /* VIRTIO_SCSI_T_*; event 0: none */
};

struct vscsi {
	struct virtio_dev v;	    /* first */
	struct scsi_target *target; /* owned */
	struct vscsi_req *pool; /* owned: VSCSI_QUEUE_MAX; those from nused on were never touched */
	unsigned int nused;
	struct vscsi_req *free;
	bool starved;	      /* the pool was empty: look at the queue when something completes */
	bool unflushed;	      /* pushed since the last flush */
	uint32_t max_sectors; /* of one command, at most */
	size_t cdb_size, sense_size; /* the driver's wish, when the queues were handed over */
	struct vscsi_tmf tmf;
	struct vscsi_event events[SCSI_UNITS_MAX]; /* by LUN, not yet told */
	unsigned int nevents;
	struct stat files[SCSI_UNITS_MAX];	    /* of the drives' media: which they are */
	char names[SCSI_UNITS_MAX][VSCSI_NAME_MAX]; /* of the disks */
	struct disk_rates rates[SCSI_UNITS_MAX];    /* the control loop's */
	struct trouble trouble;
	struct trouble_disk disks[SCSI_UNITS_MAX]; /* by LUN */
	struct iovec *
		saved; /* owned: each request's data, so that it can be held; NULL: no disk wants that */
};

/*
 * VIRTIO 1.2, section 5.6.6.1: 1, the target, a LUN; or the well-known REPORT LUNS unit. Else false: there is no
 * such target. A LUN in a form that none here has is VSCSI_NO_LUN.
 */
bool vscsi_lun(const uint8_t lun[8], uint32_t *ret_lun);

/* scsi.c: what has ended since the last time is the driver's to see */
void vscsi_flush(struct vscsi *s);

/* scsi_control.c */
void vscsi_serve_control(struct vscsi *s);
void vscsi_serve_events(struct vscsi *s);
void vscsi_req_ended(struct vscsi *s, struct vscsi_req *r); /* may end a TMF */
/* The driver is to be told about a LUN; replaces what it was not yet told of it. */
void vscsi_tell(struct vscsi *s, uint16_t lun, uint32_t event, uint32_t reason);

/* scsi_units.c, on the control loop: see device.h */
extern const struct field vscsi_disk_fields[];
int vscsi_add_disks(struct vscsi *s, const struct field_list *list, struct err *e);
/* Before the cage: a thread for devices of the host that come later. */
int vscsi_make_spare(const struct board *board, struct err *e);
const char *vscsi_unit(const struct device *d, unsigned int index);
int vscsi_unit_new(struct device *d, struct json_object *json, struct fdset *fds,
		   struct device_unit **ret_unit, struct err *e);
int vscsi_unit_add(struct device *d, struct device_unit *take_unit, struct err *e);
int vscsi_unit_remove(struct device *d, const char *id, struct err *e);
int vscsi_unit_grow(struct device *d, const char *id, bool dry_run, uint64_t *ret_size,
		    struct err *e);
int vscsi_unit_set(struct device *d, const char *id, struct json_object *change,
		   struct json_object **ret_settings, struct err *e);
bool vscsi_drive(struct device *d, unsigned int index, struct device_drive *ret);
int vscsi_set_medium(struct device *d, unsigned int index, struct device_medium *medium,
		     struct err *e);

#endif
