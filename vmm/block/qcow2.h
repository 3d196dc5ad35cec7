/* SPDX-License-Identifier: MIT */
/*
 * The qcow2 format, versions 2 and 3: QEMU's docs/interop/qcow2.txt. What block.c calls is in engine.h; this
 * is between the parts of it:
 *
 *	qcow2_header.c	the header: bytes to checked numbers
 *	qcow2_cache.c	pieces of L2 tables and of refcount blocks in memory, and when they are written
 *	qcow2_refs.c	reference counts: clusters are found, counted and given back
 *	qcow2_map.c	L1 and L2: where a guest's bytes are
 *	qcow2_request.c	requests
 *	qcow2.c		its life, and changes of the header
 *
 * On the threads that have the image, but for open and free, and one of them at a time: all that is here is under
 * q->lock, which qcow2_step_done takes, and gives back before a request's done. Guest data that has its place goes through
 * the engine like that of a raw image, without the lock. Whatever changes metadata, and its data, is done here and now by
 * system calls that may wait for the disk: nothing can come in between, so there are no states to get wrong.
 *
 * What is on the disk is at each moment an image without errors, at worst with clusters that nobody uses:
 *
 *	refcounts of clusters  <  data in them  <  L2 and L1 that point there  <  refcounts of what they left
 *
 * "<" is a write and, where the cache mode asks for any, an fdatasync between. L2 and refcounts stay in the caches
 * until a flush, or until there is no room.
 */
#ifndef VMM_BLOCK_QCOW2_H
#define VMM_BLOCK_QCOW2_H

#include <pthread.h>
#include <zlib.h>
#include "vmm/block/engine.h"

#define QCOW2_CLUSTER_BITS_MIN 9
#define QCOW2_CLUSTER_BITS_MAX 21
#define QCOW2_OFFSET_MAX (BIT64(56) - 1) /* in the file */
#define QCOW2_L1_MAX (32 * MIB)
#define QCOW2_REFTABLE_MAX (8 * MIB)
#define QCOW2_HEADER_MIN 104 /* bytes: of version 3; 2 has padding or data behind its 72 */
#define QCOW2_HEADER_READ (64 * KIB)
#define QCOW2_BACKING_MAX 1024

/* incompatible_features */
#define QCOW2_DIRTY BIT64(0)
#define QCOW2_CORRUPT BIT64(1)
#define QCOW2_COMPRESSION BIT64(3)

struct qcow2_header {
	uint32_t version, cluster_bits, encryption, length;
	uint64_t size; /* of the disk, bytes */
	uint64_t l1_offset, reftable_offset;
	uint32_t l1_entries, reftable_clusters, snapshots;
	uint64_t incompatible, compatible, autoclear;
	uint32_t refcount_order; /* log2 of the bits of a reference count */
	uint8_t compression;
	char backing[QCOW2_BACKING_MAX]; /* name of the backing file; "": none */
	char backing_format[16];	 /* "": not said */
};

/*
 * data: the first bytes of the image, the first 64 KiB if it has as many. readonly: what forbids writing
 * (a dirty or corrupt image) is let pass. -ERR_FILE.
 */
int qcow2_header_parse(const void *data, size_t len, bool readonly, struct qcow2_header *ret,
		       struct err *e);
bool qcow2_has_magic(const void *data, size_t len);

/* --- the cache ------------------------------------------------------------------------------------------ */

#define QCOW2_SLICE_MAX \
	4096 /* bytes: a slice is that much of a table, or a cluster where that is less */
#define QCOW2_WAYS 8
#define QCOW2_SETS 32

struct qcow2_slice {
	uint64_t offset; /* in the file; 0: empty */
	uint32_t used;	 /* when, for the oldest to go first */
	bool dirty;
};

struct qcow2_cache {
	struct qcow2_slice slices[QCOW2_SETS * QCOW2_WAYS];
	uint8_t *data;	    /* owned */
	uint32_t size;	    /* of a slice */
	uint32_t clock;	    /* moves at each access */
	unsigned int dirty; /* slices */
};

struct qcow2;

int qcow2_cache_init(struct qcow2_cache *c, uint32_t slice_size);
void qcow2_cache_fini(struct qcow2_cache *c);
/* The byte at offset and what follows it in its slice; good until the next call of anything of qcow2's. */
int qcow2_cache_get(struct qcow2 *q, struct qcow2_cache *c, uint64_t offset, void **ret);
void qcow2_cache_dirty(struct qcow2_cache *c, const void *p);
/* These bytes of the file have become something else. */
void qcow2_cache_forget(struct qcow2_cache *c, uint64_t offset, uint64_t len);
/* Write what is dirty. 1: something was written. */
int qcow2_cache_write(struct qcow2 *q, struct qcow2_cache *c);

/* --- state ---------------------------------------------------------------------------------------------- */

#define QCOW2_FREES 4096 /* runs of clusters */

struct qcow2_run {
	uint64_t cluster, count;
};

