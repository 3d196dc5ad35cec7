// SPDX-License-Identifier: MIT
/* Opening the host's devices for a vmm: see gather.h. On a worker. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "lib/iommufd.h"
#include "vmd/gather.h"

#define GATHER_BARS 7			 /* with the expansion ROM: lines of sysfs' resource */
#define GATHER_LOCK_MARGIN (64ull << 20) /* vmm's own, and rings that the kernel counts */

static int gather_open(struct gather *g, const char *path, unsigned int *ret_index, struct err *e)
{
	int fd = hostfs_open(g->host, path, O_RDWR | O_CLOEXEC, e), index;

	if (fd < 0) {
		if (e)
			e->code = ERR_LEASE_VFIO;
		err_hint(e, "modprobe vfio-pci; ls -l /dev/vfio");
		return -ERR_LEASE_VFIO;
	}
	index = fdset_add(&g->fds, fd);
	if (index < 0)
		return err_ret(e, index, "too many files");
	*ret_index = (unsigned int)index;
	return 0;
}

static struct json_object *gather_fd(unsigned int index)
{
	return json_add_int(json_new(), "fd", index);
}

/* The name in sys/bus/pci/devices/ADDRESS/vfio-dev: "vfio3". */
static int gather_take_cdev(void *arg, const char *name)
{
	if (!strncmp(name, "vfio", 4) && strlen(name) < 32)
		snprintf(arg, 32, "%s", name);
	return 0;
}

/* 1: it has a device file, and there is an iommufd. */
static int gather_cdev(struct gather *g, struct json_object *device, const char *pci, struct err *e)
{
	char path[128], name[32] = "";
	AUTO_CLOSE int probe = hostfs_open(g->host, "dev/iommu", O_PATH | O_CLOEXEC, NULL);
	unsigned int iommu = 0, index = 0;
	int ret;

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/vfio-dev", pci);
	if (probe < 0 || hostfs_each(g->host, path, gather_take_cdev, name, NULL) < 0 || !name[0])
		return 0;
	snprintf(path, sizeof(path), "dev/vfio/devices/%s", name);
	ret = gather_open(g, path, &index, e);
	if (ret >= 0)
		ret = gather_open(g, "dev/iommu", &iommu, e);
	if (ret < 0)
		return ret;
	/* as vmd may, whoever it is: else the sum of a user's VMs is held against the limit of each */
	(void)iommufd_count_by_process(g->fds.fds[iommu]);
	json_add(device, "device_fd", gather_fd(index));
	json_add(device, "iommu_fd", gather_fd(iommu));
	return 1;
}

/* The number of its IOMMU group. -1: it has none. */
static long gather_group_number(const struct gather *g, const char *pci)
{
	char path[128], link[256];
	const char *group = NULL;

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/iommu_group", pci);
	if (hostfs_readlink(g->host, path, link, sizeof(link), NULL) >= 0)
		group = strrchr(link, '/');
	if (!group || !group[1] || strspn(group + 1, "0123456789") != strlen(group + 1))
		return -1;
	return strtol(group + 1, NULL, 10);
}

