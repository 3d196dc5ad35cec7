/* SPDX-License-Identifier: MIT */
/*
 * /dev/iommu (Linux 6.2): what who opens it for another does with it, before anything else is. Any thread.
 */
#ifndef LIB_IOMMUFD_H
#define LIB_IOMMUFD_H

/*
 * What is pinned by fd counts against the limit on locked memory of the process that pins it (IOMMU_OPTION_RLIMIT_MODE of
 * <linux/iommufd.h>), as it does with VFIO's containers; the kernel's default is the sum of all that its user's processes
 * have, against the limit of the one. 0; -EPERM: only CAP_SYS_RESOURCE may; -EBUSY: fd is in use already; -ENOTTY: fd is none.
 */
int iommufd_count_by_process(int fd);

#endif
