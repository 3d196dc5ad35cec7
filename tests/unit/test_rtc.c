// SPDX-License-Identifier: MIT
// The real-time clock against the Motorola MC146818A data sheet.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "tests/unit/fake_board.h"
#include "vmm/dev/acpi_pm.h"
#include "vmm/dev/dev.h"
#include "vmm/x86/map.h"

#define S 1000000000ull
#define MS 1000000ull

enum {
	SEC,
	SEC_AL,
	MIN_,
	MIN_AL,
	HOUR,
	HOUR_AL,
	WDAY,
	DAY,
	MONTH,
	YEAR,
	A,
	B,
	C,
	D,
	CENTURY = 0x32
};

struct fixture {
	struct fake_board fb;
	struct device *d;
};

static uint8_t in(struct fixture *f, uint8_t reg)
{
	fake_out8(&f->fb, MAP_RTC, reg);
	return fake_in8(&f->fb, MAP_RTC + 1);
}

static void out(struct fixture *f, uint8_t reg, uint8_t val)
{
	fake_out8(&f->fb, MAP_RTC, reg | 0x80); /* with NMI masked, as firmware does */
	fake_out8(&f->fb, MAP_RTC + 1, val);
}

static bool irq(struct fixture *f)
{
	return f->fb.irq[MAP_GSI_RTC];
}

static uint64_t utc(int year, int month, int day, int hour, int min, int sec)
{
	struct tm tm = { .tm_year = year - 1900,
			 .tm_mon = month - 1,
			 .tm_mday = day,
			 .tm_hour = hour,
			 .tm_min = min,
			 .tm_sec = sec };

	return (uint64_t)timegm(&tm) * S;
}

static void assert_time(struct fixture *f, const char *text)
{
	char got[40];

	snprintf(got, sizeof(got), "%02x%02x-%02x-%02x %02x:%02x:%02x", in(f, CENTURY), in(f, YEAR),
		 in(f, MONTH), in(f, DAY), in(f, HOUR), in(f, MIN_), in(f, SEC));
	assert_string_equal(got, text);
}

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	fake_board_init(&f.fb, 4096);
	f.fb.now_ns = 12345; /* has nothing to do with the wall clock */
	f.fb.realtime_ns = utc(2024, 2, 29, 13, 59, 58);
	f.d = fake_board_add(&f.fb, &rtc_class, "rtc", NULL);
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

static void shows_host_time(void **state)
{
	struct fixture *f = *state;

	assert_time(f, "2024-02-29 13:59:58");
	assert_int_equal(in(f, WDAY), 5); /* a Thursday; Sunday is 1 */
	fake_board_advance(&f->fb, 2 * S);
	assert_time(f, "2024-02-29 14:00:00");
	fake_board_advance(&f->fb, 10 * 3600 * S);
	assert_time(f, "2024-03-01 00:00:00");
	f->fb.realtime_ns = utc(2100, 12, 31, 23, 59, 59);
	assert_time(f, "2100-12-31 23:59:59");
	assert_int_equal(in(f, D), 0x80);
	assert_int_equal(fake_in8(&f->fb, MAP_RTC), 0xff);
}

/* Every day of 150 years against the C library */
static void calendar(void **state)
{
	struct fixture *f = *state;

	for (uint64_t day = 0; day < 150 * 365; day++) {
		time_t t = (time_t)day * 86400;
		struct tm tm;

		gmtime_r(&t, &tm);
		f->fb.realtime_ns = day * 86400 * S;
		out(f, B, 0x06);
		assert_int_equal(in(f, DAY), tm.tm_mday);
		assert_int_equal(in(f, MONTH), tm.tm_mon + 1);
		assert_int_equal(in(f, YEAR), tm.tm_year % 100);
		assert_int_equal(in(f, WDAY), tm.tm_wday + 1);
	}
}

/* Table 3: binary and BCD, 12 and 24 hours */
static void formats(void **state)
{
	struct fixture *f = *state;
	static const struct {
		int hour;
		uint8_t bcd24, bin24, bcd12, bin12;
	} rows[] = {
		{ 0, 0x00, 0, 0x12, 12 },     { 1, 0x01, 1, 0x01, 1 },
		{ 11, 0x11, 11, 0x11, 11 },   { 12, 0x12, 12, 0x92, 0x8c },
		{ 13, 0x13, 13, 0x81, 0x81 }, { 23, 0x23, 23, 0x91, 0x8b },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		f->fb.realtime_ns = utc(2024, 1, 1, rows[i].hour, 0, 0);
		out(f, B, 0x02);
		assert_int_equal(in(f, HOUR), rows[i].bcd24);
		out(f, B, 0x06);
		assert_int_equal(in(f, HOUR), rows[i].bin24);
		out(f, B, 0x00);
		assert_int_equal(in(f, HOUR), rows[i].bcd12);
		out(f, B, 0x80);
		out(f, HOUR, rows[i].bcd12); /* and back */
		out(f, B, 0x00);
		out(f, B, 0x04);
		assert_int_equal(in(f, HOUR), rows[i].bin12);
	}
}

