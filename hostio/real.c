// SPDX-License-Identifier: MIT
/* The kernel itself: see kernel.h. Its rtnetlink is in netlink.c. */
#include "hostio/real.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nvme_ioctl.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "hostio/netlink.h"
#include "lib/auto.h"

#define REAL_NVME_MS 1500 /* the step's deadline is 2 s */

static int real_write(struct kernel *k, const char *path, const char *text, struct err *e)
{
	return hostfs_write(&k->fs, path, text, e);
}

static int real_nvme(struct kernel *k, const char *name, struct kernel_nvme *cmd, struct err *e)
{
	struct nvme_admin_cmd admin = { .opcode = cmd->opcode,
					.cdw10 = cmd->cdw10,
					.cdw11 = cmd->cdw11,
					.addr = (uint64_t)(uintptr_t)cmd->data,
					.data_len = (uint32_t)cmd->size,
					.timeout_ms = REAL_NVME_MS };
	char path[128];
	AUTO_CLOSE int fd = -1;
	int ret;

	snprintf(path, sizeof(path), "dev/%s", name);
	fd = hostfs_open(&k->fs, path, O_RDWR, e);
	if (fd < 0)
		return fd;
	ret = ioctl(fd, NVME_IOCTL_ADMIN_CMD, &admin);
	return ret < 0 ? err_errno(e, "admin command %02xh", cmd->opcode) : ret & 0x7ff;
}

static const struct kernel_ops real_ops = {
	.write = real_write,
	.link = netlink_link,
	.vf_get = netlink_vf_get,
	.vf_macs = netlink_vf_macs,
	.vf_set = netlink_vf_set,
	.nvme = real_nvme,
};

int real_init(struct kernel *k, const char *root, struct err *e)
{
	*k = (struct kernel){ .ops = &real_ops, .root = root };
	return hostfs_init(&k->fs, root, e);
}
