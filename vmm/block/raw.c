// SPDX-License-Identifier: MIT
// The raw format: byte N of the disk is byte N of the descriptor. What it is (raw_probe, on the control loop)
// and one step by one system call (raw_step, on the thread of the attached loop).
#include "vmm/block/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>
#include "lib/errcat.h"

static int raw_probe_device(struct block *b, struct err *e)
{
	struct block_info *i = &b->info;
	int logical = 0, ro = 0;
	unsigned int physical = 0;

	if (ioctl(b->fd, BLKGETSIZE64, &i->size) < 0)
		return err_errno(e, "size of the block device");
	if (ioctl(b->fd, BLKSSZGET, &logical) < 0 || logical < BLOCK_SECTOR)
		logical = BLOCK_SECTOR;
	if (ioctl(b->fd, BLKPBSZGET, &physical) < 0 || physical < (unsigned int)logical)
		physical = (unsigned int)logical;
	if (!i->readonly && ioctl(b->fd, BLKROGET, &ro) == 0 && ro)
		return err_set(e, EROFS, "the block device is read-only");
	i->logical_block = (uint32_t)logical;
	i->physical_block = physical;
	i->discard = !i->readonly; /* where it cannot, BLKDISCARD says so */
	b->is_device = true;
	return 0;
}

static int raw_probe_file(struct block *b, const struct stat *st)
{
	struct block_info *i = &b->info;

	i->size = (uint64_t)st->st_size;
	i->logical_block = BLOCK_SECTOR;
	i->physical_block = BLOCK_SECTOR;
	if (is_power_of_two((uint64_t)st->st_blksize) && st->st_blksize >= BLOCK_SECTOR)
		i->physical_block = (uint32_t)MIN((uint64_t)st->st_blksize, 64 * KIB);
	/* a hole behind the end changes nothing, and tells whether the file system can make one */
	i->discard = !i->readonly && fallocate(b->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					       st->st_size, i->physical_block) == 0;
	b->no_punch = !i->discard;
	return 0;
}

int raw_probe(struct block *b, struct err *e)
{
	int flags = fcntl(b->fd, F_GETFL), ret;
	struct stat st;

	if (flags < 0 || fstat(b->fd, &st) < 0)
		return err_errno(e, "disk image");
	if (!b->info.readonly && (flags & O_ACCMODE) != O_RDWR)
		return err_set(e, EBADF, "the disk image is not open for writing");
	b->direct = flags & O_DIRECT;
	if (S_ISBLK(st.st_mode))
		ret = raw_probe_device(b, e);
	else if (S_ISREG(st.st_mode))
		ret = raw_probe_file(b, &st);
	else
		return err_set(e, ERR_FILE,
			       "the disk image is neither a regular file nor a block device");
	if (ret < 0)
		return ret;
	b->info.discard_align = b->info.physical_block;
	if (b->info.size == 0)
		return err_set(e, ERR_FILE, "the disk image is empty");
	return 0;
}

/*
 * A ring gives each request on such a file to a thread of the kernel, for tmpfs has no answer without waiting: waking that
 * one takes ten times as long as the copy.
 */
bool raw_in_memory(const struct block *b)
{
	struct statfs fs;

	/* a block device's is that of /dev, which is a tmpfs */
	return !b->is_device && !fstatfs(b->fd, &fs) &&
	       (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC ||
		fs.f_type == HUGETLBFS_MAGIC);
}

int raw_check_size(const struct block *b, struct err *e)
{
	if (b->info.size % BLOCK_SECTOR) {
		err_set(e, ERR_FILE, "the disk image's size, %llu bytes, is not a multiple of %d",
			(unsigned long long)b->info.size, BLOCK_SECTOR);
		return err_hint(e, "round it up: truncate --size %%%d FILE", BLOCK_SECTOR);
	}
	return 0;
}

