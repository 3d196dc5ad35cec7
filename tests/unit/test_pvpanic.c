// SPDX-License-Identifier: MIT
// The panic port by its one register (QEMU, docs/specs/pvpanic), as Linux' pvpanic-pci uses it.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "tests/unit/guest_virtio.h"
#include "vmm/dev/dev.h"
#include "vmm/devices.h"

#define SLOT 3

struct fixture {
	struct fake_board fb;
	struct device *host, *d;
	uint64_t bar;
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	fake_board_init(&f.fb, 2 * MIB);
	f.host = fake_board_add(&f.fb, &pci_host_class, "pci", NULL);
	f.d = fake_board_add(&f.fb, &pvpanic_class, "panic0",
			     &(struct pvpanic_cfg){ .address = "00:03.0" });
	f.bar = guest_pci_bar(&f.fb, SLOT, 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fake_board_remove(&f->fb, f->d);
	fake_board_remove(&f->fb, f->host);
	fake_board_fini(&f->fb);
	return 0;
}

static void identity(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(guest_pci_read(&f->fb, SLOT, 0, 4), 0x00111b36);
	assert_int_equal(fake_mmio_read(&f->fb, f->bar, 1), 3); /* both are understood */
	assert_int_equal(fake_mmio_read(&f->fb, f->bar + 1, 1), 0);
}

static void panicked(void **state)
{
	struct fixture *f = *state;

	fake_mmio_write(&f->fb, f->bar, 1, 1);
	assert_int_equal(f->fb.nevents, 1);
	assert_int_equal(f->fb.events[0].event, BOARD_PANIC);
	fake_mmio_write(&f->fb, f->bar, 1, 2);
	assert_int_equal(f->fb.nevents, 2);
	assert_int_equal(f->fb.events[1].event, BOARD_PANIC_HANDLED);
}

static void nothing_else(void **state)
{
	struct fixture *f = *state;

	fake_mmio_write(&f->fb, f->bar, 1, 0xfc);
	fake_mmio_write(&f->fb, f->bar + 1, 1, 1);
	assert_int_equal(f->fb.nevents, 0);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = { T(identity), T(panicked), T(nothing_else) };
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
