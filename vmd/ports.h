/* SPDX-License-Identifier: MIT */
/*
 * Ports of consoles: what vmd keeps of where they lead to on the host. Making the sockets and terminals is gather_ports.c's;
 * removing the sockets, once a VM has stopped, is a worker's of this module. On the loop's thread.
 */
#ifndef VMD_PORTS_H
#define VMD_PORTS_H

#include <uv.h>
#include "lib/json.h"
#include "state/state.h"

#define PORTS_FOLDER "ports" /* below the run directory: a folder for each VM, named by its id */

struct daemon;
struct ports;

struct ports *ports_new(struct daemon *d);
/* vmd ends: nothing begins any more. */
void ports_close(struct ports *p);
/* Its worker has ended. Accepts NULL. */
void ports_free(struct ports *p);
/* Held while a socket is made or removed, so that nobody takes a new one for a dead one. Borrowed. */
uv_mutex_t *ports_lock(struct daemon *d);

/*
 * The ports of a machine configuration are about to be made (a gather begins): a socket without a path gets one, and all
 * are written down. -ERR_INVALID: that path is too long.
 */
int ports_reserve(struct daemon *d, const struct state_vm *vm, struct json_object *config,
		  struct err *e);
/* Terminals have names now, {port: name}, in the open transaction; NULL: nothing. */
int ports_store(struct daemon *d, const char *vm, struct json_object *names, struct err *e);
/* The VM has no process any more, or never had: what was made for it is removed. */
void ports_release(struct daemon *d, const char *vm);
/* The same of all that a vmd before this one did not come to. */
void ports_adopt(struct daemon *d);
/* [{device, name, backend, path}] of a VM. */
struct json_object *ports_json(struct daemon *d, const char *vm);

#endif
