// SPDX-License-Identifier: MIT
// The display adapter, as a picture: sections of the manual named in vmm/display/vga_impl.h, and what Bochs' VBE does.
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "tests/unit/vga_fixture.h"

static struct vga_shot *shot(struct fvga *f, unsigned int width, unsigned int height)
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

/* Number n of fvga_colors() */
static uint32_t rgb(unsigned int n)
{
	unsigned int blue = 63 - n;

	return (n << 2 | n >> 4) << 16 | (blue << 2 | blue >> 4);
}

static void timing(struct fvga *f, uint8_t columns, unsigned int lines, uint8_t cell, uint8_t pitch)
{
	lines--;
	fvga_set(f, 0x3d4, 0x01, (uint8_t)(columns - 1));
	fvga_set(f, 0x3d4, 0x07, (uint8_t)((lines >> 8 & 1) << 1 | (lines >> 9 & 1) << 6 | 0x10));
	fvga_set(f, 0x3d4, 0x09, (uint8_t)(cell | 0x40)); /* with CR07 and CR18: no split */
	fvga_set(f, 0x3d4, 0x12, (uint8_t)lines);
	fvga_set(f, 0x3d4, 0x13, pitch);
	fvga_set(f, 0x3d4, 0x17, 0xe3);
	fvga_set(f, 0x3d4, 0x18, 0xff);
}

static void test_no_mode(void **state)
{
	struct fvga *f = *state;
	struct vga_shot *s = shot(f, 640, 400);

	expect_pixel(s, 639, 399, 0);
	assert_null(vga_shot_text(s));
	vga_shot_free(s);
}

static void text_mode(struct fvga *f)
{
	fvga_planar(f);
	fvga_colors(f);
	timing(f, 80, 400, 15, 40);
	fvga_set(f, 0x3ce, 6, 0x0e);
	fvga_set(f, 0x3d4, 0x0a, 0x20);
	fvga_set(f, 0x3c4, 4, 2);
	fvga_attr(f, 0x30, 0x04);
}

static void test_text(void **state)
{
	struct fvga *f = *state;
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
	fvga_set(f, 0x3c4, 1, 1); /* 8 dots */
	s = shot(f, 640, 400);
	vga_shot_free(s);
	fvga_set(f, 0x3c4, 1, 0x21); /* screen off */
	s = shot(f, 640, 400);
	expect_pixel(s, 0, 16 + 3, 0);
	assert_null(vga_shot_text(s));
	vga_shot_free(s);
}

/* CR0A, CR0B, CR0E, CR0F; CR0C and CR0D say where the page begins */
static void test_cursor_and_page(void **state)
{
	struct fvga *f = *state;
	struct vga_shot *s;

	text_mode(f);
	memcpy(f->vga->vram + 4 * (0x800 + 81), "x\x02", 2);
	fvga_set(f, 0x3d4, 0x0c, 0x08);
	fvga_set(f, 0x3d4, 0x0a, 13);
	fvga_set(f, 0x3d4, 0x0b, 14);
	fvga_set(f, 0x3d4, 0x0e, 0x08);
	fvga_set(f, 0x3d4, 0x0f, 81);
	s = shot(f, 720, 400);
	expect_pixel(s, 9, 16 + 12, rgb(0));
	expect_pixel(s, 9, 16 + 13, rgb(2));
	expect_pixel(s, 17, 16 + 14, rgb(2));
	expect_pixel(s, 18, 16 + 14, rgb(0));
	expect_pixel(s, 9, 16 + 15, rgb(0));
	vga_shot_free(s);
	fvga_set(f, 0x3d4, 0x0a, 0x20 | 13);
	s = shot(f, 720, 400);
	expect_pixel(s, 9, 16 + 13, rgb(0));
	vga_shot_free(s);
}

/* SR03: another font for characters with bit 3 of the attribute */
static void test_two_fonts(void **state)
{
	struct fvga *f = *state;
	struct vga_shot *s;

	text_mode(f);
	fvga_set(f, 0x3c4, 3, 0x04); /* A is map 1, at 16 KiB; B map 0 */
	memcpy(f->vga->vram, "A\x0f\0\0A\x07", 6);
	f->vga->vram[4 * 0x4000 + 4 * 32 * 'A' + 2] = 0x80;
	s = shot(f, 720, 400);
	expect_pixel(s, 0, 0, rgb(15));
	expect_pixel(s, 9, 0, rgb(0));
	vga_shot_free(s);
}

