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

#endif
