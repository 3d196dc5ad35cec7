// SPDX-License-Identifier: MIT
/* The DMA controllers: Intel 8237A data sheet (231466), and the PC's page registers. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/unit/fake_board.h"
#include "vmm/dev/i8237.h"

#define MEM (4 * MIB)
#define CHANNEL 2
#define ADDR 4 /* ports of channel 2 */
#define COUNT 5
#define STATUS 8
#define MASK 0xa
#define MODE 0xb
#define FLIP_FLOP 0xc
#define CLEAR 0xd
#define PAGE 0x81

struct dma {
	struct fake_board fb;
	struct i8237 d;
	unsigned int ready;
};

static void ready(void *arg)
{
	struct dma *t = arg;

	t->ready++;
}

static int setup(void **state)
{
	struct dma *t = calloc(1, sizeof(*t));
	struct err e;

	assert_non_null(t);
	fake_board_init(&t->fb, MEM);
	assert_true(i8237_init(&t->d, &t->fb.board, &e) >= 0);
	i8237_reset(&t->d);
	i8237_connect(&t->d, CHANNEL, ready, t);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct dma *t = *state;

	i8237_fini(&t->d);
	assert_int_equal(t->fb.pio.nregions, 0);
	fake_board_fini(&t->fb);
	free(t);
	return 0;
}

/* As a driver does: address, page, and count without the last one */
static void program(struct dma *t, uint8_t mode, uint32_t addr, unsigned int count)
{
	fake_out8(&t->fb, MASK, 4 | CHANNEL);
	fake_out8(&t->fb, FLIP_FLOP, 0);
	fake_out8(&t->fb, MODE, mode | CHANNEL);
	fake_out8(&t->fb, ADDR, (uint8_t)addr);
	fake_out8(&t->fb, ADDR, (uint8_t)(addr >> 8));
	fake_out8(&t->fb, PAGE, (uint8_t)(addr >> 16));
	fake_out8(&t->fb, COUNT, (uint8_t)(count - 1));
	fake_out8(&t->fb, COUNT, (uint8_t)((count - 1) >> 8));
	fake_out8(&t->fb, MASK, CHANNEL);
}

static unsigned int half(struct dma *t, unsigned int port)
{
	unsigned int low = fake_in8(&t->fb, (uint16_t)port);

	return low | fake_in8(&t->fb, (uint16_t)port) << 8;
}

/* Mode register: 01 is a write transfer, from the device to memory */
static void test_to_memory(void **state)
{
	struct dma *t = *state;
	bool tc;

	program(t, 0x44, 0x12345, 6);
	assert_true(i8237_request(&t->d, CHANNEL));
	assert_int_equal(fake_in8(&t->fb, STATUS), 0x40); /* bits 7:4: requests */
	assert_int_equal(i8237_to_memory(&t->d, CHANNEL, "abcd", 4, &tc), 4);
	assert_false(tc);
	assert_int_equal(half(t, ADDR), 0x2349);
	assert_int_equal(half(t, COUNT), 1);
	assert_int_equal(i8237_to_memory(&t->d, CHANNEL, "efgh", 4, &tc), 2);
	assert_true(tc);
	i8237_drop(&t->d, CHANNEL);
	assert_memory_equal(t->fb.mem + 0x12345, "abcdef\0", 7);
	assert_int_equal(half(t, COUNT), 0xffff);
	assert_int_equal(fake_in8(&t->fb, STATUS), 0x04); /* TC; a read clears it */
	assert_int_equal(fake_in8(&t->fb, STATUS), 0);
	/* without autoinitialization the channel is masked then */
	assert_int_equal(i8237_to_memory(&t->d, CHANNEL, "x", 1, &tc), 0);
	assert_false(tc);
	assert_int_equal(fake_in8(&t->fb, 0xf), 0xff);
}

static void test_from_memory(void **state)
{
	struct dma *t = *state;
	char data[8] = "";
	bool tc;

	memcpy(t->fb.mem + 0x20000, "hello", 5);
	program(t, 0x48, 0x20000, 5);
	assert_int_equal(i8237_from_memory(&t->d, CHANNEL, data, 8, &tc), 5);
	assert_true(tc);
	assert_string_equal(data, "hello");
}

/* "Autoinitialize": address and count are what was written, and nothing is masked */
static void test_auto(void **state)
{
	struct dma *t = *state;
	bool tc;

	program(t, 0x54, 0x3000, 2);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(i8237_to_memory(&t->d, CHANNEL, "ab", 2, &tc), 2);
		assert_true(tc);
		assert_int_equal(half(t, ADDR), 0x3000);
		assert_int_equal(half(t, COUNT), 1);
	}
	assert_memory_equal(t->fb.mem + 0x3000, "ab\0", 3);
}

/* Bit 5 of Mode: the address is decremented */
static void test_down(void **state)
{
	struct dma *t = *state;
	bool tc;

	program(t, 0x64, 0x3002, 3);
	assert_int_equal(i8237_to_memory(&t->d, CHANNEL, "abc", 3, &tc), 3);
	assert_memory_equal(t->fb.mem + 0x2fff, "\0cba\0", 5);
}

