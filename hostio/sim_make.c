// SPDX-License-Identifier: MIT
/*
 * Making a simulated host: see sim.h. What it has:
 *
 *	00:02.0			the console's GPU (boot_vga, fb0)
 *	00:19.0	eno1		the NIC with the default route, up
 *	00:1f.0 .2 .3		ISA bridge, SATA with sda (root and swap), SMBus: one group
 *	00:03.0+ > 10:00.0+	root ports with NICs that have SR-IOV (ens1, ens2, …), VFs from 80h on
 *	00:0c.0+ > 90:00.0+	root ports with NVMe controllers that have 4 VFs each
 *	00:12.0 > e0:00.0 >	a bridge with two old NICs, one group, no reset
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "hostio/sim.h"
#include "lib/auto.h"

#define SIM_ROOT "sys/devices/pci0000:00"
#define SIM_BUSES 16 /* of a card with VFs */
#define SIM_KVM makedev(10, 232)

/* A host under construction; the first error stays. */
struct sim_maker {
	struct kernel *k;
	const struct sim_host *host;
	int group; /* the next one */
	struct err *e;
	int ret;
};

static void sim_make_text(struct sim_maker *m, const char *path, const char *text)
{
	if (m->ret >= 0)
		m->ret = sim_put(m->k, path, m->e, "%s", text);
}

static void sim_make_link(struct sim_maker *m, const char *path, const char *target)
{
	if (m->ret >= 0)
		m->ret = sim_link(m->k, path, target, m->e);
}

/* A device with the driver of its facts, which are taken over. */
static void sim_make_device(struct sim_maker *m, struct sim_function *f,
			    struct json_object *take_facts)
{
	AUTO_JSON struct json_object *facts = take_facts;
	const char *driver = json_get_str(facts, "driver", "");

	f->facts = facts;
	if (!m->host->iommu)
		f->group = -1;
	if (!f->reset_method)
		f->reset_method = "";
	if (m->ret >= 0)
		m->ret = sim_device_make(m->k, f, m->e);
	if (m->ret >= 0 && driver[0])
		m->ret = sim_bind(m->k, f->pci, driver, m->e);
}

static struct json_object *sim_make_facts(const char *kind, const char *driver)
{
	return json_add_str(json_add_str(json_new(), "kind", kind), "driver", driver);
}

/* A root port, and the folder of what is below it in out. */
static void sim_make_port(struct sim_maker *m, unsigned int slot, int node,
			  char out[static SIM_PATH])
{
	char pci[SIM_NAME];
	struct sim_function f = { .pci = pci,
				  .parent = SIM_ROOT,
				  .vendor = 0x8086,
				  .device = 0x2030,
				  .class_code = 0x060400,
				  .bridge = true,
				  .node = node,
				  .group = m->group++ };

	snprintf(pci, sizeof(pci), "0000:00:%02x.0", slot);
	snprintf(out, SIM_PATH, SIM_ROOT "/%s", pci);
	sim_make_device(m, &f, sim_make_facts("bridge", "pcieport"));
}

static void sim_make_slot(struct sim_maker *m, unsigned int number, const char *pci)
{
	char path[SIM_PATH], text[SIM_NAME];

	snprintf(path, sizeof(path), "sys/bus/pci/slots/%u/address", number);
	snprintf(text, sizeof(text), "%.10s\n", pci); /* without the function */
	sim_make_text(m, path, text);
}

static void sim_make_nic(struct sim_maker *m, unsigned int n, unsigned int bus, unsigned int number)
{
	struct json_object *facts = sim_make_facts("nic", "igb");
	char parent[SIM_PATH], pci[SIM_NAME];
	struct sim_function f = { .pci = pci,
				  .parent = parent,
				  .vendor = 0x8086,
				  .device = 0x10c9,
				  .subsystem = 0xa03c,
				  .class_code = 0x020000,
				  .node = (int)(n % 2),
				  .reset_method = "flr bus",
				  .total_vfs = m->host->vfs,
				  .serial = 0x001b21fffe000000ull + number };

	sim_make_port(m, 3 + n, f.node, parent);
	f.group = m->group++;
	snprintf(pci, sizeof(pci), "0000:%02x:00.0", bus);
	json_add_fmt(facts, "netdev", "ens%u", number);
	json_add_fmt(facts, "mac", "00:1b:21:00:00:%02x", number);
	json_add_int(json_add_int(facts, "number", number), "ifindex", 10 + number);
	if (m->host->vfs) {
		json_add_str(facts, "vf_driver", "igbvf");
		json_add_int(facts, "vf_device", 0x10ca);
		json_add_int(json_add_int(facts, "vf_offset", 0x80), "vf_stride", 1);
	}
	sim_make_slot(m, number, pci);
	sim_make_device(m, &f, facts);
}

