// SPDX-License-Identifier: MIT
// Configuration space by both mechanisms, BARs that a guest moves about, the reset control register.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/guest_virtio.h"
#include "vmm/devices.h"
#include "vmm/pci/hotplug.h"
#include "vmm/pci/pci.h"
#include "vmm/x86/map.h"

#define MEM_SIZE (2 * MIB)
#define BAR0 PCI_BASE_ADDRESS_0
#define BAR2 PCI_BASE_ADDRESS_2

struct pci_fixture {
	struct fake_board fb;
	struct device *host;
	struct pci_dev a, b; /* at 00:03.0 and 00:04.0 */
	unsigned int moves;
	uint32_t last_write;
};

static uint64_t bar_read(void *dev, uint64_t off, unsigned int size)
{
	(void)size;
	return (uintptr_t)dev + off;
}

static void bar_write(void *dev, uint64_t off, unsigned int size, uint64_t val)
{
	(void)dev;
	(void)off;
	(void)size;
	(void)val;
}

static const struct region_ops bar_ops = {
	.read = bar_read,
	.write = bar_write,
	.min_size = 4,
	.max_size = 4,
};

static void bar_moved(struct pci_dev *p, unsigned int bar, uint64_t old_base, bool old_mapped)
{
	struct pci_fixture *f = container_of(p, struct pci_fixture, a);

	(void)old_base;
	assert_in_range(bar, 0, 4);
	assert_true(old_mapped || p->bars[bar].mapped);
	f->moves++;
}

static const struct pci_dev_ops a_ops = { .bar_moved = bar_moved };

/* What reads of the BARs give at offset 0: which BAR answered. */
#define TAG_A0 ((void *)0x100)
#define TAG_A2 ((void *)0x200)
#define TAG_A4 ((void *)0x300)
#define TAG_B0 ((void *)0x400)

