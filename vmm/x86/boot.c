// SPDX-License-Identifier: MIT
/*
 * Direct kernel boot: which kind of kernel a file is, and what both kinds share: the memory map, the
 * initrd and the command line. The kinds are in boot_linux.c and boot_elf.c. Files are read straight
 * into guest memory. On the control loop while no vCPU runs; a reset loads again.
 */
#include "vmm/x86/boot.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/errcat.h"
#include "lib/fdio.h"
#include "vmm/x86/boot_image.h"
#include "vmm/x86/map.h"

#define BOOT_CMDLINE_MAX 2047 /* COMMAND_LINE_SIZE of x86 Linux, without the NUL */
#define BOOT_PAGE 4096ull

static void boot_e820_add(struct boot_e820 *map, unsigned int *n, uint64_t start, uint64_t end,
			  uint32_t type)
{
	if (start >= end || *n >= BOOT_E820_MAX)
		return;
	map[*n] = (struct boot_e820){ .addr = start, .size = end - start, .type = type };
	(*n)++;
}

unsigned int boot_e820(const struct gmem *g, struct boot_e820 map[static BOOT_E820_MAX])
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < g->nregions; i++) {
		uint64_t start = g->regions[i].gpa, end = start + g->regions[i].size;

		if (start == 0) {
			boot_e820_add(map, &n, 0, MIN(end, MAP_EBDA), 1);
			boot_e820_add(map, &n, MAP_EBDA, 0xa0000, 2);
			boot_e820_add(map, &n, MAP_ACPI_RSDP, MAP_KERNEL, 2);
			boot_e820_add(map, &n, MAP_KERNEL, end, 1);
			boot_e820_add(map, &n, GMEM_ECAM_START, GMEM_ECAM_START + GMEM_ECAM_SIZE,
				      2);
			boot_e820_add(map, &n, GMEM_KVM_IDENTITY_MAP, GMEM_HOLE_END, 2);
		} else {
			boot_e820_add(map, &n, start, end, 1);
		}
	}
	return n;
}

int boot_read(const struct boot_image *im, uint64_t off, void *data, uint64_t len, const char *what,
	      struct err *e)
{
	ssize_t n;

	if (!range_fits(off, len, im->file_size))
		return err_set(
			e, ERR_KERNEL_IMAGE,
			"truncated kernel: %s is %llu bytes at offset %llu, the file has %llu",
			what, (unsigned long long)len, (unsigned long long)off,
			(unsigned long long)im->file_size);
	n = fdio_pread(im->c->kernel_fd, data, len, (off_t)off);
	if (n < 0)
		return err_ret(e, (int)n, "cannot read the kernel");
	if ((uint64_t)n != len)
		return err_set(e, ERR_KERNEL_IMAGE, "truncated kernel: %s ends after %zd bytes",
			       what, n);
	return 0;
}

static int boot_short_of_memory(const struct boot_image *im, uint64_t need, const char *what,
				struct err *e)
{
	err_set(e, ERR_MEMORY, "%s needs memory up to %llu MiB, the guest has %llu MiB%s", what,
		(unsigned long long)(need / MIB + (need % MIB != 0)),
		(unsigned long long)(im->low_end / MIB),
		im->low_end >= GMEM_HOLE_START ? " below 4 GiB" : "");
	return err_hint(e, "give the guest more memory");
}

int boot_check_range(const struct boot_image *im, uint64_t gpa, uint64_t size, const char *what,
		     struct err *e)
{
	uint64_t end;

	if (!checked_add(gpa, size, &end) || end > GMEM_HOLE_START)
		return err_set(e, ERR_KERNEL_IMAGE,
			       "%s, %llu bytes at 0x%llx, is not below the 32-bit hole (0x%llx)",
			       what, (unsigned long long)size, (unsigned long long)gpa,
			       GMEM_HOLE_START);
	if (gpa < MAP_KERNEL)
		return err_set(e, ERR_KERNEL_IMAGE,
			       "%s is at 0x%llx; kernels are loaded at 1 MiB and above", what,
			       (unsigned long long)gpa);
	if (end > im->low_end)
		return boot_short_of_memory(im, end, what, e);
	return 0;
}

