// SPDX-License-Identifier: MIT
// The display adapter, register by register: sections of the manual named in vmm/display/vga_impl.h, and what Bochs' VBE does.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "lib/json.h"
#include "tests/unit/fake_board.h"
#include "vmm/devices.h"
#include "vmm/display/vga_impl.h"

#define SLOT 2
#define WINDOW 0xa0000

struct fixture {
	struct fake_board fb;
	struct device *chipset, *dev;
	struct vga *vga;
};

static int rom_file(const void *data, size_t len)
{
	int fd = memfd_create("rom", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	return fd;
}

static int setup(void **state)
{
	static const uint8_t rom[5000] = { 0x55, 0xaa, 9 };
	struct fixture *f = calloc(1, sizeof(*f));
	struct vga_cfg cfg = { .address = "00:02.0",
			       .rom_fd = rom_file(rom, sizeof(rom)),
			       .memory_fd = -1,
			       .view_fd = -1 };

	fake_board_init(&f->fb, MIB);
	f->chipset = fake_board_add(&f->fb, &i440fx_class, "chipset", NULL);
	f->dev = fake_board_add(&f->fb, &vga_class, "vga0", &cfg);
	f->vga = container_of(f->dev, struct vga, dev);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fake_board_remove(&f->fb, f->dev);
	fake_board_remove(&f->fb, f->chipset);
	assert_int_equal(f->fb.pio.nregions, 0);
	assert_int_equal(f->fb.mmio.nregions, 0);
	for (unsigned int i = 0; i < FAKE_SLOTS; i++)
		assert_int_equal(f->fb.slots[i].size, 0);
	fake_board_fini(&f->fb);
	free(f);
	return 0;
}

/* --- a guest's ways ------------------------------------------------------------------------------------------ */

static void out(struct fixture *f, uint16_t port, uint8_t val)
{
	fake_out8(&f->fb, port, val);
}

static uint8_t in(struct fixture *f, uint16_t port)
{
	return fake_in8(&f->fb, port);
}

/* An index register and the one behind it, by a word as most drivers do */
static void set(struct fixture *f, uint16_t port, uint8_t index, uint8_t val)
{
	fake_out(&f->fb, port, 2, (uint32_t)(val << 8 | index));
}

static uint8_t get(struct fixture *f, uint16_t port, uint8_t index)
{
	out(f, port, index);
	return in(f, (uint16_t)(port + 1));
}

static void attr(struct fixture *f, uint8_t index, uint8_t val)
{
	in(f, 0x3da);
	out(f, 0x3c0, index);
	out(f, 0x3c0, val);
}

static void dispi(struct fixture *f, uint16_t index, uint16_t val)
{
	fake_out(&f->fb, 0x1ce, 2, index);
	fake_out(&f->fb, 0x1cf, 2, val);
}

static uint16_t dispi_get(struct fixture *f, uint16_t index)
{
	fake_out(&f->fb, 0x1ce, 2, index);
	return (uint16_t)fake_in(&f->fb, 0x1cf, 2);
}

static void poke(struct fixture *f, uint32_t addr, uint8_t val)
{
	fake_mmio_write(&f->fb, addr, 1, val);
}

static uint8_t peek(struct fixture *f, uint32_t addr)
{
	return (uint8_t)fake_mmio_read(&f->fb, addr, 1);
}

static uint32_t cfg_read(struct fixture *f, unsigned int off)
{
	fake_out(&f->fb, 0xcf8, 4, 0x80000000 | SLOT << 11 | off);
	return fake_in(&f->fb, 0xcfc, 4);
}

static void cfg_write(struct fixture *f, unsigned int off, uint32_t val)
{
	fake_out(&f->fb, 0xcf8, 4, 0x80000000 | SLOT << 11 | off);
	fake_out(&f->fb, 0xcfc, 4, val);
}

/* Colours of the sixteen: n is (n, 0, 63 - n) in the DAC, by a palette that has each at its own number */
static void colors(struct fixture *f)
{
	out(f, 0x3c8, 0);
	for (unsigned int i = 0; i < 16; i++) {
		out(f, 0x3c9, (uint8_t)i);
		out(f, 0x3c9, 0);
		out(f, 0x3c9, (uint8_t)(63 - i));
		attr(f, (uint8_t)i, (uint8_t)i);
	}
	attr(f, 0x12, 0x0f);
	in(f, 0x3da);
	out(f, 0x3c0, 0x20); /* the screen is on */
}

/* The planes one by one, A0000h for 64 KiB, every bit */
static void planar(struct fixture *f)
{
	out(f, 0x3c2, 0x67);
	set(f, 0x3c4, 2, 0x0f);
	set(f, 0x3c4, 4, 0x06);
	set(f, 0x3ce, 1, 0);
	set(f, 0x3ce, 3, 0);
	set(f, 0x3ce, 5, 0);
	set(f, 0x3ce, 6, 0x05);
	set(f, 0x3ce, 8, 0xff);
}

/* --- PCI --------------------------------------------------------------------------------------------------- */

static void test_identity(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(cfg_read(f, 0), 0x11111234);
	assert_int_equal(cfg_read(f, PCI_CLASS_REVISION), 0x03000002);
	cfg_write(f, PCI_BASE_ADDRESS_0, 0xffffffff);
	assert_int_equal(cfg_read(f, PCI_BASE_ADDRESS_0), 0xff000008); /* 16 MiB, prefetchable */
	cfg_write(f, PCI_BASE_ADDRESS_2, 0xffffffff);
	assert_int_equal(cfg_read(f, PCI_BASE_ADDRESS_2), 0xfffff000);
	cfg_write(f, PCI_ROM_ADDRESS, 0xffffffff);
	assert_int_equal(cfg_read(f, PCI_ROM_ADDRESS), 0xffffe001); /* 5000 bytes: 8 KiB */
}

static void test_memory_follows(void **state)
{
	struct fixture *f = *state;
	uint32_t home = cfg_read(f, PCI_BASE_ADDRESS_0) & ~0xfu;
	const struct fake_slot *slot = fake_slot_at(&f->fb, home);

	assert_non_null(slot);
	assert_ptr_equal(slot->host, f->vga->vram);
	assert_int_equal(slot->size, 16 * MIB);
	assert_false(slot->rom);
	cfg_write(f, PCI_BASE_ADDRESS_0, 0xd0000000);
	assert_null(fake_slot_at(&f->fb, home));
	assert_non_null(fake_slot_at(&f->fb, 0xd0000000));
	/* and by an exit it is the same memory */
	fake_mmio_write(&f->fb, 0xd0000000 + 16 * MIB - 8, 8, 0x1122334455667788);
	assert_int_equal(f->vga->vram[16 * MIB - 1], 0x11);
	assert_int_equal(fake_mmio_read(&f->fb, 0xd0000000 + 16 * MIB - 4, 4), 0x11223344);
	cfg_write(f, PCI_COMMAND, 0);
	assert_null(fake_slot_at(&f->fb, 0xd0000000));
}

static void test_rom(void **state)
{
	struct fixture *f = *state;
	const struct fake_slot *slot;

	cfg_write(f, PCI_ROM_ADDRESS, 0xd8000001);
	slot = fake_slot_at(&f->fb, 0xd8000000);
	assert_non_null(slot);
	assert_true(slot->rom);
	assert_int_equal(slot->size, 8 * KIB);
	fake_mmio_write(&f->fb, 0xd8000000, 2, 0);
	assert_int_equal(fake_mmio_read(&f->fb, 0xd8000000, 2), 0xaa55);
	cfg_write(f, PCI_ROM_ADDRESS, 0xd8000000);
	assert_null(fake_slot_at(&f->fb, 0xd8000000));
}

static void test_rom_refused(void **state)
{
	static const uint8_t none[1024], cut[1024] = { 0x55, 0xaa, 3 };
	struct fixture *f = *state;
	const struct {
		const void *data;
		size_t len;
	} bad[] = { { none, 1024 }, { cut, 1024 }, { cut, 511 }, { NULL, 256 * KIB + 1 } };

	fake_board_remove(&f->fb, f->dev);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vga_cfg cfg = {
			.address = "00:02.0", .rom_fd = -1, .memory_fd = -1, .view_fd = -1
		};
		struct err e = { 0 };

		cfg.rom_fd = rom_file(bad[i].data ? bad[i].data : "", bad[i].data ? bad[i].len : 0);
		assert_int_equal(ftruncate(cfg.rom_fd, (off_t)bad[i].len), 0);
		assert_int_equal(fake_board_add_fails(&f->fb, &vga_class, "vga0", &cfg, &e),
				 -ERR_FILE);
		assert_string_equal(e.msg,
				    "the ROM of the display is no option ROM of at most 256 KiB");
	}
	f->dev = fake_board_add(
		&f->fb, &vga_class, "vga0",
		&(struct vga_cfg){
			.address = "00:02.0", .rom_fd = -1, .memory_fd = -1, .view_fd = -1 });
	assert_int_equal(cfg_read(f, PCI_ROM_ADDRESS), 0);
}

