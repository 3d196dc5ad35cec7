// SPDX-License-Identifier: MIT
/* vmm/x86/boot*.c: kernels made here, good and bad, loaded into a buffer. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <asm/bootparam.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "vmm/x86/boot.h"
#include "vmm/x86/map.h"

#define RAM (32 * MIB)
#define PREF 0x400000u

struct fixture {
	uint8_t *ram;
	struct gmem g;
	struct boot_config c;
	struct boot_entry entry;
	struct err e;
};

static int boot_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(f->ram != MAP_FAILED);
	gmem_init_buffer(&f->g, f->ram, RAM);
	f->c = (struct boot_config){
		.kernel_fd = -1, .initrd_fd = -1, .cmdline = "console=ttyS0", .rsdp = MAP_ACPI_RSDP
	};
	*state = f;
	return 0;
}

static int boot_teardown(void **state)
{
	struct fixture *f = *state;

	if (f->c.kernel_fd >= 0)
		close(f->c.kernel_fd);
	if (f->c.initrd_fd >= 0)
		close(f->c.initrd_fd);
	gmem_fini(&f->g);
	munmap(f->ram, RAM);
	free(f);
	return 0;
}

static int boot_file(const void *data, size_t len)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, len, 0), (ssize_t)len);
	return fd;
}

static int boot_try(struct fixture *f, const void *kernel, size_t len)
{
	if (f->c.kernel_fd >= 0)
		close(f->c.kernel_fd);
	f->c.kernel_fd = boot_file(kernel, len);
	memset(&f->e, 0, sizeof(f->e));
	return boot_load(&f->g, &f->c, &f->entry, &f->e);
}

static void boot_expect(struct fixture *f, const void *kernel, size_t len, int code,
			const char *msg)
{
	assert_int_equal(boot_try(f, kernel, len), -code);
	assert_int_equal(f->e.code, code);
	assert_string_equal(f->e.msg, msg);
}

/* --- bzImage ---------------------------------------------------------------------------------- */

#define BZ_SETUP 2048 /* three sectors of setup and the boot sector */
#define BZ_BODY 4096

struct bzimage {
	uint8_t data[BZ_SETUP + BZ_BODY];
	struct setup_header *h;
};

static void bz_make(struct bzimage *b)
{
	memset(b->data, 0, BZ_SETUP);
	memset(b->data + BZ_SETUP, 0xc5, BZ_BODY);
	b->h = (struct setup_header *)(b->data + 0x1f1);
	b->h->setup_sects = 3;
	b->h->syssize = BZ_BODY / 16;
	b->h->boot_flag = 0xaa55;
	b->h->jump = 0x6aeb; /* the header ends at 0x26c */
	memcpy(&b->h->header, "HdrS", 4);
	b->h->version = 0x20f;
	b->h->loadflags = 1;
	b->h->xloadflags = XLF_KERNEL_64;
	b->h->relocatable_kernel = 1;
	b->h->kernel_alignment = 0x200000;
	b->h->pref_address = PREF;
	b->h->init_size = 0x100000;
	b->h->cmdline_size = 2047;
	b->h->initrd_addr_max = 0x7fffffff;
}

