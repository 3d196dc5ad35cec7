// SPDX-License-Identifier: MIT
/* Tables pool and pool_revision: what was declared, and what it was before. */
#include "tests/unit/state_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errcat.h"

static void put(struct state_fixture *f, const char *name, int64_t revision)
{
	struct state_pool pool = { .revision = revision,
				   .boot_id = "boot",
				   .actor = { .uid = 7, .pid = 8, .program = "vmctl" } };
	char definition[32];
	struct err e;

	snprintf(pool.name, sizeof(pool.name), "%s", name);
	snprintf(definition, sizeof(definition), "{\"vfs\":%lld}", (long long)revision);
	pool.definition = definition;
	assert_int_equal(state_pool_put(f->s, &pool, &e), 0);
}

struct seen {
	unsigned int n, stop_after;
	int64_t first, last;
};

static int see(void *arg, const struct state_revision *r)
{
	struct seen *seen = arg;
	char definition[32];

	snprintf(definition, sizeof(definition), "{\"vfs\":%lld}", (long long)r->number);
	assert_string_equal(r->definition, definition);
	assert_int_equal(r->actor.uid, 7);
	assert_int_equal(r->actor.pid, 8);
	assert_string_equal(r->actor.program, "vmctl");
	assert_true(r->time_ms > 0);
	if (!seen->n++)
		seen->first = r->number;
	seen->last = r->number;
	return seen->n == seen->stop_after;
}

static struct seen list(struct state_fixture *f, const char *name, int64_t before,
			unsigned int stop_after)
{
	struct seen seen = { .stop_after = stop_after };
	struct err e;

	assert_int_equal(state_pool_revision_list(f->s, name, before, see, &seen, &e), 0);
	return seen;
}

static void test_revisions(void **state)
{
	struct state_fixture *f = *state;
	struct seen seen;
	struct err e;

	for (int64_t i = 1; i <= 3; i++)
		put(f, "front", i);
	put(f, "back", 1);
	seen = list(f, "front", INT64_MAX, 0);
	assert_true(seen.n == 3 && seen.first == 3 && seen.last == 1);
	seen = list(f, "front", 3, 0);
	assert_true(seen.n == 2 && seen.first == 2);
	seen = list(f, "front", INT64_MAX, 1);
	assert_int_equal(seen.n, 1);
	/* it goes, and the other one stays; the next of its name begins anew */
	assert_int_equal(state_pool_delete(f->s, "front", &e), 0);
	assert_int_equal(list(f, "front", INT64_MAX, 0).n, 0);
	assert_int_equal(list(f, "back", INT64_MAX, 0).n, 1);
	put(f, "front", 1);
	assert_int_equal(list(f, "front", INT64_MAX, 0).n, 1);
}

static void test_bounded(void **state)
{
	struct state_fixture *f = *state;
	struct seen seen;
	struct err e;

	assert_int_equal(state_begin(f->s, &e), 0);
	for (int64_t i = 1; i <= STATE_REVISIONS_MAX + 5; i++)
		put(f, "front", i);
	assert_int_equal(state_commit(f->s, &e), 0);
	seen = list(f, "front", INT64_MAX, 0);
	assert_int_equal(seen.n, STATE_REVISIONS_MAX);
	assert_int_equal(seen.first, STATE_REVISIONS_MAX + 5);
	assert_int_equal(seen.last, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_revisions, state_fixture_setup,
						state_fixture_teardown),
		cmocka_unit_test_setup_teardown(test_bounded, state_fixture_setup,
						state_fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