/* Clusters that lost a reference. */
struct qcow2_frees {
	struct qcow2_run *runs; /* owned: QCOW2_FREES */
	unsigned int n;
};

struct qcow2 {
	struct block *b; /* borrowed: whose format this is */
	pthread_mutex_t lock;
	unsigned int users; /* blocks that are attached */
	struct qcow2_header h;
	uint32_t cluster_size;
	unsigned int l2_bits; /* log2 of the entries of an L2 table */
	unsigned int rb_bits; /* log2 of the entries of a refcount block */
	uint32_t io_align;    /* bytes: the least that is written of a table */
	uint64_t *l1;	      /* owned, as in the file: big-endian */
	uint64_t *reftable;   /* owned, the same */
	uint64_t reftable_entries;
	struct qcow2_cache l2, refs;
	uint64_t hint;	 /* no free cluster below that is worth to look for */
	uint64_t end;	 /* cluster: the end of the file, or of the device */
	uint64_t leaked; /* references that were not taken back: no room in a list */
	bool unsynced;	 /* written, and L2 that is in the cache relies on it */
	bool corrupt;	 /* nothing is written any more */
	/*
	 * A cluster that L2 does not point at any more is free when (1) that is on the disk and (2) no request
	 * that was under way before is still using it. left: neither yet; waiting: for the requests that bear
	 * the other generation.
	 */
	struct qcow2_frees left, waiting;
	unsigned int gen; /* 0 or 1: what a request that begins now bears */
	unsigned int busy[2];
	uint8_t *table;		 /* owned: a cluster, of a table that is made */
	uint8_t *head, *tail;	 /* owned: a cluster each, what a write does not cover */
	struct iovec *iov;	 /* owned: IOV_MAX + 2 */
	uint8_t *packed;	 /* owned: two clusters and a bit, compressed */
	uint8_t *unpacked;	 /* owned: a cluster, what was … */
	uint64_t unpacked_entry; /* … at this L2 entry; 0: none */
	z_stream z;
	bool z_ready;
	struct block *backing; /* owned; NULL: none */
};

/* --- qcow2_refs.c --------------------------------------------------------------------------------------- */

/*
 * The header, L1 and the table of refcount blocks. An image may say that something else is there as well: what it is
 * found by is not written over, or given away.
 */
bool qcow2_is_vital(const struct qcow2 *q, uint64_t cluster);
/* 1 to want clusters in a row, with a reference count of 1: how many. */
int64_t qcow2_alloc(struct qcow2 *q, uint64_t want, uint64_t *ret_cluster);
/* Nothing on the disk points at them yet: they are free at once. */
void qcow2_unalloc(struct qcow2 *q, uint64_t cluster, uint64_t count);
/* They lose a reference once what pointed at them is gone from the disk. */
void qcow2_leave(struct qcow2 *q, uint64_t cluster, uint64_t count);
/* Take back what may be taken back now. */
void qcow2_reap(struct qcow2 *q);
/* All that the caches hold is written, in order. full: also made stable. */
int qcow2_commit(struct qcow2 *q, bool full);
/* Refcounts only, and stable: what is written next may point at new clusters. */
int qcow2_commit_refs(struct qcow2 *q);

/* --- qcow2_map.c ---------------------------------------------------------------------------------------- */

enum qcow2_kind { QCOW2_NONE, QCOW2_ZERO, QCOW2_ZERO_ALLOC, QCOW2_DATA, QCOW2_PACKED };

#define QCOW2_COPIED BIT64(63) /* of an L1 or L2 entry: the reference count is 1 */
#define QCOW2_IS_PACKED BIT64(62)
#define QCOW2_IS_ZERO BIT64(0)
#define QCOW2_OFFSET_MASK 0x00fffffffffffe00ull

/* What an L2 entry says, as host number. -EIO: it cannot be. */
int qcow2_kind(struct qcow2 *q, uint64_t entry);
/*
 * The L2 entries of guest cluster gc and those after it, big-endian, in the cache. write: the table is made if
 * there is none, and made one that we alone have. Count; 0: there is no table, and *ret_count clusters without.
 */
int64_t qcow2_entries(struct qcow2 *q, uint64_t gc, bool write, uint64_t **ret,
		      uint64_t *ret_count);
/* The reference that this entry has. */
void qcow2_leave_entry(struct qcow2 *q, uint64_t entry);
/* Bytes of the disk, wherever they are, here and now. */
int qcow2_read_here(struct qcow2 *q, uint64_t pos, void *buf, uint64_t len);
/* A compressed cluster's content into q->unpacked. */
int qcow2_unpack(struct qcow2 *q, uint64_t entry);

/* --- qcow2.c -------------------------------------------------------------------------------------------- */

/* Damage was found: marks the image, stops writing. -EIO */
int qcow2_damaged(struct qcow2 *q);
/* Bytes of the header, stable before what comes next. */
int qcow2_patch_header(struct qcow2 *q, uint64_t off, const void *data, size_t len);

#endif
