/* SPDX-License-Identifier: MIT */
/*
 * The kernel's VFIO as a handful of calls, so that a unit test can be the kernel (board.vfio_sys). All return
 * a negative errno value on failure.
 */
#ifndef VMM_VFIO_SYS_H
#define VMM_VFIO_SYS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct vfio_sys {
	int (*ioctl)(const struct vfio_sys *s, int fd, unsigned long request, void *arg);
	/* for the requests that have a number where others have a pointer */
	int (*ioctl_value)(const struct vfio_sys *s, int fd, unsigned long request,
			   unsigned long value);
	ssize_t (*pread)(const struct vfio_sys *s, int fd, void *data, size_t len, uint64_t off);
	ssize_t (*pwrite)(const struct vfio_sys *s, int fd, const void *data, size_t len,
			  uint64_t off);
	int (*mmap)(const struct vfio_sys *s, int fd, size_t len, int prot, uint64_t off,
		    void **ret);
	void (*munmap)(const struct vfio_sys *s, void *at, size_t len);
};

extern const struct vfio_sys vfio_sys_kernel;

#endif
