// SPDX-License-Identifier: MIT
/*
 * The host's pseudo file systems below a root: see hostfs.h. openat2(2) has no wrapper in glibc 2.36.
 * RESOLVE_IN_ROOT keeps absolute links and ".." inside; magic links are refused with it. Any thread.
 */
#include "lib/hostfs.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/fdio.h"

int hostfs_init(struct hostfs *h, const char *root, struct err *e)
{
	h->host = !strcmp(root, "/");
	h->root = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return h->root < 0 ? err_errno(e, "cannot open '%s'", root) : 0;
}

void hostfs_fini(struct hostfs *h)
{
	if (h->root >= 0)
		close(h->root);
	h->root = -1;
}

int hostfs_open(const struct hostfs *h, const char *path, int flags, struct err *e)
{
	struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC),
				.resolve = RESOLVE_IN_ROOT };
	int fd;

	do {
		fd = (int)syscall(SYS_openat2, h->root, path, &how, sizeof(how));
	} while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	/* RestrictSUIDSGID= of systemd.exec(5) takes openat2 away, for its filters cannot look into it */
	if (fd < 0 && errno == ENOSYS && h->host)
		fd = openat(h->root, path, flags | O_CLOEXEC);
	return fd < 0 ? err_errno(e, "cannot open '/%s'", path) : fd;
}

int hostfs_sub(const struct hostfs *h, const char *path, struct hostfs *ret_sub, struct err *e)
{
	int fd = hostfs_open(h, path, O_PATH | O_DIRECTORY, e);

	if (fd < 0)
		return fd;
	*ret_sub = (struct hostfs){ .root = fd, .host = h->host };
	return 0;
}

ssize_t hostfs_read(const struct hostfs *h, const char *path, char *out, size_t size, struct err *e)
{
	AUTO_CLOSE int fd = hostfs_open(h, path, O_RDONLY, e);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = fdio_read(fd, out, size - 1);
	if (n < 0)
		return err_ret(e, (int)n, "cannot read '/%s'", path);
	while (n && isspace((unsigned char)out[n - 1]))
		n--;
	out[n] = '\0';
	return n;
}

ssize_t hostfs_readlink(const struct hostfs *h, const char *path, char *out, size_t size,
			struct err *e)
{
	AUTO_CLOSE int fd = hostfs_open(h, path, O_PATH | O_NOFOLLOW, e);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = readlinkat(fd, "", out, size - 1);
	if (n < 0) {
		/* an empty path is ENOENT where the descriptor is of no link */
		errno = errno == ENOENT ? EINVAL : errno;
		return err_errno(e, "cannot read the link '/%s'", path);
	}
	out[n] = '\0';
	return n;
}

int hostfs_read_u64(const struct hostfs *h, const char *path, uint64_t *ret_value, struct err *e)
{
	char text[32], *end;
	ssize_t n = hostfs_read(h, path, text, sizeof(text), e);
	unsigned long long value;

	if (n < 0)
		return (int)n;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || *end || errno)
		return err_set(e, EINVAL, "'/%s' holds no number", path);
	*ret_value = value;
	return 0;
}

int hostfs_write(const struct hostfs *h, const char *path, const char *text, struct err *e)
{
	AUTO_CLOSE int fd = hostfs_open(h, path, O_WRONLY | O_TRUNC, e);
	size_t len = strlen(text), shown = strcspn(text, "\n");
	ssize_t n;

	if (fd < 0)
		return fd;
	do {
		n = write(fd, text, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_errno(e, "cannot write '%.*s' to '/%s'", (int)shown, text, path);
	return 0;
}

int hostfs_each(const struct hostfs *h, const char *path, int (*each)(void *arg, const char *name),
		void *arg, struct err *e)
{
	AUTO_CLOSE int fd = hostfs_open(h, path, O_RDONLY | O_DIRECTORY, e);
	struct dirent *entry;
	int ret = 0;
	DIR *dir;

	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir)
		return err_errno(e, "cannot read '/%s'", path);
	TAKE_FD(fd);
	while (ret >= 0 && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			ret = each(arg, entry->d_name);
	closedir(dir);
	return MIN(ret, 0);
}
