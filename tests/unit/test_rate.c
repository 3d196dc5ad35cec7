// SPDX-License-Identifier: MIT
/* Token buckets: what passes in a time, from a clock of the test's. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "vmm/rate.h"

#define SECOND 1000000000ull

/* Draw n each as often as it is let, from now on for so long; how much came through. */
static uint64_t draw_for(struct rate *r, uint64_t n, uint64_t from_ns, uint64_t ns)
{
	uint64_t now = from_ns, sum = 0, wait;

	while (now < from_ns + ns) {
		wait = rate_wait(r, now);
		if (wait) {
			now += wait;
			continue;
		}
		rate_draw(r, n);
		sum += n;
	}
	return sum;
}

static void keeps_the_rate(void **state)
{
	static const uint64_t rates[] = { 1, 3, 1000, 999983, 1ull << 30 };
	struct rate r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		uint64_t n = rates[i] > 1000 ? rates[i] / 100 : 1, got;

		rate_init(&r, rates[i], 1);
		got = draw_for(&r, n, 5, 100 * SECOND);
		assert_in_range(got, 99 * rates[i], 101 * rates[i] + n);
	}
}

static void burst_after_a_pause(void **state)
{
	struct rate r;

	(void)state;
	rate_init(&r, 1000, 500);
	assert_int_equal(draw_for(&r, 1, 7, 1), 500);
	assert_int_equal(rate_wait(&r, 7), 1);
	assert_int_equal(draw_for(&r, 1, 7 + SECOND / 10, 1), 100);
	/* a long pause is no more than the burst */
	assert_int_equal(draw_for(&r, 1, 7 + 1000000 * SECOND, 1), 500);
}

/* More than there ever is at once passes, and is paid for afterwards. */
static void larger_than_the_burst(void **state)
{
	struct rate r;

	(void)state;
	rate_init(&r, 1000, 10);
	assert_int_equal(rate_wait(&r, 1), 0);
	rate_draw(&r, 5010);
	assert_in_range(rate_wait(&r, 1), 5 * SECOND, 5 * SECOND + 1);
	assert_true(rate_wait(&r, 1 + 4 * SECOND) > 0);
	assert_int_equal(rate_wait(&r, 1 + 5 * SECOND + 1), 0);
}

static void no_limit(void **state)
{
	struct rate r;

	(void)state;
	for (int i = 0; i < 2; i++) {
		rate_init(&r, i ? RATE_MAX + 1 : 0, 0);
		rate_draw(&r, UINT64_MAX);
		assert_int_equal(rate_wait(&r, 1), 0);
	}
}

/* A change gives nothing away: neither a burst nor what is owed. */
static void changed_in_use(void **state)
{
	struct rate r;

	(void)state;
	rate_init(&r, 1000, 500);
	assert_int_equal(draw_for(&r, 1, 7, 1), 500);
	rate_change(&r, 2000, 500);
	assert_int_equal(rate_wait(&r, 7), 1);
	assert_int_equal(draw_for(&r, 1, 7 + SECOND / 10, 1), 200);
	rate_draw(&r, 4000);
	rate_change(&r, 1000, 10);
	assert_in_range(rate_wait(&r, 7 + SECOND / 10), 4 * SECOND, 4 * SECOND + 1);
	/* and takes what was not used, where the burst is smaller now */
	rate_init(&r, 1000, 500);
	rate_change(&r, 1000, 10);
	assert_int_equal(draw_for(&r, 1, 7, 1), 10);
	rate_change(&r, 0, 0);
	rate_draw(&r, UINT64_MAX);
	assert_int_equal(rate_wait(&r, 7), 0);
	rate_change(&r, 1000, 500);
	assert_int_equal(draw_for(&r, 1, 7, 1), 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_the_rate),	 cmocka_unit_test(burst_after_a_pause),
		cmocka_unit_test(larger_than_the_burst), cmocka_unit_test(no_limit),
		cmocka_unit_test(changed_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
