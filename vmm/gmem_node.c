// SPDX-License-Identifier: MIT
/*
 * NUMA nodes of guest memory: see gmem_node.h. Control loop.
 *
 * To bind ordinary memory first and touch it then would have the kernel end processes, and not always this one, when
 * the node has no more. So a piece is touched while the node is only preferred, and moved to it: the kernel makes room
 * for that as for any other allocation (it drops caches), and says so when it cannot.
 */
#include "vmm/gmem_node.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "lib/json.h"

#define GMEM_LONG_BITS (8 * sizeof(unsigned long))

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* mbind(2), which the C library leaves to libnuma. It counts the bits of the mask and one more. */
static int gmem_sys_bind(const struct gmem_sys *sys, void *at, uint64_t len, int mode,
			 uint32_t node, unsigned int flags)
{
	unsigned long mask[GMEM_NODES / GMEM_LONG_BITS] = { 0 };

	(void)sys;
	if (node >= GMEM_NODES)
		return -EINVAL;
	mask[node / GMEM_LONG_BITS] = 1ul << node % GMEM_LONG_BITS;
	return syscall(SYS_mbind, at, len, mode, mask, GMEM_NODES + 1ul, flags) ? -errno : 0;
}

static int gmem_sys_populate(const struct gmem_sys *sys, void *at, uint64_t len)
{
	int r;

	(void)sys;
	do
		r = madvise(at, len, MADV_POPULATE_WRITE) ? -errno : 0;
	while (r == -EINTR || r == -EAGAIN);
	return r;
}

const struct gmem_sys gmem_sys_kernel = {
	.bind = gmem_sys_bind,
	.populate = gmem_sys_populate,
};

static int gmem_no_node(uint32_t node, int ret, struct err *e)
{
	if (ret != -EINVAL && ret != -ENOSYS) {
		errno = -ret;
		return err_errno(e, "cannot take memory of NUMA node %u", node);
	}
	err_set(e, ERR_NUMA_NODE, "the host has no NUMA node %u with memory", node);
	return err_hint(e,
			"numactl -H, or /sys/devices/system/node/has_memory, shows which it has");
}

int gmem_prefer(const struct gmem *g, uint32_t node, struct err *e)
{
	int r = 0;

	if (node != GMEM_ANY_NODE)
		r = gmem_sys_bind(&gmem_sys_kernel, g->base, g->size, MPOL_PREFERRED, node, 0);
	return r < 0 ? gmem_no_node(node, r, e) : 0;
}

static int gmem_node_shortage(const struct gmem *g, uint32_t node, uint64_t taken, struct err *e)
{
	char got[32], size[32];

	json_size_format(taken, got, sizeof(got));
	json_size_format(g->size, size, sizeof(size));
	err_set(e, ERR_NUMA_MEMORY, "NUMA node %u gives %s of %s for the VM, which wants %s", node,
		got, g->huge ? "huge pages" : "memory", size);
	if (g->huge)
		return err_hint(e,
				"raise nr_hugepages in /sys/devices/system/node/node%u/hugepages; "
				"memory: {policy: prefer} takes those of other nodes too",
				node);
	return err_hint(e, "numactl -H shows what is free where; memory: {policy: prefer} takes "
			   "memory of other nodes too");
}

/* Huge pages are of a pool, which nobody is ended for: a node that has none left is an error. */
static int gmem_take_piece(const struct gmem *g, uint32_t node, const struct gmem_sys *sys,
			   uint8_t *at, uint64_t len)
{
	int r = sys->populate(sys, at, len);

	if (r < 0 || g->huge)
		return r;
	return sys->bind(sys, at, len, MPOL_BIND, node, MPOL_MF_MOVE | MPOL_MF_STRICT);
}

static int gmem_take_refused(const struct gmem *g, uint32_t node, uint64_t taken, int ret,
			     struct err *e)
{
	if (ret == -EIO || ret == -ENOMEM || ret == -EFAULT)
		return gmem_node_shortage(g, node, taken, e);
	if (ret == -EINVAL)
		return err_set(e, ERR_NUMA_NODE,
			       "the kernel cannot take memory in advance (Linux 5.14 can)");
	errno = -ret;
	return err_errno(e, "cannot take memory of NUMA node %u", node);
}

int gmem_take(struct gmem *g, uint32_t node, const struct gmem_sys *sys,
	      void (*tell)(void *arg, uint64_t bytes), void *arg, struct err *e)
{
	uint64_t chunk = g->huge ? MAX(GMEM_TAKE_CHUNK, g->page) : GMEM_TAKE_CHUNK;
	int r = sys->bind(sys, g->base, g->size, g->huge ? MPOL_BIND : MPOL_PREFERRED, node, 0);

	if (r < 0)
		return gmem_no_node(node, r, e);
	for (uint64_t at = 0; at < g->size; at += chunk) {
		uint64_t len = MIN(chunk, g->size - at);

		r = gmem_take_piece(g, node, sys, g->base + at, len);
		if (r < 0)
			return gmem_take_refused(g, node, at, r, e);
		tell(arg, len);
	}
	/* a page that was swapped out may come back to another node: better than that nobody has room for it */
	if (!g->huge)
		r = sys->bind(sys, g->base, g->size, MPOL_PREFERRED, node, 0);
	if (r < 0)
		return gmem_no_node(node, r, e);
	gmem_keep(g, true);
	return 0;
}
