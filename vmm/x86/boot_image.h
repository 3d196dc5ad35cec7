/* SPDX-License-Identifier: MIT */
/*
 * What the loaders of boot.c share; nobody else includes this. Files are user data: every offset and
 * size of theirs is checked against the file and against guest memory before it is used.
 */
#ifndef VMM_X86_BOOT_IMAGE_H
#define VMM_X86_BOOT_IMAGE_H

#include "vmm/x86/boot.h"

struct setup_header;

struct boot_image {
	const struct gmem *g;
	const struct boot_config *c;
	uint64_t file_size; /* of the kernel */
	uint64_t low_end;   /* end of RAM below the 32-bit hole */
	uint64_t
		kernel_end; /* set by the loader: nothing of the kernel is at or above this address */
	uint64_t initrd, initrd_size; /* set by boot_load_initrd; 0: none */
};

/* -ERR_KERNEL_IMAGE: not a file; -ERR_MEMORY: too little of it for any kernel */
int boot_image_init(struct boot_image *im, const struct gmem *g, const struct boot_config *c,
		    struct err *e);
int boot_load_linux(struct boot_image *im, struct boot_entry *ret_entry, struct err *e);
int boot_load_elf(struct boot_image *im, struct boot_entry *ret_entry, struct err *e);

/* Read a part of the kernel file; -ERR_KERNEL_IMAGE "truncated: what …" when it is not all there. */
int boot_read(const struct boot_image *im, uint64_t off, void *data, uint64_t len, const char *what,
	      struct err *e);
/* Check that the kernel's [gpa, gpa + size) is RAM between 1 MiB and the hole: what names it. */
int boot_check_range(const struct boot_image *im, uint64_t gpa, uint64_t size, const char *what,
		     struct err *e);
/* As high as possible below limit and above kernel_end. */
int boot_load_initrd(struct boot_image *im, uint64_t limit, struct err *e);
/* The header of a bzImage, whatever its version; what it does not have is 0. */
int boot_linux_header(const struct boot_image *im, struct setup_header *ret_h, struct err *e);
/* max: bytes that the kernel takes, without the NUL. */
int boot_check_cmdline(const struct boot_image *im, uint64_t max, struct err *e);
int boot_write_cmdline(const struct boot_image *im, uint64_t max, struct err *e);

#endif