/* Register B, SET: updates stop, the guest writes, and it goes on from there in the same phase */
static void set_time(void **state)
{
	struct fixture *f = *state;

	fake_board_advance(&f->fb, 250 * MS);
	out(f, B, 0x82);
	fake_board_advance(&f->fb, 5 * S);
	assert_time(f, "2024-02-29 13:59:58");
	assert_int_equal(in(f, A), 0x26); /* no update in progress either */
	out(f, SEC, 0x30);
	out(f, MIN_, 0x20);
	out(f, HOUR, 0x10);
	out(f, DAY, 0x31);
	out(f, MONTH, 0x12);
	out(f, YEAR, 0x99);
	out(f, CENTURY, 0x19);
	out(f, B, 0x02);
	assert_time(f, "1999-12-31 10:20:30");
	fake_board_advance(&f->fb, 749 * MS);
	assert_time(f, "1999-12-31 10:20:30");
	fake_board_advance(&f->fb, 1 * MS);
	assert_time(f, "1999-12-31 10:20:31");
	f->d->class->reset(f->d);
	fake_board_advance(&f->fb, 14 * 3600 * S);
	assert_time(f, "2000-01-01 00:20:31");
}

/* Register A, DV = 11x: the divider is in reset; the first update comes 500 ms after it is let go */
static void divider_reset(void **state)
{
	struct fixture *f = *state;

	fake_board_advance(&f->fb, 900 * MS);
	out(f, A, 0x66);
	fake_board_advance(&f->fb, 3 * S);
	assert_time(f, "2024-02-29 13:59:58");
	out(f, A, 0x26);
	fake_board_advance(&f->fb, 499 * MS);
	assert_time(f, "2024-02-29 13:59:58");
	fake_board_advance(&f->fb, 1 * MS);
	assert_time(f, "2024-02-29 13:59:59");
}

static void write_while_running(void **state)
{
	struct fixture *f = *state;

	out(f, MIN_, 0x05);
	assert_time(f, "2024-02-29 13:05:58");
	fake_board_advance(&f->fb, 2 * S);
	assert_time(f, "2024-02-29 13:06:00");
}

/* Figure 15: up 244 us before the update cycle until its end */
static void update_in_progress(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(in(f, A), 0x26);
	fake_board_advance(&f->fb, S - 2300000);
	assert_int_equal(in(f, A), 0x26);
	fake_board_advance(&f->fb, 100000);
	assert_int_equal(in(f, A), 0xa6);
	fake_board_advance(&f->fb, 2200000);
	assert_int_equal(in(f, A), 0x26);
	out(f, A, 0xa6); /* read-only bit */
	assert_int_equal(in(f, A), 0x26);
}

/* Register C: flags without enables, cleared by reading; no timer runs for them */
static void flags_without_interrupts(void **state)
{
	struct fixture *f = *state;

	in(f, C);
	assert_int_equal(in(f, C), 0);
	fake_board_advance(&f->fb, 976563); /* 1/1024 s */
	assert_int_equal(in(f, C), 0x40);
	fake_board_advance(&f->fb, S);
	assert_int_equal(in(f, C) & 0x50, 0x50);
	assert_int_equal(in(f, C), 0);
	assert_null(f->fb.timers);
	assert_false(irq(f));
}

static void update_interrupt(void **state)
{
	struct fixture *f = *state;

	in(f, C);
	out(f, B, 0x12);
	assert_false(irq(f));
	fake_board_advance(&f->fb, S - 1);
	assert_false(irq(f));
	fake_board_advance(&f->fb, 1);
	assert_true(irq(f));
	assert_null(f->fb.timers); /* until it is acknowledged */
	assert_int_equal(in(f, C) & 0x90, 0x90);
	assert_false(irq(f));
	fake_board_advance(&f->fb, 5 * S);
	assert_true(irq(f));
	assert_int_equal(f->fb.irq_raised[MAP_GSI_RTC], 2);
	out(f, B, 0x92); /* SET clears UIE */
	assert_int_equal(in(f, B), 0x82);
	assert_false(irq(f));
}

