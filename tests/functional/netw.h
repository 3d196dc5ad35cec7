/* SPDX-License-Identifier: MIT */
/*
 * What tests of network cards begin with: a network namespace with a bridge br0 (MTU 1600), a vmd with the real vmm in it,
 * VMs whose guest deals with devices that come and go.
 */
#ifndef TESTS_FUNCTIONAL_NETW_H
#define TESTS_FUNCTIONAL_NETW_H

#include "tests/functional/netns.h"
#include "tests/functional/scene.h"

struct netw {
	struct harness *h; /* NULL where there is no KVM, or no namespace */
	struct client *c;
	char kernel[512];
};

#define NEEDS_NET(w)                                                        \
	do {                                                                \
		NEEDS_KVM;                                                  \
		if (!(w)->h)                                                \
			SKIP_BECAUSE("no network namespace, ip(8) or tun"); \
	} while (0)

/* cmocka's */
int netw_setup(void **state);
int netw_teardown(void **state);
/* Begin a vmd. */
void netw_serve(struct netw *w);
/* VM `name` with a card, JSON without the brackets around. */
void netw_define(struct netw *w, const char *name, const char *card);
/* A method with {vm}; its result, owned. */
struct json_object *netw_ask(struct netw *w, const char *method, const char *vm);
void netw_start(struct netw *w, const char *vm);
/* vm.kill */
void netw_end(struct netw *w, const char *vm);
/* What vm.get says of the VM's n-th card, "": nothing; valid until the next call. */
const char *netw_shown(struct netw *w, const char *vm, int n, const char *key);

#endif