static void sim_make_nvme(struct sim_maker *m, unsigned int n)
{
	struct json_object *facts = sim_make_facts("nvme", "nvme");
	char parent[SIM_PATH], pci[SIM_NAME];
	struct sim_function f = { .pci = pci,
				  .parent = parent,
				  .vendor = 0x144d,
				  .device = 0xa824,
				  .subsystem = 0xa801,
				  .class_code = 0x010802,
				  .node = (int)(n % 2),
				  .reset_method = "flr bus",
				  .total_vfs = 4,
				  .serial = 0x002538fffe000000ull + n };

	sim_make_port(m, 0xc + n, f.node, parent);
	f.group = m->group++;
	snprintf(pci, sizeof(pci), "0000:%02x:00.0", 0x90 + n * SIM_BUSES + m->host->shift);
	json_add_fmt(facts, "nvme", "nvme%u", n);
	json_add_str(facts, "vf_driver", "nvme");
	json_add_int(facts, "vf_device", 0xa825);
	json_add_int(json_add_int(facts, "vf_offset", 1), "vf_stride", 1);
	sim_make_slot(m, 40 + n, pci);
	sim_make_device(m, &f, facts);
}

/* Two NICs of old behind one bridge: nothing tells them apart for an IOMMU, and nothing resets them. */
static void sim_make_old(struct sim_maker *m)
{
	char parent[SIM_PATH], bridge[2 * SIM_PATH];
	struct sim_function b = { .pci = "0000:e0:00.0",
				  .parent = parent,
				  .vendor = 0x1b36,
				  .device = 0x000e,
				  .class_code = 0x060401,
				  .bridge = true };

	sim_make_port(m, 0x12, 0, parent);
	b.group = m->group++;
	sim_make_device(m, &b, sim_make_facts("bridge", ""));
	snprintf(bridge, sizeof(bridge), "%s/%s", parent, b.pci);
	for (unsigned int i = 0; i < 2; i++) {
		struct json_object *facts = sim_make_facts("nic", "e1000");
		char pci[SIM_NAME];
		struct sim_function f = { .pci = pci,
					  .parent = bridge,
					  .vendor = 0x8086,
					  .device = 0x100e,
					  .class_code = 0x020000,
					  .group = b.group };

		snprintf(pci, sizeof(pci), "0000:e1:0%u.0", i + 1);
		json_add_fmt(facts, "netdev", "old%u", i);
		json_add_fmt(facts, "mac", "00:0e:0c:00:00:%02x", i + 1);
		json_add_int(facts, "ifindex", 50 + i);
		sim_make_device(m, &f, json_add_bool(facts, "conventional", true));
	}
}

/* --- what the host cannot do without ---------------------------------------------------------- */

static void sim_make_chipset(struct sim_maker *m)
{
	static const struct {
		const char *pci, *driver;
		uint16_t device;
		uint32_t class_code;
	} parts[] = {
		{ "0000:00:1f.0", "lpc_ich", 0xa1c1, 0x060100 },
		{ "0000:00:1f.2", "ahci", 0xa182, 0x010601 },
		{ "0000:00:1f.3", "i801_smbus", 0xa1a3, 0x0c0500 },
	};
	int group = m->group++;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		struct sim_function f = { .pci = parts[i].pci,
					  .parent = SIM_ROOT,
					  .vendor = 0x8086,
					  .device = parts[i].device,
					  .class_code = parts[i].class_code,
					  .group = group };

		sim_make_device(m, &f, sim_make_facts("chipset", parts[i].driver));
	}
}

#define SIM_DISK SIM_ROOT "/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda"