/* --- registers --------------------------------------------------------------------------------------------- */

/* Sections 2.2 and 2.3: the bits that are not there are 0 */
static void test_bits(void **state)
{
	static const uint8_t seq[] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e };
	static const uint8_t gc[] = { 0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff };
	struct fixture *f = *state;

	for (uint8_t i = 0; i < 16; i++) {
		set(f, 0x3c4, i, 0xff);
		assert_int_equal(get(f, 0x3c4, i), i < ARRAY_SIZE(seq) ? seq[i] : 0);
		set(f, 0x3ce, i, 0xff);
		assert_int_equal(get(f, 0x3ce, i), i < ARRAY_SIZE(gc) ? gc[i] : 0);
	}
	out(f, 0x3c2, 0xff);
	assert_int_equal(in(f, 0x3cc), 0xef);
	assert_int_equal(in(f, 0x3c2), 0x10);
	out(f, 0x3da, 0xff);
	assert_int_equal(in(f, 0x3ca), 3);
}

/* Section 2.1, MSR bit 0: the CRT controller is at 3B4h or at 3D4h */
static void test_crtc_place(void **state)
{
	struct fixture *f = *state;

	set(f, 0x3b4, 0x0e, 0x12);
	assert_int_equal(get(f, 0x3b4, 0x0e), 0x12);
	assert_int_equal(in(f, 0x3d5), 0xff);
	assert_int_equal(in(f, 0x3da), 0xff);
	out(f, 0x3c2, 1);
	assert_int_equal(get(f, 0x3d4, 0x0e), 0x12);
	assert_int_equal(in(f, 0x3b5), 0xff);
	assert_int_equal(get(f, 0x3d4, 0x19), 0);
	assert_int_equal(get(f, 0x3d4, 0xff), 0);
}

