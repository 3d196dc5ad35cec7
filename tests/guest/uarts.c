// SPDX-License-Identifier: MIT
/*
 * Four serial ports, each with its interrupt. Then what comes by COM2 and COM3 goes back there, that of COM2 to COM4, too;
 * and `leave=1` ends the guest instead.
 */
#include "lib/guest.h"

#define PORTS 4
#define VECTOR 0x60
#define IER 1
#define IIR 2
#define LCR 3
#define MCR 4
#define LSR 5
#define LSR_DR 0x01
#define LSR_THRE 0x20

static const uint16_t ports[PORTS] = { 0x3f8, 0x2f8, 0x3e8, 0x2e8 };
static const uint8_t irqs[PORTS] = { 4, 3, 5, 7 };

static void put(unsigned int i, uint8_t byte)
{
	while (!(inb(ports[i] + LSR) & LSR_THRE))
		;
	outb(ports[i], byte);
}

static void say(unsigned int i, const char *text)
{
	while (*text)
		put(i, (uint8_t)*text++);
}

/* THRE: the transmitter is empty (PC16550D, table V) */
static void interrupts(unsigned int i)
{
	ioapic_route(irqs[i], VECTOR + i, false);
	outb(ports[i] + LCR, 3);
	outb(ports[i] + MCR, 0x0b);
	outb(ports[i] + IER, 2);
	interrupt_wait(VECTOR + i, 1);
	CHECK_EQ(inb(ports[i] + IIR) & 0x0f, 2);
	outb(ports[i] + IER, 0);
}

int guest_main(const struct start_info *si)
{
	interrupts_init();
	for (unsigned int i = 0; i < PORTS; i++)
		interrupts(i);
	say(0, "uarts: ready\n");
	while (!cmdline_number(si, "leave", 0)) {
		for (unsigned int i = 1; i < PORTS; i++) {
			uint8_t byte;

			if (!(inb(ports[i] + LSR) & LSR_DR))
				continue;
			byte = inb(ports[i]);
			put(i, byte);
			if (i == 1)
				put(3, byte);
		}
	}
	return 0;
}
