// SPDX-License-Identifier: MIT
/*
 * Guest memory: see gmem.h. One memfd, one shared mapping; RAM below 3 GiB and, what does not fit there,
 * from 4 GiB on. Any thread reads it without a lock: nothing changes after gmem_init.
 */
#include "vmm/gmem.h"

#include <errno.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"

#define GMEM_PAGE 4096ull

static double gmem_gib(uint64_t bytes)
{
	return (double)bytes / (double)GIB;
}

/* By numbers that are to be had inside of the cage, where /proc and /sys are not. */
static int gmem_shortage(uint64_t size, uint64_t hugepage_size, struct err *e)
{
	struct sysinfo si = { 0 };

	sysinfo(&si);
	if (!hugepage_size)
		return err_set(e, ERR_MEMORY,
			       "the VM wants %.1f GiB of memory, the host has %.1f GiB free",
			       gmem_gib(size), gmem_gib((uint64_t)si.freeram * si.mem_unit));
	err_set(e, ERR_MEMORY, "the VM wants %llu huge pages of %llu MiB, the host has fewer free",
		(unsigned long long)(size / hugepage_size),
		(unsigned long long)(hugepage_size / MIB));
	return err_hint(e, "raise nr_hugepages in /sys/kernel/mm/hugepages/hugepages-%llukB",
			(unsigned long long)(hugepage_size / KIB));
}

static int gmem_check_size(uint64_t size, uint64_t hugepage_size, struct err *e)
{
	uint64_t page = hugepage_size ? hugepage_size : GMEM_PAGE;
	struct sysinfo si;
	uint64_t total;

	if (hugepage_size && hugepage_size != 2 * MIB && hugepage_size != GIB)
		return err_set(e, EINVAL, "huge pages are of 2 MiB or 1 GiB");
	if (!size || size % page)
		return err_set(e, EINVAL, "memory of %llu bytes is not a multiple of %llu",
			       (unsigned long long)size, (unsigned long long)page);
	if (sysinfo(&si))
		return err_errno(e, "cannot ask for the host's memory");
	total = (uint64_t)si.totalram * si.mem_unit;
	if (size > total)
		return err_set(e, ERR_MEMORY,
			       "the VM wants %.1f GiB of memory, the host has %.1f GiB",
			       gmem_gib(size), gmem_gib(total));
	return 0;
}

static void gmem_layout(struct gmem *g)
{
	uint64_t low = MIN(g->size, GMEM_HOLE_START);

	g->regions[0] = (struct gmem_region){ .gpa = 0, .size = low, .offset = 0 };
	g->nregions = 1;
	if (g->size == low)
		return;
	g->regions[1] =
		(struct gmem_region){ .gpa = GMEM_HOLE_END, .size = g->size - low, .offset = low };
	g->nregions = 2;
}

static unsigned int gmem_memfd_flags(uint64_t hugepage_size)
{
	if (hugepage_size == GIB)
		return MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_1GB;
	if (hugepage_size)
		return MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB;
	return MFD_CLOEXEC;
}

int gmem_init(struct gmem *g, uint64_t size, uint64_t hugepage_size, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	void *base;
	int r = gmem_check_size(size, hugepage_size, e);

	if (r < 0)
		return r;
	fd = memfd_create("guest-memory", gmem_memfd_flags(hugepage_size));
	if (fd < 0)
		return err_errno(e, "cannot make guest memory");
	if (ftruncate(fd, (off_t)size))
		return err_errno(e, "cannot make %.1f GiB of guest memory", gmem_gib(size));
	/* a shared mapping of huge pages reserves them: a shortage shows here */
	base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED && errno == ENOMEM)
		return gmem_shortage(size, hugepage_size, e);
	if (base == MAP_FAILED)
		return err_errno(e, "cannot map %.1f GiB of guest memory", gmem_gib(size));
	/* a core dump of the monitor is not the place for the guest's secrets */
	madvise(base, size, MADV_DONTDUMP);
	*g = (struct gmem){ .memfd = TAKE_FD(fd), .base = base, .size = size };
	gmem_layout(g);
	return 0;
}

void gmem_init_buffer(struct gmem *g, void *buffer, uint64_t size)
{
	*g = (struct gmem){ .memfd = -1, .base = buffer, .size = size };
	g->regions[0] = (struct gmem_region){ .gpa = 0, .size = size, .offset = 0 };
	g->nregions = 1;
}

void gmem_fini(struct gmem *g)
{
	if (!g || !g->base)
		return;
	if (g->memfd >= 0) {
		munmap(g->base, g->size);
		close(g->memfd);
	}
	*g = (struct gmem){ .memfd = -1 };
}

void *gmem_ptr(const struct gmem *g, uint64_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < g->nregions; i++) {
		const struct gmem_region *r = &g->regions[i];

		if (gpa >= r->gpa && range_fits(gpa - r->gpa, len, r->size))
			return g->base + r->offset + (gpa - r->gpa);
	}
	return NULL;
}

int gmem_read(const struct gmem *g, uint64_t gpa, void *data, size_t len)
{
	const void *p = gmem_ptr(g, gpa, len);

	if (!p)
		return -EFAULT;
	memcpy(data, p, len);
	return 0;
}

int gmem_write(const struct gmem *g, uint64_t gpa, const void *data, size_t len)
{
	void *p = gmem_ptr(g, gpa, len);

	if (!p)
		return -EFAULT;
	memcpy(p, data, len);
	return 0;
}
