// SPDX-License-Identifier: MIT
/* See oom.h; Documentation/admin-guide/cgroup-v2.rst, "memory.events". Any thread. */
#include "vmd/oom.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/fdio.h"

int oom_open(const char *folder)
{
	char path[512];
	int fd;

	if (snprintf(path, sizeof(path), "%s/memory.events", folder) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

uint64_t oom_kills(int fd)
{
	unsigned long long kills;
	const char *line;
	char text[512];
	ssize_t n;

	n = fd < 0 ? 0 : fdio_pread(fd, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	line = strstr(text, "\noom_kill ");
	return line && sscanf(line, "\noom_kill %llu", &kills) == 1 ? kills : 0;
}
