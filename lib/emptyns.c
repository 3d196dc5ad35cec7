// SPDX-License-Identifier: MIT
/* Empty namespaces: see emptyns.h; namespaces(7), pivot_root(2). In processes of one thread. */
#include "lib/emptyns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/fdio.h"

/* of <sys/mount.h>, which does not go together with <linux/mount.h> */
#define EMPTYNS_MS_REC 0x4000ul
#define EMPTYNS_MS_SLAVE 0x80000ul
#define EMPTYNS_MNT_DETACH 2

/* A read-only file system without a file, mounted nowhere yet. */
static int emptyns_tmpfs(struct err *e)
{
	AUTO_CLOSE int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0 ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "mode", "0555", 0) < 0 ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_errno(e, "cannot make an empty file system");
	fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
			  MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
				  MOUNT_ATTR_NOEXEC);
	return fd < 0 ? err_errno(e, "cannot mount an empty file system") : fd;
}

/*
 * From a chroot to the root of the namespace: that is what has to be exchanged, for it is where setns(2) leads, and a
 * chroot's cannot be.
 */
static int emptyns_leave_chroot(struct err *e)
{
	AUTO_CLOSE int self = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (self < 0 || setns(self, CLONE_NEWNS) < 0)
		return err_errno(e, "cannot go to the root of the mount namespace");
	return 0;
}

/* It becomes the root, and the old one is left: no way leads back but a descriptor. */
static int emptyns_root(struct err *e)
{
	AUTO_CLOSE int fd = -1;
	int ret = emptyns_leave_chroot(e);

	if (ret < 0)
		return ret;
	/* nothing that happens here reaches the namespace that we come from */
	if (syscall(SYS_mount, NULL, "/", NULL, EMPTYNS_MS_REC | EMPTYNS_MS_SLAVE, NULL) < 0)
		return err_errno(e, "cannot detach the mounts");
	fd = emptyns_tmpfs(e);
	if (fd < 0)
		return fd;
	if (syscall(SYS_move_mount, fd, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
	    fchdir(fd) < 0)
		return err_errno(e, "cannot mount the empty root");
	/* a root that is no mount point (initramfs) cannot be exchanged: EINVAL */
	if (!syscall(SYS_pivot_root, ".", "."))
		return syscall(SYS_umount2, ".", EMPTYNS_MNT_DETACH) < 0
			       ? err_errno(e, "cannot leave the old root")
			       : 0;
	if (errno != EINVAL || chroot(".") < 0)
		return err_errno(e, "cannot enter the empty root");
	return 0;
}

int emptyns_enter(bool user, struct err *e)
{
	int flags = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;

	if (unshare(user ? flags | CLONE_NEWUSER : flags) < 0)
		return err_errno(e, "cannot make namespaces");
	return emptyns_root(e);
}

static int emptyns_open(pid_t pid, struct emptyns *ns, struct err *e)
{
	static const char *const names[] = { "mnt", "net", "ipc", "uts" };
	int *fds[] = { &ns->mnt, &ns->net, &ns->ipc, &ns->uts };
	char path[64];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, names[i]);
		*fds[i] = open(path, O_RDONLY | O_CLOEXEC);
		if (*fds[i] < 0)
			return err_errno(e, "cannot open '%s'", path);
	}
	return 0;
}

/* The child: it enters, says how that went, and stays until its namespaces are open. */
static void emptyns_child(int sock)
{
	struct err why = { 0 };
	char byte;

	emptyns_enter(false, &why);
	if (fdio_write(sock, &why, sizeof(why)) == (ssize_t)sizeof(why))
		(void)fdio_read(sock, &byte, 1);
	_exit(0);
}

int emptyns_make(struct emptyns *ret_ns, struct err *e)
{
	struct emptyns ns = { .mnt = -1, .net = -1, .ipc = -1, .uts = -1 };
	AUTO_CLOSE int ours = -1, its = -1;
	struct err why = { 0 };
	int pair[2], ret = 0;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, "cannot make a socket");
	ours = pair[0];
	its = pair[1];
	pid = fork();
	if (pid < 0)
		return err_errno(e, "cannot make a process");
	if (!pid) {
		close(ours);
		emptyns_child(its);
	}
	close(TAKE_FD(its));
	if (fdio_read(ours, &why, sizeof(why)) != (ssize_t)sizeof(why))
		ret = err_set(e, EIO, "the process that makes the namespaces has ended");
	else if (why.code)
		ret = err_set(e, why.code, "%s", why.msg);
	else
		ret = emptyns_open(pid, &ns, e);
	close(TAKE_FD(ours));
	waitpid(pid, NULL, 0);
	if (ret < 0)
		emptyns_fini(&ns);
	else
		*ret_ns = ns;
	return ret;
}

void emptyns_fini(struct emptyns *ns)
{
	int *fds[] = { &ns->mnt, &ns->net, &ns->ipc, &ns->uts };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}
