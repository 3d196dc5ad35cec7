// SPDX-License-Identifier: MIT
/* The ACPI timer runs at 3.579545 MHz: ten milliseconds of it against KVM's LAPIC timer of 1 GHz. */
#include "lib/guest.h"

#define PM_TIMER 0x608
#define TICKS 35795

int guest_main(const struct start_info *si)
{
	uint32_t start, ticks, ns;

	(void)si;
	interrupts_init();
	mmio_write32(LAPIC + LAPIC_TIMER_DIVIDE, 0xb);
	mmio_write32(LAPIC + LAPIC_TIMER, 0x10000 | 0x40);
	start = inl(PM_TIMER);
	mmio_write32(LAPIC + LAPIC_TIMER_INITIAL, 0xffffffff);
	do {
		ticks = inl(PM_TIMER) - start;
	} while (ticks < TICKS);
	ns = 0xffffffff - mmio_read32(LAPIC + LAPIC_TIMER_CURRENT);
	/* 280 ns a tick; a host that takes the vCPU away between the two reads: up to a fifth */
	CHECK(ns > ticks * 224ull && ns < ticks * 336ull);
	return 0;
}
