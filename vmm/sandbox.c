// SPDX-License-Identifier: MIT
/*
 * Entering the cage: see sandbox.h. Each step stands for itself, so that one that fails or that the kernel does
 * not have leaves the others. The order matters: namespaces need rights, which go with the uid and the
 * capabilities; Landlock and no_new_privs are for good.
 *
 * There is no limit on the size of files: a raw disk may be of any size, and vmm can make none.
 */
#include "vmm/sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/emptyns.h"
#include "vmm/config.h"

/*
 * Descriptors, at the most: 16 of the process itself, one a vCPU; a device's file, ring, eventfds of queues
 * and vectors; 6 of each worker's loop, 16 clients of each console; of each passed-through function (one a slot)
 * itself, its group and its vectors; of each file that came as a disk of a controller itself and its ring.
 */
#define SANDBOX_FILES                                                         \
	(16 + CONFIG_VCPUS_MAX + CONFIG_DEVICES_MAX * 40 + 32 * 6 + 16 * 16 + \
	 32 * (4 + 32 + 256) + FDSET_MAX * 3)
/* Threads: vCPUs and workers, and the kernel's helpers of their disks' rings. */
#define SANDBOX_TASKS 1024
/* What old kernels charge for a ring. */
#define SANDBOX_MEMLOCK (64 * MIB)

static int sandbox_namespaces(struct sandbox *s, const struct log *log, struct err *e)
{
	AUTO_CLOSE int root = TAKE_FD(s->root_fd);
	struct err why = { 0 };

	if (root >= 0)
		/* a mount namespace is for a thread with a root of its own */
		return unshare(CLONE_FS) < 0 || setns(root, CLONE_NEWNS) < 0
			       ? err_errno(e, "cannot enter the empty root")
			       : 0;
	if (emptyns_enter(geteuid() != 0, &why) >= 0)
		return 0;
	if (s->has_uid) {
		err_set(e, why.code, "%s", why.msg);
		return err_hint(e, "vmd needs CAP_SYS_ADMIN for the cages of its monitors");
	}
	log_info(log, "cage: the host's files and network stay in sight: %s", why.msg);
	return 0;
}

/* The system's calls, for this thread: the C library's would have one that has its filter make them, too. */
static int sandbox_identity(const struct sandbox *s, struct err *e)
{
	/* with no right to it there are none but the user's own, which Landlock and the root make worthless */
	if (syscall(SYS_setgroups, 0, NULL) < 0 && s->has_uid)
		return err_errno(e, "cannot leave the groups");
	if (!s->has_uid)
		return 0;
	if (syscall(SYS_setresgid, s->uid, s->uid, s->uid) < 0 ||
	    syscall(SYS_setresuid, s->uid, s->uid, s->uid) < 0) {
		err_errno(e, "cannot become user %u", (unsigned int)s->uid);
		return err_hint(e, "vmd --monitor-uids: a range that this host (or container) has");
	}
	return 0;
}

/* Before the uid: it needs CAP_SETPCAP. A user without it has nothing to bound. */
static int sandbox_bounding_set(const struct sandbox *s, struct err *e)
{
	unsigned long cap = 0;

	while (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
		cap++;
	/* EINVAL: that was the last one */
	return errno == EPERM && s->has_uid ? err_errno(e, "cannot empty the bounding set") : 0;
}

static int sandbox_capabilities(struct err *e)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &header, none) < 0)
		return err_errno(e, "cannot drop capabilities");
	return 0;
}

static int sandbox_limits(const struct sandbox *s, struct err *e)
{
	const struct {
		int resource;
		rlim_t max;
	} limits[] = {
		{ RLIMIT_NOFILE, SANDBOX_FILES },
		{ RLIMIT_CORE, 0 },
		{ RLIMIT_MEMLOCK, SANDBOX_MEMLOCK + s->memlock },
		{ RLIMIT_MSGQUEUE, 0 },
		/* counts all of the user's threads: only where the user is ours alone */
		{ RLIMIT_NPROC, s->has_uid ? SANDBOX_TASKS : RLIM_INFINITY },
	};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct rlimit now, to;

		if (limits[i].max == RLIM_INFINITY)
			continue;
		if (getrlimit((__rlimit_resource_t)limits[i].resource, &now) < 0)
			return err_errno(e, "getrlimit");
		/* raising one is root's; without, what needs it says so */
		to.rlim_cur = to.rlim_max = limits[i].max;
		if (limits[i].resource == RLIMIT_MEMLOCK && s->memlock &&
		    setrlimit((__rlimit_resource_t)limits[i].resource, &to) == 0)
			continue;
		to.rlim_cur = to.rlim_max = MIN(limits[i].max, now.rlim_max);
		if (setrlimit((__rlimit_resource_t)limits[i].resource, &to) < 0)
			return err_errno(e, "setrlimit");
	}
	return 0;
}

/* Of <linux/landlock.h>, with what newer kernels know (landlock(7), by ABI version). */
struct sandbox_landlock {
	uint64_t fs, net, scoped;
};

static const struct sandbox_landlock sandbox_landlock_abi[] = {
	{ 0x1fff, 0, 0 },   { 0x3fff, 0, 0 },	{ 0x7fff, 0, 0 },
	{ 0x7fff, 0x3, 0 }, { 0xffff, 0x3, 0 }, { 0xffff, 0x3, 0x3 },
};

/* No file may be opened, no TCP port bound or reached, no abstract socket, no process outside. */
static int sandbox_landlock(const struct log *log, struct err *e)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* which version? */);
	struct sandbox_landlock rules;
	AUTO_CLOSE int fd = -1;

	if (abi < 1) {
		log_info(log, "cage: no Landlock: %s", strerror(errno));
		return 0;
	}
	rules = sandbox_landlock_abi[MIN((size_t)abi, ARRAY_SIZE(sandbox_landlock_abi)) - 1];
	/* a kernel refuses a longer struct only when what it does not know is not 0 */
	fd = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);
	if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		return err_errno(e, "cannot enter Landlock");
	return 0;
}

int sandbox_enter(struct sandbox *s, const struct log *log, struct err *e)
{
	int r = 0;

	tzset(); /* the time zone is read now or never: the log and the RTC want it */
	if (!SANDBOX_SANITIZER)
		r = sandbox_namespaces(s, log, e);
	if (r >= 0)
		r = sandbox_limits(s, e);
	if (r >= 0)
		r = sandbox_bounding_set(s, e);
	if (r >= 0)
		r = sandbox_identity(s, e);
	if (r >= 0)
		r = sandbox_capabilities(e);
	if (r >= 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = err_errno(e, "no_new_privs");
	if (SANDBOX_SANITIZER)
		return r < 0 ? err_wrap(e, "cage") : 0;
	if (r >= 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		r = err_errno(e, "cannot refuse to be traced");
	if (r >= 0)
		r = sandbox_landlock(log, e);
	return r < 0 ? err_wrap(e, "cage") : 0;
}

void sandbox_thread(const struct sandbox *s, enum seccomp_table table)
{
	struct err e;

	if (!s || SANDBOX_SANITIZER)
		return;
	/* one that is older than the cage has not got it from there; seccomp says what comes of it */
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (seccomp_confine(table, s->seccomp, &e) >= 0)
		return;
	fprintf(stderr, "vmm: %s\n", e.msg);
	abort();
}
