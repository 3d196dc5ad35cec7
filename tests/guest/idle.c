// SPDX-License-Identifier: MIT
/* Says on COM1 that it runs, then halts for ever: what the figures of an idle machine are taken from. */
#include "lib/guest.h"

int guest_main(const struct start_info *si)
{
	(void)si;
	outb(0x3f8, 'R');
	for (;;)
		__asm__ volatile("cli; hlt");
}
