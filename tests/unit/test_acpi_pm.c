// SPDX-License-Identifier: MIT
// ACPI fixed hardware against ACPI 6.4, section 4.8.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "tests/unit/fake_board.h"
#include "vmm/dev/acpi_pm.h"
#include "vmm/dev/dev.h"
#include "vmm/x86/map.h"

#define STS 0x600
#define EN 0x602
#define CNT 0x604
#define TMR 0x608
#define S 1000000000ull

struct fixture {
	struct fake_board fb;
	struct device *d;
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	fake_board_init(&f.fb, 4096);
	f.d = fake_board_add(&f.fb, &acpi_pm_class, "pm", NULL);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fake_board_remove(&f->fb, f->d);
	fake_board_fini(&f->fb);
	return 0;
}

/* 4.8.2.2.1.1 */
static void power_button(void **state)
{
	struct fixture *f = *state;

	acpi_pm_power_button(f->d);
	assert_int_equal(fake_in(&f->fb, STS, 2), 0x100);
	assert_false(f->fb.irq[MAP_GSI_SCI]);
	fake_out(&f->fb, EN, 2, 0x100);
	assert_true(f->fb.irq[MAP_GSI_SCI]);
	assert_int_equal(fake_in(&f->fb, STS, 4), 0x01000100);
	fake_out(&f->fb, STS, 2, 0x001);
	assert_true(f->fb.irq[MAP_GSI_SCI]);
	fake_out(&f->fb, STS, 2, 0x100);
	assert_false(f->fb.irq[MAP_GSI_SCI]);
	assert_int_equal(fake_in(&f->fb, STS, 2), 0);
	acpi_pm_power_button(f->d);
	assert_true(f->fb.irq[MAP_GSI_SCI]);
	f->d->class->reset(f->d);
	assert_false(f->fb.irq[MAP_GSI_SCI]);
	assert_int_equal(fake_in(&f->fb, STS, 4), 0);
}

/* 4.8.1: "accesses to PM1 may be byte wide" */
static void byte_accesses(void **state)
{
	struct fixture *f = *state;

	fake_out8(&f->fb, EN + 1, 0x05);
	assert_int_equal(fake_in(&f->fb, EN, 2), 0x500);
	fake_out8(&f->fb, EN, 0x20);
	assert_int_equal(fake_in(&f->fb, EN, 2), 0x520);
	acpi_pm_power_button(f->d);
	assert_int_equal(fake_in8(&f->fb, STS + 1), 1);
	fake_out8(&f->fb, STS, 0xff);
	assert_int_equal(fake_in8(&f->fb, STS + 1), 1);
	fake_out8(&f->fb, STS + 1, 0x01);
	assert_int_equal(fake_in(&f->fb, STS, 2), 0);
	fake_out(&f->fb, STS + 1, 2, 0x2000); /* across two registers */
	assert_int_equal(fake_in(&f->fb, EN, 2), 0x520);
	assert_int_equal(fake_in(&f->fb, STS + 1, 2), 0x2000);
	fake_out(&f->fb, STS, 4, 0x01000000);
	assert_int_equal(fake_in(&f->fb, EN, 2), 0x100);
	fake_out(&f->fb, EN, 2, 0xffff);
	assert_int_equal(fake_in(&f->fb, EN, 2), 0x521); /* only what exists */
}

/* 4.8.3.2.1: SCI_EN reads as set; SLP_EN reads as zero and acts with the \_S5 type */
static void sleep_control(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fake_in(&f->fb, CNT, 2), 1);
	fake_out(&f->fb, CNT, 2, 1 << 10 | 1 << 13); /* no such state */
	assert_int_equal(f->fb.nevents, 0);
	fake_out(&f->fb, CNT, 2, MAP_S5_SLP_TYP << 10); /* type first, as Linux writes it */
	assert_int_equal(f->fb.nevents, 0);
	fake_out(&f->fb, CNT, 2, MAP_S5_SLP_TYP << 10 | 1 << 13);
	assert_int_equal(f->fb.nevents, 1);
	assert_int_equal(f->fb.events[0].event, BOARD_SHUTDOWN);
	assert_int_equal(fake_in(&f->fb, CNT, 2), MAP_S5_SLP_TYP << 10 | 1);
	fake_out8(&f->fb, CNT + 1, MAP_S5_SLP_TYP << 2 | 1 << 5);
	assert_int_equal(f->fb.nevents, 2);
}

#define FALL_ASLEEP(f) fake_out(&(f)->fb, CNT, 2, MAP_S3_SLP_TYP << 10 | 1 << 13)

