/* SPDX-License-Identifier: MIT */
/*
 * Tests of qcow2: an image in a folder of its own, its content once more in memory, random requests to both, and
 * qemu-img as the judge. What goes wrong in here fails the test.
 *
 *	struct qdisk *d = qdisk_made("compat=1.1,cluster_size=4k", MIB, seed, rounds);
 *	qdisk_open(d);
 *	qdisk_rounds(d, 10);
 *	qdisk_close(d);
 *	qdisk_judge(d, false);
 *	qdisk_free(d);
 */
#ifndef TESTS_UNIT_QCOW2_DISK_H
#define TESTS_UNIT_QCOW2_DISK_H

#include "vmm/block/engine.h"

struct qdisk {
	char dir[64], path[128];
	uint64_t size;
	uint8_t *twin;
	struct block *b;
	uv_loop_t loop;
	uint32_t seed;
	bool direct; /* opened with O_DIRECT, and of a file system that wants pages */
};

struct qop {
	struct block_req r;
	struct iovec iov[3];
	uint8_t *data; /* of the request, at its sector */
	int ret;
	bool done;
};

bool qdisk_can(void); /* there is a qemu-img */
/* Empty, without an image; and with one that qemu-img made (-o options) and so many rounds wrote. */
struct qdisk *qdisk_new(uint64_t size, uint32_t seed);
struct qdisk *qdisk_made(const char *options, uint64_t size, uint32_t seed, unsigned int rounds);
void qdisk_free(struct qdisk *d);
uint32_t qdisk_random(struct qdisk *d, uint32_t n); /* below n */
/* qemu-img in the image's folder, where it is "disk": its exit status. */
int qdisk_img(const struct qdisk *d, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Fails with what qemu-img said. */
void qdisk_must(const struct qdisk *d, int status, int wanted, const char *what);
void qdisk_file(const struct qdisk *d, const char *name, const void *data, uint64_t len);
/* Sound, and with the twin's content. */
void qdisk_judge(struct qdisk *d, bool may_leak);

/* image's fd is set here. */
int qdisk_try(struct qdisk *d, struct block_image *image, struct err *e);
void qdisk_open(struct qdisk *d);
void qdisk_open_chain(struct qdisk *d, const char *const *backing); /* names, NULL at the end */
void qdisk_close(struct qdisk *d);
void qdisk_rounds(struct qdisk *d, unsigned int n); /* random requests, some at a time */
/* The same in these sectors only. */
void qdisk_rounds_within(struct qdisk *d, unsigned int n, uint32_t start, uint32_t end);
/* The open disk for another thread, which has sectors of its own. It goes first. */
struct qdisk *qdisk_also(struct qdisk *d, uint32_t seed);
void qdisk_also_free(struct qdisk *also);

void qop_init(struct qop *o, enum block_op kind, uint64_t offset, uint64_t len);
void qop_cut(struct qdisk *d, struct qop *o); /* its data into three pieces */
/* A random one within these sectors. */
void qop_random(struct qdisk *d, struct qop *o, uint32_t start, uint32_t end);
int qop_run(struct qdisk *d, struct qop *o);
/* It went well, and the twin learns of it; frees its data. */
void qop_judge(struct qdisk *d, struct qop *o);

#endif