static void sim_make_disk(struct sim_maker *m)
{
	static const struct {
		const char *path, *text;
	} files[] = {
		{ SIM_DISK "/dev", "8:0\n" },
		{ SIM_DISK "/size", "1000215216\n" },
		{ SIM_DISK "/sda1/dev", "8:1\n" },
		{ SIM_DISK "/sda1/partition", "1\n" },
		{ SIM_DISK "/sda2/dev", "8:2\n" },
		{ SIM_DISK "/sda2/partition", "2\n" },
		{ "proc/self/mountinfo",
		  "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
		  "23 22 0:21 / /sys rw,nosuid,nodev,noexec,relatime shared:2 - sysfs sysfs rw\n" },
		{ "proc/mounts", "/dev/sda1 / ext4 rw,relatime 0 0\n" },
		{ "proc/swaps",
		  "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
		  "/dev/sda2                               partition\t1000000\t\t0\t\t-2\n" },
		{ "dev/sda1", "" },
		{ "dev/sda2", "" },
	};
	static const char *const links[][2] = {
		{ SIM_DISK "/device", SIM_ROOT "/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0" },
		{ "sys/class/block/sda", SIM_DISK },
		{ "sys/class/block/sda1", SIM_DISK "/sda1" },
		{ "sys/class/block/sda2", SIM_DISK "/sda2" },
		{ "sys/dev/block/8:0", SIM_DISK },
		{ "sys/dev/block/8:1", SIM_DISK "/sda1" },
		{ "sys/dev/block/8:2", SIM_DISK "/sda2" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		sim_make_text(m, files[i].path, files[i].text);
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		sim_make_link(m, links[i][0], links[i][1]);
}

static void sim_make_vital(struct sim_maker *m)
{
	static const char gpu[] = SIM_ROOT "/0000:00:02.0";
	struct sim_function console = { .pci = "0000:00:02.0",
					.parent = SIM_ROOT,
					.vendor = 0x8086,
					.device = 0x5912,
					.class_code = 0x030000,
					.reset_method = "flr",
					.group = m->group++ };
	struct sim_function nic = { .pci = "0000:00:19.0",
				    .parent = SIM_ROOT,
				    .vendor = 0x8086,
				    .device = 0x15b7,
				    .class_code = 0x020000,
				    .reset_method = "flr",
				    .group = m->group++ };
	struct json_object *facts = sim_make_facts("nic", "e1000e");

	sim_make_device(m, &console, sim_make_facts("gpu", "i915"));
	sim_make_text(m, SIM_ROOT "/0000:00:02.0/boot_vga", "1\n");
	sim_make_text(m, SIM_ROOT "/0000:00:02.0/graphics/fb0/name", "i915drmfb\n");
	sim_make_link(m, "sys/class/graphics/fb0", SIM_ROOT "/0000:00:02.0/graphics/fb0");
	sim_make_link(m, SIM_ROOT "/0000:00:02.0/graphics/fb0/device", gpu);
	json_add_str(json_add_str(facts, "netdev", "eno1"), "mac", "00:1e:67:00:00:01");
	sim_make_device(m, &nic, json_add_int(facts, "ifindex", 2));
	sim_make_text(m, "sys/class/net/eno1/flags", "0x1003\n");
	sim_make_text(m, "sys/class/net/eno1/operstate", "up\n");
	sim_make_text(m, "sys/class/net/eno1/carrier", "1\n");
	sim_make_text(m, "proc/net/route",
		      "Iface\tDestination\tGateway "
		      "\tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
		      "eno1\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
		      "eno1\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n");
	sim_make_text(m, "proc/net/ipv6_route", "");
}

static void sim_make_drivers(struct sim_maker *m)
{
	static const char *const drivers[] = { "ahci", "e1000",	   "e1000e",  "i801_smbus",
					       "i915", "igb",	   "igbvf",   "lpc_ich",
					       "nvme", "pcieport", "vfio-pci" };
	static const char *const modules[] = { "tun",	   "vfio",	"vfio_iommu_type1",
					       "vfio_pci", "vhost_net", "vhost_vsock" };
	char path[SIM_PATH];

	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		snprintf(path, sizeof(path), "sys/bus/pci/drivers/%s/bind", drivers[i]);
		sim_make_text(m, path, "");
		snprintf(path, sizeof(path), "sys/bus/pci/drivers/%s/unbind", drivers[i]);
		sim_make_text(m, path, "");
	}
	sim_make_text(m, "sys/bus/pci/drivers_probe", "");
	sim_make_text(m, "sys/bus/pci/drivers_autoprobe", "1\n");
	sim_make_text(m, "sys/bus/pci/rescan", "");
	for (size_t i = 0; i < ARRAY_SIZE(modules); i++) {
		snprintf(path, sizeof(path), "sys/module/%s/initstate", modules[i]);
		sim_make_text(m, path, "live\n");
	}
}

static void sim_make_machine(struct sim_maker *m)
{
	char text[1024], path[SIM_PATH];
	size_t len = 0;

	snprintf(text, sizeof(text), "%s\n", m->host->boot_id);
	sim_make_text(m, "proc/sys/kernel/random/boot_id", text);
	sim_make_text(m, "proc/meminfo",
		      "MemTotal:       134217728 kB\nMemFree:        120000000 kB\n"
		      "MemAvailable:   125000000 kB\nHugePages_Total:       0\nHugepagesize:       "
		      "2048 kB\n");
	sim_make_text(m, "proc/cmdline",
		      m->host->iommu ? "root=/dev/sda1 ro intel_iommu=on iommu=pt\n"
				     : "root=/dev/sda1 ro\n");
	sim_make_text(m, "proc/modules", "vfio_pci 16384 0 - Live 0x0000000000000000\n");
	sim_make_text(m, "proc/consoles", "tty0                 -WU (EC p  )    4:7\n");
	sim_make_text(m, "sys/devices/system/cpu/online", "0-15\n");
	for (unsigned int i = 0; i < 8; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"processor\t: %u\nvendor_id\t: GenuineIntel\n"
					"flags\t\t: fpu vmx ept\n\n",
					i);
	sim_make_text(m, "proc/cpuinfo", text);
	sim_make_text(m, "sys/devices/system/node/online", "0-1\n");
	for (unsigned int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "sys/devices/system/node/node%u/cpulist", i);
		sim_make_text(m, path, i ? "8-15\n" : "0-7\n");
		snprintf(path, sizeof(path), "sys/devices/system/node/node%u/distance", i);
		sim_make_text(m, path, i ? "21 10\n" : "10 21\n");
		snprintf(path, sizeof(path), "sys/devices/system/node/node%u/meminfo", i);
		snprintf(text, sizeof(text),
			 "Node %u MemTotal:       67108864 kB\nNode %u MemFree:        60000000 "
			 "kB\n",
			 i, i);
		sim_make_text(m, path, text);
	}
}