int block_measure(const struct block *b, uint64_t *ret_size, struct err *e)
{
	uint32_t unit = MAX(b->align, (uint32_t)BLOCK_SECTOR);
	uint64_t size = 0;
	struct stat st;

	*ret_size = b->info.size;
	if (b->qcow2) {
		err_set(e, ERR_FILE, "an image in qcow2 keeps its size while it is in use");
		return err_hint(e, "stop the VM, then qemu-img resize FILE SIZE");
	}
	if (b->is_device ? ioctl(b->fd, BLKGETSIZE64, &size) < 0 : fstat(b->fd, &st) < 0)
		return err_errno(e, "size of the disk image");
	if (!b->is_device)
		size = (uint64_t)st.st_size;
	if (size % unit) {
		err_set(e, ERR_FILE, "the disk image's size, %llu bytes, is not a multiple of %u",
			(unsigned long long)size, unit);
		return err_hint(e, "round it up: truncate --size %%%u FILE", unit);
	}
	if (size < b->info.size) {
		err_set(e, ERR_FILE,
			"the image has become smaller, %llu bytes, and the guest has a disk of "
			"%llu",
			(unsigned long long)size, (unsigned long long)b->info.size);
		return err_hint(e, "make it as large as it was at once: what was behind is lost");
	}
	*ret_size = size;
	return 0;
}

void block_set_size(struct block *b, uint64_t size)
{
	b->info.size = size;
}

int64_t raw_step(const struct block *b, const struct block_step *s)
{
	uint64_t range[2] = { s->offset, s->len };
	int64_t ret = 0;

	switch ((enum block_step_kind)s->kind) {
	case BLOCK_STEP_FAIL:
	case BLOCK_STEP_FORMAT:
		return 0;
	case BLOCK_STEP_READV:
		ret = preadv2(s->fd, s->iov, (int)s->niov, (off_t)s->offset, 0);
		break;
	case BLOCK_STEP_WRITEV:
		ret = pwritev2(s->fd, s->iov, (int)s->niov, (off_t)s->offset, s->mode);
		break;
	case BLOCK_STEP_SYNC:
		ret = fdatasync(s->fd);
		break;
	case BLOCK_STEP_FALLOCATE:
		ret = fallocate(s->fd, s->mode, (off_t)s->offset, (off_t)s->len);
		break;
	case BLOCK_STEP_BOUNCE_READ:
	case BLOCK_STEP_BOUNCE_WRITE:
		return direct_step(b, s);
	case BLOCK_STEP_DISCARD:
		ret = ioctl(s->fd, BLKDISCARD, range);
		break;
	}
	return ret < 0 ? -errno : ret;
}

/*
 * A format's own step. With O_DIRECT the buffer may take it, and what is around it: clusters are not smaller than what
 * is asked for, so that this is of the same cluster, where nothing else is under way.
 */
static int64_t raw_now(const struct block *b, struct block_step *s)
{
	int64_t n = b->step(b, s);

	return direct_retry(b, s, n, true) ? b->step(b, s) : n;
}

int raw_read(const struct block *b, void *buf, uint64_t len, uint64_t offset)
{
	return raw_read_fd(b, b->fd, buf, len, offset);
}

int raw_read_fd(const struct block *b, int fd, void *buf, uint64_t len, uint64_t offset)
{
	struct iovec iov = { .iov_base = buf, .iov_len = len };

	while (iov.iov_len) {
		struct block_step s = {
			.kind = BLOCK_STEP_READV, .fd = fd, .iov = &iov, .niov = 1, .offset = offset
		};
		int64_t n = raw_now(b, &s);

		if (n == -EINTR)
			continue;
		if (n < 0)
			return (int)n;
		if (n == 0) {
			memset(iov.iov_base, 0, iov.iov_len);
			break;
		}
		offset += (uint64_t)n;
		iov.iov_base = (uint8_t *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
	}
	return 0;
}

int raw_write(const struct block *b, struct iovec *iov, unsigned int niov, uint64_t offset)
{
	while (niov) {
		struct block_step s = { .kind = BLOCK_STEP_WRITEV,
					.fd = b->fd,
					.iov = iov,
					.niov = MIN(niov, IOV_MAX),
					.offset = offset };
		int64_t n = raw_now(b, &s);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		offset += (uint64_t)n;
		block_iov_skip(&iov, &niov, (uint64_t)n);
	}
	return 0;
}

int raw_write_buf(const struct block *b, const void *buf, uint64_t len, uint64_t offset)
{
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = len };

	return raw_write(b, &iov, 1, offset);
}

int raw_sync(const struct block *b)
{
	struct block_step s = { .kind = BLOCK_STEP_SYNC, .fd = b->fd };
	int64_t ret;

	if (b->unsafe)
		return 0;
	do
		ret = b->step(b, &s);
	while (ret == -EINTR);
	return (int)ret;
}
