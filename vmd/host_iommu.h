/* SPDX-License-Identifier: MIT */
/* Has the host an IOMMU that works, and if not, who has to switch it on. Any thread. */
#ifndef VMD_HOST_IOMMU_H
#define VMD_HOST_IOMMU_H

#include "lib/hostfs.h"

enum host_cpu_vendor { HOST_CPU_OTHER, HOST_CPU_INTEL, HOST_CPU_AMD };

struct host_iommu {
	enum host_cpu_vendor vendor;
	bool firmware;	 /* its ACPI table is there: DMAR, IVRS or VIOT */
	bool active;	 /* the kernel has IOMMUs: sys/class/iommu */
	bool groups;	 /* and groups */
	bool unremapped; /* interrupts are not remapped; false also where it cannot be told */
	char off[32];	 /* the word of the kernel's command line that switches it off, or "" */
};

void host_iommu_read(const struct hostfs *h, struct host_iommu *ret_iommu);
/* Why a device has no group, and what to do. */
void host_iommu_explain(const struct host_iommu *iommu, char *why, size_t why_size, char *hint,
			size_t hint_size);

#endif