/* CR11 bit 7: 00 to 07 cannot be written, but for bit 4 of 07 */
static void test_crtc_protect(void **state)
{
	struct fixture *f = *state;

	out(f, 0x3c2, 1);
	set(f, 0x3d4, 0x01, 0x4f);
	set(f, 0x3d4, 0x07, 0x1f);
	set(f, 0x3d4, 0x11, 0x80);
	set(f, 0x3d4, 0x01, 0x27);
	set(f, 0x3d4, 0x07, 0xe0);
	set(f, 0x3d4, 0x08, 0x05);
	assert_int_equal(get(f, 0x3d4, 0x01), 0x4f);
	assert_int_equal(get(f, 0x3d4, 0x07), 0x0f);
	assert_int_equal(get(f, 0x3d4, 0x08), 0x05);
	set(f, 0x3d4, 0x11, 0);
	set(f, 0x3d4, 0x01, 0x27);
	assert_int_equal(get(f, 0x3d4, 0x01), 0x27);
}

/* Section 2.4: one port for index and data; the palette is closed while it is shown */
static void test_attributes(void **state)
{
	struct fixture *f = *state;

	out(f, 0x3c2, 1);
	attr(f, 3, 0xff);
	in(f, 0x3da);
	out(f, 0x3c0, 3);
	assert_int_equal(in(f, 0x3c1), 0x3f);
	attr(f, 0x23, 0x01);
	assert_int_equal(in(f, 0x3c1), 0x3f);
	attr(f, 0x30, 0xff);
	assert_int_equal(in(f, 0x3c1), 0xef);
	attr(f, 0x1f, 0xff);
	assert_int_equal(in(f, 0x3c1), 0);
	/* a read of the status makes the next write an index again */
	in(f, 0x3da);
	out(f, 0x3c0, 0x05);
	in(f, 0x3da);
	out(f, 0x3c0, 0x06);
	assert_int_equal(in(f, 0x3c0), 0x06);
}

/* Section 2.5: three bytes a colour, the index goes on by itself */
static void test_dac(void **state)
{
	struct fixture *f = *state;

	out(f, 0x3c8, 0xff);
	for (uint8_t i = 1; i <= 6; i++)
		out(f, 0x3c9, (uint8_t)(0xc0 | i));
	assert_int_equal(in(f, 0x3c7), 0);
	out(f, 0x3c7, 0xff);
	assert_int_equal(in(f, 0x3c7), 3);
	for (uint8_t i = 1; i <= 6; i++)
		assert_int_equal(in(f, 0x3c9), i);
	assert_int_equal(in(f, 0x3c8), 1);
	assert_int_equal(in(f, 0x3c6), 0xff);
	out(f, 0x3c6, 0x0f);
	assert_int_equal(in(f, 0x3c6), 0x0f);
}

static void test_retrace(void **state)
{
	struct fixture *f = *state;
	unsigned int seen = 0;

	out(f, 0x3c2, 1);
	assert_int_equal(in(f, 0x3da), 0);
	fake_board_advance(&f->fb, 13500000); /* of 14.3 ms */
	assert_int_equal(in(f, 0x3da), 9);
	fake_board_advance(&f->fb, 1000000);
	for (unsigned int i = 0; i < 40; i++) { /* within some lines: shown, and not */
		seen |= in(f, 0x3da) ? 2 : 1;
		fake_board_advance(&f->fb, 1000);
	}
	assert_int_equal(seen, 3);
}

/* --- the window at A0000h ------------------------------------------------------------------------------------ */

/* GR06 bits 3:2; MSR bit 1 */
static void test_window_maps(void **state)
{
	static const struct {
		uint8_t misc;
		uint32_t first, last;
	} maps[] = { { 0x00, 0xa0000, 0xbffff },
		     { 0x04, 0xa0000, 0xaffff },
		     { 0x08, 0xb0000, 0xb7fff },
		     { 0x0c, 0xb8000, 0xbffff } };
	struct fixture *f = *state;

	planar(f);
	for (unsigned int i = 0; i < ARRAY_SIZE(maps); i++) {
		set(f, 0x3ce, 6, maps[i].misc);
		poke(f, maps[i].first, (uint8_t)(i + 1));
		assert_int_equal(f->vga->vram[0], i + 1);
		poke(f, maps[i].last, 0x55);
		assert_int_equal(peek(f, maps[i].last), 0x55);
		if (maps[i].first > WINDOW)
			assert_int_equal(peek(f, maps[i].first - 1), 0xff);
		if (maps[i].last < 0xbffff)
			assert_int_equal(peek(f, maps[i].last + 1), 0xff);
	}
	out(f, 0x3c2, 0x65);
	poke(f, 0xb8000, 0x77);
	assert_int_equal(peek(f, 0xb8000), 0xff);
	assert_int_equal(f->vga->vram[0], 4);
}

/* SR02, GR04: which planes are written, which one is read */
static void test_planes(void **state)
{
	struct fixture *f = *state;

	planar(f);
	for (uint8_t p = 0; p < 4; p++) {
		set(f, 0x3c4, 2, (uint8_t)(1 << p));
		poke(f, WINDOW + 0xffff, (uint8_t)(0x10 + p));
	}
	for (uint8_t p = 0; p < 4; p++) {
		set(f, 0x3ce, 4, p);
		assert_int_equal(peek(f, WINDOW + 0xffff), 0x10 + p);
	}
	assert_memory_equal(f->vga->vram + 4 * 0xffff, "\x10\x11\x12\x13", 4);
}

