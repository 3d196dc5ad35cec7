/* SPDX-License-Identifier: MIT */
/*
 * Pools of virtual functions: declared (schemas/pool.json), kept in the database, and made on the host: their PFs up,
 * the VFs made without drivers, all of them waited for. What is done to the host goes through the journal, owner
 * "pool:NAME/PF#REVISION", so that it can be taken back; after a reboot of the host it is done again. A PF that no pool
 * names is touched only when somebody asks for it by its address (owner "pf:PF#BOOT-ID", until it is done).
 *
 * The number of VFs of a PF changes only while none of them belongs to a VM or is used by the host. One change at a
 * time; each is a job. On the loop's thread, but for what is read of sysfs, by workers.
 */
#ifndef VMD_POOL_H
#define VMD_POOL_H

#include "lib/json.h"
#include "vmd/pci_choose.h"

struct call;
struct daemon;
struct hostfs;
struct pools;

struct pools *pools_new(struct daemon *d);
/* vmd ends, after hostio_free and leases_close: nobody is called back any more. Accept NULL. */
void pools_close(struct pools *set);
void pools_free(struct pools *set);
/* vmd begins, after the guests: what a vmd before has left half-done, and all pools. */
void pools_start(struct daemon *d);

/* -ERR_POOL_NOT_FOUND. */
int pool_load(struct daemon *d, const char *name, struct pci_pool *ret_pool, struct err *e);
/* Are this PF's VFs being made or removed? */
bool pool_changes(const struct daemon *d, const struct pci_addr *pf);

/* Who uses a VF, the first one that is found; at.domain UINT32_MAX: nobody does. */
struct pool_use {
	struct pci_addr at;
	char text[160];
};
/*
 * Marks (pci_choose.h) of what the host does with the PFs of a pool (NULL: all) and their VFs; marks has one for each function
 * of the inventory. first may be NULL. For a worker.
 */
void pool_look(const struct hostfs *h, const struct pci_inventory *inventory,
	       const struct pci_pool *pool, unsigned char *marks, struct pool_use *first);
/* And of what vmd knows: leases, changes that are under way. */
int pool_mark(struct daemon *d, const struct pci_inventory *inventory, unsigned char *marks,
	      struct err *e);

/* What is asked for; answers the call. dry: says what would be done. */
void pool_apply(struct daemon *d, struct call *call, struct json_object *definition, bool dry);
void pool_delete(struct daemon *d, struct call *call, const char *name, bool dry);
void pool_set_vfs(struct daemon *d, struct call *call, const struct pci_addr *pf, unsigned int vfs,
		  bool dry);

/* Is this pool being made, changed or removed, or about to be? */
bool pool_pending(const struct daemon *d, const char *name);
#define POOL_WAIT_STEPS 2 /* --step-timeout: how long somebody waits for that to end */
/* Embedded in its owner's struct, zeroed. */
struct pool_wait {
	struct pool_wait *next;
	bool waits;
	char name[64];
	void (*done)(
		void *arg); /* once, when the pool is pending no more; never from inside pool_wait */
	void *arg;
};
void pool_wait(struct daemon *d, struct pool_wait *w, const char *name, void (*done)(void *arg),
	       void *arg);
/* Not any more; fine when it does not wait. */
void pool_wait_end(struct daemon *d, struct pool_wait *w);
/* Likewise, as it takes too long: -ERR_POOL_UNREADY. */
int pool_wait_late(struct daemon *d, struct pool_wait *w, struct err *e);

/* "working", "failed" with why in msg (borrowed, until the next change), or "" when nothing is to be told. */
const char *pool_trouble(const struct daemon *d, const char *name, const char **ret_msg);

#endif
