// SPDX-License-Identifier: MIT
/*
 * Devices of a simulated host, and what drivers do to them: see sim.h. drivers/base/dd.c, drivers/pci/pci-driver.c,
 * drivers/pci/iov.c of Linux are what is imitated. The tree's lock is held.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hostio/sim.h"
#include "hostio/sim_config.h"
#include "lib/auto.h"
#include "lib/pci_addr.h"

/* --- what is there of a device ------------------------------------------------------------------ */

static int sim_group_make(struct kernel *k, const struct sim_function *f, const char *dir,
			  struct err *e)
{
	char group[SIM_PATH], path[2 * SIM_PATH];
	int ret;

	if (f->group < 0)
		return 0;
	snprintf(group, sizeof(group), "sys/kernel/iommu_groups/%d", f->group);
	snprintf(path, sizeof(path), "%s/devices/%s", group, f->pci);
	ret = sim_link(k, path, dir, e);
	snprintf(path, sizeof(path), "%s/type", group);
	if (ret >= 0)
		ret = sim_put(k, path, e, "DMA-FQ\n");
	snprintf(path, sizeof(path), "%.400s/iommu_group", dir);
	return ret < 0 ? ret : sim_link(k, path, group, e);
}

struct sim_files {
	struct kernel *k;
	const char *dir;
	struct err *e;
	int ret;
};

static void sim_file(struct sim_files *s, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void sim_file(struct sim_files *s, const char *name, const char *fmt, ...)
{
	char path[SIM_PATH], text[256];
	va_list ap;

	if (s->ret < 0)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(path, sizeof(path), "%.400s/%s", s->dir, name);
	s->ret = sim_put(s->k, path, s->e, "%s", text);
}

static void sim_files_reset(struct sim_files *s, const struct sim_function *f)
{
	if (!f->reset_method[0])
		return;
	sim_file(s, "reset", "%s", "");
	sim_file(s, "reset_method", "%s\n", f->reset_method);
}

static void sim_files_sriov(struct sim_files *s, const struct sim_function *f)
{
	if (!f->total_vfs)
		return;
	sim_file(s, "sriov_totalvfs", "%u\n", f->total_vfs);
	sim_file(s, "sriov_numvfs", "0\n");
	sim_file(s, "sriov_drivers_autoprobe", "1\n");
	sim_file(s, "sriov_vf_device", "%x\n",
		 (unsigned int)json_get_int(f->facts, "vf_device", 0));
	sim_file(s, "sriov_offset", "%d\n", (int)json_get_int(f->facts, "vf_offset", 0));
	sim_file(s, "sriov_stride", "%d\n", (int)json_get_int(f->facts, "vf_stride", 0));
}

int sim_device_make(struct kernel *k, const struct sim_function *f, struct err *e)
{
	char dir[SIM_PATH], path[SIM_PATH], config[SIM_CONFIG_SIZE];
	struct sim_files s = { .k = k, .dir = dir, .e = e };

	snprintf(dir, sizeof(dir), "%.400s/%s", f->parent, f->pci);
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s", f->pci);
	s.ret = sim_link(k, path, dir, e);
	sim_file(&s, "vendor", "0x%04x\n", f->vendor);
	sim_file(&s, "device", "0x%04x\n", f->device);
	sim_file(&s, "subsystem_vendor", "0x%04x\n", f->vendor);
	sim_file(&s, "subsystem_device", "0x%04x\n", f->subsystem);
	sim_file(&s, "class", "0x%06x\n", f->class_code);
	sim_file(&s, "revision", "0x01\n");
	sim_file(&s, "irq", "0\n");
	sim_file(&s, "enable", "0\n");
	sim_file(&s, "numa_node", "%d\n", f->node);
	sim_file(&s, "driver_override", "(null)\n");
	sim_file(&s, "resource", "%s", sim_config_resource(f, path, sizeof(path)));
	sim_files_reset(&s, f);
	sim_files_sriov(&s, f);
	snprintf(path, sizeof(path), "%.400s/config", dir);
	if (s.ret >= 0)
		s.ret = sim_put_data(k, path, config, sim_config_make(f, config), e);
	snprintf(path, sizeof(path), "%.400s/subsystem", dir);
	if (s.ret >= 0)
		s.ret = sim_link(k, path, "sys/bus/pci", e);
	snprintf(path, sizeof(path), "sim/dev/%s.json", f->pci);
	if (s.ret >= 0)
		s.ret = sim_json_write(k, path, f->facts, e);
	return s.ret < 0 ? s.ret : sim_group_make(k, f, dir, e);
}

static void sim_group_remove(struct kernel *k, const char *pci)
{
	char group[SIM_PATH], path[2 * SIM_PATH];
	ssize_t n;

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/iommu_group", pci);
	n = hostfs_readlink(&k->fs, path, group, sizeof(group), NULL);
	if (n <= 0 || !strrchr(group, '/'))
		return;
	snprintf(path, sizeof(path), "sys/kernel/iommu_groups%s/devices/%s", strrchr(group, '/'),
		 pci);
	sim_remove(k, path, NULL);
	snprintf(path, sizeof(path), "sys/kernel/iommu_groups%s/devices", strrchr(group, '/'));
	if (unlinkat(k->fs.root, path, AT_REMOVEDIR) == 0) {
		snprintf(path, sizeof(path), "sys/kernel/iommu_groups%s", strrchr(group, '/'));
		sim_remove(k, path, NULL);
	}
}

void sim_device_remove(struct kernel *k, const char *pci)
{
	char dir[SIM_PATH], path[SIM_PATH];

	if (sim_device(k, pci, dir, NULL) < 0)
		return;
	sim_unbind(k, pci, NULL);
	sim_group_remove(k, pci);
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s", pci);
	sim_remove(k, path, NULL);
	sim_remove(k, dir, NULL);
	snprintf(path, sizeof(path), "sim/dev/%s.json", pci);
	sim_remove(k, path, NULL);
}

int sim_break(struct kernel *k, const char *pci, struct err *e)
{
	char path[SIM_PATH], ones[SIM_CONFIG_SIZE];

	memset(ones, 0xff, sizeof(ones));
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/config", pci);
	return sim_put_data(k, path, ones, sizeof(ones), e);
}
