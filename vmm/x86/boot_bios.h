/* SPDX-License-Identifier: MIT */
/*
 * A kernel that firmware starts: a bzImage by the 16-bit boot protocol, Documentation/arch/x86/boot.rst of Linux, sections "Memory
 * Layout" to "Running the Kernel". Its 32-bit part and the initrd are in memory before the firmware runs, which uses none of
 * that but the top; its 16-bit part and the command line are items of fw_cfg, and an option ROM (boot_rom.S) starts it.
 */
#ifndef VMM_X86_BOOT_BIOS_H
#define VMM_X86_BOOT_BIOS_H

#include "vmm/x86/boot.h"

struct device;

/* What the firmware starts from then: its boot order */
#define BOOT_BIOS_ORDER "/rom@genroms/kernel.bin\nHALT"

/* At each boot; with the fw_cfg device at the first one, NULL later. As boot_load. */
int boot_bios(const struct gmem *g, const struct boot_config *c, struct device *fw_cfg,
	      struct err *e);

#endif
