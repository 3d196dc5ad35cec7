// SPDX-License-Identifier: MIT
/* See iommufd.h. <linux/iommufd.h> of the machine that this is built on may be older, or missing. */
#include "lib/iommufd.h"

#include <errno.h>
#include <linux/types.h>
#include <stdint.h>
#include <sys/ioctl.h>

#define IOMMUFD_OPTION _IO(';', 0x87)
#define IOMMUFD_OPTION_RLIMIT_MODE 0
#define IOMMUFD_OPTION_SET 0

struct iommufd_option {
	uint32_t size;
	uint32_t option_id;
	uint16_t op;
	uint16_t reserved;
	uint32_t object_id;
	uint64_t val64;
};

_Static_assert(sizeof(struct iommufd_option) == 24, "as the kernel has it");

int iommufd_count_by_process(int fd)
{
	struct iommufd_option option = { .size = sizeof(option),
					 .option_id = IOMMUFD_OPTION_RLIMIT_MODE,
					 .op = IOMMUFD_OPTION_SET,
					 .val64 = 1 };

	return ioctl(fd, IOMMUFD_OPTION, &option) < 0 ? -errno : 0;
}
