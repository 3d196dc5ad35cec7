// SPDX-License-Identifier: MIT
/*
 * The host's IOMMU: see host_iommu.h. ACPI's tables DMAR (Intel VT-d), IVRS (AMD) and VIOT (virtio-iommu);
 * admin-guide/kernel-parameters.txt. Any thread.
 */
#include "vmd/host_iommu.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/auto.h"

static bool host_iommu_exists(const struct hostfs *h, const char *path)
{
	AUTO_CLOSE int fd = hostfs_open(h, path, O_PATH, NULL);

	return fd >= 0;
}

static int host_iommu_any(void *arg, const char *name)
{
	(void)name;
	*(bool *)arg = true;
	return 0;
}

static void host_iommu_cpu(const struct hostfs *h, struct host_iommu *iommu)
{
	char text[1024];

	if (hostfs_read(h, "proc/cpuinfo", text, sizeof(text), NULL) < 0)
		return;
	if (strstr(text, "GenuineIntel"))
		iommu->vendor = HOST_CPU_INTEL;
	else if (strstr(text, "AuthenticAMD") || strstr(text, "HygonGenuine"))
		iommu->vendor = HOST_CPU_AMD;
}

static void host_iommu_cmdline(const struct hostfs *h, struct host_iommu *iommu)
{
	static const char *const off[] = { "iommu=off", "intel_iommu=off", "amd_iommu=off" };
	char text[4096], *at = text;

	if (hostfs_read(h, "proc/cmdline", text, sizeof(text), NULL) < 0)
		return;
	for (char *word; (word = strsep(&at, " \n"));)
		for (size_t i = 0; i < ARRAY_SIZE(off); i++)
			if (!strcmp(word, off[i]))
				snprintf(iommu->off, sizeof(iommu->off), "%s", off[i]);
}

/* Each remapped interrupt has a chip of such a name: "IR-PCI-MSI", "IR-IO-APIC". */
static bool host_iommu_unremapped(const struct hostfs *h)
{
	char text[65536];

	return hostfs_read(h, "proc/interrupts", text, sizeof(text), NULL) > 0 &&
	       !strstr(text, " IR-");
}

void host_iommu_read(const struct hostfs *h, struct host_iommu *ret_iommu)
{
	struct host_iommu iommu = { 0 };

	host_iommu_cpu(h, &iommu);
	iommu.firmware = host_iommu_exists(h, "sys/firmware/acpi/tables/DMAR") ||
			 host_iommu_exists(h, "sys/firmware/acpi/tables/IVRS") ||
			 host_iommu_exists(h, "sys/firmware/acpi/tables/VIOT");
	hostfs_each(h, "sys/class/iommu", host_iommu_any, &iommu.active, NULL);
	hostfs_each(h, "sys/kernel/iommu_groups", host_iommu_any, &iommu.groups, NULL);
	iommu.unremapped = host_iommu_unremapped(h);
	host_iommu_cmdline(h, &iommu);
	*ret_iommu = iommu;
}

void host_iommu_explain(const struct host_iommu *iommu, char *why, size_t why_size, char *hint,
			size_t hint_size)
{
	static const struct {
		const char *table, *name, *on;
	} words[] = {
		[HOST_CPU_OTHER] = { "DMAR or IVRS", "the IOMMU (VT-d or AMD-Vi)",
				     "intel_iommu=on" },
		[HOST_CPU_INTEL] = { "DMAR", "VT-d", "intel_iommu=on" },
		[HOST_CPU_AMD] = { "IVRS", "the IOMMU (AMD-Vi)", "amd_iommu=on" },
	};

	if (iommu->groups) {
		snprintf(why, why_size, "the host's IOMMU does not reach it");
		snprintf(hint, hint_size, "put it into another slot, or take another device");
	} else if (iommu->off[0]) {
		snprintf(why, why_size, "the kernel's command line says %s", iommu->off);
		snprintf(hint, hint_size, "put %s in the place of %s on the kernel's command line",
			 words[iommu->vendor].on, iommu->off);
	} else if (!iommu->firmware) {
		snprintf(why, why_size, "the firmware shows no IOMMU (ACPI has no table %s)",
			 words[iommu->vendor].table);
		snprintf(hint, hint_size, "switch %s on in the firmware's setup",
			 words[iommu->vendor].name);
	} else {
		snprintf(why, why_size,
			 "the kernel does not use the IOMMU that the firmware shows");
		snprintf(hint, hint_size, "boot with %s on the kernel's command line",
			 words[iommu->vendor].on);
	}
}
