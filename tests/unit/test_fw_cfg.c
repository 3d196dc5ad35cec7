// SPDX-License-Identifier: MIT
// fw_cfg as firmware uses it, by ports and by DMA, and as a guest that means no good does.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "tests/unit/fake_board.h"
#include "vmm/dev/dev.h"
#include "vmm/dev/fw_cfg.h"

#define MEM_SIZE (8 * MIB)
#define DMA 0x1000 /* where the requests are */
#define BUFFER 0x2000

/* QEMU's docs/specs/fw_cfg, "DMA Interface" */
#define ERROR 1u
#define READ 2u
#define SKIP 4u
#define SELECT 8u
#define WRITE 16u

struct fixture {
	struct fake_board fb;
	struct device *d;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fake_board_init(&f->fb, MEM_SIZE);
	f->d = fake_board_add(&f->fb, &fw_cfg_class, "fw-cfg", NULL);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fake_board_remove(&f->fb, f->d);
	assert_int_equal(f->fb.pio.nregions, 0);
	fake_board_fini(&f->fb);
	free(f);
	return 0;
}

/* n bytes of an item by the data register */
static void by_port(struct fixture *f, uint16_t key, void *out, unsigned int n)
{
	fake_out(&f->fb, 0x510, 2, key);
	for (unsigned int i = 0; i < n; i++)
		((uint8_t *)out)[i] = fake_in8(&f->fb, 0x511);
}

/* The control word afterwards, as it stands in memory */
static uint32_t dma(struct fixture *f, uint32_t control, uint32_t length, uint64_t address)
{
	uint32_t request[4] = { htobe32(control), htobe32(length),
				htobe32((uint32_t)(address >> 32)), htobe32((uint32_t)address) };

	memcpy(f->fb.mem + DMA, request, sizeof(request));
	fake_out(&f->fb, 0x518, 4, htobe32(DMA));
	memcpy(request, f->fb.mem + DMA, sizeof(request));
	return be32toh(request[0]);
}

static void test_found(void **state)
{
	struct fixture *f = *state;
	char sig[5] = "", id[4];

	by_port(f, FW_CFG_SIGNATURE, sig, 4);
	assert_string_equal(sig, "QEMU");
	by_port(f, FW_CFG_ID, id, 4);
	assert_memory_equal(id, "\3\0\0\0", 4);
	assert_int_equal(fake_in(&f->fb, 0x514, 4), 0x554d4551); /* "QEMU CFG" */
	assert_int_equal(fake_in(&f->fb, 0x518, 4), 0x47464320);
	assert_int_equal(fake_in8(&f->fb, 0x515), 'E');
	assert_int_equal(fake_in(&f->fb, 0x510, 2), 0);
}

static void test_directory(void **state)
{
	struct fixture *f = *state;
	uint8_t dir[4 + 3 * 64];
	char text[8] = "";

	assert_int_equal(fw_cfg_add_file(f->d, "etc/one", "first", 5, NULL), 0);
	assert_int_equal(fw_cfg_add_file(f->d, "bootorder", "", 0, NULL), 0);
	by_port(f, FW_CFG_FILE_DIR, dir, sizeof(dir));
	assert_memory_equal(dir, "\0\0\0\2", 4);
	assert_memory_equal(dir + 4, "\0\0\0\5\0\x20\0\0etc/one", 16);
	assert_memory_equal(dir + 4 + 64, "\0\0\0\0\0\x21\0\0bootorder", 18);
	for (unsigned int i = 4 + 2 * 64; i < sizeof(dir); i++)
		assert_int_equal(dir[i], 0); /* the directory ends there */
	by_port(f, 0x20, text, 7);
	assert_memory_equal(text, "first\0\0", 7);
}

/* Selecting begins anew; what is behind the end, and what is not there, is 0. */
static void test_port(void **state)
{
	struct fixture *f = *state;
	uint8_t b[4];

	assert_int_equal(fw_cfg_add(f->d, FW_CFG_NB_CPUS, "\4\0", 2, NULL), 0);
	by_port(f, FW_CFG_NB_CPUS, b, 4);
	assert_memory_equal(b, "\4\0\0\0", 4);
	by_port(f, FW_CFG_NB_CPUS, b, 1);
	assert_int_equal(b[0], 4);
	by_port(f, 0x1234, b, 4);
	assert_memory_equal(b, "\0\0\0\0", 4);
	/* neither a byte to the selector nor a write to the data does anything */
	fake_out(&f->fb, 0x510, 2, FW_CFG_SIGNATURE);
	fake_out8(&f->fb, 0x510, FW_CFG_NB_CPUS);
	fake_out8(&f->fb, 0x511, 0xff);
	assert_int_equal(fake_in8(&f->fb, 0x511), 'Q');
	f->d->class->reset(f->d);
	assert_int_equal(fake_in8(&f->fb, 0x511), 'Q');
}

