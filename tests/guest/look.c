// SPDX-License-Identifier: MIT
/*
 * A screen to be looked at, and a keyboard and a mouse to be used meanwhile: tests/functional/test_display.c. Each scan code is told
 * on COM1 ("code 1e") and makes the row of its number white; each packet of the mouse is told ("mouse 08 03 fd"). R: another
 * size; T: the picture is written once more, as it is; Esc: the end. draws=1: it draws, and ends.
 */
#include "lib/guest.h"

#define COM1 0x3f8
#define VECTOR_KBD 0x31
#define VECTOR_AUX 0x3c
#define STATUS_FULL 0x01
#define STATUS_AUX 0x20
#define KEY_R 0x13
#define KEY_T 0x14
#define KEY_ESC_UP 0x81

static uint64_t memory;
static unsigned int width, height;

static void tell(const char *s)
{
	while (*s) {
		while (!(inb(COM1 + 5) & 0x20))
			;
		outb(COM1, (uint8_t)*s++);
	}
}

static void tell_byte(uint8_t val)
{
	static const char hex[] = "0123456789abcdef";
	char text[] = { ' ', hex[val >> 4], hex[val & 15], '\0' };

	tell(text);
}

/* --- the screen --- */

static uint32_t config(unsigned int slot, unsigned int off)
{
	outl(0xcf8, 0x80000000u | slot << 11 | off);
	return inl(0xcfc);
}

static void find(void)
{
	for (unsigned int slot = 0; slot < 32 && !memory; slot++)
		if (config(slot, 0) == 0x11111234)
			memory = config(slot, 0x10) & ~0xfu;
	CHECK(memory);
}

static void dispi(uint16_t index, uint16_t val)
{
	outw(0x1ce, index);
	outw(0x1cf, val);
}

static void pixel(unsigned int x, unsigned int y, uint32_t rgb)
{
	mmio_write32(memory + 4 * (y * width + x), rgb);
}

static void draw(void)
{
	for (unsigned int y = 0; y < height; y += 16)
		for (unsigned int x = 0; x < width; x++)
			pixel(x, y, 0x010203 * (x & 0x3f) + y);
}

static void mode(unsigned int w, unsigned int h)
{
	width = w;
	height = h;
	dispi(4, 0);
	dispi(3, 32);
	dispi(1, (uint16_t)w);
	dispi(2, (uint16_t)h);
	dispi(4, 0x41);
	inb(0x3da);
	outb(0x3c0, 0x20);
	draw();
}

static void row(unsigned int y)
{
	for (unsigned int x = 0; y < height && x < width; x++)
		pixel(x, y, 0xffffff);
}

/* --- what is typed --- */

static void command(uint8_t cmd)
{
	while (inb(0x64) & 2)
		;
	outb(0x64, cmd);
}

/* Its status; the byte is at 60h. */
static uint8_t wait(void)
{
	for (;;) {
		uint8_t status;

		__asm__ volatile("cli");
		status = inb(0x64);
		if (status & STATUS_FULL) {
			__asm__ volatile("sti");
			return status;
		}
		__asm__ volatile("sti; hlt");
	}
}

static void expect(uint8_t val)
{
	wait();
	CHECK_EQ(inb(0x60), val);
}

static void init(void)
{
	interrupts_init();
	ioapic_route(1, VECTOR_KBD, false);
	ioapic_route(12, VECTOR_AUX, false);
	command(0xaa);
	expect(0x55);
	command(0x60);
	outb(0x60, 0x47); /* interrupts of both, translation */
	command(0xd4);
	outb(0x60, 0xff);
	expect(0xfa);
	expect(0xaa);
	expect(0x00);
	command(0xd4);
	outb(0x60, 0xf4); /* tells of movement */
	expect(0xfa);
}

static void key(uint8_t code)
{
	if (code == KEY_R)
		mode(400, 300);
	else if (code == KEY_T)
		draw();
	else
		row(code);
	tell("code");
	tell_byte(code);
	tell("\r\n");
}

static void mouse(void)
{
	uint8_t packet[3];

	packet[0] = inb(0x60);
	for (unsigned int i = 1; i < 3; i++) {
		CHECK(wait() & STATUS_AUX);
		packet[i] = inb(0x60);
	}
	tell("mouse");
	for (unsigned int i = 0; i < 3; i++)
		tell_byte(packet[i]);
	tell("\r\n");
}

int guest_main(const struct start_info *si)
{
	uint8_t code = 0;

	find();
	mode(320, 240);
	if (cmdline_number(si, "draws", 0))
		return 0;
	init();
	tell("ready\r\n");
	while (code != KEY_ESC_UP) {
		if (wait() & STATUS_AUX) {
			mouse();
			continue;
		}
		code = inb(0x60);
		key(code);
	}
	return 0;
}
