/* SPDX-License-Identifier: MIT */
/*
 * A block backend: asynchronous requests on a descriptor, a regular file or a block device, that somebody
 * else has opened. block_open runs on the control loop; from block_attach to block_detach all calls are the
 * attached loop's thread's. Two engines: io_uring, and preadv2/pwritev2 where the kernel or a sandbox does not
 * let us have a ring. Two formats: raw, and qcow2 with backing files.
 *
 *	block_open(&(struct block_image){ .fd = fd, .format = BLOCK_FORMAT_RAW }, &b, e);
 *	block_attach(b, loop, batch_done, arg);
 *	block_queue(b, &r1); block_queue(b, &r2); block_submit(b);
 *		-> r1.done(&r1, 0); r2.done(&r2, -EIO); batch_done(arg);
 *	block_drain(b); block_detach(b); block_free(b);
 *
 * Several threads may use an image, each with a struct block of its own: block_also.
 */
#ifndef VMM_BLOCK_BLOCK_H
#define VMM_BLOCK_BLOCK_H

#include <sys/uio.h>
#include <uv.h>
#include "lib/err.h"

#define BLOCK_SECTOR 512 /* sizes and offsets are multiples of it */
#define BLOCK_BACKING_MAX 8

struct block;

enum block_engine_type { BLOCK_ENGINE_AUTO, BLOCK_ENGINE_URING, BLOCK_ENGINE_PSYNC };

enum block_format {
	BLOCK_FORMAT_UNSAID, /* raw; but an image that begins like one in a format is refused */
	BLOCK_FORMAT_RAW,
	BLOCK_FORMAT_QCOW2,
};

/* What block_open takes */
struct block_image {
	int fd; /* open for reading, and for writing unless readonly; O_DIRECT is taken note of */
	bool readonly;
	enum block_format format;
	bool unsafe; /* nothing is ever made stable: lost with the host */
	/*
	 * BLOCK_ENGINE_AUTO: io_uring, but for a file in memory (tmpfs) or where there is none to be had. The others
	 * fail then.
	 */
	enum block_engine_type engine;
	/*
	 * Memory that requests will mostly have their data in, of size 0: none. A ring has all of it pinned, now and
	 * until block_free, and need not look pages up for each request (IORING_REGISTER_BUFFERS). Where that cannot be,
	 * as for a limit of locked memory, requests work without: block_info.pinned. chunk: bytes, 0: as much as the kernel
	 * takes in one piece.
	 */
	struct {
		void *base; /* borrowed, until block_free */
		uint64_t size, chunk;
	} memory;
	/*
	 * The images that this one is based on, nearest first, open for reading: as many as are named in them.
	 * Which format they have is said by the image above.
	 */
	int backing[BLOCK_BACKING_MAX];
	unsigned int nbacking;
};

enum block_op {
	BLOCK_READ,
	BLOCK_WRITE,
	BLOCK_FLUSH,	    /* all completed writes are on stable storage */
	BLOCK_DISCARD,	    /* a hint; the content is undefined afterwards */
	BLOCK_WRITE_ZEROES, /* reads as zeroes afterwards */
};

/* One system call's worth of a request: the engines' (engine.h) */
struct block_step {
	unsigned int kind; /* enum block_step_kind */
	int fd;
	struct iovec *iov;
	unsigned int niov;
	uint64_t offset, len;
	int mode; /* flags of fallocate or of pwritev2 */
	uint8_t *bounce;
};

struct block_req {
	enum block_op op;
	struct iovec *
		iov; /* READ, WRITE: the caller's; its entries are changed while the request runs */
	unsigned int niov; /* at most IOV_MAX */
	uint64_t offset;   /* bytes */
	uint64_t len;	   /* bytes; READ and WRITE: the sum of iov */
	bool stable;	   /* WRITE, WRITE_ZEROES: on stable storage before done */
	bool unmap;	   /* WRITE_ZEROES: the space may be given back */
	/*
	 * ret: 0 or -errno (-EROFS, -ERANGE and -EINVAL from checks). From inside of block_submit, block_drain
	 * or the loop. The request is the caller's again and may be queued anew.
	 */
	void (*done)(struct block_req *r, int ret);
	void *arg; /* the caller's */

	/* block's */
	struct block_req *next;
	struct block_step step;
	struct iovec zero_iov;
	uint64_t pos;
	unsigned int retries;
	int error; /* of the check, or what a format's is done with */

	/* a format's: what is left of iov; where the step cut it, and what it cut off; what it must not free */
	struct iovec *left_iov, *cut;
	unsigned int nleft;
	struct iovec cut_off;
	unsigned int gen;
	bool counted;
};

struct block_info {
	uint64_t size;		 /* bytes, a multiple of BLOCK_SECTOR */
	uint32_t logical_block;	 /* bytes: smallest write */
	uint32_t physical_block; /* bytes: smallest write without a read */
	bool readonly;
	uint32_t discard_align; /* bytes: less than that is not given back */
	bool pinned;		/* image.memory is */
	bool discard;		/* DISCARD gives space back; without, it is done without effect */
	const char *engine, *format;
};

/* The descriptors are block's from now on, or closed after a failure. */
int block_open(const struct block_image *take_image, struct block **ret_block, struct err *e);
/*
 * One more for the image of b, for a thread that has no other of several: with a ring of its own, for which image says
 * engine and memory. b was opened and not yet attached, and is freed after it.
 */
int block_also(struct block *b, const struct block_image *image, struct block **ret_block,
	       struct err *e);
void block_free(struct block *b); /* detached; NULL is fine */
const struct block_info *block_info(const struct block *b);

/*
 * How large the image is now, for block_set_size: not smaller than it was. -ERR_FILE; any thread, nothing is changed.
 * A format's image keeps its size.
 */
int block_measure(const struct block *b, uint64_t *ret_size, struct err *e);
/* On the attached loop's thread; of each that the image has. */
void block_set_size(struct block *b, uint64_t size);

/* batch_done (may be NULL): after each run of done calls. */
int block_attach(struct block *b, uv_loop_t *loop, void (*batch_done)(void *arg), void *arg);
void block_queue(struct block *b, struct block_req *r); /* nothing happens until block_submit */
void block_submit(struct block *b);
bool block_poll(struct block *b);   /* take what is complete, if anything is: true */
void block_drain(struct block *b);  /* submit, wait: on return no request is queued or in flight */
void block_detach(struct block *b); /* drains */

#endif
