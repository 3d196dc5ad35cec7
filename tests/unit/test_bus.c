// SPDX-License-Identifier: MIT
/* Buses: overlap, and what a device sees of odd accesses. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "vmm/bus.h"

/* 16 bytes of registers, and a log of what came: "w4@8 r1@0 " */
struct chip {
	uint8_t regs[16];
	char log[256];
};

static void chip_note(struct chip *c, char what, unsigned int size, uint64_t off)
{
	size_t n = strlen(c->log);

	snprintf(c->log + n, sizeof(c->log) - n, "%c%u@%u ", what, size, (unsigned int)off);
}

static uint64_t chip_read(void *dev, uint64_t off, unsigned int size)
{
	struct chip *c = dev;
	uint64_t v = 0;

	assert_true(range_fits(off, size, sizeof(c->regs)));
	chip_note(c, 'r', size, off);
	memcpy(&v, c->regs + off, size);
	return v;
}

static void chip_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	struct chip *c = dev;

	assert_true(range_fits(off, size, sizeof(c->regs)));
	chip_note(c, 'w', size, off);
	memcpy(c->regs + off, &val, size);
}

static const struct region_ops chip_bytes = { chip_read, chip_write, 1, 1 };
static const struct region_ops chip_words = { chip_read, chip_write, 4, 4 };
static const struct region_ops chip_any = { chip_read, chip_write, 1, 8 };

static void chip_expect(struct chip *c, const char *log)
{
	assert_string_equal(c->log, log);
	c->log[0] = '\0';
}

static void chip_init(struct chip *c)
{
	c->log[0] = '\0';
	for (unsigned int i = 0; i < sizeof(c->regs); i++)
		c->regs[i] = (uint8_t)(0x10 + i);
}

static void overlap_names_both(void **state)
{
	struct region a = { .name = "com1", .base = 0x3f8, .size = 8 };
	struct region b = { .name = "odd", .base = 0x3ff, .size = 2 };
	struct region c = { .name = "low", .base = 0x3f0, .size = 9 };
	struct region next = { .name = "next", .base = 0x400, .size = 8 };
	struct region empty = { .name = "none", .base = 1 };
	struct region wraps = { .name = "wraps", .base = UINT64_MAX, .size = 2 };
	struct bus bus;
	struct err e;

	(void)state;
	bus_init(&bus, "pio");
	assert_int_equal(bus_add(&bus, &a, &e), 0);
	assert_int_equal(bus_add(&bus, &b, &e), -EEXIST);
	assert_string_equal(e.msg, "pio: 'odd' at 0x3ff-0x400 overlaps 'com1' at 0x3f8-0x3ff");
	assert_int_equal(bus_add(&bus, &c, &e), -EEXIST);
	assert_int_equal(bus_add(&bus, &a, &e), -EEXIST);
	assert_int_equal(bus_add(&bus, &next, &e), 0);
	assert_int_equal(bus_add(&bus, &empty, &e), -EINVAL);
	assert_int_equal(bus_add(&bus, &wraps, &e), -EINVAL);
	assert_ptr_equal(bus_find(&bus, 0x3ff), &a);
	assert_ptr_equal(bus_find(&bus, 0x400), &next);
	assert_null(bus_find(&bus, 0x408));
	bus_del(&bus, &a);
	bus_del(&bus, &a);
	assert_null(bus_find(&bus, 0x3f8));
	assert_int_equal(bus_add(&bus, &b, &e), -EEXIST);
	assert_int_equal(bus_add(&bus, &c, &e), 0);
}

static void a_full_bus_says_so(void **state)
{
	static struct region r[BUS_REGIONS_MAX + 1];
	struct bus bus;
	struct err e;

	(void)state;
	bus_init(&bus, "mmio");
	for (unsigned int i = 0; i <= BUS_REGIONS_MAX; i++) {
		r[i] = (struct region){ .name = "r", .base = 4096 - i, .size = 1 };
		assert_int_equal(bus_add(&bus, &r[i], &e), i < BUS_REGIONS_MAX ? 0 : -ENOSPC);
	}
	assert_ptr_equal(bus_find(&bus, 4096), &r[0]);
}

