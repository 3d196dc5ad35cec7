// SPDX-License-Identifier: MIT
/* What vmm-display makes of a monitor's frames (display/screen.h), and of viewers' keys (display/keymap.h). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <linux/input-event-codes.h>
#include <stdlib.h>
#include <string.h>

#include "display/keymap.h"
#include "display/screen.h"
#include "display/slice.h"

#define WIDTH 1024
#define HEIGHT 768

struct fixture {
	uint8_t *memory;
	struct screen s;
	struct link_frame frame;
	unsigned int nresized, nchanged;
	unsigned int x, y, to_x, to_y; /* of the last change */
};

static void resized(void *arg, unsigned int width, unsigned int height)
{
	struct fixture *f = arg;

	assert_int_equal(width, f->s.width);
	assert_int_equal(height, f->s.height);
	f->nresized++;
}

static void changed(void *arg, unsigned int x, unsigned int y, unsigned int to_x, unsigned int to_y)
{
	struct fixture *f = arg;

	assert_true(x < to_x && to_x <= f->s.width);
	assert_true(y < to_y && to_y <= f->s.height);
	f->x = x;
	f->y = y;
	f->to_x = to_x;
	f->to_y = to_y;
	f->nchanged++;
}

static const struct screen_ops ops = { .resized = resized, .changed = changed };

