/* SPDX-License-Identifier: MIT */
/*
 * Direct kernel boot: bzImage by the 64-bit boot protocol (Linux Documentation/arch/x86/boot.rst) and
 * ELF vmlinux by its PVH entry (Xen docs/misc/pvh.pandoc; ELF note XEN_ELFNOTE_PHYS32_ENTRY).
 */
#ifndef VMM_X86_BOOT_H
#define VMM_X86_BOOT_H

#include "lib/err.h"
#include "vmm/gmem.h"

struct boot_config {
	int kernel_fd; /* borrowed; read with pread, so that a reset can load again */
	int initrd_fd; /* borrowed; -1: none */
	const char *cmdline;
	uint64_t rsdp; /* guest address of the ACPI RSDP */
	bool fresh;    /* memory from 1 MiB on is zero: it need not be touched to be cleared */
};

enum boot_protocol {
	BOOT_LINUX64,
	BOOT_PVH,
	BOOT_RESET_VECTOR,
	BOOT_WAKE_REAL, /* not a boot: after S3, at a physical address below 1 MiB in real mode */
	BOOT_WAKE_PROTECTED, /* in 32-bit mode, flat, without tables */
};

struct boot_entry {
	enum boot_protocol protocol;
	uint64_t rip;	/* this and param: not at the reset vector, where firmware starts */
	uint64_t param; /* guest address of boot_params (RSI) or hvm_start_info (EBX) */
};

/*
 * Load kernel, initrd, command line, boot parameters and e820. -ERR_KERNEL_IMAGE: not a kernel that we
 * can boot, and why; -ERR_MEMORY: it does not fit, with what is needed and what there is.
 */
int boot_load(const struct gmem *g, const struct boot_config *c, struct boot_entry *ret_entry,
	      struct err *e);

#define BOOT_E820_MAX 8
struct boot_e820 {
	uint64_t addr, size;
	uint32_t type; /* 1 RAM, 2 reserved, 3 ACPI */
};
/* The guest's memory map from g's regions: RAM, EBDA and BIOS area, ECAM reserved. Count. */
unsigned int boot_e820(const struct gmem *g, struct boot_e820 map[static BOOT_E820_MAX]);

#endif
