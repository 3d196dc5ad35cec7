// SPDX-License-Identifier: MIT
/* Drivers and VFs of a simulated host: see sim.h and sim_device.c. The tree's lock is held. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hostio/sim.h"
#include "lib/auto.h"
#include "lib/pci_addr.h"

#define SIM_IFINDEX_MAX 65535

static void sim_driver(struct kernel *k, const char *pci, char out[static SIM_NAME])
{
	char path[SIM_PATH], to[SIM_PATH];

	out[0] = '\0';
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/driver", pci);
	if (hostfs_readlink(&k->fs, path, to, sizeof(to), NULL) > 0 && strrchr(to, '/'))
		snprintf(out, SIM_NAME, "%.60s", strrchr(to, '/') + 1);
}

static int sim_group(struct kernel *k, const char *pci)
{
	char path[SIM_PATH], to[SIM_PATH];

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/iommu_group", pci);
	if (hostfs_readlink(&k->fs, path, to, sizeof(to), NULL) <= 0 || !strrchr(to, '/'))
		return -1;
	return atoi(strrchr(to, '/') + 1);
}

/* The PF of a VF, or "". */
static void sim_physfn(struct kernel *k, const char *pci, char out[static SIM_NAME])
{
	char path[SIM_PATH], to[SIM_PATH];

	out[0] = '\0';
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/physfn", pci);
	if (hostfs_readlink(&k->fs, path, to, sizeof(to), NULL) <= 0)
		return;
	snprintf(out, SIM_NAME, "%.60s", strrchr(to, '/') ? strrchr(to, '/') + 1 : to);
}

/* --- what drivers make of a device ---------------------------------------------------------- */

static int sim_nic_attach(struct kernel *k, const char *dir, struct json_object *facts,
			  struct err *e)
{
	const char *name = json_get_str(facts, "netdev", "eth0");
	char net[SIM_PATH], path[SIM_PATH + 32];
	int ret;

	snprintf(net, sizeof(net), "%.400s/net/%.32s", dir, name);
	snprintf(path, sizeof(path), "%s/address", net);
	ret = sim_put(k, path, e, "%s\n", json_get_str(facts, "mac", "02:00:00:00:00:01"));
	snprintf(path, sizeof(path), "%s/addr_assign_type", net);
	if (ret >= 0)
		ret = sim_put(k, path, e, "0\n");
	snprintf(path, sizeof(path), "%s/flags", net);
	if (ret >= 0)
		ret = sim_put(k, path, e, "0x1002\n");
	snprintf(path, sizeof(path), "%s/operstate", net);
	if (ret >= 0)
		ret = sim_put(k, path, e, "down\n");
	snprintf(path, sizeof(path), "%s/ifindex", net);
	if (ret >= 0)
		ret = sim_put(k, path, e, "%d\n", (int)json_get_int(facts, "ifindex", 2));
	snprintf(path, sizeof(path), "%s/device", net);
	if (ret >= 0)
		ret = sim_link(k, path, dir, e);
	snprintf(path, sizeof(path), "sys/class/net/%.32s", name);
	return ret < 0 ? ret : sim_link(k, path, net, e);
}

static int sim_nvme_attach(struct kernel *k, const char *dir, struct json_object *facts,
			   struct err *e)
{
	const char *name = json_get_str(facts, "nvme", "nvme0");
	char ctrl[SIM_PATH], disk[SIM_PATH + 40], path[2 * SIM_PATH];
	int ret;

	snprintf(ctrl, sizeof(ctrl), "%.400s/nvme/%.32s", dir, name);
	snprintf(path, sizeof(path), "%s/model", ctrl);
	ret = sim_put(k, path, e, "Simulated NVMe\n");
	snprintf(path, sizeof(path), "%s/state", ctrl);
	if (ret >= 0)
		ret = sim_put(k, path, e, "live\n");
	snprintf(path, sizeof(path), "%s/serial", ctrl);
	if (ret >= 0)
		ret = sim_put(k, path, e, "sim-%s\n", name);
	snprintf(path, sizeof(path), "%s/device", ctrl);
	if (ret >= 0)
		ret = sim_link(k, path, dir, e);
	snprintf(disk, sizeof(disk), "%s/%.32sn1", ctrl, name);
	snprintf(path, sizeof(path), "%s/dev", disk);
	if (ret >= 0)
		ret = sim_put(k, path, e, "259:%d\n", atoi(name + strcspn(name, "0123456789")));
	snprintf(path, sizeof(path), "%s/size", disk);
	if (ret >= 0)
		ret = sim_put(k, path, e, "2097152\n");
	snprintf(path, sizeof(path), "sys/class/block/%.32sn1", name);
	if (ret >= 0)
		ret = sim_link(k, path, disk, e);
	snprintf(path, sizeof(path), "sys/class/nvme/%.32s", name);
	return ret < 0 ? ret : sim_link(k, path, ctrl, e);
}