/* The page is not part of the counter: behind FFFFh comes the page's beginning */
static void test_page_wraps(void **state)
{
	struct dma *t = *state;
	bool tc;

	program(t, 0x44, 0x1fffe, 4);
	assert_int_equal(i8237_to_memory(&t->d, CHANNEL, "abcd", 4, &tc), 4);
	assert_memory_equal(t->fb.mem + 0x1fffe, "ab\0\0", 4);
	assert_memory_equal(t->fb.mem + 0x10000, "cd", 2);
}

/* "Verify": addresses and counts go on, memory is left alone; so when it is to go the other way */
static void test_verify(void **state)
{
	struct dma *t = *state;
	char data[2] = "ab";
	bool tc;

	program(t, 0x40, 0x3000, 2);
	assert_int_equal(i8237_to_memory(&t->d, CHANNEL, "ab", 2, &tc), 2);
	assert_true(tc);
	assert_int_equal(t->fb.mem[0x3000], 0);
	program(t, 0x48, 0x3000, 2);
	assert_int_equal(i8237_to_memory(&t->d, CHANNEL, "ab", 2, &tc), 2);
	assert_int_equal(t->fb.mem[0x3000], 0);
	program(t, 0x44, 0x3000, 2);
	assert_int_equal(i8237_from_memory(&t->d, CHANNEL, data, 2, &tc), 2);
	assert_memory_equal(data, "\xff\xff", 2);
}

/* Behind the memory: FFh, and nothing is written anywhere */
static void test_no_memory(void **state)
{
	struct dma *t = *state;
	char data[2] = "ab";
	bool tc = false;

	program(t, 0x44, 0xff0000, 0x10000);
	for (int i = 0; i < 0x8000; i++)
		assert_int_equal(i8237_to_memory(&t->d, CHANNEL, "ab", 2, &tc), 2);
	assert_true(tc);
	program(t, 0x48, 0xff0000, 2);
	assert_int_equal(i8237_from_memory(&t->d, CHANNEL, data, 2, &tc), 2);
	assert_memory_equal(data, "\xff\xff", 2);
}

/* A request waits for its mask, or for the controller (bit 2 of Command) */
static void test_request_waits(void **state)
{
	struct dma *t = *state;

	program(t, 0x44, 0x3000, 2);
	fake_out8(&t->fb, MASK, 4 | CHANNEL);
	assert_false(i8237_request(&t->d, CHANNEL));
	assert_int_equal(t->ready, 0);
	fake_out8(&t->fb, 8, 4);
	fake_out8(&t->fb, MASK, CHANNEL);
	assert_int_equal(t->ready, 0);
	fake_out8(&t->fb, 8, 0);
	assert_int_equal(t->ready, 1);
	i8237_drop(&t->d, CHANNEL);
	fake_out8(&t->fb, 0xe, 0);
	assert_int_equal(t->ready, 1);
	/* what only cascades another chip moves nothing */
	fake_out8(&t->fb, MODE, 0xc0 | CHANNEL);
	assert_false(i8237_request(&t->d, CHANNEL));
}

/* "Master Clear": as a hardware reset */
static void test_master_clear(void **state)
{
	struct dma *t = *state;

	program(t, 0x44, 0x3000, 2);
	fake_out8(&t->fb, 8, 4);
	fake_out8(&t->fb, ADDR, 1); /* the flip-flop is at the upper byte */
	fake_out8(&t->fb, CLEAR, 0);
	assert_int_equal(fake_in8(&t->fb, 0xf), 0xff);
	assert_int_equal(half(t, ADDR), 0x3001);
	assert_false(i8237_request(&t->d, CHANNEL));
	fake_out8(&t->fb, 0xf, 0xb); /* all masks at once */
	assert_int_equal(fake_in8(&t->fb, 0xf), 0xfb);
	assert_int_equal(t->ready, 1);
}

/* Ports of the second chip are two apart; pages are bytes that stay */
static void test_second(void **state)
{
	struct dma *t = *state;

	fake_out8(&t->fb, 0xd8, 0); /* its flip-flop */
	fake_out8(&t->fb, 0xc4, 0x34);
	fake_out8(&t->fb, 0xc4, 0x12);
	assert_int_equal(fake_in8(&t->fb, 0xc5), 0x34);
	assert_int_equal(fake_in8(&t->fb, 0xc4), 0x12);
	assert_int_equal(t->d.chips[1].channels[1].addr, 0x1234);
	fake_out8(&t->fb, 0x80, 0x55);
	fake_out8(&t->fb, 0x8b, 0xaa);
	assert_int_equal(fake_in8(&t->fb, 0x80), 0x55);
	assert_int_equal(fake_in8(&t->fb, 0x8b), 0xaa);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_to_memory),    T(test_from_memory), T(test_auto),      T(test_down),
		T(test_page_wraps),   T(test_verify),	   T(test_no_memory), T(test_request_waits),
		T(test_master_clear), T(test_second),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