/* Write mode 0: rotate, set/reset, the function with the latches, the bit mask */
static void test_write_mode_0(void **state)
{
	struct fixture *f = *state;

	planar(f);
	poke(f, WINDOW, 0xf0);
	peek(f, WINDOW); /* the latches */
	set(f, 0x3ce, 3, 0x04);
	poke(f, WINDOW + 1, 0x21);
	assert_int_equal(peek(f, WINDOW + 1), 0x12);
	set(f, 0x3ce, 3, 0);
	set(f, 0x3ce, 0, 0x05); /* planes 0 and 2 set, 1 reset, 3 by the CPU */
	set(f, 0x3ce, 1, 0x07);
	poke(f, WINDOW + 2, 0x3c);
	assert_memory_equal(f->vga->vram + 8, "\xff\x00\xff\x3c", 4);
	set(f, 0x3ce, 1, 0);
	for (uint8_t fn = 1; fn < 4; fn++) {
		static const uint8_t want[] = { 0, 0x30, 0xfc, 0xcc };

		peek(f, WINDOW);
		set(f, 0x3ce, 3, (uint8_t)(fn << 3));
		poke(f, WINDOW + 3, 0x3c);
		assert_int_equal(f->vga->vram[12], want[fn]);
	}
	set(f, 0x3ce, 3, 0);
	peek(f, WINDOW);
	set(f, 0x3ce, 8, 0x0f);
	poke(f, WINDOW + 4, 0x55);
	assert_int_equal(f->vga->vram[16], 0xf5);
}

static void test_write_modes(void **state)
{
	struct fixture *f = *state;

	planar(f);
	memcpy(f->vga->vram, "\x11\x22\x33\x44", 4);
	peek(f, WINDOW);
	set(f, 0x3ce, 5, 1); /* the latches */
	poke(f, WINDOW + 1, 0xff);
	assert_memory_equal(f->vga->vram + 4, "\x11\x22\x33\x44", 4);
	set(f, 0x3ce, 5, 2); /* a colour */
	set(f, 0x3ce, 8, 0xf0);
	poke(f, WINDOW + 2, 0x0a);
	assert_memory_equal(f->vga->vram + 8, "\x01\xf2\x03\xf4", 4);
	set(f, 0x3ce, 5, 3); /* set/reset where data and mask have a bit */
	set(f, 0x3ce, 0, 0x01);
	poke(f, WINDOW + 3, 0x30);
	assert_memory_equal(f->vga->vram + 12, "\x31\x02\x03\x44", 4);
}

/* GR05 bit 3: where the planes that count have the colour */
static void test_read_mode_1(void **state)
{
	struct fixture *f = *state;

	planar(f);
	memcpy(f->vga->vram, "\xf0\xcc\xaa\x00", 4);
	set(f, 0x3ce, 5, 8);
	set(f, 0x3ce, 2, 0x03);
	set(f, 0x3ce, 7, 0x0f);
	assert_int_equal(peek(f, WINDOW), 0xf0 & 0xcc & ~0xaa);
	set(f, 0x3ce, 7, 0x03);
	assert_int_equal(peek(f, WINDOW), 0xc0);
	set(f, 0x3ce, 7, 0);
	assert_int_equal(peek(f, WINDOW), 0xff);
}

/* SR04: text has characters in plane 0 and attributes in plane 1; mode 13h has its bytes in a row */
static void test_odd_even_and_chain4(void **state)
{
	struct fixture *f = *state;

	planar(f);
	set(f, 0x3c4, 2, 3);
	set(f, 0x3c4, 4, 2);
	set(f, 0x3ce, 5, 0x10);
	set(f, 0x3ce, 6, 0x0e);
	fake_mmio_write(&f->fb, 0xb8002, 2, 0x1f41);
	assert_memory_equal(f->vga->vram + 4, "\x41\x1f\0\0", 4);
	assert_int_equal(fake_mmio_read(&f->fb, 0xb8002, 2), 0x1f41);
	set(f, 0x3c4, 2, 0x0b);
	set(f, 0x3c4, 4, 0x0e);
	set(f, 0x3ce, 6, 0x05);
	fake_mmio_write(&f->fb, WINDOW + 320, 4, 0x04030201);
	assert_memory_equal(f->vga->vram + 320, "\x01\x02\x00\x04", 4);
	assert_int_equal(fake_mmio_read(&f->fb, WINDOW + 320, 4), 0x04000201);
}

/* --- VBE ---------------------------------------------------------------------------------------------------- */