static void bz_loads(void **state)
{
	struct fixture *f = *state;
	const struct boot_params *p = (const void *)(f->ram + MAP_BOOT_PARAMS);
	static uint8_t initrd[5000];
	struct bzimage b;

	bz_make(&b);
	memset(initrd, 0x77, sizeof(initrd));
	memset(f->ram + MAP_BOOT_PARAMS, 0xff, 4096);
	f->c.initrd_fd = boot_file(initrd, sizeof(initrd));
	assert_int_equal(boot_try(f, b.data, sizeof(b.data)), 0);
	assert_int_equal(f->entry.protocol, BOOT_LINUX64);
	assert_int_equal(f->entry.rip, PREF + 0x200);
	assert_int_equal(f->entry.param, MAP_BOOT_PARAMS);
	assert_memory_equal(f->ram + PREF, b.data + BZ_SETUP, BZ_BODY);
	assert_int_equal(p->hdr.type_of_loader, 0xff);
	assert_int_equal(p->hdr.version, 0x20f);
	assert_int_equal(p->hdr.initrd_addr_max, 0x7fffffff);
	assert_int_equal(p->acpi_rsdp_addr, MAP_ACPI_RSDP);
	assert_string_equal((char *)f->ram + p->hdr.cmd_line_ptr, "console=ttyS0");
	assert_int_equal(p->hdr.ramdisk_size, sizeof(initrd));
	assert_int_equal(p->hdr.ramdisk_image, RAM - 8192);
	assert_memory_equal(f->ram + p->hdr.ramdisk_image, initrd, sizeof(initrd));
	assert_int_equal(p->screen_info.orig_video_isVGA, 0);
	assert_int_equal(p->e820_entries, 6);
	assert_int_equal(p->e820_table[3].addr, MAP_KERNEL);
	assert_int_equal(p->e820_table[3].size, RAM - MAP_KERNEL);
	assert_int_equal(p->e820_table[3].type, 1);
}

/* The initrd stays below what the kernel can reach, and out of the kernel's room. */
static void bz_initrd_limits(void **state)
{
	struct fixture *f = *state;
	const struct boot_params *p = (const void *)(f->ram + MAP_BOOT_PARAMS);
	static uint8_t initrd[0x10000];
	struct bzimage b;

	bz_make(&b);
	b.h->initrd_addr_max = 0x7fffff;
	f->c.initrd_fd = boot_file(initrd, sizeof(initrd));
	assert_int_equal(boot_try(f, b.data, sizeof(b.data)), 0);
	assert_int_equal(p->hdr.ramdisk_image, 0x7f0000);
	b.h->initrd_addr_max = PREF + 0x100000 + 0xffff;
	assert_int_equal(boot_try(f, b.data, sizeof(b.data)), 0);
	b.h->initrd_addr_max--;
	assert_int_equal(boot_try(f, b.data, sizeof(b.data)), -ERR_MEMORY);
	b.h->initrd_addr_max = 0;
	assert_int_equal(boot_try(f, b.data, sizeof(b.data)), -ERR_MEMORY);
	b.h->initrd_addr_max = 0xffffffff;
	assert_int_equal(ftruncate(f->c.initrd_fd, 0), 0);
	boot_expect(f, b.data, sizeof(b.data), ERR_FILE, "the initrd is empty");
	assert_int_equal(ftruncate(f->c.initrd_fd, (off_t)(RAM + 4096)), 0);
	boot_expect(f, b.data, sizeof(b.data), ERR_MEMORY,
		    "the kernel with its initrd needs memory up to 38 MiB, the guest has 32 MiB");
}

static void bz_bad_headers(void **state)
{
	struct fixture *f = *state;
	struct bzimage b;

	bz_make(&b);
	b.h->version = 0x20a;
	boot_expect(f, b.data, sizeof(b.data), ERR_KERNEL_IMAGE,
		    "boot protocol 2.10 is too old: 2.12 (Linux 3.8) or newer is needed");
	bz_make(&b);
	b.h->xloadflags = 0;
	boot_expect(f, b.data, sizeof(b.data), ERR_KERNEL_IMAGE,
		    "a kernel without a 64-bit entry (XLF_KERNEL_64): 32-bit kernels are not "
		    "supported");
	bz_make(&b);
	b.h->boot_flag = 0;
	boot_expect(f, b.data, sizeof(b.data), ERR_KERNEL_IMAGE,
		    "not a kernel: HdrS at 0x202, but no boot flag at 0x1fe");
	bz_make(&b);
	b.h->jump = 0x00eb; /* a header that ends before every field: all of them are 0 */
	assert_int_equal(boot_try(f, b.data, sizeof(b.data)), -ERR_KERNEL_IMAGE);
	bz_make(&b);
	b.h->kernel_alignment = 3;
	boot_expect(f, b.data, sizeof(b.data), ERR_KERNEL_IMAGE,
		    "pref_address 0x400000 does not agree with kernel_alignment 0x3");
}

