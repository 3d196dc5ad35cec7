// SPDX-License-Identifier: MIT
/*
 * ELF vmlinux by its PVH entry: Xen docs/misc/pvh.pandoc ("HVM direct boot ABI") and
 * xen/include/public/arch-x86/hvm/start_info.h, version 1. The kernel starts in 32-bit protected mode
 * without paging, EBX pointing at hvm_start_info. The ELF format: System V gABI, chapters 4 and 5.
 */
#include <assert.h>
#include <elf.h>
#include <stdio.h>
#include <string.h>

#include "lib/errcat.h"
#include "vmm/x86/boot_image.h"
#include "vmm/x86/map.h"

#define BOOT_ELF_SEGMENTS_MAX 64 /* vmlinux has 5 */
#define BOOT_ELF_NOTES_MAX 4096	 /* bytes of one PT_NOTE segment that are looked at */
#define BOOT_ELF_PHYS32_ENTRY 18 /* XEN_ELFNOTE_PHYS32_ENTRY */

#define BOOT_PVH_MAGIC 0x336ec578
#define BOOT_PVH_MODLIST (MAP_PVH_START_INFO + 0x40)
#define BOOT_PVH_MEMMAP (MAP_PVH_START_INFO + 0x80)

struct boot_pvh_start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
};

struct boot_pvh_module {
	uint64_t paddr, size, cmdline, reserved;
};

struct boot_pvh_memmap {
	uint64_t addr, size;
	uint32_t type, reserved;
};

static_assert(sizeof(struct boot_pvh_start_info) == 56, "hvm_start_info");
static_assert(BOOT_PVH_MEMMAP + BOOT_E820_MAX * sizeof(struct boot_pvh_memmap) <= MAP_BOOT_PARAMS,
	      "start info, module and memory map fit into their page");

struct boot_elf {
	Elf64_Phdr ph[BOOT_ELF_SEGMENTS_MAX];
	unsigned int n;
	bool has_entry;
	uint64_t entry;
};

static int boot_elf_headers(const struct boot_image *im, struct boot_elf *elf, struct err *e)
{
	Elf64_Ehdr eh;
	int r;

	r = boot_read(im, 0, &eh, sizeof(eh), "the ELF header", e);
	if (r < 0)
		return r;
	if (eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_ident[EI_DATA] != ELFDATA2LSB ||
	    eh.e_machine != EM_X86_64)
		return err_set(e, ERR_KERNEL_IMAGE,
			       "an ELF file, but not for x86-64 (class %u, machine %u)",
			       eh.e_ident[EI_CLASS], eh.e_machine);
	if (eh.e_type != ET_EXEC && eh.e_type != ET_DYN)
		return err_set(e, ERR_KERNEL_IMAGE, "an ELF file, but not an executable (type %u)",
			       eh.e_type);
	if (eh.e_phnum == 0 || eh.e_phnum > BOOT_ELF_SEGMENTS_MAX ||
	    eh.e_phentsize != sizeof(Elf64_Phdr))
		return err_set(e, ERR_KERNEL_IMAGE,
			       "an ELF file with %u program headers of %u bytes; 1 to %u of %zu "
			       "are supported",
			       eh.e_phnum, eh.e_phentsize, BOOT_ELF_SEGMENTS_MAX,
			       sizeof(Elf64_Phdr));
	elf->n = eh.e_phnum;
	return boot_read(im, eh.e_phoff, elf->ph, elf->n * sizeof(Elf64_Phdr),
			 "the program headers", e);
}

/* One note at buf[*pos]; false at the end. Advances *pos; malformed sizes end the search. */
static bool boot_elf_note(const uint8_t *buf, size_t len, size_t *pos, struct boot_elf *elf)
{
	Elf64_Nhdr nh;
	uint64_t name, desc, next;
	uint32_t entry32;

	if (!range_fits(*pos, sizeof(nh), len))
		return false;
	memcpy(&nh, buf + *pos, sizeof(nh));
	name = *pos + sizeof(nh);
	desc = name + align_up(nh.n_namesz, 4);
	next = desc + align_up(nh.n_descsz, 4);
	if (!range_fits(name, nh.n_namesz, len) || !range_fits(desc, nh.n_descsz, len))
		return false;
	*pos = next;
	if (nh.n_type != BOOT_ELF_PHYS32_ENTRY || nh.n_namesz != 4 ||
	    memcmp(buf + name, "Xen", 4) != 0)
		return true;
	if (nh.n_descsz == sizeof(elf->entry)) {
		memcpy(&elf->entry, buf + desc, sizeof(elf->entry));
		elf->has_entry = true;
	} else if (nh.n_descsz == sizeof(entry32)) {
		memcpy(&entry32, buf + desc, sizeof(entry32));
		elf->entry = entry32;
		elf->has_entry = true;
	}
	return true;
}

static int boot_elf_find_entry(const struct boot_image *im, struct boot_elf *elf, struct err *e)
{
	uint8_t buf[BOOT_ELF_NOTES_MAX];
	size_t len, pos;
	int r;

	for (unsigned int i = 0; i < elf->n && !elf->has_entry; i++) {
		if (elf->ph[i].p_type != PT_NOTE)
			continue;
		len = MIN(elf->ph[i].p_filesz, sizeof(buf));
		r = boot_read(im, elf->ph[i].p_offset, buf, len, "a note segment", e);
		if (r < 0)
			return r;
		for (pos = 0; !elf->has_entry && boot_elf_note(buf, len, &pos, elf);)
			;
	}
	if (elf->has_entry)
		return 0;
	err_set(e, ERR_KERNEL_IMAGE, "an ELF file without a PVH entry (no Xen note of type 18)");
	return err_hint(e, "build the kernel with CONFIG_PVH=y, or boot its bzImage");
}

