// SPDX-License-Identifier: MIT
// The display adapter, register by register: sections of the manual named in vmm/display/vga_impl.h, and what Bochs' VBE does.
#include <linux/pci_regs.h>
#include <string.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/unit/vga_fixture.h"

/* --- PCI --------------------------------------------------------------------------------------------------- */

static void test_identity(void **state)
{
	struct fvga *f = *state;

	assert_int_equal(fvga_cfg_read(f, 0), 0x11111234);
	assert_int_equal(fvga_cfg_read(f, PCI_CLASS_REVISION), 0x03000002);
	fvga_cfg_write(f, PCI_BASE_ADDRESS_0, 0xffffffff);
	assert_int_equal(fvga_cfg_read(f, PCI_BASE_ADDRESS_0),
			 0xff000008); /* 16 MiB, prefetchable */
	fvga_cfg_write(f, PCI_BASE_ADDRESS_2, 0xffffffff);
	assert_int_equal(fvga_cfg_read(f, PCI_BASE_ADDRESS_2), 0xfffff000);
	fvga_cfg_write(f, PCI_ROM_ADDRESS, 0xffffffff);
	assert_int_equal(fvga_cfg_read(f, PCI_ROM_ADDRESS), 0xffffe001); /* 5000 bytes: 8 KiB */
}

static void test_memory_follows(void **state)
{
	struct fvga *f = *state;
	uint32_t home = fvga_cfg_read(f, PCI_BASE_ADDRESS_0) & ~0xfu;
	const struct fake_slot *slot = fake_slot_at(&f->fb, home);

	assert_non_null(slot);
	assert_ptr_equal(slot->host, f->vga->vram);
	assert_int_equal(slot->size, 16 * MIB);
	assert_false(slot->rom);
	fvga_cfg_write(f, PCI_BASE_ADDRESS_0, 0xd0000000);
	assert_null(fake_slot_at(&f->fb, home));
	assert_non_null(fake_slot_at(&f->fb, 0xd0000000));
	/* and by an exit it is the same memory */
	fake_mmio_write(&f->fb, 0xd0000000 + 16 * MIB - 8, 8, 0x1122334455667788);
	assert_int_equal(f->vga->vram[16 * MIB - 1], 0x11);
	assert_int_equal(fake_mmio_read(&f->fb, 0xd0000000 + 16 * MIB - 4, 4), 0x11223344);
	fvga_cfg_write(f, PCI_COMMAND, 0);
	assert_null(fake_slot_at(&f->fb, 0xd0000000));
}

static void test_rom(void **state)
{
	struct fvga *f = *state;
	const struct fake_slot *slot;

	fvga_cfg_write(f, PCI_ROM_ADDRESS, 0xd8000001);
	slot = fake_slot_at(&f->fb, 0xd8000000);
	assert_non_null(slot);
	assert_true(slot->rom);
	assert_int_equal(slot->size, 8 * KIB);
	fake_mmio_write(&f->fb, 0xd8000000, 2, 0);
	assert_int_equal(fake_mmio_read(&f->fb, 0xd8000000, 2), 0xaa55);
	fvga_cfg_write(f, PCI_ROM_ADDRESS, 0xd8000000);
	assert_null(fake_slot_at(&f->fb, 0xd8000000));
}

static void test_rom_refused(void **state)
{
	static const uint8_t none[1024], cut[1024] = { 0x55, 0xaa, 3 };
	struct fvga *f = *state;
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

		cfg.rom_fd =
			fvga_rom_file(bad[i].data ? bad[i].data : "", bad[i].data ? bad[i].len : 0);
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
	assert_int_equal(fvga_cfg_read(f, PCI_ROM_ADDRESS), 0);
}

/* --- registers --------------------------------------------------------------------------------------------- */

/* Sections 2.2 and 2.3: the bits that are not there are 0 */
static void test_bits(void **state)
{
	static const uint8_t seq[] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e };
	static const uint8_t gc[] = { 0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff };
	struct fvga *f = *state;

	for (uint8_t i = 0; i < 16; i++) {
		fvga_set(f, 0x3c4, i, 0xff);
		assert_int_equal(fvga_get(f, 0x3c4, i), i < ARRAY_SIZE(seq) ? seq[i] : 0);
		fvga_set(f, 0x3ce, i, 0xff);
		assert_int_equal(fvga_get(f, 0x3ce, i), i < ARRAY_SIZE(gc) ? gc[i] : 0);
	}
	fvga_out(f, 0x3c2, 0xff);
	assert_int_equal(fvga_in(f, 0x3cc), 0xef);
	assert_int_equal(fvga_in(f, 0x3c2), 0x10);
	fvga_out(f, 0x3da, 0xff);
	assert_int_equal(fvga_in(f, 0x3ca), 3);
}

