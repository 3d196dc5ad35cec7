// SPDX-License-Identifier: MIT
// The I/O APIC against the Intel 82093AA data sheet (May 1996).
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "tests/unit/fake_board.h"
#include "vmm/dev/dev.h"
#include "vmm/dev/ioapic.h"
#include "vmm/x86/map.h"

#define BASE 0xfec00000ull
#define MASKED (1u << 16)
#define LEVEL (1u << 15)
#define REMOTE_IRR (1u << 14)

struct fixture {
	struct fake_board fb;
	struct device *d;
	struct ioapic *io;
};

static uint32_t get(struct fixture *f, uint8_t index)
{
	fake_mmio_write(&f->fb, BASE, 4, index);
	return (uint32_t)fake_mmio_read(&f->fb, BASE + 0x10, 4);
}

static void put(struct fixture *f, uint8_t index, uint32_t val)
{
	fake_mmio_write(&f->fb, BASE, 4, index);
	fake_mmio_write(&f->fb, BASE + 0x10, 4, val);
}

static void put_rte(struct fixture *f, unsigned int pin, uint32_t low, uint8_t dest)
{
	put(f, (uint8_t)(0x11 + 2 * pin), (uint32_t)dest << 24);
	put(f, (uint8_t)(0x10 + 2 * pin), low);
}

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	fake_board_init(&f.fb, 4096);
	f.d = fake_board_add(&f.fb, &ioapic_class, "ioapic", NULL);
	f.io = f.fb.board.ioapic;
	assert_non_null(f.io);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fake_board_remove(&f->fb, f->d);
	assert_null(f->fb.board.ioapic);
	fake_board_fini(&f->fb);
	return 0;
}

/* 3.2.1 to 3.2.4: identification and defaults */
static void registers(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, 0), 0);
	put(f, 0, 0xffffffff);
	assert_int_equal(get(f, 0), 0x0f000000);
	assert_int_equal(get(f, 2), 0x0f000000);
	assert_int_equal(get(f, 1), 0x00170020);
	put(f, 1, 0);
	assert_int_equal(get(f, 1), 0x00170020);
	assert_int_equal(fake_mmio_read(&f->fb, BASE, 4), 1);
	for (uint8_t i = 0x10; i < 0x40; i++)
		assert_int_equal(get(f, i), i & 1 ? 0 : MASKED);
	put(f, 0x3e, 0xffffffff);
	put(f, 0x3f, 0xffffffff);
	assert_int_equal(get(f, 0x3e),
			 0x0001afff); /* delivery status and remote IRR are read-only */
	assert_int_equal(get(f, 0x3f), 0xff000000);
	for (unsigned int i = 0x40; i < 0x100; i++) { /* beyond the table */
		put(f, (uint8_t)i, 0xffffffff);
		assert_int_equal(get(f, (uint8_t)i), 0);
	}
	fake_mmio_write(&f->fb, BASE + 0x10, 1, 0); /* 3.1: 32-bit accesses only */
	assert_int_equal(fake_mmio_read(&f->fb, BASE + 0x800, 4), 0);
}

static void edge(void **state)
{
	struct fixture *f = *state;

	put_rte(f, 4, 0x31, 2);
	ioapic_set_pin(f->io, 4, true);
	ioapic_set_pin(f->io, 4, true);
	assert_int_equal(f->fb.nmsis, 1);
	assert_int_equal(f->fb.msis[0].addr, 0xfee02000);
	assert_int_equal(f->fb.msis[0].data, 0x31);
	ioapic_set_pin(f->io, 4, false);
	ioapic_set_pin(f->io, 4, true); /* no EOI is needed in between */
	assert_int_equal(f->fb.nmsis, 2);
	assert_int_equal(get(f, 0x18), 0x31);
	/* logical destination, lowest priority */
	put_rte(f, 5, 0x31 | 1 << 8 | 1 << 11, 0xff);
	ioapic_set_pin(f->io, 5, true);
	assert_int_equal(f->fb.msis[2].addr, 0xfeeff004);
	assert_int_equal(f->fb.msis[2].data, 0x131);
}

