// SPDX-License-Identifier: MIT
/*
 * The keyboard controller with both of its devices, by interrupts, as a driver finds them. keys=1: tells each scan
 * code on COM1 ("code 1e"), until Esc goes up: for tests/functional/test_send_key.c.
 */
#include "lib/guest.h"

#define COM1 0x3f8
#define VECTOR_KBD 0x31
#define VECTOR_AUX 0x3c
#define STATUS_AUX 0x20

static uint32_t keyboard_bytes, mouse_bytes;

/* On the console that vmd keeps the log of. */
static void tell(const char *s)
{
	while (*s) {
		while (!(inb(COM1 + 5) & 0x20))
			;
		outb(COM1, (uint8_t)*s++);
	}
}

static void command(uint8_t cmd)
{
	while (inb(0x64) & 2)
		;
	outb(0x64, cmd);
}

static uint8_t byte(uint8_t vector, uint32_t n, uint8_t aux)
{
	interrupt_wait(vector, n);
	CHECK_EQ(inb(0x64) & 0x21, 1 | aux);
	return inb(0x60);
}

static uint8_t keyboard(void)
{
	return byte(VECTOR_KBD, ++keyboard_bytes, 0);
}

static uint8_t mouse(void)
{
	return byte(VECTOR_AUX, ++mouse_bytes, STATUS_AUX);
}

static void check_devices(void)
{
	command(0xd4);
	outb(0x60, 0xff);
	CHECK_EQ(mouse(), 0xfa);
	CHECK_EQ(mouse(), 0xaa);
	CHECK_EQ(mouse(), 0x00);
	outb(0x60, 0xff);
	CHECK_EQ(keyboard(), 0xfa);
	CHECK_EQ(keyboard(), 0xaa);
	outb(0x60, 0xf2);
	CHECK_EQ(keyboard(), 0xfa);
	CHECK_EQ(keyboard(), 0xab);
	CHECK_EQ(keyboard(), 0x41); /* 83h, translated */
}

int guest_main(const struct start_info *si)
{
	static const char hex[] = "0123456789abcdef";
	char line[] = "code ..\r\n";
	uint8_t code = 0;

	interrupts_init();
	ioapic_route(1, VECTOR_KBD, false);
	ioapic_route(12, VECTOR_AUX, false);
	command(0xaa);
	while (!(inb(0x64) & 1))
		;
	CHECK_EQ(inb(0x60), 0x55);
	command(0x60);
	outb(0x60, 0x47); /* interrupts of both, translation */
	check_devices();
	if (!cmdline_number(si, "keys", 0))
		return 0;
	outb(0x70, 0x50); /* CMOS memory: how many times it has started */
	outb(0x71, (uint8_t)(inb(0x71) + 1));
	tell("ready ");
	line[5] = hex[inb(0x71) & 15];
	line[6] = '\0';
	tell(line + 5);
	tell("\r\n");
	while (code != 0x81) {
		code = keyboard();
		line[5] = hex[code >> 4];
		line[6] = hex[code & 15];
		tell(line);
	}
	return 0;
}
