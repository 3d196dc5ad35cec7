// SPDX-License-Identifier: MIT
/* Output, strings, interrupts, ACPI, the other vCPUs and PCI, for the tiny guests: guest.h. */
#include "guest.h"

/* --- output and end --- */

void print(const char *s)
{
	while (*s)
		outb(0xe9, (uint8_t)*s++);
}

void print_number(uint64_t v)
{
	char buf[24], *p = buf + sizeof(buf) - 1;

	*p = '\0';
	do {
		*--p = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	print(p);
}

void print_hex(uint64_t v)
{
	char buf[20], *p = buf + sizeof(buf) - 1;

	*p = '\0';
	do {
		*--p = "0123456789abcdef"[v & 15];
		v >>= 4;
	} while (v);
	print("0x");
	print(p);
}

_Noreturn void guest_exit(int status)
{
	outl(0xf4, (uint32_t)status);
	for (;;)
		__asm__ volatile("cli; hlt");
}

_Noreturn void guest_fail(const char *file, int line, const char *what, uint64_t a, uint64_t b)
{
	print(file);
	print(":");
	print_number((uint64_t)line);
	print(": ");
	print(what);
	print(" does not hold: ");
	print_hex(a);
	print(" ");
	print_hex(b);
	print("\n");
	guest_exit(1);
}

/* --- strings --- */

void *memcpy(void *to, const void *from, size_t n)
{
	void *ret = to;

	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
	return ret;
}

void *memset(void *to, int c, size_t n)
{
	void *ret = to;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(c) : "memory");
	return ret;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;

	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

uint64_t cmdline_number(const struct start_info *si, const char *key, uint64_t otherwise)
{
	const char *s = (const char *)si->cmdline;
	size_t n = strlen(key);
	uint64_t v = 0;

	for (; *s; s++) {
		if (memcmp(s, key, n) != 0 || s[n] != '=')
			continue;
		for (s += n + 1; *s >= '0' && *s <= '9'; s++)
			v = v * 10 + (uint64_t)(*s - '0');
		return v;
	}
	return otherwise;
}

/* --- interrupts --- */

struct idt_gate {
	uint16_t offset0, selector;
	uint8_t ist, type;
	uint16_t offset1;
	uint32_t offset2, reserved;
};

extern char interrupt_stubs[], interrupt_wakes[];
void interrupt(uint64_t vector, const uint64_t *frame);

volatile uint32_t interrupt_count[256];
void (*interrupt_hook)(unsigned int vector);
static struct idt_gate idt[256];

void interrupt(uint64_t vector, const uint64_t *frame)
{
	if (vector < 32) {
		print("exception ");
		print_number(vector);
		print(", stack: ");
		for (int i = 0; i < 4; i++) {
			print_hex(frame[i]);
			print(" ");
		}
		print("\n");
		guest_exit(1);
	}
	interrupt_count[vector]++;
	if (interrupt_hook)
		interrupt_hook((unsigned int)vector);
	mmio_write32(LAPIC + LAPIC_EOI, 0);
}

static void interrupt_set(unsigned int vector, uint64_t handler)
{
	idt[vector] = (struct idt_gate){ .offset0 = (uint16_t)handler,
					 .selector = 8,
					 .type = 0x8e,
					 .offset1 = (uint16_t)(handler >> 16) };
}

void interrupt_only_wakes(unsigned int vector)
{
	interrupt_set(vector, (uint64_t)interrupt_wakes);
}

void interrupts_init(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) desc = { sizeof(idt) - 1, (uint64_t)idt };

	for (unsigned int i = 0; i < 256; i++)
		interrupt_set(i, (uint64_t)interrupt_stubs + 16ull * i);
	outb(0x21, 0xff); /* an 8259 would send its timer's interrupt as vector 0 */
	outb(0xa1, 0xff);
	__asm__ volatile("lidt %0" : : "m"(desc));
	mmio_write32(LAPIC + LAPIC_SVR, 0x1ff);
}

void interrupt_wait(unsigned int vector, uint32_t n)
{
	__asm__ volatile("cli");
	while (interrupt_count[vector] < n)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
}

static void ioapic_write(unsigned int reg, uint32_t v)
{
	mmio_write32(0xfec00000, reg);
	mmio_write32(0xfec00010, v);
}