/* 4.8.3.1.1: WAK_STS comes with what woke it, once; the registers keep what the guest had in them. */
static void sleeps_and_wakes(void **state)
{
	struct fixture *f = *state;

	fake_out(&f->fb, EN, 2, 0x400);
	assert_false(acpi_pm_asleep(f->d));
	acpi_pm_wake(f->d); /* nobody sleeps */
	assert_int_equal(fake_in(&f->fb, STS, 2), 0);
	FALL_ASLEEP(f);
	assert_int_equal(f->fb.nevents, 1);
	assert_int_equal(f->fb.events[0].event, BOARD_SUSPEND);
	assert_true(acpi_pm_asleep(f->d));
	acpi_pm_gpe(f->d, 1); /* of no interest */
	assert_true(acpi_pm_asleep(f->d));
	acpi_pm_wake(f->d);
	assert_int_equal(f->fb.nevents, 2);
	assert_int_equal(f->fb.events[1].event, BOARD_WAKE);
	assert_false(acpi_pm_asleep(f->d));
	assert_int_equal(fake_in(&f->fb, STS, 4), 0x04008100);
	acpi_pm_rtc(f->d);
	assert_int_equal(f->fb.nevents, 2);
	assert_true(f->fb.irq[MAP_GSI_SCI]);
	fake_out(&f->fb, STS, 2, 0x8500);
	assert_int_equal(fake_in(&f->fb, STS, 2), 0);
	assert_null(f->fb.timers);
	FALL_ASLEEP(f);
	f->d->class->reset(f->d);
	assert_false(acpi_pm_asleep(f->d));
}

/* 4.8.2.4: the alarm wakes who has enabled it; what is there already, and enabled, wakes at once. */
static void the_alarm_wakes(void **state)
{
	struct fixture *f = *state;

	FALL_ASLEEP(f);
	acpi_pm_rtc(f->d);
	assert_true(acpi_pm_asleep(f->d));
	acpi_pm_wake(f->d);
	assert_int_equal(fake_in(&f->fb, STS, 2), 0x8500);
	fake_out(&f->fb, STS, 2, 0x8500);
	fake_out(&f->fb, EN, 2, 0x500);
	FALL_ASLEEP(f);
	acpi_pm_rtc(f->d);
	assert_false(acpi_pm_asleep(f->d));
	assert_int_equal(fake_in(&f->fb, STS, 2), 0x8400);
	fake_out(&f->fb, STS, 2, 0x8000); /* RTC_STS stays */
	FALL_ASLEEP(f);
	assert_false(acpi_pm_asleep(f->d));
	assert_int_equal(f->fb.nevents, 6);
	assert_int_equal(f->fb.events[4].event, BOARD_SUSPEND);
	assert_int_equal(f->fb.events[5].event, BOARD_WAKE);
}

/* The press that wakes a guest is no wish to stop for it: it is pressed again once it listens, for a minute. */
static void a_button_that_woke_is_pressed_again(void **state)
{
	struct fixture *f = *state;
	unsigned int presses = 0;

	FALL_ASLEEP(f);
	acpi_pm_power_button(f->d);
	assert_false(acpi_pm_asleep(f->d));
	fake_out(&f->fb, STS, 2, 0x8100);
	fake_board_advance(&f->fb, 10 * S);
	assert_int_equal(fake_in(&f->fb, STS, 2), 0); /* it does not listen yet */
	fake_out(&f->fb, EN, 2, 0x100);
	for (unsigned int i = 0; i < 100; i++) {
		fake_board_advance(&f->fb, S);
		presses += fake_in(&f->fb, STS, 2) == 0x100;
		assert_int_equal(f->fb.irq[MAP_GSI_SCI], fake_in(&f->fb, STS, 2) == 0x100);
		fake_out(&f->fb, STS, 2, 0x100);
	}
	assert_int_equal(presses, 50);
	assert_null(f->fb.timers);
	/* a guest that goes back to sleep, or is reset, is left alone; so is one that was only to wake */
	for (unsigned int i = 0; i < 3; i++) {
		FALL_ASLEEP(f);
		if (i < 2)
			acpi_pm_power_button(f->d);
		else
			acpi_pm_wake(f->d);
		fake_out(&f->fb, STS, 2, 0x8100);
		if (i == 0)
			FALL_ASLEEP(f);
		if (i == 1)
			f->d->class->reset(f->d);
		assert_null(f->fb.timers);
		f->d->class->reset(f->d);
		fake_out(&f->fb, EN, 2, 0x100);
	}
}