static int setup(void **state)
{
	static const struct pci_ids ids = { 0x1234, 0x5678, 0x9abc, 0xdef0, 0xff0000, 1 };
	struct pci_fixture *f = calloc(1, sizeof(*f));
	struct err e = { 0 };

	fake_board_init(&f->fb, MEM_SIZE);
	f->fb.log.fd = -1; /* what is logged is the guest's fault, and meant */
	f->host = fake_board_add(&f->fb, &pci_host_class, "pci", NULL);
	pci_dev_init(&f->a, "a", &ids, &a_ops);
	pci_add_bar(&f->a, 0, 8192, false, &bar_ops, TAG_A0);
	pci_add_bar(&f->a, 2, MIB, true, &bar_ops, TAG_A2);
	pci_add_bar(&f->a, 4, 32, false, &bar_ops, TAG_A4);
	f->a.bars[4].io = true;
	assert_int_equal(pci_plug(f->fb.board.pci, &f->a, "00:03.0", &e), 0);
	pci_dev_init(&f->b, "b", &ids, NULL);
	pci_add_bar(&f->b, 0, 4096, false, &bar_ops, TAG_B0);
	assert_int_equal(pci_plug(f->fb.board.pci, &f->b, "00:04.0", &e), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct pci_fixture *f = *state;

	pci_dev_fini(&f->b);
	pci_dev_fini(&f->a);
	fake_board_remove(&f->fb, f->host);
	assert_int_equal(f->fb.pio.nregions, 0);
	assert_int_equal(f->fb.mmio.nregions, 0);
	fake_board_fini(&f->fb);
	free(f);
	return 0;
}

static uint32_t rd(struct pci_fixture *f, unsigned int slot, unsigned int off, unsigned int size)
{
	return guest_pci_read(&f->fb, slot, off, size);
}

static void wr(struct pci_fixture *f, unsigned int slot, unsigned int off, unsigned int size,
	       uint32_t val)
{
	guest_pci_write(&f->fb, slot, off, size, val);
}

/* Who answers a read there: a TAG, or UINT32_MAX for nobody. */
static uint32_t at(struct pci_fixture *f, uint64_t addr)
{
	return (uint32_t)fake_mmio_read(&f->fb, addr, 4);
}

#define expect_at(f, addr, tag) assert_int_equal(at(f, addr), (uintptr_t)(tag))
#define NOBODY UINT32_MAX

static void test_host_bridge(void **state)
{
	struct pci_fixture *f = *state;

	assert_int_equal(rd(f, 0, PCI_VENDOR_ID, 4), 0x00081b36);
	assert_int_equal(rd(f, 0, PCI_CLASS_REVISION, 4) >> 8, 0x060000);
	assert_int_equal(rd(f, 0, PCI_HEADER_TYPE, 1), 0);
}

static void test_mechanism_1(void **state)
{
	struct pci_fixture *f = *state;

	assert_int_equal(rd(f, 3, PCI_VENDOR_ID, 4), 0x56781234);
	assert_int_equal(rd(f, 3, PCI_DEVICE_ID, 2), 0x5678);
	assert_int_equal(rd(f, 3, PCI_DEVICE_ID + 1, 1), 0x56);
	assert_int_equal(rd(f, 3, PCI_SUBSYSTEM_VENDOR_ID, 4), 0xdef09abc);
	assert_int_equal(rd(f, 5, PCI_VENDOR_ID, 4), UINT32_MAX);
	/* Linux's test for the mechanism */
	fake_out8(&f->fb, 0xcfb, 1);
	fake_out(&f->fb, 0xcf8, 4, 0x80000000);
	assert_int_equal(fake_in(&f->fb, 0xcf8, 4), 0x80000000);
	/* reserved bits and the enable bit; other functions and buses */
	fake_out(&f->fb, 0xcf8, 4, UINT32_MAX);
	assert_int_equal(fake_in(&f->fb, 0xcf8, 4), 0x80fffffc);
	fake_out(&f->fb, 0xcf8, 4, 3 << 11);
	assert_int_equal(fake_in(&f->fb, 0xcfc, 4), UINT32_MAX);
	fake_out(&f->fb, 0xcf8, 4, 0x80000000 | 3 << 11 | 1 << 8);
	assert_int_equal(fake_in(&f->fb, 0xcfc, 4), UINT32_MAX);
	fake_out(&f->fb, 0xcf8, 4, 0x80000000 | 1 << 16 | 3 << 11);
	assert_int_equal(fake_in(&f->fb, 0xcfc, 4), UINT32_MAX);
	/* over the end of the window: nothing is written */
	fake_out(&f->fb, 0xcf8, 4, 0x80000000 | 3 << 11 | PCI_COMMAND);
	fake_out(&f->fb, 0xcfe, 4, 0);
	assert_int_equal(rd(f, 3, PCI_COMMAND, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
}

static void test_ecam(void **state)
{
	struct pci_fixture *f = *state;
	uint64_t dev = GMEM_ECAM_START + (3 << 15);

	assert_int_equal(fake_mmio_read(&f->fb, dev, 4), 0x56781234);
	assert_int_equal(fake_mmio_read(&f->fb, dev + 2, 2), 0x5678);
	assert_int_equal(fake_mmio_read(&f->fb, dev, 8),
			 0x56781234ull | (uint64_t)rd(f, 3, PCI_COMMAND, 4) << 32);
	assert_int_equal(fake_mmio_read(&f->fb, dev + 0x100, 4), 0); /* no extended capability */
	assert_int_equal(fake_mmio_read(&f->fb, dev + (1 << 12), 4), UINT32_MAX);
	assert_int_equal(fake_mmio_read(&f->fb, dev + (1 << 20), 4), UINT32_MAX);
	assert_int_equal(fake_mmio_read(&f->fb, GMEM_ECAM_START + GMEM_ECAM_SIZE - 4, 4),
			 UINT32_MAX);
	fake_mmio_write(&f->fb, dev + PCI_INTERRUPT_LINE, 1, 0x5a);
	assert_int_equal(rd(f, 3, PCI_INTERRUPT_LINE, 1), 0x5a);
	assert_int_equal(rd(f, 3, PCI_INTERRUPT_PIN, 1), 0);
	/* over the function's end: into function 1, which is not there */
	assert_int_equal(fake_mmio_read(&f->fb, dev + 0xffe, 4), 0xffff0000);
	fake_mmio_write(&f->fb, dev + 0xffe, 4, 0);
}

static void test_read_only(void **state)
{
	struct pci_fixture *f = *state;

	for (unsigned int off = 0; off < 256; off += 4)
		if (off != PCI_COMMAND && (off < BAR0 || off >= PCI_CARDBUS_CIS))
			wr(f, 3, off, 4, UINT32_MAX);
	assert_int_equal(rd(f, 3, PCI_VENDOR_ID, 4), 0x56781234);
	assert_int_equal(rd(f, 3, PCI_CLASS_REVISION, 4), 0xff000001);
	assert_int_equal(rd(f, 3, PCI_CAPABILITY_LIST, 1), 0);
	assert_int_equal(rd(f, 3, PCI_ROM_ADDRESS, 4), 0);
	wr(f, 3, PCI_COMMAND, 4, UINT32_MAX);
	assert_int_equal(rd(f, 3, PCI_COMMAND, 4), 0x0547);
}

static void test_placed(void **state)
{
	struct pci_fixture *f = *state;
	uint64_t a0 = guest_pci_bar(&f->fb, 3, 0), a2 = guest_pci_bar(&f->fb, 3, 2);
	uint64_t b0 = guest_pci_bar(&f->fb, 4, 0);

	assert_int_equal(a0, GMEM_PCI_MMIO_START);
	assert_int_equal(a2, GMEM_PCI_MMIO_START + MIB);
	assert_int_equal(b0, GMEM_PCI_MMIO_START + 8192);
	assert_int_equal(rd(f, 3, PCI_BASE_ADDRESS_4, 4), PCI_IO_START | 1);
	expect_at(f, a0, TAG_A0);
	expect_at(f, a2, TAG_A2);
	expect_at(f, b0, TAG_B0);
	assert_int_equal(fake_in(&f->fb, PCI_IO_START, 4), (uintptr_t)TAG_A4);
	assert_int_equal(f->moves, 3);
}

static void test_sizing(void **state)
{
	struct pci_fixture *f = *state;
	uint32_t old0 = rd(f, 3, BAR0, 4);

	/* decoding stays on, as some drivers have it */
	wr(f, 3, BAR0, 4, UINT32_MAX);
	assert_int_equal(rd(f, 3, BAR0, 4), 0xffffe000);
	wr(f, 3, BAR0, 4, old0);
	expect_at(f, old0, TAG_A0);
	wr(f, 3, BAR2, 4, UINT32_MAX);
	assert_int_equal(rd(f, 3, BAR2, 4), 0xfff00004);
	wr(f, 3, BAR2 + 4, 4, UINT32_MAX);
	assert_int_equal(rd(f, 3, BAR2 + 4, 4), UINT32_MAX);
	wr(f, 3, PCI_BASE_ADDRESS_4, 4, UINT32_MAX);
	assert_int_equal(rd(f, 3, PCI_BASE_ADDRESS_4, 4), 0xffffffe1);
	/* BARs that are not there */
	wr(f, 3, PCI_BASE_ADDRESS_1, 4, UINT32_MAX);
	assert_int_equal(rd(f, 3, PCI_BASE_ADDRESS_1, 4), 0);
	wr(f, 3, PCI_BASE_ADDRESS_5, 4, UINT32_MAX);
	assert_int_equal(rd(f, 3, PCI_BASE_ADDRESS_5, 4), 0);
}

static void test_decode(void **state)
{
	struct pci_fixture *f = *state;
	uint64_t a0 = guest_pci_bar(&f->fb, 3, 0);

	wr(f, 3, PCI_COMMAND, 2, PCI_COMMAND_IO);
	expect_at(f, a0, NOBODY);
	assert_int_equal(fake_in(&f->fb, PCI_IO_START, 4), (uintptr_t)TAG_A4);
	wr(f, 3, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	expect_at(f, a0, TAG_A0);
	assert_int_equal(fake_in(&f->fb, PCI_IO_START, 4), UINT32_MAX);
}

static void test_move_64(void **state)
{
	struct pci_fixture *f = *state;
	uint64_t old = guest_pci_bar(&f->fb, 3, 2), high = 0x1234ull << 32 | 0x500000;

	f->moves = 0;
	wr(f, 3, BAR2, 4, (uint32_t)high);
	wr(f, 3, BAR2 + 4, 4, high >> 32);
	expect_at(f, old, NOBODY);
	expect_at(f, high, TAG_A2);
	assert_int_equal(guest_pci_bar(&f->fb, 3, 2), high);
	assert_true(f->moves >= 1);
	/* the same value again moves nothing */
	f->moves = 0;
	wr(f, 3, BAR2, 4, (uint32_t)high);
	assert_int_equal(f->moves, 0);
}

static void test_over_ram(void **state)
{
	struct pci_fixture *f = *state;

	wr(f, 3, BAR0, 4, MEM_SIZE - 8192);
	assert_false(f->a.bars[0].mapped);
	wr(f, 3, BAR0, 4, 0);
	assert_false(f->a.bars[0].mapped);
	wr(f, 3, BAR0, 4, MEM_SIZE);
	expect_at(f, MEM_SIZE, TAG_A0);
	/* a BAR that would hold all of RAM */
	wr(f, 3, BAR2, 4, MIB);
	assert_false(f->a.bars[2].mapped);
	wr(f, 3, BAR2 + 4, 4, 1);
	assert_true(f->a.bars[2].mapped);
}

static void test_overlap(void **state)
{
	struct pci_fixture *f = *state;
	uint64_t a0 = guest_pci_bar(&f->fb, 3, 0), b0 = guest_pci_bar(&f->fb, 4, 0);

	wr(f, 4, BAR0, 4, (uint32_t)a0);
	expect_at(f, a0, TAG_A0);
	expect_at(f, b0, NOBODY);
	/* moved again: found */
	wr(f, 4, BAR0, 4, (uint32_t)b0);
	expect_at(f, b0, TAG_B0);
	/* or the other one goes: by moving, by its decoding, by being unplugged */
	wr(f, 4, BAR0, 4, (uint32_t)a0);
	wr(f, 3, BAR0, 4, 0xd0000000);
	expect_at(f, a0, TAG_B0);
	expect_at(f, 0xd0000000, TAG_A0);
	wr(f, 3, BAR0, 4, (uint32_t)a0);
	expect_at(f, a0, TAG_B0);
	wr(f, 4, PCI_COMMAND, 2, 0);
	expect_at(f, a0, TAG_A0);
	/* over the bridge's own registers */
	wr(f, 3, BAR0, 4, (uint32_t)GMEM_ECAM_START);
	expect_at(f, GMEM_ECAM_START, 0x00081b36);
	/* its own other BAR */
	wr(f, 3, BAR0, 4, (uint32_t)guest_pci_bar(&f->fb, 3, 2));
	assert_false(f->a.bars[0].mapped);
	assert_true(f->a.bars[2].mapped);
}

/* Nothing that a guest writes may end in an assertion or leave regions behind (teardown looks). */
static void test_noise(void **state)
{
	struct pci_fixture *f = *state;
	unsigned int seed = 7;

	for (unsigned int i = 0; i < 200000; i++) {
		unsigned int size = 1u << (rand_r(&seed) % 3), off = (unsigned int)rand_r(&seed);
		uint32_t val = (uint32_t)rand_r(&seed) << 1;

		off = rand_r(&seed) % 2 ? PCI_COMMAND + off % 36 : off % 4096;
		if (rand_r(&seed) % 2)
			val &= 0xc00ff007;
		if (rand_r(&seed) % 2)
			fake_mmio_write(&f->fb, GMEM_ECAM_START + ((3ull + i % 2) << 15) + off,
					size, val);
		else
			wr(f, 3 + i % 2, off & 0xff, size, val);
	}
	pci_dev_reset(&f->a);
	pci_dev_reset(&f->b);
	test_placed((void *[]){ (f->moves = 3, f) });
}

static void test_reset(void **state)
{
	struct pci_fixture *f = *state;
	uint64_t a0 = guest_pci_bar(&f->fb, 3, 0), b0 = guest_pci_bar(&f->fb, 4, 0);

	/* each sits where the other belongs */
	wr(f, 4, PCI_COMMAND, 2, 0);
	wr(f, 3, BAR0, 4, 0xd0000000);
	wr(f, 4, BAR0, 4, (uint32_t)a0);
	wr(f, 4, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	wr(f, 3, PCI_INTERRUPT_LINE, 1, 5);
	pci_dev_reset(&f->a);
	pci_dev_reset(&f->b);
	assert_int_equal(guest_pci_bar(&f->fb, 3, 0), a0);
	assert_int_equal(rd(f, 3, PCI_INTERRUPT_LINE, 1), 0);
	expect_at(f, a0, TAG_A0);
	expect_at(f, b0, TAG_B0);
}

/* Prefetchable ones of 64 bits go above, others there only when they do not fit below. */
static void test_window_64(void **state)
{
	struct pci_fixture *f = *state;
	static const struct pci_ids ids = { 0x1234 };
	struct pci_dev c, d;
	struct err e = { 0 };

	f->fb.board.pci64 = (struct gmem_window){ .base = 256 * GIB, .size = 128 * GIB };
	pci_dev_init(&c, "c", &ids, NULL);
	pci_add_bar(&c, 0, MIB, true, &bar_ops, TAG_B0);
	c.bars[0].prefetch = true;
	pci_add_bar(&c, 2, 64 * GIB, true, &bar_ops, TAG_A2);
	c.bars[2].prefetch = true;
	pci_add_bar(&c, 4, GIB, true, &bar_ops, TAG_A4);
	assert_int_equal(pci_plug(f->fb.board.pci, &c, "00:05.0", &e), 0);
	assert_int_equal(guest_pci_bar(&f->fb, 5, 0), 256 * GIB);
	assert_int_equal(rd(f, 5, BAR0, 4) & 15, 0xc); /* 64 bits, prefetchable */
	assert_int_equal(guest_pci_bar(&f->fb, 5, 2), 320 * GIB);
	assert_int_equal(guest_pci_bar(&f->fb, 5, 4), 257 * GIB);
	expect_at(f, 256 * GIB, TAG_B0);
	expect_at(f, 320 * GIB, TAG_A2);
	/* 32 bits and prefetchable, and 64 bits and not: below */
	pci_dev_init(&d, "d", &ids, NULL);
	pci_add_bar(&d, 0, 4096, false, &bar_ops, TAG_A0);
	d.bars[0].prefetch = true;
	pci_add_bar(&d, 2, 4096, true, &bar_ops, TAG_A0);
	assert_int_equal(pci_plug(f->fb.board.pci, &d, "00:06.0", &e), 0);
	assert_true(d.bars[0].home < GMEM_HOLE_END);
	assert_true(guest_pci_bar(&f->fb, 6, 2) < GMEM_HOLE_END);
	pci_dev_fini(&d);
	/* full above, not below; full everywhere */
	pci_dev_init(&d, "d", &ids, NULL);
	pci_add_bar(&d, 0, 64 * GIB, true, &bar_ops, TAG_A0);
	d.bars[0].prefetch = true;
	assert_int_equal(pci_plug(f->fb.board.pci, &d, "00:06.0", &e), -ENOSPC);
	assert_string_equal(e.msg,
			    "no room for d BAR 0 (67108864 KiB) among the PCI devices' memory");
	pci_dev_fini(&d);
	pci_dev_fini(&c);
	/* a CPU that reaches nothing above */
	f->fb.board.pci64.size = 0;
	pci_dev_init(&c, "c", &ids, NULL);
	pci_add_bar(&c, 0, MIB, true, &bar_ops, TAG_B0);
	c.bars[0].prefetch = true;
	assert_int_equal(pci_plug(f->fb.board.pci, &c, "00:05.0", &e), 0);
	assert_true(guest_pci_bar(&f->fb, 5, 0) < GMEM_HOLE_END);
	pci_dev_fini(&c);
}

static void test_rom(void **state)
{
	struct pci_fixture *f = *state;
	static const struct pci_ids ids = { 0x1234 };
	struct pci_dev c;
	uint32_t rom;
	struct err e = { 0 };

	pci_dev_init(&c, "c", &ids, NULL);
	pci_add_rom(&c, 65536, &bar_ops, TAG_B0);
	assert_int_equal(pci_plug(f->fb.board.pci, &c, "00:05.0", &e), 0);
	rom = rd(f, 5, PCI_ROM_ADDRESS, 4);
	assert_true(rom && !(rom & 0xffff)); /* it has a place, and is off */
	wr(f, 5, PCI_ROM_ADDRESS, 4, 0xfffffffe);
	assert_int_equal(rd(f, 5, PCI_ROM_ADDRESS, 4), 0xffff0000);
	wr(f, 5, PCI_ROM_ADDRESS, 4, rom);
	wr(f, 5, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	expect_at(f, rom, NOBODY);
	wr(f, 5, PCI_ROM_ADDRESS, 4, rom | PCI_ROM_ADDRESS_ENABLE);
	expect_at(f, rom, TAG_B0);
	assert_int_equal(rd(f, 5, PCI_ROM_ADDRESS, 4), rom | 1);
	wr(f, 5, PCI_COMMAND, 2, 0);
	expect_at(f, rom, NOBODY);
	wr(f, 5, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	expect_at(f, rom, TAG_B0);
	pci_dev_reset(&c);
	assert_int_equal(rd(f, 5, PCI_ROM_ADDRESS, 4), rom);
	expect_at(f, rom, NOBODY);
	pci_dev_fini(&c);
}

/* --- hot-plug ---------------------------------------------------------------------------------------- */

#define CAME MAP_PCI_HOTPLUG
#define TO_GO (MAP_PCI_HOTPLUG + 4)
#define PRESENT (MAP_PCI_HOTPLUG + 8)
#define EJECT (MAP_PCI_HOTPLUG + 12)

/* Function c, once a guest runs. */
static struct pci_host *hot_plug(struct pci_fixture *f, struct pci_dev *c, const char *address)
{
	static const struct pci_ids ids = { 0x1234 };
	struct err e = { 0 };

	f->host->class->start(f->host);
	pci_dev_init(c, "c", &ids, NULL);
	pci_add_bar(c, 0, 4096, false, &bar_ops, TAG_B0);
	pci_add_bar(c, 2, MIB, true, &bar_ops, TAG_A2);
	assert_int_equal(pci_plug(f->fb.board.pci, c, address, &e), 0);
	return f->fb.board.pci;
}

/* What comes later has no addresses until the guest gives it some; after a reset it is like the others. */
static void test_hot_is_bare(void **state)
{
	struct pci_fixture *f = *state;
	struct pci_dev c;

	hot_plug(f, &c, "00:05.0");
	assert_int_equal(rd(f, 5, PCI_COMMAND, 2), 0);
	assert_int_equal(rd(f, 5, BAR0, 4), 0);
	assert_int_equal(rd(f, 5, BAR2, 4), PCI_BASE_ADDRESS_MEM_TYPE_64);
	assert_int_equal(rd(f, 5, BAR2 + 4, 4), 0);
	wr(f, 5, BAR0, 4, 0xd0000000);
	wr(f, 5, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	expect_at(f, 0xd0000000, TAG_B0);
	pci_dev_reset(&c); /* a function-level reset: bare again */
	assert_int_equal(rd(f, 5, BAR0, 4), 0);
	expect_at(f, 0xd0000000, NOBODY);
	f->host->class->reset(f->host);
	pci_dev_reset(&c);
	assert_int_equal(rd(f, 5, PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
	assert_true(c.bars[0].home && c.bars[0].home != guest_pci_bar(&f->fb, 4, 0));
	expect_at(f, c.bars[0].home, TAG_B0);
	pci_dev_fini(&c);
}

static void test_hot_registers(void **state)
{
	struct pci_fixture *f = *state;
	struct pci_dev c;
	struct pci_host *h = hot_plug(f, &c, "00:1f.0");
	uint32_t bit = BIT(31);

	assert_int_equal(pci_hotplug_find(h, "c"), 31);
	assert_int_equal(pci_hotplug_find(h, "a"), 3);
	assert_int_equal(pci_hotplug_find(h, "pci"), -1); /* the bridge does not go */
	assert_int_equal(fake_in(&f->fb, PRESENT, 4), bit | BIT(3) | BIT(4));
	assert_int_equal(fake_in(&f->fb, CAME, 4), 0);
	pci_hotplug_came(h, 31);
	fake_out(&f->fb, CAME, 4, ~bit);
	assert_int_equal(fake_in(&f->fb, CAME, 4), bit);
	fake_out(&f->fb, CAME, 4, bit);
	assert_int_equal(fake_in(&f->fb, CAME, 4), 0);
	/* not asked for: nothing goes */
	fake_out(&f->fb, EJECT, 4, UINT32_MAX);
	assert_int_equal(pci_hotplug_gone(h), 0);
	assert_int_equal(fake_in(&f->fb, TO_GO, 4), 0);
	pci_hotplug_ask(h, 31);
	assert_int_equal(fake_in(&f->fb, TO_GO, 4), bit);
	fake_out(&f->fb, TO_GO, 4, bit);
	assert_int_equal(fake_in(&f->fb, TO_GO, 4), 0);
	assert_int_equal(pci_hotplug_asked(h), bit);
	/* asked again: the guest hears it again */
	pci_hotplug_ask(h, 31);
	assert_int_equal(fake_in(&f->fb, TO_GO, 4), bit);
	assert_int_equal(f->fb.gone, 0);
	fake_out(&f->fb, EJECT, 4, UINT32_MAX);
	assert_int_equal(pci_hotplug_gone(h), bit);
	assert_int_equal(f->fb.gone, 1);
	fake_out(&f->fb, EJECT, 4, bit);
	assert_int_equal(f->fb.gone, 1);
	/* it answers to nothing any more, by neither mechanism */
	assert_int_equal(fake_in(&f->fb, PRESENT, 4), BIT(3) | BIT(4));
	assert_int_equal(rd(f, 31, 0, 4), UINT32_MAX);
	assert_int_equal(fake_mmio_read(&f->fb, GMEM_ECAM_START + (31 << 15), 4), UINT32_MAX);
	assert_int_equal(fake_in(&f->fb, EJECT, 4), 0);
	pci_dev_fini(&c);
	assert_int_equal(pci_hotplug_asked(h) | pci_hotplug_gone(h), 0);
	assert_int_equal(fake_in(&f->fb, TO_GO, 4), 0);
	/* the slot is as new */
	hot_plug(f, &c, "00:1f.0");
	assert_int_equal(rd(f, 31, 0, 2), 0x1234);
	pci_hotplug_came(h, 31);
	pci_hotplug_ask(h, 31);
	f->host->class->reset(f->host);
	assert_int_equal(fake_in(&f->fb, CAME, 4) | fake_in(&f->fb, TO_GO, 4), 0);
	assert_int_equal(pci_hotplug_asked(h), 0);
	pci_dev_fini(&c);
}

#define IRQ3 (MAP_GSI_PCI + 3)

/* Functions at slots 3 and 11, which share a line, and 4. */
static void test_intx(void **state)
{
	struct pci_fixture *f = *state;
	static const struct pci_ids ids = { 0x1234 };
	struct pci_dev c, d;
	struct err e = { 0 };

	assert_int_equal(pci_intx_gsi(&f->a), -1);
	pci_intx_set(&f->a, true); /* it has no pin */
	assert_int_equal(rd(f, 3, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, 0);
	pci_dev_init(&c, "c", &ids, NULL);
	pci_dev_init(&d, "d", &ids, NULL);
	pci_add_intx(&c, 1);
	pci_add_intx(&d, 4);
	assert_int_equal(pci_intx_gsi(&c), -1);
	assert_int_equal(pci_plug(f->fb.board.pci, &c, "00:0b.0", &e), 0);
	assert_int_equal(pci_plug(f->fb.board.pci, &d, "00:08.0", &e), 0);
	assert_int_equal(pci_intx_gsi(&c), IRQ3);
	assert_int_equal(pci_intx_gsi(&d), IRQ3);
	assert_int_equal(rd(f, 11, PCI_INTERRUPT_LINE, 2), 1 << 8 | IRQ3);
	assert_int_equal(rd(f, 8, PCI_INTERRUPT_LINE, 2), 4 << 8 | IRQ3);
	/* wired or */
	pci_intx_set(&c, true);
	assert_true(f->fb.irq[IRQ3]);
	assert_int_equal(rd(f, 11, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, PCI_STATUS_INTERRUPT);
	assert_int_equal(rd(f, 8, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, 0);
	pci_intx_set(&d, true);
	pci_intx_set(&c, false);
	assert_true(f->fb.irq[IRQ3]);
	assert_int_equal(f->fb.irq_raised[IRQ3], 1);
	/* the command register keeps the pin quiet, not the status bit */
	wr(f, 8, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	assert_false(f->fb.irq[IRQ3]);
	assert_int_equal(rd(f, 8, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, PCI_STATUS_INTERRUPT);
	wr(f, 8, PCI_COMMAND, 2, 0);
	assert_true(f->fb.irq[IRQ3]);
	wr(f, 8, PCI_STATUS, 2, 0xffff);
	assert_int_equal(rd(f, 8, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, PCI_STATUS_INTERRUPT);
	/* a reset and an unplug let go of the line */
	wr(f, 8, PCI_INTERRUPT_LINE, 1, 9);
	pci_dev_reset(&d);
	assert_false(f->fb.irq[IRQ3]);
	assert_int_equal(rd(f, 8, PCI_INTERRUPT_LINE, 1), IRQ3);
	pci_intx_set(&c, true);
	pci_dev_fini(&c);
	assert_false(f->fb.irq[IRQ3]);
	pci_dev_fini(&d);
}

static void test_plug_errors(void **state)
{
	struct pci_fixture *f = *state;
	static const struct pci_ids ids = { 0x1234 };
	static const char *const bad[] = { "",	      "3",	  "00:20.0", "01:03.0",
					   "00:03.8", "00:03.00", "0:03.0",  "00:03.0 ",
					   "00:3.0",  "-0:03.0",  " 0:03.0" };
	struct pci_dev p;
	struct err e = { 0 };

	pci_dev_init(&p, "c", &ids, NULL);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(pci_plug(f->fb.board.pci, &p, bad[i], &e), -EINVAL);
	assert_int_equal(pci_plug(f->fb.board.pci, &p, "00:03.0", &e), -EEXIST);
	assert_string_equal(e.msg, "PCI address 00:03.0 is taken by 'a'");
	assert_int_equal(pci_plug(f->fb.board.pci, &p, "00:00.0", &e), -EEXIST);
	pci_add_bar(&p, 0, GIB, false, &bar_ops, NULL);
	assert_int_equal(pci_plug(f->fb.board.pci, &p, "00:05.0", &e), -ENOSPC);
	assert_int_equal(pci_plug(NULL, &p, "00:05.0", &e), -EINVAL);
	pci_dev_fini(&p);
	assert_int_equal(rd(f, 5, PCI_VENDOR_ID, 4), UINT32_MAX);
}

/* PCI 3.0, section 6.2.1: whoever looks at function 0 learns that there are others. */
static void test_functions(void **state)
{
	static const struct pci_ids ids = { 0x1234, 0x9999, 0, 0, 0xff0000, 0 };
	struct pci_fixture *f = *state;
	struct pci_dev c = { 0 }, twin = { 0 };
	struct err e = { 0 };

	assert_int_equal(rd(f, 4, PCI_HEADER_TYPE, 1), 0);
	pci_dev_init(&c, "c", &ids, NULL);
	pci_add_bar(&c, 0, 4096, false, &bar_ops, TAG_A0);
	pci_add_intx(&c, 1);
	assert_int_equal(pci_plug(f->fb.board.pci, &c, "00:04.2", &e), 0);
	assert_int_equal(rd(f, 4, PCI_HEADER_TYPE, 1), 0x80);
	fake_out(&f->fb, 0xcf8, 4, 0x80000000 | 4 << 11 | 2 << 8);
	assert_int_equal(fake_in(&f->fb, 0xcfc, 4), 0x99991234);
	assert_int_equal(fake_mmio_read(&f->fb, GMEM_ECAM_START + (4 << 15) + (2 << 12), 4),
			 0x99991234);
	fake_out(&f->fb, 0xcf8, 4, 0x80000000 | 4 << 11 | 1 << 8);
	assert_int_equal(fake_in(&f->fb, 0xcfc, 4), UINT32_MAX);
	assert_int_not_equal(c.bars[0].home, f->b.bars[0].home);
	pci_dev_reset(&f->b);
	assert_int_equal(rd(f, 4, PCI_HEADER_TYPE, 1), 0x80);
	/* two that share a pin: it is active as long as one of them pulls, however often it says so */
	pci_dev_init(&twin, "twin", &ids, NULL);
	pci_add_intx(&twin, 1);
	assert_int_equal(pci_plug(f->fb.board.pci, &twin, "00:04.7", &e), 0);
	assert_int_equal(pci_intx_gsi(&twin), pci_intx_gsi(&c));
	pci_intx_set(&c, true);
	pci_intx_set(&twin, true);
	pci_intx_set(&twin, true);
	pci_intx_set(&twin, false);
	assert_true(f->fb.irq[pci_intx_gsi(&c)]);
	pci_intx_set(&c, false);
	assert_false(f->fb.irq[pci_intx_gsi(&c)]);
	pci_dev_fini(&twin);
	assert_int_equal(rd(f, 4, PCI_HEADER_TYPE, 1), 0x80);
	pci_dev_fini(&c);
	assert_int_equal(rd(f, 4, PCI_HEADER_TYPE, 1), 0);
}

static void test_unplug(void **state)
{
	struct pci_fixture *f = *state;
	uint64_t a0 = guest_pci_bar(&f->fb, 3, 0);
	struct err e = { 0 };

	pci_dev_fini(&f->a);
	expect_at(f, a0, NOBODY);
	assert_int_equal(rd(f, 3, PCI_VENDOR_ID, 4), UINT32_MAX);
	assert_int_equal(pci_plug(f->fb.board.pci, &f->a, "00:06.0", &e), 0);
	expect_at(f, a0, TAG_A0);
	assert_int_equal(rd(f, 6, PCI_VENDOR_ID, 2), 0x1234);
}

static void test_reset_control(void **state)
{
	struct pci_fixture *f = *state;

	fake_out8(&f->fb, 0xcf9, 2);
	assert_int_equal(fake_in8(&f->fb, 0xcf9), 2);
	assert_int_equal(f->fb.nevents, 0);
	/* a wider access is configuration's, not ours */
	fake_out(&f->fb, 0xcf8, 4, 0x80000600);
	assert_int_equal(f->fb.nevents, 0);
	fake_out8(&f->fb, 0xcf9, 6); /* ACPI's RESET_VALUE */
	assert_int_equal(f->fb.nevents, 1);
	assert_int_equal(f->fb.events[0].event, BOARD_RESET);
	assert_int_equal(fake_in8(&f->fb, 0xcf9), 2);
	assert_int_equal(fake_in(&f->fb, 0xcf8, 4), 0x80000600);
	f->host->class->reset(f->host);
	assert_int_equal(fake_in8(&f->fb, 0xcf9), 0);
	assert_int_equal(fake_in(&f->fb, 0xcf8, 4), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_host_bridge),   T(test_mechanism_1), T(test_ecam),   T(test_read_only),
		T(test_placed),	       T(test_sizing),	    T(test_decode), T(test_move_64),
		T(test_over_ram),      T(test_overlap),	    T(test_noise),  T(test_reset),
		T(test_plug_errors),   T(test_functions),   T(test_unplug), T(test_reset_control),
		T(test_intx),	       T(test_window_64),   T(test_rom),    T(test_hot_is_bare),
		T(test_hot_registers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