static void test_dispi(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(dispi_get(f, VGA_DISPI_ID), 0xb0c5);
	dispi(f, VGA_DISPI_ID, 0xb0c0);
	assert_int_equal(dispi_get(f, VGA_DISPI_ID), 0xb0c0);
	dispi(f, VGA_DISPI_ID, 0x1234);
	assert_int_equal(dispi_get(f, VGA_DISPI_ID), 0xb0c0);
	assert_int_equal(dispi_get(f, VGA_DISPI_MEMORY), 256);
	assert_int_equal(dispi_get(f, VGA_DISPI_N), 0);
	dispi(f, VGA_DISPI_ENABLE, VGA_DISPI_GETCAPS);
	assert_int_equal(dispi_get(f, VGA_DISPI_WIDTH), 2560);
	assert_int_equal(dispi_get(f, VGA_DISPI_HEIGHT), 1600);
	assert_int_equal(dispi_get(f, VGA_DISPI_DEPTH), 32);
	dispi(f, VGA_DISPI_ENABLE, 0);
	dispi(f, VGA_DISPI_WIDTH, 1024);
	dispi(f, VGA_DISPI_HEIGHT, 768);
	dispi(f, VGA_DISPI_DEPTH, 32);
	f->vga->vram[1024 * 768 * 4 - 1] = f->vga->vram[1024 * 768 * 4] = 0xee;
	dispi(f, VGA_DISPI_ENABLE, VGA_DISPI_ENABLED | VGA_DISPI_LFB);
	assert_int_equal(f->vga->vram[1024 * 768 * 4 - 1], 0);
	assert_int_equal(f->vga->vram[1024 * 768 * 4], 0xee);
	assert_int_equal(dispi_get(f, VGA_DISPI_VIRT_WIDTH), 1024);
	assert_int_equal(dispi_get(f, VGA_DISPI_VIRT_HEIGHT), 4096);
	dispi(f, VGA_DISPI_ENABLE, 0);
	f->vga->vram[0] = 0xdd;
	dispi(f, VGA_DISPI_ENABLE, VGA_DISPI_ENABLED | VGA_DISPI_KEEP);
	assert_int_equal(f->vga->vram[0], 0xdd);
}

/* What cannot be is brought within the memory, in whatever order it is written. */
static void test_dispi_limits(void **state)
{
	struct fixture *f = *state;
	struct vga_linear m;

	dispi(f, VGA_DISPI_DEPTH, 32);
	dispi(f, VGA_DISPI_WIDTH, 0xffff);
	dispi(f, VGA_DISPI_HEIGHT, 0xffff);
	dispi(f, VGA_DISPI_ENABLE, VGA_DISPI_ENABLED);
	assert_int_equal(dispi_get(f, VGA_DISPI_WIDTH), 2560);
	assert_int_equal(dispi_get(f, VGA_DISPI_HEIGHT), 1600);
	dispi(f, VGA_DISPI_VIRT_WIDTH, 0xffff);
	dispi(f, VGA_DISPI_X, 0xffff);
	dispi(f, VGA_DISPI_Y, 0xffff);
	vga_dispi_mode(&f->vga->regs, &m);
	assert_int_equal(m.height, 16 * MIB / (65528 * 4));
	assert_true(m.start + (uint64_t)(m.height - 1) * m.stride + 4 * m.width <= VGA_VRAM_SIZE);
	dispi(f, VGA_DISPI_WIDTH, 0);
	dispi(f, VGA_DISPI_HEIGHT, 0);
	dispi(f, VGA_DISPI_DEPTH, 7);
	assert_int_equal(dispi_get(f, VGA_DISPI_WIDTH), 8);
	assert_int_equal(dispi_get(f, VGA_DISPI_HEIGHT), 1);
	dispi(f, VGA_DISPI_BANK, 0xffff);
	assert_int_equal(dispi_get(f, VGA_DISPI_BANK), 255);
	poke(f, WINDOW + 0xffff, 0x99);
	assert_int_equal(f->vga->vram[VGA_VRAM_SIZE - 1], 0x99);
	assert_int_equal(peek(f, WINDOW + 0xffff), 0x99);
	assert_int_equal(peek(f, WINDOW + 0x10000), 0xff);
}

/* BAR 2: what bochs-drm uses */
static void test_mmio(void **state)
{
	struct fixture *f = *state;
	uint32_t bar = cfg_read(f, PCI_BASE_ADDRESS_2);

	assert_int_equal(fake_mmio_read(&f->fb, bar + 0x500, 2), 0xb0c5);
	fake_mmio_write(&f->fb, bar + 0x502, 2, 800);
	assert_int_equal(dispi_get(f, VGA_DISPI_WIDTH), 800);
	fake_mmio_write(&f->fb, bar + 0x502, 1, 7);
	assert_int_equal(dispi_get(f, VGA_DISPI_WIDTH), 800);
	fake_mmio_write(&f->fb, bar + 0x402, 1, 0x67);
	assert_int_equal(in(f, 0x3cc), 0x67);
	fake_mmio_write(&f->fb, bar + 0x404, 2, 0x0f02);
	assert_int_equal(get(f, 0x3c4, 2), 0x0f);
	assert_int_equal(fake_mmio_read(&f->fb, bar + 0x404, 2), 0x0f02);
	assert_int_equal(fake_mmio_read(&f->fb, bar + 0x600, 4), 8);
	assert_int_equal(fake_mmio_read(&f->fb, bar + 0x604, 4), 0x1e1e1e1e);
	fake_mmio_write(&f->fb, bar + 0x604, 4, 0xbebebebe);
	assert_int_equal(fake_mmio_read(&f->fb, bar + 0x604, 4), 0x1e1e1e1e);
	assert_int_equal(fake_mmio_read(&f->fb, bar, 4), 0); /* no EDID */
	assert_int_equal(fake_mmio_read(&f->fb, bar + 0xffc, 4), 0);
}

/* --- the picture --------------------------------------------------------------------------------------------- */

static struct vga_shot *shot(struct fixture *f, unsigned int width, unsigned int height)
{
	struct vga_shot *s;

