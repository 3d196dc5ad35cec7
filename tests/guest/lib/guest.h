/* SPDX-License-Identifier: MIT */
/*
 * The library of the tiny guests: freestanding, 64-bit, one stack, no heap. A guest is a guest_main();
 * CHECK prints what does not hold and ends the guest with status 1.
 */
#ifndef TESTS_GUEST_LIB_GUEST_H
#define TESTS_GUEST_LIB_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* --- start: Xen's hvm_start_info, version 1 --- */
struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
};
struct start_module {
	uint64_t paddr, size, cmdline, reserved;
};
struct start_memmap {
	uint64_t addr, size;
	uint32_t type, reserved;
};

int guest_main(const struct start_info *si);

/* --- output and end --- */
void print(const char *s);
void print_number(uint64_t v); /* decimal */
void print_hex(uint64_t v);
_Noreturn void guest_exit(int status);
_Noreturn void guest_fail(const char *file, int line, const char *what, uint64_t a, uint64_t b);

#define CHECK(c)                                                  \
	do {                                                      \
		if (!(c))                                         \
			guest_fail(__FILE__, __LINE__, #c, 0, 0); \
	} while (0)
/* Both values are printed when they differ. */
#define CHECK_EQ(a, b)                                                                    \
	do {                                                                              \
		uint64_t check_a_ = (uint64_t)(a), check_b_ = (uint64_t)(b);              \
		if (check_a_ != check_b_)                                                 \
			guest_fail(__FILE__, __LINE__, #a " == " #b, check_a_, check_b_); \
	} while (0)

/* --- strings --- */
void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
/* The number behind "key=" in the command line, or otherwise. */
uint64_t cmdline_number(const struct start_info *si, const char *key, uint64_t otherwise);

/* --- instructions --- */
static inline void outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}
static inline void outw(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}
static inline void outl(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}
static inline uint8_t inb(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline uint16_t inw(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline uint32_t inl(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (uint64_t)hi << 32 | lo;
}
static inline void wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32))
			 : "memory");
}
struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};
static inline struct cpuid cpuid(uint32_t leaf, uint32_t index)
{
	struct cpuid c;

	__asm__ volatile("cpuid"
			 : "=a"(c.eax), "=b"(c.ebx), "=c"(c.ecx), "=d"(c.edx)
			 : "a"(leaf), "c"(index));
	return c;
}
static inline void barrier(void)
{
	__asm__ volatile("mfence" : : : "memory");
}
static inline void mmio_write32(uint64_t addr, uint32_t v)
{
	__asm__ volatile("movl %0, (%1)" : : "r"(v), "r"(addr) : "memory");
}
static inline uint32_t mmio_read32(uint64_t addr)
{
	uint32_t v;

	__asm__ volatile("movl (%1), %0" : "=r"(v) : "r"(addr) : "memory");
	return v;
}
static inline void mmio_write16(uint64_t addr, uint16_t v)
{
	__asm__ volatile("movw %0, (%1)" : : "r"(v), "r"(addr) : "memory");
}
static inline uint16_t mmio_read16(uint64_t addr)
{
	uint16_t v;

	__asm__ volatile("movw (%1), %0" : "=r"(v) : "r"(addr) : "memory");
	return v;
}
static inline void mmio_write8(uint64_t addr, uint8_t v)
{
	__asm__ volatile("movb %0, (%1)" : : "q"(v), "r"(addr) : "memory");
}
static inline uint8_t mmio_read8(uint64_t addr)
{
	uint8_t v;

	__asm__ volatile("movb (%1), %0" : "=q"(v) : "r"(addr) : "memory");
	return v;
}

/* --- interrupts --- */
#define LAPIC 0xfee00000ull
#define LAPIC_ID 0x20
#define LAPIC_EOI 0xb0
#define LAPIC_SVR 0xf0
#define LAPIC_ICR 0x300
#define LAPIC_ICR_HIGH 0x310
#define LAPIC_TIMER 0x320
#define LAPIC_TIMER_INITIAL 0x380
#define LAPIC_TIMER_CURRENT 0x390
#define LAPIC_TIMER_DIVIDE 0x3e0

extern volatile uint32_t interrupt_count[256];
/* Called before an interrupt is ended: where a level one is acknowledged at its device. NULL at first. */
extern void (*interrupt_hook)(unsigned int vector);
/* IDT and LAPIC on; every interrupt is counted and ended. An exception ends the guest. */
void interrupts_init(void);
/* This one is only ended, in as few instructions as that takes: for figures, where KVM may emulate them. */
void interrupt_only_wakes(unsigned int vector);
/* Halts until the vector has come n times altogether. */
void interrupt_wait(unsigned int vector, uint32_t n);
void ioapic_route(unsigned int pin, unsigned int vector, bool level);
void ioapic_mask(unsigned int pin);

/* --- ACPI --- */
uint8_t acpi_sum(const void *table, size_t len);
/* A table of the XSDT by its signature, checked; NULL when there is none. */
const uint8_t *acpi_find(const struct start_info *si, const char *signature);

/* --- other vCPUs --- */
extern volatile uint32_t smp_started;
/* Each gets here with its number, 1 for the first that comes; it must return. */
extern void smp_main(uint32_t index);
void smp_start(void);	   /* INIT and SIPI to all others */
void smp_wait(uint32_t n); /* until n others have left smp_main's first line: smp_started */

/* --- PCI: bus 0, function 0 --- */
extern bool pci_by_ecam; /* there is no 0xCF8, by which the two go else */
uint32_t pci_read(unsigned int slot, unsigned int off);
void pci_write(unsigned int slot, unsigned int off, uint32_t v);
static inline uint64_t pci_ecam(unsigned int slot, unsigned int off)
{
	return 0xe0000000ull + (slot << 15) + off;
}
/* Slot of the n-th device with this id (vendor in the low half), or -1. */
int pci_find(uint32_t id, unsigned int n);
uint64_t pci_bar(unsigned int slot, unsigned int bar);
/* A device without addresses, that decodes nothing: to its memory BARs, from *next on, which moves behind them. */
void pci_give_addresses(unsigned int slot, uint32_t *next);
/* Offset of a capability, from start's next on (0: the first); 0: none. */
unsigned int pci_cap(unsigned int slot, uint8_t id, unsigned int after);

#endif
