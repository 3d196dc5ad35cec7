// SPDX-License-Identifier: MIT
/* What PVH hands over: memory map (command line: mib=), command line and initrd. */
#include "lib/guest.h"

static uint64_t check_memmap(const struct start_info *si)
{
	const struct start_memmap *m = (const void *)si->memmap;
	uint64_t ram = 0, last = 0;
	bool ecam = false;

	CHECK(si->memmap_entries > 0);
	for (uint32_t i = 0; i < si->memmap_entries; i++) {
		CHECK(m[i].addr >= last);
		last = m[i].addr + m[i].size;
		if (m[i].type == 1)
			ram += m[i].size;
		if (m[i].type == 2 && m[i].addr == 0xe0000000 && m[i].size == 0x10000000)
			ecam = true;
	}
	CHECK(ecam);
	return ram;
}

/* Each RAM range answers at its end; what is above 4 GiB is not what is below. */
static void check_ram(const struct start_info *si)
{
	const struct start_memmap *m = (const void *)si->memmap;

	for (uint32_t i = 0; i < si->memmap_entries; i++) {
		volatile uint64_t *p = (void *)(m[i].addr + m[i].size - 8);

		if (m[i].type != 1 || m[i].addr < 0x100000)
			continue;
		*p = 0x1122334455667788 + i;
		CHECK_EQ(*p, 0x1122334455667788 + i);
	}
}

int guest_main(const struct start_info *si)
{
	uint64_t mib = cmdline_number(si, "mib", 0);
	uint64_t initrd = cmdline_number(si, "initrd", 0);
	const struct start_module *mod = (const void *)si->modlist;

	CHECK_EQ(si->magic, 0x336ec578);
	CHECK_EQ(si->version, 1);
	CHECK_EQ(check_memmap(si), (mib << 20) - 0x60400); /* but for the EBDA to 1 MiB */
	check_ram(si);
	CHECK_EQ(si->nr_modules, initrd ? 1 : 0);
	if (initrd) {
		CHECK_EQ(mod->size, initrd);
		CHECK_EQ(memcmp((const void *)mod->paddr, "initrd payload", 14), 0);
	}
	return 0;
}
