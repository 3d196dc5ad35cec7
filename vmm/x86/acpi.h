/* SPDX-License-Identifier: MIT */
/*
 * ACPI 6.4 tables in guest memory: RSDP, RSDT, XSDT, FADT, FACS, MADT, MCFG, SSDT and the DSDT that iasl made of
 * dsdt.asl. The DSDT holds what never changes; what depends on the definition is in named integers of a
 * small SSDT made here.
 */
#ifndef VMM_X86_ACPI_H
#define VMM_X86_ACPI_H

#include "lib/err.h"
#include "vmm/gmem.h"

struct acpi_config {
	unsigned int nvcpus;
	bool pic;   /* 8259s are there (in-kernel irqchip): MADT PCAT_COMPAT and the PIT override */
	bool i8042; /* FADT IAPC_BOOT_ARCH bit 1 */
	bool rtc;   /* else IAPC_BOOT_ARCH bit 5, "CMOS RTC not present" */
	bool com[4];
	bool floppy;
	bool pvpanic;			 /* at its port */
	bool ecam;			 /* configuration space in memory: an MCFG */
	struct gmem_window pci32, pci64; /* of the host bridge's _CRS */
};

/* Also puts them back on a reset. -ERR_MEMORY when they do not fit. */
int acpi_build(const struct gmem *g, const struct acpi_config *c, uint64_t *ret_rsdp,
	       struct err *e);

/* Where the guest goes on after S3: real mode at physical address (ACPI 6.4, section 5.2.10), or 32-bit, flat. */
struct acpi_waking {
	uint32_t vector;
	bool protected_mode;
};

/* What the guest left in the FACS; false: nowhere that a processor could go to. */
bool acpi_get_waking(const struct gmem *g, struct acpi_waking *ret);

#endif
