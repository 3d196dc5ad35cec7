/* SPDX-License-Identifier: MIT */
/*
 * The rights of a user to files, for the calling thread alone and for a while: its uid, its groups, and no
 * capability. What the kernel then lets through, that user could have opened itself. On a uv worker: the
 * user data base is asked, which may take long.
 */
#ifndef VMD_IDENT_H
#define VMD_IDENT_H

#include <linux/capability.h>
#include <sys/types.h>
#include "lib/err.h"

/* What the thread was, to be put back. */
struct ident {
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* owned */
	int ngroups;
	int dumpable;
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];
};

/* -EPERM when vmd itself has not got the right to do this. On failure nothing has changed. */
int ident_enter(uid_t uid, struct ident *ret_old, struct err *e);
/* The same, but vmd's own capabilities stay: what is made then belongs to that user, wherever it is. */
int ident_make(uid_t uid, struct ident *ret_old, struct err *e);
/* Back; aborts when that fails, since the thread would go on with the rights of somebody else. */
void ident_leave(struct ident *old);

#endif
