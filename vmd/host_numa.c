// SPDX-License-Identifier: MIT
/* NUMA nodes and their distances: see host_numa.h. Any thread. */
#include "vmd/host_numa.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"

#define HOST_NUMA_DIR "sys/devices/system/node"
#define HOST_NUMA_TEXT 4096

static int host_numa_add(void *arg, const char *name)
{
	struct host_numa *numa = arg;
	unsigned int node;
	char end;

	if (sscanf(name, "node%u%c", &node, &end) == 1 && node < HOST_NUMA_NODES)
		numa->nodes |= BIT64(node);
	return 0;
}

/* "10 21": to each node that is there, in their order. */
static void host_numa_row(const struct hostfs *h, struct host_numa *numa, unsigned int from)
{
	char path[64], text[HOST_NUMA_TEXT], *at = text, *end;

	snprintf(path, sizeof(path), HOST_NUMA_DIR "/node%u/distance", from);
	if (hostfs_read(h, path, text, sizeof(text), NULL) < 0)
		return;
	for (unsigned int to = 0; to < HOST_NUMA_NODES; to++) {
		unsigned long distance;

		if (!(numa->nodes & BIT64(to)))
			continue;
		distance = strtoul(at, &end, 10);
		if (end == at || distance > UINT8_MAX)
			return;
		numa->distance[from][to] = (uint8_t)distance;
		at = end;
	}
}

void host_numa_read(const struct hostfs *h, struct host_numa *ret_numa)
{
	*ret_numa = (struct host_numa){ 0 };
	hostfs_each(h, HOST_NUMA_DIR, host_numa_add, ret_numa, NULL);
	for (unsigned int node = 0; node < HOST_NUMA_NODES; node++)
		if (ret_numa->nodes & BIT64(node))
			host_numa_row(h, ret_numa, node);
}

unsigned int host_numa_distance(const struct host_numa *numa, int from, int to)
{
	if (!numa || from < 0 || to < 0 || from >= HOST_NUMA_NODES || to >= HOST_NUMA_NODES)
		return 0;
	return numa->distance[from][to];
}

int host_numa_check(const struct hostfs *h, unsigned int node, struct err *e)
{
	char path[64], text[HOST_NUMA_TEXT];
	const char *total;
	uint64_t kib;

	snprintf(path, sizeof(path), HOST_NUMA_DIR "/node%u/meminfo", node);
	if (hostfs_read(h, path, text, sizeof(text), NULL) < 0)
		text[0] = '\0';
	total = strstr(text, "MemTotal:");
	if (total && sscanf(total, "MemTotal: %" SCNu64, &kib) == 1 && kib)
		return 0;
	err_set(e, ERR_NUMA_NODE, "the host has no NUMA node %u with memory", node);
	return err_hint(e, "numactl -H, or /" HOST_NUMA_DIR "/has_memory, shows which it has");
}