static void bz_bad_sizes(void **state)
{
	struct fixture *f = *state;
	struct bzimage b;

	bz_make(&b);
	boot_expect(f, b.data, sizeof(b.data) - 100, ERR_KERNEL_IMAGE,
		    "truncated kernel: 4096 bytes at offset 2048 are needed, the file has 6044");
	boot_expect(
		f, b.data, 0x220, ERR_KERNEL_IMAGE,
		"truncated kernel: the setup header is 123 bytes at offset 497, the file has 544");
	bz_make(&b);
	b.h->syssize = 0xffffffff;
	assert_int_equal(boot_try(f, b.data, sizeof(b.data)), -ERR_KERNEL_IMAGE);
	b.h->syssize = 32;
	boot_expect(f, b.data, sizeof(b.data), ERR_KERNEL_IMAGE,
		    "the header says that the kernel has 512 bytes: too few for its entry");
	bz_make(&b);
	b.h->setup_sects = 0; /* stands for 4 */
	assert_int_equal(boot_try(f, b.data, sizeof(b.data)), -ERR_KERNEL_IMAGE);
	bz_make(&b);
	b.h->pref_address = 0xe0000;
	b.h->kernel_alignment = 0x1000;
	boot_expect(f, b.data, sizeof(b.data), ERR_KERNEL_IMAGE,
		    "the kernel is at 0xe0000; kernels are loaded at 1 MiB and above");
	bz_make(&b);
	b.h->pref_address = 0xffffffffffe00000ull;
	b.h->init_size = 0xffffffff;
	boot_expect(f, b.data, sizeof(b.data), ERR_KERNEL_IMAGE,
		    "the kernel, 4294967295 bytes at 0xffffffffffe00000, is not below the 32-bit "
		    "hole (0xc0000000)");
	bz_make(&b);
	b.h->init_size = 64 * MIB;
	boot_expect(f, b.data, sizeof(b.data), ERR_MEMORY,
		    "the kernel needs memory up to 68 MiB, the guest has 32 MiB");
}

/* syssize counts paragraphs, so that the file may end up to 15 bytes before. */
static void bz_last_paragraph(void **state)
{
	struct fixture *f = *state;
	struct bzimage b;

	bz_make(&b);
	assert_int_equal(boot_try(f, b.data, sizeof(b.data) - 15), 0);
	assert_int_equal(boot_try(f, b.data, sizeof(b.data) - 16), -ERR_KERNEL_IMAGE);
}

static void bz_cmdline(void **state)
{
	struct fixture *f = *state;
	char line[4096];
	struct bzimage b;

	bz_make(&b);
	memset(line, 'x', sizeof(line));
	line[2047] = '\0';
	f->c.cmdline = line;
	assert_int_equal(boot_try(f, b.data, sizeof(b.data)), 0);
	b.h->cmdline_size = 255;
	boot_expect(f, b.data, sizeof(b.data), ERR_INVALID,
		    "the command line has 2047 bytes, this kernel takes at most 255");
	b.h->cmdline_size = 0xffffffff;
	line[2047] = 'x';
	line[2048] = '\0';
	boot_expect(f, b.data, sizeof(b.data), ERR_INVALID,
		    "the command line has 2048 bytes, this kernel takes at most 2047");
	f->c.cmdline = NULL;
	assert_int_equal(boot_try(f, b.data, sizeof(b.data)), 0);
	assert_string_equal((char *)f->ram + MAP_CMDLINE, "");
}

/* --- ELF -------------------------------------------------------------------------------------- */

struct elf_image {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[3];
	struct {
		Elf64_Nhdr h;
		char name[4];
		uint64_t desc;
	} __attribute__((packed)) note;
	uint8_t text[1024], data[512];
};

