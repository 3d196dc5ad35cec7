// SPDX-License-Identifier: MIT
/*
 * A screen without firmware: the registers of a text mode or of VBE are set as a driver does, and something is drawn that is known to
 * the last pixel; read back where the guest can. mode=1: text; mode=2: VBE, 1024x768 with 32 bits. stay=1: says so on
 * COM1 and leaves the picture there, for tests/functional/test_screen.c.
 */
#include "lib/guest.h"

#define COM1 0x3f8
#define WINDOW 0xa0000ull
#define TEXT 0xb8000ull

static void tell(const char *s)
{
	while (*s) {
		while (!(inb(COM1 + 5) & 0x20))
			;
		outb(COM1, (uint8_t)*s++);
	}
}

static uint32_t config(unsigned int slot, unsigned int off)
{
	outl(0xcf8, 0x80000000u | slot << 11 | off);
	return inl(0xcfc);
}

static unsigned int find(void)
{
	for (unsigned int slot = 0; slot < 32; slot++)
		if (config(slot, 0) == 0x11111234)
			return slot;
	CHECK(!"there is a display");
	return 0;
}

static void set(uint16_t port, uint8_t index, uint8_t val)
{
	outw(port, (uint16_t)(val << 8 | index));
}

static void attr(uint8_t index, uint8_t val)
{
	inb(0x3da);
	outb(0x3c0, index);
	outb(0x3c0, val);
}

/* Colour n is (n, 2n, 3n) */
static void colors(void)
{
	outb(0x3c2, 0x67);
	outb(0x3c8, 0);
	for (uint8_t i = 0; i < 16; i++) {
		outb(0x3c9, i);
		outb(0x3c9, (uint8_t)(2 * i));
		outb(0x3c9, (uint8_t)(3 * i));
		attr(i, i);
	}
	attr(0x10, 0x0c);
	attr(0x12, 0x0f);
	inb(0x3da);
	outb(0x3c0, 0x20);
}

/* The letter X alone has a glyph: its two diagonals */
static void font(void)
{
	set(0x3c4, 2, 4);
	set(0x3c4, 4, 6);
	set(0x3ce, 5, 0);
	set(0x3ce, 6, 4);
	for (unsigned int row = 0; row < 16; row++)
		mmio_write8(WINDOW + 32 * 'X' + row, (uint8_t)(0x80 >> row / 2 | 1 << row / 2));
	set(0x3ce, 4, 2);
	CHECK_EQ(mmio_read8(WINDOW + 32 * 'X'), 0x81);
}

static void text(void)
{
	static const char line[] = "X marks the spot";

	colors();
	set(0x3ce, 8, 0xff);
	font();
	set(0x3c4, 1, 0);
	set(0x3c4, 2, 3);
	set(0x3c4, 4, 2);
	set(0x3ce, 4, 0);
	set(0x3ce, 5, 0x10);
	set(0x3ce, 6, 0x0e);
	set(0x3d4, 0x11, 0);
	set(0x3d4, 0x01, 79);
	set(0x3d4, 0x07, 0x1f);
	set(0x3d4, 0x09, 0x4f);
	set(0x3d4, 0x0a, 0x20);
	set(0x3d4, 0x12, 0x8f);
	set(0x3d4, 0x13, 40);
	set(0x3d4, 0x17, 0xa3);
	set(0x3d4, 0x18, 0xff);
	for (unsigned int i = 0; i < 80 * 25; i++)
		mmio_write16(TEXT + 2 * i, 0x0720);
	for (unsigned int i = 0; line[i]; i++)
		mmio_write16(TEXT + 160 * 24 + 2 * i, (uint16_t)(0x1e00 | (uint8_t)line[i]));
	CHECK_EQ(mmio_read16(TEXT + 160 * 24), 0x1e58);
	CHECK_EQ(mmio_read8(WINDOW), 0xff); /* nobody is there now */
}

static void dispi(uint16_t index, uint16_t val)
{
	outw(0x1ce, index);
	outw(0x1cf, val);
}

static void vbe(unsigned int slot)
{
	uint64_t memory = config(slot, 0x10) & ~0xfu, regs = config(slot, 0x18) & ~0xfu;

	colors();
	CHECK_EQ(mmio_read16(regs + 0x500), 0xb0c5);
	dispi(4, 0);
	dispi(3, 32);
	dispi(1, 1024);
	dispi(2, 768);
	mmio_write32(memory + 4, 0xffffffff);
	dispi(4, 0x41);
	CHECK_EQ(mmio_read32(memory + 4), 0);
	for (unsigned int y = 0; y < 16; y++)
		for (unsigned int x = 0; x < 16; x++)
			mmio_write32(memory + 4 * ((200 + y) * 1024 + 100 + x), 0x0000ff);
	mmio_write32(memory, 0xff0000);
	mmio_write32(memory + 4 * (1024 * 768 - 1), 0x00ff00);
	/* the last 64 KiB of the picture, by the window */
	dispi(5, 4 * 1024 * 768 / 65536 - 1);
	CHECK_EQ(mmio_read32(WINDOW + 0xfffc), 0x00ff00);
	mmio_write32(WINDOW, 0x123456);
	CHECK_EQ(mmio_read32(memory + 4 * 1024 * 768 - 65536), 0x123456);
	mmio_write32(memory + 16 * 1024 * 1024 - 4, 0xa5a5a5a5);
	CHECK_EQ(mmio_read32(memory + 16 * 1024 * 1024 - 4), 0xa5a5a5a5);
}

int guest_main(const struct start_info *si)
{
	unsigned int slot = find();

	if (cmdline_number(si, "mode", 1) == 1)
		text();
	else
		vbe(slot);
	if (!cmdline_number(si, "stay", 0))
		return 0;
	tell("screen: drawn\n");
	for (;;)
		__asm__ volatile("hlt");
}
