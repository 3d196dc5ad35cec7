// SPDX-License-Identifier: MIT
/*
 * The store of a VM's UEFI variables: see gather.h. Made of the template at the first start, whole or not at all, and only
 * for vmd's user to read: it may hold what the guest keeps from others. On a worker, with vmd's rights.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "vmd/gather.h"
#include "vmd/nvram.h"

static int gather_nvram_failed(const char *path, int error, struct err *e)
{
	return err_set(e, ERR_FILE, "variable store '%s': %s", path, strerror(error));
}

/* One that the firmware cannot use must not become a store, which stays. vmm looks again, at the store. */
static int gather_nvram_check(const struct gather *g, int template, struct err *e)
{
	int64_t code = json_get_int(json_at(g->config, "/boot/firmware"), "fd", -1);
	struct stat st, code_st;

	if (code < 0 || code >= g->fds.n)
		return 0;
	if (fstat(template, &st) < 0 || fstat(g->fds.fds[code], &code_st) < 0)
		return err_errno(e, "template of variables");
	return vmdef_check_vars((uint64_t)code_st.st_size, (uint64_t)st.st_size, e);
}

/* Under another name until it is on the disk. */
static int gather_nvram_copy(int template, int folder, const char *name, const char *path,
			     struct err *e)
{
	AUTO_FREE char *data = NULL;
	AUTO_CLOSE int fd = -1;
	char part[64];
	size_t len = 0;
	int ret = fdio_read_file(template, VMDEF_VARS_MAX, &data, &len, e);

	if (ret < 0)
		return ret;
	snprintf(part, sizeof(part), "%.50s" NVRAM_PART, name);
	fd = openat(folder, part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return gather_nvram_failed(path, errno, e);
	ret = (int)fdio_write(fd, data, len);
	if (ret >= 0 &&
	    (fsync(fd) < 0 || renameat(folder, part, folder, name) < 0 || fsync(folder) < 0))
		ret = -errno;
	if (ret >= 0)
		return 0;
	unlinkat(folder, part, 0);
	return gather_nvram_failed(path, -ret, e);
}

static int gather_nvram_folder(const char *path, const char **ret_name, struct err *e)
{
	char folder[512];
	int fd;

	*ret_name = strrchr(path, '/') + 1;
	snprintf(folder, sizeof(folder), "%.*s", (int)(*ret_name - path), path);
	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return gather_nvram_failed(path, errno, e);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? gather_nvram_failed(path, errno, e) : fd;
}

static int gather_nvram_open(const struct gather *g, int template, const char *path, struct err *e)
{
	const int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC;
	const char *name;
	AUTO_CLOSE int folder = gather_nvram_folder(path, &name, e);
	int fd, ret;

	if (folder < 0)
		return folder;
	fd = openat(folder, name, flags);
	if (fd < 0 && errno == ENOENT) {
		ret = gather_nvram_check(g, template, e);
		if (ret >= 0)
			ret = gather_nvram_copy(template, folder, name, path, e);
		if (ret < 0)
			return ret;
		fd = openat(folder, name, flags);
	}
	return fd < 0 ? gather_nvram_failed(path, errno, e) : fd;
}

/* The store's descriptor in the place of the template's. */
static int gather_nvram_of(struct gather *g, struct json_object *device, struct err *e)
{
	const char *path = json_get_str(device, NVRAM_STORE, NULL);
	int64_t index = json_get_int(json_get(device, "vars"), "fd", -1);
	int fd;

	if (!path || index < 0 || index >= g->fds.n)
		return 0;
	fd = gather_nvram_open(g, g->fds.fds[index], path, e);
	if (fd < 0)
		return fd;
	close(g->fds.fds[index]);
	g->fds.fds[index] = fd;
	json_object_object_del(device, NVRAM_STORE);
	return 0;
}

int gather_nvram(struct gather *g, struct err *e)
{
	struct json_object *devices = json_get(g->config, "devices");
	size_t count = devices ? json_object_array_length(devices) : 0;
	int ret = 0;

	for (size_t i = 0; i < count && ret >= 0; i++) {
		struct json_object *d = json_object_array_get_idx(devices, i);

		if (!strcmp(json_get_str(d, "type", ""), NVRAM_TYPE))
			ret = gather_nvram_of(g, d, e);
	}
	return ret;
}
