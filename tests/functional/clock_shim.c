// SPDX-License-Identifier: MIT
/*
 * LD_PRELOAD for a vmd under test: the wall clock is wrong by as many seconds as the file CLOCK_SHIM says
 * at the moment (an int64_t that the test changes). The monotonic clock is as it is.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *clock_shim_map(void)
{
	const char *path = getenv("CLOCK_SHIM");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);

	if (fd >= 0)
		close(fd);
	return map == MAP_FAILED ? NULL : map;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
	static const volatile int64_t *offset;
	int ret = (int)syscall(SYS_clock_gettime, clock, t);

	if (clock != CLOCK_REALTIME || ret < 0)
		return ret;
	if (!offset)
		offset = clock_shim_map();
	if (offset)
		t->tv_sec += *offset;
	return ret;
}
