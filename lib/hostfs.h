/* SPDX-License-Identifier: MIT */
/*
 * The host's /sys, /proc and /dev below a root directory (openat2, RESOLVE_IN_ROOT), so that a
 * test or `vmd --sysroot DIR` shows them another host. Paths are relative: "proc/meminfo". Any thread.
 */
#ifndef LIB_HOSTFS_H
#define LIB_HOSTFS_H

#include <sys/types.h>
#include "lib/err.h"

struct hostfs {
	int root;  /* owned; -1 when not open */
	bool host; /* the root is "/": nothing to keep inside of it */
};

int hostfs_init(struct hostfs *h, const char *root, struct err *e);
void hostfs_fini(struct hostfs *h);
/*
 * A folder of it as a hostfs of its own, for many files of one folder: their way there is gone only once. Links out of
 * it can be read, and not followed. Paths in e begin at that folder.
 */
int hostfs_sub(const struct hostfs *h, const char *path, struct hostfs *ret_sub, struct err *e);
/* A descriptor (CLOEXEC), or -errno; e says "cannot open '/proc/meminfo': …". */
int hostfs_open(const struct hostfs *h, const char *path, int flags, struct err *e);
/* The file's text without the white space at its end, cut to size. Its length, or -errno. */
ssize_t hostfs_read(const struct hostfs *h, const char *path, char *out, size_t size,
		    struct err *e);
/* What a symbolic link says, which need not exist; cut to size. Its length, or -errno (-EINVAL: it is no link). */
ssize_t hostfs_readlink(const struct hostfs *h, const char *path, char *out, size_t size,
			struct err *e);
/* A file that is one decimal number. */
int hostfs_read_u64(const struct hostfs *h, const char *path, uint64_t *ret_value, struct err *e);
/*
 * One write(2) to a file that exists, as sysfs takes it. -errno as the kernel gave it; e says "cannot write 'vfio-pci' to
 * '/sys/…': …". May block for as long as the kernel likes.
 */
int hostfs_write(const struct hostfs *h, const char *path, const char *text, struct err *e);
/* The names in a folder, "." and ".." left out. Returns the first value of each that is < 0, or 0. */
int hostfs_each(const struct hostfs *h, const char *path, int (*each)(void *arg, const char *name),
		void *arg, struct err *e);

#endif