	assert_int_equal(vga_shot_new(f->dev, &s), 0);
	assert_int_equal(s->width, width);
	assert_int_equal(s->height, height);
	return s;
}

static void expect_pixel(const struct vga_shot *s, unsigned int x, unsigned int y, uint32_t rgb)
{
	uint8_t row[VGA_WIDTH_MAX * VGA_RGB];
	const uint8_t *p = row + VGA_RGB * x;

	vga_shot_rows(s, y, 1, row);
	assert_int_equal(p[0] << 16 | p[1] << 8 | p[2], rgb);
}

/* Number n of colors() */
static uint32_t rgb(unsigned int n)
{
	unsigned int blue = 63 - n;

	return (n << 2 | n >> 4) << 16 | (blue << 2 | blue >> 4);
}

static void timing(struct fixture *f, uint8_t columns, unsigned int lines, uint8_t cell,
		   uint8_t pitch)
{
	lines--;
	set(f, 0x3d4, 0x01, (uint8_t)(columns - 1));
	set(f, 0x3d4, 0x07, (uint8_t)((lines >> 8 & 1) << 1 | (lines >> 9 & 1) << 6 | 0x10));
	set(f, 0x3d4, 0x09, (uint8_t)(cell | 0x40)); /* with CR07 and CR18: no split */
	set(f, 0x3d4, 0x12, (uint8_t)lines);
	set(f, 0x3d4, 0x13, pitch);
	set(f, 0x3d4, 0x17, 0xe3);
	set(f, 0x3d4, 0x18, 0xff);
}

static void test_no_mode(void **state)
{
	struct fixture *f = *state;
	struct vga_shot *s = shot(f, 640, 400);

	expect_pixel(s, 639, 399, 0);
	assert_null(vga_shot_text(s));
	vga_shot_free(s);
}

static void text_mode(struct fixture *f)
{
	planar(f);
	colors(f);
	timing(f, 80, 400, 15, 40);
	set(f, 0x3ce, 6, 0x0e);
	set(f, 0x3d4, 0x0a, 0x20);
	set(f, 0x3c4, 4, 2);
	attr(f, 0x30, 0x04);
}

static void test_text(void **state)
{
	struct fixture *f = *state;
	struct json_object *text;
	struct vga_shot *s;

	text_mode(f);
	for (unsigned int i = 0; i < 80 * 25; i++)
		memcpy(f->vga->vram + 4 * i, " \x07", 2);
	memcpy(f->vga->vram + 4 * 80, "H\x1e\0\0i\x1e\0\0\xc4\x1e", 10);
	f->vga->vram[4 * (32 * 'H' + 3) + 2] = 0x81;
	f->vga->vram[4 * (32 * 0xc4 + 3) + 2] = 0x01;
	s = shot(f, 720, 400);
	assert_int_equal(s->columns, 80);
	assert_int_equal(s->lines, 25);
	text = vga_shot_text(s);
	assert_int_equal(json_object_array_length(text), 25);
	assert_string_equal(json_object_get_string(json_object_array_get_idx(text, 0)), "");
	assert_string_equal(json_object_get_string(json_object_array_get_idx(text, 1)), "Hi─");
	json_object_put(text);
	expect_pixel(s, 0, 16 + 3, rgb(14));
	expect_pixel(s, 1, 16 + 3, rgb(1));
	expect_pixel(s, 7, 16 + 3, rgb(14));
	expect_pixel(s, 8, 16 + 3, rgb(1));   /* the ninth column of a letter is empty … */
	expect_pixel(s, 26, 16 + 3, rgb(14)); /* … that of a line goes on */
	expect_pixel(s, 0, 16 + 4, rgb(1));
	vga_shot_free(s);
	set(f, 0x3c4, 1, 1); /* 8 dots */
	s = shot(f, 640, 400);
	vga_shot_free(s);
	set(f, 0x3c4, 1, 0x21); /* screen off */
	s = shot(f, 640, 400);
	expect_pixel(s, 0, 16 + 3, 0);
	assert_null(vga_shot_text(s));
	vga_shot_free(s);
}

/* CR0A, CR0B, CR0E, CR0F; CR0C and CR0D say where the page begins */
static void test_cursor_and_page(void **state)
{
	struct fixture *f = *state;
	struct vga_shot *s;

	text_mode(f);
	memcpy(f->vga->vram + 4 * (0x800 + 81), "x\x02", 2);
	set(f, 0x3d4, 0x0c, 0x08);
	set(f, 0x3d4, 0x0a, 13);
	set(f, 0x3d4, 0x0b, 14);
	set(f, 0x3d4, 0x0e, 0x08);
	set(f, 0x3d4, 0x0f, 81);
	s = shot(f, 720, 400);
	expect_pixel(s, 9, 16 + 12, rgb(0));
	expect_pixel(s, 9, 16 + 13, rgb(2));
	expect_pixel(s, 17, 16 + 14, rgb(2));
	expect_pixel(s, 18, 16 + 14, rgb(0));
	expect_pixel(s, 9, 16 + 15, rgb(0));
	vga_shot_free(s);
	set(f, 0x3d4, 0x0a, 0x20 | 13);
	s = shot(f, 720, 400);
	expect_pixel(s, 9, 16 + 13, rgb(0));
	vga_shot_free(s);
}

