/* SPDX-License-Identifier: MIT */
/*
 * A SCSI target: logical units that are disks (SPC-4, SBC-3) and CD-ROM drives (MMC-6). It takes tasks, a
 * CDB with its data, and gives a status with sense data; how they come and go (virtio-scsi, ATAPI) is its
 * caller's. Logical blocks go through block.h.
 *
 *	scsi_target_new(&ops, arg, &t, e);
 *	scsi_target_add(t, &(struct scsi_unit_cfg){ .kind = SCSI_DISK, .block = b, .serial = "x" }, e);
 *	scsi_target_attach(t, loop, batch_done);
 *	scsi_target_start(t, &task); scsi_target_submit(t);
 *		-> task.done(&task); batch_done(arg);
 *	scsi_target_detach(t); scsi_target_free(t);
 *
 * From attach to detach all calls are the attached loop's thread's.
 */
#ifndef VMM_SCSI_SCSI_H
#define VMM_SCSI_SCSI_H

#include "lib/util.h"
#include "vmm/block/disk.h"

#define SCSI_CDB_MAX 32
#define SCSI_SENSE_SIZE 18 /* fixed format: SPC-4, section 4.5.3 */
#define SCSI_SENSE_MAX 96  /* what a device of the host has to say */
#define SCSI_UNITS_MAX 256 /* LUN 0 to 255: peripheral device addressing, SAM-5, section 4.7.7.2 */
#define SCSI_SERIAL_MAX 36
#define SCSI_UNMAP_RANGES 64	   /* of one command */
#define SCSI_UNMAP_BYTES (2 * GIB) /* of one of them: what takes too long cannot be drained */
#define SCSI_PATTERN (64 * KIB)

/* SAM-5, section 5.3.1 */
enum scsi_status {
	SCSI_GOOD = 0x00,
	SCSI_CHECK_CONDITION = 0x02,
	SCSI_BUSY = 0x08,
};

enum scsi_kind { SCSI_DISK, SCSI_CDROM, SCSI_PASSTHROUGH };

struct scsi_host;
struct scsi_target;
struct scsi_unit;

struct scsi_range {
	uint64_t lba;
	uint32_t blocks;
};

struct scsi_task {
	/* The caller's. The arrays' entries are changed while the task runs. */
	uint32_t lun; /* as the initiator says: maybe one that is not there */
	uint8_t cdb[SCSI_CDB_MAX];
	struct iovec *out, *in; /* from the initiator, to it */
	unsigned int nout, nin;
	/* From inside of start, submit, detach or the loop. The task is the caller's again. */
	void (*done)(struct scsi_task *t);
	/* Place for a copy of out or in, whichever is longer, so that it can be held (target_ops.trouble); NULL: it is not */
	struct iovec *saved;
	bool abandoned; /* nobody waits for what comes of it: it is not held */

	/* What came of it */
	uint8_t status;	   /* enum scsi_status */
	uint8_t sense_len; /* 0 or SCSI_SENSE_SIZE; of a device of the host up to SCSI_SENSE_MAX */
	uint8_t sense[SCSI_SENSE_MAX];
	bool overrun;	/* the command wanted more data than out or in have; nothing was done */
	uint64_t moved; /* bytes of out that were taken, or of in that were filled */

	/* target's */
	struct scsi_unit *unit;
	struct block_req br;
	void (*after)(struct block_req *br, int ret); /* the command's own */
	struct scsi_task *next;
	bool parked; /* waits for its unit's limits, or is held */
	bool drawn;  /* from the limits */
	int host_error;
	struct iovec pattern_iov;
	uint64_t left; /* bytes of a pattern yet to be written, by this one and the next */
	unsigned int range, nranges;
	struct scsi_range ranges[SCSI_UNMAP_RANGES];
};

struct scsi_unit_cfg {
	enum scsi_kind kind;
	uint16_t lun;			/* below SCSI_UNITS_MAX, and free */
	const char *serial;		/* at most SCSI_SERIAL_MAX; copied */
	const struct disk_limit *limit; /* copied; NULL: none */
	bool writethrough;		/* each write is stable when it is done */
	bool silent;			/* tells of no unit attention condition: an ATA disk */
	/* One of the two is the unit's from now on, also after a failure; neither: a drive without a medium */
	struct block *block;
	struct scsi_host *host; /* of SCSI_PASSTHROUGH */
};