/* A copy of an earlier device's descriptor: 1; a group opens once. */
static int gather_group_copy(struct gather *g, long group, unsigned int *ret_index, struct err *e)
{
	struct json_object *devices = json_get(g->config, "devices");

	for (size_t i = 0; i < json_object_array_length(devices); i++) {
		struct json_object *d = json_object_array_get_idx(devices, i);
		int64_t of = json_get_int(json_get(d, "group_fd"), "fd", -1);
		int fd, index;

		if (of < 0 || json_get_int(d, "group", -1) != group)
			continue;
		fd = fcntl(g->fds.fds[of], F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			return err_errno(e, "IOMMU group %ld", group);
		index = fdset_add(&g->fds, fd);
		if (index < 0)
			return err_ret(e, index, "too many files");
		*ret_index = (unsigned int)index;
		return 1;
	}
	return 0;
}

/* Does the VM that this one comes to have another of that group? Then its vmm has the group. */
static bool gather_group_held(const struct gather *g, const char *pci, long group)
{
	struct json_object *held = json_get(g->config, "held");
	size_t n = held ? json_object_array_length(held) : 0;

	for (size_t i = 0; i < n; i++) {
		const char *other = json_object_get_string(json_object_array_get_idx(held, i));

		if (strcmp(pci, other) != 0 && gather_group_number(g, other) == group)
			return true;
	}
	return false;
}

static int gather_group(struct gather *g, struct json_object *device, const char *pci,
			struct err *e)
{
	long group = gather_group_number(g, pci);
	unsigned int group_fd = 0, container = 0;
	char path[64];
	int ret;

	if (group < 0)
		return err_set(e, ERR_LEASE_VFIO, "device %s has no IOMMU group", pci);
	json_add_int(device, "group", group);
	snprintf(path, sizeof(path), "dev/vfio/%ld", group);
	ret = gather_group_copy(g, group, &group_fd, e);
	if (!ret && gather_group_held(g, pci, group))
		return 0;
	if (!ret)
		ret = gather_open(g, path, &group_fd, e);
	if (ret >= 0)
		ret = gather_open(g, "dev/vfio/vfio", &container, e);
	if (ret < 0)
		return ret;
	json_add(device, "group_fd", gather_fd(group_fd));
	json_add(device, "container_fd", gather_fd(container));
	return 0;
}

/* Sizes of the regions that sysfs' file resource lists: start, end and flags of each. */
static uint64_t gather_bars(const struct gather *g, const char *pci)
{
	char path[128], text[2048];
	const char *line = text;
	uint64_t sum = 0;

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/resource", pci);
	if (hostfs_read(g->host, path, text, sizeof(text), NULL) < 0)
		return 0;
	for (int i = 0; i < GATHER_BARS && line; i++) {
		uint64_t start, end;

		if (sscanf(line, "%" SCNx64 " %" SCNx64, &start, &end) == 2 && end > start)
			sum += end - start + 1;
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	return sum;
}

/* What vmm knows a device by; the rest of the entry was for vmd. */
static int gather_device(struct gather *g, struct json_object *device, struct err *e)
{
	static const char *const ours[] = { "pci",
					    "pool",
					    "mac",
					    "vlan",
					    "qos",
					    "trust",
					    "spoofchk",
					    "rate",
					    "numa",
					    "identity",
					    "on_device_request" };
	char pci[32];
	int ret;

	snprintf(pci, sizeof(pci), "%s", json_get_str(device, "pci", ""));
	g->memlock += gather_bars(g, pci);
	if (!g->dir[0] && !g->more)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		json_object_object_del(device, ours[i]);
	json_add_str(device, "host", pci);
	ret = gather_cdev(g, device, pci, e);
	return ret ? MIN(ret, 0) : gather_group(g, device, pci, e);
}

/* What a VM that runs has to be able to lock for those that it has. */
static uint64_t gather_held(const struct gather *g)
{
	struct json_object *held = json_get(g->config, "held");
	size_t count = held ? json_object_array_length(held) : 0;
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += gather_bars(g, json_object_get_string(json_object_array_get_idx(held, i)));
	return sum;
}

int gather_vfio(struct gather *g, struct err *e)
{
	struct json_object *devices = json_get(g->config, "devices");
	size_t count = devices ? json_object_array_length(devices) : 0;
	int ret = 0;

	for (size_t i = 0; i < count && ret >= 0; i++) {
		struct json_object *device = json_object_array_get_idx(devices, i);

		if (strcmp(json_get_str(device, "type", ""), "vfio-pci") != 0)
			continue;
		if (!g->memlock)
			g->memlock =
				GATHER_LOCK_MARGIN + gather_held(g) +
				(uint64_t)json_get_int(json_get(g->config, "memory"), "size", 0);
		ret = gather_device(g, device, e);
	}
	return ret;
}
