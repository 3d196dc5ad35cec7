/* SPDX-License-Identifier: MIT */
/* Iovec arrays of a guest's request: they point into its memory, and their sum fits in 32 bits. Any thread. */
#ifndef VMM_VIRTIO_IOV_H
#define VMM_VIRTIO_IOV_H

#include <stddef.h>
#include <sys/uio.h>

/* Bytes of an array; copies between one and a buffer, from an offset. Bytes copied. */
size_t iov_size(const struct iovec *iov, unsigned int n);
size_t iov_read(const struct iovec *iov, unsigned int n, size_t off, void *data, size_t len);
size_t iov_write(const struct iovec *iov, unsigned int n, size_t off, const void *data, size_t len);
/* Shorten an array to its first len bytes, which are there; how many entries it has then. */
unsigned int iov_cut(struct iovec *iov, unsigned int n, size_t len);

#endif
