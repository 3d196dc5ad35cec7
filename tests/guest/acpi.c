// SPDX-License-Identifier: MIT
/* The ACPI tables, as a kernel finds them: from the RSDP, each with a right checksum. */
#include "lib/guest.h"

static uint32_t madt_cpus(const uint8_t *madt)
{
	uint32_t len = *(const uint32_t *)(madt + 4), n = 0;

	for (uint32_t pos = 44; pos < len; pos += madt[pos + 1]) {
		CHECK(madt[pos + 1] >= 2);
		n += madt[pos] == 0 || madt[pos] == 9;
	}
	return n;
}

int guest_main(const struct start_info *si)
{
	const uint8_t *rsdp = (const uint8_t *)si->rsdp, *fadt, *madt;
	uint64_t dsdt;

	CHECK_EQ(memcmp(rsdp, "RSD PTR ", 8), 0);
	CHECK_EQ(acpi_sum(rsdp, 20), 0);
	CHECK_EQ(acpi_sum(rsdp, 36), 0);
	fadt = acpi_find(si, "FACP");
	madt = acpi_find(si, "APIC");
	CHECK(fadt && madt && acpi_find(si, "SSDT"));
	CHECK_EQ(acpi_find(si, "MCFG") != NULL, cmdline_number(si, "ecam", 1));
	memcpy(&dsdt, fadt + 140, 8);
	CHECK_EQ(memcmp((const void *)dsdt, "DSDT", 4), 0);
	CHECK_EQ(acpi_sum((const void *)dsdt, *(const uint32_t *)(dsdt + 4)), 0);
	CHECK_EQ(madt_cpus(madt), cmdline_number(si, "cpus", 1));
	return 0;
}
