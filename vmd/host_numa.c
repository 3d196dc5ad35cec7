// SPDX-License-Identifier: MIT
/* NUMA nodes and their distances: see host_numa.h. Any thread. */
#include "vmd/host_numa.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"
#include "lib/json.h"

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

/* "Node 1 MemFree:  1234 kB" of its meminfo: bytes. */
static bool host_numa_amount(const char *text, const char *what, uint64_t *ret_bytes)
{
	const char *at = strstr(text, what);
	uint64_t kib;

	if (!at || sscanf(at + strlen(what), ": %" SCNu64, &kib) != 1 || kib > UINT64_MAX / KIB / 8)
		return false;
	*ret_bytes = kib * KIB;
	return true;
}

static void host_numa_meminfo(const struct hostfs *h, unsigned int node, char *text, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), HOST_NUMA_DIR "/node%u/meminfo", node);
	if (hostfs_read(h, path, text, size, NULL) < 0)
		text[0] = '\0';
}

static uint64_t host_numa_pages(const struct hostfs *h, unsigned int node, uint64_t size)
{
	char path[128], text[32];
	uint64_t n;

	snprintf(path, sizeof(path),
		 HOST_NUMA_DIR "/node%u/hugepages/hugepages-%llukB/free_hugepages", node,
		 (unsigned long long)(size / KIB));
	if (hostfs_read(h, path, text, sizeof(text), NULL) < 0 ||
	    sscanf(text, "%" SCNu64, &n) != 1 || n > UINT64_MAX / size)
		return UINT64_MAX;
	return n * size;
}

uint64_t host_numa_room(const struct hostfs *h, unsigned int node, uint64_t hugepage_size)
{
	static const char *const reclaimable[] = { "Active(file)", "Inactive(file)",
						   "SReclaimable" };
	char text[HOST_NUMA_TEXT];
	uint64_t room, more;

	if (hugepage_size)
		return host_numa_pages(h, node, hugepage_size);
	host_numa_meminfo(h, node, text, sizeof(text));
	if (!host_numa_amount(text, "MemFree", &room))
		return UINT64_MAX;
	for (size_t i = 0; i < ARRAY_SIZE(reclaimable); i++)
		if (host_numa_amount(text, reclaimable[i], &more))
			room += more;
	return room;
}

int host_numa_fits(const struct hostfs *h, unsigned int node, uint64_t size, uint64_t hugepage_size,
		   uint64_t *ret_room, struct err *e)
{
	char has[32], wants[32];

	*ret_room = host_numa_room(h, node, hugepage_size);
	if (size <= *ret_room)
		return 0;
	json_size_format(align_down(*ret_room, MIB), has, sizeof(has));
	json_size_format(size, wants, sizeof(wants));
	err_set(e, ERR_NUMA_MEMORY, "NUMA node %u has %s of %s for the VM, which wants %s", node,
		has, hugepage_size ? "huge pages" : "memory", wants);
	if (hugepage_size)
		return err_hint(e,
				"raise nr_hugepages in /" HOST_NUMA_DIR
				"/node%u/hugepages/hugepages-%llukB; "
				"memory: {policy: prefer} takes those of other nodes too",
				node, (unsigned long long)(hugepage_size / KIB));
	return err_hint(e, "numactl -H shows what is free where; memory: {policy: prefer} takes "
			   "memory of other nodes too");
}

int host_numa_check(const struct hostfs *h, unsigned int node, struct err *e)
{
	char text[HOST_NUMA_TEXT];
	uint64_t total;

	host_numa_meminfo(h, node, text, sizeof(text));
	if (host_numa_amount(text, "MemTotal", &total) && total)
		return 0;
	err_set(e, ERR_NUMA_NODE, "the host has no NUMA node %u with memory", node);
	return err_hint(e, "numactl -H, or /" HOST_NUMA_DIR "/has_memory, shows which it has");
}
