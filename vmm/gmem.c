// SPDX-License-Identifier: MIT
/*
 * Guest memory: see gmem.h. One anonymous mapping; RAM below 3 GiB and, what does not fit there, from
 * 4 GiB on. Any thread reads it without a lock: nothing changes after gmem_init.
 */
#include "vmm/gmem.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "lib/errcat.h"

#define GMEM_PAGE 4096ull
#define GMEM_HUGE (2 * MIB)

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

static int gmem_map_flags(uint64_t hugepage_size)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;

	if (hugepage_size == GIB)
		return flags | MAP_HUGETLB | (30 << MAP_HUGE_SHIFT);
	if (hugepage_size)
		return flags | MAP_HUGETLB | (21 << MAP_HUGE_SHIFT);
	return flags | MAP_NORESERVE;
}

/*
 * Huge pages of the pool are reserved by the mapping, which is aligned to them: a shortage shows here. Transparent ones
 * come where the addresses of host and guest are both multiples of their size.
 */
static void *gmem_map(uint64_t size, uint64_t hugepage_size)
{
	uint64_t room = hugepage_size ? size : size + GMEM_HUGE, skip;
	uint8_t *map =
		mmap(NULL, room, PROT_READ | PROT_WRITE, gmem_map_flags(hugepage_size), -1, 0);

	if (map == MAP_FAILED || hugepage_size)
		return map;
	skip = -(uintptr_t)map % GMEM_HUGE;
	if (skip)
		munmap(map, skip);
	munmap(map + skip + size, GMEM_HUGE - skip);
	return map + skip;
}

/*
 * Transparent ones, but for the first: clearing 2 MiB is a tenth of the time that a start takes and more where caches
 * are shared, every start writes there, and a guest uses only some of those pages.
 */
static void gmem_advise(uint8_t *base, uint64_t size)
{
	uint64_t low = MIN(size, GMEM_HUGE);

	madvise(base, low, MADV_NOHUGEPAGE);
	if (size > low)
		madvise(base + low, size - low, MADV_HUGEPAGE);
}

int gmem_init(struct gmem *g, uint64_t size, uint64_t hugepage_size, struct err *e)
{
	int r = gmem_check_size(size, hugepage_size, e);
	uint8_t *base;

	if (r < 0)
		return r;
	base = gmem_map(size, hugepage_size);
	if (base == MAP_FAILED && errno == ENOMEM)
		return gmem_shortage(size, hugepage_size, e);
	if (base == MAP_FAILED)
		return err_errno(e, "cannot map %.1f GiB of guest memory", gmem_gib(size));
	if (!hugepage_size)
		gmem_advise(base, size);
	/* a core dump of the monitor is not the place for the guest's secrets */
	madvise(base, size, MADV_DONTDUMP);
	*g = (struct gmem){ .base = base, .size = size, .mapped = true };
	pthread_mutex_init(&g->lock, NULL);
	/* a page that went back to the pool may be another's when the guest wants it again: SIGBUS */
	g->huge = hugepage_size > 0;
	g->page = hugepage_size ? hugepage_size : GMEM_PAGE;
	gmem_layout(g);
	return 0;
}

void gmem_init_buffer(struct gmem *g, void *buffer, uint64_t size)
{
	*g = (struct gmem){ .base = buffer, .size = size };
	pthread_mutex_init(&g->lock, NULL);
	g->regions[0] = (struct gmem_region){ .gpa = 0, .size = size, .offset = 0 };
	g->nregions = 1;
}

void gmem_fini(struct gmem *g)
{
	if (!g)
		return;
	if (g->mapped)
		munmap(g->base, g->size);
	if (g->base)
		pthread_mutex_destroy(&g->lock);
	*g = (struct gmem){ 0 };
}

struct gmem_window gmem_pci32(const struct gmem *g, bool ecam)
{
	uint64_t base = MAX(g->regions[0].size, 2 * GIB);

	if (ecam)
		return (struct gmem_window){ .base = GMEM_PCI_MMIO_START,
					     .size = GMEM_PCI_MMIO_SIZE };
	return (struct gmem_window){ .base = base, .size = GMEM_IOAPIC_BASE - base };
}

struct gmem_window gmem_pci64(const struct gmem *g, unsigned int phys_bits)
{
	/* what four levels of the host's page tables reach */
	uint64_t limit = 1ull << MIN(phys_bits, 48u), end = GMEM_HOLE_END;

	for (unsigned int i = 0; i < g->nregions; i++)
		end = MAX(end, g->regions[i].gpa + g->regions[i].size);
	for (uint64_t size = MIN(limit / 2, GMEM_PCI64_MAX); size >= GMEM_PCI64_MIN; size /= 2) {
		uint64_t base = align_up(end, size);

		if (base < limit) /* with its end: both are multiples of size */
			return (struct gmem_window){ .base = base, .size = size };
	}
	return (struct gmem_window){ 0 };
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

void gmem_keep(struct gmem *g, bool keep)
{
	pthread_mutex_lock(&g->lock);
	assert(keep || g->kept);
	g->kept = keep ? g->kept + 1 : g->kept - 1;
	pthread_mutex_unlock(&g->lock);
}

/* Under lock: a device that comes to a running VM pins pages while others are given back. */
static int gmem_drop(const struct gmem *g, uint8_t *p, uint64_t len)
{
	if (g->huge || g->kept)
		return -EBUSY;
	if (!g->mapped)
		memset(p, 0, len);
	else if (len && madvise(p, len, MADV_DONTNEED))
		return -errno;
	return 0;
}

int gmem_discard(struct gmem *g, void *p, uint64_t len)
{
	uint64_t off = (uint64_t)((uint8_t *)p - g->base), skip = -off % GMEM_PAGE;
	int r;

	assert(range_fits(off, len, g->size));
	len = len > skip ? align_down(len - skip, GMEM_PAGE) : 0;
	pthread_mutex_lock(&g->lock);
	r = gmem_drop(g, (uint8_t *)p + skip, len);
	pthread_mutex_unlock(&g->lock);
	return r;
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
