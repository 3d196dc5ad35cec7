/* SPDX-License-Identifier: MIT */
/*
 * What the passed-through functions of a VM share: one IOMMU address space in which all of the guest's memory
 * stands at its guest addresses, pinned. By a container and groups (type1v2), or by iommufd where the devices
 * came as their own descriptors. board.vfio is it: made by the first device, gone with the last one.
 * Linux Documentation/driver-api/vfio.rst, Documentation/userspace-api/iommufd.rst. Under machine.lock, on the
 * control loop.
 */
#ifndef VMM_VFIO_DMA_H
#define VMM_VFIO_DMA_H

#include "lib/err.h"
#include "vmm/board.h"
#include "vmm/vfio/sys.h"

#define VFIO_GROUPS_MAX 32
/* At most so much is pinned by one call: progress is told in between. */
#define VFIO_DMA_CHUNK (256 * MIB)

struct vfio_pci;

struct vfio_group {
	uint32_t number;
	int fd; /* owned */
	unsigned int users;
};

struct vfio_dma {
	const struct vfio_sys *sys;
	bool iommufd;
	int fd;	       /* owned: the container, or /dev/iommu */
	uint32_t ioas; /* iommufd: the address space */
	bool ready;    /* the guest's memory is in it */
	bool kept;     /* gmem_keep */
	unsigned int users;
	struct vfio_pci *members; /* borrowed: those that are there as a whole */
	struct vfio_group groups[VFIO_GROUPS_MAX];
	unsigned int ngroups;
};

/*
 * How one function is reached: device_fd and iommu_fd, or group_fd and container_fd; the others are -1. So is group_fd, if
 * the VM has the group by another function: it opens once.
 */
struct vfio_door {
	const char *host; /* "0000:3b:00.0"; borrowed */
	uint32_t group;
	int group_fd, container_fd;
	int device_fd, iommu_fd;
};

/*
 * Make the function a part of the VM: its descriptor, from now on the caller's, for vfio_dma_leave. Descriptors
 * that are taken over become -1 in d; the others are left to the caller. -ERR_VFIO_GROUP, -ERR_VFIO_PINNING,
 * -ERR_VFIO
 */
int vfio_dma_join(struct board *b, struct vfio_door *d, struct err *e);
void vfio_dma_leave(struct board *b, const struct vfio_door *d, int take_device_fd);

/* What all of the guest's memory is pinned for: a device's id; NULL: nothing. */
const char *vfio_dma_pinned_for(const struct board *b);

/* The group of that number, if the VM has it. */
const struct vfio_group *vfio_dma_group(const struct vfio_dma *v, uint32_t number);

/* Are there others, that memory of a device can be mapped for? iommufd maps none (Linux 6.12). */
bool vfio_dma_shares(const struct board *b);
/*
 * Memory of one device at its guest address, for the DMA of the VM's others. The same range back. -errno: they do
 * not reach it then. Any thread.
 */
int vfio_dma_share(struct board *b, uint64_t gpa, uint64_t size, void *host);
void vfio_dma_unshare(struct board *b, uint64_t gpa, uint64_t size);

/* The calls of board b. */
const struct vfio_sys *vfio_sys_of(const struct board *b);

#endif
