// SPDX-License-Identifier: MIT
/*
 * The IOMMU address space of a VM: see dma.h. Memory is pinned when the first device comes, piece by piece, and
 * given back by the kernel when the last descriptor is closed. Control loop, under machine.lock.
 */
#include "vmm/vfio/dma.h"

#include <errno.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/json.h"
#include "vmm/progress.h"
#include "vmm/vfio/iommufd_abi.h"

const struct vfio_sys *vfio_sys_of(const struct board *b)
{
	return b->vfio_sys ? b->vfio_sys : &vfio_sys_kernel;
}

static int vfio_dma_ioctl(const struct vfio_dma *v, int fd, unsigned long request, void *arg)
{
	return v->sys->ioctl(v->sys, fd, request, arg);
}

/* --- pinning the guest's memory ----------------------------------------------------------------------- */

static int vfio_dma_map(const struct vfio_dma *v, uint64_t gpa, uint64_t len, void *host)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)host,
		.iova = gpa,
		.size = len,
	};
	struct iommufd_abi_ioas_map ioas_map = {
		.size = sizeof(ioas_map),
		.flags = IOMMUFD_ABI_MAP_FIXED_IOVA | IOMMUFD_ABI_MAP_WRITEABLE |
			 IOMMUFD_ABI_MAP_READABLE,
		.ioas_id = v->ioas,
		.user_va = (uintptr_t)host,
		.length = len,
		.iova = gpa,
	};

	if (v->iommufd)
		return vfio_dma_ioctl(v, v->fd, IOMMUFD_ABI_IOAS_MAP, &ioas_map);
	return vfio_dma_ioctl(v, v->fd, VFIO_IOMMU_MAP_DMA, &map);
}

bool vfio_dma_shares(const struct board *b)
{
	return b->vfio->users > 1 && !b->vfio->iommufd;
}

int vfio_dma_share(struct board *b, uint64_t gpa, uint64_t size, void *host)
{
	return vfio_dma_map(b->vfio, gpa, size, host);
}

void vfio_dma_unshare(struct board *b, uint64_t gpa, uint64_t size)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = gpa,
		.size = size,
	};
	int r = vfio_dma_ioctl(b->vfio, b->vfio->fd, VFIO_IOMMU_UNMAP_DMA, &unmap);

	if (r < 0)
		log_warn(b->log, "VFIO: memory of a device at 0x%llx stays mapped for others: %s",
			 (unsigned long long)gpa, strerror(-r));
}

static int vfio_dma_refused(const struct board *b, uint64_t gpa, int ret, struct err *e)
{
	struct rlimit limit = { .rlim_cur = RLIM_INFINITY };
	const struct gmem *g = b->gmem;
	char size[32], allowed[32];

	json_size_format(g->size, size, sizeof(size));
	if (ret != -ENOMEM && ret != -EPERM)
		return err_set(e, ERR_VFIO_PINNING,
			       "cannot map the guest's memory at 0x%llx for devices: %s",
			       (unsigned long long)gpa, strerror(-ret));
	if (!b->caged)
		getrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= g->size) {
		err_set(e, ERR_VFIO_PINNING,
			"cannot pin the guest's %s of memory: the host has not enough free%s", size,
			b->vfio->iommufd ? ", or the VMs of its user lock more than one may" : "");
		return err_hint(e, "give the VM less memory, or free some: free -m");
	}
	json_size_format(limit.rlim_cur, allowed, sizeof(allowed));
	err_set(e, ERR_VFIO_PINNING,
		"cannot pin the guest's %s of memory: the limit on locked memory (RLIMIT_MEMLOCK) "
		"is %s",
		size, allowed);
	return err_hint(e,
			"raise it: ulimit -l unlimited, as root; LimitMEMLOCK=infinity in a unit");
}

