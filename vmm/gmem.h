/* SPDX-License-Identifier: MIT */
/*
 * Guest memory: one anonymous mapping, seen by the guest as RAM below and above the 32-bit hole. The host gives
 * it transparent huge pages where it has them: each small page costs the guest an exit on its first touch. The
 * first 2 MiB are small pages: every start writes there, and would pay for all of it.
 * gmem_ptr is the only way from a guest address to a pointer. After gmem_init the layout never changes,
 * so that any thread may use it without a lock.
 */
#ifndef VMM_GMEM_H
#define VMM_GMEM_H

#include <pthread.h>
#include "lib/err.h"

/* The guest's physical address map; ACPI (x86/acpi.c), e820 and the devices all take it from here. */
#define GMEM_VGA_START 0xa0000ull /* the window of a display, if there is one */
#define GMEM_VGA_SIZE 0x20000ull
#define GMEM_HOLE_START 0xc0000000ull /* RAM below ends here at the latest */
#define GMEM_PCI_MMIO_START 0xc0000000ull
#define GMEM_PCI_MMIO_SIZE 0x20000000ull
#define GMEM_ECAM_START 0xe0000000ull /* 256 buses x 1 MiB */
#define GMEM_ECAM_SIZE 0x10000000ull
#define GMEM_IOAPIC_BASE 0xfec00000ull
#define GMEM_LAPIC_BASE 0xfee00000ull
#define GMEM_KVM_IDENTITY_MAP 0xfeffc000ull /* one page that KVM wants on Intel hosts … */
#define GMEM_KVM_TSS 0xfeffd000ull	    /* … and three pages behind it */
#define GMEM_ROM_START \
	0xff000000ull /* firmware ends at GMEM_HOLE_END and begins here at the earliest */
#define GMEM_HOLE_END 0x100000000ull

#define GMEM_ANY_NODE UINT32_MAX
#define GMEM_NODES 1024 /* more than the kernel has */

#define GMEM_PCI64_MAX (1024 * GIB) /* enough for eight of the largest GPUs */
#define GMEM_PCI64_MIN (4 * GIB)

/* Guest physical addresses; size 0: there is none */
struct gmem_window {
	uint64_t base, size;
};

struct gmem_region {
	uint64_t gpa, size; /* guest physical start, bytes */
	uint64_t offset;    /* from base on */
};

/* What the guest can read and run, and no device can reach: firmware below 4 GiB. */
struct gmem_rom {
	void *base; /* page-aligned, the caller's for as long as there is a guest; NULL: there is none */
	uint64_t gpa, size; /* multiples of 4096 */
};

struct gmem {
	uint8_t *base; /* owned when mapped, else a caller's buffer */
	uint64_t size;
	bool mapped;
	bool huge;	      /* of the host's pool: nothing is given back */
	uint64_t page;	      /* bytes of one, when mapped */
	bool vga;	      /* what is at GMEM_VGA_START cannot be reached by the guest's CPUs */
	unsigned int kept;    /* by so many: nor is what is pinned; under lock */
	struct gmem_rom rom;  /* before KVM gets the memory */
	pthread_mutex_t lock; /* between who gives back and who pins */
	struct gmem_region
		regions[2]; /* ascending; the single list that KVM slots and e820 come from */
	unsigned int nregions;
};

/*
 * size: bytes, a multiple of 4096 (of hugepage_size when that is not 0: 2 MiB or 1 GiB). Huge pages are
 * reserved here, so that a shortage is -ERR_MEMORY now and never a SIGBUS later.
 */
int gmem_init(struct gmem *g, uint64_t size, uint64_t hugepage_size, struct err *e);
/* A caller's buffer as RAM from address 0: for unit tests and fuzzers. */
void gmem_init_buffer(struct gmem *g, void *buffer, uint64_t size);
void gmem_fini(struct gmem *g);

/*
 * Where BARs of 32 bits may go. With ECAM: below it. Without, firmware takes what it likes from 2 GiB, or the end of the RAM
 * if that is above, up to the IOAPIC.
 */
struct gmem_window gmem_pci32(const struct gmem *g, bool ecam);

/*
 * Where BARs of 64 bits may go: behind the RAM, in what a CPU with addresses of phys_bits reaches. At most half of
 * that (256 GiB of 39 bits), a power of two at a multiple of itself, so that every BAR that fits has its place.
 */
struct gmem_window gmem_pci64(const struct gmem *g, unsigned int phys_bits);

/* Pointer to [gpa, gpa + len), or NULL when not all of it is RAM in one region. len 0 is allowed. */
void *gmem_ptr(const struct gmem *g, uint64_t gpa, uint64_t len);
/*
 * Give pages back to the host, those that lie wholly in [p, p + len), which is guest memory (of gmem_ptr, or of a
 * request): they are zero afterwards. -EBUSY: this memory is kept. Any thread.
 */
int gmem_discard(struct gmem *g, void *p, uint64_t len);
/*
 * keep: from now on all of it stays where it is: whoever has its pages pinned (VFIO, registered buffers) would go on with
 * those, and the guest with others. Nothing is being given back any more when it returns. false: one of those who said so
 * has none any more.
 */
void gmem_keep(struct gmem *g, bool keep);
/* Copies; -EFAULT when not all of the range is RAM (nothing is copied then). */
int gmem_read(const struct gmem *g, uint64_t gpa, void *data, size_t len);
int gmem_write(const struct gmem *g, uint64_t gpa, const void *data, size_t len);

#endif
