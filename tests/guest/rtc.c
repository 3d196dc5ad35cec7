// SPDX-License-Identifier: MIT
/* The real-time clock: a plausible date, CMOS memory, the periodic interrupt. */
#include "lib/guest.h"

#define VECTOR 0x38

static uint8_t cmos(uint8_t reg)
{
	outb(0x70, reg);
	return inb(0x71);
}

static void cmos_set(uint8_t reg, uint8_t v)
{
	outb(0x70, reg);
	outb(0x71, v);
}

static unsigned int bcd(uint8_t v)
{
	return (v >> 4) * 10u + (v & 15);
}

int guest_main(const struct start_info *si)
{
	unsigned int year, month;

	(void)si;
	interrupts_init();
	CHECK(cmos(13) & 0x80);
	while (cmos(10) & 0x80)
		;
	year = bcd(cmos(0x32)) * 100 + bcd(cmos(9));
	month = bcd(cmos(8));
	CHECK(year >= 2024 && year < 2100);
	CHECK(month >= 1 && month <= 12);
	cmos_set(0x50, 0x5a);
	CHECK_EQ(cmos(0x50), 0x5a);
	ioapic_route(8, VECTOR, false);
	cmos_set(10, 0x26); /* 1024 Hz */
	cmos_set(11, 0x42); /* periodic interrupt, 24 hours, BCD */
	for (uint32_t n = 1; n <= 3; n++) {
		interrupt_wait(VECTOR, n);
		CHECK(cmos(12) & 0x40);
	}
	return 0;
}
