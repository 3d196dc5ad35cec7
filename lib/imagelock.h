/* SPDX-License-Identifier: MIT */
/*
 * Locks of disk images, so that no two machines write to one, and none reads what another writes. They belong to the
 * open file description (fcntl(2), F_OFD_SETLK): who is handed the descriptor holds them, until its last copy is closed.
 *
 * Which bytes are locked is what QEMU's programs do and look for (its docs/system/images and the comment above
 * raw_apply_lock_bytes tell): a read lock at 100 + N says that the holder does N with the image, one at 200 + N that
 * nobody else may. So `qemu-img check` refuses a disk of a machine that runs, and a machine one that QEMU has.
 */
#ifndef LIB_IMAGELOCK_H
#define LIB_IMAGELOCK_H

#include <sys/types.h>
#include "lib/err.h"
#include "lib/hostfs.h"

/*
 * write: it will be written to. share: others may write to it meanwhile. -EBUSY: somebody else has a lock that forbids
 * it, and none is held; another -errno where the file system has no locks. Does not wait.
 */
int imagelock_take(int fd, bool write, bool share);

/*
 * Which process has a lock on the file of that number, for people: not exact where two file systems have files of one
 * number. 0: none of those in /proc that we may look into. May take as long as it takes to read all of /proc.
 */
pid_t imagelock_holder(const struct hostfs *host, ino_t inode);
/*
 * It could not be taken, for the tries-th time (from 0): who has it. True: nobody does that can be seen, and after a
 * moment, which has passed, it may be tried again. A process that is gone may still have it: the kernel closes what its
 * io_uring used some time after its end, and nothing tells when.
 */
bool imagelock_again(const struct hostfs *host, ino_t inode, unsigned int tries, pid_t *ret_holder);
/* "process 4242 (qemu-system-x86)"; for 0 "a process that is not to be seen", for ours "another disk". */
void imagelock_name(const struct hostfs *host, pid_t holder, char *out, size_t size);
/* e says that an image is in use: by whom, and what to do. Returns -code; e may be NULL. */
int imagelock_blame(struct err *e, const char *who);

#endif