static void test_mode_12h(void **state)
{
	struct fvga *f = *state;
	struct vga_shot *s;

	fvga_planar(f);
	fvga_colors(f);
	timing(f, 80, 480, 0, 40);
	fvga_set(f, 0x3ce, 5, 2);
	fvga_set(f, 0x3ce, 8, 0x01);
	fvga_poke(f, WINDOW + 80 * 479 + 79, 11); /* the last pixel */
	s = shot(f, 640, 480);
	expect_pixel(s, 639, 479, rgb(11));
	expect_pixel(s, 638, 479, rgb(0));
	vga_shot_free(s);
	fvga_attr(f, 0x32, 0x03); /* AR12: these planes only */
	s = shot(f, 640, 480);
	expect_pixel(s, 639, 479, rgb(3));
	vga_shot_free(s);
	fvga_set(f, 0x3d4, 0x18, 9); /* line compare: the tenth line on is from the beginning */
	fvga_set(f, 0x3d4, 0x07, 0x02);
	fvga_set(f, 0x3d4, 0x09, 0);
	f->vga->vram[0] = 0x80;
	s = shot(f, 640, 480);
	expect_pixel(s, 0, 9, rgb(0));
	expect_pixel(s, 0, 10, rgb(1));
	vga_shot_free(s);
}

static void test_mode_13h(void **state)
{
	struct fvga *f = *state;
	struct vga_shot *s;

	fvga_planar(f);
	fvga_colors(f);
	timing(f, 80, 400, 1, 40);
	fvga_set(f, 0x3c4, 4, 0x0e);
	fvga_set(f, 0x3ce, 5, 0x40);
	fvga_poke(f, WINDOW + 320 * 199 + 319, 9);
	fvga_poke(f, WINDOW + 320 * 199 + 318, 0x83);
	fvga_out(f, 0x3c6, 0x7f);
	s = shot(f, 320, 200);
	expect_pixel(s, 319, 199, rgb(9));
	expect_pixel(s, 318, 199, rgb(3)); /* by the mask */
	vga_shot_free(s);
}

/* Mode 4: four colours, the odd lines 8 KiB behind the even ones */
static void test_cga(void **state)
{
	struct fvga *f = *state;
	struct vga_shot *s;

	fvga_planar(f);
	fvga_colors(f);
	timing(f, 40, 400, 0x81, 20);
	fvga_set(f, 0x3d4, 0x17, 0xa2);
	fvga_set(f, 0x3c4, 2, 3);
	fvga_set(f, 0x3c4, 2, 3);
	fvga_set(f, 0x3c4, 4, 2);
	fvga_set(f, 0x3ce, 5, 0x30);
	fvga_set(f, 0x3ce, 6, 0x0f);
	fvga_poke(f, 0xb8000 + 80 + 1, 0x03);	   /* line 2, pixel 7 */
	fvga_poke(f, 0xb8000 + 0x2000 + 80, 0x40); /* line 3, pixel 0 */
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
	struct fvga *f = *state;
	struct vga_shot *s;

	fvga_out(f, 0x3c2, 0x67);
	fvga_colors(f);
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned int bytes = (rows[i].depth + 7u) / 8;

		fvga_dispi(f, VGA_DISPI_ENABLE, 0);
		fvga_dispi(f, VGA_DISPI_WIDTH, 2560);
		fvga_dispi(f, VGA_DISPI_HEIGHT, 1600);
		fvga_dispi(f, VGA_DISPI_DEPTH, rows[i].depth);
		fvga_dispi(f, VGA_DISPI_ENABLE, VGA_DISPI_ENABLED | VGA_DISPI_LFB);
		memcpy(f->vga->vram + (2560u * 1600 - 1) * bytes, rows[i].bytes, bytes);
		s = shot(f, 2560, 1600);
		expect_pixel(s, 2559, 1599, rows[i].depth == 8 ? rgb(5) : rows[i].rgb);
		expect_pixel(s, 2558, 1599, rows[i].depth == 8 ? rgb(0) : 0);
		assert_null(vga_shot_text(s));
		vga_shot_free(s);
	}
	fvga_in(f, 0x3da);
	fvga_out(f, 0x3c0, 0); /* off */
	s = shot(f, 2560, 1600);
	expect_pixel(s, 2559, 1599, 0);
	vga_shot_free(s);
}

