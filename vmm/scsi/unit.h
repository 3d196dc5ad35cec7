/* SPDX-License-Identifier: MIT */
/* Between target.c, which has units and starts tasks, and those who carry the commands out; nobody else includes it. */
#ifndef VMM_SCSI_UNIT_H
#define VMM_SCSI_UNIT_H

#include "vmm/scsi/scsi.h"
#include "vmm/worker.h"

/* Sense key << 16 | additional sense code << 8 | qualifier: SPC-4, sections 4.5.6 and annex D */
enum scsi_sense {
	SCSI_NO_SENSE = 0x000000,
	SCSI_NO_MEDIUM_CLOSED = 0x023a01,
	SCSI_NO_MEDIUM_OPEN = 0x023a02,
	SCSI_WRITE_ERROR = 0x030c00,
	SCSI_READ_ERROR = 0x031100,
	SCSI_TARGET_FAILURE = 0x044400,
	SCSI_LIST_LENGTH = 0x051a00,
	SCSI_INVALID_OPCODE = 0x052000,
	SCSI_LBA_RANGE = 0x052100,
	SCSI_INVALID_FIELD = 0x052400, /* in the CDB */
	SCSI_NO_UNIT = 0x052500,
	SCSI_INVALID_LIST = 0x052600,
	SCSI_NOT_SAVED = 0x053900, /* saving parameters not supported */
	SCSI_REMOVAL_PREVENTED = 0x055302,
	SCSI_POWER_ON = 0x062900,
	SCSI_RESET_OCCURRED = 0x062903,
	SCSI_CAPACITY_CHANGED = 0x062a09,
	SCSI_MEDIUM_CHANGED = 0x062800,
	SCSI_LUNS_CHANGED = 0x063f0e,
	SCSI_WRITE_PROTECTED = 0x072700,
	SCSI_NO_SPACE = 0x072707,
};

/* What a unit has to tell once, by urgency: the lowest bit first */
enum {
	SCSI_TELL_POWER_ON = BIT(0),
	SCSI_TELL_RESET = BIT(1),
	SCSI_TELL_MEDIUM = BIT(2),
	SCSI_TELL_CAPACITY = BIT(3),
};

/* MMC-6, section 6.7.2.5 */
enum scsi_media_event {
	SCSI_MEDIA_NONE,
	SCSI_MEDIA_EJECT_REQUEST,
	SCSI_MEDIA_NEW,
	SCSI_MEDIA_REMOVAL,
};

/* In the order in which they came; few, if any */
struct scsi_tasks {
	struct scsi_task *first;
};

struct scsi_unit {
	struct scsi_target *target;
	uint16_t lun;
	enum scsi_kind kind;
	char serial[SCSI_SERIAL_MAX + 1];
	struct block *block;	/* owned; NULL: no medium */
	struct scsi_host *host; /* owned: the unit is that; else NULL */
	uint32_t block_size;
	uint64_t blocks;
	unsigned int tell; /* SCSI_TELL_* */
	bool writethrough, silent;
	struct disk_limit limit;
	struct scsi_tasks waiting, held;
	/* of a drive */
	bool locked, open;
	enum scsi_media_event media_event;
	struct scsi_unit *next_dirty; /* commands wait for a submit */
	bool dirty;
	struct scsi_unit *next_leaving;
};

struct scsi_target {
	const struct scsi_target_ops *ops;
	void *arg;
	void (*batch_done)(void *arg);
	uv_loop_t *loop;			 /* borrowed; NULL: detached */
	struct scsi_unit *units[SCSI_UNITS_MAX]; /* owned */
	struct scsi_unit *dirty;
	struct scsi_unit
		*leaving; /* owned: removed, but their devices have not ended what they are at */
	struct worker_timer *timer; /* while attached, if a unit has limits: owned by the loop */
	bool luns_changed;	    /* to be told, by whichever unit */
	uint8_t *pattern;	    /* owned: SCSI_PATTERN bytes that a WRITE SAME repeats … */
	struct scsi_task *pattern_task; /* … this one, NULL: none */
};

