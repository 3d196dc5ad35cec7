// SPDX-License-Identifier: MIT
/*
 * Ports of consoles: sockets, terminals and files that vmd makes, behind the real vmm in its cage, with a guest that sends
 * back what it gets (tests/guest/ports.c); and what is left of them when something goes wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/functional/crash.h"
#include "tests/functional/rows.h"
#include "tests/functional/scene.h"

#define FLOOD (1024 * 1024)

/* A socket without a path and one with it, a terminal, a file */
static void define(struct harness *h, struct client *c, const char *name)
{
	char program[512], params[2048];

	harness_program("vmm", program, sizeof(program));
	*strstr(program, "bin/vmm") = '\0';
	snprintf(params, sizeof(params),
		 "{'definition': {'name': '%s', 'profile': 'micro', 'memory': '32MiB', 'boot':"
		 " {'kernel': '%stests/guest/ports'}, 'devices': [{'type': 'serial'}, {'type':"
		 " 'virtio-console', 'ports': [{'name': 'auto'}, {'name': 'given', 'path':"
		 " '%s/given'}, {'name': 'tty', 'backend': 'pty'}, {'name': 'log', 'backend':"
		 " 'file', 'path': '%s/log'}]}]}}",
		 name, program, h->dir, h->dir);
	json_object_put(client_result(c, "vm.apply", params));
}

static struct client *start_guest(struct harness *h)
{
	struct client *c;

	harness_vmd(h, NULL, "--cgroup", "none", NULL);
	c = harness_client(h);
	define(h, c, "one");
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	return c;
}

static void says(struct client *c, const char *regex)
{
	char params[200];

	snprintf(params, sizeof(params),
		 "{'vm': 'one', 'for': 'console', 'console': 'com1', 'regex': '%s', 'timeout_ms': "
		 "%d}",
		 regex, HARNESS_WAIT_MS);
	json_object_put(client_result(c, "vm.wait", params));
}

/* Where vm.get says that the VM's i-th port is */
static void where(struct client *c, unsigned int i, const char *name, const char *backend,
		  char *ret, size_t size)
{
	AUTO_JSON struct json_object *o = client_result(c, "vm.get", "{'vm': 'one'}");
	struct json_object *port = json_object_array_get_idx(json_get(o, "ports"), i);

	assert_string_equal(json_get_str(port, "device", ""), "console0");
	assert_string_equal(json_get_str(port, "name", ""), name);
	assert_string_equal(json_get_str(port, "backend", ""), backend);
	snprintf(ret, size, "%s", json_get_str(port, "path", ""));
}

static int dial(const char *path)
{
	struct timeval most = { .tv_sec = HARNESS_WAIT_MS / 1000 };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0)
		fail_msg("%s: %s", path, strerror(errno));
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most)), 0);
	return fd;
}

static void echo(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	scene_hear(fd, text);
}

/* It goes a moment after the VM has stopped. */
static void expect_gone(struct client *c, const char *path)
{
	struct stat st;

	for (unsigned int i = 0; !lstat(path, &st); i++) {
		assert_true(i < 100000);
		json_object_put(client_result(c, "vm.list", NULL));
	}
	assert_int_equal(errno, ENOENT);
}

static void expect_no_rows(struct harness *h, struct client *c)
{
	for (unsigned int i = 0; rows_count(h, "port"); i++) {
		assert_true(i < 100000);
		json_object_put(client_result(c, "vm.list", NULL));
	}
}

/* Of a program that has ended */
static void dead_socket(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(strlen(path) < sizeof(un.sun_path));
	memcpy(un.sun_path, path, strlen(path));
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	close(fd);
}