/* SR03: another font for characters with bit 3 of the attribute */
static void test_two_fonts(void **state)
{
	struct fixture *f = *state;
	struct vga_shot *s;

	text_mode(f);
	set(f, 0x3c4, 3, 0x04); /* A is map 1, at 16 KiB; B map 0 */
	memcpy(f->vga->vram, "A\x0f\0\0A\x07", 6);
	f->vga->vram[4 * 0x4000 + 4 * 32 * 'A' + 2] = 0x80;
	s = shot(f, 720, 400);
	expect_pixel(s, 0, 0, rgb(15));
	expect_pixel(s, 9, 0, rgb(0));
	vga_shot_free(s);
}

static void test_mode_12h(void **state)
{
	struct fixture *f = *state;
	struct vga_shot *s;

	planar(f);
	colors(f);
	timing(f, 80, 480, 0, 40);
	set(f, 0x3ce, 5, 2);
	set(f, 0x3ce, 8, 0x01);
	poke(f, WINDOW + 80 * 479 + 79, 11); /* the last pixel */
	s = shot(f, 640, 480);
	expect_pixel(s, 639, 479, rgb(11));
	expect_pixel(s, 638, 479, rgb(0));
	vga_shot_free(s);
	attr(f, 0x32, 0x03); /* AR12: these planes only */
	s = shot(f, 640, 480);
	expect_pixel(s, 639, 479, rgb(3));
	vga_shot_free(s);
	set(f, 0x3d4, 0x18, 9); /* line compare: the tenth line on is from the beginning */
	set(f, 0x3d4, 0x07, 0x02);
	set(f, 0x3d4, 0x09, 0);
	f->vga->vram[0] = 0x80;
	s = shot(f, 640, 480);
	expect_pixel(s, 0, 9, rgb(0));
	expect_pixel(s, 0, 10, rgb(1));
	vga_shot_free(s);
}

static void test_mode_13h(void **state)
{
	struct fixture *f = *state;
	struct vga_shot *s;

	planar(f);
	colors(f);
	timing(f, 80, 400, 1, 40);
	set(f, 0x3c4, 4, 0x0e);
	set(f, 0x3ce, 5, 0x40);
	poke(f, WINDOW + 320 * 199 + 319, 9);
	poke(f, WINDOW + 320 * 199 + 318, 0x83);
	out(f, 0x3c6, 0x7f);
	s = shot(f, 320, 200);
	expect_pixel(s, 319, 199, rgb(9));
	expect_pixel(s, 318, 199, rgb(3)); /* by the mask */
	vga_shot_free(s);
}

/* Mode 4: four colours, the odd lines 8 KiB behind the even ones */
static void test_cga(void **state)
{
	struct fixture *f = *state;
	struct vga_shot *s;

	planar(f);
	colors(f);
	timing(f, 40, 400, 0x81, 20);
	set(f, 0x3d4, 0x17, 0xa2);
	set(f, 0x3c4, 2, 3);
	set(f, 0x3c4, 2, 3);
	set(f, 0x3c4, 4, 2);
	set(f, 0x3ce, 5, 0x30);
	set(f, 0x3ce, 6, 0x0f);
	poke(f, 0xb8000 + 80 + 1, 0x03);      /* line 2, pixel 7 */
	poke(f, 0xb8000 + 0x2000 + 80, 0x40); /* line 3, pixel 0 */
	s = shot(f, 320, 200);
	expect_pixel(s, 7, 2, rgb(3));
	expect_pixel(s, 6, 2, rgb(0));
	expect_pixel(s, 0, 3, rgb(1));
	expect_pixel(s, 0, 2, rgb(0));
	vga_shot_free(s);
}

static void test_vbe_depths(void **state)
{
	static const struct {
		uint16_t depth;
		uint8_t bytes[4];
		uint32_t rgb;
	} rows[] = {
		{ 8, { 5 }, 0 },
		{ 15, { 0x1f, 0x7c }, 0xff00ff },
		{ 16, { 0xe0, 0x87 }, 0x84ff00 },
		{ 24, { 1, 2, 3 }, 0x030201 },
		{ 32, { 1, 2, 3, 0xff }, 0x030201 },
	};
	struct fixture *f = *state;
	struct vga_shot *s;

	out(f, 0x3c2, 0x67);
	colors(f);
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned int bytes = (rows[i].depth + 7u) / 8;

		dispi(f, VGA_DISPI_ENABLE, 0);
		dispi(f, VGA_DISPI_WIDTH, 2560);
		dispi(f, VGA_DISPI_HEIGHT, 1600);
		dispi(f, VGA_DISPI_DEPTH, rows[i].depth);
		dispi(f, VGA_DISPI_ENABLE, VGA_DISPI_ENABLED | VGA_DISPI_LFB);
		memcpy(f->vga->vram + (2560u * 1600 - 1) * bytes, rows[i].bytes, bytes);
		s = shot(f, 2560, 1600);
		expect_pixel(s, 2559, 1599, rows[i].depth == 8 ? rgb(5) : rows[i].rgb);
		expect_pixel(s, 2558, 1599, rows[i].depth == 8 ? rgb(0) : 0);
		assert_null(vga_shot_text(s));
		vga_shot_free(s);
	}
	in(f, 0x3da);
	out(f, 0x3c0, 0); /* off */
	s = shot(f, 2560, 1600);
	expect_pixel(s, 2559, 1599, 0);
	vga_shot_free(s);
}

