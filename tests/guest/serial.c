// SPDX-License-Identifier: MIT
/* The 16550A of COM1: loopback, its interrupt through the IOAPIC, text to the console. */
#include "lib/guest.h"

#define COM1 0x3f8
#define VECTOR 0x34

static void say(const char *s)
{
	while (*s) {
		while (!(inb(COM1 + 5) & 0x20))
			;
		outb(COM1, (uint8_t)*s++);
	}
}

int guest_main(const struct start_info *si)
{
	(void)si;
	interrupts_init();
	outb(COM1 + 7, 0xa5);
	CHECK_EQ(inb(COM1 + 7), 0xa5);
	outb(COM1 + 2, 7);    /* FIFOs on, empty */
	outb(COM1 + 4, 0x18); /* loopback, OUT2 */
	outb(COM1, 'x');
	while (!(inb(COM1 + 5) & 1))
		;
	CHECK_EQ(inb(COM1), 'x');
	outb(COM1 + 4, 0x0b); /* DTR, RTS, OUT2 */
	ioapic_route(4, VECTOR, false);
	outb(COM1 + 1, 2); /* transmitter empty: at once */
	interrupt_wait(VECTOR, 1);
	CHECK_EQ(inb(COM1 + 2) & 0xf, 2);
	outb(COM1 + 1, 0);
	say("serial says hello\r\n");
	return 0;
}