static int sim_vfio_attach(struct kernel *k, const char *pci, const char *dir, struct err *e)
{
	int group = sim_group(k, pci), ret;
	char path[SIM_PATH];

	if (group < 0)
		return err_set(e, EINVAL, "no IOMMU group");
	snprintf(path, sizeof(path), "dev/vfio/%d", group);
	ret = sim_put(k, path, e, "%s", "");
	if (ret < 0 || !sim_exists(k, "dev/iommu"))
		return ret;
	/* one device of a group, in most hosts: its number will do */
	snprintf(path, sizeof(path), "%.400s/vfio-dev/vfio%d/dev", dir, group);
	ret = sim_put(k, path, e, "511:%d\n", group);
	snprintf(path, sizeof(path), "dev/vfio/devices/vfio%d", group);
	return ret < 0 ? ret : sim_put(k, path, e, "%s", "");
}

static void sim_forget(struct kernel *k, const char *folder, const char *name, const char *end)
{
	char path[SIM_PATH];

	snprintf(path, sizeof(path), "%s%.32s%s", folder, name, end);
	if (name[0])
		sim_remove(k, path, NULL);
}

static void sim_detach(struct kernel *k, const char *pci, const char *dir,
		       struct json_object *facts)
{
	char path[SIM_PATH], group[16];

	static const char *const made[] = { "net", "nvme", "vfio-dev" };

	for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
		snprintf(path, sizeof(path), "%.400s/%s", dir, made[i]);
		sim_remove(k, path, NULL);
	}
	sim_forget(k, "sys/class/net/", json_get_str(facts, "netdev", ""), "");
	sim_forget(k, "sys/class/nvme/", json_get_str(facts, "nvme", ""), "");
	sim_forget(k, "sys/class/block/", json_get_str(facts, "nvme", ""), "n1");
	snprintf(group, sizeof(group), "%d", sim_group(k, pci));
	sim_forget(k, "dev/vfio/devices/vfio", group, "");
	sim_forget(k, "dev/vfio/", group, "");
}

static int sim_attach(struct kernel *k, const char *pci, const char *driver, const char *dir,
		      struct err *e)
{
	AUTO_JSON struct json_object *facts = sim_facts(k, pci);
	const char *kind = json_get_str(facts, "kind", "");

	if (!strcmp(driver, "vfio-pci"))
		return sim_vfio_attach(k, pci, dir, e);
	if (strcmp(driver, json_get_str(facts, "driver", "")))
		return err_set(e, ENODEV, "driver %s does not know this device", driver);
	if (!strcmp(kind, "nic"))
		return sim_nic_attach(k, dir, facts, e);
	if (strcmp(kind, "nvme"))
		return 0;
	/* a secondary controller that is offline is "not ready" */
	if (json_get(facts, "pf") && !sim_nvme_alive(k, json_get_str(facts, "pf", ""),
						     (unsigned int)json_get_int(facts, "vf", 0)))
		return err_set(e, ENODEV, "Device not ready");
	return sim_nvme_attach(k, dir, facts, e);
}

/* --- binding ------------------------------------------------------------------------------- */

int sim_bind(struct kernel *k, const char *pci, const char *driver, struct err *e)
{
	char dir[SIM_PATH], path[SIM_PATH], folder[SIM_PATH];
	int ret = sim_device(k, pci, dir, e);

	snprintf(folder, sizeof(folder), "sys/bus/pci/drivers/%.60s", driver);
	if (ret >= 0 && !sim_exists(k, folder))
		ret = err_set(e, ENODEV, "no driver %s", driver);
	if (ret >= 0)
		ret = sim_attach(k, pci, driver, dir, e);
	if (ret < 0)
		return ret;
	snprintf(path, sizeof(path), "sys/bus/pci/drivers/%.60s/%.60s", driver, pci);
	ret = sim_link(k, path, dir, e);
	snprintf(path, sizeof(path), "%.400s/driver", dir);
	return ret < 0 ? ret : sim_link(k, path, folder, e);
}

