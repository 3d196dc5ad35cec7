/* SPDX-License-Identifier: MIT */
/*
 * Network cards of VMs, what vmd keeps of them: who has which MAC address, what each is connected to, and the bridges of
 * private links that are to be removed once nobody is on them (net_private.h). Making them is gather_net.c's. On
 * the loop's thread.
 */
#ifndef VMD_NETS_H
#define VMD_NETS_H

#include "lib/fdio.h"
#include "lib/json.h"
#include "state/state.h"

struct daemon;
struct nets;

struct nets *nets_new(struct daemon *d);
/* vmd ends: nothing begins any more; rows of what a worker is at stay for the next vmd. */
void nets_close(struct nets *n);
/* Its worker has ended. Accepts NULL. */
void nets_free(struct nets *n);

/*
 * The cards of a machine configuration are about to be made (a gather begins): their rows are written, and those of the bridges
 * that they may make. -ERR_NET_MAC: another VM of this host has the address. dry: nothing is written.
 */
int nets_reserve(struct daemon *d, const struct state_vm *vm, struct json_object *config, bool dry,
		 struct err *e);
/* A gather has begun, and its descriptors are closed or somebody else's: no bridge is removed in between. */
void nets_gather_begins(struct daemon *d);
void nets_gathered(struct daemon *d);
/* Close what came of a gather and is not wanted: the last descriptor of a tap ends it, which blocks. */
void nets_discard(struct daemon *d, struct fdset *take_fds);
/* What they became, {ID: detail}, in the open transaction; NULL: nothing. */
int nets_store(struct daemon *d, const char *vm, struct json_object *details, struct err *e);
/* Some of them may be gone: remove bridges of private links that nobody is on, now or soon. */
void nets_sweep(struct daemon *d);
/* The cable of a card of a VM that runs. */
struct nets_link {
	char link[8]; /* "up", "down" */
	bool lost;    /* its network is gone: down it stays */
};

/* 1, 0: the VM has no such card, or negative. */
int nets_link_get(struct daemon *d, const char *vm, const char *device, struct nets_link *ret,
		  struct err *e);
/*
 * It is up or down now: written, and event device.link tells if it was not before. reason: its network is gone; NULL:
 * somebody wanted it so. 0: there is no such card, or nothing new.
 */
int nets_link_told(struct daemon *d, const char *vm, const char *name, const char *device,
		   const char *link, const char *reason, struct err *e);
/* vmm says something of a device: is it that a card's network is gone, or that vhost-net serves it no more? */
void nets_heard(struct daemon *d, const char *vm, const char *name, const char *message);
/* [{device, mac, network, …}] of a VM. */
struct json_object *nets_json(struct daemon *d, const char *vm);

#endif
