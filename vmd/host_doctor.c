// SPDX-License-Identifier: MIT
/*
 * What the host lacks for VMs: see host_doctor.h. Documentation/virt/kvm, driver-api/vfio.rst, admin-guide/mm/hugetlbpage.rst,
 * cgroup-v2.rst, getrlimit(2). Any thread.
 */
#include "vmd/host_doctor.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/auto.h"
#include "vmd/host.h"
#include "vmd/host_iommu.h"

#define HOST_DOCTOR_RULE "udev/rules.d/60-vmd-vf.rules"

enum doctor_status { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };

struct doctor {
	const struct hostfs *h;
	struct json_object *checks; /* owned by the result */
	enum doctor_status worst;
};

static const char *const doctor_status_names[] = { "ok", "warn", "fail" };

/* hint is told of what is not well. */
static void doctor_say(struct doctor *p, const char *name, enum doctor_status status,
		       const char *hint, const char *fmt, ...) PRINTF_LIKE(5, 6);

static void doctor_say(struct doctor *p, const char *name, enum doctor_status status,
		       const char *hint, const char *fmt, ...)
{
	struct json_object *o = json_add_str(json_new(), "name", name);
	char what[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	json_add_str(o, "status", doctor_status_names[status]);
	json_add_str(o, "what", what);
	if (status != DOCTOR_OK && hint[0])
		json_add_str(o, "hint", hint);
	json_object_array_add(p->checks, o);
	p->worst = MAX(p->worst, status);
}

static bool doctor_exists(const struct doctor *p, const char *path)
{
	AUTO_CLOSE int fd = hostfs_open(p->h, path, O_PATH, NULL);

	return fd >= 0;
}

static void doctor_kvm(struct doctor *p)
{
	struct host_kvm kvm;
	struct err e = { 0 };
	AUTO_CLOSE int fd = host_kvm_open(p->h, &kvm, &e);

	if (fd >= 0)
		doctor_say(p, "kvm", DOCTOR_OK, "", "usable, up to %u vCPUs", kvm.max_vcpus);
	else
		doctor_say(p, "kvm", DOCTOR_FAIL, e.hint, "%s", e.msg);
}

static void doctor_nested(struct doctor *p)
{
	static const char *const modules[] = { "kvm_intel", "kvm_amd" };
	char path[96], text[8], hint[128];

	for (size_t i = 0; i < ARRAY_SIZE(modules); i++) {
		snprintf(path, sizeof(path), "sys/module/%s/parameters/nested", modules[i]);
		if (hostfs_read(p->h, path, text, sizeof(text), NULL) <= 0)
			continue;
		snprintf(hint, sizeof(hint),
			 "options %s nested=1 in /etc/modprobe.d/kvm.conf, then load it anew",
			 modules[i]);
		if (text[0] == '1' || text[0] == 'Y')
			doctor_say(p, "nested", DOCTOR_OK, "", "guests may run VMs themselves");
		else
			doctor_say(p, "nested", DOCTOR_WARN, hint,
				   "off: guests cannot run VMs themselves");
		return;
	}
}

static void doctor_iommu(struct doctor *p)
{
	struct host_iommu iommu;
	char why[256], hint[192];

	host_iommu_read(p->h, &iommu);
	host_iommu_explain(&iommu, why, sizeof(why), hint, sizeof(hint));
	if (!iommu.groups) {
		doctor_say(p, "iommu", DOCTOR_FAIL, hint,
			   "off, no device can be passed through: %s", why);
		return;
	}
	doctor_say(p, "iommu", DOCTOR_OK, "", "on");
	doctor_say(p, "interrupt-remapping", iommu.unremapped ? DOCTOR_WARN : DOCTOR_OK,
		   "switch interrupt remapping (x2APIC) on in the firmware's setup; no "
		   "intremap=off on the kernel's command line",
		   iommu.unremapped ? "off: a VM with a device could send any interrupt" : "on");
}

static int doctor_pages(void *arg, const char *name)
{
	struct doctor *p = arg;
	unsigned long long kib;
	uint64_t total = 0, free_pages = 0;
	char path[128], check[64], size[24], hint[192];

	if (sscanf(name, "hugepages-%llukB", &kib) != 1 || strlen(name) > 40)
		return 0;
	snprintf(path, sizeof(path), "sys/kernel/mm/hugepages/%s/nr_hugepages", name);
	hostfs_read_u64(p->h, path, &total, NULL);
	snprintf(hint, sizeof(hint), "echo N >/%s; at boot: vm.nr_hugepages in /etc/sysctl.d",
		 path);
	snprintf(path, sizeof(path), "sys/kernel/mm/hugepages/%s/free_hugepages", name);
	hostfs_read_u64(p->h, path, &free_pages, NULL);
	json_size_format(kib * KIB, size, sizeof(size));
	snprintf(check, sizeof(check), "hugepages-%s", size);
	if (total)
		doctor_say(p, check, DOCTOR_OK, "", "%" PRIu64 " of %" PRIu64 " free", free_pages,
			   total);
	else /* 1 GiB pages are for few; 2 MiB ones make a start with devices much shorter */
		doctor_say(p, check, kib * KIB >= GIB ? DOCTOR_OK : DOCTOR_WARN, hint,
			   "none reserved");
	return 0;
}

/* May vmd raise limits? */
static bool doctor_may_raise(const struct doctor *p)
{
	char text[4096], *at;

	if (hostfs_read(p->h, "proc/self/status", text, sizeof(text), NULL) < 0)
		return false;
	at = strstr(text, "\nCapEff:");
	return at && strtoull(at + strlen("\nCapEff:"), NULL, 16) & BIT64(CAP_SYS_RESOURCE);
}

/* A VM with a device has all of its memory pinned. */
static void doctor_memlock(struct doctor *p)
{
	char text[4096], soft[32] = "?", *at = NULL;

	if (hostfs_read(p->h, "proc/self/limits", text, sizeof(text), NULL) > 0)
		at = strstr(text, "Max locked memory");
	if (!at || sscanf(at, "Max locked memory %31s", soft) != 1)
		return;
	if (!strcmp(soft, "unlimited"))
		doctor_say(p, "memlock", DOCTOR_OK, "", "unlimited");
	else if (doctor_may_raise(p))
		doctor_say(p, "memlock", DOCTOR_OK, "", "%s bytes; vmd raises it as a VM needs",
			   soft);
	else
		doctor_say(p, "memlock", DOCTOR_WARN,
			   "LimitMEMLOCK=infinity in vmd's unit, or run it as root",
			   "%s bytes: VMs with devices cannot pin their memory", soft);
}

static void doctor_modules(struct doctor *p)
{
	/* by what they make, too: what is built in need not be in sys/module */
	static const struct {
		const char *name, *path, *why;
		enum doctor_status status;
	} modules[] = {
		{ "vfio", "dev/vfio/vfio", "no device can be passed through", DOCTOR_FAIL },
		{ "vfio_pci", "sys/bus/pci/drivers/vfio-pci", "no device can be passed through",
		  DOCTOR_FAIL },
		{ "vfio_iommu_type1", "dev/iommu", "no device can be passed through", DOCTOR_FAIL },
		{ "tun", "dev/net/tun", "VMs can have no tap interfaces", DOCTOR_WARN },
		{ "vhost_net", "dev/vhost-net", "VMs' networks are slower", DOCTOR_WARN },
		{ "vhost_vsock", "dev/vhost-vsock", "VMs can have no vsock", DOCTOR_WARN },
	};

	for (size_t i = 0; i < ARRAY_SIZE(modules); i++) {
		char path[96], hint[128];

		snprintf(path, sizeof(path), "sys/module/%s", modules[i].name);
		snprintf(hint, sizeof(hint), "modprobe %s; for every boot: /etc/modules-load.d",
			 modules[i].name);
		if (doctor_exists(p, path) || doctor_exists(p, modules[i].path))
			doctor_say(p, modules[i].name, DOCTOR_OK, "", "there");
		else
			doctor_say(p, modules[i].name, modules[i].status, hint, "not loaded: %s",
				   modules[i].why);
	}
}

static bool doctor_has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = text; (at = strstr(at, word)); at += len)
		if ((at == text || at[-1] == ' ') && (!at[len] || at[len] == ' '))
			return true;
	return false;
}

