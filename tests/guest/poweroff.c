// SPDX-License-Identifier: MIT
/* Soft off: SLP_TYP 5 with SLP_EN into PM1a_CNT. */
#include "lib/guest.h"

int guest_main(const struct start_info *si)
{
	(void)si;
	CHECK(inw(0x604) & 1); /* SCI_EN: ACPI mode from the start */
	outw(0x604, 5 << 10 | 1 << 13);
	for (;;)
		__asm__ volatile("cli; hlt");
}
