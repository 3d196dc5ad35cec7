// SPDX-License-Identifier: MIT
/*
 * Starts its watchdog (8086:25ab, Intel 6300ESB), feeds it for a while, then no longer, and halts. After a reset by the
 * watchdog it says so on COM1 and ends: for tests/functional/test_watchdog.c.
 */
#include "lib/guest.h"

#define COM1 0x3f8

/* On the console that vmd keeps the log of. */
static void tell(const char *s)
{
	while (*s) {
		while (!(inb(COM1 + 5) & 0x20))
			;
		outb(COM1, (uint8_t)*s++);
	}
}

static void open_registers(uint64_t bar)
{
	mmio_write16(bar + 0xc, 0x80);
	mmio_write16(bar + 0xc, 0x86);
}

int guest_main(const struct start_info *si)
{
	int slot = pci_find(0x25ab8086, 0);
	uint64_t bar;

	(void)si;
	CHECK(slot >= 0);
	pci_write((unsigned int)slot, 4, 2);
	bar = pci_bar((unsigned int)slot, 0);
	if (mmio_read16(bar + 0xc) & 0x200) {
		tell("the watchdog did it\r\n");
		return 7;
	}
	pci_write((unsigned int)slot, 0x60, 3);
	open_registers(bar);
	mmio_write32(bar, 50); /* ms */
	open_registers(bar);
	mmio_write32(bar + 4, 50);
	pci_write((unsigned int)slot, 0x68, 2);
	for (unsigned int i = 0; i < 200; i++) {
		open_registers(bar);
		mmio_write16(bar + 0xc, 0x100);
	}
	CHECK(!(mmio_read16(bar + 0xc) & 0x200));
	tell("hungry\r\n");
	for (;;)
		__asm__ volatile("cli; hlt");
}
