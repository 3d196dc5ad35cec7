// SPDX-License-Identifier: MIT
/*
 * Drivers and resets by sysfs: Documentation/ABI/testing/sysfs-bus-pci, "driver_override", "drivers_probe", "reset".
 * new_id is not used: it would take every device of that kind.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hostio/step.h"
#include "lib/auto.h"
#include "lib/errcat.h"

#define DRIVER_SETTLE_MS 8000 /* below HOSTIO_MS */
#define DRIVER_PAUSE_MS 20

static int driver_loaded(struct kernel *k, const char *driver, struct err *e)
{
	AUTO_CLOSE int fd = -1;
	char path[STEP_PATH];

	if (!driver[0] || strchr(driver, '/') || !strcmp(driver, "..") || !strcmp(driver, "."))
		return err_set(e, EINVAL, "'%s' is no name of a driver", driver);
	snprintf(path, sizeof(path), "sys/bus/pci/drivers/%s", driver);
	fd = hostfs_open(&k->fs, path, O_PATH, NULL);
	if (fd >= 0)
		return 0;
	err_set(e, ERR_HOST_DRIVER, "the host has no PCI driver '%s': its module is not loaded",
		driver);
	return err_hint(e, "modprobe %s", driver);
}

/* Not an error when somebody else was faster. */
static int driver_unbind(struct kernel *k, const char *pci, struct err *e)
{
	char before[STEP_NAME], now[STEP_NAME];
	struct err why = { 0 };
	int ret;

	step_driver_name(k, pci, before);
	if (!before[0])
		return 0;
	ret = step_write(k, pci, "driver/unbind", pci, &why);
	step_driver_name(k, pci, now);
	if (!now[0] && ret != -ERR_HOST_GONE)
		return 0;
	if (ret >= 0)
		return err_set(e, ERR_HOST_DRIVER, "%s is still bound to %s after its unbind", pci,
			       now);
	*e = why;
	return ret;
}

/*
 * nvme takes a controller at once and brings it up afterwards; one that does not come up it leaves again, after half a
 * second or when the controller's own limit has passed (NVMe 1.3, 3.1.1, CAP.TO).
 */
static void driver_settle(struct kernel *k, const char *pci)
{
	int64_t until_ms = step_now_ms() + DRIVER_SETTLE_MS;
	char driver[STEP_NAME], name[STEP_NAME], path[STEP_PATH], attr[STEP_NAME + 16], state[32];

	do {
		step_driver_name(k, pci, driver);
		if (strcmp(driver, "nvme"))
			return;
		step_first_name(k, pci, "nvme", name);
		snprintf(attr, sizeof(attr), "nvme/%.40s/state", name);
		if (name[0] &&
		    hostfs_read(&k->fs, step_path(pci, attr, path), state, sizeof(state), NULL) >
			    0 &&
		    !strcmp(state, "live"))
			return;
	} while (step_pause(until_ms, DRIVER_PAUSE_MS));
}

/* The kernel says yes to a probe that bound nothing: the link tells. */
static int driver_verify(struct kernel *k, const char *pci, const char *driver, struct err *e)
{
	char now[STEP_NAME];

	driver_settle(k, pci);
	step_driver_name(k, pci, now);
	if (!strcmp(now, driver))
		return 0;
	err_set(e, ERR_HOST_DRIVER, "driver %s did not take %s: %s%s", driver, pci,
		now[0] ? "it is bound to " : "it has none now", now);
	return err_hint(e, "the driver says why in the kernel's log: dmesg | grep %s", pci);
}

/*
 * By an override also where that is not to stay: without one a driver never takes a VF whose PF has
 * sriov_drivers_autoprobe 0, and another driver that knows the device could be faster.
 */
static int driver_bind(struct kernel *k, const char *pci, const char *driver, struct err *e)
{
	int ret = driver_unbind(k, pci, e);

	if (ret >= 0)
		ret = step_write(k, pci, "driver_override", driver, e);
	if (ret >= 0)
		ret = step_write(k, pci, "/drivers_probe", pci, e);
	return ret < 0 ? ret : driver_verify(k, pci, driver, e);
}

static int driver_set_override(struct kernel *k, const char *pci, const char *want, struct err *e)
{
	char now[STEP_NAME];

	step_override(k, pci, now);
	return strcmp(now, want) ? step_write(k, pci, "driver_override", want[0] ? want : "\n", e)
				 : 0;
}

int step_driver(struct kernel *k, struct json_object *step, struct json_object **ret_result,
		struct err *e)
{
	bool keep = json_get_bool(step, "override", true);
	const char *pci = k->device, *driver;
	char now[STEP_NAME];
	int ret = step_str(step, "driver", &driver, e);

	(void)ret_result;
	if (ret >= 0 && driver[0])
		ret = driver_loaded(k, driver, e);
	if (ret < 0)
		return ret;
	step_driver_name(k, pci, now);
	if (!driver[0])
		ret = driver_unbind(k, pci, e);
	else if (strcmp(now, driver))
		ret = driver_bind(k, pci, driver, e);
	if (ret >= 0)
		return driver_set_override(k, pci, keep ? driver : "", e);
	/* a stale override keeps every driver off it; the first error is the one to tell */
	driver_set_override(k, pci, "", NULL);
	return ret;
}

static int reset_unreadable(const char *pci, struct err *e)
{
	err_set(e, ERR_HOST_RESET,
		"%s does not answer after its reset: configuration space reads ffffffff", pci);
	return err_hint(e, "the device is not usable until the host is switched off and on");
}

int step_reset(struct kernel *k, struct json_object *step, struct json_object **ret_result,
	       struct err *e)
{
	const char *pci = k->device;
	char path[STEP_PATH], methods[STEP_NAME] = "";
	AUTO_CLOSE int fd = hostfs_open(&k->fs, step_path(pci, "reset", path), O_PATH, NULL);
	int ret;

	(void)step;
	(void)ret_result;
	if (fd < 0) {
		err_set(e, ERR_HOST_RESET, "%s cannot be reset: the kernel knows no method for it",
			pci);
		return err_hint(e, "vmctl pci doctor %s", pci);
	}
	ret = step_write(k, pci, "reset", "1", e);
	if (ret < 0 && ret != -ERR_HOST_WRITE)
		return ret;
	if (!step_config_answers(k, pci))
		return reset_unreadable(pci, e);
	if (ret >= 0)
		return 0;
	hostfs_read(&k->fs, step_path(pci, "reset_method", path), methods, sizeof(methods), NULL);
	e->code = ERR_HOST_RESET;
	return err_because(e, "the reset of %s failed (methods: %s)", pci,
			   methods[0] ? methods : "not known");
}
