/* SPDX-License-Identifier: MIT */
/*
 * From which NUMA node of the host guest memory comes: mbind(2), Documentation/admin-guide/mm/numa_memory_policy.rst.
 * Before the first page is touched, on the control loop.
 */
#ifndef VMM_GMEM_NODE_H
#define VMM_GMEM_NODE_H

#include "vmm/gmem.h"

/* At most so much is taken at once (one page, if those are larger): progress is told in between. */
#define GMEM_TAKE_CHUNK (64 * MIB)

/* The kernel's calls; a unit test has others. -errno. */
struct gmem_sys {
	/* mbind(2) with one node */
	int (*bind)(const struct gmem_sys *sys, void *at, uint64_t len, int mode, uint32_t node,
		    unsigned int flags);
	/* madvise(2), MADV_POPULATE_WRITE (Linux 5.14) */
	int (*populate)(const struct gmem_sys *sys, void *at, uint64_t len);
};
extern const struct gmem_sys gmem_sys_kernel;

/*
 * Pages come from this node as long as it has free ones, and then from others: a guest that is ended for a node's
 * shortage would be worse. GMEM_ANY_NODE: as they come. -ERR_NUMA_NODE.
 */
int gmem_prefer(const struct gmem *g, uint32_t node, struct err *e);

/*
 * All pages are taken now, from this node and no other; tell hears of each piece, in bytes. None is given back later.
 * -ERR_NUMA_MEMORY when the node has not so much: no process is ended for that. -ERR_NUMA_NODE.
 */
int gmem_take(struct gmem *g, uint32_t node, const struct gmem_sys *sys,
	      void (*tell)(void *arg, uint64_t bytes), void *arg, struct err *e);

#endif