static void draw(struct fixture *f)
{
	f->nresized = f->nchanged = 0;
	assert_int_equal(screen_draw(&f->s, &f->frame, &ops, f), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->memory = calloc(1, VGA_VRAM_SIZE);
	assert_int_equal(screen_init(&f->s, f->memory), 0);
	f->frame.regs.attr_index = VGA_ATTR_ON;
	f->frame.regs.dispi[VGA_DISPI_WIDTH] = WIDTH;
	f->frame.regs.dispi[VGA_DISPI_HEIGHT] = HEIGHT;
	f->frame.regs.dispi[VGA_DISPI_DEPTH] = 32;
	f->frame.regs.dispi[VGA_DISPI_ENABLE] = VGA_DISPI_ENABLED;
	memset(f->frame.dirty, 0xff, sizeof(f->frame.dirty));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	screen_fini(&f->s);
	free(f->memory);
	free(f);
	return 0;
}

static uint8_t *at(struct fixture *f, unsigned int x, unsigned int y)
{
	return f->memory + 4 * ((size_t)y * WIDTH + x);
}

static void expect_pixel(struct fixture *f, unsigned int x, unsigned int y, uint32_t rgb)
{
	const uint8_t *p = f->s.pixels + SCREEN_PIXEL * ((size_t)y * f->s.width + x);

	assert_int_equal((uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2], rgb);
}

/* --- pictures --------------------------------------------------------------------------------------------------- */

static void test_rows(void **state)
{
	struct fixture *f = *state;

	draw(f);
	assert_int_equal(f->nresized, 1);
	assert_int_equal(f->s.width, WIDTH);
	assert_int_equal(f->nchanged, 0); /* black, as it began */
	memcpy(at(f, 100, 7), "\x33\x22\x11", 3);
	memcpy(at(f, 90, 8), "\x66\x55\x44", 3);
	memcpy(at(f, 1, 200), "\x99\x88\x77", 3);
	/* a row of 4096 bytes is a page here: the one of row 200 is not said to be written */
	memset(f->frame.dirty, 0, sizeof(f->frame.dirty));
	f->frame.dirty[0] = BIT64(7) | BIT64(8);
	draw(f);
	assert_int_equal(f->nresized, 0);
	assert_int_equal(f->nchanged, 1);
	assert_int_equal(f->x, 90);
	assert_int_equal(f->to_x, 101);
	assert_int_equal(f->y, 7);
	assert_int_equal(f->to_y, 9);
	expect_pixel(f, 100, 7, 0x112233);
	expect_pixel(f, 90, 8, 0x445566);
	expect_pixel(f, 1, 200, 0);
	/* nothing new: nothing is told, whatever was written */
	f->frame.dirty[3] = ~0ull << 8 & ~BIT64(200 % 64);
	draw(f);
	assert_int_equal(f->nchanged, 0);
	f->frame.dirty[3] = BIT64(200 % 64);
	draw(f);
	assert_int_equal(f->nchanged, 1);
	expect_pixel(f, 1, 200, 0x778899);
}

/* Other registers: all of it is drawn, whatever is dirty. */
static void test_registers(void **state)
{
	struct fixture *f = *state;

	memcpy(at(f, 5, 300), "\x01\x02\x03", 3);
	draw(f);
	assert_int_equal(f->nchanged, 1);
	memset(f->frame.dirty, 0, sizeof(f->frame.dirty));
	f->frame.regs.dispi[VGA_DISPI_Y] = 100;
	draw(f);
	expect_pixel(f, 5, 200, 0x030201);
	expect_pixel(f, 5, 300, 0);
	assert_int_equal(f->nchanged, 2);
	f->frame.regs.attr_index = 0; /* the screen is off */
	draw(f);
	expect_pixel(f, 5, 200, 0);
	f->frame.regs.dispi[VGA_DISPI_WIDTH] = 64;
	f->frame.regs.dispi[VGA_DISPI_HEIGHT] = 48;
	draw(f);
	assert_int_equal(f->nresized, 1);
	assert_int_equal(f->s.width, 64);
	assert_int_equal(f->s.height, 48);
}

/* A monitor may send anything. */
static void test_any_registers(void **state)
{
	struct fixture *f = *state;
	unsigned int seed = 1;

	for (size_t i = 0; i < VGA_VRAM_SIZE; i++)
		f->memory[i] = (uint8_t)(i * 7);
	for (unsigned int i = 0; i < 150; i++) {
		uint8_t *bytes = (uint8_t *)&f->frame.regs;

		for (size_t n = 0; n < offsetof(struct vga_regs, attr_data); n++)
			bytes[n] = (uint8_t)rand_r(&seed);
		for (size_t n = 0; n < VGA_DISPI_N; n++)
			f->frame.regs.dispi[n] = (uint16_t)rand_r(&seed);
		/* half of them in the VGA's own modes, and small enough to be quick */
		f->frame.regs.dispi[VGA_DISPI_ENABLE] &= i % 2 ? 0xffff : 0xfffe;
		if (i % 10)
			f->frame.regs.dispi[VGA_DISPI_HEIGHT] %= 64;
		draw(f);
		assert_in_range(f->s.width, 1, VGA_WIDTH_MAX);
		assert_in_range(f->s.height, 1, VGA_HEIGHT_MAX);
	}
}

/* Rows for an update: what is flat is a fraction of its pixels, what is not is never more than they are. */
static void test_slices(void **state)
{
	struct fixture *f = *state;
	const size_t row = (size_t)WIDTH * SCREEN_PIXEL;
	unsigned int seed = 1;

	draw(f);
	assert_int_equal(slice_rows(&f->s, 0, true, 65536, 1 << 20), (1 << 20) / row);
	assert_int_equal(slice_rows(&f->s, HEIGHT - 10, true, 65536, 1 << 20), 10);
	assert_int_equal(slice_rows(&f->s, HEIGHT, true, 65536, 1 << 20), 1);
	assert_int_equal(slice_rows(&f->s, 0, false, 65536, 1 << 20), 65536 / row);
	assert_int_equal(slice_rows(&f->s, 0, false, 1, 1 << 20), 1);
	for (size_t i = 20 * row; i < 60 * row; i++)
		f->s.pixels[i] = (uint8_t)rand_r(&seed);
	assert_int_equal(slice_rows(&f->s, 20, true, 65536, 1 << 20), 65536 / row);
	/* 20 flat rows are nearly for nothing */
	assert_int_equal(slice_rows(&f->s, 0, true, 65536, 1 << 20), 20 + 65536 / row - 1);
	assert_int_equal(slice_rows(&f->s, 20, true, 1, 1), 1);
}

/* --- keys ------------------------------------------------------------------------------------------------------- */

static void test_keysyms(void **state)
{
	(void)state;
	assert_int_equal(keymap_keysym('a'), KEY_A);
	assert_int_equal(keymap_keysym('A'), KEY_A); /* Shift is a key of its own */
	assert_int_equal(keymap_keysym('!'), KEY_1);
	assert_int_equal(keymap_keysym(' '), KEY_SPACE);
	assert_int_equal(keymap_keysym('~'), KEY_GRAVE);
	assert_int_equal(keymap_keysym(0xff0d), KEY_ENTER);
	assert_int_equal(keymap_keysym(0xffff), KEY_DELETE);
	assert_int_equal(keymap_keysym(0xffc9), KEY_F12);
	assert_int_equal(keymap_keysym(0xffe3), KEY_LEFTCTRL);
	assert_int_equal(keymap_keysym(0xe4), KEY_RESERVED); /* adiaeresis */
	assert_int_equal(keymap_keysym(0x0100ffff), KEY_RESERVED);
	assert_int_equal(keymap_keysym(0x161),
			 KEY_RESERVED); /* not an 'a' with something above it */
	assert_int_equal(keymap_keysym(0), KEY_RESERVED);
}

static void test_scancodes(void **state)
{
	struct keymap m;

	(void)state;
	keymap_init(&m);
	assert_int_equal(keymap_scancode(&m, 0x1e), KEY_A);
	assert_int_equal(keymap_scancode(&m, 0x56), KEY_102ND);
	assert_int_equal(keymap_scancode(&m, 0x58), KEY_F12);
	assert_int_equal(keymap_scancode(&m, 0x1c), KEY_ENTER);
	assert_int_equal(keymap_scancode(&m, 0x9c), KEY_KPENTER);
	assert_int_equal(keymap_scancode(&m, 0x9d), KEY_RIGHTCTRL);
	assert_int_equal(keymap_scancode(&m, 0xc8), KEY_UP);
	assert_int_equal(keymap_scancode(&m, 0x48), KEY_KP8);
	assert_int_equal(keymap_scancode(&m, 0x45), KEY_NUMLOCK);
	assert_int_equal(keymap_scancode(&m, 0xc6), KEY_PAUSE);
	assert_int_equal(keymap_scancode(&m, 0xb7), KEY_SYSRQ);
	assert_int_equal(keymap_scancode(&m, 0), KEY_RESERVED);
	assert_int_equal(keymap_scancode(&m, 0xff), KEY_RESERVED);
	assert_int_equal(keymap_scancode(&m, 0x100), KEY_RESERVED);
	assert_int_equal(keymap_scancode(&m, UINT32_MAX), KEY_RESERVED);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_rows),
		T(test_registers),
		T(test_any_registers),
		T(test_slices),
		cmocka_unit_test(test_keysyms),
		cmocka_unit_test(test_scancodes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
