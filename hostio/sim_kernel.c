// SPDX-License-Identifier: MIT
/* Writes to the sysfs of a simulated host, and what comes of them: see sim.h. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hostio/sim.h"
#include "lib/auto.h"

/* What a device's attribute does; text has no LF at its end. */
struct sim_attribute {
	const char *name;
	int (*store)(struct kernel *k, const char *pci, const char *text,
		     const struct sim_fault *fault, struct err *e);
};

static int sim_store_unbind(struct kernel *k, const char *pci, const char *text,
			    const struct sim_fault *fault, struct err *e)
{
	(void)fault;
	return strcmp(text, pci) ? err_set(e, ENODEV, "%s", strerrordesc_np(ENODEV))
				 : sim_unbind(k, pci, e);
}

static int sim_store_override(struct kernel *k, const char *pci, const char *text,
			      const struct sim_fault *fault, struct err *e)
{
	char path[SIM_PATH];

	(void)fault;
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/driver_override", pci);
	return sim_put(k, path, e, "%s\n", text[0] ? text : "(null)");
}

static int sim_store_reset(struct kernel *k, const char *pci, const char *text,
			   const struct sim_fault *fault, struct err *e)
{
	(void)k;
	(void)pci;
	(void)fault;
	return strcmp(text, "1") ? err_set(e, EINVAL, "%s", strerrordesc_np(EINVAL)) : 0;
}

static int sim_store_numvfs(struct kernel *k, const char *pci, const char *text,
			    const struct sim_fault *fault, struct err *e)
{
	return sim_set_vfs(k, pci, (unsigned int)strtoul(text, NULL, 10),
			   fault->count >= 0 ? (unsigned int)fault->count : UINT_MAX, e);
}

static int sim_store_autoprobe(struct kernel *k, const char *pci, const char *text,
			       const struct sim_fault *fault, struct err *e)
{
	char path[SIM_PATH];

	(void)fault;
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/sriov_drivers_autoprobe", pci);
	return sim_put(k, path, e, "%s\n", text);
}

static const struct sim_attribute sim_attributes[] = {
	{ "driver/unbind", sim_store_unbind }, { "driver_override", sim_store_override },
	{ "reset", sim_store_reset },	       { "sriov_drivers_autoprobe", sim_store_autoprobe },
	{ "sriov_numvfs", sim_store_numvfs },
};

static int sim_store(struct kernel *k, const char *path, const char *text,
		     const struct sim_fault *fault, struct err *e)
{
	static const char devices[] = "sys/bus/pci/devices/";
	const char *rest = path + sizeof(devices) - 1, *name;
	char pci[SIM_NAME];

	if (!strcmp(path, "sys/bus/pci/drivers_probe")) {
		sim_probe(k, text, NULL); /* what binds nothing is no error, in Linux too */
		return 0;
	}
	name = strncmp(path, devices, sizeof(devices) - 1) ? NULL : strchr(rest, '/');
	if (!name || !sim_exists(k, path))
		return err_set(e, ENOENT, "%s", strerrordesc_np(ENOENT));
	snprintf(pci, sizeof(pci), "%.*s", (int)(name - rest), rest);
	for (size_t i = 0; i < ARRAY_SIZE(sim_attributes); i++)
		if (!strcmp(name + 1, sim_attributes[i].name))
			return sim_attributes[i].store(k, pci, text, fault, e);
	return err_set(e, EACCES, "%s", strerrordesc_np(EACCES));
}

static int sim_write(struct kernel *k, const char *path, const char *text, struct err *e)
{
	AUTO_CLOSE int lock = -1;
	const char *at = strrchr(path, '/') + 1;
	struct sim_fault fault;
	char line[SIM_NAME];
	int ret;

	snprintf(line, sizeof(line), "%.*s", (int)strcspn(text, "\n"), text);
	ret = sim_fault(k, at, &fault, e);
	if (ret >= 0) {
		lock = sim_lock(k, e);
		ret = MIN(lock, 0);
	}
	if (ret >= 0 && fault.vanish)
		sim_device_remove(k, k->device);
	if (ret >= 0 && fault.broken)
		ret = sim_break(k, k->device, e);
	if (ret >= 0 && !fault.ignore)
		ret = sim_store(k, path, line, &fault, e);
	/* as hostfs_write says it */
	return ret < 0 ? err_wrap(e, "cannot write '%s' to '/%s'", line, path) : 0;
}

static const struct kernel_ops sim_ops = {
	.write = sim_write,
	.link = sim_link_up,
	.vf_get = sim_vf_get,
	.vf_macs = sim_vf_macs,
	.vf_set = sim_vf_set,
	.nvme = sim_nvme,
};

int sim_init(struct kernel *k, const char *root, struct err *e)
{
	*k = (struct kernel){ .ops = &sim_ops, .root = root };
	return hostfs_init(&k->fs, root, e);
}
