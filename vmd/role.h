/* SPDX-License-Identifier: MIT */
/*
 * Who may do what. An administrator (root, vmd's own user, the members of one group) may do all; an
 * operator may make VMs, which are its own then, and act on those; a viewer may look. Reading what
 * vmd knows is for all of them; consoles are for the owner and for administrators. On the loop's thread.
 */
#ifndef VMD_ROLE_H
#define VMD_ROLE_H

#include <sys/socket.h>
#include "lib/err.h"

struct call;
struct method_info;

enum role { ROLE_NONE, ROLE_VIEWER, ROLE_OPERATOR, ROLE_ADMIN, ROLE_COUNT };

struct role_group {
	char name[64]; /* as given: a name or a number */
	gid_t gid;
	bool known; /* there is such a group */
};

struct role_groups {
	struct role_group of[ROLE_COUNT]; /* that of ROLE_NONE is not used */
};

/*
 * names: the group of each role, or NULL for the usual one, which need not exist. -ENOENT for one that was
 * named and does not exist. May ask a name service: only at the start.
 */
int role_groups_init(struct role_groups *g, const char *const names[static ROLE_COUNT],
		     struct err *e);
/* The role of who is at the other end of a connected socket. */
enum role role_of_peer(const struct role_groups *g, int fd, const struct ucred *cred);
/* Do others than the administrators' group use the sockets? */
bool role_groups_open(const struct role_groups *g);
const char *role_name(enum role role);

/*
 * May the one who asks do that? Decided by the method and the VM that the parameters name, before
 * anything else of them is looked at. -ERR_DENIED.
 */
int role_check(const struct call *call, const struct method_info *info, struct err *e);
/* For a method whose "rights" are "any", when it has found out which VM it is about: its id. -ERR_DENIED. */
int role_check_vm(const struct call *call, const char *vm, struct err *e);

#endif
