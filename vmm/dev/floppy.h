/* SPDX-License-Identifier: MIT */
/*
 * Inside of the floppy controller (type "floppy"): Intel 82077AA data sheet (290166), which the 82078
 * (290475) goes on from; named below are its sections. floppy.c has the registers and the class,
 * floppy_command.c the commands, floppy_data.c those that move data, floppy_scan.c what some of them
 * compare, floppy_drive.c drives and media, floppy_io.c what goes to an image. Nobody else includes it, but
 * who tells firmware of the drives. Under machine.lock, but for the worker's part of floppy_io.c.
 *
 * A command that moves data works on the cylinder that its drive is at: reading gets the sectors of the
 * image first, writing gathers them and hands them over at its end, so that a guest waits for the host
 * with the controller busy, and no vCPU does.
 */
#ifndef VMM_DEV_FLOPPY_H
#define VMM_DEV_FLOPPY_H

#include <stdatomic.h>
#include "vmm/block/disk.h"
#include "vmm/dev/i8237.h"
#include "vmm/device.h"

#define FLOPPY_DRIVES 2
#define FLOPPY_UNITS 4 /* that the controller can name */
#define FLOPPY_SECTOR 512
#define FLOPPY_SECTOR_CODE 2 /* N: 128 << N bytes */
#define FLOPPY_SECTORS_MAX 36
#define FLOPPY_CYLINDER (2 * FLOPPY_SECTORS_MAX * FLOPPY_SECTOR)
#define FLOPPY_DMA 2

/* Numbers of CMOS register 10h: RBIL, CMOS.LST */
enum floppy_model {
	FLOPPY_NONE,
	FLOPPY_360K,
	FLOPPY_1200K,
	FLOPPY_720K,
	FLOPPY_1440K,
	FLOPPY_2880K,
};

/* A disk as its image's size tells */
struct floppy_format {
	uint16_t kib;
	uint8_t cylinders, heads, sectors;
	uint8_t rates;	/* a bit for each code of DSR and CCR that reads it */
	uint8_t models; /* a bit for each drive that takes it */
};

struct floppy_drive_cfg {
	char id[DEVICE_ID_MAX];
	uint32_t unit;
	int model;  /* enum floppy_model; FLOPPY_NONE: what the disk needs */
	int fd;	    /* of its disk's image; -1: there is none */
	int format; /* enum block_format */
	bool readonly;
	bool share; /* whoever opens the image has locked it accordingly */
};

struct floppy_drive {
	char id[DEVICE_ID_MAX];
	enum floppy_model model;	    /* FLOPPY_NONE: there is no drive */
	const struct floppy_format *format; /* NULL: there is no disk in it */
	bool readonly;			    /* the disk is write protected */
	bool changed;			    /* DSKCHG: until the head steps over a disk */
	struct stat file;
	uint8_t cylinder; /* where the head is */
};

/* --- floppy_io.c ------------------------------------------------------------------------------ */

struct worker_bell;

/* One request at a time */
struct floppy_io {
	const struct board *board;	     /* borrowed */
	struct block *blocks[FLOPPY_DRIVES]; /* owned; the worker's while it is attached */
	struct worker *worker;		     /* borrowed */
	struct worker_bell *bell;	     /* owned: wakes the worker */
	int fd; /* owned eventfd: wakes the control loop; 0: none yet */
	struct board_watch *watch;
	bool attached;	/* the worker's */
	bool busy;	/* a request is the worker's */
	bool abandoned; /* nobody waits for it any more */
	atomic_bool todo, done;
	unsigned int drive;
	struct block_req req;
	struct iovec iov;
	int ret;
	uint8_t *data; /* owned: FLOPPY_CYLINDER bytes, the image of the cylinder */
	void (*ended)(void *arg, int ret);
	void *arg;
};

