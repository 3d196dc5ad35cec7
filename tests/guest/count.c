// SPDX-License-Identifier: MIT
/*
 * A guest that counts on COM1, with debug=1 on the debug port too: "n 1", "n 2", …, slowly enough to be followed;
 * for ever, or until limit=N of its command line, where it powers off.
 */
#include "lib/guest.h"

#define COM1 0x3f8

static bool debug;

static void say(const char *s)
{
	if (debug)
		print(s);
	while (*s)
		outb(COM1, (uint8_t)*s++);
}

static void say_number(unsigned int n)
{
	char digits[12];
	unsigned int at = sizeof(digits) - 1;

	digits[at] = '\0';
	do {
		digits[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	say(digits + at);
}

int guest_main(const struct start_info *si)
{
	uint64_t limit = cmdline_number(si, "limit", 0);

	debug = cmdline_number(si, "debug", 0);
	for (unsigned int n = 1; !limit || n <= limit; n++) {
		say("n ");
		say_number(n);
		say("\n");
		for (unsigned int i = 0; i < 500; i++)
			__asm__ volatile("pause");
	}
	outw(0x604, 5 << 10 | 1 << 13); /* ACPI's soft off */
	for (;;)
		__asm__ volatile("cli; hlt");
}
