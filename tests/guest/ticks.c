// SPDX-License-Identifier: MIT
/* Counts on COM1 for ever, a line each 5 ms of the LAPIC's timer: for tests that look for a missed tick. */
#include "lib/guest.h"

#define COM1 0x3f8
#define VECTOR 0x34
#define TICK 5000000 /* of KVM's 1 GHz */

static void say(const char *s)
{
	while (*s)
		outb(COM1, (uint8_t)*s++);
}

static void say_number(uint32_t v)
{
	char buf[12], *p = buf + sizeof(buf) - 1;

	*p = '\0';
	do {
		*--p = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	say(p);
}

static inline void lapic(unsigned int reg, uint32_t v)
{
	mmio_write32(LAPIC + reg, v);
}

int guest_main(const struct start_info *si)
{
	(void)si;
	interrupts_init();
	lapic(LAPIC_TIMER_DIVIDE, 0xb);	       /* by 1 */
	lapic(LAPIC_TIMER, VECTOR | 1u << 17); /* periodic */
	lapic(LAPIC_TIMER_INITIAL, TICK);
	for (uint32_t n = 1;; n++) {
		interrupt_wait(VECTOR, n);
		say_number(n);
		say("\n");
	}
}