int floppy_io_init(struct floppy_io *io, const struct board *board, struct err *e);
void floppy_io_fini(struct floppy_io *io); /* accepts one that is all zero */
void floppy_io_start(struct floppy_io *io);
void floppy_io_stop(struct floppy_io *io); /* what is under way has ended */
/*
 * Read into or write from data + at, len bytes at this offset of the drive's image: ended is called on
 * the control loop, with 0 or -errno. io is not busy.
 */
void floppy_io_go(struct floppy_io *io, unsigned int drive, enum block_op op, uint64_t offset,
		  uint32_t at, uint32_t len);
/* Another image; NULL: none. The old one is freed. -errno: there is none now */
int floppy_io_swap(struct floppy_io *io, unsigned int drive, struct block *take_block);

/* --- the controller --------------------------------------------------------------------------- */

enum floppy_phase {
	FLOPPY_COMMAND, /* bytes of a command are awaited */
	FLOPPY_BUSY,	/* the image is being read or written */
	FLOPPY_TO_HOST, /* data wait for DMA or for the host to read them */
	FLOPPY_FROM_HOST,
	FLOPPY_RESULT,
};

enum floppy_op { FLOPPY_READ, FLOPPY_WRITE, FLOPPY_VERIFY, FLOPPY_FORMAT, FLOPPY_SCAN };
/* The codes of its commands: each byte of the disk is equal, or it may be lower, or higher */
enum floppy_scan { FLOPPY_SCAN_EQUAL = 0x11, FLOPPY_SCAN_LOW = 0x19, FLOPPY_SCAN_HIGH = 0x1d };

/* Status registers 0 to 3: "Status register encoding" */
enum {
	FLOPPY_ST0_ABNORMAL = 0x40,
	FLOPPY_ST0_INVALID = 0x80,
	FLOPPY_ST0_POLLED = 0xc0,
	FLOPPY_ST0_SEEK_END = 0x20,
	FLOPPY_ST0_EQUIPMENT = 0x10,

	FLOPPY_ST1_END = 0x80, /* end of cylinder */
	FLOPPY_ST1_DATA = 0x20,
	FLOPPY_ST1_NO_DATA = 0x04,
	FLOPPY_ST1_NOT_WRITABLE = 0x02,
	FLOPPY_ST1_NO_MARK = 0x01,

	FLOPPY_ST2_CONTROL_MARK = 0x40,
	FLOPPY_ST2_DATA = 0x20,
	FLOPPY_ST2_WRONG_CYLINDER = 0x10,
	FLOPPY_ST2_EQUAL = 0x08,	 /* SH */
	FLOPPY_ST2_NOT_SATISFIED = 0x04, /* SN */

	FLOPPY_ST3_PROTECTED = 0x40,
	FLOPPY_ST3_TRACK0 = 0x10,
	FLOPPY_ST3_ALWAYS = 0x28,
};

/* What a command that moves data is at: the next sector, as it is searched for */
struct floppy_run {
	enum floppy_op op;
	const struct floppy_format
		*format; /* of the disk, and the track, as they were at its beginning */
	uint8_t track;
	uint8_t unit, c, h, r, n, eot;
	uint8_t side;	    /* the head that is used */
	bool multi;	    /* MT: both sides */
	bool any;	    /* READ TRACK: sectors as they come */
	bool one;	    /* ends with this sector: not what was asked for; SCAN: what was */
	bool skip;	    /* none is: all are skipped */
	bool tc;	    /* the host has what it wants */
	bool part;	    /* … in the middle of a sector */
	unsigned int count; /* VERIFY: as many sectors; 0: all */
	uint32_t pos;	    /* bytes of this sector that were moved; FORMAT: of the IDs */
	uint8_t st0, st1, st2;
	struct {
		uint8_t first, n; /* sectors of this side that are to be written */
	} sides[2];
	uint8_t fill; /* FORMAT */
	uint8_t ids[FLOPPY_SECTORS_MAX * 4];
	enum floppy_scan scan;	     /* SCAN: which */
	uint8_t step;		     /* from one sector to the next; STP */
	uint8_t host[FLOPPY_SECTOR]; /* SCAN: the host's */
};