static void vfio_dma_pinned(const struct board *b, uint64_t ms)
{
	char size[32];

	json_size_format(b->gmem->size, size, sizeof(size));
	log_info(b->log, "VFIO: pinned the guest's %s of memory in %llu ms", size,
		 (unsigned long long)ms);
}

static int vfio_dma_pin_region(struct board *b, const struct vfio_dma *v,
			       const struct gmem_region *region, struct progress *told,
			       struct err *e)
{
	const struct gmem *g = b->gmem;

	for (uint64_t at = 0; at < region->size; at += VFIO_DMA_CHUNK) {
		uint64_t len = MIN(VFIO_DMA_CHUNK, region->size - at);
		int r = vfio_dma_map(v, region->gpa + at, len, g->base + region->offset + at);

		if (r < 0)
			return vfio_dma_refused(b, region->gpa + at, r, e);
		progress_add(told, len);
	}
	return 0;
}

static int vfio_dma_pin(struct board *b, struct vfio_dma *v, struct err *e)
{
	struct progress told;
	int r = 0;

	progress_begin(&told, b, "pinning");
	if (!v->kept)
		gmem_keep(b->gmem, true);
	v->kept = true;
	for (unsigned int i = 0; i < b->gmem->nregions && r >= 0; i++)
		r = vfio_dma_pin_region(b, v, &b->gmem->regions[i], &told, e);
	if (r >= 0)
		vfio_dma_pinned(b, progress_ms(&told));
	return r;
}

/* --- container and groups ------------------------------------------------------------------------------ */

static struct vfio_group *vfio_group_find(struct vfio_dma *v, uint32_t number)
{
	for (unsigned int i = 0; i < v->ngroups; i++)
		if (v->groups[i].number == number)
			return &v->groups[i];
	return NULL;
}

const struct vfio_group *vfio_dma_group(const struct vfio_dma *v, uint32_t number)
{
	return vfio_group_find((struct vfio_dma *)v, number);
}

static int vfio_group_check(const struct vfio_dma *v, const struct vfio_door *d, struct err *e)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	int r = vfio_dma_ioctl(v, d->group_fd, VFIO_GROUP_GET_STATUS, &status);

	if (r < 0)
		return err_set(e, ERR_VFIO, "IOMMU group %u of %s: %s", d->group, d->host,
			       strerror(-r));
	if (status.flags & VFIO_GROUP_FLAGS_VIABLE)
		return 0;
	err_set(e, ERR_VFIO_GROUP,
		"IOMMU group %u of %s: a driver of the host still has a device of it", d->group,
		d->host);
	return err_hint(e,
			"bind every device of /sys/kernel/iommu_groups/%u/devices to vfio-pci, or "
			"leave it without a driver",
			d->group);
}

static int vfio_container_check(const struct vfio_dma *v, struct err *e)
{
	int version = vfio_dma_ioctl(v, v->fd, VFIO_GET_API_VERSION, NULL);

	if (version != VFIO_API_VERSION)
		return err_set(e, ERR_VFIO, "not /dev/vfio/vfio, or its API version %d is not %d",
			       version, VFIO_API_VERSION);
	if (v->sys->ioctl_value(v->sys, v->fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) > 0)
		return 0;
	err_set(e, ERR_VFIO, "VFIO has no IOMMU driver of type 1 (version 2)");
	return err_hint(e, "modprobe vfio_iommu_type1");
}

static int vfio_group_attach(struct board *b, struct vfio_dma *v, const struct vfio_door *d,
			     struct err *e)
{
	int r = vfio_group_check(v, d, e);

