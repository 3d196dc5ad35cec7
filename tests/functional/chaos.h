/* SPDX-License-Identifier: MIT */
/*
 * A world in which vmd fails and everything has to hold nevertheless: a VM 'ticker' in the real vmm that
 * counts on its console (tests/guest/ticks.c), a VM 'one' in a fake one that comes and goes, and a vmd that
 * a test ends, starves and begins again.
 */
#ifndef TESTS_FUNCTIONAL_CHAOS_H
#define TESTS_FUNCTIONAL_CHAOS_H

#include "tests/functional/harness.h"

struct chaos {
	struct harness *h;
	struct client *c;
	int console;   /* the counting guest's */
	char line[32]; /* of it, as far as it has come */
	uint32_t tick; /* the last that was read; 0: none */
	pid_t ticker;  /* its vmm */
	char ticker_id[64];
	unsigned int fds; /* vmd's, while only it runs */
};

/* cmocka's; *state is a struct chaos. w->c is NULL where there is no KVM, or ptrace(2) is not permitted. */
int chaos_setup(void **state);
int chaos_teardown(void **state);
/* Why w->c is NULL. */
const char *chaos_lacks(void);

/* Begin a vmd, with a client. The one before has ended, its client was closed. */
void chaos_begin_vmd(struct chaos *w);
/* vm.apply's parameters for 'one', valid until the next call. */
const char *chaos_definition(struct chaos *w, unsigned int cpus);
/* vm.get; NULL when there is no such VM. Owned. */
struct json_object *chaos_get(struct chaos *w, const char *vm);
/* observed.state */
const char *chaos_state(struct json_object *vm);
/* 'one' as it is once nothing moves any more. */
struct json_object *chaos_settled(struct chaos *w);
/*
 * What holds whenever vmd serves: 'one' is there or not, runs or not; the ticker counts; no orphan, no
 * file or descriptor too many; the database is whole. 'one', owned; NULL when there is none.
 */
struct json_object *chaos_check(struct chaos *w);
/* Bring 'one' from what it is to a state ("none", "stopped", "running", at revision 1). */
void chaos_prepare(struct chaos *w, struct json_object *one, const char *state);
/* The guest has gone on counting, and missed nothing. */
void chaos_ticks_on(struct chaos *w);
/* All events are there, and each vm.state follows from the one before it. */
void chaos_events(struct chaos *w);

#endif