static void elf_make(struct elf_image *k)
{
	memset(k, 0, sizeof(*k));
	memcpy(k->eh.e_ident, "\177ELF\2\1\1", 7);
	k->eh.e_type = ET_EXEC;
	k->eh.e_machine = EM_X86_64;
	k->eh.e_phoff = offsetof(struct elf_image, ph);
	k->eh.e_phentsize = sizeof(Elf64_Phdr);
	k->eh.e_phnum = 3;
	k->ph[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
				 .p_offset = offsetof(struct elf_image, text),
				 .p_paddr = 0x100000,
				 .p_filesz = 1024,
				 .p_memsz = 1024 };
	k->ph[1] = (Elf64_Phdr){ .p_type = PT_LOAD,
				 .p_offset = offsetof(struct elf_image, data),
				 .p_paddr = 0x200000,
				 .p_filesz = 512,
				 .p_memsz = 8192 };
	k->ph[2] = (Elf64_Phdr){ .p_type = PT_NOTE,
				 .p_offset = offsetof(struct elf_image, note),
				 .p_filesz = sizeof(k->note),
				 .p_memsz = sizeof(k->note) };
	k->note.h = (Elf64_Nhdr){ 4, 8, 18 };
	memcpy(k->note.name, "Xen", 4);
	k->note.desc = 0x100010;
	memset(k->text, 0x11, sizeof(k->text));
	memset(k->data, 0x22, sizeof(k->data));
}

/* Pages of f->ram that are there, from gpa on. */
static unsigned int elf_resident(struct fixture *f, uint64_t gpa, unsigned int npages)
{
	unsigned char in[8];
	unsigned int n = 0;

	assert_true(npages <= sizeof(in));
	assert_int_equal(mincore(f->ram + gpa, npages * 4096ul, in), 0);
	for (unsigned int i = 0; i < npages; i++)
		n += in[i] & 1;
	return n;
}

/* What is zero because nobody wrote to it stays without a page of the host. */
static void elf_leaves_fresh_memory(void **state)
{
	struct fixture *f = *state;
	struct elf_image k;

	elf_make(&k);
	k.ph[1].p_memsz = 8 * 4096;
	(void)madvise(f->ram, RAM, MADV_NOHUGEPAGE); /* EINVAL: the kernel knows none */
	f->c.fresh = true;
	assert_int_equal(boot_try(f, &k, sizeof(k)), 0);
	assert_memory_equal(f->ram + 0x200000, k.data, 512);
	assert_int_equal(elf_resident(f, 0x200000, 8), 1);
	f->c.fresh = false;
	assert_int_equal(boot_try(f, &k, sizeof(k)), 0);
	assert_int_equal(elf_resident(f, 0x200000, 8), 8);
}

static void elf_loads(void **state)
{
	struct fixture *f = *state;
	uint8_t *info = f->ram + MAP_PVH_START_INFO;
	static uint8_t initrd[100];
	struct elf_image k;
	uint64_t v[4], mod[2], mm[3];
	uint32_t head[4], n;

	elf_make(&k);
	memset(f->ram + 0x200000, 0xff, 8192);
	f->c.initrd_fd = boot_file(initrd, sizeof(initrd));
	assert_int_equal(boot_try(f, &k, sizeof(k)), 0);
	assert_int_equal(f->entry.protocol, BOOT_PVH);
	assert_int_equal(f->entry.rip, 0x100010);
	assert_int_equal(f->entry.param, MAP_PVH_START_INFO);
	assert_memory_equal(f->ram + 0x100000, k.text, 1024);
	assert_memory_equal(f->ram + 0x200000, k.data, 512);
	for (unsigned int i = 512; i < 8192; i++)
		assert_int_equal(f->ram[0x200000 + i], 0);
	memcpy(head, info, sizeof(head));
	assert_int_equal(head[0], 0x336ec578);
	assert_int_equal(head[1], 1);
	assert_int_equal(head[3], 1);
	memcpy(v, info + 16, sizeof(v));
	assert_string_equal((char *)f->ram + v[1], "console=ttyS0");
	assert_int_equal(v[2], MAP_ACPI_RSDP);
	memcpy(mod, f->ram + v[0], sizeof(mod));
	assert_int_equal(mod[0], RAM - 4096);
	assert_int_equal(mod[1], sizeof(initrd));
	memcpy(&n, info + 48, sizeof(n));
	assert_int_equal(n, 6);
	memcpy(mm, f->ram + v[3], sizeof(mm));
	assert_int_equal(mm[0], 0);
	assert_int_equal(mm[1], MAP_EBDA);
	assert_int_equal(mm[2], 1);
}

