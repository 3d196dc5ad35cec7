/* SPDX-License-Identifier: MIT */
/*
 * ATA devices, apart from their controllers: disks (ATA/ATAPI-7, INCITS 397, volume 1, chapter 6; of
 * Serial ATA: ATA8-ACS, T13/1699-D, too) and packet devices, which are CD-ROM drives (the PACKET
 * Command feature set). What is in them,
 * and all that goes to an image, is the SCSI target's (scsi.h), each drive a unit of it: so
 * limits, held requests and media are there once.
 *
 *	ata_set_init(&s, d, &cfg->disks, 4, e);		drives, on a worker of their own
 *	c.ended = x_ended; c.regs = …;
 *	switch (ata_begin(ata_drive_at(&s, 0), &c)) {
 *	case ATA_ENDED:		c.regs.status and .error say how
 *	case ATA_WAIT:		-> c.ended(&c)
 *	case ATA_MOVE:		while c.left: fill c.iov; ata_move(&c, niov, n) -> c.ended(&c)
 *	}
 *
 * Under machine.lock, but for what the worker does with the target; ended is called on the
 * control loop, or from inside of the call. A command that has not ended is the set's, and
 * reaches into its memory.
 */
#ifndef VMM_ATA_ATA_H
#define VMM_ATA_ATA_H

#include <stdatomic.h>
#include "vmm/block/trouble.h"
#include "vmm/device.h"
#include "vmm/scsi/scsi.h"

#define ATA_SECTOR 512
#define ATA_CD_BLOCK 2048
#define ATA_DRIVES_MAX 6
#define ATA_QUEUE 32	  /* commands of a drive with a queue */
#define ATA_SEGS_MAX 1024 /* of one move; so many pieces of two bytes are a block of a CD */
#define ATA_ANSWER_MAX (64 * KIB)
#define ATA_CDB 12
#define ATA_PACKET_COMMAND 0xa0
#define ATA_ID 512	  /* bytes of IDENTIFY DEVICE */
#define ATA_SERIAL_MAX 20 /* IDENTIFY DEVICE, words 10 to 19 */
#define ATA_TRIM_RANGES (ATA_SECTOR / 8)

/* The Status, Error and Device registers */
enum {
	ATA_BSY = 0x80,
	ATA_DRDY = 0x40,
	ATA_DF = 0x20,
	ATA_DSC = 0x10, /* of before ATA-4: seek complete */
	ATA_DRQ = 0x08,
	ATA_ERR = 0x01,

	ATA_UNC = 0x40,
	ATA_IDNF = 0x10,
	ATA_ABRT = 0x04,

	ATA_DEV = 0x10,
	ATA_LBA = 0x40,

	/* the Count register of PACKET: interrupt reason */
	ATA_REASON_CD = 0x01, /* a command, or the end; else data */
	ATA_REASON_IO = 0x02, /* to the host */
};

struct ata_drive_cfg {
	char id[DEVICE_ID_MAX];
	int kind; /* enum scsi_kind, of the first two */
	char serial[ATA_SERIAL_MAX + 1];
	uint32_t unit;
	struct disk_cfg disk;
};

extern const struct field ata_drive_fields[];

/*
 * As the host has written them: which of them a command takes is said by its inputs in chapter 6.
 */
struct ata_regs {
	uint8_t command, device;
	uint16_t feature, count; /* the upper byte: what was written before */
	uint64_t lba;		 /* low, mid, high, and of before: low, mid, high */
	/* As they are to be read at the end, with count and lba */
	uint8_t status, error;
};

enum ata_next { ATA_ENDED, ATA_WAIT, ATA_MOVE };
enum ata_way { ATA_NO_DATA, ATA_PIO_IN, ATA_PIO_OUT, ATA_DMA_IN, ATA_DMA_OUT, ATA_PACKET };

struct ata_drive;
struct ata_command;

struct ata_cmd {
	/* The controller's */
	struct ata_regs regs;
	void (*ended)(struct ata_cmd *c); /* of a move, or of a command without */
	struct iovec iov[ATA_SEGS_MAX];	  /* its entries are changed while they are moved */

	/*
	 * What it is to do: of PACKET, ata_packet comes first, with the 12 bytes that the host
	 * has sent
	 */
	enum ata_way way;
	uint64_t left;	/* bytes yet to be moved */
	uint32_t block; /* PIO: so many of them at once; DMA: a multiple of it */
	uint32_t moved; /* by the move that has ended, or the answer to a packet */

