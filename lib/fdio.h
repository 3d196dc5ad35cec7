/* SPDX-License-Identifier: MIT */
/* File descriptors: whole reads and writes, and passing them over AF_UNIX (SCM_RIGHTS). Any thread. */
#ifndef LIB_FDIO_H
#define LIB_FDIO_H

#include <sys/types.h>
#include "lib/err.h"

#define FDSET_MAX 384	  /* most descriptors that go with one message of lib/conn.h */
#define FDIO_SEND_MAX 253 /* and with one sendmsg(2): SCM_MAX_FD of the kernel */

/* Descriptors that came with, or go with, a message. Slots hold -1 once taken. */
struct fdset {
	int fds[FDSET_MAX]; /* owned */
	unsigned int n;
};

void fdset_init(struct fdset *s);
void fdset_fini(struct fdset *s); /* closes what was not taken */
/* Takes fd over. Its index, or -ENOSPC (fd is closed then). */
int fdset_add(struct fdset *s, int take_fd);
/* The descriptor at index, now the caller's; -EBADF when there is none or it was taken. */
int fdset_take(struct fdset *s, unsigned int index);

/* Whole transfers: len, or fewer at the end of the file (read only), or -errno. EINTR is retried. */
ssize_t fdio_read(int fd, void *data, size_t len);
ssize_t fdio_pread(int fd, void *data, size_t len, off_t off);
ssize_t fdio_write(int fd, const void *data, size_t len);

/*
 * One sendmsg(2) with descriptors (nfds 0 to FDIO_SEND_MAX), on a blocking or non-blocking socket. Bytes sent, or
 * -errno (-EAGAIN). MSG_NOSIGNAL. The descriptors stay the caller's.
 */
ssize_t fdio_send(int sock, const void *data, size_t len, const int *fds, unsigned int nfds);
/*
 * One recvmsg(2); descriptors that came are added to set (CLOEXEC), those that do not fit are closed.
 * Bytes, 0 at the end, or -errno.
 */
ssize_t fdio_recv(int sock, void *data, size_t len, struct fdset *set);

/* A whole file of at most max bytes, NUL-terminated behind its end. ret_data is malloc'ed. */
int fdio_read_file(int fd, size_t max, char **ret_data, size_t *ret_len, struct err *e);

#endif
