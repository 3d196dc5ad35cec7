/* SPDX-License-Identifier: MIT */
/* Between vmd/lease*.c. */
#ifndef VMD_LEASE_PRIV_H
#define VMD_LEASE_PRIV_H

#include <uv.h>
#include "vmd/daemon.h"
#include "vmd/hostio.h"
#include "vmd/journal.h"
#include "vmd/lease.h"
#include "vmd/pool.h"

/* Leases on their way back: of a VM, or one. */
struct lease_back {
	struct lease_back *next;
	struct leases *set;
	char vm[STATE_ID_SIZE];	  /* whose; of one: "" */
	struct state_lease lease; /* the one that is given back now */
	int64_t below;		  /* those of this generation and above are through */
	bool again;		  /* it was in quarantine, and stays there if that fails */
	uv_timer_t timer;	  /* to the next, or to try again what could not be written */
	uv_work_t work;
	bool working, closing;
	struct pci_inventory inventory; /* owned: after a reboot */
	struct json_object *steps;	/* owned: likewise; or a step that is not of the journal */
	size_t at;
	void (*done)(void *arg, const struct err *why);
	void (*all_done)(void *arg);
	void *arg;
};

struct leases {
	struct daemon *d;
	struct journal *journal;  /* owned */
	struct lease_take *takes; /* owned */
	struct lease_back *backs; /* owned */
	bool closing;
};

/* One start's devices on their way. */
struct lease_take {
	struct lease_take *next;
	struct leases *set;
	char vm[STATE_ID_SIZE], name[64];
	bool dry;
	struct lease_wants wants; /* owned */
	size_t at;		  /* the one that is looked at, or changed */
	uv_work_t work;
	bool working;			/* a worker has it */
	struct pci_inventory inventory; /* owned, once it was read */
	unsigned char *marks;		/* owned: of its functions (pool.h) */
	struct host_numa numa;
	int ret; /* the worker's */
	struct err err;
	struct json_object *step; /* owned: what a helper is asked */
	size_t scan_at;		  /* the function of the inventory whose MAC is looked at */
	void (*done)(void *arg, struct lease_take *t, const struct err *why);
	void *arg;
};

/*
 * lease_reserve.c: the rows of all that t wants, in one transaction; dry: it is rolled back. Devices of a pool are
 * chosen here. -ERR_LEASE_*, and nothing was written.
 */
int lease_reserve(struct lease_take *t, struct err *e);
/* Another function of the inventory with the same IOMMU group that counts (a bridge does not), after *at; NULL. */
const struct pci_function *lease_neighbour(const struct pci_inventory *inventory,
					   const struct pci_function *f, size_t *at);
void lease_take_free(struct lease_take *t);
/* No more callbacks; freed by the loop. */
void lease_back_close(struct lease_back *b);
void lease_owner(const struct state_lease *lease, char out[static JOURNAL_OWNER_SIZE]);

#endif
