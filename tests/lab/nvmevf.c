// SPDX-License-Identifier: MIT
/*
 * Gives virtual functions of an NVMe controller their queues and interrupts and sets them online: NVM Express Base
 * 2.0, section 5.26 (Virtualization Management). Usage: nvmevf /dev/nvme0 CONTROLLER...
 */
#include <fcntl.h>
#include <linux/nvme_ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define NVMEVF_OPCODE 0x1c
#define NVMEVF_OFFLINE 7u
#define NVMEVF_ASSIGN 8u
#define NVMEVF_ONLINE 9u

static int nvmevf_do(int fd, unsigned int controller, unsigned int action, unsigned int resource,
		     unsigned int count)
{
	struct nvme_admin_cmd cmd = {
		.opcode = NVMEVF_OPCODE,
		.cdw10 = controller << 16 | resource << 8 | action,
		.cdw11 = count,
	};
	int r = ioctl(fd, NVME_IOCTL_ADMIN_CMD, &cmd);

	if (r)
		fprintf(stderr, "nvmevf: controller %u, action %u: %s %#x\n", controller, action,
			r < 0 ? "error" : "status", r);
	return r ? -1 : 0;
}

static int nvmevf_up(int fd, unsigned int controller)
{
	if (nvmevf_do(fd, controller, NVMEVF_OFFLINE, 0, 0) ||
	    nvmevf_do(fd, controller, NVMEVF_ASSIGN, 1, 2) ||
	    nvmevf_do(fd, controller, NVMEVF_ASSIGN, 0, 2))
		return -1;
	return nvmevf_do(fd, controller, NVMEVF_ONLINE, 0, 0);
}

int main(int argc, char **argv)
{
	int fd;

	if (argc < 3) {
		fputs("usage: nvmevf DEVICE CONTROLLER...\n", stderr);
		return EXIT_FAILURE;
	}
	fd = open(argv[1], O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		perror(argv[1]);
		return EXIT_FAILURE;
	}
	for (int i = 2; i < argc; i++)
		if (nvmevf_up(fd, (unsigned int)strtoul(argv[i], NULL, 10)))
			return EXIT_FAILURE;
	return EXIT_SUCCESS;
}
