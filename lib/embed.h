/* SPDX-License-Identifier: MIT */
/* Files that the build puts into the programs (Makefile, "embedded files"). A row without a name ends it. */
#ifndef LIB_EMBED_H
#define LIB_EMBED_H

#include <stdint.h>

struct embed {
	const char *name; /* path below the folder: "device/virtio-blk.json" */
	const char *data; /* ends with a NUL that size does not count */
	uint64_t size;
};

extern const struct embed embed_completions[]; /* completions/, of vmctl */
extern const struct embed embed_schemas[];     /* schemas/: all but examples/ */
extern const struct embed embed_seccomp[];     /* vmm's filters, by their table's name */
extern const struct embed embed_migrations[]; /* state/migrations/, in the order of their numbers */

#endif