	/* READ and WRITE FPDMA QUEUED: others may be under way, and end before */
	bool queued;
	uint8_t tag;

	/* ata's */
	struct ata_drive *drive;
	const struct ata_command *command;
	uint64_t lba;
	uint32_t moving;
	bool ext;
	void (*fill)(struct ata_drive *d, uint8_t out[static ATA_SECTOR]); /* data that is here */
	struct ata_cmd *next;
	struct scsi_task task;
	struct iovec saved[ATA_SEGS_MAX];
	uint8_t unmap[8 + 16 * ATA_TRIM_RANGES]; /* a parameter list of the target's */
};

struct ata_set;

struct ata_drive {
	struct ata_set *set;
	bool there;
	uint16_t unit;
	enum scsi_kind kind;
	char serial[ATA_SERIAL_MAX + 1];
	uint64_t sectors;
	uint8_t physical_exp; /* a physical sector is that power of two of logical ones */
	bool writethrough;
	bool trims;    /* its image can give space back */
	bool sata;     /* as its set is */
	bool keeps;    /* software settings preservation: what is set survives a COMRESET */
	bool q_failed; /* a queued command did: until log 10h is read, or a reset, no other is taken */
	uint8_t q_tag;
	struct ata_regs q_regs; /* … and how */
	/* what the host sets: SET FEATURES, SET MULTIPLE MODE, INITIALIZE DEVICE PARAMETERS */
	bool write_cache, look_ahead;
	uint8_t multiple; /* sectors of a block */
	uint8_t mode;	  /* as SET FEATURES, "set transfer mode", has it; 0: PIO as it comes */
	uint8_t heads, per_track;
	/* of the last packet that failed */
	uint8_t sense[SCSI_SENSE_SIZE], sense_len;
};

/* Where a controller is in its table of regions of the guest's memory */
struct ata_place {
	uint64_t addr;
	uint32_t left;	   /* of the region */
	unsigned int used; /* entries */
	bool last;	   /* there is none behind it */
};

/* next: addr, left and last of the entry p->used, which counts on. 1; 0: none; -EFAULT: none can be */
struct ata_table {
	const struct gmem *gmem;
	int (*next)(void *arg, struct ata_place *p);
	void *arg;
};

struct ata_set {
	bool sata;		   /* the caller's, before ata_set_init: Serial ATA */
	unsigned int most;	   /* units are below */
	const struct board *board; /* borrowed */
	struct ata_drive drives[ATA_DRIVES_MAX];
	char names[ATA_DRIVES_MAX][DEVICE_ID_MAX];
	struct stat files[ATA_DRIVES_MAX]; /* of the drives' media: which they are */
	struct disk_rates rates[ATA_DRIVES_MAX];
	struct scsi_target *target; /* owned */
	struct trouble trouble;
	struct trouble_disk disks[ATA_DRIVES_MAX];
	struct worker *worker;	  /* borrowed */
	struct worker_bell *bell; /* owned: wakes the worker */
	bool attached;		  /* the worker's: it has the target */
	/* Lists by next, the newest first: to the worker, and back from it */
	_Atomic(struct ata_cmd *) todo, done;
	int fd; /* owned eventfd: wakes the control loop; 0: none yet */
	struct board_watch *watch;
};

/* drives.c. disks: of struct ata_drive_cfg; most: units are below. On failure ata_set_fini. */
int ata_set_init(struct ata_set *s, struct device *d, const struct field_list *disks,
		 unsigned int most, struct err *e);
void ata_set_fini(struct ata_set *s); /* accepts one that is all zero */
/* As device_class's; what has ended is told before ata_set_stop returns. */
void ata_set_start(struct ata_set *s);
void ata_set_stop(struct ata_set *s);
void ata_set_reset(struct ata_set *s); /* no command is the set's any more */
struct ata_drive *ata_drive_at(struct ata_set *s, unsigned int unit); /* NULL: there is none */
/* device_class.drive and set_medium */
bool ata_set_drive(struct ata_set *s, unsigned int index, struct device_drive *ret);
int ata_set_medium(struct ata_set *s, unsigned int index, struct device_medium *medium,
		   struct err *e);
/* For units.c: a unit that is free; its image; and the drive, by whoever has the target */
int ata_check_unit(const struct ata_set *s, unsigned int unit, struct err *e);
int ata_open(const struct ata_set *s, struct ata_drive_cfg *cfg, struct block **ret_block,
	     struct stat *ret_file, struct err *e);