static void test_vbe_planes_and_panning(void **state)
{
	struct fvga *f = *state;
	struct vga_shot *s;

	fvga_planar(f);
	fvga_colors(f);
	fvga_dispi(f, VGA_DISPI_WIDTH, 800);
	fvga_dispi(f, VGA_DISPI_HEIGHT, 600);
	fvga_dispi(f, VGA_DISPI_DEPTH, 4);
	fvga_dispi(f, VGA_DISPI_ENABLE, VGA_DISPI_ENABLED);
	fvga_set(f, 0x3ce, 5, 2);
	fvga_set(f, 0x3ce, 8, 0x01);
	fvga_poke(f, WINDOW + 100 * 599 + 99, 6);
	s = shot(f, 800, 600);
	expect_pixel(s, 799, 599, rgb(6));
	vga_shot_free(s);
	fvga_dispi(f, VGA_DISPI_ENABLE, 0);
	fvga_dispi(f, VGA_DISPI_DEPTH, 32);
	fvga_dispi(f, VGA_DISPI_ENABLE, VGA_DISPI_ENABLED);
	fvga_dispi(f, VGA_DISPI_VIRT_WIDTH, 1000);
	fvga_dispi(f, VGA_DISPI_X, 3);
	fvga_dispi(f, VGA_DISPI_Y, 100);
	f->vga->vram[(100 * 1000 + 3) * 4] = 0x42;
	s = shot(f, 800, 600);
	expect_pixel(s, 0, 0, 0x42);
	vga_shot_free(s);
}

static void test_dac_of_8_bits(void **state)
{
	struct fvga *f = *state;
	struct vga_shot *s;

	fvga_colors(f);
	fvga_dispi(f, VGA_DISPI_DEPTH, 8);
	fvga_dispi(f, VGA_DISPI_ENABLE, VGA_DISPI_ENABLED | VGA_DISPI_DAC8);
	fvga_out(f, 0x3c8, 0);
	fvga_out(f, 0x3c9, 0xfe);
	fvga_out(f, 0x3c9, 0x80);
	fvga_out(f, 0x3c9, 0x01);
	s = shot(f, 8, 1);
	expect_pixel(s, 0, 0, 0xfe8001);
	vga_shot_free(s);
}

/* Whatever a guest writes, a picture is within the limits and can be drawn; the sanitizers watch. */
static void test_any_registers(void **state)
{
	struct fvga *f = *state;
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
			fvga_poke(f, addr, (uint8_t)n);
			fvga_peek(f, addr);
		}
	}
	free(rows);
}

static void test_reset(void **state)
{
	struct fvga *f = *state;
	struct vga_shot *s;

	text_mode(f);
	f->vga->vram[12345] = 1;
	fvga_dispi(f, VGA_DISPI_ENABLE, VGA_DISPI_ENABLED);
	fvga_cfg_write(f, PCI_ROM_ADDRESS, 0xd8000001);
	f->dev->class->reset(f->dev);
	assert_int_equal(f->vga->vram[12345], 0);
	assert_int_equal(fvga_dispi_get(f, VGA_DISPI_ENABLE), 0);
	assert_int_equal(fvga_in(f, 0x3cc), 0);
	assert_null(fake_slot_at(&f->fb, 0xd8000000));
	s = shot(f, 640, 400);
	vga_shot_free(s);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fvga_setup, fvga_teardown)
	const struct CMUnitTest tests[] = {
		T(test_no_mode),       T(test_text),	      T(test_cursor_and_page),
		T(test_two_fonts),     T(test_mode_12h),      T(test_mode_13h),
		T(test_cga),	       T(test_vbe_depths),    T(test_vbe_planes_and_panning),
		T(test_dac_of_8_bits), T(test_any_registers), T(test_reset),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