struct scsi_command {
	uint8_t opcode;
	uint8_t action; /* service action, where SCSI_HAS_ACTION */
	uint8_t len;	/* of the CDB */
	uint16_t flags;
	/* Bits that are looked at, from byte 1 on: REPORT SUPPORTED OPERATION CODES */
	const char *usage;
	void (*run)(struct scsi_unit *u, struct scsi_task *t);
};

#define SCSI_HAS_ACTION BIT(0)
#define SCSI_ON_DISK BIT(1)
#define SCSI_ON_CDROM BIT(2)
#define SCSI_ON_BOTH (SCSI_ON_DISK | SCSI_ON_CDROM)
#define SCSI_NEEDS_MEDIUM BIT(3)
#define SCSI_WRITES BIT(4)
#define SCSI_TELLS_NOT BIT(5) /* goes before unit attention conditions */
#define SCSI_THIN BIT(6)      /* only where space can be given back */

/* commands.c: THE table of commands; one without run ends it. */
extern const struct scsi_command scsi_commands[];
bool scsi_command_fits(const struct scsi_command *c, const struct scsi_unit *u);

/* Ends of a task */
void scsi_good(struct scsi_task *t);
void scsi_fail(struct scsi_task *t, enum scsi_sense sense);
void scsi_end(struct scsi_task *t, enum scsi_status status);
void scsi_overrun(struct scsi_task *t);
/* Data of len bytes, of which the initiator takes `allocation`. */
void scsi_reply(struct scsi_task *t, const void *data, size_t len, size_t allocation);

void scsi_put_sense(uint8_t out[static SCSI_SENSE_SIZE], enum scsi_sense sense);
/* The condition that is told next, and with `take` is told now; SCSI_NO_SENSE: none. */
enum scsi_sense scsi_unit_attention(struct scsi_unit *u, bool take);
/* Have it told. */
void scsi_unit_tell(struct scsi_unit *u, unsigned int what);
void scsi_park(struct scsi_tasks *list, struct scsi_task *t);
bool scsi_unpark(struct scsi_tasks *list, struct scsi_task *t); /* false: it is not there */
void scsi_batch_done(void *target);
/* queue.c: to the block, with scsi_target_submit, as soon as the unit's limits let it. */
void scsi_queue(struct scsi_task *t);
/* The limits may let some of its tasks go. */
void scsi_unit_serve_waiting(struct scsi_unit *u);
void scsi_unit_go_on(struct scsi_unit *u);	      /* attached, and nothing runs yet */
void scsi_unit_abort(struct scsi_unit *u, int error); /* what waits or is held */
/* passthrough.c: of a unit that is a device of the host */
int scsi_pass_attach(struct scsi_unit *u);
void scsi_pass_recall(struct scsi_unit *u); /* what it has not begun is held */
void scsi_pass_detach(struct scsi_unit *u);
void scsi_pass_start(struct scsi_unit *u, struct scsi_task *t);
void scsi_pass_leave(
	struct scsi_unit *u); /* it is no unit any more, and freed when its device is idle */
void scsi_pass_part(struct scsi_target *t);	/* with those that leave and are idle */
void scsi_pass_part_all(struct scsi_target *t); /* what they have begun ends first */
void scsi_pass_go_on(struct scsi_unit *u);
/* Attached: there is a timer where a unit needs one. */
int scsi_target_need_timer(struct scsi_target *t);
void scsi_tray(struct scsi_unit *u, bool open);
/* Why there is no medium, or SCSI_NO_SENSE when there is one. */
enum scsi_sense scsi_unit_no_medium(const struct scsi_unit *u);

