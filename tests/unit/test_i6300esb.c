// SPDX-License-Identifier: MIT
// The watchdog by its registers: Intel 6300ESB data sheet (300641), "Watchdog Timer (WDT) (D29:F4)"; the sequence of
// Linux' i6300esb driver.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <linux/pci_regs.h>
#include <string.h>
#include "tests/unit/guest_virtio.h"
#include "vmm/dev/dev.h"
#include "vmm/devices.h"

#define SLOT 3
#define CONFIG 0x60
#define LOCK 0x68
#define MS 1000000ull
#define TICK (32768 * 30ull) /* 2^15 PCI clocks */

struct fixture {
	struct fake_board fb;
	struct device *host, *d;
	uint64_t bar;
};

static void add(struct fixture *f, enum i6300esb_action action)
{
	f->d = fake_board_add(&f->fb, &i6300esb_class, "dog",
			      &(struct i6300esb_cfg){ .address = "00:03.0", .action = action });
	f->bar = guest_pci_bar(&f->fb, SLOT, 0);
}

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	fake_board_init(&f.fb, 2 * MIB);
	f.host = fake_board_add(&f.fb, &pci_host_class, "pci", NULL);
	add(&f, I6300ESB_ACTION_RESET);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fake_board_remove(&f->fb, f->d);
	fake_board_remove(&f->fb, f->host);
	assert_null(f->fb.timers);
	fake_board_fini(&f->fb);
	return 0;
}

static void with_action(struct fixture *f, enum i6300esb_action action)
{
	fake_board_remove(&f->fb, f->d);
	add(f, action);
}

static void unlocked(struct fixture *f, unsigned int off, unsigned int size, uint32_t val)
{
	fake_mmio_write(&f->fb, f->bar + 0xc, 2, 0x80);
	fake_mmio_write(&f->fb, f->bar + 0xc, 2, 0x86);
	fake_mmio_write(&f->fb, f->bar + off, size, val);
}

static void lock(struct fixture *f, uint8_t val)
{
	guest_pci_write(&f->fb, SLOT, LOCK, 1, val);
}

/* esb_initdevice, esb_timer_set_heartbeat, esb_timer_start: so many ticks each stage */
static void begin(struct fixture *f, uint32_t ticks)
{
	guest_pci_write(&f->fb, SLOT, CONFIG, 2, 0x0003);
	lock(f, 0);
	unlocked(f, 0x0, 4, ticks);
	unlocked(f, 0x4, 4, ticks);
	unlocked(f, 0xc, 2, 0x100);
	lock(f, 2);
}

static bool timed_out(struct fixture *f)
{
	return fake_mmio_read(&f->fb, f->bar + 0xc, 2) & 0x200;
}

static void power_on(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(guest_pci_read(&f->fb, SLOT, 0, 4), 0x25ab8086);
	assert_int_equal(guest_pci_read(&f->fb, SLOT, PCI_CLASS_REVISION, 4) >> 8, 0x088000);
	assert_int_equal(guest_pci_read(&f->fb, SLOT, CONFIG, 2), 0);
	assert_int_equal(guest_pci_read(&f->fb, SLOT, LOCK, 1), 0);
	assert_int_equal(fake_mmio_read(&f->fb, f->bar, 4), 0xfffff);
	assert_int_equal(fake_mmio_read(&f->fb, f->bar + 4, 4), 0xfffff);
	assert_int_equal(fake_mmio_read(&f->fb, f->bar + 8, 4), 0);
	assert_false(timed_out(f));
	fake_board_advance(&f->fb, 4000000 * MS); /* it does not run */
	assert_int_equal(f->fb.nevents, 0);
}