void ioapic_route(unsigned int pin, unsigned int vector, bool level)
{
	ioapic_write(0x11 + 2 * pin, mmio_read32(LAPIC + LAPIC_ID));
	ioapic_write(0x10 + 2 * pin, vector | (level ? 1u << 15 : 0));
}

void ioapic_mask(unsigned int pin)
{
	ioapic_write(0x10 + 2 * pin, 1u << 16);
}

/* --- ACPI --- */

uint8_t acpi_sum(const void *table, size_t len)
{
	const uint8_t *p = table;
	uint8_t sum = 0;

	while (len--)
		sum = (uint8_t)(sum + *p++);
	return sum;
}

const uint8_t *acpi_find(const struct start_info *si, const char *signature)
{
	const uint8_t *xsdt = (const uint8_t *)*(const uint64_t *)(si->rsdp + 24);
	uint32_t n = (*(const uint32_t *)(xsdt + 4) - 36) / 8;

	for (uint32_t i = 0; i < n; i++) {
		uint64_t gpa;

		memcpy(&gpa, xsdt + 36 + 8 * i, 8);
		if (memcmp((const void *)gpa, signature, 4) != 0)
			continue;
		CHECK_EQ(acpi_sum((const void *)gpa, *(const uint32_t *)(gpa + 4)), 0);
		return (const uint8_t *)gpa;
	}
	return NULL;
}

/* --- other vCPUs --- */

#define TRAMPOLINE 0x8000

extern char trampoline[], trampoline_end[];

__attribute__((weak)) void smp_main(uint32_t index)
{
	(void)index;
}

void smp_start(void)
{
	memcpy((void *)TRAMPOLINE, trampoline, (size_t)(trampoline_end - trampoline));
	mmio_write32(LAPIC + LAPIC_ICR, 0xc4500); /* INIT, all but self */
	mmio_write32(LAPIC + LAPIC_ICR, 0xc4600 | TRAMPOLINE >> 12);
}

void smp_wait(uint32_t n)
{
	while (smp_started < n)
		__asm__ volatile("pause");
}

/* --- PCI --- */

bool pci_by_ecam;

uint32_t pci_read(unsigned int slot, unsigned int off)
{
	if (pci_by_ecam)
		return mmio_read32(pci_ecam(slot, off & 0xfc));
	outl(0xcf8, 0x80000000u | slot << 11 | (off & 0xfc));
	return inl(0xcfc);
}

void pci_write(unsigned int slot, unsigned int off, uint32_t v)
{
	if (pci_by_ecam) {
		mmio_write32(pci_ecam(slot, off & 0xfc), v);
		return;
	}
	outl(0xcf8, 0x80000000u | slot << 11 | (off & 0xfc));
	outl(0xcfc, v);
}

int pci_find(uint32_t id, unsigned int n)
{
	for (unsigned int slot = 0; slot < 32; slot++)
		if (pci_read(slot, 0) == id && n-- == 0)
			return (int)slot;
	return -1;
}

void pci_give_addresses(unsigned int slot, uint32_t *next)
{
	CHECK_EQ(pci_read(slot, 4) & 7, 0);
	for (unsigned int off = 0x10; off < 0x28; off += 4) {
		uint32_t flags = pci_read(slot, off), size;

		CHECK_EQ(flags & ~15u, 0);
		pci_write(slot, off, 0xffffffff);
		size = -(pci_read(slot, off) & ~15u);
		pci_write(slot, off, 0);
		if (!size)
			continue;
		*next = (*next + size - 1) & ~(size - 1);
		pci_write(slot, off, *next);
		*next += size;
		if ((flags & 6) == 4)
			off += 4;
	}
}

uint64_t pci_bar(unsigned int slot, unsigned int bar)
{
	uint32_t lo = pci_read(slot, 0x10 + 4 * bar);
	uint64_t hi = 0;

	if (lo & 1)
		return lo & ~3u;
	if ((lo & 6) == 4)
		hi = pci_read(slot, 0x14 + 4 * bar);
	return hi << 32 | (lo & ~15u);
}

unsigned int pci_cap(unsigned int slot, uint8_t id, unsigned int after)
{
	unsigned int off = after ? pci_read(slot, after) >> 8 & 0xfc : pci_read(slot, 0x34) & 0xfc;

	for (int i = 0; off && i < 48; i++) {
		uint32_t v = pci_read(slot, off);

		if ((v & 0xff) == id)
			return off;
		off = v >> 8 & 0xfc;
	}
	return 0;
}
