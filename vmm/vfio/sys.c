// SPDX-License-Identifier: MIT
/* VFIO of the running kernel: see sys.h. Any thread. */
#include "vmm/vfio/sys.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

static int vfio_sys_ioctl(const struct vfio_sys *s, int fd, unsigned long request, void *arg)
{
	int r = ioctl(fd, request, arg);

	(void)s;
	return r < 0 ? -errno : r;
}

static int vfio_sys_ioctl_value(const struct vfio_sys *s, int fd, unsigned long request,
				unsigned long value)
{
	int r = ioctl(fd, request, value);

	(void)s;
	return r < 0 ? -errno : r;
}

static ssize_t vfio_sys_pread(const struct vfio_sys *s, int fd, void *data, size_t len,
			      uint64_t off)
{
	/* the one way of reading and writing at a place that the sandbox has, for disks and the kernel too */
	struct iovec iov = { data, len };
	ssize_t n = preadv2(fd, &iov, 1, (off_t)off, 0);

	(void)s;
	return n < 0 ? -errno : n;
}

static ssize_t vfio_sys_pwrite(const struct vfio_sys *s, int fd, const void *data, size_t len,
			       uint64_t off)
{
	struct iovec iov = { (void *)data, len };
	ssize_t n = pwritev2(fd, &iov, 1, (off_t)off, 0);

	(void)s;
	return n < 0 ? -errno : n;
}

static int vfio_sys_mmap(const struct vfio_sys *s, int fd, size_t len, int prot, uint64_t off,
			 void **ret)
{
	void *at = mmap(NULL, len, prot, MAP_SHARED, fd, (off_t)off);

	(void)s;
	if (at == MAP_FAILED)
		return -errno;
	*ret = at;
	return 0;
}

static void vfio_sys_munmap(const struct vfio_sys *s, void *at, size_t len)
{
	(void)s;
	munmap(at, len);
}

const struct vfio_sys vfio_sys_kernel = {
	.ioctl = vfio_sys_ioctl,
	.ioctl_value = vfio_sys_ioctl_value,
	.pread = vfio_sys_pread,
	.pwrite = vfio_sys_pwrite,
	.mmap = vfio_sys_mmap,
	.munmap = vfio_sys_munmap,
};