/* Table 5: rate selection */
static void periodic_interrupt(void **state)
{
	struct fixture *f = *state;
	static const unsigned int hz[16] = { 0,	  256, 128, 8192, 4096, 2048, 1024, 512,
					     256, 128, 64,  32,	  16,	8,    4,    2 };

	for (uint8_t rate = 0; rate < 16; rate++) {
		unsigned int n = 0;

		out(f, B, 0x02);
		out(f, A, 0x20 | rate);
		in(f, C);
		out(f, B, 0x42);
		for (int i = 0; i < 20000; i++) {
			fake_board_advance(&f->fb, S / 20000);
			if (irq(f)) {
				n++;
				in(f, C);
			}
		}
		assert_in_range(n, hz[rate] ? hz[rate] - 1 : 0, hz[rate] + (hz[rate] != 0));
	}
}

/* As where the processor is slow: a period ends while register C is read, and is the next interrupt. */
static void period_within_a_read(void **state)
{
	struct fixture *f = *state;

	in(f, C);
	out(f, B, 0x42);
	fake_board_advance(&f->fb, MS);
	assert_true(irq(f));
	for (unsigned int i = 1; i <= 5; i++) {
		assert_int_equal(f->fb.irq_raised[MAP_GSI_RTC], i);
		f->fb.realtime_step_ns = MS;
		assert_int_equal(in(f, C) & 0xc0, 0xc0);
		f->fb.realtime_step_ns = 0;
		assert_true(irq(f));
	}
}

static void alarm_interrupt(void **state)
{
	struct fixture *f = *state;

	in(f, C);
	out(f, SEC_AL, 0x05);
	out(f, MIN_AL, 0x00);
	out(f, HOUR_AL, 0x14);
	out(f, B, 0x22);
	fake_board_advance(&f->fb, 7 * S - 1);
	assert_false(irq(f));
	fake_board_advance(&f->fb, 1);
	assert_true(irq(f));
	assert_time(f, "2024-02-29 14:00:05");
	assert_int_equal(in(f, C) & 0xa0, 0xa0);
	fake_board_advance(&f->fb, 86399 * S);
	assert_false(irq(f));
	fake_board_advance(&f->fb, S);
	assert_true(irq(f));
	in(f, C);
	/* "don't care" bytes: every hour, every minute */
	out(f, HOUR_AL, 0xff);
	out(f, MIN_AL, 0xc0);
	fake_board_advance(&f->fb, 60 * S);
	assert_int_equal(in(f, C) & 0xa0, 0xa0);
	/* one that never comes keeps no timer */
	out(f, HOUR_AL, 0x30);
	assert_null(f->fb.timers);
	fake_board_advance(&f->fb, 100000 * S);
	assert_false(irq(f));
}

/* Register B, SET: no updates, but the divider runs, and with it the periodic interrupt */
static void periodic_while_set(void **state)
{
	struct fixture *f = *state;
	unsigned int n = 0;

	out(f, B, 0xc2);
	in(f, C);
	for (int i = 0; i < 4000; i++) {
		fake_board_advance(&f->fb, S / 4000);
		if (irq(f)) {
			n++;
			assert_int_equal(in(f, C), 0xc0); /* neither an update nor an alarm */
		}
	}
	assert_in_range(n, 1023, 1025);
	out(f, A, 0x66); /* the divider in reset: not even that */
	in(f, C);
	fake_board_advance(&f->fb, S);
	assert_false(irq(f));
	assert_null(f->fb.timers);
}

/* Table 3: an alarm is in the format of the time. */
static void alarm_of_12_hours(void **state)
{
	struct fixture *f = *state;

	out(f, B, 0x80);
	out(f, HOUR, 0x11); /* 11:59:58 in the morning */
	out(f, MIN_, 0x59);
	out(f, SEC, 0x58);
	out(f, SEC_AL, 0x00);
	out(f, MIN_AL, 0x00);
	out(f, HOUR_AL, 0x12); /* midnight */
	out(f, B, 0x20);
	in(f, C);
	fake_board_advance(&f->fb, 5 * S);
	assert_int_equal(in(f, HOUR), 0x92);
	assert_false(irq(f));
	out(f, HOUR_AL, 0x81); /* one in the afternoon */
	fake_board_advance(&f->fb, 3600 * S - 4 * S);
	assert_false(irq(f));
	fake_board_advance(&f->fb, S);
	assert_true(irq(f));
}