static void wide_accesses_are_split(void **state)
{
	struct chip chip;
	struct region r = {
		.name = "c", .base = 0x100, .size = 16, .ops = &chip_bytes, .dev = &chip
	};
	struct bus bus;

	(void)state;
	chip_init(&chip);
	bus_init(&bus, "pio");
	assert_int_equal(bus_add(&bus, &r, NULL), 0);
	assert_int_equal(bus_read(&bus, 0x101, 4), 0x14131211);
	chip_expect(&chip, "r1@1 r1@2 r1@3 r1@4 ");
	bus_write(&bus, 0x102, 2, 0xbeef);
	chip_expect(&chip, "w1@2 w1@3 ");
	assert_int_equal(chip.regs[2], 0xef);
	assert_int_equal(chip.regs[3], 0xbe);
}

static void odd_accesses_are_aligned(void **state)
{
	struct chip chip;
	struct region r = {
		.name = "c", .base = 0x100, .size = 16, .ops = &chip_any, .dev = &chip
	};
	struct bus bus;

	(void)state;
	chip_init(&chip);
	bus_init(&bus, "pio");
	assert_int_equal(bus_add(&bus, &r, NULL), 0);
	assert_true(bus_read(&bus, 0x108, 8) == 0x1f1e1d1c1b1a1918ull);
	chip_expect(&chip, "r8@8 ");
	assert_int_equal(bus_read(&bus, 0x101, 4), 0x14131211);
	chip_expect(&chip, "r1@1 r2@2 r1@4 ");
	bus_write(&bus, 0x100, 8, 0x8877665544332211ull);
	chip_expect(&chip, "w8@0 ");
	/* over the end: cut, and all ones behind it */
	assert_int_equal(bus_read(&bus, 0x10e, 4), 0xffff1f1e);
	chip_expect(&chip, "r2@14 ");
	bus_write(&bus, 0x10f, 4, 0x55);
	chip_expect(&chip, "w1@15 ");
}

static void narrow_accesses_are_widened(void **state)
{
	struct chip chip;
	struct region r = {
		.name = "c", .base = 0x100, .size = 16, .ops = &chip_words, .dev = &chip
	};
	struct bus bus;

	(void)state;
	chip_init(&chip);
	bus_init(&bus, "mmio");
	assert_int_equal(bus_add(&bus, &r, NULL), 0);
	assert_int_equal(bus_read(&bus, 0x102, 1), 0x12);
	chip_expect(&chip, "r4@0 ");
	assert_int_equal(bus_read(&bus, 0x102, 4), 0x15141312);
	chip_expect(&chip, "r4@0 r4@4 ");
	assert_true(bus_read(&bus, 0x100, 8) == 0x1716151413121110ull);
	chip_expect(&chip, "r4@0 r4@4 ");
	bus_write(&bus, 0x100, 2, 0xffff);
	chip_expect(&chip, "");
	assert_int_equal(bus.dropped, 1);
}

static void unmapped_is_all_ones(void **state)
{
	struct bus bus;

	(void)state;
	bus_init(&bus, "pio");
	assert_int_equal(bus_read(&bus, 0x80, 1), 0xff);
	assert_int_equal(bus_read(&bus, 0x80, 2), 0xffff);
	assert_true(bus_read(&bus, 0x80, 8) == UINT64_MAX);
	bus_write(&bus, 0x80, 1, 0);
	assert_int_equal(bus.unmapped, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(overlap_names_both),
		cmocka_unit_test(a_full_bus_says_so),
		cmocka_unit_test(wide_accesses_are_split),
		cmocka_unit_test(odd_accesses_are_aligned),
		cmocka_unit_test(narrow_accesses_are_widened),
		cmocka_unit_test(unmapped_is_all_ones),
	};

	return cmocka_run_group_tests_name("bus", tests, NULL, NULL);
}
