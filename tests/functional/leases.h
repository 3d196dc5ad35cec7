/* SPDX-License-Identifier: MIT */
/*
 * What tests of devices in VMs begin with and look at: a vmd on a simulated host (simhost.h) with a fake vmm, what the host
 * and the database are to be at the end, and a vmd that is killed at its n-th step (crash.h).
 */
#ifndef TESTS_FUNCTIONAL_LEASES_H
#define TESTS_FUNCTIONAL_LEASES_H

#include "tests/functional/harness.h"
#include "tests/functional/simhost.h"

#define VF "0000:10:10.1"
#define NVME "0000:90:00.2"
#define LEASES_VFS 4

struct leases_world {
	struct harness *h;
	struct client *c; /* NULL where there is no KVM */
	char before[SIMHOST_SNAPSHOT], after[SIMHOST_SNAPSHOT];
	char made[LEASES_VFS + 1][SIMHOST_SNAPSHOT]; /* a test's own: with so many VFs */
	int64_t journal; /* rows that are there while nothing is lent: a pool's */
};

/* cmocka's: simhost_make's host with VM 'one', which is to have VF and NVME, and 'two' with VF. */
int leases_setup(void **state);
/* The same with a host of two PFs that can have so many VFs and have none, and no VM. */
int leases_setup_pools(void **state, const char *vfs);
int leases_teardown(void **state);

/* A mode of fake_vmm.c, and a --step-timeout. */
void leases_begin_vmd(struct leases_world *w, const char *fake, const char *timeout);
void leases_end_vmd(struct leases_world *w, int signal);
/* A VM with these devices of the host; NULL: one fewer. */
void leases_define(struct leases_world *w, const char *name, const char *first, const char *second);
/* A VM with this passthrough, JSON without the brackets around. */
void leases_define_passthrough(struct leases_world *w, const char *name, const char *passthrough);

/* A device's lease, owned, or NULL. */
struct json_object *leases_find(struct leases_world *w, const char *pci);
void leases_expect(struct leases_world *w, const char *pci, const char *vm, const char *state);
/* Everything is back: the host is as w->before, and there is no row that says otherwise. */
void leases_expect_clean(struct leases_world *w);
/* VM 'one' has both of its devices. */
void leases_expect_taken(struct leases_world *w);
/* The error's code, and what its message has in it. */
void leases_expect_error(struct leases_world *w, const char *method, const char *params, int code,
			 const char *part);

/* Ask, and let vmd come to its n-th step or to the answer. True: it was killed, and another has begun. */
bool leases_ask_and_die(struct leases_world *w, const char *method, const char *params,
			unsigned int n);
/* What the VM is once nothing moves any more: "running", or "stopped". Valid until the next call. */
const char *leases_settled(struct leases_world *w, const char *vm);
/* No job runs, and no pool is being made. */
void leases_wait_idle(struct leases_world *w);

#endif