/* "Register Unlocking Sequence": for one write */
static void unlocking(void **state)
{
	struct fixture *f = *state;

	fake_mmio_write(&f->fb, f->bar, 4, 1);
	assert_int_equal(fake_mmio_read(&f->fb, f->bar, 4), 0xfffff);
	fake_mmio_write(&f->fb, f->bar + 0xc, 2, 0x86); /* the other way round */
	fake_mmio_write(&f->fb, f->bar + 0xc, 2, 0x80);
	fake_mmio_write(&f->fb, f->bar, 4, 1);
	assert_int_equal(fake_mmio_read(&f->fb, f->bar, 4), 0xfffff);
	fake_mmio_write(&f->fb, f->bar + 0xc, 2, 0x80);
	fake_mmio_write(&f->fb, f->bar + 4, 4, 5); /* something in between */
	fake_mmio_write(&f->fb, f->bar + 0xc, 2, 0x86);
	fake_mmio_write(&f->fb, f->bar, 4, 1);
	assert_int_equal(fake_mmio_read(&f->fb, f->bar, 4), 0xfffff);
	unlocked(f, 0, 4, 0xfff12345);
	assert_int_equal(fake_mmio_read(&f->fb, f->bar, 4), 0x12345); /* 20 bits */
	fake_mmio_write(&f->fb, f->bar, 4, 1);
	assert_int_equal(fake_mmio_read(&f->fb, f->bar, 4), 0x12345);
}

static void two_stages(void **state)
{
	struct fixture *f = *state;

	begin(f, 1000);
	fake_board_advance(&f->fb, 1000 * TICK - MS);
	assert_int_equal(fake_mmio_read(&f->fb, f->bar + 8, 4), 0);
	fake_board_advance(&f->fb, 2 * MS);
	assert_int_equal(fake_mmio_read(&f->fb, f->bar + 8, 4), 1);
	fake_mmio_write(&f->fb, f->bar + 8, 4, 1);
	assert_int_equal(fake_mmio_read(&f->fb, f->bar + 8, 4), 0);
	assert_int_equal(f->fb.nevents, 0);
	fake_board_advance(&f->fb, 1000 * TICK - 2 * MS);
	assert_int_equal(f->fb.nevents, 0);
	assert_false(timed_out(f));
	fake_board_advance(&f->fb, 2 * MS);
	assert_int_equal(f->fb.nevents, 1);
	assert_int_equal(f->fb.events[0].event, BOARD_RESET);
	assert_string_equal(f->fb.notice, "watchdog: dog reset");
	/* it is seen after the reset, until it is cleared; and it is off then */
	f->d->class->reset(f->d);
	assert_true(timed_out(f));
	unlocked(f, 0xc, 2, 0x300);
	assert_false(timed_out(f));
	fake_board_advance(&f->fb, 4000 * TICK);
	assert_int_equal(f->fb.nevents, 1);
}

/* "WDT_RELOAD": the first stage begins again, in either one */
static void reloading(void **state)
{
	struct fixture *f = *state;

	begin(f, 1000);
	for (int i = 0; i < 20; i++) {
		fake_board_advance(&f->fb, (i & 1 ? 1900 : 900) * TICK);
		unlocked(f, 0xc, 2, 0x100);
	}
	assert_int_equal(f->fb.nevents, 0);
	assert_false(timed_out(f));
	fake_mmio_write(&f->fb, f->bar + 0xc, 2, 0x100); /* not unlocked: no reload */
	fake_board_advance(&f->fb, 2001 * TICK);
	assert_int_equal(f->fb.nevents, 1);
}

static void switched_off(void **state)
{
	struct fixture *f = *state;

	begin(f, 1000);
	fake_board_advance(&f->fb, 1500 * TICK);
	lock(f, 0);
	fake_board_advance(&f->fb, 4000 * TICK);
	assert_int_equal(f->fb.nevents, 0);
	assert_null(f->fb.timers);
	unlocked(f, 0xc, 2, 0x100); /* a reload starts nothing */
	assert_null(f->fb.timers);
	lock(f, 2); /* from the first stage on */
	fake_board_advance(&f->fb, 1500 * TICK);
	assert_int_equal(f->fb.nevents, 0);
	fake_board_advance(&f->fb, 501 * TICK);
	assert_int_equal(f->fb.nevents, 1);
}

