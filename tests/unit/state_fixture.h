/* SPDX-License-Identifier: MIT */
/* An empty database in a folder of its own: for the test_state*.c. */
#ifndef TESTS_UNIT_STATE_FIXTURE_H
#define TESTS_UNIT_STATE_FIXTURE_H

#include "tests/lib/test.h"
#include "state/state.h"

struct state_fixture {
	char *dir;
	struct state *s;
};

/* cmocka's: *state is a struct state_fixture. */
int state_fixture_setup(void **state);
int state_fixture_teardown(void **state);

#endif