int sim_unbind(struct kernel *k, const char *pci, struct err *e)
{
	AUTO_JSON struct json_object *facts = sim_facts(k, pci);
	char dir[SIM_PATH], path[SIM_PATH], driver[SIM_NAME];
	int ret = sim_device(k, pci, dir, e);

	if (ret < 0)
		return ret;
	sim_driver(k, pci, driver);
	if (!driver[0])
		return err_set(e, ENODEV, "no driver is bound");
	/* without its driver a PF has no VFs */
	if (json_get(facts, "vf_device"))
		sim_set_vfs(k, pci, 0, 0, NULL);
	snprintf(path, sizeof(path), "sys/bus/pci/drivers/%.60s/%.60s", driver, pci);
	sim_remove(k, path, NULL);
	snprintf(path, sizeof(path), "%.400s/driver", dir);
	sim_remove(k, path, NULL);
	sim_detach(k, pci, dir, facts);
	return 0;
}

int sim_probe(struct kernel *k, const char *pci, struct err *e)
{
	AUTO_JSON struct json_object *facts = sim_facts(k, pci);
	char override[SIM_NAME], autoprobe[8], now[SIM_NAME], pf[SIM_NAME];

	sim_driver(k, pci, now);
	if (now[0])
		return 0;
	sim_text(k, pci, "driver_override", override, sizeof(override));
	if (override[0] && strcmp(override, "(null)"))
		return sim_bind(k, pci, override, e);
	sim_physfn(k, pci, pf);
	sim_text(k, pf, "sriov_drivers_autoprobe", autoprobe, sizeof(autoprobe));
	if (pf[0] && !strcmp(autoprobe, "0"))
		return err_set(e, ENODEV, "no driver may take the VF");
	return sim_bind(k, pci, json_get_str(facts, "driver", ""), e);
}

/* --- VFs ----------------------------------------------------------------------------------- */

static int sim_free_group(struct kernel *k)
{
	char path[SIM_PATH];
	int group = 0;

	if (!sim_exists(k, "sys/class/iommu/dmar0"))
		return -1;
	do {
		snprintf(path, sizeof(path), "sys/kernel/iommu_groups/%d", ++group);
	} while (sim_exists(k, path));
	return group;
}

/* Routing ids go on over the ends of buses (SR-IOV 1.1, 2.1.2). */
static void sim_vf_addr(const char *pf, struct json_object *facts, unsigned int n,
			char out[static PCI_ADDR_SIZE])
{
	struct pci_addr a = { 0 };
	unsigned int rid;

	pci_addr_parse(pf, &a, NULL);
	rid = (unsigned int)(a.bus << 8 | a.dev << 3 | a.fn) +
	      (unsigned int)json_get_int(facts, "vf_offset", 1) +
	      n * (unsigned int)json_get_int(facts, "vf_stride", 1);
	a.bus = (uint8_t)(rid >> 8);
	a.dev = rid >> 3 & 31;
	a.fn = rid & 7;
	pci_addr_format(&a, out);
}

static struct json_object *sim_vf_facts(struct json_object *pf_facts, const char *pf,
					unsigned int n)
{
	const char *kind = json_get_str(pf_facts, "kind", "");
	struct json_object *o = json_add_str(json_new(), "kind", kind);

	json_add_str(o, "driver", json_get_str(pf_facts, "vf_driver", ""));
	json_add_int(json_add_str(o, "pf", pf), "vf", n);
	if (!strcmp(kind, "nic")) {
		json_add_fmt(o, "netdev", "%.20sv%u", json_get_str(pf_facts, "netdev", ""), n);
		json_add_fmt(o, "mac", "02:5e:%02x:%02x:%02x:%02x",
			     (unsigned int)json_get_int(pf_facts, "number", 0), n >> 8, n & 0xff,
			     1);
		json_add_int(o, "ifindex",
			     json_get_int(pf_facts, "ifindex", 2) * 1000 % SIM_IFINDEX_MAX + n);
	} else {
		json_add_fmt(o, "nvme", "%.20sc%u", json_get_str(pf_facts, "nvme", ""), n + 1);
	}
	return o;
}