static void sim_make_dev(struct sim_maker *m)
{
	sim_make_text(m, "dev/vfio/vfio", "");
	sim_make_text(m, "dev/net/tun", "");
	sim_make_text(m, "dev/vhost-net", "");
	sim_make_text(m, "dev/vhost-vsock", "");
	if (m->host->iommufd)
		sim_make_text(m, "dev/iommu", "");
	/* the machine's own KVM, where we may: its guests are real */
	if (m->ret >= 0 && !sim_exists(m->k, "dev/kvm") &&
	    mknodat(m->k->fs.root, "dev/kvm", S_IFCHR | 0666, SIM_KVM) < 0)
		sim_make_text(m, "dev/kvm", "");
	if (m->host->iommu) {
		sim_make_text(m, "sys/class/iommu/dmar0/intel-iommu/version", "1:0\n");
		sim_make_text(m, "sys/firmware/acpi/tables/DMAR", "DMAR");
	}
}

static void sim_make_cards(struct sim_maker *m)
{
	/* a card more: it is where the first one was, and all behind it moves on */
	unsigned int bus = 0x10, number = 1;

	if (m->host->shift) {
		sim_make_nic(m, m->host->pfs, bus, 99);
		bus += m->host->shift;
	}
	for (unsigned int i = 0; i < m->host->pfs; i++)
		sim_make_nic(m, i, bus + i * SIM_BUSES, number++);
	for (unsigned int i = 0; i < m->host->nvmes; i++)
		sim_make_nvme(m, i);
}