int boot_load_initrd(struct boot_image *im, uint64_t limit, struct err *e)
{
	uint64_t top = align_down(MIN(limit, im->low_end), BOOT_PAGE);
	uint64_t size, need;
	struct stat st;
	ssize_t n;

	if (im->c->initrd_fd < 0)
		return 0;
	if (fstat(im->c->initrd_fd, &st) < 0)
		return err_errno(e, "cannot read the initrd");
	if (!S_ISREG(st.st_mode) || st.st_size <= 0)
		return err_set(e, ERR_FILE, "the initrd is %s",
			       S_ISREG(st.st_mode) ? "empty" : "not a regular file");
	size = (uint64_t)st.st_size;
	if (!checked_add(align_up(im->kernel_end, BOOT_PAGE), size, &need) || need > top)
		return boot_short_of_memory(im, need, "the kernel with its initrd", e);
	im->initrd = align_down(top - size, BOOT_PAGE);
	im->initrd_size = size;
	n = fdio_pread(im->c->initrd_fd, gmem_ptr(im->g, im->initrd, size), size, 0);
	if (n < 0)
		return err_ret(e, (int)n, "cannot read the initrd");
	if ((uint64_t)n != size)
		return err_set(e, ERR_FILE, "the initrd became shorter while it was read");
	return 0;
}

int boot_check_cmdline(const struct boot_image *im, uint64_t max, struct err *e)
{
	size_t len = im->c->cmdline ? strlen(im->c->cmdline) : 0;

	max = MIN(max, BOOT_CMDLINE_MAX);
	if (len <= max)
		return 0;
	return err_set(e, ERR_INVALID,
		       "the command line has %zu bytes, this kernel takes at most %llu", len,
		       (unsigned long long)max);
}

int boot_write_cmdline(const struct boot_image *im, uint64_t max, struct err *e)
{
	const char *cmdline = im->c->cmdline ? im->c->cmdline : "";
	int r = boot_check_cmdline(im, max, e);

	return r < 0 ? r : gmem_write(im->g, MAP_CMDLINE, cmdline, strlen(cmdline) + 1);
}

static int boot_check_memory(const struct gmem *g, struct err *e)
{
	/* 2 MiB: what the tables below 1 MiB and any kernel at all take */
	if (g->nregions == 0 || g->regions[0].gpa != 0 || g->regions[0].size < 2 * MIB)
		return err_set(e, ERR_MEMORY, "a kernel needs at least 2 MiB of memory");
	return 0;
}

int boot_image_init(struct boot_image *im, const struct gmem *g, const struct boot_config *c,
		    struct err *e)
{
	struct stat st;
	int r = boot_check_memory(g, e);

	if (r < 0)
		return r;
	if (fstat(c->kernel_fd, &st) < 0)
		return err_errno(e, "cannot read the kernel");
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_KERNEL_IMAGE, "not a kernel: not a regular file");
	*im = (struct boot_image){ .g = g,
				   .c = c,
				   .file_size = (uint64_t)st.st_size,
				   .low_end = MIN(g->regions[0].size, GMEM_HOLE_START) };
	return 0;
}

int boot_load(const struct gmem *g, const struct boot_config *c, struct boot_entry *ret_entry,
	      struct err *e)
{
	uint8_t head[0x206] = { 0 };
	struct boot_entry entry = { 0 };
	struct boot_image im;
	ssize_t n;
	int r = boot_image_init(&im, g, c, e);

	if (r < 0)
		return r;
	n = fdio_pread(c->kernel_fd, head, sizeof(head), 0);
	if (n < 0)
		return err_ret(e, (int)n, "cannot read the kernel");
	if (n == 0)
		return err_set(e, ERR_KERNEL_IMAGE, "not a kernel: the file is empty");
	if (memcmp(head, "\177ELF", 4) == 0)
		r = boot_load_elf(&im, &entry, e);
	else if (memcmp(head + 0x202, "HdrS", 4) == 0)
		r = boot_load_linux(&im, &entry, e);
	else
		r = err_set(e, ERR_KERNEL_IMAGE,
			    "not a kernel: neither bzImage (no HdrS at 0x202) nor ELF");
	if (r < 0)
		return r;
	*ret_entry = entry;
	return 0;
}
