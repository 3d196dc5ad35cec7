// SPDX-License-Identifier: MIT
/* Says that it is there, and halts for good: for tests that look at a monitor while it runs. */
#include "lib/guest.h"

int guest_main(const struct start_info *si)
{
	(void)si;
	print("halts\n");
	for (;;)
		__asm__ volatile("cli; hlt");
}
