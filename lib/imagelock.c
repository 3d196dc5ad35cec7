// SPDX-License-Identifier: MIT
/* Locks of disk images: see imagelock.h. Any thread. */
#include "lib/imagelock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/errcat.h"

#define IMAGELOCK_DOES 100
#define IMAGELOCK_FORBIDS 200
#define IMAGELOCK_KINDS 4
#define IMAGELOCK_TRIES 100 /* 2 s */
#define IMAGELOCK_TRY_NS 20000000
/* what may be done with an image: bits, and offsets from the two above */
#define IMAGELOCK_READ BIT(0)
#define IMAGELOCK_WRITE BIT(1)
#define IMAGELOCK_RESIZE BIT(3)

static int imagelock_set(int fd, int command, short type, off_t at, struct flock *ret)
{
	*ret = (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1 };
	return fcntl(fd, command, ret) < 0 ? -errno : 0;
}

static int imagelock_hold(int fd, unsigned int base, unsigned int kinds)
{
	struct flock l;
	int ret = 0;

	for (unsigned int i = 0; i < IMAGELOCK_KINDS && ret >= 0; i++)
		if (kinds & BIT(i))
			ret = imagelock_set(fd, F_OFD_SETLK, F_RDLCK, base + i, &l);
	/* one of the whole file, that something else has taken */
	return ret == -EAGAIN || ret == -EACCES ? -EBUSY : ret;
}

static int imagelock_look(int fd, unsigned int base, unsigned int kinds)
{
	struct flock l;
	int ret = 0;

	for (unsigned int i = 0; i < IMAGELOCK_KINDS && ret >= 0; i++) {
		if (!(kinds & BIT(i)))
			continue;
		ret = imagelock_set(fd, F_OFD_GETLK, F_WRLCK, base + i, &l);
		if (ret >= 0 && l.l_type != F_UNLCK)
			ret = -EBUSY;
	}
	return ret;
}

int imagelock_take(int fd, bool write, bool share)
{
	unsigned int does = IMAGELOCK_READ | (write ? IMAGELOCK_WRITE : 0);
	unsigned int forbids = share ? 0 : IMAGELOCK_WRITE | IMAGELOCK_RESIZE;
	struct flock all = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
	/* first said, then looked: of two at the same time one sees the other at least */
	int ret = imagelock_hold(fd, IMAGELOCK_DOES, does);

	if (ret >= 0)
		ret = imagelock_hold(fd, IMAGELOCK_FORBIDS, forbids);
	if (ret >= 0)
		ret = imagelock_look(fd, IMAGELOCK_FORBIDS, does);
	if (ret >= 0)
		ret = imagelock_look(fd, IMAGELOCK_DOES, forbids);
	if (ret < 0)
		fcntl(fd, F_OFD_SETLK, &all);
	return ret;
}

/* --- who ------------------------------------------------------------------------------------------------ */

struct imagelock_search {
	struct hostfs dir; /* the folder of one process, or of its descriptors */
	const struct hostfs *proc;
	char inode[32]; /* as in the line of a lock: ":NUMBER " */
	pid_t pid;
};

/* proc(5), fdinfo: "lock:\t1: OFDLCK  ADVISORY  READ -1 fe:00:1835 100 101" */
static int imagelock_each_fd(void *arg, const char *name)
{
	struct imagelock_search *s = arg;
	char text[4096];
	const char *lock;

	if (hostfs_read(&s->dir, name, text, sizeof(text), NULL) < 0)
		return 0; /* closed meanwhile */
	lock = strstr(text, "\nlock:");
	return lock && strstr(lock, s->inode) ? -EEXIST : 0;
}

static int imagelock_each_process(void *arg, const char *name)
{
	struct imagelock_search *s = arg;
	char path[64];
	int ret;

	if (name[0] < '0' || name[0] > '9')
		return 0;
	snprintf(path, sizeof(path), "%.20s/fdinfo", name);
	if (hostfs_sub(s->proc, path, &s->dir, NULL) < 0)
		return 0; /* gone, or not ours to see */
	ret = hostfs_each(&s->dir, ".", imagelock_each_fd, s, NULL);
	hostfs_fini(&s->dir);
	if (ret != -EEXIST)
		return 0;
	s->pid = (pid_t)atoi(name);
	return -EEXIST;
}

bool imagelock_again(const struct hostfs *host, ino_t inode, unsigned int tries, pid_t *ret_holder)
{
	struct timespec pause = { .tv_nsec = IMAGELOCK_TRY_NS };

	*ret_holder = imagelock_holder(host, inode);
	if (*ret_holder || tries >= IMAGELOCK_TRIES)
		return false;
	clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	return true;
}

void imagelock_name(const struct hostfs *host, pid_t holder, char *out, size_t size)
{
	char path[64], comm[32] = "";

	if (holder == getpid() || !holder) {
		snprintf(out, size, "%s",
			 holder ? "another disk" : "a process that is not to be seen");
		return;
	}
	snprintf(path, sizeof(path), "proc/%d/comm", (int)holder);
	if (hostfs_read(host, path, comm, sizeof(comm), NULL) < 0)
		comm[0] = '\0';
	snprintf(out, size, "process %d%s%s%s", (int)holder, comm[0] ? " (" : "", comm,
		 comm[0] ? ")" : "");
}

int imagelock_blame(struct err *e, const char *who)
{
	struct err in_use;

	if (!e)
		return -ERR_FILE_IN_USE;
	in_use = *e;
	err_set(e, in_use.code, "%s by %s", in_use.msg, who);
	return err_hint(e,
			"stop what uses it, or take another image; two may have one in common as "
			"backing file");
}

pid_t imagelock_holder(const struct hostfs *host, ino_t inode)
{
	struct imagelock_search s = { 0 };
	struct hostfs proc;

	if (hostfs_sub(host, "proc", &proc, NULL) < 0)
		return 0;
	s.proc = &proc;
	snprintf(s.inode, sizeof(s.inode), ":%llu ", (unsigned long long)inode);
	hostfs_each(&proc, ".", imagelock_each_process, &s, NULL);
	hostfs_fini(&proc);
	return s.pid;
}
