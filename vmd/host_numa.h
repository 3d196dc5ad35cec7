/* SPDX-License-Identifier: MIT */
/*
 * The host's NUMA nodes as sysfs shows them (Documentation/ABI/stable/sysfs-devices-node): which there are, and how far
 * apart. A snapshot; reads files, so a worker does it.
 */
#ifndef VMD_HOST_NUMA_H
#define VMD_HOST_NUMA_H

#include "lib/hostfs.h"

#define HOST_NUMA_NODES 64 /* distances of those beyond are not known */

struct host_numa {
	uint64_t nodes;					    /* a bit for each */
	uint8_t distance[HOST_NUMA_NODES][HOST_NUMA_NODES]; /* 10: the same; 0: not known */
};

/* A host without NUMA, or one that does not tell, has no nodes. */
void host_numa_read(const struct hostfs *h, struct host_numa *ret_numa);
/* As the firmware's table (ACPI SLIT) has it; 0: not known. numa may be NULL. */
unsigned int host_numa_distance(const struct host_numa *numa, int from, int to);
/* -ERR_NUMA_NODE when the host has no such node, or it has no memory. */
int host_numa_check(const struct hostfs *h, unsigned int node, struct err *e);
/*
 * Bytes that a VM could get of that node now: what is free, and what the kernel keeps files in; or its free huge pages of
 * that size. A node that does not tell has UINT64_MAX: who takes it will see.
 */
uint64_t host_numa_room(const struct hostfs *h, unsigned int node, uint64_t hugepage_size);
/* -ERR_NUMA_MEMORY when that is less than size; ret_room is filled in either case. */
int host_numa_fits(const struct hostfs *h, unsigned int node, uint64_t size, uint64_t hugepage_size,
		   uint64_t *ret_room, struct err *e);

#endif