static void elf_note32(void **state)
{
	struct fixture *f = *state;
	struct elf_image k;

	elf_make(&k);
	k.note.h.n_descsz = 4;
	k.note.desc = 0xdead00100020ull;
	assert_int_equal(boot_try(f, &k, sizeof(k)), 0);
	assert_int_equal(f->entry.rip, 0x100020);
}

static void elf_no_pvh(void **state)
{
	struct fixture *f = *state;
	const char *msg = "an ELF file without a PVH entry (no Xen note of type 18)";
	struct elf_image k;

	elf_make(&k);
	k.note.h.n_type = 17;
	boot_expect(f, &k, sizeof(k), ERR_KERNEL_IMAGE, msg);
	assert_string_equal(f->e.hint, "build the kernel with CONFIG_PVH=y, or boot its bzImage");
	elf_make(&k);
	k.note.h.n_namesz = 0xfffffffd;
	boot_expect(f, &k, sizeof(k), ERR_KERNEL_IMAGE, msg);
	elf_make(&k);
	k.note.h.n_descsz = 0xffffffff;
	boot_expect(f, &k, sizeof(k), ERR_KERNEL_IMAGE, msg);
	elf_make(&k);
	k.ph[2].p_filesz = 8;
	boot_expect(f, &k, sizeof(k), ERR_KERNEL_IMAGE, msg);
	elf_make(&k);
	k.ph[2].p_type = PT_NULL;
	boot_expect(f, &k, sizeof(k), ERR_KERNEL_IMAGE, msg);
	elf_make(&k);
	k.ph[2].p_offset = 1ull << 63;
	assert_int_equal(boot_try(f, &k, sizeof(k)), -ERR_KERNEL_IMAGE);
}

static void elf_bad_headers(void **state)
{
	struct fixture *f = *state;
	struct elf_image k;

	elf_make(&k);
	k.eh.e_ident[EI_CLASS] = ELFCLASS32;
	boot_expect(f, &k, sizeof(k), ERR_KERNEL_IMAGE,
		    "an ELF file, but not for x86-64 (class 1, machine 62)");
	elf_make(&k);
	k.eh.e_type = ET_REL;
	boot_expect(f, &k, sizeof(k), ERR_KERNEL_IMAGE,
		    "an ELF file, but not an executable (type 1)");
	elf_make(&k);
	k.eh.e_phnum = 0xffff;
	boot_expect(
		f, &k, sizeof(k), ERR_KERNEL_IMAGE,
		"an ELF file with 65535 program headers of 56 bytes; 1 to 64 of 56 are supported");
	elf_make(&k);
	k.eh.e_phoff = UINT64_MAX - 8;
	boot_expect(f, &k, sizeof(k), ERR_KERNEL_IMAGE,
		    "truncated kernel: the program headers is 168 bytes at offset "
		    "18446744073709551607, the file has 1792");
	elf_make(&k);
	boot_expect(f, &k, 40, ERR_KERNEL_IMAGE,
		    "truncated kernel: the ELF header is 64 bytes at offset 0, the file has 40");
}

static void elf_bad_segments(void **state)
{
	struct fixture *f = *state;
	struct elf_image k;

	elf_make(&k);
	k.ph[1].p_paddr = 0x1003ff;
	boot_expect(f, &k, sizeof(k), ERR_KERNEL_IMAGE, "kernel segments 0 and 1 overlap");
	elf_make(&k);
	k.ph[1].p_paddr = MAP_ACPI_RSDP;
	boot_expect(f, &k, sizeof(k), ERR_KERNEL_IMAGE,
		    "kernel segment 1 is at 0xe0000; kernels are loaded at 1 MiB and above");
	elf_make(&k);
	k.ph[1].p_paddr = UINT64_MAX - 100;
	assert_int_equal(boot_try(f, &k, sizeof(k)), -ERR_KERNEL_IMAGE);
	elf_make(&k);
	k.ph[1].p_memsz = 64 * MIB;
	boot_expect(f, &k, sizeof(k), ERR_MEMORY,
		    "kernel segment 1 needs memory up to 66 MiB, the guest has 32 MiB");
	elf_make(&k);
	k.ph[1].p_memsz = 100;
	boot_expect(f, &k, sizeof(k), ERR_KERNEL_IMAGE,
		    "kernel segment 1 has 512 bytes for 100 of memory");
	elf_make(&k);
	boot_expect(f, &k, sizeof(k) - 1, ERR_KERNEL_IMAGE,
		    "truncated kernel: segment 1 is 512 bytes at offset 1280, the file has 1791");
	elf_make(&k);
	k.note.desc = 0x100400;
	boot_expect(f, &k, sizeof(k), ERR_KERNEL_IMAGE,
		    "the PVH entry 0x100400 is in no loaded segment");
}