static void doctor_cgroup(struct doctor *p)
{
	static const char *const needed[] = { "cpu", "io", "memory", "pids" };
	char text[512], missing[64] = "";

	if (hostfs_read(p->h, "sys/fs/cgroup/cgroup.controllers", text, sizeof(text), NULL) < 0) {
		doctor_say(p, "cgroup", DOCTOR_WARN,
			   "mount -t cgroup2 none /sys/fs/cgroup, or boot with "
			   "systemd.unified_cgroup_hierarchy=1",
			   "no cgroup v2: VMs cannot be limited");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (!doctor_has_word(text, needed[i]))
			snprintf(missing + strlen(missing), sizeof(missing) - strlen(missing),
				 " %s", needed[i]);
	if (missing[0])
		doctor_say(p, "cgroup", DOCTOR_WARN,
			   "boot without cgroup_disable=", "version 2 without the controllers%s",
			   missing);
	else
		doctor_say(p, "cgroup", DOCTOR_OK, "", "version 2: %s", text);
}

/* Network managers that take a new VF for an interface of the host's. */
static void doctor_rule(struct doctor *p)
{
	static const char *const folders[] = { "etc", "run", "usr/local/lib", "usr/lib", "lib" };
	char path[96];

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		snprintf(path, sizeof(path), "%s/" HOST_DOCTOR_RULE, folders[i]);
		if (!doctor_exists(p, path))
			continue;
		doctor_say(p, "udev-rule", DOCTOR_OK, "", "/%s", path);
		return;
	}
	doctor_say(p, "udev-rule", DOCTOR_WARN,
		   "copy vmd's 60-vmd-vf.rules to /etc/udev/rules.d, then udevadm control --reload",
		   "missing: network managers may take the host's VFs");
}

struct json_object *host_doctor(const struct hostfs *h)
{
	struct doctor p = { .h = h, .checks = json_object_new_array() };
	struct json_object *o = json_new();

	doctor_kvm(&p);
	doctor_nested(&p);
	doctor_iommu(&p);
	doctor_modules(&p);
	hostfs_each(h, "sys/kernel/mm/hugepages", doctor_pages, &p, NULL);
	doctor_memlock(&p);
	doctor_cgroup(&p);
	doctor_rule(&p);
	json_add_str(o, "status", doctor_status_names[p.worst]);
	return json_add(o, "checks", p.checks);
}