static bool boot_elf_is_loaded(const Elf64_Phdr *ph)
{
	return ph->p_type == PT_LOAD && ph->p_memsz != 0;
}

/* Every check of the segments comes before the first byte of guest memory is written. */
static int boot_elf_check_segment(struct boot_image *im, const struct boot_elf *elf, unsigned int i,
				  struct err *e)
{
	const Elf64_Phdr *ph = &elf->ph[i];
	char what[32];
	int r;

	snprintf(what, sizeof(what), "kernel segment %u", i);
	if (ph->p_filesz > ph->p_memsz)
		return err_set(e, ERR_KERNEL_IMAGE, "%s has %llu bytes for %llu of memory", what,
			       (unsigned long long)ph->p_filesz, (unsigned long long)ph->p_memsz);
	if (!range_fits(ph->p_offset, ph->p_filesz, im->file_size))
		return err_set(e, ERR_KERNEL_IMAGE,
			       "truncated kernel: segment %u is %llu bytes at offset %llu, the "
			       "file has %llu",
			       i, (unsigned long long)ph->p_filesz,
			       (unsigned long long)ph->p_offset, (unsigned long long)im->file_size);
	r = boot_check_range(im, ph->p_paddr, ph->p_memsz, what, e);
	if (r < 0)
		return r;
	for (unsigned int k = 0; k < i; k++) {
		const Elf64_Phdr *o = &elf->ph[k];

		if (boot_elf_is_loaded(o) && ph->p_paddr < o->p_paddr + o->p_memsz &&
		    o->p_paddr < ph->p_paddr + ph->p_memsz)
			return err_set(e, ERR_KERNEL_IMAGE, "kernel segments %u and %u overlap", k,
				       i);
	}
	im->kernel_end = MAX(im->kernel_end, ph->p_paddr + ph->p_memsz);
	return 0;
}

static int boot_elf_check(struct boot_image *im, const struct boot_elf *elf, struct err *e)
{
	bool entry_ok = false;
	int r;

	for (unsigned int i = 0; i < elf->n; i++) {
		const Elf64_Phdr *ph = &elf->ph[i];

		if (!boot_elf_is_loaded(ph))
			continue;
		r = boot_elf_check_segment(im, elf, i, e);
		if (r < 0)
			return r;
		if (elf->entry >= ph->p_paddr && elf->entry - ph->p_paddr < ph->p_memsz)
			entry_ok = true;
	}
	if (!entry_ok)
		return err_set(e, ERR_KERNEL_IMAGE, "the PVH entry 0x%llx is in no loaded segment",
			       (unsigned long long)elf->entry);
	return 0;
}

static int boot_elf_read(const struct boot_image *im, const struct boot_elf *elf, struct err *e)
{
	for (unsigned int i = 0; i < elf->n; i++) {
		const Elf64_Phdr *ph = &elf->ph[i];
		uint8_t *p;
		int r;

		if (!boot_elf_is_loaded(ph))
			continue;
		p = gmem_ptr(im->g, ph->p_paddr, ph->p_memsz);
		r = boot_read(im, ph->p_offset, p, ph->p_filesz, "a segment", e);
		if (r < 0)
			return r;
		/* segments do not overlap: only an earlier boot can have written here */
		if (!im->c->fresh)
			memset(p + ph->p_filesz, 0, ph->p_memsz - ph->p_filesz);
	}
	return 0;
}

static void boot_elf_start_info(const struct boot_image *im)
{
	struct boot_pvh_start_info *si = gmem_ptr(im->g, MAP_PVH_START_INFO, sizeof(*si));
	struct boot_pvh_module *mod = gmem_ptr(im->g, BOOT_PVH_MODLIST, sizeof(*mod));
	struct boot_pvh_memmap *mm;
	struct boot_e820 map[BOOT_E820_MAX];
	unsigned int n = boot_e820(im->g, map);

	mm = gmem_ptr(im->g, BOOT_PVH_MEMMAP, n * sizeof(*mm));
	for (unsigned int i = 0; i < n; i++)
		mm[i] = (struct boot_pvh_memmap){ .addr = map[i].addr,
						  .size = map[i].size,
						  .type = map[i].type };
	*mod = (struct boot_pvh_module){ .paddr = im->initrd, .size = im->initrd_size };
	*si = (struct boot_pvh_start_info){
		.magic = BOOT_PVH_MAGIC,
		.version = 1,
		.nr_modules = im->initrd_size ? 1 : 0,
		.modlist = im->initrd_size ? BOOT_PVH_MODLIST : 0,
		.cmdline = MAP_CMDLINE,
		.rsdp = im->c->rsdp,
		.memmap = BOOT_PVH_MEMMAP,
		.memmap_entries = n,
	};
}

int boot_load_elf(struct boot_image *im, struct boot_entry *ret_entry, struct err *e)
{
	struct boot_elf elf = { 0 };
	int r;

	r = boot_elf_headers(im, &elf, e);
	if (r < 0)
		return r;
	r = boot_elf_find_entry(im, &elf, e);
	if (r < 0)
		return r;
	r = boot_elf_check(im, &elf, e);
	if (r < 0)
		return r;
	r = boot_elf_read(im, &elf, e);
	if (r < 0)
		return r;
	r = boot_load_initrd(im, GMEM_HOLE_START, e);
	if (r < 0)
		return r;
	r = boot_write_cmdline(im, UINT64_MAX, e);
	if (r < 0)
		return r;
	boot_elf_start_info(im);
	*ret_entry = (struct boot_entry){ .protocol = BOOT_PVH,
					  .rip = elf.entry,
					  .param = MAP_PVH_START_INFO };
	return 0;
}