struct scsi_target_ops {
	/* Optional: the unit has a unit attention condition to tell: SPC-4, annex D. On the thread that has the target. */
	void (*changed)(void *arg, uint16_t lun, uint8_t asc, uint8_t ascq);
	/* Optional: the initiator has moved the tray. On the loop's thread. */
	void (*tray)(void *arg, uint16_t lun, bool open);
	/* Optional: the image did not do r. True: the task is held until the target is attached the next time. As tray. */
	bool (*trouble)(void *arg, uint16_t lun, const struct block_req *r, int error);
};

int scsi_target_new(const struct scsi_target_ops *ops, void *arg, struct scsi_target **ret_target,
		    struct err *e);
void scsi_target_free(struct scsi_target *t); /* detached; NULL is fine */
/* Also while attached. -ERR_FILE: what cannot be a medium; -ENOMEM */
int scsi_target_add(struct scsi_target *t, const struct scsi_unit_cfg *cfg, struct err *e);
/* What runs on it ends first: an image is waited for; a device of the host ends it, and is let go, when it has. */
void scsi_target_remove(struct scsi_target *t, uint32_t lun);
/* The initiator is told, once, by the unit that it asks next (SPC-4, section 6.33): REPORTED LUNS DATA HAS CHANGED. */
void scsi_target_luns_changed(struct scsi_target *t);
bool scsi_target_has(const struct scsi_target *t, uint32_t lun);

/* -errno: nothing is attached. batch_done(arg of new): after each run of done calls from the loop. */
int scsi_target_attach(struct scsi_target *t, uv_loop_t *loop, void (*batch_done)(void *arg));
void scsi_target_detach(
	struct scsi_target
		*t); /* on return no task runs; those that wait or are held do so still */
void scsi_target_start(struct scsi_target *target, struct scsi_task *t);
void scsi_target_submit(struct scsi_target *t); /* after one or more of start */

/* A task that waits or is held ends now; another one when it does. While attached, or not. */
void scsi_target_abort(struct scsi_target *target, struct scsi_task *t);
/* Those that wait or are held are their caller's again, without a word. Detached. */
void scsi_target_forget(struct scsi_target *t);

/* To the state at power on: trays closed, nothing locked, what is told once is to be told. */
void scsi_target_reset(struct scsi_target *t);
/* A unit alone, as by LOGICAL UNIT RESET (SAM-5, section 7.7); its tasks are done already. */
void scsi_target_reset_unit(struct scsi_target *t, uint32_t lun);

bool scsi_target_is_host(const struct scsi_target *t, uint32_t lun); /* it is one of its devices */
/* The image of a disk; NULL: it is none, or a device of the host. */
const struct block *scsi_target_image(const struct scsi_target *t, uint32_t lun);
/* Of a disk: of its image by block_measure. The initiator is told: CAPACITY DATA HAS CHANGED (SBC-3, section 4.10). */
void scsi_target_set_size(struct scsi_target *t, uint32_t lun, uint64_t size);
/* Of a unit that is no device of the host; for tasks that wait, too. -errno: nothing has changed. */
int scsi_target_set_rates(struct scsi_target *t, uint32_t lun, const struct disk_rates *rates);

struct scsi_drive {
	bool medium; /* there is one, maybe in an open tray */
	bool open, locked;
};

bool scsi_target_is_drive(const struct scsi_target *t, uint32_t lun);
/* False: no such drive. */
bool scsi_target_drive(const struct scsi_target *t, uint32_t lun, struct scsi_drive *ret);
/* The medium of a drive, or NULL. */
const struct block *scsi_target_medium(const struct scsi_target *t, uint32_t lun);
/*
 * Put a medium into a drive and close the tray, whatever was in it before; NULL: take it out, the tray is
 * open then. A lock is undone. The block is the drive's, also after a failure. -ERR_FILE, or what attaching
 * the block gave: the drive is as it was.
 */
int scsi_target_set_medium(struct scsi_target *t, uint32_t lun, struct block *take_block,
			   struct err *e);
/* Ask the initiator to take the medium out (MMC-6, section 6.7.2.5: EjectRequest): it unlocks and ejects. */
void scsi_target_ask_eject(struct scsi_target *t, uint32_t lun);

#endif
