// SPDX-License-Identifier: MIT
/* Making and removing VFs: Documentation/PCI/pci-iov-howto.rst, section 3.2. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "hostio/step.h"
#include "lib/auto.h"
#include "lib/errcat.h"

#define VFS_WAIT_MS \
	2000 /* Linux has made them when the write returns; what is late may be udev's or a driver's */
#define VFS_PAUSE_MS 10
#define VFS_MAX 65535

static bool vfs_there(struct kernel *k, const char *pf, unsigned int vf)
{
	char name[32], path[STEP_PATH];
	AUTO_CLOSE int fd = -1;

	/* through the link: the VF itself, whose driver_override is needed next */
	snprintf(name, sizeof(name), "virtfn%u/driver_override", vf);
	fd = hostfs_open(&k->fs, step_path(pf, name, path), O_PATH, NULL);
	return fd >= 0;
}

/* How many of the first count are there, when they stay away too. */
static unsigned int vfs_wait(struct kernel *k, const char *pf, unsigned int count)
{
	int64_t until_ms = step_now_ms() + VFS_WAIT_MS;
	unsigned int have = 0;

	do {
		while (have < count && vfs_there(k, pf, have))
			have++;
	} while (have < count && step_pause(until_ms, VFS_PAUSE_MS));
	return have;
}

static int vfs_read(struct kernel *k, const char *pf, uint64_t *ret_total, uint64_t *ret_now,
		    struct err *e)
{
	char path[STEP_PATH];

	if (hostfs_read_u64(&k->fs, step_path(pf, "sriov_totalvfs", path), ret_total, NULL) < 0) {
		err_set(e, ERR_HOST_VFS, "%s is no SR-IOV physical function", pf);
		return err_hint(e, "vmctl sriov pf list shows those of the host");
	}
	return hostfs_read_u64(&k->fs, step_path(pf, "sriov_numvfs", path), ret_now, e);
}

static int vfs_check(const char *pf, unsigned int count, uint64_t total, uint64_t now,
		     struct err *e)
{
	if (count > total)
		return err_set(e, ERR_HOST_VFS, "%s can have %" PRIu64 " VFs, not %u", pf, total,
			       count);
	if (count && now && now != count) {
		err_set(e, ERR_HOST_VFS,
			"%s has %" PRIu64
			" VFs: the kernel makes %u only after all of them are removed",
			pf, now, count);
		return err_hint(e, "free those in use first; vmctl sriov pf show %s lists them",
				pf);
	}
	return 0;
}

static int vfs_write(struct kernel *k, const char *pf, unsigned int count, struct err *e)
{
	char text[16], driver[STEP_NAME];
	int ret;

	snprintf(text, sizeof(text), "%u", count);
	ret = step_write(k, pf, "sriov_numvfs", text, e);
	if (ret != -ERR_HOST_WRITE)
		return ret;
	step_driver_name(k, pf, driver);
	e->code = ERR_HOST_VFS;
	err_because(e, "%s of %s did not %s its VFs", driver[0] ? driver : "the driver", pf,
		    count ? "make" : "remove");
	if (!driver[0])
		return err_hint(e, "%s has no driver: the one of the PF must be bound", pf);
	return err_hint(e,
			"dmesg | grep %s says more; VFs in use, a PF that is down or too few bus "
			"numbers are common reasons",
			pf);
}

int step_vfs(struct kernel *k, struct json_object *step, struct json_object **ret_result,
	     struct err *e)
{
	const char *pf = k->device;
	uint64_t total = 0, now = 0;
	unsigned int count, have;
	int ret = step_uint(step, "count", VFS_MAX, &count, e);

	if (ret >= 0)
		ret = vfs_read(k, pf, &total, &now, e);
	if (ret >= 0)
		ret = vfs_check(pf, count, total, now, e);
	if (ret >= 0)
		ret = step_write(k, pf, "sriov_drivers_autoprobe",
				 json_get_bool(step, "autoprobe", false) ? "1" : "0", e);
	if (ret >= 0 && now != count)
		ret = vfs_write(k, pf, count, e);
	if (ret < 0)
		return ret;
	have = vfs_wait(k, pf, count);
	if (have < count) {
		err_set(e, ERR_HOST_VFS, "%s made %u of %u VFs", pf, have, count);
		return err_hint(e, "ask for %u, or see why: dmesg | grep %s", have, pf);
	}
	*ret_result = json_add_int(json_new(), "count", count);
	return 0;
}
