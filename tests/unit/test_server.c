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
#include "lib/fdio.h"
#include "tests/lib/tempdir.h"
#include "vmd/daemon.h"
#include "vmd/event.h"
#include "vmd/guest.h"
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
	f->d.guests = guests_new(&f->d);
	assert_int_equal(server_new(&f->d, &f->d.server, &e), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	server_close(f->d.server);
	event_hub_close(f->d.events);
	guests_close(&f->d);
	uv_run(&f->d.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->d.loop), 0);
	server_free(f->d.server);
	guests_free(f->d.guests);
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

#define MANY 3000

static void insert_many(struct fixture *f)
{
	static const struct state_actor actor = { .program = "test" };
	struct err e;

	assert_int_equal(state_begin(f->d.state, &e), 0);
	for (int i = 0; i < MANY; i++) {
		struct state_vm vm = { .vcpus = 1, .memory = 1 << 20, .profile = "modern" };

		state_uuid(vm.id);
		snprintf(vm.name, sizeof(vm.name), "vm%d", i);
		assert_int_equal(state_vm_insert(f->d.state, &vm, "{}", "{}", &actor, &e), 0);
	}
	assert_int_equal(state_commit(f->d.state, &e), 0);
}

/* Between two parts of a long list the loop looks what else there is. */
static void test_list_takes_turns(void **state)
{
	static const char list[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.list\"}\n",
			  ping[] = "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"daemon.ping\"}\n";
	struct fixture *f = *state;
	struct err e;
	char text[4096] = "";
	int client;

	insert_many(f);
	assert_int_equal(server_listen(f->d.server, f->path, false, &e), 0);
	server_open(f->d.server);
	client = conn_connect(f->path, &e);
	uv_run(&f->d.loop, UV_RUN_NOWAIT);
	assert_int_equal(fdio_write(client, list, strlen(list)), strlen(list));
	uv_run(&f->d.loop, UV_RUN_NOWAIT);
	assert_true(recv(client, text, sizeof(text) - 1, MSG_DONTWAIT) > 0);
	assert_non_null(strstr(text, "\"method\":\"vmd.hello\""));
	assert_int_equal(fdio_write(client, ping, strlen(ping)), strlen(ping));
	uv_run(&f->d.loop, UV_RUN_NOWAIT);
	memset(text, 0, sizeof(text));
	assert_true(recv(client, text, sizeof(text) - 1, MSG_DONTWAIT) > 0);
	assert_non_null(strstr(text, "\"id\":2"));
	assert_null(strstr(text, "\"id\":1"));
	close(client);
}

/* 3000 VMs, each of 32 requests of a batch lists them: more than may wait for a client. */
static void test_batch_too_long(void **state)
{
	static const char request[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.list\"}";
	struct fixture *f = *state;
	struct err e = { 0 };
	char text[8192] = "", line[4096] = "[";
	ssize_t n = 0;
	int client;

	insert_many(f);
	for (int i = 0; i < 32; i++)
		sprintf(line + strlen(line), "%s%s", i ? "," : "", request);
	strcat(line, "]\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"daemon.ping\"}\n");
	assert_int_equal(server_listen(f->d.server, f->path, false, &e), 0);
	server_open(f->d.server);
	client = conn_connect(f->path, &e);
	assert_int_equal(fdio_write(client, line, strlen(line)), strlen(line));
	/* the one answer comes while the others are being made */
	while (!strstr(text, "\"id\":2") || !strstr(text, "\"id\":null")) {
		ssize_t got = recv(client, text + n, sizeof(text) - 1 - (size_t)n, MSG_DONTWAIT);

		assert_true(got != 0);
		if (got > 0)
			n += got;
		else
			uv_run(&f->d.loop, UV_RUN_ONCE);
	}
	assert_non_null(strstr(text,
			       "\"id\":null,\"error\":{\"code\":-32001,\"message\":\"the answers "
			       "to a batch are more than 16777216 bytes long\""));
	close(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_given_socket, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list_takes_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_batch_too_long, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_cannot_be_served, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