/* 4.8.2.1: 3.579545 MHz */
static void timer_rate(void **state)
{
	struct fixture *f = *state;
	uint32_t t = fake_in(&f->fb, TMR, 4);

	fake_board_advance(&f->fb, S);
	assert_int_equal(fake_in(&f->fb, TMR, 4) - t, 3579545);
	fake_board_advance(&f->fb, 999 * S + S / 2);
	assert_int_equal(fake_in(&f->fb, TMR, 4) - t, (uint32_t)(3579545ull * 2001 / 2));
	fake_out(&f->fb, TMR, 4, 0);
	assert_int_equal(fake_in(&f->fb, TMR, 4) - t, (uint32_t)(3579545ull * 2001 / 2));
	assert_int_equal(fake_in(&f->fb, TMR, 2), fake_in(&f->fb, TMR, 4) & 0xffff);
	assert_null(f->fb.timers);
}

/* TMR_STS: when the highest bit changes, either way */
static void timer_overflow(void **state)
{
	struct fixture *f = *state;
	uint64_t half = (2147483648ull * S + 3579544) / 3579545; /* first ns with bit 31 set */

	fake_out(&f->fb, EN, 2, 0x001);
	assert_non_null(f->fb.timers);
	fake_board_advance(&f->fb, half - 1);
	assert_false(f->fb.irq[MAP_GSI_SCI]);
	assert_int_equal(fake_in(&f->fb, TMR, 4), 0x7fffffff);
	fake_board_advance(&f->fb, 1);
	assert_true(f->fb.irq[MAP_GSI_SCI]);
	assert_int_equal(fake_in(&f->fb, TMR, 4), 0x80000000);
	assert_null(f->fb.timers); /* until it is acknowledged */
	fake_out(&f->fb, STS, 2, 0x001);
	assert_false(f->fb.irq[MAP_GSI_SCI]);
	fake_board_advance(&f->fb, half);
	assert_true(f->fb.irq[MAP_GSI_SCI]);
	fake_out(&f->fb, EN, 2, 0);
	assert_false(f->fb.irq[MAP_GSI_SCI]);
	fake_out(&f->fb, STS, 2, 0x001);
	fake_board_advance(&f->fb, half); /* polled, without a timer */
	assert_null(f->fb.timers);
	assert_int_equal(fake_in(&f->fb, STS, 2), 0x001);
}

/* 4.8.4.1: a status bit waits for its enable bit, and is cleared by writing it */
static void general_purpose_events(void **state)
{
	struct fixture *f = *state;

	acpi_pm_gpe(f->d, 1);
	assert_int_equal(fake_in(&f->fb, MAP_GPE0, 2), 0x0002);
	assert_false(f->fb.irq[MAP_GSI_SCI]);
	fake_out8(&f->fb, MAP_GPE0 + 1, 0x06);
	assert_true(f->fb.irq[MAP_GSI_SCI]);
	fake_out8(&f->fb, MAP_GPE0, 0x04);
	assert_true(f->fb.irq[MAP_GSI_SCI]);
	/* the fixed events share the line */
	acpi_pm_power_button(f->d);
	fake_out(&f->fb, EN, 2, 0x100);
	fake_out8(&f->fb, MAP_GPE0, 0x02);
	assert_true(f->fb.irq[MAP_GSI_SCI]);
	fake_out(&f->fb, STS, 2, 0x100);
	assert_false(f->fb.irq[MAP_GSI_SCI]);
	assert_int_equal(fake_in(&f->fb, MAP_GPE0, 2), 0x0600);
	acpi_pm_gpe(f->d, 2);
	assert_true(f->fb.irq[MAP_GSI_SCI]);
	fake_out(&f->fb, MAP_GPE0, 2, 0x0004); /* both at once */
	assert_false(f->fb.irq[MAP_GSI_SCI]);
	assert_int_equal(fake_in(&f->fb, MAP_GPE0, 2), 0);
	acpi_pm_gpe(f->d, 7);
	f->d->class->reset(f->d);
	assert_int_equal(fake_in(&f->fb, MAP_GPE0, 2), 0);
}

static void random_accesses(void **state)
{
	struct fixture *f = *state;
	uint32_t seed = 5;

	for (int i = 0; i < 50000; i++) {
		seed = seed * 1664525 + 1013904223;
		fake_out(&f->fb, STS + (seed >> 28), 1u << (seed >> 8) % 3, seed >> 3);
		fake_in(&f->fb, STS + (seed >> 28), 1u << (seed >> 10) % 3);
		fake_board_advance(&f->fb, seed);
	}
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(power_button),	   T(byte_accesses),
		T(sleep_control),	   T(timer_rate),
		T(timer_overflow),	   T(random_accesses),
		T(general_purpose_events), T(sleeps_and_wakes),
		T(the_alarm_wakes),	   T(a_button_that_woke_is_pressed_again),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