/* --- both ------------------------------------------------------------------------------------- */

static void not_a_kernel(void **state)
{
	struct fixture *f = *state;
	int p[2];

	boot_expect(f, "hello, world\n", 13, ERR_KERNEL_IMAGE,
		    "not a kernel: neither bzImage (no HdrS at 0x202) nor ELF");
	boot_expect(f, "", 0, ERR_KERNEL_IMAGE, "not a kernel: the file is empty");
	close(f->c.kernel_fd);
	assert_int_equal(pipe(p), 0);
	close(p[1]);
	f->c.kernel_fd = p[0];
	assert_int_equal(boot_load(&f->g, &f->c, &f->entry, &f->e), -ERR_KERNEL_IMAGE);
	assert_string_equal(f->e.msg, "not a kernel: not a regular file");
}

static void failure_leaves_outputs(void **state)
{
	struct fixture *f = *state;

	f->entry.rip = 42;
	assert_int_equal(boot_try(f, "x", 1), -ERR_KERNEL_IMAGE);
	assert_int_equal(f->entry.rip, 42);
	gmem_fini(&f->g);
	gmem_init_buffer(&f->g, f->ram, MIB);
	boot_expect(f, "x", 1, ERR_MEMORY, "a kernel needs at least 2 MiB of memory");
}

static void e820_above_4g(void **state)
{
	struct gmem g = { .nregions = 2,
			  .regions = { { 0, GMEM_HOLE_START, 0 },
				       { GMEM_HOLE_END, GIB, GMEM_HOLE_START } } };
	struct boot_e820 map[BOOT_E820_MAX];
	unsigned int n = boot_e820(&g, map);
	uint64_t ram = 0;

	(void)state;
	assert_int_equal(n, 7);
	assert_int_equal(map[6].addr, GMEM_HOLE_END);
	assert_int_equal(map[6].size, GIB);
	assert_int_equal(map[6].type, 1);
	for (unsigned int i = 0; i < n; i++) {
		if (i > 0)
			assert_true(map[i].addr >= map[i - 1].addr + map[i - 1].size);
		if (map[i].type == 1)
			ram += map[i].size;
		if (map[i].addr == GMEM_ECAM_START)
			assert_int_equal(map[i].type, 2);
	}
	assert_int_equal(ram, GMEM_HOLE_START + GIB - (MAP_KERNEL - MAP_EBDA));
}

#define BOOT_TEST(f) cmocka_unit_test_setup_teardown(f, boot_setup, boot_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOOT_TEST(bz_loads),
		BOOT_TEST(bz_initrd_limits),
		BOOT_TEST(bz_bad_headers),
		BOOT_TEST(bz_bad_sizes),
		BOOT_TEST(bz_last_paragraph),
		BOOT_TEST(bz_cmdline),
		BOOT_TEST(elf_loads),
		BOOT_TEST(elf_leaves_fresh_memory),
		BOOT_TEST(elf_note32),
		BOOT_TEST(elf_no_pvh),
		BOOT_TEST(elf_bad_headers),
		BOOT_TEST(elf_bad_segments),
		BOOT_TEST(not_a_kernel),
		BOOT_TEST(failure_leaves_outputs),
		cmocka_unit_test(e820_above_4g),
	};

	return cmocka_run_group_tests_name("boot", tests, NULL, NULL);
}