/* What the host's clock shows to people there; a reset does not change it. */
static void local_base(void **state)
{
	struct fixture *f = *state;
	struct rtc_cfg cfg = { .base = RTC_BASE_LOCAL };

	fake_board_remove(&f->fb, f->d);
	setenv("TZ", "XYZ-5:30", 1);
	tzset();
	f->d = fake_board_add(&f->fb, &rtc_class, "rtc", &cfg);
	assert_time(f, "2024-02-29 19:29:58");
	f->d->class->reset(f->d);
	fake_board_advance(&f->fb, 5 * 3600 * S);
	assert_time(f, "2024-03-01 00:29:58");
	unsetenv("TZ");
	tzset();
}

/* With ACPI the alarm is RTC_STS too, and a sleeping guest has its clock still. */
static void alarm_wakes(void **state)
{
	struct fixture *f = *state;
	struct device *pm = fake_board_add(&f->fb, &acpi_pm_class, "pm", NULL);

	assert_true(f->d->class->standby);
	out(f, SEC_AL, 0x05);
	out(f, MIN_AL, 0x00);
	out(f, HOUR_AL, 0x14);
	out(f, B, 0x22);
	fake_out(&f->fb, MAP_PM1_EVT + 2, 2, 0x400);
	fake_out(&f->fb, MAP_PM1_CNT, 2, MAP_S3_SLP_TYP << 10 | 1 << 13);
	fake_board_advance(&f->fb, 7 * S - 1);
	assert_true(acpi_pm_asleep(pm));
	fake_board_advance(&f->fb, 1);
	assert_false(acpi_pm_asleep(pm));
	assert_int_equal(fake_in(&f->fb, MAP_PM1_EVT, 2), 0x8400);
	fake_board_remove(&f->fb, pm);
	in(f, C);
	/* nobody to tell any more */
	fake_board_advance(&f->fb, 86400 * S);
	assert_true(irq(f));
}

/* Time goes on in a pause, timers do not: what was missed comes with the resume. */
static void alarm_of_a_pause(void **state)
{
	struct fixture *f = *state;

	out(f, SEC_AL, 0x05);
	out(f, MIN_AL, 0x00);
	out(f, HOUR_AL, 0x14);
	out(f, B, 0x22);
	f->fb.realtime_ns += 3600 * S;
	assert_false(irq(f));
	f->d->class->start(f->d);
	assert_true(irq(f));
}

/* The RESET pin clears enables and flags; RAM and time stay */
static void reset_pin(void **state)
{
	struct fixture *f = *state;

	out(f, B, 0x7a);
	out(f, 0x40, 0x5a);
	fake_board_advance(&f->fb, 2 * S);
	assert_true(irq(f));
	f->d->class->reset(f->d);
	assert_false(irq(f));
	assert_int_equal(in(f, B), 0x02);
	assert_int_equal(in(f, C), 0);
	assert_int_equal(in(f, 0x40), 0x5a);
	assert_time(f, "2024-02-29 14:00:00");
}

/* A host clock that is set back must not confuse the flags */
static void host_clock_set_back(void **state)
{
	struct fixture *f = *state;

	out(f, B, 0x12);
	in(f, C);
	f->fb.realtime_ns -= 3600 * S;
	fake_board_advance(&f->fb, S);
	assert_int_equal(in(f, C) & 0x10, 0);
	fake_board_advance(&f->fb, S);
	assert_true(irq(f));
}

static void nonsense_values(void **state)
{
	struct fixture *f = *state;
	uint32_t seed = 7;

	out(f, B, 0x82);
	for (uint8_t reg = SEC; reg <= YEAR; reg++)
		out(f, reg, 0xff);
	out(f, CENTURY, 0xff);
	assert_int_equal(in(f, SEC), 0xff); /* held while SET */
	out(f, B, 0x02);
	for (uint8_t reg = SEC; reg <= YEAR; reg++)
		in(f, reg);
	for (int i = 0; i < 100000; i++) {
		seed = seed * 1664525 + 1013904223;
		if (seed & BIT(31))
			in(f, (seed >> 8) & 0x7f);
		else
			out(f, (seed >> 24) & 0x3f, (uint8_t)(seed >> 8));
		fake_board_advance(&f->fb, seed % 200000);
	}
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(shows_host_time),
		T(calendar),
		T(formats),
		T(set_time),
		T(divider_reset),
		T(write_while_running),
		T(update_in_progress),
		T(flags_without_interrupts),
		T(update_interrupt),
		T(periodic_interrupt),
		T(period_within_a_read),
		T(periodic_while_set),
		T(alarm_interrupt),
		T(alarm_of_12_hours),
		T(local_base),
		T(alarm_wakes),
		T(alarm_of_a_pause),
		T(reset_pin),
		T(host_clock_set_back),
		T(nonsense_values),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