/* Section 2.1, MSR bit 0: the CRT controller is at 3B4h or at 3D4h */
static void test_crtc_place(void **state)
{
	struct fvga *f = *state;

	fvga_set(f, 0x3b4, 0x0e, 0x12);
	assert_int_equal(fvga_get(f, 0x3b4, 0x0e), 0x12);
	assert_int_equal(fvga_in(f, 0x3d5), 0xff);
	assert_int_equal(fvga_in(f, 0x3da), 0xff);
	fvga_out(f, 0x3c2, 1);
	assert_int_equal(fvga_get(f, 0x3d4, 0x0e), 0x12);
	assert_int_equal(fvga_in(f, 0x3b5), 0xff);
	assert_int_equal(fvga_get(f, 0x3d4, 0x19), 0);
	assert_int_equal(fvga_get(f, 0x3d4, 0xff), 0);
}

/* CR11 bit 7: 00 to 07 cannot be written, but for bit 4 of 07 */
static void test_crtc_protect(void **state)
{
	struct fvga *f = *state;

	fvga_out(f, 0x3c2, 1);
	fvga_set(f, 0x3d4, 0x01, 0x4f);
	fvga_set(f, 0x3d4, 0x07, 0x1f);
	fvga_set(f, 0x3d4, 0x11, 0x80);
	fvga_set(f, 0x3d4, 0x01, 0x27);
	fvga_set(f, 0x3d4, 0x07, 0xe0);
	fvga_set(f, 0x3d4, 0x08, 0x05);
	assert_int_equal(fvga_get(f, 0x3d4, 0x01), 0x4f);
	assert_int_equal(fvga_get(f, 0x3d4, 0x07), 0x0f);
	assert_int_equal(fvga_get(f, 0x3d4, 0x08), 0x05);
	fvga_set(f, 0x3d4, 0x11, 0);
	fvga_set(f, 0x3d4, 0x01, 0x27);
	assert_int_equal(fvga_get(f, 0x3d4, 0x01), 0x27);
}

/* Section 2.4: one port for index and data; the palette is closed while it is shown */
static void test_attributes(void **state)
{
	struct fvga *f = *state;

	fvga_out(f, 0x3c2, 1);
	fvga_attr(f, 3, 0xff);
	fvga_in(f, 0x3da);
	fvga_out(f, 0x3c0, 3);
	assert_int_equal(fvga_in(f, 0x3c1), 0x3f);
	fvga_attr(f, 0x23, 0x01);
	assert_int_equal(fvga_in(f, 0x3c1), 0x3f);
	fvga_attr(f, 0x30, 0xff);
	assert_int_equal(fvga_in(f, 0x3c1), 0xef);
	fvga_attr(f, 0x1f, 0xff);
	assert_int_equal(fvga_in(f, 0x3c1), 0);
	/* a read of the status makes the next write an index again */
	fvga_in(f, 0x3da);
	fvga_out(f, 0x3c0, 0x05);
	fvga_in(f, 0x3da);
	fvga_out(f, 0x3c0, 0x06);
	assert_int_equal(fvga_in(f, 0x3c0), 0x06);
}

/* Section 2.5: three bytes a colour, the index goes on by itself */
static void test_dac(void **state)
{
	struct fvga *f = *state;

	fvga_out(f, 0x3c8, 0xff);
	for (uint8_t i = 1; i <= 6; i++)
		fvga_out(f, 0x3c9, (uint8_t)(0xc0 | i));
	assert_int_equal(fvga_in(f, 0x3c7), 0);
	fvga_out(f, 0x3c7, 0xff);
	assert_int_equal(fvga_in(f, 0x3c7), 3);
	for (uint8_t i = 1; i <= 6; i++)
		assert_int_equal(fvga_in(f, 0x3c9), i);
	assert_int_equal(fvga_in(f, 0x3c8), 1);
	assert_int_equal(fvga_in(f, 0x3c6), 0xff);
	fvga_out(f, 0x3c6, 0x0f);
	assert_int_equal(fvga_in(f, 0x3c6), 0x0f);
}

