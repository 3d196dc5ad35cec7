// SPDX-License-Identifier: MIT
/* The API as clients meet it: sockets, limits, batches, common members, one client against another. */
#include "tests/functional/harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/errcat.h"

static int setup(void **state)
{
	struct harness *h = harness_new();

	harness_vmd(h, "ok", NULL);
	*state = h;
	return 0;
}

static int teardown(void **state)
{
	harness_free(*state);
	return 0;
}

static void test_read_only_socket(void **state)
{
	struct harness *h = *state;
	char path[160];
	struct client *c;

	snprintf(path, sizeof(path), "%s/vmd-ro.sock", h->run_dir);
	c = harness_client_at(h, path);
	json_object_put(client_result(c, "vm.list", NULL));
	/* refused before the parameters are looked at */
	client_expect_error(c, "vm.start", "{'nonsense': 1}", ERR_DENIED,
			    "vm.start changes something, and this socket is for reading only",
			    "vmd's other socket serves all methods: vmd(8), --socket");
	/* the connection goes on */
	json_object_put(client_result(c, "daemon.ping", NULL));
	assert_int_equal(harness_vmd_end(h, SIGTERM), 0);
	assert_int_equal(access(path, F_OK), -1);
}

static void test_read_only_socket_elsewhere(void **state)
{
	struct harness *h = *state;
	char path[160], err[512], expected[512];

	assert_int_equal(harness_vmd_end(h, SIGTERM), 0);
	snprintf(path, sizeof(path), "%s/look.sock", h->dir);
	harness_vmd(h, "ok", "--ro-socket", path, NULL);
	json_object_put(client_result(harness_client_at(h, path), "vm.list", NULL));
	assert_int_equal(harness_vmd_end(h, SIGTERM), 0);
	/* one path cannot be both */
	assert_int_equal(harness_vmd_fails(h, err, sizeof(err), "--ro-socket", h->socket, NULL), 1);
	snprintf(expected, sizeof(expected), "vmd: '%s' is in use: another process listens on it\n",
		 h->socket);
	assert_string_equal(err, expected);
	harness_vmd(h, "ok", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_read_only_socket),
		T(test_read_only_socket_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
