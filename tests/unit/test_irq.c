// SPDX-License-Identifier: MIT
// Interrupt lines: devices and eventfds share them; the I/O APIC's end of interrupt is told.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "tests/unit/fake_board.h"
#include "vmm/dev/dev.h"
#include "vmm/dev/ioapic.h"

#define GSI 17
#define VECTOR 0x55
#define LEVEL (1u << 15)
#define IOAPIC 0xfec00000ull

struct fixture {
	struct fake_board fb;
	struct device *d;
	int raise[2], ended[2];
};

/* In the place of the fake board's own: the lines end in a real I/O APIC */
static void drive(void *arg, unsigned int gsi, bool level)
{
	struct fixture *f = arg;

	f->fb.irq[gsi] = level;
	ioapic_set_pin(f->fb.board.ioapic, gsi, level);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct board *b = &f->fb.board;
	struct err e = { 0 };

	fake_board_init(&f->fb, MIB);
	f->d = fake_board_add(&f->fb, &ioapic_class, "ioapic", NULL);
	f->fb.lines.drive = drive;
	f->fb.lines.arg = f;
	for (int i = 0; i < 2; i++) {
		f->raise[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		f->ended[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		assert_int_equal(
			b->ops->level_irqfd(b->arg, GSI, f->raise[i], f->ended[i], true, &e), 0);
	}
	fake_mmio_write(&f->fb, IOAPIC, 4, 0x10 + 2 * GSI);
	fake_mmio_write(&f->fb, IOAPIC + 0x10, 4, VECTOR | LEVEL);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	struct board *b = &f->fb.board;

	for (int i = 0; i < 2; i++) {
		b->ops->level_irqfd(b->arg, GSI, f->raise[i], -1, false, NULL);
		close(f->raise[i]);
		close(f->ended[i]);
	}
	fake_board_remove(&f->fb, f->d);
	fake_board_fini(&f->fb);
	free(f);
	return 0;
}

static void raise_one(struct fixture *f, int i)
{
	assert_int_equal(eventfd_write(f->raise[i], 1), 0);
	fake_board_watched(&f->fb);
}

static unsigned int told(struct fixture *f, int i)
{
	eventfd_t n;

	return eventfd_read(f->ended[i], &n) ? 0 : (unsigned int)n;
}

static void test_until_ended(void **state)
{
	struct fixture *f = *state;

	raise_one(f, 0);
	assert_true(f->fb.irq[GSI]);
	assert_int_equal(f->fb.nmsis, 1);
	assert_int_equal(f->fb.msis[0].data & 0xff, VECTOR);
	assert_int_equal(told(f, 0), 0);
	ioapic_eoi(f->fb.board.ioapic, VECTOR + 1); /* another one's */
	assert_true(f->fb.irq[GSI]);
	ioapic_eoi(f->fb.board.ioapic, VECTOR);
	assert_false(f->fb.irq[GSI]);
	assert_int_equal(f->fb.nmsis, 1);
	/* both are asked: nobody knows whose it was */
	assert_int_equal(told(f, 0), 1);
	assert_int_equal(told(f, 1), 1);
	raise_one(f, 0); /* it had one more reason */
	assert_int_equal(f->fb.nmsis, 2);
}

static void test_shared_with_device(void **state)
{
	struct fixture *f = *state;
	struct board *b = &f->fb.board;

	b->ops->irq_set(b->arg, GSI, true);
	raise_one(f, 1);
	assert_int_equal(f->fb.nmsis, 1);
	/* the device's reason is still there: sent again at once */
	ioapic_eoi(b->ioapic, VECTOR);
	assert_true(f->fb.irq[GSI]);
	assert_int_equal(f->fb.nmsis, 2);
	raise_one(f, 1);
	b->ops->irq_set(b->arg, GSI, false);
	assert_true(f->fb.irq[GSI]);
	ioapic_eoi(b->ioapic, VECTOR);
	assert_false(f->fb.irq[GSI]);
	assert_int_equal(f->fb.nmsis, 2);
}

static void test_detach(void **state)
{
	struct fixture *f = *state;
	struct board *b = &f->fb.board;
	struct err e = { 0 };

	raise_one(f, 0);
	assert_int_equal(b->ops->level_irqfd(b->arg, GSI, f->raise[1], -1, false, NULL), 0);
	assert_true(f->fb.irq[GSI]);
	assert_int_equal(b->ops->level_irqfd(b->arg, GSI, f->raise[0], -1, false, NULL), 0);
	assert_false(f->fb.irq[GSI]);
	raise_one(f, 0);
	assert_false(f->fb.irq[GSI]);
	assert_int_equal(b->ops->level_irqfd(b->arg, 24, f->raise[0], f->ended[0], true, &e),
			 -EINVAL);
	assert_string_equal(e.msg, "there is no interrupt 24");
	b->ops->irq_set(b->arg, 40, true); /* ignored */
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_until_ended),
		T(test_shared_with_device),
		T(test_detach),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