struct floppy {
	struct device dev; /* first */
	struct i8237 dma;
	struct region regs, dir;
	struct irq_line line;
	bool irq;
	struct floppy_drive drives[FLOPPY_DRIVES];
	struct floppy_io io;

	uint8_t dor, tdr, dsr, rate;
	uint8_t specify[2];
	uint8_t configure, pretrk;
	uint8_t perpendicular;
	bool lock;
	uint8_t pcn[FLOPPY_UNITS];
	uint8_t pending; /* a bit for each unit that SENSE INTERRUPT STATUS tells of */
	uint8_t seek_st0[FLOPPY_UNITS]; /* what it tells */
	uint8_t eot;			/* of the last command, for DUMPREG; FORMAT: SC */
	uint8_t angle;			/* which sector READ ID finds next */

	enum floppy_phase phase;
	uint8_t bytes[9], nbytes, want; /* of the command */
	uint8_t result[10], nresult, result_pos;
	struct floppy_run run;
};

enum {
	FLOPPY_DOR_SELECT = 0x03,
	FLOPPY_DOR_RUN = 0x04,	 /* RESET#: not held in reset */
	FLOPPY_DOR_GATE = 0x08,	 /* DMAGATE#: INT and DRQ are connected */
	FLOPPY_DOR_MOTOR = 0x10, /* of drive 0; the others' above */

	FLOPPY_CONFIGURE_SEEK = 0x40,	 /* EIS */
	FLOPPY_CONFIGURE_NO_FIFO = 0x20, /* EFIFO */
	FLOPPY_CONFIGURE_NO_POLL = 0x10, /* POLL */
};

/* floppy.c */
void floppy_irq(struct floppy *f, bool level);
/* NULL: there is none */
struct floppy_drive *floppy_drive_at(struct floppy *f, unsigned int unit);
static inline bool floppy_has_dma(const struct floppy *f)
{
	return !(f->specify[1] & 1);
}
/* Models of both drives, as CMOS has them: the first in the upper half */
uint8_t floppy_cmos(const struct device *d);

/* floppy_command.c */
void floppy_command_byte(struct floppy *f, uint8_t byte);
void floppy_software_reset(struct floppy *f);
/* n bytes of f->result are the answer; irq: INT tells of it. */
void floppy_answer(struct floppy *f, unsigned int n, bool irq);
/* Step pulses: as many, inwards where that is positive */
void floppy_step(struct floppy *f, unsigned int unit, int steps);

/* floppy_data.c */
void floppy_transfer(struct floppy *f); /* a command of 9 bytes, or FORMAT TRACK */
void floppy_read_id(struct floppy *f);
void floppy_ended(void *arg, int ret); /* floppy_io's */
void floppy_dma_ready(void *arg);      /* i8237's */
uint8_t floppy_data_read(struct floppy *f);
void floppy_data_write(struct floppy *f, uint8_t byte);
/* The command is no more */
void floppy_abandon(struct floppy *f);
/* Another disk is in this drive, or none, and the image of the old one is done with */
void floppy_medium_gone(struct floppy *f, unsigned int unit);

/* floppy_scan.c: a sector that the host has sent, and this one: one, and ST2 */
void floppy_scan_sector(struct floppy_run *run, const uint8_t *disk);

/* floppy_drive.c */
extern const struct field floppy_drive_fields[];
int floppy_drive_init(struct floppy *f, struct floppy_drive_cfg *cfg, struct err *e);
/* device_class.drive and set_medium */
bool floppy_drive_info(struct device *d, unsigned int index, struct device_drive *ret);
int floppy_set_medium(struct device *d, unsigned int index, struct device_medium *medium,
		      struct err *e);
/* The track of its disk that the head is over; -1: none */
int floppy_drive_track(const struct floppy_drive *d);
/* How far in the head goes */
uint8_t floppy_drive_last(const struct floppy_drive *d);

#endif
