// SPDX-License-Identifier: MIT
/*
 * Serial ports that lead to a socket, a terminal and a file, behind the real vmm in its cage, with a guest that sends back
 * what it gets (tests/guest/uarts.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/errcat.h"
#include "tests/functional/scene.h"

static struct client *start_guest(struct harness *h)
{
	char params[600];
	struct client *c;

	snprintf(params, sizeof(params),
		 "'devices': [{'type': 'serial', 'port': 'com2', 'backend': 'socket'},"
		 " {'type': 'serial', 'port': 'com3', 'backend': 'pty'}, {'type': 'serial',"
		 " 'port': 'com4', 'backend': 'file', 'path': '%s/log', 'limit': 4096}]",
		 h->dir);
	c = scene_start_guest(h, "uarts", "", params);
	snprintf(params, sizeof(params),
		 "{'vm': 'one', 'for': 'console', 'console': 'com1', 'regex': 'uarts: ready', "
		 "'timeout_ms': %d}",
		 HARNESS_WAIT_MS);
	json_object_put(client_result(c, "vm.wait", params));
	return c;
}

/* Where vm.get says that the VM's i-th port is, by device, name and kind */
static void where(struct client *c, unsigned int i, const char *device, const char *backend,
		  char *ret, size_t size)
{
	AUTO_JSON struct json_object *o = client_result(c, "vm.get", "{'vm': 'one'}");
	struct json_object *port = json_object_array_get_idx(json_get(o, "ports"), i);

	assert_string_equal(json_get_str(port, "device", ""), device);
	assert_string_equal(json_get_str(port, "name", ""), device);
	assert_string_equal(json_get_str(port, "backend", ""), backend);
	snprintf(ret, size, "%s", json_get_str(port, "path", ""));
}

static int dial(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0)
		fail_msg("%s: %s", path, strerror(errno));
	return fd;
}

static void echo(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	scene_hear(fd, text);
}

/* Bytes of it, when there are as many */
static void file_has(struct client *c, const char *path, const char *text, off_t size)
{
	char got[64] = "";
	struct stat st;
	int fd;

	for (unsigned int i = 0; stat(path, &st) || st.st_size < size; i++) {
		assert_true(i < 100000);
		json_object_put(client_result(c, "vm.list", NULL));
	}
	assert_int_equal(st.st_size, size);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, got, strlen(text)), strlen(text));
	assert_string_equal(got, text);
	close(fd);
}

static void test_backends(void **state)
{
	struct harness *h = *state;
	char path[200], many[5001];
	struct harness_output got;
	struct client *c;
	int fd;

	NEEDS_KVM;
	c = start_guest(h);
	where(c, 0, "com2", "socket", path, sizeof(path));
	fd = dial(path);
	echo(fd, "hello by a socket");
	close(fd);
	/* the next one; and more than all the buffers of a port */
	fd = dial(path);
	memset(many, '.', sizeof(many) - 1);
	many[sizeof(many) - 1] = '\0';
	echo(fd, many);
	close(fd);
	where(c, 1, "com3", "pty", path, sizeof(path));
	fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(fd >= 0);
	echo(fd, "hello by a terminal\n");
	close(fd);
	where(c, 2, "com4", "file", path, sizeof(path));
	file_has(c, path, "hello by a socket...", 4096);
	assert_int_equal(harness_vmctl(h, NULL, &got, "show", "one", NULL), 0);
	assert_non_null(strstr(got.out, "com3"));
	assert_int_equal(harness_vmctl(h, NULL, &got, "logs", "one", "--monitor", NULL), 0);
	assert_non_null(
		strstr(got.out, "com4: output is lost: its file: it is as large as it may be"));
}

/* A socket goes with its VM; one that somebody else has is not taken away. */
static void test_socket(void **state)
{
	struct harness *h = *state;
	char path[200];
	struct client *c;
	struct stat st;

	NEEDS_KVM;
	c = start_guest(h);
	where(c, 0, "com2", "socket", path, sizeof(path));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	json_object_put(client_result(c, "vm.kill", "{'vm': 'one'}"));
	for (unsigned int i = 0; !lstat(path, &st); i++) {
		assert_true(i < 100000);
		json_object_put(client_result(c, "vm.list", NULL));
	}
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, harness_setup, harness_teardown)
	const struct CMUnitTest tests[] = { T(test_backends), T(test_socket) };
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
