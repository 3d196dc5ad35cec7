// SPDX-License-Identifier: MIT
// Sockets and terminals of ports: whose they are, what gives way, what is removed.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
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
#include "lib/hostport.h"
#include "tests/lib/tempdir.h"

struct fixture {
	char *dir, path[108];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->dir = tempdir_new();
	snprintf(f->path, sizeof(f->path), "%s/a.sock", f->dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	tempdir_remove(f->dir);
	free(f);
	return 0;
}

static int make_socket(const struct fixture *f, bool confined)
{
	struct err e = { 0 };
	int fd = hostport_socket(f->path, confined, &e);

	if (fd < 0)
		fail_msg("%s", e.msg);
	return fd;
}

static int dial(const struct fixture *f)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(un.sun_path, f->path, strlen(f->path));
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0)
		return fd;
	close(fd);
	return -errno;
}

static bool pending(int listener)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

static void check_socket(const struct fixture *f, bool confined)
{
	int fd = make_socket(f, confined), client;
	struct stat st;
	struct err e;

	assert_int_equal(lstat(f->path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
	/* somebody has it: it does not give way, is not removed, and is not called */
	assert_int_equal(hostport_socket(f->path, confined, &e), -ERR_FILE);
	assert_non_null(strstr(e.msg, "Address already in use"));
	assert_int_equal(hostport_remove(f->path, confined), -EBUSY);
	assert_false(pending(fd));
	client = dial(f);
	assert_true(client >= 0);
	assert_true(pending(fd));
	close(client);
	close(fd);
	/* nobody has it any more */
	fd = make_socket(f, confined);
	close(fd);
	assert_int_equal(hostport_remove(f->path, confined), 1);
	assert_int_equal(lstat(f->path, &st), -1);
	assert_int_equal(hostport_remove(f->path, confined), 0);
}

static void test_socket(void **state)
{
	check_socket(*state, false);
}

static void test_socket_confined(void **state)
{
	check_socket(*state, true);
}

/* What is no socket is nobody's to take away. */
static void test_other_file(void **state)
{
	struct fixture *f = *state;
	char target[128];
	struct stat st;
	struct err e;

	tempdir_file(f->dir, "a.sock", "precious");
	assert_int_equal(hostport_socket(f->path, false, &e), -ERR_FILE);
	assert_int_equal(hostport_remove(f->path, false), 0);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_size, 8);
	/* nor a link to a socket */
	unlink(f->path);
	snprintf(target, sizeof(target), "%s/b.sock", f->dir);
	close(hostport_socket(target, false, &e));
	assert_int_equal(symlink(target, f->path), 0);
	assert_int_equal(hostport_socket(f->path, false, &e), -ERR_FILE);
	assert_int_equal(hostport_remove(f->path, false), 0);
	assert_int_equal(lstat(f->path, &st), 0);
	assert_int_equal(lstat(target, &st), 0);
}

static void test_bad_place(void **state)
{
	struct fixture *f = *state;
	char path[256];
	struct err e;

	snprintf(path, sizeof(path), "%s/no/a.sock", f->dir);
	assert_int_equal(hostport_socket(path, false, &e), -ERR_FILE);
	assert_non_null(strstr(e.msg, "No such file"));
	assert_int_equal(hostport_socket(path, true, &e), -ERR_FILE);
	assert_non_null(strstr(e.msg, "No such file"));
	snprintf(path, sizeof(path), "%s/%0150d", f->dir, 0);
	assert_int_equal(hostport_socket(path, false, &e), -ERR_FILE);
	assert_non_null(strstr(e.msg, "more than 107 bytes"));
	/* a confined VM does not reach what the program itself has open */
	assert_int_equal(hostport_socket("/proc/self/cwd/a.sock", true, &e), -ERR_FILE);
	assert_int_equal(hostport_socket("/proc/self/task/a.sock", true, &e), -ERR_FILE);
	assert_non_null(strstr(e.msg, "one of /proc"));
}

static void test_pty(void **state)
{
	char name[HOSTPORT_PTY_MAX], got[32] = "";
	struct err e = { 0 };
	struct stat st;
	int slave, master = hostport_pty(&slave, name, &e), other;
	struct pollfd p;

	(void)state;
	if (master < 0)
		fail_msg("%s", e.msg);
	other = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(other >= 0);
	assert_int_equal(fstat(other, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(write(master, "a\nb\3", 4), 4);
	p = (struct pollfd){ .fd = other, .events = POLLIN };
	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(read(other, got, sizeof(got)), 4); /* no line, no signal */
	assert_memory_equal(got, "a\nb\3", 4);
	assert_int_equal(read(master, got, sizeof(got)), -1); /* and no echo */
	assert_int_equal(errno, EAGAIN);
	close(other);
	close(slave);
	close(master);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_socket), T(test_socket_confined), T(test_other_file), T(test_bad_place),
		T(test_pty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