/* Commands: what, where in which standard */
void scsi_test_unit_ready(struct scsi_unit *u, struct scsi_task *t);   /* SPC-4 6.47 */
void scsi_request_sense(struct scsi_unit *u, struct scsi_task *t);     /* SPC-4 6.39 */
void scsi_inquiry(struct scsi_unit *u, struct scsi_task *t);	       /* SPC-4 6.6 */
void scsi_report_luns(struct scsi_unit *u, struct scsi_task *t);       /* SPC-4 6.33 */
void scsi_report_commands(struct scsi_unit *u, struct scsi_task *t);   /* SPC-4 6.35 */
void scsi_report_tmfs(struct scsi_unit *u, struct scsi_task *t);       /* SPC-4 6.36 */
void scsi_mode_sense(struct scsi_unit *u, struct scsi_task *t);	       /* SPC-4 6.11, 6.12 */
void scsi_start_stop(struct scsi_unit *u, struct scsi_task *t);	       /* SBC-3 5.25, MMC-6 6.42 */
void scsi_prevent_removal(struct scsi_unit *u, struct scsi_task *t);   /* MMC-6 6.15 */
void scsi_read_capacity10(struct scsi_unit *u, struct scsi_task *t);   /* SBC-3 5.15 */
void scsi_read_capacity16(struct scsi_unit *u, struct scsi_task *t);   /* SBC-3 5.16 */
void scsi_read(struct scsi_unit *u, struct scsi_task *t);	       /* SBC-3 5.10 to 5.13 */
void scsi_write(struct scsi_unit *u, struct scsi_task *t);	       /* SBC-3 5.30 to 5.33 */
void scsi_verify(struct scsi_unit *u, struct scsi_task *t);	       /* SBC-3 5.26, 5.28 */
void scsi_synchronize(struct scsi_unit *u, struct scsi_task *t);       /* SBC-3 5.22, 5.23 */
void scsi_unmap(struct scsi_unit *u, struct scsi_task *t);	       /* SBC-3 5.25 */
void scsi_write_same(struct scsi_unit *u, struct scsi_task *t);	       /* SBC-3 5.39, 5.40 */
void scsi_read_toc(struct scsi_unit *u, struct scsi_task *t);	       /* MMC-6 6.25 */
void scsi_get_configuration(struct scsi_unit *u, struct scsi_task *t); /* MMC-6 6.5 */
void scsi_event_status(struct scsi_unit *u, struct scsi_task *t);      /* MMC-6 6.6 */
void scsi_disc_information(struct scsi_unit *u, struct scsi_task *t);  /* MMC-6 6.21 */
void scsi_mechanism_status(struct scsi_unit *u, struct scsi_task *t);  /* MMC-6 6.11 */

/* disk.c: LBA and number of blocks of the CDBs of 6, 10, 12 and 16 bytes that have both */
struct scsi_range scsi_cdb_range(const uint8_t *cdb);
void scsi_cdb_set_range(uint8_t *cdb, struct scsi_range r); /* which has place for it */
bool scsi_range_there(const struct scsi_unit *u, uint64_t lba, uint64_t blocks);
/* disk.c: how an error of the block is told */
void scsi_fail_io(struct scsi_task *t, int error);
/* provision.c: what one command may ask for, in blocks */
uint32_t scsi_unmap_max(const struct scsi_unit *u);
uint32_t scsi_write_same_max(const struct scsi_unit *u);
bool scsi_unit_thin(const struct scsi_unit *u);

static inline uint16_t scsi_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t scsi_get32(const uint8_t *p)
{
	return (uint32_t)scsi_get16(p) << 16 | scsi_get16(p + 2);
}

static inline uint64_t scsi_get64(const uint8_t *p)
{
	return (uint64_t)scsi_get32(p) << 32 | scsi_get32(p + 4);
}

static inline void scsi_put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void scsi_put32(uint8_t *p, uint32_t v)
{
	scsi_put16(p, v >> 16);
	scsi_put16(p + 2, v & 0xffff);
}

static inline void scsi_put64(uint8_t *p, uint64_t v)
{
	scsi_put32(p, (uint32_t)(v >> 32));
	scsi_put32(p + 4, (uint32_t)v);
}

#endif
