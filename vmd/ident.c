// SPDX-License-Identifier: MIT
/*
 * A user's rights for one thread: see ident.h. By the system calls themselves, because glibc's setgroups(3)
 * changes all threads; setfsuid(2) and capset(2) are about the caller only (credentials(7)).
 */
#include "vmd/ident.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/auto.h"

#define IDENT_GROUPS_MAX 65536 /* the kernel's limit */
#define IDENT_ENTRY_MAX (64 * 1024)
#define IDENT_NOGROUP 65534 /* of a user without an entry */

static int ident_caps(int call, struct __user_cap_data_struct *caps)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(call, &header, caps) < 0 ? -errno : 0;
}

static int ident_set_groups(const gid_t *groups, int n)
{
	return syscall(SYS_setgroups, (size_t)n, groups) < 0 ? -errno : 0;
}

/* Neither call says whether it succeeded: what is now must be asked for. */
static bool ident_set_fs(uid_t uid, gid_t gid)
{
	setfsgid(gid);
	setfsuid(uid);
	return (gid_t)setfsgid((gid_t)-1) == gid && (uid_t)setfsuid((uid_t)-1) == uid;
}

/* The groups that the user would have after a login; none for one without an entry. */
static int ident_user_groups(uid_t uid, gid_t *ret_gid, gid_t *groups, int *ret_n, struct err *e)
{
	AUTO_FREE char *space = malloc(IDENT_ENTRY_MAX);
	struct passwd entry, *found = NULL;
	int n = IDENT_GROUPS_MAX;

	*ret_gid = IDENT_NOGROUP;
	*ret_n = 0;
	if (!space)
		return err_ret(e, -ENOMEM, "cannot look for user %u", (unsigned int)uid);
	if (getpwuid_r(uid, &entry, space, IDENT_ENTRY_MAX, &found) || !found)
		return 0;
	*ret_gid = entry.pw_gid;
	if (getgrouplist(entry.pw_name, entry.pw_gid, groups, &n) < 0)
		return err_set(e, E2BIG, "user %u is in more than %d groups", (unsigned int)uid,
			       IDENT_GROUPS_MAX);
	*ret_n = n;
	return 0;
}

static int ident_save(struct ident *old, struct err *e)
{
	int n = getgroups(0, NULL);

	*old = (struct ident){ .uid = (uid_t)setfsuid((uid_t)-1),
			       .gid = (gid_t)setfsgid((gid_t)-1),
			       .dumpable = prctl(PR_GET_DUMPABLE) };
	old->groups = calloc((size_t)MAX(n, 0) + 1, sizeof(*old->groups));
	if (!old->groups)
		return err_ret(e, -ENOMEM, "cannot change the user");
	old->ngroups = getgroups(MAX(n, 0), old->groups);
	if (old->ngroups < 0 || ident_caps(SYS_capget, old->caps) < 0)
		return err_errno(e, "cannot tell vmd's own rights");
	return 0;
}

void ident_leave(struct ident *old)
{
	/* the capabilities first: the rest needs them */
	if (ident_caps(SYS_capset, old->caps) < 0 || !ident_set_fs(old->uid, old->gid) ||
	    ident_caps(SYS_capset, old->caps) < 0 ||
	    ident_set_groups(old->groups, old->ngroups) < 0)
		abort();
	/* the kernel took this from all of vmd when the user changed; only a core dump depends on it */
	prctl(PR_SET_DUMPABLE, old->dumpable);
	free(old->groups);
}

static int ident_drop_caps(const struct ident *old)
{
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];

	for (size_t i = 0; i < ARRAY_SIZE(caps); i++) {
		caps[i] = old->caps[i];
		caps[i].effective = 0;
	}
	return ident_caps(SYS_capset, caps);
}

int ident_enter(uid_t uid, struct ident *ret_old, struct err *e)
{
	AUTO_FREE gid_t *groups = calloc(IDENT_GROUPS_MAX, sizeof(*groups));
	struct ident old = { 0 };
	gid_t gid;
	int n, ret;

	if (!groups)
		return err_ret(e, -ENOMEM, "cannot change the user");
	ret = ident_user_groups(uid, &gid, groups, &n, e);
	if (ret >= 0)
		ret = ident_save(&old, e);
	if (ret < 0) {
		free(old.groups);
		return ret;
	}
	ret = ident_set_groups(groups, n);
	if (ret < 0) {
		free(old.groups); /* nothing has changed yet */
	} else {
		ret = ident_set_fs(uid, gid) ? ident_drop_caps(&old) : -EPERM;
		if (ret >= 0) {
			*ret_old = old;
			return 0;
		}
		ident_leave(&old);
	}
	err_ret(e, ret, "cannot open files as user %u", (unsigned int)uid);
	err_hint(e, "vmd needs CAP_SETUID and CAP_SETGID for VMs of other users");
	return ret;
}

int ident_make(uid_t uid, struct ident *ret_old, struct err *e)
{
	int ret = ident_enter(uid, ret_old, e);

	if (ret < 0)
		return ret;
	ret = ident_caps(SYS_capset, ret_old->caps);
	if (ret >= 0)
		return 0;
	ident_leave(ret_old);
	return err_ret(e, ret, "cannot make anything for user %u", (unsigned int)uid);
}