	if (r < 0)
		return r;
	r = vfio_dma_ioctl(v, d->group_fd, VFIO_GROUP_SET_CONTAINER, &v->fd);
	if (r < 0)
		return err_set(e, ERR_VFIO,
			       "IOMMU group %u of %s does not go into the VM's container: %s",
			       d->group, d->host, strerror(-r));
	if (!v->ready) {
		r = v->sys->ioctl_value(v->sys, v->fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
		if (r < 0)
			return err_set(e, ERR_VFIO, "cannot use the IOMMU for %s: %s", d->host,
				       strerror(-r));
		r = vfio_dma_pin(b, v, e);
		if (r < 0)
			return r;
		v->ready = true;
	}
	return b->ops->vfio_file(b->arg, d->group_fd, true, e);
}

static int vfio_group_join(struct board *b, struct vfio_dma *v, struct vfio_door *d, struct err *e)
{
	struct vfio_group *group = vfio_group_find(v, d->group);
	char host[32];
	int r;

	if (!group && v->ngroups == VFIO_GROUPS_MAX)
		return err_set(e, ERR_VFIO, "more than %d IOMMU groups", VFIO_GROUPS_MAX);
	if (!group) {
		r = vfio_group_attach(b, v, d, e);
		if (r < 0)
			return r;
		group = &v->groups[v->ngroups++];
		group->number = d->group;
		group->fd = TAKE_FD(d->group_fd);
		group->users = 0;
	}
	group->users++;
	snprintf(host, sizeof(host), "%s", d->host);
	r = vfio_dma_ioctl(v, group->fd, VFIO_GROUP_GET_DEVICE_FD, host);
	if (r < 0)
		return err_set(e, ERR_VFIO, "VFIO does not give %s of IOMMU group %u: %s", d->host,
			       d->group, strerror(-r));
	return r;
}

static void vfio_group_leave(struct board *b, struct vfio_dma *v, uint32_t number)
{
	struct vfio_group *group = vfio_group_find(v, number);
	struct err e;

	if (!group || --group->users)
		return;
	if (b->ops->vfio_file(b->arg, group->fd, false, &e) < 0)
		log_warn(b->log, "IOMMU group %u: %s", number, e.msg);
	close(group->fd);
	*group = v->groups[--v->ngroups];
}

/* --- iommufd --------------------------------------------------------------------------------------------- */

static int vfio_ioas_make(struct vfio_dma *v, struct err *e)
{
	struct iommufd_abi_ioas_alloc alloc = { .size = sizeof(alloc) };
	int r = vfio_dma_ioctl(v, v->fd, IOMMUFD_ABI_IOAS_ALLOC, &alloc);

	if (r < 0)
		return err_set(e, ERR_VFIO, "/dev/iommu gives no address space: %s", strerror(-r));
	v->ioas = alloc.out_ioas_id;
	return 0;
}

static int vfio_bind_refused(const struct vfio_door *d, int ret, struct err *e)
{
	if (ret == -EPERM || ret == -EBUSY) {
		err_set(e, ERR_VFIO_GROUP,
			"the IOMMU group of %s: a driver of the host still has a device of it, or "
			"another process has the group",
			d->host);
		return err_hint(e,
				"bind every device of /sys/bus/pci/devices/%s/iommu_group/devices "
				"to vfio-pci, or leave it without a driver",
				d->host);
	}
	err_set(e, ERR_VFIO, "cannot bind %s to the VM's IOMMU descriptor: %s", d->host,
		strerror(-ret));
	if (ret == -EINVAL)
		err_hint(e, "another process has it open: fuser -v /dev/vfio/devices/*");
	return -ERR_VFIO;
}

static int vfio_device_bind(const struct vfio_dma *v, const struct vfio_door *d, struct err *e)
{
	struct iommufd_abi_device_bind bind = { .argsz = sizeof(bind), .iommufd = v->fd };
	struct iommufd_abi_device_attach attach = { .argsz = sizeof(attach), .pt_id = v->ioas };
	int r = vfio_dma_ioctl(v, d->device_fd, IOMMUFD_ABI_DEVICE_BIND, &bind);

	if (r < 0)
		return vfio_bind_refused(d, r, e);
	r = vfio_dma_ioctl(v, d->device_fd, IOMMUFD_ABI_DEVICE_ATTACH, &attach);
	if (r < 0)
		return err_set(e, ERR_VFIO, "cannot attach %s to the VM's address space: %s",
			       d->host, strerror(-r));
	return 0;
}

/*
 * What is mapped before there is a device is pinned with the first one, all at once: without progress, and with nobody to
 * tell that it is the limit on locked memory. So memory comes second.
 */
static int vfio_device_join(struct board *b, struct vfio_dma *v, struct vfio_door *d, struct err *e)
{
	int r = v->ready ? 0 : vfio_ioas_make(v, e);

	if (r < 0)
		return r;
	/* before it is bound: KVM has to be known to a device that is opened */
	r = b->ops->vfio_file(b->arg, d->device_fd, true, e);
	if (r < 0)
		return r;
	r = vfio_device_bind(v, d, e);
	if (r >= 0 && !v->ready)
		r = vfio_dma_pin(b, v, e);
	v->ready = v->ready || r >= 0;
	if (r < 0) {
		b->ops->vfio_file(b->arg, d->device_fd, false, NULL);
		return r;
	}
	return TAKE_FD(d->device_fd);
}

/* --- coming and going --------------------------------------------------------------------------------- */

static void vfio_dma_put(struct board *b)
{
	struct vfio_dma *v = b->vfio;

	if (--v->users)
		return;
	close(v->fd);
	if (v->kept)
		gmem_keep(b->gmem, false); /* with the descriptor the kernel has let go of it */
	free(v);
	b->vfio = NULL;
}

static int vfio_dma_get(struct board *b, struct vfio_door *d, struct err *e)
{
	bool iommufd = d->device_fd >= 0;
	int *fd = iommufd ? &d->iommu_fd : &d->container_fd;
	struct vfio_dma *v = b->vfio;

	if (v && v->iommufd != iommufd)
		return err_set(e, ERR_VFIO,
			       "%s comes by %s, the VM's other devices by %s: one VM has one way",
			       d->host, iommufd ? "iommufd" : "a group",
			       iommufd ? "groups" : "iommufd");
	if (!v) {
		v = calloc(1, sizeof(*v));
		if (!v)
			return err_ret(e, -ENOMEM, "VFIO");
		*v = (struct vfio_dma){ .sys = vfio_sys_of(b), .iommufd = iommufd };
		v->fd = TAKE_FD(*fd);
		b->vfio = v;
	}
	v->users++;
	return 0;
}

static int vfio_door_check(const struct vfio_door *d, const struct vfio_dma *v, struct err *e)
{
	bool device = d->device_fd >= 0;
	bool group = d->group_fd >= 0 || (v && vfio_dma_group(v, d->group));

	if (device ? !v && d->iommu_fd < 0 : !group || (!v && d->container_fd < 0))
		return err_set(e, ERR_INVALID, "no %s for %s",
			       device ? "iommu_fd" : "group_fd and container_fd, or device_fd,",
			       d->host);
	return 0;
}

int vfio_dma_join(struct board *b, struct vfio_door *d, struct err *e)
{
	int r = vfio_door_check(d, b->vfio, e);
	struct vfio_dma *v;

	if (r >= 0)
		r = vfio_dma_get(b, d, e);
	if (r < 0)
		return r;
	v = b->vfio;
	if (v->iommufd) {
		r = vfio_device_join(b, v, d, e);
	} else {
		r = v->ready ? 0 : vfio_container_check(v, e);
		if (r >= 0)
			r = vfio_group_join(b, v, d, e);
		if (r < 0)
			vfio_group_leave(b, v, d->group);
	}
	if (r < 0)
		vfio_dma_put(b);
	return r;
}

void vfio_dma_leave(struct board *b, const struct vfio_door *d, int take_device_fd)
{
	struct vfio_dma *v = b->vfio;

	if (v->iommufd)
		(void)b->ops->vfio_file(b->arg, take_device_fd, false, NULL);
	close(take_device_fd);
	if (!v->iommufd)
		vfio_group_leave(b, v, d->group);
	vfio_dma_put(b);
}
