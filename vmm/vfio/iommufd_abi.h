/* SPDX-License-Identifier: MIT */
/*
 * What this program needs of <linux/iommufd.h> (Linux 6.2) and of the newer <linux/vfio.h> (Linux 6.6): the
 * headers that it is built with may be older than the kernel that it runs on.
 */
#ifndef VMM_VFIO_IOMMUFD_ABI_H
#define VMM_VFIO_IOMMUFD_ABI_H

#include <linux/types.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>

#define IOMMUFD_ABI_IOAS_ALLOC _IO(';', 0x81)
#define IOMMUFD_ABI_IOAS_MAP _IO(';', 0x85)
#define IOMMUFD_ABI_MAP_FIXED_IOVA 1u
#define IOMMUFD_ABI_MAP_WRITEABLE 2u
#define IOMMUFD_ABI_MAP_READABLE 4u

struct iommufd_abi_ioas_alloc {
	__u32 size;
	__u32 flags;
	__u32 out_ioas_id;
};

struct iommufd_abi_ioas_map {
	__u32 size;
	__u32 flags;
	__u32 ioas_id;
	__u32 reserved;
	__u64 user_va;
	__u64 length;
	__u64 iova;
};

/* of struct vfio_pci_hot_reset_info (Linux 6.5) */
#define VFIO_ABI_HOT_RESET_DEV_ID_OWNED 2u

#define IOMMUFD_ABI_DEVICE_BIND _IO(VFIO_TYPE, VFIO_BASE + 18)
#define IOMMUFD_ABI_DEVICE_ATTACH _IO(VFIO_TYPE, VFIO_BASE + 19)

struct iommufd_abi_device_bind {
	__u32 argsz;
	__u32 flags;
	__s32 iommufd;
	__u32 out_devid;
};

struct iommufd_abi_device_attach {
	__u32 argsz;
	__u32 flags;
	__u32 pt_id;
};

#endif
