// SPDX-License-Identifier: MIT
/* vmd/server: sockets that are given instead of made. What clients meet is in tests/functional/test_api.c. */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/conn.h"
#include "tests/lib/tempdir.h"
#include "vmd/daemon.h"
#include "vmd/event.h"
#include "vmd/server.h"

struct fixture {
	struct daemon_options options;
	struct daemon d;
	char *dir, path[128];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e;

	assert_non_null(f);
	f->dir = tempdir_new();
	snprintf(f->path, sizeof(f->path), "%s/given.sock", f->dir);
	f->d.options = &f->options;
	log_init(&f->d.log, STDERR_FILENO, LOG_LEVEL_ERROR, "test");
	assert_int_equal(uv_loop_init(&f->d.loop), 0);
	assert_int_equal(state_open(f->dir, &f->d.state, &e), 0);
	f->d.events = event_hub_new(&f->d.loop, f->d.state, &f->d.log);
	assert_int_equal(server_new(&f->d, &f->d.server, &e), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	server_close(f->d.server);
	event_hub_close(f->d.events);
	uv_run(&f->d.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->d.loop), 0);
	server_free(f->d.server);
	event_hub_free(f->d.events);
	state_close(f->d.state);
	tempdir_remove(f->dir);
	free(f);
	return 0;
}

static void test_given_socket(void **state)
{
	struct fixture *f = *state;
	struct err e = { 0 };
	char text[4096] = "";
	int client;

	assert_int_equal(server_listen_fd(f->d.server, conn_listen(f->path, 0600, &e), true, &e),
			 0);
	client = conn_connect(f->path, &e);
	assert_true(client >= 0);
	/* not before it is opened */
	uv_run(&f->d.loop, UV_RUN_NOWAIT);
	assert_int_equal(recv(client, text, sizeof(text) - 1, MSG_DONTWAIT), -1);
	server_open(f->d.server);
	uv_run(&f->d.loop, UV_RUN_ONCE);
	assert_true(recv(client, text, sizeof(text) - 1, MSG_DONTWAIT) > 0);
	assert_non_null(strstr(text, "\"method\":\"vmd.hello\""));
	close(client);
	/* its file is not ours to remove */
	server_close(f->d.server);
	assert_int_equal(access(f->path, F_OK), 0);
}

static void test_what_cannot_be_served(void **state)
{
	struct fixture *f = *state;
	struct err e = { 0 };
	int ends[2], ret;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	ret = server_listen_fd(f->d.server, ends[0], false, &e);
	assert_int_equal(ret, -EINVAL);
	assert_non_null(strstr(e.msg, "is no listening stream socket of the Unix domain"));
	/* it was taken over and is closed */
	assert_int_equal(fcntl(ends[0], F_GETFD), -1);
	close(ends[1]);
	assert_int_equal(pipe(ends), 0);
	ret = server_listen_fd(f->d.server, ends[0], false, &e);
	assert_int_equal(ret, -ENOTSOCK);
	assert_non_null(strstr(e.msg, "is no socket: Socket operation on non-socket"));
	close(ends[1]);
	assert_int_equal(server_listen_fd(f->d.server, -1, false, &e), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_given_socket, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_cannot_be_served, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
