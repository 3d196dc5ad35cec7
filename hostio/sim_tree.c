// SPDX-License-Identifier: MIT
/* Files of a simulated host: see sim.h. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hostio/sim.h"
#include "lib/auto.h"
#include "lib/fdio.h"

#define SIM_FILE_MAX (1024 * 1024)

static void sim_make_folders(struct kernel *k, const char *path)
{
	char part[SIM_PATH];

	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
		mkdirat(k->fs.root, part, 0755);
	}
}

/* In place: sysfs has one inode an attribute, and somebody may have it open. */
int sim_put_data(struct kernel *k, const char *path, const void *data, size_t size, struct err *e)
{
	AUTO_CLOSE int fd = openat(k->fs.root, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	ssize_t n;

	if (fd < 0 && errno == ENOENT) {
		sim_make_folders(k, path);
		fd = openat(k->fs.root, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	}
	if (fd < 0)
		return err_errno(e, "cannot write '%s/%s'", k->root, path);
	n = fdio_write(fd, data, size);
	/* not emptied first: file systems write such files to the disk at once */
	if (n >= 0 && ftruncate(fd, (off_t)size) < 0)
		n = -errno;
	return n < 0 ? err_ret(e, (int)n, "cannot write '%s/%s'", k->root, path) : 0;
}

int sim_put(struct kernel *k, const char *path, struct err *e, const char *fmt, ...)
{
	AUTO_FREE char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return err_set(e, ENOMEM, "no memory");
	return sim_put_data(k, path, text, (size_t)n, e);
}

int sim_link(struct kernel *k, const char *path, const char *target, struct err *e)
{
	char to[SIM_PATH] = "";
	size_t len = 0, same = 0;

	/* what both begin with is left out, as sysfs does */
	for (size_t i = 0; path[i] && path[i] == target[i]; i++)
		if (path[i] == '/')
			same = i + 1;
	for (const char *p = path + same; (p = strchr(p, '/')); p++)
		len += (size_t)snprintf(to + len, sizeof(to) - len, "../");
	snprintf(to + len, sizeof(to) - len, "%s", target + same);
	sim_make_folders(k, path);
	unlinkat(k->fs.root, path, 0);
	return symlinkat(to, k->fs.root, path) < 0
		       ? err_errno(e, "cannot make the link '%s/%s'", k->root, path)
		       : 0;
}

static int sim_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int sim_remove(struct kernel *k, const char *path, struct err *e)
{
	char whole[2 * SIM_PATH];

	snprintf(whole, sizeof(whole), "%s/%s", k->root, path);
	if (nftw(whole, sim_remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0 && errno != ENOENT)
		return err_errno(e, "cannot remove '%s'", whole);
	return 0;
}

bool sim_exists(struct kernel *k, const char *path)
{
	return faccessat(k->fs.root, path, F_OK, 0) == 0;
}

int sim_json_read(struct kernel *k, const char *path, struct json_object **ret_o, struct err *e)
{
	AUTO_CLOSE int fd = openat(k->fs.root, path, O_RDONLY | O_CLOEXEC);
	AUTO_FREE char *text = NULL;
	size_t len;
	int ret;

	if (fd < 0)
		return err_errno(e, "cannot open '%s/%s'", k->root, path);
	ret = fdio_read_file(fd, SIM_FILE_MAX, &text, &len, e);
	if (ret >= 0)
		ret = json_parse(text, len, ret_o, e);
	return ret < 0 ? err_wrap(e, "'%s/%s'", k->root, path) : 0;
}

int sim_json_write(struct kernel *k, const char *path, struct json_object *o, struct err *e)
{
	return sim_put(k, path, e, "%s\n",
		       json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
								 JSON_C_TO_STRING_NOSLASHESCAPE));
}

int sim_device(struct kernel *k, const char *pci, char out[static SIM_PATH], struct err *e)
{
	char path[SIM_PATH], to[SIM_PATH];
	const char *p = to;
	ssize_t n;

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s", pci);
	n = readlinkat(k->fs.root, path, to, sizeof(to) - 1);
	if (n < 0)
		return err_set(e, ENODEV, "no device %s", pci);
	to[n] = '\0';
	while (!strncmp(p, "../", 3))
		p += 3;
	snprintf(out, SIM_PATH, "sys/%.*s", SIM_PATH - 8, p);
	return 0;
}

struct json_object *sim_facts(struct kernel *k, const char *pci)
{
	struct json_object *facts = NULL;
	char path[SIM_PATH];

	snprintf(path, sizeof(path), "sim/dev/%s.json", pci);
	return sim_json_read(k, path, &facts, NULL) < 0 ? NULL : facts;
}

void sim_text(struct kernel *k, const char *pci, const char *name, char *out, size_t size)
{
	char path[SIM_PATH];

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/%s", pci, name);
	if (hostfs_read(&k->fs, path, out, size, NULL) < 0)
		out[0] = '\0';
}