/* All but sim/host.json, sim/faults.json. */
static int sim_make_tree(struct kernel *k, const struct sim_host *host, struct err *e)
{
	struct sim_maker m = { .k = k, .host = host, .e = e };

	sim_make_text(&m, "sim/lock", "");
	sim_make_machine(&m);
	sim_make_drivers(&m);
	sim_make_dev(&m);
	/* groups are numbered as devices are found: not as they were before, when a card was added */
	m.group = host->shift ? 3 : 0;
	sim_make_vital(&m);
	sim_make_chipset(&m);
	sim_make_disk(&m);
	sim_make_cards(&m);
	sim_make_old(&m);
	return m.ret;
}

static int sim_new_boot_id(char out[static 40], struct err *e)
{
	uint8_t b[16];

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		return err_errno(e, "cannot make a boot id");
	snprintf(out, 40, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
		 b[13], b[14], b[15]);
	return 0;
}

static int sim_host_save(struct kernel *k, const struct sim_host *h, struct err *e)
{
	AUTO_JSON struct json_object *o = json_new();

	json_add_int(json_add_int(o, "pfs", h->pfs), "vfs", h->vfs);
	json_add_int(json_add_int(o, "nvmes", h->nvmes), "shift", h->shift);
	json_add_bool(json_add_bool(o, "iommu", h->iommu), "iommufd", h->iommufd);
	return sim_json_write(k, "sim/host.json", o, e);
}

static int sim_host_load(struct kernel *k, struct sim_host *ret_host, struct err *e)
{
	AUTO_JSON struct json_object *o = NULL;
	int ret = sim_json_read(k, "sim/host.json", &o, e);

	if (ret < 0)
		return err_because(e, "'%s' is no simulated host", k->root);
	*ret_host = (struct sim_host){ .pfs = (unsigned int)json_get_int(o, "pfs", 0),
				       .vfs = (unsigned int)json_get_int(o, "vfs", 0),
				       .nvmes = (unsigned int)json_get_int(o, "nvmes", 0),
				       .shift = (unsigned int)json_get_int(o, "shift", 0),
				       .iommu = json_get_bool(o, "iommu", true),
				       .iommufd = json_get_bool(o, "iommufd", false) };
	if (ret_host->pfs > SIM_PFS_MAX || ret_host->vfs > SIM_VFS_MAX ||
	    ret_host->nvmes > SIM_NVMES_MAX || ret_host->shift > SIM_BUSES)
		return err_set(e, EINVAL, "'%s/sim/host.json' has numbers beyond the limits",
			       k->root);
	return 0;
}

int sim_make(const char *root, const struct sim_host *host, struct err *e)
{
	struct sim_host h = *host;
	struct kernel k;
	int ret;

	if (mkdir(root, 0755) < 0 && errno != EEXIST)
		return err_errno(e, "cannot make '%s'", root);
	ret = sim_init(&k, root, e);
	if (ret < 0)
		return ret;
	if (sim_exists(&k, "sys") || sim_exists(&k, "proc"))
		ret = err_set(e, EEXIST, "'%s' has a host already", root);
	if (ret >= 0)
		ret = sim_new_boot_id(h.boot_id, e);
	if (ret >= 0)
		ret = sim_make_tree(&k, &h, e);
	if (ret >= 0)
		ret = sim_host_save(&k, &h, e);
	hostfs_fini(&k.fs);
	return ret;
}

int sim_reboot(const char *root, bool renumber, struct err *e)
{
	static const char *const gone[] = { "sys",     "proc",	 "dev/vfio",
					    "sim/dev", "sim/vf", "sim/nvme" };
	struct sim_host h;
	struct kernel k;
	int ret = sim_init(&k, root, e);

	if (ret < 0)
		return ret;
	ret = sim_host_load(&k, &h, e);
	for (size_t i = 0; ret >= 0 && i < ARRAY_SIZE(gone); i++)
		ret = sim_remove(&k, gone[i], e);
	if (renumber)
		h.shift = SIM_BUSES;
	if (ret >= 0)
		ret = sim_new_boot_id(h.boot_id, e);
	if (ret >= 0)
		ret = sim_make_tree(&k, &h, e);
	if (ret >= 0)
		ret = sim_host_save(&k, &h, e);
	hostfs_fini(&k.fs);
	return ret;
}
