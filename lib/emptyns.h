/* SPDX-License-Identifier: MIT */
/*
 * Namespaces with nothing in them: a root directory that is empty and read-only, a network without a device that
 * is up, no IPC objects, a host name of its own (namespaces(7)). For a process with one thread.
 */
#ifndef LIB_EMPTYNS_H
#define LIB_EMPTYNS_H

#include "lib/err.h"

/*
 * The calling process goes into new ones. user: into a user namespace as well, which needs no right where the
 * host allows it (user_namespaces(7)); without it CAP_SYS_ADMIN is needed. After a failure it may be in some of
 * them.
 */
int emptyns_enter(bool user, struct err *e);

/* Such namespaces, to be entered by setns(2). The descriptors are owned; -1: none. */
struct emptyns {
	int mnt, net, ipc, uts;
};

/*
 * Made by a child process, which ends; they live as long as the descriptors, or a process in them.
 * Needs CAP_SYS_ADMIN.
 */
int emptyns_make(struct emptyns *ret_ns, struct err *e);
void emptyns_fini(struct emptyns *ns);

#endif
