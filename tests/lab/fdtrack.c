// SPDX-License-Identifier: MIT
/*
 * Formats one track of a floppy disk by the kernel's driver, as fdformat does all: linux/fd.h. Usage:
 * fdtrack /dev/fd0 TRACK HEAD
 */
#include <fcntl.h>
#include <linux/fd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

static int fdtrack_do(int fd, unsigned long request, void *arg, const char *what)
{
	if (ioctl(fd, request, arg) >= 0)
		return 0;
	perror(what);
	return -1;
}

int main(int argc, char **argv)
{
	struct format_descr track = { 0 };
	int fd;

	if (argc != 4) {
		fprintf(stderr, "usage: fdtrack DEVICE TRACK HEAD\n");
		return 2;
	}
	track.track = (unsigned int)strtoul(argv[2], NULL, 10);
	track.head = (unsigned int)strtoul(argv[3], NULL, 10);
	fd = open(argv[1], O_RDWR);
	if (fd < 0) {
		perror(argv[1]);
		return 1;
	}
	return fdtrack_do(fd, FDFMTBEG, NULL, "FDFMTBEG") ||
	       fdtrack_do(fd, FDFMTTRK, &track, "FDFMTTRK") ||
	       fdtrack_do(fd, FDFMTEND, NULL, "FDFMTEND");
}