static unsigned int sim_hex(struct kernel *k, const char *pci, const char *name)
{
	char text[32];

	sim_text(k, pci, name, text, sizeof(text));
	return (unsigned int)strtoul(text, NULL, 16);
}

static int sim_vf_make(struct kernel *k, const char *pf, const char *pf_dir,
		       struct json_object *pf_facts, unsigned int n, struct err *e)
{
	AUTO_JSON struct json_object *facts = sim_vf_facts(pf_facts, pf, n);
	char addr[PCI_ADDR_SIZE], dir[SIM_PATH], path[SIM_PATH], parent[SIM_PATH];
	struct sim_function f = { .pci = addr,
				  .parent = parent,
				  .vendor = (uint16_t)sim_hex(k, pf, "vendor"),
				  .device = (uint16_t)json_get_int(pf_facts, "vf_device", 0),
				  .subsystem = (uint16_t)sim_hex(k, pf, "subsystem_device"),
				  .class_code = sim_hex(k, pf, "class"),
				  .group = sim_free_group(k),
				  .reset_method = "flr",
				  .vf = true,
				  .facts = facts };
	int ret;

	snprintf(parent, sizeof(parent), "%.*s", (int)(strrchr(pf_dir, '/') - pf_dir), pf_dir);
	sim_text(k, pf, "numa_node", path, sizeof(path));
	f.node = atoi(path);
	sim_vf_addr(pf, pf_facts, n, addr);
	ret = sim_device_make(k, &f, e);
	snprintf(dir, sizeof(dir), "%.400s/%s", parent, addr);
	snprintf(path, sizeof(path), "%.400s/physfn", dir);
	if (ret >= 0)
		ret = sim_link(k, path, pf_dir, e);
	snprintf(path, sizeof(path), "%.400s/virtfn%u", pf_dir, n);
	if (ret >= 0)
		ret = sim_link(k, path, dir, e);
	if (ret >= 0)
		sim_probe(k, addr, NULL);
	return ret;
}

static void sim_vfs_remove(struct kernel *k, const char *pf, const char *pf_dir,
			   struct json_object *facts)
{
	char addr[PCI_ADDR_SIZE], path[SIM_PATH];

	for (unsigned int n = 0; n < SIM_VFS_MAX; n++) {
		snprintf(path, sizeof(path), "%.400s/virtfn%u", pf_dir, n);
		if (unlinkat(k->fs.root, path, 0) < 0)
			break;
		sim_vf_addr(pf, facts, n, addr);
		sim_device_remove(k, addr);
	}
	/* what the driver kept of them, too */
	snprintf(path, sizeof(path), "sim/vf/%s", pf);
	sim_remove(k, path, NULL);
	snprintf(path, sizeof(path), "sim/nvme/%s", pf);
	sim_remove(k, path, NULL);
}

int sim_set_vfs(struct kernel *k, const char *pf, unsigned int count, unsigned int come,
		struct err *e)
{
	AUTO_JSON struct json_object *facts = sim_facts(k, pf);
	char dir[SIM_PATH], path[SIM_PATH], text[16], driver[SIM_NAME];
	unsigned int now;
	int ret = sim_device(k, pf, dir, e);

	if (ret < 0)
		return ret;
	sim_text(k, pf, "sriov_numvfs", text, sizeof(text));
	now = (unsigned int)atoi(text);
	sim_driver(k, pf, driver);
	if (!driver[0] || strcmp(driver, json_get_str(facts, "driver", "")))
		return err_set(e, ENOENT, "%s", strerrordesc_np(ENOENT));
	if (count == now)
		return 0;
	if (count && now)
		return err_set(e, EBUSY, "%s", strerrordesc_np(EBUSY));
	sim_text(k, pf, "sriov_totalvfs", text, sizeof(text));
	if (count > (unsigned int)atoi(text))
		return err_set(e, ERANGE, "%s", strerrordesc_np(ERANGE));
	snprintf(path, sizeof(path), "%.400s/sriov_numvfs", dir);
	ret = sim_put(k, path, e, "%u\n", count);
	if (!count)
		sim_vfs_remove(k, pf, dir, facts);
	for (unsigned int n = 0; n < MIN(count, come) && ret >= 0; n++)
		ret = sim_vf_make(k, pf, dir, facts, n, e);
	return ret;
}
