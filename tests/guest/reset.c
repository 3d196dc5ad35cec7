// SPDX-License-Identifier: MIT
/*
 * Resets the machine boots=N times, by=1: the reset register, by=2: the i8042, by=3: a triple fault. CMOS
 * memory, which a reset keeps, counts. Each boot must find its data as in the file.
 */
#include "lib/guest.h"

#define COUNTER 0x50

static int data = 42, bss;

static void reset(uint64_t by)
{
	static const uint8_t no_idt[10];

	if (by == 1) {
		outb(0xcf9, 6);
	} else if (by == 2) {
		outb(0x64, 0xfe);
	} else {
		__asm__ volatile("lidt %0" : : "m"(no_idt));
		mmio_read8(0x7ffffffff000); /* not mapped */
	}
}

int guest_main(const struct start_info *si)
{
	uint64_t boots = cmdline_number(si, "boots", 1);
	uint8_t n;

	CHECK_EQ(data, 42);
	CHECK_EQ(bss, 0);
	CHECK_EQ(mmio_read32(LAPIC + LAPIC_SVR), 0xff);
	data = bss = 1;
	outb(0x70, COUNTER);
	n = inb(0x71);
	if (n >= boots) {
		print("boots: ");
		print_number(n + 1u);
		print("\n");
		return 0;
	}
	outb(0x71, (uint8_t)(n + 1));
	interrupts_init(); /* leaves a LAPIC and an IDT behind */
	reset(cmdline_number(si, "by", 1));
	for (;;)
		__asm__ volatile("cli; hlt");
}
