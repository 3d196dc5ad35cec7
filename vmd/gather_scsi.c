// SPDX-License-Identifier: MIT
/* SCSI devices of the host that a start gives away: see gather.h. On the worker, with the rights of the VM's owner. */
#include "vmd/gather.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"

static int gather_take_name(void *arg, const char *name)
{
	snprintf(arg, NAME_MAX + 1, "%s", name);
	return 0;
}

/*
 * The disk or drive behind a generic device, which the host could mount or has mounted: open, with O_EXCL. -ENODEV: there
 * is none, as for a tape.
 */
static int gather_open_block(struct gather *g, const struct vmdef_file *file, const struct stat *st,
			     struct err *e)
{
	char path[320], name[NAME_MAX + 1] = "", dev[32], number[32];
	AUTO_CLOSE int fd = -1;
	struct stat now;

	snprintf(path, sizeof(path), "sys/dev/char/%u:%u/device/block", major(st->st_rdev),
		 minor(st->st_rdev));
	if (hostfs_each(g->host, path, gather_take_name, name, NULL) < 0 || !name[0])
		return -ENODEV;
	snprintf(path, sizeof(path), "sys/class/block/%s/dev", name);
	if (hostfs_read(g->host, path, dev, sizeof(dev), e) < 0)
		return -ERR_FILE;
	snprintf(path, sizeof(path), "dev/%s", name);
	fd = hostfs_open(g->host, path, O_RDWR | O_EXCL | O_CLOEXEC, NULL);
	if (fd < 0) {
		err_set(e, ERR_FILE, "%s '%s' is /dev/%s: %s", file->what, file->path, name,
			strerror(-fd));
		return err_hint(e, "it is mounted, part of a volume, or another's already; see "
				   "lsblk and fuser");
	}
	if (fstat(fd, &now) < 0 || !S_ISBLK(now.st_mode))
		return err_set(e, ERR_FILE, "/dev/%s is no block device", name);
	snprintf(number, sizeof(number), "%u:%u", major(now.st_rdev), minor(now.st_rdev));
	if (strcmp(number, dev) != 0)
		return err_set(e, ERR_FILE, "/dev/%s is %s, and should be %s", name, number, dev);
	return TAKE_FD(fd);
}

static int gather_check_whole(struct gather *g, const struct vmdef_file *file,
			      const struct stat *st, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "sys/dev/block/%u:%u/partition", major(st->st_rdev),
		 minor(st->st_rdev));
	fd = hostfs_open(g->host, path, O_RDONLY | O_CLOEXEC, NULL);
	if (fd < 0)
		return 0;
	err_set(e, ERR_FILE, "%s '%s' is a partition", file->what, file->path);
	return err_hint(e, "a whole device is given away; a partition goes with `kind: disk`");
}

int gather_scsi(struct gather *g, const struct vmdef_file *file, int take_fd, struct err *e)
{
	AUTO_CLOSE int fd = take_fd;
	struct stat st;
	int ret;

	if (!file->scsi)
		return TAKE_FD(fd);
	if (fstat(fd, &st) < 0)
		return err_errno(e, "%s '%s'", file->what, file->path);
	if (S_ISBLK(st.st_mode)) {
		ret = gather_check_whole(g, file, &st, e);
		return ret < 0 ? ret : TAKE_FD(fd);
	}
	ret = gather_open_block(g, file, &st, e);
	return ret == -ENODEV ? TAKE_FD(fd) : ret;
}
