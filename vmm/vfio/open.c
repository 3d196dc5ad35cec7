// SPDX-License-Identifier: MIT
/* Opening VFIO's descriptors from a shell: see open.h; Linux Documentation/driver-api/vfio.rst. Before the cage. */
#include "vmm/vfio/open.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/iommufd.h"
#include "lib/pci_addr.h"

#define VFIO_SYSFS "/sys/bus/pci/devices/"

/* The last part of a link's target: its length, or -errno. */
static int vfio_link_name(const char *host, const char *what, char *out, size_t size)
{
	char path[128], target[PATH_MAX];
	const char *name;
	ssize_t n;

	snprintf(path, sizeof(path), VFIO_SYSFS "%s/%s", host, what);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	name = strrchr(target, '/');
	return snprintf(out, size, "%s", name ? name + 1 : target);
}

static int vfio_check_bound(const char *host, struct err *e)
{
	char path[128], driver[64];

	snprintf(path, sizeof(path), VFIO_SYSFS "%s", host);
	if (access(path, F_OK))
		return err_set(e, ERR_VFIO, "this host has no PCI function %s", host);
	if (vfio_link_name(host, "driver", driver, sizeof(driver)) < 0)
		err_set(e, ERR_VFIO, "%s has no driver, and needs vfio-pci", host);
	/* drivers of one vendor's devices for VFIO are called so too */
	else if (strstr(driver, "vfio"))
		return 0;
	else
		err_set(e, ERR_VFIO, "%s is the driver '%s''s, and needs vfio-pci", host, driver);
	return err_hint(e,
			"modprobe vfio-pci; cd " VFIO_SYSFS
			"%s; echo vfio-pci >driver_override; echo %s "
			">driver/unbind; echo %s >/sys/bus/pci/drivers_probe",
			host, host, host);
}

static int vfio_open_node(const char *path, struct err *e)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	err_set(e, ERR_VFIO, "cannot open '%s': %s", path, strerror(errno));
	if (errno == EBUSY)
		return err_hint(e, "another process has it open: fuser -v %s", path);
	if (errno == EACCES || errno == EPERM)
		return err_hint(e, "run as root, or give your user the right: chown $USER %s",
				path);
	return err_hint(e, "modprobe vfio-pci");
}

static int vfio_give(struct json_object *d, struct fdset *fds, const char *member, int take_fd,
		     struct err *e)
{
	int index = fdset_add(fds, take_fd);

	if (index < 0)
		return err_set(e, ERR_INVALID, "more than %d files", FDSET_MAX);
	json_add(d, member, json_add_int(json_new(), "fd", index));
	return 0;
}

/* --- by groups --------------------------------------------------------------------------------------------- */

/* A group opens once: a later device of it gets a copy. */
static int vfio_open_group_fd(struct json_object *devices, size_t before, unsigned long group,
			      const struct fdset *fds, struct err *e)
{
	char path[64];

	for (size_t i = 0; i < before; i++) {
		struct json_object *d = json_object_array_get_idx(devices, i);
		int64_t index = json_get_int(json_get(d, "group_fd"), "fd", -1);

		if (index >= 0 && json_get_int(d, "group", -1) == (int64_t)group)
			return fcntl(fds->fds[index], F_DUPFD_CLOEXEC, 0);
	}
	snprintf(path, sizeof(path), "/dev/vfio/%lu", group);
	return vfio_open_node(path, e);
}

static int vfio_open_by_group(struct json_object *devices, size_t at, const char *host,
			      struct fdset *fds, struct err *e)
{
	struct json_object *d = json_object_array_get_idx(devices, at);
	char name[32];
	unsigned long group;
	int fd, r;

	if (vfio_link_name(host, "iommu_group", name, sizeof(name)) < 0) {
		err_set(e, ERR_VFIO, "%s is behind no IOMMU", host);
		return err_hint(
			e, "switch VT-d or AMD-Vi on in the firmware's setup; on Intel hosts with "
			   "intel_iommu=on on the kernel's command line");
	}
	group = strtoul(name, NULL, 10);
	fd = vfio_open_group_fd(devices, at, group, fds, e);
	if (fd < 0)
		return fd;
	json_add_int(d, "group", (int64_t)group);
	r = vfio_give(d, fds, "group_fd", fd, e);
	if (r < 0)
		return r;
	fd = vfio_open_node("/dev/vfio/vfio", e);
	return fd < 0 ? fd : vfio_give(d, fds, "container_fd", fd, e);
}

/* --- by descriptors of their own --------------------------------------------------------------------------- */

/* "/dev/vfio/devices/vfio3", where kernel and device have that. */
static bool vfio_device_node(const char *host, char *out, size_t size)
{
	char path[128];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	if (access("/dev/iommu", F_OK))
		return false;
	snprintf(path, sizeof(path), VFIO_SYSFS "%s/vfio-dev", host);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "vfio", 4) != 0)
			continue;
		snprintf(out, size, "/dev/vfio/devices/%.32s", entry->d_name);
		found = !access(out, F_OK);
	}
	if (dir)
		closedir(dir);
	return found;
}

static int vfio_open_by_device(struct json_object *d, const char *node, struct fdset *fds,
			       struct err *e)
{
	int fd = vfio_open_node(node, e), r;

	if (fd < 0)
		return fd;
	r = vfio_give(d, fds, "device_fd", fd, e);
	if (r < 0)
		return r;
	fd = vfio_open_node("/dev/iommu", e);
	if (fd < 0)
		return fd;
	(void)iommufd_count_by_process(fd); /* where the user may */
	return vfio_give(d, fds, "iommu_fd", fd, e);
}

static int vfio_open_one(struct json_object *devices, size_t at, const char *pci, struct fdset *fds,
			 struct err *e)
{
	struct json_object *d = json_object_array_get_idx(devices, at);
	char host[PCI_ADDR_SIZE], node[64];
	struct pci_addr addr;
	int r = pci_addr_parse(pci, &addr, e);

	if (r < 0)
		return r;
	pci_addr_format(&addr, host);
	r = vfio_check_bound(host, e);
	if (r < 0)
		return r;
	json_object_object_del(d, "pci");
	json_add_str(d, "host", host);
	if (vfio_device_node(host, node, sizeof(node)))
		return vfio_open_by_device(d, node, fds, e);
	return vfio_open_by_group(devices, at, host, fds, e);
}

int vfio_open_devices(struct json_object *config, struct fdset *fds, struct err *e)
{
	struct json_object *devices = json_get(config, "devices");
	size_t count = devices ? json_object_array_length(devices) : 0;
	int n = 0;

	for (size_t i = 0; i < count; i++) {
		struct json_object *d = json_object_array_get_idx(devices, i);
		const char *pci = json_get_str(d, "pci", NULL);

		if (strcmp(json_get_str(d, "type", ""), "vfio-pci") != 0 || !pci)
			continue;
		if (vfio_open_one(devices, i, pci, fds, e) < 0)
			return err_wrap(e, "device '%s'", json_get_str(d, "id", ""));
		n++;
	}
	return n;
}