/* 3.2.4, bit 16: a masked edge is neither delivered nor held pending */
static void masked_edge_is_lost(void **state)
{
	struct fixture *f = *state;

	ioapic_set_pin(f->io, 4, true);
	put_rte(f, 4, 0x31, 0);
	assert_int_equal(f->fb.nmsis, 0);
	ioapic_set_pin(f->io, 4, false);
	ioapic_set_pin(f->io, 4, true);
	assert_int_equal(f->fb.nmsis, 1);
}

/* 3.2.4, bits 14 and 15: remote IRR from delivery to EOI */
static void level(void **state)
{
	struct fixture *f = *state;

	put_rte(f, 9, 0x41 | LEVEL, 1);
	ioapic_set_pin(f->io, 9, true);
	assert_int_equal(f->fb.nmsis, 1);
	assert_int_equal(f->fb.msis[0].addr, 0xfee01000);
	assert_int_equal(f->fb.msis[0].data, 0xc041);
	assert_int_equal(get(f, 0x22), 0x41 | LEVEL | REMOTE_IRR);
	ioapic_set_pin(f->io, 9, false);
	ioapic_set_pin(f->io, 9, true); /* not before the EOI */
	assert_int_equal(f->fb.nmsis, 1);
	ioapic_eoi(f->io, 0x42);
	assert_int_equal(f->fb.nmsis, 1);
	ioapic_eoi(f->io, 0x41); /* still high: again */
	assert_int_equal(f->fb.nmsis, 2);
	assert_int_equal(get(f, 0x22), 0x41 | LEVEL | REMOTE_IRR);
	ioapic_set_pin(f->io, 9, false);
	ioapic_eoi(f->io, 0x41);
	assert_int_equal(f->fb.nmsis, 2);
	assert_int_equal(get(f, 0x22), 0x41 | LEVEL);
	ioapic_eoi(f->io, 0x41); /* of nothing */
	assert_int_equal(f->fb.nmsis, 2);
}

static void level_waits_while_masked(void **state)
{
	struct fixture *f = *state;

	put_rte(f, 9, 0x41 | LEVEL | MASKED, 0);
	ioapic_set_pin(f->io, 9, true);
	assert_int_equal(f->fb.nmsis, 0);
	put_rte(f, 9, 0x41 | LEVEL, 0);
	assert_int_equal(f->fb.nmsis, 1);
	put_rte(f, 9, 0x41 | LEVEL | MASKED, 0);
	ioapic_eoi(f->io, 0x41);
	assert_int_equal(f->fb.nmsis, 1);
	put_rte(f, 9, 0x41 | LEVEL, 0);
	assert_int_equal(f->fb.nmsis, 2);
}

/* The EOI register of version 20h, and the way without it: to edge and back clears remote IRR */
static void eoi_by_guest(void **state)
{
	struct fixture *f = *state;

	put_rte(f, 9, 0x41 | LEVEL, 0);
	ioapic_set_pin(f->io, 9, true);
	ioapic_set_pin(f->io, 9, false);
	fake_mmio_write(&f->fb, BASE + 0x40, 4, 0x41);
	assert_int_equal(get(f, 0x22), 0x41 | LEVEL);
	ioapic_set_pin(f->io, 9, true);
	ioapic_set_pin(f->io, 9, false);
	assert_int_equal(get(f, 0x22), 0x41 | LEVEL | REMOTE_IRR);
	put(f, 0x22, 0x41 | MASKED);
	put(f, 0x22, 0x41 | LEVEL);
	assert_int_equal(get(f, 0x22), 0x41 | LEVEL);
	assert_int_equal(f->fb.nmsis, 2);
}

