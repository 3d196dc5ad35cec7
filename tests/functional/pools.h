/* SPDX-License-Identifier: MIT */
/* What tests of pools ask and look at, on the host of leases_setup_pools. */
#ifndef TESTS_FUNCTIONAL_POOLS_H
#define TESTS_FUNCTIONAL_POOLS_H

#include "tests/functional/leases.h"

#define PF "0000:10:00.0"
#define FAR "0000:20:00.0" /* on NUMA node 1 */
#define NVME_PF "0000:90:00.0"

/* Parameters of pool.apply; pfs: JSON. Valid until the next call. */
const char *pools_params(const char *name, const char *pfs, int vfs);
void pools_apply(struct leases_world *w, const char *name, const char *pfs, int vfs,
		 const char *result);
void pools_start_vm(struct leases_world *w, const char *name);
void pools_stop_vm(struct leases_world *w, const char *name);
void pools_refuse_start(struct leases_world *w, const char *name, int code, const char *msg,
			const char *hint);
/* VFs, used and free ones of a pool, and its state. */
void pools_expect(struct leases_world *w, const char *name, const char *state, int vfs, int leased,
		  int free);
void pools_expect_pf(struct leases_world *w, const char *pf, int vfs, const char *link);
/* The reason of a VM's n-th lease, from its address on. */
void pools_expect_lease(struct leases_world *w, const char *vm, size_t n, const char *pci,
			const char *reason);

#endif