int ata_add(struct ata_set *s, const struct ata_drive_cfg *cfg, struct block *take_block,
	    const struct stat *file, struct err *e);
/* … on the worker: what was begun goes to the target, while it is attached */
void ata_work(struct ata_set *s);
/* … on the control loop: what has ended is told */
void ata_reap(struct ata_set *s);
/* … on the worker, of a drive that goes: what waits for the target to be attached has failed */
void ata_give_up(struct ata_drive *d);

/*
 * units.c: device_class.unit and so on, of drives that come and go; the controller tells the
 * guest. ata_unit_add gives the unit. Of a drive that goes all has ended on return, and been told.
 */
const char *ata_set_unit(const struct ata_set *s, unsigned int index);
int ata_unit_new(struct ata_set *s, struct json_object *json, struct fdset *fds,
		 struct device_unit **ret_unit, struct err *e);
int ata_unit_add(struct ata_set *s, struct device_unit *take_unit, struct err *e);
int ata_unit_find(const struct ata_set *s, const char *id, struct err *e); /* its unit */
void ata_unit_remove(struct ata_set *s, unsigned int unit);
int ata_unit_set(struct ata_set *s, const char *id, struct json_object *change,
		 struct json_object **ret_settings, struct err *e);

/*
 * For command.c and packet.c: to the target; then ata_task_ended, in command.c, where the
 * controller is.
 */
void ata_run(struct ata_cmd *c);

/* command.c */
enum ata_next ata_begin(struct ata_drive *d, struct ata_cmd *c);
/* c->iov has niov pieces, bytes in all: no more than c->left. */
void ata_move(struct ata_cmd *c, unsigned int niov, uint32_t bytes);
void ata_task_ended(struct ata_cmd *c);
/*
 * Count, LBA and Device as after a reset: volume 2, "Signature and persistence". What the drive
 * was told is kept, or as at power-on.
 */
void ata_signature(const struct ata_drive *d, struct ata_regs *ret);
void ata_drive_reset(struct ata_drive *d, bool power_on);
/* Ends of a command, for packet.c, queued.c and trim.c */
enum ata_next ata_good(struct ata_cmd *c);
enum ata_next ata_fail(struct ata_cmd *c, uint8_t error);
/* … and its task: a CDB of 16 bytes, without data */
void ata_task(struct ata_cmd *c, uint8_t opcode, uint64_t lba, uint32_t blocks);

/* queued.c: commands */
enum ata_next ata_queued(struct ata_cmd *c);
enum ata_next ata_read_log(struct ata_cmd *c);
void ata_queued_failed(const struct ata_cmd *c); /* after ata_fail */

/* trim.c: a command; and it has its ranges, a block of them, in c->iov */
enum ata_next ata_trim(struct ata_cmd *c);
void ata_trim_move(struct ata_cmd *c, unsigned int niov);

/*
 * packet.c. answer: of ATA_ANSWER_MAX bytes, for what is no reading of blocks: c->moved of them
 * are there when it has ended. ATA_MOVE: blocks are read, to c->left.
 */
enum ata_next ata_packet(struct ata_cmd *c, const uint8_t cdb[static ATA_CDB], void *answer);
void ata_packet_move(struct ata_cmd *c);
void ata_packet_ended(struct ata_cmd *c);

/* regions.c: from *p on, which moves with what is done */
/* For ata_move: bytes, a multiple of unit, 0: the table has not so many; -EFAULT: what is no memory. */
int64_t ata_collect(const struct ata_table *t, struct ata_place *p, uint32_t most, uint32_t unit,
		    struct iovec iov[static ATA_SEGS_MAX], unsigned int *ret_n);
/* Copy there: bytes, fewer than len where the table ends; -EFAULT. */
int64_t ata_fill(const struct ata_table *t, struct ata_place *p, const void *data, uint32_t len);

/* identify.c */
void ata_identify(struct ata_drive *d, uint8_t out[static ATA_ID]);
void ata_seal(uint8_t sector[static ATA_SECTOR]); /* its last byte: all together are 0 */
/* Cylinders of what INITIALIZE DEVICE PARAMETERS has set: CHS addresses of ATA-5; at most 65535 */
uint32_t ata_cylinders(const struct ata_drive *d, unsigned int heads, unsigned int per_track);

#endif