/* A vector shared by two pins ends both */
static void shared_vector(void **state)
{
	struct fixture *f = *state;

	put_rte(f, 10, 0x50 | LEVEL, 0);
	put_rte(f, 11, 0x50 | LEVEL, 0);
	ioapic_set_pin(f->io, 10, true);
	ioapic_set_pin(f->io, 11, true);
	ioapic_set_pin(f->io, 10, false);
	assert_int_equal(f->fb.nmsis, 2);
	ioapic_eoi(f->io, 0x50);
	assert_int_equal(f->fb.nmsis, 3);
	assert_int_equal(get(f, 0x24) & REMOTE_IRR, 0);
	assert_int_equal(get(f, 0x26) & REMOTE_IRR, REMOTE_IRR);
}

/* KVM learns each entry, so that it reports the EOI of level ones */
static void routes(void **state)
{
	struct fixture *f = *state;
	unsigned int calls = f->fb.routes[9].calls;

	assert_int_equal(calls, 1); /* by the reset */
	assert_int_equal(f->fb.routes[9].msg.addr, 0);
	put_rte(f, 9, 0x41 | LEVEL, 1);
	assert_int_equal(f->fb.routes[9].msg.addr, 0xfee01000);
	assert_int_equal(f->fb.routes[9].msg.data, 0xc041);
	assert_true(f->fb.routes[9].level);
	calls = f->fb.routes[9].calls;
	put(f, 0x22, 0x41 | LEVEL); /* no change, no call */
	assert_int_equal(f->fb.routes[9].calls, calls);
	put(f, 0x22, 0x41 | LEVEL | MASKED);
	assert_int_equal(f->fb.routes[9].msg.addr, 0);
	f->d->class->reset(f->d);
	assert_int_equal(get(f, 0x22), MASKED);
}

/* A handler masks its pin before it ends the interrupt; KVM reports that end only if it still knows the entry. */
static void masked_in_service(void **state)
{
	struct fixture *f = *state;

	put_rte(f, 9, 0x41 | LEVEL, 1);
	ioapic_set_pin(f->io, 9, true);
	assert_int_equal(f->fb.nmsis, 1);
	put(f, 0x22, 0x41 | LEVEL | MASKED);
	assert_int_equal(f->fb.routes[9].msg.addr, 0xfee01000);
	assert_int_equal(f->fb.routes[9].msg.data, 0xc041);
	ioapic_eoi(f->io, 0x41);
	assert_int_equal(get(f, 0x22) & REMOTE_IRR, 0);
	assert_int_equal(f->fb.nmsis, 1);
	put(f, 0x22, 0x41 | LEVEL);
	assert_int_equal(f->fb.nmsis, 2);
	ioapic_set_pin(f->io, 9, false);
	ioapic_eoi(f->io, 0x41);
	put(f, 0x22, 0x41 | LEVEL | MASKED);
	assert_int_equal(f->fb.routes[9].msg.addr, 0);
}

static void nonsense(void **state)
{
	struct fixture *f = *state;
	uint32_t seed = 11;

	ioapic_set_pin(f->io, 24, true);
	ioapic_set_pin(f->io, 0xffffffff, true);
	put_rte(f, 0, 0x20 | 7 << 8, 0); /* ExtINT without a PIC */
	ioapic_set_pin(f->io, 0, true);
	assert_int_equal(f->fb.nmsis, 0);
	for (int i = 0; i < 100000; i++) {
		seed = seed * 1664525 + 1013904223;
		fake_mmio_write(&f->fb, BASE + (seed >> 28) * 0x10 % 0x60, 4, seed >> 7);
		ioapic_set_pin(f->io, seed >> 27, seed & BIT(20));
	}
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(registers),
		T(edge),
		T(masked_edge_is_lost),
		T(level),
		T(level_waits_while_masked),
		T(eoi_by_guest),
		T(shared_vector),
		T(routes),
		T(masked_in_service),
		T(nonsense),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