static void test_dma(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fw_cfg_add_file(f->d, "a", "0123456789", 10, NULL), 0);
	memset(f->fb.mem + BUFFER, 0xcc, 64);
	assert_int_equal(dma(f, 0x20 << 16 | SELECT | READ, 4, BUFFER), 0);
	assert_memory_equal(f->fb.mem + BUFFER, "0123\xcc", 5);
	assert_int_equal(dma(f, SKIP, 2, 0), 0);
	assert_int_equal(dma(f, READ, 8, BUFFER), 0); /* over the end */
	assert_memory_equal(f->fb.mem + BUFFER, "6789\0\0\0\0\xcc", 9);
	assert_int_equal(dma(f, 0x20 << 16 | SELECT, 0, 0), 0);
	assert_int_equal(dma(f, SKIP, UINT32_MAX, 0), 0);
	assert_int_equal(dma(f, SKIP, UINT32_MAX, 0), 0);
	assert_int_equal(dma(f, READ, 1, BUFFER), 0);
	assert_int_equal(f->fb.mem[BUFFER], 0);
	assert_int_equal(dma(f, 0x7fff << 16 | SELECT | SKIP, 5, 0), 0); /* no such item */
	/* the upper half of the address counts once */
	fake_out(&f->fb, 0x514, 4, htobe32(1));
	memset(f->fb.mem + DMA, 0xff, 16);
	fake_out(&f->fb, 0x518, 4, htobe32(DMA)); /* 4 GiB further on: not RAM */
	assert_int_equal(f->fb.mem[DMA], 0xff);
	assert_int_equal(dma(f, 0x20 << 16 | SELECT | READ, 1, BUFFER), 0);
	assert_int_equal(f->fb.mem[BUFFER], '0');
}

static void test_dma_refused(void **state)
{
	struct fixture *f = *state;
	uint8_t before[16];

	assert_int_equal(fw_cfg_add_file(f->d, "a", "0123", 4, NULL), 0);
	assert_int_equal(dma(f, 0x20 << 16 | SELECT | WRITE, 4, BUFFER), ERROR);
	assert_int_equal(dma(f, READ, 4, MEM_SIZE - 3), ERROR);
	assert_int_equal(dma(f, READ, 4, UINT64_MAX), ERROR);
	assert_int_equal(dma(f, READ, 4, UINT64_MAX - 3), ERROR);
	assert_int_equal(dma(f, READ, 5 * MIB, BUFFER), ERROR); /* RAM, but too much at once */
	assert_int_equal(dma(f, READ, UINT32_MAX, BUFFER), ERROR);
	assert_int_equal(dma(f, READ, 4, MEM_SIZE - 4), 0);
	assert_memory_equal(f->fb.mem + MEM_SIZE - 4, "0123", 4); /* nothing was read before */
	/* a request that lies partly outside is none */
	memset(f->fb.mem + MEM_SIZE - 8, 0xaa, 8);
	memcpy(before, f->fb.mem + MEM_SIZE - 16, 16);
	fake_out(&f->fb, 0x518, 4, htobe32(MEM_SIZE - 8));
	assert_memory_equal(before, f->fb.mem + MEM_SIZE - 16, 16);
	/* halves of other widths are nothing */
	fake_out(&f->fb, 0x518, 2, 0);
	fake_out8(&f->fb, 0x51b, 0);
}

/* A request over its own answer: the answer wins. */
static void test_dma_over_itself(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fw_cfg_add_file(f->d, "a", "\xff\xff\xff\xff", 4, NULL), 0);
	assert_int_equal(dma(f, 0x20 << 16 | SELECT | READ, 4, DMA), 0);
}

static void test_full(void **state)
{
	struct fixture *f = *state;
	struct err e = { 0 };
	char name[16];
	int ret = 0, n = 0;

	for (; n < 100 && ret == 0; n++) {
		snprintf(name, sizeof(name), "f%d", n);
		ret = fw_cfg_add_file(f->d, name, "x", 1, &e);
	}
	assert_int_equal(ret, -ENOSPC);
	assert_string_equal(e.msg, "more than 32 items for the firmware");
	assert_int_equal(n, 32 - 3 + 1);
	assert_int_equal(dma(f, (0x20 + 28) << 16 | SELECT | READ, 1, BUFFER), 0);
	assert_int_equal(f->fb.mem[BUFFER], 'x');
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_found),	     T(test_directory),	      T(test_port), T(test_dma),
		T(test_dma_refused), T(test_dma_over_itself), T(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