static void check_sockets(struct client *c)
{
	char automatic[256], given[256];
	struct stat st;
	int a, b;

	where(c, 0, "auto", "socket", automatic, sizeof(automatic));
	where(c, 1, "given", "socket", given, sizeof(given));
	assert_int_equal(stat(automatic, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
	assert_int_equal(stat(given, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
	a = dial(automatic);
	b = dial(given);
	scene_hear(a, "auto is here\n");
	scene_hear(b, "given is here\n");
	says(c, "^given: connected");
	echo(a, "one");
	echo(b, "two");
	close(a);
	says(c, "^auto: left");
	a = dial(automatic);
	echo(a, "again");
	close(a);
	close(b);
}

static void check_others(struct harness *h, struct client *c)
{
	char path[256], text[64] = "";
	struct stat st;
	int fd;

	where(c, 2, "tty", "pty", path, sizeof(path));
	fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode, S_IFCHR | 0600);
	scene_hear(fd, "tty is here\n");
	echo(fd, "typed\n");
	close(fd);
	says(c, "^log: connected");
	where(c, 3, "log", "file", path, sizeof(path));
	snprintf(text, sizeof(text), "%s/log", h->dir);
	assert_string_equal(path, text);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	scene_hear(fd, "log is here\n");
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	close(fd);
}

static void test_life(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *got = NULL;
	char automatic[256], given[256];
	struct client *c;
	int fd;

	NEEDS_KVM;
	c = start_guest(h);
	assert_int_equal(rows_count(h, "port"), 4);
	check_sockets(c);
	check_others(h, c);
	where(c, 0, "auto", "socket", automatic, sizeof(automatic));
	where(c, 1, "given", "socket", given, sizeof(given));
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	expect_gone(c, automatic);
	expect_gone(c, given);
	*strrchr(automatic, '/') = '\0'; /* and its folder */
	expect_gone(c, automatic);
	expect_no_rows(h, c);
	got = client_result(c, "vm.get", "{'vm': 'one'}");
	assert_null(json_get(got, "ports"));
	/* the file stays, and is added to */
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	check_sockets(c);
	says(c, "^log: connected");
	snprintf(given, sizeof(given), "%s/log", h->dir);
	fd = open(given, O_RDONLY | O_CLOEXEC);
	scene_hear(fd, "log is here\nlog is here\n");
	close(fd);
}

/* A client that does not read holds up nobody else, and gets all of it. */
static void test_slow_reader(void **state)
{
	struct harness *h = *state;
	char path[256], line[17];
	int slow, other;
	struct client *c;

	NEEDS_KVM;
	c = start_guest(h);
	where(c, 1, "given", "socket", path, sizeof(path));
	slow = dial(path);
	scene_hear(slow, "given is here\n");
	where(c, 0, "auto", "socket", path, sizeof(path));
	other = dial(path);
	scene_hear(other, "auto is here\n");
	assert_int_equal(write(slow, "flood\n", 6), 6);
	for (int i = 0; i < 20; i++)
		echo(other, "still here");
	json_object_put(client_result(c, "vm.pause", "{'vm': 'one'}"));
	json_object_put(client_result(c, "vm.resume", "{'vm': 'one'}"));
	for (unsigned int i = 0; i < FLOOD / 16; i++) {
		char expected[17];

		assert_int_equal(recv(slow, line, 16, MSG_WAITALL), 16);
		line[16] = '\0';
		snprintf(expected, sizeof(expected), "line %08x..\n", i);
		assert_string_equal(line, expected);
	}
	close(slow);
	close(other);
}

/* A port works while vmd is away, and what a VM that ends then leaves is removed by the next vmd. */
static void test_without_vmd(void **state)
{
	struct harness *h = *state;
	char automatic[256], given[256];
	struct client *c;
	struct stat st;
	int fd;

	NEEDS_KVM;
	c = start_guest(h);
	where(c, 0, "auto", "socket", automatic, sizeof(automatic));
	where(c, 1, "given", "socket", given, sizeof(given));
	client_close(h, c);
	harness_vmd_end(h, SIGKILL);
	fd = dial(given);
	scene_hear(fd, "given is here\n");
	harness_vmd(h, NULL, "--cgroup", "none", NULL);
	c = harness_client(h);
	echo(fd, "nobody has noticed");
	close(fd);
	scene_end_all(h, c, "one");
	assert_int_equal(lstat(given, &st), 0);
	harness_vmd(h, NULL, "--cgroup", "none", NULL);
	c = harness_client(h);
	expect_gone(c, automatic);
	expect_gone(c, given);
	expect_no_rows(h, c);
}

static void expect_start_fails(struct client *c, const char *name, const char *why)
{
	char params[100];
	AUTO_JSON struct json_object *e = NULL;

	snprintf(params, sizeof(params), "{'vm': '%s'}", name);
	e = client_error(c, "vm.start", params);
	assert_int_equal(json_get_int(e, "code", 0), ERR_FILE);
	if (!strstr(json_get_str(e, "message", ""), why))
		fail_msg("%s", json_get_str(e, "message", ""));
}

/* What is there and not ours stays, and nothing is left of the start. */
static void test_taken(void **state)
{
	struct harness *h = *state;
	char path[256], folder[300];
	struct client *c;
	struct stat st;
	int fd;

	NEEDS_KVM;
	snprintf(path, sizeof(path), "%s", harness_file(h, "given", "precious"));
	harness_vmd(h, NULL, "--cgroup", "none", NULL);
	c = harness_client(h);
	define(h, c, "one");
	expect_start_fails(c, "one", "port 'given': socket");
	expect_no_rows(h, c);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_size, 8);
	snprintf(folder, sizeof(folder), "%s/ports", h->run_dir);
	assert_int_equal(scene_count_files(folder), 0);
	assert_int_equal(unlink(path), 0);
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	/* another VM with the same paths: the file is locked; without it the socket is in use */
	define(h, c, "two");
	{
		AUTO_JSON struct json_object *e = client_error(c, "vm.start", "{'vm': 'two'}");

		assert_int_equal(json_get_int(e, "code", 0), ERR_FILE_IN_USE);
	}
	fd = dial(path);
	scene_hear(fd, "given is here\n");
	echo(fd, "still one's");
	close(fd);
}

/* Of an operator: made with that user's rights, and for that user. */
static void test_operator(void **state)
{
	struct harness *h = *state;
	char folder[256], path[300], params[1024];
	struct client *c;
	struct stat st;

	if (geteuid())
		SKIP_BECAUSE("not root");
	harness_vmd(h, "ok", "--admin-group", "54301", "--operator-group", "54302",
		    "--viewer-group", "54303", NULL);
	assert_int_equal(chmod(h->dir, 0711), 0);
	c = harness_client_as(h, 1001, SCENE_OPERATORS);
	snprintf(folder, sizeof(folder), "%s/theirs", h->dir);
	assert_int_equal(mkdir(folder, 0700), 0);
	snprintf(path, sizeof(path), "%s", harness_file(h, "kernel", "a kernel"));
	assert_int_equal(chmod(path, 0644), 0);
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'profile': 'micro', 'boot': {'kernel': '%s'},"
		 " 'devices': [{'type': 'virtio-console', 'ports': [{'name': 'auto'}, {'name':"
		 " 'given', 'path': '%s/given'}]}]}}",
		 path, folder);
	json_object_put(client_result(c, "vm.apply", params));
	expect_start_fails(c, "one", "Permission denied");
	expect_no_rows(h, c);
	assert_int_equal(chown(folder, 1001, (gid_t)-1), 0);
	json_object_put(client_result(c, "vm.start", "{'vm': 'one'}"));
	for (unsigned int i = 0; i < 2; i++) {
		where(c, i, i ? "given" : "auto", "socket", path, sizeof(path));
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_uid, 1001);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
	where(c, 0, "auto", "socket", folder, sizeof(folder));
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	expect_gone(c, path);
	expect_gone(c, folder);
	expect_no_rows(h, c);
}

/* By way of vmd's own folder an operator comes no further than without. */
static void test_operator_astray(void **state)
{
	struct harness *h = *state;
	AUTO_JSON struct json_object *vm = NULL;
	char id[64], path[300], dead[320], folder[300], params[1500];
	struct client *c;
	struct stat st;

	if (geteuid())
		SKIP_BECAUSE("not root");
	scene_serve_roles(h);
	c = harness_client_as(h, 1001, SCENE_OPERATORS);
	snprintf(path, sizeof(path), "%s", harness_file(h, "kernel", "a kernel"));
	assert_int_equal(chmod(path, 0644), 0);
	scene_define(c, "one", path);
	vm = client_result(c, "vm.get", "{'vm': 'one'}");
	snprintf(id, sizeof(id), "%s", json_get_str(vm, "id", ""));
	/* a socket that nobody has, in a folder of somebody else; and the folders on the way are there */
	snprintf(folder, sizeof(folder), "%s/private", h->dir);
	assert_int_equal(mkdir(folder, 0700), 0);
	snprintf(dead, sizeof(dead), "%s/dead", folder);
	dead_socket(dead);
	snprintf(folder, sizeof(folder), "%s/ports", h->run_dir);
	assert_int_equal(mkdir(folder, 0711), 0);
	snprintf(folder, sizeof(folder), "%s/ports/%s", h->run_dir, id);
	assert_int_equal(mkdir(folder, 0711), 0);
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'profile': 'micro', 'boot': {'kernel': '%s'},"
		 " 'devices': [{'type': 'virtio-console', 'ports': [{'name': 'a', 'path':"
		 " '%s/ports/%s/../../../private/dead'}]}]}}",
		 path, h->run_dir, id);
	json_object_put(client_result(c, "vm.apply", params));
	expect_start_fails(c, "one", "Permission denied");
	expect_no_rows(h, c);
	assert_int_equal(lstat(dead, &st), 0);
}

