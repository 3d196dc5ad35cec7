// SPDX-License-Identifier: MIT
/*
 * bzImage by the 64-bit boot protocol: Linux Documentation/arch/x86/boot.rst, "64-bit Boot Protocol",
 * with the zero page of arch/x86/zero-page.rst. Only the protected-mode part of the file is loaded; the
 * kernel starts in long mode with identity-mapped memory (regs.c), RSI pointing at boot_params.
 */
#include <asm/bootparam.h>
#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "lib/errcat.h"
#include "vmm/x86/boot_image.h"
#include "vmm/x86/map.h"

#define BOOT_LINUX_HEADER 0x1f1	    /* offset of setup_header, in the file and in boot_params */
#define BOOT_LINUX_MAGIC 0x53726448 /* "HdrS" */
#define BOOT_LINUX_VERSION 0x20c    /* 2.12: xloadflags (Linux 3.8) */
#define BOOT_LINUX_ENTRY64 0x200
#define BOOT_LINUX_SECTOR 512ull

static_assert(offsetof(struct boot_params, hdr) == BOOT_LINUX_HEADER, "zero page layout");
static_assert(offsetof(struct boot_params, e820_table) == 0x2d0, "zero page layout");

/* The header ends where its jump instruction goes: boot.rst, "the setup header ends at". */
int boot_linux_header(const struct boot_image *im, struct setup_header *ret_h, struct err *e)
{
	struct setup_header h = { 0 };
	uint8_t jump;
	size_t len;
	int r;

	r = boot_read(im, 0x201, &jump, 1, "the setup header", e);
	if (r < 0)
		return r;
	len = MIN(0x202u + jump - BOOT_LINUX_HEADER, sizeof(h));
	r = boot_read(im, BOOT_LINUX_HEADER, &h, len, "the setup header", e);
	if (r < 0)
		return r;
	if (h.header != BOOT_LINUX_MAGIC)
		return err_set(e, ERR_KERNEL_IMAGE, "not a kernel: no HdrS at 0x202");
	if (h.boot_flag != 0xaa55)
		return err_set(e, ERR_KERNEL_IMAGE,
			       "not a kernel: HdrS at 0x202, but no boot flag at 0x1fe");
	*ret_h = h;
	return 0;
}

static int boot_linux_check(const struct setup_header *h, struct err *e)
{
	if (h->version < BOOT_LINUX_VERSION)
		return err_set(
			e, ERR_KERNEL_IMAGE,
			"boot protocol %u.%02u is too old: 2.12 (Linux 3.8) or newer is needed",
			h->version >> 8, h->version & 0xff);
	if (!(h->xloadflags & XLF_KERNEL_64))
		return err_set(e, ERR_KERNEL_IMAGE,
			       "a kernel without a 64-bit entry (XLF_KERNEL_64): 32-bit kernels "
			       "are not supported");
	return 0;
}

/*
 * Where the kernel goes. Loaded lower than pref_address it would move itself there, so that this memory
 * is needed anyway; it is never loaded elsewhere.
 */
static int boot_linux_place(struct boot_image *im, const struct setup_header *h, uint64_t size,
			    uint64_t *ret_gpa, struct err *e)
{
	uint64_t gpa = h->pref_address;
	uint64_t room = MAX((uint64_t)h->init_size, size);
	int r;

	if (h->relocatable_kernel &&
	    (!is_power_of_two(h->kernel_alignment) || gpa % h->kernel_alignment))
		return err_set(e, ERR_KERNEL_IMAGE,
			       "pref_address 0x%llx does not agree with kernel_alignment 0x%x",
			       (unsigned long long)gpa, h->kernel_alignment);
	r = boot_check_range(im, gpa, room, "the kernel", e);
	if (r < 0)
		return r;
	im->kernel_end = gpa + room;
	*ret_gpa = gpa;
	return 0;
}

static int boot_linux_body(struct boot_image *im, const struct setup_header *h, uint64_t *ret_gpa,
			   struct err *e)
{
	uint64_t off = (h->setup_sects ? h->setup_sects + 1ull : 5ull) * BOOT_LINUX_SECTOR;
	uint64_t size = h->syssize * 16ull;
	int r;

	/* syssize is rounded up to paragraphs, the file need not be */
	if (size > 16 && off < im->file_size && im->file_size - off < size &&
	    size - (im->file_size - off) < 16)
		size = im->file_size - off;
	if (size <= BOOT_LINUX_ENTRY64)
		return err_set(
			e, ERR_KERNEL_IMAGE,
			"the header says that the kernel has %llu bytes: too few for its entry",
			(unsigned long long)size);
	if (!range_fits(off, size, im->file_size))
		return err_set(
			e, ERR_KERNEL_IMAGE,
			"truncated kernel: %llu bytes at offset %llu are needed, the file has %llu",
			(unsigned long long)size, (unsigned long long)off,
			(unsigned long long)im->file_size);
	r = boot_linux_place(im, h, size, ret_gpa, e);
	if (r < 0)
		return r;
	return boot_read(im, off, gmem_ptr(im->g, *ret_gpa, size), size, "the kernel", e);
}

static void boot_linux_zero_page(const struct boot_image *im, const struct setup_header *h)
{
	struct boot_params *p = gmem_ptr(im->g, MAP_BOOT_PARAMS, sizeof(*p));
	struct boot_e820 map[BOOT_E820_MAX];
	unsigned int n = boot_e820(im->g, map);

	memset(p, 0, sizeof(*p));
	p->hdr = *h;
	p->hdr.type_of_loader = 0xff;
	p->hdr.cmd_line_ptr = MAP_CMDLINE;
	p->hdr.ramdisk_image = (uint32_t)im->initrd;
	p->hdr.ramdisk_size = (uint32_t)im->initrd_size;
	p->hdr.setup_data = 0;
	p->acpi_rsdp_addr = im->c->rsdp;
	for (unsigned int i = 0; i < n; i++) {
		p->e820_table[i].addr = map[i].addr;
		p->e820_table[i].size = map[i].size;
		p->e820_table[i].type = map[i].type;
	}
	p->e820_entries = (uint8_t)n;
}

int boot_load_linux(struct boot_image *im, struct boot_entry *ret_entry, struct err *e)
{
	struct setup_header h = { 0 };
	uint64_t gpa = 0;
	int r;

	r = boot_linux_header(im, &h, e);
	if (r >= 0)
		r = boot_linux_check(&h, e);
	if (r < 0)
		return r;
	r = boot_linux_body(im, &h, &gpa, e);
	if (r < 0)
		return r;
	r = boot_load_initrd(im, (uint64_t)h.initrd_addr_max + 1, e);
	if (r < 0)
		return r;
	r = boot_write_cmdline(im, h.cmdline_size, e);
	if (r < 0)
		return r;
	boot_linux_zero_page(im, &h);
	*ret_entry = (struct boot_entry){ .protocol = BOOT_LINUX64,
					  .rip = gpa + BOOT_LINUX_ENTRY64,
					  .param = MAP_BOOT_PARAMS };
	return 0;
}
