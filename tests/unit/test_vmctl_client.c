// SPDX-License-Identifier: MIT
/* vmctl's connection: how long it tries to have it again. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/auto.h"
#include "lib/errcat.h"
#include "tests/lib/tempdir.h"
#include "tests/lib/test.h"
#include "vmctl/client.h"

#define LIMIT_MS 300

/* Try for LIMIT_MS in vain; the error. */
static void reopen_fails(struct client *c, struct err *e)
{
	struct timespec from, to;
	int64_t ms;

	*e = (struct err){ 0 };
	clock_gettime(CLOCK_MONOTONIC, &from);
	assert_int_equal(client_reopen(c, LIMIT_MS, e), -ERR_UNREACHABLE);
	clock_gettime(CLOCK_MONOTONIC, &to);
	ms = (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000;
	assert_true(ms >= LIMIT_MS - 1);
	assert_int_equal(e->code, ERR_UNREACHABLE);
	assert_false(c->open);
}

static void test_reopen_gives_up(void **state)
{
	AUTO_CLOSE int listener = -1;
	char *dir = tempdir_new(), path[96], want[192];
	struct client c;
	struct err e;

	(void)state;
	snprintf(path, sizeof(path), "%s/vmd.sock", dir);
	listener = conn_listen(path, 0600, &e);
	assert_true(listener >= 0);
	assert_int_equal(client_open(&c, path, &e), 0);
	/* somebody listens, and nobody answers */
	reopen_fails(&c, &e);
	assert_non_null(strstr(e.msg, "vmd did not answer within "));
	assert_int_equal(client_open(&c, path, &e), 0);
	assert_int_equal(unlink(path), 0);
	reopen_fails(&c, &e);
	snprintf(want, sizeof(want), "cannot reach vmd at '%s': No such file or directory", path);
	assert_string_equal(e.msg, want);
	assert_int_equal(strncmp(e.hint, "start it", 8), 0);
	tempdir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_reopen_gives_up) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