static void test_vbe_planes_and_panning(void **state)
{
	struct fixture *f = *state;
	struct vga_shot *s;

	planar(f);
	colors(f);
	dispi(f, VGA_DISPI_WIDTH, 800);
	dispi(f, VGA_DISPI_HEIGHT, 600);
	dispi(f, VGA_DISPI_DEPTH, 4);
	dispi(f, VGA_DISPI_ENABLE, VGA_DISPI_ENABLED);
	set(f, 0x3ce, 5, 2);
	set(f, 0x3ce, 8, 0x01);
	poke(f, WINDOW + 100 * 599 + 99, 6);
	s = shot(f, 800, 600);
	expect_pixel(s, 799, 599, rgb(6));
	vga_shot_free(s);
	dispi(f, VGA_DISPI_ENABLE, 0);
	dispi(f, VGA_DISPI_DEPTH, 32);
	dispi(f, VGA_DISPI_ENABLE, VGA_DISPI_ENABLED);
	dispi(f, VGA_DISPI_VIRT_WIDTH, 1000);
	dispi(f, VGA_DISPI_X, 3);
	dispi(f, VGA_DISPI_Y, 100);
	f->vga->vram[(100 * 1000 + 3) * 4] = 0x42;
	s = shot(f, 800, 600);
	expect_pixel(s, 0, 0, 0x42);
	vga_shot_free(s);
}

static void test_dac_of_8_bits(void **state)
{
	struct fixture *f = *state;
	struct vga_shot *s;

	colors(f);
	dispi(f, VGA_DISPI_DEPTH, 8);
	dispi(f, VGA_DISPI_ENABLE, VGA_DISPI_ENABLED | VGA_DISPI_DAC8);
	out(f, 0x3c8, 0);
	out(f, 0x3c9, 0xfe);
	out(f, 0x3c9, 0x80);
	out(f, 0x3c9, 0x01);
	s = shot(f, 8, 1);
	expect_pixel(s, 0, 0, 0xfe8001);
	vga_shot_free(s);
}

/* Whatever a guest writes, a picture is within the limits and can be drawn; the sanitizers watch. */
static void test_any_registers(void **state)
{
	struct fixture *f = *state;
	uint8_t *rows = malloc((size_t)VGA_WIDTH_MAX * VGA_HEIGHT_MAX * VGA_RGB);
	uint32_t seed = 1;

	for (unsigned int n = 0; n < 300; n++) {
		struct vga_shot *s;
		uint8_t *regs = (uint8_t *)&f->vga->regs;

		for (unsigned int i = 0; i < sizeof(f->vga->regs); i++) {
			seed = seed * 1664525 + 1013904223;
			regs[i] = (uint8_t)(seed >> 24);
		}
		/* the ones that a write cuts */
		f->vga->regs.attr_data = f->vga->regs.dac_reads = false;
		f->vga->regs.dispi[VGA_DISPI_BANK] %= 256;
		f->vga->regs.dac_part = 0;
		if (n % 2)
			f->vga->regs.dispi[VGA_DISPI_ENABLE] &= 0xfffe;
		assert_int_equal(vga_shot_new(f->dev, &s), 0);
		assert_in_range(s->width, 1, VGA_WIDTH_MAX);
		assert_in_range(s->height, 1, VGA_HEIGHT_MAX);
		vga_shot_rows(s, 0, 1, rows);
		vga_shot_rows(s, s->height - 1, 1, rows);
		if (n % 16 == 0)
			vga_shot_rows(s, 0, s->height, rows);
		json_object_put(vga_shot_text(s));
		vga_shot_free(s);
		for (uint32_t addr = WINDOW; addr < 0xc0000; addr += 0xfff) {
			poke(f, addr, (uint8_t)n);
			peek(f, addr);
		}
	}
	free(rows);
}

static void test_reset(void **state)
{
	struct fixture *f = *state;
	struct vga_shot *s;

	text_mode(f);
	f->vga->vram[12345] = 1;
	dispi(f, VGA_DISPI_ENABLE, VGA_DISPI_ENABLED);
	cfg_write(f, PCI_ROM_ADDRESS, 0xd8000001);
	f->dev->class->reset(f->dev);
	assert_int_equal(f->vga->vram[12345], 0);
	assert_int_equal(dispi_get(f, VGA_DISPI_ENABLE), 0);
	assert_int_equal(in(f, 0x3cc), 0);
	assert_null(fake_slot_at(&f->fb, 0xd8000000));
	s = shot(f, 640, 400);
	vga_shot_free(s);
}

#define ROW(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(test_identity),	 ROW(test_memory_follows),
		ROW(test_rom),		 ROW(test_rom_refused),
		ROW(test_bits),		 ROW(test_crtc_place),
		ROW(test_crtc_protect),	 ROW(test_attributes),
		ROW(test_dac),		 ROW(test_retrace),
		ROW(test_window_maps),	 ROW(test_planes),
		ROW(test_write_mode_0),	 ROW(test_write_modes),
		ROW(test_read_mode_1),	 ROW(test_odd_even_and_chain4),
		ROW(test_dispi),	 ROW(test_dispi_limits),
		ROW(test_mmio),		 ROW(test_no_mode),
		ROW(test_text),		 ROW(test_cursor_and_page),
		ROW(test_two_fonts),	 ROW(test_mode_12h),
		ROW(test_mode_13h),	 ROW(test_cga),
		ROW(test_vbe_depths),	 ROW(test_vbe_planes_and_panning),
		ROW(test_dac_of_8_bits), ROW(test_any_registers),
		ROW(test_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