/* --- vmd ends at each step of a start ---------------------------------------------------------------------- */

static struct client *serve_fake(struct harness *h)
{
	harness_vmd(h, "ok", "--cgroup", "none", NULL);
	return harness_client(h);
}

/* True: it was killed at its n-th step. */
static bool start_and_die(struct harness *h, struct client *c, unsigned int n)
{
	struct crash crash = { .kill_at = n };
	int status;

	crash_attach(&crash, h->vmd);
	client_ask(c, "vm.start", "{'vm': 'one'}");
	if (crash_run(&crash, client_fd(c), &status)) {
		json_object_put(client_next(c));
		crash_detach(&crash);
		return false;
	}
	assert_true(WIFSIGNALED(status));
	client_close(h, c);
	h->vmd = 0;
	return true;
}

static void test_each_step(void **state)
{
	struct harness *h = *state;
	unsigned int n = 1, made = 0;
	char path[256], params[1024];
	struct client *c;
	struct stat st;
	bool killed;

	if (!crash_possible())
		SKIP_BECAUSE("ptrace(2) is not permitted");
	snprintf(path, sizeof(path), "%s/given", h->dir);
	c = serve_fake(h);
	snprintf(params, sizeof(params),
		 "{'definition': {'name': 'one', 'profile': 'micro', 'boot': {'kernel': '%s'},"
		 " 'devices': [{'type': 'virtio-console', 'ports': [{'name': 'auto'}, {'name':"
		 " 'given', 'path': '%s'}]}]}}",
		 harness_file(h, "kernel", "a kernel"), path);
	json_object_put(client_result(c, "vm.apply", params));
	for (killed = true; killed; n++) {
		killed = start_and_die(h, c, n);
		made += killed && !lstat(path, &st);
		if (killed)
			c = serve_fake(h);
		json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
		expect_gone(c, path);
		expect_no_rows(h, c);
	}
	print_message("# vm.start: %u steps, the socket was there after %u\n", n, made);
	assert_true(made > 3);
}

#define T(f) cmocka_unit_test_setup_teardown(f, harness_setup, harness_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_life),	  T(test_slow_reader),	   T(test_without_vmd), T(test_taken),
		T(test_operator), T(test_operator_astray), T(test_each_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