/* "WDT_LOCK": until the next reset */
static void locking(void **state)
{
	struct fixture *f = *state;

	begin(f, 1000);
	lock(f, 3);
	lock(f, 0);
	assert_int_equal(guest_pci_read(&f->fb, SLOT, LOCK, 1), 3);
	guest_pci_write(&f->fb, SLOT, LOCK & ~3u, 4, 0);
	assert_int_equal(guest_pci_read(&f->fb, SLOT, LOCK, 1), 3);
	fake_board_advance(&f->fb, 2001 * TICK);
	assert_int_equal(f->fb.nevents, 1);
	f->d->class->reset(f->d);
	assert_int_equal(guest_pci_read(&f->fb, SLOT, LOCK, 1), 0);
	lock(f, 2);
	assert_int_equal(guest_pci_read(&f->fb, SLOT, LOCK, 1), 2);
}

/* "WDT_PRE_SEL": ticks of a microsecond; "WDT_OUTPUT": a timeout without consequences; "WDT_TOUT_CNF" */
static void modes(void **state)
{
	struct fixture *f = *state;

	begin(f, 100000);
	guest_pci_write(&f->fb, SLOT, CONFIG, 2, 0x0007);
	unlocked(f, 0xc, 2, 0x100);
	fake_board_advance(&f->fb, 190 * MS);
	assert_int_equal(f->fb.nevents, 0);
	fake_board_advance(&f->fb, 5 * MS);
	assert_int_equal(f->fb.nevents, 1);
	guest_pci_write(&f->fb, SLOT, CONFIG, 2, 0x0027);
	unlocked(f, 0xc, 2, 0x300);
	assert_false(timed_out(f));
	fake_board_advance(&f->fb, 200 * MS);
	assert_true(timed_out(f));
	assert_int_equal(f->fb.nevents, 1);
	unlocked(f, 0xc, 2, 0x200);
	guest_pci_write(&f->fb, SLOT, CONFIG, 2, 0x0007);
	lock(f, 6); /* free running */
	unlocked(f, 0xc, 2, 0x100);
	fake_board_advance(&f->fb, 1000 * MS);
	assert_false(timed_out(f));
	assert_int_equal(fake_mmio_read(&f->fb, f->bar + 8, 4), 1);
	assert_int_equal(f->fb.nevents, 1);
}

static void actions(void **state)
{
	struct fixture *f = *state;

	with_action(f, I6300ESB_ACTION_PAUSE);
	begin(f, 1000);
	fake_board_advance(&f->fb, 2001 * TICK);
	assert_string_equal(f->fb.notice, "watchdog: dog pause");
	assert_int_equal(f->fb.nevents, 0);
	with_action(f, I6300ESB_ACTION_STOP);
	begin(f, 1000);
	fake_board_advance(&f->fb, 2001 * TICK);
	assert_string_equal(f->fb.notice, "watchdog: dog stop");
	assert_int_equal(f->fb.nevents, 1);
	assert_int_equal(f->fb.events[0].event, BOARD_WATCHDOG);
	assert_string_equal(f->fb.events[0].msg, "dog");
	with_action(f, I6300ESB_ACTION_EVENT);
	f->fb.nnotices = 0;
	begin(f, 1);
	for (int i = 0; i < 100; i++) { /* ten timeouts a second: told once */
		fake_board_advance(&f->fb, 100 * MS);
		unlocked(f, 0xc, 2, 0x100);
	}
	assert_string_equal(f->fb.notice, "watchdog: dog event");
	assert_in_range(f->fb.nnotices, 9, 11);
	assert_int_equal(f->fb.nevents, 1);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(power_on),	 T(unlocking), T(two_stages), T(reloading),
		T(switched_off), T(locking),   T(modes),      T(actions),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
