// SPDX-License-Identifier: MIT
/*
 * Says 150 lines on COM1, tells its panic to the device 1b36:0011, or with isa=1 to port 505h, and halts; handled=1: that it
 * looks after it itself, and ends with status 7. After a reset it ends with status 8. For tests/functional/test_panic.c.
 */
#include "lib/guest.h"

#define COM1 0x3f8
#define ISA 0x505

/* On the console that vmd keeps the log of. */
static void tell(const char *s)
{
	while (*s) {
		while (!(inb(COM1 + 5) & 0x20))
			;
		outb(COM1, (uint8_t)*s++);
	}
}

/* The device's BAR; 0: it is at its port */
static uint64_t find(void)
{
	int slot = pci_find(0x00111b36, 0);

	CHECK(slot >= 0);
	pci_write((unsigned int)slot, 4, 2);
	return pci_bar((unsigned int)slot, 0);
}

static void say_panic(uint64_t bar, uint8_t what)
{
	if (bar)
		mmio_write8(bar, what);
	else
		outb(ISA, what);
}

int guest_main(const struct start_info *si)
{
	char line[] = "\x1b[1mline ...\x1b[0m \xff\r\n";
	uint64_t bar;

	outb(0x70, 0x50); /* CMOS memory: has it been here before? */
	if (inb(0x71))
		return 8;
	outb(0x71, 1);
	bar = cmdline_number(si, "isa", 0) ? 0 : find();
	CHECK_EQ(bar ? mmio_read8(bar) : inb(ISA), 3);
	for (unsigned int i = 0; i < 150; i++) {
		line[9] = (char)('0' + i / 100);
		line[10] = (char)('0' + i / 10 % 10);
		line[11] = (char)('0' + i % 10);
		tell(line);
	}
	tell("panic: oh dear");
	if (cmdline_number(si, "handled", 0)) {
		say_panic(bar, 2);
		return 7;
	}
	say_panic(bar, 1);
	tell("\r\nnobody hears this\r\n");
	for (;;)
		__asm__ volatile("cli; hlt");
}