static void test_retrace(void **state)
{
	struct fvga *f = *state;
	unsigned int seen = 0;

	fvga_out(f, 0x3c2, 1);
	assert_int_equal(fvga_in(f, 0x3da), 0);
	fake_board_advance(&f->fb, 13500000); /* of 14.3 ms */
	assert_int_equal(fvga_in(f, 0x3da), 9);
	fake_board_advance(&f->fb, 1000000);
	for (unsigned int i = 0; i < 40; i++) { /* within some lines: shown, and not */
		seen |= fvga_in(f, 0x3da) ? 2 : 1;
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
	struct fvga *f = *state;

	fvga_planar(f);
	for (unsigned int i = 0; i < ARRAY_SIZE(maps); i++) {
		fvga_set(f, 0x3ce, 6, maps[i].misc);
		fvga_poke(f, maps[i].first, (uint8_t)(i + 1));
		assert_int_equal(f->vga->vram[0], i + 1);
		fvga_poke(f, maps[i].last, 0x55);
		assert_int_equal(fvga_peek(f, maps[i].last), 0x55);
		if (maps[i].first > WINDOW)
			assert_int_equal(fvga_peek(f, maps[i].first - 1), 0xff);
		if (maps[i].last < 0xbffff)
			assert_int_equal(fvga_peek(f, maps[i].last + 1), 0xff);
	}
	fvga_out(f, 0x3c2, 0x65);
	fvga_poke(f, 0xb8000, 0x77);
	assert_int_equal(fvga_peek(f, 0xb8000), 0xff);
	assert_int_equal(f->vga->vram[0], 4);
}

/* SR02, GR04: which planes are written, which one is read */
static void test_planes(void **state)
{
	struct fvga *f = *state;

	fvga_planar(f);
	for (uint8_t p = 0; p < 4; p++) {
		fvga_set(f, 0x3c4, 2, (uint8_t)(1 << p));
		fvga_poke(f, WINDOW + 0xffff, (uint8_t)(0x10 + p));
	}
	for (uint8_t p = 0; p < 4; p++) {
		fvga_set(f, 0x3ce, 4, p);
		assert_int_equal(fvga_peek(f, WINDOW + 0xffff), 0x10 + p);
	}
	assert_memory_equal(f->vga->vram + 4 * 0xffff, "\x10\x11\x12\x13", 4);
}

/* Write mode 0: rotate, set/reset, the function with the latches, the bit mask */
static void test_write_mode_0(void **state)
{
	struct fvga *f = *state;

	fvga_planar(f);
	fvga_poke(f, WINDOW, 0xf0);
	fvga_peek(f, WINDOW); /* the latches */
	fvga_set(f, 0x3ce, 3, 0x04);
	fvga_poke(f, WINDOW + 1, 0x21);
	assert_int_equal(fvga_peek(f, WINDOW + 1), 0x12);
	fvga_set(f, 0x3ce, 3, 0);
	fvga_set(f, 0x3ce, 0, 0x05); /* planes 0 and 2 set, 1 reset, 3 by the CPU */
	fvga_set(f, 0x3ce, 1, 0x07);
	fvga_poke(f, WINDOW + 2, 0x3c);
	assert_memory_equal(f->vga->vram + 8, "\xff\x00\xff\x3c", 4);
	fvga_set(f, 0x3ce, 1, 0);
	for (uint8_t fn = 1; fn < 4; fn++) {
		static const uint8_t want[] = { 0, 0x30, 0xfc, 0xcc };

		fvga_peek(f, WINDOW);
		fvga_set(f, 0x3ce, 3, (uint8_t)(fn << 3));
		fvga_poke(f, WINDOW + 3, 0x3c);
		assert_int_equal(f->vga->vram[12], want[fn]);
	}
	fvga_set(f, 0x3ce, 3, 0);
	fvga_peek(f, WINDOW);
	fvga_set(f, 0x3ce, 8, 0x0f);
	fvga_poke(f, WINDOW + 4, 0x55);
	assert_int_equal(f->vga->vram[16], 0xf5);
}

static void test_write_modes(void **state)
{
	struct fvga *f = *state;

	fvga_planar(f);
	memcpy(f->vga->vram, "\x11\x22\x33\x44", 4);
	fvga_peek(f, WINDOW);
	fvga_set(f, 0x3ce, 5, 1); /* the latches */
	fvga_poke(f, WINDOW + 1, 0xff);
	assert_memory_equal(f->vga->vram + 4, "\x11\x22\x33\x44", 4);
	fvga_set(f, 0x3ce, 5, 2); /* a colour */
	fvga_set(f, 0x3ce, 8, 0xf0);
	fvga_poke(f, WINDOW + 2, 0x0a);
	assert_memory_equal(f->vga->vram + 8, "\x01\xf2\x03\xf4", 4);
	fvga_set(f, 0x3ce, 5, 3); /* set/reset where data and mask have a bit */
	fvga_set(f, 0x3ce, 0, 0x01);
	fvga_poke(f, WINDOW + 3, 0x30);
	assert_memory_equal(f->vga->vram + 12, "\x31\x02\x03\x44", 4);
}

/* GR05 bit 3: where the planes that count have the colour */
static void test_read_mode_1(void **state)
{
	struct fvga *f = *state;

	fvga_planar(f);
	memcpy(f->vga->vram, "\xf0\xcc\xaa\x00", 4);
	fvga_set(f, 0x3ce, 5, 8);
	fvga_set(f, 0x3ce, 2, 0x03);
	fvga_set(f, 0x3ce, 7, 0x0f);
	assert_int_equal(fvga_peek(f, WINDOW), 0xf0 & 0xcc & ~0xaa);
	fvga_set(f, 0x3ce, 7, 0x03);
	assert_int_equal(fvga_peek(f, WINDOW), 0xc0);
	fvga_set(f, 0x3ce, 7, 0);
	assert_int_equal(fvga_peek(f, WINDOW), 0xff);
}

/* SR04: text has characters in plane 0 and attributes in plane 1; mode 13h has its bytes in a row */
static void test_odd_even_and_chain4(void **state)
{
	struct fvga *f = *state;

	fvga_planar(f);
	fvga_set(f, 0x3c4, 2, 3);
	fvga_set(f, 0x3c4, 4, 2);
	fvga_set(f, 0x3ce, 5, 0x10);
	fvga_set(f, 0x3ce, 6, 0x0e);
	fake_mmio_write(&f->fb, 0xb8002, 2, 0x1f41);
	assert_memory_equal(f->vga->vram + 4, "\x41\x1f\0\0", 4);
	assert_int_equal(fake_mmio_read(&f->fb, 0xb8002, 2), 0x1f41);
	fvga_set(f, 0x3c4, 2, 0x0b);
	fvga_set(f, 0x3c4, 4, 0x0e);
	fvga_set(f, 0x3ce, 6, 0x05);
	fake_mmio_write(&f->fb, WINDOW + 320, 4, 0x04030201);
	assert_memory_equal(f->vga->vram + 320, "\x01\x02\x00\x04", 4);
	assert_int_equal(fake_mmio_read(&f->fb, WINDOW + 320, 4), 0x04000201);
}

/* --- VBE ---------------------------------------------------------------------------------------------------- */

static void test_dispi(void **state)
{
	struct fvga *f = *state;

	assert_int_equal(fvga_dispi_get(f, VGA_DISPI_ID), 0xb0c5);
	fvga_dispi(f, VGA_DISPI_ID, 0xb0c0);
	assert_int_equal(fvga_dispi_get(f, VGA_DISPI_ID), 0xb0c0);
	fvga_dispi(f, VGA_DISPI_ID, 0x1234);
	assert_int_equal(fvga_dispi_get(f, VGA_DISPI_ID), 0xb0c0);
	assert_int_equal(fvga_dispi_get(f, VGA_DISPI_MEMORY), 256);
	assert_int_equal(fvga_dispi_get(f, VGA_DISPI_N), 0);
	fvga_dispi(f, VGA_DISPI_ENABLE, VGA_DISPI_GETCAPS);
	assert_int_equal(fvga_dispi_get(f, VGA_DISPI_WIDTH), 2560);
	assert_int_equal(fvga_dispi_get(f, VGA_DISPI_HEIGHT), 1600);
	assert_int_equal(fvga_dispi_get(f, VGA_DISPI_DEPTH), 32);
	fvga_dispi(f, VGA_DISPI_ENABLE, 0);
	fvga_dispi(f, VGA_DISPI_WIDTH, 1024);
	fvga_dispi(f, VGA_DISPI_HEIGHT, 768);
	fvga_dispi(f, VGA_DISPI_DEPTH, 32);
	f->vga->vram[1024 * 768 * 4 - 1] = f->vga->vram[1024 * 768 * 4] = 0xee;
	fvga_dispi(f, VGA_DISPI_ENABLE, VGA_DISPI_ENABLED | VGA_DISPI_LFB);
	assert_int_equal(f->vga->vram[1024 * 768 * 4 - 1], 0);
	assert_int_equal(f->vga->vram[1024 * 768 * 4], 0xee);
	assert_int_equal(fvga_dispi_get(f, VGA_DISPI_VIRT_WIDTH), 1024);
	assert_int_equal(fvga_dispi_get(f, VGA_DISPI_VIRT_HEIGHT), 4096);
	fvga_dispi(f, VGA_DISPI_ENABLE, 0);
	f->vga->vram[0] = 0xdd;
	fvga_dispi(f, VGA_DISPI_ENABLE, VGA_DISPI_ENABLED | VGA_DISPI_KEEP);
	assert_int_equal(f->vga->vram[0], 0xdd);
}

/* What cannot be is brought within the memory, in whatever order it is written. */
static void test_dispi_limits(void **state)
{
	struct fvga *f = *state;
	struct vga_linear m;

	fvga_dispi(f, VGA_DISPI_DEPTH, 32);
	fvga_dispi(f, VGA_DISPI_WIDTH, 0xffff);
	fvga_dispi(f, VGA_DISPI_HEIGHT, 0xffff);
	fvga_dispi(f, VGA_DISPI_ENABLE, VGA_DISPI_ENABLED);
	assert_int_equal(fvga_dispi_get(f, VGA_DISPI_WIDTH), 2560);
	assert_int_equal(fvga_dispi_get(f, VGA_DISPI_HEIGHT), 1600);
	fvga_dispi(f, VGA_DISPI_VIRT_WIDTH, 0xffff);
	fvga_dispi(f, VGA_DISPI_X, 0xffff);
	fvga_dispi(f, VGA_DISPI_Y, 0xffff);
	vga_dispi_mode(&f->vga->regs, &m);
	assert_int_equal(m.height, 16 * MIB / (65528 * 4));
	assert_true(m.start + (uint64_t)(m.height - 1) * m.stride + 4 * m.width <= VGA_VRAM_SIZE);
	fvga_dispi(f, VGA_DISPI_WIDTH, 0);
	fvga_dispi(f, VGA_DISPI_HEIGHT, 0);
	fvga_dispi(f, VGA_DISPI_DEPTH, 7);
	assert_int_equal(fvga_dispi_get(f, VGA_DISPI_WIDTH), 8);
	assert_int_equal(fvga_dispi_get(f, VGA_DISPI_HEIGHT), 1);
	fvga_dispi(f, VGA_DISPI_BANK, 0xffff);
	assert_int_equal(fvga_dispi_get(f, VGA_DISPI_BANK), 255);
	fvga_poke(f, WINDOW + 0xffff, 0x99);
	assert_int_equal(f->vga->vram[VGA_VRAM_SIZE - 1], 0x99);
	assert_int_equal(fvga_peek(f, WINDOW + 0xffff), 0x99);
	assert_int_equal(fvga_peek(f, WINDOW + 0x10000), 0xff);
}

/* BAR 2: what bochs-drm uses */
static void test_mmio(void **state)
{
	struct fvga *f = *state;
	uint32_t bar = fvga_cfg_read(f, PCI_BASE_ADDRESS_2);

	assert_int_equal(fake_mmio_read(&f->fb, bar + 0x500, 2), 0xb0c5);
	fake_mmio_write(&f->fb, bar + 0x502, 2, 800);
	assert_int_equal(fvga_dispi_get(f, VGA_DISPI_WIDTH), 800);
	fake_mmio_write(&f->fb, bar + 0x502, 1, 7);
	assert_int_equal(fvga_dispi_get(f, VGA_DISPI_WIDTH), 800);
	fake_mmio_write(&f->fb, bar + 0x402, 1, 0x67);
	assert_int_equal(fvga_in(f, 0x3cc), 0x67);
	fake_mmio_write(&f->fb, bar + 0x404, 2, 0x0f02);
	assert_int_equal(fvga_get(f, 0x3c4, 2), 0x0f);
	assert_int_equal(fake_mmio_read(&f->fb, bar + 0x404, 2), 0x0f02);
	assert_int_equal(fake_mmio_read(&f->fb, bar + 0x600, 4), 8);
	assert_int_equal(fake_mmio_read(&f->fb, bar + 0x604, 4), 0x1e1e1e1e);
	fake_mmio_write(&f->fb, bar + 0x604, 4, 0xbebebebe);
	assert_int_equal(fake_mmio_read(&f->fb, bar + 0x604, 4), 0x1e1e1e1e);
	assert_int_equal(fake_mmio_read(&f->fb, bar, 4), 0); /* no EDID */
	assert_int_equal(fake_mmio_read(&f->fb, bar + 0xffc, 4), 0);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fvga_setup, fvga_teardown)
	const struct CMUnitTest tests[] = {
		T(test_identity),     T(test_memory_follows),
		T(test_rom),	      T(test_rom_refused),
		T(test_bits),	      T(test_crtc_place),
		T(test_crtc_protect), T(test_attributes),
		T(test_dac),	      T(test_retrace),
		T(test_window_maps),  T(test_planes),
		T(test_write_mode_0), T(test_write_modes),
		T(test_read_mode_1),  T(test_odd_even_and_chain4),
		T(test_dispi),	      T(test_dispi_limits),
		T(test_mmio),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
