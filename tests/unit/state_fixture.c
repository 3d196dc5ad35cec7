// SPDX-License-Identifier: MIT
// See state_fixture.h.
#include "tests/unit/state_fixture.h"

#include <stdlib.h>

#include "tests/lib/tempdir.h"

int state_fixture_setup(void **state)
{
	struct state_fixture *f = calloc(1, sizeof(*f));
	struct err e = { 0 };

	f->dir = tempdir_new();
	if (state_open(f->dir, &f->s, &e) < 0)
		fail_msg("%s", e.msg);
	*state = f;
	return 0;
}

int state_fixture_teardown(void **state)
{
	struct state_fixture *f = *state;

	state_close(f->s);
	tempdir_remove(f->dir);
	free(f);
	return 0;
}
